/*
 * virtio-gpu blob doctor: the installed emulator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_EMULATOR_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_EMULATOR_H

#include "facts.h"

/**
 * doctor_emulator_look() - which virtio-gpu does it load?
 * @qemu: a DoctorQEMU with its @path, or an empty one for the one of this
 *        system; filled in
 *
 * The emulator itself is asked, as only it knows where its modules are and
 * which of them it takes.  Runs in a process of its own.
 */
void doctor_emulator_look(void *qemu);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_EMULATOR_H */
