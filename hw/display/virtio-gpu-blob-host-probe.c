/*
 * virtio-gpu blob mappings: what the host tells about itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "virtio-gpu-blob-host-probe.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>

/*
 * What linux/kvm.h has for one architecture only, or not yet: a host's
 * architecture is asked for when QEMU runs, so that each is compiled, and can
 * be tested, on all.
 */

/* Linux 6.17 */
#define CAP_ARM_CACHEABLE_PFNMAP 243

/* Linux, arch/arm64/include/uapi/asm/kvm.h: struct kvm_vcpu_init */
typedef struct ArmVCPUInit {
    uint32_t target;
    uint32_t features[7];
} ArmVCPUInit;

#define ARM_VCPU_INIT _IOW(KVMIO, 0xae, ArmVCPUInit)
#define ARM_PREFERRED_TARGET _IOR(KVMIO, 0xaf, ArmVCPUInit)

/* KVM_REG_ARM64, 64 bits, ARM64_SYS_REG(3, 0, 0, 7, 2): ID_AA64MMFR2_EL1 */
#define ARM_MMFR2 0x603000000013c03aULL
#define ARM_MMFR2_FWB(value) extract64(value, 40, 4)

/* KVM_REG_RISCV, 64 bits, KVM_REG_RISCV_ISA_EXT: KVM_RISCV_ISA_EXT_SVPBMT */
#define RISCV_SVPBMT 0x8030000007000007ULL

/*
 * The processor
 */

/* "" if it is not known */
static char *cpu_vendor(void)
{
    g_autofree char *text = NULL;
    const char *line, *value;

    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
        return g_strdup("");
    }
    line = strstr(text, "vendor_id\t: ");
    if (!line) {
        return g_strdup("");
    }
    value = line + strlen("vendor_id\t: ");
    return g_strndup(value, strcspn(value, "\n"));
}

VirtIOGPUBlobCPU virtio_gpu_blob_probe_cpu(void)
{
    g_autofree char *vendor = cpu_vendor();
    struct utsname names;

    if (uname(&names)) {
        return VIRTIO_GPU_BLOB_CPU_OTHER;
    }
    return virtio_gpu_blob_cpu_of(names.machine, vendor);
}

/*
 * KVM
 */

static VirtIOGPUBlobFound probe_nested_paging(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/sys/module/kvm_amd/parameters/npt", &text, NULL,
                             NULL)) {
        return VIRTIO_GPU_BLOB_FOUND_UNKNOWN;
    }
    return *text == 'Y' || *text == '1' ? VIRTIO_GPU_BLOB_FOUND_YES
                                        : VIRTIO_GPU_BLOB_FOUND_NO;
}

/* arm64: with the size of addresses that every vCPU can have */
int virtio_gpu_blob_probe_new_vm(int kvm)
{
    int bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);

    return ioctl(kvm, KVM_CREATE_VM, MAX(bits, 0));
}

/* Its ID registers can be read once it is initialized. */
static bool arm_init_vcpu(int vm, int vcpu)
{
    ArmVCPUInit init = { };

    return !ioctl(vm, ARM_PREFERRED_TARGET, &init) &&
           !ioctl(vcpu, ARM_VCPU_INIT, &init);
}

static void close_all(const int *fds, size_t n)
{
    while (n--) {
        if (fds[n] >= 0) {
            close(fds[n]);
        }
    }
}

static bool arm_read_scratch(uint64_t id, uint64_t *value)
{
    struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };
    int kvm, vm = -1, vcpu = -1;
    bool ok;

    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm >= 0) {
        vm = virtio_gpu_blob_probe_new_vm(kvm);
    }
    if (vm >= 0) {
        vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    }
    ok = vcpu >= 0 && arm_init_vcpu(vm, vcpu) &&
         !ioctl(vcpu, KVM_GET_ONE_REG, &reg);
    close_all((int[]) { kvm, vm, vcpu }, 3);
    return ok;
}

/* The register is the whole system's, as is KVM's own condition. */
static VirtIOGPUBlobFound probe_write_back(const VirtIOGPUBlobKVM *kvm)
{
    uint64_t mmfr2 = 0;
    bool ok = kvm->get_register ? !kvm->get_register(ARM_MMFR2, &mmfr2)
                                : arm_read_scratch(ARM_MMFR2, &mmfr2);

    if (!ok) {
        return VIRTIO_GPU_BLOB_FOUND_UNKNOWN;
    }
    return ARM_MMFR2_FWB(mmfr2) ? VIRTIO_GPU_BLOB_FOUND_YES
                                : VIRTIO_GPU_BLOB_FOUND_NO;
}

static VirtIOGPUBlobFound probe_svpbmt(const VirtIOGPUBlobKVM *kvm)
{
    uint64_t there = 0;

    if (!kvm->get_register || kvm->get_register(RISCV_SVPBMT, &there)) {
        return VIRTIO_GPU_BLOB_FOUND_UNKNOWN;
    }
    return there ? VIRTIO_GPU_BLOB_FOUND_YES : VIRTIO_GPU_BLOB_FOUND_NO;
}

void virtio_gpu_blob_probe_kvm(VirtIOGPUBlobProbes *probes,
                               const VirtIOGPUBlobKVM *kvm)
{
    switch (probes->cpu) {
    case VIRTIO_GPU_BLOB_CPU_X86_SVM:
    case VIRTIO_GPU_BLOB_CPU_X86_VMX:
        probes->quirks = kvm->check_extension(KVM_CAP_DISABLE_QUIRKS2);
        probes->nested_paging = probe_nested_paging();
        break;
    case VIRTIO_GPU_BLOB_CPU_ARM64:
        probes->forced_write_back = probe_write_back(kvm);
        /* Nought says nothing: an older kernel does not know of it. */
        probes->cacheable_pfnmap =
            kvm->check_extension(CAP_ARM_CACHEABLE_PFNMAP) > 0;
        break;
    case VIRTIO_GPU_BLOB_CPU_RISCV64:
        probes->svpbmt = probe_svpbmt(kvm);
        break;
    default:
        break;
    }
}

/*
 * GPUs
 */

#define DRM "/sys/class/drm"

static bool is_error(const GError *err, GFileError code)
{
    return g_error_matches(err, G_FILE_ERROR, code);
}

bool virtio_gpu_blob_driver_has_vram(const char *driver)
{
    static const char *const drivers[] = {
        "amdgpu", "nouveau", "radeon", "xe", NULL
    };

    return g_strv_contains(drivers, driver);
}

/* A connector, or a file, has no driver. */
static bool hands_out_vram(const char *card)
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
    return virtio_gpu_blob_driver_has_vram(driver);
}

/* A host without any GPU has no such folder, but the one above it. */
static bool can_see_none(const GError *err)
{
    return is_error(err, G_FILE_ERROR_NOENT) &&
           g_file_test("/sys/class", G_FILE_TEST_IS_DIR);
}

bool virtio_gpu_blob_probe_vram(void)
{
    g_autoptr(GError) err = NULL;
    GDir *dir = g_dir_open(DRM, 0, &err);
    const char *card;
    bool found = false;

    if (!dir) {
        return !can_see_none(err);
    }
    while (!found && (card = g_dir_read_name(dir))) {
        found = hands_out_vram(card);
    }
    g_dir_close(dir);
    return found;
}
