/* SPDX-License-Identifier: MIT */
/* Adds BL to AL, prints the sum as a digit and a newline on the serial port, and halts. */
#include "guest.h"

entry:
	movw	$0x3f8, %dx
	addb	%bl, %al
	addb	$'0', %al
	outb	%al, (%dx)
	movb	$'\n', %al
	outb	%al, (%dx)
	hlt
end:
