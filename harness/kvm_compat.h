/* SPDX-License-Identifier: MIT */
/*
 * What kvmspec tests and the oldest supported kernel headers (linux-libc-dev 6.1) lack.
 * Each line names the kernel that introduced it.
 */
#ifndef KVMSPEC_KVM_COMPAT_H
#define KVMSPEC_KVM_COMPAT_H

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39 /* 6.8 */
#endif
#ifndef KVM_EXIT_TDX
#define KVM_EXIT_TDX 40 /* 6.16 */
#endif
#ifndef KVM_EXIT_SNP_REQ_CERTS
#define KVM_EXIT_SNP_REQ_CERTS 43 /* 7.0 */
#endif

/* Private to the kernel (arch/x86/kvm), yet visible to guests: KVM_HC_* calls fail with these. */
#ifndef KVM_ENOSYS
#define KVM_ENOSYS 1000
#endif

#endif
