/*
 * qtest for virtio-gpu-gl: sizes of the host-visible memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

/* QEMU ends by itself, and names the property. */
static void test_sizes(void)
{
    static const char *const devices[] = {
        "virtio-gpu-gl-pci", "virtio-vga-gl",
    };
    static const char *const sizes[] = {
        "4096", "3M", "1048577", "0x8000000000000000",
    };
    size_t i, d;

    for (d = 0; d < G_N_ELEMENTS(devices); d++) {
        for (i = 0; i < G_N_ELEMENTS(sizes); i++) {
            g_autofree char *props = g_strdup_printf(",hostmem=%s", sizes[i]);
            g_autofree char *text = NULL;
            int status = gpu_try(&(GPUConfig) {
                .device = devices[d], .props = props,
            }, &text);

            g_test_message("%s%s: %d", devices[d], props, status);
            g_assert_cmpint(status, ==, 1);
            g_assert_nonnull(strstr(text, "hostmem"));
        }
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "sizes", .alone = test_sizes },
    };

    return gpu_run_tests(argc, argv, "hostmem", tests, G_N_ELEMENTS(tests));
}
