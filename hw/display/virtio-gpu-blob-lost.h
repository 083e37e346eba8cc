/*
 * virtio-gpu blob mappings: buffers that lose their pages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A file is truncated, or a driver takes a buffer back, while it is mapped.
 * The next access raises SIGBUS in the thread that made it, or, by a vCPU
 * under KVM, makes KVM_RUN fail with EFAULT.  A hole is then mapped over all of
 * the buffer, the access is tried again, and the main loop is told.
 *
 * All mapped buffers of the process are in one tree, by host address, as a
 * signal handler knows nothing but the address.  One spin lock guards the tree,
 * each buffer's state and each device's queue; signal handlers take it.  While
 * it is held, no memory may be accessed that could raise a signal.  The tree
 * is changed by the main loop alone, with the BQL.
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
 * @bh: scheduled for each loss, in a signal handler; not owned
 * @count: losses since the device was created; qatomic_read()
 * @untold: those that virtio_gpu_blob_lost_next() has not returned, in order
 */
typedef struct VirtIOGPUBlobLost {
    VirtIOGPUBlobVMA *vma;
    QEMUBH *bh;
    size_t count;
    QTAILQ_HEAD(, VirtIOGPUBlobPages) untold;
} VirtIOGPUBlobLost;

/**
 * VirtIOGPUBlobPages - the pages of one mapped buffer
 * @range: its first and last host address
 * @owner: the device's
 * @file: shared memory: pages are allocated when they are accessed
 * @write_touch: cached memory of a dma-buf: an atomic write that changes
 *               nothing is allowed
 * @lost: set in a signal handler: a hole is mapped there; qatomic_read()
 * @retries: accesses tried again since @retry_start, as the page was there
 * @retry_start: nanoseconds, get_clock()
 * @next_untold: within the owner's queue
 */
typedef struct VirtIOGPUBlobPages {
    IntervalTreeNode range;
    VirtIOGPUBlobLost *owner;
    bool file;
    bool write_touch;
    bool lost;
    unsigned retries;
    int64_t retry_start;
    QTAILQ_ENTRY(VirtIOGPUBlobPages) next_untold;
} VirtIOGPUBlobPages;

/**
 * VirtIOGPUBlobGapRange - where buffers are mapped straight over others
 * @range: first and last host address
 * @replacer: the thread that does so, which added the range
 * @replacing: it does so now: mmap() may unmap what was there before it fails
 */
typedef struct VirtIOGPUBlobGapRange {
    IntervalTreeNode range;
    QemuThread replacer;
    bool replacing;
} VirtIOGPUBlobGapRange;

/**
 * virtio_gpu_blob_lost_vcpus_retry() - does KVM let a vCPU try again?
 *
 * Only then may a vCPU meet a gap.  Main thread, BQL held.
 */
bool virtio_gpu_blob_lost_vcpus_retry(void);

/**
 * virtio_gpu_blob_lost_init() - nothing is lost
 * @lost: must outlive its buffers
 */
void virtio_gpu_blob_lost_init(VirtIOGPUBlobLost *lost, VirtIOGPUBlobVMA *vma,
                               QEMUBH *bh);

/**
 * virtio_gpu_blob_lost_add() - from now on, losses in a range are handled
 * @pages: @file and @write_touch are set; the rest is set up here
 *
 * Before the buffer is mapped there.  Main thread, BQL held.
 */
void virtio_gpu_blob_lost_add(VirtIOGPUBlobPages *pages,
                              VirtIOGPUBlobLost *owner, void *host, size_t len);

/**
 * virtio_gpu_blob_lost_remove() - no handler uses the pages any more
 *
 * After a hole is mapped there, or before the range is unmapped.  BQL held.
 */
void virtio_gpu_blob_lost_remove(VirtIOGPUBlobPages *pages);

/**
 * virtio_gpu_blob_lost_next() - a loss that has not been told, once each
 *
 * Main loop.
 *
 * Returns: its pages, or NULL
 */
VirtIOGPUBlobPages *virtio_gpu_blob_lost_next(VirtIOGPUBlobLost *owner);

/**
 * virtio_gpu_blob_lost_mark() - the caller has mapped a hole itself
 *
 * For a buffer that could not be mapped again.  Main loop.
 */
void virtio_gpu_blob_lost_mark(VirtIOGPUBlobPages *pages);

/**
 * virtio_gpu_blob_lost_changed() - something was mapped or unmapped
 *
 * A vCPU whose KVM_RUN failed before tries again.  Any thread.
 */
void virtio_gpu_blob_lost_changed(void);

/**
 * virtio_gpu_blob_lost_add_window() - gaps may be met in a range
 *
 * Main thread, BQL held; the range is mapped.  Only this thread replaces
 * mappings in it.
 */
void virtio_gpu_blob_lost_add_window(VirtIOGPUBlobGapRange *range, void *host,
                                     size_t len);

/* BQL held */
void virtio_gpu_blob_lost_remove_window(VirtIOGPUBlobGapRange *range);

/**
 * virtio_gpu_blob_lost_begin_replace() - from now on, there may be a gap
 *
 * Main loop.  Until virtio_gpu_blob_lost_end_replace() this thread does not
 * access the range, and other threads that meet the gap wait.
 */
void virtio_gpu_blob_lost_begin_replace(VirtIOGPUBlobGapRange *range);

/* All of the range is mapped again. */
void virtio_gpu_blob_lost_end_replace(VirtIOGPUBlobGapRange *range);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_LOST_H */
