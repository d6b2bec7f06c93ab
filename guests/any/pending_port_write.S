/* SPDX-License-Identifier: MIT */
/* Writes AL, AX and EAX to a port. CX counts the writes that are behind it. */
#include "guest.h"

#define PORT 0xe0

entry:
	movl	$0x55667788, %eax
	outb	%al, $PORT
after_1:
	inc	CX
	outw	%ax, $PORT
after_2:
	inc	CX
	outl	%eax, $PORT
after_4:
	inc	CX
	hlt
