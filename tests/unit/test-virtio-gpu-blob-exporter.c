/*
 * A dma-buf's exporter, where there is none: files of other kinds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "hw/display/virtio-gpu-blob-exporter.h"

#include <sys/resource.h>

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

/* A file of another kind has no name, and no fd is left open. */
static void test_no_name(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);
    VirtIOGPUBlobNamed known = {};
    unsigned before = count_fds();

    g_assert_null(virtio_gpu_blob_exporter_name(fd, &known));
    g_assert_cmpint(errno, ==, ENOENT);
    g_assert_null(virtio_gpu_blob_exporter_name(fd, NULL));
    g_assert_null(known.name);
    g_assert_cmpuint(count_fds(), ==, before);
    close(fd);
    g_assert_null(virtio_gpu_blob_exporter_name(fd, &known));
    g_assert_cmpint(errno, ==, ENOENT);
}

/* For want of fds, no name is not the same as a buffer without one. */
static void test_no_fds(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);
    struct rlimit old, none;

    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &old), ==, 0);
    none = old;
    none.rlim_cur = fd;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
    g_assert_null(virtio_gpu_blob_exporter_name(fd, NULL));
    g_assert_cmpint(errno, ==, EMFILE);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &old), ==, 0);
    close(fd);
}

/* The name of one file is not used for another with the same number. */
static void test_known(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);
    struct stat st;
    int i;

    g_assert_cmpint(fstat(fd, &st), ==, 0);
    for (i = 0; i < 4; i++) {
        VirtIOGPUBlobNamed known = {
            .dev = st.st_dev + (i & 1),
            .ino = st.st_ino + (i >> 1),
            .name = "udmabuf",
        };

        g_assert_cmpstr(virtio_gpu_blob_exporter_name(fd, &known), ==,
                        i ? NULL : "udmabuf");
    }
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu-blob/exporter/ask", test_ask);
    g_test_add_func("/virtio-gpu-blob/exporter/no-name", test_no_name);
    g_test_add_func("/virtio-gpu-blob/exporter/no-fds", test_no_fds);
    g_test_add_func("/virtio-gpu-blob/exporter/known", test_known);

    return g_test_run();
}
