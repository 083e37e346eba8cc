/*
 * virtio-gpu blob mappings: the window's address space in QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host-visible window is one range of QEMU's address space, of which every
 * page is mapped at all times, to a buffer or to a hole.  A hole is part of one
 * small memfd that is mapped over and over, so that a guest may read and write
 * anywhere in the window without a fault, and QEMU grows by no more than that
 * file.  Holes next to each other are one mapping of the kernel.
 *
 * The functions need the BQL (virtio_gpu_blob_vma_map_hole() excepted).  vCPUs,
 * I/O threads and vhost read and write the window at the same time, without a
 * lock.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_VMA_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_VMA_H

#include "qemu/interval-tree.h"

/*
 * A blob that cannot be in the window has a memory region of its own there.  It
 * takes two sections of the memory map, of which there can be 4096 before QEMU
 * aborts (physmem.c, phys_section_add()); the machine takes some hundred.  Of
 * all devices together.
 */
#define VIRTIO_GPU_BLOB_REGIONS_MAX 1536

/* Where a blob is mapped in the window; part of the mapping's record */
typedef struct VirtIOGPUBlobPlace {
    IntervalTreeNode node; /* first and last byte, from the window's start */
    bool in_window;     /* false: a memory region of its own lies there */
    bool stale;         /* to be unmapped; there was no memory for the hole */
    int fd;             /* kept to map the buffer again, or -1 */
} VirtIOGPUBlobPlace;

typedef struct VirtIOGPUBlobVMA {
    void *reserved;     /* the window with a guard on either side */
    size_t reserved_len;
    uint8_t *base;
    size_t size;
    size_t page_size;
    bool dump;          /* part of QEMU's core dumps, as guest memory is */
    bool direct;        /* buffers are mapped straight over what is there */
    int hole_fd;
    size_t hole_len;
    void *spare;        /* mappings to give up when the kernel has no more */
    size_t spare_len;
    IntervalTreeRoot places;
    size_t buffers;     /* places in the window */
    size_t gaps;        /* holes between them */
    uint64_t max;       /* the kernel's mappings that the window may take */
} VirtIOGPUBlobVMA;

/* The range of @len bytes at @offset of the window, both page aligned */
static inline VirtIOGPUBlobPlace virtio_gpu_blob_place(uint64_t offset,
                                                       uint64_t len)
{
    return (VirtIOGPUBlobPlace) {
        .node.start = offset,
        .node.last = offset + len - 1,
        .fd = -1,
    };
}

static inline size_t
virtio_gpu_blob_place_len(const VirtIOGPUBlobPlace *place)
{
    return place->node.last - place->node.start + 1;
}

/* The first place in [@start, @last] of the window, or NULL */
static inline VirtIOGPUBlobPlace *
virtio_gpu_blob_vma_find(VirtIOGPUBlobVMA *vma, uint64_t start, uint64_t last)
{
    IntervalTreeNode *node = interval_tree_iter_first(&vma->places, start,
                                                      last);

    return node ? container_of(node, VirtIOGPUBlobPlace, node) : NULL;
}

static inline void *virtio_gpu_blob_vma_at(const VirtIOGPUBlobVMA *vma,
                                           const VirtIOGPUBlobPlace *place)
{
    return vma->base + place->node.start;
}

/**
 * virtio_gpu_blob_vma_max_mappings() - the kernel's limit for a window
 *
 * Returns: vm.max_map_count, less what is left to QEMU and to the renderer
 */
uint64_t virtio_gpu_blob_vma_max_mappings(void);

/**
 * virtio_gpu_blob_vma_needs() - the kernel's mappings of an empty window
 * @size: bytes
 *
 * Returns: their number, spare ones included
 */
uint64_t virtio_gpu_blob_vma_needs(uint64_t size);

/**
 * virtio_gpu_blob_vma_check() - check the limits on a window
 * @size: bytes, a power of two and a multiple of the host's page
 * @kvm: KVM needs a memory slot for it
 * @max: from virtio_gpu_blob_vma_max_mappings()
 * @errp: set to the limit and its remedy
 *
 * Returns: false if the window is too large
 */
bool virtio_gpu_blob_vma_check(uint64_t size, bool kvm, uint64_t max,
                               Error **errp);

/**
 * virtio_gpu_blob_vma_init() - reserve a window that is one hole
 * @vma: end with virtio_gpu_blob_vma_destroy(), after a failure too
 * @size: bytes, checked by virtio_gpu_blob_vma_check()
 * @dump: include the window in QEMU's core dumps
 * @direct: map buffers straight over what is there, if an address can be had
 *          at which the gap that a driver's mmap() may leave is harmless
 * @errp: set when there is no address space or memory
 *
 * Returns: false on error
 */
bool virtio_gpu_blob_vma_init(VirtIOGPUBlobVMA *vma, uint64_t size, bool dump,
                              bool direct, Error **errp);

/**
 * virtio_gpu_blob_vma_destroy() - free the window's address space
 * @vma: without places
 */
void virtio_gpu_blob_vma_destroy(VirtIOGPUBlobVMA *vma);

/**
 * virtio_gpu_blob_vma_map_hole() - map a hole, in the window or elsewhere
 * @vma: whose memory for holes to use
 * @at: page aligned; what is mapped there is unmapped
 * @len: bytes, a multiple of the host's page
 *
 * Any thread, a signal handler too.
 *
 * Returns: false if the kernel has no memory
 */
bool virtio_gpu_blob_vma_map_hole(VirtIOGPUBlobVMA *vma, void *at, size_t len);

/**
 * virtio_gpu_blob_vma_map() - map a buffer in the window
 * @vma: the window
 * @place: where, over a hole; belongs to @vma until it is unmapped
 * @fd: the buffer, as long as @place but for the last page's rest
 *
 * Returns: 0; or a negative errno, with @place a hole, or stale and still
 * belonging to @vma: -ENOSPC at the kernel's limit on mappings, any other
 * from mmap()
 */
int virtio_gpu_blob_vma_map(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place,
                            int fd);

/**
 * virtio_gpu_blob_vma_move() - move a buffer that is mapped elsewhere here
 * @vma: the window
 * @place: as for virtio_gpu_blob_vma_map()
 * @from: as long as @place; still mapped after a failure
 *
 * Returns: as virtio_gpu_blob_vma_map()
 */
int virtio_gpu_blob_vma_move(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place,
                             void *from);

/**
 * virtio_gpu_blob_vma_unmap() - map a hole in place of a buffer
 * @vma: the window
 * @place: mapped or stale; the caller's again if true is returned
 *
 * Returns: false if the kernel has no memory; the place is stale then, and
 * this is to be called again
 */
bool virtio_gpu_blob_vma_unmap(VirtIOGPUBlobVMA *vma,
                               VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_vma_set_aside() - take a buffer out for a moment
 * @vma: the window
 * @place: mapped, with an fd
 *
 * One mapping takes the place of one, so that the kernel's limit on mappings
 * is not met.
 *
 * Returns: false if the kernel has no memory
 */
bool virtio_gpu_blob_vma_set_aside(VirtIOGPUBlobVMA *vma,
                                   VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_vma_put_back() - map a buffer that was set aside again
 * @vma: the window
 * @place: set aside
 *
 * Returns: 0, or a negative errno, with a hole there
 */
int virtio_gpu_blob_vma_put_back(VirtIOGPUBlobVMA *vma,
                                 VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_vma_map_all_holes() - map the empty window anew
 * @vma: the window, without places
 *
 * For after madvise() of the whole: holes are one mapping only if alike.
 */
void virtio_gpu_blob_vma_map_all_holes(VirtIOGPUBlobVMA *vma);

/**
 * virtio_gpu_blob_vma_trim() - free what the guest has written into holes
 * @vma: the window
 */
void virtio_gpu_blob_vma_trim(VirtIOGPUBlobVMA *vma);

/**
 * virtio_gpu_blob_vma_mappings() - count the kernel's mappings
 * @vma: the window
 *
 * Returns: their number now, at most
 */
uint64_t virtio_gpu_blob_vma_mappings(const VirtIOGPUBlobVMA *vma);

typedef struct VirtIOGPUBlobUsage {
    uint64_t mapped;       /* bytes of all places, those of regions included */
    uint64_t largest_hole; /* bytes between places */
} VirtIOGPUBlobUsage;

/**
 * virtio_gpu_blob_vma_usage() - find out how the window is used
 * @vma: the window
 *
 * Walks over all places.
 *
 * Returns: it, by value
 */
VirtIOGPUBlobUsage virtio_gpu_blob_vma_usage(VirtIOGPUBlobVMA *vma);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_VMA_H */
