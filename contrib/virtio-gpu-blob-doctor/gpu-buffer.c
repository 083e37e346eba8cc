/*
 * virtio-gpu blob doctor: a buffer of a GPU's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "gpu-buffer.h"

#include <dlfcn.h>
#include <drm/drm.h>
#include <drm/drm_mode.h>
#ifdef CONFIG_GBM
#include <gbm.h>
#endif
#include <sys/ioctl.h>

#define WIDTH 64
#define HEIGHT 64

/*
 * libgbm's: loaded when it is wanted, as it need not be there.  It is never
 * unloaded, nor is what it made freed: the process ends.
 */

#ifdef CONFIG_GBM
static int make_by_gbm(int node)
{
    void *lib = dlopen("libgbm.so.1", RTLD_NOW | RTLD_LOCAL);
    typeof(gbm_create_device) *create_device;
    typeof(gbm_bo_create) *bo_create;
    typeof(gbm_bo_get_fd) *bo_get_fd;
    struct gbm_device *device;
    struct gbm_bo *bo;

    if (!lib) {
        return -ENOENT;
    }
    create_device = dlsym(lib, "gbm_create_device");
    bo_create = dlsym(lib, "gbm_bo_create");
    bo_get_fd = dlsym(lib, "gbm_bo_get_fd");
    if (!create_device || !bo_create || !bo_get_fd) {
        return -ENOSYS;
    }
    device = create_device(node);
    bo = device ? bo_create(device, WIDTH, HEIGHT, GBM_FORMAT_XRGB8888,
                            GBM_BO_USE_LINEAR) : NULL;
    return bo ? bo_get_fd(bo) : -ENODEV;
}
#else
static int make_by_gbm(int node)
{
    return -ENOSYS;
}
#endif

/*
 * Dumb ones: those of the card that belongs to the node, as a render node
 * makes none
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

static int make_by_card(const char *node)
{
    int card = open_card(node), fd;

    if (card < 0) {
        return -ENODEV;
    }
    fd = make_dumb(card);
    close(card);
    return fd;
}

int doctor_gpu_buffer(const char *node, int fd, bool *gbm)
{
    int buffer = make_by_gbm(fd);

    *gbm = buffer >= 0;
    return *gbm ? buffer : make_by_card(node);
}
