/*
 * virtio-gpu blob doctor: the accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_KVM_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_KVM_H

#include "facts.h"

/**
 * doctor_kvm_look() - what does this host do with a guest's cache type?
 * @kvm: a DoctorKVM, filled in
 *
 * The device's own probes and rule, asked about virtual machines that are made
 * for the purpose.  Runs in a process of its own.
 */
void doctor_kvm_look(void *kvm);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_KVM_H */
