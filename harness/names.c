// SPDX-License-Identifier: MIT
#include "names.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

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

	if (reason < COUNT(exit_names) && exit_names[reason])
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

void append(char *buf, size_t size, const char *format, ...)
{
	size_t used = strlen(buf);
	va_list args;

	va_start(args, format);
	vsnprintf(buf + used, size - used, format, args);
	va_end(args);
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

/* Intel SDM Vol. 1, 3.4.3; Vol. 3, 2.2.1 and 2.5; AMD APM Vol. 2, 3.1. */
const struct bit_name rflags_bits[] = {
	{ 1 << 0, "CF" },    { 1 << 2, "PF" },  { 1 << 4, "AF" },
	{ 1 << 6, "ZF" },    { 1 << 7, "SF" },  { 1 << 8, "TF" },
	{ 1 << 9, "IF" },    { 1 << 10, "DF" }, { 1 << 11, "OF" },
	{ 3 << 12, "IOPL" }, { 1 << 14, "NT" }, { 1 << 16, "RF" },
	{ 1 << 17, "VM" },   { 1 << 18, "AC" }, { 1 << 19, "VIF" },
	{ 1 << 20, "VIP" },  { 1 << 21, "ID" }, { 0 },
};
const struct bit_name cr0_bits[] = {
	{ 1 << 0, "PE" },  { 1 << 1, "MP" },  { 1 << 2, "EM" },   { 1 << 3, "TS" },
	{ 1 << 4, "ET" },  { 1 << 5, "NE" },  { 1 << 16, "WP" },  { 1 << 18, "AM" },
	{ 1 << 29, "NW" }, { 1 << 30, "CD" }, { 1u << 31, "PG" }, { 0 },
};
const struct bit_name cr4_bits[] = {
	{ 1 << 0, "VME" },       { 1 << 1, "PVI" },         { 1 << 2, "TSD" },
	{ 1 << 3, "DE" },        { 1 << 4, "PSE" },         { 1 << 5, "PAE" },
	{ 1 << 6, "MCE" },       { 1 << 7, "PGE" },         { 1 << 8, "PCE" },
	{ 1 << 9, "OSFXSR" },    { 1 << 10, "OSXMMEXCPT" }, { 1 << 11, "UMIP" },
	{ 1 << 12, "LA57" },     { 1 << 13, "VMXE" },       { 1 << 14, "SMXE" },
	{ 1 << 16, "FSGSBASE" }, { 1 << 17, "PCIDE" },      { 1 << 18, "OSXSAVE" },
	{ 1 << 20, "SMEP" },     { 1 << 21, "SMAP" },       { 1 << 22, "PKE" },
	{ 1 << 23, "CET" },      { 1 << 24, "PKS" },        { 0 },
};
const struct bit_name efer_bits[] = {
	{ 1 << 0, "SCE" },       { 1 << 8, "LME" },
	{ 1 << 10, "LMA" },      { 1 << 11, "NXE" },
	{ 1 << 12, "SVME" },     { 1 << 13, "LMSLE" },
	{ 1 << 14, "FFXSR" },    { 1 << 15, "TCE" },
	{ 1 << 21, "AUTOIBRS" }, { 0 },
};

const char *describe_bits(uint64_t value, const struct bit_name *bits, char *buf, size_t size)
{
	snprintf(buf, size, "0x%llx", (unsigned long long)value);
	for (; bits->mask; bits++)
		if ((value & bits->mask) == bits->mask)
			append(buf, size, " %s", bits->name);
	return buf;
}

/* Flags in struct kvm_run, without the prefix that they share. */

static const struct bit_name run_bits[] = {
	/* .flags, KVM_RUN_X86_… */
	{ 1 << 0, "SMM" },
	{ 1 << 1, "BUS_LOCK" },
	{ 1 << 2, "GUEST_MODE" /* 6.11 */ },
	{ 0 },
};
static const struct bit_name hypercall_bits[] = {
	/* KVM_EXIT_HYPERCALL_… */
	{ 1 << 0, "LONG_MODE" },
	{ 0 },
};
static const struct bit_name msr_bits[] = {
	/* KVM_MSR_EXIT_REASON_… */
	{ 1 << 0, "INVAL" },
	{ 1 << 1, "UNKNOWN" },
	{ 1 << 2, "FILTER" },
	{ 0 },
};
static const struct bit_name notify_bits[] = {
	/* KVM_NOTIFY_… */
	{ 1 << 0, "CONTEXT_INVALID" },
	{ 0 },
};
static const struct bit_name memory_fault_bits[] = {
	/* KVM_MEMORY_EXIT_FLAG_… */
	{ 1 << 3, "PRIVATE" },
	{ 0 },
};
static const struct bit_name emulation_bits[] = {
	/* KVM_INTERNAL_ERROR_EMULATION_FLAG_… */
	{ 1 << 0, "INSTRUCTION_BYTES" },
	{ 0 },
};
static const struct bit_name dr6_bits[] = {
	{ 1 << 0, "B0" },  { 1 << 1, "B1" },  { 1 << 2, "B2" },  { 1 << 3, "B3" },
	{ 1 << 13, "BD" }, { 1 << 14, "BS" }, { 1 << 15, "BT" }, { 0 },
};

/* How a number without flags is written. */
static const struct bit_name hex[] = { { 0 } }, decimal[] = { { 0 } };

#define by_hand NULL /* by append_rest() */

/* The fields of exits, in the order in which they are shown. */
struct exit_field {
	uint32_t exit_reason;
	const char *path;
	uint16_t offset, size;       /* bytes, in union exit_data; above 8: several words */
	const struct bit_name *bits; /* or hex, or decimal, or by_hand */
};

static const struct exit_field exit_fields[] = {
#define EXIT_FIELD(id, path, reason, format)                                                       \
	{ reason, #path, offsetof(union exit_data, path), sizeof(((union exit_data *)0)->path),    \
	  format },
	EXIT_FIELDS(EXIT_FIELD)
#undef EXIT_FIELD
};

const char *const field_names[FIELD_COUNT] = {
#define RUN_FIELD(id, path)                  [FIELD_##id] = #path,
#define EXIT_FIELD(id, path, reason, format) [FIELD_##id] = #path,
	RUN_FIELDS(RUN_FIELD) EXIT_FIELDS(EXIT_FIELD)
#undef RUN_FIELD
#undef EXIT_FIELD
};

union exit_data exit_data(const struct exit_event *e)
{
	union exit_data u;

	memcpy(u.bytes, e->data, sizeof u.bytes);
	return u;
}

unsigned internal_ndata(const union exit_data *u)
{
	unsigned room = COUNT(u->internal.data);

	return u->internal.ndata < room ? u->internal.ndata : room;
}

static void append_field(const struct exit_field *f, const union exit_data *u, char *buf,
			 size_t size)
{
	append(buf, size, " %s", strrchr(f->path, '.') + 1);
	for (size_t at = 0; at < f->size; at += 8) {
		uint64_t value = 0;
		char text[256];

		memcpy(&value, u->bytes + f->offset + at, f->size < 8 ? f->size : 8);
		if (f->bits == decimal)
			append(buf, size, " %llu", (unsigned long long)value);
		else
			append(buf, size, " %s", describe_bits(value, f->bits, text, sizeof text));
	}
}

static void append_words(char *buf, size_t size, const char *name, const __u64 *words,
			 unsigned count)
{
	append(buf, size, " %s", name);
	for (unsigned i = 0; i < count; i++)
		append(buf, size, " 0x%llx", (unsigned long long)words[i]);
}

static void append_io(const struct exit_event *e, const union exit_data *u, char *buf, size_t size)
{
	char data[32];
	size_t len = (size_t)u->io.size * u->io.count;

	append(buf, size, " %s port 0x%x size %u count %u data %s%s",
	       u->io.direction == KVM_EXIT_IO_OUT ? "out" : "in", u->io.port, u->io.size,
	       u->io.count, describe_bytes(e->io_data, len < 8 ? len : 8, data, sizeof data),
	       len > 8 ? " …" : "");
}

static void append_mmio(const union exit_data *u, char *buf, size_t size)
{
	char data[32];

	append(buf, size, " %s gpa 0x%llx len %u data %s", u->mmio.is_write ? "write" : "read",
	       u->mmio.phys_addr, u->mmio.len,
	       describe_bytes(u->mmio.data, u->mmio.len < 8 ? u->mmio.len : 8, data, sizeof data));
}

static const char *name_of(const char *const names[], size_t count, uint32_t n)
{
	return n < count && names[n] ? names[n] : "unknown";
}

static void append_internal_error(const union exit_data *u, char *buf, size_t size)
{
	static const char *const suberrors[] = {
		[KVM_INTERNAL_ERROR_EMULATION] = "emulation failed",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = "simultaneous exceptions",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = "exit while delivering an event",
		[KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "unexpected hardware exit",
	};
	unsigned ndata = internal_ndata(u);

	append(buf, size, " suberror %u (%s) ndata %u", u->internal.suberror,
	       name_of(suberrors, COUNT(suberrors), u->internal.suberror), u->internal.ndata);
	if (u->internal.suberror == KVM_INTERNAL_ERROR_EMULATION && ndata) {
		char flags[64];

		append(buf, size, " flags %s",
		       describe_bits(u->emulation_failure.flags, emulation_bits, flags,
				     sizeof flags));
	}
	if (ndata)
		append_words(buf, size, "data", u->internal.data, ndata);
}

static void append_system_event(const union exit_data *u, char *buf, size_t size)
{
	static const char *const types[] = {
		[KVM_SYSTEM_EVENT_SHUTDOWN] = "SHUTDOWN",
		[KVM_SYSTEM_EVENT_RESET] = "RESET",
		[KVM_SYSTEM_EVENT_CRASH] = "CRASH",
		[KVM_SYSTEM_EVENT_WAKEUP] = "WAKEUP",
		[KVM_SYSTEM_EVENT_SUSPEND] = "SUSPEND",
		[KVM_SYSTEM_EVENT_SEV_TERM] = "SEV_TERM",
		[7] = "TDX_FATAL", /* 6.16 */
	};
	unsigned room = COUNT(u->system_event.data), ndata = u->system_event.ndata;

	append(buf, size, " type %u (%s) ndata %u", u->system_event.type,
	       name_of(types, COUNT(types), u->system_event.type), ndata);
	if (ndata)
		append_words(buf, size, "data", u->system_event.data, ndata < room ? ndata : room);
}

static void append_hyperv(const union exit_data *u, char *buf, size_t size)
{
	switch (u->hyperv.type) {
	case KVM_EXIT_HYPERV_SYNIC:
		append(buf, size,
		       " (SYNIC) msr 0x%x control 0x%llx evt_page 0x%llx msg_page 0x%llx",
		       u->hyperv.u.synic.msr, u->hyperv.u.synic.control, u->hyperv.u.synic.evt_page,
		       u->hyperv.u.synic.msg_page);
		break;
	case KVM_EXIT_HYPERV_HCALL:
		append(buf, size, " (HCALL) input 0x%llx result 0x%llx params 0x%llx 0x%llx",
		       u->hyperv.u.hcall.input, u->hyperv.u.hcall.result,
		       u->hyperv.u.hcall.params[0], u->hyperv.u.hcall.params[1]);
		break;
	case KVM_EXIT_HYPERV_SYNDBG:
		append(buf, size,
		       " (SYNDBG) msr 0x%x control 0x%llx status 0x%llx send_page 0x%llx "
		       "recv_page 0x%llx pending_page 0x%llx",
		       u->hyperv.u.syndbg.msr, u->hyperv.u.syndbg.control,
		       u->hyperv.u.syndbg.status, u->hyperv.u.syndbg.send_page,
		       u->hyperv.u.syndbg.recv_page, u->hyperv.u.syndbg.pending_page);
		break;
	}
}

static void append_xen(const union exit_data *u, char *buf, size_t size)
{
	if (u->xen.type != KVM_EXIT_XEN_HCALL)
		return;
	append(buf, size, " (HCALL) longmode %u cpl %u input 0x%llx result 0x%llx",
	       u->xen.u.hcall.longmode, u->xen.u.hcall.cpl, u->xen.u.hcall.input,
	       u->xen.u.hcall.result);
	append_words(buf, size, "params", u->xen.u.hcall.params, 6);
}

/* What the table of fields cannot say. */
static void append_rest(const struct exit_event *e, const union exit_data *u, char *buf,
			size_t size)
{
	switch (e->exit_reason) {
	case KVM_EXIT_IO:
		append_io(e, u, buf, size);
		break;
	case KVM_EXIT_MMIO:
		append_mmio(u, buf, size);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		append_internal_error(u, buf, size);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		append_system_event(u, buf, size);
		break;
	case KVM_EXIT_HYPERV:
		append_hyperv(u, buf, size);
		break;
	case KVM_EXIT_XEN:
		append_xen(u, buf, size);
		break;
	case KVM_EXIT_SET_TPR:
		append(buf, size, " cr8 0x%llx", (unsigned long long)e->cr8);
		break;
	}
	if (e->flags) {
		char flags[64];

		append(buf, size, ", flags %s",
		       describe_bits(e->flags, run_bits, flags, sizeof flags));
	}
}

/*
 * With EFAULT or EHWPOISON, KVM may have filled in a memory fault (api.rst,
 * KVM_CAP_MEMORY_FAULT_INFO).
 */
bool exit_is_reported(int result, uint32_t exit_reason)
{
	switch (result) {
	case 0:
		return true;
	case -EFAULT:
	case -EHWPOISON:
		return exit_reason == KVM_EXIT_MEMORY_FAULT;
	case -EINTR:
		return exit_reason == KVM_EXIT_INTR;
	default:
		return false;
	}
}

const char *describe_exit(const struct exit_event *e, char *buf, size_t size)
{
	union exit_data u = exit_data(e);
	uint32_t reason = e->exit_reason;

	if (reason == KVM_EXIT_X86_WRMSR) /* the same fields */
		reason = KVM_EXIT_X86_RDMSR;
	buf[0] = '\0';
	if (e->result < 0)
		append(buf, size, "KVM_RUN fails with %s (exit_reason is ", errno_name(-e->result));
	append(buf, size, "%s", exit_name(e->exit_reason));
	if (exit_is_reported(e->result, e->exit_reason)) {
		for (size_t i = 0; i < COUNT(exit_fields); i++)
			if (exit_fields[i].bits && exit_fields[i].exit_reason == reason)
				append_field(&exit_fields[i], &u, buf, size);
		append_rest(e, &u, buf, size);
	}
	if (e->result < 0)
		append(buf, size, ")");
	return buf;
}
