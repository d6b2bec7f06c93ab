// SPDX-License-Identifier: MIT
/* What takes the whole machine along: only on request, and only in a lab's guest (ci/tests). */
#include "kvmspec.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		error("cannot write to %s", path);
	close(fd);
}

/* ci/laboratory/init has put us there; no other machine has such a file. */
static void need_a_lab(void)
{
	if (getpid() == 1 || access("/lab/kvmspec", X_OK) != 0)
		skip("this machine is needed");
}

CASE(machine, panics, .on_request = true)
{
	need_a_lab();
	write_file("/proc/sysrq-trigger", "c");
}

/* Nothing else gets the CPU any more. */
CASE(machine, hangs, .on_request = true)
{
	need_a_lab();
	write_file("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 99 });
	for (;;)
		;
}
