/*
 * virtio-gpu blob mappings: differences between releases
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Differences that affect more than one file.  A difference that affects only
 * one file is handled in that file.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_COMPAT_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_COMPAT_H

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22 /* Linux 5.14, glibc 2.35 */
#endif

#ifndef HAVE_VIRGL_RESOURCE_MAP_FIXED
/* virglrenderer 1.3; QEMU may run with a newer one than it was built with. */
int virgl_renderer_resource_map_fixed(uint32_t res_handle, void *map);
#endif

/* QEMU 10.1 moved the header and made class data const. */
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/memory.h"

typedef const void *VirtIOGPUBlobClassData;
#else
#include "exec/memory.h"

typedef void *VirtIOGPUBlobClassData;
#endif

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_COMPAT_H */
