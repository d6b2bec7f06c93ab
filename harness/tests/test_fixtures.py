# SPDX-License-Identifier: MIT
"""Every case of harness/tests/broken ends as it must, and says so."""

import re
import unittest

import support

# AddressSanitizer's shadow takes more address space than any limit could leave.
SANITIZED = "sanitize" in str(support.BUILD)

HERE = "here"  # at: the line marked «ends here»
CASE = "case"  # at: the case itself

IO = "KVM_EXIT_IO out port 0x3f8 size 1 count 1 value 0x30"
MMIO = "KVM_EXIT_MMIO write gpa 0xd0400 len 2 value 0x2a"

# fixture: (expected, got, label at RIP or None, the last exit or None); all are failures
FAILURES = {
    "assertions/expect": ("1 + 1 == 3", "it is 2", None, None),
    "assertions/expect_equal": ("sizeof(uint16_t) is 16 (0x10)", "it is 2 (0x2)", None, None),
    "assertions/expect_errno_but_it_succeeds": (
        "KVM_GET_API_VERSION fails with EINVAL", "it succeeds and returns 12", None, None),
    "assertions/expect_errno_but_another": (
        "KVM_GET_REGS fails with ENOENT", "it fails with EFAULT (Bad address)", None, None),
    "assertions/expect_answer": (
        "KVM_CHECK_EXTENSION(KVM_CAP_USER_MEMORY) on /dev/kvm answers 2", "1 (0x1)", None, None),
    "assertions/expect_answer_at_least": (
        "KVM_CHECK_EXTENSION(KVM_CAP_USER_MEMORY) on a VM answers 2 or more", "1 (0x1)", None, None),
    "assertions/expect_answer_bits": (
        "KVM_CHECK_EXTENSION(KVM_CAP_USER_MEMORY) on /dev/kvm answers a number with the bits 0x3", "1 (0x1)", None, None),
    "assertions/x_fails": (
        "KVM_GET_REGS succeeds", "KVM_GET_REGS fails with EFAULT (Bad address)", None, None),
    "assertions/expect_run_errno_but_it_returns": (
        "KVM_RUN fails with EINTR", "KVM_EXIT_HLT", "after_hlt", "KVM_EXIT_HLT"),
    "assertions/expect_run_errno_but_another": (
        "KVM_RUN fails with EAGAIN", re.compile(r"KVM_RUN fails with EINTR \(exit_reason is \w+\)"),
        "entry", re.compile("KVM_RUN fails with EINTR")),
    "assertions/expect_run_exit_but_another": (
        "KVM_EXIT_IO", "KVM_EXIT_HLT", "after_hlt", "KVM_EXIT_HLT"),
    "assertions/expect_run_exit_but_it_fails": (
        "KVM_EXIT_HLT", re.compile(r"KVM_RUN fails with EINTR \(exit_reason is \w+\)"), "entry",
        re.compile("KVM_RUN fails with EINTR")),
    "assertions/expect_exit_reason": (
        "exit_reason is KVM_EXIT_MMIO", "it is KVM_EXIT_HLT", "end", "KVM_EXIT_HLT"),
    "assertions/expect_run_io_direction": (
        "KVM_EXIT_IO in port 0x3f8 size 1 count 1", IO, ..., re.compile("KVM_EXIT_IO out .* 30$")),
    "assertions/expect_run_io_size": (IO.replace("size 1", "size 2"), IO, ..., ...),
    "assertions/expect_run_io_port": (IO.replace("0x3f8", "0x2f8"), IO, ..., ...),
    "assertions/expect_run_io_count": (IO.replace("count 1", "count 2"), IO, ..., ...),
    "assertions/expect_run_io_value": (IO.replace("0x30", "0x35"), IO, ..., ...),
    "assertions/expect_run_io_but_another_exit": (
        "KVM_EXIT_IO", "KVM_EXIT_HLT", "after_hlt", "KVM_EXIT_HLT"),
    "assertions/expect_run_text": (
        "KVM_EXIT_IO out port 0xe9 size 1 count 1 value 0x70",
        "KVM_EXIT_IO out port 0xe9 size 1 count 1 value 0x6c", ...,
        "KVM_EXIT_IO out port 0xe9 size 1 count 1 data 6c"),
    "assertions/expect_run_text_but_it_ends": ("KVM_EXIT_IO", "KVM_EXIT_HLT", "end", "KVM_EXIT_HLT"),
    "assertions/expect_run_mmio_phys_addr": (
        MMIO.replace("0xd0400", "0xd0000"), MMIO, ...,
        "KVM_EXIT_MMIO write gpa 0xd0400 len 2 data 2a 00"),
    "assertions/expect_run_mmio_len": (MMIO.replace("len 2", "len 4"), MMIO, ..., ...),
    "assertions/expect_run_mmio_is_write": ("KVM_EXIT_MMIO read gpa 0xd0400 len 2", MMIO, ..., ...),
    "assertions/expect_run_mmio_value": (MMIO.replace("0x2a", "0x2b"), MMIO, ..., ...),
    "assertions/expect_regs_one": ("rax=0x2b", "rax=0x2a", "end", "KVM_EXIT_HLT"),
    "assertions/expect_regs_rip": ("rip=0x100d", "rip=0x1014", "end", "KVM_EXIT_HLT"),
    "assertions/expect_sregs": ("cr3=0x5000", "cr3=0x0", "entry", None),
    "assertions/expect_memory_first_byte": (
        "memory at GPA 0x400 holds 2b 00", "it holds 2a 00", "end", "KVM_EXIT_HLT"),
    "assertions/expect_memory_later_byte": (
        "memory at GPA 0x401 holds 01 02", "it holds 00 00", "end", "KVM_EXIT_HLT"),
    "assertions/expect_run_report": (
        "KVM_EXIT_IO out port 0x4b0 size 4 count 1 value 0x1234", IO, ..., ...),
    "bad_input/is_taken": (
        "KVM_GET_MP_STATE on a vCPU, with nothing wrong, fails with EINVAL",
        "it succeeds and returns 0, given 4 bytes: 07 and zeros", ..., ...),
    "bad_input/fails_with_another_errno": (
        "KVM_CREATE_IRQCHIP on a VM that has a split irqchip and no vCPU, with an irqchip, fails with EINVAL",
        "it fails with EEXIST (File exists), given 0x12", ..., None),
    "bad_input/is_not_taken": (
        "KVM_GET_REGS on a vCPU, with an address that is not mapped, succeeds",
        "it fails with EFAULT (Bad address), given 0x800", ..., None),
    "bad_input/stops_the_guest": (
        "after KVM_SET_GUEST_DEBUG on a vCPU, with single steps, the guest reports 0x1",
        re.compile("^KVM_EXIT_DEBUG"), ..., re.compile("^KVM_EXIT_DEBUG")),
    "endings/fails_and_is_killed": ("the sky is blue", "it is grey", None, None),
    "endings/fails": ("the sky is blue", "it is grey", None, None),
    "diagnoses/triple_fault": ("KVM_EXIT_HLT", "KVM_EXIT_SHUTDOWN", ..., "KVM_EXIT_SHUTDOWN"),
    "diagnoses/emulation_fails": (
        "KVM_EXIT_HLT", re.compile("^KVM_EXIT_INTERNAL_ERROR"), ...,
        re.compile("^KVM_EXIT_INTERNAL_ERROR suberror 1")),
    "diagnoses/flood": ("silence", "a flood", None, None),
    "diagnoses/long_contract": ("one thing", "another", None, None),
    "latency/takes_too_long": (
        "a kick takes at most so many times what the same signal takes outside of KVM_RUN as "
        "cases/kick_limits.tsv allows",
        re.compile(r"^fixture.impossible: limit 0\.0, medians [\d.]+ \(\d+ ns to \d+ ns\), lowest tenths "
                   r"[\d.]+, in 256 samples, at look 3$"), ..., re.compile("KVM_RUN fails with EINTR")),
    "latency/is_lost": (
        "the kick ends KVM_RUN", re.compile(r"^the vCPU ran on after kick [12] \(signal_mask\)$"), ..., ...),
    "latency/is_lost_by_a_vcpu_that_sleeps": (
        "the kick ends KVM_RUN", "the vCPU did not come back after kick 1 (irqfd)", "after_hlt", ...),
    "threads/one_fails": ("the thread is content", "it is not", None, None),
    "threads/one_fails_while_the_vcpu_runs": (
        "the guest does not count", "it does", re.compile("^again"),
        re.compile("KVM_RUN fails with EINTR")),
    "threads/one_fails_beside_a_running_vcpu": (
        "the guest stands", "it counts", re.compile("^again"),
        re.compile("KVM_RUN fails with EINTR")),
    "threads/one_of_two_vcpus_fails": ("rax=0x1", "rax=0x0", "after_hlt", ...),
    "threads/two_fail_at_once": (
        "one thread fails", re.compile("thread [AB] fails"), None, None),
    "threads/assertion_fails_in_a_thread": (
        "KVM_EXIT_IO", "KVM_EXIT_HLT", "after_hlt", "KVM_EXIT_HLT"),
}

# What these need, not every host has.
NEEDY = {"diagnoses/entry_fails", "diagnoses/kernel_log"}

# fixture: (verdict, at, reason)
OTHERS = {
    "assertions/all_hold": ("pass", CASE, None),
    "assertions/expect_memory_beyond_ram": ("error", HERE, "2 bytes at GPA 0x7ffff are not RAM"),
    "endings/passes": ("pass", CASE, None),
    "endings/skips": ("skip", HERE, "there is no moon here"),
    "endings/errs": ("error", HERE, "out of luck"),
    "endings/unknown_label": ("error", ..., "guest real16/hlt_loop has no label 'nowhere'"),
    "endings/garbage_image": (
        "error", ..., "cannot load guest real16/garbage: it is no ELF file"),
    "endings/truncated_image": (
        "error", ..., "cannot load guest real16/truncated: it has no program headers"),
    "endings/segmentation_fault": ("error", CASE, "killed by signal 11 (SEGV)"),
    "endings/aborts": ("error", CASE, "killed by signal 6 (ABRT)"),
    "endings/real_time_signal": ("error", CASE, "killed by signal 35 (real-time)"),
    "endings/exits_with_0": (
        "error", CASE, "the case's process ended with status 0 before the case did"),
    "endings/exits_with_3": (
        "error", CASE, "the case's process ended with status 3 before the case did"),
    "endings/leaves_with_0": (
        "error", CASE, "the case's process ended with status 0 before the case did"),
    "endings/exits_with_3_after_it_passed": (
        "error", CASE, "the case's process ended with status 3 after the case"),
    "endings/kills_its_process_group": ("error", CASE, "killed by signal 9 (KILL)"),
    "endings/hangs_in_the_guest": ("error", CASE, re.compile(
        r"time-out: killed after \d+\.\d s, before KVM_RUN returned for the first time")),
    "endings/hangs_outside_of_the_guest": ("error", CASE, re.compile(
        r"time-out: killed after \d+\.\d s$")),
    "endings/fills_memory": ("error", HERE, re.compile(
        "memory ends after ([123]|1024) GiB$" if SANITIZED else "memory ends after [123] GiB$")),
    "endings/is_the_first_to_be_killed_without_memory": ("error", HERE, "the score is 1000"),
    "endings/stops_itself": ("error", CASE, re.compile("time-out")),
    "latency/has_no_limit": ("error", ..., "cases/kick_limits.tsv has no row for fixture.unlisted on "
                             "this host, or no number there"),
    "latency/has_a_limit_that_is_no_number": (
        "error", ..., "cases/kick_limits.tsv has no row for fixture.no_number on this host, or no "
        "number there"),
    "latency/measures_too_often": ("error", ..., "more than 16 measurements"),
    "bad_input/is_for_no_host": ("skip", HERE, "needs 0x7ffffff; this host answers 0"),
    "needs/a_capability": ("skip", CASE, "needs KVM_CAP_OF_NO_HOST; this host answers 0"),
    "needs/bits_of_a_capability": ("skip", CASE, re.compile(
        "needs KVM_CAP_NR_MEMSLOTS with bits 0x40000000; this host answers 0x[0-9a-f]+$")),
    "needs/more_of_a_capability": ("skip", CASE, re.compile(
        r"needs KVM_CAP_NR_MEMSLOTS of at least 1073741824; this host answers \d+$")),
    "needs/a_cpu_feature": ("skip", CASE, re.compile(
        r"needs CPU feature everything, KVM_GET_SUPPORTED_CPUID's 0.0 eax bit 31; "
        r"this host answers eax=0x[0-9a-f]+$")),
    "needs/a_cpu_feature_of_no_leaf": (
        "skip", CASE, "needs CPU feature nothing, KVM_GET_SUPPORTED_CPUID's 0x5fffffff.1 ebx bit 3; "
        "this host has no such leaf"),
    "needs/a_kernel": ("skip", CASE, re.compile(r"needs Linux 1000.1 or later; this host has \d")),
    "needs/a_vendor": ("skip", CASE, re.compile(
        r"needs vendor module kvm_none; this host has kvm\w*$")),
    "needs/cpus": ("skip", CASE, re.compile(r"needs 1000000 host CPUs; this host has \d+$")),
    "needs/second_of_two": ("skip", CASE, re.compile("needs vendor module kvm_none")),
    "needs/are_met": ("pass", CASE, None),
    "needs/are_met_and_used": ("pass", CASE, None),
    "orphans/in_the_group": ("pass", CASE, None),
    "orphans/in_another_session": ("pass", CASE, None),
    "orphans/of_a_child": ("pass", CASE, None),
    "orphans/of_a_shell": ("pass", CASE, None),
    "orphans/of_a_failure": ("fail", ..., None),
    "known/fails": ("known", ..., "listed: a <reason> # with signs"),
    "known/passes": (
        "pass", CASE, "passes, but is listed as a known deviation: listed, but it passes"),
    "known/ends_in_an_error": ("error", ..., "out of luck"),
    "known/fails_in_another_way": ("fail", ..., "fails in another way than is listed (it does "
                                   "nothing*): listed for another way to fail"),
    "known/fails_in_the_second_way": ("known", ..., "the second way"),
    "known/is_taken_out": ("fail", ..., None),
    "kmsg/a_programs_words_are_no_fault": ("pass", CASE, None),
    "kmsg/a_programs_words_are_shown": ("fail", ..., None),
    "known/fails_on_another_vendor": ("fail", ..., None),
    "known/fails_on_another_kernel": ("fail", ..., None),
    "known/fails_on_another_engine": ("fail", ..., None),
    "words/nasty_failure": ("fail", ..., None),
    "words/nasty_skip": ("skip", ..., re.compile("<a href")),
    "words/nasty_error": ("error", ..., re.compile("<a href")),
    "words/nasty_output": ("pass", CASE, None),
    "words/nasty_output_of_a_failure": ("fail", ..., None),
    "words/no_is_no_boolean": ("fail", ..., None),
    "words/null_is_no_null": ("fail", ..., None),
    "words/empty": ("fail", ..., None),
    "words/ends_with_a_newline": ("fail", ..., None),
    "words/long_message": ("fail", ..., None),
    "words/prints_and_passes": ("pass", CASE, None),
    "words/prints_unflushed_and_fails": ("fail", ..., None),
    "words/closes_stdout": ("pass", CASE, None),
    "wild/scribbles_everywhere": (
        "error", CASE, "the case's process ended with status 1 before the case did"),
    "wild/fails_with_garbage": ("fail", ..., None),
    "wild/says_that_it_is_known": (
        "error", CASE, "the case's process ended with status 0 before the case did"),
    "wild/skips_without_a_reason": ("skip", CASE, "it gave no reason"),
    "wild/passes_with_a_reason": ("pass", CASE, None),
    "words/flood": ("pass", CASE, None),
    "words/flood_and_hang": ("error", CASE, re.compile("time-out")),
}

OUTPUT_MAX = 16384  # SANDBOX_OUTPUT_MAX


class Fixtures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.done, cls.results = support.broken_run()

    def check(self, got, want, what):
        if want is ...:
            return
        if isinstance(want, re.Pattern):
            self.assertRegex(got or "", want, what)
        else:
            self.assertEqual(got, want, what)

    def check_place(self, case, record, at):
        if at is ...:
            return
        file, _, line = record["at"].rpartition(":")
        self.assertTrue(file.startswith("harness/tests/broken/"), record["at"])
        marker = "/* ends here */" if at == HERE else None
        self.assertEqual(int(line), support.line_of(case, marker), record["at"])

    def test_no_fixture_is_unknown_or_missing(self):
        self.assertEqual(set(self.results.by_case), set(FAILURES) | set(OTHERS) | NEEDY)
        self.assertEqual(len(self.results.records), len(self.results.by_case))

    def test_exit_status_is_that_of_failures(self):
        self.assertEqual(self.done.returncode, 1, self.done.stderr)

    def test_failures(self):
        for case, (expected, got, label, last_exit) in FAILURES.items():
            with self.subTest(case):
                record = self.results.by_case[case]
                self.assertEqual(record["verdict"], "fail")
                self.check_place(case, record, HERE)
                self.check(record["expected"], expected, "expected")
                self.check(record["got"], got, "got")
                self.assertNotIn("reason", record)
                self.check(record.get("at_label"), label, "at_label")
                exits = record["last_exits"]
                self.check(exits[-1] if exits else None, last_exit, "last_exits")

    def test_other_endings(self):
        for case, (verdict, at, reason) in OTHERS.items():
            with self.subTest(case):
                record = self.results.by_case[case]
                self.assertEqual(record["verdict"], verdict)
                self.check_place(case, record, at)
                self.check(record.get("reason"), reason, "reason")
                self.assertEqual("expected" in record, verdict in ("fail", "known"))

    def test_needy_fixtures_fail_or_say_what_they_need(self):
        for case in NEEDY:
            record = self.results.by_case[case]
            self.assertIn(record["verdict"], ("fail", "skip"), record)

    def test_garbage_is_not_reported(self):
        record = self.results.by_case["wild/fails_with_garbage"]
        self.assertNotIn("guest", record)
        self.assertNotIn("code", record)
        self.assertEqual(record["kvm_runs"], 2**63 - 1)
        self.assertEqual(record["ioctls"]["KVM_RUN"]["other"], 0x8080)

    def test_registers_say_what_changed(self):
        registers = self.results.by_case["assertions/expect_regs_one"]["registers"]
        self.assertEqual(registers["rax"], "0x2a (was 0x0)")
        self.assertRegex(registers["rip"], r"^0x1014 \(was 0x1000\)$")
        self.assertEqual(registers["rbx"], "0x0")
        system = self.results.by_case["assertions/expect_regs_one"]["system_registers"]
        self.assertEqual(system["efer"], "0x0")
        self.assertNotIn("registers", self.results.by_case["assertions/expect_equal"])

    def test_exits_are_the_last_sixteen_at_most(self):
        record = self.results.by_case["assertions/expect_run_text_but_it_ends"]
        self.assertEqual(record["kvm_runs"], 14)
        self.assertEqual(len(record["last_exits"]), 14)

    def test_ioctls_are_counted_by_errno(self):
        ioctls = self.results.by_case["assertions/expect_errno_but_another"]["ioctls"]
        self.assertEqual(ioctls["KVM_GET_REGS"], {"EFAULT": 1})
        self.assertEqual(ioctls["KVM_CREATE_VM"], {"ok": 1})

    def test_ioctls_of_several_kinds_of_descriptors_are_counted_by_kind(self):
        shared = self.results.by_case["needs/are_met_and_used"]["shared_ioctls"]
        self.assertEqual(shared["vm KVM_ENABLE_CAP"], {"ok": 1, "EINVAL": 1})
        self.assertEqual(set(shared), {"system KVM_CHECK_EXTENSION", "vm KVM_CHECK_EXTENSION", "vm KVM_ENABLE_CAP"})

    def test_exits_are_counted_by_reason(self):
        exits = {case: self.results.by_case[f"assertions/expect_run_{case}"]["exits"]
                 for case in ("text_but_it_ends", "errno_but_another")}
        self.assertEqual(exits, {"text_but_it_ends": {"KVM_EXIT_IO": 13, "KVM_EXIT_HLT": 1},
                                 "errno_but_another": {}})

    def test_capabilities_are_those_checked_needed_refused_or_enabled(self):
        capabilities = {case: self.results.by_case[f"needs/{case}"]["capabilities"]
                        for case in ("are_met_and_used", "are_met", "more_of_a_capability")}
        self.assertEqual(capabilities, {
            "are_met_and_used": {"KVM_CAP_DISABLE_QUIRKS": "enabled", "KVM_CAP_NR_VCPUS": "refused",
                                 "KVM_CAP_USER_MEMORY": "needed", "KVM_CAP_SYNC_MMU": "checked"},
            "are_met": {"KVM_CAP_USER_MEMORY": "needed", "KVM_CAP_NR_MEMSLOTS": "needed"},
            "more_of_a_capability": {}})

    def test_fields_are_those_asserted_or_set(self):
        io = {"direction": "direction", "size": "size", "port": "port", "count": "count", "value": "data"}
        mmio = {"phys_addr": "phys_addr", "len": "len", "is_write": "is_write", "value": "data"}
        wanted = {f"{exit}_{named}": {f"{exit}.{field}"} for exit, fields in (("io", io), ("mmio", mmio))
                  for named, field in fields.items()}
        wanted |= {"text_but_it_ends": {f"io.{field}" for field in io.values()}, "io_but_another_exit": set()}
        for case, fields in wanted.items():
            self.assertEqual(self.results.by_case[f"assertions/expect_run_{case}"]["fields"],
                             dict.fromkeys(fields | {"exit_reason"}, "asserted"), case)
        self.assertEqual(self.results.by_case["assertions/expect_run_exit_but_it_fails"]["fields"],
                         {"exit_reason": "asserted", "immediate_exit": "set"})
        self.assertEqual(self.results.by_case["assertions/expect_run_errno_but_it_returns"]["fields"], {})
        self.assertEqual(self.results.by_case["wild/fails_with_garbage"]["fields"], {}, "any number was there")

    def test_time_outs_are_kept(self):
        for case, record in self.results.by_case.items():
            with self.subTest(case):
                hangs = "hang" in case or case == "endings/stops_itself"
                if hangs:
                    self.assertGreaterEqual(record["seconds"], 0.5)
                # a busy machine may be slow, but no case takes the default time-out of 10 s
                self.assertLess(record["seconds"], 9)

    def test_a_report_is_about_one_vcpu(self):
        record = self.results.by_case["threads/one_of_two_vcpus_fails"]
        self.assertEqual(record["guest"], "real16/hlt_loop")
        self.assertNotIn("explanation", record, "of the other one's shutdown")

    def test_no_orphan_lives(self):
        seen = 0
        for record in self.results.records:
            for pid in re.findall(r"^orphan (\d+)$", record.get("output", ""), re.M):
                seen += 1
                self.assertFalse(support.is_alive(int(pid)), record["case"])
        self.assertEqual(seen, 5)

    def test_output_is_kept(self):
        output = {case: record.get("output") for case, record in self.results.by_case.items()}
        self.assertEqual(output["words/prints_and_passes"], "a line on stdout\na line on stderr\n")
        self.assertEqual(output["words/prints_unflushed_and_fails"], "no newline at the end")
        self.assertIsNone(output["words/closes_stdout"])

    def test_a_flood_is_cut_and_counted(self):
        record = self.results.by_case["words/flood"]
        self.assertEqual(record["output"], "x" * OUTPUT_MAX)
        self.assertEqual(record["output_bytes_lost"], 100 * 2**20 - OUTPUT_MAX)
        record = self.results.by_case["words/flood_and_hang"]
        self.assertEqual(record["output"], "y" * OUTPUT_MAX)
        self.assertGreater(record["output_bytes_lost"], 0)

    def test_long_messages_are_cut(self):
        record = self.results.by_case["words/long_message"]
        self.assertTrue(record["expected"].startswith("x€€"))
        self.assertTrue(record["got"].startswith("€€"))
        self.assertGreater(len(record["got"]), 600)

    def test_terminal_shows_each_failure_in_full(self):
        out = self.done.stdout
        for case, record in self.results.by_case.items():
            with self.subTest(case):
                word = {"fail": "FAIL", "error": "ERROR"}.get(record["verdict"])
                if word:
                    self.assertIn(f"\n{word} {case}\n", out)
                    self.assertIn(f"\n  run_again: make check FILTER='{case}'\n", out)
                else:
                    self.assertNotRegex(out, f"(FAIL|ERROR) {case}\n")
        self.assertIn("known/passes passes, but is listed as a known deviation", out)
        self.assertIn("skipped:\n", out)
        self.assertNotIn("\033", out, "no colours: this is no terminal")

    def test_terminal_ends_with_the_counts(self):
        results = self.results
        self.assertEqual(self.done.stdout.splitlines()[-1], "{} passed, {} failed, {} skipped".format(
            results.count("pass"), results.count("fail", "error"), results.count("skip", "known")))
