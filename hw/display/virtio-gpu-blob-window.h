/*
 * virtio-gpu blob mappings: the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_WINDOW_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_WINDOW_H

#include "hw/virtio/virtio-gpu-blob-memory.h"
#include "qom/object.h"

#define TYPE_VIRTIO_GPU_BLOB_WINDOW "virtio-gpu-blob-window"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOGPUBlobWindow, VIRTIO_GPU_BLOB_WINDOW)

/**
 * virtio_gpu_blob_window_new() - put one RAM region over the whole window
 * @owner: the device; the window becomes its child
 * @container: the host-visible region, as large as the window
 * @size: bytes, a power of two and a multiple of the host's page
 * @errp: set when the address space cannot be had
 *
 * Where nothing is mapped, a small memfd shows again and again: the guest
 * may read and write there, and gets at nobody's data.
 *
 * Returns: the window, owned by @owner; NULL on error
 */
VirtIOGPUBlobWindow *virtio_gpu_blob_window_new(Object *owner,
                                                MemoryRegion *container,
                                                uint64_t size, Error **errp);

/**
 * virtio_gpu_blob_window_delete() - take the window out of the guest's memory
 * @w: the window; freed once nobody refers to its region
 */
void virtio_gpu_blob_window_delete(VirtIOGPUBlobWindow *w);

/**
 * virtio_gpu_blob_window_map() - show a buffer in the window
 * @w: the window
 * @fd: the buffer, at least @len bytes long but for the last page's rest;
 *      may be closed afterwards
 * @offset: bytes from the window's start, a multiple of the host's page
 * @len: bytes, a multiple of the host's page; [@offset, @offset + @len) must
 *       be unmapped and within the window
 *
 * Returns: 0, or a negative errno with the window as it was: -ENOMEM when
 * the kernel has no mappings or memory left, -EBUSY when the others who look
 * at guest memory cannot follow (the buffer can still be shown in a region
 * of its own), any other from mmap()
 */
int virtio_gpu_blob_window_map(VirtIOGPUBlobWindow *w, int fd,
                               uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_window_unmap() - take a buffer out of the window
 * @w: the window
 * @offset: as mapped
 * @len: as mapped
 *
 * Returns: true if the buffer is gone; false if the kernel has no memory,
 * with the buffer still mapped
 */
bool virtio_gpu_blob_window_unmap(VirtIOGPUBlobWindow *w,
                                  uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_window_drop() - take a buffer out, come what may
 * @w: the window
 * @offset: as mapped
 * @len: as mapped
 *
 * Where the kernel has no memory, the buffer stays visible until its place
 * is used again.
 */
void virtio_gpu_blob_window_drop(VirtIOGPUBlobWindow *w,
                                 uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_window_trim() - give the memory behind the holes back
 * @w: the window
 */
void virtio_gpu_blob_window_trim(VirtIOGPUBlobWindow *w);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_WINDOW_H */
