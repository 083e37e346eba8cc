/*
 * virtio-gpu blob doctor: the report for people and for programs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PRINT_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PRINT_H

#include "report.h"

/* Of the JSON's form: changes when something in it does, but for new members */
#define DOCTOR_JSON_VERSION 1

/**
 * doctor_print_text() - for people, in UTF-8
 * @facts: the host
 * @lines: its report
 * @verbose: with what drivers and libraries said
 *
 * Returns: a text that the caller frees
 */
GString *doctor_print_text(const DoctorFacts *facts, const GPtrArray *lines,
                           bool verbose);

/**
 * doctor_print_json() - for programs
 * @facts: the host
 * @lines: its report
 * @version: the doctor's
 *
 * Returns: a text that the caller frees
 */
GString *doctor_print_json(const DoctorFacts *facts, const GPtrArray *lines,
                           const char *version);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PRINT_H */
