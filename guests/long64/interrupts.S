/* SPDX-License-Identifier: MIT */
/*
 * Reports READY once interrupts can come, and waits for them. Of each at VECTOR it reports TAKEN, with the
 * TSC in R14, ends it by a write to its local APIC, and reports ENDED. If bit 0 of `eoi_word` was set, for
 * MSR_KVM_PV_EOI_EN, it has ended it by clearing that, and reports ENDED_BY_BIT only. Exceptions are
 * reported as guests/exception.h has it. From the other labels on it does something else first.
 */
#include "guest.h"
#include "apic.h"
#include "exception.h"

/* As in cases/interrupts.h. */
#define VECTOR       0x21
#define READY        0
#define TAKEN        1
#define ENDED        2
#define ENDED_BY_BIT 3
#define STORED       4

#define IA32_TSC_DEADLINE 0x6e0

entry:
	catch_exceptions
	lidt	idtr
	map_local_apic
	movl	$(APIC_ENABLED + 0xff), APIC_SPURIOUS(%rbx)
	report	$READY
wait:
	sti
	hlt
	jmp	wait

/* The timer is to expire RSI ticks of the TSC from now on: at R13. */
set_deadline:
	movl	$(LVT_TSC_DEADLINE + VECTOR), APIC_LVT_TIMER(%rbx)
	mfence
	rdtsc
	shlq	$32, %rdx
	leaq	(%rax, %rdx), %r13
	addq	%rsi, %r13
	movl	%r13d, %eax
	movq	%r13, %rdx
	shrq	$32, %rdx
	movl	$IA32_TSC_DEADLINE, %ecx
	wrmsr
	jmp	wait

/* ESI to the word at RDI, with interrupts enabled. */
store:
	sti
	nop
stores:
	movl	%esi, (%rdi)
	report	$STORED
	jmp	wait

/* Hypercalls, by either vendor's instruction; the result is in R12. */
vmcall:
	vmcall
	movq	%rax, %r12
	jmp	wait
vmmcall:
	vmmcall
	movq	%rax, %r12
	jmp	wait

on_interrupt:
	btrl	$0, eoi_word /* at once: KVM clears it at each exit */
	jc	by_bit
	rdtsc
	shlq	$32, %rdx
	leaq	(%rax, %rdx), %r14
	report	$TAKEN
	movl	$0, APIC_EOI(%rbx)
	report	$ENDED
	iretq
by_bit:
	report	$ENDED_BY_BIT
	iretq

	.data
	.balign 16
idt:
	vector = 0
	.rept	32
	gate	(exception_stubs + vector * STUB_SIZE)
	vector = vector + 1
	.endr
	.rept	VECTOR + 1 - 32
	gate	on_interrupt
	.endr
idt_end:
idtr:
	.word	idt_end - idt - 1
	.quad	idt
	.balign 4
eoi_word:
	.long	0
