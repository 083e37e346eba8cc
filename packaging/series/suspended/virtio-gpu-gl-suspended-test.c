/*
 * qtest for virtio-gpu-gl: a suspended command with a fence
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/*
 * The renderer's own mapping has a memory region of its own, so that its unmap
 * is suspended.
 */
static void test_fenced(void)
{
    GPU *gpu = gpu_start_plain();

    g_assert_cmphex(gpu_create(gpu, 1, DRIVERS, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_take(gpu, gpu_put_fenced(
                        gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1, 5)),
                    ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_take(gpu, gpu_put_fenced(
                        gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1, 6)),
                    ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD_ID);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "fenced", .alone = test_fenced },
    };

    return gpu_run_tests(argc, argv, "suspended", tests, G_N_ELEMENTS(tests));
}
