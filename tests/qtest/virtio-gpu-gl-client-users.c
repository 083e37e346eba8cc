/*
 * A small virtio-gpu driver for qtests: vCPUs that use the window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest of some two hundred bytes, in place of the firmware, that all vCPUs
 * run.  Each goes through the window's pages, over and over: looks whether what
 * is there belongs there, adds one to a word in one instruction, and writes the
 * page's number; any page's may be there, as all holes show the same memory.
 * What begins a page is zero where nothing is mapped, or ones where no memory
 * is decoded.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "virtio-gpu-gl-client-internal.h"

#define ORDERS 0x1000

/* What the program and the test share, at ORDERS */
typedef struct Orders {
    uint32_t window; /* 0: wait */
    uint32_t pages;
    uint32_t turns;
    uint32_t foreign;
    uint32_t value; /* what was found, and in which page */
    uint32_t page;
} Orders;

static const uint8_t program[] = {
    0xfa,                           /*       cli */
    0x31, 0xc0,                     /*       xor %ax,%ax */
    0x8e, 0xd8,                     /*       mov %ax,%ds */
    0x2e, 0x66, 0x0f, 0x01, 0x16,   /*       lgdtl %cs:gdtr */
    0xc7, 0x00,
    0x0f, 0x20, 0xc0,               /*       mov %cr0,%eax */
    0x0c, 0x01,                     /*       or $0x1,%al */
    0x0f, 0x22, 0xc0,               /*       mov %eax,%cr0 */
    0x66, 0xea, 0x1c, 0x00, 0x0f,   /*       ljmpl $8,$flat */
    0x00, 0x08, 0x00,
    0xb0, 0x10,                     /* flat: mov $0x10,%al */
    0x8e, 0xd8,                     /*       mov %eax,%ds */
    0xb9, 0x1b, 0x00, 0x00, 0x00,   /*       mov $0x1b,%ecx */
    0x0f, 0x32,                     /*       rdmsr */
    0xf6, 0xc4, 0x01,               /*       test $0x1,%ah */
    0x74, 0x11,                     /*       je   pass */
    0xbf, 0x00, 0x03, 0xe0, 0xfe,   /*       mov $0xfee00300,%edi */
    0xc7, 0x07, 0x00, 0x45, 0x0c,   /*       movl $0xc4500,(%edi) */
    0x00,
    0xc7, 0x07, 0xf0, 0x46, 0x0c,   /*       movl $0xc46f0,(%edi) */
    0x00,
    0xf3, 0x90,                     /* pass: pause */
    0x8b, 0x35, 0x00, 0x10, 0x00,   /*       mov window,%esi */
    0x00,
    0x85, 0xf6,                     /*       test %esi,%esi */
    0x74, 0xf4,                     /*       je   pass */
    0x31, 0xc9,                     /*       xor %ecx,%ecx */
    0x8b, 0x46, 0x04,               /* page: mov 0x4(%esi),%eax */
    0x8d, 0x58, 0x01,               /*       lea 0x1(%eax),%ebx */
    0x83, 0xfb, 0x01,               /*       cmp $0x1,%ebx */
    0x76, 0x0f,                     /*       jbe low */
    0x35, 0x5a, 0x5a, 0x00, 0x00,   /*       xor $0x5a5a,%eax */
    0x48,                           /*       dec %eax */
    0x31, 0xc8,                     /*       xor %ecx,%eax */
    0xa9, 0xff, 0x03, 0xff, 0xff,   /*       test $0xffff03ff,%eax */
    0x75, 0x4e,                     /*       jne foreign */
    0x8b, 0x06,                     /* low:  mov (%esi),%eax */
    0x8d, 0x58, 0x01,               /*       lea 0x1(%eax),%ebx */
    0x83, 0xfb, 0x01,               /*       cmp $0x1,%ebx */
    0x76, 0x07,                     /*       jbe ours */
    0x3d, 0xa5, 0xa5, 0x00, 0x00,   /*       cmp $0xa5a5,%eax */
    0x75, 0x3d,                     /*       jne foreign */
    0x8b, 0x46, 0x0c,               /* ours: mov 0xc(%esi),%eax */
    0x8d, 0x58, 0x01,               /*       lea 0x1(%eax),%ebx */
    0x83, 0xfb, 0x01,               /*       cmp $0x1,%ebx */
    0x76, 0x0d,                     /*       jbe use */
    0x2d, 0x00, 0x00, 0x00, 0x77,   /*       sub $0x77000000,%eax */
    0x3b, 0x05, 0x04, 0x10, 0x00,   /*       cmp pages,%eax */
    0x00,
    0x73, 0x25,                     /*       jae foreign */
    0xf0, 0xff, 0x46, 0x08,         /* use:  lock incl 0x8(%esi) */
    0x8d, 0x99, 0x00, 0x00, 0x00,   /*       lea 0x77000000(%ecx),%ebx */
    0x77,
    0x89, 0x5e, 0x0c,               /*       mov %ebx,0xc(%esi) */
    0x81, 0xc6, 0x00, 0x10, 0x00,   /* next: add $0x1000,%esi */
    0x00,
    0x41,                           /*       inc %ecx */
    0x3b, 0x0d, 0x04, 0x10, 0x00,   /*       cmp pages,%ecx */
    0x00,
    0x72, 0xa1,                     /*       jb page */
    0xf0, 0xff, 0x05, 0x08, 0x10,   /*       lock incl turns */
    0x00, 0x00,
    0xeb, 0x8a,                     /*       jmp pass */
    0xf0, 0xff, 0x05, 0x0c, 0x10,   /* foreign: lock incl foreign */
    0x00, 0x00,
    0xa3, 0x10, 0x10, 0x00, 0x00,   /*       mov %eax,value */
    0x89, 0x0d, 0x14, 0x10, 0x00,   /*       mov %ecx,page */
    0x00,
    0xeb, 0xd4,                     /*       jmp next */
    /* gdtr: its length and place; nothing, code and data, of all memory */
    0x17, 0x00, 0xcd, 0x00, 0x0f, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x9a, 0xcf, 0x00,
    0xff, 0xff, 0x00, 0x00, 0x00, 0x92, 0xcf, 0x00,
};

static Orders *orders(GPU *gpu)
{
    return gpu_ram(gpu, ORDERS);
}

char *gpu_users_arguments(GPU *gpu, unsigned n)
{
    g_autofree char *path = gpu_bios(gpu, program, sizeof(program));

    return g_strdup_printf("-accel tcg,thread=multi -smp %u -bios %s", n,
                           path);
}

void gpu_users_go(GPU *gpu, unsigned pages)
{
    Orders *o = orders(gpu);

    g_assert_cmphex(gpu_window(gpu), <, UINT32_MAX);
    /* One that is not through uses the number to the end. */
    if (pages) {
        qatomic_set(&o->pages, pages);
    }
    qatomic_set(&o->window, pages ? gpu_window(gpu) : 0);
}

uint32_t gpu_users_turns(GPU *gpu)
{
    return qatomic_read(&orders(gpu)->turns);
}

bool gpu_users_agree(GPU *gpu)
{
    const Orders *o = orders(gpu);

    if (qatomic_read(&o->foreign)) {
        g_test_message("a vCPU found 0x%x in page %u", o->value, o->page);
    }
    return !qatomic_read(&o->foreign);
}
