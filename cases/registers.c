// SPDX-License-Identifier: MIT
/*
 * General and system registers, in and out, and address translation. Documented in api.rst:
 * KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS, KVM_TRANSLATE; what KVM_SET_SREGS
 * refuses is in kvm_is_valid_sregs() only.
 */
#include "kvmspec.h"

GUEST_EACH_MODE(registers);
GUEST_EACH_MODE(hlt_loop);

#define CR0_PE         (1ull << 0)
#define CR0_CD         (1ull << 30)
#define CR0_PG         (1ull << 31)
#define CR4_PAE        (1ull << 5)
#define EFER_LMA       (1ull << 10)
#define APIC_BASE_EXTD (1ull << 10)
#define APIC_BASE_EN   (1ull << 11)
#define RFLAGS_CF      (1 << 0)
#define RFLAGS_FIXED   (1 << 1)
#define RFLAGS_DF      (1 << 10)

/* A value of its own for each register. */
static const struct kvm_regs distinct = {
	.rax = 0x1a1a1a1a1a1a1a1a,
	.rbx = 0x1b1b1b1b1b1b1b1b,
	.rcx = 0x1c1c1c1c1c1c1c1c,
	.rdx = 0x1d1d1d1d1d1d1d1d,
	.rsi = 0x2a2a2a2a2a2a2a2a,
	.rdi = 0x2b2b2b2b2b2b2b2b,
	.rsp = 0x00002c2c2c2c2c2c,
	.rbp = 0x2d2d2d2d2d2d2d2d,
	.r8 = 0x0808080808080808,
	.r9 = 0x0909090909090909,
	.r10 = 0x1010101010101010,
	.r11 = 0x1111111111111111,
	.r12 = 0x1212121212121212,
	.r13 = 0x1313131313131313,
	.r14 = 0x1414141414141414,
	.r15 = 0x1515151515151515,
	.rip = 0x0000161616161616,
	.rflags = 0x8d7,
};

CASE(registers, set_regs_then_get_regs_round_trips, .contract = "regs.round_trip",
     .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_set_regs(vcpu, distinct);

	expect_regs(vcpu, REGS_AS(distinct));
}

CASE(registers, bit_1_of_rflags_is_always_set, .contract = "regs.rflags.fixed",
     .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;

	regs.rflags = RFLAGS_CF;
	vcpu_set_regs(vcpu, regs);
	expect_regs(vcpu, .rflags = RFLAGS_FIXED | RFLAGS_CF);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rflags = RFLAGS_FIXED | RFLAGS_CF);
}

CASE(registers, guest_sees_what_userspace_set, .contract = "regs.in", .each_mode = registers)
{
	struct vcpu *vcpu = boot(guest);
	volatile uint64_t *seen = guest_variable(vcpu, uint64_t, "seen");
	const uint64_t *set = (const uint64_t *)&distinct;
	struct kvm_regs regs = distinct;
	bool is_64_bit = guest->mode == MODE_LONG64;

	regs.rip = vcpu->loaded.rip;
	vcpu_set_regs(vcpu, regs);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	for (int i = 0; i < (is_64_bit ? 16 : 8); i++)
		expect_equal(seen[i], is_64_bit ? set[i] : (uint32_t)set[i]);
}

CASE(registers, userspace_sees_what_the_guest_left, .contract = "regs.out", .each_mode = registers)
{
	struct vcpu *vcpu = boot(guest);
	bool is_64_bit = guest->mode == MODE_LONG64;
	uint64_t unit = is_64_bit ? 0x0101010101010101 : 0x01010101;
	uint64_t unit_of_new = is_64_bit ? unit : 0; /* R8 to R15 exist in 64-bit code only */

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = unit, .rbx = 2 * unit, .rcx = 3 * unit, .rdx = 4 * unit,
		    .rsi = 5 * unit, .rdi = 6 * unit, .rsp = STACK_TOP, .rbp = 7 * unit,
		    .r8 = 8 * unit_of_new, .r9 = 9 * unit_of_new, .r10 = 10 * unit_of_new,
		    .r11 = 11 * unit_of_new, .r12 = 12 * unit_of_new, .r13 = 13 * unit_of_new,
		    .r14 = 14 * unit_of_new, .r15 = 15 * unit_of_new,
		    .rip = guest_symbol(vcpu, "end"),
		    .rflags = RFLAGS_FIXED | RFLAGS_CF | RFLAGS_DF);
}

CASE(registers, rip_is_past_each_hlt, .contract = "exit.hlt.userspace_irqchip",
     .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);

	for (int i = 0; i < 3; i++) {
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_hlt"), .rax = 0,
			    .rsp = STACK_TOP, .rflags = RFLAGS_FIXED);
	}
}

CASE(registers, set_sregs_then_get_sregs_round_trips, .contract = "sregs.round_trip",
     .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_sregs set = vcpu_sregs(vcpu), got;

	set.gdt = (struct kvm_dtable){ .base = 0x4000, .limit = 0x47 };
	set.idt = (struct kvm_dtable){ .base = 0x5000, .limit = 0x57 };
	set.cr2 = 0x6000;
	set.cr8 = 7;
	set.ds.selector = 0x700;
	set.ds.base = 0x7000; /* 16 times the selector, for real mode's sake */
	x(vcpu, KVM_SET_SREGS, &set);
	got = vcpu_sregs(vcpu);

	expect_sregs(vcpu, .cr0 = set.cr0, .cr2 = set.cr2, .cr3 = set.cr3, .cr4 = set.cr4,
		     .cr8 = set.cr8, .efer = set.efer, .apic_base = set.apic_base);
	expect_equal(got.gdt.base, 0x4000);
	expect_equal(got.gdt.limit, 0x47);
	expect_equal(got.idt.base, 0x5000);
	expect_equal(got.idt.limit, 0x57);
	expect_equal(got.ds.selector, 0x700);
	expect_equal(got.ds.base, 0x7000);
}

CASE(registers, set_sregs_refuses_illegal_combinations, .contract = "sregs.illegal")
{
	/* Bits to flip in the registers of a vCPU in this mode. */
	static const struct {
		const char *what;
		enum cpu_mode mode;
		uint64_t cr0, cr3, cr4, efer, apic_base;
		int cs_l;
	} illegal[] = {
		{ "long mode without CR4.PAE", MODE_LONG64, .cr4 = CR4_PAE },
		{ "CR0.PG and EFER.LME without EFER.LMA", MODE_LONG64, .efer = EFER_LMA },
		{ "EFER.LMA without CR0.PG", MODE_LONG64, .cr0 = CR0_PG },
		{ "CR0.PG without CR0.PE", MODE_LONG64, .cr0 = CR0_PE },
		{ "a CR3 above every CPU's physical addresses", MODE_LONG64, .cr3 = 1ull << 60 },
		{ "EFER.LMA in real mode", MODE_REAL16, .efer = EFER_LMA },
		{ "CS.L in real mode", MODE_REAL16, .cs_l = 1 },
		{ "CS.L in protected mode", MODE_PROT32, .cs_l = 1 },
		{ "CR0.NW without CR0.CD", MODE_REAL16, .cr0 = CR0_CD }, /* reset sets both */
		{ "bit 32 of CR0", MODE_REAL16, .cr0 = 1ull << 32 },
		{ "bit 63 of CR4", MODE_REAL16, .cr4 = 1ull << 63 },
		/* with the host's CPUID, or they would be refused for lack of an APIC there */
		{ "bit 0 of the APIC base", MODE_LONG64, .apic_base = 1 },
		{ "x2APIC mode without APIC", MODE_LONG64,
		  .apic_base = APIC_BASE_EXTD | APIC_BASE_EN },
	};

	for (size_t i = 0; i < sizeof illegal / sizeof *illegal; i++) {
		struct vcpu *vcpu = boot(hlt_loop[illegal[i].mode]);
		struct kvm_sregs before = vcpu_sregs(vcpu), sregs = before, after;

		sregs.cr0 ^= illegal[i].cr0;
		sregs.cr3 ^= illegal[i].cr3;
		sregs.cr4 ^= illegal[i].cr4;
		sregs.efer ^= illegal[i].efer;
		sregs.apic_base ^= illegal[i].apic_base;
		sregs.cs.l ^= illegal[i].cs_l;
		expect(x_try(vcpu, KVM_SET_SREGS, &sregs) == -EINVAL, "KVM_SET_SREGS takes %s",
		       illegal[i].what);
		after = vcpu_sregs(vcpu);
		expect(memcmp(&before, &after, sizeof before) == 0,
		       "%s is refused, but registers changed", illegal[i].what);
	}
}

static struct kvm_translation translate(struct vcpu *vcpu, uint64_t address)
{
	struct kvm_translation t = { .linear_address = address };

	x(vcpu, KVM_TRANSLATE, &t);
	return t;
}

CASE(registers, translate_knows_mapped_addresses, .contract = "translate.mapped",
     .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);

	expect_equal(translate(vcpu, 0x1234).valid, 1);
	expect_equal(translate(vcpu, 0x1234).physical_address, 0x1234);
	expect_equal(translate(vcpu, MMIO_BASE).physical_address, MMIO_BASE);
}

CASE(registers, translate_walks_the_guests_page_tables, .contract = "translate.mapped")
{
	struct vcpu *vcpu = boot(hlt_loop[MODE_LONG64]);
	uint64_t *directory = (uint64_t *)(void *)(vcpu->vm->ram + PAGE_TABLES + 0x2000);

	directory[3] = directory[0]; /* the 2 MiB at 6 MiB are now those at 0 */

	expect_equal(translate(vcpu, 0x601234).valid, 1);
	expect_equal(translate(vcpu, 0x601234).physical_address, 0x1234);
}

CASE(registers, translate_says_what_is_not_mapped, .contract = "translate.unmapped")
{
	struct vcpu *vcpu = boot(hlt_loop[MODE_LONG64]);

	expect_equal(translate(vcpu, (1ull << 30) - 1).valid, 1);
	expect_equal(translate(vcpu, 1ull << 30).valid, 0); /* only the first GiB is mapped */
}
