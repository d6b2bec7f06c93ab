// SPDX-License-Identifier: MIT
/*
 * api.rst says of immediate_exit (5. The kvm_run structure) that it avoids KVM_SET_SIGNAL_MASK,
 * "which has worse scalability": with a mask each KVM_RUN changes the thread's signal mask and
 * restores it, under a lock that all threads of the process share. These cases put numbers to that,
 * on request (`make latency`): the value of each measurement is with the mask, its baseline with
 * immediate_exit, taken by turns, for so many vCPUs as its name says. They judge nothing else.
 */
#include "kvmspec.h"

#include "runner/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

GUEST(long64, count_and_halt);
GUEST(long64, spin);

#define ROUNDS  100 /* at most, of each kind */
#define SECONDS 2   /* for each number of vCPUs; then the rounds are over */
#define CYCLES  512 /* of all vCPUs together, in each round */

struct crew;

/* What each vCPU's thread does in a cycle, and the main thread meanwhile. */
struct workload {
	const struct guest_image *image;
	void (*cycle)(struct vcpu *vcpu, bool masked);
	void (*meanwhile)(struct crew *crew); /* NULL: a round has CYCLES cycles; else one a vCPU */
};

/* The threads of some vCPUs, and the main thread, who meet at the barrier. */
struct crew {
	const struct workload *workload;
	struct vm *vm;
	unsigned size;
	bool masked, dismissed; /* for the round that begins */
	uint64_t begun, ended;  /* when the first thread did, or the kicks; the last thread: ns */
	pthread_barrier_t barrier;
	pthread_t threads[VCPUS_MAX];
	pid_t tids[VCPUS_MAX];
};

struct member {
	struct crew *crew;
	unsigned index;
};

static void kick_thread(pid_t tid)
{
	syscall(SYS_tgkill, getpid(), tid, KICK_SIGNAL);
}

static void run_to_exit(struct vcpu *vcpu, bool masked)
{
	(void)masked;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

/* A kick ends the run; what it leaves behind is cleared. */
static void run_to_kick(struct vcpu *vcpu, bool masked)
{
	static const struct timespec now;
	sigset_t set;

	expect_run_errno(vcpu, EINTR);
	vcpu->run->immediate_exit = 0;
	if (!masked)
		return;
	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	sigtimedwait(&set, NULL, &now);
}

static void kick_myself(struct vcpu *vcpu, bool masked)
{
	kick_thread(gettid());
	run_to_kick(vcpu, masked);
}

static void kick_all(struct crew *crew)
{
	for (unsigned i = 0; i < crew->size; i++)
		wait_until(vcpu_runner(crew->vm->vcpus[i]));
	wait_for_progress(guest_counter(crew->vm->vcpus[0]));
	crew->begun = now_ns();
	for (unsigned i = 0; i < crew->size; i++)
		kick_thread(crew->tids[i]);
}

static void choose_way(struct vcpu *vcpu, bool masked)
{
	if (masked) {
		signal_block(KICK_SIGNAL);
		set_kvm_mask(vcpu, SIGUSR2);
	} else {
		signal_unblock(KICK_SIGNAL);
		x(vcpu, KVM_SET_SIGNAL_MASK, NULL);
	}
}

static unsigned cycles_of(const struct crew *crew)
{
	return crew->workload->meanwhile ? 1 : CYCLES / crew->size;
}

/* The first thread that is here. */
static void note_begin(struct crew *crew)
{
	uint64_t nothing = 0;

	__atomic_compare_exchange_n(&crew->begun, &nothing, now_ns(), false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

static void *serve(void *arg)
{
	struct member *member = arg;
	struct crew *crew = member->crew;
	struct vcpu *vcpu = crew->vm->vcpus[member->index];

	crew->tids[member->index] = gettid();
	kick_prepare(vcpu);
	for (;;) {
		pthread_barrier_wait(&crew->barrier);
		if (crew->dismissed)
			break;
		choose_way(vcpu, crew->masked);
		pthread_barrier_wait(&crew->barrier);
		note_begin(crew);
		for (unsigned i = 0; i < cycles_of(crew); i++)
			crew->workload->cycle(vcpu, crew->masked);
		__atomic_store_n(&crew->ended, now_ns(), __ATOMIC_SEQ_CST); /* the last one stays */
		pthread_barrier_wait(&crew->barrier);
	}
	free(member);
	return NULL;
}

/* Returns what a round took: ns for each cycle of any vCPU, or for all of them to be kicked out. */
static uint32_t time_round(struct crew *crew, bool masked)
{
	uint64_t taken;

	crew->masked = masked;
	crew->begun = 0;
	pthread_barrier_wait(&crew->barrier);
	pthread_barrier_wait(&crew->barrier);
	if (crew->workload->meanwhile)
		crew->workload->meanwhile(crew);
	pthread_barrier_wait(&crew->barrier);
	taken = crew->ended - crew->begun;
	if (!crew->workload->meanwhile)
		taken /= cycles_of(crew) * crew->size;
	return taken < UINT32_MAX ? taken : UINT32_MAX;
}

static void measure(struct vm *vm, const struct workload *workload, unsigned size)
{
	struct crew *crew = calloc(1, sizeof *crew);
	uint32_t masked[ROUNDS], immediate[ROUNDS];
	struct measurement *m;
	unsigned rounds = 0;
	uint64_t deadline;
	char name[32];

	if (!crew)
		error("out of memory");
	snprintf(name, sizeof name, "%u vCPUs", size);
	m = measurement_new(name);
	*crew = (struct crew){ .workload = workload, .vm = vm, .size = size };
	pthread_barrier_init(&crew->barrier, NULL, size + 1);
	for (unsigned i = 0; i < size; i++) {
		struct member *member = calloc(1, sizeof *member);

		if (!member)
			error("out of memory");
		*member = (struct member){ crew, i };
		crew->threads[i] = call_on_thread(serve, member);
	}
	time_round(crew, false); /* to warm up */
	deadline = now_ns() + SECONDS * 1000000000ull;
	for (; rounds < ROUNDS && now_ns() < deadline; rounds++) {
		immediate[rounds] = time_round(crew, false);
		masked[rounds] = time_round(crew, true);
	}
	crew->dismissed = true;
	pthread_barrier_wait(&crew->barrier);
	for (unsigned i = 0; i < size; i++)
		pthread_join(crew->threads[i], NULL);
	free(crew);
	m->looks = 1;
	distribution_of(&m->baseline, immediate, rounds);
	distribution_of(&m->value, masked, rounds);
}

static void measure_growing(const struct workload *workload)
{
	struct vm *vm = boot(workload->image)->vm;

	for (unsigned id = 1; id < VCPUS_MAX; id++)
		vcpu_enter(vcpu_create(vm, id), workload->image->mode, vm->entry);
	for (unsigned size = 1; size <= VCPUS_MAX; size *= 2)
		measure(vm, workload, size);
}

#define NEEDS_VCPUS                                                                                \
	.timeout = 300, .on_request = true,                                                        \
	.needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CAP_AT_LEAST(KVM_CAP_MAX_VCPUS, VCPUS_MAX) }

/* Nobody kicks: what having the mask costs. */
CASE(scalability, runs_to_an_exit, .contract = "exit.hlt.userspace_irqchip", NEEDS_VCPUS)
{
	measure_growing(&(struct workload){ &guest_long64_count_and_halt, run_to_exit, NULL });
}

CASE(scalability, kicks_before_the_entry, .contract = "signals.eintr", NEEDS_VCPUS)
{
	measure_growing(&(struct workload){ &guest_long64_count_and_halt, kick_myself, NULL });
}

CASE(scalability, pauses_of_all_vcpus, .contract = "signals.eintr", NEEDS_VCPUS)
{
	measure_growing(&(struct workload){ &guest_long64_spin, run_to_kick, kick_all });
}
