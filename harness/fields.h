/* SPDX-License-Identifier: MIT */
/*
 * Which fields of struct kvm_run a case asserts, and which it sets: noted while it runs, for the
 * measured coverage. expect.h and vcpu_run() do that; a case need not.
 */
#ifndef KVMSPEC_FIELDS_H
#define KVMSPEC_FIELDS_H

#include "evidence.h"

/* The fields whose values the expression, a text, compares: "vcpu->run->msr.index". */
void note_asserted_in(const char *expression);

/* The same. Inlined, a text that is about something else costs nothing: the compiler looks. */
static inline __attribute__((always_inline)) void note_asserted(const char *expression)
{
	if (__builtin_strstr(expression, "run->"))
		note_asserted_in(expression);
}

/* The field is asserted if its initialiser, ".port = ", is among those that the caller gave. */
static inline __attribute__((always_inline)) void
note_asserted_if(enum run_field field, const char *initialiser, const char *named)
{
	if (__builtin_strstr(named, initialiser))
		evidence_field(field, FIELD_ASSERTED);
}

/* Before KVM_RUN: the fields whose values are not what KVM left there, and that it takes. */
struct vcpu;
void note_set(const struct vcpu *vcpu);

#endif
