/*
 * virtio-gpu blob doctor: the report for people and for programs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qobject/qdict.h"
#include "qobject/qjson.h"
#include "qobject/qlist.h"
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
    [DOCTOR_OK] = "Blobs can be mapped on this host.",
    [DOCTOR_LIMITED] = "Blobs can be mapped on this host, with limits.",
    [DOCTOR_BAD] = "Blobs cannot be mapped on this host as it is.",
};

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
}

static void print_recipe(GString *out, const DoctorFacts *facts)
{
    g_autofree char *options = doctor_recipe_options(facts);
    g_autofree char *libvirt = doctor_recipe_libvirt(facts);

    if (options) {
        g_string_append_printf(out, "\nFor QEMU:\n\n%s\n\nFor libvirt:\n\n%s",
                               options, libvirt);
    }
}

GString *doctor_print_text(const DoctorFacts *facts, const GPtrArray *lines)
{
    GString *out = g_string_new("");
    guint i;

    for (i = 0; i < lines->len; i++) {
        print_line(out, g_ptr_array_index(lines, i));
    }
    g_string_append_printf(out, "\n%s\n", results[doctor_report_level(lines)]);
    print_recipe(out, facts);
    return out;
}

/*
 * For programs
 */

static QDict *line_to_dict(const DoctorLine *line)
{
    QDict *dict = qdict_new();

    qdict_put_str(dict, "level", levels[line->level]);
    qdict_put_str(dict, "topic", line->topic);
    qdict_put_str(dict, "text", line->text);
    if (line->remedy) {
        qdict_put_str(dict, "remedy", line->remedy);
    }
    return dict;
}

static void put_recipe(QDict *dict, const DoctorFacts *facts)
{
    g_autofree char *options = doctor_recipe_options(facts);
    g_autofree char *libvirt = doctor_recipe_libvirt(facts);

    if (options) {
        qdict_put_str(dict, "options", options);
        qdict_put_str(dict, "libvirt", libvirt);
    }
}

GString *doctor_print_json(const DoctorFacts *facts, const GPtrArray *lines)
{
    g_autoptr(QDict) dict = qdict_new();
    QList *list = qlist_new();
    guint i;
    GString *out;

    for (i = 0; i < lines->len; i++) {
        qlist_append(list, line_to_dict(g_ptr_array_index(lines, i)));
    }
    qdict_put_str(dict, "level", levels[doctor_report_level(lines)]);
    qdict_put(dict, "lines", list);
    put_recipe(dict, facts);
    out = qobject_to_json_pretty(QOBJECT(dict), true);
    g_string_append_c(out, '\n');
    return out;
}
