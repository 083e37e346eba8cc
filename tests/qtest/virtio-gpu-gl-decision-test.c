/*
 * qtest for virtio-gpu-gl: which cache type a blob is mapped with
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tables say what each policy does; nothing here computes it.
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-gpu-gl-client.h"

#define SIZE (4 * GPU_PAGE)
#define OFFSET (16 * GPU_PAGE)

static const char *const policies[] = { "safe", "strict", "renderer" };

/*
 * An outcome is a type or the reason of a refusal.
 */
#define CACHED "cached"
#define UNCACHED "uncached"
#define WC "wc"
#define SHORT "buffer-too-short"
#define NOT_RW "buffer-not-read-write"
#define INCOHERENT "exporter-incoherent"
#define UNKNOWN "exporter-unknown-answer"
#define FAILED "exporter-query-failed"
#define DISAGREES "renderer-disagrees"
#define NOBODY "nobody-vouches"
#define MAP_FAILED_ "map-failed"

typedef struct Case {
    const char *name;
    uint64_t blob_id;
    const char *outcome[3]; /* safe, strict, renderer */
    bool no_memory; /* for what is not refused before it is mapped */
} Case;

typedef struct Type {
    const char *name;
    uint32_t map_info;
} Type;

static const Type types[] = {
    { CACHED, VIRTIO_GPU_MAP_CACHE_CACHED },
    { UNCACHED, VIRTIO_GPU_MAP_CACHE_UNCACHED },
    { WC, VIRTIO_GPU_MAP_CACHE_WC },
};

static uint32_t type_of(const char *outcome)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        if (!strcmp(outcome, types[i].name)) {
            return types[i].map_info;
        }
    }
    return 0;
}

static void check_granted(GPU *gpu, uint32_t id)
{
    g_assert_cmphex(gpu_read(gpu, OFFSET), ==, scripted_stamp(id, 0));
    g_assert_cmphex(gpu_read(gpu, OFFSET + SIZE - GPU_PAGE), ==,
                    scripted_stamp(id, 3));
    g_assert_cmphex(gpu_unmap(gpu, id), ==, VIRTIO_GPU_RESP_OK_NODATA);
    g_assert_cmphex(gpu_read(gpu, OFFSET), !=, scripted_stamp(id, 0));
}

static void check_refused(GPU *gpu, uint32_t id, const char *reason,
                          uint64_t before)
{
    g_assert_cmpuint(gpu_refused(gpu, reason), ==, before + 1);
    g_assert_cmphex(gpu_read(gpu, OFFSET), !=, scripted_stamp(id, 0));
    /* Linux unmaps what it could not map. */
    g_assert_cmphex(gpu_unmap(gpu, id), ==, VIRTIO_GPU_RESP_OK_NODATA);
}

static void check_case(GPU *gpu, uint32_t id, const Case *c,
                       const char *outcome)
{
    uint32_t wanted = type_of(outcome), reply, map_info;
    uint64_t before = wanted ? 0 : gpu_refused(gpu, outcome);

    g_assert_cmphex(gpu_create(gpu, id, c->blob_id, SIZE), ==,
                    VIRTIO_GPU_RESP_OK_NODATA);
    reply = gpu_map(gpu, id, OFFSET, &map_info);
    g_test_message("%s: 0x%x, map_info %u, wanted %s", c->name, reply,
                   map_info, outcome);
    g_assert_cmphex(reply, ==, wanted ? GRANTED :
                    c->no_memory && !strcmp(outcome, MAP_FAILED_) ? NO_MEMORY
                                                                  : UNSPEC);
    g_assert_cmpuint(map_info, ==, wanted);
    if (wanted) {
        check_granted(gpu, id);
    } else {
        check_refused(gpu, id, outcome, before);
    }
    g_assert_cmphex(gpu_unref(gpu, id), ==, VIRTIO_GPU_RESP_OK_NODATA);
}

static void run_cases(const Case *cases, size_t n)
{
    size_t p, i;

    for (p = 0; p < G_N_ELEMENTS(policies); p++) {
        GPU *gpu = gpu_start(&(GPUConfig) {
            .hostmem = WINDOW, .policy = policies[p],
        });

        g_test_message("map-policy=%s", policies[p]);
        for (i = 0; i < n; i++) {
            check_case(gpu, i + 1, &cases[i], cases[i].outcome[p]);
        }
        gpu_finish(gpu);
    }
}

/*
 * The exporter
 */

#define W_NONE SCRIPTED_WORD_NONE
#define W_CACHED SCRIPTED_WORD_CACHED
#define W_UNCACHED SCRIPTED_WORD_UNCACHED
#define W_WC SCRIPTED_WORD_WC
#define W_STRAY SCRIPTED_WORD_STRAY
#define W_ONES SCRIPTED_WORD_ONES
#define DMABUF(answer) (SCRIPTED_DMABUF | SCRIPTED_##answer)

static const Case exporter_cases[] = {
    /* It says cached. */
    { "cached", DMABUF(CACHED), { CACHED, CACHED, CACHED } },
    { "cached, none", DMABUF(CACHED) | W_NONE, { CACHED, CACHED, CACHED } },
    { "cached, cached", DMABUF(CACHED) | W_CACHED,
      { CACHED, CACHED, CACHED } },
    { "cached, uncached", DMABUF(CACHED) | W_UNCACHED,
      { CACHED, DISAGREES, UNCACHED } },
    { "cached, wc", DMABUF(CACHED) | W_WC, { CACHED, DISAGREES, WC } },
    { "cached, stray", DMABUF(CACHED) | W_STRAY, { CACHED, CACHED, CACHED } },
    { "cached, ones", DMABUF(CACHED) | W_ONES, { CACHED, CACHED, CACHED } },
    { "cached, after EINTR", DMABUF(CACHED) | SCRIPTED_EINTR,
      { CACHED, CACHED, CACHED } },

    /* It says write-combine. */
    { "wc", DMABUF(WC), { WC, WC, WC } },
    { "wc, none", DMABUF(WC) | W_NONE, { WC, WC, WC } },
    { "wc, cached", DMABUF(WC) | W_CACHED, { WC, DISAGREES, CACHED } },
    { "wc, uncached", DMABUF(WC) | W_UNCACHED, { WC, DISAGREES, UNCACHED } },
    { "wc, wc", DMABUF(WC) | W_WC, { WC, WC, WC } },
    { "wc, stray", DMABUF(WC) | W_STRAY, { WC, WC, WC } },
    { "wc, after EAGAIN", DMABUF(WC) | SCRIPTED_EAGAIN, { WC, WC, WC } },
    { "wc, udmabuf", DMABUF(WC) | SCRIPTED_EXP_UDMABUF, { WC, WC, WC } },

    /* It says incoherent. */
    { "incoherent", DMABUF(INCOHERENT),
      { INCOHERENT, INCOHERENT, INCOHERENT } },
    { "incoherent, none", DMABUF(INCOHERENT) | W_NONE,
      { INCOHERENT, INCOHERENT, INCOHERENT } },
    { "incoherent, cached", DMABUF(INCOHERENT) | W_CACHED,
      { INCOHERENT, INCOHERENT, CACHED } },
    { "incoherent, wc", DMABUF(INCOHERENT) | W_WC,
      { INCOHERENT, INCOHERENT, WC } },
    { "incoherent, stray", DMABUF(INCOHERENT) | W_STRAY,
      { INCOHERENT, INCOHERENT, INCOHERENT } },
    { "incoherent, udmabuf", DMABUF(INCOHERENT) | SCRIPTED_EXP_UDMABUF,
      { INCOHERENT, INCOHERENT, INCOHERENT } },

    /* It says something else, or nothing. */
    { "3", DMABUF(OTHER), { UNKNOWN, UNKNOWN, UNKNOWN } },
    { "3, wc", DMABUF(OTHER) | W_WC, { UNKNOWN, UNKNOWN, WC } },
    { "cached in the low half", DMABUF(OTHER_HIGH),
      { UNKNOWN, UNKNOWN, UNKNOWN } },
    { "EINVAL", DMABUF(EINVAL), { FAILED, FAILED, FAILED } },
    { "EINVAL, cached", DMABUF(EINVAL) | W_CACHED,
      { FAILED, FAILED, CACHED } },
    { "EINVAL, udmabuf", DMABUF(EINVAL) | SCRIPTED_EXP_UDMABUF,
      { FAILED, FAILED, FAILED } },
    { "EFAULT", DMABUF(EFAULT), { FAILED, FAILED, FAILED } },
    { "EFAULT, wc", DMABUF(EFAULT) | W_WC, { FAILED, FAILED, WC } },
    { "EIO", DMABUF(EIO) | W_ONES, { FAILED, FAILED, FAILED } },
    { "EAGAIN for good", DMABUF(CACHED) | SCRIPTED_EAGAIN_ALWAYS,
      { FAILED, FAILED, FAILED } },
    { "EINTR, then EINVAL", DMABUF(EINVAL) | SCRIPTED_EINTR,
      { FAILED, FAILED, FAILED } },
};

static void test_exporter(void)
{
    run_cases(exporter_cases, G_N_ELEMENTS(exporter_cases));
}

/*
 * The exporter's name
 */

#define NAMED(name) (SCRIPTED_DMABUF | SCRIPTED_ENOTTY | SCRIPTED_EXP_##name)

#if defined(HOST_X86_64) || defined(HOST_I386)
#define HEAP_ALONE CACHED
#define HEAP_STRICT CACHED
#define HEAP_WC CACHED
#else
#define HEAP_ALONE NOBODY
#define HEAP_STRICT NOBODY
#define HEAP_WC WC
#endif

static const Case name_cases[] = {
    /* Always cached and coherent */
    { "udmabuf", NAMED(UDMABUF), { CACHED, CACHED, CACHED } },
    { "udmabuf, cached", NAMED(UDMABUF) | W_CACHED,
      { CACHED, CACHED, CACHED } },
    { "udmabuf, wc", NAMED(UDMABUF) | W_WC, { CACHED, CACHED, WC } },
    { "udmabuf, uncached", NAMED(UDMABUF) | W_UNCACHED,
      { CACHED, CACHED, UNCACHED } },
    { "udmabuf, after EINTR", NAMED(UDMABUF) | SCRIPTED_EINTR,
      { CACHED, CACHED, CACHED } },
    { "system", NAMED(SYSTEM), { HEAP_ALONE, HEAP_STRICT, CACHED } },
    { "system, wc", NAMED(SYSTEM) | W_WC, { HEAP_WC, HEAP_STRICT, WC } },

    /* Anybody else */
    { "drm", NAMED(DRM), { NOBODY, NOBODY, CACHED } },
    { "drm, none", NAMED(DRM) | W_NONE, { NOBODY, NOBODY, CACHED } },
    { "drm, cached", NAMED(DRM) | W_CACHED, { CACHED, NOBODY, CACHED } },
    { "drm, uncached", NAMED(DRM) | W_UNCACHED,
      { UNCACHED, NOBODY, UNCACHED } },
    { "drm, wc", NAMED(DRM) | W_WC, { WC, NOBODY, WC } },
    { "drm, stray", NAMED(DRM) | W_STRAY, { NOBODY, NOBODY, CACHED } },
    { "drm, ones", NAMED(DRM) | W_ONES, { NOBODY, NOBODY, CACHED } },
    { "i915, wc", NAMED(I915) | W_WC, { WC, NOBODY, WC } },
    { "other heap", NAMED(HEAP), { NOBODY, NOBODY, CACHED } },

    /* No name, or one that only looks right */
    { "no fdinfo", NAMED(MISSING), { NOBODY, NOBODY, CACHED } },
    { "no fdinfo, wc", NAMED(MISSING) | W_WC, { WC, NOBODY, WC } },
    { "no line", NAMED(NO_LINE), { NOBODY, NOBODY, CACHED } },
    { "forged", NAMED(FORGED), { NOBODY, NOBODY, CACHED } },
    { "longer", NAMED(PREFIX), { NOBODY, NOBODY, CACHED } },
    { "empty", NAMED(EMPTY), { NOBODY, NOBODY, CACHED } },
    { "cut off", NAMED(ENDLESS), { NOBODY, NOBODY, CACHED } },
    { "very long", NAMED(LONG), { NOBODY, NOBODY, CACHED } },
};

static void test_name(void)
{
    run_cases(name_cases, G_N_ELEMENTS(name_cases));
}

/*
 * Other kinds of buffers
 */

static const Case backing_cases[] = {
    /* Shared memory is cached, whoever says what. */
    { "shm", SCRIPTED_SHM, { CACHED, CACHED, CACHED } },
    { "shm, none", SCRIPTED_SHM | W_NONE, { CACHED, CACHED, CACHED } },
    { "shm, wc", SCRIPTED_SHM | W_WC, { CACHED, CACHED, CACHED } },
    { "shm, uncached", SCRIPTED_SHM | W_UNCACHED, { CACHED, CACHED, CACHED } },
    { "shm, answers wc", SCRIPTED_SHM | SCRIPTED_WC,
      { CACHED, CACHED, CACHED } },
    { "shm, answers incoherent", SCRIPTED_SHM | SCRIPTED_INCOHERENT,
      { CACHED, CACHED, CACHED } },

    /* Nobody but the renderer knows. */
    { "opaque", SCRIPTED_OPAQUE, { NOBODY, NOBODY, CACHED } },
    { "opaque, none", SCRIPTED_OPAQUE | W_NONE, { NOBODY, NOBODY, CACHED } },
    { "opaque, cached", SCRIPTED_OPAQUE | W_CACHED,
      { CACHED, NOBODY, CACHED } },
    { "opaque, uncached", SCRIPTED_OPAQUE | W_UNCACHED,
      { UNCACHED, NOBODY, UNCACHED } },
    { "opaque, wc", SCRIPTED_OPAQUE | W_WC, { WC, NOBODY, WC } },
    { "opaque, stray", SCRIPTED_OPAQUE | W_STRAY,
      { NOBODY, NOBODY, CACHED } },
    { "opaque, answers cached", SCRIPTED_OPAQUE | SCRIPTED_CACHED,
      { NOBODY, NOBODY, CACHED } },
    { "opaque, udmabuf", SCRIPTED_OPAQUE | SCRIPTED_EXP_UDMABUF,
      { NOBODY, NOBODY, CACHED } },
    { "opaque, no length", SCRIPTED_OPAQUE | W_CACHED | SCRIPTED_NO_LENGTH,
      { CACHED, NOBODY, CACHED } },
    { "no fd", SCRIPTED_NONE, { NOBODY, NOBODY, CACHED } },
    { "no fd, cached", SCRIPTED_NONE | W_CACHED, { CACHED, NOBODY, CACHED } },
    { "no fd, uncached", SCRIPTED_NONE | W_UNCACHED,
      { UNCACHED, NOBODY, UNCACHED } },
    { "no fd, wc", SCRIPTED_NONE | W_WC, { WC, NOBODY, WC } },
    { "no fd, ones", SCRIPTED_NONE | W_ONES, { NOBODY, NOBODY, CACHED } },

    /* Faulty fds: before anybody is asked */
    { "dma-buf, half", DMABUF(CACHED) | W_CACHED | SCRIPTED_HALF,
      { SHORT, SHORT, SHORT } },
    { "dma-buf, a byte short", DMABUF(WC) | W_WC | SCRIPTED_BYTE_SHORT,
      { SHORT, SHORT, SHORT } },
    { "dma-buf, no length", DMABUF(CACHED) | SCRIPTED_NO_LENGTH,
      { SHORT, SHORT, SHORT } },
    { "dma-buf, read-only", DMABUF(CACHED) | W_CACHED | SCRIPTED_READ_ONLY,
      { NOT_RW, NOT_RW, NOT_RW } },
    { "dma-buf, write-only", DMABUF(CACHED) | SCRIPTED_WRITE_ONLY,
      { NOT_RW, NOT_RW, NOT_RW } },
    { "udmabuf, half", NAMED(UDMABUF) | SCRIPTED_HALF,
      { SHORT, SHORT, SHORT } },
    { "shm, half", SCRIPTED_SHM | SCRIPTED_HALF, { SHORT, SHORT, SHORT } },
    { "shm, a byte short", SCRIPTED_SHM | SCRIPTED_BYTE_SHORT,
      { SHORT, SHORT, SHORT } },
    { "shm, no length", SCRIPTED_SHM | SCRIPTED_NO_LENGTH,
      { SHORT, SHORT, SHORT } },
    { "shm, read-only", SCRIPTED_SHM | SCRIPTED_READ_ONLY,
      { NOT_RW, NOT_RW, NOT_RW } },
    { "shm, write-only", SCRIPTED_SHM | SCRIPTED_WRITE_ONLY,
      { NOT_RW, NOT_RW, NOT_RW } },
    { "shm that is none", SCRIPTED_SHM | W_CACHED | SCRIPTED_NO_SEALS,
      { CACHED, NOBODY, CACHED } },
    { "shm that is none, nobody's word", SCRIPTED_SHM | SCRIPTED_NO_SEALS,
      { NOBODY, NOBODY, CACHED } },
    { "opaque, half", SCRIPTED_OPAQUE | W_CACHED | SCRIPTED_HALF,
      { SHORT, SHORT, SHORT } },
    { "opaque, read-only", SCRIPTED_OPAQUE | W_CACHED | SCRIPTED_READ_ONLY,
      { NOT_RW, NOT_RW, NOT_RW } },

    /* Granted, but it does not work out */
    { "shm, ENOMEM", SCRIPTED_SHM | SCRIPTED_MMAP_ENOMEM,
      { MAP_FAILED_, MAP_FAILED_, MAP_FAILED_ }, true },
    { "dma-buf, EINVAL", DMABUF(CACHED) | SCRIPTED_MMAP_EINVAL,
      { MAP_FAILED_, MAP_FAILED_, MAP_FAILED_ } },
    { "dma-buf, ENODEV", DMABUF(WC) | SCRIPTED_MMAP_ENODEV,
      { MAP_FAILED_, MAP_FAILED_, MAP_FAILED_ } },
    { "no fd, EINVAL", SCRIPTED_NONE | W_CACHED | SCRIPTED_PTR_EINVAL,
      { MAP_FAILED_, NOBODY, MAP_FAILED_ } },
    { "no fd, ENOMEM", SCRIPTED_NONE | W_CACHED | SCRIPTED_PTR_ENOMEM,
      { MAP_FAILED_, NOBODY, MAP_FAILED_ }, true },
    { "no fd, misaligned", SCRIPTED_NONE | W_WC | SCRIPTED_PTR_MISALIGNED,
      { MAP_FAILED_, NOBODY, MAP_FAILED_ } },
    { "no fd, no pointer", SCRIPTED_NONE | W_WC | SCRIPTED_PTR_NULL,
      { MAP_FAILED_, NOBODY, MAP_FAILED_ } },
    { "no fd, short", SCRIPTED_NONE | W_CACHED | SCRIPTED_PTR_SHORT,
      { SHORT, NOBODY, SHORT } },
    { "no fd, twice as long", SCRIPTED_NONE | W_CACHED | SCRIPTED_PTR_TWICE,
      { CACHED, NOBODY, CACHED } },
    { "no fd, read-only", SCRIPTED_NONE | W_CACHED | SCRIPTED_MEM_READ_ONLY,
      { NOT_RW, NOBODY, NOT_RW } },
    { "no fd, a driver's", SCRIPTED_NONE | W_WC | SCRIPTED_MEM_DRIVER,
      { WC, NOBODY, WC } },
};

static void test_backing(void)
{
    run_cases(backing_cases, G_N_ELEMENTS(backing_cases));
}

/*
 * What is asked, and how often
 */

typedef struct Effort {
    const char *name;
    uint64_t blob_id;
    unsigned queries;
    unsigned names;
} Effort;

/* Nothing is read that cannot change the answer; all of these are granted. */
static const Effort efforts[] = {
    { "dma-buf that answers", DMABUF(CACHED) | W_WC | SCRIPTED_EXP_DRM, 1, 0 },
    { "dma-buf that answers wc", DMABUF(WC) | SCRIPTED_EXP_UDMABUF, 1, 0 },
    { "interrupted", DMABUF(CACHED) | SCRIPTED_EINTR,
      1 + SCRIPTED_RETRIES, 0 },
    { "to be asked again", DMABUF(CACHED) | SCRIPTED_EAGAIN,
      1 + SCRIPTED_RETRIES, 0 },
    { "old kernel", NAMED(UDMABUF), 1, 1 },
    { "old kernel, renderer agrees", NAMED(UDMABUF) | W_CACHED, 1, 0 },
    { "old kernel, renderer differs", NAMED(UDMABUF) | W_WC, 1, 1 },
    { "shm", SCRIPTED_SHM | SCRIPTED_EXP_UDMABUF, 0, 0 },
    { "opaque", SCRIPTED_OPAQUE | W_WC | SCRIPTED_EXP_UDMABUF, 0, 0 },
    { "no fd", SCRIPTED_NONE | W_CACHED, 0, 0 },
};

static void test_effort(void)
{
    GPU *gpu = gpu_start_plain();
    const struct scripted_shared *s = gpu_shared(gpu);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(efforts); i++) {
        uint64_t queries = s->queries, names = s->names;

        g_test_message("%s", efforts[i].name);
        gpu_create(gpu, 1, efforts[i].blob_id, SIZE);
        g_assert_cmphex(gpu_map(gpu, 1, OFFSET, NULL), ==,
                        VIRTIO_GPU_RESP_OK_MAP_INFO);
        g_assert_cmpuint(s->queries - queries, ==, efforts[i].queries);
        g_assert_cmpuint(s->names - names, ==, efforts[i].names);
        gpu_unmap(gpu, 1);
        gpu_unref(gpu, 1);
    }
    gpu_finish(gpu);
}

/* The answer may change until the blob is mapped: it is asked for then. */
static void test_late(void)
{
    GPU *gpu = gpu_start_plain();
    const struct scripted_shared *s = gpu_shared(gpu);

    gpu_create(gpu, 1, DMABUF(CACHED), SIZE);
    g_assert_cmpuint(s->queries + s->exports + s->words, ==, 0);
    gpu_map(gpu, 1, OFFSET, NULL);
    gpu_unmap(gpu, 1);
    gpu_map(gpu, 1, OFFSET, NULL);
    g_assert_cmpuint(s->queries, ==, 2);
    g_assert_cmpuint(s->closes, ==, 2);
    gpu_unmap(gpu, 1);
    gpu_stop(gpu);
}

/*
 * The VM
 */

static void test_confidential(void)
{
    size_t p;

    for (p = 0; p < G_N_ELEMENTS(policies); p++) {
        GPU *gpu = gpu_start(&(GPUConfig) {
            .hostmem = WINDOW, .policy = policies[p],
            .watch = SCRIPTED_WATCH_CONFIDENTIAL,
            .args = "-object sev-guest,id=sev,cbitpos=47,reduced-phys-bits=1 "
                    "-machine confidential-guest-support=sev",
        });

        check_case(gpu, 1, &(Case) { "shm", SCRIPTED_SHM },
                   "confidential-guest");
        check_case(gpu, 2, &(Case) { "dma-buf", DMABUF(CACHED) | W_CACHED },
                   "confidential-guest");
        g_assert_cmpuint(gpu_shared(gpu)->exports, ==, 0);
        gpu_check_nothing_left(gpu);
        gpu_reset(gpu);
        gpu_stop(gpu);
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "exporter", test_exporter },
        { "exporter-name", test_name },
        { "backing", test_backing },
        { "effort", test_effort },
        { "late", test_late },
        { "confidential", test_confidential },
    };

    return gpu_run_tests(argc, argv, "decision", tests, G_N_ELEMENTS(tests));
}
