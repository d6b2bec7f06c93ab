// SPDX-License-Identifier: MIT
#include "ioctl.h"

#include "case.h"
#include "evidence.h"
#include "names.h"
#include "trace.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const struct ioctl_info ioctl_table[IOCTL_COUNT] = {
#define IOCTL(name, kinds, type)                                                                   \
	[INDEX_##name] = { #name, name, kinds,                                                     \
			   _Generic((type)0, unsigned long                                         \
				    : true, default                                                \
				    : false) },
	IOCTLS(IOCTL)
#undef IOCTL
};

static struct evidence nobody_reads_this;
struct evidence *evidence = &nobody_reads_this;

static void record(enum ioctl_index which, unsigned long arg, int err)
{
	evidence_count(&evidence->ioctls[which][err < EVIDENCE_ERRNOS ? err : EVIDENCE_ERRNOS - 1]);
	if (which == INDEX_KVM_ENABLE_CAP && err == 0) /* so there is something at arg */
		evidence_cap(((const struct kvm_enable_cap *)arg)->cap, CAP_ENABLED);
}

/* The kernel's log names threads: the runner must know whose they are. */
static void note_thread(void)
{
	static _Thread_local pid_t noted; /* also in a forked child, whose own number differs */
	pid_t self = gettid();
	uint32_t slot;

	if (noted == self)
		return;
	noted = self;
	slot = __atomic_fetch_add(&evidence->thread_count, 1, __ATOMIC_RELAXED);
	if (slot < EVIDENCE_THREADS)
		evidence->threads[slot] = self;
}

int kvm_ioctl(const struct kvm_fd *fd, enum ioctl_index which, unsigned long arg)
{
	int result;

	note_thread();
	result = ioctl(fd->fd, ioctl_table[which].nr, arg);

	if (result < 0)
		result = -errno;
	record(which, arg, result < 0 ? -result : 0);
	if (__builtin_expect(is_traced, false))
		trace_ioctl(fd, which, arg, result);
	return result;
}

int kvm_ioctl_checked(const struct kvm_fd *fd, enum ioctl_index which, unsigned long arg,
		      const char *file, int line)
{
	int result = kvm_ioctl(fd, which, arg);

	if (result < 0) {
		char expected[64];

		snprintf(expected, sizeof expected, "%s succeeds", ioctl_table[which].name);
		case_fail(NULL, file, line, expected, "%s fails with %s (%s)",
			  ioctl_table[which].name, errno_name(-result), strerror(-result));
	}
	return result;
}
