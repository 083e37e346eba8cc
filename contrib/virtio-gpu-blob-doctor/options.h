/*
 * virtio-gpu blob doctor: the command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_OPTIONS_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_OPTIONS_H

/**
 * DoctorOptions - the command line
 * @hostmem: the window, in bytes
 * @rendernode: the name of the node that is wanted, such as renderD129, or NULL
 * @qemu: the emulator, or NULL for the one of this system
 * @seconds: how long a round of probes may take
 * @json: print JSON
 * @verbose: print what libraries said, too
 * @version: print the version only
 */
typedef struct DoctorOptions {
    uint64_t hostmem;
    char *rendernode;
    char *qemu;
    int seconds;
    bool json;
    bool verbose;
    bool version;
} DoctorOptions;

/**
 * doctor_options_parse() - read the command line
 * @options: filled in
 * @argv: the arguments, with the program's name; NULL terminated
 * @error: set to what is wrong with them
 *
 * With --help it prints that, and ends the process.
 *
 * Returns: false on error
 */
bool doctor_options_parse(DoctorOptions *options, char **argv, GError **error);

#endif /* CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_OPTIONS_H */
