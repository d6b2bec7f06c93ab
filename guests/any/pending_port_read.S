/* SPDX-License-Identifier: MIT */
/* Reads a port into AL, AX and EAX. CX counts the reads that are behind it. */
#include "guest.h"

#define PORT 0xe0

entry:
	movl	$0x11223344, %eax
	inb	$PORT, %al
after_1:
	inc	CX
	inw	$PORT, %ax
after_2:
	inc	CX
	inl	$PORT, %eax
after_4:
	inc	CX
	hlt
