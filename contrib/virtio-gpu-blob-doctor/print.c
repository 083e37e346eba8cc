/*
 * virtio-gpu blob doctor: the report for people and for programs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qbool.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "print.h"
#include "recipe.h"

static const char *const marks[] = {
    [DOCTOR_OK] = "✓",
    [DOCTOR_LIMITED] = "!",
    [DOCTOR_BAD] = "✗",
};

static const char *const levels[] = {
    [DOCTOR_OK] = "ok",
    [DOCTOR_LIMITED] = "limited",
    [DOCTOR_BAD] = "bad",
};

static const char *const results[] = {
    [DOCTOR_OK] = "Result: usable.",
    [DOCTOR_LIMITED] = "Result: usable with limitations (see ! lines).",
    [DOCTOR_BAD] = "Result: not usable; fix the lines marked ✗.",
};

/* Every process whose output is kept */
typedef struct Said {
    const char *name;
    const DoctorProbe *probe;
} Said;

static GArray *list_said(const DoctorFacts *facts)
{
    const Said said[] = {
        { "qemu", &facts->qemu.probe },
        { "sdl", &facts->sdl.probe },
        { "virglrenderer", &facts->renderer.probe },
        { "opengl", &facts->renderer.opengl.probe },
        { "venus", &facts->renderer.venus.probe },
        { "libvulkan", &facts->vulkan.probe },
        { "kvm", &facts->kvm.probe },
        { "window", &facts->window.probe },
        { "dma-bufs", &facts->sources_probe },
    };
    GArray *list = g_array_new(false, false, sizeof(Said));
    int i;

    g_array_append_vals(list, said, ARRAY_SIZE(said));
    for (i = 0; i < facts->gpus_count; i++) {
        Said one = { facts->gpus[i].node, &facts->gpus[i].probe };

        g_array_append_val(list, one);
    }
    for (i = 0; i < DOCTOR_STARTS_MAX; i++) {
        Said one = { "start", &facts->starts[i].probe };

        g_array_append_val(list, one);
    }
    return list;
}

/* Libraries may print any bytes. */
static char *valid_text(const DoctorProbe *probe)
{
    return g_utf8_make_valid(probe->said, -1);
}

/*
 * For people
 */

static void print_line(GString *out, const DoctorLine *line)
{
    g_string_append_printf(out, "%s %s: %s\n", marks[line->level], line->topic,
                           line->text);
    if (line->remedy) {
        g_string_append_printf(out, "    %s\n", line->remedy);
    }
    if (line->command) {
        g_string_append_printf(out, "    $ %s\n", line->command);
    }
}

static void print_said(GString *out, const DoctorFacts *facts)
{
    g_autoptr(GArray) list = list_said(facts);
    guint i;

    g_string_append(out, "\nDrivers and libraries said:\n");
    for (i = 0; i < list->len; i++) {
        const Said *said = &g_array_index(list, Said, i);
        g_autofree char *text = valid_text(said->probe);
        g_auto(GStrv) lines = g_strsplit(g_strchomp(text), "\n", -1);
        int j;

        for (j = 0; lines[j]; j++) {
            g_string_append_printf(out, "    %s: %s\n", said->name, lines[j]);
        }
    }
}

/* An option and its value in a line, ready to be pasted into a shell */
static void print_command(GString *out, char **env, char **argv)
{
    int i;

    for (i = 0; env[i]; i++) {
        g_string_append_printf(out, "%s ", env[i]);
    }
    for (i = 0; argv[i]; i++) {
        g_autofree char *quoted = g_shell_quote(argv[i]);
        bool plain = !argv[i][strcspn(argv[i], " '\"\\$`!*?&;|<>(){}[]~#\t\n")];

        g_string_append_printf(out, "%s%s", !i ? "" :
                               *argv[i] == '-' ? " \\\n    " : " ",
                               plain ? argv[i] : quoted);
    }
    g_string_append_c(out, '\n');
}

static const char *how_to_see(const DoctorChoice *choice)
{
    switch (choice->display) {
    case DOCTOR_DISPLAY_EGL_HEADLESS:
        return "See the guest with: vncviewer 127.0.0.1:0 (or the next port "
               "that is free)\n";
    case DOCTOR_DISPLAY_OFFSCREEN:
        return "The guest's screen is not shown: use a serial console "
               "(-serial stdio) or ssh.\n";
    default:
        return "The guest is shown in a window.\n";
    }
}

static void print_recipe(GString *out, const DoctorFacts *facts)
{
    g_auto(GStrv) argv = NULL, env = NULL, notes = NULL;
    g_autofree char *xml = NULL;
    DoctorChoice choice;
    int i;

    if (doctor_recipe_best(facts, &choice) < 0) {
        return;
    }
    argv = doctor_recipe_argv(facts, &choice);
    env = doctor_recipe_env(&choice);
    xml = doctor_recipe_libvirt(facts, &choice);
    notes = doctor_recipe_libvirt_notes(facts, &choice);
    g_string_append_printf(out, "\nQEMU (add a disk, such as -drive "
                           "file=guest.qcow2,if=virtio%s):\n\n",
                           doctor_is_x86(facts) ? "" : ", and firmware, such "
                           "as -bios QEMU_EFI.fd");
    print_command(out, env, argv);
    g_string_append_printf(out, "\n%s\nlibvirt (add a disk; virsh define "
                           "FILE):\n\n%s\n", how_to_see(&choice), xml);
    for (i = 0; notes[i]; i++) {
        g_string_append_printf(out, "- %s\n", notes[i]);
    }
}

GString *doctor_print_text(const DoctorFacts *facts, const GPtrArray *lines,
                           bool verbose)
{
    GString *out = g_string_new("");
    guint i;

    for (i = 0; i < lines->len; i++) {
        print_line(out, g_ptr_array_index(lines, i));
    }
    if (verbose) {
        print_said(out, facts);
    }
    g_string_append_printf(out, "\n%s\n", results[doctor_report_level(lines)]);
    print_recipe(out, facts);
    return out;
}

/*
 * For programs
 */

static void put_string(QDict *dict, const char *name, const char *text)
{
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;

    if (valid && *valid) {
        qdict_put_str(dict, name, valid);
    }
}

static QDict *line_to_dict(const DoctorLine *line)
{
    QDict *dict = qdict_new();

    put_string(dict, "id", line->id);
    put_string(dict, "level", levels[line->level]);
    put_string(dict, "topic", line->topic);
    put_string(dict, "subject", line->subject);
    put_string(dict, "text", line->text);
    put_string(dict, "remedy", line->remedy);
    put_string(dict, "command", line->command);
    return dict;
}

static QList *strings_to_list(char **strings)
{
    QList *list = qlist_new();
    int i;

    for (i = 0; strings[i]; i++) {
        qlist_append_str(list, strings[i]);
    }
    return list;
}

static void put_buffer(QDict *dict, const DoctorBuffer *buffer)
{
    if (buffer->made) {
        put_string(dict, "exporter", buffer->exporter);
        put_string(dict, "answer",
                   virtio_gpu_blob_answer_name(buffer->answer));
    }
}

static QDict *gpu_to_dict(const DoctorGPU *gpu)
{
    QDict *dict = qdict_new();

    put_string(dict, "node", gpu->node);
    put_string(dict, "driver", gpu->driver);
    qdict_put_bool(dict, "usable", doctor_gpu_works(gpu));
    put_string(dict, "gl-renderer", gpu->gl.renderer);
    put_string(dict, "gl-version", gpu->gl.version);
    put_buffer(dict, &gpu->buffer);
    return dict;
}

static QDict *blob_to_dict(const DoctorBlob *blob)
{
    QDict *dict = qdict_new();

    qdict_put_bool(dict, "works", blob->made);
    qdict_put_int(dict, "capset-size", blob->capset_size);
    if (blob->made) {
        put_string(dict, "backing",
                   virtio_gpu_blob_backing_name(blob->backing));
        put_string(dict, "renderer-type",
                   virtio_gpu_blob_type_name(blob->word));
        put_buffer(dict, &blob->buffer);
    }
    return dict;
}

static void put_devices(QDict *dict, const DoctorFacts *facts)
{
    QList *gpus = qlist_new(), *vulkan = qlist_new(), *sources = qlist_new();
    int i;

    for (i = 0; i < facts->gpus_count; i++) {
        qlist_append(gpus, gpu_to_dict(&facts->gpus[i]));
    }
    for (i = 0; i < facts->vulkan.count; i++) {
        QDict *device = qdict_new();

        put_string(device, "name", facts->vulkan.devices[i].name);
        qdict_put_bool(device, "software", facts->vulkan.devices[i].software);
        qlist_append(vulkan, device);
    }
    for (i = 0; i < facts->sources_count; i++) {
        QDict *source = qdict_new();

        put_string(source, "name", facts->sources[i].name);
        put_buffer(source, &facts->sources[i].buffer);
        qlist_append(sources, source);
    }
    qdict_put(dict, "gpus", gpus);
    qdict_put(dict, "vulkan-devices", vulkan);
    qdict_put(dict, "dma-buf-sources", sources);
}

static QDict *facts_to_dict(const DoctorFacts *facts)
{
    const DoctorGPU *gpu = doctor_recipe_gpu(facts);
    QDict *dict = qdict_new();

    put_string(dict, "kernel", facts->kernel);
    put_string(dict, "machine", facts->machine);
    put_string(dict, "system", facts->system);
    put_string(dict, "private-root", facts->private_root);
    put_string(dict, "virglrenderer", facts->renderer.version);
    put_string(dict, "nvidia", facts->nvidia);
    qdict_put_int(dict, "page-size", facts->page_size);
    qdict_put_int(dict, "address-bits", facts->address_bits);
    qdict_put_int(dict, "max-map-count", facts->map_count);
    qdict_put_int(dict, "open-files",
                  MIN(facts->files, (uint64_t)INT64_MAX));
    qdict_put_int(dict, "hostmem", facts->window.fits);
    qdict_put_bool(dict, "kvm", facts->kvm.usable);
    put_string(dict, "guest-type",
               virtio_gpu_blob_guest_type_text(facts->kvm.type)->name);
    put_string(dict, "gpu", gpu ? gpu->node : NULL);
    qdict_put(dict, "opengl", blob_to_dict(&facts->renderer.opengl));
    qdict_put(dict, "venus", blob_to_dict(&facts->renderer.venus));
    put_devices(dict, facts);
    return dict;
}

static void put_recipe(QDict *dict, const DoctorFacts *facts)
{
    g_auto(GStrv) argv = NULL, env = NULL, notes = NULL;
    g_autofree char *xml = NULL;
    DoctorChoice choice;

    if (doctor_recipe_best(facts, &choice) < 0) {
        return;
    }
    argv = doctor_recipe_argv(facts, &choice);
    env = doctor_recipe_env(&choice);
    xml = doctor_recipe_libvirt(facts, &choice);
    notes = doctor_recipe_libvirt_notes(facts, &choice);
    qdict_put(dict, "argv", strings_to_list(argv));
    qdict_put(dict, "environment", strings_to_list(env));
    put_string(dict, "libvirt", xml);
    qdict_put(dict, "libvirt-notes", strings_to_list(notes));
}

static QList *said_to_list(const DoctorFacts *facts)
{
    g_autoptr(GArray) list = list_said(facts);
    QList *out = qlist_new();
    guint i;

    for (i = 0; i < list->len; i++) {
        const Said *said = &g_array_index(list, Said, i);
        g_autofree char *text = valid_text(said->probe);

        if (*text) {
            QDict *dict = qdict_new();

            put_string(dict, "from", said->name);
            put_string(dict, "text", text);
            qlist_append(out, dict);
        }
    }
    return out;
}

GString *doctor_print_json(const DoctorFacts *facts, const GPtrArray *lines,
                           const char *version)
{
    g_autoptr(QDict) dict = qdict_new();
    QList *list = qlist_new();
    GString *out;
    guint i;

    for (i = 0; i < lines->len; i++) {
        qlist_append(list, line_to_dict(g_ptr_array_index(lines, i)));
    }
    qdict_put_int(dict, "version", DOCTOR_JSON_VERSION);
    put_string(dict, "doctor", version);
    put_string(dict, "level", levels[doctor_report_level(lines)]);
    qdict_put_int(dict, "exit-code", doctor_report_level(lines));
    qdict_put(dict, "lines", list);
    qdict_put(dict, "facts", facts_to_dict(facts));
    qdict_put(dict, "said", said_to_list(facts));
    put_recipe(dict, facts);
    out = qobject_to_json_pretty(QOBJECT(dict), true);
    g_string_append_c(out, '\n');
    return out;
}
