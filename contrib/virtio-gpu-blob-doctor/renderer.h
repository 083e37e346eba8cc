/*
 * virtio-gpu blob doctor: virglrenderer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The library is loaded by these functions only, each in a process of its own.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RENDERER_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RENDERER_H

#include "facts.h"

/**
 * doctor_renderer_look() - which library is it, and what does it have?
 * @renderer: a DoctorRenderer, filled in but for its blobs
 */
void doctor_renderer_look(void *renderer);

/**
 * doctor_renderer_virgl() - have it make a buffer of OpenGL's
 * @blob: a DoctorBlob, filled in
 *
 * On the first render node that can be opened, or without a GPU.
 */
void doctor_renderer_virgl(void *blob);

/**
 * doctor_renderer_venus() - have it make Venus's shared memory
 * @blob: a DoctorBlob, filled in
 */
void doctor_renderer_venus(void *blob);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RENDERER_H */
