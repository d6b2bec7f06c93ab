// SPDX-License-Identifier: MIT
/*
 * What is written down about KVM, embedded in the binary: the contracts (cases/contracts.tsv) and
 * the known deviations from them (cases/deviations.tsv). One entry a line, columns separated by
 * tabs, lines that begin with # are comments.
 */
#include "runner/run.h"

#include "host.h"

#include <fnmatch.h>
#include <string.h>

extern const char contracts_tsv[], contracts_tsv_end[];
extern const char deviations_tsv[], deviations_tsv_end[];

enum { CONTRACT_ID, CONTRACT_TEXT, CONTRACT_DOCUMENTED };
enum { DEVIATION_CASE, DEVIATION_VENDOR, DEVIATION_KERNEL, DEVIATION_ENGINE, DEVIATION_REASON };

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

struct deviation_search {
	const char *id;
	char reason[COLUMN_MAX];
};

static bool covers(const char *line, int n, const char *value)
{
	char pattern[COLUMN_MAX];

	return fnmatch(column(line, n, pattern, sizeof pattern), value, 0) == 0;
}

static bool is_deviation(const char *line, void *arg)
{
	struct deviation_search *search = arg;

	if (!covers(line, DEVIATION_CASE, search->id) ||
	    !covers(line, DEVIATION_VENDOR, host.vendor) ||
	    !covers(line, DEVIATION_KERNEL, host.kernel) ||
	    !covers(line, DEVIATION_ENGINE, host.engine))
		return false;
	column(line, DEVIATION_REASON, search->reason, sizeof search->reason);
	return true;
}

const char *find_deviation(const char *id)
{
	static struct deviation_search search;

	search.id = id;
	if (!each_line(deviations_tsv, deviations_tsv_end, is_deviation, &search) ||
	    strcmp(search.reason, "-") == 0)
		return NULL;
	return search.reason;
}
