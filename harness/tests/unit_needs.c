// SPDX-License-Identifier: MIT
/* need_is_met() on hosts that are made up; harness/tests/broken/endings.c asks the real one. */
#include <criterion/criterion.h>

#include "case.h"
#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char reason[256];

static bool is_met(struct need need)
{
	return need_is_met(&need, reason, sizeof reason);
}

#define IS_MET(...) is_met((struct need)__VA_ARGS__)

Test(need, cpu_feature)
{
	static const struct kvm_cpuid_entry2 entries[] = {
		{ .function = 1, .ecx = 1u << 21, .edx = 1 },
		{ .function = 7, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX },
		{ .function = 7,
		  .index = 1,
		  .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 1u << 31,
		  .ebx = 2 },
	};

	host.cpuid = calloc(1, sizeof *host.cpuid + sizeof entries);
	host.cpuid->nent = 3;
	memcpy(host.cpuid->entries, entries, sizeof entries);
	cr_expect(IS_MET(CPU_FEATURE("x2apic", 1, 0, ecx, 21)));
	cr_expect(IS_MET(CPU_FEATURE("x2apic", 1, 5, ecx, 21)), "a leaf without subleaves");
	cr_expect(IS_MET(CPU_FEATURE("fpu", 1, 0, edx, 0)));
	cr_expect(IS_MET(CPU_FEATURE("high", 7, 1, eax, 31)));
	cr_expect(IS_MET(CPU_FEATURE("low", 7, 1, ebx, 1)));
	cr_expect(!IS_MET(CPU_FEATURE("another bit", 1, 0, ecx, 20)));
	cr_expect(!IS_MET(CPU_FEATURE("another register", 1, 0, ebx, 21)));
	cr_expect(!IS_MET(CPU_FEATURE("another index", 7, 0, eax, 31)));
	cr_expect_str_eq(reason, "needs CPU feature another index, KVM_GET_SUPPORTED_CPUID's 0x7.0 "
				 "eax bit 31; this host answers eax=0");
	cr_expect(!IS_MET(CPU_FEATURE("no leaf", 7, 2, eax, 31)));
	cr_expect(!IS_MET(CPU_FEATURE("no leaf", 8, 0, eax, 0)));
	cr_expect_str_eq(reason,
			 "needs CPU feature no leaf, KVM_GET_SUPPORTED_CPUID's 0x8.0 eax bit "
			 "0; this host has no such leaf");
	free(host.cpuid);
}

Test(need, kernel)
{
	snprintf(host.kernel, sizeof host.kernel, "6.8.12-amd64");
	cr_expect(IS_MET(KERNEL(6, 8)));
	cr_expect(IS_MET(KERNEL(6, 1)));
	cr_expect(IS_MET(KERNEL(5, 19)));
	cr_expect(!IS_MET(KERNEL(6, 9)));
	cr_expect(!IS_MET(KERNEL(6, 12)), "12 is more than 8");
	cr_expect(!IS_MET(KERNEL(7, 0)));
	cr_expect_str_eq(reason, "needs Linux 7.0 or later; this host has 6.8.12-amd64");
}
