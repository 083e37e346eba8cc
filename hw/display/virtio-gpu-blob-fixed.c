/*
 * virtio-gpu blob mappings: a buffer that only the renderer can map
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "virtio-gpu-blob-fixed.h"

/* For a renderer that maps more than the blob has */
#define ROOM_BEHIND (64 * MiB)

/*
 * A file that is open for reading only cannot be mapped in a way that can be
 * made writable: where that works, it is not what is reserved.  If there is no
 * such file, mmap() fails, too.
 */
static void *reserve(uint64_t len)
{
    int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    void *at = mmap(NULL, len, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);

    close(fd);
    return at;
}

static bool is_mapped(void *at, uint64_t len)
{
    return !mprotect(at, len, PROT_READ | PROT_WRITE);
}

void *virtio_gpu_blob_fixed_map(uint32_t resource_id, uint64_t len)
{
    uint64_t reserved = len + MAX(len, ROOM_BEHIND);
    void *at = MAP_FAILED;

    if (virgl_renderer_resource_map_fixed) {
        at = reserve(reserved);
    }
    if (at == MAP_FAILED) {
        return NULL;
    }
    if (virgl_renderer_resource_map_fixed(resource_id, at) ||
        !is_mapped(at, len)) {
        munmap(at, reserved);
        return NULL;
    }
    munmap(at + len, reserved - len);
    return at;
}
