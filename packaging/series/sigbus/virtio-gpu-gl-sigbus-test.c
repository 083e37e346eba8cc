/*
 * qtest for virtio-gpu-gl: threads of QEMU read memory that is gone
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/* The main loop and a thread each read zeros from the page put in its place. */
static void test_gone(void)
{
    GPU *gpu = gpu_start_plain();

    gpu_watch(gpu, SCRIPTED_WATCH_GONE, 0);
    g_assert_cmpuint(gpu->shared->populated, ==, 2);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "gone", .alone = test_gone },
    };

    return gpu_run_tests(argc, argv, "sigbus", tests, G_N_ELEMENTS(tests));
}
