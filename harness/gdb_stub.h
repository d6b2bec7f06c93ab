/* SPDX-License-Identifier: MIT */
/*
 * `kvmspec --gdb`: a vCPU under gdb, by the Remote Serial Protocol (GDB manual, appendix "Remote
 * Protocol"), served by the case's own process.
 *
 * gdb's addresses are linear: memory is found by KVM_TRANSLATE and is the RAM of slot 0; $pc (eip,
 * rip) is CS's base plus RIP, which outside of real mode is RIP. The registers' layout is that of the
 * mode in which gdb finds the vCPU: i8086, i386 or i386:x86-64; control registers are there too, as
 * cr0, cr2, cr3, cr4, efer and cs_base. Breakpoints of every kind are the four debug registers
 * (KVM_GUESTDBG_USE_HW_BP), steps are KVM_GUESTDBG_SINGLESTEP.
 *
 * After a failure, the case is over: every exit but those for gdb is told, and stops the vCPU. What
 * user space would do about it is not done: a port or MMIO read finds whatever is in kvm_run. With
 * the stub there from the start, the case goes on to handle exits, and gdb sees them go by.
 */
#ifndef KVMSPEC_GDB_STUB_H
#define KVMSPEC_GDB_STUB_H

#include "vm.h"

enum gdb_when { GDB_NEVER, GDB_AT_FAILURE, GDB_AT_START };

/* In the case's process; GDB_NEVER in any other. */
extern enum gdb_when gdb_when;

/*
 * In the runner: listens on 127.0.0.1. *port 0: any free one, which it becomes. Returns the socket,
 * or -errno.
 */
int gdb_listen(unsigned *port);

/* In a case's process. terminal: where to tell the user what to type. */
void gdb_begin(enum gdb_when when, int listening, int terminal);

/* KVM_RUN, as vcpu_run() wants it, of the first vCPU that runs; with GDB_AT_START only. */
int gdb_run(struct vcpu *vcpu);

/* The case has failed, as its evidence says: returns when the user is done with the vCPU. */
void gdb_serve_failure(struct vcpu *vcpu);

/* The case ends, and with it what gdb had. */
void gdb_end(void);

#endif
