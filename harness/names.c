// SPDX-License-Identifier: MIT
#include "names.h"

#include <stdio.h>
#include <string.h>

#define NAME(constant) [constant] = #constant

static const char *const exit_names[] = {
	NAME(KVM_EXIT_UNKNOWN),
	NAME(KVM_EXIT_EXCEPTION),
	NAME(KVM_EXIT_IO),
	NAME(KVM_EXIT_HYPERCALL),
	NAME(KVM_EXIT_DEBUG),
	NAME(KVM_EXIT_HLT),
	NAME(KVM_EXIT_MMIO),
	NAME(KVM_EXIT_IRQ_WINDOW_OPEN),
	NAME(KVM_EXIT_SHUTDOWN),
	NAME(KVM_EXIT_FAIL_ENTRY),
	NAME(KVM_EXIT_INTR),
	NAME(KVM_EXIT_SET_TPR),
	NAME(KVM_EXIT_TPR_ACCESS),
	NAME(KVM_EXIT_NMI),
	NAME(KVM_EXIT_INTERNAL_ERROR),
	NAME(KVM_EXIT_SYSTEM_EVENT),
	NAME(KVM_EXIT_IOAPIC_EOI),
	NAME(KVM_EXIT_HYPERV),
	NAME(KVM_EXIT_X86_RDMSR),
	NAME(KVM_EXIT_X86_WRMSR),
	NAME(KVM_EXIT_DIRTY_RING_FULL),
	NAME(KVM_EXIT_AP_RESET_HOLD),
	NAME(KVM_EXIT_X86_BUS_LOCK),
	NAME(KVM_EXIT_XEN),
	NAME(KVM_EXIT_NOTIFY),
	NAME(KVM_EXIT_MEMORY_FAULT),
	NAME(KVM_EXIT_TDX),
	NAME(KVM_EXIT_SNP_REQ_CERTS),
};

const char *exit_name(uint32_t reason)
{
	static _Thread_local char unknown[32];

	if (reason < sizeof exit_names / sizeof *exit_names && exit_names[reason])
		return exit_names[reason];
	snprintf(unknown, sizeof unknown, "KVM_EXIT_#%u", reason);
	return unknown;
}

const char *errno_name(int err)
{
	static _Thread_local char unknown[32];
	const char *name = strerrorname_np(err);

	if (name)
		return name;
	snprintf(unknown, sizeof unknown, "errno %d", err);
	return unknown;
}

const char *describe_bytes(const void *data, size_t len, char *buf, size_t size)
{
	const unsigned char *p = data;
	size_t used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < len && used + 4 < size; i++)
		used += snprintf(buf + used, size - used, "%s%02x", i ? " " : "", p[i]);
	return buf;
}

static const char *internal_suberror(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "emulation failed";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "exit while delivering an event";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "unexpected hardware exit";
	default:
		return "unknown suberror";
	}
}

/* The exit union as it lies in memory, as far as exit_event keeps it. */
union exit_data {
	__typeof__(((struct kvm_run *)0)->hw) hw;
	__typeof__(((struct kvm_run *)0)->fail_entry) fail_entry;
	__typeof__(((struct kvm_run *)0)->ex) ex;
	__typeof__(((struct kvm_run *)0)->io) io;
	__typeof__(((struct kvm_run *)0)->debug) debug;
	__typeof__(((struct kvm_run *)0)->mmio) mmio;
	__typeof__(((struct kvm_run *)0)->hypercall) hypercall;
	__typeof__(((struct kvm_run *)0)->internal) internal;
	__typeof__(((struct kvm_run *)0)->eoi) eoi;
	__typeof__(((struct kvm_run *)0)->msr) msr;
	__typeof__(((struct kvm_run *)0)->system_event) system_event;
	uint8_t bytes[EVIDENCE_UNION];
};

static void describe_io(const struct exit_event *e, const union exit_data *u, char *buf,
			size_t size)
{
	char data[32];
	size_t len = (size_t)u->io.size * u->io.count;

	snprintf(buf, size, "KVM_EXIT_IO %s port %#x size %u count %u data %s%s",
		 u->io.direction == KVM_EXIT_IO_OUT ? "out" : "in", u->io.port, u->io.size,
		 u->io.count, describe_bytes(e->io_data, len < 8 ? len : 8, data, sizeof data),
		 len > 8 ? " …" : "");
}

const char *describe_exit(const struct exit_event *e, char *buf, size_t size)
{
	union exit_data u;
	char bytes[64];
	const char *name = exit_name(e->exit_reason);

	if (e->result < 0) {
		snprintf(buf, size, "KVM_RUN fails with %s (exit_reason is %s)",
			 errno_name((int)-(unsigned)e->result), name);
		return buf;
	}
	memcpy(u.bytes, e->data, sizeof u.bytes);
	switch (e->exit_reason) {
	case KVM_EXIT_UNKNOWN:
		snprintf(buf, size, "%s hardware_exit_reason %#llx", name,
			 u.hw.hardware_exit_reason);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(buf, size, "%s hardware_entry_failure_reason %#llx cpu %u", name,
			 u.fail_entry.hardware_entry_failure_reason, u.fail_entry.cpu);
		break;
	case KVM_EXIT_EXCEPTION:
		snprintf(buf, size, "%s vector %u error_code %#x", name, u.ex.exception,
			 u.ex.error_code);
		break;
	case KVM_EXIT_IO:
		describe_io(e, &u, buf, size);
		break;
	case KVM_EXIT_DEBUG:
		snprintf(buf, size, "%s exception %u pc %#llx dr6 %#llx dr7 %#llx", name,
			 u.debug.arch.exception, u.debug.arch.pc, u.debug.arch.dr6,
			 u.debug.arch.dr7);
		break;
	case KVM_EXIT_MMIO:
		snprintf(buf, size, "%s %s gpa %#llx len %u data %s", name,
			 u.mmio.is_write ? "write" : "read", u.mmio.phys_addr, u.mmio.len,
			 describe_bytes(u.mmio.data, u.mmio.len < 8 ? u.mmio.len : 8, bytes,
					sizeof bytes));
		break;
	case KVM_EXIT_HYPERCALL:
		snprintf(buf, size, "%s nr %llu args %#llx %#llx %#llx", name, u.hypercall.nr,
			 u.hypercall.args[0], u.hypercall.args[1], u.hypercall.args[2]);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(buf, size, "%s suberror %u (%s) ndata %u", name, u.internal.suberror,
			 internal_suberror(u.internal.suberror), u.internal.ndata);
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		snprintf(buf, size, "%s index %#x reason %u data %#llx", name, u.msr.index,
			 u.msr.reason, u.msr.data);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		snprintf(buf, size, "%s type %u ndata %u", name, u.system_event.type,
			 u.system_event.ndata);
		break;
	case KVM_EXIT_IOAPIC_EOI:
		snprintf(buf, size, "%s vector %u", name, u.eoi.vector);
		break;
	default:
		snprintf(buf, size, "%s", name);
	}
	return buf;
}
