/*
 * What libFuzzer calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_UNIT_VIRTIO_GPU_BLOB_FUZZ_H
#define TESTS_UNIT_VIRTIO_GPU_BLOB_FUZZ_H

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif /* TESTS_UNIT_VIRTIO_GPU_BLOB_FUZZ_H */
