/*
 * virtio-gpu blob mappings: a device's state, from realize to unrealize
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qapi/visitor.h"
#include "qemu/error-report.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/qdev-properties.h"
#include "system/kvm.h"
#include "trace.h"
#include "virtio-gpu-blob.h"
#include "virtio-gpu-blob-internal.h"
#include "virtio-gpu-virgl-failure.h"

#include <linux/kvm.h>

/*
 * The accelerator
 */

static Object *accelerator(void)
{
    return OBJECT(current_machine->accelerator);
}

static VirtIOGPUBlobAccel probe_accel(void)
{
    if (kvm_enabled()) {
        return VIRTIO_GPU_BLOB_ACCEL_KVM;
    }
    return object_dynamic_cast(accelerator(), ACCEL_CLASS_NAME("tcg")) ||
           object_dynamic_cast(accelerator(), ACCEL_CLASS_NAME("qtest"))
           ? VIRTIO_GPU_BLOB_ACCEL_QEMU : VIRTIO_GPU_BLOB_ACCEL_OTHER;
}

/*
 * -accel kvm,honor-guest-pat.  A value that cannot be parsed counts as "off".
 */
static OnOffAuto probe_honor_guest_pat(void)
{
    static const char name[] = "honor-guest-pat";
    g_autofree char *value = NULL;

    if (!object_property_find(accelerator(), name)) {
        return ON_OFF_AUTO_AUTO;
    }
    value = object_property_get_str(accelerator(), name, NULL);
    return qapi_enum_parse(&OnOffAuto_lookup, value, ON_OFF_AUTO_OFF, NULL);
}

static void read_register(CPUState *cpu, run_on_cpu_data data)
{
    VirtIOGPUBlobProbes *probes = data.host_ptr;

    probes->reg_known =
        !kvm_get_one_reg(cpu, virtio_gpu_blob_cpu_register(probes->cpu),
                         &probes->reg);
}

static void probe_kvm(VirtIOGPUBlobProbes *probes)
{
    probes->quirks = kvm_vm_ioctl(kvm_state, KVM_CHECK_EXTENSION,
                                  KVM_CAP_DISABLE_QUIRKS2);
    /* Older kernels, which do not know this one, return 0. */
    probes->cacheable_pfnmap =
        kvm_vm_ioctl(kvm_state, KVM_CHECK_EXTENSION,
                     VIRTIO_GPU_BLOB_CAP_ARM_CACHEABLE_PFNMAP) > 0;
    /* In any other thread, this ioctl waits until the vCPU stops. */
    if (first_cpu && virtio_gpu_blob_cpu_register(probes->cpu)) {
        run_on_cpu(first_cpu, read_register, RUN_ON_CPU_HOST_PTR(probes));
    }
}

/* This affects the whole VM and cannot be undone. */
static VirtIOGPUBlobGuestType enable_guest_pat(const VirtIOGPUGL *gl)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_DISABLE_QUIRKS2,
        .args[0] = VIRTIO_GPU_BLOB_QUIRK_IGNORE_GUEST_PAT,
    };

    /* With this policy, mappings do not depend on guest PAT. */
    if (gl->map_policy == VIRTIO_GPU_MAP_POLICY_RENDERER &&
        gl->guest_pat != ON_OFF_AUTO_ON) {
        return VIRTIO_GPU_BLOB_TYPE_SWITCH_NOT_NEEDED;
    }
    if (gl->guest_pat == ON_OFF_AUTO_OFF) {
        return VIRTIO_GPU_BLOB_TYPE_SWITCH_DECLINED;
    }
    if (kvm_vm_ioctl(kvm_state, KVM_ENABLE_CAP, &cap)) {
        return VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED;
    }
    info_report("virtio-gpu: enabled guest PAT in KVM for the whole VM; use "
                "guest-pat=off to prevent this");
    return VIRTIO_GPU_BLOB_TYPE_HONOURED;
}

static void look_at_host(const VirtIOGPUGL *gl, VirtIOGPUBlobHost *host)
{
    g_autofree char *name = g_strdup(object_get_typename(accelerator()));
    VirtIOGPUBlobProbes probes = {
        .accel = probe_accel(),
        .honor_guest_pat = probe_honor_guest_pat(),
    };

    /* A type name ends in "-accel", for example "kvm-accel". */
    *strchrnul(name, '-') = '\0';
    host->accelerator = g_intern_string(name);
    virtio_gpu_blob_probe_cpu(&probes);
    if (probes.accel == VIRTIO_GPU_BLOB_ACCEL_KVM) {
        probe_kvm(&probes);
    }
    host->x86 = virtio_gpu_blob_cpu_is_x86(probes.cpu);
    host->confidential_guest = current_machine->cgs != NULL;
    host->vram = virtio_gpu_blob_probe_vram(&probes);
    host->guest_type = virtio_gpu_blob_guest_type(&probes);
    if (host->guest_type == VIRTIO_GPU_BLOB_TYPE_SWITCHABLE) {
        host->guest_type = enable_guest_pat(gl);
    }
    trace_virtio_gpu_blob_vm(host->confidential_guest,
        virtio_gpu_blob_guest_type_text(host->guest_type)->name);
}

/* Support could not be determined, or could not be enabled although reported */
static bool has_failed(VirtIOGPUBlobGuestType type)
{
    return type == VIRTIO_GPU_BLOB_TYPE_SWITCH_FAILED ||
           type == VIRTIO_GPU_BLOB_TYPE_WRITE_BACK_UNKNOWN ||
           type == VIRTIO_GPU_BLOB_TYPE_SVPBMT_UNKNOWN;
}

static bool check_guest_pat(const VirtIOGPUGL *gl, Error **errp)
{
    VirtIOGPUBlobGuestType type = gl->blobs->host.guest_type;
    const VirtIOGPUBlobGuestTypeText *text =
        virtio_gpu_blob_guest_type_text(type);

    if (gl->guest_pat == ON_OFF_AUTO_ON &&
        type != VIRTIO_GPU_BLOB_TYPE_HONOURED) {
        error_setg(errp, "guest-pat=on is not possible: %s", text->why);
        return false;
    }
    if (gl->map_policy != VIRTIO_GPU_MAP_POLICY_RENDERER && has_failed(type)) {
        warn_report("virtio-gpu: %s: blobs that are write-combine or uncached "
                    "will not be mapped; %s", text->why, text->remedy);
    }
    return true;
}

/*
 * Properties
 */

static int get_map_policy(Object *obj, Error **errp)
{
    return VIRTIO_GPU_GL(obj)->map_policy;
}

static void set_map_policy(Object *obj, int value, Error **errp)
{
    if (DEVICE(obj)->realized) {
        qdev_prop_set_after_realize(DEVICE(obj), "map-policy", errp);
        return;
    }
    VIRTIO_GPU_GL(obj)->map_policy = value;
}

/* blobs is NULL before the device is realized. */
static void get_maps(Object *obj, Visitor *v, const char *name,
                     void *opaque, Error **errp)
{
    const VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(obj)->blobs;
    g_autoptr(QList) list = blobs ? virtio_gpu_blob_list_maps(blobs)
                                  : qlist_new();
    QObject *any = QOBJECT(list);

    visit_type_any(v, name, &any, errp);
}

static void get_stats(Object *obj, Visitor *v, const char *name,
                      void *opaque, Error **errp)
{
    const VirtIOGPUBlobs none = { }, *blobs = VIRTIO_GPU_GL(obj)->blobs;
    g_autoptr(QDict) dict = virtio_gpu_blob_list_stats(blobs ?: &none);
    QObject *any = QOBJECT(dict);

    qdict_put(dict, "failures",
              virtio_gpu_virgl_failures_list(VIRTIO_GPU_GL(obj)));
    visit_type_any(v, name, &any, errp);
}

static void get_host(Object *obj, Visitor *v, const char *name,
                     void *opaque, Error **errp)
{
    const VirtIOGPUBlobs none = { }, *blobs = VIRTIO_GPU_GL(obj)->blobs;
    g_autoptr(QDict) dict = virtio_gpu_blob_list_host(blobs ?: &none);
    QObject *any = QOBJECT(dict);

    qdict_put_str(dict, "map-policy",
                  qapi_enum_lookup(&virtio_gpu_blob_policies,
                                   VIRTIO_GPU_GL(obj)->map_policy));
    qdict_put_bool(dict, "blob-alignment",
                   VIRTIO_GPU_BASE(obj)->conf.blob_alignment != 0);
    visit_type_any(v, name, &any, errp);
}

static void describe(ObjectClass *oc, const char *name, const char *text)
{
    object_class_property_set_description(oc, name, text);
}

void virtio_gpu_blob_class_init(ObjectClass *oc)
{
    ObjectProperty *policy =
        object_class_property_add_enum(oc, "map-policy", "VirtIOGPUMapPolicy",
                                       &virtio_gpu_blob_policies,
                                       get_map_policy, set_map_policy);

    object_property_set_default_str(policy, "safe");
    describe(oc, "map-policy", "source of the cache type of mapped blobs: "
             "safe (exporter, then renderer), strict (exporter or kernel "
             "only), renderer");
    describe(oc, "guest-pat", "enable guest PAT in KVM: on (required), off, "
             "auto (where map-policy depends on it)");
    describe(oc, "blob-alignment", "tell the guest the host's page size: on, "
             "off, auto (where it is larger than 4 KiB)");
    object_class_property_add(oc, "blob-maps", "list", get_maps,
                              NULL, NULL, NULL);
    describe(oc, "blob-maps", "list of mapped blobs");
    object_class_property_add(oc, "blob-host", "struct", get_host,
                              NULL, NULL, NULL);
    describe(oc, "blob-host",
             "host capabilities and settings for blob mappings");
    object_class_property_add(oc, "blob-map-stats", "struct", get_stats,
                              NULL, NULL, NULL);
    describe(oc, "blob-map-stats",
             "blobs mapped, unmapped and refused, by reason");
}

/*
 * From realize to unrealize
 */

static bool check_no_window(const VirtIOGPUGL *gl, Error **errp)
{
    if (gl->guest_pat == ON_OFF_AUTO_ON ||
        gl->blob_alignment == ON_OFF_AUTO_ON) {
        error_setg(errp, "%s=on requires blob=on and hostmem",
                   gl->guest_pat == ON_OFF_AUTO_ON ? "guest-pat"
                                                   : "blob-alignment");
        return false;
    }
    return true;
}

static uint32_t blob_alignment(const VirtIOGPUGL *gl)
{
    uint64_t page_size = qemu_real_host_page_size();

    switch (gl->blob_alignment) {
    case ON_OFF_AUTO_ON:
        return page_size;
    case ON_OFF_AUTO_OFF:
        return 0;
    default:
        return virtio_gpu_blob_page_needs_alignment(page_size) ? page_size : 0;
    }
}

static bool new_window(VirtIOGPUBlobs *blobs, Error **errp)
{
    VirtIOGPUBase *b = VIRTIO_GPU_BASE(blobs->g);
    /* vCPUs and other threads may access gaps: see virtio-gpu-blob-lost.h. */
    bool direct = blobs->host.x86 &&
                  (kvm_enabled() ? virtio_gpu_blob_lost_install()
                                 : probe_accel() == VIRTIO_GPU_BLOB_ACCEL_QEMU);

    blobs->slot_checks = kvm_enabled() && !blobs->host.x86;
    blobs->window = virtio_gpu_blob_window_new(OBJECT(b), &b->hostmem,
                                               b->conf.hostmem, direct,
                                               blobs->slot_checks, errp);
    if (!blobs->window) {
        return false;
    }
    blobs->lost.vma = virtio_gpu_blob_window_vma(blobs->window);
    return true;
}

static bool open_window(VirtIOGPUGL *gl, Error **errp)
{
    VirtIOGPUBase *b = VIRTIO_GPU_BASE(gl);
    VirtIOGPUBlobs *blobs = gl->blobs;

    if (!virtio_gpu_blob_enabled(b->conf) ||
        !virtio_gpu_hostmem_enabled(b->conf)) {
        return check_no_window(gl, errp);
    }
    if (memory_region_size(&b->hostmem) != b->conf.hostmem) {
        error_setg(errp, "hostmem needs a PCI device such as "
                   "virtio-gpu-gl-pci or virtio-vga-gl");
        return false;
    }
    b->conf.blob_alignment = blob_alignment(gl);
    look_at_host(gl, &blobs->host);
    return check_guest_pat(gl, errp) &&
           (blobs->host.confidential_guest || new_window(blobs, errp));
}

bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp)
{
    gl->blobs = g_new0(VirtIOGPUBlobs, 1);
    virtio_gpu_blob_init(gl->blobs, VIRTIO_GPU(gl));
    if (!open_window(gl, errp)) {
        virtio_gpu_blob_unrealize(gl);
        return false;
    }
    return true;
}

/* Called only before the guest runs: the device cannot be unplugged. */
void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl)
{
    virtio_gpu_blob_destroy(gl->blobs);
    g_free(gl->blobs);
    gl->blobs = NULL;
}
