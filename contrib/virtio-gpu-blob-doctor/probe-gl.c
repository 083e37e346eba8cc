/*
 * virtio-gpu blob doctor: OpenGL contexts, made as QEMU's displays make them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "probes.h"

#include <dlfcn.h>
#ifdef CONFIG_GBM
#include <gbm.h>
#endif
#ifdef CONFIG_OPENGL
#include <epoxy/egl.h>
#include <epoxy/gl.h>
#endif

/* Of a buffer, and of a window */
#define WIDTH 64
#define HEIGHT 64

/* EGL_EXT_device_drm_render_node, which epoxy's headers do not have */
#ifndef EGL_DRM_RENDER_NODE_FILE_EXT
#define EGL_DRM_RENDER_NODE_FILE_EXT 0x3377
#endif

#if defined(CONFIG_GBM) && defined(CONFIG_OPENGL)

/*
 * EGL: of epoxy's headers, the types and constants only.  Loading libEGL here
 * leaves the doctor without a library that the host need not have.
 */

typedef struct EGL {
    PFNEGLGETPROCADDRESSPROC get_proc_address;
    PFNEGLGETERRORPROC get_error;
    PFNEGLQUERYSTRINGPROC query_string;
    PFNEGLINITIALIZEPROC initialize;
    PFNEGLBINDAPIPROC bind_api;
    PFNEGLCHOOSECONFIGPROC choose_config;
    PFNEGLCREATECONTEXTPROC create_context;
    PFNEGLMAKECURRENTPROC make_current;
    PFNEGLGETCURRENTDISPLAYPROC get_current_display;
    PFNEGLGETPLATFORMDISPLAYEXTPROC get_platform_display;
} EGL;

static bool load_egl(EGL *egl)
{
    void *lib = dlopen("libEGL.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!lib) {
        return false;
    }
    egl->get_proc_address = dlsym(lib, "eglGetProcAddress");
    egl->get_error = dlsym(lib, "eglGetError");
    egl->query_string = dlsym(lib, "eglQueryString");
    egl->initialize = dlsym(lib, "eglInitialize");
    egl->bind_api = dlsym(lib, "eglBindAPI");
    egl->choose_config = dlsym(lib, "eglChooseConfig");
    egl->create_context = dlsym(lib, "eglCreateContext");
    egl->make_current = dlsym(lib, "eglMakeCurrent");
    egl->get_current_display = dlsym(lib, "eglGetCurrentDisplay");
    if (!egl->get_proc_address || !egl->get_error || !egl->query_string ||
        !egl->initialize || !egl->bind_api || !egl->choose_config ||
        !egl->create_context || !egl->make_current ||
        !egl->get_current_display) {
        return false;
    }
    egl->get_platform_display = (PFNEGLGETPLATFORMDISPLAYEXTPROC)
        egl->get_proc_address("eglGetPlatformDisplayEXT");
    return egl->get_platform_display != NULL;
}

static bool egl_failed(DoctorGL *gl, const EGL *egl, const char *step)
{
    snprintf(gl->error, sizeof(gl->error), "%s failed (EGL error 0x%x)", step,
             egl->get_error());
    return false;
}

static void read_strings(DoctorGL *gl, PFNGLGETSTRINGPROC get_string)
{
    const char *renderer, *version;

    if (!get_string) {
        return;
    }
    renderer = (const char *)get_string(GL_RENDERER);
    version = (const char *)get_string(GL_VERSION);
    pstrcpy(gl->renderer, sizeof(gl->renderer), renderer ? renderer : "");
    pstrcpy(gl->version, sizeof(gl->version), version ? version : "");
}

static bool make_context(DoctorGL *gl, const EGL *egl, EGLDisplay dpy)
{
    static const EGLint config_attributes[] = {
        EGL_SURFACE_TYPE, EGL_WINDOW_BIT, EGL_RENDERABLE_TYPE, EGL_OPENGL_BIT,
        EGL_RED_SIZE, 5, EGL_GREEN_SIZE, 5, EGL_BLUE_SIZE, 5,
        EGL_ALPHA_SIZE, 0, EGL_NONE
    };
    static const EGLint context_attributes[] = {
        EGL_CONTEXT_OPENGL_PROFILE_MASK, EGL_CONTEXT_OPENGL_CORE_PROFILE_BIT,
        EGL_NONE
    };
    static const char *const extensions[] = {
        "EGL_KHR_surfaceless_context", "EGL_MESA_image_dma_buf_export"
    };
    EGLConfig config;
    EGLContext context;
    EGLint n = 0;
    size_t i;

    if (!egl->initialize(dpy, NULL, NULL)) {
        return egl_failed(gl, egl, "eglInitialize");
    }
    if (!egl->bind_api(EGL_OPENGL_API)) {
        return egl_failed(gl, egl, "eglBindAPI");
    }
    if (!egl->choose_config(dpy, config_attributes, &config, 1, &n) ||
        n != 1) {
        return egl_failed(gl, egl, "eglChooseConfig");
    }
    for (i = 0; i < ARRAY_SIZE(extensions); i++) {
        const char *have = egl->query_string(dpy, EGL_EXTENSIONS);

        if (!have || !strstr(have, extensions[i])) {
            snprintf(gl->error, sizeof(gl->error), "EGL does not have %s",
                     extensions[i]);
            return false;
        }
    }
    context = egl->create_context(dpy, config, EGL_NO_CONTEXT,
                                  context_attributes);
    if (context == EGL_NO_CONTEXT) {
        return egl_failed(gl, egl, "eglCreateContext");
    }
    if (!egl->make_current(dpy, EGL_NO_SURFACE, EGL_NO_SURFACE, context)) {
        return egl_failed(gl, egl, "eglMakeCurrent");
    }
    return true;
}

static bool make_display(DoctorGL *gl, struct gbm_device *device)
{
    EGL egl;
    EGLDisplay dpy;

    if (!load_egl(&egl)) {
        pstrcpy(gl->error, sizeof(gl->error), "libEGL cannot be loaded");
        return false;
    }
    dpy = egl.get_platform_display(EGL_PLATFORM_GBM_MESA, device, NULL);
    if (dpy == EGL_NO_DISPLAY) {
        return egl_failed(gl, &egl, "eglGetPlatformDisplay");
    }
    if (!make_context(gl, &egl, dpy)) {
        return false;
    }
    read_strings(gl, (PFNGLGETSTRINGPROC)egl.get_proc_address("glGetString"));
    return true;
}

int doctor_gl_probe(DoctorGL *gl, DoctorProbe *probe, int node)
{
    void *lib = dlopen("libgbm.so.1", RTLD_NOW | RTLD_LOCAL);
    typeof(gbm_create_device) *create_device;
    typeof(gbm_bo_create) *bo_create;
    typeof(gbm_bo_get_fd) *bo_get_fd;
    struct gbm_device *device;
    struct gbm_bo *bo;

    pstrcpy(probe->stage, sizeof(probe->stage), "creating a GBM device");
    if (!lib) {
        pstrcpy(gl->error, sizeof(gl->error), "libgbm cannot be loaded");
        return -1;
    }
    create_device = dlsym(lib, "gbm_create_device");
    bo_create = dlsym(lib, "gbm_bo_create");
    bo_get_fd = dlsym(lib, "gbm_bo_get_fd");
    device = create_device && bo_create && bo_get_fd ? create_device(node)
                                                     : NULL;
    if (!device) {
        pstrcpy(gl->error, sizeof(gl->error), "gbm_create_device failed");
        return -1;
    }
    pstrcpy(probe->stage, sizeof(probe->stage), "creating an OpenGL context");
    gl->works = make_display(gl, device);
    pstrcpy(probe->stage, sizeof(probe->stage), "creating a GBM buffer");
    bo = bo_create(device, WIDTH, HEIGHT, GBM_FORMAT_XRGB8888,
                   GBM_BO_USE_LINEAR);
    return bo ? bo_get_fd(bo) : -1;
}

/* The render node behind a display, if the library tells */
static void read_node(DoctorSDL *sdl)
{
    PFNEGLQUERYDISPLAYATTRIBEXTPROC query;
    PFNEGLQUERYDEVICESTRINGEXTPROC string;
    const char *path = NULL;
    EGLAttrib device = 0;
    EGL egl;

    if (!load_egl(&egl)) {
        return;
    }
    query = (PFNEGLQUERYDISPLAYATTRIBEXTPROC)
        egl.get_proc_address("eglQueryDisplayAttribEXT");
    string = (PFNEGLQUERYDEVICESTRINGEXTPROC)
        egl.get_proc_address("eglQueryDeviceStringEXT");
    if (query && string &&
        query(egl.get_current_display(), EGL_DEVICE_EXT, &device)) {
        path = string((EGLDeviceEXT)device, EGL_DRM_RENDER_NODE_FILE_EXT);
    }
    if (path) {
        g_autofree char *name = g_path_get_basename(path);

        pstrcpy(sdl->node, sizeof(sdl->node), name);
    }
}

#else

int doctor_gl_probe(DoctorGL *gl, DoctorProbe *probe, int node)
{
    pstrcpy(gl->error, sizeof(gl->error), "this doctor was built without it");
    return -1;
}

#endif

/*
 * SDL: these few functions, constants (SDL_video.h) and no header, so that the
 * doctor can be built without it
 */

#if defined(CONFIG_GBM) && defined(CONFIG_OPENGL)

#define SDL_INIT_VIDEO 0x20
#define SDL_WINDOW_OPENGL 0x2
#define SDL_WINDOW_HIDDEN 0x8

typedef struct SDL {
    int (*init)(uint32_t flags);
    void *(*create_window)(const char *title, int x, int y, int w, int h,
                           uint32_t flags);
    void *(*create_context)(void *window);
    void *(*get_proc_address)(const char *name);
    const char *(*get_error)(void);
} SDL;

static bool load_sdl(SDL *sdl)
{
    void *lib = dlopen("libSDL2-2.0.so.0", RTLD_NOW | RTLD_LOCAL);

    if (!lib) {
        return false;
    }
    sdl->init = dlsym(lib, "SDL_Init");
    sdl->create_window = dlsym(lib, "SDL_CreateWindow");
    sdl->create_context = dlsym(lib, "SDL_GL_CreateContext");
    sdl->get_proc_address = dlsym(lib, "SDL_GL_GetProcAddress");
    sdl->get_error = dlsym(lib, "SDL_GetError");
    return sdl->init && sdl->create_window && sdl->create_context &&
           sdl->get_proc_address && sdl->get_error;
}

/* As the printed options have it */
static void choose_driver(void)
{
    bool desktop = g_getenv("DISPLAY") || g_getenv("WAYLAND_DISPLAY");

    g_setenv("SDL_VIDEODRIVER", desktop ? "x11,wayland" : "offscreen", true);
}

void doctor_sdl_probe(void *found)
{
    DoctorSDL *sdl = found;
    SDL lib;
    void *window;

    sdl->found = load_sdl(&lib);
    if (!sdl->found) {
        return;
    }
    choose_driver();
    pstrcpy(sdl->probe.stage, sizeof(sdl->probe.stage), "creating a window");
    window = lib.init(SDL_INIT_VIDEO) ? NULL :
        lib.create_window("doctor", 0, 0, WIDTH, HEIGHT,
                          SDL_WINDOW_OPENGL | SDL_WINDOW_HIDDEN);
    if (!window || !lib.create_context(window)) {
        pstrcpy(sdl->gl.error, sizeof(sdl->gl.error), lib.get_error());
        return;
    }
    sdl->gl.works = true;
    read_strings(&sdl->gl,
                 (PFNGLGETSTRINGPROC)lib.get_proc_address("glGetString"));
    read_node(sdl);
}

#else

void doctor_sdl_probe(void *found)
{
}

#endif
