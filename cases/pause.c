// SPDX-License-Identifier: MIT
/*
 * Pausing a vCPU from other threads: what a VMM builds of a signal and immediate_exit, and what a
 * VM introspection tool needs of it (harness/pause.h).
 *
 * Documented in api.rst: KVM_RUN (EINTR), 5. The kvm_run structure (immediate_exit, and the note on
 * pending operations below KVM_EXIT_MMIO). The contracts of this file are those of the two together.
 */
#include "kvmspec.h"

#include <stdlib.h>

GUEST_EACH_MODE(spin);
GUEST_EACH_MODE(report_counts);
GUEST_EACH_MODE(add_inputs);
GUEST_EACH_MODE(spin_two);
GUEST(long64, count_and_halt);

/* The guest does not count while we sleep. */
static void expect_still(volatile uint32_t *counter)
{
	uint32_t before = *counter;

	sleep_us(1000);
	expect_equal(*counter, before);
}

/* Paused: nothing that the guest could change changes. */
static void expect_paused(struct vcpu *vcpu)
{
	struct kvm_regs before;

	expect_still(guest_counter(vcpu)); /* first: KVM_GET_REGS would wait for a vCPU that runs */
	before = vcpu_regs(vcpu);
	expect_still(guest_counter(vcpu));
	expect_regs(vcpu, REGS_AS(before));
}

CASE(pause, guest_stands_still, .contract = "pause.stands_still", .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_start(vcpu, NULL);
	wait_for_progress(guest_counter(vcpu));
	vcpu_pause(vcpu, true);
	expect_paused(vcpu);
	vcpu_resume(vcpu);
	wait_for_progress(guest_counter(vcpu));
	vcpu_stop(vcpu);
}

CASE(pause, while_another_vcpu_counts_on, .contract = "pause.one_vcpu", .each_mode = spin_two)
{
	struct vcpu *vcpu = boot(guest), *other = vcpu_create(vcpu->vm, 1);
	volatile uint32_t *counter = guest_counter(vcpu);
	volatile uint32_t *others = guest_variable(other, uint32_t, "counter_of_second");
	uint32_t before;

	vcpu_enter(other, guest->mode, guest_symbol(other, "second"));
	vcpu_start(vcpu, NULL);
	vcpu_start(other, NULL);
	wait_for_progress(counter);
	vcpu_pause(vcpu, true);
	before = *counter;
	wait_for_progress(others);
	expect_equal(*counter, before);
	vcpu_resume(vcpu);
	wait_for_progress(counter);
	vcpu_stop(vcpu);
	vcpu_stop(other);
}

CASE(pause, both_vcpus_of_a_vm, .contract = "pause.all_vcpus", .each_mode = spin_two)
{
	struct vcpu *vcpu = boot(guest), *other = vcpu_create(vcpu->vm, 1);
	volatile uint32_t *others = guest_variable(other, uint32_t, "counter_of_second");

	vcpu_enter(other, guest->mode, guest_symbol(other, "second"));
	vcpu_start(vcpu, NULL);
	vcpu_start(other, NULL);
	vcpu_pause(vcpu, false);
	vcpu_pause(other, false);
	vcpu_wait_for_acknowledgement(vcpu);
	vcpu_wait_for_acknowledgement(other);
	expect_still(guest_counter(vcpu));
	expect_still(others);
	vcpu_resume(vcpu);
	vcpu_resume(other);
	wait_for_progress(guest_counter(vcpu));
	wait_for_progress(others);
}

/* Before the first entry. */

CASE(pause, before_the_thread_starts, .contract = "pause.before_entry", .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_pause(vcpu, false);
	vcpu_start(vcpu, NULL);
	vcpu_wait_for_acknowledgement(vcpu);
	expect_paused(vcpu);
	expect_equal(*guest_counter(vcpu), 0);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "entry"));
	vcpu_resume(vcpu);
	wait_for_progress(guest_counter(vcpu));
}

CASE(pause, stop_before_the_first_entry, .contract = "pause.stop")
{
	struct vcpu *vcpu = boot(spin[MODE_LONG64]);

	vcpu_pause(vcpu, false);
	vcpu_start(vcpu, NULL);
	vcpu_stop(vcpu);
	expect_equal(*guest_counter(vcpu), 0);
	expect_equal(vcpu_pauses_acknowledged(vcpu), 1);
}

/* Requests and their acknowledgements. */

CASE(pause, without_waiting, .contract = "pause.no_wait")
{
	struct vcpu *vcpu = boot(spin[MODE_LONG64]);

	vcpu_start(vcpu, NULL);
	wait_for_progress(guest_counter(vcpu));
	vcpu_pause(vcpu, false);
	expect_equal(vcpu_pauses_requested(vcpu), 1);
	vcpu_wait_for_acknowledgement(vcpu);
	expect_equal(vcpu_pauses_acknowledged(vcpu), 1);
	expect_paused(vcpu);
}

CASE(pause, nested, .contract = "pause.nested")
{
	struct vcpu *vcpu = boot(spin[MODE_LONG64]);

	vcpu_start(vcpu, NULL);
	for (int i = 0; i < 3; i++)
		vcpu_pause(vcpu, true);
	expect_equal(vcpu_pauses_acknowledged(vcpu), 3);
	for (int i = 0; i < 3; i++) {
		expect_paused(vcpu);
		vcpu_resume(vcpu);
	}
	wait_for_progress(guest_counter(vcpu));
}

CASE(pause, taken_back_at_once, .contract = "pause.taken_back")
{
	struct vcpu *vcpu = boot(spin[MODE_LONG64]);

	vcpu_start(vcpu, NULL);
	for (unsigned i = 1; i <= 100; i++) {
		vcpu_pause(vcpu, false);
		vcpu_resume(vcpu);
	}
	vcpu_wait_for_acknowledgement(vcpu);
	expect_equal(vcpu_pauses_acknowledged(vcpu), 100);
	wait_for_progress(guest_counter(vcpu));
}

#define THREADS  4
#define REQUESTS 50

static void *pause_many_times(void *arg)
{
	struct vcpu *vcpu = arg;
	volatile uint32_t *counter = guest_counter(vcpu);

	for (int i = 0; i < REQUESTS; i++) {
		uint32_t before;

		vcpu_pause(vcpu, true);
		before = *counter;
		sleep_us(10);
		expect_equal(*counter, before);
		vcpu_resume(vcpu);
	}
	return NULL;
}

CASE(pause, four_threads_at_once, .contract = "pause.acknowledged_once", .timeout = 30)
{
	struct vcpu *vcpu = boot(spin[MODE_LONG64]);
	pthread_t threads[THREADS];

	vcpu_start(vcpu, NULL);
	for (int i = 0; i < THREADS; i++)
		threads[i] = call_on_thread(pause_many_times, vcpu);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	expect_equal(vcpu_pauses_requested(vcpu), THREADS * REQUESTS);
	expect_equal(vcpu_pauses_acknowledged(vcpu), THREADS * REQUESTS);
	wait_for_progress(guest_counter(vcpu));
	vcpu_stop(vcpu);
	expect_equal(vcpu_pauses_acknowledged(vcpu), THREADS * REQUESTS);
}

/* While the vCPU exits all the time. */

static uint32_t reports; /* seen so far: the value of the last */

static bool expect_next_report(struct vcpu *vcpu)
{
	struct io_exit io = io_exit_of(vcpu);

	expect_exit_reason(vcpu, KVM_EXIT_IO);
	expect_equal(io.value, reports + 1);
	__atomic_store_n(&reports, reports + 1, __ATOMIC_RELEASE);
	return true;
}

static void wait_for_reports(uint32_t more)
{
	uint32_t before = __atomic_load_n(&reports, __ATOMIC_ACQUIRE);

	while (__atomic_load_n(&reports, __ATOMIC_ACQUIRE) - before < more)
		sleep_us(50);
}

CASE(pause, no_report_is_lost_or_repeated, .contract = "pause.continuous",
     .each_mode = report_counts, .timeout = 30)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_start(vcpu, expect_next_report);
	for (int i = 0; i < 20; i++) {
		wait_for_reports(2);
		vcpu_pause(vcpu, true);
		struct kvm_regs stopped = vcpu_regs(vcpu);

		sleep_us(100);
		expect_regs(vcpu, REGS_AS(stopped)); /* nothing runs */
		vcpu_resume(vcpu);
	}
	wait_for_reports(2);
	vcpu_stop(vcpu);
}

CASE(pause, guest_that_exits_all_the_time, .contract = "pause.exiting")
{
	struct vcpu *vcpu = boot(report_counts[MODE_LONG64]);
	uint32_t before;

	vcpu_start(vcpu, expect_next_report);
	wait_for_reports(10);
	vcpu_pause(vcpu, true);
	before = reports;
	sleep_us(1000);
	expect_equal(reports, before);
	vcpu_resume(vcpu);
	wait_for_reports(10);
}

/* Answers the guest's read, and asks for a pause before KVM knows the answer. */
static bool answer_and_ask_for_a_pause(struct vcpu *vcpu)
{
	uint32_t answer = 42;

	expect_exit_reason(vcpu, KVM_EXIT_IO);
	memcpy(vcpu_io_data(vcpu), &answer, sizeof answer);
	vcpu_pause(vcpu, false);
	return true;
}

CASE(pause, operation_of_the_last_exit_is_finished, .contract = "pause.operation_finished",
     .each_mode = add_inputs)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_start(vcpu, answer_and_ask_for_a_pause);
	for (unsigned i = 0; i < 3; i++) {
		while (vcpu_pauses_requested(vcpu) == i)
			sleep_us(50);
		vcpu_wait_for_acknowledgement(vcpu);
		expect_regs(vcpu, .rax = 42, .rbx = 42 * i, .rip = guest_symbol(vcpu, "after_in"));
		vcpu_resume(vcpu);
	}
}

/* Halted. */

static unsigned halts;

static void wait_for_halt(unsigned n)
{
	while (__atomic_load_n(&halts, __ATOMIC_ACQUIRE) != n)
		sleep_us(50);
}

/* What a VMM without an in-kernel irqchip does: it sleeps until there is something to do. */
static bool sleep_until_kicked(struct vcpu *vcpu)
{
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	__atomic_fetch_add(&halts, 1, __ATOMIC_RELEASE);
	while (!*(volatile __u8 *)&vcpu->run->immediate_exit)
		sleep_us(50);
	return true;
}

CASE(pause, halted_in_userspace, .contract = "pause.halted.userspace")
{
	struct vcpu *vcpu = boot(count_and_halt);

	vcpu_start(vcpu, sleep_until_kicked);
	wait_for_halt(1);
	vcpu_pause(vcpu, true);
	expect_paused(vcpu);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_hlt"));
	vcpu_resume(vcpu);
	wait_for_halt(2);
	expect_equal(*guest_counter(vcpu), 2);
}

CASE(pause, halted_in_the_kernel, .contract = "pause.halted.kernel",
     .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(count_and_halt);

	vcpu_start(vcpu, NULL);
	wait_until_asleep(vcpu);
	vcpu_pause(vcpu, true);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_hlt"));
	vcpu_resume(vcpu);
	wait_until_asleep(vcpu);
	expect_equal(*guest_counter(vcpu), 1);
	vcpu_stop(vcpu);
}

/* The end. */

CASE(pause, stop_while_the_guest_runs, .contract = "pause.stop", .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	vcpu_start(vcpu, NULL);
	wait_for_progress(guest_counter(vcpu));
	vcpu_stop(vcpu);
	expect_paused(vcpu);
}

static bool end_the_thread(struct vcpu *vcpu)
{
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	return false;
}

CASE(pause, of_a_vcpu_whose_thread_has_ended, .contract = "pause.acknowledged_once")
{
	struct vcpu *vcpu = boot(count_and_halt);

	vcpu_start(vcpu, end_the_thread);
	vcpu_pause(vcpu, true); /* before or after its end */
	vcpu_resume(vcpu);
	while (*guest_counter(vcpu) != 1)
		sleep_us(50);
	vcpu_stop(vcpu);
	vcpu_pause(vcpu, true);
	expect_equal(vcpu_pauses_acknowledged(vcpu), 2);
}
