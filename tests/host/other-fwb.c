/*
 * An ioctl() for LD_PRELOAD, with which KVM on arm64 says the contrary of what
 * is so about FEAT_S2FWB
 *
 * QEMU puts back what it read, and KVM would not take that.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/kvm.h>

#define ID_AA64MMFR2_EL1 ARM64_SYS_REG(3, 0, 0, 7, 2)
#define FWB 40

/* Cached memory that is no RAM: takes FEAT_S2FWB, and so tells of it */
#define CACHEABLE_PFNMAP 243

static void change(const struct kvm_one_reg *reg)
{
    uint64_t *value = (uint64_t *)(uintptr_t)reg->addr;
    uint64_t others = *value & ~(UINT64_C(0xf) << FWB);

    *value = others | (others == *value ? UINT64_C(1) << FWB : 0);
}

int ioctl(int fd, unsigned long request, ...)
{
    struct kvm_one_reg *reg;
    void *arg;
    va_list ap;
    int ret;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (request == KVM_CHECK_EXTENSION && (uintptr_t)arg == CACHEABLE_PFNMAP) {
        return 0;
    }
    reg = arg;
    if (request == KVM_SET_ONE_REG && reg->id == ID_AA64MMFR2_EL1) {
        return 0;
    }
    ret = syscall(SYS_ioctl, fd, request, arg);
    if (!ret && request == KVM_GET_ONE_REG && reg->id == ID_AA64MMFR2_EL1) {
        change(reg);
    }
    return ret;
}
