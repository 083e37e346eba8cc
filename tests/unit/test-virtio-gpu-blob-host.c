/*
 * What hosts do with a guest's cache type: each row of the rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/display/virtio-gpu-blob-host.h"

#define OTHER VIRTIO_GPU_BLOB_CPU_OTHER
#define SVM VIRTIO_GPU_BLOB_CPU_X86_SVM
#define VMX VIRTIO_GPU_BLOB_CPU_X86_VMX
#define PAT VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT
#define IGNORED VIRTIO_GPU_BLOB_HOST_IGNORES
#define HONOURED VIRTIO_GPU_BLOB_HOST_HONOURS
#define SWITCHED VIRTIO_GPU_BLOB_HOST_CAN_HONOUR

/* Other accelerators: what KVM would answer does not matter. */
static void test_no_kvm(void)
{
    VirtIOGPUBlobProbes probes = { .kvm = false };
    VirtIOGPUBlobCPU cpu;

    for (cpu = 0; cpu < VIRTIO_GPU_BLOB_CPU__MAX; cpu++) {
        probes.cpu = cpu;
        probes.quirks = 0;
        g_assert_cmpint(virtio_gpu_blob_guest_type(&probes), ==, HONOURED);
        probes.quirks = PAT;
        g_assert_cmpint(virtio_gpu_blob_guest_type(&probes), ==, HONOURED);
    }
}

static void test_kvm(void)
{
    static const struct {
        VirtIOGPUBlobCPU cpu;
        int quirks;
        VirtIOGPUBlobGuestType type;
    } rows[] = {
        { SVM, PAT, HONOURED },
        { SVM, 0, HONOURED },
        { VMX, PAT, SWITCHED },
        { VMX, PAT | 1, SWITCHED },
        { VMX, 1, IGNORED },
        { VMX, 0, IGNORED },
        { VMX, -EINVAL, IGNORED },
        { VMX, -1, IGNORED },
        { OTHER, 0, HONOURED },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        VirtIOGPUBlobProbes probes = {
            .kvm = true,
            .cpu = rows[i].cpu,
            .quirks = rows[i].quirks,
        };

        g_assert_cmpint(virtio_gpu_blob_guest_type(&probes), ==,
                        rows[i].type);
    }
}

static void test_vendor(void)
{
    static const struct {
        const char *vendor;
        VirtIOGPUBlobCPU cpu;
    } rows[] = {
        { "AuthenticAMD", SVM },
        { "HygonGenuine", SVM },
        { "GenuineIntel", VMX },
        { "CentaurHauls", VMX },
        { "  Shanghai  ", VMX },
        { "", VMX },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_assert_cmpint(virtio_gpu_blob_cpu_of_vendor(rows[i].vendor), ==,
                        rows[i].cpu);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/virtio-gpu-blob/host/no-kvm", test_no_kvm);
    g_test_add_func("/virtio-gpu-blob/host/kvm", test_kvm);
    g_test_add_func("/virtio-gpu-blob/host/vendor", test_vendor);

    return g_test_run();
}
