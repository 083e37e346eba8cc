/*
 * virtio-gpu blob mappings: the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One RAM region covers the whole window for as long as the device lives.
 * Buffers come and go by mmap() below it (virtio-gpu-blob-holes.h), so that
 * neither the flat view nor a memory slot ever changes, and those who look at
 * guest memory are told (virtio-gpu-blob-rdm.h): whoever calls this need know
 * of neither.  What may be mapped, and on whose word, is not its affair.
 * BQL held; main loop.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_WINDOW_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_WINDOW_H

#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-loss.h"
#include "virtio-gpu-blob-place.h"
#include "qom/object.h"

#define TYPE_VIRTIO_GPU_BLOB_WINDOW "virtio-gpu-blob-window"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOGPUBlobWindow, VIRTIO_GPU_BLOB_WINDOW)

/**
 * virtio_gpu_blob_window_new() - put one RAM region over the whole window
 * @owner: the device; the window becomes its child
 * @container: the host-visible region, as large as the window
 * @size: bytes, a power of two and a multiple of the host's page
 * @losses: the device's; must outlive the window
 * @errp: set when the address space cannot be had
 *
 * Where nothing is mapped, a small memfd shows again and again: the guest
 * may read and write there, and gets at nobody's data.
 *
 * Returns: the window, owned by @owner; NULL on error
 */
VirtIOGPUBlobWindow *virtio_gpu_blob_window_new(Object *owner,
                                                MemoryRegion *container,
                                                uint64_t size,
                                                VirtIOGPUBlobLosses *losses,
                                                Error **errp);

/**
 * virtio_gpu_blob_window_delete() - take the window out of the guest's memory
 * @w: the window; freed once nobody refers to its region
 */
void virtio_gpu_blob_window_delete(VirtIOGPUBlobWindow *w);

/**
 * virtio_gpu_blob_window_is_taken() - is there a buffer?
 * @w: the window
 * @place: a range of it
 *
 * Returns: true if any of it shows a buffer
 */
bool virtio_gpu_blob_window_is_taken(VirtIOGPUBlobWindow *w,
                                     const VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_window_map() - show a buffer in the window
 * @w: the window
 * @fd: the buffer, at least as long as @place but for the last page's rest;
 *      may be closed afterwards
 * @shm: it is shared memory
 * @place: where, within the window, not taken, page aligned; must stay until
 *         it is unmapped
 *
 * Returns: 0, or a negative errno with the window as it was: -ENOMEM when
 * the kernel has no mappings or memory left, -EMFILE when there are no file
 * descriptors left, -EBUSY when the others who look
 * at guest memory cannot follow (the buffer can still be shown in a region
 * of its own), any other from mmap()
 */
int virtio_gpu_blob_window_map(VirtIOGPUBlobWindow *w, int fd, bool shm,
                               VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_window_move_in() - show a buffer that is mapped elsewhere
 * @w: the window
 * @apart: where, as long as @place; not any more afterwards
 * @place: as for virtio_gpu_blob_window_map()
 *
 * Nobody is told of it, and it cannot step aside while a memory slot is made.
 *
 * Returns: false if it is not shown, with the window as it was
 */
bool virtio_gpu_blob_window_move_in(VirtIOGPUBlobWindow *w, void *apart,
                                    VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_window_unmap() - take a buffer out of the window
 * @w: the window
 * @place: as mapped; the caller's again unless false is returned
 * @final: its owner goes in any case: where the kernel has no memory, the
 *         buffer stays visible until its place is used again
 *
 * Returns: true if the place is free; false, never if @final, if the kernel
 * has no memory, with the buffer still mapped
 */
bool virtio_gpu_blob_window_unmap(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobPlace *place, bool final);

/**
 * virtio_gpu_blob_window_run() - how many buffers can be taken out as one?
 * @w: the window
 * @places: as mapped, in the order of their offsets
 * @n: how many; one at least
 *
 * Returns: how many from the first on; one at least
 */
unsigned virtio_gpu_blob_window_run(const VirtIOGPUBlobWindow *w,
                                    VirtIOGPUBlobPlace *const *places,
                                    unsigned n);

/**
 * virtio_gpu_blob_window_unmap_run() - take neighbours out of the window
 * @w: the window
 * @places: a run; the caller's again unless false is returned
 * @n: how many
 *
 * Returns: true if all the places are free; false if the kernel has no
 * memory, with all the buffers still mapped
 */
bool virtio_gpu_blob_window_unmap_run(VirtIOGPUBlobWindow *w,
                                      VirtIOGPUBlobPlace *const *places,
                                      unsigned n);

/**
 * virtio_gpu_blob_window_replace() - show a buffer in place of another
 * @w: the window
 * @fd: the buffer, as for virtio_gpu_blob_window_map()
 * @shm: it is shared memory
 * @old: as mapped; the caller's again if true is returned
 * @place: the same range; must stay until it is unmapped
 *
 * The guest sees one buffer until it sees the other, and no hole in between.
 * Not where somebody is told of buffers: those are told of each step.
 *
 * Returns: true if the buffer is shown; false with @old still mapped, to be
 * unmapped like any other
 */
bool virtio_gpu_blob_window_replace(VirtIOGPUBlobWindow *w, int fd, bool shm,
                                    VirtIOGPUBlobPlace *old,
                                    VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_window_look() - has a buffer gone as a whole?
 * @w: the window
 * @place: as mapped; lost afterwards if it has
 */
void virtio_gpu_blob_window_look(VirtIOGPUBlobWindow *w,
                                 const VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_window_touch() - find out if a buffer has lost pages
 * @w: the window
 * @place: as mapped; lost afterwards if it has
 * @write: look for pages that cannot be written to, too
 *
 * Any thread that takes SIGBUS, BQL held.
 */
void virtio_gpu_blob_window_touch(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobPlace *place, bool write);

/**
 * virtio_gpu_blob_window_lost() - a buffer has lost its pages
 * @w: the window
 * @place: as mapped; it shows a hole, and whoever was told of the buffer is
 *         told that it is gone
 */
void virtio_gpu_blob_window_lost(VirtIOGPUBlobWindow *w,
                                 VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_window_cover() - show a hole outside of the window
 * @w: the window
 * @at: page aligned; what is there goes
 * @len: bytes, a multiple of the host's page
 *
 * Any thread, a signal handler too.
 *
 * Returns: false if the kernel has no memory
 */
bool virtio_gpu_blob_window_cover(VirtIOGPUBlobWindow *w, void *at,
                                  uint64_t len);

/**
 * virtio_gpu_blob_window_mappings() - the kernel's mappings
 * @w: the window
 * @max: set to how many it may take
 *
 * Returns: how many it takes now, at most
 */
uint64_t virtio_gpu_blob_window_mappings(const VirtIOGPUBlobWindow *w,
                                         uint64_t *max);

/**
 * virtio_gpu_blob_window_trim() - give the memory behind the holes back
 * @w: the window
 */
void virtio_gpu_blob_window_trim(VirtIOGPUBlobWindow *w);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_WINDOW_H */
