/*
 * virtio-gpu blob mappings: what if a vCPU cannot reach memory?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Under KVM, a page that a buffer has lost raises no signal: KVM_RUN fails
 * with EFAULT, and KVM does not always say where.  A QEMU that asks is told
 * to let the vCPU try again once all that is gone has become a hole.  One
 * that does not ask has stopped the VM; it is found out then which buffer it
 * was, and the hole is there when the VM is reset.
 *
 * A guest that KVM may tell to wait for a page (asynchronous page faults, as
 * Linux guests on x86 have them) is told so again and again where the page
 * never comes, and KVM_RUN does not fail (arch/x86/kvm/mmu/mmu.c,
 * kvm_mmu_faultin_pfn()).  So a few mappings are looked at now and then.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_VCPU_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_VCPU_H

#include "qemu/notify.h"
#include "qemu/timer.h"
#include "system/runstate.h"
#include "virtio-gpu-blob-mapping.h"

/**
 * VirtIOGPUBlobVCPUs - a device's hold on the vCPUs
 * @mappings: what they may have been looking at
 * @maps: mappings that had been made when all were last looked at
 * @fault: asked by KVM
 * @stop: told when the VM stops
 * @look: when mappings are looked at next, or NULL without KVM
 */
typedef struct VirtIOGPUBlobVCPUs {
    VirtIOGPUBlobMappings *mappings;
    uint64_t maps;
    NotifierWithReturn fault;
    VMChangeStateEntry *stop;
    QEMUTimer *look;
} VirtIOGPUBlobVCPUs;

/**
 * virtio_gpu_blob_vcpus_init() - be asked from now on
 * @vcpus: end with virtio_gpu_blob_vcpus_destroy()
 * @mappings: the device's
 *
 * Main loop, BQL held.
 */
void virtio_gpu_blob_vcpus_init(VirtIOGPUBlobVCPUs *vcpus,
                                VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_vcpus_destroy() - be asked no more
 * @vcpus: as set up
 *
 * Main loop, BQL held.
 */
void virtio_gpu_blob_vcpus_destroy(VirtIOGPUBlobVCPUs *vcpus);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_VCPU_H */
