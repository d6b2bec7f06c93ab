/* SPDX-License-Identifier: MIT */
/*
 * Jumps to the label in BX: as many accesses of 32 bits as CX says, to DI, DI + DX and so on, and HLT
 * (harness/memory.h). In real mode DI is an offset into the hole at MMIO_BASE, where the slots are.
 */
#include "guest.h"

entry:
	ds_to_mmio
#if defined MODE_real16
	movw	%ax, %es
#endif
	jmp	*BX

write:
	movl	%esi, (DI)
	incl	%esi
	add	DX, DI
	loop	write
	hlt
read:
	movl	(DI), %esi
	add	DX, DI
	loop	read
	hlt
add:
	lock incl (DI)
	add	DX, DI
	loop	add
	hlt
/* CX bytes from a port that userspace answers. */
input:
	movw	$REPORT_PORT, %dx
	rep insb
	hlt
