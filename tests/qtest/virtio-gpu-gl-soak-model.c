/*
 * Random commands for virtio-gpu-gl: what a guest must get
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-soak.h"

static uint64_t pages_of(const Blob *b)
{
    return DIV_ROUND_UP(b->size, GPU_PAGE);
}

static void set_owner(Model *m, const Blob *b, uint32_t id)
{
    uint64_t i;

    for (i = 0; i < pages_of(b); i++) {
        m->owner[b->first + i] = id;
    }
}

static bool is_free(const Model *m, uint64_t first, uint64_t n)
{
    uint64_t i;

    for (i = first; i < first + n; i++) {
        if (m->owner[i]) {
            return m->wrong;
        }
    }
    return true;
}

static Answer model_create(Model *m, const Op *op)
{
    Blob *b = &m->blobs[op->id];
    bool guest = op->kind == CREATE_GUEST;
    uint32_t reply = guest ? OK : soak_blob_type(op->type)->reply;

    if (!op->id || b->exists) {
        return (Answer) { BAD_ID };
    }
    if (reply == OK) {
        *b = (Blob) {
            .exists = true, .guest = guest, .mappable = guest || op->mappable,
            .type = op->type, .size = guest ? GPU_PAGE : op->size,
        };
    } else {
        *b = (Blob) { .failed = true };
    }
    return (Answer) { reply };
}

static Answer model_map(Model *m, const Op *op)
{
    Blob *b = &m->blobs[op->id];
    uint32_t map_info;

    /* Unless it turns out well */
    b->map_refused = !b->mapped;
    if (!b->exists) {
        return (Answer) { BAD_ID };
    }
    if (!b->mappable || b->mapped || !b->size || op->offset % GPU_PAGE ||
        b->size > SOAK_WINDOW || op->offset > SOAK_WINDOW - b->size ||
        !is_free(m, op->offset / GPU_PAGE, pages_of(b))) {
        return (Answer) { BAD };
    }
    map_info = b->guest || b->vanished ? 0
               : soak_blob_type(b->type)->map_info;
    if (!map_info) {
        return (Answer) { UNSPEC };
    }
    b->mapped = true;
    b->map_refused = false;
    b->first = op->offset / GPU_PAGE;
    set_owner(m, b, op->id);
    return (Answer) { GRANTED, map_info };
}

static Answer model_unmap(Model *m, const Op *op)
{
    Blob *b = &m->blobs[op->id];

    if (!b->mapped && op->kind == UNMAP) {
        bool refused = b->map_refused && (b->exists || b->failed);

        b->map_refused = false;
        return (Answer) { refused ? OK : b->exists ? BAD : BAD_ID };
    }
    if (!b->exists) {
        return (Answer) { BAD_ID };
    }
    if (b->mapped) {
        set_owner(m, b, 0);
        m->left = b->first * GPU_PAGE;
    }
    b->mapped = false;
    b->exists = op->kind == UNMAP;
    return (Answer) { OK };
}

bool soak_model_vanish(Model *m, uint32_t id)
{
    Blob *b = &m->blobs[id];

    if (!b->exists || b->guest || !soak_blob_type(b->type)->vanishes ||
        b->size - 1 >= SOAK_PAGES_MAX * GPU_PAGE) {
        return false;
    }
    b->vanished = true;
    return true;
}

void soak_model_complete(const Model *m, Op *op)
{
    if (op->instead) {
        op->offset = m->left;
    }
}

Answer soak_model_run(Model *m, const Op *op)
{
    switch (op->kind) {
    case CREATE:
    case CREATE_GUEST:
        return model_create(m, op);
    case MAP:
        return model_map(m, op);
    case UNMAP:
    case UNREF:
        return model_unmap(m, op);
    case MAP_SHORT_REPLY:
        m->blobs[op->id].map_refused = !m->blobs[op->id].mapped;
        return (Answer) { BAD };
    default:
        return (Answer) { BAD };
    }
}
