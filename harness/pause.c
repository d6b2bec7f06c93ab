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

/* What the vCPU's thread is to do outside of the guest: work, or else acknowledge a pause. */
struct job {
	struct job *next;
	void (*work)(struct vcpu *vcpu, void *arg);
	void *arg;
	bool event; /* of a pause: a tool asked for it */
};

/*
 * requested, resumed, stopping and the jobs are what others want; acknowledged is what the vCPU's
 * thread has done, cancelled what an abort has taken from it. All change under the lock.
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
	struct job *first, **end; /* the queue; *end is the NULL that ends it */
	unsigned requested, acknowledged, cancelled, resumed, aborts;
	bool started, stopping, ended;
	pthread_t thread;
	bool (*on_exit)(struct vcpu *vcpu);
};

struct event {
	struct event *next;
	struct pause_event event;
};

/* Of a VM. Locks are taken in this order: starting, a pauser's, events_lock. */
struct vm_pauser {
	pthread_mutex_t starting; /* of a vCPU, against pauses of all */
	struct vcpu *started[VCPUS_MAX];
	unsigned started_count;
	unsigned paused; /* vm_pause_all() without vm_resume_all() */
	bool allowed;

	pthread_mutex_t events_lock;
	pthread_cond_t events_changed;
	struct event *first, **end;
	unsigned events;
};

/* A kick takes microseconds. One that the thread has not heeded after this CPU time, ns, is lost. */
#define IGNORED_AFTER 1000000000ull

static void *make(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		error("out of memory");
	return p;
}

static pthread_mutex_t creating = PTHREAD_MUTEX_INITIALIZER;

static struct pauser *pauser_of(struct vcpu *vcpu)
{
	pthread_mutex_lock(&creating);
	if (!vcpu->pauser) {
		vcpu->pauser = make(sizeof *vcpu->pauser);
		pthread_mutex_init(&vcpu->pauser->lock, NULL);
		pthread_cond_init(&vcpu->pauser->changed, NULL);
		vcpu->pauser->end = &vcpu->pauser->first;
	}
	pthread_mutex_unlock(&creating);
	return vcpu->pauser;
}

static struct vm_pauser *pauser_of_vm(struct vm *vm)
{
	pthread_mutex_lock(&creating);
	if (!vm->pauser) {
		vm->pauser = make(sizeof *vm->pauser);
		pthread_mutex_init(&vm->pauser->starting, NULL);
		pthread_mutex_init(&vm->pauser->events_lock, NULL);
		pthread_cond_init(&vm->pauser->events_changed, NULL);
		vm->pauser->end = &vm->pauser->first;
	}
	pthread_mutex_unlock(&creating);
	return vm->pauser;
}

static void post_event(struct vcpu *vcpu)
{
	struct vm_pauser *v = pauser_of_vm(vcpu->vm);
	struct event *e = make(sizeof *e);

	e->event = (struct pause_event){ .vcpu = vcpu, .regs = vcpu_regs(vcpu) };
	pthread_mutex_lock(&v->events_lock);
	*v->end = e;
	v->end = &e->next;
	v->events++;
	pthread_cond_broadcast(&v->events_changed);
	pthread_mutex_unlock(&v->events_lock);
}

/* The functions from here to request_pause() are called with the vCPU's lock held. */

static void queue(struct pauser *p, struct job job)
{
	struct job *new = make(sizeof *new);

	*new = job;
	*p->end = new;
	p->end = &new->next;
}

static struct job *take_job(struct pauser *p)
{
	struct job *job = p->first;

	if (job && !(p->first = job->next))
		p->end = &p->first;
	return job;
}

/* Requests that are neither acknowledged nor cancelled. */
static unsigned queued(const struct pauser *p)
{
	return p->requested - p->acknowledged - p->cancelled;
}

static bool is_paused(const struct pauser *p)
{
	return p->requested - p->cancelled != p->resumed;
}

/* The vCPU is out of the guest, and nothing is unfinished. */
static void acknowledge(struct vcpu *vcpu, const struct job *job)
{
	vcpu->pauser->acknowledged++;
	if (job->event)
		post_event(vcpu);
	pthread_cond_broadcast(&vcpu->pauser->changed);
}

static void do_jobs(struct vcpu *vcpu)
{
	struct pauser *p = vcpu->pauser;
	struct job *job;

	while ((job = take_job(p))) {
		if (job->work) {
			pthread_mutex_unlock(&p->lock);
			job->work(vcpu, job->arg);
			pthread_mutex_lock(&p->lock);
		} else {
			acknowledge(vcpu, job);
		}
		free(job);
	}
}

/* Tells the thread, in the guest or parked, that something changed. */
static void tell(struct pauser *p)
{
	if (p->started && !p->ended)
		pthread_kill(p->thread, KICK_SIGNAL);
	pthread_cond_broadcast(&p->changed);
}

static void add_job(struct vcpu *vcpu, struct job job)
{
	struct pauser *p = vcpu->pauser;

	queue(p, job);
	if (p->ended)
		do_jobs(vcpu);
	tell(p);
}

/* Returns the number of the request. */
static unsigned request_pause(struct vcpu *vcpu, bool event)
{
	unsigned mine = ++vcpu->pauser->requested;

	add_job(vcpu, (struct job){ .event = event });
	return mine;
}

/* After EINTR: does what is queued, and waits as long as it must. Returns whether to run on. */
static bool park(struct vcpu *vcpu)
{
	struct pauser *p = vcpu->pauser;
	bool go;

	vcpu->run->immediate_exit = 0;
	pthread_mutex_lock(&p->lock);
	do_jobs(vcpu);
	while (!p->stopping && is_paused(p)) {
		pthread_cond_wait(&p->changed, &p->lock);
		do_jobs(vcpu);
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
	if (p->first || p->stopping)
		vcpu->run->immediate_exit = 1; /* asked for before there was anyone to kick */
	pthread_mutex_unlock(&p->lock);
	signal_unblock(KICK_SIGNAL);
	while (run_once(vcpu))
		;
	pthread_mutex_lock(&p->lock);
	p->ended = true; /* out of the guest for good */
	do_jobs(vcpu);
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

void vcpu_start(struct vcpu *vcpu, bool (*on_exit)(struct vcpu *vcpu))
{
	struct vm_pauser *v = pauser_of_vm(vcpu->vm);
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&v->starting);
	v->started[v->started_count++] = vcpu;
	pthread_mutex_lock(&p->lock);
	for (unsigned i = 0; i < v->paused; i++)
		request_pause(vcpu, true);
	p->on_exit = on_exit;
	p->thread = call_on_thread(run_vcpu, vcpu);
	p->started = true;
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&v->starting);
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

/* With the lock held. Returns 0, or -ECANCELED if there was an abort meanwhile. */
static int wait_for(struct vcpu *vcpu, unsigned request)
{
	struct pauser *p = vcpu->pauser;
	unsigned aborts = p->aborts;
	uint64_t start = 0;

	if (!p->started)
		error("a pause can be waited for only after vcpu_start()");
	start = cpu_time(p);
	while ((int)(p->acknowledged + p->cancelled - request) < 0) {
		struct timespec soon;

		clock_gettime(CLOCK_MONOTONIC, &soon);
		soon.tv_sec++;
		pthread_cond_clockwait(&p->changed, &p->lock, CLOCK_MONOTONIC, &soon);
		if ((int)(p->acknowledged + p->cancelled - request) < 0 &&
		    cpu_time(p) > start + IGNORED_AFTER)
			case_fail(vcpu, HERE, "the vCPU leaves the guest when it is kicked",
				  "its thread ran on without acknowledging request %u", request);
	}
	return p->aborts == aborts ? 0 : -ECANCELED;
}

void vcpu_pause(struct vcpu *vcpu, bool wait)
{
	struct pauser *p = pauser_of(vcpu);
	unsigned mine;

	pthread_mutex_lock(&p->lock);
	mine = request_pause(vcpu, false);
	if (wait)
		wait_for(vcpu, mine);
	pthread_mutex_unlock(&p->lock);
}

void vcpu_resume(struct vcpu *vcpu)
{
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&p->lock);
	if (!is_paused(p))
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

void vcpu_queue_work(struct vcpu *vcpu, void (*work)(struct vcpu *vcpu, void *arg), void *arg)
{
	struct pauser *p = pauser_of(vcpu);

	pthread_mutex_lock(&p->lock);
	add_job(vcpu, (struct job){ .work = work, .arg = arg });
	pthread_mutex_unlock(&p->lock);
}

/* For tools. */

static struct vcpu *find_vcpu(const struct vm *vm, uint32_t id)
{
	for (unsigned i = 0; i < __atomic_load_n(&vm->vcpu_count, __ATOMIC_ACQUIRE); i++)
		if (vm->vcpus[i]->id == id)
			return vm->vcpus[i];
	return NULL;
}

static bool may_pause(struct vm *vm)
{
	return __atomic_load_n(&pauser_of_vm(vm)->allowed, __ATOMIC_ACQUIRE);
}

/* With the lock held. */
static int check_pause(const struct pauser *p)
{
	if (!p->started || p->ended)
		return -EAGAIN;
	return queued(p) < PAUSES_QUEUED_MAX ? 0 : -EBUSY;
}

int vm_request_pause(struct vm *vm, const struct pause_request *request)
{
	static const uint8_t zero[sizeof request->reserved];
	struct vcpu *vcpu = find_vcpu(vm, request->vcpu_id);
	struct pauser *p;
	int result;

	if (!vcpu || memcmp(request->reserved, zero, sizeof zero) != 0)
		return -EINVAL;
	if (!may_pause(vm))
		return -EPERM;
	p = pauser_of(vcpu);
	pthread_mutex_lock(&p->lock);
	result = check_pause(p);
	if (result == 0) {
		unsigned mine = request_pause(vcpu, true);

		if (request->wait)
			result = wait_for(vcpu, mine);
	}
	pthread_mutex_unlock(&p->lock);
	return result;
}

void vm_allow_pause_events(struct vm *vm, bool allow)
{
	__atomic_store_n(&pauser_of_vm(vm)->allowed, allow, __ATOMIC_RELEASE);
}

int vm_pause_all(struct vm *vm, bool wait)
{
	struct vm_pauser *v = pauser_of_vm(vm);
	unsigned count, mine[VCPUS_MAX];

	if (!may_pause(vm))
		return -EPERM;
	pthread_mutex_lock(&v->starting);
	v->paused++;
	count = v->started_count;
	for (unsigned i = 0; i < count; i++) {
		pthread_mutex_lock(&v->started[i]->pauser->lock);
		mine[i] = request_pause(v->started[i], true);
		pthread_mutex_unlock(&v->started[i]->pauser->lock);
	}
	pthread_mutex_unlock(&v->starting);
	for (unsigned i = 0; wait && i < count; i++) {
		pthread_mutex_lock(&v->started[i]->pauser->lock);
		wait_for(v->started[i], mine[i]);
		pthread_mutex_unlock(&v->started[i]->pauser->lock);
	}
	return (int)count;
}

void vm_resume_all(struct vm *vm)
{
	struct vm_pauser *v = pauser_of_vm(vm);

	pthread_mutex_lock(&v->starting);
	if (v->paused == 0)
		error("vm_resume_all() without vm_pause_all()");
	v->paused--;
	for (unsigned i = 0; i < v->started_count; i++)
		vcpu_resume(v->started[i]);
	pthread_mutex_unlock(&v->starting);
}

static void abort_pauses(struct vcpu *vcpu)
{
	struct pauser *p = vcpu->pauser;
	struct job *job;

	pthread_mutex_lock(&p->lock);
	p->cancelled += queued(p);
	p->resumed = p->requested - p->cancelled;
	p->aborts++;
	while ((job = take_job(p)))
		free(job);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

void vm_abort_pauses(struct vm *vm)
{
	struct vm_pauser *v = pauser_of_vm(vm);

	pthread_mutex_lock(&v->starting);
	v->paused = 0;
	for (unsigned i = 0; i < v->started_count; i++)
		abort_pauses(v->started[i]);
	pthread_mutex_unlock(&v->starting);
}

struct pause_event vm_next_pause_event(struct vm *vm)
{
	struct vm_pauser *v = pauser_of_vm(vm);
	struct pause_event event;
	struct event *e;

	pthread_mutex_lock(&v->events_lock);
	while (!(e = v->first))
		pthread_cond_wait(&v->events_changed, &v->events_lock);
	if (!(v->first = e->next))
		v->end = &v->first;
	v->events--;
	pthread_mutex_unlock(&v->events_lock);
	event = e->event;
	free(e);
	return event;
}

unsigned vm_pause_events(struct vm *vm)
{
	return __atomic_load_n(&pauser_of_vm(vm)->events, __ATOMIC_ACQUIRE);
}
