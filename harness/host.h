/* SPDX-License-Identifier: MIT */
/* The KVM under test: /dev/kvm, opened once by the runner before any case is forked. */
#ifndef KVMSPEC_HOST_H
#define KVMSPEC_HOST_H

#include "ioctl.h"

#include <stdbool.h>
#include <stddef.h>

#define CPUID_ENTRIES_MAX 256 /* KVM_MAX_CPUID_ENTRIES in the kernel */

/* The system file descriptor of /dev/kvm. */
struct kvm {
	struct kvm_fd kvm_fd;
};

struct host {
	struct kvm kvm;
	char vendor
		[32]; /* the vendor module: "kvm_amd", "kvm_intel", "kvm_pvm", or "kvm" if built in */
	char kernel[96];          /* uname -r */
	char cpu[96];             /* /proc/cpuinfo's model name */
	char cpu_flags[4096];     /* /proc/cpuinfo's flags */
	bool has_tss_addr;        /* KVM_CAP_SET_TSS_ADDR */
	const char *engine;       /* $KVMSPEC_ENGINE: "host" unless a lab sets it */
	size_t run_size;          /* KVM_GET_VCPU_MMAP_SIZE, bytes */
	struct kvm_cpuid2 *cpuid; /* KVM_GET_SUPPORTED_CPUID */
};

extern struct host host;

/*
 * Opens path (normally /dev/kvm) and asks KVM what it is. Returns NULL, or a message for the user
 * that says what is wrong and what to do about it (static buffer).
 */
const char *host_open(const char *path);

/*
 * Creates a VM with a vCPU that stays until the runner ends. Without it KVM would enable and
 * disable virtualisation, and patch its static keys, for every case: that is slow, and on
 * emulated CPUs racy.
 */
void host_hold_vm(void);

/*
 * How much longer than on a fast host a case may take: 1 there, up to 50 where making a VM takes 50
 * times as long (an emulated kernel). The best of three, so that a busy host does not count as slow.
 */
double host_slowness(void);

/*
 * Compares host.kernel with a version such as "6.8", in as many numbers as that has: below 0 if the
 * host's is older, 0 if it is the same ("6.8" is the same as 6.8.12), above 0 if it is newer.
 */
int host_compare_kernel(const char *version);

/* Whether this machine is itself a guest, by CPUID's hypervisor bit. */
bool host_is_guest(void);

/*
 * The hypercall instruction of the CPU's vendor, as KVM_GET_SUPPORTED_CPUID names it: "vmmcall" on
 * AMD's and Hygon's, else "vmcall".
 */
const char *host_hypercall(void);

/* KVM_CHECK_EXTENSION on the system file descriptor: 0 if absent. */
int host_cap(int cap);

#endif
