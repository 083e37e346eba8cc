/*
 * virtio-gpu blob mappings: the decision on a mapping, and its names
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure functions from facts to a verdict, and constant texts: the names of
 * facts and verdicts are the same in the log, in trace events, in properties
 * and in the doctor's output.  Any thread, no lock.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_DECISION_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_DECISION_H

#include "qapi/util.h"
#include "virtio-gpu-blob-host.h"

/* The device's map-policy property */
typedef enum VirtIOGPUMapPolicy {
    VIRTIO_GPU_MAP_POLICY_SAFE,     /* exporter, then renderer */
    VIRTIO_GPU_MAP_POLICY_STRICT,   /* exporter or kernel only */
    VIRTIO_GPU_MAP_POLICY_RENDERER, /* renderer, where it names a type */
    VIRTIO_GPU_MAP_POLICY__MAX
} VirtIOGPUMapPolicy;

/* What virgl_renderer_resource_export_blob() returned */
typedef enum VirtIOGPUBlobBacking {
    VIRTIO_GPU_BLOB_BACKING_NONE,   /* no fd, only the renderer's pointer */
    VIRTIO_GPU_BLOB_BACKING_DMABUF,
    VIRTIO_GPU_BLOB_BACKING_SHM,    /* a memfd: it answers F_GET_SEALS */
    VIRTIO_GPU_BLOB_BACKING_OPAQUE, /* an fd that only its driver can use */
    VIRTIO_GPU_BLOB_BACKING__MAX
} VirtIOGPUBlobBacking;

/* The exporter's answer to DMA_BUF_INFO_MAP_INFO */
typedef enum VirtIOGPUExporterAnswer {
    VIRTIO_GPU_EXPORTER_NOT_ASKED,
    VIRTIO_GPU_EXPORTER_UNSUPPORTED,     /* ENOTTY: no such ioctl */
    VIRTIO_GPU_EXPORTER_FAILED,          /* any other error */
    VIRTIO_GPU_EXPORTER_INCOHERENT,      /* CPU access needs an ioctl */
    VIRTIO_GPU_EXPORTER_COHERENT_WC,
    VIRTIO_GPU_EXPORTER_COHERENT_CACHED,
    VIRTIO_GPU_EXPORTER_OTHER,           /* none of the known values */
    VIRTIO_GPU_EXPORTER__MAX
} VirtIOGPUExporterAnswer;

/* The source of a granted map type */
typedef enum VirtIOGPUBlobVoucher {
    VIRTIO_GPU_BLOB_VOUCHER_NOBODY, /* refused, or assumed by the policy */
    VIRTIO_GPU_BLOB_VOUCHER_MEMFD,  /* the kernel maps shared memory cached */
    VIRTIO_GPU_BLOB_VOUCHER_EXPORTER,
    VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME, /* known as cached and coherent */
    VIRTIO_GPU_BLOB_VOUCHER_RENDERER,
    VIRTIO_GPU_BLOB_VOUCHER__MAX
} VirtIOGPUBlobVoucher;

/* Why a mapping was refused */
typedef enum VirtIOGPUBlobReason {
    VIRTIO_GPU_BLOB_OK,
    /* the guest's request */
    VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE,
    VIRTIO_GPU_BLOB_BAD_COMMAND,
    VIRTIO_GPU_BLOB_SHORT_REPLY,
    VIRTIO_GPU_BLOB_NO_WINDOW,
    VIRTIO_GPU_BLOB_NOT_MAPPABLE,
    VIRTIO_GPU_BLOB_ALREADY_MAPPED,
    VIRTIO_GPU_BLOB_BAD_SIZE,
    VIRTIO_GPU_BLOB_MISALIGNED_OFFSET,
    VIRTIO_GPU_BLOB_OUTSIDE_WINDOW,
    VIRTIO_GPU_BLOB_OVERLAP,
    /* the buffer or the host */
    VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST,
    VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT,
    VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE,
    VIRTIO_GPU_BLOB_POSSIBLE_VRAM,
    VIRTIO_GPU_BLOB_EXPORTER_INCOHERENT,
    VIRTIO_GPU_BLOB_EXPORTER_UNKNOWN_ANSWER,
    VIRTIO_GPU_BLOB_EXPORTER_QUERY_FAILED,
    VIRTIO_GPU_BLOB_RENDERER_DISAGREES,
    VIRTIO_GPU_BLOB_NOBODY_VOUCHES,
    VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED,
    VIRTIO_GPU_BLOB_MAP_FAILED,
    /* a resource of the host is used up */
    VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR,
    VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS,
    VIRTIO_GPU_BLOB_REGION_LIMIT,
    VIRTIO_GPU_BLOB_NO_MEMORY_SLOT,
    VIRTIO_GPU_BLOB_REASON__MAX
} VirtIOGPUBlobReason;

/* A RESOURCE_MAP_BLOB command and its resource; sizes are in bytes */
typedef struct VirtIOGPUBlobRequest {
    bool mappable;        /* created with VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE */
    bool mapped;          /* it is already mapped */
    uint64_t size;
    uint64_t offset;      /* from the window's start */
    uint64_t window_size; /* 0: there is no window */
    uint64_t page_size;   /* of the host */
} VirtIOGPUBlobRequest;

/* Everything that the choice of a map type depends on */
typedef struct VirtIOGPUBlobFacts {
    bool confidential_guest;
    bool guest_type_honoured; /* a guest can use WC and UNCACHED */
    bool host_x86;
    bool host_vram;           /* a dma-buf may be VRAM, unsafe to map here */
    bool no_fds_left;         /* other facts may be missing therefore */
    VirtIOGPUBlobBacking backing;
    bool fd_too_short;        /* shorter than the blob */
    bool fd_read_write;       /* open for reading and writing */
    VirtIOGPUExporterAnswer answer;
    const char *exporter;     /* its name, NULL if not needed */
    uint32_t renderer;        /* VIRTIO_GPU_MAP_CACHE_*, 0: it names none */
} VirtIOGPUBlobFacts;

typedef struct VirtIOGPUBlobVerdict {
    uint32_t map_info;        /* VIRTIO_GPU_MAP_CACHE_*, 0: refused */
    VirtIOGPUBlobVoucher voucher;
    VirtIOGPUBlobReason reason; /* VIRTIO_GPU_BLOB_OK: granted */
} VirtIOGPUBlobVerdict;

/* The texts of a reason, in the order in which messages use them */
typedef struct VirtIOGPUBlobReasonText {
    const char *name;   /* in counters and trace events */
    const char *why;
    const char *remedy; /* what the operator can do */
} VirtIOGPUBlobReasonText;

/* The names of VirtIOGPUMapPolicy */
extern const QEnumLookup virtio_gpu_blob_policies;

/*
 * Checks the guest's request.  The caller checks for overlap with other
 * mappings.
 */
VirtIOGPUBlobReason
virtio_gpu_blob_check_request(const VirtIOGPUBlobRequest *req);

/*
 * Chooses the map type, or refuses.  The type must be the one that the host
 * uses for the same pages (virtio 1.3, 5.7.6.11, struct
 * virtio_gpu_resp_map_info).
 */
VirtIOGPUBlobVerdict virtio_gpu_blob_decide(const VirtIOGPUBlobFacts *facts,
                                            VirtIOGPUMapPolicy policy);

/*
 * True if the mapping was granted although the type is unknown, which only
 * map-policy=renderer does.
 */
bool virtio_gpu_blob_is_assumed(const VirtIOGPUBlobVerdict *verdict);

/*
 * True if the decision needs the exporter's name (@facts has none yet).
 * Reading the name costs more than the rest of a mapping.
 */
bool virtio_gpu_blob_needs_exporter_name(const VirtIOGPUBlobFacts *facts,
                                         VirtIOGPUMapPolicy policy);

/* True for CACHED, UNCACHED and WC. */
bool virtio_gpu_blob_names_type(uint32_t map_info);

/* The VIRTIO_GPU_RESP_ERR_* for a refusal. */
uint32_t virtio_gpu_blob_reason_error(VirtIOGPUBlobReason reason);

/* True for errors of the guest's driver. */
bool virtio_gpu_blob_reason_is_guests(VirtIOGPUBlobReason reason);

/*
 * The name and texts of a reason.  For GUEST_TYPE_IGNORED only the name is set:
 * its texts depend on the host, see virtio_gpu_blob_explain().
 */
const VirtIOGPUBlobReasonText *
virtio_gpu_blob_reason_text(VirtIOGPUBlobReason reason);

/**
 * virtio_gpu_blob_explain() - cause and remedy in one line
 * @reason: any but VIRTIO_GPU_BLOB_OK
 * @type: what the host does with a guest's cache type
 *
 * Returns: a text that the caller frees
 */
char *virtio_gpu_blob_explain(VirtIOGPUBlobReason reason,
                              VirtIOGPUBlobGuestType type);

/* Names, as in properties and trace events */
const char *virtio_gpu_blob_backing_name(VirtIOGPUBlobBacking backing);
const char *virtio_gpu_blob_answer_name(VirtIOGPUExporterAnswer answer);
const char *virtio_gpu_blob_voucher_name(VirtIOGPUBlobVoucher voucher);
const char *virtio_gpu_blob_type_name(uint32_t map_info);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_DECISION_H */
