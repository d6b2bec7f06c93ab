/* SPDX-License-Identifier: MIT */
/* Jumps to the label in EDI, makes a hypercall and reports EAX; at CPL 3 it needs an IOPL of 3. */
#include "guest.h"

entry:
	jmp	*%edi

vmcall:
	vmcall
	report	%eax

vmmcall:
	vmmcall
	report	%eax
