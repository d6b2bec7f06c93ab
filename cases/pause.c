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
#include <unistd.h>

GUEST_EACH_MODE(spin);
GUEST_EACH_MODE(report_counts);
GUEST_EACH_MODE(add_inputs);
GUEST_EACH_MODE(spin_two);
GUEST(long64, count_and_halt);
GUEST(long64, spin_each);

/* The guest does not count while we sleep. */
static void expect_still(volatile uint32_t *counter)
{
	uint32_t before = *counter;

	sleep_us(1000);
	expect_equal(*counter, before);
}

/* How often KVM_RUN has failed with EINTR, whatever the run loop made of it. */
static unsigned interruptions(void)
{
	return __atomic_load_n(&evidence->ioctls[PAIR_KVM_RUN][EINTR], __ATOMIC_ACQUIRE);
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
	expect_equal(*guest_variable(vcpu, uint32_t, "starts"), 1);
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
	expect_equal(interruptions(), 1);
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
	expect_equal(interruptions(), 1);
	expect_paused(vcpu);
}

CASE(pause, nested, .contract = "pause.nested")
{
	struct vcpu *vcpu = boot(spin[MODE_LONG64]);

	vcpu_start(vcpu, NULL);
	for (int i = 0; i < 3; i++)
		vcpu_pause(vcpu, true);
	expect_equal(vcpu_pauses_acknowledged(vcpu), 3);
	expect_equal(interruptions(), 1); /* it did not run in between */
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
	expect(interruptions() >= 1 && interruptions() <= 100, "KVM_RUN was interrupted %u times",
	       interruptions());
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
	expect(interruptions() >= 1 && interruptions() <= THREADS * REQUESTS,
	       "KVM_RUN was interrupted %u times", interruptions());
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

	wait_until(__atomic_load_n(&reports, __ATOMIC_ACQUIRE) - before >= more);
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
		wait_until(vcpu_pauses_requested(vcpu) != i);
		vcpu_wait_for_acknowledgement(vcpu);
		expect_regs(vcpu, .rax = 42, .rbx = 42 * i, .rip = guest_symbol(vcpu, "after_in"));
		vcpu_resume(vcpu);
	}
}

/* Halted. */

static unsigned halts;

static void wait_for_halt(unsigned n)
{
	wait_until(__atomic_load_n(&halts, __ATOMIC_ACQUIRE) == n);
}

/* What a VMM without an in-kernel irqchip does: it sleeps until there is something to do. */
static bool sleep_until_kicked(struct vcpu *vcpu)
{
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	__atomic_fetch_add(&halts, 1, __ATOMIC_RELEASE);
	wait_until(*(volatile __u8 *)&vcpu->run->immediate_exit);
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
	uint64_t runs;

	vcpu_start(vcpu, end_the_thread);
	vcpu_pause(vcpu, true); /* before or after its end */
	vcpu_resume(vcpu);
	wait_until(*guest_counter(vcpu) == 1);
	vcpu_stop(vcpu);
	runs = evidence->exit_count;
	vcpu_pause(vcpu, true);
	expect_equal(vcpu_pauses_acknowledged(vcpu), 2);
	expect_equal(evidence->exit_count, runs); /* KVM_RUN did not have to return for it */
	expect_paused(vcpu);
}

/*
 * What a VM introspection tool asks for: requests that may be refused, events and work.
 *
 * The order of things is seen while the vCPU's thread is held outside of the guest, by work.
 */

static struct vcpu *start_for_tool(void)
{
	struct vcpu *vcpu = boot(spin[MODE_LONG64]);

	vm_allow_pause_events(vcpu->vm, true);
	vcpu_start(vcpu, NULL);
	wait_for_progress(guest_counter(vcpu));
	return vcpu;
}

static int ask(struct vcpu *vcpu, bool wait)
{
	struct pause_request request = { .vcpu_id = vcpu->id, .wait = wait };

	return vm_request_pause(vcpu->vm, &request);
}

static void wait_for_flag(const bool *flag)
{
	wait_until(__atomic_load_n(flag, __ATOMIC_ACQUIRE));
}

static void set_flag(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_RELEASE);
}

static bool held, released;

static void hold_until_released(struct vcpu *vcpu, void *arg)
{
	(void)vcpu;
	(void)arg;
	set_flag(&held);
	wait_for_flag(&released);
}

static void hold(struct vcpu *vcpu)
{
	vcpu_queue_work(vcpu, hold_until_released, NULL);
	wait_for_flag(&held);
}

static void release(void)
{
	set_flag(&released);
}

static void expect_event(struct vcpu *vcpu)
{
	struct pause_event event = vm_next_pause_event(vcpu->vm);

	expect_equal(event.vcpu->id, vcpu->id);
	expect_regs(vcpu, REGS_AS(event.regs)); /* nothing has run since */
}

CASE(pause, an_event_for_each_request, .contract = "pause.event")
{
	struct vcpu *vcpu = start_for_tool();

	for (int i = 0; i < 3; i++)
		expect_equal(ask(vcpu, true), 0);
	expect_equal(vm_pause_events(vcpu->vm), 3);
	expect_equal(interruptions(), 1); /* it did not run in between */
	for (int i = 0; i < 3; i++) {
		expect_paused(vcpu);
		expect_event(vcpu);
		vcpu_resume(vcpu);
	}
	wait_for_progress(guest_counter(vcpu));
	expect_equal(vm_pause_events(vcpu->vm), 0);
}

CASE(pause, event_before_the_guest_goes_on, .contract = "pause.event.before_entry")
{
	struct vcpu *vcpu = start_for_tool();
	uint32_t before;

	hold(vcpu);
	before = *guest_counter(vcpu);
	expect_equal(ask(vcpu, false), 0); /* returns, although the vCPU cannot answer now */
	expect_equal(vm_pause_events(vcpu->vm), 0);
	release();
	expect_event(vcpu);
	expect_equal(*guest_counter(vcpu), before);
	expect_paused(vcpu);
	vcpu_resume(vcpu);
	wait_for_progress(guest_counter(vcpu));
}

/* Appends a digit to RBX, which the guest leaves alone. */
static void append_digit(struct vcpu *vcpu, void *digit)
{
	struct kvm_regs regs = vcpu_regs(vcpu);

	regs.rbx = regs.rbx * 10 + (uintptr_t)digit;
	vcpu_set_regs(vcpu, regs);
}

CASE(pause, event_after_work_queued_earlier, .contract = "pause.event.after_work")
{
	struct vcpu *vcpu = start_for_tool();

	hold(vcpu);
	vcpu_queue_work(vcpu, append_digit, (void *)1);
	vcpu_queue_work(vcpu, append_digit, (void *)2);
	expect_equal(ask(vcpu, false), 0);
	vcpu_queue_work(vcpu, append_digit, (void *)3);
	expect_equal(ask(vcpu, false), 0);
	release();
	expect_equal(vm_next_pause_event(vcpu->vm).regs.rbx, 12);
	expect_equal(vm_next_pause_event(vcpu->vm).regs.rbx, 123);
	vcpu_resume(vcpu);
	vcpu_resume(vcpu);
	wait_for_progress(guest_counter(vcpu));
	vcpu_stop(vcpu);
	expect_regs(vcpu, .rbx = 123);
}

CASE(pause, request_that_waits_returns_when_the_guest_is_left, .contract = "pause.request.wait")
{
	struct vcpu *vcpu = start_for_tool();

	for (int i = 0; i < 10; i++) {
		uint32_t before;

		expect_equal(ask(vcpu, true), 0);
		before = *guest_counter(vcpu); /* first, before the guest could stop late */
		expect_equal(vcpu_runner(vcpu), 0);
		sleep_us(100);
		expect_equal(*guest_counter(vcpu), before);
		expect_event(vcpu);
		vcpu_resume(vcpu);
	}
	wait_for_progress(guest_counter(vcpu));
}

struct waiter {
	struct vcpu *vcpu;
	pid_t tid;
	int result;
	bool begun, returned;
};

static void *ask_and_wait(void *arg)
{
	struct waiter *waiter = arg;

	waiter->tid = gettid();
	set_flag(&waiter->begun);
	waiter->result = ask(waiter->vcpu, true);
	set_flag(&waiter->returned);
	return NULL;
}

/* Returns when the request is made, and its thread waits, unless it did not have to. */
static pthread_t start_waiter(struct waiter *waiter)
{
	unsigned before = vcpu_pauses_requested(waiter->vcpu);
	pthread_t thread = call_on_thread(ask_and_wait, waiter);

	wait_for_flag(&waiter->begun);
	wait_until(__atomic_load_n(&waiter->returned, __ATOMIC_ACQUIRE) ||
		   (vcpu_pauses_requested(waiter->vcpu) != before && is_asleep(waiter->tid)));
	return thread;
}

CASE(pause, request_that_waits_does_not_return_before, .contract = "pause.request.wait")
{
	struct waiter waiter = { .vcpu = start_for_tool() };
	pthread_t thread;

	hold(waiter.vcpu);
	thread = start_waiter(&waiter);
	expect(!waiter.returned, "it has returned, and the vCPU has not answered");
	expect_equal(vm_pause_events(waiter.vcpu->vm), 0);
	release();
	pthread_join(thread, NULL);
	expect_equal(waiter.result, 0);
	expect_event(waiter.vcpu);
	expect_paused(waiter.vcpu);
}

/* Refused requests. None of them reaches the vCPU. */

static void expect_refused(struct vcpu *vcpu, struct pause_request request, int err)
{
	unsigned before = interruptions();

	expect_equal(-vm_request_pause(vcpu->vm, &request), err);
	wait_for_progress(guest_counter(vcpu));
	expect_equal(interruptions(), before);
	expect_equal(vm_pause_events(vcpu->vm), 0);
}

CASE(pause, request_for_an_unknown_vcpu, .contract = "pause.request.unknown")
{
	struct vcpu *vcpu = start_for_tool();

	expect_refused(vcpu, (struct pause_request){ .vcpu_id = 1 }, EINVAL);
	expect_refused(vcpu, (struct pause_request){ .vcpu_id = ~0u, .wait = true }, EINVAL);
}

CASE(pause, request_with_a_reserved_field_set, .contract = "pause.request.reserved")
{
	struct vcpu *vcpu = start_for_tool();

	for (unsigned i = 0; i < sizeof((struct pause_request *)NULL)->reserved; i++) {
		struct pause_request request = { .vcpu_id = vcpu->id };

		request.reserved[i] = 0x80;
		expect_refused(vcpu, request, EINVAL);
	}
}

CASE(pause, request_for_a_vcpu_without_a_thread, .contract = "pause.request.not_yet")
{
	struct vcpu *vcpu = start_for_tool(), *other = vcpu_create(vcpu->vm, 1);

	expect_refused(vcpu, (struct pause_request){ .vcpu_id = other->id }, EAGAIN);
	vcpu_stop(vcpu);
	expect_equal(-ask(vcpu, true), EAGAIN);
	expect_equal(vm_pause_events(vcpu->vm), 0);
}

CASE(pause, request_when_events_are_not_allowed, .contract = "pause.request.not_allowed")
{
	struct vcpu *vcpu = start_for_tool();

	vm_allow_pause_events(vcpu->vm, false);
	expect_refused(vcpu, (struct pause_request){ .vcpu_id = vcpu->id }, EPERM);
	expect_equal(-vm_pause_all(vcpu->vm, true), EPERM);
	vm_allow_pause_events(vcpu->vm, true);
	expect_equal(ask(vcpu, true), 0);
	expect_event(vcpu);
}

CASE(pause, request_beyond_the_limit, .contract = "pause.request.limit")
{
	struct vcpu *vcpu = start_for_tool();

	hold(vcpu);
	for (int i = 0; i < PAUSES_QUEUED_MAX; i++)
		expect_equal(ask(vcpu, false), 0);
	expect_equal(-ask(vcpu, false), EBUSY);
	expect_equal(-ask(vcpu, true), EBUSY);
	release();
	for (int i = 0; i < PAUSES_QUEUED_MAX; i++) {
		expect_event(vcpu);
		expect_still(guest_counter(vcpu));
		vcpu_resume(vcpu);
	}
	wait_for_progress(guest_counter(vcpu)); /* not one resume is missing */
	expect_equal(vm_pause_events(vcpu->vm), 0);
	expect_equal(ask(vcpu, true), 0); /* there is room again */
	expect_event(vcpu);
}

/* An abort: the tool is gone. */

CASE(pause, abort_clears_what_is_queued, .contract = "pause.abort")
{
	struct vcpu *vcpu = start_for_tool();

	hold(vcpu);
	for (int i = 0; i < PAUSES_QUEUED_MAX; i++)
		expect_equal(ask(vcpu, false), 0);
	vcpu_queue_work(vcpu, append_digit, (void *)1);
	vm_abort_pauses(vcpu->vm);
	release();
	wait_for_progress(guest_counter(vcpu));
	expect_equal(vm_pause_events(vcpu->vm), 0);
	expect_equal(ask(vcpu, true), 0);
	expect_event(vcpu);
	expect_regs(vcpu, .rbx = 0); /* the work is gone, too */
}

CASE(pause, abort_resumes_what_is_paused, .contract = "pause.abort")
{
	struct vcpu *vcpu = start_for_tool();

	expect_equal(ask(vcpu, true), 0);
	expect_equal(vm_pause_all(vcpu->vm, true), 1);
	expect_paused(vcpu);
	vm_abort_pauses(vcpu->vm);
	wait_for_progress(guest_counter(vcpu));
}

CASE(pause, abort_ends_a_wait, .contract = "pause.abort")
{
	struct waiter waiter = { .vcpu = start_for_tool() };
	pthread_t thread;

	hold(waiter.vcpu);
	thread = start_waiter(&waiter);
	vm_abort_pauses(waiter.vcpu->vm);
	pthread_join(thread, NULL);
	expect_equal(-waiter.result, ECANCELED);
	release();
	wait_for_progress(guest_counter(waiter.vcpu));
	expect_equal(vm_pause_events(waiter.vcpu->vm), 0);
}

/* All vCPUs of a VM, and more of them all the time. */

#define VCPUS_CREATED 6 /* at most: each has a thread that spins */

static volatile uint32_t *counter_of(const struct vcpu *vcpu)
{
	return guest_variable(vcpu, uint32_t, "counters") + vcpu->id;
}

static void start_to_count(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	vcpu_enter(vcpu, MODE_LONG64, guest_symbol(vcpu, "entry"));
	regs = vcpu->loaded;
	regs.rdi = vcpu->id;
	vcpu_set_regs(vcpu, regs);
	vcpu_start(vcpu, NULL);
}

static struct vcpu *start_first_of_many(void)
{
	struct vcpu *vcpu = boot(spin_each);

	vm_allow_pause_events(vcpu->vm, true);
	start_to_count(vcpu);
	wait_for_progress(counter_of(vcpu));
	return vcpu;
}

struct counts {
	unsigned vcpus;
	uint32_t of[VCPUS_MAX];
};

static struct counts read_counts(struct vm *vm)
{
	struct counts counts = { .vcpus = __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE) };

	for (unsigned i = 0; i < counts.vcpus; i++)
		counts.of[i] = *counter_of(vm->vcpus[i]);
	return counts;
}

static void expect_all_still(struct vm *vm)
{
	struct counts before = read_counts(vm);

	sleep_us(1000);
	for (unsigned i = 0; i < before.vcpus; i++)
		expect_equal(*counter_of(vm->vcpus[i]), before.of[i]);
}

static void wait_for_all_to_go_on(struct vm *vm, const struct counts *before)
{
	for (unsigned i = 0; i < before->vcpus; i++)
		wait_until(*counter_of(vm->vcpus[i]) != before->of[i]);
}

CASE(pause, vcpus_created_while_all_are_paused, .contract = "pause.all.created")
{
	struct vcpu *vcpu = start_first_of_many(), *other = vcpu_create(vcpu->vm, 1);

	expect_equal(vm_pause_all(vcpu->vm, true), 1); /* the other has no thread */
	expect_event(vcpu);
	start_to_count(other);
	expect_event(other);
	expect_still(counter_of(other));
	expect_regs(other, .rip = guest_symbol(other, "entry"));
	expect_equal(*counter_of(other), 0);
	vm_resume_all(vcpu->vm);
	wait_for_progress(counter_of(vcpu));
	wait_for_progress(counter_of(other));
}

static bool enough;

static void *keep_creating(void *arg)
{
	struct vm *vm = arg;

	while (!__atomic_load_n(&enough, __ATOMIC_ACQUIRE) && vm->vcpu_count < VCPUS_CREATED)
		start_to_count(vcpu_create(vm, vm->vcpu_count));
	return NULL;
}

static void wait_for_vcpus(struct vm *vm, unsigned count)
{
	wait_until(__atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE) >= count);
}

CASE(pause, all_while_vcpus_are_created, .contract = "pause.all.terminates", .timeout = 30)
{
	struct vm *vm = start_first_of_many()->vm;
	pthread_t creator = call_on_thread(keep_creating, vm);
	struct counts paused;
	unsigned seen, answered;
	int asked;

	wait_for_vcpus(vm, 3);
	asked = vm_pause_all(vm, true);
	answered = vm_pause_events(vm);
	expect(asked >= 1 && answered >= (unsigned)asked,
	       "%d vCPUs were asked, and %u had answered when it returned", asked, answered);
	seen = vm->vcpu_count;
	expect_all_still(vm); /* and the creator goes on */
	wait_for_vcpus(vm, seen + 2 < VCPUS_CREATED ? seen + 2 : VCPUS_CREATED);
	set_flag(&enough);
	pthread_join(creator, NULL);
	for (unsigned i = 0; i < vm->vcpu_count; i++)
		vm_next_pause_event(vm); /* one for each, those that came later included */
	expect_all_still(vm);
	expect_equal(vm_pause_events(vm), 0);
	paused = read_counts(vm);
	vm_resume_all(vm);
	wait_for_all_to_go_on(vm, &paused);
}
