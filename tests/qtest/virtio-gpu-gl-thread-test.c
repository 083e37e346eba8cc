/*
 * qtest for virtio-gpu-gl: many threads use the window while it changes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * vCPUs, threads of QEMU's and a device's DMA read, write and count in the
 * window; the monitor asks what is mapped; and the main loop maps, unmaps,
 * fails, loses and resets.  What any of them finds is the page's resource, or
 * nothing.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "virtio-gpu-gl-client.h"

#define VCPUS 2
#define PAGES 48
/* Ids of a page go on, so that no two of its buffers are taken for another */
#define GENERATIONS 32

#define LOOSE_SHM (SCRIPTED_SHM | SCRIPTED_SEALED)
#define FAILING (BUFFER | SCRIPTED_MMAP_ENODEV)

static const uint64_t kinds[] = {
    BUFFER, BUFFER, LOOSE_SHM, LOOSE_SHM, POINTER, DRIVERS, FAILING,
};

typedef struct Play {
    GPU *gpu;
    GRand *rand;
    unsigned generation[PAGES];
    uint32_t id[PAGES]; /* of what is there, or 0 */
    bool lost[PAGES];
    uint64_t kind[PAGES];
    unsigned commands, resets;
} Play;

static void bring(Play *p, unsigned page)
{
    uint64_t kind = kinds[g_rand_int_range(p->rand, 0, G_N_ELEMENTS(kinds))];
    uint32_t id = page + 1 +
                  p->generation[page]++ % GENERATIONS * GPU_USERS_PAGES;
    uint32_t answer;

    g_assert_cmphex(gpu_create(p->gpu, id, kind, GPU_PAGE), ==, OK);
    answer = gpu_map(p->gpu, id, page * GPU_PAGE, NULL);
    if (kind == FAILING) {
        g_assert_cmphex(answer, ==, UNSPEC);
        g_assert_cmphex(gpu_unref(p->gpu, id), ==, OK);
        return;
    }
    g_assert_cmphex(answer, ==, GRANTED);
    p->id[page] = id;
    p->kind[page] = kind;
    p->lost[page] = false;
}

/* With an unmap or without one */
static void take(Play *p, unsigned page)
{
    if (g_rand_boolean(p->rand)) {
        g_assert_cmphex(gpu_unmap(p->gpu, p->id[page]), ==, OK);
    }
    g_assert_cmphex(gpu_unref(p->gpu, p->id[page]), ==, OK);
    p->id[page] = 0;
}

static void lose(Play *p, unsigned page)
{
    if (p->kind[page] != DRIVERS && !p->lost[page]) {
        gpu_buffer_truncate(p->gpu, p->id[page], 0);
        p->lost[page] = true;
    }
}

/* The machine's reset brings the window back to where it was first. */
#define HIGHEST 0xa0000000ull

static void reset(Play *p)
{
    unsigned how = gpu_window(p->gpu) > HIGHEST ? 1 : 4;

    switch (g_rand_int_range(p->rand, 0, how)) {
    case 0:
        gpu_system_reset(p->gpu);
        gpu_users_go(p->gpu, PAGES);
        break;
    case 1:
        gpu_reset(p->gpu);
        break;
    case 2:
        gpu_toggle_memory(p->gpu);
        return;
    default:
        gpu_move_window(p->gpu);
        gpu_users_go(p->gpu, PAGES);
        return;
    }
    memset(p->id, 0, sizeof(p->id));
    p->resets++;
}

static void change(Play *p)
{
    unsigned page = g_rand_int_range(p->rand, 0, PAGES);

    if (!p->id[page]) {
        bring(p, page);
    } else if (g_rand_int_range(p->rand, 0, 4) == 0) {
        lose(p, page);
    } else {
        take(p, page);
    }
    p->commands++;
}

/*
 * DMA of another device: QEMU's edu, which takes a tenth of a second
 */

#define EDU_SLOT 0x1f
#define EDU_BAR 0xe0000000ull
#define EDU_BUFFER 0x40000

static void edu_config(GPU *gpu, uint8_t reg, uint32_t value)
{
    qtest_outl(gpu_qts(gpu), 0xcf8, 1u << 31 | EDU_SLOT << 11 | reg);
    qtest_outl(gpu_qts(gpu), 0xcfc, value);
}

static void edu_copy(GPU *gpu, bool write)
{
    QTestState *qts = gpu_qts(gpu);
    uint64_t page = gpu_window(gpu) + 7 * GPU_PAGE + 512;

    /* A reset of the machine has taken its place away. */
    edu_config(gpu, 0x10, EDU_BAR);
    edu_config(gpu, 0x04, 0x6);
    if (qtest_readq(qts, EDU_BAR + 0x98) & 1) {
        return;
    }
    qtest_writeq(qts, EDU_BAR + 0x80, write ? EDU_BUFFER : page);
    qtest_writeq(qts, EDU_BAR + 0x88, write ? page : EDU_BUFFER);
    qtest_writeq(qts, EDU_BAR + 0x90, 512);
    qtest_writeq(qts, EDU_BAR + 0x98, write ? 3 : 1);
}

static void check(Play *p)
{
    struct scripted_shared *shared = gpu_shared(p->gpu);

    qobject_unref(gpu_property(p->gpu, "blob-maps"));
    edu_copy(p->gpu, p->commands & 1);
    g_assert_true(gpu_users_agree(p->gpu));
    g_assert_cmpuint(qatomic_read(&shared->use_foreign), ==, 0);
}

static void play(Play *p, unsigned seconds)
{
    int64_t end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;

    while (g_get_monotonic_time() < end) {
        change(p);
        if (p->commands % 16 == 0) {
            check(p);
        }
        if (p->commands % 256 == 0) {
            reset(p);
        }
    }
}

/* Each of the threads got on all the time. */
static void check_turns(Play *p)
{
    struct scripted_shared *shared = gpu_shared(p->gpu);

    g_test_message("%u commands, %u resets; turns: %u by vCPUs, %" PRIu64
                   " by threads", p->commands, p->resets,
                   gpu_users_turns(p->gpu), qatomic_read(&shared->use_turns));
    g_assert_cmpuint(gpu_users_turns(p->gpu), >, 0);
    g_assert_cmpuint(qatomic_read(&shared->use_turns), >, 0);
}

static void end_threads(GPU *gpu)
{
    struct scripted_shared *shared = gpu_shared(gpu);

    gpu_users_go(gpu, 0);
    qatomic_set(&shared->use_pages, 0);
    while (qatomic_read(&shared->users)) {
        g_usleep(1000);
    }
}

static void test_all_at_once(void)
{
    Play p = {
        .gpu = gpu_start(&(GPUConfig) {
            .hostmem = WINDOW,
            .users = VCPUS,
            .kernel = SCRIPTED_KERNEL_OLD,
            .args = "-device edu,addr=0x1f,dma_mask=0xffffffffffffffff",
        }),
        .rand = g_rand_new_with_seed(1),
    };

    gpu_shared(p.gpu)->use_pages = PAGES;
    gpu_watch(p.gpu, SCRIPTED_WATCH_USE, 0);
    gpu_users_go(p.gpu, PAGES);
    play(&p, g_test_slow() ? 120 : 5);
    check_turns(&p);
    end_threads(p.gpu);
    gpu_reset(p.gpu);
    gpu_finish(p.gpu);
    g_rand_free(p.rand);
}

/* Even pages fail to be mapped; on odd ones there is a buffer. */
static unsigned put_failing_map(GPU *gpu, uint32_t i)
{
    return gpu_put_map(gpu, GPU_USERS_PAGES, i * 2 % PAGES * GPU_PAGE);
}

/*
 * Each map that fails in the driver leaves a gap for a moment.  vCPUs and
 * threads meet it unharmed, and what other threads map does not land there.
 */
static void test_failing_maps(void)
{
    const unsigned n = g_test_slow() ? 1000000 : 100000;
    g_autofree uint32_t *replies = g_new(uint32_t, n);
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .users = VCPUS, .kernel = SCRIPTED_KERNEL_OLD,
        .log = "/dev/null",
    });
    struct scripted_shared *shared = gpu_shared(gpu);
    uint32_t page;

    for (page = 1; page < PAGES; page += 2) {
        gpu_create(gpu, page + 1, BUFFER, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, page + 1, page * GPU_PAGE, NULL), ==,
                        GRANTED);
    }
    g_assert_cmphex(gpu_create(gpu, GPU_USERS_PAGES, FAILING, GPU_PAGE), ==,
                    OK);
    shared->use_pages = PAGES;
    gpu_watch(gpu, SCRIPTED_WATCH_USE, 0);
    gpu_users_go(gpu, PAGES);
    gpu_batch(gpu, put_failing_map, 0, n, replies);
    g_assert_cmpuint(gpu_count(replies, n, UNSPEC), ==, n);
    g_test_message("turns: %u by vCPUs, %" PRIu64 " by threads; %" PRIu64
                   " pages mapped", gpu_users_turns(gpu),
                   qatomic_read(&shared->use_turns),
                   qatomic_read(&shared->use_mapped));
    g_assert_cmpuint(gpu_users_turns(gpu), >, 0);
    g_assert_cmpuint(qatomic_read(&shared->use_turns), >, 0);
    g_assert_cmpuint(qatomic_read(&shared->use_mapped), >, 0);
    end_threads(gpu);
    g_assert_true(gpu_users_agree(gpu));
    g_assert_cmpuint(shared->use_foreign, ==, 0);
    g_assert_cmpuint(shared->use_landed, ==, 0);
    for (page = 1; page < PAGES; page += 2) {
        g_assert_cmphex(gpu_read(gpu, page * GPU_PAGE), ==,
                        scripted_stamp(page + 1, 0));
    }
    gpu_reset(gpu);
    gpu_finish(gpu);
}

/*
 * A vCPU knows the regions of devices by their numbers in the memory map, and
 * these change when a buffer without an fd, which is one, goes.
 */
static void test_regions_go(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .reader = true });
    uint32_t replies[GPU_BATCH];
    unsigned i;

    for (i = 0; i < (g_test_slow() ? 100 : 4); i++) {
        uint32_t turns;

        gpu_batch(gpu, gpu_put_drivers, 1, GPU_BATCH, replies);
        gpu_batch(gpu, gpu_put_map_apart, 1, GPU_BATCH, replies);
        g_assert_cmphex(replies[GPU_BATCH - 1], ==, GRANTED);
        turns = gpu_vcpu_turns(gpu);
        while (gpu_vcpu_turns(gpu) - turns < 10) {
            g_usleep(100);
        }
        gpu_batch(gpu, gpu_put_unref, 1, GPU_BATCH, replies);
        g_assert_cmphex(replies[GPU_BATCH - 1], ==, OK);
    }
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "all-at-once", test_all_at_once },
        { "failing-maps", test_failing_maps },
        { "regions-go", test_regions_go },
    };

    return gpu_run_tests(argc, argv, "thread", tests, G_N_ELEMENTS(tests));
}
