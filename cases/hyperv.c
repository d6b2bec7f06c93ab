// SPDX-License-Identifier: MIT
/*
 * What KVM does in Hyper-V's place: registers, pages, hypercalls and CPUID. Documented in api.rst under
 * KVM_CAP_HYPERV_VP_INDEX, _SYNIC, _SYNIC2, _SEND_IPI, _TLBFLUSH, _ENFORCE_CPUID and
 * KVM_GET_SUPPORTED_HV_CPUID, and in Microsoft's Top Level Functional Specification (TLFS). Exits:
 * cases/run_exits.c; what is logged as dirty: cases/kvm_writes.h.
 */
#include "hyperv.h"
#include "interrupts.h"
#include "one_instruction.h"

#include <stdlib.h>

/* In RAM, where neither code nor tables are. */
#define PLACE 0x10000ul

/* CPUID's leaf HV_CPUID_FEATURES, EAX. */
#define ACCESS_TIME_REF_COUNT (1 << 1)
#define ACCESS_SYNIC          (1 << 2)
#define ACCESS_APIC           (1 << 4)
#define ACCESS_HYPERCALL      (1 << 5)
#define ACCESS_VP_INDEX       (1 << 6)
#define ACCESS_RESET          (1 << 7)
#define ACCESS_REFERENCE_TSC  (1 << 9)

/* The guest finds Hyper-V, with these features, and has said who it is: hypercalls are enabled. */
static struct vcpu *be_hyperv(struct vcpu *vcpu, uint32_t features)
{
	const struct kvm_cpuid_entry2 leaves[] = {
		{ .function = HV_CPUID_VENDOR, .eax = HV_CPUID_ENLIGHTENMENTS },
		{ .function = HV_CPUID_INTERFACE, .eax = HV_INTERFACE },
		{ .function = HV_CPUID_FEATURES, .eax = features },
		{ .function = HV_CPUID_ENLIGHTENMENTS },
	};

	vcpu_set_cpuid(vcpu, leaves, sizeof leaves / sizeof *leaves);
	vcpu_set_msr(vcpu, HV_MSR_GUEST_OS_ID, 1);
	return vcpu;
}

static struct vcpu *boot_hyperv(void)
{
	return be_hyperv(boot(one_instruction[MODE_LONG64]), 0);
}

/* Registers. */

CASE(hyperv, vp_index_is_the_vcpus_place, .contract = "hyperv.vp_index",
     .needs = { CAP(KVM_CAP_HYPERV_VP_INDEX) })
{
	struct vcpu *first = boot_hyperv(), *second = vcpu_create(first->vm, 7);

	vcpu_enter(second, MODE_LONG64, first->vm->entry);
	be_hyperv(second, 0);
	expect_equal(guest_reads_msr(first, HV_MSR_VP_INDEX), 0);
	expect_equal(guest_reads_msr(second, HV_MSR_VP_INDEX), 1);
}

CASE(hyperv, vp_index_is_userspaces, .contract = "hyperv.vp_index.set",
     .needs = { CAP(KVM_CAP_HYPERV_VP_INDEX) })
{
	struct vcpu *vcpu = boot_hyperv();

	vcpu_set_msr(vcpu, HV_MSR_VP_INDEX, 5);
	expect_equal(guest_reads_msr(vcpu, HV_MSR_VP_INDEX), 5);
	expect_gp(vcpu, "wrmsr", HV_MSR_VP_INDEX, 6);
	expect_equal(vcpu_msr(vcpu, HV_MSR_VP_INDEX), 5);
}

CASE(hyperv, reference_count_goes_on, .contract = "hyperv.time",
     .needs = { CAP(KVM_CAP_HYPERV_TIME) })
{
	struct vcpu *vcpu = boot_hyperv();
	uint64_t before = guest_reads_msr(vcpu, HV_MSR_TIME_REF_COUNT),
		 after = guest_reads_msr(vcpu, HV_MSR_TIME_REF_COUNT);

	expect(after >= before, "it went from %llu to %llu", (unsigned long long)before,
	       (unsigned long long)after);
	expect_gp(vcpu, "wrmsr", HV_MSR_TIME_REF_COUNT, 0);
}

struct reference_tsc {
	uint32_t sequence, reserved;
	uint64_t scale;
	int64_t offset;
};

CASE(hyperv, reference_tsc_is_the_same_time, .contract = "hyperv.reference_tsc",
     .needs = { CAP(KVM_CAP_HYPERV_TIME) })
{
	struct vcpu *vcpu = boot_hyperv();
	const struct reference_tsc *page = (const void *)(vcpu->vm->ram + PLACE);
	uint64_t before, time, after;

	guest_writes_msr(vcpu, HV_MSR_REFERENCE_TSC, PLACE | HV_ENABLE);
	guest_runs(vcpu);
	expect_equal(guest_reads_msr(vcpu, HV_MSR_REFERENCE_TSC), PLACE | HV_ENABLE);
	if (!page->sequence)
		skip("needs a host whose clock is the TSC; KVM leaves the page's sequence at 0");
	before = guest_reads_msr(vcpu, HV_MSR_TIME_REF_COUNT);
	time = guest_reads_tsc(vcpu);
	after = guest_reads_msr(vcpu, HV_MSR_TIME_REF_COUNT);
	time = (uint64_t)((unsigned __int128)time * page->scale >> 64) + page->offset;
	expect(before <= time && time <= after, "%llu, by the page %llu, %llu",
	       (unsigned long long)before, (unsigned long long)time, (unsigned long long)after);
}

#define APIC_TPR 0x80

CASE(hyperv, task_priority_is_the_local_apics, .contract = "hyperv.vapic.tpr",
     .needs = { CAP(KVM_CAP_HYPERV_VAPIC), CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = be_hyperv(boot_with_split_irqchip(one_instruction[MODE_LONG64]), 0);
	struct kvm_lapic_state apic = { 0 };

	guest_writes_msr(vcpu, HV_MSR_TPR, 0x50);
	expect_equal(guest_reads_msr(vcpu, HV_MSR_TPR), 0x50);
	x(vcpu, KVM_GET_LAPIC, &apic);
	expect_equal(apic.regs[APIC_TPR], 0x50);
}

CASE(hyperv, assist_pages_word_is_cleared, .contract = "hyperv.vapic.assist_page",
     .needs = { CAP(KVM_CAP_HYPERV_VAPIC) })
{
	struct vcpu *vcpu = boot_hyperv();
	unsigned char *page = vcpu->vm->ram + PLACE;

	memset(page, 0xa5, 8);
	guest_writes_msr(vcpu, HV_MSR_VP_ASSIST, PLACE | HV_ENABLE);
	expect_equal(guest_reads_msr(vcpu, HV_MSR_VP_ASSIST), PLACE | HV_ENABLE);
	expect_memory(vcpu, PLACE, "\0\0\0\0\xa5\xa5\xa5\xa5", 8);
}

/* Whether KVM clears the pages of the synthetic interrupt controller that the guest enables. */
static void expect_synic(uint32_t cap, unsigned char want)
{
	static const uint32_t msrs[] = { HV_MSR_SIMP, HV_MSR_SIEFP };
	struct vcpu *vcpu = be_hyperv(boot_with_split_irqchip(one_instruction[MODE_LONG64]), 0);
	unsigned char *page = vcpu->vm->ram + PLACE;

	enable_cap(vcpu, cap, 0);
	for (size_t i = 0; i < 2; i++) {
		memset(page, 0xa5, PAGE);
		prepare_msr(vcpu, "wrmsr", msrs[i], PLACE | HV_ENABLE);
		expect_run_exit(vcpu, KVM_EXIT_HYPERV);
		expect_run_done(vcpu);
		expect_equal(guest_reads_msr(vcpu, msrs[i]), PLACE | HV_ENABLE);
		for (size_t j = 0; j < PAGE; j += PAGE - 1)
			expect_equal(page[j], want);
	}
}

CASE(hyperv, synic_clears_its_pages, .contract = "hyperv.synic.pages",
     .needs = { CAP(KVM_CAP_HYPERV_SYNIC), CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	expect_synic(KVM_CAP_HYPERV_SYNIC, 0);
}

CASE(hyperv, synic2_leaves_its_pages, .contract = "hyperv.synic.pages",
     .needs = { CAP(KVM_CAP_HYPERV_SYNIC2), CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	expect_synic(KVM_CAP_HYPERV_SYNIC2, 0xa5);
}

/* Hypercalls: the input in RCX, parameters in RDX and R8, the result in RAX. */

CASE(hyperv, long_spin_wait_succeeds, .contract = "hyperv.spin",
     .needs = { CAP(KVM_CAP_HYPERV_SPIN) })
{
	struct vcpu *vcpu = boot_hyperv();

	expect_hypercall(vcpu, HV_SUCCESS, .rcx = HV_NOTIFY_LONG_SPIN_WAIT | HV_FAST, .rdx = 1);
	expect_hypercall(vcpu, HV_INVALID_CODE, .rcx = 0x7fff | HV_FAST);
}

CASE(hyperv, flush_of_all_address_spaces_succeeds, .contract = "hyperv.tlbflush",
     .needs = { CAP(KVM_CAP_HYPERV_TLBFLUSH) })
{
	static const uint64_t all[] = { 0, 3 /* all processors, all address spaces */, 0 };
	struct vcpu *vcpu = boot_hyperv();

	memcpy(vcpu->vm->ram + PLACE, all, sizeof all);
	expect_hypercall(vcpu, HV_SUCCESS, .rcx = HV_FLUSH_ADDRESS_SPACE, .rdx = PLACE);
}

CASE(hyperv, send_ipi_interrupts_the_vcpu, .contract = "hyperv.send_ipi",
     .needs = { CAP(KVM_CAP_HYPERV_SEND_IPI), CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = until_ready(be_hyperv(boot_with_split_irqchip(interrupts), 0));

	go_to(vcpu, host_hypercall(), .rcx = HV_SEND_IPI | HV_FAST, .rdx = IRQ_VECTOR,
	      .r8 = 1 << 0 /* to virtual processor 0 */);
	expect_run_report(vcpu, TAKEN);
	expect_regs(vcpu, .r12 = HV_SUCCESS);
}

/* CPUID. */

/* MSR(name, index, the feature's bit): one that the guest can read. */
#define EACH_MSR(MSR)                                                                              \
	MSR(time_ref_count, HV_MSR_TIME_REF_COUNT, ACCESS_TIME_REF_COUNT)                          \
	MSR(hypercall, HV_MSR_HYPERCALL, ACCESS_HYPERCALL)                                         \
	MSR(vp_index, HV_MSR_VP_INDEX, ACCESS_VP_INDEX)                                            \
	MSR(reset, HV_MSR_RESET, ACCESS_RESET)                                                     \
	MSR(reference_tsc, HV_MSR_REFERENCE_TSC, ACCESS_REFERENCE_TSC)                             \
	MSR(assist_page, HV_MSR_VP_ASSIST, ACCESS_APIC)

static struct vcpu *boot_enforced(uint32_t features)
{
	struct vcpu *vcpu = be_hyperv(boot(one_instruction[MODE_LONG64]), features);

	enable_cap(vcpu, KVM_CAP_HYPERV_ENFORCE_CPUID, 1);
	return vcpu;
}

#define NEEDS_ITS_FEATURE(name, msr, feature)                                                      \
	CASE(hyperv, name##_msr_needs_its_feature, .contract = "hyperv.enforce_cpuid",             \
	     .needs = { CAP(KVM_CAP_HYPERV_ENFORCE_CPUID) })                                       \
	{                                                                                          \
		expect_gp(boot_enforced(~(uint32_t)(feature)), "rdmsr", (msr), 0);                 \
		guest_reads_msr(boot_enforced(feature), (msr));                                    \
	}
EACH_MSR(NEEDS_ITS_FEATURE)

CASE(hyperv, hypercall_needs_its_feature, .contract = "hyperv.enforce_cpuid.hypercall",
     .needs = { CAP(KVM_CAP_HYPERV_ENFORCE_CPUID) })
{
	expect_hypercall(boot_enforced(ACCESS_HYPERCALL), HV_ACCESS_DENIED,
			 .rcx = HV_NOTIFY_LONG_SPIN_WAIT | HV_FAST, .rdx = 1);
}

CASE(hyperv, msrs_need_hypervs_interface, .contract = "hyperv.interface",
     .needs = { CAP(KVM_CAP_HYPERV) })
{
	expect_gp(boot(one_instruction[MODE_LONG64]), "rdmsr", HV_MSR_VP_INDEX, 0);
}

CASE(hyperv, supported_cpuid_names_the_interface, .contract = "hyperv.cpuid",
     .needs = { CAP(KVM_CAP_HYPERV_CPUID) })
{
	static const uint32_t leaves[] = { HV_CPUID_VENDOR, HV_CPUID_INTERFACE, HV_CPUID_FEATURES,
					   HV_CPUID_ENLIGHTENMENTS };
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof *cpuid + CPUID_ENTRIES_MAX * sizeof *cpuid->entries);

	if (!cpuid)
		error("out of memory");
	cpuid->nent = CPUID_ENTRIES_MAX;
	x(vcpu, KVM_GET_SUPPORTED_HV_CPUID, cpuid);
	for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
		const struct kvm_cpuid_entry2 *entry = cpuid->entries;

		while (entry < cpuid->entries + cpuid->nent && entry->function != leaves[i])
			entry++;
		expect(entry < cpuid->entries + cpuid->nent, "leaf %#x is not there", leaves[i]);
		if (leaves[i] == HV_CPUID_INTERFACE)
			expect_equal(entry->eax, HV_INTERFACE);
		if (leaves[i] == HV_CPUID_FEATURES)
			expect_equal(entry->eax & ACCESS_VP_INDEX, ACCESS_VP_INDEX);
	}
}
