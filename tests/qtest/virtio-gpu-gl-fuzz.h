/*
 * Random commands for virtio-gpu-gl: bytes to commands, and what must hold
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The same input goes to a device in a QEMU of its own, by the qtest protocol,
 * or to one in this very process, which a fuzzer drives.
 */

#ifndef VIRTIO_GPU_GL_FUZZ_H
#define VIRTIO_GPU_GL_FUZZ_H

#include "virtio-gpu-gl-client.h"

/**
 * GPUFuzzHost - where the device is
 * @pid: QEMU's process
 * @reset_machine: resets all of it; the BARs are gone then
 * @map_bars: maps them where they were
 * @reset_by_vcpu: resets the device from a vCPU's thread; NULL if none runs
 * @use: another device comes to use guest memory, or leaves, as @how says; 0:
 *       all leave.  NULL if there is none.
 * @run: lets it carry out what was put into its queue
 * @settle: lets fences, timers, bottom halves and RCU run
 * @live: how many blobs are mapped, by blob-map-stats
 */
typedef struct GPUFuzzHost {
    int pid;
    void (*reset_machine)(GPU *gpu);
    void (*map_bars)(GPU *gpu);
    void (*reset_by_vcpu)(GPU *gpu);
    void (*use)(GPU *gpu, uint8_t how);
    void (*run)(GPU *gpu);
    void (*settle)(GPU *gpu);
    uint64_t (*live)(GPU *gpu);
} GPUFuzzHost;

/* A blob that the model of the device knows */
typedef struct GPUFuzzType {
    ScriptedBlob blob;
    uint32_t reply;    /* to CREATE_BLOB */
    uint32_t map_info; /* 0: not to be mapped */
} GPUFuzzType;

const GPUFuzzType *gpu_fuzz_types(unsigned *n);

/**
 * gpu_fuzz() - what one input says
 * @gpu: the device, set up and at rest, as it is afterwards, too; with a
 *       window of WINDOW, and two displays
 * @host: where it is
 * @data: the input
 * @size: bytes
 *
 * Fails an assertion when a reply is not one that may be, when a guest gets or
 * sees what the model does not, or when something is left after the reset that
 * comes last.
 */
void gpu_fuzz(GPU *gpu, const GPUFuzzHost *host, const uint8_t *data,
              size_t size);

#endif /* VIRTIO_GPU_GL_FUZZ_H */
