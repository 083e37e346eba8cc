/*
 * A BIOS: each vCPU reads and writes pages at an address it is given, forever
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * check-gap.py is the other side.  64 KiB at 0xf0000, without paging.
 */

#define MAILBOX         0x70000 /* in RAM, zero at first */

#define BOX_ADDR        0x00    /* written last by the other side */
#define BOX_PAGES       0x04
#define BOX_VCPUS       0x08    /* as many have started */
#define BOX_PASSES      0x10    /* by vCPU: how often it has accessed all */
#define BOX_WRONG       0x20    /* by vCPU: words that were another's data */

#define FOREIGN         0xeeeeeeee
#define PAGE            0x1000

#define APIC_SPURIOUS   0xfee000f0
#define APIC_ICR        0xfee00300
#define INIT_OTHERS     0x000c4500
#define START_OTHERS    0x000c46f0      /* at 0xf0000 */

#define FLAT_CODE       0x08
#define FLAT_DATA       0x10

    .text
    .code16
    .globl _start
_start:
    cli
    movw    %cs, %ax
    movw    %ax, %ds
    lgdtl   gdt_register
    movl    %cr0, %eax
    orb     $1, %al
    movl    %eax, %cr0
    ljmpl   $FLAT_CODE, $(0xf0000 + flat)

    .code32
flat:
    movw    $FLAT_DATA, %ax
    movw    %ax, %ds
    movl    $MAILBOX, %ebx
    movl    $1, %esi
    lock xaddl %esi, BOX_VCPUS(%ebx)
    testl   %esi, %esi
    jnz     wait

    /* The first one starts the others. */
    orl     $0x1ff, APIC_SPURIOUS
    movl    $INIT_OTHERS, APIC_ICR
    movl    $1000000, %ecx
1:  pause
    loop    1b
    movl    $START_OTHERS, APIC_ICR

wait:
    pause
    movl    BOX_ADDR(%ebx), %edi
    testl   %edi, %edi
    jz      wait
again:
    movl    BOX_ADDR(%ebx), %edi
    movl    BOX_PAGES(%ebx), %ecx
page:
    cmpl    $FOREIGN, (%edi)
    jne     2f
    incl    BOX_WRONG(%ebx, %esi, 4)
2:  movl    %ecx, (%edi)
    addl    $PAGE, %edi
    loop    page
    incl    BOX_PASSES(%ebx, %esi, 4)
    jmp     again

    .balign 8
gdt:
    .quad   0
    .quad   0x00cf9b000000ffff
    .quad   0x00cf93000000ffff
gdt_register:
    .word   gdt_register - gdt - 1
    .long   0xf0000 + gdt

    .org    0xfff0
    .code16
    ljmp    $0xf000, $_start
    .org    0x10000
