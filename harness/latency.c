// SPDX-License-Identifier: MIT
#include "latency.h"

#include "case.h"
#include "expect.h"
#include "kick.h"
#include "names.h"
#include "runner/clock.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Distributions */

#define FIRST_OCTAVE 6 /* the first bucket begins at 64 ns */

uint32_t bucket_start(unsigned bucket)
{
	return (4u + bucket % 4) << (FIRST_OCTAVE - 2 + bucket / 4);
}

static unsigned bucket_of(uint32_t ns)
{
	unsigned octave;

	if (ns < bucket_start(0))
		return 0;
	octave = 31 - __builtin_clz(ns);
	return (octave - FIRST_OCTAVE) * 4 + (ns >> (octave - 2) & 3);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void distribution_of(struct distribution *d, uint32_t *samples, size_t n)
{
	*d = (struct distribution){ .count = n };
	if (!n)
		return;
	qsort(samples, n, sizeof *samples, compare);
	d->min = samples[0];
	d->p10 = samples[n / 10];
	d->p50 = samples[n / 2];
	d->p90 = samples[n * 9 / 10];
	d->p99 = samples[n * 99 / 100];
	d->max = samples[n - 1];
	for (size_t i = 0; i < n; i++)
		d->buckets[bucket_of(samples[i])]++;
}

bool is_noisy(const struct measurement *m)
{
	return m->baseline.p90 / 4 > m->baseline.p50;
}

static uint32_t percent(uint32_t value, uint32_t of)
{
	uint64_t result = of ? (uint64_t)value * 100 / of : 0;

	return result < UINT32_MAX ? result : UINT32_MAX;
}

uint32_t median_ratio(const struct measurement *m)
{
	return percent(m->value.p50, m->baseline.p50);
}

uint32_t judged_ratio(const struct measurement *m)
{
	uint32_t median = median_ratio(m), tenth = percent(m->value.p10, m->baseline.p10);

	return median < tenth ? median : tenth;
}

/* The median of the time between two reads, of which one is in each sample. */
static uint32_t clock_cost(void)
{
	uint32_t samples[100];
	struct distribution d;

	for (size_t i = 0; i < 100; i++) {
		uint64_t first = now_ns();

		samples[i] = now_ns() - first;
	}
	distribution_of(&d, samples, 100);
	return d.p50;
}

struct measurement *measurement_new(const char *name)
{
	struct measurement *m;

	if (evidence->measurement_count == EVIDENCE_MEASUREMENTS)
		error("more than %d measurements", EVIDENCE_MEASUREMENTS);
	m = &evidence->measurements[evidence->measurement_count++];
	snprintf(m->name, sizeof m->name, "%s", name);
	m->clock = clock_cost();
	return m;
}

/* CPUs */

int usable_cpu(unsigned n)
{
	static cpu_set_t cpus; /* as they were before we chose any */

	if (CPU_COUNT(&cpus) == 0 && sched_getaffinity(0, sizeof cpus, &cpus) != 0)
		error("sched_getaffinity: %s", strerror(errno));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) && n-- == 0)
			return cpu;
	return NO_CPU;
}

/* The calling thread. */
static void run_on_cpu(int cpu)
{
	cpu_set_t cpus;

	if (cpu == NO_CPU)
		return;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
		error("sched_setaffinity to CPU %d: %s", cpu, strerror(errno));
}

/* The calling thread; 0: as all others. Without permission things stay as they are. */
static void set_priority(int priority)
{
	struct sched_param parameter = { .sched_priority = priority };

	sched_setscheduler(0, priority ? SCHED_FIFO : SCHED_OTHER, &parameter);
}

static bool keep_busy;

static void *turn(void *cpu)
{
	run_on_cpu((int)(intptr_t)cpu);
	while (__atomic_load_n(&keep_busy, __ATOMIC_RELAXED))
		;
	return NULL;
}

void keep_cpus_busy(bool busy)
{
	static pthread_t threads[CPU_SETSIZE];
	static unsigned count;

	__atomic_store_n(&keep_busy, busy, __ATOMIC_RELAXED);
	while (count && !busy)
		pthread_join(threads[--count], NULL);
	while (busy && usable_cpu(count) != NO_CPU) {
		void *cpu = (void *)(intptr_t)usable_cpu(count);

		threads[count++] = call_on_thread(turn, cpu);
	}
}

/* Kicks */

const char *const kick_how_names[KICK_HOWS] = {
	[KICK_IMMEDIATE_EXIT] = "immediate_exit",
	[KICK_SIGNAL_MASK] = "signal_mask",
	[KICK_BY_TIMER] = "timer",
	[KICK_BY_PROCESS] = "process",
	[KICK_BY_IRQFD] = "irqfd",
};

/*
 * A kick is lost if at so many looks after it KVM_RUN has not returned, and the guest has changed its
 * counter between two of them. If the vCPU slept, it must sleep on, or have had that much time of a
 * CPU: a thread that the signal only wakes may try the same again and again.
 */
#define LOST_AFTER 25
#define LOST_EVERY 2000 /* us */
#define LOST_TIME  1000 /* us, of each look */

#define LOOK_EVERY  20     /* us: whether the target is where the kick is to find it */
#define TIMER_AHEAD 100000 /* ns: a timer is set so long before it expires */
#define WARM_UP     4      /* pairs that are not kept */

/* On one CPU, the sender must come in before the target that spins there. */
enum { TARGET_PRIORITY = 1, SENDER_PRIORITY };

/*
 * Rounds: the target says that one has begun and goes where the kick is to find it; the sender sees
 * it there, and sends; the target says when it was back. Of each pair of rounds the first is the
 * baseline. Mapped so that the process that sends sees it, too.
 */
struct meter {
	struct kick_setup setup;
	const char *file; /* what a failure is reported at */
	int line;
	pid_t process, target;   /* that of the thread that is kicked */
	clockid_t target_time;   /* what it has used of its CPU */
	unsigned begun, ended;   /* rounds */
	unsigned ready;          /* senders that are, with the priority that lets them in */
	bool outside, stopping;  /* this round is the baseline's; there are no more */
	uint64_t sent_at;        /* ns */
	volatile uint32_t turns; /* what changes while the target spins in userspace */
	timer_t timer;
	int doorbell[2];   /* a pipe: tells the process to send */
	int outside_event; /* KICK_BY_IRQFD: the baseline's eventfd */
};

static unsigned get(const unsigned *word)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Tells others who sleep that there is a new value. */
static void publish(unsigned *word, unsigned value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* Sleeps until it has another value, but us microseconds at most; 0: for ever. */
static void wait_for_change(const unsigned *word, unsigned from, long us)
{
	struct timespec t = { .tv_nsec = us * 1000 };

	syscall(SYS_futex, word, FUTEX_WAIT, from, us ? &t : NULL, NULL, 0);
}

static void send_signal(struct meter *m)
{
	m->sent_at = now_ns();
	syscall(SYS_tgkill, m->process, m->target, KICK_SIGNAL);
}

static void send_by_timer(struct meter *m)
{
	struct itimerspec when = { 0 };

	m->sent_at = now_ns() + TIMER_AHEAD;
	when.it_value.tv_sec = m->sent_at / 1000000000;
	when.it_value.tv_nsec = m->sent_at % 1000000000;
	if (timer_settime(m->timer, TIMER_ABSTIME, &when, NULL) != 0)
		error("timer_settime: %s", strerror(errno));
}

static void ring(struct meter *m)
{
	if (write(m->doorbell[1], "", 1) != 1)
		error("the sending process is gone: %s", strerror(errno));
}

static void send_by_eventfd(struct meter *m)
{
	int fd = m->outside ? m->outside_event : m->setup.irqfd;

	m->sent_at = now_ns();
	if (eventfd_write(fd, 1) != 0)
		error("eventfd_write: %s", strerror(errno));
}

static void (*const send[KICK_HOWS])(struct meter *) = {
	[KICK_IMMEDIATE_EXIT] = send_signal, [KICK_SIGNAL_MASK] = send_signal,
	[KICK_BY_TIMER] = send_by_timer,     [KICK_BY_PROCESS] = ring,
	[KICK_BY_IRQFD] = send_by_eventfd,
};

/* The calling thread sends. */
static void become_sender(struct meter *m)
{
	prctl(PR_SET_TIMERSLACK, 1);
	run_on_cpu(m->setup.sender_cpu);
	if (m->setup.first)
		set_priority(SENDER_PRIORITY);
	publish(&m->ready, get(&m->ready) + 1); /* the process is first, then the thread */
}

/* The process that sends: until the pipe's other end is closed, as it is when the case ends. */
static _Noreturn void send_when_rung(struct meter *m)
{
	char byte;

	close(m->doorbell[1]);
	become_sender(m);
	while (read(m->doorbell[0], &byte, 1) == 1)
		send_signal(m);
	_exit(0);
}

/* What changes while the target is where it is to be; NULL if it sleeps there. */
static volatile uint32_t *progress_of(struct meter *m)
{
	if (m->setup.sleeps)
		return NULL;
	return m->outside ? &m->turns : guest_counter(m->setup.vcpu);
}

static bool is_blocked(pid_t thread)
{
	char state = thread_state(thread);

	return state == 'S' || state == 'D'; /* D: it waits for memory */
}

static void wait_until_there(struct meter *m)
{
	volatile uint32_t *progress = progress_of(m);

	if (progress)
		*progress = 0;
	sleep_us(LOOK_EVERY);
	wait_until(progress ? *progress != 0 : is_blocked(m->target));
}

static uint64_t time_of_target(const struct meter *m)
{
	struct timespec t;

	if (clock_gettime(m->target_time, &t) != 0)
		error("clock_gettime: %s", strerror(errno));
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Whether the target, which slept, sleeps on, or used its CPU since used, which it updates: ns. */
static bool is_still_there(const struct meter *m, uint64_t *used)
{
	uint64_t before = *used;

	*used = time_of_target(m);
	return is_blocked(m->target) || *used - before > LOST_TIME * 1000;
}

static void wait_until_back(struct meter *m, unsigned round)
{
	volatile uint32_t *progress = progress_of(m);
	uint64_t used = time_of_target(m);

	for (int looks = 0; looks < LOST_AFTER;) {
		if (progress)
			*progress = 0;
		wait_for_change(&m->ended, round - 1, LOST_EVERY);
		if (get(&m->ended) == round)
			return;
		if (!m->outside)
			looks += progress ? *progress != 0 : is_still_there(m, &used);
	}
	if (m->setup.on_lost)
		m->setup.on_lost();
	case_fail(m->setup.vcpu, m->file, m->line, "the kick ends KVM_RUN",
		  "the vCPU %s after kick %u (%s)", progress ? "ran on" : "did not come back",
		  round / 2, kick_how_names[m->setup.how]);
}

static void *kick(void *arg)
{
	struct meter *m = arg;

	become_sender(m);
	for (unsigned round = 1;; round++) {
		while (get(&m->begun) != round)
			wait_for_change(&m->begun, round - 1, 0);
		if (m->stopping)
			return NULL;
		wait_until_there(m);
		send[m->setup.how](m);
		wait_until_back(m, round);
	}
}

/* Whether this return of KVM_RUN is what the kick is for. */
static bool is_kicked(const struct meter *m, int result)
{
	if (m->setup.how == KICK_BY_IRQFD)
		return result == 0 && m->setup.vcpu->run->exit_reason == KVM_EXIT_IO;
	return result == -EINTR;
}

/* Runs the guest until it is kicked. Returns when KVM_RUN returned: ns. */
static uint64_t stay_in_guest(struct meter *m)
{
	struct vcpu *vcpu = m->setup.vcpu;

	for (;;) {
		int result = vcpu_run(vcpu);
		uint64_t at = now_ns();

		if (is_kicked(m, result))
			return at;
		if (result != 0)
			case_fail(vcpu, m->file, m->line, "KVM_RUN runs the guest until the kick",
				  "KVM_RUN fails with %s", errno_name(-result));
		if (m->setup.on_exit)
			m->setup.on_exit(vcpu);
	}
}

/* The baseline. signals: how many had come before. */
static uint64_t stay_outside(struct meter *m, unsigned signals)
{
	eventfd_t value;

	if (m->setup.how == KICK_BY_IRQFD)
		eventfd_read(m->outside_event, &value);
	else if (m->setup.sleeps)
		pause();
	else
		while (signal_count(KICK_SIGNAL) == signals)
			m->turns++;
	return now_ns();
}

/* A kick that KVM's mask let in is still pending. */
static void eat_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, KICK_SIGNAL);
	if (sigtimedwait(&set, NULL, &(struct timespec){ 0 }) != KICK_SIGNAL)
		fail("the signal that ended KVM_RUN is still pending", "it is not");
}

static uint32_t sample(struct meter *m, bool outside)
{
	bool masked = m->setup.how == KICK_SIGNAL_MASK;
	unsigned round = m->begun + 1, signals = signal_count(KICK_SIGNAL);
	uint64_t at, taken;

	if (masked && outside)
		signal_unblock(KICK_SIGNAL);
	m->outside = outside;
	m->setup.vcpu->run->immediate_exit = 0;
	publish(&m->begun, round);
	at = outside ? stay_outside(m, signals) : stay_in_guest(m);
	taken = at > m->sent_at ? at - m->sent_at : 0; /* a timer's clock may be a tick behind */
	if (masked && outside)
		signal_block(KICK_SIGNAL);
	else if (masked)
		eat_signal();
	publish(&m->ended, round);
	return taken < UINT32_MAX ? taken : UINT32_MAX;
}

static void prepare_signals(struct meter *m)
{
	struct vcpu *vcpu = m->setup.vcpu;

	if (m->setup.how == KICK_BY_IRQFD)
		return;
	kick_prepare(vcpu);
	if (m->setup.how != KICK_SIGNAL_MASK)
		return;
	signal_block(KICK_SIGNAL);
	set_kvm_mask(vcpu, SIGUSR2);
}

static void wait_until_ready(struct meter *m, unsigned senders)
{
	for (unsigned ready; (ready = get(&m->ready)) < senders;)
		wait_for_change(&m->ready, ready, 0);
}

static void prepare_sender(struct meter *m)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL };
	pid_t pid;

	event._sigev_un._tid = m->target;
	if (m->setup.how == KICK_BY_TIMER && timer_create(CLOCK_MONOTONIC, &event, &m->timer) != 0)
		error("timer_create: %s", strerror(errno));
	m->outside_event = eventfd(0, EFD_CLOEXEC);
	if (m->outside_event < 0 || pipe(m->doorbell) != 0)
		error("eventfd or pipe: %s", strerror(errno));
	if (m->setup.how != KICK_BY_PROCESS)
		return;
	pid = fork();
	if (pid < 0)
		error("fork: %s", strerror(errno));
	if (pid == 0)
		send_when_rung(m);
	wait_until_ready(m, 1);
}

static struct meter *start(const char *file, int line, const struct kick_setup *setup,
			   pthread_t *sender)
{
	struct meter *m =
		mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		error("cannot map memory: %s", strerror(errno));
	*m = (struct meter){
		.setup = *setup, .file = file, .line = line, .process = getpid(), .target = gettid()
	};
	if (pthread_getcpuclockid(pthread_self(), &m->target_time) != 0)
		error("pthread_getcpuclockid: %s", strerror(errno));
	run_on_cpu(setup->vcpu_cpu);
	prepare_signals(m);
	prepare_sender(m);
	*sender = call_on_thread(kick, m);
	wait_until_ready(m, setup->how == KICK_BY_PROCESS ? 2 : 1);
	if (setup->first)
		set_priority(TARGET_PRIORITY);
	return m;
}

static void stop(struct meter *m, pthread_t sender)
{
	m->stopping = true;
	publish(&m->begun, m->begun + 1);
	pthread_join(sender, NULL);
	if (m->setup.first)
		set_priority(0);
	if (m->setup.how == KICK_BY_TIMER)
		timer_delete(m->timer);
	close(m->doorbell[0]);
	close(m->doorbell[1]);
	close(m->outside_event);
	munmap(m, sizeof *m);
}

void measure_kicks_(const char *file, int line, const struct kick_setup *setup,
		    struct measurement *to)
{
	size_t size = setup->samples * sizeof(uint32_t);
	uint32_t *values = malloc(size), *baselines = malloc(size);
	pthread_t sender;
	struct meter *m = start(file, line, setup, &sender);
	uint64_t deadline;
	size_t n = 0;

	if (!values || !baselines)
		error("out of memory");
	for (int i = 0; i < WARM_UP; i++) {
		sample(m, true);
		sample(m, false);
	}
	for (deadline = now_ns() + setup->seconds * 1e9; n < setup->samples && now_ns() < deadline;
	     n++) {
		baselines[n] = sample(m, true);
		values[n] = sample(m, false);
	}
	stop(m, sender);
	to->looks++;
	distribution_of(&to->baseline, baselines, n);
	distribution_of(&to->value, values, n);
	free(values);
	free(baselines);
}

/* One case at a time judges: two of them would keep each other from their CPU. Until the case ends. */
static void take_turn(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || flock(fd, LOCK_EX) != 0)
		error("cannot lock /proc/self/exe: %s", strerror(errno));
}

#define LOOKS         3
#define FIRST_SAMPLES 64 /* each look takes twice as many as the one before */

void expect_kick_latency_(const char *file, int line, struct kick_setup setup, const char *name)
{
	struct measurement *m = measurement_new(name);

	take_turn();
	m->limit_percent = kick_limit(name);
	setup.first = true;
	setup.seconds = 1e9;
	for (setup.samples = rounds(FIRST_SAMPLES, 16); m->looks < LOOKS; setup.samples *= 2) {
		measure_kicks_(file, line, &setup, m);
		if (judged_ratio(m) <= m->limit_percent)
			return;
	}
	case_fail(
		setup.vcpu, file, line,
		"a kick takes at most so many times what the same signal takes outside of KVM_RUN "
		"as cases/kick_limits.tsv allows",
		"%s: limit %.1f, medians %.1f (%u ns to %u ns), lowest tenths %.1f, in %u samples, "
		"at look %u",
		name, m->limit_percent / 100., median_ratio(m) / 100., m->value.p50,
		m->baseline.p50, percent(m->value.p10, m->baseline.p10) / 100., m->value.count,
		m->looks);
}
