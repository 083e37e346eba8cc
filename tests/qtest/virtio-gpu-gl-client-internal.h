/*
 * A small virtio-gpu driver for qtests: what its rooms share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VIRTIO_GPU_GL_CLIENT_INTERNAL_H
#define VIRTIO_GPU_GL_CLIENT_INTERNAL_H

#include "virtio-gpu-gl-client.h"

/* Guest memory */
#define RAM_SIZE GPU_SCRATCH_END
#define RING_BASE (16 * GPU_MIB)
#define CURSOR_RING_BASE (RING_BASE + 64 * 1024)
#define SLOT_BASE (18 * GPU_MIB)
#define LONG_CMD (24 * GPU_MIB)

/* Where the device is on the bus */
#define DEVFN (0x10 << 3)

/* A file without a name, mapped, and a name that QEMU can open it by */
void *gpu_new_file(const char *name, size_t size, int *fd);
char *gpu_path_of(int fd);

/* Maps the BARs and finds what is in them: as firmware and a bus driver do */
void gpu_pci_open(GPU *gpu);
/* Resets the device and sets it up, with empty queues */
void gpu_device_open(GPU *gpu);
/* How to start QEMU with the guest that runs, if one does */
char *gpu_guest_arguments(GPU *gpu, const GPUConfig *config);
/* Tells a vCPU where the device is; it waits for gpu_vcpu_reset() */
void gpu_vcpu_open(GPU *gpu);
/* Accesses to the machine, by qtest or by a guest */
void gpu_outl(GPU *gpu, uint16_t port, uint32_t value);
uint32_t gpu_inl(GPU *gpu, uint16_t port);
void gpu_writeb(GPU *gpu, uint64_t address, uint8_t value);
void gpu_writew(GPU *gpu, uint64_t address, uint16_t value);
void gpu_writel(GPU *gpu, uint64_t address, uint32_t value);
uint16_t gpu_readw(GPU *gpu, uint64_t address);
uint32_t gpu_readl(GPU *gpu, uint64_t address);
/* Has it ended by itself? */
bool gpu_has_ended(GPU *gpu);

#endif /* VIRTIO_GPU_GL_CLIENT_INTERNAL_H */
