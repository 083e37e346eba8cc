/*
 * qtest for virtio-gpu-gl: a balloon beside it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "libqos/libqos-malloc.h"
#include "libqos/pci-pc.h"
#include "libqos/virtio-pci.h"
#include "standard-headers/linux/virtio_balloon.h"
#include "virtio-gpu-gl-client.h"

#define TIMEOUT_US (10 * G_USEC_PER_SEC)

/* Inflates by one page; returns how often QEMU has discarded memory. */
static unsigned inflate(GPU *gpu, QVirtioPCIDevice *dev, QVirtQueue *vq,
                        uint64_t addr)
{
    QTestState *qts = gpu->qts;
    uint32_t *pfn = gpu_ram(gpu, GPU_SCRATCH);
    uint64_t before = gpu->shared->dontneeds;
    uint32_t head;

    *pfn = addr >> VIRTIO_BALLOON_PFN_SHIFT;
    head = qvirtqueue_add(qts, vq, GPU_SCRATCH, sizeof(*pfn), false, false);
    qvirtqueue_kick(qts, &dev->vdev, vq, head);
    qvirtio_wait_used_elem(qts, &dev->vdev, vq, head, NULL, TIMEOUT_US);
    return gpu->shared->dontneeds - before;
}

/* A blob is a buffer of the renderer: QEMU does not discard its pages. */
static void test_inflate(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW,
        .args = "-device virtio-balloon-pci,addr=11.0,disable-legacy=on",
    });
    QTestState *qts = gpu->qts;
    QGuestAllocator memory;
    QPCIBus *bus;
    QVirtioPCIDevice *dev;
    QVirtQueue *vq;

    alloc_init(&memory, 0, GPU_SCRATCH + 8 * GPU_MIB, GPU_SCRATCH_END,
               GPU_PAGE);
    bus = qpci_new_pc(qts, &memory);
    dev = virtio_pci_new(bus, &(QPCIAddress) {
        .devfn = QPCI_DEVFN(0x11, 0),
    });
    qvirtio_pci_device_enable(dev);
    qvirtio_start_device(&dev->vdev);
    qvirtio_set_features(&dev->vdev, 1ull << VIRTIO_F_VERSION_1);
    vq = qvirtqueue_setup(&dev->vdev, &memory, 0);
    qvirtio_set_driver_ok(&dev->vdev);

    g_assert_cmphex(gpu_create(gpu, 1, BUFFER, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmpuint(inflate(gpu, dev, vq, GPU_SCRATCH + GPU_PAGE), ==, 1);
    g_assert_cmpuint(inflate(gpu, dev, vq, gpu->window), ==, 0);

    qvirtqueue_cleanup(dev->vdev.bus, vq, &memory);
    qos_object_destroy((QOSGraphObject *)dev);
    qpci_free_pc(bus);
    alloc_destroy(&memory);
    gpu_stop(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "inflate", .alone = test_inflate },
    };

    return gpu_run_tests(argc, argv, "balloon", tests, G_N_ELEMENTS(tests));
}
