/*
 * Fuzzing virtio-gpu-gl, with the scripted renderer in QEMU's own process
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The device is reset after each input, and the rest of the machine keeps
 * nothing: no process is forked.
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "hw/core/cpu.h"
#include "hw/display/virtio-gpu-blob-compat.h"
#include "hw/display/virtio-gpu-blob-internal.h"
#include "hw/virtio/virtio-gpu.h"
#include "qom/object.h"
#include "standard-headers/linux/virtio_pci.h"
#include "system/system.h"
#include "ui/console.h"
#include "fuzz.h"
#include "tests/qtest/libqos/pci-pc.h"
#include "tests/qtest/renderer/scripted-internal.h"
#include "tests/qtest/virtio-gpu-gl-client-internal.h"
#include "tests/qtest/virtio-gpu-gl-fuzz.h"

static GPU gpu_state;
static Object *device;
static int last_fd = -1; /* the file FUZZ_LAST */

/*
 * A display that shows nothing, and wants to know what it could
 */

static bool is_compatible(DisplayGLCtx *ctx, DisplayChangeListener *dcl)
{
    return true;
}

static QEMUGLContext context_create(DisplayGLCtx *ctx, QEMUGLParams *params)
{
    return ctx;
}

static void context_destroy(DisplayGLCtx *ctx, QEMUGLContext context)
{
}

static int context_make_current(DisplayGLCtx *ctx, QEMUGLContext context)
{
    return 0;
}

static const DisplayGLCtxOps gl_ctx_ops = {
    .dpy_gl_ctx_is_compatible_dcl = is_compatible,
    .dpy_gl_ctx_create = context_create,
    .dpy_gl_ctx_destroy = context_destroy,
    .dpy_gl_ctx_make_current = context_make_current,
};

static void scanout_disable(DisplayChangeListener *dcl)
{
}

static void scanout_texture(DisplayChangeListener *dcl, uint32_t id,
                            bool y_0_top, uint32_t width, uint32_t height,
                            uint32_t x, uint32_t y, uint32_t w, uint32_t h,
                            void *d3d_tex2d)
{
    g_assert_cmpuint((uint64_t)x + w, <=, width);
    g_assert_cmpuint((uint64_t)y + h, <=, height);
}

static void scanout_dmabuf(DisplayChangeListener *dcl, QemuDmaBuf *dmabuf)
{
    g_assert_cmpuint((uint64_t)qemu_dmabuf_get_x(dmabuf) +
                     qemu_dmabuf_get_width(dmabuf), <=,
                     qemu_dmabuf_get_backing_width(dmabuf));
    g_assert_cmpuint((uint64_t)qemu_dmabuf_get_y(dmabuf) +
                     qemu_dmabuf_get_height(dmabuf), <=,
                     qemu_dmabuf_get_backing_height(dmabuf));
}

static void update(DisplayChangeListener *dcl, uint32_t x, uint32_t y,
                   uint32_t w, uint32_t h)
{
}

static void cursor_define(DisplayChangeListener *dcl, QEMUCursor *cursor)
{
    g_assert_cmpint(cursor->hot_x, >=, 0);
    g_assert_cmpint(cursor->hot_x, <, cursor->width);
    g_assert_cmpint(cursor->hot_y, >=, 0);
    g_assert_cmpint(cursor->hot_y, <, cursor->height);
}

static const DisplayChangeListenerOps display_ops = {
    .dpy_name = "fuzz",
    .dpy_cursor_define = cursor_define,
    .dpy_gl_scanout_disable = scanout_disable,
    .dpy_gl_scanout_texture = scanout_texture,
    .dpy_gl_scanout_dmabuf = scanout_dmabuf,
    .dpy_gl_update = update,
};

static void show(unsigned head)
{
    static DisplayGLCtx ctx = { .ops = &gl_ctx_ops };
    static DisplayChangeListener dcl[2];
    /* A console's device is the one on the bus. */
    Object *proxy = object_resolve_path("/machine/peripheral/gpu", NULL);
    QemuConsole *con = qemu_console_lookup_by_device(DEVICE(proxy), head);

    g_assert_nonnull(con);
    qemu_console_set_display_gl_ctx(con, &ctx);
    dcl[head].ops = &display_ops;
    dcl[head].con = con;
    register_displaychangelistener(&dcl[head]);
    /* What says that nothing shows is drawn with each reset. */
    qemu_console_resize(con, 16, 16);
}

/*
 * Messages: ten lines in five seconds, and one on how many were left out, both
 * for what a guest does with blobs and for failures of the host; of two such
 * periods, as it is unknown when they begin
 */

#define LINES_MAX 44
#define LINES_US (5 * G_USEC_PER_SEC)

static void count_line(void)
{
    static int64_t start;
    static unsigned lines;
    int64_t now = g_get_monotonic_time();

    if (now - start >= LINES_US) {
        start = now;
        lines = 0;
    }
    g_assert_cmpuint(++lines, <=, LINES_MAX);
}

#define WRAP(ret, name_and_args) ret __wrap_##name_and_args;
#define REAL(ret, name_and_args) ret __real_##name_and_args;

WRAP(int, error_vprintf(const char *fmt, va_list ap))

int __wrap_error_vprintf(const char *fmt, va_list ap)
{
    g_autofree char *text = g_strdup_vprintf(fmt, ap);

    if (g_str_has_prefix(text, "virtio-gpu")) {
        count_line();
    }
    return getenv("FUZZ_VERBOSE") ? fputs(text, stderr) : 0;
}

/*
 * RCU waits up to 60 ms for more to do at once; an input has no more, and waits
 * for RCU where memory of the renderer's is on its way back.
 */

#define PATIENCE_US 100

WRAP(void, g_usleep(gulong us))
REAL(void, g_usleep(gulong us))

void __wrap_g_usleep(gulong us)
{
    __real_g_usleep(MIN(us, PATIENCE_US));
}

/*
 * Other users of the guest's memory
 */

/* What is seen of a region that has a manager */
typedef struct Piece {
    RamDiscardListener discard;
    MemoryRegionSection section;
    QLIST_ENTRY(Piece) next;
} Piece;

static struct {
    bool there;
    bool pins;
    QLIST_HEAD(, Piece) pieces;
} user;

/* Nothing is ever in the window, or in a region of a buffer. */
static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    g_assert_not_reached();
}

static void on_discard(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    g_assert_not_reached();
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Piece *p;

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        return;
    }
    p = g_new0(Piece, 1);
    p->section = *section;
    QLIST_INSERT_HEAD(&user.pieces, p, next);
    ram_discard_listener_init(&p->discard, on_populate, on_discard, true);
    ram_discard_manager_register_listener(
        memory_region_get_ram_discard_manager(section->mr), &p->discard,
        section);
}

static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    Piece *p;

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        return;
    }
    QLIST_FOREACH(p, &user.pieces, next) {
        if (p->section.mr == section->mr &&
            p->section.offset_within_address_space ==
            section->offset_within_address_space) {
            break;
        }
    }
    g_assert_nonnull(p);
    ram_discard_manager_unregister_listener(
        memory_region_get_ram_discard_manager(section->mr), &p->discard);
    QLIST_REMOVE(p, next);
    g_free(p);
}

static MemoryListener memory_listener = {
    .name = "fuzz-user",
    .region_add = region_add,
    .region_del = region_del,
};

static void set_there(bool there)
{
    if (there == user.there) {
        return;
    }
    user.there = there;
    if (there) {
        g_assert_cmpint(ram_block_uncoordinated_discard_disable(true), ==, 0);
        memory_listener_register(&memory_listener, first_cpu->as);
    } else {
        memory_listener_unregister(&memory_listener);
        g_assert_true(QLIST_EMPTY(&user.pieces));
        ram_block_uncoordinated_discard_disable(false);
    }
}

/* Where a device is told of what comes and goes, it may not be. */
static void set_pins(bool pins)
{
    if (pins != user.pins && !ram_block_discard_disable(pins)) {
        user.pins = pins;
    }
}

/*
 * One device maps what is announced, as VFIO does; another needs all memory
 * pinned.  0: both leave.
 */
static void host_use(GPU *gpu, uint8_t how)
{
    switch (how % 4) {
    case 0:
        set_there(false);
        set_pins(false);
        break;
    case 1:
        set_there(true);
        break;
    case 2:
        set_pins(!user.pins);
        break;
    }
}

/*
 * The host of the device
 */

static void run_main_loop(void)
{
    unsigned i;

    for (i = 0; i < 3; i++) {
        main_loop_wait(true);
    }
}

/* Memory of the renderer's is unmapped when RCU's readers are done: slow. */
static void host_settle(GPU *gpu)
{
    run_main_loop();
    if (!QTAILQ_EMPTY(&VIRTIO_GPU_GL(device)->blobs->leaving)) {
        drain_call_rcu();
    }
    qtest_clock_step(gpu->qts, 20 * 1000 * 1000);
    run_main_loop();
}

static void host_run(GPU *gpu)
{
    main_loop_wait(true);
}

static void host_reset_machine(GPU *gpu)
{
    fuzz_reset(gpu->qts);
}

/* Memory is laid out once, and not for each BAR. */
static void host_map_bars(GPU *gpu)
{
    memory_region_transaction_begin();
    gpu_pci_open(gpu);
    memory_region_transaction_commit();
}

/* In the vCPU's thread; the main loop's is in run_on_cpu() meanwhile. */
static void write_status(CPUState *cpu, run_on_cpu_data data)
{
    const QVirtioPCIDevice *dev = data.host_ptr;
    const uint8_t reset = 0;

    address_space_write(cpu->as, dev->bar.addr + dev->common_cfg_offset +
                        VIRTIO_PCI_COMMON_STATUS, MEMTXATTRS_UNSPECIFIED,
                        &reset, sizeof(reset));
}

static void host_reset_by_vcpu(GPU *gpu)
{
    run_on_cpu(first_cpu, write_status,
               RUN_ON_CPU_HOST_PTR(&gpu->dev->pci_vdev));
}

static uint64_t host_live(GPU *gpu)
{
    /* blob-map-stats has it too, at a fifth of a short input's time. */
    return !QTAILQ_EMPTY(&VIRTIO_GPU_GL(device)->blobs->mapped);
}

/* What SIGBUS ends is not libFuzzer's to write down. */
static void keep(const unsigned char *data, size_t size)
{
    if (last_fd >= 0 && (ftruncate(last_fd, size) ||
                         pwrite(last_fd, data, size, 0) != size)) {
        g_error("FUZZ_LAST: %s", g_strerror(errno));
    }
}

static void fuzz(QTestState *s, const unsigned char *data, size_t size)
{
    const GPUFuzzHost host = {
        .pid = getpid(),
        .reset_machine = host_reset_machine,
        .map_bars = host_map_bars,
        .reset_by_vcpu = host_reset_by_vcpu,
        .use = host_use,
        .run = host_run,
        .settle = host_settle,
        .live = host_live,
    };

    keep(data, size);
    gpu_fuzz(&gpu_state, &host, data, size);
}

/*
 * Life
 */

static void pre_vm_init(void)
{
    const char *last = getenv("FUZZ_LAST");
    GPU *gpu = &gpu_state;

    if (last) {
        last_fd = open(last, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    }
    /* The display comes after the device. */
    display_opengl = 1;
    gpu->ram = gpu_new_file("fuzz-ram", RAM_SIZE, &gpu->ram_fd);
    gpu->bios_fd = -1;
    gpu->shared = scripted_shared();
    gpu->shared->magic = SCRIPTED_MAGIC;
}

static GString *arguments(FuzzTarget *t)
{
    GString *line = g_string_new(TARGET_NAME);

    g_string_append_printf(line, " -L /usr/share/qemu -L /usr/share/seabios"
                           " -accel qtest -machine pc,memory-backend=ram"
                           " -nodefaults -m %" PRIu64 " -display none -object"
                           " memory-backend-file,id=ram,size=%" PRIu64
                           ",share=on,mem-path=/proc/self/fd/%d -device"
                           " virtio-gpu-gl-pci,id=gpu,blob=on,addr=10.0,"
                           "hostmem=%" PRIu64
                           ",max_outputs=2", (uint64_t)(RAM_SIZE / GPU_MIB),
                           (uint64_t)RAM_SIZE, gpu_state.ram_fd,
                           (uint64_t)WINDOW);
    return line;
}

static void pre_fuzz(QTestState *s)
{
    GPU *gpu = &gpu_state;

    device = object_resolve_path("/machine/peripheral/gpu/virtio-backend",
                                 NULL);
    g_assert_nonnull(device);
    show(0);
    show(1);
    gpu->qts = s;
    gpu->bus = qpci_new_pc(s, NULL);
    gpu_pci_open(gpu);
    gpu_reset(gpu);
}

static void register_fuzz_target(void)
{
    fuzz_add_target(&(FuzzTarget) {
        .name = "virtio-gpu-gl-blob",
        .description = "Fuzz virtio-gpu-gl and its blobs by commands",
        .get_init_cmdline = arguments,
        .pre_vm_init = pre_vm_init,
        .pre_fuzz = pre_fuzz,
        .fuzz = fuzz,
    });
}

fuzz_target_init(register_fuzz_target);
