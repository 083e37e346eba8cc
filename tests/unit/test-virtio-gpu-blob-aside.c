/*
 * Buffers that step aside: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With a memory core and vCPUs that a test plays.  KVM is played as strict as
 * it is anywhere: it refuses all that is not a hole or shared memory.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/memfd.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "hw/core/cpu.h"
#include "system/accel-blocker.h"
#include "hw/display/virtio-gpu-blob-aside.h"

#include <sys/resource.h>

#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/address-spaces.h"
#else
#include "exec/address-spaces.h"
#endif

#define WINDOW (64 * MiB)
#define BUFFERS 100

/* As KVM's listener */
#define KVM_PRIORITY MEMORY_LISTENER_PRIORITY_ACCEL

AddressSpace address_space_memory;
CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);

static struct {
    GPtrArray *listeners;
    bool inhibited;
    unsigned stops;
    unsigned kicks;
} world;

static MemoryRegion window, other;

void memory_listener_register(MemoryListener *listener, AddressSpace *as)
{
    g_assert(as == &address_space_memory);
    g_ptr_array_add(world.listeners, listener);
}

void memory_listener_unregister(MemoryListener *listener)
{
    g_assert_true(g_ptr_array_remove(world.listeners, listener));
}

void accel_ioctl_inhibit_begin(void)
{
    g_assert_false(world.inhibited);
    world.inhibited = true;
    world.stops++;
}

void accel_ioctl_inhibit_end(void)
{
    g_assert_true(world.inhibited);
    world.inhibited = false;
}

/* While vCPUs cannot go back: one that is not in the guest must not enter. */
void qemu_cpu_kick(CPUState *cpu)
{
    g_assert_true(world.inhibited);
    world.kicks++;
}

static void ignore_loss(void *opaque)
{
}

typedef struct Fixture {
    VirtIOGPUBlobLosses losses;
    VirtIOGPUBlobHoles holes;
    VirtIOGPUBlobAside aside;
    VirtIOGPUBlobPlace places[BUFFERS];
    CPUState *cpus[2];
    int fds[BUFFERS];
    uint64_t page;
} Fixture;

static void set_up(Fixture *f)
{
    int i;

    memset(&world, 0, sizeof(world));
    world.listeners = g_ptr_array_new();
    f->page = qemu_real_host_page_size();
    virtio_gpu_blob_losses_init(&f->losses, ignore_loss, NULL);
    g_assert_true(virtio_gpu_blob_holes_init(&f->holes, WINDOW, true,
                                             &f->losses, &error_abort));
    virtio_gpu_blob_aside_init(&f->aside, &window, &f->holes);
    for (i = 0; i < 2; i++) {
        f->cpus[i] = g_new0(CPUState, 1);
        f->cpus[i]->created = i == 0;
        QTAILQ_INSERT_TAIL_RCU(&cpus_queue, f->cpus[i], node);
    }
}

static void tear_down(Fixture *f)
{
    int i;

    g_assert_cmpuint(f->aside.kept, ==, 0);
    virtio_gpu_blob_aside_destroy(&f->aside);
    g_assert_cmpuint(world.listeners->len, ==, 0);
    g_ptr_array_free(world.listeners, true);
    virtio_gpu_blob_holes_destroy(&f->holes);
    munmap(f->holes.reserved, f->holes.reserved_len);
    for (i = 0; i < 2; i++) {
        QTAILQ_REMOVE_RCU(&cpus_queue, f->cpus[i], node);
        g_free(f->cpus[i]);
    }
}

static uint64_t *word(const Fixture *f, int i)
{
    return (uint64_t *)(f->holes.base +
                        virtio_gpu_blob_place_offset(&f->places[i]));
}

/* A buffer of @n pages; each begins with its number. */
static void add(Fixture *f, int i, uint64_t page, uint64_t n, bool shm)
{
    uint64_t stamp = 1000 + i;

    f->places[i] = virtio_gpu_blob_place(page * f->page, n * f->page);
    f->fds[i] = qemu_memfd_create(shm ? "test-shm" : "test-dmabuf",
                                  n * f->page, false, 0, 0, &error_abort);
    g_assert_cmpint(pwrite(f->fds[i], &stamp, 8, 0), ==, 8);
    if (!shm) {
        g_assert_true(virtio_gpu_blob_aside_keep(&f->aside, &f->places[i],
                                                 f->fds[i]));
    }
    g_assert_cmpint(virtio_gpu_blob_holes_fill(&f->holes, f->fds[i], shm,
                                               &f->places[i]), ==, 0);
    close(f->fds[i]);
    g_assert_cmpuint(*word(f, i), ==, stamp);
}

static void drop(Fixture *f, int i)
{
    virtio_gpu_blob_holes_close(&f->holes, &f->places[i]);
    virtio_gpu_blob_aside_drop(&f->aside, &f->places[i]);
}

/* A page each, with a page between: two of three are dma-bufs. */
static void add_all(Fixture *f)
{
    int i;

    for (i = 0; i < BUFFERS; i++) {
        add(f, i, 2 * i, 1, i % 3 == 0);
    }
}

static void drop_all(Fixture *f)
{
    int i;

    for (i = 0; i < BUFFERS; i++) {
        drop(f, i);
    }
}

static void check_all(const Fixture *f)
{
    int i;

    for (i = 0; i < BUFFERS; i++) {
        g_assert_cmpuint(*word(f, i), ==, 1000 + i);
    }
}

/* Bytes of the window that show a file with @name; fails for others' memory */
static uint64_t shows(const Fixture *f, const char *name)
{
    uintptr_t base = (uintptr_t)f->holes.base, start, end;
    uint64_t found = 0, all = 0;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int i;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNxPTR "-%" SCNxPTR, &start, &end) != 2 ||
            start < base || end > base + WINDOW) {
            continue;
        }
        g_assert_true(strstr(lines[i], "memfd:virtio-gpu-hole") ||
                      strstr(lines[i], "memfd:test-"));
        all += end - start;
        found += strstr(lines[i], name) ? end - start : 0;
    }
    g_assert_cmpuint(all, ==, WINDOW);
    return found;
}

/*
 * What memory_region_transaction_commit() does for a region that comes in
 * @sections: each is told to all in the order of their priority, then all are
 * told that it is complete.  KVM's turn is between those before and after it.
 */
static bool by_priority(const MemoryListener *listener, bool before)
{
    return before ? listener->priority < KVM_PRIORITY
                  : listener->priority > KVM_PRIORITY;
}

static void tell(MemoryRegion *mr, bool before, bool commit)
{
    MemoryRegionSection section = { .mr = mr };
    unsigned i;

    for (i = 0; i < world.listeners->len; i++) {
        MemoryListener *listener = g_ptr_array_index(world.listeners, i);

        if (!by_priority(listener, before)) {
            continue;
        }
        if (commit && listener->commit) {
            listener->commit(listener);
        } else if (!commit && listener->region_add) {
            listener->region_add(listener, &section);
        }
    }
}

static void make_slot(Fixture *f, MemoryRegion *mr, unsigned sections)
{
    while (sections--) {
        tell(mr, true, false);
        tell(mr, false, false);
    }
    tell(NULL, true, true);
    if (mr == &window) {
        /* KVM's commit */
        g_assert_cmpuint(shows(f, "test-dmabuf"), ==, 0);
    }
    tell(NULL, false, true);
}

static void test_slot(void)
{
    Fixture f = { };
    unsigned i;

    set_up(&f);
    add_all(&f);
    for (i = 1; i <= 3; i++) {
        make_slot(&f, &window, i);
        check_all(&f);
        g_assert_cmpuint(f.aside.lost, ==, 0);
        g_assert_cmpuint(world.stops, ==, i);
        g_assert_cmpuint(world.kicks, ==, i);
    }
    g_assert_cmpuint(shows(&f, "test-shm"), ==, 34 * f.page);
    drop_all(&f);
    tear_down(&f);
}

/* Others' regions, and a window with nothing in it but shared memory */
static void test_no_need(void)
{
    Fixture f = { };

    set_up(&f);
    add(&f, 0, 0, 1, true);
    make_slot(&f, &window, 1);
    add(&f, 1, 2, 1, false);
    tell(&other, true, false);
    g_assert_cmpuint(shows(&f, "test-dmabuf"), ==, f.page);
    tell(NULL, true, true);
    tell(NULL, false, true);
    g_assert_cmpuint(world.stops, ==, 0);
    drop(&f, 0);
    drop(&f, 1);
    make_slot(&f, &window, 1);
    g_assert_cmpuint(world.stops, ==, 0);
    tear_down(&f);
}

/* What comes and goes while others are in the window */
static void test_contents(void)
{
    Fixture f = { };

    set_up(&f);
    add(&f, 0, 8, 2, false);
    add(&f, 1, 16, WINDOW / f.page - 100, false);
    *word(&f, 0) = 77;
    tell(&window, true, false);
    g_assert_cmpuint(*word(&f, 0), !=, 77);
    *word(&f, 0) = 78;
    tell(NULL, false, true);
    g_assert_cmpuint(*word(&f, 0), ==, 77);
    g_assert_cmpuint(*word(&f, 1), ==, 1001);
    drop(&f, 0);
    make_slot(&f, &window, 1);
    g_assert_cmpuint(*word(&f, 1), ==, 1001);
    drop(&f, 1);
    g_assert_cmpuint(shows(&f, "hole"), ==, WINDOW);
    tear_down(&f);
}

/* A driver that has changed its mind: what remains is a hole. */
static void test_cannot_come_back(void)
{
    Fixture f = { };
    int bad;

    set_up(&f);
    add(&f, 0, 8, 2, false);
    add(&f, 1, 16, 2, false);
    bad = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(dup2(bad, f.places[0].kept), ==, f.places[0].kept);
    close(bad);
    make_slot(&f, &window, 1);
    g_assert_cmpuint(f.aside.lost, ==, 1);
    g_assert_cmpuint(f.aside.kept, ==, 1);
    g_assert_cmpuint(shows(&f, "test-dmabuf"), ==, 2 * f.page);
    *word(&f, 0) = 5;
    g_assert_cmpuint(*word(&f, 1), ==, 1001);
    g_assert_true(virtio_gpu_blob_losses_take(&f.losses) == &f.places[0]);
    make_slot(&f, &window, 1);
    g_assert_cmpuint(f.aside.lost, ==, 0);
    g_assert_null(virtio_gpu_blob_losses_take(&f.losses));
    drop(&f, 0);
    drop(&f, 1);
    tear_down(&f);
}

/* One that has lost its pages does not come back: they are gone still. */
static void test_lost(void)
{
    Fixture f = { };

    set_up(&f);
    add(&f, 0, 8, 2, false);
    add(&f, 1, 16, 2, false);
    g_assert_cmpint(ftruncate(f.places[0].kept, 0), ==, 0);
    qatomic_set(word(&f, 0), 5);
    g_assert_true(qatomic_read(&f.places[0].lost));
    make_slot(&f, &window, 1);
    g_assert_cmpuint(qatomic_read(word(&f, 0)), ==, 5);
    g_assert_cmpuint(*word(&f, 1), ==, 1001);
    /* ... nor does one that loses them while it is away. */
    tell(&window, true, false);
    g_assert_cmpint(ftruncate(f.places[1].kept, 0), ==, 0);
    tell(NULL, false, true);
    qatomic_set(word(&f, 1), 6);
    g_assert_true(qatomic_read(&f.places[1].lost));
    drop(&f, 0);
    drop(&f, 1);
    tear_down(&f);
}

static void test_no_fds(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, MiB);
    struct rlimit old, none;
    Fixture f = { };

    set_up(&f);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    none = (struct rlimit) { .rlim_max = old.rlim_max };
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    g_assert_false(virtio_gpu_blob_aside_keep(&f.aside, &place, 0));
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    virtio_gpu_blob_aside_drop(&f.aside, &place);
    tear_down(&f);
}

/* Nobody makes slots: nothing is kept. */
static void test_off(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, MiB);
    VirtIOGPUBlobAside aside = { };

    g_assert_true(virtio_gpu_blob_aside_keep(&aside, &place, -1));
    g_assert_cmpint(place.kept, ==, -1);
    virtio_gpu_blob_aside_drop(&aside, &place);
    virtio_gpu_blob_aside_destroy(&aside);
}

/*
 * Others at work meanwhile
 */

typedef struct Worker {
    const Fixture *f;
    const bool *stop;
    unsigned inside;
    GThread *thread;
} Worker;

/* Maps memory wherever there is room: never in the window */
static void *map_memory(void *opaque)
{
    Worker *w = opaque;

    while (!qatomic_read(w->stop)) {
        uint8_t *at = mmap(NULL, w->f->page, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        g_assert(at != MAP_FAILED);
        w->inside += at >= w->f->holes.base && at < w->f->holes.base + WINDOW;
        *at = 0xee;
        munmap(at, w->f->page);
    }
    return NULL;
}

/* Reads and writes the window: there is always something to write to. */
static void *access_window(void *opaque)
{
    Worker *w = opaque;
    int i;

    while (!qatomic_read(w->stop)) {
        for (i = 0; i < BUFFERS; i++) {
            uint64_t *at = word(w->f, i);

            qatomic_set(at + 1, qatomic_read(at + 1) + 1);
        }
    }
    return NULL;
}

static void test_no_gap(void)
{
    const unsigned n = g_test_slow() ? 20000 : 200;
    Worker workers[4];
    Fixture f = { };
    bool stop = false;
    unsigned i;

    set_up(&f);
    add_all(&f);
    for (i = 0; i < G_N_ELEMENTS(workers); i++) {
        workers[i] = (Worker) { .f = &f, .stop = &stop };
        workers[i].thread = g_thread_new("worker", i % 2 ? map_memory
                                                         : access_window,
                                         &workers[i]);
    }
    for (i = 0; i < n; i++) {
        make_slot(&f, &window, 1);
        check_all(&f);
    }
    qatomic_set(&stop, true);
    for (i = 0; i < G_N_ELEMENTS(workers); i++) {
        g_thread_join(workers[i].thread);
        g_assert_cmpuint(workers[i].inside, ==, 0);
    }
    drop_all(&f);
    tear_down(&f);
}

static double cpu_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return ts.tv_sec * 1e6 + ts.tv_nsec / 1e3;
}

/* With -m perf: what a buffer costs each time a slot is made, of CPU's time */
static void test_cost(void)
{
    const unsigned n = 2000;
    double us = 0, start;
    Fixture f = { };
    unsigned i;

    set_up(&f);
    for (i = 0; i < BUFFERS; i++) {
        add(&f, i, 2 * i, 1, false);
    }
    for (i = 0; i < n; i++) {
        start = cpu_us();
        tell(&window, true, false);
        tell(NULL, false, true);
        us += cpu_us() - start;
        check_all(&f);
    }
    us /= n * BUFFERS;
    g_test_minimized_result(us, "%.2f us a buffer and slot", us);
    for (i = 0; i < BUFFERS; i++) {
        drop(&f, i);
    }
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/virtio-gpu-blob/aside/slot", test_slot);
    g_test_add_func("/virtio-gpu-blob/aside/no-need", test_no_need);
    g_test_add_func("/virtio-gpu-blob/aside/contents", test_contents);
    g_test_add_func("/virtio-gpu-blob/aside/lost", test_lost);
    g_test_add_func("/virtio-gpu-blob/aside/cannot-come-back",
                    test_cannot_come_back);
    g_test_add_func("/virtio-gpu-blob/aside/no-fds", test_no_fds);
    g_test_add_func("/virtio-gpu-blob/aside/off", test_off);
    g_test_add_func("/virtio-gpu-blob/aside/no-gap", test_no_gap);
    if (g_test_perf()) {
        g_test_add_func("/virtio-gpu-blob/aside/cost", test_cost);
    }

    return g_test_run();
}
