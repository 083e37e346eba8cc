/*
 * virtio-gpu blob mappings: what the window shows where no blob is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/madvise.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "virtio-gpu-blob-holes.h"

/*
 * Bounds what a guest that writes into holes can make the host allocate.
 * Their page tables come on top: 2 MiB for each GiB of window.
 */
#define HOLE_SIZE (32 * MiB)

static bool map_at(const VirtIOGPUBlobHoles *holes, uint64_t offset,
                   uint64_t len, int fd, uint64_t start)
{
    void *at = holes->base + offset;

    if (mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             start) == MAP_FAILED) {
        return false;
    }
    if (!holes->dumped) {
        qemu_madvise(at, len, QEMU_MADV_DONTDUMP);
    }
    return true;
}

/* Each page of the file at its multiples, so that neighbours merge */
static bool punch(const VirtIOGPUBlobHoles *holes, uint64_t offset,
                  uint64_t len)
{
    while (len) {
        uint64_t start = offset % holes->period;
        uint64_t n = MIN(len, holes->period - start);

        if (!map_at(holes, offset, n, holes->fd, start)) {
            return false;
        }
        offset += n;
        len -= n;
    }
    return true;
}

/*
 * Mappings in store
 */

/* Same offset on every page, so that no two of them merge */
static bool fill_store(VirtIOGPUBlobHoles *holes)
{
    uint8_t *store;
    size_t i;

    if (holes->store) {
        return true;
    }
    store = mmap(NULL, holes->store_len, PROT_NONE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (store == MAP_FAILED) {
        return false;
    }
    for (i = 0; i < holes->store_len; i += holes->page_size) {
        if (mmap(store + i, holes->page_size, PROT_NONE,
                 MAP_SHARED | MAP_FIXED, holes->fd, 0) == MAP_FAILED) {
            munmap(store, holes->store_len);
            return false;
        }
    }
    holes->store = store;
    return true;
}

static void spend_store(VirtIOGPUBlobHoles *holes)
{
    if (holes->store) {
        munmap(holes->store, holes->store_len);
        holes->store = NULL;
    }
}

bool virtio_gpu_blob_holes_mend(VirtIOGPUBlobHoles *holes,
                                uint64_t offset, uint64_t len)
{
    if (punch(holes, offset, len)) {
        return true;
    }
    spend_store(holes);
    return punch(holes, offset, len);
}

/*
 * Buffers come and go
 */

uint64_t virtio_gpu_blob_holes_mappings(const VirtIOGPUBlobHoles *holes)
{
    return holes->size / holes->period;
}

int virtio_gpu_blob_holes_fill(VirtIOGPUBlobHoles *holes, int fd,
                               uint64_t offset, uint64_t len)
{
    int ret;

    if (!fill_store(holes)) {
        return -ENOMEM;
    }
    if (map_at(holes, offset, len, fd, 0)) {
        return 0;
    }
    ret = -errno;
    /* Before 6.12, a driver's mmap() that fails leaves nothing behind. */
    virtio_gpu_blob_holes_mend(holes, offset, len);
    return ret;
}

void virtio_gpu_blob_holes_trim(VirtIOGPUBlobHoles *holes)
{
    fallocate(holes->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              0, holes->period);
}

/*
 * Life
 */

bool virtio_gpu_blob_holes_init(VirtIOGPUBlobHoles *holes, uint64_t size,
                                bool dumped, Error **errp)
{
    holes->size = size;
    holes->page_size = qemu_real_host_page_size();
    holes->dumped = dumped;
    holes->period = MIN(size, HOLE_SIZE);
    holes->store_len = (size / holes->period + 8) * holes->page_size;

    holes->fd = qemu_memfd_create("virtio-gpu-hole", holes->period, false, 0,
                                  F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
                                  errp);
    if (holes->fd < 0) {
        return false;
    }
    holes->base = mmap(NULL, size, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (holes->base == MAP_FAILED) {
        holes->base = NULL;
    } else if (punch(holes, 0, size) && fill_store(holes)) {
        return true;
    }
    error_setg_errno(errp, errno, "hostmem: cannot reserve a window of "
                     "%" PRIu64 " MiB in QEMU's address space", size / MiB);
    error_append_hint(errp, "Use a smaller one, such as hostmem=256M, or "
                      "raise the limits on address space (ulimit -v) and "
                      "mappings (sysctl vm.max_map_count).\n");
    return false;
}

void virtio_gpu_blob_holes_destroy(VirtIOGPUBlobHoles *holes)
{
    spend_store(holes);
    if (holes->fd >= 0) {
        close(holes->fd);
    }
}
