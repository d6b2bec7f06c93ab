// SPDX-License-Identifier: MIT
/* The results directory and the reports in it. */
#include "runner/run.h"

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Written as the cases end, so that a dead machine leaves what was reached. */
static FILE *jsonl, *tap;
static FILE *ktap[2];      /* report.ktap; standard output, with --ktap */
static json_t *areas_left; /* of those not in KTAP yet: how many cases have not ended, by name */
static size_t areas_written;
static char problem[PATH_MAX + 256];

static const char *cannot(const char *what, const char *path)
{
	snprintf(problem, sizeof problem,
		 "cannot %s %s: %s. Choose another place with OUT=dir (--out).", what, path,
		 strerror(errno));
	return problem;
}

static int make_parents(const char *path)
{
	char copy[PATH_MAX];

	if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(copy, 0777) != 0 && errno != EEXIST)
			return -1;
		*p = '/';
	}
	return 0;
}

/* A name of its own for each run, also for two that start in the same second. */
static const char *make_run_directory(void)
{
	static char path[256];
	time_t now = time(NULL);
	char stamp[32];

	strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime(&now));
	if (make_parents("results/runs/x") != 0)
		return NULL;
	for (int i = 1; i < 100; i++) {
		char suffix[8] = "";

		if (i > 1)
			snprintf(suffix, sizeof suffix, "-%d", i);
		snprintf(path, sizeof path, "results/runs/%s-%s-%s%s", stamp, host.kernel,
			 host.vendor, suffix);
		if (mkdir(path, 0777) == 0)
			return path;
		if (errno != EEXIST)
			break;
	}
	return NULL;
}

/* results/latest changes in one step, so that it always points to a run. */
static void point_latest_to(const char *directory)
{
	char temporary[64];

	snprintf(temporary, sizeof temporary, "results/.latest-%d", (int)getpid());
	unlink(temporary);
	if (symlink(directory + strlen("results/"), temporary) != 0 ||
	    rename(temporary, "results/latest") != 0)
		unlink(temporary);
}

static FILE *open_report(const char *directory, const char *name)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	if (fd < 0)
		return NULL;
	return fdopen(fd, "w");
}

/* An earlier run's, or it would pass for this one's until that is written. */
static int remove_old(const char *directory, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", directory, name);
	return unlink(path) != 0 && errno != ENOENT ? -1 : 0;
}

/* Two runs must not write to one directory: the first one's lock ends with its process. */
static const char *lock_directory(const char *directory)
{
	jsonl = open_report(directory, "cases.jsonl");
	if (!jsonl)
		return cannot("write to", directory);
	if (flock(fileno(jsonl), LOCK_EX | LOCK_NB) != 0) {
		snprintf(
			problem, sizeof problem,
			"another run is writing to %s. Wait for it, or give this one a directory of "
			"its own with OUT=dir (--out).",
			directory);
		return problem;
	}
	if (ftruncate(fileno(jsonl), 0) != 0 || remove_old(directory, "host.json") != 0 ||
	    remove_old(directory, "report.xml") != 0 || remove_old(directory, "flaky.json") != 0)
		return cannot("write to", directory);
	return NULL;
}

static void note_loss(struct run *run, const char *report)
{
	if (!run->lost) {
		run->lost = report;
		run->lost_errno = errno;
	}
}

static void flush(struct run *run, FILE *f, const char *name)
{
	if (fflush(f) != 0 || ferror(f))
		note_loss(run, name);
}

static void close_report(struct run *run, FILE *f, const char *name)
{
	bool failed = ferror(f);

	if (fclose(f) != 0 || failed)
		note_loss(run, name);
}

void reports_host(struct run *run)
{
	FILE *f = open_report(run->directory, "host.json");

	if (!f || ftruncate(fileno(f), 0) != 0) {
		note_loss(run, "host.json");
		return;
	}
	json_dumpf(run->host, f, JSON_INDENT(2));
	fputc('\n', f);
	close_report(run, f, "host.json");
}

/* KTAP has standard output for itself from now on. */
static const char *open_ktap(const struct run *run)
{
	int fd;

	ktap[0] = open_report(run->directory, "report.ktap");
	if (!ktap[0] || ftruncate(fileno(ktap[0]), 0) != 0)
		return cannot("write report.ktap in", run->directory);
	if (!run->ktap)
		return NULL;
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	ktap[1] = fd < 0 ? NULL : fdopen(fd, "w");
	if (ktap[1] && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0)
		return NULL;
	snprintf(problem, sizeof problem, "cannot write KTAP to standard output: %s",
		 strerror(errno));
	return problem;
}

const char *reports_open(struct run *run, const char *out)
{
	const char *error;

	if (out && (make_parents(out) != 0 || (mkdir(out, 0777) != 0 && errno != EEXIST)))
		return cannot("create", out);
	run->directory = out ? out : make_run_directory();
	if (!run->directory)
		return cannot("create a directory under", "results/runs");
	error = lock_directory(run->directory);
	if (error)
		return error;
	tap = open_report(run->directory, "report.tap");
	if (!tap || ftruncate(fileno(tap), 0) != 0)
		return cannot("write report.tap in", run->directory);
	error = open_ktap(run);
	if (error)
		return error;
	if (!out)
		point_latest_to(run->directory);
	return NULL;
}

static const char *ktap_name(size_t i)
{
	return i == 0 ? "report.ktap" : "KTAP to standard output";
}

/* "signals" of "signals/x" (static buffer). */
static const char *area_of(const char *id)
{
	static char area[64];

	snprintf(area, sizeof area, "%.*s", (int)strcspn(id, "/"), id);
	return area;
}

/* Returns what it is then. */
static json_int_t add_to(json_t *counts, const char *name, json_int_t n)
{
	n += json_integer_value(json_object_get(counts, name));
	json_object_set_new(counts, name, json_integer(n));
	return n;
}

static void write_area(struct run *run, const char *area)
{
	areas_written++;
	for (size_t i = 0; i < 2 && ktap[i]; i++) {
		ktap_area(ktap[i], run, area, areas_written);
		flush(run, ktap[i], ktap_name(i));
	}
}

static void area_add(struct run *run, const char *area)
{
	if (add_to(areas_left, area, -1) > 0)
		return;
	json_object_del(areas_left, area);
	write_area(run, area);
}

void reports_expect(struct run *run, const char *id)
{
	if (!run->areas)
		run->areas = json_object();
	add_to(run->areas, area_of(id), 1);
}

void reports_begin(struct run *run)
{
	reports_host(run);
	tap_begin(tap, run);
	flush(run, tap, "report.tap");
	areas_left = json_deep_copy(run->areas);
	for (size_t i = 0; i < 2 && ktap[i]; i++) {
		ktap_begin(ktap[i], run);
		flush(run, ktap[i], ktap_name(i));
	}
}

void reports_add(struct run *run, json_t *record)
{
	run->ended++;
	json_array_append_new(run->records, record);
	if (!run->directory)
		return;
	json_dumpf(record, jsonl, JSON_COMPACT);
	fputc('\n', jsonl);
	flush(run, jsonl, "cases.jsonl");
	tap_add(tap, run, record);
	area_add(run, area_of(json_string_value(json_object_get(record, "case"))));
	/* only cases.jsonl has them; every fork copies our memory */
	json_object_del(record, "ioctls");
	json_object_del(record, "shared_ioctls");
	json_object_del(record, "exits");
	json_object_del(record, "capabilities");
	json_object_del(record, "fields");
	flush(run, tap, "report.tap");
}

static void write_junit(struct run *run)
{
	FILE *f = open_report(run->directory, "report.xml");

	if (!f || ftruncate(fileno(f), 0) != 0) {
		note_loss(run, "report.xml");
		return;
	}
	junit_write(f, run);
	close_report(run, f, "report.xml");
}

static void write_flaky(struct run *run)
{
	FILE *f = open_report(run->directory, "flaky.json");
	json_t *object;

	if (!f || ftruncate(fileno(f), 0) != 0) {
		note_loss(run, "flaky.json");
		return;
	}
	object = json_pack("{si sI so}", "schema", RECORD_SCHEMA, "rounds", (json_int_t)run->rounds,
			   "flaky", flaky_cases(run));
	json_dumpf(object, f, JSON_INDENT(2));
	fputc('\n', f);
	json_decref(object);
	close_report(run, f, "flaky.json");
}

/* Of an area that was not finished, what there is. */
static void close_ktap(struct run *run)
{
	const char *area;
	json_t *left;

	json_object_foreach(areas_left, area, left)
		if (json_integer_value(left) <
		    json_integer_value(json_object_get(run->areas, area)))
			write_area(run, area);
	json_decref(areas_left);
	for (size_t i = 0; i < 2 && ktap[i]; i++) {
		tap_end(ktap[i], run);
		close_report(run, ktap[i], ktap_name(i));
	}
}

void reports_close(struct run *run)
{
	tap_end(tap, run);
	close_report(run, tap, "report.tap");
	close_ktap(run);
	close_report(run, jsonl, "cases.jsonl");
	write_junit(run);
	if (run->rounds > 1)
		write_flaky(run);
}
