/*
 * qtest for virtio-gpu-gl: RESOURCE_MAP_BLOB and RESOURCE_UNMAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-gpu-gl-client.h"

typedef struct Edge {
    uint64_t size;
    uint64_t offset;
    const char *reason; /* NULL: granted */
} Edge;

#define OUTSIDE "outside-window"

static const Edge edges[] = {
    { GPU_PAGE, 0 },
    { GPU_PAGE, WINDOW - GPU_PAGE },
    { WINDOW, 0 },
    { 5000, WINDOW - 2 * GPU_PAGE },
    { 1, WINDOW - GPU_PAGE },

    { 0, 0, "bad-size" },
    { GPU_PAGE, 1, "misaligned-offset" },
    { GPU_PAGE, 0x100, "misaligned-offset" },
    { GPU_PAGE, GPU_PAGE - 1, "misaligned-offset" },
    { GPU_PAGE, GPU_PAGE + 512, "misaligned-offset" },
    { GPU_PAGE, UINT64_MAX, "misaligned-offset" },

    { GPU_PAGE, WINDOW, OUTSIDE },
    { 2 * GPU_PAGE, WINDOW - GPU_PAGE, OUTSIDE },
    { 5000, WINDOW - GPU_PAGE, OUTSIDE },
    { WINDOW, GPU_PAGE, OUTSIDE },
    { WINDOW + 1, 0, OUTSIDE },
    { WINDOW + GPU_PAGE, 0, OUTSIDE },
    { GPU_PAGE, 1ull << 40, OUTSIDE },
    { GPU_PAGE, -GPU_PAGE, OUTSIDE },
    { 2 * GPU_PAGE, -GPU_PAGE, OUTSIDE },
    { WINDOW, -WINDOW, OUTSIDE },
    { 1ull << 63, 0, OUTSIDE },
    { 1ull << 63, 1ull << 63, OUTSIDE },
    { UINT64_MAX, 0, OUTSIDE },
    { UINT64_MAX, GPU_PAGE, OUTSIDE },
    { -GPU_PAGE, GPU_PAGE, OUTSIDE },
    { -GPU_PAGE, 2 * GPU_PAGE, OUTSIDE },
};

static void check_edge(GPU *gpu, uint32_t id, const Edge *e)
{
    uint64_t before = e->reason ? gpu_refused(gpu, e->reason) : 0;
    uint32_t map_info;

    g_test_message("size 0x%" PRIx64 " offset 0x%" PRIx64 " %s",
                   e->size, e->offset, e->reason ? e->reason : "granted");
    g_assert_cmphex(gpu_create(gpu, id, CACHED_BUF, e->size), ==, OK);
    g_assert_cmphex(gpu_map(gpu, id, e->offset, &map_info), ==,
                    e->reason ? BAD : GRANTED);
    if (e->reason) {
        g_assert_cmpuint(gpu_refused(gpu, e->reason), ==, before + 1);
        g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
        g_assert_cmphex(gpu_unmap(gpu, id), ==, BAD);
    } else {
        g_assert_cmphex(gpu_read(gpu, e->offset), ==, scripted_stamp(id, 0));
        g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
    }
    g_assert_cmphex(gpu_unref(gpu, id), ==, OK);
}

static void test_edges(void)
{
    GPU *gpu = gpu_start_plain();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(edges); i++) {
        check_edge(gpu, i + 1, &edges[i]);
    }
    gpu_finish(gpu);
}

static void test_overlap(void)
{
    GPU *gpu = gpu_start_plain();

    gpu_create(gpu, 1, CACHED_BUF, 4 * GPU_PAGE);
    gpu_create(gpu, 2, CACHED_BUF, 4 * GPU_PAGE);
    gpu_create(gpu, 3, DRIVERS, 4 * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 8 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 2, 8 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 2, 5 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 2, 11 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 3, 11 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "overlap"), ==, 4);
    g_assert_cmphex(gpu_read(gpu, 8 * GPU_PAGE), ==, scripted_stamp(1, 0));

    /* Neighbours do not overlap. */
    g_assert_cmphex(gpu_map(gpu, 2, 4 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 3, 12 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, 7 * GPU_PAGE), ==, scripted_stamp(2, 3));
    g_assert_cmphex(gpu_read(gpu, 8 * GPU_PAGE), ==, scripted_stamp(1, 0));
    g_assert_cmphex(gpu_read(gpu, 12 * GPU_PAGE), ==, scripted_stamp(3, 0));

    /* A blob has one place. */
    g_assert_cmphex(gpu_map(gpu, 1, 8 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 1, 20 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "already-mapped"), ==, 2);

    /* A region is still in the way of others, until it is gone. */
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 10 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 3), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 10 * GPU_PAGE, NULL), ==, GRANTED);
    gpu_unref(gpu, 3);
    gpu_unref(gpu, 2);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

static void test_order(void)
{
    GPU *gpu = gpu_start_plain();

    g_assert_cmphex(gpu_map(gpu, 0, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_map(gpu, UINT32_MAX, 0, NULL), ==, BAD_ID);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 3);
    g_assert_cmphex(gpu_unmap(gpu, 0), ==, BAD_ID);
    g_assert_cmphex(gpu_unmap(gpu, 5), ==, BAD_ID);

    /* Not to be mapped */
    g_assert_cmphex(gpu_create_flags(gpu, 5, CACHED_BUF, GPU_PAGE, 0), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "not-mappable"), ==, 1);
    gpu_unref(gpu, 5);
    g_assert_cmphex(gpu_create_flags(gpu, 5, CACHED_BUF, GPU_PAGE,
                                     VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE),
                    ==, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD);
    gpu_unref(gpu, 5);

    /* The renderer has no such buffer, and says so twice. */
    g_assert_cmphex(gpu_create(gpu, 5, CACHED_BUF | SCRIPTED_CREATE_FAILS,
                               GPU_PAGE), !=, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_create(gpu, 5, CACHED_BUF | SCRIPTED_INFO_FAILS,
                               GPU_PAGE), !=, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD_ID);

    /* A guest's own memory has no place in the window by itself. */
    g_assert_cmphex(gpu_create_guest(gpu, 5, 4), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), >=, VIRTIO_GPU_RESP_ERR_UNSPEC);
    g_assert_cmphex(gpu_unref(gpu, 5), ==, OK);

    /* Twice, or too late */
    gpu_create(gpu, 5, CACHED_BUF, GPU_PAGE);
    g_assert_cmphex(gpu_unmap(gpu, 5), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, 5), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 5), ==, BAD);
    g_assert_cmphex(gpu_unref(gpu, 5), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 5), ==, BAD_ID);
    g_assert_cmphex(gpu_unmap(gpu, 5), ==, BAD_ID);

    /* A 2D resource is no blob. */
    g_assert_cmphex(gpu_create_2d(gpu, 6), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 6, 0, NULL), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 6), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 6), ==, BAD);
    gpu_unref(gpu, 6);
    gpu_finish(gpu);
}

static uint32_t run_short(GPU *gpu, uint32_t type, size_t out_len,
                          size_t in_len, unsigned pieces)
{
    struct virtio_gpu_resource_map_blob cmd = {
        .hdr.type = cpu_to_le32(type),
        .resource_id = cpu_to_le32(1),
    };
    GPUCmd c = { .out = &cmd, .out_len = out_len, .in_len = in_len,
                 .pieces = pieces };
    unsigned slot = gpu_put(gpu, &c);
    uint32_t answer = gpu_take(gpu, slot), len;

    gpu_reply(gpu, slot, &len);
    g_assert_cmpuint(len, <=, in_len);
    return answer;
}

static void test_truncated(void)
{
    const uint32_t map = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB;
    const uint32_t unmap = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;
    const size_t full = sizeof(struct virtio_gpu_resource_map_blob);
    const size_t hdr = sizeof(struct virtio_gpu_ctrl_hdr);
    GPU *gpu = gpu_start_plain();
    size_t len;

    gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE);
    for (len = hdr; len < full; len++) {
        g_assert_cmphex(run_short(gpu, map, len, 64, 0), ==, BAD);
    }
    g_assert_cmpuint(gpu_refused(gpu, "bad-command"), ==, full - hdr);
    /* Less than a header: not even the type is there. */
    for (len = 1; len < hdr; len++) {
        g_assert_cmphex(run_short(gpu, map, len, 64, 0), >=,
                        VIRTIO_GPU_RESP_ERR_UNSPEC);
    }
    g_assert_cmpuint(gpu_stat(gpu, "maps"), ==, 0);

    for (len = 1; len < sizeof(struct virtio_gpu_resp_map_info); len++) {
        g_assert_cmphex(run_short(gpu, map, full, len, 0), ==,
                        len < hdr ? 0 : BAD);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));
    }
    g_assert_cmpuint(gpu_refused(gpu, "short-reply"), ==, len - 1);

    g_assert_cmphex(run_short(gpu, map, full, 64, 13), ==, GRANTED);
    for (len = hdr; len < sizeof(struct virtio_gpu_resource_unmap_blob);
         len++) {
        g_assert_cmphex(run_short(gpu, unmap, len, 64, 0), ==, BAD);
    }
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
    g_assert_cmphex(run_short(gpu, unmap, full, 64, 7), ==, OK);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

static void test_reply(void)
{
    struct virtio_gpu_resource_map_blob cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB),
        .hdr.flags = cpu_to_le32(VIRTIO_GPU_FLAG_FENCE),
        .hdr.fence_id = cpu_to_le64(77),
        .hdr.ctx_id = cpu_to_le32(9),
        .resource_id = cpu_to_le32(1),
    };
    GPUCmd c = { .out = &cmd, .out_len = sizeof(cmd), .in_len = 256 };
    GPU *gpu = gpu_start_plain();
    const struct virtio_gpu_resp_map_info *reply;
    unsigned slot;
    uint32_t len;

    gpu_create(gpu, 1, SCRIPTED_DMABUF | SCRIPTED_WC, GPU_PAGE);
    slot = gpu_put(gpu, &c);
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
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);

    /* Without space for the reply, the map is refused as any other. */
    c.in_len = sizeof(*reply) - 1;
    cmd.hdr.flags = 0;
    g_assert_cmphex(gpu_take(gpu, gpu_put(gpu, &c)), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

static void test_no_window(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = 0 });

    g_assert_cmphex(gpu_window_length(gpu), ==, 0);
    g_assert_cmphex(gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "no-window"), ==, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
    gpu_unref(gpu, 1);
    gpu_reset(gpu);
    gpu_finish(gpu);
}

/* Without blob resources there is nothing to map, whatever the window. */
static void test_no_blobs(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .props = ",blob=off",
    });

    g_assert_cmphex(gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE), ==, BAD);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD_ID);
    g_assert_cmpuint(gpu_stat(gpu, "largest-hole"), ==, 0);
    gpu_reset(gpu);
    gpu_finish(gpu);
}

static void test_vga(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .device = "virtio-vga-gl", .hostmem = WINDOW, .policy = "strict",
    });

    g_assert_cmphex(gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(1, 0));
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* A time in ms, of the host's clock, that is not before @start in us */
static void check_time(GPU *gpu, const char *stat, int64_t start)
{
    int64_t ms = gpu_stat(gpu, stat);

    g_assert_cmpint(ms, >=, start / 1000);
    g_assert_cmpint(ms, <=, g_get_real_time() / 1000);
}

static void test_properties(void)
{
    int64_t start = g_get_real_time();
    GPU *gpu = gpu_start_plain();
    QObject *maps;
    QDict *m;

    gpu_create(gpu, 7, SCRIPTED_DMABUF | SCRIPTED_WC | SCRIPTED_EXP_I915 |
               SCRIPTED_WORD_CACHED, 2 * GPU_PAGE);
    gpu_map(gpu, 7, 3 * GPU_PAGE, NULL);
    maps = gpu_property(gpu, "blob-maps");
    g_assert_cmpuint(qlist_size(qobject_to(QList, maps)), ==, 1);
    m = qobject_to(QDict, qlist_peek(qobject_to(QList, maps)));
    g_assert_cmpint(qdict_get_int(m, "resource"), ==, 7);
    g_assert_cmpint(qdict_get_int(m, "context"), ==, 1);
    g_assert_cmpint(qdict_get_int(m, "offset"), ==, 3 * GPU_PAGE);
    g_assert_cmpint(qdict_get_int(m, "size"), ==, 2 * GPU_PAGE);
    g_assert_cmpstr(qdict_get_str(m, "backing"), ==, "dmabuf");
    g_assert_cmpstr(qdict_get_str(m, "exporter-answer"), ==, "coherent-wc");
    g_assert_cmpstr(qdict_get_str(m, "renderer"), ==, "cached");
    g_assert_cmpstr(qdict_get_str(m, "map-type"), ==, "wc");
    g_assert_cmpstr(qdict_get_str(m, "voucher"), ==, "exporter");
    g_assert_cmpstr(qdict_get_str(m, "path"), ==, "window");
    qobject_unref(maps);
    check_time(gpu, "last-map-ms", start);
    g_assert_cmpuint(gpu_stat(gpu, "last-refusal-ms"), ==, 0);
    g_assert_cmphex(gpu_map(gpu, 7, 0, NULL), ==, BAD);
    check_time(gpu, "last-refusal-ms", start);
    gpu_unref(gpu, 7);
    gpu_finish(gpu);
}

/* As many as a monitor can bear */
static void test_long_list(void)
{
    uint32_t replies[300];
    GPU *gpu = gpu_start_plain();
    QObject *maps;

    gpu_batch(gpu, gpu_put_shared, 1, 300, replies);
    gpu_batch(gpu, gpu_put_map_next, 1, 300, replies);
    maps = gpu_property(gpu, "blob-maps");
    g_assert_cmpuint(qlist_size(qobject_to(QList, maps)), ==, 256);
    qobject_unref(maps);
    gpu_batch(gpu, gpu_put_unref, 1, 300, replies);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "edges", test_edges },
        { "overlap", test_overlap },
        { "order", test_order },
        { "truncated", test_truncated },
        { "reply", test_reply },
        { "no-window", test_no_window },
        { "no-blobs", test_no_blobs },
        { "vga", test_vga },
        { "properties", test_properties },
        { "long-list", test_long_list },
    };

    return gpu_run_tests(argc, argv, "command", tests, G_N_ELEMENTS(tests));
}
