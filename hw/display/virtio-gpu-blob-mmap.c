/*
 * virtio-gpu blob mappings: a buffer's pages over others, and never a gap
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qemu/sockets.h"
#include "virtio-gpu-blob-mmap.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define RW (PROT_READ | PROT_WRITE)

/* A page to look for, between two that hold its place */
typedef struct Probe {
    size_t page;
    uint8_t *base;
    int fd;
} Probe;

/*
 * If the page went, another thread's may have come: it is looked at by a
 * system call, which has no fault, and is left alone unless it is ours.
 */
static bool is_ours(const Probe *p, uint64_t stamp)
{
    uint64_t found = 0;

    return pwrite(p->fd, p->base + p->page, sizeof(found), 8) ==
           sizeof(found) &&
           pread(p->fd, &found, sizeof(found), 8) == sizeof(found) &&
           found == stamp;
}

static bool try_failure(const Probe *p, int bad_fd)
{
    uint64_t stamp = (uintptr_t)p->base ^ 0x67707520686f6c65ull;
    uint8_t *middle = p->base + p->page;
    bool keeps;

    if (mmap(middle, p->page, RW, MAP_SHARED | MAP_FIXED, p->fd, 0) ==
        MAP_FAILED) {
        return false;
    }
    memcpy(middle, &stamp, sizeof(stamp));
    keeps = mmap(middle, p->page, RW, MAP_SHARED | MAP_FIXED, bad_fd, 0) ==
            MAP_FAILED && is_ours(p, stamp);
    munmap(p->base, p->page);
    munmap(p->base + 2 * p->page, p->page);
    if (keeps) {
        munmap(middle, p->page);
    }
    return keeps;
}

static bool failure_keeps(int bad_fd)
{
    Probe p = { .page = qemu_real_host_page_size() };
    bool keeps = false;

    p.fd = qemu_memfd_create("blob-probe", p.page, false, 0, 0, NULL);
    if (p.fd < 0) {
        return false;
    }
    p.base = mmap(NULL, 3 * p.page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                  -1, 0);
    if (p.base != MAP_FAILED) {
        keeps = try_failure(&p, bad_fd);
    }
    close(p.fd);
    return keeps;
}

static bool probe(int bad_fd)
{
    bool keeps = bad_fd >= 0 && failure_keeps(bad_fd);

    if (bad_fd >= 0) {
        close(bad_fd);
    }
    return keeps;
}

/* mm/shmem.c refuses a shared writer of such a file, net/socket.c anyone. */
VirtIOGPUBlobMmap virtio_gpu_blob_mmap_probe(void)
{
    return (VirtIOGPUBlobMmap) {
        .shm = probe(qemu_memfd_create("blob-probe",
                                       qemu_real_host_page_size(), false, 0,
                                       F_SEAL_FUTURE_WRITE, NULL)),
        .driver = probe(qemu_socket(AF_UNIX, SOCK_STREAM, 0)),
    };
}

/* Moving unmaps what is there and puts the pages in its place in one go. */
int virtio_gpu_blob_mmap_move(void *at, size_t len, void *apart)
{
    int ret;

    if (mremap(apart, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at) ==
        MAP_FAILED) {
        ret = -errno;
        munmap(apart, len);
        return ret;
    }
    return 0;
}

static int map_and_move(void *at, size_t len, int fd)
{
    void *apart = mmap(NULL, len, RW, MAP_SHARED, fd, 0);

    return apart == MAP_FAILED ? -errno
                               : virtio_gpu_blob_mmap_move(at, len, apart);
}

int virtio_gpu_blob_mmap_over(void *at, size_t len, int fd, bool keeps)
{
    if (!keeps) {
        return map_and_move(at, len, fd);
    }
    return mmap(at, len, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED
           ? -errno : 0;
}
