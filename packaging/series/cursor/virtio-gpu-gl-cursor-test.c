/*
 * qtest for virtio-gpu-gl: the hot spot of a cursor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

static void test_hot_spot(void)
{
    const struct virtio_gpu_update_cursor cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_UPDATE_CURSOR),
        .hot_x = cpu_to_le32(64),
        .hot_y = cpu_to_le32(UINT32_MAX),
    };
    g_autofree char *log = NULL, *text = NULL;
    GPU *gpu;

    close(g_file_open_tmp("hot-spot.XXXXXX", &log, NULL));
    gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .log = log });
    gpu_cursor(gpu, &cmd, sizeof(cmd));
    gpu_settle(gpu);
    gpu_stop(gpu);
    g_assert_true(g_file_get_contents(log, &text, NULL, NULL));
    unlink(log);
    g_assert_null(strstr(text, "cursor"));
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "hot-spot", .alone = test_hot_spot },
    };

    return gpu_run_tests(argc, argv, "cursor", tests, G_N_ELEMENTS(tests));
}
