/* SPDX-License-Identifier: MIT */
/* For cases whose guest is guests/long64/interrupts.S: see there. */
#ifndef KVMSPEC_INTERRUPTS_H
#define KVMSPEC_INTERRUPTS_H

#include "kvmspec.h"

GUEST(long64, interrupts);

/* As in the guest. */
#define IRQ_VECTOR 0x21
enum { READY, TAKEN, ENDED, ENDED_BY_BIT, STORED };

#define MSI_ADDRESS 0xfee00000 /* to the local APIC whose id is 0 */

/* The vCPU as boot_with_irqchip(interrupts) and the like make it; it takes interrupts from now on. */
#define until_ready(booted)                                                                        \
	({                                                                                         \
		struct vcpu *booted_ = (booted);                                                   \
		expect_run_report(booted_, READY);                                                 \
		booted_;                                                                           \
	})

/* KVM_GET_SUPPORTED_CPUID has this bit of KVM's own features. */
#define PV_FEATURE(bit) CPU_FEATURE(#bit, KVM_CPUID_FEATURES, 0, eax, bit)

/*
 * Page faults that KVM reports instead of waiting, with its struct kvm_vcpu_pv_apf_data at gpa. At the
 * next run it announces that all pages are there, by an interrupt.
 */
static inline void enable_async_pf(struct vcpu *vcpu, uint64_t gpa)
{
	vcpu_set_msr(vcpu, MSR_KVM_ASYNC_PF_INT, IRQ_VECTOR);
	vcpu_set_msr(vcpu, MSR_KVM_ASYNC_PF_EN,
		     gpa | KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_SEND_ALWAYS |
			     KVM_ASYNC_PF_DELIVERY_AS_INT);
}

/* An interrupt by message, edge-triggered: it is pending before this returns. */
static inline void send_interrupt(struct vcpu *vcpu)
{
	x(vcpu->vm, KVM_SIGNAL_MSI,
	  &(struct kvm_msi){ .address_lo = MSI_ADDRESS, .data = IRQ_VECTOR });
}

/* The guest's next run begins at the label, with these registers beside those that it has. */
#define go_to(vcpu, label, ...)                                                                    \
	({                                                                                         \
		struct kvm_regs regs_ = vcpu_regs(vcpu);                                           \
		vcpu_set_regs(vcpu,                                                                \
			      (struct kvm_regs){ REGS_AS(regs_), .rip = guest_symbol(vcpu, label), \
						 __VA_ARGS__ });                                   \
	})

#endif
