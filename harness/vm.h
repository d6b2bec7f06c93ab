/* SPDX-License-Identifier: MIT */
/*
 * Virtual machines, their memory and their vCPUs.
 *
 * A case boots a guest with boot(), or builds a VM step by step:
 *
 *	struct vm *vm = vm_create();
 *	vm_add_ram(vm);
 *	vm_load(vm, image);
 *	struct vcpu *vcpu = vcpu_create(vm, 0);
 *	vcpu_enter(vcpu, image->mode, vm->entry);
 *
 * Each step fails the case if KVM refuses it. Nothing is freed: the case's process ends.
 */
#ifndef KVMSPEC_VM_H
#define KVMSPEC_VM_H

#include "evidence.h"
#include "guest.h"
#include "host.h"

#include <pthread.h>
#include <sys/types.h>

/* Guest physical layout, the same in every mode. RAM is slot 0; all above is a hole (MMIO). */
#define RAM_SIZE    0x80000ul /* 512 KiB, at GPA 0 */
#define IMAGE_BASE  0x1000ul  /* guests are linked here (guests/guest.ld) */
#define STACK_TOP   0x8000ul
#define PAGE_TABLES 0x70000ul    /* page directory, or PML4, PDPT and PD */
#define MMIO_BASE   0xd0000ul    /* in the hole, and within reach of a real-mode segment */
#define TSS_ADDR    0xfffbd000ul /* three pages below 4 GiB that KVM may use */
#define RAM_SLOT    0

#define VCPUS_MAX 64

struct vm {
	struct kvm_fd kvm_fd;
	unsigned char *ram; /* HVA of GPA 0, RAM_SIZE bytes */
	const struct guest_image *image;
	uint64_t entry; /* of the image: GPA */
	struct vcpu *vcpus[VCPUS_MAX];
	unsigned vcpu_count;
	struct vm_pauser *pauser; /* see pause.h */
};

struct vcpu {
	struct kvm_fd kvm_fd;
	struct vm *vm;
	unsigned id;
	struct kvm_run *run;    /* mapped, host.run_size bytes */
	struct kvm_regs loaded; /* as vcpu_enter() set them */
	struct kvm_sregs loaded_sregs;
	bool entered;
	struct pauser *pauser;  /* see pause.h */
	pid_t runner;           /* the thread that is in KVM_RUN, or 0 */
	bool has_run;           /* KVM_RUN has returned … */
	struct exit_event last; /* … this, the last time */
};

/*
 * The vCPU that ran last, in any thread, or that runs for the first time: what a failure is about if
 * its assertion names none.
 */
extern struct vcpu *volatile last_vcpu;

struct vm *vm_create(void);

/* The same of a KVM_X86_*_VM type; one that this KVM does not have (KVM_CAP_VM_TYPES) is an error. */
struct vm *vm_create_of_type(unsigned long type);

/* Maps RAM_SIZE bytes of fresh anonymous memory as slot 0 at GPA 0. */
void vm_add_ram(struct vm *vm);

/* Copies the image to the VM's RAM; sets vm->image and vm->entry. */
void vm_load(struct vm *vm, const struct guest_image *image);

struct vcpu *vcpu_create(struct vm *vm, unsigned id);

/*
 * Puts the vCPU in the mode with RIP at entry, RSP at STACK_TOP, RFLAGS 2 and all other general
 * registers 0; writes the page tables that the mode needs. Sets vcpu->loaded.
 */
void vcpu_enter(struct vcpu *vcpu, enum cpu_mode mode, uint64_t entry);

/* A VM with RAM, the image and vCPU 0, ready to run from the image's entry. */
struct vcpu *boot(const struct guest_image *image);

/* The same in a VM that has neither RAM nor a vCPU yet. */
struct vcpu *boot_vm(struct vm *vm, const struct guest_image *image);

/*
 * The same with an in-kernel irqchip: HLT waits in the kernel. It costs 8 ms and more on some hosts.
 */
struct vcpu *boot_with_irqchip(const struct guest_image *image);

/* The same with the local APICs in the kernel and all else in userspace: KVM_CAP_SPLIT_IRQCHIP. */
struct vcpu *boot_with_split_irqchip(const struct guest_image *image);
#define IOAPIC_PINS 24

/* Enables a capability with one argument, flags 0, by KVM_ENABLE_CAP; an error fails the case. */
#define enable_cap(object, capability, arg0)                                                       \
	x(object, KVM_ENABLE_CAP,                                                                  \
	  &(struct kvm_enable_cap){ .cap = (capability), .args = { (arg0) } })

/* GPA of a label of the vCPU's image; ends the case as ERROR if there is none. */
uint64_t guest_symbol(const struct vcpu *vcpu, const char *label);

/* HVA of the guest's variable: the guest changes it while we look. */
#define guest_variable(vcpu, type, label)                                                          \
	((volatile type *)(void *)((vcpu)->vm->ram + guest_symbol((vcpu), (label))))

/* KVM_RUN once. Returns 0, or -errno. The exit is in vcpu->run. */
int vcpu_run(struct vcpu *vcpu);

/* What is in vcpu->run after a KVM_RUN that returned result, as the evidence keeps it. */
void exit_event_of(const struct vcpu *vcpu, int result, struct exit_event *event);

/* The thread that is in vcpu_run() with this vCPU, or 0. */
pid_t vcpu_runner(const struct vcpu *vcpu);

/*
 * For a case that ends: takes the vCPU out of KVM_RUN, where every other ioctl would wait for it,
 * and keeps all vCPUs out. Returns false if it does not come out.
 */
bool vcpu_take_out(struct vcpu *vcpu);

/* What it does that with: no case uses it, no thread blocks it. */
#define TAKE_OUT_SIGNAL (SIGRTMAX - 1)

struct kvm_regs vcpu_regs(struct vcpu *vcpu);
struct kvm_sregs vcpu_sregs(struct vcpu *vcpu);
void vcpu_set_regs(struct vcpu *vcpu, struct kvm_regs regs);

/* One MSR by KVM_GET_MSRS and KVM_SET_MSRS; the case fails if KVM refuses it. */
uint64_t vcpu_msr(struct vcpu *vcpu, uint32_t index);
void vcpu_set_msr(struct vcpu *vcpu, uint32_t index, uint64_t value);

/*
 * KVM_SET_CPUID2 with what the host supports, in which these entries stand in for all of the same
 * function, or are added.
 */
void vcpu_set_cpuid(struct vcpu *vcpu, const struct kvm_cpuid_entry2 *entries, unsigned count);

/* The data of the last KVM_EXIT_IO: size × count bytes, in the mapped kvm_run. */
unsigned char *vcpu_io_data(const struct vcpu *vcpu);

#endif
