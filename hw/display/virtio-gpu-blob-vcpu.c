/*
 * virtio-gpu blob mappings: what if a vCPU cannot reach memory?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "virtio-gpu-blob-kvm.h"
#include "virtio-gpu-blob-vcpu.h"

/* A call takes less than a microsecond: a thousandth of the main loop's time */
#define LOOK_INTERVAL_MS 1000
#define LOOK_MAX 1024

/*
 * A first failure may be worth another try, though nothing was lost: where the
 * kernel had a page for reading only, it can be written to now.
 */
static int on_fault(NotifierWithReturn *notifier, void *data, Error **errp)
{
    VirtIOGPUBlobVCPUs *vcpus = container_of(notifier, VirtIOGPUBlobVCPUs,
                                             fault);
    const KVMMemoryFault *fault = data;
    bool lost, more;

    if (!virtio_gpu_blob_mappings_live(vcpus->mappings)) {
        return 0;
    }
    lost = virtio_gpu_blob_mappings_touch(vcpus->mappings);
    more = vcpus->maps != vcpus->mappings->maps;
    vcpus->maps = vcpus->mappings->maps;
    return lost || more || !fault->attempt;
}

static void on_stop(void *opaque, bool running, RunState state)
{
    VirtIOGPUBlobVCPUs *vcpus = opaque;

    if (kvm_enabled() && state == RUN_STATE_INTERNAL_ERROR &&
        !virtio_gpu_blob_mappings_touch(vcpus->mappings) &&
        virtio_gpu_blob_mappings_live(vcpus->mappings)) {
        warn_report("virtio-gpu: if KVM said \"Bad address\", a blob that is "
                    "mapped may be memory that this kernel's KVM cannot map "
                    "(see the manual, \"Memory that KVM cannot map\")");
    }
}

static void look_later(VirtIOGPUBlobVCPUs *vcpus)
{
    timer_mod(vcpus->look,
              qemu_clock_get_ms(QEMU_CLOCK_REALTIME) + LOOK_INTERVAL_MS);
}

static void on_look(void *opaque)
{
    VirtIOGPUBlobVCPUs *vcpus = opaque;

    virtio_gpu_blob_mappings_look(vcpus->mappings, LOOK_MAX);
    look_later(vcpus);
}

void virtio_gpu_blob_vcpus_init(VirtIOGPUBlobVCPUs *vcpus,
                                VirtIOGPUBlobMappings *mappings)
{
    vcpus->mappings = mappings;
    vcpus->fault.notify = on_fault;
    if (kvm_add_memory_fault_notifier) {
        kvm_add_memory_fault_notifier(&vcpus->fault);
    }
    vcpus->stop = qemu_add_vm_change_state_handler(on_stop, vcpus);
    if (kvm_enabled()) {
        vcpus->look = timer_new_ms(QEMU_CLOCK_REALTIME, on_look, vcpus);
        look_later(vcpus);
    }
}

void virtio_gpu_blob_vcpus_destroy(VirtIOGPUBlobVCPUs *vcpus)
{
    timer_free(vcpus->look);
    qemu_del_vm_change_state_handler(vcpus->stop);
    if (kvm_add_memory_fault_notifier) {
        notifier_with_return_remove(&vcpus->fault);
    }
}
