/*
 * virtio-gpu blob doctor: the report for people and for programs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PRINT_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PRINT_H

#include "report.h"

/**
 * doctor_print_text() - for people, in UTF-8
 * @facts: what was found out
 * @lines: its report
 *
 * Returns: a text that the caller frees
 */
GString *doctor_print_text(const DoctorFacts *facts, const GPtrArray *lines);

/**
 * doctor_print_json() - for programs
 * @facts: what was found out
 * @lines: its report
 *
 * Returns: a text that the caller frees
 */
GString *doctor_print_json(const DoctorFacts *facts, const GPtrArray *lines);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PRINT_H */
