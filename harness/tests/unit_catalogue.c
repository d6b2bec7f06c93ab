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

Test(find_deviation, needs_every_column_to_match)
{
	set_host("kvm_none", "0.0.1", "abacus");
	cr_assert_str_eq(find_deviation("known/fails_on_another_vendor"),
			 "listed for another vendor");
	cr_assert_str_eq(find_deviation("known/fails_on_another_kernel"),
			 "listed for another kernel");
	cr_assert_str_eq(find_deviation("known/fails_on_another_engine"),
			 "listed for another engine");
	set_host("kvm_amd", "6.1.0", "host");
	cr_assert_null(find_deviation("known/fails_on_another_vendor"));
	cr_assert_null(find_deviation("known/fails_on_another_kernel"));
	cr_assert_null(find_deviation("known/fails_on_another_engine"));
}

Test(find_deviation, matches_whole_ids)
{
	set_host("kvm_amd", "6.1.0", "host");
	cr_assert_str_eq(find_deviation("known/fails"), "listed: a <reason> # with signs");
	cr_assert_null(find_deviation("known/fail"));
	cr_assert_null(find_deviation("known/fails/real16"));
	cr_assert_null(find_deviation(""));
}
