/*
 * Buffers of which only the renderer has a mapping: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "hw/display/virtio-gpu-blob-internal.h"

#include <virglrenderer.h>

static size_t page;

/* What the renderer does, and has done */
static struct {
    int result;         /* of virgl_renderer_resource_map() */
    void *host;
    uint64_t size;
    int mapped;         /* maps less unmaps */
    bool fixed;         /* virgl_renderer_resource_map_fixed() works */
    int fixed_fd;
    int fixed_access;
    size_t fixed_len;
} renderer;

int virgl_renderer_resource_map(uint32_t id, void **map, uint64_t *size)
{
    *map = renderer.host;
    *size = renderer.size;
    renderer.mapped += !renderer.result;
    return renderer.result;
}

int virgl_renderer_resource_unmap(uint32_t id)
{
    renderer.mapped--;
    return 0;
}

/* virglrenderer 1.3 has it; the prototype is for those headers that do not. */
int virgl_renderer_resource_map_fixed(uint32_t id, void *at);
int virgl_renderer_resource_map_fixed(uint32_t id, void *at)
{
    g_assert_cmpint(renderer.mapped, ==, 0);
    if (!renderer.fixed) {
        return -EINVAL;
    }
    g_assert_true(mmap(at, renderer.fixed_len, renderer.fixed_access,
                       MAP_SHARED | MAP_FIXED, renderer.fixed_fd, 0) == at);
    return 0;
}

/* Four pages of a file, each beginning with its number */
static int new_file(void)
{
    int fd = qemu_memfd_create("test", 4 * page, false, 0, 0, &error_abort);
    uint64_t i;

    for (i = 0; i < 4; i++) {
        g_assert_cmpint(pwrite(fd, &i, sizeof(i), i * page), ==, sizeof(i));
    }
    return fd;
}

static void set_up(int access, int flags, int fd, size_t len)
{
    memset(&renderer, 0, sizeof(renderer));
    renderer.host = mmap(NULL, len, access, flags, fd, 0);
    renderer.size = len;
    g_assert_true(renderer.host != MAP_FAILED);
}

static VirtIOGPUBlobReason map(size_t len, void **host, bool *ours)
{
    int err;

    return virtio_gpu_blob_renderer_map(1, len, len, false, host, ours, &err);
}

#define RW (PROT_READ | PROT_WRITE)

/* The second mapping is the same memory, and stays when the first one goes. */
static void test_shared(void)
{
    int fd = new_file();
    uint64_t *at;
    void *host;
    bool ours;

    set_up(RW, MAP_SHARED, fd, 2 * page);
    close(fd);
    g_assert_cmpint(map(2 * page, &host, &ours), ==, VIRTIO_GPU_BLOB_OK);
    g_assert_true(ours && host != renderer.host);
    g_assert_cmpint(renderer.mapped, ==, 0);
    at = host + page;
    ((uint64_t *)(renderer.host + page))[1] = 7;
    g_assert_cmpuint(at[0], ==, 1);
    g_assert_cmpuint(at[1], ==, 7);
    munmap(renderer.host, 2 * page);
    g_assert_cmpuint(at[1], ==, 7);
    munmap(host, 2 * page);
}

/* The renderer says more than it has mapped: nothing behind it may show. */
static void test_beyond(void)
{
    int fd = new_file();
    void *host, *next;
    bool ours;

    set_up(RW, MAP_SHARED, fd, 4 * page);
    next = renderer.host + 2 * page;
    g_assert_true(mmap(next, 2 * page, RW, MAP_PRIVATE | MAP_ANONYMOUS |
                       MAP_FIXED, -1, 0) == next);
    g_assert_cmpint(map(4 * page, &host, &ours), ==, VIRTIO_GPU_BLOB_OK);
    g_assert_true(!ours && host == renderer.host);
    g_assert_cmpint(renderer.mapped, ==, 1);
    munmap(renderer.host, 4 * page);
    close(fd);
}

/* Memory that cannot be mapped again is the renderer's until it is unmapped. */
static void test_private(void)
{
    void *host;
    bool ours;

    set_up(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, page);
    g_assert_cmpint(map(page, &host, &ours), ==, VIRTIO_GPU_BLOB_OK);
    g_assert_true(!ours && host == renderer.host);
    g_assert_cmpint(renderer.mapped, ==, 1);
    munmap(renderer.host, page);
}

/* A writable file that the renderer has mapped for reading stays read-only. */
static void test_read_only(void)
{
    int fd = new_file();
    void *host;
    bool ours;

    set_up(PROT_READ, MAP_SHARED, fd, page);
    g_assert_cmpint(map(page, &host, &ours), ==,
                    VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE);
    g_assert_cmpint(renderer.mapped, ==, 0);
    munmap(renderer.host, page);
    close(fd);
}

static void test_bad(void)
{
    const struct {
        int result;
        size_t offset;  /* of the address */
        uint64_t got, size;
        VirtIOGPUBlobReason reason;
    } rows[] = {
        { -EINVAL, 0, 0, page, VIRTIO_GPU_BLOB_MAP_FAILED },
        { -ENOMEM, 0, 0, page, VIRTIO_GPU_BLOB_MAP_FAILED },
        { 0, 512, 2 * page, page, VIRTIO_GPU_BLOB_MAP_FAILED },
        { 0, 0, page, page + 1, VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT },
        /* long enough for the blob, but not for its last page */
        { 0, 0, page + 512, page + 1, VIRTIO_GPU_BLOB_MAP_FAILED },
    };
    void *host, *first;
    bool ours;
    size_t i;
    int err;

    set_up(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 2 * page);
    first = renderer.host;
    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        renderer.result = rows[i].result;
        renderer.host = first + rows[i].offset;
        renderer.size = rows[i].got;
        g_assert_cmpint(virtio_gpu_blob_renderer_map(1, rows[i].size,
                            ROUND_UP(rows[i].size, page), false, &host, &ours,
                            &err), ==, rows[i].reason);
        g_assert_cmpint(err, ==, -rows[i].result);
        g_assert_cmpint(renderer.mapped, ==, 0);
    }
    renderer.result = 0;
    renderer.host = NULL;
    g_assert_cmpint(map(page, &host, &ours), ==, VIRTIO_GPU_BLOB_MAP_FAILED);
    munmap(first, 2 * page);
}

/* Where the first way fails, the renderer maps at an address of ours. */
static void test_fixed(void)
{
    static const struct {
        bool works;
        int access;
        unsigned pages; /* mapped, of two */
        bool slots_look;
        bool ours;
    } rows[] = {
        { true, RW, 2, false, true },
        { true, RW, 4, false, true },
        { true, RW, 1, false, false },
        { true, PROT_READ, 2, false, false },
        { false, RW, 2, false, false },
        { true, RW, 2, true, false },
    };
    void *low = virtio_gpu_blob_vma_reserve_low(page,
                                                MAP_PRIVATE | MAP_ANONYMOUS,
                                                -1);
    int fd = new_file();
    size_t i;

    if (!low) {
        g_test_skip("no low addresses on this host or with this sanitizer");
    }
    for (i = 0; low && i < G_N_ELEMENTS(rows); i++) {
        void *host;
        bool ours;
        int err;

        set_up(RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 2 * page);
        renderer.fixed = rows[i].works;
        renderer.fixed_fd = fd;
        renderer.fixed_access = rows[i].access;
        renderer.fixed_len = rows[i].pages * page;
        g_assert_cmpint(virtio_gpu_blob_renderer_map(1, 2 * page, 2 * page,
                                                     rows[i].slots_look, &host,
                                                     &ours, &err), ==,
                        VIRTIO_GPU_BLOB_OK);
        g_assert_true(ours == rows[i].ours);
        g_assert_cmpint(renderer.mapped, ==, !ours);
        if (ours) {
            g_assert_cmpuint(*(uint64_t *)(host + page), ==, 1);
            munmap(host, 2 * page);
        }
        munmap(renderer.host, 2 * page);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    page = qemu_real_host_page_size();
    g_test_init(&argc, &argv, NULL);

    g_test_add_func("/virtio-gpu-blob/renderer/shared", test_shared);
    g_test_add_func("/virtio-gpu-blob/renderer/beyond", test_beyond);
    g_test_add_func("/virtio-gpu-blob/renderer/private", test_private);
    g_test_add_func("/virtio-gpu-blob/renderer/read-only", test_read_only);
    g_test_add_func("/virtio-gpu-blob/renderer/bad", test_bad);
    g_test_add_func("/virtio-gpu-blob/renderer/fixed", test_fixed);

    return g_test_run();
}
