// SPDX-License-Identifier: MIT
/*
 * guest_memfd: memory that belongs to a VM, and memory attributes, which say what of it is private.
 * Documented in api.rst: KVM_CREATE_GUEST_MEMFD, KVM_SET_USER_MEMORY_REGION2,
 * KVM_SET_MEMORY_ATTRIBUTES, KVM_CAP_VM_TYPES, KVM_EXIT_MEMORY_FAULT.
 */
#include "kvmspec.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

GUEST_EACH_MODE(memory_access);

#define LONG64     memory_access[MODE_LONG64]
#define OTHER_SLOT (SLOT_ID + 1)
#define OTHER_GPA  (SLOT_GPA + 8 * PAGE)
#define SHARED     (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)

#define NEEDS_MEMFD  .needs = { CAP(KVM_CAP_GUEST_MEMFD) }
#define NEEDS_SHARED .needs = { CAP_BITS(KVM_CAP_GUEST_MEMFD_FLAGS, SHARED) }
/* For tests only: ci/lab run --variant=private-memory builds Debian's KVM with them. */
#define NEEDS_PRIVATE .needs = { CAP_BITS(KVM_CAP_VM_TYPES, 1 << KVM_X86_SW_PROTECTED_VM) }

/* An ordinary VM, or else a protected one: /dev/kvm says only that one of them has the capability. */
#define vm_with(cap) vm_with_((cap), #cap)
static struct vm *vm_with_(int cap, const char *name)
{
	struct vm *vm = vm_create();

	if (!x(vm, KVM_CHECK_EXTENSION, cap) &&
	    host_cap(KVM_CAP_VM_TYPES) & 1 << KVM_X86_SW_PROTECTED_VM)
		vm = vm_create_of_type(KVM_X86_SW_PROTECTED_VM);
	if (!x(vm, KVM_CHECK_EXTENSION, cap))
		skip("needs a VM with %s; KVM_CHECK_EXTENSION answers 0", name);
	return vm;
}

static int create(struct vm *vm, uint64_t size, uint64_t flags)
{
	return x(vm, KVM_CREATE_GUEST_MEMFD,
		 &(struct kvm_create_guest_memfd){ .size = size, .flags = flags });
}

static unsigned char *map(int fd, size_t size)
{
	unsigned char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		fail("a guest_memfd with GUEST_MEMFD_FLAG_MMAP can be mapped",
		     "mmap() fails with %s", strerror(errno));
	return memory;
}

/* A region of a page at SLOT_GPA, with memory of its own, unless its fields say something else. */
#define region_of(fd, ...)                                                                         \
	with_memory((struct kvm_userspace_memory_region2){ .slot = SLOT_ID,                        \
							   .flags = KVM_MEM_GUEST_MEMFD,           \
							   .guest_phys_addr = SLOT_GPA,            \
							   .memory_size = PAGE,                    \
							   .guest_memfd = (uint32_t)(fd),          \
							   __VA_ARGS__ })
static struct kvm_userspace_memory_region2 with_memory(struct kvm_userspace_memory_region2 region)
{
	if (!region.userspace_addr)
		region.userspace_addr = (uintptr_t)map_memory(region.memory_size);
	return region;
}
#define bind(vm, region) x(vm, KVM_SET_USER_MEMORY_REGION2, &(region))

CASE(guest_memfd, sizes_and_flags_are_checked, .contract = "guest_memfd.create.refused",
     NEEDS_MEMFD)
{
	static const struct {
		const char *what;
		uint64_t size, flags;
	} rows[] = {
		{ "no bytes", 0, 0 },
		{ "a byte", 1, 0 },
		{ "a page and a byte", PAGE + 1, 0 },
		{ "2^63 bytes", 1ull << 63, 0 },
		{ "2^64 bytes minus a page", -PAGE, 0 },
		{ "flag 2", PAGE, 1ull << 2 },
		{ "flag 63", PAGE, 1ull << 63 },
	};
	struct vm *vm = vm_with(KVM_CAP_GUEST_MEMFD);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		expect_errno_(HERE, rows[i].what,
			      x_try(vm, KVM_CREATE_GUEST_MEMFD,
				    &(struct kvm_create_guest_memfd){ .size = rows[i].size,
								      .flags = rows[i].flags }),
			      EINVAL);
	expect(create(vm, PAGE, 0) > 2, "it is no new file descriptor");
}

CASE(guest_memfd, flags_that_are_offered_are_accepted, .contract = "guest_memfd.flags",
     .needs = { CAP(KVM_CAP_GUEST_MEMFD_FLAGS) })
{
	struct vm *vm = vm_with(KVM_CAP_GUEST_MEMFD_FLAGS);
	uint64_t offered = x(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS);

	for (unsigned bit = 0; bit < 32; bit++) {
		int fd = x_try(
			vm, KVM_CREATE_GUEST_MEMFD,
			&(struct kvm_create_guest_memfd){ .size = PAGE, .flags = 1ull << bit });

		if (offered >> bit & 1)
			expect(fd >= 0, "flag %u is offered, and fails with %s", bit,
			       errno_name(-fd));
		else
			expect(fd == -EINVAL, "flag %u is not offered, and returns %d", bit, fd);
	}
}

/* Its file is not like others. */

CASE(guest_memfd, is_not_read_written_or_mapped, .contract = "guest_memfd.file", NEEDS_MEMFD)
{
	int fd = create(vm_with(KVM_CAP_GUEST_MEMFD), 2 * PAGE, 0);
	char byte = 0;

	expect(read(fd, &byte, 1) < 0, "it can be read");
	expect_equal(errno, EINVAL);
	expect(write(fd, &byte, 1) < 0, "it can be written");
	expect_equal(errno, EINVAL);
	expect(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED, "it can be mapped");
	expect_equal(errno, ENODEV);
}

CASE(guest_memfd, keeps_its_size, .contract = "guest_memfd.file.size", NEEDS_MEMFD)
{
	int fd = create(vm_with(KVM_CAP_GUEST_MEMFD), 2 * PAGE, 0);

	expect(ftruncate(fd, PAGE) < 0, "it can be truncated");
	expect_equal(errno, EINVAL);
	expect(ftruncate(fd, 3 * PAGE) < 0, "it can be extended");
	expect_equal(errno, EINVAL);
}

CASE(guest_memfd, memory_is_allocated_and_freed, .contract = "guest_memfd.fallocate", NEEDS_MEMFD)
{
	enum { KEEP = FALLOC_FL_KEEP_SIZE, PUNCH = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE };
	static const struct {
		const char *what;
		int mode;
		off_t offset, size;
		int err;
	} rows[] = {
		{ "allocation of all", KEEP, 0, 2 * PAGE, 0 },
		{ "a hole", PUNCH, PAGE, PAGE, 0 },
		{ "a hole behind the end", PUNCH, 2 * PAGE, PAGE, 0 },
		{ "allocation behind the end", KEEP, 2 * PAGE, PAGE, EINVAL },
		{ "allocation that may change the size", 0, 0, PAGE, EOPNOTSUPP },
		{ "zeroing", KEEP | FALLOC_FL_ZERO_RANGE, 0, PAGE, EOPNOTSUPP },
		{ "a hole from within a page", PUNCH, 1, PAGE, EINVAL },
		{ "a hole of half a page", PUNCH, 0, PAGE / 2, EINVAL },
	};
	int fd = create(vm_with(KVM_CAP_GUEST_MEMFD), 2 * PAGE, 0);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int got = fallocate(fd, rows[i].mode, rows[i].offset, rows[i].size) ? errno : 0;

		expect_equal_(HERE, rows[i].what, got, rows[i].err);
	}
}

CASE(guest_memfd, mapping_is_shared, .contract = "guest_memfd.mmap", NEEDS_SHARED)
{
	int fd = create(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), PAGE, SHARED);
	unsigned char *memory = map(fd, 2 * PAGE), *same = map(fd, PAGE);

	expect(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED,
	       "it can be mapped privately");
	expect_equal(errno, EINVAL);
	expect_equal(memory[PAGE - 1], 0);
	memory[PAGE - 1] = 7;
	expect_equal(same[PAGE - 1], 7);
	expect(is_bus_error(memory + PAGE), "what is behind its end can be read");
}

CASE(guest_memfd, private_memory_is_not_userspaces, .contract = "guest_memfd.mmap.private",
     .needs = { CAP_BITS(KVM_CAP_GUEST_MEMFD_FLAGS, GUEST_MEMFD_FLAG_MMAP) })
{
	int fd = create(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), PAGE, GUEST_MEMFD_FLAG_MMAP);

	expect(is_bus_error(map(fd, PAGE)), "it can be read");
}

/* Slots. */

CASE(guest_memfd, is_the_slots_memory, .contract = "guest_memfd.slot", .each_mode = memory_access,
     NEEDS_SHARED)
{
	struct vcpu *vcpu = boot_vm(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), guest);
	int fd = create(vcpu->vm, 4 * PAGE, SHARED);
	volatile uint32_t *memory = (volatile uint32_t *)(void *)map(fd, 4 * PAGE);
	struct kvm_userspace_memory_region2 region =
		region_of(fd, .memory_size = 2 * PAGE, .guest_memfd_offset = PAGE,
			  .userspace_addr = (uintptr_t)memory + PAGE);

	bind(vcpu->vm, region);
	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	expect_equal(memory[0], 0);
	expect_equal(memory[1024], 7);
	expect_equal(memory[2048], 8);
	memory[2048] = 9;
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 9);
	expect_hole(vcpu, SLOT_GPA + 2 * PAGE);
}

CASE(guest_memfd, counts_instead_of_the_hva, .contract = "guest_memfd.slot.hva",
     .each_mode = memory_access, NEEDS_SHARED)
{
	struct vcpu *vcpu = boot_vm(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), guest);
	int fd = create(vcpu->vm, PAGE, SHARED);
	volatile uint32_t *memory = (volatile uint32_t *)(void *)map(fd, PAGE);
	struct kvm_userspace_memory_region2 region = region_of(fd);

	memory[0] = 7;
	bind(vcpu->vm, region);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	guest_writes(vcpu, SLOT_GPA, .value = 8);
	expect_equal(memory[0], 8);
	expect_equal(*(uint32_t *)(uintptr_t)region.userspace_addr, 0);
}

CASE(guest_memfd, hole_is_zero_for_the_guest, .contract = "guest_memfd.hole",
     .each_mode = memory_access, NEEDS_SHARED)
{
	struct vcpu *vcpu = boot_vm(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), guest);
	int fd = create(vcpu->vm, 2 * PAGE, SHARED);
	struct kvm_userspace_memory_region2 region = region_of(
		fd, .memory_size = 2 * PAGE, .userspace_addr = (uintptr_t)map(fd, 2 * PAGE));

	bind(vcpu->vm, region);
	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, PAGE, PAGE) != 0)
		error("fallocate: %s", strerror(errno));
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 0);
}

CASE(guest_memfd, closed_file_is_a_fault, .contract = "guest_memfd.closed",
     .each_mode = memory_access, NEEDS_SHARED)
{
	struct vcpu *vcpu = boot_vm(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), guest);
	int fd = create(vcpu->vm, PAGE, SHARED);
	struct kvm_userspace_memory_region2 region = region_of(fd);

	bind(vcpu->vm, region);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	close(fd);
	prepare_access(vcpu, "read", SLOT_GPA);
	expect_run_fault(vcpu, SLOT_GPA, 0);
	region.memory_size = 0;
	bind(vcpu->vm, region);
	expect_run_mmio(vcpu, .phys_addr = SLOT_GPA, .len = 4, .is_write = 0);
}

CASE(guest_memfd, binding_is_checked, .contract = "guest_memfd.bind.refused", NEEDS_MEMFD)
{
	struct vm *vm = vm_with(KVM_CAP_GUEST_MEMFD);
	int fd = create(vm, 2 * PAGE, 0), null = open("/dev/null", O_RDWR | O_CLOEXEC),
	    others = create(vm_create(), 2 * PAGE, 0);
	const struct {
		const char *what;
		struct kvm_userspace_memory_region2 region;
		int err;
	} rows[] = {
		{ "file descriptor -1", region_of(-1), EBADF },
		{ "a file of another kind", region_of(null), EINVAL },
		{ "the VM itself", region_of(vm->kvm_fd.fd), EINVAL },
		{ "another VM's guest_memfd", region_of(others), EINVAL },
		{ "an offset within a page", region_of(fd, .guest_memfd_offset = 1), EINVAL },
		{ "an offset at its end", region_of(fd, .guest_memfd_offset = 2 * PAGE), EINVAL },
		{ "an offset that wraps", region_of(fd, .guest_memfd_offset = -PAGE), EINVAL },
		{ "more than it has", region_of(fd, .memory_size = 3 * PAGE), EINVAL },
		{ "a page more than it has",
		  region_of(fd, .memory_size = 2 * PAGE, .guest_memfd_offset = PAGE), EINVAL },
		{ "a dirty log",
		  region_of(fd, .flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_LOG_DIRTY_PAGES), EINVAL },
		{ "a read-only slot",
		  region_of(fd, .flags = KVM_MEM_GUEST_MEMFD | KVM_MEM_READONLY), EINVAL },
	};
	struct kvm_userspace_memory_region2 region = region_of(fd);

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		region = rows[i].region;
		expect_errno_(HERE, rows[i].what, x_try(vm, KVM_SET_USER_MEMORY_REGION2, &region),
			      rows[i].err);
	}
	region = region_of(fd, .memory_size = 2 * PAGE);
	bind(vm, region);
}

CASE(guest_memfd, page_is_bound_once, .contract = "guest_memfd.bind.once", NEEDS_MEMFD)
{
	struct vm *vm = vm_with(KVM_CAP_GUEST_MEMFD);
	int fd = create(vm, 4 * PAGE, 0);
	struct kvm_userspace_memory_region2 region = region_of(fd, .memory_size = 2 * PAGE,
							       .guest_memfd_offset = PAGE),
					    other;

	bind(vm, region);
	for (unsigned page = 0; page < 3; page++) {
		other = region_of(fd, .slot = OTHER_SLOT, .guest_phys_addr = OTHER_GPA,
				  .memory_size = 2 * PAGE, .guest_memfd_offset = page * PAGE);
		expect_errno(EEXIST, vm, KVM_SET_USER_MEMORY_REGION2, &other);
	}
	other = region_of(fd, .slot = OTHER_SLOT, .guest_phys_addr = OTHER_GPA,
			  .guest_memfd_offset = 3 * PAGE);
	bind(vm, other);
	region.memory_size = 0;
	bind(vm, region);
	other.memory_size = 0;
	bind(vm, other);
	other = region_of(fd, .slot = OTHER_SLOT, .memory_size = 4 * PAGE);
	bind(vm, other);
}

CASE(guest_memfd, slot_cannot_be_changed, .contract = "guest_memfd.slot.immutable", NEEDS_MEMFD)
{
	struct vm *vm = vm_with(KVM_CAP_GUEST_MEMFD);
	int fd = create(vm, 4 * PAGE, 0);
	const struct kvm_userspace_memory_region2 region = region_of(fd);
	struct kvm_userspace_memory_region2 same = region, moved = region, offset = region,
					    plain = region;

	moved.guest_phys_addr = OTHER_GPA;
	offset.guest_memfd_offset = PAGE;
	plain.flags = 0;
	bind(vm, same);
	expect_errno(EINVAL, vm, KVM_SET_USER_MEMORY_REGION2, &same);
	expect_errno(EINVAL, vm, KVM_SET_USER_MEMORY_REGION2, &moved);
	expect_errno(EINVAL, vm, KVM_SET_USER_MEMORY_REGION2, &offset);
	expect_errno(EINVAL, vm, KVM_SET_USER_MEMORY_REGION2, &plain);
	same.memory_size = 0;
	bind(vm, same);
}

CASE(guest_memfd, slot_without_one_does_not_get_one, .contract = "guest_memfd.slot.immutable",
     NEEDS_MEMFD)
{
	struct vm *vm = vm_with(KVM_CAP_GUEST_MEMFD);
	struct kvm_userspace_memory_region slot = add_slot(vm);
	struct kvm_userspace_memory_region2 region =
		region_of(create(vm, PAGE, 0), .userspace_addr = slot.userspace_addr);

	expect_errno(EINVAL, vm, KVM_SET_USER_MEMORY_REGION2, &region);
}

CASE(guest_memfd, fault_names_the_page, .contract = "exit.memory_fault", .each_mode = memory_access,
     NEEDS_SHARED)
{
	struct vcpu *vcpu = boot_vm(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), guest);
	int fd = create(vcpu->vm, 4 * PAGE, SHARED);
	struct kvm_userspace_memory_region2 region = region_of(fd, .memory_size = 4 * PAGE);

	bind(vcpu->vm, region);
	close(fd);
	prepare_access(vcpu, "read", SLOT_GPA + 2 * PAGE + 0x123);
	expect_run_fault(vcpu, SLOT_GPA + 2 * PAGE, 0);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "read"));
}

CASE(guest_memfd, broken_page_is_reported, .contract = "guest_memfd.poisoned", NEEDS_SHARED)
{
	struct vcpu *vcpu = boot_vm(vm_with(KVM_CAP_GUEST_MEMFD_FLAGS), LONG64);
	int fd = create(vcpu->vm, 2 * PAGE, SHARED);
	void *memory = map(fd, 2 * PAGE);
	struct kvm_userspace_memory_region2 region =
		region_of(fd, .memory_size = 2 * PAGE, .userspace_addr = (uintptr_t)memory);
	struct kvm_pre_fault_memory range = { .gpa = SLOT_GPA, .size = PAGE };

	if (strcmp(host.engine, "host") == 0)
		skip("takes a page of memory from the kernel until it boots again: only in the lab");
	bind(vcpu->vm, region);
	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	signal_handle(SIGBUS, 0); /* the process that has it mapped is told */
	if (madvise(memory, PAGE, MADV_HWPOISON) < 0 && errno != EBUSY) /* broken, but in use */
		skip("needs root, and CONFIG_MEMORY_FAILURE; madvise() answers %s",
		     strerror(errno));
	if (host_cap(KVM_CAP_PRE_FAULT_MEMORY))
		expect_errno(EHWPOISON, vcpu, KVM_PRE_FAULT_MEMORY, &range);
	prepare_access(vcpu, "read", SLOT_GPA);
	expect_run_errno(vcpu, EHWPOISON);
	expect_fault_info_(HERE, vcpu, SLOT_GPA, 0);
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 8);
}

/* Attributes. */

static int set_attributes(struct vm *vm, uint64_t address, uint64_t size, uint64_t attributes)
{
	return x_try(vm, KVM_SET_MEMORY_ATTRIBUTES,
		     &(struct kvm_memory_attributes){ address, size, attributes, 0 });
}

CASE(guest_memfd, ordinary_vm_has_no_private_memory, .contract = "attributes.default_vm",
     .needs = { CAP(KVM_CAP_MEMORY_ATTRIBUTES) })
{
	struct vm *vm = vm_create();

	expect_equal(x(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	expect_errno_(HERE, "making memory private",
		      set_attributes(vm, 0, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE), EINVAL);
	expect_equal(set_attributes(vm, 0, PAGE, 0), 0);
}

CASE(guest_memfd, attributes_are_checked, .contract = "attributes.refused",
     .needs = { CAP(KVM_CAP_MEMORY_ATTRIBUTES) })
{
	static const struct {
		const char *what;
		struct kvm_memory_attributes attributes;
	} rows[] = {
		{ "a flag", { 0, PAGE, 0, 1 } },
		{ "flag 63", { 0, PAGE, 0, 1ull << 63 } },
		{ "attribute 0", { 0, PAGE, 1, 0 } },
		{ "attribute 2", { 0, PAGE, 1 << 2, 0 } },
		{ "attribute 4", { 0, PAGE, 1 << 4, 0 } },
		{ "attribute 63", { 0, PAGE, 1ull << 63, 0 } },
		{ "no bytes", { 0, 0, 0, 0 } },
		{ "an address within a page", { 1, PAGE, 0, 0 } },
		{ "half a page", { 0, PAGE / 2, 0, 0 } },
		{ "a range that wraps", { PAGE, -PAGE + PAGE / 2, 0, 0 } },
		{ "a range that ends at 2^64", { PAGE, -PAGE, 0, 0 } },
	};
	struct vm *vm = vm_create();

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kvm_memory_attributes attributes = rows[i].attributes;

		expect_errno_(HERE, rows[i].what, x_try(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes),
			      EINVAL);
	}
}

static struct vcpu *boot_protected(const struct guest_image *image)
{
	return boot_vm(vm_create_of_type(KVM_X86_SW_PROTECTED_VM), image);
}

CASE(guest_memfd, protected_vm_says_what_it_can, .contract = "attributes.private.answer",
     NEEDS_PRIVATE)
{
	struct vm *vm = vm_create_of_type(KVM_X86_SW_PROTECTED_VM);

	expect_equal(x(vm, KVM_CHECK_EXTENSION, KVM_CAP_MEMORY_ATTRIBUTES),
		     KVM_MEMORY_ATTRIBUTE_PRIVATE);
	expect_equal(x(vm, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD), 1);
}

CASE(guest_memfd, attribute_chooses_private_or_shared, .contract = "attributes.private",
     .each_mode = memory_access, NEEDS_PRIVATE)
{
	struct vcpu *vcpu = boot_protected(guest);
	struct kvm_userspace_memory_region2 region = region_of(create(vcpu->vm, PAGE, 0));
	volatile uint32_t *shared = (volatile uint32_t *)(uintptr_t)region.userspace_addr;

	bind(vcpu->vm, region);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	expect_equal(*shared, 7);
	expect_equal(set_attributes(vcpu->vm, SLOT_GPA, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	expect_guest_reads(vcpu, SLOT_GPA, 0);
	guest_writes(vcpu, SLOT_GPA, .value = 8);
	expect_equal(*shared, 7);
	expect_equal(set_attributes(vcpu->vm, SLOT_GPA, PAGE, 0), 0);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	expect_equal(set_attributes(vcpu->vm, SLOT_GPA, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	expect_guest_reads(vcpu, SLOT_GPA, 8);
}

CASE(guest_memfd, attribute_is_of_its_range, .contract = "attributes.private.range",
     .each_mode = memory_access, NEEDS_PRIVATE)
{
	struct vcpu *vcpu = boot_protected(guest);
	struct kvm_userspace_memory_region2 region =
		region_of(create(vcpu->vm, 3 * PAGE, 0), .memory_size = 3 * PAGE);
	volatile uint32_t *shared = (volatile uint32_t *)(uintptr_t)region.userspace_addr;

	bind(vcpu->vm, region);
	expect_equal(set_attributes(vcpu->vm, SLOT_GPA + PAGE, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE),
		     0);
	guest_writes(vcpu, SLOT_GPA, .count = 3, .value = 7);
	expect_equal(shared[0], 7);
	expect_equal(shared[1024], 0);
	expect_equal(shared[2048], 9);
}

CASE(guest_memfd, attribute_needs_no_slot, .contract = "attributes.private.gpa",
     .each_mode = memory_access, NEEDS_PRIVATE)
{
	struct vcpu *vcpu = boot_protected(guest);
	int fd = create(vcpu->vm, PAGE, 0);
	struct kvm_userspace_memory_region2 region = region_of(fd), same = region;

	expect_equal(set_attributes(vcpu->vm, SLOT_GPA, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	bind(vcpu->vm, region);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	region.memory_size = 0;
	bind(vcpu->vm, region);
	prepare_access(vcpu, "read", SLOT_GPA);
	expect_run_fault(vcpu, SLOT_GPA, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	bind(vcpu->vm, same);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
}

CASE(guest_memfd, private_memory_begins_at_the_offset, .contract = "guest_memfd.slot.private",
     .each_mode = memory_access, NEEDS_PRIVATE)
{
	struct vcpu *vcpu = boot_protected(guest);
	int fd = create(vcpu->vm, 2 * PAGE, 0);
	struct kvm_userspace_memory_region2 second = region_of(fd, .guest_memfd_offset = PAGE),
					    both = region_of(fd, .memory_size = 2 * PAGE);

	expect_equal(set_attributes(vcpu->vm, SLOT_GPA, 2 * PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	bind(vcpu->vm, second);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	second.memory_size = 0;
	bind(vcpu->vm, second);
	bind(vcpu->vm, both);
	expect_guest_reads(vcpu, SLOT_GPA, 0);
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 7);
}

CASE(guest_memfd, private_page_without_memory_is_a_fault, .contract = "exit.memory_fault.private",
     .each_mode = memory_access, NEEDS_PRIVATE)
{
	struct vcpu *vcpu = boot_protected(guest);

	add_slot(vcpu->vm, .memory_size = 2 * PAGE);
	expect_equal(set_attributes(vcpu->vm, SLOT_GPA + PAGE, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE),
		     0);
	guest_writes(vcpu, SLOT_GPA);
	prepare_access(vcpu, "write", SLOT_GPA + PAGE);
	expect_run_fault(vcpu, SLOT_GPA + PAGE, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	expect_equal(set_attributes(vcpu->vm, SLOT_GPA + PAGE, PAGE, 0), 0);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(guest_memfd, hole_in_private_memory_is_zero, .contract = "guest_memfd.hole",
     .each_mode = memory_access, NEEDS_PRIVATE)
{
	struct vcpu *vcpu = boot_protected(guest);
	int fd = create(vcpu->vm, PAGE, 0);
	struct kvm_userspace_memory_region2 region = region_of(fd);

	bind(vcpu->vm, region);
	expect_equal(set_attributes(vcpu->vm, SLOT_GPA, PAGE, KVM_MEMORY_ATTRIBUTE_PRIVATE), 0);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, PAGE) != 0)
		error("fallocate: %s", strerror(errno));
	expect_guest_reads(vcpu, SLOT_GPA, 0);
}
