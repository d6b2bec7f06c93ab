// SPDX-License-Identifier: MIT
/* What a case measured, as the record shows it. */
#include "latency.h"
#include "runner/run.h"

#include <string.h>

/* Buckets that are empty are left out. */
static json_t *distribution(const struct distribution *d)
{
	json_t *histogram = json_array();

	for (unsigned b = 0; b < DISTRIBUTION_BUCKETS; b++)
		if (d->buckets[b])
			json_array_append_new(histogram,
					      json_pack("[I,I]", (json_int_t)bucket_start(b),
							(json_int_t)d->buckets[b]));
	return json_pack("{sI sI sI sI sI sI sI so}", "count", (json_int_t)d->count, "min",
			 (json_int_t)d->min, "p10", (json_int_t)d->p10, "p50", (json_int_t)d->p50,
			 "p90", (json_int_t)d->p90, "p99", (json_int_t)d->p99, "max",
			 (json_int_t)d->max, "histogram", histogram);
}

json_t *measurements(const struct evidence *e)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < e->measurement_count; i++) {
		const struct measurement *m = &e->measurements[i];
		uint32_t judged = judged_ratio(m);
		json_t *object = json_pack(
			"{so so so sf sI sI sb}", "name", clean_text(m->name, strlen(m->name)),
			"value", distribution(&m->value), "baseline", distribution(&m->baseline),
			"ratio", median_ratio(m) / 100., "clock_ns", (json_int_t)m->clock, "looks",
			(json_int_t)m->looks, "noisy", is_noisy(m));

		if (m->limit_percent) {
			json_object_set_new(object, "limit", json_real(m->limit_percent / 100.));
			if (judged)
				json_object_set_new(object, "margin",
						    json_real((double)m->limit_percent / judged));
		}
		json_array_append_new(array, object);
	}
	return array;
}
