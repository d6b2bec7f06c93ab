// SPDX-License-Identifier: MIT
#include "runner/ftrace.h"

#include "runner/run.h"
#include "runner/zygote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough for FTRACE_LINES events and many more, on each CPU; reading it is quick. */
#define BUFFER_KB "64"

#define MARK "kvmspec case begins"

static char instance[128]; /* its directory; "" if there is none */
static pid_t owner;
static unsigned long marks;

/* Writes to a file of the instance. Returns 0, or -errno. */
static int set(const char *file, const char *value)
{
	char path[192];
	int fd, result = 0;

	snprintf(path, sizeof path, "%s/%s", instance, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		result = -errno;
	if (fd >= 0)
		close(fd);
	return result;
}

/* Where tracefs is, or why it is not to be had. */
static const char *find_tracefs(char *reason, size_t size)
{
	static const char *const places[] = { "/sys/kernel/tracing", "/sys/kernel/debug/tracing" };
	char path[64];

	snprintf(reason, size,
		 "tracefs is not mounted: mount -t tracefs nodev /sys/kernel/tracing");
	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, sizeof path, "%s/instances", places[i]);
		if (access(path, W_OK) == 0)
			return places[i];
		if (errno == EACCES)
			snprintf(reason, size, "%s: %s: run as root", path, strerror(errno));
		else if (errno != ENOENT)
			snprintf(reason, size, "%s: %s", path, strerror(errno));
	}
	return NULL;
}

const char *ftrace_open(void)
{
	static char reason[256];
	char pids[32];
	const struct {
		const char *file, *value;
	} settings[] = {
		{ "buffer_size_kb", BUFFER_KB },
		{ "options/event-fork", "1" }, /* children of these are traced, too */
		{ "set_event_pid", pids },
		{ "events/kvm/enable", "1" },
	};
	const char *tracefs = find_tracefs(reason, sizeof reason);

	if (!tracefs)
		return reason;
	/* the runner has no events, but starts another zygote if a case kills this one */
	snprintf(pids, sizeof pids, "%d %d", (int)zygote_pid(), (int)getpid());
	snprintf(instance, sizeof instance, "%s/instances/kvmspec-%d", tracefs, (int)getpid());
	if (mkdir(instance, 0700) != 0) {
		snprintf(reason, sizeof reason, "cannot create %s: %s", instance, strerror(errno));
		instance[0] = '\0';
		return reason;
	}
	owner = getpid();
	atexit(ftrace_close);
	for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
		int err = -set(settings[i].file, settings[i].value);

		if (err) {
			snprintf(reason, sizeof reason, "%s/%s: %s", instance, settings[i].file,
				 strerror(err));
			ftrace_close();
			return reason;
		}
	}
	/* about the process's own pages: when it ends, they would be all there is */
	set("events/kvm/kvm_unmap_hva_range/enable", "0");
	set("events/kvm/kvm_set_spte_hva/enable", "0"); /* not there from 6.10 on */
	return NULL;
}

/* A marker, not an empty buffer: emptying it waits for a grace period. */
void ftrace_mark(void)
{
	char text[64];

	if (!instance[0])
		return;
	snprintf(text, sizeof text, MARK " %lu", ++marks);
	set("trace_marker", text);
}

/* A line without the space around it. */
static json_t *tidy(const char *line)
{
	size_t len;

	while (*line == ' ')
		line++;
	len = strlen(line);
	while (len && strchr(" \n", line[len - 1]))
		len--;
	return clean_text(line, len);
}

json_t *ftrace_since_mark(void)
{
	char path[192], mark[64], line[1024];
	json_t *array = json_array();
	FILE *f;

	snprintf(path, sizeof path, "%s/trace", instance);
	snprintf(mark, sizeof mark, MARK " %lu\n", marks);
	f = instance[0] ? fopen(path, "re") : NULL;
	while (f && fgets(line, sizeof line, f)) {
		if (strstr(line, mark))
			json_array_clear(array);
		else if (line[0] != '#')
			json_array_append_new(array, tidy(line));
		if (json_array_size(array) > FTRACE_LINES)
			json_array_remove(array, 0);
	}
	if (f)
		fclose(f);
	return array;
}

void ftrace_close(void)
{
	if (!instance[0] || getpid() != owner)
		return;
	set("events/enable", "0");
	rmdir(instance);
	instance[0] = '\0';
}
