/* SPDX-License-Identifier: MIT */
/* Maps the local APIC's page, then reads and writes its task priority register. */
#include "guest.h"
#include "apic.h"

entry:
	map_local_apic
	movl	$0x50, %ecx
write:
	movl	%ecx, APIC_TPR(%rbx)
read:
	movl	APIC_TPR(%rbx), %esi
	report	%esi
