/*
 * qtest for virtio-gpu-gl: the name of a context
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

static void test_unterminated(void)
{
    struct virtio_gpu_ctx_create cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_CTX_CREATE),
        .hdr.ctx_id = cpu_to_le32(1),
        .nlen = cpu_to_le32(64),
    };
    struct virtio_gpu_ctrl_hdr reply;
    GPU *gpu = gpu_start_plain();

    memset(cmd.debug_name, 'x', sizeof(cmd.debug_name));
    g_assert_cmphex(gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply)),
                    ==, OK);
    /* The scripted renderer counts names that do not end. */
    g_assert_cmpuint(gpu->shared->faults, ==, 0);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "unterminated", .alone = test_unterminated },
    };

    return gpu_run_tests(argc, argv, "context-name", tests,
                         G_N_ELEMENTS(tests));
}
