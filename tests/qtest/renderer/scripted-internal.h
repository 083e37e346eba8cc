/*
 * Scripted renderer: what its parts share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef SCRIPTED_INTERNAL_H
#define SCRIPTED_INTERNAL_H

#include <stdbool.h>
#include "scripted-renderer.h"

/* What others link to, and is defined here */
#define EXPORT __attribute__((visibility("default")))

/* The file that the test maps too; private memory where there is no test */
struct scripted_shared *scripted_shared(void);

/* A buffer's fd was handed out */
void scripted_fd_open(int fd, struct scripted_blob blob);
/* Makes a buffer, that others may seal or not; an fd, or -1 */
int scripted_buffer_new(const char *name, uint64_t size, bool sealable);
int scripted_huge_pages_new(void);
/* Opens the file behind an fd once more */
int scripted_open_again(int fd, int flags);
/* A file to read; aborts without one */
int scripted_text_open(const char *text);

/* mmap() as the renderer, by MEMORY_*, and at an address; never made to fail */
void *scripted_map(uint64_t size, int fd, unsigned memory);
void scripted_map_at(void *at, uint64_t size, int fd, bool write);
/* Does a mapping of MEMORY_DRIVER begin there? */
bool scripted_is_drivers(const void *at);
/* close(), not counted */
void scripted_close(int fd);

/* All resources go, as with a reset */
void scripted_drop_resources(void);
/* The negative errno that the renderer is to fail with at this, or 0 */
int scripted_refuses(uint32_t what);
/* Has a capset been filled since the start? */
bool scripted_caps_filled(void);
/* Is it this system call that fails?  If so, with errno set */
bool scripted_is_to_fail(uint32_t kind);

/* From here on the accelerator is KVM, if so ordered; and what it is */
void scripted_kvm_begin(void);
void scripted_kvm_end(void);
/* KVM's answer to an ioctl(), if it is KVM's to answer */
bool scripted_kvm_ioctl(unsigned long request, void *arg, int *ret);

/*
 * open() of a file that tells of the host: an fd; -1 with errno ENOENT if there
 * is none, and with errno 0 if it is another file
 */
int scripted_host_open(const char *path);

/* Of virglrenderer 1.3 */
int virgl_renderer_resource_map_fixed(uint32_t id, void *at);

/* The C library's, for open() that is checked when it is compiled */
int __open_2(const char *path, int flags);

#endif /* SCRIPTED_INTERNAL_H */
