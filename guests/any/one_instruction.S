/* SPDX-License-Identifier: MIT */
/*
 * Catches exceptions, then jumps to the label in DI: one instruction, after which the byte in AL goes
 * to DONE_PORT. No other register changes on the way. In real mode DS is at MMIO_BASE.
 */
#include "guest.h"
#include "exception.h"

#define DONE_PORT 0xe9 /* as in cases/one_instruction.h */

/* The instruction is at the label, the one that follows at after_ and the label. */
.macro one label, instruction:vararg
\label:
	\instruction
after_\label:
	outb	%al, $DONE_PORT
.endm

entry:
#if defined MODE_real16
	pushw	$0 /* where the exceptions' table is; the last jump has changed it */
	popw	%ds
#endif
	catch_exceptions
	push	AX
	ds_to_mmio
	pop	AX
	jmp	*DI

	one nothing,		nop
	one halt,		hlt
	one port_read,		inl (%dx), %eax
	one port_write,		outl %eax, (%dx)
	one mmio_read,		movl MMIO(0x10), %ebx
	one mmio_write,		movl %ebx, MMIO(0x10)
	one mmio_read_split,	movl MMIO(0xffe), %ebx
	one rdtsc,		rdtsc
	one rdmsr,		rdmsr
	one wrmsr,		wrmsr
	one vmcall,		vmcall
	one vmmcall,		vmmcall
	/* an instruction that needs memory, and that KVM's emulator does not know */
	one unknown_to_kvm,	fldl MMIO(0x10)

/* Four bytes at once, of which userspace may hand over as many as it is asked for. */
string_read:
	cld
	mov	$buffer, DI
	mov	$4, CX
	rep insb
after_string_read:
	outb	%al, $DONE_PORT

/* With interrupts enabled, for ever. */
interruptible:
	sti
	nop
window:
	jmp	window

/* STI holds interrupts off until after the instruction that follows. */
shadow:
	sti
after_sti:
	outb	%al, $DONE_PORT
	outb	%al, $DONE_PORT

#if defined MODE_long64
	one read_cr8,		mov %cr8, %rax
	one write_cr8,		mov %rbx, %cr8
#endif

	.bss
buffer:
	.skip	4
