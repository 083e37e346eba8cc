/*
 * A GPU's driver that hangs when it is opened: preloaded into who opens it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* Or open() would be open64() here. */
#undef _FILE_OFFSET_BITS
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_or_hang(const char *path, int flags, va_list ap)
{
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;

    while (strstr(path, "/dev/dri/renderD")) {
        pause();
    }
    return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    int fd;

    va_start(ap, flags);
    fd = open_or_hang(path, flags, ap);
    va_end(ap);
    return fd;
}

int open64(const char *path, int flags, ...)
{
    va_list ap;
    int fd;

    va_start(ap, flags);
    fd = open_or_hang(path, flags, ap);
    va_end(ap);
    return fd;
}
