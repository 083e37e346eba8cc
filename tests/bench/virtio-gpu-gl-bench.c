/*
 * What mapping and unmapping a blob costs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * virtio-gpu-gl-bench NAME LIVE REPETITIONS CASE...
 *
 * Times batches of GPU_BATCH commands, one kick each, with LIVE other blobs
 * mapped, from the kick to the last answer.  CASE is one of those below.
 * Prints, separated by tabs: NAME, LIVE, CASE, what, and the median in
 * microseconds a command.  What is measured in the processor's time, too, does
 * not grow where the machine has other work.
 *
 * With BENCH_BY_GUEST in the environment QEMU needs no qtest accelerator, as
 * distributions build it: a guest under TCG kicks, and what is measured is the
 * main loop's time alone.
 */

#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "virtio-gpu-gl-bench-guest.h"

#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define FIRST 100000
#define HOSTMEM (256 * GPU_MIB)

/*
 * Case - @mute: the kernel cannot be asked; @apart: there is a hole between any
 * two; @fresh: no buffer is mapped twice; @oldest: the live blobs that were
 * created first, in place of new ones
 */
typedef struct Case {
    const char *name;
    ScriptedBlob blob;
    bool mute;
    bool apart;
    bool fresh;
    bool oldest;
} Case;

#define NAMED (DMABUF(.exporter = EXPORTER_UDMABUF, .word = WORD_WC))

static const Case cases[] = {
    { "answers", BUFFER, .apart = true },
    { "no-query", BUFFER, .mute = true, .apart = true },
    { "name", NAMED, .apart = true, .fresh = true },
    { "name-again", NAMED, .apart = true },
    { "shm", SHM(.word = WORD_CACHED), .apart = true },
    { "answers-next", BUFFER },
    { "shm-next", SHM(.word = WORD_CACHED) },
    { "pointer", DRIVERS, .apart = true },
    { "oldest", .oldest = true },
};

/* Of a command, on the clock and of QEMU's processor time */
typedef struct Cost {
    double us;
    double used;
} Cost;

typedef struct Series {
    unsigned n;
    double us[1000];
    double used[1000];
} Series;

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void add(Series *s, Cost cost)
{
    g_assert_cmpuint(s->n, <, G_N_ELEMENTS(s->us));
    s->us[s->n] = cost.us;
    s->used[s->n++] = cost.used;
}

static bool by_guest(void)
{
    return g_getenv("BENCH_BY_GUEST");
}

static void print(const char *name, unsigned live, const char *which,
                  const char *what, Series *s)
{
    if (!by_guest()) {
        printf("%s\t%u\t%s\t%s\t%.3f\n", name, live, which, what,
               median(s->us, s->n));
    }
    printf("%s\t%u\t%s\t%s used\t%.3f\n", name, live, which, what,
           median(s->used, s->n));
    fflush(stdout);
}

static double now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

/* The main loop alone: the guest's vCPU runs all the time. */
static double main_loop_us(GPU *gpu)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%d/schedstat",
                                            gpu->pid, gpu->pid);
    g_autofree char *text = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        g_error("%s cannot be read", path);
    }
    return g_ascii_strtod(text, NULL) / 1e3;
}

/* What QEMU has used of the processor's time */
static double used_us(GPU *gpu)
{
    struct timespec ts;
    clockid_t clock;

    if (by_guest()) {
        return main_loop_us(gpu);
    }
    if (clock_getcpuclockid(gpu->pid, &clock) ||
        clock_gettime(clock, &ts)) {
        g_error("QEMU's clock cannot be read");
    }
    return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

/*
 * The vCPU of a guest that kicks polls all the time.  On the other half of a
 * core it would slow the main loop.  So all of QEMU's threads are on one
 * processor, where the others run while the main loop sleeps.
 */
static void share_processor(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const struct sched_param none = { };
    cpu_set_t set, one;
    const char *name;
    int cpu = CPU_SETSIZE;

    if (!dir || sched_getaffinity(pid, sizeof(set), &set)) {
        g_error("QEMU's threads cannot be listed");
    }
    while (!CPU_ISSET(--cpu, &set)) {
        continue;
    }
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    while ((name = g_dir_read_name(dir))) {
        pid_t thread = g_ascii_strtoull(name, NULL, 10);

        /* ESRCH: it has ended since */
        if ((sched_setaffinity(thread, sizeof(one), &one) ||
             (thread != pid &&
              sched_setscheduler(thread, SCHED_IDLE, &none))) &&
            errno != ESRCH) {
            g_error("QEMU's threads cannot be moved");
        }
    }
}

/* The guest polls, too: do not take the processor or the memory from it. */
static void wait_for(GPU *gpu, unsigned slot)
{
    for (unsigned i = 0; by_guest() && i < 1000; i++) {
        if (gpu_is_done(gpu, slot)) {
            break;
        }
        g_usleep(100);
    }
    gpu_wait(gpu, slot);
}

static Cost run_batch(GPU *gpu, GPUBatch put, uint32_t first)
{
    unsigned slots[GPU_BATCH], i;
    uint32_t type;
    Cost cost;

    for (i = 0; i < GPU_BATCH; i++) {
        slots[i] = put(gpu, first + i);
    }
    cost = (Cost) { .us = now_us(), .used = used_us(gpu) };
    gpu_kick(gpu);
    for (i = 0; i < GPU_BATCH; i++) {
        wait_for(gpu, slots[i]);
    }
    cost.us = (now_us() - cost.us) / GPU_BATCH;
    /* Behind the last answer it is not yet idle. */
    gpu_settle(gpu);
    cost.used = (used_us(gpu) - cost.used) / GPU_BATCH;
    for (i = 0; i < GPU_BATCH; i++) {
        type = gpu_answer(gpu, slots[i]);
        if (type != OK && type != GRANTED) {
            g_error("a command is answered by 0x%x", type);
        }
    }
    return cost;
}

/*
 * Commands
 */

/* Behind all others, as neighbours or with a hole between any two */
static uint64_t place(unsigned i, bool apart)
{
    return (32000ull + (apart ? i * 2 : i)) * GPU_PAGE;
}

static unsigned put_map_apart(GPU *gpu, uint32_t id)
{
    return gpu_put_map(gpu, id, place(id - FIRST, true));
}

static unsigned put_map_next(GPU *gpu, uint32_t id)
{
    return gpu_put_map(gpu, id, place(id - FIRST, false));
}

/* The renderer is told, and does nothing. */
static unsigned put_empty(GPU *gpu, uint32_t id)
{
    return gpu_put_simple(gpu, VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, id);
}

static void make_live(GPU *gpu, const char *name, unsigned live)
{
    g_autofree uint32_t *replies = g_new(uint32_t, live + 1);
    uint64_t before;

    gpu_batch(gpu, gpu_put_shared, 1, live, replies);
    before = gpu_status_kib(gpu, "RssAnon:");
    gpu_batch(gpu, gpu_put_map_next, 1, live, replies);
    if (live && replies[live - 1] != GRANTED) {
        g_error("blob %u is not mapped: 0x%x", live, replies[live - 1]);
    }
    if (live >= 1000) {
        printf("%s\t%u\t-\tmemory\t%.0f\n", name, live,
               (gpu_status_kib(gpu, "RssAnon:") - before) * 1024.0 / live);
    }
}

static void create(GPU *gpu, const Case *c)
{
    unsigned i;

    for (i = 0; i < GPU_BATCH; i++) {
        gpu_take(gpu, gpu_put_create(gpu, FIRST + i, c->blob, GPU_PAGE));
    }
}

static void renew(GPU *gpu, const Case *c)
{
    if (c->fresh) {
        run_batch(gpu, gpu_put_unref, FIRST);
        create(gpu, c);
    }
}

static void run_oldest(GPU *gpu, unsigned repetitions, Series *map,
                       Series *unmap)
{
    unsigned i;

    for (i = 0; i < repetitions; i++) {
        add(unmap, run_batch(gpu, gpu_put_unmap, 1));
        add(map, run_batch(gpu, gpu_put_map_next, 1));
    }
}

static void run_new(GPU *gpu, unsigned repetitions, const Case *c, Series *map,
                    Series *unmap)
{
    GPUBatch put_map = c->apart ? put_map_apart : put_map_next;
    unsigned i;

    create(gpu, c);
    gpu->shared->mute_query = c->mute;
    run_batch(gpu, put_map, FIRST);
    run_batch(gpu, gpu_put_unmap, FIRST);
    for (i = 0; i < repetitions; i++) {
        renew(gpu, c);
        add(map, run_batch(gpu, put_map, FIRST));
        add(unmap, run_batch(gpu, gpu_put_unmap, FIRST));
    }
    gpu->shared->mute_query = 0;
    run_batch(gpu, gpu_put_unref, FIRST);
}

static void run_case(GPU *gpu, const char *name, unsigned live,
                     unsigned repetitions, const Case *c)
{
    g_autofree Series *map = g_new0(Series, 1), *unmap = g_new0(Series, 1);

    if (c->oldest) {
        run_oldest(gpu, repetitions, map, unmap);
    } else {
        run_new(gpu, repetitions, c, map, unmap);
    }
    print(name, live, c->name, "map", map);
    print(name, live, c->name, "unmap", unmap);
}

static void run_empty(GPU *gpu, const char *name, unsigned live,
                      unsigned repetitions)
{
    g_autofree Series *s = g_new0(Series, 1);
    unsigned i;

    run_batch(gpu, put_empty, FIRST);
    for (i = 0; i < repetitions; i++) {
        add(s, run_batch(gpu, put_empty, FIRST));
    }
    print(name, live, "-", "empty", s);
}

static const Case *find_case(const char *name)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (!strcmp(cases[i].name, name)) {
            return &cases[i];
        }
    }
    g_error("no such case: %s", name);
}

/*
 * The floor: what the kernel takes for a mapping and a hole, and for each
 * system call of the checks before
 *
 * All buffers of a batch are mapped and then replaced by holes, as the device
 * does.  The kernel splits a hole for each buffer and joins it again.  Beside
 * it, what that adds: the same without, where each hole stays a mapping of its
 * own, as in QEMU 11.
 */

static void check(bool good)
{
    if (!good) {
        g_error("%s", strerror(errno));
    }
}

static void map_at(void *at, int fd, uint64_t offset)
{
    check(mmap(at, GPU_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
               fd, offset) != MAP_FAILED);
}

typedef struct Floor {
    int hole;
    int buffer;
    uint8_t *base;
} Floor;

static Floor floor_new(unsigned live)
{
    Floor f = {
        .hole = memfd_create("hole", MFD_CLOEXEC),
        .buffer = memfd_create("buffer", MFD_CLOEXEC),
    };
    unsigned i;

    check(!ftruncate(f.hole, HOSTMEM) && !ftruncate(f.buffer, GPU_PAGE));
    f.base = mmap(NULL, HOSTMEM, PROT_READ | PROT_WRITE, MAP_SHARED, f.hole,
                  0);
    check(f.base != MAP_FAILED);
    for (i = 1; i <= live; i++) {
        map_at(f.base + i * GPU_PAGE, f.buffer, 0);
    }
    return f;
}

static void floor_free(const Floor *f)
{
    check(!munmap(f->base, HOSTMEM));
    close(f->buffer);
    close(f->hole);
}

static double own_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

static Cost floor_us(const Floor *f, bool apart, bool join)
{
    Cost cost = { .us = now_us(), .used = own_us() };
    unsigned i;

    for (i = 0; i < GPU_BATCH; i++) {
        map_at(f->base + place(i, apart), f->buffer, 0);
    }
    for (i = 0; i < GPU_BATCH; i++) {
        uint64_t at = place(i, apart);

        /* Holes with the same page of the file cannot be joined. */
        map_at(f->base + at, f->hole, join ? at : 0);
    }
    cost.us = (now_us() - cost.us) / GPU_BATCH;
    cost.used = (own_us() - cost.used) / GPU_BATCH;
    return cost;
}

static void call_export(int fd)
{
    close(fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

static void call_access(int fd)
{
    fcntl(fd, F_GETFL);
}

static void call_seals(int fd)
{
    fcntl(fd, F_GET_SEALS);
}

static void call_length(int fd)
{
    struct stat st;

    fstat(fd, &st);
}

static void call_seek(int fd)
{
    lseek(fd, 0, SEEK_END);
}

static void call_query(int fd)
{
    uint64_t query[2] = { 1, 0 };

    ioctl(fd, 0xc0106202u, query);
}

static void run_calls(int fd, unsigned repetitions)
{
    static const struct {
        const char *name;
        void (*call)(int fd);
    } calls[] = {
        { "export", call_export },
        { "access", call_access },
        { "seals", call_seals },
        { "length", call_length },
        { "seek", call_seek },
        { "query", call_query },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(calls); i++) {
        g_autofree Series *s = g_new0(Series, 1);
        unsigned n, k;

        for (n = 0; n < repetitions; n++) {
            Cost cost = { .us = now_us(), .used = own_us() };

            for (k = 0; k < GPU_BATCH; k++) {
                calls[i].call(fd);
            }
            cost.us = (now_us() - cost.us) / GPU_BATCH;
            cost.used = (own_us() - cost.used) / GPU_BATCH;
            add(s, cost);
        }
        print("floor", 0, calls[i].name, "call", s);
    }
}

static void run_floor(unsigned live, unsigned repetitions)
{
    static const struct {
        const char *name;
        bool apart, join;
    } ways[] = {
        { "apart", true, true },
        { "next", false, true },
        { "apart-split", true, false },
        { "next-split", false, false },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(ways); i++) {
        g_autofree Series *s = g_new0(Series, 1);
        Floor f = floor_new(live);
        unsigned n;

        for (n = 0; n < repetitions; n++) {
            add(s, floor_us(&f, ways[i].apart, ways[i].join));
        }
        print("floor", live, ways[i].name, "map+unmap", s);
        if (!live && !i) {
            run_calls(f.buffer, repetitions);
        }
        floor_free(&f);
    }
}

int main(int argc, char **argv)
{
    unsigned live, repetitions;
    GPU *gpu;
    int i;

    if (argc < 4) {
        fprintf(stderr, "virtio-gpu-gl-bench NAME LIVE REPETITIONS CASE...\n");
        return 1;
    }
    g_test_init(&(int) { 1 }, &argv, NULL);
    live = g_ascii_strtoull(argv[2], NULL, 10);
    repetitions = g_ascii_strtoull(argv[3], NULL, 10);
    if (!strcmp(argv[1], "floor")) {
        run_floor(live, repetitions);
        return 0;
    }
    gpu = gpu_start(&(GPUConfig) {
        .hostmem = HOSTMEM,
        .log = "/dev/null",
        .start = by_guest() ? bench_guest_start : NULL,
    });
    if (by_guest()) {
        share_processor(gpu->pid);
    }
    /* QEMU 11 has the renderer map all buffers into its window. */
    gpu->shared->map_fixed = SCRIPTED_FIXED_GOOD;
    make_live(gpu, argv[1], live);
    run_empty(gpu, argv[1], live, repetitions);
    for (i = 4; i < argc; i++) {
        run_case(gpu, argv[1], live, repetitions, find_case(argv[i]));
    }
    if (by_guest()) {
        bench_guest_stop(gpu);
    } else {
        gpu_stop(gpu);
    }
    return 0;
}
