/*
 * qtest for virtio-gpu-gl: buffers that only the renderer can map
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The renderer maps them where it is told to, as from virglrenderer 1.3 on.
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-gpu-gl-client.h"

#define MANY 1000
#define PAGES 3

static void check_path(GPU *gpu, const char *path)
{
    QList *maps = qobject_to(QList, gpu_property(gpu, "blob-maps"));
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(maps, e) {
        g_assert_cmpstr(qdict_get_str(qobject_to(QDict, qlist_entry_obj(e)),
                                      "path"), ==, path);
    }
    qobject_unref(maps);
}

/* More than there can be regions, and nothing is lent by the renderer. */
static void test_many(void)
{
    g_autofree uint32_t *replies = g_new(uint32_t, MANY);
    GPU *gpu = gpu_start_plain();
    unsigned i;

    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    gpu_batch(gpu, gpu_put_pointer, 1, MANY, replies);
    gpu_batch(gpu, gpu_put_map_next, 1, MANY, replies);
    g_assert_cmpuint(gpu_count(replies, MANY, GRANTED), ==, MANY);
    check_path(gpu, "window");
    g_assert_cmpuint(gpu_shared(gpu)->maps, ==, 0);
    for (i = 1; i <= MANY; i += 77) {
        g_assert_cmphex(gpu_read(gpu, i * GPU_PAGE), ==, scripted_stamp(i, 0));
        gpu_write(gpu, i * GPU_PAGE + 8, i);
        g_assert_cmphex(gpu_buffer_read(gpu, i, 8), ==, i);
    }
    gpu_batch(gpu, gpu_put_unmap, 1, MANY, replies);
    g_assert_cmpuint(gpu_count(replies, MANY, OK), ==, MANY);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
    gpu_batch(gpu, gpu_put_unref, 1, MANY, replies);
    gpu_finish(gpu);
}

/* Where the renderer does anything else, a region shows what it lends. */
static void test_kinds(void)
{
    static const bool window[SCRIPTED_FIXED__MAX] = {
        [SCRIPTED_FIXED_GOOD] = true, [SCRIPTED_FIXED_LONG] = true,
    };
    GPU *gpu = gpu_start_plain();
    uint32_t how;

    for (how = 0; how < SCRIPTED_FIXED__MAX; how++) {
        unsigned before = gpu_count_maps(gpu, "");

        gpu_shared(gpu)->map_fixed = how;
        g_test_message("%u", how);
        gpu_create(gpu, 1, POINTER, PAGES * GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
        check_path(gpu, window[how] ? "window" : "region");
        g_assert_cmphex(gpu_read(gpu, PAGES * GPU_PAGE), ==,
                        scripted_stamp(1, PAGES - 1));
        gpu_write(gpu, GPU_PAGE + 8, 77);
        g_assert_cmphex(gpu_buffer_read(gpu, 1, 8), ==, 77);
        /* No more of it shows, nor is left anywhere. */
        g_assert_cmphex(gpu_read(gpu, (PAGES + 1) * GPU_PAGE), ==, 0);
        g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
        g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
        g_assert_cmpuint(gpu_count_maps(gpu, ""), <=, before + 2);
    }
    gpu_finish(gpu);
}

/* What the host cannot do is not held against the guest. */
static void test_no_memory(void)
{
    static const uint32_t kinds[] = { SCRIPTED_MAP_RESERVE, SCRIPTED_MAP_STORE };
    GPU *gpu = gpu_start_plain();
    size_t i;

    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        /* The store is spent, and has to be filled. */
        gpu_create(gpu, 1, POINTER, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        gpu_fail(gpu, kinds[i], 0, 100);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_fail(gpu, 0, 0, 0);
        check_path(gpu, "region");
        g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
        gpu_unref(gpu, 1);
        /* The window is empty: who needs all memory pinned may come. */
        gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
        gpu_create(gpu, 2, SCRIPTED_SHM, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, GRANTED);
        check_path(gpu, "region");
        gpu_unref(gpu, 2);
        gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
        while (gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME)) {
            g_usleep(1000);
        }
    }
    gpu_finish(gpu);
}

/* It is like any other in the window. */
static void test_life(void)
{
    GPU *gpu = gpu_start_plain();

    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    gpu_create(gpu, 1, POINTER, GPU_PAGE);
    gpu_create(gpu, 2, POINTER, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 2, GPU_PAGE, NULL), ==, GRANTED);
    /* No device reaches it. */
    g_assert_cmpuint(gpu_shared(gpu)->watched, ==, 0);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);

    gpu_buffer_truncate(gpu, 1, 0);
    gpu_read(gpu, 0);
    gpu_settle(gpu);
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, 1);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(2, 0));
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    gpu_reset(gpu);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(2, 0));
    gpu_finish(gpu);
}

/* Whoever needs all memory pinned has a region, as with any buffer. */
static void test_pinned(void)
{
    GPU *gpu = gpu_start_plain();

    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    gpu_create(gpu, 1, POINTER, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    check_path(gpu, "region");
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
    gpu_unref(gpu, 1);
    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "many", test_many },
        { "kinds", test_kinds },
        { "no-memory", test_no_memory },
        { "life", test_life },
        { "pinned", test_pinned },
    };

    return gpu_run_tests(argc, argv, "fixed", tests, G_N_ELEMENTS(tests));
}
