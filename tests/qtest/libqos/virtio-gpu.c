/*
 * libqos driver for virtio-gpu-gl
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "../libqtest.h"
#include "qemu/module.h"
#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/virtio_gpu.h"
#include "standard-headers/linux/virtio_pci.h"
#include "virtio-gpu.h"

/* Above all memory and all BARs that libqos places */
#define SHM_BASE (512ull << 30)

uint8_t qvirtio_gpu_pci_find_cap(QVirtioGPUPCI *dev, uint8_t cfg_type)
{
    QPCIDevice *pdev = dev->pci_vdev.pdev;
    uint8_t cap = 0;

    do {
        cap = qpci_find_capability(pdev, PCI_CAP_ID_VNDR, cap);
    } while (cap && qpci_config_readb(pdev, cap +
                                      offsetof(struct virtio_pci_cap,
                                               cfg_type)) != cfg_type);
    return cap;
}

static uint64_t config_read_halves(QPCIDevice *pdev, uint8_t low, uint8_t high)
{
    return qpci_config_readl(pdev, low) |
           (uint64_t)qpci_config_readl(pdev, high) << 32;
}

static void find_shm(QVirtioGPUPCI *dev)
{
    QPCIDevice *pdev = dev->pci_vdev.pdev;
    uint8_t cap = qvirtio_gpu_pci_find_cap(dev,
                                           VIRTIO_PCI_CAP_SHARED_MEMORY_CFG);

    if (!cap) {
        return;
    }
    g_assert_cmpuint(qpci_config_readb(pdev, cap +
                                       offsetof(struct virtio_pci_cap, id)),
                     ==, VIRTIO_GPU_SHM_ID_HOST_VISIBLE);
    dev->shm_bar = qpci_config_readb(pdev, cap +
                                     offsetof(struct virtio_pci_cap, bar));
    dev->shm_offset = config_read_halves(
        pdev, cap + offsetof(struct virtio_pci_cap64, cap.offset),
        cap + offsetof(struct virtio_pci_cap64, offset_hi));
    dev->gpu.shm_length = config_read_halves(
        pdev, cap + offsetof(struct virtio_pci_cap64, cap.length),
        cap + offsetof(struct virtio_pci_cap64, length_hi));
}

void qvirtio_gpu_pci_map_shm(QVirtioGPUPCI *dev, uint64_t addr)
{
    QPCIDevice *pdev = dev->pci_vdev.pdev;
    uint8_t reg = PCI_BASE_ADDRESS_0 + dev->shm_bar * 4;

    g_assert_cmphex(qpci_config_readl(pdev, reg) &
                    PCI_BASE_ADDRESS_MEM_TYPE_MASK, ==,
                    PCI_BASE_ADDRESS_MEM_TYPE_64);
    qpci_config_writel(pdev, reg, addr);
    qpci_config_writel(pdev, reg + 4, addr >> 32);
    dev->gpu.shm_addr = addr + dev->shm_offset;
}

/* virtio-gpu-gl-pci */
static void *qvirtio_gpu_pci_get_driver(void *object, const char *interface)
{
    QVirtioGPUPCI *dev = object;

    if (!g_strcmp0(interface, "virtio-gpu")) {
        return &dev->gpu;
    }

    fprintf(stderr, "%s not present in virtio-gpu-gl-pci\n", interface);
    g_assert_not_reached();
}

static void qvirtio_gpu_pci_start_hw(QOSGraphObject *obj)
{
    QVirtioGPUPCI *dev = (QVirtioGPUPCI *)obj;

    if (dev->gpu.shm_length) {
        qvirtio_gpu_pci_map_shm(dev, ROUND_UP(SHM_BASE, dev->gpu.shm_length));
    }
    qvirtio_pci_start_hw(obj);
}

QVirtioGPUPCI *qvirtio_gpu_pci_new(QPCIBus *bus, QPCIAddress *addr)
{
    QVirtioGPUPCI *dev = g_new0(QVirtioGPUPCI, 1);
    QOSGraphObject *obj = &dev->pci_vdev.obj;

    virtio_pci_init(&dev->pci_vdev, bus, addr);
    dev->gpu.vdev = &dev->pci_vdev.vdev;
    find_shm(dev);

    obj->get_driver = qvirtio_gpu_pci_get_driver;
    obj->start_hw = qvirtio_gpu_pci_start_hw;
    obj->free = g_free;
    return dev;
}

static void *virtio_gpu_pci_create(void *pci_bus, QGuestAllocator *t_alloc,
                                   void *addr)
{
    return &qvirtio_gpu_pci_new(pci_bus, addr)->pci_vdev.obj;
}

static void virtio_gpu_register_nodes(void)
{
    QPCIAddress addr = {
        .devfn = QPCI_DEVFN(4, 0),
    };

    QOSGraphEdgeOptions opts = {
        .before_cmd_line = "-display sdl,gl=on",
        .extra_device_opts = "addr=04.0,blob=on,hostmem=64M",
    };

    add_qpci_address(&opts, &addr);
    qos_node_create_driver("virtio-gpu-gl-pci", virtio_gpu_pci_create);
    qos_node_consumes("virtio-gpu-gl-pci", "pci-bus", &opts);
    /* Not "virtio" or "pci-device": their tests would need OpenGL. */
    qos_node_produces("virtio-gpu-gl-pci", "virtio-gpu");
}

libqos_init(virtio_gpu_register_nodes);
