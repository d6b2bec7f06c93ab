/* SPDX-License-Identifier: MIT */
/* For cases whose guest is guests/any/one_instruction.S: see there. */
#ifndef KVMSPEC_ONE_INSTRUCTION_H
#define KVMSPEC_ONE_INSTRUCTION_H

#include "kvmspec.h"

GUEST_EACH_MODE(one_instruction);

#define DONE_PORT 0xe9 /* as in the guest */

/* Runs the vCPU once; the instruction is done, and the guest says so. */
#define expect_run_done(vcpu)                                                                      \
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .port = DONE_PORT, .size = 1)

#endif
