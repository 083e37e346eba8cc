/*
 * qtest for virtio-gpu-gl: the client and the scripted renderer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/* Creates a blob, maps it, and unmaps it. */
static void test_map_and_unmap(void)
{
    GPU *gpu = gpu_start_plain();
    const uint64_t offset = 3 * GPU_PAGE;
    uint32_t map_info;

    g_assert_cmphex(gpu_create(gpu, 7, BUFFER, 4 * GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 7, offset, &map_info), ==, GRANTED);
    g_assert_cmphex(map_info, ==, VIRTIO_GPU_MAP_CACHE_CACHED);
    g_assert_cmphex(gpu_read(gpu, offset), ==, scripted_stamp(7, 0));
    gpu_write(gpu, offset + 16, 0x1234567890abcdefull);
    g_assert_cmphex(gpu_buffer_read(gpu, 7, 16), ==, 0x1234567890abcdefull);
    g_assert_cmphex(gpu_unmap(gpu, 7), ==, OK);
    g_assert_cmphex(gpu_read(gpu, offset), !=, scripted_stamp(7, 0));
    g_assert_cmphex(gpu_unref(gpu, 7), ==, OK);
    g_assert_cmpuint(gpu->shared->faults, ==, 0);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "map-and-unmap", .alone = test_map_and_unmap },
    };

    return gpu_run_tests(argc, argv, "client", tests, G_N_ELEMENTS(tests));
}
