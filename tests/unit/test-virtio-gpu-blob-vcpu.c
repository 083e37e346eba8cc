/*
 * vCPUs that cannot reach memory: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What KVM, the VM's run state and the mappings do is scripted.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/main-loop.h"
#include "monitor/monitor.h"
#include "hw/display/virtio-gpu-blob-vcpu.h"
#include "hw/display/virtio-gpu-blob-kvm.h"

/* What the doubles answer, and what they saw */
static struct {
    uint64_t live;
    bool finds;
    unsigned looks;
    unsigned glances;
    unsigned warned;
    NotifierWithReturnList asked;
    VMChangeStateHandler *stop;
    void *opaque;
} world;

bool kvm_allowed;

/* In place of the stubs */
int error_vprintf(const char *fmt, va_list ap)
{
    world.warned += strstr(fmt, "Bad address") != NULL;
    return 0;
}

int error_vprintf_unless_qmp(const char *fmt, va_list ap)
{
    return error_vprintf(fmt, ap);
}

void kvm_add_memory_fault_notifier(NotifierWithReturn *notifier)
{
    notifier_with_return_list_add(&world.asked, notifier);
}

VMChangeStateEntry *qemu_add_vm_change_state_handler(VMChangeStateHandler *cb,
                                                     void *opaque)
{
    world.stop = cb;
    world.opaque = opaque;
    return NULL;
}

void qemu_del_vm_change_state_handler(VMChangeStateEntry *e)
{
    world.stop = NULL;
}

uint64_t virtio_gpu_blob_mappings_live(const VirtIOGPUBlobMappings *mappings)
{
    return world.live;
}

bool virtio_gpu_blob_mappings_touch(VirtIOGPUBlobMappings *mappings)
{
    world.looks++;
    return world.finds;
}

void virtio_gpu_blob_mappings_look(VirtIOGPUBlobMappings *mappings, unsigned n)
{
    g_assert_cmpuint(n, >, 0);
    world.glances++;
}

/* Is the vCPU to try again? */
static bool ask(unsigned attempt)
{
    KVMMemoryFault fault = { .attempt = attempt };

    return notifier_with_return_list_notify(&world.asked, &fault, NULL);
}

typedef struct Fixture {
    VirtIOGPUBlobMappings mappings;
    VirtIOGPUBlobVCPUs vcpus;
} Fixture;

static void set_up(Fixture *f)
{
    *f = (Fixture) { };
    memset(&world, 0, sizeof(world));
    notifier_with_return_list_init(&world.asked);
    kvm_allowed = true;
    virtio_gpu_blob_vcpus_init(&f->vcpus, &f->mappings);
}

static void tear_down(Fixture *f)
{
    virtio_gpu_blob_vcpus_destroy(&f->vcpus);
    g_assert_null(world.stop);
    g_assert_true(QLIST_EMPTY(&world.asked.notifiers));
}

static void test_again(void)
{
    static const struct {
        uint64_t live;
        bool finds;
        unsigned attempt;
        bool more;
        bool again;
    } rows[] = {
        { 0, false, 0, true, false },  /* it can be none of ours */
        { 1, true, 0, false, true },
        { 1, true, 5, false, true },   /* whenever something was lost */
        { 1, false, 0, false, true },  /* a page may be writable now */
        { 1, false, 1, false, false }, /* but that is tried once ... */
        { 1, false, 1, true, true },   /* ... a set of mappings */
    };
    Fixture f;
    size_t i;

    set_up(&f);
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        world.live = rows[i].live;
        world.finds = rows[i].finds;
        f.mappings.maps += rows[i].more;
        g_assert_cmpint(ask(rows[i].attempt), ==, rows[i].again);
    }
    g_assert_cmpuint(world.looks, ==, G_N_ELEMENTS(rows) - 1);
    tear_down(&f);
}

/* Only where a vCPU may have come upon something */
static void test_stop(void)
{
    Fixture f;

    set_up(&f);
    world.stop(world.opaque, false, RUN_STATE_PAUSED);
    world.stop(world.opaque, true, RUN_STATE_RUNNING);
    g_assert_cmpuint(world.looks, ==, 0);
    world.stop(world.opaque, false, RUN_STATE_INTERNAL_ERROR);
    g_assert_cmpuint(world.looks, ==, 1);
    kvm_allowed = false;
    world.stop(world.opaque, false, RUN_STATE_INTERNAL_ERROR);
    g_assert_cmpuint(world.looks, ==, 1);
    tear_down(&f);
}

/* It is told what may be the cause, unless a buffer is known to be it. */
static void test_warning(void)
{
    static const struct {
        uint64_t live;
        bool finds;
        bool warns;
    } rows[] = {
        { 1, false, true },
        { 0, false, false },
        { 1, true, false },
    };
    Fixture f;
    size_t i;

    set_up(&f);
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        world.live = rows[i].live;
        world.finds = rows[i].finds;
        world.warned = 0;
        world.stop(world.opaque, false, RUN_STATE_INTERNAL_ERROR);
        g_assert_cmpuint(world.warned, ==, rows[i].warns);
    }
    tear_down(&f);
}

/* Where KVM lets a guest wait for ever, somebody looks. */
static void test_look(void)
{
    Fixture f;
    int i;

    set_up(&f);
    for (i = 0; i < 2; i++) {
        while (world.glances == i) {
            main_loop_wait(false);
        }
    }
    tear_down(&f);

    f = (Fixture) { };
    kvm_allowed = false;
    virtio_gpu_blob_vcpus_init(&f.vcpus, &f.mappings);
    g_assert_null(f.vcpus.look);
    virtio_gpu_blob_vcpus_destroy(&f.vcpus);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qemu_init_main_loop(&error_abort);
    g_test_add_func("/virtio-gpu-blob/vcpu/look", test_look);
    g_test_add_func("/virtio-gpu-blob/vcpu/again", test_again);
    g_test_add_func("/virtio-gpu-blob/vcpu/stop", test_stop);
    g_test_add_func("/virtio-gpu-blob/vcpu/warning", test_warning);

    return g_test_run();
}
