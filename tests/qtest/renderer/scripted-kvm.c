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

#include "scripted-internal.h"

/* linux/kvm.h of before 6.16 has no name for it */
#define QUIRK_IGNORE_GUEST_PAT (1 << 9)

static bool active;

static void set_kvm(void *state)
{
    bool *allowed = dlsym(RTLD_DEFAULT, "kvm_allowed");
    void **kvm_state = dlsym(RTLD_DEFAULT, "kvm_state");

    if (allowed && kvm_state) {
        active = state;
        *allowed = state;
        *kvm_state = state;
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

    if (scripted_shared()->kvm) {
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

static int check_extension(uintptr_t cap)
{
    if (cap != KVM_CAP_DISABLE_QUIRKS2) {
        return 0;
    }
    switch (scripted_shared()->kvm) {
    case SCRIPTED_KVM_QUIRK:
    case SCRIPTED_KVM_STUCK:
        return QUIRK_IGNORE_GUEST_PAT | 1;
    case SCRIPTED_KVM_OTHER:
        return 1;
    default:
        return 0;
    }
}

static int enable_cap(const struct kvm_enable_cap *cap)
{
    if (scripted_shared()->kvm != SCRIPTED_KVM_QUIRK ||
        cap->cap != KVM_CAP_DISABLE_QUIRKS2 ||
        cap->args[0] != QUIRK_IGNORE_GUEST_PAT || cap->flags) {
        errno = EINVAL;
        return -1;
    }
    scripted_shared()->kvm_enables++;
    return 0;
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
    default:
        return false;
    }
}
