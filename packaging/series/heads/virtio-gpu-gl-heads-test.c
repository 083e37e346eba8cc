/*
 * qtest for virtio-gpu-gl: displays that come and go
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

#define HEADS 3

static void show(GPU *gpu, uint32_t head, uint32_t id)
{
    const struct virtio_gpu_set_scanout cmd = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_SET_SCANOUT),
        .r = { 0, 0, 64, 64 },
        .scanout_id = cpu_to_le32(head),
        .resource_id = cpu_to_le32(id),
    };
    struct virtio_gpu_ctrl_hdr reply;

    g_assert_cmphex(gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply)),
                    ==, OK);
}

/* SDL has a window and a GL context for a head while it shows something. */
static void test_heads(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .props = ",max_outputs=3",
    });
    uint32_t head;

    g_assert_cmphex(gpu_create_2d(gpu, 1), ==, OK);
    for (head = 0; head < HEADS; head++) {
        show(gpu, head, 1);
        show(gpu, head, 0);
    }
    for (head = 0; head < HEADS; head++) {
        show(gpu, head, 1);
    }
    gpu_reset(gpu);
    g_assert_cmphex(gpu_create_2d(gpu, 1), ==, OK);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "on-and-off", .alone = test_heads },
    };

    return gpu_run_tests(argc, argv, "heads", tests, G_N_ELEMENTS(tests));
}
