/*
 * virtio-gpu blob mappings: what this host does with a guest's cache type
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "trace.h"
#include "virtio-gpu-blob-host.h"
#include "virtio-gpu-blob-host-probe.h"
#include "virtio-gpu-blob-kvm.h"

#include <linux/kvm.h>

/*
 * The accelerator
 */

static VirtIOGPUBlobAccel probe_accel(void)
{
    Object *accel = OBJECT(current_machine->accelerator);

    if (kvm_enabled()) {
        return VIRTIO_GPU_BLOB_ACCEL_KVM;
    }
    return object_dynamic_cast(accel, ACCEL_CLASS_NAME("tcg")) ||
           object_dynamic_cast(accel, ACCEL_CLASS_NAME("qtest"))
           ? VIRTIO_GPU_BLOB_ACCEL_QEMU : VIRTIO_GPU_BLOB_ACCEL_OTHER;
}

/* kvm-accel is KVM's type. */
static void name_accel(VirtIOGPUBlobHost *host)
{
    const char *type =
        object_get_typename(OBJECT(current_machine->accelerator));

    pstrcpy(host->accelerator, sizeof(host->accelerator), type);
    *strchrnul(host->accelerator, '-') = '\0';
}

/* A word that is there and cannot be read may be a no. */
static VirtIOGPUBlobFound probe_operators_word(void)
{
    static const char name[] = "honor-guest-pat";
    Object *accel = OBJECT(current_machine->accelerator);
    g_autofree char *word = NULL;

    if (!object_property_find(accel, name)) {
        return VIRTIO_GPU_BLOB_FOUND_UNKNOWN;
    }
    word = object_property_get_str(accel, name, NULL);
    if (!g_strcmp0(word, "auto")) {
        return VIRTIO_GPU_BLOB_FOUND_UNKNOWN;
    }
    return g_strcmp0(word, "on") ? VIRTIO_GPU_BLOB_FOUND_NO
                                 : VIRTIO_GPU_BLOB_FOUND_YES;
}

/*
 * KVM
 */

static int check_extension(unsigned cap)
{
    return kvm_vm_ioctl(kvm_state, KVM_CHECK_EXTENSION, cap);
}

typedef struct ReadRegister {
    uint64_t id;
    uint64_t *value;
    int ret;
} ReadRegister;

static void read_register(CPUState *cpu, run_on_cpu_data data)
{
    ReadRegister *r = data.host_ptr;

    r->ret = kvm_get_one_reg(cpu, r->id, r->value);
}

/* In the vCPU's thread: elsewhere KVM would wait until the vCPU stops. */
static int get_register(uint64_t id, uint64_t *value)
{
    ReadRegister r = { .id = id, .value = value };

    run_on_cpu(first_cpu, read_register, RUN_ON_CPU_HOST_PTR(&r));
    return r.ret;
}

static VirtIOGPUBlobProbes probe(VirtIOGPUBlobSwitch guest_pat)
{
    VirtIOGPUBlobProbes probes = {
        .accel = probe_accel(),
        .accel_honours = probe_operators_word(),
        .cpu = virtio_gpu_blob_probe_cpu(),
        .guest_pat = guest_pat,
    };
    VirtIOGPUBlobKVM kvm = {
        .check_extension = check_extension,
        .get_register = first_cpu ? get_register : NULL,
    };

    if (probes.accel == VIRTIO_GPU_BLOB_ACCEL_KVM) {
        virtio_gpu_blob_probe_kvm(&probes, &kvm);
    }
    return probes;
}

static VirtIOGPUBlobGuestType switch_guest_pat(void)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DISABLE_QUIRKS2,
        .args[0] = VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT,
    };

    if (kvm_vm_ioctl(kvm_state, KVM_ENABLE_CAP, &cap)) {
        return VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED;
    }
    info_report("virtio-gpu: KVM honours the guest's cache types from now on, "
                "in all of the virtual machine's memory, so that blobs can be "
                "write-combine; guest-pat=off leaves that as it is");
    return VIRTIO_GPU_BLOB_TYPE_HONOURED;
}

static void warn_failed(VirtIOGPUBlobGuestType type)
{
    const VirtIOGPUBlobGuestTypeText *text =
        virtio_gpu_blob_guest_type_text(type);

    warn_report("virtio-gpu: %s: blobs that are write-combine or uncached "
                "will not be mapped; %s", text->why, text->remedy);
}

void virtio_gpu_blob_host_init(VirtIOGPUBlobHost *host,
                               VirtIOGPUBlobSwitch guest_pat)
{
    VirtIOGPUBlobProbes probes = probe(guest_pat);

    name_accel(host);
    host->x86 = virtio_gpu_blob_cpu_is_x86(probes.cpu);
    host->confidential_guest = current_machine->cgs != NULL;
    host->vram = virtio_gpu_blob_vram_is_unsafe(&probes) &&
                 virtio_gpu_blob_probe_vram();
    host->guest_type = virtio_gpu_blob_guest_type(&probes);
    if (host->guest_type == VIRTIO_GPU_BLOB_TYPE_SWITCHABLE) {
        host->guest_type = switch_guest_pat();
    }
    if (guest_pat != VIRTIO_GPU_BLOB_SWITCH_NOT_NEEDED &&
        virtio_gpu_blob_guest_type_failed(host->guest_type)) {
        warn_failed(host->guest_type);
    }
    trace_virtio_gpu_blob_vm(host->confidential_guest,
        virtio_gpu_blob_guest_type_text(host->guest_type)->name);
}
