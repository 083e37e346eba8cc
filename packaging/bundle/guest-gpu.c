/*
 * In the trial's guest: what its GPU says of the host's, and a picture
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * guest-gpu info             "GPU key=value" lines: the capability sets, and
 *                            the host's OpenGL renderer by its own name
 * guest-gpu picture SECONDS  colour bars on the display, and a bar that moves;
 *                            "PICTURE WIDTHxHEIGHT frames=N"
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <drm/drm.h>
#include <drm/drm_mode.h>
#include <drm/virtgpu_drm.h>

#include "drm-blob.h"

#define CARD "/dev/dri/card0"

/* In virglrenderer's second capability set; sets grow at their end only. */
#define RENDERER_AT 696
#define RENDERER_SIZE 64

static int open_card(void)
{
    int drm = open(CARD, O_RDWR | O_CLOEXEC);

    if (drm < 0) {
        fail(CARD);
    }
    return drm;
}

static void info(int drm)
{
    static char caps[4096];
    uint64_t sets = 0;
    struct drm_virtgpu_getparam param = {
        .param = VIRTGPU_PARAM_SUPPORTED_CAPSET_IDs,
        .value = (uintptr_t)&sets,
    };
    struct drm_virtgpu_get_caps get = {
        .cap_set_id = CAPSET_VIRGL2,
        .addr = (uintptr_t)caps,
        .size = sizeof(caps),
    };

    if (ioctl(drm, DRM_IOCTL_VIRTGPU_GETPARAM, &param)) {
        printf("GPU 3d=no\n");
        return;
    }
    printf("GPU capsets=0x%" PRIx64 "\n", sets);
    if (sets & 1u << CAPSET_VIRGL2) {
        if (ioctl(drm, DRM_IOCTL_VIRTGPU_GET_CAPS, &get)) {
            printf("GPU virgl=%s\n", strerrorname_np(errno));
        } else {
            printf("GPU renderer=%.*s\n", RENDERER_SIZE, caps + RENDERER_AT);
        }
    }
}

static uint32_t colour(unsigned x, unsigned y, unsigned w, unsigned h)
{
    static const uint32_t bars[] = {
        0xc0c0c0, 0xc0c000, 0x00c0c0, 0x00c000, 0xc000c0, 0xc00000, 0x0000c0,
    };

    if (y < h * 2 / 3) {
        return bars[x * 7 / w];
    }
    return x * 255 / w * 0x010101;
}

static void draw(uint32_t *pixels, unsigned pitch, unsigned w, unsigned h,
                 unsigned frame)
{
    unsigned x, y, at = frame * 8 % w;

    for (y = h * 5 / 6; y < h; y++) {
        for (x = 0; x < w; x++) {
            pixels[y * pitch / 4 + x] = x - at < 32 ? 0xffffff : 0x202020;
        }
    }
}

static void picture(int drm, unsigned seconds)
{
    uint32_t connectors[8] = {}, crtcs[8] = {}, fbs[8], encoders[8];
    struct drm_mode_card_res res = {
        .connector_id_ptr = (uintptr_t)connectors, .count_connectors = 8,
        .crtc_id_ptr = (uintptr_t)crtcs, .count_crtcs = 8,
        .fb_id_ptr = (uintptr_t)fbs, .count_fbs = 8,
        .encoder_id_ptr = (uintptr_t)encoders, .count_encoders = 8,
    };
    struct drm_mode_modeinfo modes[128];
    struct drm_mode_get_connector probe = { }, connector = {
        .modes_ptr = (uintptr_t)modes, .count_modes = 128,
    };
    struct drm_mode_create_dumb dumb = { .bpp = 32 };
    struct drm_mode_map_dumb map = { };
    struct drm_mode_fb_cmd fb = { .bpp = 32, .depth = 24 };
    struct drm_mode_crtc crtc = { .count_connectors = 1, .mode_valid = 1 };
    unsigned x, y, frame = 0;
    struct timespec start, now;
    uint32_t *pixels;

    must_ioctl(drm, DRM_IOCTL_MODE_GETRESOURCES, &res, "GETRESOURCES");
    connector.connector_id = connectors[0];
    /* Asked for no modes, the kernel looks for them. */
    probe.connector_id = connectors[0];
    must_ioctl(drm, DRM_IOCTL_MODE_GETCONNECTOR, &probe, "GETCONNECTOR");
    must_ioctl(drm, DRM_IOCTL_MODE_GETCONNECTOR, &connector, "GETCONNECTOR");
    if (!connector.count_modes) {
        errno = ENODEV;
        fail("a mode of the display");
    }
    dumb.width = modes[0].hdisplay;
    dumb.height = modes[0].vdisplay;
    must_ioctl(drm, DRM_IOCTL_MODE_CREATE_DUMB, &dumb, "CREATE_DUMB");
    map.handle = fb.handle = dumb.handle;
    must_ioctl(drm, DRM_IOCTL_MODE_MAP_DUMB, &map, "MAP_DUMB");
    pixels = mmap(NULL, dumb.size, PROT_READ | PROT_WRITE, MAP_SHARED, drm,
                  map.offset);
    if (pixels == MAP_FAILED) {
        fail("mmap of the picture");
    }
    for (y = 0; y < dumb.height; y++) {
        for (x = 0; x < dumb.width; x++) {
            pixels[y * dumb.pitch / 4 + x] = colour(x, y, dumb.width,
                                                    dumb.height);
        }
    }
    fb.width = dumb.width;
    fb.height = dumb.height;
    fb.pitch = dumb.pitch;
    must_ioctl(drm, DRM_IOCTL_MODE_ADDFB, &fb, "ADDFB");
    crtc.crtc_id = crtcs[0];
    crtc.fb_id = fb.fb_id;
    crtc.set_connectors_ptr = (uintptr_t)&connectors[0];
    crtc.mode = modes[0];
    must_ioctl(drm, DRM_IOCTL_MODE_SETCRTC, &crtc, "SETCRTC");

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        struct drm_mode_fb_dirty_cmd dirty = { .fb_id = fb.fb_id };

        draw(pixels, dumb.pitch, dumb.width, dumb.height, frame++);
        must_ioctl(drm, DRM_IOCTL_MODE_DIRTYFB, &dirty, "DIRTYFB");
        usleep(30000);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - start.tv_sec < seconds);
    printf("PICTURE %ux%u frames=%u\n", dumb.width, dumb.height, frame);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";

    if (!strcmp(mode, "info")) {
        info(open_card());
    } else if (!strcmp(mode, "picture") && argc > 2) {
        picture(open_card(), strtoul(argv[2], NULL, 0));
    } else {
        fprintf(stderr, "usage: %s info | picture SECONDS\n", argv[0]);
        return 2;
    }
    return 0;
}
