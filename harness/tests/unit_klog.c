// SPDX-License-Identifier: MIT
/* runner/klog.c, on a file that looks like /dev/kmsg, and two cases: 100 (with thread 101), 200. */
#include <criterion/criterion.h>

#include "host.h"
#include "runner/klog.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static FILE *log_file;

static pid_t case_of(pid_t thread)
{
	return thread == 101 ? 100 : thread == 100 || thread == 200 ? thread : 0;
}

static unsigned running(void)
{
	return 2;
}

static void open_log(void)
{
	char path[64];

	host.engine = "host";
	log_file = tmpfile();
	snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(log_file));
	cr_assert_null(klog_open(path, (struct klog_cases){ case_of, running }));
}

static void append(int level, const char *text)
{
	fprintf(log_file, "%d,7,1234,-;%s\n", level, text);
	fflush(log_file);
}

TestSuite(klog, .init = open_log);

Test(klog, faults_of_the_kernel)
{
	static const struct {
		int level;
		const char *text;
	} faults[] = {
		{ 3, "kvm: enabling virtualization on CPU1 failed" },
		{ 3, "kvm_intel: VMCS 0000000012345678, last attempted VM-entry on CPU 1" },
		{ 3, "SVM: unexpected exit reason 0x1" },
		{ 4, "WARNING: CPU: 0 PID: 1 at arch/x86/kvm/x86.c:1 f+0x1/0x2 [kvm]" },
		{ 4, "WARNING: possible circular locking dependency detected" },
		{ 4, "WARNING: suspicious RCU usage" },
		{ 1, "BUG: unable to handle page fault for address: ffffffffffffff00" },
		{ 1, "BUG: kernel NULL pointer dereference, address: 0000000000000008" },
		{ 3, "BUG: KASAN: slab-use-after-free in f+0x1/0x2 [kvm]" },
		{ 3, "BUG: KCSAN: data-race in f / g" },
		{ 3, "BUG: sleeping function called from invalid context at mm/slab.h:1" },
		{ 2, "kernel BUG at virt/kvm/kvm_main.c:1!" },
		{ 3, "UBSAN: shift-out-of-bounds in arch/x86/kvm/mmu/mmu.c:1:2" },
		{ 4,
		  "general protection fault, probably for non-canonical address 0x1: 0000 [#1]" },
		{ 4, "Oops: 0002 [#1] PREEMPT SMP NOPTI" },
		{ 4, "Oops: general protection fault, kernel NULL address 0x0: 0000 [#2] SMP" },
		{ 4, "invalid opcode: 0000 [#1] SMP" },
		{ 4, "unchecked MSR access error: WRMSR to 0x1 (tried to write 0x2) at rIP: 0x3" },
		{ 6, "INFO: trying to register non-static key." },
		{ 3, "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:" },
		{ 3, "rcu: INFO: rcu_sched self-detected stall on CPU" },
		{ 0, "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [sh:1]" },
		{ 0, "NMI watchdog: Watchdog detected hard LOCKUP on cpu 1" },
		{ 3, "INFO: task sh:1 blocked for more than 120 seconds." },
	};
	struct klog_fault fault;

	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		uint64_t start = klog_position();

		append(faults[i].level, faults[i].text);
		cr_expect(klog_find_fault(start, 100, &fault), "no fault: %s", faults[i].text);
		cr_expect_str_eq(fault.text, faults[i].text);
		cr_expect_eq(fault.others, 1, "%s", faults[i].text);
	}
}

Test(klog, no_faults)
{
	static const struct {
		int level;
		const char *text;
	} lines[] = {
		{ 4, "kvm: a warning" },
		{ 6, "kvm: Nested Virtualization enabled" },
		{ 6, "kvmspec-broken[1]: segfault at 8 ip 1 sp 2 error 6 in kvmspec-broken" },
		{ 3, "kvmspec: not KVM at all" },
		{ 3, "kvm [300]: vcpu0: another process" },
		{ 6, "traps: sh[1] general protection fault ip:1 sp:2 error:0 in sh[1+2]" },
		{ 3, "EXT4-fs error (device sda1): it is broken" },
		{ 4, "Spectre V2 : WARNING: Unprivileged eBPF is enabled" },
		{ 3, "Out of memory: Killed process 1 (sh) total-vm:1kB" },
		{ 3, "kvm: expected of these hosts" },
		{ 8 + 3, "kvm: a program's" },
		{ 24 + 3, "BUG: a daemon's" },
	};
	struct klog_fault fault;

	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		uint64_t start = klog_position();

		append(lines[i].level, lines[i].text);
		cr_expect(!klog_find_fault(start, 100, &fault), "a fault: %s", lines[i].text);
	}
}

/* Logs a line, and says whose fault it is: a case's process, 0 for everybody's. */
static pid_t owner_of(const char *text, const char *more)
{
	uint64_t start = klog_position();
	struct klog_fault fault;
	bool first, second;

	append(3, text);
	if (more)
		append(4, more);
	first = klog_find_fault(start, 100, &fault);
	second = klog_find_fault(start, 200, &fault);
	cr_assert(first || second, "nobody's: %s", text);
	cr_expect_eq(fault.others, first && second ? 1 : 0);
	append(4, "---[ end trace 0000000000000000 ]---");
	return first && second ? 0 : first ? 100 : 200;
}

Test(klog, whose_it_is)
{
	cr_expect_eq(owner_of("kvm [100]: vcpu0: x", NULL), 100);
	cr_expect_eq(owner_of("kvm_amd: kvm [200]: vcpu0: x", NULL), 200);
	cr_expect_eq(owner_of("kvm-pvm: pid 101 vcpu0: x", NULL), 100);
	cr_expect_eq(owner_of("kvm: nobody's", NULL), 0);
	cr_expect_eq(owner_of("WARNING: CPU: 1 PID: 200 at f", NULL), 200);
	cr_expect_eq(owner_of("WARNING: x.c:1 at f", "CPU: 1 UID: 0 PID: 101 Comm: kvmspec"), 100);
	cr_expect_eq(owner_of("WARNING: x.c:1 at f", "CPU: 1 UID: 0 PID: 300 Comm: kworker"), 0);
	cr_expect_eq(owner_of("WARNING: x.c:1 at f", NULL), 0);
}

Test(klog, the_caller_is_the_owner)
{
	uint64_t start = klog_position();
	struct klog_fault fault;

	fputs("3,1,1,-,caller=T200;kvm: x\n", log_file);
	fflush(log_file);
	cr_expect(!klog_find_fault(start, 100, &fault));
	cr_expect(klog_find_fault(start, 200, &fault));
}

Test(klog, a_report_that_has_ended_names_nobody_any_more)
{
	uint64_t start = klog_position();
	struct klog_fault fault;

	append(4, "WARNING: x.c:1 at f");
	append(4, "---[ end trace 0000000000000000 ]---");
	append(4, "CPU: 1 PID: 200 Comm: kvmspec");
	cr_expect(klog_find_fault(start, 100, &fault));
}

Test(klog, each_fault_of_a_report_gets_its_owner)
{
	uint64_t start = klog_position();
	struct klog_fault fault;

	append(1, "BUG: kernel NULL pointer dereference, address: 0000000000000008");
	append(4, "Oops: 0002 [#1] PREEMPT SMP NOPTI");
	append(4, "CPU: 1 PID: 200 Comm: kvmspec");
	cr_expect(!klog_find_fault(start, 100, &fault));
	cr_assert(klog_find_fault(start, 200, &fault));
	cr_expect_str_eq(fault.text,
			 "BUG: kernel NULL pointer dereference, address: 0000000000000008");
}

Test(klog, a_flood_hides_no_fault)
{
	uint64_t start = klog_position();
	struct klog_fault fault;
	json_t *lines;

	append(3, "kvm: x");
	for (int i = 0; i < 2 * KLOG_LINES; i++)
		append(6, "a flood");
	cr_expect(klog_find_fault(start, 100, &fault));
	lines = klog_since(start, 100);
	cr_expect_eq(json_array_size(lines), KLOG_LINES);
	json_decref(lines);
}

Test(klog, a_fault_between_cases_is_not_the_next_ones_but_is_kept)
{
	struct klog_fault fault;
	json_t *strays;
	uint64_t start = klog_position();

	append(3, "kvm: of a case");
	cr_expect(klog_find_fault(start, 100, &fault));
	append(3, "kvm: stray");
	cr_expect(!klog_find_fault(klog_position(), 100, &fault));
	append(3, "kvm: after the last case");
	strays = klog_strays();
	cr_assert_eq(json_array_size(strays), 2);
	cr_expect_str_eq(json_string_value(json_array_get(strays, 0)), "kvm: stray");
	cr_expect_str_eq(json_string_value(json_array_get(strays, 1)), "kvm: after the last case");
	json_decref(strays);
}
