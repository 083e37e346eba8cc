/*
 * qtest for virtio-gpu-gl: random commands, and many threads at once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "standard-headers/linux/pci_regs.h"
#include "virtio-gpu-gl-client-internal.h"
#include "virtio-gpu-gl-fuzz.h"

/*
 * What a fuzzer drives in its own process, by the qtest protocol
 */

static void reset_machine(GPU *gpu)
{
    qtest_system_reset(gpu->qts);
}

/* What comes after a command waits for the main loop, which carries it out. */
static void run(GPU *gpu)
{
    gpu_config(gpu, 0);
}

/* RCU's thread takes its time before memory of the renderer's is unmapped. */
static void settle(GPU *gpu)
{
    gpu_settle(gpu);
    if (gpu->shared->maps != gpu->shared->unmaps) {
        g_usleep(5000);
    }
}

static uint64_t live(GPU *gpu)
{
    return gpu_stat(gpu, "live");
}

static GPU *start(GPUFuzzHost *host)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .props = ",max_outputs=2", .log = "/dev/null",
    });

    *host = (GPUFuzzHost) {
        .pid = gpu->pid,
        .reset_machine = reset_machine,
        .map_bars = gpu_pci_open,
        .run = run,
        .settle = settle,
        .live = live,
    };
    return gpu;
}

/* In hexadecimal; what fails is the last that is printed. */
static void run_input(GPU *gpu, const GPUFuzzHost *host, const char *line)
{
    size_t n = strlen(line) / 2, i;
    g_autofree uint8_t *data = g_malloc(n);

    g_test_message("input %s", line);
    for (i = 0; i < n; i++) {
        data[i] = g_ascii_xdigit_value(line[2 * i]) << 4 |
                  g_ascii_xdigit_value(line[2 * i + 1]);
    }
    gpu_fuzz(gpu, host, data, n);
}

/* What a fuzzer found worth keeping */
static void test_corpus(void)
{
    GPUFuzzHost host;
    GPU *gpu = start(&host);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    char **line;

    g_assert_true(g_file_get_contents(CORPUS, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    g_assert_cmpuint(g_strv_length(lines), >, 200);
    for (line = lines; *line; line++) {
        run_input(gpu, &host, *line);
    }
    gpu_finish(gpu);
}

/*
 * What a driver might do and now and then none would, made from a seed, while
 * buffers go at any time.
 *
 * SOAK_COMMANDS and SOAK_SEED are numbers; SOAK_INPUT is an input that failed,
 * to try it again; SOAK_MODEL_IS_WRONG=1 makes the model forget about
 * overlaps, to see that a mismatch is found.
 */

#define STEPS 300 /* of an input; gpu_fuzz() takes no more than 400 */
#define IDS 8

enum { SETTLE = 1, CREATE_GOOD, MAP, UNMAP, CREATE, CONTEXT = 10, VANISH = 18,
       LOOK = 21, TORN = 23, RESET = 31 };

#define ADD(...) add(input, (const uint8_t[]) { __VA_ARGS__ }, \
                     sizeof((const uint8_t[]) { __VA_ARGS__ }))

static void add(GString *input, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(input, "%02x", bytes[i]);
    }
}

static uint8_t any(GRand *rand, unsigned n)
{
    return g_rand_int_range(rand, 0, n);
}

/* Mostly of a few pages, and at an offset that is a page's */
static uint8_t any_number(GRand *rand)
{
    return any(rand, 30) ? 9 + any(rand, 200) : any(rand, 9);
}

static void add_create(GString *input, GRand *rand)
{
    unsigned n;
    const GPUFuzzType *types = gpu_fuzz_types(&n);
    uint64_t id = scripted_blob_id(types[any(rand, n)].blob);
    uint8_t which = 1 + any(rand, IDS - 1), size = any_number(rand);

    /* One that is not mappable, by the highest bit of the four bytes */
    id |= any(rand, 20) ? 0 : 1u << 31;
    ADD(CREATE, which, size, id, id >> 8, id >> 16, id >> 24);
}

static void add_step(GString *input, GRand *rand)
{
    const uint8_t id = any(rand, 50) ? 1 + any(rand, IDS - 1) : 0;
    const uint8_t number = any_number(rand);
    const unsigned what = any(rand, 100);
    /* fenced, or in several pieces, as a byte behind it says */
    const uint8_t torn = what >= 82 || any(rand, 6) ? 0 : any(rand, 2) ? 1 : 16;

    if (torn) {
        ADD(TORN, torn);
    }
    if (what < 12) {
        ADD(CREATE_GOOD, any(rand, 256));
    } else if (what < 25) {
        add_create(input, rand);
    } else if (what < 55) {
        ADD(MAP, id, number);
    } else if (what < 82) {
        /* 0x80: UNREF */
        ADD(UNMAP, any(rand, 3) ? id : id | 0x80);
    } else if (what < 85) {
        /* MAP_BLOB that is short, or whose reply is */
        ADD(TORN, what < 84 ? 8 : 4, MAP, id, number, 24 + number % 8);
    } else if (what < 88) {
        ADD(SETTLE, VANISH, id, any(rand, 4));
    } else if (what < 93) {
        ADD(SETTLE, LOOK, any(rand, 64));
    } else {
        ADD(SETTLE);
    }
    if (torn) {
        ADD(any(rand, 256));
    }
}

static unsigned number(const char *name, unsigned otherwise)
{
    const char *text = g_getenv(name);

    return text ? g_ascii_strtoull(text, NULL, 0) : otherwise;
}

static void test_soak(void)
{
    unsigned n = DIV_ROUND_UP(number("SOAK_COMMANDS", 20000), STEPS), i, j;
    GRand *rand = g_rand_new_with_seed(number("SOAK_SEED", 1));
    const char *again = g_getenv("SOAK_INPUT");
    GPUFuzzHost host;
    GPU *gpu = start(&host);

    if (again) {
        run_input(gpu, &host, again);
        n = 0;
    }
    for (i = 0; i < n; i++) {
        GString *input = g_string_new(NULL);

        ADD(CONTEXT, 0, 0);
        for (j = 0; j < STEPS; j++) {
            add_step(input, rand);
        }
        run_input(gpu, &host, input->str);
        g_string_free(input, true);
    }
    g_rand_free(rand);
    gpu_finish(gpu);
}

/*
 * vCPUs, threads of QEMU's and a device's DMA read, write and count in the
 * window; the monitor asks what is mapped; and the main loop maps, unmaps,
 * fails, loses and resets.  What any of them finds is the page's resource, or
 * nothing.
 */

#define VCPUS 2
#define PAGES 48
/* Ids of a page go on, so that no two of its buffers are taken for another */
#define GENERATIONS 32

#define FAILING BUFFER_BUT(.mmap = MMAP_ENODEV)

static const ScriptedBlob kinds[] = {
    BUFFER, BUFFER, LOOSE_SHM, LOOSE_SHM, POINTER, DRIVERS, FAILING,
};

typedef struct Play {
    GPU *gpu;
    GRand *rand;
    unsigned generation[PAGES];
    uint32_t id[PAGES]; /* of what is there, or 0 */
    bool lost[PAGES];
    ScriptedBlob kind[PAGES];
    unsigned commands, resets;
} Play;

static void bring(Play *p, unsigned page)
{
    ScriptedBlob kind = kinds[g_rand_int_range(p->rand, 0,
                                               G_N_ELEMENTS(kinds))];
    uint32_t id = page + 1 +
                  p->generation[page]++ % GENERATIONS * GPU_USERS_PAGES;
    uint32_t answer;

    g_assert_cmphex(gpu_create(p->gpu, id, kind, GPU_PAGE), ==, OK);
    answer = gpu_map(p->gpu, id, page * GPU_PAGE, NULL);
    if (kind.mmap) {
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
    if (p->kind[page].memory != MEMORY_DRIVER && !p->lost[page]) {
        gpu_buffer_truncate(p->gpu, p->id[page], 0);
        p->lost[page] = true;
    }
}

/* The machine's reset brings the window back to where it was first. */
#define HIGHEST 0xa0000000ull

static void reset_something(Play *p)
{
    unsigned how = p->gpu->window > HIGHEST ? 1 : 4;

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

/* DMA of another device, QEMU's edu; it takes a tenth of a second. */
#define EDU "-device edu,addr=0x1f,dma_mask=0xffffffffffffffff"
#define EDU_BAR 0xe0000000ull
#define EDU_BUFFER 0x40000

static void edu_copy(GPU *gpu, uint64_t from, uint64_t to)
{
    QPCIDevice edu = { .bus = gpu->bus, .devfn = QPCI_DEVFN(0x1f, 0) };
    QTestState *qts = gpu->qts;

    /* A reset of the machine takes its place away. */
    qpci_config_writel(&edu, PCI_BASE_ADDRESS_0, EDU_BAR);
    qpci_config_writew(&edu, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    if (qtest_readq(qts, EDU_BAR + 0x98) & 1) {
        return;
    }
    qtest_writeq(qts, EDU_BAR + 0x80, from);
    qtest_writeq(qts, EDU_BAR + 0x88, to);
    qtest_writeq(qts, EDU_BAR + 0x90, 64);
    qtest_writeq(qts, EDU_BAR + 0x98, from == EDU_BUFFER ? 3 : 1);
}

static void check(Play *p)
{
    struct scripted_shared *shared = p->gpu->shared;
    const uint64_t page = p->gpu->window + 7 * GPU_PAGE + 512;

    qobject_unref(gpu_property(p->gpu, "blob-maps"));
    edu_copy(p->gpu, p->commands & 1 ? EDU_BUFFER : page,
             p->commands & 1 ? page : EDU_BUFFER);
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
            reset_something(p);
        }
    }
}

static GPU *start_busy(const char *args)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .users = VCPUS, .kernel = SCRIPTED_KERNEL_OLD,
        .args = args, .log = "/dev/null",
    });

    gpu->shared->use_pages = PAGES;
    gpu_watch(gpu, SCRIPTED_WATCH_USE, 0);
    gpu_users_go(gpu, PAGES);
    return gpu;
}

/* Each of the threads got on all the time, and none met what it must not. */
static void finish_busy(GPU *gpu)
{
    struct scripted_shared *shared = gpu->shared;

    g_test_message("turns: %u by vCPUs, %" PRIu64 " by threads; %" PRIu64
                   " pages mapped", gpu_users_turns(gpu),
                   qatomic_read(&shared->use_turns),
                   qatomic_read(&shared->use_mapped));
    g_assert_cmpuint(gpu_users_turns(gpu), >, 0);
    g_assert_cmpuint(qatomic_read(&shared->use_turns), >, 0);
    g_assert_cmpuint(qatomic_read(&shared->use_mapped), >, 0);
    gpu_users_go(gpu, 0);
    qatomic_set(&shared->use_pages, 0);
    while (qatomic_read(&shared->users)) {
        g_usleep(1000);
    }
    g_assert_true(gpu_users_agree(gpu));
    g_assert_cmpuint(shared->use_foreign, ==, 0);
    g_assert_cmpuint(shared->use_landed, ==, 0);
    gpu_reset(gpu);
    gpu_finish(gpu);
}

static void test_all_at_once(void)
{
    Play p = {
        .gpu = start_busy(EDU), .rand = g_rand_new_with_seed(1),
    };

    play(&p, g_test_slow() ? 120 : 5);
    g_test_message("%u commands, %u resets", p.commands, p.resets);
    finish_busy(p.gpu);
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
    GPU *gpu = start_busy(NULL);
    uint32_t page;

    for (page = 1; page < PAGES; page += 2) {
        gpu_map_new(gpu, page + 1, BUFFER, GPU_PAGE, page * GPU_PAGE);
    }
    g_assert_cmphex(gpu_create(gpu, GPU_USERS_PAGES, FAILING, GPU_PAGE), ==,
                    OK);
    gpu_batch_all(gpu, put_failing_map, 0, n, UNSPEC);
    for (page = 1; page < PAGES; page += 2) {
        g_assert_true(gpu_shows(gpu, page * GPU_PAGE, page + 1, 0));
    }
    finish_busy(gpu);
}

/*
 * A vCPU knows the regions of devices by their numbers in the memory map, and
 * these change when a buffer without an fd, which is one, goes.
 */
static void test_regions_go(GPU *gpu)
{
    for (unsigned i = 0; i < (g_test_slow() ? 100 : 4); i++) {
        gpu_batch_all(gpu, gpu_put_drivers, 1, GPU_BATCH, OK);
        gpu_batch_all(gpu, gpu_put_map_apart, 1, GPU_BATCH, GRANTED);
        gpu_vcpu_wait(gpu, gpu_vcpu_turns(gpu) + 10);
        gpu_batch_all(gpu, gpu_put_unref, 1, GPU_BATCH, OK);
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "corpus", .alone = test_corpus },
        { "soak", .alone = test_soak },
        { "all-at-once", .alone = test_all_at_once },
        { "failing-maps", .alone = test_failing_maps },
        { "regions-go", test_regions_go, { .reader = true } },
    };

    return gpu_run_tests(argc, argv, "random", tests, G_N_ELEMENTS(tests));
}
