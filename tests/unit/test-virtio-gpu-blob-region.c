/*
 * Regions of their own: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With a memory core, accelerators and a renderer that answer as a test says.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "qemu/memalign.h"
#include "qemu/memfd.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "hw/virtio/vhost.h"
#include "hw/virtio/virtio.h"
#include "system/kvm.h"
#include "hw/display/virtio-gpu-blob-rdm.h"
#include "hw/display/virtio-gpu-blob-region.h"
#include "virtio-gpu-blob-lock.h"

#include <malloc.h>
#include <virglrenderer.h>

#define PAGE 4096
#define LIMIT 256
#define TYPE_ANSWER "test-answer"

/* What the doubles answer, and what they saw */
static struct {
    unsigned kvm_slots, vhost_slots;
    int map_result;
    void *map;
    uint64_t map_size;
    int mapped, shown, answering, begun;
    bool pinned;
    uint64_t answer_for;
    unsigned returned;
    void *last_returned;
    uint8_t *host;
    unsigned covered;
} world;

bool kvm_allowed;

unsigned int kvm_get_free_memslots(void)
{
    return world.kvm_slots;
}

unsigned int vhost_get_free_memslots(void)
{
    return world.vhost_slots;
}

int virgl_renderer_resource_map(uint32_t id, void **map, uint64_t *size)
{
    *map = world.map;
    *size = world.map_size;
    world.mapped += !world.map_result;
    return world.map_result;
}

int virgl_renderer_resource_unmap(uint32_t id)
{
    world.mapped--;
    return 0;
}

void virgl_renderer_force_ctx_0(void)
{
}

/* Who answers for it: any object does. */
VirtIOGPUBlobRDM *virtio_gpu_blob_rdm_new(uint64_t size,
                                          IntervalTreeRoot *filled)
{
    g_assert_true(is_power_of_2(size));
    g_assert_true(interval_tree_is_empty(filled));
    world.answer_for = size;
    world.answering++;
    return (VirtIOGPUBlobRDM *)object_new(TYPE_ANSWER);
}

bool virtio_gpu_blob_rdm_begin(VirtIOGPUBlobRDM *rdm, bool announced)
{
    g_assert_false(announced);
    world.begun++;
    return !world.pinned;
}

void virtio_gpu_blob_rdm_end(VirtIOGPUBlobRDM *rdm)
{
    world.begun--;
}

void virtio_gpu_blob_rdm_attach(VirtIOGPUBlobRDM *rdm, MemoryRegion *mr)
{
    mr->rdm = (RamDiscardManager *)rdm;
}

static void answer_finalize(Object *obj)
{
    world.answering--;
}

static const TypeInfo answer_info = {
    .name = TYPE_ANSWER,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(Object),
    .instance_finalize = answer_finalize,
};

static void register_types(void)
{
    type_register_static(&answer_info);
}

type_init(register_types)

/* The region refers to its memory; its owner, for good, is the last to go. */
void memory_region_init_ram_ptr(MemoryRegion *mr, Object *owner,
                                const char *name, uint64_t size, void *ptr)
{
    mr->owner = owner;
    world.host = ptr;
}

void memory_region_init_ram_device_ptr(MemoryRegion *mr, Object *owner,
                                       const char *name, uint64_t size,
                                       void *ptr)
{
    mr->owner = owner;
    world.host = ptr;
    mr->ram_device = true;
}

void memory_region_add_subregion_overlap(MemoryRegion *mr, hwaddr offset,
                                         MemoryRegion *subregion,
                                         int priority)
{
    /* VFIO takes a device's RAM without asking a manager. */
    g_assert_true(subregion->ram_device == world.pinned);
    g_assert_true(!subregion->rdm == world.pinned);
    world.shown++;
    object_ref(subregion->owner);
}

void memory_region_del_subregion(MemoryRegion *mr, MemoryRegion *subregion)
{
    world.shown--;
    object_unref(subregion->owner);
}

QEMUBH *virtio_bh_io_new_guarded_full(DeviceState *dev, QEMUBHFunc *cb,
                                      void *opaque, const char *name)
{
    return aio_bh_new(qemu_get_aio_context(), cb, opaque);
}

static void on_return(void *opaque)
{
    world.returned++;
    world.last_returned = opaque;
}

static void ignore_loss(void *opaque)
{
}

/* Zeroes, as a hole may show */
static bool on_cover(void *opaque, void *at, uint64_t len)
{
    g_assert_true(opaque == &world);
    world.covered++;
    return mmap(at, len, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at;
}

typedef struct Fixture {
    VirtIOGPUBlobLosses losses;
    VirtIOGPUBlobRegions regions;
    MemoryRegion container;
    int fd;
} Fixture;

static void set_up(Fixture *f)
{
    *f = (Fixture) { };
    memset(&world, 0, sizeof(world));
    world.kvm_slots = world.vhost_slots = UINT_MAX;
    world.map = qemu_memalign(qemu_real_host_page_size(), 2 * PAGE);
    world.map_size = 2 * PAGE;
    kvm_allowed = false;
    f->fd = qemu_memfd_create("test", 2 * PAGE, false, 0, 0, &error_abort);
    virtio_gpu_blob_losses_init(&f->losses, ignore_loss, NULL);
    virtio_gpu_blob_regions_init(&f->regions, NULL, &f->container, on_return,
                                 &f->losses, on_cover, &world);
}

static bool maps_buffers(void)
{
    g_autofree char *text = NULL;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    return strstr(text, "memfd:test");
}

static void tear_down(Fixture *f)
{
    drain_call_rcu();
    g_assert_cmpint(world.mapped, ==, 0);
    g_assert_cmpint(world.shown, ==, 0);
    g_assert_cmpint(world.answering, ==, 0);
    g_assert_cmpint(world.begun, ==, 0);
    g_assert_cmpuint(f->regions.count, ==, 0);
    g_assert_cmpuint(f->regions.leaving, ==, 0);
    virtio_gpu_blob_regions_destroy(&f->regions);
    g_assert_false(maps_buffers());
    close(f->fd);
    qemu_vfree(world.map);
}

/* Until RCU's thread has had its say, and the bottom half its turn */
static void settle(void)
{
    drain_call_rcu();
    while (aio_poll(qemu_get_aio_context(), false)) {
        continue;
    }
}

static VirtIOGPUBlobReason lend(Fixture *f, VirtIOGPUBlobPlace *place,
                                uint64_t size, VirtIOGPUBlobRegion **region)
{
    return virtio_gpu_blob_region_show_loan(&f->regions, 1, size, place, place,
                                            region);
}

static void test_fd(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(PAGE, 2 * PAGE);
    VirtIOGPUBlobPlace before = virtio_gpu_blob_place(0, PAGE);
    VirtIOGPUBlobPlace over = virtio_gpu_blob_place(2 * PAGE, 4 * PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;

    set_up(&f);
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_OK);
    g_assert_cmpuint(f.regions.count, ==, 1);
    g_assert_cmpuint(world.answer_for, ==, 2 * PAGE);
    g_assert_false(virtio_gpu_blob_regions_are_at(&f.regions, &before));
    g_assert_true(virtio_gpu_blob_regions_are_at(&f.regions, &over));
    g_assert_true(virtio_gpu_blob_region_hide(region, &place));
    g_assert_false(virtio_gpu_blob_regions_are_at(&f.regions, &over));
    settle();
    g_assert_cmpuint(world.returned, ==, 0);
    tear_down(&f);
}

/* Somebody needs all memory pinned, and would pin this. */
static void test_pinned(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;

    set_up(&f);
    world.pinned = true;
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_OK);
    g_assert_true(virtio_gpu_blob_region_hide(region, &place));
    settle();
    tear_down(&f);
}

static void test_fd_fails(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;

    set_up(&f);
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, -1, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_MAP_FAILED);
    place = virtio_gpu_blob_place(0, 1ull << 62);
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS);
    g_assert_cmpuint(f.regions.count, ==, 0);
    tear_down(&f);
}

/* All of it shows something else then, and it ends as any other. */
static void check_lost(void (*find)(VirtIOGPUBlobRegion *region))
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(PAGE, 2 * PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;

    set_up(&f);
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_OK);
    world.host[0] = 5;
    find(region);
    g_assert_false(place.lost);
    g_assert_cmpint(ftruncate(f.fd, PAGE), ==, 0);
    find(region);
    g_assert_true(place.lost);
    g_assert_cmpuint(world.covered, ==, 1);
    g_assert_cmpuint(world.host[0], ==, 0);
    g_assert_true(virtio_gpu_blob_losses_take(&f.losses) == &place);
    g_assert_true(virtio_gpu_blob_region_hide(region, &place));
    settle();
    tear_down(&f);
}

static void test_lost(void)
{
    check_lost(virtio_gpu_blob_region_touch);
    check_lost(virtio_gpu_blob_region_look);
}

/* Who still refers to a hidden one may find that its pages are gone. */
static void test_lost_late(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(PAGE, 2 * PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;

    set_up(&f);
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_OK);
    object_ref(OBJECT(region));
    g_assert_true(virtio_gpu_blob_region_hide(region, &place));
    g_assert_cmpint(ftruncate(f.fd, 0), ==, 0);
    world.host[0] = 5;
    g_assert_cmpuint(world.covered, ==, 1);
    g_assert_false(place.lost);
    g_assert_null(virtio_gpu_blob_losses_take(&f.losses));
    object_unref(OBJECT(region));
    settle();
    tear_down(&f);
}

typedef struct Shown {
    VirtIOGPUBlobPlace place;
    VirtIOGPUBlobRegion *region;
} Shown;

static void access_shown(void *opaque)
{
    qatomic_set(&world.host[PAGE], 1);
}

static void hide_shown(void *opaque)
{
    Shown *s = opaque;

    virtio_gpu_blob_region_hide(s->region, &s->place);
}

/* A signal handler, and what it reads, have the losses' lock. */
static void test_lock(void)
{
    Shown s = { .place = virtio_gpu_blob_place(PAGE, 2 * PAGE) };
    Fixture f;

    set_up(&f);
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &s.place,
                                                   &s.region), ==,
                    VIRTIO_GPU_BLOB_OK);
    g_assert_cmpint(ftruncate(f.fd, 0), ==, 0);
    g_assert_true(waits_for_lock(&f.losses.lock, access_shown, NULL));
    g_assert_true(s.place.lost);
    g_assert_true(waits_for_lock(&f.losses.lock, hide_shown, &s));
    settle();
    tear_down(&f);
}

/* The renderer has its memory back once nobody refers to it, not before. */
static void test_loan(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, 2 * PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;

    set_up(&f);
    g_assert_cmpint(lend(&f, &place, PAGE + 1, &region), ==,
                    VIRTIO_GPU_BLOB_OK);
    g_assert_cmpint(world.mapped, ==, 1);
    object_ref(OBJECT(region));
    g_assert_false(virtio_gpu_blob_region_hide(region, &place));
    g_assert_cmpuint(f.regions.leaving, ==, 1);
    g_usleep(200 * 1000);
    while (aio_poll(qemu_get_aio_context(), false)) {
        continue;
    }
    g_assert_cmpint(world.mapped, ==, 1);
    g_assert_cmpuint(f.regions.count, ==, 1);
    object_unref(OBJECT(region));
    while (!world.returned) {
        aio_poll(qemu_get_aio_context(), true);
    }
    g_assert_cmpuint(world.returned, ==, 1);
    g_assert(world.last_returned == &place);
    tear_down(&f);
}

static void test_bad_loan(void)
{
    const struct {
        int result;
        void *map;
        uint64_t got, size;
        VirtIOGPUBlobReason reason;
    } rows[] = {
        { -EINVAL, NULL, 0, PAGE, VIRTIO_GPU_BLOB_MAP_FAILED },
        { -ENOMEM, NULL, 0, PAGE, VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS },
        { 0, NULL, 2 * PAGE, PAGE, VIRTIO_GPU_BLOB_MAP_FAILED },
        { 0, (void *)(PAGE + 512), 2 * PAGE, PAGE,
          VIRTIO_GPU_BLOB_MAP_FAILED },
        { 0, (void *)PAGE, PAGE, PAGE + 1, VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT },
        /* long enough for the blob, but not for its last page */
        { 0, (void *)PAGE, PAGE + 512, PAGE + 1, VIRTIO_GPU_BLOB_MAP_FAILED },
    };
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, 2 * PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;
    void *map;
    size_t i;

    set_up(&f);
    map = world.map;
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        world.map_result = rows[i].result;
        world.map = rows[i].map;
        world.map_size = rows[i].got;
        g_assert_cmpint(lend(&f, &place, rows[i].size, &region), ==,
                        rows[i].reason);
        g_assert_cmpint(world.mapped, ==, 0);
    }
    world.map = map;
    tear_down(&f);
}

/* What KVM or vhost would reject aborts QEMU: it is not even tried. */
static void test_slots(void)
{
    static const struct {
        bool kvm;
        unsigned kvm_slots, vhost_slots;
        bool room;
    } rows[] = {
        { false, 0, 2, true },
        { false, 0, 1, false },
        { true, 2, 2, true },
        { true, 1, 2, false },
        { true, 2, 1, false },
    };
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;
    size_t i;

    set_up(&f);
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        kvm_allowed = rows[i].kvm;
        world.kvm_slots = rows[i].kvm_slots;
        world.vhost_slots = rows[i].vhost_slots;
        g_assert_cmpint(lend(&f, &place, PAGE, &region), ==,
                        rows[i].room ? VIRTIO_GPU_BLOB_OK
                                     : VIRTIO_GPU_BLOB_NO_MEMORY_SLOT);
        if (rows[i].room) {
            virtio_gpu_blob_region_hide(region, &place);
            settle();
        }
    }
    tear_down(&f);
}

/* The kernel's own page for clocks is VM_PFNMAP, as a GPU's memory is. */
static void *pfnmap_page(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uintptr_t start;
    int i;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (i = 0; lines[i]; i++) {
        if (strstr(lines[i], "[vvar]") &&
            sscanf(lines[i], "%" SCNxPTR, &start) == 1) {
            return (void *)start;
        }
    }
    return NULL;
}

/* Where KVM looks, it would refuse the slot, and QEMU abort. */
static void test_pfnmap(void)
{
    static const struct {
        bool kvm, slots_look, granted;
    } rows[] = {
        { false, false, true },
        { false, true, true },
        { true, false, true },
        { true, true, false },
    };
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;
    void *map;
    size_t i;

    set_up(&f);
    map = world.map;
    world.map = pfnmap_page();
    if (!world.map) {
        g_test_skip("this kernel shows no page of its own");
    }
    for (i = 0; world.map && i < G_N_ELEMENTS(rows); i++) {
        kvm_allowed = rows[i].kvm;
        f.regions.slots_look = rows[i].slots_look;
        g_assert_cmpint(lend(&f, &place, PAGE, &region), ==,
                        rows[i].granted ? VIRTIO_GPU_BLOB_OK
                                        : VIRTIO_GPU_BLOB_MAP_FAILED);
        if (rows[i].granted) {
            virtio_gpu_blob_region_hide(region, &place);
            settle();
        }
        g_assert_cmpint(world.mapped, ==, 0);
    }
    world.map = map;
    tear_down(&f);
}

/* Memory has its slot; a file whose pages are gone does not. */
static void test_slots_look(void)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(0, 2 * PAGE);
    VirtIOGPUBlobRegion *region;
    Fixture f;

    set_up(&f);
    kvm_allowed = f.regions.slots_look = true;
    g_assert_cmpint(lend(&f, &place, 2 * PAGE, &region), ==,
                    VIRTIO_GPU_BLOB_OK);
    virtio_gpu_blob_region_hide(region, &place);
    settle();
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_OK);
    g_assert_true(virtio_gpu_blob_region_hide(region, &place));
    settle();
    g_assert_cmpint(ftruncate(f.fd, PAGE), ==, 0);
    g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd, &place,
                                                   &region), ==,
                    VIRTIO_GPU_BLOB_MAP_FAILED);
    tear_down(&f);
}

/* All of them need room, since a BAR that moves brings all of them back. */
static void test_slots_of_all(void)
{
    VirtIOGPUBlobPlace places[3];
    VirtIOGPUBlobRegion *regions[3];
    Fixture f;
    int i;

    set_up(&f);
    world.vhost_slots = 5;
    for (i = 0; i < 3; i++) {
        places[i] = virtio_gpu_blob_place(i * PAGE, PAGE);
        g_assert_cmpint(virtio_gpu_blob_region_show_fd(&f.regions, f.fd,
                                                       &places[i],
                                                       &regions[i]), ==,
                        i < 2 ? VIRTIO_GPU_BLOB_OK
                              : VIRTIO_GPU_BLOB_NO_MEMORY_SLOT);
    }
    virtio_gpu_blob_region_hide(regions[0], &places[0]);
    virtio_gpu_blob_region_hide(regions[1], &places[1]);
    tear_down(&f);
}

static void test_limit(void)
{
    g_autofree VirtIOGPUBlobPlace *places =
        g_new0(VirtIOGPUBlobPlace, LIMIT + 1);
    VirtIOGPUBlobRegion *regions[LIMIT + 1];
    Fixture f;
    int i;

    set_up(&f);
    for (i = 0; i <= LIMIT; i++) {
        places[i] = virtio_gpu_blob_place(i * PAGE, PAGE);
        g_assert_cmpint(lend(&f, &places[i], PAGE, &regions[i]), ==,
                        i < LIMIT ? VIRTIO_GPU_BLOB_OK
                                  : VIRTIO_GPU_BLOB_REGION_LIMIT);
    }
    for (i = 0; i < LIMIT; i++) {
        virtio_gpu_blob_region_hide(regions[i], &places[i]);
    }
    /* A loan counts until it is returned. */
    g_assert_cmpint(lend(&f, &places[LIMIT], PAGE, &regions[LIMIT]), ==,
                    VIRTIO_GPU_BLOB_REGION_LIMIT);
    settle();
    g_assert_cmpuint(world.returned, ==, LIMIT);
    tear_down(&f);
}

/* A guest that maps and unmaps makes QEMU no larger. */
static void test_no_growth(void)
{
    g_autofree VirtIOGPUBlobPlace *places = g_new0(VirtIOGPUBlobPlace, LIMIT);
    VirtIOGPUBlobRegion *regions[LIMIT];
    size_t first = 0;
    Fixture f;
    int i, j;

    set_up(&f);
    for (j = 0; j < 20; j++) {
        for (i = 0; i < LIMIT; i++) {
            places[i] = virtio_gpu_blob_place(i * PAGE, PAGE);
            g_assert_cmpint(lend(&f, &places[i], PAGE, &regions[i]), ==,
                            VIRTIO_GPU_BLOB_OK);
        }
        for (i = 0; i < LIMIT; i++) {
            virtio_gpu_blob_region_hide(regions[i], &places[i]);
        }
        settle();
        first = first ? first : mallinfo2().uordblks;
    }
    g_assert_cmpuint(mallinfo2().uordblks, <, first + 128 * KiB);
    tear_down(&f);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    module_call_init(MODULE_INIT_QOM);
    qemu_init_main_loop(&error_abort);

    g_test_add_func("/virtio-gpu-blob/region/fd", test_fd);
    g_test_add_func("/virtio-gpu-blob/region/pinned", test_pinned);
    g_test_add_func("/virtio-gpu-blob/region/fd-fails", test_fd_fails);
    g_test_add_func("/virtio-gpu-blob/region/lost", test_lost);
    g_test_add_func("/virtio-gpu-blob/region/lost-late", test_lost_late);
    g_test_add_func("/virtio-gpu-blob/region/lock", test_lock);
    g_test_add_func("/virtio-gpu-blob/region/loan", test_loan);
    g_test_add_func("/virtio-gpu-blob/region/bad-loan", test_bad_loan);
    g_test_add_func("/virtio-gpu-blob/region/slots", test_slots);
    g_test_add_func("/virtio-gpu-blob/region/pfnmap", test_pfnmap);
    g_test_add_func("/virtio-gpu-blob/region/slots-look", test_slots_look);
    g_test_add_func("/virtio-gpu-blob/region/slots-of-all", test_slots_of_all);
    g_test_add_func("/virtio-gpu-blob/region/limit", test_limit);
    g_test_add_func("/virtio-gpu-blob/region/no-growth", test_no_growth);

    return g_test_run();
}
