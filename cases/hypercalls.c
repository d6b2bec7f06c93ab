// SPDX-License-Identifier: MIT
/*
 * Hypercalls: which instruction makes one, what comes back in RAX, and which of them reach
 * userspace. Documented in Documentation/virt/kvm/x86/hypercalls.rst and, in api.rst, under
 * KVM_CAP_EXIT_HYPERCALL, KVM_CAP_DISABLE_QUIRKS2 and 5. The kvm_run structure.
 */
#include "kvmspec.h"

GUEST_EACH_MODE(hypercall);
GUEST(prot32, user_hypercall);

#define UNKNOWN_HYPERCALL 0x7ff
#define GPA_RANGE_BIT     (1 << KVM_HC_MAP_GPA_RANGE)
#define IOPL_3            (3 << 12)

static const char *other_vendors_instruction(void)
{
	return strcmp(host_hypercall(), "vmmcall") == 0 ? "vmcall" : "vmmcall";
}

/* The vCPU's next run makes this hypercall, then halts. */
static void prepare(struct vcpu *vcpu, const char *instruction, uint64_t nr, uint64_t a0,
		    uint64_t a1, uint64_t a2)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, instruction);
	regs.rax = nr;
	regs.rbx = a0;
	regs.rcx = a1;
	regs.rdx = a2;
	vcpu_set_regs(vcpu, regs);
}

static void make_hypercall(struct vcpu *vcpu, const char *instruction, uint64_t nr, uint64_t a0,
			   uint64_t a1, uint64_t a2)
{
	prepare(vcpu, instruction, nr, a0, a1, a2);
	vcpu_run_or_give_up(vcpu);
}

CASE(hypercalls, vmcall_with_an_unknown_number_returns_enosys, .contract = "hypercall.unknown",
     .each_mode = hypercall)
{
	struct vcpu *vcpu = boot(guest);

	make_hypercall(vcpu, "vmcall", UNKNOWN_HYPERCALL, 0, 0, 0);

	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = guest_register(guest, -KVM_ENOSYS));
}

CASE(hypercalls, vmmcall_with_an_unknown_number_returns_enosys, .contract = "hypercall.unknown",
     .each_mode = hypercall)
{
	struct vcpu *vcpu = boot(guest);

	make_hypercall(vcpu, "vmmcall", UNKNOWN_HYPERCALL, 0, 0, 0);

	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = guest_register(guest, -KVM_ENOSYS));
}

CASE(hypercalls, changes_no_register_but_rax, .contract = "hypercall.registers",
     .each_mode = hypercall)
{
	struct vcpu *vcpu = boot(guest);

	make_hypercall(vcpu, host_hypercall(), KVM_HC_VAPIC_POLL_IRQ, 0xb1, 0xc1, 0xd1);

	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = 0, .rbx = 0xb1, .rcx = 0xc1, .rdx = 0xd1, .rsi = 0,
		    .rsp = STACK_TOP);
}

CASE(hypercalls, user_mode_gets_eperm, .contract = "hypercall.cpl")
{
	struct vcpu *vcpu = boot(user_hypercall);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.cs.dpl = sregs.ss.dpl = 3;
	sregs.cs.selector |= 3;
	sregs.ss.selector |= 3;
	x(vcpu, KVM_SET_SREGS, &sregs);
	vcpu->loaded.rflags |= IOPL_3; /* user mode may use ports */
	prepare(vcpu, host_hypercall(), KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0);

	expect_run_report(vcpu, (uint32_t)-KVM_EPERM);
}

/* KVM writes the native instruction over the guest's; the guest image has both to compare. */
CASE(hypercalls, rewrites_the_other_vendors_instruction, .contract = "hypercall.fix_instruction",
     .each_mode = hypercall)
{
	struct vcpu *vcpu = boot(guest);
	const unsigned char *native = vcpu->vm->ram + guest_symbol(vcpu, host_hypercall());

	make_hypercall(vcpu, other_vendors_instruction(), UNKNOWN_HYPERCALL, 0, 0, 0);

	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	expect_memory(vcpu, guest_symbol(vcpu, other_vendors_instruction()), native, 3);
}

CASE(hypercalls, quirk_disabled_other_vendors_instruction_raises_ud,
     .contract = "hypercall.fix_instruction.disabled", .each_mode = hypercall,
     .needs = { CAP_BITS(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN) })
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
	prepare(vcpu, other_vendors_instruction(), UNKNOWN_HYPERCALL, 0, 0, 0);

	expect_run_exception(vcpu, UD_VECTOR, other_vendors_instruction());
}

CASE(hypercalls, quirk_disabled_native_instruction_works,
     .contract = "hypercall.fix_instruction.disabled", .each_mode = hypercall,
     .needs = { CAP_BITS(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN) })
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
	make_hypercall(vcpu, host_hypercall(), UNKNOWN_HYPERCALL, 0, 0, 0);

	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = guest_register(guest, -KVM_ENOSYS));
}

CASE(hypercalls, vmfunc_raises_ud, .contract = "hypercall.vmfunc", .each_mode = hypercall)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "vmfunc", 0, 0, 0, 0);

	expect_run_exception(vcpu, UD_VECTOR, "vmfunc");
}

CASE(hypercalls, map_gpa_range_exits, .contract = "exit.hypercall.map_gpa_range",
     .each_mode = hypercall, .needs = { CAP_BITS(KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT) })
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT);
	make_hypercall(vcpu, host_hypercall(), KVM_HC_MAP_GPA_RANGE, 0x2000, 3, 0x10);

	expect_exit_reason(vcpu, KVM_EXIT_HYPERCALL);
	expect_equal(vcpu->run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	expect_equal(vcpu->run->hypercall.args[0], 0x2000);
	expect_equal(vcpu->run->hypercall.args[1], 3);
	expect_equal(vcpu->run->hypercall.args[2], 0x10);
	expect_equal(vcpu->run->hypercall.longmode, guest->mode == MODE_LONG64);
}

/* What was in kvm_run before does not stay there. */
static struct vcpu *make_exiting_hypercall(const struct guest_image *guest)
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT);
	memset(&vcpu->run->hypercall, 0xff, sizeof vcpu->run->hypercall);
	make_hypercall(vcpu, host_hypercall(), KVM_HC_MAP_GPA_RANGE, 0x2000, 3, 0x10);
	expect_exit_reason(vcpu, KVM_EXIT_HYPERCALL);
	return vcpu;
}

CASE(hypercalls, map_gpa_range_exits_with_all_of_flags, .contract = "exit.hypercall.flags",
     .each_mode = hypercall,
     .needs = { KERNEL(6, 4), CAP_BITS(KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT) })
{
	struct vcpu *vcpu = make_exiting_hypercall(guest);
	const union exit_data *run = exit_data_of(vcpu->run);

	expect_equal(run->hypercall.flags,
		     guest->mode == MODE_LONG64 ? KVM_EXIT_HYPERCALL_LONG_MODE : 0);
}

CASE(hypercalls, map_gpa_range_exits_with_ret_0, .contract = "exit.hypercall.ret.default",
     .needs = { KERNEL(6, 14), CAP_BITS(KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT) })
{
	struct vcpu *vcpu = make_exiting_hypercall(hypercall[MODE_LONG64]);

	expect_equal(vcpu->run->hypercall.ret, 0);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = 0);
}

CASE(hypercalls, map_gpa_range_returns_what_userspace_says, .contract = "exit.hypercall.ret",
     .each_mode = hypercall, .needs = { CAP_BITS(KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT) })
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT);
	make_hypercall(vcpu, host_hypercall(), KVM_HC_MAP_GPA_RANGE, 0x2000, 3, 0x10);

	expect_exit_reason(vcpu, KVM_EXIT_HYPERCALL);
	vcpu->run->hypercall.ret = -42ull;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = guest_register(guest, -42));
}

CASE(hypercalls, map_gpa_range_completes_with_immediate_exit,
     .contract = "exit.hypercall.completion", .each_mode = hypercall,
     .needs = { CAP_BITS(KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT), CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT);
	make_hypercall(vcpu, host_hypercall(), KVM_HC_MAP_GPA_RANGE, 0x2000, 3, 0x10);

	expect_exit_reason(vcpu, KVM_EXIT_HYPERCALL);
	vcpu->run->hypercall.ret = 42;
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rax = 42, .rip = guest_symbol(vcpu, host_hypercall()) + 3);
}

CASE(hypercalls, map_gpa_range_returns_enosys_unless_enabled,
     .contract = "hypercall.map_gpa_range.not_enabled", .each_mode = hypercall)
{
	struct vcpu *vcpu = boot(guest);

	make_hypercall(vcpu, host_hypercall(), KVM_HC_MAP_GPA_RANGE, 0x2000, 3, 0x10);

	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rax = guest_register(guest, -KVM_ENOSYS));
}

CASE(hypercalls, map_gpa_range_refuses_what_is_no_range,
     .contract = "hypercall.map_gpa_range.einval",
     .needs = { CAP_BITS(KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT) })
{
	static const struct {
		uint64_t gpa, pages;
	} refused[] = {
		{ 0x2000, 0 },     /* empty */
		{ 0x2001, 1 },     /* not at a page's start */
		{ 0x2800, 1 },     /* nor here */
		{ 0x2000, -1ull }, /* ends before it begins */
		{ 0x2000, -2ull }, /* ends at GPA 0 */
	};
	struct vcpu *vcpu = boot(hypercall[MODE_LONG64]);

	enable_cap(vcpu->vm, KVM_CAP_EXIT_HYPERCALL, GPA_RANGE_BIT);
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		make_hypercall(vcpu, host_hypercall(), KVM_HC_MAP_GPA_RANGE, refused[i].gpa,
			       refused[i].pages, 0x10);
		expect_exit_reason(vcpu, KVM_EXIT_HLT);
		expect_regs(vcpu, .rax = -KVM_EINVAL);
	}
}

CASE(hypercalls, enabling_an_unknown_exit_fails, .contract = "cap.exit_hypercall.unknown_bit",
     .needs = { CAP(KVM_CAP_EXIT_HYPERCALL) })
{
	struct vm *vm = vm_create();
	uint64_t known = x(vm, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_HYPERCALL);

	for (unsigned bit = 0; bit < 64; bit++) {
		struct kvm_enable_cap cap = {
			.cap = KVM_CAP_EXIT_HYPERCALL,
			.args = { known | 1ull << bit },
		};

		if (known & 1ull << bit)
			x(vm, KVM_ENABLE_CAP, &cap);
		else
			expect_errno(EINVAL, vm, KVM_ENABLE_CAP, &cap);
	}
}
