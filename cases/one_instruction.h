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

/* Time for KVM to do what it does at an entry. */
static inline void guest_runs(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, "nothing");
	vcpu_set_regs(vcpu, regs);
	expect_run_done(vcpu);
}

static inline void guest_writes_msr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	prepare_msr(vcpu, "wrmsr", msr, value);
	expect_run_done(vcpu);
}

static inline uint64_t guest_reads_msr(struct vcpu *vcpu, uint32_t msr)
{
	struct kvm_regs regs;

	prepare_msr(vcpu, "rdmsr", msr, 0);
	expect_run_done(vcpu);
	regs = vcpu_regs(vcpu);
	return (uint32_t)regs.rax | regs.rdx << 32;
}

static inline uint64_t guest_reads_tsc(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, "rdtsc");
	vcpu_set_regs(vcpu, regs);
	expect_run_done(vcpu);
	regs = vcpu_regs(vcpu);
	return (uint32_t)regs.rax | regs.rdx << 32;
}

#define GP_VECTOR 13

/* RDMSR, or WRMSR of the value, raises #GP. */
static inline void expect_gp(struct vcpu *vcpu, const char *instruction, uint32_t msr,
			     uint64_t value)
{
	prepare_msr(vcpu, instruction, msr, value);
	expect_run_exception(vcpu, GP_VECTOR, instruction);
}

#endif
