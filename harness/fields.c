// SPDX-License-Identifier: MIT
#include "fields.h"

#include "names.h"
#include "vm.h"

#include <string.h>

#define PATH_LETTERS "abcdefghijklmnopqrstuvwxyz0123456789_."

/* "msr.pad" is not "msr.p", and all of s.regs.regs.rip is in s.regs.regs. */
static bool is_in(const char *path, size_t len, const char *field)
{
	size_t n = strlen(field);

	return len >= n && memcmp(path, field, n) == 0 && (len == n || path[n] == '.');
}

void note_asserted_in(const char *expression)
{
	static const char before[] = "run->";

	while ((expression = strstr(expression, before))) {
		const char *path = expression += strlen(before);
		size_t len = strspn(path, PATH_LETTERS);

		for (enum run_field field = 0; field < FIELD_COUNT; field++)
			if (is_in(path, len, field_names[field]))
				evidence_field(field, FIELD_ASSERTED);
	}
}

static void note_if(bool is_set, enum run_field field)
{
	if (is_set)
		evidence_field(field, FIELD_SET);
}

/* What userspace has put into kvm_run in answer to its last exit. */
static void note_answers(const struct vcpu *vcpu)
{
	const union exit_data *now = exit_data_of(vcpu->run), then = exit_data(&vcpu->last);

#define CHANGED(path) (memcmp(&now->path, &then.path, sizeof then.path) != 0)
	switch (vcpu->last.exit_reason) {
	case KVM_EXIT_IO:
		note_if(then.io.direction == KVM_EXIT_IO_IN &&
				memcmp(vcpu_io_data(vcpu), vcpu->last.io_data,
				       sizeof vcpu->last.io_data) != 0,
			FIELD_io_data);
		break;
	case KVM_EXIT_MMIO:
		note_if(!then.mmio.is_write && CHANGED(mmio.data), FIELD_mmio_data);
		break;
	case KVM_EXIT_HYPERCALL:
		note_if(CHANGED(hypercall.ret), FIELD_hypercall_ret);
		break;
	case KVM_EXIT_X86_RDMSR:
		note_if(CHANGED(msr.data), FIELD_msr_data);
		note_if(CHANGED(msr.error), FIELD_msr_error);
		break;
	case KVM_EXIT_X86_WRMSR:
		note_if(CHANGED(msr.error), FIELD_msr_error);
		break;
	case KVM_EXIT_HYPERV:
		note_if(then.hyperv.type == KVM_EXIT_HYPERV_HCALL && CHANGED(hyperv.u.hcall.result),
			FIELD_hyperv_hcall_result);
		note_if(then.hyperv.type == KVM_EXIT_HYPERV_SYNDBG &&
				CHANGED(hyperv.u.syndbg.status),
			FIELD_hyperv_syndbg_status);
		break;
	case KVM_EXIT_XEN:
		note_if(CHANGED(xen.u.hcall.result), FIELD_xen_hcall_result);
		break;
	case KVM_EXIT_TDX:
		note_if(CHANGED(tdx.ret), FIELD_tdx_ret);
		note_if(CHANGED(tdx.data), FIELD_tdx_data);
		break;
	case KVM_EXIT_SNP_REQ_CERTS:
		note_if(CHANGED(snp_req_certs.ret), FIELD_snp_req_certs_ret);
		break;
	}
}

void note_set(const struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	note_if(run->request_interrupt_window, FIELD_request_interrupt_window);
	note_if(run->immediate_exit, FIELD_immediate_exit);
	note_if(run->cr8 != vcpu->last.cr8, FIELD_cr8);
	note_if(run->kvm_valid_regs, FIELD_kvm_valid_regs);
	note_if(run->kvm_dirty_regs, FIELD_kvm_dirty_regs);
	note_if(run->kvm_dirty_regs & KVM_SYNC_X86_REGS, FIELD_s_regs);
	note_if(run->kvm_dirty_regs & KVM_SYNC_X86_SREGS, FIELD_s_sregs);
	note_if(run->kvm_dirty_regs & KVM_SYNC_X86_EVENTS, FIELD_s_events);
	if (vcpu->has_run && vcpu->last.result == 0)
		note_answers(vcpu);
}
