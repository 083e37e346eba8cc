/*
 * virtio-gpu blob mappings: what this host does with a guest's cache type
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probes of the accelerator and the processor, and a rule over their results.
 * The rule is pure and takes everything as input, so that each host can be
 * tested on any; a new host is one more value of its input and one more line.
 * The probes run once, when the device is realized: main loop, BQL held,
 * before any vCPU runs.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H

/* Linux 6.16, arch/x86/include/uapi/asm/kvm.h: KVM_X86_QUIRK_IGNORE_... */
#define VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT (1 << 9)

/**
 * VirtIOGPUBlobCPU - the host's processor, as far as it matters
 * @OTHER: not x86
 * @X86_SVM: x86 with AMD's virtualization, which honours the guest's PAT
 * @X86_VMX: any other x86
 */
typedef enum VirtIOGPUBlobCPU {
    VIRTIO_GPU_BLOB_CPU_OTHER,
    VIRTIO_GPU_BLOB_CPU_X86_SVM,
    VIRTIO_GPU_BLOB_CPU_X86_VMX,
    VIRTIO_GPU_BLOB_CPU__MAX
} VirtIOGPUBlobCPU;

/**
 * VirtIOGPUBlobProbes - what the probes found
 * @kvm: the accelerator is KVM
 * @cpu: the host's processor
 * @quirks: what KVM answers to KVM_CHECK_EXTENSION for
 *          KVM_CAP_DISABLE_QUIRKS2: bits, or 0 or negative
 */
typedef struct VirtIOGPUBlobProbes {
    bool kvm;
    VirtIOGPUBlobCPU cpu;
    int quirks;
} VirtIOGPUBlobProbes;

/**
 * VirtIOGPUBlobGuestType - what the host does with a guest's WC or UNCACHED
 * @IGNORES: nothing
 * @HONOURS: what the guest means
 * @CAN_HONOUR: the same, once KVM_X86_QUIRK_IGNORE_GUEST_PAT is off for the VM
 */
typedef enum VirtIOGPUBlobGuestType {
    VIRTIO_GPU_BLOB_HOST_IGNORES,
    VIRTIO_GPU_BLOB_HOST_HONOURS,
    VIRTIO_GPU_BLOB_HOST_CAN_HONOUR,
} VirtIOGPUBlobGuestType;

/**
 * VirtIOGPUBlobHost - what a decision depends on, for the device's life
 * @x86: the host's processor is x86
 * @confidential_guest: a confidential guest, of any kind
 * @guest_type_honoured: the guest's choice of WC or UNCACHED has an effect
 */
typedef struct VirtIOGPUBlobHost {
    bool x86;
    bool confidential_guest;
    bool guest_type_honoured;
} VirtIOGPUBlobHost;

/**
 * virtio_gpu_blob_cpu_of_vendor() - which kind of x86 is this?
 * @vendor: CPUID's, leaf 0, twelve characters
 *
 * Returns: X86_SVM for AMD and Hygon, else X86_VMX
 */
VirtIOGPUBlobCPU virtio_gpu_blob_cpu_of_vendor(const char *vendor);

/**
 * virtio_gpu_blob_guest_type() - the rule
 * @probes: what the probes found
 *
 * Returns: whether a guest's choice counts on such a host
 */
VirtIOGPUBlobGuestType
virtio_gpu_blob_guest_type(const VirtIOGPUBlobProbes *probes);

/**
 * virtio_gpu_blob_host_init() - find out, and make the best of it
 * @host: filled in
 *
 * Where a guest's choice counts only with a switch of KVM's, the switch is
 * thrown: for the whole VM, and for good.
 */
void virtio_gpu_blob_host_init(VirtIOGPUBlobHost *host);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H */
