/* SPDX-License-Identifier: MIT */
/*
 * The one function that issues KVM's ioctls, and the typed forms that cases use:
 *
 *	x(vcpu, KVM_GET_REGS, &regs)		must succeed, or the case fails with a decoded error
 *	x_try(vcpu, KVM_GET_REGS, &regs)	returns what a kernel function would: -errno on error
 *
 * A wrong argument type, or an ioctl on the wrong kind of file descriptor, does not compile with
 * x() and x_try(). See x86/ioctls.h for the table.
 */
#ifndef KVMSPEC_IOCTL_H
#define KVMSPEC_IOCTL_H

#include "kvm_compat.h"
#include "x86/ioctls.h"

#include <stdbool.h>

enum fd_kind { FD_SYSTEM = 1, FD_VM = 2, FD_VCPU = 4, FD_DEVICE = 8 };

/* A KVM file descriptor; the first member of struct vm, struct vcpu, … */
struct kvm_fd {
	int fd;
	enum fd_kind kind; /* what x() says it is */
};

enum ioctl_index {
#define IOCTL(name, kinds, type) INDEX_##name,
	IOCTLS(IOCTL)
#undef IOCTL
		IOCTL_COUNT
};

/* A pair of ioctl and kind of file descriptor: those of an ioctl stand together, by kind. */
#define HAS_KIND(kinds, kind) (((kinds) & (kind)) != 0)
#define COUNT_KINDS(kinds)                                                                         \
	(HAS_KIND(kinds, FD_SYSTEM) + HAS_KIND(kinds, FD_VM) + HAS_KIND(kinds, FD_VCPU) +          \
	 HAS_KIND(kinds, FD_DEVICE))
enum ioctl_pair {
#define IOCTL(name, kinds, type)                                                                   \
	PAIR_##name, LAST_PAIR_##name = PAIR_##name + COUNT_KINDS(kinds) - 1,
	IOCTLS(IOCTL)
#undef IOCTL
		PAIR_COUNT
};

enum {
#define IOCTL(name, kinds, type) KINDS_##name = (kinds),
	IOCTLS(IOCTL)
#undef IOCTL
};

/* The argument as ioctl(2) takes it; the parameter's type is the check. */
#define IOCTL(name, kinds, type)                                                                   \
	static inline unsigned long arg_##name(type arg)                                           \
	{                                                                                          \
		return (unsigned long)arg;                                                         \
	}
IOCTLS(IOCTL)
#undef IOCTL

struct ioctl_info {
	const char *name;  /* "KVM_RUN" */
	unsigned long nr;  /* KVM_RUN */
	unsigned kinds;    /* of file descriptors that take it: enum fd_kind */
	unsigned pair;     /* the first of its pairs */
	bool takes_number; /* or nothing; else its argument is an address */
};

extern const struct ioctl_info ioctl_table[IOCTL_COUNT];

/* The pair of the ioctl and one of its kinds. */
static inline unsigned ioctl_pair(enum ioctl_index which, unsigned kind)
{
	return ioctl_table[which].pair + COUNT_KINDS(ioctl_table[which].kinds & (kind - 1));
}

/*
 * Issues the ioctl and records what it returned. Returns its result, or -errno.
 */
int kvm_ioctl(const struct kvm_fd *fd, enum ioctl_index which, unsigned long arg);

/* As kvm_ioctl(), but an error ends the case as a failure. */
int kvm_ioctl_checked(const struct kvm_fd *fd, enum ioctl_index which, unsigned long arg,
		      const char *file, int line);

struct kvm;
struct vm;
struct vcpu;
struct device;

#define KIND_OF(object)                                                                            \
	_Generic((object), struct kvm *                                                            \
		 : FD_SYSTEM, struct vm *                                                          \
		 : FD_VM, struct vcpu *                                                            \
		 : FD_VCPU, struct device *                                                        \
		 : FD_DEVICE)

/* clang-format off: an ioctl that takes nothing needs no argument here */
#define x(object, name, ...)                                                                       \
	kvm_ioctl_checked(&(object)->kvm_fd, INDEX_##name,                                         \
			  IOCTL_ARG(object, #name, KINDS_##name, arg_##name, __VA_ARGS__),         \
			  __FILE__, __LINE__)
#define x_try(object, name, ...)                                                                   \
	kvm_ioctl(&(object)->kvm_fd, INDEX_##name,                                                 \
		  IOCTL_ARG(object, #name, KINDS_##name, arg_##name, __VA_ARGS__))

/* No block here: a compound literal that the caller passes must live until the ioctl returns. */
#define IOCTL_ARG(object, text, kinds, arg_of, ...)                                                \
	(0 * sizeof(struct {                                                                       \
		 int unused;                                                                       \
		 _Static_assert(((kinds)&KIND_OF(object)) != 0,                                    \
				text " is no ioctl of this file descriptor");                      \
	 }) +                                                                                      \
	 arg_of(__VA_ARGS__ ZERO_IF_EMPTY(__VA_ARGS__)))
#define ZERO_IF_EMPTY(...) ZERO_OR(__VA_OPT__(NOTHING))
#define ZERO_OR(what)      ZERO_OR_(what)
#define ZERO_OR_(what)     ARGUMENT_##what
#define ARGUMENT_          0
#define ARGUMENT_NOTHING
/* clang-format on */

#endif
