/*
 * virtio-gpu blob mappings: a mapping, from placed to gone
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The one record of what is mapped.  A mapping is in the window, or has a
 * region of its own; it ends with its UNMAP_BLOB, with its resource, or with
 * a reset.  Whether it may be made is decided before, by others; what is said
 * of it, by those who read the record.  BQL held; main loop.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_MAPPING_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_MAPPING_H

#include "virtio-gpu-blob-buffer.h"
#include "virtio-gpu-blob-region.h"
#include "virtio-gpu-blob-window.h"
#include "virtio-gpu-virgl.h"

/**
 * VirtIOGPUBlobState - how far a mapping's life has come
 * @SHOWN: the guest sees it
 * @ENDING: as SHOWN, and the command that ends it waits for the end of the
 *          guest's kick (virtio-gpu-blob-pending.h)
 * @LEAVING: the guest does not, but somebody refers to the renderer's memory;
 *           the command that ends it waits
 * @RETURNED: nobody does; the command that ends it is processed again
 * @ORPHANED: as LEAVING, and no command waits: its resource is gone
 *
 * All of it happens in the main loop; what a vCPU's reset ends, at the latest
 * when the next command comes.
 *
 *   state     what happens               next      who
 *   (none)    place()                    SHOWN     MAP_BLOB
 *   SHOWN     wait()                     ENDING    UNMAP_BLOB
 *   ENDING    end_all()                  (gone)    what comes next in the kick,
 *                                                  or its end
 *   ENDING    end_all(), no memory       SHOWN     the same
 *   ENDING    replace()                  (gone)    MAP_BLOB
 *   SHOWN     end()                      (gone)    UNMAP_BLOB, RESOURCE_UNREF
 *   SHOWN     end(), renderer's memory   LEAVING   the same
 *   SHOWN     end(), no memory for it    SHOWN     the same
 *   SHOWN     abandon()                  (gone)    reset
 *   SHOWN     abandon(), renderer's      ORPHANED  reset
 *   LEAVING   the memory is returned     RETURNED  the region's bottom half
 *   LEAVING   abandon()                  ORPHANED  reset
 *   RETURNED  end(), abandon()           (gone)    the same command, or reset
 *   ORPHANED  the memory is returned     (gone)    the region's bottom half
 */
typedef enum VirtIOGPUBlobState {
    VIRTIO_GPU_BLOB_SHOWN,
    VIRTIO_GPU_BLOB_ENDING,
    VIRTIO_GPU_BLOB_LEAVING,
    VIRTIO_GPU_BLOB_RETURNED,
    VIRTIO_GPU_BLOB_ORPHANED,
} VirtIOGPUBlobState;

/**
 * VirtIOGPUBlobMapping - a mapping
 * @mappings: the device's
 * @state: how far its life has come
 * @place: where it is shown
 * @region: its own region, or NULL when it is in the window's
 * @resource_id: the guest's name for it
 * @ctx_id: the context that created it
 * @backing: what kind of buffer it is
 * @answer: what the exporter said
 * @renderer: the type the renderer names, or 0
 * @verdict: the map type and who vouched for it
 * @exporter: the exporter's name if it mattered, interned, or NULL
 */
typedef struct VirtIOGPUBlobMapping {
    struct VirtIOGPUBlobMappings *mappings;
    VirtIOGPUBlobState state;
    VirtIOGPUBlobPlace place;
    VirtIOGPUBlobRegion *region;
    uint32_t resource_id;
    uint32_t ctx_id;
    uint8_t backing;
    uint8_t answer;
    uint8_t renderer;
    VirtIOGPUBlobVerdict verdict;
    const char *exporter;
    QTAILQ_ENTRY(VirtIOGPUBlobMapping) next;
} VirtIOGPUBlobMapping;

/**
 * VirtIOGPUBlobLost - a mapping's buffer has lost its pages
 * @m: the mapping, whose place shows a hole from now on
 *
 * Called in the main loop, BQL held, once a mapping and before it ends.
 */
typedef void VirtIOGPUBlobLost(VirtIOGPUBlobMapping *m);

/**
 * VirtIOGPUBlobMappings - a device's mappings
 * @g: the device
 * @page_size: the host's page in bytes
 * @window: the window, or NULL if nothing can ever be mapped
 * @regions: the regions of their own
 * @losses: mappings whose buffers have lost their pages
 * @losses_bh: tells of them
 * @lost: called for each of them
 * @shown: mappings that the guest sees, the newest first: an order that
 *         their places do not tell
 * @next_look: the one that is looked at next, or NULL for the newest
 * @maps: mappings made, since the device was created
 * @unmaps: those of them that the guest does not see any more
 * @high_water: most mappings at any time
 * @last_map_ms: when one was last made, in ms since the epoch, or 0
 */
typedef struct VirtIOGPUBlobMappings {
    VirtIOGPU *g;
    uint64_t page_size;
    VirtIOGPUBlobWindow *window;
    VirtIOGPUBlobRegions regions;
    VirtIOGPUBlobLosses losses;
    QEMUBH *losses_bh;
    VirtIOGPUBlobLost *lost;
    QTAILQ_HEAD(, VirtIOGPUBlobMapping) shown;
    VirtIOGPUBlobMapping *next_look;
    uint64_t maps;
    uint64_t unmaps;
    uint64_t high_water;
    int64_t last_map_ms;
} VirtIOGPUBlobMappings;

/**
 * virtio_gpu_blob_mappings_init() - there are none
 * @mappings: end with virtio_gpu_blob_mappings_destroy()
 * @g: the device, its hostmem container set up by the PCI proxy
 * @lost: what to call when a buffer has lost its pages
 */
void virtio_gpu_blob_mappings_init(VirtIOGPUBlobMappings *mappings,
                                   VirtIOGPU *g, VirtIOGPUBlobLost *lost);

/**
 * virtio_gpu_blob_mappings_open() - provide the window
 * @mappings: the device's
 * @errp: set when the window cannot be had
 *
 * Returns: false on error
 */
bool virtio_gpu_blob_mappings_open(VirtIOGPUBlobMappings *mappings,
                                   Error **errp);

/**
 * virtio_gpu_blob_mappings_destroy() - undo init and open
 * @mappings: without mappings
 */
void virtio_gpu_blob_mappings_destroy(VirtIOGPUBlobMappings *mappings);

/**
 * VirtIOGPUBlobRoom - how the window is used
 * @mapped: bytes that show blobs
 * @largest_hole: the longest range without any, in bytes
 */
typedef struct VirtIOGPUBlobRoom {
    uint64_t mapped;
    uint64_t largest_hole;
} VirtIOGPUBlobRoom;

/**
 * virtio_gpu_blob_mappings_room() - how is the window used?
 * @mappings: the device's
 * @size: the window's, in bytes
 *
 * Takes as long as it takes to sort all mappings.
 *
 * Returns: that, by value
 */
VirtIOGPUBlobRoom
virtio_gpu_blob_mappings_room(const VirtIOGPUBlobMappings *mappings,
                              uint64_t size);

/**
 * virtio_gpu_blob_mappings_live() - how many does the guest see?
 * @mappings: the device's
 *
 * Returns: that
 */
uint64_t virtio_gpu_blob_mappings_live(const VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_mappings_draining() - is a loan of the renderer's out?
 * @mappings: the device's
 *
 * Returns: true if the renderer must not be reset yet; ctrl queue handling
 * resumes by itself
 */
bool virtio_gpu_blob_mappings_draining(const VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_mappings_trim() - give memory back after a reset
 * @mappings: the device's, none of them shown
 */
void virtio_gpu_blob_mappings_trim(VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_mappings_touch() - find out which have lost pages
 * @mappings: the device's
 *
 * Each page of each mapping is accessed, and what is gone becomes a hole.  For
 * a vCPU that cannot reach memory: KVM does not say where.  Any thread that
 * takes SIGBUS, BQL held.
 *
 * Returns: true if there was any that was not known to be lost
 */
bool virtio_gpu_blob_mappings_touch(VirtIOGPUBlobMappings *mappings);

/**
 * virtio_gpu_blob_mappings_look() - find out which have gone as a whole
 * @mappings: the device's
 * @n: look at so many of them at most, each time at the next ones
 *
 * Main loop, BQL held.
 */
void virtio_gpu_blob_mappings_look(VirtIOGPUBlobMappings *mappings,
                                   unsigned n);

/**
 * virtio_gpu_blob_mappings_place() - what a blob would take
 * @mappings: the device's
 * @offset: bytes from the window's start
 * @size: the blob's, in bytes
 *
 * Returns: whole pages, by value; nonsense for an offset or a size that is
 */
VirtIOGPUBlobPlace
virtio_gpu_blob_mappings_place(const VirtIOGPUBlobMappings *mappings,
                               uint64_t offset, uint64_t size);

/**
 * virtio_gpu_blob_mappings_are_at() - would a blob cover another?
 * @mappings: the device's
 * @offset: bytes from the window's start, page aligned
 * @size: the blob's, in bytes; within the window
 *
 * Returns: true if any page of it shows a blob
 */
bool virtio_gpu_blob_mappings_are_at(VirtIOGPUBlobMappings *mappings,
                                     uint64_t offset, uint64_t size);

/**
 * virtio_gpu_blob_mapping_place() - map a resource
 * @mappings: the device's
 * @res: the resource, not mapped
 * @offset: bytes from the window's start, page aligned; free, and room for it
 * @buf: its buffer
 * @verdict: a map type was granted
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or why it is not mapped, with nothing changed
 */
VirtIOGPUBlobReason
virtio_gpu_blob_mapping_place(VirtIOGPUBlobMappings *mappings,
                              struct virtio_gpu_virgl_resource *res,
                              uint64_t offset, const VirtIOGPUBlobBuffer *buf,
                              const VirtIOGPUBlobVerdict *verdict);

/**
 * virtio_gpu_blob_mapping_wait() - let a mapping end with others
 * @m: any
 *
 * The guest sees it until then; nothing of it has been given back.
 *
 * Returns: true if it is ENDING from now on; false if it must end by itself:
 * what is lent by the renderer, and what has an end of its own already
 */
bool virtio_gpu_blob_mapping_wait(VirtIOGPUBlobMapping *m);

/**
 * virtio_gpu_blob_mappings_end_all() - end those that wait for it
 * @mappings: the device's
 * @places: those mappings'; sorted by this
 * @n: how many
 *
 * Neighbours go as one.  Afterwards a mapping is gone from its resource, or
 * shown as before it waited, if the kernel has no memory.
 */
void virtio_gpu_blob_mappings_end_all(VirtIOGPUBlobMappings *mappings,
                                      VirtIOGPUBlobPlace **places, unsigned n);

/**
 * virtio_gpu_blob_mapping_replace() - map a resource in place of another
 * @old: the other resource, whose mapping is ENDING; gone if true is returned
 * @res: the resource, not mapped, with the same place
 * @buf: its buffer
 * @verdict: a map type was granted
 *
 * Returns: false, with nothing changed, if @old must end before
 */
bool virtio_gpu_blob_mapping_replace(struct virtio_gpu_virgl_resource *old,
                                     struct virtio_gpu_virgl_resource *res,
                                     const VirtIOGPUBlobBuffer *buf,
                                     const VirtIOGPUBlobVerdict *verdict);

/**
 * virtio_gpu_blob_mapping_end() - end a resource's mapping
 * @res: the resource, mapped
 * @suspended: set to true when this must be called again later, because
 *             somebody still refers to the renderer's memory
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or why it is still mapped
 */
VirtIOGPUBlobReason
virtio_gpu_blob_mapping_end(struct virtio_gpu_virgl_resource *res,
                            bool *suspended);

/**
 * virtio_gpu_blob_mapping_abandon() - end a mapping whose resource goes now
 * @res: the resource, mapped; it has no mapping afterwards
 *
 * Returns: true if the renderer's resource may be released now; false if
 * that happens later, once nobody refers to its memory
 */
bool virtio_gpu_blob_mapping_abandon(struct virtio_gpu_virgl_resource *res);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_MAPPING_H */
