/*
 * A small virtio-gpu driver for qtests: a vCPU that resets the device, and one
 * that reads another device
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a qtest does to the device happens in QEMU's main loop; what a guest
 * does, in a vCPU's thread.  Here is a guest of 54 bytes, in place of the
 * firmware, that writes 0 to the device's status as often as it is told, nine
 * times each.  Eight are one instruction, so that a vCPU that is to stop finds
 * that out too late.  The other, of 20 bytes, reads the APIC's registers
 * by the instruction that reads most often, over and over; it pauses, as QEMU
 * frees nothing while a vCPU goes on for ever (util/rcu.c).
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "standard-headers/linux/virtio_pci.h"
#include "virtio-gpu-gl-client-internal.h"

#define ORDERS 0x1000

/*
 * What the program and the test share, at ORDERS
 *
 * The device's registers are reached by configuration space alone, by the
 * capability that is made for it, so that a machine that has just been reset
 * does not stop the program.
 */
typedef struct Orders {
    uint32_t wanted;
    uint32_t done;
    uint32_t unused[2];
    struct {
        uint32_t address;
        uint32_t value;
    } writes[3];
    uint32_t more[8]; /* zeros, for where the last of the writes went */
} Orders;

static const uint8_t program[] = {
    0x31, 0xc0,                         /*       xor  %ax,%ax */
    0x8e, 0xd8,                         /*       mov  %ax,%ds */
    0xfc,                               /*       cld */
    0xf3, 0x90,                         /* wait: pause */
    0x66, 0x8b, 0x0e, 0x00, 0x10,       /*       mov  wanted,%ecx */
    0x66, 0x3b, 0x0e, 0x04, 0x10,       /*       cmp  done,%ecx */
    0x74, 0xf2,                         /*       je   wait */
    0xbe, 0x10, 0x10,                   /*       mov  $writes,%si */
    0xba, 0xf8, 0x0c,                   /* next: mov  $0xcf8,%dx */
    0x66, 0xad,                         /*       lods %ds:(%si),%eax */
    0x66, 0xef,                         /*       out  %eax,(%dx) */
    0xb2, 0xfc,                         /*       mov  $0xfc,%dl */
    0x66, 0xad,                         /*       lods %ds:(%si),%eax */
    0x66, 0xef,                         /*       out  %eax,(%dx) */
    0x81, 0xfe, 0x28, 0x10,             /*       cmp  $end of writes,%si */
    0x72, 0xed,                         /*       jb   next */
    0xb9, 0x08, 0x00,                   /*       mov  $8,%cx */
    0xf3, 0x66, 0x6f,                   /*       rep outsl %ds:(%si),(%dx) */
    0x66, 0xff, 0x06, 0x04, 0x10,       /*       incl done */
    0xeb, 0xcf,                         /*       jmp  wait */
};

static const uint8_t reader[] = {
    0x31, 0xc0,                               /*       xor  %ax,%ax */
    0x8e, 0xd8,                               /*       mov  %ax,%ds */
    0xf3, 0x90,                               /* next: pause */
    0x67, 0xdd, 0x25, 0x00, 0x00, 0xe0, 0xfe, /*       frstor 0xfee00000 */
    0x66, 0xff, 0x06, 0x04, 0x10,             /*       incl done */
    0xeb, 0xf0,                               /*       jmp  next */
};

static Orders *orders(GPU *gpu)
{
    return gpu_ram(gpu, ORDERS);
}

static char *run_program(GPU *gpu, const uint8_t *code, size_t size)
{
    g_autofree char *path = gpu_bios(gpu, code, size);

    return g_strdup_printf("-accel tcg,thread=multi -bios %s", path);
}

char *gpu_vcpu_arguments(GPU *gpu)
{
    return run_program(gpu, program, sizeof(program));
}

char *gpu_reader_arguments(GPU *gpu)
{
    return run_program(gpu, reader, sizeof(reader));
}

void gpu_vcpu_open(GPU *gpu)
{
    const uint32_t cap = 0x80000000u | DEVFN << 8 | gpu->config_cap;
    Orders *o = orders(gpu);

    g_assert_cmpuint(gpu->config_cap, !=, 0);
    o->writes[0].address = cap + offsetof(struct virtio_pci_cap, offset);
    o->writes[0].value = VIRTIO_PCI_COMMON_STATUS;
    o->writes[1].address = cap + offsetof(struct virtio_pci_cap, length);
    o->writes[1].value = 1;
    o->writes[2].address = cap + offsetof(struct virtio_pci_cfg_cap,
                                          pci_cfg_data);
    o->writes[2].value = 0;
}

uint32_t gpu_vcpu_turns(GPU *gpu)
{
    return qatomic_read(&orders(gpu)->done);
}

void gpu_vcpu_reset(GPU *gpu, uint32_t n)
{
    Orders *o = orders(gpu);

    qatomic_set(&o->wanted, n == GPU_FOR_EVER ? gpu_vcpu_turns(gpu) - 1
                                              : o->wanted + n);
}
