/*
 * virtio-gpu blob mappings: buffers that only the renderer has mapped
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-internal.h"

#include <virglrenderer.h>

/* No mapping can grow to this length */
#define TOO_LONG ((size_t)1 << 46)

/* Reserved for a renderer that maps more than the size of the blob */
#define SLACK (64 * MiB)

/*
 * Tries to grow the range in place, for which there is no address space:
 * ENOMEM, or EAGAIN if QEMU's memory is locked.  If the range is not within one
 * mapping, or is a mapping of a driver (VM_PFNMAP, VM_DONTEXPAND), the kernel
 * finds that first: EFAULT.
 */
static bool is_one_mapping(void *at, size_t len)
{
    if (mremap(at, len, TOO_LONG, 0) != MAP_FAILED) {
        mremap(at, TOO_LONG, len, 0);
        return true;
    }
    return errno == ENOMEM || errno == EAGAIN;
}

/*
 * With an old length of 0, mremap() maps shared memory a second time.  The
 * kernel does not check the length against the first mapping.  The second
 * mapping keeps the pages when the renderer unmaps the first one.  With private
 * memory, mremap() fails with EINVAL.
 */
static void *map_again(void *at, size_t len)
{
    return is_one_mapping(at, len) ? mremap(at, 0, len, MREMAP_MAYMOVE)
                                   : MAP_FAILED;
}

/* QEMU may run with an older virglrenderer than it was built with. */
#pragma weak virgl_renderer_resource_map_fixed

/*
 * The renderer decides how much it maps, so more than @len is reserved for it.
 * The reservation is a file that is open for reading only: if the renderer has
 * left a page of it, mprotect() to PROT_WRITE fails.  If the renderer's mmap()
 * fails, it may leave a gap, so it must be harmless there.
 */
static void *map_fixed(uint32_t resource_id, size_t len)
{
    size_t reserved = len + MAX(len, SLACK);
    void *at = NULL;
    int fd;

    if (!virgl_renderer_resource_map_fixed) {
        return MAP_FAILED;
    }
    fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        at = virtio_gpu_blob_vma_reserve_low(reserved, MAP_SHARED, fd);
        close(fd);
    }
    if (!at) {
        return MAP_FAILED;
    }
    if (virgl_renderer_resource_map_fixed(resource_id, at) ||
        !virtio_gpu_blob_vma_is_writable(at) ||
        !virtio_gpu_blob_vma_is_writable(at + len - 1) ||
        mprotect(at, len, PROT_READ | PROT_WRITE)) {
        munmap(at, reserved);
        return MAP_FAILED;
    }
    munmap(at + len, reserved - len);
    return at;
}

/* If @got is less than @len, the guest would see other data of the host. */
static VirtIOGPUBlobReason check_mapping(void *host, uint64_t got,
                                         uint64_t size, size_t len)
{
    if (got < size) {
        return VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    if (!host || !QEMU_PTR_IS_ALIGNED(host, qemu_real_host_page_size()) ||
        got < len) {
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
    return VIRTIO_GPU_BLOB_OK;
}

/*
 * Only on x86 are atomic operations on pages of a driver known to work.  (A
 * dma-buf that is mapped cached is RAM, on other hosts too.)
 */
static bool may_try_to_write(void *host, size_t len)
{
#if defined(HOST_X86_64)
    return true;
#else
    return is_one_mapping(host, len);
#endif
}

static VirtIOGPUBlobReason map_by_renderer(uint32_t resource_id, uint64_t size,
                                           size_t len, void **host, int *err)
{
    VirtIOGPUBlobReason reason;
    uint64_t got;

    *err = -virgl_renderer_resource_map(resource_id, host, &got);
    if (*err) {
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
    reason = check_mapping(*host, got, size, len);
    if (!reason && may_try_to_write(*host, len) &&
        !virtio_gpu_blob_vma_is_writable(*host)) {
        reason = VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE;
    }
    if (reason) {
        virgl_renderer_resource_unmap(resource_id);
    }
    return reason;
}

/* A mapping of our own needs no memory region, so it is tried in two ways. */
VirtIOGPUBlobReason virtio_gpu_blob_renderer_map(uint32_t resource_id,
                                                 uint64_t size, size_t len,
                                                 bool slot_checks, void **host,
                                                 bool *ours, int *err)
{
    VirtIOGPUBlobReason reason;
    void *at;

    /*
     * If KVM checks mappings, buffers in the window are mapped again after it
     * has created a memory slot.  That is not possible with pages of a driver.
     */
    if (!slot_checks) {
        at = map_fixed(resource_id, len);
        *ours = at != MAP_FAILED;
        if (*ours) {
            *host = at;
            return VIRTIO_GPU_BLOB_OK;
        }
    }
    reason = map_by_renderer(resource_id, size, len, host, err);
    if (reason) {
        return reason;
    }
    at = map_again(*host, len);
    *ours = at != MAP_FAILED;
    if (*ours) {
        virgl_renderer_resource_unmap(resource_id);
        *host = at;
    }
    return VIRTIO_GPU_BLOB_OK;
}
