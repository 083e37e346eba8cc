/*
 * qtest for virtio-gpu-gl: the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-gpu-gl-client.h"

#define OK VIRTIO_GPU_RESP_OK_NODATA
#define GRANTED VIRTIO_GPU_RESP_OK_MAP_INFO
#define BAD_ID VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY

#define WINDOW (64 * GPU_MIB)
#define CACHED_BUF (SCRIPTED_DMABUF | SCRIPTED_CACHED)
#define POINTER (SCRIPTED_NONE | SCRIPTED_WORD_CACHED)
#define REGIONS_MAX 256
#define PLACES_MAX 1024 /* kept apart, two mappings each at most */
#define HOLE "virtio-gpu-hole"

static GPU *start(void)
{
    return gpu_start(&(GPUConfig) { .hostmem = WINDOW });
}

static void stop(GPU *gpu)
{
    gpu_check_nothing_left(gpu);
    gpu_stop(gpu);
}

/*
 * Requests at their edges
 */

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
        g_assert_cmphex(gpu_unmap(gpu, id), ==, BAD);
    } else {
        g_assert_cmphex(gpu_read(gpu, e->offset), ==, scripted_stamp(id, 0));
        g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
    }
    g_assert_cmphex(gpu_unref(gpu, id), ==, OK);
}

static void test_edges(void)
{
    GPU *gpu = start();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(edges); i++) {
        check_edge(gpu, i + 1, &edges[i]);
    }
    stop(gpu);
}

static void test_overlap(void)
{
    GPU *gpu = start();

    gpu_create(gpu, 1, CACHED_BUF, 4 * GPU_PAGE);
    gpu_create(gpu, 2, CACHED_BUF, 4 * GPU_PAGE);
    gpu_create(gpu, 3, POINTER, 4 * GPU_PAGE);
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
    stop(gpu);
}

static void test_order(void)
{
    GPU *gpu = start();

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
    g_assert_cmphex(gpu_run(gpu, &(struct virtio_gpu_resource_create_2d) {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D),
        .resource_id = cpu_to_le32(6),
        .format = cpu_to_le32(VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM),
        .width = cpu_to_le32(64), .height = cpu_to_le32(64),
    }, sizeof(struct virtio_gpu_resource_create_2d),
    &(struct virtio_gpu_ctrl_hdr) { }, sizeof(struct virtio_gpu_ctrl_hdr)),
                    ==, OK);
    g_assert_cmphex(gpu_map(gpu, 6, 0, NULL), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 6), ==, BAD);
    gpu_unref(gpu, 6);
    stop(gpu);
}

/*
 * Commands and replies that are too short, or in many pieces
 */

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
    const struct virtio_gpu_ctrl_hdr *reply;
    uint32_t len, ret;

    gpu_kick(gpu);
    gpu_wait(gpu, slot);
    reply = gpu_reply(gpu, slot, &len);
    ret = len >= sizeof(*reply) ? le32_to_cpu(reply->type) : 0;
    g_assert_cmpuint(len, <=, in_len);
    gpu_free(gpu, slot);
    return ret;
}

static void test_truncated(void)
{
    const uint32_t map = VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB;
    const uint32_t unmap = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;
    const size_t full = sizeof(struct virtio_gpu_resource_map_blob);
    const size_t hdr = sizeof(struct virtio_gpu_ctrl_hdr);
    GPU *gpu = start();
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
    stop(gpu);
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
    GPU *gpu = start();
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
    gpu_unref(gpu, 1);
    stop(gpu);
}

static void test_no_window(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = 0 });

    g_assert_cmphex(gpu_window_length(gpu), ==, 0);
    g_assert_cmphex(gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD);
    g_assert_cmpuint(gpu_refused(gpu, "no-window"), ==, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
    gpu_unref(gpu, 1);
    gpu_reset(gpu);
    stop(gpu);
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
    gpu_reset(gpu);
    stop(gpu);
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
    stop(gpu);
}

/*
 * Many commands at once, and failures
 */

#define SHARED_BUF (CACHED_BUF | SCRIPTED_ONE_BUFFER)

static unsigned put_shared(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, SHARED_BUF, GPU_PAGE);
}

static unsigned put_map_next(GPU *gpu, uint32_t id)
{
    return gpu_put_map(gpu, id, id * GPU_PAGE);
}

static unsigned put_map_apart(GPU *gpu, uint32_t id)
{
    return gpu_put_map(gpu, id, id * 2 * GPU_PAGE);
}

static unsigned put_unmap(GPU *gpu, uint32_t id)
{
    return gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, id);
}

static unsigned put_unref(GPU *gpu, uint32_t id)
{
    return gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, id);
}

static unsigned count(const uint32_t *replies, unsigned n, uint32_t type)
{
    unsigned i, found = 0;

    for (i = 0; i < n; i++) {
        found += replies[i] == type;
    }
    return found;
}

static void fail(GPU *gpu, uint32_t kinds, uint32_t skip, uint32_t count)
{
    gpu_shared(gpu)->fail = (struct scripted_fail) {
        .kinds = kinds, .skip = skip, .count = count, .error = ENOMEM,
    };
}

/*
 * Holes
 */

static uint64_t hole_blocks(GPU *gpu)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd",
                                            (int)qtest_pid(gpu_qts(gpu)));
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    uint64_t bytes = 0;
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        g_autofree char *target = g_file_read_link(file, NULL);
        struct stat st;

        if (target && strstr(target, HOLE) && !stat(file, &st)) {
            bytes += st.st_blocks * 512ull;
        }
    }
    return bytes;
}

static uint64_t memory_of(GPU *gpu)
{
    return hole_blocks(gpu) + (gpu_status_kib(gpu, "RssAnon:") +
                               gpu_status_kib(gpu, "VmPTE:")) * 1024;
}

static void test_holes(void)
{
    const uint64_t size = 8192 * GPU_MIB, chunk = 64 * GPU_MIB;
    /* Faults take their time: a quarter of the pages unless told otherwise */
    const uint64_t step = g_test_slow() ? chunk : 4 * chunk;
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = size });
    uint64_t before, offset;

    gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, chunk, NULL), ==, GRANTED);
    /* The protocol's own buffer */
    qtest_memset(gpu_qts(gpu), gpu_window(gpu), 0, chunk);
    gpu_reset(gpu);
    before = memory_of(gpu);
    for (offset = 0; offset < size; offset += step) {
        qtest_memset(gpu_qts(gpu), gpu_window(gpu) + offset, 0x77, chunk);
    }
    g_test_message("grown by %" PRIu64 " KiB",
                   (memory_of(gpu) - before) / 1024);
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(memory_of(gpu) - before, <=, 64 * GPU_MIB);
    }

    /* Given back with a reset */
    gpu_reset(gpu);
    g_assert_cmpuint(hole_blocks(gpu), <=, GPU_MIB);
    stop(gpu);
}

/* What a hole shows is never a buffer's, and what goes in never gets there. */
static void test_hole_is_apart(void)
{
    GPU *gpu = start();
    unsigned i;

    gpu_create(gpu, 1, CACHED_BUF, 8 * GPU_PAGE);
    for (i = 0; i < 8; i++) {
        gpu_write(gpu, i * GPU_PAGE, 0xdeadull << 32 | i);
    }
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    for (i = 0; i < 8; i++) {
        g_assert_cmphex(gpu_read(gpu, i * GPU_PAGE), ==, scripted_stamp(1, i));
    }
    gpu_write(gpu, 2 * GPU_PAGE, 42);
    gpu_unmap(gpu, 1);
    for (i = 0; i < 8; i++) {
        gpu_write(gpu, i * GPU_PAGE, 43);
    }
    g_assert_cmphex(gpu_buffer_read(gpu, 1, 2 * GPU_PAGE), ==, 42);
    g_assert_cmphex(gpu_buffer_read(gpu, 1, 3 * GPU_PAGE), ==,
                    scripted_stamp(1, 3));
    gpu_unref(gpu, 1);
    stop(gpu);
}

/* The places of the last blobs wait for the next; a reset joins them. */
static void test_left_places(void)
{
    const unsigned n = PLACES_MAX + 100;
    g_autofree uint32_t *replies = g_new(uint32_t, n);
    GPU *gpu = start();
    unsigned before = gpu_count_maps(gpu, HOLE), after, round;

    gpu_batch(gpu, put_shared, 1, n, replies);
    for (round = 0; round < 3; round++) {
        gpu_batch(gpu, put_map_apart, 1, n, replies);
        g_assert_cmpuint(count(replies, n, GRANTED), ==, n);
        gpu_batch(gpu, put_unmap, 1, n, replies);
        g_assert_cmpuint(count(replies, n, OK), ==, n);
        after = gpu_count_maps(gpu, HOLE);
        g_assert_cmpuint(after, >, before + PLACES_MAX);
        g_assert_cmpuint(after, <=, before + 2 * PLACES_MAX);
    }
    /* What does not change costs nothing. */
    g_assert_cmphex(gpu_map(gpu, n, n * 2 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, n), ==, OK);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, after);

    /* No memory to join the oldest: the youngest joins at once. */
    g_assert_cmphex(gpu_map(gpu, 1, WINDOW - GPU_PAGE, NULL), ==, GRANTED);
    fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), <=, after);

    /* What a reset cannot join, the next one does. */
    fail(gpu, SCRIPTED_MAP_OTHER, 1, 2);
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), >, before + PLACES_MAX);
    gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, before);
    stop(gpu);
}

/* A blob of @pages at @page comes where others of four pages were. */
static void check_new_place(GPU *gpu, unsigned page, unsigned pages)
{
    unsigned i;

    for (i = 1; i <= 2; i++) {
        gpu_create(gpu, i, CACHED_BUF, 4 * GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, i, (4 + i * 4) * GPU_PAGE, NULL), ==,
                        GRANTED);
        g_assert_cmphex(gpu_unref(gpu, i), ==, OK);
    }
    gpu_create(gpu, 3, CACHED_BUF, pages * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 3, page * GPU_PAGE, NULL), ==, GRANTED);
    for (i = 0; i < 24; i++) {
        bool inside = i >= page && i < page + pages;

        gpu_write(gpu, i * GPU_PAGE + 8, i);
        if (inside) {
            g_assert_cmphex(gpu_read(gpu, i * GPU_PAGE), ==,
                            scripted_stamp(3, i - page));
            g_assert_cmphex(gpu_buffer_read(gpu, 3,
                                            (i - page) * GPU_PAGE + 8), ==, i);
        }
    }
    for (i = 0; i < pages; i++) {
        g_assert_cmphex(gpu_buffer_read(gpu, 3, i * GPU_PAGE + 8), ==,
                        page + i);
    }
    g_assert_cmphex(gpu_unref(gpu, 3), ==, OK);
    for (i = 0; i < 24; i++) {
        g_assert_cmphex(gpu_read(gpu, i * GPU_PAGE) >> 32, !=,
                        scripted_stamp(3, 0) >> 32);
    }
}

static void test_new_places(void)
{
    static const struct {
        unsigned page, pages;
    } places[] = {
        { 8, 4 }, { 12, 4 },            /* as it was */
        { 6, 4 }, { 10, 4 }, { 14, 4 }, /* over an end, or two */
        { 9, 2 }, { 8, 2 }, { 10, 2 },  /* within */
        { 7, 6 }, { 8, 8 }, { 6, 12 },  /* around */
        { 4, 4 }, { 16, 4 },            /* beside */
    };
    GPU *gpu = start();
    unsigned before = gpu_count_maps(gpu, HOLE);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(places); i++) {
        check_new_place(gpu, places[i].page, places[i].pages);
        check_new_place(gpu, places[i].page, places[i].pages);
        gpu_reset(gpu);
        g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, before);
    }

    /* A place longer than the memory that shows in holes joins at once. */
    gpu_create(gpu, 1, CACHED_BUF, 40 * GPU_MIB);
    g_assert_cmphex(gpu_map(gpu, 1, 8 * GPU_MIB, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, before);

    /* No memory to join a place that the next blob cuts */
    gpu_create(gpu, 2, CACHED_BUF, 4 * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 2, 4 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, 2), ==, OK);
    fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_map(gpu, 2, 6 * GPU_PAGE, NULL), ==, NO_MEMORY);
    gpu_write(gpu, 6 * GPU_PAGE, 1);
    g_assert_cmphex(gpu_map(gpu, 2, 6 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, 7 * GPU_PAGE), ==, scripted_stamp(2, 1));
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    stop(gpu);
}

/* The device has its own handle: the renderer may drop the buffer. */
static void test_own_handle(void)
{
    GPU *gpu = start();
    uint32_t id;

    for (id = 1; id <= 2; id++) {
        gpu_create(gpu, id, id == 1 ? CACHED_BUF : POINTER, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, id, id * GPU_PAGE, NULL), ==, GRANTED);
        gpu_buffer_write(gpu, id, 8, 4711);
        g_assert_cmphex(gpu_read(gpu, id * GPU_PAGE + 8), ==, 4711);
    }
    g_assert_cmpuint(gpu_shared(gpu)->maps, ==, 1);
    g_assert_cmpuint(gpu_shared(gpu)->exports, ==,
                     gpu_shared(gpu)->closes);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    stop(gpu);
}

/*
 * Many
 */

#define MANY 30000

static void test_many(void)
{
    g_autofree uint32_t *replies = g_new(uint32_t, MANY);
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = 256 * GPU_MIB });
    uint64_t before;

    gpu_batch(gpu, put_shared, 1, MANY, replies);
    g_assert_cmpuint(count(replies, MANY, OK), ==, MANY);
    before = gpu_status_kib(gpu, "RssAnon:");
    gpu_batch(gpu, put_map_next, 1, MANY, replies);
    g_assert_cmpuint(count(replies, MANY, GRANTED), ==, MANY);
    g_test_message("%" PRIu64 " bytes of memory a blob",
                   (gpu_status_kib(gpu, "RssAnon:") - before) * 1024 / MANY);
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint((gpu_status_kib(gpu, "RssAnon:") - before) * 1024,
                         <=, 512 * MANY);
    }
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, MANY);
    g_assert_cmpuint(gpu_stat(gpu, "high-water"), ==, MANY);
    gpu_batch(gpu, put_unmap, 1, MANY / 2, replies);
    g_assert_cmpuint(count(replies, MANY / 2, OK), ==, MANY / 2);

    /* The rest goes with a reset. */
    gpu_reset(gpu);
    stop(gpu);
}

static unsigned max_map_count(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL,
                             NULL)) {
        return 0;
    }
    return g_ascii_strtoull(text, NULL, 10);
}

/* Each blob between two holes: as many mappings as the kernel gives */
static void test_map_count(void)
{
    unsigned limit = max_map_count(), n = limit / 2, granted, refused;
    g_autofree uint32_t *replies = g_new(uint32_t, n);
    GPU *gpu;

    if (!limit || limit > 200000) {
        g_test_skip("vm.max_map_count is too high to be reached");
        return;
    }
    gpu = gpu_start(&(GPUConfig) { .hostmem = 1024 * GPU_MIB });
    gpu_batch(gpu, put_shared, 1, n, replies);
    gpu_batch(gpu, put_map_apart, 1, n, replies);
    granted = count(replies, n, GRANTED);
    refused = count(replies, n, NO_MEMORY);
    g_test_message("%u granted, %u refused", granted, refused);
    g_assert_cmpuint(granted + refused, ==, n);
    g_assert_cmpuint(granted, >, n * 9 / 10);
    g_assert_cmpuint(refused, >, 0);
    g_assert_cmpuint(gpu_refused(gpu, "too-many-mappings"), ==, refused);
    /* QEMU aborts when it cannot start a thread. */
    g_assert_cmpuint(gpu_count_maps(gpu, "\n"), <, limit - 1024);

    /* At the limit, blobs come and go. */
    gpu_read(gpu, (uint64_t)n * 2 * GPU_PAGE);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, granted / 2), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 2 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);

    gpu_batch(gpu, put_unref, 1, n, replies);
    g_assert_cmpuint(count(replies, n, OK), ==, n);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    gpu_reset(gpu);
    stop(gpu);
}

/*
 * Blobs without an fd
 */

static unsigned put_pointer(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, POINTER, GPU_PAGE);
}

static void test_regions(void)
{
    uint32_t replies[REGIONS_MAX + 2], id;
    GPU *gpu = start();

    gpu_batch(gpu, put_pointer, 1, G_N_ELEMENTS(replies), replies);
    gpu_batch(gpu, put_map_next, 1, G_N_ELEMENTS(replies), replies);
    g_assert_cmpuint(count(replies, REGIONS_MAX, GRANTED), ==, REGIONS_MAX);
    g_assert_cmphex(replies[REGIONS_MAX], ==, NO_MEMORY);
    g_assert_cmphex(replies[REGIONS_MAX + 1], ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "region-limit"), ==, 2);
    for (id = 1; id <= REGIONS_MAX; id += 17) {
        g_assert_cmphex(gpu_read(gpu, id * GPU_PAGE), ==,
                        scripted_stamp(id, 0));
        gpu_write(gpu, id * GPU_PAGE + 8, id);
        g_assert_cmphex(gpu_buffer_read(gpu, id, 8), ==, id);
    }

    /* One goes, one comes; others with an fd are not concerned. */
    gpu_create(gpu, 1000, CACHED_BUF, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1000, 1000 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, 5), ==, OK);
    g_assert_cmphex(gpu_map(gpu, REGIONS_MAX + 1, 5 * GPU_PAGE, NULL), ==,
                    GRANTED);
    g_assert_cmphex(gpu_read(gpu, 5 * GPU_PAGE), ==,
                    scripted_stamp(REGIONS_MAX + 1, 0));
    gpu_unref(gpu, 1000);

    gpu_batch(gpu, put_unmap, 100, 8, replies);
    g_assert_cmpuint(count(replies, 8, OK), ==, 8);
    /* Each takes RCU's time; all together go with a reset. */
    gpu_reset(gpu);
    g_assert_cmphex(gpu_create(gpu, 1, POINTER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
    gpu_unref(gpu, 1);
    stop(gpu);
}

/* Only the blob's own pages are shown: what follows may be anything. */
static void test_odd_size(void)
{
    GPU *gpu = start();

    gpu_create(gpu, 1, POINTER, GPU_PAGE + 100);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_create(gpu, 2, POINTER | SCRIPTED_PTR_EXACT, GPU_PAGE + 100);
    g_assert_cmphex(gpu_map(gpu, 2, 4 * GPU_PAGE, NULL), ==,
                    VIRTIO_GPU_RESP_ERR_UNSPEC);
    gpu_create(gpu, 3, CACHED_BUF, GPU_PAGE + 100);
    g_assert_cmphex(gpu_map(gpu, 3, 2 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, 3 * GPU_PAGE), ==, scripted_stamp(3, 1));
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_unref(gpu, 3);
    stop(gpu);
}

/*
 * Fences
 */

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
    while (gpu_stat(gpu, "live")) {
        gpu_settle(gpu);
    }
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
    GPU *gpu = start();

    check_fenced(gpu, CACHED_BUF, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB);
    check_fenced(gpu, CACHED_BUF, VIRTIO_GPU_CMD_RESOURCE_UNREF);
    check_fenced(gpu, POINTER, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB);
    check_fenced(gpu, POINTER, VIRTIO_GPU_CMD_RESOURCE_UNREF);
    stop(gpu);
}

/* A busy queue: what comes behind an unmap waits for it, in order. */
static void test_busy_queue(void)
{
    unsigned unmap[8], map[8], i;
    GPU *gpu = start();

    for (i = 0; i < 8; i++) {
        gpu_create(gpu, i + 1, POINTER, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, i + 1, i * GPU_PAGE, NULL), ==, GRANTED);
    }
    for (i = 0; i < 8; i++) {
        unmap[i] = gpu_put_fenced(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB,
                                  i + 1, i % 2 ? i : 0);
        map[i] = gpu_put_map(gpu, i + 1, (7 - i) * GPU_PAGE + GPU_MIB);
    }
    gpu_kick(gpu);
    for (i = 0; i < 8; i++) {
        const struct virtio_gpu_ctrl_hdr *reply;

        gpu_wait(gpu, unmap[i]);
        reply = gpu_reply(gpu, unmap[i], NULL);
        g_assert_cmphex(le32_to_cpu(reply->type), ==, OK);
        gpu_wait(gpu, map[i]);
        reply = gpu_reply(gpu, map[i], NULL);
        g_assert_cmphex(le32_to_cpu(reply->type), ==, GRANTED);
        gpu_free(gpu, unmap[i]);
        gpu_free(gpu, map[i]);
    }
    for (i = 0; i < 8; i++) {
        g_assert_cmphex(gpu_read(gpu, (7 - i) * GPU_PAGE + GPU_MIB), ==,
                        scripted_stamp(i + 1, 0));
        g_assert_cmphex(gpu_unref(gpu, i + 1), ==, OK);
    }
    stop(gpu);
}

/*
 * Reset
 */

static void fill(GPU *gpu, bool pointers)
{
    uint32_t id;

    for (id = 1; id <= 16; id++) {
        uint64_t blob_id = id % 4 == 0 && pointers ? POINTER :
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
    uint64_t rss = 0;
    GPU *gpu = start();
    unsigned fds = 0, maps = 0, i;

    for (i = 0; i < 1000; i++) {
        /* A reset with regions takes RCU's time. */
        fill(gpu, i % 50 == 0);
        gpu_reset(gpu);
        check_empty(gpu);
        if (i == 125) {
            rss = gpu_status_kib(gpu, "RssAnon:");
            fds = gpu_count_fds(gpu, "/");
            maps = gpu_count_maps(gpu, "\n");
        }
    }
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(gpu_status_kib(gpu, "RssAnon:"), <=, rss + 4096);
    }
    g_assert_cmpuint(gpu_count_fds(gpu, "/"), ==, fds);
    g_assert_cmpuint(gpu_count_maps(gpu, "\n"), <=, maps + 16);
    gpu_system_reset(gpu);
    fill(gpu, true);
    gpu_system_reset(gpu);
    check_empty(gpu);
    /* The renderer is reset with the next command. */
    g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
    stop(gpu);
}

/* Exit with live blobs of each kind */
/*
 * A vCPU's reset waits for the main loop, which has the commands of the
 * guest's last kick to run then.
 */
static void test_vcpu_reset(void)
{
    GPU *gpu = start();
    unsigned i;

    for (i = 0; i < 20; i++) {
        gpu_watch(gpu, SCRIPTED_WATCH_VCPU_RESET, 0);
        gpu_put_create(gpu, 1, CACHED_BUF, GPU_PAGE);
        gpu_put_map(gpu, 1, 0);
        gpu_put_create(gpu, 2, POINTER, GPU_PAGE);
        gpu_put_map(gpu, 2, GPU_PAGE);
        gpu_release(gpu);
        gpu_settle(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));
        gpu_reset(gpu);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
        g_assert_cmphex(gpu_unref(gpu, 2), ==, BAD_ID);
    }
    stop(gpu);
}

static void test_exit(void)
{
    GPU *gpu = start();

    fill(gpu, true);
    gpu_stop(gpu);
}

/*
 * Others who look at guest memory
 */

static void test_watcher(void)
{
    struct scripted_shared *s;
    GPU *gpu = start();

    s = gpu_shared(gpu);
    gpu_create(gpu, 1, CACHED_BUF, 4 * GPU_PAGE);
    gpu_create(gpu, 2, CACHED_BUF, 2 * GPU_PAGE);
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
    g_assert_cmpuint(s->is_populated, ==, 1);
    gpu_watch(gpu, SCRIPTED_WATCH_ASK, 10 * GPU_PAGE);
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
    stop(gpu);
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
    GPU *gpu = start();

    s = gpu_shared(gpu);
    gpu_create(gpu, 1, CACHED_BUF, 4 * GPU_PAGE);
    gpu_create(gpu, 2, CACHED_BUF, 4 * GPU_PAGE);
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
    stop(gpu);
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
    gpu_batch(gpu, put_shared, 1, LISTENED_MAX, replies);
    gpu_batch(gpu, put_map_next, 1, LISTENED_MAX, replies);
    g_assert_cmpuint(count(replies, LISTENED_MAX, GRANTED), ==, LISTENED_MAX);
    check_path(gpu, "window");
    gpu_create(gpu, more, CACHED_BUF, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, more, 256 * GPU_MIB, NULL), ==, GRANTED);
    check_path(gpu, "region");
    gpu_unmap(gpu, more);
    /* No room for a region either */
    gpu_create(gpu, more + 1, CACHED_BUF | SCRIPTED_MMAP_ENOMEM, GPU_PAGE);
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
    stop(gpu);
}

/* Somebody needs all memory to stay where it is. */
static void test_pinned(void)
{
    uint32_t replies[REGIONS_MAX + 1];
    GPU *gpu = start();

    gpu_create(gpu, 1000, CACHED_BUF, GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    g_assert_cmphex(gpu_map(gpu, 1000, 0, NULL), ==, GRANTED);
    check_path(gpu, "region");
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1000, 0));
    gpu_unmap(gpu, 1000);

    gpu_batch(gpu, put_shared, 1, REGIONS_MAX + 1, replies);
    gpu_batch(gpu, put_map_next, 1, REGIONS_MAX + 1, replies);
    g_assert_cmpuint(count(replies, REGIONS_MAX, GRANTED), ==, REGIONS_MAX);
    g_assert_cmphex(replies[REGIONS_MAX], ==, NO_MEMORY);
    gpu_reset(gpu);

    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
    gpu_create(gpu, 1000, CACHED_BUF, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1000, 0, NULL), ==, GRANTED);
    check_path(gpu, "window");
    gpu_unref(gpu, 1000);
    stop(gpu);
}

/* Somebody still reads from the renderer's memory. */
static void test_held_region(void)
{
    struct scripted_shared *s;
    unsigned slots[2], i;
    GPU *gpu = start();

    s = gpu_shared(gpu);
    for (i = 0; i < 2; i++) {
        const uint32_t type = i ? VIRTIO_GPU_CMD_RESOURCE_UNREF
                                : VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;

        gpu_create(gpu, 1, POINTER, GPU_PAGE);
        gpu_map(gpu, 1, GPU_PAGE, NULL);
        gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
        slots[0] = gpu_put_simple(gpu, type, 1);
        slots[1] = gpu_put_map(gpu, 99, 0);
        gpu_kick(gpu);
        while (gpu_stat(gpu, "live")) {
            gpu_settle(gpu);
        }
        gpu_settle(gpu);
        g_assert_false(gpu_is_done(gpu, slots[0]));
        g_assert_false(gpu_is_done(gpu, slots[1]));
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(1, 0));
        g_assert_cmpuint(s->maps, ==, s->unmaps + 1);
        gpu_release(gpu);
        gpu_wait(gpu, slots[0]);
        gpu_wait(gpu, slots[1]);
        gpu_free(gpu, slots[0]);
        gpu_free(gpu, slots[1]);
        g_assert_cmpuint(s->maps, ==, s->unmaps);
        gpu_unref(gpu, 1);
    }
    stop(gpu);
}

/* ... and the device is reset meanwhile, before or after its unmap. */
static void test_held_reset(void)
{
    struct scripted_shared *s;
    GPU *gpu = start();
    unsigned i, slot;

    s = gpu_shared(gpu);
    for (i = 0; i < 2; i++) {
        gpu_create(gpu, 1, POINTER, GPU_PAGE);
        gpu_create(gpu, 2, POINTER, GPU_PAGE);
        gpu_map(gpu, 1, GPU_PAGE, NULL);
        gpu_map(gpu, 2, 2 * GPU_PAGE, NULL);
        gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
        if (i) {
            gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1);
            gpu_kick(gpu);
            while (gpu_stat(gpu, "live") == 2) {
                gpu_settle(gpu);
            }
        }
        gpu_reset(gpu);
        /* What nobody holds goes at once. */
        while (s->unmaps < s->maps - 1) {
            gpu_settle(gpu);
        }
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(1, 0));
        g_assert_cmphex(gpu_read(gpu, 2 * GPU_PAGE), !=,
                        scripted_stamp(2, 0));
        /* The renderer is left alone until then. */
        slot = gpu_put_create(gpu, 1, POINTER, GPU_PAGE);
        gpu_kick(gpu);
        gpu_settle(gpu);
        g_assert_false(gpu_is_done(gpu, slot));
        gpu_release(gpu);
        gpu_wait(gpu, slot);
        gpu_free(gpu, slot);
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(1, 0));
        gpu_unref(gpu, 1);
        g_assert_cmpuint(s->maps, ==, s->unmaps);
    }
    stop(gpu);
}

/* Mappings with @name, and how many of them a core of QEMU leaves out */
static unsigned count_undumped(GPU *gpu, const char *name, unsigned *total)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps",
                                            qtest_pid(gpu_qts(gpu)));
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    unsigned i, found = 0;
    bool wanted = false;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", -1);
    *total = 0;
    for (i = 0; lines[i]; i++) {
        if (strchr(lines[i], '-') && strstr(lines[i], " rw-s ")) {
            wanted = strstr(lines[i], name);
            *total += wanted;
        } else if (strchr(lines[i], '-') && !strchr(lines[i], ':')) {
            wanted = false;
        } else if (g_str_has_prefix(lines[i], "VmFlags:")) {
            found += wanted && strstr(lines[i], " dd");
            wanted = false;
        }
    }
    return found;
}

/* What the operator keeps out of cores: the guest's memory, this too */
static void test_core(void)
{
    static const char *const names[] = {
        HOLE, SCRIPTED_BUFFER_NAME,
    };
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .args = "-machine dump-guest-core=off",
    });
    unsigned maps, total, i;

    gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE);
    maps = gpu_count_maps(gpu, HOLE);
    g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpuint(count_undumped(gpu, names[i], &total), ==, total);
        g_assert_cmpuint(total, >, 0);
    }
    /* The place that it left is a hole like the rest ... */
    gpu_unref(gpu, 1);
    g_assert_cmpuint(count_undumped(gpu, HOLE, &total), ==, total);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, maps + 2);
    /* ... that still merges with them. */
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, maps);
    stop(gpu);
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
    gpu_create(gpu, 1, CACHED_BUF, 2 * GPU_PAGE);
    gpu_create(gpu, 2, CACHED_BUF, 2 * GPU_PAGE);
    gpu_map(gpu, 1, 0, NULL);
    gpu_map(gpu, 2, far, NULL);
    before = memory_of(gpu);
    uri = g_strdup_printf("file:%s", file);
    qtest_qmp_assert_success(gpu_qts(gpu), "{ 'execute': 'dump-guest-memory',"
                             " 'arguments': { 'paging': false,"
                             " 'protocol': %s } }", uri);
    g_assert_true(g_file_get_contents(file, &text, &len, NULL));
    unlink(file);
    g_test_message("%zu bytes", (size_t)len);
    g_assert_cmpuint(len, <, 256 * GPU_MIB);
    g_assert_nonnull(memmem(text, len, &stamp, sizeof(stamp)));
    g_assert_cmpuint(memory_of(gpu), <=, before + 16 * GPU_MIB);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    stop(gpu);
}

/*
 * No memory
 */

static void test_no_memory_to_map(void)
{
    GPU *gpu = start();

    gpu_create(gpu, 1, CACHED_BUF, 4 * GPU_PAGE);
    fail(gpu, SCRIPTED_MAP_BUFFER, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "too-many-mappings"), ==, 1);
    gpu_write(gpu, GPU_PAGE, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(1, 1));
    gpu_unref(gpu, 1);
    stop(gpu);
}

static void test_no_memory_to_unmap(void)
{
    GPU *gpu = start();

    gpu_create(gpu, 1, CACHED_BUF, 4 * GPU_PAGE);

    /* What is kept in store helps once ... */
    gpu_map(gpu, 1, 0, NULL);
    fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));

    /* ... and must be there again before the next blob is mapped. */
    fail(gpu, SCRIPTED_MAP_RESERVE, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    fail(gpu, SCRIPTED_MAP_STORE, 2, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);

    /* Where nothing helps, the blob stays, and all know it. */
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, NO_MEMORY);
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
    g_assert_cmpuint(gpu_shared(gpu)->watched, ==, 4 * GPU_PAGE);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);

    /* A device that did not get it back is not told a second time. */
    gpu_watch(gpu, SCRIPTED_WATCH_REFUSE, 0);
    fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, NO_MEMORY);
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
    g_assert_cmpuint(gpu_shared(gpu)->watched, ==, 0);
    gpu_watch(gpu, SCRIPTED_WATCH_ALLOW, 0);
    gpu_create(gpu, 2, CACHED_BUF, 4 * GPU_PAGE);
    fail(gpu, SCRIPTED_MAP_BUFFER, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 2, 8 * GPU_PAGE, NULL), ==, NO_MEMORY);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_read(gpu, 0), !=, scripted_stamp(1, 0));
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    gpu_unref(gpu, 2);

    gpu_map(gpu, 1, 0, NULL);
    fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, NO_MEMORY);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    stop(gpu);
}

static void test_no_memory_to_reset(void)
{
    GPU *gpu = start();

    gpu_create(gpu, 1, CACHED_BUF, 4 * GPU_PAGE);
    gpu_map(gpu, 1, 0, NULL);
    fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    /* Its place is used again. */
    gpu_create(gpu, 2, CACHED_BUF, 4 * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(2, 1));
    gpu_unref(gpu, 2);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), !=, scripted_stamp(1, 1));
    stop(gpu);
}

/*
 * What the operator sees
 */

static void test_properties(void)
{
    GPU *gpu = start();
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
    g_assert_cmpuint(gpu_stat(gpu, "last-map-ms"), >, 0);
    g_assert_cmpuint(gpu_stat(gpu, "last-refusal-ms"), ==, 0);
    gpu_unref(gpu, 7);
    stop(gpu);
}

/* As many as a monitor can bear */
static void test_long_list(void)
{
    uint32_t replies[300];
    GPU *gpu = start();
    QObject *maps;

    gpu_batch(gpu, put_shared, 1, 300, replies);
    gpu_batch(gpu, put_map_next, 1, 300, replies);
    maps = gpu_property(gpu, "blob-maps");
    g_assert_cmpuint(qlist_size(qobject_to(QList, maps)), ==, 256);
    qobject_unref(maps);
    gpu_batch(gpu, put_unref, 1, 300, replies);
    stop(gpu);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(void);
    } tests[] = {
        { "edges", test_edges },
        { "overlap", test_overlap },
        { "order", test_order },
        { "truncated", test_truncated },
        { "reply", test_reply },
        { "no-window", test_no_window },
        { "no-blobs", test_no_blobs },
        { "vga", test_vga },
        { "holes", test_holes },
        { "hole-is-apart", test_hole_is_apart },
        { "left-places", test_left_places },
        { "new-places", test_new_places },
        { "own-handle", test_own_handle },
        { "many", test_many },
        { "map-count", test_map_count },
        { "regions", test_regions },
        { "odd-size", test_odd_size },
        { "fenced", test_fenced },
        { "busy-queue", test_busy_queue },
        { "reset", test_reset },
        { "vcpu-reset", test_vcpu_reset },
        { "exit", test_exit },
        { "watcher", test_watcher },
        { "watcher-refuses", test_watcher_refuses },
        { "watcher-limit", test_watcher_limit },
        { "pinned", test_pinned },
        { "held-region", test_held_region },
        { "held-reset", test_held_reset },
        { "core", test_core },
        { "dump", test_dump },
        { "no-memory-to-map", test_no_memory_to_map },
        { "no-memory-to-unmap", test_no_memory_to_unmap },
        { "no-memory-to-reset", test_no_memory_to_reset },
        { "properties", test_properties },
        { "long-list", test_long_list },
    };
    size_t i;

    g_test_init(&argc, &argv, NULL);
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-gpu-gl/window/%s",
                                                tests[i].name);

        qtest_add_func(path, tests[i].func);
    }
    return g_test_run();
}
