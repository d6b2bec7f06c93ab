/* SPDX-License-Identifier: MIT */
/*
 * How long a kick takes: from just before it is sent to the return of KVM_RUN, in nanoseconds of
 * CLOCK_MONOTONIC. (The kernel's vDSO reads the TSC for that wherever it is invariant; elsewhere the
 * TSC would be no clock.) What a read of the clock costs is measured, stated and not subtracted.
 *
 * A time says nothing about KVM by itself: machines and engines differ a thousandfold. So each
 * sample has a baseline beside it, taken in the same run, turn by turn: the same kick to the same
 * thread outside of KVM, where it spins in userspace or, if the vCPU sleeps in KVM_RUN, waits in a
 * system call. Only their ratio is judged.
 */
#ifndef KVMSPEC_LATENCY_H
#define KVMSPEC_LATENCY_H

#include "evidence.h"

#include <stdbool.h>
#include <stddef.h>

struct vcpu;

/*
 * Four buckets an octave: bucket b holds the samples from bucket_start(b) on, below that of b + 1.
 * The first also holds all that is less, the last all that is more. ns.
 */
uint32_t bucket_start(unsigned bucket);

/* Sums up n samples; sorts them. n may be 0. */
void distribution_of(struct distribution *d, uint32_t *samples, size_t n);

/*
 * Whether so little can be said about the time that the value took, since the baseline varies by
 * itself: its 90th percentile is more than four times its median.
 */
bool is_noisy(const struct measurement *m);

/* The ratio of the medians, value to baseline, in per cent. 0 without samples. */
uint32_t median_ratio(const struct measurement *m);

/*
 * What a limit is compared with, in per cent: the smaller one of the ratios of the medians and of
 * the lowest tenths. What a kernel adds it adds to every kick; what a neighbour takes he takes from
 * some, and perhaps from more of the kicks than of the baselines.
 */
uint32_t judged_ratio(const struct measurement *m);

/* A new measurement in the case's record. */
struct measurement *measurement_new(const char *name);

enum kick_how {
	KICK_IMMEDIATE_EXIT, /* tgkill() by a thread; the signal's handler sets immediate_exit */
	KICK_SIGNAL_MASK,    /* tgkill() by a thread; the signal is blocked but in KVM_RUN */
	KICK_BY_TIMER,   /* as the first, but sent by a POSIX timer: from when it was to expire */
	KICK_BY_PROCESS, /* as the first, but sent by another process */
	KICK_BY_IRQFD,   /* an interrupt, by an eventfd; the guest's handler exits */
	KICK_HOWS
};

extern const char *const kick_how_names[KICK_HOWS];

struct kick_setup {
	struct vcpu *vcpu;
	enum kick_how how;
	/*
	 * The vCPU sleeps in KVM_RUN when the kick comes, and the baseline in a system call. If not,
	 * the guest changes the variable `counter` all the time to something other than 0.
	 */
	bool sleeps;
	void (*on_exit)(struct vcpu *vcpu); /* at each other exit, as a VMM would; may be NULL */
	void (*on_lost)(void);              /* brings the vCPU out if no kick does; may be NULL */
	int irqfd;                          /* KICK_BY_IRQFD: what to write to */
	int vcpu_cpu, sender_cpu;           /* where to run; NO_CPU: the scheduler decides */
	bool first;       /* both before all others, by real-time priority, if this user may */
	unsigned samples; /* of each kind, at most */
	double seconds;   /* after which no more are taken */
};

#define NO_CPU (-1)

/*
 * Kicks the vCPU, and the calling thread while it is out of KVM_RUN, by turns. The vCPU runs on the
 * calling thread. The case fails if a kick does not end KVM_RUN although the vCPU runs on, or sleeps
 * on, for so long that it cannot be a matter of time.
 */
#define measure_kicks(setup, m) measure_kicks_(__FILE__, __LINE__, (setup), (m))
void measure_kicks_(const char *file, int line, const struct kick_setup *setup,
		    struct measurement *m);

/*
 * The same with a verdict: the case fails if a kick takes more than the limit that
 * cases/kick_limits.tsv has for it under this name, at the third look, each of which takes twice
 * as many samples as the one before it. With setup.first, so that a neighbour costs little.
 */
#define expect_kick_latency(setup, name) expect_kick_latency_(__FILE__, __LINE__, (setup), (name))
void expect_kick_latency_(const char *file, int line, struct kick_setup setup, const char *name);

/* In per cent of the baseline; ends the case as ERROR if no row is about it (runner/catalogue.c). */
uint32_t kick_limit(const char *name);

/* The nth CPU that this process may use, or NO_CPU. */
int usable_cpu(unsigned n);

/* Keeps every CPU busy, or no longer: one thread for each that does nothing but turn. */
void keep_cpus_busy(bool busy);

#endif
