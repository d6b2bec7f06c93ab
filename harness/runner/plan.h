/* SPDX-License-Identifier: MIT */
/* Which cases run, how often, and in which order. */
#ifndef KVMSPEC_PLAN_H
#define KVMSPEC_PLAN_H

#include "runner/options.h"
#include "runner/run.h"

/* Makes run->plan; ends the program if a filter matches nothing. */
void make_plan(struct run *run, const struct options *o);

/* Prints the plan's ids, one a line. */
void list_plan(const struct run *run);

/* Prints every case, also what runs on request only: id, contract, source, separated by tabs. */
void list_catalogue(void);

#endif
