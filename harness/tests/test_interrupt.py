# SPDX-License-Identifier: MIT
"""Runs that are stopped in the middle leave valid reports and no process."""

import re
import signal
import unittest

import support
from support import BROKEN, scratch

INTERRUPTED = 130
HANGING = 3  # the cases of the area «forever»
QUICK = ["endings/fails", "endings/passes", "endings/skips"]  # sorted before «forever»


class Interrupt(unittest.TestCase):
    def start(self, **options):
        """A run that has ended its quick cases, and hangs in all others."""
        self.out = scratch()
        process = support.start(BROKEN, "--jobs=6", "--out", self.out, *QUICK, "forever", **options)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)

        def all_hang():
            lines = (self.out / "cases.jsonl")
            return (lines.exists() and lines.read_text().count("\n") == len(QUICK) and
                    len(self.processes(process)) == HANGING + 3)  # with theirs, and the zygote

        support.wait_until(all_hang, "the cases")
        pids = self.processes(process)
        self.addCleanup(support.end, pids)
        return process, pids

    @staticmethod
    def processes(process):
        return [pid for pid in support.processes_of(process.pid) if support.is_alive(pid)]

    def check_dead(self, pids):
        support.wait_until(lambda: not any(map(support.is_alive, pids)), f"the end of {pids}")

    def check_stopped(self, process, pids):
        out, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, INTERRUPTED, err)
        self.assertFalse([pid for pid in pids if support.is_alive(pid)], "processes are left")
        self.assertIn(f"\n{HANGING} cases did not run: interrupted\n", out)
        self.assertEqual(out.splitlines()[-1], "1 passed, 1 failed, 1 skipped")
        done = support.validate(self.out)
        self.assertEqual(done.returncode, 0, done.stdout)
        results = support.Results(self.out)
        self.assertEqual(sorted(results.by_case), QUICK)
        self.assertEqual(results.tap.splitlines()[-1],
                         f"Bail out! After 3 of {3 + HANGING} cases: interrupted")
        done = support.xmllint(results.junit)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('<property name="stopped" value="interrupted"/>', results.junit.read_text())

    def test_sigint(self):
        process, pids = self.start()
        process.send_signal(signal.SIGINT)
        self.check_stopped(process, pids)

    def test_sigterm(self):
        process, pids = self.start()
        process.send_signal(signal.SIGTERM)
        self.check_stopped(process, pids)

    def test_sighup(self):
        process, pids = self.start()
        process.send_signal(signal.SIGHUP)
        self.check_stopped(process, pids)

    def test_twice(self):
        process, pids = self.start()
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        self.check_stopped(process, pids)

    def test_sigkill_takes_the_cases_along(self):
        process, pids = self.start()
        process.kill()
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, -signal.SIGKILL)
        self.check_dead(pids)
        results = support.Results(self.out)
        self.assertEqual(sorted(results.by_case), QUICK, "what was reached is there")
        self.assertEqual(len(re.findall("^(?:not )?ok", results.tap, re.M)), 3)
        self.assertFalse(results.junit.exists())

    def test_an_old_report_does_not_survive(self):
        out = scratch()
        support.run(BROKEN, "--out", out, "endings/passes")
        self.assertTrue((out / "report.xml").exists())
        process = support.start(BROKEN, "--out", out, "forever/sleeps")
        support.wait_until(lambda: not (out / "report.xml").exists(), "the second run")
        process.kill()
        process.communicate(timeout=20)

    def test_ignored_signals_stay_ignored(self):
        """As nohup and a shell's background jobs want it."""
        def ignore():
            support.like_a_terminal()
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        process, pids = self.start(preexec=ignore)
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        with self.assertRaises(support.subprocess.TimeoutExpired):
            process.wait(0.3)
        process.send_signal(signal.SIGTERM)
        self.check_stopped(process, pids)
