// SPDX-License-Identifier: MIT
/*
 * RDMSR and WRMSR that userspace asked to see: KVM_EXIT_X86_RDMSR and KVM_EXIT_X86_WRMSR, their
 * fields, reasons and answers, and the filter. Documented in api.rst, 5. The kvm_run structure, and
 * under KVM_CAP_X86_USER_SPACE_MSR and KVM_X86_SET_MSR_FILTER. How they are completed without running
 * on: cases/completion.c.
 */
#include "one_instruction.h"

#define UNKNOWN_MSR  0x4b564d53 /* nobody's */
#define SYSENTER_CS  0x174      /* each CPU has it, and KVM lets guests use it directly */
#define SYSENTER_ESP 0x175
#define MCG_CTL      0x17b /* known to KVM, and not there unless IA32_MCG_CAP says so */
#define EFER         0xc0000080

#define ALL_REASONS                                                                                \
	(KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_FILTER)

#define NEEDS_MSR_EXITS .needs = { CAP(KVM_CAP_X86_USER_SPACE_MSR), CAP(KVM_CAP_X86_MSR_FILTER) }

static void ask_for(struct vcpu *vcpu, uint32_t reasons)
{
	enable_cap(vcpu->vm, KVM_CAP_X86_USER_SPACE_MSR, reasons);
}

/* Denies the guest these accesses (KVM_MSR_FILTER_READ, …) to one MSR. */
static void deny(struct vcpu *vcpu, uint32_t accesses, uint32_t msr)
{
	unsigned char none[8] = { 0 }; /* KVM reads whole words */
	struct kvm_msr_filter filter = {
		.ranges[0] = { .flags = accesses, .base = msr, .nmsrs = 1, .bitmap = none },
	};

	x(vcpu->vm, KVM_X86_SET_MSR_FILTER, &filter);
}

static void expect_run_msr(struct vcpu *vcpu, uint32_t exit_reason, uint32_t reason, uint32_t index,
			   uint64_t data)
{
	memset(&vcpu->run->msr, 0xff, sizeof vcpu->run->msr);
	expect_run_exit(vcpu, exit_reason);
	expect_equal(vcpu->run->msr.reason, reason);
	expect_equal(vcpu->run->msr.index, index);
	expect_equal(vcpu->run->msr.data, data);
	expect_equal(vcpu->run->msr.error, 0);
	for (size_t i = 0; i < sizeof vcpu->run->msr.pad; i++)
		expect_equal(vcpu->run->msr.pad[i], 0);
}

CASE(msr_exits, read_of_an_unknown_msr, .contract = "exit.rdmsr.fields",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	prepare_msr(vcpu, "rdmsr", UNKNOWN_MSR, 0);

	expect_run_msr(vcpu, KVM_EXIT_X86_RDMSR, KVM_MSR_EXIT_REASON_UNKNOWN, UNKNOWN_MSR, 0);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "rdmsr"));
}

CASE(msr_exits, write_of_an_unknown_msr, .contract = "exit.wrmsr.fields",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	prepare_msr(vcpu, "wrmsr", UNKNOWN_MSR, 0x1122334455667788);

	expect_run_msr(vcpu, KVM_EXIT_X86_WRMSR, KVM_MSR_EXIT_REASON_UNKNOWN, UNKNOWN_MSR,
		       0x1122334455667788);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "wrmsr"));
}

CASE(msr_exits, read_that_kvm_would_refuse, .contract = "exit.msr.inval",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_INVAL);
	prepare_msr(vcpu, "rdmsr", MCG_CTL, 0);

	expect_run_msr(vcpu, KVM_EXIT_X86_RDMSR, KVM_MSR_EXIT_REASON_INVAL, MCG_CTL, 0);
}

CASE(msr_exits, write_that_kvm_would_refuse, .contract = "exit.msr.inval",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_INVAL);
	prepare_msr(vcpu, "wrmsr", EFER, 1ull << 63); /* a reserved bit */

	expect_run_msr(vcpu, KVM_EXIT_X86_WRMSR, KVM_MSR_EXIT_REASON_INVAL, EFER, 1ull << 63);
}

CASE(msr_exits, read_that_the_filter_denies, .contract = "exit.msr.filter",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_FILTER);
	deny(vcpu, KVM_MSR_FILTER_READ, SYSENTER_CS);
	prepare_msr(vcpu, "rdmsr", SYSENTER_CS, 0);

	expect_run_msr(vcpu, KVM_EXIT_X86_RDMSR, KVM_MSR_EXIT_REASON_FILTER, SYSENTER_CS, 0);
}

CASE(msr_exits, write_that_the_filter_denies, .contract = "exit.msr.filter",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_FILTER);
	deny(vcpu, KVM_MSR_FILTER_WRITE, SYSENTER_CS);
	prepare_msr(vcpu, "wrmsr", SYSENTER_CS, 0x42);

	expect_run_msr(vcpu, KVM_EXIT_X86_WRMSR, KVM_MSR_EXIT_REASON_FILTER, SYSENTER_CS, 0x42);
	expect_run_done(vcpu);
	expect_equal(vcpu_msr(vcpu, SYSENTER_CS),
		     0); /* what it is written to is userspace's affair */
}

CASE(msr_exits, read_loads_what_userspace_answers, .contract = "exit.rdmsr.data",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	prepare_msr(vcpu, "rdmsr", UNKNOWN_MSR, guest_register(guest, -1));

	expect_run_exit(vcpu, KVM_EXIT_X86_RDMSR);
	vcpu->run->msr.data = 0x1122334455667788;
	expect_run_done(vcpu);
	expect_regs(vcpu, .rax = 0x55667788, .rdx = 0x11223344, .rcx = UNKNOWN_MSR);
}

CASE(msr_exits, read_clears_the_upper_halves, .contract = "exit.rdmsr.data", NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);
	struct kvm_regs regs = vcpu->loaded;

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	regs.rdi = guest_symbol(vcpu, "rdmsr");
	regs.rax = regs.rdx = -1;
	regs.rcx = 0xffffffff00000000 | UNKNOWN_MSR; /* ECX names it */
	vcpu_set_regs(vcpu, regs);

	expect_run_msr(vcpu, KVM_EXIT_X86_RDMSR, KVM_MSR_EXIT_REASON_UNKNOWN, UNKNOWN_MSR, 0);
	expect_run_done(vcpu);
	expect_regs(vcpu, .rax = 0, .rdx = 0, .rcx = regs.rcx);
}

CASE(msr_exits, an_error_of_a_read_raises_gp, .contract = "exit.msr.error",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	prepare_msr(vcpu, "rdmsr", UNKNOWN_MSR, 0x1111111122222222);

	expect_run_exit(vcpu, KVM_EXIT_X86_RDMSR);
	vcpu->run->msr.data = -1;
	vcpu->run->msr.error = 1;
	expect_run_exception(vcpu, GP_VECTOR, "rdmsr");
	expect_regs(vcpu, .rcx = UNKNOWN_MSR, .rbx = 0 /* the error code */);
}

CASE(msr_exits, an_error_of_a_write_raises_gp, .contract = "exit.msr.error",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	prepare_msr(vcpu, "wrmsr", UNKNOWN_MSR, 1);

	expect_run_exit(vcpu, KVM_EXIT_X86_WRMSR);
	vcpu->run->msr.error = 1;
	expect_run_exception(vcpu, GP_VECTOR, "wrmsr");
	expect_regs(vcpu, .rbx = 0);
}

CASE(msr_exits, an_error_leaves_eax_and_edx_alone, .contract = "exit.msr.error",
     .each_mode = one_instruction,
     .needs = { CAP(KVM_CAP_X86_USER_SPACE_MSR), CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(guest);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	prepare_msr(vcpu, "rdmsr", UNKNOWN_MSR, 0x1111111122222222);

	expect_run_exit(vcpu, KVM_EXIT_X86_RDMSR);
	vcpu->run->msr.data = -1;
	vcpu->run->msr.error = 1;
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rax = 0x22222222, .rdx = 0x11111111);
}

CASE(msr_exits, every_error_but_0_counts, .contract = "exit.msr.error.any_value", NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	ask_for(vcpu, KVM_MSR_EXIT_REASON_UNKNOWN);
	for (unsigned bit = 0; bit < 8; bit++) {
		prepare_msr(vcpu, "wrmsr", UNKNOWN_MSR, 1);
		expect_run_exit(vcpu, KVM_EXIT_X86_WRMSR);
		vcpu->run->msr.error = (uint8_t)(1u << bit);
		expect_run_exception(vcpu, GP_VECTOR, "wrmsr");
	}
}

/* An access of each kind, and the reason that it has. */
static const struct {
	const char *what, *instruction;
	uint32_t msr;
	uint64_t value;
	uint32_t exit_reason, reason;
} accesses[] = {
	{ "a read of an unknown MSR", "rdmsr", UNKNOWN_MSR, 0, KVM_EXIT_X86_RDMSR,
	  KVM_MSR_EXIT_REASON_UNKNOWN },
	{ "a write to an unknown MSR", "wrmsr", UNKNOWN_MSR, 1, KVM_EXIT_X86_WRMSR,
	  KVM_MSR_EXIT_REASON_UNKNOWN },
	{ "an invalid read", "rdmsr", MCG_CTL, 0, KVM_EXIT_X86_RDMSR, KVM_MSR_EXIT_REASON_INVAL },
	{ "an invalid write", "wrmsr", EFER, 1ull << 63, KVM_EXIT_X86_WRMSR,
	  KVM_MSR_EXIT_REASON_INVAL },
	{ "a read that is filtered", "rdmsr", SYSENTER_CS, 0, KVM_EXIT_X86_RDMSR,
	  KVM_MSR_EXIT_REASON_FILTER },
	{ "a write that is filtered", "wrmsr", SYSENTER_CS, 1, KVM_EXIT_X86_WRMSR,
	  KVM_MSR_EXIT_REASON_FILTER },
};

static const size_t access_count = sizeof accesses / sizeof *accesses;

CASE(msr_exits, only_reasons_that_were_asked_for, .contract = "exit.msr.reasons",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	deny(vcpu, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, SYSENTER_CS);
	for (uint32_t asked = 0; asked <= ALL_REASONS; asked++) {
		ask_for(vcpu, asked);
		for (size_t i = 0; i < access_count; i++) {
			bool exits = asked & accesses[i].reason;

			prepare_msr(vcpu, accesses[i].instruction, accesses[i].msr,
				    accesses[i].value);
			if (!exits) {
				expect_run_exception(vcpu, GP_VECTOR, accesses[i].instruction);
				continue;
			}
			expect(vcpu_run(vcpu) == 0 &&
				       vcpu->run->exit_reason == accesses[i].exit_reason,
			       "%s does not exit when %#x is asked for", accesses[i].what, asked);
			expect_equal(vcpu->run->msr.reason, accesses[i].reason);
			expect_run_done(vcpu);
		}
	}
}

CASE(msr_exits, denied_access_raises_gp, .contract = "exit.msr.not_enabled",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	deny(vcpu, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, SYSENTER_CS);
	for (size_t i = 0; i < access_count; i++) {
		prepare_msr(vcpu, accesses[i].instruction, accesses[i].msr, accesses[i].value);
		expect_run_exception(vcpu, GP_VECTOR, accesses[i].instruction);
	}
}

CASE(msr_exits, unknown_reasons_are_refused, .contract = "cap.user_space_msr.unknown_bit",
     NEEDS_MSR_EXITS)
{
	struct vm *vm = vm_create();

	for (unsigned bit = 0; bit < 64; bit++) {
		struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR,
					      .args = { 1ull << bit } };

		expect(x_try(vm, KVM_ENABLE_CAP, &cap) == (1ull << bit & ALL_REASONS ? 0 : -EINVAL),
		       "bit %u", bit);
	}
}

/* The filter */

CASE(msr_exits, filter_of_reads_does_not_concern_writes, .contract = "msr_filter.access",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	deny(vcpu, KVM_MSR_FILTER_READ, SYSENTER_CS);
	prepare_msr(vcpu, "wrmsr", SYSENTER_CS, 0x42);
	expect_run_done(vcpu);
	expect_equal(vcpu_msr(vcpu, SYSENTER_CS), 0x42);
	prepare_msr(vcpu, "rdmsr", SYSENTER_CS, 0);
	expect_run_exception(vcpu, GP_VECTOR, "rdmsr");
}

CASE(msr_exits, filter_of_writes_does_not_concern_reads, .contract = "msr_filter.access",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_set_msr(vcpu, SYSENTER_CS, 0x42);
	deny(vcpu, KVM_MSR_FILTER_WRITE, SYSENTER_CS);
	prepare_msr(vcpu, "rdmsr", SYSENTER_CS, 0);
	expect_run_done(vcpu);
	expect_regs(vcpu, .rax = 0x42, .rdx = 0);
	prepare_msr(vcpu, "wrmsr", SYSENTER_CS, 0);
	expect_run_exception(vcpu, GP_VECTOR, "wrmsr");
}

CASE(msr_exits, filter_does_not_concern_userspace, .contract = "msr_filter.userspace",
     NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_REAL16]);

	deny(vcpu, KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, SYSENTER_CS);
	vcpu_set_msr(vcpu, SYSENTER_CS, 0x42);
	expect_equal(vcpu_msr(vcpu, SYSENTER_CS), 0x42);
}

/* A range's bitmap: one bit an MSR, 1 allows; what no range has is as the default says. */
CASE(msr_exits, filter_with_default_deny_allows_what_its_bitmap_says,
     .contract = "msr_filter.default_deny", .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);
	unsigned char second[8] = { 1 << 1 };
	struct kvm_msr_filter filter = {
		.flags = KVM_MSR_FILTER_DEFAULT_DENY,
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			       .base = SYSENTER_CS,
			       .nmsrs = 2,
			       .bitmap = second },
	};

	x(vcpu->vm, KVM_X86_SET_MSR_FILTER, &filter);
	prepare_msr(vcpu, "wrmsr", SYSENTER_ESP, 0x42);
	expect_run_done(vcpu);
	expect_equal(vcpu_msr(vcpu, SYSENTER_ESP), 0x42);
	prepare_msr(vcpu, "wrmsr", SYSENTER_CS, 0x42);
	expect_run_exception(vcpu, GP_VECTOR, "wrmsr");
	prepare_msr(vcpu, "rdmsr", EFER, 0);
	expect_run_exception(vcpu, GP_VECTOR, "rdmsr");
}

CASE(msr_exits, filter_is_replaced_as_a_whole, .contract = "msr_filter.replaced",
     .each_mode = one_instruction, NEEDS_MSR_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	deny(vcpu, KVM_MSR_FILTER_WRITE, SYSENTER_CS);
	prepare_msr(vcpu, "wrmsr", SYSENTER_CS, 0x42);
	expect_run_exception(vcpu, GP_VECTOR, "wrmsr");
	deny(vcpu, KVM_MSR_FILTER_WRITE, SYSENTER_ESP); /* a vCPU that has run sees it, too */
	prepare_msr(vcpu, "wrmsr", SYSENTER_CS, 0x42);
	expect_run_done(vcpu);
	prepare_msr(vcpu, "wrmsr", SYSENTER_ESP, 0x42);
	expect_run_exception(vcpu, GP_VECTOR, "wrmsr");
}
