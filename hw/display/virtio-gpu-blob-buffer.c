/*
 * virtio-gpu blob mappings: what can be found out about one buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/memfd.h"
#include "hw/virtio/dma-buf-info.h"
#include "virtio-gpu-blob-buffer.h"

#include <sys/eventfd.h>
#include <virglrenderer.h>

/* A kernel that answers EAGAIN for good must not stop the VM. */
#define ASK_RETRIES 1000

/* Far more than the lines up to the exporter's name */
#define FDINFO_MAX 1023

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

static VirtIOGPUExporterAnswer ask_exporter(int fd)
{
    struct dma_buf_info info = { .param = DMA_BUF_INFO_MAP_INFO };
    int ret, tries = 0;

    do {
        ret = ioctl(fd, DMA_BUF_IOCTL_INFO, &info);
    } while (ret < 0 && (errno == EINTR || errno == EAGAIN) &&
             tries++ < ASK_RETRIES);

    if (ret < 0) {
        return errno == ENOTTY ? VIRTIO_GPU_EXPORTER_UNSUPPORTED
                               : VIRTIO_GPU_EXPORTER_FAILED;
    }
    switch (info.value) {
    case DMA_BUF_MAP_INFO_INCOHERENT:
        return VIRTIO_GPU_EXPORTER_INCOHERENT;
    case DMA_BUF_MAP_INFO_COHERENT_WC:
        return VIRTIO_GPU_EXPORTER_COHERENT_WC;
    case DMA_BUF_MAP_INFO_COHERENT_CACHED:
        return VIRTIO_GPU_EXPORTER_COHERENT_CACHED;
    default:
        return VIRTIO_GPU_EXPORTER_OTHER;
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
        facts->answer = ask_exporter(buf->fd);
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

/* A line without its end is one that may go on. */
static void find_exporter(VirtIOGPUBlobBuffer *buf, char *text)
{
    char *next = text;
    const char *name;

    while (next) {
        char *line = qemu_strsep(&next, "\n");

        if (next && strstart(line, "exp_name:\t", &name)) {
            pstrcpy(buf->exporter, sizeof(buf->exporter), name);
            return;
        }
    }
}

/* What is at the fd otherwise is the file that tells of it. */
void virtio_gpu_blob_names_open(VirtIOGPUBlobNames *names)
{
    char path[32];

    names->info = -1;
    names->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", names->fd);
    if (names->fd >= 0) {
        names->info = open(path, O_RDONLY | O_CLOEXEC);
    }
}

void virtio_gpu_blob_names_close(VirtIOGPUBlobNames *names)
{
    if (names->info >= 0) {
        close(names->info);
    }
    if (names->fd >= 0) {
        close(names->fd);
    }
}

/*
 * The kernel looks up what is at the fd each time the file is read from its
 * start (fs/proc/fd.c, seq_show()).  The buffer must not stay there, or it
 * would live on.
 */
bool virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf,
                                          const VirtIOGPUBlobNames *names)
{
    char text[FDINFO_MAX + 1];
    ssize_t len;

    if (buf->facts.backing != VIRTIO_GPU_BLOB_BACKING_DMABUF ||
        names->info < 0) {
        return true;
    }
    if (dup3(buf->fd, names->fd, O_CLOEXEC) < 0) {
        return false;
    }
    len = pread(names->info, text, FDINFO_MAX, 0);
    dup3(names->info, names->fd, O_CLOEXEC);
    text[MAX(len, 0)] = '\0';
    find_exporter(buf, text);
    return true;
}

void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf)
{
    if (buf->fd >= 0) {
        close(buf->fd);
    }
}
