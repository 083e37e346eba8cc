/*
 * Fuzzing virtio-gpu-gl: other users of the guest's memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VIRTIO_GPU_GL_FUZZ_USER_H
#define VIRTIO_GPU_GL_FUZZ_USER_H

/**
 * fuzz_user() - a device that uses guest memory comes or leaves
 * @how: 0: all leave
 *
 * One maps what is announced, as VFIO does; another needs all memory pinned.
 * Fails an assertion where the first is told of any.  BQL held; main loop.
 */
void fuzz_user(uint8_t how);

#endif /* VIRTIO_GPU_GL_FUZZ_USER_H */
