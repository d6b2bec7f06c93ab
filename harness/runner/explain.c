// SPDX-License-Identifier: MIT
/*
 * What exits mean that say little by themselves: shutdown, failed entry, internal errors, memory that
 * KVM cannot reach.
 *
 * Numbers of hardware exits: AMD APM Vol. 2, appendix C; Intel SDM Vol. 3, appendix C and "VM
 * Instruction Error Numbers".
 */
#include "runner/run.h"

#include "host.h"
#include "names.h"

#include <errno.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void say(json_t *lines, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(json_t *lines, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	json_array_append_new(lines, json_vsprintf(format, args));
	va_end(args);
}

struct number_name {
	uint64_t number;
	const char *name;
};

static const char *find_name(const struct number_name *names, size_t count, uint64_t number)
{
	for (size_t i = 0; i < count; i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

static bool vendor_is(const char *name)
{
	return strcmp(host.vendor, name) == 0;
}

/* " (nested page fault)", or "" if this vendor's number is not listed. */
static const char *hardware_exit_name(uint64_t number, char *buf, size_t size)
{
	static const struct number_name svm[] = {
		{ 0x72, "CPUID" },
		{ 0x78, "HLT" },
		{ 0x7b, "port I/O" },
		{ 0x7c, "MSR" },
		{ 0x7f, "shutdown" },
		{ 0x81, "VMMCALL" },
		{ 0x400, "nested page fault" },
	};
	static const struct number_name vmx[] = {
		{ 0, "exception or NMI" },
		{ 2, "triple fault" },
		{ 9, "task switch" },
		{ 12, "HLT" },
		{ 18, "VMCALL" },
		{ 28, "CR access" },
		{ 30, "port I/O" },
		{ 31, "RDMSR" },
		{ 32, "WRMSR" },
		{ 48, "EPT violation" },
		{ 49, "EPT misconfiguration" },
	};
	const char *name = vendor_is("kvm_amd")     ? find_name(svm, COUNT(svm), number)
			   : vendor_is("kvm_intel") ? find_name(vmx, COUNT(vmx), number & 0xffff)
						    : NULL;

	buf[0] = '\0';
	if (name)
		snprintf(buf, size, " (%s)", name);
	else if (vendor_is("kvm_amd") && number >= 0x40 && number < 0x60)
		snprintf(buf, size, " (exception %llu)", (unsigned long long)number - 0x40);
	return buf;
}

/* Which of the vectors 0 to 31 have a gate that is present; real mode has no such bit. */
static void explain_gates(json_t *lines, const struct evidence *e)
{
	bool long_mode = e->sregs.efer & 1 << 10, real_mode = !(e->sregs.cr0 & 1);
	size_t size = long_mode ? 16 : real_mode ? 4 : 8;
	char present[160] = "";

	if (real_mode)
		return;
	for (size_t vector = 0; vector < 32 && (vector + 1) * size <= e->gates_size; vector++)
		if (e->gates[vector * size + 5] & 0x80)
			append(present, sizeof present, " %zu", vector);
	if (*present)
		say(lines, "Of the vectors 0 to 31, the IDT has gates for%s.", present);
	else
		say(lines, "The IDT has no gate that is present for any of the vectors 0 to 31.");
}

/* RIP and CS as INIT leaves them (SDM Vol. 3, table 10-1). */
static bool is_as_after_init(const struct evidence *e)
{
	return e->regs.rip == 0xfff0 && e->sregs.cs.base == 0xffff0000;
}

static void explain_shutdown(json_t *lines, const struct evidence *e)
{
	say(lines,
	    "The vCPU shut down: as a rule by a triple fault, an exception that came while a "
	    "double fault was to be delivered.");
	if (!e->has_regs)
		return;
	if (is_as_after_init(e)) {
		say(lines,
		    "The registers are those of a CPU after INIT: %s resets the vCPU when it "
		    "shuts down, so they do not show where the guest was.",
		    host.vendor);
		return;
	}
	say(lines, "The IDT is at 0x%llx, limit 0x%x.", (unsigned long long)e->sregs.idt.base,
	    e->sregs.idt.limit);
	if (e->gates_size)
		explain_gates(lines, e);
	else
		say(lines, "That is not in the case's RAM.");
}

static void explain_fail_entry_intel(json_t *lines, uint64_t reason)
{
	static const struct number_name basic[] = {
		{ 33, "guest state that VMX does not accept" },
		{ 34, "loading of MSRs failed" },
		{ 41, "machine check" },
	};
	static const struct number_name errors[] = {
		{ 4, "VMLAUNCH with a VMCS that is not clear" },
		{ 5, "VMRESUME with a VMCS that is not launched" },
		{ 7, "control fields that VMX does not accept" },
		{ 8, "host-state fields that VMX does not accept" },
	};
	bool failed_late = reason & 1u << 31;
	const char *name = failed_late ? find_name(basic, COUNT(basic), reason & 0xffff)
				       : find_name(errors, COUNT(errors), reason);

	say(lines, "VM entry failed with %s %llu: %s.",
	    failed_late ? "basic exit reason" : "VM-instruction error",
	    (unsigned long long)(failed_late ? reason & 0xffff : reason),
	    name ? name : "see Intel's manual");
	say(lines, "With kvm_intel.dump_invalid_vmcs=1 the kernel log shows the VMCS.");
}

static void explain_fail_entry(json_t *lines, const union exit_data *u)
{
	uint64_t reason = u->fail_entry.hardware_entry_failure_reason;

	say(lines,
	    "The hardware refused to enter the guest: its state, or what KVM asked for, is not "
	    "legal.");
	if (vendor_is("kvm_intel"))
		explain_fail_entry_intel(lines, reason);
	if (vendor_is("kvm_amd")) {
		if ((uint32_t)reason == UINT32_MAX)
			say(lines,
			    "VMRUN ended with VMEXIT_INVALID: the VMCB is not consistent (APM "
			    "Vol. 2, 15.5.1).");
		say(lines, "With kvm_amd.dump_invalid_vmcb=1 the kernel log shows the VMCB.");
	}
}

/* The bytes at RIP that KVM decoded, and what they are. */
static void explain_instruction(json_t *lines, const struct evidence *e, const union exit_data *u)
{
	uint8_t size = u->emulation_failure.insn_size;
	char bytes[64], text[128] = "";

	if (internal_ndata(u) < 3 ||
	    !(u->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		say(lines, "KVM hands over no instruction bytes.");
		return;
	}
	if (size > sizeof u->emulation_failure.insn_bytes)
		size = sizeof u->emulation_failure.insn_bytes;
	if (e->has_regs)
		disassemble(&e->sregs, u->emulation_failure.insn_bytes, size, e->regs.rip, text,
			    sizeof text);
	say(lines, "KVM hands over %u instruction bytes: %s%s%s", size,
	    describe_bytes(u->emulation_failure.insn_bytes, size, bytes, sizeof bytes),
	    *text ? ", that is " : "", text);
}

static void explain_emulation(json_t *lines, const struct evidence *e, const union exit_data *u)
{
	unsigned ndata = internal_ndata(u);
	unsigned info = u->emulation_failure.flags & 1 ? 3 : 1; /* words before the debug data */
	char name[64];

	say(lines,
	    "KVM had to emulate an instruction, and its emulator does not know it or could not "
	    "read it.");
	explain_instruction(lines, e, u);
	if (ndata > info)
		say(lines, "The hardware exit before it: 0x%llx%s.",
		    (unsigned long long)u->internal.data[info],
		    hardware_exit_name(u->internal.data[info], name, sizeof name));
}

static void explain_internal_error(json_t *lines, const struct evidence *e,
				   const union exit_data *u)
{
	unsigned ndata = internal_ndata(u);
	char name[64];

	switch (u->internal.suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		explain_emulation(lines, e, u);
		break;
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		say(lines,
		    "An exception came while another was to be delivered, and KVM cannot merge "
		    "them.");
		break;
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		say(lines,
		    "The hardware left the guest while it delivered an interrupt or exception, "
		    "for a reason that KVM cannot handle there.");
		if (ndata > 1)
			say(lines, "%s 0x%llx, hardware exit 0x%llx%s.",
			    vendor_is("kvm_intel") ? "Vectoring information" : "EXITINFO2",
			    (unsigned long long)u->internal.data[0],
			    (unsigned long long)u->internal.data[1],
			    hardware_exit_name(u->internal.data[1], name, sizeof name));
		break;
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		if (ndata)
			say(lines,
			    "The hardware left the guest for a reason that KVM does not know: "
			    "0x%llx%s.",
			    (unsigned long long)u->internal.data[0],
			    hardware_exit_name(u->internal.data[0], name, sizeof name));
		break;
	}
}

static void explain_errno(json_t *lines, const struct exit_event *last)
{
	static const struct number_name errors[] = {
		{ EFAULT,
		  "KVM could not reach the memory behind a slot: the slot's userspace address "
		  "is not mapped, or not with the access that the guest makes." },
		{ EHWPOISON,
		  "The guest touched memory that the host's hardware reports as broken." },
		{ EIO,
		  "The VM is dead (KVM_REQ_VM_DEAD), or KVM found a bug in itself: the kernel log "
		  "says which." },
	};
	const char *text = find_name(errors, COUNT(errors), -last->result);

	if (text && last->exit_reason != KVM_EXIT_MEMORY_FAULT) /* which says it all */
		say(lines, "%s", text);
}

json_t *explain(const struct evidence *e)
{
	const struct exit_event *last = last_exit(e);
	json_t *lines = json_array();
	union exit_data u;

	if (last)
		u = exit_data(last);
	if (last && last->result < 0)
		explain_errno(lines, last);
	else if (last && last->exit_reason == KVM_EXIT_SHUTDOWN)
		explain_shutdown(lines, e);
	else if (last && last->exit_reason == KVM_EXIT_FAIL_ENTRY)
		explain_fail_entry(lines, &u);
	else if (last && last->exit_reason == KVM_EXIT_INTERNAL_ERROR)
		explain_internal_error(lines, e, &u);
	if (json_array_size(lines))
		return lines;
	json_decref(lines);
	return NULL;
}
