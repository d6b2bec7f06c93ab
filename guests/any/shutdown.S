/* SPDX-License-Identifier: MIT */
/* Raises an exception without an IDT: neither it nor the double fault can be delivered. */
#include "guest.h"

entry:
	lidt	no_idtr
no_handler:
	ud2
	hlt

alive:
	hlt

	.data
no_idtr:
	.word	0
	.quad	0
