/* SPDX-License-Identifier: MIT */
/* Prints "Hello, world!" on port 0xe9, stores 42 at 0x400 and halts with 42 in AX. */
#include "guest.h"

entry:
	cld
	mov	$message, SI
next:
	lodsb
	test	%al, %al
	jz	done
	outb	%al, $0xe9
	jmp	next
done:
	mov	$42, AX
	mov	AX, 0x400
	hlt
end:

	.data
message:
	.asciz	"Hello, world!"
