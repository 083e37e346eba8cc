/*
 * qtest for virtio-gpu-gl: many blobs in the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/* With a memory region each, QEMU would abort at 4096 sections. */
#define BLOBS 6000

static void map(GPU *gpu, uint32_t id, ScriptedBlob blob)
{
    g_assert_cmphex(gpu_create(gpu, id, blob, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, id, 2 * id * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, 2 * id * GPU_PAGE), ==,
                    scripted_stamp(id, 0));
}

/* Between the blobs and in place of them, the guest finds memory. */
static void check_hole(GPU *gpu, uint64_t offset)
{
    gpu_write(gpu, offset, 0x1234);
    g_assert_cmphex(gpu_read(gpu, offset), ==, 0x1234);
}

static void test_many(void)
{
    GPU *gpu = gpu_start_plain();
    uint32_t id;

    for (id = 1; id <= BLOBS; id++) {
        map(gpu, id, BUFFER);
    }
    g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), ==, scripted_stamp(1, 0));
    check_hole(gpu, 3 * GPU_PAGE);
    for (id = 1; id <= BLOBS; id++) {
        g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, id), ==, OK);
    }
    check_hole(gpu, 2 * GPU_PAGE);
    gpu_stop(gpu);
}

/* The renderer's memory: shared, and a driver's, which takes a region */
static void test_renderer(void)
{
    GPU *gpu = gpu_start_plain();

    map(gpu, 1, POINTER);
    map(gpu, 2, DRIVERS);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    check_hole(gpu, 2 * GPU_PAGE);
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    check_hole(gpu, 4 * GPU_PAGE);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "many", .alone = test_many },
        { "renderer", .alone = test_renderer },
    };

    return gpu_run_tests(argc, argv, "blobs", tests, G_N_ELEMENTS(tests));
}
