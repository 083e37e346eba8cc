/*
 * virtio-gpu blob doctor: the emulator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "probes.h"

#include <sys/utsname.h>

/* What only our device has */
#define PROPERTY "\n  map-policy="

/* What the monitor of a QEMU that has started is told */
#define QUIT "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n"

/* QEMU calls a few architectures otherwise than the kernel does. */
static char *name_of_emulator(void)
{
    struct utsname names;

    if (uname(&names)) {
        return g_strdup("qemu-system-x86_64");
    }
    if (g_pattern_match_simple("i?86", names.machine)) {
        return g_strdup("qemu-system-i386");
    }
    return g_strdup_printf("qemu-system-%s", names.machine);
}

static void find(DoctorQEMU *qemu)
{
    g_autofree char *name = NULL, *path = NULL, *full = NULL;

    if (!*qemu->path) {
        name = name_of_emulator();
        pstrcpy(qemu->path, sizeof(qemu->path), name);
    }
    path = g_find_program_in_path(qemu->path);
    if (path) {
        /* libvirt wants all of it. */
        full = g_canonicalize_filename(path, NULL);
        pstrcpy(qemu->path, sizeof(qemu->path), full);
        qemu->found = true;
    }
}

static void keep_line(char *to, size_t size, const char *text)
{
    g_autofree char *line = g_strndup(text, strcspn(text, "\n"));

    pstrcpy(to, size, g_strstrip(line));
}

/* What it says, with what it complains of; the caller frees it */
static char *ask(const char *path, const char *option, const char *value,
                 bool *ok)
{
    const char *const argv[] = { path, option, value, NULL };
    char *said = NULL, *complained = NULL, *all;
    int status = -1;

    *ok = g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL,
                       &said, &complained, &status, NULL) && !status;
    all = g_strconcat(said ? said : "", complained ? complained : "", NULL);
    g_free(said);
    g_free(complained);
    return all;
}

static void ask_version(DoctorQEMU *qemu)
{
    bool ok;
    g_autofree char *text = ask(qemu->path, "--version", NULL, &ok);

    if (ok) {
        keep_line(qemu->version, sizeof(qemu->version), text);
    }
}

/* As the options have it */
static const char *device_name(void)
{
    struct utsname names = { };
    VirtIOGPUBlobCPU cpu;

    uname(&names);
    cpu = virtio_gpu_blob_cpu_of(names.machine, "");
    return virtio_gpu_blob_cpu_is_x86(cpu) ? "virtio-vga-gl"
                                           : "virtio-gpu-gl-pci";
}

static void ask_device(DoctorQEMU *qemu)
{
    const char *device = device_name();
    g_autofree char *help = g_strdup_printf("%s,help", device);
    g_autofree char *heading = g_strdup_printf("%s options:", device);
    bool ok;
    g_autofree char *text = ask(qemu->path, "-device", help, &ok);

    qemu->has_device = ok && strstr(text, heading);
    qemu->ours = qemu->has_device && strstr(text, PROPERTY);
    if (!qemu->has_device) {
        keep_line(qemu->error, sizeof(qemu->error), text);
    }
}

static void ask_displays(DoctorQEMU *qemu)
{
    bool ok;
    g_autofree char *text = ask(qemu->path, "-display", "help", &ok);

    qemu->gtk = ok && strstr(text, "\ngtk\n");
    qemu->sdl = ok && strstr(text, "\nsdl\n");
    qemu->egl_headless = ok && strstr(text, "\negl-headless\n");
}

void doctor_qemu_probe(void *found)
{
    DoctorQEMU *qemu = found;

    pstrcpy(qemu->probe.stage, sizeof(qemu->probe.stage), "starting it");
    find(qemu);
    if (qemu->found) {
        ask_version(qemu);
        ask_device(qemu);
        ask_displays(qemu);
    }
}

/*
 * Starting it
 */

/* Nothing waits at its other end: it holds the commands, and then ends. */
static int pipe_with(const char *text)
{
    int ends[2];
    size_t len = strlen(text);

    if (pipe(ends)) {
        return -1;
    }
    if (write(ends[1], text, len) != len) {
        close(ends[0]);
        ends[0] = -1;
    }
    close(ends[1]);
    return ends[0];
}

void doctor_qemu_exec(char **argv, char **env)
{
    int in = pipe_with(QUIT), i;

    if (in >= 0) {
        dup2(in, STDIN_FILENO);
        close(in);
        for (i = 0; env[i]; i++) {
            putenv(env[i]);
        }
        execvp(argv[0], argv);
    }
    fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
    _exit(1);
}
