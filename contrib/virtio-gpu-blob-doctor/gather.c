/*
 * virtio-gpu blob doctor: gather the facts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "child.h"
#include "gather.h"
#include "probes.h"
#include "recipe.h"

static void probe_host(DoctorFacts *facts, double seconds)
{
    DoctorChildren *all = doctor_children_new();
    int i;

    doctor_children_start(all, doctor_qemu_probe, &facts->qemu,
                          &facts->qemu.probe);
    doctor_children_start(all, doctor_renderer_probe, &facts->renderer,
                          &facts->renderer.probe);
    doctor_children_start(all, doctor_renderer_version_probe, &facts->renderer,
                          &facts->renderer.version_probe);
    doctor_children_start(all, doctor_vulkan_probe, &facts->vulkan,
                          &facts->vulkan.probe);
    doctor_children_start(all, doctor_kvm_probe, &facts->kvm,
                          &facts->kvm.probe);
    doctor_children_start(all, doctor_window_probe, facts,
                          &facts->window.probe);
    doctor_children_start(all, doctor_sources_probe, facts,
                          &facts->sources_probe);
    doctor_children_start(all, doctor_sdl_probe, &facts->sdl,
                          &facts->sdl.probe);
    for (i = 0; i < facts->gpus_count; i++) {
        doctor_children_start(all, doctor_gpu_probe, &facts->gpus[i],
                              &facts->gpus[i].probe);
    }
    doctor_children_wait(all, seconds);
}

static void probe_renderer(DoctorFacts *facts, double seconds)
{
    DoctorChildren *all = doctor_children_new();

    doctor_children_start(all, doctor_opengl_probe, facts,
                          &facts->renderer.opengl.probe);
    doctor_children_start(all, doctor_venus_probe, facts,
                          &facts->renderer.venus.probe);
    doctor_children_wait(all, seconds);
}

/*
 * QEMU, started
 */

/**
 * Start - QEMU with one choice
 * @facts: the host
 * @choice: the options
 */
typedef struct Start {
    const DoctorFacts *facts;
    DoctorChoice choice;
} Start;

/* The vCPUs do not run; the monitor is what ends it. */
static void start(void *data)
{
    static const char *const more[] = {
        "-S", "-qmp", "stdio", "-serial", "none", "-parallel", "none",
        "-monitor", "none",
    };
    const Start *what = data;
    char **env = doctor_recipe_env(&what->choice);
    char **options = doctor_recipe_argv(what->facts, &what->choice);
    GPtrArray *argv = g_ptr_array_new();
    size_t i;

    for (i = 0; options[i]; i++) {
        g_ptr_array_add(argv, options[i]);
    }
    for (i = 0; i < ARRAY_SIZE(more); i++) {
        g_ptr_array_add(argv, (char *)more[i]);
    }
    g_ptr_array_add(argv, NULL);
    doctor_qemu_exec((char **)argv->pdata, env);
}

/* One after the other, until one works: a host may be small and slow. */
static void probe_starts(DoctorFacts *facts, double seconds)
{
    DoctorChoice choices[DOCTOR_STARTS_MAX];
    int n = doctor_recipe_choices(facts, choices), i;
    int64_t until = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;

    for (i = 0; i < n; i++) {
        Start what = { facts, choices[i] };
        DoctorProbe *probe = &facts->starts[i].probe;
        DoctorChildren *one = doctor_children_new();
        int64_t left = until - g_get_monotonic_time();

        doctor_children_start(one, start, &what, probe);
        doctor_children_wait(one, MAX(left, 0) / (double)G_USEC_PER_SEC);
        if (probe->end == DOCTOR_DONE || left <= 0) {
            return;
        }
    }
}

const DoctorFacts *doctor_gather(const DoctorOptions *options)
{
    DoctorFacts *facts = mmap(NULL, sizeof(*facts), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (facts == MAP_FAILED) {
        return NULL;
    }
    facts->window.size = options->hostmem;
    pstrcpy(facts->qemu.path, sizeof(facts->qemu.path),
            options->qemu ? options->qemu : "");
    pstrcpy(facts->rendernode, sizeof(facts->rendernode),
            options->rendernode ? options->rendernode : "");
    doctor_host_read(facts);
    doctor_gpus_list(facts);
    probe_host(facts, options->seconds);
    probe_renderer(facts, options->seconds);
    probe_starts(facts, options->seconds);
    return facts;
}
