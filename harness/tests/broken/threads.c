// SPDX-License-Identifier: MIT
/* Failures that the case's first thread does not see. */
#include "kvmspec.h"

#include <pthread.h>
#include <unistd.h>

GUEST(real16, hlt_loop);
GUEST(real16, spin);
GUEST(long64, triple_fault);

static void start(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, arg) != 0)
		error("pthread_create");
}

static void *fail_at_once(void *arg)
{
	(void)arg;
	fail("the thread is content", "it is not"); /* ends here */
}

CASE(threads, one_fails)
{
	start(fail_at_once, NULL);
	for (;;)
		pause();
}

static void *fail_when_counting(void *arg)
{
	volatile uint32_t *counter = arg;

	while (*counter < 1000)
		;
	fail("the guest does not count", "it does"); /* ends here */
}

/* Nobody can read the registers of a vCPU that runs: it is taken out first, and that is no end. */
CASE(threads, one_fails_while_the_vcpu_runs)
{
	struct vcpu *vcpu = boot(spin);

	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	vcpu->run->immediate_exit = 0;
	start(fail_when_counting, (void *)(uintptr_t)guest_variable(vcpu, uint32_t, "counter"));
	vcpu_run(vcpu);
}

static pthread_barrier_t both;

static void *fail_together(void *arg)
{
	pthread_barrier_wait(&both);
	fail("one thread fails", "thread %s fails", (const char *)arg); /* ends here */
}

CASE(threads, two_fail_at_once)
{
	pthread_barrier_init(&both, NULL, 2);
	start(fail_together, (void *)(uintptr_t) "A");
	fail_together((void *)(uintptr_t) "B");
}

static void *halt(void *vcpu)
{
	expect_run_exit(vcpu, KVM_EXIT_IO); /* ends here */
	return NULL;
}

CASE(threads, assertion_fails_in_a_thread)
{
	start(halt, boot(hlt_loop));
	for (;;)
		pause();
}

/* A vCPU on a thread of the harness's, which blocks signals. */
CASE(threads, one_fails_beside_a_running_vcpu)
{
	struct vcpu *vcpu = boot(spin);

	vcpu_start(vcpu, NULL);
	wait_for_progress(guest_counter(vcpu));
	fail("the guest stands", "it counts"); /* ends here */
}

/* The report is about the one that the assertion names, not about what the other one did later. */
CASE(threads, one_of_two_vcpus_fails)
{
	struct vcpu *vcpu = boot(hlt_loop), *other = boot(triple_fault);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_run_exit(other, KVM_EXIT_SHUTDOWN);
	expect_regs(vcpu, .rax = 1); /* ends here */
}
