/* SPDX-License-Identifier: MIT */
/*
 * Puts the contracts, the known deviations, the expected kernel messages, the limits of kicks and what
 * VMMs need into the binary (runner/catalogue.c): those of cases/, or of the directory that the Makefile
 * defines CATALOGUE as.
 */
#ifndef CATALOGUE
#define CATALOGUE cases
#endif
#define TEXT(tokens)  TEXT_(tokens)
#define TEXT_(tokens) #tokens

.macro	embed name, file
	.globl	\name, \name\()_end
\name:
	.incbin	"\file"
\name\()_end:
.endm

	.section .rodata
	embed	contracts_tsv, TEXT(CATALOGUE/contracts.tsv)
	embed	deviations_tsv, TEXT(CATALOGUE/deviations.tsv)
	embed	kernel_log_tsv, TEXT(CATALOGUE/kernel_log.tsv)
	embed	kick_limits_tsv, TEXT(CATALOGUE/kick_limits.tsv)
	embed	vmms_tsv, TEXT(CATALOGUE/vmms.tsv)
	.section .note.GNU-stack, "", @progbits
