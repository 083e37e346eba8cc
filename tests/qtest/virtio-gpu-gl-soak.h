/*
 * Random commands for virtio-gpu-gl, and a model of what comes of them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VIRTIO_GPU_GL_SOAK_H
#define VIRTIO_GPU_GL_SOAK_H

#include "virtio-gpu-gl-client.h"

#define SOAK_WINDOW (1 * GPU_MIB)
#define SOAK_WINDOW_PAGES (SOAK_WINDOW / GPU_PAGE)
#define SOAK_IDS 24
#define SOAK_PAGES_MAX 16
#define SOAK_GROUP_MAX 8

typedef enum Kind {
    CREATE,
    CREATE_GUEST,
    MAP,
    MAP_SHORT,
    MAP_SHORT_REPLY,
    UNMAP,
    UNREF,
    WRITE,
    VANISH,
    RESET,
} Kind;

typedef struct Op {
    Kind kind;
    uint32_t id;
    unsigned type; /* for soak_blob_type() */
    bool mappable;
    bool fenced;
    uint64_t size;
    uint64_t offset;
    bool instead;  /* map where a blob was unmapped last, not at @offset */
    unsigned len;  /* of what is too short */
    unsigned page; /* of the window, to be looked at afterwards */
    bool last;     /* of a group that goes with one kick */
} Op;

typedef struct BlobType {
    const char *name;
    uint64_t blob_id;
    uint32_t reply; /* to CREATE_BLOB */
    uint32_t map_info; /* 0: refused */
    unsigned weight;
    bool vanishes; /* its buffer may, at any time */
} BlobType;

typedef struct Blob {
    bool exists;
    bool failed; /* the host could not create it */
    bool guest;
    bool mappable;
    bool mapped;
    bool map_refused; /* and not unmapped since */
    bool vanished;
    unsigned type;
    uint64_t size;
    uint64_t first; /* page of the window */
    uint64_t written[SOAK_PAGES_MAX]; /* eight bytes behind each page's stamp */
} Blob;

typedef struct Model {
    Blob blobs[SOAK_IDS + 1];
    uint32_t owner[SOAK_WINDOW_PAGES]; /* 0: a hole */
    uint64_t left; /* where a blob was unmapped last */
    bool wrong;
} Model;

typedef struct Answer {
    uint32_t type;
    uint32_t map_info;
} Answer;

/* How the blobs of a type behave, by @type of an op */
const BlobType *soak_blob_type(unsigned type);
/* Mostly what a driver might do, now and then what none would */
Op soak_any_op(GRand *rand);
void soak_print_op(const Op *op);

/* The buffer of @id goes; false if it is not one that may */
bool soak_model_vanish(Model *m, uint32_t id);

/* Chooses what @op leaves to what has been done */
void soak_model_complete(const Model *m, Op *op);

/* What a guest must get for @op; the model goes on from there */
Answer soak_model_run(Model *m, const Op *op);

#endif /* VIRTIO_GPU_GL_SOAK_H */
