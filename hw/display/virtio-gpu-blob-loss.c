/*
 * virtio-gpu blob mappings: places whose buffer has lost its pages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "virtio-gpu-blob-loss.h"

#include <sys/syscall.h>

/* A page that can be read, but not be written to, is not tried for ever. */
#define DOUBTS_MAX 16

void virtio_gpu_blob_losses_init(VirtIOGPUBlobLosses *losses,
                                 void (*notify)(void *opaque), void *opaque)
{
    qemu_spin_init(&losses->lock);
    QTAILQ_INIT(&losses->untold);
    losses->notify = notify;
    losses->opaque = opaque;
}

/*
 * A system call that reads what is gone fails with EFAULT, without a signal.
 * This one reads eight bytes, and then finds that it was asked for nonsense.
 */
static bool is_readable(void *addr)
{
    const int nonsense = -1;

    return syscall(__NR_rt_sigprocmask, nonsense,
                   QEMU_ALIGN_PTR_DOWN(addr, 8), NULL, 8) == 0 ||
           errno != EFAULT;
}

bool virtio_gpu_blob_losses_doubt(VirtIOGPUBlobPlace *place, void *addr)
{
    return is_readable(addr) &&
           (!place || place->lost || place->doubts++ < DOUBTS_MAX);
}

void virtio_gpu_blob_losses_add(VirtIOGPUBlobLosses *losses,
                                VirtIOGPUBlobPlace *place)
{
    qatomic_set(&place->lost, true);
    qatomic_set(&losses->count, losses->count + 1);
    QTAILQ_INSERT_TAIL(&losses->untold, place, next_lost);
    losses->notify(losses->opaque);
}

void virtio_gpu_blob_losses_forget(VirtIOGPUBlobLosses *losses,
                                   VirtIOGPUBlobPlace *place)
{
    if (QTAILQ_IN_USE(place, next_lost)) {
        QTAILQ_REMOVE(&losses->untold, place, next_lost);
    }
}

VirtIOGPUBlobPlace *virtio_gpu_blob_losses_take(VirtIOGPUBlobLosses *losses)
{
    VirtIOGPUBlobPlace *place;

    qemu_spin_lock(&losses->lock);
    place = QTAILQ_FIRST(&losses->untold);
    if (place) {
        QTAILQ_REMOVE(&losses->untold, place, next_lost);
    }
    qemu_spin_unlock(&losses->lock);
    return place;
}
