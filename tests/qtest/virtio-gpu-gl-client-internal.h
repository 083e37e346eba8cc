/*
 * A small virtio-gpu driver for qtests: what its files share
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

/* A file without a name, mapped, and a name that QEMU can open it by */
void *gpu_new_file(const char *name, size_t size, int *fd);
char *gpu_path_of(int fd);

/* Finds the device, and maps its BARs; again after a reset of the machine */
void gpu_pci_open(GPU *gpu);
/* QEMU's arguments for @vcpus that run a program in place of the firmware */
char *gpu_program_arguments(GPU *gpu, const uint8_t *code, size_t size,
                            unsigned vcpus);
/* The same for the program that is configured, if any */
char *gpu_guest_arguments(GPU *gpu, const GPUConfig *config);
/* Tells a vCPU where the device is; it waits for gpu_vcpu_reset() */
void gpu_vcpu_open(GPU *gpu);

#endif /* VIRTIO_GPU_GL_CLIENT_INTERNAL_H */
