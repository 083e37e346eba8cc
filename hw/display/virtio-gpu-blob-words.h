/*
 * virtio-gpu blob mappings: names and words
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What facts, verdicts and reasons are called, the same to all readers: the
 * log, trace events, properties, and who looks at a host before there is a
 * guest.  Constant texts; any thread, no lock.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_WORDS_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_WORDS_H

#include "qapi/util.h"
#include "virtio-gpu-blob-decision.h"
#include "virtio-gpu-blob-host-rule.h"

/**
 * VirtIOGPUBlobReasonText - a reason to refuse in words
 * @name: as the counters and trace events show it
 * @why: what is the matter
 * @remedy: what would change it
 */
typedef struct VirtIOGPUBlobReasonText {
    const char *name;
    const char *why;
    const char *remedy;
} VirtIOGPUBlobReasonText;

/* The names of enum VirtIOGPUMapPolicy, for the property map-policy */
extern const QEnumLookup virtio_gpu_blob_policies;

/**
 * virtio_gpu_blob_backing_name() - a kind of buffer
 * @backing: any
 *
 * Returns: its name
 */
const char *virtio_gpu_blob_backing_name(VirtIOGPUBlobBacking backing);

/**
 * virtio_gpu_blob_answer_name() - an exporter's answer
 * @answer: any
 *
 * Returns: its name
 */
const char *virtio_gpu_blob_answer_name(VirtIOGPUExporterAnswer answer);

/**
 * virtio_gpu_blob_voucher_name() - who vouched for a type
 * @voucher: any
 *
 * Returns: the name
 */
const char *virtio_gpu_blob_voucher_name(VirtIOGPUBlobVoucher voucher);

/**
 * virtio_gpu_blob_type_name() - a map type
 * @map_info: VIRTIO_GPU_MAP_CACHE_*, or 0
 *
 * Returns: its name
 */
const char *virtio_gpu_blob_type_name(uint32_t map_info);

/**
 * virtio_gpu_blob_reason_text() - a reason to refuse
 * @reason: any; what the host knows of GUEST_TYPE_IGNORED is not in it
 *
 * Returns: its words
 */
const VirtIOGPUBlobReasonText *
virtio_gpu_blob_reason_text(VirtIOGPUBlobReason reason);

/**
 * virtio_gpu_blob_reason_is_guests() - whose fault is a refusal?
 * @reason: why
 *
 * Returns: true for what the guest's driver does wrong
 */
bool virtio_gpu_blob_reason_is_guests(VirtIOGPUBlobReason reason);

/**
 * virtio_gpu_blob_explain() - why not, and what to do about it
 * @reason: any but VIRTIO_GPU_BLOB_OK
 * @type: what the host does with a guest's type
 *
 * Returns: a text that the caller frees
 */
char *virtio_gpu_blob_explain(VirtIOGPUBlobReason reason,
                              VirtIOGPUBlobGuestType type);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_WORDS_H */
