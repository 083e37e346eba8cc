/*
 * virtio-gpu blob doctor: gather the facts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GATHER_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GATHER_H

#include "facts.h"
#include "options.h"

/**
 * doctor_gather() - find out all about this host
 * @options: what the user wants
 *
 * Takes three rounds of probes at most, each for the time that the user gives:
 * the host; the renderer, on the GPU that was chosen; QEMU, started.
 *
 * Returns: the facts, which live until the process ends; NULL with errno set
 */
const DoctorFacts *doctor_gather(const DoctorOptions *options);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GATHER_H */
