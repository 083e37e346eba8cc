/*
 * Scripted renderer: what looks at guest memory in QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A QEMU without hardware has no listener of a RamDiscardManager, no I/O that
 * refers to a region for long, and no confidential guest.
 */

#include "qemu/osdep.h"
#include "qapi/visitor.h"
#include "qemu/accel.h"
#include "qemu/main-loop.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/virtio/virtio-gpu.h"
#include "system/confidential-guest-support.h"
#include "scripted-renderer.h"
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/address-spaces.h"

typedef int ReplayResult;
#define REPLAYED 0
#else
#include "exec/address-spaces.h"

/* Before QEMU 10.1 the callback of replay_discarded() could not fail. */
typedef void ReplayResult;
#define REPLAYED
#endif

#define PAGE 4096

static MemoryRegion *region_at(uint64_t address)
{
    return memory_region_find(get_system_memory(), address, 1).mr;
}

/* One that listens, as VFIO does, and one that asks */
typedef struct Asker {
    RamDiscardListener rdl;
    struct scripted_shared *shared;
} Asker;

static int count_populated(MemoryRegionSection *s, void *opaque)
{
    struct scripted_shared *shared = opaque;

    shared->populated += int128_get64(s->size);
    return 0;
}

static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    return count_populated(s, container_of(rdl, Asker, rdl)->shared);
}

static ReplayResult count_discarded(MemoryRegionSection *s, void *opaque)
{
    struct scripted_shared *shared = opaque;

    shared->discarded += int128_get64(s->size);
    return REPLAYED;
}

static void ask(struct scripted_shared *shared)
{
    MemoryRegionSection found = memory_region_find(get_system_memory(),
                                                   shared->address, PAGE);
    MemoryRegion *mr = found.mr;
    RamDiscardManager *rdm = memory_region_get_ram_discard_manager(mr);
    MemoryRegionSection all = {
        .mr = mr,
        .size = int128_make64(memory_region_size(mr)),
    };
    Asker asker = { .shared = shared };

    shared->populated = shared->discarded = 0;
    ram_discard_listener_init(&asker.rdl, on_populate, NULL, true);
    ram_discard_manager_register_listener(rdm, &asker.rdl, &all);
    shared->granularity = ram_discard_manager_get_min_granularity(rdm, mr);
    shared->is_populated = ram_discard_manager_is_populated(rdm, &found);
    shared->is_protected = memory_region_is_protected(mr);
    shared->is_ram_device = memory_region_is_ram_device(mr);
    ram_discard_manager_replay_populated(rdm, &all, count_populated, shared);
    ram_discard_manager_replay_discarded(rdm, &all, count_discarded, shared);
    ram_discard_manager_unregister_listener(rdm, &asker.rdl);
    memory_region_unref(mr);
}

/* A guest that kicks the queue and resets the device at once */
static void kick_and_reset(CPUState *cpu, run_on_cpu_data data)
{
    VirtIODevice *vdev = data.host_ptr;

    virtio_queue_notify(vdev, 0);
    virtio_reset(vdev);
}

/* A guest that sets the queue up again before the main loop runs */
static void reset_and_kick(CPUState *cpu, run_on_cpu_data data)
{
    VirtIODevice *vdev = data.host_ptr;
    const hwaddr desc = virtio_queue_get_desc_addr(vdev, 0);
    const hwaddr avail = virtio_queue_get_avail_addr(vdev, 0);
    const hwaddr used = virtio_queue_get_used_addr(vdev, 0);
    const int num = virtio_queue_get_num(vdev, 0);

    virtio_reset(vdev);
    virtio_queue_set_num(vdev, 0, num);
    virtio_queue_set_rings(vdev, 0, desc, avail, used);
    virtio_queue_notify(vdev, 0);
}

/* What a thread does when it is told to release */
typedef struct Release {
    struct scripted_shared *shared;
    MemoryRegion *mr;       /* lets go of it, */
    run_on_cpu_func reset;  /* or a vCPU does this */
} Release;

/* A region is let go of without the BQL, as I/O in a thread of its own ends. */
static void *release_when_told(void *opaque)
{
    g_autofree Release *r = opaque;
    Object *gpu;

    while (qatomic_read(&r->shared->watch) != SCRIPTED_WATCH_RELEASE) {
        g_usleep(500);
    }
    if (r->mr) {
        memory_region_unref(r->mr);
    } else {
        bql_lock();
        gpu = object_resolve_path_type("", TYPE_VIRTIO_GPU_GL, NULL);
        run_on_cpu(first_cpu, r->reset, RUN_ON_CPU_HOST_PTR(gpu));
        bql_unlock();
    }
    r->shared->watch = 0;
    return NULL;
}

/* As long as it is not told, commands may have to wait. */
static void prepare_release(Release r)
{
    g_thread_unref(g_thread_new("release", release_when_told,
                                g_memdup2(&r, sizeof(r))));
}

/*
 * Threads that use the window as vhost does, without a lock.  What a page may
 * show: see gpu_users_go().
 */
#define USERS 2
#define USER_IDS 1024
#define USER_MARK 0x77000000u

typedef struct Users {
    MemoryRegion *mr;
    struct scripted_shared *shared;
} Users;

static void end_user(Users *users)
{
    memory_region_unref(users->mr);
    qatomic_dec(&users->shared->users);
}

static bool belongs(const uint32_t *word, uint32_t page)
{
    uint32_t id = qatomic_read(&word[1]), first = qatomic_read(&word[0]);
    uint32_t mark = qatomic_read(&word[3]);

    return (!id || ((id ^ 0x5a5a) - 1) % USER_IDS == page) &&
           (!first || first == (uint32_t)scripted_stamp(0, 0)) &&
           mark - (mark ? USER_MARK : 0) < USER_IDS;
}

static void use_page(Users *users, uint32_t *word, uint32_t page)
{
    if (!belongs(word, page)) {
        qatomic_inc(&users->shared->use_foreign);
    }
    qatomic_inc(&word[2]);
    qatomic_set(&word[3], USER_MARK | page);
}

static void *use(void *opaque)
{
    g_autofree Users *users = opaque;
    uint8_t *start = memory_region_get_ram_ptr(users->mr);
    uint64_t i, n;

    while ((n = qatomic_read(&users->shared->use_pages))) {
        for (i = 0; i < n; i++) {
            use_page(users, (uint32_t *)(start + i * PAGE), i);
        }
        qatomic_inc(&users->shared->use_turns);
        /* others want the processor, too */
        g_usleep(20);
    }
    end_user(users);
    return NULL;
}

/*
 * A thread that maps memory wherever the kernel likes.  If that were in a gap
 * of the window, a hole would be mapped over it.
 */
static void *map_elsewhere(void *opaque)
{
    g_autofree Users *users = opaque;
    uint8_t *start = memory_region_get_ram_ptr(users->mr);
    uint64_t size = memory_region_size(users->mr), turn = 0;

    while (qatomic_read(&users->shared->use_pages)) {
        uint64_t *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        bool inside = (uint8_t *)page >= start &&
                      (uint8_t *)page < start + size;

        qatomic_set(page, ++turn);
        g_usleep(20);
        if (inside || qatomic_read(page) != turn) {
            qatomic_inc(&users->shared->use_landed);
        }
        munmap(page, PAGE);
        qatomic_inc(&users->shared->use_mapped);
    }
    end_user(users);
    return NULL;
}

static void start_users(struct scripted_shared *shared)
{
    unsigned i;

    for (i = 0; i < 2 * USERS; i++) {
        Users *users = g_new(Users, 1);
        QemuThread thread;

        users->shared = shared;
        users->mr = region_at(shared->address);
        qatomic_inc(&shared->users);
        qemu_thread_create(&thread, "user", i < USERS ? use : map_elsewhere,
                           users, QEMU_THREAD_DETACHED);
    }
}

/*
 * KVM's listener, and its kernel where it refuses a slot over VM_PFNMAP: what
 * stands in for dma-bufs here is taken for such.  QEMU aborts then.
 */
typedef struct Slots {
    MemoryListener listener;
    GArray *added;
    struct scripted_shared *shared;
} Slots;

static void slots_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Slots *slots = container_of(listener, Slots, listener);

    if (!strcmp(memory_region_name(section->mr), "virtio-gpu-blob-window")) {
        g_array_append_val(slots->added, *section);
    }
}

static void make_slot(Slots *slots, const MemoryRegionSection *s)
{
    uintptr_t from = (uintptr_t)memory_region_get_ram_ptr(s->mr) +
                     s->offset_within_region;
    uintptr_t to = from + int128_get64(s->size), start, end;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int i;

    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2 &&
            start < to && end > from &&
            strstr(lines[i], SCRIPTED_BUFFER_NAME)) {
            fprintf(stderr, "scripted KVM: error registering slot\n");
            abort();
        }
    }
    slots->shared->slots++;
}

/* The flags of a slot change: it is refused just as a new one. */
static void slots_log_start(MemoryListener *listener, MemoryRegionSection *s,
                            int old, int new)
{
    Slots *slots = container_of(listener, Slots, listener);

    slots->shared->logged++;
    if (!strcmp(memory_region_name(s->mr), "virtio-gpu-blob-window")) {
        make_slot(slots, s);
    }
}

static void slots_commit(MemoryListener *listener)
{
    Slots *slots = container_of(listener, Slots, listener);
    unsigned i;

    for (i = 0; i < slots->added->len; i++) {
        make_slot(slots, &g_array_index(slots->added, MemoryRegionSection, i));
    }
    g_array_set_size(slots->added, 0);
}

/* Until QEMU ends */
static void watch_slots(struct scripted_shared *shared)
{
    Slots *slots = g_new0(Slots, 1);

    slots->shared = shared;
    slots->added = g_array_new(false, false, sizeof(MemoryRegionSection));
    slots->listener = (MemoryListener) {
        .name = "scripted-slots",
        .priority = MEMORY_LISTENER_PRIORITY_ACCEL,
        .region_add = slots_add,
        .log_start = slots_log_start,
        .commit = slots_commit,
    };
    memory_listener_register(&slots->listener, &address_space_memory);
}

static void get_pat(Object *obj, Visitor *v, const char *name, void *opaque,
                    Error **errp)
{
    char *word = opaque;

    visit_type_str(v, name, &word, errp);
}

/* As QEMU 11 has it */
static void add_pat(const char *word)
{
    object_property_add(OBJECT(current_machine->accelerator),
                        "honor-guest-pat", "OnOffAuto",
                        word ? get_pat : NULL, NULL, NULL, (void *)word);
}

void scripted_watch(struct scripted_shared *shared)
{
    static const char *const pats[] = { "off", "on", "auto", NULL };

    switch (shared->watch) {
    case SCRIPTED_WATCH_PIN:
        shared->pin_refused = ram_block_discard_disable(true) != 0;
        break;
    case SCRIPTED_WATCH_UNPIN:
        ram_block_discard_disable(false);
        break;
    case SCRIPTED_WATCH_ASK:
        ask(shared);
        break;
    case SCRIPTED_WATCH_HOLD:
        prepare_release((Release) { shared, region_at(shared->address) });
        break;
    case SCRIPTED_WATCH_VCPU_RESET:
        prepare_release((Release) { shared, .reset = kick_and_reset });
        break;
    case SCRIPTED_WATCH_VCPU_RENEW:
        prepare_release((Release) { shared, .reset = reset_and_kick });
        break;
    case SCRIPTED_WATCH_USE:
        start_users(shared);
        break;
    case SCRIPTED_WATCH_SLOTS:
        watch_slots(shared);
        break;
    case SCRIPTED_WATCH_CONFIDENTIAL:
        current_machine->cgs->ready = true;
        break;
    case SCRIPTED_WATCH_STRANGE:
        /* An accelerator that is built, and does not run the guest */
        current_machine->accelerator =
            ACCEL(object_new(ACCEL_CLASS_NAME("kvm")));
        break;
    case SCRIPTED_WATCH_PAT_OFF ... SCRIPTED_WATCH_PAT_BLIND:
        add_pat(pats[shared->watch - SCRIPTED_WATCH_PAT_OFF]);
        break;
    default:
        abort();
    }
}
