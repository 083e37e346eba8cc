/*
 * virtio-gpu blob mappings: how the host treats a guest's cache type
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "virtio-gpu-blob-host.h"

#include <sys/utsname.h>

/*
 * The processor.  The ids of registers are numbers here because linux/kvm.h has
 * only those of one architecture.  So the code for every host is compiled, and
 * can be tested, on every host.
 */

/* KVM_REG_ARM64, 64 bits, ARM64_SYS_REG(3, 0, 0, 7, 2): ID_AA64MMFR2_EL1 */
#define ARM_MMFR2 0x603000000013c03aULL
#define ARM_MMFR2_FWB(value) extract64(value, 40, 4)

/* KVM_REG_RISCV, 64 bits, KVM_REG_RISCV_ISA_EXT: KVM_RISCV_ISA_EXT_SVPBMT */
#define RISCV_SVPBMT 0x8030000007000007ULL

/* Processors of Hygon have SVM, as those of AMD. */
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

uint64_t virtio_gpu_blob_cpu_register(VirtIOGPUBlobCPU cpu)
{
    switch (cpu) {
    case VIRTIO_GPU_BLOB_CPU_ARM64:
        return ARM_MMFR2;
    case VIRTIO_GPU_BLOB_CPU_RISCV64:
        return RISCV_SVPBMT;
    default:
        return 0;
    }
}

static char *cpu_vendor(void)
{
    static const char key[] = "vendor_id\t: ";
    g_autofree char *text = NULL;
    const char *line;

    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
        return g_strdup("");
    }
    line = strstr(text, key);
    if (!line) {
        return g_strdup("");
    }
    line += strlen(key);
    return g_strndup(line, strcspn(line, "\n"));
}

static bool probe_nested_paging(void)
{
    g_autofree char *text = NULL;

    return g_file_get_contents("/sys/module/kvm_amd/parameters/npt", &text,
                               NULL, NULL) && (*text == 'Y' || *text == '1');
}

void virtio_gpu_blob_probe_cpu(VirtIOGPUBlobProbes *probes)
{
    g_autofree char *vendor = cpu_vendor();
    struct utsname names;

    probes->cpu = uname(&names) ? VIRTIO_GPU_BLOB_CPU_OTHER
                                : virtio_gpu_blob_cpu_of(names.machine, vendor);
    probes->nested_paging = probe_nested_paging();
}

/*
 * GPUs
 */

#define DRM "/sys/class/drm"

/*
 * These drivers use one exporter name for RAM and VRAM, map both as if they
 * were cacheable, and may move a buffer between them
 * (drivers/gpu/drm/ttm/ttm_bo_vm.c).
 */
bool virtio_gpu_blob_driver_has_vram(const char *driver, VirtIOGPUBlobCPU cpu)
{
    static const char *const drivers[] = {
        "amdgpu", "nouveau", "nvidia", "nvidia-drm", "radeon", "xe", NULL
    };

    return g_strv_contains(drivers, driver) ||
           (cpu == VIRTIO_GPU_BLOB_CPU_ARM64 && !strcmp(driver, "i915"));
}

static bool is_error(const GError *err, GFileError code)
{
    return g_error_matches(err, G_FILE_ERROR, code);
}

/* Connectors and files in this directory have no driver. */
static bool card_has_vram(const char *card, VirtIOGPUBlobCPU cpu)
{
    g_autofree char *path = g_build_filename(DRM, card, "device/driver", NULL);
    g_autoptr(GError) err = NULL;
    g_autofree char *link = g_file_read_link(path, &err);
    g_autofree char *driver = NULL;

    if (!link) {
        return !is_error(err, G_FILE_ERROR_NOENT) &&
               !is_error(err, G_FILE_ERROR_NOTDIR);
    }
    driver = g_path_get_basename(link);
    return virtio_gpu_blob_driver_has_vram(driver, cpu);
}

/* Without any GPU there is /sys/class, but not /sys/class/drm. */
static bool has_no_gpu(const GError *err)
{
    return is_error(err, G_FILE_ERROR_NOENT) &&
           g_file_test("/sys/class", G_FILE_TEST_IS_DIR);
}

/*
 * KVM on arm64 treats memory that is not RAM, but is mapped as if cacheable,
 * as cacheable: it forces write-back on a BAR, or ends the VM (Linux 6.17,
 * arch/arm64/kvm/mmu.c, kvm_vma_is_cacheable()).
 */
bool virtio_gpu_blob_probe_vram(const VirtIOGPUBlobProbes *probes)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(GDir) dir = NULL;
    const char *card;
    bool found = false;

    if (probes->accel != VIRTIO_GPU_BLOB_ACCEL_KVM ||
        probes->cpu != VIRTIO_GPU_BLOB_CPU_ARM64) {
        return false;
    }
    dir = g_dir_open(DRM, 0, &err);
    if (!dir) {
        return !has_no_gpu(err);
    }
    while (!found && (card = g_dir_read_name(dir))) {
        found = card_has_vram(card, probes->cpu);
    }
    return found;
}

/*
 * The rule
 */

static bool has_switch(const VirtIOGPUBlobProbes *probes)
{
    return probes->quirks > 0 &&
           (probes->quirks & VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT);
}

/*
 * Nested page tables have no cache type, so the guest's PAT decides.  Without
 * nested paging, KVM writes the page tables that the processor uses, and does
 * not offer the quirk.
 */
static VirtIOGPUBlobGuestType svm_type(const VirtIOGPUBlobProbes *probes)
{
    return has_switch(probes) || probes->nested_paging
           ? VIRTIO_GPU_BLOB_TYPE_HONOURED
           : VIRTIO_GPU_BLOB_TYPE_NO_NESTED_PAGING;
}

/*
 * VMX ignores the guest's PAT for RAM unless a VM asks otherwise (Linux,
 * arch/x86/kvm/vmx/vmx.c, vmx_get_mt_mask()).
 */
static VirtIOGPUBlobGuestType vmx_type(const VirtIOGPUBlobProbes *probes)
{
    if (!has_switch(probes)) {
        return VIRTIO_GPU_BLOB_TYPE_NO_SWITCH;
    }
    /* honor-guest-pat=on: the accelerator has disabled the quirk. */
    return probes->honor_guest_pat == ON_OFF_AUTO_ON
           ? VIRTIO_GPU_BLOB_TYPE_HONOURED : VIRTIO_GPU_BLOB_TYPE_SWITCHABLE;
}

/*
 * The weaker type of the two stages takes effect, unless FEAT_S2FWB lets stage
 * 2 force write-back for RAM (Linux, arch/arm64/include/asm/memory.h,
 * MT_S2_FWB_NORMAL).  Cacheable PFNMAP needs FEAT_S2FWB.
 */
static VirtIOGPUBlobGuestType arm64_type(const VirtIOGPUBlobProbes *probes)
{
    if (probes->cacheable_pfnmap) {
        return VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK;
    }
    if (!probes->reg_known) {
        return VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN;
    }
    return ARM_MMFR2_FWB(probes->reg) ? VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK
                                      : VIRTIO_GPU_BLOB_TYPE_HONOURED;
}

/* Without Svpbmt, the physical address alone decides the type of a page. */
static VirtIOGPUBlobGuestType riscv64_type(const VirtIOGPUBlobProbes *probes)
{
    if (!probes->reg_known) {
        return VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN;
    }
    return probes->reg ? VIRTIO_GPU_BLOB_TYPE_HONOURED
                       : VIRTIO_GPU_BLOB_TYPE_NO_SVPBMT;
}

static VirtIOGPUBlobGuestType kvm_type(const VirtIOGPUBlobProbes *probes)
{
    if (probes->honor_guest_pat == ON_OFF_AUTO_OFF) {
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
 * Texts
 */

#define OR_RENDERER \
    "use map-policy=renderer to map them anyway (risk of stale data)"

static const VirtIOGPUBlobGuestTypeText texts[] = {
    [VIRTIO_GPU_BLOB_TYPE_HONOURED] = {
        "honoured", "guest cache types are honoured", "" },
    [VIRTIO_GPU_BLOB_TYPE_SWITCHABLE] = {
        "switchable", "KVM ignores guest PAT by default",
        "guest-pat=auto enables it" },
    [VIRTIO_GPU_BLOB_TYPE_UNKNOWN_ACCEL] = {
        "unknown-accelerator",
        "it is not known whether the accelerator honours guest cache types",
        "use -accel kvm or tcg; or " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_KVM_HOST] = {
        "kvm-host", "KVM on this architecture ignores guest cache types",
        OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_ACCEL_DECLINED] = {
        "honor-guest-pat-off",
        "-accel kvm,honor-guest-pat=off makes KVM ignore guest PAT",
        "remove honor-guest-pat=off; or " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_NO_SWITCH] = {
        "no-switch", "KVM ignores guest PAT on this host",
        "use a host kernel where KVM_CAP_DISABLE_QUIRKS2 offers "
        "KVM_X86_QUIRK_IGNORE_GUEST_PAT (Linux 6.16), on a processor with "
        "EPT and self-snoop; or " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_NO_NESTED_PAGING] = {
        "no-nested-paging", "KVM without nested paging ignores guest PAT",
        "load kvm_amd with npt=1; or " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK] = {
        "forced-write-back", "the processor forces write-back on guest RAM "
        "(FEAT_S2FWB) and ignores guest cache types", OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN] = {
        "write-back-unknown", "it cannot be determined whether the processor "
        "forces write-back on guest RAM (FEAT_S2FWB)", OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_NO_SVPBMT] = {
        "no-svpbmt", "the vCPU has no cache types (Svpbmt)",
        "use a processor with Svpbmt, and -cpu host; or " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN] = {
        "svpbmt-unknown",
        "it cannot be determined whether the vCPU has cache types (Svpbmt)",
        "use a host kernel with Linux 6.0's KVM or later; or " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED] = {
        "switch-failed",
        "KVM reports support for guest PAT but enabling it failed",
        OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SWITCH_DECLINED] = {
        "guest-pat-off", "KVM ignores guest PAT with guest-pat=off",
        "use guest-pat=auto; or " OR_RENDERER },
    [VIRTIO_GPU_BLOB_TYPE_SWITCH_NOT_NEEDED] = {
        "not-needed",
        "KVM ignores guest PAT, and map-policy=renderer does not need it",
        "use map-policy=safe to enable it" },
};

const VirtIOGPUBlobGuestTypeText *
virtio_gpu_blob_guest_type_text(VirtIOGPUBlobGuestType type)
{
    return &texts[type];
}
