/*
 * qtest for virtio-gpu-gl: what a fuzzer found worth keeping
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each input that was kept, by the qtest protocol, and the rest of what is
 * looked at when a device goes.
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client-internal.h"
#include "virtio-gpu-gl-fuzz.h"

static const char *const corpus[] = {
#include "virtio-gpu-gl-fuzz-corpus.h"
};

static void reset_machine(GPU *gpu)
{
    qtest_system_reset(gpu_qts(gpu));
}

/* This machine's vCPU runs nothing, and nobody else has its memory. */
static void reset_by_vcpu(GPU *gpu)
{
}

static void use(GPU *gpu, uint8_t how)
{
}

/* What comes after a command waits for the main loop, which carries it out. */
static void run(GPU *gpu)
{
    gpu_config(gpu, 0);
}

/* RCU's thread takes its time before memory of the renderer's is unmapped. */
static void settle(GPU *gpu)
{
    gpu_settle(gpu);
    if (gpu_shared(gpu)->maps != gpu_shared(gpu)->unmaps) {
        g_usleep(5000);
    }
}

static uint64_t live(GPU *gpu)
{
    return gpu_stat(gpu, "live");
}

static uint8_t *bytes_of(const char *line, size_t *size)
{
    uint8_t *data;
    size_t i;

    *size = strlen(line) / 2;
    data = g_malloc(*size);
    for (i = 0; i < *size; i++) {
        data[i] = g_ascii_xdigit_value(line[2 * i]) << 4 |
                  g_ascii_xdigit_value(line[2 * i + 1]);
    }
    return data;
}

static GPU *start(GPUFuzzHost *host)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .props = ",max_outputs=2",
    });

    *host = (GPUFuzzHost) {
        .pid = qtest_pid(gpu_qts(gpu)),
        .reset_machine = reset_machine,
        .map_bars = gpu_pci_open,
        .reset_by_vcpu = reset_by_vcpu,
        .use = use,
        .run = run,
        .settle = settle,
        .live = live,
    };
    return gpu;
}

/* In parts, of which several run at once */
static void replay(size_t first)
{
    GPUFuzzHost host;
    GPU *gpu = start(&host);
    size_t i, size;

    for (i = first; i < G_N_ELEMENTS(corpus); i += 2) {
        g_autofree uint8_t *data = bytes_of(corpus[i], &size);

        g_test_message("%s", corpus[i]);
        gpu_fuzz(gpu, &host, data, size);
    }
    gpu_finish(gpu);
}

static void test_even(void)
{
    replay(0);
}

static void test_odd(void)
{
    replay(1);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "even", test_even },
        { "odd", test_odd },
    };

    return gpu_run_tests(argc, argv, "fuzz", tests, G_N_ELEMENTS(tests));
}
