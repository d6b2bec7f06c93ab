// SPDX-License-Identifier: MIT
/*
 * harness/guest.c and runner/code.c on any bytes as an ELF image: the loader, labels, source lines.
 * The last byte of the input is the CPU mode.
 */
#include "fuzz.h"

#include "guest.h"
#include "runner/run.h"

#define MEMORY_SIZE 0x2100 /* the seeds just fit */

/* An allocation of just that size, so that nothing beyond it goes unseen. */
static unsigned char *exact_copy(const uint8_t *data, size_t size)
{
	unsigned char *copy = malloc(size);

	memcpy(copy, data, size);
	return copy;
}

static void ask_for_labels(const struct guest_image *image, uint64_t address)
{
	uint64_t found;
	char buf[16];

	guest_find_symbol(image, "done", &found);
	guest_find_symbol(image, "no such label", &found);
	must(memchr(guest_describe_address(image, address, buf, sizeof buf), '\0', sizeof buf));
	must(guest_earliest_label(image, address, 64) <= address);
}

static void ask_for_code(const struct guest_image *image, const unsigned char *memory,
			 uint64_t entry)
{
	struct evidence e = { .image = image, .code_address = entry, .code_size = EVIDENCE_CODE };

	e.regs.rip = entry + 3;
	memcpy(e.code, memory + entry % (MEMORY_SIZE - EVIDENCE_CODE), EVIDENCE_CODE);
	json_decref(code_around_rip(&e));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char *memory = calloc(1, MEMORY_SIZE), *elf = exact_copy(data, size);
	struct guest_image image = {
		.name = "fuzz/image",
		.mode = size ? data[size - 1] % MODE_COUNT : MODE_REAL16,
		.elf = elf,
		.elf_end = elf + size,
	};
	uint64_t entry = 0x1000;

	guest_load(&image, memory, MEMORY_SIZE, &entry);
	ask_for_labels(&image, entry + 3);
	ask_for_code(&image, memory, entry);
	free(elf);
	free(memory);
	return 0;
}
