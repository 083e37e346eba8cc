/*
 * virtio-gpu blob mappings: what others who look at guest memory are told
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All that knows QEMU's RamDiscardManager: dump, VFIO and whoever else
 * listens are told which parts of the window come and go, blob by blob, and
 * never see a hole.  Only memory that stays where it is should be announced:
 * VFIO lets a device go on with the pages that it found.  Who is where is the
 * record of the window's address space (virtio-gpu-blob-holes.h), which is
 * only read here; nothing is mapped or unmapped here.  BQL held; buffers come
 * and go in the main loop.  Listeners are called from within and may look at
 * the memory: a buffer is announced after it came and before it goes.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_RDM_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_RDM_H

#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-place.h"
#include "qom/object.h"

#define TYPE_VIRTIO_GPU_BLOB_RDM "virtio-gpu-blob-rdm"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOGPUBlobRDM, VIRTIO_GPU_BLOB_RDM)

/*
 * VFIO needs a mapping for each blob, and has 65535 by default
 * (drivers/vfio/vfio_iommu_type1.c, dma_entry_limit), of which it sets one
 * aside for each of KVM's 32764 memory slots.
 */
#define VIRTIO_GPU_BLOB_LISTENED_MAX 32768

/**
 * virtio_gpu_blob_rdm_new() - nothing is there, nobody listens
 * @size: the region's size in bytes, or more: a power of two
 * @filled: the places where buffers are; must outlive the manager
 *
 * Returns: the manager, end with object_unref()
 */
VirtIOGPUBlobRDM *virtio_gpu_blob_rdm_new(uint64_t size,
                                          IntervalTreeRoot *filled);

/**
 * virtio_gpu_blob_rdm_attach() - answer for a region
 * @rdm: the manager
 * @mr: the region, not yet seen by anyone
 */
void virtio_gpu_blob_rdm_attach(VirtIOGPUBlobRDM *rdm, MemoryRegion *mr);

/**
 * virtio_gpu_blob_rdm_detach() - answer for it no more
 * @mr: the region, not seen by anyone any more
 */
void virtio_gpu_blob_rdm_detach(MemoryRegion *mr);

/**
 * virtio_gpu_blob_rdm_is_watched() - is there anybody to be told?
 * @rdm: the manager
 *
 * Returns: true if somebody is told when buffers come and go
 */
bool virtio_gpu_blob_rdm_is_watched(const VirtIOGPUBlobRDM *rdm);

/**
 * virtio_gpu_blob_rdm_begin() - may one more buffer come?
 * @rdm: the manager
 * @announced: it shall be announced
 *
 * Whoever needs all memory pinned cannot live with buffers that come and go,
 * and is kept away while there are any.  Follow with
 * virtio_gpu_blob_rdm_populate() if it shall be announced, and in any case
 * with virtio_gpu_blob_rdm_end().
 *
 * Returns: false if such a user is there, or if a listener has no room
 */
bool virtio_gpu_blob_rdm_begin(VirtIOGPUBlobRDM *rdm, bool announced);

/**
 * virtio_gpu_blob_rdm_end() - a change is complete
 * @rdm: the manager
 */
void virtio_gpu_blob_rdm_end(VirtIOGPUBlobRDM *rdm);

/**
 * virtio_gpu_blob_rdm_populate() - a buffer is there now
 * @rdm: the manager
 * @place: where; filled, and not announced
 *
 * Returns: false if a listener failed; then all have been told that the
 * buffer is gone again, and it is not announced
 */
bool virtio_gpu_blob_rdm_populate(VirtIOGPUBlobRDM *rdm,
                                  VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_rdm_discard() - a buffer is about to go
 * @rdm: the manager
 * @place: still filled; nothing happens if it is not announced
 */
void virtio_gpu_blob_rdm_discard(VirtIOGPUBlobRDM *rdm,
                                 VirtIOGPUBlobPlace *place);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_RDM_H */
