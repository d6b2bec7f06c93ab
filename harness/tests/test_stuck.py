# SPDX-License-Identifier: MIT
"""
A case that waits in the kernel, where SIGKILL does not reach it (state D), costs that case alone.

The freezer of cgroup v1 makes such a process of any: until it is thawed, nothing ends it.
"""

import re
import signal
import subprocess
import time
import unittest
from pathlib import Path

import support
from support import BROKEN, scratch

STUCK_AFTER = 5  # seconds from SIGKILL until the runner gives up, as in sandbox.c
CASE, NEXT = "stuck/sleeps", "words/empty"
INTERRUPTED = 130


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def case_of(process: subprocess.Popen) -> int | None:
    """The process of the case that waits; the zygote is its parent."""
    zygotes = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    cases = [pid for pid in support.processes_of(process.pid)
             if str(pid) not in zygotes and state(pid) == "S"]
    return cases[0] if cases else None


class Stuck(unittest.TestCase):
    def setUp(self):
        self.mount = scratch()
        done = support.run("/usr/bin/mount", "-t", "cgroup", "-o", "freezer", "kvmspec", self.mount)
        if done.returncode:
            self.skipTest(f"no freezer of cgroup v1: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", self.mount], check=True)
        self.group = self.mount / f"kvmspec-test-{time.monotonic_ns()}"
        self.group.mkdir()
        self.addCleanup(self.remove)
        self.pid = None

    def remove(self):
        self.set_state("THAWED")
        if self.pid:
            support.wait_until(lambda: not Path(f"/proc/{self.pid}").exists(), "its end")
        support.wait_until(lambda: not (self.group / "tasks").read_text(), "the group's end")
        self.group.rmdir()

    def set_state(self, wanted):
        (self.group / "freezer.state").write_text(wanted)
        support.wait_until(lambda: (self.group / "freezer.state").read_text().strip() == wanted,
                           wanted)

    def start(self, *args):
        """A run whose only case that waits is frozen."""
        self.out = scratch()
        process = support.start(BROKEN, "--out", self.out, *args)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        support.wait_until(lambda: case_of(process), "the case")
        self.pid = case_of(process)
        (self.group / "cgroup.procs").write_text(str(self.pid))
        self.set_state("FROZEN")
        return process

    def test_the_run_goes_on(self):
        process = self.start("--jobs=1", CASE, NEXT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1, err)
        self.assertEqual(state(self.pid), "D", "it was stuck indeed")
        results = support.Results(self.out)
        record = results.by_case[CASE]
        self.assertEqual(record["verdict"], "error")
        self.assertEqual(record["reason"], "does not die of SIGKILL: it waits in the kernel "
                                           f"(see /proc/{self.pid}/stack)")
        self.assertGreater(record["seconds"], STUCK_AFTER)
        self.assertLess(record["seconds"], STUCK_AFTER + 10)
        self.assertEqual([r["case"] for r in results.records], [CASE, NEXT])
        self.assertIn(f"ERROR {CASE}\n", out)
        done = support.validate(self.out)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.set_state("THAWED")
        support.wait_until(lambda: not support.is_alive(self.pid), "the SIGKILL of long ago")

    def test_ctrl_c_does_not_wait_for_it(self):
        process = self.start("--jobs=1", CASE)
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, err)
        self.assertLess(time.monotonic() - started, STUCK_AFTER + 10)
        self.assertTrue(re.search(r"\n1 cases? did not run: interrupted\n", out), out)
        self.assertEqual(state(self.pid), "D")
        self.assertEqual(support.validate(self.out).returncode, 0)


if __name__ == "__main__":
    unittest.main()
