/*
 * virtio-gpu blob doctor: what the facts mean
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure: facts in, lines out, so that a unit test can play any host.  What
 * becomes of a buffer is the device's own decision, in the device's words.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_REPORT_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_REPORT_H

#include "facts.h"

/**
 * DoctorLevel - how good that is; also the doctor's exit code
 * @OK: it works
 * @LIMITED: it works with limits
 * @BAD: it does not
 */
typedef enum DoctorLevel {
    DOCTOR_OK,
    DOCTOR_LIMITED,
    DOCTOR_BAD,
} DoctorLevel;

/**
 * DoctorLine - one line
 * @level: how good
 * @topic: what it is about, in a word
 * @text: what was found
 * @remedy: what would make it better, or NULL
 */
typedef struct DoctorLine {
    DoctorLevel level;
    const char *topic;
    char *text;
    char *remedy;
} DoctorLine;

/**
 * doctor_report() - what the facts mean
 * @facts: what was found out
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
 * doctor_buffer_facts() - what the device would know of a buffer
 * @facts: what was found out
 * @buffer: a dma-buf
 *
 * Returns: the decision's input, with the renderer silent
 */
VirtIOGPUBlobFacts doctor_buffer_facts(const DoctorFacts *facts,
                                       const DoctorBuffer *buffer);

/**
 * doctor_is_x86() - is the host x86?
 * @facts: what was found out
 *
 * Returns: that
 */
bool doctor_is_x86(const DoctorFacts *facts);

/**
 * doctor_gpu_works() - can a render node be used?
 * @gpu: it
 *
 * Returns: true if it opens and makes buffers
 */
bool doctor_gpu_works(const DoctorGPU *gpu);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_REPORT_H */
