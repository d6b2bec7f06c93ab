// SPDX-License-Identifier: MIT
/*
 * Each way in which a case can end, but for a failed assertion. test_fixtures.py knows what must be
 * reported; the comment «ends here» marks the line.
 */
#include "kvmspec.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST(real16, hlt_loop);
GUEST(real16, spin);

#define KVM_CAP_OF_NO_HOST 1000000

/* How long what hangs may hang: enough for the machine to be busy, not for the tester to wait. */
#define HANG_SECONDS 0.5

CASE(endings, passes)
{
}

CASE(endings, fails)
{
	fail("the sky is blue", "it is %s", "grey"); /* ends here */
}

/* As it may happen to a case that is killed while it looks at its vCPU. */
CASE(endings, fails_and_is_killed)
{
	snprintf(evidence->expected, sizeof evidence->expected, "the sky is blue");
	snprintf(evidence->got, sizeof evidence->got, "it is grey");
	snprintf(evidence->file, sizeof evidence->file, "%s", __FILE__);
	evidence->line = __LINE__; /* ends here */
	evidence->verdict = VERDICT_FAIL;
	raise(SIGKILL);
}

CASE(endings, skips)
{
	skip("there is no %s here", "moon"); /* ends here */
}

CASE(endings, errs)
{
	error("out of %s", "luck"); /* ends here */
}

CASE(needs, a_capability, .needs = { CAP(KVM_CAP_OF_NO_HOST) }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, bits_of_a_capability,
     .needs = { CAP_BITS(KVM_CAP_NR_MEMSLOTS, 1 << 30) }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, more_of_a_capability,
     .needs = { CAP_AT_LEAST(KVM_CAP_NR_MEMSLOTS, 1 << 30) }) /* ends here */
{
	fail("it is skipped", "it ran");
}

/* Bit 31 of leaf 0's EAX is no feature: it is the number of the last basic leaf. */
CASE(needs, a_cpu_feature, .needs = { CPU_FEATURE("everything", 0, 0, eax, 31) }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, a_cpu_feature_of_no_leaf,
     .needs = { CPU_FEATURE("nothing", 0x5fffffff, 1, ebx, 3) }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, a_kernel, .needs = { KERNEL(1000, 1) }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, a_vendor, .needs = { VENDOR("kvm_none") }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, cpus, .needs = { CPUS(1000000) }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, second_of_two, .needs = { CPUS(1), VENDOR("kvm_none") }) /* ends here */
{
	fail("it is skipped", "it ran");
}

CASE(needs, are_met,
     .needs = { CAP(KVM_CAP_USER_MEMORY), CAP_AT_LEAST(KVM_CAP_NR_MEMSLOTS, 1), CPUS(1),
		CPU_FEATURE("fpu", 1, 0, edx, 0), KERNEL(2, 6) })
{
}

CASE(needs, are_met_and_used, .needs = { CAP(KVM_CAP_DISABLE_QUIRKS), CAP(KVM_CAP_USER_MEMORY) })
{
	struct vm *vm = vm_create();

	expect_answer(vm, ANSWERS(KVM_CAP_SYNC_MMU, 1));
	expect_answer(vm, ANSWERS(KVM_CAP_USER_MEMORY, 1));
	enable_cap(vm, KVM_CAP_DISABLE_QUIRKS, 0);
	x_try(vm, KVM_ENABLE_CAP, &(struct kvm_enable_cap){ .cap = KVM_CAP_NR_VCPUS });
}

CASE(endings, unknown_label)
{
	guest_symbol(boot(hlt_loop), "nowhere");
}

CASE(endings, garbage_image)
{
	static const unsigned char garbage[] =
		"This is no ELF file, but it is long enough to be one.";
	static const struct guest_image image = {
		.name = "real16/garbage",
		.mode = MODE_REAL16,
		.elf = garbage,
		.elf_end = garbage + sizeof garbage,
	};

	boot(&image);
}

CASE(endings, truncated_image)
{
	struct guest_image image = *hlt_loop;

	image.name = "real16/truncated";
	image.elf_end = image.elf + 60;
	boot(&image);
}

CASE(endings, segmentation_fault)
{
	volatile uintptr_t nowhere = 8;

	*(volatile int *)nowhere = 0;
}

CASE(endings, aborts)
{
	abort();
}

CASE(endings, real_time_signal)
{
	raise(SIGRTMIN + 1);
}

CASE(endings, exits_with_0)
{
	exit(0);
}

CASE(endings, exits_with_3)
{
	exit(3);
}

CASE(endings, leaves_with_0)
{
	_exit(0);
}

CASE(endings, exits_with_3_after_it_passed)
{
	evidence->verdict = VERDICT_PASS; /* as at the end of every case; then a thread goes wild */
	_exit(3);
}

CASE(endings, kills_its_process_group)
{
	kill(0, SIGKILL);
}

CASE(endings, hangs_in_the_guest, .timeout = HANG_SECONDS)
{
	vcpu_run(boot(spin));
}

CASE(endings, hangs_outside_of_the_guest, .timeout = HANG_SECONDS)
{
	struct vcpu *vcpu = boot(hlt_loop);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	for (;;)
		pause();
}

CASE(endings, stops_itself, .timeout = HANG_SECONDS)
{
	raise(SIGSTOP);
}

/* Address space only, never written to: without a limit it would end at 1 TiB, and cost nothing. */
CASE(endings, fills_memory)
{
	const size_t block = 1ull << 28;
	size_t i;

	for (i = 0; i < 4096; i++)
		if (mmap(NULL, block, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
			break;
	error("memory ends after %zu GiB", i * block >> 30); /* ends here */
}

CASE(endings, is_the_first_to_be_killed_without_memory)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "r");
	int score = 0;

	if (!f || fscanf(f, "%d", &score) != 1)
		error("no score");
	error("the score is %d", score); /* ends here */
}

/* The parent is not the runner itself, and the runner starts another. */
CASE(parent, is_killed, .on_request = true)
{
	kill(getppid(), SIGKILL);
	for (;;)
		pause();
}

static _Noreturn void wait_for_ever(void)
{
	for (;;)
		pause();
}

/* The test finds the process by what the case printed. */
static void leave_orphan(void (*escape)(void))
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready) != 0 || (pid = fork()) < 0)
		error("no child");
	if (pid == 0) {
		escape();
		close(ready[1]);
		wait_for_ever();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 0)
		error("the child wrote something");
	printf("orphan %d\n", (int)pid);
}

static void stay(void)
{
}

CASE(orphans, in_the_group)
{
	leave_orphan(stay);
}

static void leave_session(void)
{
	setsid();
}

CASE(orphans, in_another_session)
{
	leave_orphan(leave_session);
}

CASE(orphans, of_a_failure)
{
	leave_orphan(leave_session);
	fail("no orphan", "an orphan");
}

/* Its parent ends at once, before the case does. */
CASE(orphans, of_a_child)
{
	pid_t pid = fork();

	if (pid == 0) {
		leave_orphan(leave_session);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* Nothing that fork() does for the harness is done for it. */
CASE(orphans, of_a_shell)
{
	if (system("setsid sleep 123 & echo orphan $!") != 0)
		error("system");
}

/* For interrupted runs; they stay until they are killed. */

CASE(forever, sleeps, .timeout = 60, .on_request = true)
{
	wait_for_ever();
}

CASE(forever, runs_a_guest, .timeout = 60, .on_request = true)
{
	vcpu_run(boot(spin));
}

CASE(forever, has_children, .timeout = 60, .on_request = true)
{
	if (fork() == 0)
		wait_for_ever();
	if (fork() == 0) {
		setsid();
		wait_for_ever();
	}
	wait_for_ever();
}

/* A test finds it while it sleeps, and keeps it from being killed. */
CASE(stuck, sleeps, .timeout = 2, .on_request = true)
{
	wait_for_ever();
}
