/*
 * The window's address space: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-holes.h"
#include "hw/display/virtio-gpu-blob-mmap.h"
#include "virtio-gpu-blob-lock.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

/* Two of the memory behind holes, so that holes wrap around once */
#define WINDOW (64 * MiB)

/* May the host's KVM map the window by huge pages? */
#ifdef HOST_AARCH64
#define HUGE_PAGES false
#else
#define HUGE_PAGES true
#endif

/* Both ways to map a buffer are tried, whatever this kernel needs. */
static bool keeps;

typedef struct Fixture {
    VirtIOGPUBlobLosses losses;
    VirtIOGPUBlobHoles holes;
    int fd;
    uint64_t page;
} Fixture;

static void ignore_loss(void *opaque)
{
}

static void set_up(Fixture *f)
{
    f->page = qemu_real_host_page_size();
    virtio_gpu_blob_losses_init(&f->losses, ignore_loss, NULL);
    g_assert_true(virtio_gpu_blob_holes_init(&f->holes, WINDOW, true,
                                             &f->losses, &error_abort));
    f->holes.keeps = (VirtIOGPUBlobMmap) { .shm = keeps, .driver = keeps };
    f->fd = qemu_memfd_create("test", 64 * f->page, false, 0, 0, &error_abort);
}

static void tear_down(Fixture *f)
{
    close(f->fd);
    virtio_gpu_blob_holes_destroy(&f->holes);
    munmap(f->holes.reserved, f->holes.reserved_len);
}

static VirtIOGPUBlobPlace pages(const Fixture *f, uint64_t page, uint64_t n)
{
    return virtio_gpu_blob_place(page * f->page, n * f->page);
}

static int fill(Fixture *f, VirtIOGPUBlobPlace *place)
{
    return virtio_gpu_blob_holes_fill(&f->holes, f->fd, true, place);
}

/* An access to it may be a signal handler's turn. */
static volatile uint64_t *word(Fixture *f, uint64_t page)
{
    return (uint64_t *)(f->holes.base + page * f->page);
}

static void set_buffer(Fixture *f, uint64_t page, uint64_t value)
{
    g_assert_cmpint(pwrite(f->fd, &value, sizeof(value), page * f->page), ==,
                    sizeof(value));
}

/* What the kernel has of the window */
static uint64_t count_mappings(const Fixture *f)
{
    uintptr_t base = (uintptr_t)f->holes.base, start, end;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t n = 0;
    int i;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (i = 0; lines[i]; i++) {
        n += sscanf(lines[i], "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 &&
             start >= base && end <= base + WINDOW;
    }
    return n;
}

/* How many bytes before and behind the window nobody can touch */
static void find_guards(const Fixture *f, uint64_t *before, uint64_t *behind)
{
    uintptr_t base = (uintptr_t)f->holes.base, start, end;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    char how[5];
    int i;

    *before = *behind = 0;
    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNxPTR "-%" SCNxPTR " %4s", &start, &end,
                   how) != 3 || strcmp(how, "---p")) {
            continue;
        }
        *before += end == base ? end - start : 0;
        *behind += start == base + WINDOW ? end - start : 0;
    }
}

static unsigned count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

/* Of a window that is gone, nothing is left. */
static void test_life(void)
{
    unsigned before = count_fds();
    g_autofree char *text = NULL;
    VirtIOGPUBlobPlace place;
    Fixture f = { };

    set_up(&f);
    place = pages(&f, 3, 2);
    g_assert_cmpint(fill(&f, &place), ==, 0);
    g_assert_true(virtio_gpu_blob_holes_leave(&f.holes, &place));
    tear_down(&f);
    g_assert_cmpuint(count_fds(), ==, before);
    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    g_assert_null(strstr(text, "virtio-gpu-hole"));
}

static void test_guards(void)
{
    uint64_t before, behind;
    Fixture f = { };

    set_up(&f);
    g_assert_cmpuint((uintptr_t)f.holes.base % (f.page / 8 * f.page), ==,
                     HUGE_PAGES ? 0 : f.page);
    find_guards(&f, &before, &behind);
    g_assert_cmpuint(before, >=, f.page);
    g_assert_cmpuint(behind, >=, f.page);
    tear_down(&f);
}

/* Whether a huge page could be used, as fault_supports_stage2_huge_mapping() */
static bool is_congruent(uint64_t guest, uint64_t host, uint64_t huge)
{
    return guest % huge == host % huge;
}

/*
 * Wherever the guest puts the BAR: a multiple of its size.  From 1 MiB, the
 * smallest window, to beyond the largest huge page.
 */
static void check_bars(uint64_t base, uint64_t huge, bool apart)
{
    uint64_t size, bar;

    for (size = MiB; size <= 2 * GiB; size *= 2) {
        for (bar = 0; bar <= 2 * MAX(huge, size); bar += size) {
            if (apart) {
                g_assert_false(is_congruent(bar, base, huge));
            } else if (size >= huge) {
                g_assert_true(is_congruent(bar, base, huge));
            }
        }
    }
}

static void test_begin(void)
{
    static const struct {
        uint64_t page, huge;
    } rows[] = {
        { 4 * KiB, 2 * MiB },
        { 16 * KiB, 32 * MiB },
        { 64 * KiB, 512 * MiB },
    };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        const uint64_t page = rows[i].page, huge = rows[i].huge;
        const uint64_t froms[] = {
            page, huge - page, huge, huge + page, 0x7f0000000000,
            0x7f0000000000 + 77 * page,
        };

        for (j = 0; j < 2 * G_N_ELEMENTS(froms); j++) {
            bool apart = j % 2;
            uint64_t from = froms[j / 2];
            uint64_t base = virtio_gpu_blob_holes_begin(from, page, apart);

            g_assert_cmpuint(base, >=, from);
            g_assert_cmpuint(base, <, from + huge + page);
            g_assert_cmpuint(base % page, ==, 0);
            check_bars(base, huge, apart);
        }
    }
}

static void test_hole(void)
{
    Fixture f = { };

    set_up(&f);
    *word(&f, 0) = 1;
    g_assert_cmpuint(*word(&f, 0), ==, 1);
    *word(&f, WINDOW / f.page - 1) = 2;
    virtio_gpu_blob_holes_trim(&f.holes);
    g_assert_cmpuint(*word(&f, 0), ==, 0);
    g_assert_cmpuint(count_mappings(&f), ==, WINDOW / f.holes.period);
    tear_down(&f);
}

static void test_buffer(void)
{
    Fixture f = { };
    VirtIOGPUBlobPlace place;

    set_up(&f);
    place = pages(&f, 3, 2);
    set_buffer(&f, 1, 7);
    g_assert_cmpint(fill(&f, &place), ==, 0);
    g_assert_cmpuint(*word(&f, 4), ==, 7);
    *word(&f, 2) = 5;
    g_assert_cmpuint(*word(&f, 3), ==, 0);
    g_assert_true(virtio_gpu_blob_holes_leave(&f.holes, &place));
    *word(&f, 4) = 9;
    set_buffer(&f, 1, 8);
    g_assert_cmpuint(*word(&f, 4), ==, 9);
    tear_down(&f);
}

static void test_close(void)
{
    Fixture f = { };
    VirtIOGPUBlobPlace place;

    set_up(&f);
    place = pages(&f, 3, 2);
    g_assert_cmpint(fill(&f, &place), ==, 0);
    g_assert_cmpuint(count_mappings(&f), ==, WINDOW / f.holes.period + 2);
    virtio_gpu_blob_holes_close(&f.holes, &place);
    g_assert_cmpuint(count_mappings(&f), ==, WINDOW / f.holes.period);
    tear_down(&f);
}

/* What cannot be mapped leaves the hole as it was. */
static void test_failure(void)
{
    Fixture f = { };
    VirtIOGPUBlobPlace place;

    set_up(&f);
    place = pages(&f, 3, 2);
    *word(&f, 3) = 3;
    g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, -1, true, &place), ==,
                    -EBADF);
    g_assert_cmpuint(*word(&f, 3), ==, 3);
    g_assert_cmpuint(f.holes.count, ==, 0);
    g_assert_cmpuint(f.holes.gaps, ==, 1);
    tear_down(&f);
}

/* A vacancy stays apart until a buffer comes, or it is tidied up. */
static void test_vacancies(void)
{
    static const struct {
        uint64_t page, n;
    } next[] = {
        { 10, 8 },  /* the same */
        { 12, 4 },  /* within */
        { 8, 12 },  /* over it */
        { 8, 4 },   /* over its start */
        { 16, 4 },  /* over its end */
        { 30, 1 },  /* elsewhere */
    };
    Fixture f = { };
    size_t i;

    set_up(&f);
    for (i = 0; i < G_N_ELEMENTS(next); i++) {
        VirtIOGPUBlobPlace first = pages(&f, 10, 8);
        VirtIOGPUBlobPlace second = pages(&f, next[i].page, next[i].n);

        fill(&f, &first);
        g_assert_true(virtio_gpu_blob_holes_leave(&f.holes, &first));
        g_assert_cmpuint(f.holes.vacant_by_age.length, ==, 1);
        set_buffer(&f, next[i].n - 1, i + 1);
        g_assert_cmpint(fill(&f, &second),
                        ==, 0);
        g_assert_cmpuint(*word(&f, next[i].page + next[i].n - 1), ==, i + 1);
        virtio_gpu_blob_holes_close(&f.holes, &second);
        virtio_gpu_blob_holes_tidy(&f.holes);
        g_assert_cmpuint(count_mappings(&f), ==, WINDOW / f.holes.period);
        g_assert_true(interval_tree_is_empty(&f.holes.vacant));
    }
    tear_down(&f);
}

/* Each takes a mapping of the kernel's: what is told is what there is. */
static void test_count(void)
{
    static const struct {
        bool fill;
        int place;
        uint64_t gaps;
    } steps[] = {
        { true, 0, 2 },     /* in the middle */
        { true, 1, 3 },
        { true, 2, 2 },     /* closes the gap between */
        { true, 3, 1 },     /* at the start */
        { true, 4, 1 },     /* at the end */
        { true, 5, 0 },     /* all of it */
        { false, 2, 1 },
        { false, 0, 1 },
        { false, 3, 1 },
        { false, 4, 2 },
    };
    Fixture f = { };
    VirtIOGPUBlobPlace places[6];
    uint64_t end, i;

    set_up(&f);
    end = WINDOW / f.page;
    places[0] = pages(&f, 10, 4);
    places[1] = pages(&f, 20, 4);
    places[2] = pages(&f, 14, 6);
    places[3] = pages(&f, 0, 10);
    places[4] = pages(&f, end - 1, 1);
    places[5] = pages(&f, 24, end - 25);
    g_assert_cmpuint(f.holes.gaps, ==, 1);
    for (i = 0; i < G_N_ELEMENTS(steps); i++) {
        VirtIOGPUBlobPlace *place = &places[steps[i].place];

        if (steps[i].fill) {
            g_assert_cmpint(fill(&f, place),
                            ==, 0);
        } else {
            virtio_gpu_blob_holes_close(&f.holes, place);
        }
        g_assert_cmpuint(f.holes.gaps, ==, steps[i].gaps);
        g_assert_cmpuint(count_mappings(&f), <=,
                         virtio_gpu_blob_holes_mappings(&f.holes));
    }
    tear_down(&f);
}

/* How many of these go as one */
static void test_run(void)
{
    static const struct {
        int page[3];
        unsigned n, run;
    } rows[] = {
        { { 10 }, 1, 1 },
        { { 10, 12 }, 2, 2 },
        { { 10, 12, 14 }, 3, 3 },
        { { 10, 13 }, 2, 1 },           /* a hole between */
        { { 10, 12, 15 }, 3, 2 },
        { { -4, -2 }, 2, 2 },           /* up to where the memory ends */
        { { -4, -2, 0 }, 3, 2 },        /* and beyond */
        { { -2, 0 }, 2, 1 },
        { { -3, -1 }, 2, 1 },           /* over that */
        { { -1, 1 }, 2, 1 },
    };
    Fixture f = { };
    size_t i, j;

    set_up(&f);
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        VirtIOGPUBlobPlace places[3], *order[3];

        for (j = 0; j < rows[i].n; j++) {
            places[j] = pages(&f, f.holes.period / f.page + rows[i].page[j],
                              2);
            order[j] = &places[j];
        }
        g_assert_cmpuint(virtio_gpu_blob_holes_run(&f.holes, order, rows[i].n),
                         ==, rows[i].run);
    }
    tear_down(&f);
}

/* Neighbours go, and nothing else does. */
static void test_leave_run(void)
{
    Fixture f = { };
    VirtIOGPUBlobPlace places[5], *order[5];
    unsigned i;

    set_up(&f);
    set_buffer(&f, 0, 7);
    for (i = 0; i < 5; i++) {
        places[i] = pages(&f, 10 + i, 1);
        order[i] = &places[i];
        g_assert_cmpint(fill(&f, &places[i]), ==, 0);
    }
    g_assert_true(virtio_gpu_blob_holes_leave_run(&f.holes, order + 1, 3));
    for (i = 0; i < 5; i++) {
        g_assert_cmpuint(*word(&f, 10 + i), ==, i % 4 ? 0 : 7);
    }
    g_assert_cmpuint(f.holes.count, ==, 2);
    g_assert_cmpuint(f.holes.gaps, ==, 3);
    g_assert_cmpuint(f.holes.vacant_by_age.length, ==, 0);
    g_assert_cmpuint(count_mappings(&f), <=,
                     virtio_gpu_blob_holes_mappings(&f.holes));
    g_assert_cmpint(fill(&f, &places[2]), ==, 0);
    g_assert_cmpuint(*word(&f, 12), ==, 7);
    virtio_gpu_blob_holes_close(&f.holes, &places[0]);
    virtio_gpu_blob_holes_close(&f.holes, &places[2]);
    virtio_gpu_blob_holes_close(&f.holes, &places[4]);
    g_assert_cmpuint(count_mappings(&f), ==, WINDOW / f.holes.period);
    tear_down(&f);
}

static int new_buffer(const Fixture *f, uint64_t n)
{
    return qemu_memfd_create("test", n * f->page, false, 0, 0, &error_abort);
}

static void test_replace(void)
{
    Fixture f = { };
    VirtIOGPUBlobPlace old, place;
    int fd;

    set_up(&f);
    old = pages(&f, 3, 2);
    place = pages(&f, 3, 2);
    set_buffer(&f, 1, 7);
    fd = new_buffer(&f, 2);
    g_assert_cmpint(fill(&f, &old), ==, 0);

    /* What cannot be mapped leaves the other as it was. */
    g_assert_cmpint(virtio_gpu_blob_holes_replace(&f.holes, -1, true, &old,
                                                  &place), ==, -EBADF);
    g_assert_cmpuint(*word(&f, 4), ==, 7);
    g_assert_true(interval_tree_iter_first(&f.holes.filled, 0, UINT64_MAX) ==
                  &old.node);

    g_assert_cmpint(virtio_gpu_blob_holes_replace(&f.holes, fd, true, &old,
                                                  &place), ==, 0);
    g_assert_cmpuint(*word(&f, 4), ==, 0);
    g_assert_true(interval_tree_iter_first(&f.holes.filled, 0, UINT64_MAX) ==
                  &place.node);
    g_assert_cmpuint(f.holes.count, ==, 1);
    g_assert_cmpuint(f.holes.gaps, ==, 2);

    /* One that is lost, of which nobody was told yet */
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    *word(&f, 4) = 1;
    g_assert_true(qatomic_read(&place.lost));
    g_assert_cmpint(virtio_gpu_blob_holes_replace(&f.holes, f.fd, true, &place,
                                                  &old), ==, 0);
    g_assert_cmpuint(*word(&f, 4), ==, 7);
    g_assert_null(virtio_gpu_blob_losses_take(&f.losses));
    virtio_gpu_blob_holes_close(&f.holes, &old);
    g_assert_cmpuint(count_mappings(&f), ==, WINDOW / f.holes.period);
    close(fd);
    tear_down(&f);
}

/*
 * Gaps
 */

typedef struct Intruder {
    const Fixture *f;
    const bool *stop;
    unsigned seed;
    unsigned inside;
    GThread *thread;
} Intruder;

static bool is_inside(const Fixture *f, const void *at)
{
    return (uint8_t *)at >= f->holes.base &&
           (uint8_t *)at < f->holes.base + WINDOW;
}

/* A thread as QEMU has many: it maps memory wherever there is room. */
static void *intrude(void *opaque)
{
    Intruder *i = opaque;

    while (!qatomic_read(i->stop)) {
        size_t len = (1 + i->seed++ % 4) * i->f->page;
        void *at = mmap(NULL, len, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        g_assert(at != MAP_FAILED);
        i->inside += is_inside(i->f, at);
        memset(at, 0xee, len);
        munmap(at, len);
    }
    return NULL;
}

/* All of the window shows the file behind the holes. */
static void check_maps(const Fixture *f)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t found = 0;
    int i;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (i = 0; lines[i]; i++) {
        uintptr_t start, end;

        if (sscanf(lines[i], "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 &&
            is_inside(f, (void *)start)) {
            g_assert_nonnull(strstr(lines[i], "virtio-gpu-hole"));
            found += end - start;
        }
    }
    g_assert_cmpuint(found, ==, WINDOW);
}

/* Where a buffer cannot be mapped, nothing of anybody's ever shows. */
static void check_no_gap(int bad, bool shm, int error)
{
    const unsigned n = g_test_slow() ? 500000 : 5000;
    Intruder intruders[4];
    Fixture f = { };
    bool stop = false;
    unsigned i;

    set_up(&f);
    /* This kernel is what is tested. */
    f.holes.keeps = virtio_gpu_blob_mmap_probe();
    for (i = 0; i < G_N_ELEMENTS(intruders); i++) {
        intruders[i] = (Intruder) { .f = &f, .stop = &stop, .seed = i };
        intruders[i].thread = g_thread_new("intruder", intrude,
                                           &intruders[i]);
    }
    for (i = 0; i < n; i++) {
        VirtIOGPUBlobPlace place = pages(&f, i % 512, 1 + i % 4);

        *word(&f, i % 512) = i;
        g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, bad, shm, &place),
                        ==, error);
        g_assert_cmpuint(*word(&f, i % 512), ==, i);
        if (i % (n / 20) == 0) {
            check_maps(&f);
        }
    }
    qatomic_set(&stop, true);
    for (i = 0; i < G_N_ELEMENTS(intruders); i++) {
        g_thread_join(intruders[i].thread);
        g_assert_cmpuint(intruders[i].inside, ==, 0);
    }
    check_maps(&f);
    tear_down(&f);
}

static void test_no_gap_shm(void)
{
    int bad = qemu_memfd_create("bad", MiB, false, 0, F_SEAL_FUTURE_WRITE,
                                &error_abort);

    check_no_gap(bad, true, -EPERM);
    close(bad);
}

static void test_no_gap_driver(void)
{
    int bad = socket(AF_UNIX, SOCK_STREAM, 0);

    check_no_gap(bad, false, -ENODEV);
    close(bad);
}

/*
 * Buffers that lose their pages
 */

/* All of the buffer is a hole then, and nothing else is. */
static void test_lost(void)
{
    Fixture f = { };
    VirtIOGPUBlobPlace place, before, behind;
    int fd;

    set_up(&f);
    before = pages(&f, 2, 1);
    place = pages(&f, 3, 4);
    behind = pages(&f, 7, 1);
    set_buffer(&f, 0, 5);
    fd = new_buffer(&f, 4);
    g_assert_cmpint(fill(&f, &before), ==, 0);
    g_assert_cmpint(fill(&f, &behind), ==, 0);
    g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, fd, true, &place), ==,
                    0);
    *word(&f, 3) = 1;
    *word(&f, 6) = 2;
    g_assert_cmpint(ftruncate(fd, 2 * f.page), ==, 0);
    g_assert_cmpuint(*word(&f, 3), ==, 1);
    g_assert_false(qatomic_read(&place.lost));
    g_assert_cmpuint(*word(&f, 6), ==, 0);
    g_assert_true(qatomic_read(&place.lost));
    g_assert_cmpuint(*word(&f, 3), ==, 0);
    *word(&f, 6) = 9;
    g_assert_cmpuint(*word(&f, 6), ==, 9);
    g_assert_cmpuint(*word(&f, 2), ==, 5);
    g_assert_cmpuint(*word(&f, 7), ==, 5);
    g_assert_cmpuint(f.losses.count, ==, 1);
    g_assert_cmpuint(count_mappings(&f), <=,
                     virtio_gpu_blob_holes_mappings(&f.holes));
    g_assert_true(virtio_gpu_blob_losses_take(&f.losses) == &place);

    /* It goes as any other, and its place can be used again. */
    g_assert_true(virtio_gpu_blob_holes_leave(&f.holes, &place));
    place = pages(&f, 3, 4);
    set_buffer(&f, 3, 6);
    g_assert_cmpint(fill(&f, &place), ==, 0);
    g_assert_cmpuint(*word(&f, 6), ==, 6);
    g_assert_false(qatomic_read(&place.lost));
    virtio_gpu_blob_holes_close(&f.holes, &place);
    close(fd);
    tear_down(&f);
}

/* One that goes before anybody was told is not told of any more. */
static void test_lost_and_gone(void)
{
    Fixture f = { };
    VirtIOGPUBlobPlace place;
    int fd;

    set_up(&f);
    place = pages(&f, 3, 4);
    fd = new_buffer(&f, 4);
    g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, fd, true, &place), ==,
                    0);
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    *word(&f, 3) = 1;
    g_assert_true(qatomic_read(&place.lost));
    virtio_gpu_blob_holes_close(&f.holes, &place);
    g_assert_null(virtio_gpu_blob_losses_take(&f.losses));
    close(fd);
    tear_down(&f);
}

/* As many mappings as this process may still have */
static uint8_t *use_mappings(Fixture *f, uint64_t max)
{
    uint8_t *at = mmap(NULL, max * f->page, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    uint64_t i;

    g_assert_true(at != MAP_FAILED);
    for (i = 0; i < max; i++) {
        if (mmap(at + i * f->page, f->page, PROT_NONE,
                 MAP_SHARED | MAP_FIXED, f->fd, 0) == MAP_FAILED) {
            g_assert_cmpint(errno, ==, ENOMEM);
            return at;
        }
    }
    g_assert_not_reached();
}

/* A buffer goes all the same: the store is for that, and for once. */
static void check_store(uint64_t max, bool final)
{
    VirtIOGPUBlobPlace place;
    Fixture f = { };
    uint8_t *used;

    set_up(&f);
    place = pages(&f, 3, 2);
    set_buffer(&f, 0, 7);
    g_assert_cmpint(fill(&f, &place), ==, 0);
    used = use_mappings(&f, max);
    if (final) {
        virtio_gpu_blob_holes_close(&f.holes, &place);
    } else {
        g_assert_true(virtio_gpu_blob_holes_leave(&f.holes, &place));
    }
    g_assert_cmpuint(*word(&f, 3), ==, 0);
    g_assert_null(f.holes.store);
    munmap(used, max * f.page);
    g_assert_cmpint(fill(&f, &place), ==, 0);
    g_assert_nonnull(f.holes.store);
    virtio_gpu_blob_holes_close(&f.holes, &place);
    tear_down(&f);
}

static void test_store(void)
{
    g_autofree char *text = NULL;
    uint64_t max;

    g_assert_true(g_file_get_contents("/proc/sys/vm/max_map_count", &text,
                                      NULL, NULL));
    max = g_ascii_strtoull(text, NULL, 10);
    if (max > 200000) {
        g_test_skip("vm.max_map_count is too high to be reached");
        return;
    }
    check_store(max, false);
    check_store(max, true);
}

typedef struct Step {
    Fixture f;
    VirtIOGPUBlobPlace place, next;
    int fd;
} Step;

static void step_fill(void *opaque)
{
    Step *s = opaque;

    g_assert_cmpint(fill(&s->f, &s->place), ==, 0);
}

static void step_replace(void *opaque)
{
    Step *s = opaque;

    g_assert_cmpint(virtio_gpu_blob_holes_replace(&s->f.holes, s->fd, true,
                                                  &s->place, &s->next),
                    ==, 0);
}

static void step_access(void *opaque)
{
    Step *s = opaque;

    *word(&s->f, 3) = 1;
}

static void step_lose(void *opaque)
{
    Step *s = opaque;

    virtio_gpu_blob_holes_lose(&s->f.holes, &s->next);
}

static void step_leave(void *opaque)
{
    Step *s = opaque;

    g_assert_true(virtio_gpu_blob_holes_leave(&s->f.holes, &s->next));
}

/* What a signal handler reads changes under its lock. */
static void test_lock(void)
{
    Step s = { };
    QemuSpin *lock = &s.f.losses.lock;

    set_up(&s.f);
    s.place = pages(&s.f, 3, 4);
    s.next = pages(&s.f, 3, 4);
    s.fd = new_buffer(&s.f, 4);
    g_assert_true(waits_for_lock(lock, step_fill, &s));
    g_assert_true(waits_for_lock(lock, step_replace, &s));
    g_assert_cmpint(ftruncate(s.fd, 0), ==, 0);
    g_assert_true(waits_for_lock(lock, step_access, &s));
    g_assert_true(s.next.lost);
    g_assert_true(waits_for_lock(lock, step_lose, &s));
    g_assert_cmpuint(s.f.losses.count, ==, 1);
    g_assert_true(waits_for_lock(lock, step_leave, &s));
    g_assert_true(interval_tree_is_empty(&s.f.holes.filled));
    close(s.fd);
    tear_down(&s.f);
}

static void test_cover(void)
{
    Fixture f = { };
    uint8_t *at;

    set_up(&f);
    at = mmap(NULL, 2 * WINDOW, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_assert_true(virtio_gpu_blob_holes_show(&f.holes, at, 2 * WINDOW));
    at[2 * WINDOW - 1] = 7;
    g_assert_cmpuint(at[f.holes.period - 1], ==, 7);
    g_assert_cmpuint(f.holes.base[f.holes.period - 1], ==, 7);
    munmap(at, 2 * WINDOW);
    tear_down(&f);
}

/* A vCPU that reads and writes, wherever the guest may */
static void *drive(void *opaque)
{
    Intruder *i = opaque;

    while (!qatomic_read(i->stop)) {
        volatile uint64_t *at = word((Fixture *)i->f, i->seed++ * 7 % 64);

        qatomic_inc(at);
        i->inside += qatomic_read(at) == UINT64_MAX;
    }
    return NULL;
}

/*
 * Buffers lose their pages while four threads look; places are used again at
 * once, so that a thread may be late with what it saw.
 */
static void test_lost_under_load(void)
{
    const unsigned n = g_test_slow() ? 20000 : 5000;
    Intruder drivers[4];
    Fixture f = { };
    bool stop = false;
    unsigned i, healthy_lost = 0;

    set_up(&f);
    for (i = 0; i < G_N_ELEMENTS(drivers); i++) {
        drivers[i] = (Intruder) { .f = &f, .stop = &stop, .seed = i * 13 };
        drivers[i].thread = g_thread_new("driver", drive, &drivers[i]);
    }
    for (i = 0; i < n; i++) {
        VirtIOGPUBlobPlace place = pages(&f, i % 16 * 4, 4);
        int fd = new_buffer(&f, 4);

        g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, fd, true, &place),
                        ==, 0);
        if (i % 2) {
            g_assert_cmpint(ftruncate(fd, i % 4 * f.page), ==, 0);
        }
        qatomic_inc(word(&f, i % 16 * 4 + i % 4));
        healthy_lost += qatomic_read(&place.lost) && i % 2 == 0;
        g_assert_true(virtio_gpu_blob_holes_leave(&f.holes, &place));
        close(fd);
    }
    qatomic_set(&stop, true);
    for (i = 0; i < G_N_ELEMENTS(drivers); i++) {
        g_thread_join(drivers[i].thread);
        g_assert_cmpuint(drivers[i].inside, ==, 0);
    }
    g_assert_cmpuint(f.losses.count, >, 0);
    g_assert_cmpuint(healthy_lost, ==, 0);
    virtio_gpu_blob_holes_tidy(&f.holes);
    check_maps(&f);
    tear_down(&f);
}

/* A vCPU that reads one page, where it may find this buffer or that */
static void *stare(void *opaque)
{
    Intruder *i = opaque;

    while (!qatomic_read(i->stop)) {
        i->inside += *word((Fixture *)i->f, 5) != 7;
    }
    return NULL;
}

/* A buffer takes another's place: nobody ever sees a hole, or a gap. */
static void test_replace_unseen(void)
{
    const unsigned n = g_test_slow() ? 20000 : 2000;
    VirtIOGPUBlobPlace places[2];
    Intruder drivers[3];
    Fixture f = { };
    bool stop = false;
    unsigned i;

    set_up(&f);
    places[0] = pages(&f, 5, 1);
    places[1] = pages(&f, 5, 1);
    set_buffer(&f, 0, 7);
    g_assert_cmpint(fill(&f, &places[0]), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(drivers); i++) {
        drivers[i] = (Intruder) { .f = &f, .stop = &stop };
        drivers[i].thread = g_thread_new("driver", stare, &drivers[i]);
    }
    for (i = 0; i < n; i++) {
        g_assert_cmpint(virtio_gpu_blob_holes_replace(&f.holes, f.fd, true,
                                                      &places[i % 2],
                                                      &places[1 - i % 2]),
                        ==, 0);
    }
    qatomic_set(&stop, true);
    for (i = 0; i < G_N_ELEMENTS(drivers); i++) {
        g_thread_join(drivers[i].thread);
        g_assert_cmpuint(drivers[i].inside, ==, 0);
    }
    virtio_gpu_blob_holes_close(&f.holes, &places[n % 2]);
    check_maps(&f);
    tear_down(&f);
}

/* Whoever comes upon the loss is late: the next buffer is not the lost one. */
static void test_replace_under_load(void)
{
    const unsigned n = g_test_slow() ? 20000 : 5000;
    VirtIOGPUBlobPlace places[2];
    Intruder drivers[4];
    Fixture f = { };
    bool stop = false;
    unsigned i;

    set_up(&f);
    places[1] = pages(&f, 4, 4);
    g_assert_cmpint(fill(&f, &places[1]), ==, 0);
    for (i = 0; i < G_N_ELEMENTS(drivers); i++) {
        drivers[i] = (Intruder) { .f = &f, .stop = &stop, .seed = i * 13 };
        drivers[i].thread = g_thread_new("driver", drive, &drivers[i]);
    }
    for (i = 0; i < n; i++) {
        VirtIOGPUBlobPlace *place = &places[i % 2], *old = &places[1 - i % 2];
        /* It may be lost before it is shown, or after. */
        bool late = i % 8 > 4, lost = i % 4 > 1 && !late;
        int fd = new_buffer(&f, lost ? 0 : 4);

        *place = pages(&f, 4, 4);
        g_assert_cmpint(virtio_gpu_blob_holes_replace(&f.holes, fd, true, old,
                                                      place), ==, 0);
        qatomic_inc(word(&f, 4 + i % 4));
        g_assert_cmpint(qatomic_read(&place->lost), ==, lost);
        if (late) {
            g_assert_cmpint(ftruncate(fd, i % 4 * f.page), ==, 0);
        }
        close(fd);
    }
    qatomic_set(&stop, true);
    for (i = 0; i < G_N_ELEMENTS(drivers); i++) {
        g_thread_join(drivers[i].thread);
    }
    g_assert_cmpuint(f.losses.count, >, 0);
    virtio_gpu_blob_holes_close(&f.holes, &places[1 - n % 2]);
    virtio_gpu_blob_holes_tidy(&f.holes);
    check_maps(&f);
    tear_down(&f);
}

/* Whichever way, this kernel needs it or not. */
static void test_over(gconstpointer data)
{
    const bool way = GPOINTER_TO_INT(data);
    Fixture f = { };
    uint8_t *at;

    keeps = way;
    set_up(&f);
    at = f.holes.base + 8 * f.page;
    set_buffer(&f, 1, 77);
    g_assert_cmpint(virtio_gpu_blob_mmap_over(at, 2 * f.page, f.fd, way), ==,
                    0);
    g_assert_cmpuint(*word(&f, 9), ==, 77);
    g_assert_cmpint(virtio_gpu_blob_mmap_over(at, f.page, -1, way), ==,
                    -EBADF);
    g_assert_cmpuint(*word(&f, 9), ==, 77);
    /* No room for so much anywhere */
    g_assert_cmpint(virtio_gpu_blob_mmap_over(at, 1ull << 62, f.fd, way), ==,
                    -ENOMEM);
    g_assert_cmpuint(*word(&f, 9), ==, 77);
    tear_down(&f);
}

static void test_cannot_move(void)
{
    g_autofree char *text = NULL;
    Fixture f = { };

    set_up(&f);
    g_assert_cmpint(virtio_gpu_blob_mmap_over(f.holes.base + 1, f.page, f.fd,
                                              false), ==, -EINVAL);
    check_maps(&f);
    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    g_assert_null(strstr(text, "memfd:test"));
    tear_down(&f);
}

/* Without malloc(), which maps memory itself */
static void read_maps(char *text, size_t size)
{
    int fd = open("/proc/self/maps", O_RDONLY);
    size_t n = 0;
    ssize_t got;

    g_assert_cmpint(fd, >=, 0);
    while ((got = read(fd, text + n, size - 1 - n)) > 0) {
        n += got;
    }
    text[n] = '\0';
    close(fd);
}

/* Finding out about the kernel leaves all as it was. */
static void test_probe(void)
{
    static char before[256 * KiB], behind[256 * KiB];
    VirtIOGPUBlobMmap first = virtio_gpu_blob_mmap_probe(), again;
    unsigned fds = count_fds();

    read_maps(before, sizeof(before));
    again = virtio_gpu_blob_mmap_probe();
    read_maps(behind, sizeof(behind));
    g_assert_cmpstr(before, ==, behind);
    g_assert_cmpuint(count_fds(), ==, fds);
    g_assert_true(again.shm == first.shm && again.driver == first.driver);
}

/* Each rule holds with buffers mapped in place, and moved there. */
static void both_ways(gconstpointer data)
{
    GTestFunc func = data;

    keeps = true;
    func();
    keeps = false;
    func();
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestFunc func;
    } tests[] = {
        { "begin", test_begin },
        { "life", test_life },
        { "guards", test_guards },
        { "hole", test_hole },
        { "buffer", test_buffer },
        { "close", test_close },
        { "failure", test_failure },
        { "vacancies", test_vacancies },
        { "count", test_count },
        { "lost", test_lost },
        { "lost-and-gone", test_lost_and_gone },
        { "lock", test_lock },
        { "store", test_store },
        { "cover", test_cover },
        { "lost-under-load", test_lost_under_load },
        { "run", test_run },
        { "leave-run", test_leave_run },
        { "replace", test_replace },
        { "replace-unseen", test_replace_unseen },
        { "replace-under-load", test_replace_under_load },
    };
    size_t i;

    g_test_init(&argc, &argv, NULL);

    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-gpu-blob/holes/%s",
                                                tests[i].name);

        g_test_add_data_func(path, tests[i].func, both_ways);
    }
    g_test_add_data_func("/virtio-gpu-blob/mmap/mapped",
                         GINT_TO_POINTER(true), test_over);
    g_test_add_data_func("/virtio-gpu-blob/mmap/moved",
                         GINT_TO_POINTER(false), test_over);
    g_test_add_func("/virtio-gpu-blob/mmap/cannot-move", test_cannot_move);
    g_test_add_func("/virtio-gpu-blob/mmap/probe", test_probe);
    g_test_add_func("/virtio-gpu-blob/mmap/no-gap/shm", test_no_gap_shm);
    g_test_add_func("/virtio-gpu-blob/mmap/no-gap/driver", test_no_gap_driver);

    return g_test_run();
}
