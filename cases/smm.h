/* SPDX-License-Identifier: MIT */
/* For cases in system management mode, most of them with the guest guests/real16/read_in_smm.S. */
#ifndef KVMSPEC_SMM_H
#define KVMSPEC_SMM_H

#include "kvmspec.h"

GUEST(real16, read_in_smm);

#define SMM          1u /* the address space's number */
#define IN_SMM(slot) (SMM << 16 | (slot))
#define SMM_ENTRY    0x38000 /* SMBASE after reset, and 0x8000 */
#define SMM_CODE_MAX 64

#define NEEDS_SMM .needs = { CAP_AT_LEAST(KVM_CAP_MULTI_ADDRESS_SPACE, 2), CAP(KVM_CAP_X86_SMM) }

/* The RAM is there in system management mode, too, and an SMI runs the code at the label. */
static inline void add_smm_handler(struct vcpu *vcpu, const char *label)
{
	unsigned char *ram = vcpu->vm->ram;

	memcpy(ram + SMM_ENTRY, ram + guest_symbol(vcpu, label), SMM_CODE_MAX);
	add_slot(vcpu->vm, .slot = IN_SMM(RAM_SLOT), .guest_phys_addr = 0, .memory_size = RAM_SIZE,
		 .userspace_addr = (uintptr_t)ram);
}

/* The guest of read_in_smm.S writes to the second page of SLOT_ID's, which both address spaces have and log. */
static inline void write_in_smm(struct vcpu *vcpu)
{
	add_smm_handler(vcpu, "writer");
	add_slot(vcpu->vm, .memory_size = 4 * PAGE, .flags = KVM_MEM_LOG_DIRTY_PAGES);
	add_slot(vcpu->vm, .slot = IN_SMM(SLOT_ID), .memory_size = 4 * PAGE,
		 .flags = KVM_MEM_LOG_DIRTY_PAGES);
	x(vcpu, KVM_SMI);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

#endif
