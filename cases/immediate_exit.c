// SPDX-License-Identifier: MIT
/*
 * kvm_run's immediate_exit: KVM_RUN fails with EINTR before the guest runs, whatever state the vCPU
 * is in, after it has completed what the last exit left pending. Documented in api.rst, 5. The
 * kvm_run structure: immediate_exit, and the note under KVM_EXIT_MMIO; where that is silent, the
 * source is kvm_arch_vcpu_ioctl_run() in arch/x86/kvm/x86.c.
 */
#include "kvmspec.h"

#include <sched.h>
#include <signal.h>

GUEST_EACH_MODE(count_and_halt);
GUEST_EACH_MODE(pending_mmio_read);
GUEST_EACH_MODE(pending_mmio_split);
GUEST_EACH_MODE(pending_mmio_write);
GUEST_EACH_MODE(pending_port_read);
GUEST_EACH_MODE(pending_port_write);
GUEST_EACH_MODE(pending_string_read);
GUEST_EACH_MODE(pending_string_write);
GUEST(real16, hlt_loop);
GUEST(real16, spin);

#define RFLAGS_IF (1u << 9)

#define NEEDS_IMMEDIATE_EXIT .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) }

static void expect_immediate_exit(struct vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
}

static void expect_run_on(struct vcpu *vcpu, uint32_t exit_reason)
{
	vcpu->run->immediate_exit = 0;
	expect_run_exit(vcpu, exit_reason);
}

static uint32_t mp_state(struct vcpu *vcpu)
{
	struct kvm_mp_state state = { 0 };

	x(vcpu, KVM_GET_MP_STATE, &state);
	return state.mp_state;
}

CASE(immediate_exit, is_reported, .contract = "run.immediate_exit.capability")
{
	struct vm *vm = vm_create();

	expect_answer(&host.kvm, ANSWERS(KVM_CAP_IMMEDIATE_EXIT, 1));
	expect_answer(vm, ANSWERS(KVM_CAP_IMMEDIATE_EXIT, 1));
}

/* Before entry */

CASE(immediate_exit, not_one_instruction_runs, .contract = "run.immediate_exit.before_entry",
     .each_mode = count_and_halt, NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	volatile uint32_t *counter = guest_counter(vcpu);

	expect_immediate_exit(vcpu);
	expect_regs(vcpu, REGS_AS(vcpu->loaded));
	expect_equal(*counter, 0);

	expect_run_on(vcpu, KVM_EXIT_HLT); /* nothing else kept it from running */
	expect_equal(*counter, 1);
}

CASE(immediate_exit, a_vcpu_that_has_run_does_not_move,
     .contract = "run.immediate_exit.before_entry", .each_mode = count_and_halt,
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(guest);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_hlt"));
	expect_equal(*guest_counter(vcpu), 1);
}

CASE(immediate_exit, any_value_but_0_counts, .contract = "run.immediate_exit.any_value",
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	for (unsigned bit = 0; bit < 8; bit++) {
		vcpu->run->immediate_exit = (uint8_t)(1u << bit);
		expect_run_errno(vcpu, EINTR);
	}
	vcpu->run->immediate_exit = 0xff;
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, REGS_AS(vcpu->loaded));
}

CASE(immediate_exit, stays_set, .contract = "run.immediate_exit.not_cleared", NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	vcpu->run->immediate_exit = 1;
	for (int i = 0; i < 3; i++) {
		expect_run_errno(vcpu, EINTR);
		expect_equal(vcpu->run->immediate_exit, 1);
	}
}

CASE(immediate_exit, the_vcpu_runs_on_when_it_is_cleared, .contract = "run.immediate_exit.cleared",
     .each_mode = count_and_halt, NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	volatile uint32_t *counter = guest_counter(vcpu);

	for (uint32_t i = 1; i <= 3; i++) {
		expect_immediate_exit(vcpu);
		expect_run_on(vcpu, KVM_EXIT_HLT);
		expect_equal(*counter, i);
	}
}

CASE(immediate_exit, exit_reason_stays_as_it_was, .contract = "run.immediate_exit.exit_reason",
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_immediate_exit(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_HLT);

	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN; /* not the last exit, so nobody recalled it */
	expect_immediate_exit(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_SHUTDOWN);
}

CASE(immediate_exit, wins_over_a_blocked_pending_signal,
     .contract = "run.immediate_exit.signal_mask", NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	signal_handle(KICK_SIGNAL, 0);
	signal_block(KICK_SIGNAL);
	raise(KICK_SIGNAL);
	set_kvm_mask(vcpu, KICK_SIGNAL);

	expect_immediate_exit(vcpu);
	expect(signal_pending(KICK_SIGNAL), "it was delivered");
	expect_equal(signal_count(KICK_SIGNAL), 0);
	expect_run_on(vcpu, KVM_EXIT_HLT); /* the signal alone keeps nothing from running */
}

CASE(immediate_exit, a_queued_interrupt_stays_queued, .contract = "run.immediate_exit.events",
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);
	struct kvm_vcpu_events events = { 0 };

	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = 0x20 });
	expect_immediate_exit(vcpu);
	x(vcpu, KVM_GET_VCPU_EVENTS, &events);
	expect_equal(events.interrupt.injected, 1);
	expect_equal(events.interrupt.nr, 0x20);
	expect_regs(vcpu, REGS_AS(vcpu->loaded));
}

/* What KVM_RUN exchanges with kvm_run besides */

CASE(immediate_exit, synced_registers_are_stored, .contract = "run.immediate_exit.sync_out",
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CAP_BITS(KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS) })
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	memset(&vcpu->run->s.regs.regs, 0xa5, sizeof vcpu->run->s.regs.regs);
	vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	expect_immediate_exit(vcpu);
	expect_regs_(HERE, vcpu, vcpu->run->s.regs.regs, vcpu->loaded);
}

CASE(immediate_exit, dirty_synced_registers_are_loaded, .contract = "run.immediate_exit.sync_in",
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CAP_BITS(KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS) })
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	vcpu->run->s.regs.regs = vcpu->loaded;
	vcpu->run->s.regs.regs.rbx = 0x1234;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	expect_immediate_exit(vcpu);
	expect_regs(vcpu, REGS_AS(vcpu->loaded), .rbx = 0x1234);
}

CASE(immediate_exit, cr8_is_loaded, .contract = "run.immediate_exit.cr8", NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	vcpu->run->cr8 = 5;
	expect_immediate_exit(vcpu);
	expect_sregs(vcpu, .cr8 = 5);
}

CASE(immediate_exit, if_flag_is_stored, .contract = "run.immediate_exit.if_flag",
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);
	struct kvm_regs regs = vcpu->loaded;

	regs.rflags |= RFLAGS_IF;
	vcpu_set_regs(vcpu, regs);
	expect_immediate_exit(vcpu);
	expect_equal(vcpu->run->if_flag, 1);
	vcpu_set_regs(vcpu, vcpu->loaded);
	expect_immediate_exit(vcpu);
	expect_equal(vcpu->run->if_flag, 0);
}

/* Set while the vCPU runs */

/* On one CPU, another thread runs only when the guest does not: each progress is another entry. */
static void share_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
		error("sched_setaffinity: %s", strerror(errno));
}

struct vcpu_thread {
	struct vcpu *vcpu;
	pthread_t thread; /* that runs it */
};

static void *set_field_then_signal(void *arg)
{
	struct vcpu_thread *target = arg;
	volatile uint32_t *counter = guest_counter(target->vcpu);

	wait_for_progress(counter);
	target->vcpu->run->immediate_exit = 1;
	wait_for_progress(counter);
	wait_for_progress(counter);
	pthread_kill(target->thread, KICK_SIGNAL);
	return NULL;
}

CASE(immediate_exit, set_without_a_signal_waits_for_the_next_run,
     .contract = "run.immediate_exit.polled_once", NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(spin);
	struct vcpu_thread self = { vcpu, pthread_self() };
	uint32_t count;

	signal_handle(KICK_SIGNAL, 0);
	share_one_cpu();
	pthread_detach(call_on_thread(set_field_then_signal, &self));

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(KICK_SIGNAL), 1); /* it brought it out, not the field */
	count = *guest_counter(vcpu);
	expect_run_errno(vcpu, EINTR);
	expect_equal(*guest_counter(vcpu), count);
}

/* Runs the guest as a VMM does, until a kick ends the loop. Each kick ends one loop. */
static void expect_kicks_end_the_loop(struct vcpu *vcpu, enum signal_source source)
{
	kick_prepare(vcpu);
	for (unsigned kicks = 1; kicks <= 4; kicks++) {
		int result;

		vcpu->run->immediate_exit = 0;
		signal_while_running_from(source, vcpu, KICK_SIGNAL);
		while ((result = vcpu_run(vcpu)) == 0)
			expect_exit_reason(vcpu, KVM_EXIT_HLT);
		expect(result == -EINTR, "KVM_RUN fails with %s", errno_name(-result));
		expect_equal(signal_count(KICK_SIGNAL), kicks);
		expect_equal(vcpu->run->immediate_exit, 1);
		expect_run_errno(vcpu, EINTR);
	}
}

CASE(immediate_exit, set_by_a_kick_of_a_spinning_guest, .contract = "run.immediate_exit.kick",
     NEEDS_IMMEDIATE_EXIT)
{
	expect_kicks_end_the_loop(boot(spin), FROM_THREAD);
}

CASE(immediate_exit, set_by_a_timer_of_a_spinning_guest, .contract = "run.immediate_exit.kick",
     NEEDS_IMMEDIATE_EXIT)
{
	expect_kicks_end_the_loop(boot(spin), FROM_TIMER);
}

CASE(immediate_exit, set_by_a_kick_of_a_guest_that_exits_all_the_time,
     .contract = "run.immediate_exit.kick", .each_mode = count_and_halt, NEEDS_IMMEDIATE_EXIT)
{
	expect_kicks_end_the_loop(boot(guest), FROM_THREAD);
}

/* vCPUs that wait in the kernel */

/* A vCPU that waits in spite of immediate_exit is seen to sleep, and is woken: a failure. */
static void expect_immediate_exit_without_waiting(struct vcpu *vcpu)
{
	signal_handle(KICK_SIGNAL, 0);
	signal_when_asleep(vcpu, KICK_SIGNAL);
	expect_immediate_exit(vcpu);
	expect_equal(signal_count(KICK_SIGNAL), 0);
}

CASE(immediate_exit, a_kick_wakes_a_halted_vcpu, .contract = "run.immediate_exit.kick_halted",
     .each_mode = count_and_halt, .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(guest);

	kick_prepare(vcpu);
	signal_when_asleep(vcpu, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_equal(*guest_counter(vcpu), 1);
	expect_equal(mp_state(vcpu), KVM_MP_STATE_HALTED);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_hlt"));
	expect_run_errno(vcpu, EINTR); /* the handler has set the field */
}

CASE(immediate_exit, a_halted_vcpu_does_not_wait, .contract = "run.immediate_exit.halted",
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CAP(KVM_CAP_IRQCHIP), CAP(KVM_CAP_MP_STATE) })
{
	struct vcpu *vcpu = boot_with_irqchip(count_and_halt[MODE_REAL16]);

	x(vcpu, KVM_SET_MP_STATE, &(struct kvm_mp_state){ .mp_state = KVM_MP_STATE_HALTED });
	expect_immediate_exit_without_waiting(vcpu);
	expect_equal(mp_state(vcpu), KVM_MP_STATE_HALTED);
	expect_regs(vcpu, REGS_AS(vcpu->loaded));
}

CASE(immediate_exit, an_uninitialised_vcpu_does_not_wait,
     .contract = "run.immediate_exit.uninitialised",
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CAP(KVM_CAP_IRQCHIP), CAP(KVM_CAP_MP_STATE) })
{
	struct vcpu *bsp = boot_with_irqchip(count_and_halt[MODE_REAL16]);
	struct vcpu *ap = vcpu_create(bsp->vm, 1);

	expect_equal(mp_state(ap), KVM_MP_STATE_UNINITIALIZED);
	expect_immediate_exit_without_waiting(ap);
	expect_equal(mp_state(ap), KVM_MP_STATE_UNINITIALIZED);
}

CASE(immediate_exit, a_kick_wakes_an_uninitialised_vcpu,
     .contract = "run.immediate_exit.kick_uninitialised",
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CAP(KVM_CAP_IRQCHIP), CAP(KVM_CAP_MP_STATE) })
{
	struct vcpu *bsp = boot_with_irqchip(count_and_halt[MODE_REAL16]);
	struct vcpu *ap = vcpu_create(bsp->vm, 1);

	kick_prepare(ap);
	signal_when_asleep(ap, KICK_SIGNAL);

	expect_run_errno(ap, EINTR);
	expect_equal(mp_state(ap), KVM_MP_STATE_UNINITIALIZED);
	expect_run_errno(ap, EINTR);
}

/*
 * Pending operations: an exit's access is completed by the next KVM_RUN, even if that only fails
 * with EINTR. The guests make one access of each size, one after the other.
 */

struct access {
	unsigned size;
	const char *after; /* label of the next instruction */
	uint64_t data;     /* what goes over the bus */
	uint64_t rax;      /* when the access is completed */
};

static const struct access reads[] = {
	{ 1, "after_1", 0xa1, 0x112233a1 },
	{ 2, "after_2", 0xb2b1, 0x1122b2b1 },
	{ 4, "after_4", 0xc4c3c2c1, 0xc4c3c2c1 },
	{ 8, "after_8", 0xd8d7d6d5d4d3d2d1, 0xd8d7d6d5d4d3d2d1 },
};

static const struct access writes[] = {
	{ 1, "after_1", 0x88, 0 },
	{ 2, "after_2", 0x7788, 0 },
	{ 4, "after_4", 0x55667788, 0 },
	{ 8, "after_8", 0x1122334455667788, 0 },
};

static const struct access *const reads_end = reads + sizeof reads / sizeof *reads;
static const struct access *const writes_end = writes + sizeof writes / sizeof *writes;

/* Memory accesses of 8 bytes are there in long mode only, port accesses of 8 bytes never. */
static unsigned largest_mmio(const struct guest_image *guest)
{
	return guest->mode == MODE_LONG64 ? 8 : 4;
}

CASE(immediate_exit, completes_a_port_read, .contract = "run.immediate_exit.completes_port_read",
     .each_mode = pending_port_read, NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	unsigned done = 0;

	for (const struct access *a = reads; a < reads_end && a->size <= 4; a++) {
		vcpu->run->immediate_exit = 0;
		expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .size = a->size, .count = 1);
		memcpy(vcpu_io_data(vcpu), &a->data, a->size);
		expect_immediate_exit(vcpu);
		expect_regs(vcpu, .rax = a->rax, .rcx = done++,
			    .rip = guest_symbol(vcpu, a->after));
	}
}

CASE(immediate_exit, completes_a_port_write, .contract = "run.immediate_exit.completes_port_write",
     .each_mode = pending_port_write, NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	unsigned done = 0;

	for (const struct access *a = writes; a < writes_end && a->size <= 4; a++) {
		vcpu->run->immediate_exit = 0;
		expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .size = a->size, .count = 1,
			      .value = a->data);
		expect_immediate_exit(vcpu);
		expect_regs(vcpu, .rcx = done++, .rip = guest_symbol(vcpu, a->after));
	}
}

CASE(immediate_exit, completes_an_mmio_read, .contract = "run.immediate_exit.completes_mmio_read",
     .each_mode = pending_mmio_read, NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	unsigned done = 0;

	for (const struct access *a = reads; a < reads_end && a->size <= largest_mmio(guest); a++) {
		vcpu->run->immediate_exit = 0;
		expect_run_mmio(vcpu, .phys_addr = MMIO_BASE, .len = a->size, .is_write = 0);
		memcpy(vcpu->run->mmio.data, &a->data, a->size);
		expect_immediate_exit(vcpu);
		expect_regs(vcpu, .rax = a->rax, .rcx = done++,
			    .rip = guest_symbol(vcpu, a->after));
	}
}

CASE(immediate_exit, completes_an_mmio_write, .contract = "run.immediate_exit.completes_mmio_write",
     .each_mode = pending_mmio_write, NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	unsigned done = 0;

	for (const struct access *a = writes; a < writes_end && a->size <= largest_mmio(guest);
	     a++) {
		vcpu->run->immediate_exit = 0;
		expect_run_mmio(vcpu, .phys_addr = MMIO_BASE, .len = a->size, .is_write = 1,
				.value = a->data);
		expect_immediate_exit(vcpu);
		expect_regs(vcpu, .rcx = done++, .rip = guest_symbol(vcpu, a->after));
	}
}

CASE(immediate_exit, completes_an_operation_once, .contract = "run.immediate_exit.completes_once",
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(pending_port_read[MODE_REAL16]);

	expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .size = 1);
	*vcpu_io_data(vcpu) = 0xa1;
	expect_immediate_exit(vcpu);
	*vcpu_io_data(vcpu) = 0x77;
	expect_immediate_exit(vcpu);
	expect_regs(vcpu, .rax = 0x112233a1, .rcx = 0, .rip = guest_symbol(vcpu, "after_1"));
}

CASE(immediate_exit, exit_reason_stays_when_an_operation_is_completed,
     .contract = "run.immediate_exit.exit_reason", NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(pending_port_read[MODE_REAL16]);

	expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .size = 1);
	expect_immediate_exit(vcpu);
	expect_exit_reason(vcpu, KVM_EXIT_IO);
}

/* The second half of an access that crosses a page is a second exit. */
CASE(immediate_exit, an_unfinished_operation_exits_again,
     .contract = "run.immediate_exit.unfinished", .each_mode = pending_mmio_split,
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);

	expect_run_mmio(vcpu, .phys_addr = MMIO_BASE + 0xffe, .len = 2, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\xa1\xa2", 2);
	vcpu->run->immediate_exit = 1;
	expect_run_mmio(vcpu, .phys_addr = MMIO_BASE + 0x1000, .len = 2, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\xa3\xa4", 2);
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rax = 0xa4a3a2a1, .rcx = 0, .rip = guest_symbol(vcpu, "after"));
}

CASE(immediate_exit, completes_string_reads, .contract = "run.immediate_exit.completes_string_read",
     .each_mode = pending_string_read, NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	uint64_t buffer = guest_symbol(vcpu, "buffer");
	static const char text[] = "kvmspec!";

	for (uint32_t done = 0; done < 8;) {
		vcpu->run->immediate_exit = 0;
		expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .size = 1);
		memcpy(vcpu_io_data(vcpu), text + done, vcpu->run->io.count);
		done += vcpu->run->io.count;
		expect_immediate_exit(vcpu);
		expect_regs(vcpu, .rbx = 0, .rcx = 8 - done, .rdi = buffer + done);
		expect_memory(vcpu, buffer, text, done);
	}
	expect_run_on(vcpu, KVM_EXIT_HLT);
}

CASE(immediate_exit, completes_string_writes,
     .contract = "run.immediate_exit.completes_string_write", .each_mode = pending_string_write,
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *vcpu = boot(guest);
	uint64_t buffer = guest_symbol(vcpu, "buffer");

	for (uint32_t done = 0; done < 8;) {
		vcpu->run->immediate_exit = 0;
		expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .size = 1);
		expect_memory(vcpu, buffer + done, vcpu_io_data(vcpu), vcpu->run->io.count);
		done += vcpu->run->io.count;
		expect_immediate_exit(vcpu);
		expect_regs(vcpu, .rbx = 0, .rcx = 8 - done, .rsi = buffer + done);
	}
	expect_run_on(vcpu, KVM_EXIT_HLT);
}

/* What the completion is for: now the registers hold the whole state. */
CASE(immediate_exit, a_completed_read_can_be_moved_to_another_vm,
     .contract = "run.immediate_exit.migration", .each_mode = pending_port_read,
     NEEDS_IMMEDIATE_EXIT)
{
	struct vcpu *source = boot(guest), *target = boot(guest);

	expect_run_io(source, .direction = KVM_EXIT_IO_IN, .size = 1);
	*vcpu_io_data(source) = 0xa1;
	expect_immediate_exit(source);

	vcpu_set_regs(target, vcpu_regs(source));
	expect_run_io(target, .direction = KVM_EXIT_IO_IN, .size = 2);
	expect_regs(target, .rax = 0x112233a1, .rcx = 1);
}
