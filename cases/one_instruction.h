/* SPDX-License-Identifier: MIT */
/* For cases whose guest is guests/any/one_instruction.S: see there. */
#ifndef KVMSPEC_ONE_INSTRUCTION_H
#define KVMSPEC_ONE_INSTRUCTION_H

#include "kvmspec.h"

GUEST_EACH_MODE(one_instruction);

#define DONE_PORT 0xe9 /* as in the guest */

/* Runs the vCPU once; the instruction is done, and the guest says so. */
#define expect_run_done(vcpu)                                                                      \
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .port = DONE_PORT, .size = 1)

/* The vCPU's next run executes RDMSR, or WRMSR of the value. */
static inline void prepare_msr(struct vcpu *vcpu, const char *instruction, uint32_t msr,
			       uint64_t value)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, instruction);
	regs.rcx = msr;
	regs.rax = (uint32_t)value;
	regs.rdx = value >> 32;
	vcpu_set_regs(vcpu, regs);
}

#endif
