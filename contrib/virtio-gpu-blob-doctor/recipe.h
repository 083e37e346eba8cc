/*
 * virtio-gpu blob doctor: the options that fit a host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Pure.  A few choices of display and accelerator may work on a host; QEMU is
 * started with each of them, and the first that starts is recommended.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RECIPE_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RECIPE_H

#include "facts.h"

/**
 * DoctorDisplay - how QEMU makes its OpenGL context, and shows the guest
 * @GTK: a window on the user's desktop
 * @SDL: the same, by SDL
 * @EGL_HEADLESS: on a render node; the guest is shown by VNC
 * @OFFSCREEN: SDL without a desktop or a GPU; the guest is not shown
 */
typedef enum DoctorDisplay {
    DOCTOR_DISPLAY_GTK,
    DOCTOR_DISPLAY_SDL,
    DOCTOR_DISPLAY_EGL_HEADLESS,
    DOCTOR_DISPLAY_OFFSCREEN,
} DoctorDisplay;

/**
 * DoctorChoice - options that may work
 * @display: how QEMU draws
 * @kvm: by KVM; else by TCG
 */
typedef struct DoctorChoice {
    DoctorDisplay display;
    bool kvm;
} DoctorChoice;

/**
 * doctor_recipe_gpu() - the GPU that QEMU's egl-headless display will use
 * @facts: the host
 *
 * Returns: the node that the user wants, or the first one that works; NULL if
 * there is none
 */
const DoctorGPU *doctor_recipe_gpu(const DoctorFacts *facts);

/**
 * doctor_recipe_venus() - can venus=on be recommended?
 * @facts: the host
 *
 * Returns: true if there is a Vulkan device, and Venus works
 */
bool doctor_recipe_venus(const DoctorFacts *facts);

/**
 * doctor_recipe_bar_max() - what a guest's firmware has a place for
 * @facts: the host
 * @kvm: the guest has the host's address bits; else TCG's
 *
 * Returns: the largest window, in bytes
 */
uint64_t doctor_recipe_bar_max(const DoctorFacts *facts, bool kvm);

/**
 * doctor_recipe_choices() - what may work
 * @facts: the host
 * @choices: filled in, DOCTOR_STARTS_MAX of them at most, the best first
 *
 * Returns: how many
 */
int doctor_recipe_choices(const DoctorFacts *facts, DoctorChoice *choices);

/**
 * doctor_recipe_best() - what was tried and works
 * @facts: the host, with starts[i] for each choice i
 * @choice: set to it
 *
 * Returns: its number, or -1 if QEMU starts with none of them
 */
int doctor_recipe_best(const DoctorFacts *facts, DoctorChoice *choice);

/**
 * doctor_recipe_argv() - the command line
 * @facts: the host
 * @choice: a choice
 *
 * Returns: the arguments, NULL terminated; free with g_strfreev()
 */
char **doctor_recipe_argv(const DoctorFacts *facts, const DoctorChoice *choice);

/**
 * doctor_recipe_env() - what it wants in the environment
 * @choice: a choice
 *
 * Returns: NAME=VALUE, NULL terminated; free with g_strfreev()
 */
char **doctor_recipe_env(const DoctorChoice *choice);

/**
 * doctor_recipe_libvirt() - a domain for libvirt
 * @facts: the host
 * @choice: a choice
 *
 * Returns: XML that the caller frees
 */
char *doctor_recipe_libvirt(const DoctorFacts *facts,
                            const DoctorChoice *choice);

/**
 * doctor_recipe_libvirt_notes() - what libvirt's host needs for that domain
 * @facts: the host
 * @choice: a choice
 *
 * Returns: sentences, NULL terminated; free with g_strfreev()
 */
char **doctor_recipe_libvirt_notes(const DoctorFacts *facts,
                                   const DoctorChoice *choice);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_RECIPE_H */
