/*
 * virtio-gpu blob mappings: the rule over what the host's probes found
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-blob-host.h"

/* Hygon's processors are AMD's in this. */
VirtIOGPUBlobCPU virtio_gpu_blob_cpu_of_vendor(const char *vendor)
{
    return !strcmp(vendor, "AuthenticAMD") || !strcmp(vendor, "HygonGenuine")
           ? VIRTIO_GPU_BLOB_CPU_X86_SVM : VIRTIO_GPU_BLOB_CPU_X86_VMX;
}

/*
 * VMX ignores the guest's PAT for RAM unless a VM asks otherwise (Linux,
 * arch/x86/kvm/vmx/vmx.c, vmx_get_mt_mask()).
 */
static VirtIOGPUBlobGuestType vmx_guest_type(int quirks)
{
    return quirks > 0 && (quirks & VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT)
           ? VIRTIO_GPU_BLOB_HOST_CAN_HONOUR
           : VIRTIO_GPU_BLOB_HOST_IGNORES;
}

VirtIOGPUBlobGuestType
virtio_gpu_blob_guest_type(const VirtIOGPUBlobProbes *probes)
{
    /* Other accelerators go through QEMU's own mapping. */
    if (!probes->kvm) {
        return VIRTIO_GPU_BLOB_HOST_HONOURS;
    }
    return probes->cpu == VIRTIO_GPU_BLOB_CPU_X86_VMX
           ? vmx_guest_type(probes->quirks)
           : VIRTIO_GPU_BLOB_HOST_HONOURS;
}
