/*
 * virtio-gpu blob mappings: what a device has of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/util.h"
#include "qapi/visitor.h"
#include "qemu/cutils.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "virtio-gpu-blob-alignment.h"
#include "virtio-gpu-blob-buffer.h"
#include "virtio-gpu-blob-device.h"
#include "virtio-gpu-blob-words.h"

/*
 * Properties
 */

static void get_choice(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    const Property *prop = opaque;

    visit_type_enum(v, name, object_field_prop_ptr(obj, prop),
                    prop->info->enum_table, errp);
}

static void set_choice(Object *obj, Visitor *v, const char *name,
                       void *opaque, Error **errp)
{
    /* Visiting is reading or writing, as the visitor has it. */
    get_choice(obj, v, name, opaque, errp);
}

static void set_default_choice(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_str(op,
        qapi_enum_lookup(prop->info->enum_table, prop->defval.i));
}

const PropertyInfo qdev_prop_virtio_gpu_map_policy = {
    .type = "VirtIOGPUMapPolicy",
    .description = "who is believed about the cache type of mapped blobs: "
                   "safe (the exporter, else the renderer), strict (only who "
                   "can vouch for it) or renderer (the renderer)",
    .enum_table = &virtio_gpu_blob_policies,
    .get = get_choice,
    .set = set_choice,
    .set_default_value = set_default_choice,
};

static const QEnumLookup auto_off = {
    .array = (const char *const[]) { "auto", "off" },
    .size = 2,
};

const PropertyInfo qdev_prop_virtio_gpu_guest_pat = {
    .type = "VirtIOGPUAutoOff",
    .description = "whether KVM may be told to honour the guest's cache types "
                   "in all of its memory: auto (where map-policy depends on "
                   "it) or off",
    .enum_table = &auto_off,
    .get = get_choice,
    .set = set_choice,
    .set_default_value = set_default_choice,
};

const PropertyInfo qdev_prop_virtio_gpu_blob_alignment = {
    .type = "VirtIOGPUAutoOff",
    .description = "whether the guest is told to align its blobs to the host's "
                   "page: auto (where that is larger than 4 KiB) or off",
    .enum_table = &auto_off,
    .get = get_choice,
    .set = set_choice,
    .set_default_value = set_default_choice,
};

/* Before the device is realized there is nothing. */
static void get_maps(Object *obj, Visitor *v, const char *name,
                     void *opaque, Error **errp)
{
    const VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(obj)->blobs;
    g_autoptr(QList) list = blobs ? virtio_gpu_blob_list_maps(&blobs->mappings)
                                  : qlist_new();
    QObject *any = QOBJECT(list);

    visit_type_any(v, name, &any, errp);
}

static uint64_t window_size(const VirtIOGPUGL *gl)
{
    return gl->blobs && gl->blobs->mappings.window
           ? gl->parent_obj.parent_obj.conf.hostmem : 0;
}

static void get_stats(Object *obj, Visitor *v, const char *name,
                      void *opaque, Error **errp)
{
    const VirtIOGPUGL *gl = VIRTIO_GPU_GL(obj);
    const VirtIOGPUBlobs none = { }, *b = gl->blobs ? gl->blobs : &none;
    g_autoptr(QDict) dict = virtio_gpu_blob_list_stats(&b->mappings,
                                                       &b->refusals,
                                                       window_size(gl));
    QObject *any = QOBJECT(dict);

    visit_type_any(v, name, &any, errp);
}

static void get_host(Object *obj, Visitor *v, const char *name,
                     void *opaque, Error **errp)
{
    const VirtIOGPUGL *gl = VIRTIO_GPU_GL(obj);
    const VirtIOGPUBlobs none = { }, *b = gl->blobs ? gl->blobs : &none;
    g_autoptr(QDict) dict = virtio_gpu_blob_list_host(&b->host, &b->mappings);
    QObject *any = QOBJECT(dict);

    qdict_put_int(dict, "window", window_size(gl));
    qdict_put_str(dict, "map-policy",
                  qapi_enum_lookup(&virtio_gpu_blob_policies, gl->map_policy));
    qdict_put_bool(dict, "blob-alignment",
                   virtio_host_has_feature(VIRTIO_DEVICE(obj),
                                           VIRTIO_GPU_BLOB_F_ALIGNMENT));
    visit_type_any(v, name, &any, errp);
}

static void end_kick(VirtIOGPU *g)
{
    VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(g)->blobs;

    virtio_gpu_blob_pending_settle(&blobs->pending);
    virtio_gpu_blob_names_rest(&blobs->names);
}

void virtio_gpu_blob_class_init(ObjectClass *oc)
{
    VIRTIO_GPU_CLASS(oc)->cmdq_done = end_kick;
    virtio_gpu_blob_alignment_class_init(oc);
    object_class_property_add(oc, "blob-maps", "list", get_maps,
                              NULL, NULL, NULL);
    object_class_property_set_description(oc, "blob-maps",
        "mapped blobs: which buffer, where, how, on whose word");
    object_class_property_add(oc, "blob-host", "struct", get_host,
                              NULL, NULL, NULL);
    object_class_property_set_description(oc, "blob-host",
        "what the host and the operator allow blob mappings");
    object_class_property_add(oc, "blob-map-stats", "struct", get_stats,
                              NULL, NULL, NULL);
    object_class_property_set_description(oc, "blob-map-stats",
        "blobs mapped, unmapped and refused, by reason");
}

/*
 * Buffers that lose their pages
 */

/* The renderer has the buffer still. */
static void read_exporter(VirtIOGPUBlobs *blobs, VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobNamed named = {};
    VirtIOGPUBlobBuffer buf;

    virtio_gpu_blob_buffer_open(&buf, &blobs->host, m->resource_id,
                                virtio_gpu_blob_place_len(&m->place));
    virtio_gpu_blob_buffer_read_exporter(&buf, &blobs->names, &named);
    virtio_gpu_blob_names_rest(&blobs->names);
    pstrcpy(m->exporter, sizeof(m->exporter), buf.exporter);
    virtio_gpu_blob_buffer_close(&buf);
}

static void on_lost(VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobs *blobs = container_of(m->mappings, VirtIOGPUBlobs,
                                         mappings);

    if (!virtio_gpu_blob_log_open(&blobs->log)) {
        return;
    }
    if (!*m->exporter) {
        read_exporter(blobs, m);
    }
    virtio_gpu_blob_log_lost(m);
}

/*
 * Life
 */

/* Policy renderer maps the same whether the guest's type counts or not. */
static VirtIOGPUBlobSwitch guest_pat(const VirtIOGPUGL *gl)
{
    if (gl->map_policy == VIRTIO_GPU_MAP_POLICY_RENDERER) {
        return VIRTIO_GPU_BLOB_SWITCH_NOT_NEEDED;
    }
    return gl->guest_pat == VIRTIO_GPU_OFF ? VIRTIO_GPU_BLOB_SWITCH_DECLINED
                                           : VIRTIO_GPU_BLOB_SWITCH_WANTED;
}

static bool open_window(VirtIOGPUGL *gl, Error **errp)
{
    VirtIOGPUBase *b = VIRTIO_GPU_BASE(gl);
    VirtIOGPUBlobs *blobs = gl->blobs;

    if (!virtio_gpu_blob_enabled(b->conf) ||
        !virtio_gpu_hostmem_enabled(b->conf)) {
        return true;
    }
    if (memory_region_size(&b->hostmem) != b->conf.hostmem) {
        error_setg(errp, "hostmem needs a PCI device such as "
                   "virtio-gpu-gl-pci or virtio-vga-gl");
        return false;
    }
    virtio_gpu_blob_host_init(&blobs->host, guest_pat(gl));
    return blobs->host.confidential_guest ||
           virtio_gpu_blob_mappings_open(&blobs->mappings, errp);
}

bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp)
{
    gl->blobs = g_new0(VirtIOGPUBlobs, 1);
    virtio_gpu_blob_mappings_init(&gl->blobs->mappings, VIRTIO_GPU(gl),
                                  on_lost);
    gl->blobs->pending.g = VIRTIO_GPU(gl);
    gl->blobs->pending.mappings = &gl->blobs->mappings;
    virtio_gpu_blob_vcpus_init(&gl->blobs->vcpus, &gl->blobs->mappings);
    virtio_gpu_blob_names_open(&gl->blobs->names);
    if (!open_window(gl, errp)) {
        virtio_gpu_blob_unrealize(gl);
        return false;
    }
    return true;
}

void virtio_gpu_blob_realized(VirtIOGPUGL *gl)
{
    virtio_gpu_blob_alignment_realize(gl);
}

void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl)
{
    virtio_gpu_blob_vcpus_destroy(&gl->blobs->vcpus);
    virtio_gpu_blob_mappings_destroy(&gl->blobs->mappings);
    virtio_gpu_blob_names_close(&gl->blobs->names);
    g_free(gl->blobs);
    gl->blobs = NULL;
}

bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl)
{
    return virtio_gpu_blob_mappings_draining(&gl->blobs->mappings);
}

void virtio_gpu_blob_trim(VirtIOGPUGL *gl)
{
    virtio_gpu_blob_mappings_trim(&gl->blobs->mappings);
}
