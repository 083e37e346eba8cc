/*
 * virtio-gpu blob mappings: what the host tells about itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The probes of the processor, of KVM and of the GPUs, for the rule in
 * virtio-gpu-blob-host-rule.h.  They know nothing of QEMU: who runs a virtual
 * machine says how to reach it, who runs none has one made for the purpose.
 * Any thread, no lock; files of /proc and /sys are read, and nothing blocks.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_PROBE_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_PROBE_H

#include "virtio-gpu-blob-host-rule.h"

/**
 * VirtIOGPUBlobKVM - how to ask KVM about a virtual machine
 * @check_extension: KVM_CHECK_EXTENSION of the VM; negative on failure
 * @get_register: KVM_GET_ONE_REG of a vCPU, 64 bits; returns 0 or a negative
 *                errno.  NULL if there is no vCPU: where it will do, one of a
 *                VM that is made for the purpose is asked instead
 */
typedef struct VirtIOGPUBlobKVM {
    int (*check_extension)(unsigned cap);
    int (*get_register)(uint64_t id, uint64_t *value);
} VirtIOGPUBlobKVM;

/**
 * virtio_gpu_blob_probe_cpu() - which processor is this?
 *
 * Returns: its kind
 */
VirtIOGPUBlobCPU virtio_gpu_blob_probe_cpu(void);

/**
 * virtio_gpu_blob_probe_kvm() - ask KVM what the rule wants to know
 * @probes: @cpu is known, the answers are filled in: quirks, nested_paging,
 *          forced_write_back, cacheable_pfnmap, svpbmt
 * @kvm: how to ask
 */
void virtio_gpu_blob_probe_kvm(VirtIOGPUBlobProbes *probes,
                               const VirtIOGPUBlobKVM *kvm);

/**
 * virtio_gpu_blob_probe_new_vm() - make a virtual machine, to ask about it
 * @kvm: /dev/kvm
 *
 * Returns: its file descriptor, or -1 with errno set
 */
int virtio_gpu_blob_probe_new_vm(int kvm);

/**
 * virtio_gpu_blob_driver_has_vram() - may a dma-buf be the GPU's own memory?
 * @driver: the name of the GPU's driver
 *
 * amdgpu, nouveau, radeon and xe export RAM and memory of the GPU under one
 * name, and both mapped as if cacheable (drivers/gpu/drm/ttm/ttm_bo_vm.c).
 * They may move a buffer from one to the other.
 *
 * Returns: true for one of them
 */
bool virtio_gpu_blob_driver_has_vram(const char *driver);

/**
 * virtio_gpu_blob_probe_vram() - may a dma-buf here be a GPU's own memory?
 *
 * Returns: true if a GPU of the host has one of these drivers, or if that
 * cannot be seen
 */
bool virtio_gpu_blob_probe_vram(void);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_PROBE_H */
