/*
 * virtio-gpu blob mappings: whose SIGBUS is it?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/thread.h"
#include "virtio-gpu-blob-fault.h"

#include <sys/syscall.h>
#include <ucontext.h>

/* A signal handler has no other way to what it works on; see the header. */
static QemuSpin lock;
static QLIST_HEAD(, VirtIOGPUBlobWatch) watches;
static struct sigaction before;
static bool installed;

static bool covers(const VirtIOGPUBlobWatch *watch, const void *addr)
{
    return (uintptr_t)addr - (uintptr_t)watch->start < watch->len;
}

static bool mend(void *addr)
{
    VirtIOGPUBlobWatch *watch;
    bool mended = false;

    qemu_spin_lock(&lock);
    QLIST_FOREACH(watch, &watches, next) {
        if (covers(watch, addr)) {
            mended = watch->mend(watch->opaque, addr);
            break;
        }
    }
    qemu_spin_unlock(&lock);
    return mended;
}

/*
 * A memory error that needs no action at once is the main loop's, which reads
 * it from a signalfd, for it takes more than a signal handler may do.  It is
 * sent once more, and blocked until it has been read.
 */
static bool is_for_main_loop(const siginfo_t *info, const void *context)
{
    return info->si_code == BUS_MCEERR_AO && context &&
           qemu_get_thread_id() == getpid();
}

static void send_to_main_loop(const siginfo_t *info, ucontext_t *context)
{
    sigaddset(&context->uc_sigmask, SIGBUS);
    syscall(__NR_rt_tgsigqueueinfo, getpid(), getpid(), SIGBUS, info);
}

static void unblock(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(sig, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(sig);
    } else {
        /* The access is tried again, and ends the process. */
        sigaction(SIGBUS, &before, NULL);
    }
}

static void handle(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    if (info->si_code == BUS_ADRERR && mend(info->si_addr)) {
        errno = saved_errno;
        return;
    }
    if (is_for_main_loop(info, context)) {
        send_to_main_loop(info, context);
    } else {
        pass_on(sig, info, context);
        if (!context) {
            unblock();
        }
    }
    errno = saved_errno;
}

static void install(void)
{
    struct sigaction action = {
        .sa_sigaction = handle,
        .sa_flags = SA_SIGINFO,
    };

    qemu_spin_init(&lock);
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, &before);
    unblock();
    installed = true;
}

void virtio_gpu_blob_watch(VirtIOGPUBlobWatch *watch)
{
    if (!installed) {
        install();
    }
    qemu_spin_lock(&lock);
    QLIST_INSERT_HEAD(&watches, watch, next);
    qemu_spin_unlock(&lock);
}

void virtio_gpu_blob_unwatch(VirtIOGPUBlobWatch *watch)
{
    qemu_spin_lock(&lock);
    QLIST_REMOVE(watch, next);
    qemu_spin_unlock(&lock);
}

void virtio_gpu_blob_touch(void *start, uint64_t len, bool write,
                           const bool *stop)
{
    const uint64_t page = qemu_real_host_page_size();
    uint64_t at;

    for (at = 0; at < len && !qatomic_read(stop); at += page) {
        uint32_t *word = start + at;

        if (write) {
            qatomic_or(word, 0);
        } else {
            (void)qatomic_read(word);
        }
    }
}

void virtio_gpu_blob_look(void *start, uint64_t len)
{
    const uint64_t page = qemu_real_host_page_size();
    void *last = start + len - page;
    const bool stop = false;

    if (madvise(last, page, MADV_POPULATE_READ) && errno == EFAULT) {
        virtio_gpu_blob_touch(last, page, false, &stop);
    }
}
