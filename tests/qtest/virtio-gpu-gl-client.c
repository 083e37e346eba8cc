/*
 * A small virtio-gpu driver for qtests: start and end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "libqos/pci-pc.h"
#include "virtio-gpu-gl-client-internal.h"

/*
 * Memory
 */

void *gpu_ram(GPU *gpu, uint64_t addr)
{
    g_assert_cmpuint(addr, <, RAM_SIZE);
    return gpu->ram + addr;
}

void *gpu_new_file(const char *name, size_t size, int *fd)
{
    void *map;

    *fd = memfd_create(name, MFD_CLOEXEC);
    g_assert_cmpint(*fd, >=, 0);
    g_assert_cmpint(ftruncate(*fd, size), ==, 0);
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    g_assert(map != MAP_FAILED);
    return map;
}

char *gpu_path_of(int fd)
{
    return g_strdup_printf("/proc/%d/fd/%d", getpid(), fd);
}

/*
 * QEMU
 */

static char *device_line(const GPUConfig *c)
{
    GString *s = g_string_new(NULL);

    g_string_append_printf(s, "%s,id=gpu,blob=on",
                           c->device ? c->device : "virtio-gpu-gl-pci");
    if (!c->machine) {
        g_string_append(s, ",addr=10.0");
    }
    if (c->hostmem) {
        g_string_append_printf(s, ",hostmem=%" PRIu64, c->hostmem);
    }
    if (c->policy) {
        g_string_append_printf(s, ",map-policy=%s", c->policy);
    }
    g_string_append(s, c->props ? c->props : "");
    return g_string_free(s, false);
}

/* Next to this program unless SCRIPTED_RENDERER_LIB says otherwise */
static char *renderer_path(void)
{
    const char *path = g_getenv("SCRIPTED_RENDERER_LIB");
    g_autofree char *self = NULL;
    g_autofree char *dir = NULL;

    if (path) {
        return g_strdup(path);
    }
    self = g_file_read_link("/proc/self/exe", NULL);
    dir = g_path_get_dirname(self);
    return g_build_filename(dir, "renderer", "libscripted-renderer.so", NULL);
}

static void set_environment(GPU *gpu)
{
    g_autofree char *renderer = renderer_path();
    g_autofree char *shared = gpu_path_of(gpu->shared_fd);

    if (!g_file_test(renderer, G_FILE_TEST_EXISTS)) {
        g_error("%s is not there: set SCRIPTED_RENDERER_LIB", renderer);
    }
    g_setenv("LD_PRELOAD", renderer, true);
    g_setenv(SCRIPTED_ENV, shared, true);
    g_setenv("SDL_VIDEODRIVER", "offscreen", true);
    /* llvmpipe keeps the surface of each reset; this one does not. */
    g_setenv("GALLIUM_DRIVER", "softpipe", true);
    if (!g_getenv("XDG_RUNTIME_DIR")) {
        g_setenv("XDG_RUNTIME_DIR", g_get_tmp_dir(), true);
    }
}

static void clear_environment(void)
{
    g_unsetenv("LD_PRELOAD");
    g_unsetenv(SCRIPTED_ENV);
}

/* For a shell, without what the qtest protocol needs */
static char *arguments(GPU *gpu, const GPUConfig *config)
{
    g_autofree char *ram = gpu_path_of(gpu->ram_fd);
    g_autofree char *log = config->logged ? gpu_path_of(gpu->log_fd)
                                          : g_strdup(config->log);
    g_autofree char *device = device_line(config);
    g_autofree char *guest = gpu_guest_arguments(gpu, config);

    return g_strdup_printf("-machine %s,memory-backend=ram -nodefaults "
                           "-m %" PRIu64 " -object memory-backend-file,id=ram,"
                           "size=%" PRIu64 ",share=on,mem-path=%s "
                           "-display sdl,gl=on -device %s %s %s %s%s",
                           config->machine ? config->machine : "pc",
                           (uint64_t)(RAM_SIZE / GPU_MIB), (uint64_t)RAM_SIZE,
                           ram, device, config->args ? config->args : "",
                           guest, log ? "2>>" : "", log ? log : "");
}

static GPU *new_gpu(const GPUConfig *config)
{
    GPU *gpu = g_new0(GPU, 1);

    gpu->ram = gpu_new_file("qtest-ram", RAM_SIZE, &gpu->ram_fd);
    gpu->shared = gpu_new_file("qtest-scripted", sizeof(*gpu->shared),
                           &gpu->shared_fd);
    gpu->bios_fd = -1;
    gpu->log_fd = config->logged ? memfd_create("qtest-log", MFD_CLOEXEC) : -1;
    gpu->low = config->users;
    gpu->shared->magic = SCRIPTED_MAGIC;
    gpu->shared->fail = config->fail;
    gpu->shared->kvm = config->kvm;
    gpu->shared->cpu = config->cpu;
    gpu->shared->page_size = config->page_size;
    gpu->shared->drm = config->drm;
    pstrcpy(gpu->shared->drm_folder, sizeof(gpu->shared->drm_folder),
            config->drm_folder ? config->drm_folder : "");
    gpu->shared->watch = config->watch;
    gpu->shared->kernel = config->kernel;
    gpu->features = config->features;
    gpu->queue_size = config->queue_size;
    return gpu;
}

static void delete_gpu(GPU *gpu)
{
    munmap(gpu->ram, RAM_SIZE);
    munmap(gpu->shared, sizeof(*gpu->shared));
    close(gpu->ram_fd);
    close(gpu->shared_fd);
    if (gpu->bios_fd >= 0) {
        close(gpu->bios_fd);
    }
    if (gpu->log_fd >= 0) {
        close(gpu->log_fd);
    }
    g_free(gpu);
}

GPU *gpu_start(const GPUConfig *config)
{
    GPU *gpu = new_gpu(config);
    g_autofree char *args = arguments(gpu, config);

    set_environment(gpu);
    if (config->start) {
        gpu->bus = config->start(gpu, args);
    } else {
        gpu->qts = qtest_init(args);
        gpu->pid = qtest_pid(gpu->qts);
        gpu->bus = qpci_new_pc(gpu->qts, NULL);
    }
    clear_environment();
    gpu_pci_open(gpu);
    gpu_reset(gpu);
    if (config->vcpu) {
        gpu_vcpu_open(gpu);
    }
    return gpu;
}

int gpu_try(const GPUConfig *config, char **text)
{
    GPU *gpu = new_gpu(config);
    g_autofree char *args = arguments(gpu, config);
    g_autofree char *command = g_strdup_printf(
        "echo quit | timeout 20 %s -accel qtest -monitor stdio %s 2>&1",
        g_getenv("QTEST_QEMU_BINARY"), args);
    const char *argv[] = { "sh", "-c", command, NULL };
    int status;

    set_environment(gpu);
    g_assert_true(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH,
                               NULL, NULL, text, NULL, &status, NULL));
    clear_environment();
    delete_gpu(gpu);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void gpu_stop(GPU *gpu)
{
    qos_object_destroy(&gpu->dev->pci_vdev.obj);
    qpci_free_pc(gpu->bus);
    qtest_quit(gpu->qts);
    delete_gpu(gpu);
}

/*
 * Tests
 */

GPU *gpu_start_plain(void)
{
    return gpu_start(&(GPUConfig) { .hostmem = WINDOW });
}

void gpu_finish(GPU *gpu)
{
    gpu_check_nothing_left(gpu);
    gpu_stop(gpu);
}

static void (*end_of_test)(GPU *gpu);

static void run_test(gconstpointer data)
{
    const GPUTest *test = data;
    GPUConfig config = test->config;
    GPU *gpu;

    if (test->alone) {
        test->alone();
        return;
    }
    config.hostmem = config.hostmem ?: WINDOW;
    gpu = gpu_start(&config);
    test->func(gpu);
    end_of_test(gpu);
}

int gpu_run_tests_ending(int argc, char **argv, const char *group,
                         const GPUTest *tests, size_t n,
                         void (*end)(GPU *gpu))
{
    g_test_init(&argc, &argv, NULL);
    end_of_test = end;
    for (size_t i = 0; i < n; i++) {
        g_autofree char *path = g_strdup_printf("/virtio-gpu-gl/%s/%s", group,
                                                tests[i].name);

        qtest_add_data_func(path, &tests[i], run_test);
    }
    return g_test_run();
}

int gpu_run_tests(int argc, char **argv, const char *group,
                  const GPUTest *tests, size_t n)
{
    return gpu_run_tests_ending(argc, argv, group, tests, n, gpu_finish);
}
