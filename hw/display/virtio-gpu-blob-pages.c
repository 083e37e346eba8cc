/*
 * virtio-gpu blob mappings: which pages of the window are populated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "virtio-gpu-blob-pages.h"

void virtio_gpu_blob_pages_init(VirtIOGPUBlobPages *pages, uint64_t size,
                                uint64_t page_size)
{
    pages->page_size = page_size;
    pages->n = size / page_size;
    pages->populated = bitmap_new(pages->n);
    pages->starts = bitmap_new(pages->n);
    pages->count = 0;
    pages->holes = 1;
    QLIST_INIT(&pages->listeners);
}

void virtio_gpu_blob_pages_destroy(VirtIOGPUBlobPages *pages)
{
    g_free(pages->populated);
    g_free(pages->starts);
}

static uint64_t next_page(const VirtIOGPUBlobPages *pages, uint64_t page,
                          uint64_t end, bool populated)
{
    return populated ? find_next_bit(pages->populated, end, page)
                     : find_next_zero_bit(pages->populated, end, page);
}

/* Where the run ends that @page is in: a blob, or a hole */
static uint64_t end_of_run(const VirtIOGPUBlobPages *pages, uint64_t page,
                           uint64_t end, bool populated)
{
    uint64_t stop = next_page(pages, page, end, !populated);

    return find_next_bit(pages->starts, stop, page + 1);
}

/* How many more holes there are with a blob there */
static int holes_made(const VirtIOGPUBlobPages *pages, uint64_t first,
                      uint64_t end)
{
    bool before = first > 0 && !test_bit(first - 1, pages->populated);
    bool behind = end < pages->n && !test_bit(end, pages->populated);

    return before + behind - 1;
}

bool virtio_gpu_blob_pages_is_populated(const VirtIOGPUBlobPages *pages,
                                        const MemoryRegionSection *s)
{
    uint64_t first = s->offset_within_region / pages->page_size;
    uint64_t end = DIV_ROUND_UP(s->offset_within_region +
                                int128_get64(s->size), pages->page_size);

    return next_page(pages, first, end, false) == end;
}

/* The part of @s from @offset on, @len bytes; false if there is none */
static bool clip(MemoryRegionSection *s, uint64_t offset, uint64_t len)
{
    uint64_t start = MAX(s->offset_within_region, offset);
    uint64_t end = MIN(s->offset_within_region + int128_get64(s->size),
                       offset + len);

    if (start >= end) {
        return false;
    }
    s->offset_within_address_space += start - s->offset_within_region;
    s->offset_within_region = start;
    s->size = int128_make64(end - start);
    return true;
}

int virtio_gpu_blob_pages_replay(const VirtIOGPUBlobPages *pages,
                                 const MemoryRegionSection *s, bool populated,
                                 int (*func)(MemoryRegionSection *run,
                                             void *opaque),
                                 void *opaque)
{
    uint64_t size = pages->page_size;
    uint64_t end = DIV_ROUND_UP(s->offset_within_region +
                                int128_get64(s->size), size);
    uint64_t page = next_page(pages, s->offset_within_region / size, end,
                              populated);
    int ret = 0;

    while (!ret && page < end) {
        uint64_t stop = end_of_run(pages, page, end, populated);
        MemoryRegionSection run = *s;

        clip(&run, page * size, (stop - page) * size);
        ret = func(&run, opaque);
        page = next_page(pages, stop, end, populated);
    }
    return ret;
}

bool virtio_gpu_blob_pages_have_room(const VirtIOGPUBlobPages *pages)
{
    return QLIST_EMPTY(&pages->listeners) ||
           pages->count < VIRTIO_GPU_BLOB_LISTENED_MAX;
}

/* Tell all listeners before @until that the pages go */
static void notify_discard(VirtIOGPUBlobPages *pages, uint64_t offset,
                           uint64_t len, const RamDiscardListener *until)
{
    RamDiscardListener *rdl;

    QLIST_FOREACH(rdl, &pages->listeners, next) {
        MemoryRegionSection s = *rdl->section;

        if (rdl == until) {
            return;
        }
        /* GCOVR_EXCL_BR_START: the unit test has smaller sections */
        if (clip(&s, offset, len)) {
            /* GCOVR_EXCL_BR_STOP */
            rdl->notify_discard(rdl, &s);
        }
    }
}

bool virtio_gpu_blob_pages_populate(VirtIOGPUBlobPages *pages,
                                    uint64_t offset, uint64_t len)
{
    uint64_t first = offset / pages->page_size, n = len / pages->page_size;
    RamDiscardListener *rdl;

    QLIST_FOREACH(rdl, &pages->listeners, next) {
        MemoryRegionSection s = *rdl->section;

        /* GCOVR_EXCL_BR_START: the unit test has smaller sections */
        if (clip(&s, offset, len) && rdl->notify_populate(rdl, &s)) {
            /* GCOVR_EXCL_BR_STOP */
            notify_discard(pages, offset, len, rdl);
            return false;
        }
    }
    pages->holes += holes_made(pages, first, first + n);
    bitmap_set(pages->populated, first, n);
    set_bit(first, pages->starts);
    pages->count++;
    return true;
}

void virtio_gpu_blob_pages_discard(VirtIOGPUBlobPages *pages,
                                   uint64_t offset, uint64_t len)
{
    uint64_t first = offset / pages->page_size, n = len / pages->page_size;

    if (!test_bit(first, pages->starts)) {
        return;
    }
    notify_discard(pages, offset, len, NULL);
    bitmap_clear(pages->populated, first, n);
    clear_bit(first, pages->starts);
    pages->holes -= holes_made(pages, first, first + n);
    pages->count--;
}

static int populate_run(MemoryRegionSection *run, void *opaque)
{
    RamDiscardListener *rdl = opaque;

    return rdl->notify_populate(rdl, run);
}

static int discard_run(MemoryRegionSection *run, void *opaque)
{
    RamDiscardListener *rdl = opaque;

    rdl->notify_discard(rdl, run);
    return 0;
}

int virtio_gpu_blob_pages_listen(VirtIOGPUBlobPages *pages,
                                 RamDiscardListener *rdl,
                                 MemoryRegionSection *section)
{
    rdl->section = memory_region_section_new_copy(section);
    QLIST_INSERT_HEAD(&pages->listeners, rdl, next);
    if (pages->count > VIRTIO_GPU_BLOB_LISTENED_MAX) {
        return -ENOSPC;
    }
    return virtio_gpu_blob_pages_replay(pages, rdl->section, true,
                                        populate_run, rdl);
}

void virtio_gpu_blob_pages_unlisten(VirtIOGPUBlobPages *pages,
                                    RamDiscardListener *rdl)
{
    if (rdl->double_discard_supported) {
        rdl->notify_discard(rdl, rdl->section);
    } else {
        virtio_gpu_blob_pages_replay(pages, rdl->section, true,
                                     discard_run, rdl);
    }
    memory_region_section_free_copy(rdl->section);
    rdl->section = NULL;
    QLIST_REMOVE(rdl, next);
}
