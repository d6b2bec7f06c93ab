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
	json_t *strays;        /* faults in the kernel's log that are no case's, set at the end */
	double seconds;        /* wall time, set at the end */
	const char *stopped;   /* why it ended before all cases did, or NULL */
	long rounds;           /* how often each case is planned */
	bool strict, no_skip;
	bool quiet;       /* no progress line: the cases themselves write to the terminal */
	const char *lost; /* the first report that could not be written, or NULL */
	int lost_errno;
};

/* How many records have this verdict. */
size_t run_count(const struct run *run, const char *verdict);

/* Whether a case failed or ended in an error, or the kernel's log has a fault that is no case's. */
bool run_failed(const struct run *run);

const char *verdict_name(enum verdict verdict);

/* What the machine, kernel, KVM and this program are: host.json. */
json_t *host_facts(int argc, char **argv);

/* "KVM_CAP_IRQCHIP"; NULL if the headers that this was built with do not know the number. */
const char *capability_name(uint32_t number);

/*
 * A JSON string of bytes that somebody else wrote: what is not UTF-8, and the control characters
 * that XML or YAML cannot hold, become \xNN, so that every report shows the same text.
 */
json_t *clean_text(const char *bytes, size_t len);

/* What is known of a case before it ends: schema, case, at, filter, contract. */
json_t *make_stub(const struct planned *planned);

/* What a case's end means (judge.c). Texts that there are, else NULL; the caller owns them. */
struct judgement {
	enum verdict verdict; /* not RUNNING */
	json_t *expected, *got, *reason, *link;
};
struct judgement judge(const struct run *run, const char *id, const struct evidence *e,
		       const struct sandbox_end *end);

/* Makes the record of an ended case. */
json_t *make_record(const struct run *run, const struct planned *planned,
		    const struct sandbox_end *end);

/*
 * The vCPU at the failure (state.c). Objects by register name; what changed since the guest was
 * loaded says from what: "0x46 PF ZF (was 0x2)". Segments matter if they changed, or if the vCPU
 * ended in a way that they may explain.
 */
json_t *registers(const struct evidence *e);
json_t *system_registers(const struct evidence *e);
bool segments_matter(const struct evidence *e);
json_t *segments(const struct evidence *e);

/* What the failing vCPU's last KVM_RUN returned, or else the last of any; NULL: none has. */
const struct exit_event *last_exit(const struct evidence *e);

/*
 * Memory that is not as expected, an array of lines in the manner of a unified diff: "-" expected,
 * "+" found. Needs e->memory.size > 0.
 */
json_t *memory_difference(const struct evidence *e);

/* What the case measured, an array (results/README.md). Needs e->measurement_count > 0. */
json_t *measurements(const struct evidence *e);

/*
 * What an exit that is hard to read means (explain.c): an array of lines; NULL if the last return of
 * KVM_RUN needs none.
 */
json_t *explain(const struct evidence *e);

/* One instruction at an address, in AT&T syntax, for the vCPU's mode; "" if it is none. */
const char *disassemble(const struct kvm_sregs *sregs, const uint8_t *bytes, size_t len,
			uint64_t address, char *buf, size_t size);

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

/* A row of cases/deviations.tsv. */
struct deviation {
	char reason[1024];
	char fails_as[1024]; /* shell pattern for what comes back */
	char link[256];      /* to its discussion or fix, or "-" */
	bool is_as_listed;   /* what came back matches the pattern */
};

/*
 * The row that lists this case as known to fail on this host, or NULL if none does (static buffer).
 * got: what came back, or NULL if the case did not fail. A case that fails in several ways has
 * several rows: the first that tells of this way counts, or the first of all if none does.
 */
const struct deviation *find_deviation(const char *id, const char *got);

/* Whether cases/kernel_log.tsv lists this line as one that is no fault on this host. */
bool is_expected_of_kernel(const char *text);

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

/*
 * The cases whose verdict changed from one round to another: an array of objects, as flaky.json has
 * it (results/README.md). The caller owns it.
 */
json_t *flaky_cases(const struct run *run);

/* "signals/x: 47 pass, 3 fail (6 %)", of one of them. Returns buf. */
const char *flaky_line(const json_t *flaky, char *buf, size_t size);

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
