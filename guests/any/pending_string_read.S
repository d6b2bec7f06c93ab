/* SPDX-License-Identifier: MIT */
/* Reads 8 bytes from a port to a buffer that crosses a page, with one instruction. BX: it is done. */
#include "guest.h"

#define PORT 0xe0

entry:
	cld
	mov	$PORT, DX
	mov	$buffer, DI
	mov	$8, CX
	rep insb
	inc	BX
	hlt

	.bss
	.balign 0x1000
	.skip	0xffd
buffer:
	.skip	8
