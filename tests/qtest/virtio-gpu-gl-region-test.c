/*
 * qtest for virtio-gpu-gl: what cannot be in the window, and what other users
 * of guest memory find of blobs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Shared memory that only the renderer has mapped is mapped a second time.  A
 * driver's is mapped by the renderer at an address that it is told, as
 * virglrenderer can from 1.3 on; or has a memory region of its own.  No buffer
 * of a GPU is memory that stays: a device that does DMA by itself is told that
 * nothing is there.
 */

#include "qemu/osdep.h"
#include "libqos/libqos-malloc.h"
#include "standard-headers/linux/virtio_balloon.h"
#include "virtio-gpu-gl-client.h"

/* More than there can be regions */
#define MANY 2000
#define PAGES 4

/* Nothing stays with the renderer. */
static void check_many(GPU *gpu, GPUBatch put)
{
    struct scripted_shared *s = gpu->shared;

    gpu_batch_all(gpu, put, 1, MANY, OK);
    gpu_batch_all(gpu, gpu_put_map_next, 1, MANY, GRANTED);
    gpu_check_path(gpu, "window");
    g_assert_cmpuint(s->maps, ==, s->unmaps);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, MANY);
    for (unsigned i = 1; i <= MANY; i += 77) {
        g_assert_true(gpu_shows(gpu, i * GPU_PAGE, i, 0));
        gpu_write(gpu, i * GPU_PAGE + 8, i);
        g_assert_cmphex(gpu_buffer_read(gpu, i, 8), ==, i);
    }
    gpu_batch_all(gpu, gpu_put_unmap, 1, MANY, OK);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
    gpu_batch_all(gpu, gpu_put_unref, 1, MANY, OK);
}

static unsigned put_pointer(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, POINTER, GPU_PAGE);
}

static void test_many(GPU *gpu)
{
    check_many(gpu, put_pointer);
    if (GPU_LOW) {
        gpu->shared->map_fixed = SCRIPTED_FIXED_GOOD;
        check_many(gpu, gpu_put_drivers);
    }
}

/* Another device needs all RAM pinned; false if it cannot be. */
static bool try_to_pin(GPU *gpu)
{
    gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    return !gpu->shared->pin_refused;
}

static void unpin(GPU *gpu)
{
    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
}

/* Waits until all that was mapped is gone. */
static void pin(GPU *gpu)
{
    while (!try_to_pin(gpu)) {
        g_usleep(1000);
    }
}

/* A buffer of some pages that the renderer maps as told */
static void check_kind(GPU *gpu, unsigned memory, uint32_t fixed,
                       const char *path)
{
    unsigned before = gpu_count_maps(gpu, "");
    bool region = !strcmp(path, "region");

    g_test_message("memory %u, map_fixed %u", memory, fixed);
    gpu->shared->map_fixed = fixed;
    gpu_map_new(gpu, 1, POINTER_BUT(.memory = memory), PAGES * GPU_PAGE,
                GPU_PAGE);
    gpu_check_path(gpu, path);
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_true(gpu_shows(gpu, (i + 1) * GPU_PAGE, 1, i));
    }
    gpu_write(gpu, GPU_PAGE + 8, 77);
    g_assert_cmphex(gpu_buffer_read(gpu, 1, 8), ==,
                    region && memory == MEMORY_PRIVATE ? 0 : 77);
    /* No more of it is mapped, in the window or anywhere. */
    g_assert_cmphex(gpu_read(gpu, (PAGES + 1) * GPU_PAGE), ==, 0);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==,
                     region && memory == MEMORY_TWO ? 2 : 1);
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    while (gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME)) {
        g_usleep(1000);
    }
    g_assert_true(!GPU_MEMORY_TELLS ||
                  gpu_count_maps(gpu, "") <= before + 2);
}

/* Where a buffer is that the renderer can map at a given, low address */
#define FIXED_PATH (GPU_LOW ? "window" : "region")

/* What mremap() finds of its mapping, and how it maps where it is told */
static void test_renderers(void)
{
    static const unsigned others[] = {
        MEMORY_DRIVER, MEMORY_PRIVATE, MEMORY_TWO,
    };
    GPU *gpu = gpu_start_plain();
    uint32_t how;

    check_kind(gpu, MEMORY_SHARED, SCRIPTED_FIXED_NONE, "window");
    for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
        check_kind(gpu, others[i], SCRIPTED_FIXED_NONE, "region");
        check_kind(gpu, others[i], SCRIPTED_FIXED_GOOD, FIXED_PATH);
    }
    check_kind(gpu, MEMORY_DRIVER, SCRIPTED_FIXED_LONG, FIXED_PATH);
    for (how = SCRIPTED_FIXED_SHORT; how < SCRIPTED_FIXED__MAX; how++) {
        check_kind(gpu, MEMORY_DRIVER, how, "region");
    }
    /* It has mapped all, but the buffer has lost all pages but the first. */
    gpu->shared->map_fixed = SCRIPTED_FIXED_GOOD;
    gpu_create(gpu, 1, DRIVERS, PAGES * GPU_PAGE);
    gpu_buffer_truncate(gpu, 1, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_check_path(gpu, "region");
    gpu_unref(gpu, 1);
    /* If QEMU's memory is locked, mremap() fails with EAGAIN. */
    gpu_fail(gpu, SCRIPTED_GROW, 0, 1);
    gpu->shared->fail.error = EAGAIN;
    check_kind(gpu, MEMORY_SHARED, SCRIPTED_FIXED_NONE, "window");
    g_assert_cmpuint(gpu->shared->fail.count, ==, 0);
    gpu_finish(gpu);

    /* Where slots are made anew, what is mapped so could not come back. */
    gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .kvm = SCRIPTED_KVM_PLAIN,
        .cpu = SCRIPTED_CPU_ARM64,
    });
    check_kind(gpu, MEMORY_SHARED, SCRIPTED_FIXED_NONE, "window");
    check_kind(gpu, MEMORY_DRIVER, SCRIPTED_FIXED_GOOD, "region");
    gpu_finish(gpu);
}

/* A buffer is shown in a region if it cannot be in the window. */
static void test_no_memory(GPU *gpu)
{
    static const struct {
        ScriptedBlob blob;
        uint32_t kinds;
    } rows[] = {
        { POINTER, SCRIPTED_MAP_AGAIN }, { POINTER, SCRIPTED_MOVE },
        { POINTER, SCRIPTED_MAP_RESERVE }, { POINTER, SCRIPTED_MAP_STORE },
        { DRIVERS, SCRIPTED_MAP_RESERVE }, { DRIVERS, SCRIPTED_MAP_STORE },
        { DRIVERS, SCRIPTED_MOVE },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        bool drivers = rows[i].blob.memory == MEMORY_DRIVER;

        if (drivers && !GPU_LOW) {
            continue;
        }
        g_test_message("%zu", i);
        gpu->shared->map_fixed = drivers ? SCRIPTED_FIXED_GOOD
                                             : SCRIPTED_FIXED_NONE;
        /* The spare mappings are used, and are to be made again. */
        gpu_map_new(gpu, 1, rows[i].blob, GPU_PAGE, 0);
        gpu_check_path(gpu, "window");
        gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        gpu_fail(gpu, rows[i].kinds, 0, 100);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_fail(gpu, 0, 0, 0);
        gpu_check_path(gpu, "region");
        g_assert_true(gpu_shows(gpu, 0, 1, 0));
        g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
        gpu_write(gpu, 0, 1);
        /* None of that counts as mapped. */
        pin(gpu);
        unpin(gpu);
    }
}

#define REGIONS_MAX 1536

static void test_limit(GPU *gpu)
{
    uint32_t id, i;

    gpu_batch_all(gpu, gpu_put_drivers, 1, REGIONS_MAX + 2, OK);
    gpu_batch_all(gpu, gpu_put_map_next, 1, REGIONS_MAX, GRANTED);
    gpu_batch_all(gpu, gpu_put_map_next, REGIONS_MAX + 1, 2, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "region-limit"), ==, 2);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 2);
    /* Nothing is left of a second mapping, either. */
    gpu_create(gpu, 2000, POINTER, GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_MOVE, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 2000, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "region-limit"), ==, 3);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==,
                     REGIONS_MAX);
    gpu_unref(gpu, 2000);
    for (id = 1; id <= REGIONS_MAX; id += 17) {
        g_assert_true(gpu_shows(gpu, id * GPU_PAGE, id, 0));
        gpu_write(gpu, id * GPU_PAGE + 8, id);
        g_assert_cmphex(gpu_buffer_read(gpu, id, 8), ==, id);
    }

    /* One goes, one comes; others with an fd are not concerned. */
    gpu_map_new(gpu, 2000, BUFFER, GPU_PAGE, 2000 * GPU_PAGE);
    for (i = 0; i < 10; i++) {
        uint32_t out = i % 2 ? REGIONS_MAX + 1 : 5;
        uint32_t in = i % 2 ? 5 : REGIONS_MAX + 1;

        g_assert_cmphex(gpu_unmap(gpu, out), ==, OK);
        g_assert_cmphex(gpu_map(gpu, in, 5 * GPU_PAGE, NULL), ==, GRANTED);
        g_assert_true(gpu_shows(gpu, 5 * GPU_PAGE, in, 0));
    }
    gpu_unref(gpu, 2000);

    gpu_batch_all(gpu, gpu_put_unmap, 100, 8, OK);
    /* Each takes RCU's time; all together go with a reset. */
    gpu_reset(gpu);
    gpu_map_new(gpu, 1, DRIVERS, GPU_PAGE, GPU_PAGE);
    gpu_unref(gpu, 1);
}

/* Only the blob's own pages are shown: what follows may be anything. */
static void test_odd_size(GPU *gpu)
{
    gpu_map_new(gpu, 1, DRIVERS, GPU_PAGE + 100, 0);
    gpu_create(gpu, 2, DRIVERS_BUT(.pointer = POINTER_EXACT), GPU_PAGE + 100);
    g_assert_cmphex(gpu_map(gpu, 2, 4 * GPU_PAGE, NULL), ==,
                    VIRTIO_GPU_RESP_ERR_UNSPEC);
    gpu_map_new(gpu, 3, BUFFER, GPU_PAGE + 100, 2 * GPU_PAGE);
    g_assert_true(gpu_shows(gpu, 3 * GPU_PAGE, 3, 1));
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_unref(gpu, 3);
}

/*
 * I/O in flight still refers to the region: its end is answered, and other
 * commands are; only what the renderer cannot do before then waits.
 */
static void check_held(GPU *gpu, bool unref)
{
    struct scripted_shared *s = gpu->shared;
    unsigned slot;

    gpu_map_new(gpu, 1, DRIVERS, GPU_PAGE, GPU_PAGE);
    gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
    g_assert_cmphex(unref ? gpu_unref(gpu, 1) : gpu_unmap(gpu, 1), ==, OK);
    g_assert_false(gpu_shows(gpu, GPU_PAGE, 1, 0));
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, unref ? BAD_ID : BAD);

    /* Others come and go, at the same place too. */
    gpu_map_new(gpu, 2, DRIVERS, GPU_PAGE, GPU_PAGE);
    g_assert_true(gpu_shows(gpu, GPU_PAGE, 2, 0));
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    gpu_map_new(gpu, 3, BUFFER, GPU_PAGE, GPU_PAGE);
    g_assert_cmphex(gpu_unref(gpu, 3), ==, OK);

    slot = unref ? gpu_put_create(gpu, 1, DRIVERS, GPU_PAGE)
                 : gpu_put_map(gpu, 1, GPU_PAGE);
    gpu_kick(gpu);
    /* The other region goes. */
    while (s->maps != s->unmaps + 1) {
        gpu_settle(gpu);
    }
    gpu_settle(gpu);
    g_assert_false(gpu_is_done(gpu, slot));
    gpu_release(gpu);
    g_assert_cmphex(gpu_answer(gpu, slot), ==, unref ? OK : GRANTED);
    g_assert_cmpuint(s->maps, ==, s->unmaps + !unref);
    gpu_unref(gpu, 1);
}

static void test_held(GPU *gpu)
{
    check_held(gpu, false);
    check_held(gpu, true);
}

/* A resource that goes after its unmap, while the region is held */
static void test_held_unref(GPU *gpu)
{
    static const uint32_t creates[] = {
        VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, VIRTIO_GPU_CMD_RESOURCE_CREATE_3D,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(creates); i++) {
        unsigned slot;

        gpu_map_new(gpu, 1, DRIVERS, GPU_PAGE, GPU_PAGE);
        gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, BAD_ID);
        slot = gpu_put_simple(gpu, creates[i], 1);
        gpu_kick(gpu);
        gpu_settle(gpu);
        g_assert_false(gpu_is_done(gpu, slot));
        gpu_release(gpu);
        gpu_answer(gpu, slot);
        gpu_reset(gpu);
    }
}

/* The device is reset meanwhile, before or after its unmap. */
static void test_held_reset(GPU *gpu)
{
    struct scripted_shared *s;
    unsigned i, slot;

    s = gpu->shared;
    for (i = 0; i < 2; i++) {
        gpu_create(gpu, 1, DRIVERS, GPU_PAGE);
        gpu_create(gpu, 2, DRIVERS, GPU_PAGE);
        gpu_map(gpu, 1, GPU_PAGE, NULL);
        gpu_map(gpu, 2, 2 * GPU_PAGE, NULL);
        gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
        if (i) {
            gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1);
            gpu_kick(gpu);
            gpu_wait_live(gpu, 1);
        }
        gpu_reset(gpu);
        /* What is not held goes at once. */
        while (s->unmaps < s->maps - 1) {
            gpu_settle(gpu);
        }
        g_assert_false(gpu_shows(gpu, GPU_PAGE, 1, 0));
        g_assert_false(gpu_shows(gpu, 2 * GPU_PAGE, 2, 0));
        /* The renderer is left alone until then. */
        slot = gpu_put_create(gpu, 1, DRIVERS, GPU_PAGE);
        gpu_kick(gpu);
        gpu_settle(gpu);
        g_assert_false(gpu_is_done(gpu, slot));
        gpu_release(gpu);
        g_assert_cmphex(gpu_answer(gpu, slot), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
        g_assert_true(gpu_shows(gpu, GPU_PAGE, 1, 0));
        gpu_unref(gpu, 1);
        while (s->maps != s->unmaps) {
            gpu_settle(gpu);
        }
    }
}

/* Where the renderer has lent nothing, a reset waits for nothing. */
static void test_held_own(GPU *gpu)
{
    gpu_watch(gpu, SCRIPTED_WATCH_PIN, 0);
    for (unsigned i = 0; i < 2; i++) {
        gpu_map_new(gpu, 1, i ? POINTER : BUFFER, GPU_PAGE, GPU_PAGE);
        gpu_check_path(gpu, "region");
        gpu_watch(gpu, SCRIPTED_WATCH_HOLD, GPU_PAGE);
        gpu_reset(gpu);
        gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, GPU_PAGE);
        gpu_release(gpu);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    }
    gpu_watch(gpu, SCRIPTED_WATCH_UNPIN, 0);
}

/* Whose region it is in does not matter to a reset; to an unref, its own. */
static void test_backing_in_region(GPU *gpu)
{
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmphex(gpu_create(gpu, 1, DRIVERS, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_create(gpu, 2, DRIVERS, GPU_PAGE), ==, OK);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        g_assert_cmphex(gpu_attach_backing(gpu, 1 + i / 2, gpu->window,
                                           1), ==, OK);
        if (i % 2) {
            gpu_put_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, 1);
            gpu_kick(gpu);
            gpu_wait_live(gpu, 0);
        }
        gpu_reset(gpu);
        gpu_map_new(gpu, 1, DRIVERS, GPU_PAGE, 0);
        g_assert_cmphex(gpu_attach_backing(gpu, 1, gpu->window, 1), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    }
}

/*
 * DMA
 */

static void check_nothing_there(GPU *gpu, uint64_t offset, uint64_t length)
{
    struct scripted_shared *s = gpu->shared;

    gpu_watch(gpu, SCRIPTED_WATCH_ASK, offset);
    g_assert_false(s->is_populated);
    g_assert_cmpuint(s->populated, ==, 0);
    g_assert_cmpuint(s->discarded, ==, length);
    g_assert_cmpuint(s->granularity, ==, GPU_PAGE);
    g_assert_true(s->is_protected);
}

static void map_two(GPU *gpu, uint32_t id, ScriptedBlob blob, uint64_t offset)
{
    gpu_map_new(gpu, id, blob, 2 * GPU_PAGE, offset);
}

/* Neither one that asks nor one that listens is told of a buffer. */
static void test_told_nothing(GPU *gpu)
{
    for (size_t i = 0; i < GPU_KINDS; i++) {
        bool region = !strcmp(gpu_kinds[i].path, "region");

        g_test_message("%s", gpu_kinds[i].name);
        map_two(gpu, 1, gpu_kinds[i].blob, 0);
        gpu_check_path(gpu, gpu_kinds[i].path);
        check_nothing_there(gpu, 0, region ? 2 * GPU_PAGE : WINDOW);
        gpu_buffer_truncate(gpu, 1, 0);
        gpu_write(gpu, 0, 1);
        gpu_settle(gpu);
        check_nothing_there(gpu, 0, region ? 2 * GPU_PAGE : WINDOW);
        gpu_unref(gpu, 1);
        check_nothing_there(gpu, 0, WINDOW);
    }
}

/* A driver that pins all RAM cannot come while anything is mapped. */
static void test_required(GPU *gpu)
{
    g_assert_true(try_to_pin(gpu));
    unpin(gpu);
    for (size_t i = 0; i < GPU_KINDS; i++) {
        g_test_message("%s", gpu_kinds[i].name);
        map_two(gpu, 1, gpu_kinds[i].blob, 0);
        map_two(gpu, 2, gpu_kinds[i].blob, 4 * GPU_PAGE);
        g_assert_false(try_to_pin(gpu));
        g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
        g_assert_false(try_to_pin(gpu));
        /* One that is not mapped in the end does not count. */
        gpu_create(gpu, 3, BUFFER_BUT(.mmap = MMAP_ENODEV), GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 3, 0, NULL), ==, UNSPEC);
        gpu_unref(gpu, 3);
        gpu_unref(gpu, 1);
        if (i % 2) {
            gpu_unref(gpu, 2);
        } else {
            gpu_reset(gpu);
        }
        pin(gpu);
        unpin(gpu);
    }
}

/* Where it came first, blobs have regions whose DMA is bounced. */
static void test_pinned(GPU *gpu)
{
    gpu->shared->map_fixed = SCRIPTED_FIXED_GOOD;
    pin(gpu);
    for (size_t i = 0; i < GPU_KINDS; i++) {
        g_test_message("%s", gpu_kinds[i].name);
        map_two(gpu, 1, gpu_kinds[i].blob, 0);
        gpu_check_path(gpu, "region");
        g_assert_true(gpu_shows(gpu, 0, 1, 0));
        gpu_write(gpu, 8, 77);
        g_assert_cmphex(gpu_buffer_read(gpu, 1, 8), ==, 77);
        check_nothing_there(gpu, 0, 2 * GPU_PAGE);
        g_assert_true(gpu->shared->is_ram_device);
        gpu_unref(gpu, 1);
    }
    gpu_create(gpu, 1, BUFFER_BUT(.mmap = MMAP_EINVAL), GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, UNSPEC);
    g_assert_cmpuint(gpu_refused(gpu, "map-failed"), ==, 1);
    gpu_unref(gpu, 1);

    unpin(gpu);
    map_two(gpu, 1, SHM(), 0);
    gpu_check_path(gpu, "window");
    check_nothing_there(gpu, 0, WINDOW);
    g_assert_false(gpu->shared->is_ram_device);
    gpu_unref(gpu, 1);
}

/* A dump has nothing of the window, and does not make QEMU grow. */
static void test_dump(GPU *gpu)
{
    const uint64_t far = 4096 * GPU_MIB;
    g_autofree char *file = NULL, *uri = NULL, *text = NULL;
    int fd = g_file_open_tmp("dump-XXXXXX", &file, NULL);
    uint64_t before;
    gsize len;

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    for (size_t i = 0; i < GPU_KINDS; i++) {
        map_two(gpu, i + 1, gpu_kinds[i].blob, far + 2 * i * GPU_PAGE);
    }
    before = gpu_memory(gpu);
    uri = g_strdup_printf("file:%s", file);
    qtest_qmp_assert_success(gpu->qts, "{ 'execute': 'dump-guest-memory',"
                             " 'arguments': { 'paging': false,"
                             " 'protocol': %s } }", uri);
    g_assert_true(g_file_get_contents(file, &text, &len, NULL));
    unlink(file);
    g_test_message("%zu bytes", (size_t)len);
    g_assert_cmpuint(len, <, 256 * GPU_MIB);
    for (size_t i = 0; i < GPU_KINDS; i++) {
        uint64_t stamp = scripted_stamp(i + 1, 1);

        g_assert_null(memmem(text, len, &stamp, sizeof(stamp)));
        gpu_unref(gpu, i + 1);
    }
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(gpu_memory(gpu), <=, before + 16 * GPU_MIB);
    }
}

/*
 * A balloon: a guest gives pages back to QEMU, which lets go of what is in
 * them.  What a device shows in the window is not the guest's to give back.
 */

#define TIMEOUT_US (10 * G_USEC_PER_SEC)
#define INFLATE 0
#define DEFLATE 1
/* The statistics' queue is before it; that for free page hints is not there */
#define REPORT 3

typedef struct Balloon {
    GPU *gpu;
    QTestState *qts;
    QGuestAllocator memory;
    QVirtioPCIDevice *dev;
    QVirtQueue *queues[REPORT + 1];
} Balloon;

static void balloon_start(Balloon *b)
{
    QVirtioDevice *vdev;

    b->gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW,
        .args = "-device virtio-balloon-pci,addr=11.0,disable-legacy=on,"
                "free-page-reporting=on",
    });
    b->qts = b->gpu->qts;
    alloc_init(&b->memory, 0, GPU_SCRATCH + 8 * GPU_MIB, GPU_SCRATCH_END,
               GPU_PAGE);
    b->dev = virtio_pci_new(b->gpu->bus, &(QPCIAddress) {
        .devfn = QPCI_DEVFN(0x11, 0),
    });
    qvirtio_pci_device_enable(b->dev);
    vdev = &b->dev->vdev;
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, 1ull << VIRTIO_F_VERSION_1 |
                         1ull << VIRTIO_BALLOON_F_REPORTING);
    for (unsigned i = 0; i <= REPORT; i++) {
        b->queues[i] = qvirtqueue_setup(vdev, &b->memory, i);
    }
    qvirtio_set_driver_ok(vdev);
}

static void balloon_stop(Balloon *b)
{
    for (unsigned i = 0; i <= REPORT; i++) {
        qvirtqueue_cleanup(b->dev->vdev.bus, b->queues[i], &b->memory);
    }
    qos_object_destroy((QOSGraphObject *)b->dev);
    alloc_destroy(&b->memory);
    gpu_finish(b->gpu);
}

/* Hands over one buffer; returns how often QEMU let go of something. */
static unsigned hand_over(Balloon *b, unsigned queue, uint64_t addr,
                          uint32_t len, bool write)
{
    QVirtQueue *vq = b->queues[queue];
    uint64_t before = b->gpu->shared->dontneeds;
    uint32_t head = qvirtqueue_add(b->qts, vq, addr, len, write, false);

    qvirtqueue_kick(b->qts, &b->dev->vdev, vq, head);
    qvirtio_wait_used_elem(b->qts, &b->dev->vdev, vq, head, NULL, TIMEOUT_US);
    return b->gpu->shared->dontneeds - before;
}

static unsigned hand_over_page(Balloon *b, unsigned queue, uint64_t addr)
{
    uint32_t *pfn = gpu_ram(b->gpu, GPU_SCRATCH);

    *pfn = addr >> VIRTIO_BALLOON_PFN_SHIFT;
    return hand_over(b, queue, GPU_SCRATCH, sizeof(*pfn), false);
}

/* A blob in the window, one in a region, and a hole */
static void map_blobs(GPU *gpu)
{
    gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, 0);
    gpu_map_new(gpu, 2, DRIVERS, GPU_PAGE, GPU_PAGE);
}

static void check_blobs(GPU *gpu)
{
    g_assert_true(gpu_shows(gpu, 0, 1, 0));
    g_assert_true(gpu_shows(gpu, GPU_PAGE, 2, 0));
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
}

static void test_balloon(void)
{
    const uint64_t page = GPU_SCRATCH + GPU_PAGE;
    uint8_t *ram;
    Balloon b;

    balloon_start(&b);
    map_blobs(b.gpu);
    ram = gpu_ram(b.gpu, page);
    /* The guest's own memory goes */
    *ram = 1;
    g_assert_cmpuint(hand_over_page(&b, INFLATE, page), ==, 1);
    g_assert_cmphex(*ram, ==, 0);
    *ram = 1;
    g_assert_cmpuint(hand_over(&b, REPORT, page, GPU_PAGE, true), ==, 1);
    g_assert_cmphex(*ram, ==, 0);
    for (unsigned i = 0; i < 3; i++) {
        const uint64_t addr = b.gpu->window + i * GPU_PAGE;

        g_assert_cmpuint(hand_over_page(&b, INFLATE, addr), ==, 0);
        g_assert_cmpuint(hand_over_page(&b, DEFLATE, addr), ==, 0);
        g_assert_cmpuint(hand_over(&b, REPORT, addr, GPU_PAGE, true), ==, 0);
    }
    check_blobs(b.gpu);
    balloon_stop(&b);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "many", test_many },
        { "renderers", .alone = test_renderers },
        { "no-memory", test_no_memory, { .kernel = SCRIPTED_KERNEL_OLD } },
        { "limit", test_limit },
        { "odd-size", test_odd_size },
        { "held", test_held },
        { "held-unref", test_held_unref },
        { "held-reset", test_held_reset },
        { "held-own", test_held_own },
        { "backing-in-region", test_backing_in_region },
        { "told-nothing", test_told_nothing },
        { "required", test_required },
        { "pinned", test_pinned },
        { "dump", test_dump, { .hostmem = 8192 * GPU_MIB } },
        { "balloon", .alone = test_balloon },
    };

    return gpu_run_tests(argc, argv, "region", tests, G_N_ELEMENTS(tests));
}
