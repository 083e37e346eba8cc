/*
 * virtio-gpu blob mappings: the window's address space in QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host-visible window is one range of QEMU's address space.  Every page of
 * it is mapped at all times, to a buffer or to a hole.  All holes are parts of
 * one small memfd.  So a guest can read and write anywhere in the window
 * without a fault, and QEMU grows by no more than the size of that file.  The
 * kernel merges adjacent holes into one mapping.
 *
 * All functions need the BQL, except virtio_gpu_blob_vma_map_hole().  vCPUs,
 * I/O threads and vhost read and write the window at the same time, without a
 * lock.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_VMA_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_VMA_H

#include "qemu/interval-tree.h"

#include <linux/futex.h>
#include <sys/syscall.h>

/*
 * For all devices together.  A blob that cannot be in the window has a memory
 * region of its own there, which needs two sections of the memory map.  QEMU
 * aborts if there are more than 4096 (physmem.c, phys_section_add()), and the
 * machine needs some hundreds.
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
    bool direct;        /* buffers are mapped over holes by mmap() */
    int hole_fd;
    size_t hole_len;
    void *spare;        /* mappings to free when the kernel has no more */
    size_t spare_len;
    IntervalTreeRoot places;
    size_t buffers;     /* places in the window */
    size_t holes;       /* before, between and after them */
    uint64_t max;       /* the kernel's mappings that the window may use */
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
 * Returns: vm.max_map_count, less those for the rest of QEMU and the renderer
 */
uint64_t virtio_gpu_blob_vma_max_mappings(void);

/**
 * virtio_gpu_blob_vma_needs() - count the mappings of an empty window
 * @size: bytes
 *
 * Returns: their number, including spare mappings
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
 * virtio_gpu_blob_vma_init() - reserve an empty window
 * @vma: end with virtio_gpu_blob_vma_destroy(), also after a failure
 * @size: bytes, checked by virtio_gpu_blob_vma_check()
 * @dump: include the window in QEMU's core dumps
 * @direct: map buffers over holes by mmap(), if there is a free address where
 *          the gap that a driver's mmap() may leave is harmless
 * @errp: set if there is no address space or memory
 *
 * Returns: false on error
 */
bool virtio_gpu_blob_vma_init(VirtIOGPUBlobVMA *vma, uint64_t size, bool dump,
                              bool direct, Error **errp);

/* Frees the window's address space; the window has no places. */
void virtio_gpu_blob_vma_destroy(VirtIOGPUBlobVMA *vma);

/**
 * virtio_gpu_blob_vma_map_hole() - map a hole, in the window or elsewhere
 * @vma: the window whose memory for holes is used
 * @at: page aligned; what is mapped there is unmapped
 * @len: bytes, a multiple of the host's page
 *
 * Any thread, and in signal handlers.
 *
 * Returns: false if the kernel has no memory
 */
bool virtio_gpu_blob_vma_map_hole(VirtIOGPUBlobVMA *vma, void *at, size_t len);

/**
 * virtio_gpu_blob_vma_map() - map a buffer in the window
 * @vma: the window
 * @place: where, over a hole; belongs to @vma until it is unmapped
 * @fd: the buffer, which may end within the last page of @place
 *
 * Returns: 0; or a negative errno, with @place a hole, or stale and still
 * belonging to @vma: -ENOSPC at the kernel's limit on mappings, any other
 * from mmap()
 */
int virtio_gpu_blob_vma_map(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place,
                            int fd);

/**
 * virtio_gpu_blob_vma_move() - move a buffer into the window
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
 * @place: mapped or stale; belongs to the caller if true is returned
 *
 * Returns: false if the kernel has no memory; the place is stale then, and
 * the caller must try again
 */
bool virtio_gpu_blob_vma_unmap(VirtIOGPUBlobVMA *vma,
                               VirtIOGPUBlobPlace *place);

/*
 * Maps other memory in place of a buffer with an fd, until
 * virtio_gpu_blob_vma_put_back() maps it again.  One mapping replaces one
 * mapping, so that the kernel's limit on mappings is not reached.  Returns
 * false if the kernel has no memory.
 */
bool virtio_gpu_blob_vma_set_aside(VirtIOGPUBlobVMA *vma,
                                   VirtIOGPUBlobPlace *place);

/*
 * Maps a buffer again after virtio_gpu_blob_vma_set_aside().  Returns 0, or a
 * negative errno if a hole was mapped instead.
 */
int virtio_gpu_blob_vma_put_back(VirtIOGPUBlobVMA *vma,
                                 VirtIOGPUBlobPlace *place);

/*
 * Maps the holes of a window without places again, after madvise() has changed
 * the flags of the whole range: the kernel merges holes only if their flags are
 * equal.
 */
void virtio_gpu_blob_vma_map_all_holes(VirtIOGPUBlobVMA *vma);

/* Frees the pages that the guest has written in holes. */
void virtio_gpu_blob_vma_trim(VirtIOGPUBlobVMA *vma);

/**
 * virtio_gpu_blob_vma_mappings() - count the kernel's mappings
 * @vma: the window
 *
 * Returns: an upper bound of their present number
 */
uint64_t virtio_gpu_blob_vma_mappings(const VirtIOGPUBlobVMA *vma);

/**
 * virtio_gpu_blob_vma_reserve_low() - reserve addresses where a gap is harmless
 * @len: bytes, a multiple of the host's page
 * @flags: of mmap(): MAP_SHARED or MAP_PRIVATE | MAP_ANONYMOUS
 * @fd: of mmap()
 *
 * The kernel does not pick addresses there by itself.
 *
 * Returns: a PROT_NONE mapping, or NULL if there are no such addresses
 */
void *virtio_gpu_blob_vma_reserve_low(size_t len, int flags, int fd);

/*
 * True if the page at @addr can be written to.  futex() sets no bits in four
 * bytes of it, and then wakes no thread; if it cannot, it fails without a
 * signal.  Not for memory on which atomic operations may fail (uncached or
 * write-combine, on hosts other than x86).
 */
static inline bool virtio_gpu_blob_vma_is_writable(void *addr)
{
    uint32_t futex = 0;

    return syscall(__NR_futex, &futex, FUTEX_WAKE_OP_PRIVATE, 0, NULL,
                   QEMU_ALIGN_PTR_DOWN(addr, sizeof(futex)),
                   FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0)) >= 0 ||
           errno != EFAULT;
}

typedef struct VirtIOGPUBlobUsage {
    uint64_t mapped;       /* bytes of all places, including regions */
    uint64_t largest_hole; /* bytes between places */
} VirtIOGPUBlobUsage;

/**
 * virtio_gpu_blob_vma_usage() - find out how the window is used
 * @vma: the window
 *
 * Walks over all places.
 */
VirtIOGPUBlobUsage virtio_gpu_blob_vma_usage(VirtIOGPUBlobVMA *vma);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_VMA_H */
