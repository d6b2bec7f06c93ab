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
#include <sys/syscall.h>
#include <unistd.h>

/*
 * requested, resumed and stopping are what others want; acknowledged is what the vCPU's thread has
 * done. All change under the lock. A requester that finds the thread started kicks it: the signal's
 * handler sets immediate_exit, so a kick that comes just before KVM_RUN is not lost.
 */
struct pauser {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned requested, acknowledged, resumed;
	bool started, stopping, ended;
	pthread_t thread;
	bool (*on_exit)(struct vcpu *vcpu);
};

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

/* Out of the guest: acknowledges, and waits as long as it must. Returns whether to run on. */
static bool may_enter(struct vcpu *vcpu)
{
	struct pauser *p = vcpu->pauser;
	bool go;

	pthread_mutex_lock(&p->lock);
	vcpu->run->immediate_exit = 0; /* whoever set it has changed a counter first */
	while (!p->stopping && p->requested != p->resumed) {
		p->acknowledged = p->requested;
		pthread_cond_broadcast(&p->changed);
		pthread_cond_wait(&p->changed, &p->lock);
	}
	p->acknowledged = p->requested;
	pthread_cond_broadcast(&p->changed);
	go = !p->stopping;
	pthread_mutex_unlock(&p->lock);
	return go;
}

static bool handle_exit(struct vcpu *vcpu, int result)
{
	struct pauser *p = vcpu->pauser;

	if (result == -EINTR)
		return true;
	if (result == 0 && p->on_exit)
		return p->on_exit(vcpu);
	case_fail(vcpu, HERE, "the vCPU runs until it is stopped", "%s",
		  result ? errno_name(-result) : exit_name(vcpu->run->exit_reason));
}

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	struct pauser *p = vcpu->pauser;

	kick_prepare(vcpu, KICK_SETS_IMMEDIATE_EXIT, 0);
	signal_unblock(KICK_SIGNAL);
	while (may_enter(vcpu) && handle_exit(vcpu, vcpu_run(vcpu)))
		;
	pthread_mutex_lock(&p->lock);
	p->ended = true; /* nobody need wait for it any more */
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void vcpu_start(struct vcpu *vcpu, bool (*on_exit)(struct vcpu *vcpu))
{
	struct pauser *p = pauser_of(vcpu);
	int err;

	p->on_exit = on_exit;
	signal_block(KICK_SIGNAL); /* the thread unblocks it when its handler is there */
	pthread_mutex_lock(&p->lock);
	err = pthread_create(&p->thread, NULL, run_vcpu, vcpu);
	p->started = !err;
	pthread_mutex_unlock(&p->lock);
	signal_unblock(KICK_SIGNAL);
	if (err)
		error("pthread_create: %s", strerror(err));
}

static void kick(struct pauser *p)
{
	if (p->started)
		pthread_kill(p->thread, KICK_SIGNAL);
}

void vcpu_pause(struct vcpu *vcpu, bool wait)
{
	struct pauser *p = pauser_of(vcpu);
	unsigned mine;

	pthread_mutex_lock(&p->lock);
	mine = ++p->requested;
	kick(p);
	pthread_cond_broadcast(&p->changed); /* it may be parked: then it acknowledges from there */
	while (wait && !p->ended && (int)(p->acknowledged - mine) < 0)
		pthread_cond_wait(&p->changed, &p->lock);
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

void vcpu_stop(struct vcpu *vcpu)
{
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	kick(p);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	pthread_join(p->thread, NULL);
	p->started = false;
}

unsigned vcpu_pauses_requested(struct vcpu *vcpu)
{
	return __atomic_load_n(&pauser_of(vcpu)->requested, __ATOMIC_ACQUIRE);
}

unsigned vcpu_pauses_acknowledged(struct vcpu *vcpu)
{
	return __atomic_load_n(&pauser_of(vcpu)->acknowledged, __ATOMIC_ACQUIRE);
}
