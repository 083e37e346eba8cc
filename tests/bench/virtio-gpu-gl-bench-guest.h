/*
 * A guest that does one access after another
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VIRTIO_GPU_GL_BENCH_GUEST_H
#define VIRTIO_GPU_GL_BENCH_GUEST_H

#include "virtio-gpu-gl-client-internal.h"

/* For GPUConfig.start: any QEMU, whose vCPU runs all the time under TCG */
QPCIBus *bench_guest_start(GPU *gpu, const char *args);
/* In place of gpu_stop() */
void bench_guest_stop(GPU *gpu);

#endif /* VIRTIO_GPU_GL_BENCH_GUEST_H */
