/*
 * Blobs on a display of virtio-gpu-gl: what becomes of it when they go
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "virtio-gpu-gl-client.h"

#define SIDE 64

static const struct virtio_gpu_rect all = { .width = SIDE, .height = SIDE };

static GPU *start(void)
{
    return gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .props = ",max_outputs=2",
    });
}

static uint32_t show_blob(GPU *gpu, uint32_t scanout, uint32_t id)
{
    const struct virtio_gpu_set_scanout_blob cmd = {
        .hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
        .r = all,
        .scanout_id = scanout,
        .resource_id = id,
        .width = SIDE,
        .height = SIDE,
        .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
        .strides = { SIDE * 4 },
    };
    struct virtio_gpu_ctrl_hdr reply;

    return gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply));
}

static uint32_t show_texture(GPU *gpu, uint32_t scanout, uint32_t id)
{
    const struct virtio_gpu_set_scanout cmd = {
        .hdr.type = VIRTIO_GPU_CMD_SET_SCANOUT,
        .r = all,
        .scanout_id = scanout,
        .resource_id = id,
    };
    struct virtio_gpu_ctrl_hdr reply;

    return gpu_run(gpu, &cmd, sizeof(cmd), &reply, sizeof(reply));
}

static void create_and_map(GPU *gpu, uint32_t id)
{
    g_assert_cmphex(gpu_create(gpu, id, BUFFER, SIDE * SIDE * 4), ==, OK);
    g_assert_cmphex(gpu_map(gpu, id, id * MiB, NULL), ==, GRANTED);
}

/* A display that shows a buffer has no picture of QEMU's own. */
static bool shows_buffer(GPU *gpu, int head)
{
    g_autofree char *file = NULL;
    g_autoptr(QDict) reply = NULL;
    int fd = g_file_open_tmp("scanout.XXXXXX", &file, NULL);

    g_assert_cmpint(fd, >=, 0);
    reply = qtest_qmp(gpu_qts(gpu), "{'execute': 'screendump', 'arguments': "
                      "{'filename': %s, 'device': 'gpu', 'head': %d}}",
                      file, head);
    close(fd);
    unlink(file);
    return qdict_haskey(reply, "error");
}

/* The display that shows a blob shows nothing when the blob goes. */
static void test_unref(void)
{
    GPU *gpu = start();

    create_and_map(gpu, 1);
    g_assert_false(shows_buffer(gpu, 0));
    g_assert_cmphex(show_blob(gpu, 0, 1), ==, OK);
    g_assert_true(shows_buffer(gpu, 0));
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_false(shows_buffer(gpu, 0));
    gpu_finish(gpu);
}

/* All displays that show it, and no other. */
static void test_displays(void)
{
    GPU *gpu = start();

    create_and_map(gpu, 1);
    create_and_map(gpu, 2);
    g_assert_cmphex(show_blob(gpu, 0, 1), ==, OK);
    g_assert_cmphex(show_blob(gpu, 1, 2), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_false(shows_buffer(gpu, 0));
    g_assert_true(shows_buffer(gpu, 1));
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    g_assert_false(shows_buffer(gpu, 1));
    gpu_finish(gpu);
}

/* What took the display over from a blob stays when the blob goes. */
static void test_taken_over(void)
{
    GPU *gpu = start();

    create_and_map(gpu, 1);
    create_and_map(gpu, 2);
    g_assert_cmphex(show_blob(gpu, 0, 1), ==, OK);
    g_assert_cmphex(show_texture(gpu, 0, 2), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_true(shows_buffer(gpu, 0));
    g_assert_cmphex(show_texture(gpu, 0, 0), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    gpu_finish(gpu);
}

static void test_reset(void)
{
    GPU *gpu = start();

    create_and_map(gpu, 1);
    g_assert_cmphex(show_blob(gpu, 0, 1), ==, OK);
    gpu_reset(gpu);
    g_assert_false(shows_buffer(gpu, 0));
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "unref", test_unref },
        { "displays", test_displays },
        { "taken-over", test_taken_over },
        { "reset", test_reset },
    };

    return gpu_run_tests(argc, argv, "scanout", tests, G_N_ELEMENTS(tests));
}
