/* SPDX-License-Identifier: MIT */
/* Jumps to the label in EDI, makes a hypercall and reports EAX: runs at any CPL (if IOPL allows). */
#include "guest.h"

entry:
	jmp	*%edi

vmcall:
	vmcall
	report	%eax

vmmcall:
	vmmcall
	report	%eax
