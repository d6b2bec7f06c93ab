// SPDX-License-Identifier: MIT
/*
 * How long a kick takes: the reason why immediate_exit exists (api.rst, 5. The kvm_run structure).
 * Every way to kick, whatever the guest is doing; harness/latency.h says what is measured, and
 * beside what.
 *
 * Area kick_latency has verdicts, by the limits in cases/kick_limits.tsv. Area latency, on request,
 * measures the whole product with more samples, on the same CPU and on another, idle and busy, and
 * judges nothing but that no kick is lost: `make latency`.
 */
#include "kvmspec.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

GUEST_EACH_MODE(count_and_halt);
GUEST_EACH_MODE(spin);
GUEST(long64, fill_memory);
GUEST(long64, mmio_loop);
GUEST(long64, port_loop);
GUEST(long64, touch_pages);
GUEST(long64, wait_for_irq);

#define GSI           24   /* the first that is no pin of an interrupt controller */
#define VECTOR        0x21 /* as in guests/long64/wait_for_irq.S */
#define MSI_TO_APIC_0 0xfee00000

/* More memory, in the hole above RAM, within the first GiB. */
#define EXTRA_SLOT 1
#define EXTRA_BASE 0x100000ul
#define EXTRA_SIZE 0x400000ul

static void *extra_memory;

/* touch_pages does as it is called, in this memory. */
static void add_extra_memory(struct vcpu *vcpu)
{
	struct kvm_regs regs = vcpu->loaded;

	extra_memory = mmap(NULL, EXTRA_SIZE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (extra_memory == MAP_FAILED)
		error("cannot map %lu bytes: %s", EXTRA_SIZE, strerror(errno));
	madvise(extra_memory, EXTRA_SIZE, MADV_NOHUGEPAGE); /* a kernel without them refuses */
	x(vcpu->vm, KVM_SET_USER_MEMORY_REGION,
	  &(struct kvm_userspace_memory_region){
		  .slot = EXTRA_SLOT,
		  .guest_phys_addr = EXTRA_BASE,
		  .memory_size = EXTRA_SIZE,
		  .userspace_addr = (uintptr_t)extra_memory,
	  });
	regs.rbx = EXTRA_BASE;
	regs.rcx = EXTRA_BASE + EXTRA_SIZE;
	vcpu_set_regs(vcpu, regs);
}

/* The guest has touched all of it: now it is fresh again. */
static void refresh_extra_memory(struct vcpu *vcpu)
{
	expect_exit_reason(vcpu, KVM_EXIT_HLT);
	if (madvise(extra_memory, EXTRA_SIZE, MADV_DONTNEED) != 0)
		error("madvise: %s", strerror(errno));
}

static struct uffdio_register waiting = { .mode = UFFDIO_REGISTER_MODE_MISSING };
static int userfaultfd = -1;

/* Nobody answers: who touches the memory waits. */
static void add_memory_that_does_not_come(struct vcpu *vcpu)
{
	struct uffdio_api api = { .api = UFFD_API };

	userfaultfd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (userfaultfd < 0)
		skip("needs userfaultfd(2); this host answers %s", strerror(errno));
	add_extra_memory(vcpu);
	waiting.range.start = (uintptr_t)extra_memory;
	waiting.range.len = EXTRA_SIZE;
	if (ioctl(userfaultfd, UFFDIO_API, &api) != 0 ||
	    ioctl(userfaultfd, UFFDIO_REGISTER, &waiting) != 0)
		error("userfaultfd: %s", strerror(errno));
}

static void answer_with_zeros(void)
{
	ioctl(userfaultfd, UFFDIO_ZEROPAGE, &(struct uffdio_zeropage){ .range = waiting.range });
}

/* What the guest is doing when the kick comes. */
struct state {
	const struct guest_image *image;
	bool irqchip, sleeps;
	void (*prepare)(struct vcpu *vcpu);
	void (*on_exit)(struct vcpu *vcpu);
	void (*on_lost)(void);
};

/* clang-format off */
static const struct state
	/* counts, and KVM has nothing to do */
	spinning_in_real_mode = { .image = &guest_real16_spin },
	spinning = { .image = &guest_long64_spin },
	/* one instruction, of half a TiB */
	filling_memory = { .image = &guest_long64_fill_memory },
	/* blocked in KVM: its local APIC waits */
	halted = { .image = &guest_long64_count_and_halt, .irqchip = true, .sleeps = true },
	/* exits all the time, and is run again at once */
	halting = { .image = &guest_long64_count_and_halt },
	writing_to_a_port = { .image = &guest_long64_port_loop },
	writing_to_mmio = { .image = &guest_long64_mmio_loop },
	/* KVM maps a new page at each step */
	touching_fresh_memory = { .image = &guest_long64_touch_pages, .prepare = add_extra_memory,
				  .on_exit = refresh_extra_memory },
	/* blocked in the host's memory management */
	blocked_on_userfaultfd = { .image = &guest_long64_touch_pages, .sleeps = true,
				   .prepare = add_memory_that_does_not_come,
.on_lost = answer_with_zeros };

#define EACH_STATE(X, ...)                       \
	X(spinning_in_real_mode, __VA_ARGS__)    \
	X(spinning, __VA_ARGS__)                 \
	X(filling_memory, __VA_ARGS__)           \
	X(halted, __VA_ARGS__)                   \
	X(halting, __VA_ARGS__)                  \
	X(writing_to_a_port, __VA_ARGS__)        \
	X(writing_to_mmio, __VA_ARGS__)          \
	X(touching_fresh_memory, __VA_ARGS__)    \
	X(blocked_on_userfaultfd, __VA_ARGS__)
/* clang-format on */

static struct kick_setup set_up(const struct state *state, enum kick_how how)
{
	struct vcpu *vcpu = state->irqchip ? boot_with_irqchip(state->image) : boot(state->image);

	if (state->prepare)
		state->prepare(vcpu);
	return (struct kick_setup){
		.vcpu = vcpu,
		.how = how,
		.sleeps = state->sleeps,
		.on_exit = state->on_exit,
		.on_lost = state->on_lost,
		.irqfd = -1,
		.vcpu_cpu = NO_CPU,
		.sender_cpu = NO_CPU,
	};
}

/* A message, as KVM delivers it where the eventfd is written; a pin takes a detour by a kworker. */
static void route_message(struct vm *vm)
{
	struct kvm_irq_routing *routing = calloc(1, sizeof *routing + sizeof *routing->entries);

	if (!routing)
		error("out of memory");
	routing->nr = 1;
	routing->entries[0] = (struct kvm_irq_routing_entry){
		.gsi = GSI,
		.type = KVM_IRQ_ROUTING_MSI,
		.u.msi = { .address_lo = MSI_TO_APIC_0, .data = VECTOR },
	};
	x(vm, KVM_SET_GSI_ROUTING, routing);
	free(routing);
}

/* Halted until the interrupt comes. */
static struct kick_setup set_up_irqfd(void)
{
	struct kick_setup setup = {
		.vcpu = boot_with_irqchip(wait_for_irq),
		.how = KICK_BY_IRQFD,
		.sleeps = true,
		.irqfd = eventfd(0, EFD_CLOEXEC),
		.vcpu_cpu = NO_CPU,
		.sender_cpu = NO_CPU,
	};

	if (setup.irqfd < 0)
		error("eventfd: %s", strerror(errno));
	route_message(setup.vcpu->vm);
	x(setup.vcpu->vm, KVM_IRQFD, &(struct kvm_irqfd){ .fd = setup.irqfd, .gsi = GSI });
	return setup;
}

/* Verdicts */

#define NEEDS                                                                                      \
	{                                                                                          \
		CAP(KVM_CAP_IMMEDIATE_EXIT), CAP(KVM_CAP_IRQCHIP)                                  \
	}
#define NEEDS_IRQFD                                                                                \
	{                                                                                          \
		CAP(KVM_CAP_IRQFD), CAP(KVM_CAP_IRQ_ROUTING), CAP(KVM_CAP_IRQCHIP)                 \
	}

/* clang-format off */
#define VERDICT(state, how, how_name)                                                              \
	CASE(kick_latency, how_name##_##state, .contract = "signals.latency", .timeout = 60,        \
	     .needs = NEEDS)                                                                       \
	{                                                                                          \
		expect_kick_latency(set_up(&(state), how), #how_name "_" #state);                  \
	}

EACH_STATE(VERDICT, KICK_IMMEDIATE_EXIT, immediate_exit)
VERDICT(spinning, KICK_SIGNAL_MASK, signal_mask)
VERDICT(halted, KICK_SIGNAL_MASK, signal_mask)
VERDICT(spinning, KICK_BY_TIMER, timer)
VERDICT(halted, KICK_BY_TIMER, timer)
VERDICT(spinning, KICK_BY_PROCESS, process)
VERDICT(halted, KICK_BY_PROCESS, process)
/* clang-format on */

CASE(kick_latency, irqfd_halted, .contract = "irqfd.latency", .timeout = 60, .needs = NEEDS_IRQFD)
{
	expect_kick_latency(set_up_irqfd(), "irqfd_halted");
}

/* Measurements */

#define SAMPLES 2000
#define SECONDS 1.5 /* for each place */

/* Where the vCPU and the sender are, and whether they have the CPUs for themselves. */
static void measure_everywhere(struct kick_setup setup)
{
	static const char *const places[] = { "other CPU, idle", "other CPU, busy",
					      "same CPU, idle", "same CPU, busy" };

	setup.samples = SAMPLES;
	setup.seconds = SECONDS;
	setup.vcpu_cpu = usable_cpu(0);
	for (unsigned place = 0; place < 4; place++) {
		setup.sender_cpu = usable_cpu(place < 2 ? 1 : 0);
		if (setup.sender_cpu == NO_CPU)
			continue; /* there is one CPU only */
		keep_cpus_busy(place % 2);
		measure_kicks(&setup, measurement_new(places[place]));
	}
	keep_cpus_busy(false);
}

/* clang-format off */
#define MEASUREMENT(state, how, how_name)                                                          \
	CASE(latency, how_name##_##state, .contract = "signals.latency", .timeout = 120,           \
	     .on_request = true, .needs = NEEDS)                                                   \
	{                                                                                          \
		measure_everywhere(set_up(&(state), how));                                         \
	}

EACH_STATE(MEASUREMENT, KICK_IMMEDIATE_EXIT, immediate_exit)
EACH_STATE(MEASUREMENT, KICK_SIGNAL_MASK, signal_mask)
EACH_STATE(MEASUREMENT, KICK_BY_TIMER, timer)
EACH_STATE(MEASUREMENT, KICK_BY_PROCESS, process)
/* clang-format on */

CASE(latency, irqfd_halted, .contract = "irqfd.latency", .timeout = 120, .on_request = true,
     .needs = NEEDS_IRQFD)
{
	measure_everywhere(set_up_irqfd());
}
