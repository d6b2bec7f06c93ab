// SPDX-License-Identifier: MIT
/*
 * The smallest guests: code runs, its port I/O reaches userspace, its stores reach memory, and its
 * HLT ends KVM_RUN. Documented in api.rst: KVM_RUN, KVM_SET_REGS and 5. The kvm_run structure.
 */
#include "kvmspec.h"

GUEST(real16, add_and_print);
GUEST_EACH_MODE(hello);

CASE(first_programs, adds_two_numbers_and_prints_the_sum, .contract = "exit.io.out")
{
	struct vcpu *vcpu = boot(add_and_print);
	struct kvm_regs regs = vcpu->loaded;

	regs.rax = 2;
	regs.rbx = 2;
	vcpu_set_regs(vcpu, regs);

	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .size = 1, .port = 0x3f8, .count = 1,
		      .value = '4');
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .size = 1, .port = 0x3f8, .count = 1,
		      .value = '\n');
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = '\n', .rbx = 2, .rdx = 0x3f8, .rip = guest_symbol(vcpu, "end"),
		    .rflags = 2);
}

CASE(first_programs, prints_hello_stores_and_halts, .contract = "exit.hlt.userspace_irqchip",
     .each_mode = hello)
{
	struct vcpu *vcpu = boot(guest);

	expect_run_text(vcpu, 0xe9, "Hello, world!");
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = 42, .rip = guest_symbol(vcpu, "end"));
	expect_memory(vcpu, 0x400, "\x2a\0", 2);
}
