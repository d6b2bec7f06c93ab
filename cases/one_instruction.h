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

/* The vCPU's next run executes the instruction at the label, with a value in EDX:EAX, and this RCX. */
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

static inline uint64_t edx_eax(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu_regs(vcpu);

	return (uint32_t)regs.rax | regs.rdx << 32;
}

/* The guest executes it, with no exit on the way; what is then in EDX:EAX. */
#define guest_executes(vcpu_, instruction, msr, value)                                             \
	({                                                                                         \
		struct vcpu *executing_ = (vcpu_);                                                 \
		prepare_msr(executing_, (instruction), (msr), (value));                            \
		expect_run_done(executing_);                                                       \
		edx_eax(executing_);                                                               \
	})
#define guest_writes_msr(vcpu_, msr, value) ((void)guest_executes(vcpu_, "wrmsr", msr, value))
#define guest_reads_msr(vcpu_, msr)         guest_executes(vcpu_, "rdmsr", msr, 0)
#define guest_reads_tsc(vcpu_)              guest_executes(vcpu_, "rdtsc", 0, 0)
/* Time for KVM to do what it does at an entry. */
#define guest_runs(vcpu_) ((void)guest_executes(vcpu_, "nothing", 0, 0))

#define GP_VECTOR 13

/* RDMSR, or WRMSR of the value, raises #GP. */
#define expect_gp(vcpu_, instruction, msr, value)                                                  \
	({                                                                                         \
		struct vcpu *faulting_ = (vcpu_);                                                  \
		prepare_msr(faulting_, (instruction), (msr), (value));                             \
		expect_run_exception(faulting_, GP_VECTOR, instruction);                           \
	})

/* The guest makes a hypercall, with these registers. */
static inline void run_hypercall(struct vcpu *vcpu, struct kvm_regs regs)
{
	regs.rip = guest_symbol(vcpu, host_hypercall());
	regs.rsp = vcpu->loaded.rsp;
	regs.rflags = vcpu->loaded.rflags;
	vcpu_set_regs(vcpu, regs);
	vcpu_run_or_give_up(vcpu);
}

/* KVM answers it, without an exit: expect_hypercall(vcpu, result, .rax = …). */
#define expect_hypercall(vcpu_, result, ...)                                                       \
	({                                                                                         \
		struct vcpu *calling_ = (vcpu_);                                                   \
		run_hypercall(calling_, (struct kvm_regs){ __VA_ARGS__ });                         \
		expect_exit_reason(calling_, KVM_EXIT_IO);                                         \
		expect_regs(calling_, .rax = (result));                                            \
	})

#endif
