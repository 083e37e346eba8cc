/*
 * qtest for virtio-gpu-gl: RESOURCE_MAP_BLOB and RESOURCE_UNMAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

#define OUTSIDE "outside-window"
#define MISALIGNED "misaligned-offset"

static const struct {
    uint64_t size;
    uint64_t offset;
    const char *reason; /* NULL: granted */
} edges[] = {
    { GPU_PAGE, 0 },
    { GPU_PAGE, WINDOW - GPU_PAGE },
    { WINDOW, 0 },
    { 5000, WINDOW - 2 * GPU_PAGE },
    { 1, WINDOW - GPU_PAGE },

    { 0, 0, "bad-size" },
    { GPU_PAGE, 1, MISALIGNED },

    { GPU_PAGE, WINDOW, OUTSIDE },
    { 2 * GPU_PAGE, WINDOW - GPU_PAGE, OUTSIDE },
    { 5000, WINDOW - GPU_PAGE, OUTSIDE },
    { WINDOW + 1, 0, OUTSIDE },
    { GPU_PAGE, -GPU_PAGE, OUTSIDE },
    { 1ull << 63, 1ull << 63, OUTSIDE },
    { UINT64_MAX, GPU_PAGE, OUTSIDE },
};

static void test_edges(GPU *gpu)
{
    uint32_t id;

    for (id = 1; id <= G_N_ELEMENTS(edges); id++) {
        const uint64_t at = edges[id - 1].offset;
        const char *reason = edges[id - 1].reason;
        uint64_t before = reason ? gpu_refused(gpu, reason) : 0;

        g_test_message("size 0x%" PRIx64 " offset 0x%" PRIx64,
                       edges[id - 1].size, at);
        g_assert_cmphex(gpu_create(gpu, id, BUFFER, edges[id - 1].size), ==,
                        OK);
        g_assert_cmphex(gpu_map(gpu, id, at, NULL), ==,
                        reason ? BAD : GRANTED);
        if (reason) {
            g_assert_cmpuint(gpu_refused(gpu, reason), ==, before + 1);
        } else {
            g_assert_true(gpu_shows(gpu, at, id, 0));
            gpu_write(gpu, at + 16, id);
            g_assert_cmphex(gpu_buffer_read(gpu, id, 16), ==, id);
        }
        g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
        g_assert_cmphex(gpu_unmap(gpu, id), ==, BAD);
        g_assert_false(at < WINDOW && at % 8 == 0 &&
                       gpu_shows(gpu, at, id, 0));
        g_assert_cmphex(gpu_unref(gpu, id), ==, OK);
    }
}

static void test_overlap(GPU *gpu)
{
    static const uint64_t pages[] = { 8, 5, 11 };

    gpu_map_new(gpu, 1, BUFFER, 4 * GPU_PAGE, 8 * GPU_PAGE);
    gpu_create(gpu, 2, BUFFER, 4 * GPU_PAGE);
    gpu_create(gpu, 3, DRIVERS, 4 * GPU_PAGE);
    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        g_assert_cmphex(gpu_map(gpu, 2, pages[i] * GPU_PAGE, NULL), ==, BAD);
    }
    g_assert_cmphex(gpu_map(gpu, 3, 11 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "overlap"), ==, 4);
    g_assert_true(gpu_shows(gpu, 8 * GPU_PAGE, 1, 0));

    /* Neighbours do not overlap. */
    g_assert_cmphex(gpu_map(gpu, 2, 4 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 3, 12 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_true(gpu_shows(gpu, 7 * GPU_PAGE, 2, 3));
    g_assert_true(gpu_shows(gpu, 8 * GPU_PAGE, 1, 0));
    g_assert_true(gpu_shows(gpu, 12 * GPU_PAGE, 3, 0));

    /* A blob has one place. */
    g_assert_cmphex(gpu_map(gpu, 1, 8 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 1, 20 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "already-mapped"), ==, 2);

    /* Which leaves nothing to be unmapped but the first. */
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);

    /* A region is still in the way of others, until it is gone. */
    g_assert_cmphex(gpu_map(gpu, 1, 10 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 3), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 10 * GPU_PAGE, NULL), ==, GRANTED);
    /* What was refused before that is forgotten. */
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
    gpu_unref(gpu, 3);
    gpu_unref(gpu, 2);
    gpu_unref(gpu, 1);
}

static void test_no_resource(GPU *gpu)
{
    static const uint32_t ids[] = { 0, 5, UINT32_MAX };
    static const uint32_t flags[] = { 0, VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE };

    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_cmphex(gpu_map(gpu, ids[i], 0, NULL), ==, BAD_ID);
        g_assert_cmphex(gpu_unmap(gpu, ids[i]), ==, BAD_ID);
    }
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 3);

    /* Not to be mapped */
    for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
        g_assert_cmphex(gpu_create_flags(gpu, 5, BUFFER, GPU_PAGE, flags[i]),
                        ==, OK);
        g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD);
        gpu_unref(gpu, 5);
    }
    g_assert_cmpuint(gpu_refused(gpu, "not-mappable"), ==, 2);

    /* The renderer has no such buffer, and says so twice. */
    g_assert_cmphex(gpu_create(gpu, 5, BUFFER_BUT(.create_fails = true),
                               GPU_PAGE), !=, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_create(gpu, 5, BUFFER_BUT(.info_fails = true),
                               GPU_PAGE), !=, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD_ID);

    /* A guest's own memory has no place in the window by itself. */
    g_assert_cmphex(gpu_create_guest(gpu, 5, 4), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
    g_assert_cmphex(gpu_unref(gpu, 5), ==, OK);

    /* A 2D resource is no blob. */
    g_assert_cmphex(gpu_create_2d(gpu, 6), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 6, 0, NULL), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 6), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 6), ==, BAD);
    gpu_unref(gpu, 6);
}

/* UNMAP_BLOB of what is not mapped: an error, but after a refused MAP_BLOB */
static void test_unmap_refused(GPU *gpu)
{
    static const struct {
        ScriptedBlob blob;
        uint32_t flags;
        uint64_t offset;
        uint32_t answer;
    } refusals[] = {
        { DMABUF(.answer = ANSWER_INCOHERENT), MAPPABLE, 0, UNSPEC },
        { DMABUF(), MAPPABLE, 0, UNSPEC },
        { BUFFER_BUT(.length = LENGTH_HALF), MAPPABLE, 0, UNSPEC },
        { BUFFER_BUT(.mmap = MMAP_ENOMEM), MAPPABLE, 0, NO_MEMORY },
        { POINTER_BUT(.pointer = POINTER_EINVAL), MAPPABLE, 0, UNSPEC },
        { BUFFER, 0, 0, BAD },
        { BUFFER, MAPPABLE, 1, BAD },
        { BUFFER, MAPPABLE, WINDOW, BAD },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_assert_cmphex(gpu_create_flags(gpu, 1, refusals[i].blob, GPU_PAGE,
                                         refusals[i].flags), ==, OK);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
        g_assert_cmphex(gpu_map(gpu, 1, refusals[i].offset, NULL), ==,
                        refusals[i].answer);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
        /* Twice refused is refused. */
        gpu_map(gpu, 1, refusals[i].offset, NULL);
        gpu_map(gpu, 1, refusals[i].offset, NULL);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    }
    /* A refusal that has its line needs no other. */
    g_assert_cmpuint(gpu_count_log(gpu, "ctrl 0x208"), ==, 0);
    g_assert_cmpuint(gpu_count_log(gpu, "ctrl 0x209"), ==,
                     3 * G_N_ELEMENTS(refusals));
}

static uint32_t run_short(GPU *gpu, uint32_t type, size_t out_len,
                          size_t in_len, unsigned pieces)
{
    struct virtio_gpu_resource_map_blob cmd = {
        .hdr.type = cpu_to_le32(type),
        .resource_id = cpu_to_le32(1),
    };

    return gpu_take(gpu, gpu_put(gpu, &(GPUCmd) {
        .out = &cmd, .out_len = out_len, .in_len = in_len, .pieces = pieces,
    }));
}

static void test_truncated(GPU *gpu)
{
    const uint32_t map = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB;
    const uint32_t unmap = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;
    const size_t full = sizeof(struct virtio_gpu_resource_map_blob);
    const size_t hdr = sizeof(struct virtio_gpu_ctrl_hdr);
    size_t len;

    gpu_create(gpu, 1, BUFFER, GPU_PAGE);
    /* Less than a header: not even the type is there. */
    for (len = 1; len < full; len++) {
        uint32_t answer = run_short(gpu, map, len, 64, 0);

        g_assert_true(len < hdr ? answer >= UNSPEC : answer == BAD);
    }
    g_assert_cmpuint(gpu_refused(gpu, "bad-command"), ==, full - hdr);
    g_assert_cmpuint(gpu_stat(gpu, "maps"), ==, 0);

    for (len = 1; len < sizeof(struct virtio_gpu_resp_map_info); len++) {
        g_assert_cmphex(run_short(gpu, map, full, len, 0), ==,
                        len < hdr ? 0 : BAD);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        g_assert_false(gpu_shows(gpu, 0, 1, 0));
    }
    g_assert_cmpuint(gpu_refused(gpu, "short-reply"), ==, len - 1);
    /* It is refused as any other. */
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);

    g_assert_cmphex(run_short(gpu, map, full, 64, 13), ==, GRANTED);
    for (len = hdr; len < sizeof(struct virtio_gpu_resource_unmap_blob);
         len++) {
        g_assert_cmphex(run_short(gpu, unmap, len, 64, 0), ==, BAD);
    }
    g_assert_true(gpu_shows(gpu, 0, 1, 0));
    g_assert_cmphex(run_short(gpu, unmap, full, 64, 7), ==, OK);
    gpu_unref(gpu, 1);
}

/* Byte by byte, as guests know it */
static void test_reply(GPU *gpu)
{
    struct virtio_gpu_resource_map_blob cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB),
        .hdr.flags = cpu_to_le32(VIRTIO_GPU_FLAG_FENCE),
        .hdr.fence_id = cpu_to_le64(77),
        .hdr.ctx_id = cpu_to_le32(9),
        .resource_id = cpu_to_le32(1),
    };
    const struct virtio_gpu_resp_map_info *reply;
    unsigned slot;
    uint32_t len;

    gpu_create(gpu, 1, DMABUF(.answer = ANSWER_WC), GPU_PAGE);
    slot = gpu_put(gpu, &(GPUCmd) {
        .out = &cmd, .out_len = sizeof(cmd), .in_len = 256,
    });
    gpu_kick(gpu);
    gpu_wait(gpu, slot);
    reply = gpu_reply(gpu, slot, &len);
    g_assert_cmpuint(len, ==, sizeof(*reply));
    g_assert_cmphex(le32_to_cpu(reply->hdr.type), ==, 0x1106);
    g_assert_cmphex(le32_to_cpu(reply->hdr.flags), ==, VIRTIO_GPU_FLAG_FENCE);
    g_assert_cmphex(le64_to_cpu(reply->hdr.fence_id), ==, 77);
    g_assert_cmphex(le32_to_cpu(reply->map_info), ==, VIRTIO_GPU_MAP_CACHE_WC);
    g_assert_cmphex(reply->padding, ==, 0);
    gpu_free(gpu, slot);
    gpu_unref(gpu, 1);
}

static void check_fenced(GPU *gpu, ScriptedBlob blob, uint32_t type)
{
    struct scripted_shared *s = gpu->shared;
    const struct virtio_gpu_ctrl_hdr *reply;
    unsigned slot;

    gpu_map_new(gpu, 1, blob, GPU_PAGE, GPU_PAGE);
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
    g_assert_false(gpu_shows(gpu, GPU_PAGE, 1, 0));
    s->hold_fences = 0;
    gpu_wait(gpu, slot);
    reply = gpu_reply(gpu, slot, NULL);
    g_assert_cmphex(le32_to_cpu(reply->type), ==, OK);
    g_assert_cmphex(le64_to_cpu(reply->fence_id), ==, 100);
    gpu_free(gpu, slot);
    g_assert_cmphex(gpu_unref(gpu, 1), ==,
                    type == VIRTIO_GPU_CMD_RESOURCE_UNREF ? BAD_ID : OK);
}

static void test_fenced(GPU *gpu)
{
    check_fenced(gpu, BUFFER, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB);
    check_fenced(gpu, BUFFER, VIRTIO_GPU_CMD_RESOURCE_UNREF);
    check_fenced(gpu, DRIVERS, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB);
    check_fenced(gpu, DRIVERS, VIRTIO_GPU_CMD_RESOURCE_UNREF);
}

/* A busy queue: a map of the same resource waits for its unmap, in order. */
static void test_busy_queue(GPU *gpu)
{
    unsigned unmap[8], map[8], i;

    for (i = 0; i < 8; i++) {
        gpu_map_new(gpu, i + 1, DRIVERS, GPU_PAGE, i * GPU_PAGE);
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
        g_assert_true(gpu_shows(gpu, (7 - i) * GPU_PAGE + GPU_MIB, i + 1, 0));
        g_assert_cmphex(gpu_unref(gpu, i + 1), ==, OK);
    }
}

/* Without a window, or without blob resources, there is nothing to map. */
static void test_no_window(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = 0 });

    g_assert_cmphex(gpu->window_length, ==, 0);
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "no-window"), ==, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
    gpu_unref(gpu, 1);
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    gpu_reset(gpu);
    gpu_finish(gpu);

    gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .props = ",blob=off" });
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD_ID);
    g_assert_cmpuint(gpu_stat(gpu, "largest-hole"), ==, 0);
    gpu_reset(gpu);
    gpu_finish(gpu);
}

static void test_vga(GPU *gpu)
{
    g_assert_cmphex(gpu->window_length, ==, WINDOW);
    gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, GPU_PAGE);
    g_assert_true(gpu_shows(gpu, GPU_PAGE, 1, 0));
    gpu_unref(gpu, 1);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "edges", test_edges },
        { "overlap", test_overlap },
        { "no-resource", test_no_resource },
        { "unmap-refused", test_unmap_refused,
          { .logged = true, .args = "-d guest_errors" } },
        { "truncated", test_truncated },
        { "reply", test_reply },
        { "fenced", test_fenced },
        { "busy-queue", test_busy_queue },
        { "no-window", .alone = test_no_window },
        { "vga", test_vga, { .device = "virtio-vga-gl", .policy = "strict" } },
    };

    return gpu_run_tests(argc, argv, "map", tests, G_N_ELEMENTS(tests));
}
