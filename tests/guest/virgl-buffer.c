/*
 * A buffer of the host's OpenGL, as a blob and as a plain resource
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The numbers are those of virglrenderer's command stream; it has no header
 * for guests.
 */

#include <errno.h>
#include <string.h>

#include <drm/drm.h>
#include <drm/virtgpu_drm.h>

#include "virgl-buffer.h"

#define CMD_RESOURCE_COPY_REGION 17
#define CMD_PIPE_RESOURCE_CREATE 48

#define TARGET_BUFFER 0
#define FORMAT_R8_UNORM 64
#define BIND_VERTEX_BUFFER (1 << 4)
#define FLAG_MAP_PERSISTENT (1 << 1)
#define FLAG_MAP_COHERENT (1 << 2)

#define HEADER(cmd, dwords) ((dwords) << 16 | (cmd))

struct blob create_buffer_blob(int drm, size_t size, uint64_t blob_id)
{
    uint32_t cmd[12] = {
        HEADER(CMD_PIPE_RESOURCE_CREATE, 11),
        TARGET_BUFFER,
        FORMAT_R8_UNORM,
        BIND_VERTEX_BUFFER,
        size, 1, 1,             /* width, height, depth */
        1, 0, 0,                /* layers, last level, samples */
        FLAG_MAP_PERSISTENT | FLAG_MAP_COHERENT,
        blob_id,
    };

    return create_blob(drm, size, blob_id, cmd, sizeof(cmd));
}

struct blob create_plain_buffer(int drm, size_t size)
{
    struct drm_virtgpu_resource_create create = {
        .target = TARGET_BUFFER,
        .format = FORMAT_R8_UNORM,
        .bind = BIND_VERTEX_BUFFER,
        .width = size,
        .height = 1,
        .depth = 1,
        .array_size = 1,
        .size = size,
    };
    struct blob b;

    must_ioctl(drm, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &create,
               "RESOURCE_CREATE");
    b = (struct blob) {
        .handle = create.bo_handle,
        .resource = create.res_handle,
        .size = size,
    };
    map_blob(drm, &b);
    return b;
}

void copy_buffer(int drm, const struct blob *to, const struct blob *from)
{
    const struct blob *both[] = { to, from };
    uint32_t cmd[14] = {
        HEADER(CMD_RESOURCE_COPY_REGION, 13),
        to->resource, 0, 0, 0, 0,       /* level, x, y, z */
        from->resource, 0, 0, 0, 0,
        from->size, 1, 1,
    };

    submit(drm, both, 2, cmd, sizeof(cmd));
}

static void wait_for(int drm, const struct blob *b)
{
    struct drm_virtgpu_3d_wait wait = { .handle = b->handle };

    must_ioctl(drm, DRM_IOCTL_VIRTGPU_WAIT, &wait, "WAIT");
}

void transfer_from_host(int drm, const struct blob *plain)
{
    struct drm_virtgpu_3d_transfer_from_host xfer = {
        .bo_handle = plain->handle,
        .box = { .w = plain->size, .h = 1, .d = 1 },
    };

    must_ioctl(drm, DRM_IOCTL_VIRTGPU_TRANSFER_FROM_HOST, &xfer,
               "TRANSFER_FROM_HOST");
    wait_for(drm, plain);
}

void transfer_to_host(int drm, const struct blob *plain)
{
    struct drm_virtgpu_3d_transfer_to_host xfer = {
        .bo_handle = plain->handle,
        .box = { .w = plain->size, .h = 1, .d = 1 },
    };

    must_ioctl(drm, DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST, &xfer,
               "TRANSFER_TO_HOST");
    wait_for(drm, plain);
}
