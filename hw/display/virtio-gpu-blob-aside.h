/*
 * virtio-gpu blob mappings: buffers step aside while memory slots are made
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest makes KVM's slot over the window again when it moves the BAR or
 * switches memory decoding on, and so does QEMU when it puts a region into the
 * window.  What KVM thinks of the mappings that it finds there depends on the
 * host: arm64 refuses a slot over VM_PFNMAP, as dma-bufs have it, from Linux
 * 6.17 on (kvm_arch_prepare_memory_region()), which aborts QEMU; riscv64 maps
 * physical memory of somebody else's before 6.18.  So a slot is made over
 * holes and shared memory only: dma-bufs leave before and come back after it,
 * by a handle that is kept for each of them while it is mapped.
 *
 * Until all are back no vCPU runs: what it writes would be lost in a hole.
 * Other threads of QEMU's may see a hole meanwhile, and nothing else.  Without
 * KVM nobody looks at mappings, and nothing is done.  BQL held; main loop, or
 * the thread of whoever changes the guest's memory.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_ASIDE_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_ASIDE_H

#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-holes.h"

/**
 * VirtIOGPUBlobAside - what a window needs for it
 * @before: told of the window before KVM is
 * @after: told that the guest's memory is complete after KVM was
 * @mr: the window's region, or NULL where nobody needs to step aside
 * @holes: the window's address space
 * @kept: handles kept
 * @out: the buffers are out
 * @lost: buffers that could not come back, since they last went
 * @ns: time that it took, since they last went
 */
typedef struct VirtIOGPUBlobAside {
    MemoryListener before;
    MemoryListener after;
    MemoryRegion *mr;
    VirtIOGPUBlobHoles *holes;
    uint64_t kept;
    bool out;
    uint64_t lost;
    int64_t ns;
} VirtIOGPUBlobAside;

/**
 * virtio_gpu_blob_aside_init() - watch a window
 * @aside: zeroed; end with virtio_gpu_blob_aside_destroy()
 * @mr: the window's region
 * @holes: its address space, without buffers
 */
void virtio_gpu_blob_aside_init(VirtIOGPUBlobAside *aside, MemoryRegion *mr,
                                VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_aside_destroy() - watch it no longer
 * @aside: watching or zeroed; no handle is kept
 */
void virtio_gpu_blob_aside_destroy(VirtIOGPUBlobAside *aside);

/**
 * virtio_gpu_blob_aside_keep() - keep a handle of a buffer
 * @aside: the window's
 * @place: where the buffer will be; virtio_gpu_blob_aside_drop() when it has
 *         gone
 * @fd: the buffer; may be closed afterwards
 *
 * Returns: false if there are no file descriptors left
 */
bool virtio_gpu_blob_aside_keep(VirtIOGPUBlobAside *aside,
                                VirtIOGPUBlobPlace *place, int fd);

/**
 * virtio_gpu_blob_aside_drop() - let go of a buffer
 * @aside: the window's
 * @place: with a handle or without
 */
void virtio_gpu_blob_aside_drop(VirtIOGPUBlobAside *aside,
                                VirtIOGPUBlobPlace *place);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_ASIDE_H */
