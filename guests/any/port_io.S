/* SPDX-License-Identifier: MIT */
/* One port access at each label, and HLT. The case chooses the label by RIP and the port by DX. */
#include "guest.h"

entry:
	hlt

out8:
	outb	%al, (%dx)
	hlt
out16:
	outw	%ax, (%dx)
	hlt
out32:
	outl	%eax, (%dx)
	hlt
out8_immediate:
	outb	%al, $0x42
	hlt
out32_immediate:
	outl	%eax, $0x42
	hlt

in8:
	inb	(%dx), %al
	hlt
in16:
	inw	(%dx), %ax
after_in16:
	hlt
in32:
	inl	(%dx), %eax
	hlt
in8_immediate:
	inb	$0x42, %al
	hlt

out_7e:
	outb	%al, $0x7e
after_out_7e:
	hlt

/* Writes the message's 8 elements of 1, 2 or 4 bytes. */
outs8:
	call	outs_prepare
	rep outsb
	hlt
outs16:
	call	outs_prepare
	rep outsw
	hlt
outs32:
	call	outs_prepare
	rep outsl
	hlt
outs_backwards:
	call	outs_prepare
	mov	$last, SI
	std
	rep outsb
	hlt
outs_prepare:
	cld
	mov	$message, SI
	mov	$8, CX
	ret

/* Reads 8 elements of 1, 2 or 4 bytes into the buffer. */
ins8:
	call	ins_prepare
	rep insb
	hlt
ins16:
	call	ins_prepare
	rep insw
	hlt
ins32:
	call	ins_prepare
	rep insl
	hlt
ins_prepare:
	cld
	mov	$buffer, DI
	mov	$8, CX
	ret

	.data
	.balign 4
message:
	.ascii	"abcdefg"
last:
	.ascii	"h0123456789ABCDEFGHIJKLMN"
	.bss
	.balign 4
buffer:
	.skip	32
