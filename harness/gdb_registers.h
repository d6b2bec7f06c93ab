/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's registers as gdb knows them: which there are, in which order, how they are written in
 * packets. The layouts keep to what gdb demands of the feature org.gnu.gdb.i386.core (GDB manual,
 * appendix "Target Descriptions", "i386 Features"); the FPU's registers are there and unavailable.
 */
#ifndef KVMSPEC_GDB_REGISTERS_H
#define KVMSPEC_GDB_REGISTERS_H

#include "kvm_compat.h"

#include <stddef.h>
#include <stdint.h>

struct gdb_state {
	struct kvm_regs regs; /* rip is linear: gdb_pc_base() is added */
	struct kvm_sregs sregs;
};

struct gdb_register {
	const char *name, *type;
	unsigned bits;
	unsigned short offset; /* in struct gdb_state */
	unsigned char size;    /* bytes there; 0: unavailable */
};

/* A CPU mode as gdb knows it. */
struct gdb_layout {
	const char *architecture;
	const struct gdb_register *regs;
	unsigned count;
};

/* The layout of the mode that the vCPU is in. */
const struct gdb_layout *gdb_layout_of(const struct kvm_sregs *s);

/* What is added to RIP for gdb, whose addresses are linear. */
uint64_t gdb_pc_base(const struct kvm_sregs *s);

/* Hex digits for bytes; returns the end, where a '\0' is. */
char *gdb_put_hex(char *to, const void *bytes, size_t size);
/* Returns how many bytes the digits give, at most size. */
size_t gdb_get_hex(const char *digits, void *bytes, size_t size);

/* The same for one register: bits / 4 digits, little-endian, or as many x if it is unavailable. */
char *gdb_put_register(char *to, const struct gdb_register *reg, const struct gdb_state *s);
void gdb_get_register(const char *digits, const struct gdb_register *reg, struct gdb_state *s);

/* The target description, XML (static buffer). */
const char *gdb_describe_target(const struct gdb_layout *layout);

#endif
