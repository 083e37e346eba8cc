/*
 * qtest for virtio-gpu-gl: VIRTIO_GPU_F_BLOB_ALIGNMENT
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/* Of the field blob_alignment in the configuration space */
#define BLOB_ALIGNMENT 16

static void check(const char *props, uint32_t alignment)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .props = props });
    bool offered = gpu_features(gpu) & (1u << GPU_F_BLOB_ALIGNMENT);

    g_assert_true(offered == (alignment != 0));
    if (offered) {
        g_assert_cmphex(gpu_config(gpu, BLOB_ALIGNMENT), ==, alignment);
    }
    gpu_stop(gpu);
}

static void test_property(void)
{
    uint32_t page_size = qemu_real_host_page_size();

    check(",blob-alignment=on", page_size);
    check(",blob-alignment=off", 0);
    check("", page_size > 4096 ? page_size : 0);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "property", .alone = test_property },
    };

    return gpu_run_tests(argc, argv, "alignment", tests, G_N_ELEMENTS(tests));
}
