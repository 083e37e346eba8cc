/*
 * Doubles of KVM, and of QEMU's hooks for accesses to memory that fail
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To be included by one file of a test that links virtio-gpu-blob-lost.c.
 */

#ifndef TESTS_UNIT_VIRTIO_GPU_BLOB_ACCESS_H
#define TESTS_UNIT_VIRTIO_GPU_BLOB_ACCESS_H

#include "system/cpus.h"
#include "system/kvm.h"

bool kvm_allowed;

static MemoryAccessHandler *access_handler;
static struct NotifierWithReturn *access_notifier;
/* For what the handler passes on; may jump */
static void (*access_passed_on)(void);

static void on_access(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;
    bool retry = sig == SIGBUS ? access_handler->gone(info->si_addr)
                               : access_handler->unmapped(info->si_addr);

    if (!retry && access_passed_on) {
        access_passed_on();
    } else if (!retry) {
        /* The access is tried again, and ends the test. */
        signal(sig, SIG_DFL);
    }
    errno = saved_errno;
}

void qemu_add_memory_access_handler(MemoryAccessHandler *handler)
{
    struct sigaction action = {
        .sa_sigaction = on_access, .sa_flags = SA_SIGINFO,
    };

    sigset_t set;

    g_assert_null(access_handler);
    access_handler = handler;
    /* QEMU's main loop has blocked it. */
    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
}

bool kvm_add_memory_fault_notifier(struct NotifierWithReturn *notifier)
{
    access_notifier = notifier;
    return true;
}

#endif /* TESTS_UNIT_VIRTIO_GPU_BLOB_ACCESS_H */
