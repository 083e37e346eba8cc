/*
 * virtio-gpu: the answer to RESOURCE_MAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_VIRTIO_GPU_MAP_INFO_H
#define HW_VIRTIO_GPU_MAP_INFO_H

#include "standard-headers/linux/virtio_gpu.h"

/*
 * For a blob in the shared-memory region VIRTIO_GPU_SHM_ID_HOST_VISIBLE:
 * struct virtio_gpu_resp_map_info, where map_info is exactly
 * VIRTIO_GPU_MAP_CACHE_CACHED, _UNCACHED or _WC and padding is 0 (virtio 1.3,
 * 5.7.6.11).  On the wire this is the standard's VIRTIO_GPU_RESP_OK_MAP_INFO.
 */
#define VIRTIO_GPU_SHM_MAP_INFO VIRTIO_GPU_RESP_OK_MAP_INFO

#endif /* HW_VIRTIO_GPU_MAP_INFO_H */
