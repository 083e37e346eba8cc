/*
 * Buffers that lose their pages: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What QEMU's signal handlers and KVM ask is asked by doubles.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/memfd.h"
#include "qemu/notify.h"
#include "monitor/monitor.h"
#include "hw/display/virtio-gpu-blob-lost.h"
#include "virtio-gpu-blob-access.h"

#define PAGES 8

/* A buffer of a device, and the file behind it */
typedef struct Buffer {
    VirtIOGPUBlobPages pages;
    uint8_t *at;
    size_t len;
    int fd;
} Buffer;

/* What the doubles were given, and what they saw */
static VirtIOGPUBlobLost lost;
static unsigned holes, reported, warned;
static bool holes_fail;
static sigjmp_buf jump;
static unsigned passed_on;
static size_t page;

bool virtio_gpu_blob_vma_map_hole(VirtIOGPUBlobVMA *vma, void *at, size_t len)
{
    if (holes_fail) {
        return false;
    }
    qatomic_inc(&holes);
    return mmap(at, len, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at;
}

static void on_passed_on(void)
{
    qatomic_inc(&passed_on);
    siglongjmp(jump, 1);
}

int error_vprintf(const char *fmt, va_list ap)
{
    warned += strstr(fmt, "Bad address") != NULL;
    return 0;
}

int error_vprintf_unless_qmp(const char *fmt, va_list ap)
{
    return error_vprintf(fmt, ap);
}

static void on_bh(void *opaque)
{
    while (virtio_gpu_blob_lost_next(&lost)) {
        reported++;
    }
}

static bool ask_kvm(KVMMemoryFault *fault)
{
    return access_notifier->notify(access_notifier, fault, NULL);
}

static unsigned ask_until_it_gives_up(KVMMemoryFault *fault)
{
    unsigned n = 0;

    do {
        n++;
    } while (ask_kvm(fault));
    return n;
}

static void new_buffer_of(Buffer *b, bool file, void *at, size_t pages)
{
    *b = (Buffer) {
        .pages.file = file, .pages.write_touch = !file, .len = pages * page,
        .fd = qemu_memfd_create("buffer", pages * page, false, 0, 0,
                                &error_abort),
    };
    if (!at) {
        /* Nothing else is before it and behind it. */
        at = mmap(NULL, 3 * b->len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0) + b->len;
    }
    b->at = mmap(at, b->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                 b->fd, 0);
    g_assert_true(b->at != MAP_FAILED);
    virtio_gpu_blob_lost_add(&b->pages, &lost, b->at, b->len);
}

static void new_buffer_at(Buffer *b, bool file, void *at)
{
    new_buffer_of(b, file, at, PAGES);
}

static void new_buffer(Buffer *b, bool file)
{
    holes = reported = 0;
    new_buffer_at(b, file, NULL);
}

static void shrink(Buffer *b, unsigned pages)
{
    g_assert_cmpint(ftruncate(b->fd, pages * page), ==, 0);
}

static void delete_buffer(Buffer *b)
{
    virtio_gpu_blob_lost_remove(&b->pages);
    munmap(b->at, b->len);
    close(b->fd);
}

/* An access that is made, or else passed on; true if it is made */
static bool access_is_made(uint8_t *at)
{
    unsigned before = qatomic_read(&passed_on);

    if (!sigsetjmp(jump, 1)) {
        qatomic_set(at, 1);
    }
    return qatomic_read(&passed_on) == before;
}

static void run_bh(void)
{
    do {
        main_loop_wait(true);
    } while (g_main_context_pending(NULL));
}

/*
 * SIGBUS
 */

/* One loss of one buffer, wherever it is met and however often */
static void test_lost(void)
{
    size_t count = lost.count;
    Buffer a, b;

    new_buffer(&a, true);
    new_buffer(&b, true);
    shrink(&a, 1);
    memset(b.at, 0xa5, b.len);
    g_assert_true(access_is_made(a.at + 3 * page));
    g_assert_true(access_is_made(a.at + 5 * page + 7));
    g_assert_cmpuint(holes, ==, 1);
    g_assert_true(a.pages.lost && !b.pages.lost);
    g_assert_cmpuint(a.at[0], ==, 0);
    g_assert_cmpuint(b.at[0], ==, 0xa5);
    g_assert_cmpuint(lost.count, ==, count + 1);
    g_assert_cmpuint(reported, ==, 0);
    run_bh();
    g_assert_cmpuint(reported, ==, 1);
    delete_buffer(&a);
    delete_buffer(&b);
}

/* What is removed before it is reported is not; its place is free. */
static void test_removed(void)
{
    Buffer a, b;

    new_buffer(&a, true);
    shrink(&a, 0);
    g_assert_true(access_is_made(a.at));
    virtio_gpu_blob_lost_remove(&a.pages);
    run_bh();
    g_assert_cmpuint(reported, ==, 0);
    virtio_gpu_blob_lost_add(&a.pages, &lost, a.at, a.len);
    g_assert_false(a.pages.lost);
    virtio_gpu_blob_lost_remove(&a.pages);
    new_buffer_at(&b, true, a.at);
    shrink(&b, 0);
    g_assert_true(access_is_made(b.at));
    g_assert_true(b.pages.lost);
    close(a.fd);
    delete_buffer(&b);
    run_bh();
}

/* A signal that is not a buffer's, and one without memory for a hole */
static void test_passed_on(void)
{
    Buffer b;

    new_buffer(&b, true);
    shrink(&b, 0);
    holes_fail = true;
    g_assert_false(access_is_made(b.at));
    holes_fail = false;
    g_assert_false(b.pages.lost);
    virtio_gpu_blob_lost_remove(&b.pages);
    g_assert_false(access_is_made(b.at));
    g_assert_cmpuint(holes, ==, 0);
    munmap(b.at, b.len);
    close(b.fd);
}

/*
 * A page that is there is tried again: often in a buffer's life, but not for
 * ever; without a buffer, a few times after one was removed.
 */
static void test_retry(void)
{
    unsigned tries;
    Buffer b;

    new_buffer(&b, true);
    for (tries = 0; !b.pages.lost; tries++) {
        g_assert_true(access_handler->gone(b.at));
        g_assert_cmpuint(tries, <, 100);
    }
    g_assert_cmpuint(tries, >, 10);
    g_assert_true(access_handler->gone(b.at));
    delete_buffer(&b);

    new_buffer(&b, true);
    for (tries = 0; tries < 100; tries++) {
        g_assert_true(access_handler->gone(b.at));
        /* Later */
        b.pages.retry_start_ms -= 2000;
    }
    g_assert_false(b.pages.lost);
    virtio_gpu_blob_lost_remove(&b.pages);
    for (tries = 0; access_handler->gone(b.at); tries++) {
        g_assert_cmpuint(tries, <, 100);
    }
    g_assert_cmpuint(tries, >, 10);
    new_buffer_at(&b, true, b.at);
    delete_buffer(&b);
    run_bh();
}

static void test_mark(void)
{
    size_t count = lost.count;
    Buffer b;

    new_buffer(&b, false);
    virtio_gpu_blob_lost_recheck(&b.pages);
    virtio_gpu_blob_lost_mark(&b.pages);
    virtio_gpu_blob_lost_mark(&b.pages);
    g_assert_true(b.pages.lost);
    run_bh();
    g_assert_cmpuint(reported, ==, 1);
    g_assert_cmpuint(holes, ==, 0);
    /* A buffer that was mapped again nevertheless */
    virtio_gpu_blob_lost_recheck(&b.pages);
    run_bh();
    g_assert_cmpuint(reported, ==, 1);
    g_assert_cmpuint(holes, ==, 1);
    g_assert_cmpuint(lost.count, ==, count + 1);
    delete_buffer(&b);
}

/*
 * ThreadSanitizer takes the handler's mmap() for a write that races with the
 * accesses of the other threads.  The kernel replaces the pages in one step.
 */
__attribute__((no_sanitize("thread")))
static void *access_all(void *opaque)
{
    Buffer *b = opaque;

    for (size_t i = 0; i < b->len; i += page) {
        qatomic_set(b->at + i, 1);
    }
    return NULL;
}

/* Four threads meet one loss: it is one. */
static void test_threads(void)
{
    GThread *threads[4];
    Buffer b;
    size_t i, round;

    for (round = 0; round < 50; round++) {
        new_buffer(&b, true);
        shrink(&b, 0);
        for (i = 0; i < G_N_ELEMENTS(threads); i++) {
            threads[i] = g_thread_new("access", access_all, &b);
        }
        for (i = 0; i < G_N_ELEMENTS(threads); i++) {
            g_thread_join(threads[i]);
        }
        g_assert_cmpuint(holes, ==, 1);
        delete_buffer(&b);
    }
    run_bh();
}

/*
 * SIGSEGV
 */

static void test_gap(void)
{
    VirtIOGPUBlobGapRange range = { };
    Buffer b = { .len = PAGES * page };
    GThread *thread;

    /* As a gap is, but that no other thread can map anything there */
    b.at = mmap(NULL, b.len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* Not in a window */
    g_assert_false(access_is_made(b.at));
    virtio_gpu_blob_lost_add_window(&range, b.at, b.len);
    /* Nothing is replaced */
    g_assert_false(access_is_made(b.at));
    virtio_gpu_blob_lost_begin_replace(&range);
    /* This thread would wait for itself */
    g_assert_false(access_is_made(b.at));
    thread = g_thread_new("access", access_all, &b);
    g_usleep(10 * 1000);
    holes = 0;
    virtio_gpu_blob_vma_map_hole(NULL, b.at, b.len);
    virtio_gpu_blob_lost_end_replace(&range);
    g_thread_join(thread);
    /* The handler maps nothing */
    g_assert_cmpuint(holes, ==, 1);
    g_assert_cmpuint(b.at[0], ==, 1);
    /* An access that failed before may be made now */
    g_assert_true(access_handler->unmapped(b.at));
    virtio_gpu_blob_lost_remove_window(&range);
    g_assert_false(access_handler->unmapped(b.at));
    munmap(b.at, b.len);
}

/* A buffer of which the kernel had no memory for the hole, more than once */
static void test_gap_of_buffer(void)
{
    VirtIOGPUBlobGapRange range = { };
    Buffer b;

    new_buffer(&b, true);
    virtio_gpu_blob_lost_add_window(&range, b.at, b.len);
    for (int i = 0; i < 3; i++) {
        mprotect(b.at, b.len, PROT_NONE);
        holes_fail = i == 0;
        g_assert_true(access_is_made(b.at) == (i > 0));
        g_assert_cmpuint(holes, ==, i);
        g_assert_true(b.pages.lost == (i > 0));
    }
    virtio_gpu_blob_lost_remove_window(&range);
    delete_buffer(&b);
    run_bh();
}

/*
 * KVM
 */

/* Where nothing changes, a vCPU tries three times. */
static void test_gives_up(void)
{
    VirtIOGPUBlobGapRange window = { };
    KVMMemoryFault fault = { };
    Buffer b;

    /* No buffer, no window */
    g_assert_false(ask_kvm(&fault));
    /* No buffer, and an address in the window or none */
    virtio_gpu_blob_lost_add_window(&window, &window, sizeof(window));
    g_assert_cmpuint(ask_until_it_gives_up(&fault), ==, 3);
    fault = (KVMMemoryFault) { .host = &window };
    g_assert_cmpuint(ask_until_it_gives_up(&fault), ==, 3);
    virtio_gpu_blob_lost_begin_replace(&window);
    virtio_gpu_blob_lost_end_replace(&window);
    g_assert_cmpuint(ask_until_it_gives_up(&fault), ==, 3);
    virtio_gpu_blob_lost_remove_window(&window);
    fault = (KVMMemoryFault) { .final = true };
    ask_kvm(&fault);
    g_assert_cmpuint(warned, ==, 0);

    fault = (KVMMemoryFault) { };
    new_buffer(&b, true);
    g_assert_cmpuint(ask_until_it_gives_up(&fault), ==, 3);
    g_assert_false(ask_kvm(&fault));
    virtio_gpu_blob_lost_changed();
    g_assert_cmpuint(ask_until_it_gives_up(&fault), ==, 3);
    fault.final = true;
    ask_kvm(&fault);
    g_assert_cmpuint(warned, ==, 1);
    /* KVM says where, and it is no blob */
    fault = (KVMMemoryFault) { .host = &fault };
    g_assert_false(ask_kvm(&fault));
    fault.final = true;
    ask_kvm(&fault);
    g_assert_cmpuint(warned, ==, 1);
    delete_buffer(&b);
}

/* A vCPU that has failed before tries again after what another one found. */
static void test_two_vcpus(void)
{
    KVMMemoryFault x = { }, y = { };
    Buffer b;

    new_buffer(&b, true);
    ask_until_it_gives_up(&y);
    shrink(&b, 0);
    g_assert_true(ask_kvm(&x));
    g_assert_true(ask_kvm(&x));
    g_assert_true(b.pages.lost);
    g_assert_true(ask_kvm(&y));
    delete_buffer(&b);
    run_bh();
}

/* Is the loss found, by an address or without one? */
static void test_look(void)
{
    static const struct {
        bool file;
        unsigned left;
        int page;
        bool found, read_only;
    } rows[] = {
        { true, PAGES, -1, false },
        { true, PAGES - 1, -1, true },
        { true, 1, -1, true },
        { false, PAGES, -1, false },
        { false, 0, -1, true },
        { false, PAGES - 1, -1, true },
        { true, 1, 0, false },
        { true, 1, 1, true },
        { false, 1, 3, true },
        { true, PAGES, -1, false, true },
        { false, PAGES, -1, true, true },
    };
    Buffer b;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        KVMMemoryFault fault = { };

        new_buffer(&b, rows[i].file);
        shrink(&b, rows[i].left);
        if (rows[i].read_only) {
            mprotect(b.at, b.len, PROT_READ);
        }
        if (rows[i].page >= 0) {
            fault.host = b.at + rows[i].page * page + 4;
        }
        ask_until_it_gives_up(&fault);
        g_assert_cmpint(b.pages.lost, ==, rows[i].found);
        /* It is lost once. */
        fault.looked = false;
        ask_until_it_gives_up(&fault);
        g_assert_cmpuint(holes, ==, rows[i].found);
        delete_buffer(&b);
    }
    run_bh();
}

/* A look changes nothing that was written, and fills no file. */
static void test_look_is_harmless(void)
{
    KVMMemoryFault fault = { };
    struct stat st;
    Buffer b;

    new_buffer(&b, false);
    memset(b.at, 0xa5, b.len);
    ask_until_it_gives_up(&fault);
    g_assert_cmpuint(b.at[0], ==, 0xa5);
    g_assert_cmpuint(b.at[b.len - page], ==, 0xa5);
    g_assert_false(b.pages.lost);
    delete_buffer(&b);

    new_buffer_of(&b, true, NULL, 1024);
    fault = (KVMMemoryFault) { };
    ask_until_it_gives_up(&fault);
    g_assert_cmpint(fstat(b.fd, &st), ==, 0);
    g_assert_cmpuint(st.st_blocks * 512, <=, 12 * page);
    delete_buffer(&b);
}

/*
 * A look at a dma-buf accesses pages for writing: a private page is a copy
 * afterwards.  A compiler must not leave that out.
 */
static void test_look_writes(void)
{
    KVMMemoryFault fault = { };
    Buffer b;

    for (int i = 0; i < 2; i++) {
        new_buffer(&b, i);
        munmap(b.at, b.len);
        g_assert_true(mmap(b.at, b.len, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_FIXED, b.fd, 0) == b.at);
        fault = (KVMMemoryFault) { };
        ask_until_it_gives_up(&fault);
        g_assert_cmpint(pwrite(b.fd, "b", 1, 0), ==, 1);
        g_assert_cmpint(b.at[0], ==, b.pages.write_touch ? 0 : 'b');
        delete_buffer(&b);
    }
}

/* Runs the main loop until a condition holds, for 20 seconds at most. */
#define RUN_UNTIL(condition) do {                                   \
    int64_t deadline = get_clock() + 20 * NANOSECONDS_PER_SECOND;   \
                                                                    \
    while (!(condition) && get_clock() < deadline) {                \
        main_loop_wait(true);                                       \
        g_usleep(1000);                                             \
    }                                                               \
    g_assert_true(condition);                                       \
} while (0)

/*
 * KVM that reports nothing: more buffers than one check covers, and the last
 * of them is lost.  Without buffers, nothing is checked.
 */
static void test_checks(void)
{
    enum { N = 1030 };
    static VirtIOGPUBlobPages between[N];
    size_t len = N * PAGES * page, i;
    uint8_t *at = mmap(NULL, len + 2 * PAGES * page, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    Buffer first, last;

    kvm_allowed = true;
    qemu_clock_enable(QEMU_CLOCK_VIRTUAL, true);
    holes = reported = 0;
    new_buffer_at(&first, true, at);
    at += PAGES * page;
    for (i = 0; i < N; i++) {
        virtio_gpu_blob_lost_add(&between[i], &lost, at + i * PAGES * page,
                                 PAGES * page);
    }
    new_buffer_at(&last, true, at + len);
    shrink(&last, PAGES - 1);
    RUN_UNTIL(reported == 1);
    g_assert_true(last.pages.lost && !first.pages.lost);
    shrink(&first, 0);
    RUN_UNTIL(reported == 2);
    g_assert_true(first.pages.lost);
    g_assert_cmpuint(holes, ==, 2);

    delete_buffer(&first);
    for (i = 0; i < N; i++) {
        virtio_gpu_blob_lost_remove(&between[i]);
    }
    delete_buffer(&last);
    munmap(at, len);
    RUN_UNTIL(!qemu_clock_has_timers(QEMU_CLOCK_VIRTUAL));
    kvm_allowed = false;
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    page = qemu_real_host_page_size();
    access_passed_on = on_passed_on;
    virtio_gpu_blob_lost_init(&lost, qemu_bh_new(on_bh, NULL));
    g_assert_true(virtio_gpu_blob_lost_install());
    g_test_add_func("/virtio-gpu-blob/lost/lost", test_lost);
    g_test_add_func("/virtio-gpu-blob/lost/removed", test_removed);
    g_test_add_func("/virtio-gpu-blob/lost/passed-on", test_passed_on);
    g_test_add_func("/virtio-gpu-blob/lost/retry", test_retry);
    g_test_add_func("/virtio-gpu-blob/lost/mark", test_mark);
    g_test_add_func("/virtio-gpu-blob/lost/threads", test_threads);
    g_test_add_func("/virtio-gpu-blob/lost/gap", test_gap);
    g_test_add_func("/virtio-gpu-blob/lost/gap-of-buffer", test_gap_of_buffer);
    g_test_add_func("/virtio-gpu-blob/lost/gives-up", test_gives_up);
    g_test_add_func("/virtio-gpu-blob/lost/two-vcpus", test_two_vcpus);
    g_test_add_func("/virtio-gpu-blob/lost/look", test_look);
    g_test_add_func("/virtio-gpu-blob/lost/look-is-harmless",
                    test_look_is_harmless);
    g_test_add_func("/virtio-gpu-blob/lost/look-writes", test_look_writes);
    g_test_add_func("/virtio-gpu-blob/lost/checks", test_checks);

    return g_test_run();
}
