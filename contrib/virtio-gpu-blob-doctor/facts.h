/*
 * virtio-gpu blob doctor: what was found out about a host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain data, without a pointer: each part is filled in by a process of its
 * own (child.h), which may end or hang at any time.  All zero means that
 * nothing was found out.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FACTS_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FACTS_H

#include "hw/display/virtio-gpu-blob-decision.h"
#include "hw/display/virtio-gpu-blob-host.h"

#define DOCTOR_GPUS_MAX 16
#define DOCTOR_SOURCES_MAX 8

/**
 * DoctorEnd - how far a probe got
 * @NOT_RUN: it was not started
 * @DONE: to its end
 * @LATE: it had to be stopped
 * @DIED: it ended before its end
 */
typedef enum DoctorEnd {
    DOCTOR_NOT_RUN,
    DOCTOR_DONE,
    DOCTOR_LATE,
    DOCTOR_DIED,
} DoctorEnd;

/**
 * DoctorBuffer - one real dma-buf
 * @made: there is one
 * @error: errno with which it could not be made, if it was tried
 * @exporter: its exporter's name
 * @answer: what that says about it
 * @read_write: it is open for reading and writing
 * @map_error: errno with which it could not be mapped, or 0
 */
typedef struct DoctorBuffer {
    bool made;
    int error;
    char exporter[64];
    VirtIOGPUExporterAnswer answer;
    bool read_write;
    int map_error;
} DoctorBuffer;

/**
 * DoctorSource - what makes dma-bufs without a GPU
 * @name: of its device
 * @buffer: one of it
 */
typedef struct DoctorSource {
    char name[64];
    DoctorBuffer buffer;
} DoctorSource;

/**
 * DoctorNode - what is wrong with a render node, if anything
 * @FINE: it can be opened
 * @MISSING: the kernel has it, /dev has not
 * @OTHER: what is there in /dev is something else
 * @CLOSED: it cannot be opened
 */
typedef enum DoctorNode {
    DOCTOR_NODE_FINE,
    DOCTOR_NODE_MISSING,
    DOCTOR_NODE_OTHER,
    DOCTOR_NODE_CLOSED,
} DoctorNode;

/**
 * DoctorGPU - a render node
 * @node: its name, such as renderD128
 * @end: how far it was looked at
 * @stage: what was being done, for a probe that hangs or dies
 * @state: the node's
 * @error: errno of opening it
 * @driver: of the kernel's
 * @gbm: the buffer is libgbm's; else the kernel's (a dumb one)
 * @buffer: one of its buffers
 */
typedef struct DoctorGPU {
    char node[32];
    DoctorEnd end;
    char stage[32];
    DoctorNode state;
    int error;
    char driver[32];
    bool gbm;
    DoctorBuffer buffer;
} DoctorGPU;

/**
 * DoctorBlob - one of the renderer's buffers
 * @end: how far it was looked at
 * @stage: what was being done
 * @made: there is one
 * @error: errno of what failed
 * @backing: what it is
 * @word: the type that the renderer names, or 0
 * @buffer: a dma-buf's exporter
 */
typedef struct DoctorBlob {
    DoctorEnd end;
    char stage[32];
    bool made;
    int error;
    VirtIOGPUBlobBacking backing;
    uint32_t word;
    DoctorBuffer buffer;
} DoctorBlob;

/**
 * DoctorRenderer - virglrenderer
 * @end: how far it was looked at
 * @found: the library can be loaded
 * @error: why not
 * @file: the library's name, with its version
 * @blobs: it can export blobs and name their types
 * @map_fixed: it can map where it is told to
 * @virgl: a buffer of OpenGL's
 * @venus: shared memory of Venus's
 */
typedef struct DoctorRenderer {
    DoctorEnd end;
    bool found;
    char error[160];
    char file[64];
    bool blobs;
    bool map_fixed;
    DoctorBlob virgl;
    DoctorBlob venus;
} DoctorRenderer;

/**
 * DoctorKVM - the accelerator
 * @end: how far it was looked at
 * @usable: a virtual machine can be made
 * @error: errno of what failed
 * @probes: what the probes found; the accelerator is KVM, or TCG without it
 * @type: what becomes of a guest's cache type
 * @vram: KVM here cannot map a GPU's own memory, and there may be some
 */
typedef struct DoctorKVM {
    DoctorEnd end;
    bool usable;
    int error;
    VirtIOGPUBlobProbes probes;
    VirtIOGPUBlobGuestType type;
    bool vram;
} DoctorKVM;

/**
 * DoctorWindow - the host-visible window
 * @end: how far it was looked at
 * @size: bytes that were asked for
 * @fits: the size that this host allows, a power of two; 0 if none
 * @error: why it is less than @size
 */
typedef struct DoctorWindow {
    DoctorEnd end;
    uint64_t size;
    uint64_t fits;
    char error[256];
} DoctorWindow;

/**
 * DoctorQEMU - the installed emulator
 * @end: how far it was looked at
 * @path: the emulator
 * @found: it is there
 * @version: as it says
 * @has_device: it has virtio-gpu-gl-pci
 * @ours: the device is the one that has a map-policy
 * @error: what it says instead
 */
typedef struct DoctorQEMU {
    DoctorEnd end;
    char path[256];
    bool found;
    char version[96];
    bool has_device;
    bool ours;
    char error[160];
} DoctorQEMU;

/**
 * DoctorFacts - all of it
 * @kernel: the kernel's release
 * @machine: its architecture
 * @page_size: the host's page in bytes
 * @mappings: how many of the kernel's mappings a window may take
 * @files: QEMU's limit on open files, as it would be inherited
 * @sources_end: how far @sources were looked at
 * @sources: who makes dma-bufs without a GPU
 * @sources_count: how many
 * @gpus_error: errno of looking for GPUs
 * @gpus: render nodes
 * @gpus_count: how many
 * @renderer: virglrenderer
 * @kvm: the accelerator
 * @window: the host-visible window
 * @qemu: the installed emulator
 */
typedef struct DoctorFacts {
    char kernel[65];
    char machine[65];
    uint64_t page_size;
    uint64_t mappings;
    uint64_t files;
    DoctorEnd sources_end;
    DoctorSource sources[DOCTOR_SOURCES_MAX];
    int sources_count;
    int gpus_error;
    DoctorGPU gpus[DOCTOR_GPUS_MAX];
    int gpus_count;
    DoctorRenderer renderer;
    DoctorKVM kvm;
    DoctorWindow window;
    DoctorQEMU qemu;
} DoctorFacts;

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FACTS_H */
