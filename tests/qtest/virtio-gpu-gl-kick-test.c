/*
 * qtest for virtio-gpu-gl: what is unmapped with one kick
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guests see the same as if each command had been carried out by itself; it is
 * the host's system calls that are fewer.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "virtio-gpu-gl-client.h"

/* Where the memory behind holes begins anew */
#define PERIOD (WINDOW / 2)
#define MANY 200
/* Of commands, in one ring */
#define PAIRS 128
#define WAITING 64 /* as many as can: VIRTIO_GPU_BLOB_PENDING_MAX */

static const uint64_t kinds[] = { BUFFER, SCRIPTED_SHM };

/* Commands of one kick, and their answers */
typedef struct Kick {
    GPU *gpu;
    unsigned n;
    unsigned slots[256];
    uint32_t want[256];
} Kick;

static Kick kick_new(GPU *gpu)
{
    return (Kick) { .gpu = gpu };
}

static void add(Kick *k, unsigned slot, uint32_t want)
{
    g_assert_cmpuint(k->n, <, G_N_ELEMENTS(k->slots));
    k->slots[k->n] = slot;
    k->want[k->n++] = want;
}

static void add_unmap(Kick *k, uint32_t id, uint32_t want)
{
    add(k, gpu_put_unmap(k->gpu, id), want);
}

static void add_unref(Kick *k, uint32_t id, uint32_t want)
{
    add(k, gpu_put_unref(k->gpu, id), want);
}

static void add_map(Kick *k, uint32_t id, uint64_t page, uint32_t want)
{
    add(k, gpu_put_map(k->gpu, id, page * GPU_PAGE), want);
}

/* Returns how many holes were made. */
static uint64_t run(Kick *k)
{
    uint64_t before = gpu_shared(k->gpu)->holes;
    unsigned i;

    gpu_kick(k->gpu);
    for (i = 0; i < k->n; i++) {
        uint32_t type = gpu_answer(k->gpu, k->slots[i]);

        if (type != k->want[i]) {
            g_error("command %u: 0x%x, not 0x%x", i, type, k->want[i]);
        }
    }
    k->n = 0;
    return gpu_shared(k->gpu)->holes - before;
}

/* Blobs of a page, @n of them from @first on, at the pages from @page on */
static void map_row(GPU *gpu, uint64_t blob_id, uint32_t first, unsigned n,
                    uint64_t page)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        g_assert_cmphex(gpu_create(gpu, first + i, blob_id, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, first + i, (page + i) * GPU_PAGE, NULL),
                        ==, GRANTED);
    }
}

static void unref_row(GPU *gpu, uint32_t first, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        g_assert_cmphex(gpu_unref(gpu, first + i), ==, OK);
    }
}

static bool shows(GPU *gpu, uint32_t id, uint64_t page)
{
    return gpu_read(gpu, page * GPU_PAGE) == scripted_stamp(id, 0);
}

static void test_neighbours(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    size_t i;
    unsigned n;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        map_row(gpu, kinds[i], 1, 20, 100);
        map_row(gpu, kinds[i], 21, 1, 119 + 2);
        map_row(gpu, kinds[i], 22, 1, 50);
        /* In any order; the last two have no neighbour. */
        for (n = 0; n < 22; n++) {
            add_unmap(&k, 1 + n * 7 % 22, OK);
        }
        g_assert_cmpuint(run(&k), ==, 3);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        for (n = 0; n < 22; n++) {
            g_assert_false(shows(gpu, n + 1, 100 + n));
        }
        g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
        unref_row(gpu, 1, 22);
    }
    gpu_finish(gpu);
}

/* One call cannot show the memory's end and its beginning. */
static void test_period(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    unsigned i;

    map_row(gpu, BUFFER, 1, 4, PERIOD / GPU_PAGE - 2);
    for (i = 1; i <= 4; i++) {
        add_unmap(&k, i, OK);
    }
    g_assert_cmpuint(run(&k), ==, 2);

    /* Each of them fails, or not, as a whole. */
    unref_row(gpu, 1, 4);
    map_row(gpu, BUFFER, 1, 4, PERIOD / GPU_PAGE - 2);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 1, 100);
    for (i = 1; i <= 4; i++) {
        add_unmap(&k, i, i <= 2 ? OK : NO_MEMORY);
    }
    run(&k);
    gpu_fail(gpu, 0, 0, 0);
    for (i = 0; i < 4; i++) {
        g_assert_cmpint(shows(gpu, i + 1, PERIOD / GPU_PAGE - 2 + i), ==, i > 1);
    }
    g_assert_cmphex(gpu_unmap(gpu, 3), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, 4), ==, OK);

    /* One that lies over the end is alone with it. */
    g_assert_cmphex(gpu_create(gpu, 5, BUFFER, 2 * GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 5, PERIOD - GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 1, PERIOD - 2 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_map(gpu, 2, PERIOD + GPU_PAGE, NULL), ==, GRANTED);
    add_unmap(&k, 1, OK);
    add_unmap(&k, 2, OK);
    add_unmap(&k, 5, OK);
    run(&k);
    g_assert_false(shows(gpu, 5, PERIOD / GPU_PAGE - 1));
    g_assert_false(shows(gpu, 2, PERIOD / GPU_PAGE + 1));
    unref_row(gpu, 1, 5);
    gpu_finish(gpu);
}

/* More than can wait, and more than a kick has: first none of them can go. */
static void test_many(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    unsigned i;

    map_row(gpu, BUFFER, 1, MANY, 0);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, UINT32_MAX);
    for (i = 1; i <= MANY; i++) {
        add_unmap(&k, i, NO_MEMORY);
    }
    run(&k);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, MANY);
    for (i = 0; i < MANY; i++) {
        g_assert_true(shows(gpu, 1 + i, i));
    }
    for (i = 1; i <= MANY; i++) {
        add_unmap(&k, i, OK);
    }
    g_assert_cmpuint(run(&k), <, MANY / 20);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    unref_row(gpu, 1, MANY);
    gpu_finish(gpu);
}

/* A buffer takes another's place, and then a third its. */
static void test_replace(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(kinds); i++) {
        for (j = 0; j < G_N_ELEMENTS(kinds); j++) {
            map_row(gpu, kinds[i], 1, 2, 10);
            gpu_create(gpu, 3, kinds[j], GPU_PAGE);
            gpu_create(gpu, 4, kinds[i], GPU_PAGE);
            add_unmap(&k, 1, OK);
            add_map(&k, 3, 10, GRANTED);
            add_unmap(&k, 3, OK);
            add_map(&k, 4, 10, GRANTED);
            g_assert_cmpuint(run(&k), ==, 0);
            g_assert_true(shows(gpu, 4, 10));
            g_assert_true(shows(gpu, 2, 11));
            g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 2);
            g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 2);
            g_assert_cmphex(gpu_unmap(gpu, 1), ==, BAD);
            unref_row(gpu, 1, 4);
            g_assert_false(shows(gpu, 4, 10));
        }
    }
    gpu_finish(gpu);
}

/* The last of as many as can wait gives its place away. */
static void test_replace_last(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    unsigned i;

    map_row(gpu, BUFFER, 1, WAITING, 0);
    gpu_create(gpu, WAITING + 1, BUFFER, GPU_PAGE);
    for (i = 1; i <= WAITING; i++) {
        add_unmap(&k, i, OK);
    }
    add_map(&k, WAITING + 1, WAITING - 1, GRANTED);
    g_assert_cmpuint(run(&k), ==, 1);
    g_assert_true(shows(gpu, WAITING + 1, WAITING - 1));
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);
    unref_row(gpu, 1, WAITING + 1);
    gpu_finish(gpu);
}

/* Only the very place can be taken; the answers are the same in any case. */
static void test_other_place(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);

    gpu_create(gpu, 1, BUFFER, 2 * GPU_PAGE);
    gpu_create(gpu, 2, BUFFER, 2 * GPU_PAGE);
    gpu_create(gpu, 3, BUFFER, GPU_PAGE);
    gpu_map(gpu, 1, 10 * GPU_PAGE, NULL);

    add_unmap(&k, 1, OK);
    add_map(&k, 2, 11, GRANTED);
    add_unmap(&k, 2, OK);
    add_map(&k, 3, 11, GRANTED);
    add_map(&k, 1, 11, BAD);
    add_unmap(&k, 3, OK);
    add_map(&k, 3, 11, GRANTED);
    /* Two of these are what vacancies leave that do not fit. */
    g_assert_cmpuint(run(&k), ==, 5);
    g_assert_true(shows(gpu, 3, 11));
    g_assert_false(shows(gpu, 1, 10));
    unref_row(gpu, 1, 3);
    gpu_finish(gpu);
}

/* What is refused leaves a hole behind, as it would have found one. */
static void test_refused(void)
{
    static const uint64_t bad[] = {
        SCRIPTED_DMABUF | SCRIPTED_INCOHERENT,
        BUFFER | SCRIPTED_MMAP_EINVAL,
        BUFFER | SCRIPTED_MMAP_ENOMEM,
        SCRIPTED_SHM | SCRIPTED_MMAP_EINVAL,
        SCRIPTED_SHM | SCRIPTED_MMAP_ENOMEM,
        POINTER | SCRIPTED_PTR_EINVAL,
    };
    static const uint32_t answers[] = {
        UNSPEC, UNSPEC, NO_MEMORY, UNSPEC, NO_MEMORY, UNSPEC,
    };
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(bad); i++) {
        map_row(gpu, BUFFER, 1, 1, 10);
        gpu_create(gpu, 2, bad[i], GPU_PAGE);
        add_unmap(&k, 1, OK);
        add_map(&k, 2, 10, answers[i]);
        run(&k);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        g_assert_false(shows(gpu, 1, 10));
        g_assert_cmphex(gpu_map(gpu, 1, 10 * GPU_PAGE, NULL), ==, GRANTED);
        unref_row(gpu, 1, 2);
    }
    gpu_finish(gpu);
}

/* The renderer's memory has a region of its own: it comes and goes alone. */
static void test_pointer(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);

    map_row(gpu, BUFFER, 1, 3, 10);
    map_row(gpu, POINTER, 4, 1, 13);
    gpu_create(gpu, 5, POINTER, GPU_PAGE);
    add_unmap(&k, 1, OK);
    add_unmap(&k, 2, OK);
    add_unmap(&k, 4, OK);
    add_unmap(&k, 3, OK);
    add_map(&k, 5, 12, GRANTED);
    g_assert_cmpuint(run(&k), ==, 2);
    g_assert_true(shows(gpu, 5, 12));
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);
    unref_row(gpu, 1, 5);
    gpu_finish(gpu);
}

/* Those that cannot go stay, and say so. */
static void test_no_memory(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    unsigned i;

    map_row(gpu, BUFFER, 1, 3, 10);
    map_row(gpu, SCRIPTED_SHM, 4, 2, 13);
    map_row(gpu, BUFFER, 6, 1, 50);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 100);
    for (i = 1; i <= 6; i++) {
        add_unmap(&k, i, NO_MEMORY);
        add_unref(&k, i, NO_MEMORY);
    }
    run(&k);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 6);
    for (i = 0; i < 5; i++) {
        g_assert_true(shows(gpu, 1 + i, 10 + i));
    }
    g_assert_true(shows(gpu, 6, 50));

    /* All at once fails, one by one does not. */
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    for (i = 1; i <= 5; i++) {
        add_unmap(&k, i, OK);
    }
    run(&k);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);

    /* Nor can another take a place that is not given up. */
    gpu_fail(gpu, SCRIPTED_MAP_OTHER | SCRIPTED_MAP_FREE, 0, 100);
    add_unmap(&k, 6, NO_MEMORY);
    add_map(&k, 1, 50, BAD);
    run(&k);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_true(shows(gpu, 6, 50));
    unref_row(gpu, 1, 6);
    gpu_finish(gpu);
}

/* A kernel that has no memory for the store, which must be full before */
static void test_no_store(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);

    map_row(gpu, SCRIPTED_SHM, 1, 1, 10);
    gpu_create(gpu, 2, SCRIPTED_SHM, GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 10 * GPU_PAGE, NULL), ==, GRANTED);

    map_row(gpu, SCRIPTED_SHM, 3, 1, 20);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
    g_assert_cmphex(gpu_unmap(gpu, 3), ==, OK);
    gpu_fail(gpu, SCRIPTED_MAP_STORE, 0, 100);
    add_unmap(&k, 1, OK);
    add_map(&k, 2, 10, NO_MEMORY);
    run(&k);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_false(shows(gpu, 1, 10));
    unref_row(gpu, 1, 3);
    gpu_finish(gpu);
}

/* A resource that is let go of behind its unmapping */
static void test_unref(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    unsigned i;

    map_row(gpu, BUFFER, 1, 10, 10);
    for (i = 1; i <= 10; i++) {
        add(&k, gpu_put_simple(gpu, VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE, i),
            OK);
        add_unmap(&k, i, OK);
        add_unref(&k, i, OK);
    }
    g_assert_cmpuint(run(&k), ==, 1);
    g_assert_cmpuint(gpu_shared(gpu)->live, ==, 0);

    /* Its number is free for what comes next, */
    map_row(gpu, BUFFER, 1, 3, 10);
    add_unmap(&k, 1, OK);
    add_unref(&k, 1, OK);
    add(&k, gpu_put_create(gpu, 1, BUFFER, GPU_PAGE), OK);
    add_map(&k, 1, 10, GRANTED);
    run(&k);
    g_assert_true(shows(gpu, 1, 10));

    /* and what is said to it then finds nothing, */
    add_unmap(&k, 1, OK);
    add_unref(&k, 1, OK);
    add_unref(&k, 1, BAD_ID);
    add_unmap(&k, 2, OK);
    add_unref(&k, 2, OK);
    add_unmap(&k, 2, BAD_ID);
    run(&k);

    /* not even where it could take a place. */
    map_row(gpu, BUFFER, 1, 1, 10);
    add_unmap(&k, 1, OK);
    add_unref(&k, 1, OK);
    add_unmap(&k, 3, OK);
    add_map(&k, 1, 12, BAD_ID);
    run(&k);

    /* A place that was taken, and who had it */
    gpu_create(gpu, 1, BUFFER, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 3, 12 * GPU_PAGE, NULL), ==, GRANTED);
    add_unmap(&k, 3, OK);
    add_unref(&k, 3, OK);
    add_map(&k, 1, 12, GRANTED);
    g_assert_cmpuint(run(&k), ==, 0);
    g_assert_true(shows(gpu, 1, 12));
    g_assert_cmpuint(gpu_shared(gpu)->live, ==, 1);
    unref_row(gpu, 1, 1);
    gpu_finish(gpu);
}

/* What cannot be, or cannot wait, amid those that do */
static void test_mixed(void)
{
    GPU *gpu = gpu_start_plain();
    struct virtio_gpu_resource_unmap_blob cut = {
        .hdr.type = cpu_to_le32(VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB),
        .resource_id = cpu_to_le32(2),
    };
    Kick k = kick_new(gpu);

    map_row(gpu, BUFFER, 1, 6, 10);
    add_unmap(&k, 1, OK);
    add_unmap(&k, 1, BAD);
    add_unmap(&k, 77, BAD_ID);
    add_unmap(&k, 2, OK);
    add(&k, gpu_put(gpu, &(GPUCmd) {
        .out = &cut, .out_len = sizeof(cut) - 4, .in_len = 64,
    }), BAD);
    add_unmap(&k, 3, OK);
    add(&k, gpu_put_fenced(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 4, 7), OK);
    add_unmap(&k, 5, OK);
    add(&k, gpu_put_fenced(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 5, 8), OK);
    add_unmap(&k, 6, OK);
    add_map(&k, 77, 15, BAD_ID);
    add_map(&k, 6, 15, GRANTED);
    run(&k);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);
    g_assert_true(shows(gpu, 6, 15));
    unref_row(gpu, 1, 4);
    unref_row(gpu, 6, 1);
    gpu_finish(gpu);
}

/* The same again and again, a ring full, alone and in turns with another */
static void test_again(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);
    unsigned i, round;

    map_row(gpu, SCRIPTED_SHM, 1, 1, 10);
    gpu_create(gpu, 2, SCRIPTED_SHM, GPU_PAGE);
    for (round = 0; round < 20; round++) {
        for (i = 0; i < PAIRS; i++) {
            add_unmap(&k, 1, OK);
            add_map(&k, 1, 10, GRANTED);
        }
        g_assert_cmpuint(run(&k), ==, PAIRS);
        for (i = 0; i < PAIRS; i++) {
            add_unmap(&k, 1 + i % 2, OK);
            add_map(&k, 2 - i % 2, 10, GRANTED);
        }
        g_assert_cmpuint(run(&k), ==, 0);
    }
    g_assert_true(shows(gpu, 1, 10));
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
    unref_row(gpu, 1, 2);
    gpu_finish(gpu);
}

/* Whoever looks at memory is told of each step, in its order. */
static void test_watched(void)
{
    GPU *gpu = gpu_start_plain();
    struct scripted_shared *s = gpu_shared(gpu);
    Kick k = kick_new(gpu);
    unsigned i;

    map_row(gpu, SCRIPTED_SHM, 1, 3, 10);
    gpu_create(gpu, 4, SCRIPTED_SHM, GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(s->watched, ==, 3 * GPU_PAGE);

    /* They cannot go: they are told to go, and to be there again. */
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 100);
    for (i = 1; i <= 3; i++) {
        add_unmap(&k, i, NO_MEMORY);
    }
    run(&k);
    gpu_fail(gpu, 0, 0, 0);
    g_assert_cmpuint(s->watched, ==, 3 * GPU_PAGE);

    /* All is told before the first goes. */
    s->saw = 0;
    for (i = 1; i <= 3; i++) {
        add_unmap(&k, i, OK);
    }
    g_assert_cmpuint(run(&k), ==, 1);
    g_assert_cmpuint(s->watched, ==, 0);
    g_assert_cmphex(s->saw, ==, scripted_stamp(3, 0));

    /* There is a hole between two buffers. */
    g_assert_cmphex(gpu_map(gpu, 1, 10 * GPU_PAGE, NULL), ==, GRANTED);
    add_unmap(&k, 1, OK);
    add_map(&k, 4, 10, GRANTED);
    g_assert_cmpuint(run(&k), ==, 1);
    g_assert_cmpuint(s->watched, ==, GPU_PAGE);
    g_assert_cmphex(s->saw, ==, scripted_stamp(4, 0));
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);

    /* Who comes later is told of what has taken a place. */
    add_unmap(&k, 4, OK);
    add_map(&k, 2, 10, GRANTED);
    g_assert_cmpuint(run(&k), ==, 0);
    gpu_watch(gpu, SCRIPTED_WATCH_ON, 0);
    g_assert_cmpuint(s->watched, ==, GPU_PAGE);
    g_assert_cmphex(s->saw, ==, scripted_stamp(2, 0));
    gpu_watch(gpu, SCRIPTED_WATCH_OFF, 0);
    unref_row(gpu, 1, 4);
    gpu_finish(gpu);
}

/* What is lost goes, or gives its place to another, as anything else. */
static void test_lost(void)
{
    GPU *gpu = gpu_start_plain();
    Kick k = kick_new(gpu);

    map_row(gpu, BUFFER, 1, 3, 10);
    gpu_create(gpu, 4, BUFFER, GPU_PAGE);
    gpu_buffer_truncate(gpu, 1, 0);
    gpu_buffer_truncate(gpu, 3, 0);
    gpu_read(gpu, 10 * GPU_PAGE);
    gpu_read(gpu, 12 * GPU_PAGE);
    add_unmap(&k, 2, OK);
    add_unmap(&k, 1, OK);
    add_unmap(&k, 3, OK);
    add_map(&k, 4, 12, GRANTED);
    g_assert_cmpuint(run(&k), ==, 1);
    g_assert_true(shows(gpu, 4, 12));
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 1);
    g_assert_cmpuint(gpu_stat(gpu, "lost"), ==, 2);
    gpu_read(gpu, 12 * GPU_PAGE);
    g_assert_true(shows(gpu, 4, 12));
    unref_row(gpu, 1, 4);
    gpu_finish(gpu);
}

/* Under KVM a handle of each dma-buf is kept while it is mapped. */
static void test_kept(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .kvm = SCRIPTED_KVM_PLAIN,
    });
    struct scripted_shared *s = gpu_shared(gpu);
    Kick k = kick_new(gpu);
    uint64_t kept;

    gpu_watch(gpu, SCRIPTED_WATCH_SLOTS, 0);
    map_row(gpu, BUFFER, 1, 3, 10);
    gpu_create(gpu, 4, BUFFER, GPU_PAGE);
    kept = s->dups + s->exports - s->closes;
    add_unmap(&k, 1, OK);
    add_map(&k, 4, 10, GRANTED);
    g_assert_cmpuint(run(&k), ==, 0);
    g_assert_cmpuint(s->dups + s->exports - s->closes, ==, kept);
    gpu_toggle_memory(gpu);
    g_assert_true(shows(gpu, 4, 10));

    /* One that cannot come leaves none. */
    gpu_create(gpu, 5, BUFFER | SCRIPTED_MMAP_EINVAL, GPU_PAGE);
    add_unmap(&k, 4, OK);
    add_map(&k, 5, 10, UNSPEC);
    add_unmap(&k, 2, OK);
    add_unmap(&k, 3, OK);
    run(&k);
    g_assert_cmpuint(s->dups + s->exports - s->closes, ==, 0);
    unref_row(gpu, 1, 5);
    gpu_finish(gpu);
}

/*
 * The device is reset with a kick on its way; where there is a region, that
 * holds it up, with what was unmapped before waiting.
 */
static void test_reset(void)
{
    GPU *gpu = gpu_start_plain();
    unsigned i, round;

    for (round = 0; round < 12; round++) {
        uint64_t kind = kinds[round % 2];

        map_row(gpu, kind, 1, 9, 10);
        map_row(gpu, round % 4 < 2 ? kind : POINTER, 10, 1, 19);
        map_row(gpu, kind, 11, 10, 20);
        for (i = 1; i <= 20; i++) {
            gpu_put_unmap(gpu, i);
            gpu_put_unref(gpu, i);
        }
        gpu_kick(gpu);
        gpu_reset(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        /* The region's memory goes with RCU's next turn. */
        for (i = 0; i < 500 && gpu_shared(gpu)->live; i++) {
            g_usleep(10 * 1000);
            gpu_settle(gpu);
        }
        g_assert_cmpuint(gpu_shared(gpu)->live, ==, 0);
        for (i = 0; i < 20; i++) {
            g_assert_false(shows(gpu, 1 + i, 10 + i));
        }
    }
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "neighbours", test_neighbours },
        { "period", test_period },
        { "many", test_many },
        { "replace", test_replace },
        { "replace-last", test_replace_last },
        { "other-place", test_other_place },
        { "refused", test_refused },
        { "pointer", test_pointer },
        { "no-memory", test_no_memory },
        { "no-store", test_no_store },
        { "unref", test_unref },
        { "mixed", test_mixed },
        { "again", test_again },
        { "watched", test_watched },
        { "lost", test_lost },
        { "kept", test_kept },
        { "reset", test_reset },
    };

    return gpu_run_tests(argc, argv, "kick", tests, G_N_ELEMENTS(tests));
}
