/*
 * virtio-gpu blob doctor: ask everybody
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GATHER_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GATHER_H

#include "facts.h"

/**
 * doctor_gather() - find out about this host
 * @hostmem: the window that is wanted, in bytes
 * @qemu: the emulator, or NULL for the one of this system
 * @seconds: how long it may take
 *
 * Returns: what was found out, until the process ends; NULL with errno set if
 * there is no memory
 */
const DoctorFacts *doctor_gather(uint64_t hostmem, const char *qemu,
                                 double seconds);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_GATHER_H */
