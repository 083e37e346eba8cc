/*
 * virtio-gpu blob doctor: the facts about a host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain data without pointers, in memory that is shared with the processes
 * that find them out (child.h): such a process may crash or hang at any time,
 * and what it wrote until then stays.  All zero means that nothing is known.
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FACTS_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FACTS_H

#include "hw/display/virtio-gpu-blob-decision.h"
#include "hw/display/virtio-gpu-blob-host.h"

#define DOCTOR_GPUS_MAX 16
#define DOCTOR_SOURCES_MAX 8
#define DOCTOR_VULKAN_MAX 8
#define DOCTOR_STARTS_MAX 8

/**
 * DoctorEnd - how a probe's process ended
 * @NOT_RUN: it was not started
 * @DONE: it returned
 * @LATE: it was killed, as the time was up
 * @DIED: it exited early, or was killed by a signal
 * @NO_FORK: the process could not be created
 */
typedef enum DoctorEnd {
    DOCTOR_NOT_RUN,
    DOCTOR_DONE,
    DOCTOR_LATE,
    DOCTOR_DIED,
    DOCTOR_NO_FORK,
} DoctorEnd;

/**
 * DoctorProbe - a probe's process
 * @end: how it ended
 * @signal: the signal that killed it (DIED), or 0
 * @error: errno of fork() (NO_FORK)
 * @stage: what it was doing, for one that crashes or hangs
 * @said: what the libraries printed, for --verbose
 */
typedef struct DoctorProbe {
    DoctorEnd end;
    int signal;
    int error;
    char stage[48];
    char said[2048];
} DoctorProbe;

/**
 * DoctorFile - a device node that the user may not be able to open
 * @error: errno of opening it, or 0
 * @group: a group that may open it, or an empty string
 */
typedef struct DoctorFile {
    int error;
    char group[32];
} DoctorFile;

/**
 * DoctorBuffer - one real dma-buf
 * @made: it was created
 * @error: errno of what failed
 * @exporter: its exporter's name
 * @answer: the exporter's answer to DMA_BUF_IOCTL_INFO
 * @read_write: it is open for reading and writing
 * @map_error: errno of mapping it, or 0
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
 * DoctorSource - /dev/udmabuf or a dma-heap
 * @name: such as "udmabuf" or "dma-heap system"
 * @file: the device node
 * @buffer: a dma-buf made by it
 */
typedef struct DoctorSource {
    char name[64];
    DoctorFile file;
    DoctorBuffer buffer;
} DoctorSource;

/**
 * DoctorNode - the state of a render node in /dev/dri
 * @FINE: it can be opened
 * @MISSING: the kernel has registered the device, and /dev/dri has no node
 * @OTHER: the file in /dev/dri is not the device's node
 * @CLOSED: it cannot be opened
 */
typedef enum DoctorNode {
    DOCTOR_NODE_FINE,
    DOCTOR_NODE_MISSING,
    DOCTOR_NODE_OTHER,
    DOCTOR_NODE_CLOSED,
} DoctorNode;

/**
 * DoctorGL - an OpenGL context, made as QEMU's display makes it
 * @works: there is one
 * @error: the step that failed, and what the library says of it
 * @renderer: GL_RENDERER
 * @version: GL_VERSION
 */
typedef struct DoctorGL {
    bool works;
    char error[160];
    char renderer[128];
    char version[96];
} DoctorGL;

/**
 * DoctorGPU - a render node
 * @node: its name, such as renderD128
 * @state: the node's state
 * @file: opening it
 * @driver: the kernel's driver
 * @gl: as -display egl-headless makes it: GBM device, EGL display, context
 * @buffer: one of its buffers, from libgbm or else a dumb buffer
 */
typedef struct DoctorGPU {
    DoctorProbe probe;
    char node[32];
    DoctorNode state;
    DoctorFile file;
    char driver[32];
    DoctorGL gl;
    DoctorBuffer buffer;
} DoctorGPU;

/**
 * DoctorSDL - libSDL2, as -display sdl,gl=on uses it
 * @found: the library can be loaded
 * @gl: its context
 * @node: the render node that draws, or an empty string
 */
typedef struct DoctorSDL {
    DoctorProbe probe;
    bool found;
    DoctorGL gl;
    char node[32];
} DoctorSDL;

/**
 * DoctorBlob - a mappable buffer of virglrenderer's
 * @capset_size: bytes of the capset that the guest reads first; 0 if none
 * @made: the buffer was created
 * @result: what virglrenderer returned for what failed: a negative errno, or
 *          -1, which tells nothing
 * @backing: what kind of file is behind it
 * @word: the cache type that the renderer names, or 0
 * @buffer: the exporter, of a dma-buf
 */
typedef struct DoctorBlob {
    DoctorProbe probe;
    uint32_t capset_size;
    bool made;
    int result;
    VirtIOGPUBlobBacking backing;
    uint32_t word;
    DoctorBuffer buffer;
} DoctorBlob;

/**
 * DoctorRenderer - virglrenderer
 * @found: the library can be loaded
 * @error: why not
 * @file: the library's file name
 * @version_probe: looking for @version
 * @version: of the package that has installed it, or an empty string
 * @blobs: it has the functions that export blobs
 * @map_fixed: it can map at a given address
 * @opengl: a buffer of OpenGL (virgl)
 * @venus: shared memory of Vulkan (Venus)
 */
typedef struct DoctorRenderer {
    DoctorProbe probe;
    bool found;
    char error[160];
    char file[64];
    DoctorProbe version_probe;
    char version[64];
    bool blobs;
    bool map_fixed;
    DoctorBlob opengl;
    DoctorBlob venus;
} DoctorRenderer;

/**
 * DoctorVulkanDevice - a device of libvulkan's
 * @name: as the driver calls it
 * @software: it is the processor
 */
typedef struct DoctorVulkanDevice {
    char name[256];
    bool software;
} DoctorVulkanDevice;

/**
 * DoctorVulkan - libvulkan, in the environment that the render server gets
 * @found: the library can be loaded
 * @result: VkResult of what failed, or 0
 * @devices: the first devices
 * @count: how many are in @devices
 */
typedef struct DoctorVulkan {
    DoctorProbe probe;
    bool found;
    int result;
    DoctorVulkanDevice devices[DOCTOR_VULKAN_MAX];
    int count;
} DoctorVulkan;

/**
 * DoctorKVM - the accelerator
 * @usable: a virtual machine can be created
 * @file: opening /dev/kvm
 * @error: errno of what failed
 * @probes: the rule's input; the accelerator is KVM, or TCG without it
 * @type: what becomes of a guest's cache type
 * @vram: KVM here cannot map a GPU's own memory, and there may be some
 */
typedef struct DoctorKVM {
    DoctorProbe probe;
    bool usable;
    DoctorFile file;
    int error;
    VirtIOGPUBlobProbes probes;
    VirtIOGPUBlobGuestType type;
    bool vram;
} DoctorKVM;

/**
 * DoctorWindow - the host-visible window
 * @size: bytes that were asked for
 * @fits: the size that this host allows, a power of two; 0 if none
 * @error: why it is less than @size
 */
typedef struct DoctorWindow {
    DoctorProbe probe;
    uint64_t size;
    uint64_t fits;
    char error[256];
} DoctorWindow;

/**
 * DoctorQEMU - the emulator
 * @path: the emulator
 * @found: it is there
 * @version: what it answers to --version
 * @has_device: it has the device that the options name
 * @ours: the device has map-policy
 * @error: what it says instead
 * @gtk, @sdl, @egl_headless: displays that it has
 */
typedef struct DoctorQEMU {
    DoctorProbe probe;
    char path[256];
    bool found;
    char version[96];
    bool has_device;
    bool ours;
    char error[160];
    bool gtk;
    bool sdl;
    bool egl_headless;
} DoctorQEMU;

/**
 * DoctorStart - QEMU, started with one choice of options and told to quit
 * @probe: its process; DONE if it started and ended as it should
 */
typedef struct DoctorStart {
    DoctorProbe probe;
} DoctorStart;

/**
 * DoctorFacts - all of it
 * @kernel: the kernel's release
 * @machine: its architecture
 * @system: the operating system that lends libraries and programs
 * @debian: its packages are Debian's
 * @private_root: the folder that these are in, where it is not /
 * @user: the user's name
 * @root: the user is root
 * @desktop: DISPLAY or WAYLAND_DISPLAY is set
 * @apparmor: AppArmor is switched on
 * @selinux: SELinux is switched on
 * @nvidia: the version of NVIDIA's driver, or an empty string
 * @processors: how many the process may use
 * @page_size: the host's page in bytes
 * @address_bits: bits of a physical address, as a guest under KVM has them;
 *                0 if not known
 * @map_count: vm.max_map_count, or 0
 * @mappings: how many mappings a window may take
 * @files: limit on open files, as QEMU inherits it
 * @files_hard: up to which the user may raise it
 * @rendernode: the node that the user wants, such as renderD129, or an empty
 *              string
 * @sources_probe: looking for @sources
 * @sources: /dev/udmabuf and the dma-heaps
 * @sources_count: how many
 * @gpus_error: errno of looking for GPUs
 * @gpus: render nodes, by name
 * @gpus_count: how many
 * @cards: cards without a render node
 * @starts: QEMU started with the choices of recipe.h
 */
typedef struct DoctorFacts {
    char kernel[65];
    char machine[65];
    char system[96];
    bool debian;
    char private_root[256];
    char user[64];
    bool root;
    bool desktop;
    bool apparmor;
    bool selinux;
    char nvidia[32];
    int processors;
    uint64_t page_size;
    unsigned address_bits;
    uint64_t map_count;
    uint64_t mappings;
    uint64_t files;
    uint64_t files_hard;
    char rendernode[32];
    DoctorProbe sources_probe;
    DoctorSource sources[DOCTOR_SOURCES_MAX];
    int sources_count;
    int gpus_error;
    DoctorGPU gpus[DOCTOR_GPUS_MAX];
    int gpus_count;
    int cards;
    DoctorSDL sdl;
    DoctorRenderer renderer;
    DoctorVulkan vulkan;
    DoctorKVM kvm;
    DoctorWindow window;
    DoctorQEMU qemu;
    DoctorStart starts[DOCTOR_STARTS_MAX];
} DoctorFacts;

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_FACTS_H */
