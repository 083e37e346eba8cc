/*
 * Blobs through the kernel's virtgpu interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef DRM_BLOB_H
#define DRM_BLOB_H

#include <stddef.h>
#include <stdint.h>

#define CAPSET_VIRGL2 2
#define CAPSET_VENUS 4

/* A blob, or a plain resource, as the guest's program sees it */
struct blob {
    uint32_t handle;     /* of the GEM object */
    uint32_t resource;   /* what the device calls it */
    size_t size;
    volatile uint32_t *map;
};

/* Print "FAIL what: errno" and end the program */
__attribute__((format(printf, 1, 2), noreturn)) void fail(const char *what, ...);

/* ioctl() that fails the program; what names it in the message */
void must_ioctl(int drm, unsigned long request, void *arg, const char *what);

/* Open the device with a context of its own for this capset */
int open_context(uint32_t capset);
/* The same, whose commands can be fenced in this many rings */
int open_context_with_rings(uint32_t capset, uint32_t rings);

/* Create a host blob; cmd, of cmd_size bytes, makes the object blob_id names */
struct blob create_blob(int drm, size_t size, uint64_t blob_id,
                        const void *cmd, size_t cmd_size);

/* Map the blob; NULL if the host refused to */
volatile uint32_t *try_map(int drm, struct blob *b);
void map_blob(int drm, struct blob *b);

/* Unmap and close */
void drop_blob(int drm, struct blob *b);

/* Run commands in the context, and wait until they are done with b */
void submit(int drm, const struct blob *const *blobs, unsigned n,
            const void *cmd, size_t cmd_size);

#endif
