/*
 * virtio-gpu blob mappings: what the operator sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H

#include "hw/virtio/virtio-gpu-blob.h"

/* An entry of blob-maps costs memory on the monitor's side */
#define VIRTIO_GPU_BLOB_MAPS_SHOWN 256

/**
 * VirtIOGPUBlobState - how far the end of a mapping has come
 * @BLOB_SHOWN: not at all
 * @BLOB_LEAVING: the guest sees it no more, but somebody refers to its memory
 * @BLOB_GONE: nobody does
 */
typedef enum VirtIOGPUBlobState {
    BLOB_SHOWN,
    BLOB_LEAVING,
    BLOB_GONE,
} VirtIOGPUBlobState;

/**
 * struct VirtIOGPUBlobMapping - a live mapping
 * @g: the device
 * @resource_id: the guest's name for it
 * @ctx_id: the context that created it
 * @offset: bytes from the window's start
 * @len: bytes, a multiple of the host's page
 * @region: its own region, or NULL when it is in the window's
 * @renderers: @region shows the renderer's own memory
 * @state: how far its end has come
 * @unreferenced: nobody refers to @region any more
 * @orphan: LEAVING, and its resource does not exist any more
 * @backing: what kind of buffer it is
 * @answer: what the exporter said
 * @renderer: the type the renderer names, or 0
 * @verdict: the map type and who vouched for it
 * @exporter: the exporter's name, empty if it was not read
 */
struct VirtIOGPUBlobMapping {
    VirtIOGPU *g;
    uint32_t resource_id;
    uint32_t ctx_id;
    uint64_t offset;
    uint64_t len;
    struct VirtIOGPUBlobRegion *region;
    bool renderers;
    VirtIOGPUBlobState state;
    bool unreferenced;
    bool orphan;
    uint8_t backing;
    uint8_t answer;
    uint8_t renderer;
    VirtIOGPUBlobVerdict verdict;
    char exporter[32];
    QTAILQ_ENTRY(VirtIOGPUBlobMapping) next;
};

typedef QTAILQ_HEAD(, VirtIOGPUBlobMapping) VirtIOGPUBlobMappings;

/**
 * VirtIOGPUBlobStats - the device's counters, since it was created
 * @maps: mappings made
 * @unmaps: mappings ended
 * @live: mappings now
 * @high_water: most mappings at any time
 * @refused: refusals by reason
 * @last_map_ms: when a mapping was last made, in ms since the epoch, or 0
 * @last_refusal_ms: when one was last refused, likewise
 */
typedef struct VirtIOGPUBlobStats {
    uint64_t maps;
    uint64_t unmaps;
    uint64_t live;
    uint64_t high_water;
    uint64_t refused[VIRTIO_GPU_BLOB_REASON__MAX];
    int64_t last_map_ms;
    int64_t last_refusal_ms;
} VirtIOGPUBlobStats;

/**
 * VirtIOGPUBlobLog - keeps a guest from filling the log
 * @start_ms: when the current interval began
 * @lines: lines logged in it
 * @dropped: lines not logged in it
 */
typedef struct VirtIOGPUBlobLog {
    int64_t start_ms;
    unsigned lines;
    uint64_t dropped;
} VirtIOGPUBlobLog;

/**
 * VirtIOGPUBlobSubject - what a decision is about
 * @resource_id: the guest's name for it
 * @ctx_id: the context that created it, 0 if there is none
 * @size: the blob's size in bytes
 * @offset: where the guest wants it
 * @policy: the operator's choice
 * @facts: what is known of the buffer
 */
typedef struct VirtIOGPUBlobSubject {
    uint32_t resource_id;
    uint32_t ctx_id;
    uint64_t size;
    uint64_t offset;
    VirtIOGPUMapPolicy policy;
    const VirtIOGPUBlobFacts *facts;
} VirtIOGPUBlobSubject;

/**
 * virtio_gpu_blob_log_has_room() - would a line be logged now?
 * @log: the device's log
 *
 * Returns: what virtio_gpu_blob_log_open() would
 */
bool virtio_gpu_blob_log_has_room(VirtIOGPUBlobLog *log);

/**
 * virtio_gpu_blob_log_open() - may one more line be logged?
 * @log: the device's log
 *
 * Returns: true if the caller is to log one
 */
bool virtio_gpu_blob_log_open(VirtIOGPUBlobLog *log);

/**
 * virtio_gpu_blob_trace_refusal() - a refusal's trace event
 * @subject: what was refused
 * @reason: why
 */
void virtio_gpu_blob_trace_refusal(const VirtIOGPUBlobSubject *subject,
                                   VirtIOGPUBlobReason reason);

/**
 * virtio_gpu_blob_log_refusal() - tell the operator why, and what to do
 * @subject: what was refused
 * @reason: why
 */
void virtio_gpu_blob_log_refusal(const VirtIOGPUBlobSubject *subject,
                                 VirtIOGPUBlobReason reason);

/**
 * virtio_gpu_blob_log_assumed() - tell that a type is a guess
 * @subject: what was granted
 */
void virtio_gpu_blob_log_assumed(const VirtIOGPUBlobSubject *subject);

/**
 * virtio_gpu_blob_trace_decision() - the decision's trace event
 * @subject: what was decided on
 * @verdict: the decision
 */
void virtio_gpu_blob_trace_decision(const VirtIOGPUBlobSubject *subject,
                                    const VirtIOGPUBlobVerdict *verdict);

/**
 * virtio_gpu_blob_list_maps() - the blob-maps property
 * @mappings: live mappings; the newest VIRTIO_GPU_BLOB_MAPS_SHOWN are shown
 *
 * Returns: a list of dictionaries, owned by the caller
 */
QList *virtio_gpu_blob_list_maps(const VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_list_stats() - the blob-map-stats property
 * @stats: the counters
 *
 * Returns: a dictionary, owned by the caller
 */
QDict *virtio_gpu_blob_list_stats(const VirtIOGPUBlobStats *stats);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H */
