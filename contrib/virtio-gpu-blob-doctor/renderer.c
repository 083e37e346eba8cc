/*
 * virtio-gpu blob doctor: virglrenderer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "buffer.h"
#include "gpu.h"
#include "renderer.h"

#include <dlfcn.h>
#include <virglrenderer.h>

#define LIBRARY "libvirglrenderer.so.1"

#define CONTEXT 1
#define RESOURCE 1
#define SIZE 4096

/* virtio 1.3, 5.7.6.7: capset ids */
#define CAPSET_VIRGL2 2
#define CAPSET_VENUS 4

/*
 * A buffer in virglrenderer's command stream, which has no header for this
 * (src/virgl_protocol.h, src/virgl_hw.h, gallium's p_defines.h)
 */
#define CMD_PIPE_RESOURCE_CREATE 48
#define TARGET_BUFFER 0
#define FORMAT_R8_UNORM 64
#define BIND_VERTEX_BUFFER (1 << 4)
#define FLAG_MAP_PERSISTENT (1 << 1)
#define FLAG_MAP_COHERENT (1 << 2)
#define BLOB_ID 1

typedef struct Library {
    typeof(virgl_renderer_init) *init;
    typeof(virgl_renderer_context_create_with_flags) *create_context;
    typeof(virgl_renderer_submit_cmd) *submit;
    typeof(virgl_renderer_resource_create_blob) *create_blob;
    typeof(virgl_renderer_resource_export_blob) *export_blob;
    typeof(virgl_renderer_resource_get_map_info) *get_map_info;
} Library;

/*
 * The library
 */

static bool load(Library *lib)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!handle) {
        return false;
    }
    lib->init = dlsym(handle, "virgl_renderer_init");
    lib->create_context =
        dlsym(handle, "virgl_renderer_context_create_with_flags");
    lib->submit = dlsym(handle, "virgl_renderer_submit_cmd");
    lib->create_blob = dlsym(handle, "virgl_renderer_resource_create_blob");
    lib->export_blob = dlsym(handle, "virgl_renderer_resource_export_blob");
    lib->get_map_info = dlsym(handle, "virgl_renderer_resource_get_map_info");
    return lib->init && lib->create_context && lib->submit &&
           lib->create_blob && lib->export_blob && lib->get_map_info;
}

/* Nothing in it tells its version, but what it is called with. */
static void name_file(DoctorRenderer *renderer, void *handle)
{
    void *symbol = dlsym(handle, "virgl_renderer_init");
    g_autofree char *name = NULL, *path = NULL;
    Dl_info info;

    if (symbol && dladdr(symbol, &info)) {
        path = realpath(info.dli_fname, NULL);
        name = g_path_get_basename(path ? path : info.dli_fname);
        pstrcpy(renderer->file, sizeof(renderer->file), name);
    }
}

void doctor_renderer_look(void *found)
{
    DoctorRenderer *renderer = found;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    Library lib;

    if (!handle) {
        pstrcpy(renderer->error, sizeof(renderer->error), dlerror());
        return;
    }
    renderer->found = true;
    name_file(renderer, handle);
    renderer->blobs = load(&lib);
    renderer->map_fixed = dlsym(handle, "virgl_renderer_resource_map_fixed");
}

/*
 * Blobs
 */

static void write_fence(void *cookie, uint32_t fence)
{
}

/* The first GPU that can be had: -1 leaves it to the renderer. */
static int get_drm_fd(void *cookie)
{
    DoctorFacts facts = { };
    int i, fd = -1, error;

    doctor_gpus_list(&facts);
    for (i = 0; i < facts.gpus_count && fd < 0; i++) {
        const char *node = facts.gpus[i].node;
        g_autofree char *path = g_build_filename("/dev/dri", node, NULL);

        if (doctor_gpu_check(node, &error) == DOCTOR_NODE_FINE) {
            fd = open(path, O_RDWR | O_CLOEXEC);
        }
    }
    return fd;
}

static bool start(const Library *lib, DoctorBlob *blob, int flags,
                  uint32_t capset)
{
    static struct virgl_renderer_callbacks callbacks = {
        .version = 2,
        .write_fence = write_fence,
        .get_drm_fd = get_drm_fd,
    };
    int ret;

    pstrcpy(blob->stage, sizeof(blob->stage), "being started");
    ret = lib->init(blob, flags, &callbacks);
    if (!ret) {
        pstrcpy(blob->stage, sizeof(blob->stage), "asked for a context");
        ret = lib->create_context(CONTEXT, capset, strlen("doctor"), "doctor");
    }
    blob->error = ABS(ret);
    return !ret;
}

static VirtIOGPUBlobBacking backing_of(uint32_t type)
{
    switch (type) {
    case VIRGL_RENDERER_BLOB_FD_TYPE_DMABUF:
        return VIRTIO_GPU_BLOB_BACKING_DMABUF;
    case VIRGL_RENDERER_BLOB_FD_TYPE_SHM:
        return VIRTIO_GPU_BLOB_BACKING_SHM;
    default:
        return VIRTIO_GPU_BLOB_BACKING_OPAQUE;
    }
}

static void look_at_blob(const Library *lib, DoctorBlob *blob)
{
    uint32_t type = 0, word = 0;
    int fd = -1;

    pstrcpy(blob->stage, sizeof(blob->stage), "asked about its buffer");
    if (!lib->get_map_info(RESOURCE, &word) &&
        virtio_gpu_blob_names_type(word)) {
        blob->word = word;
    }
    if (!lib->export_blob(RESOURCE, &type, &fd) && fd >= 0) {
        blob->backing = backing_of(type);
    }
    blob->made = true;
    if (blob->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        doctor_buffer_look(&blob->buffer, fd);
    }
}

static void make_blob(const Library *lib, DoctorBlob *blob, uint64_t id)
{
    const struct virgl_renderer_resource_create_blob_args args = {
        .res_handle = RESOURCE,
        .ctx_id = CONTEXT,
        .blob_mem = VIRGL_RENDERER_BLOB_MEM_HOST3D,
        .blob_flags = VIRGL_RENDERER_BLOB_FLAG_USE_MAPPABLE,
        .blob_id = id,
        .size = SIZE,
    };
    int ret;

    pstrcpy(blob->stage, sizeof(blob->stage), "asked for a buffer");
    ret = lib->create_blob(&args);
    blob->error = ABS(ret);
    if (!ret) {
        look_at_blob(lib, blob);
    }
}

void doctor_renderer_virgl(void *found)
{
    uint32_t command[] = {
        (12 - 1) << 16 | CMD_PIPE_RESOURCE_CREATE,
        TARGET_BUFFER, FORMAT_R8_UNORM, BIND_VERTEX_BUFFER,
        SIZE, 1, 1,             /* width, height, depth */
        1, 0, 0,                /* layers, last level, samples */
        FLAG_MAP_PERSISTENT | FLAG_MAP_COHERENT, BLOB_ID,
    };
    DoctorBlob *blob = found;
    Library lib;

    if (load(&lib) &&
        start(&lib, blob, VIRGL_RENDERER_USE_EGL |
              VIRGL_RENDERER_USE_SURFACELESS, CAPSET_VIRGL2)) {
        lib.submit(command, CONTEXT, ARRAY_SIZE(command));
        make_blob(&lib, blob, BLOB_ID);
    }
}

void doctor_renderer_venus(void *found)
{
    DoctorBlob *blob = found;
    Library lib;

    if (load(&lib) &&
        start(&lib, blob, VIRGL_RENDERER_VENUS | VIRGL_RENDERER_NO_VIRGL |
              VIRGL_RENDERER_RENDER_SERVER, CAPSET_VENUS)) {
        make_blob(&lib, blob, 0);
    }
}
