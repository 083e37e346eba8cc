/*
 * In a guest: map blobs of the host, write and verify them from both sides
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtgpu-blob all    for each blob "BLOB key=value...", or "REFUSED ..." when
 *                     the host does not let it be mapped; while a blob is
 *                     mapped, "STEP name ..." lines, each answered by a line on
 *                     stdin from who looks into the buffer on the host
 * virtgpu-blob virgl  the buffers of the host's OpenGL only
 * virtgpu-blob bench  "BENCH key=value..." lines: cost of a blob's life
 */

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drm-blob.h"
#include "virgl-buffer.h"

#define PAT_LIST "/sys/kernel/debug/x86/pat_memtype_list"
#define PAGE 4096u

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

/*
 * What the kernel used: the line of its list for a range of this size that
 * was not there before.  The list is the guest's whole truth about caching.
 */
struct pat_range {
    uint64_t start, end;
    char type[32];
};

static size_t read_pat_list(struct pat_range *list, size_t max)
{
    FILE *f = fopen(PAT_LIST, "r");
    char line[160];
    size_t n = 0;

    if (!f) {
        fail(PAT_LIST);
    }
    while (n < max && fgets(line, sizeof(line), f)) {
        struct pat_range *r = &list[n];

        n += sscanf(line, "PAT: [mem 0x%" SCNx64 "-0x%" SCNx64 "] %31s",
                    &r->start, &r->end, r->type) == 3;
    }
    fclose(f);
    return n;
}

static bool contains(const struct pat_range *list, size_t n,
                     const struct pat_range *r)
{
    size_t i;

    for (i = 0; i < n; i++) {
        if (list[i].start == r->start && list[i].end == r->end) {
            return true;
        }
    }
    return false;
}

#define PAT_MAX 512

static struct pat_range before[PAT_MAX], after[PAT_MAX];
static size_t n_before;

static void note_pat_list(void)
{
    n_before = read_pat_list(before, PAT_MAX);
}

static const struct pat_range *new_pat_range(size_t size)
{
    size_t i, n = read_pat_list(after, PAT_MAX);

    for (i = 0; i < n; i++) {
        if (after[i].end - after[i].start == size &&
            !contains(before, n_before, &after[i])) {
            return &after[i];
        }
    }
    errno = ENOENT;
    fail("no new range of %zu bytes in " PAT_LIST, size);
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
        fail("nobody answers step %s", name);
    }
}

static void report(const char *kind, const struct blob *b,
                   const struct pat_range *r, size_t host_wrong,
                   size_t guest_wrong)
{
    printf("BLOB kind=%s resource=%" PRIu32 " size=%zu offset=0x%" PRIx64
           " pat=%s host-wrong=%zu guest-wrong=%zu\n", kind, b->resource,
           b->size, r->start - window_start(), r->type, host_wrong,
           guest_wrong);
    fflush(stdout);
}

/*
 * Shared memory of the render server: somebody on the host looks into it,
 * and writes there, while it is mapped here.
 */
static void demo_venus(int drm, size_t size, uint32_t seed)
{
    struct blob b = create_blob(drm, size, 0, NULL, 0);
    const struct pat_range *r;
    size_t wrong;

    note_pat_list();
    map_blob(drm, &b);
    r = new_pat_range(size);
    fill(&b, seed);
    step("written", &b);
    /* The host has put the complement of each word there. */
    wrong = 0;
    for (size_t i = 0; i < size / 4; i++) {
        wrong += b.map[i] != (uint32_t)~pattern(seed, i);
    }
    report("venus", &b, r, 0, wrong);
    drop_blob(drm, &b);
}

/* The host's renderer reads and writes the buffer on its side. */
static void demo_copies(int drm, const struct blob *b, uint32_t seed)
{
    struct blob plain = create_plain_buffer(drm, b->size);
    const struct pat_range *r = new_pat_range(b->size);
    size_t host_wrong, guest_wrong;

    fill(b, seed);
    copy_buffer(drm, &plain, b);
    transfer_from_host(drm, &plain);
    host_wrong = count_wrong(&plain, seed);

    fill(&plain, seed + 1);
    transfer_to_host(drm, &plain);
    copy_buffer(drm, b, &plain);
    guest_wrong = count_wrong(b, seed + 1);

    report("virgl", b, r, host_wrong, guest_wrong);
    drop_blob(drm, &plain);
}

/*
 * A buffer of the host's OpenGL: the renderer itself copies it to and from
 * another buffer, which reaches the guest by a transfer, not by the window.
 */
static void demo_virgl(int drm, size_t size, uint32_t seed)
{
    struct blob b = create_buffer_blob(drm, size, seed);

    note_pat_list();
    if (try_map(drm, &b)) {
        demo_copies(drm, &b, seed);
    } else {
        printf("REFUSED kind=virgl resource=%" PRIu32 " size=%zu errno=%s\n",
               b.resource, size, strerrorname_np(errno));
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

    demo_venus(drm, PAGE, 0x303);
    demo_venus(drm, 16 * PAGE, 0x404);
    demo_venus(drm, 8 << 20, 0x505);
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

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (!strcmp(mode, "all")) {
        demo_all_venus();
        demo_all_virgl();
    } else if (!strcmp(mode, "virgl")) {
        demo_all_virgl();
    } else if (!strcmp(mode, "bench")) {
        bench();
    } else {
        fprintf(stderr, "usage: %s all|virgl|bench\n", argv[0]);
        return 2;
    }
    printf("DONE\n");
    return 0;
}
