/*
 * virtio-gpu blob doctor: render nodes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "probes.h"

#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define SYS_DRM "/sys/class/drm"

/* Of a dumb buffer */
#define WIDTH 64
#define HEIGHT 64

/*
 * By /sys
 */

static char *sys_link(const char *node, const char *what)
{
    g_autofree char *path = g_build_filename(SYS_DRM, node, what, NULL);
    g_autofree char *link = g_file_read_link(path, NULL);

    return link ? g_path_get_basename(link) : g_strdup("");
}

static int by_name(const void *a, const void *b)
{
    const DoctorGPU *x = a, *y = b;

    return strcmp(x->node, y->node);
}

static void add_gpu(DoctorFacts *facts, const char *node)
{
    g_autofree char *driver = sys_link(node, "device/driver");
    DoctorGPU *gpu;

    if (facts->gpus_count == DOCTOR_GPUS_MAX) {
        return;
    }
    gpu = &facts->gpus[facts->gpus_count++];
    pstrcpy(gpu->node, sizeof(gpu->node), node);
    pstrcpy(gpu->driver, sizeof(gpu->driver), driver);
}

/* "card0"; a connector's name goes on, as in "card0-HDMI-A-1" */
static bool is_card(const char *name)
{
    return g_str_has_prefix(name, "card") && !strchr(name, '-');
}

void doctor_gpus_list(DoctorFacts *facts)
{
    DIR *dir = opendir(SYS_DRM);
    struct dirent *entry;

    if (!dir) {
        facts->gpus_error = errno == ENOENT ? 0 : errno;
        return;
    }
    while ((entry = readdir(dir))) {
        if (g_str_has_prefix(entry->d_name, "renderD")) {
            add_gpu(facts, entry->d_name);
        } else if (is_card(entry->d_name)) {
            facts->cards++;
        }
    }
    closedir(dir);
    qsort(facts->gpus, facts->gpus_count, sizeof(facts->gpus[0]), by_name);
}

/*
 * Dumb buffers: a render node makes none, so the card that belongs to it does.
 * They show what the exporter says where libgbm makes no buffer.
 */

static int open_card(const char *node)
{
    g_autofree char *path = g_build_filename("/sys/class/drm", node,
                                             "device/drm", NULL);
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    int fd = -1;

    while (dir && fd < 0 && (name = g_dir_read_name(dir))) {
        g_autofree char *card = g_build_filename("/dev/dri", name, NULL);

        if (g_str_has_prefix(name, "card")) {
            fd = open(card, O_RDWR | O_CLOEXEC);
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    return fd;
}

static int make_dumb(int card)
{
    struct drm_mode_create_dumb dumb = {
        .width = WIDTH,
        .height = HEIGHT,
        .bpp = 32,
    };
    struct drm_prime_handle prime = { .flags = DRM_RDWR | DRM_CLOEXEC };

    if (ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, &dumb)) {
        return -errno;
    }
    prime.handle = dumb.handle;
    return ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime) ? -errno
                                                             : prime.fd;
}

static int make_dumb_buffer(const char *node)
{
    int card = open_card(node), fd;

    if (card < 0) {
        return -ENODEV;
    }
    fd = make_dumb(card);
    close(card);
    return fd;
}

/*
 * By /dev
 */

static bool is_the_device(const char *node, const struct stat *st)
{
    g_autofree char *path = g_build_filename(SYS_DRM, node, "dev", NULL);
    g_autofree char *text = NULL;
    g_autofree char *want = g_strdup_printf("%u:%u\n", major(st->st_rdev),
                                            minor(st->st_rdev));

    return S_ISCHR(st->st_mode) &&
           (!g_file_get_contents(path, &text, NULL, NULL) ||
            !strcmp(text, want));
}

static DoctorNode check_node(const char *node, const char *path, int *error)
{
    struct stat st;

    if (stat(path, &st)) {
        *error = errno;
        return errno == EACCES ? DOCTOR_NODE_CLOSED : DOCTOR_NODE_MISSING;
    }
    return is_the_device(node, &st) ? DOCTOR_NODE_FINE : DOCTOR_NODE_OTHER;
}

static int open_node(DoctorGPU *gpu)
{
    g_autofree char *path = g_build_filename("/dev/dri", gpu->node, NULL);
    int fd;

    gpu->state = check_node(gpu->node, path, &gpu->file.error);
    if (gpu->state != DOCTOR_NODE_FINE) {
        return -1;
    }
    pstrcpy(gpu->probe.stage, sizeof(gpu->probe.stage), "opening it");
    fd = doctor_file_open(&gpu->file, path);
    if (fd < 0) {
        gpu->state = DOCTOR_NODE_CLOSED;
    }
    return fd;
}

static void read_driver(DoctorGPU *gpu, int fd)
{
    char name[sizeof(gpu->driver)] = "";
    struct drm_version version = {
        .name = name,
        .name_len = sizeof(name) - 1,
    };

    pstrcpy(gpu->probe.stage, sizeof(gpu->probe.stage), "asking its driver");
    if (!ioctl(fd, DRM_IOCTL_VERSION, &version) && *name) {
        pstrcpy(gpu->driver, sizeof(gpu->driver), name);
    }
}

void doctor_gpu_probe(void *found)
{
    DoctorGPU *gpu = found;
    int fd = open_node(gpu), buffer;

    if (fd < 0) {
        return;
    }
    read_driver(gpu, fd);
    buffer = doctor_gl_probe(&gpu->gl, &gpu->probe, fd);
    pstrcpy(gpu->probe.stage, sizeof(gpu->probe.stage), "creating a buffer");
    if (buffer < 0) {
        buffer = make_dumb_buffer(gpu->node);
    }
    if (buffer < 0) {
        gpu->buffer.error = -buffer;
        return;
    }
    pstrcpy(gpu->probe.stage, sizeof(gpu->probe.stage), "mapping a buffer");
    doctor_buffer_probe(&gpu->buffer, buffer);
}
