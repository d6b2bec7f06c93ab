# SPDX-License-Identifier: MIT
"""What the kernel logs against itself fails the case that it did so in."""

import unittest

import support
from support import BROKEN, scratch

EXPECTED = "the kernel logs no warning and no error"
WARNING = "WARNING: arch/x86/kvm/x86.c:1 at kvm_test+0x1/0x2 [kvm]"


class KernelLog(unittest.TestCase):
    def run_watched(self, *args):
        log, out = scratch() / "kmsg", scratch()
        log.write_text("3,1,1,-;kvm: an error before the run\n")
        done = support.run(BROKEN, f"--kernel-log={log}", "--out", out, *args,
                           env=support.environment(KVMSPEC_TEST_LOG=str(log)))
        checked = support.validate(out)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        return done, support.Results(out)

    def check_fault(self, record, got):
        self.assertEqual((record["verdict"], record["expected"], record["got"]),
                         ("fail", EXPECTED, got))
        # the case's place, since no assertion failed
        self.assertTrue(record["at"].endswith(
            f"kernel_log.c:{support.line_of(record['case'], None)}"), record["at"])

    def test_one_at_a_time(self):
        done, results = self.run_watched("--jobs=1", "kernel_log")
        found = {case.partition("/")[2]: record for case, record in results.by_case.items()}
        self.assertEqual(done.returncode, 1, done.stderr)
        self.check_fault(found["logs_a_warning"], WARNING)
        self.assertEqual(len(found["logs_a_warning"]["kernel_log"]), 4, "the whole report")
        pid = found["logs_an_error_of_kvm"]["got"].partition("[")[2].partition("]")[0]
        self.check_fault(found["logs_an_error_of_kvm"],
                         f"kvm_amd: kvm [{pid}]: vcpu0: something is wrong")
        self.check_fault(found["logs_after_it_passed"], "kvm: too late")
        self.check_fault(found["logs_and_is_skipped"], "kvm: skipped")
        self.check_fault(found["logs_an_error_expected_elsewhere"], "kvm: expected elsewhere")
        self.assertEqual(found["logs_and_fails"]["got"], "it is grey; and the kernel logs: kvm: failed")
        self.assertEqual(found["logs_and_fails"]["kernel_log"], ["kvm: failed"])
        self.assertEqual(found["logs_and_crashes"]["verdict"], "error")
        self.assertEqual(found["logs_and_crashes"]["kernel_log"], ["kvm: crashed"])
        self.assertEqual(found["logs_an_error_that_is_listed"]["verdict"], "known")
        self.assertEqual(found["logs_an_error_that_is_listed"]["got"], "kvm: listed error")
        self.assertEqual(found["logs_and_fails_as_listed"]["verdict"], "fail", "the log is not")
        self.assertEqual(found["logs_what_is_no_fault"]["verdict"], "pass")
        self.assertIn("FAIL kernel_log/logs_a_warning\n", done.stdout)
        self.assertIn(WARNING, done.stdout)

    def test_in_company_a_report_that_names_its_process_is_its_own(self):
        _, results = self.run_watched("--jobs=2", "company/is_innocent",
                                      "company/logs_a_warning_of_its_thread")
        self.check_fault(results.by_case["company/logs_a_warning_of_its_thread"],
                         WARNING)
        self.assertEqual(results.by_case["company/is_innocent"]["verdict"], "pass")

    def test_in_company_a_report_of_nobodys_is_charged_to_all(self):
        _, results = self.run_watched("--jobs=2", "company/is_innocent", "company/logs_a_stall")
        for record in results.records:
            self.check_fault(record, "rcu: INFO: rcu_sched self-detected stall on CPU "
                             "(in this case or in one of 1 others that ran then)")

    def test_the_real_log(self):
        _, results = support.broken_run()
        if results.host["kernel_log"] != "watched":
            self.skipTest(results.host["kernel_log"])
        self.assertIn("kvmspec tests that this is shown",
                      results.by_case["kmsg/a_programs_words_are_shown"]["kernel_log"])

    def test_why_it_is_not_watched(self):
        out = scratch()
        done = support.run(BROKEN, "--kernel-log=/nonexistent", "--out", out, "endings/passes")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(support.Results(out).host["kernel_log"],
                         "/nonexistent: No such file or directory")
