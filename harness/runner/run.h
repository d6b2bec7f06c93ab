/* SPDX-License-Identifier: MIT */
/*
 * One run: which cases, where its results go, and how it stands.
 *
 * Every ended case becomes one JSON record (record.c; the format is described in results/README.md),
 * and every report is made from records alone.
 */
#ifndef KVMSPEC_RUN_H
#define KVMSPEC_RUN_H

#include "case.h"
#include "evidence.h"
#include "runner/sandbox.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define RECORD_SCHEMA 1

/* Exit statuses of the program. */
enum { EXIT_FAILED = 1, EXIT_CANNOT_RUN = 2, EXIT_INTERRUPTED = 130 };

/* A case with its guest: what is run, filtered and reported under one id. */
struct planned {
	const struct kvm_case *c;
	const struct guest_image *guest; /* NULL unless .each_mode */
	char *id;                        /* "area/name", "area/name/mode": as filters name it */
	char *run_id;                    /* the same, or "…/2" with --repeat: unique */
};

struct run {
	struct planned *plan;
	size_t planned, ended;
	const char *directory; /* of the results; NULL before it is made */
	json_t *host;          /* host.json */
	json_t *records;       /* array, in the order in which the cases ended */
	double seconds;        /* wall time, set at the end */
	const char *stopped;   /* why it ended before all cases did, or NULL */
	bool strict, no_skip;
	const char *lost; /* the first report that could not be written, or NULL */
	int lost_errno;
};

/* How many records have this verdict. */
size_t run_count(const struct run *run, const char *verdict);

const char *verdict_name(enum verdict verdict);

/* What the machine, kernel, KVM and this program are: host.json. */
json_t *host_facts(int argc, char **argv);

/*
 * A JSON string of bytes that somebody else wrote: what is not UTF-8, and the control characters
 * that XML or YAML cannot hold, become \xNN, so that every report shows the same text.
 */
json_t *clean_text(const char *bytes, size_t len);

/* What is known of a case before it ends: schema, case, at, filter, contract. */
json_t *make_stub(const struct planned *planned);

/* Makes the record of an ended case. */
json_t *make_record(const struct run *run, const struct planned *planned,
		    const struct sandbox_end *end);

/*
 * The guest's code around RIP, an array of lines: address, label, instruction and its line in
 * guests/; ">" marks RIP. Needs e->code_size > 0.
 */
json_t *code_around_rip(const struct evidence *e);

/* Looks a contract up in the embedded catalogue; "" if it is not there (static buffers). */
struct contract {
	char text[512];       /* what must happen, in one sentence */
	char documented[256]; /* where the documentation says so */
};
struct contract find_contract(const char *id);

/* Why this case is known to fail on this host, or NULL if it is not (static buffer). */
const char *find_deviation(const char *id);

/*
 * Makes the results directory (out, or a new one under results/runs with results/latest pointing to
 * it), locks it, removes an earlier run's reports and opens new ones. Returns NULL, or what went
 * wrong (static buffer).
 */
const char *reports_open(struct run *run, const char *out);
/* Writes what is known at the start: needs run->host and run->planned. */
void reports_begin(struct run *run);
/* Writes host.json again, after run->host has changed. */
void reports_host(struct run *run);
/* Takes the reference to the record. Only keeps it if no reports are open. */
void reports_add(struct run *run, json_t *record);
/* Writes what is only known at the end, closes everything; sets run->lost if anything failed. */
void reports_close(struct run *run);

/* The single reports. */
void tap_begin(FILE *f, const struct run *run);
void tap_add(FILE *f, const struct run *run, const json_t *record);
void tap_end(FILE *f, const struct run *run);
void junit_write(FILE *f, const struct run *run);

void terminal_begin(const struct run *run);
void terminal_progress(const struct run *run);
void terminal_summary(const struct run *run);

/* Writes a JSON value as YAML, indented by this many spaces. */
void yaml_write(FILE *f, const json_t *value, int indent);

/* "kvm_amd, Linux 6.12.95, AMD EPYC, engine host". Returns buf. */
const char *host_line(const json_t *host, char *buf, size_t size);

/* What a failed, known or erroneous record says, as a JSON object in the order to show it. */
json_t *diagnosis(const struct run *run, const json_t *record);

#endif
