/*
 * virtio-gpu blob doctor: real dma-bufs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/memfd.h"
#include "hw/display/virtio-gpu-blob-exporter.h"
#include "probes.h"

#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#define HEAPS "/dev/dma_heap"

/* A guest reads and writes: do so, without changing the content. */
static int map_and_touch(int fd)
{
    size_t len = qemu_real_host_page_size();
    /* volatile: so that both happen */
    volatile uint8_t *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED,
                               fd, 0);

    if (p == MAP_FAILED) {
        return errno;
    }
    *p = *p;
    munmap((void *)p, len);
    return 0;
}

void doctor_buffer_probe(DoctorBuffer *buffer, int fd)
{
    const char *exporter = virtio_gpu_blob_exporter_name(fd, NULL);

    pstrcpy(buffer->exporter, sizeof(buffer->exporter), exporter ?: "");
    buffer->answer = virtio_gpu_blob_exporter_ask(fd);
    buffer->read_write = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
    buffer->made = true;
    /* The process may end here. */
    buffer->map_error = EFAULT;
    buffer->map_error = map_and_touch(fd);
}

static int make_udmabuf(int dev)
{
    size_t len = qemu_real_host_page_size();
    struct udmabuf_create create = {
        .flags = UDMABUF_FLAGS_CLOEXEC,
        .size = len,
    };
    int fd, memfd = qemu_memfd_create("doctor", len, false, 0,
                                      F_SEAL_SHRINK, NULL);

    if (memfd < 0) {
        return -1;
    }
    create.memfd = memfd;
    fd = ioctl(dev, UDMABUF_CREATE, &create);
    close(memfd);
    return fd;
}

static int make_of_heap(int dev)
{
    struct dma_heap_allocation_data alloc = {
        .len = qemu_real_host_page_size(),
        .fd_flags = O_RDWR | O_CLOEXEC,
    };

    return ioctl(dev, DMA_HEAP_IOCTL_ALLOC, &alloc) ? -1 : alloc.fd;
}

/* A source that does not exist is not one. */
static void look_at_source(DoctorFacts *facts, const char *name,
                           const char *path, int (*make)(int dev))
{
    DoctorSource *source = &facts->sources[facts->sources_count];
    int dev, fd;

    pstrcpy(source->name, sizeof(source->name), name);
    dev = doctor_file_open(&source->file, path);
    if (source->file.error == ENOENT) {
        return;
    }
    facts->sources_count++;
    if (dev < 0) {
        return;
    }
    fd = make(dev);
    if (fd < 0) {
        source->buffer.error = errno;
    } else {
        doctor_buffer_probe(&source->buffer, fd);
        close(fd);
    }
    close(dev);
}

static void look_at_heaps(DoctorFacts *facts)
{
    GDir *dir = g_dir_open(HEAPS, 0, NULL);
    const char *heap;

    while (dir && facts->sources_count < DOCTOR_SOURCES_MAX &&
           (heap = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(HEAPS, heap, NULL);
        g_autofree char *name = g_strdup_printf("dma-heap %s", heap);

        look_at_source(facts, name, path, make_of_heap);
    }
    if (dir) {
        g_dir_close(dir);
    }
}

void doctor_sources_probe(void *facts)
{
    look_at_source(facts, "udmabuf", "/dev/udmabuf", make_udmabuf);
    look_at_heaps(facts);
}
