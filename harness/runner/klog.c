// SPDX-License-Identifier: MIT
#include "runner/klog.h"

#include "runner/run.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES 512

static int fd = -1;
static bool (*is_case_process)(pid_t pid);
static char (*lines)[LINE_BYTES]; /* a ring of KLOG_LINES */
static uint64_t count;            /* lines read so far: the position */

const char *klog_open(const char *path, bool (*is_case)(pid_t))
{
	static char reason[256];

	is_case_process = is_case;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) {
		snprintf(reason, sizeof reason, "%s: %s", path, strerror(errno));
		return reason;
	}
	lines = calloc(KLOG_LINES, sizeof *lines);
	return lines ? NULL : "out of memory";
}

/* One record: "priority,sequence,microseconds,flags;text", then lines of keys and values. */
static void keep(const char *record)
{
	const char *text = strchr(record, ';');

	text = text ? text + 1 : record;
	snprintf(lines[count++ % KLOG_LINES], LINE_BYTES, "%.*s", (int)strcspn(text, "\n"), text);
}

static void read_new(void)
{
	char record[8192];
	ssize_t n;

	while (lines) {
		n = read(fd, record, sizeof record - 1);
		if (n > 0) {
			record[n] = '\0';
			keep(record);
		} else if (n == 0 || errno != EPIPE) { /* EPIPE: overwritten before we read it */
			return;
		}
	}
}

uint64_t klog_position(void)
{
	read_new();
	return count;
}

/* Whether a line of KVM's names another case's process: "kvm [123]: …", "kvm-pvm: pid 123 …". */
static bool is_anothers(const char *line, pid_t pid)
{
	static const char *const forms[] = { "kvm [", "pid " };

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		const char *at = strstr(line, forms[i]);
		pid_t about = at ? atoi(at + strlen(forms[i])) : 0;

		if (about && about != pid && is_case_process(about))
			return true;
	}
	return false;
}

json_t *klog_since(uint64_t position, pid_t pid)
{
	json_t *array = json_array();

	if (!lines)
		return array;
	read_new();
	if (count - position > KLOG_LINES)
		position = count - KLOG_LINES;
	for (; position < count; position++) {
		const char *line = lines[position % KLOG_LINES];

		if (!is_anothers(line, pid))
			json_array_append_new(array, clean_text(line, strlen(line)));
	}
	return array;
}
