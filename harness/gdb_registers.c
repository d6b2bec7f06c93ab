// SPDX-License-Identifier: MIT
#include "gdb_registers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

char *gdb_put_hex(char *to, const void *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to += sprintf(to, "%02x", ((const unsigned char *)bytes)[i]);
	return to;
}

size_t gdb_get_hex(const char *digits, void *bytes, size_t size)
{
	unsigned value;
	size_t n = 0;

	while (n < size && sscanf(digits + 2 * n, "%2x", &value) == 1 && digits[2 * n + 1])
		((unsigned char *)bytes)[n++] = value;
	return n;
}

#define REG(name, type, bits, member)                                                              \
	{                                                                                          \
		name, type, bits, offsetof(struct gdb_state, member),                              \
			sizeof(((struct gdb_state *)0)->member)                                    \
	}
#define NO_REG(name, type, bits)                                                                   \
	{                                                                                          \
		name, type, bits, 0, 0                                                             \
	}

/* What comes behind the general registers in both layouts, in gdb's order. */
#define SEGMENTS                                                                                   \
	REG("eflags", "i386_eflags", 32, regs.rflags), REG("cs", "int32", 32, sregs.cs.selector),  \
		REG("ss", "int32", 32, sregs.ss.selector),                                         \
		REG("ds", "int32", 32, sregs.ds.selector),                                         \
		REG("es", "int32", 32, sregs.es.selector),                                         \
		REG("fs", "int32", 32, sregs.fs.selector),                                         \
		REG("gs", "int32", 32, sregs.gs.selector)
#define FPU                                                                                        \
	NO_REG("st0", "i387_ext", 80), NO_REG("st1", "i387_ext", 80),                              \
		NO_REG("st2", "i387_ext", 80), NO_REG("st3", "i387_ext", 80),                      \
		NO_REG("st4", "i387_ext", 80), NO_REG("st5", "i387_ext", 80),                      \
		NO_REG("st6", "i387_ext", 80), NO_REG("st7", "i387_ext", 80),                      \
		NO_REG("fctrl", "int32", 32), NO_REG("fstat", "int32", 32),                        \
		NO_REG("ftag", "int32", 32), NO_REG("fiseg", "int32", 32),                         \
		NO_REG("fioff", "int32", 32), NO_REG("foseg", "int32", 32),                        \
		NO_REG("fooff", "int32", 32), NO_REG("fop", "int32", 32)
#define SYSTEM                                                                                     \
	REG("cs_base", "uint64", 64, sregs.cs.base), REG("cr0", "uint64", 64, sregs.cr0),          \
		REG("cr2", "uint64", 64, sregs.cr2), REG("cr3", "uint64", 64, sregs.cr3),          \
		REG("cr4", "uint64", 64, sregs.cr4), REG("efer", "uint64", 64, sregs.efer)
#define SYSTEM_REGS 6

static const struct gdb_register regs32[] = {
	REG("eax", "int32", 32, regs.rax),
	REG("ecx", "int32", 32, regs.rcx),
	REG("edx", "int32", 32, regs.rdx),
	REG("ebx", "int32", 32, regs.rbx),
	REG("esp", "data_ptr", 32, regs.rsp),
	REG("ebp", "data_ptr", 32, regs.rbp),
	REG("esi", "int32", 32, regs.rsi),
	REG("edi", "int32", 32, regs.rdi),
	REG("eip", "code_ptr", 32, regs.rip),
	SEGMENTS,
	FPU,
	SYSTEM,
};

static const struct gdb_register regs64[] = {
	REG("rax", "int64", 64, regs.rax),
	REG("rbx", "int64", 64, regs.rbx),
	REG("rcx", "int64", 64, regs.rcx),
	REG("rdx", "int64", 64, regs.rdx),
	REG("rsi", "int64", 64, regs.rsi),
	REG("rdi", "int64", 64, regs.rdi),
	REG("rbp", "data_ptr", 64, regs.rbp),
	REG("rsp", "data_ptr", 64, regs.rsp),
	REG("r8", "int64", 64, regs.r8),
	REG("r9", "int64", 64, regs.r9),
	REG("r10", "int64", 64, regs.r10),
	REG("r11", "int64", 64, regs.r11),
	REG("r12", "int64", 64, regs.r12),
	REG("r13", "int64", 64, regs.r13),
	REG("r14", "int64", 64, regs.r14),
	REG("r15", "int64", 64, regs.r15),
	REG("rip", "code_ptr", 64, regs.rip),
	SEGMENTS,
	FPU,
	SYSTEM,
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct gdb_layout layout16 = { "i8086", regs32, COUNT(regs32) };
static const struct gdb_layout layout32 = { "i386", regs32, COUNT(regs32) };
static const struct gdb_layout layout64 = { "i386:x86-64", regs64, COUNT(regs64) };

#define EFER_LMA (1u << 10)

static bool is_64bit(const struct kvm_sregs *s)
{
	return (s->efer & EFER_LMA) && s->cs.l;
}

const struct gdb_layout *gdb_layout_of(const struct kvm_sregs *s)
{
	return is_64bit(s) ? &layout64 : s->cs.db ? &layout32 : &layout16;
}

uint64_t gdb_pc_base(const struct kvm_sregs *s)
{
	return is_64bit(s) ? 0 : s->cs.base;
}

char *gdb_put_register(char *to, const struct gdb_register *reg, const struct gdb_state *s)
{
	unsigned char value[16] = { 0 };

	if (!reg->size) {
		memset(to, 'x', reg->bits / 4);
		to[reg->bits / 4] = '\0';
		return to + reg->bits / 4;
	}
	memcpy(value, (const char *)s + reg->offset, reg->size);
	return gdb_put_hex(to, value, reg->bits / 8);
}

void gdb_get_register(const char *digits, const struct gdb_register *reg, struct gdb_state *s)
{
	unsigned char value[16] = { 0 };

	if (gdb_get_hex(digits, value, reg->bits / 8) == reg->bits / 8) /* not if it is «xxxx» */
		memcpy((char *)s + reg->offset, value, reg->size);
}

/* The target description: GDB manual, appendix "Target Descriptions". */

static const char flags_type[] =
	"<flags id=\"i386_eflags\" size=\"4\">"
	"<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"PF\" start=\"2\" end=\"2\"/>"
	"<field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
	"<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/>"
	"<field name=\"IF\" start=\"9\" end=\"9\"/><field name=\"DF\" start=\"10\" end=\"10\"/>"
	"<field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
	"</flags>";

const char *gdb_describe_target(const struct gdb_layout *layout)
{
	static char xml[8192];
	size_t n = snprintf(xml, sizeof xml,
			    "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\">"
			    "<target><architecture>%s</architecture>"
			    "<feature name=\"org.gnu.gdb.i386.core\">%s",
			    layout->architecture, flags_type);

	for (unsigned i = 0; i < layout->count; i++) {
		const struct gdb_register *reg = &layout->regs[i];

		if (i == layout->count - SYSTEM_REGS)
			n += snprintf(xml + n, sizeof xml - n,
				      "</feature><feature name=\"org.kvmspec.system\">");
		n += snprintf(xml + n, sizeof xml - n,
			      "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>",
			      reg->name, reg->bits, reg->type, i);
	}
	snprintf(xml + n, sizeof xml - n, "</feature></target>");
	return xml;
}
