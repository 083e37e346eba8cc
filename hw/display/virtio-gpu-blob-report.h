/*
 * virtio-gpu blob mappings: log, trace events and lists for the operator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest can cause these messages, so their rate is limited.  Only the
 * counters and the log's state change here.  BQL held, main loop.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H

#include "virtio-gpu-blob-mapping.h"

/* Counters since the device was created */
typedef struct VirtIOGPUBlobRefusals {
    uint64_t by_reason[VIRTIO_GPU_BLOB_REASON__MAX];
    int64_t last_ms; /* since the epoch; 0: never */
} VirtIOGPUBlobRefusals;

/* The rate limit of the log */
typedef struct VirtIOGPUBlobLog {
    int64_t start_ms; /* of the current interval */
    unsigned lines;   /* logged in it */
    uint64_t dropped; /* not logged in it */
} VirtIOGPUBlobLog;

/* A RESOURCE_MAP_BLOB command for messages */
typedef struct VirtIOGPUBlobSubject {
    uint32_t resource_id;
    uint32_t ctx_id;  /* 0: none */
    uint64_t size;    /* in bytes */
    uint64_t offset;
    VirtIOGPUMapPolicy policy;
    const VirtIOGPUBlobHost *host;
    const VirtIOGPUBlobBuffer *buf;
} VirtIOGPUBlobSubject;

/**
 * virtio_gpu_blob_log_has_room() - virtio_gpu_blob_log_open() without effect
 */
bool virtio_gpu_blob_log_has_room(VirtIOGPUBlobLog *log);

/**
 * virtio_gpu_blob_log_open() - whether the caller may log one line now
 */
bool virtio_gpu_blob_log_open(VirtIOGPUBlobLog *log);

/**
 * virtio_gpu_blob_report_refusal() - count, trace and log a refusal
 *
 * Errors of the guest's driver are logged with -d guest_errors only.
 */
void virtio_gpu_blob_report_refusal(const VirtIOGPUBlobSubject *subject,
                                    VirtIOGPUBlobReason reason,
                                    VirtIOGPUBlobRefusals *refusals,
                                    VirtIOGPUBlobLog *log);

/* One line each; ask virtio_gpu_blob_log_open() first */
void virtio_gpu_blob_log_assumed(const VirtIOGPUBlobSubject *subject);
void virtio_gpu_blob_log_lost(const VirtIOGPUBlobMapping *m);

void virtio_gpu_blob_trace_decision(const VirtIOGPUBlobSubject *subject,
                                    const VirtIOGPUBlobVerdict *verdict);

/**
 * virtio_gpu_blob_list_maps() - the content of blob-maps
 *
 * Returns: the newest 256; the caller owns the list
 */
QList *virtio_gpu_blob_list_maps(const VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_list_stats() - the content of blob-map-stats
 * @window_size: bytes; 0: there is no window
 *
 * Returns: a dictionary that the caller owns
 */
QDict *virtio_gpu_blob_list_stats(const VirtIOGPUBlobMappings *mappings,
                                  const VirtIOGPUBlobRefusals *refusals,
                                  uint64_t window_size);

/**
 * virtio_gpu_blob_list_host() - the host's part of blob-host
 *
 * Returns: a dictionary that the caller owns
 */
QDict *virtio_gpu_blob_list_host(const VirtIOGPUBlobHost *host,
                                 const VirtIOGPUBlobMappings *mappings);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_REPORT_H */
