/*
 * virtio-gpu blob mappings: a buffer's pages over others, and never a gap
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * mmap(MAP_FIXED) asks the driver of a file for its pages after it has taken
 * away what was there, and does not put that back when the driver refuses:
 * until somebody mends it, any thread's mmap() may land in the gap, in the
 * middle of what a guest reads and writes.  Shared memory is asked before since
 * Linux 6.16 (f_op->mmap_prepare), other drivers are not, as of 6.18.  Where
 * that is so, a buffer is mapped elsewhere, where a failure does no harm, and
 * moved in.  BQL held; other threads map and unmap memory meanwhile.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_MMAP_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_MMAP_H

/**
 * VirtIOGPUBlobMmap - whose failure leaves in place what was there
 * @shm: shared memory's
 * @driver: any other driver's
 */
typedef struct VirtIOGPUBlobMmap {
    bool shm;
    bool driver;
} VirtIOGPUBlobMmap;

/**
 * virtio_gpu_blob_mmap_probe() - what does a driver that refuses leave behind?
 *
 * Tried out on memory of its own, with files whose mmap() fails in the driver:
 * a memfd that is sealed against writing, and a socket.
 *
 * Returns: what was found; false where that could not be found out
 */
VirtIOGPUBlobMmap virtio_gpu_blob_mmap_probe(void);

/**
 * virtio_gpu_blob_mmap_over() - map a buffer over what is there
 * @at: where, page aligned and mapped
 * @len: bytes, a multiple of the page
 * @fd: the buffer
 * @keeps: would its driver's failure leave what is there?
 *
 * Returns: 0, or a negative errno with what was there; but for -ENOMEM of a
 * kernel that cannot even move pages, which may leave nothing
 */
int virtio_gpu_blob_mmap_over(void *at, size_t len, int fd, bool keeps);

/**
 * virtio_gpu_blob_mmap_move() - move a buffer over what is there
 * @at: where, page aligned and mapped
 * @len: bytes, a multiple of the page
 * @apart: where it is mapped; not any more afterwards
 *
 * Returns: 0, or a negative errno as virtio_gpu_blob_mmap_over() does
 */
int virtio_gpu_blob_mmap_move(void *at, size_t len, void *apart);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_MMAP_H */
