/*
 * qtest for virtio-gpu-gl: the life of a blob
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

static void test_map_and_unmap(void)
{
    GPU *gpu = gpu_start_plain();
    const uint64_t offset = 3 * GPU_PAGE;
    uint32_t map_info;

    g_assert_cmphex(gpu_window_length(gpu), ==, 64 * GPU_MIB);
    g_assert_cmphex(gpu_create(gpu, 7, SCRIPTED_SHM | SCRIPTED_WORD_CACHED,
                               4 * GPU_PAGE), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(gpu_map(gpu, 7, offset, &map_info), ==,
                    VIRTIO_GPU_RESP_OK_MAP_INFO);
    g_assert_cmphex(map_info, ==, VIRTIO_GPU_MAP_CACHE_CACHED);

    g_assert_cmphex(gpu_read(gpu, offset), ==, scripted_stamp(7, 0));
    g_assert_cmphex(gpu_read(gpu, offset + 3 * GPU_PAGE), ==,
                    scripted_stamp(7, 3));
    gpu_write(gpu, offset + 16, 0x1234567890abcdefull);
    g_assert_cmphex(gpu_buffer_read(gpu, 7, 16), ==, 0x1234567890abcdefull);

    g_assert_cmphex(gpu_unmap(gpu, 7), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(gpu_read(gpu, offset), !=, scripted_stamp(7, 0));
    g_assert_cmphex(gpu_unref(gpu, 7), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
    g_assert_cmpuint(gpu_count_fds(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
    g_assert_cmpuint(gpu_shared(gpu)->faults, ==, 0);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "map-and-unmap", test_map_and_unmap },
    };

    return gpu_run_tests(argc, argv, "blob", tests, G_N_ELEMENTS(tests));
}
