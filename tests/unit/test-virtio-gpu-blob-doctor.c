/*
 * The blob doctor: what it says of hosts, to people and to programs; which
 * options it recommends; probes that hang; its command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hosts are invented here.  What is printed for them is in
 * virtio-gpu-blob-doctor.txt, by their names.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "standard-headers/linux/virtio_gpu.h"
#include "contrib/virtio-gpu-blob-doctor/child.h"
#include "contrib/virtio-gpu-blob-doctor/options.h"
#include "contrib/virtio-gpu-blob-doctor/print.h"
#include "contrib/virtio-gpu-blob-doctor/recipe.h"

#include <locale.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/*
 * Hosts
 */

#define DONE { .end = DOCTOR_DONE }
#define LATE { .end = DOCTOR_LATE }

#define CACHED(name) { .made = true, .exporter = name, .read_write = true, \
                       .answer = VIRTIO_GPU_EXPORTER_COHERENT_CACHED }

#define INTEL "Mesa Intel(R) UHD Graphics 770"

#define GPU(name) \
    .node = name, .driver = "i915", .probe = DONE, \
    .gl = { .works = true, .renderer = INTEL, \
            .version = "4.6 (Core Profile) Mesa 25.0.7-2" }, \
    .buffer = CACHED("i915")

/* Nothing is wrong: a kernel with the query, one GPU, KVM on AMD. */
static const DoctorFacts good = {
    .kernel = "6.12.117",
    .machine = "x86_64",
    .system = "Debian GNU/Linux 13 (trixie)",
    .debian = true,
    .user = "me",
    .processors = 8,
    .page_size = 4 * KiB,
    .address_bits = 46,
    .map_count = 65530,
    .mappings = 61434,
    .files = 16384,
    .files_hard = 524288,
    .sources_probe = DONE,
    .sources_count = 1,
    .sources = { { .name = "udmabuf", .buffer = CACHED("udmabuf") } },
    .gpus_count = 1,
    .gpus = { { GPU("renderD128") } },
    .cards = 1,
    .sdl = { .probe = DONE, .found = true },
    .renderer = {
        .probe = DONE, .found = true, .blobs = true,
        .file = "libvirglrenderer.so.1.9.0", .version = "1.1.0-2",
        .opengl = { .probe = DONE, .made = true, .capset_size = 1384,
                    .backing = VIRTIO_GPU_BLOB_BACKING_DMABUF,
                    .word = VIRTIO_GPU_MAP_CACHE_CACHED,
                    .buffer = CACHED("i915") },
        .venus = { .probe = DONE, .made = true, .capset_size = 160,
                   .backing = VIRTIO_GPU_BLOB_BACKING_SHM,
                   .word = VIRTIO_GPU_MAP_CACHE_CACHED },
    },
    .vulkan = { .probe = DONE, .found = true, .count = 1,
                .devices = { { .name = INTEL } } },
    .kvm = {
        .probe = DONE, .usable = true,
        .probes = { .accel = VIRTIO_GPU_BLOB_ACCEL_KVM,
                    .cpu = VIRTIO_GPU_BLOB_CPU_X86_SVM },
        .type = VIRTIO_GPU_BLOB_TYPE_HONOURED,
    },
    .window = { .probe = DONE, .size = 4 * GiB, .fits = 4 * GiB },
    .qemu = { .probe = DONE, .path = "/usr/bin/qemu-system-x86_64",
              .found = true, .has_device = true, .ours = true, .sdl = true,
              .egl_headless = true,
              .version = "QEMU emulator version 10.0.13" },
    .starts = { { .probe = DONE }, { .probe = DONE }, { .probe = DONE },
                { .probe = DONE }, { .probe = DONE }, { .probe = DONE },
                { .probe = DONE }, { .probe = DONE } },
};

/*
 * With --verbose: QEMU's command line in a report, for check-doctor.py, which
 * starts it
 */
static void show_command(const char *host, const char *text)
{
    const char *start = strstr(text, "\nQEMU (");

    if (start && g_test_verbose()) {
        g_autofree char *command = NULL, *line = NULL;
        g_auto(GStrv) parts = NULL;

        start = strstr(start, "\n\n") + 2;
        command = g_strndup(start, strstr(start, "\n\n") - start);
        parts = g_strsplit(command, " \\\n    ", -1);
        line = g_strjoinv(" ", parts);
        g_test_message("command of %s: %s", host, line);
    }
}

static char *text_of(const char *host, const DoctorFacts *facts, bool verbose,
                     DoctorLevel level)
{
    g_autoptr(GPtrArray) lines = doctor_report(facts);
    char *text = g_string_free(doctor_print_text(facts, lines, verbose), false);

    show_command(host, text);
    g_assert_cmpint(doctor_report_level(lines), ==, level);
    g_assert_true(g_utf8_validate(text, -1, NULL));
    return text;
}

/* The second column of virtio-gpu-blob-doctor.txt */
#define COLUMN 22

static GHashTable *expected; /* lines of the report, by the host's name */

/* A line without a name belongs to the host before. */
static void load_expected(void)
{
    g_autofree char *file = NULL;
    GString *text = NULL;
    char *next, *line;

    g_assert_true(g_file_get_contents(REPORTS, &file, NULL, NULL));
    g_assert_true(g_str_has_suffix(file, "\n"));
    expected = g_hash_table_new(g_str_hash, g_str_equal);
    for (next = file; (line = qemu_strsep(&next, "\n")) && next; ) {
        if (*line == '#') {
            continue;
        }
        g_assert_true(!*line || strlen(line) > COLUMN);
        if (*line && *line != ' ') {
            text = g_string_new(NULL);
            g_assert_true(g_hash_table_insert(expected,
                g_strndup(line, strcspn(line, " ")), text));
        }
        g_string_append_printf(text, "%s\n", *line ? line + COLUMN : "");
    }
}

static const char *expected_of(const char *host)
{
    const GString *text = g_hash_table_lookup(expected, host);

    g_assert_nonnull(text);
    return text->str;
}

static void test_good(void)
{
    const char *wanted = expected_of("good");
    g_autofree char *text = text_of("good", &good, false, DOCTOR_OK);

    text[MIN(strlen(text), strlen(wanted))] = '\0';
    g_assert_cmpstr(text, ==, wanted);
}

/* One thing is wrong: the facts that differ, and how bad it is */

#define OK DOCTOR_OK
#define LIMITED DOCTOR_LIMITED
#define BAD DOCTOR_BAD

typedef struct Change {
    size_t at, len;
    const void *value;
} Change;

#define SET(field, ...) \
    { offsetof(DoctorFacts, field), sizeof(((DoctorFacts *)0)->field), \
      &(const typeof(((DoctorFacts *)0)->field)) { __VA_ARGS__ } }

static const Change no_opengl[] = {
    SET(gpus[0].gl, .error = "gbm_create_device failed"),
    SET(gpus[0].probe.said, "one\nno such driver\n"), { }
};

static const Change no_gpu[] = {
    SET(gpus_count, 0), SET(cards, 0), { }
};

static const Change kvm_absent[] = {
    SET(kvm.usable, false), SET(kvm.error, ENOENT),
    SET(kvm.probes.accel, VIRTIO_GPU_BLOB_ACCEL_QEMU), { }
};

static const Change arm64[] = {
    SET(machine, "aarch64"),
    SET(sources[0].buffer.answer, VIRTIO_GPU_EXPORTER_UNSUPPORTED),
    SET(gpus[0].buffer.answer, VIRTIO_GPU_EXPORTER_UNSUPPORTED), { }
};

static const Change udmabuf_closed[] = {
    SET(sources[0].buffer, 0), SET(sources[0].file, EACCES, "kvm"), { }
};

static const Change smaller_window[] = {
    SET(window.fits, 512 * MiB), SET(window.error, "hostmem: too large"), { }
};

static const Change wc_ignored[] = {
    SET(gpus[0].buffer.answer, VIRTIO_GPU_EXPORTER_COHERENT_WC),
    SET(kvm.type, VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK), { }
};

static const Change no_server[] = {
    SET(renderer.venus, .probe = { .end = DOCTOR_DONE,
                                   .stage = "creating a context" },
        .result = -ENOMEM), { }
};

static const struct {
    const char *name;
    DoctorLevel level;
    Change changes[8];
    const Change *first; /* before those, or NULL */
} wrong[] = {
    { "no-query", LIMITED,
      { SET(sources[0].buffer.answer, VIRTIO_GPU_EXPORTER_UNSUPPORTED),
        SET(gpus[0].buffer.answer, VIRTIO_GPU_EXPORTER_UNSUPPORTED),
        SET(renderer.opengl.buffer.answer, VIRTIO_GPU_EXPORTER_UNSUPPORTED) } },
    { "no-buffer", LIMITED, { SET(sources_count, 0), SET(gpus_count, 0) } },
    { "private-root", OK, { SET(private_root, "/r") } },
    { "root-installs", LIMITED,
      { SET(private_root, "/r"), SET(root, true) }, no_server },
    { "forks-refused", BAD,
      { SET(qemu.probe, .end = DOCTOR_NO_FORK, .error = EAGAIN),
        SET(window.probe, .end = DOCTOR_NO_FORK, .error = EAGAIN),
        SET(renderer.probe, .end = DOCTOR_NO_FORK, .error = EAGAIN),
        SET(qemu.ours, false) } },
    { "old-for-gpu", LIMITED, { SET(gpus[0].driver, "amdgpu") } },
    { "new-for-gpu", LIMITED,
      { SET(gpus[0].driver, "amdgpu"), SET(kernel, "6.13.0-rc1") } },
    { "nvidia", LIMITED,
      { SET(gpus[0].driver, "nvidia-drm"), SET(nvidia, "550.163.01"),
        SET(kvm.usable, false) } },
    { "sources-hang", LIMITED, { SET(sources_probe, .end = DOCTOR_LATE) } },
    { "no-udmabuf", LIMITED, { SET(sources_count, 0) } },
    { "udmabuf-closed", LIMITED, { }, udmabuf_closed },
    { "udmabuf-no-group", LIMITED,
      { SET(sources[0].file.group[0], 0) }, udmabuf_closed },
    { "udmabuf-fails", LIMITED, { SET(sources[0].buffer, .error = ENOMEM) } },
    { "incoherent", LIMITED,
      { SET(sources[1], .name = "dma-heap system", .buffer = { .made = true,
            .exporter = "system", .read_write = true,
            .answer = VIRTIO_GPU_EXPORTER_INCOHERENT }),
        SET(sources_count, 2) } },
    { "no-gpu", LIMITED, { }, no_gpu },
    { "card-only", LIMITED,
      { SET(cards, 1), SET(sdl.gl.renderer, "llvmpipe") }, no_gpu },
    { "no-gpu-not-shown", LIMITED, { }, no_gpu },
    { "no-sys", LIMITED, { SET(gpus_error, EACCES) }, no_gpu },
    { "gpu-closed", LIMITED,
      { SET(gpus[0].state, DOCTOR_NODE_CLOSED), SET(gpus[0].file.error, EACCES),
        SET(gpus[0].gl.works, false), SET(gpus[0].buffer, 0),
        SET(gpus[0].file.group, "render") } },
    { "gpu-fails", LIMITED,
      { SET(gpus[0].state, DOCTOR_NODE_CLOSED), SET(gpus[0].file.error, ENODEV),
        SET(gpus[0].gl.works, false), SET(gpus[0].buffer, 0) } },
    { "gpu-missing", LIMITED,
      { SET(gpus[0].state, DOCTOR_NODE_MISSING),
        SET(gpus[0].file.error, ENOENT), SET(gpus[0].gl.works, false),
        SET(gpus[0].buffer, 0) } },
    { "gpu-other", LIMITED,
      { SET(gpus[0].state, DOCTOR_NODE_OTHER), SET(gpus[0].file.error, 0),
        SET(gpus[0].gl.works, false), SET(gpus[0].buffer, 0) } },
    { "gpu-hangs", LIMITED,
      { SET(gpus[0].probe, .end = DOCTOR_LATE, .stage = "opening it") } },
    { "gpu-crashes", LIMITED,
      { SET(gpus[0].probe, .end = DOCTOR_DIED, .signal = SIGSEGV),
        SET(gpus[0].driver[0], 0) } },
    { "gpu-killed", LIMITED,
      { SET(gpus[0].probe, .end = DOCTOR_DIED, .signal = SIGKILL) } },
    { "gpu-no-opengl", LIMITED, { }, no_opengl },
    { "gpu-no-opengl-nvidia", LIMITED,
      { SET(gpus[0].driver, "nvidia"), SET(debian, false) }, no_opengl },
    { "gpu-wanted-broken", BAD, { SET(rendernode, "renderD128") }, no_opengl },
    { "gpu-wanted-absent", BAD, { SET(rendernode, "renderD129") } },
    { "gpu-software", LIMITED,
      { SET(gpus[0].gl.renderer, "llvmpipe (LLVM 19)"),
        SET(vulkan.devices[0].software, true) } },
    { "gpu-software/vulkan", LIMITED,
      { SET(gpus[0].gl.renderer, "llvmpipe (LLVM 19)"),
        SET(vulkan.devices[0].software, true) } },
    { "gpu-not-mappable", LIMITED, { SET(gpus[0].buffer.map_error, EINVAL) } },
    { "gpu-of-two", LIMITED,
      { SET(gpus[1], GPU("renderD129")), SET(gpus_count, 2) }, no_opengl },
    { "gpu-chosen", OK,
      { SET(gpus[1], GPU("renderD129")), SET(gpus_count, 2),
        SET(rendernode, "renderD129") } },
    { "gpu-moves", LIMITED, { SET(gpus[0].driver, "xe") } },
    { "gpu-wc-ignored", LIMITED, { }, wc_ignored },
    { "kvm-ignored", LIMITED, { }, wc_ignored },
    { "kvm-switchable", OK,
      { SET(gpus[0].buffer.answer, VIRTIO_GPU_EXPORTER_COHERENT_WC),
        SET(kvm.type, VIRTIO_GPU_BLOB_TYPE_SWITCHABLE) } },
    { "kvm-old", LIMITED,
      { SET(kvm.type, VIRTIO_GPU_BLOB_TYPE_NO_SWITCH),
        SET(kernel, "6.12.77") } },
    { "kvm-new", LIMITED,
      { SET(kvm.type, VIRTIO_GPU_BLOB_TYPE_NO_SWITCH),
        SET(kernel, "6.12.78-1") } },
    { "renderer-hangs", LIMITED, { SET(renderer.probe, .end = DOCTOR_LATE) } },
    { "renderer-missing", BAD,
      { SET(renderer.found, false), SET(renderer.error, "no such file"),
        SET(qemu.has_device, false), SET(qemu.ours, false) } },
    { "renderer-old", BAD,
      { SET(renderer.blobs, false), SET(qemu.ours, false) } },
    { "renderer-new", OK, { SET(renderer.map_fixed, true) } },
    { "opengl-no-fd", LIMITED,
      { SET(renderer.opengl.backing, VIRTIO_GPU_BLOB_BACKING_NONE),
        SET(renderer.opengl.word, 0) } },
    { "opengl-regions", LIMITED,
      { SET(renderer.opengl.backing, VIRTIO_GPU_BLOB_BACKING_NONE) } },
    { "opengl-fails", LIMITED,
      { SET(renderer.opengl, .probe = { .end = DOCTOR_DONE, .stage = "starting",
            .said = "no EGL\n" }, .result = -1) } },
    { "no-server", LIMITED, { }, no_server },
    { "no-reason", LIMITED, { SET(renderer.venus.result, -1) }, no_server },
    { "venus-hangs", LIMITED,
      { SET(renderer.venus.made, false),
        SET(renderer.venus.probe, .end = DOCTOR_LATE) } },
    { "no-capset", LIMITED, { SET(renderer.venus.capset_size, 0) } },
    { "no-vulkan", LIMITED, { SET(vulkan.count, 0), SET(vulkan.result, -9) } },
    { "no-libvulkan", LIMITED,
      { SET(vulkan.count, 0), SET(vulkan.found, false) } },
    { "vulkan-crashes", LIMITED,
      { SET(vulkan.count, 0),
        SET(vulkan.probe, .end = DOCTOR_DIED, .signal = SIGABRT,
            .stage = "listing devices") } },
    { "software-vulkan", LIMITED, { SET(vulkan.devices[0].software, true) } },
    { "kvm-absent", LIMITED, { }, kvm_absent },
    { "kvm-absent-arm64", LIMITED,
      { SET(kvm.usable, false), SET(kvm.error, ENOENT),
        SET(kvm.probes.accel, VIRTIO_GPU_BLOB_ACCEL_QEMU) }, arm64 },
    { "kvm-closed", LIMITED,
      { SET(kvm.error, EACCES), SET(kvm.file.group, "kvm") }, kvm_absent },
    { "kvm-hangs", LIMITED, { SET(kvm.probe, .end = DOCTOR_LATE) } },
    { "kvm-broken", LIMITED,
      { SET(starts[0].probe, .end = DOCTOR_DIED,
            .said = "{\"QMP\"}\nno such ioctl\n{}\n"),
        SET(starts[1].probe, .end = DOCTOR_DIED, .signal = SIGABRT) } },
    { "arm64", LIMITED, { }, arm64 },
    { "large-pages", LIMITED, { SET(page_size, 64 * KiB) } },
    { "smaller-window", LIMITED, { }, smaller_window },
    { "no-window", BAD, { SET(window.fits, 0) }, smaller_window },
    { "window-killed", BAD,
      { SET(window.fits, 0),
        SET(window.probe, .end = DOCTOR_DIED, .signal = SIGKILL) } },
    { "few-bits", LIMITED,
      { SET(address_bits, 39), SET(window.size, 128 * GiB),
        SET(window.fits, 128 * GiB) } },
    { "few-mappings", LIMITED, { SET(map_count, 8192), SET(mappings, 4096) } },
    { "no-mappings", LIMITED, { SET(mappings, 100) } },
    { "few-files", LIMITED, { SET(files, 1024) } },
    { "few-hard-files", LIMITED, { SET(files, 1024), SET(files_hard, 1024) } },
    { "unlimited-files", OK,
      { SET(files, RLIM_INFINITY), SET(files_hard, RLIM_INFINITY) } },
    { "qemu-hangs", BAD,
      { SET(qemu.ours, false), SET(qemu.probe, .end = DOCTOR_LATE) } },
    { "qemu-missing", BAD, { SET(qemu.ours, false), SET(qemu.found, false) } },
    { "qemu-without-device", BAD,
      { SET(qemu.ours, false), SET(qemu.has_device, false),
        SET(qemu.error, "no such device") } },
    { "qemu-unmodified", BAD, { SET(qemu.ours, false) } },
    { "qemu-no-display", BAD,
      { SET(qemu.sdl, false), SET(qemu.egl_headless, false) } },
    { "nothing-starts", BAD,
      { SET(starts, [0 ... DOCTOR_STARTS_MAX - 1] = { LATE }) } },
    { "desktop", OK,
      { SET(desktop, true), SET(sdl.node, "renderD128"),
        SET(sdl.gl.renderer, INTEL) } },
};

static const char *const results[] = {
    "\nResult: usable.\n",
    "\nResult: usable with limitations (see ! lines).\n",
    "\nResult: not usable; fix the lines marked ✗.\n",
};

static void apply(DoctorFacts *facts, const Change *changes)
{
    for (; changes && changes->len; changes++) {
        memcpy((char *)facts + changes->at, changes->value, changes->len);
    }
}

/* Those of the row that has this name */
static DoctorFacts facts_of(const char *name)
{
    DoctorFacts facts = good;

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        if (!strcmp(wrong[i].name, name)) {
            apply(&facts, wrong[i].first);
            apply(&facts, wrong[i].changes);
            return facts;
        }
    }
    g_assert_not_reached();
}

/* The verdict, the lines and whether there are options agree. */
static void test_wrong(const void *data)
{
    size_t i = (uintptr_t)data;
    DoctorFacts facts = facts_of(wrong[i].name);
    g_autofree char *text = text_of(wrong[i].name, &facts, false,
                                    wrong[i].level);
    g_autofree char *report = g_strconcat("\n", text, NULL);
    g_autofree char *lines = g_strconcat("\n", expected_of(wrong[i].name),
                                         NULL);
    DoctorChoice choice;

    if (!strstr(report, lines) || !strstr(report, results[wrong[i].level])) {
        g_error("%snot in%s", lines, report);
    }
    g_assert_cmpint(doctor_recipe_best(&facts, &choice) < 0, ==,
                    wrong[i].level == DOCTOR_BAD);
}

/*
 * Options
 */

static const struct {
    const char *name;
    const char *wrong;
    const char *env;
    const char *argv;
} recipes[] = {
    { "desktop", "desktop", "SDL_VIDEODRIVER=x11,wayland",
      "-display sdl,gl=on -device virtio-vga-gl,id=gpu0,blob=on,hostmem=4G,"
      "venus=on,map-policy=safe" },
    { "no-gpu", "no-gpu", "SDL_VIDEODRIVER=offscreen",
      "-display sdl,gl=on -device " },
    { "gpu-of-two", "gpu-of-two", "",
      "-display egl-headless,rendernode=/dev/dri/renderD129 -vnc " },
    { "no-vulkan", "no-vulkan", "", "hostmem=4G,map-policy=safe" },
    { "no-server", "no-server", "", "hostmem=4G,map-policy=safe" },
    { "no-capset", "no-capset", "", "hostmem=4G,map-policy=safe" },
    { "kvm-absent", "kvm-absent", "", " -accel tcg -cpu max -smp 4 -m 4G " },
    { "kvm-broken", "kvm-broken", "", " -accel tcg -cpu max " },
    { "smaller-window", "smaller-window", "", "hostmem=512M" },
    { "few-bits", "few-bits", "", "hostmem=64G" },
    { "arm64", "arm64", "", "-device virtio-gpu-gl-pci,id=gpu0,blob=on" },
    { "arm64/machine", "arm64", "", "-machine virt,memory-backend=mem" },
};

static void test_recipe(const void *data)
{
    size_t i = (uintptr_t)data;
    DoctorFacts facts = facts_of(recipes[i].wrong);
    g_auto(GStrv) argv = NULL, env = NULL;
    g_autofree char *line = NULL, *set = NULL;
    DoctorChoice choice;

    g_assert_cmpint(doctor_recipe_best(&facts, &choice), >=, 0);
    argv = doctor_recipe_argv(&facts, &choice);
    env = doctor_recipe_env(&choice);
    line = g_strjoinv(" ", argv);
    set = g_strjoinv(" ", env);
    g_assert_cmpstr(set, ==, recipes[i].env);
    g_assert_nonnull(strstr(line, recipes[i].argv));
}

static char *libvirt_of(DoctorFacts facts, char **notes)
{
    g_auto(GStrv) list = NULL;
    DoctorChoice choice;

    g_assert_cmpint(doctor_recipe_best(&facts, &choice), >=, 0);
    list = doctor_recipe_libvirt_notes(&facts, &choice);
    *notes = g_strjoinv("\n", list);
    return doctor_recipe_libvirt(&facts, &choice);
}

static void test_libvirt(void)
{
    g_autofree char *n1 = NULL, *n2 = NULL, *n3 = NULL, *n4 = NULL;
    g_autofree char *n5 = NULL, *n6 = NULL;
    g_autofree char *gpu = libvirt_of(good, &n1);
    g_autofree char *offscreen = libvirt_of(facts_of("no-gpu"), &n2);
    g_autofree char *vulkan = libvirt_of(facts_of("no-vulkan"), &n3);
    g_autofree char *rules = NULL, *paths = NULL;
    g_autofree char *window = libvirt_of(facts_of("desktop"), &n6);
    DoctorFacts confined = good;

    confined.apparmor = confined.selinux = true;
    rules = libvirt_of(confined, &n4);
    pstrcpy(confined.qemu.path, sizeof(confined.qemu.path), "/a&b/<qemu>");
    paths = libvirt_of(confined, &n5);

    g_assert_nonnull(strstr(gpu, "<gl rendernode='/dev/dri/renderD128'/>"));
    g_assert_nonnull(strstr(gpu, "<graphics type='vnc' "));
    g_assert_nonnull(strstr(gpu, "name='venus'"));
    g_assert_nonnull(strstr(n1, "seccomp_sandbox = 0"));
    g_assert_null(strstr(gpu, "qemu:commandline"));
    g_assert_nonnull(strstr(offscreen, "<qemu:arg value='sdl,gl=on'/>"));
    g_assert_nonnull(strstr(offscreen, "<qemu:env name='SDL_VIDEODRIVER' "
                                       "value='offscreen'/>"));
    g_assert_null(strstr(offscreen, "<graphics"));
    g_assert_null(strstr(vulkan, "venus"));
    g_assert_null(strstr(n3, "seccomp"));
    g_assert_null(strstr(n3, "AppArmor"));
    g_assert_nonnull(strstr(paths, "<emulator>/a&amp;b/&lt;qemu&gt;<"));
    g_assert_null(strstr(rules, "seclabel"));
    g_assert_nonnull(strstr(n4, "@{pid}/fdinfo/"));
    g_assert_nonnull(strstr(n4, "kvm_amd/parameters/npt r,"));
    g_assert_nonnull(strstr(n4, "For SELinux"));
    g_assert_nonnull(strstr(n5, "/a&b/<qemu> PUx,"));
    g_assert_nonnull(strstr(n5, "<seclabel "));
    /* a daemon's QEMU opens no window */
    g_assert_nonnull(strstr(window, "<graphics type='egl-headless'>"));
}

/* What is pasted into a shell is one word for it. */
static void test_quoted(void)
{
    DoctorFacts facts = good;
    g_autofree char *text = NULL;

    pstrcpy(facts.qemu.path, sizeof(facts.qemu.path), "/my qemu");
    text = text_of("quoted", &facts, false, DOCTOR_OK);
    g_assert_nonnull(strstr(text, "\n'/my qemu' \\\n    -machine"));
}

static void test_verbose(void)
{
    DoctorFacts facts = good;
    g_autofree char *text = NULL;

    pstrcpy(facts.gpus[0].probe.said, 2048, "first\n\xff second\n");
    text = text_of("verbose", &facts, true, DOCTOR_OK);
    g_assert_nonnull(strstr(text, "    renderD128: first\n"
                                  "    renderD128: "));
}

/*
 * For programs
 */

static QDict *json_of(const DoctorFacts *facts)
{
    g_autoptr(GPtrArray) lines = doctor_report(facts);
    GString *text = doctor_print_json(facts, lines, "10.0");
    QObject *object = qobject_from_json(text->str, &error_abort);

    g_assert_true(g_str_has_suffix(text->str, "}\n"));
    g_string_free(text, true);
    return qobject_to(QDict, object);
}

static const char *first_of(QDict *dict, const char *name)
{
    QString *first = qobject_to(QString,
                                qlist_peek(qdict_get_qlist(dict, name)));

    return qstring_get_str(first);
}

static void test_json(void)
{
    g_autoptr(QDict) dict = json_of(&good);
    QDict *first = qobject_to(QDict, qlist_peek(qdict_get_qlist(dict,
                                                                "lines")));
    QDict *facts = qdict_get_qdict(dict, "facts");

    g_assert_cmpint(qdict_get_int(dict, "version"), ==, DOCTOR_JSON_VERSION);
    g_assert_cmpstr(qdict_get_str(dict, "doctor"), ==, "10.0");
    g_assert_cmpstr(qdict_get_str(dict, "level"), ==, "ok");
    g_assert_cmpint(qdict_get_int(dict, "exit-code"), ==, 0);
    g_assert_cmpint(qlist_size(qdict_get_qlist(dict, "lines")), ==, 20);
    g_assert_cmpstr(qdict_get_str(first, "id"), ==, "system.name");
    g_assert_cmpstr(qdict_get_str(first, "topic"), ==, "system");
    g_assert_cmpstr(qdict_get_str(first, "text"), ==, good.system);
    g_assert_false(qdict_haskey(first, "remedy"));
    g_assert_cmpstr(qdict_get_str(facts, "gpu"), ==, "renderD128");
    g_assert_cmpint(qdict_get_int(facts, "max-map-count"), ==, 65530);
    g_assert_cmpstr(first_of(dict, "argv"), ==, good.qemu.path);
    g_assert_true(qlist_empty(qdict_get_qlist(dict, "environment")));
    g_assert_true(g_str_has_prefix(qdict_get_str(dict, "libvirt"), "<domain"));
}

static void test_json_bad(void)
{
    DoctorFacts facts = facts_of("qemu-missing");
    g_autoptr(QDict) dict = NULL;
    QList *lines;
    QDict *last;

    dict = json_of(&facts);
    lines = qdict_get_qlist(dict, "lines");
    last = qobject_to(QDict, QTAILQ_LAST(&lines->head)->value);
    g_assert_cmpint(qdict_get_int(dict, "exit-code"), ==, 2);
    g_assert_cmpstr(qdict_get_str(last, "id"), ==, "qemu.missing");
    g_assert_cmpstr(qdict_get_str(last, "level"), ==, "bad");
    g_assert_false(qdict_haskey(dict, "argv"));
    g_assert_false(qdict_haskey(dict, "libvirt"));
}

/*
 * Probes
 */

static bool no_fork;

pid_t fork(void)
{
    if (no_fork) {
        errno = EAGAIN;
        return -1;
    }
    return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static bool is_null(int fd)
{
    struct stat st;

    return !fstat(fd, &st) && S_ISCHR(st.st_mode) &&
           st.st_rdev == makedev(1, 3);
}

/* Its output is kept, not mixed with the report's lines. */
static void do_it(void *found)
{
    if (is_null(STDIN_FILENO)) {
        *(pid_t *)found = getpid();
        dprintf(STDOUT_FILENO, "one\n");
        dprintf(STDERR_FILENO, "two\n");
    }
}

static void crash(void *found)
{
    *(pid_t *)found = getpid();
    prctl(PR_SET_DUMPABLE, 0);
    raise(SIGUSR1);
}

static void fail(void *found)
{
    exit(1);
}

static void hang(void *found)
{
    *(pid_t *)found = getpid();
    signal(SIGTERM, SIG_IGN);
    while (true) {
        pause();
    }
}

/* A child of the probe's would live on. */
static void leave_one_behind(void *found)
{
    pid_t pid = fork();

    if (!pid) {
        hang(found);
    }
    /* volatile: another process writes it */
    while (!*(volatile pid_t *)found) {
        usleep(1000);
    }
}

static void leave_one_and_hang(void *found)
{
    leave_one_behind(found);
    while (true) {
        pause();
    }
}

static void *shared_pids(void)
{
    return mmap(NULL, qemu_real_host_page_size(), PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* An orphan may stay a zombie, if init does not wait for it. */
static bool is_alive(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", pid);
    g_autofree char *text = NULL;
    const char *state;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return false;
    }
    state = strrchr(text, ')');
    return state && state[2] != 'Z' && state[2] != 'X';
}

static void assert_gone(pid_t pid)
{
    g_assert_cmpint(pid, >, 0);
    for (int i = 0; i < 2000 && is_alive(pid); i++) {
        g_usleep(1000);
    }
    g_assert_false(is_alive(pid));
}

static void test_children(void)
{
    static DoctorWork *const works[] = {
        do_it, crash, fail, hang, leave_one_behind, leave_one_and_hang
    };
    static const DoctorEnd wanted[] = {
        DOCTOR_DONE, DOCTOR_DIED, DOCTOR_DIED, DOCTOR_LATE, DOCTOR_DONE,
        DOCTOR_LATE,
    };
    DoctorChildren *children = doctor_children_new();
    pid_t *pids = shared_pids();
    DoctorProbe probes[G_N_ELEMENTS(works)];
    int64_t start = g_get_monotonic_time();

    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        doctor_children_start(children, works[i], &pids[i], &probes[i]);
    }
    doctor_children_wait(children, 1);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    for (size_t i = 0; i < G_N_ELEMENTS(works); i++) {
        g_test_message("child %zu", i);
        g_assert_cmpint(probes[i].end, ==, wanted[i]);
        if (works[i] != fail) {
            assert_gone(pids[i]);
        }
    }
    g_assert_cmpstr(probes[0].said, ==, "one\ntwo\n");
    g_assert_cmpint(probes[1].signal, ==, SIGUSR1);
    g_assert_cmpint(probes[2].signal, ==, 0);
    munmap(pids, qemu_real_host_page_size());
}

/* The time limit is not waited for if all have ended. */
static void test_children_soon(void)
{
    DoctorChildren *children = doctor_children_new();
    int64_t start = g_get_monotonic_time();
    DoctorProbe probe;
    pid_t *pids = shared_pids();

    doctor_children_start(children, do_it, pids, &probe);
    doctor_children_wait(children, 60);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 30 * G_USEC_PER_SEC);
    g_assert_cmpint(probe.end, ==, DOCTOR_DONE);
    munmap(pids, qemu_real_host_page_size());
}

static void test_children_no_fork(void)
{
    DoctorChildren *children = doctor_children_new();
    DoctorProbe probe;

    no_fork = true;
    doctor_children_start(children, do_it, NULL, &probe);
    no_fork = false;
    doctor_children_wait(children, 60);
    g_assert_cmpint(probe.end, ==, DOCTOR_NO_FORK);
    g_assert_cmpint(probe.error, ==, EAGAIN);
}

/*
 * The command line
 */

/* Takes its words apart at spaces; the error, or NULL */
static char *parse(const char *line, DoctorOptions *options)
{
    g_auto(GStrv) argv = g_strsplit(line, " ", -1);
    g_autoptr(GError) error = NULL;

    if (doctor_options_parse(options, argv, &error)) {
        g_assert_no_error(error);
        return NULL;
    }
    g_assert_nonnull(error);
    return g_strdup(error->message);
}

static void test_options(void)
{
    DoctorOptions options;

    g_assert_null(parse("doctor", &options));
    g_assert_cmpuint(options.hostmem, ==, 4 * GiB);
    g_assert_null(options.qemu);
    g_assert_cmpint(options.seconds, ==, 8);
    g_assert_null(options.rendernode);
    g_assert_false(options.json);
    g_assert_false(options.verbose);
    g_assert_false(options.version);

    g_assert_null(parse("doctor --json --hostmem=256M --qemu=/a --qemu /b "
                        "--timeout=3 --verbose --version "
                        "--rendernode=/dev/dri/renderD129", &options));
    g_assert_cmpuint(options.hostmem, ==, 256 * MiB);
    g_assert_cmpstr(options.qemu, ==, "/b");
    g_assert_cmpint(options.seconds, ==, 3);
    g_assert_true(options.json);
    g_assert_true(options.verbose);
    g_assert_true(options.version);
    g_assert_cmpstr(options.rendernode, ==, "renderD129");
    g_free(options.qemu);
    g_free(options.rendernode);
}

static void test_bad_options(void)
{
    static const char *const lines[][2] = {
        { "doctor --hostmem=", "invalid size:  (example: 4G)" },
        { "doctor --hostmem=much", "invalid size: much (example: 4G)" },
        { "doctor --hostmem=-1", "invalid size: -1 (example: 4G)" },
        { "doctor --hostmem=0", "invalid size: 0 (example: 4G)" },
        { "doctor --hostmem=64K", "invalid size: 64K (the smallest is 1M)" },
        { "doctor --hostmem=3G", "--hostmem: 3221225472 bytes is not a power "
          "of two between 1 MiB and the host's address space" },
        { "doctor --rendernode=card0",
          "invalid render node: card0 (example: /dev/dri/renderD128)" },
        { "doctor --timeout=0",
          "--timeout is a number of seconds from 1 to 600" },
        { "doctor --timeout=601",
          "--timeout is a number of seconds from 1 to 600" },
        { "doctor now", "unexpected argument: now" },
        { "doctor --nonsense", "Unknown option --nonsense" },
        { "doctor --hostmem", "Missing argument for --hostmem" },
    };
    DoctorOptions options;

    for (size_t i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *error = parse(lines[i][0], &options);

        g_assert_cmpstr(error, ==, lines[i][1]);
    }
}

int main(int argc, char **argv)
{
    setlocale(LC_ALL, "C");
    g_test_init(&argc, &argv, NULL);
    load_expected();
    /* Each case takes its lines: none is of no case. */
    g_assert_cmpuint(g_hash_table_size(expected), ==,
                     G_N_ELEMENTS(wrong) + 1);
    g_test_add_func("/doctor/good", test_good);
    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *path = g_strdup_printf("/doctor/wrong/%s",
                                                wrong[i].name);

        g_test_add_data_func(path, (void *)(uintptr_t)i, test_wrong);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(recipes); i++) {
        g_autofree char *path = g_strdup_printf("/doctor/recipe/%s",
                                                recipes[i].name);

        g_test_add_data_func(path, (void *)(uintptr_t)i, test_recipe);
    }
    g_test_add_func("/doctor/libvirt", test_libvirt);
    g_test_add_func("/doctor/quoted", test_quoted);
    g_test_add_func("/doctor/verbose", test_verbose);
    g_test_add_func("/doctor/json", test_json);
    g_test_add_func("/doctor/json/bad", test_json_bad);
    g_test_add_func("/doctor/children", test_children);
    g_test_add_func("/doctor/children/soon", test_children_soon);
    g_test_add_func("/doctor/children/no-fork", test_children_no_fork);
    g_test_add_func("/doctor/options", test_options);
    g_test_add_func("/doctor/options/bad", test_bad_options);
    return g_test_run();
}
