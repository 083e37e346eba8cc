/*
 * Names and words: what programs read stays as it is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "standard-headers/linux/virtio_gpu.h"
#include "hw/display/virtio-gpu-blob-words.h"

/* In the order of the enums */
static const char *const policies[] = { "safe", "strict", "renderer" };
static const char *const backings[] = { "none", "dmabuf", "shm", "opaque" };
static const char *const answers[] = {
    "not-asked", "unsupported", "failed", "incoherent", "coherent-wc",
    "coherent-cached", "other",
};
static const char *const vouchers[] = {
    "nobody", "memfd", "exporter", "exporter-name", "renderer",
};
static const char *const types[] = { "none", "cached", "uncached", "wc" };

/* What the operator finds in blob-map-stats, and whose fault each is */
static const struct {
    VirtIOGPUBlobReason reason;
    const char *name;
    bool guests;
} reasons[] = {
    { VIRTIO_GPU_BLOB_OK, "ok" },
    { VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE, "unknown-resource", true },
    { VIRTIO_GPU_BLOB_BAD_COMMAND, "bad-command", true },
    { VIRTIO_GPU_BLOB_SHORT_REPLY, "short-reply", true },
    { VIRTIO_GPU_BLOB_NO_WINDOW, "no-window" },
    { VIRTIO_GPU_BLOB_NOT_MAPPABLE, "not-mappable", true },
    { VIRTIO_GPU_BLOB_ALREADY_MAPPED, "already-mapped", true },
    { VIRTIO_GPU_BLOB_BAD_SIZE, "bad-size", true },
    { VIRTIO_GPU_BLOB_MISALIGNED_OFFSET, "misaligned-offset" },
    { VIRTIO_GPU_BLOB_OUTSIDE_WINDOW, "outside-window", true },
    { VIRTIO_GPU_BLOB_OVERLAP, "overlap", true },
    { VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST, "confidential-guest" },
    { VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT, "buffer-too-short" },
    { VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE, "buffer-not-read-write" },
    { VIRTIO_GPU_BLOB_POSSIBLE_VRAM, "possible-vram" },
    { VIRTIO_GPU_BLOB_EXPORTER_INCOHERENT, "exporter-incoherent" },
    { VIRTIO_GPU_BLOB_EXPORTER_UNKNOWN_ANSWER, "exporter-unknown-answer" },
    { VIRTIO_GPU_BLOB_EXPORTER_QUERY_FAILED, "exporter-query-failed" },
    { VIRTIO_GPU_BLOB_RENDERER_DISAGREES, "renderer-disagrees" },
    { VIRTIO_GPU_BLOB_NOBODY_VOUCHES, "nobody-vouches" },
    { VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED, "guest-type-ignored" },
    { VIRTIO_GPU_BLOB_MAP_FAILED, "map-failed" },
    { VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR, "no-file-descriptor" },
    { VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS, "too-many-mappings" },
    { VIRTIO_GPU_BLOB_REGION_LIMIT, "region-limit" },
    { VIRTIO_GPU_BLOB_NO_MEMORY_SLOT, "no-memory-slot" },
};

static void test_names(void)
{
    size_t i;

    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(policies) != VIRTIO_GPU_MAP_POLICY__MAX);
    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(backings) !=
                      VIRTIO_GPU_BLOB_BACKING__MAX);
    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(answers) != VIRTIO_GPU_EXPORTER__MAX);
    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(vouchers) !=
                      VIRTIO_GPU_BLOB_VOUCHER__MAX);

    g_assert_cmpint(virtio_gpu_blob_policies.size, ==,
                    G_N_ELEMENTS(policies));
    for (i = 0; i < G_N_ELEMENTS(policies); i++) {
        g_assert_cmpstr(virtio_gpu_blob_policies.array[i], ==, policies[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(backings); i++) {
        g_assert_cmpstr(virtio_gpu_blob_backing_name(i), ==, backings[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_assert_cmpstr(virtio_gpu_blob_answer_name(i), ==, answers[i]);
    }
    for (i = 0; i < G_N_ELEMENTS(vouchers); i++) {
        g_assert_cmpstr(virtio_gpu_blob_voucher_name(i), ==, vouchers[i]);
    }
}

/* The numbers are the guest's, too. */
static void test_types(void)
{
    size_t i;

    QEMU_BUILD_BUG_ON(VIRTIO_GPU_MAP_CACHE_CACHED != 1 ||
                      VIRTIO_GPU_MAP_CACHE_UNCACHED != 2 ||
                      VIRTIO_GPU_MAP_CACHE_WC != 3);
    for (i = 0; i < G_N_ELEMENTS(types); i++) {
        g_assert_cmpstr(virtio_gpu_blob_type_name(i), ==, types[i]);
    }
}

static void test_reasons(void)
{
    size_t i;

    g_assert_cmpuint(G_N_ELEMENTS(reasons), ==, VIRTIO_GPU_BLOB_REASON__MAX);
    for (i = 0; i < G_N_ELEMENTS(reasons); i++) {
        const VirtIOGPUBlobReasonText *text =
            virtio_gpu_blob_reason_text(reasons[i].reason);

        g_assert_cmpint(reasons[i].reason, ==, i);
        g_assert_cmpstr(text->name, ==, reasons[i].name);
        g_assert_true(virtio_gpu_blob_reason_is_guests(i) ==
                      reasons[i].guests);
    }
}

/* Each says why, and what to do; for one of them the host knows it. */
static void test_explain(void)
{
    size_t i;

    for (i = VIRTIO_GPU_BLOB_OK + 1; i < VIRTIO_GPU_BLOB_REASON__MAX; i++) {
        const VirtIOGPUBlobReasonText *text = virtio_gpu_blob_reason_text(i);
        g_autofree char *said =
            virtio_gpu_blob_explain(i, VIRTIO_GPU_BLOB_TYPE_KVM_HOST);
        const VirtIOGPUBlobGuestTypeText *host =
            virtio_gpu_blob_guest_type_text(VIRTIO_GPU_BLOB_TYPE_KVM_HOST);
        bool of_host = i == VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED;

        g_assert_true(of_host || (*text->why && *text->remedy));
        g_assert_nonnull(strstr(said, of_host ? host->why : text->why));
        g_assert_nonnull(strstr(said, of_host ? host->remedy : text->remedy));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/virtio-gpu-blob/words/names", test_names);
    g_test_add_func("/virtio-gpu-blob/words/types", test_types);
    g_test_add_func("/virtio-gpu-blob/words/reasons", test_reasons);
    g_test_add_func("/virtio-gpu-blob/words/explain", test_explain);
    return g_test_run();
}
