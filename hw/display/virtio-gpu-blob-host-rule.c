/*
 * virtio-gpu blob mappings: is a guest's cache type honoured on such a host?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-blob-host-rule.h"

/*
 * Processors
 */

static VirtIOGPUBlobCPU x86_of_vendor(const char *vendor)
{
    return !strcmp(vendor, "AuthenticAMD") || !strcmp(vendor, "HygonGenuine")
           ? VIRTIO_GPU_BLOB_CPU_X86_SVM : VIRTIO_GPU_BLOB_CPU_X86_VMX;
}

VirtIOGPUBlobCPU virtio_gpu_blob_cpu_of(const char *machine,
                                        const char *vendor)
{
    if (!strcmp(machine, "x86_64") || g_pattern_match_simple("i?86", machine)) {
        return x86_of_vendor(vendor);
    }
    if (!strcmp(machine, "aarch64")) {
        return VIRTIO_GPU_BLOB_CPU_ARM64;
    }
    return !strcmp(machine, "riscv64") ? VIRTIO_GPU_BLOB_CPU_RISCV64
                                       : VIRTIO_GPU_BLOB_CPU_OTHER;
}

bool virtio_gpu_blob_cpu_is_x86(VirtIOGPUBlobCPU cpu)
{
    return cpu == VIRTIO_GPU_BLOB_CPU_X86_SVM ||
           cpu == VIRTIO_GPU_BLOB_CPU_X86_VMX;
}

/*
 * The rule
 */

static bool switch_is_there(const VirtIOGPUBlobProbes *probes)
{
    return probes->quirks > 0 &&
           (probes->quirks & VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT);
}

/*
 * Nested page tables have no type: the guest's PAT is all there is.  Without
 * them KVM writes the tables that the processor uses, and hides the switch.
 */
static VirtIOGPUBlobGuestType svm_type(const VirtIOGPUBlobProbes *probes)
{
    return switch_is_there(probes) ||
           probes->nested_paging == VIRTIO_GPU_BLOB_FOUND_YES
           ? VIRTIO_GPU_BLOB_TYPE_HONOURED
           : VIRTIO_GPU_BLOB_TYPE_NO_NESTED_PAGING;
}

/*
 * VMX ignores the guest's PAT for RAM unless a VM asks otherwise (Linux,
 * arch/x86/kvm/vmx/vmx.c, vmx_get_mt_mask()).
 */
static VirtIOGPUBlobGuestType vmx_type(const VirtIOGPUBlobProbes *probes)
{
    if (!switch_is_there(probes)) {
        return VIRTIO_GPU_BLOB_TYPE_NO_SWITCH;
    }
    if (probes->accel_honours == VIRTIO_GPU_BLOB_FOUND_YES) {
        /* The accelerator has thrown it. */
        return VIRTIO_GPU_BLOB_TYPE_HONOURED;
    }
    switch (probes->guest_pat) {
    case VIRTIO_GPU_BLOB_SWITCH_WANTED:
        return VIRTIO_GPU_BLOB_TYPE_SWITCHABLE;
    case VIRTIO_GPU_BLOB_SWITCH_NOT_NEEDED:
        return VIRTIO_GPU_BLOB_TYPE_SWITCH_NOT_NEEDED;
    default:
        return VIRTIO_GPU_BLOB_TYPE_SWITCH_DECLINED;
    }
}

/*
 * The weaker of the two stages' types wins, unless FEAT_S2FWB lets stage 2
 * force write-back for RAM (Linux, arch/arm64/include/asm/memory.h,
 * MT_S2_FWB_NORMAL).
 */
static VirtIOGPUBlobGuestType arm64_type(const VirtIOGPUBlobProbes *probes)
{
    if (probes->cacheable_pfnmap) {
        return VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK;
    }
    switch (probes->forced_write_back) {
    case VIRTIO_GPU_BLOB_FOUND_NO:
        return VIRTIO_GPU_BLOB_TYPE_HONOURED;
    case VIRTIO_GPU_BLOB_FOUND_YES:
        return VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK;
    default:
        return VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN;
    }
}

/* Without Svpbmt a page has the type that its physical address has. */
static VirtIOGPUBlobGuestType riscv64_type(const VirtIOGPUBlobProbes *probes)
{
    switch (probes->svpbmt) {
    case VIRTIO_GPU_BLOB_FOUND_YES:
        return VIRTIO_GPU_BLOB_TYPE_HONOURED;
    case VIRTIO_GPU_BLOB_FOUND_NO:
        return VIRTIO_GPU_BLOB_TYPE_NO_SVPBMT;
    default:
        return VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN;
    }
}

static VirtIOGPUBlobGuestType kvm_type(const VirtIOGPUBlobProbes *probes)
{
    if (probes->accel_honours == VIRTIO_GPU_BLOB_FOUND_NO) {
        return VIRTIO_GPU_BLOB_TYPE_ACCEL_DECLINED;
    }
    switch (probes->cpu) {
    case VIRTIO_GPU_BLOB_CPU_X86_SVM:
        return svm_type(probes);
    case VIRTIO_GPU_BLOB_CPU_X86_VMX:
        return vmx_type(probes);
    case VIRTIO_GPU_BLOB_CPU_ARM64:
        return arm64_type(probes);
    case VIRTIO_GPU_BLOB_CPU_RISCV64:
        return riscv64_type(probes);
    default:
        return VIRTIO_GPU_BLOB_TYPE_KVM_HOST;
    }
}

VirtIOGPUBlobGuestType
virtio_gpu_blob_guest_type(const VirtIOGPUBlobProbes *probes)
{
    switch (probes->accel) {
    case VIRTIO_GPU_BLOB_ACCEL_QEMU:
        return VIRTIO_GPU_BLOB_TYPE_HONOURED;
    case VIRTIO_GPU_BLOB_ACCEL_KVM:
        return kvm_type(probes);
    default:
        return VIRTIO_GPU_BLOB_TYPE_UNKNOWN_ACCEL;
    }
}

/*
 * KVM on arm64 takes memory that is not RAM and mapped as if cacheable for
 * cacheable: it forces write-back on a BAR, or ends the VM (Linux 6.17,
 * arch/arm64/kvm/mmu.c, kvm_vma_is_cacheable()).
 */
bool virtio_gpu_blob_vram_is_unsafe(const VirtIOGPUBlobProbes *probes)
{
    return probes->accel == VIRTIO_GPU_BLOB_ACCEL_KVM &&
           probes->cpu == VIRTIO_GPU_BLOB_CPU_ARM64;
}

bool virtio_gpu_blob_guest_type_failed(VirtIOGPUBlobGuestType type)
{
    return type == VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED ||
           type == VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN ||
           type == VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN;
}

/*
 * Words
 */

#define OR_RENDERER "map-policy=renderer maps it all the same"

static const VirtIOGPUBlobGuestTypeText texts[] = {
    [VIRTIO_GPU_BLOB_TYPE_HONOURED] = {
        "honoured", "the guest's choice counts", "nothing is amiss" },
    [VIRTIO_GPU_BLOB_TYPE_SWITCHABLE] = {
        "switchable", "KVM ignores the guest's choice until it is told not to",
        "guest-pat=auto tells it" },
    [VIRTIO_GPU_BLOB_TYPE_UNKNOWN_ACCEL] = {
        "unknown-accelerator",
        "what the accelerator does with the guest's choice is not known",
        "use -accel kvm, or tcg; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_KVM_HOST] = {
        "kvm-host", "KVM on this architecture ignores the guest's choice",
        OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_ACCEL_DECLINED] = {
        "honor-guest-pat-off",
        "-accel kvm,honor-guest-pat=off makes KVM ignore the guest's choice",
        "leave that out; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_NO_SWITCH] = {
        "no-switch", "KVM ignores the guest's choice",
        "use a host kernel where KVM_CAP_DISABLE_QUIRKS2 offers "
        "KVM_X86_QUIRK_IGNORE_GUEST_PAT (Linux 6.16), on a processor with "
        "EPT and self-snoop; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED] = {
        "switch-failed",
        "KVM offers to honour the guest's choice, and refuses to do so",
        OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SWITCH_DECLINED] = {
        "guest-pat-off", "KVM ignores the guest's choice with guest-pat=off",
        "use guest-pat=auto; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SWITCH_NOT_NEEDED] = {
        "not-needed", "KVM ignores the guest's choice, and no decision of "
        "map-policy=renderer depends on it", "map-policy=safe switches it on" },
    [VIRTIO_GPU_BLOB_TYPE_NO_NESTED_PAGING] = {
        "no-nested-paging",
        "KVM without nested paging ignores the guest's choice",
        "load kvm_amd with npt=1; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK] = {
        "forced-write-back", "the processor forces write-back on the guest's "
        "RAM (FEAT_S2FWB), whatever the guest chooses",
        "buffers that the host maps cached can be mapped; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN] = {
        "write-back-unknown", "it cannot be found out whether the processor "
        "forces write-back on the guest's RAM (FEAT_S2FWB)",
        "make /dev/kvm accessible to QEMU; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_NO_SVPBMT] = {
        "no-svpbmt", "the vCPU has no cache types (Svpbmt)",
        "use a processor with Svpbmt, and -cpu host; " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN] = {
        "svpbmt-unknown",
        "it cannot be found out whether the vCPU has cache types (Svpbmt)",
        "use a host kernel with Linux 6.0's KVM or a later one; "
        OR_RENDERER },
};

const VirtIOGPUBlobGuestTypeText *
virtio_gpu_blob_guest_type_text(VirtIOGPUBlobGuestType type)
{
    return &texts[type];
}
