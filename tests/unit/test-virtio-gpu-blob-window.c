/*
 * The window's RAM region, and regions of their own: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With doubles of the memory core, of the accelerator and of vCPUs.  KVM's is
 * as strict as any: it accepts holes and shared memory below a slot only.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/memfd.h"
#include "qemu/module.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/virtio/vhost.h"
#include "system/accel-blocker.h"
#include "system/kvm.h"
#include "hw/display/virtio-gpu-blob-compat.h"
#include "hw/display/virtio-gpu-blob-internal.h"
#include "virtio-gpu-blob-access.h"

#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/address-spaces.h"
#include "system/ramblock.h"
#else
#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#endif

#include <sys/syscall.h>

#define WINDOW (64 * MiB)
#define BUFFERS 100
#define KVM_PRIORITY MEMORY_LISTENER_PRIORITY_ACCEL

AddressSpace address_space_memory;
CPUTailQ cpus_queue = QTAILQ_HEAD_INITIALIZER(cpus_queue);
MachineState *current_machine;

/* What the doubles answer, and what they have seen */
static struct {
    GPtrArray *listeners;
    bool inhibited;
    unsigned stops;
    unsigned kicks;
    unsigned errors;
    unsigned kvm_slots;
    unsigned vhost_slots;
    bool pinned;        /* a device needs all RAM pinned */
    int discards;       /* required by us */
    unsigned visible;   /* subregions of the container */
    GSList *unused;     /* mappings whose regions have no reference */
    VirtIOGPUBlobMapping *lost; /* loses its pages in mremap() */
    unsigned finalized; /* memory regions */
    bool called;        /* an RCU callback */
    MemoryRegion *window;
    Object *owner;      /* of the last memory region */
} world;

/*
 * Doubles
 */

bool machine_dump_guest_core(MachineState *machine)
{
    return true;
}

unsigned int kvm_get_free_memslots(void)
{
    return world.kvm_slots;
}

unsigned int vhost_get_free_memslots(void)
{
    return world.vhost_slots;
}

int ram_block_coordinated_discard_require(bool state)
{
    if (state && world.pinned) {
        return -EBUSY;
    }
    world.discards += state ? 1 : -1;
    return 0;
}

static void init_region(MemoryRegion *mr, Object *owner)
{
    object_initialize(mr, sizeof(*mr), TYPE_MEMORY_REGION);
    object_property_add_child(owner, "region[*]", OBJECT(mr));
    object_unref(OBJECT(mr));
    mr->owner = world.owner = owner;
    mr->ram_block = g_new0(RAMBlock, 1);
}

void memory_region_init_ram_ptr(MemoryRegion *mr, Object *owner,
                                const char *name, uint64_t size, void *ptr)
{
    init_region(mr, owner);
    if (!strcmp(name, "virtio-gpu-blob-window")) {
        world.window = mr;
    }
}

void memory_region_init_ram_device_ptr(MemoryRegion *mr, Object *owner,
                                       const char *name, uint64_t size,
                                       void *ptr)
{
    init_region(mr, owner);
    mr->ram_device = true;
}

#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
int memory_region_set_ram_discard_manager(MemoryRegion *mr,
                                          RamDiscardManager *rdm)
{
    mr->rdm = rdm;
    return 0;
}
#else
void memory_region_set_ram_discard_manager(MemoryRegion *mr,
                                           RamDiscardManager *rdm)
{
    mr->rdm = rdm;
}
#endif

/* The flat view refers to a region's owner while it is visible. */
void memory_region_add_subregion(MemoryRegion *mr, hwaddr offset,
                                 MemoryRegion *subregion)
{
    /* VFIO and vhost-vdpa must ignore it, and others find nothing there. */
    g_assert_true(subregion->ram_block->flags & RAM_PROTECTED);
    g_assert_nonnull(subregion->rdm);
    world.visible++;
    object_ref(subregion->owner);
}

void memory_region_add_subregion_overlap(MemoryRegion *mr, hwaddr offset,
                                         MemoryRegion *subregion,
                                         int priority)
{
    g_assert_cmpint(priority, >, 0);
    g_assert_true(subregion->ram_device == world.pinned);
    memory_region_add_subregion(mr, offset, subregion);
}

void memory_region_del_subregion(MemoryRegion *mr, MemoryRegion *subregion)
{
    g_clear_pointer(&subregion->ram_block, g_free);
    world.visible--;
    object_unref(subregion->owner);
}

void memory_listener_register(MemoryListener *listener, AddressSpace *as)
{
    g_assert(as == &address_space_memory);
    g_ptr_array_add(world.listeners, listener);
}

void memory_listener_unregister(MemoryListener *listener)
{
    g_assert_true(g_ptr_array_remove(world.listeners, listener));
}

void accel_ioctl_inhibit_begin(void)
{
    g_assert_false(world.inhibited);
    world.inhibited = true;
    world.stops++;
}

void accel_ioctl_inhibit_end(void)
{
    g_assert_true(world.inhibited);
    world.inhibited = false;
}

/* A vCPU that is not in the guest must not enter it. */
void qemu_cpu_kick(CPUState *cpu)
{
    g_assert_true(world.inhibited && cpu->created);
    world.kicks++;
}

int error_vprintf(const char *fmt, va_list ap)
{
    world.errors += strstr(fmt, "no memory to take blob") != NULL;
    return 0;
}

void virtio_gpu_blob_region_unused(VirtIOGPUBlobMapping *m)
{
    world.unused = g_slist_prepend(world.unused, m);
}

/*
 * While world.lost is mapped again, a thread gets SIGBUS in it, until the
 * signal handler maps a hole there.
 */
void *mremap(void *old, size_t old_len, size_t len, int flags, ...)
{
    va_list ap;
    void *at;

    va_start(ap, flags);
    at = va_arg(ap, void *);
    va_end(ap);
    while (world.lost && !world.lost->pages.lost) {
        access_handler->gone(at);
    }
    return (void *)syscall(SYS_mremap, old, old_len, len, flags, at);
}

static void memory_region_finalize(Object *obj)
{
    world.finalized++;
}

static const TypeInfo memory_region_info = {
    .name = TYPE_MEMORY_REGION,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(MemoryRegion),
    .instance_finalize = memory_region_finalize,
};
static const TypeInfo manager_info = {
    .name = TYPE_RAM_DISCARD_MANAGER,
    .parent = TYPE_INTERFACE,
    .class_size = sizeof(RamDiscardManagerClass),
};

static void register_types(void)
{
    type_register_static(&manager_info);
    type_register_static(&memory_region_info);
}

type_init(register_types)

/*
 * A window with buffers
 */

typedef struct Fixture {
    Object *device;
    MemoryRegion container;
    VirtIOGPUBlobs blobs;
    VirtIOGPUBlobVMA *vma;
    VirtIOGPUBlobMapping m[BUFFERS];
    CPUState *cpus[2];
    uint64_t page;
} Fixture;

static void ignore(void *opaque)
{
}

/* KVM looks at mappings when a slot is made; NULL: it does not. */
#define SLOT_CHECKS ((void *)1)
/* KVM does not, and buffers are mapped over holes by mmap(). */
#define DIRECT ((void *)2)

static void set_up(Fixture *f, gconstpointer slot_checks)
{
    memset(&world, 0, sizeof(world));
    world.listeners = g_ptr_array_new();
    world.kvm_slots = world.vhost_slots = UINT_MAX;
    kvm_allowed = false;
    f->page = qemu_real_host_page_size();
    f->device = object_new("container");
    f->blobs.slot_checks = slot_checks == SLOT_CHECKS;
    f->blobs.window = virtio_gpu_blob_window_new(f->device, &f->container,
                                                 WINDOW,
                                                 slot_checks == DIRECT,
                                                 slot_checks == SLOT_CHECKS,
                                                 &error_abort);
    f->vma = virtio_gpu_blob_window_vma(f->blobs.window);
    f->blobs.lost.vma = f->vma;
    f->blobs.lost.bh = qemu_bh_new(ignore, NULL);
    QSIMPLEQ_INIT(&f->blobs.lost.unreported);
    for (int i = 0; i < 2; i++) {
        f->cpus[i] = g_new0(CPUState, 1);
        f->cpus[i]->created = i == 0;
        QTAILQ_INSERT_TAIL_RCU(&cpus_queue, f->cpus[i], node);
    }
}

static void tear_down(Fixture *f, gconstpointer slot_checks)
{
    g_assert_true(interval_tree_is_empty(&f->vma->places));
    virtio_gpu_blob_window_delete(f->blobs.window);
    g_assert_cmpint(world.discards, ==, 0);
    g_assert_cmpuint(world.visible, ==, 0);
    g_assert_cmpuint(world.listeners->len, ==, 0);
    g_ptr_array_free(world.listeners, true);
    qemu_bh_delete(f->blobs.lost.bh);
    object_unref(f->device);
    for (int i = 0; i < 2; i++) {
        QTAILQ_REMOVE_RCU(&cpus_queue, f->cpus[i], node);
        g_free(f->cpus[i]);
    }
}

/* volatile: each access is made, as a guest makes it, and may raise a signal */
static volatile uint64_t *word(const Fixture *f, int i)
{
    return virtio_gpu_blob_vma_at(f->vma, &f->m[i].place);
}

static void prepare(Fixture *f, int i, uint64_t page, uint64_t n, bool shm)
{
    f->m[i] = (VirtIOGPUBlobMapping) {
        .blobs = &f->blobs,
        .place = virtio_gpu_blob_place(page * f->page, n * f->page),
        .backing = shm ? VIRTIO_GPU_BLOB_BACKING_SHM
                       : VIRTIO_GPU_BLOB_BACKING_DMABUF,
    };
}

/* A buffer of @n pages; the first begins with a number of its own. */
static int new_buffer(const Fixture *f, int i, uint64_t n, bool shm)
{
    int fd = qemu_memfd_create(shm ? "test-shm" : "test-dmabuf", n * f->page,
                               false, 0, 0, &error_abort);
    uint64_t stamp = 1000 + i;

    g_assert_cmpint(pwrite(fd, &stamp, sizeof(stamp), 0), ==, sizeof(stamp));
    return fd;
}

static void map(Fixture *f, int i, uint64_t page, uint64_t n, bool shm)
{
    int fd = new_buffer(f, i, n, shm);

    prepare(f, i, page, n, shm);
    g_assert_cmpint(virtio_gpu_blob_window_map(f->blobs.window, &f->m[i], fd),
                    ==, 0);
    close(fd);
    g_assert_cmpuint(*word(f, i), ==, 1000 + i);
}

static void unmap(Fixture *f, int i)
{
    g_assert_true(virtio_gpu_blob_window_unmap(f->blobs.window, &f->m[i]));
    g_assert_cmpint(f->m[i].place.fd, ==, -1);
}

/* A vCPU that has failed before tries again after a map or an unmap. */
static bool has_changed(KVMMemoryFault *fault)
{
    size_t seen = fault->seen;

    access_notifier->notify(access_notifier, fault, NULL);
    return fault->seen != seen;
}

/* One page each, with a page between; every third is shared memory. */
static void map_all(Fixture *f)
{
    for (int i = 0; i < BUFFERS; i++) {
        map(f, i, 2 * i, 1, i % 3 == 0);
    }
}

static void check_all(const Fixture *f)
{
    for (int i = 0; i < BUFFERS; i++) {
        g_assert_cmpuint(*word(f, i), ==, 1000 + i);
    }
}

static void unmap_all(Fixture *f)
{
    for (int i = 0; i < BUFFERS; i++) {
        unmap(f, i);
    }
}

/* Bytes of the window that are mapped to a file called @name */
static uint64_t mapped_to(const Fixture *f, const char *name)
{
    uintptr_t base = (uintptr_t)f->vma->base, start, end;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uint64_t found = 0;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (int i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 &&
            start >= base && end <= base + WINDOW && strstr(lines[i], name)) {
            found += end - start;
        }
    }
    return found;
}

/*
 * Memory slots: memory_region_transaction_commit() tells all listeners of each
 * section in the order of their priority, and then that the map is complete.
 */

static void tell(MemoryRegion *mr, bool before_kvm, bool commit)
{
    MemoryRegionSection section = { .mr = mr };

    for (unsigned i = 0; i < world.listeners->len; i++) {
        MemoryListener *listener = g_ptr_array_index(world.listeners, i);

        if ((listener->priority < KVM_PRIORITY) != before_kvm) {
            continue;
        }
        if (commit && listener->commit) {
            listener->commit(listener);
        } else if (!commit && listener->region_add) {
            listener->region_add(listener, &section);
        }
    }
}

static void make_slot(Fixture *f, MemoryRegion *mr, unsigned sections)
{
    while (sections--) {
        tell(mr, true, false);
        tell(mr, false, false);
    }
    tell(NULL, true, true);
    if (mr == world.window) {
        /* KVM's commit */
        g_assert_cmpuint(mapped_to(f, "test-dmabuf"), ==, 0);
    }
    tell(NULL, false, true);
}

static void test_slot(Fixture *f, gconstpointer slot_checks)
{
    map_all(f);
    for (unsigned i = 1; i <= 3; i++) {
        make_slot(f, world.window, i);
        check_all(f);
        g_assert_cmpuint(world.stops, ==, i);
        g_assert_cmpuint(world.kicks, ==, i);
    }
    g_assert_cmpuint(mapped_to(f, "test-shm"), ==, 34 * f->page);
    g_assert_cmpuint(world.errors, ==, 0);
    unmap_all(f);
}

/* If a buffer stays in the window, KVM may refuse the slot: QEMU says why. */
static void test_slot_no_memory(Fixture *f, gconstpointer slot_checks)
{
    int hole_fd = f->vma->hole_fd;

    map(f, 0, 8, 2, false);
    f->vma->hole_fd = -1;
    tell(world.window, true, false);
    f->vma->hole_fd = hole_fd;
    g_assert_cmpuint(world.errors, ==, 1);
    tell(NULL, false, true);
    g_assert_cmpuint(*word(f, 0), ==, 1000);
    /* One that could not be unmapped is not mapped again. */
    f->vma->hole_fd = -1;
    g_assert_false(virtio_gpu_blob_window_unmap(f->blobs.window, &f->m[0]));
    f->vma->hole_fd = hole_fd;
    make_slot(f, world.window, 1);
    g_assert_cmpuint(mapped_to(f, "test-dmabuf"), ==, 0);
    unmap(f, 0);
}

/* Slots of others; and a window with shared memory only */
static void test_slot_of_others(Fixture *f, gconstpointer slot_checks)
{
    KVMMemoryFault fault = { };
    MemoryRegion other = { };

    map(f, 0, 0, 1, true);
    make_slot(f, world.window, 1);
    g_assert_true(has_changed(&fault));
    g_assert_false(has_changed(&fault));
    map(f, 1, 2, 1, false);
    g_assert_true(has_changed(&fault));
    make_slot(f, &other, 1);
    g_assert_cmpuint(world.stops, ==, 0);
    unmap(f, 0);
    g_assert_true(has_changed(&fault));
    unmap(f, 1);
    make_slot(f, world.window, 1);
    g_assert_cmpuint(world.stops, ==, 0);
}

/* With no mapping left, spare mappings are freed, and the buffer is back. */
static void test_slot_at_limit(Fixture *f, gconstpointer slot_checks)
{
    g_autoptr(GPtrArray) others = g_ptr_array_new();
    void *at;

    if (virtio_gpu_blob_vma_max_mappings() > 200000) {
        g_test_skip("vm.max_map_count is too high to be reached");
        return;
    }
    map(f, 0, 8, 2, false);
    tell(world.window, true, false);
    /* Pages of one file with the same offset are not merged. */
    while ((at = mmap(NULL, f->page, PROT_NONE, MAP_SHARED, f->vma->hole_fd,
                      0)) != MAP_FAILED) {
        g_ptr_array_add(others, at);
    }
    tell(NULL, false, true);
    for (size_t i = 0; i < others->len; i++) {
        munmap(others->pdata[i], f->page);
    }
    g_assert_cmpuint(*word(f, 0), ==, 1000);
    g_assert_cmpuint(mapped_to(f, "test-dmabuf"), ==, 2 * f->page);
    unmap(f, 0);
}

/* A driver may refuse to map a buffer again: a hole stays there. */
static void test_slot_not_back(Fixture *f, gconstpointer slot_checks)
{
    int bad;

    map(f, 0, 8, 2, false);
    map(f, 1, 16, 2, false);
    bad = socket(AF_UNIX, SOCK_STREAM, 0);
    g_assert_cmpint(dup2(bad, f->m[0].place.fd), ==, f->m[0].place.fd);
    close(bad);
    make_slot(f, world.window, 1);
    g_assert_cmpuint(mapped_to(f, "test-dmabuf"), ==, 2 * f->page);
    g_assert_cmpint(f->m[0].place.fd, ==, -1);
    *word(f, 0) = 5;
    g_assert_cmpuint(*word(f, 1), ==, 1001);
    g_assert_true(virtio_gpu_blob_lost_next(&f->blobs.lost) == &f->m[0].pages);
    make_slot(f, world.window, 1);
    g_assert_null(virtio_gpu_blob_lost_next(&f->blobs.lost));
    unmap(f, 0);
    unmap(f, 1);
}

/* A buffer that has lost its pages is not mapped again. */
static void test_slot_lost(Fixture *f, gconstpointer slot_checks)
{
    map(f, 0, 8, 2, false);
    g_assert_cmpint(ftruncate(f->m[0].place.fd, 0), ==, 0);
    *word(f, 0) = 5;
    g_assert_true(qatomic_read(&f->m[0].pages.lost));
    virtio_gpu_blob_window_drop_handle(f->blobs.window, &f->m[0]);
    make_slot(f, world.window, 1);
    g_assert_cmpuint(*word(f, 0), ==, 5);
    g_assert_cmpuint(world.stops, ==, 0);
    /* Nor is one that loses them while it is mapped again. */
    map(f, 1, 16, 2, false);
    world.lost = &f->m[1];
    for (int i = 0; i < 2; i++) {
        make_slot(f, world.window, 1);
        g_assert_true(f->m[1].pages.lost);
        g_assert_cmpuint(mapped_to(f, "test-dmabuf"), ==, 0);
    }
    unmap(f, 0);
    unmap(f, 1);
}

static void *write_word(void *at)
{
    qatomic_set((uint64_t *)at, 5);
    return NULL;
}

/* Other threads wait for a mapping only while it is replaced. */
static void test_gap(Fixture *f, gconstpointer slot_checks)
{
    void *at;

    if (!f->vma->direct) {
        g_test_skip("no low addresses on this host or with this sanitizer");
        return;
    }
    map(f, 0, 8, 2, false);
    at = virtio_gpu_blob_vma_at(f->vma, &f->m[0].place);
    g_assert_cmpint(mprotect(at, f->page, PROT_NONE), ==, 0);
    g_thread_join(g_thread_new("access", write_word, at));
    g_assert_true(f->m[0].pages.lost);
    unmap(f, 0);
}

/*
 * Regions of their own
 */

/* @fd stays the caller's; what is mapped is unmapped with the region. */
static VirtIOGPUBlobReason map_region(Fixture *f, int i, int fd)
{
    void *host = mmap(NULL, f->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                      0);
    VirtIOGPUBlobReason reason;

    prepare(f, i, i, 1, false);
    reason = virtio_gpu_blob_region_map(&f->m[i], &f->container, host);
    if (reason) {
        munmap(host, f->page);
    }
    return reason;
}

/*
 * As the device does it in the main loop.  Until then, no memory region is
 * finalized: that takes the BQL.
 */
static void free_unused(unsigned n)
{
    unsigned finalized = world.finalized;

    while (world.unused) {
        VirtIOGPUBlobMapping *m = world.unused->data;

        world.unused = g_slist_delete_link(world.unused, world.unused);
        virtio_gpu_blob_lost_remove(&m->pages);
        virtio_gpu_blob_region_free(m);
        if (!m->renderer) {
            munmap((void *)(uintptr_t)m->pages.range.start,
                   virtio_gpu_blob_place_len(&m->place));
        }
    }
    g_assert_cmpuint(world.finalized, ==, finalized + n);
}

static void unmap_region(Fixture *f, int i)
{
    KVMMemoryFault fault = { };

    g_assert_true(has_changed(&fault));
    virtio_gpu_blob_region_unmap(&f->m[i], &f->container);
    g_assert_true(has_changed(&fault));
    free_unused(1);
}

/* It may be in use after it is unmapped, and lose its pages then. */
static void test_region_in_use(Fixture *f, gconstpointer slot_checks)
{
    volatile uint64_t *at; /* an access raises a signal */
    Object *obj;
    int fd = new_buffer(f, 0, 1, false);

    g_assert_cmpint(map_region(f, 0, fd), ==, VIRTIO_GPU_BLOB_OK);
    at = (uint64_t *)(uintptr_t)f->m[0].pages.range.start;
    obj = object_ref(world.owner);
    virtio_gpu_blob_region_unmap(&f->m[0], &f->container);
    g_assert_null(virtio_gpu_blob_vma_find(f->vma, 0, 0));
    g_assert_cmpint(ftruncate(fd, 0), ==, 0);
    *at = 5;
    g_assert_true(qatomic_read(&f->m[0].pages.lost));
    free_unused(0);
    object_unref(obj);
    g_assert_cmpuint(world.finalized, ==, 0);
    free_unused(1);
    close(fd);
}

/* KVM's or vhost's refusal of a slot would abort QEMU. */
static void test_region_slots(Fixture *f, gconstpointer slot_checks)
{
    static const struct {
        bool kvm;
        unsigned kvm_slots, vhost_slots;
        int granted; /* of three */
    } rows[] = {
        { false, 0, 1, 0 },
        { false, 0, 2, 3 },
        { true, 1, 6, 0 },
        { true, 5, 2, 2 },
        { true, 6, 2, 3 },
    };
    int fd = new_buffer(f, 0, 1, false), j;

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        KVMMemoryFault fault = { };

        kvm_allowed = rows[i].kvm;
        world.kvm_slots = rows[i].kvm_slots;
        world.vhost_slots = rows[i].vhost_slots;
        for (j = 0; j < 3; j++) {
            g_assert_cmpint(map_region(f, j, fd), ==, j < rows[i].granted
                            ? VIRTIO_GPU_BLOB_OK
                            : VIRTIO_GPU_BLOB_NO_MEMORY_SLOT);
            g_assert_true(has_changed(&fault) == (j < rows[i].granted));
        }
        for (j = 0; j < rows[i].granted; j++) {
            unmap_region(f, j);
        }
    }
    close(fd);
}

/* A page of the kernel's own: VM_PFNMAP, as a GPU's memory is */
static void *pfnmap_page(void)
{
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    uintptr_t start;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (int i = 0; lines[i]; i++) {
        if (strstr(lines[i], "[vvar]") &&
            sscanf(lines[i], "%" SCNxPTR, &start) == 1) {
            return (void *)start;
        }
    }
    return NULL;
}

static void test_region_pfnmap(Fixture *f, gconstpointer slot_checks)
{
    void *host = pfnmap_page();

    if (!host) {
        g_test_skip("this kernel shows no page of its own");
        return;
    }
    prepare(f, 0, 0, 1, false);
    f->m[0].renderer = true;
    g_assert_cmpint(virtio_gpu_blob_region_map(&f->m[0], &f->container, host),
                    ==, VIRTIO_GPU_BLOB_MAP_FAILED);
    f->blobs.slot_checks = false;
    g_assert_cmpint(virtio_gpu_blob_region_map(&f->m[0], &f->container, host),
                    ==, VIRTIO_GPU_BLOB_OK);
    unmap_region(f, 0);
}

static void test_region_limit(Fixture *f, gconstpointer slot_checks)
{
    const unsigned limit = VIRTIO_GPU_BLOB_REGIONS_MAX;
    g_autofree VirtIOGPUBlobMapping *m = g_new0(VirtIOGPUBlobMapping, limit);
    int fd = new_buffer(f, 0, 1, false);
    unsigned i;

    for (i = 0; i < limit; i++) {
        m[i].blobs = &f->blobs;
        m[i].place = virtio_gpu_blob_place(i * f->page, f->page);
        g_assert_cmpint(virtio_gpu_blob_region_map(&m[i], &f->container,
                            mmap(NULL, f->page, PROT_READ | PROT_WRITE,
                                 MAP_SHARED, fd, 0)), ==, VIRTIO_GPU_BLOB_OK);
    }
    g_assert_cmpint(map_region(f, 0, fd), ==, VIRTIO_GPU_BLOB_REGION_LIMIT);
    /* One that is still referred to is not in the guest's memory ... */
    virtio_gpu_blob_region_unmap(&m[0], &f->container);
    g_assert_cmpint(map_region(f, 0, fd), ==, VIRTIO_GPU_BLOB_OK);
    g_assert_cmpint(map_region(f, 1, fd), ==, VIRTIO_GPU_BLOB_REGION_LIMIT);
    /* ... but there is a limit on those, too. */
    for (i = 1; i < limit - 1; i++) {
        virtio_gpu_blob_region_unmap(&m[i], &f->container);
    }
    g_assert_cmpint(map_region(f, 1, fd), ==, VIRTIO_GPU_BLOB_OK);
    virtio_gpu_blob_region_unmap(&m[i], &f->container);
    g_assert_cmpint(map_region(f, 2, fd), ==, VIRTIO_GPU_BLOB_REGION_LIMIT);
    virtio_gpu_blob_region_unmap(&f->m[0], &f->container);
    virtio_gpu_blob_region_unmap(&f->m[1], &f->container);
    free_unused(limit + 2);
    g_assert_cmpint(map_region(f, 0, fd), ==, VIRTIO_GPU_BLOB_OK);
    unmap_region(f, 0);
    close(fd);
}

static void on_callback(struct rcu_head *head)
{
    qatomic_store_release(&world.called, true);
}

/* How long RCU's thread takes for one callback, in ms */
static int64_t callback_ms(void)
{
    static struct rcu_head head;
    int64_t start = get_clock();

    world.called = false;
    call_rcu1(&head, on_callback);
    while (!qatomic_load_acquire(&world.called)) {
        g_usleep(1000);
    }
    return (get_clock() - start) / SCALE_MS;
}

/*
 * RCU's thread may wait 50 ms for more callbacks, but not after a region was
 * unmapped.  After that it waits again, however many were unmapped.
 */
static void test_region_rcu(Fixture *f, gconstpointer slot_checks)
{
    int fd = new_buffer(f, 0, 1, false);
    bool soon = false;

    for (int i = 0; i < 20; i++) {
        g_assert_cmpint(map_region(f, 0, fd), ==, VIRTIO_GPU_BLOB_OK);
        unmap_region(f, 0);
        soon |= i % 2 && callback_ms() < 40;
    }
    g_assert_true(soon);
#if QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR < 2
    /* Later releases wait for readers only. */
    g_assert_cmpint(callback_ms(), >=, 40);
#endif
    close(fd);
}

static void add(const char *name, void (*func)(Fixture *, gconstpointer),
                gconstpointer slot_checks)
{
    g_autofree char *path = g_strdup_printf("/virtio-gpu-blob/window/%s", name);

    g_test_add(path, Fixture, slot_checks, set_up, func, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    module_call_init(MODULE_INIT_QOM);
    add("slot/made", test_slot, SLOT_CHECKS);
    add("slot/no-memory", test_slot_no_memory, SLOT_CHECKS);
    add("slot/at-limit", test_slot_at_limit, SLOT_CHECKS);
    add("slot/of-others", test_slot_of_others, SLOT_CHECKS);
    add("slot/not-back", test_slot_not_back, SLOT_CHECKS);
    add("slot/lost", test_slot_lost, SLOT_CHECKS);
    add("gap", test_gap, DIRECT);
    add("region/in-use", test_region_in_use, NULL);
    add("region/slots", test_region_slots, NULL);
    add("region/pfnmap", test_region_pfnmap, SLOT_CHECKS);
    add("region/limit", test_region_limit, NULL);
    add("region/rcu", test_region_rcu, NULL);

    return g_test_run();
}
