/*
 * A small virtio-gpu driver for qtests: PCI
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "standard-headers/linux/pci_regs.h"
#include "standard-headers/linux/virtio_pci.h"
#include "virtio-gpu-gl-client-internal.h"

#define MMIO32_BASE 0xd0000000u
#define MMIO64_BASE (512ull << 30)
/* For a guest that knows 32 bits */
#define MMIO64_LOW 0x40000000u
#define SHM_CAP 8

static void config_address(GPU *gpu, unsigned reg)
{
    gpu_outl(gpu, 0xcf8, 0x80000000u | DEVFN << 8 | (reg & ~3u));
}

static uint32_t config_readl(GPU *gpu, unsigned reg)
{
    config_address(gpu, reg);
    return gpu_inl(gpu, 0xcfc);
}

static uint8_t config_readb(GPU *gpu, unsigned reg)
{
    return config_readl(gpu, reg) >> (reg % 4 * 8);
}

static void config_writel(GPU *gpu, unsigned reg, uint32_t value)
{
    config_address(gpu, reg);
    gpu_outl(gpu, 0xcfc, value);
}

/* The second half of a 64-bit register is left out by the caller. */
static bool map_bar(GPU *gpu, unsigned i, uint64_t *next32, uint64_t *next64)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + i * 4;
    uint32_t old = config_readl(gpu, reg);
    bool wide = (old & PCI_BASE_ADDRESS_MEM_TYPE_MASK) ==
                PCI_BASE_ADDRESS_MEM_TYPE_64;
    uint64_t *next = wide ? next64 : next32;
    uint64_t mask;

    if (old & PCI_BASE_ADDRESS_SPACE_IO) {
        return false;
    }
    config_writel(gpu, reg, UINT32_MAX);
    mask = config_readl(gpu, reg) & ~15u;
    if (wide) {
        config_writel(gpu, reg + 4, UINT32_MAX);
        mask |= (uint64_t)config_readl(gpu, reg + 4) << 32;
    } else {
        mask |= mask ? 0xffffffffull << 32 : 0;
    }
    if (!mask) {
        return false;
    }
    gpu->bars[i].size = -mask;
    gpu->bars[i].addr = ROUND_UP(*next, gpu->bars[i].size);
    *next = gpu->bars[i].addr + gpu->bars[i].size;
    config_writel(gpu, reg, gpu->bars[i].addr);
    if (wide) {
        config_writel(gpu, reg + 4, gpu->bars[i].addr >> 32);
    }
    return wide;
}

static void map_bars(GPU *gpu)
{
    uint64_t next32 = MMIO32_BASE;
    uint64_t next64 = gpu->low ? MMIO64_LOW : MMIO64_BASE;

    memset(gpu->bars, 0, sizeof(gpu->bars));
    for (unsigned i = 0; i < 6; i++) {
        i += map_bar(gpu, i, &next32, &next64);
    }
    config_writel(gpu, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void gpu_toggle_memory(GPU *gpu)
{
    config_writel(gpu, PCI_COMMAND, PCI_COMMAND_MASTER);
    config_writel(gpu, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

void gpu_toggle_master(GPU *gpu)
{
    config_writel(gpu, PCI_COMMAND, PCI_COMMAND_MEMORY);
    config_writel(gpu, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

/* A 64-bit register, half by half: memory is decoded all the time. */
void gpu_place_window(GPU *gpu, uint64_t addr)
{
    unsigned reg = PCI_BASE_ADDRESS_0 + gpu->window_bar * 4;

    config_writel(gpu, reg, addr);
    config_writel(gpu, reg + 4, addr >> 32);
}

void gpu_move_window(GPU *gpu)
{
    GPUBar *bar = &gpu->bars[gpu->window_bar];

    bar->addr += 4 * bar->size;
    gpu->window += 4 * bar->size;
    gpu_place_window(gpu, bar->addr);
}

static void read_capability(GPU *gpu, unsigned cap)
{
    unsigned type = config_readb(gpu, cap + 3);
    unsigned bar = config_readb(gpu, cap + 4);
    uint64_t addr = bar < 6 ? gpu->bars[bar].addr : 0;

    addr += config_readl(gpu, cap + 8);
    switch (type) {
    case VIRTIO_PCI_CAP_COMMON_CFG:
        gpu->common = addr;
        break;
    case VIRTIO_PCI_CAP_NOTIFY_CFG:
        gpu->notify = addr;
        gpu->notify_multiplier = config_readl(gpu, cap + 16);
        break;
    case VIRTIO_PCI_CAP_PCI_CFG:
        gpu->config_cap = cap;
        break;
    case VIRTIO_PCI_CAP_DEVICE_CFG:
        gpu->config = addr;
        break;
    case SHM_CAP:
        g_assert_cmpuint(config_readb(gpu, cap + 5), ==,
                         VIRTIO_GPU_SHM_ID_HOST_VISIBLE);
        gpu->window_bar = bar;
        gpu->window = addr + ((uint64_t)config_readl(gpu, cap + 16) << 32);
        gpu->window_length = config_readl(gpu, cap + 12) |
                             (uint64_t)config_readl(gpu, cap + 20) << 32;
        break;
    default:
        break;
    }
}

static void read_capabilities(GPU *gpu)
{
    unsigned cap = config_readb(gpu, PCI_CAPABILITY_LIST);

    gpu->window = gpu->window_length = 0;
    while (cap) {
        if (config_readb(gpu, cap) == PCI_CAP_ID_VNDR) {
            read_capability(gpu, cap);
        }
        cap = config_readb(gpu, cap + 1);
    }
    g_assert_cmpuint(gpu->common, !=, 0);
    g_assert_cmpuint(gpu->notify, !=, 0);
}

void gpu_pci_open(GPU *gpu)
{
    map_bars(gpu);
    read_capabilities(gpu);
}
