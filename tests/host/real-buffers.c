/*
 * A stand-in for virglrenderer that hands out real buffers of the kernel it
 * runs on, and draws nothing.
 *
 * The low byte of a blob's id chooses the buffer, the next one the word that
 * get_map_info gives.  For a buffer of the test exporter's, the third is what
 * that states, and the upper half the errno that its mmap() fails with.  What
 * was made is told on stderr, so that a test can fetch the same file with
 * pidfd_getfd() and look at the other side.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/dma-heap.h>
#include <linux/udmabuf.h>
#include <drm/drm.h>
#include <drm/drm_mode.h>

#include <virgl/virglrenderer.h>

#include "exporter/dma-buf-test.h"

enum kind {
    KIND_UDMABUF = 1,
    KIND_VGEM,
    KIND_HEAP,
    KIND_MEMFD,
    KIND_VGEM_READ_ONLY,
    KIND_HEAP_READ_ONLY,
    KIND_MEMFD_READ_ONLY,
    KIND_UDMABUF_SHORT,
    KIND_MEMFD_SHORT,
    KIND_VGEM_SHORT,
    KIND_MEMFD_LOOSE,
    KIND_POINTER, /* the renderer's own memory, without an fd */
    KIND_VKMS,
    KIND_PRIVATE, /* as KIND_POINTER, but nothing else can be mapped to it */
};

/* With an index of test_kinds in the bits below: of the test exporter's */
#define KIND_TEST 0x20

static const struct dma_buf_test_make test_kinds[] = {
    { .map = DMA_BUF_TEST_PAGES },
    { .map = DMA_BUF_TEST_PAGES, .cache = DMA_BUF_TEST_WC },
    { .map = DMA_BUF_TEST_PFN },
    { .map = DMA_BUF_TEST_PFN, .cache = DMA_BUF_TEST_WC },
    { .map = DMA_BUF_TEST_MIXED },
    { .map = DMA_BUF_TEST_PFN, .flags = DMA_BUF_TEST_UNCOUNTED },
    { .map = DMA_BUF_TEST_PFN, .place = DMA_BUF_TEST_BAR,
      .cache = DMA_BUF_TEST_WC },
    { .map = DMA_BUF_TEST_PFN, .place = DMA_BUF_TEST_BAR },
    { .map = DMA_BUF_TEST_MIXED, .place = DMA_BUF_TEST_BAR,
      .cache = DMA_BUF_TEST_WC },
    { .map = DMA_BUF_TEST_PFN, .flags = DMA_BUF_TEST_MOVABLE },
    { .map = DMA_BUF_TEST_MIXED, .flags = DMA_BUF_TEST_MOVABLE },
};
#define TEST_KINDS (sizeof(test_kinds) / sizeof(test_kinds[0]))

#define WORD_FAILS 0xff

/* What CREATE_DUMB is told; a row of it is one page. */
#define PAGE 4096
#define ROW_PIXELS (PAGE / 4)

struct buffer {
    uint32_t id;
    uint32_t word;
    uint32_t type; /* 0 if there is no fd for others */
    int fd;
    int map_flags;
    void *map;
    uint64_t map_size;
    struct buffer *next;
};

struct fence {
    bool of_context;
    uint32_t ctx;
    uint32_t ring;
    uint64_t id;
    struct fence *next;
};

static struct buffer *buffers;
static struct fence *fences;
static struct fence **fences_end = &fences;
static struct virgl_renderer_callbacks *callbacks;
static void *cookie;
static int vgem = -1;
static int vkms = -1;

/*
 * The kernel's buffers
 */

static int make_sealed_memfd(uint64_t size, int seals)
{
    int fd = memfd_create("real-buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0) {
        return -errno;
    }
    if (ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, seals)) {
        int err = errno;

        close(fd);
        return -err;
    }
    return fd;
}

static int make_memfd(uint64_t size)
{
    return make_sealed_memfd(size, F_SEAL_SHRINK);
}

static int make_read_only_memfd(uint64_t size)
{
    int fd = make_memfd(size), reopened;
    char path[32];

    if (fd < 0) {
        return fd;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    reopened = open(path, O_RDONLY | O_CLOEXEC);
    if (reopened < 0) {
        reopened = -errno;
    }
    close(fd);
    return reopened;
}

static int make_udmabuf(uint64_t size)
{
    struct udmabuf_create create = { .flags = UDMABUF_FLAGS_CLOEXEC };
    int dev, fd, err;

    dev = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
    if (dev < 0) {
        return -errno;
    }
    fd = make_memfd(size);
    if (fd < 0) {
        close(dev);
        return fd;
    }
    create.memfd = fd;
    create.size = size;
    err = ioctl(dev, UDMABUF_CREATE, &create);
    if (err < 0) {
        err = -errno;
    }
    close(fd);
    close(dev);
    return err;
}

static int make_heap(uint64_t size, int access)
{
    struct dma_heap_allocation_data alloc = {
        .len = size,
        .fd_flags = access | O_CLOEXEC,
    };
    int dev, err = 0;

    dev = open("/dev/dma_heap/system", O_RDONLY | O_CLOEXEC);
    if (dev < 0) {
        return -errno;
    }
    if (ioctl(dev, DMA_HEAP_IOCTL_ALLOC, &alloc)) {
        err = -errno;
    }
    close(dev);
    return err ? err : (int)alloc.fd;
}

/* Any card may be the driver's; ask each for its name. */
static int open_card(const char *driver)
{
    for (int i = 0; i < 16; i++) {
        char path[32], name[16] = "";
        struct drm_version version = { .name = name,
                                       .name_len = sizeof(name) - 1 };
        int fd;

        snprintf(path, sizeof(path), "/dev/dri/card%d", i);
        fd = open(path, O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            continue;
        }
        if (!ioctl(fd, DRM_IOCTL_VERSION, &version) &&
            !strcmp(name, driver)) {
            return fd;
        }
        close(fd);
    }
    return -ENODEV;
}

/* GEM shmem: vgem maps it write-combined, vkms cached. */
static int make_dumb(int card, uint64_t size, uint32_t flags)
{
    struct drm_mode_create_dumb dumb = {
        .width = ROW_PIXELS,
        .height = (size + PAGE - 1) / PAGE,
        .bpp = 32,
    };
    struct drm_prime_handle prime = { .flags = flags | DRM_CLOEXEC };
    struct drm_gem_close gem = { };
    int err = 0;

    if (card < 0) {
        return card;
    }
    if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb)) {
        return -errno;
    }
    prime.handle = dumb.handle;
    if (ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime)) {
        err = -errno;
    }
    gem.handle = dumb.handle;
    ioctl(card, DRM_IOCTL_GEM_CLOSE, &gem);
    return err ? err : prime.fd;
}

static int make_vgem(uint64_t size, uint32_t flags)
{
    if (vgem < 0) {
        vgem = open_card("vgem");
    }
    return make_dumb(vgem, size, flags);
}

static int make_vkms(uint64_t size, uint32_t flags)
{
    if (vkms < 0) {
        vkms = open_card("vkms");
    }
    return make_dumb(vkms, size, flags);
}

static int make_test(uint64_t blob_id, uint64_t size)
{
    uint32_t index = blob_id & (KIND_TEST - 1);
    struct dma_buf_test_make make;
    int dev, fd;

    if (index >= TEST_KINDS) {
        return -EINVAL;
    }
    make = test_kinds[index];
    make.size = size;
    make.statement = blob_id >> 16 & 0xff;
    make.mmap_error = blob_id >> 32;
    dev = open("/dev/dma-buf-test", O_RDWR | O_CLOEXEC);
    if (dev < 0) {
        return -errno;
    }
    fd = ioctl(dev, DMA_BUF_TEST_MAKE, &make);
    if (fd < 0) {
        fd = -errno;
    }
    close(dev);
    return fd;
}

static int make_buffer(uint64_t blob_id, uint64_t size)
{
    enum kind kind = blob_id & 0xff;
    uint64_t half = size / 2 / PAGE * PAGE;

    if (kind & KIND_TEST) {
        return make_test(blob_id, size);
    }
    switch (kind) {
    case KIND_UDMABUF:
        return make_udmabuf(size);
    case KIND_VGEM:
        return make_vgem(size, DRM_RDWR);
    case KIND_HEAP:
        return make_heap(size, O_RDWR);
    case KIND_MEMFD:
        return make_memfd(size);
    case KIND_VGEM_READ_ONLY:
        return make_vgem(size, 0);
    case KIND_HEAP_READ_ONLY:
        return make_heap(size, O_RDONLY);
    case KIND_MEMFD_READ_ONLY:
        return make_read_only_memfd(size);
    case KIND_UDMABUF_SHORT:
        return make_udmabuf(half);
    case KIND_MEMFD_SHORT:
        return make_memfd(half);
    case KIND_VGEM_SHORT:
        return make_vgem(half, DRM_RDWR);
    case KIND_MEMFD_LOOSE:
        /* It may shrink, and no further seal can forbid it. */
        return make_sealed_memfd(size, F_SEAL_SEAL);
    case KIND_POINTER:
    case KIND_PRIVATE:
        return make_memfd(size);
    case KIND_VKMS:
        return make_vkms(size, DRM_RDWR);
    }
    return -EINVAL;
}

static uint32_t type_of(enum kind kind)
{
    switch (kind) {
    case KIND_MEMFD:
    case KIND_MEMFD_READ_ONLY:
    case KIND_MEMFD_SHORT:
    case KIND_MEMFD_LOOSE:
        return VIRGL_RENDERER_BLOB_FD_TYPE_SHM;
    case KIND_POINTER:
    case KIND_PRIVATE:
        return 0;
    default:
        return VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF;
    }
}

static struct buffer *find(uint32_t id)
{
    struct buffer *b = buffers;

    while (b && b->id != id) {
        b = b->next;
    }
    return b;
}

/*
 * The renderer's interface: blobs
 */

int virgl_renderer_resource_create_blob(
    const struct virgl_renderer_resource_create_blob_args *args)
{
    enum kind kind = args->blob_id & 0xff;
    struct buffer *b;
    int fd = make_buffer(args->blob_id, args->size);

    if (fd < 0) {
        fprintf(stderr, "real-buffers: resource %u kind %d failed: %s\n",
                args->res_handle, kind, strerror(-fd));
        return fd;
    }
    b = calloc(1, sizeof(*b));
    if (!b) {
        close(fd);
        return -ENOMEM;
    }
    b->id = args->res_handle;
    b->word = args->blob_id >> 8 & 0xff;
    b->type = type_of(kind);
    b->map_flags = kind == KIND_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
    b->fd = fd;
    b->next = buffers;
    buffers = b;
    fprintf(stderr, "real-buffers: resource %u kind %d fd %d\n",
            b->id, kind, fd);
    return 0;
}

int virgl_renderer_resource_export_blob(uint32_t id, uint32_t *fd_type, int *fd)
{
    struct buffer *b = find(id);

    if (!b || !b->type) {
        return -EINVAL;
    }
    *fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 0);
    if (*fd < 0) {
        return -errno;
    }
    *fd_type = b->type;
    return 0;
}

int virgl_renderer_resource_get_map_info(uint32_t id, uint32_t *map_info)
{
    struct buffer *b = find(id);

    if (!b || b->word == WORD_FAILS) {
        return -EINVAL;
    }
    *map_info = b->word;
    return 0;
}

int virgl_renderer_resource_map(uint32_t id, void **map, uint64_t *size)
{
    struct buffer *b = find(id);
    off_t len;
    void *p;

    if (!b) {
        return -EINVAL;
    }
    len = lseek(b->fd, 0, SEEK_END);
    p = mmap(NULL, len, PROT_READ | PROT_WRITE, b->map_flags, b->fd, 0);
    if (p == MAP_FAILED) {
        return -errno;
    }
    *map = b->map = p;
    *size = b->map_size = len;
    return 0;
}

int virgl_renderer_resource_unmap(uint32_t id)
{
    struct buffer *b = find(id);

    if (!b || !b->map) {
        return -EINVAL;
    }
    munmap(b->map, b->map_size);
    b->map = NULL;
    return 0;
}

int virgl_renderer_resource_get_info(int id,
                                     struct virgl_renderer_resource_info *info)
{
    memset(info, 0, sizeof(*info));
    info->handle = id;
    return find(id) ? 0 : EINVAL;
}

int virgl_renderer_resource_get_info_ext(
    int id, struct virgl_renderer_resource_info_ext *info)
{
    memset(info, 0, sizeof(*info));
    return virgl_renderer_resource_get_info(id, &info->base);
}

void virgl_renderer_resource_unref(uint32_t id)
{
    struct buffer **p, *b;

    for (p = &buffers; (b = *p); p = &b->next) {
        if (b->id == id) {
            *p = b->next;
            close(b->fd);
            free(b);
            return;
        }
    }
}

/*
 * The renderer's interface: the rest
 */

/* Maps memory anywhere, as many threads of QEMU do; writes what others see */
static void *map_anywhere(void *opaque)
{
    unsigned i, turn = 0;

    for (;;) {
        size_t len = (1 + turn++ % 4) * PAGE;
        volatile uint8_t *at = mmap(NULL, len, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (at == MAP_FAILED) {
            return opaque;
        }
        for (i = 0; i < len; i++) {
            at[i] = 0xee;
        }
        for (i = 0; i < len; i++) {
            if (at[i] != 0xee) {
                fprintf(stderr, "real-buffers: not ours at %p\n",
                        (void *)(at + i));
            }
        }
        munmap((void *)at, len);
    }
}

static void start_threads(void)
{
    const char *n = getenv("REAL_BUFFERS_THREADS");
    pthread_t thread;
    int i;

    for (i = 0; n && i < atoi(n); i++) {
        if (pthread_create(&thread, NULL, map_anywhere, NULL)) {
            abort();
        }
    }
}

int virgl_renderer_init(void *c, int flags,
                        struct virgl_renderer_callbacks *cb)
{
    (void)flags;
    if (!callbacks) {
        start_threads();
    }
    cookie = c;
    callbacks = cb;
    return 0;
}

void virgl_renderer_reset(void)
{
    while (buffers) {
        virgl_renderer_resource_unref(buffers->id);
    }
}

void virgl_renderer_cleanup(void *c)
{
    (void)c;
    virgl_renderer_reset();
}

void virgl_renderer_force_ctx_0(void)
{
}

/* All that was asked is done at once, but may be told only when polled. */
static void add_fence(struct fence fence)
{
    struct fence *f = malloc(sizeof(*f));

    if (!f) {
        abort();
    }
    *f = fence;
    *fences_end = f;
    fences_end = &f->next;
}

int virgl_renderer_create_fence(int id, uint32_t ctx)
{
    (void)ctx;
    add_fence((struct fence) { .id = id });
    return 0;
}

int virgl_renderer_context_create_fence(uint32_t ctx, uint32_t flags,
                                        uint32_t ring, uint64_t id)
{
    (void)flags;
    add_fence((struct fence) {
        .of_context = true,
        .ctx = ctx,
        .ring = ring,
        .id = id,
    });
    return 0;
}

void virgl_renderer_poll(void)
{
    struct fence *f;

    while ((f = fences)) {
        fences = f->next;
        if (!fences) {
            fences_end = &fences;
        }
        if (f->of_context) {
            callbacks->write_context_fence(cookie, f->ctx, f->ring, f->id);
        } else {
            callbacks->write_fence(cookie, f->id);
        }
        free(f);
    }
}

int virgl_renderer_context_create(uint32_t id, uint32_t len, const char *name)
{
    (void)id, (void)len, (void)name;
    return 0;
}

int virgl_renderer_context_create_with_flags(uint32_t id, uint32_t flags,
                                             uint32_t len, const char *name)
{
    (void)id, (void)flags, (void)len, (void)name;
    return 0;
}

void virgl_renderer_context_destroy(uint32_t id)
{
    (void)id;
}

void virgl_renderer_ctx_attach_resource(int ctx, int id)
{
    (void)ctx, (void)id;
}

void virgl_renderer_ctx_detach_resource(int ctx, int id)
{
    (void)ctx, (void)id;
}

int virgl_renderer_submit_cmd(void *buf, int ctx, int ndw)
{
    (void)buf, (void)ctx, (void)ndw;
    return 0;
}

void virgl_renderer_get_cap_set(uint32_t set, uint32_t *version, uint32_t *size)
{
    (void)set;
    *version = 1;
    *size = 64;
}

void virgl_renderer_fill_caps(uint32_t set, uint32_t version, void *caps)
{
    (void)set, (void)version;
    memset(caps, 0, 64);
}

void *virgl_renderer_get_cursor_data(uint32_t id, uint32_t *w, uint32_t *h)
{
    (void)id, (void)w, (void)h;
    return NULL;
}

int virgl_renderer_resource_create(
    struct virgl_renderer_resource_create_args *args, struct iovec *iov,
    uint32_t num)
{
    (void)args, (void)iov, (void)num;
    return -EINVAL;
}

int virgl_renderer_resource_attach_iov(int id, struct iovec *iov, int num)
{
    (void)id, (void)iov, (void)num;
    return -EINVAL;
}

void virgl_renderer_resource_detach_iov(int id, struct iovec **iov, int *num)
{
    (void)id;
    *iov = NULL;
    *num = 0;
}

int virgl_renderer_transfer_read_iov(uint32_t id, uint32_t ctx, uint32_t level,
                                     uint32_t stride, uint32_t layer,
                                     struct virgl_box *box, uint64_t offset,
                                     struct iovec *iov, int num)
{
    (void)id, (void)ctx, (void)level, (void)stride, (void)layer, (void)box;
    (void)offset, (void)iov, (void)num;
    return -EINVAL;
}

int virgl_renderer_transfer_write_iov(uint32_t id, uint32_t ctx, int level,
                                      uint32_t stride, uint32_t layer,
                                      struct virgl_box *box, uint64_t offset,
                                      struct iovec *iov, unsigned int num)
{
    (void)id, (void)ctx, (void)level, (void)stride, (void)layer, (void)box;
    (void)offset, (void)iov, (void)num;
    return -EINVAL;
}
