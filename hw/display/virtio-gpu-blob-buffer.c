/*
 * virtio-gpu blob mappings: facts about one buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "qemu/mmap-alloc.h"
#include "virtio-gpu-blob-buffer.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <virglrenderer.h>

/* An export may need this many: the renderer opens others meanwhile */
#define FDS_NEEDED 4
/* With this many fds left, an export did not fail for lack of fds. */
#define FDS_PLENTY 32

/*
 * memfds and files on tmpfs have seals.  Other files that a renderer calls
 * shared memory may lose their pages, and their cache type is unknown.
 */
static VirtIOGPUBlobBacking backing_of(VirtIOGPUBlobBuffer *buf,
                                       uint32_t fd_type)
{
    switch (fd_type) {
    case VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF:
        return VIRTIO_GPU_BLOB_BACKING_DMABUF;
    case VIRGL_RENDERER_BLOB_FD_TYPE_SHM:
        buf->seals = fcntl(buf->fd, F_GET_SEALS);
        return buf->seals < 0 ? VIRTIO_GPU_BLOB_BACKING_OPAQUE
                              : VIRTIO_GPU_BLOB_BACKING_SHM;
    default:
        return VIRTIO_GPU_BLOB_BACKING_OPAQUE;
    }
}

/*
 * The fd shares its file offset with the renderer's fd, so the offset must not
 * change.  A dma-buf has no file offset and no st_size
 * (drivers/dma-buf/dma-buf.c, dma_buf_llseek()).
 */
static int64_t length_of(VirtIOGPUBlobBuffer *buf)
{
    struct stat st;

    if (buf->facts.backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        return lseek(buf->fd, 0, SEEK_END);
    }
    if (fstat(buf->fd, &st)) {
        return -1;
    }
    buf->block_size = st.st_blksize;
    return st.st_size;
}

/*
 * An opaque fd is not mapped, and the file of a driver may have no length.
 * Such an fd is too short only if it has a length.
 */
static bool is_too_short(VirtIOGPUBlobBuffer *buf)
{
    int64_t end = length_of(buf);

    if (buf->facts.backing == VIRTIO_GPU_BLOB_BACKING_OPAQUE && end <= 0) {
        return false;
    }
    return end < 0 || end < buf->size;
}

static uint32_t renderer_type(uint32_t resource_id)
{
    uint32_t map_info = VIRGL_RENDERER_MAP_CACHE_NONE;

    if (virgl_renderer_resource_get_map_info(resource_id, &map_info) ||
        !virtio_gpu_blob_names_type(map_info)) {
        return VIRGL_RENDERER_MAP_CACHE_NONE;
    }
    return map_info;
}

static void ask_fd(VirtIOGPUBlobBuffer *buf, uint32_t fd_type)
{
    VirtIOGPUBlobFacts *facts = &buf->facts;

    facts->backing = backing_of(buf, fd_type);
    /* After the seals: one that is sealed keeps this length. */
    facts->fd_too_short = is_too_short(buf);
    facts->fd_read_write = (fcntl(buf->fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        facts->answer = virtio_gpu_blob_exporter_ask(buf->fd);
    }
}

/*
 * True if @n fds can be opened.  With @n 1 this checks the limit of the whole
 * system (ENFILE).
 */
static bool can_open_fds(int n)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    bool can = fd >= 0 && (n == 1 || can_open_fds(n - 1));

    if (fd >= 0) {
        close(fd);
    }
    return can;
}

/*
 * The kernel assigns the lowest free number, so only the highest numbers below
 * the limit are checked.
 */
static bool has_plenty_of_fds(void)
{
    struct pollfd fds[FDS_PLENTY];
    struct rlimit limit;
    int i;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < FDS_PLENTY) {
        return false;
    }
    for (i = 0; i < FDS_PLENTY; i++) {
        fds[i] = (struct pollfd) { .fd = limit.rlim_cur - 1 - i };
    }
    /* POLLNVAL: there is no such fd */
    poll(fds, FDS_PLENTY, 0);
    while (i && (fds[i - 1].revents & POLLNVAL)) {
        i--;
    }
    return !i && can_open_fds(1);
}

/*
 * The renderer returns the same error for a buffer without an fd and when it
 * cannot open an fd.  Fds that are free now may not have been free then, so the
 * export is tried once more.
 */
static int export(VirtIOGPUBlobBuffer *buf, uint32_t resource_id,
                  uint32_t *fd_type)
{
    int ret = virgl_renderer_resource_export_blob(resource_id, fd_type,
                                                  &buf->fd);

    if (!ret || has_plenty_of_fds()) {
        return ret;
    }
    if (!can_open_fds(FDS_NEEDED)) {
        buf->facts.no_fds_left = true;
        return ret;
    }
    return virgl_renderer_resource_export_blob(resource_id, fd_type, &buf->fd);
}

void virtio_gpu_blob_buffer_open(VirtIOGPUBlobBuffer *buf,
                                 const VirtIOGPUBlobHost *host,
                                 uint32_t resource_id, uint64_t size)
{
    uint32_t fd_type;

    *buf = (VirtIOGPUBlobBuffer) {
        .fd = -1,
        .size = size,
        .facts.confidential_guest = host->confidential_guest,
        .facts.guest_type_honoured =
            host->guest_type == VIRTIO_GPU_BLOB_TYPE_HONOURED,
        .facts.host_x86 = host->x86,
        .facts.host_vram = host->vram,
    };
    if (host->confidential_guest) {
        return;
    }
    buf->facts.renderer = renderer_type(resource_id);
    if (export(buf, resource_id, &fd_type)) {
        buf->fd = -1;
        return;
    }
    ask_fd(buf, fd_type);
}

bool virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf,
                                          VirtIOGPUBlobNamed *known)
{
    if (buf->facts.backing != VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        return true;
    }
    buf->exporter = virtio_gpu_blob_exporter_name(buf->fd, known);
    return buf->exporter || (errno != EMFILE && errno != ENFILE);
}

/* Files on tmpfs may have large blocks, too, but only for I/O. */
bool virtio_gpu_blob_buffer_has_huge_pages(const VirtIOGPUBlobBuffer *buf)
{
    const size_t page_size = qemu_real_host_page_size();

    return buf->block_size > page_size &&
           qemu_fd_getpagesize(buf->fd) > page_size;
}

bool virtio_gpu_blob_buffer_seal(VirtIOGPUBlobBuffer *buf)
{
    if (buf->facts.backing != VIRTIO_GPU_BLOB_BACKING_SHM ||
        (buf->seals & (F_SEAL_SHRINK | F_SEAL_SEAL))) {
        return true;
    }
    fcntl(buf->fd, F_ADD_SEALS, F_SEAL_SHRINK);
    return !is_too_short(buf);
}

void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf)
{
    if (buf->fd >= 0) {
        close(buf->fd);
    }
}
