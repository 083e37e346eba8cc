/*
 * qtest for virtio-gpu-gl: fences that are refused or have high ids
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

/* The device's fences, and those of a context that does not exist */
static void test_refused(void)
{
    const struct virtio_gpu_ctrl_hdr cmd = {
        .type = cpu_to_le32(VIRTIO_GPU_CMD_CTX_DESTROY),
        .flags = cpu_to_le32(VIRTIO_GPU_FLAG_FENCE |
                             VIRTIO_GPU_FLAG_INFO_RING_IDX),
        .fence_id = cpu_to_le64(7),
        .ctx_id = cpu_to_le32(9),
    };
    struct virtio_gpu_ctrl_hdr reply;
    GPU *gpu = gpu_start_plain();

    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
    gpu->shared->refuse = SCRIPTED_REFUSE_FENCE;
    g_assert_cmphex(gpu_take(gpu, gpu_put_fenced(
                        gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1, 5)),
                    >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
    gpu->shared->refuse = 0;
    g_assert_cmphex(gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply)),
                    >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
    gpu_stop(gpu);
}

/* The renderer has 32 bits of an id. */
static void test_high_ids(void)
{
    static const uint64_t ids[] = {
        UINT32_MAX, 1ull << 32, (1ull << 32) + 1, UINT64_MAX,
    };
    GPU *gpu = gpu_start_plain();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_take(gpu, gpu_put_fenced(
                            gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1, ids[i])),
                        ==, OK);
    }
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "refused", .alone = test_refused },
        { "high-ids", .alone = test_high_ids },
    };

    return gpu_run_tests(argc, argv, "fences", tests, G_N_ELEMENTS(tests));
}
