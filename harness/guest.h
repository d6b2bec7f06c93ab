/* SPDX-License-Identifier: MIT */
/*
 * Guest images: programs from guests/, linked as ELF files and embedded in the binary.
 *
 * The directory names the CPU mode that an image is entered in; guests/any/ holds sources that are
 * assembled once for each mode.
 */
#ifndef KVMSPEC_GUEST_H
#define KVMSPEC_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cpu_mode {
	MODE_REAL16,  /* real mode, all segments at 0 */
	MODE_PROT32,  /* 32-bit protected mode, flat segments, no paging */
	MODE_PAGED32, /* the same with paging: 4 MiB pages, identity-mapped */
	MODE_LONG64,  /* 64-bit long mode: 2 MiB pages, the first GiB identity-mapped */
	MODE_COUNT
};

struct guest_image {
	const char *name; /* "real16/hlt_loop" */
	enum cpu_mode mode;
	const unsigned char *elf, *elf_end;
};

extern const char *const cpu_mode_names[MODE_COUNT];

/* GUEST(real16, hlt_loop) makes guests/real16/hlt_loop.S known to a case file as `hlt_loop`. */
#define GUEST(mode, name)                                                                          \
	extern const struct guest_image guest_##mode##_##name;                                     \
	__attribute__((unused)) static const struct guest_image *const name = &guest_##mode##_##name

/* GUEST_EACH_MODE(spin) makes guests/any/spin.S known as `spin`, for .each_mode = spin. */
#define GUEST_EACH_MODE(name)                                                                      \
	extern const struct guest_image guest_real16_##name, guest_prot32_##name,                  \
		guest_paged32_##name, guest_long64_##name;                                         \
	__attribute__((unused)) static const struct guest_image *const name[MODE_COUNT] = {        \
		&guest_real16_##name, &guest_prot32_##name, &guest_paged32_##name,                 \
		&guest_long64_##name                                                               \
	}

struct Elf;

/* The image for libelf; elf_end() it. */
struct Elf *guest_open_elf(const struct guest_image *image);

/*
 * Copies the image's segments to guest memory of size bytes that starts at GPA 0, and zeroes their
 * .bss. Sets *entry to the ELF entry point. Returns NULL, or what is wrong with the image.
 */
const char *guest_load(const struct guest_image *image, void *memory, size_t size, uint64_t *entry);

/* A value as the guest's registers hold it: outside of 64-bit code, 32 bits are written. */
static inline uint64_t guest_register(const struct guest_image *image, uint64_t value)
{
	return image->mode == MODE_LONG64 ? value : (uint32_t)value;
}

/* Whether the pointer is that of an image in this program. */
bool guest_is_image(const struct guest_image *image);

/* Finds a label. Returns false if the image has none of that name. */
bool guest_find_symbol(const struct guest_image *image, const char *label, uint64_t *address);

/* The address of the earliest label at most reach bytes before address; address if there is none. */
uint64_t guest_earliest_label(const struct guest_image *image, uint64_t address, uint64_t reach);

/* Writes "label+0x3" for an address inside the image, or "" for one outside. Returns buf. */
const char *guest_describe_address(const struct guest_image *image, uint64_t address, char *buf,
				   size_t size);

#endif
