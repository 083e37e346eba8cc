/*
 * The window's address space: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-holes.h"

/* Two of the memory behind holes, so that holes wrap around once */
#define WINDOW (64 * MiB)

typedef struct Fixture {
    VirtIOGPUBlobHoles holes;
    int fd;
    uint64_t page;
} Fixture;

static void set_up(Fixture *f)
{
    f->page = qemu_real_host_page_size();
    g_assert_true(virtio_gpu_blob_holes_init(&f->holes, WINDOW, true,
                                             &error_abort));
    f->fd = qemu_memfd_create("test", 64 * f->page, false, 0, 0, &error_abort);
}

static void tear_down(Fixture *f)
{
    close(f->fd);
    virtio_gpu_blob_holes_destroy(&f->holes);
    munmap(f->holes.base, WINDOW);
}

static VirtIOGPUBlobPlace pages(const Fixture *f, uint64_t page, uint64_t n)
{
    return virtio_gpu_blob_place(page * f->page, n * f->page);
}

static uint64_t *word(Fixture *f, uint64_t page)
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
    g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, f.fd, &place), ==, 0);
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
    g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, f.fd, &place), ==, 0);
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
    g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, -1, &place), ==,
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

        virtio_gpu_blob_holes_fill(&f.holes, f.fd, &first);
        g_assert_true(virtio_gpu_blob_holes_leave(&f.holes, &first));
        g_assert_cmpuint(f.holes.vacant_by_age.length, ==, 1);
        set_buffer(&f, next[i].n - 1, i + 1);
        g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, f.fd, &second),
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
            g_assert_cmpint(virtio_gpu_blob_holes_fill(&f.holes, f.fd, place),
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/virtio-gpu-blob/holes/hole", test_hole);
    g_test_add_func("/virtio-gpu-blob/holes/buffer", test_buffer);
    g_test_add_func("/virtio-gpu-blob/holes/close", test_close);
    g_test_add_func("/virtio-gpu-blob/holes/failure", test_failure);
    g_test_add_func("/virtio-gpu-blob/holes/vacancies", test_vacancies);
    g_test_add_func("/virtio-gpu-blob/holes/count", test_count);

    return g_test_run();
}
