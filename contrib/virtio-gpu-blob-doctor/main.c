/*
 * virtio-gpu blob doctor: can blobs be mapped on this host, and how?
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu-version.h"
#include "gather.h"
#include "options.h"
#include "print.h"

#define EXIT_USAGE 3

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) args = g_strdupv(argv);
    g_autoptr(GPtrArray) lines = NULL;
    DoctorOptions options;
    const DoctorFacts *facts;
    GString *out;

    if (!doctor_options_parse(&options, args, &error)) {
        fprintf(stderr, "%s: %s\n", g_get_prgname(), error->message);
        return EXIT_USAGE;
    }
    if (options.version) {
        printf("%s " QEMU_FULL_VERSION "\n", g_get_prgname());
        return 0;
    }
    facts = doctor_gather(&options);
    if (!facts) {
        fprintf(stderr, "%s: %s\n", g_get_prgname(), strerror(errno));
        return DOCTOR_BAD;
    }
    lines = doctor_report(facts);
    out = options.json
        ? doctor_print_json(facts, lines, QEMU_FULL_VERSION)
        : doctor_print_text(facts, lines, options.verbose);
    fputs(out->str, stdout);
    g_string_free(out, true);
    return doctor_report_level(lines);
}
