/*
 * virtio-gpu blob mappings: the decision on a mapping, and its names
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "standard-headers/linux/virtio_gpu.h"
#include "virtio-gpu-blob-decision.h"

/*
 * The decision
 */

static VirtIOGPUBlobVerdict grant(uint32_t map_info,
                                  VirtIOGPUBlobVoucher voucher)
{
    return (VirtIOGPUBlobVerdict) {
        .map_info = map_info,
        .voucher = voucher,
        .reason = VIRTIO_GPU_BLOB_OK,
    };
}

static VirtIOGPUBlobVerdict refuse(VirtIOGPUBlobReason reason)
{
    return (VirtIOGPUBlobVerdict) { .reason = reason };
}

bool virtio_gpu_blob_names_type(uint32_t map_info)
{
    return map_info == VIRTIO_GPU_MAP_CACHE_CACHED ||
           map_info == VIRTIO_GPU_MAP_CACHE_UNCACHED ||
           map_info == VIRTIO_GPU_MAP_CACHE_WC;
}

VirtIOGPUBlobReason
virtio_gpu_blob_check_request(const VirtIOGPUBlobRequest *req)
{
    if (!req->window_size) {
        return VIRTIO_GPU_BLOB_NO_WINDOW;
    }
    if (!req->mappable) {
        return VIRTIO_GPU_BLOB_NOT_MAPPABLE;
    }
    if (req->mapped) {
        return VIRTIO_GPU_BLOB_ALREADY_MAPPED;
    }
    if (!req->size) {
        return VIRTIO_GPU_BLOB_BAD_SIZE;
    }
    if (req->offset % req->page_size) {
        return VIRTIO_GPU_BLOB_MISALIGNED_OFFSET;
    }
    /* The window is a multiple of the page: rounding up cannot overrun it. */
    if (req->size > req->window_size ||
        req->offset > req->window_size - req->size) {
        return VIRTIO_GPU_BLOB_OUTSIDE_WINDOW;
    }
    return VIRTIO_GPU_BLOB_OK;
}

/*
 * Exporters whose CPU mappings are always cached, and need no cache maintenance
 * if DMA is coherent, as on x86: udmabuf exports pages of a memfd, and the
 * system heap maps its pages cached.  Both use dma_sync_sgtable_*(), which does
 * nothing on x86.  On other hosts a device may bypass the cache.
 */
static bool exporter_is_coherent(const VirtIOGPUBlobFacts *facts)
{
    return facts->host_x86 && facts->exporter &&
           (!strcmp(facts->exporter, "udmabuf") ||
            !strcmp(facts->exporter, "system"));
}

static VirtIOGPUBlobVerdict decide_coherent(const VirtIOGPUBlobFacts *facts,
                                            VirtIOGPUMapPolicy policy,
                                            uint32_t map_info)
{
    if (policy == VIRTIO_GPU_MAP_POLICY_STRICT && facts->renderer &&
        facts->renderer != map_info) {
        return refuse(VIRTIO_GPU_BLOB_RENDERER_DISAGREES);
    }
    return grant(map_info, VIRTIO_GPU_BLOB_VOUCHER_EXPORTER);
}

/* Only the renderer may know this buffer's type. */
static VirtIOGPUBlobVerdict decide_unvouched(const VirtIOGPUBlobFacts *facts,
                                             VirtIOGPUMapPolicy policy)
{
    if (policy == VIRTIO_GPU_MAP_POLICY_SAFE && facts->renderer) {
        return grant(facts->renderer, VIRTIO_GPU_BLOB_VOUCHER_RENDERER);
    }
    if (policy == VIRTIO_GPU_MAP_POLICY_RENDERER) {
        /* A Linux guest does the same if the reply names no type. */
        return grant(VIRTIO_GPU_MAP_CACHE_CACHED,
                     VIRTIO_GPU_BLOB_VOUCHER_NOBODY);
    }
    return refuse(VIRTIO_GPU_BLOB_NOBODY_VOUCHES);
}

/* For a kernel without DMA_BUF_IOCTL_INFO */
static VirtIOGPUBlobVerdict decide_by_name(const VirtIOGPUBlobFacts *facts,
                                          VirtIOGPUMapPolicy policy)
{
    if (facts->host_vram) {
        return refuse(VIRTIO_GPU_BLOB_POSSIBLE_VRAM);
    }
    if (exporter_is_coherent(facts)) {
        return grant(VIRTIO_GPU_MAP_CACHE_CACHED,
                     VIRTIO_GPU_BLOB_VOUCHER_EXPORTER_NAME);
    }
    return decide_unvouched(facts, policy);
}

static VirtIOGPUBlobVerdict decide_dmabuf(const VirtIOGPUBlobFacts *facts,
                                          VirtIOGPUMapPolicy policy)
{
    switch (facts->answer) {
    case VIRTIO_GPU_EXPORTER_COHERENT_CACHED:
        return decide_coherent(facts, policy, VIRTIO_GPU_MAP_CACHE_CACHED);
    case VIRTIO_GPU_EXPORTER_COHERENT_WC:
        return decide_coherent(facts, policy, VIRTIO_GPU_MAP_CACHE_WC);
    case VIRTIO_GPU_EXPORTER_INCOHERENT:
        return refuse(VIRTIO_GPU_BLOB_EXPORTER_INCOHERENT);
    case VIRTIO_GPU_EXPORTER_OTHER:
        return refuse(VIRTIO_GPU_BLOB_EXPORTER_UNKNOWN_ANSWER);
    case VIRTIO_GPU_EXPORTER_UNSUPPORTED:
        return decide_by_name(facts, policy);
    default:
        return refuse(VIRTIO_GPU_BLOB_EXPORTER_QUERY_FAILED);
    }
}

static VirtIOGPUBlobVerdict decide_type(const VirtIOGPUBlobFacts *facts,
                                        VirtIOGPUMapPolicy policy)
{
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_SHM) {
        return grant(VIRTIO_GPU_MAP_CACHE_CACHED,
                     VIRTIO_GPU_BLOB_VOUCHER_MEMFD);
    }
    if (policy == VIRTIO_GPU_MAP_POLICY_RENDERER && facts->renderer) {
        return grant(facts->renderer, VIRTIO_GPU_BLOB_VOUCHER_RENDERER);
    }
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        return decide_dmabuf(facts, policy);
    }
    return decide_unvouched(facts, policy);
}

/* Reasons to refuse that depend on neither type nor policy */
static VirtIOGPUBlobReason check_buffer(const VirtIOGPUBlobFacts *facts)
{
    if (facts->confidential_guest) {
        return VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST;
    }
    if (facts->no_fds_left) {
        return VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR;
    }
    if (facts->backing == VIRTIO_GPU_BLOB_BACKING_NONE) {
        return VIRTIO_GPU_BLOB_OK;
    }
    if (facts->fd_too_short) {
        return VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    return facts->fd_read_write ? VIRTIO_GPU_BLOB_OK
                                : VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE;
}

VirtIOGPUBlobVerdict virtio_gpu_blob_decide(const VirtIOGPUBlobFacts *facts,
                                            VirtIOGPUMapPolicy policy)
{
    VirtIOGPUBlobReason reason = check_buffer(facts);
    VirtIOGPUBlobVerdict verdict;

    if (reason) {
        return refuse(reason);
    }
    verdict = decide_type(facts, policy);
    if (verdict.map_info > VIRTIO_GPU_MAP_CACHE_CACHED &&
        !facts->guest_type_honoured &&
        policy != VIRTIO_GPU_MAP_POLICY_RENDERER) {
        return refuse(VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED);
    }
    return verdict;
}

bool virtio_gpu_blob_is_assumed(const VirtIOGPUBlobVerdict *verdict)
{
    return verdict->map_info &&
           verdict->voucher == VIRTIO_GPU_BLOB_VOUCHER_NOBODY;
}

bool virtio_gpu_blob_needs_exporter_name(const VirtIOGPUBlobFacts *facts,
                                         VirtIOGPUMapPolicy policy)
{
    if (facts->backing != VIRTIO_GPU_BLOB_BACKING_DMABUF ||
        facts->answer != VIRTIO_GPU_EXPORTER_UNSUPPORTED ||
        facts->host_vram || check_buffer(facts)) {
        return false;
    }
    switch (policy) {
    case VIRTIO_GPU_MAP_POLICY_RENDERER:
        return !facts->renderer;
    case VIRTIO_GPU_MAP_POLICY_SAFE:
        return facts->renderer != VIRTIO_GPU_MAP_CACHE_CACHED;
    default:
        return true;
    }
}

uint32_t virtio_gpu_blob_reason_error(VirtIOGPUBlobReason reason)
{
    switch (reason) {
    case VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE:
        return VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
    case VIRTIO_GPU_BLOB_BAD_COMMAND:
    case VIRTIO_GPU_BLOB_SHORT_REPLY:
    case VIRTIO_GPU_BLOB_NO_WINDOW:
    case VIRTIO_GPU_BLOB_NOT_MAPPABLE:
    case VIRTIO_GPU_BLOB_ALREADY_MAPPED:
    case VIRTIO_GPU_BLOB_BAD_SIZE:
    case VIRTIO_GPU_BLOB_MISALIGNED_OFFSET:
    case VIRTIO_GPU_BLOB_OUTSIDE_WINDOW:
    case VIRTIO_GPU_BLOB_OVERLAP:
        return VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
    case VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR:
    case VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS:
    case VIRTIO_GPU_BLOB_REGION_LIMIT:
    case VIRTIO_GPU_BLOB_NO_MEMORY_SLOT:
        return VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
    default:
        return VIRTIO_GPU_RESP_ERR_UNSPEC;
    }
}

/*
 * Names and texts
 */

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

/*
 * The operator can do nothing about these.  The pointer is compared in
 * virtio_gpu_blob_reason_is_guests().
 */
static const char guest_bug[] = "guest driver error";
#define RENDERER_BUG "renderer error"

static const VirtIOGPUBlobReasonText reasons[] = {
    [VIRTIO_GPU_BLOB_OK] = { "ok", "", "" },
    [VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE] = {
        "unknown-resource", "the resource does not exist", guest_bug },
    [VIRTIO_GPU_BLOB_BAD_COMMAND] = {
        "bad-command", "the command is truncated", guest_bug },
    [VIRTIO_GPU_BLOB_SHORT_REPLY] = {
        "short-reply", "the guest's reply buffer is too small", guest_bug },
    [VIRTIO_GPU_BLOB_NO_WINDOW] = {
        "no-window", "the device has no host-visible window",
        "add one, such as hostmem=4G" },
    [VIRTIO_GPU_BLOB_NOT_MAPPABLE] = {
        "not-mappable", "it was created without USE_MAPPABLE", guest_bug },
    [VIRTIO_GPU_BLOB_ALREADY_MAPPED] = {
        "already-mapped", "it is already mapped", guest_bug },
    [VIRTIO_GPU_BLOB_BAD_SIZE] = {
        "bad-size", "its size is 0", guest_bug },
    [VIRTIO_GPU_BLOB_MISALIGNED_OFFSET] = {
        "misaligned-offset",
        "the offset is not a multiple of the host's page size",
        "use a guest kernel with the host's page size, or one that supports "
        "VIRTIO_GPU_F_BLOB_ALIGNMENT (Linux 7.2), and blob-alignment=auto" },
    [VIRTIO_GPU_BLOB_OUTSIDE_WINDOW] = {
        "outside-window", "it does not fit into the window at this offset",
        guest_bug },
    [VIRTIO_GPU_BLOB_OVERLAP] = {
        "overlap", "it overlaps a mapped blob", guest_bug },
    [VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST] = {
        "confidential-guest", "the guest is confidential",
        "run the guest without confidential-guest-support" },
    [VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT] = {
        "buffer-too-short", "the buffer is shorter than the blob",
        RENDERER_BUG },
    [VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE] = {
        "buffer-not-read-write",
        "the buffer is not open for reading and writing",
        RENDERER_BUG },
    [VIRTIO_GPU_BLOB_POSSIBLE_VRAM] = {
        "possible-vram", "it may be in video memory, which KVM on this host "
        "cannot map safely, and its exporter cannot be queried",
        "use a host kernel with DMA_BUF_IOCTL_INFO, or map-policy=renderer if "
        "the renderer reports a type (risk of stale data)" },
    [VIRTIO_GPU_BLOB_EXPORTER_INCOHERENT] = {
        "exporter-incoherent",
        "the exporter reports that it needs explicit cache maintenance",
        "use map-policy=renderer to map it anyway (risk of stale data)" },
    [VIRTIO_GPU_BLOB_EXPORTER_UNKNOWN_ANSWER] = {
        "exporter-unknown-answer",
        "the exporter reports an unknown type",
        "use map-policy=renderer to trust the renderer instead" },
    [VIRTIO_GPU_BLOB_EXPORTER_QUERY_FAILED] = {
        "exporter-query-failed", "querying the exporter failed",
        "use map-policy=renderer to trust the renderer instead" },
    [VIRTIO_GPU_BLOB_RENDERER_DISAGREES] = {
        "renderer-disagrees",
        "renderer and exporter report different types",
        "use map-policy=safe to follow the exporter" },
    [VIRTIO_GPU_BLOB_NOBODY_VOUCHES] = {
        "nobody-vouches", "its cache type is unknown",
        "use a host kernel with DMA_BUF_IOCTL_INFO, or a less strict "
        "map-policy" },
    [VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED] = {
        "guest-type-ignored", "", "" }, /* virtio_gpu_blob_explain() */
    [VIRTIO_GPU_BLOB_MAP_FAILED] = {
        "map-failed", "the host cannot map it",
        "limitation of the exporter or the renderer" },
    [VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR] = {
        "no-file-descriptor",
        "QEMU has no file descriptor left for it",
        "raise the limit on open files (ulimit -n; max_files in libvirt's "
        "qemu.conf)" },
    [VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS] = {
        "too-many-mappings", "the host has no memory or no mappings left",
        "raise vm.max_map_count" },
    [VIRTIO_GPU_BLOB_REGION_LIMIT] = {
        "region-limit",
        "too many blobs without a file descriptor are mapped",
        "use a renderer that exports its buffers; it has no such limit" },
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
