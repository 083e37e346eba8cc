/*
 * virtio-gpu blob mappings: names and words
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-blob-words.h"

static const char *const policy_names[] = {
    [VIRTIO_GPU_MAP_POLICY_SAFE] = "safe",
    [VIRTIO_GPU_MAP_POLICY_STRICT] = "strict",
    [VIRTIO_GPU_MAP_POLICY_RENDERER] = "renderer",
};

const QEnumLookup virtio_gpu_blob_policies = {
    .array = policy_names,
    .size = VIRTIO_GPU_MAP_POLICY__MAX,
};

static const char *const backing_names[] = {
    [VIRTIO_GPU_BLOB_BACKING_NONE] = "none",
    [VIRTIO_GPU_BLOB_BACKING_DMABUF] = "dmabuf",
    [VIRTIO_GPU_BLOB_BACKING_SHM] = "shm",
    [VIRTIO_GPU_BLOB_BACKING_OPAQUE] = "opaque",
};

static const char *const answer_names[] = {
    [VIRTIO_GPU_EXPORTER_NOT_ASKED] = "not-asked",
    [VIRTIO_GPU_EXPORTER_UNSUPPORTED] = "unsupported",
    [VIRTIO_GPU_EXPORTER_FAILED] = "failed",
    [VIRTIO_GPU_EXPORTER_INCOHERENT] = "incoherent",
    [VIRTIO_GPU_EXPORTER_COHERENT_WC] = "coherent-wc",
    [VIRTIO_GPU_EXPORTER_COHERENT_CACHED] = "coherent-cached",
    [VIRTIO_GPU_EXPORTER_OTHER] = "other",
};

static const char *const voucher_names[] = {
    [VIRTIO_GPU_BLOB_VOUCHER_NOBODY] = "nobody",
    [VIRTIO_GPU_BLOB_VOUCHER_MEMFD] = "memfd",
    [VIRTIO_GPU_BLOB_VOUCHER_EXPORTER] = "exporter",
    [VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME] = "exporter-name",
    [VIRTIO_GPU_BLOB_VOUCHER_RENDERER] = "renderer",
};

/* virtio 1.3, 5.7.6.11: VIRTIO_GPU_MAP_CACHE_* */
static const char *const type_names[] = {
    "none", "cached", "uncached", "wc",
};

/* Also marks the reasons that are no affair of the operator's */
static const char guest_bug[] = "this is a fault of the guest's driver";

static const VirtIOGPUBlobReasonText reasons[] = {
    [VIRTIO_GPU_BLOB_OK] = { "ok", "", "" },
    [VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE] = {
        "unknown-resource", "there is no such resource", guest_bug },
    [VIRTIO_GPU_BLOB_BAD_COMMAND] = {
        "bad-command", "the command is truncated", guest_bug },
    [VIRTIO_GPU_BLOB_SHORT_REPLY] = {
        "short-reply", "the guest left no room for the answer", guest_bug },
    [VIRTIO_GPU_BLOB_NO_WINDOW] = {
        "no-window", "the device has no host-visible window",
        "give it one, such as hostmem=256M" },
    [VIRTIO_GPU_BLOB_NOT_MAPPABLE] = {
        "not-mappable", "it was created without USE_MAPPABLE", guest_bug },
    [VIRTIO_GPU_BLOB_ALREADY_MAPPED] = {
        "already-mapped", "it is mapped already", guest_bug },
    [VIRTIO_GPU_BLOB_BAD_SIZE] = {
        "bad-size", "its size is 0", guest_bug },
    [VIRTIO_GPU_BLOB_MISALIGNED_OFFSET] = {
        "misaligned-offset", "the offset is no multiple of the host's page",
        "use a guest kernel with pages as large as the host's, or one that "
        "knows VIRTIO_GPU_F_BLOB_ALIGNMENT (Linux 7.2), and "
        "blob-alignment=auto" },
    [VIRTIO_GPU_BLOB_OUTSIDE_WINDOW] = {
        "outside-window", "it does not fit into the window there",
        guest_bug },
    [VIRTIO_GPU_BLOB_OVERLAP] = {
        "overlap", "another blob is mapped there", guest_bug },
    [VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST] = {
        "confidential-guest", "the guest is confidential",
        "run it without confidential-guest-support" },
    [VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT] = {
        "buffer-too-short", "the buffer ends before the blob does",
        "this is a fault of the renderer" },
    [VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE] = {
        "buffer-not-read-write",
        "the buffer is not open for reading and writing",
        "this is a fault of the renderer" },
    [VIRTIO_GPU_BLOB_POSSIBLE_VRAM] = {
        "possible-vram", "it may be a GPU's own memory, which KVM on this host "
        "cannot map safely, and its exporter cannot be asked",
        "use a host kernel with DMA_BUF_IOCTL_INFO; map-policy=renderer maps "
        "it if the renderer names a type" },
    [VIRTIO_GPU_BLOB_EXPORTER_INCOHERENT] = {
        "exporter-incoherent",
        "the exporter says that it needs explicit cache maintenance",
        "map-policy=renderer maps it all the same" },
    [VIRTIO_GPU_BLOB_EXPORTER_UNKNOWN_ANSWER] = {
        "exporter-unknown-answer",
        "the exporter's answer is not a known one",
        "map-policy=renderer trusts the renderer instead" },
    [VIRTIO_GPU_BLOB_EXPORTER_QUERY_FAILED] = {
        "exporter-query-failed", "the exporter could not be asked",
        "map-policy=renderer trusts the renderer instead" },
    [VIRTIO_GPU_BLOB_RENDERER_DISAGREES] = {
        "renderer-disagrees",
        "the renderer names another type than the exporter",
        "map-policy=safe follows the exporter" },
    [VIRTIO_GPU_BLOB_NOBODY_VOUCHES] = {
        "nobody-vouches", "nobody vouches for its cache type",
        "use a host kernel with DMA_BUF_IOCTL_INFO or a less strict "
        "map-policy" },
    [VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED] = {
        "guest-type-ignored", "", "" }, /* see virtio_gpu_blob_explain() */
    [VIRTIO_GPU_BLOB_MAP_FAILED] = {
        "map-failed", "the host cannot map it",
        "this is a limit of the exporter or the renderer" },
    [VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR] = {
        "no-file-descriptor",
        "QEMU has no file descriptor left to find out about it",
        "raise its limit on open files (ulimit -n; max_files in libvirt's "
        "qemu.conf)" },
    [VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS] = {
        "too-many-mappings", "the host has no memory or no mappings left",
        "raise vm.max_map_count" },
    [VIRTIO_GPU_BLOB_REGION_LIMIT] = {
        "region-limit",
        "too many blobs without an fd to map are mapped already",
        "a renderer that exports its buffers has no such limit" },
    [VIRTIO_GPU_BLOB_NO_MEMORY_SLOT] = {
        "no-memory-slot", "KVM or vhost has no memory slot left",
        "use fewer memory devices" },
};

const char *virtio_gpu_blob_backing_name(VirtIOGPUBlobBacking backing)
{
    return backing_names[backing];
}

const char *virtio_gpu_blob_answer_name(VirtIOGPUExporterAnswer answer)
{
    return answer_names[answer];
}

const char *virtio_gpu_blob_voucher_name(VirtIOGPUBlobVoucher voucher)
{
    return voucher_names[voucher];
}

const char *virtio_gpu_blob_type_name(uint32_t map_info)
{
    return type_names[map_info];
}

const VirtIOGPUBlobReasonText *
virtio_gpu_blob_reason_text(VirtIOGPUBlobReason reason)
{
    return &reasons[reason];
}

bool virtio_gpu_blob_reason_is_guests(VirtIOGPUBlobReason reason)
{
    return reasons[reason].remedy == guest_bug;
}

/* For some reasons, the host knows more. */
char *virtio_gpu_blob_explain(VirtIOGPUBlobReason reason,
                              VirtIOGPUBlobGuestType type)
{
    const VirtIOGPUBlobGuestTypeText *host;

    if (reason != VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED) {
        return g_strdup_printf("%s; %s", reasons[reason].why,
                               reasons[reason].remedy);
    }
    host = virtio_gpu_blob_guest_type_text(type);
    return g_strdup_printf("it is not cached, and %s; %s", host->why,
                           host->remedy);
}
