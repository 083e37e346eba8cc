/*
 * Those who look at guest memory, and what they are told: one test a rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-rdm.h"
#include "virtio-gpu-blob-memory-core.h"

#define PAGE (4 * KiB)
#define WINDOW (1 * GiB)
/* Where a listener's section starts in the address space */
#define BASE (1ULL << 40)

/* A listener that writes down what it hears, as "+start+len" and "-..." */
typedef struct Recorder {
    RamDiscardListener rdl;
    GString *heard;
    int fail; /* the result of the next populate */
} Recorder;

/* How often it was said that a device cannot reach all */
static unsigned said;

int error_vprintf(const char *fmt, va_list ap)
{
    said += strstr(fmt, "cannot reach all") != NULL;
    return vfprintf(stderr, fmt, ap);
}

int error_vprintf_unless_qmp(const char *fmt, va_list ap)
{
    return error_vprintf(fmt, ap);
}

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
    static int view;

    return (MemoryRegionSection) {
        .fv = (FlatView *)&view,
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

static void heard(Recorder *r, const char *what)
{
    g_assert_cmpstr(r->heard->str, ==, what);
    g_string_truncate(r->heard, 0);
}

/* A window, as the room above the manager keeps it */
typedef struct Window {
    IntervalTreeRoot filled;
    MemoryRegion mr;
    VirtIOGPUBlobRDM *rdm;
} Window;

static void window_init(Window *w)
{
    *w = (Window) { };
    w->rdm = virtio_gpu_blob_rdm_new(WINDOW, &w->filled);
    virtio_gpu_blob_rdm_attach(w->rdm, &w->mr);
}

static VirtIOGPUBlobPlace *place_at(Window *w, uint64_t page)
{
    IntervalTreeNode *node = interval_tree_iter_first(&w->filled, page * PAGE,
                                                      page * PAGE);

    g_assert_nonnull(node);
    g_assert_cmpuint(node->start, ==, page * PAGE);
    return virtio_gpu_blob_place_of(node);
}

/* A buffer comes; false if it cannot stay */
static bool populate(Window *w, uint64_t page, uint64_t n)
{
    VirtIOGPUBlobPlace *place = g_new0(VirtIOGPUBlobPlace, 1);
    bool done;

    *place = virtio_gpu_blob_place(page * PAGE, n * PAGE);
    interval_tree_insert(&place->node, &w->filled);
    done = virtio_gpu_blob_rdm_begin(w->rdm, true) &&
           virtio_gpu_blob_rdm_populate(w->rdm, place);
    g_assert(done == place->announced);
    if (!done) {
        interval_tree_remove(&place->node, &w->filled);
        g_free(place);
    }
    virtio_gpu_blob_rdm_end(w->rdm);
    return done;
}

static void discard(Window *w, uint64_t page)
{
    VirtIOGPUBlobPlace *place = place_at(w, page);

    virtio_gpu_blob_rdm_discard(w->rdm, place);
    interval_tree_remove(&place->node, &w->filled);
    g_free(place);
    virtio_gpu_blob_rdm_end(w->rdm);
}

static void window_destroy(Window *w)
{
    IntervalTreeNode *node;

    while ((node = interval_tree_iter_first(&w->filled, 0, WINDOW - 1))) {
        discard(w, node->start / PAGE);
    }
    g_assert_cmpint(kept_away, ==, 0);
    virtio_gpu_blob_rdm_detach(&w->mr);
    g_assert_null(w->mr.rdm);
    object_unref(w->rdm);
}

/* As the memory core calls it */
static RamDiscardManagerClass *class_of(const Window *w)
{
    return RAM_DISCARD_MANAGER_GET_CLASS(w->mr.rdm);
}

static int add_length(MemoryRegionSection *run, void *opaque)
{
    uint64_t *len = opaque;

    *len += int128_get64(run->size);
    return 0;
}

/* All of it */
static bool is_announced_section(const Window *w, MemoryRegionSection *s)
{
    uint64_t len = 0;

    class_of(w)->replay_populated(w->mr.rdm, s, add_length, &len);
    return len == int128_get64(s->size);
}

static bool is_announced(const Window *w, uint64_t page, uint64_t n)
{
    MemoryRegionSection s = section(page, n);

    return is_announced_section(w, &s);
}

static void enlist(Window *w, Recorder *r, uint64_t page, uint64_t n)
{
    MemoryRegionSection s = section(page, n);

    class_of(w)->register_listener(w->mr.rdm, &r->rdl, &s);
}

static void join(Window *w, Recorder *r, uint64_t page, uint64_t n)
{
    recorder_init(r, false);
    enlist(w, r, page, n);
}

static void leave(Window *w, Recorder *r, const char *what)
{
    class_of(w)->unregister_listener(w->mr.rdm, &r->rdl);
    heard(r, what);
    g_assert_null(r->rdl.section);
    g_string_free(r->heard, true);
}

static void test_populated(void)
{
    Window w;

    window_init(&w);
    g_assert_false(is_announced(&w, 0, 1));
    g_assert_true(populate(&w, 10, 4));
    g_assert_true(is_announced(&w, 10, 4));
    g_assert_true(is_announced(&w, 13, 1));
    g_assert_false(is_announced(&w, 9, 1));
    g_assert_false(is_announced(&w, 14, 1));
    g_assert_false(is_announced(&w, 9, 5));
    g_assert_false(is_announced(&w, 10, 5));
    g_assert_true(populate(&w, 14, 1));
    g_assert_true(is_announced(&w, 10, 5));
    discard(&w, 10);
    g_assert_false(is_announced(&w, 10, 1));
    g_assert_true(is_announced(&w, 14, 1));
    window_destroy(&w);
}

/* A section need not consist of whole pages. */
static void test_partial_page(void)
{
    Window w;
    MemoryRegionSection s = {
        .offset_within_region = 10 * PAGE + 1,
        .offset_within_address_space = BASE + 10 * PAGE + 1,
        .size = int128_make64(PAGE),
    };

    window_init(&w);
    populate(&w, 10, 1);
    g_assert_false(is_announced_section(&w, &s));
    populate(&w, 11, 1);
    g_assert_true(is_announced_section(&w, &s));
    window_destroy(&w);
}

/* Who asks cannot be told later that the buffer goes. */
static void test_asked(void)
{
    MemoryRegionSection s = section(10, 4);
    Window w;

    window_init(&w);
    populate(&w, 10, 4);
    g_assert_false(class_of(&w)->is_populated(w.mr.rdm, &s));
    window_destroy(&w);
}

/* Whoever cuts at this granularity cuts no blob. */
static void test_granularity(void)
{
    Window w;

    window_init(&w);
    g_assert_cmpuint(class_of(&w)->get_min_granularity(w.mr.rdm, &w.mr), ==,
                     WINDOW);
    window_destroy(&w);
}

static void test_told(void)
{
    Window w;
    Recorder r;

    window_init(&w);
    join(&w, &r, 0, WINDOW / PAGE);
    heard(&r, "");
    g_assert_true(populate(&w, 5, 3));
    heard(&r, "+5+3 ");
    discard(&w, 5);
    heard(&r, "-5+3 ");
    leave(&w, &r, "");
    window_destroy(&w);
}

/* Who comes late hears what is there, who leaves hears that it is gone. */
static void test_replay(void)
{
    Window w;
    Recorder r;

    window_init(&w);
    populate(&w, 0, 1);
    populate(&w, 5, 3);
    populate(&w, WINDOW / PAGE - 2, 2);
    join(&w, &r, 0, WINDOW / PAGE);
    heard(&r, "+0+1 +5+3 +262142+2 ");
    leave(&w, &r, "-0+1 -5+3 -262142+2 ");
    window_destroy(&w);
}

static void test_double_discard(void)
{
    Window w;
    Recorder r;

    window_init(&w);
    populate(&w, 5, 3);
    recorder_init(&r, true);
    enlist(&w, &r, 2, 100);
    heard(&r, "+5+3 ");
    leave(&w, &r, "-2+100 ");
    window_destroy(&w);
}

/* Nobody hears of what lies outside its section. */
static void test_clip(void)
{
    Window w;
    Recorder r;

    window_init(&w);
    populate(&w, 8, 4);
    join(&w, &r, 10, 10);
    heard(&r, "+10+2 ");
    populate(&w, 0, 8);
    heard(&r, "");
    populate(&w, 20, 1);
    heard(&r, "");
    populate(&w, 12, 8);
    heard(&r, "+12+8 ");
    discard(&w, 8);
    heard(&r, "-10+2 ");
    leave(&w, &r, "-12+8 ");
    window_destroy(&w);
}

/* If one cannot follow, those before it are told that it is off. */
static void test_rollback(void)
{
    Window w;
    Recorder first, second, third;

    window_init(&w);
    join(&w, &third, 0, 100);
    join(&w, &second, 0, 100);
    join(&w, &first, 0, 100);
    second.fail = -ENOSPC;
    g_assert_false(populate(&w, 5, 3));
    heard(&first, "+5+3 -5+3 ");
    heard(&second, "+5+3 ");
    heard(&third, "");
    g_assert_false(is_announced(&w, 5, 1));
    g_assert_cmpint(kept_away, ==, 0);
    second.fail = 0;
    g_assert_true(populate(&w, 5, 3));
    heard(&third, "+5+3 ");
    leave(&w, &first, "+5+3 -5+3 ");
    leave(&w, &second, "+5+3 -5+3 ");
    leave(&w, &third, "-5+3 ");
    window_destroy(&w);
}

/* It is told of what comes; that it was not told of all is said once. */
static void test_listen_fails(void)
{
    Window w;
    Recorder r;

    window_init(&w);
    populate(&w, 1, 1);
    populate(&w, 3, 1);
    recorder_init(&r, false);
    r.fail = -EIO;
    g_assert_cmpuint(said, ==, 0);
    enlist(&w, &r, 0, 100);
    heard(&r, "+1+1 ");
    g_assert_cmpuint(said, ==, 1);
    leave(&w, &r, "-1+1 -3+1 ");
    window_destroy(&w);
}

/* What is there but was not announced is a hole to those who listen. */
static void test_silent(void)
{
    VirtIOGPUBlobPlace silent = virtio_gpu_blob_place(4 * PAGE, 4 * PAGE);
    Window w;
    Recorder r;

    window_init(&w);
    populate(&w, 0, 4);
    populate(&w, 8, 4);
    interval_tree_insert(&silent.node, &w.filled);
    g_assert_false(is_announced(&w, 4, 1));
    join(&w, &r, 0, 100);
    heard(&r, "+0+4 +8+4 ");
    virtio_gpu_blob_rdm_discard(w.rdm, &silent);
    heard(&r, "");
    leave(&w, &r, "-0+4 -8+4 ");
    interval_tree_remove(&silent.node, &w.filled);
    window_destroy(&w);
}

/* QEMU 10.1 let this callback fail. */
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#define RESULT(ret) return ret
static int count_run(MemoryRegionSection *run, void *opaque)
#else
#define RESULT(ret) return
static void count_run(MemoryRegionSection *run, void *opaque)
#endif
{
    GString *runs = opaque;

    g_string_append_printf(runs, "%" PRIu64 "+%" PRIu64 " ",
                           (uint64_t)(run->offset_within_region / PAGE),
                           int128_get64(run->size) / PAGE);
    RESULT(0);
}

static void test_holes(void)
{
    g_autoptr(GString) runs = g_string_new(NULL);
    MemoryRegionSection s = section(0, 100);
    Window w;

    window_init(&w);
    populate(&w, 0, 10);
    populate(&w, 50, 10);
    populate(&w, 60, 10);
    class_of(&w)->replay_discarded(w.mr.rdm, &s, count_run, runs);
    g_assert_cmpstr(runs->str, ==, "10+40 70+30 ");
    window_destroy(&w);
}

static int append_run(MemoryRegionSection *run, void *opaque)
{
    GString *runs = opaque;

    g_string_append_printf(runs, "%" PRIu64 " ",
                           (uint64_t)(run->offset_within_region / PAGE));
    return runs->len > 4 ? -EIO : 0;
}

/* A visit ends when the visitor says so. */
static void test_replay_fails(void)
{
    g_autoptr(GString) runs = g_string_new(NULL);
    MemoryRegionSection s = section(0, 100);
    Window w;

    window_init(&w);
    populate(&w, 10, 1);
    populate(&w, 20, 1);
    populate(&w, 30, 1);
    g_assert_cmpint(class_of(&w)->replay_populated(w.mr.rdm, &s, append_run,
                                                   runs), ==, -EIO);
    g_assert_cmpstr(runs->str, ==, "10 20 ");
    window_destroy(&w);
}

/* VFIO cannot unmap a part of what it mapped: neighbours stay apart. */
static void test_neighbours(void)
{
    Window w;
    Recorder r;

    window_init(&w);
    populate(&w, 4, 4);
    populate(&w, 0, 4);
    populate(&w, 8, 1);
    join(&w, &r, 2, 100);
    heard(&r, "+2+2 +4+4 +8+1 ");
    discard(&w, 4);
    heard(&r, "-4+4 ");
    leave(&w, &r, "-2+2 -8+1 ");
    window_destroy(&w);
}

/* What was never announced, or is gone, does not go again. */
static void test_discard_twice(void)
{
    Window w;
    Recorder r;

    window_init(&w);
    join(&w, &r, 0, 100);
    populate(&w, 4, 4);
    virtio_gpu_blob_rdm_discard(w.rdm, place_at(&w, 4));
    heard(&r, "+4+4 -4+4 ");
    g_assert_false(is_announced(&w, 4, 4));
    discard(&w, 4);
    heard(&r, "");
    leave(&w, &r, "");
    window_destroy(&w);
}

/* Who needs all memory pinned is kept away while there is a buffer. */
static void test_pinned(void)
{
    Window w;

    window_init(&w);
    pinned = true;
    g_assert_false(populate(&w, 1, 1));
    g_assert_cmpint(kept_away, ==, 0);
    pinned = false;
    g_assert_true(populate(&w, 1, 1));
    g_assert_true(populate(&w, 2, 1));
    g_assert_cmpint(kept_away, ==, 1);
    discard(&w, 1);
    g_assert_cmpint(kept_away, ==, 1);
    discard(&w, 2);
    g_assert_cmpint(kept_away, ==, 0);
    window_destroy(&w);
}

/* What is not announced needs nobody's room, but is no reason to pin. */
static void test_unannounced(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(PAGE, PAGE);
    Window w;
    Recorder r;

    window_init(&w);
    join(&w, &r, 0, 100);
    pinned = true;
    g_assert_false(virtio_gpu_blob_rdm_begin(w.rdm, false));
    pinned = false;
    g_assert_true(virtio_gpu_blob_rdm_begin(w.rdm, false));
    interval_tree_insert(&place.node, &w.filled);
    virtio_gpu_blob_rdm_end(w.rdm);
    g_assert_cmpint(kept_away, ==, 1);
    heard(&r, "");
    g_assert_false(is_announced(&w, 1, 1));
    virtio_gpu_blob_rdm_discard(w.rdm, &place);
    interval_tree_remove(&place.node, &w.filled);
    virtio_gpu_blob_rdm_end(w.rdm);
    g_assert_cmpint(kept_away, ==, 0);
    leave(&w, &r, "");
    window_destroy(&w);
}

static void test_room(void)
{
    uint64_t max = VIRTIO_GPU_BLOB_LISTENED_MAX, i;
    Window w;
    Recorder r;

    window_init(&w);
    for (i = 0; i < max - 1; i++) {
        populate(&w, i, 1);
    }
    join(&w, &r, 0, 1);
    g_assert_true(populate(&w, i, 1));
    g_assert_false(populate(&w, i + 1, 1));
    g_assert_true(virtio_gpu_blob_rdm_begin(w.rdm, false));
    virtio_gpu_blob_rdm_end(w.rdm);
    discard(&w, 0);
    g_assert_true(populate(&w, i + 1, 1));
    g_assert_false(populate(&w, i + 2, 1));
    leave(&w, &r, "+0+1 -0+1 ");
    g_assert_true(populate(&w, i + 2, 1));
    window_destroy(&w);
}

/* Who comes when there are too many hears of none that is there. */
static void test_too_many_to_join(void)
{
    uint64_t max = VIRTIO_GPU_BLOB_LISTENED_MAX, i;
    Window w;
    Recorder r;

    window_init(&w);
    for (i = 0; i <= max; i++) {
        populate(&w, i, 1);
    }
    recorder_init(&r, true);
    enlist(&w, &r, 0, WINDOW / PAGE);
    heard(&r, "");
    g_assert_false(populate(&w, i, 1));
    discard(&w, 7);
    heard(&r, "-7+1 ");
    leave(&w, &r, "-0+262144 ");
    join(&w, &r, 0, 2);
    leave(&w, &r, "+0+1 +1+1 -0+1 -1+1 ");
    window_destroy(&w);
}

static const TypeInfo manager_info = {
    .name = TYPE_RAM_DISCARD_MANAGER,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(RamDiscardManagerClass),
};

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        GTestFunc func;
    } tests[] = {
        { "populated", test_populated },
        { "asked", test_asked },
        { "partial-page", test_partial_page },
        { "granularity", test_granularity },
        { "told", test_told },
        { "replay", test_replay },
        { "double-discard", test_double_discard },
        { "clip", test_clip },
        { "rollback", test_rollback },
        { "listen-fails", test_listen_fails },
        { "silent", test_silent },
        { "holes", test_holes },
        { "replay-fails", test_replay_fails },
        { "neighbours", test_neighbours },
        { "discard-twice", test_discard_twice },
        { "pinned", test_pinned },
        { "unannounced", test_unannounced },
        { "room", test_room },
        { "too-many-to-join", test_too_many_to_join },
    };
    size_t i;

    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&manager_info);
    for (i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strdup_printf("/virtio-gpu-blob/rdm/%s",
                                                tests[i].path);

        g_test_add_func(path, tests[i].func);
    }
    return g_test_run();
}
