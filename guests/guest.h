/* SPDX-License-Identifier: MIT */
/*
 * What every guest begins with: `#include "guest.h"`, then code at the label `entry`.
 *
 * The Makefile defines MODE_real16, MODE_prot32, MODE_paged32 or MODE_long64, after the directory
 * or, for guests/any/, once for each. Guests are linked at 0x1000 (guest.ld), have a stack below
 * 0x8000, and find an unbacked GPA at MMIO_BASE. See harness/vm.h for the layout.
 */
#ifndef KVMSPEC_GUEST_ASM_H
#define KVMSPEC_GUEST_ASM_H

#define REPORT_PORT 0x4b0   /* as in harness/expect.h */
#define MMIO_BASE   0xd0000 /* as in harness/vm.h */

/* The mode's natural registers, so that one source serves all. */
#if defined MODE_real16
	.code16
#define AX %ax
#define BX %bx
#define CX %cx
#define DX %dx
#define SI %si
#define DI %di
#elif defined MODE_long64
	.code64
#define AX %rax
#define BX %rbx
#define CX %rcx
#define DX %rdx
#define SI %rsi
#define DI %rdi
#else
	.code32
#define AX %eax
#define BX %ebx
#define CX %ecx
#define DX %edx
#define SI %esi
#define DI %edi
#endif

/* report source: hands 32 bits to the host (expect_run_report); clobbers EAX and DX. */
.macro report source
	movl	\source, %eax
	movw	$REPORT_PORT, %dx
	outl	%eax, (%dx)
.endm

/* ds_to_mmio: afterwards MMIO(offset) addresses the hole, in real mode by way of DS. Clobbers AX. */
#if defined MODE_real16
.macro ds_to_mmio
	movw	$(MMIO_BASE >> 4), %ax
	movw	%ax, %ds
.endm
#define MMIO(offset) offset
#else
.macro ds_to_mmio
.endm
#define MMIO(offset) (MMIO_BASE + offset)
#endif

	.text
	.globl	entry

#endif
