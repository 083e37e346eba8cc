/*
 * Scripted renderer: a test double behind virglrenderer's interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See scripted-renderer.h for how a test drives it.
 */

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>
#include <virglrenderer.h>

#include "scripted-internal.h"

struct fence {
    struct fence *next;
    uint32_t ctx_id;
    uint32_t ring_idx;
    uint64_t id;
    bool of_context;
};

/* Contexts that exist, by id; few tests have more */
#define CONTEXTS 4096

static struct fence *fences;
static bool contexts[CONTEXTS];
static bool caps_filled;
static struct virgl_renderer_callbacks callbacks;
static void *cookie;
/* What the real one draws with by itself, and has current with each command */
static virgl_renderer_gl_context context;

int scripted_refuses(uint32_t what)
{
    uint32_t error = scripted_shared()->refuse_error;

    if (!(scripted_shared()->refuse & what)) {
        return 0;
    }
    return error ? -(int)error : -EINVAL;
}

bool scripted_caps_filled(void)
{
    return caps_filled;
}

/*
 * Contexts
 */

static bool context_exists(uint32_t ctx_id)
{
    return ctx_id < CONTEXTS && contexts[ctx_id];
}

static bool is_dead(uint32_t ctx_id)
{
    return ctx_id && ctx_id == scripted_shared()->dead_context;
}

/* The real one prints it. */
static int create_context(uint32_t ctx_id, const char *name)
{
    int ret = scripted_refuses(SCRIPTED_REFUSE_CONTEXT);

    if (strnlen(name, 64) == 64) {
        scripted_shared()->faults++;
        fprintf(stderr, "scripted renderer: context %u: a name without end\n",
                ctx_id);
    }
    if (ret) {
        return ret;
    }
    if (ctx_id < CONTEXTS) {
        contexts[ctx_id] = true;
    }
    return 0;
}

int virgl_renderer_context_create(uint32_t ctx_id, uint32_t nlen,
                                  const char *name)
{
    return create_context(ctx_id, name);
}

int virgl_renderer_context_create_with_flags(uint32_t ctx_id, uint32_t flags,
                                             uint32_t nlen, const char *name)
{
    return create_context(ctx_id, name);
}

/* As with the real one, its fences are done without a word. */
void virgl_renderer_context_destroy(uint32_t ctx_id)
{
    struct fence **link = &fences;

    while (*link) {
        struct fence *f = *link;

        if (f->of_context && f->ctx_id == ctx_id) {
            *link = f->next;
            free(f);
        } else {
            link = &f->next;
        }
    }
    if (ctx_id < CONTEXTS) {
        contexts[ctx_id] = false;
    }
}

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

/* As the kernel does if a thread reads memory that hardware has lost */
static void raise_memory_error(void)
{
    siginfo_t info = { .si_signo = SIGBUS, .si_code = BUS_MCEERR_AR };

    syscall(SYS_rt_tgsigqueueinfo, getpid(), syscall(SYS_gettid), SIGBUS,
            &info);
}

int virgl_renderer_create_fence(int id, uint32_t ctx_id)
{
    int ret = scripted_refuses(SCRIPTED_REFUSE_FENCE);

    if (scripted_shared()->memory_error) {
        raise_memory_error();
    }
    /* The real one's errors are positive here. */
    return ret ? -ret : add_fence((struct fence) {
        .id = (uint32_t)id, .ctx_id = ctx_id,
    });
}

int virgl_renderer_context_create_fence(uint32_t ctx_id, uint32_t flags,
                                        uint32_t ring_idx, uint64_t id)
{
    int ret = scripted_refuses(SCRIPTED_REFUSE_CTX_FENCE);

    if (!context_exists(ctx_id) || is_dead(ctx_id)) {
        ret = -EINVAL;
    }
    return ret ? ret : add_fence((struct fence) {
        .id = id, .ctx_id = ctx_id, .ring_idx = ring_idx, .of_context = true,
    });
}

/*
 * VIRGL_RENDERER_FENCE_FLAG_MERGEABLE: of fences that are done at the same
 * time, the renderer reports the last one of each ring only.
 */
static bool is_merged(const struct fence *f)
{
    const struct fence *later;

    for (later = f->next; later; later = later->next) {
        if (later->of_context && later->ctx_id == f->ctx_id &&
            later->ring_idx == f->ring_idx) {
            return true;
        }
    }
    return false;
}

static void finish_fence(const struct fence *f)
{
    scripted_shared()->fences_done++;
    if (!f->of_context) {
        callbacks.write_fence(cookie, f->id);
    } else if (callbacks.version >= 3 && !is_merged(f)) {
        callbacks.write_context_fence(cookie, f->ctx_id, f->ring_idx, f->id);
    }
}

void virgl_renderer_poll(void)
{
    struct fence **link = &fences;

    scripted_shared()->polls++;
    while (*link && !scripted_shared()->hold_fences) {
        struct fence *f = *link;

        if (f->of_context && is_dead(f->ctx_id)) {
            link = &f->next;
            continue;
        }
        *link = f->next;
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
    memset(contexts, 0, sizeof(contexts));
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

    int ret = scripted_refuses(SCRIPTED_REFUSE_START);

    scripted_shared()->inits++;
    if (ret) {
        return ret;
    }
    cookie = c;
    callbacks = *cbs;
    if (!context) {
        context = callbacks.create_gl_context(cookie, 0, &param);
    }
    caps_filled = false;
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
    /* The first that a device calls, and a guest may, too */
    if (!scripted_shared()->armed) {
        scripted_shared()->armed = 1;
        scripted_kvm_begin();
        watch();
    }
    *max_ver = set + scripted_shared()->fewer_capsets <= 2 ? set : 0;
    *max_size = set <= 2 && !*max_ver ? 0 : 160;
}

void virgl_renderer_fill_caps(uint32_t set, uint32_t version, void *caps)
{
    memset(caps, 0, 160);
    scripted_shared()->fills++;
    caps_filled = true;
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
