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

/* clang-format off */
#define TAKES_NUMBER(type) _Generic((type)0, unsigned long: true, default: false)
/* clang-format on */

const struct ioctl_info ioctl_table[IOCTL_COUNT] = {
#define IOCTL(name, kinds, type)                                                                   \
	[INDEX_##name] = { #name, name, kinds, PAIR_##name, TAKES_NUMBER(type) },
	IOCTLS(IOCTL)
#undef IOCTL
};

static struct evidence nobody_reads_this;
struct evidence *evidence = &nobody_reads_this;

/* A descriptor that no harness made says nothing of its kind: then it is the ioctl's first. */
static unsigned kind_of(const struct kvm_fd *fd, enum ioctl_index which)
{
	unsigned kinds = ioctl_table[which].kinds;

	return fd->kind & kinds ? fd->kind : kinds & -kinds;
}

/* KVM has read what it is to enable, unless it could not, or would not for this process. */
static void record_cap(const struct kvm_enable_cap *cap, int err)
{
	if (err != EFAULT && err != EIO)
		evidence_cap(cap->cap, err ? CAP_REFUSED : CAP_ENABLED);
}

static void record(const struct kvm_fd *fd, enum ioctl_index which, unsigned long arg, int err)
{
	unsigned pair = ioctl_pair(which, kind_of(fd, which));

	evidence_count(&evidence->ioctls[pair][err < EVIDENCE_ERRNOS ? err : EVIDENCE_ERRNOS - 1]);
	if (which == INDEX_KVM_ENABLE_CAP)
		record_cap((const struct kvm_enable_cap *)arg, err);
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
	record(fd, which, arg, result < 0 ? -result : 0);
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
