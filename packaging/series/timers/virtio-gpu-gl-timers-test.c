/*
 * qtest for virtio-gpu-gl: timers and a reset of the device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

static void put_and_kick(GPU *gpu, uint32_t flags)
{
    const struct virtio_gpu_ctrl_hdr cmd = {
        .type = cpu_to_le32(VIRTIO_GPU_CMD_CTX_DESTROY),
        .flags = cpu_to_le32(flags),
        .fence_id = cpu_to_le64(1),
    };

    gpu_put(gpu, &(GPUCmd) {
        .out = &cmd, .out_len = sizeof(cmd), .in_len = sizeof(cmd),
    });
    gpu_kick(gpu);
}

/* The timer that polls for a fence does not outlive the renderer's reset. */
static void test_reset(void)
{
    GPU *gpu = gpu_start_plain();
    struct scripted_shared *shared = gpu->shared;
    uint64_t polls;

    shared->hold_fences = 1;
    put_and_kick(gpu, VIRTIO_GPU_FLAG_FENCE);
    while (!qatomic_read(&shared->fences)) {
        g_usleep(1000);
    }
    gpu_reset(gpu);
    put_and_kick(gpu, 0);
    while (!qatomic_read(&shared->resets)) {
        g_usleep(1000);
    }
    /* Commands are processed with the BQL, as this is. */
    qtest_qmp_assert_success(gpu->qts, "{ 'execute': 'query-status' }");
    polls = qatomic_read(&shared->polls);
    gpu_settle(gpu);
    gpu_settle(gpu);
    g_assert_cmpuint(qatomic_read(&shared->polls), ==, polls);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "reset", .alone = test_reset },
    };

    return gpu_run_tests(argc, argv, "timers", tests, G_N_ELEMENTS(tests));
}
