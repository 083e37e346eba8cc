/*
 * virtio-gpu blob doctor: the accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "kvm.h"

#include <linux/kvm.h>
#include <sys/ioctl.h>

/* Linux, arch/arm64/include/uapi/asm/kvm.h: struct kvm_vcpu_init */
typedef struct ArmVCPUInit {
    uint32_t target;
    uint32_t features[7];
} ArmVCPUInit;

#define ARM_VCPU_INIT _IOW(KVMIO, 0xae, ArmVCPUInit)
#define ARM_PREFERRED_TARGET _IOR(KVMIO, 0xaf, ArmVCPUInit)

/* arm64: with the size of addresses that every vCPU can have */
static int new_vm(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, bits, err;

    if (kvm < 0) {
        return -errno;
    }
    bits = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
    vm = ioctl(kvm, KVM_CREATE_VM, MAX(bits, 0));
    err = errno;
    close(kvm);
    return vm < 0 ? -err : vm;
}

/* arm64: a vCPU's ID registers can be read once it is initialized. */
static bool init_vcpu(int vm, int vcpu)
{
    ArmVCPUInit init = { };

    return !ioctl(vm, ARM_PREFERRED_TARGET, &init) &&
           !ioctl(vcpu, ARM_VCPU_INIT, &init);
}

/* A riscv64 vCPU has what QEMU gives it: it tells nothing before. */
static void read_register(VirtIOGPUBlobProbes *probes, int vm)
{
    struct kvm_one_reg reg = {
        .id = virtio_gpu_blob_cpu_register(probes->cpu),
        .addr = (uintptr_t)&probes->reg,
    };
    int vcpu;

    if (probes->cpu != VIRTIO_GPU_BLOB_CPU_ARM64) {
        return;
    }
    vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    if (vcpu >= 0) {
        probes->reg_known = init_vcpu(vm, vcpu) &&
                            !ioctl(vcpu, KVM_GET_ONE_REG, &reg);
        close(vcpu);
    }
}

static void probe_vm(VirtIOGPUBlobProbes *probes, int vm)
{
    probes->accel = VIRTIO_GPU_BLOB_ACCEL_KVM;
    probes->quirks = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_DISABLE_QUIRKS2);
    probes->cacheable_pfnmap =
        ioctl(vm, KVM_CHECK_EXTENSION,
              VIRTIO_GPU_BLOB_CAP_ARM_CACHEABLE_PFNMAP) > 0;
    read_register(probes, vm);
}

void doctor_kvm_look(void *found)
{
    DoctorKVM *kvm = found;
    int vm = new_vm();

    virtio_gpu_blob_probe_cpu(&kvm->probes);
    kvm->probes.accel = VIRTIO_GPU_BLOB_ACCEL_QEMU;
    kvm->usable = vm >= 0;
    if (kvm->usable) {
        probe_vm(&kvm->probes, vm);
        close(vm);
    } else {
        kvm->error = -vm;
    }
    kvm->type = virtio_gpu_blob_guest_type(&kvm->probes);
    kvm->vram = virtio_gpu_blob_probe_vram(&kvm->probes);
}
