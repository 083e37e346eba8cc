/*
 * virtio-gpu blob doctor: the facts in sentences
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure: facts in, lines out, so that a unit test can play any host.  What the
 * device would do with a buffer is decided by the device's own code.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_REPORT_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_REPORT_H

#include "facts.h"

/**
 * DoctorLevel - how good that is; also the doctor's exit code
 * @OK: it works
 * @LIMITED: it works with limits
 * @BAD: QEMU cannot be started as it should be, and this is why
 */
typedef enum DoctorLevel {
    DOCTOR_OK,
    DOCTOR_LIMITED,
    DOCTOR_BAD,
} DoctorLevel;

/**
 * DoctorLine - one line
 * @level: how good
 * @id: what it says, for programs: a stable name such as "gpu.closed"
 * @topic: what it is about, for people
 * @subject: which GPU or device, if there can be more than one; else NULL
 * @text: what was found
 * @remedy: what would help, or NULL
 * @command: the command that does so, or NULL
 */
typedef struct DoctorLine {
    DoctorLevel level;
    const char *id;
    const char *topic;
    char *subject;
    char *text;
    char *remedy;
    char *command;
} DoctorLine;

/**
 * doctor_report() - the facts in sentences
 * @facts: the host
 *
 * A line is BAD only if no options can be recommended (doctor_recipe_best()).
 *
 * Returns: DoctorLines; free with g_ptr_array_unref()
 */
GPtrArray *doctor_report(const DoctorFacts *facts);

/**
 * doctor_report_level() - the worst of all lines
 * @lines: a report
 *
 * Returns: that level
 */
DoctorLevel doctor_report_level(const GPtrArray *lines);

/**
 * doctor_is_x86() - is the host x86?
 * @facts: the host
 *
 * Returns: true if so
 */
bool doctor_is_x86(const DoctorFacts *facts);

/**
 * doctor_size_text() - a size as QEMU's options have it
 * @size: bytes, a multiple of 1 MiB
 *
 * Returns: a text that the caller frees
 */
char *doctor_size_text(uint64_t size);

/**
 * doctor_gpu_works() - can -display egl-headless use a render node?
 * @gpu: the node
 *
 * Returns: true if OpenGL works there
 */
bool doctor_gpu_works(const DoctorGPU *gpu);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_REPORT_H */
