/*
 * virtio-gpu blob mappings: how the guest must align its blobs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A host maps whole pages of its own.  Where these are larger than the 4 KiB
 * that a guest may have, the feature VIRTIO_GPU_F_BLOB_ALIGNMENT says so: a
 * guest that takes it makes the size of a blob, and its place in the window, a
 * multiple of blob_alignment.  BQL held, main loop; the configuration is read
 * by vCPUs with the BQL.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_ALIGNMENT_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_ALIGNMENT_H

#include "hw/virtio/virtio-gpu.h"

/* virtio-gpu's next standard, as Linux 7.2 has it */
#define VIRTIO_GPU_BLOB_F_ALIGNMENT 5

/**
 * virtio_gpu_blob_alignment_class_init() - offer the feature
 * @oc: the device's class; its parent offers all others
 */
void virtio_gpu_blob_alignment_class_init(ObjectClass *oc);

/**
 * virtio_gpu_blob_alignment_realize() - make room in the configuration
 * @gl: the device, realized by its parent, and not yet seen by its bus
 *
 * A device that does not offer the feature has the configuration that it
 * always had.
 */
void virtio_gpu_blob_alignment_realize(VirtIOGPUGL *gl);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_ALIGNMENT_H */
