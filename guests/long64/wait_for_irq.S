/* SPDX-License-Identifier: MIT */
/* Waits for an interrupt by a message to its local APIC, reports it, and waits for the next. */
#include "guest.h"
#include "apic.h"
#include "exception.h"

#define VECTOR 0x21 /* as in cases/kick_latency.c */

entry:
	catch_exceptions
	lidt	idtr
	map_local_apic
	movl	$(APIC_ENABLED + 0xff), APIC_SPURIOUS(%rbx)
	sti
wait:
	hlt
	jmp	wait

on_interrupt:
	report	$1
	movl	$0, APIC_EOI(%rbx)
	iretq

	.data
	.balign 16
idt:
	.rept	VECTOR + 1
	gate	on_interrupt
	.endr
idt_end:
idtr:
	.word	idt_end - idt - 1
	.quad	idt
