/*
 * A dma-buf's exporter, where there is none: files of other kinds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/resource.h>
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "hw/display/virtio-gpu-blob-exporter.h"

static void test_ask(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);

    g_assert_cmpint(virtio_gpu_blob_exporter_ask(fd), ==,
                    VIRTIO_GPU_EXPORTER_UNSUPPORTED);
    close(fd);
    g_assert_cmpint(virtio_gpu_blob_exporter_ask(fd), ==,
                    VIRTIO_GPU_EXPORTER_FAILED);
}

/* The name of one file is not used for another with the same number. */
static void test_known(void)
{
    int fd = qemu_memfd_create("test", 4096, false, 0, 0, &error_abort);
    struct rlimit limit, low;
    struct stat st;
    int next;

    getrlimit(RLIMIT_NOFILE, &limit);
    low = limit;
    low.rlim_cur = 0;
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &low), ==, 0);
    g_assert_null(virtio_gpu_blob_exporter_name(fd, NULL));
    g_assert_cmpint(errno, ==, EMFILE);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &limit), ==, 0);

    /* The doctor keeps no names. */
    g_assert_null(virtio_gpu_blob_exporter_name(fd, NULL));
    g_assert_cmpint(errno, ==, ENOENT);

    next = dup(fd);
    close(next);
    g_assert_cmpint(fstat(fd, &st), ==, 0);
    for (int i = 0; i < 4; i++) {
        VirtIOGPUBlobNamed known = {
            .dev = st.st_dev + (i & 1),
            .ino = st.st_ino + (i >> 1),
            .name = "udmabuf",
        };

        errno = EMFILE;
        g_assert_cmpstr(virtio_gpu_blob_exporter_name(fd, &known), ==,
                        i ? NULL : "udmabuf");
        g_assert_cmpint(errno, ==, i ? ENOENT : EMFILE);
    }
    /* No file descriptor is left open. */
    g_assert_cmpint(dup(fd), ==, next);
    close(next);
    close(fd);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu-blob/exporter/ask", test_ask);
    g_test_add_func("/virtio-gpu-blob/exporter/known", test_known);

    return g_test_run();
}
