// SPDX-License-Identifier: MIT
/*
 * Each assertion of harness/expect.h, made to fail in each way that it can. test_fixtures.py knows
 * what must be reported; the comment «ends here» marks the line.
 */
#include "kvmspec.h"

GUEST(real16, add_and_print);
GUEST_EACH_MODE(hello);
GUEST_EACH_MODE(hlt_loop);

static struct vcpu *boot_real16(const struct guest_image *const *images)
{
	return boot(images[MODE_REAL16]);
}

/* A vCPU whose next instructions store 42 as 16 bits at MMIO_BASE + 0x400: hello's, moved by DS. */
static struct vcpu *boot_mmio_store(void)
{
	struct vcpu *vcpu = boot_real16(hello);
	struct kvm_regs regs = vcpu->loaded;
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	regs.rip = guest_symbol(vcpu, "done");
	vcpu_set_regs(vcpu, regs);
	sregs.ds.base = MMIO_BASE;
	sregs.ds.selector = MMIO_BASE >> 4;
	x(vcpu, KVM_SET_SREGS, &sregs);
	return vcpu;
}

static struct vcpu *boot_and_print_hello(void)
{
	struct vcpu *vcpu = boot_real16(hello);

	expect_run_text(vcpu, 0xe9, "Hello, world!");
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	return vcpu;
}

CASE(assertions, expect, .contract = "fixture.contract")
{
	expect(1 + 1 == 3, "it is %d", 1 + 1); /* ends here */
}

CASE(assertions, expect_equal)
{
	expect_equal(sizeof(uint16_t), 16); /* ends here */
}

CASE(assertions, expect_errno_but_it_succeeds)
{
	expect_errno(EINVAL, &host.kvm, KVM_GET_API_VERSION); /* ends here */
}

CASE(assertions, expect_errno_but_another)
{
	struct vcpu *vcpu = boot_real16(hlt_loop);

	expect_errno(ENOENT, vcpu, KVM_GET_REGS, NULL); /* ends here */
}

CASE(assertions, expect_answer)
{
	expect_answer(&host.kvm, ANSWERS(KVM_CAP_USER_MEMORY, 2)); /* ends here */
}

CASE(assertions, expect_answer_at_least)
{
	expect_answer(vm_create(), ANSWERS_AT_LEAST(KVM_CAP_USER_MEMORY, 2)); /* ends here */
}

CASE(assertions, expect_answer_bits)
{
	expect_answer(&host.kvm, ANSWERS_BITS(KVM_CAP_USER_MEMORY, 3)); /* ends here */
}

CASE(assertions, x_fails)
{
	struct vcpu *vcpu = boot_real16(hlt_loop);

	x(vcpu, KVM_GET_REGS, NULL); /* ends here */
}

CASE(assertions, expect_run_errno_but_it_returns)
{
	struct vcpu *vcpu = boot_real16(hlt_loop);

	expect_run_errno(vcpu, EINTR); /* ends here */
}

CASE(assertions, expect_run_errno_but_another)
{
	struct vcpu *vcpu = boot_real16(hlt_loop);

	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EAGAIN); /* ends here */
}

CASE(assertions, expect_run_exit_but_another)
{
	struct vcpu *vcpu = boot_real16(hlt_loop);

	expect_run_exit(vcpu, KVM_EXIT_IO); /* ends here */
}

CASE(assertions, expect_run_exit_but_it_fails)
{
	struct vcpu *vcpu = boot_real16(hlt_loop);

	vcpu->run->immediate_exit = 1;
	expect_run_exit(vcpu, KVM_EXIT_HLT); /* ends here */
}

CASE(assertions, expect_exit_reason)
{
	struct vcpu *vcpu = boot_and_print_hello();

	expect_exit_reason(vcpu, KVM_EXIT_MMIO); /* ends here */
}

CASE(assertions, expect_run_io_direction)
{
	struct vcpu *vcpu = boot(add_and_print);

	expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN); /* ends here */
}

CASE(assertions, expect_run_io_size)
{
	struct vcpu *vcpu = boot(add_and_print);

	expect_run_io(vcpu, .size = 2); /* ends here */
}

CASE(assertions, expect_run_io_port)
{
	struct vcpu *vcpu = boot(add_and_print);

	expect_run_io(vcpu, .port = 0x2f8); /* ends here */
}

CASE(assertions, expect_run_io_count)
{
	struct vcpu *vcpu = boot(add_and_print);

	expect_run_io(vcpu, .count = 2); /* ends here */
}

CASE(assertions, expect_run_io_value)
{
	struct vcpu *vcpu = boot(add_and_print);

	expect_run_io(vcpu, .value = '5'); /* ends here */
}

CASE(assertions, expect_run_io_but_another_exit)
{
	struct vcpu *vcpu = boot_real16(hlt_loop);

	expect_run_io(vcpu, .size = 1); /* ends here */
}

CASE(assertions, expect_run_text)
{
	struct vcpu *vcpu = boot_real16(hello);

	expect_run_text(vcpu, 0xe9, "Help"); /* ends here */
}

CASE(assertions, expect_run_text_but_it_ends)
{
	struct vcpu *vcpu = boot_real16(hello);

	expect_run_text(vcpu, 0xe9, "Hello, world!!"); /* ends here */
}

CASE(assertions, expect_run_mmio_phys_addr)
{
	struct vcpu *vcpu = boot_mmio_store();

	expect_run_mmio(vcpu, .phys_addr = MMIO_BASE); /* ends here */
}

CASE(assertions, expect_run_mmio_len)
{
	struct vcpu *vcpu = boot_mmio_store();

	expect_run_mmio(vcpu, .len = 4); /* ends here */
}

CASE(assertions, expect_run_mmio_is_write)
{
	struct vcpu *vcpu = boot_mmio_store();

	expect_run_mmio(vcpu, .is_write = 0); /* ends here */
}

CASE(assertions, expect_run_mmio_value)
{
	struct vcpu *vcpu = boot_mmio_store();

	expect_run_mmio(vcpu, .value = 43); /* ends here */
}

CASE(assertions, expect_regs_one)
{
	struct vcpu *vcpu = boot_and_print_hello();

	expect_regs(vcpu, .rax = 43, .rip = guest_symbol(vcpu, "end")); /* ends here */
}

CASE(assertions, expect_regs_rip)
{
	struct vcpu *vcpu = boot_and_print_hello();

	expect_regs(vcpu, .rax = 42, .rip = guest_symbol(vcpu, "done")); /* ends here */
}

CASE(assertions, expect_sregs)
{
	struct vcpu *vcpu = boot_real16(hello);

	expect_sregs(vcpu, .cr3 = 0x5000, .efer = 0); /* ends here */
}

CASE(assertions, expect_memory_first_byte)
{
	struct vcpu *vcpu = boot_and_print_hello();

	expect_memory(vcpu, 0x400, "\x2b\0", 2); /* ends here */
}

CASE(assertions, expect_memory_later_byte)
{
	struct vcpu *vcpu = boot_and_print_hello();

	expect_memory(vcpu, 0x400, "\x2a\1\2", 3); /* ends here */
}

CASE(assertions, expect_memory_beyond_ram)
{
	struct vcpu *vcpu = boot_real16(hello);

	expect_memory(vcpu, RAM_SIZE - 1, "\0\0", 2); /* ends here */
}

CASE(assertions, expect_run_report)
{
	struct vcpu *vcpu = boot(add_and_print);

	expect_run_report(vcpu, 0x1234); /* ends here */
}

CASE(assertions, all_hold, .contract = "fixture.two_columns")
{
	struct vcpu *vcpu = boot_and_print_hello();

	expect(1, "never said");
	expect_equal(1, 1);
	expect_answer(vcpu->vm, ANSWERS_AT_LEAST(KVM_CAP_USER_MEMORY, 1));
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = 42, .rip = guest_symbol(vcpu, "end"));
	expect_sregs(vcpu, .efer = 0);
	expect_memory(vcpu, 0x400, "\x2a\0", 2);
	expect_errno(EFAULT, vcpu, KVM_GET_REGS, NULL);
	vcpu = boot_mmio_store();
	expect_run_mmio(vcpu, .phys_addr = MMIO_BASE + 0x400, .len = 2, .is_write = 1, .value = 42);
}
