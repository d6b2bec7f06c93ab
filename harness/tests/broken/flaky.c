// SPDX-License-Identifier: MIT
/* Cases whose verdict changes: those of test_repeat.py, one at a time. */
#include "kvmspec.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* How often cases have asked: one byte each in a file. */
static int count_up(void)
{
	const char *path = getenv("KVMSPEC_TEST_COUNTER");
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
	struct stat st;

	if (write(fd, "x", 1) != 1 || fstat(fd, &st) != 0)
		error("cannot write to $KVMSPEC_TEST_COUNTER");
	close(fd);
	return (int)st.st_size;
}

CASE(flaky, fails_the_third_time, .on_request = true)
{
	if (count_up() == 3)
		fail("it holds", "it does not");
}
