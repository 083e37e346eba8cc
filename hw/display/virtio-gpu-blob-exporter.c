/*
 * virtio-gpu blob mappings: a dma-buf's exporter
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "hw/virtio/dma-buf-info.h"
#include "virtio-gpu-blob-exporter.h"

/* A kernel that answers EAGAIN for good must not stop the VM. */
#define ASK_RETRIES 1000

/* Far more than the lines up to the exporter's name */
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

/* A line without its end is one that may go on. */
static void find_name(char *text, char *found, int size)
{
    char *next = text;
    const char *name;

    while (next) {
        char *line = qemu_strsep(&next, "\n");

        if (next && strstart(line, "exp_name:\t", &name)) {
            pstrcpy(found, size, name);
            return;
        }
    }
}

/* What is at the fd otherwise is the file that tells of it. */
void virtio_gpu_blob_names_open(VirtIOGPUBlobNames *names)
{
    char path[32];

    names->info = -1;
    names->busy = false;
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

void virtio_gpu_blob_names_rest(VirtIOGPUBlobNames *names)
{
    if (names->busy) {
        dup3(names->info, names->fd, O_CLOEXEC);
        names->busy = false;
    }
}

/*
 * The kernel looks up what is at the fd each time the file is read from its
 * start (fs/proc/fd.c, seq_show()).
 */
static bool read_name(VirtIOGPUBlobNames *names, int fd, char *name, int size)
{
    char text[FDINFO_MAX + 1];
    ssize_t len;

    if (names->info < 0) {
        return true;
    }
    if (dup3(fd, names->fd, O_CLOEXEC) < 0) {
        return false;
    }
    names->busy = true;
    len = pread(names->info, text, FDINFO_MAX, 0);
    text[MAX(len, 0)] = '\0';
    find_name(text, name, size);
    return true;
}

/* A name that was not found may be the next time. */
static void keep_name(VirtIOGPUBlobNamed *named, const struct stat *st,
                      const char *name)
{
    if (*name) {
        named->dev = st->st_dev;
        named->ino = st->st_ino;
        named->name = g_intern_string(name);
    }
}

bool virtio_gpu_blob_exporter_name(VirtIOGPUBlobNames *names,
                                   VirtIOGPUBlobNamed *named, int fd,
                                   char *name, int size)
{
    struct stat st;

    *name = '\0';
    if (fstat(fd, &st)) {
        return read_name(names, fd, name, size);
    }
    if (named->name && named->ino == st.st_ino && named->dev == st.st_dev) {
        pstrcpy(name, size, named->name);
        return true;
    }
    if (!read_name(names, fd, name, size)) {
        return false;
    }
    keep_name(named, &st, name);
    return true;
}
