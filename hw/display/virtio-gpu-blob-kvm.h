/*
 * virtio-gpu blob mappings: KVM's interface for code that is not a target's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_KVM_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_KVM_H

#include "system/kvm.h"

#if QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR == 0
/* QEMU 10.0 declares it for target code only. */
int kvm_vm_ioctl(KVMState *s, unsigned long type, ...);
#endif

/*
 * One module serves emulators built with and without KVM, and with and without
 * what this series adds to it.
 */
#pragma weak kvm_vm_ioctl
#pragma weak kvm_add_memory_fault_notifier
#pragma weak kvm_get_one_reg

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_KVM_H */
