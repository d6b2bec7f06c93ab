/* SPDX-License-Identifier: MIT */
/*
 * kvmspec doctor: whether this host is fit for the VMMs that cases/vmms.tsv knows. Its answer is one
 * JSON object (results/README.md), made of host.json, the records of a run of all cases and the table;
 * what people read is made of that object.
 */
#ifndef KVMSPEC_DOCTOR_H
#define KVMSPEC_DOCTOR_H

#include "runner/options.h"
#include "runner/run.h"

/* Ends the program if o names a VMM that the table does not have. Comes before the others. */
void doctor_prepare(const struct options *o);

/* Prints that this host cannot be tested, and why host_open() refused. Returns the exit status. */
int doctor_refuse(const char *problem, int argc, char **argv);

/* Prints the answer, in the place of terminal_summary(). */
void doctor_summary(const struct run *run);

/* Whether doctor_summary() found a VMM that this host is not fit for. */
bool doctor_found_unfit(void);

/* Between its parts. */

/* The verdicts, of a VMM and of the host (which has no limits, but may be impossible to test). */
#define FIT        "fit"
#define LIMITS     "fit with limits"
#define NOT_FIT    "not fit"
#define NOT_TESTED "cannot be tested"

/*
 * The answer's member device, where path is not KVM: path and problem, and where nothing is there at
 * all, advice, and kernel_log, the line that the advice is based on, if there is one (doctor_device.c).
 */
json_t *device_problem(const char *path, const char *kernel_log, const char *problem);

/* Prints the answer for people, 100 columns wide (doctor_text.c). */
void doctor_print(const json_t *answer);

#endif
