/*
 * virtio-gpu blob doctor: the probes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each DoctorWork runs in a process of its own, as drivers and libraries may
 * crash and hang (child.h).  Libraries are loaded by dlopen() when a probe
 * wants them, and never unloaded: the process ends.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PROBES_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PROBES_H

#include "facts.h"

/*
 * The host (probe-host.c)
 */

/**
 * doctor_host_read() - what files of /proc, /sys and /etc say
 * @facts: filled in
 *
 * Runs in the doctor's own process.
 */
void doctor_host_read(DoctorFacts *facts);

/**
 * doctor_file_open() - open a device node
 * @file: filled in
 * @path: the node
 *
 * Returns: a file descriptor, or -1
 */
int doctor_file_open(DoctorFile *file, const char *path);

/* DoctorWork: KVM; @found is a DoctorKVM */
void doctor_kvm_probe(void *found);

/* DoctorWork: the window; @found is the DoctorFacts, its window.size is set */
void doctor_window_probe(void *found);

/*
 * dma-bufs (probe-buffer.c)
 */

/**
 * doctor_buffer_probe() - look at a dma-buf
 * @buffer: filled in
 * @fd: the dma-buf
 */
void doctor_buffer_probe(DoctorBuffer *buffer, int fd);

/* DoctorWork: /dev/udmabuf and the heaps; @found is the DoctorFacts */
void doctor_sources_probe(void *found);

/*
 * GPUs (probe-gpu.c, probe-gl.c)
 */

/**
 * doctor_gpus_list() - the GPUs that the kernel has, by /sys
 * @facts: gpus, gpus_count, gpus_error and cards are filled in
 */
void doctor_gpus_list(DoctorFacts *facts);

/* DoctorWork: one render node; @found is a DoctorGPU with its name */
void doctor_gpu_probe(void *found);

/**
 * doctor_gl_probe() - make a context as -display egl-headless does
 * @gl: filled in
 * @probe: its stage is set
 * @node: the render node
 *
 * Returns: a dma-buf that libgbm has made, or -1
 */
int doctor_gl_probe(DoctorGL *gl, DoctorProbe *probe, int node);

/* DoctorWork: as -display sdl,gl=on does; @found is a DoctorSDL */
void doctor_sdl_probe(void *found);

/*
 * The renderer (probe-renderer.c, probe-vulkan.c)
 */

/* DoctorWork: virglrenderer; @found is a DoctorRenderer */
void doctor_renderer_probe(void *found);

/*
 * DoctorWork: virglrenderer's version; @found is a DoctorRenderer.  The library
 * does not tell, so the package manager is asked, which may take seconds.
 */
void doctor_renderer_version_probe(void *found);

/* DoctorWork: a buffer of OpenGL; @found is the DoctorFacts */
void doctor_opengl_probe(void *found);

/* DoctorWork: Venus's memory; @found is the DoctorFacts */
void doctor_venus_probe(void *found);

/* DoctorWork: libvulkan's devices; @found is a DoctorVulkan */
void doctor_vulkan_probe(void *found);

/*
 * QEMU (probe-qemu.c)
 */

/* DoctorWork: what the emulator has; @found is a DoctorQEMU with its path */
void doctor_qemu_probe(void *found);

/**
 * doctor_qemu_exec() - become a QEMU that is told to quit
 * @argv: its command line, with "-qmp stdio"
 * @env: what to add to the environment, as NAME=VALUE
 *
 * Called in a probe's process, which ends as QEMU ends.
 */
G_NORETURN void doctor_qemu_exec(char **argv, char **env);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_PROBES_H */
