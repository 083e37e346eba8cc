/*
 * Random commands for virtio-gpu-gl: what is done
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-soak.h"

static const BlobType blob_types[] = {
    { "dma-buf, cached", SCRIPTED_DMABUF | SCRIPTED_CACHED, OK, 1, 40,
      true },
    { "dma-buf, wc", SCRIPTED_DMABUF | SCRIPTED_WC | SCRIPTED_EINTR, OK,
      3, 20, true },
    { "udmabuf", SCRIPTED_DMABUF | SCRIPTED_EXP_UDMABUF, OK, 1, 10, true },
    { "shm", SCRIPTED_SHM | SCRIPTED_WORD_WC, OK, 1, 40 },
    { "no fd", SCRIPTED_NONE | SCRIPTED_WORD_UNCACHED, OK, 2, 5 },
    { "a driver's, no fd", SCRIPTED_NONE | SCRIPTED_WORD_UNCACHED |
      SCRIPTED_MEM_DRIVER, OK, 2, 1 },
    { "incoherent", SCRIPTED_DMABUF | SCRIPTED_INCOHERENT |
      SCRIPTED_WORD_CACHED, OK, 0, 10 },
    { "short", SCRIPTED_SHM | SCRIPTED_HALF, OK, 0, 10 },
    { "read-only", SCRIPTED_DMABUF | SCRIPTED_CACHED | SCRIPTED_READ_ONLY,
      OK, 0, 5 },
    { "nobody vouches", SCRIPTED_OPAQUE, OK, 0, 5 },
    { "cannot be mapped", SCRIPTED_SHM | SCRIPTED_MMAP_EINVAL, OK, 0, 5 },
    { "none", SCRIPTED_SHM | SCRIPTED_CREATE_FAILS, UNSPEC, 0, 5 },
};

const BlobType *soak_blob_type(unsigned type)
{
    return &blob_types[type];
}

static unsigned any_type(GRand *rand)
{
    unsigned sum = 0, pick, i;

    for (i = 0; i < G_N_ELEMENTS(blob_types); i++) {
        sum += blob_types[i].weight;
    }
    pick = g_rand_int_range(rand, 0, sum);
    for (i = 0; pick >= blob_types[i].weight; i++) {
        pick -= blob_types[i].weight;
    }
    return i;
}

static bool once_in(GRand *rand, unsigned n)
{
    return !g_rand_int_range(rand, 0, n);
}

static uint64_t any_size(GRand *rand)
{
    uint64_t pages = g_rand_int_range(rand, 1, SOAK_PAGES_MAX + 1);

    if (once_in(rand, 40)) {
        static const uint64_t odd[] = {
            0, SOAK_WINDOW + GPU_PAGE, 1ull << 63, UINT64_MAX,
        };

        return odd[g_rand_int_range(rand, 0, G_N_ELEMENTS(odd))];
    }
    return pages * GPU_PAGE -
           (once_in(rand, 4) ? g_rand_int_range(rand, 1, GPU_PAGE) : 0);
}

static uint64_t any_offset(GRand *rand)
{
    if (once_in(rand, 30)) {
        static const uint64_t odd[] = {
            SOAK_WINDOW, SOAK_WINDOW - GPU_PAGE, -GPU_PAGE, 1ull << 40, 0x100,
            GPU_PAGE - 1, UINT64_MAX,
        };

        return odd[g_rand_int_range(rand, 0, G_N_ELEMENTS(odd))];
    }
    return g_rand_int_range(rand, 0, SOAK_WINDOW_PAGES) * GPU_PAGE;
}

static Kind any_kind(GRand *rand)
{
    static const Kind often[] = {
        CREATE, CREATE, MAP, MAP, MAP, UNMAP, UNMAP, UNREF, WRITE,
    };

    if (once_in(rand, 600)) {
        return RESET;
    }
    if (once_in(rand, 30)) {
        return VANISH;
    }
    if (once_in(rand, 25)) {
        static const Kind seldom[] = {
            CREATE_GUEST, MAP_SHORT, MAP_SHORT_REPLY,
        };

        return seldom[g_rand_int_range(rand, 0, G_N_ELEMENTS(seldom))];
    }
    return often[g_rand_int_range(rand, 0, G_N_ELEMENTS(often))];
}

Op soak_any_op(GRand *rand)
{
    Op op = {
        .kind = any_kind(rand),
        .id = g_rand_int_range(rand, once_in(rand, 50) ? 0 : 1, SOAK_IDS + 1),
        .type = any_type(rand),
        .mappable = !once_in(rand, 20),
        .fenced = once_in(rand, 6),
        .size = any_size(rand),
        .offset = any_offset(rand),
        .instead = once_in(rand, 3),
        .page = g_rand_int_range(rand, 0, SOAK_WINDOW_PAGES),
        .last = once_in(rand, SOAK_GROUP_MAX / 2),
    };

    if (op.kind == MAP_SHORT) {
        op.len = g_rand_int_range(rand, 24, 40);
    } else if (op.kind == MAP_SHORT_REPLY) {
        op.len = g_rand_int_range(rand, 24, 32);
    }
    return op;
}

void soak_print_op(const Op *op)
{
    static const char *const names[] = {
        "create", "create guest", "map", "map short", "map short reply",
        "unmap", "unref", "write", "vanish", "reset",
    };

    fprintf(stderr, "  %s id %u", names[op->kind], op->id);
    if (op->kind == CREATE) {
        fprintf(stderr, " size 0x%" PRIx64 " %s%s", op->size,
                blob_types[op->type].name, op->mappable ? "" : ", unmappable");
    } else if (op->kind == MAP || op->kind == WRITE) {
        fprintf(stderr, " offset 0x%" PRIx64, op->offset);
    } else if (op->len) {
        fprintf(stderr, " length %u", op->len);
    }
    fprintf(stderr, "%s%s\n", op->fenced ? " fenced" : "",
            op->last ? ", kick" : "");
}
