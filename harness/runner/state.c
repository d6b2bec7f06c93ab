// SPDX-License-Identifier: MIT
/* The vCPU and its memory at the failure, as the record shows them. */
#include "names.h"
#include "runner/run.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* A 64-bit register in struct kvm_regs or kvm_sregs. */
struct reg {
	const char *name;
	size_t offset;
	const struct bit_name *bits;
};

static const struct bit_name no_bits[] = { { 0 } };

/* "0x46 PF ZF", or "0x46 PF ZF (was 0x2)" if was is given and differs. */
static json_t *value_text(const struct reg *reg, const void *now, const void *was)
{
	uint64_t value, before;
	char text[256];

	memcpy(&value, (const char *)now + reg->offset, sizeof value);
	describe_bits(value, reg->bits, text, sizeof text);
	if (was) {
		memcpy(&before, (const char *)was + reg->offset, sizeof before);
		if (before != value)
			append(text, sizeof text, " (was 0x%llx)", (unsigned long long)before);
	}
	return json_string(text);
}

static void add_values(json_t *object, const struct reg *regs, size_t count, const void *now,
		       const void *was)
{
	for (size_t i = 0; i < count; i++)
		json_object_set_new(object, regs[i].name, value_text(&regs[i], now, was));
}

#define REG(name, bits)                                                                            \
	{                                                                                          \
#name, offsetof(struct kvm_regs, name), bits                                       \
	}

json_t *registers(const struct evidence *e)
{
	/* clang-format off */
	static const struct reg regs[] = {
		REG(rip, no_bits), REG(rflags, rflags_bits),
		REG(rax, no_bits), REG(rbx, no_bits), REG(rcx, no_bits), REG(rdx, no_bits),
		REG(rsi, no_bits), REG(rdi, no_bits), REG(rsp, no_bits), REG(rbp, no_bits),
		REG(r8, no_bits),  REG(r9, no_bits),  REG(r10, no_bits), REG(r11, no_bits),
		REG(r12, no_bits), REG(r13, no_bits), REG(r14, no_bits), REG(r15, no_bits),
	};
	/* clang-format on */
	json_t *object = json_object();

	add_values(object, regs, sizeof regs / sizeof *regs, &e->regs,
		   e->has_loaded ? &e->loaded : NULL);
	return object;
}

#define SREG(name, bits)                                                                           \
	{                                                                                          \
#name, offsetof(struct kvm_sregs, name), bits                                      \
	}

json_t *system_registers(const struct evidence *e)
{
	static const struct reg regs[] = {
		SREG(cr0, cr0_bits),      SREG(cr2, no_bits),    SREG(cr3, no_bits),
		SREG(cr4, cr4_bits),      SREG(efer, efer_bits), SREG(cr8, no_bits),
		SREG(apic_base, no_bits),
	};
	json_t *object = json_pack("{so}", "cs", json_sprintf("0x%x", e->sregs.cs.selector));

	add_values(object, regs, sizeof regs / sizeof *regs, &e->sregs,
		   e->has_loaded ? &e->loaded_sregs : NULL);
	return object;
}

struct segment_place {
	const char *name;
	size_t offset;
};

#define SEGMENT(name)                                                                              \
	{                                                                                          \
#name, offsetof(struct kvm_sregs, name)                                            \
	}

static const struct segment_place segment_places[] = {
	SEGMENT(cs), SEGMENT(ds), SEGMENT(es), SEGMENT(fs),
	SEGMENT(gs), SEGMENT(ss), SEGMENT(tr), SEGMENT(ldt),
};

#define SEGMENT_COUNT (sizeof segment_places / sizeof *segment_places)

static struct kvm_segment segment_of(const struct kvm_sregs *sregs, size_t i)
{
	struct kvm_segment segment;

	memcpy(&segment, (const char *)sregs + segment_places[i].offset, sizeof segment);
	return segment;
}

static const char *segment_text(struct kvm_segment s, char *buf, size_t size)
{
	snprintf(buf, size, "0x%x base 0x%llx limit 0x%x type %u dpl %u%s%s%s%s%s%s%s", s.selector,
		 (unsigned long long)s.base, s.limit, s.type, s.dpl, s.s ? " s" : "",
		 s.present ? " present" : "", s.avl ? " avl" : "", s.l ? " l" : "",
		 s.db ? " db" : "", s.g ? " g" : "", s.unusable ? " unusable" : "");
	return buf;
}

static json_t *segment_value(const struct evidence *e, size_t i)
{
	struct kvm_segment now = segment_of(&e->sregs, i), was = segment_of(&e->loaded_sregs, i);
	char text[160], before[160];

	segment_text(now, text, sizeof text);
	segment_text(was, before, sizeof before);
	if (e->has_loaded && strcmp(text, before) != 0)
		return json_sprintf("%s (was %s)", text, before);
	return json_string(text);
}

static json_t *table_value(const struct evidence *e, struct kvm_dtable now, struct kvm_dtable was)
{
	if (e->has_loaded && (now.base != was.base || now.limit != was.limit))
		return json_sprintf("base 0x%llx limit 0x%x (was base 0x%llx limit 0x%x)",
				    (unsigned long long)now.base, now.limit,
				    (unsigned long long)was.base, was.limit);
	return json_sprintf("base 0x%llx limit 0x%x", (unsigned long long)now.base, now.limit);
}

const struct exit_event *last_exit(const struct evidence *e)
{
	if (e->has_last)
		return &e->last;
	return e->exit_count ? &e->exits[(e->exit_count - 1) % EVIDENCE_EXITS] : NULL;
}

/* Ends that a descriptor may explain. */
static bool ended_badly(const struct evidence *e)
{
	const struct exit_event *last = last_exit(e);

	if (!last || last->result)
		return false;
	return last->exit_reason == KVM_EXIT_SHUTDOWN || last->exit_reason == KVM_EXIT_FAIL_ENTRY ||
	       last->exit_reason == KVM_EXIT_UNKNOWN ||
	       last->exit_reason == KVM_EXIT_INTERNAL_ERROR;
}

bool segments_matter(const struct evidence *e)
{
	const struct kvm_sregs *now = &e->sregs, *was = &e->loaded_sregs;

	if (ended_badly(e))
		return true;
	return e->has_loaded && memcmp(now, was, offsetof(struct kvm_sregs, cr0)) != 0;
}

json_t *segments(const struct evidence *e)
{
	json_t *object = json_object();

	for (size_t i = 0; i < SEGMENT_COUNT; i++)
		json_object_set_new(object, segment_places[i].name, segment_value(e, i));
	json_object_set_new(object, "gdt", table_value(e, e->sregs.gdt, e->loaded_sregs.gdt));
	json_object_set_new(object, "idt", table_value(e, e->sregs.idt, e->loaded_sregs.idt));
	return object;
}

/* "+ 0x00400  2a 00 …  |*.…|": up to 16 bytes. */
static json_t *dump_line(char mark, uint64_t gpa, const uint8_t *bytes, size_t len)
{
	char hex[64], text[17] = "";

	for (size_t i = 0; i < len; i++)
		text[i] = isascii(bytes[i]) && isprint(bytes[i]) ? (char)bytes[i] : '.';
	return json_sprintf("%c 0x%05llx  %-47s  |%s|", mark, (unsigned long long)gpa,
			    describe_bytes(bytes, len, hex, sizeof hex), text);
}

json_t *memory_difference(const struct evidence *e)
{
	const struct memory_difference *d = &e->memory;
	json_t *lines = json_array();
	size_t len;

	json_array_append_new(lines, json_sprintf("%u byte%s: - expected, + found", d->differing,
						  d->differing == 1 ? " differs" : "s differ"));
	for (size_t at = 0; at < d->size; at += len) {
		uint64_t gpa = d->gpa + at;

		len = 16 - gpa % 16;
		if (len > d->size - at)
			len = d->size - at;
		if (memcmp(d->want + at, d->got + at, len) == 0) {
			json_array_append_new(lines, dump_line(' ', gpa, d->got + at, len));
			continue;
		}
		json_array_append_new(lines, dump_line('-', gpa, d->want + at, len));
		json_array_append_new(lines, dump_line('+', gpa, d->got + at, len));
	}
	return lines;
}
