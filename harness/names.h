/* SPDX-License-Identifier: MIT */
/* Names and one-line descriptions of what KVM returns. */
#ifndef KVMSPEC_NAMES_H
#define KVMSPEC_NAMES_H

#include "evidence.h"

#include <stdbool.h>
#include <stddef.h>

/* "KVM_EXIT_HLT"; a number that kvmspec does not know: "KVM_EXIT_#123" (static buffer). */
const char *exit_name(uint32_t reason);

/*
 * Whether exit_reason is what a KVM_RUN that returned result (0, or -errno) ended with. A run that
 * fails leaves it as it was, with two exceptions: a signal (EINTR; what an earlier signal left cannot
 * be told from that), and a memory fault.
 */
bool exit_is_reported(int result, uint32_t exit_reason);

/* "EINTR"; a number without a name: "errno 530" (static buffer). */
const char *errno_name(int err);

/*
 * Describes one return of KVM_RUN with every field of its exit, for example
 * "KVM_EXIT_IO out port 0x3f8 size 1 count 1 data 37". Returns buf; 1024 bytes hold any.
 */
const char *describe_exit(const struct exit_event *e, char *buf, size_t size);

/* "0xfa 37 00" style: bytes in hex, separated by spaces. Returns buf. */
const char *describe_bytes(const void *data, size_t len, char *buf, size_t size);

/* A bit, or several, with a name; lists end with a mask of 0. */
struct bit_name {
	uint64_t mask;
	const char *name;
};

/* In flag registers, as the manuals write them. */
extern const struct bit_name rflags_bits[], cr0_bits[], cr4_bits[], efer_bits[];

/* "0x80000011 PE ET PG"; bits without a name are in the number alone. Returns buf. */
const char *describe_bits(uint64_t value, const struct bit_name *bits, char *buf, size_t size);

/* Appends to the string in buf, as printf would; what does not fit is cut off. */
void append(char *buf, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * The union of struct kvm_run as an exit_event keeps it, with what the oldest supported headers
 * (6.1) lack. Get it by exit_data().
 */
union exit_data {
	__typeof__(((struct kvm_run *)0)->hw) hw;
	__typeof__(((struct kvm_run *)0)->fail_entry) fail_entry;
	__typeof__(((struct kvm_run *)0)->ex) ex;
	__typeof__(((struct kvm_run *)0)->io) io;
	__typeof__(((struct kvm_run *)0)->debug) debug;
	__typeof__(((struct kvm_run *)0)->mmio) mmio;
	__typeof__(((struct kvm_run *)0)->tpr_access) tpr_access;
	__typeof__(((struct kvm_run *)0)->internal) internal;
	__typeof__(((struct kvm_run *)0)->emulation_failure) emulation_failure;
	__typeof__(((struct kvm_run *)0)->system_event) system_event;
	__typeof__(((struct kvm_run *)0)->eoi) eoi;
	__typeof__(((struct kvm_run *)0)->msr) msr;
	__typeof__(((struct kvm_run *)0)->notify) notify;
	struct kvm_hyperv_exit hyperv;
	struct kvm_xen_exit xen;
	struct {
		uint64_t nr, args[6], ret;
		union {
			uint32_t longmode;
			uint64_t flags; /* 6.4 */
		};
	} hypercall;
	struct {
		uint64_t flags, gpa, size; /* KVM_EXIT_MEMORY_FAULT, 6.8 */
	} memory_fault;
	struct {
		uint64_t flags, nr, ret, data[5]; /* KVM_EXIT_TDX, 6.16 */
	} tdx;
	struct {
		uint64_t gpa, npages, ret; /* KVM_EXIT_SNP_REQ_CERTS, 7.0 */
	} snp_req_certs;
	uint8_t bytes[EVIDENCE_UNION];
};
union exit_data exit_data(const struct exit_event *e);

/* The same where it is, by the names that newer headers have, too. */
static inline const union exit_data *exit_data_of(const struct kvm_run *run)
{
	return (const void *)&run->hw;
}

/* "io.port": as struct kvm_run has it. */
extern const char *const field_names[FIELD_COUNT];

/* How many of the words that an internal error says it hands over were kept. */
unsigned internal_ndata(const union exit_data *u);

#endif
