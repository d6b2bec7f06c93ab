// SPDX-License-Identifier: MIT
#include "vm.h"

#include "case.h"
#include "evidence.h"
#include "expect.h"
#include "fields.h"
#include "gdb_stub.h"
#include "names.h"
#include "x86/modes.h"

#include <alloca.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

struct vcpu *volatile last_vcpu;

static void *must_map(size_t size, int flags, int fd)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		error("cannot map %zu bytes: %s", size, strerror(errno));
	return p;
}

static void *must_alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		error("out of memory");
	return p;
}

struct vm *vm_create(void)
{
	return vm_create_of_type(KVM_X86_DEFAULT_VM);
}

struct vm *vm_create_of_type(unsigned long type)
{
	struct vm *vm = must_alloc(sizeof *vm);

	vm->kvm_fd = (struct kvm_fd){ .fd = x(&host.kvm, KVM_CREATE_VM, type), .kind = FD_VM };
	if (host.has_tss_addr) /* required on Intel (api.rst, KVM_SET_TSS_ADDR); others ignore it */
		x(vm, KVM_SET_TSS_ADDR, TSS_ADDR);
	return vm;
}

void vm_add_ram(struct vm *vm)
{
	vm->ram = must_map(RAM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	x(vm, KVM_SET_USER_MEMORY_REGION,
	  &(struct kvm_userspace_memory_region){
		  .slot = RAM_SLOT,
		  .memory_size = RAM_SIZE,
		  .userspace_addr = (uintptr_t)vm->ram,
	  });
}

void vm_load(struct vm *vm, const struct guest_image *image)
{
	const char *problem = guest_load(image, vm->ram, PAGE_TABLES, &vm->entry);

	if (problem)
		error("cannot load guest %s: %s", image->name, problem);
	vm->image = image;
	snprintf(evidence->guest, sizeof evidence->guest, "%s", image->name);
}

struct vcpu *vcpu_create(struct vm *vm, unsigned id)
{
	struct vcpu *vcpu = must_alloc(sizeof *vcpu);

	if (vm->vcpu_count == VCPUS_MAX)
		error("more than %d vCPUs", VCPUS_MAX);
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->kvm_fd = (struct kvm_fd){ .fd = x(vm, KVM_CREATE_VCPU, id), .kind = FD_VCPU };
	vcpu->run = must_map(host.run_size, MAP_SHARED, vcpu->kvm_fd.fd);
	vm->vcpus[vm->vcpu_count] = vcpu;
	__atomic_store_n(&vm->vcpu_count, vm->vcpu_count + 1, __ATOMIC_RELEASE);
	return vcpu;
}

void vcpu_enter(struct vcpu *vcpu, enum cpu_mode mode, uint64_t entry)
{
	struct kvm_sregs *sregs = &vcpu->loaded_sregs;

	if (mode == MODE_PAGED32 || mode == MODE_LONG64)
		x(vcpu, KVM_SET_CPUID2, host.cpuid); /* or KVM refuses the bits of CR4 and EFER */
	mode_write_page_tables(mode, vcpu->vm->ram);
	x(vcpu, KVM_GET_SREGS, sregs);
	mode_set_sregs(mode, sregs);
	x(vcpu, KVM_SET_SREGS, sregs);

	vcpu->loaded = (struct kvm_regs){ .rip = entry, .rsp = STACK_TOP, .rflags = 2 };
	x(vcpu, KVM_SET_REGS, &vcpu->loaded);
	vcpu->entered = true;
}

struct vcpu *boot_vm(struct vm *vm, const struct guest_image *image)
{
	struct vcpu *vcpu;

	vm_add_ram(vm);
	vm_load(vm, image);
	vcpu = vcpu_create(vm, 0);
	vcpu_enter(vcpu, image->mode, vm->entry);
	return vcpu;
}

struct vcpu *boot(const struct guest_image *image)
{
	return boot_vm(vm_create(), image);
}

struct vcpu *boot_with_irqchip(const struct guest_image *image)
{
	struct vm *vm = vm_create();

	x(vm, KVM_CREATE_IRQCHIP); /* before RAM: the other order takes twice as long */
	return boot_vm(vm, image);
}

struct vcpu *boot_with_split_irqchip(const struct guest_image *image)
{
	struct vm *vm = vm_create();

	enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, IOAPIC_PINS);
	return boot_vm(vm, image);
}

uint64_t guest_symbol(const struct vcpu *vcpu, const char *label)
{
	uint64_t address = 0;

	if (!guest_find_symbol(vcpu->vm->image, label, &address))
		error("guest %s has no label '%s'", vcpu->vm->image->name, label);
	return address;
}

void exit_event_of(const struct vcpu *vcpu, int result, struct exit_event *e)
{
	const struct kvm_run *run = vcpu->run;

	e->result = result;
	e->exit_reason = run->exit_reason;
	e->vcpu_id = vcpu->id;
	e->flags = run->flags;
	e->cr8 = run->cr8;
	memcpy(e->data, (const char *)run + offsetof(struct kvm_run, hw), sizeof e->data);
	if (result == 0 && run->exit_reason == KVM_EXIT_IO)
		memcpy(e->io_data, (const char *)run + run->io.data_offset, sizeof e->io_data);
}

/* One slot of the ring for each exit, in any thread. */
static void record_exit(const struct exit_event *event)
{
	uint64_t n = __atomic_fetch_add(&evidence->exit_count, 1, __ATOMIC_RELAXED);
	uint32_t reason = event->exit_reason;

	evidence->exits[n % EVIDENCE_EXITS] = *event;
	if (exit_is_reported(event->result, reason))
		evidence_count(&evidence->exit_reasons[reason < EVIDENCE_REASONS - 1
							       ? reason
							       : EVIDENCE_REASONS - 1]);
}

static bool nobody_runs; /* the case ends: what its threads still do does not matter */

int vcpu_run(struct vcpu *vcpu)
{
	int result;

	if (!last_vcpu)
		last_vcpu = vcpu;
	__atomic_store_n(&vcpu->runner, gettid(), __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&nobody_runs, __ATOMIC_SEQ_CST)) {
		__atomic_store_n(&vcpu->runner, 0, __ATOMIC_SEQ_CST);
		pause();
	}
	note_set(vcpu);
	result = gdb_when == GDB_AT_START ? gdb_run(vcpu) : x_try(vcpu, KVM_RUN);
	__atomic_store_n(&vcpu->runner, 0, __ATOMIC_SEQ_CST);
	exit_event_of(vcpu, result, &vcpu->last);
	record_exit(&vcpu->last);
	vcpu->has_run = true;
	last_vcpu = vcpu;
	return result;
}

pid_t vcpu_runner(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->runner, __ATOMIC_SEQ_CST);
}

static void do_nothing(int sig)
{
	(void)sig;
}

bool vcpu_take_out(struct vcpu *vcpu)
{
	struct sigaction action = { .sa_handler = do_nothing };
	pid_t runner;

	__atomic_store_n(&nobody_runs, true, __ATOMIC_SEQ_CST);
	sigaction(TAKE_OUT_SIGNAL, &action, NULL);
	for (int tries = 0; tries < 1000; tries++) {
		runner = __atomic_load_n(&vcpu->runner, __ATOMIC_SEQ_CST);
		if (!runner || runner == gettid()) /* we: in a signal's handler */
			return true;
		vcpu->run->immediate_exit = 1;
		syscall(SYS_tgkill, getpid(), runner, TAKE_OUT_SIGNAL);
		usleep(1000);
	}
	return false;
}

struct kvm_regs vcpu_regs(struct vcpu *vcpu)
{
	struct kvm_regs regs;

	x(vcpu, KVM_GET_REGS, &regs);
	return regs;
}

struct kvm_sregs vcpu_sregs(struct vcpu *vcpu)
{
	struct kvm_sregs sregs;

	x(vcpu, KVM_GET_SREGS, &sregs);
	return sregs;
}

void vcpu_set_regs(struct vcpu *vcpu, struct kvm_regs regs)
{
	x(vcpu, KVM_SET_REGS, &regs);
}

uint64_t vcpu_msr(struct vcpu *vcpu, uint32_t index)
{
	struct kvm_msrs *msrs = alloca(sizeof *msrs + sizeof *msrs->entries);

	msrs->nmsrs = 1;
	msrs->entries[0] = (struct kvm_msr_entry){ .index = index };
	expect_equal(x(vcpu, KVM_GET_MSRS, msrs), 1);
	return msrs->entries[0].data;
}

void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct kvm_msrs *msrs = alloca(sizeof *msrs + sizeof *msrs->entries);

	msrs->nmsrs = 1;
	msrs->entries[0] = (struct kvm_msr_entry){ .index = index, .data = value };
	expect_equal(x(vcpu, KVM_SET_MSRS, msrs), 1);
}

void vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, unsigned count)
{
	uint32_t room = host.cpuid->nent + count;
	struct kvm_cpuid2 *cpuid = must_alloc(sizeof *cpuid + room * sizeof *entries);

	for (uint32_t i = 0; i < host.cpuid->nent; i++) {
		bool replaced = false;

		for (unsigned j = 0; j < count; j++)
			replaced |= entries[j].function == host.cpuid->entries[i].function;
		if (!replaced)
			cpuid->entries[cpuid->nent++] = host.cpuid->entries[i];
	}
	memcpy(cpuid->entries + cpuid->nent, entries, count * sizeof *entries);
	cpuid->nent += count;
	x(vcpu, KVM_SET_CPUID2, cpuid);
}

unsigned char *vcpu_io_data(const struct vcpu *vcpu)
{
	return (unsigned char *)vcpu->run + vcpu->run->io.data_offset;
}
