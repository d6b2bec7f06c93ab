// SPDX-License-Identifier: MIT
/*
 * What KVM_ENABLE_CAP refuses of each capability: arguments, order, repetition. What the capabilities
 * do is for the areas that they belong to. Documented in api.rst: KVM_ENABLE_CAP; 7. Capabilities
 * that can be enabled on VMs; 6. Capabilities that can be enabled on vCPUs.
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

CASE(capabilities, hyperv_synic2, .contract = "enable_cap.hyperv_synic2", .needs = { CAP(KVM_CAP_HYPERV_SYNIC2) })
{
	expect_bad_input(
		BAD_CAP(KVM_CAP_HYPERV_SYNIC2, VCPU, EINVAL, "no local APIC in the kernel", 0),
		BAD_CAP(KVM_CAP_HYPERV_SYNIC, VCPU, EINVAL, "no local APIC in the kernel", 0),
		BAD_CAP(KVM_CAP_HYPERV_SYNIC2, VCPU | SPLIT_IRQCHIP, EINVAL, "an argument", 1));
}

/* clang-format on */
