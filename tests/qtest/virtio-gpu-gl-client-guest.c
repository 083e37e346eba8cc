/*
 * A small virtio-gpu driver for qtests: programs for vCPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The qtest protocol reaches the device from QEMU's main loop, a program from a
 * vCPU's thread.  Each takes the firmware's place, and reads its orders at
 * ORDERS in guest memory.
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "standard-headers/linux/virtio_pci.h"
#include "virtio-gpu-gl-client-internal.h"

#define ORDERS 0x1000

/*
 * Users of the window: in page after page, over and over, each vCPU checks that
 * what is there belongs there, increments a word in one instruction, and writes
 * the page's number.  In a hole any page's number may be found, as all holes
 * show the same memory.  A page begins with zeros where nothing is mapped, with
 * ones where no memory is decoded.
 */

typedef struct UserOrders {
    uint32_t window; /* 0: wait */
    uint32_t pages;
    uint32_t turns;
    uint32_t foreign;
    uint32_t value; /* what was found, and in which page */
    uint32_t page;
} UserOrders;

static const uint8_t user_program[] = {
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

static UserOrders *user_orders(GPU *gpu)
{
    return gpu_ram(gpu, ORDERS);
}

void gpu_users_go(GPU *gpu, unsigned pages)
{
    UserOrders *o = user_orders(gpu);

    g_assert_cmphex(gpu->window, <, UINT32_MAX);
    /* One that is not through uses the number to the end. */
    if (pages) {
        qatomic_set(&o->pages, pages);
    }
    qatomic_set(&o->window, pages ? gpu->window : 0);
}

uint32_t gpu_users_turns(GPU *gpu)
{
    return qatomic_read(&user_orders(gpu)->turns);
}

bool gpu_users_agree(GPU *gpu)
{
    const UserOrders *o = user_orders(gpu);

    if (qatomic_read(&o->foreign)) {
        g_test_message("a vCPU found 0x%x in page %u", o->value, o->page);
    }
    return !qatomic_read(&o->foreign);
}

/*
 * A vCPU that writes 0 to the device's status as often as it is told, nine
 * times each.  Eight writes are one instruction, during which a vCPU that is to
 * stop does not stop.  It reaches the device by VIRTIO_PCI_CAP_PCI_CFG in
 * configuration space, which a reset of the machine does not take away.
 */

typedef struct ResetOrders {
    uint32_t wanted;
    uint32_t done;
    uint32_t unused[2];
    struct {
        uint32_t address;
        uint32_t value;
    } writes[3];
    uint32_t more[8]; /* zeros, for where the last of the writes went */
} ResetOrders;

static const uint8_t reset_program[] = {
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

/*
 * Reads the APIC's registers without end, by the instruction with the most
 * reads.  It pauses, as QEMU frees nothing while a vCPU goes on for ever
 * (util/rcu.c).
 */
static const uint8_t reader_program[] = {
    0x31, 0xc0,                               /*       xor  %ax,%ax */
    0x8e, 0xd8,                               /*       mov  %ax,%ds */
    0xf3, 0x90,                               /* next: pause */
    0x67, 0xdd, 0x25, 0x00, 0x00, 0xe0, 0xfe, /*       frstor 0xfee00000 */
    0x66, 0xff, 0x06, 0x04, 0x10,             /*       incl done */
    0xeb, 0xf0,                               /*       jmp  next */
};

static ResetOrders *reset_orders(GPU *gpu)
{
    return gpu_ram(gpu, ORDERS);
}

void gpu_vcpu_open(GPU *gpu)
{
    const uint32_t cap = 0x80000000u | gpu->dev->pci_vdev.pdev->devfn << 8 |
        qvirtio_gpu_pci_find_cap(gpu->dev, VIRTIO_PCI_CAP_PCI_CFG);
    ResetOrders *o = reset_orders(gpu);

    g_assert_cmpuint(cap & 0xff, !=, 0);
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
    return qatomic_read(&reset_orders(gpu)->done);
}

void gpu_vcpu_wait(GPU *gpu, uint32_t turns)
{
    while ((int32_t)(gpu_vcpu_turns(gpu) - turns) < 0) {
        g_usleep(100);
    }
}

void gpu_vcpu_reset(GPU *gpu, uint32_t n)
{
    ResetOrders *o = reset_orders(gpu);

    qatomic_set(&o->wanted, n == GPU_FOR_EVER ? gpu_vcpu_turns(gpu) - 1
                                              : o->wanted + n);
}

/*
 * Start
 */

/* A processor starts at the reset vector: ljmp $0xf000,$0, to the program */
#define BIOS_SIZE (64 * 1024)
#define RESET_VECTOR (BIOS_SIZE - 16)

char *gpu_program_arguments(GPU *gpu, const uint8_t *code, size_t size,
                            unsigned vcpus)
{
    static const uint8_t jump[] = { 0xea, 0x00, 0x00, 0x00, 0xf0 };
    uint8_t *bios = gpu_new_file("qtest-bios", BIOS_SIZE, &gpu->bios_fd);
    g_autofree char *path = gpu_path_of(gpu->bios_fd);

    memcpy(bios, code, size);
    memcpy(bios + RESET_VECTOR, jump, sizeof(jump));
    munmap(bios, BIOS_SIZE);
    return g_strdup_printf("-accel tcg,thread=multi -smp %u -bios %s", vcpus,
                           path);
}

char *gpu_guest_arguments(GPU *gpu, const GPUConfig *config)
{
    if (config->users) {
        return gpu_program_arguments(gpu, user_program, sizeof(user_program),
                                     config->users);
    }
    if (config->reader) {
        return gpu_program_arguments(gpu, reader_program,
                                     sizeof(reader_program), 1);
    }
    if (config->vcpu) {
        return gpu_program_arguments(gpu, reset_program,
                                     sizeof(reset_program), 1);
    }
    return g_strdup("");
}
