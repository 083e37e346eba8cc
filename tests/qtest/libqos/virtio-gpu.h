/*
 * libqos driver for virtio-gpu-gl
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_LIBQOS_VIRTIO_GPU_H
#define TESTS_LIBQOS_VIRTIO_GPU_H

#include "qgraph.h"
#include "virtio.h"
#include "virtio-pci.h"

typedef struct QVirtioGPU {
    QVirtioDevice *vdev;
    /* The host-visible shared memory region, in guest-physical memory */
    uint64_t shm_addr;
    uint64_t shm_length;    /* 0 if the device has none */
} QVirtioGPU;

typedef struct QVirtioGPUPCI {
    QVirtioPCIDevice pci_vdev;
    QVirtioGPU gpu;
    uint8_t shm_bar;
    uint64_t shm_offset;    /* within that BAR */
} QVirtioGPUPCI;

/* For tests that start QEMU themselves; the device is not enabled yet. */
QVirtioGPUPCI *qvirtio_gpu_pci_new(QPCIBus *bus, QPCIAddress *addr);

/* The first capability of a type, VIRTIO_PCI_CAP_*; 0 if there is none */
uint8_t qvirtio_gpu_pci_find_cap(QVirtioGPUPCI *dev, uint8_t cfg_type);

/*
 * Maps the BAR with the shared memory region at @addr, a multiple of its size.
 * The BAR has 64 bits, qpci_iomap() knows 32.
 */
void qvirtio_gpu_pci_map_shm(QVirtioGPUPCI *dev, uint64_t addr);

#endif /* TESTS_LIBQOS_VIRTIO_GPU_H */
