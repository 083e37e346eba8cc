/*
 * qtest for virtio-gpu-gl: a renderer that does not start
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

static uint32_t ask(GPU *gpu, uint32_t type)
{
    const struct virtio_gpu_ctrl_hdr cmd = { .type = cpu_to_le32(type) };
    struct virtio_gpu_resp_display_info reply;

    return gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply));
}

/* All commands are answered, and a reset starts the renderer again. */
static void test_start(void)
{
    GPU *gpu = gpu_start_plain();

    gpu->shared->refuse = SCRIPTED_REFUSE_START;
    g_assert_cmphex(ask(gpu, VIRTIO_GPU_CMD_GET_DISPLAY_INFO), ==,
                    VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, UNSPEC);
    g_assert_cmphex(gpu_take(gpu, gpu_put_fenced(
                        gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1, 5)),
                    ==, UNSPEC);
    gpu_reset(gpu);
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, UNSPEC);
    gpu->shared->refuse = 0;
    gpu_reset(gpu);
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "start", .alone = test_start },
    };

    return gpu_run_tests(argc, argv, "renderer-start", tests,
                         G_N_ELEMENTS(tests));
}
