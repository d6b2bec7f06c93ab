// SPDX-License-Identifier: MIT
/*
 * Eventfds that a guest's write signals, instead of an exit. Documented in api.rst under KVM_IOEVENTFD;
 * what it refuses: cases/bad_input.c.
 */
#include "eventfds.h"

GUEST_EACH_MODE(mmio);
GUEST_EACH_MODE(port_io);

#define DOORBELL (MMIO_BASE + 0x10) /* where guests/any/mmio.S writes */
#define PORT     0x5678

static int add_ioeventfd(struct vm *vm, struct kvm_ioeventfd registration)
{
	registration.fd = make_eventfd();
	x(vm, KVM_IOEVENTFD, &registration);
	return registration.fd;
}

/* The guest's next run writes the value. */
static void prepare_write(struct vcpu *vcpu, unsigned bytes, uint64_t value)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = guest_symbol(vcpu, bytes == 1   ? "write8"
				      : bytes == 2 ? "write16"
				      : bytes == 4 ? "write32"
						   : "write64");
	regs.rbx = value;
	vcpu_set_regs(vcpu, regs);
}

static void expect_signal(struct vcpu *vcpu, int fd, unsigned bytes, uint64_t value)
{
	prepare_write(vcpu, bytes, value);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(signals_of(fd), 1);
}

static void expect_exit(struct vcpu *vcpu, int fd, unsigned bytes, uint64_t value)
{
	prepare_write(vcpu, bytes, value);
	expect_run_mmio(vcpu, .phys_addr = DOORBELL, .len = bytes, .is_write = 1, .value = value);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(signals_of(fd), 0);
}

static unsigned widest(const struct guest_image *guest)
{
	return guest->mode == MODE_LONG64 ? 8 : 4;
}

#define NEEDS_IOEVENTFD .needs = { CAP(KVM_CAP_IOEVENTFD) }

/* Each length has an eventfd of its own at the same address. */
CASE(ioeventfd, write_signals_instead_of_an_exit, .contract = "ioeventfd.signal", .each_mode = mmio,
     NEEDS_IOEVENTFD)
{
	struct vcpu *vcpu = boot(guest);
	int fds[9] = { 0 };

	for (unsigned bytes = 1; bytes <= widest(guest); bytes *= 2)
		fds[bytes] = add_ioeventfd(
			vcpu->vm, (struct kvm_ioeventfd){ .addr = DOORBELL, .len = bytes });
	for (unsigned bytes = 1; bytes <= widest(guest); bytes *= 2) {
		expect_signal(vcpu, fds[bytes], bytes, 7);
		for (unsigned other = 1; other <= widest(guest); other *= 2)
			expect_equal(signals_of(fds[other]), 0);
	}
}

CASE(ioeventfd, write_of_another_length_exits, .contract = "ioeventfd.length", .each_mode = mmio,
     NEEDS_IOEVENTFD)
{
	struct vcpu *vcpu = boot(guest);
	int fd = add_ioeventfd(vcpu->vm, (struct kvm_ioeventfd){ .addr = DOORBELL, .len = 2 });

	expect_exit(vcpu, fd, 1, 7);
	expect_exit(vcpu, fd, 4, 7);
	expect_signal(vcpu, fd, 2, 7);
}

#define NEEDS_ANY_LENGTH                                                                           \
	.needs = { CAP(KVM_CAP_IOEVENTFD_NO_LENGTH), CAP(KVM_CAP_IOEVENTFD_ANY_LENGTH) }

CASE(ioeventfd, length_0_is_any_length, .contract = "ioeventfd.any_length", .each_mode = mmio,
     NEEDS_ANY_LENGTH)
{
	struct vcpu *vcpu = boot(guest);
	int fd = add_ioeventfd(vcpu->vm, (struct kvm_ioeventfd){ .addr = DOORBELL });

	for (unsigned bytes = 1; bytes <= widest(guest); bytes *= 2)
		expect_signal(vcpu, fd, bytes, 7);
}

CASE(ioeventfd, length_0_is_one_address, .contract = "ioeventfd.address", .each_mode = mmio,
     NEEDS_ANY_LENGTH)
{
	struct vcpu *vcpu = boot(guest);

	expect_exit(vcpu, add_ioeventfd(vcpu->vm, (struct kvm_ioeventfd){ .addr = DOORBELL - 1 }),
		    4, 7);
	expect_exit(vcpu, add_ioeventfd(vcpu->vm, (struct kvm_ioeventfd){ .addr = DOORBELL + 1 }),
		    4, 7);
}

CASE(ioeventfd, another_value_than_that_to_match_exits, .contract = "ioeventfd.datamatch",
     .each_mode = mmio, NEEDS_IOEVENTFD)
{
	struct vcpu *vcpu = boot(guest);
	int fd = add_ioeventfd(vcpu->vm,
			       (struct kvm_ioeventfd){ .addr = DOORBELL,
						       .len = 4,
						       .datamatch = 0x11223344,
						       .flags = KVM_IOEVENTFD_FLAG_DATAMATCH });

	expect_signal(vcpu, fd, 4, 0x11223344);
	expect_exit(vcpu, fd, 4, 0x11223345);
	expect_exit(vcpu, fd, 4, 0x91223344);
}

CASE(ioeventfd, read_exits, .contract = "ioeventfd.read", .each_mode = mmio, NEEDS_ANY_LENGTH)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_regs regs = vcpu->loaded;
	int fd = add_ioeventfd(vcpu->vm, (struct kvm_ioeventfd){ .addr = DOORBELL });

	regs.rdi = guest_symbol(vcpu, "read32");
	vcpu_set_regs(vcpu, regs);
	expect_run_mmio(vcpu, .phys_addr = DOORBELL, .len = 4, .is_write = 0);
	expect_equal(signals_of(fd), 0);
}

CASE(ioeventfd, write_exits_once_it_is_taken_away, .contract = "ioeventfd.deassign",
     .each_mode = mmio, NEEDS_ANY_LENGTH)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_ioeventfd registration = { .addr = DOORBELL };
	int fd = add_ioeventfd(vcpu->vm, registration);

	expect_signal(vcpu, fd, 4, 7);
	registration.fd = fd;
	registration.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	x(vcpu->vm, KVM_IOEVENTFD, &registration);
	expect_exit(vcpu, fd, 4, 7);
}

CASE(ioeventfd, port_write_signals_instead_of_an_exit, .contract = "ioeventfd.port",
     .each_mode = port_io, NEEDS_ANY_LENGTH)
{
	static const char *const labels[] = { "out8", "out16", "out32" };
	struct vcpu *vcpu = boot(guest);
	int fd = add_ioeventfd(
		vcpu->vm, (struct kvm_ioeventfd){ .addr = PORT, .flags = KVM_IOEVENTFD_FLAG_PIO });
	struct kvm_regs regs = vcpu->loaded;

	regs.rdx = PORT;
	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
		regs.rip = guest_symbol(vcpu, labels[i]);
		vcpu_set_regs(vcpu, regs);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_equal(signals_of(fd), 1);
	}
	regs.rdx = PORT + 1;
	vcpu_set_regs(vcpu, regs);
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .port = PORT + 1, .size = 4);
	expect_equal(signals_of(fd), 0);
}
