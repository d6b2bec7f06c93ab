// SPDX-License-Identifier: MIT
/*
 * How long VMs, vCPUs and what belongs to them live, in which process, and how many there can be;
 * which of them is the boot processor; what of a vCPU can be mapped. Documented in api.rst: 1. General
 * description, KVM_CREATE_VCPU, KVM_GET_VCPU_MMAP_SIZE, KVM_RUN, KVM_SET_BOOT_CPU_ID.
 */
#include "kvmspec.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST(real16, count_on);
GUEST(real16, hlt_loop);

#define APIC_BASE_BSP (1 << 8) /* Intel SDM Vol. 3, 11.4.4 */

/* Other processes */

static void send_descriptor(int sock, int fd)
{
	union {
		char space[CMSG_SPACE(sizeof fd)];
		struct cmsghdr header;
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof fd),
				  .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS } };
	struct iovec byte = { .iov_base = (char[]){ 0 }, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &byte,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	if (sendmsg(sock, &message, 0) != 1)
		error("cannot send a descriptor: %s", strerror(errno));
}

/* -1 if there was none. */
static int receive_descriptor(int sock)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr header;
	} control;
	char byte;
	struct iovec data = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof control };
	int fd = -1;

	if (recvmsg(sock, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(&control.header), sizeof fd);
	return fd;
}

/* Another process, which was there before the VM: what KVM_CHECK_EXTENSION or KVM_RUN say there. */
struct peer {
	pid_t pid;
	int sock;
};

static struct peer start_peer(unsigned long number)
{
	struct peer peer;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || (peer.pid = fork()) < 0)
		error("cannot start a process: %s", strerror(errno));
	if (peer.pid == 0) {
		int fd = receive_descriptor(pair[1]);

		_exit(fd < 0 ? 255 : ioctl(fd, number, 0) < 0 ? errno : 0);
	}
	close(pair[1]);
	peer.sock = pair[0];
	return peer;
}

static int errno_of_peer(struct peer peer, const struct kvm_fd *fd)
{
	int status;

	send_descriptor(peer.sock, fd->fd);
	if (waitpid(peer.pid, &status, 0) != peer.pid || !WIFEXITED(status))
		error("the other process died");
	return WEXITSTATUS(status);
}

CASE(lifetime, a_vm_passed_to_another_process, .contract = "lifetime.passed")
{
	struct peer peer = start_peer(KVM_CREATE_VCPU);
	struct vm *vm = vm_create();

	expect_equal(errno_of_peer(peer, &vm->kvm_fd), EIO);
	vcpu_create(vm, 0);
}

CASE(lifetime, a_vcpu_passed_to_another_process, .contract = "lifetime.passed")
{
	struct peer peer = start_peer(KVM_RUN);
	struct vcpu *vcpu = boot(hlt_loop);

	expect_equal(errno_of_peer(peer, &vcpu->kvm_fd), EIO);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

/* What a VM can make */

static int make_device(struct vm *vm)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	if (x_try(vm, KVM_CREATE_DEVICE, &device) < 0)
		skip("needs a device of KVM's; this kernel has none");
	return device.fd;
}

CASE(lifetime, a_device_passed_to_another_process, .contract = "lifetime.device_of_another_process")
{
	struct peer peer = start_peer(KVM_HAS_DEVICE_ATTR);
	struct kvm_fd device = { .fd = make_device(vm_create()) };

	expect_equal(errno_of_peer(peer, &device), EIO);
}

CASE(lifetime, statistics_are_close_on_exec, .contract = "lifetime.close_on_exec",
     .needs = { CAP(KVM_CAP_BINARY_STATS_FD) })
{
	struct vcpu *vcpu = boot(hlt_loop);

	expect_equal(fcntl(x(vcpu->vm, KVM_GET_STATS_FD), F_GETFD), FD_CLOEXEC);
	expect_equal(fcntl(x(vcpu, KVM_GET_STATS_FD), F_GETFD), FD_CLOEXEC);
}

CASE(lifetime, a_device_is_close_on_exec, .contract = "lifetime.close_on_exec")
{
	expect_equal(fcntl(make_device(vm_create()), F_GETFD), FD_CLOEXEC);
}

CASE(lifetime, guest_memfd_is_not_close_on_exec, .contract = "lifetime.guest_memfd_stays",
     .needs = { CAP(KVM_CAP_GUEST_MEMFD) })
{
	struct kvm_create_guest_memfd memfd = { .size = 0x1000 };

	expect_equal(fcntl(x(vm_create(), KVM_CREATE_GUEST_MEMFD, &memfd), F_GETFD), 0);
}

CASE(lifetime, statistics_outlive_descriptors, .contract = "lifetime.statistics",
     .needs = { CAP(KVM_CAP_BINARY_STATS_FD) })
{
	struct vcpu *vcpu = boot(hlt_loop);
	int stats[] = { x(vcpu->vm, KVM_GET_STATS_FD), x(vcpu, KVM_GET_STATS_FD) };

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	close(vcpu->vm->kvm_fd.fd);
	close(vcpu->kvm_fd.fd);
	munmap(vcpu->run, host.run_size);

	for (int i = 0; i < 2; i++) {
		struct kvm_stats_header header = { .num_desc = 0 };
		ssize_t got = pread(stats[i], &header, sizeof header, 0);

		expect(got == sizeof header, "%zd bytes of %zu", got, sizeof header);
		expect(header.num_desc > 0, "there are no statistics");
	}
}

CASE(lifetime, a_device_outlives_its_vms_descriptor, .contract = "lifetime.device")
{
	struct vm *vm = vm_create();
	int device = make_device(vm);
	struct kvm_device_attr attr = { .group = KVM_DEV_VFIO_GROUP,
					.attr = KVM_DEV_VFIO_GROUP_ADD };

	close(vm->kvm_fd.fd);
	expect_equal(ioctl(device, KVM_HAS_DEVICE_ATTR, &attr), 0);
}

CASE(lifetime, a_duplicate_is_as_good, .contract = "lifetime.duplicate")
{
	struct vm *vm = vm_create();
	int first = vm->kvm_fd.fd;

	vm->kvm_fd.fd = dup(first);
	close(first);
	vm_add_ram(vm);
	vm_load(vm, hlt_loop);
	vcpu_enter(vcpu_create(vm, 0), hlt_loop->mode, vm->entry);
	expect_run_exit(vm->vcpus[0], KVM_EXIT_HLT);
}

CASE(lifetime, a_closed_vcpu_keeps_its_id, .contract = "lifetime.vcpu_is_kept")
{
	struct vcpu *vcpu = boot(hlt_loop);

	munmap(vcpu->run, host.run_size);
	close(vcpu->kvm_fd.fd);
	expect_errno(EEXIST, vcpu->vm, KVM_CREATE_VCPU, 0);
	x(vcpu->vm, KVM_CREATE_VCPU, 1);
}

CASE(lifetime, a_vcpu_comes_after_others_ran, .contract = "lifetime.new_vcpu")
{
	struct vcpu *first = boot(hlt_loop), *second;

	expect_run_exit(first, KVM_EXIT_HLT);
	second = vcpu_create(first->vm, 1);
	vcpu_enter(second, hlt_loop->mode, first->vm->entry);
	expect_run_exit(second, KVM_EXIT_HLT);
	expect_run_exit(first, KVM_EXIT_HLT);
}

CASE(lifetime, the_run_page_outlives_descriptors, .contract = "lifetime.mapping")
{
	struct vcpu *vcpu = boot(hlt_loop);

	expect_run_exit(vcpu, KVM_EXIT_HLT);
	close(vcpu->vm->kvm_fd.fd);
	close(vcpu->kvm_fd.fd);
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
}

/* Limits */

static void allow_descriptors(rlim_t limit)
{
	struct rlimit r = { .rlim_cur = limit, .rlim_max = RLIM_INFINITY };

	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = limit < r.rlim_max ? limit : r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		error("cannot limit descriptors: %s", strerror(errno));
}

CASE(lifetime, no_more_descriptors, .contract = "limits.descriptors",
     .needs = { CAP(KVM_CAP_BINARY_STATS_FD) })
{
	struct vcpu *vcpu = boot(hlt_loop);

	allow_descriptors(3);
	expect_errno(EMFILE, &host.kvm, KVM_CREATE_VM);
	expect_errno(EMFILE, vcpu->vm, KVM_CREATE_VCPU, 1);
	expect_errno(EMFILE, vcpu->vm, KVM_GET_STATS_FD);
	expect_errno(EMFILE, vcpu, KVM_GET_STATS_FD);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	allow_descriptors(1024);
	x(vcpu->vm, KVM_CREATE_VCPU, 1);
	x(&host.kvm, KVM_CREATE_VM);
}

CASE(lifetime, no_more_descriptors_for_a_device, .contract = "limits.descriptors_of_a_device")
{
	struct vm *vm = vm_create();
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	close(make_device(vm_create())); /* there is one */
	allow_descriptors(3);
	expect_errno(EMFILE, vm, KVM_CREATE_DEVICE, &device);
	allow_descriptors(1024);
	make_device(vm);
}

CASE(lifetime, one_vfio_device_a_vm, .contract = "create_device.once")
{
	struct vm *vm = vm_create();
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	make_device(vm);
	expect_errno(EBUSY, vm, KVM_CREATE_DEVICE, &device);
	make_device(vm_create());
}

CASE(lifetime, no_more_descriptors_for_a_guest_memfd,
     .contract = "limits.descriptors_of_a_guest_memfd", .needs = { CAP(KVM_CAP_GUEST_MEMFD) })
{
	struct vm *vm = vm_create();
	struct kvm_create_guest_memfd memory = { .size = 0x1000 };

	allow_descriptors(3);
	expect_errno(EMFILE, vm, KVM_CREATE_GUEST_MEMFD, &memory);
	allow_descriptors(1024);
	x(vm, KVM_CREATE_GUEST_MEMFD, &memory);
}

CASE(lifetime, limits_are_in_order, .contract = "limits.at_least_recommended")
{
	int recommended = host_cap(KVM_CAP_NR_VCPUS), most = host_cap(KVM_CAP_MAX_VCPUS);

	expect_answer(&host.kvm, ANSWERS_AT_LEAST(KVM_CAP_NR_VCPUS, 1));
	expect_answer(&host.kvm, ANSWERS_AT_LEAST(KVM_CAP_MAX_VCPUS, recommended));
	expect_answer(&host.kvm, ANSWERS_AT_LEAST(KVM_CAP_MAX_VCPU_ID, most));
}

CASE(lifetime, many_vcpus, .contract = "limits.vcpus")
{
	struct vcpu *vcpu = boot(count_on);
	unsigned limit = x(vcpu->vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
	unsigned count = rounds(limit, 16);

	for (unsigned id = 1; id < count; id++) {
		int fd = x_try(vcpu->vm, KVM_CREATE_VCPU, id);

		if (fd == -ENOMEM)
			skip("there is memory for %u vCPUs only, of %u", id, limit);
		expect(fd >= 0, "KVM_CREATE_VCPU(%u) fails with %s", id, strerrorname_np(-fd));
		close(fd); /* the VM keeps the vCPU */
	}
	if (count == limit)
		expect_errno(EINVAL, vcpu->vm, KVM_CREATE_VCPU, limit);
	expect_run_report(vcpu, 1);
}

/* The boot processor, the TSC */

CASE(lifetime, vcpu_0_is_the_boot_processor, .contract = "boot_cpu.default",
     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vm *vm = vm_create();

	enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	for (unsigned id = 2; id-- > 0;) { /* whichever is created first */
		uint64_t base = vcpu_sregs(vcpu_create(vm, id)).apic_base;

		expect_equal(base & APIC_BASE_BSP, id == 0 ? APIC_BASE_BSP : 0);
	}
}

CASE(lifetime, the_boot_processor_can_be_chosen, .contract = "boot_cpu.chosen",
     .needs = { CAP(KVM_CAP_SPLIT_IRQCHIP), CAP(KVM_CAP_SET_BOOT_CPU_ID) })
{
	struct vm *vm = vm_create();

	enable_cap(vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	x(vm, KVM_SET_BOOT_CPU_ID, 1);
	for (unsigned id = 0; id < 2; id++) {
		uint64_t base = vcpu_sregs(vcpu_create(vm, id)).apic_base;

		expect_equal(base & APIC_BASE_BSP, id == 1 ? APIC_BASE_BSP : 0);
	}
}

CASE(lifetime, vcpus_have_the_tsc_of_the_vm, .contract = "tsc_khz.default",
     .needs = { CAP(KVM_CAP_VM_TSC_CONTROL), CAP(KVM_CAP_TSC_CONTROL) })
{
	struct vm *vm = vm_create();
	int khz = x(vm, KVM_GET_TSC_KHZ) / 2;

	x(vm, KVM_SET_TSC_KHZ, khz);
	expect_equal(x(vcpu_create(vm, 0), KVM_GET_TSC_KHZ), khz);
}

/* What of a vCPU can be mapped */

static void *map_page(const struct vcpu *vcpu, unsigned page, int protection, int flags)
{
	long size = sysconf(_SC_PAGESIZE);

	return mmap(NULL, size, protection, flags, vcpu->kvm_fd.fd, page * size);
}

static void *must_map_page(const struct vcpu *vcpu, unsigned page)
{
	void *p = map_page(vcpu, page, PROT_READ | PROT_WRITE, MAP_SHARED);

	expect(p != MAP_FAILED, "page %u of a vCPU cannot be mapped: %s", page, strerror(errno));
	return p;
}

CASE(lifetime, io_data_are_on_the_second_page, .contract = "mapping.size")
{
	struct vcpu *vcpu = boot(count_on);

	expect_run_report(vcpu, 1);
	expect_equal(vcpu->run->io.data_offset, KVM_PIO_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
	expect(vcpu->run->io.data_offset < host.run_size, "it is not in the %zu bytes",
	       host.run_size);
}

CASE(lifetime, pages_can_be_mapped_alone, .contract = "mapping.alone")
{
	struct vcpu *vcpu = boot(count_on);
	struct kvm_run *again = must_map_page(vcpu, 0);
	uint32_t *data = must_map_page(vcpu, KVM_PIO_PAGE_OFFSET);

	expect_run_report(vcpu, 1);
	expect_equal(again->exit_reason, KVM_EXIT_IO);
	expect_equal(*data, 1);
	again->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
}

/* The guest's reports go to the ring, until it is full: runs the vCPU up to there. */
static struct kvm_coalesced_mmio_ring *fill_coalesced_ring(struct vcpu *vcpu)
{
	struct kvm_coalesced_mmio_ring *ring =
		must_map_page(vcpu, host_cap(KVM_CAP_COALESCED_MMIO));

	x(vcpu->vm, KVM_REGISTER_COALESCED_MMIO,
	  &(struct kvm_coalesced_mmio_zone){ .addr = REPORT_PORT, .size = 4, .pio = 1 });
	expect_run_exit(vcpu, KVM_EXIT_IO);
	return ring;
}

CASE(lifetime, coalesced_writes_are_in_their_page, .contract = "mapping.coalesced",
     .needs = { CAP(KVM_CAP_COALESCED_MMIO), CAP(KVM_CAP_COALESCED_PIO) })
{
	struct vcpu *vcpu = boot(count_on);
	struct kvm_coalesced_mmio_ring *ring = fill_coalesced_ring(vcpu);

	expect_equal(ring->first, 0);
	expect(ring->last > 1, "there are %u", ring->last);
	expect_equal(io_exit_of(vcpu).value, ring->last + 1);
	for (unsigned i = 0; i < ring->last; i++) {
		expect_equal(ring->coalesced_mmio[i].phys_addr, REPORT_PORT);
		expect_equal(ring->coalesced_mmio[i].len, 4);
		expect_equal(ring->coalesced_mmio[i].pio, 1);
		expect_equal(ring->coalesced_mmio[i].data[0], i + 1);
	}
}

CASE(lifetime, the_coalesced_ring_has_room_for_a_page, .contract = "mapping.coalesced_room",
     .needs = { CAP(KVM_CAP_COALESCED_MMIO), CAP(KVM_CAP_COALESCED_PIO) })
{
	struct kvm_coalesced_mmio_ring *ring = fill_coalesced_ring(boot(count_on));

	expect_equal(ring->last,
		     (sysconf(_SC_PAGESIZE) - sizeof *ring) / sizeof *ring->coalesced_mmio - 1);
}

static sigjmp_buf bus_error;

static void on_bus_error(int sig)
{
	siglongjmp(bus_error, sig);
}

static void expect_bus_error(const volatile char *address)
{
	signal(SIGBUS, on_bus_error);
	if (sigsetjmp(bus_error, 1) == 0) {
		char byte = *address;

		fail("reading it raises SIGBUS", "it holds %d", byte);
	}
}

CASE(lifetime, beyond_its_pages_is_nothing, .contract = "mapping.beyond")
{
	struct vcpu *vcpu = boot(count_on);
	const volatile char *beyond = must_map_page(vcpu, host.run_size / sysconf(_SC_PAGESIZE));

	expect_bus_error(beyond);
	expect_run_report(vcpu, 1);
}

CASE(lifetime, dirty_rings_are_shared_and_not_executable, .contract = "mapping.dirty_ring",
     .needs = { CAP(KVM_CAP_DIRTY_LOG_RING) })
{
	struct vm *vm = vm_create();
	struct vcpu *vcpu;

	enable_cap(vm, KVM_CAP_DIRTY_LOG_RING, 0x10000);
	vcpu = vcpu_create(vm, 0);
	must_map_page(vcpu, KVM_DIRTY_LOG_PAGE_OFFSET);
	expect(map_page(vcpu, KVM_DIRTY_LOG_PAGE_OFFSET, PROT_READ, MAP_PRIVATE) == MAP_FAILED &&
		       errno == EINVAL,
	       "it is mapped privately, or fails with %s", errno_name(errno));
	expect(map_page(vcpu, KVM_DIRTY_LOG_PAGE_OFFSET, PROT_READ | PROT_EXEC, MAP_SHARED) ==
			       MAP_FAILED &&
		       (errno == EINVAL || errno == EPERM),
	       "it is mapped executable, or fails with %s", errno_name(errno));
}
