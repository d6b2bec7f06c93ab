// SPDX-License-Identifier: MIT
/* runner/explain.c and state.c: ends that no host can be made to show at will, in words. */
#include <criterion/criterion.h>

#include "host.h"
#include "names.h"
#include "runner/run.h"

#include <errno.h>
#include <string.h>

static void set_vendor(const char *name)
{
	snprintf(host.vendor, sizeof host.vendor, "%s", name);
}

static struct evidence *after(uint32_t reason, union exit_data u)
{
	static struct evidence e;

	memset(&e, 0, sizeof e);
	e.exit_count = 1;
	e.exits[0].exit_reason = reason;
	memcpy(e.exits[0].data, u.bytes, sizeof u.bytes);
	return &e;
}

static bool any_line_has(const json_t *lines, const char *words)
{
	json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
		if (strstr(json_string_value(line), words))
			return true;
	return false;
}

static void expect_explained(const struct evidence *e, const char *words)
{
	json_t *lines = explain(e);

	cr_expect(any_line_has(lines, words), "'%s' is not in: %s", words,
		  lines ? json_dumps(lines, 0) : "(nothing)");
	json_decref(lines);
}

Test(explain, says_nothing_of_exits_that_speak_for_themselves)
{
	cr_assert_null(explain(after(KVM_EXIT_HLT, (union exit_data){ 0 })));
	cr_assert_null(explain(&(struct evidence){ 0 }));
	cr_assert_null(explain(after(KVM_EXIT_INTERNAL_ERROR,
				     (union exit_data){ .internal = { .suberror = 99 } })));
}

Test(explain, entry_that_intel_refuses)
{
	union exit_data u = { .fail_entry.hardware_entry_failure_reason = 0x80000021 };

	set_vendor("kvm_intel");
	expect_explained(after(KVM_EXIT_FAIL_ENTRY, u),
			 "basic exit reason 33: guest state that VMX does not accept");
	expect_explained(after(KVM_EXIT_FAIL_ENTRY, u), "kvm_intel.dump_invalid_vmcs=1");
	u.fail_entry.hardware_entry_failure_reason = 7;
	expect_explained(after(KVM_EXIT_FAIL_ENTRY, u),
			 "VM-instruction error 7: control fields that VMX does not accept");
	u.fail_entry.hardware_entry_failure_reason = 25;
	expect_explained(after(KVM_EXIT_FAIL_ENTRY, u), "error 25: see Intel's manual");
}

Test(explain, entry_that_amd_refuses)
{
	union exit_data u = { .fail_entry.hardware_entry_failure_reason = UINT64_MAX };

	set_vendor("kvm_amd");
	expect_explained(after(KVM_EXIT_FAIL_ENTRY, u), "VMEXIT_INVALID");
	u.fail_entry.hardware_entry_failure_reason =
		UINT32_MAX; /* as older kernels keep it: 32 bits */
	expect_explained(after(KVM_EXIT_FAIL_ENTRY, u), "VMEXIT_INVALID");
}

Test(explain, instruction_that_cannot_be_emulated)
{
	union exit_data u = { .internal = { .suberror = KVM_INTERNAL_ERROR_EMULATION,
					    .ndata = 8 } };
	struct evidence *e;

	u.emulation_failure.flags = 1;
	u.emulation_failure.insn_size = 15;
	memcpy(u.emulation_failure.insn_bytes, "\x0f\x0b\x90\x90", 4);
	u.internal.data[3] = 0x400;
	set_vendor("kvm_amd");
	e = after(KVM_EXIT_INTERNAL_ERROR, u);
	e->has_regs = true;
	expect_explained(e, "15 instruction bytes: 0f 0b 90 90");
	expect_explained(e, "that is ud2");
	expect_explained(e, "0x400 (nested page fault)");
	set_vendor("kvm_intel");
	u.internal.data[3] = 48;
	expect_explained(after(KVM_EXIT_INTERNAL_ERROR, u), "0x30 (EPT violation)");
	u.emulation_failure.flags = 0;
	expect_explained(after(KVM_EXIT_INTERNAL_ERROR, u), "no instruction bytes");
	u.internal.ndata = 0;
	expect_explained(after(KVM_EXIT_INTERNAL_ERROR, u), "no instruction bytes");
}

Test(explain, other_internal_errors)
{
	union exit_data u = { .internal = { .suberror = KVM_INTERNAL_ERROR_SIMUL_EX } };

	set_vendor("kvm_amd");
	expect_explained(after(KVM_EXIT_INTERNAL_ERROR, u), "while another was to be delivered");
	u.internal.suberror = KVM_INTERNAL_ERROR_DELIVERY_EV;
	u.internal.ndata = 5;
	u.internal.data[0] = 0x80000b0d;
	u.internal.data[1] = 0x4e;
	expect_explained(after(KVM_EXIT_INTERNAL_ERROR, u),
			 "EXITINFO2 0x80000b0d, hardware exit 0x4e (exception 14)");
	u.internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	u.internal.data[0] = 0x7f;
	expect_explained(after(KVM_EXIT_INTERNAL_ERROR, u), "0x7f (shutdown)");
}

Test(explain, shutdown)
{
	struct evidence *e = after(KVM_EXIT_SHUTDOWN, (union exit_data){ 0 });

	set_vendor("kvm_amd");
	e->has_regs = true;
	e->sregs.cr0 = 1;
	expect_explained(e, "not in the case's RAM");
	e->gates_size = 256;
	expect_explained(e, "no gate that is present");
	e->gates[6 * 8 + 5] = e->gates[13 * 8 + 5] = 0x8e;
	expect_explained(e, "has gates for 6 13.");
	e->sregs.efer = 1 << 10;
	expect_explained(e, "has gates for 3."); /* those of long mode are twice as large */
	e->regs.rip = 0xfff0;
	e->sregs.cs.base = 0xffff0000;
	expect_explained(e, "after INIT: kvm_amd resets the vCPU");
}

Test(explain, errno_of_a_run)
{
	struct evidence *e = after(KVM_EXIT_HLT, (union exit_data){ 0 });

	e->exits[0].result = -EFAULT;
	expect_explained(e, "could not reach the memory behind a slot");
	e->exits[0].result = -EINTR;
	cr_assert_null(explain(e));
}

/* A wild case may leave anything. */
Test(explain, survives_any_evidence)
{
	static const unsigned char fill[] = { 0x01, 0x7f, 0x80, 0xff };

	for (uint32_t reason = 0; reason < 64; reason++) {
		for (size_t f = 0; f < sizeof fill; f++) {
			static struct evidence e;

			memset(&e, fill[f], sizeof e);
			for (size_t i = 0; i < EVIDENCE_EXITS; i++) {
				e.exits[i].exit_reason = reason;
				e.exits[i].result = 0;
			}
			e.gates_size = EVIDENCE_GATES;
			json_decref(explain(&e));
			json_decref(registers(&e));
			json_decref(system_registers(&e));
			json_decref(segments(&e));
		}
	}
}

static const char *line_of(const json_t *lines, size_t i)
{
	return json_string_value(json_array_get(lines, i));
}

Test(memory_difference, is_a_diff_of_lines)
{
	struct evidence e = { .memory = { .gpa = 0x3f8, .size = 24, .differing = 1 } };
	json_t *lines;

	memset(e.memory.want, 'a', 24);
	memcpy(e.memory.got, e.memory.want, 24);
	e.memory.got[9] = 0;
	lines = memory_difference(&e);
	cr_expect_eq(json_array_size(lines), 4);
	cr_expect_str_eq(line_of(lines, 0), "1 byte differs: - expected, + found");
	cr_expect_str_eq(line_of(lines, 1),
			 "  0x003f8  61 61 61 61 61 61 61 61                          |aaaaaaaa|");
	cr_expect_str_eq(line_of(lines, 2),
			 "- 0x00400  61 61 61 61 61 61 61 61 61 61 61 61 61 61 61 61  "
			 "|aaaaaaaaaaaaaaaa|");
	cr_expect_str_eq(line_of(lines, 3),
			 "+ 0x00400  61 00 61 61 61 61 61 61 61 61 61 61 61 61 61 61  "
			 "|a.aaaaaaaaaaaaaa|");
	json_decref(lines);
}
