/*
 * qtest for virtio-gpu-gl: a renderer that fails or hangs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every command is answered, a reset starts anew, failures are reported, and
 * the guest is not blamed for what the host could not do.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qobject/qdict.h"
#include "virtio-gpu-gl-client.h"

#define RING_IDX_FLAG (1 << 1) /* VIRTIO_GPU_FLAG_INFO_RING_IDX */
#define BAD_CONTEXT VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID

/* Virtual time that is let pass */
#define STEP_NS (100 * 1000 * 1000ll)

/*
 * Commands
 */

/* A command whose fields are all 0 but for the resource's id, if it has one */
typedef struct Command {
    struct virtio_gpu_ctrl_hdr hdr;
    uint32_t words[40];
} Command;

static Command make(uint32_t type, uint32_t ctx_id, uint32_t id)
{
    return (Command) {
        .hdr.type = cpu_to_le32(type),
        .hdr.ctx_id = cpu_to_le32(ctx_id),
        .words[0] = cpu_to_le32(id),
    };
}

static unsigned put(GPU *gpu, const Command *cmd)
{
    return gpu_put(gpu, &(GPUCmd) {
        .out = cmd, .out_len = sizeof(*cmd), .in_len = 512,
    });
}

static uint32_t run(GPU *gpu, uint32_t type, uint32_t ctx_id, uint32_t id)
{
    Command cmd = make(type, ctx_id, id);

    return gpu_take(gpu, put(gpu, &cmd));
}

static uint32_t create_context(GPU *gpu, uint32_t ctx_id)
{
    return run(gpu, VIRTIO_GPU_CMD_CTX_CREATE, ctx_id, 0);
}

static unsigned put_ring(GPU *gpu, uint32_t type, uint32_t ctx_id,
                         uint64_t fence_id, bool of_context)
{
    Command cmd = make(type, ctx_id, 0);

    cmd.hdr.flags = cpu_to_le32(VIRTIO_GPU_FLAG_FENCE |
                                (of_context ? RING_IDX_FLAG : 0));
    cmd.hdr.fence_id = cpu_to_le64(fence_id);
    cmd.hdr.ring_idx = of_context ? fence_id % 2 : 0;
    return put(gpu, &cmd);
}

/* In one of two rings of the context */
static unsigned put_submit(GPU *gpu, uint32_t ctx_id, uint64_t fence_id)
{
    return put_ring(gpu, VIRTIO_GPU_CMD_SUBMIT_3D, ctx_id, fence_id, true);
}

static uint32_t display_info(GPU *gpu)
{
    return run(gpu, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0, 0);
}

static void step(GPU *gpu, int64_t ns)
{
    for (; ns > 0; ns -= STEP_NS) {
        qtest_clock_step(gpu->qts, MIN(ns, STEP_NS));
    }
}

/* Ten lines in five seconds, however long a slow host takes */
static unsigned lines_max(int64_t start_us)
{
    int64_t seconds = (g_get_monotonic_time() - start_us) / G_USEC_PER_SEC;

    return 10 * (seconds / 5 + 2);
}

/*
 * Fences
 */

/* All that is answered by its fence, if it has one; first, what needs an id */
#define WITH_ID 3
static const uint32_t fenced[] = {
    VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, VIRTIO_GPU_CMD_RESOURCE_UNREF,
    VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, VIRTIO_GPU_CMD_SET_SCANOUT,
    VIRTIO_GPU_CMD_RESOURCE_FLUSH, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
    VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, VIRTIO_GPU_CMD_CTX_CREATE,
    VIRTIO_GPU_CMD_CTX_DESTROY, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE,
    VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D,
    VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D, VIRTIO_GPU_CMD_SUBMIT_3D,
    VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
};

static void check_refused_fences(GPU *gpu, bool of_context)
{
    for (size_t i = 0; i < G_N_ELEMENTS(fenced); i++) {
        Command cmd = make(fenced[i], 1, i < WITH_ID ? 5 + i / 2 : 0);

        cmd.hdr.flags = cpu_to_le32(VIRTIO_GPU_FLAG_FENCE |
                                    (of_context ? RING_IDX_FLAG : 0));
        g_test_message("command 0x%x", fenced[i]);
        g_assert_cmphex(gpu_take(gpu, put(gpu, &cmd)), >=, UNSPEC);
    }
}

/* The error at once, and nothing is polled for any more */
static void test_refused_fence(GPU *gpu)
{
    struct scripted_shared *s = gpu->shared;
    uint64_t polls;

    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    s->refuse = SCRIPTED_REFUSE_FENCE | SCRIPTED_REFUSE_CTX_FENCE;
    check_refused_fences(gpu, false);
    g_assert_cmpuint(gpu_count_log(gpu, ": context 0: "), >=, 10);
    check_refused_fences(gpu, true);
    g_assert_cmpuint(gpu_failures(gpu, "fence"), >, 0);
    gpu_settle(gpu);
    polls = s->polls;
    step(gpu, STEP_NS);
    g_assert_cmpuint(s->polls, ==, polls);
    s->refuse = 0;
    gpu_reset(gpu);
}

/* A context that does not exist, as any user of the guest can name one */
static void test_no_context(GPU *gpu)
{
    unsigned slots[GPU_BATCH], done, i;

    for (done = 0; done < 1100; done += GPU_BATCH) {
        for (i = 0; i < GPU_BATCH; i++) {
            slots[i] = put_submit(gpu, 77, 0x4d);
        }
        gpu_kick(gpu);
        for (i = 0; i < GPU_BATCH; i++) {
            g_assert_cmphex(gpu_answer(gpu, slots[i]), ==, BAD_CONTEXT);
        }
    }
    g_assert_cmphex(display_info(gpu), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    g_assert_cmpuint(gpu_failures(gpu, "fence"), ==, 0);
    g_assert_cmpuint(gpu_count_log(gpu, "warning:"), ==, 0);
    g_assert_cmpuint(gpu_count_log(gpu, "error 0x1204"), ==, done);
}

/* What ran a context has died: what waits for it is answered within 3 s. */
static void test_dead_context(GPU *gpu)
{
    struct scripted_shared *s = gpu->shared;
    unsigned dead[3], other, none, i;

    g_assert_cmphex(create_context(gpu, 2), ==, OK);
    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    s->hold_fences = 1;
    none = put_ring(gpu, VIRTIO_GPU_CMD_RESOURCE_FLUSH, 1, 9, false);
    for (i = 0; i < G_N_ELEMENTS(dead); i++) {
        dead[i] = put_submit(gpu, 1, 10 + i);
    }
    other = put_submit(gpu, 2, 20);
    gpu_kick(gpu);
    step(gpu, 20 * STEP_NS);
    for (i = 0; i < G_N_ELEMENTS(dead); i++) {
        g_assert_false(gpu_is_done(gpu, dead[i]));
    }
    s->dead_context = 1;
    step(gpu, 30 * STEP_NS);
    for (i = 0; i < G_N_ELEMENTS(dead); i++) {
        g_assert_true(gpu_is_done(gpu, dead[i]));
        g_assert_cmphex(gpu_answer(gpu, dead[i]), ==, UNSPEC);
    }
    /* The others take long, and that is all. */
    g_assert_false(gpu_is_done(gpu, other));
    g_assert_false(gpu_is_done(gpu, none));
    s->hold_fences = 0;
    g_assert_cmphex(gpu_answer(gpu, other), ==, OK);
    g_assert_cmphex(gpu_answer(gpu, none), ==, OK);
    g_assert_cmphex(gpu_take(gpu, put_submit(gpu, 1, 30)), ==, UNSPEC);
    g_assert_cmphex(gpu_take(gpu, put_submit(gpu, 2, 31)), ==, OK);
    g_assert_cmpuint(gpu_failures(gpu, "fence"), ==, 4);
    /* What has died is started anew with the device, and not otherwise. */
    s->dead_context = 0;
    gpu_reset(gpu);
    g_assert_cmphex(display_info(gpu), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    g_assert_cmpuint(s->cleanups, ==, 1);
    g_assert_cmpuint(s->resets, ==, 0);
    gpu_reset(gpu);
    g_assert_cmphex(display_info(gpu), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    g_assert_cmpuint(s->cleanups, ==, 1);
    g_assert_cmpuint(s->resets, ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, ": context 1: "), ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, "context 2"), ==, 0);
}

/* A ring is not given up because the renderer lacks memory for a moment. */
static void test_fence_without_memory(GPU *gpu)
{
    struct scripted_shared *s = gpu->shared;
    unsigned slot;

    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    s->hold_fences = 1;
    slot = put_submit(gpu, 1, 10);
    gpu_kick(gpu);
    step(gpu, 20 * STEP_NS);
    s->refuse = SCRIPTED_REFUSE_CTX_FENCE;
    s->refuse_error = ENOMEM;
    step(gpu, 40 * STEP_NS);
    g_assert_false(gpu_is_done(gpu, slot));
    s->refuse = 0;
    s->hold_fences = 0;
    g_assert_cmphex(gpu_answer(gpu, slot), ==, OK);
    g_assert_cmpuint(gpu_failures(gpu, "fence"), ==, 0);
}

/*
 * A hardware error in memory that the main thread reads ends QEMU by SIGBUS,
 * also where it handles SIGBUS for blobs.
 */
static void test_memory_error(void)
{
    GPU *gpu;

    if (g_test_subprocess()) {
        gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW });
        gpu_create(gpu, 1, BUFFER, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==,
                        VIRTIO_GPU_RESP_OK_MAP_INFO);
        gpu->shared->memory_error = 1;
        gpu_put_fenced(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 1, 7);
        gpu_kick(gpu);
        gpu_finish(gpu);
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*signal 7 *");
}

/*
 * A context's fences that take long are asked for again, a ring a time and a
 * second; those that are young, or no context's, are not.
 */
static void test_slow_fence(GPU *gpu)
{
    struct scripted_shared *s = gpu->shared;
    unsigned slots[32], i;

    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    s->hold_fences = 1;
    slots[0] = put_ring(gpu, VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, 1, false);
    for (i = 1; i < 28; i++) {
        slots[i] = put_submit(gpu, 1, i / 2);
    }
    gpu_kick(gpu);
    step(gpu, 100 * STEP_NS);
    g_assert_cmpuint(s->fences, <=, i + 2 * 11);
    for (; i < G_N_ELEMENTS(slots); i++) {
        g_assert_cmphex(create_context(gpu, i), ==, OK);
        slots[i] = put_submit(gpu, i, i);
        gpu_kick(gpu);
        step(gpu, 3 * STEP_NS);
    }
    s->hold_fences = 0;
    for (i = 0; i < G_N_ELEMENTS(slots); i++) {
        g_assert_cmphex(gpu_answer(gpu, slots[i]), ==, OK);
    }
    g_assert_cmpuint(gpu_failures(gpu, "fence"), ==, 0);
}

/* The renderer says nothing more of the fences of a context that is gone. */
static void test_destroyed_context(GPU *gpu)
{
    struct scripted_shared *s = gpu->shared;
    unsigned slot, other, none;

    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    g_assert_cmphex(create_context(gpu, 2), ==, OK);
    s->hold_fences = 1;
    slot = put_submit(gpu, 1, 1);
    other = put_submit(gpu, 2, 1);
    none = put_ring(gpu, VIRTIO_GPU_CMD_RESOURCE_FLUSH, 1, 2, false);
    gpu_kick(gpu);
    gpu_settle(gpu);
    g_assert_cmphex(run(gpu, VIRTIO_GPU_CMD_CTX_DESTROY, 1, 0), ==, OK);
    g_assert_cmphex(gpu_answer(gpu, slot), ==, OK);
    g_assert_false(gpu_is_done(gpu, other));
    g_assert_false(gpu_is_done(gpu, none));
    s->hold_fences = 0;
    g_assert_cmphex(gpu_answer(gpu, other), ==, OK);
    g_assert_cmphex(gpu_answer(gpu, none), ==, OK);
}

/* Of an id, the renderer keeps 32 bits. */
static void test_long_fence_id(GPU *gpu)
{
    static const uint64_t ids[] = {
        1, UINT32_MAX, 1ull << 32, (1ull << 32) + 5, UINT64_MAX,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_assert_cmphex(gpu_take(gpu, put_ring(gpu,
            VIRTIO_GPU_CMD_RESOURCE_FLUSH, 0, ids[i], false)), ==, OK);
    }
}

/*
 * A renderer that does not start
 */

static void check_answers(GPU *gpu)
{
    struct virtio_gpu_resp_capset_info info = { };
    Command cmd = make(VIRTIO_GPU_CMD_GET_CAPSET_INFO, 0, 0);
    uint32_t type;

    g_assert_cmphex(display_info(gpu), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    g_assert_cmphex(run(gpu, VIRTIO_GPU_CMD_GET_EDID, 0, 0), ==,
                    VIRTIO_GPU_RESP_OK_EDID);
    g_assert_cmphex(gpu_run(gpu, &cmd, sizeof(cmd), &info, sizeof(info)), ==,
                    VIRTIO_GPU_RESP_OK_CAPSET_INFO);
    g_assert_cmpuint(info.capset_id, ==, 0);
    for (type = VIRTIO_GPU_CMD_RESOURCE_CREATE_2D;
         type <= VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB; type++) {
        if (type == VIRTIO_GPU_CMD_GET_CAPSET_INFO ||
            type == VIRTIO_GPU_CMD_GET_EDID) {
            continue;
        }
        g_assert_cmphex(run(gpu, type, 1, 1), ==, UNSPEC);
        g_assert_cmphex(gpu_take(gpu, put_ring(gpu, type, 1, 1, type & 1)),
                        ==, UNSPEC);
        if (type == 0x120) {
            type = VIRTIO_GPU_CMD_CTX_CREATE - 1;
        }
    }
}

static void test_no_start(GPU *gpu)
{
    struct scripted_shared *s = gpu->shared;
    int64_t start_us = g_get_monotonic_time();
    uint64_t inits = s->inits;

    s->refuse = SCRIPTED_REFUSE_START;
    s->refuse_error = EIO;
    for (unsigned i = 1; i <= 100; i++) {
        g_assert_cmphex(display_info(gpu), ==,
                        VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
        g_assert_cmpuint(s->inits, ==, inits + i);
        if (i <= 3) {
            check_answers(gpu);
        }
        g_assert_cmpuint(s->inits, ==, inits + i);
        gpu_reset(gpu);
    }
    g_assert_cmpuint(gpu_failures(gpu, "start"), ==, 100);
    g_assert_cmpuint(gpu_count_log(gpu, "could not be started"), >=, 1);
    g_assert_cmpuint(gpu_count_log(gpu, "could not be started"), <=,
                     lines_max(start_us));
    g_assert_cmpuint(gpu_count_log(gpu, strerror(EIO)), >=, 1);
    g_assert_cmpuint(gpu_count_log(gpu, ", error 0x"), ==, 0);
    s->refuse = 0;
    gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, 0);
    /* One that was started before, and does not start again */
    gpu_reset(gpu);
    s->refuse = SCRIPTED_REFUSE_START;
    check_answers(gpu);
}

/*
 * Failures are reported, and what follows from them is no error of the guest's
 */

/* What a driver does with an id, whatever became of it */
static void use_id(GPU *gpu, uint32_t id)
{
    g_assert_cmphex(gpu_map(gpu, id, 0, NULL), ==, BAD_ID);
    g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, id), ==, BAD_ID);
}

static uint32_t map_without_reply(GPU *gpu, uint32_t id)
{
    Command map = make(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, 0, id);

    return gpu_take(gpu, gpu_put(gpu, &(GPUCmd) {
        .out = &map, .out_len = sizeof(map), .in_len = sizeof(map.hdr),
    }));
}

/* A map is refused for its reply, and the resource was never created. */
static void test_unmap_after_short_reply(GPU *gpu)
{
    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    gpu->shared->refuse = SCRIPTED_REFUSE_BLOB;
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, UNSPEC);
    g_assert_cmphex(map_without_reply(gpu, 1), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD_ID);
}

/* The same, of a buffer whose region I/O in flight still refers to */
static void test_unmap_while_leaving(GPU *gpu)
{
    gpu_map_new(gpu, 1, DRIVERS, GPU_PAGE, 0);
    gpu_watch(gpu, SCRIPTED_WATCH_HOLD, 0);
    g_assert_cmphex(map_without_reply(gpu, 1), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
    g_assert_cmphex(map_without_reply(gpu, 1), ==, BAD);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
    gpu_release(gpu);
    gpu_unref(gpu, 1);
}

/*
 * As many as are remembered; those that are forgotten are the guest's.  The log
 * is limited, however often the guest has the host fail.
 */
static void test_remembered(GPU *gpu)
{
    int64_t start_us = g_get_monotonic_time();
    struct scripted_shared *s = gpu->shared;

    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    s->refuse = SCRIPTED_REFUSE_BLOB;
    gpu_batch_all(gpu, gpu_put_shared, 1, 257, UNSPEC);
    g_assert_cmpuint(gpu_failures(gpu, "blob"), ==, 257);
    g_assert_cmpuint(gpu_count_log(gpu, "warning:"), <=, lines_max(start_us));
    for (unsigned i = 2; i <= 257; i++) {
        g_assert_cmphex(gpu_map(gpu, i, 0, NULL), ==, BAD_ID);
    }
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, BAD_ID);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 1);
    /* Nor is anything remembered after a reset. */
    gpu_reset(gpu);
    g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, BAD_ID);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 2);
    s->refuse = 0;
}

#define CREATE(what) VIRTIO_GPU_CMD_RESOURCE_CREATE_##what

/* A resource or a context, with the id 9 */
static uint32_t create(GPU *gpu, uint32_t type, ScriptedBlob blob)
{
    return type == CREATE(BLOB) ? gpu_create(gpu, 9, blob, 8192)
           : type == VIRTIO_GPU_CMD_CTX_CREATE ? create_context(gpu, 9)
           : run(gpu, type, 0, 9);
}

/* As many rows as the log has lines for in five seconds */
static void test_failed(GPU *gpu)
{
#define BLOB_9 "blob", "resource 9 (context 1, 8192 bytes"
#define RESOURCE_9 "resource", "resource 9 (context 0)"
    static const struct {
        uint32_t refuse;
        int error;
        uint32_t type;
        const char *counter, *reported;
        ScriptedBlob blob;
    } rows[] = {
        { SCRIPTED_REFUSE_BLOB, ENOMEM, CREATE(BLOB), BLOB_9 },
        { SCRIPTED_REFUSE_BLOB, EIO, CREATE(BLOB), BLOB_9 },
        { SCRIPTED_REFUSE_BLOB, ENOSPC, CREATE(BLOB), BLOB_9 },
        { SCRIPTED_REFUSE_BLOB, EMFILE, CREATE(BLOB), BLOB_9 },
        { SCRIPTED_REFUSE_BLOB, ENFILE, CREATE(BLOB), BLOB_9 },
        { SCRIPTED_REFUSE_BLOB, 1, CREATE(BLOB), BLOB_9 },
        { 0, 0, CREATE(BLOB), BLOB_9, BUFFER_BUT(.info_fails = true) },
        /* A context of the same id is another matter. */
        { SCRIPTED_REFUSE_CONTEXT, EIO, VIRTIO_GPU_CMD_CTX_CREATE, "context",
          ": context 9: " },
        { SCRIPTED_REFUSE_RESOURCE, ENOMEM, CREATE(2D), RESOURCE_9 },
        { SCRIPTED_REFUSE_RESOURCE, ENOMEM, CREATE(3D), RESOURCE_9 },
    };
    struct scripted_shared *s = gpu->shared;
    unsigned own = 0;

    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *error = rows[i].error == 1 ? "no reason given"
                                               : strerror(rows[i].error);
        uint64_t before = gpu_failures(gpu, rows[i].counter);
        unsigned reported = gpu_count_log(gpu, rows[i].reported);
        unsigned why = gpu_count_log(gpu, error);
        unsigned guests = gpu_count_log(gpu, "error 0x");

        g_test_message("row %zu", i);
        s->refuse = rows[i].refuse;
        s->refuse_error = rows[i].error;
        g_assert_cmphex(create(gpu, rows[i].type, rows[i].blob), ==, UNSPEC);
        g_assert_cmpuint(gpu_failures(gpu, rows[i].counter), ==, before + 1);
        g_assert_cmpuint(gpu_count_log(gpu, rows[i].reported), ==,
                         reported + 1);
        g_assert_cmpuint(gpu_count_log(gpu, error), ==, why + !!rows[i].error);
        /* What follows from it is no fault of the guest's. */
        if (rows[i].refuse == SCRIPTED_REFUSE_CONTEXT) {
            g_assert_cmphex(gpu_take(gpu, put_submit(gpu, 9, 1)), ==,
                            BAD_CONTEXT);
        } else {
            use_id(gpu, 9);
        }
        g_assert_cmpuint(gpu_count_log(gpu, "error 0x"), ==, guests);
        s->refuse = 0;
        if (rows[i].refuse) {
            g_assert_cmphex(create(gpu, rows[i].type, rows[i].blob), ==, OK);
        }
        if (rows[i].refuse && rows[i].refuse != SCRIPTED_REFUSE_CONTEXT) {
            g_assert_cmphex(gpu_unref(gpu, 9), ==, OK);
            /* What follows from its own is. */
            g_assert_cmphex(gpu_map(gpu, 9, 0, NULL), ==, BAD_ID);
            g_assert_cmphex(gpu_unmap(gpu, 9), ==, BAD_ID);
            own++;
        }
        g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, own);
    }
    g_assert_cmpuint(gpu_failures(gpu, "fence"), ==, 0);
    g_assert_cmpuint(gpu_failures(gpu, "after-failure"), >, 0);
    g_assert_cmpuint(gpu_count_log(gpu, "does not exist"), ==, own);
    g_assert_cmpuint(gpu_count_log(gpu, "limit on open files"), ==, 2);
}

static uint32_t create_context_of(GPU *gpu, uint32_t ctx_id, uint32_t capset)
{
    Command cmd = make(VIRTIO_GPU_CMD_CTX_CREATE, ctx_id, 0);

    cmd.words[1] = cpu_to_le32(capset);
    return gpu_take(gpu, put(gpu, &cmd));
}

/*
 * Contexts that the renderer refuses: what is the host's failure, and what the
 * guest's error; a blob in one that failed follows from that.
 */
static void test_failed_contexts(GPU *gpu)
{
    static const struct {
        uint32_t ctx_id, capset;
        bool hosts;
    } rows[] = {
        { 0, 0, false }, { 1, 0, false }, { 2, 77, false }, { 2, 2, true },
        { 2, VIRTIO_GPU_CAPSET_VENUS, false },
    };
    Command blob = make(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, 0, 7);
    struct scripted_shared *s = gpu->shared;

    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    s->refuse = SCRIPTED_REFUSE_CONTEXT;
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        uint64_t before = gpu_failures(gpu, "context");

        g_assert_cmphex(create_context_of(gpu, rows[i].ctx_id,
                                          rows[i].capset), ==, UNSPEC);
        g_assert_cmpuint(gpu_failures(gpu, "context"), ==,
                         before + rows[i].hosts);
    }
    g_assert_cmphex(run(gpu, VIRTIO_GPU_CMD_CTX_DESTROY, 1, 0), ==, OK);
    s->refuse |= SCRIPTED_REFUSE_BLOB;
    /* A blob of no context, of one that is gone, and of one that failed */
    blob.words[1] = cpu_to_le32(VIRTIO_GPU_BLOB_MEM_HOST3D);
    g_assert_cmphex(gpu_take(gpu, put(gpu, &blob)), ==, UNSPEC);
    g_assert_cmpuint(gpu_failures(gpu, "blob"), ==, 1);
    g_assert_cmphex(gpu_create(gpu, 5, BUFFER, GPU_PAGE), ==, UNSPEC);
    g_assert_cmphex(gpu_map(gpu, 5, 0, NULL), ==, BAD_ID);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 1);
    gpu_reset(gpu);
    g_assert_cmphex(create_context(gpu, 1), ==, UNSPEC);
    g_assert_cmphex(gpu_create(gpu, 6, BUFFER, GPU_PAGE), ==, UNSPEC);
    g_assert_cmphex(gpu_map(gpu, 6, 0, NULL), ==, BAD_ID);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 1);
    g_assert_cmpuint(gpu_failures(gpu, "blob"), ==, 1);
    /* One that was created after all has not failed any more. */
    s->refuse = SCRIPTED_REFUSE_BLOB;
    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    g_assert_cmphex(run(gpu, VIRTIO_GPU_CMD_CTX_DESTROY, 1, 0), ==, OK);
    g_assert_cmphex(gpu_create(gpu, 8, BUFFER, GPU_PAGE), ==, UNSPEC);
    g_assert_cmphex(gpu_map(gpu, 8, 0, NULL), ==, BAD_ID);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 2);
}

/* Venus has a process of its own, and its own remedy. */
static void test_failed_venus(GPU *gpu)
{
    struct scripted_shared *s = gpu->shared;

    s->refuse = SCRIPTED_REFUSE_CONTEXT;
    g_assert_cmphex(create_context_of(gpu, 1, VIRTIO_GPU_CAPSET_VENUS), ==,
                    UNSPEC);
    g_assert_cmpuint(gpu_count_log(gpu, "virgl_render_server"), ==, 1);
    s->refuse = SCRIPTED_REFUSE_START;
    gpu_reset(gpu);
    g_assert_cmphex(display_info(gpu), ==, VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
    g_assert_cmpuint(gpu_count_log(gpu, "virgl_render_server"), ==, 2);
}

/* A display needs a buffer that can be shown. */
static void test_failed_scanout(GPU *gpu)
{
    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_create(gpu, 6, SHM(), 64 * 64 * 4), ==, OK);
    g_assert_cmphex(gpu_show_blob(gpu, 0, 6, GPU_PICTURE), ==, UNSPEC);
    g_assert_cmpuint(gpu_failures(gpu, "scanout"), ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, "error 0x"), ==, 0);
    g_assert_cmpuint(gpu_count_log(gpu, "resource 6 (context 1, 16384 bytes"),
                     ==, 1);
    /* One that there is not */
    g_assert_cmphex(gpu_show_blob(gpu, 0, 7, GPU_PICTURE), ==, BAD_ID);
    g_assert_cmpuint(gpu_failures(gpu, "scanout"), ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, "error 0x"), ==, 1);
    gpu_unref(gpu, 6);
}

static void test_failures_traced(GPU *gpu)
{
    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    gpu->shared->refuse = SCRIPTED_REFUSE_BLOB;
    gpu_create(gpu, 5, BUFFER, GPU_PAGE);
    gpu_map(gpu, 5, 0, NULL);
    if (!gpu_count_log(gpu, "virtio_gpu_virgl_")) {
        g_test_skip("this QEMU does not trace to its log");
    } else {
        g_assert_cmpuint(gpu_count_log(gpu, "virtio_gpu_virgl_failure"), ==, 1);
        g_assert_cmpuint(gpu_count_log(gpu, "virtio_gpu_virgl_after_failure"),
                         ==, 1);
    }
}

/*
 * What the operator has set, and the guest cannot use
 */

static void test_window_not_placed(GPU *gpu)
{
    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_count_log(gpu, "address space"), ==, 0);
    qvirtio_gpu_pci_map_shm(gpu->dev, 0);
    for (unsigned i = 2; i < 5; i++) {
        g_assert_cmphex(create_context(gpu, i), ==, OK);
    }
    g_assert_cmpuint(gpu_count_log(gpu, "address space"), ==, 1);
    gpu_reset(gpu);
    gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, 0);
    g_assert_cmpuint(gpu_count_log(gpu, "address space"), ==, 2);
    gpu_unref(gpu, 1);
}

/* A window that has no effect need not be placed. */
static void test_window_not_used(GPU *gpu)
{
    qvirtio_gpu_pci_map_shm(gpu->dev, 0);
    g_assert_cmphex(create_context(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_count_log(gpu, "address space"), ==, 0);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "refused-fence", test_refused_fence, { .logged = true } },
        { "no-context", test_no_context,
          { .logged = true, .args = "-d guest_errors" } },
        { "dead-context", test_dead_context, { .logged = true } },
        { "fence-without-memory", test_fence_without_memory },
        { "memory-error", .alone = test_memory_error },
        { "unmap-after-short-reply", test_unmap_after_short_reply },
        { "unmap-while-leaving", test_unmap_while_leaving },
        { "slow-fence", test_slow_fence },
        { "destroyed-context", test_destroyed_context,
          { .props = ",stats=on" } },
        { "long-fence-id", test_long_fence_id },
        { "no-start", test_no_start,
          { .logged = true, .args = "-d guest_errors" } },
        { "failed", test_failed,
          { .logged = true, .args = "-d guest_errors" } },
        { "failed-contexts", test_failed_contexts },
        { "failed-venus", test_failed_venus,
          { .props = ",venus=on", .logged = true } },
        { "failed-scanout", test_failed_scanout,
          { .logged = true, .args = "-d guest_errors" } },
        { "remembered", test_remembered, { .logged = true } },
        { "failures-traced", test_failures_traced,
          { .logged = true, .args = "-trace virtio_gpu_virgl_*" } },
        { "window-not-placed", test_window_not_placed, { .logged = true } },
        { "window-not-used", test_window_not_used,
          { .logged = true, .props = ",blob=off" } },
    };

    return gpu_run_tests(argc, argv, "failures", tests, G_N_ELEMENTS(tests));
}
