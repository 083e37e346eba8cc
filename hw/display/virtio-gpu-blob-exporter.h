/*
 * virtio-gpu blob mappings: a dma-buf's exporter
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The exporter's answer to DMA_BUF_INFO_MAP_INFO, and its name as the kernel
 * shows it.  Any thread; nothing here blocks.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_EXPORTER_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_EXPORTER_H

#include "virtio-gpu-blob-decision.h"

/*
 * A dma-buf and its exporter's name, once it was read.  A dma-buf keeps its
 * exporter, and the kernel does not use its inode number again
 * (drivers/dma-buf/dma-buf.c, dma_buf_getfile()).
 */
typedef struct VirtIOGPUBlobNamed {
    dev_t dev;
    ino_t ino;
    const char *name; /* interned, or NULL */
} VirtIOGPUBlobNamed;

/* Asks the exporter of a dma-buf how CPU mappings of the buffer are cached. */
VirtIOGPUExporterAnswer virtio_gpu_blob_exporter_ask(int fd);

/**
 * virtio_gpu_blob_exporter_name() - the exporter's name
 * @fd: a dma-buf
 * @known: returned if it is of the same dma-buf, else replaced; may be NULL
 *
 * The first exp_name of /proc/self/fdinfo/FD: the lines after it can be set
 * by every holder of the buffer (drivers/dma-buf/dma-buf.c,
 * dma_buf_show_fdinfo()).
 *
 * Returns: an interned string; NULL, with errno set, if there is no name:
 * EMFILE or ENFILE if no file can be opened to read it
 */
const char *virtio_gpu_blob_exporter_name(int fd, VirtIOGPUBlobNamed *known);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_EXPORTER_H */
