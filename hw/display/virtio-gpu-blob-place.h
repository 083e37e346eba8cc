/*
 * virtio-gpu blob mappings: a place in the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The node by which a mapping hangs in the record of where it is shown: the
 * window's (virtio-gpu-blob-holes.h) or the regions'
 * (virtio-gpu-blob-region.h).  It is part of the mapping, so that no second
 * list of what is mapped has to agree with the first.  BQL held.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_PLACE_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_PLACE_H

#include "qemu/interval-tree.h"
#include "qemu/queue.h"

/**
 * VirtIOGPUBlobPlace - a range of the window
 * @node: its first and its last byte, from the window's start
 * @announced: whoever looks at guest memory has been told of it; kept since
 *             not all buffers are announced, and one who is told may refuse
 * @kept: a handle of the buffer there, for the time when it has to step aside
 *        (virtio-gpu-blob-aside.h), or -1
 * @lost: the buffer has lost its pages, and a hole shows instead; set in
 *        signal handlers
 * @doubts: how often an access failed that seemed possible afterwards
 * @next_lost: within virtio-gpu-blob-loss.h's, until the loss is told
 */
typedef struct VirtIOGPUBlobPlace {
    IntervalTreeNode node;
    bool announced;
    int kept;
    bool lost;
    unsigned doubts;
    QTAILQ_ENTRY(VirtIOGPUBlobPlace) next_lost;
} VirtIOGPUBlobPlace;

static inline VirtIOGPUBlobPlace virtio_gpu_blob_place(uint64_t offset,
                                                       uint64_t len)
{
    return (VirtIOGPUBlobPlace) {
        .node.start = offset,
        .node.last = offset + len - 1,
        .kept = -1,
    };
}

static inline VirtIOGPUBlobPlace *
virtio_gpu_blob_place_of(IntervalTreeNode *node)
{
    return container_of(node, VirtIOGPUBlobPlace, node);
}

static inline uint64_t
virtio_gpu_blob_place_offset(const VirtIOGPUBlobPlace *place)
{
    return place->node.start;
}

static inline uint64_t
virtio_gpu_blob_place_len(const VirtIOGPUBlobPlace *place)
{
    return place->node.last - place->node.start + 1;
}

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_PLACE_H */
