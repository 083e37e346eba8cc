/*
 * qtest for virtio-gpu-gl: buffers that lose their pages while mapped
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "virtio-gpu-gl-client.h"

#define REVOKED "its backing memory was revoked"

#define PAGES 4

static void map_new(GPU *gpu, uint32_t id, ScriptedBlob blob, uint64_t offset)
{
    gpu_map_new(gpu, id, blob, PAGES * GPU_PAGE, offset);
}

/* Is the mapping lost, as blob-maps shows it? */
static bool is_lost(GPU *gpu, uint32_t id, const char *path)
{
    g_autoptr(QDict) map = gpu_mapping(gpu, id);

    g_assert_cmpstr(qdict_get_str(map, "path"), ==, path);
    return qdict_get_bool(map, "lost");
}

/* Each kind of buffer, mapped by the renderer, too, at an address of ours */
static void for_each_kind(GPU *gpu,
                          void (*check)(GPU *gpu, const GPUKind *kind))
{
    for (size_t i = 0; i < 2 * GPU_KINDS; i++) {
        bool fixed = i >= GPU_KINDS;
        GPUKind kind = gpu_kinds[i % GPU_KINDS];

        gpu->shared->map_fixed = fixed ? SCRIPTED_FIXED_GOOD
                                       : SCRIPTED_FIXED_NONE;
        kind.path = fixed && GPU_LOW ? "window" : kind.path;
        g_test_message("%s%s", kind.name, fixed ? ", map_fixed" : "");
        check(gpu, &kind);
    }
}

/* The access goes on, on other pages; all else stays as it was. */
static void check_lost(GPU *gpu, const GPUKind *kind, uint64_t at)
{
    uint64_t lost = gpu_stat(gpu, "lost");

    map_new(gpu, 1, kind->blob, at);
    gpu_create(gpu, 2, kind->blob, PAGES * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 2, at, NULL), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 2, at + PAGES * GPU_PAGE, NULL), ==, GRANTED);
    gpu_buffer_truncate(gpu, 1, GPU_PAGE);
    g_assert_false(is_lost(gpu, 1, kind->path));
    gpu_read(gpu, at + 2 * GPU_PAGE);
    gpu_write(gpu, at + 2 * GPU_PAGE, 0x1234);
    g_assert_cmphex(gpu_read(gpu, at + 2 * GPU_PAGE), ==, 0x1234);
    gpu_settle(gpu);
    g_assert_true(is_lost(gpu, 1, kind->path));
    g_assert_false(is_lost(gpu, 2, kind->path));
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, lost + 1);
    g_assert_true(gpu_shows(gpu, at + PAGES * GPU_PAGE, 2, 0));
}

static void check_access(GPU *gpu, const GPUKind *kind)
{
    check_lost(gpu, kind, 16 * GPU_PAGE);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    /* A renderer's own memory may be new by then. */
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==,
                    kind->blob.backing ? UNSPEC : GRANTED);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    /* The place is free, and shows what comes next. */
    map_new(gpu, 3, kind->blob, 16 * GPU_PAGE);
    g_assert_true(gpu_shows(gpu, 16 * GPU_PAGE, 3, 0));
    g_assert_false(is_lost(gpu, 3, kind->path));
    gpu_unref(gpu, 2);
    gpu_unref(gpu, 3);
}

static void test_access(GPU *gpu)
{
    for_each_kind(gpu, check_access);
}

/* Spare mappings are used for the hole that shows in its place. */
static void check_no_memory(GPU *gpu, const GPUKind *kind)
{
    map_new(gpu, 1, kind->blob, 0);
    gpu_buffer_truncate(gpu, 1, GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
    g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), ==, 0);
    g_assert_cmpuint(gpu->shared->fail.count, ==, 0);
    g_assert_true(is_lost(gpu, 1, kind->path));
    gpu_unref(gpu, 1);
}

static void test_no_memory(GPU *gpu)
{
    for_each_kind(gpu, check_no_memory);
}

/* With its resource, or with a reset, it goes as any other. */
static void check_ends(GPU *gpu, const GPUKind *kind)
{
    check_lost(gpu, kind, 0);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    check_lost(gpu, kind, 0);
    gpu_reset(gpu);
    g_assert_false(gpu_shows(gpu, GPU_PAGE, 2, 0));
    check_lost(gpu, kind, 0);
    gpu_system_reset(gpu);
}

static void test_ends(GPU *gpu)
{
    for_each_kind(gpu, check_ends);
}

/* One that goes with the command that follows is counted, too. */
static void test_counted(GPU *gpu)
{
    unsigned fds;

    map_new(gpu, 1, BUFFER, 0);
    gpu_buffer_truncate(gpu, 1, 0);
    gpu_write(gpu, 0, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, 1);
    gpu_unref(gpu, 1);

    /* The fd that is kept for memory slots is closed. */
    map_new(gpu, 1, BUFFER, 0);
    fds = gpu_count_fds(gpu, SCRIPTED_BUFFER_NAME);
    gpu_buffer_truncate(gpu, 1, 0);
    gpu_write(gpu, 0, 1);
    gpu_settle(gpu);
    g_assert_cmpuint(gpu_count_fds(gpu, SCRIPTED_BUFFER_NAME), ==, fds - 1);
    gpu_unref(gpu, 1);
}

/* One line for each, with all that it takes to find whose it was */
static void test_log(GPU *gpu)
{
    uint32_t id;

    map_new(gpu, 7, BUFFER_BUT(.exporter = EXPORTER_I915), 32 * GPU_PAGE);
    gpu_buffer_truncate(gpu, 7, 0);
    gpu_write(gpu, 32 * GPU_PAGE, 1);
    gpu_write(gpu, 33 * GPU_PAGE, 1);
    gpu_settle(gpu);
    g_assert_cmpuint(gpu_count_log(gpu, "blob resource 7 (context 1, "
                                 "16384 bytes, offset 0x20000, backing dmabuf,"
                                 " exporter \"i915\"): " REVOKED),
                     ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, REVOKED), ==, 1);
    gpu_unref(gpu, 7);

    /* A name that was read for the mapping is known. */
    map_new(gpu, 8, DMABUF(.exporter = EXPORTER_UDMABUF, .word = WORD_WC),
            0);
    gpu_buffer_truncate(gpu, 8, 0);
    gpu_write(gpu, 0, 1);
    gpu_settle(gpu);
    g_assert_cmpuint(gpu_count_log(gpu, "exporter \"udmabuf\"): " REVOKED),
                     ==, 1);
    g_assert_cmpuint(gpu->shared->names, ==, 2);
    gpu_unref(gpu, 8);

    /* ... but not more of them than the log takes */
    for (id = 1; id <= 100; id++) {
        map_new(gpu, id, LOOSE_SHM, 0);
        gpu_buffer_truncate(gpu, id, 0);
        gpu_write(gpu, 0, 1);
        gpu_unref(gpu, id);
    }
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, 102);
    g_assert_cmpuint(gpu_count_log(gpu, REVOKED), <=, 40);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "access", test_access },
        { "no-memory", test_no_memory },
        { "ends", test_ends },
        { "counted", test_counted,
          { .kvm = SCRIPTED_KVM_PLAIN, .cpu = SCRIPTED_CPU_ARM64 } },
        { "log", test_log, { .logged = true } },
    };

    return gpu_run_tests(argc, argv, "lost", tests, G_N_ELEMENTS(tests));
}
