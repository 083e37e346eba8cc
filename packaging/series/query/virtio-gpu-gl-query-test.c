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

#define EXPORTED(a, w) DMABUF(.answer = ANSWER_##a, .word = WORD_##w)
#define MEMFD(w) SHM(.word = WORD_##w)
#define MAPPED(w) NO_FD(.word = WORD_##w)
#define UDMABUF DMABUF(.exporter = EXPORTER_UDMABUF)
#define SHORT_FILE SHM(.length = LENGTH_HALF)
#define READ_ONLY SHM(.access = ACCESS_READ_ONLY)

static const struct {
    ScriptedBlob blob;
    uint32_t safe, strict, renderer; /* map_info, or REFUSED */
} rows[] = {
    /* the exporter's answer, and the renderer's type */
    { EXPORTED(CACHED, CACHED), CACHED, CACHED, CACHED },
    { EXPORTED(CACHED, WC), CACHED, REFUSED, WC },
    { EXPORTED(WC, ERROR), WC, WC, WC },
    { EXPORTED(INCOHERENT, CACHED), REFUSED, REFUSED, CACHED },
    { EXPORTED(OTHER, ERROR), REFUSED, REFUSED, REFUSED },
    /* no answer */
    { EXPORTED(ENOTTY, WC), WC, REFUSED, WC },
    { EXPORTED(ENOTTY, STRAY), REFUSED, REFUSED, CACHED },
    { UDMABUF, CACHED, CACHED, CACHED },
    /* no dma-buf */
    { MEMFD(ERROR), CACHED, CACHED, CACHED },
    { MAPPED(CACHED), CACHED, REFUSED, CACHED },
    { MAPPED(ERROR), REFUSED, REFUSED, CACHED },
    /* a buffer that is too short, and one that cannot be written to */
    { SHORT_FILE, REFUSED, REFUSED, REFUSED },
    { READ_ONLY, REFUSED, REFUSED, REFUSED },
};

static uint32_t map_type(GPU *gpu, ScriptedBlob blob)
{
    uint32_t map_info, answer;

    g_assert_cmphex(gpu_create(gpu, 1, blob, 4 * GPU_PAGE), ==, OK);
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
            g_assert_cmpuint(map_type(gpu, rows[i].blob), ==,
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
        { "policies", .alone = test_policies },
        { "requests", .alone = test_requests },
    };

    return gpu_run_tests(argc, argv, "query", tests, G_N_ELEMENTS(tests));
}
