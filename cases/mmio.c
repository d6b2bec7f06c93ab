// SPDX-License-Identifier: MIT
/*
 * Memory accesses that no slot backs: KVM_EXIT_MMIO, its fields, and how it completes. Documented
 * in api.rst, 5. The kvm_run structure: KVM_EXIT_MMIO, and KVM_SET_USER_MEMORY_REGION for
 * read-only slots.
 */
#include "kvmspec.h"

#include <sys/mman.h>

GUEST_EACH_MODE(mmio);

#define TARGET   (MMIO_BASE + 0x10) /* what the guest accesses */
#define PAGE_END (MMIO_BASE + 0x1000)
#define ALL_BITS 0x1122334455667788

/* The vCPU's next run executes the instruction at the label, with RBX. */
static void prepare(struct vcpu *vcpu, const char *label, uint64_t rbx)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, label);
	regs.rbx = rbx;
	vcpu_set_regs(vcpu, regs);
}

CASE(mmio, write_exits_with_address_length_and_data, .contract = "exit.mmio.write",
     .each_mode = mmio)
{
	static const struct {
		const char *label;
		uint32_t len;
		uint64_t value;
	} writes[] = {
		{ "write8", 1, 0x88 },
		{ "write16", 2, 0x7788 },
		{ "write32", 4, 0x55667788 },
		{ "write64", 8, ALL_BITS },
	};
	struct vcpu *vcpu = boot(guest);

	for (size_t i = 0; i < (guest->mode == MODE_LONG64 ? 4 : 3); i++) {
		prepare(vcpu, writes[i].label, guest_register(guest, ALL_BITS));
		expect_run_mmio(vcpu, .phys_addr = TARGET, .len = writes[i].len, .is_write = 1,
				.value = writes[i].value);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_regs(vcpu, .rbx = guest_register(guest, ALL_BITS));
	}
}

CASE(mmio, read_loads_what_userspace_stored, .contract = "exit.mmio.read", .each_mode = mmio)
{
	static const struct {
		const char *label;
		uint32_t len;
		uint64_t rbx;
	} reads[] = {
		{ "read8", 1, 0x11223344556677f1 },
		{ "read16", 2, 0x112233445566f2f1 },
		{ "read32", 4, 0xf4f3f2f1 },
		{ "zero_extend8", 1, 0xf1 },
		{ "zero_extend16", 2, 0xf2f1 },
		{ "sign_extend8", 1, 0xfffffff1 },
		{ "sign_extend16", 2, 0xfffff2f1 },
		{ "read64", 8, 0xf8f7f6f5f4f3f2f1 },
		{ "sign_extend32", 4, 0xfffffffff4f3f2f1 },
	};
	struct vcpu *vcpu = boot(guest);

	for (size_t i = 0; i < (guest->mode == MODE_LONG64 ? 9 : 7); i++) {
		prepare(vcpu, reads[i].label, guest_register(guest, ALL_BITS));
		expect_run_mmio(vcpu, .phys_addr = TARGET, .len = reads[i].len, .is_write = 0);
		memcpy(vcpu->run->mmio.data, "\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8", 8);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_regs(vcpu, .rbx = guest_register(guest, reads[i].rbx));
	}
}

CASE(mmio, read_leaves_rip_at_the_instruction, .contract = "exit.mmio.read.rip", .each_mode = mmio)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "read32", 7);

	expect_run_mmio(vcpu, .phys_addr = TARGET, .len = 4, .is_write = 0);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "read32"), .rbx = 7);
}

CASE(mmio, read_completes_with_immediate_exit, .contract = "exit.mmio.completion",
     .each_mode = mmio, .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "read32", 7);

	expect_run_mmio(vcpu, .phys_addr = TARGET, .len = 4, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\1\2\3\4", 4);
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_read32"), .rbx = 0x04030201);
}

CASE(mmio, increment_reads_then_writes, .contract = "exit.mmio.modify", .each_mode = mmio)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "increment", 0);

	expect_run_mmio(vcpu, .phys_addr = TARGET, .len = 4, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\xff\0\0\0", 4);
	expect_run_mmio(vcpu, .phys_addr = TARGET, .len = 4, .is_write = 1, .value = 0x100);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(mmio, or_reads_then_writes, .contract = "exit.mmio.modify", .each_mode = mmio)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "or", 0x0f0f0f0f);

	expect_run_mmio(vcpu, .phys_addr = TARGET, .len = 4, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\x10\x20\x30\x40", 4);
	expect_run_mmio(vcpu, .phys_addr = TARGET, .len = 4, .is_write = 1, .value = 0x4f3f2f1f);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(mmio, write_across_pages_exits_for_each_page, .contract = "exit.mmio.split", .each_mode = mmio)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "write_across_pages", 0x44332211);

	expect_run_mmio(vcpu, .phys_addr = PAGE_END - 2, .len = 2, .is_write = 1, .value = 0x2211);
	expect_run_mmio(vcpu, .phys_addr = PAGE_END, .len = 2, .is_write = 1, .value = 0x4433);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(mmio, read_across_pages_exits_for_each_page, .contract = "exit.mmio.split", .each_mode = mmio)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "read_across_pages", 0);

	expect_run_mmio(vcpu, .phys_addr = PAGE_END - 2, .len = 2, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\x11\x22", 2);
	expect_run_mmio(vcpu, .phys_addr = PAGE_END, .len = 2, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\x33\x44", 2);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rbx = 0x44332211);
}

/* Puts a page of read-only memory where the guest's accesses go; returns it, all bytes 0x5a. */
static unsigned char *add_rom(struct vm *vm)
{
	unsigned char *rom =
		mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (rom == MAP_FAILED)
		error("cannot map a page: %s", strerror(errno));
	memset(rom, 0x5a, 0x1000);
	x(vm, KVM_SET_USER_MEMORY_REGION,
	  &(struct kvm_userspace_memory_region){
		  .slot = RAM_SLOT + 1,
		  .flags = KVM_MEM_READONLY,
		  .guest_phys_addr = MMIO_BASE,
		  .memory_size = 0x1000,
		  .userspace_addr = (uintptr_t)rom,
	  });
	return rom;
}

CASE(mmio, write_to_read_only_slot_exits, .contract = "memory.readonly.write", .each_mode = mmio,
     .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);
	unsigned char *rom = add_rom(vcpu->vm);

	prepare(vcpu, "write32", 0x04030201);

	expect_run_mmio(vcpu, .phys_addr = TARGET, .len = 4, .is_write = 1, .value = 0x04030201);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(rom[0x10], 0x5a);
}

CASE(mmio, read_from_read_only_slot_does_not_exit, .contract = "memory.readonly.read",
     .each_mode = mmio, .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);

	add_rom(vcpu->vm);
	prepare(vcpu, "read32", 0);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rbx = 0x5a5a5a5a);
}

CASE(mmio, read_only_slot_can_be_executed, .contract = "memory.readonly.read", .each_mode = mmio,
     .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);
	uint64_t code = guest_symbol(vcpu, "code_for_there");

	memcpy(add_rom(vcpu->vm), vcpu->vm->ram + code,
	       guest_symbol(vcpu, "code_for_there_end") - code);
	prepare(vcpu, "jump_there", 0);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rbx = 42);
}
