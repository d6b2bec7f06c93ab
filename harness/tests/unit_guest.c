// SPDX-License-Identifier: MIT
/* harness/guest.c with good, truncated and hostile images: it must refuse, and touch nothing else. */
#include <criterion/criterion.h>

#include "guest.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

GUEST_EACH_MODE(hello);

#define MEMORY_SIZE 0x10000 /* of the guest */
#define IMAGE_MAX   0x10000

/* Memory with an inaccessible page before and after it. */
static unsigned char *guarded(size_t size)
{
	size_t page = sysconf(_SC_PAGESIZE);
	unsigned char *p =
		mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(p, MAP_FAILED);
	cr_assert_eq(mprotect(p + page, size, PROT_READ | PROT_WRITE), 0);
	return p + page;
}

static size_t size_of(const struct guest_image *image)
{
	return image->elf_end - image->elf;
}

/* The first len bytes of an image, directly before an inaccessible page; reused by the next call. */
static struct guest_image copy_of(const struct guest_image *image, size_t len)
{
	static unsigned char *buffer;
	struct guest_image copy = *image;

	if (!buffer)
		buffer = guarded(IMAGE_MAX);
	cr_assert_leq(len, (size_t)IMAGE_MAX);
	copy.elf = buffer + IMAGE_MAX - len;
	copy.elf_end = buffer + IMAGE_MAX;
	memcpy((unsigned char *)(uintptr_t)copy.elf, image->elf, len);
	return copy;
}

static const char *load(const struct guest_image *image, uint64_t *entry)
{
	static unsigned char *memory;

	if (!memory)
		memory = guarded(MEMORY_SIZE);
	return guest_load(image, memory, MEMORY_SIZE, entry);
}

/* All that the harness ever asks of an image. */
static void use(const struct guest_image *image)
{
	uint64_t address;
	char buf[96];

	load(image, &address);
	guest_find_symbol(image, "entry", &address);
	guest_find_symbol(image, "no such label", &address);
	guest_describe_address(image, 0x1004, buf, sizeof buf);
}

Test(guest_load, copies_segments_zeroes_bss_and_finds_the_entry)
{
	for (int mode = 0; mode < MODE_COUNT; mode++) {
		unsigned char *memory = guarded(MEMORY_SIZE);
		uint64_t entry = 0, message = 0;

		memset(memory, 0xaa, MEMORY_SIZE);
		cr_assert_null(guest_load(hello[mode], memory, MEMORY_SIZE, &entry));
		cr_assert_eq(entry, 0x1000);
		cr_assert(guest_find_symbol(hello[mode], "message", &message));
		cr_assert_str_eq((char *)memory + message, "Hello, world!");
		cr_assert_eq(memory[entry - 1], 0xaa, "what no segment covers is left alone");
	}
}

static Elf64_Phdr *first_segment(struct guest_image *image)
{
	unsigned char *elf = (unsigned char *)(uintptr_t)image->elf;

	return (Elf64_Phdr *)(void *)(elf + ((Elf64_Ehdr *)(void *)elf)->e_phoff);
}

Test(guest_load, zeroes_what_the_file_does_not_hold)
{
	struct guest_image image = copy_of(hello[MODE_LONG64], size_of(hello[MODE_LONG64]));
	Elf64_Phdr *segment = first_segment(&image);
	unsigned char *memory = guarded(MEMORY_SIZE);
	uint64_t entry, end = segment->p_paddr + segment->p_filesz;

	segment->p_memsz = segment->p_filesz + 16;
	memset(memory, 0xaa, MEMORY_SIZE);
	cr_assert_null(guest_load(&image, memory, MEMORY_SIZE, &entry));
	for (int i = 0; i < 16; i++)
		cr_assert_eq(memory[end + i], 0);
	cr_assert_eq(memory[end + 16], 0xaa);
}

Test(guest_load, refuses_segments_outside_of_memory_or_file)
{
	static const struct {
		const char *what, *problem;
		Elf64_Phdr segment;
	} hostile[] = {
		{ "begins past the memory",
		  "outside of the guest's memory",
		  { .p_paddr = MEMORY_SIZE, .p_memsz = 1, .p_filesz = 1 } },
		{ "ends past the memory",
		  "outside of the guest's memory",
		  { .p_paddr = MEMORY_SIZE - 1, .p_memsz = 2, .p_filesz = 1 } },
		{ "wraps around",
		  "outside of the guest's memory",
		  { .p_paddr = -1ull, .p_memsz = 2, .p_filesz = 1 } },
		{ "is larger than the memory",
		  "outside of the guest's memory",
		  { .p_paddr = 0, .p_memsz = -1ull, .p_filesz = 1 } },
		{ "holds more than its size",
		  "outside of the guest's memory",
		  { .p_paddr = 0, .p_memsz = 1, .p_filesz = 2 } },
		{ "begins past the file",
		  "outside of the file",
		  { .p_offset = IMAGE_MAX, .p_memsz = 1, .p_filesz = 1 } },
		{ "wraps around in the file",
		  "outside of the file",
		  { .p_offset = -1ull, .p_memsz = 2, .p_filesz = 2 } },
	};

	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		struct guest_image image = copy_of(hello[MODE_LONG64], size_of(hello[MODE_LONG64]));
		const char *problem;
		uint64_t entry;

		*first_segment(&image) = hostile[i].segment;
		first_segment(&image)->p_type = PT_LOAD;
		problem = load(&image, &entry);
		cr_assert(problem && strstr(problem, hostile[i].problem), "%s: %s", hostile[i].what,
			  problem ? problem : "no problem");
	}
}

Test(guest_load, refuses_what_is_no_executable)
{
	struct guest_image image = copy_of(hello[MODE_LONG64], size_of(hello[MODE_LONG64]));
	uint64_t entry;

	((Elf64_Ehdr *)(uintptr_t)image.elf)->e_type = ET_REL;
	cr_assert_str_eq(load(&image, &entry), "it is no executable");
	image = copy_of(hello[MODE_LONG64], 0);
	cr_assert_str_eq(load(&image, &entry), "it is no ELF file");
}

Test(guest_load, survives_truncation_at_every_length)
{
	for (int mode = 0; mode < MODE_COUNT; mode += MODE_COUNT - 1) { /* ELF32, ELF64 */
		for (size_t len = 0; len <= size_of(hello[mode]); len++) {
			struct guest_image image = copy_of(hello[mode], len);

			use(&image);
		}
	}
}

static void change_bytes(const struct guest_image *image, size_t from, size_t count)
{
	static const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	struct guest_image copy = copy_of(image, size_of(image));
	unsigned char *elf = (unsigned char *)(uintptr_t)copy.elf;

	for (size_t i = from; i < from + count && i < size_of(image); i++) {
		for (size_t v = 0; v < sizeof values; v++) {
			elf[i] = values[v];
			use(&copy);
		}
		elf[i] ^= image->elf[i] ^ 0x04; /* a small change */
		use(&copy);
		elf[i] = image->elf[i];
	}
}

Test(guest_load, survives_any_byte_in_the_headers)
{
	Elf64_Ehdr long64;
	Elf32_Ehdr real16;

	memcpy(&long64, hello[MODE_LONG64]->elf, sizeof long64);
	memcpy(&real16, hello[MODE_REAL16]->elf, sizeof real16);
	change_bytes(hello[MODE_LONG64], 0, sizeof long64 + 2 * sizeof(Elf64_Phdr));
	change_bytes(hello[MODE_LONG64], long64.e_shoff, long64.e_shnum * sizeof(Elf64_Shdr));
	change_bytes(hello[MODE_REAL16], 0, sizeof real16 + 2 * sizeof(Elf32_Phdr));
	change_bytes(hello[MODE_REAL16], real16.e_shoff, real16.e_shnum * sizeof(Elf32_Shdr));
}

Test(guest_find_symbol, finds_labels_and_nothing_else)
{
	uint64_t address = 1234;

	cr_assert(guest_find_symbol(hello[MODE_REAL16], "entry", &address));
	cr_assert_eq(address, 0x1000);
	address = 1234;
	cr_assert_not(guest_find_symbol(hello[MODE_REAL16], "entr", &address));
	cr_assert_not(guest_find_symbol(hello[MODE_REAL16], "", &address));
	cr_assert_not(guest_find_symbol(hello[MODE_REAL16], "entry2", &address));
	cr_assert_eq(address, 1234, "left alone if there is none");
}

Test(guest_describe_address, names_the_nearest_label_below)
{
	const struct guest_image *image = hello[MODE_LONG64];
	uint64_t next;
	char buf[96];

	cr_assert(guest_find_symbol(image, "next", &next));
	cr_assert_str_eq(guest_describe_address(image, 0x1000, buf, sizeof buf), "entry");
	cr_assert_str_eq(guest_describe_address(image, next + 1, buf, sizeof buf), "next+0x1");
	cr_assert_str_eq(guest_describe_address(image, 0xfff, buf, sizeof buf), "");
	cr_assert_str_eq(guest_describe_address(image, 0x100000, buf, sizeof buf), "");
	cr_assert_str_eq(guest_describe_address(image, -1ull, buf, sizeof buf), "");
	cr_assert_str_eq(guest_describe_address(image, 0x1000, buf, 4), "ent");
}
