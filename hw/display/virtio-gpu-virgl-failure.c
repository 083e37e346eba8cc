/*
 * virtio-gpu: failures of the renderer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "trace.h"
#include "virtio-gpu-blob.h"
#ifdef CONFIG_VIRTIO_GPU_BLOB
#include "virtio-gpu-blob-internal.h"
#endif
#include "virtio-gpu-virgl.h"
#include "virtio-gpu-virgl-failure.h"
#include "virtio-gpu-virgl-fence.h"

#include <virglrenderer.h>

/* Number of ids that are remembered: the guest may still use them */
#define REMEMBERED_MAX 256

/* Finding the window's largest hole takes a walk over all mappings. */
#define LOOK_INTERVAL_MS 50

/* For builds without the log's rate limit, which is for blobs */
#define LINES_MAX 100

#define CAPSET_ID_MASK 0xff

static const char *const names[] = {
    [VIRTIO_GPU_VIRGL_START] = "start",
    [VIRTIO_GPU_VIRGL_CONTEXT] = "context",
    [VIRTIO_GPU_VIRGL_RESOURCE] = "resource",
    [VIRTIO_GPU_VIRGL_BLOB] = "blob",
    [VIRTIO_GPU_VIRGL_SCANOUT] = "scanout",
    [VIRTIO_GPU_VIRGL_FENCE] = "fence",
    [VIRTIO_GPU_VIRGL_WINDOW_FULL] = "window-full",
    [VIRTIO_GPU_VIRGL_AFTER] = "after-failure",
};

static const char *const texts[] = {
    [VIRTIO_GPU_VIRGL_CONTEXT] = "the renderer could not create a context",
    [VIRTIO_GPU_VIRGL_RESOURCE] = "the renderer could not create a resource",
    [VIRTIO_GPU_VIRGL_BLOB] = "the renderer could not create a blob",
    [VIRTIO_GPU_VIRGL_SCANOUT] = "a resource cannot be shown on a display",
    [VIRTIO_GPU_VIRGL_FENCE] = "the renderer refuses a fence",
};

#define VENUS_REMEDY \
    "venus=on needs virgl_render_server (Debian's package virgl-server), " \
    "which -sandbox spawn=deny keeps QEMU from starting"

/* The value of a context in the tree of contexts */
#define CONTEXT_CREATED  1
#define CONTEXT_REPORTED 2 /* a refused fence was reported */

/*
 * FailedId - a resource or a context that the host could not create
 * @id: its id in the guest's commands
 * @is_context: true for a context, false for a resource
 * @map_refused: RESOURCE_MAP_BLOB was refused, and not unmapped since
 */
typedef struct FailedId {
    uint32_t id;
    bool is_context;
    bool map_refused;
} FailedId;

/*
 * VirtIOGPUVirglFailures - what a device remembers of failures
 * @counts: by kind, since the device was created
 * @contexts: CONTEXT_* by the ids of the contexts that exist
 * @remembered: ids that could not be created, the oldest first
 * @n: number of ids in @remembered
 * @restart: a context has failed, or a process that the renderer has started
 * @caps_filled: the renderer has filled a capset since it was started
 * @window_reported: it was reported that the window is not placed
 * @looked_ms: when the window's largest hole was last looked at
 * @log: limits the warnings, as a guest can cause them
 * @lines: the same where no blobs can be mapped: warnings so far
 */
typedef struct VirtIOGPUVirglFailures {
    uint64_t counts[VIRTIO_GPU_VIRGL_FAILURE__MAX];
    GTree *contexts;
    FailedId remembered[REMEMBERED_MAX];
    unsigned n;
    bool restart;
    bool caps_filled;
    bool window_reported;
    int64_t looked_ms;
#ifdef CONFIG_VIRTIO_GPU_BLOB
    VirtIOGPUBlobLog log;
#else
    unsigned lines;
#endif
} VirtIOGPUVirglFailures;

static VirtIOGPUVirglFailures *failures_of(VirtIOGPU *g)
{
    return VIRTIO_GPU_GL(g)->failures;
}

/*
 * Ids
 */

/* Returns: the index in @remembered, or -1 */
static int find_id(const VirtIOGPUVirglFailures *f, uint32_t id,
                   bool is_context)
{
    int i;

    for (i = 0; i < f->n; i++) {
        if (f->remembered[i].id == id &&
            f->remembered[i].is_context == is_context) {
            return i;
        }
    }
    return -1;
}

static void forget(VirtIOGPUVirglFailures *f, int i)
{
    f->n--;
    memmove(&f->remembered[i], &f->remembered[i + 1],
            (f->n - i) * sizeof(f->remembered[0]));
}

static void forget_id(VirtIOGPUVirglFailures *f, uint32_t id, bool is_context)
{
    int i = find_id(f, id, is_context);

    if (i >= 0) {
        forget(f, i);
    }
}

static void remember(VirtIOGPUVirglFailures *f, uint32_t id, bool is_context)
{
    forget_id(f, id, is_context);
    if (f->n == REMEMBERED_MAX) {
        forget(f, 0);
    }
    f->remembered[f->n++] = (FailedId) { .id = id, .is_context = is_context };
}

void virtio_gpu_virgl_blob_created(VirtIOGPU *g, uint32_t resource_id)
{
    forget_id(failures_of(g), resource_id, false);
}

/* Returns: as find_id() */
static int follows(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd,
                   uint32_t id, bool is_context)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    int i = find_id(f, id, is_context);

    if (i >= 0) {
        f->counts[VIRTIO_GPU_VIRGL_AFTER]++;
        trace_virtio_gpu_virgl_after_failure(cmd->cmd_hdr.type,
                                             is_context ? id : 0,
                                             is_context ? 0 : id);
        cmd->reported = true;
    }
    return i;
}

bool virtio_gpu_virgl_follows(VirtIOGPU *g,
                              struct virtio_gpu_ctrl_command *cmd,
                              uint32_t resource_id)
{
    return follows(g, cmd, resource_id, false) >= 0;
}

bool virtio_gpu_virgl_follows_map(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd,
                                  uint32_t resource_id)
{
    int i = follows(g, cmd, resource_id, false);

    if (i >= 0) {
        failures_of(g)->remembered[i].map_refused = true;
    }
    return i >= 0;
}

bool virtio_gpu_virgl_follows_unmap(VirtIOGPU *g,
                                    struct virtio_gpu_ctrl_command *cmd,
                                    uint32_t resource_id)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    int i = follows(g, cmd, resource_id, false);
    bool first = i >= 0 && f->remembered[i].map_refused;

    if (first) {
        f->remembered[i].map_refused = false;
    }
    return first;
}

/*
 * Warnings
 */

static bool may_log(VirtIOGPUVirglFailures *f)
{
#ifdef CONFIG_VIRTIO_GPU_BLOB
    return virtio_gpu_blob_log_open(&f->log);
#else
    return f->lines < LINES_MAX && ++f->lines;
#endif
}

/* The renderer's errors have either sign; 1 is its "no reason given". */
static const char *error_text(int ret)
{
    return abs(ret) == 1 ? "no reason given" : strerror(abs(ret));
}

static const char *memory_remedy(int ret)
{
    switch (abs(ret)) {
    case ENOMEM:
    case ENOSPC:
        return "the host or its GPU has too little memory";
    case EMFILE:
    case ENFILE:
        return "raise the limit on open files (ulimit -n; max_files in "
               "libvirt's qemu.conf)";
    default:
        return NULL;
    }
}

/* @remedy may be NULL. */
static void report(VirtIOGPU *g, VirtIOGPUVirglFailure what,
                   struct virtio_gpu_ctrl_command *cmd, uint32_t ctx_id,
                   uint32_t resource_id, uint64_t size, const char *why,
                   const char *remedy)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    g_autoptr(GString) subject = g_string_new(NULL);

    trace_virtio_gpu_virgl_failure(names[what], ctx_id, resource_id, size,
                                   why);
    cmd->reported = true;
    if (!may_log(f)) {
        return;
    }
    if (resource_id) {
        g_string_printf(subject, "resource %" PRIu32 " (context %" PRIu32,
                        resource_id, ctx_id);
        if (size) {
            g_string_append_printf(subject, ", %" PRIu64 " bytes", size);
        }
        g_string_append(subject, ")");
    } else {
        g_string_printf(subject, "context %" PRIu32, ctx_id);
    }
    warn_report("virtio-gpu: %s: %s: %s%s%s", texts[what], subject->str, why,
                remedy ? "; " : "", remedy ? remedy : "");
}

/*
 * A renderer that does not start
 */

void virtio_gpu_virgl_start_failed(VirtIOGPU *g, int ret)
{
    VirtIOGPUVirglFailures *f = failures_of(g);

    f->counts[VIRTIO_GPU_VIRGL_START]++;
    trace_virtio_gpu_virgl_failure(names[VIRTIO_GPU_VIRGL_START], 0, 0, 0,
                                   error_text(ret));
    if (may_log(f)) {
        warn_report("virtio-gpu: the renderer could not be started: "
                    "virgl_renderer_init() returned %d (%s); the guest has no "
                    "3D and no picture until a reset of the device starts it%s",
                    ret, error_text(ret),
                    virtio_gpu_venus_enabled(g->parent_obj.conf)
                    ? "; " VENUS_REMEDY : "");
    }
}

void virtio_gpu_virgl_started(VirtIOGPU *g)
{
    failures_of(g)->caps_filled = false;
    failures_of(g)->restart = false;
}

/* virgl_renderer_reset() does not start the render server again. */
void virtio_gpu_virgl_stop(VirtIOGPU *g)
{
    if (failures_of(g)->restart) {
        virgl_renderer_cleanup(NULL);
    } else {
        virgl_renderer_reset();
    }
}

bool virtio_gpu_virgl_answer_down(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd)
{
    if (VIRTIO_GPU_GL(g)->renderer_state != RS_INIT_FAILED) {
        return false;
    }
    switch (cmd->cmd_hdr.type) {
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        virtio_gpu_get_display_info(g, cmd);
        break;
    case VIRTIO_GPU_CMD_GET_EDID:
        virtio_gpu_get_edid(g, cmd);
        break;
    case VIRTIO_GPU_CMD_GET_CAPSET_INFO: {
        /* The same answer as for an index without a capset */
        struct virtio_gpu_resp_capset_info resp = {
            .hdr.type = VIRTIO_GPU_RESP_OK_CAPSET_INFO,
        };

        virtio_gpu_ctrl_response(g, cmd, &resp.hdr, sizeof(resp));
        break;
    }
    default:
        break;
    }
    if (!cmd->finished) {
        virtio_gpu_ctrl_response_nodata(g, cmd, cmd->error ?:
                                        VIRTIO_GPU_RESP_ERR_UNSPEC);
    }
    return true;
}

/*
 * Before contexts and mappings
 */

/* VIRGL2 includes VIRGL, but the renderer may not have it. */
static void fill_capset(void)
{
    uint32_t set = VIRTIO_GPU_CAPSET_VIRGL2, version, size;
    g_autofree void *caps = NULL;

    virgl_renderer_get_cap_set(set, &version, &size);
    if (!version) {
        set = VIRTIO_GPU_CAPSET_VIRGL;
        virgl_renderer_get_cap_set(set, &version, &size);
    }
    if (size) {
        caps = g_malloc0(size);
        virgl_renderer_fill_caps(set, version, caps);
    }
}

static void check_window(VirtIOGPU *g)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    VirtIOGPUBase *b = VIRTIO_GPU_BASE(g);

    if (f->window_reported || !virtio_gpu_blob_enabled(b->conf) ||
        !virtio_gpu_hostmem_enabled(b->conf) ||
        memory_region_is_mapped(&b->hostmem)) {
        return;
    }
    f->window_reported = true;
    warn_report("virtio-gpu: the guest uses the device and has not placed its "
                "window (hostmem=%" PRIu64 "M) in its address space: it "
                "cannot map blobs; give it a smaller hostmem, or more address "
                "bits (-cpu ...,host-phys-bits=on or phys-bits=)",
                b->conf.hostmem / MiB);
}

void virtio_gpu_virgl_prepare(VirtIOGPU *g)
{
    VirtIOGPUVirglFailures *f = failures_of(g);

    if (!f->caps_filled) {
        f->caps_filled = true;
        fill_capset();
    }
    check_window(g);
}

/*
 * Contexts
 */

bool virtio_gpu_virgl_has_context(VirtIOGPU *g, uint32_t ctx_id)
{
    return g_tree_lookup(failures_of(g)->contexts, GUINT_TO_POINTER(ctx_id));
}

/* True if the guest was offered the capset, or has chosen none */
static bool is_offered(VirtIOGPU *g, uint32_t capset_id)
{
    GArray *ids = g->capset_ids;
    guint i;

    for (i = 0; i < ids->len; i++) {
        if (g_array_index(ids, uint32_t, i) == capset_id) {
            return true;
        }
    }
    return !capset_id;
}

void virtio_gpu_virgl_context_created(VirtIOGPU *g,
                                      struct virtio_gpu_ctrl_command *cmd,
                                      uint32_t capset_id, int ret)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    uint32_t ctx_id = cmd->cmd_hdr.ctx_id;

    if (!ret) {
        forget_id(f, ctx_id, true);
        g_tree_insert(f->contexts, GUINT_TO_POINTER(ctx_id),
                      GUINT_TO_POINTER(CONTEXT_CREATED));
        return;
    }
    cmd->error = VIRTIO_GPU_RESP_ERR_UNSPEC;
    capset_id &= CAPSET_ID_MASK;
    if (!ctx_id || virtio_gpu_virgl_has_context(g, ctx_id) ||
        !is_offered(g, capset_id)) {
        return; /* an error of the guest's driver */
    }
    f->restart = true;
    f->counts[VIRTIO_GPU_VIRGL_CONTEXT]++;
    remember(f, ctx_id, true);
    report(g, VIRTIO_GPU_VIRGL_CONTEXT, cmd, ctx_id, 0, 0, error_text(ret),
           capset_id == VIRTIO_GPU_CAPSET_VENUS
           ? VENUS_REMEDY "; a reset of the device starts it again"
           : memory_remedy(ret));
}

void virtio_gpu_virgl_context_destroyed(VirtIOGPU *g, uint32_t ctx_id)
{
    g_tree_remove(failures_of(g)->contexts, GUINT_TO_POINTER(ctx_id));
    virtio_gpu_virgl_drop_fences(g, ctx_id);
}

/* A context that refuses one fence refuses all: one warning is enough. */
static bool is_reported(VirtIOGPUVirglFailures *f, uint32_t ctx_id)
{
    gpointer key = GUINT_TO_POINTER(ctx_id);

    if (GPOINTER_TO_UINT(g_tree_lookup(f->contexts, key)) == CONTEXT_REPORTED) {
        return true;
    }
    g_tree_insert(f->contexts, key, GUINT_TO_POINTER(CONTEXT_REPORTED));
    return false;
}

uint32_t virtio_gpu_virgl_fence_failed(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd,
                                       unsigned n, int ret)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    uint32_t ctx_id = cmd->cmd_hdr.ctx_id;
    const char *remedy = "the commands that wait for it get an error; a "
        "program in the guest, or the process that renders for it, has failed";
    bool of_context = false;

#if VIRGL_VERSION_MAJOR >= 1
    of_context = cmd->cmd_hdr.flags & VIRTIO_GPU_FLAG_INFO_RING_IDX;
#endif
    if (of_context && !virtio_gpu_virgl_has_context(g, ctx_id)) {
        follows(g, cmd, ctx_id, true);
        return VIRTIO_GPU_RESP_ERR_INVALID_CONTEXT_ID;
    }
    f->restart |= of_context;
    f->counts[VIRTIO_GPU_VIRGL_FENCE] += n;
    cmd->reported = true;
    if (!of_context) {
        report(g, VIRTIO_GPU_VIRGL_FENCE, cmd, 0, 0, 0, error_text(ret), NULL);
    } else if (!is_reported(f, ctx_id)) {
        report(g, VIRTIO_GPU_VIRGL_FENCE, cmd, ctx_id, 0, 0, error_text(ret),
               remedy);
    }
    return VIRTIO_GPU_RESP_ERR_UNSPEC;
}

/*
 * Resources
 */

void virtio_gpu_virgl_resource_created(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd,
                                       struct virtio_gpu_virgl_resource *res,
                                       int ret)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    uint32_t resource_id = res->base.resource_id;

    if (!ret) {
        forget_id(f, resource_id, false);
        return;
    }
    virtio_gpu_virgl_remove_resource(g, res);
    cmd->error = VIRTIO_GPU_RESP_ERR_UNSPEC;
    f->counts[VIRTIO_GPU_VIRGL_RESOURCE]++;
    remember(f, resource_id, false);
    report(g, VIRTIO_GPU_VIRGL_RESOURCE, cmd, cmd->cmd_hdr.ctx_id, resource_id,
           0, error_text(ret), memory_remedy(ret));
}

void virtio_gpu_virgl_blob_failed(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd,
                                  uint32_t resource_id, uint64_t size, int ret)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    uint32_t ctx_id = cmd->cmd_hdr.ctx_id;

    cmd->error = VIRTIO_GPU_RESP_ERR_UNSPEC;
    if (ctx_id && !virtio_gpu_virgl_has_context(g, ctx_id)) {
        if (follows(g, cmd, ctx_id, true) >= 0) {
            remember(f, resource_id, false);
        }
        return;
    }
    f->counts[VIRTIO_GPU_VIRGL_BLOB]++;
    remember(f, resource_id, false);
    report(g, VIRTIO_GPU_VIRGL_BLOB, cmd, ctx_id, resource_id, size,
           error_text(ret), memory_remedy(ret));
}

bool virtio_gpu_virgl_scanout_failed(VirtIOGPU *g,
                                     struct virtio_gpu_ctrl_command *cmd,
                                     uint32_t resource_id, const char *why)
{
    struct virtio_gpu_virgl_resource *res =
        virtio_gpu_virgl_find_resource(g, resource_id);

    if (!res) {
        return virtio_gpu_virgl_follows(g, cmd, resource_id);
    }
    failures_of(g)->counts[VIRTIO_GPU_VIRGL_SCANOUT]++;
    report(g, VIRTIO_GPU_VIRGL_SCANOUT, cmd, res->blob.ctx_id, resource_id,
           res->base.blob_size, why, NULL);
    return true;
}

#ifdef CONFIG_VIRTIO_GPU_BLOB
void virtio_gpu_virgl_given_up(VirtIOGPU *g,
                               const struct virtio_gpu_virgl_resource *res)
{
    VirtIOGPUVirglFailures *f = failures_of(g);
    VirtIOGPUBlobWindow *window = VIRTIO_GPU_GL(g)->blobs->window;
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    uint64_t hole;

    if (!(res->blob.flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE) ||
        res->blob.map_asked || !window ||
        now - f->looked_ms < LOOK_INTERVAL_MS) {
        return;
    }
    f->looked_ms = now;
    hole = virtio_gpu_blob_vma_usage(virtio_gpu_blob_window_vma(window))
           .largest_hole;
    if (res->base.blob_size <= hole) {
        return;
    }
    f->counts[VIRTIO_GPU_VIRGL_WINDOW_FULL]++;
    trace_virtio_gpu_virgl_failure(names[VIRTIO_GPU_VIRGL_WINDOW_FULL],
                                   res->blob.ctx_id, res->base.resource_id,
                                   res->base.blob_size, "");
    if (may_log(f)) {
        warn_report("virtio-gpu: the guest has given up blob resource %" PRIu32
                    " (context %" PRIu32 ", %" PRIu64 " bytes) without mapping "
                    "it, and the largest hole of the window has %" PRIu64
                    " bytes: give it a larger hostmem",
                    res->base.resource_id, res->blob.ctx_id,
                    res->base.blob_size, hole);
    }
}
#else
void virtio_gpu_virgl_given_up(VirtIOGPU *g,
                               const struct virtio_gpu_virgl_resource *res)
{
}
#endif

/*
 * Realize, unrealize and reset
 */

static gint compare_ctx_ids(gconstpointer a, gconstpointer b, gpointer unused)
{
    return GPOINTER_TO_UINT(a) < GPOINTER_TO_UINT(b)
           ? -1 : GPOINTER_TO_UINT(a) > GPOINTER_TO_UINT(b);
}

/* Not a hash table, as a guest could choose ids that collide */
static GTree *new_tree(void)
{
    return g_tree_new_full(compare_ctx_ids, NULL, NULL, NULL);
}

void virtio_gpu_virgl_failures_realize(VirtIOGPUGL *gl)
{
    const VirtIOGPUBase *b = VIRTIO_GPU_BASE(gl);

    gl->failures = g_new0(VirtIOGPUVirglFailures, 1);
    gl->failures->contexts = new_tree();
    if (virtio_gpu_hostmem_enabled(b->conf) &&
        !virtio_gpu_blob_enabled(b->conf)) {
        warn_report("virtio-gpu: hostmem has no effect without blob=on");
    }
#ifndef CONFIG_VIRTIO_GPU_BLOB
    if (virtio_gpu_hostmem_enabled(b->conf)) {
        warn_report("virtio-gpu: hostmem has no effect: QEMU maps blobs only "
                    "on 64-bit Linux, with virglrenderer 1.0 or later");
    }
#endif
}

void virtio_gpu_virgl_failures_unrealize(VirtIOGPUGL *gl)
{
    g_tree_unref(gl->failures->contexts);
    g_free(gl->failures);
    gl->failures = NULL;
}

void virtio_gpu_virgl_failures_reset(VirtIOGPUGL *gl)
{
    VirtIOGPUVirglFailures *f = gl->failures;

    g_tree_unref(f->contexts);
    f->contexts = new_tree();
    f->n = 0;
    f->window_reported = false;
}

QDict *virtio_gpu_virgl_failures_list(const VirtIOGPUGL *gl)
{
    QDict *dict = qdict_new();
    int i;

    for (i = 0; i < VIRTIO_GPU_VIRGL_FAILURE__MAX; i++) {
        qdict_put_int(dict, names[i], gl->failures ? gl->failures->counts[i]
                                                   : 0);
    }
    return dict;
}
