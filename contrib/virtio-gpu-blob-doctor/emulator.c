/*
 * virtio-gpu blob doctor: the installed emulator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "emulator.h"

#include <sys/utsname.h>

#define DEVICE "virtio-gpu-gl-pci"

/* What only our device has */
#define PROPERTY "\n  map-policy="

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
    g_autofree char *name = NULL, *path = NULL;

    if (!*qemu->path) {
        name = name_of_emulator();
        pstrcpy(qemu->path, sizeof(qemu->path), name);
    }
    path = g_find_program_in_path(qemu->path);
    if (path) {
        pstrcpy(qemu->path, sizeof(qemu->path), path);
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

static void ask_device(DoctorQEMU *qemu)
{
    bool ok;
    g_autofree char *text = ask(qemu->path, "-device", DEVICE ",help", &ok);

    qemu->has_device = ok && strstr(text, DEVICE " options:");
    qemu->ours = qemu->has_device && strstr(text, PROPERTY);
    if (!qemu->has_device) {
        keep_line(qemu->error, sizeof(qemu->error), text);
    }
}

void doctor_emulator_look(void *found)
{
    DoctorQEMU *qemu = found;

    find(qemu);
    if (qemu->found) {
        ask_version(qemu);
        ask_device(qemu);
    }
}
