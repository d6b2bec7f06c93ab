// SPDX-License-Identifier: MIT
/*
 * The dirty log as bitmaps: what counts as a write, reading and clearing it, and its manual form.
 * Documented in api.rst: KVM_GET_DIRTY_LOG, KVM_CLEAR_DIRTY_LOG, KVM_SET_USER_MEMORY_REGION
 * (KVM_MEM_LOG_DIRTY_PAGES) and KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.
 */
#include "interrupts.h"
#include "kvm_writes.h"
#include "smm.h"

#include <stdio.h>
#include <sys/mman.h>

GUEST_EACH_MODE(memory_access);
GUEST(long64, watch);

#define LOGGED     .flags = KVM_MEM_LOG_DIRTY_PAGES
#define BIT(n)     (1ull << (n))
#define LONG64     memory_access[MODE_LONG64]
#define OTHER_SLOT (SLOT_ID + 1)

/* The log of a slot of more than 64 pages; bits has room for all its pages, in words of 64. */
static void get_log(struct vm *vm, uint64_t *bits)
{
	x(vm, KVM_GET_DIRTY_LOG, &(struct kvm_dirty_log){ .slot = SLOT_ID, .dirty_bitmap = bits });
}

static void set_flags(struct vm *vm, struct kvm_userspace_memory_region *slot, uint32_t flags)
{
	slot->flags = flags;
	set_slot(vm, slot);
}

CASE(dirty_log, has_what_the_guest_wrote, .contract = "dirty_log.write", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	guest_writes(vcpu, SLOT_GPA + 3 * PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(3));
}

CASE(dirty_log, has_not_what_the_guest_read, .contract = "dirty_log.read",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_reads(vcpu, SLOT_GPA, .count = 16);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

CASE(dirty_log, has_locked_additions, .contract = "dirty_log.write", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_does(vcpu, "add", SLOT_GPA + 2 * PAGE, .count = 2, .stride = 4 * PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(2) | BIT(6));
}

CASE(dirty_log, has_both_pages_of_a_store, .contract = "dirty_log.write",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA + 5 * PAGE - 1);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(4) | BIT(5));
}

CASE(dirty_log, is_empty_once_it_was_read, .contract = "dirty_log.get_clears",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA, .count = 4);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0xf);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	guest_writes(vcpu, SLOT_GPA + PAGE, .count = 2);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(1) | BIT(2));
}

CASE(dirty_log, finds_pages_at_the_ends_of_words, .contract = "dirty_log.bitmap")
{
	static const unsigned pages[] = { 0, 63, 64, 127, 128, 129 };
	struct vcpu *vcpu = boot(LONG64);
	uint64_t bits[3] = { 0 }, want[3] = { 0 };

	add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = 130 * PAGE, LOGGED);
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
		guest_writes(vcpu, HIGH_GPA + pages[i] * PAGE);
		want[pages[i] / 64] |= BIT(pages[i] % 64);
	}
	get_log(vcpu->vm, bits);
	for (size_t i = 0; i < 3; i++)
		expect_equal(bits[i], want[i]);
}

CASE(dirty_log, bitmap_ends_with_the_64_pages, .contract = "dirty_log.bitmap")
{
	struct vm *vm = vm_create();
	uint64_t bits[3] = { -1ull, -1ull, -1ull };

	add_slot(vm, .memory_size = 65 * PAGE, LOGGED);
	get_log(vm, bits);
	expect_equal(bits[0], 0);
	expect_equal(bits[1], 0);
	expect_equal(bits[2], -1ull);
}

CASE(dirty_log, has_not_what_userspace_wrote, .contract = "dirty_log.userspace",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);

	guest_writes(vcpu, SLOT_GPA);
	*slot_word(&slot, 1) = 7;
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0));
	*slot_word(&slot, 0) = 7;
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

static void expect_msr_dirties(uint32_t msr, uint64_t enable)
{
	struct vcpu *vcpu = boot(LONG64);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	have_kvm_write(vcpu, msr, (SLOT_GPA + 2 * PAGE) | enable);
	guest_reads(vcpu, SLOT_GPA);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(2));
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

#define HAS_WHAT_KVM_WRITES(name, msr, enable, need)                                               \
	CASE(dirty_log, has_the_##name, .contract = "dirty_log.kvm", .needs = { need })            \
	{                                                                                          \
		expect_msr_dirties((msr), (enable));                                               \
	}
EACH_WRITE_BY_KVM(HAS_WHAT_KVM_WRITES)

CASE(dirty_log, has_the_bit_that_ends_an_interrupt, .contract = "dirty_log.kvm.pv_eoi",
     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP), PV_FEATURE(KVM_FEATURE_PV_EOI) })
{
	struct vcpu *vcpu = until_ready(boot_with_split_irqchip(interrupts));

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, (SLOT_GPA + 2 * PAGE) | KVM_MSR_ENABLED);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	send_interrupt(vcpu);
	expect_run_report(vcpu, TAKEN);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(2));
}

CASE(dirty_log, has_the_token_of_an_async_pf, .contract = "dirty_log.kvm.async_pf",
     .needs = { CAP(KVM_CAP_ASYNC_PF_INT), CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = until_ready(boot_with_split_irqchip(interrupts));

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	enable_async_pf(vcpu, SLOT_GPA + 2 * PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	expect_run_report(vcpu, TAKEN);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(2));
}

CASE(dirty_log, has_what_a_port_read_stored, .contract = "dirty_log.emulated",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	prepare_access(vcpu, "input", SLOT_GPA + 6 * PAGE);
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .size = 1);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(6));
}

/* The CPU, or KVM in its place, sets the bit in the page directory, which maps 2 MiB by each entry. */
CASE(dirty_log, has_page_tables_whose_accessed_bits_were_set, .contract = "dirty_log.page_tables")
{
	const uint64_t directory = PAGE_TABLES + 2 * PAGE, accessed = BIT(5);
	struct vcpu *vcpu = boot(LONG64);
	volatile uint64_t *entry =
		(volatile uint64_t *)(void *)(vcpu->vm->ram + directory) + HIGH_GPA / LARGE_PAGE;
	struct kvm_userspace_memory_region ram = { .slot = RAM_SLOT,
						   .memory_size = RAM_SIZE,
						   .userspace_addr = (uintptr_t)vcpu->vm->ram };
	uint64_t bits[RAM_SIZE / PAGE / 64] = { 0 };

	add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA);
	set_flags(vcpu->vm, &ram, KVM_MEM_LOG_DIRTY_PAGES);
	expect_equal(*entry & accessed, 0);
	guest_reads(vcpu, HIGH_GPA);
	expect_equal(*entry & accessed, accessed);
	x(vcpu->vm, KVM_GET_DIRTY_LOG, &(struct kvm_dirty_log){ .dirty_bitmap = bits });
	expect_equal(bits[directory / PAGE / 64] >> directory / PAGE % 64 & 1, 1);
}

CASE(dirty_log, begins_when_the_flag_is_set, .contract = "dirty_log.flag",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 16 * PAGE);

	guest_writes(vcpu, SLOT_GPA, .count = 16);
	set_flags(vcpu->vm, &slot, KVM_MEM_LOG_DIRTY_PAGES);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	guest_writes(vcpu, SLOT_GPA + 9 * PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(9));
}

CASE(dirty_log, ends_when_the_flag_is_cleared, .contract = "dirty_log.flag.cleared",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	uint64_t bits;
	struct kvm_dirty_log log = { .slot = SLOT_ID, .dirty_bitmap = &bits };

	guest_writes(vcpu, SLOT_GPA);
	set_flags(vcpu->vm, &slot, 0);
	expect_errno(ENOENT, vcpu->vm, KVM_GET_DIRTY_LOG, &log);
	guest_writes(vcpu, SLOT_GPA + PAGE);
	set_flags(vcpu->vm, &slot, KVM_MEM_LOG_DIRTY_PAGES);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

CASE(dirty_log, moves_with_its_slot, .contract = "dirty_log.move", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .memory_size = 4 * PAGE, LOGGED);

	guest_writes(vcpu, SLOT_GPA + PAGE);
	slot.guest_phys_addr += 8 * PAGE;
	set_slot(vcpu->vm, &slot);
	guest_writes(vcpu, SLOT_GPA + 8 * PAGE + 3 * PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(1) | BIT(3));
}

CASE(dirty_log, of_two_slots_are_separate, .contract = "dirty_log.slot", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 4 * PAGE, LOGGED);
	add_slot(vcpu->vm, .slot = OTHER_SLOT, .guest_phys_addr = SLOT_GPA + 8 * PAGE,
		 .memory_size = 4 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA + PAGE, .count = 2, .stride = 8 * PAGE);
	guest_writes(vcpu, SLOT_GPA);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0) | BIT(1));
	expect_equal(dirty_log(vcpu->vm, OTHER_SLOT), BIT(1));
}

CASE(dirty_log, of_address_spaces_are_separate, .contract = "dirty_log.address_space",
     .needs = { CAP_AT_LEAST(KVM_CAP_MULTI_ADDRESS_SPACE, 2) })
{
	struct vcpu *vcpu = boot(LONG64);

	add_slot(vcpu->vm, LOGGED);
	add_slot(vcpu->vm, .slot = IN_SMM(SLOT_ID), LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_equal(dirty_log(vcpu->vm, IN_SMM(SLOT_ID)), 0);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 1);
}

CASE(dirty_log, of_system_management_mode_has_its_writes, .contract = "dirty_log.address_space.smm",
     NEEDS_SMM)
{
	struct vcpu *vcpu = boot(read_in_smm);

	write_in_smm(vcpu);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	expect_equal(dirty_log(vcpu->vm, IN_SMM(SLOT_ID)), BIT(1));
}

CASE(dirty_log, of_a_read_only_slot_has_no_writes, .contract = "dirty_log.readonly",
     .each_mode = memory_access, .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .flags = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY);
	prepare_access(vcpu, "write", SLOT_GPA, .value = 7);
	expect_run_mmio(vcpu, .phys_addr = SLOT_GPA, .len = 4, .is_write = 1, .value = 7);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

/* Whether the page is part of a large one, by what /proc says of the mapping that it is in. */
static bool is_large_page(const void *page)
{
	uintptr_t from, to, address = (uintptr_t)page;
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long kib = 0;
	bool inside = false;
	char line[256];

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = address >= from && address < to;
		else if (inside && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	return kib > 0;
}

/* 2 MiB for a slot: a page, or many. */
static struct kvm_userspace_memory_region large_slot(int advice)
{
	unsigned char *memory = map_memory(LARGE_PAGE);

	if (madvise(memory, LARGE_PAGE, advice) != 0 && advice == MADV_HUGEPAGE)
		skip("needs transparent huge pages; madvise() answers %s", strerror(errno));
	memory[0] = 1;
	if (is_large_page(memory) != (advice == MADV_HUGEPAGE))
		skip("needs a %s page; this host gave another one",
		     advice == MADV_HUGEPAGE ? "2 MiB" : "4 KiB");
	return slot_of(.guest_phys_addr = HIGH_GPA, .memory_size = LARGE_PAGE,
		       .userspace_addr = (uintptr_t)memory);
}

static void expect_small_pages(struct vcpu *vcpu)
{
	uint64_t bits[LARGE_PAGE / PAGE / 64] = { 0 };

	for (unsigned round = 0; round < 2; round++) {
		guest_writes(vcpu, HIGH_GPA + 7 * PAGE, .count = 2, .stride = 300 * PAGE);
		get_log(vcpu->vm, bits);
		for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
			expect_equal(bits[i], i == 0 ? BIT(7) : i == 307 / 64 ? BIT(307 % 64) : 0);
	}
}

/* The guest has written to all of it before: KVM may have mapped it by pages as large. */
static void log_what_was_written(int advice)
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = large_slot(advice);

	set_slot(vcpu->vm, &slot);
	guest_writes(vcpu, HIGH_GPA, .count = LARGE_PAGE / PAGE);
	set_flags(vcpu->vm, &slot, KVM_MEM_LOG_DIRTY_PAGES);
	expect_small_pages(vcpu);
}

CASE(dirty_log, of_4_kib_pages, .contract = "dirty_log.granularity")
{
	log_what_was_written(MADV_NOHUGEPAGE);
}

CASE(dirty_log, of_2_mib_pages_has_pages_of_4_kib, .contract = "dirty_log.granularity")
{
	log_what_was_written(MADV_HUGEPAGE);
}

CASE(dirty_log, of_untouched_2_mib_pages_has_pages_of_4_kib, .contract = "dirty_log.granularity")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = large_slot(MADV_HUGEPAGE);

	slot.flags = KVM_MEM_LOG_DIRTY_PAGES;
	set_slot(vcpu->vm, &slot);
	expect_small_pages(vcpu);
}

/* What a migration does: pages are copied as the log names them, while the guest changes them. */
CASE(dirty_log, loses_no_write_of_a_running_vcpu, .contract = "dirty_log.running")
{
	enum { PAGES = 16 };
	struct vcpu *vcpu = boot(watch);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .memory_size = PAGES * PAGE, LOGGED);
	struct kvm_regs regs = vcpu->loaded;
	volatile uint32_t *counter = guest_counter(vcpu);
	uint32_t copy[PAGES] = { 0 }, seen = 0;
	unsigned rounds_left = rounds(16, 4);
	uint64_t log;

	regs.rip = guest_symbol(vcpu, "change");
	regs.rdi = SLOT_GPA;
	regs.rcx = PAGES;
	vcpu_set_regs(vcpu, regs);
	vcpu_start(vcpu, NULL);
	do {
		wait_until(*counter != seen);
		seen = *counter;
		if (!rounds_left)
			vcpu_pause(vcpu, true);
		log = dirty_log(vcpu->vm, SLOT_ID);
		for (unsigned page = 0; page < PAGES; page++)
			if (log & BIT(page))
				copy[page] = *slot_word(&slot, page);
	} while (rounds_left--);
	expect(copy[0] > 0, "no write of the guest was seen");
	for (unsigned page = 0; page < PAGES; page++)
		expect_equal(copy[page], *slot_word(&slot, page));
	vcpu_stop(vcpu);
}

/* Which slots have no log, for both ioctls. */
struct no_log {
	const char *what;
	uint32_t slot;
	int err;
};

#define NO_LOG_ROWS(vm)                                                                            \
	{                                                                                          \
		{ "of a slot that does not exist", OTHER_SLOT, ENOENT },                           \
			{ "of a slot without KVM_MEM_LOG_DIRTY_PAGES", SLOT_ID, ENOENT },          \
			{ "of a slot with the limit as its id",                                    \
			  x((vm), KVM_CHECK_EXTENSION, KVM_CAP_NR_MEMSLOTS), EINVAL },             \
			{ "of a slot in address space 2", 2 << 16 | SLOT_ID, EINVAL },             \
	}

CASE(dirty_log, get_needs_a_slot_with_a_log, .contract = "dirty_log.get.refused")
{
	struct vm *vm = vm_create();
	struct no_log rows[] = NO_LOG_ROWS(vm);
	uint64_t bits = 0;

	add_slot(vm);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect_errno_(HERE, rows[i].what,
			      x_try(vm, KVM_GET_DIRTY_LOG,
				    &(struct kvm_dirty_log){ .slot = rows[i].slot,
							     .dirty_bitmap = &bits }),
			      rows[i].err);
}

CASE(dirty_log, clear_needs_a_slot_with_a_log, .contract = "dirty_log.clear.refused",
     .needs = { CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) })
{
	struct vm *vm = vm_create();
	struct no_log rows[] = NO_LOG_ROWS(vm);
	uint64_t bits = 0;

	add_slot(vm);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect_errno_(HERE, rows[i].what,
			      x_try(vm, KVM_CLEAR_DIRTY_LOG,
				    &(struct kvm_clear_dirty_log){ .slot = rows[i].slot,
								   .num_pages = 1,
								   .dirty_bitmap = &bits }),
			      rows[i].err);
}

/* See cases/drift.md. */
CASE(dirty_log, bits_are_lost_with_the_bitmap, .contract = "dirty_log.get.efault")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_dirty_log log = { .slot = SLOT_ID, .dirty_bitmap = NULL };

	add_slot(vcpu->vm, .memory_size = 2 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_errno(EFAULT, vcpu->vm, KVM_GET_DIRTY_LOG, &log);
	guest_writes(vcpu, SLOT_GPA + PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(1));
}

CASE(dirty_log, manual_form_loses_no_bits_with_the_bitmap, .contract = "dirty_log.get.efault",
     .needs = { CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) })
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_dirty_log log = { .slot = SLOT_ID, .dirty_bitmap = NULL };

	enable_cap(vcpu->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		   KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	add_slot(vcpu->vm, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_errno(EFAULT, vcpu->vm, KVM_GET_DIRTY_LOG, &log);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0));
}

CASE(dirty_log, bitmap_to_clear_must_be_readable, .contract = "dirty_log.clear.efault",
     .needs = { CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) })
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_clear_dirty_log log = { .slot = SLOT_ID, .num_pages = 1, .dirty_bitmap = NULL };

	add_slot(vcpu->vm, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_errno(EFAULT, vcpu->vm, KVM_CLEAR_DIRTY_LOG, &log);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 1);
}

/* The manual form: only KVM_CLEAR_DIRTY_LOG clears. */

#define NEEDS_MANUAL .needs = { CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) }
#define NEEDS_INITIAL_SET                                                                          \
	.needs = { CAP_BITS(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_INITIALLY_SET) }

static struct vcpu *boot_manual(const struct guest_image *image, uint64_t options)
{
	struct vcpu *vcpu = boot(image);

	enable_cap(vcpu->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, options);
	return vcpu;
}

static void clear(struct vm *vm, uint64_t first, uint32_t count, uint64_t bits)
{
	x(vm, KVM_CLEAR_DIRTY_LOG,
	  &(struct kvm_clear_dirty_log){ .slot = SLOT_ID,
					 .first_page = first,
					 .num_pages = count,
					 .dirty_bitmap = &bits });
}

CASE(dirty_log, manual_form_is_offered_by_its_second_name, .contract = "cap.manual_protect.answer",
     NEEDS_MANUAL)
{
	struct vm *vm = vm_create();

	expect_equal(x(vm, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2),
		     KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	expect_equal(x(vm, KVM_CHECK_EXTENSION, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT), 0);
}

CASE(dirty_log, manual_form_refuses_other_options, .contract = "cap.manual_protect.refused",
     NEEDS_MANUAL)
{
	static const struct {
		const char *what;
		uint32_t flags;
		uint64_t options;
	} rows[] = {
		{ "initially set without the manual form", 0, KVM_DIRTY_LOG_INITIALLY_SET },
		{ "an unknown option", 0, BIT(2) | KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
		{ "an unknown option alone", 0, BIT(2) },
		{ "option bit 63", 0, BIT(63) | KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
		{ "a flag", 1, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	struct vcpu *vcpu = boot(LONG64);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
					      .flags = rows[i].flags,
					      .args = { rows[i].options } };

		expect_errno_(HERE, rows[i].what, x_try(vcpu->vm, KVM_ENABLE_CAP, &cap), EINVAL);
	}
	/* None of them has had an effect. */
	add_slot(vcpu->vm, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 1);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

CASE(dirty_log, manual_form_is_left_again, .contract = "cap.manual_protect.disable", NEEDS_MANUAL)
{
	struct vcpu *vcpu = boot_manual(LONG64, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	add_slot(vcpu->vm, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 1);
	enable_cap(vcpu->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 1);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

CASE(dirty_log, manual_form_keeps_what_was_read, .contract = "dirty_log.manual.get",
     .each_mode = memory_access, NEEDS_MANUAL)
{
	struct vcpu *vcpu = boot_manual(guest, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0));
	guest_writes(vcpu, SLOT_GPA + PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0) | BIT(1));
}

CASE(dirty_log, manual_form_clears_and_logs_again, .contract = "dirty_log.clear",
     .each_mode = memory_access, NEEDS_MANUAL)
{
	struct vcpu *vcpu = boot_manual(guest, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA, .count = 4);
	clear(vcpu->vm, 0, 16, BIT(1) | BIT(3));
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0) | BIT(2));
	guest_writes(vcpu, SLOT_GPA + 3 * PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0) | BIT(2) | BIT(3));
}

CASE(dirty_log, clearing_clean_pages_changes_nothing, .contract = "dirty_log.clear.clean",
     .each_mode = memory_access, NEEDS_MANUAL)
{
	struct vcpu *vcpu = boot_manual(guest, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	clear(vcpu->vm, 0, 16, 0xffff);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	guest_writes(vcpu, SLOT_GPA);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(0));
}

CASE(dirty_log, clears_a_part, .contract = "dirty_log.clear.part", NEEDS_MANUAL)
{
	struct vcpu *vcpu = boot_manual(LONG64, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	const uint64_t last = BIT(36) - 1; /* of 164 pages in words of 64 */
	uint64_t bits[3] = { 0 };

	add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = 164 * PAGE, LOGGED);
	guest_writes(vcpu, HIGH_GPA, .count = 164);
	clear(vcpu->vm, 64, 64, 0xff00ff00ff00ff00);
	get_log(vcpu->vm, bits);
	expect_equal(bits[0], -1ull);
	expect_equal(bits[1], 0x00ff00ff00ff00ff);
	expect_equal(bits[2], last);

	clear(vcpu->vm, 128, 36, -1ull); /* what is beyond the slot is ignored */
	get_log(vcpu->vm, bits);
	expect_equal(bits[0], -1ull);
	expect_equal(bits[1], 0x00ff00ff00ff00ff);
	expect_equal(bits[2], 0);
	guest_writes(vcpu, HIGH_GPA + 130 * PAGE);
	get_log(vcpu->vm, bits);
	expect_equal(bits[2], BIT(2));
}

CASE(dirty_log, clears_parts_of_64_pages_only, .contract = "dirty_log.clear.alignment",
     NEEDS_MANUAL)
{
	static const struct {
		const char *what;
		uint64_t first;
		uint32_t count;
	} rows[] = {
		{ "from page 1", 1, 64 },
		{ "from page 32", 32, 64 },
		{ "from page 63 to the end", 63, 101 },
		{ "1 page", 0, 1 },
		{ "63 pages", 0, 63 },
		{ "65 pages", 64, 65 },
		{ "one page less than to the end", 128, 35 },
		{ "one page more than there is", 0, 165 },
		{ "64 pages, of which the slot has 36", 128, 64 },
		{ "a part behind the end", 192, 0 },
		{ "a part far behind the end", BIT(63), 64 },
		{ "almost 2^32 pages", 64, 0xffffffc0 },
	};
	struct vcpu *vcpu = boot_manual(LONG64, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);
	uint64_t bits[3] = { 0 }, ones[4] = { -1ull, -1ull, -1ull, -1ull };

	add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = 164 * PAGE, LOGGED);
	guest_writes(vcpu, HIGH_GPA, .count = 164);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect_errno_(HERE, rows[i].what,
			      x_try(vcpu->vm, KVM_CLEAR_DIRTY_LOG,
				    &(struct kvm_clear_dirty_log){ .slot = SLOT_ID,
								   .first_page = rows[i].first,
								   .num_pages = rows[i].count,
								   .dirty_bitmap = ones }),
			      EINVAL);
	clear(vcpu->vm, 64, 0, -1ull); /* no pages are no error */
	get_log(vcpu->vm, bits);
	expect_equal(bits[0], -1ull);
	expect_equal(bits[1], -1ull);
	expect_equal(bits[2], BIT(36) - 1);
}

CASE(dirty_log, clear_works_without_the_manual_form, .contract = "dirty_log.clear.always",
     .each_mode = memory_access, NEEDS_MANUAL)
{
	struct vcpu *vcpu = boot(guest);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA, .count = 2);
	clear(vcpu->vm, 0, 16, BIT(0));
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), BIT(1));
}

CASE(dirty_log, of_a_new_slot_is_initially_set, .contract = "dirty_log.initially_set",
     NEEDS_INITIAL_SET)
{
	struct vcpu *vcpu = boot_manual(LONG64, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
							KVM_DIRTY_LOG_INITIALLY_SET);
	uint64_t bits[2] = { 0 };

	add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = 100 * PAGE, LOGGED);
	get_log(vcpu->vm, bits);
	expect_equal(bits[0], -1ull);
	expect_equal(bits[1], BIT(36) - 1);
}

CASE(dirty_log, is_initially_set_when_the_flag_is, .contract = "dirty_log.initially_set",
     .each_mode = memory_access, NEEDS_INITIAL_SET)
{
	struct vcpu *vcpu = boot_manual(guest, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
						       KVM_DIRTY_LOG_INITIALLY_SET);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 16 * PAGE);

	guest_writes(vcpu, SLOT_GPA, .count = 16);
	set_flags(vcpu->vm, &slot, KVM_MEM_LOG_DIRTY_PAGES);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0xffff);
}

CASE(dirty_log, initially_set_pages_are_logged_once_cleared,
     .contract = "dirty_log.initially_set.clear", NEEDS_INITIAL_SET)
{
	struct vcpu *vcpu = boot_manual(LONG64, KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
							KVM_DIRTY_LOG_INITIALLY_SET);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = 100 * PAGE);
	uint64_t bits[2] = { 0 };

	guest_writes(vcpu, HIGH_GPA, .count = 100);
	set_flags(vcpu->vm, &slot, KVM_MEM_LOG_DIRTY_PAGES);
	clear(vcpu->vm, 0, 64, -1ull);
	guest_writes(vcpu, HIGH_GPA + 3 * PAGE, .count = 2, .stride = 67 * PAGE);
	get_log(vcpu->vm, bits);
	expect_equal(bits[0], BIT(3));
	expect_equal(bits[1], BIT(36) - 1);
}
