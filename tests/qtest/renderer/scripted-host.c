/*
 * Scripted renderer: a host of another kind
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the C library and files of /proc and /sys tell of processor and GPUs.
 */

/* The names below are the very symbols that others link to. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "scripted-internal.h"

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
    [SCRIPTED_CPU_NO_PROC] = { "x86_64", NULL, NULL },
    [SCRIPTED_CPU_HYGON] = { "x86_64", "vendor_id\t: HygonGenuine", "1\n" },
    [SCRIPTED_CPU_NO_VENDOR] = { "x86_64", "model\t\t: 1\n", "Y\n" },
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

/* A multiple of the real one can be used in its place. */
EXPORT int getpagesize(void)
{
    uint32_t size = scripted_shared()->page_size;

    return size ? size : getauxval(AT_PAGESZ);
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

/*
 * GPUs
 */

#define DRM "/sys/class/drm"

/* -1 with errno; 0 if it is not ours; else @path where it really is */
static int drm_path(const char *path, char *real, size_t len)
{
    struct scripted_shared *s = scripted_shared();

    if (!s->drm || strncmp(path, DRM, sizeof(DRM) - 1)) {
        return 0;
    }
    if (s->drm != SCRIPTED_DRM_FOLDER) {
        errno = s->drm == SCRIPTED_DRM_NONE ? ENOENT : EACCES;
        return -1;
    }
    snprintf(real, len, "%s%s", s->drm_folder, path + sizeof(DRM) - 1);
    return 1;
}

EXPORT DIR *opendir(const char *path)
{
    static DIR *(*real_opendir)(const char *path);
    char real[1024];
    int ours = drm_path(path, real, sizeof(real));

    if (ours < 0) {
        return NULL;
    }
    if (!real_opendir) {
        real_opendir = dlsym(RTLD_NEXT, "opendir");
    }
    return real_opendir(ours ? real : path);
}

EXPORT ssize_t readlink(const char *path, char *buf, size_t len)
{
    char real[1024];
    int ours = drm_path(path, real, sizeof(real));

    if (ours < 0) {
        return -1;
    }
    return syscall(SYS_readlinkat, AT_FDCWD, ours ? real : path, buf, len);
}
