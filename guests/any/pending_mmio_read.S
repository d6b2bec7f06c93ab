/* SPDX-License-Identifier: MIT */
/* Reads the hole into AL, AX, EAX and, in long mode, RAX. CX counts the reads that are behind it. */
#include "guest.h"

entry:
	ds_to_mmio
	movl	$0x11223344, %eax
	movb	MMIO(0), %al
after_1:
	inc	CX
	movw	MMIO(0), %ax
after_2:
	inc	CX
	movl	MMIO(0), %eax
after_4:
	inc	CX
#ifdef MODE_long64
	movq	MMIO(0), %rax
after_8:
	inc	CX
#endif
	hlt
