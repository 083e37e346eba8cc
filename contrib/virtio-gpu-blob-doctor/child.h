/*
 * virtio-gpu blob doctor: a probe that may hang
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A driver that hangs, or a library that crashes, must not take the doctor
 * with it: each probe runs in a process of its own, and what it has found out
 * until then is in memory that it shares with the doctor.  The doctor has one
 * thread.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_CHILD_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_CHILD_H

#include "facts.h"

/**
 * DoctorWork - a probe
 * @found: where it puts what it finds out, shared
 */
typedef void DoctorWork(void *found);

typedef struct DoctorChildren DoctorChildren;

/**
 * doctor_children_new() - nobody is running
 *
 * Returns: end with doctor_children_wait()
 */
DoctorChildren *doctor_children_new(void);

/**
 * doctor_children_start() - run a probe beside the others
 * @children: not waited for
 * @work: the probe; what it prints is lost
 * @found: its result, in memory that is shared with child processes
 * @end: how far it got; set by doctor_children_wait()
 */
void doctor_children_start(DoctorChildren *children, DoctorWork *work,
                           void *found, DoctorEnd *end);

/**
 * doctor_children_wait() - until all have ended, or time is up
 * @children: freed; who still runs is killed, with its children, and is not
 *            waited for: in a driver it may not end
 * @seconds: from now
 */
void doctor_children_wait(DoctorChildren *children, double seconds);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_CHILD_H */
