// SPDX-License-Identifier: MIT
#include "memory.h"

#include "case.h"
#include "evidence.h"
#include "names.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

unsigned char *map_memory(size_t size)
{
	unsigned char *p = mmap(NULL, size + LARGE_PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		error("cannot map %zu bytes: %s", size, strerror(errno));
	madvise(p, size + LARGE_PAGE, MADV_NOHUGEPAGE); /* a kernel without them refuses */
	return p + (-(uintptr_t)p & (LARGE_PAGE - 1));
}

static sigjmp_buf caught;

static void catch_sigbus(int sig)
{
	siglongjmp(caught, sig);
}

bool is_bus_error(const volatile unsigned char *place)
{
	struct sigaction action = { .sa_handler = catch_sigbus };

	sigaction(SIGBUS, &action, NULL);
	if (sigsetjmp(caught, 1))
		return true;
	(void)*place;
	return false;
}

struct kvm_userspace_memory_region add_slot_(struct vm *vm, struct kvm_userspace_memory_region slot)
{
	if (!slot.userspace_addr)
		slot.userspace_addr = (uintptr_t)map_memory(slot.memory_size);
	set_slot(vm, &slot);
	return slot;
}

unsigned char *slot_page(const struct kvm_userspace_memory_region *slot, size_t page)
{
	return (unsigned char *)(uintptr_t)slot->userspace_addr + page * PAGE;
}

volatile uint32_t *slot_word(const struct kvm_userspace_memory_region *slot, size_t page)
{
	return (volatile uint32_t *)(void *)slot_page(slot, page);
}

/* The guest's DS starts at the slot in real mode, and at 0 else. */
static uint64_t data_address(const struct vcpu *vcpu, uint64_t gpa)
{
	if (vcpu->vm->image->mode != MODE_REAL16)
		return gpa;
	if (gpa - SLOT_GPA > 0xffff)
		error("real-mode code does not reach GPA %#llx", (unsigned long long)gpa);
	return gpa - SLOT_GPA;
}

void prepare_access_(struct vcpu *vcpu, struct guest_access access)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rbx = guest_symbol(vcpu, access.label);
	regs.rdi = data_address(vcpu, access.gpa);
	regs.rcx = access.count;
	regs.rdx = access.stride;
	regs.rsi = access.value;
	vcpu_set_regs(vcpu, regs);
}

void expect_fault_info_(const char *file, int line, struct vcpu *vcpu, uint64_t gpa, uint64_t flags)
{
	struct exit_event event;
	union exit_data data;

	if (!host_cap(KVM_CAP_MEMORY_FAULT_INFO))
		return;
	expect_exit_reason_(file, line, vcpu, KVM_EXIT_MEMORY_FAULT);
	exit_event_of(vcpu, vcpu->last.result, &event);
	data = exit_data(&event);
	evidence_field(FIELD_memory_fault_gpa, FIELD_ASSERTED);
	evidence_field(FIELD_memory_fault_size, FIELD_ASSERTED);
	evidence_field(FIELD_memory_fault_flags, FIELD_ASSERTED);
	expect_equal_(file, line, "memory_fault.gpa", data.memory_fault.gpa, gpa);
	expect_equal_(file, line, "memory_fault.size", data.memory_fault.size, PAGE);
	expect_equal_(file, line, "memory_fault.flags", data.memory_fault.flags, flags);
}

uint64_t dirty_log(struct vm *vm, uint32_t slot)
{
	uint64_t bits = 0;

	x(vm, KVM_GET_DIRTY_LOG, &(struct kvm_dirty_log){ .slot = slot, .dirty_bitmap = &bits });
	return bits;
}
