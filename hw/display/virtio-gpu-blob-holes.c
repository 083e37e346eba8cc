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

/* Each takes one mapping, and one more where it cuts a hole in two. */
#define PLACES_MAX 1024

/* Where a blob was, [start, last] */
typedef struct Place {
    IntervalTreeNode node;
    GList *link;
} Place;

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
 * Places that blobs left
 */

static void add_place(VirtIOGPUBlobHoles *holes, uint64_t offset, uint64_t len)
{
    Place *place = g_new0(Place, 1);

    place->node.start = offset;
    place->node.last = offset + len - 1;
    interval_tree_insert(&place->node, &holes->places);
    g_queue_push_tail(&holes->by_age, place);
    place->link = holes->by_age.tail;
}

static void forget_place(VirtIOGPUBlobHoles *holes, Place *place)
{
    interval_tree_remove(&place->node, &holes->places);
    g_queue_delete_link(&holes->by_age, place->link);
    g_free(place);
}

static bool join_place(VirtIOGPUBlobHoles *holes, Place *place)
{
    uint64_t start = place->node.start;

    if (!virtio_gpu_blob_holes_mend(holes, start,
                                    place->node.last - start + 1)) {
        return false;
    }
    forget_place(holes, place);
    return true;
}

static bool join_oldest(VirtIOGPUBlobHoles *holes)
{
    return join_place(holes, g_queue_peek_head(&holes->by_age));
}

/* Of the places where a buffer comes, two at most stick out: these join. */
static bool make_way(VirtIOGPUBlobHoles *holes, uint64_t offset, uint64_t last)
{
    IntervalTreeNode *node;

    while ((node = interval_tree_iter_first(&holes->places, offset, last))) {
        Place *place = container_of(node, Place, node);

        if (node->start >= offset && node->last <= last) {
            forget_place(holes, place);
        } else if (!join_place(holes, place)) {
            return false;
        }
    }
    return true;
}

void virtio_gpu_blob_holes_tidy(VirtIOGPUBlobHoles *holes)
{
    while (holes->by_age.length && join_oldest(holes)) {
        continue;
    }
}

/*
 * Buffers come and go
 */

uint64_t virtio_gpu_blob_holes_mappings(const VirtIOGPUBlobHoles *holes)
{
    return holes->size / holes->period + 2 * holes->by_age.length;
}

int virtio_gpu_blob_holes_fill(VirtIOGPUBlobHoles *holes, int fd,
                               uint64_t offset, uint64_t len)
{
    int ret;

    if (!fill_store(holes)) {
        return -ENOMEM;
    }
    if (make_way(holes, offset, offset + len - 1) &&
        map_at(holes, offset, len, fd, 0)) {
        return 0;
    }
    ret = -errno;
    /* Before 6.12, a driver's mmap() that fails leaves nothing behind. */
    virtio_gpu_blob_holes_mend(holes, offset, len);
    return ret;
}

bool virtio_gpu_blob_holes_leave(VirtIOGPUBlobHoles *holes,
                                 uint64_t offset, uint64_t len)
{
    if (len > holes->period ||
        (holes->by_age.length == PLACES_MAX &&
         !join_oldest(holes))) {
        return virtio_gpu_blob_holes_mend(holes, offset, len);
    }
    /* The file's start follows nothing: this merges with no other place. */
    if (!map_at(holes, offset, len, holes->fd, 0)) {
        spend_store(holes);
        return punch(holes, offset, len);
    }
    add_place(holes, offset, len);
    return true;
}

void virtio_gpu_blob_holes_trim(VirtIOGPUBlobHoles *holes)
{
    virtio_gpu_blob_holes_tidy(holes);
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
    g_queue_init(&holes->by_age);

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
    g_queue_clear_full(&holes->by_age, g_free);
    spend_store(holes);
    if (holes->fd >= 0) {
        close(holes->fd);
    }
}
