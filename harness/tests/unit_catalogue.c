// SPDX-License-Identifier: MIT
/* runner/catalogue.c, on the tables in harness/tests/broken. */
#include <criterion/criterion.h>

#include "host.h"
#include "runner/run.h"

#include <string.h>

Test(find_contract, returns_all_columns)
{
	struct contract c = find_contract("fixture.contract");

	cr_assert_str_eq(c.text, "A <contract> & its \"text\"");
	cr_assert_str_eq(c.documented, "nowhere, section #5");
}

Test(find_contract, returns_empty_text_for_what_is_missing)
{
	cr_assert_str_eq(find_contract("fixture.two_columns").documented, "");
	cr_assert_str_eq(find_contract("fixture.two_columns").text, "There is no third column");
	cr_assert_str_eq(find_contract("fixture").text, "");
	cr_assert_str_eq(find_contract("fixture.contract.more").text, "");
	cr_assert_str_eq(find_contract("").text, "");
	cr_assert_str_eq(find_contract("# id").text, "", "a comment is no entry");
}

Test(find_contract, cuts_what_is_too_long)
{
	struct contract c = find_contract("fixture.long");

	cr_assert_eq(strlen(c.text), sizeof c.text - 1);
	cr_assert_str_eq(c.documented, "after a long column");
}

static void set_host(const char *vendor, const char *kernel, const char *engine)
{
	snprintf(host.vendor, sizeof host.vendor, "%s", vendor);
	snprintf(host.kernel, sizeof host.kernel, "%s", kernel);
	host.engine = engine;
}

static void set_any_host(void)
{
	set_host("kvm_amd", "6.1.0", "host");
}

TestSuite(find_deviation, .init = set_any_host);

static const char *reason(const char *id)
{
	const struct deviation *d = find_deviation(id, NULL);

	return d ? d->reason : NULL;
}

Test(find_deviation, needs_every_column_to_match)
{
	set_host("kvm_none", "0.0.1", "abacus");
	cr_assert_str_eq(reason("known/fails_on_another_vendor"), "listed for another vendor");
	cr_assert_str_eq(reason("known/fails_on_another_kernel"), "listed for another kernel");
	cr_assert_str_eq(reason("known/fails_on_another_engine"), "listed for another engine");
	set_host("kvm_amd", "6.1.0", "host");
	cr_assert_null(reason("known/fails_on_another_vendor"));
	cr_assert_null(reason("known/fails_on_another_kernel"));
	cr_assert_null(reason("known/fails_on_another_engine"));
}

Test(find_deviation, matches_whole_ids)
{
	set_host("kvm_amd", "6.1.0", "host");
	cr_assert_str_eq(reason("known/fails"), "listed: a <reason> # with signs");
	cr_assert_null(reason("known/fail"));
	cr_assert_null(reason("known/fails/real16"));
	cr_assert_null(reason(""));
}

Test(find_deviation, takes_back_what_rows_below_list)
{
	cr_assert_null(reason("known/is_taken_out"));
	cr_assert_not_null(reason("known/is_another"));
}

Test(find_deviation, says_whether_it_fails_as_listed)
{
	const struct deviation *d = find_deviation("known/fails", "it does not");

	cr_assert(d->is_as_listed);
	cr_assert_str_eq(d->link, "https://example.org/1");
	cr_assert(!find_deviation("known/fails", "it does not either")->is_as_listed);
	cr_assert(!find_deviation("known/fails", NULL)->is_as_listed);
}

Test(find_deviation, takes_the_first_row_that_fails_so)
{
	const char *id = "known/fails_in_the_second_way";

	cr_assert_str_eq(find_deviation(id, "it does nothing")->reason, "the first way");
	cr_assert_str_eq(find_deviation(id, "it does not")->reason, "the second way");
	cr_assert_str_eq(find_deviation(id, "it does all")->reason, "the second way");
	cr_assert_str_eq(find_deviation(id, "it is")->reason, "the first way");
	cr_assert(!find_deviation(id, "it is")->is_as_listed);
}

/* Of the rows ranges/… in the table. */
Test(find_deviation, knows_ranges_of_kernels)
{
	static const struct {
		const char *kernel, *listed; /* the rows ranges/… that are about it */
	} kernels[] = {
		{ "6.0.19", "below " },
		{ "6.1.0", "below one from_to " },
		{ "6.1.192-cloud-amd64", "below one from_to " },
		{ "6.2", "below from_to " },
		{ "6.12.117", "from_to " },
		{ "6.13-rc1", "from " },
		{ "6.18.44-fc-v657", "from " },
		{ "7.0.0", "from " },
		{ "10.1", "from " },
	};
	static const char *const rows[] = { "below", "one", "from_to", "from" };

	for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
		char listed[64] = "", id[32];
		size_t used = 0;

		set_host("kvm_amd", kernels[i].kernel, "host");
		for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
			snprintf(id, sizeof id, "ranges/%s", rows[j]);
			if (find_deviation(id, NULL))
				used += snprintf(listed + used, sizeof listed - used, "%s ",
						 rows[j]);
		}
		cr_expect_str_eq(listed, kernels[i].listed, "%s: %s", kernels[i].kernel, listed);
	}
}

Test(is_expected_of_kernel, needs_every_column_to_match)
{
	set_host("kvm_amd", "6.1.0", "host");
	cr_assert(is_expected_of_kernel("kvm: expected of all hosts"));
	cr_assert(!is_expected_of_kernel("kvm: expected of all"));
	cr_assert(!is_expected_of_kernel("kvm: expected elsewhere"));
	cr_assert(!is_expected_of_kernel("kvm: expected of older kernels"));
	set_host("kvm_none", "0.0.9", "host");
	cr_assert(is_expected_of_kernel("kvm: expected elsewhere"));
	cr_assert(is_expected_of_kernel("kvm: expected of older kernels"));
}
