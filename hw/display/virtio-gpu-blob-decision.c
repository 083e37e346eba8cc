/*
 * virtio-gpu blob mappings: what the guest may map, and how
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "standard-headers/linux/virtio_gpu.h"
#include "virtio-gpu-blob-decision.h"

static VirtIOGPUBlobVerdict grant(uint32_t map_info,
                                  VirtIOGPUBlobVoucher voucher)
{
    return (VirtIOGPUBlobVerdict) {
        .map_info = map_info,
        .voucher = voucher,
        .reason = VIRTIO_GPU_BLOB_OK,
    };
}

static VirtIOGPUBlobVerdict refuse(VirtIOGPUBlobReason reason)
{
    return (VirtIOGPUBlobVerdict) { .reason = reason };
}

bool virtio_gpu_blob_names_type(uint32_t map_info)
{
    return map_info == VIRTIO_GPU_MAP_CACHE_CACHED ||
           map_info == VIRTIO_GPU_MAP_CACHE_UNCACHED ||
           map_info == VIRTIO_GPU_MAP_CACHE_WC;
}

VirtIOGPUBlobReason
virtio_gpu_blob_check_request(const VirtIOGPUBlobRequest *req)
{
    if (!req->window_size) {
        return VIRTIO_GPU_BLOB_NO_WINDOW;
    }
    if (!req->mappable) {
        return VIRTIO_GPU_BLOB_NOT_MAPPABLE;
    }
    if (req->mapped) {
        return VIRTIO_GPU_BLOB_ALREADY_MAPPED;
    }
    if (!req->size) {
        return VIRTIO_GPU_BLOB_BAD_SIZE;
    }
    if (req->offset % req->page_size) {
        return VIRTIO_GPU_BLOB_MISALIGNED_OFFSET;
    }
    /* The window is a multiple of the page: rounding up cannot overrun it. */
    if (req->size > req->window_size ||
        req->offset > req->window_size - req->size) {
        return VIRTIO_GPU_BLOB_OUTSIDE_WINDOW;
    }
    return VIRTIO_GPU_BLOB_OK;
}

/*
 * Exporters whose CPU mappings are always cached, and which need no cache
 * maintenance where DMA is coherent, as it is on x86: drivers/dma-buf/udmabuf.c
 * hands out pages of a memfd; heaps/system_heap.c maps cached.  Both sync by
 * dma_sync_sgtable_*(), which then does nothing.  Elsewhere a device may look
 * past the cache.
 */
static bool exporter_is_coherent(const VirtIOGPUBlobFacts *facts)
{
    return facts->host_x86 && facts->exporter &&
           (!strcmp(facts->exporter, "udmabuf") ||
            !strcmp(facts->exporter, "system"));
}

/* The exporter answered with a type. */
static VirtIOGPUBlobVerdict decide_coherent(const VirtIOGPUBlobFacts *facts,
                                            VirtIOGPUMapPolicy policy,
                                            uint32_t map_info)
{
    if (policy == VIRTIO_GPU_MAP_POLICY_STRICT && facts->renderer &&
        facts->renderer != map_info) {
        return refuse(VIRTIO_GPU_BLOB_RENDERER_DISAGREES);
    }
    return grant(map_info, VIRTIO_GPU_BLOB_VOUCHER_EXPORTER);
}

/* Nobody but the renderer can say anything about this buffer. */
static VirtIOGPUBlobVerdict decide_unvouched(const VirtIOGPUBlobFacts *facts,
                                             VirtIOGPUMapPolicy policy)
{
    if (policy == VIRTIO_GPU_MAP_POLICY_SAFE && facts->renderer) {
        return grant(facts->renderer, VIRTIO_GPU_BLOB_VOUCHER_RENDERER);
    }
    if (policy == VIRTIO_GPU_MAP_POLICY_RENDERER) {
        /* What a Linux guest makes of an answer that names no type. */
        return grant(VIRTIO_GPU_MAP_CACHE_CACHED,
                     VIRTIO_GPU_BLOB_VOUCHER_NOBODY);
    }
    return refuse(VIRTIO_GPU_BLOB_NOBODY_VOUCHES);
}

/* The exporter cannot be asked. */
static VirtIOGPUBlobVerdict decide_silent(const VirtIOGPUBlobFacts *facts,
                                          VirtIOGPUMapPolicy policy)
{
    if (facts->host_vram) {
        return refuse(VIRTIO_GPU_BLOB_POSSIBLE_VRAM);
    }
    if (exporter_is_coherent(facts)) {
        return grant(VIRTIO_GPU_MAP_CACHE_CACHED,
                     VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME);
    }
    return decide_unvouched(facts, policy);
}

static VirtIOGPUBlobVerdict decide_dmabuf(const VirtIOGPUBlobFacts *facts,
                                          VirtIOGPUMapPolicy policy)
{
    switch (facts->answer) {
    case VIRTIO_GPU_EXPORTER_COHERENT_CACHED:
        return decide_coherent(facts, policy, VIRTIO_GPU_MAP_CACHE_CACHED);
    case VIRTIO_GPU_EXPORTER_COHERENT_WC:
        return decide_coherent(facts, policy, VIRTIO_GPU_MAP_CACHE_WC);
    case VIRTIO_GPU_EXPORTER_INCOHERENT:
        return refuse(VIRTIO_GPU_BLOB_EXPORTER_INCOHERENT);
    case VIRTIO_GPU_EXPORTER_OTHER:
        return refuse(VIRTIO_GPU_BLOB_EXPORTER_UNKNOWN_ANSWER);
    case VIRTIO_GPU_EXPORTER_UNSUPPORTED:
        return decide_silent(facts, policy);
    default:
        return refuse(VIRTIO_GPU_BLOB_EXPORTER_QUERY_FAILED);
    }
}

static VirtIOGPUBlobVerdict decide_type(const VirtIOGPUBlobFacts *facts,
                                        VirtIOGPUMapPolicy policy)
{
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_SHM) {
        return grant(VIRTIO_GPU_MAP_CACHE_CACHED,
                     VIRTIO_GPU_BLOB_VOUCHER_MEMFD);
    }
    if (policy == VIRTIO_GPU_MAP_POLICY_RENDERER && facts->renderer) {
        return grant(facts->renderer, VIRTIO_GPU_BLOB_VOUCHER_RENDERER);
    }
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        return decide_dmabuf(facts, policy);
    }
    return decide_unvouched(facts, policy);
}

/* What no policy and no type can make good */
static VirtIOGPUBlobReason check_buffer(const VirtIOGPUBlobFacts *facts)
{
    if (facts->confidential_guest) {
        return VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST;
    }
    if (facts->no_fds_left) {
        return VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR;
    }
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_NONE) {
        return VIRTIO_GPU_BLOB_OK;
    }
    if (facts->fd_too_short) {
        return VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    return facts->fd_read_write ? VIRTIO_GPU_BLOB_OK
                                : VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE;
}

VirtIOGPUBlobVerdict virtio_gpu_blob_decide(const VirtIOGPUBlobFacts *facts,
                                            VirtIOGPUMapPolicy policy)
{
    VirtIOGPUBlobReason reason = check_buffer(facts);
    VirtIOGPUBlobVerdict verdict;

    if (reason) {
        return refuse(reason);
    }
    verdict = decide_type(facts, policy);
    if (verdict.map_info > VIRTIO_GPU_MAP_CACHE_CACHED &&
        !facts->guest_type_honoured &&
        policy != VIRTIO_GPU_MAP_POLICY_RENDERER) {
        return refuse(VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED);
    }
    return verdict;
}

bool virtio_gpu_blob_is_assumed(const VirtIOGPUBlobVerdict *verdict)
{
    return verdict->map_info &&
           verdict->voucher == VIRTIO_GPU_BLOB_VOUCHER_NOBODY;
}

bool virtio_gpu_blob_needs_exporter_name(const VirtIOGPUBlobFacts *facts,
                                         VirtIOGPUMapPolicy policy)
{
    if (facts->backing != VIRTIO_GPU_BLOB_BACKING_DMABUF ||
        facts->answer != VIRTIO_GPU_EXPORTER_UNSUPPORTED ||
        facts->host_vram || check_buffer(facts)) {
        return false;
    }
    switch (policy) {
    case VIRTIO_GPU_MAP_POLICY_RENDERER:
        return !facts->renderer;
    case VIRTIO_GPU_MAP_POLICY_SAFE:
        return facts->renderer != VIRTIO_GPU_MAP_CACHE_CACHED;
    default:
        return true;
    }
}

VirtIOGPUBlobReason virtio_gpu_blob_reason_of_errno(int err)
{
    switch (err) {
    case ENOMEM:
        return VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS;
    case EMFILE:
        return VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR;
    default:
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
}

uint32_t virtio_gpu_blob_reason_error(VirtIOGPUBlobReason reason)
{
    switch (reason) {
    case VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE:
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    case VIRTIO_GPU_BLOB_BAD_COMMAND:
    case VIRTIO_GPU_BLOB_SHORT_REPLY:
    case VIRTIO_GPU_BLOB_NO_WINDOW:
    case VIRTIO_GPU_BLOB_NOT_MAPPABLE:
    case VIRTIO_GPU_BLOB_ALREADY_MAPPED:
    case VIRTIO_GPU_BLOB_BAD_SIZE:
    case VIRTIO_GPU_BLOB_MISALIGNED_OFFSET:
    case VIRTIO_GPU_BLOB_OUTSIDE_WINDOW:
    case VIRTIO_GPU_BLOB_OVERLAP:
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    case VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR:
    case VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS:
    case VIRTIO_GPU_BLOB_REGION_LIMIT:
    case VIRTIO_GPU_BLOB_NO_MEMORY_SLOT:
        return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
    default:
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    }
}
