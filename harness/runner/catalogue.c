// SPDX-License-Identifier: MIT
/*
 * What is written down about KVM, embedded in the binary: the contracts (cases/contracts.tsv), the
 * known deviations from them (cases/deviations.tsv), what a kernel may log without a case having
 * failed (cases/kernel_log.tsv), how long a kick may take (cases/kick_limits.tsv), and what VMMs need
 * (cases/vmms.tsv). One entry a line, columns separated by tabs, lines that begin with # are comments.
 */
#include "runner/run.h"

#include "host.h"
#include "latency.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

extern const char contracts_tsv[], contracts_tsv_end[];
extern const char deviations_tsv[], deviations_tsv_end[];
extern const char kernel_log_tsv[], kernel_log_tsv_end[];
extern const char kick_limits_tsv[], kick_limits_tsv_end[];
extern const char vmms_tsv[], vmms_tsv_end[];

enum { CONTRACT_ID, CONTRACT_TEXT, CONTRACT_DOCUMENTED };

/* Of the tables that say where a thing is so; what it is, a case or a line, is a shell pattern. */
enum { WHAT, VENDOR_MODULE, KERNEL_RANGE, ENGINE };
enum { DEVIATION_FAILS_AS = ENGINE + 1, DEVIATION_REASON, DEVIATION_LINK };
enum { LIMIT = ENGINE + 1 };

enum { VMM, VMM_NEED, VMM_WHAT, VMM_MINIMUM, VMM_PURPOSE, VMM_SOURCE };

#define COLUMN_MAX 1024

/* Calls visit(line) with each entry as a string of its own, until it returns true. */
static bool each_line(const char *text, const char *text_end,
		      bool (*visit)(const char *line, void *arg), void *arg)
{
	char buf[4 * COLUMN_MAX];

	while (text < text_end) {
		const char *end = memchr(text, '\n', text_end - text);
		size_t len = (end ? end : text_end) - text;

		if (len >= sizeof buf)
			len = sizeof buf - 1;
		memcpy(buf, text, len);
		buf[len] = '\0';
		if (*buf && *buf != '#' && visit(buf, arg))
			return true;
		text = end ? end + 1 : text_end;
	}
	return false;
}

/* Copies the nth column of a line to buf; "" if it has fewer. Returns buf. */
static const char *column(const char *line, int n, char *buf, size_t size)
{
	for (; n > 0 && *line; n--) {
		line += strcspn(line, "\t");
		line += *line == '\t';
	}
	snprintf(buf, size, "%.*s", (int)strcspn(line, "\t"), line);
	return buf;
}

struct contract_search {
	const char *id;
	struct contract found;
};

static bool is_contract(const char *line, void *arg)
{
	struct contract_search *search = arg;
	char id[COLUMN_MAX];

	if (strcmp(column(line, CONTRACT_ID, id, sizeof id), search->id) != 0)
		return false;
	column(line, CONTRACT_TEXT, search->found.text, sizeof search->found.text);
	column(line, CONTRACT_DOCUMENTED, search->found.documented,
	       sizeof search->found.documented);
	return true;
}

struct contract find_contract(const char *id)
{
	struct contract_search search = { .id = id };

	each_line(contracts_tsv, contracts_tsv_end, is_contract, &search);
	return search.found;
}

/*
 * A range of kernel releases: "*", "6.1" (6.1 and 6.1.x), "6.1..6.12" (both ends belong to it),
 * ">=6.13" or "<6.8". ci/consistency.py refuses what is none.
 */
static bool is_kernel_in(const char *range)
{
	const char *dots = strstr(range, "..");
	char first[32];

	if (strcmp(range, "*") == 0)
		return true;
	if (strncmp(range, ">=", 2) == 0)
		return host_compare_kernel(range + 2) >= 0;
	if (*range == '<')
		return host_compare_kernel(range + 1) < 0;
	if (!dots)
		return host_compare_kernel(range) == 0;
	snprintf(first, sizeof first, "%.*s", (int)(dots - range), range);
	return host_compare_kernel(first) >= 0 && host_compare_kernel(dots + 2) <= 0;
}

static bool covers(const char *line, int n, const char *value)
{
	char pattern[COLUMN_MAX];

	return fnmatch(column(line, n, pattern, sizeof pattern), value, 0) == 0;
}

/* Whether a line that has these four columns is about this, on this host. */
static bool is_about(const char *line, const char *what)
{
	char range[COLUMN_MAX];

	return covers(line, WHAT, what) && covers(line, VENDOR_MODULE, host.vendor) &&
	       is_kernel_in(column(line, KERNEL_RANGE, range, sizeof range)) &&
	       covers(line, ENGINE, host.engine);
}

struct deviation_search {
	const char *id, *got;
	bool is_listed;
	struct deviation found;
};

/* Stops at a row that says how this failed; until then the first row about the case stands. */
static bool is_deviation(const char *line, void *arg)
{
	struct deviation_search *search = arg;
	struct deviation row;

	if (!is_about(line, search->id))
		return false;
	column(line, DEVIATION_REASON, row.reason, sizeof row.reason);
	if (strcmp(row.reason, "-") == 0)
		return true;
	column(line, DEVIATION_FAILS_AS, row.fails_as, sizeof row.fails_as);
	column(line, DEVIATION_LINK, row.link, sizeof row.link);
	row.is_as_listed = search->got && covers(line, DEVIATION_FAILS_AS, search->got);
	if (row.is_as_listed || !search->is_listed)
		search->found = row;
	search->is_listed = true;
	return row.is_as_listed;
}

const struct deviation *find_deviation(const char *id, const char *got)
{
	static struct deviation_search search;

	search = (struct deviation_search){ .id = id, .got = got };
	each_line(deviations_tsv, deviations_tsv_end, is_deviation, &search);
	return search.is_listed ? &search.found : NULL;
}

static bool is_expected_line(const char *line, void *text)
{
	return is_about(line, text);
}

bool is_expected_of_kernel(const char *text)
{
	return each_line(kernel_log_tsv, kernel_log_tsv_end, is_expected_line, (void *)text);
}

struct limit_search {
	const char *name;
	double limit;
};

/* The first row counts. */
static bool is_limit(const char *line, void *arg)
{
	struct limit_search *search = arg;
	char limit[COLUMN_MAX];

	if (!is_about(line, search->name))
		return false;
	search->limit = strtod(column(line, LIMIT, limit, sizeof limit), NULL);
	return true;
}

uint32_t kick_limit(const char *name)
{
	struct limit_search search = { .name = name };

	each_line(kick_limits_tsv, kick_limits_tsv_end, is_limit, &search);
	if (!(search.limit > 0 && search.limit < 1e6))
		error("cases/kick_limits.tsv has no row for %s on this host, or no number there",
		      name);
	return search.limit * 100; /* a hundredth less does not matter */
}

struct requirements {
	void (*visit)(const struct requirement *, void *arg);
	void *arg;
};

static bool visit_requirement(const char *line, void *arg)
{
	const struct requirements *all = arg;
	struct requirement r;
	char text[COLUMN_MAX];

	column(line, VMM, r.vmm, sizeof r.vmm);
	r.is_required = strcmp(column(line, VMM_NEED, text, sizeof text), "required") == 0;
	column(line, VMM_WHAT, r.what, sizeof r.what);
	r.minimum = atoi(column(line, VMM_MINIMUM, text, sizeof text)); /* "-": 0 */
	if (r.minimum < 1)
		r.minimum = 1;
	column(line, VMM_PURPOSE, r.purpose, sizeof r.purpose);
	column(line, VMM_SOURCE, r.source, sizeof r.source);
	all->visit(&r, all->arg);
	return false;
}

void each_requirement(void (*visit)(const struct requirement *, void *arg), void *arg)
{
	struct requirements all = { visit, arg };

	each_line(vmms_tsv, vmms_tsv_end, visit_requirement, &all);
}
