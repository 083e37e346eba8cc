/*
 * virtio-gpu blob mappings: is a guest's cache type honoured on such a host?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rule over what the probes found, and the words for its answers.  Pure,
 * with everything as input, so that each host can be tested on any: a new host
 * is one more value of the input and one more line.  Any thread, no lock.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_RULE_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_RULE_H

/* Linux 6.16, arch/x86/include/uapi/asm/kvm.h: KVM_X86_QUIRK_IGNORE_... */
#define VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT (1 << 9)

/**
 * VirtIOGPUBlobAccel - who runs the guest
 * @OTHER: somebody of whom nothing is known
 * @QEMU: TCG or qtest, where all access goes through QEMU's own mapping
 * @KVM: KVM
 */
typedef enum VirtIOGPUBlobAccel {
    VIRTIO_GPU_BLOB_ACCEL_OTHER,
    VIRTIO_GPU_BLOB_ACCEL_QEMU,
    VIRTIO_GPU_BLOB_ACCEL_KVM,
    VIRTIO_GPU_BLOB_ACCEL__MAX
} VirtIOGPUBlobAccel;

/**
 * VirtIOGPUBlobCPU - the host's processor, as far as it matters
 * @OTHER: none of these
 * @X86_SVM: x86 with AMD's virtualization
 * @X86_VMX: any other x86
 * @ARM64: 64-bit Arm
 * @RISCV64: 64-bit RISC-V
 */
typedef enum VirtIOGPUBlobCPU {
    VIRTIO_GPU_BLOB_CPU_OTHER,
    VIRTIO_GPU_BLOB_CPU_X86_SVM,
    VIRTIO_GPU_BLOB_CPU_X86_VMX,
    VIRTIO_GPU_BLOB_CPU_ARM64,
    VIRTIO_GPU_BLOB_CPU_RISCV64,
    VIRTIO_GPU_BLOB_CPU__MAX
} VirtIOGPUBlobCPU;

/**
 * VirtIOGPUBlobFound - a probe's answer
 * @UNKNOWN: there was no answer
 * @NO: no
 * @YES: yes
 */
typedef enum VirtIOGPUBlobFound {
    VIRTIO_GPU_BLOB_FOUND_UNKNOWN,
    VIRTIO_GPU_BLOB_FOUND_NO,
    VIRTIO_GPU_BLOB_FOUND_YES,
    VIRTIO_GPU_BLOB_FOUND__MAX
} VirtIOGPUBlobFound;

/**
 * VirtIOGPUBlobSwitch - may KVM's switch for the guest's PAT be thrown?
 * @WANTED: yes, as decisions depend on it
 * @NOT_NEEDED: no decision depends on it
 * @DECLINED: the operator says no to the device
 */
typedef enum VirtIOGPUBlobSwitch {
    VIRTIO_GPU_BLOB_SWITCH_WANTED,
    VIRTIO_GPU_BLOB_SWITCH_NOT_NEEDED,
    VIRTIO_GPU_BLOB_SWITCH_DECLINED,
    VIRTIO_GPU_BLOB_SWITCH__MAX
} VirtIOGPUBlobSwitch;

/**
 * VirtIOGPUBlobProbes - what the probes found
 * @accel: who runs the guest
 * @accel_honours: the operator's word to the accelerator (QEMU 11,
 *                 -accel kvm,honor-guest-pat): UNKNOWN if there is none
 * @cpu: the host's processor
 * @guest_pat: may KVM's switch be thrown?
 * @quirks: x86: what KVM answers to KVM_CHECK_EXTENSION for
 *          KVM_CAP_DISABLE_QUIRKS2: bits, or 0 or negative
 * @nested_paging: x86 with SVM: KVM uses it
 * @forced_write_back: arm64: FEAT_S2FWB is in force
 * @cacheable_pfnmap: arm64: KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED, which
 *                    takes FEAT_S2FWB
 * @svpbmt: riscv64: the vCPU has Svpbmt
 */
typedef struct VirtIOGPUBlobProbes {
    VirtIOGPUBlobAccel accel;
    VirtIOGPUBlobFound accel_honours;
    VirtIOGPUBlobCPU cpu;
    VirtIOGPUBlobSwitch guest_pat;
    int quirks;
    VirtIOGPUBlobFound nested_paging;
    VirtIOGPUBlobFound forced_write_back;
    bool cacheable_pfnmap;
    VirtIOGPUBlobFound svpbmt;
} VirtIOGPUBlobProbes;

/**
 * VirtIOGPUBlobGuestType - what the host does with a guest's WC or UNCACHED
 * @HONOURED: what the guest means
 * @SWITCHABLE: the same, once KVM_X86_QUIRK_IGNORE_GUEST_PAT is off for the VM
 * any other: nothing, and this is why
 */
typedef enum VirtIOGPUBlobGuestType {
    VIRTIO_GPU_BLOB_TYPE_HONOURED,
    VIRTIO_GPU_BLOB_TYPE_SWITCHABLE,
    VIRTIO_GPU_BLOB_TYPE_UNKNOWN_ACCEL,
    VIRTIO_GPU_BLOB_TYPE_KVM_HOST,
    VIRTIO_GPU_BLOB_TYPE_ACCEL_DECLINED,
    VIRTIO_GPU_BLOB_TYPE_NO_SWITCH,
    VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED,
    VIRTIO_GPU_BLOB_TYPE_SWITCH_DECLINED,
    VIRTIO_GPU_BLOB_TYPE_SWITCH_NOT_NEEDED,
    VIRTIO_GPU_BLOB_TYPE_NO_NESTED_PAGING,
    VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK,
    VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN,
    VIRTIO_GPU_BLOB_TYPE_NO_SVPBMT,
    VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN,
    VIRTIO_GPU_BLOB_TYPE__MAX
} VirtIOGPUBlobGuestType;

/**
 * VirtIOGPUBlobGuestTypeText - an answer in words
 * @name: as the property blob-host shows it
 * @why: the fact, to follow "it is not cached, and"
 * @remedy: what would change it
 */
typedef struct VirtIOGPUBlobGuestTypeText {
    const char *name;
    const char *why;
    const char *remedy;
} VirtIOGPUBlobGuestTypeText;

/**
 * virtio_gpu_blob_cpu_of() - which kind of processor is this?
 * @machine: uname(2)'s name of the architecture
 * @vendor: x86: CPUID's, or an empty string if it is not known
 *
 * Hygon's processors are AMD's in this.
 *
 * Returns: the kind; an x86 that is not known to be AMD's is X86_VMX
 */
VirtIOGPUBlobCPU virtio_gpu_blob_cpu_of(const char *machine,
                                        const char *vendor);

/**
 * virtio_gpu_blob_cpu_is_x86() - x86, whoever made it?
 * @cpu: a kind of processor
 *
 * Returns: that
 */
bool virtio_gpu_blob_cpu_is_x86(VirtIOGPUBlobCPU cpu);

/**
 * virtio_gpu_blob_guest_type() - the rule
 * @probes: what the probes found
 *
 * What is not known is not honoured.
 *
 * Returns: whether a guest's choice counts on such a host, or why not
 */
VirtIOGPUBlobGuestType
virtio_gpu_blob_guest_type(const VirtIOGPUBlobProbes *probes);

/**
 * virtio_gpu_blob_vram_is_unsafe() - must a GPU's own memory not be mapped?
 * @probes: what the probes found
 *
 * Returns: true where KVM does not give the guest what the host maps
 */
bool virtio_gpu_blob_vram_is_unsafe(const VirtIOGPUBlobProbes *probes);

/**
 * virtio_gpu_blob_guest_type_failed() - could a probe not find out?
 * @type: an answer of the rule's
 *
 * Returns: true for an answer that the host owes us
 */
bool virtio_gpu_blob_guest_type_failed(VirtIOGPUBlobGuestType type);

/**
 * virtio_gpu_blob_guest_type_text() - an answer in words
 * @type: any
 *
 * Returns: constant texts, none of them NULL
 */
const VirtIOGPUBlobGuestTypeText *
virtio_gpu_blob_guest_type_text(VirtIOGPUBlobGuestType type);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_RULE_H */
