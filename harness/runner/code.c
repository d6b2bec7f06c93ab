// SPDX-License-Identifier: MIT
/* The guest's instructions around RIP, with labels and source lines. */
#include "guest.h"
#include "runner/run.h"

#include <capstone/capstone.h>
#include <elfutils/libdw.h>
#include <gelf.h>
#include <string.h>

#define LINES_BEFORE 4
#define LINES_AFTER  3

/* Where in guests/ an address comes from: "guests/any/spin.S:6", or "" if the image does not say. */
static void source_line(Dwarf *dwarf, uint64_t address, char *buf, size_t size)
{
	Dwarf_Die unit;
	Dwarf_Line *line;
	const char *file, *below;
	int number = 0;

	buf[0] = '\0';
	if (!dwarf || !dwarf_addrdie(dwarf, address, &unit))
		return;
	line = dwarf_getsrc_die(&unit, address);
	file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
	if (!file || dwarf_lineno(line, &number) != 0)
		return;
	below = strstr(file, "guests/");
	snprintf(buf, size, "%s:%d", below ? below : file, number);
}

/* Address and label, the instruction, its source line. The mark stands before the instruction. */
static json_t *format_line(const struct guest_image *image, uint64_t address,
			   const char *instruction, const char *source, bool is_rip)
{
	char label[96], place[112];

	guest_describe_address(image, address, label, sizeof label);
	snprintf(place, sizeof place, "%#jx <%s>", (uintmax_t)address, label);
	return json_sprintf("%-24s %c %-*s%s", place, is_rip ? '>' : ' ', *source ? 34 : 0,
			    instruction, source);
}

static bool open_decoder(const struct kvm_sregs *sregs, csh *handle)
{
	cs_mode mode = sregs->cs.l ? CS_MODE_64 : sregs->cs.db ? CS_MODE_32 : CS_MODE_16;

	if (cs_open(CS_ARCH_X86, mode, handle) != CS_ERR_OK)
		return false;
	cs_option(*handle, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT); /* as in guests/ */
	return true;
}

const char *disassemble(const struct kvm_sregs *sregs, const uint8_t *bytes, size_t len,
			uint64_t address, char *buf, size_t size)
{
	cs_insn *insn;
	csh handle;

	buf[0] = '\0';
	if (!open_decoder(sregs, &handle))
		return buf;
	if (cs_disasm(handle, bytes, len, address, 1, &insn) == 1) {
		snprintf(buf, size, "%s %s", insn->mnemonic, insn->op_str);
		cs_free(insn, 1);
	}
	cs_close(&handle);
	return buf;
}

/* Index of the instruction at rip, or count if the decoder stepped over it. */
static size_t index_of(const cs_insn *insns, size_t count, uint64_t rip)
{
	size_t i = 0;

	while (i < count && insns[i].address != rip)
		i++;
	return i;
}

static void add_instructions(json_t *lines, const struct guest_image *image, Dwarf *dwarf,
			     const cs_insn *insns, size_t count, uint64_t rip)
{
	size_t at = index_of(insns, count, rip);
	size_t first = at > LINES_BEFORE ? at - LINES_BEFORE : 0;

	for (size_t i = first; i < count && i <= at + LINES_AFTER; i++) {
		char text[200], source[128];

		snprintf(text, sizeof text, "%-8s%s", insns[i].mnemonic, insns[i].op_str);
		source_line(dwarf, insns[i].address, source, sizeof source);
		if (i > at && !*source)
			break; /* data */
		json_array_append_new(lines,
				      format_line(image, insns[i].address, text, source, i == at));
	}
}

json_t *code_around_rip(const struct evidence *e)
{
	const struct guest_image *image = e->image;
	json_t *lines = json_array();
	Elf *elf = guest_open_elf(image);
	Dwarf *dwarf = elf ? dwarf_begin_elf(elf, DWARF_C_READ, NULL) : NULL;
	uint64_t start = e->code_address;
	cs_insn *insns;
	size_t count;
	csh handle;

	if (!open_decoder(&e->sregs, &handle))
		return lines;
	count = cs_disasm(handle, e->code, e->code_size, start, 0, &insns);
	if (index_of(insns, count, e->regs.rip) == count && e->regs.rip > start) {
		/* RIP is inside of what would decode from the label on: decode from RIP */
		size_t skip = e->regs.rip - start;

		cs_free(insns, count);
		count = cs_disasm(handle, e->code + skip, e->code_size - skip, e->regs.rip, 0,
				  &insns);
	}
	add_instructions(lines, image, dwarf, insns, count, e->regs.rip);
	cs_free(insns, count);
	cs_close(&handle);
	dwarf_end(dwarf);
	elf_end(elf);
	return lines;
}
