#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Measures what the framework costs a case, against a bare program that does the same ioctls.

Usage: bench.py KVMSPEC BARE. Rounds of both are interleaved, and medians compared, so that a
neighbour's load falls on both.
"""
from __future__ import annotations

import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROUNDS = 11
CASES = 200
CASE = "bench/boot_and_halt"


def bare_ms(bare: str) -> float:
    """Median milliseconds of one fork, VM, run to HLT, and teardown."""
    output = subprocess.run([bare, str(CASES)], check=True, capture_output=True, text=True).stdout
    return statistics.median(float(line) for line in output.split()) / 1e3


def framework_ms(kvmspec: str, jobs: int, scratch: str) -> float:
    """Milliseconds a case, of a run of CASES cases: everything between the first and the last."""
    subprocess.run([kvmspec, f"--jobs={jobs}", f"--repeat={CASES}", f"--out={scratch}", CASE],
                   check=True, stdout=subprocess.DEVNULL)
    suite = xml.etree.ElementTree.parse(pathlib.Path(scratch) / "report.xml").getroot()[0]
    return float(suite.attrib["time"]) * 1e3 / CASES


def suite_seconds(kvmspec: str, jobs: int, scratch: str) -> float:
    """Wall seconds of the default run, from start to exit."""
    start = time.monotonic()
    subprocess.run([kvmspec, f"--jobs={jobs}", f"--out={scratch}"], stdout=subprocess.DEVNULL)
    return time.monotonic() - start


def line(what: str, values: list[float], unit: str) -> None:
    print(f"{what:<44} {statistics.median(values):8.2f} {unit:<3} "
          f"(min {min(values):.2f}, max {max(values):.2f}, n {len(values)})")


def main() -> None:
    kvmspec, bare = sys.argv[1:3]
    bare_times, one, two = [], [], []
    with tempfile.TemporaryDirectory() as scratch:
        for _ in range(ROUNDS):
            bare_times.append(bare_ms(bare))
            one.append(framework_ms(kvmspec, 1, scratch))
            two.append(framework_ms(kvmspec, 2, scratch))
        line("bare: fork, VM, vCPU, run to HLT, teardown", bare_times, "ms")
        line("the same as a case, one job", one, "ms")
        line("the same as a case, two jobs", two, "ms")
        line("case / bare (at most 3)", [b / a for a, b in zip(bare_times, one)], "")
        line("throughput of two jobs / one (at least 1.6)", [a / b for a, b in zip(one, two)], "")
        line("whole suite, two jobs", [suite_seconds(kvmspec, 2, scratch) for _ in range(5)], "s")


if __name__ == "__main__":
    main()
