/* SPDX-License-Identifier: MIT */
/*
 * Jumps to the label in DI: an instruction whose operand is not in one piece, or is not all there is
 * to it, and HLT. DS and ES reach the hole at MMIO_BASE, FS the end of RAM, also in real mode.
 */
#include "guest.h"

#define RAM_SIZE 0x80000 /* as in harness/vm.h */

/* RAM_END(offset) addresses what is around the end of RAM, whose slot ends there. */
#if defined MODE_real16
#define RAM_END(offset) %fs:0x8000 + offset
#else
#define RAM_END(offset) RAM_SIZE + offset
#endif

entry:
#if defined MODE_real16
	movw	$((RAM_SIZE - 0x8000) >> 4), %ax
	movw	%ax, %fs
#endif
	ds_to_mmio
#if defined MODE_real16
	movw	%ax, %es
#endif
	cld
	jmp	*DI

/* Four bytes, two of which are RAM's last. */
write_across_ram_end:
	movl	%ebx, RAM_END(-2)
	hlt
read_across_ram_end:
	movl	RAM_END(-2), %ebx
	hlt

/* One string instruction, two accesses. */
copy:
	mov	$MMIO(0x10), SI
	mov	$MMIO(0x20), DI
	movsl
	hlt
fill:
	mov	$MMIO(0x20), DI
	mov	$3, CX
	movl	$0x55667788, %eax
	rep stosl
	hlt
compare:
	mov	$MMIO(0x10), SI
	mov	$MMIO(0x20), DI
	cmpsb
	hlt

exchange:
	xchgl	%ebx, MMIO(0x10)
	hlt
compare_exchange:
	movl	$0x04030201, %eax
	cmpxchgl %ebx, MMIO(0x10)
	hlt
test:
	testl	$1, MMIO(0x10)
	hlt
push:
	push	MMIO(0x10)
	hlt

/* 16 bytes, from and to the image: by way of SS, whose base is 0 in each mode. */
#define CR4_OSFXSR (1 << 9)
#if defined MODE_long64
#define CR4_COPY %rax
#else
#define CR4_COPY %eax
#endif
.macro enable_sse
	mov	%cr4, CR4_COPY
	or	$CR4_OSFXSR, CR4_COPY
	mov	CR4_COPY, %cr4
.endm

write128:
	enable_sse
	movups	%ss:image, %xmm0
	movups	%xmm0, MMIO(0x10)
	hlt
read128:
	enable_sse
	movups	MMIO(0x10), %xmm0
	movups	%xmm0, %ss:image
	hlt

	.data
	.balign 16
image:
	.ascii	"0123456789abcdef"
