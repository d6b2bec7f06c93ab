// SPDX-License-Identifier: MIT
/*
 * The classic race: a signal that lands between userspace's last look and the entry of the guest.
 * With a handler that sets immediate_exit it is never lost (api.rst, 5. The kvm_run structure:
 * immediate_exit). Each round runs the vCPU once, and one kick, aimed at the instant of the entry,
 * must end it: the guest by itself never does.
 *
 * The aim corrects itself: a kick that came before KVM looked at immediate_exit makes the next one
 * come later, any other makes it come earlier. So on every machine the kicks crowd around the entry.
 *
 * One case of area signals runs with all others; area stress has the long ones: `make stress`.
 */
#include "kvmspec.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

GUEST(long64, spin);

#define UNTOUCHED 0xffffffffu /* an exit reason that KVM never gives */

/*
 * A kick is lost if at so many looks after it was sent KVM_RUN has not returned, and the guest has
 * counted on. The first interrupt of the host's that found the guest running would have been enough.
 */
#define LOST_AFTER 25
#define LOOK_EVERY 2000 /* us */

enum kicker { BY_TIMER, BY_THREAD, BY_ITSELF };

struct race {
	struct vcpu *vcpu;
	volatile uint32_t *counter;
	pid_t tid; /* of the vCPU's thread */
	enum kicker kicker;
	timer_t timer;
	unsigned aim; /* BY_TIMER: nanoseconds; BY_THREAD: turns of a loop */
	uint64_t random;

	/* Rounds in which: a kick was asked for, sent, ended KVM_RUN; found lost. */
	unsigned asked, sent, seen, lost;
	unsigned delay; /* of the kick that is asked for, as aim */
	unsigned kicker_sleeps;
	/* Where they landed. */
	unsigned before_entry, after_entry;
};

static unsigned get(const unsigned *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void set(unsigned *p, unsigned value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static void send_kick(const struct race *race)
{
	syscall(SYS_tgkill, getpid(), race->tid, KICK_SIGNAL);
}

/* Returns whether the kick for round seen + 1 is lost; false when KVM_RUN has returned. */
static bool is_lost(const struct race *race, unsigned seen)
{
	unsigned looks = 0;

	while (looks < LOST_AFTER) {
		bool sent = get(&race->sent) > seen;
		uint32_t before = *race->counter;

		sleep_us(LOOK_EVERY);
		if (get(&race->seen) != seen)
			return false;
		looks += sent && *race->counter != before;
	}
	return true;
}

/* Finds a lost kick, and kicks again to bring the vCPU out: its thread reports. */
static void *watch(void *arg)
{
	struct race *race = arg;

	while (!is_lost(race, get(&race->seen)))
		;
	set(&race->lost, 1);
	send_kick(race);
	return NULL;
}

static void futex(unsigned *word, int op, unsigned value)
{
	syscall(SYS_futex, word, op, value, NULL, NULL, 0);
}

/* For a while awake, so that the kick comes in time; then asleep, so that others can work. */
static void wait_until_asked(struct race *race, unsigned round)
{
	for (int turn = 0; turn < 20000; turn++)
		if (get(&race->asked) == round)
			return;
	__atomic_store_n(&race->kicker_sleeps, 1, __ATOMIC_SEQ_CST);
	while (get(&race->asked) != round)
		futex(&race->asked, FUTEX_WAIT_PRIVATE, round - 1);
	__atomic_store_n(&race->kicker_sleeps, 0, __ATOMIC_SEQ_CST);
}

static void *kick_when_asked(void *arg)
{
	struct race *race = arg;

	for (unsigned round = 1;; round++) {
		wait_until_asked(race, round);
		for (volatile unsigned i = 0; i < race->delay; i++)
			;
		send_kick(race);
		set(&race->sent, round);
	}
	return NULL;
}

static void ask_thread(struct race *race)
{
	__atomic_add_fetch(&race->asked, 1, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&race->kicker_sleeps, __ATOMIC_SEQ_CST))
		futex(&race->asked, FUTEX_WAKE_PRIVATE, 1);
}

static void ask_timer(struct race *race)
{
	struct itimerspec when = { .it_value.tv_nsec = race->delay + 1 };

	set(&race->asked, race->asked + 1);
	timer_settime(race->timer, 0, &when, NULL);
	set(&race->sent, race->asked);
}

static void ask_myself(struct race *race)
{
	set(&race->asked, race->asked + 1);
	raise(KICK_SIGNAL);
	set(&race->sent, race->asked);
}

static void (*const ask_for_kick[])(struct race *) = {
	[BY_TIMER] = ask_timer,
	[BY_THREAD] = ask_thread,
	[BY_ITSELF] = ask_myself,
};

/* From half of the aim to one and a half. */
static unsigned choose_delay(struct race *race)
{
	race->random ^= race->random << 13;
	race->random ^= race->random >> 7;
	race->random ^= race->random << 17;
	return race->aim / 2 + race->random % race->aim;
}

static void correct_aim(struct race *race, bool was_before_entry)
{
	if (was_before_entry) {
		race->before_entry++;
		race->aim += race->aim < 10000000 ? race->aim / 16 + 1 : 0;
	} else {
		race->after_entry++;
		race->aim -= race->aim > 16 ? race->aim / 16 : 0;
	}
}

static void begin(struct race *race)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL };

	race->counter = guest_counter(race->vcpu);
	race->tid = gettid();
	race->aim = 1000;
	race->random = 0x9e3779b97f4a7c15; /* the same sequence each time */
	event._sigev_un._tid = race->tid;
	if (race->kicker == BY_TIMER && timer_create(CLOCK_MONOTONIC, &event, &race->timer) != 0)
		error("timer_create: %s", strerror(errno));
	if (race->kicker == BY_THREAD)
		call_on_thread(kick_when_asked, race);
	call_on_thread(watch, race);
}

/* Races until so many kicks are seen, or one is lost. */
static void run_race(struct race *race, unsigned rounds)
{
	struct kvm_run *run = race->vcpu->run;

	begin(race);
	while (race->seen < rounds && !get(&race->lost)) {
		run->immediate_exit = 0;
		run->exit_reason = UNTOUCHED;
		race->delay = choose_delay(race);
		ask_for_kick[race->kicker](race);
		expect_run_errno(race->vcpu, EINTR);
		expect_equal(signal_count(KICK_SIGNAL), race->asked + race->lost);
		correct_aim(race, run->exit_reason == UNTOUCHED);
		set(&race->seen, race->seen + 1);
	}
}

static void expect_no_kick_lost(enum kicker kicker, unsigned rounds)
{
	struct race *race = calloc(1, sizeof *race); /* its threads outlive us */

	if (!race)
		error("out of memory");
	race->vcpu = boot(spin);
	race->kicker = kicker;
	kick_prepare(race->vcpu);
	run_race(race, rounds);
	if (race->lost)
		fail("every kick ends a KVM_RUN",
		     "of %u kicks the last was lost: the guest counted on after it; %u others came "
		     "before the entry, %u after it",
		     race->asked, race->before_entry, race->after_entry - 1);
	if (kicker == BY_TIMER && (!race->before_entry || !race->after_entry))
		error("the kicks missed the entry: %u came before it, %u after", race->before_entry,
		      race->after_entry);
}

CASE(signals, ten_thousand_kicks_by_a_timer, .contract = "signals.window.race", .timeout = 120,
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	expect_no_kick_lost(BY_TIMER, 10000);
}

CASE(signals, two_thousand_kicks_by_a_thread, .contract = "signals.window.race", .timeout = 120,
     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CPUS(2) })
{
	expect_no_kick_lost(BY_THREAD, 2000);
}

/* That the race would be seen to be lost: without immediate_exit, and a kick just before the entry. */
CASE(signals, race_without_immediate_exit_is_lost, .contract = "signals.window.lost", .timeout = 60)
{
	struct race *race = calloc(1, sizeof *race);

	if (!race)
		error("out of memory");
	race->vcpu = boot(spin);
	race->kicker = BY_ITSELF;
	signal_handle(KICK_SIGNAL, 0);
	run_race(race, 10);
	expect_equal(race->asked, 1);
	expect_equal(race->lost, 1);
}

CASE(stress, a_million_kicks_by_a_timer, .contract = "signals.window.race", .on_request = true,
     .timeout = 3600, .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	expect_no_kick_lost(BY_TIMER, 1000000);
}

CASE(stress, a_million_kicks_by_a_thread, .contract = "signals.window.race", .on_request = true,
     .timeout = 3600, .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CPUS(2) })
{
	expect_no_kick_lost(BY_THREAD, 1000000);
}
