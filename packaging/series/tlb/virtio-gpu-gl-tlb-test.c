/*
 * qtest for virtio-gpu-gl: a vCPU uses a device while the memory map changes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/*
 * A vCPU reads another device's registers all the time.  Each blob without an
 * fd is a memory region, and with it a section of the memory map.  All of them
 * go away, and come back, when the guest switches the decoding of memory.
 */
static void test_sections(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .reader = true });
    uint32_t replies[GPU_BATCH];
    unsigned i;

    gpu_batch(gpu, gpu_put_drivers, 1, GPU_BATCH, replies);
    gpu_batch(gpu, gpu_put_map_apart, 1, GPU_BATCH, replies);
    g_assert_cmphex(replies[GPU_BATCH - 1], ==, GRANTED);
    for (i = 0; i < 200; i++) {
        uint32_t turns = gpu_vcpu_turns(gpu);

        gpu_toggle_memory(gpu);
        while (gpu_vcpu_turns(gpu) == turns) {
            g_usleep(100);
        }
    }
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "sections", .alone = test_sections },
    };

    return gpu_run_tests(argc, argv, "tlb", tests, G_N_ELEMENTS(tests));
}
