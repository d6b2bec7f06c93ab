/* SPDX-License-Identifier: MIT */
/* Catches exceptions, then jumps to the label in DI: what a debugger looks at. */
#include "guest.h"
#include "exception.h"

entry:
	catch_exceptions
	jmp	*DI

steps:
	nop
step_1:
	incl	%ebx
step_2:
	jmp	step_3
	hlt
step_3:
	hlt

port:
	outb	%al, $0xe9
after_port:
	hlt

breakpoint:
	int3
after_breakpoint:
	hlt

store:
	movl	%ebx, variable
after_store:
	hlt

	.data
	.balign 8
variable:
	.long	0
