# SPDX-License-Identifier: MIT
"""
Runs the framework's own tests: the C unit tests and every test_*.py here. Ends with one plain line,
"N passed, N failed, N skipped", and a status that says whether any failed.

usage: run.py [-C DIRECTORY] [PATTERN]

-C: the tests of another directory, and no unit tests
PATTERN: only the Python tests whose id contains it, and no unit tests
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import unittest
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import support  # noqa: E402: needs the path


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def run_unit_tests() -> tuple[int, int]:
    """Criterion's tests. Returns how many passed and failed."""
    tap = support.scratch() / "unit.tap"
    # one at a time: in 2.4.1 of Criterion, a loaded machine and parallel jobs can deadlock
    done = subprocess.run([support.BUILD / "unit-tests", "--jobs=1", f"--tap={tap}"], text=True,
                          capture_output=True, timeout=120)
    lines = tap.read_text().splitlines() if tap.exists() else []
    passed = sum(line.startswith("ok ") for line in lines)
    failed = sum(line.startswith("not ok ") for line in lines)
    if failed or done.returncode or not passed:
        print(done.stdout + done.stderr)
        failed = max(failed, 1)
    print(f"unit tests: {passed} passed, {failed} failed")
    return passed, failed


def flatten(suite: unittest.TestSuite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flatten(test)
        else:
            yield test


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("-C", dest="directory", type=Path, default=HERE)
    parser.add_argument("pattern", nargs="?", default="")
    args = parser.parse_args()
    started = time.monotonic()
    passed, failed = (0, 0) if args.pattern or args.directory != HERE else run_unit_tests()
    tests = [test for test in flatten(unittest.defaultTestLoader.discover(args.directory))
             if re.search(re.escape(args.pattern), test.id())]
    sys.stdout.flush()
    result = unittest.TextTestRunner(stream=sys.stdout, resultclass=Result).run(
        unittest.TestSuite(tests))
    passed += result.passed
    # a subtest counts with its test
    failed += len({str(getattr(test, "test_case", test))
                   for test, _ in result.failures + result.errors})
    failed += len(result.unexpectedSuccesses)
    for test, reason in result.skipped:
        print(f"skipped: {test.id()}: {reason}")
    print(f"in {time.monotonic() - started:.1f} s")
    print(f"{passed} passed, {failed} failed, {len(result.skipped)} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
