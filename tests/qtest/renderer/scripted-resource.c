/*
 * Scripted renderer: resources and their buffers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See scripted-renderer.h for how a test says what a blob is like.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <virglrenderer.h>

#include "scripted-internal.h"

#define BUCKETS 65536
#define PAGE 4096ull

struct resource {
    struct resource *next;
    struct resource *next_drivers;
    uint32_t id;
    struct scripted_blob blob;
    uint64_t size;
    uint64_t length; /* of the buffer, whole pages */
    bool wordless;   /* OpenGL's, made too early */
    int fd;
    void *map;
    struct iovec *iov;
    int num_iovs;
};

static struct resource *buckets[BUCKETS];
static struct resource *drivers; /* those with a mapping of a driver's */
static int one_buffer = -1;

static void fault(const char *what, uint32_t id)
{
    scripted_shared()->faults++;
    fprintf(stderr, "scripted renderer: %s (resource %u)\n", what, id);
}

/*
 * Resources
 */

static struct resource **find_link(uint32_t id)
{
    struct resource **link = &buckets[id % BUCKETS];

    while (*link && (*link)->id != id) {
        link = &(*link)->next;
    }
    return link;
}

static struct resource *find(uint32_t id)
{
    return *find_link(id);
}

static struct resource *add(uint32_t id)
{
    struct resource *res;

    if (find(id)) {
        fault("id in use", id);
    }
    res = calloc(1, sizeof(*res));
    res->id = id;
    res->fd = -1;
    res->next = buckets[id % BUCKETS];
    buckets[id % BUCKETS] = res;
    scripted_shared()->fd[id % SCRIPTED_FDS] = -1;
    scripted_shared()->live++;
    return res;
}

bool scripted_is_drivers(const void *at)
{
    const struct resource *res = drivers;

    while (res && res->map != at) {
        res = res->next_drivers;
    }
    return res;
}

static void unmap_buffer(struct resource *res)
{
    struct resource **link = &drivers;

    while (*link && *link != res) {
        link = &(*link)->next_drivers;
    }
    if (*link) {
        *link = res->next_drivers;
    }
    munmap(res->map, res->length);
    res->map = NULL;
}

static void drop(struct resource **link)
{
    struct resource *res = *link;

    *link = res->next;
    if (res->map) {
        unmap_buffer(res);
    }
    if (res->fd >= 0 && res->fd != one_buffer) {
        scripted_close(res->fd);
    }
    scripted_shared()->fd[res->id % SCRIPTED_FDS] = -1;
    scripted_shared()->live--;
    free(res);
}

static uint64_t buffer_length(struct scripted_blob blob, uint64_t size)
{
    uint64_t pages = (size + PAGE - 1) / PAGE * PAGE;

    switch (blob.length) {
    case LENGTH_HALF:
        return size / 2;
    case LENGTH_BYTE_SHORT:
        return size - 1;
    default:
        return blob.pointer == POINTER_TWICE ? pages * 2 : pages;
    }
}

static void stamp(const struct resource *res)
{
    uint64_t page;

    for (page = 0; page < res->length / PAGE && page < 64; page++) {
        uint64_t text = scripted_stamp(res->id, page);

        if (pwrite(res->fd, &text, sizeof(text), page * PAGE) < 0) {
            fault("stamp", res->id);
        }
    }
}

static bool make_buffer(struct resource *res)
{
    if (res->blob.one_buffer) {
        if (one_buffer < 0) {
            one_buffer = scripted_buffer_new("scripted-one", 1 << 20, true);
        }
        res->fd = one_buffer;
        return true;
    }
    res->fd = res->blob.huge_pages
              ? scripted_huge_pages_new()
              : scripted_buffer_new(SCRIPTED_BUFFER_NAME, res->length,
                                    !res->blob.sealed);
    if (res->fd < 0) {
        return false;
    }
    scripted_shared()->fd[res->id % SCRIPTED_FDS] = res->fd;
    if (!res->blob.huge_pages) {
        stamp(res);
    }
    return true;
}

int virgl_renderer_resource_create_blob(
    const struct virgl_renderer_resource_create_blob_args *args)
{
    const struct scripted_blob blob = scripted_blob_of(args->blob_id);
    struct resource *res;
    int ret = scripted_refuses(SCRIPTED_REFUSE_BLOB);

    if (ret || blob.create_fails) {
        return ret ? ret : -EINVAL;
    }
    res = add(args->res_handle);
    res->iov = (struct iovec *)args->iovecs;
    res->num_iovs = args->num_iovs;
    if (args->blob_mem == VIRGL_RENDERER_BLOB_MEM_GUEST) {
        return 0;
    }
    res->blob = blob;
    res->wordless = blob.gl && !scripted_caps_filled();
    res->size = args->size;
    res->length = buffer_length(blob, res->size);
    /* Size 0 and sizes beyond any memory are there to be refused later. */
    if (res->length && res->length < 1ull << 40 && !make_buffer(res)) {
        drop(find_link(args->res_handle));
        return -ENOMEM;
    }
    return 0;
}

int virgl_renderer_resource_create(
    struct virgl_renderer_resource_create_args *args, struct iovec *iov,
    uint32_t num_iovs)
{
    struct resource *res;
    int ret = scripted_refuses(SCRIPTED_REFUSE_RESOURCE);

    if (ret) {
        /* The real one's errors are positive here. */
        return -ret;
    }
    res = add(args->handle);
    res->iov = iov;
    res->num_iovs = num_iovs;
    return 0;
}

void virgl_renderer_resource_unref(uint32_t id)
{
    struct resource **link = find_link(id);

    if (!*link) {
        fault("unref of what is not there", id);
        return;
    }
    if ((*link)->map) {
        fault("unref while mapped", id);
    }
    drop(link);
}

int virgl_renderer_resource_attach_iov(int id, struct iovec *iov, int num)
{
    struct resource *res = find(id);

    if (!res || res->iov) {
        return -EINVAL;
    }
    res->iov = iov;
    res->num_iovs = num;
    return 0;
}

void virgl_renderer_resource_detach_iov(int id, struct iovec **iov, int *num)
{
    struct resource *res = find(id);

    if (!res) {
        return;
    }
    if (iov) {
        *iov = res->iov;
    }
    if (num) {
        *num = res->num_iovs;
    }
    res->iov = NULL;
    res->num_iovs = 0;
}

int virgl_renderer_resource_get_info(int id,
                                     struct virgl_renderer_resource_info *info)
{
    const struct resource *res = find(id);

    if (!res || res->blob.info_fails) {
        return -EINVAL;
    }
    memset(info, 0, sizeof(*info));
    info->handle = id;
    info->width = 64;
    info->height = 64;
    info->fd = res->blob.backing == BACKING_DMABUF ? res->fd : -1;
    return 0;
}

int virgl_renderer_resource_get_info_ext(
    int id, struct virgl_renderer_resource_info_ext *info)
{
    memset(info, 0, sizeof(*info));
    return virgl_renderer_resource_get_info(id, &info->base);
}

/*
 * Blobs
 */

int virgl_renderer_resource_get_map_info(uint32_t id, uint32_t *map_info)
{
    static const uint32_t words[] = { 0, 0, 1, 2, 3, 0x1f, 0xffffffff, 0 };
    const struct resource *res = find(id);

    scripted_shared()->words++;
    if (!res || res->blob.word == WORD_ERROR) {
        return -EINVAL;
    }
    *map_info = res->wordless ? 0 : words[res->blob.word];
    return 0;
}

static int export(const struct resource *res)
{
    if (scripted_is_to_fail(SCRIPTED_EXPORT)) {
        return -1;
    }
    if (res->blob.access) {
        return scripted_open_again(res->fd, res->blob.access == ACCESS_READ_ONLY
                                            ? O_RDONLY : O_WRONLY);
    }
    if (res->blob.new_export) {
        return scripted_buffer_new(SCRIPTED_BUFFER_NAME, res->length, true);
    }
    return fcntl(res->fd, F_DUPFD_CLOEXEC, 0);
}

int virgl_renderer_resource_export_blob(uint32_t id, uint32_t *type, int *fd)
{
    static const uint32_t types[] = {
        [BACKING_DMABUF] = VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF,
        [BACKING_SHM] = VIRGL_RENDERER_BLOB_FD_TYPE_SHM,
        [BACKING_OPAQUE] = VIRGL_RENDERER_BLOB_FD_TYPE_OPAQUE,
    };
    const struct resource *res = find(id);
    int copy;

    if (!res || res->fd < 0 || res->blob.backing == BACKING_NONE) {
        return -EINVAL;
    }
    copy = export(res);
    if (copy < 0) {
        return -errno;
    }
    scripted_shared()->exports++;
    scripted_fd_open(copy, res->blob);
    *type = types[res->blob.backing];
    *fd = copy;
    return 0;
}

static int map_buffer(struct resource *res)
{
    void *map = scripted_map(res->length, res->fd, res->blob.memory);

    if (map == MAP_FAILED) {
        return -errno;
    }
    res->map = map;
    if (res->blob.memory == MEMORY_DRIVER) {
        res->next_drivers = drivers;
        drivers = res;
    }
    scripted_shared()->maps++;
    return 0;
}

int virgl_renderer_resource_map(uint32_t id, void **map, uint64_t *size)
{
    struct resource *res = find(id);
    int ret;

    if (!res || res->map || res->fd < 0) {
        return -EINVAL;
    }
    switch (res->blob.pointer) {
    case POINTER_EINVAL:
        return -EINVAL;
    case POINTER_ENOMEM:
        return -ENOMEM;
    }
    ret = map_buffer(res);
    if (ret) {
        return ret;
    }
    *map = res->map;
    *size = res->length;
    switch (res->blob.pointer) {
    case POINTER_MISALIGNED:
        *map += 512;
        break;
    case POINTER_SHORT:
        *size = PAGE;
        break;
    case POINTER_NULL:
        *map = NULL;
        break;
    case POINTER_EXACT:
        *size = res->size;
        break;
    default:
        break;
    }
    return 0;
}

/* It does not remember what it has mapped so. */
int virgl_renderer_resource_map_fixed(uint32_t id, void *at)
{
    const struct resource *res = find(id);
    uint32_t how = scripted_shared()->map_fixed;
    bool less = how == SCRIPTED_FIXED_SHORT || how == SCRIPTED_FIXED_HALF;

    if ((uintptr_t)at % PAGE) {
        fault("to be mapped at no address", id);
    }
    if (!res || res->fd < 0 || how == SCRIPTED_FIXED_NONE) {
        return res ? -EOPNOTSUPP : -EINVAL;
    }
    if (how == SCRIPTED_FIXED_LONG) {
        scripted_map_at(at, res->length * 2, res->fd, true);
    } else if (how != SCRIPTED_FIXED_LAZY && (!less || res->length > PAGE)) {
        scripted_map_at(at, res->length - (less ? PAGE : 0), res->fd,
                        how != SCRIPTED_FIXED_READ);
    }
    if (how == SCRIPTED_FIXED_HOLE) {
        scripted_map_at((char *)at + PAGE, PAGE, res->fd, false);
    }
    return how == SCRIPTED_FIXED_HALF || how == SCRIPTED_FIXED_FAILS
           ? -ENOMEM : 0;
}

int virgl_renderer_resource_unmap(uint32_t id)
{
    struct resource *res = find(id);

    if (!res || !res->map) {
        fault("unmap of what is not mapped", id);
        return -EINVAL;
    }
    unmap_buffer(res);
    scripted_shared()->unmaps++;
    return 0;
}

void scripted_drop_resources(void)
{
    unsigned i;

    for (i = 0; scripted_shared()->live && i < BUCKETS; i++) {
        while (buckets[i]) {
            if (buckets[i]->map) {
                fault("reset while mapped", buckets[i]->id);
            }
            drop(&buckets[i]);
        }
    }
}
