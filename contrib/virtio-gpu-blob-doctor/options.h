/*
 * virtio-gpu blob doctor: the command line
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_OPTIONS_H
#define CONTRIB_VIRTIO_GPU_BLOB_DOCTOR_OPTIONS_H

/**
 * DoctorOptions - what the user wants
 * @hostmem: the window, in bytes
 * @qemu: the emulator, or NULL for the one of this system
 * @seconds: how long probes may take
 * @json: for programs
 */
typedef struct DoctorOptions {
    uint64_t hostmem;
    char *qemu;
    int seconds;
    bool json;
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
