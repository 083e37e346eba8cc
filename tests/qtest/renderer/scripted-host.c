/*
 * Scripted renderer: a host of another kind
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the C library and files of /proc and /sys tell of the processor.
 */

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "scripted-internal.h"

#define EXPORT __attribute__((visibility("default")))

struct cpu {
    const char *machine; /* NULL: uname() fails */
    const char *info;
    const char *npt;
};

static const struct cpu cpus[SCRIPTED_CPU__MAX] = {
    [SCRIPTED_CPU_AMD] = {
        "x86_64", "processor\t: 0\nvendor_id\t: AuthenticAMD\n", "Y\n" },
    [SCRIPTED_CPU_AMD_NO_NPT] = {
        "x86_64", "processor\t: 0\nvendor_id\t: AuthenticAMD\n", "N\n" },
    /* Where kvm_amd is built into the kernel, it shows on any host. */
    [SCRIPTED_CPU_INTEL] = {
        "x86_64", "processor\t: 0\nvendor_id\t: GenuineIntel\n", "Y\n" },
    [SCRIPTED_CPU_ARM64] = {
        "aarch64", "processor\t: 0\nCPU implementer\t: 0x41\n", NULL },
    [SCRIPTED_CPU_RISCV64] = {
        "riscv64", "processor\t: 0\nisa\t\t: rv64imafdc\n", NULL },
    [SCRIPTED_CPU_S390X] = {
        "s390x", "vendor_id       : IBM/S390\n", NULL },
    [SCRIPTED_CPU_NO_PROC] = { "x86_64", NULL, NULL },
};

static const struct cpu *cpu(void)
{
    return &cpus[scripted_shared()->cpu];
}

EXPORT int uname(struct utsname *names)
{
    if (!scripted_shared()->cpu) {
        return syscall(SYS_uname, names);
    }
    if (!cpu()->machine) {
        errno = EFAULT;
        return -1;
    }
    memset(names, 0, sizeof(*names));
    strcpy(names->machine, cpu()->machine);
    return 0;
}

static int open_text(const char *text)
{
    if (!text) {
        errno = ENOENT;
        return -1;
    }
    return scripted_text_open(text);
}

int scripted_host_open(const char *path)
{
    if (scripted_shared()->cpu && !strcmp(path, "/proc/cpuinfo")) {
        return open_text(cpu()->info);
    }
    if (scripted_shared()->cpu &&
        !strcmp(path, "/sys/module/kvm_amd/parameters/npt")) {
        return open_text(cpu()->npt);
    }
    errno = 0;
    return -1;
}
