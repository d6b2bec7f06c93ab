// SPDX-License-Identifier: MIT
/*
 * Port I/O that KVM leaves to userspace: KVM_EXIT_IO, the data that goes each way, and string
 * instructions. Documented in api.rst, 5. The kvm_run structure: KVM_EXIT_IO and the note on
 * completion below KVM_EXIT_MMIO; KVM_CAP_DISABLE_QUIRKS2 for port 0x7e.
 */
#include "kvmspec.h"

GUEST_EACH_MODE(port_io);

#define PORT           0x2f8 /* in DX */
#define IMMEDIATE_PORT 0x42
#define ELEMENTS       8
#define TEXT           "abcdefgh0123456789ABCDEFGHIJKLMN"
#define ALL_BITS       0x1122334455667788

/* The vCPU's next run executes the instruction at the label, with RAX and the port in DX. */
static void prepare(struct vcpu *vcpu, const char *label, uint64_t rax)
{
	struct kvm_regs regs = vcpu->loaded;

	regs.rip = guest_symbol(vcpu, label);
	regs.rax = rax;
	regs.rdx = PORT;
	vcpu_set_regs(vcpu, regs);
}

CASE(port_io, out_exits_with_port_size_and_data, .contract = "exit.io.out.fields",
     .each_mode = port_io)
{
	static const struct {
		const char *label;
		uint16_t port;
		uint8_t size;
		uint32_t value;
	} outs[] = {
		{ "out8", PORT, 1, 0x88 },
		{ "out16", PORT, 2, 0x7788 },
		{ "out32", PORT, 4, 0x55667788 },
		{ "out8_immediate", IMMEDIATE_PORT, 1, 0x88 },
		{ "out32_immediate", IMMEDIATE_PORT, 4, 0x55667788 },
	};
	struct vcpu *vcpu = boot(guest);

	for (size_t i = 0; i < sizeof outs / sizeof *outs; i++) {
		prepare(vcpu, outs[i].label, guest_register(guest, ALL_BITS));
		expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .port = outs[i].port,
			      .size = outs[i].size, .count = 1, .value = outs[i].value);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_regs(vcpu,
			    .rax = guest_register(guest, ALL_BITS)); /* an OUT changes nothing */
	}
}

CASE(port_io, in_loads_what_userspace_stored, .contract = "exit.io.in", .each_mode = port_io)
{
	static const struct {
		const char *label;
		uint16_t port;
		uint8_t size;
		uint64_t rax;
	} ins[] = {
		{ "in8", PORT, 1, 0x11223344556677a1 },
		{ "in16", PORT, 2, 0x112233445566a2a1 },
		{ "in32", PORT, 4, 0xa4a3a2a1 }, /* writing EAX clears the upper half of RAX */
		{ "in8_immediate", IMMEDIATE_PORT, 1, 0x11223344556677a1 },
	};
	struct vcpu *vcpu = boot(guest);

	for (size_t i = 0; i < sizeof ins / sizeof *ins; i++) {
		prepare(vcpu, ins[i].label, guest_register(guest, ALL_BITS));
		expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .port = ins[i].port,
			      .size = ins[i].size, .count = 1);
		memcpy(vcpu_io_data(vcpu), "\xa1\xa2\xa3\xa4\xa5", 5);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
		expect_regs(vcpu, .rax = guest_register(guest, ins[i].rax));
	}
}

CASE(port_io, in_completes_with_immediate_exit, .contract = "exit.io.completion",
     .each_mode = port_io, .needs = { CAP(KVM_CAP_IMMEDIATE_EXIT) })
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "in16", 0);

	expect_run_exit(vcpu, KVM_EXIT_IO);
	memcpy(vcpu_io_data(vcpu), "\xa1\xa2", 2);
	vcpu->run->immediate_exit = 1;
	expect_run_errno(vcpu, EINTR);
	expect_regs(vcpu, .rax = 0xa2a1, .rip = guest_symbol(vcpu, "after_in16"));
}

/* Runs a string instruction and its HLT; its exits, however many, carry len bytes of data. */
static void transfer(struct vcpu *vcpu, uint8_t direction, uint8_t size, char *data, size_t len)
{
	for (size_t done = 0; done < len;) {
		size_t bytes;

		expect_run_io(vcpu, .direction = direction, .port = PORT, .size = size);
		bytes = (size_t)size * vcpu->run->io.count;
		expect(bytes > 0 && bytes <= len - done, "%zu bytes after %zu of %zu", bytes, done,
		       len);
		if (direction == KVM_EXIT_IO_OUT)
			memcpy(data + done, vcpu_io_data(vcpu), bytes);
		else
			memcpy(vcpu_io_data(vcpu), data + done, bytes);
		done += bytes;
	}
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

CASE(port_io, rep_outs_writes_each_element_once, .contract = "exit.io.string", .each_mode = port_io)
{
	static const char *const labels[] = { [1] = "outs8", [2] = "outs16", [4] = "outs32" };
	struct vcpu *vcpu = boot(guest);

	for (uint8_t size = 1; size <= 4; size *= 2) {
		size_t len = ELEMENTS * size;
		char got[ELEMENTS * 4];

		prepare(vcpu, labels[size], 0);
		transfer(vcpu, KVM_EXIT_IO_OUT, size, got, len);
		expect(memcmp(got, TEXT, len) == 0, "REP OUTS wrote '%.*s'", (int)len, got);
		expect_regs(vcpu, .rcx = 0, .rsi = guest_symbol(vcpu, "message") + len);
	}
}

CASE(port_io, rep_ins_reads_each_element_once, .contract = "exit.io.string", .each_mode = port_io)
{
	static const char *const labels[] = { [1] = "ins8", [2] = "ins16", [4] = "ins32" };
	struct vcpu *vcpu = boot(guest);
	uint64_t buffer = guest_symbol(vcpu, "buffer");

	for (uint8_t size = 1; size <= 4; size *= 2) {
		size_t len = ELEMENTS * size;
		char data[] = TEXT;

		memset(vcpu->vm->ram + buffer, 0, sizeof data);
		prepare(vcpu, labels[size], 0);
		transfer(vcpu, KVM_EXIT_IO_IN, size, data, len);
		expect_memory(vcpu, buffer, data, len);
		expect_regs(vcpu, .rcx = 0, .rdi = buffer + len);
	}
}

CASE(port_io, rep_outs_goes_backwards_with_df, .contract = "exit.io.string", .each_mode = port_io)
{
	struct vcpu *vcpu = boot(guest);
	char got[ELEMENTS];

	prepare(vcpu, "outs_backwards", 0);
	transfer(vcpu, KVM_EXIT_IO_OUT, 1, got, ELEMENTS);
	expect(memcmp(got, "hgfedcba", ELEMENTS) == 0, "REP OUTSB wrote '%.8s'", got);
	expect_regs(vcpu, .rcx = 0, .rsi = guest_symbol(vcpu, "message") - 1);
}

CASE(port_io, out_to_7e_exits_with_rip_past_it, .contract = "quirk.out_7e_inc_rip",
     .each_mode = port_io)
{
	struct vcpu *vcpu = boot(guest);

	prepare(vcpu, "out_7e", 0);

	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .port = 0x7e);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_out_7e"));
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_out_7e") + 1); /* nothing was skipped */
}

CASE(port_io, quirk_disabled_out_to_7e_exits_with_rip_at_it,
     .contract = "quirk.out_7e_inc_rip.disabled", .each_mode = port_io,
     .needs = { CAP_BITS(KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_OUT_7E_INC_RIP) })
{
	struct vcpu *vcpu = boot(guest);

	enable_cap(vcpu->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_OUT_7E_INC_RIP);
	prepare(vcpu, "out_7e", 0);

	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .port = 0x7e);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "out_7e"));
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "after_out_7e") + 1);
}
