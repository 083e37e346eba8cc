/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * /dev/dma-buf-test: dma-bufs that are mapped as the caller likes, fail when
 * told to, move and go away.  For tests only.
 */
#ifndef _UAPI_LINUX_DMA_BUF_TEST_H
#define _UAPI_LINUX_DMA_BUF_TEST_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* The kind of VMA: one of these */
/* RAM in an ordinary VMA; each fault gives a page with a reference */
#define DMA_BUF_TEST_PAGES	0
/* VM_PFNMAP, as udmabuf, dma-heaps and GEM shmem have it */
#define DMA_BUF_TEST_PFN	1
/* VM_MIXEDMAP */
#define DMA_BUF_TEST_MIXED	2

/* Where a buffer is */
#define DMA_BUF_TEST_RAM	0
/* BAR 0 of bochs-display, reached write-combined; not with PAGES */
#define DMA_BUF_TEST_BAR	1

/* What vm_page_prot is */
#define DMA_BUF_TEST_CACHED	0
#define DMA_BUF_TEST_WC		1

/*
 * What DMA_BUF_IOCTL_INFO answers.  A kernel without that ioctl makes buffers
 * of no other kind than UNSTATED: they answer ENOTTY.
 */
#define DMA_BUF_TEST_UNSTATED	0
#define DMA_BUF_TEST_INCOHERENT	1
#define DMA_BUF_TEST_STATE_WC	2
#define DMA_BUF_TEST_STATE_CACHED	3

/* In flags: may move between RAM and BAR; not with PAGES */
#define DMA_BUF_TEST_MOVABLE	0x1
/* In flags: RAM whose pages have no references of their own, as TTM has it */
#define DMA_BUF_TEST_UNCOUNTED	0x2

/**
 * struct dma_buf_test_make - a new buffer
 * @size: in bytes, a multiple of the page size, 16 MiB at most
 * @map: DMA_BUF_TEST_PAGES, _PFN or _MIXED
 * @place: DMA_BUF_TEST_RAM or _BAR
 * @cache: DMA_BUF_TEST_CACHED or _WC
 * @statement: DMA_BUF_TEST_UNSTATED and its like
 * @flags: DMA_BUF_TEST_MOVABLE, _UNCOUNTED
 * @mmap_error: when not zero, mmap() fails with this errno
 *
 * Argument of DMA_BUF_TEST_MAKE, which returns the buffer's fd.  Errors:
 * EINVAL for what does not exist, ENODEV for a BAR that this machine has not,
 * EOPNOTSUPP for a statement that this kernel cannot make.
 */
struct dma_buf_test_make {
	__u64 size;
	__u32 map;
	__u32 place;
	__u32 cache;
	__u32 statement;
	__u32 flags;
	__u32 mmap_error;
};

/* Take it to DMA_BUF_TEST_RAM or _BAR (arg), contents and all */
#define DMA_BUF_TEST_MOVE	1
/* From now on each access is a SIGBUS; the memory stays the buffer's */
#define DMA_BUF_TEST_REVOKE	2
/* The same, and the memory is given back: contents are gone */
#define DMA_BUF_TEST_PURGE	3
/* mmap() fails with this errno (arg) from now on; 0: it succeeds again */
#define DMA_BUF_TEST_FAIL	4
/* As FAIL, but only when the first page is in the VMA already */
#define DMA_BUF_TEST_FAIL_LATE	5
/* Nothing; only look */
#define DMA_BUF_TEST_LOOK	6

/**
 * struct dma_buf_test_act - do something to a buffer
 * @fd: the buffer
 * @action: DMA_BUF_TEST_MOVE and its like
 * @arg: what the action says
 * @place: out: where it is now
 * @faults: out: how many faults were served since it was made
 * @mmaps: out: how often mmap() was tried
 */
struct dma_buf_test_act {
	__s32 fd;
	__u32 action;
	__u32 arg;
	__u32 place;
	__u64 faults;
	__u64 mmaps;
};

#define DMA_BUF_TEST_MAKE	_IOW('T', 0xd0, struct dma_buf_test_make)
#define DMA_BUF_TEST_ACT	_IOWR('T', 0xd1, struct dma_buf_test_act)

#endif
