/* SPDX-License-Identifier: MIT */
/*
 * Jumps to the label in DI: one access of EBX to the hole at MMIO_BASE, and HLT. The case may put
 * read-only memory there.
 */
#include "guest.h"

entry:
	ds_to_mmio
	jmp	*DI

write8:
	movb	%bl, MMIO(0x10)
	hlt
write16:
	movw	%bx, MMIO(0x10)
	hlt
write32:
	movl	%ebx, MMIO(0x10)
	hlt
read8:
	movb	MMIO(0x10), %bl
	hlt
read16:
	movw	MMIO(0x10), %bx
	hlt
read32:
	movl	MMIO(0x10), %ebx
after_read32:
	hlt

zero_extend8:
	movzbl	MMIO(0x10), %ebx
	hlt
zero_extend16:
	movzwl	MMIO(0x10), %ebx
	hlt
sign_extend8:
	movsbl	MMIO(0x10), %ebx
	hlt
sign_extend16:
	movswl	MMIO(0x10), %ebx
	hlt

#if defined MODE_long64
write64:
	movq	%rbx, MMIO(0x10)
	hlt
read64:
	movq	MMIO(0x10), %rbx
	hlt
sign_extend32:
	movslq	MMIO(0x10), %rbx
	hlt
#endif

increment:
	incl	MMIO(0x10)
	hlt
or:
	orl	%ebx, MMIO(0x10)
	hlt

/* Four bytes, two on each side of the end of a page. */
write_across_pages:
	movl	%ebx, MMIO(0xffe)
	hlt
read_across_pages:
	movl	MMIO(0xffe), %ebx
	hlt

jump_there:
#if defined MODE_real16
	ljmp	$(MMIO_BASE >> 4), $0
#else
	mov	$MMIO_BASE, AX
	jmp	*AX
#endif
/* The case copies this to MMIO_BASE. */
code_for_there:
	movl	$42, %ebx
	hlt
code_for_there_end:
