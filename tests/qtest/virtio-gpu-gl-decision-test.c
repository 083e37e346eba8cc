/*
 * qtest for virtio-gpu-gl: which cache type a blob is mapped with, or why not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The unit test of the decision goes through all facts.  Here each fact is
 * found out, about a buffer that behaves as told, on a host whose kernel,
 * processor and KVM answer as told.  The tables say what each policy does;
 * nothing here computes it.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/memfd.h"
#include "qobject/qdict.h"
#include "standard-headers/linux/virtio_config.h"
#include "virtio-gpu-gl-client.h"

#include <sys/resource.h>

#define SIZE (4 * GPU_PAGE)
#define OFFSET (2 * GPU_MIB) /* where a huge page could be mapped */

static const char *const policies[] = { "safe", "strict", "renderer" };

/* An outcome is a type or the reason of a refusal. */
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
#define NO_MAP "map-failed"
#define ALL(outcome) { outcome, outcome, outcome }

typedef struct Case {
    ScriptedBlob blob;
    const char *outcome[3]; /* safe, strict, renderer */
    bool no_memory; /* for what is not refused before it is mapped */
} Case;

static uint32_t type_of(const char *outcome)
{
    return !strcmp(outcome, CACHED) ? VIRTIO_GPU_MAP_CACHE_CACHED
           : !strcmp(outcome, UNCACHED) ? VIRTIO_GPU_MAP_CACHE_UNCACHED
           : !strcmp(outcome, WC) ? VIRTIO_GPU_MAP_CACHE_WC : 0;
}

static void check_case(GPU *gpu, uint32_t id, const Case *c,
                       const char *outcome)
{
    uint32_t wanted = type_of(outcome), reply, map_info;
    uint64_t before = wanted ? 0 : gpu_refused(gpu, outcome);

    g_assert_cmphex(gpu_create(gpu, id, c->blob, SIZE), ==, OK);
    reply = gpu_map(gpu, id, OFFSET, &map_info);
    g_test_message("row %u: 0x%x, map_info %u, wanted %s", id, reply,
                   map_info, outcome);
    g_assert_cmphex(reply, ==, wanted ? GRANTED :
                    c->no_memory && !strcmp(outcome, NO_MAP) ? NO_MEMORY
                                                             : UNSPEC);
    g_assert_cmpuint(map_info, ==, wanted);
    if (wanted) {
        g_assert_true(gpu_shows(gpu, OFFSET, id, 0));
        g_assert_true(gpu_shows(gpu, OFFSET + SIZE - GPU_PAGE, id, 3));
    } else {
        g_assert_cmpuint(gpu_refused(gpu, outcome), ==, before + 1);
    }
    /* Linux unmaps what it could not map, too. */
    g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
    g_assert_false(gpu_shows(gpu, OFFSET, id, 0));
    g_assert_cmphex(gpu_unref(gpu, id), ==, OK);
}

static void run_cases(const Case *cases, size_t n)
{
    for (size_t p = 0; p < G_N_ELEMENTS(policies); p++) {
        GPU *gpu = gpu_start(&(GPUConfig) {
            .hostmem = WINDOW, .policy = policies[p],
        });

        g_test_message("map-policy=%s", policies[p]);
        for (size_t i = 0; i < n; i++) {
            check_case(gpu, i + 1, &cases[i], cases[i].outcome[p]);
        }
        gpu_finish(gpu);
    }
}

/*
 * The exporter
 */

/* One that gives an answer, and what the renderer's word is */
#define ANSWERS(a, ...) DMABUF(.answer = ANSWER_##a, __VA_ARGS__)
#define SAYS(word_) .word = WORD_##word_

static const Case exporter_cases[] = {
    { ANSWERS(CACHED), ALL(CACHED) },
    { ANSWERS(CACHED, SAYS(NONE)), ALL(CACHED) },
    { ANSWERS(CACHED, SAYS(CACHED)), ALL(CACHED) },
    { ANSWERS(CACHED, SAYS(UNCACHED)), { CACHED, DISAGREES, UNCACHED } },
    { ANSWERS(CACHED, SAYS(WC)), { CACHED, DISAGREES, WC } },
    { ANSWERS(CACHED, SAYS(STRAY)), ALL(CACHED) },
    { ANSWERS(CACHED, SAYS(ONES)), ALL(CACHED) },
    { ANSWERS(CACHED, .retry = RETRY_EINTR), ALL(CACHED) },
    { ANSWERS(CACHED, .retry = RETRY_ALWAYS), ALL(FAILED) },

    { ANSWERS(WC), ALL(WC) },
    { ANSWERS(WC, SAYS(CACHED)), { WC, DISAGREES, CACHED } },
    { ANSWERS(WC, .retry = RETRY_EAGAIN), ALL(WC) },
    { ANSWERS(WC, .exporter = EXPORTER_UDMABUF), ALL(WC) },

    { ANSWERS(INCOHERENT), ALL(INCOHERENT) },
    { ANSWERS(INCOHERENT, SAYS(CACHED)), { INCOHERENT, INCOHERENT, CACHED } },
    { ANSWERS(INCOHERENT, .exporter = EXPORTER_UDMABUF), ALL(INCOHERENT) },
    { ANSWERS(OTHER), ALL(UNKNOWN) },
    { ANSWERS(OTHER, SAYS(WC)), { UNKNOWN, UNKNOWN, WC } },
    { ANSWERS(OTHER_HIGH), ALL(UNKNOWN) },
    { ANSWERS(EINVAL), ALL(FAILED) },
    { ANSWERS(EINVAL, .exporter = EXPORTER_UDMABUF), ALL(FAILED) },
    { ANSWERS(EFAULT, SAYS(WC)), { FAILED, FAILED, WC } },
};

static void test_exporter(void)
{
    run_cases(exporter_cases, G_N_ELEMENTS(exporter_cases));
}

/* One that does not answer */
#define NAMED(name, ...) DMABUF(.exporter = EXPORTER_##name, __VA_ARGS__)

#if defined(HOST_X86_64) || defined(HOST_I386)
#define HEAP CACHED
#define HEAP_WC CACHED
#else
#define HEAP NOBODY
#define HEAP_WC WC
#endif

static const Case name_cases[] = {
    /* Always cached and coherent */
    { NAMED(UDMABUF), ALL(CACHED) },
    { NAMED(UDMABUF, SAYS(WC)), { CACHED, CACHED, WC } },
    { NAMED(UDMABUF, .retry = RETRY_EINTR), ALL(CACHED) },
    { NAMED(SYSTEM), { HEAP, HEAP, CACHED } },
    { NAMED(SYSTEM, SAYS(WC)), { HEAP_WC, HEAP, WC } },

    /* Any other */
    { NAMED(DRM), { NOBODY, NOBODY, CACHED } },
    { NAMED(DRM, SAYS(CACHED)), { CACHED, NOBODY, CACHED } },
    { NAMED(DRM, SAYS(UNCACHED)), { UNCACHED, NOBODY, UNCACHED } },
    { NAMED(DRM, SAYS(STRAY)), { NOBODY, NOBODY, CACHED } },
    { NAMED(I915, SAYS(WC)), { WC, NOBODY, WC } },

    /* No name, or one that only looks right */
    { NAMED(HEAP), { NOBODY, NOBODY, CACHED } },
    { NAMED(MISSING), { NOBODY, NOBODY, CACHED } },
    { NAMED(NO_LINE), { NOBODY, NOBODY, CACHED } },
    { NAMED(FORGED), { NOBODY, NOBODY, CACHED } },
    { NAMED(PREFIX), { NOBODY, NOBODY, CACHED } },
    { NAMED(EMPTY), { NOBODY, NOBODY, CACHED } },
    { NAMED(ENDLESS), { NOBODY, NOBODY, CACHED } },
    { NAMED(LONG), { NOBODY, NOBODY, CACHED } },
};

static void test_name(void)
{
    run_cases(name_cases, G_N_ELEMENTS(name_cases));
}

/*
 * Other kinds of buffers
 */

static const Case backing_cases[] = {
    /* Shared memory is cached, whatever anything says. */
    { SHM(), ALL(CACHED) },
    { SHM(SAYS(WC), .answer = ANSWER_INCOHERENT), ALL(CACHED) },
    { SHM(SAYS(CACHED), .no_seals = true), { CACHED, NOBODY, CACHED } },
    { SHM(.no_seals = true), { NOBODY, NOBODY, CACHED } },
    { SHM(.large_blocks = true), ALL(CACHED) },

    /* Only the renderer knows. */
    { OPAQUE(), { NOBODY, NOBODY, CACHED } },
    { OPAQUE(SAYS(UNCACHED)), { UNCACHED, NOBODY, UNCACHED } },
    { OPAQUE(.answer = ANSWER_CACHED, .exporter = EXPORTER_UDMABUF),
      { NOBODY, NOBODY, CACHED } },
    { OPAQUE(SAYS(CACHED), .length = LENGTH_NONE),
      { CACHED, NOBODY, CACHED } },
    { NO_FD(), { NOBODY, NOBODY, CACHED } },
    { NO_FD(SAYS(CACHED)), { CACHED, NOBODY, CACHED } },
    { NO_FD(SAYS(WC)), { WC, NOBODY, WC } },
    { NO_FD(SAYS(ONES)), { NOBODY, NOBODY, CACHED } },

    /* Faulty fds: before anything is asked */
    { BUFFER_BUT(.length = LENGTH_HALF), ALL(SHORT) },
    { ANSWERS(WC, SAYS(WC), .length = LENGTH_BYTE_SHORT), ALL(SHORT) },
    { ANSWERS(CACHED, .length = LENGTH_NONE), ALL(SHORT) },
    { BUFFER_BUT(.access = ACCESS_READ_ONLY), ALL(NOT_RW) },
    { ANSWERS(CACHED, .access = ACCESS_WRITE_ONLY), ALL(NOT_RW) },
    { SHM(.length = LENGTH_HALF), ALL(SHORT) },
    { SHM(.length = LENGTH_BYTE_SHORT), ALL(SHORT) },
    { SHM(.length = LENGTH_NONE), ALL(SHORT) },
    { SHM(.access = ACCESS_READ_ONLY), ALL(NOT_RW) },
    { OPAQUE(SAYS(CACHED), .length = LENGTH_HALF), ALL(SHORT) },
    { OPAQUE(SAYS(CACHED), .access = ACCESS_READ_ONLY), ALL(NOT_RW) },

    /* Granted, but it does not work out */
    { SHM(.mmap = MMAP_ENOMEM), ALL(NO_MAP), true },
    { BUFFER_BUT(.mmap = MMAP_EINVAL), ALL(NO_MAP) },
    { ANSWERS(WC, .mmap = MMAP_ENODEV), ALL(NO_MAP) },
    { POINTER_BUT(.pointer = POINTER_EINVAL), { NO_MAP, NOBODY, NO_MAP } },
    { POINTER_BUT(.pointer = POINTER_ENOMEM), { NO_MAP, NOBODY, NO_MAP },
      true },
    { POINTER_BUT(.pointer = POINTER_MISALIGNED),
      { NO_MAP, NOBODY, NO_MAP } },
    { POINTER_BUT(.pointer = POINTER_NULL), { NO_MAP, NOBODY, NO_MAP } },
    { POINTER_BUT(.pointer = POINTER_SHORT), { SHORT, NOBODY, SHORT } },
    { POINTER_BUT(.pointer = POINTER_TWICE), { CACHED, NOBODY, CACHED } },
    { POINTER_BUT(.memory = MEMORY_READ_ONLY), { NOT_RW, NOBODY, NOT_RW } },
    { NO_FD(SAYS(WC), .memory = MEMORY_DRIVER), { WC, NOBODY, WC } },

    /* The last: not all hosts have huge pages. */
    { SHM(.huge_pages = true), ALL(NO_MAP) },
};

static void test_backing(void)
{
    bool huge = g_file_test("/sys/kernel/mm/hugepages", G_FILE_TEST_EXISTS);

    run_cases(backing_cases, G_N_ELEMENTS(backing_cases) - !huge);
}

/*
 * What is asked, and how often
 */

/*
 * All of these are granted.  Nothing is asked before the blob is mapped, and
 * nothing that cannot change the decision.  A dma-buf's exporter is known for
 * good, if it is the same dma-buf; its answer may change, and is asked for each
 * time.
 */
static void test_effort(GPU *gpu)
{
    static const struct {
        ScriptedBlob blob;
        unsigned queries; /* for each map */
        unsigned names;   /* read for three maps */
    } rows[] = {
        { ANSWERS(CACHED, SAYS(WC), .exporter = EXPORTER_DRM), 1, 0 },
        { ANSWERS(WC, .exporter = EXPORTER_UDMABUF), 1, 0 },
        { ANSWERS(CACHED, .retry = RETRY_EINTR), 1 + SCRIPTED_RETRIES, 0 },
        { ANSWERS(CACHED, .retry = RETRY_EAGAIN), 1 + SCRIPTED_RETRIES, 0 },
        { NAMED(UDMABUF), 1, 1 },
        { NAMED(UDMABUF, SAYS(CACHED)), 1, 0 },
        { NAMED(UDMABUF, SAYS(WC)), 1, 1 },
        { NAMED(UDMABUF, SAYS(WC), .new_export = true), 1, 3 },
        { NAMED(MISSING, SAYS(WC)), 1, 3 },
        { SHM(.exporter = EXPORTER_UDMABUF), 0, 0 },
        { OPAQUE(SAYS(WC), .exporter = EXPORTER_UDMABUF), 0, 0 },
        { POINTER, 0, 0 },
    };
    struct scripted_shared *s = gpu->shared;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("row %zu", i);
        s->queries = s->names = s->words = s->exports = s->closes = 0;
        gpu_create(gpu, 1, rows[i].blob, GPU_PAGE);
        g_assert_cmpuint(s->queries + s->words + s->exports, ==, 0);
        for (size_t j = 1; j <= 3; j++) {
            g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
            g_assert_cmpuint(s->queries, ==, j * rows[i].queries);
            g_assert_cmpuint(s->exports, ==,
                             rows[i].blob.backing == BACKING_NONE ? 0 : j);
            g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        }
        g_assert_cmpuint(s->names, ==, rows[i].names);
        gpu_unref(gpu, 1);
    }
}

/* Where the name does not matter, the mapping does not depend on it. */
static void test_no_name_for_trace(GPU *gpu)
{
    QDict *map;

    gpu_map_new(gpu, 1, BUFFER_BUT(.exporter = EXPORTER_I915), GPU_PAGE, 0);
    map = gpu_mapping(gpu, 1);
    g_assert_cmpstr(qdict_get_str(map, "exporter"), ==, "i915");
    qobject_unref(map);
    gpu_unref(gpu, 1);

    gpu_create(gpu, 1, BUFFER_BUT(.exporter = EXPORTER_I915), GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_FDINFO, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_unref(gpu, 1);
}

/* OpenGL's word is the same for a guest that has read no capset. */
static void test_word(GPU *gpu)
{
    const struct virtio_gpu_ctx_create context = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_CTX_CREATE),
        .hdr.ctx_id = cpu_to_le32(1),
    };
    struct scripted_shared *s = gpu->shared;
    unsigned i;

    for (i = 1; i <= 2; i++) {
        s->fewer_capsets = i - 1;
        gpu_simple(gpu, VIRTIO_GPU_CMD_GET_DISPLAY_INFO, 0);
        g_assert_cmpuint(s->fills, ==, i - 1);
        g_assert_cmphex(gpu_send(gpu, &context, sizeof(context)), ==, OK);
        gpu_map_new(gpu, 1, OPAQUE(SAYS(CACHED), .gl = true), GPU_PAGE, 0);
        gpu_unref(gpu, 1);
        gpu_map_new(gpu, 1, OPAQUE(SAYS(CACHED), .gl = true), GPU_PAGE, 0);
        g_assert_cmpuint(s->fills, ==, i);
        gpu_reset(gpu);
    }
    /* A renderer without OpenGL has none. */
    s->fewer_capsets = 2;
    g_assert_cmphex(gpu_send(gpu, &context, sizeof(context)), ==, OK);
    g_assert_cmpuint(s->fills, ==, 2);
}

static void test_confidential(void)
{
    for (size_t p = 0; p < G_N_ELEMENTS(policies); p++) {
        GPU *gpu = gpu_start(&(GPUConfig) {
            .hostmem = WINDOW, .policy = policies[p],
            .watch = SCRIPTED_WATCH_CONFIDENTIAL,
            .features = 1ull << VIRTIO_F_ACCESS_PLATFORM,
            .args = "-object sev-guest,id=sev,cbitpos=47,reduced-phys-bits=1 "
                    "-machine confidential-guest-support=sev",
        });

        check_case(gpu, 1, &(Case) { SHM() }, "confidential-guest");
        check_case(gpu, 2, &(Case) { BUFFER }, "confidential-guest");
        g_assert_cmpuint(gpu->shared->exports, ==, 0);
        gpu_check_nothing_left(gpu);
        gpu_reset(gpu);
        gpu_stop(gpu);
    }
}

/*
 * Seals
 */

/* It keeps its length for as long as a guest can see it, and after. */
static void test_sealed(GPU *gpu)
{
    int fd;

    gpu_create(gpu, 1, SHM(), SIZE);
    fd = gpu_buffer_open(gpu, 1);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, F_SEAL_SHRINK);
    g_assert_cmpint(ftruncate(fd, GPU_PAGE), ==, -1);
    g_assert_true(gpu_shows(gpu, 3 * GPU_PAGE, 1, 3));
    /* Once is enough. */
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, F_SEAL_SHRINK);
    close(fd);
    gpu_unref(gpu, 1);
}

/*
 * A buffer that is refused stays as it is; one that gets shorter before it is
 * sealed is not mapped; one that cannot be sealed any more is mapped.
 */
static void test_not_sealed(GPU *gpu)
{
    static const struct {
        ScriptedBlob blob;
        uint32_t fail, answer;
        int seals;
    } rows[] = {
        { SHM(.length = LENGTH_HALF), 0, UNSPEC, 0 },
        { SHM(), SCRIPTED_SHRINK, UNSPEC, F_SEAL_SHRINK },
        { SHM(.sealed = true), 0, GRANTED, F_SEAL_SEAL },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        int fd;

        gpu_create(gpu, 1, rows[i].blob, SIZE);
        fd = gpu_buffer_open(gpu, 1);
        gpu_fail(gpu, rows[i].fail, 0, 1);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, rows[i].answer);
        g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, rows[i].seals);
        close(fd);
        gpu_unref(gpu, 1);
    }
    g_assert_cmpuint(gpu_refused(gpu, SHORT), ==, 2);
}

/* The fd is a copy of the renderer's, which has the same offset. */
static void test_offset(GPU *gpu)
{
    for (unsigned i = 0; i < 2; i++) {
        g_autofree char *path = NULL, *info = NULL;

        gpu_map_new(gpu, 1, i ? SHM() : OPAQUE(SAYS(CACHED)), GPU_PAGE, 0);
        path = g_strdup_printf("/proc/%d/fdinfo/%d", (int)gpu->pid,
                               gpu->shared->fd[1]);
        g_assert_true(g_file_get_contents(path, &info, NULL, NULL));
        g_assert_true(g_str_has_prefix(info, "pos:\t0\n"));
        gpu_unref(gpu, 1);
    }
}

/*
 * No fds left
 */

static unsigned lowest_free_fd(pid_t pid)
{
    unsigned fd;

    for (fd = 0;; fd++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/%u", (int)pid,
                                                fd);
        struct stat st;

        if (lstat(path, &st)) {
            return fd;
        }
    }
}

/* What MAP_BLOB answers while QEMU may open @left files more */
static uint32_t map_with_fds(GPU *gpu, uint32_t id, unsigned left)
{
    pid_t pid = gpu->pid;
    struct rlimit old, new;
    uint32_t answer;

    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, NULL, &old), ==, 0);
    new = old;
    new.rlim_cur = lowest_free_fd(pid) + left;
    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, &new, NULL), ==, 0);
    answer = gpu_map(gpu, id, 0, NULL);
    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, &old, NULL), ==, 0);
    return answer;
}

/* What cannot be found out is refused, and not taken for something else. */
static void test_no_fds(GPU *gpu)
{
    static const struct {
        ScriptedBlob blob;
        unsigned left;
        uint32_t otherwise;
    } rows[] = {
        { ANSWERS(INCOHERENT, SAYS(CACHED)), 0, UNSPEC },
        { SHM(), 0, GRANTED },
        { DMABUF(SAYS(CACHED), .length = LENGTH_HALF), 0, UNSPEC },
        /* no fd to be had, which is probed by opening several */
        { POINTER, 0, GRANTED },
        { POINTER, 3, GRANTED },
        /* no file for the name */
        { NAMED(UDMABUF, SAYS(WC)), 1, GRANTED },
    };
    unsigned before = gpu_count_fds(gpu, "eventfd");
    uint64_t names;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_test_message("row %zu", i);
        gpu_create(gpu, 1, rows[i].blob, SIZE);
        g_assert_cmphex(map_with_fds(gpu, 1, rows[i].left), ==, NO_MEMORY);
        g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, i + 1);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, rows[i].otherwise);
        if (i < G_N_ELEMENTS(rows) - 1) {
            gpu_unref(gpu, 1);
        }
    }
    /* A name that is known needs none. */
    gpu_unmap(gpu, 1);
    names = gpu->shared->names;
    g_assert_cmphex(map_with_fds(gpu, 1, 1), ==, GRANTED);
    g_assert_cmpuint(gpu->shared->names, ==, names);
    gpu_unref(gpu, 1);
    /* None of those by which it is probed is left open. */
    g_assert_cmpuint(gpu_count_fds(gpu, "eventfd"), ==, before);

    /* The whole system may have none left, whatever QEMU's own limit. */
    gpu_create(gpu, 1, POINTER, GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_EVENTFD, 0, 2);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, i + 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_unref(gpu, 1);
    gpu_create(gpu, 1, NAMED(UDMABUF, SAYS(WC)), GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_FDINFO, 0, 1);
    gpu->shared->fail.error = ENFILE;
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, i + 2);
    gpu_unref(gpu, 1);
}

/* If fds are short, an export that failed is tried again. */
static void test_fd_at_second_try(GPU *gpu)
{
    gpu_create(gpu, 1, BUFFER, GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_EXPORT, 0, 1);
    g_assert_cmphex(map_with_fds(gpu, 1, 30), ==, GRANTED);
    g_assert_cmpuint(gpu->shared->exports, ==, 1);
    g_assert_cmpuint(gpu->shared->maps, ==, 0);
    gpu_unref(gpu, 1);
}

/* Where an fd is kept, nothing is mapped without one. */
static void test_no_fd_to_keep(GPU *gpu)
{
    unsigned unmap;

    gpu_create(gpu, 1, BUFFER, GPU_PAGE);
    g_assert_cmphex(map_with_fds(gpu, 1, 1), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);

    /* The one that goes leaves its fd for the one that comes. */
    gpu_create(gpu, 2, BUFFER, GPU_PAGE);
    unmap = gpu_put_unmap(gpu, 1);
    g_assert_cmphex(map_with_fds(gpu, 2, 1), ==, GRANTED);
    g_assert_cmphex(gpu_answer(gpu, unmap), ==, OK);
    g_assert_true(gpu_shows(gpu, 0, 2, 0));
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
}

/*
 * Hosts that honour a guest's cache type, or do not
 */

typedef struct HostCase {
    const char *name;
    uint32_t cpu;
    uint32_t kvm;       /* 0: the accelerator is what it is */
    uint32_t watch;
    const char *props;
    const char *why;    /* of a refusal; NULL if the type is honoured */
    const char *warned; /* when the device is realized */
    bool policies;      /* see test_policies() */
} HostCase;

#define SWITCHED "enabled guest PAT in KVM"
#define NOT_ENABLED "enabling it failed"
#define NO_SWITCH "KVM_X86_QUIRK_IGNORE_GUEST_PAT (Linux 6.16)"
#define NO_NPT "npt=1"
#define FWB "FEAT_S2FWB) and ignores guest cache types"
#define NOT_KNOWN "it cannot be determined whether"
#define NO_ARCH "KVM on this architecture ignores"
#define CPU(cpu_, kvm_) .cpu = SCRIPTED_CPU_##cpu_, .kvm = SCRIPTED_KVM_##kvm_
#define NO_VCPU(cpu_, kvm_) .cpu = SCRIPTED_CPU_##cpu_, \
    .kvm = SCRIPTED_KVM_##kvm_ | SCRIPTED_KVM_NO_VCPU

/* What probes find; all that the rule makes of it is in its unit test. */
static const HostCase hosts[] = {
    { "qtest", .cpu = SCRIPTED_CPU_INTEL },
    { "qtest, unknown host", .cpu = SCRIPTED_CPU_NO_NAME },
    { "strange accelerator", .watch = SCRIPTED_WATCH_STRANGE,
      .why = "it is not known whether the accelerator honours" },

    { "amd", CPU(AMD, PLAIN) },
    { "amd, new kernel", CPU(AMD, QUIRK) },
    { "amd, npt=0", CPU(AMD_NO_NPT, PLAIN), .why = NO_NPT },
    { "amd, guest-pat=off", CPU(AMD, PLAIN), .props = ",guest-pat=off" },

    { "intel, old kernel", CPU(INTEL, PLAIN), .why = NO_SWITCH },
    { "intel", CPU(INTEL, QUIRK), .warned = SWITCHED, .policies = true },
    { "intel, stuck", CPU(INTEL, STUCK), .why = NOT_ENABLED,
      .warned = NOT_ENABLED, .policies = true },
    { "intel, broken", CPU(INTEL, BROKEN), .why = NO_SWITCH },
    { "hygon", CPU(HYGON, PLAIN) },
    { "x86, no files", CPU(NO_PROC, PLAIN), .why = NO_SWITCH },
    { "x86, no vendor", CPU(NO_VENDOR, PLAIN), .why = NO_SWITCH },
    { "intel, guest-pat=off", CPU(INTEL, QUIRK), .props = ",guest-pat=off",
      .why = "use guest-pat=auto", .policies = true },
    { "intel, honor-guest-pat=off", CPU(INTEL, QUIRK),
      .watch = SCRIPTED_WATCH_PAT_OFF, .why = "honor-guest-pat=off" },
    { "intel, honor-guest-pat=on", CPU(INTEL, QUIRK),
      .watch = SCRIPTED_WATCH_PAT_ON },
    { "intel, honor-guest-pat=auto", CPU(INTEL, QUIRK),
      .watch = SCRIPTED_WATCH_PAT_AUTO, .props = ",guest-pat=auto",
      .warned = SWITCHED },
    { "intel, honor-guest-pat unreadable", CPU(INTEL, QUIRK),
      .watch = SCRIPTED_WATCH_PAT_BLIND, .why = "honor-guest-pat=off" },

    { "arm64", CPU(ARM64, NO_FWB) },
    { "arm64, FWB", CPU(ARM64, FWB), .why = FWB, .policies = true },
    { "arm64, a cap that lies", CPU(ARM64, LIAR), .why = FWB },
    { "arm64, no register", CPU(ARM64, NO_REGS), .why = NOT_KNOWN,
      .warned = NOT_KNOWN, .policies = true },
    { "arm64, no vCPU", NO_VCPU(ARM64, NO_FWB), .why = NOT_KNOWN,
      .warned = NOT_KNOWN },

    { "riscv64, Svpbmt", CPU(RISCV64, SVPBMT) },
    { "riscv64", CPU(RISCV64, NO_SVPBMT),
      .why = "the vCPU has no cache types (Svpbmt)" },
    { "riscv64, no register", CPU(RISCV64, NO_REGS), .why = NOT_KNOWN,
      .warned = NOT_KNOWN },
    { "riscv64, no vCPU", NO_VCPU(RISCV64, SVPBMT), .why = NOT_KNOWN,
      .warned = NOT_KNOWN },
    { "no name", CPU(NO_NAME, QUIRK), .why = NO_ARCH },
};

/* A blob is mapped with its type, or refused for this reason. */
static void check_blob(GPU *gpu, ScriptedBlob blob, uint32_t type, bool kept,
                       const char *reason)
{
    uint64_t before = gpu_refused(gpu, reason);
    uint32_t map_info;

    gpu_create(gpu, 1, blob, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, OFFSET, &map_info), ==,
                    kept ? GRANTED : UNSPEC);
    g_assert_cmpuint(map_info, ==, kept ? type : 0);
    g_assert_cmpuint(gpu_refused(gpu, reason), ==, before + !kept);
    gpu_unref(gpu, 1);
}

static void check_host(const HostCase *c, const char *policy)
{
    bool depends = strcmp(policy, "renderer"), kept = !c->why || !depends;
    bool switched = depends && !g_strcmp0(c->warned, SWITCHED);
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .policy = policy, .props = c->props, .logged = true,
        .kvm = c->kvm, .cpu = c->cpu, .watch = c->watch,
    });

    g_test_message("%s, map-policy=%s", c->name, policy);
    g_assert_cmpuint(gpu->shared->kvm_enables, ==, switched);
    check_blob(gpu, ANSWERS(WC), VIRTIO_GPU_MAP_CACHE_WC, kept,
               "guest-type-ignored");
    check_blob(gpu, BUFFER, VIRTIO_GPU_MAP_CACHE_CACHED, true,
               "guest-type-ignored");
    if (strcmp(policy, "strict")) {
        check_blob(gpu, NO_FD(SAYS(UNCACHED)), VIRTIO_GPU_MAP_CACHE_UNCACHED,
                   kept, "guest-type-ignored");
    }
    if (depends && c->warned) {
        g_assert_cmpuint(gpu_count_log(gpu, c->warned), >, 0);
    }
    g_assert_cmpuint(gpu_count_log(gpu, "will not be mapped"), ==,
                     depends && c->warned && c->why);
    g_assert_cmpuint(gpu_count_log(gpu, SWITCHED), ==, switched);
    if (c->why && depends) {
        g_assert_cmpuint(gpu_count_log(gpu, "it is not cached, and "), >, 0);
        g_assert_cmpuint(gpu_count_log(gpu, c->why), >, 0);
    }
    if (!depends && c->cpu == SCRIPTED_CPU_INTEL) {
        QDict *host = qobject_to(QDict, gpu_property(gpu, "blob-host"));

        g_assert_cmpstr(qdict_get_str(host, "guest-type"), ==, "not-needed");
        qobject_unref(host);
    }
    gpu_finish(gpu);
}

static void test_hosts(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        check_host(&hosts[i], "safe");
    }
}

/* strict depends on the host as safe does; renderer does not. */
static void test_policies(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
        if (hosts[i].policies) {
            check_host(&hosts[i], "strict");
            check_host(&hosts[i], "renderer");
        }
    }
}

/*
 * GPUs whose own memory KVM on arm64 cannot map
 */

/* A folder as /sys/class/drm is: cards, their connectors, and a file */
static char *new_drm(const char *const *drivers)
{
    g_autoptr(GError) err = NULL;
    char *dir = g_dir_make_tmp("virtio-gpu-gl-drm-XXXXXX", &err);
    g_autofree char *version = g_build_filename(dir, "version", NULL);

    g_assert_no_error(err);
    g_assert_true(g_file_set_contents(version, "drm 1.1.0", -1, NULL));
    for (int i = 0; drivers[i]; i++) {
        g_autofree char *card = g_strdup_printf("%s/card%d/device", dir, i);
        g_autofree char *connector = g_strdup_printf("%s/card%d-DP-1/device",
                                                     dir, i);
        g_autofree char *link = g_build_filename(card, "driver", NULL);
        g_autofree char *driver = g_strdup_printf("../../bus/pci/drivers/%s",
                                                  drivers[i]);

        g_assert_cmpint(g_mkdir_with_parents(card, 0700), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(connector, 0700), ==, 0);
        if (*drivers[i]) {
            g_assert_cmpint(symlink(driver, link), ==, 0);
        }
    }
    return dir;
}

static void delete_drm(char *dir)
{
    const char *argv[] = { "rm", "-r", dir, NULL };

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH,
                               NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(dir);
}

static const struct {
    GPUConfig config;
    const char *drivers[4];
    bool refused;
} gpus[] = {
#define ARM64 { CPU(ARM64, NO_FWB), .drm = SCRIPTED_DRM_FOLDER }
    { ARM64, { "panfrost", "rockchip" } },
    { ARM64, { "amdgpu" }, true },
    { ARM64, { "i915" }, true },
    { ARM64, { "ast", "", "amdgpu" }, true },
    { ARM64, { "xen", "amdgpu2", "" } },
    { ARM64, { } },
    { { CPU(ARM64, NO_FWB), .drm = SCRIPTED_DRM_NONE } },
    { { CPU(ARM64, NO_FWB), .drm = SCRIPTED_DRM_HIDDEN }, .refused = true },
    /* not KVM, and other processors */
    { { .cpu = SCRIPTED_CPU_ARM64, .drm = SCRIPTED_DRM_FOLDER },
      { "amdgpu" } },
    { { CPU(AMD, PLAIN), .drm = SCRIPTED_DRM_FOLDER }, { "amdgpu" } },
    { { CPU(RISCV64, SVPBMT), .drm = SCRIPTED_DRM_FOLDER }, { "amdgpu" } },
};

/* Only a dma-buf, and only one that does not answer, may be such memory. */
static void check_vram(size_t i, const char *policy)
{
    char *dir = new_drm(gpus[i].drivers);
    bool renderer = !strcmp(policy, "renderer");
    bool strict = !strcmp(policy, "strict");
    bool refused = gpus[i].refused, kept = !refused || renderer;
    GPUConfig config = gpus[i].config;
    GPU *gpu;

    config.hostmem = WINDOW;
    config.policy = policy;
    config.drm_folder = dir;
    gpu = gpu_start(&config);
    g_test_message("row %zu, map-policy=%s", i, policy);
#define CHECK(blob, type, is_kept) check_blob(gpu, blob, \
    VIRTIO_GPU_MAP_CACHE_##type, is_kept, "possible-vram")
    if (!strict || refused) {
        CHECK(NAMED(DRM, SAYS(CACHED)), CACHED, kept);
        CHECK(NAMED(DRM, SAYS(WC)), WC, kept);
    }
    if (renderer || refused) {
        CHECK(NAMED(UDMABUF), CACHED, !refused);
    }
    CHECK(BUFFER, CACHED, true);
    CHECK(SHM(), CACHED, true);
    if (!strict) {
        CHECK(POINTER, CACHED, true);
    }
    gpu_finish(gpu);
    delete_drm(dir);
}

static void test_vram(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(gpus); i++) {
        check_vram(i, "safe");
    }
    for (size_t i = 0; i < 2; i++) {
        check_vram(i, "strict");
        check_vram(i, "renderer");
    }
}

/*
 * Pages that are larger than the guest's
 */

static const struct {
    uint32_t page_size; /* the host's */
    const char *props;
    uint64_t hostmem;
    bool offered;
} page_cases[] = {
    { 16384, NULL, WINDOW, true },
    { 65536, NULL, WINDOW, true },
    { 16384, ",blob-alignment=auto", WINDOW, true },
    { 16384, ",blob-alignment=off", WINDOW, false },
    { 16384, ",blob=off", 0, false },
    { 16384, NULL, 0, false },
    { 4096, NULL, WINDOW, false },
    { 4096, ",blob-alignment=auto", WINDOW, false },
    { 4096, ",blob-alignment=on", WINDOW, true },
    { 16384, ",blob-alignment=on", WINDOW, true },
};

/* What cannot be aligned is refused; what is, is mapped to its last page. */
static void check_aligned(GPU *gpu, uint64_t page_size)
{
    const uint64_t size = 2 * page_size;

    gpu_map_new(gpu, 1, BUFFER, size, page_size);
    g_assert_true(gpu_shows(gpu, page_size, 1, 0));
    g_assert_true(gpu_shows(gpu, page_size + size - GPU_PAGE, 1,
                            size / GPU_PAGE - 1));
    gpu_unmap(gpu, 1);
    if (page_size > GPU_PAGE) {
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, BAD);
        g_assert_cmpuint(gpu_refused(gpu, "misaligned-offset"), ==, 1);
    }
    gpu_unref(gpu, 1);
}

static void write_config(GPU *gpu, unsigned offset, uint32_t value)
{
    QVirtioPCIDevice *dev = &gpu->dev->pci_vdev;

    qpci_io_writel(dev->pdev, dev->bar, dev->device_cfg_offset + offset,
                   value);
}

static void check_page(size_t i)
{
    const uint32_t size = page_cases[i].page_size;
    const bool offered = page_cases[i].offered;
    GPU *gpu = gpu_start(&(GPUConfig) {
        .page_size = size, .props = page_cases[i].props,
        .hostmem = page_cases[i].hostmem,
    });

    g_test_message("row %zu", i);
    g_assert(!!(gpu_features(gpu) & 1u << GPU_F_BLOB_ALIGNMENT) == offered);
    /* num_scanouts, num_capsets, blob_alignment */
    g_assert_cmpuint(gpu_config(gpu, 8), ==, 1);
    g_assert_cmpuint(gpu_config(gpu, 12), ==, 2);
    g_assert_cmphex(gpu_config(gpu, 16), ==, offered ? size : UINT32_MAX);
    g_assert_cmphex(gpu_config(gpu, 20), ==, UINT32_MAX);
    if (page_cases[i].hostmem) {
        check_aligned(gpu, size);
    }
    /* A reset, and what the guest writes, change nothing of it. */
    write_config(gpu, 16, 0);
    write_config(gpu, 4, UINT32_MAX);
    gpu_reset(gpu);
    g_assert_cmphex(gpu_config(gpu, 16), ==, offered ? size : UINT32_MAX);
    gpu_system_reset(gpu);
    g_assert_cmphex(gpu_config(gpu, 16), ==, offered ? size : UINT32_MAX);
    gpu_finish(gpu);
}

static void test_page_size(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(page_cases); i++) {
        check_page(i);
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "exporter", .alone = test_exporter },
        { "exporter-name", .alone = test_name },
        { "backing", .alone = test_backing },
        { "effort", test_effort },
        { "no-name-for-trace", test_no_name_for_trace,
          { .logged = true, .args = "-trace virtio_gpu_blob_decision" } },
        { "word", test_word },
        { "confidential", .alone = test_confidential },
        { "sealed", test_sealed },
        { "not-sealed", test_not_sealed },
        { "offset", test_offset },
        { "no-fds", test_no_fds },
        { "fd-at-second-try", test_fd_at_second_try },
        { "no-fd-to-keep", test_no_fd_to_keep,
          { .kvm = SCRIPTED_KVM_PLAIN, .cpu = SCRIPTED_CPU_ARM64 } },
        { "hosts", .alone = test_hosts },
        { "policies", .alone = test_policies },
        { "vram", .alone = test_vram },
        { "page-size", .alone = test_page_size },
    };

    return gpu_run_tests(argc, argv, "decision", tests, G_N_ELEMENTS(tests));
}
