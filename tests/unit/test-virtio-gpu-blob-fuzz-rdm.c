/*
 * Random buffers and listeners: what the manager of the window tells whom
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A listener remembers page by page what it was told.  It must never be told
 * twice of a page that comes, and always of one that goes; when all is quiet,
 * it knows what is announced in its section, and nothing else.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-rdm.h"
#include "virtio-gpu-blob-fuzz.h"
#include "virtio-gpu-blob-memory-core.h"

#define PAGE (4 * KiB)
#define PAGES 64
#define WINDOW (PAGES * PAGE)
#define BASE (1ULL << 40)
#define LISTENERS 4

/*
 * Listeners
 */

typedef struct Listener {
    RamDiscardListener rdl;
    bool there;
    bool partial; /* it could not have all when it came */
    bool refuses; /* the next that comes */
    unsigned first, n;
    bool told[PAGES];
} Listener;

static Listener listeners[LISTENERS];

static Listener *listener_of(RamDiscardListener *rdl)
{
    return container_of(rdl, Listener, rdl);
}

/* Whole pages of its own section, at the right address */
static void check_section(const Listener *l, const MemoryRegionSection *s,
                          unsigned *first, unsigned *end)
{
    uint64_t len = int128_get64(s->size);

    g_assert(len && !(len % PAGE) && !(s->offset_within_region % PAGE));
    g_assert(s->offset_within_address_space - s->offset_within_region == BASE);
    *first = s->offset_within_region / PAGE;
    *end = *first + len / PAGE;
    g_assert(*first >= l->first && *end <= l->first + l->n);
}

static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    Listener *l = listener_of(rdl);
    unsigned first, end, i;

    check_section(l, s, &first, &end);
    for (i = first; i < end; i++) {
        g_assert(!l->told[i]);
    }
    if (l->refuses) {
        l->refuses = false;
        return -ENOSPC;
    }
    for (i = first; i < end; i++) {
        l->told[i] = true;
    }
    return 0;
}

static void on_discard(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    Listener *l = listener_of(rdl);
    unsigned first, end, i;

    check_section(l, s, &first, &end);
    for (i = first; i < end; i++) {
        g_assert(l->told[i] || l->partial ||
                 l->rdl.double_discard_supported);
        l->told[i] = false;
    }
}

/*
 * The window, as the room above the manager keeps it
 */

static struct {
    IntervalTreeRoot filled;
    MemoryRegion mr;
    VirtIOGPUBlobRDM *rdm;
    bool announced[PAGES];
    bool taken[PAGES];
} window;

static RamDiscardManagerClass *class_of_window(void)
{
    return RAM_DISCARD_MANAGER_GET_CLASS(window.mr.rdm);
}

static VirtIOGPUBlobPlace *place_at(unsigned page)
{
    IntervalTreeNode *node = interval_tree_iter_first(
        &window.filled, page * PAGE, page * PAGE);

    return node ? virtio_gpu_blob_place_of(node) : NULL;
}

static void mark(bool *pages, const VirtIOGPUBlobPlace *place, bool value)
{
    unsigned i;

    for (i = place->node.start / PAGE; i <= place->node.last / PAGE; i++) {
        pages[i] = value;
    }
}

static bool is_free(unsigned first, unsigned n)
{
    unsigned i;

    for (i = first; i < first + n; i++) {
        if (window.taken[i]) {
            return false;
        }
    }
    return true;
}

static bool any_refuses(unsigned first, unsigned n)
{
    unsigned i;

    for (i = 0; i < LISTENERS; i++) {
        const Listener *l = &listeners[i];

        if (l->there && l->refuses && first < l->first + l->n &&
            l->first < first + n) {
            return true;
        }
    }
    return false;
}

static void populate(unsigned first, unsigned n, bool announced)
{
    VirtIOGPUBlobPlace *place;
    bool refused, begun, done;

    n = MIN(n, PAGES - first);
    if (!is_free(first, n)) {
        return;
    }
    refused = announced && any_refuses(first, n);
    place = g_new(VirtIOGPUBlobPlace, 1);
    *place = virtio_gpu_blob_place(first * PAGE, n * PAGE);
    interval_tree_insert(&place->node, &window.filled);
    begun = virtio_gpu_blob_rdm_begin(window.rdm, announced);
    /* Once they are kept away, they stay away. */
    g_assert(begun == (kept_away == 1));
    g_assert(begun || pinned);
    done = begun && (!announced ||
                     virtio_gpu_blob_rdm_populate(window.rdm, place));
    g_assert(!begun || done == !refused);
    if (done) {
        mark(window.taken, place, true);
        mark(window.announced, place, announced);
    } else {
        interval_tree_remove(&place->node, &window.filled);
        g_free(place);
    }
    virtio_gpu_blob_rdm_end(window.rdm);
}

static void discard(unsigned page)
{
    VirtIOGPUBlobPlace *place = place_at(page);

    if (!place) {
        return;
    }
    virtio_gpu_blob_rdm_discard(window.rdm, place);
    interval_tree_remove(&place->node, &window.filled);
    mark(window.taken, place, false);
    mark(window.announced, place, false);
    g_free(place);
    virtio_gpu_blob_rdm_end(window.rdm);
}

static MemoryRegionSection section(unsigned first, unsigned n)
{
    static int view;

    return (MemoryRegionSection) {
        .fv = (FlatView *)&view,
        .offset_within_region = first * PAGE,
        .offset_within_address_space = BASE + first * PAGE,
        .size = int128_make64(n * PAGE),
    };
}

static bool is_any_announced(unsigned first, unsigned n)
{
    unsigned i;

    for (i = first; i < first + n; i++) {
        if (window.announced[i]) {
            return true;
        }
    }
    return false;
}

static void join(Listener *l, unsigned first, unsigned n, unsigned how)
{
    MemoryRegionSection s = section(first, n);

    if (l->there) {
        return;
    }
    *l = (Listener) {
        .there = true, .first = first, .n = n, .refuses = how & 2,
    };
    ram_discard_listener_init(&l->rdl, on_populate, on_discard, how & 1);
    l->partial = l->refuses && is_any_announced(first, n);
    class_of_window()->register_listener(window.mr.rdm, &l->rdl, &s);
}

static void leave(Listener *l)
{
    unsigned i;

    if (!l->there) {
        return;
    }
    class_of_window()->unregister_listener(window.mr.rdm, &l->rdl);
    for (i = 0; i < PAGES; i++) {
        g_assert(!l->told[i]);
    }
    g_assert(!l->rdl.section);
    l->there = false;
}

/*
 * Rules
 */

static int count_run(MemoryRegionSection *run, void *opaque)
{
    bool *seen = opaque;
    uint64_t i = run->offset_within_region / PAGE;
    uint64_t end = i + int128_get64(run->size) / PAGE;

    for (; i < end; i++) {
        g_assert(!seen[i]);
        seen[i] = true;
    }
    return 0;
}

#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#define count_discarded count_run
#else
static void count_discarded(MemoryRegionSection *run, void *opaque)
{
    count_run(run, opaque);
}
#endif

/* Who asks for what is there, or is not, sees each page once. */
static void check_replays(unsigned first, unsigned n)
{
    bool there[PAGES] = { }, gone[PAGES] = { };
    MemoryRegionSection s = section(first, n);
    unsigned i;

    class_of_window()->replay_populated(window.mr.rdm, &s, count_run, there);
    class_of_window()->replay_discarded(window.mr.rdm, &s, count_discarded,
                                        gone);
    for (i = 0; i < PAGES; i++) {
        bool asked = i >= first && i < first + n;

        g_assert(there[i] == (asked && window.announced[i]));
        g_assert(gone[i] == (asked && !window.announced[i]));
    }
    g_assert(!class_of_window()->is_populated(window.mr.rdm, &s));
}

static void check_listener(const Listener *l)
{
    unsigned i;

    for (i = 0; l->there && i < PAGES; i++) {
        bool mine = i >= l->first && i < l->first + l->n;
        bool want = mine && window.announced[i];

        g_assert(l->told[i] == want || (l->partial && !l->told[i]));
    }
}

static void check(void)
{
    unsigned i;

    for (i = 0; i < LISTENERS; i++) {
        check_listener(&listeners[i]);
    }
    g_assert(kept_away == !interval_tree_is_empty(&window.filled));
}

static const TypeInfo manager_info = {
    .name = TYPE_RAM_DISCARD_MANAGER,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(RamDiscardManagerClass),
};

static void set_up(void)
{
    pinned = false;
    if (window.rdm) {
        return;
    }
    module_call_init(MODULE_INIT_QOM);
    type_register_static(&manager_info);
    window.rdm = virtio_gpu_blob_rdm_new(WINDOW, &window.filled);
    virtio_gpu_blob_rdm_attach(window.rdm, &window.mr);
}

static void tear_down(void)
{
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        discard(i);
    }
    check();
    for (i = 0; i < LISTENERS; i++) {
        leave(&listeners[i]);
    }
    g_assert(kept_away == 0);
}

static void step(FuzzInput *in)
{
    unsigned what = fuzz_byte(in), where = fuzz_byte(in);
    unsigned first = where % PAGES, n = 1 + what / 8 % 32;
    Listener *l = &listeners[what / 8 % LISTENERS];

    switch (what % 8) {
    case 0:
    case 1:
        populate(first, n, what % 8);
        break;
    case 2:
        discard(first);
        break;
    case 3:
        n = 1 + fuzz_byte(in) % PAGES;
        join(l, first, MIN(n, PAGES - first), what / 32 % 4);
        break;
    case 4:
        leave(l);
        break;
    case 5:
        l->refuses = l->there;
        break;
    case 6:
        pinned = !kept_away && where % 2;
        break;
    default:
        check_replays(first, MIN(n, PAGES - first));
        break;
    }
    check();
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
#include "virtio-gpu-blob-fuzz-rdm-corpus.h"
        NULL
    };

    return fuzz_replay(argc, argv, "/virtio-gpu-blob/fuzz/rdm", corpus);
}
#endif
