/*
 * virtio-gpu blob mappings: what this host does with a guest's cache type
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/boards.h"
#include "trace.h"
#include "virtio-gpu-blob-host.h"
#include "virtio-gpu-blob-kvm.h"

#include <linux/kvm.h>

#if defined(HOST_X86_64) || defined(HOST_I386)
#include "qemu/cpuid.h"

static VirtIOGPUBlobCPU probe_cpu(void)
{
    union {
        uint32_t regs[3];
        char text[13];
    } vendor = { };
    uint32_t max;

    __cpuid(0, max, vendor.regs[0], vendor.regs[2], vendor.regs[1]);
    return virtio_gpu_blob_cpu_of_vendor(vendor.text);
}
#else
static VirtIOGPUBlobCPU probe_cpu(void)
{
    return VIRTIO_GPU_BLOB_CPU_OTHER;
}
#endif

static VirtIOGPUBlobProbes probe(void)
{
    VirtIOGPUBlobProbes probes = {
        .kvm = kvm_enabled(),
        .cpu = probe_cpu(),
    };

    if (probes.kvm) {
        probes.quirks = kvm_vm_ioctl(kvm_state, KVM_CHECK_EXTENSION,
                                     KVM_CAP_DISABLE_QUIRKS2);
    }
    return probes;
}

static bool switch_guest_pat(void)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DISABLE_QUIRKS2,
        .args[0] = VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT,
    };

    return !kvm_vm_ioctl(kvm_state, KVM_ENABLE_CAP, &cap);
}

void virtio_gpu_blob_host_init(VirtIOGPUBlobHost *host)
{
    VirtIOGPUBlobProbes probes = probe();
    VirtIOGPUBlobGuestType type = virtio_gpu_blob_guest_type(&probes);

    host->x86 = probes.cpu != VIRTIO_GPU_BLOB_CPU_OTHER;
    host->confidential_guest = current_machine->cgs != NULL;
    host->guest_type_honoured =
        type == VIRTIO_GPU_BLOB_HOST_HONOURS ||
        (type == VIRTIO_GPU_BLOB_HOST_CAN_HONOUR && switch_guest_pat());
    trace_virtio_gpu_blob_vm(host->confidential_guest,
                             host->guest_type_honoured);
}
