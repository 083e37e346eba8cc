/*
 * qtest for virtio-gpu-gl: buffers that only the renderer can map
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared memory is mapped a second time.  A driver's is mapped by the renderer
 * at an address that it is told, as virglrenderer can from 1.3 on; or has a
 * region.
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/* More than there can be regions */
#define MANY 2000
#define PAGES 4

/* Nothing stays with the renderer. */
static void check_many(GPU *gpu, GPUBatch put)
{
    g_autofree uint32_t *replies = g_new(uint32_t, MANY);
    struct scripted_shared *s = gpu_shared(gpu);
    unsigned i;

    gpu_batch(gpu, put, 1, MANY, replies);
    gpu_batch(gpu, gpu_put_map_next, 1, MANY, replies);
    g_assert_cmpuint(gpu_count(replies, MANY, GRANTED), ==, MANY);
    gpu_check_path(gpu, "window");
    g_assert_cmpuint(s->maps, ==, s->unmaps);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, MANY);
    for (i = 1; i <= MANY; i += 77) {
        g_assert_cmphex(gpu_read(gpu, i * GPU_PAGE), ==, scripted_stamp(i, 0));
        gpu_write(gpu, i * GPU_PAGE + 8, i);
        g_assert_cmphex(gpu_buffer_read(gpu, i, 8), ==, i);
    }
    gpu_batch(gpu, gpu_put_unmap, 1, MANY, replies);
    g_assert_cmpuint(gpu_count(replies, MANY, OK), ==, MANY);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
    gpu_batch(gpu, gpu_put_unref, 1, MANY, replies);
}

static void test_many(void)
{
    GPU *gpu = gpu_start_plain();

    check_many(gpu, gpu_put_pointer);
    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    check_many(gpu, gpu_put_drivers);
    gpu_finish(gpu);
}

/* A buffer of some pages that the renderer maps as told */
static void check_kind(GPU *gpu, uint64_t mem, uint32_t fixed,
                       const char *path)
{
    unsigned before = gpu_count_maps(gpu, "");
    bool private = mem == SCRIPTED_MEM_PRIVATE && !strcmp(path, "region");
    bool two = mem == SCRIPTED_MEM_TWO && !strcmp(path, "region");
    unsigned i;

    g_test_message("memory %u, map_fixed %u", (unsigned)SCRIPTED_MEM(mem),
                   fixed);
    gpu_shared(gpu)->map_fixed = fixed;
    g_assert_cmphex(gpu_create(gpu, 1, POINTER | mem, PAGES * GPU_PAGE), ==,
                    OK);
    g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
    gpu_check_path(gpu, path);
    for (i = 0; i < PAGES; i++) {
        g_assert_cmphex(gpu_read(gpu, (i + 1) * GPU_PAGE), ==,
                        scripted_stamp(1, i));
    }
    gpu_write(gpu, GPU_PAGE + 8, 77);
    g_assert_cmphex(gpu_buffer_read(gpu, 1, 8), ==, private ? 0 : 77);
    /* No more of it is mapped, in the window or anywhere. */
    g_assert_cmphex(gpu_read(gpu, (PAGES + 1) * GPU_PAGE), ==, 0);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1 + two);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    while (gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME)) {
        g_usleep(1000);
    }
    g_assert_cmpuint(gpu_count_maps(gpu, ""), <=, before + 2);
}

/* What the renderer does when it is told where to map */
static void test_kinds(void)
{
    static const bool window[SCRIPTED_FIXED__MAX] = {
        [SCRIPTED_FIXED_GOOD] = true, [SCRIPTED_FIXED_LONG] = true,
    };
    GPU *gpu = gpu_start_plain();
    uint32_t how;

    for (how = 0; how < SCRIPTED_FIXED__MAX; how++) {
        check_kind(gpu, SCRIPTED_MEM_DRIVER, how,
                   window[how] ? "window" : "region");
    }
    gpu_finish(gpu);
}

/* What mremap() finds of its mapping */
static void test_memory(void)
{
    static const uint64_t others[] = {
        SCRIPTED_MEM_DRIVER, SCRIPTED_MEM_PRIVATE, SCRIPTED_MEM_TWO,
    };
    GPU *gpu = gpu_start_plain();
    size_t i;

    check_kind(gpu, SCRIPTED_MEM_SHARED, SCRIPTED_FIXED_NONE, "window");
    for (i = 0; i < G_N_ELEMENTS(others); i++) {
        check_kind(gpu, others[i], SCRIPTED_FIXED_NONE, "region");
        check_kind(gpu, others[i], SCRIPTED_FIXED_GOOD, "window");
    }
    gpu_finish(gpu);
}

/* Where another device pins all RAM; once all that was mapped is gone. */
static void pin(GPU *gpu)
{
    do {
        gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    } while (gpu_shared(gpu)->pin_refused);
}

/* A buffer is shown in a region if it cannot be in the window. */
static void test_no_memory(void)
{
    static const struct {
        uint64_t blob_id;
        uint32_t kinds;
    } rows[] = {
        { POINTER, SCRIPTED_MAP_AGAIN }, { POINTER, SCRIPTED_MOVE },
        { POINTER, SCRIPTED_MAP_RESERVE }, { POINTER, SCRIPTED_MAP_STORE },
        { DRIVERS, SCRIPTED_MAP_RESERVE }, { DRIVERS, SCRIPTED_MAP_STORE },
        { DRIVERS, SCRIPTED_MOVE },
    };
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .kernel = SCRIPTED_KERNEL_OLD,
    });
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool drivers = rows[i].blob_id == DRIVERS;

        g_test_message("%zu", i);
        gpu_shared(gpu)->map_fixed = drivers ? SCRIPTED_FIXED_GOOD
                                             : SCRIPTED_FIXED_NONE;
        /* The spare mappings are used, and are to be made again. */
        gpu_create(gpu, 1, rows[i].blob_id, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_check_path(gpu, "window");
        gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        gpu_fail(gpu, rows[i].kinds, 0, 100);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_fail(gpu, 0, 0, 0);
        gpu_check_path(gpu, "region");
        g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
        g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
        gpu_write(gpu, 0, 1);
        /* None of that counts as mapped. */
        pin(gpu);
        gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
    }
    gpu_finish(gpu);
}

/* It is like any other in the window. */
static void test_life(void)
{
    static const uint64_t ids[] = { POINTER, DRIVERS };
    GPU *gpu = gpu_start_plain();
    size_t i;

    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    for (i = 0; i < G_N_ELEMENTS(ids); i++) {
        gpu_create(gpu, 1, ids[i], GPU_PAGE);
        gpu_create(gpu, 2, ids[i], GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, BAD);
        g_assert_cmphex(gpu_map(gpu, 2, GPU_PAGE, NULL), ==, GRANTED);
        gpu_check_path(gpu, "window");

        gpu_buffer_truncate(gpu, 1, 0);
        gpu_read(gpu, 0);
        gpu_settle(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, i + 1);
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(2, 0));
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        gpu_reset(gpu);
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(2, 0));
    }
    gpu_finish(gpu);
}

/* Where a device pins all RAM, it has a region, as any buffer. */
static void test_pinned(void)
{
    static const uint64_t ids[] = { POINTER, DRIVERS };
    GPU *gpu = gpu_start_plain();
    size_t i;

    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    pin(gpu);
    for (i = 0; i < G_N_ELEMENTS(ids); i++) {
        gpu_create(gpu, 1, ids[i], GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_check_path(gpu, "region");
        g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
        g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
        gpu_unref(gpu, 1);
        while (gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME)) {
            g_usleep(1000);
        }
    }
    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "many", test_many },
        { "kinds", test_kinds },
        { "memory", test_memory },
        { "no-memory", test_no_memory },
        { "life", test_life },
        { "pinned", test_pinned },
    };

    return gpu_run_tests(argc, argv, "fixed", tests, G_N_ELEMENTS(tests));
}
