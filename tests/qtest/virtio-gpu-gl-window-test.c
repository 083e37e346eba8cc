/*
 * qtest for virtio-gpu-gl: the host-visible window, and memory slots over it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "virtio-gpu-gl-client.h"

#define HOLE "virtio-gpu-hole"

static void test_holes(void)
{
    const uint64_t size = 8192 * GPU_MIB, chunk = 64 * GPU_MIB;
    /* Faults take their time: a quarter of the pages unless told otherwise */
    const uint64_t step = g_test_slow() ? chunk : 4 * chunk;
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = size });
    uint64_t before, offset;

    /* The kernel merges a hole with its neighbours. */
    before = gpu_count_maps(gpu, HOLE);
    gpu_map_new(gpu, 1, BUFFER, GPU_PAGE, chunk);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, before);
    g_assert_cmphex(gpu_map(gpu, 1, chunk, NULL), ==, GRANTED);
    /* The protocol's own buffer */
    qtest_memset(gpu->qts, gpu->window, 0, chunk);
    gpu_reset(gpu);
    before = gpu_memory(gpu);
    for (offset = 0; offset < size; offset += step) {
        qtest_memset(gpu->qts, gpu->window + offset, 0x77, chunk);
    }
    g_test_message("grown by %" PRIu64 " KiB",
                   (gpu_memory(gpu) - before) / 1024);
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(gpu_memory(gpu) - before, <=, 64 * GPU_MIB);
    }

    /* Given back with a reset */
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_hole_memory(gpu), <=, GPU_MIB);
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(gpu_memory(gpu), <=, before + 2 * GPU_MIB);
    }
    gpu_finish(gpu);
}

#define MANY 30000

static void test_many(GPU *gpu)
{
    uint64_t before;

    gpu_batch_all(gpu, gpu_put_shared, 1, MANY, OK);
    before = gpu_status_kib(gpu, "RssAnon:");
    gpu_batch_all(gpu, gpu_put_map_next, 1, MANY, GRANTED);
    g_test_message("%" PRIu64 " bytes of memory a blob",
                   (gpu_status_kib(gpu, "RssAnon:") - before) * 1024 / MANY);
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint((gpu_status_kib(gpu, "RssAnon:") - before) * 1024,
                         <=, 512 * MANY);
    }
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, MANY);
    g_assert_cmpuint(gpu_stat(gpu, "high-water"), ==, MANY);
    gpu_batch_all(gpu, gpu_put_unmap, 1, MANY / 2, OK);

    /* The rest goes with a reset, and so does its memory. */
    gpu_reset(gpu);
    before = gpu_status_kib(gpu, "RssAnon:");
    for (unsigned i = 0; i < 3; i++) {
        gpu_batch_all(gpu, gpu_put_shared, 1, MANY, OK);
        gpu_reset(gpu);
    }
    if (GPU_MEMORY_TELLS) {
        g_assert_cmpuint(gpu_status_kib(gpu, "RssAnon:"), <=, before + 2048);
    }
}

static unsigned max_map_count(void)
{
    g_autofree char *text = NULL;

    if (!g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL,
                             NULL)) {
        return 0;
    }
    return g_ascii_strtoull(text, NULL, 10);
}

/* What a window takes by itself, its holes and as many in store, and leaves */
static unsigned mappings_of(uint64_t hostmem)
{
    return 2 * (hostmem / (32 * GPU_MIB)) + 8 + 4096;
}

/* Each blob between two holes: as many mappings as the kernel gives */
static void check_map_count(uint64_t hostmem)
{
    unsigned limit = max_map_count(), n = limit / 2, granted, refused, i;
    g_autofree uint32_t *replies = g_new(uint32_t, n);
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = hostmem });

    gpu_batch_all(gpu, gpu_put_shared, 1, n, OK);
    gpu_batch(gpu, gpu_put_map_apart, 1, n, replies);
    granted = gpu_count(replies, n, GRANTED);
    refused = gpu_count(replies, n, NO_MEMORY);
    g_test_message("%u granted, %u refused", granted, refused);
    g_assert_cmpuint(granted + refused, ==, n);
    g_assert_cmpuint(granted, >, (limit - mappings_of(hostmem)) / 2 * 9 / 10);
    g_assert_cmpuint(refused, >, 0);
    g_assert_cmpuint(gpu_refused(gpu, "too-many-mappings"), ==, refused);
    /* QEMU aborts when it cannot start a thread. */
    g_assert_cmpuint(gpu_count_maps(gpu, ""), <, limit - 1024);

    /* A buffer without an fd has a region then. */
    gpu->shared->map_fixed = SCRIPTED_FIXED_GOOD;
    for (i = 0; i < 2; i++) {
        gpu_map_new(gpu, n + 1, i ? DRIVERS : POINTER, GPU_PAGE, 0);
        g_assert_true(gpu_shows(gpu, 0, n + 1, 0));
        g_assert_cmphex(gpu_unref(gpu, n + 1), ==, OK);
    }

    /* At the limit, blobs come and go. */
    gpu_read(gpu, (uint64_t)n * 2 * GPU_PAGE);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmphex(gpu_unmap(gpu, granted / 2), ==, OK);
    g_assert_cmphex(gpu_map(gpu, 1, 2 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_cmpuint(gpu_count_maps(gpu, ""), <, limit - 1024);

    gpu_batch_all(gpu, gpu_put_unref, 1, n, OK);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    gpu_reset(gpu);
    gpu_finish(gpu);
}

/* The largest window that is accepted leaves what it must, too. */
static void test_map_count(void)
{
    static const uint64_t gib[] = { 1, 256, 512 };
    unsigned limit = max_map_count();

    if (!limit || limit > 200000) {
        g_test_skip("vm.max_map_count is too high to be reached");
        return;
    }
    if (!GPU_LOW) {
        g_test_skip("ThreadSanitizer takes mappings of its own for each");
        return;
    }
    /* A minute each with a sanitizer: then the one that leaves least */
    for (size_t i = GPU_MEMORY_TELLS ? 0 : G_N_ELEMENTS(gib) - 1;
         i < G_N_ELEMENTS(gib); i++) {
        check_map_count(gib[i] * 1024 * GPU_MIB);
    }
}

static bool is_direct(GPU *gpu)
{
    QDict *host = qobject_to(QDict, gpu_property(gpu, "blob-host"));
    bool direct = qdict_get_bool(host, "direct");

    qobject_unref(host);
    return direct;
}

/*
 * A driver that refuses leaves a hole, whatever it has unmapped; and where a
 * gap is not harmless, it is not asked about an address in the window.
 */
static void check_refusal(const GPUConfig *config, unsigned backing,
                          bool direct)
{
    GPU *gpu = gpu_start(config);

    g_assert_cmpint(is_direct(gpu), ==, direct);
    gpu_create(gpu, 1, BLOB(.backing = backing, .answer = ANSWER_CACHED),
               4 * GPU_PAGE);
    gpu_create(gpu, 2, BLOB(.backing = backing, .answer = ANSWER_CACHED,
                            .mmap = MMAP_ENODEV), 4 * GPU_PAGE);
    gpu_write(gpu, GPU_PAGE, 0x1234);
    g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, UNSPEC);
    g_assert_cmpuint(gpu_refused(gpu, "map-failed"), ==, 1);
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, 0x1234);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_true(gpu_shows(gpu, GPU_PAGE, 1, 1));
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_false(gpu_shows(gpu, GPU_PAGE, 1, 1));
    g_assert_cmpuint(gpu->shared->fixed, ==, direct ? 2 : 0);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    gpu_finish(gpu);
}

static void test_refusal(void)
{
    static const struct scripted_fail no_low_address = {
        SCRIPTED_MAP_RESERVE, 0, 16, EEXIST
    };
    static const unsigned backings[] = { BACKING_DMABUF, BACKING_SHM };
    uint32_t kernel;

    for (size_t i = 0; i < G_N_ELEMENTS(backings); i++) {
        for (kernel = 0; kernel <= SCRIPTED_KERNEL_NEXT; kernel++) {
            check_refusal(&(GPUConfig) {
                .hostmem = WINDOW, .kernel = kernel,
            }, backings[i], GPU_LOW);
        }
        check_refusal(&(GPUConfig) {
            .hostmem = WINDOW, .kernel = SCRIPTED_KERNEL_OLD,
            .cpu = SCRIPTED_CPU_ARM64,
        }, backings[i], false);
        if (GPU_LOW) {
            check_refusal(&(GPUConfig) {
                .hostmem = WINDOW, .kernel = SCRIPTED_KERNEL_OLD,
                .fail = no_low_address,
            }, backings[i], false);
        }
    }
}

/* A driver's error is not taken for the kernel's limits or for QEMU's. */
static void check_no_memory_to_map(uint32_t cpu)
{
    static const struct {
        int error;
        uint32_t answer;
    } rows[] = {
        { ENOMEM, NO_MEMORY }, { ENOSPC, NO_MEMORY }, { EBUSY, UNSPEC },
        { EMFILE, UNSPEC },
    };
    const uint32_t map = SCRIPTED_MAP_BUFFER | SCRIPTED_MAP_FREE;
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .cpu = cpu });

    gpu_create(gpu, 1, BUFFER, 4 * GPU_PAGE);
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        gpu_fail(gpu, map, 0, 1);
        gpu->shared->fail.error = rows[i].error;
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, rows[i].answer);
        g_assert_cmpuint(gpu_refused(gpu, "map-failed"), ==, i + 1);
    }
    gpu_fail(gpu, map | SCRIPTED_MAP_RESERVE, 0, 2);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "too-many-mappings"), ==, 1);
    /* Nor is there memory for a hole, whatever was to be mapped or moved. */
    gpu_create(gpu, 2, POINTER, 4 * GPU_PAGE);
    for (unsigned i = 1; i <= 2; i++) {
        gpu_fail(gpu, (is_direct(gpu) && i == 1 ? map : SCRIPTED_MOVE) |
                      SCRIPTED_MAP_OTHER, 0, 3);
        g_assert_cmphex(gpu_map(gpu, i, 0, NULL), ==, NO_MEMORY);
        g_assert_cmpuint(gpu_stat(gpu, "unmap-failures"), ==, i);
        gpu_fail(gpu, 0, 0, 0);
        g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, GRANTED);
        g_assert_cmphex(gpu_unmap(gpu, 2), ==, OK);
    }
    gpu_unref(gpu, 2);
    gpu_write(gpu, GPU_PAGE, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    g_assert_true(gpu_shows(gpu, GPU_PAGE, 1, 1));
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

static void test_no_memory_to_map(void)
{
    check_no_memory_to_map(SCRIPTED_CPU_INTEL);
    check_no_memory_to_map(SCRIPTED_CPU_ARM64);
}

/* Spare mappings help once, and are made anew before the next map. */
static void test_spare_mappings(GPU *gpu)
{
    gpu_map_new(gpu, 1, SHM(), 4 * GPU_PAGE, 0);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 1);
    g_assert_cmphex(gpu_unmap(gpu, 1), ==, OK);
    g_assert_false(gpu_shows(gpu, 0, 1, 0));
    g_assert_cmpuint(gpu_stat(gpu, "unmap-failures"), ==, 0);

    gpu_fail(gpu, SCRIPTED_MAP_RESERVE, 0, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    gpu_fail(gpu, SCRIPTED_MAP_STORE, 2, 1);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "too-many-mappings"), ==, 2);
    g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
    gpu_unref(gpu, 1);
}

/* Blob 1 is mapped at the window's start, and cannot be unmapped. */
static void fail_to_unmap(GPU *gpu, uint32_t type, uint64_t failures)
{
    gpu_map_new(gpu, 1, BUFFER, 4 * GPU_PAGE, 0);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_simple(gpu, type, 1), ==, OK);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    g_assert_cmpuint(gpu_stat(gpu, "unmap-failures"), ==, failures);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 1);
}

/* An unmap that fails is answered as done, and made up for. */
static void test_no_memory_to_unmap(GPU *gpu)
{
    const uint32_t unmap = VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;

    /* With the next map, of the same place */
    fail_to_unmap(gpu, unmap, 1);
    gpu_map_new(gpu, 2, BUFFER, 4 * GPU_PAGE, 2 * GPU_PAGE);
    g_assert_true(gpu_shows(gpu, 2 * GPU_PAGE, 2, 0));
    g_assert_false(gpu_shows(gpu, 0, 1, 0));

    /* With the next unmap; the resource is gone */
    gpu_unref(gpu, 1);
    g_assert_cmphex(gpu_unmap(gpu, 2), ==, OK);
    fail_to_unmap(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 2);
    g_assert_cmphex(gpu_map(gpu, 2, 8 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_unmap(gpu, 2), ==, OK);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);

    /* With a reset */
    fail_to_unmap(gpu, unmap, 3);
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);

    /* The reset's own fails; with the next map. */
    gpu_map_new(gpu, 1, BUFFER, 4 * GPU_PAGE, 0);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    gpu_map_new(gpu, 2, BUFFER, 4 * GPU_PAGE, 0);
    g_assert_true(gpu_shows(gpu, GPU_PAGE, 2, 1));
    gpu_unref(gpu, 2);
    g_assert_false(gpu_shows(gpu, GPU_PAGE, 1, 1));

    /* It fails again: the guest did nothing wrong. */
    fail_to_unmap(gpu, unmap, 5);
    gpu_create(gpu, 2, BUFFER, 4 * GPU_PAGE);
    gpu_fail(gpu, SCRIPTED_MAP_OTHER, 0, 2);
    g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, NO_MEMORY);
    g_assert_cmpuint(gpu_refused(gpu, "too-many-mappings"), ==, 1);
    g_assert_cmphex(gpu_map(gpu, 2, 0, NULL), ==, GRANTED);
    g_assert_cmpuint(gpu_stat(gpu, "unmap-failures"), ==, 5);
    gpu_unref(gpu, 1);
    gpu_unref(gpu, 2);
    g_assert_cmpuint(gpu_count_log(gpu, "blob resource 1 (context 1, 16384 "
                                   "bytes, offset 0x0) could not be unmapped"),
                     >, 0);
    g_assert_cmpuint(gpu_count_log(gpu, "vm.max_map_count"), >, 0);
}

/* Mappings with @name, and how many of them a core of QEMU leaves out */
static unsigned count_undumped(GPU *gpu, const char *name, unsigned *total)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", gpu->pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) parts = NULL;
    unsigned i, found = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    /* The flags are what a mapping's part ends with. */
    parts = g_strsplit(text, "VmFlags:", -1);
    *total = 0;
    for (i = 0; parts[i + 1]; i++) {
        if (strstr(parts[i], " rw-s ") && strstr(parts[i], name)) {
            const char *end = strchr(parts[i + 1], '\n');

            *total += 1;
            found += !!g_strstr_len(parts[i + 1], end - parts[i + 1], " dd");
        }
    }
    return found;
}

/* What the operator keeps out of cores: the guest's memory, this too */
static void test_core(GPU *gpu)
{
    static const char *const names[] = {
        HOLE, SCRIPTED_BUFFER_NAME,
    };
    unsigned maps, total, i;

    gpu_create(gpu, 1, BUFFER, GPU_PAGE);
    maps = gpu_count_maps(gpu, HOLE);
    g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, GRANTED);
    for (i = 0; i < G_N_ELEMENTS(names); i++) {
        g_assert_cmpuint(count_undumped(gpu, names[i], &total), ==, total);
        g_assert_cmpuint(total, >, 0);
    }
    /* The place that it left is a hole like the rest. */
    gpu_unref(gpu, 1);
    g_assert_cmpuint(count_undumped(gpu, HOLE, &total), ==, total);
    g_assert_cmpuint(gpu_count_maps(gpu, HOLE), ==, maps);
}

/*
 * Memory slots that are made again, where the accelerator pretends to be KVM on
 * a host where that refuses a slot over a dma-buf: QEMU aborts if one is there
 */

#define BLOBS 1000

static unsigned put_buffer(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, BUFFER, GPU_PAGE);
}

static void map_all(GPU *gpu)
{
    gpu_batch_all(gpu, put_buffer, 1, BLOBS, OK);
    gpu_batch_all(gpu, gpu_put_map_apart, 1, BLOBS, GRANTED);
}

/* Each shows its own first page, and what the guest wrote there. */
static void check_all(GPU *gpu, uint64_t round)
{
    uint32_t id;

    for (id = 1; id <= BLOBS; id += 9) {
        uint64_t at = id * 2 * GPU_PAGE;

        g_assert_true(gpu_shows(gpu, at, id, 0));
        if (round) {
            g_assert_cmphex(gpu_read(gpu, at + 8), ==, id + round - 1);
        }
        gpu_write(gpu, at + 8, id + round);
        g_assert_cmphex(gpu_buffer_read(gpu, id, 8), ==, id + round);
    }
}

static GPU *start_with_slots(uint32_t cpu)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .kvm = SCRIPTED_KVM_PLAIN, .cpu = cpu,
    });

    gpu_watch(gpu, SCRIPTED_WATCH_SLOTS, 0);
    map_all(gpu);
    return gpu;
}

/* QEMU itself makes the slots around a region of its own. */
static void show_and_hide(GPU *gpu)
{
    gpu_map_new(gpu, BLOBS + 1, DRIVERS, GPU_PAGE, 7 * GPU_PAGE);
    g_assert_true(gpu_shows(gpu, 7 * GPU_PAGE, BLOBS + 1, 0));
    gpu_unref(gpu, BLOBS + 1);
}

static void test_slots(void)
{
    static const struct {
        uint32_t cpu;
        void (*change)(GPU *gpu);
    } rows[] = {
        { SCRIPTED_CPU_ARM64, gpu_toggle_memory },
        { SCRIPTED_CPU_RISCV64, gpu_move_window },
        { SCRIPTED_CPU_ARM64, show_and_hide },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        GPU *gpu = start_with_slots(rows[i].cpu);
        uint64_t slots = gpu->shared->slots, round;

        for (round = 0; round < 10; round++) {
            check_all(gpu, round);
            rows[i].change(gpu);
            g_assert_cmpuint(gpu->shared->slots, >, slots);
            slots = gpu->shared->slots;
        }
        check_all(gpu, round);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, BLOBS);
        g_assert_cmpuint(gpu->shared->dups, ==, BLOBS);
        gpu_system_reset(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        map_all(gpu);
        rows[i].change(gpu);
        check_all(gpu, 0);
        gpu_reset(gpu);
        g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
        rows[i].change(gpu);
        gpu_finish(gpu);
    }
}

/* The window is not migrated, so its slot is left alone. */
static void test_dirty_log(void)
{
    GPU *gpu = start_with_slots(SCRIPTED_CPU_ARM64);
    uint64_t slots = gpu->shared->slots, logged = gpu->shared->logged;

    qtest_qmp_assert_success(gpu->qts,
        "{ 'execute': 'calc-dirty-rate',"
        "  'arguments': { 'calc-time': 1, 'mode': 'dirty-bitmap' } }");
    while (gpu->shared->logged == logged) {
        g_usleep(10 * 1000);
    }
    g_usleep(1500 * 1000);
    check_all(gpu, 0);
    g_assert_cmpuint(gpu->shared->slots, ==, slots);
    gpu_batch_all(gpu, gpu_put_unref, 1, BLOBS, OK);
    gpu_finish(gpu);
}

/*
 * KVM on x86 never looks at mappings, and other accelerators make no slots: no
 * fd is kept, nothing is moved.
 */
static void test_no_slots(void)
{
    static const GPUConfig configs[] = {
        { .hostmem = WINDOW, .kvm = SCRIPTED_KVM_PLAIN,
          .cpu = SCRIPTED_CPU_INTEL },
        { .hostmem = WINDOW, .cpu = SCRIPTED_CPU_ARM64 },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(configs); i++) {
        GPU *gpu = gpu_start(&configs[i]);
        struct scripted_shared *s = gpu->shared;
        uint64_t fixed, holes, moves;

        map_all(gpu);
        fixed = s->fixed;
        holes = s->holes;
        moves = s->moves;
        gpu_toggle_memory(gpu);
        gpu_move_window(gpu);
        gpu_map_new(gpu, BLOBS + 1, DRIVERS, GPU_PAGE, 7 * GPU_PAGE);
        g_assert_cmpuint(s->dups, ==, 0);
        g_assert_cmpuint(s->maps, ==, s->unmaps + 1);
        g_assert_cmpuint(s->fixed, ==, fixed);
        g_assert_cmpuint(s->holes, ==, holes);
        g_assert_cmpuint(s->moves, ==, moves);
        check_all(gpu, 0);
        gpu_unref(gpu, BLOBS + 1);
        gpu_batch_all(gpu, gpu_put_unref, 1, BLOBS, OK);
        gpu_finish(gpu);
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "holes", .alone = test_holes },
        { "many", test_many, { .hostmem = 256 * GPU_MIB } },
        { "map-count", .alone = test_map_count },
        { "refusal", .alone = test_refusal },
        { "no-memory-to-map", .alone = test_no_memory_to_map },
        { "spare-mappings", test_spare_mappings },
        { "no-memory-to-unmap", test_no_memory_to_unmap, { .logged = true } },
        { "core", test_core, { .args = "-machine dump-guest-core=off" } },
        { "slots", .alone = test_slots },
        { "dirty-log", .alone = test_dirty_log },
        { "no-slots", .alone = test_no_slots },
    };

    return gpu_run_tests(argc, argv, "window", tests, G_N_ELEMENTS(tests));
}
