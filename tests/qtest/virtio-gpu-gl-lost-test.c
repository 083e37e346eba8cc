/*
 * qtest for virtio-gpu-gl: buffers that lose their pages while mapped
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-gpu-gl-client.h"

#define REVOKED "its backing memory was revoked"

#define PAGES 4

/* What cannot be sealed any more may be truncated. */
#define LOOSE_SHM (SCRIPTED_SHM | SCRIPTED_SEALED)

typedef struct Kind {
    const char *name;
    uint64_t blob_id;
    const char *path;
} Kind;

static const Kind kinds[] = {
    { "shm", LOOSE_SHM, "window" },
    { "dmabuf", BUFFER, "window" },
    { "pointer", POINTER, "window" },
    { "driver's", DRIVERS, "region" },
};

static void map_new(GPU *gpu, uint32_t id, uint64_t blob_id, uint64_t offset)
{
    g_assert_cmphex(gpu_create(gpu, id, blob_id, PAGES * GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, id, offset, NULL), ==, GRANTED);
}

/* Is the mapping lost, as blob-maps shows it? */
static bool is_lost(GPU *gpu, uint32_t id, const char *path)
{
    QList *maps = qobject_to(QList, gpu_property(gpu, "blob-maps"));
    const QListEntry *e;
    bool found = false, lost = false;

    QLIST_FOREACH_ENTRY(maps, e) {
        const QDict *map = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_int(map, "resource") == id) {
            found = true;
            lost = qdict_get_bool(map, "lost");
            g_assert_cmpstr(qdict_get_str(map, "path"), ==, path);
        }
    }
    g_assert_true(found);
    qobject_unref(maps);
    return lost;
}

/* The access goes on, on other pages; all else stays as it was. */
static void check_lost(GPU *gpu, const Kind *kind, uint64_t at)
{
    uint64_t lost = gpu_stat(gpu, "lost");

    map_new(gpu, 1, kind->blob_id, at);
    map_new(gpu, 2, kind->blob_id, at + PAGES * GPU_PAGE);
    gpu_buffer_truncate(gpu, 1, GPU_PAGE);
    g_assert_false(is_lost(gpu, 1, kind->path));
    gpu_read(gpu, at + 2 * GPU_PAGE);
    gpu_write(gpu, at + 2 * GPU_PAGE, 0x1234);
    g_assert_cmphex(gpu_read(gpu, at + 2 * GPU_PAGE), ==, 0x1234);
    gpu_settle(gpu);
    g_assert_true(is_lost(gpu, 1, kind->path));
    g_assert_false(is_lost(gpu, 2, kind->path));
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, lost + 1);
    g_assert_cmphex(gpu_read(gpu, at + PAGES * GPU_PAGE), ==,
                    scripted_stamp(2, 0));
}

static void test_access(void)
{
    GPU *gpu = gpu_start_plain();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_test_message("%s", kinds[i].name);
        check_lost(gpu, &kinds[i], 16 * GPU_PAGE);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        /* A renderer's own memory may be new by then. */
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==,
                        SCRIPTED_BACKING(kinds[i].blob_id) ? UNSPEC : GRANTED);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
        /* The place is free, and shows what comes next. */
        map_new(gpu, 3, kinds[i].blob_id, 16 * GPU_PAGE);
        g_assert_cmphex(gpu_read(gpu, 16 * GPU_PAGE), ==,
                        scripted_stamp(3, 0));
        g_assert_false(is_lost(gpu, 3, kinds[i].path));
        gpu_unref(gpu, 2);
        gpu_unref(gpu, 3);
    }
    gpu_finish(gpu);
}

/* What is kept for that makes room for what shows in its place. */
static void test_no_memory(void)
{
    GPU *gpu = gpu_start_plain();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_test_message("%s", kinds[i].name);
        map_new(gpu, 1, kinds[i].blob_id, 0);
        gpu_buffer_truncate(gpu, 1, GPU_PAGE);
        gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
        g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), ==, 0);
        g_assert_cmpuint(gpu_shared(gpu)->fail.count, ==, 0);
        g_assert_true(is_lost(gpu, 1, kinds[i].path));
        gpu_unref(gpu, 1);
    }
    gpu_finish(gpu);
}

/* With its resource, or with a reset, it goes as any other. */
static void test_ends(void)
{
    GPU *gpu = gpu_start_plain();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_test_message("%s", kinds[i].name);
        check_lost(gpu, &kinds[i], 0);
        gpu_unref(gpu, 1);
        gpu_unref(gpu, 2);
        check_lost(gpu, &kinds[i], 0);
        gpu_reset(gpu);
        check_lost(gpu, &kinds[i], 0);
        gpu_system_reset(gpu);
    }
    gpu_finish(gpu);
}

/* One that goes with the command that follows is counted all the same. */
static void test_counted(void)
{
    GPU *gpu = gpu_start_plain();

    map_new(gpu, 1, BUFFER, 0);
    gpu_buffer_truncate(gpu, 1, 0);
    gpu_write(gpu, 0, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, 1);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* What the monitor reads, and so what a dump does, goes on too. */
static void test_monitor(void)
{
    GPU *gpu = gpu_start_plain();
    g_autofree char *path = NULL, *text = NULL;
    int fd = g_file_open_tmp("virtio-gpu-gl-XXXXXX.mem", &path, NULL);
    gsize length;

    close(fd);
    map_new(gpu, 1, LOOSE_SHM, 0);
    gpu_buffer_truncate(gpu, 1, GPU_PAGE);
    qtest_qmp_assert_success(gpu_qts(gpu), "{ 'execute': 'pmemsave',"
                             " 'arguments': { 'val': %" PRIu64 ","
                             " 'size': %" PRIu64 ", 'filename': %s } }",
                             gpu_window(gpu), (uint64_t)(PAGES * GPU_PAGE),
                             path);
    g_assert_true(g_file_get_contents(path, &text, &length, NULL));
    g_assert_cmpuint(length, ==, PAGES * GPU_PAGE);
    g_assert_true(is_lost(gpu, 1, "window"));
    unlink(path);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/*
 * DMA of another device: QEMU's edu, at an address of its own
 */

#define EDU_SLOT 0x1f
#define EDU_BAR 0xe8000000ull
#define EDU_BUFFER 0x40000

static void edu_config(QTestState *qts, uint8_t reg, uint32_t value)
{
    qtest_outl(qts, 0xcf8, 1u << 31 | EDU_SLOT << 11 | reg);
    qtest_outl(qts, 0xcfc, value);
}

static void edu_copy(QTestState *qts, uint64_t from, uint64_t to, bool write)
{
    qtest_writeq(qts, EDU_BAR + 0x80, from);
    qtest_writeq(qts, EDU_BAR + 0x88, to);
    qtest_writeq(qts, EDU_BAR + 0x90, 64);
    qtest_writeq(qts, EDU_BAR + 0x98, write ? 3 : 1);
    qtest_clock_step(qts, 1000 * 1000 * 1000);
}

/* A device reads and writes what is gone: its DMA goes on as a vCPU would. */
static void test_dma(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW,
        .args = "-device edu,addr=0x1f,dma_mask=0xffffffffffffffff",
    });
    QTestState *qts = gpu_qts(gpu);
    bool write;

    edu_config(qts, 0x10, EDU_BAR);
    edu_config(qts, 0x04, 0x6);
    for (write = false;; write = true) {
        g_test_message("the device %s", write ? "writes" : "reads");
        map_new(gpu, 1, BUFFER, 0);
        gpu_write(gpu, GPU_PAGE, 0x1234);
        edu_copy(qts, gpu_window(gpu) + GPU_PAGE, EDU_BUFFER, false);
        edu_copy(qts, EDU_BUFFER, gpu_window(gpu) + 2 * GPU_PAGE, true);
        g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), ==, 0x1234);

        gpu_buffer_truncate(gpu, 1, 0);
        edu_copy(qts, write ? EDU_BUFFER : gpu_window(gpu) + GPU_PAGE,
                 write ? gpu_window(gpu) + GPU_PAGE : EDU_BUFFER, write);
        g_assert_true(is_lost(gpu, 1, "window"));
        edu_copy(qts, EDU_BUFFER, gpu_window(gpu) + 2 * GPU_PAGE, true);
        g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), ==, write ? 0x1234 : 0);
        gpu_unref(gpu, 1);
        if (write) {
            break;
        }
    }
    gpu_finish(gpu);
}

static unsigned count_lines(const char *path, const char *what)
{
    g_autofree char *text = NULL;
    const char *at;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (at = text; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

/* One line for each, with all that it takes to find whose it was */
static void test_log(void)
{
    g_autofree char *path = NULL;
    int fd = g_file_open_tmp("virtio-gpu-gl-XXXXXX.log", &path, NULL);
    uint32_t id;
    GPU *gpu;

    close(fd);
    gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .log = path,
    });
    map_new(gpu, 7, BUFFER | SCRIPTED_EXP_I915, 32 * GPU_PAGE);
    gpu_buffer_truncate(gpu, 7, 0);
    gpu_write(gpu, 32 * GPU_PAGE, 1);
    gpu_write(gpu, 33 * GPU_PAGE, 1);
    gpu_settle(gpu);
    g_assert_cmpuint(count_lines(path, "blob resource 7 (context 1, "
                                 "16384 bytes, offset 0x20000, backing dmabuf,"
                                 " exporter \"i915\"): " REVOKED),
                     ==, 1);
    g_assert_cmpuint(count_lines(path, REVOKED), ==, 1);
    gpu_unref(gpu, 7);

    /* A name that was read for the mapping is known. */
    map_new(gpu, 8, SCRIPTED_DMABUF | SCRIPTED_EXP_UDMABUF | SCRIPTED_WORD_WC,
            0);
    gpu_buffer_truncate(gpu, 8, 0);
    gpu_write(gpu, 0, 1);
    gpu_settle(gpu);
    g_assert_cmpuint(count_lines(path, "exporter \"udmabuf\"): " REVOKED),
                     ==, 1);
    g_assert_cmpuint(gpu_shared(gpu)->names, ==, 2);
    gpu_unref(gpu, 8);

    /* ... but not more of them than the log has room for */
    for (id = 1; id <= 100; id++) {
        map_new(gpu, id, LOOSE_SHM, 0);
        gpu_buffer_truncate(gpu, id, 0);
        gpu_write(gpu, 0, 1);
        gpu_unref(gpu, id);
    }
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, 102);
    g_assert_cmpuint(count_lines(path, REVOKED), <=, 40);
    unlink(path);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "access", test_access },
        { "no-memory", test_no_memory },
        { "ends", test_ends },
        { "counted", test_counted },
        { "monitor", test_monitor },
        { "dma", test_dma },
        { "log", test_log },
    };

    return gpu_run_tests(argc, argv, "lost", tests, G_N_ELEMENTS(tests));
}
