/*
 * virtio-gpu blob mappings: log, trace events and lists for the operator
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
#include "virtio-gpu-blob-internal.h"

#include <sys/resource.h>

#define LOG_INTERVAL_MS 5000
#define LOG_LINES_MAX 10

/* Limits the memory that blob-maps needs in the monitor */
#define MAPS_SHOWN 256

bool virtio_gpu_blob_log_has_room(VirtIOGPUBlobLog *log)
{
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (now - log->start_ms >= LOG_INTERVAL_MS) {
        if (log->dropped) {
            warn_report("virtio-gpu: %" PRIu64 " further blob messages "
                        "suppressed; see the property blob-map-stats",
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

static const char *reason_name(VirtIOGPUBlobReason reason)
{
    return virtio_gpu_blob_reason_text(reason)->name;
}

static const char *backing_name(const VirtIOGPUBlobSubject *s)
{
    return virtio_gpu_blob_backing_name(s->buf->facts.backing);
}

static char *refusal_line(const VirtIOGPUBlobSubject *s,
                          VirtIOGPUBlobReason reason)
{
    g_autofree char *why = virtio_gpu_blob_explain(reason,
                                                   s->host->guest_type);

    return g_strdup_printf("virtio-gpu: blob resource %" PRIu32 " (context %"
                           PRIu32 ", %" PRIu64 " bytes, offset 0x%" PRIx64
                           ", backing %s, exporter \"%s\") is not mapped "
                           "(%s): %s", s->resource_id, s->ctx_id, s->size,
                           s->offset, backing_name(s), s->buf->exporter ?: "-",
                           reason_name(reason), why);
}

void virtio_gpu_blob_report_refusal(VirtIOGPUBlobs *blobs,
                                    const VirtIOGPUBlobSubject *s,
                                    VirtIOGPUBlobReason reason)
{
    bool guests = virtio_gpu_blob_reason_is_guests(reason);
    g_autofree char *line = NULL;

    trace_virtio_gpu_blob_refused(s->resource_id, s->ctx_id,
                                  reason_name(reason));
    blobs->refusals.by_reason[reason]++;
    blobs->refusals.last_ms = g_get_real_time() / 1000;
    if (guests ? !qemu_loglevel_mask(LOG_GUEST_ERROR)
               : !virtio_gpu_blob_log_open(&blobs->log)) {
        return;
    }
    line = refusal_line(s, reason);
    if (guests) {
        qemu_log("%s\n", line);
    } else {
        warn_report("%s", line);
    }
}

void virtio_gpu_blob_log_assumed(const VirtIOGPUBlobSubject *s)
{
    warn_report("virtio-gpu: blob resource %" PRIu32 " (context %" PRIu32
                ", backing %s, exporter \"%s\") is mapped cached; its cache "
                "type is unknown; use map-policy=safe to refuse it",
                s->resource_id, s->ctx_id, backing_name(s),
                s->buf->exporter ?: "-");
}

void virtio_gpu_blob_log_lost(const VirtIOGPUBlobMapping *m)
{
    warn_report("virtio-gpu: blob resource %" PRIu32 " (context %" PRIu32
                ", %" PRIu64 " bytes, offset 0x%" PRIx64 ", backing %s, "
                "exporter \"%s\"): its backing memory was revoked; the guest "
                "now sees other memory in its place; usually the GPU's driver "
                "evicted or purged it, the GPU is gone, or its file was "
                "truncated",
                m->resource_id, m->ctx_id,
                (uint64_t)virtio_gpu_blob_place_len(&m->place),
                m->place.node.start,
                virtio_gpu_blob_backing_name(m->backing),
                m->res->blob.named.name ?: "-");
}

void virtio_gpu_blob_log_unmap_failed(const VirtIOGPUBlobMapping *m)
{
    warn_report("virtio-gpu: blob resource %" PRIu32 " (context %" PRIu32
                ", %" PRIu64 " bytes, offset 0x%" PRIx64 ") could not be "
                "unmapped, as the host has no memory or mappings left; this "
                "is tried again; raise vm.max_map_count if it repeats",
                m->resource_id, m->ctx_id,
                (uint64_t)virtio_gpu_blob_place_len(&m->place),
                m->place.node.start);
}

void virtio_gpu_blob_trace_decision(const VirtIOGPUBlobSubject *s,
                                    const VirtIOGPUBlobVerdict *verdict)
{
    const char *result, *detail;

    if (verdict->map_info) {
        result = virtio_gpu_blob_type_name(verdict->map_info);
        detail = virtio_gpu_blob_voucher_name(verdict->voucher);
    } else {
        result = "refused";
        detail = reason_name(verdict->reason);
    }
    trace_virtio_gpu_blob_decision(
        s->resource_id, s->ctx_id, backing_name(s), s->buf->exporter ?: "-",
        virtio_gpu_blob_answer_name(s->buf->facts.answer),
        virtio_gpu_blob_type_name(s->buf->facts.renderer),
        virtio_gpu_blob_policies.array[s->policy], result, detail);
}

static QDict *map_entry(const VirtIOGPUBlobMapping *m)
{
    QDict *entry = qdict_new();

    qdict_put_int(entry, "resource", m->resource_id);
    qdict_put_int(entry, "context", m->ctx_id);
    qdict_put_int(entry, "offset", m->place.node.start);
    qdict_put_int(entry, "size", virtio_gpu_blob_place_len(&m->place));
    qdict_put_str(entry, "backing", virtio_gpu_blob_backing_name(m->backing));
    qdict_put_str(entry, "exporter", m->res->blob.named.name ?: "");
    qdict_put_str(entry, "exporter-answer",
                  virtio_gpu_blob_answer_name(m->answer));
    qdict_put_str(entry, "renderer",
                  virtio_gpu_blob_type_name(m->renderer_type));
    qdict_put_str(entry, "map-type",
                  virtio_gpu_blob_type_name(m->map_info));
    qdict_put_str(entry, "voucher",
                  virtio_gpu_blob_voucher_name(m->voucher));
    qdict_put_str(entry, "path", m->region ? "region" : "window");
    qdict_put_bool(entry, "lost", qatomic_read(&m->pages.lost));
    return entry;
}

QList *virtio_gpu_blob_list_maps(const VirtIOGPUBlobs *blobs)
{
    const VirtIOGPUBlobMapping *m;
    QList *list = qlist_new();
    int shown = 0;

    QTAILQ_FOREACH(m, &blobs->mapped, next) {
        if (shown++ == MAPS_SHOWN) {
            break;
        }
        qlist_append(list, map_entry(m));
    }
    return list;
}

/* Refusals that a larger window, or fewer blobs, would have avoided */
static uint64_t refused_for_room(const VirtIOGPUBlobRefusals *refusals)
{
    return refusals->by_reason[VIRTIO_GPU_BLOB_OUTSIDE_WINDOW] +
           refusals->by_reason[VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS] +
           refusals->by_reason[VIRTIO_GPU_BLOB_REGION_LIMIT] +
           refusals->by_reason[VIRTIO_GPU_BLOB_NO_MEMORY_SLOT];
}

QDict *virtio_gpu_blob_list_stats(const VirtIOGPUBlobs *blobs)
{
    const VirtIOGPUBlobRefusals *refusals = &blobs->refusals;
    QDict *dict = qdict_new(), *refused = qdict_new();
    VirtIOGPUBlobUsage usage = { };
    int i;

    if (blobs->window) {
        usage = virtio_gpu_blob_vma_usage(
            virtio_gpu_blob_window_vma(blobs->window));
    }
    for (i = VIRTIO_GPU_BLOB_OK + 1; i < VIRTIO_GPU_BLOB_REASON__MAX; i++) {
        qdict_put_int(refused, reason_name(i), refusals->by_reason[i]);
    }
    qdict_put_int(dict, "maps", blobs->maps);
    qdict_put_int(dict, "unmaps", blobs->unmaps);
    qdict_put_int(dict, "unmap-failures", blobs->unmap_failures);
    qdict_put_int(dict, "live", blobs->maps - blobs->unmaps);
    qdict_put_int(dict, "high-water", blobs->high_water);
    qdict_put_int(dict, "lost", qatomic_read(&blobs->lost.count));
    qdict_put_int(dict, "last-map-ms", blobs->last_map_ms);
    qdict_put_int(dict, "last-refusal-ms", refusals->last_ms);
    qdict_put_int(dict, "mapped-bytes", usage.mapped);
    qdict_put_int(dict, "largest-hole", usage.largest_hole);
    qdict_put_int(dict, "refused-for-room", refused_for_room(refusals));
    qdict_put(dict, "refused", refused);
    return dict;
}

static void add_window(QDict *dict, VirtIOGPUBlobWindow *window)
{
    const VirtIOGPUBlobVMA *vma;

    if (window) {
        vma = virtio_gpu_blob_window_vma(window);
        qdict_put_int(dict, "mappings", virtio_gpu_blob_vma_mappings(vma));
        qdict_put_int(dict, "mappings-limit", vma->max);
        qdict_put_int(dict, "regions-limit", VIRTIO_GPU_BLOB_REGIONS_MAX);
        qdict_put_bool(dict, "direct", vma->direct);
    }
    qdict_put_int(dict, "window", window ? vma->size : 0);
}

QDict *virtio_gpu_blob_list_host(const VirtIOGPUBlobs *blobs)
{
    const VirtIOGPUBlobHost *host = &blobs->host;
    const VirtIOGPUBlobGuestTypeText *text =
        virtio_gpu_blob_guest_type_text(host->guest_type);
    QDict *dict = qdict_new();
    struct rlimit files;

    qdict_put_int(dict, "page-size", qemu_real_host_page_size());
    add_window(dict, blobs->window);
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        qdict_put_int(dict, "files-limit", files.rlim_cur);
    }
    if (host->accelerator) {
        qdict_put_str(dict, "accelerator", host->accelerator);
        qdict_put_bool(dict, "confidential-guest", host->confidential_guest);
        qdict_put_bool(dict, "possible-vram", host->vram);
        qdict_put_str(dict, "guest-type", text->name);
        qdict_put_str(dict, "guest-type-why", text->why);
        qdict_put_str(dict, "guest-type-remedy", text->remedy);
    }
    return dict;
}
