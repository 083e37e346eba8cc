/*
 * qtest for virtio-gpu-gl: hosts that honour a guest's cache type, or do not
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The host's kernel, its processor and KVM answer as told.
 */

#include "qemu/osdep.h"
#include "virtio-gpu-gl-client.h"

#define OFFSET (16 * GPU_PAGE)

#define WC_BUF (SCRIPTED_DMABUF | SCRIPTED_WC)
#define UNCACHED_PTR (SCRIPTED_NONE | SCRIPTED_WORD_UNCACHED)

typedef struct HostCase {
    const char *name;
    uint32_t cpu;
    uint32_t kvm;       /* 0: the accelerator is what it is */
    uint32_t watch;
    const char *props;
    const char *why;    /* of a refusal; NULL if the type is honoured */
    const char *warned; /* when the device is realized */
    uint32_t enables;   /* of KVM's switch */
} HostCase;

#define SWITCHED "enabled guest PAT in KVM"
#define FAILED "enabling it failed"
#define NO_SWITCH "KVM_X86_QUIRK_IGNORE_GUEST_PAT (Linux 6.16)"
#define NO_NPT "npt=1"
#define FWB "FEAT_S2FWB) and ignores guest cache types"
#define NOT_KNOWN "it cannot be determined whether"

static const HostCase cases[] = {
    { "qtest", .cpu = SCRIPTED_CPU_INTEL },
    { "qtest, unknown host", .cpu = SCRIPTED_CPU_NO_NAME },
    { "strange accelerator", .watch = SCRIPTED_WATCH_STRANGE,
      .why = "it is not known whether the accelerator honours" },

    { "amd", SCRIPTED_CPU_AMD, SCRIPTED_KVM_PLAIN },
    { "amd, new kernel", SCRIPTED_CPU_AMD, SCRIPTED_KVM_QUIRK },
    { "amd, broken", SCRIPTED_CPU_AMD, SCRIPTED_KVM_BROKEN },
    { "amd, npt=0", SCRIPTED_CPU_AMD_NO_NPT, SCRIPTED_KVM_PLAIN,
      .why = NO_NPT },
    { "amd, npt=0, others", SCRIPTED_CPU_AMD_NO_NPT, SCRIPTED_KVM_OTHER,
      .why = NO_NPT },
    { "amd, npt=0 but the bit", SCRIPTED_CPU_AMD_NO_NPT, SCRIPTED_KVM_QUIRK },

    { "intel, old kernel", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_PLAIN,
      .why = NO_SWITCH },
    { "intel", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_QUIRK, .warned = SWITCHED,
      .enables = 1 },
    { "intel, stuck", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_STUCK,
      .why = FAILED, .warned = FAILED },
    { "intel, others", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_OTHER,
      .why = NO_SWITCH },
    { "intel, broken", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_BROKEN,
      .why = NO_SWITCH },
    { "x86 of nobody", SCRIPTED_CPU_NO_PROC, SCRIPTED_KVM_PLAIN,
      .why = NO_SWITCH },

    { "intel, guest-pat=off", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_QUIRK,
      .props = ",guest-pat=off", .why = "use guest-pat=auto" },
    { "intel, guest-pat=auto", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_QUIRK,
      .props = ",guest-pat=auto", .warned = SWITCHED, .enables = 1 },
    { "amd, guest-pat=off", SCRIPTED_CPU_AMD, SCRIPTED_KVM_PLAIN,
      .props = ",guest-pat=off" },
    { "intel, honor-guest-pat=off", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_QUIRK,
      SCRIPTED_WATCH_PAT_OFF, .why = "honor-guest-pat=off" },
    { "amd, honor-guest-pat=off", SCRIPTED_CPU_AMD, SCRIPTED_KVM_QUIRK,
      SCRIPTED_WATCH_PAT_OFF, .why = "honor-guest-pat=off" },
    { "intel, honor-guest-pat=on", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_QUIRK,
      SCRIPTED_WATCH_PAT_ON },
    { "intel, honor-guest-pat=on, old", SCRIPTED_CPU_INTEL,
      SCRIPTED_KVM_PLAIN, SCRIPTED_WATCH_PAT_ON, .why = NO_SWITCH },
    { "intel, honor-guest-pat=auto", SCRIPTED_CPU_INTEL, SCRIPTED_KVM_QUIRK,
      SCRIPTED_WATCH_PAT_AUTO, .warned = SWITCHED, .enables = 1 },
    { "intel, honor-guest-pat unreadable", SCRIPTED_CPU_INTEL,
      SCRIPTED_KVM_QUIRK, SCRIPTED_WATCH_PAT_BLIND,
      .why = "honor-guest-pat=off" },

    { "arm64", SCRIPTED_CPU_ARM64, SCRIPTED_KVM_NO_FWB },
    { "arm64, FWB", SCRIPTED_CPU_ARM64, SCRIPTED_KVM_FWB, .why = FWB },
    { "arm64, FWB and DIC", SCRIPTED_CPU_ARM64, SCRIPTED_KVM_FWB_DIC,
      .why = FWB },
    { "arm64, a cap that lies", SCRIPTED_CPU_ARM64, SCRIPTED_KVM_LIAR,
      .why = FWB },
    { "arm64, no register", SCRIPTED_CPU_ARM64, SCRIPTED_KVM_NO_REGS,
      .why = NOT_KNOWN, .warned = NOT_KNOWN },
    { "arm64, no vCPU", SCRIPTED_CPU_ARM64,
      SCRIPTED_KVM_NO_FWB | SCRIPTED_KVM_NO_VCPU,
      .why = NOT_KNOWN, .warned = NOT_KNOWN },

    { "riscv64, Svpbmt", SCRIPTED_CPU_RISCV64, SCRIPTED_KVM_SVPBMT },
    { "riscv64", SCRIPTED_CPU_RISCV64, SCRIPTED_KVM_NO_SVPBMT,
      .why = "the vCPU has no cache types (Svpbmt)" },
    { "riscv64, no register", SCRIPTED_CPU_RISCV64, SCRIPTED_KVM_NO_REGS,
      .why = NOT_KNOWN, .warned = NOT_KNOWN },
    { "riscv64, no vCPU", SCRIPTED_CPU_RISCV64,
      SCRIPTED_KVM_SVPBMT | SCRIPTED_KVM_NO_VCPU,
      .why = NOT_KNOWN, .warned = NOT_KNOWN },

    { "s390x", SCRIPTED_CPU_S390X, SCRIPTED_KVM_QUIRK,
      .why = "KVM on this architecture ignores" },
    { "no name", SCRIPTED_CPU_NO_NAME, SCRIPTED_KVM_QUIRK,
      .why = "KVM on this architecture ignores" },
};

static char *read_log(const char *path)
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

/* A blob is mapped with its type, or refused on the host's account. */
static void check_blob(GPU *gpu, uint64_t blob_id, uint32_t type, bool kept)
{
    uint64_t before = gpu_refused(gpu, "guest-type-ignored");
    uint32_t map_info;

    gpu_create(gpu, 1, blob_id, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, OFFSET, &map_info), ==,
                    kept ? GRANTED : UNSPEC);
    g_assert_cmpuint(map_info, ==, kept ? type : 0);
    g_assert_cmpuint(gpu_refused(gpu, "guest-type-ignored"), ==,
                     before + !kept);
    gpu_unref(gpu, 1);
}

/* What is said when the device is realized is said once. */
static void check_log(const HostCase *c, const char *log, bool depends)
{
    static const char *const words[] = {
        SWITCHED, NOT_KNOWN, FAILED,
    };
    g_autofree char *text = read_log(log);
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(words); i++) {
        bool due = depends && c->warned && !strcmp(c->warned, words[i]);

        g_assert_cmpuint(count(text, words[i]), >=, due);
    }
    g_assert_cmpuint(count(text, "will not be mapped"), ==,
                     depends && c->warned && c->why);
    g_assert_cmpuint(count(text, SWITCHED), ==, depends && c->enables);
    if (c->why && depends) {
        g_assert_nonnull(strstr(text, "it is not cached, and "));
        g_assert_nonnull(strstr(text, c->why));
    }
}

static void check_host(const HostCase *c, const char *policy)
{
    g_autofree char *log = NULL;
    bool depends = strcmp(policy, "renderer"), kept = !c->why || !depends;
    GPU *gpu;

    close(g_file_open_tmp("virtio-gpu-gl-XXXXXX.log", &log, NULL));
    gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .policy = policy, .props = c->props, .log = log,
        .kvm = c->kvm, .cpu = c->cpu, .watch = c->watch,
    });
    g_test_message("%s, map-policy=%s", c->name, policy);
    g_assert_cmpuint(gpu_shared(gpu)->kvm_enables, ==,
                     depends ? c->enables : 0);
    check_blob(gpu, WC_BUF, VIRTIO_GPU_MAP_CACHE_WC, kept);
    check_blob(gpu, CACHED_BUF, VIRTIO_GPU_MAP_CACHE_CACHED, true);
    if (strcmp(policy, "strict")) {
        check_blob(gpu, UNCACHED_PTR, VIRTIO_GPU_MAP_CACHE_UNCACHED, kept);
    }
    gpu_finish(gpu);
    check_log(c, log, depends);
    unlink(log);
}

static void check_hosts(uint32_t first, uint32_t last)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (cases[i].cpu >= first && cases[i].cpu <= last) {
            check_host(&cases[i], "safe");
        }
    }
}

static void test_amd(void)
{
    check_hosts(SCRIPTED_CPU_AMD, SCRIPTED_CPU_AMD_NO_NPT);
}

static void test_intel(void)
{
    check_hosts(SCRIPTED_CPU_INTEL, SCRIPTED_CPU_INTEL);
}

static void test_arm64(void)
{
    check_hosts(SCRIPTED_CPU_ARM64, SCRIPTED_CPU_ARM64);
}

static void test_others(void)
{
    check_hosts(0, SCRIPTED_CPU_AMD - 1);
    check_hosts(SCRIPTED_CPU_ARM64 + 1, SCRIPTED_CPU__MAX);
}

/* strict depends on the host as safe does; renderer does not. */
static void test_policies(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        if (!strcmp(cases[i].name, "intel") ||
            !strcmp(cases[i].name, "intel, stuck") ||
            !strcmp(cases[i].name, "intel, guest-pat=off") ||
            !strcmp(cases[i].name, "arm64, FWB") ||
            !strcmp(cases[i].name, "arm64, no register")) {
            check_host(&cases[i], "strict");
            check_host(&cases[i], "renderer");
        }
    }
}

/*
 * GPUs whose own memory KVM on arm64 cannot map
 */

/* A folder as /sys/class/drm is: cards, their connectors, and a file */
static char *new_drm(const char *const *drivers)
{
    g_autoptr(GError) err = NULL;
    char *dir = g_dir_make_tmp("virtio-gpu-gl-drm-XXXXXX", &err);
    g_autofree char *version = g_build_filename(dir, "version", NULL);
    int i;

    g_assert_no_error(err);
    g_assert_true(g_file_set_contents(version, "drm 1.1.0", -1, NULL));
    for (i = 0; drivers[i]; i++) {
        g_autofree char *card = g_strdup_printf("%s/card%d/device", dir, i);
        g_autofree char *connector = g_strdup_printf("%s/card%d-DP-1/device",
                                                     dir, i);
        g_autofree char *link = g_build_filename(card, "driver", NULL);
        g_autofree char *driver = g_strdup_printf("../../bus/pci/drivers/%s",
                                                  drivers[i]);

        g_assert_cmpint(g_mkdir_with_parents(card, 0700), ==, 0);
        g_assert_cmpint(g_mkdir_with_parents(connector, 0700), ==, 0);
        if (*drivers[i]) {
            g_assert_cmpint(symlink(driver, link), ==, 0);
        }
    }
    return dir;
}

static void delete_drm(char *dir)
{
    const char *argv[] = { "rm", "-r", dir, NULL };

    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH,
                               NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(dir);
}

typedef struct DRMCase {
    const char *name;
    uint32_t cpu;
    uint32_t kvm;
    uint32_t drm;
    const char *drivers[4];
    bool refused;
} DRMCase;

#define ARM SCRIPTED_CPU_ARM64
#define NO_FWB SCRIPTED_KVM_NO_FWB
#define FOLDER SCRIPTED_DRM_FOLDER

static const DRMCase drm_cases[] = {
    { "arm64", ARM, NO_FWB, FOLDER, { "panfrost", "rockchip" } },
    { "arm64, amdgpu", ARM, NO_FWB, FOLDER, { "amdgpu" }, true },
    { "arm64, radeon", ARM, NO_FWB, FOLDER, { "radeon" }, true },
    { "arm64, nouveau", ARM, NO_FWB, FOLDER, { "nouveau" }, true },
    { "arm64, xe", ARM, NO_FWB, FOLDER, { "xe" }, true },
    { "arm64, nvidia", ARM, NO_FWB, FOLDER, { "nvidia" }, true },
    { "arm64, i915", ARM, NO_FWB, FOLDER, { "i915" }, true },
    { "arm64, several", ARM, NO_FWB, FOLDER, { "ast", "", "amdgpu" }, true },
    { "arm64, others", ARM, NO_FWB, FOLDER, { "xen", "amdgpu2", "" } },
    { "arm64, empty", ARM, NO_FWB, FOLDER, { } },
    { "arm64, no such folder", ARM, NO_FWB, SCRIPTED_DRM_NONE },
    { "arm64, hidden", ARM, NO_FWB, SCRIPTED_DRM_HIDDEN, .refused = true },
    { "arm64, not KVM", SCRIPTED_CPU_ARM64, 0, FOLDER, { "amdgpu" } },
    { "x86", SCRIPTED_CPU_AMD, SCRIPTED_KVM_PLAIN, FOLDER, { "amdgpu" } },
    { "riscv64", SCRIPTED_CPU_RISCV64, SCRIPTED_KVM_SVPBMT, FOLDER,
      { "amdgpu" } },
};

static void check_outcome(GPU *gpu, uint64_t blob_id, bool refused,
                          uint32_t type)
{
    uint64_t before = gpu_refused(gpu, "possible-vram");
    uint32_t map_info;

    gpu_create(gpu, 1, blob_id, GPU_PAGE);
    g_assert_cmphex(gpu_map(gpu, 1, OFFSET, &map_info), ==,
                    refused ? UNSPEC : GRANTED);
    g_assert_cmpuint(map_info, ==, refused ? 0 : type);
    g_assert_cmpuint(gpu_refused(gpu, "possible-vram"), ==,
                     before + refused);
    gpu_unref(gpu, 1);
}

/* Only who does not answer, and only a dma-buf, may be such memory. */
static void check_vram(const DRMCase *c, const char *policy)
{
    char *dir = new_drm(c->drivers);
    bool renderer = !strcmp(policy, "renderer");
    bool strict = !strcmp(policy, "strict");
    GPU *gpu = gpu_start(&(GPUConfig) {
        .hostmem = WINDOW, .policy = policy, .cpu = c->cpu, .kvm = c->kvm,
        .drm = c->drm, .drm_folder = dir,
    });

    g_test_message("%s, map-policy=%s", c->name, policy);
    if (!strict || c->refused) {
        check_outcome(gpu, SCRIPTED_DMABUF | SCRIPTED_EXP_DRM |
                      SCRIPTED_WORD_CACHED, c->refused && !renderer,
                      VIRTIO_GPU_MAP_CACHE_CACHED);
        check_outcome(gpu, SCRIPTED_DMABUF | SCRIPTED_EXP_DRM |
                      SCRIPTED_WORD_WC, c->refused && !renderer,
                      VIRTIO_GPU_MAP_CACHE_WC);
    }
    if (renderer || c->refused) {
        check_outcome(gpu, SCRIPTED_DMABUF | SCRIPTED_EXP_UDMABUF, c->refused,
                      VIRTIO_GPU_MAP_CACHE_CACHED);
    }
    check_outcome(gpu, CACHED_BUF, false, VIRTIO_GPU_MAP_CACHE_CACHED);
    check_outcome(gpu, SCRIPTED_SHM, false, VIRTIO_GPU_MAP_CACHE_CACHED);
    if (!strict) {
        check_outcome(gpu, POINTER, false, VIRTIO_GPU_MAP_CACHE_CACHED);
    }
    gpu_finish(gpu);
    delete_drm(dir);
}

static void test_vram(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(drm_cases); i++) {
        check_vram(&drm_cases[i], "safe");
    }
    for (i = 0; i < 2; i++) {
        check_vram(&drm_cases[i], "strict");
        check_vram(&drm_cases[i], "renderer");
    }
}

/*
 * Pages that are larger than the guest's
 */

typedef struct PageCase {
    uint32_t page_size; /* the host's */
    const char *props;
    uint64_t hostmem;
    bool offered;
} PageCase;

static const PageCase page_cases[] = {
    { 16384, NULL, WINDOW, true },
    { 65536, NULL, WINDOW, true },
    { 16384, ",blob-alignment=auto", WINDOW, true },
    { 16384, ",blob-alignment=off", WINDOW, false },
    { 16384, ",blob=off", 0, false },
    { 16384, NULL, 0, false },
    { 4096, NULL, WINDOW, false },
    { 4096, ",blob-alignment=auto", WINDOW, false },
    { 4096, ",blob-alignment=on", WINDOW, true },
    { 16384, ",blob-alignment=on", WINDOW, true },
};

/* What cannot be aligned is refused; what is, is mapped to its last page. */
static void check_aligned(GPU *gpu, uint64_t page_size)
{
    const uint64_t size = 2 * page_size;

    gpu_create(gpu, 1, BUFFER, size);
    g_assert_cmphex(gpu_map(gpu, 1, page_size, NULL), ==, GRANTED);
    g_assert_cmphex(gpu_read(gpu, page_size), ==, scripted_stamp(1, 0));
    g_assert_cmphex(gpu_read(gpu, page_size + size - GPU_PAGE), ==,
                    scripted_stamp(1, size / GPU_PAGE - 1));
    gpu_unmap(gpu, 1);
    if (page_size > GPU_PAGE) {
        g_assert_cmphex(gpu_map(gpu, 1, GPU_PAGE, NULL), ==, BAD);
        g_assert_cmpuint(gpu_refused(gpu, "misaligned-offset"), ==, 1);
    }
    gpu_unref(gpu, 1);
}

static void check_page(const PageCase *c)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .page_size = c->page_size, .props = c->props, .hostmem = c->hostmem,
    });

    g_test_message("pages of %u%s, hostmem=%" PRIu64, c->page_size,
                   c->props ? c->props : "", c->hostmem);
    g_assert(!!(gpu_features(gpu) & 1u << GPU_F_BLOB_ALIGNMENT) ==
             c->offered);
    /* num_scanouts, num_capsets, blob_alignment */
    g_assert_cmpuint(gpu_config(gpu, 8), ==, 1);
    g_assert_cmpuint(gpu_config(gpu, 12), ==, 2);
    g_assert_cmphex(gpu_config(gpu, 16), ==,
                    c->offered ? c->page_size : UINT32_MAX);
    g_assert_cmphex(gpu_config(gpu, 20), ==, UINT32_MAX);
    if (c->hostmem) {
        check_aligned(gpu, c->page_size);
    }
    gpu_finish(gpu);
}

static void test_page_size(void)
{
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(page_cases); i++) {
        check_page(&page_cases[i]);
    }
}

/* A reset, and what the guest writes, change nothing of it. */
static void test_page_size_stays(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .page_size = 16384, .hostmem = WINDOW,
    });

    gpu_reset(gpu);
    g_assert_cmpuint(gpu_config(gpu, 16), ==, 16384);
    gpu_config_write(gpu, 16, 0);
    gpu_config_write(gpu, 4, UINT32_MAX);
    g_assert_cmpuint(gpu_config(gpu, 16), ==, 16384);
    gpu_system_reset(gpu);
    g_assert_cmpuint(gpu_config(gpu, 16), ==, 16384);
    gpu_finish(gpu);
}

/* Without a window nothing depends on the host. */
static void test_no_window(void)
{
    GPU *gpu = gpu_start(&(GPUConfig) {
        .cpu = SCRIPTED_CPU_INTEL, .kvm = SCRIPTED_KVM_QUIRK,
    });

    g_assert_cmpuint(gpu_shared(gpu)->kvm_enables, ==, 0);
    gpu_finish(gpu);
}

static void check_property(const char *device, const char *name,
                           const char *value, bool good)
{
    g_autofree char *text = NULL, *props = NULL;
    int status;

    props = g_strdup_printf(",%s=%s", name, value);
    status = gpu_try(&(GPUConfig) {
        .device = device, .props = props, .hostmem = WINDOW,
    }, &text);
    g_test_message("%s%s: %d", device, props, status);
    g_assert_cmpint(status, ==, !good);
    if (!good) {
        g_assert_nonnull(strstr(text, name));
    }
}

static void test_properties(void)
{
    static const char *const devices[] = {
        "virtio-gpu-gl-pci", "virtio-vga-gl",
    };
    static const char *const names[] = { "guest-pat", "blob-alignment" };
    size_t i, n;

    for (i = 0; i < G_N_ELEMENTS(devices); i++) {
        for (n = 0; n < G_N_ELEMENTS(names); n++) {
            check_property(devices[i], names[n], "auto", true);
            check_property(devices[i], names[n], "off", true);
            check_property(devices[i], names[n], "on", true);
            check_property(devices[i], names[n], "0", false);
        }
    }
}

/* "on" fails where it cannot be had, and says why. */
static void test_required(void)
{
    static const struct {
        GPUConfig config;
        const char *error; /* or NULL */
    } cases[] = {
        { { .props = ",guest-pat=on" }, "guest-pat=on requires" },
        { { .props = ",blob-alignment=on" }, "blob-alignment=on requires" },
        { { .hostmem = WINDOW, .props = ",guest-pat=on",
            .cpu = SCRIPTED_CPU_INTEL, .kvm = SCRIPTED_KVM_PLAIN },
          "guest-pat=on is not possible: KVM ignores guest PAT" },
        { { .hostmem = WINDOW, .props = ",guest-pat=on",
            .cpu = SCRIPTED_CPU_INTEL, .kvm = SCRIPTED_KVM_STUCK },
          "guest-pat=on is not possible: KVM reports support" },
        { { .hostmem = WINDOW, .props = ",guest-pat=on", .policy = "renderer",
            .cpu = SCRIPTED_CPU_INTEL, .kvm = SCRIPTED_KVM_QUIRK } },
        { { .hostmem = WINDOW, .props = ",guest-pat=on",
            .cpu = SCRIPTED_CPU_AMD, .kvm = SCRIPTED_KVM_PLAIN } },
    };
    size_t i;

    for (i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *text = NULL;
        int status = gpu_try(&cases[i].config, &text);

        g_test_message("%zu: %s", i, text);
        g_assert_cmpint(status, ==, cases[i].error != NULL);
        g_assert_true(!cases[i].error || strstr(text, cases[i].error));
    }
}

int main(int argc, char **argv)
{
    static const GPUTest tests[] = {
        { "amd", test_amd },
        { "intel", test_intel },
        { "arm64", test_arm64 },
        { "others", test_others },
        { "policies", test_policies },
        { "required", test_required },
        { "vram", test_vram },
        { "no-window", test_no_window },
        { "page-size", test_page_size },
        { "page-size-stays", test_page_size_stays },
        { "properties", test_properties },
    };

    return gpu_run_tests(argc, argv, "host", tests, G_N_ELEMENTS(tests));
}
