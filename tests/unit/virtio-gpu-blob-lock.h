/*
 * Who waits for a lock?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_VIRTIO_GPU_BLOB_LOCK_H
#define TESTS_UNIT_VIRTIO_GPU_BLOB_LOCK_H

#include "qemu/atomic.h"
#include "qemu/thread.h"

/* Long enough for what does not wait */
#define LOCK_PATIENCE_US 50000

typedef struct LockWaiter {
    void (*func)(void *opaque);
    void *opaque;
    bool begun, done;
    GThread *thread;
} LockWaiter;

static inline void *lock_waiter_run(void *opaque)
{
    LockWaiter *waiter = opaque;

    qatomic_set(&waiter->begun, true);
    waiter->func(waiter->opaque);
    qatomic_set(&waiter->done, true);
    return NULL;
}

/* Calls @func in a thread of its own; true if it does not get done */
static inline bool lock_waiter_begin(LockWaiter *waiter)
{
    waiter->thread = g_thread_new("waiter", lock_waiter_run, waiter);
    while (!qatomic_read(&waiter->begun)) {
        g_usleep(100);
    }
    g_usleep(LOCK_PATIENCE_US);
    return !qatomic_read(&waiter->done);
}

static inline void lock_waiter_end(LockWaiter *waiter)
{
    g_thread_join(waiter->thread);
    g_assert_true(waiter->done);
}

/* Does @func wait while somebody else has @lock? */
static inline bool waits_for_lock(QemuSpin *lock, void (*func)(void *opaque),
                                  void *opaque)
{
    LockWaiter waiter = { .func = func, .opaque = opaque };
    bool waits;

    qemu_spin_lock(lock);
    waits = lock_waiter_begin(&waiter);
    qemu_spin_unlock(lock);
    lock_waiter_end(&waiter);
    return waits;
}

#endif /* TESTS_UNIT_VIRTIO_GPU_BLOB_LOCK_H */
