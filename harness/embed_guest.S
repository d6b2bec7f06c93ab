/* SPDX-License-Identifier: MIT */
/*
 * Puts one linked guest into the binary as the struct guest_image (harness/guest.h) that GUEST()
 * declares. The Makefile defines NAME (real16_hlt_loop), TITLE ("real16/hlt_loop"), MODE (enum
 * cpu_mode) and FILE_NAME.
 */
#define CONCAT_(a, b) a##b
#define CONCAT(a, b)  CONCAT_(a, b)

	.section .rodata
title:
	.asciz	TITLE
	.balign	16
elf:
	.incbin	FILE_NAME
elf_end:

	.section .data.rel.ro, "aw"
	.balign	8
	.globl	CONCAT(guest_, NAME)
CONCAT(guest_, NAME):
	.quad	title
	.long	MODE, 0
	.quad	elf, elf_end

	/* a list of all, for guest_is_image() */
	.section guest_images, "aw"
	.quad	CONCAT(guest_, NAME)
	.section .note.GNU-stack, "", @progbits
