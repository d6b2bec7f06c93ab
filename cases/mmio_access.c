// SPDX-License-Identifier: MIT
/*
 * MMIO by instructions that make more than one access of up to eight bytes: operands half in RAM,
 * string instructions, exchanges, 16 bytes. Documented in api.rst, 5. The kvm_run structure:
 * KVM_EXIT_MMIO; how an access is taken apart is in emulator_read_write() and
 * complete_emulated_mmio() in arch/x86/kvm/x86.c.
 */
#include "kvmspec.h"

GUEST_EACH_MODE(mmio_access);

#define AT_10 (MMIO_BASE + 0x10)
#define AT_20 (MMIO_BASE + 0x20)

/* The vCPU's next run executes the instruction at the label, with RBX. */
static struct vcpu *boot_to(const struct guest_image *guest, const char *label, uint64_t rbx)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, label);
	regs.rbx = rbx;
	vcpu_set_regs(vcpu, regs);
	return vcpu;
}

static void expect_run_read(struct vcpu *vcpu, uint64_t address, const char *data, uint32_t len)
{
	expect_run_mmio(vcpu, .phys_addr = address, .len = len, .is_write = 0);
	memcpy(vcpu->run->mmio.data, data, len);
}

CASE(mmio_access, write_across_the_end_of_ram, .contract = "exit.mmio.slot_end.write",
     .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "write_across_ram_end", 0x44332211);

	expect_run_mmio(vcpu, .phys_addr = RAM_SIZE, .len = 2, .is_write = 1, .value = 0x4433);
	expect_memory(vcpu, RAM_SIZE - 2, "\x11\x22", 2); /* that is done already */
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(mmio_access, read_across_the_end_of_ram, .contract = "exit.mmio.slot_end.read",
     .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "read_across_ram_end", 0);

	memcpy(vcpu->vm->ram + RAM_SIZE - 2, "\x11\x22", 2);
	expect_run_read(vcpu, RAM_SIZE, "\x33\x44", 2);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rbx = 0x44332211);
}

CASE(mmio_access, copy_reads_then_writes, .contract = "exit.mmio.string", .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "copy", 0);

	expect_run_read(vcpu, AT_10, "\xa1\xa2\xa3\xa4", 4);
	expect_run_mmio(vcpu, .phys_addr = AT_20, .len = 4, .is_write = 1, .value = 0xa4a3a2a1);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(mmio_access, repeated_store_exits_for_each_element, .contract = "exit.mmio.string.repeated",
     .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "fill", 0);

	for (uint64_t i = 0; i < 3; i++)
		expect_run_mmio(vcpu, .phys_addr = AT_20 + 4 * i, .len = 4, .is_write = 1,
				.value = 0x55667788);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rcx = 0);
}

CASE(mmio_access, compare_reads_both, .contract = "exit.mmio.string", .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "compare", 0);

	expect_run_read(vcpu, AT_10, "\x42", 1);
	expect_run_read(vcpu, AT_20, "\x42", 1);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu_regs(vcpu).rflags & 1 << 6 /* ZF */, 1 << 6);
}

CASE(mmio_access, exchange_reads_then_writes, .contract = "exit.mmio.exchange",
     .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "exchange", 0x11223344);

	expect_run_read(vcpu, AT_10, "\xa1\xa2\xa3\xa4", 4);
	expect_run_mmio(vcpu, .phys_addr = AT_10, .len = 4, .is_write = 1, .value = 0x11223344);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rbx = 0xa4a3a2a1);
}

CASE(mmio_access, compare_exchange_of_what_is_equal, .contract = "exit.mmio.exchange",
     .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "compare_exchange", 0x11223344);

	expect_run_read(vcpu, AT_10, "\1\2\3\4", 4);
	expect_run_mmio(vcpu, .phys_addr = AT_10, .len = 4, .is_write = 1, .value = 0x11223344);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(mmio_access, test_only_reads, .contract = "exit.mmio.test", .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "test", 0);

	expect_run_read(vcpu, AT_10, "\1\0\0\0", 4);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu_regs(vcpu).rflags & 1 << 6 /* ZF */, 0);
}

CASE(mmio_access, push_reads_and_stores_to_ram, .contract = "exit.mmio.push",
     .each_mode = mmio_access)
{
	static const uint32_t widths[] = {
		[MODE_REAL16] = 2, [MODE_PROT32] = 4, [MODE_PAGED32] = 4, [MODE_LONG64] = 8
	};
	struct vcpu *vcpu = boot_to(guest, "push", 0);
	uint32_t width = widths[guest->mode];

	expect_run_read(vcpu, AT_10, "\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8", width);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rsp = STACK_TOP - width);
	expect_memory(vcpu, STACK_TOP - width, "\xa1\xa2\xa3\xa4\xa5\xa6\xa7\xa8", width);
}

/* Exits have room for eight bytes. */

CASE(mmio_access, write_of_16_bytes_exits_twice, .contract = "exit.mmio.wide",
     .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "write128", 0);

	expect_run_mmio(vcpu, .phys_addr = AT_10, .len = 8, .is_write = 1,
			.value = 0x3736353433323130);
	expect_run_mmio(vcpu, .phys_addr = AT_10 + 8, .len = 8, .is_write = 1,
			.value = 0x6665646362613938);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(mmio_access, read_of_16_bytes_exits_twice, .contract = "exit.mmio.wide",
     .each_mode = mmio_access)
{
	struct vcpu *vcpu = boot_to(guest, "read128", 0);

	expect_run_read(vcpu, AT_10, "ABCDEFGH", 8);
	expect_run_read(vcpu, AT_10 + 8, "IJKLMNOP", 8);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_memory(vcpu, guest_symbol(vcpu, "image"), "ABCDEFGHIJKLMNOP", 16);
}
