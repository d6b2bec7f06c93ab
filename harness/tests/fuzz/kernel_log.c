// SPDX-License-Identifier: MIT
/*
 * runner/klog.c: records of /dev/kmsg, separated by empty lines in the input. As there, each read
 * gives one; the log is a file in memory.
 */
#include "fuzz.h"

#include "runner/klog.h"
#include "runner/run.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

static int log_fd;
static off_t written;

/* Cases are odd, and their threads the even numbers above them. */
static pid_t case_of(pid_t thread)
{
	return thread % 2 ? thread : thread % 3 ? thread - 1 : 0;
}

static unsigned running(void)
{
	return 2;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char path[32];

	(void)argc, (void)argv;
	log_fd = memfd_create("kmsg", 0);
	must(log_fd >= 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", log_fd);
	must(!klog_open(path, (struct klog_cases){ case_of, running }));
	return 0;
}

static void append(const void *record, size_t size)
{
	must(write(log_fd, record, size) == (ssize_t)size);
	klog_position(); /* reads it */
	written += size;
	if (written >> 20 != (written - (off_t)size) >> 20) /* what was read needs no memory */
		fallocate(log_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t before = klog_position(), any = 0;
	json_t *lines, *line;
	struct klog_fault fault;
	size_t i;

	/* what a case could have written where its position is kept */
	memcpy(&any, data, size < sizeof any ? size : sizeof any);
	for (const uint8_t *end = data + size; data < end;) {
		const uint8_t *stop = memmem(data, end - data, "\n\n", 2);

		append(data, (stop ? stop : end) - data);
		data = stop ? stop + 2 : end;
	}
	lines = klog_since(before, 2);
	must(json_array_size(lines) <= klog_position() - before);
	json_array_foreach(lines, i, line)
		must(json_is_string(line) && !strchr(json_string_value(line), '\n'));
	json_decref(lines);
	json_decref(klog_since(any, 1));
	if (klog_find_fault(before, 1, &fault))
		must(!strchr(fault.text, '\n') && fault.others < 2);
	klog_find_fault(any, 2, &fault);
	return 0;
}
