/* SPDX-License-Identifier: MIT */
/* Reads the first word of the hole, and halts. cases/smm.h copies a handler to where SMIs enter. */
#include "guest.h"

entry:
	ds_to_mmio
	movl	MMIO(0), %ebx
	hlt

/* In system-management mode the data segments begin at 0 and end at 4 GiB. */
reader:
	movl	$MMIO_BASE, %esi
	movl	(%esi), %ebx
	hlt

/* To the second page of the hole. */
writer:
	movl	$(MMIO_BASE + 0x1000), %esi
	movl	%esi, (%esi)
	hlt
