/*
 * virtio-gpu blob mappings: one face of QEMU's memory API in every release
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What differs between the series for more than one file; what only one file
 * uses stands there.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_COMPAT_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_COMPAT_H

/* QEMU 10.1 moved the header and made class data const. */
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/memory.h"

typedef const void *VirtIOGPUBlobClassData;
#else
#include "exec/memory.h"

typedef void *VirtIOGPUBlobClassData;
#endif

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_COMPAT_H */
