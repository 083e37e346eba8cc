/*
 * DMA_BUF_IOCTL_INFO: ask a dma-buf's exporter about the buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interface as posted to dri-devel on 15 August 2022.  An earlier
 * posting used the same ioctl number with other values (there, 1 means
 * cached); the two cannot be told apart from user space.  A kernel without
 * the ioctl answers -ENOTTY.
 */

#ifndef HW_VIRTIO_DMA_BUF_INFO_H
#define HW_VIRTIO_DMA_BUF_INFO_H

#include <sys/ioctl.h>

/**
 * struct dma_buf_info - argument of DMA_BUF_IOCTL_INFO
 * @param: in: what is asked, DMA_BUF_INFO_*; the kernel answers -EINVAL
 *         to a value that it does not know
 * @pad: must be zero
 * @value: out: the exporter's answer
 */
struct dma_buf_info {
    uint32_t param;
    uint32_t pad;
    uint64_t value;
};

/* How the CPU's mappings of the buffer behave, for the buffer's life */
#define DMA_BUF_INFO_MAP_INFO           1

/* CPU access needs DMA_BUF_IOCTL_SYNC, or nothing is known */
#define DMA_BUF_MAP_INFO_INCOHERENT     0
/* CPU mappings are write-combine and coherent without SYNC */
#define DMA_BUF_MAP_INFO_COHERENT_WC    1
/* CPU mappings are cached and coherent without SYNC */
#define DMA_BUF_MAP_INFO_COHERENT_CACHED 2

#define DMA_BUF_IOCTL_INFO              _IOWR('b', 2, struct dma_buf_info)

#endif /* HW_VIRTIO_DMA_BUF_INFO_H */
