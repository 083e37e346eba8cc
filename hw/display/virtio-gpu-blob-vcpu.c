/*
 * virtio-gpu blob mappings: what if a vCPU cannot reach memory?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-blob-kvm.h"
#include "virtio-gpu-blob-vcpu.h"

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

    if (kvm_enabled() && state == RUN_STATE_INTERNAL_ERROR) {
        virtio_gpu_blob_mappings_touch(vcpus->mappings);
    }
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
}

void virtio_gpu_blob_vcpus_destroy(VirtIOGPUBlobVCPUs *vcpus)
{
    qemu_del_vm_change_state_handler(vcpus->stop);
    if (kvm_add_memory_fault_notifier) {
        notifier_with_return_remove(&vcpus->fault);
    }
}
