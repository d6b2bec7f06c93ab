// SPDX-License-Identifier: MIT
/*
 * Failures whose whole diagnosis is compared (../expected), as far as other fixtures do not fail that
 * way already. Some of what they show is the vendor's.
 */
#include "kvmspec.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

GUEST(long64, triple_fault);
GUEST_EACH_MODE(hlt_loop);
GUEST_EACH_MODE(mmio);

CASE(diagnoses, triple_fault)
{
	struct vcpu *vcpu = boot(triple_fault);

	expect_run_exit(vcpu, KVM_EXIT_HLT); /* ends here */
}

/* Nothing is there to fetch from: KVM's emulator gives up. */
CASE(diagnoses, emulation_fails)
{
	struct vcpu *vcpu = boot(mmio[MODE_LONG64]);
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, "jump_there");
	vcpu_set_regs(vcpu, regs);
	expect_run_exit(vcpu, KVM_EXIT_HLT); /* ends here */
}

/* CS.L and CS.D together: KVM takes it, the CPU does not (AMD manual, volume 2, 15.5.1). */
CASE(diagnoses, entry_fails, .needs = { VENDOR("kvm_amd") })
{
	struct vcpu *vcpu = boot(hlt_loop[MODE_LONG64]);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.cs.l = sregs.cs.db = 1;
	x(vcpu, KVM_SET_SREGS, &sregs);
	expect_run_exit(vcpu, KVM_EXIT_HLT); /* ends here */
}

CASE(diagnoses, kernel_log)
{
	static const char line[] = "<4>kvmspec: a fixture wrote this <line> & its \"text\"\n";
	int fd = open("/dev/kmsg", O_WRONLY);

	if (fd < 0 || write(fd, line, sizeof line - 1) < 0)
		skip("cannot write to /dev/kmsg");
	fail("the kernel is quiet", "it is not"); /* ends here */
}

CASE(diagnoses, flood)
{
	char block[20000];

	memset(block, 'x', sizeof block);
	if (write(STDOUT_FILENO, block, sizeof block) != sizeof block)
		error("write");
	fail("silence", "a flood"); /* ends here */
}

/* The sentence is longer than what is kept of it, which ends inside a character. */
CASE(diagnoses, long_contract, .contract = "fixture.cut")
{
	fail("one thing", "another"); /* ends here */
}
