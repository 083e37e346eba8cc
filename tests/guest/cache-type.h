/*
 * How the guest's kernel has mapped a blob
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef CACHE_TYPE_H
#define CACHE_TYPE_H

#include <stddef.h>
#include <stdint.h>

/* A blob's place in physical memory, and its type by the words of the kernel */
struct mapped_range {
    uint64_t start, end;
    char type[32];
};

/* Call it before the blob is created */
void note_ranges(void);

/* The one of this size that is mapped since; the program fails without one */
const struct mapped_range *new_range(size_t size);

/*
 * Whether memory, a page or more, takes accesses that are not aligned, and the
 * large ones of the C library: "right", "wrong", or "fault" where the processor
 * refuses; the contents are lost
 */
const char *try_unaligned(volatile void *memory, size_t size);

#endif
