/* SPDX-License-Identifier: MIT */
/*
 * Signals for vCPU threads: who sends them and when, and what their handlers do.
 *
 * No time is awaited here, only what the guest does: a sender waits until the guest has counted on,
 * by the guest's 32-bit variable `counter`, or until the vCPU sleeps in the kernel.
 */
#ifndef KVMSPEC_KICK_H
#define KVMSPEC_KICK_H

#include "vm.h"

#include <signal.h>
#include <sys/types.h>

/* The signal that takes a vCPU out of the guest. */
#define KICK_SIGNAL SIGUSR1

/* Handles a signal in this process by counting it. flags: of sigaction, for example SA_RESTART. */
void signal_handle(int sig, int flags);

/*
 * Handles KICK_SIGNAL by counting it and, in the calling thread, by setting the vCPU's immediate_exit
 * as api.rst advises (5. The kvm_run structure). One vCPU a thread.
 */
void kick_prepare(struct vcpu *vcpu);

/* How often the signal's handler ran in this process. */
unsigned signal_count(int sig);

/* Blocks or unblocks a signal in the calling thread. */
void signal_block(int sig);
void signal_unblock(int sig);
/* True if the signal is pending for the calling thread. */
bool signal_pending(int sig);

/* Sets KVM's signal mask for the vCPU: KVM_RUN blocks exactly these signals. */
#define set_kvm_mask(vcpu, ...) set_kvm_mask_((vcpu), (const int[]){ __VA_ARGS__, 0 })
void set_kvm_mask_(struct vcpu *vcpu, const int *blocked);

/*
 * Runs the vCPU until it exits. Returns as vcpu_run() does: 0, or -EINTR for a guest that goes on and
 * on, so that its case fails instead of timing out. That is after ten interruptions, 5 ms of CPU time
 * apart. (Ten: to an emulated CPU, time that something else takes from it counts as its own.)
 */
int vcpu_run_or_give_up(struct vcpu *vcpu);

/* Where a signal comes from: another thread, another process, or a POSIX timer. */
enum signal_source { FROM_THREAD, FROM_PROCESS, FROM_TIMER };

/*
 * Sends these signals to the calling thread, one after the other, each when the guest has counted
 * on since the one before. Returns at once: the caller enters the guest next. The last signal is to
 * end KVM_RUN: if the guest just counts on, the case fails.
 */
#define signal_while_running(vcpu, ...)                                                            \
	signal_while_running_((vcpu), FROM_THREAD, (const int[]){ __VA_ARGS__, 0 })
#define signal_while_running_from(source, vcpu, ...)                                               \
	signal_while_running_((vcpu), (source), (const int[]){ __VA_ARGS__, 0 })
void signal_while_running_(struct vcpu *vcpu, enum signal_source source, const int *signals);

/* The same with one signal, sent once the thread sleeps in KVM_RUN. Needs a counter as well. */
void signal_when_asleep(struct vcpu *vcpu, int sig);

/* The guest's counter. */
volatile uint32_t *guest_counter(struct vcpu *vcpu);
/* Returns when the guest has counted on for much longer than a signal needs to arrive. */
void wait_for_progress(volatile uint32_t *counter);
/* Whether this thread of ours sleeps in the kernel, and a signal can wake it. */
bool is_asleep(pid_t tid);
/* Returns when a thread is in KVM_RUN with this vCPU, and asleep there. */
void wait_until_asleep(struct vcpu *vcpu);

/* 'R', 'S', 'D', ... or '?' for a thread of this process that is gone: proc(5), /proc/pid/stat. */
char thread_state(pid_t tid);

/* Calls fn(arg) on another thread, in which all signals are blocked. Returns at once. */
pthread_t call_on_thread(void *(*fn)(void *), void *arg);

/* Sleeps for this long, whatever signals arrive. */
void sleep_us(unsigned us);

/*
 * Sleeps until the condition holds. Each look comes later than the one before: on a slow engine, short
 * sleeps would leave the guest no time to run at all.
 */
#define wait_until(condition)                                                                      \
	for (unsigned us_ = 20; !(condition); us_ += us_ / 2)                                      \
	sleep_us(us_)

#endif
