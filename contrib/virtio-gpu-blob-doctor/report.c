/*
 * virtio-gpu blob doctor: what the facts mean
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-vma.h"
#include "report.h"

#include <sys/resource.h>

/* What a desktop with a browser may well have at a time */
#define BLOBS_WANTED 4096

#define INFO "DMA_BUF_IOCTL_INFO"

/*
 * Lines
 */

static void free_line(void *data)
{
    DoctorLine *line = data;

    g_free(line->text);
    g_free(line->remedy);
    g_free(line);
}

/* Takes @text; @remedy is NULL where nothing is amiss. */
static void add(GPtrArray *lines, DoctorLevel level, const char *topic,
                char *text, const char *remedy)
{
    DoctorLine *line = g_new(DoctorLine, 1);

    line->level = level;
    line->topic = topic;
    line->text = text;
    line->remedy = g_strdup(remedy);
    g_ptr_array_add(lines, line);
}

static const char *remedy_of(VirtIOGPUBlobReason reason)
{
    return virtio_gpu_blob_reason_text(reason)->remedy;
}

/* What a probe that did not get to its end was doing */
static const char *fate(DoctorEnd end)
{
    return end == DOCTOR_LATE ? "does not answer"
                              : "ends the process that asks";
}

static bool ended(DoctorEnd end)
{
    return end == DOCTOR_DONE;
}

/*
 * Buffers
 */

static bool is_honoured(VirtIOGPUBlobGuestType type)
{
    return type == VIRTIO_GPU_BLOB_TYPE_HONOURED ||
           type == VIRTIO_GPU_BLOB_TYPE_SWITCHABLE;
}

/* What could not be found out is not honoured. */
static VirtIOGPUBlobGuestType guest_type(const DoctorFacts *facts)
{
    return ended(facts->kvm.end) ? facts->kvm.type
                                 : VIRTIO_GPU_BLOB_TYPE_UNKNOWN_ACCEL;
}

bool doctor_is_x86(const DoctorFacts *facts)
{
    VirtIOGPUBlobCPU cpu = virtio_gpu_blob_cpu_of(facts->machine, "");

    return virtio_gpu_blob_cpu_is_x86(cpu);
}

VirtIOGPUBlobFacts doctor_buffer_facts(const DoctorFacts *facts,
                                       const DoctorBuffer *buffer)
{
    return (VirtIOGPUBlobFacts) {
        .guest_type_honoured = is_honoured(guest_type(facts)),
        .host_x86 = doctor_is_x86(facts),
        .host_vram = facts->kvm.vram,
        .backing = VIRTIO_GPU_BLOB_BACKING_DMABUF,
        .fd_read_write = buffer->read_write,
        .answer = buffer->answer,
        .exporter = buffer->exporter,
    };
}

static char *describe_exporter(const DoctorBuffer *buffer)
{
    if (buffer->answer == VIRTIO_GPU_EXPORTER_UNSUPPORTED) {
        return g_strdup_printf("exporter \"%s\" cannot be asked",
                               buffer->exporter);
    }
    return g_strdup_printf("exporter \"%s\" says %s", buffer->exporter,
                           virtio_gpu_blob_answer_name(buffer->answer));
}

/* Takes @what; @silent if nobody has asked the renderer */
static void add_decision(GPtrArray *lines, const char *topic, char *what,
                         const DoctorFacts *facts,
                         const VirtIOGPUBlobFacts *buffer, bool silent)
{
    VirtIOGPUBlobVerdict verdict =
        virtio_gpu_blob_decide(buffer, VIRTIO_GPU_MAP_POLICY_SAFE);
    g_autofree char *text = what, *why = NULL;

    if (verdict.map_info) {
        add(lines, DOCTOR_OK, topic, g_strdup_printf("%s: %s, by %s", text,
            virtio_gpu_blob_type_name(verdict.map_info),
            virtio_gpu_blob_voucher_name(verdict.voucher)), NULL);
        return;
    }
    if (verdict.reason == VIRTIO_GPU_BLOB_NOBODY_VOUCHES && silent) {
        add(lines, DOCTOR_LIMITED, topic, g_strdup_printf("%s: the renderer's "
            "word decides", text), "map-policy=strict refuses it; a host "
            "kernel with " INFO " would know");
        return;
    }
    why = virtio_gpu_blob_explain(verdict.reason, guest_type(facts));
    add(lines, DOCTOR_LIMITED, topic, g_strdup_printf("%s: refused (%s)", text,
        virtio_gpu_blob_reason_text(verdict.reason)->name), why);
}

static void add_buffer(GPtrArray *lines, const char *topic, const char *name,
                       const DoctorFacts *facts, const DoctorBuffer *buffer)
{
    VirtIOGPUBlobFacts known = doctor_buffer_facts(facts, buffer);
    g_autofree char *exporter = describe_exporter(buffer);

    if (buffer->map_error) {
        add(lines, DOCTOR_LIMITED, topic, g_strdup_printf("%s: %s; its buffers "
            "cannot be mapped (%s)", name, exporter,
            strerror(buffer->map_error)),
            remedy_of(VIRTIO_GPU_BLOB_MAP_FAILED));
        return;
    }
    add_decision(lines, topic, g_strdup_printf("%s: %s", name, exporter), facts,
                 &known, true);
}

/*
 * The kernel
 */

typedef struct Asked {
    int made;
    int answered;
} Asked;

static void count(Asked *asked, const DoctorBuffer *buffer)
{
    asked->made += buffer->made;
    asked->answered += buffer->made &&
                       buffer->answer != VIRTIO_GPU_EXPORTER_UNSUPPORTED;
}

static Asked count_all(const DoctorFacts *facts)
{
    Asked asked = { };
    int i;

    for (i = 0; i < facts->sources_count; i++) {
        count(&asked, &facts->sources[i].buffer);
    }
    for (i = 0; i < facts->gpus_count; i++) {
        count(&asked, &facts->gpus[i].buffer);
    }
    return asked;
}

static void report_query(GPtrArray *lines, const DoctorFacts *facts)
{
    Asked asked = count_all(facts);

    if (!asked.made) {
        add(lines, DOCTOR_LIMITED, "exporters",
            g_strdup("there is no dma-buf to ask about"),
            "modprobe udmabuf, and run this as a user who may open "
            "/dev/udmabuf or a render node");
    } else if (asked.answered) {
        add(lines, DOCTOR_OK, "exporters",
            g_strdup("the kernel has " INFO), NULL);
    } else {
        add(lines, DOCTOR_LIMITED, "exporters",
            g_strdup("the kernel has no " INFO), "known names, or the "
            "renderer's word, decide; use a host kernel that has it for "
            "map-policy=strict");
    }
}

static void report_sources(GPtrArray *lines, const DoctorFacts *facts)
{
    int i;

    if (!ended(facts->sources_end)) {
        add(lines, DOCTOR_LIMITED, "dma-bufs", g_strdup_printf("/dev/udmabuf "
            "or a dma-heap %s", fate(facts->sources_end)),
            "see the kernel's log (dmesg)");
    }
    for (i = 0; i < facts->sources_count; i++) {
        const DoctorSource *source = &facts->sources[i];

        if (source->buffer.made) {
            add_buffer(lines, "dma-bufs", source->name, facts, &source->buffer);
        }
    }
}

static void report_kernel(GPtrArray *lines, const DoctorFacts *facts)
{
    add(lines, DOCTOR_OK, "kernel",
        g_strdup_printf("Linux %s on %s", facts->kernel, facts->machine), NULL);
    report_query(lines, facts);
    report_sources(lines, facts);
}

/*
 * GPUs
 */

bool doctor_gpu_works(const DoctorGPU *gpu)
{
    return ended(gpu->end) && gpu->state == DOCTOR_NODE_FINE &&
           gpu->buffer.made;
}

static bool one_works(const DoctorFacts *facts)
{
    int i;

    for (i = 0; i < facts->gpus_count; i++) {
        if (doctor_gpu_works(&facts->gpus[i])) {
            return true;
        }
    }
    return false;
}

static char *closed_remedy(const DoctorGPU *gpu)
{
    return gpu->error == EACCES || gpu->error == EPERM
           ? g_strdup_printf("let QEMU's user into the group of /dev/dri/%s, "
                             "usually render", gpu->node)
           : g_strdup("see what its driver says in the kernel's log (dmesg)");
}

static void add_node(GPtrArray *lines, DoctorLevel level, const char *name,
                     const DoctorGPU *gpu)
{
    g_autofree char *remedy = NULL;

    switch (gpu->state) {
    case DOCTOR_NODE_MISSING:
        add(lines, level, "gpu", g_strdup_printf("%s: the kernel has it, and "
            "/dev/dri has not", name), "udev makes the node: is systemd-udevd "
            "running?  A container must be given /dev/dri");
        return;
    case DOCTOR_NODE_OTHER:
        add(lines, level, "gpu", g_strdup_printf("%s: /dev/dri/%s is not its "
            "node", name, gpu->node), "remove that file, and udevadm trigger "
            "--subsystem-match=drm");
        return;
    default:
        remedy = closed_remedy(gpu);
        add(lines, level, "gpu", g_strdup_printf("%s: it cannot be opened: %s",
            name, strerror(gpu->error)), remedy);
    }
}

static char *name_of(const DoctorGPU *gpu)
{
    return g_strdup_printf("%s (%s)", gpu->node,
                           *gpu->driver ? gpu->driver : "unknown driver");
}

static void report_moving(GPtrArray *lines, const DoctorFacts *facts,
                          const char *name, const DoctorGPU *gpu)
{
    if (virtio_gpu_blob_driver_has_vram(gpu->driver,
        virtio_gpu_blob_cpu_of(facts->machine, ""))) {
        add(lines, DOCTOR_LIMITED, "gpu", g_strdup_printf("%s: a buffer may be "
            "the GPU's own memory, and move", name), "a guest finds other "
            "pages where a buffer could not be brought back");
    }
}

static void report_gpu(GPtrArray *lines, const DoctorFacts *facts,
                       const DoctorGPU *gpu)
{
    DoctorLevel level = one_works(facts) ? DOCTOR_LIMITED : DOCTOR_BAD;
    g_autofree char *name = name_of(gpu);

    if (!ended(gpu->end)) {
        add(lines, level, "gpu", g_strdup_printf("%s: it %s when %s", name,
            fate(gpu->end), *gpu->stage ? gpu->stage : "looked at"),
            "see what its driver says in the kernel's log (dmesg)");
    } else if (gpu->state != DOCTOR_NODE_FINE) {
        add_node(lines, level, name, gpu);
    } else if (!gpu->buffer.made) {
        add(lines, level, "gpu", g_strdup_printf("%s: it makes no buffers: %s",
            name, strerror(gpu->buffer.error)), "install the GPU's driver for "
            "libgbm: Mesa's (libgl1-mesa-dri), or NVIDIA's "
            "(libnvidia-egl-gbm1)");
    } else {
        add_buffer(lines, "gpu", name, facts, &gpu->buffer);
        report_moving(lines, facts, name, gpu);
    }
}

static void report_gpus(GPtrArray *lines, const DoctorFacts *facts)
{
    int i;

    for (i = 0; i < facts->gpus_count; i++) {
        report_gpu(lines, facts, &facts->gpus[i]);
    }
    if (facts->gpus_error) {
        add(lines, DOCTOR_LIMITED, "gpu", g_strdup_printf("GPUs cannot be seen "
            "in /sys/class/drm: %s", strerror(facts->gpus_error)),
            "run this where /sys can be read");
    } else if (!facts->gpus_count) {
        add(lines, DOCTOR_LIMITED, "gpu", g_strdup("there is no render node: "
            "the processor draws"), "load the GPU's kernel driver, if there is "
            "a GPU");
    }
}

/*
 * The renderer
 */

static bool needs_region(VirtIOGPUBlobBacking backing)
{
    return backing == VIRTIO_GPU_BLOB_BACKING_NONE ||
           backing == VIRTIO_GPU_BLOB_BACKING_OPAQUE;
}

static void add_blob(GPtrArray *lines, const char *what,
                     const DoctorFacts *facts, const DoctorBlob *blob)
{
    VirtIOGPUBlobFacts known = doctor_buffer_facts(facts, &blob->buffer);

    known.backing = blob->backing;
    known.renderer = blob->word;
    known.fd_read_write |= blob->backing != VIRTIO_GPU_BLOB_BACKING_DMABUF;
    add_decision(lines, "renderer", g_strdup_printf("%s, backing %s, renderer "
                 "%s", what, virtio_gpu_blob_backing_name(blob->backing),
                 virtio_gpu_blob_type_name(blob->word)), facts, &known, false);
    if (needs_region(blob->backing)) {
        add(lines, DOCTOR_LIMITED, "renderer", g_strdup_printf("%s takes a "
            "region of its own, of which there can be %d", what,
            VIRTIO_GPU_BLOB_REGIONS_MAX),
            remedy_of(VIRTIO_GPU_BLOB_REGION_LIMIT));
    }
}

static void report_blob(GPtrArray *lines, const char *api, const char *what,
                        const char *remedy, const DoctorFacts *facts,
                        const DoctorBlob *blob)
{
    if (blob->made) {
        add_blob(lines, what, facts, blob);
    } else if (!ended(blob->end)) {
        add(lines, DOCTOR_LIMITED, "renderer", g_strdup_printf("%s %s when %s",
            api, fate(blob->end), *blob->stage ? blob->stage : "loaded"),
            remedy);
    } else {
        add(lines, DOCTOR_LIMITED, "renderer", g_strdup_printf("%s fails when "
            "%s: %s", api, *blob->stage ? blob->stage : "loaded",
            strerror(blob->error)), remedy);
    }
}

static void report_renderer(GPtrArray *lines, const DoctorFacts *facts)
{
    const DoctorRenderer *r = &facts->renderer;

    if (!ended(r->end)) {
        add(lines, DOCTOR_BAD, "renderer", g_strdup_printf("virglrenderer %s "
            "when loaded", fate(r->end)), "install libvirglrenderer1 anew");
        return;
    }
    if (!r->found) {
        add(lines, DOCTOR_BAD, "renderer", g_strdup_printf("virglrenderer "
            "cannot be loaded: %s", r->error), "install libvirglrenderer1");
        return;
    }
    if (!r->blobs) {
        add(lines, DOCTOR_BAD, "renderer", g_strdup_printf("%s cannot export "
            "blobs", r->file), "use virglrenderer 1.0 or a later one");
        return;
    }
    add(lines, DOCTOR_OK, "renderer", g_strdup_printf("%s exports blobs and "
        "names their types%s", r->file, r->map_fixed ? ", and can map them "
        "where it is told to" : ""), NULL);
    report_blob(lines, "virgl", "a virgl buffer", "install EGL and "
                "OpenGL (libegl1, libgl1-mesa-dri)", facts, &r->virgl);
    report_blob(lines, "Venus", "Venus's memory", "install its "
                "server (virgl-server), or leave out venus=on", facts,
                &r->venus);
}

/*
 * The accelerator
 */

static const char *no_kvm_remedy(const DoctorFacts *facts)
{
    int error = facts->kvm.error;

    if (error == EACCES || error == EPERM) {
        return "let QEMU's user into the group of /dev/kvm, usually kvm";
    }
    return doctor_is_x86(facts)
           ? "switch virtualization on in the firmware, and modprobe kvm_intel "
             "or kvm_amd; until then -accel tcg is slow"
           : "use a kernel with KVM, started where it can have it (EL2 on "
             "arm64); until then -accel tcg is slow";
}

static void report_kvm(GPtrArray *lines, const DoctorFacts *facts)
{
    const DoctorKVM *kvm = &facts->kvm;
    const VirtIOGPUBlobGuestTypeText *text =
        virtio_gpu_blob_guest_type_text(kvm->type);

    if (!ended(kvm->end)) {
        add(lines, DOCTOR_LIMITED, "kvm", g_strdup_printf("/dev/kvm %s",
            fate(kvm->end)), "see the kernel's log (dmesg)");
    } else if (!kvm->usable) {
        add(lines, DOCTOR_LIMITED, "kvm", g_strdup_printf("no virtual machine "
            "can be made: %s", strerror(kvm->error)),
            no_kvm_remedy(facts));
    } else if (is_honoured(kvm->type)) {
        add(lines, DOCTOR_OK, "kvm", g_strdup_printf("guests can use all cache "
            "types (%s): %s%s%s", text->name, text->why,
            kvm->type == VIRTIO_GPU_BLOB_TYPE_SWITCHABLE ? "; " : "",
            kvm->type == VIRTIO_GPU_BLOB_TYPE_SWITCHABLE ? text->remedy : ""),
            NULL);
    } else {
        add(lines, DOCTOR_LIMITED, "kvm", g_strdup_printf("guests get cached "
            "buffers only (%s): %s", text->name, text->why), text->remedy);
    }
}

/*
 * Limits
 */

static char *size_text(uint64_t size)
{
    return size % GiB ? g_strdup_printf("%" PRIu64 "M", size / MiB)
                      : g_strdup_printf("%" PRIu64 "G", size / GiB);
}

static void report_page(GPtrArray *lines, const DoctorFacts *facts)
{
    bool align = virtio_gpu_blob_page_needs_alignment(facts->page_size);

    add(lines, align ? DOCTOR_LIMITED : DOCTOR_OK, "page",
        g_strdup_printf("pages of %" PRIu64 " KiB%s", facts->page_size / KiB,
                        align ? ": guests with smaller ones must align blobs"
                              : ""),
        align ? remedy_of(VIRTIO_GPU_BLOB_MISALIGNED_OFFSET) : NULL);
}

static void report_window(GPtrArray *lines, const DoctorFacts *facts)
{
    const DoctorWindow *window = &facts->window;
    g_autofree char *fits = size_text(window->fits);
    g_autofree char *remedy = g_strdup_printf("hostmem=%s fits", fits);

    if (!ended(window->end)) {
        add(lines, DOCTOR_BAD, "window", g_strdup_printf("reserving it %s",
            fate(window->end)), "raise the limits on memory (ulimit -v, "
            "cgroups)");
    } else if (window->fits == window->size) {
        add(lines, DOCTOR_OK, "window",
            g_strdup_printf("hostmem=%s can be had", fits), NULL);
    } else {
        add(lines, window->fits ? DOCTOR_LIMITED : DOCTOR_BAD, "window",
            g_strdup(window->error), window->fits ? remedy :
            "raise the limits on address space (ulimit -v) and mappings "
            "(sysctl vm.max_map_count)");
    }
}

/* Each blob takes a mapping, and one more where it cuts a hole in two. */
static void report_mappings(GPtrArray *lines, const DoctorFacts *facts)
{
    uint64_t need = facts->window.fits
                    ? virtio_gpu_blob_vma_needs(facts->window.fits) : 0;
    uint64_t blobs = (facts->mappings - MIN(need, facts->mappings)) / 2;
    bool few = blobs < BLOBS_WANTED;

    add(lines, few ? DOCTOR_LIMITED : DOCTOR_OK, "mappings",
        g_strdup_printf("vm.max_map_count leaves room for %" PRIu64 " blobs at "
                        "a time", blobs),
        few ? remedy_of(VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS) : NULL);
}

static void report_files(GPtrArray *lines, const DoctorFacts *facts)
{
    bool few = facts->files < BLOBS_WANTED;
    g_autofree char *files = facts->files == RLIM_INFINITY
                             ? g_strdup("unlimited")
                             : g_strdup_printf("%" PRIu64, facts->files);

    add(lines, few ? DOCTOR_LIMITED : DOCTOR_OK, "files",
        g_strdup_printf("%s open files: under KVM each dma-buf that is mapped "
                        "takes one", files),
        few ? remedy_of(VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR) : NULL);
}

/*
 * The emulator
 */

static void report_qemu(GPtrArray *lines, const DoctorFacts *facts)
{
    const DoctorQEMU *qemu = &facts->qemu;

    if (!ended(qemu->end)) {
        add(lines, DOCTOR_BAD, "qemu", g_strdup_printf("%s %s", qemu->path,
            fate(qemu->end)), "try it by hand: -device "
            "virtio-gpu-gl-pci,help");
    } else if (!qemu->found) {
        add(lines, DOCTOR_BAD, "qemu", g_strdup_printf("there is no %s",
            qemu->path), "install QEMU, or name it by --qemu");
    } else if (!qemu->has_device) {
        add(lines, DOCTOR_BAD, "qemu", g_strdup_printf("%s has no "
            "virtio-gpu-gl-pci: %s", qemu->path,
            *qemu->error ? qemu->error : "it says nothing"),
            "install its OpenGL modules (qemu-system-modules-opengl), or "
            "modules that are built for it");
    } else if (!qemu->ours) {
        add(lines, DOCTOR_BAD, "qemu", g_strdup_printf("%s (%s) asks nobody: "
            "its virtio-gpu-gl has no map-policy", qemu->version, qemu->path),
            "install modules for it that have one, or use another QEMU");
    } else {
        add(lines, DOCTOR_OK, "qemu", g_strdup_printf("%s (%s) has map-policy",
            qemu->version, qemu->path), NULL);
    }
}

GPtrArray *doctor_report(const DoctorFacts *facts)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(free_line);

    report_kernel(lines, facts);
    report_gpus(lines, facts);
    report_renderer(lines, facts);
    report_kvm(lines, facts);
    report_page(lines, facts);
    report_window(lines, facts);
    report_mappings(lines, facts);
    report_files(lines, facts);
    report_qemu(lines, facts);
    return lines;
}

DoctorLevel doctor_report_level(const GPtrArray *lines)
{
    DoctorLevel worst = DOCTOR_OK;
    guint i;

    for (i = 0; i < lines->len; i++) {
        const DoctorLine *line = g_ptr_array_index(lines, i);

        worst = MAX(worst, line->level);
    }
    return worst;
}
