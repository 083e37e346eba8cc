/*
 * A small virtio-gpu driver for qtests: the window, the buffers and QEMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "virtio-gpu-gl-client-internal.h"

/*
 * The window and the buffers
 */

const GPUKind gpu_kinds[GPU_KINDS] = {
    { "shm", LOOSE_SHM, "window" },
    { "dma-buf", BUFFER, "window" },
    { "pointer", POINTER, "window" },
    { "driver's", DRIVERS, "region" },
};

uint64_t gpu_read(GPU *gpu, uint64_t offset)
{
    return qtest_readq(gpu->qts, gpu->window + offset);
}

bool gpu_shows(GPU *gpu, uint64_t offset, uint32_t id, uint32_t page)
{
    return gpu_read(gpu, offset) == scripted_stamp(id, page);
}

void gpu_write(GPU *gpu, uint64_t offset, uint64_t value)
{
    qtest_writeq(gpu->qts, gpu->window + offset, value);
}

int gpu_buffer_open(GPU *gpu, uint32_t id)
{
    int32_t fd = gpu->shared->fd[id % SCRIPTED_FDS];
    g_autofree char *path = g_strdup_printf("/proc/%d/fd/%d",
                                            (int)gpu->pid, fd);
    int copy = open(path, O_RDWR | O_CLOEXEC);

    g_assert_cmpint(copy, >=, 0);
    return copy;
}

uint64_t gpu_buffer_read(GPU *gpu, uint32_t id, uint64_t offset)
{
    int fd = gpu_buffer_open(gpu, id);
    uint64_t value = 0;

    g_assert_cmpint(pread(fd, &value, sizeof(value), offset), >=, 0);
    close(fd);
    return value;
}

void gpu_buffer_truncate(GPU *gpu, uint32_t id, uint64_t length)
{
    int fd = gpu_buffer_open(gpu, id);

    g_assert_cmpint(ftruncate(fd, length), ==, 0);
    close(fd);
}

void gpu_watch(GPU *gpu, uint32_t order, uint64_t offset)
{
    gpu->shared->address = gpu->window + offset;
    gpu->shared->watch = order;
    /* A command that does nothing */
    gpu_simple(gpu, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0);
    g_assert_cmpuint(gpu->shared->watch, ==, 0);
}

void gpu_fail(GPU *gpu, uint32_t kinds, uint32_t skip, uint32_t count)
{
    gpu->shared->fail = (struct scripted_fail) {
        .kinds = kinds, .skip = skip, .count = count, .error = ENOMEM,
    };
}

void gpu_release(GPU *gpu)
{
    gpu->shared->watch = SCRIPTED_WATCH_RELEASE;
    while (__atomic_load_n(&gpu->shared->watch, __ATOMIC_ACQUIRE)) {
        g_usleep(500);
    }
}

/*
 * QEMU's process and properties
 */

unsigned gpu_count_log(GPU *gpu, const char *what)
{
    g_autofree char *path = gpu_path_of(gpu->log_fd);
    g_autofree char *text = NULL;
    const char *at;
    unsigned n = 0;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    for (at = text; (at = strstr(at, what)); at++) {
        n++;
    }
    return n;
}

static char *proc_text(GPU *gpu, const char *file)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s",
                                            (int)gpu->pid, file);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

/* Line by line, as ASan's strstr() goes through all that follows. */
unsigned gpu_count_maps(GPU *gpu, const char *text)
{
    g_autofree char *maps = proc_text(gpu, "maps");
    char *next = maps, *line;
    unsigned n = 0;

    while ((line = qemu_strsep(&next, "\n"))) {
        n += *line && strstr(line, text);
    }
    return n;
}

/* Links of /proc/PID/fd with @text, and what is allocated behind them */
static unsigned look_at_fds(GPU *gpu, const char *text, uint64_t *bytes)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd",
                                            (int)gpu->pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    unsigned n = 0;

    g_assert_nonnull(dir);
    *bytes = 0;
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(path, name, NULL);
        g_autofree char *target = g_file_read_link(link, NULL);
        struct stat st;

        if (!target || !strstr(target, text)) {
            continue;
        }
        n++;
        if (!stat(link, &st)) {
            *bytes += st.st_blocks * 512ull;
        }
    }
    return n;
}

unsigned gpu_count_fds(GPU *gpu, const char *text)
{
    uint64_t bytes;

    return look_at_fds(gpu, text, &bytes);
}

uint64_t gpu_hole_memory(GPU *gpu)
{
    uint64_t bytes;

    look_at_fds(gpu, "virtio-gpu-hole", &bytes);
    return bytes;
}

uint64_t gpu_status_kib(GPU *gpu, const char *what)
{
    g_autofree char *status = proc_text(gpu, "status");
    char *line = strstr(status, what);

    g_assert_nonnull(line);
    return g_ascii_strtoull(line + strlen(what) + 1, NULL, 10);
}

uint64_t gpu_memory(GPU *gpu)
{
    return gpu_hole_memory(gpu) + (gpu_status_kib(gpu, "RssAnon:") +
                                   gpu_status_kib(gpu, "VmPTE:")) * 1024;
}

QObject *gpu_property(GPU *gpu, const char *name)
{
    QDict *reply = qtest_qmp(gpu->qts, "{ 'execute': 'qom-get', 'arguments':"
                             " { 'path': '/machine/peripheral/gpu/"
                             "virtio-backend', 'property': %s } }", name);
    QObject *value = qdict_get(reply, "return");

    qobject_ref(value);
    qobject_unref(reply);
    return value;
}

static uint64_t get_stat(GPU *gpu, const char *group, const char *name)
{
    QObject *value = gpu_property(gpu, "blob-map-stats");
    QDict *dict = qobject_to(QDict, value);
    uint64_t n;

    g_assert_nonnull(dict);
    if (group) {
        dict = qdict_get_qdict(dict, group);
    }
    g_assert_true(qdict_haskey(dict, name));
    n = qdict_get_int(dict, name);
    qobject_unref(value);
    return n;
}

uint64_t gpu_stat(GPU *gpu, const char *name)
{
    return get_stat(gpu, NULL, name);
}

uint64_t gpu_refused(GPU *gpu, const char *reason)
{
    return get_stat(gpu, "refused", reason);
}

uint64_t gpu_failures(GPU *gpu, const char *what)
{
    return get_stat(gpu, "failures", what);
}

QDict *gpu_mapping(GPU *gpu, uint32_t id)
{
    QList *maps = qobject_to(QList, gpu_property(gpu, "blob-maps"));
    const QListEntry *e;
    QDict *found = NULL;

    QLIST_FOREACH_ENTRY(maps, e) {
        QDict *map = qobject_to(QDict, qlist_entry_obj(e));

        if (qdict_get_int(map, "resource") == id) {
            g_assert_null(found);
            found = map;
        }
    }
    g_assert_nonnull(found);
    g_assert_cmpuint(qlist_size(maps), ==, gpu_stat(gpu, "live"));
    qobject_ref(found);
    qobject_unref(maps);
    return found;
}

void gpu_check_path(GPU *gpu, const char *path)
{
    QList *maps = qobject_to(QList, gpu_property(gpu, "blob-maps"));
    const QListEntry *e;

    QLIST_FOREACH_ENTRY(maps, e) {
        g_assert_cmpstr(qdict_get_str(qobject_to(QDict, qlist_entry_obj(e)),
                                      "path"), ==, path);
    }
    qobject_unref(maps);
}

void gpu_wait_live(GPU *gpu, unsigned n)
{
    while (gpu_stat(gpu, "live") > n) {
        gpu_settle(gpu);
    }
}

/* A region goes when RCU's readers are done, and its resource with it. */
static void wait_for_regions(GPU *gpu)
{
    const struct scripted_shared *s = gpu->shared;
    unsigned i;

    for (i = 0; i < 500 && (gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME) ||
                            s->maps != s->unmaps || s->live); i++) {
        g_usleep(10000);
    }
}

void gpu_check_nothing_left(GPU *gpu)
{
    const struct scripted_shared *s = gpu->shared;

    gpu_settle(gpu);
    wait_for_regions(gpu);
    gpu_settle(gpu);
    g_assert_cmpuint(s->exports + s->dups, ==, s->closes);
    g_assert_cmpuint(s->maps, ==, s->unmaps);
    g_assert_cmpuint(s->live, ==, 0);
    g_assert_cmpuint(s->faults, ==, 0);
    g_assert_cmpuint(s->bad_queries, ==, 0);
    g_assert_cmpuint(gpu_stat(gpu, "live"), ==, 0);
    g_assert_cmpuint(gpu_stat(gpu, "maps"), ==, gpu_stat(gpu, "unmaps"));
    g_assert_cmpuint(gpu_count_maps(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
    g_assert_cmpuint(gpu_count_fds(gpu, SCRIPTED_BUFFER_NAME), ==, 0);
}
