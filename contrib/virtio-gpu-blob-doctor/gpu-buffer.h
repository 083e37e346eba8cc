/*
 * virtio-gpu blob doctor: a buffer of a GPU's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GPU_BUFFER_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GPU_BUFFER_H

/**
 * doctor_gpu_buffer() - have a buffer made
 * @node: the render node's name
 * @fd: the render node
 * @gbm: set to whether libgbm made it, as it makes a renderer's; else it is a
 *       dumb buffer of the card's that the node belongs to
 *
 * Runs in a probe's process: the driver may hang.
 *
 * Returns: a dma-buf, or a negative errno
 */
int doctor_gpu_buffer(const char *node, int fd, bool *gbm);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GPU_BUFFER_H */
