/*
 * qtest for virtio-gpu-gl: cache types that the host ignores
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

#define WRITE_COMBINING DMABUF(.answer = ANSWER_WC, .word = WORD_WC)

static const struct {
    uint32_t kvm, cpu;
    const char *props;
    bool honoured;
} hosts[] = {
    { 0, 0, "", true }, /* not KVM */
    { SCRIPTED_KVM_PLAIN, SCRIPTED_CPU_INTEL, "", false },
    { SCRIPTED_KVM_QUIRK, SCRIPTED_CPU_INTEL, "", true },
    { SCRIPTED_KVM_QUIRK, SCRIPTED_CPU_INTEL, ",guest-pat=off", false },
    { SCRIPTED_KVM_STUCK, SCRIPTED_CPU_INTEL, "", false },
    { SCRIPTED_KVM_PLAIN, SCRIPTED_CPU_AMD, "", true },
    { SCRIPTED_KVM_PLAIN, SCRIPTED_CPU_AMD_NO_NPT, "", false },
};

/* Write-combining needs it, a cached mapping does not. */
static void test_hosts(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(hosts); i++) {
        GPU *gpu = gpu_start(&(GPUConfig) {
            .hostmem = WINDOW, .kvm = hosts[i].kvm, .cpu = hosts[i].cpu,
            .props = hosts[i].props, .log = "/dev/null",
        });

        g_test_message("row %zu", i);
        g_assert_cmphex(gpu_create(gpu, 1, WRITE_COMBINING, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==,
                        hosts[i].honoured ? GRANTED : UNSPEC);
        g_assert_cmphex(gpu_create(gpu, 2, BUFFER, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 2, GPU_PAGE, NULL), ==, GRANTED);
        gpu_stop(gpu);
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "hosts", .alone = test_hosts },
    };

    return gpu_run_tests(argc, argv, "honoured", tests, G_N_ELEMENTS(tests));
}
