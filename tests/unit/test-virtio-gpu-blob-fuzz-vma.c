/*
 * Random buffers in the window's address space, against a list of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Buffers are mapped, unmapped, set aside, lose their pages, and system calls
 * fail for want of memory.  At all times each page shows its buffer or a hole,
 * and the kernel has no more mappings than are counted.
 *
 * An input is a row of bytes, none of which is invalid.  libFuzzer makes them;
 * without it, the inputs that it found worth keeping are replayed from
 * virtio-gpu-blob-fuzz-vma.corpus, which has one in hexadecimal on each line.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-lost.h"
#include "hw/display/virtio-gpu-blob-vma.h"
#include "virtio-gpu-blob-access.h"
#include "virtio-gpu-blob-fuzz.h"

#include <malloc.h>
#include <sys/syscall.h>

/* Twice the memory behind holes, so that it is mapped twice */
#define WINDOW (64 * MiB)
#define BUFFERS 24
/* Pages with a stamp in a buffer; a long one has more */
#define STAMPED 16
#define LONG_PAGES 9000
#define STAMP 0x5ca1ab1e00000000ull

typedef struct Buffer {
    bool live;
    bool vanishes;
    bool aside;
    VirtIOGPUBlobPlace place;
    VirtIOGPUBlobPages pages;
} Buffer;

static struct {
    VirtIOGPUBlobLost lost;
    VirtIOGPUBlobVMA vma;
    bool low;       /* buffers may be mapped straight over */
    uint64_t page;
    unsigned pages;
    int steady;     /* a buffer that stays */
    int vanishes;   /* one that is cut short */
    unsigned left;  /* pages of the latter */
    Buffer buffers[BUFFERS];
} w;

/* The first call of mmap() that fails, counted down, and how many do */
static unsigned fail_at, fail_n;

/* All of QEMU's code calls this one. */
void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    if (fail_at > 1) {
        fail_at--;
    } else if (fail_at && fail_n) {
        fail_n--;
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return (void *)syscall(SYS_mmap, addr, len, prot, flags, fd, offset);
}

/* Losses are taken by a step. */
static void ignore(void *opaque)
{
}

static void write_stamps(int fd, uint64_t value)
{
    for (unsigned i = 0; i < STAMPED; i++) {
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
    virtio_gpu_blob_vma_init(&w.vma, WINDOW, true, true, &error_abort);
    w.low = w.vma.direct;
    qemu_init_main_loop(&error_abort);
    virtio_gpu_blob_lost_init(&w.lost, qemu_bh_new(ignore, NULL));
    w.lost.vma = &w.vma;
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
    for (unsigned i = 0; i < BUFFERS; i++) {
        Buffer *b = &w.buffers[i];

        if (b->live && page * w.page >= b->place.node.start &&
            page * w.page <= b->place.node.last) {
            return b;
        }
    }
    return NULL;
}

/* volatile: each access is made, as a guest makes it, and may raise a signal */
static volatile uint64_t *word(unsigned page)
{
    return (uint64_t *)(w.vma.base + page * w.page);
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

    if (b && b->place.stale) {
        return;
    }
    if (!b || b->aside || b->pages.lost) {
        g_assert(!is_stamp(seen));
        return;
    }
    index = page - b->place.node.start / w.page;
    if (!b->vanishes) {
        g_assert(seen == (index < STAMPED ? STAMP + index : 0));
        return;
    }
    /* A page that is gone was found by reading it, and is a hole by now. */
    g_assert(index < w.left);
    g_assert(seen == STAMP + STAMPED + index);
}

static void check_around(unsigned first, unsigned n)
{
    unsigned pages[] = {
        first ? first - 1 : 0, first, first + n / 2, first + n - 1, first + n,
        0, w.pages / 2 - 1, w.pages / 2, w.pages - 1,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(pages); i++) {
        if (pages[i] < w.pages) {
            check_page(pages[i]);
        }
    }
}

static void check_counts(void)
{
    unsigned i, live = 0, holes = !buffer_at(0);

    for (i = 0; i < BUFFERS; i++) {
        unsigned next = (w.buffers[i].place.node.last + 1) / w.page;

        live += w.buffers[i].live;
        holes += w.buffers[i].live && next < w.pages && !buffer_at(next);
    }
    g_assert(w.vma.buffers == live);
    g_assert(w.vma.holes == holes);
}

static void check_mappings(void)
{
    uintptr_t base = (uintptr_t)w.vma.base, start, end;
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
    /* Spare mappings are counted, and are elsewhere. */
    n += w.vma.spare_len / w.page;
    g_assert(n <= virtio_gpu_blob_vma_mappings(&w.vma));
}

/*
 * Steps
 */

static int fd_of(const Buffer *b)
{
    return b->vanishes ? w.vanishes : w.steady;
}

static void unmap(Buffer *b)
{
    if (!b->live || b->aside || !virtio_gpu_blob_vma_unmap(&w.vma, &b->place)) {
        return;
    }
    virtio_gpu_blob_lost_remove(&b->pages);
    b->live = false;
}

static void retry_stale(void)
{
    for (unsigned i = 0; i < BUFFERS; i++) {
        if (w.buffers[i].place.stale) {
            unmap(&w.buffers[i]);
        }
    }
}

static void map(Buffer *b, unsigned first, unsigned n, bool vanishes,
                bool moved)
{
    size_t len;
    void *from;
    int ret;

    n = MIN(n, w.pages - first);
    len = n * w.page;
    retry_stale();
    if (b->live || virtio_gpu_blob_vma_find(&w.vma, first * w.page,
                                            (first + n) * w.page - 1)) {
        return;
    }
    *b = (Buffer) {
        .place = virtio_gpu_blob_place(first * w.page, len),
        .vanishes = vanishes,
    };
    from = moved ? mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
                        fd_of(b), 0) : MAP_FAILED;
    virtio_gpu_blob_lost_add(&b->pages, &w.lost,
                             virtio_gpu_blob_vma_at(&w.vma, &b->place), len);
    ret = from != MAP_FAILED
          ? virtio_gpu_blob_vma_move(&w.vma, &b->place, from)
          : virtio_gpu_blob_vma_map(&w.vma, &b->place, fd_of(b));
    g_assert(ret == 0 || ret == -ENOMEM || ret == -ENOSPC);
    if (ret && from != MAP_FAILED) {
        munmap(from, len);
    }
    b->live = !ret || b->place.stale;
    if (!b->live) {
        virtio_gpu_blob_lost_remove(&b->pages);
    }
}

static void set_aside(Buffer *b)
{
    if (b->live && !b->aside && !b->place.stale && !b->pages.lost) {
        b->aside = virtio_gpu_blob_vma_set_aside(&w.vma, &b->place);
    }
}

static void put_back(Buffer *b)
{
    if (!b->live || !b->aside) {
        return;
    }
    b->aside = false;
    b->place.fd = fd_of(b);
    if (!b->pages.lost &&
        virtio_gpu_blob_vma_put_back(&w.vma, &b->place)) {
        virtio_gpu_blob_lost_mark(&b->pages);
    }
    b->place.fd = -1;
}

static void vanish(unsigned left)
{
    w.left = MIN(left, w.left);
    g_assert(!ftruncate(w.vanishes, w.left * w.page));
}

static void take_losses(void)
{
    VirtIOGPUBlobPages *pages;

    while ((pages = virtio_gpu_blob_lost_next(&w.lost))) {
        g_assert(pages->lost);
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

static void step_others(uint8_t where)
{
    switch (where % 8) {
    case 0:
        retry_stale();
        break;
    case 1:
        virtio_gpu_blob_vma_trim(&w.vma);
        break;
    case 2:
        take_losses();
        break;
    case 3:
        check_mappings();
        break;
    default:
        w.vma.direct = w.low && where & 8;
        break;
    }
}

typedef struct Input {
    const uint8_t *data;
    size_t size;
} Input;

/* The next byte; 0 at the end */
static uint8_t take_byte(Input *in)
{
    if (!in->size) {
        return 0;
    }
    in->size--;
    return *in->data++;
}

static void step(Input *in)
{
    uint8_t what = take_byte(in), where = take_byte(in), more;
    Buffer *b = &w.buffers[what / 10 % BUFFERS];
    unsigned first = page_of(where), n = 1;

    if (b->live) {
        first = b->place.node.start / w.page;
        n = virtio_gpu_blob_place_len(&b->place) / w.page;
    }
    switch (what % 10) {
    case 0:
    case 1:
        more = take_byte(in);
        n = 1 + more / 8 % (what % 10 ? STAMPED : 8);
        if (more % 8 == 7) {
            n = LONG_PAGES - more / 8;
        }
        map(b, first, n, what % 10 && n <= STAMPED, more % 2);
        break;
    case 2:
    case 3:
        unmap(b);
        break;
    case 4:
        set_aside(b);
        break;
    case 5:
        put_back(b);
        break;
    case 6:
        vanish(where % STAMPED);
        break;
    case 7:
        fail_at = where % 6;
        fail_n = 1 + where / 6 % 4;
        break;
    case 8:
        if (!buffer_at(first)) {
            *word(first) = where;
        }
        break;
    default:
        step_others(where);
        break;
    }
    if (what % 10 != 7) {
        fail_at = 0;
        check_around(first, n);
    }
}

static void tear_down(void)
{
    fail_at = 0;
    check_counts();
    for (unsigned i = 0; i < BUFFERS; i++) {
        put_back(&w.buffers[i]);
        unmap(&w.buffers[i]);
        g_assert(!w.buffers[i].live);
    }
    g_assert(!virtio_gpu_blob_lost_next(&w.lost));
    check_counts();
    check_around(0, w.pages);
    if (w.left < STAMPED) {
        restore();
    }
    w.vma.direct = w.low;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Input in = { data, size };

    set_up();
    while (in.size) {
        step(&in);
    }
    tear_down();
    return 0;
}

#ifndef VIRTIO_GPU_BLOB_FUZZER

/* What malloc() does not give back, after the first time */
#define TIMES 20
#define GROWTH_MAX (32 * 1024)

static void replay(const char *line)
{
    size_t n = strlen(line) / 2, i;
    g_autofree uint8_t *data = g_malloc(n);

    for (i = 0; i < n; i++) {
        data[i] = g_ascii_xdigit_value(line[2 * i]) << 4 |
                  g_ascii_xdigit_value(line[2 * i + 1]);
    }
    LLVMFuzzerTestOneInput(data, n);
}

static void test_corpus(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t first = 0;

    g_assert_true(g_file_get_contents(CORPUS, &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    g_assert_cmpuint(g_strv_length(lines), >, 100);
    for (unsigned i = 0; i < TIMES; i++) {
        for (unsigned j = 0; lines[j]; j++) {
            replay(lines[j]);
        }
        first = first ? first : mallinfo2().uordblks;
    }
    g_assert_cmpuint(mallinfo2().uordblks, <, first + GROWTH_MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu-blob/fuzz/vma", test_corpus);
    return g_test_run();
}
#endif
