/*
 * A small virtio-gpu driver for qtests: how it reaches the machine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * By the qtest protocol; or, with a QEMU that has no such accelerator, by a
 * guest of some hundred and fifty bytes, in place of the firmware: it does one
 * access after another, as it finds them in its memory.  It does not pause in
 * between, since that takes QEMU's big lock each time.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "virtio-gpu-gl-client-internal.h"

#define ORDERS 0x1000
#define TIMEOUT_US (30 * G_USEC_PER_SEC)

typedef enum Access {
    PORT_WRITE,
    PORT_READ,
    WRITE_8,
    WRITE_16,
    WRITE_32,
    READ_16,
    READ_32,
} Access;

/* What the program and the test share, at ORDERS */
typedef struct Orders {
    uint32_t wanted;
    uint32_t done;
    uint32_t what; /* Access */
    uint32_t address;
    uint32_t value;
} Orders;

static const uint8_t program[] = {
    0xfa,                           /*         cli */
    0x31, 0xc0,                     /*         xor %ax,%ax */
    0x8e, 0xd8,                     /*         mov %ax,%ds */
    0x2e, 0x66, 0x0f, 0x01, 0x16,   /*         lgdtl %cs:gdtr */
    0x7e, 0x00,
    0x0f, 0x20, 0xc0,               /*         mov %cr0,%eax */
    0x0c, 0x01,                     /*         or $0x1,%al */
    0x0f, 0x22, 0xc0,               /*         mov %eax,%cr0 */
    0x66, 0xea, 0x1c, 0x00, 0x0f,   /*         ljmpl $8,$flat */
    0x00, 0x08, 0x00,
    0xb0, 0x10,                     /* flat:   mov $0x10,%al */
    0x8e, 0xd8,                     /*         mov %eax,%ds */
    0x90, 0x90,                     /* wait:   nop; nop */
    0x8b, 0x0d, 0x00, 0x10, 0x00,   /*         mov wanted,%ecx */
    0x00,
    0x39, 0x0d, 0x04, 0x10, 0x00,   /*         cmp %ecx,done */
    0x00,
    0x74, 0xf0,                     /*         je wait */
    0x8b, 0x15, 0x0c, 0x10, 0x00,   /*         mov address,%edx */
    0x00,
    0xa1, 0x10, 0x10, 0x00, 0x00,   /*         mov value,%eax */
    0x8a, 0x1d, 0x08, 0x10, 0x00,   /*         mov what,%bl */
    0x00,
    0xfe, 0xcb,                     /*         dec %bl */
    0x78, 0x16,                     /*         js outl */
    0x74, 0x17,                     /*         je inl */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x16,                     /*         je writeb */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x16,                     /*         je writew */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x17,                     /*         je writel */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x17,                     /*         je readw */
    0x8b, 0x02,                     /*         mov (%edx),%eax */
    0xeb, 0x16,                     /*         jmp done */
    0xef,                           /* outl:   out %eax,(%dx) */
    0xeb, 0x13,                     /*         jmp done */
    0xed,                           /* inl:    in (%dx),%eax */
    0xeb, 0x10,                     /*         jmp done */
    0x88, 0x02,                     /* writeb: mov %al,(%edx) */
    0xeb, 0x0c,                     /*         jmp done */
    0x66, 0x89, 0x02,               /* writew: mov %ax,(%edx) */
    0xeb, 0x07,                     /*         jmp done */
    0x89, 0x02,                     /* writel: mov %eax,(%edx) */
    0xeb, 0x03,                     /*         jmp done */
    0x0f, 0xb7, 0x02,               /* readw:  movzwl (%edx),%eax */
    0xa3, 0x10, 0x10, 0x00, 0x00,   /* done:   mov %eax,value */
    0x89, 0x0d, 0x04, 0x10, 0x00,   /*         mov %ecx,done */
    0x00,
    0xeb, 0xa2,                     /*         jmp wait */
    /* gdtr: its length and place; nothing, code and data, of all memory */
    0x17, 0x00, 0x84, 0x00, 0x0f, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
};

char *gpu_io_arguments(GPU *gpu)
{
    g_autofree char *path = gpu_bios(gpu, program, sizeof(program));

    return g_strdup_printf("-accel tcg -bios %s", path);
}

static uint32_t order(GPU *gpu, Access what, uint64_t address, uint32_t value)
{
    Orders *o = gpu_ram(gpu, ORDERS);
    int64_t end = g_get_monotonic_time() + TIMEOUT_US;

    g_assert_cmphex(address, <=, UINT32_MAX);
    o->what = what;
    o->address = address;
    o->value = value;
    qatomic_store_release(&o->wanted, o->wanted + 1);
    while (qatomic_load_acquire(&o->done) != o->wanted) {
        if (g_get_monotonic_time() > end) {
            g_error("the guest does not answer");
        }
    }
    return o->value;
}

void gpu_outl(GPU *gpu, uint16_t port, uint32_t value)
{
    if (gpu->qts) {
        qtest_outl(gpu->qts, port, value);
    } else {
        order(gpu, PORT_WRITE, port, value);
    }
}

uint32_t gpu_inl(GPU *gpu, uint16_t port)
{
    return gpu->qts ? qtest_inl(gpu->qts, port)
                    : order(gpu, PORT_READ, port, 0);
}

void gpu_writeb(GPU *gpu, uint64_t address, uint8_t value)
{
    if (gpu->qts) {
        qtest_writeb(gpu->qts, address, value);
    } else {
        order(gpu, WRITE_8, address, value);
    }
}

void gpu_writew(GPU *gpu, uint64_t address, uint16_t value)
{
    if (gpu->qts) {
        qtest_writew(gpu->qts, address, value);
    } else {
        order(gpu, WRITE_16, address, value);
    }
}

void gpu_writel(GPU *gpu, uint64_t address, uint32_t value)
{
    if (gpu->qts) {
        qtest_writel(gpu->qts, address, value);
    } else {
        order(gpu, WRITE_32, address, value);
    }
}

uint16_t gpu_readw(GPU *gpu, uint64_t address)
{
    return gpu->qts ? qtest_readw(gpu->qts, address)
                    : order(gpu, READ_16, address, 0);
}

uint32_t gpu_readl(GPU *gpu, uint64_t address)
{
    return gpu->qts ? qtest_readl(gpu->qts, address)
                    : order(gpu, READ_32, address, 0);
}
