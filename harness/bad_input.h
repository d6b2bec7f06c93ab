/* SPDX-License-Identifier: MIT */
/*
 * What ioctls refuse, as tables: on what, with which error, and what is wrong with the argument.
 *
 *	expect_bad_input(
 *		ADDRESSES(KVM_IRQFD, VM),
 *		BAD(KVM_IRQFD, VM, EINVAL, "no in-kernel irqchip", { .fd = EVENT_FD }),
 *		BAD(KVM_IRQFD, VM | IRQCHIP, EINVAL, "an unknown flag", { .flags = 1u << 31 }));
 *
 * Rows run in order, and those on the same scene share a VM. After each row the VM must still run a
 * guest; one that has no vCPU gets it as soon as another scene follows, or at the end.
 */
#ifndef KVMSPEC_BAD_INPUT_H
#define KVMSPEC_BAD_INPUT_H

#include "case.h"
#include "expect.h"
#include "ioctl.h"

#include <stddef.h>

/* What the ioctl is issued on: one of the first four, and what is special about it. */
enum scene {
	SYSTEM = FD_SYSTEM,
	VM = FD_VM, /* with RAM and vCPU 0, whose irqchip is userspace's */
	VCPU = FD_VCPU,
	DEVICE = FD_DEVICE, /* KVM_DEV_TYPE_VFIO, the one that x86 has; rows on it need one */

	IRQCHIP = 1 << 4,       /* by KVM_CREATE_IRQCHIP */
	SPLIT_IRQCHIP = 1 << 5, /* by KVM_CAP_SPLIT_IRQCHIP */
	PIT = 1 << 6,
	NO_VCPU = 1 << 7,
	CPUID = 1 << 8,     /* the vCPU has that of KVM_GET_SUPPORTED_CPUID */
	SMRAM = 1 << 10,    /* the RAM is there in system management mode, too */
	NEVER_RAN = 1 << 9, /* the vCPU: a VM of its own for each row */

	READ_ONLY = 1 << 11, /* the argument is in memory that cannot be written */
};

/* Descriptors that rows can name. */
enum { NO_FD = -1, EVENT_FD = 200, FILE_FD /* no eventfd */ };

/* Addresses in the argument's place. No process has the first page (vm.mmap_min_addr). */
#define UNMAPPED       0x800
#define KERNELS_MEMORY 0xffffffff81000000

struct bad_input {
	enum ioctl_index which;
	unsigned scene;
	int err;              /* 0: it is taken */
	const char *what;     /* "an unknown flag" */
	const void *argument; /* size bytes; NULL: value is the argument */
	size_t size;
	unsigned long value;
	const void *rest; /* of a list, after the structure; NULL: zeros */
	size_t rest_size;
	int source;       /* not 0: another ioctl, which fills in the argument first */
	struct need need; /* else the row is left out */
};

/* Types of arguments, as compound literals have them. */
#define IOCTL(name, kinds, type)                                                                   \
	typedef __typeof__(*_Generic((type)0, unsigned long                                        \
				     : (unsigned long *)0, default                                 \
				     : (type)0)) argument_##name;
/* clang-format off */
IOCTLS(IOCTL)
#undef IOCTL

/* BAD(ioctl, scene, errno, what is wrong, { fields }); an ioctl that takes a number: { number }. */
#define BAD(name, scene_, err_, what_, ...) \
	{ BAD_ROW(INDEX_##name, scene_, err_, what_), BAD_ARGUMENT(argument_##name, __VA_ARGS__) }
/* Only where the need is met: BAD_IF(CAP(KVM_CAP_ONE_REG), KVM_GET_ONE_REG, …). */
#define BAD_IF(need_, name, scene_, err_, what_, ...) \
	{ BAD_ROW(INDEX_##name, scene_, err_, what_), BAD_ARGUMENT(argument_##name, __VA_ARGS__), \
	  .need = need_ }
/* With an entry after the structure: BAD_LIST(…, ({ .nent = 1 }), struct kvm_cpuid_entry2, { … }). */
#define BAD_LIST(name, scene_, err_, what_, head, entry, ...) \
	{ BAD_ROW(INDEX_##name, scene_, err_, what_), \
	  BAD_ARGUMENT(argument_##name, WITHOUT_PARENTHESES head), \
	  .rest = &(const entry)__VA_ARGS__, .rest_size = sizeof(entry) }
#define WITHOUT_PARENTHESES(...) __VA_ARGS__
/* It is taken, although one might think otherwise. */
#define TAKEN(name, scene_, what_, ...) \
	{ BAD_ROW(INDEX_##name, scene_, 0, what_), BAD_ARGUMENT(argument_##name, __VA_ARGS__) }
/* The control: nothing is wrong, and it succeeds; with room for so many entries after the structure. */
#define GOOD(name, scene_, ...) \
	{ BAD_ROW(INDEX_##name, scene_, 0, "nothing wrong"), BAD_ARGUMENT(argument_##name, __VA_ARGS__) }
#define GOOD_LIST(name, scene_, entry, count, ...) \
	{ BAD_ROW(INDEX_##name, scene_, 0, "nothing wrong"), \
	  BAD_ARGUMENT(argument_##name, __VA_ARGS__), .rest_size = (count) * sizeof(entry) }
/* What the other ioctl has returned. */
#define GOOD_AS(name, other, scene_, ...) \
	{ BAD_ROW(INDEX_##name, scene_, 0, "what " #other " has returned"), \
	  BAD_ARGUMENT(argument_##name, __VA_ARGS__), .source = INDEX_##other }
/* An address in the argument's place. */
#define BAD_ADDRESS(name, scene_, err_, what_, address) \
	{ BAD_ROW(INDEX_##name, scene_, err_, what_), .value = (address) }
#define ADDRESSES(name, scene_) BAD_ADDRESSES(INDEX_##name, scene_)
/* Of an ioctl that returns a structure and reads nothing. */
#define RESULT(name, scene_) \
	BAD_ADDRESSES(INDEX_##name, scene_), \
	{ BAD_ROW(INDEX_##name, (scene_) | READ_ONLY, EFAULT, "memory that cannot be written"), \
	  .argument = all_zeros, .size = sizeof(argument_##name) }, \
	{ BAD_ROW(INDEX_##name, scene_, 0, "nothing wrong"), \
	  .argument = all_zeros, .size = sizeof(argument_##name) }

#define BAD_ROW(index, scene_, err_, what_) \
	.which = (index), .scene = (scene_), .err = (err_), .what = (what_)
#define BAD_ARGUMENT(type, ...) .argument = &(const type)__VA_ARGS__, .size = sizeof(type)
#define BAD_ADDRESSES(index, scene_) \
	{ BAD_ROW(index, scene_, EFAULT, "NULL"), .value = 0 }, \
	{ BAD_ROW(index, scene_, EFAULT, "an address that is not mapped"), .value = UNMAPPED }, \
	{ BAD_ROW(index, scene_, EFAULT, "an address of the kernel's"), .value = KERNELS_MEMORY }
/* clang-format on */

#define expect_bad_input(...)                                                                      \
	({                                                                                         \
		const struct bad_input rows_[] = { __VA_ARGS__ };                                  \
		expect_bad_input_(HERE, rows_, sizeof rows_ / sizeof *rows_);                      \
	})
extern const char all_zeros[0x1000];
void expect_bad_input_(const char *file, int line, const struct bad_input *rows, size_t count);

#endif
