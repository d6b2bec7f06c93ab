// SPDX-License-Identifier: MIT
/* Cases whose verdict changes from one round of --repeat to another. */
#include "runner/run.h"

#include <string.h>

/* How often each case had which verdict: {"signals/x": {"pass": 47, "fail": 3}}. */
static json_t *count_verdicts(const struct run *run)
{
	json_t *cases = json_object(), *record;
	size_t i;

	json_array_foreach(run->records, i, record) {
		const char *id = json_string_value(json_object_get(record, "filter"));
		const char *verdict = json_string_value(json_object_get(record, "verdict"));
		json_t *counts = json_object_get(cases, id), *count;

		if (!counts) {
			counts = json_object();
			json_object_set_new(cases, id, counts);
		}
		count = json_object_get(counts, verdict);
		json_object_set_new(counts, verdict, json_integer(json_integer_value(count) + 1));
	}
	return cases;
}

/* The share of rounds that did not end in the most frequent verdict. */
static double rate(json_t *counts)
{
	json_int_t all = 0, most = 0;
	const char *verdict;
	json_t *count;

	json_object_foreach(counts, verdict, count) {
		json_int_t n = json_integer_value(count);

		all += n;
		most = n > most ? n : most;
	}
	return (double)(all - most) / (double)all;
}

json_t *flaky_cases(const struct run *run)
{
	json_t *array = json_array(), *cases, *counts;
	const char *id;

	if (run->rounds <= 1)
		return array;
	cases = count_verdicts(run);
	json_object_foreach(cases, id, counts) {
		if (json_object_size(counts) > 1)
			json_array_append_new(array, json_pack("{ss sO sf}", "case", id, "verdicts",
							       counts, "rate", rate(counts)));
	}
	json_decref(cases);
	return array;
}

const char *flaky_line(const json_t *flaky, char *buf, size_t size)
{
	size_t used = snprintf(buf, size, "%s:", json_string_value(json_object_get(flaky, "case")));
	json_t *count;
	const char *verdict, *comma = "";

	json_object_foreach(json_object_get(flaky, "verdicts"), verdict, count) {
		if (used < size)
			used += snprintf(buf + used, size - used, "%s %d %s", comma,
					 (int)json_integer_value(count), verdict);
		comma = ",";
	}
	if (used < size)
		snprintf(buf + used, size - used, " (%.3g %%)",
			 json_real_value(json_object_get(flaky, "rate")) * 100);
	return buf;
}
