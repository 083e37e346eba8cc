/*
 * How hosts treat a guest's cache type: each row of the rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * How a device finds the inputs of the rule is shown by its qtest.
 */

#include "qemu/osdep.h"
#include "hw/display/virtio-gpu-blob-host.h"

#define KVM VIRTIO_GPU_BLOB_ACCEL_KVM
#define OTHER VIRTIO_GPU_BLOB_CPU_OTHER
#define SVM VIRTIO_GPU_BLOB_CPU_X86_SVM
#define VMX VIRTIO_GPU_BLOB_CPU_X86_VMX
#define ARM64 VIRTIO_GPU_BLOB_CPU_ARM64
#define RISCV64 VIRTIO_GPU_BLOB_CPU_RISCV64
#define PAT VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT
#define ON ON_OFF_AUTO_ON
#define OFF ON_OFF_AUTO_OFF
#define FWB (1ull << 40)

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
    p.honor_guest_pat = n % ON_OFF_AUTO__MAX;
    n /= ON_OFF_AUTO__MAX;
    p.quirks = quirks[n % G_N_ELEMENTS(quirks)];
    n /= G_N_ELEMENTS(quirks);
    p.nested_paging = n % 2;
    n /= 2;
    p.cacheable_pfnmap = n % 2;
    n /= 2;
    p.reg_known = n % 2;
    n /= 2;
    p.reg = n % 2 ? FWB : 0;
    return p;
}

#define VARIATIONS \
    (VIRTIO_GPU_BLOB_CPU__MAX * ON_OFF_AUTO__MAX * 6 * 2 * 2 * 2 * 2)

/* What KVM would answer does not matter to other accelerators. */
static void test_no_kvm(void)
{
    for (unsigned n = 0; n < VARIATIONS; n++) {
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
    { { .cpu = SVM, .nested_paging = true }, T(HONOURED) },
    { { .cpu = SVM, .quirks = 1, .nested_paging = true }, T(HONOURED) },
    { { .cpu = SVM, .quirks = -1, .nested_paging = true }, T(HONOURED) },
    { { .cpu = SVM }, T(NO_NESTED_PAGING) },
    { { .cpu = SVM, .quirks = 1 }, T(NO_NESTED_PAGING) },
    { { .cpu = SVM, .quirks = -1 }, T(NO_NESTED_PAGING) },
    /* Any other x86: the bit is shown and switched off */
    { { .cpu = VMX, .quirks = PAT }, T(SWITCHABLE) },
    { { .cpu = VMX, .quirks = PAT | 1 }, T(SWITCHABLE) },
    { { .cpu = VMX, .quirks = 1 }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = 0, .nested_paging = true }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = -EINVAL }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = -1 }, T(NO_SWITCH) },
    { { .cpu = VMX, .quirks = PAT, .honor_guest_pat = ON }, T(HONOURED) },
    { { .cpu = VMX, .quirks = 0, .honor_guest_pat = ON }, T(NO_SWITCH) },
    /* arm64: no FWB, and no sign of it */
    { { .cpu = ARM64, .reg_known = true }, T(HONOURED) },
    { { .cpu = ARM64, .reg_known = true,
        .reg = 0xffff00ffffffffff & ~(0xfull << 40) }, T(HONOURED) },
    { { .cpu = ARM64, .reg_known = true, .reg = FWB }, T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .reg_known = true, .reg = FWB << 3 },
      T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .reg = FWB }, T(WRITE_BACK_UNKNOWN) },
    { { .cpu = ARM64, .reg_known = true, .cacheable_pfnmap = true },
      T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .reg_known = true, .reg = FWB,
        .cacheable_pfnmap = true }, T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .cacheable_pfnmap = true }, T(FORCED_WRITE_BACK) },
    { { .cpu = ARM64, .quirks = PAT, .nested_paging = true },
      T(WRITE_BACK_UNKNOWN) },
    /* riscv64: Svpbmt */
    { { .cpu = RISCV64, .reg_known = true, .reg = 1 }, T(HONOURED) },
    { { .cpu = RISCV64, .reg_known = true }, T(NO_SVPBMT) },
    { { .cpu = RISCV64, .reg = 1 }, T(SVPBMT_UNKNOWN) },
    /* Any other */
    { { .cpu = OTHER, .quirks = PAT, .nested_paging = true,
        .reg_known = true, .reg = 1 }, T(KVM_HOST) },
    { { .cpu = VIRTIO_GPU_BLOB_CPU__MAX, .quirks = PAT }, T(KVM_HOST) },
};

static void test_kvm(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        VirtIOGPUBlobProbes probes = rows[i].probes;

        probes.accel = KVM;
        g_test_message("row %zu", i);
        g_assert_cmpint(virtio_gpu_blob_guest_type(&probes), ==,
                        rows[i].type);
    }
}

/* honor-guest-pat=off wins on every host; on adds no support. */
static void test_honor_guest_pat(void)
{
    for (unsigned n = 0; n < VARIATIONS; n++) {
        VirtIOGPUBlobProbes p = variation(n);
        VirtIOGPUBlobGuestType type, plain;

        p.accel = KVM;
        type = virtio_gpu_blob_guest_type(&p);
        if (p.honor_guest_pat == OFF) {
            g_assert_cmpint(type, ==, T(ACCEL_DECLINED));
            continue;
        }
        p.honor_guest_pat = ON_OFF_AUTO_AUTO;
        plain = virtio_gpu_blob_guest_type(&p);
        g_assert_true(type != T(HONOURED) || plain == T(HONOURED) ||
                      plain == T(SWITCHABLE));
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

    for (size_t i = 0; i < G_N_ELEMENTS(cpus); i++) {
        VirtIOGPUBlobCPU cpu = virtio_gpu_blob_cpu_of(cpus[i].machine,
                                                      cpus[i].vendor);

        g_test_message("%s %s", cpus[i].machine, cpus[i].vendor);
        g_assert_cmpint(cpu, ==, cpus[i].cpu);
        g_assert(virtio_gpu_blob_cpu_is_x86(cpu) ==
                 (cpu == SVM || cpu == VMX));
    }
}

/* Only KVM on arm64 cannot map VRAM; there the qtest has the GPUs. */
static void test_vram(void)
{
    VirtIOGPUBlobProbes p = { };

    for (p.accel = 0; p.accel < VIRTIO_GPU_BLOB_ACCEL__MAX; p.accel++) {
        for (p.cpu = 0; p.cpu < VIRTIO_GPU_BLOB_CPU__MAX; p.cpu++) {
            if (p.accel != KVM || p.cpu != ARM64) {
                g_assert_false(virtio_gpu_blob_probe_vram(&p));
            }
        }
    }
}

static void test_drivers(void)
{
    static const char *const yes[] = {
        "amdgpu", "nouveau", "nvidia", "nvidia-drm", "radeon", "xe",
    };
    static const char *const no[] = { "", "ast", "xen", "nvidia2", "msm" };
    VirtIOGPUBlobCPU cpu;

    for (cpu = 0; cpu < VIRTIO_GPU_BLOB_CPU__MAX; cpu++) {
        for (size_t i = 0; i < G_N_ELEMENTS(yes); i++) {
            g_assert_true(virtio_gpu_blob_driver_has_vram(yes[i], cpu));
        }
        for (size_t i = 0; i < G_N_ELEMENTS(no); i++) {
            g_assert_false(virtio_gpu_blob_driver_has_vram(no[i], cpu));
        }
        g_assert(virtio_gpu_blob_driver_has_vram("i915", cpu) ==
                 (cpu == ARM64));
    }
}

/* Each result has a name of its own, and texts. */
static void test_texts(void)
{
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    VirtIOGPUBlobGuestType t;

    for (t = 0; t < VIRTIO_GPU_BLOB_TYPE__MAX; t++) {
        const VirtIOGPUBlobGuestTypeText *text =
            virtio_gpu_blob_guest_type_text(t);

        g_assert_true(text->name && *text->name && text->why && *text->why &&
                      text->remedy);
        g_assert(!*text->remedy == (t == T(HONOURED)));
        g_assert_true(g_hash_table_add(names, (void *)text->name));
    }
}

/* As Linux numbers them, arch/{arm64,riscv}/include/uapi/asm/kvm.h */
static void test_register(void)
{
    g_assert_cmphex(virtio_gpu_blob_cpu_register(ARM64), ==,
                    0x603000000013c03a);
    g_assert_cmphex(virtio_gpu_blob_cpu_register(RISCV64), ==,
                    0x8030000007000007);
    g_assert_cmphex(virtio_gpu_blob_cpu_register(SVM), ==, 0);
    g_assert_cmphex(virtio_gpu_blob_cpu_register(VMX), ==, 0);
    g_assert_cmphex(virtio_gpu_blob_cpu_register(OTHER), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/virtio-gpu-blob/host/no-kvm", test_no_kvm);
    g_test_add_func("/virtio-gpu-blob/host/kvm", test_kvm);
    g_test_add_func("/virtio-gpu-blob/host/honor-guest-pat",
                    test_honor_guest_pat);
    g_test_add_func("/virtio-gpu-blob/host/cpu", test_cpu);
    g_test_add_func("/virtio-gpu-blob/host/vram", test_vram);
    g_test_add_func("/virtio-gpu-blob/host/drivers", test_drivers);
    g_test_add_func("/virtio-gpu-blob/host/texts", test_texts);
    g_test_add_func("/virtio-gpu-blob/probe/register", test_register);

    return g_test_run();
}
