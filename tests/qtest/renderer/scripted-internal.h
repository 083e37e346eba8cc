/*
 * Scripted renderer: what its two halves share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SCRIPTED_INTERNAL_H
#define SCRIPTED_INTERNAL_H

#include <stdbool.h>
#include "scripted-renderer.h"

/**
 * scripted_shared() - the file that the test maps too
 *
 * Returns: never NULL; private memory where there is no test
 */
struct scripted_shared *scripted_shared(void);

/**
 * scripted_fd_open() - a buffer's fd was handed out
 * @fd: the fd
 * @blob_id: how the buffer behaves
 */
void scripted_fd_open(int fd, uint64_t blob_id);

/**
 * scripted_buffer_new() - make a buffer
 * @size: bytes
 *
 * Returns: an fd, or -1
 */
int scripted_buffer_new(uint64_t size);

/**
 * scripted_map() - mmap(), never made to fail
 * @size: bytes
 * @fd: a buffer
 *
 * Returns: its address or MAP_FAILED
 */
void *scripted_map(uint64_t size, int fd);

/**
 * scripted_close() - close(), not counted
 * @fd: the fd
 */
void scripted_close(int fd);

#endif /* SCRIPTED_INTERNAL_H */
