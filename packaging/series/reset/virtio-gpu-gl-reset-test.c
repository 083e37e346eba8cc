/*
 * qtest for virtio-gpu-gl: a vCPU resets the device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/* "stop" waits for the vCPU, which is resetting the device all the time. */
static void test_vcpu(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .vcpu = true });
    QTestState *qts = gpu->qts;
    unsigned i;

    gpu_vcpu_reset(gpu, GPU_FOR_EVER);
    for (i = 0; i < 20; i++) {
        qtest_qmp_assert_success(qts, "{ 'execute': 'stop' }");
        qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");
    }
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "vcpu", .alone = test_vcpu },
    };

    return gpu_run_tests(argc, argv, "reset", tests, G_N_ELEMENTS(tests));
}
