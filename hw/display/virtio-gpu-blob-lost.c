/*
 * virtio-gpu blob mappings: buffers that lose their pages
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/notify.h"
#include "qemu/timer.h"
#include "system/cpus.h"
#include "system/kvm.h"
#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-lost.h"

#include <sys/syscall.h>

/*
 * A page that can be read, but not written to, raises SIGBUS again at once.
 * Races with the main loop, and drivers that fail temporarily, do not repeat so
 * fast.
 */
#define RETRIES_MAX 16
#define RETRIES_PERIOD_MS 1000

/* At least so many pages of a dma-buf, or all, are accessed to check it. */
#define DMABUF_STEPS 16

/*
 * A check takes less than a microsecond unless the page is swapped out, so the
 * main loop is held up for less than a millisecond each second.
 */
#define CHECK_INTERVAL_MS 1000
#define CHECKS_MAX 1024

/* See the header for what the lock guards. */
static QemuSpin lock;
static IntervalTreeRoot buffers;
static IntervalTreeRoot windows;
/*
 * Accesses outside of buffers that were tried again since a buffer was removed;
 * protected by the lock
 */
static unsigned other_retries;

/*
 * Number of losses, maps and unmaps in the process, plus 1: a vCPU whose
 * KVM_RUN has not failed yet has seen 0.  qatomic_read().
 */
static size_t changes = 1;

static bool is_registered;
static bool kvm_retries;

/* NULL until a buffer is mapped under KVM */
static QEMUTimer *check_timer;
/* The host address where the next round of checks begins; BQL */
static uint64_t check_next;

static IntervalTreeNode *find_range(IntervalTreeRoot *root, void *addr)
{
    return interval_tree_iter_first(root, (uintptr_t)addr, (uintptr_t)addr);
}

static VirtIOGPUBlobPages *find_buffer(void *addr)
{
    IntervalTreeNode *node = find_range(&buffers, addr);

    return node ? container_of(node, VirtIOGPUBlobPages, range) : NULL;
}

static void *host_of(const VirtIOGPUBlobPages *pages)
{
    return (void *)(uintptr_t)pages->range.start;
}

static size_t len_of(const VirtIOGPUBlobPages *pages)
{
    return pages->range.last - pages->range.start + 1;
}

/*
 * A system call that cannot access a page fails with EFAULT, without a signal.
 * rt_sigprocmask() reads eight bytes before it rejects its first argument.
 */
static bool is_readable(void *addr)
{
    const int no_such_action = -1;

    return syscall(__NR_rt_sigprocmask, no_such_action,
                   QEMU_ALIGN_PTR_DOWN(addr, 8), NULL, 8) == 0 ||
           errno != EFAULT;
}

/*
 * The lock is held and a hole is mapped.  Any thread, and in signal handlers.
 */
static void set_lost(VirtIOGPUBlobPages *pages)
{
    VirtIOGPUBlobLost *owner = pages->owner;

    qatomic_set(&pages->lost, true);
    qatomic_set(&owner->count, owner->count + 1);
    QSIMPLEQ_INSERT_TAIL(&owner->unreported, pages, next_unreported);
    virtio_gpu_blob_lost_changed();
    qemu_bh_schedule(owner->bh);
}

/* The lock is held.  Any thread, and in signal handlers. */
static bool lose(VirtIOGPUBlobPages *pages)
{
    if (!virtio_gpu_blob_vma_map_hole(pages->owner->vma, host_of(pages),
                                      len_of(pages))) {
        return false;
    }
    if (!pages->lost) {
        set_lost(pages);
    }
    return true;
}

/*
 * SIGBUS and SIGSEGV
 */

/* What was mapped when the access failed may have been replaced since. */
static bool may_retry(VirtIOGPUBlobPages *pages)
{
    uint32_t now = get_clock() / SCALE_MS;

    if (!pages) {
        return other_retries++ < RETRIES_MAX;
    }
    if (now - pages->retry_start_ms > RETRIES_PERIOD_MS) {
        pages->retry_start_ms = now;
        pages->retries = 0;
    }
    return pages->lost || pages->retries++ < RETRIES_MAX;
}

static bool on_gone(void *addr)
{
    VirtIOGPUBlobPages *pages;
    bool retry;

    qemu_spin_lock(&lock);
    pages = find_buffer(addr);
    retry = (is_readable(addr) && may_retry(pages)) || (pages && lose(pages));
    qemu_spin_unlock(&lock);
    return retry;
}

/*
 * True while another thread replaces a mapping in the window at @addr.  There
 * need not be a gap at @addr itself.
 */
static bool is_replacing(void *addr)
{
    VirtIOGPUBlobGapRange *range;
    IntervalTreeNode *node;
    bool replacing = false;

    qemu_spin_lock(&lock);
    node = find_range(&windows, addr);
    if (node) {
        range = container_of(node, VirtIOGPUBlobGapRange, range);
        replacing = qatomic_load_acquire(&range->replacing) &&
                    !qemu_thread_is_self(&range->replacer);
    }
    qemu_spin_unlock(&lock);
    return replacing;
}

/* A hole could not be mapped over a buffer, so it is tried again. */
static bool on_gap(void *addr)
{
    VirtIOGPUBlobPages *pages;
    bool retry;

    qemu_spin_lock(&lock);
    pages = find_buffer(addr);
    retry = pages && lose(pages);
    qemu_spin_unlock(&lock);
    return retry;
}

/*
 * Waits while another thread replaces a mapping: only that thread knows what
 * must be mapped there.
 */
static bool on_unmapped(void *addr)
{
    const struct timespec moment = { .tv_nsec = 10 * 1000 };
    bool in_window;
    size_t before;

    qemu_spin_lock(&lock);
    in_window = find_range(&windows, addr);
    qemu_spin_unlock(&lock);
    if (!in_window) {
        return false;
    }
    /* The next gap may be there before the page is accessed. */
    do {
        /* This thread may have a higher priority than the main loop. */
        while (is_replacing(addr)) {
            nanosleep(&moment, NULL);
        }
        before = qatomic_read(&changes);
        if (is_readable(addr)) {
            return true;
        }
    } while (is_replacing(addr) || qatomic_read(&changes) != before);
    return on_gap(addr);
}

static MemoryAccessHandler access_handler = {
    .gone = on_gone,
    .unmapped = on_unmapped,
};

/*
 * EFAULT from KVM_RUN, in a vCPU's thread with the BQL held
 */

/*
 * With write_touch, this also makes a page writable that the kernel had mapped
 * read-only.
 */
static void look_at_page(VirtIOGPUBlobPages *pages, void *addr)
{
    if (is_readable(addr) &&
        (!pages->write_touch || virtio_gpu_blob_vma_is_writable(addr))) {
        return;
    }
    qemu_spin_lock(&lock);
    lose(pages);
    qemu_spin_unlock(&lock);
}

/*
 * Not all pages are checked: that would take long with the BQL held, and
 * allocate all pages of sparse files.  A file that gets shorter loses its last
 * page at least.  A driver takes back a buffer as a whole, so a few pages of a
 * dma-buf are enough.  If other pages are lost, and KVM does not report the
 * address, the loss is not found, and the VM stops as it does for memory that
 * KVM cannot map.
 */
static void look_at_buffer(VirtIOGPUBlobPages *pages)
{
    const size_t page = qemu_real_host_page_size();
    size_t len = len_of(pages), at, step;
    uint8_t *host = host_of(pages);

    look_at_page(pages, host + len - page);
    if (pages->file) {
        return;
    }
    step = MAX(QEMU_ALIGN_DOWN(len / DMABUF_STEPS, page), page);
    for (at = 0; at < len && !qatomic_read(&pages->lost); at += step) {
        look_at_page(pages, host + at);
    }
}

static void look(void *host)
{
    VirtIOGPUBlobPages *pages;
    IntervalTreeNode *node;

    if (host) {
        pages = find_buffer(host);
        if (pages && !pages->lost) {
            look_at_page(pages, host);
        }
        return;
    }
    for (node = interval_tree_iter_first(&buffers, 0, UINT64_MAX); node;
         node = interval_tree_iter_next(node, 0, UINT64_MAX)) {
        pages = container_of(node, VirtIOGPUBlobPages, range);
        if (!qatomic_read(&pages->lost)) {
            look_at_buffer(pages);
        }
    }
}

static bool is_ours(void *host)
{
    if (!host) {
        return !interval_tree_is_empty(&buffers) ||
               !interval_tree_is_empty(&windows);
    }
    return find_range(&buffers, host) || find_range(&windows, host);
}

static void warn(void *host)
{
    if (host ? !find_range(&buffers, host) : interval_tree_is_empty(&buffers)) {
        return;
    }
    warn_report("virtio-gpu: if KVM said \"Bad address\", a blob that is "
                "mapped may be memory that this kernel's KVM cannot map (see "
                "the manual, \"Memory that KVM cannot map\")");
}

/*
 * A vCPU tries again if anything has changed since it last failed, or if it had
 * not failed before.  If nothing has changed, mappings are checked.  As that
 * changes page tables, the vCPU tries once more before it gives up.
 */
static int on_memory_fault(NotifierWithReturn *notifier, void *data,
                           Error **errp)
{
    KVMMemoryFault *fault = data;
    size_t now = qatomic_read(&changes);

    if (fault->final) {
        warn(fault->host);
        return 0;
    }
    if (!is_ours(fault->host)) {
        return 0;
    }
    if (fault->seen != now) {
        fault->seen = now;
        fault->looked = false;
        return 1;
    }
    if (!fault->looked) {
        fault->looked = true;
        look(fault->host);
        return 1;
    }
    return 0;
}

static NotifierWithReturn memory_fault_notifier = {
    .notify = on_memory_fault,
};

/*
 * Checks each second, in the main loop with the BQL held
 *
 * On x86, KVM does not report a page that get_user_pages() cannot get: it takes
 * it for one that is read from a disk, and lets the vCPU wait or try again
 * (kvm_arch_setup_async_pf() in Linux).  If the page never comes, that lasts
 * forever.  So the last page of each buffer is checked, as a file loses its end
 * first.
 */

/*
 * MADV_POPULATE_READ follows the same rule as get_user_pages().  Where KVM
 * does not use that (VM_IO and VM_PFNMAP), it fails with EINVAL and the driver
 * is not called.
 */
static void check_last_page(VirtIOGPUBlobPages *pages)
{
    const size_t page = qemu_real_host_page_size();

    if (madvise(host_of(pages) + len_of(pages) - page, page,
                MADV_POPULATE_READ) == 0 || errno != EFAULT) {
        return;
    }
    qemu_spin_lock(&lock);
    lose(pages);
    qemu_spin_unlock(&lock);
}

/* No vCPU waits while the machine is stopped; this clock stands still then. */
static void check_later(void)
{
    timer_mod(check_timer, qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL) +
                           CHECK_INTERVAL_MS);
}

static void on_check_timer(void *opaque)
{
    IntervalTreeNode *node = interval_tree_iter_first(&buffers, check_next,
                                                      UINT64_MAX);
    unsigned n;

    for (n = 0; node && n < CHECKS_MAX; n++) {
        check_last_page(container_of(node, VirtIOGPUBlobPages, range));
        check_next = node->last + 1;
        node = interval_tree_iter_next(node, 0, UINT64_MAX);
    }
    if (!node) {
        check_next = 0;
    }
    if (!interval_tree_is_empty(&buffers)) {
        check_later();
    }
}

static void start_checks(void)
{
    if (!check_timer) {
        check_timer = timer_new_ms(QEMU_CLOCK_VIRTUAL, on_check_timer, NULL);
    }
    if (!timer_pending(check_timer)) {
        check_later();
    }
}

/*
 * Buffers and windows
 */

/* The handlers are never removed: they find nothing in empty trees. */
static void register_handlers(void)
{
    if (!is_registered) {
        is_registered = true;
        qemu_spin_init(&lock);
        qemu_add_memory_access_handler(&access_handler);
        kvm_retries = kvm_add_memory_fault_notifier(&memory_fault_notifier);
    }
}

bool virtio_gpu_blob_lost_install(void)
{
    register_handlers();
    return kvm_retries;
}

void virtio_gpu_blob_lost_init(VirtIOGPUBlobLost *lost, QEMUBH *bh)
{
    lost->bh = bh;
    lost->count = 0;
    QSIMPLEQ_INIT(&lost->unreported);
}

static void insert(IntervalTreeNode *range, IntervalTreeRoot *root, void *host,
                   size_t len)
{
    range->start = (uintptr_t)host;
    range->last = range->start + len - 1;
    register_handlers();
    qemu_spin_lock(&lock);
    interval_tree_insert(range, root);
    qemu_spin_unlock(&lock);
}

void virtio_gpu_blob_lost_add(VirtIOGPUBlobPages *pages,
                              VirtIOGPUBlobLost *owner, void *host, size_t len)
{
    pages->owner = owner;
    pages->lost = false;
    pages->retries = 0;
    pages->retry_start_ms = 0;
    insert(&pages->range, &buffers, host, len);
    if (kvm_enabled()) {
        start_checks();
    }
}

void virtio_gpu_blob_lost_remove(VirtIOGPUBlobPages *pages)
{
    VirtIOGPUBlobPages *p;

    qemu_spin_lock(&lock);
    interval_tree_remove(&pages->range, &buffers);
    /* The queue is short: UNMAP_BLOB reports all losses first. */
    QSIMPLEQ_FOREACH(p, &pages->owner->unreported, next_unreported) {
        if (p == pages) {
            QSIMPLEQ_REMOVE(&pages->owner->unreported, pages,
                            VirtIOGPUBlobPages, next_unreported);
            break;
        }
    }
    other_retries = 0;
    qemu_spin_unlock(&lock);
}

VirtIOGPUBlobPages *virtio_gpu_blob_lost_next(VirtIOGPUBlobLost *owner)
{
    VirtIOGPUBlobPages *pages;

    qemu_spin_lock(&lock);
    pages = QSIMPLEQ_FIRST(&owner->unreported);
    if (pages) {
        QSIMPLEQ_REMOVE_HEAD(&owner->unreported, next_unreported);
    }
    qemu_spin_unlock(&lock);
    return pages;
}

void virtio_gpu_blob_lost_mark(VirtIOGPUBlobPages *pages)
{
    qemu_spin_lock(&lock);
    if (!pages->lost) {
        set_lost(pages);
    }
    qemu_spin_unlock(&lock);
}

void virtio_gpu_blob_lost_recheck(VirtIOGPUBlobPages *pages)
{
    qemu_spin_lock(&lock);
    if (pages->lost) {
        lose(pages);
    }
    qemu_spin_unlock(&lock);
}

void virtio_gpu_blob_lost_changed(void)
{
    qatomic_inc(&changes);
}

void virtio_gpu_blob_lost_add_window(VirtIOGPUBlobGapRange *range, void *host,
                                     size_t len)
{
    qemu_thread_get_self(&range->replacer);
    range->replacing = false;
    insert(&range->range, &windows, host, len);
}

void virtio_gpu_blob_lost_remove_window(VirtIOGPUBlobGapRange *range)
{
    qemu_spin_lock(&lock);
    interval_tree_remove(&range->range, &windows);
    qemu_spin_unlock(&lock);
}

void virtio_gpu_blob_lost_begin_replace(VirtIOGPUBlobGapRange *range)
{
    qatomic_store_release(&range->replacing, true);
}

void virtio_gpu_blob_lost_end_replace(VirtIOGPUBlobGapRange *range)
{
    qatomic_store_release(&range->replacing, false);
    virtio_gpu_blob_lost_changed();
}
