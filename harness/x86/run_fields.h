/* SPDX-License-Identifier: MIT */
/*
 * The fields of struct kvm_run that x86 has, up to Linux 7.2, by the names that they have there. Bytes
 * that two exits or two members share are a field of each.
 *
 * RUN_FIELD(id, path): what is not in the union of exits. io.data is what is at io.data_offset.
 *
 * EXIT_FIELD(id, path, exit reason, format): what is, as names.h's union exit_data has it. The format is
 * how describe_exit() shows it: hex, decimal, the names of its bits, or by_hand. KVM_EXIT_X86_WRMSR has
 * the fields of KVM_EXIT_X86_RDMSR.
 */
#ifndef KVMSPEC_X86_RUN_FIELDS_H
#define KVMSPEC_X86_RUN_FIELDS_H

/* clang-format off */
#define RUN_FIELDS(RUN_FIELD) \
	RUN_FIELD(request_interrupt_window, request_interrupt_window) \
	RUN_FIELD(immediate_exit, immediate_exit) \
	RUN_FIELD(exit_reason, exit_reason) \
	RUN_FIELD(ready_for_interrupt_injection, ready_for_interrupt_injection) \
	RUN_FIELD(if_flag, if_flag) \
	RUN_FIELD(flags, flags) \
	RUN_FIELD(cr8, cr8) \
	RUN_FIELD(apic_base, apic_base) \
	RUN_FIELD(io_data, io.data) \
	RUN_FIELD(kvm_valid_regs, kvm_valid_regs) \
	RUN_FIELD(kvm_dirty_regs, kvm_dirty_regs) \
	RUN_FIELD(s_regs, s.regs.regs) \
	RUN_FIELD(s_sregs, s.regs.sregs) \
	RUN_FIELD(s_events, s.regs.events)

#define EXIT_FIELDS(EXIT_FIELD) \
	EXIT_FIELD(hw_reason, hw.hardware_exit_reason, KVM_EXIT_UNKNOWN, hex) \
	EXIT_FIELD(fail_entry_reason, fail_entry.hardware_entry_failure_reason, KVM_EXIT_FAIL_ENTRY, hex) \
	EXIT_FIELD(fail_entry_cpu, fail_entry.cpu, KVM_EXIT_FAIL_ENTRY, decimal) \
	EXIT_FIELD(ex_exception, ex.exception, KVM_EXIT_EXCEPTION, decimal) \
	EXIT_FIELD(ex_error_code, ex.error_code, KVM_EXIT_EXCEPTION, hex) \
	EXIT_FIELD(io_direction, io.direction, KVM_EXIT_IO, by_hand) \
	EXIT_FIELD(io_size, io.size, KVM_EXIT_IO, by_hand) \
	EXIT_FIELD(io_port, io.port, KVM_EXIT_IO, by_hand) \
	EXIT_FIELD(io_count, io.count, KVM_EXIT_IO, by_hand) \
	EXIT_FIELD(io_data_offset, io.data_offset, KVM_EXIT_IO, by_hand) \
	EXIT_FIELD(debug_exception, debug.arch.exception, KVM_EXIT_DEBUG, decimal) \
	EXIT_FIELD(debug_pc, debug.arch.pc, KVM_EXIT_DEBUG, hex) \
	EXIT_FIELD(debug_dr6, debug.arch.dr6, KVM_EXIT_DEBUG, dr6_bits) \
	EXIT_FIELD(debug_dr7, debug.arch.dr7, KVM_EXIT_DEBUG, hex) \
	EXIT_FIELD(mmio_phys_addr, mmio.phys_addr, KVM_EXIT_MMIO, by_hand) \
	EXIT_FIELD(mmio_data, mmio.data, KVM_EXIT_MMIO, by_hand) \
	EXIT_FIELD(mmio_len, mmio.len, KVM_EXIT_MMIO, by_hand) \
	EXIT_FIELD(mmio_is_write, mmio.is_write, KVM_EXIT_MMIO, by_hand) \
	EXIT_FIELD(hypercall_nr, hypercall.nr, KVM_EXIT_HYPERCALL, decimal) \
	EXIT_FIELD(hypercall_args, hypercall.args, KVM_EXIT_HYPERCALL, hex) \
	EXIT_FIELD(hypercall_ret, hypercall.ret, KVM_EXIT_HYPERCALL, hex) \
	EXIT_FIELD(hypercall_longmode, hypercall.longmode, KVM_EXIT_HYPERCALL, by_hand) \
	EXIT_FIELD(hypercall_flags, hypercall.flags, KVM_EXIT_HYPERCALL, hypercall_bits) \
	EXIT_FIELD(tpr_access_rip, tpr_access.rip, KVM_EXIT_TPR_ACCESS, hex) \
	EXIT_FIELD(tpr_access_is_write, tpr_access.is_write, KVM_EXIT_TPR_ACCESS, decimal) \
	EXIT_FIELD(internal_suberror, internal.suberror, KVM_EXIT_INTERNAL_ERROR, by_hand) \
	EXIT_FIELD(internal_ndata, internal.ndata, KVM_EXIT_INTERNAL_ERROR, by_hand) \
	EXIT_FIELD(internal_data, internal.data, KVM_EXIT_INTERNAL_ERROR, by_hand) \
	EXIT_FIELD(emulation_failure_flags, emulation_failure.flags, KVM_EXIT_INTERNAL_ERROR, by_hand) \
	EXIT_FIELD(emulation_failure_insn_size, emulation_failure.insn_size, KVM_EXIT_INTERNAL_ERROR, by_hand) \
	EXIT_FIELD(emulation_failure_insn_bytes, emulation_failure.insn_bytes, KVM_EXIT_INTERNAL_ERROR, by_hand) \
	EXIT_FIELD(system_event_type, system_event.type, KVM_EXIT_SYSTEM_EVENT, by_hand) \
	EXIT_FIELD(system_event_ndata, system_event.ndata, KVM_EXIT_SYSTEM_EVENT, by_hand) \
	EXIT_FIELD(system_event_data, system_event.data, KVM_EXIT_SYSTEM_EVENT, by_hand) \
	EXIT_FIELD(eoi_vector, eoi.vector, KVM_EXIT_IOAPIC_EOI, decimal) \
	EXIT_FIELD(hyperv_type, hyperv.type, KVM_EXIT_HYPERV, decimal) \
	EXIT_FIELD(hyperv_synic_msr, hyperv.u.synic.msr, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_synic_control, hyperv.u.synic.control, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_synic_evt_page, hyperv.u.synic.evt_page, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_synic_msg_page, hyperv.u.synic.msg_page, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_hcall_input, hyperv.u.hcall.input, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_hcall_result, hyperv.u.hcall.result, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_hcall_params, hyperv.u.hcall.params, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_syndbg_msr, hyperv.u.syndbg.msr, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_syndbg_control, hyperv.u.syndbg.control, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_syndbg_status, hyperv.u.syndbg.status, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_syndbg_send_page, hyperv.u.syndbg.send_page, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_syndbg_recv_page, hyperv.u.syndbg.recv_page, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(hyperv_syndbg_pending_page, hyperv.u.syndbg.pending_page, KVM_EXIT_HYPERV, by_hand) \
	EXIT_FIELD(msr_index, msr.index, KVM_EXIT_X86_RDMSR, hex) \
	EXIT_FIELD(msr_reason, msr.reason, KVM_EXIT_X86_RDMSR, msr_bits) \
	EXIT_FIELD(msr_data, msr.data, KVM_EXIT_X86_RDMSR, hex) \
	EXIT_FIELD(msr_error, msr.error, KVM_EXIT_X86_RDMSR, decimal) \
	EXIT_FIELD(xen_type, xen.type, KVM_EXIT_XEN, decimal) \
	EXIT_FIELD(xen_hcall_longmode, xen.u.hcall.longmode, KVM_EXIT_XEN, by_hand) \
	EXIT_FIELD(xen_hcall_cpl, xen.u.hcall.cpl, KVM_EXIT_XEN, by_hand) \
	EXIT_FIELD(xen_hcall_input, xen.u.hcall.input, KVM_EXIT_XEN, by_hand) \
	EXIT_FIELD(xen_hcall_result, xen.u.hcall.result, KVM_EXIT_XEN, by_hand) \
	EXIT_FIELD(xen_hcall_params, xen.u.hcall.params, KVM_EXIT_XEN, by_hand) \
	EXIT_FIELD(notify_flags, notify.flags, KVM_EXIT_NOTIFY, notify_bits) \
	EXIT_FIELD(memory_fault_flags, memory_fault.flags, KVM_EXIT_MEMORY_FAULT, memory_fault_bits) \
	EXIT_FIELD(memory_fault_gpa, memory_fault.gpa, KVM_EXIT_MEMORY_FAULT, hex) \
	EXIT_FIELD(memory_fault_size, memory_fault.size, KVM_EXIT_MEMORY_FAULT, hex) \
	EXIT_FIELD(tdx_flags, tdx.flags, KVM_EXIT_TDX, hex) \
	EXIT_FIELD(tdx_nr, tdx.nr, KVM_EXIT_TDX, hex) \
	EXIT_FIELD(tdx_ret, tdx.ret, KVM_EXIT_TDX, hex) \
	EXIT_FIELD(tdx_data, tdx.data, KVM_EXIT_TDX, hex) \
	EXIT_FIELD(snp_req_certs_gpa, snp_req_certs.gpa, KVM_EXIT_SNP_REQ_CERTS, hex) \
	EXIT_FIELD(snp_req_certs_npages, snp_req_certs.npages, KVM_EXIT_SNP_REQ_CERTS, decimal) \
	EXIT_FIELD(snp_req_certs_ret, snp_req_certs.ret, KVM_EXIT_SNP_REQ_CERTS, hex)
/* clang-format on */

/* FIELD_io_port */
enum run_field {
#define RUN_FIELD(id, path)                FIELD_##id,
#define EXIT_FIELD(id, path, reason, form) FIELD_##id,
	RUN_FIELDS(RUN_FIELD) EXIT_FIELDS(EXIT_FIELD)
#undef RUN_FIELD
#undef EXIT_FIELD
		FIELD_COUNT
};

#endif
