/*
 * virtio-gpu blob doctor: render nodes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "buffer.h"
#include "gpu.h"
#include "gpu-buffer.h"

#include <drm/drm.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define SYS_DRM "/sys/class/drm"

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

static void add(DoctorFacts *facts, const char *node)
{
    DoctorGPU *gpu = &facts->gpus[facts->gpus_count++];
    g_autofree char *driver = sys_link(node, "device/driver");

    pstrcpy(gpu->node, sizeof(gpu->node), node);
    pstrcpy(gpu->driver, sizeof(gpu->driver), driver);
}

void doctor_gpus_list(DoctorFacts *facts)
{
    DIR *dir = opendir(SYS_DRM);
    struct dirent *entry;

    if (!dir) {
        facts->gpus_error = errno == ENOENT ? 0 : errno;
        return;
    }
    while (facts->gpus_count < DOCTOR_GPUS_MAX && (entry = readdir(dir))) {
        if (g_str_has_prefix(entry->d_name, "renderD")) {
            add(facts, entry->d_name);
        }
    }
    closedir(dir);
    qsort(facts->gpus, facts->gpus_count, sizeof(facts->gpus[0]), by_name);
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

DoctorNode doctor_gpu_check(const char *node, int *error)
{
    g_autofree char *path = g_build_filename("/dev/dri", node, NULL);
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

    pstrcpy(gpu->stage, sizeof(gpu->stage), "being opened");
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        gpu->error = errno;
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

    pstrcpy(gpu->stage, sizeof(gpu->stage), "asked for its driver");
    if (!ioctl(fd, DRM_IOCTL_VERSION, &version) && *name) {
        pstrcpy(gpu->driver, sizeof(gpu->driver), name);
    }
}

static void look_at_buffer(DoctorGPU *gpu, int fd)
{
    int buffer;

    pstrcpy(gpu->stage, sizeof(gpu->stage), "asked for a buffer");
    buffer = doctor_gpu_buffer(gpu->node, fd, &gpu->gbm);
    if (buffer < 0) {
        gpu->buffer.error = -buffer;
        return;
    }
    pstrcpy(gpu->stage, sizeof(gpu->stage), "asked to map its buffer");
    doctor_buffer_look(&gpu->buffer, buffer);
    close(buffer);
}

void doctor_gpu_look(void *found)
{
    DoctorGPU *gpu = found;
    int fd;

    gpu->state = doctor_gpu_check(gpu->node, &gpu->error);
    if (gpu->state != DOCTOR_NODE_FINE) {
        return;
    }
    fd = open_node(gpu);
    if (fd < 0) {
        return;
    }
    read_driver(gpu, fd);
    look_at_buffer(gpu, fd);
    close(fd);
}
