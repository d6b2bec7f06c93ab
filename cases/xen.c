// SPDX-License-Identifier: MIT
/*
 * What KVM does in Xen's place: event channels, the pages that guests and Xen share, attributes.
 * Documented in api.rst under KVM_XEN_HVM_EVTCHN_SEND, KVM_XEN_HVM_SET_ATTR, KVM_XEN_HVM_GET_ATTR,
 * KVM_XEN_VCPU_SET_ATTR, KVM_XEN_VCPU_GET_ATTR, KVM_XEN_HVM_CONFIG and KVM_CAP_XEN_HVM; the layout of
 * the pages: Xen's public headers, xen.h. KVM_EXIT_XEN: cases/run_exits.c.
 */
#include "eventfds.h"
#include "interrupts.h"
#include "one_instruction.h"

#include <alloca.h>

/* In RAM, where neither code nor tables are. */
#define SHARED_INFO 0x10000ul
#define VCPU_INFO   0x11040ul
#define TIME_INFO   0x12020ul
#define RUNSTATE    0x13008ul
#define ARGUMENT    0x14000ul

#define XEN_MSR 0x40000200

#define PORT    66 /* in the third word of 32 bits, the second of 64 */
#define PRIO_2L KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL

/* The places, by the guest's mode: of 64-bit guests, and of others. */
static const struct layout {
	bool is_long;
	unsigned bits;                    /* of a word: Xen's unsigned long */
	size_t pending, mask, wall_clock; /* in the shared page */
	size_t selector;                  /* in struct vcpu_info */
} layouts[] = {
	{ .is_long = true,
	  .bits = 64,
	  .pending = 0x800,
	  .mask = 0xa00,
	  .wall_clock = 0xc00,
	  .selector = 8 },
	{ .is_long = false,
	  .bits = 32,
	  .pending = 0x800,
	  .mask = 0x880,
	  .wall_clock = 0x900,
	  .selector = 4 },
};
#define LONG_MODE  (&layouts[0])
#define OTHER_MODE (&layouts[1])

static bool test_bit(const void *bits, unsigned n)
{
	return ((const uint8_t *)bits)[n / 8] >> n % 8 & 1;
}

static unsigned char *shared_info(const struct vcpu *vcpu)
{
	return vcpu->vm->ram + SHARED_INFO;
}

static unsigned char *vcpu_info(const struct vcpu *vcpu)
{
	return vcpu->vm->ram + VCPU_INFO;
}

static void set_attribute(struct vm *vm, struct kvm_xen_hvm_attr attribute)
{
	x(vm, KVM_XEN_HVM_SET_ATTR, &attribute);
}

static void set_vcpu_attribute(struct vcpu *vcpu, struct kvm_xen_vcpu_attr attribute)
{
	x(vcpu, KVM_XEN_VCPU_SET_ATTR, &attribute);
}

static struct kvm_xen_hvm_attr get_attribute(struct vm *vm, uint16_t type)
{
	struct kvm_xen_hvm_attr attribute = { .type = type };

	memset(&attribute.u, 0xff, sizeof attribute.u);
	x(vm, KVM_XEN_HVM_GET_ATTR, &attribute);
	return attribute;
}

static struct kvm_xen_vcpu_attr get_vcpu_attribute(struct vcpu *vcpu, uint16_t type)
{
	struct kvm_xen_vcpu_attr attribute = { .type = type };

	memset(&attribute.u, 0xff, sizeof attribute.u);
	x(vcpu, KVM_XEN_VCPU_GET_ATTR, &attribute);
	return attribute;
}

static void intercept_hypercalls(struct vm *vm)
{
	x(vm, KVM_XEN_HVM_CONFIG,
	  &(struct kvm_xen_hvm_config){ .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL,
					.msr = XEN_MSR });
}

static void share_vcpu_info(struct vcpu *vcpu)
{
	set_vcpu_attribute(vcpu,
			   (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
						       .u.gpa = VCPU_INFO });
}

static void share_info(struct vcpu *vcpu, const struct layout *layout)
{
	intercept_hypercalls(vcpu->vm);
	set_attribute(vcpu->vm, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_LONG_MODE,
							   .u.long_mode = layout->is_long });
	set_attribute(vcpu->vm,
		      (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
						 .u.shared_info.gfn = SHARED_INFO / PAGE });
}

/* A guest of Xen's, whose pages are in place. */
static struct vcpu *be_xens(struct vcpu *vcpu, const struct layout *layout)
{
	share_info(vcpu, layout);
	share_vcpu_info(vcpu);
	return vcpu;
}

static void send_event(struct vcpu *vcpu, uint32_t port)
{
	struct kvm_irq_routing_xen_evtchn event = { .port = port, .priority = PRIO_2L };

	expect_equal(x(vcpu->vm, KVM_XEN_HVM_EVTCHN_SEND, &event), 0);
}

static bool is_pending(const struct vcpu *vcpu, const struct layout *layout)
{
	return test_bit(shared_info(vcpu) + layout->pending, PORT);
}

/* The vCPU has been told of it. */
static bool is_selected(const struct vcpu *vcpu, const struct layout *layout)
{
	return vcpu_info(vcpu)[0] &&
	       test_bit(vcpu_info(vcpu) + layout->selector, PORT / layout->bits);
}

#define NEEDS_XEN(flags)                                                                           \
	.needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_SHARED_INFO | (flags)) }
#define NEEDS_EVENTS NEEDS_XEN(KVM_XEN_HVM_CONFIG_EVTCHN_SEND)
#define NEEDS_INTERRUPTS                                                                           \
	.needs = { CAP_BITS(KVM_CAP_XEN_HVM,                                                       \
			    KVM_XEN_HVM_CONFIG_SHARED_INFO | KVM_XEN_HVM_CONFIG_EVTCHN_SEND),      \
		   CAP(KVM_CAP_SPLIT_IRQCHIP) }

/* Event channels. */

static void expect_event(const struct layout *layout)
{
	struct vcpu *vcpu = be_xens(boot(one_instruction[MODE_LONG64]), layout);

	send_event(vcpu, PORT);
	expect(is_pending(vcpu, layout), "the event channel is not pending");
	expect_equal(vcpu_info(vcpu)[0], 1);
	expect(is_selected(vcpu, layout), "its word is not selected");
	send_event(vcpu, PORT); /* one that is pending already */
	expect(is_pending(vcpu, layout), "the event channel is not pending any more");
}

CASE(xen, event_of_a_64_bit_guest, .contract = "xen.evtchn_send", NEEDS_EVENTS)
{
	expect_event(LONG_MODE);
}

CASE(xen, event_of_another_guest, .contract = "xen.evtchn_send", NEEDS_EVENTS)
{
	expect_event(OTHER_MODE);
}

CASE(xen, masked_event_is_pending_only, .contract = "xen.evtchn_send.masked", NEEDS_EVENTS)
{
	struct vcpu *vcpu = be_xens(boot(one_instruction[MODE_LONG64]), LONG_MODE);

	shared_info(vcpu)[LONG_MODE->mask + PORT / 8] |= 1 << PORT % 8;
	send_event(vcpu, PORT);
	expect(is_pending(vcpu, LONG_MODE), "the event channel is not pending");
	expect_equal(vcpu_info(vcpu)[0], 0);
	expect(!is_selected(vcpu, LONG_MODE), "its word is selected");
}

/* Each layout has its own number of event channels. */
CASE(xen, event_channels_end_with_the_layout, .contract = "xen.evtchn_send.limit", NEEDS_EVENTS)
{
	for (size_t i = 0; i < 2; i++) {
		struct vcpu *vcpu = be_xens(boot(one_instruction[MODE_LONG64]), &layouts[i]);
		uint32_t limit = layouts[i].bits * layouts[i].bits;
		struct kvm_irq_routing_xen_evtchn event = { .port = limit, .priority = PRIO_2L };

		send_event(vcpu, limit - 1);
		expect(test_bit(shared_info(vcpu) + layouts[i].pending, limit - 1),
		       "event channel %u is not pending", limit - 1);
		expect_errno(EINVAL, vcpu->vm, KVM_XEN_HVM_EVTCHN_SEND, &event);
	}
}

/* A page that there was: for one that there never was see cases/kvm_bugs.c. */
CASE(xen, event_needs_a_shared_page_and_a_vcpu, .contract = "xen.evtchn_send.refused", NEEDS_EVENTS)
{
	struct vcpu *vcpu = be_xens(boot(one_instruction[MODE_LONG64]), LONG_MODE);
	struct kvm_irq_routing_xen_evtchn event = { .port = PORT, .vcpu = 1, .priority = PRIO_2L };

	expect_errno(EINVAL, vcpu->vm, KVM_XEN_HVM_EVTCHN_SEND, &event);
	event.vcpu = 0;
	set_attribute(vcpu->vm,
		      (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
						 .u.shared_info.gfn = KVM_XEN_INVALID_GFN });
	expect_errno(EINVAL, vcpu->vm, KVM_XEN_HVM_EVTCHN_SEND, &event);
	expect(!is_pending(vcpu, LONG_MODE), "the event channel is pending");
}

CASE(xen, event_waits_for_the_vcpus_page, .contract = "xen.evtchn_send.deferred", NEEDS_EVENTS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	share_info(vcpu, LONG_MODE);
	send_event(vcpu, PORT);
	expect(is_pending(vcpu, LONG_MODE), "the event channel is not pending");
	share_vcpu_info(vcpu);
	expect(!is_selected(vcpu, LONG_MODE), "its word is selected");
	guest_runs(vcpu);
	expect(is_selected(vcpu, LONG_MODE), "its word is not selected");
}

CASE(xen, events_are_not_logged_as_dirty, .contract = "xen.evtchn_send.dirty_log", NEEDS_EVENTS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);
	struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .flags = KVM_MEM_LOG_DIRTY_PAGES);

	share_info(vcpu, LONG_MODE);
	set_attribute(vcpu->vm, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_SHARED_INFO,
							   .u.shared_info.gfn = SLOT_GPA / PAGE });
	share_vcpu_info(vcpu);
	send_event(vcpu, PORT);
	expect(test_bit(slot_page(&slot, 0) + LONG_MODE->pending, PORT), "it is not pending");
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
}

/* The guest answers the upcall as Xen's do, before it goes on. */
static void expect_upcall(struct vcpu *vcpu)
{
	expect_run_report(vcpu, TAKEN);
	expect_equal(vcpu_info(vcpu)[0], 1);
	memset(vcpu_info(vcpu), 0, 16);
	memset(shared_info(vcpu) + LONG_MODE->pending, 0, 512);
	expect_run_report(vcpu, ENDED);
}

static struct vcpu *boot_for_upcalls(void)
{
	return be_xens(until_ready(boot_with_split_irqchip(interrupts)), LONG_MODE);
}

CASE(xen, upcall_by_the_vms_vector, .contract = "xen.upcall.vm", NEEDS_INTERRUPTS)
{
	struct vcpu *vcpu = boot_for_upcalls();

	set_attribute(vcpu->vm, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR,
							   .u.vector = IRQ_VECTOR });
	for (unsigned i = 0; i < 2; i++) {
		send_event(vcpu, PORT);
		expect_upcall(vcpu);
	}
}

CASE(xen, upcall_by_the_vcpus_vector, .contract = "xen.upcall.vcpu", NEEDS_INTERRUPTS)
{
	struct vcpu *vcpu = boot_for_upcalls();

	set_vcpu_attribute(vcpu,
			   (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR,
						       .u.vector = IRQ_VECTOR });
	for (unsigned i = 0; i < 2; i++) {
		send_event(vcpu, PORT);
		expect_upcall(vcpu);
	}
}

CASE(xen, event_by_an_interrupt_route, .contract = "xen.route",
     .needs = { CAP_BITS(KVM_CAP_XEN_HVM,
			 KVM_XEN_HVM_CONFIG_SHARED_INFO | KVM_XEN_HVM_CONFIG_EVTCHN_2LEVEL),
		CAP(KVM_CAP_SPLIT_IRQCHIP) })
{
	struct vcpu *vcpu =
		be_xens(boot_with_split_irqchip(one_instruction[MODE_LONG64]), LONG_MODE);
	struct kvm_irq_routing *table = alloca(sizeof *table + sizeof *table->entries);
	struct kvm_irq_level line = { .irq = 5, .level = 1 };

	*table = (struct kvm_irq_routing){ .nr = 1 };
	table->entries[0] = (struct kvm_irq_routing_entry){
		.gsi = 5,
		.type = KVM_IRQ_ROUTING_XEN_EVTCHN,
		.u.xen_evtchn = { .port = PORT, .priority = PRIO_2L },
	};
	x(vcpu->vm, KVM_SET_GSI_ROUTING, table);
	x(vcpu->vm, KVM_IRQ_LINE, &line);
	expect(is_selected(vcpu, LONG_MODE), "its word is not selected");
	expect(is_pending(vcpu, LONG_MODE), "the event channel is not pending");
}

CASE(xen, timer_that_has_expired_is_an_event, .contract = "xen.timer", NEEDS_EVENTS)
{
	struct vcpu *vcpu = be_xens(boot(one_instruction[MODE_LONG64]), LONG_MODE);

	set_vcpu_attribute(
		vcpu, (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER,
						  .u.timer = { PORT, PRIO_2L, .expires_ns = 1 } });
	guest_runs(vcpu);
	expect(is_pending(vcpu, LONG_MODE), "the event channel is not pending");
	expect_equal(get_vcpu_attribute(vcpu, KVM_XEN_VCPU_ATTR_TYPE_TIMER).u.timer.expires_ns, 0);
}

/* Hypercalls that KVM answers. Code of 64 bits has the parameters in RDI and RSI. */

#define XEN_VERSION    17 /* __HYPERVISOR_xen_version, XENVER_version */
#define XENVER_VERSION 0
#define XEN_EVENT_OP   32 /* __HYPERVISOR_event_channel_op */
#define XEN_EVENT_SEND 4  /* EVTCHNOP_send */
#define INTERDOMAIN    2  /* EVTCHNSTAT_interdomain */

static void expect_exit_of_hypercall(struct vcpu *vcpu, struct kvm_regs regs)
{
	run_hypercall(vcpu, regs);
	expect_exit_reason(vcpu, KVM_EXIT_XEN);
	expect_equal(vcpu->run->xen.u.hcall.input, regs.rax);
}

CASE(xen, version_is_the_attributes, .contract = "xen.version", NEEDS_EVENTS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	intercept_hypercalls(vcpu->vm);
	set_attribute(vcpu->vm, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_XEN_VERSION,
							   .u.xen_version = 4 << 16 | 17 });
	expect_hypercall(vcpu, 4 << 16 | 17, .rax = XEN_VERSION, .rdi = XENVER_VERSION);
}

/* What the guest sends to a port, by a hypercall. */
static void guest_sends(struct vcpu *vcpu, uint32_t port)
{
	memcpy(vcpu->vm->ram + ARGUMENT, &port, sizeof port);
	expect_hypercall(vcpu, 0, .rax = XEN_EVENT_OP, .rdi = XEN_EVENT_SEND, .rsi = ARGUMENT);
}

CASE(xen, guests_event_goes_to_an_eventfd, .contract = "xen.evtchn.eventfd", NEEDS_EVENTS)
{
	struct vcpu *vcpu = be_xens(boot(one_instruction[MODE_LONG64]), LONG_MODE);
	int fd = make_eventfd();

	set_attribute(vcpu->vm,
		      (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_EVTCHN,
						 .u.evtchn = { .send_port = PORT,
							       .type = INTERDOMAIN,
							       .deliver.eventfd.fd = fd } });
	guest_sends(vcpu, PORT);
	expect_equal(signals_of(fd), 1);
}

CASE(xen, guests_event_goes_to_a_port, .contract = "xen.evtchn.port", NEEDS_EVENTS)
{
	struct vcpu *vcpu = be_xens(boot(one_instruction[MODE_LONG64]), LONG_MODE);

	set_attribute(vcpu->vm, (struct kvm_xen_hvm_attr){
					.type = KVM_XEN_ATTR_TYPE_EVTCHN,
					.u.evtchn = { .send_port = PORT + 1,
						      .type = INTERDOMAIN,
						      .deliver.port = { .port = PORT,
									.priority = PRIO_2L } } });
	guest_sends(vcpu, PORT + 1);
	expect(is_pending(vcpu, LONG_MODE), "the event channel is not pending");
}

CASE(xen, what_kvm_was_not_told_of_exits, .contract = "xen.hypercall.exit", NEEDS_EVENTS)
{
	static const struct kvm_regs calls[] = {
		{ .rax = XEN_VERSION, .rdi = XENVER_VERSION },
		{ .rax = XEN_EVENT_OP, .rdi = XEN_EVENT_SEND, .rsi = ARGUMENT },
	};

	for (size_t i = 0; i < 2; i++)
		expect_exit_of_hypercall(be_xens(boot(one_instruction[MODE_LONG64]), LONG_MODE),
					 calls[i]);
}

/* The pages. */

static void expect_wall_clock(const struct layout *layout)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);
	uint32_t clock[3];

	share_info(vcpu, layout);
	memcpy(clock, shared_info(vcpu) + layout->wall_clock, sizeof clock);
	expect(clock[0] % 2 == 0 && clock[0] > 0, "version %u", clock[0]);
	expect(clock[1] > 0, "it was not written");
	expect(clock[2] < 1000000000, "%u ns", clock[2]);
}

CASE(xen, wall_clock_of_a_64_bit_guest, .contract = "xen.wall_clock", NEEDS_EVENTS)
{
	expect_wall_clock(LONG_MODE);
}

CASE(xen, wall_clock_of_another_guest, .contract = "xen.wall_clock", NEEDS_EVENTS)
{
	expect_wall_clock(OTHER_MODE);
}

/* The version, which KVM makes even and higher, is the first word of a clock. */
static void expect_clock(struct vcpu *vcpu, uint16_t type, uint64_t gpa, size_t offset)
{
	volatile uint32_t *version = (volatile uint32_t *)(void *)(vcpu->vm->ram + gpa + offset);

	set_vcpu_attribute(vcpu, (struct kvm_xen_vcpu_attr){ .type = type, .u.gpa = gpa });
	guest_runs(vcpu);
	expect(*version > 0 && *version % 2 == 0, "version %u", *version);
}

CASE(xen, vcpu_info_has_a_clock, .contract = "xen.time", NEEDS_EVENTS)
{
	expect_clock(boot(one_instruction[MODE_LONG64]), KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO,
		     VCPU_INFO, 32);
}

CASE(xen, vcpu_time_info_is_a_clock, .contract = "xen.time", NEEDS_EVENTS)
{
	expect_clock(boot(one_instruction[MODE_LONG64]), KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO,
		     TIME_INFO, 0);
}

/* It is runnable after the run if the host has run something else instead. */
CASE(xen, run_state_is_running_in_the_guest, .contract = "xen.runstate",
     NEEDS_XEN(KVM_XEN_HVM_CONFIG_RUNSTATE))
{
	enum { RUNNING, RUNNABLE, BLOCKED };
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);
	struct kvm_xen_vcpu_attr got;

	share_info(vcpu, LONG_MODE);
	set_vcpu_attribute(vcpu,
			   (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADDR,
						       .u.gpa = RUNSTATE });
	set_vcpu_attribute(
		vcpu, (struct kvm_xen_vcpu_attr){ .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT,
						  .u.runstate.state = BLOCKED });
	expect_equal(vcpu->vm->ram[RUNSTATE], BLOCKED);
	guest_runs(vcpu);
	expect(vcpu->vm->ram[RUNSTATE] <= RUNNABLE, "it is %u", vcpu->vm->ram[RUNSTATE]);
	got = get_vcpu_attribute(vcpu, KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA);
	expect_equal(got.u.runstate.state, vcpu->vm->ram[RUNSTATE]);
	expect_equal(got.u.runstate.state_entry_time,
		     got.u.runstate.time_running + got.u.runstate.time_runnable +
			     got.u.runstate.time_blocked + got.u.runstate.time_offline);
}

CASE(xen, hypercall_page_is_written_by_kvm, .contract = "xen.hypercall_page", NEEDS_EVENTS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);
	const struct kvm_userspace_memory_region slot =
		add_slot(vcpu->vm, .flags = KVM_MEM_LOG_DIRTY_PAGES);

	intercept_hypercalls(vcpu->vm);
	prepare_msr(vcpu, "wrmsr", XEN_MSR, SLOT_GPA);
	expect_run_done(vcpu);
	for (unsigned number = 0; number < PAGE / 32; number++) { /* mov $number, %eax */
		const unsigned char *call = slot_page(&slot, 0) + number * 32;

		expect(call[0] == 0xb8 && call[1] == number, "entry %u begins with %02x %02x",
		       number, call[0], call[1]);
	}
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 1);
}

/* Attributes. */

#define EXPECT_VM_ATTRIBUTE(vm, type_, field, value)                                               \
	({                                                                                         \
		set_attribute(vm, (struct kvm_xen_hvm_attr){ .type = (type_), .field = (value) }); \
		expect_equal_(HERE, #type_, get_attribute(vm, type_).field, (value));              \
	})

CASE(xen, attributes_of_a_vm_are_what_was_set, .contract = "xen.vm_attributes", NEEDS_EVENTS)
{
	struct vm *vm = boot(one_instruction[MODE_LONG64])->vm;

	EXPECT_VM_ATTRIBUTE(vm, KVM_XEN_ATTR_TYPE_LONG_MODE, u.long_mode, 1);
	EXPECT_VM_ATTRIBUTE(vm, KVM_XEN_ATTR_TYPE_LONG_MODE, u.long_mode, 0);
	EXPECT_VM_ATTRIBUTE(vm, KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, u.vector, 0xf3);
	EXPECT_VM_ATTRIBUTE(vm, KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, u.vector, 0);
	EXPECT_VM_ATTRIBUTE(vm, KVM_XEN_ATTR_TYPE_XEN_VERSION, u.xen_version, 4 << 16 | 17);
	EXPECT_VM_ATTRIBUTE(vm, KVM_XEN_ATTR_TYPE_SHARED_INFO, u.shared_info.gfn,
			    SHARED_INFO / PAGE);
	EXPECT_VM_ATTRIBUTE(vm, KVM_XEN_ATTR_TYPE_SHARED_INFO, u.shared_info.gfn,
			    KVM_XEN_INVALID_GFN);
}

#define EXPECT_VCPU_ATTRIBUTE(vcpu, type_, field, value)                                           \
	({                                                                                         \
		set_vcpu_attribute(                                                                \
			vcpu, (struct kvm_xen_vcpu_attr){ .type = (type_), .field = (value) });    \
		expect_equal_(HERE, #type_, get_vcpu_attribute(vcpu, type_).field, (value));       \
	})

CASE(xen, attributes_of_a_vcpu_are_what_was_set, .contract = "xen.vcpu_attributes", NEEDS_EVENTS)
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, u.gpa, VCPU_INFO);
	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO, u.gpa, KVM_XEN_INVALID_GPA);
	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, u.gpa, TIME_INFO);
	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_TIME_INFO, u.gpa,
			      KVM_XEN_INVALID_GPA);
	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, u.vcpu_id, 5);
	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, u.vector, 0xf3);
	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_TIMER, u.timer.port, 0);
}

CASE(xen, shared_page_by_its_address_in_userspace, .contract = "xen.shared_info_hva",
     NEEDS_XEN(KVM_XEN_HVM_CONFIG_EVTCHN_SEND | KVM_XEN_HVM_CONFIG_SHARED_INFO_HVA))
{
	struct vcpu *vcpu = boot(one_instruction[MODE_LONG64]);

	intercept_hypercalls(vcpu->vm);
	set_attribute(vcpu->vm, (struct kvm_xen_hvm_attr){ .type = KVM_XEN_ATTR_TYPE_LONG_MODE,
							   .u.long_mode = 1 });
	EXPECT_VM_ATTRIBUTE(vcpu->vm, KVM_XEN_ATTR_TYPE_SHARED_INFO_HVA, u.shared_info.gfn,
			    (uintptr_t)shared_info(vcpu));
	EXPECT_VCPU_ATTRIBUTE(vcpu, KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO_HVA, u.gpa,
			      (uintptr_t)vcpu_info(vcpu));
	send_event(vcpu, PORT);
	expect(is_pending(vcpu, LONG_MODE), "the event channel is not pending");
	expect(is_selected(vcpu, LONG_MODE), "its word is not selected");
}
