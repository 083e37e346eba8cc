/*
 * virtio-gpu blob mappings: how the guest must align its blobs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-blob-alignment.h"
#include "virtio-gpu-blob-device.h"
#include "virtio-gpu-blob-limits.h"

/* struct virtio_gpu_config, as long as it is with the feature */
#define BLOB_ALIGNMENT_OFFSET 16
#define CONFIG_SIZE 20

static bool is_offered(const VirtIOGPUGL *gl)
{
    const VirtIOGPUBase *b = &gl->parent_obj.parent_obj;

    return gl->blob_alignment == VIRTIO_GPU_AUTO &&
           virtio_gpu_blob_enabled(b->conf) &&
           virtio_gpu_hostmem_enabled(b->conf) &&
           virtio_gpu_blob_limits_align(qemu_real_host_page_size());
}

static VirtioDeviceClass *parent(void)
{
    return VIRTIO_DEVICE_CLASS(object_class_by_name(TYPE_VIRTIO_GPU));
}

static uint64_t get_features(VirtIODevice *vdev, uint64_t features,
                             Error **errp)
{
    features = parent()->get_features(vdev, features, errp);
    if (is_offered(VIRTIO_GPU_GL(vdev))) {
        virtio_add_feature(&features, VIRTIO_GPU_BLOB_F_ALIGNMENT);
    }
    return features;
}

static void get_config(VirtIODevice *vdev, uint8_t *config)
{
    parent()->get_config(vdev, config);
    if (is_offered(VIRTIO_GPU_GL(vdev))) {
        stl_le_p(config + BLOB_ALIGNMENT_OFFSET, qemu_real_host_page_size());
    }
}

void virtio_gpu_blob_alignment_class_init(ObjectClass *oc)
{
    VirtioDeviceClass *vdc = VIRTIO_DEVICE_CLASS(oc);

    vdc->get_features = get_features;
    vdc->get_config = get_config;
}

void virtio_gpu_blob_alignment_realize(VirtIOGPUGL *gl)
{
    VirtIODevice *vdev = VIRTIO_DEVICE(gl);

    if (is_offered(gl)) {
        vdev->config = g_realloc(vdev->config, CONFIG_SIZE);
        vdev->config_len = CONFIG_SIZE;
    }
}
