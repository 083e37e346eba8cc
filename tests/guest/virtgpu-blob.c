/*
 * In a guest: map blobs of the host, write and verify them from both sides
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtgpu-blob all    for each blob "BLOB key=value...", or "REFUSED ..." when
 *                     the host does not let it be mapped; while a blob is
 *                     mapped, "STEP name ..." lines, each answered by a line on
 *                     stdin from who looks into the buffer on the host
 * virtgpu-blob useless  as all, after a program that submits commands to a
 *                     context that it has made useless
 * virtgpu-blob virgl  the buffers of the host's OpenGL only
 * virtgpu-blob buffers ID...  as all, for the buffers with these numbers
 * virtgpu-blob bench  "BENCH key=value..." lines: cost of a blob's life
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <drm/drm.h>
#include <drm/virtgpu_drm.h>

#include "cache-type.h"
#include "drm-blob.h"
#include "virgl-buffer.h"

#define PAGE 4096u

/* arm64's guests run where all is emulated. */
#ifdef __aarch64__
#define LARGE (4 << 20)
#else
#define LARGE (8 << 20)
#endif

static uint32_t pattern(uint32_t seed, size_t i)
{
    return (seed + i) * 2654435761u;
}

static void fill(const struct blob *b, uint32_t seed)
{
    size_t i;

    for (i = 0; i < b->size / 4; i++) {
        b->map[i] = pattern(seed, i);
    }
}

static size_t count_wrong(const struct blob *b, uint32_t seed)
{
    size_t i, wrong = 0;

    for (i = 0; i < b->size / 4; i++) {
        wrong += b->map[i] != pattern(seed, i);
    }
    return wrong;
}

/* Where the host-visible window is in the guest's memory: its largest BAR */
static uint64_t window_start(void)
{
    FILE *f = fopen("/sys/class/drm/card0/device/resource", "r");
    uint64_t start, end, flags, best = 0, best_size = 0;

    if (!f) {
        fail("the GPU's PCI resources");
    }
    while (fscanf(f, "%" SCNx64 " %" SCNx64 " %" SCNx64,
                  &start, &end, &flags) == 3) {
        if (end - start > best_size) {
            best = start;
            best_size = end - start;
        }
    }
    fclose(f);
    return best;
}

static void step(const char *name, const struct blob *b)
{
    char line[64];

    printf("STEP %s resource=%" PRIu32 " size=%zu\n", name, b->resource,
           b->size);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin)) {
        fail("no answer to step %s", name);
    }
}

static void report(const char *kind, const struct blob *b,
                   const struct mapped_range *r, const char *unaligned,
                   size_t host_wrong, size_t guest_wrong)
{
    printf("BLOB kind=%s resource=%" PRIu32 " size=%zu offset=0x%" PRIx64
           " type=%s unaligned=%s host-wrong=%zu guest-wrong=%zu\n", kind,
           b->resource, b->size, r->start - window_start(), r->type, unaligned,
           host_wrong, guest_wrong);
    fflush(stdout);
}

static void refused(const char *kind, const struct blob *b)
{
    printf("REFUSED kind=%s resource=%" PRIu32 " size=%zu errno=%s\n",
           kind, b->resource, b->size, strerrorname_np(errno));
}

/*
 * Memory that a program on the host reads and writes while it is mapped here:
 * with number 0 it is shared memory of the render server.
 */
static void demo_shared(int drm, const char *kind, uint64_t blob_id,
                        size_t size, uint32_t seed)
{
    const struct mapped_range *r;
    const char *unaligned;
    struct blob b;
    size_t wrong;

    note_ranges();
    b = create_blob(drm, size, blob_id, NULL, 0);
    if (!try_map(drm, &b)) {
        refused(kind, &b);
        drop_blob(drm, &b);
        return;
    }
    r = new_range(size);
    unaligned = try_unaligned(b.map, size);
    fill(&b, seed);
    step("written", &b);
    /* The host has put the complement of each word there. */
    wrong = 0;
    for (size_t i = 0; i < size / 4; i++) {
        wrong += b.map[i] != (uint32_t)~pattern(seed, i);
    }
    report(kind, &b, r, unaligned, 0, wrong);
    drop_blob(drm, &b);
}

/* The host's renderer reads and writes the buffer on its side. */
static void demo_copies(int drm, const struct blob *b, uint32_t seed)
{
    struct blob plain = create_plain_buffer(drm, b->size);
    const struct mapped_range *r = new_range(b->size);
    const char *unaligned = try_unaligned(b->map, b->size);
    size_t host_wrong, guest_wrong;

    fill(b, seed);
    copy_buffer(drm, &plain, b);
    transfer_from_host(drm, &plain);
    host_wrong = count_wrong(&plain, seed);

    fill(&plain, seed + 1);
    transfer_to_host(drm, &plain);
    copy_buffer(drm, b, &plain);
    guest_wrong = count_wrong(b, seed + 1);

    report("virgl", b, r, unaligned, host_wrong, guest_wrong);
    drop_blob(drm, &plain);
}

/*
 * A buffer of the host's OpenGL: the renderer itself copies it to and from
 * another buffer, which reaches the guest by a transfer, not by the window.
 */
static void demo_virgl(int drm, size_t size, uint32_t seed)
{
    struct blob b;

    note_ranges();
    b = create_buffer_blob(drm, size, seed);
    if (try_map(drm, &b)) {
        demo_copies(drm, &b, seed);
    } else {
        refused("virgl", &b);
    }
    drop_blob(drm, &b);
}

static void demo_all_virgl(void)
{
    int drm = open_context(CAPSET_VIRGL2);

    demo_virgl(drm, PAGE, 0x101);
    demo_virgl(drm, 1 << 20, 0x202);
}

static void demo_all_venus(void)
{
    int drm = open_context(CAPSET_VENUS);

    demo_shared(drm, "venus", 0, PAGE, 0x303);
    demo_shared(drm, "venus", 0, 16 * PAGE, 0x404);
    demo_shared(drm, "venus", 0, LARGE, 0x505);
}

/* Buffers by the numbers that a stand-in for the renderer has for them */
static void demo_buffers(char **ids, int count)
{
    int drm = open_context(CAPSET_VENUS);
    int i;

    for (i = 0; i < count; i++) {
        demo_shared(drm, "buffer", strtoull(ids[i], NULL, 0), 16 * PAGE,
                    0x707);
    }
}

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

#define REPETITIONS 15
#define BATCH 16

/* Median cost of a blob's life: created, mapped, touched, unmapped */
static void bench_at(int drm, unsigned live)
{
    struct blob b[BATCH];
    uint64_t cost[REPETITIONS];
    unsigned i, r;

    for (r = 0; r < REPETITIONS; r++) {
        uint64_t start = now_ns();

        for (i = 0; i < BATCH; i++) {
            b[i] = create_blob(drm, PAGE, 0, NULL, 0);
            map_blob(drm, &b[i]);
            b[i].map[0] = i;
        }
        for (i = 0; i < BATCH; i++) {
            drop_blob(drm, &b[i]);
        }
        cost[r] = (now_ns() - start) / BATCH;
    }
    qsort(cost, REPETITIONS, sizeof(cost[0]), compare);
    printf("BENCH live=%u ns=%" PRIu64 "\n", live, cost[REPETITIONS / 2]);
    fflush(stdout);
}

static void bench(void)
{
    int drm = open_context(CAPSET_VENUS);
    unsigned live = 1000, i;
    struct blob *b = calloc(live, sizeof(*b));

    bench_at(drm, 0);
    for (i = 0; i < live; i++) {
        b[i] = create_blob(drm, PAGE, 0, NULL, 0);
        map_blob(drm, &b[i]);
    }
    bench_at(drm, live);
    free(b);
}

/*
 * A program without privileges makes its own context useless, and goes on to
 * submit fenced commands to it.  It ends, and others find the device as it was.
 */
static void submit_to_useless(void)
{
    const uint32_t nonsense[4] = { 0 };
    int drm = open_context_with_rings(CAPSET_VENUS, 1);
    int i;

    if (setuid(65534)) {
        fail("setuid");
    }
    for (i = 0; i < 2000; i++) {
        struct drm_virtgpu_execbuffer exec = {
            .flags = VIRTGPU_EXECBUF_RING_IDX | VIRTGPU_EXECBUF_FENCE_FD_OUT,
            .size = sizeof(nonsense),
            .command = (uintptr_t)nonsense,
            .fence_fd = -1,
        };

        must_ioctl(drm, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec, "EXECBUFFER");
        close(exec.fence_fd);
    }
    exit(0);
}

static void demo_useless(void)
{
    pid_t pid = fork();
    int i, status;

    if (pid < 0) {
        fail("fork");
    }
    if (!pid) {
        submit_to_useless();
    }
    for (i = 0; i < 200; i++) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            if (status) {
                fail("a program with a useless context");
            }
            return;
        }
        usleep(100 * 1000);
    }
    errno = ETIMEDOUT;
    fail("a program with a useless context");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (!strcmp(mode, "all") || !strcmp(mode, "useless")) {
        if (!strcmp(mode, "useless")) {
            demo_useless();
        }
        demo_all_venus();
        demo_all_virgl();
    } else if (!strcmp(mode, "virgl")) {
        demo_all_virgl();
    } else if (!strcmp(mode, "buffers")) {
        demo_buffers(argv + 2, argc - 2);
    } else if (!strcmp(mode, "bench")) {
        bench();
    } else {
        fprintf(stderr, "usage: %s all|useless|virgl|buffers ID...|bench\n", argv[0]);
        return 2;
    }
    printf("DONE\n");
    return 0;
}
