// SPDX-License-Identifier: MIT
/*
 * Exits of KVM_RUN that no other area is about, with every field of each: KVM_EXIT_SHUTDOWN,
 * KVM_EXIT_INTERNAL_ERROR, KVM_EXIT_FAIL_ENTRY, KVM_EXIT_SET_TPR, KVM_EXIT_TPR_ACCESS,
 * KVM_EXIT_IOAPIC_EOI, KVM_EXIT_HYPERV, KVM_EXIT_SYSTEM_EVENT and KVM_EXIT_XEN. Documented in
 * api.rst, 5. The kvm_run structure, and under the capabilities and ioctls that cause them.
 */
#include "hyperv.h"
#include "one_instruction.h"

#include <alloca.h>
#include <unistd.h>

GUEST_EACH_MODE(count_and_halt);
GUEST_EACH_MODE(hello);
GUEST_EACH_MODE(shutdown);
GUEST(long64, local_apic);
GUEST(long64, wait_for_irq);

/* The vCPU's next run executes the instruction at the label; the registers are as given but for DI. */
static void prepare(struct vcpu *vcpu, const char *label, struct kvm_regs regs)
{
	regs.rip = vcpu->loaded.rip;
	regs.rsp = vcpu->loaded.rsp;
	regs.rflags |= vcpu->loaded.rflags;
	regs.rdi = guest_symbol(vcpu, label);
	vcpu_set_regs(vcpu, regs);
}

/* HLT */

CASE(run_exits, vcpu_that_halted_with_an_exit_is_runnable, .contract = "exit.hlt.mp_state",
     .each_mode = count_and_halt, .needs = { CAP(KVM_CAP_MP_STATE) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_HALTED };

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	x(vcpu, KVM_GET_MP_STATE, &state);
	expect_equal(state.mp_state, KVM_MP_STATE_RUNNABLE);
	expect_run_exit(vcpu, KVM_EXIT_HLT); /* it does not wait for an interrupt */
	expect_equal(*guest_counter(vcpu), 2);
}

/* SHUTDOWN */

static struct vcpu *boot_and_shut_down(const struct guest_image *guest)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_run_or_give_up(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_SHUTDOWN);
	return vcpu;
}

CASE(run_exits, triple_fault_shuts_down, .contract = "exit.shutdown.triple_fault",
     .each_mode = shutdown)
{
	expect_equal(boot_and_shut_down(guest)->last.result, 0);
}

#define CR0_PE 1

CASE(run_exits, vcpu_that_shut_down_runs_with_new_registers, .contract = "exit.shutdown.restart",
     .each_mode = shutdown)
{
	struct vcpu *vcpu = boot_and_shut_down(guest);
	struct kvm_sregs other_mode = vcpu->loaded_sregs;
	struct kvm_regs regs = vcpu->loaded;

	other_mode.cr0 ^= CR0_PE; /* to real mode by way of another: see cases/kvm_bugs.c */
	if (guest->mode == MODE_REAL16)
		x(vcpu, KVM_SET_SREGS, &other_mode);
	x(vcpu, KVM_SET_SREGS, &vcpu->loaded_sregs);
	regs.rip = guest_symbol(vcpu, "alive");
	vcpu_set_regs(vcpu, regs);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "alive") + 1);
}

CASE(run_exits, svm_resets_a_vcpu_that_shut_down, .contract = "exit.shutdown.state.svm",
     .each_mode = shutdown, .needs = { VENDOR("kvm_amd") })
{
	struct vcpu *vcpu = boot_and_shut_down(guest);

	expect_regs(vcpu, .rip = 0xfff0, .rflags = 2);
	expect_equal(vcpu_sregs(vcpu).cs.base, 0xffff0000);
	expect_equal(vcpu_sregs(vcpu).cr0 & CR0_PE, 0);
}

CASE(run_exits, vmx_leaves_a_vcpu_that_shut_down_as_it_was, .contract = "exit.shutdown.state.vmx",
     .each_mode = shutdown, .needs = { VENDOR("kvm_intel") })
{
	struct vcpu *vcpu = boot(guest);

	for (int i = 0; i < 2; i++) { /* so it shuts down again */
		expect_run_exit(vcpu, KVM_EXIT_SHUTDOWN);
		expect_regs(vcpu, .rip = guest_symbol(vcpu, "no_handler"), .rsp = STACK_TOP);
		expect_sregs(vcpu, .cr0 = vcpu->loaded_sregs.cr0);
	}
}

CASE(run_exits, pending_triple_fault_shuts_down, .contract = "exit.shutdown.event",
     .each_mode = count_and_halt, .needs = { CAP(KVM_CAP_X86_TRIPLE_FAULT_EVENT) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_vcpu_events events = { 0 };

	enable_cap(vcpu->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
	x(vcpu, KVM_GET_VCPU_EVENTS, &events);
	events.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	events.triple_fault.pending = 1;
	x(vcpu, KVM_SET_VCPU_EVENTS, &events);
	expect_run_exit(vcpu, KVM_EXIT_SHUTDOWN);
	expect_equal(*guest_counter(vcpu), 0);
	expect_regs(vcpu, REGS_AS(vcpu->loaded));
	expect_run_exit(vcpu, KVM_EXIT_HLT); /* it shut down once */
}

/* INTERNAL_ERROR: emulation */

static void expect_run_emulation_failure(struct vcpu *vcpu)
{
	memset(&vcpu->run->internal, 0xff, sizeof vcpu->run->internal);
	expect_run_exit(vcpu, KVM_EXIT_INTERNAL_ERROR);
	expect_equal(vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_EMULATION);
}

/* The bytes are those at RIP, as many of them as KVM had read. */
static void expect_instruction_bytes(struct vcpu *vcpu, const char *label)
{
	const struct kvm_run *run = vcpu->run;
	unsigned size = run->emulation_failure.insn_size;

	expect(run->internal.ndata >= 3, "ndata is %u", run->internal.ndata);
	expect_equal(run->emulation_failure.flags,
		     KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES);
	expect(run->emulation_failure.insn_size >= 2 && size <= 15, "insn_size is %u", size);
	expect_memory(vcpu, guest_symbol(vcpu, label), run->emulation_failure.insn_bytes, size);
}

CASE(run_exits, instruction_that_kvm_cannot_emulate, .contract = "exit.internal_error.emulation",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "unknown_to_kvm", (struct kvm_regs){ 0 });
	expect_run_emulation_failure(vcpu);
	expect_instruction_bytes(vcpu, "unknown_to_kvm");
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "unknown_to_kvm"));
}

CASE(run_exits, instruction_that_kvm_cannot_emulate_raises_ud,
     .contract = "exit.internal_error.emulation.ud", .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "unknown_to_kvm", (struct kvm_regs){ 0 });
	expect_run_emulation_failure(vcpu);
	expect_run_exception(vcpu, UD_VECTOR, "unknown_to_kvm");
}

CASE(run_exits, instruction_that_cannot_be_read, .contract = "exit.internal_error.emulation.fetch",
     .each_mode = count_and_halt)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);
	struct kvm_regs regs = vcpu->loaded;

	if (guest->mode == MODE_REAL16) {
		sregs.cs.base = MMIO_BASE;
		sregs.cs.selector = MMIO_BASE >> 4;
		x(vcpu, KVM_SET_SREGS, &sregs);
	}
	regs.rip = guest->mode == MODE_REAL16 ? 0 : MMIO_BASE;
	vcpu_set_regs(vcpu, regs);
	expect_run_emulation_failure(vcpu);
	expect(vcpu->run->internal.ndata >= 1, "ndata is %u", vcpu->run->internal.ndata);
	expect_equal(vcpu->run->emulation_failure.flags, 0);
	expect_regs(vcpu, REGS_AS(regs));
}

#define NEEDS_EMULATION_EXITS .needs = { CAP(KVM_CAP_EXIT_ON_EMULATION_FAILURE) }

CASE(run_exits, emulation_failure_that_was_asked_for, .contract = "cap.exit_on_emulation_failure",
     .each_mode = one_instruction, NEEDS_EMULATION_EXITS)
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	prepare(vcpu, "unknown_to_kvm", (struct kvm_regs){ 0 });
	for (int i = 0; i < 2; i++) { /* there is no exception to deliver */
		expect_run_emulation_failure(vcpu);
		expect_instruction_bytes(vcpu, "unknown_to_kvm");
	}
}

CASE(run_exits, emulation_failure_that_userspace_emulates,
     .contract = "cap.exit_on_emulation_failure", .each_mode = one_instruction,
     NEEDS_EMULATION_EXITS)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs;

	enable_cap(vcpu->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	prepare(vcpu, "unknown_to_kvm", (struct kvm_regs){ 0 });
	expect_run_emulation_failure(vcpu);
	regs = vcpu_regs(vcpu);
	regs.rip = guest_symbol(vcpu, "after_unknown_to_kvm");
	vcpu_set_regs(vcpu, regs);
	expect_run_done(vcpu);
}

#define PTE_USER (1u << 2)

/* 64-bit user mode that can take exceptions, on the stack that the TSS has for them: below the image. */
static struct vcpu *boot_user_mode(void)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);
	uint64_t *tables = (uint64_t *)(void *)(vcpu->vm->ram + PAGE_TABLES);
	uint32_t tss[3] = { [1] = IMAGE_BASE }; /* RSP0 */

	tables[0] |= PTE_USER;
	tables[512] |= PTE_USER;
	tables[1024] |= PTE_USER;
	memcpy(vcpu->vm->ram + STACK_TOP, tss, sizeof tss);
	sregs.tr.base = STACK_TOP;
	sregs.tr.type = 11; /* busy */
	sregs.gdt.base = guest_symbol(vcpu, "exception_gdt");
	sregs.gdt.limit = (uint16_t)(guest_symbol(vcpu, "exception_gdt_end") - sregs.gdt.base - 1);
	sregs.idt.base = guest_symbol(vcpu, "exception_idt");
	sregs.idt.limit = (uint16_t)(guest_symbol(vcpu, "exception_idt_end") - sregs.idt.base - 1);
	sregs.cs.dpl = sregs.ss.dpl = 3;
	sregs.cs.selector |= 3;
	sregs.ss.selector |= 3;
	x(vcpu, KVM_SET_SREGS, &sregs);
	vcpu->loaded.rip = guest_symbol(vcpu, "unknown_to_kvm");
	vcpu_set_regs(vcpu, vcpu->loaded);
	return vcpu;
}

CASE(run_exits, emulation_failure_in_user_mode_raises_ud,
     .contract = "exit.internal_error.emulation.user")
{
	struct vcpu *vcpu = boot_user_mode();

	expect_run_exception(vcpu, UD_VECTOR, "unknown_to_kvm");
}

CASE(run_exits, emulation_failure_in_user_mode_that_was_asked_for,
     .contract = "cap.exit_on_emulation_failure", NEEDS_EMULATION_EXITS)
{
	struct vcpu *vcpu = boot_user_mode();

	enable_cap(vcpu->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1);
	expect_run_emulation_failure(vcpu);
	expect_instruction_bytes(vcpu, "unknown_to_kvm");
}

CASE(run_exits, emulation_failure_exits_are_on_or_off,
     .contract = "cap.exit_on_emulation_failure.einval", NEEDS_EMULATION_EXITS)
{
	struct vm *vm = vm_create();
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE };

	for (cap.args[0] = 0; cap.args[0] <= 1; cap.args[0]++)
		x(vm, KVM_ENABLE_CAP, &cap);
	for (unsigned bit = 1; bit < 64; bit++) {
		cap.args[0] = 1ull << bit;
		expect(x_try(vm, KVM_ENABLE_CAP, &cap) == -EINVAL, "bit %u", bit);
	}
}

/* INTERNAL_ERROR: what has to be emulated is the delivery of an event, which KVM cannot do. */

#define RFLAGS_IF 0x200
#define VECTOR    31

static struct vcpu *boot_without_gates(void)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_LONG64]);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);
	struct kvm_regs regs = vcpu->loaded;

	sregs.idt.base = MMIO_BASE;
	x(vcpu, KVM_SET_SREGS, &sregs);
	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(vcpu, regs);
	memset(&vcpu->run->internal, 0xff, sizeof vcpu->run->internal);
	return vcpu;
}

static void expect_delivery_failure(struct vcpu *vcpu, unsigned vector)
{
	vcpu_run_or_give_up(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_INTERNAL_ERROR);
	expect_equal(vcpu->run->internal.suberror, KVM_INTERNAL_ERROR_DELIVERY_EV);
	expect_equal(vcpu->run->internal.ndata, 5);
	expect_equal(vcpu->run->internal.data[3] & ~15ull, MMIO_BASE + 16 * vector);
	expect(vcpu->run->internal.data[4] < (uint64_t)sysconf(_SC_NPROCESSORS_CONF),
	       "the last of the data is %llu, no CPU", vcpu->run->internal.data[4]);
	expect_equal(*guest_counter(vcpu), 0);
}

CASE(run_exits, exception_whose_gate_no_slot_backs, .contract = "exit.internal_error.delivery",
     .needs = { KERNEL(6, 14), CAP(KVM_CAP_SET_GUEST_DEBUG) })
{
	struct vcpu *vcpu = boot_without_gates();

	x(vcpu, KVM_SET_GUEST_DEBUG,
	  &(struct kvm_guest_debug){ .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_INJECT_DB });
	expect_delivery_failure(vcpu, DB_VECTOR);
}

CASE(run_exits, interrupt_whose_gate_no_slot_backs, .contract = "exit.internal_error.delivery",
     .needs = { KERNEL(6, 14) })
{
	struct vcpu *vcpu = boot_without_gates();

	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	expect_delivery_failure(vcpu, VECTOR);
}

/* FAIL_ENTRY: a code segment for 64 bits and for 32 is none that a CPU enters, but KVM takes it. */

CASE(run_exits, state_that_the_cpu_does_not_enter, .contract = "exit.fail_entry.fields")
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_LONG64]);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);
	bool is_intel = strcmp(host.vendor, "kvm_intel") == 0;

	sregs.cs.l = sregs.cs.db = 1;
	x(vcpu, KVM_SET_SREGS, &sregs);
	memset(&vcpu->run->fail_entry, 0xff, sizeof vcpu->run->fail_entry);
	expect_run_exit(vcpu, KVM_EXIT_FAIL_ENTRY);
	/* SDM vol. 3, 27.8: the entry failed (bit 31), guest state (33); APM vol. 2, 15.6: -1 */
	expect_equal((uint32_t)vcpu->run->fail_entry.hardware_entry_failure_reason,
		     is_intel ? 0x80000021 : 0xffffffff);
	expect(vcpu->run->fail_entry.cpu < sysconf(_SC_NPROCESSORS_CONF), "cpu is %u",
	       vcpu->run->fail_entry.cpu);
	expect_equal(*guest_counter(vcpu), 0);
}

CASE(run_exits, vcpu_that_was_not_entered_runs_with_other_state,
     .contract = "exit.fail_entry.restart")
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_LONG64]);
	struct kvm_sregs sregs = vcpu_sregs(vcpu);

	sregs.cs.l = sregs.cs.db = 1;
	x(vcpu, KVM_SET_SREGS, &sregs);
	expect_run_exit(vcpu, KVM_EXIT_FAIL_ENTRY);
	x(vcpu, KVM_SET_SREGS, &vcpu->loaded_sregs);
	vcpu_set_regs(vcpu, vcpu->loaded);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(*guest_counter(vcpu), 1);
}

/* SET_TPR and TPR_ACCESS */

static void write_cr8(struct vcpu *vcpu, uint64_t value)
{
	prepare(vcpu, "write_cr8", (struct kvm_regs){ .rbx = value });
}

CASE(run_exits, lower_cr8_exits, .contract = "exit.set_tpr")
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	write_cr8(vcpu, 9);
	vcpu->run->cr8 = 10;
	expect_run_exit(vcpu, KVM_EXIT_SET_TPR);
	expect_equal(vcpu->run->cr8, 9);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_write_cr8"));
	expect_run_done(vcpu);
}

CASE(run_exits, higher_or_same_cr8_does_not_exit, .contract = "exit.set_tpr.not_lower")
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	for (uint64_t cr8 = 9; cr8 <= 10; cr8++) {
		write_cr8(vcpu, cr8);
		vcpu->run->cr8 = 9;
		expect_run_done(vcpu);
	}
}

static struct vcpu *boot_reporting_tpr(bool enabled)
{
	struct vcpu *vcpu = boot_with_irqchip(local_apic);

	x(vcpu, KVM_TPR_ACCESS_REPORTING, &(struct kvm_tpr_access_ctl){ .enabled = enabled });
	return vcpu;
}

static void expect_run_tpr_access(struct vcpu *vcpu, const char *label, uint32_t is_write)
{
	expect_run_exit(vcpu, KVM_EXIT_TPR_ACCESS);
	expect_equal(vcpu->run->tpr_access.rip, guest_symbol(vcpu, label));
	expect_equal(vcpu->run->tpr_access.is_write, is_write);
}

CASE(run_exits, tpr_accesses_that_were_asked_for, .contract = "exit.tpr_access",
     .needs = { CAP(KVM_CAP_VAPIC), CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_reporting_tpr(true);

	expect_run_tpr_access(vcpu, "write", 1);
	expect_run_tpr_access(vcpu, "read", 0);
	expect_run_report(vcpu, 0x50); /* the accesses were made all the same */
}

CASE(run_exits, tpr_accesses_that_were_not_asked_for, .contract = "exit.tpr_access.disabled",
     .needs = { CAP(KVM_CAP_VAPIC), CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_reporting_tpr(false);

	expect_run_report(vcpu, 0x50);
}

CASE(run_exits, tpr_access_reporting_has_no_flags, .contract = "tpr_access_reporting.flags",
     .needs = { CAP(KVM_CAP_VAPIC) })
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	for (unsigned bit = 0; bit < 32; bit++) {
		struct kvm_tpr_access_ctl control = { .flags = 1u << bit };

		expect(x_try(vcpu, KVM_TPR_ACCESS_REPORTING, &control) == -EINVAL, "bit %u", bit);
	}
}

/* A processor that waits for INIT and then for its start: interrupts by message bring both. */

#define MSI_ADDRESS      0xfee00000
#define MSI_TO(apic_id)  (MSI_ADDRESS | (apic_id) << 12)
#define MSI_INIT         (5 << 8)
#define MSI_STARTUP(gpa) (6 << 8 | (gpa) >> 12)

static struct vcpu *boot_second_vcpu(const struct guest_image *guest)
{
	struct vcpu *vcpu = vcpu_create(boot_with_irqchip(guest)->vm, 1);
	struct kvm_lapic_state apic = { 0 };

	/* until some APIC changes, KVM's map of them lacks the new one */
	x(vcpu, KVM_GET_LAPIC, &apic);
	x(vcpu, KVM_SET_LAPIC, &apic);
	return vcpu;
}

static void send_to_second_vcpu(struct vm *vm, uint32_t data)
{
	struct kvm_msi msi = { .address_lo = MSI_TO(1), .data = data };

	expect_equal(x(vm, KVM_SIGNAL_MSI, &msi), 1);
}

static void expect_mp_state(struct vcpu *vcpu, uint32_t wanted)
{
	struct kvm_mp_state state = { 0 };

	x(vcpu, KVM_GET_MP_STATE, &state);
	expect_equal(state.mp_state, wanted);
}

#define NEEDS_INIT .needs = { CAP(KVM_CAP_IRQCHIP), CAP(KVM_CAP_MP_STATE), CAP(KVM_CAP_SIGNAL_MSI) }

CASE(run_exits, init_ends_the_wait_for_it_with_eagain, .contract = "run.uninitialized.init",
     NEEDS_INIT)
{
	struct vcpu *vcpu = boot_second_vcpu(count_and_halt[MODE_REAL16]);

	expect_mp_state(vcpu, KVM_MP_STATE_UNINITIALIZED);
	send_to_second_vcpu(vcpu->vm, MSI_INIT);
	expect_run_errno(vcpu, EAGAIN);
	expect_mp_state(vcpu, KVM_MP_STATE_INIT_RECEIVED);
}

CASE(run_exits, startup_begins_at_its_page, .contract = "run.init_received.startup", NEEDS_INIT)
{
	struct vcpu *vcpu = boot_second_vcpu(hello[MODE_REAL16]);

	send_to_second_vcpu(vcpu->vm, MSI_INIT);
	expect_run_errno(vcpu, EAGAIN);
	send_to_second_vcpu(vcpu->vm, MSI_STARTUP(IMAGE_BASE));
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .size = 1, .value = 'H');
	expect_mp_state(vcpu, KVM_MP_STATE_RUNNABLE);
	expect_equal(vcpu_sregs(vcpu).cs.base, IMAGE_BASE);
}

/* IOAPIC_EOI: the I/O APIC is userspace's, and learns of a level-triggered interrupt's end. */

#define IRQ_VECTOR    0x21                /* as in the guest */
#define MSI_LEVEL     (1 << 15 | 1 << 14) /* level-triggered, asserted */
#define APIC_SPURIOUS 0xf0
#define APIC_ENABLED  0x1ff

static void route_pin_0(struct vm *vm, uint32_t data)
{
	struct kvm_irq_routing_entry entry = {
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = MSI_ADDRESS, .data = data },
	};
	struct kvm_irq_routing *table = alloca(sizeof *table + sizeof entry);

	*table = (struct kvm_irq_routing){ .nr = 1 };
	memcpy(table->entries, &entry, sizeof entry);
	x(vm, KVM_SET_GSI_ROUTING, table);
}

/* The guest finds this interrupt pending; its handler reports 1 and ends it. */
static struct vcpu *boot_with_interrupt(uint32_t data)
{
	struct vcpu *vcpu = boot_with_split_irqchip(wait_for_irq);
	struct kvm_lapic_state apic = { 0 };
	uint32_t enabled = APIC_ENABLED;

	route_pin_0(vcpu->vm, data);
	x(vcpu, KVM_GET_LAPIC, &apic);
	memcpy(apic.regs + APIC_SPURIOUS, &enabled, sizeof enabled);
	x(vcpu, KVM_SET_LAPIC, &apic);
	expect_equal(x(vcpu->vm, KVM_SIGNAL_MSI,
		       &(struct kvm_msi){ .address_lo = MSI_ADDRESS, .data = data }),
		     1);
	expect_run_report(vcpu, 1);
	return vcpu;
}

CASE(run_exits, eoi_of_a_level_triggered_interrupt_exits, .contract = "exit.ioapic_eoi",
     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_interrupt(IRQ_VECTOR | MSI_LEVEL);

	expect_run_exit(vcpu, KVM_EXIT_IOAPIC_EOI);
	expect_equal(vcpu->run->eoi.vector, IRQ_VECTOR);
}

CASE(run_exits, eoi_of_an_edge_triggered_interrupt_does_not_exit,
     .contract = "exit.ioapic_eoi.edge", .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_interrupt(IRQ_VECTOR);

	/* the next exit is of the next interrupt, whose end is none either */
	for (int i = 0; i < 2; i++) {
		x(vcpu->vm, KVM_SIGNAL_MSI,
		  &(struct kvm_msi){ .address_lo = MSI_ADDRESS, .data = IRQ_VECTOR });
		expect_run_report(vcpu, 1);
	}
}

CASE(run_exits, split_irqchip_halts_in_the_kernel, .contract = "hlt.split_irqchip",
     .each_mode = count_and_halt, .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_split_irqchip(guest);
	struct kvm_mp_state state = { 0 };

	signal_handle(KICK_SIGNAL, 0);
	signal_when_asleep(vcpu, KICK_SIGNAL);
	expect_run_errno(vcpu, EINTR);
	x(vcpu, KVM_GET_MP_STATE, &state);
	expect_equal(state.mp_state, KVM_MP_STATE_HALTED);
}

/* HYPERV and SYSTEM_EVENT: what a guest of Hyper-V's makes. */

#define HV_CRASH_NOTIFY (1ull << 63)

static const struct kvm_cpuid_entry2 hyperv[] = {
	{ .function = HV_CPUID_INTERFACE, .eax = HV_INTERFACE },
	{ .function = HV_CPUID_SYNDBG, .eax = 1 << 1 /* kernel debugging is allowed */ },
};

static void be_hyperv(struct vcpu *vcpu)
{
	vcpu_set_cpuid(vcpu, hyperv, sizeof hyperv / sizeof *hyperv);
}

static struct vcpu *boot_hyperv(const struct guest_image *guest)
{
	struct vcpu *vcpu = boot(guest);

	be_hyperv(vcpu);
	return vcpu;
}

static struct vcpu *boot_hyperv_with_synic(const struct guest_image *guest)
{
	struct vcpu *vcpu = boot_with_irqchip(guest);

	be_hyperv(vcpu);
	enable_cap(vcpu, KVM_CAP_HYPERV_SYNIC2, 0);
	return vcpu;
}

static void expect_run_hyperv(struct vcpu *vcpu, uint32_t type)
{
	memset(&vcpu->run->hyperv, 0xff, sizeof vcpu->run->hyperv);
	expect_run_exit(vcpu, KVM_EXIT_HYPERV);
	expect_equal(vcpu->run->hyperv.type, type);
}

#define NEEDS_SYNIC .needs = { CAP(KVM_CAP_HYPERV_SYNIC2), CAP(KVM_CAP_IRQCHIP) }

CASE(run_exits, hyperv_synic_changes, .contract = "exit.hyperv.synic", .each_mode = one_instruction,
     NEEDS_SYNIC)
{
	static const struct {
		uint32_t msr;
		uint64_t value, control, event_page, message_page;
	} changes[] = {
		{ HV_MSR_SCONTROL, 1, 1, 0, 0 },
		{ HV_MSR_SIEFP, 0x2001, 1, 0x2001, 0 },
		{ HV_MSR_SIMP, 0x3001, 1, 0x2001, 0x3001 },
		{ HV_MSR_SCONTROL, 0, 0, 0x2001, 0x3001 },
	};
	struct vcpu *vcpu = boot_hyperv_with_synic(guest);

	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
		prepare_msr(vcpu, "wrmsr", changes[i].msr, changes[i].value);
		expect_run_hyperv(vcpu, KVM_EXIT_HYPERV_SYNIC);
		expect_equal(vcpu->run->hyperv.u.synic.msr, changes[i].msr);
		expect_equal(vcpu->run->hyperv.u.synic.control, changes[i].control);
		expect_equal(vcpu->run->hyperv.u.synic.evt_page, changes[i].event_page);
		expect_equal(vcpu->run->hyperv.u.synic.msg_page, changes[i].message_page);
		expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_wrmsr"));
		expect_run_done(vcpu);
	}
}

CASE(run_exits, hyperv_synic_changes_by_userspace_do_not_exit,
     .contract = "exit.hyperv.synic.userspace", NEEDS_SYNIC)
{
	struct vcpu *vcpu = boot_hyperv_with_synic(one_instruction[MODE_LONG64]);

	vcpu_set_msr(vcpu, HV_MSR_SCONTROL, 1);
	prepare(vcpu, "nothing", (struct kvm_regs){ 0 });
	expect_run_done(vcpu);
	expect_equal(vcpu_msr(vcpu, HV_MSR_SCONTROL), 1);
}

/* Where 64-bit code has the three parameters in RCX, RDX and R8, other code has them in pairs. */
CASE(run_exits, hyperv_hypercall_for_userspace, .contract = "exit.hyperv.hcall",
     .each_mode = one_instruction, NEEDS_SYNIC)
{
	struct vcpu *vcpu = boot_hyperv_with_synic(guest);

	vcpu_set_msr(vcpu, HV_MSR_GUEST_OS_ID, 1);
	if (guest->mode == MODE_LONG64)
		prepare(vcpu, host_hypercall(),
			(struct kvm_regs){
				.rcx = HV_POST_MESSAGE, .rdx = 0x100002000, .r8 = 0x200003000 });
	else
		prepare(vcpu, host_hypercall(),
			(struct kvm_regs){ .rax = HV_POST_MESSAGE, .rbx = 1, .rcx = 0x2000 });
	if (guest->mode == MODE_REAL16) { /* the TLFS has none there */
		expect_run_exception(vcpu, UD_VECTOR, host_hypercall());
		return;
	}
	vcpu_run_or_give_up(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_HYPERV);
	expect_equal(vcpu->run->hyperv.type, KVM_EXIT_HYPERV_HCALL);
	expect_equal(vcpu->run->hyperv.u.hcall.input, HV_POST_MESSAGE);
	expect_equal(vcpu->run->hyperv.u.hcall.params[0], 0x100002000);
	expect_equal(vcpu->run->hyperv.u.hcall.params[1],
		     guest->mode == MODE_LONG64 ? 0x200003000
						: guest_symbol(vcpu, host_hypercall()) << 32);
}

CASE(run_exits, hyperv_hypercall_returns_what_userspace_says,
     .contract = "exit.hyperv.hcall.result", NEEDS_SYNIC)
{
	for (enum cpu_mode mode = MODE_PROT32; mode <= MODE_LONG64; mode++) {
		struct vcpu *vcpu = boot_hyperv_with_synic(one_instruction[mode]);
		bool is_64_bit = mode == MODE_LONG64;

		vcpu_set_msr(vcpu, HV_MSR_GUEST_OS_ID, 1);
		prepare(vcpu, host_hypercall(),
			is_64_bit ? (struct kvm_regs){ .rcx = HV_POST_MESSAGE }
				  : (struct kvm_regs){ .rax = HV_POST_MESSAGE });
		vcpu_run_or_give_up(vcpu);
		expect_exit_reason(vcpu, KVM_EXIT_HYPERV);
		vcpu->run->hyperv.u.hcall.result = 0x1122334455667788;
		expect_run_done(vcpu);
		if (is_64_bit)
			expect_regs(vcpu, .rax = 0x1122334455667788);
		else
			expect_regs(vcpu, .rax = 0x55667788, .rdx = 0x11223344);
	}
}

CASE(run_exits, hyperv_debugger_changes, .contract = "exit.hyperv.syndbg",
     .each_mode = one_instruction, .needs = { CAP(KVM_CAP_HYPERV) })
{
	struct vcpu *vcpu = boot_hyperv(guest);

	vcpu_set_msr(vcpu, HV_MSR_DEBUG_SEND, 0x2000);
	vcpu_set_msr(vcpu, HV_MSR_DEBUG_RECEIVE, 0x3000);
	prepare_msr(vcpu, "wrmsr", HV_MSR_DEBUG_PENDING, 0x4000);
	expect_run_hyperv(vcpu, KVM_EXIT_HYPERV_SYNDBG);
	expect_equal(vcpu->run->hyperv.u.syndbg.msr, HV_MSR_DEBUG_PENDING);
	expect_equal(vcpu->run->hyperv.u.syndbg.pending_page, 0x4000);
	expect_run_done(vcpu);

	prepare_msr(vcpu, "wrmsr", HV_MSR_DEBUG_CONTROL, 0x100000001);
	expect_run_hyperv(vcpu, KVM_EXIT_HYPERV_SYNDBG);
	expect_equal(vcpu->run->hyperv.u.syndbg.msr, HV_MSR_DEBUG_CONTROL);
	expect_equal(vcpu->run->hyperv.u.syndbg.control, 0x100000001);
	expect_equal(vcpu->run->hyperv.u.syndbg.send_page, 0x2000);
	expect_equal(vcpu->run->hyperv.u.syndbg.recv_page, 0x3000);
	expect_equal(vcpu->run->hyperv.u.syndbg.pending_page, 0x4000);
	vcpu->run->hyperv.u.syndbg.status = 0x42; /* KVM takes it from there when it goes on */
	expect_run_done(vcpu);
	expect_equal(vcpu_msr(vcpu, HV_MSR_DEBUG_CONTROL + 1 /* the status */), 0x42);
}

static void expect_run_system_event(struct vcpu *vcpu, uint32_t type)
{
	memset(&vcpu->run->system_event, 0xff, sizeof vcpu->run->system_event);
	expect_run_exit(vcpu, KVM_EXIT_SYSTEM_EVENT);
	expect_equal(vcpu->run->system_event.type, type);
	expect_equal(vcpu->run->system_event.ndata, 0);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_wrmsr"));
}

CASE(run_exits, hyperv_crash_is_a_system_event, .contract = "exit.system_event.crash",
     .each_mode = one_instruction, .needs = { CAP(KVM_CAP_HYPERV) })
{
	struct vcpu *vcpu = boot_hyperv(guest);

	prepare_msr(vcpu, "wrmsr", HV_MSR_CRASH_P0, 0x1122334455667788);
	expect_run_done(vcpu);
	prepare_msr(vcpu, "wrmsr", HV_MSR_CRASH_CTL, HV_CRASH_NOTIFY);
	expect_run_system_event(vcpu, KVM_SYSTEM_EVENT_CRASH);
	expect_equal(vcpu_msr(vcpu, HV_MSR_CRASH_P0), 0x1122334455667788);
	expect_run_done(vcpu); /* userspace may go on */
}

CASE(run_exits, hyperv_reset_is_a_system_event, .contract = "exit.system_event.reset",
     .each_mode = one_instruction, .needs = { CAP(KVM_CAP_HYPERV) })
{
	struct vcpu *vcpu = boot_hyperv(guest);

	prepare_msr(vcpu, "wrmsr", HV_MSR_RESET, 1);
	expect_run_system_event(vcpu, KVM_SYSTEM_EVENT_RESET);
	expect_run_done(vcpu);
}

/* XEN */

#define XEN_UNKNOWN 0x7f /* Xen has 56 hypercalls */

CASE(run_exits, xen_hypercall_for_userspace, .contract = "exit.xen.fields",
     .each_mode = one_instruction,
     .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL) })
{
	struct vcpu *vcpu = boot(guest);
	uint64_t label = guest_symbol(vcpu, host_hypercall());
	struct kvm_regs regs = { .rax = XEN_UNKNOWN,
				 .rbx = 1,
				 .rcx = 2,
				 .rdx = 3,
				 .rsi = 4,
				 .rbp = 6,
				 .r10 = 7,
				 .r8 = 8,
				 .r9 = 9 };
	const uint64_t of_64_bit_code[] = { label, 4, 3, 7, 8, 9 },
		       of_other_code[] = { 1, 2, 3, 4, label, 6 };
	bool is_64_bit = guest->mode == MODE_LONG64;

	x(vcpu->vm, KVM_XEN_HVM_CONFIG,
	  &(struct kvm_xen_hvm_config){ .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
					.msr = HV_MSR_GUEST_OS_ID });
	prepare(vcpu, host_hypercall(), regs);
	memset(&vcpu->run->xen, 0xff, sizeof vcpu->run->xen);
	vcpu_run_or_give_up(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_XEN);
	expect_equal(vcpu->run->xen.type, KVM_EXIT_XEN_HCALL);
	expect_equal(vcpu->run->xen.u.hcall.longmode, is_64_bit);
	expect_equal(vcpu->run->xen.u.hcall.cpl, 0);
	expect_equal(vcpu->run->xen.u.hcall.input, XEN_UNKNOWN);
	for (int i = 0; i < 6; i++)
		expect_equal(vcpu->run->xen.u.hcall.params[i],
			     is_64_bit ? of_64_bit_code[i] : of_other_code[i]);
	expect_regs(vcpu, .rip = label);
}
