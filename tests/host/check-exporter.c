/*
 * The test exporter keeps its word: each kind of buffer is mapped, fails,
 * moves and goes away as it is told to, for user space and for KVM.
 *
 * Prints a line a check, numbered, its plan, and the sum.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "exporter/dma-buf-test.h"

#define PAGE 4096
#define PAGES 16
#define SIZE (PAGES * PAGE)

/* The question of linux-6.12/, which no released header has */
struct info {
    uint32_t param;
    uint32_t pad;
    uint64_t value;
};
#define DMA_BUF_IOCTL_INFO _IOWR('b', 2, struct info)

/* The guest's byte code: al = ds:[bx]; al++; ds:[bx] = al; halt */
static const uint8_t guest_code[] = {
    0x8a, 0x07, 0xfe, 0xc0, 0x88, 0x07, 0xf4
};
#define GUEST_BUFFER 0x10000

struct kind {
    const char *name;
    struct dma_buf_test_make make;
    /* What smaps calls it: pf, mm, io */
    const char *flags;
};

struct guest {
    int vm;
    int cpu;
    struct kvm_run *run;
    size_t run_size;
    void *code;
};

static int device;
static int kvm = -1;
static int passed, failed, skipped;
static long kernel_version;
static bool has_info;
static sigjmp_buf fault_jump;

static const struct kind kinds[] = {
    { "pages", { .map = DMA_BUF_TEST_PAGES }, "" },
    { "pages, write-combined",
      { .map = DMA_BUF_TEST_PAGES, .cache = DMA_BUF_TEST_WC }, "" },
    { "pfn", { .map = DMA_BUF_TEST_PFN }, "pf" },
    { "pfn, write-combined",
      { .map = DMA_BUF_TEST_PFN, .cache = DMA_BUF_TEST_WC }, "pf" },
    { "mixed", { .map = DMA_BUF_TEST_MIXED }, "mm" },
    { "uncounted",
      { .map = DMA_BUF_TEST_PFN, .flags = DMA_BUF_TEST_UNCOUNTED }, "pf" },
    { "BAR, write-combined",
      { .map = DMA_BUF_TEST_PFN, .place = DMA_BUF_TEST_BAR,
        .cache = DMA_BUF_TEST_WC }, "pf io" },
    { "BAR, cached",
      { .map = DMA_BUF_TEST_PFN, .place = DMA_BUF_TEST_BAR }, "pf io" },
    { "BAR, mixed",
      { .map = DMA_BUF_TEST_MIXED, .place = DMA_BUF_TEST_BAR,
        .cache = DMA_BUF_TEST_WC }, "mm io" },
    { "movable",
      { .map = DMA_BUF_TEST_PFN, .flags = DMA_BUF_TEST_MOVABLE }, "pf io" },
    { "movable, mixed",
      { .map = DMA_BUF_TEST_MIXED, .flags = DMA_BUF_TEST_MOVABLE }, "mm io" },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/*
 * Keeping count
 */

static bool check(bool ok, const char *kind, const char *format, ...)
{
    va_list ap;

    ok ? passed++ : failed++;
    printf("%s %d - %s: ", ok ? "ok" : "not ok", passed + failed + skipped,
           kind);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
    return ok;
}

static void equal(long got, long want, const char *kind, const char *what)
{
    if (got == want) {
        check(true, kind, "%s", what);
    } else {
        check(false, kind, "%s: %ld, expected %ld", what, got, want);
    }
}

static void skip(const char *kind, const char *format, ...)
{
    va_list ap;

    skipped++;
    printf("ok %d # SKIP %s: ", passed + failed + skipped, kind);
    va_start(ap, format);
    vprintf(format, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

/*
 * Memory that may not be there
 */

static void on_fault(int sig)
{
    siglongjmp(fault_jump, sig);
}

/* Returns the signal that the access gives, or 0 */
static int try_read(const void *p, uint8_t *value)
{
    int sig = sigsetjmp(fault_jump, 1);

    if (!sig) {
        /* volatile: the access itself is what is tried */
        *value = *(const volatile uint8_t *)p;
    }
    return sig;
}

static int try_write(void *p, uint8_t value)
{
    int sig = sigsetjmp(fault_jump, 1);

    if (!sig) {
        /* volatile: as above */
        *(volatile uint8_t *)p = value;
    }
    return sig;
}

/* Pages that do not hold first, first + 1, ...; a signal makes one wrong */
static int wrong(const uint8_t *p, uint8_t first)
{
    int n = 0;

    for (int i = 0; i < PAGES; i++) {
        uint8_t value = 0;

        n += try_read(p + i * PAGE + i, &value) ||
             value != (uint8_t)(first + i);
    }
    return n;
}

static int fill(uint8_t *p, uint8_t first)
{
    int n = 0;

    for (int i = 0; i < PAGES; i++) {
        n += try_write(p + i * PAGE + i, first + i) != 0;
    }
    return n;
}

static bool all_zero(const uint8_t *p)
{
    for (int i = 0; i < SIZE; i++) {
        if (p[i]) {
            return false;
        }
    }
    return true;
}

/* Is p mapped, and do its flags name each word of want and no other? */
static bool has_flags(const void *p, const char *want)
{
    static const char *const words[] = { " pf", " mm", " io" };
    char text[512];
    unsigned long from, to;
    bool here = false, right = false;
    FILE *f = fopen("/proc/self/smaps", "r");

    while (f && fgets(text, sizeof(text), f)) {
        if (sscanf(text, "%lx-%lx ", &from, &to) == 2) {
            here = from <= (uintptr_t)p && (uintptr_t)p < to;
        } else if (here && !strncmp(text, "VmFlags:", 8)) {
            right = true;
            for (int i = 0; i < 3; i++) {
                right &= !strstr(text, words[i]) ==
                         !strstr(want, words[i] + 1);
            }
        }
    }
    if (f) {
        fclose(f);
    }
    return right;
}

static bool is_mapped(const void *p)
{
    unsigned char in_core;

    return !mincore((void *)p, PAGE, &in_core) || errno != ENOMEM;
}

/*
 * Buffers
 */

static int make(const struct kind *kind)
{
    struct dma_buf_test_make arg = kind->make;

    arg.size = SIZE;
    return ioctl(device, DMA_BUF_TEST_MAKE, &arg);
}

static int act_on(int fd, uint32_t action, uint32_t what,
                  struct dma_buf_test_act *got)
{
    struct dma_buf_test_act act = { .fd = fd, .action = action, .arg = what };
    int ret = ioctl(device, DMA_BUF_TEST_ACT, &act);

    if (got) {
        *got = act;
    }
    return ret ? errno : 0;
}

static uint8_t *map(int fd)
{
    void *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (!strcmp(kinds[i].name, name)) {
            return &kinds[i];
        }
    }
    abort();
}

/* A buffer and a mapping of it; false when there is none, which is said */
static bool begin(const struct kind *kind, int *fd, uint8_t **p)
{
    *fd = make(kind);
    if (*fd < 0 && errno == ENODEV) {
        skip(kind->name, "no bochs-display whose BAR could be used");
        return false;
    }
    if (!check(*fd >= 0, kind->name, "made (%m)")) {
        return false;
    }
    *p = map(*fd);
    if (!check(*p, kind->name, "mapped (%m)")) {
        close(*fd);
        return false;
    }
    return true;
}

static void finish(int fd, uint8_t *p)
{
    munmap(p, SIZE);
    close(fd);
}

/*
 * A guest that knows how to count
 */

static int guest_slot(struct guest *g, int slot, uint64_t at, void *p,
                      uint64_t size)
{
    struct kvm_userspace_memory_region region = {
        .slot = slot,
        .guest_phys_addr = at,
        .memory_size = size,
        .userspace_addr = (uintptr_t)p,
    };

    return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int guest_segments(struct guest *g)
{
    struct kvm_sregs sregs;

    if (ioctl(g->cpu, KVM_GET_SREGS, &sregs)) {
        return -1;
    }
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    sregs.ds.base = GUEST_BUFFER;
    sregs.ds.selector = GUEST_BUFFER >> 4;
    return ioctl(g->cpu, KVM_SET_SREGS, &sregs);
}

static void guest_end(struct guest *g)
{
    munmap(g->run, g->run_size);
    close(g->cpu);
    close(g->vm);
    munmap(g->code, PAGE);
}

static bool guest_start(struct guest *g, uint8_t *p)
{
    g->code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memcpy(g->code, guest_code, sizeof(guest_code));
    g->vm = ioctl(kvm, KVM_CREATE_VM, 0);
    g->cpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
    g->run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
                  g->cpu, 0);
    return g->run != MAP_FAILED &&
           !guest_slot(g, 0, 0, g->code, PAGE) &&
           !guest_slot(g, 1, GUEST_BUFFER, p, SIZE) && !guest_segments(g);
}

/* Adds one to a byte of the buffer; returns 0, or the errno of KVM_RUN */
static int guest_count(struct guest *g, int offset)
{
    struct kvm_regs regs = { .rbx = offset, .rflags = 2 };

    if (ioctl(g->cpu, KVM_SET_REGS, &regs)) {
        return errno;
    }
    if (ioctl(g->cpu, KVM_RUN, 0)) {
        return errno;
    }
    return g->run->exit_reason == KVM_EXIT_HLT ? 0 : -g->run->exit_reason;
}

/* Returns 0, or the first errno, when the guest adds one to each page */
static int guest_counts(struct guest *g)
{
    for (int i = 0; i < PAGES; i++) {
        int err = guest_count(g, i * PAGE + i);

        if (err) {
            return err;
        }
    }
    return 0;
}

/*
 * The checks
 */

static void check_contents(const struct kind *kind)
{
    struct dma_buf_test_act seen;
    uint8_t *p, *q;
    int fd;

    if (!begin(kind, &fd, &p)) {
        return;
    }
    check(all_zero(p), kind->name, "new memory is zero");
    equal(fill(p, 10), 0, kind->name, "each page can be written");
    q = map(fd);
    if (check(q, kind->name, "mapped twice")) {
        equal(wrong(q, 10), 0, kind->name, "the other mapping shows it");
        fill(q, 40);
        equal(wrong(p, 40), 0, kind->name, "and the other way round");
        munmap(q, SIZE);
    }
    check(has_flags(p, kind->flags), kind->name, "VmFlags name \"%s\"",
          kind->flags);
    equal(act_on(fd, DMA_BUF_TEST_LOOK, 0, &seen), 0, kind->name, "look");
    equal(seen.faults, 2 * PAGES, kind->name, "a fault for each page mapped");
    equal(seen.mmaps, 2, kind->name, "both mmaps are counted");
    equal(seen.place, kind->make.place, kind->name, "where it is");
    munmap(p, SIZE);
    p = map(fd);
    if (check(p, kind->name, "mapped again")) {
        equal(wrong(p, 40), 0, kind->name, "contents are kept meanwhile");
        munmap(p, SIZE);
    }
    check(mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED &&
          errno == EINVAL, kind->name, "no private mapping");
    close(fd);
}

/* Pages without a reference cannot be given to a guest before 6.13 */
static int guest_wants(const struct kind *kind)
{
    bool uncounted = kind->make.flags & DMA_BUF_TEST_UNCOUNTED;

    return uncounted && kernel_version < 6 * 1000 + 13 ? EFAULT : 0;
}

static void check_guest(const struct kind *kind)
{
    struct guest g;
    uint8_t *p;
    int fd;

    if (kvm < 0) {
        skip(kind->name, "no KVM here: %s", strerror(-kvm));
        return;
    }
    if (!begin(kind, &fd, &p)) {
        return;
    }
    fill(p, 70);
    if (check(guest_start(&g, p), kind->name, "a memory slot over it (%m)")) {
        equal(guest_counts(&g), guest_wants(kind), kind->name,
              "KVM_RUN, each page");
        if (!guest_wants(kind)) {
            equal(wrong(p, 71), 0, kind->name, "the guest reads and writes");
        }
        guest_end(&g);
    }
    finish(fd, p);
}

/* What is gone stays gone, in old mappings and in new ones */
static void check_gone(const struct kind *kind, int fd, uint8_t *p)
{
    uint8_t value = 0, *q;

    equal(try_read(p, &value), SIGBUS, kind->name, "gone: a read");
    equal(try_write(p + SIZE - 1, 1), SIGBUS, kind->name, "gone: a write");
    equal(wrong(p, 10), PAGES, kind->name, "gone: every page");
    q = map(fd);
    if (check(q, kind->name, "gone: mmap succeeds")) {
        equal(try_read(q, &value), SIGBUS, kind->name,
              "gone: a new mapping's read");
        munmap(q, SIZE);
    }
}

/* A vCPU stops at what is gone, and goes on when something else is there */
static void check_gone_guest(const struct kind *kind, struct guest *g,
                             uint8_t *p)
{
    void *hole;

    equal(guest_count(g, 0), EFAULT, kind->name, "gone: KVM_RUN");
    hole = mmap(p, SIZE, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    equal(hole == p, 1, kind->name, "gone: a hole takes its place");
    equal(guest_counts(g), 0, kind->name, "gone: KVM_RUN over the hole");
    equal(p[0], 1, kind->name, "gone: the guest counts in the hole");
}

static void check_removal(const struct kind *kind, uint32_t action)
{
    bool guest = kvm >= 0 && !guest_wants(kind);
    struct guest g;
    uint8_t *p;
    int fd;

    if (!begin(kind, &fd, &p)) {
        return;
    }
    fill(p, 10);
    if (guest) {
        guest = check(guest_start(&g, p), kind->name, "a slot over it");
        equal(guest_count(&g, 1), 0, kind->name, "KVM_RUN before that");
    }
    equal(act_on(fd, action, 0, NULL), 0, kind->name,
          action == DMA_BUF_TEST_PURGE ? "purged" : "revoked");
    check_gone(kind, fd, p);
    equal(act_on(fd, DMA_BUF_TEST_PURGE, 0, NULL), 0, kind->name,
          "gone: its memory can be given back");
    if (guest) {
        check_gone_guest(kind, &g, p);
        guest_end(&g);
    }
    finish(fd, p);
}

static void move(const struct kind *kind, int fd, uint32_t place)
{
    struct dma_buf_test_act seen = { };
    const char *what = place == DMA_BUF_TEST_BAR ? "moved to the BAR"
                                                 : "moved to RAM";

    equal(act_on(fd, DMA_BUF_TEST_MOVE, place, &seen), 0, kind->name, what);
    equal(seen.place, place, kind->name, "it is there");
}

static void check_move(const struct kind *kind)
{
    struct dma_buf_test_act before, after;
    struct guest g;
    bool guest = false;
    uint8_t *p;
    int fd;

    if (!begin(kind, &fd, &p)) {
        return;
    }
    if (kvm >= 0) {
        guest = check(guest_start(&g, p), kind->name, "a slot over it");
    }
    fill(p, 100);
    for (int i = 0; i < 4; i++) {
        uint32_t place = i % 2 ? DMA_BUF_TEST_RAM : DMA_BUF_TEST_BAR;

        act_on(fd, DMA_BUF_TEST_LOOK, 0, &before);
        move(kind, fd, place);
        equal(wrong(p, 100 + i), 0, kind->name, "contents move along");
        act_on(fd, DMA_BUF_TEST_LOOK, 0, &after);
        equal(after.faults - before.faults, PAGES, kind->name,
              "each page was entered anew");
        if (guest) {
            equal(guest_counts(&g), 0, kind->name, "KVM_RUN after the move");
        } else {
            fill(p, 101 + i);
        }
        equal(wrong(p, 101 + i), 0, kind->name, "written after the move");
    }
    if (guest) {
        guest_end(&g);
    }
    finish(fd, p);
}

/* A buffer that is not movable, or is gone, does not move */
static void check_no_move(void)
{
    const struct kind *pfn = find_kind("pfn"), *movable = find_kind("movable");
    uint8_t *p;
    int fd;

    if (begin(pfn, &fd, &p)) {
        equal(act_on(fd, DMA_BUF_TEST_MOVE, DMA_BUF_TEST_BAR, NULL), EINVAL,
              pfn->name, "does not move");
        finish(fd, p);
    }
    if (begin(movable, &fd, &p)) {
        equal(act_on(fd, DMA_BUF_TEST_MOVE, 2, NULL), EINVAL, movable->name,
              "there is no third place");
        act_on(fd, DMA_BUF_TEST_REVOKE, 0, NULL);
        equal(act_on(fd, DMA_BUF_TEST_MOVE, DMA_BUF_TEST_BAR, NULL), ENXIO,
              movable->name, "what is gone does not move");
        finish(fd, p);
    }
}

/*
 * Where mmap() would replace something and the driver fails, the kernel has
 * unmapped that before, and leaves a gap: 6.1, 6.12 and 7.3 do.  Newer ones
 * may learn to keep it, but then all of it.
 */
static void check_failed_over(const struct kind *kind, int fd)
{
    uint8_t value = 0, *old;
    bool gap;
    void *p;

    old = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
               MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fill(old, 5);
    p = mmap(old, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    equal(p == MAP_FAILED, 1, kind->name, "over another mapping, it fails");
    gap = kernel_version <= 7 * 1000 + 3 || !is_mapped(old);
    equal(is_mapped(old), !gap, kind->name, gap ?
          "this kernel leaves a gap" : "this kernel keeps what was there");
    equal(try_read(old, &value), gap ? SIGSEGV : 0, kind->name,
          "access to what is there afterwards");
    equal(wrong(old, 5), gap ? PAGES : 0, kind->name, "its contents");
    munmap(old, SIZE);
}

static void check_fails(const struct kind *kind, uint32_t action, int error)
{
    struct dma_buf_test_act before, after;
    const char *when = action == DMA_BUF_TEST_FAIL ? "at once" : "late";
    uint8_t *p, *q;
    int fd;

    if (!begin(kind, &fd, &p)) {
        return;
    }
    fill(p, 20);
    equal(act_on(fd, action, error, &before), 0, kind->name, "told to fail");
    q = map(fd);
    check(!q && errno == error, kind->name, "mmap fails %s: %s (%m)", when,
          strerror(error));
    act_on(fd, DMA_BUF_TEST_LOOK, 0, &after);
    equal(after.mmaps - before.mmaps, 1, kind->name, "in the driver");
    check_failed_over(kind, fd);
    equal(wrong(p, 20), 0, kind->name, "the mapping it has is as it was");
    equal(act_on(fd, DMA_BUF_TEST_FAIL, 0, NULL), 0, kind->name,
          "told to succeed");
    q = map(fd);
    if (check(q, kind->name, "mmap succeeds again")) {
        equal(wrong(q, 20), 0, kind->name, "with its contents");
        munmap(q, SIZE);
    }
    finish(fd, p);
}

static void check_fails_from_start(void)
{
    struct kind kind = *find_kind("pfn");
    int fd;

    kind.name = "fails from the start";
    kind.make.mmap_error = ENOSPC;
    fd = make(&kind);
    if (check(fd >= 0, kind.name, "made (%m)")) {
        check(!map(fd) && errno == ENOSPC, kind.name, "mmap (%m)");
        close(fd);
    }
}

static void check_statement(uint32_t statement, const char *name, int answer)
{
    struct kind kind = *find_kind("pfn");
    struct info info = { .param = 1, .value = ~0ull };
    int fd, err;

    kind.make.statement = statement;
    if (statement == DMA_BUF_TEST_STATE_WC) {
        kind.make.cache = DMA_BUF_TEST_WC;
    }
    fd = make(&kind);
    if (!has_info && statement) {
        check(fd < 0 && errno == EOPNOTSUPP, name,
              "is not made without DMA_BUF_IOCTL_INFO (%m)");
        return;
    }
    if (!check(fd >= 0, name, "made (%m)")) {
        return;
    }
    err = ioctl(fd, DMA_BUF_IOCTL_INFO, &info) ? errno : 0;
    equal(err, answer < 0 ? ENOTTY : 0, name, "asked");
    if (answer >= 0) {
        equal(info.value, answer, name, "the answer");
    }
    close(fd);
}

static void check_statements(void)
{
    check_statement(DMA_BUF_TEST_UNSTATED, "states nothing", -1);
    check_statement(DMA_BUF_TEST_INCOHERENT, "states INCOHERENT", 0);
    check_statement(DMA_BUF_TEST_STATE_WC, "states COHERENT_WC", 1);
    check_statement(DMA_BUF_TEST_STATE_CACHED, "states COHERENT_CACHED", 2);
}

static void refused(struct dma_buf_test_make arg, const char *what)
{
    int fd = ioctl(device, DMA_BUF_TEST_MAKE, &arg);

    check(fd < 0 && errno == EINVAL, "not made", "%s (%m)", what);
    if (fd >= 0) {
        close(fd);
    }
}

static void check_arguments(void)
{
    struct dma_buf_test_act act = { .action = DMA_BUF_TEST_LOOK };
    const struct kind *pfn = find_kind("pfn");
    uint8_t *p;
    int fd;

    refused((struct dma_buf_test_make) { }, "no size");
    refused((struct dma_buf_test_make) { .size = 100 }, "half a page");
    refused((struct dma_buf_test_make) { .size = 17 << 20 }, "too large");
    refused((struct dma_buf_test_make) { .size = SIZE, .map = 3 }, "map");
    refused((struct dma_buf_test_make) { .size = SIZE, .place = 2 }, "place");
    refused((struct dma_buf_test_make) { .size = SIZE, .cache = 2 }, "cache");
    refused((struct dma_buf_test_make) { .size = SIZE, .flags = 4 }, "flags");
    refused((struct dma_buf_test_make) { .size = SIZE, .statement = 4 },
            "statement");
    refused((struct dma_buf_test_make) { .size = SIZE, .mmap_error = 4096 },
            "no errno");
    refused((struct dma_buf_test_make) { .size = SIZE, .place = 1 },
            "the BAR has no pages");
    refused((struct dma_buf_test_make) { .size = SIZE, .flags = 2 },
            "pages that are not counted cannot be given");

    act.fd = device;
    check(ioctl(device, DMA_BUF_TEST_ACT, &act) && errno == EINVAL,
          "acts", "only on dma-bufs (%m)");
    if (begin(pfn, &fd, &p)) {
        equal(act_on(fd, 0, 0, NULL), EINVAL, "acts", "there is no action 0");
        equal(act_on(fd, 7, 0, NULL), EINVAL, "acts", "nor 7");
        equal(act_on(fd, DMA_BUF_TEST_FAIL, 4096, NULL), EINVAL, "acts",
              "nor errno 4096");
        finish(fd, p);
    }
}

static void check_kind(const struct kind *kind)
{
    check_contents(kind);
    check_guest(kind);
    check_removal(kind, DMA_BUF_TEST_REVOKE);
    check_removal(kind, DMA_BUF_TEST_PURGE);
    if (kind->make.flags & DMA_BUF_TEST_MOVABLE) {
        check_move(kind);
    }
    check_fails(kind, DMA_BUF_TEST_FAIL, ENOMEM);
    check_fails(kind, DMA_BUF_TEST_FAIL_LATE, ENXIO);
}

/* What the kernel can do is told by it, not by us */
static bool kernel_has_info(void)
{
    int fd = make(&(struct kind) { .make.statement = DMA_BUF_TEST_INCOHERENT });

    if (fd >= 0) {
        close(fd);
    }
    return fd >= 0 || errno != EOPNOTSUPP;
}

static void start(void)
{
    struct sigaction sa = { .sa_handler = on_fault };
    struct utsname name;
    long major, minor;

    sigaction(SIGBUS, &sa, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    uname(&name);
    if (sscanf(name.release, "%ld.%ld", &major, &minor) == 2) {
        kernel_version = major * 1000 + minor;
    }
    kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0) {
        kvm = -errno;
    }
    has_info = kernel_has_info();
    printf("# Linux %s, DMA_BUF_IOCTL_INFO: %s, KVM: %s\n", name.release,
           has_info ? "yes" : "no", kvm >= 0 ? "yes" : strerror(-kvm));
}

int main(int argc, char **argv)
{
    bool want_info = argc > 1 && !strcmp(argv[1], "--ioctl");

    device = open("/dev/dma-buf-test", O_RDWR | O_CLOEXEC);
    if (device < 0) {
        perror("/dev/dma-buf-test");
        return 1;
    }
    start();
    equal(has_info, want_info, "kernel", "has DMA_BUF_IOCTL_INFO as expected");
    for (size_t i = 0; i < KINDS; i++) {
        check_kind(&kinds[i]);
    }
    check_no_move();
    check_fails_from_start();
    check_statements();
    check_arguments();
    printf("1..%d\n", passed + failed + skipped);
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
