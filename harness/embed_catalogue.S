/* SPDX-License-Identifier: MIT */
/* Puts the contracts and the known deviations into the binary (runner/catalogue.c). */
.macro	embed name, file
	.globl	\name, \name\()_end
\name:
	.incbin	"\file"
\name\()_end:
.endm

	.section .rodata
	embed	contracts_tsv, "cases/contracts.tsv"
	embed	deviations_tsv, "cases/deviations.tsv"
	.section .note.GNU-stack, "", @progbits
