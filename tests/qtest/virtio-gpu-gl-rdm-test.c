/*
 * qtest for virtio-gpu-gl: those who look at guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-gpu-gl-client.h"

#define REGIONS_MAX 256
/* Memory that stays where it is, and is announced */
#define STAYS SCRIPTED_SHM
#define MOVES CACHED_BUF

static unsigned put_staying(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, STAYS | SCRIPTED_ONE_BUFFER, GPU_PAGE);
}

/* It is there before it is announced, and goes after that was announced. */
static void test_order(void)
{
    GPU *gpu = gpu_start_plain();
    struct scripted_shared *s = gpu_shared(gpu);

    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    gpu_create(gpu, 1, STAYS, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmpuint(s->populates, ==, 1);
    g_assert_cmphex(s->saw, ==, scripted_stamp(1, 0));

    /* One that cannot go is announced as gone, and as there again. */
    s->saw = 0;
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 100);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, NO_MEMORY);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_cmpuint(s->discards, ==, 1);
    g_assert_cmpuint(s->populates, ==, 2);
    g_assert_cmphex(s->saw, ==, scripted_stamp(1, 0));

    s->saw = 0;
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmpuint(s->discards, ==, 2);
    g_assert_cmphex(s->saw, ==, scripted_stamp(1, 0));
    g_assert_cmphex(gpu_read(gpu, 0), ==, 0);

    /* So it is with a resource that goes, and with a reset. */
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    s->saw = 0;
    gpu_unref(gpu, 1);
    g_assert_cmphex(s->saw, ==, scripted_stamp(1, 0));
    gpu_create(gpu, 2, STAYS, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, GRANTED);
    s->saw = 0;
    gpu_reset(gpu);
    g_assert_cmphex(s->saw, ==, scripted_stamp(2, 0));
    g_assert_cmpuint(s->discards, ==, 4);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_finish(gpu);
}

static void test_watcher(void)
{
    struct scripted_shared *s;
    GPU *gpu = gpu_start_plain();

    s = gpu_shared(gpu);
    gpu_create(gpu, 1, STAYS, 4 * GPU_PAGE);
    gpu_create(gpu, 2, STAYS, 2 * GPU_PAGE);
    gpu_map(gpu, 1, 0, NULL);

    /* Who comes later is told what is there already. */
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(s->populates, ==, 1);
    g_assert_cmpuint(s->watched, ==, 4 * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 2, 8 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmpuint(s->watched, ==, 6 * GPU_PAGE);
    gpu_unmap(gpu, 1);
    g_assert_cmpuint(s->watched, ==, 2 * GPU_PAGE);
    g_assert_cmpuint(s->discards, ==, 1);

    gpu_watch(gpu, SCRIPTED_WATCH_ASK, 8 * GPU_PAGE);
    g_assert_cmpuint(s->granularity, ==, WINDOW);
    g_assert_cmpuint(s->populated, ==, 2 * GPU_PAGE);
    g_assert_cmpuint(s->discarded, ==, WINDOW - 2 * GPU_PAGE);
    /* Who asks, and does not listen, cannot be told that it goes. */
    g_assert_cmpuint(s->is_populated, ==, 0);

    /* Who goes gives back what it holds. */
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    g_assert_cmpuint(s->watched, ==, 0);
    gpu_map(gpu, 1, 10 * GPU_PAGE, NULL);
    g_assert_cmpuint(s->watched, ==, 0);

    /* Neighbours go one by one. */
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(s->watched, ==, 6 * GPU_PAGE);
    gpu_unmap(gpu, 1);
    g_assert_cmpuint(s->watched, ==, 2 * GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_map(gpu, 1, 0, NULL);

    /* Half of the window is another's business. */
    gpu_watch(gpu, SCRIPTED_WATCH_HALF, 0x10000);
    g_assert_cmpuint(s->watched, ==, 0);
    gpu_unmap(gpu, 1);
    gpu_map(gpu, 1, WINDOW / 2 - 2 * GPU_PAGE, NULL);
    g_assert_cmpuint(s->watched, ==, 2 * GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0x10000);
    g_assert_cmpuint(s->watched, ==, 0);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_finish(gpu);
}

static void check_path(GPU *gpu, const char *path)
{
    QObject *maps = gpu_property(gpu, "blob-maps");
    QList *list = qobject_to(QList, maps);
    QDict *first = qobject_to(QDict, qlist_peek(list));

    g_assert_cmpstr(qdict_get_str(first, "path"), ==, path);
    qobject_unref(maps);
}

/* Where the watcher cannot follow, the blob is shown all the same. */
static void test_watcher_refuses(void)
{
    struct scripted_shared *s;
    GPU *gpu = gpu_start_plain();

    s = gpu_shared(gpu);
    gpu_create(gpu, 1, STAYS, 4 * GPU_PAGE);
    gpu_create(gpu, 2, STAYS, 4 * GPU_PAGE);
    gpu_map(gpu, 2, 16 * GPU_PAGE, NULL);
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(s->watched, ==, 4 * GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_REFUSE, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    check_path(gpu, "region");
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
    g_assert_cmpuint(s->watched, ==, 4 * GPU_PAGE);
    g_assert_cmpuint(s->maps, ==, 0);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));

    /* The first of two is told that it did not work out with the other. */
    gpu_watch(gpu, SCRIPTED_WATCH_ALLOW, 0);
    gpu_watch(gpu, SCRIPTED_WATCH_LAST, 0x20000);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    check_path(gpu, "region");
    g_assert_cmpuint(s->watched, ==, 4 * GPU_PAGE);
    gpu_unmap(gpu, 1);
    gpu_watch(gpu, SCRIPTED_WATCH_LAST_OFF, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    check_path(gpu, "window");
    g_assert_cmpuint(s->watched, ==, 8 * GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_finish(gpu);
}

/* What may move is nobody's to know, and is in the window all the same. */
static void test_unannounced(void)
{
    struct scripted_shared *s;
    GPU *gpu = gpu_start_plain();

    s = gpu_shared(gpu);
    gpu_create(gpu, 1, MOVES, 4 * GPU_PAGE);
    gpu_create(gpu, 2, STAYS, 2 * GPU_PAGE);
    gpu_map(gpu, 1, 0, NULL);
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(s->watched, ==, 0);
    g_assert_cmphex(gpu_map(gpu, 2, 8 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmpuint(s->watched, ==, 2 * GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_ASK, 0);
    g_assert_false(s->is_populated);
    g_assert_cmpuint(s->populated, ==, 2 * GPU_PAGE);
    gpu_unmap(gpu, 1);
    gpu_watch(gpu, SCRIPTED_WATCH_REFUSE, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    check_path(gpu, "window");
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
    g_assert_cmpuint(s->watched, ==, 2 * GPU_PAGE);
    /* A buffer that cannot be taken out is not announced on that way. */
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, NO_MEMORY);
    g_assert_cmpuint(s->watched, ==, 2 * GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_finish(gpu);
}

/* Memory in a region of its own is nobody's to know either. */
static void test_region(void)
{
    struct scripted_shared *s;
    GPU *gpu = gpu_start_plain();

    s = gpu_shared(gpu);
    gpu_create(gpu, 1, POINTER, 3 * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    check_path(gpu, "region");
    gpu_watch(gpu, SCRIPTED_WATCH_ASK, 0);
    g_assert_false(s->is_populated);
    g_assert_cmpuint(s->populated, ==, 0);
    g_assert_cmpuint(s->discarded, ==, 3 * GPU_PAGE);
    /* A power of two, as those who listen want it */
    g_assert_cmpuint(s->granularity, ==, 4 * GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(s->watched, ==, 0);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* What VFIO can follow: VIRTIO_GPU_BLOB_LISTENED_MAX */
#define LISTENED_MAX 32768

/* VFIO has a limited number of mappings. */
static void test_watcher_limit(void)
{
    g_autofree uint32_t *replies = g_new(uint32_t, LISTENED_MAX);
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = 512 * GPU_MIB });
    const uint32_t more = LISTENED_MAX + 1;

    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    gpu_batch(gpu, put_staying, 1, LISTENED_MAX, replies);
    gpu_batch(gpu, gpu_put_map_next, 1, LISTENED_MAX, replies);
    g_assert_cmpuint(gpu_count(replies, LISTENED_MAX, GRANTED), ==,
                     LISTENED_MAX);
    check_path(gpu, "window");
    gpu_create(gpu, more, STAYS, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, more, 256 * GPU_MIB, NULL), ==, GRANTED);
    check_path(gpu, "region");
    gpu_unmap(gpu, more);
    /* Of what has no fd, no device is told. */
    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_GOOD;
    gpu_create(gpu, more + 2, POINTER, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, more + 2, 256 * GPU_MIB, NULL), ==, GRANTED);
    check_path(gpu, "window");
    gpu_unref(gpu, more + 2);
    gpu_shared(gpu)->map_fixed = SCRIPTED_FIXED_NONE;
    /* No room for a region either */
    gpu_create(gpu, more + 1, STAYS | SCRIPTED_MMAP_ENOMEM, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, more + 1, 256 * GPU_MIB, NULL), ==,
                    NO_MEMORY);

    /* Who comes when there are more is told of none of them. */
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    g_assert_cmphex(gpu_map(gpu, more, 256 * GPU_MIB, NULL), ==, GRANTED);
    check_path(gpu, "window");
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(gpu_shared(gpu)->watched, ==, 0);
    gpu_unmap(gpu, more);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_reset(gpu);
    gpu_finish(gpu);
}

/* Step by step, one takes the other's place, and then the other its. */
static unsigned put_swap(GPU *gpu, uint32_t step)
{
    switch (step % 4) {
    case 0:
        return gpu_put_unmap(gpu, 1);
    case 1:
        return gpu_put_map(gpu, 2, 0);
    case 2:
        return gpu_put_unmap(gpu, 2);
    default:
        return gpu_put_map(gpu, 1, 0);
    }
}

/* However often a place changed hands, there is one buffer in it. */
static void test_watcher_late(void)
{
    const unsigned n = 2 * (LISTENED_MAX + 2);
    g_autofree uint32_t *replies = g_new(uint32_t, n);
    GPU *gpu = gpu_start_plain();

    gpu_create(gpu, 1, STAYS, GPU_PAGE);
    gpu_create(gpu, 2, STAYS, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_batch(gpu, put_swap, 0, n, replies);
    g_assert_cmpuint(gpu_count(replies, n, GRANTED), ==, n / 2);
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(gpu_shared(gpu)->watched, ==, GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_finish(gpu);
}

/* Somebody needs all memory to stay where it is. */
static void test_pinned(void)
{
    uint32_t replies[REGIONS_MAX + 1];
    GPU *gpu = gpu_start_plain();

    gpu_create(gpu, 1000, STAYS, GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    g_assert_cmphex(gpu_map(gpu, 1000, 0, NULL), ==, GRANTED);
    check_path(gpu, "region");
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1000, 0));
    gpu_unmap(gpu, 1000);

    gpu_batch(gpu, put_staying, 1, REGIONS_MAX + 1, replies);
    gpu_batch(gpu, gpu_put_map_next, 1, REGIONS_MAX + 1, replies);
    g_assert_cmpuint(gpu_count(replies, REGIONS_MAX, GRANTED), ==, REGIONS_MAX);
    g_assert_cmphex(replies[REGIONS_MAX], ==, NO_MEMORY);
    gpu_reset(gpu);

    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
    gpu_create(gpu, 1000, STAYS, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1000, 0, NULL), ==, GRANTED);
    check_path(gpu, "window");
    gpu_unref(gpu, 1000);
    gpu_finish(gpu);
}

/* A dump holds what is mapped, and no holes. */
static void test_dump(void)
{
    const uint64_t far = 4096 * GPU_MIB;
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = 8192 * GPU_MIB });
    g_autofree char *file = NULL, *uri = NULL, *text = NULL;
    uint64_t before, stamp = scripted_stamp(2, 1);
    int fd = g_file_open_tmp("dump-XXXXXX", &file, NULL);
    gsize len;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    gpu_create(gpu, 1, STAYS, 2 * GPU_PAGE);
    gpu_create(gpu, 2, STAYS, 2 * GPU_PAGE);
    gpu_map(gpu, 1, 0, NULL);
    gpu_map(gpu, 2, far, NULL);
    before = gpu_memory(gpu);
    uri = g_strdup_printf("file:%s", file);
    qtest_qmp_assert_success(gpu_qts(gpu), "{ 'execute': 'dump-guest-memory',"
                             " 'arguments': { 'paging': false,"
                             " 'protocol': %s } }", uri);
    g_assert_true(g_file_get_contents(file, &text, &len, NULL));
    unlink(file);
    g_test_message("%zu bytes", (size_t)len);
    g_assert_cmpuint(len, <, 256 * GPU_MIB);
    g_assert_nonnull(memmem(text, len, &stamp, sizeof(stamp)));
    g_assert_cmpuint(gpu_memory(gpu), <=, before + 16 * GPU_MIB);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "order", test_order },
        { "watcher", test_watcher },
        { "watcher-refuses", test_watcher_refuses },
        { "unannounced", test_unannounced },
        { "region", test_region },
        { "watcher-limit", test_watcher_limit },
        { "watcher-late", test_watcher_late },
        { "pinned", test_pinned },
        { "dump", test_dump },
    };

    return gpu_run_tests(argc, argv, "rdm", tests, G_N_ELEMENTS(tests));
}
