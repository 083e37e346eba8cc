/*
 * virtio-gpu blob mappings: what this host does with a guest's cache type
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Puts the probes (virtio-gpu-blob-host-probe.h) to the accelerator that runs
 * this guest, and the rule (virtio-gpu-blob-host-rule.h) to what they found.
 * Once, when the device is realized: main loop, BQL held.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H

#include "virtio-gpu-blob-host-rule.h"

/**
 * VirtIOGPUBlobHost - what a decision depends on, for the device's life
 * @accelerator: its name; empty if the host was never looked at
 * @x86: the host's processor is x86
 * @confidential_guest: a confidential guest, of any kind
 * @vram: KVM here cannot map a GPU's own memory safely, and there may be some
 * @guest_type: the guest's choice of WC or UNCACHED is HONOURED, or why not
 */
typedef struct VirtIOGPUBlobHost {
    char accelerator[16];
    bool x86;
    bool confidential_guest;
    bool vram;
    VirtIOGPUBlobGuestType guest_type;
} VirtIOGPUBlobHost;

/**
 * virtio_gpu_blob_host_init() - find out, and make the best of it
 * @host: filled in
 * @guest_pat: may KVM's switch be thrown where it is needed?  It acts on the
 *             whole VM, and for good; the log tells that it was
 *
 * What could not be found out is logged, if decisions depend on it.
 */
void virtio_gpu_blob_host_init(VirtIOGPUBlobHost *host,
                               VirtIOGPUBlobSwitch guest_pat);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H */
