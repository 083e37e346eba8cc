/*
 * A guest that does one access after another
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * By it, libqos reaches the devices of a QEMU without the qtest protocol.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bitops.h"
#include "virtio-gpu-gl-bench-guest.h"

#define ORDERS 0x1000
#define TIMEOUT_US (30 * G_USEC_PER_SEC)

typedef enum Access {
    PORT_WRITE,
    PORT_READ,
    WRITE_8,
    WRITE_16,
    WRITE_32,
    READ_8,
    READ_16,
    READ_32,
} Access;

typedef struct AccessOrders {
    uint32_t wanted;
    uint32_t done;
    uint32_t what; /* Access */
    uint32_t address;
    uint32_t value;
} AccessOrders;

typedef struct GuestBus {
    QPCIBus bus;
    AccessOrders *orders;   /* in guest memory */
} GuestBus;

/* It does not pause in between, since that takes QEMU's big lock. */
static const uint8_t access_program[] = {
    0xfa,                           /*         cli */
    0x31, 0xc0,                     /*         xor %ax,%ax */
    0x8e, 0xd8,                     /*         mov %ax,%ds */
    0x2e, 0x66, 0x0f, 0x01, 0x16,   /*         lgdtl %cs:gdtr */
    0x87, 0x00,
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
    0x78, 0x1a,                     /*         js outl */
    0x74, 0x1b,                     /*         je inl */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x1a,                     /*         je writeb */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x1a,                     /*         je writew */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x1b,                     /*         je writel */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x1b,                     /*         je readb */
    0xfe, 0xcb,                     /*         dec %bl */
    0x74, 0x1c,                     /*         je readw */
    0x8b, 0x02,                     /*         mov (%edx),%eax */
    0xeb, 0x1b,                     /*         jmp done */
    0xef,                           /* outl:   out %eax,(%dx) */
    0xeb, 0x18,                     /*         jmp done */
    0xed,                           /* inl:    in (%dx),%eax */
    0xeb, 0x15,                     /*         jmp done */
    0x88, 0x02,                     /* writeb: mov %al,(%edx) */
    0xeb, 0x11,                     /*         jmp done */
    0x66, 0x89, 0x02,               /* writew: mov %ax,(%edx) */
    0xeb, 0x0c,                     /*         jmp done */
    0x89, 0x02,                     /* writel: mov %eax,(%edx) */
    0xeb, 0x08,                     /*         jmp done */
    0x0f, 0xb6, 0x02,               /* readb:  movzbl (%edx),%eax */
    0xeb, 0x03,                     /*         jmp done */
    0x0f, 0xb7, 0x02,               /* readw:  movzwl (%edx),%eax */
    0xa3, 0x10, 0x10, 0x00, 0x00,   /* done:   mov %eax,value */
    0x89, 0x0d, 0x04, 0x10, 0x00,   /*         mov %ecx,done */
    0x00,
    0xeb, 0x99,                     /*         jmp wait */
    /* gdtr: its length and place; nothing, code and data, of all memory */
    0x17, 0x00, 0x8d, 0x00, 0x0f, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
};

static uint32_t order(QPCIBus *bus, Access what, uint32_t address,
                      uint32_t value)
{
    AccessOrders *o = container_of(bus, GuestBus, bus)->orders;
    int64_t end = g_get_monotonic_time() + TIMEOUT_US;

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

static void memread(QPCIBus *bus, uint32_t addr, void *buf, size_t len)
{
    const Access what = len == 1 ? READ_8 : len == 2 ? READ_16 : READ_32;
    uint32_t value = order(bus, what, addr, 0);

    g_assert_cmpuint(len, <=, sizeof(value));
    memcpy(buf, &value, len);
}

static void memwrite(QPCIBus *bus, uint32_t addr, const void *buf, size_t len)
{
    const Access what = len == 1 ? WRITE_8 : len == 2 ? WRITE_16 : WRITE_32;
    uint32_t value = 0;

    g_assert_cmpuint(len, <=, sizeof(value));
    memcpy(&value, buf, len);
    order(bus, what, addr, value);
}

static uint32_t config_readl(QPCIBus *bus, int devfn, uint8_t offset)
{
    order(bus, PORT_WRITE, 0xcf8, 1u << 31 | devfn << 8 | (offset & ~3));
    return order(bus, PORT_READ, 0xcfc, 0);
}

static uint16_t config_readw(QPCIBus *bus, int devfn, uint8_t offset)
{
    return config_readl(bus, devfn, offset) >> offset % 4 * 8;
}

static uint8_t config_readb(QPCIBus *bus, int devfn, uint8_t offset)
{
    return config_readl(bus, devfn, offset) >> offset % 4 * 8;
}

static void config_writel(QPCIBus *bus, int devfn, uint8_t offset,
                          uint32_t value)
{
    order(bus, PORT_WRITE, 0xcf8, 1u << 31 | devfn << 8 | offset);
    order(bus, PORT_WRITE, 0xcfc, value);
}

static void config_writew(QPCIBus *bus, int devfn, uint8_t offset,
                          uint16_t value)
{
    uint32_t old = config_readl(bus, devfn, offset);

    config_writel(bus, devfn, offset & ~3,
                  deposit32(old, offset % 4 * 8, 16, value));
}

QPCIBus *bench_guest_start(GPU *gpu, const char *args)
{
    g_autofree char *guest = gpu_program_arguments(gpu, access_program,
                                                   sizeof(access_program), 1);
    g_autofree char *command = g_strdup_printf(
        "exec setpriv --pdeathsig KILL -- %s %s %s >/dev/null",
        g_getenv("QTEST_QEMU_BINARY"), guest, args);
    const char *argv[] = { "sh", "-c", command, NULL };
    GuestBus *bus = g_new0(GuestBus, 1);

    bus->orders = gpu_ram(gpu, ORDERS);
    bus->bus = (QPCIBus) {
        .memread = memread,
        .memwrite = memwrite,
        .config_readb = config_readb,
        .config_readw = config_readw,
        .config_readl = config_readl,
        .config_writew = config_writew,
        .config_writel = config_writel,
        .mmio_limit = UINT32_MAX,
    };
    g_assert_true(g_spawn_async(NULL, (char **)argv, NULL,
                                G_SPAWN_SEARCH_PATH |
                                G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
                                &gpu->pid, NULL));
    return &bus->bus;
}

void bench_guest_stop(GPU *gpu)
{
    kill(gpu->pid, SIGKILL);
    waitpid(gpu->pid, NULL, 0);
}
