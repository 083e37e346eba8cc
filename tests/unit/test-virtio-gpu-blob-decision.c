/*
 * The decision on a blob mapping: every input, against the table and what
 * the table means
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "standard-headers/linux/virtio_gpu.h"
#include "hw/display/virtio-gpu-blob-decision.h"

#define CACHED VIRTIO_GPU_MAP_CACHE_CACHED
#define UNCACHED VIRTIO_GPU_MAP_CACHE_UNCACHED
#define WC VIRTIO_GPU_MAP_CACHE_WC

#define STRICT VIRTIO_GPU_MAP_POLICY_STRICT
#define RENDERER VIRTIO_GPU_MAP_POLICY_RENDERER

static const char *const exporters[] = {
    NULL, "", "udmabuf", "udmabufs", "system", "system2", "drm", "reserved",
};

static const uint32_t words[] = { 0, CACHED, UNCACHED, WC };

typedef void (*CaseFunc)(const VirtIOGPUBlobFacts *facts,
                         VirtIOGPUMapPolicy policy,
                         const VirtIOGPUBlobVerdict *verdict);

/* The next input: one of @n, taken from @number, which has mixed radix */
static unsigned take(unsigned *number, unsigned n)
{
    unsigned digit = *number % n;

    *number /= n;
    return digit;
}

/* Every combination of inputs; returns how many there were */
static unsigned for_each_case(CaseFunc check)
{
    for (unsigned i = 0; ; i++) {
        VirtIOGPUBlobFacts facts = { };
        VirtIOGPUBlobVerdict verdict;
        VirtIOGPUMapPolicy policy;
        unsigned n = i;

        policy = take(&n, VIRTIO_GPU_MAP_POLICY__MAX);
        facts.confidential_guest = take(&n, 2);
        facts.guest_type_honoured = take(&n, 2);
        facts.host_x86 = take(&n, 2);
        facts.host_vram = take(&n, 2);
        facts.no_fds_left = take(&n, 2);
        facts.backing = take(&n, VIRTIO_GPU_BLOB_BACKING__MAX);
        facts.fd_too_short = take(&n, 2);
        facts.fd_read_write = take(&n, 2);
        facts.answer = take(&n, VIRTIO_GPU_EXPORTER__MAX);
        facts.exporter = exporters[take(&n, G_N_ELEMENTS(exporters))];
        facts.renderer = words[take(&n, G_N_ELEMENTS(words))];
        if (n) {
            return i;
        }
        verdict = virtio_gpu_blob_decide(&facts, policy);
        check(&facts, policy, &verdict);
    }
}

static bool has_fd(const VirtIOGPUBlobFacts *facts)
{
    return facts->backing != VIRTIO_GPU_BLOB_BACKING_NONE;
}

static bool known_by_name(const VirtIOGPUBlobFacts *facts)
{
    return facts->host_x86 && !facts->host_vram &&
           (g_strcmp0(facts->exporter, "udmabuf") == 0 ||
            g_strcmp0(facts->exporter, "system") == 0);
}

/*
 * The table: a row is what it applies to; for each policy the type granted
 * where the renderer names none, and where it names one; who vouches for it;
 * and why it is refused.
 */

enum { REFUSE = 0, AGREED = 10, NAMED };

typedef struct Row {
    int backing;
    int answer;            /* -1: any */
    int by_name;           /* -1: either */
    bool vram;             /* only where the host may hand out VRAM */
    int silent[3];         /* safe, strict, renderer */
    int named[3];
    VirtIOGPUBlobVoucher voucher;
    VirtIOGPUBlobReason reason;
} Row;

#define DMABUF VIRTIO_GPU_BLOB_BACKING_DMABUF
#define A(name) VIRTIO_GPU_EXPORTER_##name
#define V(name) VIRTIO_GPU_BLOB_VOUCHER_##name
#define R(name) VIRTIO_GPU_BLOB_##name
/* All refused, but what the renderer names where its word counts */
#define NEVER { REFUSE, REFUSE, REFUSE }
#define AT_WORST { REFUSE, REFUSE, NAMED }
/* The renderer's word, or a guess where the operator wants one */
#define GUESSED { REFUSE, REFUSE, CACHED }
#define ITS_WORD { NAMED, REFUSE, NAMED }

static const Row table[] = {
    { DMABUF, A(UNSUPPORTED), -1, true, NEVER, AT_WORST, V(NOBODY),
      R(POSSIBLE_VRAM) },
    { VIRTIO_GPU_BLOB_BACKING_SHM, -1, -1, false,
      { CACHED, CACHED, CACHED }, { CACHED, CACHED, CACHED }, V(MEMFD) },
    { DMABUF, A(COHERENT_CACHED), -1, false,
      { CACHED, CACHED, CACHED }, { CACHED, AGREED, NAMED }, V(EXPORTER),
      R(RENDERER_DISAGREES) },
    { DMABUF, A(COHERENT_WC), -1, false,
      { WC, WC, WC }, { WC, AGREED, NAMED }, V(EXPORTER),
      R(RENDERER_DISAGREES) },
    { DMABUF, A(INCOHERENT), -1, false, NEVER, AT_WORST, V(NOBODY),
      R(EXPORTER_INCOHERENT) },
    { DMABUF, A(OTHER), -1, false, NEVER, AT_WORST, V(NOBODY),
      R(EXPORTER_UNKNOWN_ANSWER) },
    { DMABUF, A(FAILED), -1, false, NEVER, AT_WORST, V(NOBODY),
      R(EXPORTER_QUERY_FAILED) },
    { DMABUF, A(NOT_ASKED), -1, false, NEVER, AT_WORST, V(NOBODY),
      R(EXPORTER_QUERY_FAILED) },
    { DMABUF, A(UNSUPPORTED), 1, false,
      { CACHED, CACHED, CACHED }, { CACHED, CACHED, NAMED },
      V(EXPORTER_NAME) },
    { DMABUF, A(UNSUPPORTED), 0, false, GUESSED, ITS_WORD,
      V(NOBODY), R(NOBODY_VOUCHES) },
    { VIRTIO_GPU_BLOB_BACKING_OPAQUE, -1, -1, false, GUESSED, ITS_WORD,
      V(NOBODY), R(NOBODY_VOUCHES) },
    { VIRTIO_GPU_BLOB_BACKING_NONE, -1, -1, false, GUESSED, ITS_WORD,
      V(NOBODY), R(NOBODY_VOUCHES) },
};

static const Row *row_of(const VirtIOGPUBlobFacts *facts)
{
    const Row *row;

    for (row = table; row < table + G_N_ELEMENTS(table); row++) {
        if (row->backing == facts->backing &&
            (row->answer < 0 || row->answer == facts->answer) &&
            (!row->vram || facts->host_vram) &&
            (row->by_name < 0 || row->by_name == known_by_name(facts))) {
            return row;
        }
    }
    g_assert_not_reached();
}

static VirtIOGPUBlobVerdict table_verdict(const VirtIOGPUBlobFacts *facts,
                                          VirtIOGPUMapPolicy policy)
{
    const Row *row = row_of(facts);
    int type = facts->renderer ? row->named[policy] : row->silent[policy];
    VirtIOGPUBlobVerdict v = { .voucher = row->voucher };

    if (type == NAMED) {
        v.voucher = V(RENDERER);
    }
    v.map_info = type == NAMED ? facts->renderer
                 : type != AGREED ? type
                 : facts->renderer == row->silent[policy] ? facts->renderer
                 : REFUSE;
    if (!v.map_info) {
        v.reason = row->reason;
    } else if (v.map_info != CACHED && !facts->guest_type_honoured &&
               policy != RENDERER) {
        v.reason = VIRTIO_GPU_BLOB_GUEST_TYPE_IGNORED;
    }
    if (has_fd(facts) && !facts->fd_read_write) {
        v.reason = VIRTIO_GPU_BLOB_BUFFER_NOT_READ_WRITE;
    }
    if (has_fd(facts) && facts->fd_too_short) {
        v.reason = VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    if (facts->no_fds_left) {
        v.reason = VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR;
    }
    if (facts->confidential_guest) {
        v.reason = VIRTIO_GPU_BLOB_CONFIDENTIAL_GUEST;
    }
    if (v.reason) {
        v.map_info = 0;
        v.voucher = V(NOBODY);
    }
    return v;
}

/* A verdict is a type that someone vouches for, or a reason. */
static void check_table(const VirtIOGPUBlobFacts *facts,
                        VirtIOGPUMapPolicy policy,
                        const VirtIOGPUBlobVerdict *verdict)
{
    VirtIOGPUBlobVerdict wanted = table_verdict(facts, policy);

    g_assert_cmpuint(verdict->map_info, ==, wanted.map_info);
    g_assert_cmpint(verdict->reason, ==, wanted.reason);
    g_assert_cmpint(verdict->voucher, ==, wanted.voucher);
}

static void test_table(void)
{
    g_assert_cmpuint(for_each_case(check_table), ==,
                     128 * 4 * 7 * 8 * 4 * 3);
}

/* Reading the name is skipped where it can change nothing. */
static void check_needs_exporter_name(const VirtIOGPUBlobFacts *facts,
                        VirtIOGPUMapPolicy policy,
                        const VirtIOGPUBlobVerdict *verdict)
{
    VirtIOGPUBlobFacts unread = *facts;
    VirtIOGPUBlobVerdict unread_verdict;

    unread.exporter = NULL;
    unread_verdict = virtio_gpu_blob_decide(&unread, policy);
    if (!virtio_gpu_blob_needs_exporter_name(&unread, policy)) {
        g_assert_cmpuint(unread_verdict.map_info, ==, verdict->map_info);
        g_assert_false(facts->backing == DMABUF &&
                       virtio_gpu_blob_is_assumed(&unread_verdict));
        return;
    }
    if (policy == RENDERER) {
        g_assert_true(virtio_gpu_blob_is_assumed(&unread_verdict));
        return;
    }
    g_assert_cmpint(facts->backing, ==, DMABUF);
    g_assert_cmpint(facts->answer, ==, VIRTIO_GPU_EXPORTER_UNSUPPORTED);
    g_assert(policy == STRICT || facts->renderer != CACHED);
}

static void check_assumed(const VirtIOGPUBlobFacts *facts,
                          VirtIOGPUMapPolicy policy,
                          const VirtIOGPUBlobVerdict *verdict)
{
    g_assert(virtio_gpu_blob_is_assumed(verdict) ==
             (verdict->map_info && policy == RENDERER && !facts->renderer &&
              facts->backing != VIRTIO_GPU_BLOB_BACKING_SHM &&
              (facts->backing != DMABUF ||
               (facts->answer == VIRTIO_GPU_EXPORTER_UNSUPPORTED &&
                !facts->host_vram && !known_by_name(facts)))));
}

static void test_assumed(void)
{
    for_each_case(check_assumed);
}

static void test_needs_exporter_name(void)
{
    for_each_case(check_needs_exporter_name);
}

static void test_names_type(void)
{
    uint32_t word;

    for (word = 0; word < 256; word++) {
        g_assert(virtio_gpu_blob_names_type(word) == (word >= 1 && word <= 3));
    }
    g_assert_false(virtio_gpu_blob_names_type(UINT32_MAX));
}

/*
 * The guest's request
 */

#define WINDOW (64 * MiB)
#define PAGE (4 * KiB)

static const struct {
    VirtIOGPUBlobRequest request; /* the host's page size is PAGE */
    VirtIOGPUBlobReason reason;
} requests[] = {
    { { true, false, PAGE, 0, WINDOW }, R(OK) },
    { { true, false, 1, 0, WINDOW }, R(OK) },
    { { true, false, WINDOW, 0, WINDOW }, R(OK) },
    { { true, false, WINDOW - 1, 0, WINDOW }, R(OK) },
    { { true, false, PAGE, WINDOW - PAGE, WINDOW }, R(OK) },
    { { true, false, 1, WINDOW - PAGE, WINDOW }, R(OK) },
    { { false, false, PAGE, 0, WINDOW }, R(NOT_MAPPABLE) },
    { { false, true, 0, 1, WINDOW }, R(NOT_MAPPABLE) },
    { { true, true, PAGE, 0, WINDOW }, R(ALREADY_MAPPED) },
    { { true, true, 0, 1, WINDOW }, R(ALREADY_MAPPED) },
    { { true, false, 0, 0, WINDOW }, R(BAD_SIZE) },
    { { true, false, 0, 1, WINDOW }, R(BAD_SIZE) },
    { { true, false, PAGE, 1, WINDOW }, R(MISALIGNED_OFFSET) },
    { { true, false, PAGE, 0x100, WINDOW }, R(MISALIGNED_OFFSET) },
    { { true, false, PAGE, PAGE - 1, WINDOW }, R(MISALIGNED_OFFSET) },
    { { true, false, PAGE, UINT64_MAX, WINDOW }, R(MISALIGNED_OFFSET) },
    { { true, false, WINDOW + 1, 0, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, UINT64_MAX, 0, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, WINDOW, PAGE, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, PAGE, WINDOW, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, PAGE + 1, WINDOW - PAGE, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, PAGE, 1ULL << 40, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, PAGE, -PAGE, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, UINT64_MAX, -PAGE, WINDOW }, R(OUTSIDE_WINDOW) },
    { { true, false, PAGE, 0, 0 }, R(NO_WINDOW) },
    { { false, false, 0, 1, 0 }, R(NO_WINDOW) },
};

static void test_request(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
        VirtIOGPUBlobRequest req = requests[i].request;

        req.page_size = PAGE;
        g_test_message("row %zu", i);
        g_assert_cmpint(virtio_gpu_blob_check_request(&req), ==,
                        requests[i].reason);
    }
}

static void test_errors(void)
{
    VirtIOGPUBlobReason r;

    for (r = VIRTIO_GPU_BLOB_OK + 1; r < VIRTIO_GPU_BLOB_REASON__MAX; r++) {
        uint32_t error = VIRTIO_GPU_RESP_ERR_UNSPEC;

        if (r == VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE) {
            error = VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
        } else if (r <= VIRTIO_GPU_BLOB_OVERLAP) {
            error = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
        } else if (r >= VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR) {
            error = VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
        }
        g_assert_cmphex(virtio_gpu_blob_reason_error(r), ==, error);
    }
    /* What is no reason is no success either. */
    g_assert_cmphex(virtio_gpu_blob_reason_error(VIRTIO_GPU_BLOB_REASON__MAX),
                    ==, VIRTIO_GPU_RESP_ERR_UNSPEC);
}

/*
 * Names: programs read them, so that they stay as they are
 */

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

/* The keys in blob-map-stats, and which are errors of the guest's driver */
static const struct {
    VirtIOGPUBlobReason reason;
    const char *name;
    bool guests;
} reasons[] = {
    { R(OK), "ok" },
    { R(UNKNOWN_RESOURCE), "unknown-resource", true },
    { R(BAD_COMMAND), "bad-command", true },
    { R(SHORT_REPLY), "short-reply", true },
    { R(NO_WINDOW), "no-window" },
    { R(NOT_MAPPABLE), "not-mappable", true },
    { R(ALREADY_MAPPED), "already-mapped", true },
    { R(BAD_SIZE), "bad-size", true },
    { R(MISALIGNED_OFFSET), "misaligned-offset" },
    { R(OUTSIDE_WINDOW), "outside-window", true },
    { R(OVERLAP), "overlap", true },
    { R(CONFIDENTIAL_GUEST), "confidential-guest" },
    { R(BUFFER_TOO_SHORT), "buffer-too-short" },
    { R(BUFFER_NOT_READ_WRITE), "buffer-not-read-write" },
    { R(POSSIBLE_VRAM), "possible-vram" },
    { R(EXPORTER_INCOHERENT), "exporter-incoherent" },
    { R(EXPORTER_UNKNOWN_ANSWER), "exporter-unknown-answer" },
    { R(EXPORTER_QUERY_FAILED), "exporter-query-failed" },
    { R(RENDERER_DISAGREES), "renderer-disagrees" },
    { R(NOBODY_VOUCHES), "nobody-vouches" },
    { R(GUEST_TYPE_IGNORED), "guest-type-ignored" },
    { R(MAP_FAILED), "map-failed" },
    { R(NO_FILE_DESCRIPTOR), "no-file-descriptor" },
    { R(TOO_MANY_MAPPINGS), "too-many-mappings" },
    { R(REGION_LIMIT), "region-limit" },
    { R(NO_MEMORY_SLOT), "no-memory-slot" },
};

static const char *policy_name(VirtIOGPUMapPolicy policy)
{
    return virtio_gpu_blob_policies.array[policy];
}

#define CHECK_NAMES(names, name_of) do {                            \
    size_t i;                                                       \
                                                                    \
    for (i = 0; i < G_N_ELEMENTS(names); i++) {                     \
        g_assert_cmpstr(name_of(i), ==, names[i]);                  \
    }                                                               \
} while (0)

static void test_names(void)
{
    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(policies) != VIRTIO_GPU_MAP_POLICY__MAX);
    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(backings) !=
                      VIRTIO_GPU_BLOB_BACKING__MAX);
    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(answers) != VIRTIO_GPU_EXPORTER__MAX);
    QEMU_BUILD_BUG_ON(G_N_ELEMENTS(vouchers) !=
                      VIRTIO_GPU_BLOB_VOUCHER__MAX);
    /* These numbers are on the wire. */
    QEMU_BUILD_BUG_ON(VIRTIO_GPU_MAP_CACHE_CACHED != 1 ||
                      VIRTIO_GPU_MAP_CACHE_UNCACHED != 2 ||
                      VIRTIO_GPU_MAP_CACHE_WC != 3);

    g_assert_cmpint(virtio_gpu_blob_policies.size, ==,
                    G_N_ELEMENTS(policies));
    CHECK_NAMES(policies, policy_name);
    CHECK_NAMES(backings, virtio_gpu_blob_backing_name);
    CHECK_NAMES(answers, virtio_gpu_blob_answer_name);
    CHECK_NAMES(vouchers, virtio_gpu_blob_voucher_name);
    CHECK_NAMES(types, virtio_gpu_blob_type_name);
}

static void test_reason_names(void)
{
    g_assert_cmpuint(G_N_ELEMENTS(reasons), ==, VIRTIO_GPU_BLOB_REASON__MAX);
    for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++) {
        const VirtIOGPUBlobReasonText *text =
            virtio_gpu_blob_reason_text(reasons[i].reason);

        g_assert_cmpint(reasons[i].reason, ==, i);
        g_assert_cmpstr(text->name, ==, reasons[i].name);
        g_assert_true(virtio_gpu_blob_reason_is_guests(i) ==
                      reasons[i].guests);
    }
}

/* Each has a cause and a remedy; one of them has the host's. */
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

    g_test_add_func("/virtio-gpu-blob/decision/table", test_table);
    g_test_add_func("/virtio-gpu-blob/decision/needs-exporter-name",
                    test_needs_exporter_name);
    g_test_add_func("/virtio-gpu-blob/decision/assumed", test_assumed);
    g_test_add_func("/virtio-gpu-blob/decision/names-type", test_names_type);
    g_test_add_func("/virtio-gpu-blob/request/edges", test_request);
    g_test_add_func("/virtio-gpu-blob/errors", test_errors);
    g_test_add_func("/virtio-gpu-blob/names", test_names);
    g_test_add_func("/virtio-gpu-blob/reason-names", test_reason_names);
    g_test_add_func("/virtio-gpu-blob/explain", test_explain);

    return g_test_run();
}
