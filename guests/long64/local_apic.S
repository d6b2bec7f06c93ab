/* SPDX-License-Identifier: MIT */
/* Maps the local APIC's page, then reads and writes its task priority register. */
#include "guest.h"

/* Where harness/vm.h has the page tables; the fourth GiB has none yet. */
#define PDPT      0x71000
#define DIRECTORY 0x73000

#define APIC_BASE  0xfee00000
#define APIC_TPR   0x80
#define LARGE_PAGE 0x83 /* present, writable */
#define TABLE      0x03

entry:
	movq	$(DIRECTORY + TABLE), PDPT + (APIC_BASE >> 30) * 8
	movl	$(APIC_BASE + LARGE_PAGE), %eax
	movq	%rax, DIRECTORY + ((APIC_BASE >> 21) & 511) * 8
	movl	$APIC_BASE, %ebx
	movl	$0x50, %ecx
write:
	movl	%ecx, APIC_TPR(%rbx)
read:
	movl	APIC_TPR(%rbx), %esi
	report	%esi
