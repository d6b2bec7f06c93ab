// SPDX-License-Identifier: MIT
/* host_open() where KVM is not what it must be. Linked with --wrap=ioctl, so that ioctl() can lie. */
#include <criterion/criterion.h>

#include "host.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

static int api_version; /* what KVM_GET_API_VERSION returns, or -errno; 0: ask the kernel */

int __real_ioctl(int fd, unsigned long request, unsigned long arg);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...)
{
	unsigned long arg;
	va_list args;

	va_start(args, request);
	arg = va_arg(args, unsigned long);
	va_end(args);
	if (request != KVM_GET_API_VERSION || !api_version)
		return __real_ioctl(fd, request, arg);
	if (api_version < 0)
		errno = -api_version;
	return api_version < 0 ? -1 : api_version;
}

static void expect_refusal(const char *path, int version, const char *words)
{
	const char *problem;

	api_version = version;
	problem = host_open(path);
	cr_assert(problem && strstr(problem, words) && strstr(problem, path), "'%s', not '%s'",
		  problem ? problem : "no problem", words);
}

/* api.rst: applications should refuse to run if KVM_GET_API_VERSION returns anything but 12. */
Test(host_open, refuses_other_api_versions)
{
	expect_refusal("/dev/null", 11, "with 11 instead of 12");
	expect_refusal("/dev/null", 13, "with 13 instead of 12");
}

Test(host_open, refuses_what_is_not_kvm)
{
	expect_refusal("/dev/null", 0, "is not KVM");
	expect_refusal("/dev/null", -ENOTTY, "is not KVM");
	expect_refusal("/dev/null", -EINVAL, "is not KVM");
}

Test(host_open, says_why_it_cannot_open)
{
	expect_refusal("/nonexistent/kvm", 0, "does not exist");
	expect_refusal("/dev", 0, "cannot open");
}
