/* SPDX-License-Identifier: MIT */
/*
 * One string instruction that fills half a TiB: 2^39 linear addresses, all of them the page `counter`
 * is in, by three page tables whose entries are all the same. Downwards: upwards, signals were seen to
 * wait for milliseconds, on a host where it is not known why. sti as in any/spin.S.
 */
#include "guest.h"

#define PRESENT_WRITABLE 3
#define PML4             0x70000 /* as in harness/vm.h: PAGE_TABLES */
#define FILLED           0x8000000000 /* what the second entry of the PML4 maps */

.macro fill_table table, entry_
	movl	$(\entry_ + PRESENT_WRITABLE), %eax
	movl	$\table, %edi
	movl	$512, %ecx
	rep	stosq
.endm

entry:
	fill_table pdpt, directory
	fill_table directory, pages
	fill_table pages, counter
	movq	$(pdpt + PRESENT_WRITABLE), PML4 + 8
	sti
again:
	std
	movabs	$(FILLED + (1 << 39) - 1), %rdi
	movabs	$(1 << 39), %rcx
	movb	$1, %al
fill:
	rep	stosb
	jmp	again

	.bss
	.balign 4096
pdpt:
	.fill	4096
directory:
	.fill	4096
pages:
	.fill	4096
counter:
	.fill	4096
