// SPDX-License-Identifier: MIT
/*
 * Lies about KVM, so that two runs differ in a known way: linked into kvmspec with --wrap=ioctl.
 * $KVMSPEC_SHIM says how:
 *
 *	hide      KVM_CAP_IMMEDIATE_EXIT is not there
 *	break     KVM_CREATE_VCPU with an id that is in use fails with EINVAL, not EEXIST
 *	delay=N   KVM_RUN returns N ns later if a signal ended it
 */
#include "kvm_compat.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void spin(uint64_t ns)
{
	for (uint64_t end = now() + ns; now() < end;)
		;
}

int __real_ioctl(int fd, unsigned long request, unsigned long arg);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	const char *how = getenv("KVMSPEC_SHIM") ?: "";
	unsigned long arg;
	va_list args;
	int result;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);
	if (strcmp(how, "hide") == 0 && request == KVM_CHECK_EXTENSION &&
	    arg == KVM_CAP_IMMEDIATE_EXIT)
		return 0;
	result = __real_ioctl(fd, request, arg);
	if (result >= 0)
		return result;
	if (strcmp(how, "break") == 0 && request == KVM_CREATE_VCPU && errno == EEXIST)
		errno = EINVAL;
	if (strncmp(how, "delay=", 6) == 0 && request == KVM_RUN && errno == EINTR) {
		spin(strtoull(how + 6, NULL, 10));
		errno = EINTR;
	}
	return result;
}
