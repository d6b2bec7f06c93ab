// SPDX-License-Identifier: MIT
/*
 * Kicks that land where they could be lost. With a handler that sets immediate_exit none is, at
 * whatever instant it arrives (api.rst, 5. The kvm_run structure: immediate_exit): that is the run
 * loop of a VMM, and each round of it here must be ended by the one kick that is sent in that round.
 *
 * A window is an instant that kicks are aimed at: what the guest does there, and how to tell
 * whether a kick came before it. The aim corrects itself: a kick that was early makes the next one
 * come later, one that was late makes it come earlier, so on every machine they crowd around the
 * instant. Their delays cover the range around the aim evenly, in ever smaller steps.
 *
 * The same with a handler that leaves immediate_exit alone loses kicks: that is the race that
 * immediate_exit cures, and shows that these cases would see one.
 *
 * Area signals has short runs of all, ten thousand kicks together; area stress has a million, on
 * request: `make stress`.
 */
#include "kvmspec.h"

#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

GUEST(long64, spin);
GUEST(long64, report_counts);
GUEST(long64, add_inputs);
GUEST(long64, add_mmio_inputs);
GUEST(long64, interrupted);

#define VECTOR    0x20       /* as in guests/long64/interrupted.S */
#define UNTOUCHED 0xffffffff /* an exit reason that KVM never gives */

/*
 * A kick whose handler has not run is lost if at so many looks after it was sent the guest was still
 * there. The first interrupt of the host's that found the guest running would have been enough.
 */
#define LOST_AFTER 25
#define LOOK_EVERY 2000 /* us */

#define AIM_MIN        16
#define AIM_MAX        10000000
#define HEAD_START_MAX 10000000
/* Turns of the loop: a thread that has no CPU of its own kicks early however long it waits. */
#define AIM_MAX_OF_THREAD 200000

/* When the guest may wake up after it was entered, ns: long enough to fall asleep before. */
#define SLEEP_NS 50000

enum kicker { BY_TIMER, BY_THREAD };

struct race {
	const struct window *window;
	struct vcpu *vcpu;
	volatile uint32_t *counter; /* or NULL if the guest exits all the time */
	pid_t tid;                  /* of the vCPU's thread */
	enum kicker kicker;
	timer_t timer;
	unsigned aim; /* BY_TIMER: nanoseconds; BY_THREAD: turns of a loop */
	/* Turns before the vCPU goes on: for timers that are late even if they are set to no time. */
	unsigned head_start;
	uint64_t sweep;

	/* Rounds in which: a kick was asked for, sent, ended KVM_RUN; found lost. */
	unsigned asked, sent, seen, lost;
	unsigned delay; /* of the kick that is asked for, as aim */
	unsigned kicker_sleeps;
	/* Where they landed. */
	unsigned early, late;

	/* This round. */
	unsigned exits;         /* before the kick ended it */
	uint32_t count_before;  /* of the guest's counter */
	bool interrupt_pending; /* when the kick was asked for */

	/* What the guest and we agree on, in all rounds. */
	uint32_t values;                /* reported by the guest, or read by it: 1, 2, 3, … */
	uint32_t sum;                   /* of those that it read */
	uint32_t injected;              /* interrupts, one at a time */
	volatile uint32_t *interrupts;  /* taken by the guest */
	bool concluding;                /* no more are injected */
	struct kvm_lapic_state *asleep; /* the local APIC, about to wake its vCPU */
};

struct window {
	const struct guest_image *guest;
	const char *start; /* label; NULL: the image's entry */
	bool irqchip;
	bool after_exit; /* the kick is asked for when the vCPU has exited, and before it goes on */
	void (*prepare)(struct race *race); /* once */
	void (*inject)(struct race *race);  /* an interrupt, when the guest has taken the last */
	void (*on_exit)(struct race *race); /* NULL: only a kick ends KVM_RUN */
	bool (*is_early)(const struct race *race);
	void (*conclude)(struct race *race); /* after the last round, for what else must hold */
};

static unsigned get(const unsigned *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void set(unsigned *p, unsigned value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

/* Interrupts. */

static bool all_taken(const struct race *race)
{
	return *race->interrupts == get(&race->injected);
}

static void inject_when_taken(struct race *race)
{
	if (race->window->inject && !race->concluding && all_taken(race))
		race->window->inject(race);
}

static void inject_by_ioctl(struct race *race)
{
	if (!race->vcpu->run->ready_for_interrupt_injection)
		return;
	x(race->vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = VECTOR });
	race->injected++;
}

/* The first input of an interrupt controller that KVM has: its vector is VECTOR, and needs no EOI. */
static void prepare_pic(struct race *race)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };

	x(race->vcpu->vm, KVM_GET_IRQCHIP, &chip);
	chip.chip.pic.irq_base = VECTOR;
	chip.chip.pic.auto_eoi = 1;
	chip.chip.pic.imr = 0xfe;
	x(race->vcpu->vm, KVM_SET_IRQCHIP, &chip);
}

static void inject_by_line(struct race *race)
{
	set(&race->injected, race->injected + 1); /* first: the guest takes it at once */
	x(race->vcpu->vm, KVM_IRQ_LINE, &(struct kvm_irq_level){ .irq = 0, .level = 1 });
	x(race->vcpu->vm, KVM_IRQ_LINE, &(struct kvm_irq_level){ .irq = 0, .level = 0 });
}

/* Intel SDM volume 3, 11.4.1: The Local APIC Block Diagram, register addresses; 11.5.4: the timer. */
static void set_lapic_register(struct kvm_lapic_state *lapic, unsigned offset, uint32_t value)
{
	memcpy(lapic->regs + offset, &value, sizeof value);
}

static void prepare_lapic_timer(struct race *race)
{
	race->asleep = calloc(1, sizeof *race->asleep);
	if (!race->asleep)
		error("out of memory");
	x(race->vcpu, KVM_GET_LAPIC, race->asleep);
	set_lapic_register(race->asleep, 0xf0, 0x1ff);     /* enabled by software */
	set_lapic_register(race->asleep, 0x320, VECTOR);   /* timer: once, not masked */
	set_lapic_register(race->asleep, 0x3e0, 0xb);      /* divided by 1: KVM's is 1 ns */
	set_lapic_register(race->asleep, 0x380, SLEEP_NS); /* initial count */
	set_lapic_register(race->asleep, 0x390, SLEEP_NS); /* current count */
}

/* The state that is set has no interrupt in service: that is the EOI of the one before. */
static void inject_by_lapic_timer(struct race *race)
{
	race->injected++;
	x(race->vcpu, KVM_SET_LAPIC, race->asleep);
}

/* What userspace does on an exit. */

static void expect_next_value(struct race *race)
{
	expect_exit_reason(race->vcpu, KVM_EXIT_IO);
	expect_equal(io_exit_of(race->vcpu).value, ++race->values);
}

static void answer(struct race *race, uint32_t reason, void *data)
{
	expect_exit_reason(race->vcpu, reason);
	race->sum += ++race->values;
	memcpy(data, &race->values, sizeof race->values);
}

static void answer_port(struct race *race)
{
	answer(race, KVM_EXIT_IO, vcpu_io_data(race->vcpu));
}

static void answer_mmio(struct race *race)
{
	answer(race, KVM_EXIT_MMIO, race->vcpu->run->mmio.data);
}

static void wake_up(struct race *race)
{
	expect_exit_reason(race->vcpu, KVM_EXIT_HLT);
	inject_when_taken(race);
}

/* Where a kick landed. */

static bool before_kvm_looked(const struct race *race)
{
	return race->vcpu->run->exit_reason == UNTOUCHED;
}

static bool before_the_guest_ran(const struct race *race)
{
	return *race->counter == race->count_before;
}

static bool before_an_exit(const struct race *race)
{
	return race->exits == 0;
}

static bool before_the_interrupt(const struct race *race)
{
	return !race->interrupt_pending || !all_taken(race);
}

/* What must hold in the end. */

/* Each read was finished once: the last may still have to be added. */
static void expect_sum(struct race *race)
{
	bool added = vcpu_regs(race->vcpu).rip != guest_symbol(race->vcpu, "after_in");

	expect_regs(race->vcpu, .rax = race->values,
		    .rbx = added ? race->sum : race->sum - race->values);
}

static void expect_all_taken(struct race *race);

#define TAKES_INTERRUPTS .guest = interrupted, .conclude = expect_all_taken

enum window_name {
	THE_CHECK,
	THE_ENTRY,
	A_PORT_EXIT,
	AN_MMIO_EXIT,
	A_PORT_COMPLETION,
	AN_MMIO_COMPLETION,
	A_WAKE_UP_IN_USERSPACE,
	A_WAKE_UP_IN_KERNEL,
	AN_INTERRUPT_BY_IOCTL,
	AN_INTERRUPT_BY_LINE,
};

/* clang-format off */
static const struct window windows[] = {
	[THE_CHECK] = { .guest = spin, .is_early = before_kvm_looked },
	[THE_ENTRY] = { .guest = spin, .is_early = before_the_guest_ran },
	[A_PORT_EXIT] = { .guest = report_counts, .on_exit = expect_next_value,
			  .is_early = before_an_exit },
	[AN_MMIO_EXIT] = { .guest = add_mmio_inputs, .on_exit = answer_mmio,
			   .is_early = before_an_exit, .conclude = expect_sum },
	[A_PORT_COMPLETION] = { .guest = add_inputs, .after_exit = true, .on_exit = answer_port,
				.is_early = before_kvm_looked, .conclude = expect_sum },
	[AN_MMIO_COMPLETION] = { .guest = add_mmio_inputs, .after_exit = true,
				 .on_exit = answer_mmio, .is_early = before_kvm_looked,
				 .conclude = expect_sum },
	[A_WAKE_UP_IN_USERSPACE] = { TAKES_INTERRUPTS, .start = "halt", .inject = inject_by_ioctl,
				     .on_exit = wake_up, .is_early = before_an_exit },
	[A_WAKE_UP_IN_KERNEL] = { TAKES_INTERRUPTS, .start = "halt", .irqchip = true,
				  .prepare = prepare_lapic_timer, .inject = inject_by_lapic_timer,
				  .is_early = before_the_interrupt },
	[AN_INTERRUPT_BY_IOCTL] = { TAKES_INTERRUPTS, .inject = inject_by_ioctl,
				    .is_early = before_the_interrupt },
	[AN_INTERRUPT_BY_LINE] = { TAKES_INTERRUPTS, .irqchip = true, .prepare = prepare_pic,
				   .inject = inject_by_line, .is_early = before_the_interrupt },
};
/* clang-format on */

/* Kicks. */

/* Time that passes without a look at anything. */
static void turn(unsigned turns)
{
	for (volatile unsigned i = 0; i < turns; i++)
		;
}

static void send_kick(const struct race *race)
{
	syscall(SYS_tgkill, getpid(), race->tid, KICK_SIGNAL);
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

/* An interrupt that any thread may raise comes with the kick, just before it or just after. */
static bool injects_with_kick(const struct race *race)
{
	return race->kicker == BY_THREAD && race->window->inject == inject_by_line;
}

static void *kick_when_asked(void *arg)
{
	struct race *race = arg;

	for (unsigned round = 1;; round++) {
		wait_until_asked(race, round);
		turn(race->delay);
		if (injects_with_kick(race) && round % 2)
			inject_when_taken(race);
		send_kick(race);
		set(&race->sent, round);
		if (injects_with_kick(race) && round % 2 == 0)
			inject_when_taken(race);
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

static void ask_for_kick(struct race *race)
{
	if (race->kicker == BY_TIMER)
		ask_timer(race);
	else
		ask_thread(race);
	turn(race->head_start);
}

/* From half of the aim to one and a half: multiples of the golden ratio leave no gap for long. */
static unsigned choose_delay(struct race *race)
{
	race->sweep += 0x9e3779b97f4a7c15;
	return race->aim / 2 + (race->sweep >> 32) * race->aim / (1ull << 32);
}

static unsigned step_of(unsigned value, const struct race *race)
{
	return value / (race->early && race->late ? 16 : 2) + 1;
}

/* By large steps until it is known from both sides. */
static void correct_aim(struct race *race, bool was_early)
{
	unsigned max = race->kicker == BY_THREAD ? AIM_MAX_OF_THREAD : AIM_MAX;

	if (was_early) {
		race->early++;
		race->aim += race->aim < max ? step_of(race->aim, race) : 0;
	} else {
		race->late++;
		if (race->aim > AIM_MIN)
			race->aim -= step_of(race->aim, race);
		else if (race->head_start < HEAD_START_MAX)
			race->head_start += step_of(race->head_start, race);
	}
}

/* Kicks that are lost. */

/* While the handler of the kick that is awaited has not run, or KVM_RUN was entered after it. */
static bool is_in_guest(const struct race *race, uint32_t count_before)
{
	return (race->counter && *race->counter != count_before) || is_asleep(race->tid);
}

/* Returns whether the kick for round seen + 1 is lost; false when KVM_RUN has returned. */
static bool is_lost(const struct race *race, unsigned seen)
{
	for (unsigned looks = 0; looks < LOST_AFTER;) {
		bool sent = get(&race->sent) > seen, handled = signal_count(KICK_SIGNAL) > seen;
		uint32_t before = race->counter ? *race->counter : 0;
		bool in_guest;

		sleep_us(LOOK_EVERY);
		in_guest = is_in_guest(race, before);
		if (get(&race->seen) != seen)
			return false;
		if (handled && in_guest)
			return true;
		looks += sent && in_guest;
	}
	return true;
}

/* Finds a kick lost in KVM_RUN, and kicks again to bring the vCPU out: its thread reports. */
static void *watch(void *arg)
{
	struct race *race = arg;

	while (!is_lost(race, get(&race->seen)))
		;
	set(&race->lost, 1);
	send_kick(race);
	return NULL;
}

/* Rounds. */

/* Runs the vCPU once. Returns false if that was the end of the round. */
static bool run_once(struct race *race)
{
	bool handled = signal_count(KICK_SIGNAL) == race->asked;

	if (!race->window->on_exit) {
		expect_run_errno(race->vcpu, EINTR);
		return false;
	}
	if (vcpu_run(race->vcpu) == -EINTR)
		return false;
	race->window->on_exit(race);
	race->exits++;
	if (handled)
		set(&race->lost, 1);
	return !handled;
}

static void run_to_exit(struct race *race)
{
	expect_equal(vcpu_run(race->vcpu), 0);
	race->window->on_exit(race);
}

/* One kick, and all that the vCPU does until it has left the guest because of it. */
static void run_round(struct race *race)
{
	struct kvm_run *run = race->vcpu->run;

	run->immediate_exit = 0;
	if (race->window->after_exit)
		run_to_exit(race);
	if (!injects_with_kick(race))
		inject_when_taken(race);
	run->exit_reason = UNTOUCHED;
	race->exits = 0;
	race->count_before = race->counter ? *race->counter : 0;
	race->interrupt_pending = race->interrupts && !all_taken(race);
	race->delay = choose_delay(race);
	ask_for_kick(race);
	while (run_once(race))
		;
	if (!get(&race->lost))
		expect_equal(signal_count(KICK_SIGNAL), race->asked);
	set(&race->seen, race->seen + 1);
}

/* Until so many kicks are seen, or one is lost. */
static void run_rounds(struct race *race, unsigned count)
{
	while (race->seen < count && !get(&race->lost)) {
		run_round(race);
		if (!get(&race->lost))
			correct_aim(race, injects_with_kick(race) ? before_the_guest_ran(race)
								  : race->window->is_early(race));
	}
}

/* No interrupt was lost by all the kicks: each is taken if only the kicks come late enough. */
static void expect_all_taken(struct race *race)
{
	race->concluding = true;
	for (int tries = 0; tries < 32 && !get(&race->lost) && !all_taken(race); tries++) {
		race->aim += race->aim < AIM_MAX ? race->aim : 0;
		run_round(race);
	}
	expect_equal(*race->interrupts, get(&race->injected));
}

static struct race *make_race(enum window_name name, enum kicker kicker)
{
	const struct window *window = &windows[name];
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL };
	struct race *race = calloc(1, sizeof *race); /* its threads outlive us */
	uint64_t unused;

	if (!race)
		error("out of memory");
	*race = (struct race){ .window = window, .kicker = kicker, .tid = gettid(), .aim = 1000 };
	race->vcpu = window->irqchip ? boot_with_irqchip(window->guest) : boot(window->guest);
	if (window->start)
		vcpu_set_regs(race->vcpu,
			      (struct kvm_regs){ REGS_AS(race->vcpu->loaded),
						 .rip = guest_symbol(race->vcpu, window->start) });
	if (guest_find_symbol(window->guest, "counter", &unused))
		race->counter = guest_counter(race->vcpu);
	if (window->inject)
		race->interrupts = guest_variable(race->vcpu, uint32_t, "interrupts");
	if (window->prepare)
		window->prepare(race);
	event._sigev_un._tid = race->tid;
	if (kicker == BY_TIMER && timer_create(CLOCK_MONOTONIC, &event, &race->timer) != 0)
		error("timer_create: %s", strerror(errno));
	return race;
}

/* For the record. */
static void print_counts(const struct race *race)
{
	printf("kicks: sent %u, seen %u, early %u, late %u; aim %u %s, steps down to %.1f; head start %u turns\n",
	       race->asked, race->seen, race->early, race->late, race->aim,
	       race->kicker == BY_TIMER ? "ns" : "turns", (double)race->aim / race->seen,
	       race->head_start);
	if (race->interrupts)
		printf("interrupts: injected %u, taken %u\n", race->injected, *race->interrupts);
}

static void start(struct race *race, unsigned count)
{
	if (race->kicker == BY_THREAD)
		call_on_thread(kick_when_asked, race);
	call_on_thread(watch, race);
	run_rounds(race, count);
}

/* So often at full effort; less than a hundred kicks may not find the window. */
static void expect_no_kick_lost(enum window_name name, enum kicker kicker, unsigned full)
{
	struct race *race = make_race(name, kicker);
	unsigned kicks = rounds(full, 100);

	kick_prepare(race->vcpu);
	start(race, kicks);
	if (!race->lost && race->window->conclude)
		race->window->conclude(race);
	print_counts(race);
	if (race->lost)
		fail("every kick ends a KVM_RUN",
		     "of %u kicks the last was lost: the guest ran on after it; %u others were "
		     "early, %u late",
		     race->asked, race->early, race->late);
	if (kicker == BY_TIMER && (race->early < kicks / 16 || race->late < kicks / 16))
		error("the kicks missed what they were aimed at: %u were early, %u late",
		      race->early, race->late);
}

/* That a kick would be seen to be lost. */
static void expect_a_kick_lost(enum window_name name)
{
	struct race *race = make_race(name, BY_TIMER);

	signal_handle(KICK_SIGNAL, 0);
	start(race, 1000);
	expect(race->lost, "a thousand kicks were seen, %u of them early, %u late", race->early,
	       race->late);
}

/* One window's cases: short ones, and ten of them are ten thousand kicks; long ones, a million. */
#define KICKS_AT(window, name, ...)                                                                \
	CASE(signals, kicks_by_a_timer_at_##name, .contract = "signals.window." #name,             \
	     .timeout = 30, .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), __VA_ARGS__ })                 \
	{                                                                                          \
		expect_no_kick_lost(window, BY_TIMER, 850);                                        \
	}                                                                                          \
	CASE(signals, kicks_by_a_thread_at_##name, .contract = "signals.window." #name,            \
	     .timeout = 30, .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CPUS(2), __VA_ARGS__ })        \
	{                                                                                          \
		expect_no_kick_lost(window, BY_THREAD, 150);                                       \
	}                                                                                          \
	CASE(stress, kicks_by_a_timer_at_##name, .contract = "signals.window." #name,              \
	     .on_request = true, .timeout = 3600,                                                  \
	     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), __VA_ARGS__ })                                \
	{                                                                                          \
		expect_no_kick_lost(window, BY_TIMER, 50000);                                      \
	}                                                                                          \
	CASE(stress, kicks_by_a_thread_at_##name, .contract = "signals.window." #name,             \
	     .on_request = true, .timeout = 3600,                                                  \
	     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT), CPUS(2), __VA_ARGS__ })                       \
	{                                                                                          \
		expect_no_kick_lost(window, BY_THREAD, 50000);                                     \
	}

/* The window is between two looks of userspace's, so that without immediate_exit kicks are lost. */
#define KICKS_LOST_AT(window, name)                                                                \
	CASE(signals, without_immediate_exit_a_kick_is_lost_at_##name,                             \
	     .contract = "signals.window.lost", .timeout = 30)                                     \
	{                                                                                          \
		expect_a_kick_lost(window);                                                        \
	}

/* clang-format off */
KICKS_AT(THE_CHECK, the_check)
KICKS_AT(THE_ENTRY, the_entry)
KICKS_AT(A_PORT_EXIT, a_port_exit)
KICKS_AT(AN_MMIO_EXIT, an_mmio_exit)
KICKS_AT(A_PORT_COMPLETION, a_port_completion)
KICKS_AT(AN_MMIO_COMPLETION, an_mmio_completion)
KICKS_AT(A_WAKE_UP_IN_USERSPACE, a_wake_up_in_userspace)
KICKS_AT(A_WAKE_UP_IN_KERNEL, a_wake_up_in_the_kernel, CAP(KVM_CAP_IRQCHIP))
KICKS_AT(AN_INTERRUPT_BY_IOCTL, an_interrupt_by_ioctl)
KICKS_AT(AN_INTERRUPT_BY_LINE, an_interrupt_by_line, CAP(KVM_CAP_IRQCHIP))

KICKS_LOST_AT(THE_CHECK, the_check)
KICKS_LOST_AT(A_PORT_EXIT, a_port_exit)
KICKS_LOST_AT(AN_MMIO_EXIT, an_mmio_exit)
KICKS_LOST_AT(A_PORT_COMPLETION, a_port_completion)
KICKS_LOST_AT(AN_MMIO_COMPLETION, an_mmio_completion)
KICKS_LOST_AT(A_WAKE_UP_IN_USERSPACE, a_wake_up_in_userspace)
/* clang-format on */
