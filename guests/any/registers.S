/* SPDX-License-Identifier: MIT */
/*
 * Stores every general register to `seen`, 8 bytes for each, in the order of struct kvm_regs; then
 * gives each but the stack pointer a value of its own, sets CF and DF, and halts.
 */
#include "guest.h"

#if defined MODE_long64
#define REGISTERS rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp, r8, r9, r10, r11, r12, r13, r14, r15
#define CHANGED	  rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
#define UNIT	  0x0101010101010101
#else
#define REGISTERS eax, ebx, ecx, edx, esi, edi, esp, ebp
#define CHANGED	  eax, ebx, ecx, edx, esi, edi, ebp
#define UNIT	  0x01010101
#endif

entry:
	n = 0
	.irp	register, REGISTERS
	mov	%\register, seen + 8 * n
	n = n + 1
	.endr
	n = 1
	.irp	register, CHANGED
	mov	$(UNIT * n), %\register
	n = n + 1
	.endr
	stc
	std
	hlt
end:

	.bss
	.balign 8
seen:
	.skip	16 * 8
