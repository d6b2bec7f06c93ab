/* SPDX-License-Identifier: MIT */
/* Eventfds, for cases in which KVM waits for one or signals one. */
#ifndef KVMSPEC_EVENTFDS_H
#define KVMSPEC_EVENTFDS_H

#include "kvmspec.h"

#include <sys/eventfd.h>
#include <unistd.h>

static inline int make_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		error("eventfd: %s", strerror(errno));
	return fd;
}

/* How often it was signalled since the last look. */
static inline uint64_t signals_of(int fd)
{
	uint64_t count = 0;

	return read(fd, &count, sizeof count) == sizeof count ? count : 0;
}

static inline void signal_eventfd(int fd)
{
	const uint64_t one = 1;

	if (write(fd, &one, sizeof one) != sizeof one)
		error("write to an eventfd: %s", strerror(errno));
}

#endif
