/*
 * virtio-gpu blob doctor: the command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-hostmem.h"
#include "options.h"

#define HOSTMEM_DEFAULT (4 * GiB)

/* All of it stays below ten. */
#define SECONDS_DEFAULT 8
#define SECONDS_MAX 600

static const char summary[] =
    "Looks at this host: can QEMU's virtio-gpu-gl map blobs here, and how?\n"
    "A line each for what works, what works with limits (!) and what does\n"
    "not, with what would help; options for QEMU and libvirt follow.";

static const char codes[] =
    "Exit code: 0 works, 1 works with limits, 2 does not, 3 wrong usage.";

static bool bad(GError **error, const char *format, const char *what)
{
    g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, format, what);
    return false;
}

static bool parse_hostmem(const char *text, uint64_t *size, GError **error)
{
    Error *err = NULL;

    *size = HOSTMEM_DEFAULT;
    if (!text) {
        return true;
    }
    if (qemu_strtosz(text, NULL, size) || !*size) {
        return bad(error, "--hostmem=%s is no size, such as 256M or 4G", text);
    }
    if (!virtio_gpu_hostmem_check(*size, &err)) {
        bad(error, "--%s", error_get_pretty(err));
        error_free(err);
        return false;
    }
    return true;
}

static bool check(const DoctorOptions *options, char **rest, GError **error)
{
    if (rest && *rest) {
        return bad(error, "%s: there is no such argument", *rest);
    }
    if (options->seconds < 1 || options->seconds > SECONDS_MAX) {
        return bad(error, "--timeout is a number of seconds from 1 to %s",
                   stringify(SECONDS_MAX));
    }
    return true;
}

bool doctor_options_parse(DoctorOptions *options, char **argv, GError **error)
{
    gboolean json = false;
    g_autofree char *hostmem = NULL;
    g_auto(GStrv) rest = NULL;
    const GOptionEntry entries[] = {
        { "json", 0, 0, G_OPTION_ARG_NONE, &json,
          "Print JSON, for programs", NULL },
        { "hostmem", 0, 0, G_OPTION_ARG_STRING, &hostmem,
          "Window to check the limits for (default 4G)", "SIZE" },
        { "qemu", 0, 0, G_OPTION_ARG_FILENAME, &options->qemu,
          "Emulator to look at (default: this system's)", "FILE" },
        { "timeout", 0, 0, G_OPTION_ARG_INT, &options->seconds,
          "How long drivers may take to answer (default 8)", "SECONDS" },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &rest,
          NULL, NULL },
        { }
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    *options = (DoctorOptions) { .seconds = SECONDS_DEFAULT };
    g_option_context_set_summary(context, summary);
    g_option_context_set_description(context, codes);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse_strv(context, &argv, error) ||
        !check(options, rest, error) ||
        !parse_hostmem(hostmem, &options->hostmem, error)) {
        return false;
    }
    options->json = json;
    return true;
}
