/*
 * virtio-gpu blob doctor: real dma-bufs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Runs in a probe's process: drivers are asked, and may hang.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_BUFFER_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_BUFFER_H

#include "facts.h"

/**
 * doctor_buffer_look() - ask about a dma-buf, and map it
 * @buffer: filled in
 * @fd: the dma-buf
 */
void doctor_buffer_look(DoctorBuffer *buffer, int fd);

/**
 * doctor_sources_find() - look at what makes dma-bufs without a GPU
 * @facts: a DoctorFacts, of which @sources are filled in: /dev/udmabuf and
 *         the heaps in /dev/dma_heap
 */
void doctor_sources_find(void *facts);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_BUFFER_H */
