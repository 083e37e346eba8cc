/*
 * In a guest: blobs whose buffers lose their pages under threads that use
 * them, step by step with a program on the host.
 *
 * lose-blobs SIZE BLOB-ID...: a blob for each id.  Each step ends with a line
 * "STEP name" on stdout, and the next one begins when a line arrives on stdin.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../guest/drm-blob.h"

#define GUEST_TAG 0x47554553542d0000ull
#define PAGE 4096
#define THREADS 4
#define SECONDS 30

typedef volatile uint64_t Word;

static int drm;
static struct blob *blobs;
static unsigned count;
static atomic_bool stop;
static atomic_ullong turns[THREADS];

static void step(const char *format, ...)
{
    char line[64];
    va_list ap;

    va_start(ap, format);
    printf("STEP ");
    vprintf(format, ap);
    printf("\n");
    va_end(ap);
    fflush(stdout);
    if (!fgets(line, sizeof(line), stdin)) {
        fail("no answer from the host");
    }
}

static Word *words(const struct blob *b)
{
    return (Word *)b->map;
}

static size_t last(const struct blob *b)
{
    return b->size / sizeof(uint64_t) - 1;
}

static void make(unsigned i, size_t size, const char *id)
{
    blobs[i] = create_blob(drm, size, strtoull(id, NULL, 0), NULL, 0);
    map_blob(drm, &blobs[i]);
    words(&blobs[i])[0] = GUEST_TAG + i;
    words(&blobs[i])[last(&blobs[i])] = ~(GUEST_TAG + i);
}

/* Reads and writes each page, the tags' words excepted. */
static void *use(void *arg)
{
    unsigned nth = (uintptr_t)arg, i;
    size_t at;

    while (!atomic_load(&stop)) {
        for (i = 0; i < count; i++) {
            for (at = 0; at < blobs[i].size; at += PAGE) {
                words(&blobs[i])[(at + 64) / 8 + nth]++;
            }
        }
        atomic_fetch_add(&turns[nth], 1);
    }
    return NULL;
}

static unsigned count_lost(void)
{
    unsigned i, n = 0;

    for (i = 0; i < count; i++) {
        n += words(&blobs[i])[0] != GUEST_TAG + i;
    }
    return n;
}

static unsigned await_lost(unsigned wanted)
{
    time_t end = time(NULL) + SECONDS;

    while (count_lost() < wanted && time(NULL) < end) {
        continue;
    }
    return count_lost();
}

/* Every thread gets through all the blobs twice more. */
static unsigned count_alive(void)
{
    time_t end = time(NULL) + SECONDS;
    unsigned i, n = 0;

    for (i = 0; i < THREADS; i++) {
        unsigned long long now = atomic_load(&turns[i]);

        while (atomic_load(&turns[i]) < now + 2 && time(NULL) < end) {
            continue;
        }
        n += atomic_load(&turns[i]) >= now + 2;
    }
    return n;
}

int main(int argc, char **argv)
{
    size_t size = argc > 2 ? strtoul(argv[1], NULL, 0) : 0;
    pthread_t threads[THREADS];
    unsigned i, lost, alive, wrong = 0;

    if (!size) {
        fail("usage: lose-blobs SIZE BLOB-ID...");
    }
    count = argc - 2;
    blobs = calloc(count, sizeof(*blobs));
    drm = open_context(CAPSET_VENUS);
    step("ready");
    for (i = 0; i < count; i++) {
        make(i, size, argv[2 + i]);
    }
    step("mapped %u", count);

    for (i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, use, (void *)(uintptr_t)i)) {
            fail("a thread");
        }
    }
    alive = count_alive();
    step("looking %u", alive);

    lost = await_lost(count);
    alive = count_alive();
    atomic_store(&stop, true);
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    step("lost %u alive %u", lost, alive);

    /* They go as any other, and new ones come in their places. */
    for (i = 0; i < count; i++) {
        drop_blob(drm, &blobs[i]);
        make(i, size, argv[2 + i]);
        wrong += words(&blobs[i])[0] != GUEST_TAG + i ||
                 words(&blobs[i])[8] != 0;
    }
    step("again wrong %u", wrong);
    return 0;
}
