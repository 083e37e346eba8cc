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

/* For each round of probes */
#define SECONDS_DEFAULT 8
#define SECONDS_MAX 600

static const char summary[] =
    "Checks whether QEMU's virtio-gpu-gl can map blobs on this host, and how.\n"
    "Prints a line for what works, what works with limits (!) and what does\n"
    "not, with a remedy; then options for QEMU and libvirt that work here.";

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
        return bad(error, "invalid size: %s (example: 4G)", text);
    }
    if (*size < MiB) {
        return bad(error, "invalid size: %s (the smallest is 1M)", text);
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
        return bad(error, "unexpected argument: %s", *rest);
    }
    if (options->rendernode &&
        !g_str_has_prefix(options->rendernode, "renderD")) {
        return bad(error, "invalid render node: %s (example: "
                   "/dev/dri/renderD128)", options->rendernode);
    }
    if (options->seconds < 1 || options->seconds > SECONDS_MAX) {
        return bad(error, "--timeout is a number of seconds from 1 to %s",
                   stringify(SECONDS_MAX));
    }
    return true;
}

bool doctor_options_parse(DoctorOptions *options, char **argv, GError **error)
{
    gboolean json = false, verbose = false, version = false;
    g_autofree char *hostmem = NULL, *node = NULL;
    g_auto(GStrv) rest = NULL;
    const GOptionEntry entries[] = {
        { "json", 0, 0, G_OPTION_ARG_NONE, &json,
          "Print JSON, for programs", NULL },
        { "verbose", 0, 0, G_OPTION_ARG_NONE, &verbose,
          "Print what drivers and libraries said, too", NULL },
        { "version", 0, 0, G_OPTION_ARG_NONE, &version,
          "Print the version, and exit", NULL },
        { "rendernode", 0, 0, G_OPTION_ARG_STRING, &node,
          "Render node to use (default: the first that works)", "FILE" },
        { "hostmem", 0, 0, G_OPTION_ARG_STRING, &hostmem,
          "Size of the window (default 4G)", "SIZE" },
        { "qemu", 0, 0, G_OPTION_ARG_FILENAME, &options->qemu,
          "Emulator to check (default: this system's)", "FILE" },
        { "timeout", 0, 0, G_OPTION_ARG_INT, &options->seconds,
          "Time for each of three rounds of checks (default 8)", "SECONDS" },
        { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &rest,
          NULL, NULL },
        { }
    };
    g_autoptr(GOptionContext) context = g_option_context_new(NULL);

    *options = (DoctorOptions) { .seconds = SECONDS_DEFAULT };
    g_option_context_set_summary(context, summary);
    g_option_context_set_description(context, codes);
    g_option_context_add_main_entries(context, entries, NULL);
    if (!g_option_context_parse_strv(context, &argv, error)) {
        return false;
    }
    options->rendernode = node ? g_path_get_basename(node) : NULL;
    if (!check(options, rest, error) ||
        !parse_hostmem(hostmem, &options->hostmem, error)) {
        g_clear_pointer(&options->rendernode, g_free);
        g_clear_pointer(&options->qemu, g_free);
        return false;
    }
    options->json = json;
    options->verbose = verbose;
    options->version = version;
    return true;
}
