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
#include "virtio-gpu-blob-vma.h"

#include <sys/random.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000 /* Linux 4.17 */
#endif

#define RW (PROT_READ | PROT_WRITE)

/*
 * Limits the memory that a guest can make the host allocate by writing into
 * holes.  Page tables are not included: 2 MiB for each GiB of the window.
 */
#define HOLE_SIZE (32 * MiB)

/*
 * Mappings that are left to the rest of QEMU and to the renderer.  If a thread
 * cannot map its stack, QEMU aborts.
 */
#define MAPPINGS_LEFT 4096

/*
 * Added to one for each HOLE_SIZE of the window: a blob splits holes at its
 * ends
 */
#define SPARES_LEAST 8

/*
 * Addresses below those that Linux on x86 selects for mmap(): top-down it takes
 * the highest gap that fits, bottom-up it starts at a third of 128 TiB.
 * LOW_START is above the shadow memory of AddressSanitizer.  ThreadSanitizer
 * refuses mappings in this range.
 */
#if defined(HOST_X86_64) && !defined(CONFIG_TSAN)
#define LOW_START (17 * TiB)
#define LOW_END (40 * TiB)
#else
#define LOW_START 0
#define LOW_END 0
#endif
#define LOW_TRIES 16

/*
 * From Linux 5.14 to 7.2, KVM on arm64 uses the offset of a VM_PFNMAP mapping
 * as a physical address, and maps 2 MiB from there if the guest's and QEMU's
 * addresses are the same within a huge page (get_vma_page_shift()).  Unless the
 * buffer is contiguous, that is other memory.  User space cannot find out
 * whether this is fixed.  The guest address of a window is a multiple of its
 * size, so one page more in QEMU's address keeps the two different.
 */
#ifdef HOST_AARCH64
#define NO_HUGE_PAGES true
#else
#define NO_HUGE_PAGES false
#endif

/*
 * Limits
 */

static uint64_t hole_size(uint64_t size)
{
    return MIN(size, HOLE_SIZE);
}

static uint64_t spares(uint64_t size)
{
    return size / hole_size(size) + SPARES_LEAST;
}

uint64_t virtio_gpu_blob_vma_needs(uint64_t size)
{
    return size / hole_size(size) + spares(size);
}

uint64_t virtio_gpu_blob_vma_max_mappings(void)
{
    g_autofree char *text = NULL;
    uint64_t n = UINT64_MAX;

    if (g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL, NULL)) {
        n = g_ascii_strtoull(text, NULL, 10);
    }
    return n - MIN(n / 2, MAPPINGS_LEFT);
}

bool virtio_gpu_blob_vma_check(uint64_t size, bool kvm, uint64_t max,
                               Error **errp)
{
    ERRP_GUARD();
    uint64_t needed = virtio_gpu_blob_vma_needs(size);

    /* KVM_MEM_MAX_NR_PAGES: QEMU aborts if KVM refuses a slot. */
    if (kvm && size / qemu_real_host_page_size() > INT32_MAX) {
        error_setg(errp, "hostmem: %" PRIu64 " GiB is more than a memory slot "
                   "of KVM can have", size / GiB);
        error_append_hint(errp, "Use a smaller one, such as hostmem=256G.\n");
        return false;
    }
    if (needed >= max) {
        error_setg(errp, "hostmem: a window of %" PRIu64 " GiB needs %" PRIu64
                   " mappings, and the host allows %" PRIu64, size / GiB,
                   needed, max);
        error_append_hint(errp, "Use a smaller one, such as hostmem=256G, or "
                          "raise the limit (sysctl vm.max_map_count).\n");
        return false;
    }
    return true;
}

uint64_t virtio_gpu_blob_vma_mappings(const VirtIOGPUBlobVMA *vma)
{
    return virtio_gpu_blob_vma_needs(vma->size) + vma->buffers + vma->holes;
}

VirtIOGPUBlobUsage virtio_gpu_blob_vma_usage(VirtIOGPUBlobVMA *vma)
{
    VirtIOGPUBlobUsage usage = { };
    IntervalTreeNode *node;
    uint64_t end = 0;

    for (node = interval_tree_iter_first(&vma->places, 0, UINT64_MAX); node;
         node = interval_tree_iter_next(node, 0, UINT64_MAX)) {
        usage.largest_hole = MAX(usage.largest_hole, node->start - end);
        usage.mapped += node->last - node->start + 1;
        end = node->last + 1;
    }
    usage.largest_hole = MAX(usage.largest_hole, vma->size - end);
    return usage;
}

/*
 * Spare mappings.  They are freed when the process has as many mappings as the
 * kernel allows, so that a hole can always be mapped over a buffer.
 */

/*
 * All pages have the same offset in the file, so that the kernel cannot merge
 * them.
 */
static bool make_spares(VirtIOGPUBlobVMA *vma)
{
    uint8_t *spare;
    size_t i;

    if (qatomic_read(&vma->spare)) {
        return true;
    }
    spare = mmap(NULL, vma->spare_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
                 -1, 0);
    if (spare == MAP_FAILED) {
        return false;
    }
    for (i = 0; i < vma->spare_len; i += vma->page_size) {
        if (mmap(spare + i, vma->page_size, PROT_NONE, MAP_SHARED | MAP_FIXED,
                 vma->hole_fd, 0) == MAP_FAILED) {
            munmap(spare, vma->spare_len);
            return false;
        }
    }
    qatomic_set(&vma->spare, spare);
    return true;
}

/* Any thread, and in signal handlers */
static void free_spares(VirtIOGPUBlobVMA *vma)
{
    void *spare = qatomic_xchg(&vma->spare, NULL);

    if (spare) {
        munmap(spare, vma->spare_len);
    }
}

/*
 * True if mmap() or mremap() failed with ENOMEM because of the kernel's limit
 * on mappings.  mremap() wants a few more than it takes (mremap_to() in Linux).
 */
static bool at_limit(VirtIOGPUBlobVMA *vma)
{
    void *pages[8];
    size_t n = 0, made;

    while (n < G_N_ELEMENTS(pages) &&
           (pages[n] = mmap(NULL, vma->page_size, PROT_NONE, MAP_SHARED,
                            vma->hole_fd, 0)) != MAP_FAILED) {
        n++;
    }
    made = n;
    while (n) {
        munmap(pages[--n], vma->page_size);
    }
    return made < G_N_ELEMENTS(pages);
}

/*
 * Holes
 */

static void set_dump(const VirtIOGPUBlobVMA *vma, void *at, size_t len)
{
    if (!vma->dump) {
        qemu_madvise(at, len, QEMU_MADV_DONTDUMP);
    }
}

/*
 * Each page of the window has a fixed page of the file, so that adjacent holes
 * are merged.  The file's length is a power of two, as the window's is.
 */
static bool map_hole(const VirtIOGPUBlobVMA *vma, uint8_t *at, size_t len)
{
    while (len) {
        size_t start = ((uintptr_t)at - (uintptr_t)vma->base) % vma->hole_len;
        size_t n = MIN(len, vma->hole_len - start);

        if (mmap(at, n, RW, MAP_SHARED | MAP_FIXED, vma->hole_fd, start) ==
            MAP_FAILED) {
            return false;
        }
        set_dump(vma, at, n);
        at += n;
        len -= n;
    }
    return true;
}

bool virtio_gpu_blob_vma_map_hole(VirtIOGPUBlobVMA *vma, void *at, size_t len)
{
    if (map_hole(vma, at, len)) {
        return true;
    }
    free_spares(vma);
    return map_hole(vma, at, len);
}

void virtio_gpu_blob_vma_map_all_holes(VirtIOGPUBlobVMA *vma)
{
    virtio_gpu_blob_vma_map_hole(vma, vma->base, vma->size);
}

void virtio_gpu_blob_vma_trim(VirtIOGPUBlobVMA *vma)
{
    fallocate(vma->hole_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              0, vma->hole_len);
    /* This frees the page tables. */
    if (interval_tree_is_empty(&vma->places)) {
        virtio_gpu_blob_vma_map_all_holes(vma);
    }
}

/*
 * Buffers
 */

/*
 * The number of holes that @place adds: it splits one, and leaves none on a
 * side where a buffer or the end of the window is next to it.  @place itself is
 * not in the tree.
 */
static int holes_added(VirtIOGPUBlobVMA *vma, const VirtIOGPUBlobPlace *place)
{
    uint64_t first = place->node.start - (place->node.start > 0);
    uint64_t last = place->node.last + (place->node.last < vma->size - 1);
    int holes = (first < place->node.start) + (last > place->node.last) - 1;
    IntervalTreeNode *node;

    for (node = interval_tree_iter_first(&vma->places, first, last); node;
         node = interval_tree_iter_next(node, first, last)) {
        holes -= container_of(node, VirtIOGPUBlobPlace, node)->in_window;
    }
    return holes;
}

static void add_place(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place)
{
    place->in_window = true;
    vma->holes += holes_added(vma, place);
    vma->buffers++;
    interval_tree_insert(&place->node, &vma->places);
}

static void remove_place(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place)
{
    interval_tree_remove(&place->node, &vma->places);
    place->in_window = false;
    vma->buffers--;
    vma->holes -= holes_added(vma, place);
}

/*
 * The kernel unmaps what is at the address and maps the buffer in one step, so
 * that no thread can access a gap, unless it fails for lack of memory.
 */
static int move(void *at, size_t len, void *from)
{
    return mremap(from, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at) ==
           MAP_FAILED ? -errno : 0;
}

/*
 * If a driver's mmap() fails, it may have unmapped what was at the address
 * before.  Unless such a gap is harmless (@vma->direct), the buffer is mapped
 * at another address and moved.
 */
static int map(VirtIOGPUBlobVMA *vma, const VirtIOGPUBlobPlace *place, int fd)
{
    void *at = virtio_gpu_blob_vma_at(vma, place), *from;
    size_t len = virtio_gpu_blob_place_len(place);
    int ret;

    if (vma->direct) {
        return mmap(at, len, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED
               ? -errno : 0;
    }
    from = mmap(NULL, len, RW, MAP_SHARED, fd, 0);
    if (from == MAP_FAILED) {
        return -errno;
    }
    ret = move(at, len, from);
    if (ret) {
        munmap(from, len);
    }
    return ret;
}

/*
 * To the callers, some errors mean other things than to a driver: ENOSPC the
 * kernel's limit on mappings, EBUSY that all RAM is pinned, EMFILE that no fd
 * is left.  Called before spare mappings are freed.
 */
static int error_of(VirtIOGPUBlobVMA *vma, int ret)
{
    switch (ret) {
    case -ENOMEM:
        return at_limit(vma) ? -ENOSPC : -ENOMEM;
    case -ENOSPC:
        return -ENOMEM;
    case -EBUSY:
    case -EMFILE:
        return -EIO;
    default:
        return ret;
    }
}

/* After an attempt to map a buffer at @place */
static int finish(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place, int ret)
{
    if (!ret) {
        set_dump(vma, virtio_gpu_blob_vma_at(vma, place),
                 virtio_gpu_blob_place_len(place));
        return 0;
    }
    ret = error_of(vma, ret);
    virtio_gpu_blob_vma_unmap(vma, place);
    return ret;
}

static bool begin(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place)
{
    if (virtio_gpu_blob_vma_mappings(vma) >= vma->max || !make_spares(vma)) {
        return false;
    }
    add_place(vma, place);
    return true;
}

int virtio_gpu_blob_vma_map(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place,
                            int fd)
{
    return begin(vma, place) ? finish(vma, place, map(vma, place, fd))
                             : -ENOSPC;
}

int virtio_gpu_blob_vma_move(VirtIOGPUBlobVMA *vma, VirtIOGPUBlobPlace *place,
                             void *from)
{
    return begin(vma, place)
           ? finish(vma, place, move(virtio_gpu_blob_vma_at(vma, place),
                                     virtio_gpu_blob_place_len(place), from))
           : -ENOSPC;
}

bool virtio_gpu_blob_vma_unmap(VirtIOGPUBlobVMA *vma,
                               VirtIOGPUBlobPlace *place)
{
    place->stale = !virtio_gpu_blob_vma_map_hole(vma,
                        virtio_gpu_blob_vma_at(vma, place),
                        virtio_gpu_blob_place_len(place));
    if (!place->stale) {
        remove_place(vma, place);
    }
    return !place->stale;
}

bool virtio_gpu_blob_vma_set_aside(VirtIOGPUBlobVMA *vma,
                                   VirtIOGPUBlobPlace *place)
{
    void *at = virtio_gpu_blob_vma_at(vma, place);
    size_t len = virtio_gpu_blob_place_len(place);

    if (len <= vma->hole_len) {
        return mmap(at, len, RW, MAP_SHARED | MAP_FIXED, vma->hole_fd, 0) !=
               MAP_FAILED;
    }
    return mmap(at, len, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
                MAP_FIXED, -1, 0) != MAP_FAILED ||
           virtio_gpu_blob_vma_map_hole(vma, at, len);
}

int virtio_gpu_blob_vma_put_back(VirtIOGPUBlobVMA *vma,
                                 VirtIOGPUBlobPlace *place)
{
    void *at = virtio_gpu_blob_vma_at(vma, place);
    size_t len = virtio_gpu_blob_place_len(place);
    int ret = map(vma, place, place->fd);

    if (ret == -ENOMEM) {
        free_spares(vma);
        ret = map(vma, place, place->fd);
    }
    if (ret) {
        virtio_gpu_blob_vma_map_hole(vma, at, len);
    } else {
        set_dump(vma, at, len);
    }
    return ret;
}

/*
 * Address space
 */

/* A page of page table entries, of eight bytes each, maps a huge page. */
static size_t huge_page(size_t page_size)
{
    return page_size / 8 * page_size;
}

/* The address is random: the guest may write there, and must not predict it. */
void *virtio_gpu_blob_vma_reserve_low(size_t len, int flags, int fd)
{
    const size_t page_size = qemu_real_host_page_size();
    uint64_t random, range = LOW_END - LOW_START;
    void *at;
    int i;

    if (len >= range) {
        return NULL;
    }
    range = (range - len) / page_size;
    for (i = 0; i < LOW_TRIES; i++) {
        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            return NULL;
        }
        random = LOW_START + random % range * page_size;
        at = mmap((void *)(uintptr_t)random, len, PROT_NONE,
                  flags | MAP_NORESERVE | MAP_FIXED_NOREPLACE, fd, 0);
        if (at == (void *)(uintptr_t)random) {
            return at;
        }
        /* Linux before 4.17 uses the address as a hint only. */
        if (at != MAP_FAILED) {
            munmap(at, len);
        }
    }
    return NULL;
}

/* There are guard pages before and after the window. */
static bool reserve(VirtIOGPUBlobVMA *vma, bool direct)
{
    size_t page_size = vma->page_size;
    size_t len = vma->size + huge_page(page_size) + 3 * page_size;
    void *at = NULL;
    uintptr_t base;

    if (direct) {
        at = virtio_gpu_blob_vma_reserve_low(len, MAP_PRIVATE | MAP_ANONYMOUS,
                                             -1);
    }
    vma->direct = at;
    if (!at) {
        at = mmap(NULL, len, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (at == MAP_FAILED) {
        return false;
    }
    vma->reserved = at;
    vma->reserved_len = len;
    base = ROUND_UP((uintptr_t)at + page_size, huge_page(page_size));
    vma->base = (uint8_t *)base + (NO_HUGE_PAGES ? page_size : 0);
    return true;
}

bool virtio_gpu_blob_vma_init(VirtIOGPUBlobVMA *vma, uint64_t size, bool dump,
                              bool direct, Error **errp)
{
    ERRP_GUARD();

    *vma = (VirtIOGPUBlobVMA) {
        .size = size,
        .page_size = qemu_real_host_page_size(),
        .dump = dump,
        .hole_len = hole_size(size),
        .spare_len = spares(size) * qemu_real_host_page_size(),
        .holes = 1,
        .max = virtio_gpu_blob_vma_max_mappings(),
    };
    vma->hole_fd = qemu_memfd_create("virtio-gpu-hole", vma->hole_len, false,
                                     0, F_SEAL_GROW | F_SEAL_SHRINK |
                                     F_SEAL_SEAL, errp);
    if (vma->hole_fd < 0) {
        return false;
    }
    if (reserve(vma, direct) && map_hole(vma, vma->base, size) &&
        make_spares(vma)) {
        return true;
    }
    error_setg_errno(errp, errno, "hostmem: cannot reserve a window of "
                     "%" PRIu64 " MiB in QEMU's address space", size / MiB);
    error_append_hint(errp, "Use a smaller one, such as hostmem=1G, or "
                      "raise the limits on address space (ulimit -v), locked "
                      "memory if -overcommit mem-lock is on (ulimit -l) and "
                      "mappings (sysctl vm.max_map_count).\n");
    return false;
}

void virtio_gpu_blob_vma_destroy(VirtIOGPUBlobVMA *vma)
{
    free_spares(vma);
    if (vma->reserved) {
        munmap(vma->reserved, vma->reserved_len);
    }
    if (vma->hole_fd >= 0) {
        close(vma->hole_fd);
    }
}
