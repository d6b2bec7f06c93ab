// SPDX-License-Identifier: MIT
/* harness/names.c: every exit and errno has a name and a description, whatever KVM says. */
#include <criterion/criterion.h>

#include "names.h"

#include <errno.h>
#include <string.h>

Test(exit_name, knows_x86_exits_and_survives_others)
{
	cr_assert_str_eq(exit_name(KVM_EXIT_HLT), "KVM_EXIT_HLT");
	cr_assert_str_eq(exit_name(KVM_EXIT_UNKNOWN), "KVM_EXIT_UNKNOWN");
	cr_assert_str_eq(exit_name(KVM_EXIT_SNP_REQ_CERTS), "KVM_EXIT_SNP_REQ_CERTS");
	cr_assert_str_eq(exit_name(KVM_EXIT_SNP_REQ_CERTS + 1), "KVM_EXIT_#44");
	cr_assert_str_eq(exit_name(UINT32_MAX), "KVM_EXIT_#4294967295");
	for (uint32_t reason = 0; reason < 100; reason++)
		cr_assert_eq(strncmp(exit_name(reason), "KVM_EXIT_", 9), 0);
}

Test(exit_is_reported, unless_the_run_failed_for_another_reason)
{
	cr_assert(exit_is_reported(0, KVM_EXIT_UNKNOWN));
	cr_assert(exit_is_reported(-EINTR, KVM_EXIT_INTR));
	cr_assert(exit_is_reported(-EFAULT, KVM_EXIT_MEMORY_FAULT));
	cr_assert(exit_is_reported(-EHWPOISON, KVM_EXIT_MEMORY_FAULT));
	cr_assert_not(exit_is_reported(-EINTR, KVM_EXIT_HLT));
	cr_assert_not(exit_is_reported(-EFAULT, KVM_EXIT_INTR));
	cr_assert_not(exit_is_reported(-EAGAIN, KVM_EXIT_MEMORY_FAULT));
}

Test(errno_name, knows_errnos_and_survives_others)
{
	cr_assert_str_eq(errno_name(EINTR), "EINTR");
	cr_assert_str_eq(errno_name(EHWPOISON), "EHWPOISON");
	cr_assert_str_eq(errno_name(530), "errno 530");
	cr_assert_str_eq(errno_name(-1), "errno -1");
}

Test(describe_bytes, prints_what_fits)
{
	char buf[16];

	cr_assert_str_eq(describe_bytes("\x00\x7f\xff", 3, buf, sizeof buf), "00 7f ff");
	cr_assert_str_eq(describe_bytes("", 0, buf, sizeof buf), "");
	cr_assert_lt(strlen(describe_bytes("0123456789", 10, buf, sizeof buf)), sizeof buf);
	cr_assert_str_eq(describe_bytes("0123456789", 10, buf, 1), "");
}

/* What the kernel would leave in kvm_run's union. */
static struct exit_event event_of(uint32_t reason, const struct kvm_run *run)
{
	struct exit_event e = { .exit_reason = reason };

	memcpy(e.data, &run->hw, sizeof e.data);
	return e;
}

static void expect_text(uint32_t reason, struct kvm_run run, const char *text)
{
	struct exit_event e = event_of(reason, &run);
	char buf[1024];

	cr_expect_str_eq(describe_exit(&e, buf, sizeof buf), text);
}

Test(describe_exit, shows_each_field)
{
	expect_text(KVM_EXIT_HLT, (struct kvm_run){ 0 }, "KVM_EXIT_HLT");
	expect_text(KVM_EXIT_UNKNOWN, (struct kvm_run){ .hw.hardware_exit_reason = 0x21 },
		    "KVM_EXIT_UNKNOWN hardware_exit_reason 0x21");
	expect_text(
		KVM_EXIT_FAIL_ENTRY,
		(struct kvm_run){ .fail_entry = { .hardware_entry_failure_reason = 7, .cpu = 3 } },
		"KVM_EXIT_FAIL_ENTRY hardware_entry_failure_reason 0x7 cpu 3");
	expect_text(KVM_EXIT_EXCEPTION,
		    (struct kvm_run){ .ex = { .exception = 14, .error_code = 2 } },
		    "KVM_EXIT_EXCEPTION exception 14 error_code 0x2");
	expect_text(
		KVM_EXIT_DEBUG,
		(struct kvm_run){
			.debug.arch = { .exception = 1, .pc = 0x1000, .dr6 = 0x4002, .dr7 = 3 } },
		"KVM_EXIT_DEBUG exception 1 pc 0x1000 dr6 0x4002 B1 BS dr7 0x3");
	expect_text(KVM_EXIT_MMIO,
		    (struct kvm_run){ .mmio = { .phys_addr = 0xd0000,
						.data = { 1, 2 },
						.len = 2,
						.is_write = 1 } },
		    "KVM_EXIT_MMIO write gpa 0xd0000 len 2 data 01 02");
	expect_text(KVM_EXIT_HYPERCALL,
		    (struct kvm_run){ .hypercall = { .nr = 12,
						     .args = { 1, 2, 3, 4, 5, 6 },
						     .ret = 7,
						     .longmode = 1 } },
		    "KVM_EXIT_HYPERCALL nr 12 args 0x1 0x2 0x3 0x4 0x5 0x6 ret 0x7 flags 0x1 "
		    "LONG_MODE");
	expect_text(KVM_EXIT_TPR_ACCESS,
		    (struct kvm_run){ .tpr_access = { .rip = 0x1000, .is_write = 1 } },
		    "KVM_EXIT_TPR_ACCESS rip 0x1000 is_write 1");
	expect_text(KVM_EXIT_X86_RDMSR, (struct kvm_run){ .msr = { .index = 0x1b, .reason = 1 } },
		    "KVM_EXIT_X86_RDMSR index 0x1b reason 0x1 INVAL data 0x0 error 0");
	expect_text(
		KVM_EXIT_X86_WRMSR,
		(struct kvm_run){ .msr = { .index = 0x1b, .reason = 6, .data = 42, .error = 1 } },
		"KVM_EXIT_X86_WRMSR index 0x1b reason 0x6 UNKNOWN FILTER data 0x2a error 1");
	expect_text(KVM_EXIT_SYSTEM_EVENT,
		    (struct kvm_run){ .system_event = { .type = 2, .ndata = 1, .data = { 9 } } },
		    "KVM_EXIT_SYSTEM_EVENT type 2 (RESET) ndata 1 data 0x9");
	expect_text(KVM_EXIT_NOTIFY, (struct kvm_run){ .notify.flags = 1 },
		    "KVM_EXIT_NOTIFY flags 0x1 CONTEXT_INVALID");
	expect_text(KVM_EXIT_HYPERV,
		    (struct kvm_run){ .hyperv = { .type = KVM_EXIT_HYPERV_HCALL,
						  .u.hcall = { .input = 1, .params = { 2, 3 } } } },
		    "KVM_EXIT_HYPERV type 2 (HCALL) input 0x1 result 0x0 params 0x2 0x3");
	expect_text(KVM_EXIT_HYPERV,
		    (struct kvm_run){ .hyperv = { .type = KVM_EXIT_HYPERV_SYNIC,
						  .u.synic = { .msr = 1, .control = 2 } } },
		    "KVM_EXIT_HYPERV type 1 (SYNIC) msr 0x1 control 0x2 evt_page 0x0 msg_page 0x0");
	expect_text(KVM_EXIT_HYPERV,
		    (struct kvm_run){ .hyperv = { .type = KVM_EXIT_HYPERV_SYNDBG,
						  .u.syndbg = { .msr = 1, .recv_page = 2 } } },
		    "KVM_EXIT_HYPERV type 3 (SYNDBG) msr 0x1 control 0x0 status 0x0 send_page 0x0 "
		    "recv_page 0x2 pending_page 0x0");
	expect_text(
		KVM_EXIT_XEN,
		(struct kvm_run){ .xen = { .type = KVM_EXIT_XEN_HCALL,
					   .u.hcall = { .cpl = 3, .input = 7, .params = { 1 } } } },
		"KVM_EXIT_XEN type 1 (HCALL) longmode 0 cpl 3 input 0x7 result 0x0 params 0x1 "
		"0x0 0x0 0x0 0x0 0x0");
	expect_text(KVM_EXIT_IOAPIC_EOI, (struct kvm_run){ .eoi.vector = 32 },
		    "KVM_EXIT_IOAPIC_EOI vector 32");
}

Test(describe_exit, shows_internal_errors)
{
	expect_text(KVM_EXIT_INTERNAL_ERROR,
		    (struct kvm_run){ .internal = { .suberror = KVM_INTERNAL_ERROR_EMULATION } },
		    "KVM_EXIT_INTERNAL_ERROR suberror 1 (emulation failed) ndata 0");
	expect_text(KVM_EXIT_INTERNAL_ERROR, (struct kvm_run){ .internal = { .suberror = 99 } },
		    "KVM_EXIT_INTERNAL_ERROR suberror 99 (unknown) ndata 0");
	expect_text(KVM_EXIT_INTERNAL_ERROR,
		    (struct kvm_run){ .internal = { .suberror = KVM_INTERNAL_ERROR_EMULATION,
						    .ndata = 3,
						    .data = { 1, 2, 3 } } },
		    "KVM_EXIT_INTERNAL_ERROR suberror 1 (emulation failed) ndata 3 flags 0x1 "
		    "INSTRUCTION_BYTES data 0x1 0x2 0x3");
	expect_text(KVM_EXIT_INTERNAL_ERROR,
		    (struct kvm_run){ .internal = { .suberror = KVM_INTERNAL_ERROR_DELIVERY_EV,
						    .ndata = 2,
						    .data = { 0x80000b0e, 48 } } },
		    "KVM_EXIT_INTERNAL_ERROR suberror 3 (exit while delivering an event) ndata 2 "
		    "data 0x80000b0e 0x30");
}

Test(describe_exit, shows_what_is_beside_the_union)
{
	struct exit_event e = { .exit_reason = KVM_EXIT_SET_TPR, .cr8 = 5, .flags = 3 };
	char buf[1024];

	cr_assert_str_eq(describe_exit(&e, buf, sizeof buf),
			 "KVM_EXIT_SET_TPR cr8 0x5, flags 0x3 SMM BUS_LOCK");
}

Test(describe_exit, shows_a_memory_fault_that_comes_with_an_error)
{
	struct exit_event e = { .result = -EFAULT, .exit_reason = KVM_EXIT_MEMORY_FAULT };
	uint64_t fields[] = { 8, 0x100000, 0x1000 };
	char buf[1024];

	memcpy(e.data, fields, sizeof fields);
	cr_assert_str_eq(
		describe_exit(&e, buf, sizeof buf),
		"KVM_RUN fails with EFAULT (exit_reason is KVM_EXIT_MEMORY_FAULT flags 0x8 "
		"PRIVATE gpa 0x100000 size 0x1000)");
}

Test(describe_bits, names_what_is_set)
{
	char buf[64];

	cr_assert_str_eq(describe_bits(0, rflags_bits, buf, sizeof buf), "0x0");
	cr_assert_str_eq(describe_bits(0x80000011, cr0_bits, buf, sizeof buf),
			 "0x80000011 PE ET PG");
	cr_assert_str_eq(describe_bits(0x3046, rflags_bits, buf, sizeof buf), "0x3046 PF ZF IOPL");
	cr_assert_str_eq(describe_bits(0x1046, rflags_bits, buf, sizeof buf), "0x1046 PF ZF",
			 "a field is named if all of it is set");
}

Test(describe_exit, shows_port_data)
{
	struct kvm_run run = {
		.io = { .direction = KVM_EXIT_IO_OUT, .size = 4, .port = 0x3f8, .count = 3 }
	};
	struct exit_event e = event_of(KVM_EXIT_IO, &run);
	char buf[1024];

	memcpy(e.io_data, "\1\2\3\4\5\6\7\x8", 8);
	cr_assert_str_eq(
		describe_exit(&e, buf, sizeof buf),
		"KVM_EXIT_IO out port 0x3f8 size 4 count 3 data 01 02 03 04 05 06 07 08 …");
}

Test(describe_exit, shows_errors)
{
	struct exit_event e = { .result = -EINTR, .exit_reason = KVM_EXIT_INTR };
	char buf[1024];

	cr_assert_str_eq(describe_exit(&e, buf, sizeof buf),
			 "KVM_RUN fails with EINTR (exit_reason is KVM_EXIT_INTR)");
}

/* A broken KVM may say anything; the buffer's end must hold. */
Test(describe_exit, survives_any_data_and_any_buffer)
{
	static const unsigned char fill[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
	char buf[300];

	for (uint32_t reason = 0; reason < 64; reason++) {
		for (size_t f = 0; f < sizeof fill; f++) {
			struct exit_event e;

			memset(&e, fill[f], sizeof e);
			e.result = 0;
			e.exit_reason = reason;
			for (size_t size = 1; size < 256; size++) {
				memset(buf, '#', sizeof buf);
				describe_exit(&e, buf, size);
				cr_assert(memchr(buf, '\0', size), "reason %u", reason);
				cr_assert_eq(buf[size], '#', "reason %u, size %zu", reason, size);
			}
			cr_assert_eq(strncmp(buf, exit_name(reason), strlen(exit_name(reason))), 0);
		}
	}
}
