/* SPDX-License-Identifier: MIT */
#ifndef KVMSPEC_CLOCK_H
#define KVMSPEC_CLOCK_H

#include <time.h>

/* CLOCK_MONOTONIC, in nanoseconds. */
static inline unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

#endif
