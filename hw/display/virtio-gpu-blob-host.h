/*
 * virtio-gpu blob mappings: how the host treats a guest's cache type
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A pure function from facts about the host to what it does with a guest's
 * cache type (the rule), and the probes that read /proc and /sys.  The caller
 * probes KVM, as the device and the doctor do so in different ways.  Any
 * thread, no lock; nothing blocks.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H

#include "qapi/qapi-types-common.h"

/* Linux 6.16, arch/x86/include/uapi/asm/kvm.h: KVM_X86_QUIRK_IGNORE_... */
#define VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT (1 << 9)

/* Linux 6.17: KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED */
#define VIRTIO_GPU_BLOB_CAP_ARM_CACHEABLE_PFNMAP 243

/* The accelerator that runs the guest */
typedef enum VirtIOGPUBlobAccel {
    VIRTIO_GPU_BLOB_ACCEL_OTHER,
    VIRTIO_GPU_BLOB_ACCEL_QEMU, /* TCG, qtest: all access is QEMU's own */
    VIRTIO_GPU_BLOB_ACCEL_KVM,
    VIRTIO_GPU_BLOB_ACCEL__MAX
} VirtIOGPUBlobAccel;

/* The host's processor */
typedef enum VirtIOGPUBlobCPU {
    VIRTIO_GPU_BLOB_CPU_OTHER,
    VIRTIO_GPU_BLOB_CPU_X86_SVM, /* x86 with AMD's virtualization */
    VIRTIO_GPU_BLOB_CPU_X86_VMX, /* any other x86 */
    VIRTIO_GPU_BLOB_CPU_ARM64,
    VIRTIO_GPU_BLOB_CPU_RISCV64,
    VIRTIO_GPU_BLOB_CPU__MAX
} VirtIOGPUBlobCPU;

/**
 * VirtIOGPUBlobProbes - the rule's input
 * @accel: the accelerator
 * @honor_guest_pat: -accel kvm,honor-guest-pat (QEMU 11), AUTO if not set
 * @cpu: the processor
 * @nested_paging: x86 with SVM: KVM is known to use nested paging
 * @quirks: what KVM_CHECK_EXTENSION of KVM_CAP_DISABLE_QUIRKS2 returned
 * @cacheable_pfnmap: KVM_CHECK_EXTENSION of
 *                    VIRTIO_GPU_BLOB_CAP_ARM_CACHEABLE_PFNMAP is positive
 * @reg_known: @reg was read
 * @reg: a vCPU's register virtio_gpu_blob_cpu_register()
 */
typedef struct VirtIOGPUBlobProbes {
    VirtIOGPUBlobAccel accel;
    OnOffAuto honor_guest_pat;
    VirtIOGPUBlobCPU cpu;
    bool nested_paging;
    int quirks;
    bool cacheable_pfnmap;
    bool reg_known;
    uint64_t reg;
} VirtIOGPUBlobProbes;

/* What the host does with a guest's WC or UNCACHED */
typedef enum VirtIOGPUBlobGuestType {
    VIRTIO_GPU_BLOB_TYPE_HONOURED,
    /* ignored, until KVM_X86_QUIRK_IGNORE_GUEST_PAT is disabled */
    VIRTIO_GPU_BLOB_TYPE_SWITCHABLE,
    /* ignored, because */
    VIRTIO_GPU_BLOB_TYPE_UNKNOWN_ACCEL,
    VIRTIO_GPU_BLOB_TYPE_KVM_HOST,
    VIRTIO_GPU_BLOB_TYPE_ACCEL_DECLINED,
    VIRTIO_GPU_BLOB_TYPE_NO_SWITCH,
    VIRTIO_GPU_BLOB_TYPE_NO_NESTED_PAGING,
    VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK,
    VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN,
    VIRTIO_GPU_BLOB_TYPE_NO_SVPBMT,
    VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN,
    /* SWITCHABLE, and the device did not switch, because */
    VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED,
    VIRTIO_GPU_BLOB_TYPE_SWITCH_DECLINED,
    VIRTIO_GPU_BLOB_TYPE_SWITCH_NOT_NEEDED,
    VIRTIO_GPU_BLOB_TYPE__MAX
} VirtIOGPUBlobGuestType;

/* A VirtIOGPUBlobGuestType in words */
typedef struct VirtIOGPUBlobGuestTypeText {
    const char *name;   /* as in blob-host */
    const char *why;
    const char *remedy; /* empty: nothing to do */
} VirtIOGPUBlobGuestTypeText;

/* The host, for the device's life */
typedef struct VirtIOGPUBlobHost {
    const char *accelerator; /* its name; NULL: the host was not probed */
    bool x86;
    bool confidential_guest;
    bool vram;               /* virtio_gpu_blob_probe_vram() */
    VirtIOGPUBlobGuestType guest_type;
} VirtIOGPUBlobHost;

/*
 * The kind of processor, from uname(2)'s @machine and, on x86, CPUID's @vendor.
 * An empty or unknown vendor counts as X86_VMX.
 */
VirtIOGPUBlobCPU virtio_gpu_blob_cpu_of(const char *machine,
                                        const char *vendor);

bool virtio_gpu_blob_cpu_is_x86(VirtIOGPUBlobCPU cpu);

/**
 * virtio_gpu_blob_cpu_register() - the register that the rule depends on
 *
 * Returns: an id for KVM_GET_ONE_REG, 64 bits, or 0
 */
uint64_t virtio_gpu_blob_cpu_register(VirtIOGPUBlobCPU cpu);

/* Reads /proc and /sys; sets @cpu and @nested_paging. */
void virtio_gpu_blob_probe_cpu(VirtIOGPUBlobProbes *probes);

/*
 * True if dma-bufs of a GPU driver may be in VRAM.  On arm64, Intel GPUs are
 * discrete cards.
 */
bool virtio_gpu_blob_driver_has_vram(const char *driver, VirtIOGPUBlobCPU cpu);

/**
 * virtio_gpu_blob_probe_vram() - dma-bufs may be VRAM that KVM cannot map
 * @probes: complete
 *
 * Returns: true also if the GPUs cannot be listed
 */
bool virtio_gpu_blob_probe_vram(const VirtIOGPUBlobProbes *probes);

/*
 * Guests with pages of 4 KiB align blobs to 4 KiB without this feature, and
 * some drivers accept VIRTIO_GPU_F_BLOB_ALIGNMENT but do not align (Venus in
 * Mesa).  So the feature is offered only if the host's page is larger.
 */
static inline bool virtio_gpu_blob_page_needs_alignment(uint64_t page_size)
{
    return page_size > 4096;
}

/*
 * Applies the rule.  If support cannot be determined, it is assumed to be
 * missing.
 */
VirtIOGPUBlobGuestType
virtio_gpu_blob_guest_type(const VirtIOGPUBlobProbes *probes);

/**
 * virtio_gpu_blob_guest_type_text() - a result in words
 *
 * Returns: constant texts, none of them NULL
 */
const VirtIOGPUBlobGuestTypeText *
virtio_gpu_blob_guest_type_text(VirtIOGPUBlobGuestType type);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_HOST_H */
