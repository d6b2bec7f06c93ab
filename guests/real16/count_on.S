/* SPDX-License-Identifier: MIT */
/* Counts for ever in EBX and reports every count, whatever events are injected meanwhile. */
#include "guest.h"

entry:
	incl	%ebx
	report	%ebx
	jmp	entry

ignore_event:
	iret

resume:	/* where KVM_SMI leads */
	rsm
