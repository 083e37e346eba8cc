/*
 * virtio-gpu blob doctor: the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/display/virtio-gpu-blob-vma.h"
#include "hw/display/virtio-gpu-hostmem.h"
#include "window.h"

static bool reserve(uint64_t size, Error **errp)
{
    VirtIOGPUBlobVMA vma;
    bool ok = virtio_gpu_blob_vma_init(&vma, size, false, true, errp);

    virtio_gpu_blob_vma_destroy(&vma);
    return ok;
}

static bool fits(uint64_t size, uint64_t mappings, Error **errp)
{
    return virtio_gpu_hostmem_check(size, errp) &&
           virtio_gpu_blob_vma_check(size, true, mappings, errp) &&
           reserve(size, errp);
}

void doctor_window_look(void *found)
{
    DoctorFacts *facts = found;
    DoctorWindow *window = &facts->window;
    uint64_t size = pow2floor(window->size);
    Error *err = NULL;

    if (fits(window->size, facts->mappings, &err)) {
        window->fits = window->size;
        return;
    }
    pstrcpy(window->error, sizeof(window->error), error_get_pretty(err));
    error_free(err);
    while (size >= MiB && !fits(size, facts->mappings, NULL)) {
        size /= 2;
    }
    window->fits = size >= MiB ? size : 0;
}
