/*
 * virtio-gpu blob doctor: the host, its limits, KVM and the window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-vma.h"
#include "hw/display/virtio-gpu-hostmem.h"
#include "probes.h"

#include <grp.h>
#include <linux/kvm.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

/*
 * Files
 */

/* The first line of a file, or an empty string */
static void read_line(char *to, size_t size, const char *path)
{
    g_autofree char *text = NULL;

    if (g_file_get_contents(path, &text, NULL, NULL)) {
        text[strcspn(text, "\n")] = 0;
        pstrcpy(to, size, text);
    }
}

/* A group that may read and write the node, if it is not root's */
static void read_group(DoctorFile *file, const char *path)
{
    struct stat st;
    struct group *group;

    if (stat(path, &st) || !st.st_gid ||
        (st.st_mode & (S_IRGRP | S_IWGRP)) != (S_IRGRP | S_IWGRP)) {
        return;
    }
    group = getgrgid(st.st_gid);
    if (group) {
        pstrcpy(file->group, sizeof(file->group), group->gr_name);
    }
}

int doctor_file_open(DoctorFile *file, const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        file->error = errno;
        read_group(file, path);
    }
    return fd;
}

/*
 * The system
 */

static void read_kernel(DoctorFacts *facts)
{
    struct utsname names;

    if (!uname(&names)) {
        pstrcpy(facts->kernel, sizeof(facts->kernel), names.release);
        pstrcpy(facts->machine, sizeof(facts->machine), names.machine);
    }
}

/* NAME=value of /etc/os-release, without quotes; the caller frees it */
static char *os_release(const char *text, const char *name)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autofree char *start = g_strdup_printf("%s=", name);
    int i;

    for (i = 0; lines[i]; i++) {
        if (g_str_has_prefix(lines[i], start)) {
            char *value = lines[i] + strlen(start);
            size_t len = strlen(value);

            if (*value == '"' && len > 1) {
                value[len - 1] = 0;
                value++;
            }
            return g_strdup(value);
        }
    }
    return g_strdup("");
}

static void read_system(DoctorFacts *facts)
{
    g_autofree char *text = NULL, *name = NULL, *id = NULL, *like = NULL;

    if (!g_file_get_contents("/etc/os-release", &text, NULL, NULL)) {
        return;
    }
    name = os_release(text, "PRETTY_NAME");
    id = os_release(text, "ID");
    like = os_release(text, "ID_LIKE");
    pstrcpy(facts->system, sizeof(facts->system), name);
    facts->debian = !strcmp(id, "debian") || strstr(like, "debian");
}

/*
 * In a private root, /usr is a bind mount of a folder of the file system that
 * the root is in; elsewhere it is a part of / or a file system of its own.
 */
static void read_private_root(DoctorFacts *facts)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int i;

    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL)) {
        return;
    }
    lines = g_strsplit(text, "\n", -1);
    for (i = 0; lines[i]; i++) {
        char from[sizeof(facts->private_root)], to[256];

        if (sscanf(lines[i], "%*s %*s %*s %255s %255s", from, to) == 2 &&
            !strcmp(to, "/usr") && strcmp(from, "/usr") &&
            g_str_has_suffix(from, "/usr")) {
            from[strlen(from) - strlen("/usr")] = 0;
            pstrcpy(facts->private_root, sizeof(facts->private_root), from);
        }
    }
}

static void read_user(DoctorFacts *facts)
{
    struct passwd *user = getpwuid(geteuid());

    if (user) {
        pstrcpy(facts->user, sizeof(facts->user), user->pw_name);
    } else {
        snprintf(facts->user, sizeof(facts->user), "%d", (int)geteuid());
    }
    facts->root = !geteuid();
    facts->desktop = g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY");
}

static void read_security(DoctorFacts *facts)
{
    char on[2] = "";

    read_line(on, sizeof(on), "/sys/module/apparmor/parameters/enabled");
    facts->apparmor = *on == 'Y';
    facts->selinux = !access("/sys/fs/selinux/enforce", F_OK);
}

/* x86 has a line "address sizes : 39 bits physical, 48 bits virtual". */
static unsigned read_address_bits(void)
{
    g_autofree char *text = NULL;
    const char *line;
    unsigned bits;

    if (!g_file_get_contents("/proc/cpuinfo", &text, NULL, NULL)) {
        return 0;
    }
    line = strstr(text, "\naddress sizes");
    return line && sscanf(line, "\naddress sizes : %u", &bits) == 1 ? bits : 0;
}

static void read_limits(DoctorFacts *facts)
{
    struct rlimit files;
    char count[32] = "";

    facts->processors = g_get_num_processors();
    facts->page_size = qemu_real_host_page_size();
    facts->address_bits = read_address_bits();
    read_line(count, sizeof(count), "/proc/sys/vm/max_map_count");
    facts->map_count = g_ascii_strtoull(count, NULL, 10);
    facts->mappings = virtio_gpu_blob_vma_max_mappings();
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        facts->files = files.rlim_cur;
        facts->files_hard = files.rlim_max;
    }
}

void doctor_host_read(DoctorFacts *facts)
{
    read_kernel(facts);
    read_system(facts);
    read_private_root(facts);
    read_user(facts);
    read_security(facts);
    read_limits(facts);
    read_line(facts->nvidia, sizeof(facts->nvidia),
              "/sys/module/nvidia/version");
}

/*
 * KVM
 */

/* Linux, arch/arm64/include/uapi/asm/kvm.h: struct kvm_vcpu_init */
typedef struct ArmVCPUInit {
    uint32_t target;
    uint32_t features[7];
} ArmVCPUInit;

#define ARM_VCPU_INIT _IOW(KVMIO, 0xae, ArmVCPUInit)
#define ARM_PREFERRED_TARGET _IOR(KVMIO, 0xaf, ArmVCPUInit)

/* arm64: with the size of addresses that every vCPU can have */
static int new_vm(DoctorFile *file)
{
    int kvm = doctor_file_open(file, "/dev/kvm"), vm, bits, err;

    if (kvm < 0) {
        return -file->error;
    }
    bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    vm = ioctl(kvm, KVM_CREATE_VM, MAX(bits, 0));
    err = errno;
    close(kvm);
    return vm < 0 ? -err : vm;
}

/* arm64: a vCPU's ID registers can be read once it is initialized. */
static bool init_vcpu(int vm, int vcpu)
{
    ArmVCPUInit init = { };

    return !ioctl(vm, ARM_PREFERRED_TARGET, &init) &&
           !ioctl(vcpu, ARM_VCPU_INIT, &init);
}

/* A riscv64 vCPU has what QEMU gives it: it tells nothing before. */
static void read_register(VirtIOGPUBlobProbes *probes, int vm)
{
    struct kvm_one_reg reg = {
        .id = virtio_gpu_blob_cpu_register(probes->cpu),
        .addr = (uintptr_t)&probes->reg,
    };
    int vcpu;

    if (probes->cpu != VIRTIO_GPU_BLOB_CPU_ARM64) {
        return;
    }
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    if (vcpu >= 0) {
        probes->reg_known = init_vcpu(vm, vcpu) &&
                            !ioctl(vcpu, KVM_GET_ONE_REG, &reg);
        close(vcpu);
    }
}

static void probe_vm(VirtIOGPUBlobProbes *probes, int vm)
{
    probes->accel = VIRTIO_GPU_BLOB_ACCEL_KVM;
    probes->quirks = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
    probes->cacheable_pfnmap =
        ioctl(vm, KVM_CHECK_EXTENSION,
              VIRTIO_GPU_BLOB_CAP_ARM_CACHEABLE_PFNMAP) > 0;
    read_register(probes, vm);
}

void doctor_kvm_probe(void *found)
{
    DoctorKVM *kvm = found;
    int vm = new_vm(&kvm->file);

    virtio_gpu_blob_probe_cpu(&kvm->probes);
    kvm->probes.accel = VIRTIO_GPU_BLOB_ACCEL_QEMU;
    kvm->usable = vm >= 0;
    if (kvm->usable) {
        probe_vm(&kvm->probes, vm);
        close(vm);
    } else {
        kvm->error = -vm;
    }
    kvm->type = virtio_gpu_blob_guest_type(&kvm->probes);
    kvm->vram = virtio_gpu_blob_probe_vram(&kvm->probes);
}

/*
 * The window
 */

static bool reserve(uint64_t size, Error **errp)
{
    VirtIOGPUBlobVMA vma;
    bool ok = virtio_gpu_blob_vma_init(&vma, size, false, true, errp);

    virtio_gpu_blob_vma_destroy(&vma);
    return ok;
}

static bool fits(uint64_t size, uint64_t mappings, Error **errp)
{
    return virtio_gpu_hostmem_check(size, errp) &&
           virtio_gpu_blob_vma_check(size, true, mappings, errp) &&
           reserve(size, errp);
}

void doctor_window_probe(void *found)
{
    DoctorFacts *facts = found;
    DoctorWindow *window = &facts->window;
    uint64_t size = pow2floor(window->size);
    Error *err = NULL;

    if (fits(window->size, facts->mappings, &err)) {
        window->fits = window->size;
        return;
    }
    pstrcpy(window->error, sizeof(window->error), error_get_pretty(err));
    error_free(err);
    while (size >= MiB && !fits(size, facts->mappings, NULL)) {
        size /= 2;
    }
    window->fits = size >= MiB ? size : 0;
}
