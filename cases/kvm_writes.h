/* SPDX-License-Identifier: MIT */
/*
 * What KVM itself writes to guest memory, at a place that an MSR of the guest's names: for the areas
 * dirty_log and dirty_ring. WRITE(name, MSR, bits beside the address, need).
 */
#ifndef KVMSPEC_KVM_WRITES_H
#define KVMSPEC_KVM_WRITES_H

#include "hyperv.h"
#include "kvmspec.h"

/* clang-format off */
#define EACH_WRITE_BY_KVM(WRITE) \
	WRITE(wall_clock, MSR_KVM_WALL_CLOCK_NEW, 0, CAP(KVM_CAP_CLOCKSOURCE)) \
	WRITE(system_time, MSR_KVM_SYSTEM_TIME_NEW, KVM_MSR_ENABLED, CAP(KVM_CAP_CLOCKSOURCE)) \
	WRITE(steal_time, MSR_KVM_STEAL_TIME, KVM_MSR_ENABLED, CAP(KVM_CAP_STEAL_TIME)) \
	WRITE(hyperv_hypercall_page, HV_MSR_HYPERCALL, HV_ENABLE, CAP(KVM_CAP_HYPERV)) \
	WRITE(hyperv_reference_tsc, HV_MSR_REFERENCE_TSC, HV_ENABLE, CAP(KVM_CAP_HYPERV_TIME)) \
	WRITE(hyperv_assist_page, HV_MSR_VP_ASSIST, HV_ENABLE, CAP(KVM_CAP_HYPERV_VAPIC))
/* clang-format on */

/* The MSR names the place; KVM writes there now, or at the next entry. */
static inline void have_kvm_write(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	if (msr >> 8 == HV_MSR_GUEST_OS_ID >> 8)
		vcpu_set_msr(vcpu, HV_MSR_GUEST_OS_ID, 1);
	vcpu_set_msr(vcpu, msr, value);
}

#endif
