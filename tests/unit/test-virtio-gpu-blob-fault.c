/*
 * Who gets a SIGBUS, and which places are lost: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "hw/display/virtio-gpu-blob-fault.h"
#include "hw/display/virtio-gpu-blob-loss.h"
#include "virtio-gpu-blob-lock.h"

#include <sys/signalfd.h>
#include <sys/syscall.h>

/* A page of a file that has none any more */
typedef struct Page {
    VirtIOGPUBlobWatch watch;
    uint8_t *at;
    size_t len;
    int fd;
    unsigned mended;
    bool fails;
} Page;

/* What was there before ours, and what it was told */
static sigjmp_buf jump;
static siginfo_t told;
static bool told_in_signal;
static volatile unsigned others;

static void other_handler(int sig, siginfo_t *info, void *context)
{
    errno = EIO;
    others++;
    told = *info;
    told_in_signal = context;
    if (info->si_code == BUS_ADRERR) {
        siglongjmp(jump, 1);
    }
}

/* In a handler, as the window does it */
static bool mend(void *opaque, void *addr)
{
    Page *p = opaque;

    /* As a call that fails on the way */
    errno = EIO;
    g_assert_true((uint8_t *)addr >= p->at && (uint8_t *)addr < p->at + p->len);
    if (p->fails) {
        return false;
    }
    p->mended++;
    return mmap(p->at, p->len, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p->at;
}

static void new_page(Page *p)
{
    p->len = qemu_real_host_page_size();
    p->fd = qemu_memfd_create("page", p->len, false, 0, 0, &error_abort);
    p->at = mmap(NULL, p->len, PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
    g_assert_true(p->at != MAP_FAILED);
    p->watch = (VirtIOGPUBlobWatch) {
        .start = p->at, .len = p->len, .mend = mend, .opaque = p,
    };
    virtio_gpu_blob_watch(&p->watch);
}

static void lose_page(Page *p)
{
    g_assert_cmpint(ftruncate(p->fd, 0), ==, 0);
}

static void delete_page(Page *p)
{
    munmap(p->at, p->len);
    close(p->fd);
}

static bool access_is_passed_on(uint8_t *at)
{
    unsigned before = others;

    if (!sigsetjmp(jump, 1)) {
        qatomic_set(at, 1);
    }
    return others != before;
}

/*
 * SIGBUS
 */

static void test_mended(void)
{
    Page a = { }, b = { };

    new_page(&a);
    new_page(&b);
    lose_page(&a);
    lose_page(&b);
    errno = EDOM;
    g_assert_false(access_is_passed_on(b.at + 8));
    g_assert_cmpint(errno, ==, EDOM);
    g_assert_false(access_is_passed_on(a.at));
    g_assert_false(access_is_passed_on(a.at + a.len - 1));
    g_assert_cmpuint(a.mended, ==, 1);
    g_assert_cmpuint(b.mended, ==, 1);
    g_assert_cmpuint(b.at[8], ==, 1);
    virtio_gpu_blob_unwatch(&a.watch);
    virtio_gpu_blob_unwatch(&b.watch);
    delete_page(&a);
    delete_page(&b);
}

static void test_passed_on(void)
{
    Page p = { };

    new_page(&p);
    lose_page(&p);
    p.fails = true;
    g_assert_true(access_is_passed_on(p.at));
    g_assert_true(told.si_addr == p.at);
    g_assert_true(told_in_signal);
    p.fails = false;
    virtio_gpu_blob_unwatch(&p.watch);
    g_assert_true(access_is_passed_on(p.at));
    g_assert_cmpuint(p.mended, ==, 0);
    delete_page(&p);
}

/* Not mended until the main thread says so */
static bool mending, go_on;

static bool mend_slowly(void *opaque, void *addr)
{
    qatomic_set(&mending, true);
    while (!qatomic_read(&go_on)) {
        g_usleep(100);
    }
    return mend(opaque, addr);
}

static void *access_page(void *opaque)
{
    Page *p = opaque;

    qatomic_set(p->at, 1);
    return NULL;
}

static void watch_page(void *opaque)
{
    virtio_gpu_blob_watch(opaque);
}

static void unwatch_page(void *opaque)
{
    virtio_gpu_blob_unwatch(opaque);
}

/* Nobody comes or goes while a handler is on its way through the list. */
static void test_lock(void)
{
    VirtIOGPUBlobWatch new = { };
    LockWaiter comes = { .func = watch_page, .opaque = &new };
    Page p = { };
    LockWaiter goes = { .func = unwatch_page, .opaque = &p.watch };
    GThread *thread;

    new_page(&p);
    lose_page(&p);
    p.watch.mend = mend_slowly;
    thread = g_thread_new("access", access_page, &p);
    while (!qatomic_read(&mending)) {
        g_usleep(100);
    }
    g_assert_true(lock_waiter_begin(&comes));
    g_assert_true(lock_waiter_begin(&goes));
    qatomic_set(&go_on, true);
    lock_waiter_end(&comes);
    lock_waiter_end(&goes);
    g_thread_join(thread);
    g_assert_cmpuint(p.mended, ==, 1);
    virtio_gpu_blob_unwatch(&new);
    delete_page(&p);
}

/* What a memory error's signal looks like, sent to the main thread */
static void send_memory_error(int code, void *addr)
{
    siginfo_t info = { .si_signo = SIGBUS, .si_code = code };

    info.si_addr = addr;
    g_assert_cmpint(syscall(__NR_rt_tgsigqueueinfo, getpid(), getpid(), SIGBUS,
                            &info), ==, 0);
}

static bool is_blocked(void)
{
    sigset_t set;

    pthread_sigmask(SIG_BLOCK, NULL, &set);
    return sigismember(&set, SIGBUS);
}

/* As QEMU's main loop has one */
static int new_signalfd(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

static void dispatch(const struct signalfd_siginfo *from)
{
    siginfo_t info = { .si_signo = SIGBUS, .si_code = from->ssi_code };
    struct sigaction action;

    info.si_addr = (void *)(uintptr_t)from->ssi_addr;
    sigaction(SIGBUS, NULL, &action);
    action.sa_sigaction(SIGBUS, &info, NULL);
}

/* A memory error that can wait is read by the main loop, address and all. */
static void test_memory_error(void)
{
    struct signalfd_siginfo info;
    int fd = new_signalfd();
    Page p = { };

    new_page(&p);
    others = 0;
    send_memory_error(BUS_MCEERR_AO, p.at);
    g_assert_cmpuint(others, ==, 0);
    g_assert_true(is_blocked());
    g_assert_cmpint(read(fd, &info, sizeof(info)), ==, sizeof(info));
    dispatch(&info);
    g_assert_cmpuint(others, ==, 1);
    g_assert_cmpint(told.si_code, ==, BUS_MCEERR_AO);
    g_assert_true(told.si_addr == p.at);
    g_assert_false(told_in_signal);
    g_assert_false(is_blocked());
    g_assert_cmpuint(p.mended, ==, 0);
    /* From now on it works as before. */
    lose_page(&p);
    g_assert_false(access_is_passed_on(p.at));
    virtio_gpu_blob_unwatch(&p.watch);
    delete_page(&p);
    close(fd);
}

/* One that cannot wait is its handler's, at once. */
static void test_memory_error_now(void)
{
    others = 0;
    errno = EDOM;
    send_memory_error(BUS_MCEERR_AR, NULL);
    g_assert_cmpint(errno, ==, EDOM);
    g_assert_cmpuint(others, ==, 1);
    g_assert_cmpint(told.si_code, ==, BUS_MCEERR_AR);
    g_assert_true(told_in_signal);
    g_assert_false(is_blocked());
}

static sigjmp_buf away;

/* The first watch finds who was there before: in a process of its own. */
static int end_with_handler(void (*handler)(int sig))
{
    Page p = { };
    int status;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (!pid) {
        if (sigsetjmp(away, 1)) {
            /* What was reached is written down. */
            exit(7);
        }
        signal(SIGBUS, handler);
        new_page(&p);
        lose_page(&p);
        p.fails = true;
        qatomic_set(p.at, 1);
        _exit(0);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void plain_handler(int sig)
{
    if (sig == SIGBUS) {
        siglongjmp(away, 1);
    }
}

/*
 * What is nobody's is the handler's before ours, whatever its kind; without
 * one it ends the process, as itself.
 */
static void test_before(void)
{
    int status = end_with_handler(plain_handler);

    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 7);
    status = end_with_handler(SIG_DFL);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGBUS);
    status = end_with_handler(SIG_IGN);
    g_assert_true(WIFSIGNALED(status));
    g_assert_cmpint(WTERMSIG(status), ==, SIGBUS);
}

static void test_touch(void)
{
    bool stop = false, stopped = true;
    Page p = { };

    new_page(&p);
    memset(p.at, 0xa5, p.len);
    virtio_gpu_blob_touch(p.at, p.len, true, &stop);
    g_assert_cmpuint(p.at[0], ==, 0xa5);
    lose_page(&p);
    virtio_gpu_blob_touch(p.at, p.len, false, &stopped);
    g_assert_cmpuint(p.mended, ==, 0);
    virtio_gpu_blob_touch(p.at, p.len, false, &stop);
    g_assert_cmpuint(p.mended, ==, 1);
    virtio_gpu_blob_unwatch(&p.watch);
    delete_page(&p);

    new_page(&p);
    lose_page(&p);
    virtio_gpu_blob_touch(p.at, p.len, true, &stop);
    g_assert_cmpuint(p.mended, ==, 2);
    virtio_gpu_blob_unwatch(&p.watch);
    delete_page(&p);
}

/* Only who is to write makes a copy of a private page. */
static void test_touch_writes(void)
{
    const size_t len = qemu_real_host_page_size();
    int fd = qemu_memfd_create("file", len, false, 0, 0, &error_abort);
    uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    const bool stop = false;

    g_assert_true(at != MAP_FAILED);
    virtio_gpu_blob_touch(at, len, false, &stop);
    g_assert_cmpint(pwrite(fd, "a", 1, 0), ==, 1);
    g_assert_cmpint(at[0], ==, 'a');
    virtio_gpu_blob_touch(at, len, true, &stop);
    g_assert_cmpint(pwrite(fd, "b", 1, 0), ==, 1);
    g_assert_cmpint(at[0], ==, 'a');
    munmap(at, len);
    close(fd);
}

/* The last page tells, without a signal while it is there. */
static void test_look(void)
{
    Page p = { };

    new_page(&p);
    virtio_gpu_blob_look(p.at, p.len);
    g_assert_cmpuint(p.mended, ==, 0);
    lose_page(&p);
    virtio_gpu_blob_look(p.at, p.len);
    g_assert_cmpuint(p.mended, ==, 1);
    virtio_gpu_blob_unwatch(&p.watch);
    delete_page(&p);
}

/*
 * Losses
 */

static unsigned notified;

static void notify(void *opaque)
{
    g_assert_true(opaque == &notified);
    notified++;
}

static void test_losses(void)
{
    VirtIOGPUBlobPlace a = { }, b = { }, c = { };
    VirtIOGPUBlobLosses losses;

    virtio_gpu_blob_losses_init(&losses, notify, &notified);
    g_assert_null(virtio_gpu_blob_losses_take(&losses));
    virtio_gpu_blob_losses_add(&losses, &a);
    virtio_gpu_blob_losses_add(&losses, &b);
    virtio_gpu_blob_losses_add(&losses, &c);
    g_assert_cmpuint(notified, ==, 3);
    g_assert_cmpuint(losses.count, ==, 3);
    g_assert_true(a.lost && b.lost && c.lost);
    virtio_gpu_blob_losses_forget(&losses, &b);
    g_assert_true(virtio_gpu_blob_losses_take(&losses) == &a);
    virtio_gpu_blob_losses_forget(&losses, &a);
    g_assert_true(virtio_gpu_blob_losses_take(&losses) == &c);
    g_assert_null(virtio_gpu_blob_losses_take(&losses));
    g_assert_cmpuint(losses.count, ==, 3);
}

static void take(void *opaque)
{
    virtio_gpu_blob_losses_take(opaque);
}

static void test_take_waits(void)
{
    VirtIOGPUBlobLosses losses;

    virtio_gpu_blob_losses_init(&losses, notify, &notified);
    g_assert_true(waits_for_lock(&losses.lock, take, &losses));
}

/* What can be read is tried again, but not for ever. */
static void test_doubt(void)
{
    VirtIOGPUBlobPlace place = { };
    Page p = { };
    unsigned tries = 0;
    sigset_t set;

    new_page(&p);
    /* Looking changes no signal's mask, whatever the guest has there. */
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    memset(p.at, 0xff, 8);
    g_assert_true(virtio_gpu_blob_losses_doubt(NULL, p.at));
    pthread_sigmask(SIG_UNBLOCK, &set, &set);
    g_assert_true(sigismember(&set, SIGUSR1));
    g_assert_false(sigismember(&set, SIGUSR2));
    g_assert_true(virtio_gpu_blob_losses_doubt(NULL, p.at + p.len - 1));
    while (virtio_gpu_blob_losses_doubt(&place, p.at)) {
        g_assert_cmpuint(tries++, <, 1000);
    }
    g_assert_cmpuint(tries, >, 0);
    place.lost = true;
    g_assert_true(virtio_gpu_blob_losses_doubt(&place, p.at));

    lose_page(&p);
    place = (VirtIOGPUBlobPlace) { };
    g_assert_false(virtio_gpu_blob_losses_doubt(NULL, p.at));
    g_assert_false(virtio_gpu_blob_losses_doubt(&place, p.at));
    g_assert_cmpuint(p.mended, ==, 0);
    virtio_gpu_blob_unwatch(&p.watch);
    delete_page(&p);
}

int main(int argc, char **argv)
{
    struct sigaction action = {
        .sa_sigaction = other_handler, .sa_flags = SA_SIGINFO,
    };

    g_test_init(&argc, &argv, NULL);
    /* Before there is a watch in this process */
    g_test_add_func("/virtio-gpu-blob/fault/before", test_before);
    sigaction(SIGBUS, &action, NULL);
    g_test_add_func("/virtio-gpu-blob/fault/mended", test_mended);
    g_test_add_func("/virtio-gpu-blob/fault/passed-on", test_passed_on);
    g_test_add_func("/virtio-gpu-blob/fault/lock", test_lock);
    g_test_add_func("/virtio-gpu-blob/fault/memory-error", test_memory_error);
    g_test_add_func("/virtio-gpu-blob/fault/memory-error-now",
                    test_memory_error_now);
    g_test_add_func("/virtio-gpu-blob/fault/touch", test_touch);
    g_test_add_func("/virtio-gpu-blob/fault/touch-writes", test_touch_writes);
    g_test_add_func("/virtio-gpu-blob/fault/look", test_look);
    g_test_add_func("/virtio-gpu-blob/loss/losses", test_losses);
    g_test_add_func("/virtio-gpu-blob/loss/take-waits", test_take_waits);
    g_test_add_func("/virtio-gpu-blob/loss/doubt", test_doubt);

    return g_test_run();
}
