/*
 * Scripted renderer: a test double behind virglrenderer's interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See scripted-renderer.h for how a test drives it.
 */

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <virglrenderer.h>

#include "scripted-internal.h"

struct fence {
    struct fence *next;
    uint32_t ctx_id;
    uint32_t ring_idx;
    uint64_t id;
    bool of_context;
};

static struct fence *fences;
static struct virgl_renderer_callbacks callbacks;
static void *cookie;
/* What the real one draws with by itself, and has current with each command */
static virgl_renderer_gl_context context;

/*
 * Fences
 */

static int add_fence(struct fence f)
{
    struct fence **link = &fences;

    while (*link) {
        link = &(*link)->next;
    }
    *link = malloc(sizeof(f));
    **link = f;
    scripted_shared()->fences++;
    return 0;
}

int virgl_renderer_create_fence(int id, uint32_t ctx_id)
{
    return add_fence((struct fence) { .id = id, .ctx_id = ctx_id });
}

int virgl_renderer_context_create_fence(uint32_t ctx_id, uint32_t flags,
                                        uint32_t ring_idx, uint64_t id)
{
    return add_fence((struct fence) {
        .id = id, .ctx_id = ctx_id, .ring_idx = ring_idx, .of_context = true,
    });
}

static void finish_fence(const struct fence *f)
{
    scripted_shared()->fences_done++;
    if (!f->of_context) {
        callbacks.write_fence(cookie, f->id);
    } else if (callbacks.version >= 3) {
        callbacks.write_context_fence(cookie, f->ctx_id, f->ring_idx, f->id);
    }
}

void virgl_renderer_poll(void)
{
    while (fences && !scripted_shared()->hold_fences) {
        struct fence *f = fences;

        fences = f->next;
        finish_fence(f);
        free(f);
    }
}

/*
 * Who looks at the window
 */

static void *load_watcher(void)
{
    char path[4096];
    void *lib = NULL, *func = NULL;
    Dl_info info;
    char *slash;

    if (dladdr(&callbacks, &info)) {
        snprintf(path, sizeof(path) - 32, "%s", info.dli_fname);
        slash = strrchr(path, '/');
        if (slash) {
            strcpy(slash, "/libscripted-watcher.so");
            lib = dlopen(path, RTLD_NOW);
        }
    }
    if (lib) {
        func = dlsym(lib, "scripted_watch");
    }
    if (!func) {
        fprintf(stderr, "scripted renderer: no watcher: %s\n", dlerror());
        abort();
    }
    return func;
}

/*
 * The watcher uses QEMU's own interfaces: it is a library of its own, that
 * is loaded into QEMU only.
 */
static void watch(void)
{
    static void (*func)(struct scripted_shared *shared);

    if (!scripted_shared()->watch ||
        scripted_shared()->watch == SCRIPTED_WATCH_RELEASE) {
        return;
    }
    if (!func) {
        func = load_watcher();
    }
    func(scripted_shared());
    scripted_shared()->watch = 0;
}

/*
 * Life
 */

static void drop_all(void)
{
    struct fence *f;

    scripted_drop_resources();
    while ((f = fences)) {
        fences = f->next;
        free(f);
    }
}

int virgl_renderer_init(void *c, int flags,
                        struct virgl_renderer_callbacks *cbs)
{
    struct virgl_renderer_gl_ctx_param param = {
        .major_ver = 3, .minor_ver = 1,
    };

    cookie = c;
    callbacks = *cbs;
    if (!context) {
        context = callbacks.create_gl_context(cookie, 0, &param);
    }
    scripted_shared()->inits++;
    return 0;
}

void virgl_renderer_reset(void)
{
    scripted_shared()->resets++;
    drop_all();
}

void virgl_renderer_cleanup(void *c)
{
    scripted_shared()->cleanups++;
    drop_all();
    callbacks.destroy_gl_context(cookie, context);
    context = NULL;
}

void virgl_renderer_get_cap_set(uint32_t set, uint32_t *max_ver,
                                uint32_t *max_size)
{
    /* The first that a device calls */
    scripted_shared()->armed = 1;
    scripted_kvm_begin();
    watch();
    *max_ver = set <= 2 ? set : 0;
    *max_size = 160;
}

void virgl_renderer_fill_caps(uint32_t set, uint32_t version, void *caps)
{
    memset(caps, 0, 160);
}

/* Called before each command */
void virgl_renderer_force_ctx_0(void)
{
    callbacks.make_current(cookie, 0, context);
    watch();
}

/*
 * What plays no part
 */

/* The real one prints it. */
static int check_name(uint32_t ctx_id, const char *name)
{
    if (strnlen(name, 64) == 64) {
        scripted_shared()->faults++;
        fprintf(stderr, "scripted renderer: context %u: a name without end\n",
                ctx_id);
    }
    return 0;
}

int virgl_renderer_context_create(uint32_t ctx_id, uint32_t nlen,
                                  const char *name)
{
    return check_name(ctx_id, name);
}

int virgl_renderer_context_create_with_flags(uint32_t ctx_id, uint32_t flags,
                                             uint32_t nlen, const char *name)
{
    return check_name(ctx_id, name);
}

void virgl_renderer_context_destroy(uint32_t ctx_id)
{
}

void virgl_renderer_ctx_attach_resource(int ctx_id, int id)
{
}

void virgl_renderer_ctx_detach_resource(int ctx_id, int id)
{
}

int virgl_renderer_submit_cmd(void *buffer, int ctx_id, int ndw)
{
    return 0;
}

int virgl_renderer_transfer_read_iov(uint32_t id, uint32_t ctx_id,
                                     uint32_t level, uint32_t stride,
                                     uint32_t layer_stride,
                                     struct virgl_box *box, uint64_t offset,
                                     struct iovec *iov, int num)
{
    return 0;
}

int virgl_renderer_transfer_write_iov(uint32_t id, uint32_t ctx_id, int level,
                                      uint32_t stride, uint32_t layer_stride,
                                      struct virgl_box *box, uint64_t offset,
                                      struct iovec *iov, unsigned num)
{
    return 0;
}

void *virgl_renderer_get_cursor_data(uint32_t id, uint32_t *width,
                                     uint32_t *height)
{
    return NULL;
}

void *virgl_renderer_resource_get_priv(uint32_t id)
{
    return NULL;
}

void virgl_renderer_resource_set_priv(uint32_t id, void *priv)
{
}
