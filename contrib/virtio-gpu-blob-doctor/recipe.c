/*
 * virtio-gpu blob doctor: what to write for this host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "recipe.h"
#include "report.h"

static const DoctorGPU *working_gpu(const DoctorFacts *facts)
{
    int i;

    for (i = 0; i < facts->gpus_count; i++) {
        if (doctor_gpu_works(&facts->gpus[i])) {
            return &facts->gpus[i];
        }
    }
    return NULL;
}

/* libvirt and QEMU start it in its own way: what works here works there. */
static bool has_venus(const DoctorFacts *facts)
{
    return facts->renderer.venus.made;
}

/* Without a GPU, SDL draws where nobody looks: there is no other way. */
static char *display(const DoctorFacts *facts)
{
    const DoctorGPU *gpu = working_gpu(facts);

    return gpu ? g_strdup_printf("-display egl-headless,rendernode=/dev/dri/%s",
                                 gpu->node)
               : g_strdup("-display sdl,gl=on");
}

char *doctor_recipe_options(const DoctorFacts *facts)
{
    g_autofree char *shown = display(facts);

    if (!facts->window.fits) {
        return NULL;
    }
    return g_strdup_printf("-accel %s %s -device %s,blob=on,hostmem=%" PRIu64
                           "M%s,map-policy=safe",
                           facts->kvm.usable ? "kvm" : "tcg", shown,
                           doctor_is_x86(facts) ? "virtio-vga-gl"
                                                : "virtio-gpu-gl-pci",
                           facts->window.fits / MiB,
                           has_venus(facts) ? ",venus=on" : "");
}

static char *emulator(const DoctorFacts *facts)
{
    g_autofree char *path = NULL;

    if (!facts->qemu.ours) {
        return g_strdup("");
    }
    path = g_markup_escape_text(facts->qemu.path, -1);
    return g_strdup_printf("    <emulator>%s</emulator>\n", path);
}

static const char *graphics(const DoctorFacts *facts)
{
    return working_gpu(facts) ? "    <graphics type='egl-headless'/>\n" : "";
}

/* libvirt has no graphics of this kind. */
static const char *arguments(const DoctorFacts *facts)
{
    return working_gpu(facts) ? "" :
        "  <qemu:commandline>\n"
        "    <qemu:arg value='-display'/>\n"
        "    <qemu:arg value='sdl,gl=on'/>\n"
        "    <qemu:env name='SDL_VIDEODRIVER' value='offscreen'/>\n"
        "  </qemu:commandline>\n";
}

static const char *venus(const DoctorFacts *facts)
{
    return has_venus(facts) ?
        "        <qemu:property name='venus' type='bool' value='true'/>\n" : "";
}

char *doctor_recipe_libvirt(const DoctorFacts *facts)
{
    g_autofree char *path = emulator(facts);

    if (!facts->window.fits) {
        return NULL;
    }
    return g_strdup_printf(
        "<domain type='%s'"
        " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n"
        "  ...\n"
        "  <memoryBacking>\n"
        "    <source type='memfd'/>\n"
        "    <access mode='shared'/>\n"
        "  </memoryBacking>\n"
        "  <devices>\n"
        "%s%s"
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
        facts->kvm.usable ? "kvm" : "qemu", path, graphics(facts),
        arguments(facts), facts->window.fits, venus(facts));
}
