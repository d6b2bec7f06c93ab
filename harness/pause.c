// SPDX-License-Identifier: MIT
#include "pause.h"

#include "case.h"
#include "evidence.h"
#include "expect.h"
#include "kick.h"
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/*
 * requested, resumed and stopping are what others want; acknowledged is what the vCPU's thread has
 * done. All change under the lock.
 *
 * A requester changes what it wants and then kicks the thread. The signal's handler sets
 * immediate_exit, and only the thread clears it: when KVM_RUN has failed with EINTR, before it looks
 * at what is wanted. So no request is lost, wherever the signal lands; and as the vCPU parks only
 * after such an EINTR, KVM has finished what the exit before it began (api.rst, the note below
 * KVM_EXIT_MMIO).
 */
struct pauser {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned requested, acknowledged, resumed;
	bool started, stopping, ended;
	pthread_t thread;
	bool (*on_exit)(struct vcpu *vcpu);
};

/* A kick takes microseconds. One that the thread has not heeded after this CPU time, ns, is lost. */
#define IGNORED_AFTER 1000000000ull

static struct pauser *pauser_of(struct vcpu *vcpu)
{
	static pthread_mutex_t creating = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&creating);
	if (!vcpu->pauser) {
		vcpu->pauser = calloc(1, sizeof *vcpu->pauser);
		if (!vcpu->pauser)
			error("out of memory");
		pthread_mutex_init(&vcpu->pauser->lock, NULL);
		pthread_cond_init(&vcpu->pauser->changed, NULL);
	}
	pthread_mutex_unlock(&creating);
	return vcpu->pauser;
}

/* Out of the guest, and nothing is unfinished. With the lock held. */
static void acknowledge(struct pauser *p)
{
	p->acknowledged = p->requested;
	pthread_cond_broadcast(&p->changed);
}

/* After EINTR: acknowledges, and waits as long as it must. Returns whether to run on. */
static bool park(struct vcpu *vcpu)
{
	struct pauser *p = vcpu->pauser;
	bool go;

	vcpu->run->immediate_exit = 0;
	pthread_mutex_lock(&p->lock);
	acknowledge(p);
	while (!p->stopping && p->requested != p->resumed) {
		pthread_cond_wait(&p->changed, &p->lock);
		if (p->acknowledged != p->requested)
			acknowledge(p);
	}
	go = !p->stopping;
	pthread_mutex_unlock(&p->lock);
	return go;
}

static bool run_once(struct vcpu *vcpu)
{
	struct pauser *p = vcpu->pauser;
	int result = vcpu_run(vcpu);

	if (result == -EINTR)
		return park(vcpu);
	if (result == 0 && p->on_exit)
		return p->on_exit(vcpu);
	case_fail(vcpu, HERE, "the vCPU runs until it is stopped", "%s",
		  result ? errno_name(-result) : exit_name(vcpu->run->exit_reason));
}

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	struct pauser *p = vcpu->pauser;

	kick_prepare(vcpu);
	pthread_mutex_lock(&p->lock);
	if (p->acknowledged != p->requested || p->stopping)
		vcpu->run->immediate_exit = 1; /* asked for before there was anyone to kick */
	pthread_mutex_unlock(&p->lock);
	signal_unblock(KICK_SIGNAL);
	while (run_once(vcpu))
		;
	pthread_mutex_lock(&p->lock);
	p->ended = true; /* out of the guest for good */
	acknowledge(p);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void vcpu_start(struct vcpu *vcpu, bool (*on_exit)(struct vcpu *vcpu))
{
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&p->lock);
	p->on_exit = on_exit;
	p->thread = call_on_thread(run_vcpu, vcpu);
	p->started = true;
	pthread_mutex_unlock(&p->lock);
}

/* Tells the thread, in the guest or parked, that something changed. With the lock held. */
static void tell(struct pauser *p)
{
	if (p->started && !p->ended)
		pthread_kill(p->thread, KICK_SIGNAL);
	pthread_cond_broadcast(&p->changed);
}

/* What the vCPU's thread has used of its CPU, in the guest too: ns. It grows only while it runs. */
static uint64_t cpu_time(struct pauser *p)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (!p->ended && pthread_getcpuclockid(p->thread, &clock) == 0)
		clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void wait_for(struct vcpu *vcpu, unsigned request)
{
	struct pauser *p = vcpu->pauser;
	uint64_t start = 0;

	if (!p->started)
		error("a pause can be waited for only after vcpu_start()");
	start = cpu_time(p);
	while ((int)(p->acknowledged - request) < 0) {
		struct timespec soon;

		clock_gettime(CLOCK_MONOTONIC, &soon);
		soon.tv_sec++;
		pthread_cond_clockwait(&p->changed, &p->lock, CLOCK_MONOTONIC, &soon);
		if ((int)(p->acknowledged - request) < 0 && cpu_time(p) > start + IGNORED_AFTER)
			case_fail(vcpu, HERE, "the vCPU leaves the guest when it is kicked",
				  "its thread ran on without acknowledging request %u", request);
	}
}

void vcpu_pause(struct vcpu *vcpu, bool wait)
{
	struct pauser *p = pauser_of(vcpu);
	unsigned mine;

	pthread_mutex_lock(&p->lock);
	mine = ++p->requested;
	if (p->ended)
		acknowledge(p);
	tell(p);
	if (wait)
		wait_for(vcpu, mine);
	pthread_mutex_unlock(&p->lock);
}

void vcpu_resume(struct vcpu *vcpu)
{
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&p->lock);
	if (p->resumed == p->requested)
		error("vcpu_resume() without vcpu_pause()");
	p->resumed++;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void vcpu_wait_for_acknowledgement(struct vcpu *vcpu)
{
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&p->lock);
	wait_for(vcpu, p->requested);
	pthread_mutex_unlock(&p->lock);
}

void vcpu_stop(struct vcpu *vcpu)
{
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	tell(p);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
}

unsigned vcpu_pauses_requested(struct vcpu *vcpu)
{
	return __atomic_load_n(&pauser_of(vcpu)->requested, __ATOMIC_ACQUIRE);
}

unsigned vcpu_pauses_acknowledged(struct vcpu *vcpu)
{
	return __atomic_load_n(&pauser_of(vcpu)->acknowledged, __ATOMIC_ACQUIRE);
}
