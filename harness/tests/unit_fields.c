// SPDX-License-Identifier: MIT
/* harness/fields.c: what is noted of the fields of kvm_run, and what is not. */
#include <criterion/criterion.h>

#include "expect.h"
#include "fields.h"
#include "names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SAYS(text) cr_expect_str_eq(noted(), text)

static struct evidence mine;

/* "msr.data set, io.port asserted", and nothing is noted any more. */
static const char *noted(void)
{
	static const char *const uses[] = { "", " set", " asserted" };
	static char text[4096];

	text[0] = '\0';
	for (enum run_field f = 0; f < FIELD_COUNT; f++)
		if (mine.fields[f])
			append(text, sizeof text, "%s%s%s", *text ? ", " : "", field_names[f],
			       uses[mine.fields[f]]);
	memset(mine.fields, 0, sizeof mine.fields);
	return text;
}

static void notes_are_mine(void)
{
	evidence = &mine;
}

Test(note_asserted, knows_fields_by_their_names, .init = notes_are_mine)
{
	note_asserted("vcpu->run->msr.index 1");
	SAYS("msr.index asserted");
	note_asserted("run->internal.data[3] & ~15ull");
	SAYS("internal.data asserted");
	note_asserted("memcmp(&vcpu->run->s.regs.sregs, &sregs, sizeof sregs) == 0");
	SAYS("s.regs.sregs asserted");
	note_asserted("(uint32_t)vcpu->run->cr8 + race->vcpu->run->s.regs.regs.rip");
	SAYS("cr8 asserted, s.regs.regs asserted");
	note_asserted("run->flags == run->notify.flags");
	SAYS("flags asserted, notify.flags asserted");
}

Test(note_asserted, knows_what_is_none, .init = notes_are_mine)
{
	note_asserted("sregs->cr8 sregs.cr8");
	note_asserted("vcpu->run->msr.pad[i] vcpu->run->cr80 vcpu->run->io_port vcpu->run->");
	note_asserted("vcpu->run->io");
	note_asserted("");
	SAYS("");
}

Test(note_asserted, of_an_exit_is_what_the_caller_names, .init = notes_are_mine)
{
	note_io_asserted(".port = 0x3f8, .value = size");
	SAYS("io.data asserted, io.port asserted");
	note_mmio_asserted(".len = 4, .is_write = x.phys_addr == 3");
	SAYS("mmio.len asserted, mmio.is_write asserted");
	note_io_asserted("");
	SAYS("");
}

/* A vCPU whose last KVM_RUN returned this, with what is in run now. */
static struct vcpu after(struct kvm_run *run, int result)
{
	struct vcpu vcpu = { .run = run, .has_run = true };

	exit_event_of(&vcpu, result, &vcpu.last);
	return vcpu;
}

static struct kvm_run *page(uint32_t reason)
{
	struct kvm_run *run = calloc(2, 4096);

	run->exit_reason = reason;
	return run;
}

#define EXPECT_ANSWER(reason, field, value)                                                        \
	do {                                                                                       \
		struct kvm_run *run_ = page(reason);                                               \
		struct vcpu vcpu_ = after(run_, 0);                                                \
		union exit_data *data_ = (void *)&run_->hw;                                        \
                                                                                                   \
		note_set(&vcpu_);                                                                  \
		SAYS("");                                                                          \
		data_->field = (value);                                                            \
		note_set(&vcpu_);                                                                  \
		SAYS(#field " set");                                                               \
		vcpu_ = after(run_, 0);                                                            \
		note_set(&vcpu_);                                                                  \
		SAYS("");                                                                          \
		free(run_);                                                                        \
	} while (0)

Test(note_set, answers, .init = notes_are_mine)
{
	EXPECT_ANSWER(KVM_EXIT_HYPERCALL, hypercall.ret, 1);
	EXPECT_ANSWER(KVM_EXIT_X86_RDMSR, msr.data, 1);
	EXPECT_ANSWER(KVM_EXIT_X86_RDMSR, msr.error, 1);
	EXPECT_ANSWER(KVM_EXIT_X86_WRMSR, msr.error, 1);
	EXPECT_ANSWER(KVM_EXIT_XEN, xen.u.hcall.result, 1);
	EXPECT_ANSWER(KVM_EXIT_TDX, tdx.ret, 1);
	EXPECT_ANSWER(KVM_EXIT_SNP_REQ_CERTS, snp_req_certs.ret, 1);
}

Test(note_set, data_only_where_the_guest_reads, .init = notes_are_mine)
{
	struct kvm_run *run = page(KVM_EXIT_MMIO);
	struct vcpu vcpu = after(run, 0);

	run->mmio.data[7] = 1;
	note_set(&vcpu);
	SAYS("mmio.data set");
	run->mmio.is_write = 1;
	vcpu = after(run, 0);
	run->mmio.data[7] = 2;
	note_set(&vcpu);
	SAYS("");

	run->exit_reason = KVM_EXIT_IO;
	run->io.data_offset = 4096;
	run->io.direction = KVM_EXIT_IO_IN;
	vcpu = after(run, 0);
	*vcpu_io_data(&vcpu) = 1;
	note_set(&vcpu);
	SAYS("io.data set");
	run->io.direction = KVM_EXIT_IO_OUT;
	vcpu = after(run, 0);
	*vcpu_io_data(&vcpu) = 2;
	note_set(&vcpu);
	SAYS("");

	run->exit_reason = KVM_EXIT_X86_WRMSR;
	vcpu = after(run, 0);
	run->msr.data++;
	note_set(&vcpu);
	SAYS("");
	free(run);
}

Test(note_set, hyperv_by_type, .init = notes_are_mine)
{
	struct kvm_run *run = page(KVM_EXIT_HYPERV);
	struct vcpu vcpu;

	run->hyperv.type = KVM_EXIT_HYPERV_HCALL;
	vcpu = after(run, 0);
	memset(&run->hyperv.u, 0xff, sizeof run->hyperv.u);
	note_set(&vcpu);
	SAYS("hyperv.u.hcall.result set");
	run->hyperv.type = KVM_EXIT_HYPERV_SYNDBG;
	vcpu = after(run, 0);
	memset(&run->hyperv.u, 0, sizeof run->hyperv.u);
	note_set(&vcpu);
	SAYS("hyperv.u.syndbg.status set");
	free(run);
}

Test(note_set, nothing_answers_a_run_that_failed, .init = notes_are_mine)
{
	struct kvm_run *run = page(KVM_EXIT_MMIO);
	struct vcpu vcpu = after(run, -EINTR);

	run->mmio.data[0] = 1;
	note_set(&vcpu);
	vcpu = (struct vcpu){ .run = run };
	note_set(&vcpu);
	SAYS("");
	free(run);
}

Test(note_set, what_kvm_run_takes, .init = notes_are_mine)
{
	struct kvm_run *run = page(KVM_EXIT_HLT);
	struct vcpu vcpu = { .run = run };

	note_set(&vcpu);
	SAYS("");
	run->immediate_exit = run->request_interrupt_window = 1;
	note_set(&vcpu);
	SAYS("request_interrupt_window set, immediate_exit set");
	run->immediate_exit = run->request_interrupt_window = 0;
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	note_set(&vcpu);
	SAYS("kvm_valid_regs set");
	run->kvm_valid_regs = 0;
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS | KVM_SYNC_X86_EVENTS;
	note_set(&vcpu);
	SAYS("kvm_dirty_regs set, s.regs.sregs set, s.regs.events set");
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	note_set(&vcpu);
	SAYS("kvm_dirty_regs set, s.regs.regs set");
	run->kvm_dirty_regs = 0;
	run->cr8 = 3;
	note_set(&vcpu);
	SAYS("cr8 set");
	vcpu = after(run, 0);
	note_set(&vcpu);
	SAYS("");
	free(run);
}

Test(evidence_field, asserted_is_more_than_set, .init = notes_are_mine)
{
	evidence_field(FIELD_cr8, FIELD_ASSERTED);
	evidence_field(FIELD_cr8, FIELD_SET);
	SAYS("cr8 asserted");
}
