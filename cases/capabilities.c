// SPDX-License-Identifier: MIT
/*
 * What KVM_CHECK_EXTENSION answers for each capability, and what KVM_ENABLE_CAP refuses of it: arguments,
 * order, repetition. What the capabilities do is for the areas that they belong to. Documented in
 * api.rst: KVM_CHECK_EXTENSION and what it says of each; KVM_ENABLE_CAP; 7. Capabilities that can be
 * enabled on VMs; 6. Capabilities that can be enabled on vCPUs.
 */
#include "kvmspec.h"

#include <limits.h>
#include <unistd.h>

#define RING_SIZE 0x10000 /* bytes; api.rst, KVM_CAP_DIRTY_LOG_RING recommends 4096 entries */

/* The rows are tables. */
/* clang-format off */

/* BAD_CAP(capability, scene, errno, what is wrong, arguments) */
#define BAD_CAP(capability, scene, err, what, ...) \
	BAD(KVM_ENABLE_CAP, scene, err, what, { .cap = (capability), .args = { __VA_ARGS__ } })
#define TAKEN_CAP(capability, scene, what, ...) \
	TAKEN(KVM_ENABLE_CAP, scene, what, { .cap = (capability), .args = { __VA_ARGS__ } })
#define BAD_FLAGS(capability, scene, ...) \
	BAD(KVM_ENABLE_CAP, scene, EINVAL, "flags for " #capability, \
	    { .cap = (capability), .flags = 1, .args = { __VA_ARGS__ } })

/* What x86 answers; since a kernel; or 0 instead, where the CPU or the kernel's configuration lacks it. */
#define HAS(...) { .answer = __VA_ARGS__ }
#define HAS_SINCE(major, minor, ...) { .answer = __VA_ARGS__, .since = KERNEL(major, minor) }
#define MAY_HAVE(...) { .answer = __VA_ARGS__, .may_lack = true }
/* The same; and /dev/kvm answers for all types of VMs, not all of which have it. */
#define SOME_VMS_HAVE(...) { .answer = __VA_ARGS__, .may_lack = true, .some_vms = true }

static const struct {
	struct answer answer;
	struct need since;
	bool may_lack, some_vms;
} answers[] = {
	HAS(ANSWERS_BITS(KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)),
	HAS(ANSWERS(KVM_CAP_ASYNC_PF, 1)),
	HAS(ANSWERS(KVM_CAP_ASYNC_PF_INT, 1)),
	HAS(ANSWERS(KVM_CAP_BINARY_STATS_FD, 1)),
	HAS(ANSWERS(KVM_CAP_CHECK_EXTENSION_VM, 1)),
	HAS(ANSWERS(KVM_CAP_CLOCKSOURCE, 1)),
	HAS(ANSWERS(KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET)),
	HAS(ANSWERS(KVM_CAP_COALESCED_PIO, 1)),
	HAS(ANSWERS(KVM_CAP_DEBUGREGS, 1)),
	HAS(ANSWERS(KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1)),
	HAS_SINCE(6, 5, ANSWERS(KVM_CAP_DEVICE_CTRL, 1)),
	HAS(ANSWERS_AT_LEAST(KVM_CAP_DIRTY_LOG_RING, RING_SIZE)),
	HAS(ANSWERS(KVM_CAP_DISABLE_QUIRKS, 1)),
	HAS(ANSWERS_BITS(KVM_CAP_DISABLE_QUIRKS2,
			 KVM_X86_QUIRK_LINT0_REENABLED | KVM_X86_QUIRK_LAPIC_MMIO_HOLE |
			 KVM_X86_QUIRK_OUT_7E_INC_RIP | KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT |
			 KVM_X86_QUIRK_FIX_HYPERCALL_INSN | KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS)),
	HAS(ANSWERS(KVM_CAP_ENABLE_CAP, 1)),
	HAS(ANSWERS(KVM_CAP_ENABLE_CAP_VM, 1)),
	HAS(ANSWERS(KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1)),
	HAS(ANSWERS(KVM_CAP_EXCEPTION_PAYLOAD, 1)),
	HAS(ANSWERS_BITS(KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE)),
	HAS(ANSWERS(KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1)),
	HAS(ANSWERS(KVM_CAP_EXT_CPUID, 1)),
	HAS(ANSWERS(KVM_CAP_EXT_EMUL_CPUID, 1)),
	HAS(ANSWERS(KVM_CAP_GET_MSR_FEATURES, 1)),
	HAS(ANSWERS(KVM_CAP_GET_TSC_KHZ, 1)),
	SOME_VMS_HAVE(ANSWERS(KVM_CAP_GUEST_MEMFD, 1)),
	SOME_VMS_HAVE(ANSWERS_BITS(KVM_CAP_GUEST_MEMFD_FLAGS, GUEST_MEMFD_FLAG_MMAP)),
	HAS(ANSWERS(KVM_CAP_HALT_POLL, 1)),
	HAS(ANSWERS(KVM_CAP_HLT, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_HYPERV, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_HYPERV_DIRECT_TLBFLUSH, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_HYPERV_ENLIGHTENED_VMCS, 1)),
	HAS(ANSWERS(KVM_CAP_IMMEDIATE_EXIT, 1)),
	HAS(ANSWERS(KVM_CAP_INTERNAL_ERROR_DATA, 1)),
	HAS(ANSWERS(KVM_CAP_IOAPIC_POLARITY_IGNORED, 1)),
	HAS(ANSWERS(KVM_CAP_IOEVENTFD, 1)),
	HAS(ANSWERS(KVM_CAP_IOEVENTFD_ANY_LENGTH, 1)),
	HAS(ANSWERS(KVM_CAP_IOEVENTFD_NO_LENGTH, 1)),
	HAS(ANSWERS(KVM_CAP_IRQCHIP, 1)),
	HAS(ANSWERS(KVM_CAP_IRQFD, 1)),
	HAS(ANSWERS(KVM_CAP_IRQFD_RESAMPLE, 1)),
	HAS(ANSWERS(KVM_CAP_IRQ_INJECT_STATUS, 1)),
	HAS(ANSWERS(KVM_CAP_IRQ_ROUTING, 4096)), /* routes, as KVM_SET_GSI_ROUTING takes them */
	HAS(ANSWERS(KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1)),
	HAS(ANSWERS(KVM_CAP_KVMCLOCK_CTRL, 1)),
	HAS(ANSWERS(KVM_CAP_LAST_CPU, 1)),
	HAS(ANSWERS_BITS(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			 KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)),
	HAS(ANSWERS(KVM_CAP_MCE, 32)), /* banks, as KVM_X86_SETUP_MCE takes them */
	SOME_VMS_HAVE(ANSWERS_BITS(KVM_CAP_MEMORY_ATTRIBUTES, KVM_MEMORY_ATTRIBUTE_PRIVATE)),
	HAS_SINCE(6, 8, ANSWERS(KVM_CAP_MEMORY_FAULT_INFO, 1)),
	HAS(ANSWERS(KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1)),
	HAS(ANSWERS(KVM_CAP_MP_STATE, 1)),
	HAS(ANSWERS(KVM_CAP_MSR_PLATFORM_INFO, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_MULTI_ADDRESS_SPACE, 2)), /* with system management mode */
	MAY_HAVE(ANSWERS_AT_LEAST(KVM_CAP_NESTED_STATE, sizeof(struct kvm_nested_state))),
	HAS(ANSWERS(KVM_CAP_NOP_IO_DELAY, 1)),
	HAS(ANSWERS_AT_LEAST(KVM_CAP_NR_MEMSLOTS, 32)),
	HAS_SINCE(6, 18, ANSWERS(KVM_CAP_ONE_REG, 1)),
	HAS(ANSWERS(KVM_CAP_PCI_SEGMENT, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_PIT, 1)),
	MAY_HAVE(ANSWERS_BITS(KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE)),
	HAS(ANSWERS(KVM_CAP_PMU_EVENT_FILTER, 1)),
	HAS_SINCE(6, 3, ANSWERS(KVM_CAP_PMU_EVENT_MASKED_EVENTS, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_PRE_FAULT_MEMORY, 1)),
	HAS(ANSWERS(KVM_CAP_PV_MMU, 0)), /* the interface is gone */
	HAS(ANSWERS(KVM_CAP_READONLY_MEM, 1)),
	HAS(ANSWERS(KVM_CAP_SET_BOOT_CPU_ID, 1)),
	HAS(ANSWERS(KVM_CAP_SET_GUEST_DEBUG, 1)),
	HAS(ANSWERS_BITS(KVM_CAP_SET_GUEST_DEBUG2,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_SW_BP |
			 KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP |
			 KVM_GUESTDBG_BLOCKIRQ)),
	HAS(ANSWERS(KVM_CAP_SET_IDENTITY_MAP_ADDR, 1)),
	HAS(ANSWERS(KVM_CAP_SET_TSS_ADDR, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_SGX_ATTRIBUTE, 1)),
	HAS(ANSWERS(KVM_CAP_SIGNAL_MSI, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_SMALLER_MAXPHYADDR, 1)),
	HAS(ANSWERS(KVM_CAP_SPLIT_IRQCHIP, 1)),
	HAS(ANSWERS(KVM_CAP_SREGS2, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_STEAL_TIME, 1)),
	HAS(ANSWERS(KVM_CAP_SYNC_MMU, 1)),
	HAS(ANSWERS_BITS(KVM_CAP_SYNC_REGS, KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)),
	HAS(ANSWERS(KVM_CAP_SYSTEM_EVENT_DATA, 1)),
	HAS(ANSWERS(KVM_CAP_SYS_ATTRIBUTES, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_TSC_CONTROL, 1)),
	HAS(ANSWERS(KVM_CAP_TSC_DEADLINE_TIMER, 1)),
	HAS(ANSWERS(KVM_CAP_USER_MEMORY, 1)),
	HAS_SINCE(6, 8, ANSWERS(KVM_CAP_USER_MEMORY2, 1)),
	HAS(ANSWERS(KVM_CAP_USER_NMI, 1)),
	HAS(ANSWERS(KVM_CAP_VAPIC, 1)),
	HAS(ANSWERS(KVM_CAP_VCPU_ATTRIBUTES, 1)),
	HAS(ANSWERS(KVM_CAP_VCPU_EVENTS, 1)),
	HAS(ANSWERS(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, 1)), /* whether the CPU has SEV or not */
	HAS(ANSWERS(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 1)),
	HAS(ANSWERS(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, 1)),
	HAS_SINCE(6, 8, ANSWERS_BITS(KVM_CAP_VM_TYPES, 1 << KVM_X86_DEFAULT_VM)),
	HAS(ANSWERS_BITS(KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)),
	HAS_SINCE(6, 11, ANSWERS(KVM_CAP_X86_APIC_BUS_CYCLES_NS, 1)), /* ns, until it is enabled */
	MAY_HAVE(ANSWERS(KVM_CAP_X86_BUS_LOCK_EXIT, KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT)),
	HAS(ANSWERS_BITS(KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_PAUSE)),
	HAS_SINCE(6, 11, ANSWERS(KVM_CAP_X86_GUEST_MODE, 1)),
	HAS(ANSWERS(KVM_CAP_X86_MSR_FILTER, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_X86_NOTIFY_VMEXIT, 1)),
	HAS(ANSWERS(KVM_CAP_X86_ROBUST_SINGLESTEP, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_X86_SMM, 1)),
	HAS(ANSWERS(KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1)),
	HAS(ANSWERS(KVM_CAP_X86_USER_SPACE_MSR, 1)),
	MAY_HAVE(ANSWERS(KVM_CAP_XCRS, 1)), /* with XSAVE */
	MAY_HAVE(ANSWERS_BITS(KVM_CAP_XEN_HVM,
			      KVM_XEN_HVM_CONFIG_HYPERCALL_MSR | KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL |
			      KVM_XEN_HVM_CONFIG_SHARED_INFO | KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL |
			      KVM_XEN_HVM_CONFIG_EVTCHN_SEND)),
	HAS(ANSWERS(KVM_CAP_XSAVE, 1)),
	HAS(ANSWERS_AT_LEAST(KVM_CAP_XSAVE2, sizeof(struct kvm_xsave))),
};

CASE(capabilities, answers, .contract = "check_extension.answers")
{
	struct vm *vm = vm_create();
	char reason[256];

	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		if (!need_is_met(&answers[i].since, reason, sizeof reason) ||
		    (answers[i].may_lack && !host_cap(answers[i].answer.cap)))
			continue;
		expect_answer(&host.kvm, answers[i].answer);
		if (!answers[i].some_vms)
			expect_answer(vm, answers[i].answer);
	}
}

/* What is there if another capability is, and not without it. */
CASE(capabilities, families, .contract = "check_extension.families")
{
	static const struct {
		struct answer answer;
		int as;
	} members[] = {
		{ ANSWERS(KVM_CAP_DIRTY_LOG_RING_ACQ_REL, 0), KVM_CAP_DIRTY_LOG_RING },
		{ ANSWERS(KVM_CAP_HYPERV_CPUID, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_ENFORCE_CPUID, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_EVENTFD, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_SEND_IPI, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_SPIN, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_SYNIC, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_SYNIC2, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_TIME, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_TLBFLUSH, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_VAPIC, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_HYPERV_VP_INDEX, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_SYS_HYPERV_CPUID, 0), KVM_CAP_HYPERV },
		{ ANSWERS(KVM_CAP_PIT2, 0), KVM_CAP_PIT },
		{ ANSWERS(KVM_CAP_PIT_STATE2, 0), KVM_CAP_PIT },
		{ ANSWERS(KVM_CAP_REINJECT_CONTROL, 0), KVM_CAP_PIT },
		{ ANSWERS(KVM_CAP_VM_TSC_CONTROL, 0), KVM_CAP_TSC_CONTROL },
	};
	struct vm *vm = vm_create();

	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		struct answer answer = members[i].answer;

		answer.least = answer.most = host_cap(members[i].as);
		expect_answer(&host.kvm, answer);
		expect_answer(vm, answer);
	}
}

CASE(capabilities, flags, .contract = "enable_cap.flags")
{
	expect_bad_input(
		BAD_FLAGS(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, VM, 0),
		BAD_FLAGS(KVM_CAP_HALT_POLL, VM, 0),
		BAD_FLAGS(KVM_CAP_DISABLE_QUIRKS, VM, 0),
		BAD_FLAGS(KVM_CAP_DISABLE_QUIRKS2, VM, 0),
		BAD_FLAGS(KVM_CAP_X2APIC_API, VM, 0),
		BAD_FLAGS(KVM_CAP_MSR_PLATFORM_INFO, VM, 1),
		BAD_FLAGS(KVM_CAP_EXCEPTION_PAYLOAD, VM, 0),
		BAD_FLAGS(KVM_CAP_X86_TRIPLE_FAULT_EVENT, VM, 0),
		BAD_FLAGS(KVM_CAP_X86_USER_SPACE_MSR, VM, 0),
		BAD_FLAGS(KVM_CAP_X86_BUS_LOCK_EXIT, VM, 0),
		BAD_FLAGS(KVM_CAP_EXIT_HYPERCALL, VM, 0),
		BAD_FLAGS(KVM_CAP_EXIT_ON_EMULATION_FAILURE, VM, 0),
		BAD_FLAGS(KVM_CAP_ENFORCE_PV_FEATURE_CPUID, VCPU, 0),
		BAD_FLAGS(KVM_CAP_HYPERV_SYNIC2, VCPU | SPLIT_IRQCHIP, 0),
		BAD_FLAGS(KVM_CAP_SPLIT_IRQCHIP, VM | NO_VCPU, 24),
		BAD_FLAGS(KVM_CAP_X86_DISABLE_EXITS, VM | NO_VCPU, 0),
		BAD_FLAGS(KVM_CAP_MAX_VCPU_ID, VM | NO_VCPU, 4));
}

CASE(capabilities, flags_of_the_dirty_ring, .contract = "enable_cap.flags_of_the_dirty_ring",
     .needs = { CAP(KVM_CAP_DIRTY_LOG_RING) })
{
	expect_bad_input(
		TAKEN(KVM_ENABLE_CAP, VM | NO_VCPU, "flags for KVM_CAP_DIRTY_LOG_RING",
		      { .cap = KVM_CAP_DIRTY_LOG_RING, .flags = 1, .args = { RING_SIZE } }));
}

CASE(capabilities, split_irqchip, .contract = "enable_cap.split_irqchip", .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_SPLIT_IRQCHIP, VM | NO_VCPU, EINVAL, "4097 routes", 4097),
		BAD_CAP(KVM_CAP_SPLIT_IRQCHIP, VM, EEXIST, "a vCPU there already", 24),
		BAD_CAP(KVM_CAP_SPLIT_IRQCHIP, VM | IRQCHIP | NO_VCPU, EEXIST, "an irqchip there already", 24),
		BAD_CAP(KVM_CAP_SPLIT_IRQCHIP, VM | SPLIT_IRQCHIP | NO_VCPU, EEXIST, "a split irqchip there already", 24));
}

CASE(capabilities, x86_disable_exits, .contract = "enable_cap.x86_disable_exits",
     .needs = { CAP(KVM_CAP_X86_DISABLE_EXITS) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_X86_DISABLE_EXITS, VM | NO_VCPU, EINVAL, "an unknown exit", 1ul << 31),
		BAD_IF(KERNEL(6, 18), KVM_ENABLE_CAP, VM, EINVAL, "a vCPU there already",
		       { .cap = KVM_CAP_X86_DISABLE_EXITS, .args = { KVM_X86_DISABLE_EXITS_PAUSE } }));
}

CASE(capabilities, x2apic_api, .contract = "enable_cap.x2apic_api", .needs = { CAP(KVM_CAP_X2APIC_API) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_X2APIC_API, VM, EINVAL, "an unknown feature", 1ul << 31),
		BAD_CAP(KVM_CAP_X2APIC_API, VM, EINVAL, "EOI broadcasts that can and cannot be suppressed",
			KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST | KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST),
		BAD_CAP(KVM_CAP_X2APIC_API, VM | IRQCHIP, EINVAL, "EOI broadcasts that can be suppressed, and an IOAPIC in the kernel",
			KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST));
}

CASE(capabilities, x86_bus_lock_exit, .contract = "enable_cap.x86_bus_lock_exit")
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_X86_BUS_LOCK_EXIT, VM, EINVAL, "an unknown mode", 1 << 2),
		BAD_CAP(KVM_CAP_X86_BUS_LOCK_EXIT, VM, EINVAL, "detection on and off",
			KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT));
}

CASE(capabilities, x86_user_space_msr, .contract = "enable_cap.x86_user_space_msr",
     .needs = { CAP(KVM_CAP_X86_USER_SPACE_MSR), KERNEL(6, 2) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_X86_USER_SPACE_MSR, VM, EINVAL, "an unknown reason", 1 << 3),
		BAD_CAP(KVM_CAP_X86_USER_SPACE_MSR, VM, EINVAL, "an unknown reason among others", 1 | 1ul << 31));
}

CASE(capabilities, exit_on_emulation_failure, .contract = "enable_cap.exit_on_emulation_failure",
     .needs = { CAP(KVM_CAP_EXIT_ON_EMULATION_FAILURE) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_EXIT_ON_EMULATION_FAILURE, VM, EINVAL, "2", 2),
		BAD_CAP(KVM_CAP_EXIT_ON_EMULATION_FAILURE, VM, EINVAL, "a number above 32 bits", 1ul << 32));
}

CASE(capabilities, disable_quirks, .contract = "enable_cap.disable_quirks",
     .needs = { CAP(KVM_CAP_DISABLE_QUIRKS), CAP(KVM_CAP_DISABLE_QUIRKS2) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_DISABLE_QUIRKS2, VM, EINVAL, "a quirk that there is not", 1ul << 31),
		BAD_CAP(KVM_CAP_DISABLE_QUIRKS2, VM, EINVAL, "a quirk above 32 bits", 1ul << 32),
		TAKEN_CAP(KVM_CAP_DISABLE_QUIRKS, VM, "a quirk that there is not", 1ul << 31));
}

CASE(capabilities, max_vcpu_id, .contract = "enable_cap.max_vcpu_id", .needs = { CAP(KVM_CAP_MAX_VCPU_ID) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_MAX_VCPU_ID, VM | NO_VCPU, EINVAL, "more than KVM can have", INT_MAX),
		TAKEN_CAP(KVM_CAP_MAX_VCPU_ID, VM | NO_VCPU, "4", 4),
		TAKEN_CAP(KVM_CAP_MAX_VCPU_ID, VM | NO_VCPU, "4 again", 4),
		BAD_CAP(KVM_CAP_MAX_VCPU_ID, VM | NO_VCPU, EINVAL, "another number than before", 3),
		BAD(KVM_CREATE_VCPU, VM | NO_VCPU, EINVAL, "an id at the limit", { 4 }),
		TAKEN(KVM_CREATE_VCPU, VM | NO_VCPU, "an id below the limit", { 3 }));
}

CASE(capabilities, x86_notify_vmexit, .contract = "enable_cap.x86_notify_vmexit")
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_X86_NOTIFY_VMEXIT, VM | NO_VCPU, EINVAL, "an unknown flag", KVM_X86_NOTIFY_VMEXIT_ENABLED | 1 << 2),
		BAD_CAP(KVM_CAP_X86_NOTIFY_VMEXIT, VM | NO_VCPU, EINVAL, "a window that is not enabled", 1ul << 32),
		BAD_CAP(KVM_CAP_X86_NOTIFY_VMEXIT, VM | NO_VCPU, EINVAL, "exits that are not enabled", KVM_X86_NOTIFY_VMEXIT_USER));
}

CASE(capabilities, x86_apic_bus_cycles_ns, .contract = "enable_cap.x86_apic_bus_cycles_ns",
     .needs = { CAP(KVM_CAP_X86_APIC_BUS_CYCLES_NS) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_X86_APIC_BUS_CYCLES_NS, VM | NO_VCPU, ENXIO, "no local APIC in the kernel", 10),
		BAD_CAP(KVM_CAP_X86_APIC_BUS_CYCLES_NS, VM | NO_VCPU, EINVAL, "cycles of 0 ns", 0),
		BAD_CAP(KVM_CAP_X86_APIC_BUS_CYCLES_NS, VM | SPLIT_IRQCHIP | NO_VCPU, EINVAL, "cycles of 0 ns", 0),
		BAD_CAP(KVM_CAP_X86_APIC_BUS_CYCLES_NS, VM | SPLIT_IRQCHIP | NO_VCPU, EINVAL, "a timer that overflows", -1ul),
		BAD_CAP(KVM_CAP_X86_APIC_BUS_CYCLES_NS, VM | SPLIT_IRQCHIP, EINVAL, "a vCPU there already", 10));
}

CASE(capabilities, pmu_capability, .contract = "enable_cap.pmu_capability", .needs = { CAP(KVM_CAP_PMU_CAPABILITY) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_PMU_CAPABILITY, VM | NO_VCPU, EINVAL, "an unknown feature", 1 << 1),
		BAD_CAP(KVM_CAP_PMU_CAPABILITY, VM, EINVAL, "a vCPU there already", KVM_PMU_CAP_DISABLE));
}

CASE(capabilities, vm_disable_nx_huge_pages, .contract = "enable_cap.vm_disable_nx_huge_pages",
     .needs = { CAP(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES) })
{
	if (geteuid() != 0)
		skip("needs CAP_SYS_BOOT, which root has");
	expect_bad_input(
		BAD_CAP(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, VM | NO_VCPU, EINVAL, "an argument", 1),
		BAD_CAP(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, VM, EINVAL, "a vCPU there already", 0));
}

CASE(capabilities, vm_disable_nx_huge_pages_by_anyone, .contract = "enable_cap.vm_disable_nx_huge_pages_by_anyone",
     .needs = { CAP(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES) })
{
	const uid_t nobody = 65534;

	if (geteuid() == 0 && setresuid(nobody, nobody, nobody) < 0)
		error("cannot become another user: %s", strerror(errno));
	expect_bad_input(BAD_CAP(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, VM | NO_VCPU, EPERM, "no right to do so", 0));
}

CASE(capabilities, exit_hypercall, .contract = "enable_cap.exit_hypercall", .needs = { CAP(KVM_CAP_EXIT_HYPERCALL) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_EXIT_HYPERCALL, VM, EINVAL, "a hypercall that does not exit", 1ul << KVM_HC_KICK_CPU),
		BAD_CAP(KVM_CAP_EXIT_HYPERCALL, VM, EINVAL, "a hypercall that there is not", 1ul << 63));
}

CASE(capabilities, halt_poll, .contract = "enable_cap.halt_poll", .needs = { CAP(KVM_CAP_HALT_POLL) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_HALT_POLL, VM, EINVAL, "2^32 ns", 1ul << 32),
		TAKEN_CAP(KVM_CAP_HALT_POLL, VM, "1 ns", 1),
		TAKEN_CAP(KVM_CAP_HALT_POLL, VM, "another time", 0));
}

CASE(capabilities, manual_dirty_log_protect2, .contract = "enable_cap.manual_dirty_log_protect2",
     .needs = { CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, VM, EINVAL, "an unknown flag", KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | 1 << 2),
		BAD_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, VM, EINVAL, "logs set initially without manual protection", KVM_DIRTY_LOG_INITIALLY_SET),
		TAKEN_CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, VM, "nothing", 0));
}

CASE(capabilities, dirty_log_ring, .contract = "enable_cap.dirty_log_ring", .needs = { CAP(KVM_CAP_DIRTY_LOG_RING) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_DIRTY_LOG_RING, VM | NO_VCPU, EINVAL, "a size of 0", 0),
		BAD_CAP(KVM_CAP_DIRTY_LOG_RING, VM | NO_VCPU, EINVAL, "a size that is no power of two", 0x3000),
		BAD_CAP(KVM_CAP_DIRTY_LOG_RING, VM | NO_VCPU, EINVAL, "half a page", 0x800),
		BAD_CAP(KVM_CAP_DIRTY_LOG_RING, VM | NO_VCPU, E2BIG, "a size above the limit", 1ul << 31),
		BAD_CAP(KVM_CAP_DIRTY_LOG_RING, VM, EINVAL, "a vCPU there already", RING_SIZE),
		TAKEN_CAP(KVM_CAP_DIRTY_LOG_RING, VM | NO_VCPU, "4096 entries", RING_SIZE),
		BAD_CAP(KVM_CAP_DIRTY_LOG_RING, VM | NO_VCPU, EINVAL, "a second time", RING_SIZE));
}

CASE(capabilities, hyperv_enlightened_vmcs, .contract = "enable_cap.hyperv_enlightened_vmcs",
     .needs = { CAP(KVM_CAP_HYPERV_ENLIGHTENED_VMCS) })
{
	__u16 version = 0;

	expect_bad_input(
		BAD_CAP(KVM_CAP_HYPERV_ENLIGHTENED_VMCS, VCPU, EFAULT, "no room for the version", UNMAPPED),
		TAKEN_CAP(KVM_CAP_HYPERV_ENLIGHTENED_VMCS, VCPU, "room for the version", (uintptr_t)&version));
	expect(version, "there is no version of it");
}

CASE(capabilities, no_hyperv_enlightened_vmcs, .contract = "enable_cap.hyperv_nested", .needs = { CAP(KVM_CAP_HYPERV) })
{
	if (host_cap(KVM_CAP_HYPERV_ENLIGHTENED_VMCS))
		skip("needs a KVM without KVM_CAP_HYPERV_ENLIGHTENED_VMCS; this one has it");
	expect_bad_input(BAD_CAP(KVM_CAP_HYPERV_ENLIGHTENED_VMCS, VCPU, ENOTTY, "no nested VT-x", 0));
}

CASE(capabilities, no_hyperv_direct_tlbflush, .contract = "enable_cap.hyperv_nested", .needs = { CAP(KVM_CAP_HYPERV) })
{
	if (host_cap(KVM_CAP_HYPERV_DIRECT_TLBFLUSH))
		skip("needs a KVM without KVM_CAP_HYPERV_DIRECT_TLBFLUSH; this one has it");
	expect_bad_input(BAD_CAP(KVM_CAP_HYPERV_DIRECT_TLBFLUSH, VCPU, ENOTTY, "no Hyper-V below KVM", 0));
}

CASE(capabilities, encryption_contexts, .contract = "enable_cap.encryption_contexts")
{
	/* Whatever the CPU has: kvm_amd is built with SEV, which before 6.10 it always was in part. */
	bool has_sev = strcmp(host.vendor, "kvm_amd") == 0 &&
		       (host_compare_kernel("6.10") < 0 || access("/sys/module/kvm_amd/parameters/sev", F_OK) == 0);
	int err = has_sev ? EBADF : EINVAL;

	expect_bad_input(
		BAD_CAP(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, VM | NO_VCPU, err, "no descriptor", (__u32)NO_FD),
		BAD_CAP(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, VM | NO_VCPU, err, "a descriptor that is no VM", FILE_FD),
		BAD_CAP(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, VM | NO_VCPU, err, "no descriptor", (__u32)NO_FD),
		BAD_CAP(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, VM | NO_VCPU, err, "a descriptor that is no VM", FILE_FD));
}

CASE(capabilities, sgx_attribute, .contract = "enable_cap.sgx_attribute", .needs = { CAP(KVM_CAP_SGX_ATTRIBUTE) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_SGX_ATTRIBUTE, VM, EINVAL, "no descriptor", (__u32)NO_FD),
		BAD_CAP(KVM_CAP_SGX_ATTRIBUTE, VM, EINVAL, "a descriptor of no attribute of SGX's", FILE_FD));
}

CASE(capabilities, hyperv_synic2, .contract = "enable_cap.hyperv_synic2", .needs = { CAP(KVM_CAP_HYPERV_SYNIC2) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_HYPERV_SYNIC2, VCPU, EINVAL, "no local APIC in the kernel", 0),
		BAD_CAP(KVM_CAP_HYPERV_SYNIC, VCPU, EINVAL, "no local APIC in the kernel", 0),
		BAD_CAP(KVM_CAP_HYPERV_SYNIC2, VCPU | SPLIT_IRQCHIP, EINVAL, "an argument", 1));
}

/* clang-format on */
