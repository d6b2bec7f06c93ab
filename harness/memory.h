/* SPDX-License-Identifier: MIT */
/*
 * Memory slots beside RAM, what backs them, and a guest that accesses them.
 *
 *	GUEST_EACH_MODE(memory_access);
 *	…
 *	struct vcpu *vcpu = boot(guest);
 *	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 2 * PAGE);
 *
 *	guest_writes(vcpu, SLOT_GPA, .value = 7);
 *	expect_equal(*slot_word(&slot, 0), 7);
 *	slot.memory_size = 0;
 *	set_slot(vcpu->vm, &slot);
 *
 * Documented in api.rst: KVM_SET_USER_MEMORY_REGION, KVM_GET_DIRTY_LOG.
 */
#ifndef KVMSPEC_MEMORY_H
#define KVMSPEC_MEMORY_H

#include "expect.h"
#include "vm.h"

#define PAGE       0x1000ul
#define LARGE_PAGE 0x200000ul

/* Where slots go: 16 pages that real-mode code reaches, and a place for more in 64-bit mode. */
#define SLOT_GPA MMIO_BASE
#define HIGH_GPA 0x400000ul /* aligned to 2 MiB, as map_memory() is */
#define SLOT_ID  (RAM_SLOT + 1)

/*
 * size bytes of private anonymous memory, aligned to 2 MiB; an error ends the case. In small pages: a
 * huge one would bring pages with it that nobody touched, and the dirty log can tell (cases/drift.md).
 */
unsigned char *map_memory(size_t size);

/*
 * Adds a slot: SLOT_ID at SLOT_GPA, one page, of fresh memory, unless its fields say something else.
 * Returns the region as KVM_SET_USER_MEMORY_REGION was given it.
 */
#define add_slot(vm, ...) add_slot_((vm), slot_of(__VA_ARGS__))
#define slot_of(...)                                                                               \
	((struct kvm_userspace_memory_region){                                                     \
		.slot = SLOT_ID, .guest_phys_addr = SLOT_GPA, .memory_size = PAGE, __VA_ARGS__ })
struct kvm_userspace_memory_region add_slot_(struct vm *vm,
					     struct kvm_userspace_memory_region slot);

/* KVM_SET_USER_MEMORY_REGION; it must succeed. */
#define set_slot(vm, slot) x((vm), KVM_SET_USER_MEMORY_REGION, (slot))

/* Whether a read from there gets SIGBUS: a mapping without memory behind it. */
bool is_bus_error(const volatile unsigned char *place);

/* HVA of a page of the slot, as bytes, and as the 32-bit word that the guest's accesses use. */
unsigned char *slot_page(const struct kvm_userspace_memory_region *slot, size_t page);
volatile uint32_t *slot_word(const struct kvm_userspace_memory_region *slot, size_t page);

/*
 * What guests/any/memory_access.S is to do: from gpa on, count accesses of 32 bits, stride bytes apart (one
 * a page by default), and HLT. Labels: "write" (value, value + 1, …), "read" (the last one's value
 * is then in RSI), "add" (1, by a locked instruction).
 */
struct guest_access {
	const char *label;
	uint64_t gpa, count, stride;
	uint32_t value;
};
#define prepare_access(vcpu, label_, gpa_, ...)                                                    \
	prepare_access_((vcpu), (struct guest_access){ (label_), (gpa_), .count = 1,               \
						       .stride = PAGE, __VA_ARGS__ })
void prepare_access_(struct vcpu *vcpu, struct guest_access access);

/* The guest does it, with no exit before its HLT. */
#define guest_does(vcpu, label, gpa, ...)                                                          \
	({                                                                                         \
		prepare_access(vcpu, label, gpa, __VA_ARGS__);                                     \
		expect_run_exit(vcpu, KVM_EXIT_HLT);                                               \
	})
#define guest_writes(vcpu, gpa, ...) guest_does(vcpu, "write", gpa, __VA_ARGS__)
#define guest_reads(vcpu, gpa, ...)  guest_does(vcpu, "read", gpa, __VA_ARGS__)
#define expect_guest_reads(vcpu, gpa, value)                                                       \
	({                                                                                         \
		guest_reads(vcpu, gpa);                                                            \
		expect_regs(vcpu, .rsi = (value));                                                 \
	})

/* The guest's access exits: no slot backs the GPA. */
#define expect_hole(vcpu, gpa)                                                                     \
	({                                                                                         \
		prepare_access(vcpu, "read", gpa);                                                 \
		expect_run_mmio(vcpu, .phys_addr = (gpa), .len = 4, .is_write = 0);                \
		expect_run_exit(vcpu, KVM_EXIT_HLT);                                               \
	})

/*
 * Runs the vCPU once; KVM cannot resolve the guest's access: KVM_RUN fails with EFAULT and, where KVM
 * says so (KVM_CAP_MEMORY_FAULT_INFO), the exit names the page and these KVM_MEMORY_EXIT_FLAG_*.
 */
#define expect_run_fault(vcpu, gpa, flags)                                                         \
	({                                                                                         \
		expect_run_errno(vcpu, EFAULT);                                                    \
		expect_fault_info_(HERE, (vcpu), (gpa), (flags));                                  \
	})
void expect_fault_info_(const char *file, int line, struct vcpu *vcpu, uint64_t gpa,
			uint64_t flags);

/* KVM_GET_DIRTY_LOG of a slot of at most 64 pages: bit n is page n. */
uint64_t dirty_log(struct vm *vm, uint32_t slot);

#endif
