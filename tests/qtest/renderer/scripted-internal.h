/*
 * Scripted renderer: what its parts share
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
 * @name: as the kernel shows it
 * @size: bytes
 * @sealable: others may add seals
 *
 * Returns: an fd, or -1
 */
int scripted_buffer_new(const char *name, uint64_t size, bool sealable);

/**
 * scripted_map() - mmap() as the renderer, never made to fail
 * @size: bytes
 * @fd: a buffer
 * @blob_id: SCRIPTED_MEM_* of it counts
 *
 * Returns: its address or MAP_FAILED
 */
void *scripted_map(uint64_t size, int fd, uint64_t blob_id);

/**
 * scripted_is_drivers() - is there a mapping of SCRIPTED_MEM_DRIVER?
 * @at: where it begins
 */
bool scripted_is_drivers(const void *at);

/**
 * scripted_map_at() - mmap(MAP_FIXED), never made to fail
 * @at: where
 * @size: bytes
 * @fd: a buffer
 * @write: it can be written to, now or later
 */
void scripted_map_at(void *at, uint64_t size, int fd, bool write);

/**
 * scripted_close() - close(), not counted
 * @fd: the fd
 */
void scripted_close(int fd);

/**
 * scripted_drop_resources() - all resources go, as with a reset
 */
void scripted_drop_resources(void);

/**
 * scripted_refuses() - is the renderer to fail at this?
 * @what: SCRIPTED_REFUSE_*
 *
 * Returns: 0, or a negative errno
 */
int scripted_refuses(uint32_t what);

/**
 * scripted_caps_filled() - has a capset been filled since the start?
 *
 * Returns: true if so
 */
bool scripted_caps_filled(void);

/**
 * scripted_kvm_begin() - from here on the accelerator is KVM, if so ordered
 */
void scripted_kvm_begin(void);

/**
 * scripted_kvm_end() - from here on it is what it is
 */
void scripted_kvm_end(void);

/**
 * scripted_kvm_ioctl() - KVM's answer to an ioctl()
 * @request: the request
 * @arg: its argument
 * @ret: the answer
 *
 * Returns: true if it is for us
 */
bool scripted_kvm_ioctl(unsigned long request, void *arg, int *ret);

/**
 * scripted_host_open() - open() of a file that tells of the host
 * @path: what is opened
 *
 * Returns: an fd; -1 with errno ENOENT if there is no such file, and with
 * errno 0 if it is not for us
 */
int scripted_host_open(const char *path);

/**
 * scripted_is_to_fail() - is it this one that fails?
 * @kind: SCRIPTED_MAP_BUFFER or another kind
 *
 * Returns: true, with errno set, if it was said so by struct scripted_fail
 */
bool scripted_is_to_fail(uint32_t kind);

/**
 * scripted_text_open() - a file to read
 * @text: what is in it
 *
 * Returns: an fd, or -1
 */
int scripted_text_open(const char *text);

/* The C library's, for open() with two arguments where it is checked */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
/* The same of pread() */
long __pread64_chk(int fd, void *buf, size_t len, long offset, size_t room);

#endif /* SCRIPTED_INTERNAL_H */
