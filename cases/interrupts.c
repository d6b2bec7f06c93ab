// SPDX-License-Identifier: MIT
/*
 * Interrupts by what is in the kernel: level-triggered ones by KVM_IRQFD, which hear of their end, the
 * I/O APIC's polarity, and the local APIC's timer. Documented in api.rst under KVM_IRQFD
 * (KVM_CAP_IRQFD_RESAMPLE), KVM_IRQ_LINE (KVM_CAP_IOAPIC_POLARITY_IGNORED) and
 * KVM_CAP_TSC_DEADLINE_TIMER.
 */
#include "interrupts.h"
#include "eventfds.h"

/* Whether the local APIC has it in service (Intel SDM vol. 3, ISR). */
static bool is_in_service(struct vcpu *vcpu)
{
	struct kvm_lapic_state apic = { 0 };

	x(vcpu, KVM_GET_LAPIC, &apic);
	return apic.regs[0x100 + IRQ_VECTOR / 32 * 16 + IRQ_VECTOR % 32 / 8] >> IRQ_VECTOR % 8 & 1;
}

CASE(interrupts, interrupt_is_in_service_until_its_end, .contract = "apic.in_service",
     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = until_ready(boot_with_split_irqchip(interrupts));

	send_interrupt(vcpu);
	expect(!is_in_service(vcpu), "it is in service before the guest has taken it");
	expect_run_report(vcpu, TAKEN);
	expect(is_in_service(vcpu), "it is not in service");
	expect_run_report(vcpu, ENDED);
	expect(!is_in_service(vcpu), "it is in service after its end");
}

#define PIN 20 /* of the I/O APIC, and no other chip's; its GSI has the same number */

/* The I/O APIC's redirection table (its data sheet, 3.2.4). */
#define ACTIVE_LOW      (1u << 13)
#define LEVEL_TRIGGERED (1u << 15)

static struct kvm_irqchip io_apic(struct vm *vm)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	x(vm, KVM_GET_IRQCHIP, &chip);
	return chip;
}

/* The pin's interrupts go to the vCPU. */
static void route_pin(struct vm *vm, uint32_t bits)
{
	struct kvm_irqchip chip = io_apic(vm);

	chip.chip.ioapic.redirtbl[PIN].bits = IRQ_VECTOR | bits;
	x(vm, KVM_SET_IRQCHIP, &chip);
}

/* Whether the pin is asserted. */
static bool is_asserted(struct vm *vm)
{
	return io_apic(vm).chip.ioapic.irr >> PIN & 1;
}

CASE(interrupts, end_of_a_resampled_interrupt_is_signalled, .contract = "irqfd.resample",
     .needs = { CAP(KVM_CAP_IRQFD_RESAMPLE), CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = until_ready(boot_with_irqchip(interrupts));
	struct kvm_irqfd irqfd = { .fd = make_eventfd(),
				   .gsi = PIN,
				   .flags = KVM_IRQFD_FLAG_RESAMPLE,
				   .resamplefd = make_eventfd() };

	route_pin(vcpu->vm, LEVEL_TRIGGERED);
	x(vcpu->vm, KVM_IRQFD, &irqfd);
	for (unsigned i = 0; i < 2; i++) {
		signal_eventfd(irqfd.fd);
		expect_run_report(vcpu, TAKEN);
		expect(is_asserted(vcpu->vm), "the line is not asserted");
		expect_equal(signals_of(irqfd.resamplefd), 0);
		expect_run_report(vcpu, ENDED);
		expect(!is_asserted(vcpu->vm), "the line is asserted");
		expect_equal(signals_of(irqfd.resamplefd), 1);
	}
}

/* Its I/O APIC must hear of the end, so the bit of MSR_KVM_PV_EOI_EN does not offer another one. */
CASE(interrupts, level_triggered_interrupt_is_not_ended_by_a_bit, .contract = "pv_eoi.ioapic",
     .needs = { CAP(KVM_CAP_IRQCHIP), PV_FEATURE(KVM_FEATURE_PV_EOI) })
{
	struct vcpu *vcpu = until_ready(boot_with_irqchip(interrupts));
	struct kvm_irq_level line = { .irq = PIN };

	route_pin(vcpu->vm, LEVEL_TRIGGERED);
	vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, guest_symbol(vcpu, "eoi_word") | KVM_MSR_ENABLED);
	for (unsigned i = 0; i < 10; i++) {
		line.level = 1;
		x(vcpu->vm, KVM_IRQ_LINE, &line);
		expect_run_report(vcpu, TAKEN);
		line.level = 0;
		x(vcpu->vm, KVM_IRQ_LINE, &line);
		expect_run_report(vcpu, ENDED);
	}
}

/* A level of 1 is an asserted line, whatever the pin's polarity says. */
static void expect_polarity_ignored(uint32_t polarity)
{
	struct vcpu *vcpu = until_ready(boot_with_irqchip(interrupts));
	struct kvm_irq_level line = { .irq = PIN };

	route_pin(vcpu->vm, LEVEL_TRIGGERED | polarity);
	x(vcpu->vm, KVM_IRQ_LINE, &line);
	expect(!is_asserted(vcpu->vm), "the line is asserted by level 0");
	line.level = 1;
	x(vcpu->vm, KVM_IRQ_LINE, &line);
	expect(is_asserted(vcpu->vm), "the line is not asserted by level 1");
	expect_run_report(vcpu, TAKEN);
	line.level = 0;
	x(vcpu->vm, KVM_IRQ_LINE, &line);
	expect_run_report(vcpu, ENDED);
	send_interrupt(vcpu); /* and no other one before it */
	expect_run_report(vcpu, TAKEN);
	expect(!is_asserted(vcpu->vm), "the line is asserted by level 0");
}

#define NEEDS_POLARITY .needs = { CAP(KVM_CAP_IOAPIC_POLARITY_IGNORED), CAP(KVM_CAP_IRQCHIP) }

CASE(interrupts, pin_that_is_active_high, .contract = "ioapic.polarity", NEEDS_POLARITY)
{
	expect_polarity_ignored(0);
}

CASE(interrupts, pin_that_is_active_low, .contract = "ioapic.polarity", NEEDS_POLARITY)
{
	expect_polarity_ignored(ACTIVE_LOW);
}

#define IA32_TSC_DEADLINE 0x6e0
#define CPUID_DEADLINE    (1u << 24) /* leaf 1, ECX */

static struct vcpu *boot_with_deadline_timer(void)
{
	struct vcpu *vcpu = boot_with_split_irqchip(interrupts);

	for (uint32_t i = 0; i < host.cpuid->nent; i++) {
		struct kvm_cpuid_entry2 leaf = host.cpuid->entries[i];

		leaf.ecx |= CPUID_DEADLINE; /* KVM_GET_SUPPORTED_CPUID may leave it out */
		if (leaf.function == 1)
			vcpu_set_cpuid(vcpu, &leaf, 1);
	}
	return until_ready(vcpu);
}

#define NEEDS_DEADLINE .needs = { CAP(KVM_CAP_TSC_DEADLINE_TIMER), CAP(KVM_CAP_SPLIT_IRQCHIP) }

CASE(interrupts, timer_expires_at_the_deadline, .contract = "apic.tsc_deadline", NEEDS_DEADLINE)
{
	struct vcpu *vcpu = boot_with_deadline_timer();
	struct kvm_regs regs;

	go_to(vcpu, "set_deadline", .rsi = 1 << 21);
	expect_run_report(vcpu, TAKEN);
	regs = vcpu_regs(vcpu);
	expect(regs.r14 >= regs.r13, "it is %llu ticks early", regs.r13 - regs.r14);
	expect_equal(vcpu_msr(vcpu, IA32_TSC_DEADLINE), 0);
}

CASE(interrupts, deadline_that_has_passed_expires_at_once, .contract = "apic.tsc_deadline.passed",
     NEEDS_DEADLINE)
{
	struct vcpu *vcpu = boot_with_deadline_timer();

	go_to(vcpu, "set_deadline", .rsi = -1000);
	expect_run_report(vcpu, TAKEN);
	expect_equal(vcpu_msr(vcpu, IA32_TSC_DEADLINE), 0);
}

/* Far away: the MSR holds it until it is taken back, and no interrupt but another one's comes. */
CASE(interrupts, deadline_can_be_taken_back, .contract = "apic.tsc_deadline.disarm", NEEDS_DEADLINE)
{
	struct vcpu *vcpu = boot_with_deadline_timer();
	const uint64_t far = 1ull << 62;

	go_to(vcpu, "set_deadline", .rsi = -1000);
	expect_run_report(vcpu, TAKEN); /* the timer is in this mode now */
	expect_run_report(vcpu, ENDED);
	vcpu_set_msr(vcpu, IA32_TSC_DEADLINE, far);
	expect_equal(vcpu_msr(vcpu, IA32_TSC_DEADLINE), far);
	vcpu_set_msr(vcpu, IA32_TSC_DEADLINE, 0);
	expect_equal(vcpu_msr(vcpu, IA32_TSC_DEADLINE), 0);
}
