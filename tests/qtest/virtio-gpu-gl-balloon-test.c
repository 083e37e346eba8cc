/*
 * qtest for virtio-gpu-gl: a balloon beside it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest gives pages back to QEMU, which lets go of what is in them.  What
 * a device shows in the window is not the guest's to give back.
 */

#include "qemu/osdep.h"
#include "libqos/libqos-malloc.h"
#include "libqos/pci-pc.h"
#include "libqos/virtio-pci.h"
#include "standard-headers/linux/virtio_balloon.h"
#include "virtio-gpu-gl-client.h"

#define TIMEOUT_US (10 * G_USEC_PER_SEC)
#define INFLATE 0
#define DEFLATE 1
/* The statistics' queue is before it; that for free page hints is not there */
#define REPORT 3

typedef struct Balloon {
    GPU *gpu;
    QTestState *qts;
    QGuestAllocator memory;
    QPCIBus *bus;
    QVirtioPCIDevice *dev;
    QVirtQueue *queues[REPORT + 1];
} Balloon;

static void balloon_start(Balloon *b)
{
    QVirtioDevice *vdev;
    unsigned i;

    b->gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW,
        .args = "-device virtio-balloon-pci,addr=11.0,disable-legacy=on,"
                "free-page-reporting=on",
    });
    b->qts = gpu_qts(b->gpu);
    alloc_init(&b->memory, 0, GPU_SCRATCH + 8 * GPU_MIB, GPU_SCRATCH_END,
               GPU_PAGE);
    b->bus = qpci_new_pc(b->qts, &b->memory);
    b->dev = virtio_pci_new(b->bus, &(QPCIAddress) {
        .devfn = QPCI_DEVFN(0x11, 0),
    });
    qvirtio_pci_device_enable(b->dev);
    vdev = &b->dev->vdev;
    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, 1ull << VIRTIO_F_VERSION_1 |
                         1ull << VIRTIO_BALLOON_F_REPORTING);
    for (i = 0; i <= REPORT; i++) {
        b->queues[i] = qvirtqueue_setup(vdev, &b->memory, i);
    }
    qvirtio_set_driver_ok(vdev);
}

static void balloon_stop(Balloon *b)
{
    unsigned i;

    for (i = 0; i <= REPORT; i++) {
        qvirtqueue_cleanup(b->dev->vdev.bus, b->queues[i], &b->memory);
    }
    qos_object_destroy((QOSGraphObject *)b->dev);
    qpci_free_pc(b->bus);
    alloc_destroy(&b->memory);
    gpu_finish(b->gpu);
}

/* Hands over one buffer; returns how often QEMU let go of something. */
static unsigned hand_over(Balloon *b, unsigned queue, uint64_t addr,
                          uint32_t len, bool write)
{
    QVirtQueue *vq = b->queues[queue];
    uint64_t before = gpu_shared(b->gpu)->dontneeds;
    uint32_t head = qvirtqueue_add(b->qts, vq, addr, len, write, false);

    qvirtqueue_kick(b->qts, &b->dev->vdev, vq, head);
    qvirtio_wait_used_elem(b->qts, &b->dev->vdev, vq, head, NULL, TIMEOUT_US);
    return gpu_shared(b->gpu)->dontneeds - before;
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
    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_create(gpu, 2, DRIVERS, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 2, GPU_PAGE, NULL), ==, GRANTED);
}

static void check_blobs(GPU *gpu)
{
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(1, 0));
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(2, 0));
    g_assert_cmphex(gpu_unref(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
}

static void test_inflate(void)
{
    const uint64_t page = GPU_SCRATCH + GPU_PAGE;
    Balloon b;
    unsigned i;

    balloon_start(&b);
    map_blobs(b.gpu);
    /* The guest's own memory goes */
    memset(gpu_ram(b.gpu, page), 1, GPU_PAGE);
    g_assert_cmpuint(hand_over_page(&b, INFLATE, page), ==, 1);
    g_assert_cmphex(*(uint8_t *)gpu_ram(b.gpu, page), ==, 0);
    for (i = 0; i < 3; i++) {
        const uint64_t addr = gpu_window(b.gpu) + i * GPU_PAGE;

        g_assert_cmpuint(hand_over_page(&b, INFLATE, addr), ==, 0);
        g_assert_cmpuint(hand_over_page(&b, DEFLATE, addr), ==, 0);
    }
    check_blobs(b.gpu);
    balloon_stop(&b);
}

static void test_report(void)
{
    const uint64_t page = GPU_SCRATCH + GPU_PAGE;
    Balloon b;
    unsigned i;

    balloon_start(&b);
    map_blobs(b.gpu);
    memset(gpu_ram(b.gpu, page), 1, GPU_PAGE);
    g_assert_cmpuint(hand_over(&b, REPORT, page, GPU_PAGE, true), ==, 1);
    g_assert_cmphex(*(uint8_t *)gpu_ram(b.gpu, page), ==, 0);
    for (i = 0; i < 3; i++) {
        g_assert_cmpuint(hand_over(&b, REPORT,
                                   gpu_window(b.gpu) + i * GPU_PAGE,
                                   GPU_PAGE, true), ==, 0);
    }
    check_blobs(b.gpu);
    balloon_stop(&b);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "inflate", test_inflate },
        { "report", test_report },
    };

    return gpu_run_tests(argc, argv, "balloon", tests, G_N_ELEMENTS(tests));
}
