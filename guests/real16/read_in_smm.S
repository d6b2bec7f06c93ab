/* SPDX-License-Identifier: MIT */
/* Reads the first word of the hole, and halts. The case copies the handler to where SMIs enter. */
#include "guest.h"

entry:
	ds_to_mmio
	movl	MMIO(0), %ebx
	hlt

/* In system-management mode the data segments begin at 0 and end at 4 GiB. */
handler:
	movl	$MMIO_BASE, %esi
	movl	(%esi), %ebx
	hlt
handler_end:
