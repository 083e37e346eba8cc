/*
 * virtio-gpu blob mappings: one face of the memory API in every release
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VIRTIO_GPU_BLOB_MEMORY_H
#define HW_VIRTIO_GPU_BLOB_MEMORY_H

/*
 * QEMU 10.1 moved the header, made class data const and let the callback of
 * replay_discarded() fail.
 */
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/memory.h"

typedef const void *VirtIOGPUBlobClassData;
typedef ReplayRamDiscardState VirtIOGPUBlobReplayPopulated;
typedef ReplayRamDiscardState VirtIOGPUBlobReplayDiscarded;
typedef int VirtIOGPUBlobReplayResult;
#define VIRTIO_GPU_BLOB_REPLAY_RESULT(ret) (ret)

static inline int
virtio_gpu_blob_call_discarded(VirtIOGPUBlobReplayDiscarded fn,
                               MemoryRegionSection *s, void *opaque)
{
    return fn(s, opaque);
}
#else
#include "exec/memory.h"

typedef void *VirtIOGPUBlobClassData;
typedef ReplayRamPopulate VirtIOGPUBlobReplayPopulated;
typedef ReplayRamDiscard VirtIOGPUBlobReplayDiscarded;
typedef void VirtIOGPUBlobReplayResult;
#define VIRTIO_GPU_BLOB_REPLAY_RESULT(ret) ((void)(ret))

static inline int
virtio_gpu_blob_call_discarded(VirtIOGPUBlobReplayDiscarded fn,
                               MemoryRegionSection *s, void *opaque)
{
    fn(s, opaque);
    return 0;
}
#endif

#endif /* HW_VIRTIO_GPU_BLOB_MEMORY_H */
