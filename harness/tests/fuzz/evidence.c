// SPDX-License-Identifier: MIT
/*
 * runner/record.c and all reports, on what a case leaves behind that writes where it must not: the
 * evidence is memory that it shares with the runner.
 *
 * An input is a header, which says how the case ended, and scribbles: a field of struct evidence, an
 * offset from there (16 bits), a length, and the bytes. With FUZZ_REPORTS=DIR the records of all inputs become one
 * run's reports in DIR, for ci/validate.py to read.
 */
#include "fuzz.h"

#include "host.h"
#include "runner/run.h"

#include <signal.h>

struct header {
	uint8_t verdict, image, ending, flags;
};

enum { STRICT = 1, NO_SKIP = 2, LISTED = 4, WITH_REGS = 8 };

extern const struct guest_image *const __start_guest_images[], *const __stop_guest_images[];

static const struct kvm_case wild = {
	.area = "wild", .name = "case", .file = "wild.c", .line = 1, .contract = "fixture.contract"
};
static struct run run;
static bool keep; /* the reports */

static void finish(void)
{
	reports_close(&run);
	must(!run.lost);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *directory = getenv("FUZZ_REPORTS"), *problem;

	(void)argc, (void)argv;
	snprintf(host.vendor, sizeof host.vendor, "kvm_none");
	snprintf(host.kernel, sizeof host.kernel, "0");
	host.engine = "host";
	host.kvm.kvm_fd.fd = -1;
	run.host = host_facts(1, (char *[]){ (char *)(uintptr_t) "kvmspec" });
	json_object_set_new(run.host, "kernel_log", json_string("none"));
	json_object_set_new(run.host, "timeout_scale", json_real(1));
	json_object_set_new(run.host, "effort", json_integer(100));
	run.records = json_array();
	run.strays = json_array();
	run.rounds = 2; /* of each there is more than one */
	keep = directory != NULL;
	if (keep) {
		run.planned = SIZE_MAX; /* nobody knows */
		run.stopped = "no more inputs";
		problem = reports_open(&run, directory);
		if (problem)
			fprintf(stderr, "%s\n", problem);
		must(!problem);
		reports_begin(&run);
		atexit(finish);
	}
	return 0;
}

static const struct guest_image *choose_image(unsigned number)
{
	size_t count = __stop_guest_images - __start_guest_images;

	return __start_guest_images[number % count];
}

/* What a case of good behaviour leaves. */
static struct evidence good_evidence(const struct header *h)
{
	const struct guest_image *image = choose_image(h->image);
	struct evidence e = { .verdict = h->verdict % (VERDICT_ERROR + 1),
			      .file = "wild.c",
			      .line = 2,
			      .exit_count = 1 };

	e.exits[0].exit_reason = h->image % 50;
	if (e.verdict == VERDICT_FAIL) {
		strcpy(e.expected, "this");
		strcpy(e.got, "that");
	} else {
		strcpy(e.reason, "why");
	}
	if (h->flags & WITH_REGS) {
		snprintf(e.guest, sizeof e.guest, "%s", image->name);
		strcpy(e.rip_label, "entry");
		e.has_regs = e.has_loaded = true;
		e.code_size = EVIDENCE_CODE;
		e.code_address = e.regs.rip = 0x1000;
		e.image = image;
		memcpy(e.code, image->elf, EVIDENCE_CODE);
	}
	return e;
}

#define FIELD(name) offsetof(struct evidence, name)

/* Any byte can be reached from any of these; from its own, a field is found sooner. */
static const size_t fields[] = {
	FIELD(verdict),    FIELD(file),      FIELD(line),         FIELD(expected),
	FIELD(got),        FIELD(reason),    FIELD(has_regs),     FIELD(guest),
	FIELD(has_loaded), FIELD(rip_label), FIELD(regs.rip),     FIELD(code_address),
	FIELD(code_size),  FIELD(code),      FIELD(image),        FIELD(exit_count),
	FIELD(exits),      FIELD(ioctls),    FIELD(sregs),        FIELD(gates_size),
	FIELD(gates),      FIELD(memory),    FIELD(loaded_sregs), FIELD(exit_reasons),
	FIELD(caps),
};

static void scribble(struct evidence *e, const uint8_t *data, size_t size)
{
	while (size > 4) {
		size_t offset = fields[data[0] % (sizeof fields / sizeof *fields)];
		size_t room, len = data[3];

		offset = (offset + (data[1] | data[2] << 8)) % sizeof *e;
		room = sizeof *e - offset;
		data += 4;
		size -= 4;
		if (len > size)
			len = size;
		memcpy((char *)e + offset, data, len < room ? len : room);
		data += len;
		size -= len;
	}
}

/* As results/README.md says; ci/validate.py knows the rest. */
static void check_record(const struct header *h, const json_t *record)
{
	const char *verdict = json_string_value(json_object_get(record, "verdict"));
	const char *at = json_string_value(json_object_get(record, "at"));
	bool has_reason = json_object_get(record, "reason");
	bool has_expected = json_object_get(record, "expected"),
	     has_got = json_object_get(record, "got");
	bool failed;

	must(verdict && at && strchr(at, ':') == strrchr(at, ':'));
	failed = strcmp(verdict, "fail") == 0 || strcmp(verdict, "known") == 0;
	must(has_expected == failed && has_got == failed);
	must(has_reason || strcmp(verdict, "fail") == 0 || strcmp(verdict, "pass") == 0);
	must(!has_reason || strcmp(verdict, "fail") != 0 || (h->flags & LISTED));
	must(!has_reason || strcmp(verdict, "pass") != 0 || (h->flags & LISTED));
	must(strcmp(verdict, "known") != 0 || (h->flags & LISTED));
	must(json_integer_value(json_object_get(record, "kvm_runs")) >= 0);
}

static void check_text(const char *text, size_t size)
{
	json_t *clean = clean_text(text, size);

	must(json_string_length(clean) == size &&
	     memcmp(json_string_value(clean), text, size) == 0);
	json_decref(clean);
}

static void check_report(void (*write)(FILE *f, const json_t *record), const json_t *record)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	must(f);
	write(f, record);
	must(fclose(f) == 0);
	check_text(text, size);
	free(text);
}

static void write_jsonl(FILE *f, const json_t *record)
{
	must(json_dumpf(record, f, JSON_COMPACT) == 0);
}

static void write_tap(FILE *f, const json_t *record)
{
	tap_add(f, &run, record);
}

static void write_junit(FILE *f, const json_t *record)
{
	(void)record;
	junit_write(f, &run);
}

static void report(json_t *record)
{
	if (keep) {
		reports_add(&run, record);
		return;
	}
	json_array_append_new(run.records, record);
	check_report(write_jsonl, record);
	check_report(write_tap, record);
	check_report(write_junit, record);
	json_array_clear(run.records);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char id[] = "wild/case", listed[] = "known/fails";
	char run_id[32];
	struct header h;
	struct evidence e;
	json_t *record;

	if (size < sizeof h)
		return 0;
	memcpy(&h, data, sizeof h);
	data += sizeof h;
	size -= sizeof h;
	run.strict = h.flags & STRICT;
	run.no_skip = h.flags & NO_SKIP;
	snprintf(run_id, sizeof run_id, "%s/%zu", h.flags & LISTED ? listed : id, run.ended);
	e = good_evidence(&h);
	scribble(&e, data, size);
	record = make_record(&run,
			     &(struct planned){ .c = &wild,
						.id = h.flags & LISTED ? listed : id,
						.run_id = run_id },
			     &(struct sandbox_end){ .name = wild.name,
						    .pid = 1,
						    .shared = &e,
						    .exit_status = h.ending & 1,
						    .signal = h.ending & 2 ? h.ending >> 2 : 0,
						    .timed_out = h.ending == 1,
						    .stuck = h.ending == 5,
						    .seconds = 1,
						    .output = (const char *)data,
						    .output_len = size,
						    .output_lost = h.ending });
	check_record(&h, record);
	report(record);
	return 0;
}
