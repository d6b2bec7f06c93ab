/* SPDX-License-Identifier: MIT */
/*
 * Cases.
 *
 *	CASE(immediate_exit, run_returns_eintr_before_guest_entry,
 *	     .contract = "run.immediate_exit.before_entry", .each_mode = spin,
 *	     .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
 *	{
 *		struct vcpu *vcpu = boot(guest);
 *		…
 *	}
 *
 * Each case runs in a process of its own, with a fresh VM. With .each_mode it runs once for each
 * CPU mode, `guest` being the image for that mode.
 */
#ifndef KVMSPEC_CASE_H
#define KVMSPEC_CASE_H

#include "guest.h"
#include "kvm_compat.h"

#include <stdbool.h>

/* What a host must have for the case to make sense; checked before the case runs. */
struct need {
	enum {
		NEED_NOTHING,
		NEED_CAP,
		NEED_CAP_BITS,
		NEED_CAP_AT_LEAST,
		NEED_CPU_FEATURE,
		NEED_VENDOR,
		NEED_KERNEL,
		NEED_CPUS
	} kind;
	const char *name; /* "KVM_CAP_IMMEDIATE_EXIT", "x2apic", "kvm_amd", "6.8" */
	int cap;
	int value; /* bits of the capability's answer, its least value, or how many CPUs */

	/* NEED_CPU_FEATURE: where CPUID has the bit. */
	uint32_t function, index;
	enum cpuid_register { CPUID_eax, CPUID_ebx, CPUID_ecx, CPUID_edx } reg;
	uint32_t bit;
};

#define NEEDS_MAX 6

/* clang-format off */
/* KVM_CHECK_EXTENSION answers with something other than 0. */
#define CAP(c) { .kind = NEED_CAP, .name = #c, .cap = (c) }
/* The answer has all of these bits. */
#define CAP_BITS(c, bits) { .kind = NEED_CAP_BITS, .name = #c, .cap = (c), .value = (bits) }
/* The answer is this number or a higher one: CAP_AT_LEAST(KVM_CAP_NR_VCPUS, 4). */
#define CAP_AT_LEAST(c, n) { .kind = NEED_CAP_AT_LEAST, .name = #c, .cap = (c), .value = (n) }
/* KVM_GET_SUPPORTED_CPUID has this bit: CPU_FEATURE("x2apic", 1, 0, ecx, 21). */
#define CPU_FEATURE(title, f, i, r, b) { .kind = NEED_CPU_FEATURE, .name = title, \
	.function = (f), .index = (i), .reg = CPUID_##r, .bit = (b) }
/* The vendor module is this one. */
#define VENDOR(module) { .kind = NEED_VENDOR, .name = module }
/* This Linux or a later one; only where nothing else tells, since distributions backport. */
#define KERNEL(major, minor) { .kind = NEED_KERNEL, .name = #major "." #minor }
/* This many online host CPUs. */
#define CPUS(n) { .kind = NEED_CPUS, .name = "host CPUs", .value = (n) }
/* clang-format on */

struct kvm_case {
	const char *area, *name, *file;
	int line;
	void (*run)(const struct guest_image *guest);

	const char *contract;                       /* id in cases/contracts.tsv */
	const struct guest_image *const *each_mode; /* MODE_COUNT images */
	struct need needs[NEEDS_MAX];
	double timeout;  /* seconds; 0: the default, 10 */
	bool on_request; /* runs only when a filter begins with its area */
};

/* clang-format off */
#define CASE(area_, name_, ...) \
	static void area_##_##name_(const struct guest_image *guest); \
	static const struct kvm_case case_##area_##_##name_ = { \
		.area = #area_, \
		.name = #name_, \
		.file = __FILE__, \
		.line = __LINE__, \
		.run = area_##_##name_, \
		__VA_ARGS__ \
	}; \
	__attribute__((used, section("kvm_cases"))) static const struct kvm_case \
		*const ref_##area_##_##name_ = &case_##area_##_##name_; \
	static void area_##_##name_(__attribute__((unused)) const struct guest_image *guest)
/* clang-format on */

/*
 * How often a case does what it does many times: full, or the share of it that --effort says, but at
 * least so often that its verdict still means something. The lab asks for less where all is slow.
 */
unsigned rounds(unsigned full, unsigned least);

/* Per cent. */
extern unsigned case_effort;

/*
 * Ends the case at once, from any thread. fail(): the KVM under test does not keep the contract.
 * skip(): this host lacks what the case needs. error(): something else got in the way.
 */
#define fail(expected, ...) case_fail(NULL, __FILE__, __LINE__, (expected), __VA_ARGS__)
#define skip(...)           case_end(VERDICT_SKIP, __FILE__, __LINE__, __VA_ARGS__)
#define error(...)          case_end(VERDICT_ERROR, __FILE__, __LINE__, __VA_ARGS__)

struct vcpu;

/* Whether this host has it; if not, reason says what the host answered. */
bool need_is_met(const struct need *need, char *reason, size_t size);

/* Runs the case in this process: SKIP if a need is not met, PASS if it returns. */
void case_run(const struct kvm_case *c, const struct guest_image *guest);

/* The signal that tells a case's process that its time is over: it has a second to say where it is. */
#define CASE_OVERDUE SIGRTMAX

/*
 * Ends the case's process. exit() would run what the runner registered, and touch pages that it
 * wrote: each is a copy. The runner leaves so, too, when it is stopped inside Criterion.
 */
_Noreturn void case_exit(int status);

_Noreturn void case_fail(struct vcpu *vcpu, const char *file, int line, const char *expected,
			 const char *got, ...) __attribute__((format(printf, 5, 6)));
_Noreturn void case_end(int verdict, const char *file, int line, const char *reason, ...)
	__attribute__((format(printf, 4, 5)));

#endif
