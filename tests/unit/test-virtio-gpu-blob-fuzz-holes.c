/*
 * Random buffers in the window's address space, against a list of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Whatever comes, goes, is covered, loses its pages or cannot be mapped for
 * want of memory: each page shows its buffer or a hole, and the kernel has no
 * more mappings than are counted.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include <sys/syscall.h>
#include "hw/display/virtio-gpu-blob-holes.h"
#include "virtio-gpu-blob-fuzz.h"

/* Two of the memory behind holes, so that holes wrap around once */
#define WINDOW (64 * MiB)
#define BUFFERS 24
/* Pages with a stamp in a buffer; a long one has more */
#define STAMPED 16
#define LONG_PAGES 9000
#define STAMP 0x5ca1ab1e00000000ull

typedef struct Buffer {
    bool live;
    bool vanishes;
    bool covered;
    VirtIOGPUBlobPlace place;
} Buffer;

static struct {
    VirtIOGPUBlobLosses losses;
    VirtIOGPUBlobHoles holes;
    VirtIOGPUBlobMmap probed;
    uint64_t page;
    unsigned pages;
    int steady;   /* a buffer that stays */
    int vanishes; /* one that is cut short */
    unsigned left; /* pages of the latter */
    Buffer buffers[BUFFERS];
} w;

/* The call of mmap() that fails, counted down; 0 for none */
static unsigned fail_at;

/* All of QEMU's code calls this one. */
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (fail_at && !--fail_at) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

static void ignore_loss(void *opaque)
{
}

static void write_stamps(int fd, uint64_t value)
{
    unsigned i;

    for (i = 0; i < STAMPED; i++) {
        uint64_t stamp = STAMP + value + i;

        g_assert(pwrite(fd, &stamp, sizeof(stamp), i * w.page) ==
                 sizeof(stamp));
    }
}

static void restore(void)
{
    g_assert(!ftruncate(w.vanishes, STAMPED * w.page));
    write_stamps(w.vanishes, STAMPED);
    w.left = STAMPED;
}

static void set_up(void)
{
    if (w.page) {
        return;
    }
    w.page = qemu_real_host_page_size();
    w.pages = WINDOW / w.page;
    virtio_gpu_blob_losses_init(&w.losses, ignore_loss, NULL);
    g_assert(virtio_gpu_blob_holes_init(&w.holes, WINDOW, true, &w.losses,
                                        &error_abort));
    w.probed = w.holes.keeps;
    w.steady = qemu_memfd_create("steady", LONG_PAGES * w.page, false, 0, 0,
                                 &error_abort);
    w.vanishes = qemu_memfd_create("vanishes", w.page, false, 0, 0,
                                   &error_abort);
    write_stamps(w.steady, 0);
    restore();
}

/*
 * What must be seen
 */

static Buffer *buffer_at(unsigned page)
{
    unsigned i;

    for (i = 0; i < BUFFERS; i++) {
        Buffer *b = &w.buffers[i];

        if (b->live && page * w.page >= b->place.node.start &&
            page * w.page <= b->place.node.last) {
            return b;
        }
    }
    return NULL;
}

static volatile uint64_t *word(unsigned page)
{
    return (uint64_t *)(w.holes.base + page * w.page);
}

static bool is_stamp(uint64_t value)
{
    return value >= STAMP && value < STAMP + 2 * STAMPED;
}

static void check_page(unsigned page)
{
    Buffer *b = buffer_at(page);
    uint64_t seen = *word(page);
    unsigned index;

    if (!b || b->covered || b->place.lost) {
        g_assert(!is_stamp(seen));
        return;
    }
    index = page - b->place.node.start / w.page;
    if (!b->vanishes) {
        g_assert(seen == (index < STAMPED ? STAMP + index : 0));
        return;
    }
    /* What is not there is found out by looking, and is a hole then. */
    g_assert(index < w.left);
    g_assert(seen == STAMP + STAMPED + index);
}

static void check_around(unsigned first, unsigned n)
{
    unsigned pages[] = {
        first ? first - 1 : 0, first, first + n / 2, first + n - 1, first + n,
        0, w.pages / 2 - 1, w.pages / 2, w.pages - 1,
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (pages[i] < w.pages) {
            check_page(pages[i]);
        }
    }
}

static void check_counts(void)
{
    unsigned i, live = 0, gaps = 0, page;

    for (i = 0; i < BUFFERS; i++) {
        live += w.buffers[i].live;
    }
    g_assert(w.holes.count == live);
    /* A gap begins at the start, or behind a buffer. */
    gaps = !buffer_at(0);
    for (i = 0; i < BUFFERS; i++) {
        page = (w.buffers[i].place.node.last + 1) / w.page;
        gaps += w.buffers[i].live && page < w.pages && !buffer_at(page);
    }
    g_assert(w.holes.gaps == gaps);
}

/* What the kernel has of the window */
static void check_mappings(void)
{
    uintptr_t base = (uintptr_t)w.holes.base, start, end;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    uint64_t n = 0;

    g_assert(maps);
    while (fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 &&
            start >= base && end <= base + WINDOW) {
            n++;
        }
    }
    fclose(maps);
    /* What is in store is counted, and is elsewhere. */
    n += w.holes.store_len / w.page;
    g_assert(n <= virtio_gpu_blob_holes_mappings(&w.holes));
}

/*
 * What may be done
 */

static bool is_free(unsigned first, unsigned n)
{
    uint64_t last = (first + n) * w.page - 1;

    return !interval_tree_iter_first(&w.holes.filled, first * w.page, last);
}

static void fill(Buffer *b, unsigned first, unsigned n, bool vanishes,
                 bool shm)
{
    int ret;

    n = MIN(n, w.pages - first);
    if (b->live || !is_free(first, n)) {
        return;
    }
    b->place = virtio_gpu_blob_place(first * w.page, n * w.page);
    b->vanishes = vanishes;
    b->covered = false;
    ret = virtio_gpu_blob_holes_fill(&w.holes,
                                     vanishes ? w.vanishes : w.steady, shm,
                                     &b->place);
    g_assert(ret == 0 || ret == -ENOMEM);
    b->live = !ret;
}

static void leave(Buffer *b, bool close)
{
    if (!b->live || b->covered) {
        return;
    }
    if (close) {
        virtio_gpu_blob_holes_close(&w.holes, &b->place);
    } else {
        /* One call that fails can be made good. */
        g_assert(virtio_gpu_blob_holes_leave(&w.holes, &b->place));
    }
    b->live = false;
}

static int fd_of(const Buffer *b)
{
    return b->vanishes ? w.vanishes : w.steady;
}

/* Another buffer of the same length, and no hole between them */
static void replace(Buffer *old, Buffer *b, bool vanishes, bool shm)
{
    uint64_t len = virtio_gpu_blob_place_len(&old->place);
    int ret;

    if (!old->live || old->covered || b->live) {
        return;
    }
    b->place = virtio_gpu_blob_place(old->place.node.start, len);
    b->vanishes = vanishes && len <= STAMPED * w.page;
    b->covered = false;
    ret = virtio_gpu_blob_holes_replace(&w.holes, fd_of(b), shm, &old->place,
                                        &b->place);
    g_assert(ret == 0 || ret == -ENOMEM);
    if (ret) {
        /* A hole may show. */
        leave(old, true);
        return;
    }
    old->live = false;
    b->live = true;
}

static int by_offset(const void *a, const void *b)
{
    const Buffer *const *x = a, *const *y = b;

    return (*x)->place.node.start < (*y)->place.node.start ? -1 : 1;
}

/* Neighbours from one on, as many as can go at once */
static void leave_run(const Buffer *from)
{
    VirtIOGPUBlobPlace *places[BUFFERS];
    Buffer *buffers[BUFFERS];
    unsigned i, n = 0;

    for (i = 0; from->live && i < BUFFERS; i++) {
        Buffer *b = &w.buffers[i];

        if (b->live && !b->covered &&
            b->place.node.start >= from->place.node.start) {
            buffers[n++] = b;
        }
    }
    if (!n) {
        return;
    }
    qsort(buffers, n, sizeof(buffers[0]), by_offset);
    for (i = 0; i < n; i++) {
        places[i] = &buffers[i]->place;
    }
    n = virtio_gpu_blob_holes_run(&w.holes, places, n);
    for (i = 1; i < n; i++) {
        g_assert(places[i]->node.start == places[i - 1]->node.last + 1);
    }
    g_assert(virtio_gpu_blob_holes_leave_run(&w.holes, places, n));
    for (i = 0; i < n; i++) {
        buffers[i]->live = false;
    }
}

static void cover(Buffer *b)
{
    if (b->live && !b->covered) {
        g_assert(virtio_gpu_blob_holes_cover(&w.holes, &b->place));
        b->covered = true;
    }
}

static void uncover(Buffer *b)
{
    int ret;

    if (!b->live || !b->covered) {
        return;
    }
    b->covered = false;
    if (b->place.lost) {
        return;
    }
    ret = virtio_gpu_blob_holes_uncover(&w.holes, &b->place, fd_of(b));
    if (ret) {
        g_assert(ret == -ENOMEM);
        virtio_gpu_blob_holes_lose(&w.holes, &b->place);
    }
}

static void vanish(unsigned left)
{
    w.left = MIN(left, w.left);
    g_assert(!ftruncate(w.vanishes, w.left * w.page));
}

static void take_losses(void)
{
    VirtIOGPUBlobPlace *place;

    while ((place = virtio_gpu_blob_losses_take(&w.losses))) {
        g_assert(place->lost);
    }
}

/* Near the ends of the window and of the memory behind holes */
static unsigned page_of(uint8_t byte)
{
    const unsigned where[] = {
        0, w.pages / 2 - 32, w.pages / 2, w.pages - 32,
    };

    return where[byte / 64] + byte % 64 / 2;
}

static void step(FuzzInput *in)
{
    uint8_t what = fuzz_byte(in), where = fuzz_byte(in), more;
    Buffer *b = &w.buffers[what / 10 % BUFFERS];
    Buffer *other = &w.buffers[where % BUFFERS];
    unsigned first = page_of(where), n = 1;

    if (b->live) {
        first = b->place.node.start / w.page;
        n = virtio_gpu_blob_place_len(&b->place) / w.page;
    }
    switch (what % 10) {
    case 0:
    case 1:
        if (b->live) {
            replace(b, other, what % 10, where >= 128);
            break;
        }
        more = fuzz_byte(in);
        n = 1 + more / 8 % (what % 10 ? STAMPED : 8);
        if (more % 8 == 7) {
            n = LONG_PAGES - more / 8;
        }
        fill(b, first, n, what % 10 && n <= STAMPED, more % 2);
        break;
    case 2:
        leave(b, false);
        break;
    case 3:
        if (where % 2) {
            leave_run(b);
        } else {
            leave(b, true);
        }
        break;
    case 4:
        cover(b);
        break;
    case 5:
        uncover(b);
        break;
    case 6:
        vanish(where % STAMPED);
        break;
    case 7:
        fail_at = where % 6;
        break;
    case 8:
        if (!buffer_at(first)) {
            *word(first) = where;
        }
        break;
    default:
        switch (where % 8) {
        case 0:
            virtio_gpu_blob_holes_tidy(&w.holes);
            break;
        case 1:
            virtio_gpu_blob_holes_trim(&w.holes);
            break;
        case 2:
            take_losses();
            break;
        case 3:
            check_mappings();
            break;
        default:
            w.holes.keeps.shm = w.probed.shm && where & 8;
            w.holes.keeps.driver = w.probed.driver && where & 16;
            break;
        }
        break;
    }
    if (what % 10 != 7) {
        fail_at = 0;
        check_around(first, n);
    }
}

static void tear_down(void)
{
    unsigned i;

    fail_at = 0;
    check_counts();
    for (i = 0; i < BUFFERS; i++) {
        uncover(&w.buffers[i]);
        leave(&w.buffers[i], i % 2);
    }
    virtio_gpu_blob_holes_tidy(&w.holes);
    g_assert(!virtio_gpu_blob_losses_take(&w.losses));
    check_counts();
    check_around(0, w.pages);
    if (w.left < STAMPED) {
        restore();
    }
    w.holes.keeps = w.probed;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };

    set_up();
    while (in.size) {
        step(&in);
    }
    tear_down();
    return 0;
}

#ifndef VIRTIO_GPU_BLOB_FUZZER
int main(int argc, char **argv)
{
    static const char *const corpus[] = {
#include "virtio-gpu-blob-fuzz-holes-corpus.h"
        NULL
    };

    return fuzz_replay(argc, argv, "/virtio-gpu-blob/fuzz/holes", corpus);
}
#endif
