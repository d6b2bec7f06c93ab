/* SPDX-License-Identifier: MIT */
/* Puts the catalogue of contracts into the binary (runner/contracts.c). */
	.section .rodata
	.globl	contracts_tsv, contracts_tsv_end
contracts_tsv:
	.incbin	"cases/contracts.tsv"
contracts_tsv_end:
	.section .note.GNU-stack, "", @progbits
