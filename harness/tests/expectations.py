# SPDX-License-Identifier: MIT
"""
Whole diagnoses, compared with those in harness/tests/expected: for each kind of failure one fixture's
test point in TAP with its YAML block, so that a change of wording or of facts shows as a diff.

What differs from run to run stands there as <words>; what differs from vendor to vendor has a file
for each, in expected/<vendor module>.

usage: expectations.py [RESULTS]

Writes the files anew, from a run on this host, or from the results that kvmspec-broken left elsewhere:
in a lab, say.
"""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path

import support

EXPECTED = support.ROOT / "harness/tests/expected"

SAME_EVERYWHERE = [
    "assertions/expect_run_exit_but_another",  # a wrong exit
    "assertions/expect_regs_one",              # a wrong register
    "assertions/expect_memory_later_byte",     # wrong memory
    "assertions/expect_errno_but_another",     # a wrong errno
    "assertions/expect_errno_but_it_succeeds",
    "assertions/expect_memory_beyond_ram",     # the case itself is wrong
    "threads/assertion_fails_in_a_thread",
    "endings/hangs_in_the_guest",
    "endings/hangs_outside_of_the_guest",
    "endings/segmentation_fault",
    "endings/exits_with_3",
    "orphans/of_a_failure",
    "needs/a_vendor",
    "known/fails",
    "known/passes",
    "diagnoses/flood",
    "diagnoses/kernel_log",
    "words/nasty_failure",
]
# What KVM answers, or what the vCPU holds then, is the vendor's.
BY_VENDOR = [
    "assertions/expect_run_io_size",  # a wrong field of an exit; RIP is before or after it
    "diagnoses/emulation_fails",
    "diagnoses/triple_fault",
    "diagnoses/entry_fails",
]
# What is nobody's: a pattern.
PLACE = r"(?<=  rip_at: ).*|(?<=rip=)0x\w+|(?<=  code: )\|(\n    .*)+"
UNKNOWN = {
    # anywhere in its loop
    "endings/hangs_in_the_guest": PLACE + r"|(?<=  registers: )\|(\n    .*)+",
    "diagnoses/triple_fault": r"(?<=rdx=)0x\w+",  # after a reset: the CPU's family
    "diagnoses/entry_fails": PLACE,  # not defined after an entry that failed
}

# What is no fact of the case: (pattern, what stands there instead)
VOLATILE = [(re.compile(pattern, re.M), word) for pattern, word in [
    (r"^(not ok|ok) \d+ - ", r"\1 - "),
    (r"^(  at: .*:)\d+$", r"\1<line>"),
    (r"^(  host: ).*$", r"\1<host>"),
    (r"this host has kvm\w*", "this host has <vendor>"),
    (r"killed after \d+\.\d s", "killed after <seconds> s"),
    (r"\b(pid|orphan|kvm \[) ?\d+", r"\1 <pid>"),
    (r"/proc/\d+/", "/proc/<pid>/"),
    (r"\[ *\d+\.\d+\]", "[<time>]"),
    (r"\bcpu \d+$", "cpu <n>"),
    (r"make lab KERNEL=\S+ ENGINE=\S+", "make check"),
    (r"(.)\1{99,}", lambda match: f"<{len(match[0])} times {match[1]}>"),
]]


def fixtures_lines(log: re.Match) -> str:
    """What a kernel says of a case is its own, and limited in rate: only fixtures' words are kept."""
    lines = [line for line in log[1].splitlines(keepends=True) if "kvmspec: " in line]
    return "".join(["  kernel_log: |\n", *lines]) if lines else ""


def normalised(case: str, point: str) -> str:
    point = re.sub(r"^  kernel_log: \|\n((?:    .*\n)+)", fixtures_lines, point, flags=re.M)
    for pattern, word in VOLATILE:
        point = pattern.sub(word, point)
    return re.sub(UNKNOWN[case], "<any>", point) if case in UNKNOWN else point


@functools.cache
def expected_run() -> support.Results:
    """One at a time: the kernel does not say which case it logs a line for."""
    out = support.scratch() / "results"
    support.run(support.BROKEN, "--jobs=1", "--out", out, *SAME_EVERYWHERE, *BY_VENDOR)
    return support.Results(out)


def points(results: support.Results) -> dict[str, str]:
    """The test point of each case, with its diagnosis, normalised."""
    found = re.findall(r"^((?:not )?ok \d+ - (\S+).*\n(?:  ---\n(?:  .*\n|\n)*?  \.\.\.\n)?)",
                       results.tap, re.M)
    return {case: normalised(case, point) for point, case in found}


def path_of(case: str, vendor: str) -> Path:
    directory = EXPECTED / vendor if case in BY_VENDOR else EXPECTED
    return directory / (case.replace("/", ".") + ".tap")


def not_here(results: support.Results, case: str) -> str | None:
    """Why nothing is expected of a case on the results' host, or None."""
    record = results.by_case[case]
    if record["verdict"] == "skip" and case.startswith("diagnoses/"):
        return record["reason"]
    return None


def update(results: support.Results) -> None:
    found = points(results)
    for case in [*SAME_EVERYWHERE, *BY_VENDOR]:
        path = path_of(case, results.host["vendor"])
        reason = not_here(results, case)
        if reason:
            print(f"left alone: {path.relative_to(support.ROOT)}: {reason}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != found[case]:
            print(f"written: {path.relative_to(support.ROOT)}")
            path.write_text(found[case])


def main() -> int:
    if len(sys.argv) > 2 or (len(sys.argv) == 2 and not Path(sys.argv[1]).is_dir()):
        print("usage: expectations.py [RESULTS]", file=sys.stderr)
        return 2
    update(support.Results(Path(sys.argv[1])) if len(sys.argv) == 2 else expected_run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
