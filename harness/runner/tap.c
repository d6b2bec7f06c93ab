// SPDX-License-Identifier: MIT
/*
 * TAP. What is written is TAP 14 (https://testanything.org/tap-version-14-specification.html) with
 * the version line of 13: nothing here needs 14, and Perl's prove, up to 3.44 (Debian 12), takes
 * "TAP version 14" for an error.
 *
 * And KTAP version 1, the kernel's variant (Documentation/dev-tools/ktap.rst): each area is a test
 * whose subtests are its cases. Cases of several areas run at the same time, and a test's lines belong
 * together: so an area is written as a whole, once the last of its cases has ended.
 */
#include "runner/run.h"

#include <string.h>

void tap_begin(FILE *f, const struct run *run)
{
	char host[256];

	fprintf(f, "TAP version 13\n1..%zu\n# %s\n", run->planned,
		host_line(run->host, host, sizeof host));
}

static const char *member(const json_t *record, const char *name)
{
	const char *s = json_string_value(json_object_get(record, name));

	return s ? s : "";
}

static bool has_verdict(const json_t *record, const char *verdict)
{
	return strcmp(member(record, "verdict"), verdict) == 0;
}

static bool is_bad(const json_t *record)
{
	return has_verdict(record, "fail") || has_verdict(record, "error");
}

/* The description or directive of a test point: one line, # and \ escaped. */
static void write_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '#' || *s == '\\')
			fputc('\\', f);
		fputc(*s == '\n' ? ' ' : *s, f);
	}
}

void tap_add(FILE *f, const struct run *run, const json_t *record)
{
	const char *reason = member(record, "reason");
	bool ok = has_verdict(record, "pass") || has_verdict(record, "skip");

	fprintf(f, "%s %zu - ", ok ? "ok" : "not ok", run->ended);
	write_escaped(f, member(record, "case"));
	/* a pass with a reason is a deviation that is none: TAP's unexpected success */
	if (*reason && !is_bad(record)) {
		fprintf(f, " # %s ", has_verdict(record, "skip") ? "SKIP" : "TODO");
		write_escaped(f, reason);
	}
	fputc('\n', f);
	if (ok)
		return;

	json_t *why = diagnosis(run, record);

	fputs("  ---\n", f);
	yaml_write(f, why, 2);
	fputs("  ...\n", f);
	json_decref(why);
}

void tap_end(FILE *f, const struct run *run)
{
	json_t *flaky = flaky_cases(run), *one;
	char line[512];
	size_t i;

	json_array_foreach(flaky, i, one)
		fprintf(f, "# flaky: %s\n", flaky_line(one, line, sizeof line));
	json_decref(flaky);
	json_array_foreach(run->strays, i, one)
		fprintf(f, "# kernel log, while no case ran: %s\n", json_string_value(one));
	if (run->stopped)
		fprintf(f, "Bail out! After %zu of %zu cases: %s\n", run->ended, run->planned,
			run->stopped);
}

void ktap_begin(FILE *f, const struct run *run)
{
	char host[256];

	fprintf(f, "KTAP version 1\n1..%zu\n# %s\n", json_object_size(run->areas),
		host_line(run->host, host, sizeof host));
}

/* Comments before the result that they are about: KTAP would rather have no YAML blocks. */
static void write_diagnostic_lines(FILE *f, const struct run *run, const json_t *record)
{
	json_t *why = diagnosis(run, record);
	char *text = NULL, *rest, *line;
	size_t size;
	FILE *memory = open_memstream(&text, &size);

	if (memory) {
		yaml_write(memory, why, 0);
		fclose(memory);
	}
	rest = text;
	while (rest && *rest && (line = strsep(&rest, "\n")))
		fprintf(f, "  # %s\n", line);
	free(text);
	json_decref(why);
}

/* A known deviation is "ok" with XFAIL, as in the kernel's selftests: TODO is not for KTAP. */
static const char *ktap_directive(const json_t *record)
{
	if (has_verdict(record, "skip"))
		return "SKIP ";
	if (has_verdict(record, "known"))
		return "XFAIL ";
	if (has_verdict(record, "error"))
		return "ERROR ";
	return ""; /* but diagnostic data: passes unexpectedly, fails in another way than listed */
}

static void write_ktap_case(FILE *f, const struct run *run, const json_t *record, size_t number)
{
	const char *reason = member(record, "reason");

	if (is_bad(record) || has_verdict(record, "known"))
		write_diagnostic_lines(f, run, record);
	fprintf(f, "  %s %zu %s", is_bad(record) ? "not ok" : "ok", number,
		strchr(member(record, "case"), '/') + 1);
	if (*reason) {
		fprintf(f, " # %s", ktap_directive(record));
		write_escaped(f, reason);
	}
	fputc('\n', f);
}

void ktap_area(FILE *f, const struct run *run, const char *area, size_t number)
{
	size_t planned = json_integer_value(json_object_get(run->areas, area));
	size_t ended = 0, bad = 0, skipped = 0, length = strlen(area), i;
	json_t *record;

	/* "Subtest" is what KUnit says as well: without it, its parser has no name for what follows */
	fprintf(f, "  KTAP version 1\n  # Subtest: %s\n  1..%zu\n", area, planned);
	json_array_foreach(run->records, i, record) {
		const char *id = member(record, "case");

		if (strncmp(id, area, length) != 0 || id[length] != '/')
			continue;
		write_ktap_case(f, run, record, ++ended);
		bad += is_bad(record);
		skipped += has_verdict(record, "skip");
	}
	fprintf(f, "%s %zu %s", bad || ended < planned ? "not ok" : "ok", number, area);
	if (ended < planned)
		fprintf(f, " # ERROR only %zu of its %zu cases ran", ended, planned);
	else if (skipped == planned)
		fputs(" # SKIP none of its cases can run on this host", f);
	fputc('\n', f);
}
