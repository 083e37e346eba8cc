/*
 * virtio-gpu blob doctor: the accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/display/virtio-gpu-blob-host-probe.h"
#include "kvm.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

static int new_vm(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, err;

    if (kvm < 0) {
        return -errno;
    }
    vm = virtio_gpu_blob_probe_new_vm(kvm);
    err = errno;
    close(kvm);
    return vm < 0 ? -err : vm;
}

static int check_extension(unsigned cap)
{
    int vm = new_vm(), ret;

    if (vm < 0) {
        return vm;
    }
    ret = ioctl(vm, KVM_CHECK_EXTENSION, cap);
    close(vm);
    return ret;
}

static void try_kvm(DoctorKVM *kvm)
{
    int vm = new_vm();

    if (vm < 0) {
        kvm->error = -vm;
        return;
    }
    close(vm);
    kvm->usable = true;
}

void doctor_kvm_look(void *found)
{
    static const VirtIOGPUBlobKVM ask = { .check_extension = check_extension };
    DoctorKVM *kvm = found;

    kvm->probes.cpu = virtio_gpu_blob_probe_cpu();
    kvm->probes.accel = VIRTIO_GPU_BLOB_ACCEL_QEMU;
    try_kvm(kvm);
    if (kvm->usable) {
        kvm->probes.accel = VIRTIO_GPU_BLOB_ACCEL_KVM;
        virtio_gpu_blob_probe_kvm(&kvm->probes, &ask);
    }
    kvm->type = virtio_gpu_blob_guest_type(&kvm->probes);
    kvm->vram = virtio_gpu_blob_vram_is_unsafe(&kvm->probes) &&
                virtio_gpu_blob_probe_vram();
}
