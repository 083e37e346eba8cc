/*
 * The window's address space: one test for each rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/memfd.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-vma.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

/* Twice the memory behind holes, so that it is mapped twice */
#define WINDOW (64 * MiB)

/* Huge pages must be impossible for KVM on arm64, and possible elsewhere. */
#ifdef HOST_AARCH64
#define HUGE_PAGES false
#else
#define HUGE_PAGES true
#endif

typedef struct Fixture {
    VirtIOGPUBlobVMA vma;
    int fd;
    uint64_t page;
} Fixture;

/* Buffers are mapped straight over what is there; NULL: they are moved in. */
#define DIRECT ((void *)1)

static void set_up(Fixture *f, gconstpointer direct)
{
    f->page = qemu_real_host_page_size();
    virtio_gpu_blob_vma_init(&f->vma, WINDOW, true, direct, &error_abort);
    f->fd = qemu_memfd_create("test", 64 * f->page, false, 0, 0, &error_abort);
}

static void tear_down(Fixture *f, gconstpointer direct)
{
    g_assert_true(interval_tree_is_empty(&f->vma.places));
    close(f->fd);
    virtio_gpu_blob_vma_destroy(&f->vma);
}

static VirtIOGPUBlobPlace pages(const Fixture *f, uint64_t page, uint64_t n)
{
    return virtio_gpu_blob_place(page * f->page, n * f->page);
}

/* volatile: each access is made, as a guest makes it, and may raise a signal */
static volatile uint64_t *word(Fixture *f, uint64_t page)
{
    return (uint64_t *)(f->vma.base + page * f->page);
}

static void set_buffer(Fixture *f, uint64_t page, uint64_t value)
{
    g_assert_cmpint(pwrite(f->fd, &value, sizeof(value), page * f->page), ==,
                    sizeof(value));
}

/*
 * The kernel's mappings in the window, and the bytes before and behind it that
 * cannot be accessed.  Fails if a mapping is neither a hole nor @buffer's.
 */
static size_t read_maps(const Fixture *f, const char *buffer, size_t *before,
                        size_t *behind)
{
    uintptr_t base = (uintptr_t)f->vma.base, start, end;
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    size_t n = 0, bytes = 0;
    char access[5];

    *before = *behind = 0;
    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    lines = g_strsplit(text, "\n", 0);
    for (int i = 0; lines[i]; i++) {
        if (sscanf(lines[i], "%" SCNxPTR "-%" SCNxPTR " %4s", &start, &end,
                   access) != 3) {
            continue;
        }
        if (!strcmp(access, "---p")) {
            *before += end == base ? end - start : 0;
            *behind += start == base + WINDOW ? end - start : 0;
        } else if (start >= base && end <= base + WINDOW) {
            g_assert_true(strstr(lines[i], "virtio-gpu-hole") ||
                          strstr(lines[i], buffer));
            bytes += end - start;
            n++;
        }
    }
    g_assert_cmpuint(bytes, ==, WINDOW);
    return n;
}

static size_t count_mappings(const Fixture *f)
{
    size_t before, behind;

    return read_maps(f, "memfd:test", &before, &behind);
}

static unsigned count_fds(void)
{
    g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir)) {
        n++;
    }
    return n;
}

static void test_life(gconstpointer direct)
{
    unsigned fds = count_fds();
    g_autofree char *text = NULL;
    VirtIOGPUBlobPlace place;
    size_t before, behind;
    Fixture f = { };

    set_up(&f, direct);
    read_maps(&f, "none", &before, &behind);
    g_assert_cmpuint(before, >=, f.page);
    g_assert_cmpuint(behind, >=, f.page);
    g_assert_cmpuint((uintptr_t)f.vma.base % (f.page / 8 * f.page), ==,
                     HUGE_PAGES ? 0 : f.page);
    place = pages(&f, 3, 2);
    g_assert_cmpint(virtio_gpu_blob_vma_map(&f.vma, &place, f.fd), ==, 0);
    g_assert_true(virtio_gpu_blob_vma_unmap(&f.vma, &place));
    tear_down(&f, direct);
    g_assert_cmpuint(count_fds(), ==, fds);
    g_assert_true(g_file_get_contents("/proc/self/maps", &text, NULL, NULL));
    g_assert_null(strstr(text, "virtio-gpu-hole"));
}

/* Below what the kernel picks, another address each time; else not direct */
static void test_low(void)
{
    void *last = NULL;
    int i, differ = 0;

    g_assert_null(virtio_gpu_blob_vma_reserve_low(40 * TiB, MAP_PRIVATE |
                                                  MAP_ANONYMOUS, -1));
    for (i = 0; i < 8; i++) {
        Fixture f = { };

        set_up(&f, DIRECT);
        if (!f.vma.direct) {
            tear_down(&f, DIRECT);
            g_test_skip("no low addresses on this host or with this sanitizer");
            return;
        }
        g_assert_cmpuint((uintptr_t)f.vma.base, >=, 17 * TiB);
        g_assert_cmpuint((uintptr_t)f.vma.base, <, 40 * TiB);
        differ += f.vma.base != last;
        last = f.vma.base;
        tear_down(&f, DIRECT);
    }
    g_assert_cmpint(differ, ==, 8);
}

static void test_hole(Fixture *f, gconstpointer direct)
{
    *word(f, 0) = 1;
    *word(f, WINDOW / f->page - 1) = 2;
    g_assert_cmpuint(*word(f, 0), ==, 1);
    virtio_gpu_blob_vma_trim(&f->vma);
    g_assert_cmpuint(*word(f, 0), ==, 0);
    g_assert_cmpuint(count_mappings(f), ==, WINDOW / f->vma.hole_len);
}

/* Limits of the kernel on mappings, and of KVM on a memory slot's pages */
static void test_check(void)
{
    uint64_t needs = virtio_gpu_blob_vma_needs(WINDOW);
    uint64_t slot = ((uint64_t)INT32_MAX + 1) * qemu_real_host_page_size();
    g_autofree char *limit = NULL;

    g_assert_true(virtio_gpu_blob_vma_check(WINDOW, true, needs + 1, NULL));
    g_assert_false(virtio_gpu_blob_vma_check(WINDOW, true, needs, NULL));
    g_assert_true(virtio_gpu_blob_vma_check(slot / 2, true, UINT64_MAX, NULL));
    g_assert_true(virtio_gpu_blob_vma_check(slot, false, UINT64_MAX, NULL));
    g_assert_false(virtio_gpu_blob_vma_check(slot, true, UINT64_MAX, NULL));
    /* Some are left for the rest of QEMU. */
    g_assert_true(g_file_get_contents("/proc/sys/vm/max_map_count", &limit,
                                      NULL, NULL));
    g_assert_cmpuint(virtio_gpu_blob_vma_max_mappings(), <,
                     g_ascii_strtoull(limit, NULL, 10));
}

/* Outside of the window, for as long as is asked for */
static void test_hole_elsewhere(Fixture *f, gconstpointer direct)
{
    const size_t len = 2 * WINDOW;
    uint8_t *at = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                       0);

    g_assert_true(virtio_gpu_blob_vma_map_hole(&f->vma, at, len));
    at[0] = at[len - 1] = 7;
    munmap(at, len);
}

static void test_buffer(Fixture *f, gconstpointer direct)
{
    VirtIOGPUBlobPlace place = pages(f, 3, 2);

    set_buffer(f, 1, 7);
    g_assert_cmpint(virtio_gpu_blob_vma_map(&f->vma, &place, f->fd), ==, 0);
    g_assert_true(virtio_gpu_blob_vma_find(&f->vma, 4 * f->page, 4 * f->page) ==
                  &place);
    g_assert_cmpuint(*word(f, 4), ==, 7);
    *word(f, 2) = 5;
    g_assert_cmpuint(*word(f, 3), ==, 0);
    g_assert_true(virtio_gpu_blob_vma_unmap(&f->vma, &place));
    *word(f, 4) = 9;
    set_buffer(f, 1, 8);
    g_assert_cmpuint(*word(f, 4), ==, 9);
    g_assert_cmpuint(count_mappings(f), ==, WINDOW / f->vma.hole_len);
}

static void test_move(Fixture *f, gconstpointer direct)
{
    const size_t len = 2 * f->page;
    VirtIOGPUBlobPlace place = virtio_gpu_blob_place(3 * f->page, len);
    void *from = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);

    set_buffer(f, 1, 7);
    g_assert_cmpint(virtio_gpu_blob_vma_move(&f->vma, &place, from), ==, 0);
    g_assert_cmpuint(*word(f, 4), ==, 7);
    g_assert_true(virtio_gpu_blob_vma_unmap(&f->vma, &place));

    /* At the limit on mappings nothing is moved. */
    f->vma.max = 0;
    from = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
    g_assert_cmpint(virtio_gpu_blob_vma_move(&f->vma, &place, from), ==,
                    -ENOSPC);
    g_assert_cmpint(munmap(from, len), ==, 0);
}

/*
 * A buffer that cannot be mapped leaves a hole, also if the kernel unmaps what
 * is there before the driver refuses.
 */
static void test_failure(Fixture *f, gconstpointer direct)
{
    const struct {
        int fd, error;
    } rows[] = {
        { -1, -EBADF },
        { socket(AF_UNIX, SOCK_STREAM, 0), -ENODEV },
        { qemu_memfd_create("bad", MiB, false, 0, F_SEAL_FUTURE_WRITE,
                            &error_abort), -EPERM },
    };
    VirtIOGPUBlobPlace place = pages(f, 3, 2);

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        *word(f, 3) = i;
        g_assert_cmpint(virtio_gpu_blob_vma_map(&f->vma, &place, rows[i].fd),
                        ==, rows[i].error);
        g_assert_cmpuint(*word(f, 3), ==, i);
        g_assert_false(place.stale);
        g_assert_cmpuint(f->vma.buffers, ==, 0);
        g_assert_cmpuint(f->vma.holes, ==, 1);
        g_assert_cmpuint(count_mappings(f), ==, WINDOW / f->vma.hole_len);
        close(rows[i].fd);
    }
    f->vma.max = virtio_gpu_blob_vma_mappings(&f->vma);
    g_assert_cmpint(virtio_gpu_blob_vma_map(&f->vma, &place, f->fd), ==,
                    -ENOSPC);
}

/*
 * Three mappings below the kernel's limit: mremap() wants more than it takes,
 * and the limit is the reason then, too.
 */
static void test_limit(Fixture *f, gconstpointer direct)
{
    g_autoptr(GPtrArray) others = g_ptr_array_new();
    VirtIOGPUBlobPlace place = pages(f, 3, 2);
    void *at;
    int ret = -1;

    if (f->vma.max > 200000) {
        g_test_skip("vm.max_map_count is too high to be reached");
        return;
    }
    /* Pages of one file with the same offset are not merged. */
    while ((at = mmap(NULL, f->page, PROT_NONE, MAP_SHARED, f->vma.hole_fd,
                      0)) != MAP_FAILED) {
        g_ptr_array_add(others, at);
    }
    for (size_t i = 0; i < others->len; i++) {
        munmap(others->pdata[i], f->page);
        if (i == 2) {
            ret = virtio_gpu_blob_vma_map(&f->vma, &place, f->fd);
        }
    }
    g_assert_cmpint(ret, ==, f->vma.direct ? 0 : -ENOSPC);
    if (!ret) {
        g_assert_true(virtio_gpu_blob_vma_unmap(&f->vma, &place));
    }
}

/* The kernel has no more mappings than are counted. */
static void test_count(Fixture *f, gconstpointer direct)
{
    static const struct {
        bool map;
        int place;
        size_t holes;
    } steps[] = {
        { true, 0, 2 },     /* in the middle */
        { true, 1, 3 },
        { true, 2, 2 },     /* closes the gap between */
        { true, 3, 1 },     /* at the start */
        { true, 4, 1 },     /* at the end */
        { true, 5, 0 },     /* all of it */
        { false, 2, 1 },
        { false, 0, 1 },
        { false, 3, 1 },
        { false, 4, 2 },
        { false, 1, 2 },
        { false, 5, 1 },
    };
    const uint64_t end = WINDOW / f->page;
    VirtIOGPUBlobPlace places[] = {
        pages(f, 10, 4), pages(f, 20, 4), pages(f, 14, 6), pages(f, 0, 10),
        pages(f, end - 1, 1), pages(f, 24, end - 25),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
        VirtIOGPUBlobPlace *place = &places[steps[i].place];

        if (steps[i].map) {
            g_assert_cmpint(virtio_gpu_blob_vma_map(&f->vma, place, f->fd), ==,
                            0);
        } else {
            g_assert_true(virtio_gpu_blob_vma_unmap(&f->vma, place));
        }
        g_assert_cmpuint(f->vma.holes, ==, steps[i].holes);
        g_assert_cmpuint(count_mappings(f), <=,
                         virtio_gpu_blob_vma_mappings(&f->vma));
    }
    /* A region of its own leaves a hole in the window, at any place. */
    interval_tree_insert(&places[2].node, &f->vma.places);
    g_assert_cmpint(virtio_gpu_blob_vma_map(&f->vma, &places[0], f->fd), ==, 0);
    g_assert_cmpuint(f->vma.holes, ==, 2);
    g_assert_true(virtio_gpu_blob_vma_unmap(&f->vma, &places[0]));
    interval_tree_remove(&places[2].node, &f->vma.places);
}

/* Each rule holds for both ways to map a buffer. */
static void add(const char *name, void (*func)(Fixture *, gconstpointer))
{
    g_autofree char *moved = g_strdup_printf("/virtio-gpu-blob/vma/%s", name);
    g_autofree char *direct = g_strconcat(moved, "/direct", NULL);

    g_test_add(moved, Fixture, NULL, set_up, func, tear_down);
    g_test_add(direct, Fixture, DIRECT, set_up, func, tear_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu-blob/vma/check", test_check);
    g_test_add_func("/virtio-gpu-blob/vma/low", test_low);
    g_test_add_data_func("/virtio-gpu-blob/vma/life", NULL, test_life);
    g_test_add_data_func("/virtio-gpu-blob/vma/life/direct", DIRECT, test_life);
    add("hole", test_hole);
    add("hole-elsewhere", test_hole_elsewhere);
    add("buffer", test_buffer);
    add("move", test_move);
    add("failure", test_failure);
    add("limit", test_limit);
    add("count", test_count);

    return g_test_run();
}
