/* SPDX-License-Identifier: MIT */
/* The local APIC, for 64-bit guests: map_local_apic, and the offsets of its registers from RBX. */
#ifndef KVMSPEC_APIC_ASM_H
#define KVMSPEC_APIC_ASM_H

#define APIC_BASE     0xfee00000
#define APIC_TPR      0x80
#define APIC_EOI      0xb0
#define APIC_SPURIOUS 0xf0
#define APIC_LVT_TIMER 0x320

#define APIC_ENABLED      0x100      /* in the spurious vector's register */
#define LVT_TSC_DEADLINE  (2 << 17)  /* the timer's mode */

/* Where harness/vm.h has the page tables; the fourth GiB has none yet. */
#define PDPT       0x71000
#define DIRECTORY  0x73000
#define LARGE_PAGE 0x83 /* present, writable */
#define TABLE      0x03

/* Leaves the APIC's address in RBX; clobbers RAX. */
.macro map_local_apic
	movq	$(DIRECTORY + TABLE), PDPT + (APIC_BASE >> 30) * 8
	movl	$(APIC_BASE + LARGE_PAGE), %eax
	movq	%rax, DIRECTORY + ((APIC_BASE >> 21) & 511) * 8
	movl	$APIC_BASE, %ebx
.endm

#endif
