/*
 * virtio-gpu blob mappings: a dma-buf's exporter
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel, and through it the exporter, tells of a dma-buf, whoever
 * made it.  Any thread; nothing here blocks.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_EXPORTER_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_EXPORTER_H

#include "virtio-gpu-blob-decision.h"

/**
 * VirtIOGPUBlobNames - how exporters' names are read
 * @fd: a file descriptor at which buffers take turns, or -1
 * @info: what the kernel tells of the file that is at @fd, or -1
 * @busy: a buffer is at @fd, and lives for as long
 *
 * Opening and closing a file of /proc costs several times what reading it
 * does, so one is held open, and the buffers come to it.
 */
typedef struct VirtIOGPUBlobNames {
    int fd;
    int info;
    bool busy;
} VirtIOGPUBlobNames;

/**
 * VirtIOGPUBlobNamed - a dma-buf whose exporter's name has been read
 * @dev: with @ino, which one: the kernel never gives that number again
 *       (drivers/dma-buf/dma-buf.c, dma_buf_getfile())
 * @ino: see above
 * @name: its exporter's name, interned, or NULL: there is none yet
 *
 * A dma-buf keeps its exporter for life, so what was read of it stays true.
 */
typedef struct VirtIOGPUBlobNamed {
    dev_t dev;
    ino_t ino;
    const char *name;
} VirtIOGPUBlobNamed;

/**
 * virtio_gpu_blob_exporter_ask() - ask how a buffer is mapped
 * @fd: a dma-buf
 *
 * Returns: the exporter's answer to DMA_BUF_INFO_MAP_INFO, or why there is none
 */
VirtIOGPUExporterAnswer virtio_gpu_blob_exporter_ask(int fd);

/**
 * virtio_gpu_blob_names_open() - get ready to read names
 * @names: end with virtio_gpu_blob_names_close()
 *
 * Without /proc no name is ever found.
 */
void virtio_gpu_blob_names_open(VirtIOGPUBlobNames *names);

/**
 * virtio_gpu_blob_names_close() - undo virtio_gpu_blob_names_open()
 * @names: opened
 */
void virtio_gpu_blob_names_close(VirtIOGPUBlobNames *names);

/**
 * virtio_gpu_blob_names_rest() - let go of the last buffer
 * @names: open
 *
 * Once all that was to be read has been: the next buffer takes the last one's
 * turn by itself.
 */
void virtio_gpu_blob_names_rest(VirtIOGPUBlobNames *names);

/**
 * virtio_gpu_blob_exporter_name() - read an exporter's name
 * @names: open; one thread at a time; follow with virtio_gpu_blob_names_rest()
 * @named: what was read before: used if @fd is the same dma-buf, else replaced
 * @fd: a dma-buf
 * @name: where it goes; empty if there is none
 * @size: bytes there
 *
 * The first exp_name of /proc/self/fdinfo/FD: what follows it can be set by
 * anyone who holds the buffer (drivers/dma-buf/dma-buf.c,
 * dma_buf_show_fdinfo()).
 *
 * Returns: false if the limit on file descriptors is below @names->fd by now
 */
bool virtio_gpu_blob_exporter_name(VirtIOGPUBlobNames *names,
                                   VirtIOGPUBlobNamed *named, int fd,
                                   char *name, int size);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_EXPORTER_H */
