// SPDX-License-Identifier: MIT
/*
 * The dirty log as a ring for each vCPU. Documented in api.rst: KVM_CAP_DIRTY_LOG_RING,
 * KVM_RESET_DIRTY_RINGS, KVM_EXIT_DIRTY_RING_FULL and KVM_GET_VCPU_MMAP_SIZE.
 */
#include "interrupts.h"
#include "kvm_writes.h"
#include "smm.h"

#include <sys/mman.h>

GUEST_EACH_MODE(memory_access);
GUEST(long64, watch);

#define LONG64     memory_access[MODE_LONG64]
#define LOGGED     .flags = KVM_MEM_LOG_DIRTY_PAGES
#define OTHER_SLOT (SLOT_ID + 1)
#define NEEDS_RING .needs = { CAP(KVM_CAP_DIRTY_LOG_RING) }

/*
 * Bytes. KVM keeps some entries back, in which more may be logged after the ring has got full: 64, and
 * 512 for the CPU where it has page-modification logging.
 */
#define RING_SIZE (4 * PAGE)
#define ENTRIES   (RING_SIZE / sizeof(struct kvm_dirty_gfn))
#define KEPT_MIN  64
#define KEPT_MAX  (KEPT_MIN + 512)

static int enable_ring(struct vm *vm, uint32_t cap, uint64_t size)
{
	return x_try(vm, KVM_ENABLE_CAP, &(struct kvm_enable_cap){ .cap = cap, .args = { size } });
}

static struct kvm_dirty_gfn *map_ring(struct vcpu *vcpu)
{
	void *ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->kvm_fd.fd,
			  KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);

	if (ring == MAP_FAILED)
		fail("the dirty ring can be mapped", "mmap() fails with %s", strerror(errno));
	return ring;
}

static struct vcpu *boot_with_ring(const struct guest_image *image)
{
	struct vm *vm = vm_create();

	enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, RING_SIZE);
	return boot_vm(vm, image);
}

static uint32_t entry_flags(const struct kvm_dirty_gfn *entry)
{
	return __atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE);
}

static void harvest(struct kvm_dirty_gfn *entry)
{
	__atomic_store_n(&entry->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
}

#define expect_dirty(entry, slot_, page)                                                           \
	({                                                                                         \
		expect_equal(entry_flags(entry), KVM_DIRTY_GFN_F_DIRTY);                           \
		expect_equal((entry)->slot, (slot_));                                              \
		expect_equal((entry)->offset, (page));                                             \
	})
#define expect_unused(entry) expect_equal(entry_flags(entry), 0)

CASE(dirty_ring, both_names_are_answered_with_the_largest_size, .contract = "cap.dirty_ring.answer",
     NEEDS_RING)
{
	struct vm *vm = vm_create();
	int largest = x(vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING);

	expect_equal(x(vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_ACQ_REL), largest);
	expect_equal(enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, largest), 0);
}

CASE(dirty_ring, sizes_that_no_ring_can_have_are_refused, .contract = "cap.dirty_ring.size",
     NEEDS_RING)
{
	struct vm *vm = vm_create();
	int largest = x(vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING);
	const struct {
		const char *what;
		uint64_t size;
		int err;
	} rows[] = {
		{ "a ring of no bytes", 0, EINVAL },
		{ "a ring of an entry", sizeof(struct kvm_dirty_gfn), EINVAL },
		{ "a ring of half a page", PAGE / 2, EINVAL },
		{ "a ring of three pages", 3 * PAGE, EINVAL },
		{ "a ring of a page too many", largest + PAGE, EINVAL },
		{ "a ring of twice the limit", 2ull * largest, E2BIG },
		{ "a ring of 2 GiB", 1ull << 31, E2BIG },
		{ "a ring of 16 EiB minus a byte", -1ull, EINVAL },
	};
	static const uint32_t caps[] = { KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL };

	for (size_t i = 0; i < 2 * sizeof rows / sizeof *rows; i++)
		expect_errno_(HERE, rows[i / 2].what,
			      enable_ring(vm, caps[i % 2], rows[i / 2].size), rows[i / 2].err);
	expect_errno(EINVAL, vm, KVM_RESET_DIRTY_RINGS); /* there is still none */
	expect_equal(enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, RING_SIZE), 0);
}

CASE(dirty_ring, is_enabled_once, .contract = "cap.dirty_ring.once", NEEDS_RING)
{
	struct vm *vm = vm_create();

	expect_equal(enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, RING_SIZE), 0);
	expect_errno_(HERE, "the ring", enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, RING_SIZE), EINVAL);
	expect_errno_(HERE, "the ring", enable_ring(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING_SIZE),
		      EINVAL);
	expect_errno_(HERE, "the ring", enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, 2 * RING_SIZE),
		      EINVAL);
}

CASE(dirty_ring, is_enabled_before_the_first_vcpu, .contract = "cap.dirty_ring.before_vcpus",
     NEEDS_RING)
{
	struct vm *vm = vm_create();

	vcpu_create(vm, 0);
	expect_errno_(HERE, "the ring", enable_ring(vm, KVM_CAP_DIRTY_LOG_RING, RING_SIZE), EINVAL);
	expect_errno(EINVAL, vm, KVM_RESET_DIRTY_RINGS);
}

CASE(dirty_ring, has_no_bitmap_beside_it, .contract = "cap.dirty_ring.with_bitmap", NEEDS_RING)
{
	struct vm *vm = vm_create();
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP };

	expect_equal(x(vm, KVM_CHECK_EXTENSION, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP), 0);
	enable_cap(vm, KVM_CAP_DIRTY_LOG_RING_ACQ_REL, RING_SIZE);
	expect_errno(EINVAL, vm, KVM_ENABLE_CAP, &cap);
}

CASE(dirty_ring, reset_needs_a_ring, .contract = "dirty_ring.reset.none")
{
	struct vm *vm = vm_create();

	vcpu_create(vm, 0);
	expect_errno(EINVAL, vm, KVM_RESET_DIRTY_RINGS);
}

CASE(dirty_ring, bitmap_ioctls_are_refused, .contract = "dirty_ring.no_bitmap", NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	uint64_t bits = 1;
	struct kvm_dirty_log log = { .slot = SLOT_ID, .dirty_bitmap = &bits };
	struct kvm_clear_dirty_log clear = { .slot = SLOT_ID,
					     .num_pages = 1,
					     .dirty_bitmap = &bits };

	add_slot(vcpu->vm, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	expect_errno(ENXIO, vcpu->vm, KVM_GET_DIRTY_LOG, &log);
	expect_errno(ENXIO, vcpu->vm, KVM_CLEAR_DIRTY_LOG, &clear);
	expect_dirty(&map_ring(vcpu)[0], SLOT_ID, 0);
}

/* Mapping it. */

static int errno_of_mmap(struct vcpu *vcpu, size_t size, int protection, int flags, long page)
{
	return mmap(NULL, size, protection, flags, vcpu->kvm_fd.fd, page * PAGE) == MAP_FAILED
		       ? errno
		       : 0;
}

CASE(dirty_ring, mapping_is_shared_and_not_executable, .contract = "dirty_ring.map", NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	const long first = KVM_DIRTY_LOG_PAGE_OFFSET, last = first + RING_SIZE / PAGE - 1;
	const int both = PROT_READ | PROT_WRITE;
	int err;

	for (long page = first; page <= last; page++) {
		expect_equal(errno_of_mmap(vcpu, PAGE, both, MAP_PRIVATE, page), EINVAL);
		expect_equal(errno_of_mmap(vcpu, PAGE, PROT_READ, MAP_PRIVATE, page), EINVAL);
		err = errno_of_mmap(vcpu, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, page);
		expect(err == EINVAL || err == EPERM, "mapped to execute: %s", errno_name(err));
		expect_equal(errno_of_mmap(vcpu, PAGE, PROT_READ, MAP_SHARED, page), 0);
	}
	expect_equal(errno_of_mmap(vcpu, RING_SIZE, both, MAP_PRIVATE, first), EINVAL);
	expect_equal(errno_of_mmap(vcpu, RING_SIZE, both, MAP_SHARED, first), 0);
}

CASE(dirty_ring, ends_where_its_size_says, .contract = "dirty_ring.map.end", NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	unsigned char *ring = mmap(NULL, RING_SIZE + PAGE, PROT_READ, MAP_SHARED, vcpu->kvm_fd.fd,
				   KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);

	expect(ring != MAP_FAILED, "%s", strerror(errno));
	expect(!is_bus_error(ring + RING_SIZE - 1), "its last byte gets SIGBUS");
	expect(is_bus_error(ring + RING_SIZE), "what is behind it can be read");
}

CASE(dirty_ring, is_not_there_unless_enabled, .contract = "dirty_ring.map.end", NEEDS_RING)
{
	struct vcpu *vcpu = boot(LONG64);

	expect(is_bus_error((unsigned char *)map_ring(vcpu)), "it can be read");
}

/* What it has, in which order. */

CASE(dirty_ring, has_an_entry_for_each_page_written, .contract = "dirty_ring.entry",
     .each_mode = memory_access, NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(guest);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_reads(vcpu, SLOT_GPA, .count = 16);
	expect_unused(&ring[0]);
	guest_writes(vcpu, SLOT_GPA + 5 * PAGE);
	expect_dirty(&ring[0], SLOT_ID, 5);
	expect_unused(&ring[1]);
}

CASE(dirty_ring, is_in_the_order_of_the_writes, .contract = "dirty_ring.order",
     .each_mode = memory_access, NEEDS_RING)
{
	static const unsigned pages[] = { 9, 3, 15, 0 };
	struct vcpu *vcpu = boot_with_ring(guest);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	for (size_t i = 0; i < 4; i++)
		guest_writes(vcpu, SLOT_GPA + pages[i] * PAGE);
	for (size_t i = 0; i < 4; i++)
		expect_dirty(&ring[i], SLOT_ID, pages[i]);
	expect_unused(&ring[4]);
}

CASE(dirty_ring, has_a_page_once_until_it_is_reset, .contract = "dirty_ring.once",
     .each_mode = memory_access, NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(guest);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	for (unsigned i = 0; i < 3; i++)
		guest_writes(vcpu, SLOT_GPA);
	expect_dirty(&ring[0], SLOT_ID, 0);
	expect_unused(&ring[1]);
	harvest(&ring[0]);
	guest_writes(vcpu, SLOT_GPA);
	expect_unused(&ring[1]);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 1);
	guest_writes(vcpu, SLOT_GPA);
	expect_dirty(&ring[1], SLOT_ID, 0);
}

CASE(dirty_ring, reset_returns_how_many_were_harvested, .contract = "dirty_ring.reset",
     .each_mode = memory_access, NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(guest);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA, .count = 4);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 0);
	harvest(&ring[0]);
	harvest(&ring[1]);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 2);
	expect_unused(&ring[0]);
	expect_unused(&ring[1]);
	expect_dirty(&ring[2], SLOT_ID, 2);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 0);
}

CASE(dirty_ring, reset_looks_at_one_bit, .contract = "dirty_ring.reset.bit", NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	__atomic_store_n(&ring[0].flags, KVM_DIRTY_GFN_F_MASK, __ATOMIC_RELEASE);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 1);
	expect_unused(&ring[0]);
}

CASE(dirty_ring, reset_ends_at_an_entry_that_was_left_out, .contract = "dirty_ring.reset.sequence",
     .each_mode = memory_access, NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(guest);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA, .count = 3);
	harvest(&ring[1]);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 0);
	harvest(&ring[0]);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 2);
	expect_dirty(&ring[2], SLOT_ID, 2);
}

CASE(dirty_ring, entries_name_slot_and_page, .contract = "dirty_ring.entry",
     .each_mode = memory_access, NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(guest);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 4 * PAGE, LOGGED);
	add_slot(vcpu->vm, .slot = 0x1234, .guest_phys_addr = SLOT_GPA + 8 * PAGE,
		 .memory_size = 4 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA + 9 * PAGE);
	guest_writes(vcpu, SLOT_GPA + 2 * PAGE);
	expect_dirty(&ring[0], 0x1234, 1);
	expect_dirty(&ring[1], SLOT_ID, 2);
}

CASE(dirty_ring, follows_the_flag_of_the_slot, .contract = "dirty_ring.flag",
     .each_mode = memory_access, NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(guest);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 16 * PAGE);

	guest_writes(vcpu, SLOT_GPA);
	expect_unused(&ring[0]);
	slot.flags = KVM_MEM_LOG_DIRTY_PAGES;
	set_slot(vcpu->vm, &slot);
	guest_writes(vcpu, SLOT_GPA);
	expect_dirty(&ring[0], SLOT_ID, 0);
	slot.flags = 0;
	set_slot(vcpu->vm, &slot);
	guest_writes(vcpu, SLOT_GPA + PAGE);
	expect_unused(&ring[1]);
}

CASE(dirty_ring, has_not_what_userspace_wrote, .contract = "dirty_ring.userspace", NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .memory_size = 2 * PAGE, LOGGED);

	*slot_word(&slot, 0) = 7;
	guest_writes(vcpu, SLOT_GPA + PAGE);
	expect_dirty(&ring[0], SLOT_ID, 1);
	expect_unused(&ring[1]);
}

/* KVM may enter a page at each of its writes. */
static void expect_dirty_by_kvm(const struct kvm_dirty_gfn *ring, uint64_t page)
{
	expect_dirty(&ring[0], SLOT_ID, page);
	for (unsigned i = 1; i < ENTRIES && entry_flags(&ring[i]); i++)
		expect_dirty(&ring[i], SLOT_ID, page);
}

static void expect_msr_enters(uint32_t msr, uint64_t enable)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 4 * PAGE, LOGGED);
	have_kvm_write(vcpu, msr, (SLOT_GPA + 2 * PAGE) | enable);
	guest_reads(vcpu, SLOT_GPA);
	expect_dirty_by_kvm(ring, 2);
}

#define HAS_WHAT_KVM_WRITES(name, msr, enable, need)                                               \
	CASE(dirty_ring, has_the_##name, .contract = "dirty_ring.kvm",                             \
	     .needs = { CAP(KVM_CAP_DIRTY_LOG_RING), need })                                       \
	{                                                                                          \
		expect_msr_enters((msr), (enable));                                                \
	}
EACH_WRITE_BY_KVM(HAS_WHAT_KVM_WRITES)

static struct vcpu *boot_interrupts_with_ring(void)
{
	struct vm *vm = vm_create();

	enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, RING_SIZE);
	enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS);
	return until_ready(boot_vm(vm, interrupts));
}

CASE(dirty_ring, has_the_bit_that_ends_an_interrupt, .contract = "dirty_ring.kvm.pv_eoi",
     .needs = { CAP(KVM_CAP_DIRTY_LOG_RING), CAP(KVM_CAP_SPLIT_IRQCHIP),
		PV_FEATURE(KVM_FEATURE_PV_EOI) })
{
	struct vcpu *vcpu = boot_interrupts_with_ring();
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 4 * PAGE, LOGGED);
	vcpu_set_msr(vcpu, MSR_KVM_PV_EOI_EN, (SLOT_GPA + 2 * PAGE) | KVM_MSR_ENABLED);
	expect_unused(&ring[0]);
	send_interrupt(vcpu);
	expect_run_report(vcpu, TAKEN);
	expect_dirty_by_kvm(ring, 2);
}

CASE(dirty_ring, has_the_token_of_an_async_pf, .contract = "dirty_ring.kvm.async_pf",
     .needs = { CAP(KVM_CAP_DIRTY_LOG_RING), CAP(KVM_CAP_ASYNC_PF_INT),
		CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu = boot_interrupts_with_ring();
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	add_slot(vcpu->vm, .memory_size = 4 * PAGE, LOGGED);
	enable_async_pf(vcpu, SLOT_GPA + 2 * PAGE);
	expect_unused(&ring[0]);
	expect_run_report(vcpu, TAKEN);
	expect_dirty_by_kvm(ring, 2);
}

CASE(dirty_ring, names_the_slot_of_system_management_mode, .contract = "dirty_ring.smm",
     .needs = { CAP(KVM_CAP_DIRTY_LOG_RING), CAP_AT_LEAST(KVM_CAP_MULTI_ADDRESS_SPACE, 2),
		CAP(KVM_CAP_X86_SMM) })
{
	struct vcpu *vcpu = boot_with_ring(read_in_smm);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);

	write_in_smm(vcpu);
	expect_dirty(&ring[0], IN_SMM(SLOT_ID), 1);
	expect_unused(&ring[1]);
}

CASE(dirty_ring, of_each_vcpu_has_its_own_writes, .contract = "dirty_ring.vcpu",
     .each_mode = memory_access, NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(guest), *other = vcpu_create(vcpu->vm, 1);
	struct kvm_dirty_gfn *ring = map_ring(vcpu), *others = map_ring(other);

	vcpu_enter(other, guest->mode, vcpu->vm->entry);
	add_slot(vcpu->vm, .memory_size = 16 * PAGE, LOGGED);
	guest_writes(vcpu, SLOT_GPA);
	guest_writes(other, SLOT_GPA + PAGE, .count = 2);
	expect_dirty(&ring[0], SLOT_ID, 0);
	expect_unused(&ring[1]);
	expect_dirty(&others[0], SLOT_ID, 1);
	expect_dirty(&others[1], SLOT_ID, 2);
	harvest(&ring[0]);
	harvest(&others[0]);
	harvest(&others[1]);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), 3);
}

/* Harvests all there is from *next on, and sets the pages' bits. Returns how many entries. */
static unsigned harvest_all(struct kvm_dirty_gfn *ring, unsigned *next, unsigned char *pages)
{
	unsigned count = 0;

	for (; entry_flags(&ring[*next % ENTRIES]) == KVM_DIRTY_GFN_F_DIRTY; ++*next, count++) {
		pages[ring[*next % ENTRIES].offset]++;
		harvest(&ring[*next % ENTRIES]);
	}
	return count;
}

/* Each of these pages, and no other, is entered. */
static void write_a_ring_of_pages(struct vcpu *vcpu, struct kvm_dirty_gfn *ring, unsigned *next,
				  size_t first)
{
	unsigned char pages[2 * ENTRIES] = { 0 };
	unsigned entered, left;

	prepare_access(vcpu, "write", HIGH_GPA + first * PAGE, .count = ENTRIES);
	expect_run_exit(vcpu, KVM_EXIT_DIRTY_RING_FULL);
	entered = harvest_all(ring, next, pages);
	expect(entered >= ENTRIES - KEPT_MAX && entered <= ENTRIES - KEPT_MIN, "%u of %zu entries",
	       entered, ENTRIES);
	left = vcpu_regs(vcpu).rcx; /* the last page may be entered before it is written */
	expect(left - (ENTRIES - entered) <= 1, "%u entered, %u to go", entered, left);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), entered);

	while (vcpu_run(vcpu) == 0 && vcpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL) {
		entered = harvest_all(ring, next, pages);
		expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), entered);
	}
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	entered = harvest_all(ring, next, pages);
	expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), entered);
	for (size_t i = 0; i < 2 * ENTRIES; i++)
		expect(!pages[i] == (i - first >= ENTRIES), "page %zu was entered %u times", i,
		       pages[i]);
}

/* From the second round on the ring begins anew where it ends. */
CASE(dirty_ring, full_ring_ends_the_run, .contract = "exit.dirty_ring_full", NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);
	unsigned next = 0;

	add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = 2 * ENTRIES * PAGE, LOGGED);
	for (unsigned round = 0; round < rounds(8, 3); round++)
		write_a_ring_of_pages(vcpu, ring, &next, round % 2 * ENTRIES);
}

CASE(dirty_ring, full_ring_lets_nothing_run, .contract = "exit.dirty_ring_full.again", NEEDS_RING)
{
	struct vcpu *vcpu = boot_with_ring(LONG64);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);
	struct kvm_regs before;

	add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = ENTRIES * PAGE, LOGGED);
	for (unsigned page = 0; page < ENTRIES; page += 16) {
		prepare_access(vcpu, "write", HIGH_GPA + page * PAGE, .count = 16);
		if (vcpu_run(vcpu) != 0 || vcpu->run->exit_reason != KVM_EXIT_HLT)
			break;
	}
	expect_exit_reason(vcpu, KVM_EXIT_DIRTY_RING_FULL);
	before = vcpu_regs(vcpu);
	expect_run_exit(vcpu, KVM_EXIT_DIRTY_RING_FULL);
	expect_regs(vcpu, REGS_AS(before));
	harvest(&ring[0]); /* harvested, but not reset */
	expect_run_exit(vcpu, KVM_EXIT_DIRTY_RING_FULL);
	expect_regs(vcpu, REGS_AS(before));
}

/* Others harvest and reset meanwhile. */
static bool wait_for_reset(struct vcpu *vcpu)
{
	return vcpu->run->exit_reason == KVM_EXIT_DIRTY_RING_FULL;
}

CASE(dirty_ring, loses_no_write_of_a_running_vcpu, .contract = "dirty_ring.running", NEEDS_RING)
{
	enum { PAGES = 16 };
	struct vcpu *vcpu = boot_with_ring(watch);
	struct kvm_dirty_gfn *ring = map_ring(vcpu);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .memory_size = PAGES * PAGE, LOGGED);
	struct kvm_regs regs = vcpu->loaded;
	volatile uint32_t *counter = guest_counter(vcpu);
	uint32_t copy[PAGES] = { 0 }, seen = 0;
	unsigned next = 0, rounds_left = rounds(16, 4);

	regs.rip = guest_symbol(vcpu, "change");
	regs.rdi = SLOT_GPA;
	regs.rcx = PAGES;
	vcpu_set_regs(vcpu, regs);
	vcpu_start(vcpu, wait_for_reset);
	do {
		unsigned char pages[PAGES] = { 0 };
		unsigned harvested;

		wait_until(*counter != seen);
		seen = *counter;
		/* The pages must be protected again before they are copied. */
		if (!rounds_left)
			vcpu_pause(vcpu, true);
		harvested = harvest_all(ring, &next, pages);
		expect_equal(x(vcpu->vm, KVM_RESET_DIRTY_RINGS), harvested);
		for (unsigned page = 0; page < PAGES; page++)
			if (pages[page])
				copy[page] = *slot_word(&slot, page);
	} while (rounds_left--);
	expect(copy[0] > 0, "no write of the guest was seen");
	for (unsigned page = 0; page < PAGES; page++)
		expect_equal(copy[page], *slot_word(&slot, page));
	vcpu_stop(vcpu);
}
