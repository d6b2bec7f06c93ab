/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef KVMSPEC_OPTIONS_H
#define KVMSPEC_OPTIONS_H

#include "gdb_stub.h"

#include <stdbool.h>

struct options {
	char **filters; /* NULL-terminated; none: every case that is not on request */
	const char *out, *kvm, *kernel_log, *except, *stream, *receive;
	bool doctor; /* the first word is "doctor": the others, in vmms, are no filters */
	char **vmms; /* NULL-terminated; none: all that are known */
	bool json;
	bool list, catalogue, probe, strict, no_skip, until_fail, trace, ftrace, ktap;
	long jobs;   /* at least 1 */
	long repeat; /* 0: not given */
	bool shuffle;
	long seed;            /* of shuffle */
	double timeout_scale; /* 0: as slow as this host is */
	long effort;          /* per cent */
	enum gdb_when gdb;
	unsigned gdb_port;
};

/* Says what is wrong, and ends the program, if anything is; prints what --help and --version ask for. */
struct options parse_options(int argc, char **argv);

/* Ends the program with EXIT_CANNOT_RUN and a message. */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Returns status, or EXIT_CANNOT_RUN if what was printed did not arrive. */
int flush_stdout(int status);

#endif
