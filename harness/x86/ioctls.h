/* SPDX-License-Identifier: MIT */
/*
 * Every ioctl of KVM's on x86, up to Linux 7.2: on which kinds of file descriptor, and what it takes.
 *
 * IOCTL(name, kinds, argument type): the argument's type is what the caller must pass; an ioctl
 * that takes a number or nothing takes an unsigned long here.
 */
#ifndef KVMSPEC_X86_IOCTLS_H
#define KVMSPEC_X86_IOCTLS_H

#define IOCTLS(IOCTL)                                                                              \
	IOCTL(KVM_GET_API_VERSION, FD_SYSTEM, unsigned long)                                       \
	IOCTL(KVM_CREATE_VM, FD_SYSTEM, unsigned long)                                             \
	IOCTL(KVM_GET_MSR_INDEX_LIST, FD_SYSTEM, struct kvm_msr_list *)                            \
	IOCTL(KVM_GET_MSR_FEATURE_INDEX_LIST, FD_SYSTEM, struct kvm_msr_list *)                    \
	IOCTL(KVM_GET_VCPU_MMAP_SIZE, FD_SYSTEM, unsigned long)                                    \
	IOCTL(KVM_GET_SUPPORTED_CPUID, FD_SYSTEM, struct kvm_cpuid2 *)                             \
	IOCTL(KVM_GET_EMULATED_CPUID, FD_SYSTEM, struct kvm_cpuid2 *)                              \
	IOCTL(KVM_X86_GET_MCE_CAP_SUPPORTED, FD_SYSTEM, __u64 *)                                   \
	IOCTL(KVM_CHECK_EXTENSION, FD_SYSTEM | FD_VM, unsigned long)                               \
	IOCTL(KVM_GET_SUPPORTED_HV_CPUID, FD_SYSTEM | FD_VCPU, struct kvm_cpuid2 *)                \
	IOCTL(KVM_GET_MSRS, FD_SYSTEM | FD_VCPU, struct kvm_msrs *)                                \
	IOCTL(KVM_HAS_DEVICE_ATTR, FD_SYSTEM | FD_VCPU | FD_DEVICE, struct kvm_device_attr *)      \
	IOCTL(KVM_GET_DEVICE_ATTR, FD_SYSTEM | FD_VCPU | FD_DEVICE, struct kvm_device_attr *)      \
	IOCTL(KVM_SET_DEVICE_ATTR, FD_VCPU | FD_DEVICE, struct kvm_device_attr *)                  \
	IOCTL(KVM_CREATE_VCPU, FD_VM, unsigned long)                                               \
	IOCTL(KVM_ENABLE_CAP, FD_VM | FD_VCPU, struct kvm_enable_cap *)                            \
	IOCTL(KVM_SET_USER_MEMORY_REGION, FD_VM, struct kvm_userspace_memory_region *)             \
	IOCTL(KVM_SET_USER_MEMORY_REGION2, FD_VM, struct kvm_userspace_memory_region2 *)           \
	IOCTL(KVM_CREATE_GUEST_MEMFD, FD_VM, struct kvm_create_guest_memfd *)                      \
	IOCTL(KVM_SET_MEMORY_ATTRIBUTES, FD_VM, struct kvm_memory_attributes *)                    \
	IOCTL(KVM_GET_DIRTY_LOG, FD_VM, struct kvm_dirty_log *)                                    \
	IOCTL(KVM_CLEAR_DIRTY_LOG, FD_VM, struct kvm_clear_dirty_log *)                            \
	IOCTL(KVM_RESET_DIRTY_RINGS, FD_VM, unsigned long)                                         \
	IOCTL(KVM_SET_TSS_ADDR, FD_VM, unsigned long)                                              \
	IOCTL(KVM_SET_IDENTITY_MAP_ADDR, FD_VM, __u64 *)                                           \
	IOCTL(KVM_SET_NR_MMU_PAGES, FD_VM, unsigned long)                                          \
	IOCTL(KVM_SET_BOOT_CPU_ID, FD_VM, unsigned long)                                           \
	IOCTL(KVM_CREATE_IRQCHIP, FD_VM, unsigned long)                                            \
	IOCTL(KVM_GET_IRQCHIP, FD_VM, struct kvm_irqchip *)                                        \
	IOCTL(KVM_SET_IRQCHIP, FD_VM, struct kvm_irqchip *)                                        \
	IOCTL(KVM_IRQ_LINE, FD_VM, struct kvm_irq_level *)                                         \
	IOCTL(KVM_IRQ_LINE_STATUS, FD_VM, struct kvm_irq_level *)                                  \
	IOCTL(KVM_CREATE_PIT, FD_VM, unsigned long)                                                \
	IOCTL(KVM_CREATE_PIT2, FD_VM, struct kvm_pit_config *)                                     \
	IOCTL(KVM_GET_PIT, FD_VM, struct kvm_pit_state *)                                          \
	IOCTL(KVM_SET_PIT, FD_VM, struct kvm_pit_state *)                                          \
	IOCTL(KVM_GET_PIT2, FD_VM, struct kvm_pit_state2 *)                                        \
	IOCTL(KVM_SET_PIT2, FD_VM, struct kvm_pit_state2 *)                                        \
	IOCTL(KVM_REINJECT_CONTROL, FD_VM, struct kvm_reinject_control *)                          \
	IOCTL(KVM_IRQFD, FD_VM, struct kvm_irqfd *)                                                \
	IOCTL(KVM_IOEVENTFD, FD_VM, struct kvm_ioeventfd *)                                        \
	IOCTL(KVM_SIGNAL_MSI, FD_VM, struct kvm_msi *)                                             \
	IOCTL(KVM_SET_GSI_ROUTING, FD_VM, struct kvm_irq_routing *)                                \
	IOCTL(KVM_CREATE_DEVICE, FD_VM, struct kvm_create_device *)                                \
	IOCTL(KVM_REGISTER_COALESCED_MMIO, FD_VM, struct kvm_coalesced_mmio_zone *)                \
	IOCTL(KVM_UNREGISTER_COALESCED_MMIO, FD_VM, struct kvm_coalesced_mmio_zone *)              \
	IOCTL(KVM_GET_CLOCK, FD_VM, struct kvm_clock_data *)                                       \
	IOCTL(KVM_SET_CLOCK, FD_VM, struct kvm_clock_data *)                                       \
	IOCTL(KVM_GET_TSC_KHZ, FD_VM | FD_VCPU, unsigned long)                                     \
	IOCTL(KVM_SET_TSC_KHZ, FD_VM | FD_VCPU, unsigned long)                                     \
	IOCTL(KVM_GET_STATS_FD, FD_VM | FD_VCPU, unsigned long)                                    \
	IOCTL(KVM_HYPERV_EVENTFD, FD_VM, struct kvm_hyperv_eventfd *)                              \
	IOCTL(KVM_XEN_HVM_CONFIG, FD_VM, struct kvm_xen_hvm_config *)                              \
	IOCTL(KVM_XEN_HVM_GET_ATTR, FD_VM, struct kvm_xen_hvm_attr *)                              \
	IOCTL(KVM_XEN_HVM_SET_ATTR, FD_VM, struct kvm_xen_hvm_attr *)                              \
	IOCTL(KVM_XEN_HVM_EVTCHN_SEND, FD_VM, struct kvm_irq_routing_xen_evtchn *)                 \
	IOCTL(KVM_MEMORY_ENCRYPT_OP, FD_VM | FD_VCPU, void *)                                      \
	IOCTL(KVM_MEMORY_ENCRYPT_REG_REGION, FD_VM, struct kvm_enc_region *)                       \
	IOCTL(KVM_MEMORY_ENCRYPT_UNREG_REGION, FD_VM, struct kvm_enc_region *)                     \
	IOCTL(KVM_SET_PMU_EVENT_FILTER, FD_VM, struct kvm_pmu_event_filter *)                      \
	IOCTL(KVM_X86_SET_MSR_FILTER, FD_VM, struct kvm_msr_filter *)                              \
	IOCTL(KVM_RUN, FD_VCPU, unsigned long)                                                     \
	IOCTL(KVM_PRE_FAULT_MEMORY, FD_VCPU, struct kvm_pre_fault_memory *)                        \
	IOCTL(KVM_GET_REGS, FD_VCPU, struct kvm_regs *)                                            \
	IOCTL(KVM_SET_REGS, FD_VCPU, struct kvm_regs *)                                            \
	IOCTL(KVM_GET_SREGS, FD_VCPU, struct kvm_sregs *)                                          \
	IOCTL(KVM_SET_SREGS, FD_VCPU, struct kvm_sregs *)                                          \
	IOCTL(KVM_GET_SREGS2, FD_VCPU, struct kvm_sregs2 *)                                        \
	IOCTL(KVM_SET_SREGS2, FD_VCPU, struct kvm_sregs2 *)                                        \
	IOCTL(KVM_TRANSLATE, FD_VCPU, struct kvm_translation *)                                    \
	IOCTL(KVM_INTERRUPT, FD_VCPU, struct kvm_interrupt *)                                      \
	IOCTL(KVM_NMI, FD_VCPU, unsigned long)                                                     \
	IOCTL(KVM_SMI, FD_VCPU, unsigned long)                                                     \
	IOCTL(KVM_SET_MSRS, FD_VCPU, struct kvm_msrs *)                                            \
	IOCTL(KVM_SET_CPUID, FD_VCPU, struct kvm_cpuid *)                                          \
	IOCTL(KVM_SET_CPUID2, FD_VCPU, struct kvm_cpuid2 *)                                        \
	IOCTL(KVM_GET_CPUID2, FD_VCPU, struct kvm_cpuid2 *)                                        \
	IOCTL(KVM_SET_SIGNAL_MASK, FD_VCPU, struct kvm_signal_mask *)                              \
	IOCTL(KVM_GET_FPU, FD_VCPU, struct kvm_fpu *)                                              \
	IOCTL(KVM_SET_FPU, FD_VCPU, struct kvm_fpu *)                                              \
	IOCTL(KVM_GET_LAPIC, FD_VCPU, struct kvm_lapic_state *)                                    \
	IOCTL(KVM_SET_LAPIC, FD_VCPU, struct kvm_lapic_state *)                                    \
	IOCTL(KVM_GET_MP_STATE, FD_VCPU, struct kvm_mp_state *)                                    \
	IOCTL(KVM_SET_MP_STATE, FD_VCPU, struct kvm_mp_state *)                                    \
	IOCTL(KVM_GET_VCPU_EVENTS, FD_VCPU, struct kvm_vcpu_events *)                              \
	IOCTL(KVM_SET_VCPU_EVENTS, FD_VCPU, struct kvm_vcpu_events *)                              \
	IOCTL(KVM_GET_DEBUGREGS, FD_VCPU, struct kvm_debugregs *)                                  \
	IOCTL(KVM_SET_DEBUGREGS, FD_VCPU, struct kvm_debugregs *)                                  \
	IOCTL(KVM_GET_XSAVE, FD_VCPU, struct kvm_xsave *)                                          \
	IOCTL(KVM_GET_XSAVE2, FD_VCPU, struct kvm_xsave *)                                         \
	IOCTL(KVM_SET_XSAVE, FD_VCPU, struct kvm_xsave *)                                          \
	IOCTL(KVM_GET_XCRS, FD_VCPU, struct kvm_xcrs *)                                            \
	IOCTL(KVM_SET_XCRS, FD_VCPU, struct kvm_xcrs *)                                            \
	IOCTL(KVM_GET_NESTED_STATE, FD_VCPU, struct kvm_nested_state *)                            \
	IOCTL(KVM_SET_NESTED_STATE, FD_VCPU, struct kvm_nested_state *)                            \
	IOCTL(KVM_GET_REG_LIST, FD_VCPU, struct kvm_reg_list *)                                    \
	IOCTL(KVM_GET_ONE_REG, FD_VCPU, struct kvm_one_reg *)                                      \
	IOCTL(KVM_SET_ONE_REG, FD_VCPU, struct kvm_one_reg *)                                      \
	IOCTL(KVM_SET_GUEST_DEBUG, FD_VCPU, struct kvm_guest_debug *)                              \
	IOCTL(KVM_X86_SETUP_MCE, FD_VCPU, __u64 *)                                                 \
	IOCTL(KVM_X86_SET_MCE, FD_VCPU, struct kvm_x86_mce *)                                      \
	IOCTL(KVM_KVMCLOCK_CTRL, FD_VCPU, unsigned long)                                           \
	IOCTL(KVM_SET_VAPIC_ADDR, FD_VCPU, struct kvm_vapic_addr *)                                \
	IOCTL(KVM_TPR_ACCESS_REPORTING, FD_VCPU, struct kvm_tpr_access_ctl *)                      \
	IOCTL(KVM_XEN_VCPU_GET_ATTR, FD_VCPU, struct kvm_xen_vcpu_attr *)                          \
	IOCTL(KVM_XEN_VCPU_SET_ATTR, FD_VCPU, struct kvm_xen_vcpu_attr *)

#endif
