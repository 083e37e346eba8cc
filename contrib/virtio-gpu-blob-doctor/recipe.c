/*
 * virtio-gpu blob doctor: the options that fit a host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "recipe.h"
#include "report.h"

/* The guest's memory, shared: QEMU makes dma-bufs of a part of it */
#define MEMORY_GIB 4

#define PROCESSORS_MAX 4

/* Bits of TCG's physical addresses on x86 */
#define TCG_ADDRESS_BITS 40

/*
 * Choices
 */

const DoctorGPU *doctor_recipe_gpu(const DoctorFacts *facts)
{
    int i;

    for (i = 0; i < facts->gpus_count; i++) {
        const DoctorGPU *gpu = &facts->gpus[i];

        if (doctor_gpu_works(gpu) &&
            (!*facts->rendernode || !strcmp(facts->rendernode, gpu->node))) {
            return gpu;
        }
    }
    return NULL;
}

bool doctor_recipe_venus(const DoctorFacts *facts)
{
    return facts->vulkan.count && facts->renderer.venus.made &&
           facts->renderer.venus.capset_size;
}

/*
 * Firmware gives a part of the address space to 64-bit BARs: EDK2 an eighth,
 * SeaBIOS a quarter.  arm64's virt machine has 512 GiB for them, and there are
 * other devices.
 */
uint64_t doctor_recipe_bar_max(const DoctorFacts *facts, bool kvm)
{
    unsigned bits = kvm && facts->address_bits ? facts->address_bits
                                               : TCG_ADDRESS_BITS;

    return doctor_is_x86(facts) ? 1ULL << (bits - 3) : 256 * GiB;
}

static uint64_t hostmem(const DoctorFacts *facts, const DoctorChoice *choice)
{
    return MIN(facts->window.fits,
               doctor_recipe_bar_max(facts, choice->kvm));
}

/* A desktop's GPU is the compositor's: it cannot be chosen. */
static int list_displays(const DoctorFacts *facts, DoctorDisplay *displays)
{
    const DoctorQEMU *qemu = &facts->qemu;
    bool desktop = facts->desktop && !*facts->rendernode;
    int n = 0;

    if (desktop && qemu->gtk) {
        displays[n++] = DOCTOR_DISPLAY_GTK;
    }
    if (desktop && qemu->sdl) {
        displays[n++] = DOCTOR_DISPLAY_SDL;
    }
    if (qemu->egl_headless && doctor_recipe_gpu(facts)) {
        displays[n++] = DOCTOR_DISPLAY_EGL_HEADLESS;
    }
    if (qemu->sdl && !*facts->rendernode) {
        displays[n++] = DOCTOR_DISPLAY_OFFSCREEN;
    }
    return n;
}

int doctor_recipe_choices(const DoctorFacts *facts, DoctorChoice *choices)
{
    DoctorDisplay displays[DOCTOR_STARTS_MAX / 2];
    int n = 0, i, kvm, count;

    if (!facts->qemu.ours || !facts->window.fits) {
        return 0;
    }
    count = list_displays(facts, displays);
    for (kvm = facts->kvm.usable; kvm >= 0; kvm--) {
        for (i = 0; i < count; i++) {
            choices[n++] = (DoctorChoice) { displays[i], kvm };
        }
    }
    return n;
}

int doctor_recipe_best(const DoctorFacts *facts, DoctorChoice *choice)
{
    DoctorChoice choices[DOCTOR_STARTS_MAX];
    int n = doctor_recipe_choices(facts, choices), i;

    for (i = 0; i < n; i++) {
        if (facts->starts[i].probe.end == DOCTOR_DONE) {
            *choice = choices[i];
            return i;
        }
    }
    return -1;
}

/*
 * QEMU
 */

static char *display_option(const DoctorFacts *facts, DoctorDisplay display)
{
    switch (display) {
    case DOCTOR_DISPLAY_GTK:
        return g_strdup("gtk,gl=on");
    case DOCTOR_DISPLAY_EGL_HEADLESS:
        return g_strdup_printf("egl-headless,rendernode=/dev/dri/%s",
                               doctor_recipe_gpu(facts)->node);
    default:
        return g_strdup("sdl,gl=on");
    }
}

static void add(GPtrArray *argv, const char *option, char *value)
{
    g_ptr_array_add(argv, g_strdup(option));
    g_ptr_array_add(argv, value);
}

static int processors(const DoctorFacts *facts)
{
    return MIN(MAX(facts->processors, 1), PROCESSORS_MAX);
}

/* The host's processor under KVM; all that TCG can else */
static const char *cpu_model(const DoctorChoice *choice)
{
    return choice->kvm ? "host" : "max";
}

static char *device_option(const DoctorFacts *facts, const DoctorChoice *choice)
{
    g_autofree char *size = doctor_size_text(hostmem(facts, choice));

    return g_strdup_printf("%s,id=gpu0,blob=on,hostmem=%s%s,map-policy=safe",
                           doctor_is_x86(facts) ? "virtio-vga-gl"
                                                : "virtio-gpu-gl-pci",
                           size,
                           doctor_recipe_venus(facts) ? ",venus=on" : "");
}

char **doctor_recipe_argv(const DoctorFacts *facts, const DoctorChoice *choice)
{
    GPtrArray *argv = g_ptr_array_new();

    g_ptr_array_add(argv, g_strdup(facts->qemu.path));
    add(argv, "-machine", g_strdup_printf("%s,memory-backend=mem",
        doctor_is_x86(facts) ? "q35" : "virt"));
    add(argv, "-accel", g_strdup(choice->kvm ? "kvm" : "tcg"));
    add(argv, "-cpu", g_strdup(cpu_model(choice)));
    add(argv, "-smp", g_strdup_printf("%d", processors(facts)));
    add(argv, "-m", g_strdup(stringify(MEMORY_GIB) "G"));
    add(argv, "-object", g_strdup("memory-backend-memfd,id=mem,size="
                                  stringify(MEMORY_GIB) "G,share=on"));
    add(argv, "-display", display_option(facts, choice->display));
    if (choice->display == DOCTOR_DISPLAY_EGL_HEADLESS) {
        add(argv, "-vnc", g_strdup("127.0.0.1:0,to=99"));
    }
    add(argv, "-device", device_option(facts, choice));
    g_ptr_array_add(argv, NULL);
    return (char **)g_ptr_array_free(argv, false);
}

/*
 * SDL tries all its drivers: without this, it takes the console's card where
 * there is no desktop, and shows nothing where a desktop cannot be reached.
 */
char **doctor_recipe_env(const DoctorChoice *choice)
{
    char **env = g_new0(char *, 2);

    if (choice->display == DOCTOR_DISPLAY_OFFSCREEN) {
        env[0] = g_strdup("SDL_VIDEODRIVER=offscreen");
    } else if (choice->display == DOCTOR_DISPLAY_SDL) {
        env[0] = g_strdup("SDL_VIDEODRIVER=x11,wayland");
    }
    return env;
}

/*
 * libvirt
 */

static const char vnc[] =
    "    <graphics type='vnc' autoport='yes' listen='127.0.0.1'/>\n";

static char *graphics(const DoctorFacts *facts, const DoctorChoice *choice)
{
    if (choice->display != DOCTOR_DISPLAY_EGL_HEADLESS) {
        return g_strdup("");
    }
    return g_strdup_printf("    <graphics type='egl-headless'>\n"
                           "      <gl rendernode='/dev/dri/%s'/>\n"
                           "    </graphics>\n%s",
                           doctor_recipe_gpu(facts)->node, vnc);
}

/* libvirt knows no other display that draws with OpenGL and without a GPU. */
static char *arguments(const DoctorFacts *facts, const DoctorChoice *choice)
{
    g_auto(GStrv) env = doctor_recipe_env(choice);
    g_autofree char *display = NULL;
    GString *xml;
    int i;

    if (choice->display == DOCTOR_DISPLAY_EGL_HEADLESS) {
        return g_strdup("");
    }
    display = display_option(facts, choice->display);
    xml = g_string_new("  <qemu:commandline>\n"
                       "    <qemu:arg value='-display'/>\n");
    g_string_append_printf(xml, "    <qemu:arg value='%s'/>\n", display);
    for (i = 0; env[i]; i++) {
        g_auto(GStrv) pair = g_strsplit(env[i], "=", 2);

        g_string_append_printf(xml, "    <qemu:env name='%s' value='%s'/>\n",
                               pair[0], pair[1]);
    }
    g_string_append(xml, "  </qemu:commandline>\n");
    return g_string_free(xml, false);
}

/* The QEMU of a daemon cannot open a window on the user's desktop. */
static DoctorChoice without_desktop(const DoctorFacts *facts,
                                    const DoctorChoice *choice)
{
    DoctorChoice other = *choice;

    if (choice->display == DOCTOR_DISPLAY_GTK ||
        choice->display == DOCTOR_DISPLAY_SDL) {
        other.display = facts->qemu.egl_headless && doctor_recipe_gpu(facts)
                        ? DOCTOR_DISPLAY_EGL_HEADLESS
                        : DOCTOR_DISPLAY_OFFSCREEN;
    }
    return other;
}

char *doctor_recipe_libvirt(const DoctorFacts *facts,
                            const DoctorChoice *choice)
{
    DoctorChoice display = without_desktop(facts, choice);
    g_autofree char *path = g_markup_escape_text(facts->qemu.path, -1);
    g_autofree char *shown = graphics(facts, &display);
    g_autofree char *passed = arguments(facts, &display);
    bool x86 = doctor_is_x86(facts);

    return g_strdup_printf(
        "<domain type='%s'"
        " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
        "  <name>blob-guest</name>\n"
        "  <memory unit='GiB'>%d</memory>\n"
        "  <vcpu>%d</vcpu>\n"
        "  <os>\n"
        "    <type arch='%s' machine='%s'>hvm</type>\n"
        "  </os>\n"
        "%s"
        "  <cpu mode='%s'/>\n"
        "  <memoryBacking>\n"
        "    <source type='memfd'/>\n"
        "    <access mode='shared'/>\n"
        "  </memoryBacking>\n"
        "  <devices>\n"
        "    <emulator>%s</emulator>\n"
        "%s"
        "    <video>\n"
        "      <model type='virtio' heads='1' primary='yes' blob='on'>\n"
        "        <acceleration accel3d='yes'/>\n"
        "      </model>\n"
        "      <alias name='ua-gpu0'/>\n"
        "    </video>\n"
        "  </devices>\n"
        "%s"
        "  <qemu:override>\n"
        "    <qemu:device alias='ua-gpu0'>\n"
        "      <qemu:frontend>\n"
        "        <qemu:property name='hostmem' type='unsigned'"
        " value='%" PRIu64 "'/>\n"
        "%s"
        "        <qemu:property name='map-policy' type='string'"
        " value='safe'/>\n"
        "      </qemu:frontend>\n"
        "    </qemu:device>\n"
        "  </qemu:override>\n"
        "</domain>\n",
        choice->kvm ? "kvm" : "qemu", MEMORY_GIB, processors(facts),
        x86 ? "x86_64" : facts->machine, x86 ? "q35" : "virt",
        x86 ? "  <features>\n    <acpi/>\n  </features>\n" : "",
        choice->kvm ? "host-passthrough" : "maximum", path, shown, passed,
        hostmem(facts, choice), doctor_recipe_venus(facts) ?
        "        <qemu:property name='venus' type='bool' value='true'/>\n" :
        "");
}

/* The manual has them too: keep them alike (check-doctor.py compares them). */
static const char apparmor_rules[] =
    "  include <abstractions/mesa>\n"
    "  include <abstractions/vulkan>\n"
    "  include <abstractions/dri-enumerate>\n"
    "  /etc/glvnd/egl_vendor.d/{,*} r,\n"
    "  /usr/share/glvnd/egl_vendor.d/{,*} r,\n"
    "  /usr/libexec/virgl_render_server rix,\n"
    "  owner @{PROC}/@{pid}/fdinfo/" "* r,\n"
    "  @{sys}/module/kvm_amd/parameters/npt r,";

/* AppArmor's profiles for libvirt know emulators in /usr/bin only. */
static char *apparmor_note(const DoctorFacts *facts)
{
    g_autofree char *folder = g_path_get_dirname(facts->qemu.path);

    if (!strcmp(folder, "/usr/bin")) {
        return g_strdup_printf("For AppArmor, put these rules into "
            "/etc/apparmor.d/abstractions/libvirt-qemu.d/virtio-gpu:\n\n%s",
            apparmor_rules);
    }
    return g_strdup_printf("For AppArmor, put %s PUx, into "
        "/etc/apparmor.d/local/usr.sbin.libvirtd, run apparmor_parser -r "
        "/etc/apparmor.d/usr.sbin.libvirtd, and put <seclabel type='none' "
        "model='apparmor'/> into the domain.", facts->qemu.path);
}

char **doctor_recipe_libvirt_notes(const DoctorFacts *facts,
                                   const DoctorChoice *choice)
{
    GPtrArray *notes = g_ptr_array_new();

    g_ptr_array_add(notes, g_strdup("In /etc/libvirt/qemu.conf, for more than "
        "1024 blobs: max_files = 65536."));
    if (doctor_recipe_venus(facts)) {
        g_ptr_array_add(notes, g_strdup("In /etc/libvirt/qemu.conf, so that "
            "the render server of Vulkan (venus) can be started: "
            "seccomp_sandbox = 0.  With libvirt's default, all 3D is lost; "
            "without that setting, remove the property venus."));
    }
    if (facts->apparmor) {
        g_ptr_array_add(notes, apparmor_note(facts));
    }
    if (facts->selinux) {
        g_ptr_array_add(notes, g_strdup_printf("For SELinux (not "
            "tested): chcon -t qemu_exec_t %s (see: ausearch -m avc -ts "
            "recent).",
            facts->qemu.path));
    }
    g_ptr_array_add(notes, NULL);
    return (char **)g_ptr_array_free(notes, false);
}
