# SPDX-License-Identifier: MIT
"""
KTAP, in report.ktap and with --ktap. What stands there is compared with the records by
ci/validate.py (test_reports.py); here the kernel's own parser reads it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import unittest
from pathlib import Path

import support
from support import BROKEN, PYTHON, Results, run, scratch

FAILED, CANNOT_RUN = 1, 2
CACHE = Path(os.environ.get("KVMSPEC_CACHE") or Path(
    os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvmspec")
# of a kernel's sources, which it insists on
KUNIT = Path(os.environ.get("KVMSPEC_KUNIT") or CACHE / "kunit") / "tools/testing/kunit/kunit.py"


@functools.cache
def interrupted() -> Results:
    """A run that stopped in the second of three areas."""
    out = scratch()
    run(BROKEN, "--jobs=1", "--until-fail", "--out", out, "assertions/all_hold", "endings",
        "words/empty")
    return Results(out)


def report(results: Results) -> str:
    return (results.directory / "report.ktap").read_text()


class Option(unittest.TestCase):
    def test_standard_output_is_the_report(self):
        out = scratch()
        done = run(BROKEN, "--ktap", "--out", out, "endings/passes", "words/nasty_failure")
        self.assertEqual(done.returncode, FAILED)
        self.assertEqual(done.stdout, report(Results(out)))
        self.assertRegex(done.stdout, "^KTAP version 1\n1..2\n# kvm")
        self.assertTrue(done.stderr.endswith("1 passed, 1 failed, 0 skipped\n"), done.stderr)

    def test_full_standard_output(self):
        out = scratch()
        with open("/dev/full", "w") as full:
            done = run(BROKEN, "--ktap", "--out", out, "endings/passes", stdout=full)
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("could not write KTAP to standard output", done.stderr)
        self.assertEqual(support.validate(out).stdout, "")

    def test_a_stream_alone_has_no_results(self):
        done = run(BROKEN, "--ktap", f"--stream={scratch() / 'stream'}", "endings/passes")
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("add --out=DIR", done.stderr)


class Lines(unittest.TestCase):
    def test_an_interrupted_run_is_valid_up_to_there(self):
        done = support.validate(interrupted().directory)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        text = report(interrupted())
        self.assertRegex(text, r"\nnot ok 2 endings # ERROR only \d+ of its \d+ cases ran\n"
                               r"Bail out! After \d+ of \d+ cases: a case failed \(--until-fail\)\n$")

    def test_an_area_that_cannot_run(self):
        out = scratch()
        run(BROKEN, "--out", out, "words/nasty_skip")
        self.assertIn("\nok 1 words # SKIP ", report(Results(out)))

    def test_a_listed_deviation_that_passes(self):
        text = report(support.broken_run()[1])
        self.assertRegex(text, r"\n  ok \d+ passes # passes, but is listed as a known deviation: ")

    def test_diagnostic_lines_stand_before_their_result(self):
        text = report(support.broken_run()[1])
        found = re.search(r"((?:  # .*\n)+)  not ok \d+ no_is_no_boolean\n", text)
        self.assertIn('  # expected: "yes"\n  # got: "no"\n', found[1])


@unittest.skipUnless(KUNIT.exists(), f"there is no {KUNIT}: ci/lab kunit downloads it (140 MB), "
                     "KVMSPEC_KUNIT=dir names a kernel's sources")
class Kunit(unittest.TestCase):
    """What the kernel's parser makes of it."""

    def parse(self, text: str) -> tuple[dict, str]:
        """The verdicts that it saw, by case, and what it printed."""
        file, result = scratch() / "report.ktap", scratch() / "result.json"
        file.write_text(text)
        done = subprocess.run([PYTHON, KUNIT, "parse", f"--json={result}", file], text=True,
                              capture_output=True)
        self.assertEqual(done.stderr, "")
        return {f"{area['name']}/{case['name']}": case["status"] for area in json.loads(result.read_text())["sub_groups"]
                for case in area["test_cases"]}, done.stdout

    def wanted(self, results: Results) -> dict[str, str]:
        names = {"pass": "PASS", "known": "PASS", "skip": "SKIP", "fail": "FAIL", "error": "FAIL"}
        return {case: names[record["verdict"]] for case, record in results.by_case.items()}

    def test_all_verdicts(self):
        results = support.broken_run()[1]
        found, said = self.parse(report(results))
        self.assertEqual(found, self.wanted(results))
        self.assertIn(f"Ran {len(results.records)} tests: passed: {results.count('pass', 'known')}, "
                      f"failed: {results.count('fail', 'error')}, "
                      f"skipped: {results.count('skip')}\n", said)
        self.assertNotIn("[ERROR]", said)

    def test_an_interrupted_run(self):
        found, said = self.parse(report(interrupted()))
        self.assertEqual({case: status for case, status in found.items() if not case.endswith("/")},
                         self.wanted(interrupted()))  # those that are missing have no name
        self.assertIn("[ERROR] Test: endings: missing expected subtest!", said)

    def test_what_is_cut_off_after_an_area(self):
        """As a machine that dies leaves it."""
        results = support.broken_run()[1]
        whole = report(results)
        ends = list(re.finditer(r"^(?:not )?ok \d+ (\w+).*\n", whole, re.M))
        for count in (1, len(ends) // 2):
            found, said = self.parse(whole[:ends[count - 1].end()])
            areas = {end[1] for end in ends[:count]}
            self.assertEqual(found, {case: status for case, status in self.wanted(results).items()
                                     if case.partition("/")[0] in areas})
            self.assertIn("[ERROR] Test: main: missing expected subtest!", said)


if __name__ == "__main__":
    unittest.main()
