/*
 * virtio-gpu blob doctor: the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_WINDOW_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_WINDOW_H

#include "facts.h"

/**
 * doctor_window_look() - how large a window can a device have here?
 * @facts: a DoctorFacts, of which @window.size, @mappings are known; @window is
 *         filled in
 *
 * Checked, and reserved, by the device's own code, as under KVM.  Runs in a
 * process of its own, whose address space it takes.
 */
void doctor_window_look(void *facts);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_WINDOW_H */
