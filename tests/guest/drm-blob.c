/*
 * Blobs through the kernel's virtgpu interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <drm/drm.h>
#include <drm/virtgpu_drm.h>

#include "drm-blob.h"

#define DEVICE "/dev/dri/card0"

void fail(const char *what, ...)
{
    int err = errno;
    va_list ap;

    va_start(ap, what);
    printf("FAIL ");
    vprintf(what, ap);
    printf(": %s\n", strerror(err));
    va_end(ap);
    fflush(stdout);
    exit(1);
}

void must_ioctl(int drm, unsigned long request, void *arg, const char *what)
{
    int ret;

    do {
        ret = ioctl(drm, request, arg);
    } while (ret < 0 && (errno == EINTR || errno == EAGAIN));
    if (ret < 0) {
        fail("%s", what);
    }
}

int open_context_with_rings(uint32_t capset, uint32_t rings)
{
    struct drm_virtgpu_context_set_param params[] = {
        { VIRTGPU_CONTEXT_PARAM_CAPSET_ID, capset },
        { VIRTGPU_CONTEXT_PARAM_NUM_RINGS, rings },
    };
    struct drm_virtgpu_context_init init = {
        .num_params = rings ? 2 : 1,
        .ctx_set_params = (uintptr_t)params,
    };
    int drm = open(DEVICE, O_RDWR | O_CLOEXEC);

    if (drm < 0) {
        fail(DEVICE);
    }
    must_ioctl(drm, DRM_IOCTL_VIRTGPU_CONTEXT_INIT, &init,
               capset == CAPSET_VENUS ? "a context for Venus (capset 4)"
                                      : "a context for virgl (capset 2)");
    return drm;
}

int open_context(uint32_t capset)
{
    return open_context_with_rings(capset, 0);
}

struct blob create_blob(int drm, size_t size, uint64_t blob_id,
                        const void *cmd, size_t cmd_size)
{
    struct drm_virtgpu_resource_create_blob create = {
        .blob_mem = VIRTGPU_BLOB_MEM_HOST3D,
        .blob_flags = VIRTGPU_BLOB_FLAG_USE_MAPPABLE,
        .size = size,
        .cmd_size = cmd_size,
        .cmd = (uintptr_t)cmd,
        .blob_id = blob_id,
    };

    must_ioctl(drm, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE_BLOB, &create,
               "RESOURCE_CREATE_BLOB");
    return (struct blob) {
        .handle = create.bo_handle,
        .resource = create.res_handle,
        .size = size,
    };
}

volatile uint32_t *try_map(int drm, struct blob *b)
{
    struct drm_virtgpu_map map = { .handle = b->handle };
    void *p;

    must_ioctl(drm, DRM_IOCTL_VIRTGPU_MAP, &map, "VIRTGPU_MAP");
    p = mmap(NULL, b->size, PROT_READ | PROT_WRITE, MAP_SHARED, drm,
             map.offset);
    b->map = p == MAP_FAILED ? NULL : p;
    return b->map;
}

void map_blob(int drm, struct blob *b)
{
    if (!try_map(drm, b)) {
        fail("mmap of a blob of %zu bytes (did the host refuse it?)",
             b->size);
    }
}

void drop_blob(int drm, struct blob *b)
{
    struct drm_gem_close gem_close = { .handle = b->handle };

    if (b->map) {
        munmap((void *)b->map, b->size);
        b->map = NULL;
    }
    must_ioctl(drm, DRM_IOCTL_GEM_CLOSE, &gem_close, "GEM_CLOSE");
}

void submit(int drm, const struct blob *const *blobs, unsigned n,
            const void *cmd, size_t cmd_size)
{
    uint32_t handles[4];
    struct drm_virtgpu_execbuffer exec = {
        .size = cmd_size,
        .command = (uintptr_t)cmd,
        .bo_handles = (uintptr_t)handles,
        .num_bo_handles = n,
    };
    unsigned i;

    for (i = 0; i < n; i++) {
        handles[i] = blobs[i]->handle;
    }
    must_ioctl(drm, DRM_IOCTL_VIRTGPU_EXECBUFFER, &exec, "EXECBUFFER");
    for (i = 0; i < n; i++) {
        struct drm_virtgpu_3d_wait wait = { .handle = handles[i] };

        must_ioctl(drm, DRM_IOCTL_VIRTGPU_WAIT, &wait, "WAIT");
    }
}
