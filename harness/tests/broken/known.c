// SPDX-License-Identifier: MIT
/* Cases that are listed, rightly and wrongly, in this directory's deviations.tsv. */
#include "kvmspec.h"

CASE(known, fails)
{
	fail("this works", "it does not");
}

CASE(known, passes)
{
}

CASE(known, ends_in_an_error)
{
	error("out of luck");
}

CASE(known, fails_in_another_way)
{
	fail("this works", "it does not");
}

CASE(known, fails_in_the_second_way)
{
	fail("this works", "it does not");
}

CASE(known, is_taken_out)
{
	fail("this works", "it does not");
}

CASE(known, fails_on_another_vendor)
{
	fail("this works", "it does not");
}

CASE(known, fails_on_another_kernel)
{
	fail("this works", "it does not");
}

CASE(known, fails_on_another_engine)
{
	fail("this works", "it does not");
}
