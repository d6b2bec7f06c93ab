// SPDX-License-Identifier: MIT
/* harness/latency.c: what is said of samples. */
#include <criterion/criterion.h>

#include "latency.h"

#include "host.h"

#include <stdio.h>

static void fill(struct distribution *d, uint32_t first, uint32_t step, size_t n)
{
	uint32_t samples[1000];

	for (size_t i = 0; i < n; i++) /* not in order */
		samples[(i * 7) % n] = first + step * i;
	distribution_of(d, samples, n);
}

Test(distribution_of, has_percentiles)
{
	struct distribution d;

	fill(&d, 1000, 10, 1000);
	cr_assert_eq(d.count, 1000);
	cr_assert_eq(d.min, 1000);
	cr_assert_eq(d.p10, 2000);
	cr_assert_eq(d.p50, 6000);
	cr_assert_eq(d.p90, 10000);
	cr_assert_eq(d.p99, 10900);
	cr_assert_eq(d.max, 10990);
}

Test(distribution_of, survives_few_samples)
{
	struct distribution d;
	uint32_t sample = 7;

	distribution_of(&d, NULL, 0);
	cr_assert_eq(d.count, 0);
	cr_assert_eq(d.max, 0);
	distribution_of(&d, &sample, 1);
	cr_assert_eq(d.min, 7);
	cr_assert_eq(d.p99, 7);
}

Test(distribution_of, orders_what_is_far_apart)
{
	struct distribution d;
	uint32_t samples[] = { UINT32_MAX, 0, 5 };

	distribution_of(&d, samples, 3);
	cr_assert_eq(d.min, 0);
	cr_assert_eq(d.p50, 5);
	cr_assert_eq(d.max, UINT32_MAX);
}

static unsigned only_bucket_of(uint32_t ns)
{
	struct distribution d;
	unsigned found = DISTRIBUTION_BUCKETS;

	distribution_of(&d, &ns, 1);
	for (unsigned b = 0; b < DISTRIBUTION_BUCKETS; b++) {
		cr_assert_leq(d.buckets[b], 1);
		if (d.buckets[b])
			found = b;
	}
	return found;
}

Test(distribution_of, puts_each_sample_in_its_bucket)
{
	cr_assert_eq(bucket_start(0), 64);
	cr_assert_eq(bucket_start(1), 80);
	cr_assert_eq(bucket_start(4), 128);
	cr_assert_eq(only_bucket_of(0), 0);
	cr_assert_eq(only_bucket_of(UINT32_MAX), DISTRIBUTION_BUCKETS - 1);
	for (unsigned b = 1; b < DISTRIBUTION_BUCKETS; b++) {
		cr_assert_eq(only_bucket_of(bucket_start(b)), b);
		cr_assert_eq(only_bucket_of(bucket_start(b) - 1), b - 1);
	}
}

Test(judged_ratio, is_the_smaller_one)
{
	struct measurement m = { .value = { .p10 = 500, .p50 = 3000 },
				 .baseline = { .p10 = 100, .p50 = 1000 } };

	cr_assert_eq(median_ratio(&m), 300);
	cr_assert_eq(judged_ratio(&m), 300);
	m.value.p10 = 250;
	cr_assert_eq(judged_ratio(&m), 250);
	cr_assert_eq(median_ratio(&m), 300);
}

Test(judged_ratio, survives_extremes)
{
	struct measurement m = { .value = { .p10 = UINT32_MAX, .p50 = UINT32_MAX } };

	cr_assert_eq(judged_ratio(&m), 0, "without a baseline nothing is known");
	m.baseline.p10 = m.baseline.p50 = 1;
	cr_assert_eq(judged_ratio(&m), UINT32_MAX);
}

Test(is_noisy, looks_at_the_baseline_only)
{
	struct measurement m = { .value = { .p50 = 1, .p90 = 1000 },
				 .baseline = { .p50 = 100, .p90 = 400 } };

	cr_assert_not(is_noisy(&m));
	m.baseline.p90 = 408;
	cr_assert(is_noisy(&m));
}

Test(kick_limit, is_that_of_the_first_row)
{
	snprintf(host.vendor, sizeof host.vendor, "kvm_amd");
	snprintf(host.kernel, sizeof host.kernel, "6.1.0");
	host.engine = "host";
	cr_assert_eq(kick_limit("fixture.elsewhere"), 725);
	snprintf(host.vendor, sizeof host.vendor, "kvm_none");
	cr_assert_eq(kick_limit("fixture.elsewhere"), 300);
}
