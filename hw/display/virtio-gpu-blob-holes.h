/*
 * virtio-gpu blob mappings: the window's address space in QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is mapped where, by mmap() alone: buffers at their places, and
 * holes between them.  Holes show one small memfd again and again, so that a
 * guest may read and write anywhere, and QEMU grows by no more than that
 * file.  Holes next to each other join into one mapping of the kernel's, but
 * for those that blobs left last: these vacancies stay apart for the next
 * blob, since a mapping that is replaced as a whole costs half of one that is
 * cut out and merged again.
 *
 * BQL held; in the main loop, or in the thread that changes guest memory
 * (virtio-gpu-blob-aside.h).  vCPUs and other threads read and write the
 * window meanwhile: at no time may anything show there but a buffer or a hole.
 * Where such an access finds that the buffer has lost its pages, its signal
 * handler puts a hole in the buffer's place (virtio-gpu-blob-fault.h), so a
 * place is known before its buffer shows, and until a hole does.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_HOLES_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_HOLES_H

#include "virtio-gpu-blob-fault.h"
#include "virtio-gpu-blob-loss.h"
#include "virtio-gpu-blob-mmap.h"
#include "virtio-gpu-blob-place.h"

/**
 * VirtIOGPUBlobHoles - the window's address space
 * @reserved: what is reserved for it, with a guard on either side
 * @reserved_len: bytes
 * @base: where the window is in QEMU's address space; see
 *        virtio_gpu_blob_holes_begin()
 * @size: bytes
 * @page_size: the host's page in bytes
 * @dumped: the window goes into QEMU's core, as the guest's memory does
 * @keeps: whose mmap() that fails leaves no gap
 * @fd: the memory that shows in holes
 * @period: its size in bytes
 * @store: mappings kept in store, or NULL: a hole can always be put back,
 *         even when the kernel has no more for this process
 * @store_len: bytes
 * @watch: who is told of a SIGBUS in the window
 * @losses: the device's; its lock is for @filled, too
 * @filled: the places where buffers are
 * @count: how many they are
 * @gaps: runs of pages between them
 * @vacant: the places that buffers left and that stay apart
 * @vacant_by_age: the same, the oldest first
 */
typedef struct VirtIOGPUBlobHoles {
    void *reserved;
    uint64_t reserved_len;
    uint8_t *base;
    uint64_t size;
    uint64_t page_size;
    bool dumped;
    VirtIOGPUBlobMmap keeps;
    int fd;
    uint64_t period;
    void *store;
    size_t store_len;
    VirtIOGPUBlobWatch watch;
    VirtIOGPUBlobLosses *losses;
    IntervalTreeRoot filled;
    uint64_t count;
    uint64_t gaps;
    IntervalTreeRoot vacant;
    GQueue vacant_by_age;
} VirtIOGPUBlobHoles;

/**
 * virtio_gpu_blob_holes_need() - what an empty window takes
 * @size: bytes, a power of two and a multiple of the host's page
 *
 * Returns: how many of the kernel's mappings, with those in store
 */
uint64_t virtio_gpu_blob_holes_need(uint64_t size);

/**
 * virtio_gpu_blob_holes_begin() - where in an address space to put a window
 * @from: not before this address
 * @page_size: the host's page in bytes
 * @apart: not where it could be mapped by huge pages
 *
 * KVM uses a huge page for a guest where the guest's and QEMU's addresses are
 * the same within one.  A window's address in the guest is a multiple of its
 * size, so that both are multiples of a huge page, or neither can hold one;
 * if @apart, they differ by a page whatever the guest makes of the BAR.
 *
 * Returns: the first address that will do; less than a huge page and a page
 * behind @from
 */
uint64_t virtio_gpu_blob_holes_begin(uint64_t from, uint64_t page_size,
                                     bool apart);

/**
 * virtio_gpu_blob_holes_init() - reserve a window that is one hole
 * @holes: end with virtio_gpu_blob_holes_destroy(), after a failure too
 * @size: bytes, a power of two and a multiple of the host's page
 * @dumped: shall it be in QEMU's core?
 * @losses: the device's; must outlive @holes
 * @errp: set when the address space or the memory cannot be had
 *
 * Returns: false on error
 */
bool virtio_gpu_blob_holes_init(VirtIOGPUBlobHoles *holes, uint64_t size,
                                bool dumped, VirtIOGPUBlobLosses *losses,
                                Error **errp);

/**
 * virtio_gpu_blob_holes_destroy() - give back all but the address space
 * @holes: what is reserved stays mapped, since others may still read there
 */
void virtio_gpu_blob_holes_destroy(VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_holes_renew() - map the whole window anew
 * @holes: without buffers
 *
 * After somebody changed the mappings' advice: only what is alike merges.
 */
void virtio_gpu_blob_holes_renew(VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_holes_mappings() - what the kernel has to keep
 * @holes: the window's address space
 *
 * Returns: how many of the kernel's mappings the window takes at most
 */
uint64_t virtio_gpu_blob_holes_mappings(const VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_holes_fill() - show a buffer in a hole
 * @holes: the window's address space
 * @fd: the buffer
 * @shm: it is shared memory
 * @place: where, page aligned; must stay until the buffer leaves
 *
 * Returns: 0, or a negative errno with the hole as it was
 */
int virtio_gpu_blob_holes_fill(VirtIOGPUBlobHoles *holes, int fd, bool shm,
                               VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_holes_fill_moved() - the same, with one that is mapped
 * @holes: the window's address space
 * @apart: where it is mapped, as long as @place; not any more afterwards
 * @place: where, page aligned; must stay until the buffer leaves
 *
 * Returns: 0, or a negative errno with the hole as it was
 */
int virtio_gpu_blob_holes_fill_moved(VirtIOGPUBlobHoles *holes, void *apart,
                                     VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_holes_replace() - show a buffer where another is
 * @holes: the window's address space
 * @fd: the buffer
 * @shm: it is shared memory
 * @old: as filled; the caller's again if 0 is returned
 * @place: the same range; must stay until the buffer leaves
 *
 * At no time does a hole show.  The losses' lock is held meanwhile, so that
 * whoever finds that a buffer has lost its pages knows which one it was.
 *
 * Returns: 0, or a negative errno with @old filled as before; but for -ENOMEM,
 * where a hole may show there already
 */
int virtio_gpu_blob_holes_replace(VirtIOGPUBlobHoles *holes, int fd, bool shm,
                                  VirtIOGPUBlobPlace *old,
                                  VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_holes_run() - how many buffers can leave as one?
 * @holes: the window's address space
 * @places: filled, in the order of their offsets
 * @n: how many; one at least
 *
 * Returns: how many from the first on; one at least
 */
unsigned virtio_gpu_blob_holes_run(const VirtIOGPUBlobHoles *holes,
                                   VirtIOGPUBlobPlace *const *places,
                                   unsigned n);

/**
 * virtio_gpu_blob_holes_leave_run() - take neighbours away, by one mapping
 * @holes: the window's address space
 * @places: a run; the caller's again
 * @n: how many
 *
 * The hole joins with those around.
 *
 * Returns: false if the kernel has no memory, with all of them still there
 */
bool virtio_gpu_blob_holes_leave_run(VirtIOGPUBlobHoles *holes,
                                     VirtIOGPUBlobPlace *const *places,
                                     unsigned n);

/**
 * virtio_gpu_blob_holes_leave() - take a buffer away, expect another
 * @holes: the window's address space
 * @place: as filled; the caller's again
 *
 * Returns: false if the kernel has no memory, with the buffer still there
 */
bool virtio_gpu_blob_holes_leave(VirtIOGPUBlobHoles *holes,
                                 VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_holes_close() - take a buffer away, expect no other
 * @holes: the window's address space
 * @place: as filled; the caller's again
 *
 * The hole joins with those around.  Where the kernel has no memory, the
 * buffer stays visible until its place is used again.
 */
void virtio_gpu_blob_holes_close(VirtIOGPUBlobHoles *holes,
                                 VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_holes_cover() - put a hole over a buffer for a while
 * @holes: the window's address space
 * @place: as filled; it counts as filled all the time
 *
 * Returns: false if the kernel has no memory, with the buffer still there
 */
bool virtio_gpu_blob_holes_cover(VirtIOGPUBlobHoles *holes,
                                 const VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_holes_uncover() - show a buffer again
 * @holes: the window's address space
 * @place: covered
 * @fd: the buffer, no shared memory
 *
 * Returns: 0, or a negative errno with the hole as it was
 */
int virtio_gpu_blob_holes_uncover(VirtIOGPUBlobHoles *holes,
                                  const VirtIOGPUBlobPlace *place, int fd);

/**
 * virtio_gpu_blob_holes_tidy() - join the vacancies
 * @holes: the window's address space
 *
 * Where the kernel has no memory, some stay as they are.
 */
void virtio_gpu_blob_holes_tidy(VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_holes_show() - show a hole outside of the window
 * @holes: the window's address space
 * @at: page aligned; what is there goes
 * @len: bytes, a multiple of the host's page
 *
 * Any thread, a signal handler too.
 *
 * Returns: false if the kernel has no memory
 */
bool virtio_gpu_blob_holes_show(VirtIOGPUBlobHoles *holes, void *at,
                                uint64_t len);

/**
 * virtio_gpu_blob_holes_lose() - a buffer could not come back
 * @holes: the window's address space
 * @place: covered; lost from now on
 */
void virtio_gpu_blob_holes_lose(VirtIOGPUBlobHoles *holes,
                                VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_holes_trim() - tidy, and give the memory back
 * @holes: the window's address space
 */
void virtio_gpu_blob_holes_trim(VirtIOGPUBlobHoles *holes);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_HOLES_H */
