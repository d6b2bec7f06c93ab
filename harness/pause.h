/* SPDX-License-Identifier: MIT */
/*
 * A vCPU on a thread of its own that can be paused: the run loop that a VMM has, and the contract
 * that a VM introspection tool needs of it.
 *
 * Every request (vcpu_pause) is acknowledged exactly once, when the vCPU is out of the guest and no
 * operation of its last exit is unfinished, so that its registers are those between two
 * instructions. A vCPU runs while as many vcpu_resume() as vcpu_pause() calls were made. A pause
 * asked for before the first entry is honoured: not one instruction runs.
 *
 * A tool asks by vm_request_pause() and vm_pause_all(), which may refuse, and for which each
 * acknowledgement is an event.
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

/* Takes back one vcpu_pause(), vm_request_pause(), or vm_pause_all() for this vCPU. */
void vcpu_resume(struct vcpu *vcpu);

/* Returns when every request so far is acknowledged. */
void vcpu_wait_for_acknowledgement(struct vcpu *vcpu);

/* Ends the thread at the next opportunity, paused or not, and joins it. */
void vcpu_stop(struct vcpu *vcpu);

/* Requests made and acknowledged so far. */
unsigned vcpu_pauses_requested(struct vcpu *vcpu);
unsigned vcpu_pauses_acknowledged(struct vcpu *vcpu);

/*
 * Has the vCPU's thread call work(vcpu, arg) outside of the guest, after all that was queued before,
 * pauses included; a paused vCPU does it at once. Returns at once.
 */
void vcpu_queue_work(struct vcpu *vcpu, void (*work)(struct vcpu *vcpu, void *arg), void *arg);

/* What a tool asks for. */
struct pause_request {
	uint32_t vcpu_id;
	uint8_t wait;
	uint8_t reserved[3]; /* 0 */
};

/* So many requests of a vCPU's may be queued, that is, not acknowledged yet. */
#define PAUSES_QUEUED_MAX 16

/*
 * Asks as vcpu_pause() does. Returns 0, and there will be one event; or nothing has happened, and it
 * returns -EINVAL (no vCPU has this id, or reserved is not 0), -EPERM (no events are allowed),
 * -EAGAIN (the vCPU has no thread yet, or not any more), -EBUSY (too many are queued). With wait
 * also -ECANCELED, after an abort.
 */
int vm_request_pause(struct vm *vm, const struct pause_request *request);

/* Whether a tool may ask for pauses. At first it may not. */
void vm_allow_pause_events(struct vm *vm, bool allow);

/*
 * Asks all vCPUs that have a thread; one that is started before vm_resume_all() is paused before its
 * first entry. Each is an event. Returns how many were asked, or -EPERM. wait: returns only when
 * these are out of the guest.
 */
int vm_pause_all(struct vm *vm, bool wait);
void vm_resume_all(struct vm *vm);

/* Forgets what is queued for any vCPU, pauses and work, without an event; all go on. */
void vm_abort_pauses(struct vm *vm);

/* A request of a tool's was acknowledged. The vCPU goes on after vcpu_resume(). */
struct pause_event {
	struct vcpu *vcpu;
	struct kvm_regs regs; /* as the vCPU's thread found them then */
};

/* Returns the oldest event that was not taken yet; waits until there is one. */
struct pause_event vm_next_pause_event(struct vm *vm);
/* Events that were not taken yet. */
unsigned vm_pause_events(struct vm *vm);

#endif
