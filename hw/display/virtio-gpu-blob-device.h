/*
 * virtio-gpu blob mappings: what a device has of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The device's side from realize to unrealize: its properties, and the state
 * that its commands work on.  BQL held, main loop, but for
 * virtio_gpu_blob_trim().
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_DEVICE_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_DEVICE_H

#include "hw/qdev-properties.h"
#include "hw/virtio/virtio-gpu.h"

#if VIRGL_VERSION_MAJOR >= 1

#include "virtio-gpu-blob-buffer.h"
#include "virtio-gpu-blob-host.h"
#include "virtio-gpu-blob-mapping.h"
#include "virtio-gpu-blob-pending.h"
#include "virtio-gpu-blob-report.h"
#include "virtio-gpu-blob-vcpu.h"

/**
 * VirtIOGPUBlobs - a device's blobs
 * @host: what the host does with a guest's cache type
 * @names: how exporters' names are read
 * @mappings: what is mapped
 * @pending: which commands wait for the end of the guest's kick
 * @vcpus: who looks at it, under KVM
 * @refusals: what was not
 * @log: keeps the guest from filling the log
 */
typedef struct VirtIOGPUBlobs {
    VirtIOGPUBlobHost host;
    VirtIOGPUBlobNames names;
    VirtIOGPUBlobMappings mappings;
    VirtIOGPUBlobPending pending;
    VirtIOGPUBlobVCPUs vcpus;
    VirtIOGPUBlobRefusals refusals;
    VirtIOGPUBlobLog log;
} VirtIOGPUBlobs;

/**
 * virtio_gpu_blob_class_init() - add the read-only properties
 * @oc: the device's class
 */
void virtio_gpu_blob_class_init(ObjectClass *oc);

/**
 * virtio_gpu_blob_realize() - set up blob mappings for a device
 * @gl: the device, its hostmem container set up by the PCI proxy
 * @errp: set when the window cannot be had
 *
 * Returns: false on error
 */
bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp);

/**
 * virtio_gpu_blob_realized() - what must wait until the device is realized
 * @gl: the device, realized by its parent
 */
void virtio_gpu_blob_realized(VirtIOGPUGL *gl);

/**
 * virtio_gpu_blob_unrealize() - undo virtio_gpu_blob_realize()
 * @gl: the device, without resources
 */
void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl);

/**
 * virtio_gpu_blob_draining() - is memory of the renderer still referred to?
 * @gl: the device
 *
 * The renderer must not be reset until then; ctrl queue handling resumes by
 * itself.
 *
 * Returns: true if the renderer must be left alone
 */
bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl);

/**
 * virtio_gpu_blob_trim() - give memory back after a reset
 * @gl: the device, without mappings
 *
 * Main loop.
 */
void virtio_gpu_blob_trim(VirtIOGPUGL *gl);

/**
 * VirtIOGPUAutoOff - a property for what is done where it makes sense
 * @AUTO: do it there
 * @OFF: never do it
 */
typedef enum VirtIOGPUAutoOff {
    VIRTIO_GPU_AUTO,
    VIRTIO_GPU_OFF,
} VirtIOGPUAutoOff;

extern const PropertyInfo qdev_prop_virtio_gpu_map_policy;
extern const PropertyInfo qdev_prop_virtio_gpu_guest_pat;
extern const PropertyInfo qdev_prop_virtio_gpu_blob_alignment;

/* map-policy: a VirtIOGPUMapPolicy in an int */
#define DEFINE_PROP_VIRTIO_GPU_MAP_POLICY(_n, _s, _f)                   \
    DEFINE_PROP_SIGNED(_n, _s, _f, VIRTIO_GPU_MAP_POLICY_SAFE,          \
                       qdev_prop_virtio_gpu_map_policy, int)

/* guest-pat: a VirtIOGPUAutoOff in an int */
#define DEFINE_PROP_VIRTIO_GPU_GUEST_PAT(_n, _s, _f)                    \
    DEFINE_PROP_SIGNED(_n, _s, _f, VIRTIO_GPU_AUTO,                     \
                       qdev_prop_virtio_gpu_guest_pat, int)

/* blob-alignment: a VirtIOGPUAutoOff in an int */
#define DEFINE_PROP_VIRTIO_GPU_BLOB_ALIGNMENT(_n, _s, _f)               \
    DEFINE_PROP_SIGNED(_n, _s, _f, VIRTIO_GPU_AUTO,                     \
                       qdev_prop_virtio_gpu_blob_alignment, int)

#else /* an older virglrenderer maps no blobs */

static inline void virtio_gpu_blob_class_init(ObjectClass *oc)
{
}

static inline bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp)
{
    return true;
}

static inline void virtio_gpu_blob_realized(VirtIOGPUGL *gl)
{
}

static inline void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl)
{
}

static inline bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl)
{
    return false;
}

static inline void virtio_gpu_blob_trim(VirtIOGPUGL *gl)
{
}

#endif

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_DEVICE_H */
