/*
 * qtest for virtio-gpu-gl: faults of QEMU that a guest can trigger
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One test a fault, each with a QEMU of its own.  They use nothing that a
 * device without coherency-aware mappings lacks: run on such a one, each
 * that fails shows that it has the fault.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/virtio_config.h"
#include "virtio-gpu-gl-client.h"

/* The device still does what it is for. */
static void check_alive(GPU *gpu, uint32_t id)
{
    const uint64_t offset = WINDOW - 4 * GPU_PAGE;
    uint32_t map_info;

    g_assert_cmphex(gpu_create(gpu, id, BUFFER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, id, offset, &map_info), ==, GRANTED);
    g_assert_cmpuint(map_info, ==, VIRTIO_GPU_MAP_CACHE_CACHED);
    g_assert_true(gpu_shows(gpu, offset, id, 0));
    g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, id), ==, OK);
}

static void stop(GPU *gpu)
{
    check_alive(gpu, 0x7000);
    g_assert_cmpuint(gpu->shared->faults, ==, 0);
    gpu_stop(gpu);
}

/* CREATE_BLOB with an id in use must not touch the resource that has it. */
static void test_create_twice(GPU *gpu)
{
    uint32_t id;

    for (id = 1; id < 64; id++) {
        gpu_map_new(gpu, id, BUFFER, GPU_PAGE, id * GPU_PAGE);
        g_assert_cmphex(gpu_create(gpu, id, BUFFER, GPU_PAGE), ==, BAD_ID);
    }
    for (id = 1; id < 64; id++) {
        g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, id), ==, OK);
    }
}

/* A reset takes what is mapped out of the window. */
static void test_reset_while_mapped(GPU *gpu)
{
    for (unsigned i = 0; i < 2; i++) {
        const ScriptedBlob blob = i ? DRIVERS : BUFFER;

        gpu_map_new(gpu, 1, blob, GPU_PAGE, GPU_PAGE);
        gpu_reset(gpu);
        g_assert_false(gpu_shows(gpu, GPU_PAGE, 1, 0));
        gpu_map_new(gpu, 1, blob, GPU_PAGE, 2 * GPU_PAGE);
        g_assert_true(gpu_shows(gpu, 2 * GPU_PAGE, 1, 0));
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    }
}

/* A guest blob whose backing was detached has none to be freed. */
static void test_detach_then_reset(GPU *gpu)
{
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmphex(gpu_create_guest(gpu, 1, 64), ==, OK);
        gpu_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 1);
        gpu_reset(gpu);
        g_assert_cmphex(gpu_create_guest(gpu, 2, 64), ==, OK);
        gpu_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 2);
        g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    }
}

/* A blob of two pages is refused there, and nothing of it can be seen. */
static void check_refused(GPU *gpu, ScriptedBlob blob, uint64_t offset)
{
    gpu_create(gpu, 1, blob, 2 * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, offset, NULL), >=, UNSPEC);
    gpu_read(gpu, GPU_PAGE);
    gpu_unref(gpu, 1);
}

/* KVM rejects a slot that is not page aligned, and QEMU aborts. */
static void test_misaligned(GPU *gpu)
{
    check_refused(gpu, BUFFER, 0x100);
}

/* Nothing can be seen beyond the window's end. */
static void test_bounds(GPU *gpu)
{
    static const uint64_t offsets[] = {
        1ull << 40, -GPU_PAGE, WINDOW, WINDOW - GPU_PAGE,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(offsets); i++) {
        check_refused(gpu, BUFFER, offsets[i]);
    }
}

/* Half a buffer: touching the other half would be SIGBUS. */
static void test_short_buffer(GPU *gpu)
{
    check_refused(gpu, BUFFER_BUT(.length = LENGTH_HALF), 0);
}

/* What the exporter calls incoherent is not mapped on the renderer's word. */
static void test_incoherent(GPU *gpu)
{
    check_refused(gpu, DMABUF(.answer = ANSWER_INCOHERENT, .word = WORD_CACHED),
                  0);
}

/* The memory core can have 4096 sections, a guest more blobs. */
static void test_many(GPU *gpu)
{
    gpu_batch_all(gpu, gpu_put_shared, 1, 6000, OK);
    gpu_batch_all(gpu, gpu_put_map_next, 1, 6000, GRANTED);
    gpu_reset(gpu);
}

static void test_overlap(GPU *gpu)
{
    gpu_create(gpu, 1, BUFFER, 2 * GPU_PAGE);
    gpu_create(gpu, 2, BUFFER, 2 * GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 2 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 2, 3 * GPU_PAGE, NULL), ==, BAD);
    g_assert_true(gpu_shows(gpu, 3 * GPU_PAGE, 1, 1));
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
}

/* The renderer may map more than the blob has: none of the guest's business */
static void test_renderers_size(GPU *gpu)
{
    static const ScriptedBlob blobs[] = {
        POINTER_BUT(.pointer = POINTER_TWICE),
        DRIVERS_BUT(.pointer = POINTER_TWICE),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(blobs); i++) {
        gpu_map_new(gpu, 1, blobs[i], GPU_PAGE, GPU_PAGE);
        g_assert_true(gpu_shows(gpu, GPU_PAGE, 1, 0));
        g_assert_false(gpu_shows(gpu, 2 * GPU_PAGE, 1, 1));
        gpu_unref(gpu, 1);
    }
}

static void test_flags(GPU *gpu)
{
    gpu_create_flags(gpu, 1, BUFFER, GPU_PAGE, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD);
    gpu_create(gpu, 2, BUFFER, GPU_PAGE);
    g_assert_cmphex(gpu_unmap(gpu, 2), ==, BAD);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
}

/* A granted mapping always has one of the three types. */
static void test_map_info(GPU *gpu)
{
    static const unsigned words[] = {
        WORD_ERROR, WORD_NONE, WORD_STRAY, WORD_ONES,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        uint32_t map_info;

        gpu_create(gpu, 1, DMABUF(.answer = ANSWER_CACHED, .word = words[i]),
                   GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, &map_info), ==, GRANTED);
        g_assert_cmpuint(map_info, ==, VIRTIO_GPU_MAP_CACHE_CACHED);
        gpu_unref(gpu, 1);
    }
}

static uint32_t run_fenced(GPU *gpu, uint32_t type, uint32_t id)
{
    return gpu_take(gpu, gpu_put_fenced(gpu, type, id, 5));
}

/* A fenced command is finished, and answered by its own fence. */
static void test_fenced(GPU *gpu)
{
    gpu_map_new(gpu, 1, DRIVERS, GPU_PAGE, 0);
    g_assert_cmphex(run_fenced(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1),
                    ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(run_fenced(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1),
                    ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_create(gpu, 1, DRIVERS, GPU_PAGE), ==, OK);
    gpu_unref(gpu, 1);
}

/* The first bytes of a MAP_BLOB, with space for a header in reply */
static void check_short(GPU *gpu, size_t len, uint32_t at_least)
{
    const struct virtio_gpu_resource_map_blob cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB),
        .resource_id = cpu_to_le32(1),
    };

    gpu_create(gpu, 1, BUFFER, GPU_PAGE);
    g_assert_cmphex(gpu_send(gpu, &cmd, len), >=, at_least);
    g_assert_false(gpu_shows(gpu, 0, 1, 0));
    gpu_unref(gpu, 1);
}

static void test_truncated(GPU *gpu)
{
    check_short(gpu, 32, BAD);
    check_short(gpu, 8, UNSPEC);
}

static void test_short_reply(GPU *gpu)
{
    check_short(gpu, sizeof(struct virtio_gpu_resource_map_blob), BAD);
}

#define ENTRIES 16000

/* What each round takes, it gives back. */
static void check_growth(GPU *gpu, void (*round)(GPU *gpu))
{
    uint64_t before = 0;

    for (unsigned i = 0; i < 120; i++) {
        if (i == 20) {
            before = gpu_status_kib(gpu, "RssAnon:");
        }
        round(gpu);
    }
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(gpu_status_kib(gpu, "RssAnon:"), <=, before + 4096);
    }
}

static void create_and_unref(GPU *gpu)
{
    g_assert_cmphex(gpu_create_guest(gpu, 1, ENTRIES), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
}

/* The addresses of a guest blob's pages */
static void test_guest_blobs(GPU *gpu)
{
    check_growth(gpu, create_and_unref);
}

static void create_and_reset(GPU *gpu)
{
    g_assert_cmphex(gpu_create_2d(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_attach_backing(gpu, 1, GPU_SCRATCH, ENTRIES), ==, OK);
    g_assert_cmphex(gpu_create_guest(gpu, 2, ENTRIES), ==, OK);
    gpu_reset(gpu);
}

/* What a reset must free: the backing of resources of all kinds */
static void test_reset_frees(GPU *gpu)
{
    check_growth(gpu, create_and_reset);
}

/*
 * A vCPU that resets the device does not wait for the main loop, which may be
 * waiting for that vCPU.
 */
static void test_vcpu_reset(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .vcpu = true });
    QTestState *qts = gpu->qts;

    gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, 0);
    gpu_map_new(gpu, 2, DRIVERS, GPU_PAGE, GPU_PAGE);
    gpu_vcpu_reset(gpu, GPU_FOR_EVER);
    for (unsigned i = 0; i < 20; i++) {
        gpu_vcpu_wait(gpu, gpu_vcpu_turns(gpu) + i % 2);
        qtest_qmp_assert_success(qts, "{ 'execute': 'stop' }");
        qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");
    }
    gpu_stop(gpu);
}

/* What is shown of a texture of 64 by 64 is in it. */
static void test_scanout(GPU *gpu)
{
    static const struct virtio_gpu_rect bad[] = {
        { 0, 0, 65, 64 }, { 0, 0, 64, 65 }, { 1, 0, 64, 64 }, { 0, 1, 64, 64 },
        { 0, 0, 15, 64 }, { 0, 0, 64, 15 }, { 0, 0, 0, 64 }, { 0, 0, 0, 0 },
        { -16u, 0, 64, 64 }, { 0, -16u, 64, 64 }, { 64, 0, -64u, 64 },
        { 0, 0, 1 << 16, 1 << 16 }, { 0, 0, INT32_MAX, INT32_MAX },
    };

    g_assert_cmphex(gpu_create_2d(gpu, 1), ==, OK);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmphex(gpu_show_texture(gpu, 0, 1, bad[i]), ==, BAD);
    }
    g_assert_cmphex(gpu_show_texture(gpu, 0, 1, GPU_PICTURE.r), ==, OK);
    gpu_unref(gpu, 1);
}

/* What is shown of a blob is in it, row by row. */
static void test_scanout_blob(GPU *gpu)
{
    static const GPUPicture bad[] = {
        /* more than the picture, or too little to see */
        { { 0, 0, 65, 64 }, 64, 64, 256, 0 },
        { { 1, 0, 64, 64 }, 64, 64, 256, 0 },
        { { -16u, 0, 64, 64 }, 64, 64, 256, 0 },
        { { 0, -16u, 64, 64 }, 64, 64, 256, 0 },
        { { 0, 0, 15, 64 }, 64, 64, 256, 0 },
        { { 0, 0, 64, 15 }, 64, 64, 256, 0 },
        { { 0, 0, 64, 0 }, 64, 64, 256, 0 },
        /* rows that are shorter than the picture, or have no length */
        { { 0, 0, 64, 64 }, 64, 64, 255, 0 },
        { { 0, 0, 64, 64 }, 64, 64, 0, 0 },
        { { 0, 0, 1 << 20, 64 }, 1 << 20, 64, 256, 0 },
        { { 0, 0, 16, 16 }, 1 << 30, 64, 4, 0 },
        { { 0, 0, 16, 16 }, 64, 64, 1u << 31, 0 },
        /* beyond the blob's end, by as much as wraps */
        { { 0, 0, 64, 64 }, 64, 64, 256, 4 },
        { { 0, 0, 64, 64 }, 64, 64, 256, -256u },
        { { 0, 1 << 16, 16, 16 }, 64, 1 << 17, 1 << 16, 0 },
        { { 4, 0, 16, 16 }, 64, 64, 256, -16u },
    };

    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, 64 * 64 * 4), ==, OK);
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_test_message("%zu", i);
        g_assert_cmphex(gpu_show_blob(gpu, 0, 1, bad[i]), ==, BAD);
    }
    g_assert_cmphex(gpu_show_blob(gpu, 0, 1, GPU_PICTURE), ==, OK);
    gpu_unref(gpu, 1);
}

static uint32_t flush(GPU *gpu, uint32_t id)
{
    const struct virtio_gpu_resource_flush cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_FLUSH),
        .r = { 0, 0, 64, 64 },
        .resource_id = cpu_to_le32(id),
    };

    return gpu_send(gpu, &cmd, sizeof(cmd));
}

/* SDL has a window and a context for a second head while something shows. */
static void test_heads(GPU *gpu)
{
    const struct virtio_gpu_rect all = GPU_PICTURE.r;
    uint32_t head;

    g_assert_cmphex(gpu_create_2d(gpu, 1), ==, OK);
    for (head = 0; head < 3; head++) {
        g_assert_cmphex(gpu_show_texture(gpu, head, 1, all), ==, OK);
        g_assert_cmphex(flush(gpu, 1), ==, OK);
        g_assert_cmphex(gpu_show_texture(gpu, head, 0, all), ==, OK);
        g_assert_cmphex(flush(gpu, 0), ==, OK);
    }
    for (head = 0; head < 3; head++) {
        g_assert_cmphex(gpu_show_texture(gpu, head, 1, all), ==, OK);
        g_assert_cmphex(gpu_show_blob(gpu, head, 0, (GPUPicture) { }), ==, OK);
        g_assert_cmphex(flush(gpu, 0), ==, OK);
    }
    for (head = 0; head < 3; head++) {
        g_assert_cmphex(gpu_show_texture(gpu, head, 1, all), ==, OK);
    }
    gpu_reset(gpu);
}

static uint32_t submit(GPU *gpu, uint32_t size, size_t sent)
{
    g_autofree struct virtio_gpu_cmd_submit *cmd =
        g_malloc0(sizeof(*cmd) + sent);

    cmd->hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_SUBMIT_3D);
    cmd->hdr.ctx_id = cpu_to_le32(1);
    cmd->size = cpu_to_le32(size);
    return gpu_send(gpu, cmd, sizeof(*cmd) + sent);
}

/* As much memory as the guest says, not as much as it sends */
static void test_submit(GPU *gpu)
{
    uint64_t before;

    g_assert_cmphex(submit(gpu, 64, 64), ==, OK);
    before = gpu_status_kib(gpu, "VmPeak:");
    g_assert_cmphex(submit(gpu, UINT32_MAX - 3, 64), ==, BAD);
    g_assert_cmphex(submit(gpu, 1u << 31, 64), ==, BAD);
    g_assert_cmphex(submit(gpu, 68, 64), ==, BAD);
    /* More than a guest can send in the pages of one command */
    g_assert_cmphex(submit(gpu, 4 * GPU_MIB + 4, 4 * GPU_MIB + 4), ==, BAD);
    g_assert_cmpuint(gpu_status_kib(gpu, "VmPeak:"), <, before + 1024 * 1024);
}

/* Of the I/O APIC: memory that a device reaches by a copy only */
#define NO_RAM 0xfec00000ull

/* The copies that commands in flight are read from go with a reset. */
static void test_reset_in_flight(GPU *gpu)
{
    const struct virtio_gpu_ctrl_hdr cmd = {
        .type = cpu_to_le32(VIRTIO_GPU_CMD_CTX_DESTROY),
        .flags = cpu_to_le32(VIRTIO_GPU_FLAG_FENCE),
        .fence_id = cpu_to_le64(1),
    };

    for (unsigned i = 0; i < 8; i++) {
        gpu->shared->hold_fences = 1;
        gpu_put(gpu, &(GPUCmd) {
            .out = &cmd, .out_len = sizeof(cmd), .in_len = sizeof(cmd),
            .more = NO_RAM, .more_len = 2048,
        });
        gpu_kick(gpu);
        gpu_settle(gpu);
        g_assert_cmpuint(gpu->shared->fences, ==, i + 1);
        gpu_reset(gpu);
    }
    gpu->shared->hold_fences = 0;
}

/* A packed ring whose command is a table without entries ends it, no more. */
static void test_empty_table(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .props = ",packed=on",
        .features = 1ull << VIRTIO_F_RING_PACKED,
    });
    struct vring_packed_desc *ring = gpu_ram(gpu, gpu->queues[0].vq.desc);

    ring->addr = cpu_to_le64(GPU_SCRATCH);
    ring->flags = cpu_to_le16(VRING_DESC_F_INDIRECT |
                              1 << VRING_PACKED_DESC_F_AVAIL);
    gpu_kick(gpu);
    gpu_settle(gpu);
    gpu_reset(gpu);
    gpu_stop(gpu);
}

#define IN_ORDER .props = ",in_order=on", \
    .features = 1ull << VIRTIO_F_IN_ORDER

/* A guest may choose a longer queue than it was offered. */
static void test_long_queue(GPU *gpu)
{
    for (unsigned i = 0; i < 2048; i++) {
        g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    }
}

/* All of a queue's commands at once, in order */
static void test_full_queue(GPU *gpu)
{
    gpu_batch_all(gpu, gpu_put_shared, 1, 64, OK);
    gpu_batch_all(gpu, gpu_put_unref, 1, 64, OK);
}

/* SDL makes no cursor with a hot spot elsewhere, and says so. */
static void test_hot_spot(GPU *gpu)
{
    const struct virtio_gpu_update_cursor cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_UPDATE_CURSOR),
        .hot_x = cpu_to_le32(64),
        .hot_y = cpu_to_le32(UINT32_MAX),
    };

    gpu_cursor(gpu, &cmd, sizeof(cmd));
    gpu_settle(gpu);
    g_assert_cmpuint(gpu_count_log(gpu, "cursor"), ==, 0);
}

/* A context's name is as long as its field, and goes on behind it. */
static void test_context_name(GPU *gpu)
{
    struct virtio_gpu_ctx_create cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_CTX_CREATE),
        .hdr.ctx_id = cpu_to_le32(1),
        .nlen = cpu_to_le32(64),
    };

    memset(cmd.debug_name, 'x', sizeof(cmd.debug_name));
    g_assert_cmphex(gpu_send(gpu, &cmd, sizeof(cmd)), ==, OK);
}

/* QEMU must end by itself, and say why. */
static void test_hostmem(void)
{
    static const char *const sizes[] = {
        "1", "4096", "512K", "3M", "100000000", "1048577",
        "18446744073709551615", "0x8000000000000000",
    };
    static const char *const devices[] = {
        "virtio-gpu-gl-pci", "virtio-vga-gl",
    };

    for (size_t d = 0; d < G_N_ELEMENTS(devices); d++) {
        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
            g_autofree char *props = g_strdup_printf(",hostmem=%s", sizes[i]);
            g_autofree char *text = NULL;
            int status = gpu_try(&(GPUConfig) {
                .device = devices[d], .props = props,
            }, &text);

            g_test_message("%s%s: %d", devices[d], props, status);
            g_assert_cmpint(status, ==, 1);
            g_assert_nonnull(strstr(text, "hostmem"));
        }
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "create-twice", test_create_twice },
        { "reset-while-mapped", test_reset_while_mapped },
        { "detach-then-reset", test_detach_then_reset },
        { "misaligned", test_misaligned },
        { "many", test_many },
        { "bounds", test_bounds },
        { "overlap", test_overlap },
        { "renderers-size", test_renderers_size },
        { "short-buffer", test_short_buffer },
        { "flags", test_flags },
        { "map-info", test_map_info },
        { "incoherent", test_incoherent },
        { "fenced", test_fenced },
        { "truncated", test_truncated },
        { "short-reply", test_short_reply },
        { "guest-blobs", test_guest_blobs },
        { "reset-frees", test_reset_frees },
        { "hostmem", .alone = test_hostmem },
        { "vcpu-reset", .alone = test_vcpu_reset },
        { "scanout", test_scanout },
        { "scanout-blob", test_scanout_blob },
        { "submit", test_submit },
        { "reset-in-flight", test_reset_in_flight },
        { "empty-table", .alone = test_empty_table },
        { "long-queue", test_long_queue, { IN_ORDER, .queue_size = 1024 } },
        { "full-queue", test_full_queue, { IN_ORDER, .queue_size = 64 } },
        { "hot-spot", test_hot_spot, { .logged = true } },
        { "context-name", test_context_name },
        { "heads", test_heads, { .props = ",max_outputs=3" } },
    };

    return gpu_run_tests_ending(argc, argv, "stock-faults", tests,
                                G_N_ELEMENTS(tests), stop);
}
