/* SPDX-License-Identifier: MIT */
/*
 * A vCPU on a thread of its own that can be paused: the run loop that a VMM has, and the contract
 * that a VM introspection tool needs of it.
 *
 * Every request (vcpu_pause) is acknowledged exactly once, when the vCPU is out of the guest and no
 * operation of its last exit is unfinished, so that its registers are those between two
 * instructions. A vCPU runs while as many vcpu_resume() as vcpu_pause() calls were made. A pause
 * asked for before the first entry is honoured: not one instruction runs.
 */
#ifndef KVMSPEC_PAUSE_H
#define KVMSPEC_PAUSE_H

#include "vm.h"

/*
 * Starts a thread that runs the vCPU until vcpu_stop(). Exits other than interruptions go to
 * on_exit, on that thread; if it returns false, the thread ends. on_exit NULL: any exit but EINTR
 * fails the case. While on_exit is in progress a pause waits; run->immediate_exit tells it of one.
 */
void vcpu_start(struct vcpu *vcpu, bool (*on_exit)(struct vcpu *vcpu));

/*
 * Asks the vCPU to leave the guest. wait: returns only when it has, and this request is
 * acknowledged; else at once. May be called by any thread; before vcpu_start() and on the vCPU's
 * own thread only without wait.
 */
void vcpu_pause(struct vcpu *vcpu, bool wait);

/* Takes back one vcpu_pause(). */
void vcpu_resume(struct vcpu *vcpu);

/* Returns when every request so far is acknowledged. */
void vcpu_wait_for_acknowledgement(struct vcpu *vcpu);

/* Ends the thread at the next opportunity, paused or not, and joins it. */
void vcpu_stop(struct vcpu *vcpu);

/* Requests made and acknowledged so far. */
unsigned vcpu_pauses_requested(struct vcpu *vcpu);
unsigned vcpu_pauses_acknowledged(struct vcpu *vcpu);

#endif
