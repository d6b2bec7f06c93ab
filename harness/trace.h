/* SPDX-License-Identifier: MIT */
/*
 * `kvmspec --trace`: every ioctl of a case as it returns, one line each, in the manner of strace:
 *
 *	[ 0.000412] vcpu0 KVM_SET_REGS({rip=0x1000 rsp=0x8000 rflags=0x2}) = 0
 *	[ 0.000497] vcpu0 KVM_RUN = 0 KVM_EXIT_IO out port 0xe9 size 1 count 1 data 48 at next+0x7
 *
 * Seconds since the case began; the thread, where it is not the case's first; on which object; what
 * was passed, or came back. Members that are 0 are left out where there are many. After KVM_RUN, RIP
 * is read with a KVM_GET_REGS of our own, which is not in the case's evidence.
 */
#ifndef KVMSPEC_TRACE_H
#define KVMSPEC_TRACE_H

#include "ioctl.h"

#include <stdbool.h>

extern bool is_traced; /* this process, by trace_begin() */

/*
 * In a case's process: from now on its ioctls are written to fd, each line with one write().
 * several: cases run side by side, so every line says whose it is.
 */
void trace_begin(int fd, const char *id, bool several);

/* Writes one line; result as kvm_ioctl() returns it. Keeps errno. */
void trace_ioctl(const struct kvm_fd *fd, enum ioctl_index which, unsigned long arg, int result);

#endif
