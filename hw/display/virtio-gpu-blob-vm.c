/*
 * virtio-gpu blob mappings: what the VM allows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/boards.h"
#include "trace.h"
#include "virtio-gpu-blob-facts.h"
#include "virtio-gpu-blob-kvm.h"

#if defined(HOST_X86_64) || defined(HOST_I386)
#include <linux/kvm.h>
#include "qemu/cpuid.h"

/* Linux 6.16, arch/x86/include/uapi/asm/kvm.h */
#ifndef KVM_X86_QUIRK_IGNORE_GUEST_PAT
#define KVM_X86_QUIRK_IGNORE_GUEST_PAT (1 << 9)
#endif

/* GCOVR_EXCL_START: needs KVM, on each vendor's processors */
/* SVM combines the guest's PAT with nothing: AMD's, and Hygon's after it. */
static bool host_has_svm_vendor(void)
{
    unsigned int max, b, c, d;

    __cpuid(0, max, b, c, d);
    return (b == signature_AMD_ebx && c == signature_AMD_ecx &&
            d == signature_AMD_edx) ||
           (b == 0x6f677948 && c == 0x656e6975 && d == 0x6e65476e);
}

/* VMX ignores the guest's PAT for RAM unless a VM asks otherwise. */
static bool honour_guest_pat(void)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DISABLE_QUIRKS2,
        .args[0] = KVM_X86_QUIRK_IGNORE_GUEST_PAT,
    };
    int quirks;

    if (host_has_svm_vendor()) {
        return true;
    }
    quirks = kvm_vm_ioctl(kvm_state, KVM_CHECK_EXTENSION,
                          KVM_CAP_DISABLE_QUIRKS2);
    return quirks > 0 && (quirks & KVM_X86_QUIRK_IGNORE_GUEST_PAT) &&
           !kvm_vm_ioctl(kvm_state, KVM_ENABLE_CAP, &cap);
}
/* GCOVR_EXCL_STOP */
#else
static bool honour_guest_pat(void)
{
    return true;
}
#endif

void virtio_gpu_blob_vm_init(VirtIOGPUBlobVM *vm)
{
    vm->confidential_guest = current_machine->cgs != NULL;
    /* GCOVR_EXCL_BR_START: needs KVM */
    vm->guest_type_honoured = !kvm_enabled() || honour_guest_pat();
    /* GCOVR_EXCL_BR_STOP */
    trace_virtio_gpu_blob_vm(vm->confidential_guest,
                             vm->guest_type_honoured);
}
