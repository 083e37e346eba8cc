/*
 * virtio-gpu blob mappings: what can be found out about one buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "virtio-gpu-blob-buffer.h"

#include <sys/eventfd.h>
#include <virglrenderer.h>

/* What one export may need: the renderer opens others on the way */
#define FDS_NEEDED 4

/*
 * memfds, and files of a tmpfs, answer; a file of another kind that a renderer
 * calls shared memory may lose its pages, and its cache type is not known.
 */
static bool is_shared_memory(int fd)
{
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0) {
        return false;
    }
    if (!(seals & (F_SEAL_SHRINK | F_SEAL_SEAL))) {
        /* A file that is open for reading only cannot be sealed. */
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
    }
    return true;
}

static VirtIOGPUBlobBacking backing_of(int fd, uint32_t fd_type)
{
    switch (fd_type) {
    case VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF:
        return VIRTIO_GPU_BLOB_BACKING_DMABUF;
    case VIRGL_RENDERER_BLOB_FD_TYPE_SHM:
        return is_shared_memory(fd) ? VIRTIO_GPU_BLOB_BACKING_SHM
                                    : VIRTIO_GPU_BLOB_BACKING_OPAQUE;
    default:
        return VIRTIO_GPU_BLOB_BACKING_OPAQUE;
    }
}

/*
 * A file's offset is the renderer's too, and stays where it is.  A dma-buf has
 * none, and tells its length only so (drivers/dma-buf/dma-buf.c,
 * dma_buf_llseek()).
 */
static int64_t length_of(const VirtIOGPUBlobBuffer *buf)
{
    struct stat st;

    if (buf->facts.backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        return lseek(buf->fd, 0, SEEK_END);
    }
    return fstat(buf->fd, &st) ? -1 : st.st_size;
}

/*
 * An opaque fd is not what gets mapped, and a driver's file may well have no
 * length: only one that does is taken at its word.
 */
static bool too_short(const VirtIOGPUBlobBuffer *buf, uint64_t size)
{
    int64_t end = length_of(buf);

    if (buf->facts.backing == VIRTIO_GPU_BLOB_BACKING_OPAQUE && end <= 0) {
        return false;
    }
    return end < 0 || end < size;
}

static uint32_t renderer_word(uint32_t resource_id)
{
    uint32_t map_info = VIRGL_RENDERER_MAP_CACHE_NONE;

    if (virgl_renderer_resource_get_map_info(resource_id, &map_info) ||
        !virtio_gpu_blob_names_type(map_info)) {
        return VIRGL_RENDERER_MAP_CACHE_NONE;
    }
    return map_info;
}

static void read_fd(VirtIOGPUBlobBuffer *buf, uint32_t fd_type, uint64_t size)
{
    VirtIOGPUBlobFacts *facts = &buf->facts;

    facts->backing = backing_of(buf->fd, fd_type);
    facts->fd_too_short = too_short(buf, size);
    facts->fd_read_write = (fcntl(buf->fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        facts->answer = virtio_gpu_blob_exporter_ask(buf->fd);
    }
}

static bool fds_left(void)
{
    int fds[FDS_NEEDED], n = 0;
    bool all;

    while (n < FDS_NEEDED && (fds[n] = eventfd(0, EFD_CLOEXEC)) >= 0) {
        n++;
    }
    all = n == FDS_NEEDED;
    while (n) {
        close(fds[--n]);
    }
    return all;
}

/*
 * The renderer does not tell that it has no fd to give from that it could not
 * make one.  If there is room for fds now, there may not have been then.
 */
static int export(VirtIOGPUBlobBuffer *buf, uint32_t resource_id,
                  uint32_t *fd_type)
{
    int ret = virgl_renderer_resource_export_blob(resource_id, fd_type,
                                                  &buf->fd);

    if (ret && fds_left()) {
        ret = virgl_renderer_resource_export_blob(resource_id, fd_type,
                                                  &buf->fd);
    } else if (ret) {
        buf->facts.no_fds_left = true;
    }
    return ret;
}

void virtio_gpu_blob_buffer_open(VirtIOGPUBlobBuffer *buf,
                                 const VirtIOGPUBlobHost *host,
                                 uint32_t resource_id, uint64_t size)
{
    uint32_t fd_type;

    buf->fd = -1;
    buf->exporter[0] = '\0';
    buf->facts = (VirtIOGPUBlobFacts) {
        .confidential_guest = host->confidential_guest,
        .guest_type_honoured =
            host->guest_type == VIRTIO_GPU_BLOB_TYPE_HONOURED,
        .host_x86 = host->x86,
        .host_vram = host->vram,
    };
    if (host->confidential_guest) {
        return;
    }
    buf->facts.renderer = renderer_word(resource_id);
    if (export(buf, resource_id, &fd_type)) {
        buf->fd = -1;
        return;
    }
    read_fd(buf, fd_type, size);
}

bool virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf,
                                          VirtIOGPUBlobNames *names,
                                          VirtIOGPUBlobNamed *named)
{
    return buf->facts.backing != VIRTIO_GPU_BLOB_BACKING_DMABUF ||
           virtio_gpu_blob_exporter_name(names, named, buf->fd, buf->exporter,
                                         sizeof(buf->exporter));
}

void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf)
{
    if (buf->fd >= 0) {
        close(buf->fd);
    }
}
