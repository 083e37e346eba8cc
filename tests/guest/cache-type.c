/*
 * How the guest's kernel has mapped a blob
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * x86's kernel has a list of all ranges with their types.  Others tell only
 * where the device's blobs are; arm64's types are looked up in the page tables
 * themselves, which the kernel's memory holds and /proc/kcore shows.
 */

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache-type.h"
#include "drm-blob.h"

#define RANGE_MAX 512

static size_t read_ranges(struct mapped_range *list);

#if defined(__x86_64__)

#define RANGES "/sys/kernel/debug/x86/pat_memtype_list"

static bool parse_range(const char *line, struct mapped_range *r)
{
    return sscanf(line, "PAT: [mem 0x%" SCNx64 "-0x%" SCNx64 "] %31s",
                  &r->start, &r->end, r->type) == 3;
}

static struct mapped_range before[RANGE_MAX];
static size_t n_before;

/* It was not there before */
static bool is_new(struct mapped_range *r)
{
    size_t i;

    for (i = 0; i < n_before; i++) {
        if (before[i].start == r->start && before[i].end == r->end) {
            return false;
        }
    }
    return true;
}

void note_ranges(void)
{
    n_before = read_ranges(before);
}

#elif defined(__aarch64__)

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#define RANGES "/sys/kernel/debug/dri/0/virtio-gpu-host-visible-mm"

static bool parse_range(const char *line, struct mapped_range *r)
{
    return sscanf(line, "0x%" SCNx64 "-0x%" SCNx64 ": %*u: %31s",
                  &r->start, &r->end, r->type) == 3 && !strcmp(r->type, "used");
}

#define PAGE 4096
#define MEMORY "/proc/kcore"

/*
 * An entry of the last level, accessed, of one process, which may use the page
 * and may not run it; its address
 */
#define PTE_KIND 0x0060000000000c43ull
#define PTE_ADDRESS 0x0000fffffffff000ull
#define PTE_ATTR(pte) ((pte) >> 2 & 7)

/* By the index that arm64's kernel gives them in MAIR_EL1 */
static const char *const attr_names[] = {
    "normal", "normal-tagged", "normal-nc", "device", "device",
};

static bool maps(const uint64_t *table, uint64_t at, size_t pages)
{
    size_t i;

    for (i = 0; i < pages; i++) {
        if ((table[i] & (PTE_ADDRESS | PTE_KIND)) !=
            ((at + i * PAGE) | PTE_KIND) ||
            PTE_ATTR(table[i]) != PTE_ATTR(table[0])) {
            return false;
        }
    }
    return true;
}

/* The attribute of the range's first pages in a page of memory; or -1 */
static int find_entries(const uint64_t *page, const struct mapped_range *r)
{
    size_t i, pages = (r->end - r->start) / PAGE;
    size_t entries = PAGE / sizeof(*page);

    for (i = 0; i < entries; i++) {
        if ((page[i] & PTE_ADDRESS) == r->start) {
            size_t n = pages < entries - i ? pages : entries - i;

            if (maps(&page[i], r->start, n)) {
                return PTE_ATTR(page[i]);
            }
        }
    }
    return -1;
}

static int search(int memory, const Elf64_Phdr *segment,
                  const struct mapped_range *r)
{
    static uint64_t buf[256 * PAGE / sizeof(uint64_t)];
    uint64_t at = 0;
    int attr = -1;

    while (at < segment->p_filesz && attr < 0) {
        ssize_t i, n = pread(memory, buf, sizeof(buf), segment->p_offset + at);

        if (n < PAGE) {
            return -1;
        }
        for (i = 0; i + PAGE <= n && attr < 0; i += PAGE) {
            attr = find_entries(&buf[i / sizeof(*buf)], r);
        }
        at += i;
    }
    return attr;
}

/* It is mapped; the driver gives back the last one's place when it likes */
static bool is_new(struct mapped_range *r)
{
    int memory = open(MEMORY, O_RDONLY | O_CLOEXEC);
    int i, attr = -1;
    Elf64_Ehdr header;

    if (memory < 0 || pread(memory, &header, sizeof(header), 0) < 0) {
        fail(MEMORY);
    }
    for (i = 0; i < header.e_phnum && attr < 0; i++) {
        Elf64_Phdr segment;

        if (pread(memory, &segment, sizeof(segment), header.e_phoff +
                  i * sizeof(segment)) != sizeof(segment)) {
            fail(MEMORY);
        }
        /* What has a physical address is memory */
        if (segment.p_type == PT_LOAD && segment.p_paddr != UINT64_MAX) {
            attr = search(memory, &segment, r);
        }
    }
    close(memory);
    if (attr < 0 || attr >= (int)(sizeof(attr_names) / sizeof(*attr_names))) {
        return false;
    }
    strcpy(r->type, attr_names[attr]);
    return true;
}

void note_ranges(void)
{
}

#else
#error "where does this kernel tell how it maps memory?"
#endif

static size_t read_ranges(struct mapped_range *list)
{
    FILE *f = fopen(RANGES, "r");
    char line[160];
    size_t n = 0;

    if (!f) {
        fail(RANGES);
    }
    while (n < RANGE_MAX && fgets(line, sizeof(line), f)) {
        n += parse_range(line, &list[n]);
    }
    fclose(f);
    return n;
}

const struct mapped_range *new_range(size_t size)
{
    static struct mapped_range after[RANGE_MAX];
    size_t i, n = read_ranges(after);

    for (i = 0; i < n; i++) {
        if (after[i].end - after[i].start == size && is_new(&after[i])) {
            return &after[i];
        }
    }
    errno = ENOENT;
    fail("no new range of %zu bytes in " RANGES, size);
}

/*
 * Unaligned accesses
 */

static sigjmp_buf refused;

static void on_signal(int number)
{
    siglongjmp(refused, number);
}

struct __attribute__((packed)) word {
    uint64_t value;
};

/* Words across each border of 16 bytes, as one access and by its bytes */
static bool words_right(volatile uint8_t *memory, size_t size)
{
    bool right = true;
    size_t at, i;

    for (at = 9; at + 8 <= size; at += at < 4096 ? 16 : 4096) {
        volatile struct word *word = (volatile void *)(memory + at);
        uint64_t value = 0x0102030405060708ull * (at | 1);

        word->value = value;
        for (i = 0; i < 8; i++) {
            right &= memory[at + i] == (uint8_t)(value >> 8 * i);
        }
        memory[at + 7] ^= 0xff;
        right &= word->value == (value ^ 0xffull << 56);
    }
    return right;
}

/* The C library's, which may clear whole cache lines */
static bool blocks_right(uint8_t *memory)
{
    static uint8_t copy[1000];
    size_t i;

    for (i = 0; i < sizeof(copy); i++) {
        copy[i] = i * 7 + 1;
    }
    memcpy(memory + 3, copy, sizeof(copy));
    memset(memory + 1, 0, 514);
    memset(copy, 0, 512);
    return !memcmp(memory + 3, copy, sizeof(copy));
}

const char *try_unaligned(volatile void *memory, size_t size)
{
    struct sigaction action = { .sa_handler = on_signal }, was;
    const char *result = "fault";

    sigaction(SIGBUS, &action, &was);
    if (!sigsetjmp(refused, 1)) {
        result = words_right(memory, size) &&
                 blocks_right((uint8_t *)memory) ? "right" : "wrong";
    }
    sigaction(SIGBUS, &was, NULL);
    return result;
}
