/* SPDX-License-Identifier: MIT */
/*
 * Kicks: signals that take a running vCPU out of the guest (api.rst, 5. The kvm_run structure:
 * immediate_exit).
 */
#ifndef KVMSPEC_KICK_H
#define KVMSPEC_KICK_H

#include "vm.h"

#include <signal.h>
#include <sys/types.h>

/* The signal that kicks use. */
#define KICK_SIGNAL SIGUSR1

/* Where the signal comes from. */
enum kick_source { KICK_THREAD, KICK_PROCESS, KICK_TIMER };

/* What the signal's handler does, besides counting. */
enum kick_handler {
	KICK_SETS_IMMEDIATE_EXIT, /* vcpu->run->immediate_exit = 1, as the documentation advises */
	KICK_COUNTS,              /* nothing else */
};

/*
 * Installs the handler for this thread's vCPU. One vCPU a thread. flags: of sigaction, for example
 * SA_RESTART.
 */
void kick_prepare(struct vcpu *vcpu, enum kick_handler handler, int flags);

/* How often the handler ran in this process. */
unsigned kick_count(void);

/* Blocks or unblocks a signal in the calling thread. */
void signal_block(int sig);
void signal_unblock(int sig);
/* True if the signal is pending for the calling thread. */
bool signal_pending(int sig);

/*
 * Sends sig to the calling thread, delay_us microseconds from now, from another thread, another
 * process or a POSIX timer. Returns at once.
 */
void kick_me_after(enum kick_source source, int sig, unsigned delay_us);

/*
 * Calls fn(arg) on another thread, delay_us microseconds from now. Returns at once.
 */
void call_after(unsigned delay_us, void (*fn)(void *), void *arg);

/* Sleeps for this long, whatever signals arrive. */
void sleep_us(unsigned us);

#endif
