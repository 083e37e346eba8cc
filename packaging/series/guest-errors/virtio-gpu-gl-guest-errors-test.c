/*
 * qtest for virtio-gpu-gl: errors of the guest on stderr
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

static void test_unknown_id(void)
{
    g_autofree char *log = NULL, *text = NULL;
    GPU *gpu;

    close(g_file_open_tmp("guest-errors.XXXXXX", &log, NULL));
    gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .log = log });
    g_assert_cmphex(gpu_unref(gpu, 99), ==, BAD_ID);
    gpu_stop(gpu);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    unlink(log);
    g_assert_null(strstr(text, "error 0x1203"));
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "unknown-id", .alone = test_unknown_id },
    };

    return gpu_run_tests(argc, argv, "guest-errors", tests,
                         G_N_ELEMENTS(tests));
}
