/*
 * The window's pages and those who listen: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-pages.h"

#define PAGE (4 * KiB)
#define WINDOW (1 * GiB)
/* Where a listener's section starts in the address space */
#define BASE (1ULL << 40)

/* The memory core's, without its reference counts */
MemoryRegionSection *memory_region_section_new_copy(MemoryRegionSection *s)
{
    return g_memdup2(s, sizeof(*s));
}

void memory_region_section_free_copy(MemoryRegionSection *s)
{
    g_free(s);
}

/* A listener that writes down what it hears, as "+start+len" and "-..." */
typedef struct Recorder {
    RamDiscardListener rdl;
    GString *heard;
    int fail; /* the result of the next populate */
} Recorder;

static void record(Recorder *r, char what, const MemoryRegionSection *s)
{
    g_assert_cmpuint(s->offset_within_address_space - BASE, ==,
                     s->offset_within_region);
    g_string_append_printf(r->heard, "%c%" PRIu64 "+%" PRIu64 " ", what,
                           (uint64_t)(s->offset_within_region / PAGE),
                           int128_get64(s->size) / PAGE);
}

static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    Recorder *r = container_of(rdl, Recorder, rdl);

    record(r, '+', s);
    return r->fail;
}

static void on_discard(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    record(container_of(rdl, Recorder, rdl), '-', s);
}

static MemoryRegionSection section(uint64_t page, uint64_t pages)
{
    return (MemoryRegionSection) {
        .offset_within_region = page * PAGE,
        .offset_within_address_space = BASE + page * PAGE,
        .size = int128_make64(pages * PAGE),
    };
}

static void recorder_init(Recorder *r, bool double_discard)
{
    r->heard = g_string_new(NULL);
    r->fail = 0;
    ram_discard_listener_init(&r->rdl, on_populate, on_discard,
                              double_discard);
}

static int join(VirtIOGPUBlobPages *pages, Recorder *r, uint64_t page,
                  uint64_t n)
{
    MemoryRegionSection s = section(page, n);

    recorder_init(r, false);
    return virtio_gpu_blob_pages_listen(pages, &r->rdl, &s);
}

static void heard(Recorder *r, const char *what)
{
    g_assert_cmpstr(r->heard->str, ==, what);
    g_string_truncate(r->heard, 0);
}

static bool populate(VirtIOGPUBlobPages *pages, uint64_t page, uint64_t n)
{
    return virtio_gpu_blob_pages_populate(pages, page * PAGE, n * PAGE);
}

static void discard(VirtIOGPUBlobPages *pages, uint64_t page, uint64_t n)
{
    virtio_gpu_blob_pages_discard(pages, page * PAGE, n * PAGE);
}

static bool is_populated(VirtIOGPUBlobPages *pages, uint64_t page, uint64_t n)
{
    MemoryRegionSection s = section(page, n);

    return virtio_gpu_blob_pages_is_populated(pages, &s);
}

static void leave(VirtIOGPUBlobPages *pages, Recorder *r, const char *what)
{
    virtio_gpu_blob_pages_unlisten(pages, &r->rdl);
    heard(r, what);
    g_assert_null(r->rdl.section);
    g_string_free(r->heard, true);
}

static void test_populated(void)
{
    VirtIOGPUBlobPages pages;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    g_assert_false(is_populated(&pages, 0, 1));
    g_assert_true(populate(&pages, 10, 4));
    g_assert_cmpuint(pages.count, ==, 1);
    g_assert_true(is_populated(&pages, 10, 4));
    g_assert_true(is_populated(&pages, 13, 1));
    g_assert_false(is_populated(&pages, 9, 1));
    g_assert_false(is_populated(&pages, 14, 1));
    g_assert_false(is_populated(&pages, 9, 5));
    g_assert_false(is_populated(&pages, 10, 5));
    discard(&pages, 10, 4);
    g_assert_cmpuint(pages.count, ==, 0);
    g_assert_false(is_populated(&pages, 10, 1));
    virtio_gpu_blob_pages_destroy(&pages);
}

/* A section need not consist of whole pages. */
static void test_partial_page(void)
{
    VirtIOGPUBlobPages pages;
    MemoryRegionSection s = {
        .offset_within_region = 10 * PAGE + 1,
        .offset_within_address_space = BASE + 10 * PAGE + 1,
        .size = int128_make64(PAGE),
    };

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    populate(&pages, 10, 1);
    g_assert_false(virtio_gpu_blob_pages_is_populated(&pages, &s));
    populate(&pages, 11, 1);
    g_assert_true(virtio_gpu_blob_pages_is_populated(&pages, &s));
    virtio_gpu_blob_pages_destroy(&pages);
}

static void test_told(void)
{
    VirtIOGPUBlobPages pages;
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    g_assert_cmpint(join(&pages, &r, 0, WINDOW / PAGE), ==, 0);
    heard(&r, "");
    g_assert_true(populate(&pages, 5, 3));
    heard(&r, "+5+3 ");
    discard(&pages, 5, 3);
    heard(&r, "-5+3 ");
    leave(&pages, &r, "");
    virtio_gpu_blob_pages_destroy(&pages);
}

/* Who comes late hears what is there, who leaves hears that it is gone. */
static void test_replay(void)
{
    VirtIOGPUBlobPages pages;
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    populate(&pages, 0, 1);
    populate(&pages, 5, 3);
    populate(&pages, WINDOW / PAGE - 2, 2);
    g_assert_cmpint(join(&pages, &r, 0, WINDOW / PAGE), ==, 0);
    heard(&r, "+0+1 +5+3 +262142+2 ");
    leave(&pages, &r, "-0+1 -5+3 -262142+2 ");
    virtio_gpu_blob_pages_destroy(&pages);
}

static void test_double_discard(void)
{
    VirtIOGPUBlobPages pages;
    MemoryRegionSection s = section(2, 100);
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    populate(&pages, 5, 3);
    recorder_init(&r, true);
    virtio_gpu_blob_pages_listen(&pages, &r.rdl, &s);
    heard(&r, "+5+3 ");
    leave(&pages, &r, "-2+100 ");
    virtio_gpu_blob_pages_destroy(&pages);
}

/* Nobody hears of what lies outside its section. */
static void test_clip(void)
{
    VirtIOGPUBlobPages pages;
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    populate(&pages, 8, 4);
    join(&pages, &r, 10, 10);
    heard(&r, "+10+2 ");
    populate(&pages, 0, 8);
    heard(&r, "");
    populate(&pages, 20, 1);
    heard(&r, "");
    populate(&pages, 12, 8);
    heard(&r, "+12+8 ");
    discard(&pages, 8, 4);
    heard(&r, "-10+2 ");
    leave(&pages, &r, "-12+8 ");
    virtio_gpu_blob_pages_destroy(&pages);
}

/* If one cannot follow, those before it are told that it is off. */
static void test_rollback(void)
{
    VirtIOGPUBlobPages pages;
    Recorder first, second, third;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    join(&pages, &third, 0, 100);
    join(&pages, &second, 0, 100);
    join(&pages, &first, 0, 100);
    second.fail = -ENOSPC;
    g_assert_false(populate(&pages, 5, 3));
    heard(&first, "+5+3 -5+3 ");
    heard(&second, "+5+3 ");
    heard(&third, "");
    g_assert_false(is_populated(&pages, 5, 1));
    g_assert_cmpuint(pages.count, ==, 0);
    second.fail = 0;
    g_assert_true(populate(&pages, 5, 3));
    heard(&third, "+5+3 ");
    leave(&pages, &first, "+5+3 -5+3 ");
    leave(&pages, &second, "+5+3 -5+3 ");
    leave(&pages, &third, "-5+3 ");
    virtio_gpu_blob_pages_destroy(&pages);
}

static void test_listen_fails(void)
{
    VirtIOGPUBlobPages pages;
    MemoryRegionSection s = section(0, 100);
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    populate(&pages, 1, 1);
    populate(&pages, 3, 1);
    recorder_init(&r, false);
    r.fail = -EIO;
    g_assert_cmpint(virtio_gpu_blob_pages_listen(&pages, &r.rdl, &s),
                    ==, -EIO);
    heard(&r, "+1+1 ");
    leave(&pages, &r, "-1+1 -3+1 ");
    virtio_gpu_blob_pages_destroy(&pages);
}

static int count_run(MemoryRegionSection *run, void *opaque)
{
    uint64_t *pages = opaque;

    *pages += int128_get64(run->size) / PAGE;
    return 0;
}

static void test_holes(void)
{
    VirtIOGPUBlobPages pages;
    MemoryRegionSection s = section(0, 100);
    uint64_t holes = 0;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    populate(&pages, 0, 10);
    populate(&pages, 50, 10);
    g_assert_cmpint(virtio_gpu_blob_pages_replay(&pages, &s, false, count_run,
                                                 &holes), ==, 0);
    g_assert_cmpuint(holes, ==, 80);
    virtio_gpu_blob_pages_destroy(&pages);
}

/* VFIO cannot unmap a part of what it mapped: neighbours stay apart. */
static void test_neighbours(void)
{
    VirtIOGPUBlobPages pages;
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    populate(&pages, 4, 4);
    populate(&pages, 0, 4);
    populate(&pages, 8, 1);
    join(&pages, &r, 2, 100);
    heard(&r, "+2+2 +4+4 +8+1 ");
    discard(&pages, 4, 4);
    heard(&r, "-4+4 ");
    leave(&pages, &r, "-2+2 -8+1 ");
    virtio_gpu_blob_pages_destroy(&pages);
}

/* What was never populated, or is gone, does not go again. */
static void test_discard_twice(void)
{
    VirtIOGPUBlobPages pages;
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    join(&pages, &r, 0, 100);
    discard(&pages, 4, 4);
    populate(&pages, 4, 4);
    discard(&pages, 4, 4);
    discard(&pages, 4, 4);
    heard(&r, "+4+4 -4+4 ");
    g_assert_cmpuint(pages.count, ==, 0);
    leave(&pages, &r, "");
    virtio_gpu_blob_pages_destroy(&pages);
}

/* Each takes a mapping of the kernel's. */
static void test_count_holes(void)
{
    static const struct {
        bool populate;
        uint64_t page, n, holes;
    } steps[] = {
        { true, 10, 4, 2 },                   /* in the middle */
        { true, 20, 4, 3 },
        { true, 14, 6, 2 },                   /* closes the hole between */
        { true, 0, 10, 1 },                   /* at the start */
        { true, WINDOW / PAGE - 1, 1, 1 },    /* at the end */
        { true, 24, WINDOW / PAGE - 25, 0 },  /* all of it */
        { false, 14, 6, 1 },
        { false, 10, 4, 1 },
        { false, 0, 10, 1 },
        { false, WINDOW / PAGE - 1, 1, 2 },
    };
    VirtIOGPUBlobPages pages;
    size_t i;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    g_assert_cmpuint(pages.holes, ==, 1);
    for (i = 0; i < G_N_ELEMENTS(steps); i++) {
        if (steps[i].populate) {
            populate(&pages, steps[i].page, steps[i].n);
        } else {
            discard(&pages, steps[i].page, steps[i].n);
        }
        g_assert_cmpuint(pages.holes, ==, steps[i].holes);
    }
    virtio_gpu_blob_pages_destroy(&pages);
}

static void test_room(void)
{
    uint64_t max = VIRTIO_GPU_BLOB_LISTENED_MAX, i;
    VirtIOGPUBlobPages pages;
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    for (i = 0; i < max - 1; i++) {
        populate(&pages, i, 1);
    }
    g_assert_cmpint(join(&pages, &r, 0, 1), ==, 0);
    g_assert_true(virtio_gpu_blob_pages_have_room(&pages));
    populate(&pages, i, 1);
    g_assert_false(virtio_gpu_blob_pages_have_room(&pages));
    discard(&pages, 0, 1);
    g_assert_true(virtio_gpu_blob_pages_have_room(&pages));
    leave(&pages, &r, "+0+1 -0+1 ");
    g_assert_true(virtio_gpu_blob_pages_have_room(&pages));
    virtio_gpu_blob_pages_destroy(&pages);
}

/* Who comes when there are too many hears of none that is there. */
static void test_too_many_to_join(void)
{
    uint64_t max = VIRTIO_GPU_BLOB_LISTENED_MAX, i;
    VirtIOGPUBlobPages pages;
    MemoryRegionSection s = section(0, WINDOW / PAGE);
    Recorder r;

    virtio_gpu_blob_pages_init(&pages, WINDOW, PAGE);
    for (i = 0; i <= max; i++) {
        populate(&pages, i, 1);
    }
    recorder_init(&r, true);
    g_assert_cmpint(virtio_gpu_blob_pages_listen(&pages, &r.rdl, &s), ==,
                    -ENOSPC);
    heard(&r, "");
    g_assert_false(virtio_gpu_blob_pages_have_room(&pages));
    discard(&pages, 7, 1);
    heard(&r, "-7+1 ");
    leave(&pages, &r, "-0+262144 ");
    g_assert_cmpint(join(&pages, &r, 0, 2), ==, 0);
    leave(&pages, &r, "+0+1 +1+1 -0+1 -1+1 ");
    virtio_gpu_blob_pages_destroy(&pages);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/virtio-gpu-blob/pages/populated", test_populated);
    g_test_add_func("/virtio-gpu-blob/pages/partial-page", test_partial_page);
    g_test_add_func("/virtio-gpu-blob/pages/told", test_told);
    g_test_add_func("/virtio-gpu-blob/pages/replay", test_replay);
    g_test_add_func("/virtio-gpu-blob/pages/double-discard",
                    test_double_discard);
    g_test_add_func("/virtio-gpu-blob/pages/clip", test_clip);
    g_test_add_func("/virtio-gpu-blob/pages/rollback", test_rollback);
    g_test_add_func("/virtio-gpu-blob/pages/listen-fails", test_listen_fails);
    g_test_add_func("/virtio-gpu-blob/pages/holes", test_holes);
    g_test_add_func("/virtio-gpu-blob/pages/neighbours", test_neighbours);
    g_test_add_func("/virtio-gpu-blob/pages/discard-twice",
                    test_discard_twice);
    g_test_add_func("/virtio-gpu-blob/pages/count-holes", test_count_holes);
    g_test_add_func("/virtio-gpu-blob/pages/room", test_room);
    g_test_add_func("/virtio-gpu-blob/pages/too-many-to-join",
                    test_too_many_to_join);

    return g_test_run();
}
