/*
 * Scripted renderer: an accelerator that claims to be KVM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Only for a moment: between two calls of the device's code that come
 * through here.  What is asked in between is answered by the script.
 */

#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <string.h>

#include "scripted-internal.h"

/* linux/kvm.h of before 6.16 has no name for it */
#define QUIRK_IGNORE_GUEST_PAT (1 << 9)
/* ... and of before 6.17 for this one; the next are one architecture's */
#define CAP_ARM_CACHEABLE_PFNMAP 243
#define ARM_MMFR2 0x603000000013c03aull
#define ARM_FWB (1ull << 40)
#define RISCV_SVPBMT 0x8030000007000007ull

static bool active;
static void *vcpus;

static unsigned kvm_answer(void)
{
    return scripted_shared()->kvm & SCRIPTED_KVM_ANSWER;
}

/* The head of QEMU's list of vCPUs */
static void hide_vcpus(bool hide)
{
    void **first = dlsym(RTLD_DEFAULT, "cpus_queue");

    if (first && scripted_shared()->kvm & SCRIPTED_KVM_NO_VCPU) {
        if (hide) {
            vcpus = *first;
        }
        *first = hide ? NULL : vcpus;
    }
}

static void set_kvm(void *state)
{
    bool *allowed = dlsym(RTLD_DEFAULT, "kvm_allowed");
    void **kvm_state = dlsym(RTLD_DEFAULT, "kvm_state");

    if (allowed && kvm_state) {
        active = state;
        *allowed = state;
        *kvm_state = state;
        hide_vcpus(active);
    }
}

/* As kvm_init() does */
static void init_blocker(void)
{
    void (*init)(void) = dlsym(RTLD_DEFAULT, "accel_blocker_init");

    if (init) {
        init();
    }
}

void scripted_kvm_begin(void)
{
    /* QEMU's KVMState; only its fd is used, which is not looked at here. */
    static uint8_t state[65536];

    if (scripted_shared()->kvm && !active) {
        init_blocker();
        set_kvm(state);
    }
}

void scripted_kvm_end(void)
{
    if (active) {
        set_kvm(NULL);
    }
}

static int fail(int error)
{
    errno = error;
    return -1;
}

static int check_extension(uintptr_t cap)
{
    switch (cap) {
    case KVM_CAP_DISABLE_QUIRKS2:
        switch (kvm_answer()) {
        case SCRIPTED_KVM_QUIRK:
        case SCRIPTED_KVM_STUCK:
            return QUIRK_IGNORE_GUEST_PAT | 1;
        case SCRIPTED_KVM_BROKEN:
            return fail(EINVAL);
        default:
            return 0;
        }
    case CAP_ARM_CACHEABLE_PFNMAP:
        return kvm_answer() == SCRIPTED_KVM_LIAR;
    default:
        return 0;
    }
}

static int enable_cap(const struct kvm_enable_cap *cap)
{
    if (kvm_answer() != SCRIPTED_KVM_QUIRK ||
        cap->cap != KVM_CAP_DISABLE_QUIRKS2 ||
        cap->args[0] != QUIRK_IGNORE_GUEST_PAT || cap->flags) {
        return fail(EINVAL);
    }
    scripted_shared()->kvm_enables++;
    return 0;
}

static int get_register(const struct kvm_one_reg *reg)
{
    uint64_t *value = (void *)(uintptr_t)reg->addr;
    unsigned kvm = kvm_answer();

    if (reg->id == ARM_MMFR2 && kvm >= SCRIPTED_KVM_FWB &&
        kvm <= SCRIPTED_KVM_LIAR) {
        *value = 1 | (kvm == SCRIPTED_KVM_FWB ? ARM_FWB : 0);
        return 0;
    }
    if (reg->id == RISCV_SVPBMT && (kvm == SCRIPTED_KVM_SVPBMT ||
                                    kvm == SCRIPTED_KVM_NO_SVPBMT)) {
        *value = kvm == SCRIPTED_KVM_SVPBMT;
        return 0;
    }
    return fail(ENOENT);
}

bool scripted_kvm_ioctl(unsigned long request, void *arg, int *ret)
{
    if (!active) {
        return false;
    }
    switch (request) {
    case KVM_CHECK_EXTENSION:
        *ret = check_extension((uintptr_t)arg);
        return true;
    case KVM_ENABLE_CAP:
        *ret = enable_cap(arg);
        return true;
    case KVM_GET_ONE_REG:
        *ret = get_register(arg);
        return true;
    default:
        return false;
    }
}
