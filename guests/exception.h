/* SPDX-License-Identifier: MIT */
/*
 * Exceptions, for guests that must see one:
 *
 *	#include "guest.h"
 *	#include "exception.h"
 *
 *	entry:
 *		catch_exceptions
 *
 * From then on any of the 32 exceptions reports its vector, then the RIP it was raised at, and
 * halts at `caught` with the error code in BX (0 if there is none). expect_run_exception() in
 * harness/expect.h is the other side. It runs at CPL 0, on the guest's own stack.
 */
#ifndef KVMSPEC_EXCEPTION_ASM_H
#define KVMSPEC_EXCEPTION_ASM_H

#if defined MODE_real16

/* A vector of the real-mode table is an offset and a segment. */
.macro gate handler
	.word	\handler, 0
.endm
.macro catch_exceptions
	lidt	exception_idtr
.endm

#else

/* Selectors as in harness/x86/modes.c. A gate holds its handler's address in pieces; the linker
 * complains about one above 64 KiB. */
#define CODE_SELECTOR  0x08
#define INTERRUPT_GATE 0x8e00 /* present, DPL 0 */

.macro gate handler
	.word	\handler, CODE_SELECTOR, INTERRUPT_GATE, 0
#if defined MODE_long64
	.quad	0
#endif
.endm
.macro catch_exceptions
	lgdt	exception_gdtr
	lidt	exception_idtr
.endm

#endif

#define STUB_SIZE 16

	.text
	.balign STUB_SIZE
exception_stubs:
	vector = 0
	.rept	32
	.balign STUB_SIZE
#if !defined MODE_real16
	/* these push an error code themselves */
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
#else
	.if	1
#endif
	push	$0
	.endif
	push	$vector
	jmp	exception
	vector = vector + 1
	.endr

exception:
	xorl	%esi, %esi
	xorl	%edi, %edi
	pop	SI
	pop	BX
	pop	DI
	report	%esi
	report	%edi
caught:
	hlt
	jmp	caught

	.data
	.balign 16
exception_idt:
	vector = 0
	.rept	32
	gate	(exception_stubs + vector * STUB_SIZE)
	vector = vector + 1
	.endr
exception_idt_end:

#if !defined MODE_real16
/* Flat code and data: base 0, limit 4 GiB, accessed. */
exception_gdt:
	.quad	0
#if defined MODE_long64
	.quad	0x00af9b000000ffff
#else
	.quad	0x00cf9b000000ffff
#endif
	.quad	0x00cf93000000ffff
exception_gdt_end:
#endif

#if defined MODE_long64
#define BASE .quad
#else
#define BASE .long
#endif
exception_idtr:
	.word	exception_idt_end - exception_idt - 1
	BASE	exception_idt
#if !defined MODE_real16
exception_gdtr:
	.word	exception_gdt_end - exception_gdt - 1
	BASE	exception_gdt
#endif

	.text

#endif
