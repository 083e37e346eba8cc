/*
 * Fuzzing virtio-gpu-gl: who else uses the guest's memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VIRTIO_GPU_GL_FUZZ_USER_H
#define VIRTIO_GPU_GL_FUZZ_USER_H

/**
 * fuzz_user() - somebody comes, leaves, or has no room
 * @how: 0: all leave
 *
 * One maps what is announced, as VFIO does; another needs all memory pinned.
 * Fails an assertion where the first is told twice that a page is there, or is
 * not told that one goes.  BQL held; main loop.
 */
void fuzz_user(uint8_t how);

#endif /* VIRTIO_GPU_GL_FUZZ_USER_H */
