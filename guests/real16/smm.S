/* SPDX-License-Identifier: MIT */
/* Halts for ever, in and out of system management mode: the case puts the handler where that begins. */
#include "guest.h"

entry:
	hlt
	jmp	entry

handler:
	hlt
	rsm
