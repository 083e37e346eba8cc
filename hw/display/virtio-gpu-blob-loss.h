/*
 * virtio-gpu blob mappings: places whose buffer has lost its pages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A loss is found in a signal handler, on any thread, and is told in the main
 * loop.  The lock is a device's: it orders a signal handler that looks for a
 * place with the main loop, which makes places known and forgets them.  It is
 * held for a few instructions in the main loop, and for a few system calls in
 * a signal handler, and in the main loop where a buffer takes another's place;
 * while it is held, no memory may be touched that could raise SIGBUS.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_LOSS_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_LOSS_H

#include "qemu/thread.h"
#include "virtio-gpu-blob-place.h"

/**
 * VirtIOGPUBlobLosses - a device's
 * @lock: see above
 * @untold: lost places, the first of them lost first
 * @count: losses, since the device was created
 * @notify: called for each loss, in a signal handler
 * @opaque: for @notify
 */
typedef struct VirtIOGPUBlobLosses {
    QemuSpin lock;
    QTAILQ_HEAD(, VirtIOGPUBlobPlace) untold;
    uint64_t count;
    void (*notify)(void *opaque);
    void *opaque;
} VirtIOGPUBlobLosses;

/**
 * virtio_gpu_blob_losses_init() - there are none
 * @losses: the device's; nothing has to be undone
 * @notify: makes the main loop call virtio_gpu_blob_losses_take(); safe in a
 *          signal handler, as qemu_bh_schedule() is
 * @opaque: for @notify
 */
void virtio_gpu_blob_losses_init(VirtIOGPUBlobLosses *losses,
                                 void (*notify)(void *opaque), void *opaque);

/**
 * virtio_gpu_blob_losses_doubt() - is an access that failed to be tried again?
 * @place: where it was, or NULL if nothing is shown there now
 * @addr: the address that was accessed
 *
 * What was there when the access was made may have been replaced since.  In a
 * signal handler, with the device's lock held.
 *
 * Returns: true if there is reason to think that it will succeed
 */
bool virtio_gpu_blob_losses_doubt(VirtIOGPUBlobPlace *place, void *addr);

/**
 * virtio_gpu_blob_losses_add() - a place is lost
 * @losses: the device's; its lock is held
 * @place: not yet lost; something harmless shows there now
 *
 * In a signal handler.
 */
void virtio_gpu_blob_losses_add(VirtIOGPUBlobLosses *losses,
                                VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_losses_forget() - a place goes
 * @losses: the device's; its lock is held
 * @place: lost or not
 */
void virtio_gpu_blob_losses_forget(VirtIOGPUBlobLosses *losses,
                                   VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_losses_take() - which loss has not been told?
 * @losses: the device's; its lock is not held
 *
 * Main loop, BQL held.
 *
 * Returns: the place, once; or NULL
 */
VirtIOGPUBlobPlace *virtio_gpu_blob_losses_take(VirtIOGPUBlobLosses *losses);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_LOSS_H */
