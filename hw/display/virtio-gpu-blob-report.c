/*
 * virtio-gpu blob mappings: what the operator sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/log.h"
#include "qemu/timer.h"
#include "trace.h"
#include "virtio-gpu-blob-report.h"

#include <sys/resource.h>

#define LOG_INTERVAL_MS 5000
#define LOG_LINES_MAX 10

static const char *const policy_names[] = {
    [VIRTIO_GPU_MAP_POLICY_SAFE] = "safe",
    [VIRTIO_GPU_MAP_POLICY_STRICT] = "strict",
    [VIRTIO_GPU_MAP_POLICY_RENDERER] = "renderer",
};

const QEnumLookup virtio_gpu_blob_policies = {
    .array = policy_names,
    .size = VIRTIO_GPU_MAP_POLICY__MAX,
};

static const char *const backing_names[] = {
    [VIRTIO_GPU_BLOB_BACKING_NONE] = "none",
    [VIRTIO_GPU_BLOB_BACKING_DMABUF] = "dmabuf",
    [VIRTIO_GPU_BLOB_BACKING_SHM] = "shm",
    [VIRTIO_GPU_BLOB_BACKING_OPAQUE] = "opaque",
};

static const char *const answer_names[] = {
    [VIRTIO_GPU_EXPORTER_NOT_ASKED] = "not-asked",
    [VIRTIO_GPU_EXPORTER_UNSUPPORTED] = "unsupported",
    [VIRTIO_GPU_EXPORTER_FAILED] = "failed",
    [VIRTIO_GPU_EXPORTER_INCOHERENT] = "incoherent",
    [VIRTIO_GPU_EXPORTER_COHERENT_WC] = "coherent-wc",
    [VIRTIO_GPU_EXPORTER_COHERENT_CACHED] = "coherent-cached",
    [VIRTIO_GPU_EXPORTER_OTHER] = "other",
};

static const char *const voucher_names[] = {
    [VIRTIO_GPU_BLOB_VOUCHER_NOBODY] = "nobody",
    [VIRTIO_GPU_BLOB_VOUCHER_MEMFD] = "memfd",
    [VIRTIO_GPU_BLOB_VOUCHER_EXPORTER] = "exporter",
    [VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME] = "exporter-name",
    [VIRTIO_GPU_BLOB_VOUCHER_RENDERER] = "renderer",
};

/* virtio 1.3, 5.7.6.11: VIRTIO_GPU_MAP_CACHE_* */
static const char *const type_names[] = {
    "none", "cached", "uncached", "wc",
};

typedef struct ReasonText {
    const char *name;
    const char *why;
    const char *remedy;
} ReasonText;

/* Also marks the reasons that are no affair of the operator's */
static const char guest_bug[] = "this is a fault of the guest's driver";

static const ReasonText reasons[] = {
    [VIRTIO_GPU_BLOB_OK] = { "ok", "", "" },
    [VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE] = {
        "unknown-resource", "there is no such resource", guest_bug },
    [VIRTIO_GPU_BLOB_BAD_COMMAND] = {
        "bad-command", "the command is truncated", guest_bug },
    [VIRTIO_GPU_BLOB_SHORT_REPLY] = {
        "short-reply", "the guest left no room for the answer", guest_bug },
    [VIRTIO_GPU_BLOB_NO_WINDOW] = {
        "no-window", "the device has no host-visible window",
        "give it one, such as hostmem=256M" },
    [VIRTIO_GPU_BLOB_NOT_MAPPABLE] = {
        "not-mappable", "it was created without USE_MAPPABLE", guest_bug },
    [VIRTIO_GPU_BLOB_ALREADY_MAPPED] = {
        "already-mapped", "it is mapped already", guest_bug },
    [VIRTIO_GPU_BLOB_BAD_SIZE] = {
        "bad-size", "its size is 0", guest_bug },
    [VIRTIO_GPU_BLOB_MISALIGNED_OFFSET] = {
        "misaligned-offset", "the offset is no multiple of the host's page",
        "use a guest kernel with pages as large as the host's, or one that "
        "knows VIRTIO_GPU_F_BLOB_ALIGNMENT (Linux 7.2), and "
        "blob-alignment=auto" },
    [VIRTIO_GPU_BLOB_OUTSIDE_WINDOW] = {
        "outside-window", "it does not fit into the window there",
        guest_bug },
    [VIRTIO_GPU_BLOB_OVERLAP] = {
        "overlap", "another blob is mapped there", guest_bug },
    [VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST] = {
        "confidential-guest", "the guest is confidential",
        "run it without confidential-guest-support" },
    [VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT] = {
        "buffer-too-short", "the buffer ends before the blob does",
        "this is a fault of the renderer" },
    [VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE] = {
        "buffer-not-read-write",
        "the buffer is not open for reading and writing",
        "this is a fault of the renderer" },
    [VIRTIO_GPU_BLOB_POSSIBLE_VRAM] = {
        "possible-vram", "it may be a GPU's own memory, which KVM on this host "
        "cannot map safely, and its exporter cannot be asked",
        "use a host kernel with DMA_BUF_IOCTL_INFO; map-policy=renderer maps "
        "it if the renderer names a type" },
    [VIRTIO_GPU_BLOB_EXPORTER_INCOHERENT] = {
        "exporter-incoherent",
        "the exporter says that it needs explicit cache maintenance",
        "map-policy=renderer maps it all the same" },
    [VIRTIO_GPU_BLOB_EXPORTER_UNKNOWN_ANSWER] = {
        "exporter-unknown-answer",
        "the exporter's answer is not a known one",
        "map-policy=renderer trusts the renderer instead" },
    [VIRTIO_GPU_BLOB_EXPORTER_QUERY_FAILED] = {
        "exporter-query-failed", "the exporter could not be asked",
        "map-policy=renderer trusts the renderer instead" },
    [VIRTIO_GPU_BLOB_RENDERER_DISAGREES] = {
        "renderer-disagrees",
        "the renderer names another type than the exporter",
        "map-policy=safe follows the exporter" },
    [VIRTIO_GPU_BLOB_NOBODY_VOUCHES] = {
        "nobody-vouches", "nobody vouches for its cache type",
        "use a host kernel with DMA_BUF_IOCTL_INFO or a less strict "
        "map-policy" },
    [VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED] = {
        "guest-type-ignored", "", "" }, /* see explain() */
    [VIRTIO_GPU_BLOB_MAP_FAILED] = {
        "map-failed", "the host cannot map it",
        "this is a limit of the exporter or the renderer" },
    [VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR] = {
        "no-file-descriptor",
        "QEMU has no file descriptor left to find out about it",
        "raise its limit on open files (ulimit -n; max_files in libvirt's "
        "qemu.conf)" },
    [VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS] = {
        "too-many-mappings", "the host has no memory or no mappings left",
        "raise vm.max_map_count" },
    [VIRTIO_GPU_BLOB_REGION_LIMIT] = {
        "region-limit",
        "too many blobs without an fd to map are mapped already",
        "a renderer that exports its buffers has no such limit" },
    [VIRTIO_GPU_BLOB_NO_MEMORY_SLOT] = {
        "no-memory-slot", "KVM or vhost has no memory slot left",
        "use fewer memory devices" },
};

bool virtio_gpu_blob_log_has_room(VirtIOGPUBlobLog *log)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (now - log->start_ms >= LOG_INTERVAL_MS) {
        if (log->dropped) {
            warn_report("virtio-gpu: %" PRIu64 " more messages about blobs "
                        "were left out; see the property blob-map-stats",
                        log->dropped);
        }
        *log = (VirtIOGPUBlobLog) { .start_ms = now };
    }
    return log->lines < LOG_LINES_MAX;
}

bool virtio_gpu_blob_log_open(VirtIOGPUBlobLog *log)
{
    if (!virtio_gpu_blob_log_has_room(log)) {
        log->dropped++;
        return false;
    }
    log->lines++;
    return true;
}

static const char *exporter_name(const VirtIOGPUBlobSubject *s)
{
    return *s->exporter ? s->exporter : "-";
}

bool virtio_gpu_blob_reason_is_guests(VirtIOGPUBlobReason reason)
{
    return reasons[reason].remedy == guest_bug;
}

void virtio_gpu_blob_trace_refusal(const VirtIOGPUBlobSubject *subject,
                                   VirtIOGPUBlobReason reason)
{
    trace_virtio_gpu_blob_refused(subject->resource_id, subject->ctx_id,
                                  reasons[reason].name);
}

/* Why, and what to do about it: for some reasons, the host knows more. */
static char *explain(const VirtIOGPUBlobSubject *s, VirtIOGPUBlobReason reason)
{
    const VirtIOGPUBlobGuestTypeText *host;

    if (reason != VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED) {
        return g_strdup_printf("%s; %s", reasons[reason].why,
                               reasons[reason].remedy);
    }
    host = virtio_gpu_blob_guest_type_text(s->host->guest_type);
    return g_strdup_printf("it is not cached, and %s; %s", host->why,
                           host->remedy);
}

static char *refusal_line(const VirtIOGPUBlobSubject *s,
                          VirtIOGPUBlobReason reason)
{
    g_autofree char *why = explain(s, reason);

    return g_strdup_printf("virtio-gpu: blob resource %" PRIu32 " (context %"
                           PRIu32 ", %" PRIu64 " bytes, offset 0x%" PRIx64
                           ", backing %s, exporter \"%s\") is not mapped "
                           "(%s): %s", s->resource_id, s->ctx_id, s->size,
                           s->offset, backing_names[s->facts->backing],
                           exporter_name(s), reasons[reason].name, why);
}

void virtio_gpu_blob_log_guest_error(const VirtIOGPUBlobSubject *s,
                                     VirtIOGPUBlobReason reason)
{
    g_autofree char *line = NULL;

    if (qemu_loglevel_mask(LOG_GUEST_ERROR)) {
        line = refusal_line(s, reason);
        qemu_log("%s\n", line);
    }
}

void virtio_gpu_blob_log_refusal(const VirtIOGPUBlobSubject *s,
                                 VirtIOGPUBlobReason reason)
{
    g_autofree char *line = refusal_line(s, reason);

    warn_report("%s", line);
}

void virtio_gpu_blob_log_assumed(const VirtIOGPUBlobSubject *s)
{
    warn_report("virtio-gpu: blob resource %" PRIu32 " (context %" PRIu32
                ", backing %s, exporter \"%s\") is mapped cached on nobody's "
                "word; map-policy=safe refuses it",
                s->resource_id, s->ctx_id, backing_names[s->facts->backing],
                exporter_name(s));
}

void virtio_gpu_blob_log_lost(const VirtIOGPUBlobMapping *m)
{
    warn_report("virtio-gpu: blob resource %" PRIu32 " (context %" PRIu32
                ", %" PRIu64 " bytes, offset 0x%" PRIx64 ", backing %s, "
                "exporter \"%s\") has lost its memory: the guest finds other "
                "pages there; usually the GPU's driver took it back (evicted, "
                "purged, the GPU is gone), or its file was truncated",
                m->resource_id, m->ctx_id,
                virtio_gpu_blob_place_len(&m->place),
                virtio_gpu_blob_place_offset(&m->place),
                backing_names[m->backing], *m->exporter ? m->exporter : "-");
}

void virtio_gpu_blob_trace_decision(const VirtIOGPUBlobSubject *s,
                                    const VirtIOGPUBlobVerdict *verdict)
{
    const char *result, *detail;

    if (verdict->map_info) {
        result = type_names[verdict->map_info];
        detail = voucher_names[verdict->voucher];
    } else {
        result = "refused";
        detail = reasons[verdict->reason].name;
    }
    trace_virtio_gpu_blob_decision(s->resource_id, s->ctx_id,
                                   backing_names[s->facts->backing],
                                   exporter_name(s),
                                   answer_names[s->facts->answer],
                                   type_names[s->facts->renderer],
                                   policy_names[s->policy], result, detail);
}

static QDict *map_entry(const VirtIOGPUBlobMapping *m)
{
    QDict *entry = qdict_new();

    qdict_put_int(entry, "resource", m->resource_id);
    qdict_put_int(entry, "context", m->ctx_id);
    qdict_put_int(entry, "offset", virtio_gpu_blob_place_offset(&m->place));
    qdict_put_int(entry, "size", virtio_gpu_blob_place_len(&m->place));
    qdict_put_str(entry, "backing", backing_names[m->backing]);
    qdict_put_str(entry, "exporter", m->exporter);
    qdict_put_str(entry, "exporter-answer", answer_names[m->answer]);
    qdict_put_str(entry, "renderer", type_names[m->renderer]);
    qdict_put_str(entry, "map-type", type_names[m->verdict.map_info]);
    qdict_put_str(entry, "voucher", voucher_names[m->verdict.voucher]);
    qdict_put_str(entry, "path", m->region ? "region" : "window");
    qdict_put_bool(entry, "lost", qatomic_read(&m->place.lost));
    return entry;
}

QList *virtio_gpu_blob_list_maps(const VirtIOGPUBlobMappings *mappings)
{
    const VirtIOGPUBlobMapping *m;
    QList *list = qlist_new();
    int shown = 0;

    QTAILQ_FOREACH(m, &mappings->shown, next) {
        if (shown++ == VIRTIO_GPU_BLOB_MAPS_SHOWN) {
            break;
        }
        qlist_append(list, map_entry(m));
    }
    return list;
}

/* What a larger window, or fewer blobs, would have avoided */
static uint64_t refused_for_room(const VirtIOGPUBlobRefusals *refusals)
{
    return refusals->by_reason[VIRTIO_GPU_BLOB_OUTSIDE_WINDOW] +
           refusals->by_reason[VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS] +
           refusals->by_reason[VIRTIO_GPU_BLOB_REGION_LIMIT] +
           refusals->by_reason[VIRTIO_GPU_BLOB_NO_MEMORY_SLOT];
}

QDict *virtio_gpu_blob_list_stats(const VirtIOGPUBlobMappings *mappings,
                                  const VirtIOGPUBlobRefusals *refusals,
                                  uint64_t window_size)
{
    VirtIOGPUBlobRoom room = virtio_gpu_blob_mappings_room(mappings,
                                                           window_size);
    QDict *dict = qdict_new(), *refused = qdict_new();
    int i;

    for (i = VIRTIO_GPU_BLOB_OK + 1; i < VIRTIO_GPU_BLOB_REASON__MAX; i++) {
        qdict_put_int(refused, reasons[i].name, refusals->by_reason[i]);
    }
    qdict_put_int(dict, "maps", mappings->maps);
    qdict_put_int(dict, "unmaps", mappings->unmaps);
    qdict_put_int(dict, "live",
                  virtio_gpu_blob_mappings_live(mappings));
    qdict_put_int(dict, "high-water", mappings->high_water);
    qdict_put_int(dict, "lost", qatomic_read(&mappings->losses.count));
    qdict_put_int(dict, "last-map-ms", mappings->last_map_ms);
    qdict_put_int(dict, "last-refusal-ms", refusals->last_ms);
    qdict_put_int(dict, "mapped-bytes", room.mapped);
    qdict_put_int(dict, "largest-hole", room.largest_hole);
    qdict_put_int(dict, "refused-for-room", refused_for_room(refusals));
    qdict_put(dict, "refused", refused);
    return dict;
}

static void add_limits(QDict *dict, const VirtIOGPUBlobMappings *mappings)
{
    struct rlimit files;
    uint64_t max;

    if (mappings->window) {
        qdict_put_int(dict, "mappings",
                      virtio_gpu_blob_window_mappings(mappings->window, &max));
        qdict_put_int(dict, "mappings-limit", max);
        qdict_put_int(dict, "regions-limit", VIRTIO_GPU_BLOB_REGIONS_MAX);
    }
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        qdict_put_int(dict, "files-limit", files.rlim_cur);
    }
}

QDict *virtio_gpu_blob_list_host(const VirtIOGPUBlobHost *host,
                                 const VirtIOGPUBlobMappings *mappings)
{
    const VirtIOGPUBlobGuestTypeText *text =
        virtio_gpu_blob_guest_type_text(host->guest_type);
    QDict *dict = qdict_new();

    qdict_put_int(dict, "page-size", mappings->page_size);
    add_limits(dict, mappings);
    if (*host->accelerator) {
        qdict_put_str(dict, "accelerator", host->accelerator);
        qdict_put_bool(dict, "confidential-guest", host->confidential_guest);
        qdict_put_bool(dict, "possible-vram", host->vram);
        qdict_put_str(dict, "guest-type", text->name);
        qdict_put_str(dict, "guest-type-why", text->why);
        qdict_put_str(dict, "guest-type-remedy", text->remedy);
    }
    return dict;
}
