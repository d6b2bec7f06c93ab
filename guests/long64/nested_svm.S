/* SPDX-License-Identifier: MIT */
/* Runs a guest of its own by the VMCB that RAX has the address of; each of the two writes to a port. */
#include "guest.h"

#define PORT 0xe9

entry:
	vmrun
	outb	%al, $PORT
	hlt

nested:
	outb	%al, $PORT
	hlt
