/*
 * virtio-gpu blob doctor: the facts in sentences
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-vma.h"
#include "floors.h"
#include "recipe.h"
#include "report.h"

#include <sys/resource.h>

/* As many as a desktop with a browser may map at once */
#define BLOBS_WANTED 4096

/* What the remedies raise limits to */
#define MAP_COUNT_WANTED 262144
#define FILES_WANTED 65536

/**
 * Report - the report that is being written
 * @facts: the host
 * @lines: so far
 * @worst: BAD if no options work, else LIMITED
 */
typedef struct Report {
    const DoctorFacts *facts;
    GPtrArray *lines;
    DoctorLevel worst;
} Report;

/*
 * Lines
 */

static void free_line(void *data)
{
    DoctorLine *line = data;

    g_free(line->subject);
    g_free(line->text);
    g_free(line->remedy);
    g_free(line->command);
    g_free(line);
}

/* Takes @text */
static DoctorLine *add(Report *r, DoctorLevel level, const char *id,
                       const char *topic, char *text)
{
    DoctorLine *line = g_new0(DoctorLine, 1);

    line->level = MIN(level, r->worst);
    line->id = id;
    line->topic = topic;
    line->text = text;
    g_ptr_array_add(r->lines, line);
    return line;
}

static void G_GNUC_PRINTF(2, 3) remedy(DoctorLine *line, const char *format,
                                       ...)
{
    va_list args;

    va_start(args, format);
    line->remedy = g_strdup_vprintf(format, args);
    va_end(args);
}

/* One that root enters; others need sudo */
static void G_GNUC_PRINTF(3, 4) root_command(Report *r, DoctorLine *line,
                                             const char *format, ...)
{
    g_autofree char *command = NULL;
    va_list args;

    va_start(args, format);
    command = g_strdup_vprintf(format, args);
    va_end(args);
    line->command = g_strdup_printf("%s%s", r->facts->root ? "" : "sudo ",
                                    command);
}

/* @packages by Debian's names; @what for systems that call them otherwise */
static void install(Report *r, DoctorLine *line, const char *packages,
                    const char *what)
{
    const char *root = r->facts->private_root;

    remedy(line, "Install %s%s%s.", what, *root ? " in the private root" : "",
           r->facts->debian ? "" : " (named otherwise by each distribution)");
    if (*root) {
        root_command(r, line, "chroot %s apt-get install %s", root, packages);
    } else if (r->facts->debian) {
        root_command(r, line, "apt-get install %s", packages);
    }
}

/* A device node that the user may not open */
static void permit(Report *r, DoctorLine *line, const DoctorFile *file,
                   const char *path)
{
    if (*file->group) {
        remedy(line, "Add the user %s to the group %s, and log in again.",
               r->facts->user, file->group);
        root_command(r, line, "usermod -aG %s %s", file->group,
                     r->facts->user);
    } else {
        remedy(line, "Permit the user %s to open it.", r->facts->user);
        root_command(r, line, "setfacl -m u:%s:rw %s", r->facts->user, path);
    }
}

static bool is_denied(int error)
{
    return error == EACCES || error == EPERM;
}

/*
 * Probes
 */

static bool ended(const DoctorProbe *probe)
{
    return probe->end == DOCTOR_DONE;
}

/* For one that could not be started, there is one line for all. */
static bool not_started(const DoctorProbe *probe)
{
    return probe->end == DOCTOR_NO_FORK || probe->end == DOCTOR_NOT_RUN;
}

static char *fate(const DoctorProbe *probe)
{
    g_autofree char *where = *probe->stage
        ? g_strdup_printf(" (while %s)", probe->stage) : g_strdup("");

    if (probe->end == DOCTOR_LATE) {
        return g_strdup_printf("no answer in time%s", where);
    }
    if (probe->signal == SIGKILL) {
        return g_strdup_printf("the process was killed%s, perhaps for lack of "
                               "memory", where);
    }
    if (probe->signal) {
        return g_strdup_printf("the process crashed (%s)%s",
                               strsignal(probe->signal), where);
    }
    return g_strdup_printf("the process ended early%s", where);
}

static void see_kernel_log(Report *r, DoctorLine *line)
{
    remedy(line, "See the kernel's log.");
    root_command(r, line, "dmesg");
}

/* The last line that a library has printed, or NULL; the caller frees it */
static char *last_said(const DoctorProbe *probe)
{
    g_auto(GStrv) lines = g_strsplit(probe->said, "\n", -1);
    int i = g_strv_length(lines);

    while (i--) {
        g_strstrip(lines[i]);
        if (*lines[i] && *lines[i] != '{') {
            return g_strdup(lines[i]);
        }
    }
    return NULL;
}

/*
 * The system
 */

static void report_system(Report *r)
{
    const DoctorFacts *facts = r->facts;
    const char *system = *facts->system ? facts->system : "unknown system";

    if (*facts->private_root) {
        add(r, DOCTOR_OK, "system.private-root", "system", g_strdup_printf(
            "libraries and QEMU are those of the private root %s (%s), not of "
            "this system", facts->private_root, system));
    } else {
        add(r, DOCTOR_OK, "system.name", "system", g_strdup(system));
    }
    add(r, DOCTOR_OK, "kernel.release", "kernel",
        g_strdup_printf("Linux %s on %s", facts->kernel, facts->machine));
}

/* All of these fail in the same way. */
static void report_forks(Report *r)
{
    const DoctorFacts *facts = r->facts;
    const DoctorProbe *probes[] = {
        &facts->qemu.probe, &facts->kvm.probe, &facts->window.probe,
        &facts->renderer.probe, &facts->renderer.opengl.probe,
        &facts->renderer.venus.probe, &facts->vulkan.probe,
        &facts->sources_probe, &facts->sdl.probe,
    };
    size_t i;

    for (i = 0; i < ARRAY_SIZE(probes); i++) {
        if (probes[i]->end == DOCTOR_NO_FORK) {
            remedy(add(r, DOCTOR_BAD, "probes.fork", "probes",
                       g_strdup_printf("some checks could not be started: %s",
                                       strerror(probes[i]->error))),
                   "Raise the limit on processes (ulimit -u, pids.max of the "
                   "cgroup, TasksMax= of the service).");
            return;
        }
    }
}

/*
 * Versions
 */

/* The next number of a version, of which a dot and a digit go on; else 0 */
static uint64_t next_number(const char **version)
{
    char *end;
    uint64_t number = g_ascii_strtoull(*version, &end, 10);

    *version = *end == '.' && g_ascii_isdigit(end[1]) ? end + 1 : "";
    return number;
}

static int compare_versions(const char *a, const char *b)
{
    while (*a || *b) {
        uint64_t x = next_number(&a), y = next_number(&b);

        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return 0;
}

static const DoctorFloor *find_floor(const char *id)
{
    size_t i;

    for (i = 0; i < ARRAY_SIZE(doctor_floors); i++) {
        if (!strcmp(doctor_floors[i].id, id)) {
            return &doctor_floors[i];
        }
    }
    g_assert_not_reached();
}

static bool same_series(const char *a, const char *b)
{
    int x[2] = { }, y[2] = { };

    sscanf(a, "%d.%d", &x[0], &x[1]);
    sscanf(b, "%d.%d", &y[0], &y[1]);
    return x[0] == y[0] && x[1] == y[1];
}

static bool reaches(const char *version, const DoctorFloor *floor)
{
    return compare_versions(version, floor->version) >= 0 ||
           (floor->backport && same_series(version, floor->backport) &&
            compare_versions(version, floor->backport) >= 0);
}

/* "Mesa 25.0.7-2" in GL_VERSION; an empty string if it is not Mesa's */
static char *mesa_version(const DoctorFacts *facts)
{
    const DoctorGPU *gpu = doctor_recipe_gpu(facts);
    const char *text = gpu ? gpu->gl.version : facts->sdl.gl.version;
    const char *mesa = strstr(text, "Mesa ");

    return mesa ? g_strndup(mesa + 5, strcspn(mesa + 5, " ")) : g_strdup("");
}

/* Debian's epoch is not a part of the version. */
static const char *virglrenderer_version(const DoctorFacts *facts)
{
    const char *version = facts->renderer.version;
    const char *colon = strchr(version, ':');

    return colon ? colon + 1 : version;
}

static bool has_vram(const DoctorFacts *facts, const DoctorGPU *gpu)
{
    return virtio_gpu_blob_driver_has_vram(gpu->driver,
        virtio_gpu_blob_cpu_of(facts->machine, ""));
}

static bool is_nvidia(const DoctorFacts *facts, const DoctorGPU *gpu)
{
    return g_str_has_prefix(gpu->driver, "nvidia");
}

static bool has_gpu(const DoctorFacts *facts,
                    bool (*is)(const DoctorFacts *, const DoctorGPU *))
{
    int i;

    for (i = 0; i < facts->gpus_count; i++) {
        if (is(facts, &facts->gpus[i])) {
            return true;
        }
    }
    return false;
}

static bool floor_matters(const DoctorFacts *facts, const DoctorFloor *floor)
{
    switch (floor->where) {
    case DOCTOR_WHERE_ANY:
        return true;
    case DOCTOR_WHERE_KVM_VRAM:
        return facts->kvm.usable &&
               has_gpu(facts, has_vram);
    case DOCTOR_WHERE_KVM_INTEL:
        return facts->kvm.usable &&
               facts->kvm.type == VIRTIO_GPU_BLOB_TYPE_NO_SWITCH;
    case DOCTOR_WHERE_NVIDIA:
        return has_gpu(facts, is_nvidia);
    default:
        return false;
    }
}

static const char *const parts[] = {
    [DOCTOR_PART_LINUX] = "Linux",
    [DOCTOR_PART_VIRGLRENDERER] = "virglrenderer",
    [DOCTOR_PART_MESA] = "Mesa",
    [DOCTOR_PART_NVIDIA] = "NVIDIA's driver",
};

static void report_versions(Report *r)
{
    const DoctorFacts *facts = r->facts;
    g_autofree char *mesa = mesa_version(facts);
    const char *versions[] = {
        [DOCTOR_PART_LINUX] = facts->kernel,
        [DOCTOR_PART_VIRGLRENDERER] = virglrenderer_version(facts),
        [DOCTOR_PART_MESA] = mesa,
        [DOCTOR_PART_NVIDIA] = facts->nvidia,
    };
    GString *text = g_string_new("");
    size_t i;

    for (i = DOCTOR_PART_VIRGLRENDERER; i < ARRAY_SIZE(versions); i++) {
        if (*versions[i]) {
            g_string_append_printf(text, "%s%s %s", text->len ? ", " : "",
                                   parts[i], versions[i]);
        }
    }
    if (!text->len) {
        g_string_append(text, "none of virglrenderer, Mesa and NVIDIA's "
                              "driver is known");
    }
    add(r, DOCTOR_OK, "versions.found", "versions",
        g_string_free(text, false));
    for (i = 0; i < ARRAY_SIZE(doctor_floors); i++) {
        const DoctorFloor *floor = &doctor_floors[i];
        const char *version = versions[floor->part];

        if (*version && floor_matters(facts, floor) &&
            !reaches(version, floor)) {
            DoctorLine *line = add(r, DOCTOR_LIMITED, "versions.floor",
                                   "versions", g_strdup_printf(
                "%s is %s, but %s is needed for %s (%s)", parts[floor->part],
                version, floor->version, floor->what, floor->known));

            line->subject = g_strdup(floor->id);
            remedy(line, "Use %s %s or later.", parts[floor->part],
                   floor->version);
        }
    }
}

/*
 * Buffers
 */

static bool is_honoured(VirtIOGPUBlobGuestType type)
{
    return type == VIRTIO_GPU_BLOB_TYPE_HONOURED ||
           type == VIRTIO_GPU_BLOB_TYPE_SWITCHABLE;
}

/* If it could not be found out, the guest's type is not honoured. */
static VirtIOGPUBlobGuestType guest_type(const DoctorFacts *facts)
{
    return ended(&facts->kvm.probe) ? facts->kvm.type
                                    : VIRTIO_GPU_BLOB_TYPE_UNKNOWN_ACCEL;
}

bool doctor_is_x86(const DoctorFacts *facts)
{
    VirtIOGPUBlobCPU cpu = virtio_gpu_blob_cpu_of(facts->machine, "");

    return virtio_gpu_blob_cpu_is_x86(cpu);
}

/* What the device would know of a dma-buf whose renderer names no type */
static VirtIOGPUBlobFacts buffer_facts(const DoctorFacts *facts,
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

static const char *source_of(VirtIOGPUBlobVoucher voucher)
{
    switch (voucher) {
    case VIRTIO_GPU_BLOB_VOUCHER_MEMFD:
        return "shared memory";
    case VIRTIO_GPU_BLOB_VOUCHER_EXPORTER:
        return "reported by the kernel";
    case VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME:
        return "known exporter";
    default:
        return "reported by the renderer";
    }
}

/**
 * add_decision() - what the device will do with a buffer
 * @r: the report
 * @topic: whose buffer it is; also the beginning of the line's id
 * @ids: ids for a buffer that is mapped, that the renderer's type decides, and
 *       that is refused
 * @subject: which device has made it, or NULL
 * @buffer: the decision's input
 * @silent: the renderer was not asked, so it may still name a type
 */
static void add_decision(Report *r, const char *topic, const char *const *ids,
                         const char *subject, const VirtIOGPUBlobFacts *buffer,
                         bool silent)
{
    VirtIOGPUBlobVerdict verdict =
        virtio_gpu_blob_decide(buffer, VIRTIO_GPU_MAP_POLICY_SAFE);
    g_autofree char *start = g_strdup_printf("%s%s", subject ? subject : "",
                                             subject ? ": " : "");
    g_autofree char *why = NULL;
    DoctorLine *line;

    if (verdict.map_info) {
        line = add(r, DOCTOR_OK, ids[0], topic, g_strdup_printf(
            "%sbuffers are mapped %s (%s)", start,
            virtio_gpu_blob_type_name(verdict.map_info),
            source_of(verdict.voucher)));
    } else if (verdict.reason == VIRTIO_GPU_BLOB_NOBODY_VOUCHES && silent) {
        line = add(r, DOCTOR_LIMITED, ids[1], topic, g_strdup_printf(
            "%sthe cache type comes from the renderer, as this kernel has no "
            "dma-buf query", start));
        remedy(line, "map-policy=safe works with that; map-policy=strict "
               "refuses these buffers.");
    } else {
        why = virtio_gpu_blob_explain(verdict.reason, guest_type(r->facts));
        line = add(r, DOCTOR_LIMITED, ids[2], topic, g_strdup_printf(
            "%sbuffers are refused (%s)", start,
            virtio_gpu_blob_reason_text(verdict.reason)->name));
        *why = g_ascii_toupper(*why);
        remedy(line, "%s.", why);
    }
    line->subject = g_strdup(subject);
}

static void add_buffer(Report *r, const char *topic, const char *const *ids,
                       const char *subject, const DoctorBuffer *buffer)
{
    VirtIOGPUBlobFacts known = buffer_facts(r->facts, buffer);

    if (buffer->map_error) {
        DoctorLine *line = add(r, DOCTOR_LIMITED, "buffer.map-failed", topic,
            g_strdup_printf("%s: buffers (exporter %s) cannot be mapped: %s",
                            subject, buffer->exporter,
                            strerror(buffer->map_error)));

        line->subject = g_strdup(subject);
        remedy(line, "This is a limit of the kernel's driver.");
        return;
    }
    add_decision(r, topic, ids, subject, &known, true);
}

/*
 * The kernel's query, and dma-bufs that need no GPU
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

static void report_query(Report *r)
{
    Asked asked = count_all(r->facts);

    if (!asked.made) {
        remedy(add(r, DOCTOR_LIMITED, "query.not-tested", "dma-buf query",
                   g_strdup("not tested; no dma-buf could be created (no "
                            "usable /dev/udmabuf, heap or render node)")),
               "The lines below say why.");
    } else if (asked.answered) {
        add(r, DOCTOR_OK, "query.supported", "dma-buf query",
            g_strdup("this kernel reports cache types (DMA_BUF_IOCTL_INFO)"));
    } else {
        remedy(add(r, DOCTOR_LIMITED, "query.unsupported", "dma-buf query",
                   g_strdup("not supported by this kernel (no released kernel "
                            "has it); cache types come from the exporter's "
                            "name or the renderer")),
               "map-policy=safe works with that; map-policy=strict refuses GPU "
               "buffers.");
    }
}

static const char *const source_ids[] = {
    "dma-buf.mapped", "dma-buf.renderer", "dma-buf.refused"
};

static char *source_path(const DoctorSource *source)
{
    const char *heap = strstr(source->name, "heap ");

    return heap ? g_strdup_printf("/dev/dma_heap/%s", heap + 5)
                : g_strdup_printf("/dev/%s", source->name);
}

/* Of the devices, only udmabuf is used by QEMU; heaps only tell more. */
static void report_source(Report *r, const DoctorSource *source)
{
    bool udmabuf = !strcmp(source->name, "udmabuf");
    g_autofree char *path = source_path(source);
    DoctorLine *line;

    if (source->buffer.made) {
        add_buffer(r, "dma-bufs", source_ids, source->name, &source->buffer);
    } else if (source->file.error && udmabuf) {
        line = add(r, DOCTOR_LIMITED, "dma-buf.closed", "dma-bufs",
                   g_strdup_printf("%s cannot be opened: %s", path,
                                   strerror(source->file.error)));
        line->subject = g_strdup(source->name);
        if (is_denied(source->file.error)) {
            permit(r, line, &source->file, path);
        } else {
            see_kernel_log(r, line);
        }
    } else if (source->buffer.error) {
        line = add(r, DOCTOR_LIMITED, "dma-buf.failed", "dma-bufs",
                   g_strdup_printf("%s makes no buffers: %s", path,
                                   strerror(source->buffer.error)));
        line->subject = g_strdup(source->name);
        see_kernel_log(r, line);
    }
}

static bool has_udmabuf(const DoctorFacts *facts)
{
    int i;

    for (i = 0; i < facts->sources_count; i++) {
        if (!strcmp(facts->sources[i].name, "udmabuf")) {
            return true;
        }
    }
    return false;
}

static void report_sources(Report *r)
{
    const DoctorFacts *facts = r->facts;
    int i;

    if (not_started(&facts->sources_probe)) {
        return;
    }
    if (!ended(&facts->sources_probe)) {
        g_autofree char *how = fate(&facts->sources_probe);

        see_kernel_log(r, add(r, DOCTOR_LIMITED, "dma-buf.probe", "dma-bufs",
            g_strdup_printf("/dev/udmabuf and /dev/dma_heap: %s", how)));
        return;
    }
    if (!has_udmabuf(facts)) {
        DoctorLine *line = add(r, DOCTOR_LIMITED, "dma-buf.no-udmabuf",
            "dma-bufs", g_strdup("there is no /dev/udmabuf: the buffers of "
            "software Vulkan (lavapipe) are not dma-bufs, and "
            "map-policy=strict refuses them"));

        remedy(line, "Load its driver.");
        root_command(r, line, "modprobe udmabuf");
    }
    for (i = 0; i < facts->sources_count; i++) {
        report_source(r, &facts->sources[i]);
    }
}

/*
 * GPUs
 */

bool doctor_gpu_works(const DoctorGPU *gpu)
{
    return ended(&gpu->probe) && gpu->state == DOCTOR_NODE_FINE &&
           gpu->gl.works;
}

/* Mesa's drivers that draw with the processor */
static bool is_software(const DoctorGL *gl)
{
    return strstr(gl->renderer, "llvmpipe") || strstr(gl->renderer, "softpipe");
}

static const char *const gpu_ids[] = {
    "gpu.mapped", "gpu.renderer", "gpu.refused"
};

static DoctorLine *add_gpu(Report *r, DoctorLevel level, const char *id,
                           const DoctorGPU *gpu, const char *text)
{
    DoctorLine *line = add(r, level, id, "gpu", g_strdup_printf(
        "%s (%s): %s", gpu->node, *gpu->driver ? gpu->driver :
        "unknown driver", text));

    line->subject = g_strdup(gpu->node);
    return line;
}

static void report_node(Report *r, const DoctorGPU *gpu)
{
    g_autofree char *path = g_strdup_printf("/dev/dri/%s", gpu->node);
    g_autofree char *text = NULL;
    DoctorLine *line;

    switch (gpu->state) {
    case DOCTOR_NODE_MISSING:
        text = g_strdup_printf("%s does not exist, although the kernel has "
                               "registered the device", path);
        line = add_gpu(r, DOCTOR_BAD, "gpu.missing", gpu, text);
        remedy(line, "Let udev create it; give a container /dev/dri.");
        root_command(r, line, "udevadm trigger --subsystem-match=drm");
        break;
    case DOCTOR_NODE_OTHER:
        text = g_strdup_printf("%s is not the device's node", path);
        line = add_gpu(r, DOCTOR_BAD, "gpu.other", gpu, text);
        remedy(line, "Remove that file, and let udev create the node.");
        root_command(r, line, "sh -c 'rm %s && udevadm trigger "
                     "--subsystem-match=drm'", path);
        break;
    default:
        text = g_strdup_printf("cannot be opened: %s",
                               strerror(gpu->file.error));
        line = add_gpu(r, DOCTOR_BAD, "gpu.closed", gpu, text);
        if (is_denied(gpu->file.error)) {
            permit(r, line, &gpu->file, path);
        } else {
            see_kernel_log(r, line);
        }
    }
}

static void report_gl_failure(Report *r, const DoctorGPU *gpu)
{
    g_autofree char *said = last_said(&gpu->probe);
    g_autofree char *text = g_strdup_printf("OpenGL does not work there: %s%s"
        "%s", gpu->gl.error, said ? ": " : "", said ? said : "");
    DoctorLine *line = add_gpu(r, DOCTOR_BAD, "gpu.no-opengl", gpu, text);

    if (is_nvidia(r->facts, gpu)) {
        install(r, line, "libnvidia-egl-gbm1", "NVIDIA's EGL and GBM "
                "libraries");
    } else {
        install(r, line, "libgl1-mesa-dri libegl1 libgbm1", "Mesa's OpenGL, "
                "EGL and GBM libraries");
    }
}

static void slow_opengl(DoctorLine *line, const DoctorGL *gl)
{
    if (is_software(gl)) {
        remedy(line, "OpenGL programs of the guest will be slow.");
    }
}

static void report_gl(Report *r, const DoctorGPU *gpu)
{
    bool software = is_software(&gpu->gl);
    g_autofree char *text = g_strdup_printf("OpenGL works there%s: %s",
        software ? ", with the CPU" : "", gpu->gl.renderer);

    slow_opengl(add_gpu(r, software ? DOCTOR_LIMITED : DOCTOR_OK,
                        software ? "gpu.software" : "gpu.opengl", gpu, text),
                &gpu->gl);
}

static void report_moving(Report *r, const DoctorGPU *gpu)
{
    if (has_vram(r->facts, gpu)) {
        remedy(add_gpu(r, DOCTOR_LIMITED, "gpu.vram", gpu,
                       "buffers may be in video memory and be evicted"),
               "If the driver cannot restore an evicted buffer, the guest "
               "loses its content.");
    }
}

static void report_gpu(Report *r, const DoctorGPU *gpu)
{
    g_autofree char *text = NULL;

    if (not_started(&gpu->probe)) {
        return;
    }
    if (!ended(&gpu->probe)) {
        text = fate(&gpu->probe);
        see_kernel_log(r, add_gpu(r, DOCTOR_BAD, "gpu.probe", gpu, text));
    } else if (gpu->state != DOCTOR_NODE_FINE) {
        report_node(r, gpu);
    } else if (!gpu->gl.works) {
        report_gl_failure(r, gpu);
    } else {
        report_gl(r, gpu);
        if (gpu->buffer.made) {
            add_buffer(r, "gpu", gpu_ids, gpu->node, &gpu->buffer);
        }
        report_moving(r, gpu);
    }
}

/* Which of them is used, and why */
static void report_chosen_gpu(Report *r)
{
    const DoctorFacts *facts = r->facts;
    const DoctorGPU *gpu = doctor_recipe_gpu(facts);
    DoctorLine *line;
    DoctorChoice choice;

    if (doctor_recipe_best(facts, &choice) >= 0 &&
        (choice.display == DOCTOR_DISPLAY_GTK ||
         choice.display == DOCTOR_DISPLAY_SDL)) {
        line = add(r, is_software(&facts->sdl.gl) ? DOCTOR_LIMITED : DOCTOR_OK,
                   "gpu.used", "gpu", g_strdup_printf(
            "QEMU and the renderer will use that of the desktop%s%s%s%s",
            *facts->sdl.node ? ", " : "", facts->sdl.node,
            *facts->sdl.gl.renderer ? ": " : "", facts->sdl.gl.renderer));
        slow_opengl(line, &facts->sdl.gl);
    } else if (gpu) {
        line = add(r, DOCTOR_OK, "gpu.used", "gpu", g_strdup_printf(
            "QEMU and the renderer will use %s, %s", gpu->node,
            *facts->rendernode ? "as --rendernode says"
                               : "the first one that works"));
        line->subject = g_strdup(gpu->node);
    } else if (*facts->rendernode) {
        line = add(r, DOCTOR_BAD, "gpu.wanted", "gpu", g_strdup_printf(
            "%s, which --rendernode names, cannot be used",
            facts->rendernode));
        remedy(line, "Choose another one, or leave out --rendernode.");
    } else {
        line = add(r, DOCTOR_LIMITED, "gpu.none", "gpu", g_strdup_printf(
            "no usable render node; rendering will use %s",
            *facts->sdl.gl.renderer ? facts->sdl.gl.renderer : "the CPU"));
        remedy(line, facts->gpus_count ? "See above." :
               facts->cards ? "The driver of the card here cannot render."
                            : "If there is a GPU, load its driver.");
    }
}

static void report_gpus(Report *r)
{
    const DoctorFacts *facts = r->facts;
    int i;

    for (i = 0; i < facts->gpus_count; i++) {
        report_gpu(r, &facts->gpus[i]);
    }
    if (facts->gpus_error) {
        remedy(add(r, DOCTOR_LIMITED, "gpu.no-sys", "gpu", g_strdup_printf(
            "/sys/class/drm cannot be read: %s",
            strerror(facts->gpus_error))),
            "Run this where /sys can be read.");
    }
    report_chosen_gpu(r);
}

/*
 * The renderer
 */

static const char *const opengl_ids[] = {
    "opengl.mapped", "opengl.renderer", "opengl.refused"
};

static const char *const venus_ids[] = {
    "vulkan.mapped", "vulkan.renderer", "vulkan.refused"
};

static bool needs_region(VirtIOGPUBlobBacking backing)
{
    return backing == VIRTIO_GPU_BLOB_BACKING_NONE ||
           backing == VIRTIO_GPU_BLOB_BACKING_OPAQUE;
}

static void add_blob(Report *r, const char *topic, const char *const *ids,
                     const DoctorBlob *blob)
{
    VirtIOGPUBlobFacts known = buffer_facts(r->facts, &blob->buffer);

    known.backing = blob->backing;
    known.renderer = blob->word;
    known.fd_read_write |= blob->backing != VIRTIO_GPU_BLOB_BACKING_DMABUF;
    add_decision(r, topic, ids, NULL, &known, false);
}

/* What failed, by errno if there is one, else in the library's own words */
static char *why_failed(const DoctorBlob *blob)
{
    g_autofree char *said = last_said(&blob->probe);

    if (!ended(&blob->probe)) {
        return fate(&blob->probe);
    }
    if (blob->result < -1) {
        return g_strdup_printf("%s%s%s (while %s)", strerror(-blob->result),
                               said ? ": " : "", said ? said : "",
                               blob->probe.stage);
    }
    return g_strdup_printf("%s (while %s)",
                           said ? said : "virglrenderer gives no reason",
                           blob->probe.stage);
}

/* The line of a buffer that failed, unless the probe was not started */
static void add_failed_blob(Report *r, const char *id, const char *topic,
                            const char *text, const DoctorBlob *blob,
                            const char *packages, const char *what)
{
    g_autofree char *why = NULL;

    if (!not_started(&blob->probe)) {
        why = why_failed(blob);
        install(r, add(r, DOCTOR_LIMITED, id, topic,
                       g_strdup_printf("%s: %s", text, why)), packages, what);
    }
}

static void report_opengl(Report *r)
{
    const DoctorBlob *blob = &r->facts->renderer.opengl;

    if (!blob->made) {
        add_failed_blob(r, "opengl.failed", "OpenGL",
                        "the renderer makes no buffers", blob,
                        "libegl1 libgl1-mesa-dri", "EGL and OpenGL");
        return;
    }
    add_blob(r, "OpenGL", opengl_ids, blob);
    if (needs_region(blob->backing)) {
        remedy(add(r, DOCTOR_LIMITED, "opengl.regions", "OpenGL",
                   g_strdup_printf("at most %d buffers can be mapped at once, "
                                   "as they have no file descriptor",
                                   VIRTIO_GPU_BLOB_REGIONS_MAX)),
               "Use a GPU.");
    }
}

static char *list_devices(const DoctorVulkan *vulkan, bool *software)
{
    GString *text = g_string_new("");
    int i;

    *software = true;
    for (i = 0; i < vulkan->count; i++) {
        *software &= vulkan->devices[i].software;
        g_string_append_printf(text, "%s%s", i ? ", " : "",
                               vulkan->devices[i].name);
    }
    return g_string_free(text, false);
}

static void report_devices(Report *r)
{
    const DoctorVulkan *vulkan = &r->facts->vulkan;
    const DoctorGPU *gpu = doctor_recipe_gpu(r->facts);
    g_autofree char *names = NULL, *why = NULL, *said = NULL;
    DoctorLine *line;
    bool software;

    if (not_started(&vulkan->probe)) {
        return;
    }
    if (vulkan->count) {
        names = list_devices(vulkan, &software);
        line = add(r, software ? DOCTOR_LIMITED : DOCTOR_OK, "vulkan.devices",
                   "Vulkan", g_strdup_printf("%s%s", names, software
                   ? ": the CPU, no GPU" : ""));
        if (software && (!gpu || is_software(&gpu->gl))) {
            remedy(line, "Vulkan programs of the guest will be slow.");
        } else if (software) {
            install(r, line, "mesa-vulkan-drivers", "the GPU's Vulkan driver");
        }
        return;
    }
    if (!ended(&vulkan->probe)) {
        why = fate(&vulkan->probe);
    } else if (!vulkan->found) {
        why = g_strdup("libvulkan cannot be loaded");
    } else {
        said = last_said(&vulkan->probe);
        why = g_strdup_printf("libvulkan lists none (VkResult %d)%s%s",
                              vulkan->result, said ? ": " : "",
                              said ? said : "");
    }
    line = add(r, DOCTOR_LIMITED, "vulkan.no-device", "Vulkan",
               g_strdup_printf("no device: %s", why));
    install(r, line, "libvulkan1 mesa-vulkan-drivers", "a Vulkan driver");
}

static void report_venus(Report *r)
{
    const DoctorBlob *blob = &r->facts->renderer.venus;

    if (!blob->made) {
        add_failed_blob(r, "vulkan.no-server", "Vulkan",
                        "Venus's render server does not work", blob,
                        "virgl-server", "virgl_render_server");
    } else if (!blob->capset_size) {
        remedy(add(r, DOCTOR_LIMITED, "vulkan.no-capset", "Vulkan",
                   g_strdup("virglrenderer offers no Venus to guests")),
               "Use a virglrenderer that is built with Venus.");
    } else {
        add_blob(r, "Vulkan", venus_ids, blob);
        add(r, DOCTOR_OK, "vulkan.not-tested", "Vulkan", g_strdup("memory of "
            "the Vulkan driver itself is not tested here; a guest shows it"));
    }
}

static void report_renderer(Report *r)
{
    const DoctorRenderer *renderer = &r->facts->renderer;
    DoctorLine *line = NULL;
    g_autofree char *how = NULL;

    if (not_started(&renderer->probe)) {
        return;
    }
    if (!ended(&renderer->probe)) {
        how = fate(&renderer->probe);
        line = add(r, DOCTOR_BAD, "renderer.probe", "renderer",
                   g_strdup_printf("loading virglrenderer: %s", how));
    } else if (!renderer->found) {
        line = add(r, DOCTOR_BAD, "renderer.missing", "renderer",
                   g_strdup_printf("virglrenderer cannot be loaded: %s",
                                   renderer->error));
    }
    if (line) {
        install(r, line, "--reinstall libvirglrenderer1", "virglrenderer");
        return;
    }
    if (!renderer->blobs) {
        line = add(r, DOCTOR_BAD, "renderer.old", "renderer", g_strdup_printf(
            "%s cannot export buffers", renderer->file));
        remedy(line, "Use virglrenderer 1.0 or later.");
        return;
    }
    add(r, DOCTOR_OK, "renderer.blobs", "renderer", g_strdup_printf(
        "%s exports buffers and names their cache types%s", renderer->file,
        renderer->map_fixed ? ", and can map them into the window" : ""));
    report_opengl(r);
    report_devices(r);
    report_venus(r);
}

/*
 * The accelerator
 */

static void report_no_kvm(Report *r)
{
    const DoctorFacts *facts = r->facts;
    const DoctorKVM *kvm = &facts->kvm;
    DoctorLine *line = add(r, DOCTOR_LIMITED, "kvm.unusable", "kvm",
                           g_strdup_printf("/dev/kvm is not usable: %s (QEMU "
                                           "will be slow)",
                                           strerror(kvm->error)));

    if (is_denied(kvm->error)) {
        permit(r, line, &kvm->file, "/dev/kvm");
    } else if (doctor_is_x86(facts)) {
        remedy(line, "Switch virtualization on in the firmware, and load "
               "kvm_intel or kvm_amd.");
        root_command(r, line, "sh -c 'modprobe kvm_intel || modprobe "
                     "kvm_amd'");
    } else {
        remedy(line, "Use a kernel with KVM, started where it can have it "
               "(EL2 on arm64).");
    }
}

/* A kernel that is new enough lacks the switch for another reason. */
static char *cached_only_remedy(const DoctorFacts *facts)
{
    char *text;

    if (facts->kvm.type == VIRTIO_GPU_BLOB_TYPE_NO_SWITCH &&
        reaches(facts->kernel, find_floor("linux-guest-pat"))) {
        return g_strdup("This kernel offers it on processors with EPT and "
                        "self-snoop only");
    }
    text = g_strdup(virtio_gpu_blob_guest_type_text(facts->kvm.type)->remedy);
    *text = g_ascii_toupper(*text);
    return text;
}

static void report_kvm(Report *r)
{
    const DoctorKVM *kvm = &r->facts->kvm;
    const VirtIOGPUBlobGuestTypeText *text =
        virtio_gpu_blob_guest_type_text(kvm->type);
    g_autofree char *how = NULL, *help = NULL;

    if (not_started(&kvm->probe)) {
        return;
    }
    if (!ended(&kvm->probe)) {
        how = fate(&kvm->probe);
        see_kernel_log(r, add(r, DOCTOR_LIMITED, "kvm.probe", "kvm",
                              g_strdup_printf("/dev/kvm: %s", how)));
    } else if (!kvm->usable) {
        report_no_kvm(r);
    } else if (is_honoured(kvm->type)) {
        add(r, DOCTOR_OK, "kvm.honoured", "kvm", g_strdup_printf(
            "guest cache types are honoured%s",
            kvm->type == VIRTIO_GPU_BLOB_TYPE_SWITCHABLE
            ? ", once guest-pat=auto (the default) has told KVM so" : ""));
    } else {
        help = cached_only_remedy(r->facts);
        remedy(add(r, DOCTOR_LIMITED, "kvm.cached-only", "kvm",
                   g_strdup_printf("only cached buffers can be mapped (%s): "
                                   "%s", text->name, text->why)),
               "%s.", help);
    }
}

/*
 * Limits
 */

char *doctor_size_text(uint64_t size)
{
    return size % GiB ? g_strdup_printf("%" PRIu64 "M", size / MiB)
                      : g_strdup_printf("%" PRIu64 "G", size / GiB);
}

static void report_page(Report *r)
{
    uint64_t size = r->facts->page_size;
    DoctorLine *line;

    if (!virtio_gpu_blob_page_needs_alignment(size)) {
        add(r, DOCTOR_OK, "page.small", "page size",
            g_strdup_printf("%" PRIu64 " KiB", size / KiB));
        return;
    }
    line = add(r, DOCTOR_LIMITED, "page.large", "page size", g_strdup_printf(
        "%" PRIu64 " KiB: guests with smaller pages need Linux %s and Mesa %s "
        "or later", size / KiB, find_floor("guest-linux-alignment")->version,
        find_floor("guest-mesa-alignment")->version));
    remedy(line, "Use a guest kernel with pages as large as the host's.");
}

static void report_window_limit(Report *r, const char *fits)
{
    const DoctorWindow *window = &r->facts->window;
    DoctorLine *line = add(r, window->fits ? DOCTOR_LIMITED : DOCTOR_BAD,
                           "window.limited", "window",
                           g_strdup(window->error));

    if (window->fits) {
        remedy(line, "hostmem=%s fits; for more, raise the limits on address "
               "space (ulimit -v) and mappings (sysctl vm.max_map_count).",
               fits);
    } else {
        remedy(line, "Raise the limits on address space (ulimit -v) and "
               "mappings (sysctl vm.max_map_count).");
    }
}

static void report_address_bits(Report *r)
{
    DoctorChoice best = { .kvm = r->facts->kvm.usable };
    g_autofree char *fits = NULL;
    uint64_t max;

    doctor_recipe_best(r->facts, &best);
    max = doctor_recipe_bar_max(r->facts, best.kvm);
    fits = doctor_size_text(max);
    if (r->facts->window.fits > max) {
        remedy(add(r, DOCTOR_LIMITED, "window.address-bits", "window",
                   g_strdup_printf("the guest's firmware may find no place for "
                                   "it: with its address bits, %s is the "
                                   "largest BAR that fits for sure", fits)),
               "Use hostmem=%s.", fits);
    }
}

/*
 * SeaBIOS has up to 1 GiB below 4 GiB for BARs, where the guest's MTRRs make
 * them uncached, whatever type the guest wants.
 */
static void report_small_window(Report *r)
{
    uint64_t size = r->facts->window.fits;

    if (size && size < GiB && doctor_is_x86(r->facts)) {
        remedy(add(r, DOCTOR_LIMITED, "window.small", "window", g_strdup(
            "a window of less than 1G may be placed below 4 GiB, where "
            "guests map buffers uncached, not cached")),
            "Use hostmem=4G, or at least 1G.");
    }
}

static void report_window(Report *r)
{
    const DoctorWindow *window = &r->facts->window;
    g_autofree char *fits = doctor_size_text(window->fits), *how = NULL;

    if (not_started(&window->probe)) {
        return;
    }
    if (!ended(&window->probe)) {
        g_autofree char *size = doctor_size_text(window->size);

        how = fate(&window->probe);
        remedy(add(r, DOCTOR_BAD, "window.probe", "window", g_strdup_printf(
            "reserving %s: %s", size, how)), "Raise the limits on memory "
            "(ulimit -v, memory.max of the cgroup).");
        return;
    }
    if (window->fits == window->size) {
        add(r, DOCTOR_OK, "window.fits", "window", g_strdup_printf(
            "hostmem=%s fits in QEMU's address space", fits));
    } else {
        report_window_limit(r, fits);
    }
    report_small_window(r);
    report_address_bits(r);
}

/* Each blob takes a mapping, and one more where it cuts a hole in two. */
static void report_mappings(Report *r)
{
    const DoctorFacts *facts = r->facts;
    uint64_t need = facts->window.fits
                    ? virtio_gpu_blob_vma_needs(facts->window.fits) : 0;
    uint64_t blobs = (facts->mappings - MIN(need, facts->mappings)) / 2;
    bool few = blobs < BLOBS_WANTED;
    DoctorLine *line = add(r, few ? DOCTOR_LIMITED : DOCTOR_OK,
        few ? "mappings.few" : "mappings.enough", "mappings",
        g_strdup_printf("up to %" PRIu64 " blobs can be mapped at once "
                        "(vm.max_map_count is %" PRIu64 ")", blobs,
                        facts->map_count));

    if (few) {
        remedy(line, "Raise it.");
        root_command(r, line, "sysctl vm.max_map_count=%d", MAP_COUNT_WANTED);
    }
}

static char *limit_text(uint64_t limit)
{
    return limit == RLIM_INFINITY ? g_strdup("unlimited")
                                  : g_strdup_printf("%" PRIu64, limit);
}

static void report_files(Report *r)
{
    const DoctorFacts *facts = r->facts;
    bool few = facts->files < BLOBS_WANTED;
    g_autofree char *files = limit_text(facts->files);
    g_autofree char *hard = limit_text(facts->files_hard);
    DoctorLine *line = add(r, few ? DOCTOR_LIMITED : DOCTOR_OK,
        few ? "files.few" : "files.enough", "open files", g_strdup_printf(
        "the limit is %s (hard limit: %s); each mapped dma-buf can take one",
        files, hard));

    if (!few) {
        return;
    }
    if (facts->files_hard >= BLOBS_WANTED) {
        remedy(line, "Raise it in the shell that starts QEMU (a service: "
               "LimitNOFILE=; libvirt: max_files in qemu.conf).");
        line->command = g_strdup_printf("ulimit -n %" PRIu64, MIN(
            facts->files_hard, (uint64_t)FILES_WANTED));
    } else {
        remedy(line, "Raise both limits of the shell that starts QEMU (a "
               "service: LimitNOFILE=; libvirt: max_files in qemu.conf).");
        root_command(r, line, "prlimit --pid $$ --nofile=%d", FILES_WANTED);
    }
}

/*
 * QEMU
 */

static void report_qemu(Report *r)
{
    const DoctorQEMU *qemu = &r->facts->qemu;
    g_autofree char *how = NULL;
    DoctorLine *line;

    if (not_started(&qemu->probe)) {
        return;
    }
    if (!ended(&qemu->probe)) {
        how = fate(&qemu->probe);
        line = add(r, DOCTOR_BAD, "qemu.probe", "qemu",
                   g_strdup_printf("%s: %s", qemu->path, how));
        remedy(line, "Try it by hand.");
        line->command = g_strdup_printf("%s -device virtio-gpu-gl-pci,help",
                                        qemu->path);
    } else if (!qemu->found) {
        line = add(r, DOCTOR_BAD, "qemu.missing", "qemu",
                   g_strdup_printf("%s is not there", qemu->path));
        remedy(line, "Install QEMU, or use --qemu=FILE.");
    } else if (!qemu->has_device) {
        line = add(r, DOCTOR_BAD, "qemu.no-device", "qemu", g_strdup_printf(
            "%s has no virtio-gpu-gl: %s", qemu->path,
            *qemu->error ? qemu->error : "it gives no reason"));
        install(r, line, "qemu-system-modules-opengl", "QEMU's OpenGL "
                "modules");
    } else if (!qemu->ours) {
        line = add(r, DOCTOR_BAD, "qemu.unmodified", "qemu", g_strdup_printf(
            "%s (%s) does not support map-policy (unmodified virtio-gpu-gl)",
            qemu->version, qemu->path));
        remedy(line, "Use --qemu=FILE to select another QEMU, or install the "
               "package qemu-virtio-gpu-blob.");
    } else {
        add(r, DOCTOR_OK, "qemu.map-policy", "qemu", g_strdup_printf(
            "%s (%s) has map-policy", qemu->version, qemu->path));
    }
}

static const char *const display_names[] = {
    [DOCTOR_DISPLAY_GTK] = "a GTK window",
    [DOCTOR_DISPLAY_SDL] = "an SDL window",
    [DOCTOR_DISPLAY_EGL_HEADLESS] = "egl-headless and VNC",
    [DOCTOR_DISPLAY_OFFSCREEN] = "SDL's offscreen driver",
};

static char *why_not_started(const DoctorProbe *probe)
{
    g_autofree char *said = last_said(probe);
    g_autofree char *how = NULL;

    if (probe->end == DOCTOR_NO_FORK) {
        return g_strdup(strerror(probe->error));
    }
    if (probe->end == DOCTOR_DIED && !probe->signal && said) {
        return g_strdup(said);
    }
    how = fate(probe);
    return g_strdup_printf("%s%s%s", how, said ? ": " : "", said ? said : "");
}

static void report_failed_start(Report *r, const DoctorChoice *choice,
                                const DoctorStart *start)
{
    g_autofree char *why = why_not_started(&start->probe);

    remedy(add(r, DOCTOR_BAD, "start.failed", "start", g_strdup_printf(
        "QEMU does not start with %s and %s: %s", choice->kvm ? "KVM" : "TCG",
        display_names[choice->display], why)), "%s",
        r->worst == DOCTOR_BAD ? "See what it says with --verbose."
                               : "The options below do without.");
}

static void report_offscreen(Report *r)
{
    DoctorLine *line = add(r, DOCTOR_LIMITED, "start.not-shown", "start",
        g_strdup("without a GPU and a desktop, the guest's screen is not shown "
                 "anywhere"));

    remedy(line, "Use a desktop, a GPU, or the driver vgem, which lets "
           "egl-headless and VNC work with the CPU.");
    root_command(r, line, "modprobe vgem");
}

/* Each choice that was tried: those before the best one have failed. */
static void report_starts(Report *r)
{
    const DoctorFacts *facts = r->facts;
    DoctorChoice choices[DOCTOR_STARTS_MAX], best;
    int n = doctor_recipe_choices(facts, choices), i;
    int found = doctor_recipe_best(facts, &best);

    for (i = 0; i < n && i != found; i++) {
        if (facts->starts[i].probe.end != DOCTOR_NOT_RUN) {
            report_failed_start(r, &choices[i], &facts->starts[i]);
        }
    }
    if (found >= 0) {
        add(r, DOCTOR_OK, "start.works", "start", g_strdup_printf(
            "QEMU starts with the options below (%s, %s)",
            best.kvm ? "KVM" : "TCG", display_names[best.display]));
        if (best.display == DOCTOR_DISPLAY_OFFSCREEN) {
            report_offscreen(r);
        }
    } else if (!n && facts->qemu.ours && facts->window.fits) {
        install(r, add(r, DOCTOR_BAD, "start.no-display", "start",
                       g_strdup("QEMU has no display that works here")),
                "qemu-system-modules-opengl qemu-system-gui",
                "QEMU's egl-headless, SDL or GTK display");
    }
}

GPtrArray *doctor_report(const DoctorFacts *facts)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(free_line);
    DoctorChoice choice;
    Report r = {
        .facts = facts,
        .lines = lines,
        .worst = doctor_recipe_best(facts, &choice) >= 0 ? DOCTOR_LIMITED
                                                         : DOCTOR_BAD,
    };

    report_system(&r);
    report_forks(&r);
    report_versions(&r);
    report_query(&r);
    report_sources(&r);
    report_gpus(&r);
    report_renderer(&r);
    report_kvm(&r);
    report_page(&r);
    report_window(&r);
    report_mappings(&r);
    report_files(&r);
    report_qemu(&r);
    report_starts(&r);
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
