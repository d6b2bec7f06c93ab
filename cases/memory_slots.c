// SPDX-License-Identifier: MIT
/*
 * Memory slots: making, moving, changing and deleting them, what is refused, read-only ones, address
 * spaces, and changes while a vCPU runs. Documented in api.rst: KVM_SET_USER_MEMORY_REGION,
 * KVM_SET_USER_MEMORY_REGION2 and KVM_SMI.
 */
#include "smm.h"

#include <stdio.h>

GUEST_EACH_MODE(memory_access);
GUEST(long64, watch);

#define OTHER_SLOT (SLOT_ID + 1)
#define OTHER_GPA  (SLOT_GPA + 8 * PAGE) /* in reach of real-mode code, too */
#define LONG64     memory_access[MODE_LONG64]

CASE(memory_slots, what_every_x86_kvm_has, .contract = "slot.capabilities")
{
	static const struct answer answers[] = {
		ANSWERS(KVM_CAP_USER_MEMORY, 1),
		ANSWERS(KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1),
		ANSWERS(KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1),
		ANSWERS(KVM_CAP_SYNC_MMU, 1),
		ANSWERS(KVM_CAP_READONLY_MEM, 1),
	};
	struct vm *vm = vm_create();

	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		expect_answer(&host.kvm, answers[i]);
		expect_answer(vm, answers[i]);
	}
}

CASE(memory_slots, new_slot_is_memory, .contract = "slot.create", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .guest_phys_addr = SLOT_GPA + PAGE, .memory_size = 2 * PAGE);

	*slot_word(&slot, 1) = 0x12345678;
	expect_guest_reads(vcpu, SLOT_GPA + 2 * PAGE, 0x12345678);
	guest_writes(vcpu, SLOT_GPA + PAGE, .count = 2, .value = 7);
	expect_equal(*slot_word(&slot, 0), 7);
	expect_equal(*slot_word(&slot, 1), 8);
	expect_hole(vcpu, SLOT_GPA);
	expect_hole(vcpu, SLOT_GPA + 3 * PAGE);
}

CASE(memory_slots, deleted_slot_leaves_a_hole, .contract = "slot.delete",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	guest_writes(vcpu, SLOT_GPA, .value = 7);
	slot.memory_size = 0;
	set_slot(vcpu->vm, &slot);
	expect_hole(vcpu, SLOT_GPA);
	expect_equal(*slot_word(&slot, 0), 7); /* the memory itself is still there */
}

/* By default KVM may forget all of the VM's mappings; without the quirk, those of the slot only. */
#define NEEDS_ZAP_QUIRK .needs = { CAP_BITS(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_SLOT_ZAP_ALL) }

CASE(memory_slots, zap_quirk_disabled_slot_is_deleted, .contract = "quirk.slot_zap_all.disabled",
     .each_mode = memory_access, NEEDS_ZAP_QUIRK)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot, other;

	enable_cap(vcpu->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_SLOT_ZAP_ALL);
	slot = add_slot(vcpu->vm, .memory_size = 2 * PAGE);
	other = add_slot(vcpu->vm, .slot = OTHER_SLOT, .guest_phys_addr = OTHER_GPA);
	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	guest_writes(vcpu, OTHER_GPA, .value = 9);
	slot.memory_size = 0;
	set_slot(vcpu->vm, &slot);
	expect_hole(vcpu, SLOT_GPA);
	expect_hole(vcpu, SLOT_GPA + PAGE);
	expect_guest_reads(vcpu, OTHER_GPA, 9);
	*slot_word(&other, 0) = 10;
	expect_guest_reads(vcpu, OTHER_GPA, 10);
}

CASE(memory_slots, zap_quirk_disabled_slot_is_moved, .contract = "quirk.slot_zap_all.disabled",
     .each_mode = memory_access, NEEDS_ZAP_QUIRK)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot;

	enable_cap(vcpu->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_SLOT_ZAP_ALL);
	slot = add_slot(vcpu->vm);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	slot.guest_phys_addr = OTHER_GPA;
	set_slot(vcpu->vm, &slot);
	expect_hole(vcpu, SLOT_GPA);
	expect_guest_reads(vcpu, OTHER_GPA, 7);
}

CASE(memory_slots, id_of_a_deleted_slot_can_be_used_again, .contract = "slot.delete.again")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm), next;

	guest_writes(vcpu, SLOT_GPA, .value = 7);
	slot.memory_size = 0;
	set_slot(vcpu->vm, &slot);
	next = add_slot(vcpu->vm, .memory_size = 3 * PAGE, .flags = KVM_MEM_LOG_DIRTY_PAGES);
	expect_guest_reads(vcpu, SLOT_GPA, 0);
	guest_writes(vcpu, SLOT_GPA + 2 * PAGE, .value = 8);
	expect_equal(*slot_word(&next, 2), 8);
}

CASE(memory_slots, absent_slot_cannot_be_deleted, .contract = "slot.delete.absent")
{
	struct vm *vm = vm_create();
	struct kvm_userspace_memory_region slot = slot_of(.memory_size = 0);

	expect_errno(EINVAL, vm, KVM_SET_USER_MEMORY_REGION, &slot);
	add_slot(vm);
	set_slot(vm, &slot);
	expect_errno(EINVAL, vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

CASE(memory_slots, moved_slot_takes_its_memory_along, .contract = "slot.move",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	guest_writes(vcpu, SLOT_GPA, .value = 7);
	slot.guest_phys_addr = OTHER_GPA;
	set_slot(vcpu->vm, &slot);
	expect_guest_reads(vcpu, OTHER_GPA, 7);
	expect_hole(vcpu, SLOT_GPA);
}

CASE(memory_slots, slot_moves_onto_part_of_itself, .contract = "slot.move.itself")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 2 * PAGE);

	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	slot.guest_phys_addr += PAGE;
	set_slot(vcpu->vm, &slot);
	expect_hole(vcpu, SLOT_GPA);
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 7);
	expect_guest_reads(vcpu, SLOT_GPA + 2 * PAGE, 8);
}

CASE(memory_slots, move_onto_another_slot_is_refused, .contract = "slot.move.overlap")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm),
					   other = add_slot(vcpu->vm, .slot = OTHER_SLOT,
							    .guest_phys_addr = OTHER_GPA),
					   moved = slot;

	*slot_word(&slot, 0) = 7;
	*slot_word(&other, 0) = 8;
	moved.guest_phys_addr = OTHER_GPA;
	expect_errno(EEXIST, vcpu->vm, KVM_SET_USER_MEMORY_REGION, &moved);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	expect_guest_reads(vcpu, OTHER_GPA, 8);
}

CASE(memory_slots, same_call_again_changes_nothing, .contract = "slot.identical",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	guest_writes(vcpu, SLOT_GPA, .value = 7);
	set_slot(vcpu->vm, &slot);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
}

CASE(memory_slots, slots_may_share_their_memory, .contract = "slot.alias",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	add_slot(vcpu->vm, .slot = OTHER_SLOT, .guest_phys_addr = OTHER_GPA,
		 .userspace_addr = slot.userspace_addr);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	expect_guest_reads(vcpu, OTHER_GPA, 7);
	guest_writes(vcpu, OTHER_GPA, .value = 8);
	expect_guest_reads(vcpu, SLOT_GPA, 8);
}

/* A page a slot, in the other order than in memory. */
CASE(memory_slots, each_of_many_slots_is_found, .contract = "slot.many",
     .needs = { CAP_AT_LEAST(KVM_CAP_NR_MEMSLOTS, 258) })
{
	const size_t count = 256;
	struct vcpu *vcpu = boot(LONG64);
	unsigned char *memory = map_memory(count * PAGE);

	for (size_t i = 0; i < count; i++)
		add_slot(vcpu->vm, .slot = SLOT_ID + i, .guest_phys_addr = HIGH_GPA + i * PAGE,
			 .userspace_addr = (uintptr_t)memory + (count - 1 - i) * PAGE);
	guest_writes(vcpu, HIGH_GPA, .count = count, .value = 1000);
	for (size_t i = 0; i < count; i++)
		expect_equal(*(uint32_t *)(void *)(memory + (count - 1 - i) * PAGE), 1000 + i);
}

/* What is refused: differences from a slot, each added to its field. */
struct change {
	const char *what;
	struct kvm_userspace_memory_region add;
};

static struct kvm_userspace_memory_region changed(struct kvm_userspace_memory_region slot,
						  const struct change *change)
{
	slot.slot += change->add.slot;
	slot.flags += change->add.flags;
	slot.guest_phys_addr += change->add.guest_phys_addr;
	slot.memory_size += change->add.memory_size;
	slot.userspace_addr += change->add.userspace_addr;
	return slot;
}

/* Of both ioctls, if there are two. */
#define expect_refused(vm, slot, change, err) expect_refused_(__LINE__, vm, slot, change, err)
static void expect_refused_(int line, struct vm *vm, struct kvm_userspace_memory_region slot,
			    const struct change *change, int err)
{
	struct kvm_userspace_memory_region region = changed(slot, change);
	struct kvm_userspace_memory_region2 region2 = {
		.slot = region.slot,
		.flags = region.flags,
		.guest_phys_addr = region.guest_phys_addr,
		.memory_size = region.memory_size,
		.userspace_addr = region.userspace_addr,
	};

	expect_errno_(__FILE__, line, change->what, x_try(vm, KVM_SET_USER_MEMORY_REGION, &region),
		      err);
	if (host_cap(KVM_CAP_USER_MEMORY2))
		expect_errno_(__FILE__, line, change->what,
			      x_try(vm, KVM_SET_USER_MEMORY_REGION2, &region2), err);
}

/* None of these can be made, and once the slot is there nothing has changed that. */
#define expect_none_is_made(vm, changes, err)                                                      \
	expect_none_is_made_((vm), (changes), sizeof(changes) / sizeof *(changes), (err))
static void expect_none_is_made_(const struct guest_image *image, const struct change *changes,
				 size_t count, int err)
{
	struct vcpu *vcpu = boot(image);
	struct kvm_userspace_memory_region slot =
		slot_of(.userspace_addr = (uintptr_t)map_memory(2 * PAGE));

	for (size_t i = 0; i < count; i++)
		expect_refused(vcpu->vm, slot, &changes[i], err);
	expect_hole(vcpu, SLOT_GPA);
	set_slot(vcpu->vm, &slot);
	*slot_word(&slot, 0) = 7;
	expect_guest_reads(vcpu, SLOT_GPA, 7);
}

CASE(memory_slots, unaligned_slot_is_refused, .contract = "slot.alignment")
{
	static const struct change changes[] = {
		{ "a slot whose GPA is no page's", { .guest_phys_addr = 1 } },
		{ "a slot whose GPA is half a page's", { .guest_phys_addr = PAGE / 2 } },
		{ "a slot whose HVA is no page's", { .userspace_addr = 1 } },
		{ "a slot whose HVA is half a page's", { .userspace_addr = PAGE / 2 } },
		{ "a slot of a page and a byte", { .memory_size = 1 } },
		{ "a slot of a page and a half", { .memory_size = PAGE / 2 } },
		{ "a slot of a byte", { .memory_size = 1 - PAGE } },
	};

	expect_none_is_made(LONG64, changes, EINVAL);
}

CASE(memory_slots, slot_outside_of_the_address_space_is_refused, .contract = "slot.range")
{
	static const struct change changes[] = {
		{ "a slot that wraps",
		  { .guest_phys_addr = -SLOT_GPA - PAGE, .memory_size = PAGE } },
		{ "a slot that ends at 2^64", { .guest_phys_addr = -SLOT_GPA - PAGE } },
		{ "a slot at 2^52", { .guest_phys_addr = (1ull << 52) - SLOT_GPA } },
		{ "a slot across 2^52",
		  { .guest_phys_addr = (1ull << 52) - SLOT_GPA - PAGE, .memory_size = PAGE } },
		{ "a slot of memory in the kernel's half", { .userspace_addr = 1ull << 63 } },
		{ "a slot of memory at 2^62", { .userspace_addr = 1ull << 62 } },
	};

	expect_none_is_made(LONG64, changes, EINVAL);
}

CASE(memory_slots, unknown_flag_is_refused, .contract = "slot.flags.unknown")
{
	struct vm *vm = vm_create();
	char what[64];

	for (unsigned bit = 3; bit < 32; bit++) {
		struct change change = { what, { .flags = 1u << bit } };

		snprintf(what, sizeof what, "a slot with flag bit %u", bit);
		expect_refused(vm, slot_of(.userspace_addr = (uintptr_t)map_memory(PAGE)), &change,
			       EINVAL);
	}
	add_slot(vm);
}

CASE(memory_slots, older_ioctl_knows_no_guest_memfd, .contract = "slot.flags.guest_memfd")
{
	struct kvm_userspace_memory_region slot =
		slot_of(.flags = KVM_MEM_GUEST_MEMFD,
			.userspace_addr = (uintptr_t)map_memory(PAGE));

	expect_errno(EINVAL, vm_create(), KVM_SET_USER_MEMORY_REGION, &slot);
}

CASE(memory_slots, id_at_the_limit_is_refused, .contract = "slot.id_limit",
     .needs = { CAP(KVM_CAP_NR_MEMSLOTS) })
{
	struct vcpu *vcpu = boot(LONG64);
	unsigned limit = x(vcpu->vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .slot = limit - 1);
	struct change change = { "a slot with the limit as its id", { .slot = 1 } },
		      last = { "a slot with id 0xffff", { .slot = 0xffff - (limit - 1) } };

	expect_refused(vcpu->vm, slot, &change, EINVAL);
	expect_refused(vcpu->vm, slot, &last, EINVAL);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	expect_equal(*slot_word(&slot, 0), 7);
}

/* 1 where the capability is not offered: there is one address space. */
static unsigned address_spaces(struct vm *vm)
{
	int answer = x(vm, KVM_CHECK_EXTENSION, KVM_CAP_MULTI_ADDRESS_SPACE);

	return answer ? answer : 1;
}

CASE(memory_slots, address_space_at_the_limit_is_refused, .contract = "slot.address_space.limit")
{
	struct vm *vm = vm_create();
	unsigned count = address_spaces(vm);
	struct kvm_userspace_memory_region slot = add_slot(vm, .slot = (count - 1) << 16 | SLOT_ID);
	struct change change = { "a slot with the number of address spaces", { .slot = 1 << 16 } };

	expect_refused(vm, slot, &change, EINVAL);
}

/*
 * That a page less is accepted is not tried. It takes a host's memory: arrays of 16 GiB for shadow paging,
 * of 4 GiB for a kernel with KVM_EXTERNAL_WRITE_TRACKING, with no way to know it before (x86.c,
 * kvm_alloc_memslot_metadata()). Emulated CPUs, with nested paging, have no 8 TiB of addresses by default.
 */
CASE(memory_slots, slot_of_too_many_pages_is_refused, .contract = "slot.pages_limit")
{
	struct kvm_userspace_memory_region slot =
		slot_of(.userspace_addr = 0x10000, .guest_phys_addr = 0);
	struct change change = { "a slot of 2^31 pages", { .memory_size = (PAGE << 31) - PAGE } };

	expect_refused(vm_create(), slot, &change, EINVAL);
}

CASE(memory_slots, overlapping_slots_are_refused, .contract = "slot.overlap")
{
	static const struct change changes[] = {
		{ "the same range", { 0 } },
		{ "its first page", { .memory_size = -3 * PAGE } },
		{ "its last page", { .guest_phys_addr = 3 * PAGE, .memory_size = -3 * PAGE } },
		{ "pages inside", { .guest_phys_addr = PAGE, .memory_size = -2 * PAGE } },
		{ "one page more on each side",
		  { .guest_phys_addr = -PAGE, .memory_size = 2 * PAGE } },
		{ "its first page and the one before",
		  { .guest_phys_addr = -PAGE, .memory_size = -2 * PAGE } },
		{ "its last page and the one after",
		  { .guest_phys_addr = 3 * PAGE, .memory_size = -2 * PAGE } },
	};
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 4 * PAGE),
					   other = slot;

	other.slot = OTHER_SLOT;
	*slot_word(&slot, 3) = 7;
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		expect_refused(vcpu->vm, other, &changes[i], EEXIST);
	expect_guest_reads(vcpu, SLOT_GPA + 3 * PAGE, 7);
}

CASE(memory_slots, slots_may_touch, .contract = "slot.adjacent", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region middle, before, after;

	middle = add_slot(vcpu->vm, .guest_phys_addr = SLOT_GPA + PAGE);
	before = add_slot(vcpu->vm, .slot = SLOT_ID + 1);
	after = add_slot(vcpu->vm, .slot = SLOT_ID + 2, .guest_phys_addr = SLOT_GPA + 2 * PAGE);
	/* Each store but the first is on two pages, so on two slots. */
	guest_writes(vcpu, SLOT_GPA, .value = 1);
	guest_writes(vcpu, SLOT_GPA + PAGE - 2, .count = 2, .value = 0x11223344);
	expect_equal(*slot_word(&before, 0), 1);
	expect_equal(*slot_word(&middle, 0), 0x1122);
	expect_equal(*slot_word(&after, 0), 0x1122);
}

CASE(memory_slots, existing_slot_keeps_its_size_hva_and_kind, .contract = "slot.immutable",
     .each_mode = memory_access)
{
	static const struct change changes[] = {
		{ "one page more", { .memory_size = PAGE } },
		{ "one page less", { .memory_size = -PAGE } },
		{ "other memory", { .userspace_addr = PAGE } },
		{ "read-only", { .flags = KVM_MEM_READONLY } },
		{ "one page more, elsewhere",
		  { .guest_phys_addr = 4 * PAGE, .memory_size = PAGE } },
	};
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot =
		slot_of(.memory_size = 2 * PAGE, .userspace_addr = (uintptr_t)map_memory(4 * PAGE));

	set_slot(vcpu->vm, &slot);
	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	for (size_t i = 0; i < sizeof changes / sizeof *changes; i++)
		expect_refused(vcpu->vm, slot, &changes[i], EINVAL);
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 8);
	guest_writes(vcpu, SLOT_GPA, .value = 9);
	expect_equal(*slot_word(&slot, 0), 9);
	expect_hole(vcpu, SLOT_GPA + 2 * PAGE);
}

CASE(memory_slots, read_only_slot_stays_so, .contract = "slot.immutable",
     .each_mode = memory_access, .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .flags = KVM_MEM_READONLY);
	struct change change = { "writable", { .flags = -(uint32_t)KVM_MEM_READONLY } };

	expect_refused(vcpu->vm, slot, &change, EINVAL);
	prepare_access(vcpu, "write", SLOT_GPA, .value = 7);
	expect_run_mmio(vcpu, .phys_addr = SLOT_GPA, .len = 4, .is_write = 1, .value = 7);
}

CASE(memory_slots, read_only_slot_shows_what_userspace_writes, .contract = "memory.readonly.shared",
     .each_mode = memory_access, .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .flags = KVM_MEM_READONLY);

	for (uint32_t value = 7; value < 9; value++) {
		*slot_word(&slot, 0) = value;
		expect_guest_reads(vcpu, SLOT_GPA, value);
	}
}

CASE(memory_slots, locked_add_to_a_read_only_slot_exits, .contract = "memory.readonly.modify",
     .each_mode = memory_access, .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .flags = KVM_MEM_READONLY);

	*slot_word(&slot, 0) = 7;
	prepare_access(vcpu, "add", SLOT_GPA);
	expect_run_mmio(vcpu, .phys_addr = SLOT_GPA, .len = 4, .is_write = 1, .value = 8);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(*slot_word(&slot, 0), 7);
}

CASE(memory_slots, newer_ioctl_makes_the_same_slots, .contract = "slot.region2",
     .each_mode = memory_access, .needs = { CAP(KVM_CAP_USER_MEMORY2) })
{
	struct vcpu *vcpu = boot(guest);
	unsigned char *memory = map_memory(PAGE);
	struct kvm_userspace_memory_region2 slot = {
		.slot = SLOT_ID,
		.guest_phys_addr = SLOT_GPA,
		.memory_size = PAGE,
		.userspace_addr = (uintptr_t)memory,
	};

	x(vcpu->vm, KVM_SET_USER_MEMORY_REGION2, &slot);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	expect_equal(memory[0], 7);
	set_slot(vcpu->vm, &slot_of(.userspace_addr = (uintptr_t)memory)); /* nothing changes */
	slot.guest_phys_addr = OTHER_GPA;
	x(vcpu->vm, KVM_SET_USER_MEMORY_REGION2, &slot);
	expect_guest_reads(vcpu, OTHER_GPA, 7);
	slot.memory_size = 0;
	x(vcpu->vm, KVM_SET_USER_MEMORY_REGION2, &slot);
	expect_hole(vcpu, OTHER_GPA);
}

/* Address space 1 is system-management mode's: api.rst does not say so, KVM's x86 code does. */

CASE(memory_slots, other_address_space_is_not_seen, .contract = "slot.address_space.separate",
     .each_mode = memory_access, .needs = { CAP_AT_LEAST(KVM_CAP_MULTI_ADDRESS_SPACE, 2) })
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .slot = IN_SMM(SLOT_ID));
	expect_hole(vcpu, SLOT_GPA);
	add_slot(vcpu->vm);
	guest_reads(vcpu, SLOT_GPA);
}

CASE(memory_slots, deleting_in_one_address_space_leaves_the_other,
     .contract = "slot.address_space.separate", .each_mode = memory_access,
     .needs = { CAP_AT_LEAST(KVM_CAP_MULTI_ADDRESS_SPACE, 2) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm), other;

	other = add_slot(vcpu->vm, .slot = IN_SMM(SLOT_ID));
	other.memory_size = 0;
	set_slot(vcpu->vm, &other);
	*slot_word(&slot, 0) = 7;
	expect_guest_reads(vcpu, SLOT_GPA, 7);
}

CASE(memory_slots, system_management_mode_has_its_own_slots, .contract = "slot.address_space.smm",
     NEEDS_SMM)
{
	struct vcpu *vcpu = boot(read_in_smm);
	struct vm *vm = vcpu->vm;
	struct kvm_userspace_memory_region slot = add_slot(vm),
					   other = add_slot(vm, .slot = IN_SMM(SLOT_ID));

	add_smm_handler(vcpu, "reader");
	*slot_word(&slot, 0) = 7;
	*slot_word(&other, 0) = 8;

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rbx = 7);
	x(vcpu, KVM_SMI);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(vcpu->run->flags & KVM_RUN_X86_SMM, KVM_RUN_X86_SMM);
	expect_regs(vcpu, .rbx = 8);
}

/* Changes while a vCPU runs: it looks at the slot's first word for ever. */
static struct vcpu *boot_watching(uint64_t gpa)
{
	struct vcpu *vcpu = boot(watch);
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = gpa;
	vcpu_set_regs(vcpu, regs);
	return vcpu;
}

static bool leave(struct vcpu *vcpu)
{
	(void)vcpu;
	return false;
}

/* Does the change while the vCPU runs, or while it is paused. */
static void change_slot(struct vcpu *vcpu, bool pause,
			const struct kvm_userspace_memory_region *slot)
{
	struct kvm_userspace_memory_region region = *slot;

	wait_for_progress(guest_counter(vcpu));
	if (pause)
		vcpu_pause(vcpu, true);
	set_slot(vcpu->vm, &region);
	if (pause)
		vcpu_resume(vcpu);
}

static void delete_while_running(bool pause)
{
	struct vcpu *vcpu = boot_watching(SLOT_GPA);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	vcpu_start(vcpu, leave);
	slot.memory_size = 0;
	change_slot(vcpu, pause, &slot);
	wait_until(vcpu->run->exit_reason == KVM_EXIT_MMIO);
	vcpu_stop(vcpu);
	expect_equal(vcpu->run->mmio.phys_addr, SLOT_GPA);
	expect_equal(vcpu->run->mmio.len, 4);
	expect_equal(vcpu->run->mmio.is_write, 0);
}

CASE(memory_slots, slot_is_deleted_under_a_running_vcpu, .contract = "slot.running.delete")
{
	delete_while_running(false);
}

CASE(memory_slots, slot_is_deleted_under_a_paused_vcpu, .contract = "slot.running.delete")
{
	delete_while_running(true);
}

/* Answers the accesses to the hole until a slot is there. */
static bool answer_with_5(struct vcpu *vcpu)
{
	if (vcpu->run->exit_reason != KVM_EXIT_MMIO)
		return false;
	memcpy(vcpu->run->mmio.data, "\5\0\0\0", 4);
	return true;
}

/* The vCPU is to look at the other slot, then at the hole that it leaves, then at the first one. */
static void move_while_running(bool pause)
{
	struct vcpu *vcpu = boot_watching(OTHER_GPA);
	volatile uint32_t *seen = guest_variable(vcpu, uint32_t, "seen");
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm), other;

	other = add_slot(vcpu->vm, .slot = OTHER_SLOT, .guest_phys_addr = OTHER_GPA);
	*slot_word(&slot, 0) = 7;
	*slot_word(&other, 0) = 8;
	vcpu_start(vcpu, answer_with_5);
	wait_until(*seen == 8);
	other.guest_phys_addr += 2 * PAGE;
	change_slot(vcpu, pause, &other);
	wait_until(*seen == 5);
	slot.guest_phys_addr = OTHER_GPA;
	change_slot(vcpu, pause, &slot);
	wait_until(*seen == 7);
	vcpu_stop(vcpu);
}

CASE(memory_slots, slot_is_moved_under_a_running_vcpu, .contract = "slot.running.move")
{
	move_while_running(false);
}

CASE(memory_slots, slot_is_moved_under_a_paused_vcpu, .contract = "slot.running.move")
{
	move_while_running(true);
}

static void create_while_running(bool pause)
{
	struct vcpu *vcpu = boot_watching(SLOT_GPA);
	volatile uint32_t *seen = guest_variable(vcpu, uint32_t, "seen");
	struct kvm_userspace_memory_region slot =
		slot_of(.userspace_addr = (uintptr_t)map_memory(PAGE));

	*slot_word(&slot, 0) = 7;
	vcpu_start(vcpu, answer_with_5);
	wait_until(*seen == 5);
	change_slot(vcpu, pause, &slot);
	wait_until(*seen == 7);
	*slot_word(&slot, 0) = 8;
	wait_until(*seen == 8);
	vcpu_stop(vcpu);
}

CASE(memory_slots, slot_is_made_under_a_running_vcpu, .contract = "slot.running.create")
{
	create_while_running(false);
}

CASE(memory_slots, slot_is_made_under_a_paused_vcpu, .contract = "slot.running.create")
{
	create_while_running(true);
}

/* No exit but the kick that stops it: on_exit is NULL. */
CASE(memory_slots, flags_change_under_a_running_vcpu, .contract = "slot.running.flags")
{
	struct vcpu *vcpu = boot_watching(SLOT_GPA);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	vcpu_start(vcpu, NULL);
	for (unsigned i = 0; i < 8; i++) {
		slot.flags ^= KVM_MEM_LOG_DIRTY_PAGES;
		change_slot(vcpu, false, &slot);
	}
	wait_for_progress(guest_counter(vcpu));
	vcpu_stop(vcpu);
}

CASE(memory_slots, other_slots_change_under_a_running_vcpu, .contract = "slot.running.others")
{
	struct vcpu *vcpu = boot_watching(SLOT_GPA);
	struct kvm_userspace_memory_region other;

	add_slot(vcpu->vm);
	vcpu_start(vcpu, NULL);
	for (unsigned i = 0; i < 4; i++) {
		wait_for_progress(guest_counter(vcpu));
		other = add_slot(vcpu->vm, .slot = OTHER_SLOT, .guest_phys_addr = OTHER_GPA);
		other.memory_size = 0;
		change_slot(vcpu, false, &other);
	}
	vcpu_stop(vcpu);
}

/* Of shadow page tables; with nested paging it says how many KVM may have, too. */
CASE(memory_slots, few_mmu_pages_are_enough, .contract = "mmu_pages.least")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot;

	expect_errno(EINVAL, vcpu->vm, KVM_SET_NR_MMU_PAGES, 63);
	x(vcpu->vm, KVM_SET_NR_MMU_PAGES, 64);
	slot = add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = 128 * PAGE);
	guest_writes(vcpu, HIGH_GPA, .count = 128, .value = 1);
	expect_equal(*slot_word(&slot, 127), 128);
}
