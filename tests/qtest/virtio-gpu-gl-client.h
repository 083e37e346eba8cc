/*
 * A small virtio-gpu driver for qtests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Guest memory is a file that this process maps, so that only a kick needs
 * the qtest protocol; descriptors are recycled; buffers may be of any length.
 */

#ifndef VIRTIO_GPU_GL_CLIENT_H
#define VIRTIO_GPU_GL_CLIENT_H

#include "libqtest.h"
#include "libqos/virtio-gpu.h"
#include "renderer/scripted-renderer.h"
#include "standard-headers/linux/virtio_gpu.h"

#define GPU_PAGE 4096ull
#define GPU_BATCH 64
#define GPU_MIB (1024 * 1024ull)

/* A sanitizer's own memory and mappings cannot be told from ours. */
#if defined(QEMU_SANITIZE_ADDRESS) || defined(QEMU_SANITIZE_THREAD)
#define GPU_MEMORY_TELLS 0
#else
#define GPU_MEMORY_TELLS 1
#endif

/* ThreadSanitizer ends a program that maps addresses as low as the window's. */
#ifdef QEMU_SANITIZE_THREAD
#define GPU_LOW 0
#else
#define GPU_LOW 1
#endif

/* Defined here again, so that the value in our header is tested */
#define GPU_F_BLOB_ALIGNMENT 5

#define MAPPABLE VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE

/* Answers */
#define OK VIRTIO_GPU_RESP_OK_NODATA
#define GRANTED VIRTIO_GPU_RESP_OK_MAP_INFO
#define UNSPEC VIRTIO_GPU_RESP_ERR_UNSPEC
#define BAD_ID VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
#define BAD VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER
#define NO_MEMORY VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY

/* What gpu_start_plain() has */
#define WINDOW (64 * GPU_MIB)

typedef struct scripted_blob ScriptedBlob;

#define BLOB(...) ((ScriptedBlob) { __VA_ARGS__ })
#define DMABUF(...) BLOB(.backing = BACKING_DMABUF, __VA_ARGS__)
#define SHM(...) BLOB(.backing = BACKING_SHM, __VA_ARGS__)
#define OPAQUE(...) BLOB(.backing = BACKING_OPAQUE, __VA_ARGS__)
#define NO_FD(...) BLOB(.backing = BACKING_NONE, __VA_ARGS__)

/* These are granted: in the window, with an fd and without one; in a region */
#define BUFFER_BUT(...) \
    DMABUF(.answer = ANSWER_CACHED, .word = WORD_CACHED, __VA_ARGS__)
#define BUFFER BUFFER_BUT()
#define POINTER_BUT(...) NO_FD(.word = WORD_CACHED, __VA_ARGS__)
#define POINTER POINTER_BUT()
#define DRIVERS_BUT(...) POINTER_BUT(.memory = MEMORY_DRIVER, __VA_ARGS__)
#define DRIVERS DRIVERS_BUT()
/* What cannot be sealed may be truncated */
#define LOOSE_SHM SHM(.sealed = true)

/* Each kind of buffer that may lose its pages, and where it is mapped */
typedef struct GPUKind {
    const char *name;
    ScriptedBlob blob;
    const char *path;
} GPUKind;

#define GPU_KINDS 4
extern const GPUKind gpu_kinds[GPU_KINDS];

typedef struct GPU GPU;

/* How to start QEMU; what is 0 or NULL is as usual */
typedef struct GPUConfig {
    const char *device;     /* NULL: virtio-gpu-gl-pci */
    const char *policy;     /* map-policy */
    uint64_t hostmem;       /* bytes; 0: no window */
    const char *machine;    /* NULL: pc; on another the device is not used */
    const char *props;      /* more properties, such as ",venus=on" */
    const char *args;       /* more arguments */
    const char *log;        /* a file that QEMU's messages are appended to */
    bool logged;            /* they can be counted, by gpu_count_log() */
    struct scripted_fail fail; /* system calls that fail from the start */
    uint32_t kvm;           /* the accelerator pretends to be SCRIPTED_KVM_* */
    uint32_t cpu;           /* the host pretends to be SCRIPTED_CPU_* */
    uint32_t page_size;     /* the host's, a multiple of the real one's */
    uint32_t drm;           /* what it tells of its GPUs, SCRIPTED_DRM_* */
    const char *drm_folder; /* with SCRIPTED_DRM_FOLDER, for /sys/class/drm */
    uint32_t watch;         /* SCRIPTED_WATCH_* while the device is realized */
    uint32_t kernel;        /* SCRIPTED_KERNEL_* */
    uint64_t features;      /* accepted beside those that all tests accept */
    unsigned queue_size;    /* of the control queue; 1024 at most */

    /* With vCPUs, the virtual clock runs by itself. */
    bool vcpu;              /* one, for gpu_vcpu_reset() */
    bool reader;            /* one that reads another device all the time */
    unsigned users;         /* so many, for gpu_users_go() */
    /*
     * Starts a QEMU without the qtest protocol, and returns a bus to reach the
     * device by.  Nothing that needs the protocol can be used then.
     */
    QPCIBus *(*start)(GPU *gpu, const char *args);
} GPUConfig;

#define GPU_SLOTS_MAX 256

struct GPU {
    QTestState *qts;        /* NULL if there is GPUConfig.start */
    GPid pid;
    struct scripted_shared *shared;
    QPCIBus *bus;
    QVirtioGPUPCI *dev;
    uint64_t window;        /* in guest-physical memory, 0 if there is none */
    uint64_t window_length;

    /* The client's own */
    int ram_fd;
    int shared_fd;
    int bios_fd;            /* -1 if no vCPU runs */
    int log_fd;             /* -1 if QEMU's messages are not logged */
    uint8_t *ram;
    bool low;               /* the window is below 4 GiB */
    uint64_t features;      /* as in GPUConfig */
    unsigned queue_size;    /* the same */
    QVirtQueuePCI queues[2]; /* control and cursor */
    uint16_t cursor_idx;
    uint16_t avail_idx;
    uint16_t used_idx;
    bool busy[GPU_SLOTS_MAX];
    bool done[GPU_SLOTS_MAX];
    uint32_t reply_max[GPU_SLOTS_MAX];
    uint32_t reply_len[GPU_SLOTS_MAX];
    unsigned next_slot;
};

/* A command as it goes into the queue */
typedef struct GPUCmd {
    const void *out;        /* what the device reads */
    size_t out_len;         /* any */
    size_t in_len;          /* space for the reply, any */
    unsigned pieces;        /* descriptors that @out is spread over, 0: one */
    uint64_t more;          /* guest-physical address of what follows @out */
    uint32_t more_len;      /* 0: nothing */
} GPUCmd;

/* Starts QEMU with the scripted renderer; the device is ready to use */
GPU *gpu_start(const GPUConfig *config);
/* Starts QEMU and ends it; returns its exit code and what it said */
int gpu_try(const GPUConfig *config, char **text);
/* Ends QEMU; the exit code must be 0 */
void gpu_stop(GPU *gpu);

/* Four bytes of the device's configuration, all ones where it ends */
uint32_t gpu_config(GPU *gpu, unsigned offset);
/* The features that it offers */
uint64_t gpu_features(GPU *gpu);
/* Guest memory below GPU_SCRATCH_END is free for the test */
#define GPU_SCRATCH (32 * GPU_MIB)
#define GPU_SCRATCH_END (64 * GPU_MIB)
void *gpu_ram(GPU *gpu, uint64_t addr);

/* A slot that stays the caller's until gpu_free() */
unsigned gpu_put(GPU *gpu, const GPUCmd *cmd);
void gpu_kick(GPU *gpu);
/* One for the cursor's queue, of which the device reads @len bytes */
void gpu_cursor(GPU *gpu, const struct virtio_gpu_update_cursor *cmd,
                size_t len);
bool gpu_is_done(GPU *gpu, unsigned slot);
/* Waits, and makes the virtual clock go on; fails after ten seconds */
void gpu_wait(GPU *gpu, unsigned slot);
/* The reply, as long as the slot is the caller's */
const void *gpu_reply(GPU *gpu, unsigned slot, uint32_t *len);
void gpu_free(GPU *gpu, unsigned slot);
/* Wait, free; returns the reply's type, 0 if it is shorter than that */
uint32_t gpu_answer(GPU *gpu, unsigned slot);
/* Kick, wait, free; the same */
uint32_t gpu_take(GPU *gpu, unsigned slot);
/* Lets fences, timers and bottom halves run */
void gpu_settle(GPU *gpu);

/* Put, kick, wait, free; returns the reply's type and the reply in @in */
uint32_t gpu_run(GPU *gpu, const void *out, size_t out_len,
                 void *in, size_t in_len);

/* The same for a reply that is a header */
uint32_t gpu_send(GPU *gpu, const void *out, size_t out_len);

uint32_t gpu_create(GPU *gpu, uint32_t id, ScriptedBlob blob, uint64_t size);
uint32_t gpu_create_flags(GPU *gpu, uint32_t id, ScriptedBlob blob,
                          uint64_t size, uint32_t flags);
/* A blob in guest memory, of @entries pages at GPU_SCRATCH */
uint32_t gpu_create_guest(GPU *gpu, uint32_t id, uint32_t entries);
/* A texture, and its backing of @entries pages of guest memory */
uint32_t gpu_create_2d(GPU *gpu, uint32_t id);
uint32_t gpu_attach_backing(GPU *gpu, uint32_t id, uint64_t addr,
                            uint32_t entries);

/* What a display shows of a resource; GPU_PICTURE: 64 by 64, all of it */
typedef struct GPUPicture {
    struct virtio_gpu_rect r;
    uint32_t width, height, stride, offset; /* of a blob's */
} GPUPicture;
#define GPU_PICTURE ((GPUPicture) { { 0, 0, 64, 64 }, 64, 64, 64 * 4 })

/* On a display, as a texture or as a blob */
uint32_t gpu_show_texture(GPU *gpu, uint32_t head, uint32_t id,
                          struct virtio_gpu_rect r);
uint32_t gpu_show_blob(GPU *gpu, uint32_t head, uint32_t id, GPUPicture p);

/* map_info is 0 unless granted */
uint32_t gpu_map(GPU *gpu, uint32_t id, uint64_t offset, uint32_t *map_info);
/* Creates and maps one that is granted */
void gpu_map_new(GPU *gpu, uint32_t id, ScriptedBlob blob, uint64_t size,
                 uint64_t offset);
uint32_t gpu_unmap(GPU *gpu, uint32_t id);
uint32_t gpu_unref(GPU *gpu, uint32_t id);
/* A command that is a header and an id: UNMAP_BLOB, RESOURCE_UNREF, ... */
uint32_t gpu_simple(GPU *gpu, uint32_t type, uint32_t id);
/* These return its slot; a fence_id of 0: without a fence */
unsigned gpu_put_fenced(GPU *gpu, uint32_t type, uint32_t id,
                        uint64_t fence_id);
unsigned gpu_put_simple(GPU *gpu, uint32_t type, uint32_t id);
unsigned gpu_put_map(GPU *gpu, uint32_t id, uint64_t offset);
unsigned gpu_put_create(GPU *gpu, uint32_t id, ScriptedBlob blob,
                        uint64_t size);

/* Resets the device and sets it up anew */
void gpu_reset(GPU *gpu);
/* What a driver does in its memory to set the control queue up anew */
void gpu_empty_queue(GPU *gpu);
/* Resets the machine, and sets the device up anew */
void gpu_system_reset(GPU *gpu);
/*
 * The vCPU resets the device @n more times; it must be set up anew by
 * gpu_reset() then.  The test leaves configuration space alone meanwhile.
 */
#define GPU_FOR_EVER UINT32_MAX
void gpu_vcpu_reset(GPU *gpu, uint32_t n);
/* How often it has done so, or .reader has read all; waits for so many */
uint32_t gpu_vcpu_turns(GPU *gpu);
void gpu_vcpu_wait(GPU *gpu, uint32_t turns);

/*
 * The vCPUs of @users read and write the window's first pages, over and over;
 * 0 pages: no more.  Each page's resource has an id of the page's number plus
 * one, and a multiple of GPU_USERS_PAGES.
 */
#define GPU_USERS_PAGES 1024
void gpu_users_go(GPU *gpu, unsigned pages);
/* How often any of them has used all pages */
uint32_t gpu_users_turns(GPU *gpu);
/* Whether each found its page's resource only, or nothing */
bool gpu_users_agree(GPU *gpu);

/* Switches the decoding of memory on the bus off and on again */
void gpu_toggle_memory(GPU *gpu);
/* The same for what the device does by itself */
void gpu_toggle_master(GPU *gpu);
/* Maps the window's BAR elsewhere */
void gpu_move_window(GPU *gpu);

uint64_t gpu_read(GPU *gpu, uint64_t offset);
/* Whether a page of the window begins as this page of the blob was made */
bool gpu_shows(GPU *gpu, uint64_t offset, uint32_t id, uint32_t page);
void gpu_write(GPU *gpu, uint64_t offset, uint64_t value);
/* The renderer's side of a blob: a new fd; what is at a multiple of 8 bytes */
int gpu_buffer_open(GPU *gpu, uint32_t id);
uint64_t gpu_buffer_read(GPU *gpu, uint32_t id, uint64_t offset);
/* Truncates it to @length, so that the pages behind are lost */
void gpu_buffer_truncate(GPU *gpu, uint32_t id, uint64_t length);

/* Has the watcher in QEMU do SCRIPTED_WATCH_*, at @offset in the window */
void gpu_watch(GPU *gpu, uint32_t order, uint64_t offset);
/* SCRIPTED_WATCH_RELEASE, without a command */
void gpu_release(GPU *gpu);

/* Lines of /proc/PID/maps with @text */
unsigned gpu_count_maps(GPU *gpu, const char *text);
/* Links of /proc/PID/fd with @text */
unsigned gpu_count_fds(GPU *gpu, const char *text);
/* A figure of /proc/PID/status in KiB */
uint64_t gpu_status_kib(GPU *gpu, const char *what);
/* Bytes that QEMU has allocated, with page tables and the holes' memfd */
uint64_t gpu_memory(GPU *gpu);
/* Bytes of the holes' memfd */
uint64_t gpu_hole_memory(GPU *gpu);

/* blob-map-stats: a counter, or a reason's within "refused" */
uint64_t gpu_stat(GPU *gpu, const char *name);
uint64_t gpu_refused(GPU *gpu, const char *reason);
/* The renderer's failures */
uint64_t gpu_failures(GPU *gpu, const char *what);
/* Any property of the device */
QObject *gpu_property(GPU *gpu, const char *name);
/* A resource's entry in blob-maps */
QDict *gpu_mapping(GPU *gpu, uint32_t id);
/* All that is mapped is in the "window", or has a "region" */
void gpu_check_path(GPU *gpu, const char *path);
/* Waits until no more than @n are mapped */
void gpu_wait_live(GPU *gpu, unsigned n);
/* No resource, mapping or fd of a buffer is left, and no misuse was seen */
void gpu_check_nothing_left(GPU *gpu);

/* How often QEMU's messages have this text, if they are logged */
unsigned gpu_count_log(GPU *gpu, const char *text);

typedef unsigned (*GPUBatch)(GPU *gpu, uint32_t id);

/* @n commands, for ids from @first on, GPU_BATCH a kick */
void gpu_batch(GPU *gpu, GPUBatch put, uint32_t first, unsigned n,
               uint32_t *replies);
/* Checks that each is answered by @answer */
void gpu_batch_all(GPU *gpu, GPUBatch put, uint32_t first, unsigned n,
                   uint32_t answer);
/* How many replies have a type */
unsigned gpu_count(const uint32_t *replies, unsigned n, uint32_t type);
/* Blobs of a page: BUFFER, all of one, or DRIVERS */
unsigned gpu_put_shared(GPU *gpu, uint32_t id);
unsigned gpu_put_drivers(GPU *gpu, uint32_t id);
/* Mapped at the page of their id, or with a page between them */
unsigned gpu_put_map_next(GPU *gpu, uint32_t id);
unsigned gpu_put_map_apart(GPU *gpu, uint32_t id);
unsigned gpu_put_unmap(GPU *gpu, uint32_t id);
unsigned gpu_put_unref(GPU *gpu, uint32_t id);
/* System calls of @kinds fail for want of memory, after @skip, @count times */
void gpu_fail(GPU *gpu, uint32_t kinds, uint32_t skip, uint32_t count);

/* A test has a QEMU that is started for it, or starts its own. */
typedef struct GPUTest {
    const char *name;
    void (*func)(GPU *gpu);
    GPUConfig config;           /* has a window of WINDOW if hostmem is 0 */
    void (*alone)(void);
} GPUTest;

/* A device with a window of WINDOW, all else by default */
GPU *gpu_start_plain(void);
/* Checks that nothing is left, and ends QEMU */
void gpu_finish(GPU *gpu);
/* What main() does: each test as /virtio-gpu-gl/GROUP/NAME */
int gpu_run_tests(int argc, char **argv, const char *group,
                  const GPUTest *tests, size_t n);
/* With a function that ends each test in place of gpu_finish() */
int gpu_run_tests_ending(int argc, char **argv, const char *group,
                         const GPUTest *tests, size_t n,
                         void (*end)(GPU *gpu));

#endif /* VIRTIO_GPU_GL_CLIENT_H */
