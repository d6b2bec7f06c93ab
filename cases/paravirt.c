// SPDX-License-Identifier: MIT
/*
 * What KVM has for guests that know it: a clock and the time of day, the time that was stolen, an end of
 * interrupts without an exit, and page faults that need not be waited for. Documented in
 * Documentation/virt/kvm/x86/msr.rst and cpuid.rst, and in api.rst under KVM_KVMCLOCK_CTRL,
 * KVM_GET_CLOCK, KVM_SET_CLOCK and KVM_CAP_ENFORCE_PV_FEATURE_CPUID. That what KVM writes is logged as
 * dirty: cases/dirty_log.c and cases/dirty_ring.c.
 */
#include "interrupts.h"
#include "one_instruction.h"

#include <alloca.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* In RAM, where neither code nor tables are; aligned as each structure must be, but to no page. */
#define PLACE 0x10040ul

#define PF_VECTOR 14

/* The clock: kvmclock. */

#define TSC_STABLE    1 /* flags: all vCPUs' clocks agree */
#define GUEST_STOPPED 2

struct system_time {
	uint32_t version, pad;
	uint64_t tsc_timestamp, system_time; /* ticks, ns */
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad2[2];
};

static struct system_time *system_time(const struct vcpu *vcpu)
{
	return (struct system_time *)(void *)(vcpu->vm->ram + PLACE);
}

/* What the guest computes: ns. */
static uint64_t time_at(const struct system_time *t, uint64_t tsc)
{
	uint64_t ticks = tsc - t->tsc_timestamp;

	ticks = t->tsc_shift < 0 ? ticks >> -t->tsc_shift : ticks << t->tsc_shift;
	return t->system_time + (uint64_t)((unsigned __int128)ticks * t->tsc_to_system_mul >> 32);
}

static void expect_system_time(const struct system_time *t)
{
	expect(t->version % 2 == 0 && t->version > 0, "version %u", t->version);
	expect(t->tsc_to_system_mul != 0, "it does not run: its multiplier is 0");
	expect(!(t->flags & ~(TSC_STABLE | GUEST_STOPPED)), "flags %#x", t->flags);
}

static void expect_clock(struct vcpu *vcpu, uint32_t msr)
{
	struct system_time *now = system_time(vcpu), before;

	guest_writes_msr(vcpu, msr, PLACE | KVM_MSR_ENABLED);
	expect_equal(guest_reads_msr(vcpu, msr), PLACE | KVM_MSR_ENABLED);
	before = *now;
	expect_system_time(&before);

	guest_writes_msr(vcpu, msr, PLACE | KVM_MSR_ENABLED);
	expect_system_time(now);
	expect(now->version > before.version, "version %u", now->version);
	expect(now->tsc_timestamp >= before.tsc_timestamp, "the TSC went back: %#llx, %#llx",
	       (unsigned long long)before.tsc_timestamp, (unsigned long long)now->tsc_timestamp);
	expect(now->system_time >= before.system_time, "time went back: %llu, %llu",
	       (unsigned long long)before.system_time, (unsigned long long)now->system_time);

	guest_writes_msr(vcpu, msr, 0);
	memset(now, 0, sizeof *now);
	guest_runs(vcpu);
	expect_equal(now->version, 0);
}

#define NEEDS_CLOCK .needs = { CAP(KVM_CAP_CLOCKSOURCE) }

CASE(paravirt, system_time_by_the_new_msr, .contract = "kvmclock.system_time",
     .each_mode = one_instruction, NEEDS_CLOCK)
{
	expect_clock(boot(guest), MSR_KVM_SYSTEM_TIME_NEW);
}

CASE(paravirt, system_time_by_the_old_msr, .contract = "kvmclock.system_time",
     .each_mode = one_instruction, NEEDS_CLOCK)
{
	expect_clock(boot(guest), MSR_KVM_SYSTEM_TIME);
}

CASE(paravirt, both_msrs_of_the_system_time_are_one, .contract = "kvmclock.one_register",
     NEEDS_CLOCK)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME, PLACE | KVM_MSR_ENABLED);
	expect_equal(vcpu_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW), PLACE | KVM_MSR_ENABLED);
	vcpu_set_msr(vcpu, MSR_KVM_WALL_CLOCK_NEW, PLACE);
	expect_equal(vcpu_msr(vcpu, MSR_KVM_WALL_CLOCK), PLACE);
}

struct wall_clock {
	uint32_t version, sec, nsec;
};

static void expect_wall_clock(struct vcpu *vcpu, uint32_t msr)
{
	struct wall_clock *clock = (struct wall_clock *)(void *)(vcpu->vm->ram + PLACE);

	for (unsigned round = 1; round <= 2; round++) {
		clock->sec = 0;
		clock->nsec = UINT32_MAX;
		guest_writes_msr(vcpu, msr, PLACE);
		expect_equal(clock->version, 2 * round);
		expect(clock->sec > 0, "it was not written");
		expect(clock->nsec < 1000000000, "%u ns", clock->nsec);
	}
	clock->sec = 0;
	guest_runs(vcpu);
	expect_equal(clock->sec, 0);
}

CASE(paravirt, wall_clock_by_the_new_msr, .contract = "kvmclock.wall_clock",
     .each_mode = one_instruction, NEEDS_CLOCK)
{
	expect_wall_clock(boot(guest), MSR_KVM_WALL_CLOCK_NEW);
}

CASE(paravirt, wall_clock_by_the_old_msr, .contract = "kvmclock.wall_clock",
     .each_mode = one_instruction, NEEDS_CLOCK)
{
	expect_wall_clock(boot(guest), MSR_KVM_WALL_CLOCK);
}

static struct kvm_clock_data get_clock(struct vm *vm)
{
	struct kvm_clock_data clock = { 0 };

	x(vm, KVM_GET_CLOCK, &clock);
	return clock;
}

static struct vcpu *boot_with_clock(void)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, PLACE | KVM_MSR_ENABLED);
	guest_runs(vcpu);
	return vcpu;
}

CASE(paravirt, guests_time_is_between_two_of_get_clock, .contract = "get_clock.guests_time",
     .needs = { CAP(KVM_CAP_CLOCKSOURCE), CAP_BITS(KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_TSC_STABLE) })
{
	struct vcpu *vcpu = boot_with_clock();
	struct kvm_clock_data before = get_clock(vcpu->vm), after;
	uint64_t tsc = guest_reads_tsc(vcpu), guests;

	after = get_clock(vcpu->vm);
	guests = time_at(system_time(vcpu), tsc);
	if (!(before.flags & after.flags & KVM_CLOCK_TSC_STABLE))
		skip("needs a host whose clock is the TSC; KVM_GET_CLOCK does not set "
		     "KVM_CLOCK_TSC_STABLE");
	expect(before.clock <= guests && guests <= after.clock, "%llu, in the guest %llu, %llu",
	       (unsigned long long)before.clock, (unsigned long long)guests,
	       (unsigned long long)after.clock);
}

#define SOON  (1ull << 40) /* 18 minutes: ns */
#define LATER (1ull << 50) /* 13 days */

CASE(paravirt, set_clock_sets_what_get_clock_returns, .contract = "set_clock.value",
     .needs = { CAP(KVM_CAP_ADJUST_CLOCK) })
{
	static const uint64_t values[] = { LATER, SOON };
	struct vm *vm = vm_create();

	for (size_t i = 0; i < 2; i++) {
		uint64_t now;

		x(vm, KVM_SET_CLOCK, &(struct kvm_clock_data){ .clock = values[i] });
		now = get_clock(vm).clock;
		expect(now >= values[i] && now - values[i] < SOON, "%llu after it was set to %llu",
		       (unsigned long long)now, (unsigned long long)values[i]);
	}
}

CASE(paravirt, set_clock_moves_the_guests_clock, .contract = "set_clock.guests_time",
     .needs = { CAP(KVM_CAP_CLOCKSOURCE), CAP(KVM_CAP_ADJUST_CLOCK) })
{
	struct vcpu *vcpu = boot_with_clock();
	uint32_t version = system_time(vcpu)->version;

	x(vcpu->vm, KVM_SET_CLOCK, &(struct kvm_clock_data){ .clock = LATER });
	guest_runs(vcpu);
	expect_system_time(system_time(vcpu));
	expect(system_time(vcpu)->version > version, "it was not updated");
	expect(system_time(vcpu)->system_time - LATER < SOON, "%llu after it was set to %llu",
	       (unsigned long long)system_time(vcpu)->system_time, LATER);
}

static uint64_t time_of_day(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

CASE(paravirt, set_clock_adds_the_time_since, .contract = "set_clock.realtime",
     .needs = { CAP_BITS(KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_REALTIME) })
{
	struct vm *vm = vm_create();
	struct kvm_clock_data clock = { .clock = SOON, .flags = KVM_CLOCK_REALTIME };

	clock.realtime = time_of_day() - LATER;
	x(vm, KVM_SET_CLOCK, &clock);
	expect(get_clock(vm).clock - SOON - LATER < SOON, "%llu",
	       (unsigned long long)get_clock(vm).clock);

	clock.realtime = time_of_day() + LATER; /* a time to come is no reason to go back */
	x(vm, KVM_SET_CLOCK, &clock);
	expect(get_clock(vm).clock - SOON < SOON, "%llu", (unsigned long long)get_clock(vm).clock);
}

CASE(paravirt, get_clock_has_the_time_of_day, .contract = "get_clock.realtime",
     .needs = { CAP(KVM_CAP_CLOCKSOURCE), CAP_BITS(KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_REALTIME) })
{
	struct vm *vm = boot_with_clock()->vm;
	uint64_t before = time_of_day(), after;
	struct kvm_clock_data clock = get_clock(vm);

	after = time_of_day();
	if (!(clock.flags & KVM_CLOCK_REALTIME))
		skip("needs a host whose clock is the TSC; KVM_GET_CLOCK does not set "
		     "KVM_CLOCK_REALTIME");
	expect(before <= clock.realtime && clock.realtime <= after, "%llu, %llu, %llu",
	       (unsigned long long)before, (unsigned long long)clock.realtime,
	       (unsigned long long)after);
}

#define NEEDS_CTRL .needs = { CAP(KVM_CAP_CLOCKSOURCE), CAP(KVM_CAP_KVMCLOCK_CTRL) }

/* Has KVM update the clock. */
static void update_clock(struct vcpu *vcpu)
{
	uint32_t version = system_time(vcpu)->version;

	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, PLACE | KVM_MSR_ENABLED);
	guest_runs(vcpu);
	expect(system_time(vcpu)->version > version, "the clock was not updated");
}

CASE(paravirt, kvmclock_ctrl_says_that_the_guest_was_stopped, .contract = "kvmclock_ctrl.flag",
     NEEDS_CTRL)
{
	struct vcpu *vcpu = boot_with_clock();

	expect_equal(system_time(vcpu)->flags & GUEST_STOPPED, 0);
	x(vcpu, KVM_KVMCLOCK_CTRL);
	guest_runs(vcpu);
	expect_system_time(system_time(vcpu));
	expect_equal(system_time(vcpu)->flags & GUEST_STOPPED, GUEST_STOPPED);
}

CASE(paravirt, guest_stopped_stays_until_the_guest_clears_it, .contract = "kvmclock_ctrl.cleared",
     NEEDS_CTRL)
{
	struct vcpu *vcpu = boot_with_clock();

	x(vcpu, KVM_KVMCLOCK_CTRL);
	guest_runs(vcpu);
	update_clock(vcpu);
	expect_equal(system_time(vcpu)->flags & GUEST_STOPPED, GUEST_STOPPED);
	system_time(vcpu)->flags &= ~GUEST_STOPPED; /* as the guest does */
	update_clock(vcpu);
	expect_equal(system_time(vcpu)->flags & GUEST_STOPPED, 0);
}

CASE(paravirt, kvmclock_ctrl_needs_a_clock, .contract = "kvmclock_ctrl.no_clock", NEEDS_CTRL)
{
	struct vcpu *vcpu = boot_with_clock();

	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, PLACE);
	expect_errno(EINVAL, vcpu, KVM_KVMCLOCK_CTRL);
	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, PLACE | KVM_MSR_ENABLED);
	x(vcpu, KVM_KVMCLOCK_CTRL);
}

/* Stolen time. */

CASE(paravirt, steal_time_is_written_at_the_entry, .contract = "steal_time",
     .each_mode = one_instruction, .needs = { CAP(KVM_CAP_STEAL_TIME) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_steal_time *now = (struct kvm_steal_time *)(void *)(vcpu->vm->ram + PLACE),
			      before;

	guest_writes_msr(vcpu, MSR_KVM_STEAL_TIME, PLACE | KVM_MSR_ENABLED);
	guest_runs(vcpu);
	before = *now;
	expect(before.version % 2 == 0 && before.version > 0, "version %u", before.version);
	expect_equal(before.flags, 0);
	guest_runs(vcpu);
	expect(now->version % 2 == 0 && now->version > before.version, "version %u after %u",
	       now->version, before.version);
	expect(now->steal >= before.steal, "stolen time went back");

	guest_writes_msr(vcpu, MSR_KVM_STEAL_TIME, 0);
	memset(now, 0, sizeof *now);
	guest_runs(vcpu);
	expect_equal(now->version, 0);
}

/* The MSRs: what they hold, refuse, and which bit of CPUID's leaf KVM_CPUID_FEATURES stands for them. */

/* MSR(name, index, a value, one that is refused, the feature's bit) */
#define EACH_MSR(MSR)                                                                              \
	MSR(async_pf, MSR_KVM_ASYNC_PF_EN, PLACE | KVM_ASYNC_PF_ENABLED, PLACE | 1 << 4,           \
	    KVM_FEATURE_ASYNC_PF)                                                                  \
	MSR(async_pf_interrupt, MSR_KVM_ASYNC_PF_INT, 0x21, 1 << 8, KVM_FEATURE_ASYNC_PF_INT)      \
	MSR(steal_time, MSR_KVM_STEAL_TIME, PLACE | KVM_MSR_ENABLED, PLACE | 1 << 1,               \
	    KVM_FEATURE_STEAL_TIME)                                                                \
	MSR(pv_eoi, MSR_KVM_PV_EOI_EN, PLACE | KVM_MSR_ENABLED, PLACE | 1 << 1,                    \
	    KVM_FEATURE_PV_EOI)                                                                    \
	MSR(poll_control, MSR_KVM_POLL_CONTROL, 1, 1 << 1, KVM_FEATURE_POLL_CONTROL)

#define NEEDS_FEATURE(bit) .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP), PV_FEATURE(bit) }

/* Returns whether KVM_SET_MSRS takes it. */
static bool set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct kvm_msrs *msrs = alloca(sizeof *msrs + sizeof *msrs->entries);

	*msrs = (struct kvm_msrs){ .nmsrs = 1 };
	msrs->entries[0] = (struct kvm_msr_entry){ .index = index, .data = value };
	return x(vcpu, KVM_SET_MSRS, msrs) == 1;
}

static void expect_msr(uint32_t msr, uint64_t value, uint64_t refused)
{
	struct vcpu *vcpu = boot_with_split_irqchip(one_instruction[MODE_LONG64]);

	guest_writes_msr(vcpu, msr, value);
	expect_equal(guest_reads_msr(vcpu, msr), value);
	expect(!set_msr(vcpu, msr, refused), "KVM_SET_MSRS takes %#llx",
	       (unsigned long long)refused);
	expect_equal(vcpu_msr(vcpu, msr), value);
	expect_gp(vcpu, "wrmsr", msr, refused);
	expect_equal(vcpu_msr(vcpu, msr), value);
}

#define HOLDS_ITS_VALUE(name, msr, value, refused, feature)                                        \
	CASE(paravirt, name##_msr_holds_its_value_and_refuses_another, .contract = "pv_msr.value", \
	     NEEDS_FEATURE(feature))                                                               \
	{                                                                                          \
		expect_msr((msr), (value), (refused));                                             \
	}
EACH_MSR(HOLDS_ITS_VALUE)

/* CPUID's leaf has these bits, and they count. */
static struct vcpu *boot_with_features(uint32_t eax)
{
	struct vcpu *vcpu = boot_with_split_irqchip(one_instruction[MODE_LONG64]);

	vcpu_set_cpuid(vcpu,
		       &(struct kvm_cpuid_entry2){ .function = KVM_CPUID_FEATURES, .eax = eax }, 1);
	enable_cap(vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1);
	return vcpu;
}

static void expect_feature(uint32_t msr, uint64_t value, unsigned bit)
{
	struct vcpu *without = boot_with_features(~(1u << bit)),
		    *with = boot_with_features(1u << bit);

	expect_gp(without, "rdmsr", msr, 0);
	expect_gp(without, "wrmsr", msr, value);
	guest_writes_msr(with, msr, value);
	expect_equal(guest_reads_msr(with, msr), value);
}

#define NEEDS_ITS_FEATURE(name, msr, value, refused, feature)                                      \
	CASE(paravirt, name##_msr_needs_its_feature, .contract = "pv_msr.enforced",                \
	     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP), CAP(KVM_CAP_ENFORCE_PV_FEATURE_CPUID),         \
			PV_FEATURE(feature) })                                                     \
	{                                                                                          \
		expect_feature((msr), (value), (feature));                                         \
	}
EACH_MSR(NEEDS_ITS_FEATURE)
NEEDS_ITS_FEATURE(system_time, MSR_KVM_SYSTEM_TIME_NEW, PLACE, 0, KVM_FEATURE_CLOCKSOURCE2)
NEEDS_ITS_FEATURE(old_system_time, MSR_KVM_SYSTEM_TIME, PLACE, 0, KVM_FEATURE_CLOCKSOURCE)
NEEDS_ITS_FEATURE(wall_clock, MSR_KVM_WALL_CLOCK_NEW, PLACE, 0, KVM_FEATURE_CLOCKSOURCE2)
NEEDS_ITS_FEATURE(old_wall_clock, MSR_KVM_WALL_CLOCK, PLACE, 0, KVM_FEATURE_CLOCKSOURCE)

CASE(paravirt, async_pf_needs_a_local_apic, .contract = "async_pf.apic",
     .needs = { CAP(KVM_CAP_ASYNC_PF) })
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	expect_gp(vcpu, "wrmsr", MSR_KVM_ASYNC_PF_EN, PLACE | KVM_ASYNC_PF_ENABLED);
	expect(set_msr(vcpu, MSR_KVM_ASYNC_PF_EN, 0), "KVM_SET_MSRS refuses 0");
}

/* The end of an interrupt. */

static uint64_t eoi_word(const struct vcpu *vcpu)
{
	return guest_symbol(vcpu, "eoi_word");
}

#define NEEDS_PV_EOI NEEDS_FEATURE(KVM_FEATURE_PV_EOI)

/* An exit between the interrupt and the guest's look at the bit takes it away: then there is an EOI. */
static bool is_ended_by_bit(struct vcpu *vcpu)
{
	struct io_exit report;

	send_interrupt(vcpu);
	expect_run_exit(vcpu, KVM_EXIT_IO);
	report = io_exit_of(vcpu);
	if (report.value == ENDED_BY_BIT)
		return true;
	expect_equal(report.value, TAKEN);
	expect_run_report(vcpu, ENDED);
	return false;
}

CASE(paravirt, interrupt_may_be_ended_by_its_bit, .contract = "pv_eoi.bit", NEEDS_PV_EOI)
{
	struct vcpu *vcpu = until_ready(boot_with_split_irqchip(interrupts));
	unsigned by_bit = 0;

	vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, eoi_word(vcpu) | KVM_MSR_ENABLED);
	for (unsigned i = 0; i < 100 && by_bit < 2; i++)
		by_bit += is_ended_by_bit(vcpu);
	expect(by_bit == 2, "the bit was set %u times for 100 interrupts", by_bit);
}

CASE(paravirt, end_by_bit_must_be_enabled, .contract = "pv_eoi.disabled", NEEDS_PV_EOI)
{
	struct vcpu *vcpu = until_ready(boot_with_split_irqchip(interrupts));

	vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, eoi_word(vcpu) | KVM_MSR_ENABLED);
	vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, 0);
	for (unsigned i = 0; i < 2; i++) {
		send_interrupt(vcpu);
		expect_run_report(vcpu, TAKEN);
		expect_run_report(vcpu, ENDED);
	}
}

/* Page faults that KVM reports instead of waiting. */

static struct kvm_vcpu_pv_apf_data *apf_data(const struct vcpu *vcpu)
{
	return (struct kvm_vcpu_pv_apf_data *)(void *)(vcpu->vm->ram + PLACE);
}

#define ALL_PAGES UINT32_MAX

/* The guest takes the announcement that all pages are there, and acknowledges it. */
static struct vcpu *boot_with_async_pf(void)
{
	struct vcpu *vcpu = until_ready(boot_with_split_irqchip(interrupts));

	enable_async_pf(vcpu, PLACE);
	expect_run_report(vcpu, TAKEN);
	expect_equal(apf_data(vcpu)->token, ALL_PAGES);
	expect_equal(apf_data(vcpu)->flags, 0);
	expect_run_report(vcpu, ENDED);
	apf_data(vcpu)->token = 0;
	vcpu_set_msr(vcpu, MSR_KVM_ASYNC_PF_ACK, 1);
	return vcpu;
}

#define NEEDS_ASYNC_PF                                                                             \
	.needs = { CAP(KVM_CAP_ASYNC_PF), CAP(KVM_CAP_ASYNC_PF_INT), CAP(KVM_CAP_SPLIT_IRQCHIP) }

CASE(paravirt, async_pf_begins_with_all_pages_ready, .contract = "async_pf.enable", NEEDS_ASYNC_PF)
{
	boot_with_async_pf();
}

/* A page that is not there until it is answered for. */
static int userfaultfd = -1;
static struct uffdio_register missing = { .mode = UFFDIO_REGISTER_MODE_MISSING };

/* Before there is a VM: it is closed before that when the case ends, or KVM would wait for the page. */
static void open_userfaultfd(void)
{
	userfaultfd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (userfaultfd < 0)
		skip("needs userfaultfd(2); this host answers %s", strerror(errno));
	if (ioctl(userfaultfd, UFFDIO_API, &(struct uffdio_api){ .api = UFFD_API }) != 0)
		error("UFFDIO_API: %s", strerror(errno));
}

static void add_missing_page(struct vm *vm)
{
	struct kvm_userspace_memory_region slot = add_slot(vm);

	missing.range.start = slot.userspace_addr;
	missing.range.len = PAGE;
	if (ioctl(userfaultfd, UFFDIO_REGISTER, &missing) != 0)
		error("UFFDIO_REGISTER: %s", strerror(errno));
}

/* Whether it waits for the page, which a KVM has it do that does not keep the contract, or halts. */
static void *answer_when_asleep(void *vcpu)
{
	wait_until_asleep(vcpu);
	if (ioctl(userfaultfd, UFFDIO_ZEROPAGE,
		  &(struct uffdio_zeropage){ .range = missing.range }) != 0)
		error("UFFDIO_ZEROPAGE: %s", strerror(errno));
	return NULL;
}

CASE(paravirt, async_pf_reports_a_missing_page_and_when_it_is_there, .contract = "async_pf.page",
     NEEDS_ASYNC_PF)
{
	struct vcpu *vcpu;
	uint64_t token;

	open_userfaultfd();
	vcpu = boot_with_async_pf();
	add_missing_page(vcpu->vm);
	pthread_detach(call_on_thread(answer_when_asleep, vcpu));

	go_to(vcpu, "store", .rdi = SLOT_GPA, .rsi = 7);
	expect_run_exception(vcpu, PF_VECTOR, "stores");
	token = vcpu_sregs(vcpu).cr2;
	expect_equal(apf_data(vcpu)->flags, KVM_PV_REASON_PAGE_NOT_PRESENT);
	expect_equal(apf_data(vcpu)->token, 0);
	apf_data(vcpu)->flags = 0;

	go_to(vcpu, "wait");
	expect_run_report(vcpu, TAKEN);
	expect_equal(apf_data(vcpu)->token, token);
	expect_run_report(vcpu, ENDED);
	go_to(vcpu, "store", .rdi = SLOT_GPA, .rsi = 7);
	expect_run_report(vcpu, STORED);
}
