/*
 * virtio-gpu blob mappings: buffers that lose their pages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * While a buffer is mapped, its file may be truncated, or its driver may take
 * it back.  The next access raises SIGBUS in the thread that made it; if a vCPU
 * under KVM made it, KVM_RUN fails with EFAULT, or KVM lets the vCPU wait, and
 * a check of all buffers finds the loss within seconds.  Then a hole is mapped
 * over the whole buffer, the access is tried again, and the main loop is
 * notified.
 *
 * All mapped buffers of the process are in one tree, by host address, because a
 * signal handler knows only the address.  One spin lock protects the tree, each
 * buffer's state and each device's queue; signal handlers take it.  While it is
 * held, no memory may be accessed that could raise a signal.  The tree is
 * changed only with the BQL held.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_LOST_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_LOST_H

#include "qemu/interval-tree.h"
#include "qemu/main-loop.h"
#include "qemu/queue.h"
#include "qemu/thread.h"
#include "virtio-gpu-blob-vma.h"

/**
 * VirtIOGPUBlobLost - a device's buffers that lost their pages
 * @vma: supplies holes
 * @bh: scheduled for each loss, also in signal handlers; the caller deletes it
 * @count: losses since the device was created; qatomic_read()
 * @unreported: losses that virtio_gpu_blob_lost_next() has not returned yet
 */
typedef struct VirtIOGPUBlobLost {
    VirtIOGPUBlobVMA *vma;
    QEMUBH *bh;
    size_t count;
    QSIMPLEQ_HEAD(, VirtIOGPUBlobPages) unreported;
} VirtIOGPUBlobLost;

/**
 * VirtIOGPUBlobPages - the pages of one mapped buffer
 * @range: its first and last host address
 * @owner: the losses of its device
 * @next_unreported: within the owner's queue
 * @retry_start_ms: get_clock() in milliseconds, which may wrap around
 * @retries: accesses tried again since then, as they seemed possible
 * @file: not a dma-buf: its pages may be allocated when they are accessed
 * @write_touch: cached memory of a dma-buf: an atomic write that changes
 *               nothing is allowed
 * @lost: a hole is mapped there; set in any thread, qatomic_read()
 */
typedef struct VirtIOGPUBlobPages {
    IntervalTreeNode range;
    VirtIOGPUBlobLost *owner;
    QSIMPLEQ_ENTRY(VirtIOGPUBlobPages) next_unreported;
    uint32_t retry_start_ms;
    uint8_t retries;
    bool file;
    bool write_touch;
    bool lost;
} VirtIOGPUBlobPages;

/**
 * VirtIOGPUBlobGapRange - a range in which there may be gaps
 * @range: first and last host address
 * @replacer: the only thread that replaces mappings; it added the range
 * @replacing: it replaces a mapping now; mmap() unmaps the old one first, and
 *             may then fail
 */
typedef struct VirtIOGPUBlobGapRange {
    IntervalTreeNode range;
    QemuThread replacer;
    bool replacing;
} VirtIOGPUBlobGapRange;

/*
 * Installs the handlers.  Returns true if a vCPU whose KVM_RUN failed can try
 * again: gaps are allowed in the window only then.  Main thread, BQL held.
 */
bool virtio_gpu_blob_lost_install(void);

/*
 * Initializes @lost, which must outlive its buffers.  Its @vma is set before
 * the first of them is added.
 */
void virtio_gpu_blob_lost_init(VirtIOGPUBlobLost *lost, QEMUBH *bh);

/**
 * virtio_gpu_blob_lost_add() - handle losses in a range
 * @pages: @file and @write_touch are set; the rest is set up here
 *
 * To be called before another thread can access the buffer.  Main thread, BQL
 * held.
 */
void virtio_gpu_blob_lost_add(VirtIOGPUBlobPages *pages,
                              VirtIOGPUBlobLost *owner, void *host, size_t len);

/**
 * virtio_gpu_blob_lost_remove() - stop handling losses in a range
 *
 * To be called after a hole is mapped there, or before the range is unmapped.
 * BQL held.
 */
void virtio_gpu_blob_lost_remove(VirtIOGPUBlobPages *pages);

/* Returns the next loss that has not been reported, or NULL.  Main loop. */
VirtIOGPUBlobPages *virtio_gpu_blob_lost_next(VirtIOGPUBlobLost *owner);

/*
 * Marks a buffer as lost that could not be mapped again; the caller has mapped
 * a hole in its place.  BQL held.
 */
void virtio_gpu_blob_lost_mark(VirtIOGPUBlobPages *pages);

/*
 * Maps the hole again if a signal handler found the buffer lost while the
 * caller mapped it again.  BQL held.
 */
void virtio_gpu_blob_lost_recheck(VirtIOGPUBlobPages *pages);

/**
 * virtio_gpu_blob_lost_changed() - count a change of mappings
 *
 * A vCPU whose KVM_RUN failed before tries again.  Any thread.
 */
void virtio_gpu_blob_lost_changed(void);

/*
 * Handles accesses to gaps in a mapped range from now on.  Main thread, BQL
 * held; only this thread replaces mappings in the range.
 */
void virtio_gpu_blob_lost_add_window(VirtIOGPUBlobGapRange *range, void *host,
                                     size_t len);

/* BQL held */
void virtio_gpu_blob_lost_remove_window(VirtIOGPUBlobGapRange *range);

/*
 * There may be a gap from now on, until virtio_gpu_blob_lost_end_replace().
 * This thread must not access the range until then; other threads that access
 * the gap wait.  Main loop.
 */
void virtio_gpu_blob_lost_begin_replace(VirtIOGPUBlobGapRange *range);

/* All of the range is mapped again. */
void virtio_gpu_blob_lost_end_replace(VirtIOGPUBlobGapRange *range);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_LOST_H */
