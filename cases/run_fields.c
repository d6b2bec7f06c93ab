// SPDX-License-Identifier: MIT
/*
 * What KVM_RUN takes from kvm_run and stores there besides the exit: request_interrupt_window,
 * ready_for_interrupt_injection, if_flag, flags, cr8 and apic_base. Documented in api.rst, 5. The
 * kvm_run structure; where that is silent, the source is post_kvm_run_save() and
 * kvm_arch_vcpu_ioctl_run() in arch/x86/kvm/x86.c. immediate_exit has an area of its own.
 */
#include "one_instruction.h"
#include "smm.h"

GUEST_EACH_MODE(count_and_halt);
GUEST(long64, nested_svm);
GUEST(real16, smm);

#define RFLAGS_IF (1u << 9)
#define VECTOR    31 /* the last one for which exception.h has a gate */

#define APIC_BASE_MSR    0x1b
#define APIC_BASE_RESET  0xfee00900 /* of the boot processor: enabled */
#define APIC_BASE_ENABLE 0x800

/* The vCPU's next run jumps to the label; RFLAGS.IF is as given. */
static void prepare(struct vcpu *vcpu, const char *label, bool interrupts)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, label);
	regs.rflags |= interrupts ? RFLAGS_IF : 0;
	vcpu_set_regs(vcpu, regs);
}

/* The interrupt window */

/* Several tries: as below, of STI's shadow. */
CASE(run_fields, window_exit_as_soon_as_interrupts_are_possible,
     .contract = "run.request_interrupt_window", .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);
	uint64_t window = guest_symbol(vcpu, "window");
	int tries = 0;

	vcpu->run->request_interrupt_window = 1;
	do {
		prepare(vcpu, "interruptible", false);
		expect_run_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
		expect_equal(vcpu->run->ready_for_interrupt_injection, 1);
		expect_equal(vcpu->run->if_flag, 1);
		expect_equal(vcpu->run->request_interrupt_window, 1);
	} while (vcpu_regs(vcpu).rip != window && ++tries < 10);
	expect_regs(vcpu, .rip = window);
}

CASE(run_fields, window_is_reported_again_while_it_is_asked_for,
     .contract = "run.request_interrupt_window.again", .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "interruptible", false);
	vcpu->run->request_interrupt_window = 1;
	for (int i = 0; i < 3; i++)
		expect_run_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
}

CASE(run_fields, any_value_asks_for_the_window,
     .contract = "run.request_interrupt_window.any_value")
{
	struct vcpu *vcpu = boot(one_instruction[MODE_REAL16]);

	prepare(vcpu, "interruptible", false);
	for (unsigned bit = 0; bit < 8; bit++) {
		vcpu->run->request_interrupt_window = (uint8_t)(1u << bit);
		expect_run_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	}
}

CASE(run_fields, no_window_exit_without_a_request, .contract = "run.request_interrupt_window.none",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "nothing", true);
	expect_run_done(vcpu);
}

CASE(run_fields, no_window_exit_while_interrupts_are_disabled,
     .contract = "run.request_interrupt_window.disabled", .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "nothing", false);
	vcpu->run->request_interrupt_window = 1;
	expect_run_done(vcpu);
}

/* The guest runs until it can be interrupted. Returns where it is then. */
static uint64_t run_to_window(struct vcpu *vcpu)
{
	prepare(vcpu, "interruptible", false);
	vcpu->run->request_interrupt_window = 1;
	expect_run_exit(vcpu, KVM_EXIT_IRQ_WINDOW_OPEN);
	vcpu->run->request_interrupt_window = 0;
	return vcpu_regs(vcpu).rip;
}

CASE(run_fields, interrupt_at_the_window_is_delivered_at_once,
     .contract = "run.request_interrupt_window.inject", .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);
	uint64_t window = run_to_window(vcpu);

	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	expect_run_report(vcpu, VECTOR);
	expect_run_report(vcpu, window);
}

/* A vCPU with interrupts disabled that has an interrupt to take all the same. */
static struct vcpu *boot_and_interrupt(const struct guest_image *guest)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "nothing", false);
	expect_run_done(vcpu);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 0);
	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	return vcpu;
}

CASE(run_fields, svm_delivers_an_interrupt_though_they_are_disabled,
     .contract = "interrupt.not_ready.svm", .each_mode = one_instruction,
     .needs = { VENDOR("kvm_amd") })
{
	struct vcpu *vcpu = boot_and_interrupt(guest);

	expect_run_report(vcpu, VECTOR);
}

CASE(run_fields, vmx_does_not_enter_with_an_interrupt_while_they_are_disabled,
     .contract = "interrupt.not_ready.vmx", .each_mode = one_instruction,
     .needs = { VENDOR("kvm_intel") })
{
	struct vcpu *vcpu = boot_and_interrupt(guest);

	expect_run_exit(vcpu, KVM_EXIT_FAIL_ENTRY);
}

CASE(run_fields, second_interrupt_replaces_the_first, .contract = "interrupt.replaced",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);
	uint64_t window = run_to_window(vcpu);

	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR - 1 });
	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	expect_run_report(vcpu, VECTOR);
	expect_run_report(vcpu, window);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(run_fields, second_interrupt_is_refused_with_a_split_irqchip,
     .contract = "interrupt.split_irqchip.exists", .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_split_irqchip(one_instruction[MODE_LONG64]);

	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	expect_errno(EEXIST, vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
}

CASE(run_fields, request_is_ignored_with_an_in_kernel_pic,
     .contract = "run.request_interrupt_window.in_kernel", .each_mode = one_instruction,
     .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(guest);

	prepare(vcpu, "nothing", true);
	vcpu->run->request_interrupt_window = 1;
	expect_run_done(vcpu);
}

/* The local APIC in the kernel, the PIC not: its interrupts come by LINT0, if that lets them through. */

#define APIC_LINT0   0x350
#define LINT0_EXTINT (7u << 8) /* as at reset, by KVM_X86_QUIRK_LINT0_REENABLED */
#define LINT0_MASKED (1u << 16)

static void set_lint0(struct vcpu *vcpu, uint32_t value)
{
	struct kvm_lapic_state apic = { 0 };

	x(vcpu, KVM_GET_LAPIC, &apic);
	memcpy(apic.regs + APIC_LINT0, &value, sizeof value);
	x(vcpu, KVM_SET_LAPIC, &apic);
}

CASE(run_fields, window_exit_with_a_split_irqchip,
     .contract = "run.request_interrupt_window.split_irqchip", .each_mode = one_instruction,
     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_split_irqchip(guest);
	uint64_t window;

	set_lint0(vcpu, LINT0_EXTINT);
	window = run_to_window(vcpu);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 1);
	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	expect_run_report(vcpu, VECTOR);
	expect_run_report(vcpu, window);
}

CASE(run_fields, no_window_exit_while_lint0_is_masked,
     .contract = "run.request_interrupt_window.lint0", .each_mode = one_instruction,
     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_split_irqchip(guest);

	set_lint0(vcpu, LINT0_EXTINT | LINT0_MASKED);
	prepare(vcpu, "nothing", true);
	vcpu->run->request_interrupt_window = 1;
	expect_run_done(vcpu);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 0);
	expect_equal(vcpu->run->if_flag, 1);
}

/* ready_for_interrupt_injection and if_flag */

CASE(run_fields, ready_if_interrupts_are_enabled, .contract = "run.ready_for_injection",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);

	for (int enabled = 0; enabled <= 1; enabled++) {
		prepare(vcpu, "nothing", enabled);
		vcpu->run->ready_for_interrupt_injection = (uint8_t)!enabled;
		vcpu->run->if_flag = (uint8_t)!enabled;
		expect_run_done(vcpu);
		expect_equal(vcpu->run->ready_for_interrupt_injection, enabled);
		expect_equal(vcpu->run->if_flag, enabled);
	}
}

CASE(run_fields, halted_vcpu_is_ready_if_interrupts_are_enabled,
     .contract = "run.ready_for_injection", .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);

	for (int enabled = 0; enabled <= 1; enabled++) {
		prepare(vcpu, "halt", enabled);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_equal(vcpu->run->ready_for_interrupt_injection, enabled);
		expect_equal(vcpu->run->if_flag, enabled);
	}
}

/*
 * Several tries: QEMU's TCG forgets STI's effect if an interrupt of the host's takes it out of the guest
 * between the two instructions.
 */
CASE(run_fields, not_ready_right_after_sti, .contract = "run.ready_for_injection.shadow",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);
	int tries = 0;

	do {
		prepare(vcpu, "shadow", false);
		expect_run_done(vcpu); /* the instruction after STI exits */
		expect_equal(vcpu->run->if_flag, 1);
	} while (vcpu->run->ready_for_interrupt_injection && ++tries < 10);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 0);
	expect_run_done(vcpu); /* and so does the next one */
	expect_equal(vcpu->run->if_flag, 1);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 1);
}

CASE(run_fields, not_ready_while_an_interrupt_is_queued,
     .contract = "run.ready_for_injection.queued", .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	prepare(vcpu, "nothing", true);
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 1);
	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	expect_run_errno(vcpu, EINTR);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 0);
}

CASE(run_fields, always_ready_with_an_in_kernel_pic,
     .contract = "run.ready_for_injection.in_kernel", .each_mode = one_instruction,
     .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(guest);

	prepare(vcpu, "nothing", false);
	expect_run_done(vcpu);
	expect_equal(vcpu->run->ready_for_interrupt_injection, 1);
	expect_equal(vcpu->run->if_flag, 0);
}

/* CR8. Code outside of 64-bit mode cannot see it. */

static void prepare_cr8(struct vcpu *vcpu, const char *label, uint64_t value)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, label);
	regs.rbx = value;
	vcpu_set_regs(vcpu, regs);
}

CASE(run_fields, guests_cr8_is_stored, .contract = "run.cr8.out")
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	for (uint64_t cr8 = 0; cr8 <= 15; cr8++) { /* ever higher: no KVM_EXIT_SET_TPR */
		prepare_cr8(vcpu, "write_cr8", cr8);
		expect_run_done(vcpu);
		expect_equal(vcpu->run->cr8, cr8);
		expect_sregs(vcpu, .cr8 = cr8);
	}
}

CASE(run_fields, guest_gets_the_cr8_of_kvm_run, .contract = "run.cr8.in")
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	for (uint64_t cr8 = 0; cr8 <= 15; cr8++) {
		prepare_cr8(vcpu, "read_cr8", 0);
		vcpu->run->cr8 = cr8;
		expect_run_done(vcpu);
		expect_regs(vcpu, .rax = cr8);
	}
}

CASE(run_fields, kvm_runs_cr8_wins_over_sregs, .contract = "run.cr8.in.sregs",
     .each_mode = count_and_halt)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.cr8 = 7;
	x(vcpu, KVM_SET_SREGS, &sregs);
	vcpu->run->cr8 = 3;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_sregs(vcpu, .cr8 = 3);
	expect_equal(vcpu->run->cr8, 3);
}

CASE(run_fields, reserved_bits_of_cr8_are_refused, .contract = "run.cr8.reserved")
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_LONG64]);

	for (unsigned bit = 4; bit < 64; bit++) {
		vcpu->run->cr8 = 1ull << bit;
		expect(vcpu_run(vcpu) == -EINVAL, "KVM_RUN takes bit %u of cr8", bit);
		expect_equal(vcpu->run->cr8, 0); /* it is stored all the same: as it was */
	}
	expect_equal(*guest_counter(vcpu), 0);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(run_fields, cr8_is_not_taken_with_an_in_kernel_apic, .contract = "run.cr8.in_kernel",
     .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(one_instruction[MODE_LONG64]);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.cr8 = 7;
	x(vcpu, KVM_SET_SREGS, &sregs);
	prepare_cr8(vcpu, "read_cr8", 0);
	vcpu->run->cr8 = 1ull << 63; /* not even looked at */
	expect_run_done(vcpu);
	expect_regs(vcpu, .rax = 7);
	expect_equal(vcpu->run->cr8, 7);
}

CASE(run_fields, cr8_is_stored_with_an_in_kernel_apic, .contract = "run.cr8.in_kernel",
     .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(one_instruction[MODE_LONG64]);

	for (uint64_t cr8 = 15; cr8 > 0; cr8--) { /* downwards, too: no KVM_EXIT_SET_TPR */
		prepare_cr8(vcpu, "write_cr8", cr8);
		expect_run_done(vcpu);
		expect_equal(vcpu->run->cr8, cr8);
	}
}

/* The APIC's base */

CASE(run_fields, apic_base_is_stored, .contract = "run.apic_base.out", .each_mode = count_and_halt)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->apic_base = 0;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu->run->apic_base, APIC_BASE_RESET);
}

CASE(run_fields, apic_base_is_stored_with_an_in_kernel_apic, .contract = "run.apic_base.out",
     .each_mode = one_instruction, .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(guest);

	prepare(vcpu, "nothing", false);
	vcpu->run->apic_base = 0;
	expect_run_done(vcpu);
	expect_equal(vcpu->run->apic_base, APIC_BASE_RESET);
}

CASE(run_fields, apic_base_of_the_guest_is_stored, .contract = "run.apic_base.out",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;

	x(vcpu, KVM_SET_CPUID2, host.cpuid); /* a CPU without APIC has no such register */
	regs.rdi = guest_symbol(vcpu, "wrmsr");
	regs.rcx = APIC_BASE_MSR;
	regs.rax = APIC_BASE_RESET & ~APIC_BASE_ENABLE;
	vcpu_set_regs(vcpu, regs);
	expect_run_done(vcpu);
	expect_equal(vcpu->run->apic_base, APIC_BASE_RESET & ~APIC_BASE_ENABLE);
}

CASE(run_fields, apic_base_is_not_taken, .contract = "run.apic_base.in",
     .each_mode = count_and_halt)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->apic_base = 0xfed00800;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu->run->apic_base, APIC_BASE_RESET);
	expect_sregs(vcpu, .apic_base = APIC_BASE_RESET);
}

/* Flags */

CASE(run_fields, flags_are_cleared, .contract = "run.flags.cleared", .each_mode = count_and_halt)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->flags = 0xffff;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu->run->flags, 0);
}

CASE(run_fields, flags_are_cleared_by_a_run_that_fails, .contract = "run.flags.cleared",
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	vcpu->run->flags = 0xffff;
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_equal(vcpu->run->flags, 0);
}

/*
 * A vCPU that an SMI awaits: its handler halts, and then resumes what was interrupted. What it sees of
 * memory are the slots of address space 1 (api.rst, KVM_CAP_MULTI_ADDRESS_SPACE).
 */
static struct vcpu *boot_with_smi(void)
{
	struct vcpu *vcpu = boot(smm);

	add_smm_handler(vcpu, "handler");
	x(vcpu, KVM_SMI);
	return vcpu;
}

CASE(run_fields, smm_is_flagged, .contract = "run.flags.smm", .needs = { CAP(KVM_CAP_X86_SMM) })
{
	struct vcpu *vcpu = boot_with_smi();

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu->run->flags, KVM_RUN_X86_SMM);
	expect_regs(vcpu, .rip = 0x8001); /* SMIs begin at 0x8000 in a segment at SMBASE */
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu->run->flags, 0);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "entry") + 1);
}

CASE(run_fields, smm_is_flagged_by_a_run_that_fails, .contract = "run.flags.smm",
     .needs = { CAP(KVM_CAP_X86_SMM), CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot_with_smi();

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	vcpu->run->flags = 0;
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_equal(vcpu->run->flags, KVM_RUN_X86_SMM);
}

CASE(run_fields, smi_waits_for_a_run, .contract = "run.flags.smi_pending",
     .needs = { CAP(KVM_CAP_X86_SMM), CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot_with_smi();
	struct kvm_vcpu_events events = { 0 };

	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_equal(vcpu->run->flags, 0);
	x(vcpu, KVM_GET_VCPU_EVENTS, &events);
	expect_equal(events.smi.pending, 1);
	expect_equal(events.smi.smm, 0);
}

/* What a VMCB holds, at the offsets of the AMD manual, vol. 2, appendix B. */
#define VMCB              0x20000
#define VMCB_MISC_1       0x00c
#define VMCB_MISC_2       0x010
#define VMCB_ASID         0x058
#define VMCB_CS           0x410
#define VMCB_SS           0x420
#define VMCB_EFER         0x4d0
#define VMCB_CR4          0x548
#define VMCB_CR3          0x550
#define VMCB_CR0          0x558
#define VMCB_RFLAGS       0x570
#define VMCB_RIP          0x578
#define VMCB_RSP          0x5d8
#define INTERCEPT_HLT     (1 << 24) /* misc. 1 */
#define INTERCEPT_VMRUN   (1 << 0)  /* misc. 2 */
#define CODE_64_ATTRIBUTE 0xa9b
#define DATA_ATTRIBUTE    0xc93
#define EFER_SVME         (1 << 12)
#define HSAVE_PA_MSR      0xc0010117
#define HSAVE_PA          0x21000

static void set_vmcb(struct vcpu *vcpu, size_t offset, uint64_t value, size_t size)
{
	memcpy(vcpu->vm->ram + VMCB + offset, &value, size);
}

/* A vCPU that runs a guest of its own next: in the mode that it is in itself, from the label. */
static struct vcpu *boot_nested(void)
{
	struct vcpu *vcpu = boot(nested_svm);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);
	struct kvm_regs regs = vcpu->loaded;

	sregs.efer |= EFER_SVME;
	x(vcpu, KVM_SET_SREGS, &sregs);
	vcpu_set_msr(vcpu, HSAVE_PA_MSR, HSAVE_PA);
	set_vmcb(vcpu, VMCB_MISC_1, INTERCEPT_HLT, 4);
	set_vmcb(vcpu, VMCB_MISC_2, INTERCEPT_VMRUN, 4);
	set_vmcb(vcpu, VMCB_ASID, 1, 4);
	set_vmcb(vcpu, VMCB_CS + 2, CODE_64_ATTRIBUTE, 2);
	set_vmcb(vcpu, VMCB_SS + 2, DATA_ATTRIBUTE, 2);
	set_vmcb(vcpu, VMCB_EFER, sregs.efer, 8);
	set_vmcb(vcpu, VMCB_CR0, sregs.cr0, 8);
	set_vmcb(vcpu, VMCB_CR3, sregs.cr3, 8);
	set_vmcb(vcpu, VMCB_CR4, sregs.cr4, 8);
	set_vmcb(vcpu, VMCB_RFLAGS, regs.rflags, 8);
	set_vmcb(vcpu, VMCB_RIP, guest_symbol(vcpu, "nested"), 8);
	set_vmcb(vcpu, VMCB_RSP, STACK_TOP, 8);
	regs.rax = VMCB;
	vcpu_set_regs(vcpu, regs);
	return vcpu;
}

CASE(run_fields, nested_guest_is_flagged, .contract = "run.flags.guest_mode",
     .needs = { VENDOR("kvm_amd"), CAP(KVM_CAP_X86_GUEST_MODE), CAP(KVM_CAP_NESTED_STATE) })
{
	struct vcpu *vcpu = boot_nested();

	expect_run_done(vcpu);
	expect_equal(vcpu->run->flags, KVM_RUN_X86_GUEST_MODE);
	expect_run_done(vcpu); /* its HLT is an exit to the guest that runs it */
	expect_equal(vcpu->run->flags, 0);
}
