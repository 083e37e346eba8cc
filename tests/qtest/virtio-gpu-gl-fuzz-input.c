/*
 * Random commands for virtio-gpu-gl: bytes to commands, and what must hold
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An input is a row of steps: a byte that chooses one, and bytes that say what
 * with.  None is invalid, and few values are to be had, so that steps meet.
 *
 * A model of the device says what a guest must get for each command about
 * blobs and see in the window, unless a step has left that open; it is sure
 * again after a reset.
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "virtio-gpu-gl-client-internal.h"
#include "virtio-gpu-gl-fuzz.h"

#define PENDING_MAX 96
#define STEPS_MAX 400

/* What makes QEMU lay out the guest's memory anew takes longer than the rest */
#define MOVES_MAX 4
#define IDS 8
#define RING_IDX_FLAG (1 << 1) /* VIRTIO_GPU_FLAG_INFO_RING_IDX */
/* Pages of a blob that steps look at */
#define VALUES 32

/* What a guest must get; a type of 0 for any answer that there is */
typedef struct Answer {
    uint32_t type;
    uint32_t map_info;
} Answer;

typedef struct Blob {
    bool exists;
    bool unsure;      /* whether it does: no host's buffer, and never mapped */
    bool failed;      /* the host could not create it */
    bool mappable;
    bool mapped;
    bool map_refused; /* and not unmapped since */
    bool short_fd;    /* too short to be mapped again */
    bool vanished;    /* what it shows is not known */
    const GPUFuzzType *type;
    uint64_t size;
    uint64_t offset;
    uint64_t first[VALUES]; /* what its first pages begin with */
} Blob;

typedef struct Pending {
    unsigned slot;
    Answer wanted;
    uint32_t in_len;
    struct virtio_gpu_ctrl_hdr hdr; /* zeros if it is not all there */
} Pending;

typedef struct Fuzz {
    GPU *gpu;
    const GPUFuzzHost *host;
    const uint8_t *data;
    size_t size;
    Pending pending[PENDING_MAX];
    unsigned n_pending;
    bool moved;
    bool machine_reset;
    bool vanished;
    unsigned moves;
    bool sure;
    bool context; /* the one that commands are of exists */
    Blob blobs[IDS];
    /* How the next command is other than it should be */
    uint8_t torn;
    /* Big enough for a command and its entries */
    uint8_t QEMU_ALIGNED(8) cmd[1024];
    size_t len;
} Fuzz;

static uint8_t byte(Fuzz *f)
{
    if (!f->size) {
        return 0;
    }
    f->size--;
    return *f->data++;
}

static uint32_t word(Fuzz *f)
{
    uint32_t low = byte(f), high = byte(f);

    return low | high << 8 | (uint32_t)byte(f) << 16 |
           (uint32_t)byte(f) << 24;
}

static uint32_t pick_id(Fuzz *f)
{
    return byte(f) % IDS;
}

/* One of these, or what follows from the byte if that is higher */
#define PICK(otherwise, ...) ({                                     \
    static const uint64_t values[] = { __VA_ARGS__ };               \
    uint8_t b = byte(f);                                            \
    b < G_N_ELEMENTS(values) ? values[b] : (uint64_t)(otherwise);   \
})

/* Mostly small, at times of no use at all */
static uint32_t pick_number(Fuzz *f)
{
    return PICK(b % 80, 0, 1, 15, 16, 63, 64, 65, 128, 1 << 16, INT32_MAX,
                1u << 31, -64u, -16u, UINT32_MAX);
}

static uint64_t pick_size(Fuzz *f)
{
    return PICK((1 + b % 8) * GPU_PAGE, 0, 1, 4095, 5000, 64 * 64 * 4, MiB,
                1ull << 40, 1ull << 63, UINT64_MAX);
}

static uint64_t pick_offset(Fuzz *f)
{
    return PICK(b % 24 * GPU_PAGE, 1, 0x100, WINDOW - GPU_PAGE, WINDOW,
                1ull << 40, -GPU_PAGE, UINT64_MAX);
}

static uint32_t pick_length(Fuzz *f)
{
    return PICK((1 + b % 4) * GPU_PAGE, 0, 1, UINT32_MAX, 1 << 20, 1u << 31);
}

/* Guest memory: RAM, blobs, no RAM, nothing, and the queue itself */
static uint64_t pick_address(Fuzz *f)
{
    uint8_t b = byte(f);

    switch (b % 8) {
    case 0:
        return f->gpu->window + b / 8 * GPU_PAGE;
    case 1:
        return 0xfec00000ull;
    case 2:
        return 1ull << 45;
    case 3:
        return b & 8 ? RING_BASE : SLOT_BASE;
    default:
        return GPU_SCRATCH + b * GPU_PAGE;
    }
}

/*
 * Replies
 */

/* The answer to a command that does what it should, 0 if there is none such */
static uint32_t good_answer(uint32_t type)
{
    switch (type) {
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        return VIRTIO_GPU_RESP_OK_DISPLAY_INFO;
    case VIRTIO_GPU_CMD_GET_CAPSET_INFO:
        return VIRTIO_GPU_RESP_OK_CAPSET_INFO;
    case VIRTIO_GPU_CMD_GET_CAPSET:
        return VIRTIO_GPU_RESP_OK_CAPSET;
    case VIRTIO_GPU_CMD_GET_EDID:
        return VIRTIO_GPU_RESP_OK_EDID;
    case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
        return GRANTED;
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_2D ...
         VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING:
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
    case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB:
    case VIRTIO_GPU_CMD_CTX_CREATE ... VIRTIO_GPU_CMD_SUBMIT_3D:
    case VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB:
        return OK;
    default:
        return 0;
    }
}

static void check_reply(Fuzz *f, const Pending *p)
{
    uint32_t len, type;
    const struct virtio_gpu_ctrl_hdr *hdr = gpu_reply(f->gpu, p->slot, &len);
    const struct virtio_gpu_resp_map_info *map = (const void *)hdr;

    if (len < sizeof(*hdr)) {
        /* There was no space for more. */
        g_assert_cmpuint(p->in_len, <, sizeof(*hdr));
        return;
    }
    type = le32_to_cpu(hdr->type);
    if (type >= UNSPEC) {
        g_assert_cmphex(type, <=, BAD);
    } else {
        g_assert_cmphex(type, !=, 0);
        g_assert_cmphex(type, ==, good_answer(p->hdr.type));
    }
    if (type == GRANTED) {
        g_assert_cmpuint(len, ==, sizeof(*map));
        g_assert_cmpuint(map->map_info, >=, VIRTIO_GPU_MAP_CACHE_CACHED);
        g_assert_cmpuint(map->map_info, <=, VIRTIO_GPU_MAP_CACHE_WC);
        g_assert_cmpuint(map->padding, ==, 0);
    }
    if (p->wanted.type) {
        g_assert_cmphex(type, ==, p->wanted.type);
        g_assert_true(type != GRANTED || p->wanted.map_info == map->map_info);
    }
    if (p->hdr.flags & VIRTIO_GPU_FLAG_FENCE) {
        g_assert_cmphex(le64_to_cpu(hdr->fence_id), ==, p->hdr.fence_id);
        g_assert_cmphex(le32_to_cpu(hdr->flags) & VIRTIO_GPU_FLAG_FENCE, !=,
                        0);
    }
}

static void collect(Fuzz *f)
{
    unsigned i, left = 0;

    for (i = 0; i < f->n_pending; i++) {
        if (gpu_is_done(f->gpu, f->pending[i].slot)) {
            check_reply(f, &f->pending[i]);
            gpu_free(f->gpu, f->pending[i].slot);
        } else {
            f->pending[left++] = f->pending[i];
        }
    }
    f->n_pending = left;
}

/*
 * The model
 */

static const GPUFuzzType types[] = {
    { DMABUF(.answer = ANSWER_CACHED), OK, 1 },
    { BUFFER, OK, 1 },
    { POINTER, OK, 1 },
    { SHM(), OK, 1 },
    { DMABUF(.answer = ANSWER_WC), OK, 3 },
    { OPAQUE(.word = WORD_CACHED), OK, 1 },
    { DMABUF(.answer = ANSWER_CACHED, .one_buffer = true), OK, 1 },
    { LOOSE_SHM, OK, 1 },
    { DRIVERS, OK, 1 },
    /* These are not among what put_create_good() has. */
    { DMABUF(.answer = ANSWER_WC, .retry = RETRY_EINTR), OK, 3 },
    { DMABUF(.exporter = EXPORTER_UDMABUF), OK, 1 },
    { SHM(.word = WORD_WC), OK, 1 },
    { NO_FD(.word = WORD_UNCACHED), OK, 2 },
    { DMABUF(.answer = ANSWER_INCOHERENT, .word = WORD_CACHED), OK },
    { SHM(.length = LENGTH_HALF), OK },
    { DMABUF(.answer = ANSWER_CACHED, .access = ACCESS_READ_ONLY), OK },
    { OPAQUE(), OK },
    { SHM(.mmap = MMAP_EINVAL), OK },
    { SHM(.create_fails = true), UNSPEC },
};

#define GOOD_TYPES 9

const GPUFuzzType *gpu_fuzz_types(unsigned *n)
{
    *n = G_N_ELEMENTS(types);
    return types;
}

static const GPUFuzzType *find_type(uint64_t blob_id)
{
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        if (scripted_blob_id(types[i].blob) == blob_id) {
            return &types[i];
        }
    }
    return NULL;
}

/* What is done from here on may come out otherwise, until a reset. */
static void doubt(Fuzz *f)
{
    f->sure = false;
    for (unsigned i = 0; i < f->n_pending; i++) {
        f->pending[i].wanted.type = 0;
    }
}

static uint64_t length_of(const Blob *b)
{
    return ROUND_UP(b->size, GPU_PAGE);
}

static Blob *blob_at(Fuzz *f, uint64_t offset, uint64_t length)
{
    for (unsigned i = 0; i < IDS; i++) {
        Blob *b = &f->blobs[i];

        if (b->mapped && b->offset < offset + length &&
            offset < b->offset + length_of(b)) {
            return b;
        }
    }
    return NULL;
}

static Answer model_create(Fuzz *f, uint32_t id,
                           const struct virtio_gpu_resource_create_blob *c)
{
    Blob *b = &f->blobs[id];
    /* The highest of its 32 bits is another field's: see put_create_blob(). */
    const GPUFuzzType *type = find_type(c->blob_id & ~(1ull << 31));

    if (!id || b->exists) {
        return (Answer) { BAD_ID };
    }
    if (c->hdr.type != VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB ||
        c->blob_mem == VIRTIO_GPU_BLOB_MEM_GUEST) {
        b->unsure = true;
    } else if (b->unsure || !type ||
               c->blob_mem != VIRTIO_GPU_BLOB_MEM_HOST3D) {
        doubt(f);
    } else if (type->reply != OK) {
        /* Without a context, it is the guest that failed. */
        if (f->context) {
            *b = (Blob) { .failed = true };
        }
        return (Answer) { type->reply };
    } else {
        *b = (Blob) {
            .exists = true, .mappable = c->blob_flags & MAPPABLE,
            .type = type, .size = c->size,
            .vanished = type->blob.one_buffer,
        };
        for (unsigned i = 0; i < VALUES; i++) {
            b->first[i] = scripted_stamp(id, i);
        }
        return (Answer) { OK };
    }
    return (Answer) { };
}

static Answer model_map(Fuzz *f, uint32_t id, uint64_t offset, size_t in_len)
{
    Blob *b = &f->blobs[id];

    if (b->unsure) {
        return (Answer) { };
    }
    /* Unless it turns out well */
    b->map_refused = !b->mapped;
    if (in_len < sizeof(struct virtio_gpu_resp_map_info)) {
        return (Answer) { BAD };
    }
    if (!b->exists) {
        return (Answer) { BAD_ID };
    }
    if (!b->mappable || b->mapped || !b->size || offset % GPU_PAGE ||
        b->size > WINDOW || offset > WINDOW - b->size ||
        (blob_at(f, offset, length_of(b)) &&
         !g_getenv("SOAK_MODEL_IS_WRONG"))) {
        return (Answer) { BAD };
    }
    if (!b->type->map_info || b->short_fd) {
        return (Answer) { UNSPEC };
    }
    b->mapped = true;
    b->map_refused = false;
    b->offset = offset;
    return (Answer) { GRANTED, b->type->map_info };
}

static Answer model_unmap(Fuzz *f, uint32_t id, bool unref)
{
    Blob *b = &f->blobs[id];
    bool refused = b->map_refused && (b->exists || b->failed);
    bool mapped = b->mapped;

    if (b->unsure) {
        return (Answer) { };
    }
    b->mapped = false;
    if (unref) {
        bool exists = b->exists;

        b->exists = false;
        return (Answer) { exists ? OK : BAD_ID };
    }
    b->map_refused = false;
    return (Answer) { mapped || refused ? OK : b->exists ? BAD : BAD_ID };
}

/* What the device reads of a command that the model knows */
static size_t size_of(uint32_t type)
{
    switch (type) {
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
        return sizeof(struct virtio_gpu_resource_create_blob);
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_2D:
        return sizeof(struct virtio_gpu_resource_create_2d);
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_3D:
        return sizeof(struct virtio_gpu_resource_create_3d);
    case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
        return sizeof(struct virtio_gpu_resource_map_blob);
    case VIRTIO_GPU_CMD_CTX_CREATE:
        return sizeof(struct virtio_gpu_ctx_create);
    default:
        return sizeof(struct virtio_gpu_resource_unref);
    }
}

/* What comes of the command, which is not carried out yet */
static Answer model_put(Fuzz *f, const GPUCmd *c)
{
    const struct virtio_gpu_resource_map_blob *cmd = (const void *)f->cmd;
    uint32_t id = cmd->resource_id;
    size_t size = size_of(cmd->hdr.type);
    bool create = false, unref = false;

    switch (cmd->hdr.type) {
    case VIRTIO_GPU_CMD_CTX_CREATE:
    case VIRTIO_GPU_CMD_CTX_DESTROY:
        f->context = cmd->hdr.type == VIRTIO_GPU_CMD_CTX_CREATE;
        if (c->out_len < MAX(f->len, size)) {
            doubt(f);
        }
        return (Answer) { };
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_2D:
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_3D:
        create = true;
        break;
    case VIRTIO_GPU_CMD_RESOURCE_UNREF:
        unref = true;
        break;
    case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
    case VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB:
        break;
    default:
        return (Answer) { };
    }
    if (id >= IDS || (create && c->out_len < MAX(f->len, size)) ||
        cmd->hdr.flags & RING_IDX_FLAG) {
        doubt(f);
    }
    if (!f->sure || c->out_len < sizeof(cmd->hdr)) {
        return (Answer) { };
    }
    if (c->out_len < size) {
        return (Answer) { BAD };
    }
    if (create) {
        return model_create(f, id, (const void *)f->cmd);
    }
    if (cmd->hdr.type == VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB) {
        return model_map(f, id, cmd->offset, c->in_len);
    }
    return model_unmap(f, id, unref);
}

static bool is_stamp(uint64_t value)
{
    value ^= scripted_stamp(0, 0);
    return value >> 32 && value >> 32 < IDS && (uint32_t)value < 64;
}

/* A blob's page, or a hole that shows nothing of any */
static void check_page(Fuzz *f, uint64_t offset)
{
    const Blob *b = blob_at(f, offset, 1);
    uint64_t seen, page = b ? (offset - b->offset) / GPU_PAGE : 0;

    if (!f->sure || f->n_pending || (b && b->vanished)) {
        return;
    }
    seen = gpu_read(f->gpu, offset);
    if (!b) {
        g_assert_false(is_stamp(seen));
    } else if (page < VALUES) {
        g_assert_cmphex(seen, ==, b->first[page]);
    }
}

static void settle(Fuzz *f)
{
    f->host->settle(f->gpu);
    collect(f);
    for (unsigned i = 0; i < IDS; i++) {
        uint64_t at = f->blobs[i].offset;

        if (at % GPU_PAGE == 0 && at < WINDOW) {
            check_page(f, at);
        }
        if (f->blobs[i].mapped) {
            check_page(f, at + length_of(&f->blobs[i]) - GPU_PAGE);
        }
    }
}

/*
 * Commands
 */

static void *new_command(Fuzz *f, uint32_t type, size_t len)
{
    struct virtio_gpu_ctrl_hdr *hdr = (void *)f->cmd;

    memset(f->cmd, 0, sizeof(f->cmd));
    hdr->type = type;
    hdr->ctx_id = 1;
    f->len = len;
    return f->cmd;
}

#define COMMAND(cmd, of) \
    struct virtio_gpu_##of *c = new_command(f, cmd, sizeof(*c))

/* A hint of what is wrong with it, or that it is fenced */
static void tear(Fuzz *f, GPUCmd *c)
{
    struct virtio_gpu_ctrl_hdr *hdr = (void *)f->cmd;
    uint8_t how = f->torn;

    f->torn = 0;
    if (how & 1) {
        hdr->flags |= VIRTIO_GPU_FLAG_FENCE;
        hdr->fence_id = byte(f);
    }
    if ((how & 3) == 3) {
        hdr->flags |= RING_IDX_FLAG;
        hdr->ring_idx = hdr->fence_id % 3;
    }
    if (how & 4) {
        c->out_len = 1 + byte(f) % c->out_len;
    }
    if (how & 8) {
        c->in_len = byte(f) % 33;
    }
    if (how & 16) {
        c->pieces = 1 + byte(f) % 12;
    }
}

static void put(Fuzz *f)
{
    GPUCmd c = { .out = f->cmd, .out_len = f->len, .in_len = 512 };
    const struct virtio_gpu_ctrl_hdr *hdr = (const void *)f->cmd;
    Pending p = { };

    tear(f, &c);
    if (f->n_pending == PENDING_MAX) {
        return;
    }
    p.wanted = model_put(f, &c);
    p.slot = gpu_put(f->gpu, &c);
    p.in_len = c.in_len;
    if (c.out_len >= sizeof(*hdr)) {
        p.hdr = *hdr;
    }
    f->pending[f->n_pending++] = p;
}

static void add_entries(Fuzz *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct virtio_gpu_mem_entry entry = {
            .addr = pick_address(f), .length = pick_length(f),
        };

        memcpy(f->cmd + f->len, &entry, sizeof(entry));
        f->len += sizeof(entry);
    }
}

static void put_create_blob(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, resource_create_blob);

    c->resource_id = pick_id(f);
    c->blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D;
    c->size = pick_size(f);
    c->blob_id = word(f);
    c->blob_flags = c->blob_id >> 31 ? 0 : MAPPABLE;
    put(f);
}

/* The answers that lead into the window, or into a region */
static void put_create_good(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, resource_create_blob);
    uint8_t b = byte(f);

    c->resource_id = b % IDS;
    c->blob_mem = VIRTIO_GPU_BLOB_MEM_HOST3D;
    c->size = (1 + b % 4) * GPU_PAGE;
    c->blob_id = scripted_blob_id(types[b / IDS % GOOD_TYPES].blob);
    c->blob_flags = MAPPABLE;
    put(f);
}

static void put_create_guest(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, resource_create_blob);
    uint8_t b = byte(f);

    c->resource_id = pick_id(f);
    c->blob_mem = b % 4 == 3 ? b : VIRTIO_GPU_BLOB_MEM_GUEST;
    c->blob_flags = MAPPABLE;
    c->size = pick_size(f);
    c->blob_id = b % 4 == 3 ? word(f) : 0;
    c->nr_entries = b / 4 % 8;
    add_entries(f, c->nr_entries);
    c->nr_entries += b >> 7 ? 16384 : 0;
    put(f);
}

static void put_create_texture(Fuzz *f)
{
    uint8_t b = byte(f);

    if (b & 1) {
        COMMAND(VIRTIO_GPU_CMD_RESOURCE_CREATE_3D, resource_create_3d);

        c->resource_id = b / 2 % IDS;
        c->width = pick_number(f);
        c->height = pick_number(f);
    } else {
        COMMAND(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, resource_create_2d);

        c->resource_id = b / 2 % IDS;
        c->format = pick_number(f);
        c->width = pick_number(f);
        c->height = pick_number(f);
    }
    put(f);
}

static void put_attach(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, resource_attach_backing);
    uint8_t b = byte(f);

    c->resource_id = b % IDS;
    c->nr_entries = b / IDS % 8;
    add_entries(f, c->nr_entries);
    c->nr_entries += b >> 7 ? 1 : 0;
    put(f);
}

static void put_map(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB, resource_map_blob);

    c->resource_id = pick_id(f);
    c->offset = pick_offset(f);
    put(f);
}

/* A header, an id and padding */
static void put_id(Fuzz *f, uint32_t type, uint32_t id)
{
    COMMAND(type, resource_unref);

    c->resource_id = id;
    put(f);
}

static void put_simple(Fuzz *f)
{
    static const uint32_t types[] = {
        VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, VIRTIO_GPU_CMD_RESOURCE_UNREF,
        VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
        VIRTIO_GPU_CMD_CTX_ATTACH_RESOURCE, VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE,
        VIRTIO_GPU_CMD_CTX_DESTROY, VIRTIO_GPU_CMD_GET_EDID,
        VIRTIO_GPU_CMD_GET_CAPSET_INFO, VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
        VIRTIO_GPU_CMD_GET_CAPSET,
    };
    uint8_t b = byte(f);

    put_id(f, types[b / IDS % G_N_ELEMENTS(types)], b % IDS);
}

static void put_unmap_or_unref(Fuzz *f)
{
    uint8_t b = byte(f);

    put_id(f, b & 0x80 ? VIRTIO_GPU_CMD_RESOURCE_UNREF
                       : VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, b % IDS);
}

static void put_context(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_CTX_CREATE, ctx_create);

    c->nlen = pick_number(f);
    c->context_init = byte(f) % 8;
    memset(c->debug_name, 'x', sizeof(c->debug_name));
    put(f);
}

static struct virtio_gpu_rect pick_rect(Fuzz *f)
{
    uint8_t b = byte(f);

    if (b & 1) {
        return (struct virtio_gpu_rect) { 0, 0, 64, 64 };
    }
    return (struct virtio_gpu_rect) {
        pick_number(f), pick_number(f), pick_number(f), pick_number(f),
    };
}

static void put_scanout(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_SET_SCANOUT, set_scanout);

    c->r = pick_rect(f);
    c->scanout_id = byte(f) % 3;
    c->resource_id = pick_id(f);
    put(f);
}

static void put_scanout_blob(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, set_scanout_blob);
    uint8_t b = byte(f);

    c->r = pick_rect(f);
    c->scanout_id = b % 3;
    c->resource_id = pick_id(f);
    c->format = b & 0x10 ? pick_number(f) : VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;
    c->width = b & 0x20 ? pick_number(f) : 64;
    c->height = b & 0x20 ? pick_number(f) : 64;
    c->strides[0] = b & 0x40 ? pick_number(f) : c->width * 4;
    c->offsets[0] = b & 0x80 ? pick_number(f) : 0;
    put(f);
}

static void put_flush(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_RESOURCE_FLUSH, resource_flush);

    c->r = pick_rect(f);
    c->resource_id = pick_id(f);
    put(f);
}

static void put_submit(Fuzz *f)
{
    COMMAND(VIRTIO_GPU_CMD_SUBMIT_3D, cmd_submit);

    c->size = pick_number(f);
    f->len += byte(f) % 128;
    put(f);
}

static void put_transfer(Fuzz *f)
{
    static const uint32_t types[] = {
        VIRTIO_GPU_CMD_TRANSFER_TO_HOST_3D,
        VIRTIO_GPU_CMD_TRANSFER_FROM_HOST_3D,
        VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
    };
    uint8_t b = byte(f);
    COMMAND(types[b % 3], transfer_host_3d);

    c->resource_id = b / 4 % IDS;
    c->box.w = pick_number(f);
    c->box.h = pick_number(f);
    c->offset = pick_offset(f);
    put(f);
}

/* Any bytes at all */
static void put_raw(Fuzz *f)
{
    struct virtio_gpu_ctrl_hdr *hdr = new_command(f, 0, 0);
    uint8_t b = byte(f);

    f->len = 1 + byte(f) % 128;
    for (unsigned i = 0; i < MIN(f->len, sizeof(*hdr) + 32); i++) {
        f->cmd[i] = byte(f);
    }
    hdr->type = b < 0xf0 ? 0x100 * (1 + b / 32) + b % 32 : hdr->type;
    put(f);
}

static void put_cursor(Fuzz *f)
{
    uint8_t b = byte(f);
    const struct virtio_gpu_update_cursor c = {
        .hdr.type = b & 1 ? VIRTIO_GPU_CMD_MOVE_CURSOR
                          : VIRTIO_GPU_CMD_UPDATE_CURSOR,
        .pos.scanout_id = b / 2 % 4,
        .pos.x = pick_number(f),
        .pos.y = pick_number(f),
        .resource_id = pick_id(f),
        .hot_x = pick_number(f),
        .hot_y = pick_number(f),
    };

    gpu_cursor(f->gpu, &c, b & 0x80 ? 1 + byte(f) % sizeof(c) : sizeof(c));
    f->host->run(f->gpu);
}

/*
 * All that is no command
 */

/* That of a machine takes longer than all else of an input. */
static void reset(Fuzz *f, uint8_t how)
{
    /* What could not be unmapped before is unmapped now, unless that fails. */
    bool failing = f->gpu->shared->fail.count;

    /* The renderer may fail to start with the next command. */
    if (how / 8 == 31) {
        f->gpu->shared->refuse = SCRIPTED_REFUSE_START;
    } else {
        f->gpu->shared->refuse &= ~SCRIPTED_REFUSE_START;
    }
    if (how % 8 == 7 && !f->machine_reset) {
        f->machine_reset = true;
        f->host->reset_machine(f->gpu);
        f->host->map_bars(f->gpu);
    } else if (how % 8 == 6 && f->host->reset_by_vcpu) {
        f->host->reset_by_vcpu(f->gpu);
    }
    gpu_reset(f->gpu);
    f->n_pending = 0;
    f->context = false;
    memset(f->blobs, 0, sizeof(f->blobs));
    f->sure = !f->gpu->shared->refuse && !failing &&
              !f->gpu->shared->dead_context;
}

/*
 * A page that is gone is replaced at the second try, with spare mappings; if
 * that fails, too, QEMU ends.
 */
static unsigned failures(const Fuzz *f, unsigned wanted)
{
    return f->vanished ? MIN(wanted, 1) : wanted;
}

/*
 * Of memory without an fd, the renderer's own mapping is looked at; a buffer
 * that was too short may be longer now.
 */
static void model_vanish(Fuzz *f, uint32_t id, uint64_t length)
{
    Blob *b = &f->blobs[id];

    if (f->n_pending || !b->exists || b->type->blob.length ||
        b->type->blob.backing == BACKING_NONE) {
        doubt(f);
        return;
    }
    b->short_fd = length < b->size;
    b->vanished |= length < length_of(b);
}

/* Takes the pages of a buffer away, from a page on */
static void vanish(Fuzz *f)
{
    uint32_t id = pick_id(f);
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d", f->host->pid,
                                            f->gpu->shared->fd[id]);
    g_autofree char *name = g_file_read_link(path, NULL);
    uint8_t pages = byte(f) % 4;
    int fd;

    /* Its number may be another's by now. */
    if (!f->gpu->shared->fd[id] || !name ||
        !strstr(name, SCRIPTED_BUFFER_NAME)) {
        return;
    }
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        /* It may be sealed against that. */
        if (!ftruncate(fd, pages * GPU_PAGE)) {
            model_vanish(f, id, pages * GPU_PAGE);
        } else {
            g_assert_cmpint(errno, ==, EPERM);
        }
        close(fd);
        f->vanished = true;
        f->gpu->shared->fail.count = failures(f, f->gpu->shared->fail.count);
    }
}

static void give_order(Fuzz *f)
{
    struct scripted_shared *s = f->gpu->shared;
    uint8_t b = byte(f);

    switch (b % 4) {
    case 0:
        s->hold_fences = b / 4 % 2;
        s->dead_context = b / 8 == 31;
        break;
    case 1:
        s->refuse = b / 8; /* all but the start */
        s->kernel = b / 4 % (SCRIPTED_KERNEL_NEXT + 1);
        break;
    default:
        gpu_fail(f->gpu, 1 << b / 4 % 7, byte(f) % 4,
                 failures(f, b / 32 % 4));
        break;
    }
    if (b % 4 || s->dead_context) {
        doubt(f);
    }
}

static void toggle(Fuzz *f)
{
    uint8_t b = byte(f);

    if (f->moves++ >= MOVES_MAX) {
        return;
    }
    switch (b % 3) {
    case 0:
        gpu_toggle_memory(f->gpu);
        break;
    case 1:
        gpu_toggle_master(f->gpu);
        break;
    default:
        if (!f->moved) {
            f->moved = true;
            gpu_move_window(f->gpu);
        }
        break;
    }
}

static void use(Fuzz *f)
{
    uint8_t how = byte(f);

    if (f->host->use) {
        f->host->use(f->gpu, how);
    }
}

static void look(Fuzz *f)
{
    uint8_t b = byte(f);
    uint64_t offset = b / 2 % 32 * GPU_PAGE;
    const Blob *at = blob_at(f, offset, 1);

    check_page(f, offset);
    if (b & 1) {
        gpu_write(f->gpu, offset, b);
        if (at) {
            f->blobs[at - f->blobs].first[(offset - at->offset) / GPU_PAGE] = b;
        }
        /* It may be a blob that is not mapped yet, or no more. */
        f->sure &= !f->n_pending;
    } else {
        gpu_read(f->gpu, offset);
    }
}

static void kick(Fuzz *f)
{
    gpu_kick(f->gpu);
    f->host->run(f->gpu);
    collect(f);
}

static void kick_and_settle(Fuzz *f)
{
    gpu_kick(f->gpu);
    settle(f);
}

static void step(Fuzz *f)
{
    static void (*const steps[])(Fuzz *f) = {
        kick, kick_and_settle, put_create_good, put_map, put_unmap_or_unref,
        put_create_blob, put_create_guest, put_create_texture, put_attach,
        put_simple, put_context, put_scanout, put_scanout_blob, put_flush,
        put_submit, put_transfer, put_raw, put_cursor, vanish, give_order,
        toggle, look, use,
    };
    uint8_t b = byte(f), what = b % 32;

    if (what < G_N_ELEMENTS(steps)) {
        steps[what](f);
    } else if (what < 26) {
        f->torn = byte(f);
    } else if (what == 31) {
        reset(f, byte(f));
    } else {
        /* What is wanted most */
        steps[what - 26](f);
    }
}

/*
 * The end
 */

static void finish(Fuzz *f)
{
    struct scripted_shared *s = f->gpu->shared;
    Pending *p;

    s->hold_fences = 0;
    s->dead_context = 0;
    s->refuse = 0;
    s->fail.count = 0;
    s->kernel = 0;
    f->torn = 0;
    if (f->host->use) {
        f->host->use(f->gpu, 0);
    }
    if (f->moved) {
        f->host->map_bars(f->gpu);
    }
    reset(f, 0);
    for (unsigned i = 0; i < 100 && f->host->live(f->gpu); i++) {
        f->host->settle(f->gpu);
    }
    g_assert_cmpuint(f->host->live(f->gpu), ==, 0);

    /* The renderer is reset with the first command. */
    new_command(f, VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
                sizeof(struct virtio_gpu_ctrl_hdr));
    put(f);
    p = &f->pending[0];
    gpu_kick(f->gpu);
    for (unsigned i = 0; i < 100 && !gpu_is_done(f->gpu, p->slot); i++) {
        f->host->settle(f->gpu);
    }
    g_assert_true(gpu_is_done(f->gpu, p->slot));
    collect(f);
    g_assert_cmpuint(s->live, ==, 0);
    g_assert_cmpuint(s->exports + s->dups, ==, s->closes);
    g_assert_cmpuint(s->maps, ==, s->unmaps);
    g_assert_cmpuint(s->faults, ==, 0);
    g_assert_cmpuint(s->bad_queries, ==, 0);
}

void gpu_fuzz(GPU *gpu, const GPUFuzzHost *host, const uint8_t *data,
              size_t size)
{
    Fuzz f = {
        .gpu = gpu, .host = host, .data = data, .size = size, .sure = true,
    };

    for (unsigned i = 0; f.size && i < STEPS_MAX; i++) {
        step(&f);
    }
    finish(&f);
}
