/*
 * Scripted renderer: the kernel's side of a buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * memfds stand in for dma-bufs.  What only a dma-buf's kernel code can say
 * is said here, by standing in front of the C library.
 *
 * This is loaded before QEMU's own libraries, and into the shell that starts
 * QEMU: no GLib, no QEMU header.
 */

/* The names below are the very symbols that others link to. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scripted-internal.h"

/* The same function by another name, as the C library has it */
#define ALIAS(name, of) __asm__(".globl " #name "\n.set " #name ", " #of)

/* As in our header; written down again, so that it is checked too */
#define QUERY 0xc0106202u

struct query {
    uint32_t param;
    uint32_t pad;
    uint64_t value;
};

struct open_fd {
    struct scripted_blob blob;
    bool open;
    unsigned tries;
};

static struct open_fd fds[SCRIPTED_FDS];

static struct open_fd *find_fd(int fd)
{
    return fd >= 0 && fd < SCRIPTED_FDS && fds[fd].open ? &fds[fd] : NULL;
}

void scripted_fd_open(int fd, struct scripted_blob blob)
{
    fds[fd] = (struct open_fd) { .blob = blob, .open = true };
}

int scripted_buffer_new(const char *name, uint64_t size, bool sealable)
{
    int fd = syscall(SYS_memfd_create, name,
                     MFD_CLOEXEC | (sealable ? MFD_ALLOW_SEALING : 0));

    if (fd >= 0 && syscall(SYS_ftruncate, fd, size)) {
        syscall(SYS_close, fd);
        return -1;
    }
    return fd;
}

/* One huge page, which the kernel need not have until it is mapped */
int scripted_huge_pages_new(void)
{
    int fd = syscall(SYS_memfd_create, SCRIPTED_BUFFER_NAME,
                     MFD_CLOEXEC | MFD_HUGETLB | MFD_ALLOW_SEALING);
    struct stat st;

    return fd < 0 || fstat(fd, &st) ||
           syscall(SYS_ftruncate, fd, st.st_blksize) ? -1 : fd;
}

int scripted_open_again(int fd, int flags)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC);
}

/* Those of one open file would be one. */
static void *map_two(uint64_t size, int fd)
{
    uint64_t half = size / 2 / 4096 * 4096;
    void *map = scripted_map(size, fd, MEMORY_SHARED);
    int again = scripted_open_again(fd, O_RDWR);

    if (map != MAP_FAILED && again >= 0) {
        syscall(SYS_mmap, (char *)map + half, size - half,
                PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, again, half);
    }
    syscall(SYS_close, again);
    return map;
}

void *scripted_map(uint64_t size, int fd, unsigned memory)
{
    if (memory == MEMORY_TWO) {
        return map_two(size, fd);
    }
    return (void *)syscall(SYS_mmap, NULL, size, memory == MEMORY_READ_ONLY
                           ? PROT_READ : PROT_READ | PROT_WRITE,
                           memory == MEMORY_PRIVATE ? MAP_PRIVATE : MAP_SHARED,
                           fd, 0);
}

void scripted_map_at(void *at, uint64_t size, int fd, bool write)
{
    if (write) {
        syscall(SYS_mmap, at, size, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED, fd, 0);
        return;
    }
    fd = scripted_open_again(fd, O_RDONLY);
    syscall(SYS_mmap, at, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
    syscall(SYS_close, fd);
}

void scripted_close(int fd)
{
    syscall(SYS_close, fd);
}

static struct scripted_shared *map_shared(void)
{
    const char *path = getenv(SCRIPTED_ENV);
    struct scripted_shared *s;
    int fd;

    if (path) {
        fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
        if (fd >= 0) {
            s = scripted_map(sizeof(*s), fd, MEMORY_SHARED);
            syscall(SYS_close, fd);
            if (s != MAP_FAILED && s->magic == SCRIPTED_MAGIC) {
                return s;
            }
        }
        fprintf(stderr, "scripted renderer: %s: not a test's file\n", path);
        _exit(1);
    }
    return calloc(1, sizeof(*s));
}

struct scripted_shared *scripted_shared(void)
{
    static struct scripted_shared *shared, none;

    /* A sanitizer makes system calls before there is an environment. */
    if (!shared && !environ) {
        return &none;
    }
    if (!shared) {
        shared = map_shared();
    }
    return shared;
}

bool scripted_is_to_fail(uint32_t kind)
{
    struct scripted_fail *fail = &scripted_shared()->fail;

    if (!scripted_shared()->armed || !(fail->kinds & kind) || !fail->count) {
        return false;
    }
    if (fail->skip) {
        fail->skip--;
        return false;
    }
    fail->count--;
    errno = fail->error;
    return true;
}

/*
 * The exporter's answer
 */

/* An errno, or 0 and a value */
static const struct {
    int error;
    uint64_t value;
} answers[16] = {
    [ANSWER_ENOTTY] = { ENOTTY },
    [ANSWER_INCOHERENT] = { 0, 0 },
    [ANSWER_WC] = { 0, 1 },
    [ANSWER_CACHED] = { 0, 2 },
    [ANSWER_OTHER] = { 0, 3 },
    [ANSWER_OTHER_HIGH] = { 0, 1ull << 32 | 2 },
    [ANSWER_EINVAL] = { EINVAL },
    [ANSWER_EFAULT] = { EFAULT },
    [ANSWER_EIO] = { EIO },
    [ANSWER_EIO + 1 ... 15] = { ENOTTY },
};

/* Returns 0, or the negative errno of the query */
static int answer(struct open_fd *f, struct query *q)
{
    switch (f->blob.retry) {
    case RETRY_ALWAYS:
        return -EAGAIN;
    case RETRY_EINTR:
    case RETRY_EAGAIN:
        if (f->tries++ < SCRIPTED_RETRIES) {
            return f->blob.retry == RETRY_EINTR ? -EINTR : -EAGAIN;
        }
    }
    if (!answers[f->blob.answer].error) {
        q->value = answers[f->blob.answer].value;
    }
    return -answers[f->blob.answer].error;
}

static int query(int fd, struct query *q)
{
    struct scripted_shared *s = scripted_shared();
    struct open_fd *f = find_fd(fd);
    int error;

    s->queries++;
    if (!f || f->blob.backing != BACKING_DMABUF ||
        q->param != 1 || q->pad) {
        s->bad_queries++;
    }
    if (!s->mute_query) {
        /* What asking costs; a memfd answers ENOTTY. */
        syscall(SYS_ioctl, fd, QUERY, q);
    }
    error = f ? answer(f, q) : -ENOTTY;
    if (error) {
        errno = -error;
        return -1;
    }
    return 0;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;
    int ret;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if ((uint32_t)request == QUERY) {
        return query(fd, arg);
    }
    if (scripted_kvm_ioctl(request, arg, &ret)) {
        return ret;
    }
    return syscall(SYS_ioctl, fd, request, arg);
}

/*
 * The exporter's name
 */

#define FDINFO "pos:\t0\nflags:\t02\nsize:\t4096\ncount:\t2\n"
#define TEN(x) x x x x x x x x x x

static const char *const name_texts[16] = {
    [EXPORTER_NO_LINE] = FDINFO "name:\tudmabuf\n",
    [EXPORTER_UDMABUF] = FDINFO "exp_name:\tudmabuf\n",
    [EXPORTER_SYSTEM] = FDINFO "exp_name:\tsystem\n",
    [EXPORTER_DRM] = FDINFO "exp_name:\tdrm\n",
    [EXPORTER_I915] = FDINFO "exp_name:\ti915\n",
    [EXPORTER_FORGED] = FDINFO "exp_name:\tdrm\nname:\tx\nexp_name:\tudmabuf\n",
    [EXPORTER_PREFIX] = FDINFO "exp_name:\tudmabuf2\n",
    [EXPORTER_EMPTY] = FDINFO "exp_name:\t\nname:\tudmabuf\n",
    [EXPORTER_LONG] = FDINFO "exp_name:\t" TEN("udmabufudmabuf") "\n",
    [EXPORTER_HEAP] = FDINFO "exp_name:\tsystem-uncached\n",
    [EXPORTER_ENDLESS] = FDINFO "exp_name:\tudmabuf",
};

int scripted_text_open(const char *text)
{
    int fd = syscall(SYS_memfd_create, "scripted-text", MFD_CLOEXEC);

    if (fd < 0 || syscall(SYS_write, fd, text, strlen(text)) < 0 ||
        syscall(SYS_lseek, fd, 0, SEEK_SET) < 0) {
        abort();
    }
    return fd;
}

/* The file whose next read() in this thread is of a buffer's name, or -1 */
static __thread int name_fd = -1;
/* NULL: it cannot be read */
static __thread const char *name_text;

static int open_name(int fd, const struct open_fd *f)
{
    scripted_shared()->names++;
    name_fd = fd;
    name_text = name_texts[f->blob.exporter];
    return fd;
}

/* Reads the real file, too: that is the kernel's share of the cost. */
EXPORT ssize_t read(int fd, void *buf, size_t n)
{
    ssize_t ret = syscall(SYS_read, fd, buf, n);
    size_t len;

    if (fd != name_fd || fd < 0) {
        return ret;
    }
    name_fd = -1;
    if (!name_text) {
        errno = EISDIR;
        return -1;
    }
    len = strlen(name_text);
    len = len < n ? len : n;
    memcpy(buf, name_text, len);
    return len;
}

/* With one argument more, which is not used: the size of the buffer */
ALIAS(__read_chk, read);

static int fdinfo_dir = -1;

static int do_open(const char *path, int flags, mode_t mode)
{
    int fd = scripted_host_open(path);

    if (fd >= 0 || errno) {
        return fd;
    }
    fd = syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    if (!strcmp(path, "/proc/self/fdinfo")) {
        fdinfo_dir = fd;
    }
    return fd;
}

/* Used for the files in /proc/self/fdinfo only */
EXPORT int openat(int dir, const char *path, int flags, ...)
{
    const struct open_fd *f = dir < 0 || dir != fdinfo_dir
        ? NULL : find_fd(atoi(path));
    va_list ap;
    mode_t mode;
    int fd;

    va_start(ap, flags);
    mode = va_arg(ap, mode_t);
    va_end(ap);
    if (f && scripted_is_to_fail(SCRIPTED_FDINFO)) {
        errno = errno == ENFILE ? ENFILE : EMFILE;
        return -1;
    }
    fd = syscall(SYS_openat, dir, path, flags, mode);
    return f && fd >= 0 ? open_name(fd, f) : fd;
}

ALIAS(openat64, openat);
ALIAS(__openat_2, openat);
ALIAS(__openat64_2, openat);

EXPORT int open(const char *path, int flags, ...)
{
    va_list ap;
    mode_t mode;

    va_start(ap, flags);
    mode = va_arg(ap, mode_t);
    va_end(ap);
    return do_open(path, flags, mode);
}

ALIAS(open64, open);

EXPORT int __open_2(const char *path, int flags)
{
    return do_open(path, flags, 0);
}

ALIAS(__open64_2, __open_2);

/*
 * The buffer's length, mappings and end
 */

EXPORT off_t lseek(int fd, off_t offset, int whence)
{
    const struct open_fd *f = find_fd(fd);

    if (f && f->blob.length == LENGTH_NONE) {
        errno = ESPIPE;
        return -1;
    }
    return syscall(SYS_lseek, fd, offset, whence);
}

ALIAS(lseek64, lseek);

EXPORT int fstat(int fd, struct stat *st)
{
    const struct open_fd *f = find_fd(fd);
    int ret;

    if (f && f->blob.length == LENGTH_NONE) {
        /* The file of a driver has none, which is no error. */
        st->st_size = 0;
        errno = EIO;
        return f->blob.backing == BACKING_OPAQUE ? 0 : -1;
    }
    ret = syscall(SYS_fstat, fd, st);
    if (f && f->blob.large_blocks) {
        st->st_blksize = 2 << 20;
    }
    return ret;
}

ALIAS(fstat64, fstat);

static int dup_fd(int fd, const struct open_fd *f)
{
    int copy = syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 0);

    if (copy >= 0) {
        scripted_fd_open(copy, f->blob);
        scripted_shared()->dups++;
    }
    return copy;
}

EXPORT int fcntl(int fd, int cmd, ...)
{
    const struct open_fd *f = find_fd(fd);
    va_list ap;
    void *arg;

    va_start(ap, cmd);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (f && f->blob.no_seals && cmd == F_GET_SEALS) {
        errno = EINVAL;
        return -1;
    }
    if (f && cmd == F_ADD_SEALS && scripted_is_to_fail(SCRIPTED_SHRINK)) {
        syscall(SYS_ftruncate, fd, 0);
    }
    if (f && cmd == F_DUPFD_CLOEXEC) {
        return dup_fd(fd, f);
    }
    return syscall(SYS_fcntl, fd, cmd, arg);
}

ALIAS(fcntl64, fcntl);

EXPORT int eventfd(unsigned count, int flags)
{
    return scripted_is_to_fail(SCRIPTED_EVENTFD)
           ? -1 : syscall(SYS_eventfd2, count, flags);
}

EXPORT int madvise(void *addr, size_t len, int advice)
{
    if (advice == MADV_DONTNEED) {
        scripted_shared()->dontneeds++;
    }
    return syscall(SYS_madvise, addr, len, advice);
}

static uint32_t kind_of_map(const struct open_fd *f, int prot, int flags)
{
    if (f) {
        return flags & MAP_FIXED ? SCRIPTED_MAP_BUFFER : SCRIPTED_MAP_FREE;
    }
    if (flags & MAP_FIXED) {
        return prot ? SCRIPTED_MAP_OTHER : SCRIPTED_MAP_STORE;
    }
    return prot ? 0 : SCRIPTED_MAP_RESERVE;
}

/*
 * An mmap() that fails in the driver: shared memory's is asked before what was
 * there goes, since Linux 6.16; others are not.
 */
static void *fail_map(void *addr, size_t len, int flags, bool shm, int error)
{
    uint32_t kernel = scripted_shared()->kernel;

    if ((flags & MAP_FIXED) && (kernel == SCRIPTED_KERNEL_OLD ||
                                (kernel == SCRIPTED_KERNEL_NOW && !shm))) {
        syscall(SYS_munmap, addr, len);
    }
    errno = error;
    return MAP_FAILED;
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd,
                  off_t offset)
{
    static const int errors[] = { 0, ENOMEM, EINVAL, ENODEV };
    const struct open_fd *f = flags & MAP_ANONYMOUS ? NULL : find_fd(fd);
    bool fixed = flags & MAP_FIXED;
    void *map;

    if (scripted_is_to_fail(kind_of_map(f, prot, flags))) {
        return MAP_FAILED;
    }
    scripted_shared()->fixed += f && fixed;
    scripted_shared()->holes += !f && fixed && prot;
    if (f && f->blob.mmap) {
        return fail_map(addr, len, flags, f->blob.backing == BACKING_SHM,
                        errors[f->blob.mmap]);
    }
    map = (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
    return map == MAP_FAILED && !f ? fail_map(addr, len, flags, true, errno)
                                   : map;
}

ALIAS(mmap64, mmap);

/*
 * A move that fails may have unmapped what was there, on older kernels.  A
 * driver's mapping (VM_PFNMAP, VM_DONTEXPAND) can be moved, but neither be
 * mapped a second time nor grow.
 */
EXPORT void *mremap(void *old, size_t old_len, size_t len, int flags, ...)
{
    va_list ap;
    void *at;

    va_start(ap, flags);
    at = flags & MREMAP_FIXED ? va_arg(ap, void *) : NULL;
    va_end(ap);
    if (at && scripted_is_to_fail(SCRIPTED_MOVE)) {
        return fail_map(at, len, MAP_FIXED, true, errno);
    }
    if (len > old_len && scripted_is_to_fail(old_len ? SCRIPTED_GROW
                                                     : SCRIPTED_MAP_AGAIN)) {
        return MAP_FAILED;
    }
    if ((!old_len || len > old_len) && scripted_is_drivers(old)) {
        errno = EFAULT;
        return MAP_FAILED;
    }
    scripted_shared()->moves += !!at;
    return (void *)syscall(SYS_mremap, old, old_len, len, flags, at);
}

EXPORT int memfd_create(const char *name, unsigned flags)
{
    if (strstr(name, "virtio-gpu")) {
        scripted_kvm_end();
        if (scripted_is_to_fail(SCRIPTED_MEMFD)) {
            return -1;
        }
    }
    return syscall(SYS_memfd_create, name, flags);
}

EXPORT int close(int fd)
{
    struct open_fd *f = find_fd(fd);

    if (f) {
        f->open = false;
        scripted_shared()->closes++;
    }
    return syscall(SYS_close, fd);
}
