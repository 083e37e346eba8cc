/*
 * A dma-buf's exporter, where there is none: files of other kinds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "hw/display/virtio-gpu-blob-exporter.h"

static unsigned count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    g_assert_nonnull(dir);
    while (g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

static void test_ask(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);

    g_assert_cmpint(virtio_gpu_blob_exporter_ask(fd), ==,
                    VIRTIO_GPU_EXPORTER_UNSUPPORTED);
    close(fd);
    g_assert_cmpint(virtio_gpu_blob_exporter_ask(fd), ==,
                    VIRTIO_GPU_EXPORTER_FAILED);
}

/* What has no name gets none, and nobody else's. */
static void test_no_name(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);
    VirtIOGPUBlobNamed named = {};
    VirtIOGPUBlobNames names;
    char name[64] = "another's";

    virtio_gpu_blob_names_open(&names);
    g_assert_true(virtio_gpu_blob_exporter_name(&names, &named, fd, name,
                                                sizeof(name)));
    g_assert_cmpstr(name, ==, "");
    g_assert_null(named.name);
    close(fd);
    g_assert_false(virtio_gpu_blob_exporter_name(&names, &named, fd, name,
                                                 sizeof(name)));
    virtio_gpu_blob_names_close(&names);
}

/* The buffer is let go, and at the end all is. */
static void test_life(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);
    unsigned before = count_fds();
    VirtIOGPUBlobNames names = { .busy = true };
    VirtIOGPUBlobNamed named = {};
    struct stat own, shown;
    char name[64] = "";

    g_assert_cmpint(fstat(fd, &own), ==, 0);
    virtio_gpu_blob_names_open(&names);
    g_assert_cmpuint(count_fds(), ==, before + 2);
    g_assert_false(names.busy);
    virtio_gpu_blob_exporter_name(&names, &named, fd, name, sizeof(name));
    g_assert_cmpint(fstat(names.fd, &shown), ==, 0);
    g_assert_cmpuint(shown.st_ino, ==, own.st_ino);
    g_assert_cmpint(fcntl(names.fd, F_GETFD) & FD_CLOEXEC, ==, FD_CLOEXEC);
    virtio_gpu_blob_names_rest(&names);
    g_assert_cmpint(fstat(names.fd, &shown), ==, 0);
    g_assert_true(shown.st_ino != own.st_ino || shown.st_dev != own.st_dev);
    g_assert_false(names.busy);
    virtio_gpu_blob_names_close(&names);
    g_assert_cmpuint(count_fds(), ==, before);
    close(fd);
}

/* What is known of a file is told of no other, be it with the same number. */
static void test_known(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);
    VirtIOGPUBlobNames names;
    struct stat st;
    int i;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    virtio_gpu_blob_names_open(&names);
    for (i = 0; i < 4; i++) {
        VirtIOGPUBlobNamed named = {
            .dev = st.st_dev + (i & 1),
            .ino = st.st_ino + (i >> 1),
            .name = "udmabuf",
        };
        char name[64] = "";

        g_assert_true(virtio_gpu_blob_exporter_name(&names, &named, fd, name,
                                                    sizeof(name)));
        g_assert_cmpstr(name, ==, i ? "" : "udmabuf");
        g_assert_cmpint(names.busy, ==, i > 0);
    }
    virtio_gpu_blob_names_close(&names);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu-blob/exporter/ask", test_ask);
    g_test_add_func("/virtio-gpu-blob/exporter/no-name", test_no_name);
    g_test_add_func("/virtio-gpu-blob/exporter/life", test_life);
    g_test_add_func("/virtio-gpu-blob/exporter/known", test_known);

    return g_test_run();
}
