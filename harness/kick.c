// SPDX-License-Identifier: MIT
#include "kick.h"

#include "case.h"
#include "evidence.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static _Thread_local struct kvm_run *volatile kicked_run; /* of this thread's vCPU */
static volatile sig_atomic_t handled;

static void set_immediate_exit(int sig)
{
	(void)sig;
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
	if (kicked_run)
		kicked_run->immediate_exit = 1;
}

static void count_only(int sig)
{
	(void)sig;
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
}

void kick_prepare(struct vcpu *vcpu, enum kick_handler handler, int flags)
{
	struct sigaction action = {
		.sa_handler = handler == KICK_SETS_IMMEDIATE_EXIT ? set_immediate_exit : count_only,
		.sa_flags = flags,
	};

	kicked_run = vcpu->run;
	if (sigaction(KICK_SIGNAL, &action, NULL) != 0)
		error("sigaction: %s", strerror(errno));
}

unsigned kick_count(void)
{
	return (unsigned)handled;
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

void sleep_us(unsigned us)
{
	struct timespec t = { .tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000l };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR)
		;
}

/* Every thread of the harness's own: the case's signals are for the vCPUs' threads. */
static void start_thread(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	sigset_t all, old;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		error("pthread_create: %s", strerror(err));
	pthread_detach(thread);
}

struct call {
	unsigned delay_us;
	void (*fn)(void *);
	void *arg;
};

static void *run_call(void *arg)
{
	struct call call = *(struct call *)arg;

	free(arg);
	sleep_us(call.delay_us);
	call.fn(call.arg);
	return NULL;
}

void call_after(unsigned delay_us, void (*fn)(void *), void *arg)
{
	struct call *call = malloc(sizeof *call);

	if (!call)
		error("out of memory");
	*call = (struct call){ .delay_us = delay_us, .fn = fn, .arg = arg };
	start_thread(run_call, call);
}

struct target {
	pid_t tgid, tid;
	int sig;
};

static void send_signal(void *arg)
{
	struct target *target = arg;

	syscall(SYS_tgkill, target->tgid, target->tid, target->sig);
	free(target);
}

static void send_from_process(struct target *target, unsigned delay_us)
{
	pid_t pid = fork();

	if (pid < 0)
		error("fork: %s", strerror(errno));
	if (pid == 0) {
		sleep_us(delay_us);
		send_signal(target);
		_exit(0);
	}
	free(target);
}

static void send_from_timer(struct target *target, unsigned delay_us)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = target->sig };
	struct itimerspec when = { .it_value = { .tv_sec = delay_us / 1000000,
						 .tv_nsec = delay_us % 1000000 * 1000l + 1 } };
	timer_t timer;

	event._sigev_un._tid = target->tid;
	if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
	    timer_settime(timer, 0, &when, NULL) != 0)
		error("timer: %s", strerror(errno));
	free(target);
}

void kick_me_after(enum kick_source source, int sig, unsigned delay_us)
{
	struct target *target = malloc(sizeof *target);

	if (!target)
		error("out of memory");
	*target = (struct target){ .tgid = getpid(), .tid = gettid(), .sig = sig };
	switch (source) {
	case KICK_THREAD:
		call_after(delay_us, send_signal, target);
		break;
	case KICK_PROCESS:
		send_from_process(target, delay_us);
		break;
	case KICK_TIMER:
		send_from_timer(target, delay_us);
		break;
	}
}
