// SPDX-License-Identifier: MIT
/* JUnit XML in the shape that Jenkins' xunit plug-in accepts (results/junit.xsd). */
#include "runner/run.h"

#include <string.h>

/* Records hold no control characters but newline and tab: see clean_text() in record.c. */
static void write_xml(FILE *f, const char *s)
{
	for (; *s; s++) {
		switch (*s) {
		case '&':
			fputs("&amp;", f);
			break;
		case '<':
			fputs("&lt;", f);
			break;
		case '>':
			fputs("&gt;", f);
			break;
		case '"':
			fputs("&quot;", f);
			break;
		case '\n': /* or an attribute's value would lose them */
		case '\t':
			fprintf(f, "&#%d;", *s);
			break;
		default:
			fputc(*s, f);
		}
	}
}

static void write_attribute(FILE *f, const char *name, const char *value)
{
	fprintf(f, " %s=\"", name);
	write_xml(f, value);
	fputc('"', f);
}

/* The same text as TAP's diagnostic block. */
static void write_diagnosis(FILE *f, const struct run *run, const json_t *record)
{
	json_t *why = diagnosis(run, record);
	char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);

	if (memory) {
		yaml_write(memory, why, 0);
		fclose(memory);
		write_xml(f, text);
	}
	free(text);
	json_decref(why);
}

static const char *member(const json_t *record, const char *name)
{
	const char *s = json_string_value(json_object_get(record, name));

	return s ? s : "";
}

static void write_outcome(FILE *f, const struct run *run, const json_t *record)
{
	const char *verdict = member(record, "verdict");

	if (strcmp(verdict, "fail") == 0) {
		fputs("<failure type=\"fail\" message=\"expected ", f);
		write_xml(f, member(record, "expected"));
		fputs("; got ", f);
		write_xml(f, member(record, "got"));
		fputs("\">", f);
		write_diagnosis(f, run, record);
		fputs("</failure>", f);
	} else if (strcmp(verdict, "error") == 0) {
		fputs("<error type=\"error\"", f);
		write_attribute(f, "message", member(record, "reason"));
		fputc('>', f);
		write_diagnosis(f, run, record);
		fputs("</error>", f);
	} else if (strcmp(verdict, "pass") != 0) {
		fprintf(f, "<skipped type=\"%s\"", verdict);
		write_attribute(f, "message", member(record, "reason"));
		fputs("/>", f);
	}
}

static void write_case(FILE *f, const struct run *run, const json_t *record)
{
	const char *id = member(record, "case"), *slash = strchr(id, '/');
	const char *output = member(record, "output");
	char area[64];

	snprintf(area, sizeof area, "%.*s", (int)(slash - id), id);
	fputs("    <testcase", f);
	write_attribute(f, "classname", area);
	write_attribute(f, "name", slash + 1);
	fprintf(f, " time=\"%.6f\">", json_real_value(json_object_get(record, "seconds")));
	write_outcome(f, run, record);
	if (strcmp(member(record, "verdict"), "pass") == 0 && *member(record, "reason")) {
		fputs("<system-out>", f); /* it is listed, and should not be any more */
		write_xml(f, member(record, "reason"));
		fputs("\n", f);
		write_xml(f, output);
		fputs("</system-out>", f);
	} else if (*output) {
		fputs("<system-out>", f);
		write_xml(f, output);
		fputs("</system-out>", f);
	}
	fputs("</testcase>\n", f);
}

static void write_property(FILE *f, const char *name, const char *value)
{
	fputs("      <property", f);
	write_attribute(f, "name", name);
	write_attribute(f, "value", value);
	fputs("/>\n", f);
}

void junit_write(FILE *f, const struct run *run)
{
	const char *key;
	json_t *value, *record;
	size_t i;

	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"kvmspec\">\n", f);
	fprintf(f,
		"  <testsuite name=\"kvmspec\" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" "
		"skipped=\"%zu\" time=\"%.6f\"",
		run->ended, run_count(run, "fail"), run_count(run, "error"),
		run_count(run, "skip") + run_count(run, "known"), run->seconds);
	write_attribute(f, "timestamp", member(run->host, "started"));
	fputs(">\n    <properties>\n", f);
	json_object_foreach(run->host, key, value)
		if (json_is_string(value))
			write_property(f, key, json_string_value(value));
	if (run->stopped)
		write_property(f, "stopped", run->stopped);
	fputs("    </properties>\n", f);
	json_array_foreach(run->records, i, record)
		write_case(f, run, record);
	fputs("  </testsuite>\n</testsuites>\n", f);
}
