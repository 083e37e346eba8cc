/*
 * qtest for virtio-gpu-gl: blobs with a region of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

#define REGIONS_MAX 1536

static void test_regions(void)
{
    uint32_t replies[REGIONS_MAX + 2], id, i;
    GPU *gpu = gpu_start_plain();

    gpu_batch(gpu, gpu_put_drivers, 1, G_N_ELEMENTS(replies), replies);
    gpu_batch(gpu, gpu_put_map_next, 1, G_N_ELEMENTS(replies), replies);
    g_assert_cmpuint(gpu_count(replies, REGIONS_MAX, GRANTED), ==, REGIONS_MAX);
    g_assert_cmphex(replies[REGIONS_MAX], ==, NO_MEMORY);
    g_assert_cmphex(replies[REGIONS_MAX + 1], ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "region-limit"), ==, 2);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 2);
    for (id = 1; id <= REGIONS_MAX; id += 17) {
        g_assert_cmphex(gpu_read(gpu, id * GPU_PAGE), ==,
                        scripted_stamp(id, 0));
        gpu_write(gpu, id * GPU_PAGE + 8, id);
        g_assert_cmphex(gpu_buffer_read(gpu, id, 8), ==, id);
    }

    /* One goes, one comes; others with an fd are not concerned. */
    gpu_create(gpu, 2000, CACHED_BUF, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 2000, 2000 * GPU_PAGE, NULL), ==, GRANTED);
    for (i = 0; i < 10; i++) {
        uint32_t out = i % 2 ? REGIONS_MAX + 1 : 5;
        uint32_t in = i % 2 ? 5 : REGIONS_MAX + 1;

        g_assert_cmphex(gpu_unmap(gpu, out), ==, OK);
        g_assert_cmphex(gpu_map(gpu, in, 5 * GPU_PAGE, NULL), ==, GRANTED);
        g_assert_cmphex(gpu_read(gpu, 5 * GPU_PAGE), ==,
                        scripted_stamp(in, 0));
    }
    gpu_unref(gpu, 2000);

    gpu_batch(gpu, gpu_put_unmap, 100, 8, replies);
    g_assert_cmpuint(gpu_count(replies, 8, OK), ==, 8);
    /* Each takes RCU's time; all together go with a reset. */
    gpu_reset(gpu);
    g_assert_cmphex(gpu_create(gpu, 1, DRIVERS, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* Only the blob's own pages are shown: what follows may be anything. */
static void test_odd_size(void)
{
    GPU *gpu = gpu_start_plain();

    gpu_create(gpu, 1, DRIVERS, GPU_PAGE + 100);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_create(gpu, 2, DRIVERS | SCRIPTED_PTR_EXACT, GPU_PAGE + 100);
    g_assert_cmphex(gpu_map(gpu, 2, 4 * GPU_PAGE, NULL), ==,
                    VIRTIO_GPU_RESP_ERR_UNSPEC);
    gpu_create(gpu, 3, CACHED_BUF, GPU_PAGE + 100);
    g_assert_cmphex(gpu_map(gpu, 3, 2 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, 3 * GPU_PAGE), ==, scripted_stamp(3, 1));
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_unref(gpu, 3);
    gpu_finish(gpu);
}

/*
 * I/O in flight still refers to the region: its end is answered, and other
 * commands are; only what the renderer cannot do before then waits.
 */
static void check_held(GPU *gpu, bool unref)
{
    struct scripted_shared *s = gpu_shared(gpu);
    unsigned slot;

    gpu_create(gpu, 1, DRIVERS, GPU_PAGE);
    gpu_map(gpu, 1, GPU_PAGE, NULL);
    gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
    g_assert_cmphex(unref ? gpu_unref(gpu, 1) : gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(1, 0));
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, unref ? BAD_ID : BAD);

    /* Others come and go, at the same place too. */
    g_assert_cmphex(gpu_create(gpu, 2, DRIVERS, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 2, GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(2, 0));
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    g_assert_cmphex(gpu_create(gpu, 3, BUFFER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 3, GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unref(gpu, 3), ==, OK);

    slot = unref ? gpu_put_create(gpu, 1, DRIVERS, GPU_PAGE)
                 : gpu_put_map(gpu, 1, GPU_PAGE);
    gpu_kick(gpu);
    /* The other region goes. */
    while (s->maps != s->unmaps + 1) {
        gpu_settle(gpu);
    }
    gpu_settle(gpu);
    g_assert_false(gpu_is_done(gpu, slot));
    gpu_release(gpu);
    g_assert_cmphex(gpu_answer(gpu, slot), ==, unref ? OK : GRANTED);
    g_assert_cmpuint(s->maps, ==, s->unmaps + !unref);
    gpu_unref(gpu, 1);
}

static void test_held_region(void)
{
    GPU *gpu = gpu_start_plain();

    check_held(gpu, false);
    check_held(gpu, true);
    gpu_finish(gpu);
}

/* A resource that goes after its unmap, while the region is held */
static void test_held_unref(void)
{
    GPU *gpu = gpu_start_plain();
    unsigned slot;

    gpu_create(gpu, 1, DRIVERS, GPU_PAGE);
    gpu_map(gpu, 1, GPU_PAGE, NULL);
    gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
    slot = gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, 1);
    gpu_kick(gpu);
    gpu_settle(gpu);
    g_assert_false(gpu_is_done(gpu, slot));
    gpu_release(gpu);
    gpu_answer(gpu, slot);
    gpu_reset(gpu);
    gpu_finish(gpu);
}

/* The device is reset meanwhile, before or after its unmap. */
static void test_held_reset(void)
{
    struct scripted_shared *s;
    GPU *gpu = gpu_start_plain();
    unsigned i, slot;

    s = gpu_shared(gpu);
    for (i = 0; i < 2; i++) {
        gpu_create(gpu, 1, DRIVERS, GPU_PAGE);
        gpu_create(gpu, 2, DRIVERS, GPU_PAGE);
        gpu_map(gpu, 1, GPU_PAGE, NULL);
        gpu_map(gpu, 2, 2 * GPU_PAGE, NULL);
        gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
        if (i) {
            gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1);
            gpu_kick(gpu);
            gpu_wait_live(gpu, 1);
        }
        gpu_reset(gpu);
        /* What is not held goes at once. */
        while (s->unmaps < s->maps - 1) {
            gpu_settle(gpu);
        }
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(1, 0));
        g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), !=,
                        scripted_stamp(2, 0));
        /* The renderer is left alone until then. */
        slot = gpu_put_create(gpu, 1, DRIVERS, GPU_PAGE);
        gpu_kick(gpu);
        gpu_settle(gpu);
        g_assert_false(gpu_is_done(gpu, slot));
        gpu_release(gpu);
        g_assert_cmphex(gpu_answer(gpu, slot), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(1, 0));
        gpu_unref(gpu, 1);
        while (s->maps != s->unmaps) {
            gpu_settle(gpu);
        }
    }
    gpu_finish(gpu);
}

/* Where the renderer has lent nothing, a reset waits for nothing. */
static void test_held_own(void)
{
    GPU *gpu = gpu_start_plain();
    unsigned i;

    gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    for (i = 0; i < 2; i++) {
        g_assert_cmphex(gpu_create(gpu, 1, i ? POINTER : BUFFER, GPU_PAGE),
                        ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
        gpu_check_path(gpu, "region");
        gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
        gpu_reset(gpu);
        g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
        gpu_release(gpu);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    }
    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
    gpu_finish(gpu);
}

/* In guest memory, a page */
static uint32_t attach(GPU *gpu, uint32_t id, uint64_t address)
{
    struct {
        struct virtio_gpu_resource_attach_backing cmd;
        struct virtio_gpu_mem_entry entry;
    } cmd = {
        .cmd.hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING),
        .cmd.resource_id = cpu_to_le32(id),
        .cmd.nr_entries = cpu_to_le32(1),
        .entry.addr = cpu_to_le64(address),
        .entry.length = cpu_to_le32(GPU_PAGE),
    };
    struct virtio_gpu_ctrl_hdr reply;

    return gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply));
}

/* Whose region it is in does not matter to a reset; to an unref, its own. */
static void test_backing_in_region(void)
{
    GPU *gpu = gpu_start_plain();
    unsigned i;

    for (i = 0; i < 4; i++) {
        g_assert_cmphex(gpu_create(gpu, 1, DRIVERS, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_create(gpu, 2, DRIVERS, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        g_assert_cmphex(attach(gpu, 1 + i / 2, gpu_window(gpu)), ==, OK);
        if (i % 2) {
            gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1);
            gpu_kick(gpu);
            gpu_wait_live(gpu, 0);
        }
        gpu_reset(gpu);
        g_assert_cmphex(gpu_create(gpu, 1, DRIVERS, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        g_assert_cmphex(attach(gpu, 1, gpu_window(gpu)), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    }
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "regions", test_regions },
        { "odd-size", test_odd_size },
        { "held-region", test_held_region },
        { "held-unref", test_held_unref },
        { "held-reset", test_held_reset },
        { "held-own", test_held_own },
        { "backing-in-region", test_backing_in_region },
    };

    return gpu_run_tests(argc, argv, "region", tests, G_N_ELEMENTS(tests));
}
