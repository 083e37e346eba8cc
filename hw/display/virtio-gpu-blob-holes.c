/*
 * virtio-gpu blob mappings: the window's address space in QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/madvise.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "virtio-gpu-blob-holes.h"

/*
 * Bounds what a guest that writes into holes can make the host allocate.
 * Their page tables come on top: 2 MiB for each GiB of window.
 */
#define HOLE_SIZE (32 * MiB)

/*
 * KVM on arm64 took the offset of a VM_PFNMAP mapping for a physical address,
 * and gave the guest 2 MiB from there on where addresses matched: other
 * people's pages, unless the buffer is contiguous (get_vma_page_shift(), Linux
 * 5.14 to 7.2).  User space cannot see whether that is mended.
 */
#ifdef HOST_AARCH64
#define NO_HUGE_PAGES true
#else
#define NO_HUGE_PAGES false
#endif

/* Each takes one mapping, and one more where it cuts a hole in two. */
#define VACANCIES_MAX 1024

/* A buffer: a file, or where it is mapped already */
typedef struct Source {
    int fd;
    bool shm;
    void *apart;
} Source;

/* Where a buffer was */
typedef struct Vacancy {
    VirtIOGPUBlobPlace place;
    GList *link;
} Vacancy;

static uint64_t period_of(uint64_t size)
{
    return MIN(size, HOLE_SIZE);
}

/* For the largest blob, and a few for what is cut in two */
static uint64_t in_store(uint64_t size)
{
    return size / period_of(size) + 8;
}

uint64_t virtio_gpu_blob_holes_need(uint64_t size)
{
    return size / period_of(size) + in_store(size);
}

static void advise(const VirtIOGPUBlobHoles *holes, void *at, uint64_t len)
{
    if (!holes->dumped) {
        qemu_madvise(at, len, QEMU_MADV_DONTDUMP);
    }
}

/*
 * The memory behind holes: memfd's mmap() refuses nothing here.  No other
 * file's may be called for an address in the window, unless it was found that
 * its failure leaves what is there (virtio-gpu-blob-mmap.h).
 */
static bool show_hole(const VirtIOGPUBlobHoles *holes, void *at, uint64_t len,
                      uint64_t start)
{
    if (mmap(at, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
             holes->fd, start) == MAP_FAILED) {
        return false;
    }
    advise(holes, at, len);
    return true;
}

static int show_buffer(const VirtIOGPUBlobHoles *holes,
                       const VirtIOGPUBlobPlace *place, const Source *source)
{
    bool keeps = source->shm ? holes->keeps.shm : holes->keeps.driver;
    void *at = holes->base + virtio_gpu_blob_place_offset(place);
    uint64_t len = virtio_gpu_blob_place_len(place);
    int ret = source->apart
              ? virtio_gpu_blob_mmap_move(at, len, source->apart)
              : virtio_gpu_blob_mmap_over(at, len, source->fd, keeps);

    if (!ret) {
        advise(holes, at, len);
    }
    return ret;
}

/* Each page of the file at its multiples, so that neighbours merge */
static bool punch(const VirtIOGPUBlobHoles *holes, uint64_t offset,
                  uint64_t len)
{
    while (len) {
        uint64_t start = offset % holes->period;
        uint64_t n = MIN(len, holes->period - start);

        if (!show_hole(holes, holes->base + offset, n, start)) {
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

    if (qatomic_read(&holes->store)) {
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
    qatomic_set(&holes->store, store);
    return true;
}

/* A signal handler may do so, too. */
static void spend_store(VirtIOGPUBlobHoles *holes)
{
    void *store = qatomic_xchg(&holes->store, NULL);

    if (store) {
        munmap(store, holes->store_len);
    }
}

/* One hole, joined with those around; false with nothing changed */
static bool mend(VirtIOGPUBlobHoles *holes, const VirtIOGPUBlobPlace *place)
{
    uint64_t offset = virtio_gpu_blob_place_offset(place);
    uint64_t len = virtio_gpu_blob_place_len(place);

    if (punch(holes, offset, len)) {
        return true;
    }
    spend_store(holes);
    return punch(holes, offset, len);
}

static bool show_elsewhere(const VirtIOGPUBlobHoles *holes, void *at,
                           uint64_t len)
{
    while (len) {
        uint64_t n = MIN(len, holes->period);

        if (!show_hole(holes, at, n, 0)) {
            return false;
        }
        at += n;
        len -= n;
    }
    return true;
}

bool virtio_gpu_blob_holes_show(VirtIOGPUBlobHoles *holes, void *at,
                                uint64_t len)
{
    if (show_elsewhere(holes, at, len)) {
        return true;
    }
    spend_store(holes);
    return show_elsewhere(holes, at, len);
}

/*
 * Vacancies
 */

static void add_vacancy(VirtIOGPUBlobHoles *holes,
                        const VirtIOGPUBlobPlace *place)
{
    Vacancy *vacancy = g_new0(Vacancy, 1);

    vacancy->place = *place;
    interval_tree_insert(&vacancy->place.node, &holes->vacant);
    g_queue_push_tail(&holes->vacant_by_age, vacancy);
    vacancy->link = holes->vacant_by_age.tail;
}

static void forget_vacancy(VirtIOGPUBlobHoles *holes, Vacancy *vacancy)
{
    interval_tree_remove(&vacancy->place.node, &holes->vacant);
    g_queue_delete_link(&holes->vacant_by_age, vacancy->link);
    g_free(vacancy);
}

static bool join_vacancy(VirtIOGPUBlobHoles *holes, Vacancy *vacancy)
{
    if (!mend(holes, &vacancy->place)) {
        return false;
    }
    forget_vacancy(holes, vacancy);
    return true;
}

static bool join_oldest(VirtIOGPUBlobHoles *holes)
{
    return join_vacancy(holes, g_queue_peek_head(&holes->vacant_by_age));
}

/* Of the vacancies where a buffer comes, two at most stick out: these join. */
static bool make_way(VirtIOGPUBlobHoles *holes, uint64_t start, uint64_t last)
{
    IntervalTreeNode *node;

    while ((node = interval_tree_iter_first(&holes->vacant, start, last))) {
        Vacancy *vacancy = container_of(virtio_gpu_blob_place_of(node),
                                        Vacancy, place);

        if (node->start >= start && node->last <= last) {
            forget_vacancy(holes, vacancy);
        } else if (!join_vacancy(holes, vacancy)) {
            return false;
        }
    }
    return true;
}

void virtio_gpu_blob_holes_tidy(VirtIOGPUBlobHoles *holes)
{
    while (holes->vacant_by_age.length && join_oldest(holes)) {
        continue;
    }
}

/*
 * Buffers come and go
 */

/* Is the byte at @offset within the window, and in a hole? */
static bool in_hole(VirtIOGPUBlobHoles *holes, uint64_t offset)
{
    return offset < holes->size &&
           !interval_tree_iter_first(&holes->filled, offset, offset);
}

/* How many more gaps there are with a buffer there than without */
static int gaps_made(VirtIOGPUBlobHoles *holes,
                     const VirtIOGPUBlobPlace *place)
{
    /* Before the window's first byte there is none, by overflow. */
    return in_hole(holes, place->node.start - 1) +
           in_hole(holes, place->node.last + 1) - 1;
}

static void record(VirtIOGPUBlobHoles *holes, VirtIOGPUBlobPlace *place)
{
    holes->gaps += gaps_made(holes, place);
    holes->count++;
    qemu_spin_lock(&holes->losses->lock);
    interval_tree_insert(&place->node, &holes->filled);
    qemu_spin_unlock(&holes->losses->lock);
}

static void forget(VirtIOGPUBlobHoles *holes, VirtIOGPUBlobPlace *place)
{
    qemu_spin_lock(&holes->losses->lock);
    interval_tree_remove(&place->node, &holes->filled);
    virtio_gpu_blob_losses_forget(holes->losses, place);
    qemu_spin_unlock(&holes->losses->lock);
    holes->count--;
    holes->gaps -= gaps_made(holes, place);
}

uint64_t virtio_gpu_blob_holes_mappings(const VirtIOGPUBlobHoles *holes)
{
    return virtio_gpu_blob_holes_need(holes->size) + holes->count +
           holes->gaps + 2 * holes->vacant_by_age.length;
}

static void drop(const Source *source, const VirtIOGPUBlobPlace *place)
{
    if (source->apart) {
        munmap(source->apart, virtio_gpu_blob_place_len(place));
    }
}

static int fill(VirtIOGPUBlobHoles *holes, const Source *source,
                VirtIOGPUBlobPlace *place)
{
    int ret;

    if (!fill_store(holes) ||
        !make_way(holes, place->node.start, place->node.last)) {
        drop(source, place);
        return -ENOMEM;
    }
    record(holes, place);
    ret = show_buffer(holes, place, source);
    if (ret == -ENOMEM) {
        /* All that may leave nothing behind */
        mend(holes, place);
    }
    if (ret) {
        forget(holes, place);
    }
    return ret;
}

int virtio_gpu_blob_holes_fill(VirtIOGPUBlobHoles *holes, int fd, bool shm,
                               VirtIOGPUBlobPlace *place)
{
    return fill(holes, &(Source) { .fd = fd, .shm = shm }, place);
}

int virtio_gpu_blob_holes_fill_moved(VirtIOGPUBlobHoles *holes, void *apart,
                                     VirtIOGPUBlobPlace *place)
{
    return fill(holes, &(Source) { .apart = apart }, place);
}

static void swap(VirtIOGPUBlobHoles *holes, VirtIOGPUBlobPlace *old,
                 VirtIOGPUBlobPlace *place)
{
    interval_tree_remove(&old->node, &holes->filled);
    virtio_gpu_blob_losses_forget(holes->losses, old);
    interval_tree_insert(&place->node, &holes->filled);
}

int virtio_gpu_blob_holes_replace(VirtIOGPUBlobHoles *holes, int fd, bool shm,
                                  VirtIOGPUBlobPlace *old,
                                  VirtIOGPUBlobPlace *place)
{
    int ret;

    if (!fill_store(holes)) {
        return -ENOMEM;
    }
    qemu_spin_lock(&holes->losses->lock);
    ret = show_buffer(holes, place, &(Source) { .fd = fd, .shm = shm });
    if (!ret) {
        swap(holes, old, place);
    }
    qemu_spin_unlock(&holes->losses->lock);
    if (ret == -ENOMEM) {
        /* All that may leave nothing behind */
        mend(holes, place);
    }
    return ret;
}

/* A hole that does not join: the next buffer there replaces it whole. */
static bool vacate(VirtIOGPUBlobHoles *holes, const VirtIOGPUBlobPlace *place)
{
    uint64_t offset = virtio_gpu_blob_place_offset(place);
    uint64_t len = virtio_gpu_blob_place_len(place);

    /* The file's start follows nothing: this merges with no neighbour. */
    if (!show_hole(holes, holes->base + offset, len, 0)) {
        spend_store(holes);
        return punch(holes, offset, len);
    }
    add_vacancy(holes, place);
    return true;
}

static bool may_vacate(VirtIOGPUBlobHoles *holes,
                       const VirtIOGPUBlobPlace *place)
{
    return virtio_gpu_blob_place_len(place) <= holes->period &&
           (holes->vacant_by_age.length < VACANCIES_MAX || join_oldest(holes));
}

bool virtio_gpu_blob_holes_leave(VirtIOGPUBlobHoles *holes,
                                 VirtIOGPUBlobPlace *place)
{
    bool gone = may_vacate(holes, place) ? vacate(holes, place)
                                         : mend(holes, place);

    if (gone) {
        forget(holes, place);
    }
    return gone;
}

/* Where the memory behind holes begins anew, it takes a call more. */
unsigned virtio_gpu_blob_holes_run(const VirtIOGPUBlobHoles *holes,
                                   VirtIOGPUBlobPlace *const *places,
                                   unsigned n)
{
    uint64_t period = places[0]->node.start / holes->period;
    unsigned i = 1;

    while (i < n && places[i]->node.start == places[i - 1]->node.last + 1 &&
           places[i]->node.last / holes->period == period) {
        i++;
    }
    return i;
}

bool virtio_gpu_blob_holes_leave_run(VirtIOGPUBlobHoles *holes,
                                     VirtIOGPUBlobPlace *const *places,
                                     unsigned n)
{
    VirtIOGPUBlobPlace all = {
        .node.start = places[0]->node.start,
        .node.last = places[n - 1]->node.last,
    };
    unsigned i;

    if (!mend(holes, &all)) {
        return false;
    }
    for (i = 0; i < n; i++) {
        forget(holes, places[i]);
    }
    return true;
}

void virtio_gpu_blob_holes_close(VirtIOGPUBlobHoles *holes,
                                 VirtIOGPUBlobPlace *place)
{
    mend(holes, place);
    forget(holes, place);
}

/* One mapping for another of the same length, which has to merge with none */
bool virtio_gpu_blob_holes_cover(VirtIOGPUBlobHoles *holes,
                                 const VirtIOGPUBlobPlace *place)
{
    uint64_t offset = virtio_gpu_blob_place_offset(place);
    uint64_t len = virtio_gpu_blob_place_len(place);

    return (len <= holes->period &&
            show_hole(holes, holes->base + offset, len, 0)) ||
           mend(holes, place);
}

int virtio_gpu_blob_holes_uncover(VirtIOGPUBlobHoles *holes,
                                  const VirtIOGPUBlobPlace *place, int fd)
{
    int ret = show_buffer(holes, place, &(Source) { .fd = fd });

    if (ret == -ENOMEM) {
        /* All that may leave nothing behind */
        mend(holes, place);
    }
    return ret;
}

void virtio_gpu_blob_holes_renew(VirtIOGPUBlobHoles *holes)
{
    VirtIOGPUBlobPlace all = virtio_gpu_blob_place(0, holes->size);

    mend(holes, &all);
}

void virtio_gpu_blob_holes_trim(VirtIOGPUBlobHoles *holes)
{
    virtio_gpu_blob_holes_tidy(holes);
    fallocate(holes->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              0, holes->period);
}

/*
 * Buffers that lose their pages
 */

static bool lose(VirtIOGPUBlobHoles *holes, void *addr)
{
    uint64_t offset = (uint8_t *)addr - holes->base;
    IntervalTreeNode *node = interval_tree_iter_first(&holes->filled, offset,
                                                      offset);
    VirtIOGPUBlobPlace *place = node ? virtio_gpu_blob_place_of(node) : NULL;

    if (virtio_gpu_blob_losses_doubt(place, addr)) {
        return true;
    }
    if (!place || place->lost || !mend(holes, place)) {
        return false;
    }
    virtio_gpu_blob_losses_add(holes->losses, place);
    return true;
}

void virtio_gpu_blob_holes_lose(VirtIOGPUBlobHoles *holes,
                                VirtIOGPUBlobPlace *place)
{
    qemu_spin_lock(&holes->losses->lock);
    if (!place->lost) {
        virtio_gpu_blob_losses_add(holes->losses, place);
    }
    qemu_spin_unlock(&holes->losses->lock);
}

/* All of a buffer, so that its pages are not lost mapping by mapping */
static bool on_fault(void *opaque, void *addr)
{
    VirtIOGPUBlobHoles *holes = opaque;
    bool mended;

    qemu_spin_lock(&holes->losses->lock);
    mended = lose(holes, addr);
    qemu_spin_unlock(&holes->losses->lock);
    return mended;
}

static void watch(VirtIOGPUBlobHoles *holes)
{
    holes->watch = (VirtIOGPUBlobWatch) {
        .start = holes->base,
        .len = holes->size,
        .mend = on_fault,
        .opaque = holes,
    };
    virtio_gpu_blob_watch(&holes->watch);
}

/*
 * Life
 */

/* A table of page tables' entries, of eight bytes each, fills a page. */
static uint64_t huge_page(uint64_t page_size)
{
    return page_size / 8 * page_size;
}

uint64_t virtio_gpu_blob_holes_begin(uint64_t from, uint64_t page_size,
                                     bool apart)
{
    return ROUND_UP(from, huge_page(page_size)) + (apart ? page_size : 0);
}

/*
 * Who runs off either end meets a guard.  A stray write would else reach the
 * guest, or the guest's window a neighbour.
 */
static bool reserve(VirtIOGPUBlobHoles *holes)
{
    uint64_t page_size = holes->page_size;
    uint64_t len = holes->size + huge_page(page_size) + 3 * page_size;
    void *at = mmap(NULL, len, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (at == MAP_FAILED) {
        return false;
    }
    holes->reserved = at;
    holes->reserved_len = len;
    holes->base = (uint8_t *)(uintptr_t)
        virtio_gpu_blob_holes_begin((uintptr_t)at + page_size, page_size,
                                    NO_HUGE_PAGES);
    return true;
}

bool virtio_gpu_blob_holes_init(VirtIOGPUBlobHoles *holes, uint64_t size,
                                bool dumped, VirtIOGPUBlobLosses *losses,
                                Error **errp)
{
    holes->losses = losses;
    holes->size = size;
    holes->page_size = qemu_real_host_page_size();
    holes->dumped = dumped;
    holes->period = period_of(size);
    holes->store_len = in_store(size) * holes->page_size;
    holes->gaps = 1;
    g_queue_init(&holes->vacant_by_age);

    holes->fd = qemu_memfd_create("virtio-gpu-hole", holes->period, false, 0,
                                  F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL,
                                  errp);
    if (holes->fd < 0) {
        return false;
    }
    if (reserve(holes) && punch(holes, 0, size) && fill_store(holes)) {
        holes->keeps = virtio_gpu_blob_mmap_probe();
        watch(holes);
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
    if (holes->watch.len) {
        virtio_gpu_blob_unwatch(&holes->watch);
    }
    g_queue_clear_full(&holes->vacant_by_age, g_free);
    spend_store(holes);
    if (holes->fd >= 0) {
        close(holes->fd);
    }
}
