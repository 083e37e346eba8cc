/*
 * A buffer of the host's OpenGL, as a blob and as a plain resource
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef VIRGL_BUFFER_H
#define VIRGL_BUFFER_H

#include "drm-blob.h"

/* A persistently and coherently mapped buffer, made by a virgl command */
struct blob create_buffer_blob(int drm, size_t size, uint64_t blob_id);

/* A buffer whose contents the guest gets at by transfers; mapped */
struct blob create_plain_buffer(int drm, size_t size);

/* Let the host's renderer copy all of one buffer to another */
void copy_buffer(int drm, const struct blob *to, const struct blob *from);

/* Move a plain buffer's contents between the guest's pages and the host */
void transfer_from_host(int drm, const struct blob *plain);
void transfer_to_host(int drm, const struct blob *plain);

#endif
