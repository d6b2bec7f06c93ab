// SPDX-License-Identifier: MIT
/*
 * What an exit leaves pending is done by the next KVM_RUN, however that ends: it runs on, or fails
 * with EINTR because of immediate_exit or of a pending signal. Documented in api.rst, 5. The kvm_run
 * structure: note below KVM_EXIT_MMIO. (The areas immediate_exit, port_io, mmio and hypercalls have
 * more about the exits that they are about.)
 */
#include "hyperv.h"
#include "one_instruction.h"

#include <stdio.h>

#define PORT        0x2f8 /* in DX */
#define MSR         0x174 /* IA32_SYSENTER_CS, which each CPU has */
#define UNKNOWN_XEN 0x7f  /* Xen has 56 hypercalls */

/* An instruction that exits, what userspace answers, and what the registers hold when it is done. */
struct operation {
	const char *instruction; /* a label, or NULL: the CPU's hypercall instruction */
	uint32_t exit_reason;
	struct kvm_regs before; /* RAX, RBX, RCX, RDX */
	void (*set_up)(struct vcpu *vcpu);
	void (*answer)(struct kvm_run *run);
	struct kvm_regs after;
	bool in_kernel_apic;
};

static const char *instruction_of(const struct operation *op)
{
	return op->instruction ? op->instruction : host_hypercall();
}

static void answer_port(struct kvm_run *run)
{
	memcpy((char *)run + run->io.data_offset, "\xa1\xa2\xa3\xa4", 4);
}

static void answer_mmio(struct kvm_run *run)
{
	memcpy(run->mmio.data, "\xa1\xa2\xa3\xa4", 4);
}

static void answer_msr(struct kvm_run *run)
{
	run->msr.data = 0xb4b3b2b1a4a3a2a1;
}

static void answer_msr_error(struct kvm_run *run)
{
	run->msr.error = 1;
}

static void answer_hypercall(struct kvm_run *run)
{
	run->hypercall.ret = 0xa4a3a2a1;
}

static void answer_xen(struct kvm_run *run)
{
	run->xen.u.hcall.result = 0xa4a3a2a1;
}

static void answer_hyperv(struct kvm_run *run)
{
	run->hyperv.u.hcall.result = 0xa4a3a2a1;
}

/* No MSR is the guest's own. */
static void filter_all_msrs(struct vcpu *vcpu)
{
	unsigned char none[8] = { 0 }; /* KVM reads whole words */
	struct kvm_msr_filter filter = {
		.ranges[0] = { .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
			       .base = MSR,
			       .nmsrs = 1,
			       .bitmap = none },
	};

	enable_cap(vcpu->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER);
	x(vcpu->vm, KVM_X86_SET_MSR_FILTER, &filter);
}

static void exit_for_hypercalls(struct vcpu *vcpu)
{
	enable_cap(vcpu->vm, KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE);
}

static void be_xen(struct vcpu *vcpu)
{
	x(vcpu->vm, KVM_XEN_HVM_CONFIG,
	  &(struct kvm_xen_hvm_config){ .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
					.msr = HV_MSR_GUEST_OS_ID });
}

static void be_hyperv(struct vcpu *vcpu)
{
	static const struct kvm_cpuid_entry2 interface = { .function = HV_CPUID_INTERFACE,
							   .eax = HV_INTERFACE };

	vcpu_set_cpuid(vcpu, &interface, 1);
	enable_cap(vcpu, KVM_CAP_HYPERV_SYNIC2, 0);
	vcpu_set_msr(vcpu, HV_MSR_GUEST_OS_ID, 1); /* any name but 0 enables hypercalls */
}

static const struct operation port_read = {
	.instruction = "port_read",
	.exit_reason = KVM_EXIT_IO,
	.before = { .rax = 0x11223344, .rdx = PORT },
	.answer = answer_port,
	.after = { .rax = 0xa4a3a2a1, .rdx = PORT },
};
static const struct operation port_write = {
	.instruction = "port_write",
	.exit_reason = KVM_EXIT_IO,
	.before = { .rax = 0x11223344, .rdx = PORT },
	.after = { .rax = 0x11223344, .rdx = PORT },
};
static const struct operation mmio_read = {
	.instruction = "mmio_read",
	.exit_reason = KVM_EXIT_MMIO,
	.before = { .rbx = 0x11223344 },
	.answer = answer_mmio,
	.after = { .rbx = 0xa4a3a2a1 },
};
static const struct operation mmio_write = {
	.instruction = "mmio_write",
	.exit_reason = KVM_EXIT_MMIO,
	.before = { .rbx = 0x11223344 },
	.after = { .rbx = 0x11223344 },
};
static const struct operation rdmsr = {
	.instruction = "rdmsr",
	.exit_reason = KVM_EXIT_X86_RDMSR,
	.before = { .rax = 0x11223344, .rcx = MSR, .rdx = 0x55667788 },
	.set_up = filter_all_msrs,
	.answer = answer_msr,
	.after = { .rax = 0xa4a3a2a1, .rcx = MSR, .rdx = 0xb4b3b2b1 },
};
static const struct operation wrmsr = {
	.instruction = "wrmsr",
	.exit_reason = KVM_EXIT_X86_WRMSR,
	.before = { .rax = 0x11223344, .rcx = MSR },
	.set_up = filter_all_msrs,
	.after = { .rax = 0x11223344, .rcx = MSR },
};
static const struct operation hypercall = {
	.exit_reason = KVM_EXIT_HYPERCALL,
	.before = { .rax = KVM_HC_MAP_GPA_RANGE, .rbx = 0x2000, .rcx = 1, .rdx = 0x10 },
	.set_up = exit_for_hypercalls,
	.answer = answer_hypercall,
	.after = { .rax = 0xa4a3a2a1, .rbx = 0x2000, .rcx = 1, .rdx = 0x10 },
};
static const struct operation xen_hypercall = {
	.exit_reason = KVM_EXIT_XEN,
	.before = { .rax = UNKNOWN_XEN, .rbx = 1, .rcx = 2, .rdx = 3 },
	.set_up = be_xen,
	.answer = answer_xen,
	.after = { .rax = 0xa4a3a2a1, .rbx = 1, .rcx = 2, .rdx = 3 },
};
static const struct operation hyperv_hypercall = {
	.exit_reason = KVM_EXIT_HYPERV,
	.before = { .rcx = HV_POST_MESSAGE, .rdx = 0x2000 },
	.set_up = be_hyperv,
	.answer = answer_hyperv,
	.after = { .rax = 0xa4a3a2a1, .rcx = HV_POST_MESSAGE, .rdx = 0x2000 },
	.in_kernel_apic = true,
};

/* Runs the instruction, up to its exit. */
static struct vcpu *start(const struct guest_image *guest, const struct operation *op)
{
	struct vcpu *vcpu = op->in_kernel_apic ? boot_with_irqchip(guest) : boot(guest);
	struct kvm_regs regs = vcpu->loaded;

	if (op->set_up)
		op->set_up(vcpu);
	regs.rdi = guest_symbol(vcpu, instruction_of(op));
	regs.rax = op->before.rax;
	regs.rbx = op->before.rbx;
	regs.rcx = op->before.rcx;
	regs.rdx = op->before.rdx;
	vcpu_set_regs(vcpu, regs);
	if (op->instruction)
		vcpu_run(vcpu);
	else
		vcpu_run_or_give_up(vcpu);
	expect_exit_reason(vcpu, op->exit_reason);
	return vcpu;
}

static void expect_done(struct vcpu *vcpu, const struct operation *op)
{
	expect_regs(vcpu, .rax = op->after.rax, .rbx = op->after.rbx, .rcx = op->after.rcx,
		    .rdx = op->after.rdx);
}

/* KVM_RUN fails with EINTR, the instruction is done and no other has run. Then the guest runs on. */
static void expect_done_and_no_more(struct vcpu *vcpu, const struct operation *op)
{
	char after[64];

	snprintf(after, sizeof after, "after_%s", instruction_of(op));
	expect_run_errno(vcpu, EINTR);
	expect_done(vcpu, op);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, after));
}

static void expect_to_run_on(struct vcpu *vcpu, const struct operation *op)
{
	expect_run_done(vcpu);
	expect_done(vcpu, op);
}

static void complete_by_running_on(const struct guest_image *guest, const struct operation *op)
{
	struct vcpu *vcpu = start(guest, op);

	if (op->answer)
		op->answer(vcpu->run);
	expect_to_run_on(vcpu, op);
}

static void complete_with_immediate_exit(const struct guest_image *guest,
					 const struct operation *op)
{
	struct vcpu *vcpu = start(guest, op);

	if (op->answer)
		op->answer(vcpu->run);
	vcpu->run->immediate_exit = 1;
	expect_done_and_no_more(vcpu, op);
	expect_exit_reason(vcpu, op->exit_reason);
	vcpu->run->immediate_exit = 0;
	expect_to_run_on(vcpu, op);
}

/* A signal that only KVM_RUN lets through stays pending: it ends each KVM_RUN. */
static void make_signal_pending(struct vcpu *vcpu)
{
	signal_handle(SIGUSR2, 0);
	signal_block(SIGUSR2);
	set_kvm_mask(vcpu, SIGTERM);
	raise(SIGUSR2);
}

static void complete_with_a_signal(const struct guest_image *guest, const struct operation *op)
{
	struct vcpu *vcpu = start(guest, op);

	if (op->answer)
		op->answer(vcpu->run);
	make_signal_pending(vcpu);
	expect_done_and_no_more(vcpu, op);
	expect_exit_reason(vcpu, KVM_EXIT_INTR);
	signal_unblock(SIGUSR2);
	expect_to_run_on(vcpu, op);
}

#define BY_RUNNING_ON(operation, ...)                                                              \
	CASE(completion, operation##_by_running_on, .contract = "completion." #operation,          \
	     .each_mode = one_instruction, __VA_ARGS__)                                            \
	{                                                                                          \
		complete_by_running_on(guest, &operation);                                         \
	}
#define WITH_IMMEDIATE_EXIT(operation, ...)                                                        \
	CASE(completion, operation##_with_immediate_exit, .contract = "completion." #operation,    \
	     .each_mode = one_instruction, __VA_ARGS__)                                            \
	{                                                                                          \
		complete_with_immediate_exit(guest, &operation);                                   \
	}
#define WITH_A_SIGNAL(operation, ...)                                                              \
	CASE(completion, operation##_with_a_pending_signal, .contract = "completion." #operation,  \
	     .each_mode = one_instruction, __VA_ARGS__)                                            \
	{                                                                                          \
		complete_with_a_signal(guest, &operation);                                         \
	}
#define EACH_WAY(operation, ...)                                                                   \
	BY_RUNNING_ON(operation, __VA_ARGS__)                                                      \
	WITH_IMMEDIATE_EXIT(operation, __VA_ARGS__)                                                \
	WITH_A_SIGNAL(operation, __VA_ARGS__)

#define NEEDS_MSR_EXITS                                                                            \
	.needs = { CAP(KVM_CAP_X86_USER_SPACE_MSR), CAP(KVM_CAP_X86_MSR_FILTER),                   \
		   CAP(KVM_CAP_IMMEDIATE_EXIT) }

/* The other two ways: immediate_exit/completes_… and the areas port_io, mmio and hypercalls. */
WITH_A_SIGNAL(port_read)
WITH_A_SIGNAL(port_write)
WITH_A_SIGNAL(mmio_read)
WITH_A_SIGNAL(mmio_write)
WITH_A_SIGNAL(hypercall, .needs = { CAP_BITS(KVM_CAP_EXIT_HYPERCALL, 1 << KVM_HC_MAP_GPA_RANGE) })

EACH_WAY(rdmsr, NEEDS_MSR_EXITS)
EACH_WAY(wrmsr, NEEDS_MSR_EXITS)
EACH_WAY(xen_hypercall, .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL) })

/* Only 64-bit code passes parameters in the registers above. */
CASE(completion, hyperv_hypercall_by_running_on, .contract = "completion.hyperv_hypercall",
     .needs = { CAP(KVM_CAP_HYPERV_SYNIC2), CAP(KVM_CAP_IRQCHIP) })
{
	complete_by_running_on(one_instruction[MODE_LONG64], &hyperv_hypercall);
}

CASE(completion, hyperv_hypercall_with_immediate_exit, .contract = "completion.hyperv_hypercall",
     .needs = { CAP(KVM_CAP_HYPERV_SYNIC2), CAP(KVM_CAP_IRQCHIP), CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	complete_with_immediate_exit(one_instruction[MODE_LONG64], &hyperv_hypercall);
}

CASE(completion, hyperv_hypercall_with_a_pending_signal, .contract = "completion.hyperv_hypercall",
     .needs = { CAP(KVM_CAP_HYPERV_SYNIC2), CAP(KVM_CAP_IRQCHIP) })
{
	complete_with_a_signal(one_instruction[MODE_LONG64], &hyperv_hypercall);
}

/* The exception is what the access ends in: it is there, and not yet delivered. */
static void expect_gp_and_no_more(struct vcpu *vcpu, const char *instruction)
{
	struct kvm_vcpu_events events = { 0 };

	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, instruction));
	x(vcpu, KVM_GET_VCPU_EVENTS, &events);
	expect(events.exception.injected || events.exception.pending, "there is no exception");
	expect_equal(events.exception.nr, GP_VECTOR);
}

#define ANSWERED_BY_AN_ERROR(operation)                                                            \
	CASE(completion, operation##_error_with_immediate_exit,                                    \
	     .contract = "completion.msr_error", .each_mode = one_instruction, NEEDS_MSR_EXITS)    \
	{                                                                                          \
		struct vcpu *vcpu = start(guest, &operation);                                      \
                                                                                                   \
		answer_msr_error(vcpu->run);                                                       \
		vcpu->run->immediate_exit = 1;                                                     \
		expect_gp_and_no_more(vcpu, #operation);                                           \
		vcpu->run->immediate_exit = 0;                                                     \
		expect_run_exception(vcpu, GP_VECTOR, #operation);                                 \
	}                                                                                          \
	CASE(completion, operation##_error_with_a_pending_signal,                                  \
	     .contract = "completion.msr_error", .each_mode = one_instruction, NEEDS_MSR_EXITS)    \
	{                                                                                          \
		struct vcpu *vcpu = start(guest, &operation);                                      \
                                                                                                   \
		answer_msr_error(vcpu->run);                                                       \
		make_signal_pending(vcpu);                                                         \
		expect_gp_and_no_more(vcpu, #operation);                                           \
		signal_unblock(SIGUSR2);                                                           \
		expect_run_exception(vcpu, GP_VECTOR, #operation);                                 \
	}

ANSWERED_BY_AN_ERROR(rdmsr)
ANSWERED_BY_AN_ERROR(wrmsr)

/* Each of the two exits of an access that crosses a page is completed, with a signal pending, too. */
CASE(completion, mmio_read_split_with_a_pending_signal, .contract = "completion.mmio_read_split",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, "mmio_read_split");
	vcpu_set_regs(vcpu, regs);
	expect_run_mmio(vcpu, .phys_addr = MMIO_BASE + 0xffe, .len = 2, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\xa1\xa2", 2);
	make_signal_pending(vcpu);
	expect_run_mmio(vcpu, .phys_addr = MMIO_BASE + 0x1000, .len = 2, .is_write = 0);
	memcpy(vcpu->run->mmio.data, "\xa3\xa4", 2);
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rbx = 0xa4a3a2a1, .rip = guest_symbol(vcpu, "after_mmio_read_split"));
}

CASE(completion, string_read_with_a_pending_signal, .contract = "completion.string_read",
     .each_mode = one_instruction)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;
	uint64_t buffer = guest_symbol(vcpu, "buffer");
	uint32_t elements;

	regs.rdi = guest_symbol(vcpu, "string_read");
	regs.rdx = PORT;
	vcpu_set_regs(vcpu, regs);
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .size = 1);
	elements = vcpu->run->io.count;
	expect(elements >= 1 && elements <= 4, "%u elements of 4", elements);
	memcpy(vcpu_io_data(vcpu), "\xa1\xa2\xa3\xa4", elements);
	make_signal_pending(vcpu);
	expect_run_errno(vcpu, EINTR);
	expect_memory(vcpu, buffer, "\xa1\xa2\xa3\xa4", elements);
	expect_regs(vcpu, .rcx = 4 - elements, .rdi = buffer + elements);
}
