/*
 * A small virtio-gpu driver for qtests: the device and its queues
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/virtio_config.h"
#include "standard-headers/linux/virtio_pci.h"
#include "standard-headers/linux/virtio_ring.h"
#include "virtio-gpu-gl-client-internal.h"

#define SLOT_SIZE 8192
#define SLOT_CMD 512
#define SLOT_REPLY 4096
#define PIECES_MAX 15
#define RING_SIZE (16 * GPU_PAGE)
#define TIMEOUT_US (10 * G_USEC_PER_SEC)

#define MMIO_BASE 0xd0000000u
#define WINDOW_BASE (512ull << 30)
/* For programs of 32 bits */
#define WINDOW_BASE_LOW 0x40000000u

/*
 * The device
 */

static void map_window(GPU *gpu, uint64_t addr)
{
    qvirtio_gpu_pci_map_shm(gpu->dev, addr);
    gpu->window = gpu->dev->gpu.shm_addr;
}

void gpu_pci_open(GPU *gpu)
{
    if (!gpu->dev) {
        gpu->dev = qvirtio_gpu_pci_new(gpu->bus, &(QPCIAddress) {
            .devfn = QPCI_DEVFN(0x10, 0),
        });
        gpu->window_length = gpu->dev->gpu.shm_length;
    }
    if (gpu->window_length) {
        map_window(gpu, ROUND_UP(gpu->low ? WINDOW_BASE_LOW : WINDOW_BASE,
                                 gpu->window_length));
    }
    /* libqos does not take addresses back. */
    gpu->bus->mmio_alloc_ptr = MMIO_BASE;
    qvirtio_pci_device_enable(&gpu->dev->pci_vdev);
}

static void toggle(GPU *gpu, uint16_t bit)
{
    QPCIDevice *pdev = gpu->dev->pci_vdev.pdev;
    uint16_t command = qpci_config_readw(pdev, PCI_COMMAND);

    qpci_config_writew(pdev, PCI_COMMAND, command & ~bit);
    qpci_config_writew(pdev, PCI_COMMAND, command);
}

void gpu_toggle_memory(GPU *gpu)
{
    toggle(gpu, PCI_COMMAND_MEMORY);
}

void gpu_toggle_master(GPU *gpu)
{
    toggle(gpu, PCI_COMMAND_MASTER);
}

void gpu_move_window(GPU *gpu)
{
    map_window(gpu, gpu->window + 4 * gpu->window_length);
}

uint32_t gpu_config(GPU *gpu, unsigned offset)
{
    return qvirtio_config_readl(gpu->dev->gpu.vdev, offset);
}

uint64_t gpu_features(GPU *gpu)
{
    return qvirtio_get_features(gpu->dev->gpu.vdev);
}

static void write_common(GPU *gpu, unsigned reg, uint16_t value)
{
    QVirtioPCIDevice *dev = &gpu->dev->pci_vdev;

    qpci_io_writew(dev->pdev, dev->bar, dev->common_cfg_offset + reg, value);
}

/* libqos would send each word of the rings by the qtest protocol. */
static void setup_queue(GPU *gpu, unsigned index, uint64_t base, unsigned size)
{
    QVirtioPCIDevice *dev = &gpu->dev->pci_vdev;
    const QVirtioBus *bus = dev->vdev.bus;
    QVirtQueuePCI *queue = &gpu->queues[index];

    memset(gpu_ram(gpu, base), 0, RING_SIZE);
    bus->queue_select(&dev->vdev, index);
    *queue = (QVirtQueuePCI) {
        .vq.index = index,
        .vq.size = size ?: MIN(bus->get_queue_size(&dev->vdev), GPU_SLOTS_MAX),
        .vq.desc = base,
        .vq.avail = base + 4 * GPU_PAGE,
        .vq.used = base + 8 * GPU_PAGE,
        .notify_offset = dev->notify_cfg_offset +
                         index * dev->notify_off_multiplier,
    };
    write_common(gpu, VIRTIO_PCI_COMMON_Q_SIZE, queue->vq.size);
    bus->set_queue_address(&dev->vdev, &queue->vq);
    write_common(gpu, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

static void kick(GPU *gpu, unsigned index)
{
    QVirtioDevice *vdev = gpu->dev->gpu.vdev;

    vdev->bus->virtqueue_kick(vdev, &gpu->queues[index].vq);
}

void gpu_empty_queue(GPU *gpu)
{
    memset(gpu_ram(gpu, RING_BASE), 0, RING_SIZE);
    gpu->avail_idx = gpu->used_idx = 0;
    memset(gpu->busy, 0, sizeof(gpu->busy));
    memset(gpu->done, 0, sizeof(gpu->done));
}

void gpu_reset(GPU *gpu)
{
    QVirtioDevice *vdev = gpu->dev->gpu.vdev;

    qvirtio_start_device(vdev);
    qvirtio_set_features(vdev, qvirtio_get_features(vdev) & (gpu->features |
                         1ull << VIRTIO_F_VERSION_1 |
                         1u << VIRTIO_GPU_F_VIRGL |
                         1u << VIRTIO_GPU_F_RESOURCE_BLOB |
                         1u << VIRTIO_GPU_F_CONTEXT_INIT |
                         1u << GPU_F_BLOB_ALIGNMENT |
                         1u << VIRTIO_RING_F_INDIRECT_DESC));
    setup_queue(gpu, 0, RING_BASE, gpu->queue_size);
    setup_queue(gpu, 1, CURSOR_RING_BASE, 0);
    gpu->cursor_idx = 0;
    gpu_empty_queue(gpu);
    qvirtio_set_driver_ok(vdev);
}

void gpu_system_reset(GPU *gpu)
{
    qtest_system_reset(gpu->qts);
    gpu_pci_open(gpu);
    gpu_reset(gpu);
}

/*
 * The cursor's queue: few commands, and no answers
 */

#define CURSOR_SLOTS 16
#define CURSOR_CMD (CURSOR_RING_BASE + 12 * GPU_PAGE)

static struct vring_desc make_desc(uint64_t addr, size_t len, unsigned flags)
{
    return (struct vring_desc) {
        .addr = cpu_to_le64(addr),
        .len = cpu_to_le32(len),
        .flags = cpu_to_le16(flags),
    };
}

void gpu_cursor(GPU *gpu, const struct virtio_gpu_update_cursor *cmd,
                size_t len)
{
    struct vring_desc *desc = gpu_ram(gpu, CURSOR_RING_BASE);
    struct vring_avail *avail = gpu_ram(gpu, CURSOR_RING_BASE + 4 * GPU_PAGE);
    unsigned slot = gpu->cursor_idx % CURSOR_SLOTS;
    uint64_t addr = CURSOR_CMD + slot * sizeof(*cmd);

    memcpy(gpu_ram(gpu, addr), cmd, sizeof(*cmd));
    desc[slot] = make_desc(addr, len, 0);
    avail->ring[slot] = cpu_to_le16(slot);
    __atomic_store_n(&avail->idx, cpu_to_le16(++gpu->cursor_idx),
                     __ATOMIC_RELEASE);
    kick(gpu, 1);
}

/*
 * The control queue
 */

static struct vring_desc *ring_desc(GPU *gpu, unsigned slot)
{
    return (struct vring_desc *)gpu_ram(gpu, RING_BASE) + slot;
}

static struct vring_avail *ring_avail(GPU *gpu)
{
    return gpu_ram(gpu, RING_BASE + 4 * GPU_PAGE);
}

static struct vring_used *ring_used(GPU *gpu)
{
    return gpu_ram(gpu, RING_BASE + 8 * GPU_PAGE);
}

static uint64_t slot_addr(unsigned slot)
{
    return SLOT_BASE + slot * SLOT_SIZE;
}

static unsigned take_slot(GPU *gpu)
{
    unsigned n = MIN(gpu->queues[0].vq.size, GPU_SLOTS_MAX), i;

    for (i = 0; i < n; i++) {
        unsigned slot = gpu->next_slot++ % n;

        if (!gpu->busy[slot]) {
            gpu->busy[slot] = true;
            gpu->done[slot] = false;
            return slot;
        }
    }
    g_error("no free descriptor");
}

static unsigned fill_table(struct vring_desc *table, uint64_t out,
                           uint64_t in, const GPUCmd *cmd)
{
    unsigned pieces = MAX(cmd->pieces, 1), n = 0, i;
    size_t step = DIV_ROUND_UP(cmd->out_len, pieces);
    size_t done;

    g_assert_cmpuint(pieces, <=, PIECES_MAX);
    for (done = 0; done < cmd->out_len; done += step) {
        table[n++] = make_desc(out + done, MIN(step, cmd->out_len - done), 0);
    }
    if (cmd->more_len) {
        table[n++] = make_desc(cmd->more, cmd->more_len, 0);
    }
    if (cmd->in_len) {
        table[n++] = make_desc(in, cmd->in_len, VRING_DESC_F_WRITE);
    }
    for (i = 0; i + 1 < n; i++) {
        table[i].flags |= cpu_to_le16(VRING_DESC_F_NEXT);
        table[i].next = cpu_to_le16(i + 1);
    }
    return n;
}

unsigned gpu_put(GPU *gpu, const GPUCmd *cmd)
{
    unsigned slot = take_slot(gpu);
    uint64_t base = slot_addr(slot);
    uint64_t out = cmd->out_len > SLOT_REPLY - SLOT_CMD ? LONG_CMD
                                                        : base + SLOT_CMD;
    struct vring_avail *avail = ring_avail(gpu);
    unsigned n;

    memcpy(gpu_ram(gpu, out), cmd->out, cmd->out_len);
    memset(gpu_ram(gpu, base + SLOT_REPLY), 0xee, SLOT_SIZE - SLOT_REPLY);
    gpu->reply_max[slot] = cmd->in_len;
    n = fill_table(gpu_ram(gpu, base), out, base + SLOT_REPLY, cmd);
    *ring_desc(gpu, slot) = make_desc(base, n * sizeof(struct vring_desc),
                                      VRING_DESC_F_INDIRECT);
    avail->ring[gpu->avail_idx % gpu->queues[0].vq.size] = cpu_to_le16(slot);
    gpu->avail_idx++;
    __atomic_store_n(&avail->idx, cpu_to_le16(gpu->avail_idx),
                     __ATOMIC_RELEASE);
    return slot;
}

void gpu_kick(GPU *gpu)
{
    kick(gpu, 0);
}

static void collect(GPU *gpu)
{
    struct vring_used *used = ring_used(gpu);
    uint16_t idx = le16_to_cpu(__atomic_load_n(&used->idx, __ATOMIC_ACQUIRE));
    unsigned size = gpu->queues[0].vq.size;

    while (gpu->used_idx != idx) {
        struct vring_used_elem *e = &used->ring[gpu->used_idx++ % size];
        uint32_t slot = le32_to_cpu(e->id);

        g_assert_cmpuint(slot, <, size);
        g_assert_true(gpu->busy[slot]);
        g_assert_false(gpu->done[slot]);
        gpu->done[slot] = true;
        gpu->reply_len[slot] = le32_to_cpu(e->len);
        g_assert_cmpuint(gpu->reply_len[slot], <=, gpu->reply_max[slot]);
    }
}

bool gpu_is_done(GPU *gpu, unsigned slot)
{
    collect(gpu);
    return gpu->done[slot];
}

void gpu_settle(GPU *gpu)
{
    if (gpu->bios_fd >= 0) {
        g_usleep(20 * 1000);
    } else {
        qtest_clock_step(gpu->qts, 20 * 1000 * 1000);
    }
}

/* Its exit status stays for qtest_quit(). */
static bool has_ended(GPid pid)
{
    siginfo_t info = { };

    waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT);
    return info.si_pid;
}

void gpu_wait(GPU *gpu, unsigned slot)
{
    int64_t start = g_get_monotonic_time(), now = start, next = 2000;

    while (!gpu_is_done(gpu, slot)) {
        now = g_get_monotonic_time();
        if (now - start > TIMEOUT_US) {
            g_error("a command is never answered");
        }
        /* Seldom, as each time QEMU has to answer */
        if (now - start > next) {
            if (has_ended(gpu->pid)) {
                g_error("QEMU has ended");
            }
            gpu_settle(gpu);
            next = MIN(next * 2, next + 100000);
        }
    }
}

const void *gpu_reply(GPU *gpu, unsigned slot, uint32_t *len)
{
    g_assert_true(gpu->done[slot]);
    if (len) {
        *len = gpu->reply_len[slot];
    }
    return gpu_ram(gpu, slot_addr(slot) + SLOT_REPLY);
}

void gpu_free(GPU *gpu, unsigned slot)
{
    g_assert_true(gpu->done[slot]);
    gpu->busy[slot] = false;
}

uint32_t gpu_answer(GPU *gpu, unsigned slot)
{
    const struct virtio_gpu_ctrl_hdr *hdr;
    uint32_t type, len;

    gpu_wait(gpu, slot);
    hdr = gpu_reply(gpu, slot, &len);
    type = len >= sizeof(*hdr) ? le32_to_cpu(hdr->type) : 0;
    gpu_free(gpu, slot);
    return type;
}

uint32_t gpu_take(GPU *gpu, unsigned slot)
{
    gpu_kick(gpu);
    return gpu_answer(gpu, slot);
}

uint32_t gpu_run(GPU *gpu, const void *out, size_t out_len,
                 void *in, size_t in_len)
{
    GPUCmd cmd = { .out = out, .out_len = out_len, .in_len = in_len };
    unsigned slot = gpu_put(gpu, &cmd);
    uint32_t type = gpu_take(gpu, slot);

    /* The reply stays until the slot is used again. */
    memcpy(in, gpu_reply(gpu, slot, NULL), in_len);
    return type;
}
