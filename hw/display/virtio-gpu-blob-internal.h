/*
 * virtio-gpu blob mappings: declarations for the device's files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All functions and data are for the main loop with the BQL held, unless a
 * comment says otherwise: the renderer cannot be used in any other thread.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_INTERNAL_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_INTERNAL_H

#include "qemu/queue.h"
#include "virtio-gpu-blob-buffer.h"
#include "virtio-gpu-blob-host.h"
#include "virtio-gpu-blob-lost.h"
#include "virtio-gpu-blob-vma.h"
#include "virtio-gpu-virgl.h"

typedef struct VirtIOGPUBlobMapping VirtIOGPUBlobMapping;
typedef struct VirtIOGPUBlobs VirtIOGPUBlobs;
typedef struct VirtIOGPUBlobRegion VirtIOGPUBlobRegion;
typedef struct VirtIOGPUBlobWindow VirtIOGPUBlobWindow;

/*
 * The states of a mapping
 *
 *   state     event                                 next
 *   (none)    MAP_BLOB                              MAPPED
 *   (none)    MAP_BLOB that fails, and the kernel   STALE
 *             has no memory for the hole
 *   MAPPED    UNMAP_BLOB, UNREF, reset: in the      freed, or STALE if the
 *             window                                kernel has no memory
 *   MAPPED    the same: in a region                 LEAVING
 *   STALE     a later MAP_BLOB or UNMAP_BLOB of a   freed, if there is memory
 *             blob, reset
 *   LEAVING   the last reference to the region is   freed by a bottom half
 *             gone, in any thread
 *
 * A LEAVING mapping of the renderer's own memory stays with its resource, as
 * the renderer cannot map it again until it is freed.  If the resource goes
 * first, the mapping keeps the renderer's resource until then (@release).
 */
typedef enum VirtIOGPUBlobState {
    VIRTIO_GPU_BLOB_MAPPED,
    VIRTIO_GPU_BLOB_STALE,
    VIRTIO_GPU_BLOB_LEAVING,
} VirtIOGPUBlobState;

/* A guest may have tens of thousands: enums are kept in bytes. */
struct VirtIOGPUBlobMapping {
    VirtIOGPUBlobs *blobs;
    VirtIOGPUBlobPlace place;
    VirtIOGPUBlobPages pages;
    VirtIOGPUBlobRegion *region;    /* NULL if it is in the window */
    struct virtio_gpu_virgl_resource *res; /* not NULL while MAPPED */
    uint32_t resource_id;
    uint32_t ctx_id;
    uint8_t state;                  /* VirtIOGPUBlobState */
    bool renderer;                  /* the renderer's own mapping is used */
    bool release;                   /* also release the renderer's resource */
    uint8_t backing;                /* VirtIOGPUBlobBacking */
    uint8_t answer;                 /* VirtIOGPUExporterAnswer */
    uint8_t renderer_type;          /* as reported by the renderer, or 0 */
    uint8_t map_info;               /* as the guest was told */
    uint8_t voucher;                /* VirtIOGPUBlobVoucher */
    QTAILQ_ENTRY(VirtIOGPUBlobMapping) next; /* in the list of its state */
};

typedef QTAILQ_HEAD(, VirtIOGPUBlobMapping) VirtIOGPUBlobMappingList;

/* Refusals since the device was created */
typedef struct VirtIOGPUBlobRefusals {
    uint64_t by_reason[VIRTIO_GPU_BLOB_REASON__MAX];
    int64_t last_ms;                /* since the epoch, or 0 */
} VirtIOGPUBlobRefusals;

/* The rate limit of the log */
typedef struct VirtIOGPUBlobLog {
    int64_t start_ms;               /* of the current interval */
    unsigned lines;                 /* logged in it */
    uint64_t dropped;               /* not logged in it */
} VirtIOGPUBlobLog;

/* A RESOURCE_MAP_BLOB command for messages */
typedef struct VirtIOGPUBlobSubject {
    uint32_t resource_id;
    uint32_t ctx_id;                /* 0: none */
    uint64_t size;
    uint64_t offset;
    VirtIOGPUMapPolicy policy;
    const VirtIOGPUBlobHost *host;
    const VirtIOGPUBlobBuffer *buf;
} VirtIOGPUBlobSubject;

/* A device's blobs */
struct VirtIOGPUBlobs {
    VirtIOGPU *g;
    VirtIOGPUBlobHost host;
    VirtIOGPUBlobWindow *window;    /* NULL if nothing can be mapped */
    bool slot_checks;   /* KVM checks mappings when it creates a slot */
    VirtIOGPUBlobLost lost;
    VirtIOGPUBlobMappingList mapped; /* the newest first */
    VirtIOGPUBlobMappingList stale;
    VirtIOGPUBlobMappingList leaving;
    uint64_t maps;                  /* since the device was created */
    uint64_t unmaps;
    uint64_t unmap_failures;
    uint64_t high_water;            /* most mappings at any time */
    int64_t last_map_ms;            /* since the epoch, or 0 */
    VirtIOGPUBlobRefusals refusals;
    VirtIOGPUBlobLog log;
};

/*
 * virtio-gpu-blob.c
 */

void virtio_gpu_blob_init(VirtIOGPUBlobs *blobs, VirtIOGPU *g);
void virtio_gpu_blob_destroy(VirtIOGPUBlobs *blobs);
/* Traces and logs each buffer that has lost its pages since the last call */
void virtio_gpu_blob_report_lost(VirtIOGPUBlobs *blobs);

/*
 * Called when the last reference to a region is gone, from any thread.  @m is
 * LEAVING; the main loop unmaps and frees it later.
 */
void virtio_gpu_blob_region_unused(VirtIOGPUBlobMapping *m);

/*
 * virtio-gpu-blob-window.c
 */

/**
 * virtio_gpu_blob_window_new() - map one RAM region over the whole window
 * @owner: the device; the window becomes its child
 * @container: the host-visible region, as large as the window
 * @size: bytes, a power of two and a multiple of the host's page
 * @direct: as for virtio_gpu_blob_vma_init()
 * @slot_checks: VirtIOGPUBlobs.slot_checks
 * @errp: set if the address space cannot be reserved
 *
 * Returns: the window, owned by @owner; NULL on error
 */
VirtIOGPUBlobWindow *virtio_gpu_blob_window_new(Object *owner,
                                                MemoryRegion *container,
                                                uint64_t size, bool direct,
                                                bool slot_checks,
                                                Error **errp);

/*
 * Removes the window from the guest's memory; nothing is mapped in it.  It is
 * freed when its region is not referenced any more.
 */
void virtio_gpu_blob_window_delete(VirtIOGPUBlobWindow *w);

/**
 * virtio_gpu_blob_window_vma() - the window's address space
 * @w: the window
 *
 * Returns: the address space, with the places of mappings in regions, too
 */
VirtIOGPUBlobVMA *virtio_gpu_blob_window_vma(VirtIOGPUBlobWindow *w);

/**
 * virtio_gpu_blob_window_map() - map a buffer in the window
 * @w: the window
 * @m: the mapping, with its place and backing set
 * @fd: the buffer, which may end within the last page of the place; may be
 *      closed afterwards
 *
 * Returns: 0, or a negative errno: -ENOSPC at the kernel's limit on mappings,
 * -EMFILE without file descriptors, -EBUSY when another device needs all RAM
 * pinned (a region of its own can still show the buffer), any other from
 * mmap().  If the place is stale afterwards, @m must be kept
 */
int virtio_gpu_blob_window_map(VirtIOGPUBlobWindow *w,
                               VirtIOGPUBlobMapping *m, int fd);

/**
 * virtio_gpu_blob_window_move() - move a buffer into the window
 * @w: the window
 * @m: as for virtio_gpu_blob_window_map()
 * @from: its present address, as long as the place; still mapped after a
 *        failure
 *
 * Returns: as virtio_gpu_blob_window_map()
 */
int virtio_gpu_blob_window_move(VirtIOGPUBlobWindow *w,
                                VirtIOGPUBlobMapping *m, void *from);

/**
 * virtio_gpu_blob_window_unmap() - map a hole in place of a buffer
 * @w: the window
 * @m: mapped in the window, or stale
 *
 * Returns: false if the kernel has no memory, with the place stale
 */
bool virtio_gpu_blob_window_unmap(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobMapping *m);

/*
 * Called when a buffer in the window has lost its pages and a hole is mapped in
 * its place.
 */
void virtio_gpu_blob_window_drop_handle(VirtIOGPUBlobWindow *w,
                                        VirtIOGPUBlobMapping *m);

/**
 * virtio_gpu_blob_hide_ram() - keep other devices from pinning a region
 * @mr: the region, of an object with virtio_gpu_blob_discard_class_init()
 *
 * The pages of a GPU's buffer may change at any time.  VFIO and vhost-vdpa
 * ignore protected RAM.  A virtual IOMMU and dumps use the RamDiscardManager of
 * the region, which reports all of it as discarded.
 */
void virtio_gpu_blob_hide_ram(MemoryRegion *mr);

/**
 * virtio_gpu_blob_discard_class_init() - set up a RamDiscardManager
 * @oc: a class with the interface TYPE_RAM_DISCARD_MANAGER
 *
 * It reports all RAM as discarded.
 */
void virtio_gpu_blob_discard_class_init(ObjectClass *oc);

/*
 * virtio-gpu-blob-renderer.c
 */

/**
 * virtio_gpu_blob_renderer_map() - map a buffer without a file descriptor
 * @resource_id: known to the renderer, not mapped by it
 * @size: the blob's size in bytes
 * @len: @size rounded up to whole pages
 * @slot_checks: VirtIOGPUBlobs.slot_checks
 * @host: set to the address where it is mapped
 * @ours: set to true if munmap() ends the mapping, to false if
 *        virgl_renderer_resource_unmap() does
 * @err: set to the renderer's errno, or 0
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or the reason for a failure
 */
VirtIOGPUBlobReason virtio_gpu_blob_renderer_map(uint32_t resource_id,
                                                 uint64_t size, size_t len,
                                                 bool slot_checks, void **host,
                                                 bool *ours, int *err);

/*
 * virtio-gpu-blob-region.c: a memory region of its own for a buffer that cannot
 * be in the window.  It needs memory slots and sections of the memory map, so
 * limits on both are checked first.
 */

/**
 * virtio_gpu_blob_region_map() - map memory in a region of its own
 * @m: the mapping, with its place and @renderer set
 * @container: the host-visible region
 * @host: the memory; unmapped with the region, unless it is the renderer's
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or the reason for a failure
 */
VirtIOGPUBlobReason virtio_gpu_blob_region_map(VirtIOGPUBlobMapping *m,
                                               MemoryRegion *container,
                                               void *host);

/*
 * Removes a region from the guest's memory.  virtio_gpu_blob_region_unused() is
 * called when the region is not referenced any more.
 */
void virtio_gpu_blob_region_unmap(VirtIOGPUBlobMapping *m,
                                  MemoryRegion *container);

/*
 * Finalizes a region after virtio_gpu_blob_region_unused() was called for @m.
 * The memory stays mapped.
 */
void virtio_gpu_blob_region_free(VirtIOGPUBlobMapping *m);

/*
 * virtio-gpu-blob-report.c: a guest can cause these messages, so their rate is
 * limited
 */

/* Whether virtio_gpu_blob_log_open() would allow a line now */
bool virtio_gpu_blob_log_has_room(VirtIOGPUBlobLog *log);
/* Whether the caller may log one line now */
bool virtio_gpu_blob_log_open(VirtIOGPUBlobLog *log);

/*
 * Counts, traces and logs a refusal.  Errors of the guest's driver are logged
 * only with -d guest_errors.
 */
void virtio_gpu_blob_report_refusal(VirtIOGPUBlobs *blobs,
                                    const VirtIOGPUBlobSubject *subject,
                                    VirtIOGPUBlobReason reason);

/* One line each; the caller checks virtio_gpu_blob_log_open() first */
void virtio_gpu_blob_log_assumed(const VirtIOGPUBlobSubject *subject);
void virtio_gpu_blob_log_lost(const VirtIOGPUBlobMapping *m);
void virtio_gpu_blob_log_unmap_failed(const VirtIOGPUBlobMapping *m);

void virtio_gpu_blob_trace_decision(const VirtIOGPUBlobSubject *subject,
                                    const VirtIOGPUBlobVerdict *verdict);

/*
 * The content of blob-maps (the newest 256), blob-map-stats and blob-host; the
 * caller owns it
 */
QList *virtio_gpu_blob_list_maps(const VirtIOGPUBlobs *blobs);
QDict *virtio_gpu_blob_list_stats(const VirtIOGPUBlobs *blobs);
QDict *virtio_gpu_blob_list_host(const VirtIOGPUBlobs *blobs);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_INTERNAL_H */
