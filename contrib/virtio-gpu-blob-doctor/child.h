/*
 * virtio-gpu blob doctor: probes in processes of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A driver that hangs or a library that crashes must not end the doctor, so
 * each probe runs in a child process.  Its results are in memory that it
 * shares with the doctor.  The doctor has one thread.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_CHILD_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_CHILD_H

#include "facts.h"

/**
 * DoctorWork - a probe
 * @found: where it puts its results, in shared memory
 */
typedef void DoctorWork(void *found);

typedef struct DoctorChildren DoctorChildren;

/**
 * doctor_children_new() - a set of probes that run at the same time
 *
 * Returns: end with doctor_children_wait()
 */
DoctorChildren *doctor_children_new(void);

/**
 * doctor_children_start() - start a probe
 * @children: the set
 * @work: the probe; its output goes to @probe
 * @found: its results, in shared memory
 * @probe: filled in by doctor_children_wait(); the probe sets its stage
 */
void doctor_children_start(DoctorChildren *children, DoctorWork *work,
                           void *found, DoctorProbe *probe);

/**
 * doctor_children_wait() - wait until all have ended, or the time is up
 * @children: freed; probes that still run are killed, with their children,
 *            and not waited for: a process inside a driver may not end
 * @seconds: from now
 */
void doctor_children_wait(DoctorChildren *children, double seconds);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_CHILD_H */
