// SPDX-License-Identifier: MIT
/*
 * KVM_SET_GUEST_DEBUG: single steps, breakpoints of both kinds, exceptions by userspace, and the
 * fields of KVM_EXIT_DEBUG. Documented in api.rst, KVM_SET_GUEST_DEBUG and 5. The kvm_run structure;
 * DR6 and DR7 in the Intel SDM, vol. 3, 18.2.
 */
#include "kvmspec.h"

GUEST_EACH_MODE(debugged);

#define DR6_B0 (1u << 0)
#define DR6_BS (1u << 14)

/* DR7: breakpoint n is on; what it is about. */
#define DR7_ON(n)          (2u << 2 * (n))
#define DR7_WRITE_DWORD(n) (0xdu << (16 + 4 * (n)))
#define DR7_FIXED          (1u << 10)

#define RFLAGS_TF (1u << 8)

#define NEEDS_GUEST_DEBUG .needs = { CAP(KVM_CAP_SET_GUEST_DEBUG) }

static void debug(struct vcpu *vcpu, uint32_t control)
{
	x(vcpu, KVM_SET_GUEST_DEBUG,
	  &(struct kvm_guest_debug){ .control = control ? KVM_GUESTDBG_ENABLE | control : 0 });
}

/* The vCPU is at the label; the guest has set up its exceptions. */
static struct vcpu *boot_at(const struct guest_image *guest, const char *label)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, "port");
	vcpu_set_regs(vcpu, regs);
	expect_run_exit(vcpu, KVM_EXIT_IO);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	regs.rip = guest_symbol(vcpu, label);
	regs.rdi = 0;
	vcpu_set_regs(vcpu, regs);
	return vcpu;
}

static void expect_run_debug(struct vcpu *vcpu, uint32_t exception, const char *label)
{
	memset(&vcpu->run->debug, 0xff, sizeof vcpu->run->debug);
	expect_run_exit(vcpu, KVM_EXIT_DEBUG);
	expect_equal(vcpu->run->debug.arch.exception, exception);
	expect_equal(vcpu->run->debug.arch.pc, guest_symbol(vcpu, label));
	expect_regs(vcpu, .rip = guest_symbol(vcpu, label));
}

/* Single steps */

CASE(guest_debug, each_step_exits, .contract = "guest_debug.singlestep", .each_mode = debugged,
     NEEDS_GUEST_DEBUG)
{
	static const char *const labels[] = { "step_1", "step_2", "step_3" };
	struct vcpu *vcpu = boot_at(guest, "steps");

	debug(vcpu, KVM_GUESTDBG_SINGLESTEP);
	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
		expect_run_debug(vcpu, DB_VECTOR, labels[i]);
		expect_equal(vcpu->run->debug.arch.dr6 & DR6_BS, DR6_BS);
		expect_regs(vcpu, .rbx = i >= 1);
	}
}

CASE(guest_debug, steps_end_when_they_are_disabled, .contract = "guest_debug.disable",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "steps");

	debug(vcpu, KVM_GUESTDBG_SINGLESTEP);
	expect_run_debug(vcpu, DB_VECTOR, "step_1");
	debug(vcpu, 0);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rflags = vcpu_regs(vcpu).rflags & ~RFLAGS_TF);
}

CASE(guest_debug, control_without_enable_does_nothing, .contract = "guest_debug.enable",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "steps");

	x(vcpu, KVM_SET_GUEST_DEBUG,
	  &(struct kvm_guest_debug){ .control = KVM_GUESTDBG_SINGLESTEP });
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(guest_debug, stepping_does_not_show_in_rflags, .contract = "guest_debug.singlestep.rflags",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "steps");

	debug(vcpu, KVM_GUESTDBG_SINGLESTEP);
	expect_regs(vcpu, .rflags = vcpu->loaded.rflags);
	expect_run_debug(vcpu, DB_VECTOR, "step_1");
	expect_regs(vcpu, .rflags = vcpu->loaded.rflags);
}

CASE(guest_debug, step_over_an_exit, .contract = "guest_debug.singlestep.io", .each_mode = debugged,
     NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "port");

	debug(vcpu, KVM_GUESTDBG_SINGLESTEP);
	expect_run_exit(vcpu, KVM_EXIT_IO);
	expect_run_debug(vcpu, DB_VECTOR, "after_port");
	expect_equal(vcpu->run->debug.arch.dr6 & DR6_BS, DR6_BS);
}

#define NEEDS_ROBUST_STEPS                                                                         \
	.needs = { CAP(KVM_CAP_SET_GUEST_DEBUG), CAP(KVM_CAP_X86_ROBUST_SINGLESTEP) }

/* The RFLAGS that are set do not show the step. */
CASE(guest_debug, set_regs_does_not_end_the_step, .contract = "guest_debug.singlestep.robust",
     .each_mode = debugged, NEEDS_ROBUST_STEPS)
{
	struct vcpu *vcpu = boot_at(guest, "steps");

	debug(vcpu, KVM_GUESTDBG_SINGLESTEP);
	vcpu_set_regs(vcpu, vcpu_regs(vcpu));
	expect_run_debug(vcpu, DB_VECTOR, "step_1");
	expect_run_debug(vcpu, DB_VECTOR, "step_2");
}

CASE(guest_debug, set_regs_elsewhere_ends_the_steps, .contract = "guest_debug.singlestep.elsewhere",
     .each_mode = debugged, NEEDS_ROBUST_STEPS)
{
	struct vcpu *vcpu = boot_at(guest, "steps");

	debug(vcpu, KVM_GUESTDBG_SINGLESTEP);
	expect_run_debug(vcpu, DB_VECTOR, "step_1");
	vcpu_set_regs(vcpu, vcpu_regs(vcpu));
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

/* Breakpoints in the guest's code */

CASE(guest_debug, int3_exits, .contract = "guest_debug.sw_breakpoint", .each_mode = debugged,
     NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "breakpoint");

	debug(vcpu, KVM_GUESTDBG_USE_SW_BP);
	for (int i = 0; i < 2; i++) /* it is not passed */
		expect_run_debug(vcpu, BP_VECTOR, "breakpoint");
}

CASE(guest_debug, int3_is_the_guests_without_the_flag,
     .contract = "guest_debug.sw_breakpoint.not_enabled", .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "breakpoint");

	debug(vcpu, KVM_GUESTDBG_USE_HW_BP);                       /* another kind */
	expect_run_exception(vcpu, BP_VECTOR, "after_breakpoint"); /* a trap */
}

/* Breakpoints in debug registers, which the guest does not see. */

static void break_at(struct vcpu *vcpu, unsigned n, uint64_t address, uint32_t kind)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP };

	debug.arch.debugreg[n] = address;
	debug.arch.debugreg[7] = DR7_FIXED | DR7_ON(n) | kind;
	x(vcpu, KVM_SET_GUEST_DEBUG, &debug);
}

CASE(guest_debug, instruction_breakpoint_exits_before_it, .contract = "guest_debug.hw_breakpoint",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "steps");
	struct kvm_regs regs = vcpu_regs(vcpu);

	for (unsigned n = 0; n < 4; n++) {
		vcpu_set_regs(vcpu, regs);
		break_at(vcpu, n, guest_symbol(vcpu, "step_1"), 0);
		expect_run_debug(vcpu, DB_VECTOR, "step_1");
		expect_equal(vcpu->run->debug.arch.dr6 & (DR6_BS | 0xf), DR6_B0 << n);
		expect_regs(vcpu, .rbx = 0);
	}
}

CASE(guest_debug, dr7_of_a_breakpoint_is_userspaces, .contract = "guest_debug.hw_breakpoint.dr7",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "steps");

	break_at(vcpu, 0, guest_symbol(vcpu, "step_1"), 0);
	expect_run_debug(vcpu, DB_VECTOR, "step_1");
	expect_equal(vcpu->run->debug.arch.dr7, DR7_FIXED | DR7_ON(0));
}

CASE(guest_debug, write_watchpoint_exits_after_it, .contract = "guest_debug.hw_watchpoint",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "store");

	break_at(vcpu, 3, guest_symbol(vcpu, "variable"), DR7_WRITE_DWORD(3));
	expect_run_debug(vcpu, DB_VECTOR, "after_store");
	expect_equal(vcpu->run->debug.arch.dr6 & (DR6_BS | 0xf), DR6_B0 << 3);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(guest_debug, breakpoints_are_not_the_guests, .contract = "guest_debug.hw_breakpoint.hidden",
     .needs = { CAP(KVM_CAP_SET_GUEST_DEBUG), CAP(KVM_CAP_DEBUGREGS) })
{
	struct vcpu *vcpu = boot(debugged[MODE_LONG64]);
	struct kvm_debugregs before = { 0 }, after = { 0 };

	x(vcpu, KVM_GET_DEBUGREGS, &before);
	break_at(vcpu, 0, 0x1234, 0);
	x(vcpu, KVM_GET_DEBUGREGS, &after);
	expect(memcmp(&before, &after, sizeof before) == 0, "KVM_GET_DEBUGREGS shows them");
}

/* Exceptions by userspace */

CASE(guest_debug, injected_db_reaches_the_guest, .contract = "guest_debug.inject",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "steps");

	debug(vcpu, KVM_GUESTDBG_INJECT_DB);
	expect_run_exception(vcpu, DB_VECTOR, "steps");
}

/* What a debugger does with an INT3 that is not its own. */
CASE(guest_debug, injected_bp_reaches_the_guest, .contract = "guest_debug.inject",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "breakpoint");

	debug(vcpu, KVM_GUESTDBG_USE_SW_BP);
	expect_run_debug(vcpu, BP_VECTOR, "breakpoint");
	debug(vcpu, KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_INJECT_BP);
	expect_run_exception(vcpu, BP_VECTOR, "after_breakpoint");
}

CASE(guest_debug, second_exception_is_refused, .contract = "guest_debug.inject.busy",
     .each_mode = debugged, NEEDS_GUEST_DEBUG)
{
	struct vcpu *vcpu = boot_at(guest, "steps");
	struct kvm_guest_debug inject = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB };

	x(vcpu, KVM_SET_GUEST_DEBUG, &inject);
	expect_errno(EBUSY, vcpu, KVM_SET_GUEST_DEBUG, &inject);
	inject.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_BP;
	expect_errno(EBUSY, vcpu, KVM_SET_GUEST_DEBUG, &inject);
	expect_run_exception(vcpu, DB_VECTOR, "steps");
}

/* Flags */

CASE(guest_debug, supported_flags, .contract = "guest_debug.capability",
     .needs = { CAP(KVM_CAP_SET_GUEST_DEBUG2) })
{
	uint32_t wanted = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
			  KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP;

	expect_equal(x(&host.kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2) & wanted, wanted);
}

CASE(guest_debug, unknown_flags_are_accepted, .contract = "guest_debug.unknown",
     .needs = { CAP(KVM_CAP_SET_GUEST_DEBUG2) })
{
	struct vcpu *vcpu = boot_at(debugged[MODE_LONG64], "steps");
	uint32_t known = (uint32_t)x(&host.kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2);

	for (unsigned bit = 0; bit < 32; bit++)
		if (!(known & 1u << bit))
			x(vcpu, KVM_SET_GUEST_DEBUG,
			  &(struct kvm_guest_debug){ .control = KVM_GUESTDBG_ENABLE | 1u << bit });
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}
