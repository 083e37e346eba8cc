/*
 * qtest for virtio-gpu-gl: what the operator sets and sees
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "virtio-gpu-gl-client.h"

static char *read_file(const char *path)
{
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    while ((text = strstr(text, what))) {
        text += strlen(what);
        n++;
    }
    return n;
}

static char *new_log(void)
{
    char *path = NULL;
    int fd = g_file_open_tmp("virtio-gpu-gl-XXXXXX.log", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    return path;
}

/*
 * map-policy
 */

static void check_policy(const char *device, const char *value, bool good)
{
    g_autofree char *text = NULL;
    int status = gpu_try(&(GPUConfig) {
        .device = device, .policy = value, .hostmem = WINDOW,
    }, &text);

    g_test_message("%s map-policy=%s: %d", device, value, status);
    g_assert_cmpint(status, ==, !good);
    if (!good) {
        g_assert_nonnull(strstr(text, "map-policy"));
        g_assert_nonnull(strstr(text, value));
    }
}

static void test_policy(void)
{
    static const char *const devices[] = {
        "virtio-gpu-gl-pci", "virtio-vga-gl",
    };
    static const char *const good[] = { "safe", "strict", "renderer" };
    static const char *const bad[] = { "lax", "Safe", "0" };
    size_t d, i;

    for (d = 0; d < G_N_ELEMENTS(devices); d++) {
        for (i = 0; i < G_N_ELEMENTS(good); i++) {
            check_policy(devices[d], good[i], true);
        }
        for (i = 0; i < G_N_ELEMENTS(bad); i++) {
            check_policy(devices[d], bad[i], false);
        }
    }
}

static void test_policy_is_fixed(void)
{
    GPU *gpu = gpu_start_plain();
    QDict *reply = qtest_qmp(gpu_qts(gpu), "{ 'execute': 'qom-set',"
                             " 'arguments': { 'path': '/machine/peripheral/"
                             "gpu', 'property': 'map-policy',"
                             " 'value': 'renderer' } }");

    g_assert_true(qdict_haskey(reply, "error"));
    qobject_unref(reply);
    gpu_stop(gpu);
}

static void test_help(void)
{
    static const char *const devices[] = {
        "virtio-gpu-gl-pci", "virtio-vga-gl", "virtio-gpu-gl-device",
    };
    static const char *const told[] = {
        "list of mapped blobs",
        "host capabilities and settings for blob mappings",
        "blobs mapped, unmapped and refused, by reason",
    };
    size_t i, j;

    for (i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_autofree char *text = NULL;
        int status = gpu_try(&(GPUConfig) {
            .device = devices[i], .props = ",help",
        }, &text);
        char *line;

        g_assert_cmpint(status, ==, 0);
        for (j = 0; j < G_N_ELEMENTS(told); j++) {
            g_assert_nonnull(strstr(text, told[j]));
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

/*
 * A device that cannot be had
 */

static void check_refused(const GPUConfig *config, const char *why,
                          const char *hint)
{
    g_autofree char *text = NULL;
    int status = gpu_try(config, &text);

    g_test_message("%s", text);
    g_assert_cmpint(status, ==, 1);
    g_assert_nonnull(strstr(text, why));
    g_assert_nonnull(strstr(text, hint));
}

static void test_no_pci(void)
{
    check_refused(&(GPUConfig) {
        .device = "virtio-gpu-gl-device", .machine = "microvm",
        .hostmem = WINDOW,
    }, "hostmem needs a PCI device", "");
}

/* Neither its pages nor a bit for each can be had. */
static void test_huge(void)
{
    check_refused(&(GPUConfig) { .hostmem = 1ull << 50 }, "hostmem", "");
    check_refused(&(GPUConfig) { .hostmem = 1ull << 55 }, "hostmem", "");
}

/* What KVM rejects when the guest enables the BAR would abort QEMU then. */
static void test_memory_slot(void)
{
    check_refused(&(GPUConfig) {
        .hostmem = 1ull << 43, .kvm = SCRIPTED_KVM_PLAIN,
    }, "memory slot of KVM", "hostmem=256G");
}

/* As many mappings as it takes must be left for its blobs, and for QEMU. */
static void test_too_many_mappings(void)
{
    check_refused(&(GPUConfig) { .hostmem = 1ull << 40 },
                  "mappings", "vm.max_map_count");
}

static void test_no_address_space(void)
{
    static const struct scripted_fail fails[] = {
        { SCRIPTED_MAP_RESERVE, 0, 17, ENOMEM }, /* 16 low addresses */
        { SCRIPTED_MAP_OTHER, 0, 1, ENOMEM },
        { SCRIPTED_MAP_OTHER, 1, 1, ENOMEM },
        { SCRIPTED_MAP_RESERVE, 1, 1, ENOMEM },
        { SCRIPTED_MAP_STORE, 0, 1, ENOMEM },
        { SCRIPTED_MAP_STORE, 3, 1, ENOMEM },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(fails); i++) {
        check_refused(&(GPUConfig) {
            .hostmem = WINDOW, .fail = fails[i],
        }, "hostmem", "ulimit -v");
    }
    check_refused(&(GPUConfig) {
        .hostmem = WINDOW, .fail = { SCRIPTED_MEMFD, 0, 1, EMFILE },
    }, "memfd", "");
}

/* What was set up goes when the rest of the device cannot be had. */
static void test_bad_outputs(void)
{
    check_refused(&(GPUConfig) {
        .hostmem = WINDOW, .props = ",max_outputs=99",
    }, "max_outputs", "");
    check_refused(&(GPUConfig) {
        .hostmem = 0, .props = ",max_outputs=99",
    }, "max_outputs", "");
}

/*
 * Messages
 */

/* A buffer that the host cannot map, and a guest that has no such thing */
#define HOSTS_FAULT 5
#define GUESTS_FAULT 4711

static void refuse(GPU *gpu, uint32_t id, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        g_assert_cmphex(gpu_map(gpu, id, 0, NULL), ==,
                        id == HOSTS_FAULT ? UNSPEC : BAD_ID);
    }
}

/* A guest cannot fill the disk with messages. */
static void test_log(void)
{
    g_autofree char *log = new_log(), *text = NULL, *more = NULL;
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .log = log });

    gpu_create(gpu, 5, SCRIPTED_DMABUF | SCRIPTED_INCOHERENT |
               SCRIPTED_EXP_I915, GPU_PAGE);
    refuse(gpu, HOSTS_FAULT, 101);
    text = read_file(log);
    g_assert_nonnull(strstr(text, "resource 5 (context 1, "));
    g_assert_nonnull(strstr(text, "i915"));
    g_assert_nonnull(strstr(text, "exporter-incoherent"));
    g_assert_nonnull(strstr(text, "map-policy=renderer"));
    g_assert_cmpuint(count(text, "not mapped"), ==, 10);
    g_assert_cmpuint(gpu_refused(gpu, "exporter-incoherent"), ==, 101);

    /* After a while there is room again, and word of what was left out. */
    g_usleep(5200 * 1000);
    refuse(gpu, HOSTS_FAULT, 1);
    /* What has no exporter has no name. */
    gpu_create(gpu, 6, SCRIPTED_SHM | SCRIPTED_MMAP_ENODEV, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 6, 0, NULL), ==, UNSPEC);
    more = read_file(log);
    g_assert_nonnull(strstr(more, "91 further blob messages suppressed"));
    g_assert_cmpuint(count(more, "not mapped"), ==, 12);
    g_assert_nonnull(strstr(more, "backing shm, exporter \"-\""));
    gpu_unref(gpu, 5);
    gpu_unref(gpu, 6);
    gpu_stop(gpu);
    unlink(log);
}

/* What its driver does wrong is for who debugs the guest. */
static void check_guest_errors(const char *args, unsigned lines)
{
    g_autofree char *log = new_log(), *text = NULL;
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .log = log, .args = args,
    });

    gpu_create(gpu, HOSTS_FAULT, SCRIPTED_DMABUF | SCRIPTED_INCOHERENT,
               GPU_PAGE);
    refuse(gpu, GUESTS_FAULT, 20);
    refuse(gpu, HOSTS_FAULT, 1);
    g_assert_cmpuint(gpu_refused(gpu, "unknown-resource"), ==, 20);
    gpu_unref(gpu, HOSTS_FAULT);
    gpu_finish(gpu);
    text = read_file(log);
    g_assert_cmpuint(count(text, "not mapped (unknown-resource)"), ==, lines);
    g_assert_cmpuint(count(text, "warning: virtio-gpu: blob"), ==, 1);
    g_assert_cmpuint(count(text, "not mapped (exporter-incoherent)"), ==, 1);
    g_assert_null(strstr(text, "blob messages suppressed"));
    unlink(log);
}

static void test_guest_errors(void)
{
    check_guest_errors(NULL, 0);
    check_guest_errors("-d guest_errors", 20);
}

/* Whatever becomes of it, a refusal says whose buffer it was. */
static void test_exporter_named(void)
{
    static const struct {
        uint64_t blob_id;
        const char *reason;
    } refusals[] = {
        { CACHED_BUF | SCRIPTED_MMAP_EINVAL, "map-failed" },
        { CACHED_BUF | SCRIPTED_MMAP_ENOMEM, "map-failed" },
        { CACHED_BUF | SCRIPTED_HALF, "buffer-too-short" },
        { SCRIPTED_DMABUF | SCRIPTED_INCOHERENT, "exporter-incoherent" },
        { SCRIPTED_DMABUF, "nobody-vouches" },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autofree char *log = new_log(), *text = NULL;
        g_autofree char *why = g_strdup_printf("not mapped (%s)",
                                               refusals[i].reason);
        GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .log = log });

        gpu_create(gpu, 1, refusals[i].blob_id | SCRIPTED_EXP_I915, GPU_PAGE);
        gpu_map(gpu, 1, 0, NULL);
        gpu_unref(gpu, 1);
        gpu_finish(gpu);
        text = read_file(log);
        g_test_message("%s", text);
        g_assert_nonnull(strstr(text, why));
        g_assert_nonnull(strstr(text, "exporter \"i915\""));
        unlink(log);
    }
}

/* A guess is told, too, but not more often than that. */
static void test_assumed(void)
{
    g_autofree char *log = new_log(), *text = NULL;
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .policy = "renderer", .log = log,
    });
    unsigned i;

    gpu_create(gpu, 1, SCRIPTED_DMABUF | SCRIPTED_EXP_DRM, GPU_PAGE);
    for (i = 0; i < 20; i++) {
        g_assert_cmphex(gpu_map(gpu, 1, 0, NULL), ==, GRANTED);
        gpu_unmap(gpu, 1);
    }
    text = read_file(log);
    g_assert_cmpuint(count(text, "its cache type is unknown"), ==, 10);
    g_assert_nonnull(strstr(text, "\"drm\""));
    gpu_unref(gpu, 1);
    gpu_stop(gpu);
    unlink(log);
}

static void test_trace(void)
{
    g_autofree char *log = new_log(), *text = NULL;
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .log = log, .args = "-trace virtio_gpu_blob_*",
    });

    gpu_create(gpu, 1, CACHED_BUF | SCRIPTED_EXP_I915, GPU_PAGE);
    gpu_map(gpu, 1, GPU_PAGE, NULL);
    gpu_unref(gpu, 1);
    gpu_create(gpu, 2, SCRIPTED_DMABUF | SCRIPTED_INCOHERENT, GPU_PAGE);
    gpu_map(gpu, 2, GPU_PAGE, NULL);
    gpu_unref(gpu, 2);
    gpu_create(gpu, 3, SCRIPTED_NONE | SCRIPTED_WORD_WC, GPU_PAGE);
    gpu_map(gpu, 3, GPU_PAGE, NULL);
    gpu_unref(gpu, 3);
    gpu_map(gpu, 4, GPU_PAGE, NULL);
    gpu_stop(gpu);
    text = read_file(log);
    if (!strstr(text, "virtio_gpu_blob_")) {
        g_test_skip("this QEMU does not trace to its log");
    } else {
        g_assert_cmpuint(count(text, "virtio_gpu_blob_decision"), ==, 3);
        g_assert_cmpuint(count(text, "virtio_gpu_blob_map "), ==, 2);
        g_assert_cmpuint(count(text, "virtio_gpu_blob_unmap "), ==, 2);
        g_assert_nonnull(strstr(text, "exporter \"i915\""));
        g_assert_nonnull(strstr(text, "refused, exporter-incoherent"));
        g_assert_cmpuint(count(text, "virtio_gpu_blob_refused "), ==, 2);
        g_assert_nonnull(strstr(text, "reason exporter-incoherent"));
        g_assert_nonnull(strstr(text, "reason unknown-resource"));
    }
    unlink(log);
}

/* What properties show does not depend on who looks on. */
static char *maps_with(const char *args)
{
    static const uint64_t blobs[] = {
        CACHED_BUF | SCRIPTED_EXP_I915,
        SCRIPTED_DMABUF | SCRIPTED_EXP_UDMABUF,
        SCRIPTED_DMABUF | SCRIPTED_EXP_UDMABUF | SCRIPTED_WORD_CACHED,
        SCRIPTED_DMABUF | SCRIPTED_EXP_DRM | SCRIPTED_WORD_CACHED,
        SCRIPTED_DMABUF | SCRIPTED_EXP_SYSTEM | SCRIPTED_WORD_WC,
    };
    GPU *gpu = gpu_start(&(GPUConfig) { .hostmem = WINDOW, .args = args });
    QObject *maps;
    GString *json;
    uint32_t id;

    for (id = 1; id <= G_N_ELEMENTS(blobs); id++) {
        gpu_create(gpu, id, blobs[id - 1], GPU_PAGE);
        g_assert_cmphex(gpu_map(gpu, id, id * GPU_PAGE, NULL), ==, GRANTED);
    }
    maps = gpu_property(gpu, "blob-maps");
    json = qobject_to_json_pretty(maps, true);
    qobject_unref(maps);
    while (--id) {
        gpu_unref(gpu, id);
    }
    gpu_finish(gpu);
    return g_string_free(json, false);
}

static void test_trace_changes_nothing(void)
{
    g_autofree char *plain = maps_with(NULL);
    g_autofree char *traced = maps_with("-trace virtio_gpu_blob_*");

    g_assert_cmpstr(plain, ==, traced);
}

/*
 * Properties
 */

static const char *host_text(QDict *host, const char *name)
{
    return qdict_get_str(host, name);
}

static void test_host(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .policy = "strict", .cpu = SCRIPTED_CPU_ARM64,
        .kvm = SCRIPTED_KVM_FWB, .page_size = 16384,
        .drm = SCRIPTED_DRM_HIDDEN,
    });
    QDict *host = qobject_to(QDict, gpu_property(gpu, "blob-host"));

    g_assert_cmpstr(host_text(host, "guest-type"), ==, "forced-write-back");
    g_assert_nonnull(strstr(host_text(host, "guest-type-why"), "FEAT_S2FWB"));
    g_assert_nonnull(strstr(host_text(host, "guest-type-remedy"),
                            "map-policy=renderer"));
    g_assert_cmpstr(host_text(host, "accelerator"), ==, "qtest");
    g_assert_cmpstr(host_text(host, "map-policy"), ==, "strict");
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
    gpu_finish(gpu);
}

/* What was not looked at is not told. */
static void test_host_no_window(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) { .policy = "safe" });
    QDict *host = qobject_to(QDict, gpu_property(gpu, "blob-host"));

    g_assert_false(qdict_haskey(host, "guest-type"));
    g_assert_false(qdict_haskey(host, "mappings"));
    g_assert_cmpint(qdict_get_int(host, "window"), ==, 0);
    g_assert_cmpstr(host_text(host, "map-policy"), ==, "safe");
    g_assert_cmpint(gpu_stat(gpu, "largest-hole"), ==, 0);
    qobject_unref(host);
    gpu_finish(gpu);
}

static void check_room(GPU *gpu, uint64_t mapped, uint64_t hole)
{
    g_assert_cmpuint(gpu_stat(gpu, "mapped-bytes"), ==, mapped);
    g_assert_cmpuint(gpu_stat(gpu, "largest-hole"), ==, hole);
}

static void test_room(void)
{
    const uint64_t page = GPU_PAGE;
    GPU *gpu = gpu_start_plain();

    check_room(gpu, 0, WINDOW);
    gpu_create(gpu, 1, BUFFER, page);
    gpu_map(gpu, 1, WINDOW / 2, NULL);
    check_room(gpu, page, WINDOW / 2);
    gpu_create(gpu, 2, POINTER, 2 * page);
    gpu_map(gpu, 2, WINDOW / 4, NULL);
    check_room(gpu, 3 * page, WINDOW / 2 - page);
    gpu_create(gpu, 3, BUFFER, page - 1);
    gpu_map(gpu, 3, WINDOW - page, NULL);
    gpu_create(gpu, 4, BUFFER, page);
    gpu_map(gpu, 4, WINDOW / 4 * 3, NULL);
    gpu_create(gpu, 5, BUFFER, page);
    gpu_map(gpu, 5, 0, NULL);
    check_room(gpu, 6 * page, WINDOW / 4 - page);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 0);
    gpu_create(gpu, 6, BUFFER, WINDOW);
    gpu_map(gpu, 6, page, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 1);
    gpu_map(gpu, 6, 1, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 1);
    /* A driver without memory is no matter of the window's size. */
    gpu_create(gpu, 7, CACHED_BUF | SCRIPTED_MMAP_ENOMEM, page);
    gpu_map(gpu, 7, WINDOW / 8, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 1);
    gpu_fail(gpu, SCRIPTED_MAP_RESERVE, 0, 1);
    gpu_map(gpu, 7, WINDOW / 8, NULL);
    g_assert_cmpuint(gpu_stat(gpu, "refused-for-room"), ==, 2);
    gpu_reset(gpu);
    gpu_wait_live(gpu, 0);
    check_room(gpu, 0, WINDOW);
    gpu_create(gpu, 1, BUFFER, WINDOW);
    gpu_map(gpu, 1, 0, NULL);
    check_room(gpu, WINDOW, 0);
    gpu_unref(gpu, 1);
    gpu_finish(gpu);
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "policy", test_policy },
        { "policy-is-fixed", test_policy_is_fixed },
        { "help", test_help },
        { "no-pci", test_no_pci },
        { "huge", test_huge },
        { "memory-slot", test_memory_slot },
        { "too-many-mappings", test_too_many_mappings },
        { "no-address-space", test_no_address_space },
        { "bad-outputs", test_bad_outputs },
        { "log", test_log },
        { "guest-errors", test_guest_errors },
        { "exporter-named", test_exporter_named },
        { "assumed", test_assumed },
        { "trace", test_trace },
        { "host", test_host },
        { "host-no-window", test_host_no_window },
        { "room", test_room },
        { "trace-changes-nothing", test_trace_changes_nothing },
    };

    return gpu_run_tests(argc, argv, "operator", tests, G_N_ELEMENTS(tests));
}
