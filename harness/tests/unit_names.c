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
	char buf[256];

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
		    "KVM_EXIT_EXCEPTION vector 14 error_code 0x2");
	expect_text(KVM_EXIT_DEBUG,
		    (struct kvm_run){
			    .debug.arch = { .exception = 1, .pc = 0x1000, .dr6 = 2, .dr7 = 3 } },
		    "KVM_EXIT_DEBUG exception 1 pc 0x1000 dr6 0x2 dr7 0x3");
	expect_text(KVM_EXIT_MMIO,
		    (struct kvm_run){ .mmio = { .phys_addr = 0xd0000,
						.data = { 1, 2 },
						.len = 2,
						.is_write = 1 } },
		    "KVM_EXIT_MMIO write gpa 0xd0000 len 2 data 01 02");
	expect_text(KVM_EXIT_HYPERCALL,
		    (struct kvm_run){ .hypercall = { .nr = 12, .args = { 1, 2, 3 } } },
		    "KVM_EXIT_HYPERCALL nr 12 args 0x1 0x2 0x3");
	expect_text(KVM_EXIT_INTERNAL_ERROR,
		    (struct kvm_run){ .internal = { .suberror = KVM_INTERNAL_ERROR_EMULATION } },
		    "KVM_EXIT_INTERNAL_ERROR suberror 1 (emulation failed) ndata 0");
	expect_text(KVM_EXIT_INTERNAL_ERROR, (struct kvm_run){ .internal = { .suberror = 99 } },
		    "KVM_EXIT_INTERNAL_ERROR suberror 99 (unknown suberror) ndata 0");
	expect_text(KVM_EXIT_X86_RDMSR, (struct kvm_run){ .msr = { .index = 0x1b, .reason = 1 } },
		    "KVM_EXIT_X86_RDMSR index 0x1b reason 1 data 0");
	expect_text(KVM_EXIT_SYSTEM_EVENT,
		    (struct kvm_run){ .system_event = { .type = 2, .ndata = 1 } },
		    "KVM_EXIT_SYSTEM_EVENT type 2 ndata 1");
	expect_text(KVM_EXIT_IOAPIC_EOI, (struct kvm_run){ .eoi.vector = 32 },
		    "KVM_EXIT_IOAPIC_EOI vector 32");
}

Test(describe_exit, shows_port_data)
{
	struct kvm_run run = {
		.io = { .direction = KVM_EXIT_IO_OUT, .size = 4, .port = 0x3f8, .count = 3 }
	};
	struct exit_event e = event_of(KVM_EXIT_IO, &run);
	char buf[256];

	memcpy(e.io_data, "\1\2\3\4\5\6\7\x8", 8);
	cr_assert_str_eq(
		describe_exit(&e, buf, sizeof buf),
		"KVM_EXIT_IO out port 0x3f8 size 4 count 3 data 01 02 03 04 05 06 07 08 …");
}

Test(describe_exit, shows_errors)
{
	struct exit_event e = { .result = -EINTR, .exit_reason = KVM_EXIT_INTR };
	char buf[256];

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
