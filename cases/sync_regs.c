// SPDX-License-Identifier: MIT
/*
 * Registers that KVM_RUN exchanges by way of kvm_run: kvm_valid_regs says which to store when it
 * returns, kvm_dirty_regs which to load before it enters. Documented in api.rst, KVM_CAP_SYNC_REGS.
 * KVM_RUN with immediate_exit: cases/immediate_exit.c.
 */
#include "kvmspec.h"

GUEST_EACH_MODE(count_and_halt);
GUEST_EACH_MODE(registers);

#define ALL (KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS)

#define NEEDS_SYNC_REGS .needs = { CAP_BITS(KVM_CAP_SYNC_REGS, ALL) }

#define CR4_RESERVED (1ull << 63)
#define NO_EXCEPTION 77 /* vectors of exceptions go up to 31 */

#define FILLER 0xa5

/* What the two fields are about, with where kvm_run has it. */
static const struct {
	const char *name;
	uint64_t bit;
	size_t offset, size;
} sets[] = {
#define SET(bit, member)                                                                           \
	{                                                                                          \
#bit, bit, offsetof(struct kvm_sync_regs, member),                                 \
			sizeof(((struct kvm_sync_regs *)0)->member)                                \
	}
	SET(KVM_SYNC_X86_REGS, regs),
	SET(KVM_SYNC_X86_SREGS, sregs),
	SET(KVM_SYNC_X86_EVENTS, events),
};

static const size_t set_count = sizeof sets / sizeof *sets;

static void fill(struct vcpu *vcpu)
{
	memset(&vcpu->run->s.regs, FILLER, sizeof vcpu->run->s.regs);
}

static bool is_filled(const struct vcpu *vcpu, size_t set)
{
	const unsigned char *bytes = (const unsigned char *)&vcpu->run->s.regs + sets[set].offset;

	for (size_t i = 0; i < sets[set].size; i++)
		if (bytes[i] != FILLER)
			return false;
	return true;
}

CASE(sync_regs, capability_names_three_sets, .contract = "sync_regs.capability", NEEDS_SYNC_REGS)
{
	struct vm *vm = vm_create();

	expect_answer(&host.kvm, ANSWERS(KVM_CAP_SYNC_REGS, ALL));
	expect_answer(vm, ANSWERS(KVM_CAP_SYNC_REGS, ALL));
}

/* Storing */

CASE(sync_regs, stored_registers_are_the_vcpus, .contract = "sync_regs.valid",
     .each_mode = registers, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events = { 0 };

	vcpu->run->kvm_valid_regs = ALL;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	regs = vcpu_regs(vcpu);
	sregs = vcpu_sregs(vcpu);
	x(vcpu, KVM_GET_VCPU_EVENTS, &events);
	expect_regs_(HERE, vcpu, vcpu->run->s.regs.regs, regs);
	expect_equal(vcpu->run->s.regs.regs.rip, guest_symbol(vcpu, "end"));
	expect_sregs_(HERE, vcpu, vcpu->run->s.regs.sregs, sregs);
	expect(memcmp(&vcpu->run->s.regs.sregs, &sregs, sizeof sregs) == 0,
	       "segments or tables differ from those of KVM_GET_SREGS");
	expect_equal(vcpu->run->s.regs.events.flags, events.flags);
	expect_equal(vcpu->run->s.regs.events.interrupt.injected, events.interrupt.injected);
	expect_equal(vcpu->run->s.regs.events.exception.injected, events.exception.injected);
	expect_equal(vcpu->run->s.regs.events.nmi.masked, events.nmi.masked);
}

CASE(sync_regs, stored_sregs_are_the_vcpus, .contract = "sync_regs.valid",
     .each_mode = count_and_halt, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_sregs sregs;

	vcpu->run->kvm_valid_regs = KVM_SYNC_X86_SREGS;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	sregs = vcpu_sregs(vcpu);
	expect_equal(vcpu->run->s.regs.sregs.cr0, sregs.cr0);
	expect_equal(vcpu->run->s.regs.sregs.cs.l, guest->mode == MODE_LONG64);
	expect_equal(vcpu->run->s.regs.sregs.cr3, sregs.cr3);
}

CASE(sync_regs, stored_events_are_the_vcpus, .contract = "sync_regs.valid",
     .needs = { CAP_BITS(KVM_CAP_SYNC_REGS, ALL), CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	x(vcpu, KVM_INTERRUPT, &(struct kvm_interrupt){ .irq = 0x20 });
	fill(vcpu);
	vcpu->run->kvm_valid_regs = KVM_SYNC_X86_EVENTS;
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_equal(vcpu->run->s.regs.events.interrupt.injected, 1);
	expect_equal(vcpu->run->s.regs.events.interrupt.nr, 0x20);
}

CASE(sync_regs, only_what_is_asked_for_is_stored, .contract = "sync_regs.valid.partial",
     .each_mode = count_and_halt, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);

	for (uint64_t valid = 0; valid <= ALL; valid++) {
		fill(vcpu);
		vcpu->run->kvm_valid_regs = valid;
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_equal(vcpu->run->kvm_valid_regs, valid);
		for (size_t i = 0; i < set_count; i++)
			expect(is_filled(vcpu, i) == !(valid & sets[i].bit),
			       "%s with kvm_valid_regs %#jx", sets[i].name, (uintmax_t)valid);
	}
}

CASE(sync_regs, stored_with_every_exit, .contract = "sync_regs.valid.each_run",
     .each_mode = count_and_halt, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	for (int i = 0; i < 3; i++) {
		fill(vcpu);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_equal(vcpu->run->s.regs.regs.rip, guest_symbol(vcpu, "after_hlt"));
	}
}

/* Loading */

CASE(sync_regs, dirty_registers_are_loaded, .contract = "sync_regs.dirty", .each_mode = registers,
     NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->s.regs.regs = vcpu->loaded;
	vcpu->run->s.regs.regs.rbx = 0x12345678;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(guest_variable(vcpu, uint64_t, "seen")[1], 0x12345678); /* RBX is its second */
	expect_equal(vcpu->run->kvm_dirty_regs, 0);
}

CASE(sync_regs, dirty_sregs_are_loaded, .contract = "sync_regs.dirty", .each_mode = count_and_halt,
     NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->s.regs.sregs = vcpu_sregs(vcpu);
	vcpu->run->s.regs.sregs.cr2 = 0x6000;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_sregs(vcpu, .cr2 = 0x6000);
	expect_equal(vcpu->run->kvm_dirty_regs, 0);
}

CASE(sync_regs, dirty_events_are_loaded, .contract = "sync_regs.dirty",
     .needs = { CAP_BITS(KVM_CAP_SYNC_REGS, ALL), CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);
	struct kvm_vcpu_events events = { 0 };

	vcpu->run->s.regs.events =
		(struct kvm_vcpu_events){ .interrupt = { .injected = 1, .nr = 0x21 } };
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	x(vcpu, KVM_GET_VCPU_EVENTS, &events);
	expect_equal(events.interrupt.injected, 1);
	expect_equal(events.interrupt.nr, 0x21);
	expect_equal(vcpu->run->kvm_dirty_regs, 0);
}

CASE(sync_regs, what_is_not_dirty_is_not_loaded, .contract = "sync_regs.dirty.clear",
     .each_mode = registers, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->kvm_valid_regs = ALL;
	vcpu->run->s.regs.regs = vcpu->loaded;
	vcpu->run->s.regs.regs.rbx = 0x12345678;
	vcpu->run->s.regs.sregs = vcpu_sregs(vcpu);
	vcpu->run->s.regs.sregs.cr2 = 0x6000;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(guest_variable(vcpu, uint64_t, "seen")[1], 0);
	expect_sregs(vcpu, .cr2 = 0);
}

CASE(sync_regs, each_set_is_loaded_by_its_own_bit, .contract = "sync_regs.dirty.partial",
     NEEDS_SYNC_REGS)
{
	for (uint64_t dirty = 0; dirty <= ALL; dirty++) {
		struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);
		struct kvm_vcpu_events events = { 0 };

		vcpu->run->s.regs.regs = vcpu->loaded;
		vcpu->run->s.regs.regs.rbx = 0x1234;
		vcpu->run->s.regs.sregs = vcpu_sregs(vcpu);
		vcpu->run->s.regs.sregs.cr2 = 0x6000;
		x(vcpu, KVM_GET_VCPU_EVENTS, &vcpu->run->s.regs.events);
		vcpu->run->s.regs.events.nmi.masked = 1;
		vcpu->run->kvm_dirty_regs = dirty;
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		x(vcpu, KVM_GET_VCPU_EVENTS, &events);
		expect_regs(vcpu, .rbx = dirty & KVM_SYNC_X86_REGS ? 0x1234 : 0);
		expect_sregs(vcpu, .cr2 = dirty & KVM_SYNC_X86_SREGS ? 0x6000 : 0);
		expect_equal(events.nmi.masked, !!(dirty & KVM_SYNC_X86_EVENTS));
	}
}

CASE(sync_regs, dirty_registers_win_over_the_ioctls, .contract = "sync_regs.dirty.ioctl",
     .each_mode = registers, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;

	vcpu->run->s.regs.regs = vcpu->loaded;
	vcpu->run->s.regs.regs.rbx = 0x1111;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	regs.rbx = 0x2222;
	vcpu_set_regs(vcpu, regs);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(guest_variable(vcpu, uint64_t, "seen")[1], 0x1111);
}

/* Errors: nothing runs. */

static void expect_run_to_be_refused(struct vcpu *vcpu, const char *field, unsigned bit)
{
	expect(vcpu_run(vcpu) == -EINVAL, "KVM_RUN takes bit %u of %s", bit, field);
	expect_equal(*guest_counter(vcpu), 0);
}

static void expect_unknown_valid_bits_to_be_refused(unsigned first, unsigned end)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	for (unsigned bit = first; bit < end; bit++) {
		vcpu->run->kvm_valid_regs = 1ull << bit;
		expect_run_to_be_refused(vcpu, "kvm_valid_regs", bit);
	}
	vcpu->run->kvm_valid_regs = 0;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

static void expect_unknown_dirty_bits_to_be_refused(unsigned first, unsigned end)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	vcpu->run->s.regs.regs = vcpu->loaded;
	vcpu->run->s.regs.regs.rbx = 0x1234;
	for (unsigned bit = first; bit < end; bit++) {
		vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | 1ull << bit;
		expect_run_to_be_refused(vcpu, "kvm_dirty_regs", bit);
		expect_equal(vcpu->run->kvm_dirty_regs, KVM_SYNC_X86_REGS | 1ull << bit);
		expect_regs(vcpu, REGS_AS(vcpu->loaded)); /* not even the known one was loaded */
	}
	vcpu->run->kvm_dirty_regs = 0;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(sync_regs, unknown_bits_of_valid_are_refused, .contract = "sync_regs.valid.unknown",
     NEEDS_SYNC_REGS)
{
	expect_unknown_valid_bits_to_be_refused(3, 32);
}

CASE(sync_regs, unknown_high_bits_of_valid_are_refused, .contract = "sync_regs.valid.unknown",
     NEEDS_SYNC_REGS)
{
	expect_unknown_valid_bits_to_be_refused(32, 64);
}

CASE(sync_regs, unknown_bits_of_dirty_are_refused, .contract = "sync_regs.dirty.unknown",
     NEEDS_SYNC_REGS)
{
	expect_unknown_dirty_bits_to_be_refused(3, 32);
}

CASE(sync_regs, unknown_high_bits_of_dirty_are_refused, .contract = "sync_regs.dirty.unknown",
     NEEDS_SYNC_REGS)
{
	expect_unknown_dirty_bits_to_be_refused(32, 64);
}

CASE(sync_regs, impossible_sregs_are_refused, .contract = "sync_regs.dirty.sregs_invalid",
     .each_mode = count_and_halt, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_sregs before = vcpu_sregs(vcpu);

	vcpu->run->s.regs.sregs = before;
	vcpu->run->s.regs.sregs.cr4 |= CR4_RESERVED;
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	expect_run_errno(vcpu, EINVAL);
	expect_equal(vcpu->run->kvm_dirty_regs, KVM_SYNC_X86_SREGS);
	expect_sregs(vcpu, .cr4 = before.cr4);
	expect_equal(*guest_counter(vcpu), 0);

	vcpu->run->s.regs.sregs = before; /* and that is all that was wrong */
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(sync_regs, impossible_events_are_refused, .contract = "sync_regs.dirty.events_invalid",
     .each_mode = count_and_halt, NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(guest);

	vcpu->run->s.regs.events =
		(struct kvm_vcpu_events){ .exception = { .injected = 1, .nr = NO_EXCEPTION } };
	vcpu->run->kvm_dirty_regs = KVM_SYNC_X86_EVENTS;
	expect_run_errno(vcpu, EINVAL);
	expect_equal(vcpu->run->kvm_dirty_regs, KVM_SYNC_X86_EVENTS);
	expect_equal(*guest_counter(vcpu), 0);
}

CASE(sync_regs, sets_before_the_refused_one_are_loaded, .contract = "sync_regs.dirty.order",
     NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	vcpu->run->s.regs.regs = vcpu->loaded;
	vcpu->run->s.regs.regs.rbx = 0x1234;
	vcpu->run->s.regs.sregs = vcpu_sregs(vcpu);
	vcpu->run->s.regs.sregs.cr4 |= CR4_RESERVED;
	x(vcpu, KVM_GET_VCPU_EVENTS, &vcpu->run->s.regs.events);
	vcpu->run->kvm_dirty_regs = ALL;
	expect_run_errno(vcpu, EINVAL);
	expect_equal(vcpu->run->kvm_dirty_regs, KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS);
	expect_regs(vcpu, .rbx = 0x1234);
}

CASE(sync_regs, a_refused_run_stores_registers, .contract = "sync_regs.valid.refused",
     NEEDS_SYNC_REGS)
{
	struct vcpu *vcpu = boot(count_and_halt[MODE_REAL16]);

	fill(vcpu);
	vcpu->run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	vcpu->run->cr8 = 1 << 4; /* refused */
	expect_run_errno(vcpu, EINVAL);
	expect_regs_(HERE, vcpu, vcpu->run->s.regs.regs, vcpu->loaded);
}
