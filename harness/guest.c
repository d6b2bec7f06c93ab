// SPDX-License-Identifier: MIT
#include "guest.h"

#include <gelf.h>
#include <stdio.h>
#include <string.h>

const char *const cpu_mode_names[MODE_COUNT] = {
	[MODE_REAL16] = "real16",
	[MODE_PROT32] = "prot32",
	[MODE_PAGED32] = "paged32",
	[MODE_LONG64] = "long64",
};

extern const struct guest_image *const __start_guest_images[], *const __stop_guest_images[];

bool guest_is_image(const struct guest_image *image)
{
	for (const struct guest_image *const *i = __start_guest_images; i < __stop_guest_images;
	     i++)
		if (*i == image)
			return true;
	return false;
}

Elf *guest_open_elf(const struct guest_image *image)
{
	elf_version(EV_CURRENT);
	/* libelf takes char *, and does not write to it unless asked to update the file */
	return elf_memory((char *)(uintptr_t)image->elf, image->elf_end - image->elf);
}

static const char *load_segment(const struct guest_image *image, const GElf_Phdr *segment,
				unsigned char *memory, size_t size)
{
	size_t file_size = image->elf_end - image->elf;

	if (segment->p_filesz > segment->p_memsz || segment->p_memsz > size ||
	    segment->p_paddr > size - segment->p_memsz)
		return "a segment lies outside of the guest's memory";
	if (segment->p_filesz > file_size || segment->p_offset > file_size - segment->p_filesz)
		return "a segment lies outside of the file";
	memcpy(memory + segment->p_paddr, image->elf + segment->p_offset, segment->p_filesz);
	memset(memory + segment->p_paddr + segment->p_filesz, 0,
	       segment->p_memsz - segment->p_filesz);
	return NULL;
}

const char *guest_load(const struct guest_image *image, void *memory, size_t size, uint64_t *entry)
{
	Elf *elf = guest_open_elf(image);
	const char *problem = NULL;
	GElf_Ehdr header;
	GElf_Phdr segment;
	size_t count = 0;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header)) {
		problem = "it is no ELF file";
	} else if (header.e_type != ET_EXEC || header.e_machine == EM_NONE) {
		problem = "it is no executable";
	} else if (elf_getphdrnum(elf, &count) != 0 || count == 0) {
		problem = "it has no program headers";
	}
	for (size_t i = 0; i < count && !problem; i++) {
		if (!gelf_getphdr(elf, (int)i, &segment))
			problem = "its program headers are truncated";
		else if (segment.p_type == PT_LOAD)
			problem = load_segment(image, &segment, memory, size);
	}
	if (!problem)
		*entry = header.e_entry;
	elf_end(elf);
	return problem;
}

/* Calls visit for each symbol until it returns true. Returns whether it did. */
static bool each_symbol(const struct guest_image *image,
			bool (*visit)(const char *name, const GElf_Sym *symbol, void *arg),
			void *arg)
{
	Elf *elf = guest_open_elf(image);
	Elf_Scn *section = NULL;
	bool found = false;

	while (elf && !found && (section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_SYMTAB ||
		    !header.sh_entsize || !(data = elf_getdata(section, NULL)))
			continue;
		for (size_t i = 0; i < header.sh_size / header.sh_entsize && !found; i++) {
			GElf_Sym symbol;
			const char *name;

			if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
				continue;
			name = elf_strptr(elf, header.sh_link, symbol.st_name);
			found = name && *name && visit(name, &symbol, arg);
		}
	}
	elf_end(elf);
	return found;
}

struct by_name {
	const char *label;
	uint64_t address;
};

static bool has_name(const char *name, const GElf_Sym *symbol, void *arg)
{
	struct by_name *wanted = arg;

	wanted->address = symbol->st_value;
	return strcmp(name, wanted->label) == 0;
}

bool guest_find_symbol(const struct guest_image *image, const char *label, uint64_t *address)
{
	struct by_name wanted = { .label = label };

	if (!each_symbol(image, has_name, &wanted))
		return false;
	*address = wanted.address;
	return true;
}

struct by_address {
	uint64_t address, distance;
	char name[64];
};

static bool is_place(const GElf_Sym *symbol)
{
	return GELF_ST_TYPE(symbol->st_info) <= STT_FUNC && symbol->st_shndx < SHN_LORESERVE;
}

static bool is_nearest_below(const char *name, const GElf_Sym *symbol, void *arg)
{
	struct by_address *best = arg;
	uint64_t distance = best->address - symbol->st_value;

	if (is_place(symbol) && symbol->st_value <= best->address && distance < best->distance) {
		best->distance = distance;
		snprintf(best->name, sizeof best->name, "%s", name);
	}
	return false;
}

const char *guest_describe_address(const struct guest_image *image, uint64_t address, char *buf,
				   size_t size)
{
	struct by_address best = { .address = address, .distance = 0x1000 };

	each_symbol(image, is_nearest_below, &best);
	if (!best.name[0])
		buf[0] = '\0';
	else if (best.distance == 0)
		snprintf(buf, size, "%s", best.name);
	else
		snprintf(buf, size, "%s+%#llx", best.name, (unsigned long long)best.distance);
	return buf;
}

struct reach {
	uint64_t from, found;
};

static bool is_earliest(const char *name, const GElf_Sym *symbol, void *arg)
{
	struct reach *reach = arg;

	(void)name;
	if (is_place(symbol) && symbol->st_value >= reach->from && symbol->st_value < reach->found)
		reach->found = symbol->st_value;
	return false;
}

uint64_t guest_earliest_label(const struct guest_image *image, uint64_t address, uint64_t reach)
{
	struct reach r = { .from = address > reach ? address - reach : 0, .found = address };

	each_symbol(image, is_earliest, &r);
	return r.found;
}
