/*
 * qtest for virtio-gpu-gl: what can be found out about a buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/memfd.h"
#include "virtio-gpu-gl-client.h"

#include <sys/resource.h>

/*
 * Seals
 */

static int open_buffer(GPU *gpu, uint32_t id)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d",
        (int)qtest_pid(gpu_qts(gpu)), gpu_shared(gpu)->fd[id]);
    int fd = open(path, O_RDWR | O_CLOEXEC);

    g_assert_cmpint(fd, >=, 0);
    return fd;
}

/* It keeps its length for as long as a guest can see it, and after. */
static void test_sealed(void)
{
    GPU *gpu = gpu_start_plain();
    int fd;

    gpu_create(gpu, 1, SCRIPTED_SHM, 4 * GPU_PAGE);
    fd = open_buffer(gpu, 1);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, 0);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, F_SEAL_SHRINK);
    g_assert_cmpint(ftruncate(fd, GPU_PAGE), ==, -1);
    g_assert_cmphex(gpu_read(gpu, 3 * GPU_PAGE), ==, scripted_stamp(1, 3));
    /* Once is enough. */
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, F_SEAL_SHRINK);
    close(fd);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* A buffer that is refused stays as it is: facts are found without a seal. */
static void test_not_sealed(void)
{
    GPU *gpu = gpu_start_plain();
    int fd;

    gpu_create(gpu, 1, SCRIPTED_SHM | SCRIPTED_HALF, 4 * GPU_PAGE);
    fd = open_buffer(gpu, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, UNSPEC);
    g_assert_cmpuint(gpu_refused(gpu, "buffer-too-short"), ==, 1);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, 0);
    close(fd);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* One that gets shorter before it is sealed is not mapped. */
static void test_shrinks(void)
{
    GPU *gpu = gpu_start_plain();

    gpu_create(gpu, 1, SCRIPTED_SHM, 4 * GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_SHRINK, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, UNSPEC);
    g_assert_cmpuint(gpu_refused(gpu, "buffer-too-short"), ==, 1);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* A buffer that cannot be sealed any more is mapped as it is. */
static void test_sealed_otherwise(void)
{
    GPU *gpu = gpu_start_plain();
    int fd;

    gpu_create(gpu, 1, SCRIPTED_SHM | SCRIPTED_SEALED, 4 * GPU_PAGE);
    fd = open_buffer(gpu, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_cmpint(fcntl(fd, F_GET_SEALS), ==, F_SEAL_SEAL);
    close(fd);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* The fd is a copy of the renderer's, which has the same offset. */
static void test_offset(void)
{
    static const uint64_t backings[] = { SCRIPTED_SHM, SCRIPTED_OPAQUE };
    GPU *gpu = gpu_start_plain();
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(backings); i++) {
        g_autofree char *path = NULL;
        g_autofree char *info = NULL;

        gpu_create(gpu, 1, backings[i] | SCRIPTED_WORD_CACHED, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        path = g_strdup_printf("/proc/%d/fdinfo/%d",
                               (int)qtest_pid(gpu_qts(gpu)),
                               gpu_shared(gpu)->fd[1]);
        g_assert_true(g_file_get_contents(path, &info, NULL, NULL));
        g_assert_true(g_str_has_prefix(info, "pos:\t0\n"));
        gpu_unref(gpu, 1);
    }
    gpu_finish(gpu);
}

/*
 * No fds left
 */

static unsigned lowest_free_fd(pid_t pid)
{
    unsigned fd;

    for (fd = 0;; fd++) {
        g_autofree char *path = g_strdup_printf("/proc/%d/fd/%u", (int)pid,
                                                fd);
        struct stat st;

        if (lstat(path, &st)) {
            return fd;
        }
    }
}

/* QEMU may open @n files more. */
static struct rlimit leave_fds(GPU *gpu, unsigned n)
{
    pid_t pid = qtest_pid(gpu_qts(gpu));
    struct rlimit old, new;

    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, NULL, &old), ==, 0);
    new = old;
    new.rlim_cur = lowest_free_fd(pid) + n;
    g_assert_cmpint(prlimit(pid, RLIMIT_NOFILE, &new, NULL), ==, 0);
    return old;
}

static void restore_fds(GPU *gpu, const struct rlimit *old)
{
    g_assert_cmpint(prlimit(qtest_pid(gpu_qts(gpu)), RLIMIT_NOFILE, old, NULL),
                    ==, 0);
}

/* What cannot be found out is refused, and not taken for something else. */
static void test_no_fds(void)
{
    static const struct {
        const char *name;
        uint64_t blob_id;
        unsigned left;
        uint32_t otherwise;
    } rows[] = {
        { "incoherent", SCRIPTED_DMABUF | SCRIPTED_INCOHERENT |
          SCRIPTED_WORD_CACHED, 0, UNSPEC },
        { "shm", SCRIPTED_SHM, 0, GRANTED },
        { "short", SCRIPTED_DMABUF | SCRIPTED_HALF | SCRIPTED_WORD_CACHED, 0,
          UNSPEC },
        { "no fd to give", POINTER, 0, GRANTED },
        { "no fd to give, and not enough", POINTER, 3, GRANTED },
    };
    GPU *gpu = gpu_start_plain();
    unsigned before = gpu_count_fds(gpu, "eventfd");
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct rlimit old;

        g_test_message("%s", rows[i].name);
        gpu_create(gpu, 1, rows[i].blob_id, 4 * GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, rows[i].otherwise);
        gpu_unmap(gpu, 1);
        old = leave_fds(gpu, rows[i].left);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
        restore_fds(gpu, &old);
        g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, i + 1);
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, rows[i].otherwise);
        gpu_unref(gpu, 1);
    }
    /* None of those by which it is probed is left open. */
    g_assert_cmpuint(gpu_count_fds(gpu, "eventfd"), ==, before);
    gpu_finish(gpu);
}

/* The whole system may have none left, whatever QEMU's own limit. */
static void test_no_fds_in_system(void)
{
    GPU *gpu = gpu_start_plain();

    gpu_create(gpu, 1, POINTER, GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_EVENTFD, 0, 2);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* If fds are short, an export that failed is tried again. */
static void test_fd_at_second_try(void)
{
    GPU *gpu = gpu_start_plain();
    struct rlimit old;

    gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE);
    old = leave_fds(gpu, 8);
    gpu_fail(gpu, SCRIPTED_EXPORT, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    restore_fds(gpu, &old);
    g_assert_cmpuint(gpu_shared(gpu)->exports, ==, 1);
    g_assert_cmpuint(gpu_shared(gpu)->maps, ==, 0);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

/* Where an fd is kept, nothing is mapped without one. */
static void test_no_fd_to_keep(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .kvm = SCRIPTED_KVM_PLAIN,
        .cpu = SCRIPTED_CPU_ARM64,
    });
    struct rlimit old;
    unsigned unmap, map;

    gpu_create(gpu, 1, BUFFER, GPU_PAGE);
    old = leave_fds(gpu, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    restore_fds(gpu, &old);
    g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);

    /* The one that goes leaves its fd for the one that comes. */
    gpu_create(gpu, 2, BUFFER, GPU_PAGE);
    old = leave_fds(gpu, 1);
    unmap = gpu_put_unmap(gpu, 1);
    map = gpu_put_map(gpu, 2, 0);
    gpu_kick(gpu);
    g_assert_cmphex(gpu_answer(gpu, unmap), ==, OK);
    g_assert_cmphex(gpu_answer(gpu, map), ==, GRANTED);
    restore_fds(gpu, &old);
    g_assert_cmphex(gpu_read(gpu, 0), ==, scripted_stamp(2, 0));
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_finish(gpu);
}

/* Without a file for the name, the buffer is not taken for one without. */
static void test_no_fd_for_name(void)
{
    GPU *gpu = gpu_start_plain();
    struct rlimit old;

    gpu_create(gpu, 1, SCRIPTED_DMABUF | SCRIPTED_EXP_UDMABUF |
               SCRIPTED_WORD_WC, GPU_PAGE);
    old = leave_fds(gpu, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "no-file-descriptor"), ==, 1);
    restore_fds(gpu, &old);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_unmap(gpu, 1);
    /* A name that is known needs none. */
    old = leave_fds(gpu, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    restore_fds(gpu, &old);
    g_assert_cmpuint(gpu_shared(gpu)->names, ==, 1);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

static void check_names(GPU *gpu, uint64_t blob_id, unsigned times,
                        unsigned names)
{
    uint64_t before = gpu_shared(gpu)->names;

    gpu_create(gpu, 1, SCRIPTED_DMABUF | SCRIPTED_WORD_WC | blob_id, GPU_PAGE);
    while (times--) {
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_unmap(gpu, 1);
    }
    g_assert_cmpuint(gpu_shared(gpu)->names - before, ==, names);
    gpu_unref(gpu, 1);
}

/* A dma-buf's exporter is known for good, if it is the same dma-buf. */
static void test_name_once(void)
{
    GPU *gpu = gpu_start_plain();

    check_names(gpu, SCRIPTED_EXP_UDMABUF, 3, 1);
    check_names(gpu, SCRIPTED_EXP_UDMABUF | SCRIPTED_NEW_EXPORT, 3, 3);
    check_names(gpu, SCRIPTED_EXP_MISSING, 2, 2);
    gpu_finish(gpu);
}

/* Where the name does not matter, the mapping does not depend on it. */
static void test_no_name_for_trace(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .args = "-trace virtio_gpu_blob_decision",
    });

    gpu_create(gpu, 1, CACHED_BUF, GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_FDINFO, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "sealed", test_sealed },
        { "not-sealed", test_not_sealed },
        { "shrinks", test_shrinks },
        { "sealed-otherwise", test_sealed_otherwise },
        { "offset", test_offset },
        { "no-fds", test_no_fds },
        { "no-fds-in-system", test_no_fds_in_system },
        { "fd-at-second-try", test_fd_at_second_try },
        { "no-fd-to-keep", test_no_fd_to_keep },
        { "no-fd-for-name", test_no_fd_for_name },
        { "name-once", test_name_once },
        { "no-name-for-trace", test_no_name_for_trace },
    };

    return gpu_run_tests(argc, argv, "buffer", tests, G_N_ELEMENTS(tests));
}
