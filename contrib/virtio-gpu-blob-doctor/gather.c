/*
 * virtio-gpu blob doctor: ask everybody
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "hw/display/virtio-gpu-blob-vma.h"
#include "buffer.h"
#include "child.h"
#include "emulator.h"
#include "gather.h"
#include "gpu.h"
#include "kvm.h"
#include "renderer.h"
#include "window.h"

#include <sys/resource.h>
#include <sys/utsname.h>

static void read_limits(DoctorFacts *facts)
{
    struct rlimit files;

    facts->page_size = qemu_real_host_page_size();
    facts->mappings = virtio_gpu_blob_vma_max_mappings();
    if (!getrlimit(RLIMIT_NOFILE, &files)) {
        facts->files = files.rlim_cur;
    }
}

static void read_kernel(DoctorFacts *facts)
{
    struct utsname names;

    if (!uname(&names)) {
        pstrcpy(facts->kernel, sizeof(facts->kernel), names.release);
        pstrcpy(facts->machine, sizeof(facts->machine), names.machine);
    }
}

static void ask_all(DoctorFacts *facts, double seconds)
{
    DoctorChildren *all = doctor_children_new();
    DoctorRenderer *renderer = &facts->renderer;
    int i;

    doctor_children_start(all, doctor_emulator_look, &facts->qemu,
                          &facts->qemu.end);
    doctor_children_start(all, doctor_renderer_virgl, &renderer->virgl,
                          &renderer->virgl.end);
    doctor_children_start(all, doctor_renderer_venus, &renderer->venus,
                          &renderer->venus.end);
    doctor_children_start(all, doctor_renderer_look, renderer, &renderer->end);
    doctor_children_start(all, doctor_kvm_look, &facts->kvm, &facts->kvm.end);
    doctor_children_start(all, doctor_window_look, facts, &facts->window.end);
    doctor_children_start(all, doctor_sources_find, facts,
                          &facts->sources_end);
    for (i = 0; i < facts->gpus_count; i++) {
        doctor_children_start(all, doctor_gpu_look, &facts->gpus[i],
                              &facts->gpus[i].end);
    }
    doctor_children_wait(all, seconds);
}

const DoctorFacts *doctor_gather(uint64_t hostmem, const char *qemu,
                                 double seconds)
{
    DoctorFacts *facts = mmap(NULL, sizeof(*facts), PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (facts == MAP_FAILED) {
        return NULL;
    }
    facts->window.size = hostmem;
    pstrcpy(facts->qemu.path, sizeof(facts->qemu.path), qemu ? qemu : "");
    read_kernel(facts);
    read_limits(facts);
    doctor_gpus_list(facts);
    ask_all(facts, seconds);
    return facts;
}
