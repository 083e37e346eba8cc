/*
 * virtio-gpu blob doctor: render nodes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GPU_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GPU_H

#include "facts.h"

/**
 * doctor_gpus_list() - which render nodes does the kernel have?
 * @facts: @gpus and @gpus_count are filled in, by name and with the driver;
 *         @gpus_error if that cannot be seen
 *
 * By /sys: what udev makes of them in /dev is one of the questions.  Opens
 * none of them.
 */
void doctor_gpus_list(DoctorFacts *facts);

/**
 * doctor_gpu_look() - open a render node and look at one of its buffers
 * @gpu: a DoctorGPU, as listed; the rest is filled in
 *
 * Runs in a process of its own: the driver may hang.
 */
void doctor_gpu_look(void *gpu);

/**
 * doctor_gpu_check() - is the node in /dev what it should be?
 * @node: its name
 * @error: set to errno if it cannot be seen
 *
 * Returns: what is wrong with it
 */
DoctorNode doctor_gpu_check(const char *node, int *error);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GPU_H */
