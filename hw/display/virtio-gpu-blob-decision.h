/*
 * virtio-gpu blob mappings: what the guest may map, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure functions: facts in, verdict out.  No I/O, no state and no clock, so
 * that a unit test can go through every input; any thread, no lock.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_DECISION_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_DECISION_H

/**
 * VirtIOGPUMapPolicy - the device's map-policy property
 * @SAFE: the exporter decides; the renderer where the exporter is silent
 * @STRICT: only what the exporter or the kernel vouches for is mapped
 * @RENDERER: the renderer's word, where it names a type
 */
typedef enum VirtIOGPUMapPolicy {
    VIRTIO_GPU_MAP_POLICY_SAFE,
    VIRTIO_GPU_MAP_POLICY_STRICT,
    VIRTIO_GPU_MAP_POLICY_RENDERER,
    VIRTIO_GPU_MAP_POLICY__MAX
} VirtIOGPUMapPolicy;

/**
 * VirtIOGPUBlobBacking - what virgl_renderer_resource_export_blob() gave
 * @NONE: no fd; the renderer's own pointer is all there is
 * @DMABUF: a dma-buf
 * @SHM: shared memory (memfd), which answers F_GET_SEALS
 * @OPAQUE: an fd that only its driver can interpret
 */
typedef enum VirtIOGPUBlobBacking {
    VIRTIO_GPU_BLOB_BACKING_NONE,
    VIRTIO_GPU_BLOB_BACKING_DMABUF,
    VIRTIO_GPU_BLOB_BACKING_SHM,
    VIRTIO_GPU_BLOB_BACKING_OPAQUE,
    VIRTIO_GPU_BLOB_BACKING__MAX
} VirtIOGPUBlobBacking;

/**
 * VirtIOGPUExporterAnswer - what the exporter said to DMA_BUF_INFO_MAP_INFO
 * @NOT_ASKED: there was nobody or no need to ask
 * @UNSUPPORTED: ENOTTY, the kernel has no such ioctl
 * @FAILED: any other error
 * @INCOHERENT: the buffer needs DMA_BUF_IOCTL_SYNC around CPU access
 * @COHERENT_WC: CPU mappings are write-combine
 * @COHERENT_CACHED: CPU mappings are cached
 * @OTHER: a value that is none of these
 */
typedef enum VirtIOGPUExporterAnswer {
    VIRTIO_GPU_EXPORTER_NOT_ASKED,
    VIRTIO_GPU_EXPORTER_UNSUPPORTED,
    VIRTIO_GPU_EXPORTER_FAILED,
    VIRTIO_GPU_EXPORTER_INCOHERENT,
    VIRTIO_GPU_EXPORTER_COHERENT_WC,
    VIRTIO_GPU_EXPORTER_COHERENT_CACHED,
    VIRTIO_GPU_EXPORTER_OTHER,
    VIRTIO_GPU_EXPORTER__MAX
} VirtIOGPUExporterAnswer;

/**
 * VirtIOGPUBlobVoucher - on whose word a map type was granted
 * @NOBODY: refused, or (policy renderer only) assumed
 * @MEMFD: the kernel: shared memory is always cached
 * @EXPORTER: the exporter's answer
 * @EXPORTER_NAME: an exporter that is known to be cached and coherent
 * @RENDERER: the renderer
 */
typedef enum VirtIOGPUBlobVoucher {
    VIRTIO_GPU_BLOB_VOUCHER_NOBODY,
    VIRTIO_GPU_BLOB_VOUCHER_MEMFD,
    VIRTIO_GPU_BLOB_VOUCHER_EXPORTER,
    VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME,
    VIRTIO_GPU_BLOB_VOUCHER_RENDERER,
    VIRTIO_GPU_BLOB_VOUCHER__MAX
} VirtIOGPUBlobVoucher;

/* Why a mapping was refused; virtio-gpu-blob-words.c has the names */
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
    /* the host's account */
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
    /* the host's means */
    VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR,
    VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS,
    VIRTIO_GPU_BLOB_REGION_LIMIT,
    VIRTIO_GPU_BLOB_NO_MEMORY_SLOT,
    VIRTIO_GPU_BLOB_REASON__MAX
} VirtIOGPUBlobReason;

/**
 * VirtIOGPUBlobRequest - a RESOURCE_MAP_BLOB command and its resource
 * @mappable: created with VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE
 * @mapped: the resource is mapped already
 * @size: the blob's size in bytes
 * @offset: where the guest wants it, in bytes from the window's start
 * @window_size: the host-visible window's size in bytes, 0 if there is none
 * @page_size: the host's page size in bytes
 */
typedef struct VirtIOGPUBlobRequest {
    bool mappable;
    bool mapped;
    uint64_t size;
    uint64_t offset;
    uint64_t window_size;
    uint64_t page_size;
} VirtIOGPUBlobRequest;

/**
 * VirtIOGPUBlobFacts - all that the choice of a map type depends on
 * @confidential_guest: the host cannot, or must not, see the guest's memory
 * @guest_type_honoured: the accelerator lets the guest choose WC or UNCACHED
 * @host_x86: the host's CPU is x86
 * @host_vram: KVM here cannot map a GPU's own memory safely, and a dma-buf may
 *             be some
 * @no_fds_left: what follows could not be found out for want of fds
 * @backing: what kind of buffer it is
 * @fd_too_short: the fd ends before the blob does
 * @fd_read_write: the fd is open for reading and writing
 * @answer: what the exporter said
 * @exporter: the exporter's name as the kernel shows it, or NULL
 * @renderer: the type the renderer names: VIRTIO_GPU_MAP_CACHE_CACHED,
 *            _UNCACHED or _WC, or 0 if it names none of them
 */
typedef struct VirtIOGPUBlobFacts {
    bool confidential_guest;
    bool guest_type_honoured;
    bool host_x86;
    bool host_vram;
    bool no_fds_left;
    VirtIOGPUBlobBacking backing;
    bool fd_too_short;
    bool fd_read_write;
    VirtIOGPUExporterAnswer answer;
    const char *exporter;
    uint32_t renderer;
} VirtIOGPUBlobFacts;

/**
 * VirtIOGPUBlobVerdict - the answer
 * @map_info: VIRTIO_GPU_MAP_CACHE_CACHED, _UNCACHED or _WC; 0 if refused
 * @voucher: on whose word; NOBODY with a map_info means that it is assumed
 * @reason: VIRTIO_GPU_BLOB_OK if granted, else why not
 */
typedef struct VirtIOGPUBlobVerdict {
    uint32_t map_info;
    VirtIOGPUBlobVoucher voucher;
    VirtIOGPUBlobReason reason;
} VirtIOGPUBlobVerdict;

/**
 * virtio_gpu_blob_check_request() - is the guest's request well formed?
 * @req: the request
 *
 * Whether the place is taken is the window's to say.
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or what is wrong with it
 */
VirtIOGPUBlobReason
virtio_gpu_blob_check_request(const VirtIOGPUBlobRequest *req);

/**
 * virtio_gpu_blob_decide() - choose the map type, or refuse
 * @facts: what is known of the buffer and the VM
 * @policy: the operator's choice
 *
 * The type must be the one that the host uses for the same pages
 * (virtio 1.3, 5.7.6.11, struct virtio_gpu_resp_map_info).
 *
 * Returns: the verdict, by value
 */
VirtIOGPUBlobVerdict virtio_gpu_blob_decide(const VirtIOGPUBlobFacts *facts,
                                            VirtIOGPUMapPolicy policy);

/**
 * virtio_gpu_blob_is_assumed() - is a granted type nobody's word?
 * @verdict: a verdict
 *
 * Returns: true for a type that policy renderer assumes
 */
bool virtio_gpu_blob_is_assumed(const VirtIOGPUBlobVerdict *verdict);

/**
 * virtio_gpu_blob_needs_exporter_name() - does the verdict depend on it?
 * @facts: the facts, @exporter not yet read
 * @policy: the operator's choice
 *
 * Reading the name costs more than the rest of a mapping.
 *
 * Returns: true for a usable dma-buf whose exporter does not answer, unless
 * it is refused whoever exported it, or the renderer's word settles it: any
 * type under policy renderer; cached, which a known name would also mean, under
 * safe
 */
bool virtio_gpu_blob_needs_exporter_name(const VirtIOGPUBlobFacts *facts,
                                         VirtIOGPUMapPolicy policy);

/**
 * virtio_gpu_blob_names_type() - is this one of the three map types?
 * @map_info: the renderer's word
 *
 * Returns: true for VIRTIO_GPU_MAP_CACHE_CACHED, _UNCACHED and _WC
 */
bool virtio_gpu_blob_names_type(uint32_t map_info);

/**
 * virtio_gpu_blob_reason_of_errno() - why something could not be mapped
 * @err: what mmap() or the renderer failed with, positive
 *
 * Returns: TOO_MANY_MAPPINGS for ENOMEM, NO_FILE_DESCRIPTOR for EMFILE, else
 * MAP_FAILED
 */
VirtIOGPUBlobReason virtio_gpu_blob_reason_of_errno(int err);

/**
 * virtio_gpu_blob_reason_error() - the reply that goes with a refusal
 * @reason: any reason but VIRTIO_GPU_BLOB_OK
 *
 * Returns: VIRTIO_GPU_RESP_ERR_*
 */
uint32_t virtio_gpu_blob_reason_error(VirtIOGPUBlobReason reason);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_DECISION_H */
