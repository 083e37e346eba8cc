/*
 * A renderer that has no fd to give: for the real one, preloaded
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * As with buffers that a driver does not share: what can be done with them is
 * left to virgl_renderer_resource_map_fixed().
 */

#include <errno.h>
#include <stdint.h>
#include <virglrenderer.h>

int virgl_renderer_resource_export_blob(uint32_t res_id, uint32_t *fd_type,
                                        int *fd)
{
    (void)res_id;
    (void)fd_type;
    *fd = -1;
    return -EINVAL;
}
