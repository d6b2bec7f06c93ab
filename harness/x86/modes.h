/* SPDX-License-Identifier: MIT */
/* What an x86 vCPU needs to start in each CPU mode (SDM vol. 3, chapters 3, 4 and 9). */
#ifndef KVMSPEC_X86_MODES_H
#define KVMSPEC_X86_MODES_H

#include "guest.h"

#include <linux/kvm.h>

/* Changes registers as they are after reset so that the vCPU is in the mode. */
void mode_set_sregs(enum cpu_mode mode, struct kvm_sregs *sregs);

/* Writes the mode's page tables, if it has any, to guest memory at PAGE_TABLES. */
void mode_write_page_tables(enum cpu_mode mode, unsigned char *ram);

#endif
