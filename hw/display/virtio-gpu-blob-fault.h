/*
 * virtio-gpu blob mappings: whose SIGBUS is it?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An access to a page that a buffer has lost raises SIGBUS in the thread that
 * made it.  Who owns the address may put something else there; the access is
 * then tried again.  All other signals, hardware memory errors among them, go
 * where they went before.
 *
 * A signal has no opaque pointer, so what is watched is known to the process,
 * under a spin lock of its own.  Signal handlers take that lock: while it is
 * held, no memory may be touched that could raise SIGBUS.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_FAULT_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_FAULT_H

#include "qemu/queue.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14 */
#endif

/**
 * VirtIOGPUBlobMend - put something where a page is gone
 * @opaque: as watched
 * @addr: the address that was accessed
 *
 * Runs in a signal handler of the thread that made the access, with the lock
 * of what is watched held: system calls and atomic operations only.
 *
 * Returns: true to try the access again, false if that would not help
 */
typedef bool VirtIOGPUBlobMend(void *opaque, void *addr);

/**
 * VirtIOGPUBlobWatch - a range of QEMU's address space
 * @start: its first byte
 * @len: bytes
 * @mend: called for each SIGBUS in it
 * @opaque: for @mend
 */
typedef struct VirtIOGPUBlobWatch {
    void *start;
    uint64_t len;
    VirtIOGPUBlobMend *mend;
    void *opaque;
    QLIST_ENTRY(VirtIOGPUBlobWatch) next;
} VirtIOGPUBlobWatch;

/**
 * virtio_gpu_blob_watch() - from now on, a SIGBUS in a range is its owner's
 * @watch: the range; must stay until virtio_gpu_blob_unwatch()
 *
 * Main loop, BQL held.  The main thread takes the signal from then on; QEMU
 * reads it from a signalfd there, and still does so for memory errors that
 * need no action at once.
 */
void virtio_gpu_blob_watch(VirtIOGPUBlobWatch *watch);

/**
 * virtio_gpu_blob_unwatch() - from now on, it is not
 * @watch: the range; its @mend is not running afterwards
 *
 * Any thread.
 */
void virtio_gpu_blob_unwatch(VirtIOGPUBlobWatch *watch);

/**
 * virtio_gpu_blob_look() - is the last page of a range gone?
 * @start: its first page
 * @len: bytes
 *
 * A driver takes a buffer back as a whole, and a file loses its end first.  One
 * system call where nothing is gone; else who owns the range is asked to mend
 * it.  Device memory, and what drivers map without counting its pages, is not
 * looked at: KVM tells of that (virt/kvm/kvm_main.c, hva_to_pfn()).
 */
void virtio_gpu_blob_look(void *start, uint64_t len);

/**
 * virtio_gpu_blob_touch() - access each page of a range
 * @start: the first page
 * @len: bytes
 * @write: for writing too, which changes nothing; not for device memory
 * @stop: becomes true when there is no need to go on
 *
 * Who owns the range is asked to mend what is gone.
 */
void virtio_gpu_blob_touch(void *start, uint64_t len, bool write,
                           const bool *stop);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_FAULT_H */
