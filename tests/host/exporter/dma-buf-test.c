// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For tests: an exporter whose buffers are mapped as the caller likes, fail
 * when told to, move between RAM and a PCI BAR, and go away.
 *
 * One file for the test kernel and, as a module, for released ones; those have
 * no DMA_BUF_IOCTL_INFO, and buffers there state nothing.
 */

#include <linux/bitmap.h>
#include <linux/dma-buf.h>
#include <linux/io.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/pci.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#ifndef WITHOUT_PFN_T
#include <linux/pfn_t.h>
#endif
#ifdef CONFIG_X86
#include <asm/set_memory.h>
#endif

#include "dma-buf-test.h"

#define MAX_SIZE	(16UL << 20)
#define MAX_ERROR	4095
/* Not compound: all pages but the first have a reference count of zero */
#define UNCOUNTED_ORDER	2

#define BOCHS_VENDOR	0x1234
#define BOCHS_DEVICE	0x1111

struct test_buf {
	/*
	 * Faults hold it for reading while they enter a page, so that all that
	 * was entered is found by the unmapping side, which holds it for
	 * writing.
	 */
	struct rw_semaphore lock;
	u32 map;
	u32 place;
	u32 cache;
	u32 flags;
	unsigned int n;
	bool gone;
	bool fail_late;
	u32 mmap_error;
	atomic64_t faults;
	atomic64_t mmaps;
	/* NULL when all is in the BAR for good, or purged */
	struct page **pages;
	/* In pages; negative when it has no part of the BAR */
	long bar;
};

static struct {
	struct pci_dev *pdev;
	phys_addr_t base;
	void __iomem *io;
	unsigned int n;
	unsigned long *used;
	/* Guards @used */
	struct mutex lock;
} vram;

/* What the kernels this is built for have differently: see Kbuild */

#ifdef WITHOUT_VM_FLAGS_SET
static void test_set_flags(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}
#else
static void test_set_flags(struct vm_area_struct *vma, unsigned long flags)
{
	vm_flags_set(vma, flags);
}
#endif

static vm_fault_t test_insert_mixed(struct vm_area_struct *vma,
				    unsigned long addr, unsigned long pfn)
{
#ifdef WITHOUT_PFN_T
	return vmf_insert_mixed(vma, addr, pfn);
#else
	return vmf_insert_mixed(vma, addr, __pfn_to_pfn_t(pfn, PFN_DEV));
#endif
}

/* The BAR */

static int test_bar_alloc(struct test_buf *buf)
{
	unsigned long at;

	if (!vram.io)
		return -ENODEV;

	mutex_lock(&vram.lock);
	at = bitmap_find_next_zero_area(vram.used, vram.n, 0, buf->n, 0);
	if (at < vram.n) {
		bitmap_set(vram.used, at, buf->n);
		buf->bar = at;
	}
	mutex_unlock(&vram.lock);
	if (buf->bar < 0)
		return -ENOSPC;

	memset_io(vram.io + buf->bar * PAGE_SIZE, 0, buf->n * PAGE_SIZE);
	return 0;
}

static void test_bar_free(struct test_buf *buf)
{
	if (buf->bar < 0)
		return;

	mutex_lock(&vram.lock);
	bitmap_clear(vram.used, buf->bar, buf->n);
	mutex_unlock(&vram.lock);
	buf->bar = -1;
}

/* RAM */

static unsigned int test_step(const struct test_buf *buf)
{
	return buf->flags & DMA_BUF_TEST_UNCOUNTED ? 1 << UNCOUNTED_ORDER : 1;
}

static void test_ram_free(struct test_buf *buf)
{
	unsigned int i, order = ilog2(test_step(buf));

	if (!buf->pages)
		return;

#ifdef CONFIG_X86
	if (buf->cache == DMA_BUF_TEST_WC)
		set_pages_array_wb(buf->pages, buf->n);
#endif
	for (i = 0; i < buf->n; i += 1 << order)
		__free_pages(buf->pages[i], order);
	kvfree(buf->pages);
	buf->pages = NULL;
}

static int test_ram_fill(struct test_buf *buf)
{
	unsigned int i, j, step = test_step(buf);
	struct page *page;

	for (i = 0; i < buf->n; i += step) {
		page = alloc_pages(GFP_KERNEL | __GFP_ZERO, ilog2(step));
		if (!page)
			goto undo;
		for (j = 0; j < step; j++)
			buf->pages[i + j] = page + j;
	}
	return 0;

undo:
	while (i) {
		i -= step;
		__free_pages(buf->pages[i], ilog2(step));
	}
	return -ENOMEM;
}

static int test_ram_alloc(struct test_buf *buf)
{
	int ret;

	buf->pages = kvcalloc(buf->n, sizeof(*buf->pages), GFP_KERNEL);
	if (!buf->pages)
		return -ENOMEM;

	ret = test_ram_fill(buf);
	if (ret) {
		kvfree(buf->pages);
		buf->pages = NULL;
		return ret;
	}
#ifdef CONFIG_X86
	/* A write-combined mapping asks the kernel's own one what type it has */
	if (buf->cache == DMA_BUF_TEST_WC)
		ret = set_pages_array_wc(buf->pages, buf->n);
	if (ret)
		test_ram_free(buf);
#endif
	return ret;
}

/* Mappings */

static unsigned long test_pfn(const struct test_buf *buf, pgoff_t i)
{
	if (buf->place == DMA_BUF_TEST_BAR)
		return PHYS_PFN(vram.base) + buf->bar + i;
	return page_to_pfn(buf->pages[i]);
}

/* Called with the lock held. */
static vm_fault_t test_enter(struct test_buf *buf, struct vm_area_struct *vma,
			     unsigned long addr, pgoff_t i)
{
	if (buf->map == DMA_BUF_TEST_PFN)
		return vmf_insert_pfn(vma, addr, test_pfn(buf, i));
	if (buf->place == DMA_BUF_TEST_RAM)
		return vmf_insert_page(vma, addr, buf->pages[i]);
	return test_insert_mixed(vma, addr, test_pfn(buf, i));
}

/*
 * The caller enters this page, and we have no say in when.  It holds the
 * page's lock until then: see test_unmap().
 */
static vm_fault_t test_give(struct test_buf *buf, struct vm_fault *vmf)
{
	struct page *page = buf->pages[vmf->pgoff];

	get_page(page);
	lock_page(page);
	vmf->page = page;
	return VM_FAULT_LOCKED;
}

static vm_fault_t test_fault(struct vm_fault *vmf)
{
	struct test_buf *buf = vmf->vma->vm_private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	down_read(&buf->lock);
	if (!buf->gone && vmf->pgoff < buf->n) {
		atomic64_inc(&buf->faults);
		if (buf->map == DMA_BUF_TEST_PAGES)
			ret = test_give(buf, vmf);
		else
			ret = test_enter(buf, vmf->vma, vmf->address,
					 vmf->pgoff);
	}
	up_read(&buf->lock);
	return ret;
}

static const struct vm_operations_struct test_vm_ops = {
	.fault = test_fault,
};

static unsigned long test_vm_flags(const struct test_buf *buf)
{
	unsigned long flags = VM_DONTEXPAND | VM_DONTDUMP;

	if (buf->map == DMA_BUF_TEST_PFN)
		flags |= VM_PFNMAP;
	if (buf->map == DMA_BUF_TEST_MIXED)
		flags |= VM_MIXEDMAP;
	if (buf->bar >= 0)
		flags |= VM_IO;
	return flags;
}

/* Called with the lock held. */
static int test_fail(struct test_buf *buf, struct vm_area_struct *vma)
{
	if (buf->fail_late && !buf->gone && vma->vm_pgoff < buf->n) {
		if (buf->map == DMA_BUF_TEST_PAGES)
			vm_insert_page(vma, vma->vm_start,
				       buf->pages[vma->vm_pgoff]);
		else
			test_enter(buf, vma, vma->vm_start, vma->vm_pgoff);
	}
	return -(int)buf->mmap_error;
}

static int test_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct test_buf *buf = dmabuf->priv;
	int ret = 0;

	atomic64_inc(&buf->mmaps);
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;

	if (buf->cache == DMA_BUF_TEST_WC)
		vma->vm_page_prot = pgprot_writecombine(vma->vm_page_prot);
	test_set_flags(vma, test_vm_flags(buf));
	vma->vm_private_data = buf;
	vma->vm_ops = &test_vm_ops;

	down_read(&buf->lock);
	if (buf->mmap_error)
		ret = test_fail(buf, vma);
	up_read(&buf->lock);
	return ret;
}

/*
 * Take all out of all page tables.  Called with the lock held for writing: no
 * fault is between its look at the buffer and the end of its work, but those
 * whose page the caller enters; and they hold its lock.
 */
static void test_unmap(struct dma_buf *dmabuf)
{
	struct test_buf *buf = dmabuf->priv;
	unsigned int i;

	for (i = 0; buf->map == DMA_BUF_TEST_PAGES && i < buf->n; i++) {
		lock_page(buf->pages[i]);
		unlock_page(buf->pages[i]);
	}
	unmap_mapping_range(dmabuf->file->f_mapping, 0, 0, 1);
}

/* What can be done to a buffer */

static int test_move(struct dma_buf *dmabuf, u32 place)
{
	struct test_buf *buf = dmabuf->priv;
	unsigned int i;

	if (!(buf->flags & DMA_BUF_TEST_MOVABLE) || place > DMA_BUF_TEST_BAR)
		return -EINVAL;
	if (buf->gone)
		return -ENXIO;
	if (buf->place == place)
		return 0;

	test_unmap(dmabuf);
	for (i = 0; i < buf->n; i++) {
		void __iomem *io = vram.io + (buf->bar + i) * PAGE_SIZE;
		void *ram = page_address(buf->pages[i]);

		if (place == DMA_BUF_TEST_BAR)
			memcpy_toio(io, ram, PAGE_SIZE);
		else
			memcpy_fromio(ram, io, PAGE_SIZE);
	}
	buf->place = place;
	return 0;
}

static int test_remove(struct dma_buf *dmabuf, bool purge)
{
	struct test_buf *buf = dmabuf->priv;

	if (!buf->gone)
		test_unmap(dmabuf);
	buf->gone = true;
	if (purge) {
		test_ram_free(buf);
		test_bar_free(buf);
	}
	return 0;
}

static int test_set_error(struct test_buf *buf, u32 error, bool late)
{
	if (error > MAX_ERROR)
		return -EINVAL;

	buf->mmap_error = error;
	buf->fail_late = late;
	return 0;
}

static int test_act(struct dma_buf *dmabuf, struct dma_buf_test_act *act)
{
	switch (act->action) {
	case DMA_BUF_TEST_MOVE:
		return test_move(dmabuf, act->arg);
	case DMA_BUF_TEST_REVOKE:
		return test_remove(dmabuf, false);
	case DMA_BUF_TEST_PURGE:
		return test_remove(dmabuf, true);
	case DMA_BUF_TEST_FAIL:
		return test_set_error(dmabuf->priv, act->arg, false);
	case DMA_BUF_TEST_FAIL_LATE:
		return test_set_error(dmabuf->priv, act->arg, true);
	case DMA_BUF_TEST_LOOK:
		return 0;
	default:
		return -EINVAL;
	}
}

/* The buffer */

static struct sg_table *test_map_dma(struct dma_buf_attachment *at,
				     enum dma_data_direction dir)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void test_unmap_dma(struct dma_buf_attachment *at, struct sg_table *sgt,
			   enum dma_data_direction dir)
{
}

static void test_free(struct test_buf *buf)
{
	test_ram_free(buf);
	test_bar_free(buf);
	kfree(buf);
}

static void test_release(struct dma_buf *dmabuf)
{
	test_free(dmabuf->priv);
}

static const struct dma_buf_ops test_ops = {
	.map_dma_buf = test_map_dma,
	.unmap_dma_buf = test_unmap_dma,
	.release = test_release,
	.mmap = test_mmap,
};

#ifdef DMA_BUF_INFO_MAP_INFO
static const struct dma_buf_ops test_ops_unstated = {
	.no_info = true,
	.map_dma_buf = test_map_dma,
	.unmap_dma_buf = test_unmap_dma,
	.release = test_release,
	.mmap = test_mmap,
};

static int test_state(struct dma_buf_export_info *info, u32 statement)
{
	switch (statement) {
	case DMA_BUF_TEST_UNSTATED:
		info->ops = &test_ops_unstated;
		return 0;
	case DMA_BUF_TEST_INCOHERENT:
		info->map_info = DMA_BUF_MAP_INCOHERENT;
		return 0;
	case DMA_BUF_TEST_STATE_WC:
		info->map_info = DMA_BUF_MAP_COHERENT_WC;
		return 0;
	case DMA_BUF_TEST_STATE_CACHED:
		info->map_info = DMA_BUF_MAP_COHERENT_CACHED;
		return 0;
	default:
		return -EINVAL;
	}
}
#else
static int test_state(struct dma_buf_export_info *info, u32 statement)
{
	if (statement > DMA_BUF_TEST_STATE_CACHED)
		return -EINVAL;
	return statement == DMA_BUF_TEST_UNSTATED ? 0 : -EOPNOTSUPP;
}
#endif

static bool test_make_valid(const struct dma_buf_test_make *make)
{
	u32 known = DMA_BUF_TEST_MOVABLE | DMA_BUF_TEST_UNCOUNTED;
	bool io = make->place == DMA_BUF_TEST_BAR ||
		  make->flags & DMA_BUF_TEST_MOVABLE;
	bool uncounted = make->flags & DMA_BUF_TEST_UNCOUNTED;

	if (!make->size || make->size > MAX_SIZE ||
	    make->size & ~PAGE_MASK)
		return false;
	if (make->map > DMA_BUF_TEST_MIXED || make->place > DMA_BUF_TEST_BAR ||
	    make->cache > DMA_BUF_TEST_WC || make->flags & ~known ||
	    make->mmap_error > MAX_ERROR)
		return false;
	if (io && make->map == DMA_BUF_TEST_PAGES)
		return false;
	/* A page that is not counted can only be known by its number */
	if (uncounted && (make->map != DMA_BUF_TEST_PFN ||
			  make->size & ((PAGE_SIZE << UNCOUNTED_ORDER) - 1)))
		return false;
	return true;
}

static struct test_buf *test_alloc(const struct dma_buf_test_make *make)
{
	bool movable = make->flags & DMA_BUF_TEST_MOVABLE;
	struct test_buf *buf;
	int ret = 0;

	buf = kzalloc(sizeof(*buf), GFP_KERNEL);
	if (!buf)
		return ERR_PTR(-ENOMEM);

	init_rwsem(&buf->lock);
	buf->map = make->map;
	buf->place = make->place;
	buf->cache = make->cache;
	buf->flags = make->flags;
	buf->mmap_error = make->mmap_error;
	buf->n = make->size >> PAGE_SHIFT;
	buf->bar = -1;

	if (movable || make->place == DMA_BUF_TEST_BAR)
		ret = test_bar_alloc(buf);
	if (!ret && (movable || make->place == DMA_BUF_TEST_RAM))
		ret = test_ram_alloc(buf);
	if (ret) {
		test_free(buf);
		return ERR_PTR(ret);
	}
	return buf;
}

static long test_ioctl_make(void __user *arg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct dma_buf_test_make make;
	struct dma_buf *dmabuf;
	struct test_buf *buf;
	int ret;

	if (copy_from_user(&make, arg, sizeof(make)))
		return -EFAULT;
	if (!test_make_valid(&make))
		return -EINVAL;

	info.ops = &test_ops;
	info.size = make.size;
	info.flags = O_RDWR;
	ret = test_state(&info, make.statement);
	if (ret)
		return ret;

	buf = test_alloc(&make);
	if (IS_ERR(buf))
		return PTR_ERR(buf);

	info.priv = buf;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		test_free(buf);
		return PTR_ERR(dmabuf);
	}

	ret = dma_buf_fd(dmabuf, O_CLOEXEC);
	if (ret < 0)
		dma_buf_put(dmabuf);
	return ret;
}

static bool test_is_ours(const struct dma_buf *dmabuf)
{
	return dmabuf->ops->release == test_release;
}

static long test_ioctl_act(void __user *arg)
{
	struct dma_buf_test_act act;
	struct dma_buf *dmabuf;
	struct test_buf *buf;
	int ret = -EINVAL;

	if (copy_from_user(&act, arg, sizeof(act)))
		return -EFAULT;

	dmabuf = dma_buf_get(act.fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	if (test_is_ours(dmabuf)) {
		buf = dmabuf->priv;
		down_write(&buf->lock);
		ret = test_act(dmabuf, &act);
		act.place = buf->place;
		up_write(&buf->lock);
		act.faults = atomic64_read(&buf->faults);
		act.mmaps = atomic64_read(&buf->mmaps);
	}
	dma_buf_put(dmabuf);

	if (!ret && copy_to_user(arg, &act, sizeof(act)))
		return -EFAULT;
	return ret;
}

static long test_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd) {
	case DMA_BUF_TEST_MAKE:
		return test_ioctl_make((void __user *)arg);
	case DMA_BUF_TEST_ACT:
		return test_ioctl_act((void __user *)arg);
	default:
		return -ENOTTY;
	}
}

/* The device */

static const struct file_operations test_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = test_ioctl,
};

static struct miscdevice test_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "dma-buf-test",
	.fops = &test_fops,
};

static void test_vram_close(void)
{
	if (vram.io)
		iounmap(vram.io);
	vram.io = NULL;
	bitmap_free(vram.used);
	if (!vram.pdev)
		return;
	pci_release_region(vram.pdev, 0);
	pci_disable_device(vram.pdev);
	pci_dev_put(vram.pdev);
}

/* The device with the BAR, unless it is in use: then there is none. */
static bool test_vram_claim(void)
{
	struct pci_dev *pdev;

	pdev = pci_get_device(BOCHS_VENDOR, BOCHS_DEVICE, NULL);
	if (!pdev)
		return false;
	if (pci_enable_device_mem(pdev))
		goto put;
	if (pci_request_region(pdev, 0, "dma-buf-test"))
		goto disable;
	vram.pdev = pdev;
	return true;

disable:
	pci_disable_device(pdev);
put:
	pci_dev_put(pdev);
	return false;
}

static void test_vram_open(void)
{
	mutex_init(&vram.lock);
	if (!test_vram_claim())
		return;

	vram.base = pci_resource_start(vram.pdev, 0);
	vram.n = pci_resource_len(vram.pdev, 0) >> PAGE_SHIFT;
	vram.used = bitmap_zalloc(vram.n, GFP_KERNEL);
	/* It stays: on x86 user space's mappings take their type from it */
	if (vram.used)
		vram.io = ioremap_wc(vram.base,
				     (size_t)vram.n << PAGE_SHIFT);
}

static int __init test_init(void)
{
	int ret;

	test_vram_open();
	ret = misc_register(&test_dev);
	if (ret)
		test_vram_close();
	return ret;
}

static void __exit test_exit(void)
{
	misc_deregister(&test_dev);
	test_vram_close();
}

module_init(test_init);
module_exit(test_exit);

#ifdef NAMESPACES_ARE_STRINGS
MODULE_IMPORT_NS("DMA_BUF");
#else
MODULE_IMPORT_NS(DMA_BUF);
#endif
MODULE_DESCRIPTION("dma-bufs that fail, move and go away, for tests");
MODULE_LICENSE("GPL");
