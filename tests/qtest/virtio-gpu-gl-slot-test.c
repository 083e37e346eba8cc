/*
 * qtest for virtio-gpu-gl: memory slots that are made again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The accelerator pretends to be KVM on a host where that refuses a slot over
 * a dma-buf: QEMU aborts if one is there.
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

#define BLOBS 1000

static GPU *start(uint32_t cpu)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .kvm = SCRIPTED_KVM_PLAIN, .cpu = cpu,
    });

    gpu_watch(gpu, SCRIPTED_WATCH_SLOTS, 0);
    return gpu;
}

static unsigned put_buffer(GPU *gpu, uint32_t id)
{
    return gpu_put_create(gpu, id, BUFFER, GPU_PAGE);
}

static void map_all(GPU *gpu)
{
    g_autofree uint32_t *replies = g_new(uint32_t, BLOBS);

    gpu_batch(gpu, put_buffer, 1, BLOBS, replies);
    gpu_batch(gpu, gpu_put_map_apart, 1, BLOBS, replies);
    g_assert_cmpuint(gpu_count(replies, BLOBS, GRANTED), ==, BLOBS);
}

/* Each shows its own first page, and what the guest wrote there. */
static void check_all(GPU *gpu, uint64_t round)
{
    uint32_t id;

    for (id = 1; id <= BLOBS; id += 9) {
        uint64_t at = id * 2 * GPU_PAGE;

        g_assert_cmphex(gpu_read(gpu, at), ==, scripted_stamp(id, 0));
        if (round) {
            g_assert_cmphex(gpu_read(gpu, at + 8), ==, id + round - 1);
        }
        gpu_write(gpu, at + 8, id + round);
        g_assert_cmphex(gpu_buffer_read(gpu, id, 8), ==, id + round);
    }
}

static void unref_all(GPU *gpu)
{
    g_autofree uint32_t *replies = g_new(uint32_t, BLOBS);

    gpu_batch(gpu, gpu_put_unref, 1, BLOBS, replies);
    g_assert_cmpuint(gpu_count(replies, BLOBS, OK), ==, BLOBS);
}

static void check_toggles(uint32_t cpu, void (*toggle)(GPU *gpu))
{
    GPU *gpu = start(cpu);
    uint64_t slots = gpu_shared(gpu)->slots, round;

    map_all(gpu);
    for (round = 0; round < 10; round++) {
        check_all(gpu, round);
        toggle(gpu);
        g_assert_cmpuint(gpu_shared(gpu)->slots, >, slots);
        slots = gpu_shared(gpu)->slots;
    }
    check_all(gpu, round);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, BLOBS);
    unref_all(gpu);
    g_assert_cmpuint(gpu_shared(gpu)->dups, ==, BLOBS);
    gpu_finish(gpu);
}

static void test_decoding(void)
{
    check_toggles(SCRIPTED_CPU_ARM64, gpu_toggle_memory);
}

static void test_moved(void)
{
    check_toggles(SCRIPTED_CPU_RISCV64, gpu_move_window);
}

/* QEMU itself makes the slots around a region of its own. */
static void show_and_hide(GPU *gpu)
{
    g_assert_cmphex(gpu_create(gpu, BLOBS + 1, DRIVERS, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, BLOBS + 1, 7 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, 7 * GPU_PAGE), ==,
                    scripted_stamp(BLOBS + 1, 0));
    check_all(gpu, 0);
    gpu_unref(gpu, BLOBS + 1);
}

static void test_split(void)
{
    GPU *gpu = start(SCRIPTED_CPU_ARM64);
    unsigned i;

    map_all(gpu);
    for (i = 0; i < 5; i++) {
        show_and_hide(gpu);
    }
    check_all(gpu, 0);
    unref_all(gpu);
    gpu_finish(gpu);
}

static void test_reset(void)
{
    GPU *gpu = start(SCRIPTED_CPU_ARM64);

    map_all(gpu);
    gpu_system_reset(gpu);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    map_all(gpu);
    gpu_toggle_memory(gpu);
    check_all(gpu, 0);
    gpu_reset(gpu);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    gpu_toggle_memory(gpu);
    gpu_finish(gpu);
}

/* A buffer that cannot be mapped again becomes a hole; the others do not. */
static void test_cannot_come_back(void)
{
    GPU *gpu = start(SCRIPTED_CPU_ARM64);
    uint32_t id;

    for (id = 1; id <= 3; id++) {
        gpu_create(gpu, id, BUFFER, GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, id, id * GPU_PAGE, NULL), ==, GRANTED);
    }
    gpu_fail(gpu, SCRIPTED_MAP_FREE, 1, 1);
    gpu_toggle_memory(gpu);
    gpu_write(gpu, 2 * GPU_PAGE, 42);
    g_assert_cmphex(gpu_buffer_read(gpu, 2, 0), ==, scripted_stamp(2, 0));
    g_assert_cmphex(gpu_read(gpu, GPU_PAGE), ==, scripted_stamp(1, 0));
    g_assert_cmphex(gpu_read(gpu, 3 * GPU_PAGE), ==, scripted_stamp(3, 0));
    gpu_toggle_memory(gpu);
    for (id = 1; id <= 3; id++) {
        g_assert_cmphex(gpu_unmap(gpu, id), ==, OK);
        gpu_unref(gpu, id);
    }
    gpu_finish(gpu);
}

/* The window is not migrated, so its slot is left alone. */
static void test_dirty_log(void)
{
    GPU *gpu = start(SCRIPTED_CPU_ARM64);
    uint64_t slots, logged;

    map_all(gpu);
    slots = gpu_shared(gpu)->slots;
    logged = gpu_shared(gpu)->logged;
    qtest_qmp_assert_success(gpu_qts(gpu),
        "{ 'execute': 'calc-dirty-rate',"
        "  'arguments': { 'calc-time': 1, 'mode': 'dirty-bitmap' } }");
    while (gpu_shared(gpu)->logged == logged) {
        g_usleep(10 * 1000);
    }
    g_usleep(1500 * 1000);
    check_all(gpu, 0);
    g_assert_cmpuint(gpu_shared(gpu)->slots, ==, slots);
    unref_all(gpu);
    gpu_finish(gpu);
}

/* KVM on x86 never looks at mappings: no fd is kept, nothing is moved. */
static void check_free_of_cost(const GPUConfig *config)
{
    GPU *gpu = gpu_start(config);
    struct scripted_shared *s = gpu_shared(gpu);
    uint64_t fixed, holes, moves;

    map_all(gpu);
    fixed = s->fixed;
    holes = s->holes;
    moves = s->moves;
    g_assert_cmpuint(s->dups, ==, 0);
    gpu_toggle_memory(gpu);
    gpu_move_window(gpu);
    g_assert_cmphex(gpu_create(gpu, BLOBS + 1, DRIVERS, GPU_PAGE), ==, OK);
    g_assert_cmphex(gpu_map(gpu, BLOBS + 1, 7 * GPU_PAGE, NULL), ==, GRANTED);
    g_assert_cmpuint(s->maps, ==, s->unmaps + 1);
    g_assert_cmpuint(s->fixed, ==, fixed);
    g_assert_cmpuint(s->holes, ==, holes);
    g_assert_cmpuint(s->moves, ==, moves);
    check_all(gpu, 0);
    gpu_unref(gpu, BLOBS + 1);
    unref_all(gpu);
    gpu_finish(gpu);
}

static void test_x86(void)
{
    check_free_of_cost(&(GPUConfig) {
        .hostmem = WINDOW, .kvm = SCRIPTED_KVM_PLAIN,
        .cpu = SCRIPTED_CPU_INTEL,
    });
}

/* Only KVM makes slots. */
static void test_no_kvm(void)
{
    check_free_of_cost(&(GPUConfig) {
        .hostmem = WINDOW, .cpu = SCRIPTED_CPU_ARM64,
    });
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "decoding", test_decoding },
        { "moved", test_moved },
        { "split", test_split },
        { "reset", test_reset },
        { "cannot-come-back", test_cannot_come_back },
        { "dirty-log", test_dirty_log },
        { "x86", test_x86 },
        { "no-kvm", test_no_kvm },
    };

    return gpu_run_tests(argc, argv, "slot", tests, G_N_ELEMENTS(tests));
}
