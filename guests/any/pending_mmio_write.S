/* SPDX-License-Identifier: MIT */
/* Writes AL, AX, EAX and, in long mode, RAX to the hole. CX counts the writes that are behind it. */
#include "guest.h"

entry:
	ds_to_mmio
#ifdef MODE_long64
	movabsq	$0x1122334455667788, %rax
#else
	movl	$0x55667788, %eax
#endif
	movb	%al, MMIO(0)
after_1:
	inc	CX
	movw	%ax, MMIO(0)
after_2:
	inc	CX
	movl	%eax, MMIO(0)
after_4:
	inc	CX
#ifdef MODE_long64
	movq	%rax, MMIO(0)
after_8:
	inc	CX
#endif
	hlt
