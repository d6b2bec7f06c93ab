// SPDX-License-Identifier: MIT
#include "kick.h"

#include "case.h"
#include "evidence.h"
#include "expect.h"

#include <alloca.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/*
 * That a guest runs on: at so many looks, one after the other, its counter has grown. A signal needs
 * a few microseconds to take it out. No number of increments: hardware makes 1000 times as many of
 * them as a host that emulates each instruction.
 */
#define LOOKS      4
#define LOOK_EVERY 100 /* us */

/* A signal is lost if KVM_RUN has not returned after so many looks that saw the guest run. */
#define LOST_AFTER 25

#define SIGNALS_MAX 4

static _Thread_local struct kvm_run *volatile kicked_run; /* of this thread's vCPU */
static unsigned counts[_NSIG];

static void count(int sig)
{
	__atomic_fetch_add(&counts[sig], 1, __ATOMIC_RELAXED);
	if (sig == KICK_SIGNAL && kicked_run)
		kicked_run->immediate_exit = 1;
}

void signal_handle(int sig, int flags)
{
	struct sigaction action = { .sa_handler = count, .sa_flags = flags };

	if (sigaction(sig, &action, NULL) != 0)
		error("sigaction: %s", strerror(errno));
}

void kick_prepare(struct vcpu *vcpu)
{
	kicked_run = vcpu->run;
	signal_handle(KICK_SIGNAL, 0);
}

unsigned signal_count(int sig)
{
	return __atomic_load_n(&counts[sig], __ATOMIC_RELAXED);
}

static void change_mask(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(how, &set, NULL);
}

void signal_block(int sig)
{
	change_mask(SIG_BLOCK, sig);
}

void signal_unblock(int sig)
{
	change_mask(SIG_UNBLOCK, sig);
}

bool signal_pending(int sig)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, sig) == 1;
}

void set_kvm_mask_(struct vcpu *vcpu, const int *blocked)
{
	uint64_t bits = 0; /* the kernel's sigset_t: bit n is signal n + 1 */
	struct kvm_signal_mask *mask = alloca(sizeof *mask + sizeof bits);

	for (; *blocked; blocked++)
		bits |= 1ull << (*blocked - 1);
	mask->len = sizeof bits;
	memcpy(mask->sigset, &bits, sizeof bits);
	x(vcpu, KVM_SET_SIGNAL_MASK, mask);
}

int vcpu_run_or_give_up(struct vcpu *vcpu)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = KICK_SIGNAL };
	struct timespec ms5 = { .tv_nsec = 5 * 1000 * 1000 };
	struct itimerspec each_5_ms = { .it_interval = ms5, .it_value = ms5 };
	int interruptions = 0, result;
	timer_t timer;

	kick_prepare(vcpu);
	if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &each_5_ms, NULL) != 0)
		error("cannot start a timer: %s", strerror(errno));
	while ((result = vcpu_run(vcpu)) == -EINTR && ++interruptions < 10)
		vcpu->run->immediate_exit = 0;
	timer_delete(timer);
	vcpu->run->immediate_exit = 0;
	return result;
}

void sleep_us(unsigned us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000l };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

volatile uint32_t *guest_counter(struct vcpu *vcpu)
{
	return guest_variable(vcpu, uint32_t, "counter");
}

void wait_for_progress(volatile uint32_t *counter)
{
	for (int i = 0; i < LOOKS; i++) {
		uint32_t before = *counter;

		sleep_us(LOOK_EVERY);
		wait_until(*counter != before);
	}
}

/* The name before it ends with the last ')'. */
char thread_state(pid_t tid)
{
	char path[64], line[256] = "";
	const char *end;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof line, f))
		line[0] = '\0';
	if (f)
		fclose(f);
	end = strrchr(line, ')');
	return end ? end[2] : '?';
}

bool is_asleep(pid_t tid)
{
	return thread_state(tid) == 'S';
}

void wait_until_asleep(struct vcpu *vcpu)
{
	pid_t runner;

	wait_until((runner = vcpu_runner(vcpu)) && is_asleep(runner));
}

pthread_t call_on_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	sigset_t all, old;
	int err;

	sigfillset(&all);
	sigdelset(&all, TAKE_OUT_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		error("pthread_create: %s", strerror(err));
	return thread;
}

/* What a sender's thread needs to know. */
struct sender {
	struct vcpu *vcpu;
	enum signal_source source;
	pid_t tid;     /* of the target */
	uint64_t runs; /* returns of KVM_RUN so far, in any thread */
	int signals[SIGNALS_MAX + 1];
};

static void send_from_process(pid_t tid, int sig)
{
	pid_t tgid = getpid(), pid = fork();

	if (pid < 0)
		error("fork: %s", strerror(errno));
	if (pid == 0)
		_exit(syscall(SYS_tgkill, tgid, tid, sig) != 0);
	waitpid(pid, NULL, 0);
}

static void send_from_timer(pid_t tid, int sig)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = sig };
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	timer_t timer;

	event._sigev_un._tid = tid;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &soon, NULL) != 0)
		error("timer: %s", strerror(errno));
}

static void send_signal(enum signal_source source, pid_t tid, int sig)
{
	if (source == FROM_PROCESS)
		send_from_process(tid, sig);
	else if (source == FROM_TIMER)
		send_from_timer(tid, sig);
	else
		syscall(SYS_tgkill, getpid(), tid, sig);
}

static struct sender *make_sender(struct vcpu *vcpu, enum signal_source source)
{
	struct sender *sender = calloc(1, sizeof *sender);

	if (!sender)
		error("out of memory");
	*sender = (struct sender){
		.vcpu = vcpu,
		.source = source,
		.tid = gettid(),
		.runs = __atomic_load_n(&evidence->exit_count, __ATOMIC_ACQUIRE),
	};
	return sender;
}

/* Fails the case if the last signal has not ended KVM_RUN, although the guest counted on, or slept. */
static void expect_end_of_run(const struct sender *sender, int sig, bool asleep)
{
	volatile uint32_t *counter = guest_counter(sender->vcpu);

	for (int looks = 0; looks < LOST_AFTER;) {
		uint32_t before = *counter;

		sleep_us(2000);
		if (__atomic_load_n(&evidence->exit_count, __ATOMIC_ACQUIRE) != sender->runs)
			return;
		looks += asleep ? is_asleep(sender->tid) : *counter != before;
	}
	case_fail(sender->vcpu, HERE, "the signal ends KVM_RUN",
		  asleep ? "the vCPU slept on after signal %d" : "the guest ran on after signal %d",
		  sig);
}

static void *send_while_running(void *arg)
{
	struct sender *sender = arg;
	volatile uint32_t *counter = guest_counter(sender->vcpu);

	int last = 0;

	for (const int *sig = sender->signals; *sig; sig++) {
		wait_for_progress(counter);
		send_signal(sender->source, sender->tid, *sig);
		last = *sig;
	}
	expect_end_of_run(sender, last, false);
	free(sender);
	return NULL;
}

void signal_while_running_(struct vcpu *vcpu, enum signal_source source, const int *signals)
{
	struct sender *sender = make_sender(vcpu, source);

	for (unsigned i = 0; i < SIGNALS_MAX && signals[i]; i++)
		sender->signals[i] = signals[i];
	pthread_detach(call_on_thread(send_while_running, sender));
}

static void *send_when_asleep(void *arg)
{
	struct sender *sender = arg;

	wait_until_asleep(sender->vcpu);
	send_signal(sender->source, sender->tid, sender->signals[0]);
	expect_end_of_run(sender, sender->signals[0], true);
	free(sender);
	return NULL;
}

void signal_when_asleep(struct vcpu *vcpu, int sig)
{
	struct sender *sender = make_sender(vcpu, FROM_THREAD);

	sender->signals[0] = sig;
	pthread_detach(call_on_thread(send_when_asleep, sender));
}
