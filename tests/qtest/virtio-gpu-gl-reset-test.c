/*
 * qtest for virtio-gpu-gl: a vCPU resets the device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A vCPU that waits for the main loop while that waits for the vCPU hangs
 * QEMU: a test that does not end has found that.  Nothing here needs blobs
 * that are mapped by their exporter's word.
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "virtio-gpu-gl-client.h"

static GPU *start_with_vcpu(void)
{
    return gpu_start(&(GPUConfig) { .hostmem = WINDOW, .vcpu = true });
}

static void command(GPU *gpu, const char *name)
{
    qtest_qmp_assert_success(gpu_qts(gpu), "{ 'execute': %s }", name);
}

static void wait_for_resets(GPU *gpu, uint32_t before, uint32_t n)
{
    while (gpu_vcpu_turns(gpu) - before < n) {
        g_usleep(100);
    }
}

/* The guest goes on with what it does. */
static void see_resets(GPU *gpu, uint32_t n)
{
    wait_for_resets(gpu, gpu_vcpu_turns(gpu), n);
}

static void reset_once(GPU *gpu)
{
    const uint32_t before = gpu_vcpu_turns(gpu);

    gpu_vcpu_reset(gpu, 1);
    wait_for_resets(gpu, before, 1);
}

static void map_two(GPU *gpu)
{
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_create(gpu, 2, DRIVERS, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 2, GPU_PAGE, NULL), ==, GRANTED);
}

static GPU *start_resetting(void)
{
    GPU *gpu = start_with_vcpu();

    map_two(gpu);
    gpu_vcpu_reset(gpu, GPU_FOR_EVER);
    see_resets(gpu, 1);
    return gpu;
}

static void test_stop(void)
{
    GPU *gpu = start_resetting();
    unsigned i;

    for (i = 0; i < 20; i++) {
        command(gpu, "stop");
        command(gpu, "cont");
        see_resets(gpu, i % 2);
    }
    gpu_stop(gpu);
}

/* A device that cannot be added: QEMU waits for all readers under RCU. */
static void test_readers(void)
{
    GPU *gpu = start_resetting();
    unsigned i;

    for (i = 0; i < 20; i++) {
        QDict *reply = qtest_qmp(gpu_qts(gpu), "{ 'execute': 'device_add',"
                                 " 'arguments': { 'driver': 'none' } }");

        g_assert_true(qdict_haskey(reply, "error"));
        qobject_unref(reply);
    }
    gpu_stop(gpu);
}

static void test_system_reset(void)
{
    GPU *gpu = start_resetting();
    unsigned i;

    for (i = 0; i < 20; i++) {
        qtest_system_reset(gpu_qts(gpu));
        see_resets(gpu, i % 3);
    }
    gpu_stop(gpu);
}

static void test_quit(void)
{
    unsigned i;

    for (i = 0; i < 5; i++) {
        GPU *gpu = start_resetting();

        if (i % 2) {
            command(gpu, "quit");
        }
        gpu_stop(gpu);
    }
}

/* All that was mapped goes, by itself, and the device is as good as new. */
static void test_blobs(void)
{
    GPU *gpu = start_with_vcpu();
    unsigned i;

    for (i = 0; i < 5; i++) {
        map_two(gpu);
        reset_once(gpu);
        gpu_wait_live(gpu, 0);
        g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(2, 0));
        gpu_reset(gpu);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
        g_assert_cmphex(gpu_unref(gpu, 2), ==, BAD_ID);
    }
    gpu_finish(gpu);
}

/* The guest's last kick has commands that run after the reset, or never. */
static void test_last_kick(void)
{
    GPU *gpu = gpu_start_plain();
    unsigned i;

    for (i = 0; i < 5; i++) {
        gpu_watch(gpu, SCRIPTED_WATCH_VCPU_RESET, 0);
        gpu_put_create(gpu, 1, CACHED_BUF, GPU_PAGE);
        gpu_put_map(gpu, 1, 0);
        gpu_put_create(gpu, 2, DRIVERS, GPU_PAGE);
        gpu_put_map(gpu, 2, GPU_PAGE);
        gpu_release(gpu);
        gpu_settle(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));
        gpu_reset(gpu);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
        g_assert_cmphex(gpu_unref(gpu, 2), ==, BAD_ID);
    }
    gpu_finish(gpu);
}

/*
 * A guest that is quicker than the main loop: the queue is set up and kicked
 * before that has run.  What comes from before the reset goes first.
 */
static void test_first_kick(void)
{
    GPU *gpu = gpu_start_plain();
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
        g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));
        g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), ==, scripted_stamp(1, 0));
        gpu_reset(gpu);
    }
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "stop", test_stop },
        { "readers", test_readers },
        { "system-reset", test_system_reset },
        { "quit", test_quit },
        { "blobs", test_blobs },
        { "last-kick", test_last_kick },
        { "first-kick", test_first_kick },
    };

    return gpu_run_tests(argc, argv, "reset", tests, G_N_ELEMENTS(tests));
}
