/*
 * virtio-gpu blob mappings: a dma-buf's exporter
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "hw/virtio/dma-buf-info.h"
#include "virtio-gpu-blob-exporter.h"

/* An exporter that always returns EAGAIN must not stop the VM. */
#define ASK_RETRIES 1000

/* Much longer than the lines up to the exporter's name */
#define FDINFO_MAX 1023

VirtIOGPUExporterAnswer virtio_gpu_blob_exporter_ask(int fd)
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

/* A last line without a newline may be incomplete, so it is ignored. */
static const char *find_name(char *text)
{
    char *next = text;
    const char *name;

    while (next) {
        char *line = qemu_strsep(&next, "\n");

        if (next && strstart(line, "exp_name:\t", &name)) {
            return *name ? g_intern_string(name) : NULL;
        }
    }
    return NULL;
}

/*
 * The directory is kept open, as looking up its path for each buffer takes a
 * microsecond.  /proc/self is looked up once only, so a child process would
 * read its parent's files: virtio-gpu-blob-doctor reads names in its children
 * only.
 */
static int fdinfo_dir(void)
{
    static int dir = -1;

    if (dir < 0) {
        dir = open("/proc/self/fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    return dir;
}

static const char *read_name(int fd)
{
    char file[16], text[FDINFO_MAX + 1];
    const char *name;
    ssize_t len;
    int dir = fdinfo_dir();
    int info;

    if (dir < 0) {
        return NULL;
    }
    snprintf(file, sizeof(file), "%d", fd);
    info = openat(dir, file, O_RDONLY | O_CLOEXEC);
    if (info < 0) {
        return NULL;
    }
    len = read(info, text, FDINFO_MAX);
    close(info);
    text[MAX(len, 0)] = '\0';
    name = find_name(text);
    if (!name) {
        errno = ENOENT;
    }
    return name;
}

const char *virtio_gpu_blob_exporter_name(int fd, VirtIOGPUBlobNamed *known)
{
    const char *name;
    struct stat st;

    if (!known || fstat(fd, &st)) {
        return read_name(fd);
    }
    if (known->name && known->ino == st.st_ino && known->dev == st.st_dev) {
        return known->name;
    }
    name = read_name(fd);
    if (name) {
        *known = (VirtIOGPUBlobNamed) { st.st_dev, st.st_ino, name };
    }
    return name;
}
