/* SPDX-License-Identifier: MIT */
/* Writes 8 bytes to a port with one instruction. BX: it is done. */
#include "guest.h"

#define PORT 0xe0

entry:
	cld
	mov	$PORT, DX
	mov	$buffer, SI
	mov	$8, CX
	rep outsb
	inc	BX
	hlt

	.data
buffer:
	.ascii	"kvmspec!"
