/*
 * qtest for virtio-gpu-gl: what the operator sets and sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#include "virtio-gpu-gl-client.h"

/*
 * Starting QEMU
 */

/* How it ends, and what it says */
static void check_start(const GPUConfig *config, int status,
                        const char *said, const char *hint)
{
    g_autofree char *text = NULL;

    g_assert_cmpint(gpu_try(config, &text), ==, status);
    g_test_message("%s%s: %s", config->device ? config->device : "",
                   config->props ? config->props : "", text);
    g_assert_nonnull(strstr(text, said));
    g_assert_nonnull(strstr(text, hint));
}

static void test_policy_is_fixed(GPU *gpu)
{
    QDict *reply = qtest_qmp(gpu->qts, "{ 'execute': 'qom-set',"
                             " 'arguments': { 'path': '/machine/peripheral/"
                             "gpu', 'property': 'map-policy',"
                             " 'value': 'renderer' } }");
    QObject *policy = gpu_property(gpu, "map-policy");

    g_assert_true(qdict_haskey(reply, "error"));
    g_assert_cmpstr(qstring_get_str(qobject_to(QString, policy)), ==, "safe");
    qobject_unref(policy);
    qobject_unref(reply);
}

static void test_help(void)
{
    static const char *const devices[] = {
        "virtio-gpu-gl-pci", "virtio-vga-gl", "virtio-gpu-gl-device",
    };
    static const char *const texts[] = {
        "list of mapped blobs", "enable guest PAT in KVM",
        "host capabilities and settings for blob mappings",
        "blobs mapped, unmapped and refused, by reason",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_autofree char *text = NULL;
        char *line;

        g_assert_cmpint(gpu_try(&(GPUConfig) {
            .device = devices[i], .props = ",help",
        }, &text), ==, 0);
        for (size_t j = 0; j < G_N_ELEMENTS(texts); j++) {
            g_assert_nonnull(strstr(text, texts[j]));
        }
        line = strstr(text, "map-policy=");
        g_assert_nonnull(line);
        *strchrnul(line, '\n') = '\0';
        g_test_message("%s", line);
        g_assert_nonnull(strstr(line, "safe"));
        g_assert_nonnull(strstr(line, "strict"));
        g_assert_nonnull(strstr(line, "renderer"));
    }
}

/* A device that cannot be had as it is wanted, and the reason */
static void test_refused(void)
{
#define KVM(kvm_) .cpu = SCRIPTED_CPU_INTEL, .kvm = SCRIPTED_KVM_##kvm_
#define FAIL(...) { .hostmem = WINDOW, .fail = { __VA_ARGS__ } }
#define SET(...) { .hostmem = WINDOW, .props = __VA_ARGS__ }
    static const struct {
        GPUConfig config;
        const char *said, *hint;
    } rows[] = {
        /* What is accepted is what other tests set. */
        { SET(",map-policy=lax"), "lax", "map-policy" },
        { SET(",map-policy=Safe"), "Safe", "map-policy" },
        { SET(",map-policy=lax", .device = "virtio-vga-gl"), "lax" },
        { SET(",map-policy=0"), "map-policy" },
        { SET(",guest-pat=0"), "guest-pat" },
        { SET(",blob-alignment=0"), "blob-alignment" },
        { SET(",guest-pat=0", .device = "virtio-vga-gl"), "guest-pat" },
        { SET(",blob-alignment=0", .device = "virtio-vga-gl"),
          "blob-alignment" },

        { { .device = "virtio-gpu-gl-device", .machine = "microvm",
            .hostmem = WINDOW }, "hostmem needs a PCI device" },
        /* Neither its pages nor a bit for each can be had. */
        { { .hostmem = 1ull << 50 }, "hostmem" },
        { { .hostmem = 1ull << 55 }, "hostmem" },
        /* KVM's rejection would abort QEMU when the guest enables the BAR. */
        { { .hostmem = 1ull << 43, .kvm = SCRIPTED_KVM_PLAIN },
          "memory slot of KVM", "hostmem=256G" },
        /* Enough mappings must be left for its blobs, and for QEMU. */
        { { .hostmem = 1ull << 40 }, "mappings", "vm.max_map_count" },
        /* 16 low addresses are tried first. */
        { FAIL(SCRIPTED_MAP_RESERVE, 0, 17, ENOMEM), "hostmem", "ulimit -v" },
        { FAIL(SCRIPTED_MAP_OTHER, 0, 1, ENOMEM), "hostmem", "ulimit -v" },
        { FAIL(SCRIPTED_MAP_OTHER, 1, 1, ENOMEM), "hostmem", "ulimit -v" },
        { FAIL(SCRIPTED_MAP_RESERVE, 1, 1, ENOMEM), "hostmem", "ulimit -v" },
        { FAIL(SCRIPTED_MAP_STORE, 0, 1, ENOMEM), "hostmem", "ulimit -v" },
        { FAIL(SCRIPTED_MAP_STORE, 3, 1, ENOMEM), "hostmem", "ulimit -v" },
        { FAIL(SCRIPTED_MEMFD, 0, 1, EMFILE), "memfd" },
        /* What was set up goes when the rest cannot be had. */
        { SET(",max_outputs=99"), "max_outputs" },
        { { .props = ",max_outputs=99" }, "max_outputs" },

        { { .props = ",guest-pat=on" }, "guest-pat=on requires" },
        { { .props = ",blob-alignment=on" }, "blob-alignment=on requires" },
        { SET(",guest-pat=on", KVM(PLAIN)),
          "guest-pat=on is not possible: KVM ignores guest PAT" },
        { SET(",guest-pat=on", KVM(STUCK)),
          "guest-pat=on is not possible: KVM reports support" },
    };
    static const GPUConfig fine[] = {
        SET(",guest-pat=on", .policy = "renderer", KVM(QUIRK)),
        SET(",guest-pat=on", .cpu = SCRIPTED_CPU_AMD,
            .kvm = SCRIPTED_KVM_PLAIN),
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        check_start(&rows[i].config, 1, rows[i].said,
                    rows[i].hint ? rows[i].hint : "");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(fine); i++) {
        check_start(&fine[i], 0, "", "");
    }
}

static void test_hostmem_without_blob(void)
{
    g_autofree char *text = NULL;

    check_start(&(GPUConfig) { .hostmem = WINDOW, .props = ",blob=off" }, 0,
                "blob=on", "");
    g_assert_cmpint(gpu_try(&(GPUConfig) { .hostmem = WINDOW }, &text), ==, 0);
    g_assert_null(strstr(text, "blob=on"));
}

/*
 * Messages
 */

/* A buffer that the host cannot map, and a guest that has no such thing */
#define HOSTS_FAULT 5
#define GUESTS_FAULT 4711

static void refuse(GPU *gpu, uint32_t id, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        g_assert_cmphex(gpu_map(gpu, id, 0, NULL), ==,
                        id == HOSTS_FAULT ? UNSPEC : BAD_ID);
    }
}

/* A guest cannot fill the disk with messages. */
static void test_log(GPU *gpu)
{
    static const char *const reported[] = {
        "resource 5 (context 1, ", "i915", "exporter-incoherent",
        "map-policy=renderer",
    };

    gpu_create(gpu, HOSTS_FAULT, DMABUF(.answer = ANSWER_INCOHERENT,
                                        .exporter = EXPORTER_I915), GPU_PAGE);
    refuse(gpu, HOSTS_FAULT, 101);
    for (size_t i = 0; i < G_N_ELEMENTS(reported); i++) {
        g_assert_cmpuint(gpu_count_log(gpu, reported[i]), >, 0);
    }
    g_assert_cmpuint(gpu_count_log(gpu, "not mapped"), ==, 10);
    g_assert_cmpuint(gpu_refused(gpu, "exporter-incoherent"), ==, 101);

    /* After a while there are lines again, and one on what was left out. */
    g_usleep(5200 * 1000);
    refuse(gpu, HOSTS_FAULT, 1);
    /* What has no exporter has no name. */
    gpu_create(gpu, 6, SHM(.mmap = MMAP_ENODEV), GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 6, 0, NULL), ==, UNSPEC);
    g_assert_cmpuint(gpu_count_log(gpu, "91 further blob messages suppressed"),
                     ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, "not mapped"), ==, 12);
    g_assert_cmpuint(gpu_count_log(gpu, "backing shm, exporter \"-\""), ==, 1);
    gpu_unref(gpu, HOSTS_FAULT);
    gpu_unref(gpu, 6);
}

/* What its driver does wrong is for who debugs the guest. */
static void check_guest_errors(const char *args, unsigned lines)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .logged = true, .args = args,
    });

    gpu_create(gpu, HOSTS_FAULT, DMABUF(.answer = ANSWER_INCOHERENT),
               GPU_PAGE);
    refuse(gpu, GUESTS_FAULT, 20);
    refuse(gpu, HOSTS_FAULT, 1);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 20);
    gpu_unref(gpu, HOSTS_FAULT);
    g_assert_cmpuint(gpu_count_log(gpu, "not mapped (unknown-resource)"), ==,
                     lines);
    g_assert_cmpuint(gpu_count_log(gpu, "warning: virtio-gpu: blob"), ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, "not mapped (exporter-incoherent)"),
                     ==, 1);
    g_assert_cmpuint(gpu_count_log(gpu, "blob messages suppressed"), ==, 0);
    gpu_finish(gpu);
}

static void test_guest_errors(void)
{
    check_guest_errors(NULL, 0);
    check_guest_errors("-d guest_errors", 20);
}

/* Whatever becomes of it, a refusal says whose buffer it was. */
static void test_exporter_named(GPU *gpu)
{
#define I915 .exporter = EXPORTER_I915
    static const struct {
        ScriptedBlob blob;
        const char *reason;
    } rows[] = {
        { BUFFER_BUT(I915, .mmap = MMAP_EINVAL), "map-failed" },
        { BUFFER_BUT(I915, .mmap = MMAP_ENOMEM), "map-failed" },
        { BUFFER_BUT(I915, .length = LENGTH_HALF), "buffer-too-short" },
        { DMABUF(I915, .answer = ANSWER_INCOHERENT), "exporter-incoherent" },
        { DMABUF(I915), "nobody-vouches" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *why = g_strdup_printf("not mapped (%s)",
                                               rows[i].reason);
        unsigned before = gpu_count_log(gpu, why);

        gpu_create(gpu, 1, rows[i].blob, GPU_PAGE);
        gpu_map(gpu, 1, 0, NULL);
        gpu_unref(gpu, 1);
        g_assert_cmpuint(gpu_count_log(gpu, why), ==, before + 1);
        g_assert_cmpuint(gpu_count_log(gpu, "exporter \"i915\""), ==, i + 1);
    }
}

/* A guess is reported, too, but not more often than that. */
static void test_assumed(GPU *gpu)
{
    gpu_create(gpu, 1, DMABUF(.exporter = EXPORTER_DRM), GPU_PAGE);
    for (unsigned i = 0; i < 20; i++) {
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_unmap(gpu, 1);
    }
    g_assert_cmpuint(gpu_count_log(gpu, "its cache type is unknown"), ==, 10);
    g_assert_cmpuint(gpu_count_log(gpu, "\"drm\""), ==, 10);
    gpu_unref(gpu, 1);
}

static void test_trace(GPU *gpu)
{
    static const struct {
        const char *text;
        unsigned n; /* 0: once at least */
    } traced[] = {
        { "virtio_gpu_blob_decision", 3 },
        { "virtio_gpu_blob_map ", 2 },
        { "virtio_gpu_blob_unmap ", 2 },
        { "virtio_gpu_blob_refused ", 2 },
        { "exporter \"i915\"", 0 },
        { "refused, exporter-incoherent", 0 },
        { "reason exporter-incoherent", 0 },
        { "reason unknown-resource", 0 },
    };

    gpu_map_new(gpu, 1, BUFFER_BUT(.exporter = EXPORTER_I915), GPU_PAGE, 0);
    gpu_unref(gpu, 1);
    gpu_create(gpu, 2, DMABUF(.answer = ANSWER_INCOHERENT), GPU_PAGE);
    gpu_map(gpu, 2, GPU_PAGE, NULL);
    gpu_unref(gpu, 2);
    gpu_map_new(gpu, 3, NO_FD(.word = WORD_WC), GPU_PAGE, GPU_PAGE);
    gpu_unref(gpu, 3);
    gpu_map(gpu, 4, GPU_PAGE, NULL);
    if (!gpu_count_log(gpu, "virtio_gpu_blob_")) {
        g_test_skip("this QEMU does not trace to its log");
    } else {
        for (size_t i = 0; i < G_N_ELEMENTS(traced); i++) {
            unsigned n = gpu_count_log(gpu, traced[i].text);

            g_test_message("%s", traced[i].text);
            g_assert_true(traced[i].n ? n == traced[i].n : n > 0);
        }
    }
}

/*
 * Properties
 */

/* A time in ms, of the host's clock, that is not before @start in us */
static void check_time(GPU *gpu, const char *stat, int64_t start)
{
    int64_t ms = gpu_stat(gpu, stat);

    g_assert_cmpint(ms, >=, start / 1000);
    g_assert_cmpint(ms, <=, g_get_real_time() / 1000);
}

static void test_properties(GPU *gpu)
{
    int64_t start = g_get_real_time();
    QDict *m;

    gpu_map_new(gpu, 7,
                DMABUF(.answer = ANSWER_WC, .exporter = EXPORTER_I915,
                       .word = WORD_CACHED),
                2 * GPU_PAGE, 3 * GPU_PAGE);
    gpu_map_new(gpu, 8, DMABUF(.exporter = EXPORTER_UDMABUF), GPU_PAGE, 0);
    m = gpu_mapping(gpu, 8);
    g_assert_cmpstr(qdict_get_str(m, "exporter"), ==, "udmabuf");
    g_assert_cmpstr(qdict_get_str(m, "voucher"), ==, "exporter-name");
    qobject_unref(m);
    m = gpu_mapping(gpu, 7);
    g_assert_cmpint(qdict_get_int(m, "context"), ==, 1);
    g_assert_cmpint(qdict_get_int(m, "offset"), ==, 3 * GPU_PAGE);
    g_assert_cmpint(qdict_get_int(m, "size"), ==, 2 * GPU_PAGE);
    g_assert_cmpstr(qdict_get_str(m, "backing"), ==, "dmabuf");
    g_assert_cmpstr(qdict_get_str(m, "exporter"), ==, "");
    g_assert_cmpstr(qdict_get_str(m, "exporter-answer"), ==, "coherent-wc");
    g_assert_cmpstr(qdict_get_str(m, "renderer"), ==, "cached");
    g_assert_cmpstr(qdict_get_str(m, "map-type"), ==, "wc");
    g_assert_cmpstr(qdict_get_str(m, "voucher"), ==, "exporter");
    g_assert_cmpstr(qdict_get_str(m, "path"), ==, "window");
    qobject_unref(m);
    check_time(gpu, "last-map-ms", start);
    g_assert_cmpuint(gpu_stat(gpu, "last-refusal-ms"), ==, 0);
    g_assert_cmphex(gpu_map(gpu, 7, 0, NULL), ==, BAD);
    check_time(gpu, "last-refusal-ms", start);
    gpu_unref(gpu, 7);
    gpu_unref(gpu, 8);
}

/* The newest, as many as a monitor can bear */
static void test_long_list(GPU *gpu)
{
    QList *maps;
    QDict *first;

    gpu_batch_all(gpu, gpu_put_shared, 1, 300, OK);
    gpu_batch_all(gpu, gpu_put_map_next, 1, 300, GRANTED);
    maps = qobject_to(QList, gpu_property(gpu, "blob-maps"));
    first = qobject_to(QDict, qlist_peek(maps));
    g_assert_cmpuint(qlist_size(maps), ==, 256);
    g_assert_cmpuint(qdict_get_int(first, "resource"), ==, 300);
    qobject_unref(maps);
    gpu_batch_all(gpu, gpu_put_unref, 1, 300, OK);
}

static void test_host(GPU *gpu)
{
    QDict *host = qobject_to(QDict, gpu_property(gpu, "blob-host"));

    g_assert_cmpstr(qdict_get_str(host, "guest-type"), ==, "forced-write-back");
    g_assert_nonnull(strstr(qdict_get_str(host, "guest-type-why"),
                            "FEAT_S2FWB"));
    g_assert_nonnull(strstr(qdict_get_str(host, "guest-type-remedy"),
                            "map-policy=renderer"));
    g_assert_cmpstr(qdict_get_str(host, "accelerator"), ==, "qtest");
    g_assert_cmpstr(qdict_get_str(host, "map-policy"), ==, "strict");
    g_assert_true(qdict_get_bool(host, "possible-vram"));
    g_assert_false(qdict_get_bool(host, "confidential-guest"));
    g_assert_true(qdict_get_bool(host, "blob-alignment"));
    g_assert_cmpint(qdict_get_int(host, "page-size"), ==, 16384);
    g_assert_cmpint(qdict_get_int(host, "window"), ==, WINDOW);
    g_assert_cmpint(qdict_get_int(host, "mappings"), >, 0);
    g_assert_cmpint(qdict_get_int(host, "mappings"), <,
                    qdict_get_int(host, "mappings-limit"));
    g_assert_cmpint(qdict_get_int(host, "regions-limit"), ==, 1536);
    g_assert_false(qdict_get_bool(host, "direct"));
    g_assert_cmpint(qdict_get_int(host, "files-limit"), >, 0);
    qobject_unref(host);
}

/* Without a window nothing depends on the host, nor is it looked at. */
static void test_host_no_window(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .policy = "safe", KVM(QUIRK) });
    QDict *host = qobject_to(QDict, gpu_property(gpu, "blob-host"));

    g_assert_cmpuint(gpu->shared->kvm_enables, ==, 0);
    g_assert_false(qdict_haskey(host, "guest-type"));
    g_assert_false(qdict_haskey(host, "mappings"));
    g_assert_cmpint(qdict_get_int(host, "window"), ==, 0);
    g_assert_cmpstr(qdict_get_str(host, "map-policy"), ==, "safe");
    g_assert_cmpint(gpu_stat(gpu, "largest-hole"), ==, 0);
    qobject_unref(host);
    gpu_finish(gpu);
}

static void check_usage(GPU *gpu, uint64_t mapped, uint64_t hole)
{
    g_assert_cmpuint(gpu_stat(gpu, "mapped-bytes"), ==, mapped);
    g_assert_cmpuint(gpu_stat(gpu, "largest-hole"), ==, hole);
}

static void test_usage(GPU *gpu)
{
    const uint64_t page = GPU_PAGE;

    check_usage(gpu, 0, WINDOW);
    gpu_map_new(gpu, 1, BUFFER, page, WINDOW / 2);
    check_usage(gpu, page, WINDOW / 2);
    gpu_map_new(gpu, 2, POINTER, 2 * page, WINDOW / 4);
    check_usage(gpu, 3 * page, WINDOW / 2 - page);
    gpu_map_new(gpu, 3, BUFFER, page - 1, WINDOW - page);
    gpu_map_new(gpu, 4, BUFFER, page, WINDOW / 4 * 3);
    gpu_map_new(gpu, 5, BUFFER, page, 0);
    check_usage(gpu, 6 * page, WINDOW / 4 - page);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 0);
    gpu_create(gpu, 6, BUFFER, WINDOW);
    gpu_map(gpu, 6, page, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 1);
    gpu_map(gpu, 6, 1, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 1);
    /* A driver without memory is no matter of the window's size. */
    gpu_create(gpu, 7, BUFFER_BUT(.mmap = MMAP_ENOMEM), page);
    gpu_map(gpu, 7, WINDOW / 8, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 1);
    gpu_fail(gpu, SCRIPTED_MAP_RESERVE, 0, 1);
    gpu_map(gpu, 7, WINDOW / 8, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 2);
    gpu_reset(gpu);
    gpu_wait_live(gpu, 0);
    check_usage(gpu, 0, WINDOW);
    gpu_map_new(gpu, 1, BUFFER, WINDOW, 0);
    check_usage(gpu, WINDOW, 0);
    gpu_unref(gpu, 1);
}

/* Linux sends no RESOURCE_MAP_BLOB if its window is full. */
static void test_window_full(GPU *gpu)
{
    gpu_map_new(gpu, 1, BUFFER, WINDOW / 2, WINDOW / 4);
    /* It would fit, and is not wanted. */
    g_assert_cmphex(gpu_create(gpu, 2, BUFFER, WINDOW / 4), ==, OK);
    g_assert_cmphex(gpu_unref(gpu, 2), ==, OK);
    g_assert_cmpuint(gpu_failures(gpu, "window-full"), ==, 0);
    for (unsigned i = 1; i <= 12; i++) {
        /* It is not looked at more often than that. */
        g_usleep(60 * 1000);
        g_assert_cmphex(gpu_create(gpu, 3, BUFFER, WINDOW / 2), ==, OK);
        g_assert_cmphex(gpu_unref(gpu, 3), ==, OK);
        g_assert_cmpuint(gpu_failures(gpu, "window-full"), ==, i);
        g_assert_cmpuint(gpu_count_log(gpu, "hostmem"), ==, MIN(i, 10));
    }
    gpu_unref(gpu, 1);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "policy-is-fixed", test_policy_is_fixed },
        { "help", .alone = test_help },
        { "refused", .alone = test_refused },
        { "hostmem-without-blob", .alone = test_hostmem_without_blob },
        { "log", test_log, { .logged = true } },
        { "guest-errors", .alone = test_guest_errors },
        { "exporter-named", test_exporter_named, { .logged = true } },
        { "assumed", test_assumed, { .policy = "renderer", .logged = true } },
        { "trace", test_trace,
          { .logged = true, .args = "-trace virtio_gpu_blob_*" } },
        { "blob-maps", test_properties },
        { "long-list", test_long_list },
        { "blob-host", test_host,
          { .policy = "strict", .cpu = SCRIPTED_CPU_ARM64,
            .kvm = SCRIPTED_KVM_FWB, .page_size = 16384,
            .drm = SCRIPTED_DRM_HIDDEN } },
        { "blob-host-no-window", .alone = test_host_no_window },
        { "usage", test_usage },
        { "window-full", test_window_full, { .logged = true } },
    };

    return gpu_run_tests(argc, argv, "operator", tests, G_N_ELEMENTS(tests));
}
