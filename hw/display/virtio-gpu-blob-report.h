/*
 * virtio-gpu blob mappings: what the operator sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The log's lines, the trace events and the lists that the properties show, in
 * the words of virtio-gpu-blob-words.h.  Reads the records of others and
 * changes none.  A guest may cause what is logged here, so lines
 * are limited in number, and none of it blocks.  BQL held, main loop.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H

#include "virtio-gpu-blob-host.h"
#include "virtio-gpu-blob-mapping.h"

/* An entry of blob-maps costs memory on the monitor's side */
#define VIRTIO_GPU_BLOB_MAPS_SHOWN 256

/**
 * VirtIOGPUBlobRefusals - the device's counters, since it was created
 * @by_reason: refusals by reason
 * @last_ms: when one was last refused, in ms since the epoch, or 0
 */
typedef struct VirtIOGPUBlobRefusals {
    uint64_t by_reason[VIRTIO_GPU_BLOB_REASON__MAX];
    int64_t last_ms;
} VirtIOGPUBlobRefusals;

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
 * @host: what the host does with a guest's cache type
 * @facts: what is known of the buffer
 * @exporter: its exporter's name, for people; empty if there is none
 */
typedef struct VirtIOGPUBlobSubject {
    uint32_t resource_id;
    uint32_t ctx_id;
    uint64_t size;
    uint64_t offset;
    VirtIOGPUMapPolicy policy;
    const VirtIOGPUBlobHost *host;
    const VirtIOGPUBlobFacts *facts;
    const char *exporter;
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
 * virtio_gpu_blob_log_guest_error() - tell who debugs a guest (-d guest_errors)
 * @subject: what was refused
 * @reason: why; the guest's fault
 */
void virtio_gpu_blob_log_guest_error(const VirtIOGPUBlobSubject *subject,
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
 * virtio_gpu_blob_log_lost() - tell that a buffer has lost its pages
 * @m: its mapping
 */
void virtio_gpu_blob_log_lost(const VirtIOGPUBlobMapping *m);

/**
 * virtio_gpu_blob_trace_decision() - the decision's trace event
 * @subject: what was decided on
 * @verdict: the decision
 */
void virtio_gpu_blob_trace_decision(const VirtIOGPUBlobSubject *subject,
                                    const VirtIOGPUBlobVerdict *verdict);

/**
 * virtio_gpu_blob_list_maps() - the blob-maps property
 * @mappings: the device's; the newest VIRTIO_GPU_BLOB_MAPS_SHOWN are shown
 *
 * Returns: a list of dictionaries, owned by the caller
 */
QList *virtio_gpu_blob_list_maps(const VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_list_stats() - the blob-map-stats property
 * @mappings: the device's
 * @refusals: the device's
 * @window_size: bytes, 0 if there is no window
 *
 * Returns: a dictionary, owned by the caller
 */
QDict *virtio_gpu_blob_list_stats(const VirtIOGPUBlobMappings *mappings,
                                  const VirtIOGPUBlobRefusals *refusals,
                                  uint64_t window_size);

/**
 * virtio_gpu_blob_list_host() - what the property blob-host tells of the host
 * @host: the host
 * @mappings: the device's
 *
 * Returns: a dictionary, owned by the caller
 */
QDict *virtio_gpu_blob_list_host(const VirtIOGPUBlobHost *host,
                                 const VirtIOGPUBlobMappings *mappings);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H */
