/*
 * qtest for virtio-gpu-gl: the answer to RESOURCE_MAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

#define CACHED VIRTIO_GPU_MAP_CACHE_CACHED
#define WC VIRTIO_GPU_MAP_CACHE_WC
#define REFUSED 0

static const struct {
    uint64_t blob_id;
    uint32_t safe, strict, renderer; /* map_info, or REFUSED */
} rows[] = {
    /* the exporter's answer; its renderer's type */
    { SCRIPTED_DMABUF | SCRIPTED_CACHED | SCRIPTED_WORD_CACHED,
      CACHED, CACHED, CACHED },
    { SCRIPTED_DMABUF | SCRIPTED_CACHED | SCRIPTED_WORD_WC,
      CACHED, REFUSED, WC },
    { SCRIPTED_DMABUF | SCRIPTED_WC | SCRIPTED_WORD_ERROR, WC, WC, WC },
    { SCRIPTED_DMABUF | SCRIPTED_INCOHERENT | SCRIPTED_WORD_CACHED,
      REFUSED, REFUSED, CACHED },
    { SCRIPTED_DMABUF | SCRIPTED_OTHER | SCRIPTED_WORD_ERROR,
      REFUSED, REFUSED, REFUSED },
    /* no answer */
    { SCRIPTED_DMABUF | SCRIPTED_ENOTTY | SCRIPTED_WORD_WC, WC, REFUSED, WC },
    { SCRIPTED_DMABUF | SCRIPTED_ENOTTY | SCRIPTED_WORD_STRAY,
      REFUSED, REFUSED, CACHED },
    { SCRIPTED_DMABUF | SCRIPTED_ENOTTY | SCRIPTED_EXP_UDMABUF,
      CACHED, CACHED, CACHED },
    /* no dma-buf */
    { SCRIPTED_SHM | SCRIPTED_WORD_ERROR, CACHED, CACHED, CACHED },
    { SCRIPTED_NONE | SCRIPTED_WORD_CACHED, CACHED, REFUSED, CACHED },
    { SCRIPTED_NONE | SCRIPTED_WORD_ERROR, REFUSED, REFUSED, CACHED },
    /* a buffer that is too short, and one that cannot be written to */
    { SCRIPTED_SHM | SCRIPTED_HALF, REFUSED, REFUSED, REFUSED },
    { SCRIPTED_SHM | SCRIPTED_READ_ONLY, REFUSED, REFUSED, REFUSED },
};

static uint32_t map_type(GPU *gpu, uint64_t blob_id)
{
    uint32_t map_info, answer;

    g_assert_cmphex(gpu_create(gpu, 1, blob_id, 4 * GPU_PAGE), ==, OK);
    answer = gpu_map(gpu, 1, GPU_PAGE, &map_info);
    if (answer == GRANTED) {
        g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(1, 0));
    } else {
        g_assert_cmphex(answer, ==, UNSPEC);
    }
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    return map_info;
}

static void test_policies(void)
{
    static const char *const policies[] = { "safe", "strict", "renderer" };
    size_t policy, i;

    for (policy = 0; policy < G_N_ELEMENTS(policies); policy++) {
        GPU *gpu = gpu_start(&(GPUConfig) {
            .hostmem = WINDOW, .policy = policies[policy], .log = "/dev/null",
        });

        for (i = 0; i < G_N_ELEMENTS(rows); i++) {
            const uint32_t expected[] = {
                rows[i].safe, rows[i].strict, rows[i].renderer,
            };

            g_test_message("%s, row %zu", policies[policy], i);
            g_assert_cmpuint(map_type(gpu, rows[i].blob_id), ==,
                             expected[policy]);
        }
        gpu_stop(gpu);
    }
}

/* Requests that no buffer can make right */
static void test_requests(void)
{
    static const uint64_t offsets[] = {
        0x100, WINDOW - GPU_PAGE, WINDOW, -GPU_PAGE, GPU_PAGE,
    };
    GPU *gpu = gpu_start_plain();
    size_t i;

    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, 2 * GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 1, 4 * GPU_PAGE, NULL), ==, BAD);
    g_assert_cmphex(gpu_create(gpu, 2, BUFFER, 2 * GPU_PAGE), ==, OK);
    for (i = 0; i < G_N_ELEMENTS(offsets); i++) {
        g_assert_cmphex(gpu_map(gpu, 2, offsets[i], NULL), ==, BAD);
    }
    g_assert_cmphex(gpu_create_flags(gpu, 3, BUFFER, GPU_PAGE, 0), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 3, 8 * GPU_PAGE, NULL), ==, BAD);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "policies", test_policies },
        { "requests", test_requests },
    };

    return gpu_run_tests(argc, argv, "query", tests, G_N_ELEMENTS(tests));
}
