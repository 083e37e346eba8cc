/*
 * qtest for virtio-gpu-gl: what those who do DMA are told of the window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * No buffer of a GPU is memory that stays where it is: nothing is ever there.
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

static const struct {
    const char *name;
    uint64_t blob_id;
    const char *path;
} kinds[] = {
    { "shm", SCRIPTED_SHM | SCRIPTED_SEALED, "window" },
    { "dma-buf", BUFFER, "window" },
    { "pointer", POINTER, "window" },
    { "driver's", DRIVERS, "region" },
};

static void map_new(GPU *gpu, uint32_t id, uint64_t blob_id, uint64_t offset)
{
    g_assert_cmphex(gpu_create(gpu, id, blob_id, 2 * GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, id, offset, NULL), ==, GRANTED);
}

static void check_nothing_there(GPU *gpu, uint64_t offset, uint64_t length)
{
    struct scripted_shared *s = gpu_shared(gpu);

    gpu_watch(gpu, SCRIPTED_WATCH_ASK, offset);
    g_assert_false(s->is_populated);
    g_assert_cmpuint(s->populated, ==, 0);
    g_assert_cmpuint(s->discarded, ==, length);
    g_assert_cmpuint(s->granularity, ==, GPU_PAGE);
    g_assert_true(s->is_protected);
}

/* Neither one that asks nor one that listens is told of a buffer. */
static void test_empty(void)
{
    GPU *gpu = gpu_start_plain();
    struct scripted_shared *s = gpu_shared(gpu);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        bool region = !strcmp(kinds[i].path, "region");

        g_test_message("%s", kinds[i].name);
        map_new(gpu, 1, kinds[i].blob_id, 0);
        gpu_check_path(gpu, kinds[i].path);
        check_nothing_there(gpu, 0, region ? 2 * GPU_PAGE : WINDOW);
        gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
        map_new(gpu, 2, kinds[i].blob_id, 4 * GPU_PAGE);
        g_assert_cmphex(gpu_unmap(gpu, 2), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 2, 4 * GPU_PAGE, NULL), ==, GRANTED);
        gpu_buffer_truncate(gpu, 2, 0);
        gpu_write(gpu, 4 * GPU_PAGE, 1);
        gpu_settle(gpu);
        gpu_unref(gpu, 2);
        gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
        g_assert_cmpuint(s->populates, ==, 0);
        g_assert_cmpuint(s->discards, ==, 0);
        gpu_unref(gpu, 1);
        check_nothing_there(gpu, 0, WINDOW);
    }
    gpu_finish(gpu);
}

static bool try_to_pin(GPU *gpu)
{
    gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    return !gpu_shared(gpu)->pin_refused;
}

/* A region goes when RCU's readers are done. */
static void pin(GPU *gpu)
{
    while (!try_to_pin(gpu)) {
        g_usleep(1000);
    }
}

static void unpin(GPU *gpu)
{
    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
}

/* A driver that pins all RAM cannot come while anything is mapped. */
static void test_required(void)
{
    GPU *gpu = gpu_start_plain();
    size_t i;

    g_assert_true(try_to_pin(gpu));
    unpin(gpu);
    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_test_message("%s", kinds[i].name);
        map_new(gpu, 1, kinds[i].blob_id, 0);
        map_new(gpu, 2, kinds[i].blob_id, 4 * GPU_PAGE);
        g_assert_false(try_to_pin(gpu));
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        g_assert_false(try_to_pin(gpu));
        /* One that is not mapped in the end does not count. */
        gpu_create(gpu, 3, BUFFER | SCRIPTED_MMAP_ENODEV, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 3, 0, NULL), ==, UNSPEC);
        gpu_unref(gpu, 3);
        gpu_unref(gpu, 1);
        if (i % 2) {
            gpu_unref(gpu, 2);
        } else {
            gpu_reset(gpu);
        }
        pin(gpu);
        unpin(gpu);
    }
    gpu_finish(gpu);
}

/* Where it came first, blobs have regions whose DMA is bounced. */
static void test_pinned(void)
{
    GPU *gpu = gpu_start_plain();
    size_t i;

    pin(gpu);
    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_test_message("%s", kinds[i].name);
        map_new(gpu, 1, kinds[i].blob_id, 0);
        gpu_check_path(gpu, "region");
        g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
        gpu_write(gpu, 8, 77);
        g_assert_cmphex(gpu_buffer_read(gpu, 1, 8), ==, 77);
        check_nothing_there(gpu, 0, 2 * GPU_PAGE);
        g_assert_true(gpu_shared(gpu)->is_ram_device);
        gpu_unref(gpu, 1);
    }

    unpin(gpu);
    map_new(gpu, 1, SCRIPTED_SHM, 0);
    gpu_check_path(gpu, "window");
    check_nothing_there(gpu, 0, WINDOW);
    g_assert_false(gpu_shared(gpu)->is_ram_device);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* A dump has nothing of the window, and does not make QEMU grow. */
static void test_dump(void)
{
    const uint64_t far = 4096 * GPU_MIB;
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = 8192 * GPU_MIB });
    g_autofree char *file = NULL, *uri = NULL, *text = NULL;
    int fd = g_file_open_tmp("dump-XXXXXX", &file, NULL);
    uint64_t before;
    gsize len;
    size_t i;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        map_new(gpu, i + 1, kinds[i].blob_id, far + 2 * i * GPU_PAGE);
    }
    before = gpu_memory(gpu);
    uri = g_strdup_printf("file:%s", file);
    qtest_qmp_assert_success(gpu_qts(gpu), "{ 'execute': 'dump-guest-memory',"
                             " 'arguments': { 'paging': false,"
                             " 'protocol': %s } }", uri);
    g_assert_true(g_file_get_contents(file, &text, &len, NULL));
    unlink(file);
    g_test_message("%zu bytes", (size_t)len);
    g_assert_cmpuint(len, <, 256 * GPU_MIB);
    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        uint64_t stamp = scripted_stamp(i + 1, 1);

        g_assert_null(memmem(text, len, &stamp, sizeof(stamp)));
        gpu_unref(gpu, i + 1);
    }
    g_assert_cmpuint(gpu_memory(gpu), <=, before + 16 * GPU_MIB);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "empty", test_empty },
        { "required", test_required },
        { "pinned", test_pinned },
        { "dump", test_dump },
    };

    return gpu_run_tests(argc, argv, "dma", tests, G_N_ELEMENTS(tests));
}
