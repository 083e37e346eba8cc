/*
 * virtio-gpu blob doctor: virglrenderer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "recipe.h"
#include "probes.h"

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
    typeof(virgl_renderer_get_cap_set) *get_capset;
    typeof(virgl_renderer_fill_caps) *fill_caps;
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
    lib->get_capset = dlsym(handle, "virgl_renderer_get_cap_set");
    lib->fill_caps = dlsym(handle, "virgl_renderer_fill_caps");
    lib->create_context =
        dlsym(handle, "virgl_renderer_context_create_with_flags");
    lib->submit = dlsym(handle, "virgl_renderer_submit_cmd");
    lib->create_blob = dlsym(handle, "virgl_renderer_resource_create_blob");
    lib->export_blob = dlsym(handle, "virgl_renderer_resource_export_blob");
    lib->get_map_info = dlsym(handle, "virgl_renderer_resource_get_map_info");
    return lib->init && lib->get_capset && lib->fill_caps &&
           lib->create_context && lib->submit && lib->create_blob &&
           lib->export_blob && lib->get_map_info;
}

/* What a package manager prints, without the end of the line */
static bool ask_packages(const char *const *argv, char *to, size_t size)
{
    g_autofree char *out = NULL;
    int status = -1;

    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH |
                      G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL,
                      &status, NULL) || status || !*out) {
        return false;
    }
    out[strcspn(out, "\n")] = 0;
    pstrcpy(to, size, out);
    return true;
}

static void read_version(DoctorRenderer *renderer, const char *path)
{
    const char *const deb[] = { "dpkg-query", "--search", path, NULL };
    const char *const rpm[] = {
        "rpm", "-q", "--qf", "%{VERSION}-%{RELEASE}\n", "-f", path, NULL
    };
    char owner[128];

    if (ask_packages(deb, owner, sizeof(owner)) && strstr(owner, ": ")) {
        const char *const show[] = {
            "dpkg-query", "-W", "-f", "${Version}\n", owner, NULL
        };

        *strstr(owner, ": ") = 0;
        ask_packages(show, renderer->version, sizeof(renderer->version));
    } else {
        ask_packages(rpm, renderer->version, sizeof(renderer->version));
    }
}

/* The library's file, with its soname's version; the caller frees it */
static char *library_path(void *handle)
{
    void *symbol = dlsym(handle, "virgl_renderer_init");
    Dl_info info;
    char *path;

    if (!symbol || !dladdr(symbol, &info)) {
        return g_strdup("");
    }
    path = realpath(info.dli_fname, NULL);
    return path ? path : g_strdup(info.dli_fname);
}

void doctor_renderer_probe(void *found)
{
    DoctorRenderer *renderer = found;
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    g_autofree char *path = NULL, *name = NULL;
    Library lib;

    if (!handle) {
        pstrcpy(renderer->error, sizeof(renderer->error), dlerror());
        return;
    }
    renderer->found = true;
    renderer->blobs = load(&lib);
    renderer->map_fixed = dlsym(handle, "virgl_renderer_resource_map_fixed");
    path = library_path(handle);
    name = g_path_get_basename(path);
    pstrcpy(renderer->file, sizeof(renderer->file), name);
}

void doctor_renderer_version_probe(void *found)
{
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    g_autofree char *path = handle ? library_path(handle) : NULL;

    if (path) {
        read_version(found, path);
    }
}

/*
 * Blobs
 */

static void set_stage(DoctorBlob *blob, const char *stage)
{
    pstrcpy(blob->probe.stage, sizeof(blob->probe.stage), stage);
}

static void write_fence(void *cookie, uint32_t fence)
{
}

/* The GPU that QEMU's display will use; -1 leaves the choice to the library */
static int get_drm_fd(void *cookie)
{
    const DoctorFacts *facts = cookie;
    const DoctorGPU *gpu = doctor_recipe_gpu(facts);
    g_autofree char *path = NULL;

    if (!gpu) {
        return -1;
    }
    path = g_build_filename("/dev/dri", gpu->node, NULL);
    return open(path, O_RDWR | O_CLOEXEC);
}

/*
 * Guests read the capset first.  virglrenderer finds out the cache type of
 * OpenGL's buffers while it fills that in.
 */
static void fill_capset(const Library *lib, DoctorBlob *blob, uint32_t capset)
{
    uint32_t version = 0, size = 0;
    g_autofree void *caps = NULL;

    lib->get_capset(capset, &version, &size);
    blob->capset_size = size;
    if (size) {
        caps = g_malloc0(size);
        lib->fill_caps(capset, version, caps);
    }
}

static bool start(const Library *lib, DoctorFacts *facts, DoctorBlob *blob,
                  int flags, uint32_t capset)
{
    static struct virgl_renderer_callbacks callbacks = {
        .version = 2,
        .write_fence = write_fence,
        .get_drm_fd = get_drm_fd,
    };

    set_stage(blob, "starting");
    blob->result = lib->init(facts, flags, &callbacks);
    if (blob->result) {
        return false;
    }
    set_stage(blob, "reading the capset");
    fill_capset(lib, blob, capset);
    set_stage(blob, "creating a context");
    blob->result = lib->create_context(CONTEXT, capset, strlen("doctor"),
                                       "doctor");
    return !blob->result;
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

    set_stage(blob, "exporting a buffer");
    if (!lib->get_map_info(RESOURCE, &word) &&
        virtio_gpu_blob_names_type(word)) {
        blob->word = word;
    }
    if (!lib->export_blob(RESOURCE, &type, &fd) && fd >= 0) {
        blob->backing = backing_of(type);
    }
    blob->made = true;
    if (blob->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        doctor_buffer_probe(&blob->buffer, fd);
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

    set_stage(blob, "creating a buffer");
    blob->result = lib->create_blob(&args);
    if (!blob->result) {
        look_at_blob(lib, blob);
    }
}

void doctor_opengl_probe(void *found)
{
    uint32_t command[] = {
        (12 - 1) << 16 | CMD_PIPE_RESOURCE_CREATE,
        TARGET_BUFFER, FORMAT_R8_UNORM, BIND_VERTEX_BUFFER,
        SIZE, 1, 1,             /* width, height, depth */
        1, 0, 0,                /* layers, last level, samples */
        FLAG_MAP_PERSISTENT | FLAG_MAP_COHERENT, BLOB_ID,
    };
    DoctorFacts *facts = found;
    DoctorBlob *blob = &facts->renderer.opengl;
    Library lib;

    if (load(&lib) &&
        start(&lib, facts, blob, VIRGL_RENDERER_USE_EGL |
              VIRGL_RENDERER_USE_SURFACELESS, CAPSET_VIRGL2)) {
        lib.submit(command, CONTEXT, ARRAY_SIZE(command));
        make_blob(&lib, blob, BLOB_ID);
    }
}

void doctor_venus_probe(void *found)
{
    DoctorFacts *facts = found;
    DoctorBlob *blob = &facts->renderer.venus;
    Library lib;

    if (load(&lib) &&
        start(&lib, facts, blob, VIRGL_RENDERER_VENUS |
              VIRGL_RENDERER_NO_VIRGL | VIRGL_RENDERER_RENDER_SERVER,
              CAPSET_VENUS)) {
        make_blob(&lib, blob, 0);
    }
}
