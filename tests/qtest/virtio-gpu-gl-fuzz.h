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

/* Where the device is */
typedef struct GPUFuzzHost {
    int pid;                            /* QEMU's process */
    void (*reset_machine)(GPU *gpu);    /* the BARs are gone then */
    void (*map_bars)(GPU *gpu);         /* where they were */
    void (*reset_by_vcpu)(GPU *gpu);    /* NULL if none runs */
    /* Another device comes to use guest memory, or all leave (0); or NULL */
    void (*use)(GPU *gpu, uint8_t how);
    void (*run)(GPU *gpu);              /* what was put into the queue */
    void (*settle)(GPU *gpu);           /* fences, timers, bottom halves, RCU */
    uint64_t (*live)(GPU *gpu);         /* blobs that are mapped */
} GPUFuzzHost;

/* A blob that the model of the device knows */
typedef struct GPUFuzzType {
    ScriptedBlob blob;
    uint32_t reply;    /* to CREATE_BLOB */
    uint32_t map_info; /* 0: not to be mapped */
} GPUFuzzType;

const GPUFuzzType *gpu_fuzz_types(unsigned *n);

/*
 * Does what an input says.  The device has a window of WINDOW and two displays;
 * it is set up and at rest, before and after.  Fails an assertion when a reply
 * is not one that may be, when a guest gets or sees what the model does not, or
 * when something is left after the reset that comes last.
 */
void gpu_fuzz(GPU *gpu, const GPUFuzzHost *host, const uint8_t *data,
              size_t size);

#endif /* VIRTIO_GPU_GL_FUZZ_H */
