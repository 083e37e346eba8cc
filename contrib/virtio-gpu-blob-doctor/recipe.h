/*
 * virtio-gpu blob doctor: what to write for this host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure, as the report is.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RECIPE_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RECIPE_H

#include "facts.h"

/**
 * doctor_recipe_options() - QEMU's options that fit this host
 * @facts: what was found out
 *
 * Returns: a line that the caller frees; NULL if there can be no window
 */
char *doctor_recipe_options(const DoctorFacts *facts);

/**
 * doctor_recipe_libvirt() - the same for libvirt
 * @facts: what was found out
 *
 * Returns: XML that the caller frees; NULL if there can be no window
 */
char *doctor_recipe_libvirt(const DoctorFacts *facts);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RECIPE_H */
