/*
 * The blob doctor: what it says of hosts, to people and to programs; probes
 * that hang; its command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
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

#define CACHED(name) { .made = true, .exporter = name, .read_write = true, \
                       .answer = VIRTIO_GPU_EXPORTER_COHERENT_CACHED }

/* Nothing is amiss: a kernel that can be asked, one GPU, AMD's KVM. */
static const DoctorFacts good = {
    .kernel = "6.12.117",
    .machine = "x86_64",
    .page_size = 4 * KiB,
    .mappings = 61434,
    .files = 16384,
    .sources_end = DOCTOR_DONE,
    .sources_count = 1,
    .sources = { { .name = "udmabuf", .buffer = CACHED("udmabuf") } },
    .gpus_count = 1,
    .gpus = { { .node = "renderD128", .driver = "i915", .end = DOCTOR_DONE,
                .gbm = true, .buffer = CACHED("i915") } },
    .renderer = {
        .end = DOCTOR_DONE, .found = true, .blobs = true,
        .file = "libvirglrenderer.so.1.9.0",
        .virgl = { .end = DOCTOR_DONE, .made = true,
                   .backing = VIRTIO_GPU_BLOB_BACKING_DMABUF,
                   .word = VIRTIO_GPU_MAP_CACHE_CACHED,
                   .buffer = CACHED("i915") },
        .venus = { .end = DOCTOR_DONE, .made = true,
                   .backing = VIRTIO_GPU_BLOB_BACKING_SHM,
                   .word = VIRTIO_GPU_MAP_CACHE_CACHED },
    },
    .kvm = {
        .end = DOCTOR_DONE, .usable = true,
        .probes = { .accel = VIRTIO_GPU_BLOB_ACCEL_KVM,
                    .cpu = VIRTIO_GPU_BLOB_CPU_X86_SVM },
        .type = VIRTIO_GPU_BLOB_TYPE_HONOURED,
    },
    .window = { .end = DOCTOR_DONE, .size = 4 * GiB, .fits = 4 * GiB },
    .qemu = { .end = DOCTOR_DONE, .path = "/usr/bin/qemu-system-x86_64",
              .found = true, .has_device = true, .ours = true,
              .version = "QEMU emulator version 10.0.13" },
};

static const char good_text[] =
    "✓ kernel: Linux 6.12.117 on x86_64\n"
    "✓ exporters: the kernel has DMA_BUF_IOCTL_INFO\n"
    "✓ dma-bufs: udmabuf: exporter \"udmabuf\" says coherent-cached: cached, "
    "by exporter\n"
    "✓ gpu: renderD128 (i915): exporter \"i915\" says coherent-cached: "
    "cached, by exporter\n"
    "✓ renderer: libvirglrenderer.so.1.9.0 exports blobs and names their "
    "types\n"
    "✓ renderer: a virgl buffer, backing dmabuf, renderer cached: cached, by "
    "exporter\n"
    "✓ renderer: Venus's memory, backing shm, renderer cached: cached, by "
    "memfd\n"
    "✓ kvm: guests can use all cache types (honoured): guest cache types "
    "are honoured\n"
    "✓ page: pages of 4 KiB\n"
    "✓ window: hostmem=4G can be had\n"
    "✓ mappings: vm.max_map_count leaves room for 30585 blobs at a time\n"
    "✓ files: 16384 open files: under KVM each dma-buf that is mapped takes "
    "one\n"
    "✓ qemu: QEMU emulator version 10.0.13 (/usr/bin/qemu-system-x86_64) has "
    "map-policy\n"
    "\n"
    "Blobs can be mapped on this host.\n"
    "\n"
    "For QEMU:\n"
    "\n"
    "-accel kvm -display egl-headless,rendernode=/dev/dri/renderD128 -device "
    "virtio-vga-gl,blob=on,hostmem=4096M,venus=on,map-policy=safe\n"
    "\n"
    "For libvirt:\n"
    "\n"
    "<domain type='kvm' "
    "xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n";

static void test_good(void)
{
    g_autoptr(GPtrArray) lines = doctor_report(&good);
    GString *text = doctor_print_text(&good, lines);

    g_assert_cmpint(doctor_report_level(lines), ==, DOCTOR_OK);
    g_assert_true(g_utf8_validate(text->str, -1, NULL));
    g_string_truncate(text, MIN(text->len, strlen(good_text)));
    g_assert_cmpstr(text->str, ==, good_text);
    g_string_free(text, true);
}

/*
 * One thing is amiss: the line that says so, and how bad it is
 */

static void no_query(DoctorFacts *f)
{
    f->sources[0].buffer.answer = VIRTIO_GPU_EXPORTER_UNSUPPORTED;
    f->gpus[0].buffer.answer = VIRTIO_GPU_EXPORTER_UNSUPPORTED;
    f->renderer.virgl.buffer.answer = VIRTIO_GPU_EXPORTER_UNSUPPORTED;
}

static void no_buffer(DoctorFacts *f)
{
    f->sources_count = f->gpus_count = 0;
}

static void sources_hang(DoctorFacts *f)
{
    f->sources_end = DOCTOR_LATE;
}

static void incoherent_heap(DoctorFacts *f)
{
    f->sources[1] = (DoctorSource) {
        .name = "dma-heap system",
        .buffer = { .made = true, .exporter = "system", .read_write = true,
                    .answer = VIRTIO_GPU_EXPORTER_INCOHERENT },
    };
    f->sources_count = 2;
}

static void source_not_there(DoctorFacts *f)
{
    f->sources[0].buffer = (DoctorBuffer) { .error = ENOENT };
}

static void no_gpu(DoctorFacts *f)
{
    f->gpus_count = 0;
}

static void no_sys(DoctorFacts *f)
{
    f->gpus_count = 0;
    f->gpus_error = EACCES;
}

static void break_gpu(DoctorFacts *f, DoctorNode state, int error)
{
    f->gpus[0].state = state;
    f->gpus[0].error = error;
    f->gpus[0].buffer = (DoctorBuffer) { };
}

static void gpu_not_allowed(DoctorFacts *f)
{
    break_gpu(f, DOCTOR_NODE_CLOSED, EACCES);
}

static void gpu_fails(DoctorFacts *f)
{
    break_gpu(f, DOCTOR_NODE_CLOSED, ENODEV);
}

static void gpu_missing(DoctorFacts *f)
{
    break_gpu(f, DOCTOR_NODE_MISSING, ENOENT);
}

static void gpu_other(DoctorFacts *f)
{
    break_gpu(f, DOCTOR_NODE_OTHER, 0);
}

static void gpu_hangs(DoctorFacts *f)
{
    break_gpu(f, DOCTOR_NODE_FINE, 0);
    f->gpus[0].end = DOCTOR_LATE;
    pstrcpy(f->gpus[0].stage, sizeof(f->gpus[0].stage), "being opened");
}

/* It was not mapped any more. */
static void gpu_hangs_late(DoctorFacts *f)
{
    f->gpus[0].end = DOCTOR_LATE;
}

static void gpu_dies(DoctorFacts *f)
{
    gpu_hangs(f);
    f->gpus[0].end = DOCTOR_DIED;
    f->gpus[0].stage[0] = '\0';
    f->gpus[0].driver[0] = '\0';
}

static void gpu_makes_nothing(DoctorFacts *f)
{
    break_gpu(f, DOCTOR_NODE_FINE, 0);
    f->gpus[0].buffer.error = ENODEV;
}

static void gpu_not_mappable(DoctorFacts *f)
{
    f->gpus[0].buffer.map_error = EINVAL;
}

/* Another one works. */
static void one_gpu_of_two(DoctorFacts *f)
{
    f->gpus[1] = f->gpus[0];
    pstrcpy(f->gpus[1].node, sizeof(f->gpus[1].node), "renderD129");
    f->gpus_count = 2;
    gpu_not_allowed(f);
}

static void gpu_moves(DoctorFacts *f)
{
    pstrcpy(f->gpus[0].driver, sizeof(f->gpus[0].driver), "amdgpu");
}

static void gpu_wc_ignored(DoctorFacts *f)
{
    f->gpus[0].buffer.answer = VIRTIO_GPU_EXPORTER_COHERENT_WC;
    f->kvm.type = VIRTIO_GPU_BLOB_TYPE_FORCED_WRITE_BACK;
}

static void gpu_wc_switchable(DoctorFacts *f)
{
    f->gpus[0].buffer.answer = VIRTIO_GPU_EXPORTER_COHERENT_WC;
    f->kvm.type = VIRTIO_GPU_BLOB_TYPE_SWITCHABLE;
}

static void gpu_vram(DoctorFacts *f)
{
    f->gpus[0].buffer.answer = VIRTIO_GPU_EXPORTER_UNSUPPORTED;
    f->kvm.vram = true;
}

static void renderer_hangs(DoctorFacts *f)
{
    f->renderer.end = DOCTOR_LATE;
}

static void renderer_absent(DoctorFacts *f)
{
    f->renderer = (DoctorRenderer) {
        .end = DOCTOR_DONE, .error = "no such file",
    };
}

static void renderer_old(DoctorFacts *f)
{
    f->renderer.blobs = false;
}

static void renderer_new(DoctorFacts *f)
{
    f->renderer.map_fixed = true;
}

static void virgl_no_fd(DoctorFacts *f)
{
    f->renderer.virgl.backing = VIRTIO_GPU_BLOB_BACKING_NONE;
    f->renderer.virgl.word = 0;
}

static void virgl_fails(DoctorFacts *f)
{
    f->renderer.virgl = (DoctorBlob) {
        .end = DOCTOR_DONE, .error = EINVAL, .stage = "being started",
    };
}

static void venus_hangs(DoctorFacts *f)
{
    f->renderer.venus = (DoctorBlob) {
        .end = DOCTOR_LATE, .stage = "asked for a context",
    };
}

static void kvm_absent(DoctorFacts *f)
{
    f->kvm.usable = false;
    f->kvm.error = ENOENT;
}

static void kvm_absent_on_arm64(DoctorFacts *f)
{
    pstrcpy(f->machine, sizeof(f->machine), "aarch64");
    kvm_absent(f);
}

static void kvm_not_allowed(DoctorFacts *f)
{
    f->kvm.usable = false;
    f->kvm.error = EACCES;
}

static void kvm_hangs(DoctorFacts *f)
{
    f->kvm.end = DOCTOR_LATE;
}

static void kvm_hangs_and_wc(DoctorFacts *f)
{
    f->kvm = (DoctorKVM) { .end = DOCTOR_LATE };
    f->gpus[0].buffer.answer = VIRTIO_GPU_EXPORTER_COHERENT_WC;
}

/* udmabuf is known to be coherent on x86 only. */
static void arm64_no_query(DoctorFacts *f)
{
    pstrcpy(f->machine, sizeof(f->machine), "aarch64");
    no_query(f);
}

static void large_pages(DoctorFacts *f)
{
    f->page_size = 64 * KiB;
}

static void smaller_window(DoctorFacts *f)
{
    f->window = (DoctorWindow) {
        .end = DOCTOR_DONE, .size = 8 * GiB, .fits = 512 * MiB,
        .error = "hostmem: too large",
    };
}

static void no_window(DoctorFacts *f)
{
    smaller_window(f);
    f->window.fits = 0;
}

static void window_dies(DoctorFacts *f)
{
    f->window.end = DOCTOR_DIED;
}

static void few_mappings(DoctorFacts *f)
{
    f->mappings = 4096;
}

static void fewer_mappings(DoctorFacts *f)
{
    f->mappings = 16;
}

static void few_files(DoctorFacts *f)
{
    f->files = 1024;
}

static void unlimited_files(DoctorFacts *f)
{
    f->files = RLIM_INFINITY;
}

static void qemu_hangs(DoctorFacts *f)
{
    f->qemu.end = DOCTOR_LATE;
}

static void qemu_absent(DoctorFacts *f)
{
    f->qemu.found = false;
}

static void qemu_without_device(DoctorFacts *f)
{
    f->qemu.has_device = false;
    pstrcpy(f->qemu.error, sizeof(f->qemu.error), "no such device");
}

static void qemu_silent(DoctorFacts *f)
{
    f->qemu.has_device = false;
}

static void qemu_stock(DoctorFacts *f)
{
    f->qemu.ours = false;
}

static const struct {
    const char *name;
    void (*change)(DoctorFacts *facts);
    DoctorLevel level;
    const char *text;
} amiss[] = {
    { "no-query", no_query, DOCTOR_LIMITED,
      "! exporters: the kernel has no DMA_BUF_IOCTL_INFO\n"
      "    known names, or the renderer's word, decide; use a host kernel that "
      "has it for map-policy=strict\n"
      "✓ dma-bufs: udmabuf: exporter \"udmabuf\" cannot be asked: cached, by "
      "exporter-name\n"
      "! gpu: renderD128 (i915): exporter \"i915\" cannot be asked: the "
      "renderer's word decides\n"
      "    map-policy=strict refuses it; a host kernel with DMA_BUF_IOCTL_INFO "
      "would know\n" },
    { "no-query/renderer", no_query, DOCTOR_LIMITED,
      "✓ renderer: a virgl buffer, backing dmabuf, renderer cached: cached, "
      "by renderer\n" },
    { "no-buffer", no_buffer, DOCTOR_LIMITED,
      "! exporters: there is no dma-buf to ask about\n"
      "    modprobe udmabuf, and run this as a user who may open /dev/udmabuf "
      "or a render node\n" },
    { "sources-hang", sources_hang, DOCTOR_LIMITED,
      "! dma-bufs: /dev/udmabuf or a dma-heap does not answer\n"
      "    see the kernel's log (dmesg)\n" },
    { "incoherent", incoherent_heap, DOCTOR_LIMITED,
      "! dma-bufs: dma-heap system: exporter \"system\" says incoherent: "
      "refused (exporter-incoherent)\n"
      "    the exporter reports that it needs explicit cache maintenance; "
      "use map-policy=renderer to map it anyway (risk of stale data)\n" },
    { "no-source", source_not_there, DOCTOR_OK,
      "✓ exporters: the kernel has DMA_BUF_IOCTL_INFO\n"
      "✓ gpu: renderD128 (i915)" },
    { "no-gpu", no_gpu, DOCTOR_LIMITED,
      "! gpu: there is no render node: the processor draws\n"
      "    load the GPU's kernel driver, if there is a GPU\n" },
    { "no-sys", no_sys, DOCTOR_LIMITED,
      "! gpu: GPUs cannot be seen in /sys/class/drm: Permission denied\n"
      "    run this where /sys can be read\n" },
    { "gpu-not-allowed", gpu_not_allowed, DOCTOR_BAD,
      "✗ gpu: renderD128 (i915): it cannot be opened: Permission denied\n"
      "    let QEMU's user into the group of /dev/dri/renderD128, usually "
      "render\n" },
    { "gpu-fails", gpu_fails, DOCTOR_BAD,
      "✗ gpu: renderD128 (i915): it cannot be opened: No such device\n"
      "    see what its driver says in the kernel's log (dmesg)\n" },
    { "gpu-missing", gpu_missing, DOCTOR_BAD,
      "✗ gpu: renderD128 (i915): the kernel has it, and /dev/dri has not\n"
      "    udev makes the node: is systemd-udevd running?  A container must be "
      "given /dev/dri\n" },
    { "gpu-other", gpu_other, DOCTOR_BAD,
      "✗ gpu: renderD128 (i915): /dev/dri/renderD128 is not its node\n"
      "    remove that file, and udevadm trigger --subsystem-match=drm\n" },
    { "gpu-hangs", gpu_hangs, DOCTOR_BAD,
      "✗ gpu: renderD128 (i915): it does not answer when being opened\n"
      "    see what its driver says in the kernel's log (dmesg)\n" },
    { "gpu-hangs/options", gpu_hangs_late, DOCTOR_BAD,
      "-accel kvm -display sdl,gl=on -device " },
    { "gpu-dies", gpu_dies, DOCTOR_BAD,
      "✗ gpu: renderD128 (unknown driver): it ends the process that asks when "
      "looked at\n" },
    { "gpu-makes-nothing", gpu_makes_nothing, DOCTOR_BAD,
      "✗ gpu: renderD128 (i915): it makes no buffers: No such device\n"
      "    install the GPU's driver for libgbm: Mesa's (libgl1-mesa-dri), or "
      "NVIDIA's (libnvidia-egl-gbm1)\n" },
    { "gpu-not-mappable", gpu_not_mappable, DOCTOR_LIMITED,
      "! gpu: renderD128 (i915): exporter \"i915\" says coherent-cached; its "
      "buffers cannot be mapped (Invalid argument)\n"
      "    limitation of the exporter or the renderer\n" },
    { "gpu-of-two", one_gpu_of_two, DOCTOR_LIMITED,
      "! gpu: renderD128 (i915): it cannot be opened: Permission denied\n"
      "    let QEMU's user into the group of /dev/dri/renderD128, usually "
      "render\n"
      "✓ gpu: renderD129 (i915)" },
    { "gpu-of-two/options", one_gpu_of_two, DOCTOR_LIMITED,
      "-display egl-headless,rendernode=/dev/dri/renderD129 -device" },
    { "gpu-moves", gpu_moves, DOCTOR_LIMITED,
      "! gpu: renderD128 (amdgpu): a buffer may be the GPU's own memory, and "
      "move\n"
      "    a guest finds other pages where a buffer could not be brought "
      "back\n" },
    { "gpu-wc/ignored", gpu_wc_ignored, DOCTOR_LIMITED,
      "! gpu: renderD128 (i915): exporter \"i915\" says coherent-wc: refused "
      "(guest-type-ignored)\n"
      "    it is not cached, and the processor forces write-back on guest RAM "
      "(FEAT_S2FWB) and ignores guest cache types; use map-policy=renderer to "
      "map them anyway (risk of stale data)\n" },
    { "kvm/ignored", gpu_wc_ignored, DOCTOR_LIMITED,
      "! kvm: guests get cached buffers only (forced-write-back): the "
      "processor forces write-back on guest RAM (FEAT_S2FWB) and ignores "
      "guest cache types\n"
      "    use map-policy=renderer to map them anyway (risk of stale data)\n" },
    { "gpu-wc/switchable", gpu_wc_switchable, DOCTOR_OK,
      "✓ gpu: renderD128 (i915): exporter \"i915\" says coherent-wc: wc, by "
      "exporter\n" },
    { "kvm/switchable", gpu_wc_switchable, DOCTOR_OK,
      "✓ kvm: guests can use all cache types (switchable): KVM ignores "
      "guest PAT by default; guest-pat=auto enables it\n" },
    { "gpu-vram", gpu_vram, DOCTOR_LIMITED,
      "! gpu: renderD128 (i915): exporter \"i915\" cannot be asked: refused "
      "(possible-vram)\n"
      "    it may be in video memory, which KVM on this host cannot map "
      "safely, and its exporter cannot be queried; use a host kernel with "
      "DMA_BUF_IOCTL_INFO, or map-policy=renderer if the renderer reports a "
      "type (risk of stale data)\n" },
    { "renderer-hangs", renderer_hangs, DOCTOR_BAD,
      "✗ renderer: virglrenderer does not answer when loaded\n"
      "    install libvirglrenderer1 anew\n" },
    { "renderer-absent", renderer_absent, DOCTOR_BAD,
      "✗ renderer: virglrenderer cannot be loaded: no such file\n"
      "    install libvirglrenderer1\n"
      "✓ kvm: " },
    { "renderer-old", renderer_old, DOCTOR_BAD,
      "✗ renderer: libvirglrenderer.so.1.9.0 cannot export blobs\n"
      "    use virglrenderer 1.0 or a later one\n"
      "✓ kvm: " },
    { "renderer-new", renderer_new, DOCTOR_OK,
      "✓ renderer: libvirglrenderer.so.1.9.0 exports blobs and names their "
      "types, and can map them where it is told to\n" },
    { "virgl-no-fd", virgl_no_fd, DOCTOR_LIMITED,
      "! renderer: a virgl buffer, backing none, renderer none: refused "
      "(nobody-vouches)\n"
      "    its cache type is unknown; use a host kernel with "
      "DMA_BUF_IOCTL_INFO, or a less strict map-policy\n"
      "! renderer: a virgl buffer takes a region of its own, of which there "
      "can be 1536\n"
      "    use a renderer that exports its buffers; it has no such limit\n" },
    { "virgl-fails", virgl_fails, DOCTOR_LIMITED,
      "! renderer: virgl fails when being started: Invalid argument\n"
      "    install EGL and OpenGL (libegl1, libgl1-mesa-dri)\n" },
    { "venus-hangs", venus_hangs, DOCTOR_LIMITED,
      "! renderer: Venus does not answer when asked for a context\n"
      "    install its server (virgl-server), or leave out venus=on\n" },
    { "venus-hangs/options", venus_hangs, DOCTOR_LIMITED,
      "hostmem=4096M,map-policy=safe\n" },
    { "kvm-absent", kvm_absent, DOCTOR_LIMITED,
      "! kvm: no virtual machine can be made: No such file or directory\n"
      "    switch virtualization on in the firmware, and modprobe kvm_intel or "
      "kvm_amd; until then -accel tcg is slow\n" },
    { "kvm-absent/arm64", kvm_absent_on_arm64, DOCTOR_LIMITED,
      "! kvm: no virtual machine can be made: No such file or directory\n"
      "    use a kernel with KVM, started where it can have it (EL2 on arm64); "
      "until then -accel tcg is slow\n" },
    { "kvm-absent/options", kvm_absent, DOCTOR_LIMITED, "\n-accel tcg " },
    { "kvm-absent/libvirt", kvm_absent, DOCTOR_LIMITED,
      "<domain type='qemu' " },
    { "kvm-not-allowed", kvm_not_allowed, DOCTOR_LIMITED,
      "! kvm: no virtual machine can be made: Permission denied\n"
      "    let QEMU's user into the group of /dev/kvm, usually kvm\n" },
    { "kvm-hangs", kvm_hangs, DOCTOR_LIMITED,
      "! kvm: /dev/kvm does not answer\n"
      "    see the kernel's log (dmesg)\n" },
    { "kvm-hangs/wc", kvm_hangs_and_wc, DOCTOR_LIMITED,
      "! gpu: renderD128 (i915): exporter \"i915\" says coherent-wc: refused "
      "(guest-type-ignored)\n"
      "    it is not cached, and it is not known whether the accelerator "
      "honours guest cache types; " },
    { "arm64/no-query", arm64_no_query, DOCTOR_LIMITED,
      "! dma-bufs: udmabuf: exporter \"udmabuf\" cannot be asked: the "
      "renderer's word decides\n" },
    { "large-pages", large_pages, DOCTOR_LIMITED,
      "! page: pages of 64 KiB: guests with smaller ones must align blobs\n"
      "    use a guest kernel with the host's page size, or one that supports "
      "VIRTIO_GPU_F_BLOB_ALIGNMENT (Linux 7.2), and blob-alignment=auto\n" },
    { "smaller-window", smaller_window, DOCTOR_LIMITED,
      "! window: hostmem: too large\n"
      "    hostmem=512M fits\n" },
    { "smaller-window/options", smaller_window, DOCTOR_LIMITED,
      "hostmem=512M,venus=on" },
    { "smaller-window/libvirt", smaller_window, DOCTOR_LIMITED,
      "<qemu:property name='hostmem' type='unsigned' value='536870912'/>" },
    { "no-window", no_window, DOCTOR_BAD,
      "✗ window: hostmem: too large\n"
      "    raise the limits on address space (ulimit -v) and mappings (sysctl "
      "vm.max_map_count)\n" },
    { "window-dies", window_dies, DOCTOR_BAD,
      "✗ window: reserving it ends the process that asks\n"
      "    raise the limits on memory (ulimit -v, cgroups)\n" },
    { "few-mappings", few_mappings, DOCTOR_LIMITED,
      "! mappings: vm.max_map_count leaves room for 1916 blobs at a time\n"
      "    raise vm.max_map_count\n" },
    { "fewer-mappings", fewer_mappings, DOCTOR_LIMITED,
      "! mappings: vm.max_map_count leaves room for 0 blobs at a time\n" },
    { "few-files", few_files, DOCTOR_LIMITED,
      "! files: 1024 open files: under KVM each dma-buf that is mapped takes "
      "one\n"
      "    raise the limit on open files (ulimit -n; max_files in libvirt's "
      "qemu.conf)\n" },
    { "unlimited-files", unlimited_files, DOCTOR_OK,
      "✓ files: unlimited open files: under KVM each dma-buf that is mapped "
      "takes one\n" },
    { "qemu-hangs", qemu_hangs, DOCTOR_BAD,
      "✗ qemu: /usr/bin/qemu-system-x86_64 does not answer\n"
      "    try it by hand: -device virtio-gpu-gl-pci,help\n" },
    { "qemu-absent", qemu_absent, DOCTOR_BAD,
      "✗ qemu: there is no /usr/bin/qemu-system-x86_64\n"
      "    install QEMU, or name it by --qemu\n" },
    { "qemu-without-device", qemu_without_device, DOCTOR_BAD,
      "✗ qemu: /usr/bin/qemu-system-x86_64 has no virtio-gpu-gl-pci: no such "
      "device\n"
      "    install its OpenGL modules (qemu-system-modules-opengl), or modules "
      "that are built for it\n" },
    { "qemu-silent", qemu_silent, DOCTOR_BAD,
      "✗ qemu: /usr/bin/qemu-system-x86_64 has no virtio-gpu-gl-pci: it says "
      "nothing\n" },
    { "qemu-stock", qemu_stock, DOCTOR_BAD,
      "✗ qemu: QEMU emulator version 10.0.13 (/usr/bin/qemu-system-x86_64) "
      "asks nobody: its virtio-gpu-gl has no map-policy\n"
      "    install modules for it that have one, or use another QEMU\n" },
};

static const char *const results[] = {
    "\nBlobs can be mapped on this host.\n",
    "\nBlobs can be mapped on this host, with limits.\n",
    "\nBlobs cannot be mapped on this host as it is.\n",
};

static void test_amiss(const void *data)
{
    size_t i = (uintptr_t)data;
    DoctorFacts facts = good;
    g_autoptr(GPtrArray) lines = NULL;
    GString *text;

    amiss[i].change(&facts);
    lines = doctor_report(&facts);
    text = doctor_print_text(&facts, lines);
    if (!strstr(text->str, amiss[i].text) ||
        !strstr(text->str, results[amiss[i].level])) {
        g_error("%s: not in\n%s", amiss[i].text, text->str);
    }
    g_assert_cmpint(doctor_report_level(lines), ==, amiss[i].level);
    g_string_free(text, true);
}

/*
 * What to write
 */

static char *libvirt_of(void (*change)(DoctorFacts *facts))
{
    DoctorFacts facts = good;

    change(&facts);
    return doctor_recipe_libvirt(&facts);
}

static void test_recipe(void)
{
    DoctorFacts facts = good;
    g_autofree char *software = libvirt_of(no_gpu);
    g_autofree char *stock = libvirt_of(qemu_stock);
    g_autofree char *arm64 = NULL, *xml = doctor_recipe_libvirt(&good);

    g_assert_nonnull(strstr(xml, "<graphics type='egl-headless'/>"));
    g_assert_null(strstr(xml, "qemu:commandline"));
    g_assert_nonnull(strstr(xml, "name='venus'"));
    g_assert_nonnull(strstr(software, "<qemu:arg value='sdl,gl=on'/>"));
    g_assert_null(strstr(software, "egl-headless"));
    g_assert_nonnull(strstr(xml, "<emulator>/usr/bin/qemu"));
    g_assert_null(strstr(stock, "<emulator>"));

    pstrcpy(facts.machine, sizeof(facts.machine), "aarch64");
    arm64 = doctor_recipe_options(&facts);
    g_assert_nonnull(strstr(arm64, "-device virtio-gpu-gl-pci,"));

    no_window(&facts);
    g_assert_null(doctor_recipe_options(&facts));
    g_assert_null(doctor_recipe_libvirt(&facts));
}

static void test_xml_is_escaped(void)
{
    DoctorFacts facts = good;
    g_autofree char *xml = NULL;

    pstrcpy(facts.qemu.path, sizeof(facts.qemu.path), "/a&b/<qemu>");
    xml = doctor_recipe_libvirt(&facts);
    g_assert_nonnull(strstr(xml, "<emulator>/a&amp;b/&lt;qemu&gt;<"));
}

/*
 * For programs
 */

static QDict *json_of(const DoctorFacts *facts)
{
    g_autoptr(GPtrArray) lines = doctor_report(facts);
    GString *text = doctor_print_json(facts, lines);
    QObject *object = qobject_from_json(text->str, &error_abort);

    g_assert_true(g_str_has_suffix(text->str, "}\n"));
    g_string_free(text, true);
    return qobject_to(QDict, object);
}

static void test_json(void)
{
    g_autoptr(QDict) dict = json_of(&good);
    QList *lines = qdict_get_qlist(dict, "lines");
    QDict *first = qobject_to(QDict, qlist_peek(lines));

    g_assert_cmpstr(qdict_get_str(dict, "level"), ==, "ok");
    g_assert_cmpint(qlist_size(lines), ==, 13);
    g_assert_cmpstr(qdict_get_str(first, "level"), ==, "ok");
    g_assert_cmpstr(qdict_get_str(first, "topic"), ==, "kernel");
    g_assert_cmpstr(qdict_get_str(first, "text"), ==,
                    "Linux 6.12.117 on x86_64");
    g_assert_false(qdict_haskey(first, "remedy"));
    g_assert_true(g_str_has_prefix(qdict_get_str(dict, "options"), "-accel"));
    g_assert_true(g_str_has_prefix(qdict_get_str(dict, "libvirt"), "<domain"));
}

static void test_json_bad(void)
{
    DoctorFacts facts = good;
    g_autoptr(QDict) dict = NULL;
    QList *lines;
    QDict *last;

    no_window(&facts);
    few_files(&facts);
    qemu_absent(&facts);
    dict = json_of(&facts);
    lines = qdict_get_qlist(dict, "lines");
    last = qobject_to(QDict, QTAILQ_LAST(&lines->head)->value);
    g_assert_cmpstr(qdict_get_str(dict, "level"), ==, "bad");
    g_assert_cmpstr(qdict_get_str(last, "level"), ==, "bad");
    g_assert_cmpstr(qdict_get_str(last, "remedy"), ==,
                    "install QEMU, or name it by --qemu");
    g_assert_false(qdict_haskey(dict, "options"));
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

/* What it prints must not get among the report's lines. */
static void do_it(void *found)
{
    if (is_null(STDIN_FILENO) && is_null(STDOUT_FILENO) &&
        is_null(STDERR_FILENO)) {
        *(pid_t *)found = getpid();
    }
}

static void crash(void *found)
{
    *(pid_t *)found = getpid();
    prctl(PR_SET_DUMPABLE, 0);
    raise(SIGSEGV);
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

/* What a probe starts would live on. */
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

/* Whoever lost its parent may stay a zombie, as nobody waits for it. */
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
    int i;

    g_assert_cmpint(pid, >, 0);
    for (i = 0; i < 2000 && is_alive(pid); i++) {
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
    DoctorEnd ends[G_N_ELEMENTS(works)];
    int64_t start = g_get_monotonic_time();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(works); i++) {
        doctor_children_start(children, works[i], &pids[i], &ends[i]);
    }
    doctor_children_wait(children, 1);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 5 * G_USEC_PER_SEC);
    for (i = 0; i < G_N_ELEMENTS(works); i++) {
        g_test_message("child %zu", i);
        g_assert_cmpint(ends[i], ==, wanted[i]);
        if (works[i] != fail) {
            assert_gone(pids[i]);
        }
    }
    munmap(pids, qemu_real_host_page_size());
}

/* Nobody waits for those who are late, if all have ended. */
static void test_children_soon(void)
{
    DoctorChildren *children = doctor_children_new();
    int64_t start = g_get_monotonic_time();
    DoctorEnd end;
    pid_t *pids = shared_pids();

    doctor_children_start(children, do_it, pids, &end);
    doctor_children_wait(children, 60);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 30 * G_USEC_PER_SEC);
    g_assert_cmpint(end, ==, DOCTOR_DONE);
    munmap(pids, qemu_real_host_page_size());
}

static void test_children_no_fork(void)
{
    DoctorChildren *children = doctor_children_new();
    DoctorEnd end;

    no_fork = true;
    doctor_children_start(children, do_it, NULL, &end);
    no_fork = false;
    doctor_children_wait(children, 60);
    g_assert_cmpint(end, ==, DOCTOR_DIED);
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
    g_assert_false(options.json);

    g_assert_null(parse("doctor --json --hostmem=256M --qemu=/a --qemu /b "
                        "--timeout=3", &options));
    g_assert_cmpuint(options.hostmem, ==, 256 * MiB);
    g_assert_cmpstr(options.qemu, ==, "/b");
    g_assert_cmpint(options.seconds, ==, 3);
    g_assert_true(options.json);
    g_free(options.qemu);
}

static void test_bad_options(void)
{
    static const char *const lines[][2] = {
        { "doctor --hostmem=", "--hostmem= is no size, such as 256M or 4G" },
        { "doctor --hostmem=much",
          "--hostmem=much is no size, such as 256M or 4G" },
        { "doctor --hostmem=-1",
          "--hostmem=-1 is no size, such as 256M or 4G" },
        { "doctor --hostmem=0", "--hostmem=0 is no size, such as 256M or 4G" },
        { "doctor --hostmem=3G", "--hostmem: 3221225472 bytes is not a power "
          "of two between 1 MiB and the host's address space" },
        { "doctor --hostmem=64K", "--hostmem: 65536 bytes is not a power of "
          "two between 1 MiB and the host's address space" },
        { "doctor --timeout=0",
          "--timeout is a number of seconds from 1 to 600" },
        { "doctor --timeout=601",
          "--timeout is a number of seconds from 1 to 600" },
        { "doctor now", "now: there is no such argument" },
        { "doctor --nonsense", "Unknown option --nonsense" },
        { "doctor --hostmem", "Missing argument for --hostmem" },
    };
    DoctorOptions options;
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *error = parse(lines[i][0], &options);

        g_assert_cmpstr(error, ==, lines[i][1]);
    }
}

int main(int argc, char **argv)
{
    size_t i;

    setlocale(LC_ALL, "C");
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/doctor/good", test_good);
    for (i = 0; i < G_N_ELEMENTS(amiss); i++) {
        g_autofree char *path = g_strdup_printf("/doctor/amiss/%s",
                                                amiss[i].name);

        g_test_add_data_func(path, (void *)(uintptr_t)i, test_amiss);
    }
    g_test_add_func("/doctor/recipe", test_recipe);
    g_test_add_func("/doctor/recipe/escaped", test_xml_is_escaped);
    g_test_add_func("/doctor/json", test_json);
    g_test_add_func("/doctor/json/bad", test_json_bad);
    g_test_add_func("/doctor/children", test_children);
    g_test_add_func("/doctor/children/soon", test_children_soon);
    g_test_add_func("/doctor/children/no-fork", test_children_no_fork);
    g_test_add_func("/doctor/options", test_options);
    g_test_add_func("/doctor/options/bad", test_bad_options);
    return g_test_run();
}
