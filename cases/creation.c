// SPDX-License-Identifier: MIT
/*
 * The three kinds of file descriptor: making them, what each refuses, and how long they live.
 * Documented in api.rst: 1. General description, 2. Restrictions, KVM_GET_API_VERSION,
 * KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_CHECK_EXTENSION, KVM_GET_VCPU_MMAP_SIZE, KVM_RUN.
 */
#include "kvmspec.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST_EACH_MODE(hlt_loop);

#define UNKNOWN_EXTENSION 0x7fffffff
#define NOT_KVMS_TYPE     0xad /* ioctls of KVM are of type KVMIO, 0xae */

CASE(creation, api_version_is_12, .contract = "system.api_version")
{
	expect_equal(x(&host.kvm, KVM_GET_API_VERSION), 12);
}

CASE(creation, api_version_takes_no_argument, .contract = "system.no_argument")
{
	expect_errno(EINVAL, &host.kvm, KVM_GET_API_VERSION, 1);
}

CASE(creation, mmap_size_holds_kvm_run, .contract = "system.mmap_size")
{
	long size = x(&host.kvm, KVM_GET_VCPU_MMAP_SIZE), page = sysconf(_SC_PAGESIZE);

	expect(size >= (long)sizeof(struct kvm_run), "%ld bytes", size);
	expect(size % page == 0, "%ld bytes, with pages of %ld", size, page);
}

CASE(creation, mmap_size_takes_no_argument, .contract = "system.no_argument")
{
	expect_errno(EINVAL, &host.kvm, KVM_GET_VCPU_MMAP_SIZE, 1);
}

CASE(creation, unknown_extension_is_absent, .contract = "check_extension.unknown")
{
	expect_equal(x(&host.kvm, KVM_CHECK_EXTENSION, UNKNOWN_EXTENSION), 0);
}

CASE(creation, unknown_extension_is_absent_from_a_vm, .contract = "check_extension.unknown",
     .needs = { CAP(KVM_CAP_CHECK_EXTENSION_VM) })
{
	expect_equal(x(vm_create(), KVM_CHECK_EXTENSION, UNKNOWN_EXTENSION), 0);
}

CASE(creation, unknown_vm_type_is_refused, .contract = "create_vm.type")
{
	expect_errno(EINVAL, &host.kvm, KVM_CREATE_VM, 31);
	expect_errno(EINVAL, &host.kvm, KVM_CREATE_VM, 32);
	expect_errno(EINVAL, &host.kvm, KVM_CREATE_VM, -1ul);
}

/* Types are numbers below 32. */
CASE(creation, vm_types_are_those_that_can_be_had, .contract = "cap.vm_types",
     .needs = { CAP(KVM_CAP_VM_TYPES) })
{
	uint32_t types = x(&host.kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);

	expect(types & 1u << KVM_X86_DEFAULT_VM, "%#x does not have the default type", types);
	for (unsigned type = 0; type < 32; type++) {
		int result = x_try(&host.kvm, KVM_CREATE_VM, type);

		if (types & 1u << type)
			expect(result >= 0, "type %u: %s", type, errno_name(-result));
		else
			expect(result == -EINVAL, "type %u: %s", type,
			       result >= 0 ? "there is one" : errno_name(-result));
		if (result >= 0)
			close(result);
	}
}

CASE(creation, signal_interrupts_creation, .contract = "create_vm.eintr")
{
	const struct itimerval often = { { 0, 50 }, { 0, 50 } }, never = { { 0, 0 }, { 0, 0 } };
	const unsigned most = rounds(1000, 100);
	int result = 0;

	signal_handle(SIGALRM, 0);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned tries = 0; tries < most && result >= 0; tries++) {
		result = x_try(&host.kvm, KVM_CREATE_VM, 0);
		if (result >= 0)
			close(result);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	expect_errno_(HERE, "KVM_CREATE_VM", result, EINTR);
	close(x(&host.kvm, KVM_CREATE_VM, 0));
}

CASE(creation, vm_fd_is_close_on_exec, .contract = "create.close_on_exec")
{
	expect_equal(fcntl(vm_create()->kvm_fd.fd, F_GETFD), FD_CLOEXEC);
}

CASE(creation, vcpu_fd_is_close_on_exec, .contract = "create.close_on_exec")
{
	expect_equal(fcntl(vcpu_create(vm_create(), 0)->kvm_fd.fd, F_GETFD), FD_CLOEXEC);
}

CASE(creation, vcpu_id_in_use_is_refused, .contract = "create_vcpu.duplicate")
{
	struct vm *vm = vm_create();

	vcpu_create(vm, 3);
	expect_errno(EEXIST, vm, KVM_CREATE_VCPU, 3);
	vcpu_create(vm, 4);
}

CASE(creation, vcpu_id_at_the_limit_is_refused, .contract = "create_vcpu.id_limit",
     .needs = { CAP(KVM_CAP_MAX_VCPU_ID) })
{
	struct vm *vm = vm_create();
	unsigned long limit = x(vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPU_ID);

	expect_errno(EINVAL, vm, KVM_CREATE_VCPU, limit);
	vcpu_create(vm, limit - 1);
}

CASE(creation, run_takes_no_argument, .contract = "run.no_argument", .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);

	expect_errno(EINVAL, vcpu, KVM_RUN, 1);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "entry"));
}

/* What ioctl(2) says about a number that KVM does not know, or not on this file descriptor. */
static int errno_of(const struct kvm_fd *fd, unsigned long number)
{
	return ioctl(fd->fd, number, 0) < 0 ? errno : 0;
}

CASE(creation, unknown_system_ioctl_is_einval, .contract = "ioctl.unknown.system")
{
	expect_equal(errno_of(&host.kvm.kvm_fd, _IO(KVMIO, 0xff)), EINVAL);
	expect_equal(errno_of(&host.kvm.kvm_fd, _IO(NOT_KVMS_TYPE, 0)), EINVAL);
	expect_equal(errno_of(&host.kvm.kvm_fd, KVM_RUN), EINVAL);
}

CASE(creation, unknown_vm_ioctl_is_enotty, .contract = "ioctl.unknown.vm")
{
	struct vm *vm = vm_create();

	expect_equal(errno_of(&vm->kvm_fd, _IO(KVMIO, 0xff)), ENOTTY);
	expect_equal(errno_of(&vm->kvm_fd, _IO(NOT_KVMS_TYPE, 0)), ENOTTY);
	expect_equal(errno_of(&vm->kvm_fd, KVM_RUN), ENOTTY);
}

CASE(creation, unknown_vcpu_ioctl_is_einval, .contract = "ioctl.unknown.vcpu")
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	expect_equal(errno_of(&vcpu->kvm_fd, _IO(KVMIO, 0xff)), EINVAL);
	expect_equal(errno_of(&vcpu->kvm_fd, _IO(NOT_KVMS_TYPE, 0)), EINVAL);
	expect_equal(errno_of(&vcpu->kvm_fd, KVM_CREATE_VM), EINVAL);
}

/* Issues the ioctl in a forked process, with an address space of its own: its errno, or 0. */
static int errno_in_child(const struct kvm_fd *fd, unsigned long number, void *arg)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(ioctl(fd->fd, number, arg) < 0 ? errno : 0);
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		error("cannot run a child process: %s", strerror(errno));
	return WEXITSTATUS(status);
}

CASE(creation, vm_ioctl_of_another_process_is_eio, .contract = "ioctl.other_process")
{
	struct vm *vm = vm_create();

	expect_equal(errno_in_child(&vm->kvm_fd, KVM_CREATE_VCPU, 0), EIO);
	vcpu_create(vm, 0); /* the process that created the VM still may */
}

CASE(creation, vcpu_ioctl_of_another_process_is_eio, .contract = "ioctl.other_process",
     .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs;

	expect_equal(errno_in_child(&vcpu->kvm_fd, KVM_RUN, NULL), EIO);
	expect_equal(errno_in_child(&vcpu->kvm_fd, KVM_GET_REGS, &regs), EIO);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(creation, vcpu_outlives_its_vms_fd, .contract = "lifetime.vcpu", .each_mode = hlt_loop)
{
	struct vcpu *vcpu = boot(guest);

	close(vcpu->vm->kvm_fd.fd);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_hlt"));
}
