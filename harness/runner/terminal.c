// SPDX-License-Identifier: MIT
/* What the person at the terminal sees: a progress line, every failure in full, the counts. */
#include "runner/run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLOWEST 5

static bool shows_progress(const struct run *run)
{
	return !run->quiet && isatty(STDERR_FILENO) && !getenv("CI");
}

static bool has_colour(void)
{
	return isatty(STDOUT_FILENO) && !getenv("NO_COLOR");
}

size_t run_count(const struct run *run, const char *verdict)
{
	size_t i, count = 0;
	json_t *record;

	json_array_foreach(run->records, i, record)
		count += strcmp(json_string_value(json_object_get(record, "verdict")), verdict) ==
			 0;
	return count;
}

bool run_failed(const struct run *run)
{
	return run_count(run, "fail") + run_count(run, "error") + json_array_size(run->strays) > 0;
}

void terminal_begin(const struct run *run)
{
	char host[256];
	json_t *seed;

	printf("kvmspec: %zu cases on %s\n", run->planned, host_line(run->host, host, sizeof host));
	seed = json_object_get(run->host, "shuffle_seed");
	if (seed)
		printf("in an order that --shuffle=%lld repeats\n",
		       (long long)json_integer_value(seed));
	fflush(stdout);
}

void terminal_progress(const struct run *run)
{
	size_t bad;

	if (!shows_progress(run))
		return;
	bad = run_count(run, "fail") + run_count(run, "error");
	fprintf(stderr, "\r\033[K%zu of %zu", run->ended, run->planned);
	if (bad)
		fprintf(stderr, ", %zu failed", bad);
	if (run->ended == run->planned)
		fputs("\r\033[K", stderr);
}

static void print_diagnosis(const struct run *run, const json_t *record)
{
	const char *verdict = json_string_value(json_object_get(record, "verdict"));
	json_t *why = diagnosis(run, record);

	printf("\n%s%s%s %s\n", has_colour() ? "\033[1;31m" : "",
	       strcmp(verdict, "fail") == 0 ? "FAIL" : "ERROR", has_colour() ? "\033[0m" : "",
	       json_string_value(json_object_get(record, "case")));
	yaml_write(stdout, why, 2);
	json_decref(why);
}

static int by_seconds(const void *a, const void *b)
{
	double x = json_real_value(json_object_get(*(json_t *const *)a, "seconds"));
	double y = json_real_value(json_object_get(*(json_t *const *)b, "seconds"));

	return (x < y) - (x > y);
}

static void print_slowest(const struct run *run)
{
	size_t n = json_array_size(run->records);
	json_t **sorted = malloc((n + 1) * sizeof *sorted);

	if (!sorted)
		return;
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(run->records, i);
	qsort(sorted, n, sizeof *sorted, by_seconds);
	puts("\nslowest:");
	for (size_t i = 0; i < n && i < SLOWEST; i++)
		printf("  %7.1f ms  %s\n",
		       json_real_value(json_object_get(sorted[i], "seconds")) * 1e3,
		       json_string_value(json_object_get(sorted[i], "case")));
	free(sorted);
}

/* Each reason once, with the number of cases that it keeps from running. */
static void print_skips(const struct run *run)
{
	json_t *reasons = json_object(), *record, *count;
	const char *reason;
	size_t i;

	json_array_foreach(run->records, i, record) {
		if (strcmp(json_string_value(json_object_get(record, "verdict")), "skip") != 0)
			continue;
		reason = json_string_value(json_object_get(record, "reason"));
		count = json_object_get(reasons, reason);
		json_object_set_new(reasons, reason, json_integer(json_integer_value(count) + 1));
	}
	if (json_object_size(reasons))
		puts("\nskipped:");
	json_object_foreach(reasons, reason, count)
		printf("  %4d  %s\n", (int)json_integer_value(count), reason);
	json_decref(reasons);
}

/* Deviations that are none any more: they would hide the next failure. */
static void print_unexpected_passes(const struct run *run)
{
	json_t *record, *reason;
	size_t i;

	json_array_foreach(run->records, i, record) {
		reason = json_object_get(record, "reason");
		if (reason &&
		    strcmp(json_string_value(json_object_get(record, "verdict")), "pass") == 0)
			printf("\n%s %s\n", json_string_value(json_object_get(record, "case")),
			       json_string_value(reason));
	}
}

static void print_flaky(const struct run *run)
{
	json_t *flaky = flaky_cases(run), *one;
	char line[512];
	size_t i;

	if (json_array_size(flaky))
		puts("\nflaky, with the share of rounds that differ:");
	else if (run->rounds > 1)
		puts("\nno case changed its verdict");
	json_array_foreach(flaky, i, one)
		printf("  %s\n", flaky_line(one, line, sizeof line));
	json_decref(flaky);
}

static void print_strays(const struct run *run)
{
	json_t *line;
	size_t i;

	if (json_array_size(run->strays))
		puts("\nThe kernel complained while no case ran, which fails the run:");
	json_array_foreach(run->strays, i, line)
		printf("  %s\n", json_string_value(line));
}

void terminal_summary(const struct run *run)
{
	size_t errors = run_count(run, "error"), known = run_count(run, "known"), i;
	json_t *record;

	json_array_foreach(run->records, i, record) {
		const char *verdict = json_string_value(json_object_get(record, "verdict"));

		if (strcmp(verdict, "fail") == 0 || strcmp(verdict, "error") == 0)
			print_diagnosis(run, record);
	}
	print_unexpected_passes(run);
	print_skips(run);
	print_flaky(run);
	print_strays(run);
	if (run->ended > SLOWEST)
		print_slowest(run);
	printf("\n%zu cases in %.2f s; results in %s\n", run->ended, run->seconds, run->directory);
	if (known)
		printf("%zu known deviations, counted as skipped\n", known);
	if (errors)
		printf("%zu of the failed ended in an error: they say nothing about KVM\n", errors);
	if (run->stopped)
		printf("%zu cases did not run: %s\n", run->planned - run->ended, run->stopped);
	printf("%zu passed, %zu failed, %zu skipped\n", run_count(run, "pass"),
	       run_count(run, "fail") + errors, run_count(run, "skip") + known);
	if (run->lost)
		printf("kvmspec: could not write %s in %s: %s. All verdicts are above; free some "
		       "space, or choose another place with OUT=dir (--out), and run again.\n",
		       run->lost, run->directory, strerror(run->lost_errno));
	fflush(stdout);
}
