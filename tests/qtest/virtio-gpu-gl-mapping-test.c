/*
 * qtest for virtio-gpu-gl: how mappings end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

static void check_fenced(GPU *gpu, uint64_t blob_id, uint32_t type)
{
    struct scripted_shared *s = gpu_shared(gpu);
    const struct virtio_gpu_ctrl_hdr *reply;
    unsigned slot;

    gpu_create(gpu, 1, blob_id, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
    s->hold_fences = 1;
    slot = gpu_put_fenced(gpu, type, 1, 100);
    gpu_kick(gpu);
    /* The work is done at once, the answer waits for the fence. */
    gpu_wait_live(gpu, 0);
    while (s->fences == s->fences_done) {
        gpu_settle(gpu);
    }
    gpu_settle(gpu);
    g_assert_false(gpu_is_done(gpu, slot));
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(1, 0));
    s->hold_fences = 0;
    gpu_wait(gpu, slot);
    reply = gpu_reply(gpu, slot, NULL);
    g_assert_cmphex(le32_to_cpu(reply->type), ==, OK);
    g_assert_cmphex(le64_to_cpu(reply->fence_id), ==, 100);
    gpu_free(gpu, slot);
    g_assert_cmphex(gpu_unref(gpu, 1), ==,
                    type == VIRTIO_GPU_CMD_RESOURCE_UNREF ? BAD_ID : OK);
}

static void test_fenced(void)
{
    GPU *gpu = gpu_start_plain();

    check_fenced(gpu, CACHED_BUF, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB);
    check_fenced(gpu, CACHED_BUF, VIRTIO_GPU_CMD_RESOURCE_UNREF);
    check_fenced(gpu, DRIVERS, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB);
    check_fenced(gpu, DRIVERS, VIRTIO_GPU_CMD_RESOURCE_UNREF);
    gpu_finish(gpu);
}

/* A busy queue: a map of the same resource waits for its unmap, in order. */
static void test_busy_queue(void)
{
    unsigned unmap[8], map[8], i;
    GPU *gpu = gpu_start_plain();

    for (i = 0; i < 8; i++) {
        gpu_create(gpu, i + 1, DRIVERS, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, i + 1, i * GPU_PAGE, NULL), ==, GRANTED);
    }
    for (i = 0; i < 8; i++) {
        unmap[i] = gpu_put_fenced(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
                                  i + 1, i % 2 ? i : 0);
        map[i] = gpu_put_map(gpu, i + 1, (7 - i) * GPU_PAGE + GPU_MIB);
    }
    gpu_kick(gpu);
    for (i = 0; i < 8; i++) {
        g_assert_cmphex(gpu_answer(gpu, unmap[i]), ==, OK);
        g_assert_cmphex(gpu_answer(gpu, map[i]), ==, GRANTED);
    }
    for (i = 0; i < 8; i++) {
        g_assert_cmphex(gpu_read(gpu, (7 - i) * GPU_PAGE + GPU_MIB), ==,
                        scripted_stamp(i + 1, 0));
        g_assert_cmphex(gpu_unref(gpu, i + 1), ==, OK);
    }
    gpu_finish(gpu);
}

static void fill(GPU *gpu, bool regions)
{
    uint32_t id;

    for (id = 1; id <= 16; id++) {
        uint64_t blob_id = id % 4 == 0 ? (regions ? DRIVERS : POINTER) :
                           id % 4 == 1 ? SCRIPTED_SHM : CACHED_BUF;

        g_assert_cmphex(gpu_create(gpu, id, blob_id, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, id, id * GPU_PAGE, NULL), ==, GRANTED);
    }
    gpu_create_guest(gpu, 17, 16);
}

static void check_empty(GPU *gpu)
{
    uint32_t id;

    for (id = 1; id <= 16; id++) {
        g_assert_cmphex(gpu_read(gpu, id * GPU_PAGE), !=,
                        scripted_stamp(id, 0));
    }
}

static void test_reset(void)
{
    const unsigned n = g_test_slow() ? 1000 : 400;
    uint64_t rss = 0;
    GPU *gpu = gpu_start_plain();
    unsigned fds = 0, maps = 0, i;

    for (i = 0; i < n; i++) {
        /* A reset with regions takes RCU's time. */
        fill(gpu, i % 50 == 0);
        gpu_reset(gpu);
        check_empty(gpu);
        if (i == 125) {
            rss = gpu_status_kib(gpu, "RssAnon:");
            fds = gpu_count_fds(gpu, "/");
            maps = gpu_count_maps(gpu, "");
        }
    }
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(gpu_status_kib(gpu, "RssAnon:"), <=, rss + 4096);
    }
    g_assert_cmpuint(gpu_count_fds(gpu, "/"), ==, fds);
    g_assert_cmpuint(gpu_count_maps(gpu, ""), <=, maps + 16);
    gpu_system_reset(gpu);
    fill(gpu, true);
    gpu_system_reset(gpu);
    check_empty(gpu);
    /* The renderer is reset with the next command. */
    g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
    gpu_finish(gpu);
}

/* Exit with live blobs of each kind */
static void test_exit(void)
{
    GPU *gpu = gpu_start_plain();

    fill(gpu, true);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "fenced", test_fenced },
        { "busy-queue", test_busy_queue },
        { "reset", test_reset },
        { "exit", test_exit },
    };

    return gpu_run_tests(argc, argv, "mapping", tests, G_N_ELEMENTS(tests));
}
