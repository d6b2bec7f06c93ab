// SPDX-License-Identifier: MIT
/*
 * What cases say: messages and output that every report must carry unharmed. test_fixtures.py and
 * test_reports.py know what must be reported.
 */
#include "kvmspec.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Markup, quotes, TAP's and YAML's signs, lines, UTF-8, and bytes that are none. */
#define NASTY                                                                                        \
	"<a href=\"x\">&amp; ]]> 'q' # TODO \\ \\n %d: - | ~ {[\n"                                   \
	"  ...\n---\nok 1 - \t\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa7 \xff\xc0\xaf\xed\xa0\x80\x01\x7f" \
	"\xc2\x85\xe2\x80\xa8\x1b[31m\r end"

CASE(words, nasty_failure, .contract = "fixture.contract")
{
	fail(NASTY, "%s", NASTY);
}

CASE(words, nasty_skip)
{
	skip("%s", NASTY);
}

CASE(words, nasty_error)
{
	error("%s", NASTY);
}

CASE(words, nasty_output)
{
	fputs(NASTY, stdout);
	fflush(stdout);
	fputs("and on stderr\n", stderr);
}

CASE(words, nasty_output_of_a_failure)
{
	fputs(NASTY, stdout);
	fail("nothing", "something");
}

/* Words that YAML readers take for truth values, null and numbers. */
CASE(words, no_is_no_boolean)
{
	fail("yes", "no");
}

CASE(words, null_is_no_null)
{
	fail("0x10", "null");
}

CASE(words, empty)
{
	fail("", "%s", "");
}

CASE(words, ends_with_a_newline)
{
	fail("one line\n", "two\n  lines\n");
}

/* Longer than any field: what is cut off must not leave half a character. */
CASE(words, long_message)
{
	static char text[8192] = "x";

	for (size_t i = 1; i + 4 < sizeof text; i += 3)
		memcpy(text + i, "\xe2\x82\xac", 3);
	fail(text, "%s", text + 1);
}

CASE(words, prints_and_passes)
{
	puts("a line on stdout");
	fflush(stdout);
	fputs("a line on stderr\n", stderr);
}

CASE(words, prints_unflushed_and_fails)
{
	printf("no newline at the end");
	fail("nothing", "something");
}

CASE(words, closes_stdout)
{
	fclose(stdout);
	fclose(stderr);
	close(STDIN_FILENO);
}

#define FLOOD_MIB 100

CASE(words, flood)
{
	static char block[1 << 20];

	memset(block, 'x', sizeof block);
	for (int i = 0; i < FLOOD_MIB; i++)
		if (write(STDOUT_FILENO, block, sizeof block) != sizeof block)
			error("write");
}

CASE(words, flood_and_hang, .timeout = 0.5)
{
	static char block[1 << 16];

	memset(block, 'y', sizeof block);
	for (;;)
		if (write(STDOUT_FILENO, block, sizeof block) < 0)
			error("write");
}
