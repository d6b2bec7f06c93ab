// SPDX-License-Identifier: MIT
/*
 * TAP. What is written is TAP 14 (https://testanything.org/tap-version-14-specification.html) with
 * the version line of 13: nothing here needs 14, and Perl's prove, up to 3.44 (Debian 12), takes
 * "TAP version 14" for an error.
 */
#include "runner/run.h"

#include <string.h>

void tap_begin(FILE *f, const struct run *run)
{
	char host[256];

	fprintf(f, "TAP version 13\n1..%zu\n# %s\n", run->planned,
		host_line(run->host, host, sizeof host));
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
	const char *verdict = json_string_value(json_object_get(record, "verdict"));
	const char *reason = json_string_value(json_object_get(record, "reason"));
	bool ok = strcmp(verdict, "pass") == 0 || strcmp(verdict, "skip") == 0;

	fprintf(f, "%s %zu - ", ok ? "ok" : "not ok", run->ended);
	write_escaped(f, json_string_value(json_object_get(record, "case")));
	/* a pass with a reason is a deviation that is none: TAP's unexpected success */
	if (reason && strcmp(verdict, "fail") != 0 && strcmp(verdict, "error") != 0) {
		fprintf(f, " # %s ", strcmp(verdict, "skip") == 0 ? "SKIP" : "TODO");
		write_escaped(f, reason ? reason : "");
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
