/*
 * What a guest under test runs: it does what a mailbox says, no more
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Loaded and started by QEMU at EL1 with the MMU off; vcpu.py is the other
 * side.  It has its orders by looking for them all the time: nothing but memory
 * is needed.  A fault is told, and skipped.
 */

#define MAILBOX         0x40200000

#define BOX_ORDERED     0x00    /* counts orders; the other side writes it */
#define BOX_DONE        0x04    /* as many were carried out */
#define BOX_WHAT        0x08
#define BOX_FAULTS      0x0c
#define BOX_ADDR        0x10
#define BOX_COUNT       0x18
#define BOX_STRIDE      0x20
#define BOX_VALUE       0x28
#define BOX_ESR         0x30    /* of the last fault */
#define BOX_FAR         0x38
#define BOX_WRONG       0x40    /* words that were not as expected */
#define BOX_REG         0x48    /* TOGGLE: where it writes */
#define BOX_TIMES       0x50
#define BOX_OFF         0x58
#define BOX_ON          0x5c
#define BOX_MICROS      0x60    /* how long the order took */

#define WHAT_READ       1
#define WHAT_WRITE      2
#define WHAT_TOGGLE     3

    .text
    .globl _start
_start:
    adr     x0, vectors
    msr     vbar_el1, x0
    isb
    msr     daifclr, #4
    ldr     x20, =MAILBOX

next:
    yield
    ldr     w19, [x20, #BOX_ORDERED]
    ldr     w0, [x20, #BOX_DONE]
    cmp     w0, w19
    b.eq    next

    mov     x7, #0
    mrs     x21, cntvct_el0
    ldr     w2, [x20, #BOX_WHAT]
    cmp     w2, #WHAT_READ
    b.eq    read
    cmp     w2, #WHAT_WRITE
    b.eq    write
    cmp     w2, #WHAT_TOGGLE
    b.eq    toggle
done:
    mrs     x0, cntvct_el0
    sub     x0, x0, x21
    ldr     x1, =1000000
    mul     x0, x0, x1
    mrs     x1, cntfrq_el0
    udiv    x0, x0, x1
    str     x0, [x20, #BOX_MICROS]
    str     x7, [x20, #BOX_WRONG]
    dsb     sy
    str     w19, [x20, #BOX_DONE]
    b       next

/* Each word, STRIDE bytes apart, is one more than the one before */
args:
    ldr     x3, [x20, #BOX_ADDR]
    ldr     x4, [x20, #BOX_COUNT]
    ldr     x5, [x20, #BOX_STRIDE]
    ldr     x6, [x20, #BOX_VALUE]
    ret

look:
    cbz     x4, 2f
    mov     x8, #-1
    ldr     x8, [x3]
    cmp     x8, x6
    cinc    x7, x7, ne
    add     x3, x3, x5
    add     x6, x6, #1
    sub     x4, x4, #1
    b       look
2:  ret

read:
    bl      args
    bl      look
    b       done

write:
    bl      args
1:  cbz     x4, done
    str     x6, [x3]
    add     x3, x3, x5
    add     x6, x6, #1
    sub     x4, x4, #1
    b       1b

/* A register gets OFF, then ON; then all is looked at; so many TIMES */
toggle:
    ldr     x10, [x20, #BOX_REG]
    ldr     x11, [x20, #BOX_TIMES]
    ldr     w12, [x20, #BOX_OFF]
    ldr     w13, [x20, #BOX_ON]
1:  cbz     x11, done
    str     w12, [x10]
    str     w13, [x10]
    bl      args
    bl      look
    sub     x11, x11, #1
    b       1b

fault:
    mrs     x14, esr_el1
    str     x14, [x20, #BOX_ESR]
    mrs     x14, far_el1
    str     x14, [x20, #BOX_FAR]
    ldr     w14, [x20, #BOX_FAULTS]
    add     w14, w14, #1
    str     w14, [x20, #BOX_FAULTS]
    ret     x15

synchronous:
    mrs     x14, elr_el1
    add     x14, x14, #4
    msr     elr_el1, x14
other:
    adr     x15, 1f
    b       fault
1:  eret

    .balign 2048
vectors:
    .rept   4
    .balign 128
    b       synchronous
    .balign 128
    b       other
    .balign 128
    b       other
    .balign 128
    b       other
    .endr
