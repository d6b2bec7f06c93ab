// SPDX-License-Identifier: MIT
/*
 * Signals and KVM_RUN: which end it, which do not, and what they leave behind; KVM_SET_SIGNAL_MASK.
 * Documented in api.rst: KVM_RUN (EINTR), KVM_SET_SIGNAL_MASK, 5. The kvm_run structure
 * (immediate_exit, and the note on pending operations below KVM_EXIT_MMIO).
 *
 * That a signal ends KVM_RUN with exit_reason KVM_EXIT_INTR as well is in no document: the sources
 * (6.1 to 7.2) set it wherever the run loop, or a vCPU that waits for INIT, finds a signal pending.
 * With immediate_exit set before the entry, exit_reason stays as it was.
 *
 * The guests count for ever. Where a case sends several signals, each is sent only when the guest
 * has counted on since the one before: if an earlier one had stopped it, the last is never sent.
 */
#include "kvmspec.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST_EACH_MODE(spin);
GUEST(long64, count_and_halt);

#define A_SPINNING_GUEST spin[MODE_LONG64]

static void expect_kick_from(enum signal_source source, const struct guest_image *guest)
{
	struct vcpu *vcpu = boot(guest);

	signal_handle(KICK_SIGNAL, 0);
	signal_while_running_from(source, vcpu, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_exit_reason(vcpu, KVM_EXIT_INTR);
	expect_equal(signal_count(KICK_SIGNAL), 1);
}

CASE(signals, kick_by_a_thread, .contract = "signals.eintr", .each_mode = spin)
{
	expect_kick_from(FROM_THREAD, guest);
}

CASE(signals, kick_by_another_process, .contract = "signals.eintr", .each_mode = spin)
{
	expect_kick_from(FROM_PROCESS, guest);
}

CASE(signals, kick_by_a_posix_timer, .contract = "signals.eintr", .each_mode = spin)
{
	expect_kick_from(FROM_TIMER, guest);
}

CASE(signals, kicked_guest_goes_on_where_it_was, .contract = "signals.guest_state",
     .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);
	volatile uint32_t *counter = guest_counter(vcpu);
	struct kvm_regs regs = vcpu->loaded;

	regs.rax = 0x1001, regs.rbx = 0x1002, regs.rcx = 0x1003, regs.rdx = 0x1004;
	regs.rsi = 0x1005, regs.rdi = 0x1006, regs.rbp = 0x1007;
	vcpu_set_regs(vcpu, regs);
	signal_handle(KICK_SIGNAL, 0);
	for (int i = 0; i < 3; i++) {
		uint32_t before = *counter;

		signal_while_running(vcpu, KICK_SIGNAL);
		expect_run_errno(vcpu, EINTR);
		expect(*counter != before, "the guest did not count on after kick %d", i);
		expect_equal(*guest_variable(vcpu, uint32_t, "starts"), 1);
		expect_regs(vcpu, .rax = 0x1001, .rbx = 0x1002, .rcx = 0x1003, .rdx = 0x1004,
			    .rsi = 0x1005, .rdi = 0x1006, .rbp = 0x1007, .rsp = STACK_TOP);
	}
}

CASE(signals, sa_restart_does_not_restart_run, .contract = "signals.eintr.sa_restart")
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	signal_handle(KICK_SIGNAL, SA_RESTART);
	signal_while_running(vcpu, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(KICK_SIGNAL), 1);
}

/* Another process must do this: the stopped one cannot wake itself. It ends with the case. */
static void stop_and_continue_me(void)
{
	pid_t me = getpid();

	pid_t child = fork();

	if (child < 0)
		error("fork: %s", strerror(errno));
	if (child == 0) {
		for (;;) {
			sleep_us(1000);
			kill(me, SIGSTOP);
			sleep_us(1000);
			kill(me, SIGCONT);
		}
	}
}

CASE(signals, stop_and_continue_end_run, .contract = "signals.eintr.stop")
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	stop_and_continue_me();

	expect_run_errno(vcpu, EINTR);
	expect_exit_reason(vcpu, KVM_EXIT_INTR);
}

CASE(signals, blocked_signal_does_not_end_run, .contract = "signals.blocked", .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	signal_handle(SIGUSR2, 0);
	signal_handle(KICK_SIGNAL, 0);
	signal_block(SIGUSR2);
	signal_while_running(vcpu, SIGUSR2, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(KICK_SIGNAL), 1);
	expect(signal_pending(SIGUSR2), "the blocked signal is not pending any more");
	expect_equal(signal_count(SIGUSR2), 0);
}

static void expect_not_to_end_run(int sig)
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	signal_handle(KICK_SIGNAL, 0);
	signal_while_running(vcpu, sig, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(KICK_SIGNAL), 1);
	expect(!signal_pending(sig), "the ignored signal is pending");
}

CASE(signals, ignored_signal_does_not_end_run, .contract = "signals.ignored")
{
	signal(SIGUSR2, SIG_IGN);
	expect_not_to_end_run(SIGUSR2);
}

CASE(signals, signal_ignored_by_default_does_not_end_run, .contract = "signals.ignored")
{
	expect_not_to_end_run(SIGWINCH);
}

CASE(signals, second_run_needs_a_second_signal, .contract = "signals.consumed")
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	signal_handle(KICK_SIGNAL, 0);
	signal_while_running(vcpu, KICK_SIGNAL);
	expect_run_errno(vcpu, EINTR);
	signal_while_running(vcpu, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(KICK_SIGNAL), 2);
}

/* The window between userspace's last look and the entry, and what closes it. */

CASE(signals, without_immediate_exit_a_signal_before_entry_is_lost,
     .contract = "signals.window.lost", .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	signal_handle(KICK_SIGNAL, 0);
	raise(KICK_SIGNAL); /* handled here */
	signal_while_running(vcpu, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(KICK_SIGNAL), 2);
	expect(*guest_counter(vcpu) != 0, "the guest has not run");
}

CASE(signals, immediate_exit_keeps_a_signal_before_entry, .contract = "signals.window.kept",
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) }, .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	kick_prepare(vcpu);
	raise(KICK_SIGNAL);
	signal_while_running(vcpu, KICK_SIGNAL); /* never: the guest does not count */

	expect_run_errno(vcpu, EINTR);
	expect_equal(*guest_counter(vcpu), 0);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "entry"));
}

/* Blocked in the kernel. */

CASE(signals, halted_vcpu_with_irqchip, .contract = "signals.eintr.halted",
     .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *vcpu = boot_with_irqchip(count_and_halt);

	signal_handle(KICK_SIGNAL, 0);
	signal_when_asleep(vcpu, KICK_SIGNAL);

	expect_run_errno(vcpu, EINTR);
	expect_exit_reason(vcpu, KVM_EXIT_INTR);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_hlt"));
	expect_equal(*guest_counter(vcpu), 1);
}

CASE(signals, halted_vcpu_stays_halted, .contract = "signals.halted.stays",
     .needs = { CAP(KVM_CAP_IRQCHIP), CAP(KVM_CAP_MP_STATE) })
{
	struct vcpu *vcpu = boot_with_irqchip(count_and_halt);
	struct kvm_mp_state state = { 0 };

	signal_handle(KICK_SIGNAL, 0);
	for (int i = 0; i < 3; i++) {
		signal_when_asleep(vcpu, KICK_SIGNAL);
		expect_run_errno(vcpu, EINTR);
		x(vcpu, KVM_GET_MP_STATE, &state);
		expect_equal(state.mp_state, KVM_MP_STATE_HALTED);
	}
	expect_equal(*guest_counter(vcpu), 1);
}

CASE(signals, vcpu_that_waits_for_init, .contract = "signals.eintr.uninitialized",
     .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	struct vcpu *first = boot_with_irqchip(count_and_halt);
	struct vcpu *second = vcpu_create(first->vm, 1);

	signal_handle(KICK_SIGNAL, 0);
	signal_when_asleep(second, KICK_SIGNAL);

	expect_run_errno(second, EINTR);
	expect_exit_reason(second, KVM_EXIT_INTR);
}

/* KVM_SET_SIGNAL_MASK. */

CASE(signals, mask_unblocks_a_signal, .contract = "signals.mask.unblocks", .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	signal_handle(SIGUSR1, 0);
	signal_block(SIGUSR1);
	set_kvm_mask(vcpu, SIGUSR2);
	signal_while_running(vcpu, SIGUSR1);

	expect_run_errno(vcpu, EINTR);
	expect_exit_reason(vcpu, KVM_EXIT_INTR);
	expect(signal_pending(SIGUSR1), "the signal is not pending");
	expect_equal(signal_count(SIGUSR1), 0);
}

CASE(signals, mask_blocks_a_signal, .contract = "signals.mask.blocks", .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	signal_handle(SIGUSR1, 0);
	signal_handle(SIGUSR2, 0);
	set_kvm_mask(vcpu, SIGUSR2);
	signal_while_running(vcpu, SIGUSR2, SIGUSR1);

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(SIGUSR1), 1);
	expect_equal(signal_count(SIGUSR2), 1); /* as soon as KVM_RUN had returned */
}

CASE(signals, mask_replaces_the_threads, .contract = "signals.mask.blocks")
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	signal_handle(SIGUSR1, 0);
	signal_block(SIGUSR1);
	set_kvm_mask(vcpu, SIGUSR1);
	signal_handle(SIGUSR2, 0);
	signal_while_running(vcpu, SIGUSR1, SIGUSR2);

	expect_run_errno(vcpu, EINTR);
	expect_equal(signal_count(SIGUSR2), 1);
	expect(signal_pending(SIGUSR1), "the signal is not pending");
}

CASE(signals, pending_signal_keeps_the_guest_from_running, .contract = "signals.pending_at_entry",
     .each_mode = spin)
{
	struct vcpu *vcpu = boot(guest);

	signal_handle(SIGUSR1, 0);
	signal_block(SIGUSR1);
	set_kvm_mask(vcpu, SIGUSR2);
	raise(SIGUSR1);
	signal_handle(SIGTERM, 0);
	signal_while_running(vcpu, SIGTERM); /* never: the guest does not count */

	for (int i = 0; i < 2; i++) { /* it stays pending */
		expect_run_errno(vcpu, EINTR);
		expect_equal(*guest_counter(vcpu), 0);
	}
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "entry"));
	signal_unblock(SIGUSR1);
	expect_equal(signal_count(SIGUSR1), 1);
}

static void expect_mask_to_unblock(void (*disposition)(int))
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	signal(SIGUSR1, disposition);
	signal_block(SIGUSR1);
	set_kvm_mask(vcpu, SIGUSR2);
	signal_while_running(vcpu, SIGUSR1);

	expect_run_errno(vcpu, EINTR);
	expect(signal_pending(SIGUSR1), "the signal is not pending");
}

CASE(signals, mask_unblocks_an_ignored_signal, .contract = "signals.mask.disposition")
{
	expect_mask_to_unblock(SIG_IGN);
}

CASE(signals, mask_unblocks_a_deadly_signal, .contract = "signals.mask.disposition")
{
	expect_mask_to_unblock(SIG_DFL);
}

CASE(signals, no_mask_again_after_null, .contract = "signals.mask.null")
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	signal_handle(SIGUSR1, 0);
	signal_handle(SIGUSR2, 0);
	signal_block(SIGUSR1);
	set_kvm_mask(vcpu, SIGUSR2); /* the opposite of the thread's */
	x(vcpu, KVM_SET_SIGNAL_MASK, NULL);
	signal_while_running(vcpu, SIGUSR1, SIGUSR2);

	expect_run_errno(vcpu, EINTR);
	expect(signal_pending(SIGUSR1), "the signal that the thread blocks is not pending");
	expect_equal(signal_count(SIGUSR2), 1);
}

static void expect_refused_length(unsigned len)
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	unsigned char bytes[sizeof(struct kvm_signal_mask) + 128] = { 0 };
	struct kvm_signal_mask *mask = (struct kvm_signal_mask *)(void *)bytes;

	mask->len = len;
	expect_errno(EINVAL, vcpu, KVM_SET_SIGNAL_MASK, mask);
	mask->len = 8;
	x(vcpu, KVM_SET_SIGNAL_MASK, mask);
}

CASE(signals, mask_length_0, .contract = "signals.mask.length")
{
	expect_refused_length(0);
}

CASE(signals, mask_length_4, .contract = "signals.mask.length")
{
	expect_refused_length(4);
}

CASE(signals, mask_length_16, .contract = "signals.mask.length")
{
	expect_refused_length(16);
}

CASE(signals, mask_length_of_the_c_library, .contract = "signals.mask.length")
{
	expect_refused_length(sizeof(sigset_t)); /* 128 */
}

CASE(signals, refused_mask_leaves_the_old_one, .contract = "signals.mask.refused")
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);

	signal_handle(SIGUSR1, 0);
	signal_block(SIGUSR1);
	set_kvm_mask(vcpu, SIGUSR2);
	expect_errno(EINVAL, vcpu, KVM_SET_SIGNAL_MASK, &(struct kvm_signal_mask){ .len = 4 });
	signal_while_running(vcpu, SIGUSR1);

	expect_run_errno(vcpu, EINTR);
	expect(signal_pending(SIGUSR1), "the signal is not pending");
}

CASE(signals, mask_at_an_unmapped_address, .contract = "signals.mask.efault")
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	long page = sysconf(_SC_PAGESIZE);
	void *hole = mmap(NULL, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	expect_errno(EFAULT, vcpu, KVM_SET_SIGNAL_MASK, hole);
}

CASE(signals, mask_that_ends_in_an_unmapped_page, .contract = "signals.mask.efault")
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);
	long page = sysconf(_SC_PAGESIZE);
	char *two =
		mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct kvm_signal_mask *mask = (void *)(two + page - sizeof *mask);

	mprotect(two + page, page, PROT_NONE);
	mask->len = 8; /* readable; the set that follows is not */
	expect_errno(EFAULT, vcpu, KVM_SET_SIGNAL_MASK, mask);
}

/* A child runs a VM of its own, with sig in KVM's mask; the signal's sender waits for its guest. */
static int status_of_child_hit_by(int sig)
{
	int status = 0;
	pid_t child = fork();

	if (child < 0)
		error("fork: %s", strerror(errno));
	if (child == 0) {
		struct vcpu *vcpu = boot(A_SPINNING_GUEST);

		signal_handle(KICK_SIGNAL, 0);
		set_kvm_mask(vcpu, SIGKILL, SIGSTOP);
		signal_while_running(vcpu, sig,
				     KICK_SIGNAL); /* the second if the first is blocked */
		vcpu_run(vcpu);
		_exit(0);
	}
	waitpid(child, &status, WUNTRACED);
	if (WIFSTOPPED(status)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	return status;
}

CASE(signals, mask_cannot_block_sigkill, .contract = "signals.mask.sigkill")
{
	int status = status_of_child_hit_by(SIGKILL);

	expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "wait status %#x", status);
}

CASE(signals, mask_cannot_block_sigstop, .contract = "signals.mask.sigkill")
{
	int status = status_of_child_hit_by(SIGSTOP);

	expect(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP, "wait status %#x", status);
}

static void expect_same_mask(const sigset_t *before)
{
	sigset_t after;

	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig < _NSIG; sig++)
		expect_equal(sigismember(&after, sig), sigismember(before, sig));
}

CASE(signals, threads_mask_survives_an_interrupted_run, .contract = "signals.mask.thread")
{
	struct vcpu *vcpu = boot(A_SPINNING_GUEST);
	sigset_t before;

	signal_handle(SIGUSR1, 0);
	signal_block(SIGUSR1);
	signal_block(SIGHUP);
	set_kvm_mask(vcpu, SIGUSR2, SIGTERM);
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	signal_while_running(vcpu, SIGUSR1);

	expect_run_errno(vcpu, EINTR);
	expect_same_mask(&before);
}

CASE(signals, threads_mask_survives_an_exit, .contract = "signals.mask.thread")
{
	struct vcpu *vcpu = boot(count_and_halt);
	sigset_t before;

	signal_block(SIGHUP);
	set_kvm_mask(vcpu, SIGUSR2, SIGTERM);
	pthread_sigmask(SIG_SETMASK, NULL, &before);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_same_mask(&before);
}
