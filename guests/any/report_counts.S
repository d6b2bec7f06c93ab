/* SPDX-License-Identifier: MIT */
/* Counts for ever in EBX and reports every count. */
#include "guest.h"

entry:
	incl	%ebx
	report	%ebx
	jmp	entry
