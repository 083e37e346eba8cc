/*
 * Fuzzing virtio-gpu-gl: who else uses the guest's memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "hw/core/cpu.h"
#include "hw/display/virtio-gpu-blob-compat.h"
#include "virtio_gpu_gl_fuzz_user.h"

#define PAGE 4096

/*
 * Piece - what is seen of a region that has a manager
 * @partial: there was no room for all of it when it came
 * @told: the pages that are there, as it was told
 */
typedef struct Piece {
    RamDiscardListener discard;
    MemoryRegionSection section;
    bool joins;
    bool partial;
    unsigned long *told;
    QLIST_ENTRY(Piece) next;
} Piece;

static struct {
    bool there;
    bool pins;
    bool refuses; /* the next that comes */
    QLIST_HEAD(, Piece) pieces;
} user;

static uint64_t pages_of(const MemoryRegionSection *s)
{
    return int128_get64(s->size) / PAGE;
}

/* Whole pages of its own */
static uint64_t first_page(const Piece *p, const MemoryRegionSection *s)
{
    uint64_t first = (s->offset_within_region -
                      p->section.offset_within_region) / PAGE;

    g_assert_true(s->mr == p->section.mr);
    g_assert_cmpuint(s->offset_within_region % PAGE, ==, 0);
    g_assert_cmpuint(s->offset_within_region, >=,
                     p->section.offset_within_region);
    g_assert_cmpuint(first + pages_of(s), <=, pages_of(&p->section));
    return first;
}

static int on_populate(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    Piece *p = container_of(rdl, Piece, discard);
    uint64_t first = first_page(p, s), end = first + pages_of(s);

    g_assert_cmpuint(find_next_bit(p->told, end, first), >=, end);
    if (user.refuses) {
        user.refuses = false;
        p->partial |= p->joins;
        return -ENOSPC;
    }
    bitmap_set(p->told, first, end - first);
    return 0;
}

static void on_discard(RamDiscardListener *rdl, MemoryRegionSection *s)
{
    Piece *p = container_of(rdl, Piece, discard);
    uint64_t first = first_page(p, s), end = first + pages_of(s);

    g_assert_true(p->partial ||
                  find_next_zero_bit(p->told, end, first) >= end);
    bitmap_clear(p->told, first, end - first);
}

static void region_add(MemoryListener *listener, MemoryRegionSection *section)
{
    Piece *p;

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        return;
    }
    p = g_new0(Piece, 1);
    p->section = *section;
    p->told = bitmap_new(pages_of(section));
    QLIST_INSERT_HEAD(&user.pieces, p, next);
    ram_discard_listener_init(&p->discard, on_populate, on_discard, false);
    p->joins = true;
    ram_discard_manager_register_listener(
        memory_region_get_ram_discard_manager(section->mr), &p->discard,
        section);
    p->joins = false;
}

static Piece *piece_of(const MemoryRegionSection *s)
{
    Piece *p;

    QLIST_FOREACH(p, &user.pieces, next) {
        if (p->section.mr == s->mr && p->section.offset_within_address_space ==
            s->offset_within_address_space) {
            return p;
        }
    }
    return NULL;
}

static void region_del(MemoryListener *listener, MemoryRegionSection *section)
{
    Piece *p = piece_of(section);

    if (!memory_region_has_ram_discard_manager(section->mr)) {
        return;
    }
    g_assert_nonnull(p);
    ram_discard_manager_unregister_listener(
        memory_region_get_ram_discard_manager(section->mr), &p->discard);
    g_assert_true(bitmap_empty(p->told, pages_of(&p->section)));
    QLIST_REMOVE(p, next);
    g_free(p->told);
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
        user.refuses = false;
        memory_listener_unregister(&memory_listener);
        g_assert_true(QLIST_EMPTY(&user.pieces));
        ram_block_uncoordinated_discard_disable(false);
    }
}

/* Where somebody is told of what comes and goes, it may not be. */
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
    default:
        user.refuses = user.there;
        break;
    }
}
