/*
 * Fuzzing virtio-gpu-gl: other users of the guest's memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "hw/display/virtio-gpu-blob-compat.h"
#include "virtio_gpu_gl_fuzz_user.h"

/* What is seen of a region that has a manager */
typedef struct Piece {
    RamDiscardListener discard;
    MemoryRegionSection section;
    QLIST_ENTRY(Piece) next;
} Piece;

static struct {
    bool there;
    bool pins;
    QLIST_HEAD(, Piece) pieces;
} user;

/* Nothing is ever in the window, or in a region of a buffer. */
static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    g_assert_not_reached();
}

static void on_discard(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    g_assert_not_reached();
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Piece *p;

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        return;
    }
    p = g_new0(Piece, 1);
    p->section = *section;
    QLIST_INSERT_HEAD(&user.pieces, p, next);
    ram_discard_listener_init(&p->discard, on_populate, on_discard, true);
    ram_discard_manager_register_listener(
        memory_region_get_ram_discard_manager(section->mr), &p->discard,
        section);
}

static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    Piece *p;

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        return;
    }
    QLIST_FOREACH(p, &user.pieces, next) {
        if (p->section.mr == section->mr &&
            p->section.offset_within_address_space ==
            section->offset_within_address_space) {
            break;
        }
    }
    g_assert_nonnull(p);
    ram_discard_manager_unregister_listener(
        memory_region_get_ram_discard_manager(section->mr), &p->discard);
    QLIST_REMOVE(p, next);
    g_free(p);
}

static MemoryListener memory_listener = {
    .name = "fuzz-user",
    .region_add = region_add,
    .region_del = region_del,
};

static void set_there(bool there)
{
    if (there == user.there) {
        return;
    }
    user.there = there;
    if (there) {
        g_assert_cmpint(ram_block_uncoordinated_discard_disable(true), ==, 0);
        memory_listener_register(&memory_listener, first_cpu->as);
    } else {
        memory_listener_unregister(&memory_listener);
        g_assert_true(QLIST_EMPTY(&user.pieces));
        ram_block_uncoordinated_discard_disable(false);
    }
}

/* Where a device is told of what comes and goes, it may not be. */
static void set_pins(bool pins)
{
    if (pins != user.pins && !ram_block_discard_disable(pins)) {
        user.pins = pins;
    }
}

void fuzz_user(uint8_t how)
{
    switch (how % 4) {
    case 0:
        set_there(false);
        set_pins(false);
        break;
    case 1:
        set_there(true);
        break;
    case 2:
        set_pins(!user.pins);
        break;
    }
}
