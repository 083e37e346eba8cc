/*
 * qtest for virtio-gpu-gl: what ends with a reset, with QEMU, or on a display
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A vCPU that waits for the main loop while that waits for the vCPU hangs
 * QEMU: a test that does not end has found that.
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "virtio-gpu-gl-client.h"

/*
 * Reset and exit
 */

static void fill(GPU *gpu, bool regions)
{
    uint32_t id;

    for (id = 1; id <= 16; id++) {
        ScriptedBlob blob = id % 4 == 0 ? (regions ? DRIVERS : POINTER) :
                           id % 4 == 1 ? SHM() : BUFFER;

        gpu_map_new(gpu, id, blob, GPU_PAGE, id * GPU_PAGE);
    }
    gpu_create_guest(gpu, 17, 16);
    /* So many that what is not freed shows */
    gpu_batch_all(gpu, gpu_put_shared, 18, 192, OK);
    gpu_batch_all(gpu, gpu_put_map_next, 18, 192, GRANTED);
}

static void check_empty(GPU *gpu)
{
    uint32_t id;

    for (id = 1; id <= 16; id++) {
        g_assert_false(gpu_shows(gpu, id * GPU_PAGE, id, 0));
    }
}

static void test_reset(GPU *gpu)
{
    const unsigned n = g_test_slow() ? 1000 : 400;
    uint64_t now, before = 0, after = UINT64_MAX;
    unsigned fds = 0, maps = 0, i;

    for (i = 0; i < n; i++) {
        /* A reset with regions takes RCU's time. */
        fill(gpu, i % 50 == 0);
        gpu_reset(gpu);
        check_empty(gpu);
        /* It rises and falls by a few megabytes. */
        now = gpu_status_kib(gpu, "RssAnon:");
        before = i <= 125 ? MAX(before, now) : before;
        after = i >= n - 50 ? MIN(after, now) : after;
        if (i == 125) {
            fds = gpu_count_fds(gpu, "/");
            maps = gpu_count_maps(gpu, "");
        }
    }
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(after, <=, before + 4096);
        g_assert_cmpuint(gpu_count_maps(gpu, ""), <=, maps + 16);
    }
    g_assert_cmpuint(gpu_count_fds(gpu, "/"), ==, fds);
    gpu_system_reset(gpu);
    fill(gpu, true);
    gpu_system_reset(gpu);
    check_empty(gpu);
    /* The renderer is reset with the next command. */
    g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
}

/* Exit with live blobs of each kind */
static void test_exit(void)
{
    GPU *gpu = gpu_start_plain();

    fill(gpu, true);
    gpu_stop(gpu);
}

/*
 * A vCPU resets the device
 */

static GPU *start_with_vcpu(void)
{
    return gpu_start(&(GPUConfig) { .hostmem = WINDOW, .vcpu = true });
}

static void reset_once(GPU *gpu)
{
    const uint32_t before = gpu_vcpu_turns(gpu);

    gpu_vcpu_reset(gpu, 1);
    gpu_vcpu_wait(gpu, before + 1);
}

static void map_two(GPU *gpu)
{
    gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, 0);
    gpu_map_new(gpu, 2, DRIVERS, GPU_PAGE, GPU_PAGE);
}

static GPU *start_resetting(void)
{
    GPU *gpu = start_with_vcpu();

    map_two(gpu);
    gpu_vcpu_reset(gpu, GPU_FOR_EVER);
    gpu_vcpu_wait(gpu, gpu_vcpu_turns(gpu) + 1);
    return gpu;
}

/*
 * QEMU waits for all readers under RCU when a device cannot be added, and for
 * vCPUs when the machine is reset.
 */
static void test_waits(void)
{
    GPU *gpu = start_resetting();

    for (unsigned i = 0; i < 20; i++) {
        g_autoptr(QDict) reply = qtest_qmp(gpu->qts,
            "{ 'execute': 'device_add', 'arguments': { 'driver': 'none' } }");

        g_assert_true(qdict_haskey(reply, "error"));
    }
    for (unsigned i = 0; i < 20; i++) {
        qtest_system_reset(gpu->qts);
        gpu_vcpu_wait(gpu, gpu_vcpu_turns(gpu) + i % 3);
    }
    gpu_stop(gpu);
}

static void test_quit(void)
{
    for (unsigned i = 0; i < 5; i++) {
        GPU *gpu = start_resetting();

        if (i % 2) {
            qtest_qmp_assert_success(gpu->qts, "{ 'execute': 'quit' }");
        }
        gpu_stop(gpu);
    }
}

/* All that was mapped goes, by itself, and the device is as good as new. */
static void test_blobs(void)
{
    GPU *gpu = start_with_vcpu();

    for (unsigned i = 0; i < 5; i++) {
        map_two(gpu);
        reset_once(gpu);
        gpu_wait_live(gpu, 0);
        g_assert_false(gpu_shows(gpu, 0, 1, 0));
        g_assert_false(gpu_shows(gpu, GPU_PAGE, 2, 0));
        gpu_reset(gpu);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
        g_assert_cmphex(gpu_unref(gpu, 2), ==, BAD_ID);
    }
    gpu_finish(gpu);
}

/* The guest's last kick has commands that run after the reset, or never. */
static void test_last_kick(GPU *gpu)
{
    for (unsigned i = 0; i < 5; i++) {
        gpu_watch(gpu, SCRIPTED_WATCH_VCPU_RESET, 0);
        gpu_put_create(gpu, 1, BUFFER, GPU_PAGE);
        gpu_put_map(gpu, 1, 0);
        gpu_put_create(gpu, 2, DRIVERS, GPU_PAGE);
        gpu_put_map(gpu, 2, GPU_PAGE);
        gpu_release(gpu);
        gpu_settle(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        g_assert_false(gpu_shows(gpu, 0, 1, 0));
        gpu_reset(gpu);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
        g_assert_cmphex(gpu_unref(gpu, 2), ==, BAD_ID);
    }
}

/*
 * A guest that is quicker than the main loop: the queue is set up and kicked
 * before that has run.  What comes from before the reset goes first.
 */
static void test_first_kick(GPU *gpu)
{
    unsigned i, create, map;

    for (i = 0; i < 5; i++) {
        map_two(gpu);
        gpu_watch(gpu, SCRIPTED_WATCH_VCPU_RENEW, 0);
        gpu_empty_queue(gpu);
        create = gpu_put_create(gpu, 1, BUFFER, GPU_PAGE);
        map = gpu_put_map(gpu, 1, 2 * GPU_PAGE);
        gpu_release(gpu);
        g_assert_cmphex(gpu_answer(gpu, create), ==, OK);
        g_assert_cmphex(gpu_answer(gpu, map), ==, GRANTED);
        gpu_settle(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);
        g_assert_false(gpu_shows(gpu, 0, 1, 0));
        g_assert_true(gpu_shows(gpu, 2 * GPU_PAGE, 1, 0));
        gpu_reset(gpu);
    }
}

/*
 * Displays
 */

#define SIZE (64 * 64 * 4)

/* A display that shows a buffer has no picture of QEMU's own. */
static bool shows_buffer(GPU *gpu, int head)
{
    g_autofree char *file = NULL;
    g_autoptr(QDict) reply = NULL;
    int fd = g_file_open_tmp("scanout.XXXXXX", &file, NULL);

    g_assert_cmpint(fd, >=, 0);
    reply = qtest_qmp(gpu->qts, "{'execute': 'screendump', 'arguments': "
                      "{'filename': %s, 'device': 'gpu', 'head': %d}}",
                      file, head);
    close(fd);
    unlink(file);
    return qdict_haskey(reply, "error");
}

/*
 * A display that shows a blob shows nothing when the blob goes, and no other
 * does; what took it over from a blob stays.
 */
static void test_displays(GPU *gpu)
{
    gpu_map_new(gpu, 1, BUFFER, SIZE, 0);
    gpu_map_new(gpu, 2, BUFFER, SIZE, MiB);
    g_assert_false(shows_buffer(gpu, 0));
    g_assert_cmphex(gpu_show_blob(gpu, 0, 1, GPU_PICTURE), ==, OK);
    g_assert_cmphex(gpu_show_blob(gpu, 1, 2, GPU_PICTURE), ==, OK);
    g_assert_true(shows_buffer(gpu, 0));
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_false(shows_buffer(gpu, 0));
    g_assert_true(shows_buffer(gpu, 1));
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    g_assert_false(shows_buffer(gpu, 1));

    gpu_map_new(gpu, 1, BUFFER, SIZE, 0);
    gpu_map_new(gpu, 2, BUFFER, SIZE, MiB);
    g_assert_cmphex(gpu_show_blob(gpu, 0, 1, GPU_PICTURE), ==, OK);
    g_assert_cmphex(gpu_show_texture(gpu, 0, 2, GPU_PICTURE.r), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_true(shows_buffer(gpu, 0));
    g_assert_cmphex(gpu_show_texture(gpu, 0, 0, GPU_PICTURE.r), ==, OK);
    g_assert_cmphex(gpu_show_blob(gpu, 0, 2, GPU_PICTURE), ==, OK);
    gpu_reset(gpu);
    g_assert_false(shows_buffer(gpu, 0));
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "reset", test_reset },
        { "exit", .alone = test_exit },
        { "vcpu-waits", .alone = test_waits },
        { "vcpu-quit", .alone = test_quit },
        { "vcpu-blobs", .alone = test_blobs },
        { "last-kick", test_last_kick },
        { "first-kick", test_first_kick },
        { "displays", test_displays, { .props = ",max_outputs=2" } },
    };

    return gpu_run_tests(argc, argv, "lifetime", tests, G_N_ELEMENTS(tests));
}
