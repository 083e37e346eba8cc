/*
 * What hosts do with a guest's cache type: each row of the rule, and what the
 * probes ask of whom
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/display/virtio-gpu-blob-host-probe.h"

#include <linux/kvm.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#define KVM VIRTIO_GPU_BLOB_ACCEL_KVM
#define OTHER VIRTIO_GPU_BLOB_CPU_OTHER
#define SVM VIRTIO_GPU_BLOB_CPU_X86_SVM
#define VMX VIRTIO_GPU_BLOB_CPU_X86_VMX
#define ARM64 VIRTIO_GPU_BLOB_CPU_ARM64
#define RISCV64 VIRTIO_GPU_BLOB_CPU_RISCV64
#define PAT VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT
#define UNKNOWN VIRTIO_GPU_BLOB_FOUND_UNKNOWN
#define NO VIRTIO_GPU_BLOB_FOUND_NO
#define YES VIRTIO_GPU_BLOB_FOUND_YES
#define WANTED VIRTIO_GPU_BLOB_SWITCH_WANTED
#define DECLINED VIRTIO_GPU_BLOB_SWITCH_DECLINED
#define NOT_NEEDED VIRTIO_GPU_BLOB_SWITCH_NOT_NEEDED

/* An answer of the rule's, in its short form */
#define T(name) VIRTIO_GPU_BLOB_TYPE_##name

/*
 * The rule
 */

/* A variation of all inputs: what a probe found, as digits of a number */
static VirtIOGPUBlobProbes variation(unsigned n)
{
    static const int quirks[] = { 0, PAT, PAT | 1, 1, -EINVAL, -1 };
    VirtIOGPUBlobProbes p = { };

    p.cpu = n % VIRTIO_GPU_BLOB_CPU__MAX;
    n /= VIRTIO_GPU_BLOB_CPU__MAX;
    p.accel_honours = n % VIRTIO_GPU_BLOB_FOUND__MAX;
    n /= VIRTIO_GPU_BLOB_FOUND__MAX;
    p.guest_pat = n % VIRTIO_GPU_BLOB_SWITCH__MAX;
    n /= VIRTIO_GPU_BLOB_SWITCH__MAX;
    p.quirks = quirks[n % G_N_ELEMENTS(quirks)];
    n /= G_N_ELEMENTS(quirks);
    p.nested_paging = n % VIRTIO_GPU_BLOB_FOUND__MAX;
    n /= VIRTIO_GPU_BLOB_FOUND__MAX;
    p.forced_write_back = n % VIRTIO_GPU_BLOB_FOUND__MAX;
    n /= VIRTIO_GPU_BLOB_FOUND__MAX;
    p.cacheable_pfnmap = n % 2;
    n /= 2;
    p.svpbmt = n % VIRTIO_GPU_BLOB_FOUND__MAX;
    return p;
}

#define VARIATIONS (5 * 3 * 3 * 6 * 3 * 3 * 2 * 3)

/* What KVM would answer does not matter to who is not KVM. */
static void test_no_kvm(void)
{
    unsigned n;

    for (n = 0; n < VARIATIONS; n++) {
        VirtIOGPUBlobProbes p = variation(n);

        p.accel = VIRTIO_GPU_BLOB_ACCEL_QEMU;
        g_assert_cmpint(virtio_gpu_blob_guest_type(&p), ==, T(HONOURED));
        p.accel = VIRTIO_GPU_BLOB_ACCEL_OTHER;
        g_assert_cmpint(virtio_gpu_blob_guest_type(&p), ==, T(UNKNOWN_ACCEL));
        p.accel = VIRTIO_GPU_BLOB_ACCEL__MAX;
        g_assert_cmpint(virtio_gpu_blob_guest_type(&p), ==, T(UNKNOWN_ACCEL));
    }
}

typedef struct Row {
    VirtIOGPUBlobProbes probes;
    VirtIOGPUBlobGuestType type;
} Row;

static const Row rows[] = {
    /* AMD, Hygon: the bit is shown, or nested paging is on */
    { { .cpu = SVM, .quirks = PAT }, T(HONOURED) },
    { { .cpu = SVM, .quirks = PAT, .nested_paging = NO }, T(HONOURED) },
    { { .cpu = SVM, .nested_paging = YES }, T(HONOURED) },
    { { .cpu = SVM, .quirks = 1, .nested_paging = YES }, T(HONOURED) },
    { { .cpu = SVM, .quirks = -1, .nested_paging = YES }, T(HONOURED) },
    { { .cpu = SVM, .nested_paging = NO }, T(NO_NESTED_PAGING) },
    { { .cpu = SVM, .quirks = 1, .nested_paging = NO }, T(NO_NESTED_PAGING) },
    { { .cpu = SVM, .quirks = -1 }, T(NO_NESTED_PAGING) },
    { { .cpu = SVM, .quirks = PAT, .guest_pat = DECLINED }, T(HONOURED) },
    /* Any other x86: the bit is shown and switched off */
    { { .cpu = VMX, .quirks = PAT }, T(SWITCHABLE) },
    { { .cpu = VMX, .quirks = PAT | 1 }, T(SWITCHABLE) },
    { { .cpu = VMX, .quirks = 1 }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = 0, .nested_paging = YES }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = -EINVAL }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = -1 }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = PAT, .guest_pat = DECLINED },
      T(SWITCH_DECLINED) },
    { { .cpu = VMX, .quirks = 1, .guest_pat = DECLINED }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = PAT, .guest_pat = NOT_NEEDED },
      T(SWITCH_NOT_NEEDED) },
    { { .cpu = VMX, .quirks = PAT, .accel_honours = YES }, T(HONOURED) },
    { { .cpu = VMX, .quirks = PAT, .accel_honours = YES,
        .guest_pat = DECLINED }, T(HONOURED) },
    { { .cpu = VMX, .quirks = 0, .accel_honours = YES }, T(NO_SWITCH) },
    /* arm64: no FWB, and nothing that speaks for it */
    { { .cpu = ARM64, .forced_write_back = NO }, T(HONOURED) },
    { { .cpu = ARM64, .forced_write_back = YES }, T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .forced_write_back = UNKNOWN }, T(WRITE_BACK_UNKNOWN) },
    { { .cpu = ARM64, .forced_write_back = NO, .cacheable_pfnmap = true },
      T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .cacheable_pfnmap = true }, T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .quirks = PAT, .nested_paging = YES, .svpbmt = YES },
      T(WRITE_BACK_UNKNOWN) },
    /* riscv64: Svpbmt */
    { { .cpu = RISCV64, .svpbmt = YES }, T(HONOURED) },
    { { .cpu = RISCV64, .svpbmt = NO }, T(NO_SVPBMT) },
    { { .cpu = RISCV64, .forced_write_back = NO }, T(SVPBMT_UNKNOWN) },
    /* Any other */
    { { .cpu = OTHER, .quirks = PAT, .nested_paging = YES,
        .forced_write_back = NO, .svpbmt = YES }, T(KVM_HOST) },
    { { .cpu = VIRTIO_GPU_BLOB_CPU__MAX, .quirks = PAT }, T(KVM_HOST) },
};

static void test_kvm(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        VirtIOGPUBlobProbes probes = rows[i].probes;

        probes.accel = KVM;
        g_test_message("row %zu", i);
        g_assert_cmpint(virtio_gpu_blob_guest_type(&probes), ==,
                        rows[i].type);
    }
}

/* The operator's no wins on every host; a yes makes nothing up. */
static void test_operators_word(void)
{
    unsigned n;

    for (n = 0; n < VARIATIONS; n++) {
        VirtIOGPUBlobProbes p = variation(n);
        VirtIOGPUBlobGuestType type, plain;

        p.accel = KVM;
        type = virtio_gpu_blob_guest_type(&p);
        if (p.accel_honours == NO) {
            g_assert_cmpint(type, ==, T(ACCEL_DECLINED));
            continue;
        }
        p.accel_honours = UNKNOWN;
        p.guest_pat = WANTED;
        plain = virtio_gpu_blob_guest_type(&p);
        g_assert_true(type != T(HONOURED) || plain == T(HONOURED) ||
                      plain == T(SWITCHABLE));
    }
}

/* On a host of which nothing is known, nothing is honoured. */
static void test_unknown(void)
{
    VirtIOGPUBlobCPU cpu;

    for (cpu = 0; cpu < VIRTIO_GPU_BLOB_CPU__MAX; cpu++) {
        VirtIOGPUBlobProbes p = { .accel = KVM, .cpu = cpu, .quirks = -EIO };

        g_assert_cmpint(virtio_gpu_blob_guest_type(&p), !=, T(HONOURED));
        g_assert_cmpint(virtio_gpu_blob_guest_type(&p), !=, T(SWITCHABLE));
    }
}

static void test_cpu(void)
{
    static const struct {
        const char *machine, *vendor;
        VirtIOGPUBlobCPU cpu;
    } cpus[] = {
        { "x86_64", "AuthenticAMD", SVM },
        { "x86_64", "HygonGenuine", SVM },
        { "x86_64", "GenuineIntel", VMX },
        { "x86_64", "CentaurHauls", VMX },
        { "x86_64", "  Shanghai  ", VMX },
        { "x86_64", "", VMX },
        { "i686", "AuthenticAMD", SVM },
        { "i386", "GenuineIntel", VMX },
        { "aarch64", "", ARM64 },
        { "aarch64", "AuthenticAMD", ARM64 },
        { "armv8l", "", OTHER },
        { "riscv64", "", RISCV64 },
        { "riscv32", "", OTHER },
        { "s390x", "", OTHER },
        { "ppc64le", "", OTHER },
        { "loongarch64", "", OTHER },
        { "", "", OTHER },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cpus); i++) {
        VirtIOGPUBlobCPU cpu = virtio_gpu_blob_cpu_of(cpus[i].machine,
                                                      cpus[i].vendor);

        g_test_message("%s %s", cpus[i].machine, cpus[i].vendor);
        g_assert_cmpint(cpu, ==, cpus[i].cpu);
        g_assert(virtio_gpu_blob_cpu_is_x86(cpu) ==
                 (cpu == SVM || cpu == VMX));
    }
}

/* On one kind of host only may a GPU's own memory not be mapped. */
static void test_vram(void)
{
    VirtIOGPUBlobProbes p = { };

    for (p.accel = 0; p.accel < VIRTIO_GPU_BLOB_ACCEL__MAX; p.accel++) {
        for (p.cpu = 0; p.cpu < VIRTIO_GPU_BLOB_CPU__MAX; p.cpu++) {
            g_assert(virtio_gpu_blob_vram_is_unsafe(&p) ==
                     (p.accel == KVM && p.cpu == ARM64));
        }
    }
    g_assert_true(virtio_gpu_blob_driver_has_vram("amdgpu"));
    g_assert_true(virtio_gpu_blob_driver_has_vram("xe"));
    g_assert_false(virtio_gpu_blob_driver_has_vram("i915"));
    g_assert_false(virtio_gpu_blob_driver_has_vram(""));
}

/* Each answer has words of its own; those that failed say so. */
static void test_words(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    VirtIOGPUBlobGuestType t;

    for (t = 0; t < VIRTIO_GPU_BLOB_TYPE__MAX; t++) {
        const VirtIOGPUBlobGuestTypeText *text =
            virtio_gpu_blob_guest_type_text(t);

        g_assert_true(text->name && *text->name && text->why && *text->why &&
                      text->remedy && *text->remedy);
        g_assert_true(g_hash_table_add(names, (void *)text->name));
        g_assert(virtio_gpu_blob_guest_type_failed(t) ==
                 (t == T(SWITCH_FAILED) || t == T(WRITE_BACK_UNKNOWN) ||
                  t == T(SVPBMT_UNKNOWN)));
    }
}

/*
 * The probes: a host that answers as told
 */

/* What a call fails at; the rest of them are not reached */
typedef enum Step {
    NEVER, AT_OPEN, AT_VM, AT_VCPU, AT_TARGET, AT_INIT, AT_REGISTER,
} Step;

typedef struct Host {
    const char *machine;    /* NULL: uname() fails */
    const char *cpuinfo;    /* NULL: there is none */
    const char *npt;
    int caps[256];
    uint64_t reg_id;        /* the one register that there is */
    uint64_t reg_value;
    Step fails;
    int kvm, vm, vcpu;      /* of the scratch VM */
    unsigned long vm_type;
    bool initialized;
    unsigned vcpu_asked;
} Host;

static Host host;

int uname(struct utsname *names)
{
    if (!host.machine) {
        errno = EFAULT;
        return -1;
    }
    g_strlcpy(names->machine, host.machine, sizeof(names->machine));
    return 0;
}

gboolean g_file_get_contents(const char *name, char **text, gsize *len,
                             GError **error)
{
    const char *found = !strcmp(name, "/proc/cpuinfo") ? host.cpuinfo
        : !strcmp(name, "/sys/module/kvm_amd/parameters/npt") ? host.npt
        : NULL;

    *text = g_strdup(found);
    return found != NULL;
}

static int answer(Step step, int value, int error)
{
    if (host.fails == step) {
        errno = error;
        return -1;
    }
    return value;
}

int open(const char *path, int flags, ...)
{
    if (strcmp(path, "/dev/kvm")) {
        return syscall(SYS_openat, AT_FDCWD, path, flags, 0);
    }
    g_assert_cmphex(flags, ==, O_RDWR | O_CLOEXEC);
    host.kvm = answer(AT_OPEN, 0, ENOENT) ? -1 : eventfd(0, 0);
    return host.kvm;
}

/* Linux, arch/arm64/kvm/arm.c: a vCPU has no registers before it has a kind */
static int get_register(const struct kvm_one_reg *reg)
{
    if (host.reg_id != reg->id || host.fails == AT_REGISTER) {
        errno = ENOENT;
        return -1;
    }
    *(uint64_t *)(uintptr_t)reg->addr = host.reg_value;
    return 0;
}

static int kvm_ioctl(unsigned nr, uintptr_t arg)
{
    switch (nr) {
    case _IOC_NR(KVM_CHECK_EXTENSION):
        return host.caps[arg];
    case _IOC_NR(KVM_CREATE_VM):
        host.vm_type = arg;
        host.vm = answer(AT_VM, 0, EINVAL) ? -1 : eventfd(0, 0);
        return host.vm;
    default:
        g_assert_not_reached();
    }
}

static int vm_ioctl(unsigned nr, uintptr_t arg)
{
    uint32_t *target = (void *)arg;

    switch (nr) {
    case _IOC_NR(KVM_CREATE_VCPU):
        g_assert_cmpuint(arg, ==, 0);
        host.vcpu = answer(AT_VCPU, 0, EBUSY) ? -1 : eventfd(0, 0);
        return host.vcpu;
    case 0xaf:
        target[0] = 5;
        return answer(AT_TARGET, 0, ENODEV);
    default:
        g_assert_not_reached();
    }
}

static int vcpu_ioctl(unsigned nr, uintptr_t arg)
{
    switch (nr) {
    case 0xae:
        g_assert_cmpuint(*(uint32_t *)arg, ==, 5);
        host.initialized = host.fails != AT_INIT;
        return answer(AT_INIT, 0, EINVAL);
    case _IOC_NR(KVM_GET_ONE_REG):
        g_assert_true(host.initialized);
        return get_register((void *)arg);
    default:
        g_assert_not_reached();
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    uintptr_t arg;

    va_start(ap, request);
    arg = va_arg(ap, uintptr_t);
    va_end(ap);
    g_assert_cmphex(_IOC_TYPE(request), ==, KVMIO);
    if (fd == host.kvm) {
        return kvm_ioctl(_IOC_NR(request), arg);
    }
    return fd == host.vm ? vm_ioctl(_IOC_NR(request), arg)
                         : vcpu_ioctl(_IOC_NR(request), arg);
}

/* The guest's own VM and vCPU */
static int check_extension(unsigned cap)
{
    return host.caps[cap];
}

static int own_register(uint64_t id, uint64_t *value)
{
    struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)value };

    host.vcpu_asked++;
    return get_register(&reg) ? -errno : 0;
}

static const VirtIOGPUBlobKVM own = {
    .check_extension = check_extension, .get_register = own_register,
};
static const VirtIOGPUBlobKVM no_vcpu = {
    .check_extension = check_extension,
};

static void new_host(Host h)
{
    host = h;
    host.kvm = host.vm = host.vcpu = -1;
}

static VirtIOGPUBlobGuestType type_by(const VirtIOGPUBlobKVM *kvm)
{
    VirtIOGPUBlobProbes probes = {
        .accel = KVM, .cpu = virtio_gpu_blob_probe_cpu(),
    };

    virtio_gpu_blob_probe_kvm(&probes, kvm);
    return virtio_gpu_blob_guest_type(&probes);
}

#define CPUINFO(vendor) "processor\t: 0\nvendor_id\t: " vendor "\nmodel\t: 1\n"
#define INTEL .machine = "x86_64", .cpuinfo = CPUINFO("GenuineIntel")
#define AMD .machine = "x86_64", .cpuinfo = CPUINFO("AuthenticAMD")
#define QUIRKS .caps[KVM_CAP_DISABLE_QUIRKS2]

static void test_probe_x86(void)
{
    static const struct {
        Host host;
        VirtIOGPUBlobGuestType type;
    } hosts[] = {
        { { AMD, .npt = "Y\n" }, T(HONOURED) },
        { { AMD, .npt = "1\n" }, T(HONOURED) },
        { { AMD, .npt = "N\n" }, T(NO_NESTED_PAGING) },
        { { AMD, .npt = "0\n" }, T(NO_NESTED_PAGING) },
        { { AMD, .npt = "" }, T(NO_NESTED_PAGING) },
        { { AMD }, T(NO_NESTED_PAGING) },
        { { AMD, QUIRKS = PAT }, T(HONOURED) },
        { { INTEL, QUIRKS = PAT }, T(SWITCHABLE) },
        { { INTEL, QUIRKS = -1 }, T(NO_SWITCH) },
        /* Built into the kernel, kvm_amd is there on any host. */
        { { INTEL, .npt = "Y\n" }, T(NO_SWITCH) },
        { { .machine = "x86_64", .npt = "Y\n" }, T(NO_SWITCH) },
        { { .machine = "x86_64", .cpuinfo = "model\t: 1\n", .npt = "Y\n" },
          T(NO_SWITCH) },
        { { .machine = "x86_64", .cpuinfo = "vendor_id\t: HygonGenuine",
            .npt = "Y\n" }, T(HONOURED) },
        { { .machine = "s390x", QUIRKS = PAT }, T(KVM_HOST) },
        { { QUIRKS = PAT, .npt = "Y\n" }, T(KVM_HOST) },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        g_test_message("host %zu", i);
        new_host(hosts[i].host);
        g_assert_cmpint(type_by(&own), ==, hosts[i].type);
        g_assert_cmpint(type_by(&no_vcpu), ==, hosts[i].type);
    }
}

/* ID_AA64MMFR2_EL1 as Linux 6.12 shows it to user space [cortex-a72, max] */
#define MMFR2 .machine = "aarch64", .reg_id = 0x603000000013c03a, .reg_value
#define FWB (1ull << 40)

typedef struct ArmHost {
    Host host;
    VirtIOGPUBlobGuestType type;
} ArmHost;

static const ArmHost arm_hosts[] = {
    { { MMFR2 = 0 }, T(HONOURED) },
    { { MMFR2 = 0xffff00ffffffffff & ~(0xfull << 40) }, T(HONOURED) },
    { { MMFR2 = FWB }, T(FORCED_WRITE_BACK) },
    { { MMFR2 = FWB << 3 }, T(FORCED_WRITE_BACK) },
    { { MMFR2 = 0, .caps[243] = 1 }, T(FORCED_WRITE_BACK) },
    { { MMFR2 = 0, .caps[243] = -EINVAL }, T(HONOURED) },
    { { MMFR2 = 0, .fails = AT_REGISTER }, T(WRITE_BACK_UNKNOWN) },
};

static void test_probe_arm64(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(arm_hosts); i++) {
        g_test_message("host %zu", i);
        new_host(arm_hosts[i].host);
        g_assert_cmpint(type_by(&own), ==, arm_hosts[i].type);
        g_assert_cmpuint(host.vcpu_asked, ==, 1);
        g_assert_cmpint(host.kvm, ==, -1);
    }
}

static int next_fd(void)
{
    int fd = eventfd(0, 0);

    close(fd);
    return fd;
}

/* Without a vCPU one is made, and nothing is left of it. */
static void test_probe_scratch(void)
{
    int before = next_fd();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(arm_hosts); i++) {
        g_test_message("host %zu", i);
        new_host(arm_hosts[i].host);
        host.caps[KVM_CAP_ARM_VM_IPA_SIZE] = i % 2 ? 40 + i : -(i > 3);
        g_assert_cmpint(type_by(&no_vcpu), ==, arm_hosts[i].type);
        g_assert_cmpuint(host.vm_type, ==, i % 2 ? 40 + i : 0);
        g_assert_cmpint(next_fd(), ==, before);
    }
}

static void test_probe_scratch_fails(void)
{
    int before = next_fd();
    Step step;

    for (step = AT_OPEN; step <= AT_REGISTER; step++) {
        new_host((Host) { MMFR2 = 0, .fails = step });
        g_assert_cmpint(type_by(&no_vcpu), ==, T(WRITE_BACK_UNKNOWN));
        g_assert_cmpint(next_fd(), ==, before);
    }
}

#define SVPBMT .machine = "riscv64", .reg_id = 0x8030000007000007, .reg_value

static void test_probe_riscv64(void)
{
    new_host((Host) { SVPBMT = 1 });
    g_assert_cmpint(type_by(&own), ==, T(HONOURED));
    g_assert_cmpint(type_by(&no_vcpu), ==, T(SVPBMT_UNKNOWN));
    new_host((Host) { SVPBMT = 0 });
    g_assert_cmpint(type_by(&own), ==, T(NO_SVPBMT));
    new_host((Host) { SVPBMT = 1, .fails = AT_REGISTER });
    g_assert_cmpint(type_by(&own), ==, T(SVPBMT_UNKNOWN));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/virtio-gpu-blob/host/no-kvm", test_no_kvm);
    g_test_add_func("/virtio-gpu-blob/host/kvm", test_kvm);
    g_test_add_func("/virtio-gpu-blob/host/operators-word",
                    test_operators_word);
    g_test_add_func("/virtio-gpu-blob/host/unknown", test_unknown);
    g_test_add_func("/virtio-gpu-blob/host/cpu", test_cpu);
    g_test_add_func("/virtio-gpu-blob/host/vram", test_vram);
    g_test_add_func("/virtio-gpu-blob/host/words", test_words);
    g_test_add_func("/virtio-gpu-blob/probe/x86", test_probe_x86);
    g_test_add_func("/virtio-gpu-blob/probe/arm64", test_probe_arm64);
    g_test_add_func("/virtio-gpu-blob/probe/scratch", test_probe_scratch);
    g_test_add_func("/virtio-gpu-blob/probe/scratch-fails",
                    test_probe_scratch_fails);
    g_test_add_func("/virtio-gpu-blob/probe/riscv64", test_probe_riscv64);

    return g_test_run();
}
