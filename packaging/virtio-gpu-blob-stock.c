/*
 * virtio-gpu blob mappings: what a distribution's unmodified QEMU lacks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Linked into the modules for such a QEMU only.  The emulator's own functions
 * are found before those of a module, so a function here is used where the
 * emulator has none by that name: it was built without KVM, or without what our
 * series adds to it.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "system/runstate.h"

/*
 * Accesses to memory that is gone (system/cpus.c)
 */

static MemoryAccessHandler *handler;
static struct sigaction sigbus_before, sigsegv_before;

/* A memory error for the main loop; see pass_on() */
static struct {
    QEMUBH *bh;
    siginfo_t info;
    bool pending;
} memory_error;

static void memory_error_bh(void *opaque)
{
    siginfo_t info = memory_error.info;

    qatomic_store_release(&memory_error.pending, false);
    sigbus_before.sa_sigaction(SIGBUS, &info, NULL);
}

static bool is_handled(const siginfo_t *info)
{
    if (info->si_signo == SIGBUS) {
        return info->si_code == BUS_ADRERR && handler->gone(info->si_addr);
    }
    return info->si_code == SEGV_MAPERR && handler->unmapped &&
           handler->unmapped(info->si_addr);
}

/* What is not handled ends the process, if the access is made again. */
static void end(int sig, const siginfo_t *info, const struct sigaction *action)
{
    sigaction(sig, action, NULL);
    if (info->si_code <= 0) {
        raise(sig);
    }
}

/*
 * QEMU takes SIGBUS that is no vCPU's to be read from its signalfd: a memory
 * error that needs no action at once goes there, that is, to its handler from
 * the main loop and without a context.  One that cannot wait ends the process,
 * as it does where the signal is blocked.
 */
static void pass_on(int sig, siginfo_t *info, void *context)
{
    static const struct sigaction by_default = { .sa_handler = SIG_DFL };
    const struct sigaction *before = sig == SIGBUS ? &sigbus_before
                                                   : &sigsegv_before;
    bool main_thread = sig == SIGBUS && context &&
                       qemu_get_thread_id() == getpid();

    if (main_thread && info->si_code == BUS_MCEERR_AR) {
        end(sig, info, &by_default);
    } else if (main_thread && info->si_code == BUS_MCEERR_AO &&
               before->sa_flags & SA_SIGINFO) {
        if (!qatomic_xchg(&memory_error.pending, true)) {
            memory_error.info = *info;
            qemu_bh_schedule(memory_error.bh);
        }
    } else if (before->sa_flags & SA_SIGINFO) {
        before->sa_sigaction(sig, info, context);
    } else if (before->sa_handler != SIG_DFL && before->sa_handler != SIG_IGN) {
        before->sa_handler(sig);
    } else {
        end(sig, info, before);
    }
}

static void handle(int sig, siginfo_t *info, void *context)
{
    int saved_errno = errno;

    if (!is_handled(info)) {
        pass_on(sig, info, context);
    }
    errno = saved_errno;
}

void qemu_add_memory_access_handler(MemoryAccessHandler *new)
{
    struct sigaction action = {
        .sa_sigaction = handle,
        .sa_flags = SA_SIGINFO,
    };
    sigset_t set;

    handler = new;
    memory_error.bh = aio_bh_new(iohandler_get_aio_context(), memory_error_bh,
                                 NULL);
    sigaction(SIGBUS, NULL, &sigbus_before);
    sigaction(SIGBUS, &action, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    if (handler->unmapped) {
        sigaction(SIGSEGV, NULL, &sigsegv_before);
        sigaction(SIGSEGV, &action, NULL);
    }
}

/*
 * KVM (accel/kvm/kvm-all.c)
 */

static NotifierWithReturn *memory_fault;

/*
 * No vCPU is asked: the VM has stopped for good.  A loss is found all the same,
 * so that the operator is told, and the hole is there when the VM is reset;
 * where none is found, it is told what else may have been the cause.
 */
static void on_stop(void *opaque, bool running, RunState state)
{
    KVMMemoryFault fault = { };
    unsigned looks = 0;

    if (!kvm_enabled() || state != RUN_STATE_INTERNAL_ERROR) {
        return;
    }
    while (memory_fault->notify(memory_fault, &fault, NULL)) {
        looks++;
    }
    /* Twice without a loss: as nothing was looked at, and as it was once */
    if (looks == 2) {
        fault.final = true;
        memory_fault->notify(memory_fault, &fault, NULL);
    }
}

bool kvm_add_memory_fault_notifier(NotifierWithReturn *notifier)
{
    memory_fault = notifier;
    qemu_add_vm_change_state_handler(on_stop, NULL);
    return false;
}

int kvm_vm_ioctl(KVMState *s, unsigned long type, ...)
{
    return -ENOSYS;
}

int kvm_get_one_reg(CPUState *cs, uint64_t id, void *target)
{
    return -ENOSYS;
}

/*
 * RCU (util/rcu.c)
 */

/* As many as QEMU's RCU thread waits for before it begins (util/rcu.c) */
#define CALLBACKS 30

static void free_callback(struct rcu_head *callback)
{
    g_free(callback);
}

/*
 * The thread does not wait for more callbacks.  Where it sleeps already, that
 * takes up to 10 ms more, and readers are not asked to end.
 */
void rcu_expedite(void)
{
    int i;

    for (i = 0; i < CALLBACKS; i++) {
        call_rcu1(g_new(struct rcu_head, 1), free_callback);
    }
}
