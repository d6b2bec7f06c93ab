/* SPDX-License-Identifier: MIT */
/* Catches exceptions, then jumps to the label in DI: one of the hypercall instructions, and HLT. */
#include "guest.h"
#include "exception.h"

entry:
	catch_exceptions
	jmp	*DI

vmcall:
	vmcall
after_vmcall:
	hlt

vmmcall:
	vmmcall
after_vmmcall:
	hlt

vmfunc:
	vmfunc
after_vmfunc:
	hlt
