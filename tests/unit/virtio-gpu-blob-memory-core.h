/*
 * The memory core for tests of the RamDiscardManager alone
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To be included by one file of a test, in place of system/memory.c.
 */

#ifndef VIRTIO_GPU_BLOB_MEMORY_CORE_H
#define VIRTIO_GPU_BLOB_MEMORY_CORE_H

/* The memory core's, without its reference counts */
MemoryRegionSection *memory_region_section_new_copy(MemoryRegionSection *s)
{
    /* A flat view that is held keeps the regions in it. */
    g_assert_null(s->fv);
    return g_memdup2(s, sizeof(*s));
}

void memory_region_section_free_copy(MemoryRegionSection *s)
{
    g_free(s);
}

/* Somebody who needs all memory pinned is there. */
static bool pinned;
/* How often others were kept away, less how often they were let in again */
static int kept_away;

int ram_block_coordinated_discard_require(bool state)
{
    if (state && pinned) {
        return -EBUSY;
    }
    kept_away += state ? 1 : -1;
    return 0;
}

/* QEMU 10.1 let this fail, where there is a manager already. */
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#define SET_RESULT int
#define SET_RETURN(ret) return ret
#else
#define SET_RESULT void
#define SET_RETURN(ret)
#endif

SET_RESULT memory_region_set_ram_discard_manager(MemoryRegion *mr,
                                                 RamDiscardManager *rdm)
{
    mr->rdm = rdm;
    SET_RETURN(0);
}

#endif /* VIRTIO_GPU_BLOB_MEMORY_CORE_H */
