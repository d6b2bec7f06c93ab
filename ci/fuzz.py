# SPDX-License-Identifier: MIT
"""
Runs the fuzz targets that `make fuzz` built, each for some seconds, and says in a line what came of
each. What a target has learned stays in DIRECTORY/<target>/corpus for the next run, and inputs that
crash it stay in DIRECTORY/<target>/crashes, where the next run begins.

usage: fuzz.py DIRECTORY SECONDS [TARGET]

Exit status: 0 nothing crashed, 1 something did, 2 usage.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def elf_images(build: Path) -> list[bytes]:
    return [path.read_bytes() + bytes([mode]) for name in ("hello", "hlt_loop", "mmio")
            for mode, path in enumerate(sorted(build.glob(f"guests/*/{name}.elf")))]


def evidence() -> list[bytes]:
    """struct header, then scribbles: see harness/tests/fuzz/evidence.c."""
    return [bytes([verdict, 5, ending, flags]) + scribble for verdict in range(6)
            for ending in (0, 1, 2 | 64 << 2 & 255, 5) for flags in (0, 12)
            for scribble in (b"", b"\x10\0\0\4\xff\xff\xff\xff")]


def catalogues() -> list[bytes]:
    """What to look up, then the file; one with a line that is longer than any buffer."""
    return [b"x\n" + b"x" * 5000 + b"\n"] + [b"known/fails\n" + path.read_bytes()[-2000:]
            for place in ("cases", "harness/tests/broken") for path in (ROOT / place).glob("*.tsv")]


COMMAND_LINES = [
    b"--jobs=2\n--out=x\n--repeat=2\nwords", b"-j\n3\n-l\n--catalogue\n--strict\n--no-skip\n*/fails",
    b"--timeout-scale=1e2\n--kvm=/dev/kvm\n--\n[a-e]*/f?ils", b"--help", b"--version",
    b"words/" + b"*" * 300, b"--shuffle=7\n--gdb=0\n--gdb-at=start\nendings", b"--shuffle\n--trace\n--ftrace",
    b"--stream=x\n--receive=-\n--probe\n--except=x\n--kernel-log=x\n--until-fail"]
KERNEL_LOGS = [
    b"4,1,2,-;kvm [12]: vcpu0 ignored rdmsr: 0x1\n SUBSYSTEM=x\n\n3,1,2,c;kvm-pvm: pid 13 vcpu0",
    b"\1\0\0\0\0\0\0\0;\n\n6,2,3,-;\\x1b and more\n\n\xff"]
TEXTS = ["a\n\tb \x1b é € \U0001f427 \u2028 \uffff \u0085 ".encode() + b"\xff\xc0\xaf\xed\xa0\x80"]

MAX_LENGTH = {"image": 16384, "catalogue": 8192}  # bytes of an input
QUIET = {"command_line"}  # what these write themselves is not worth reading


def seeds(target: str, build: Path) -> list[bytes]:
    return {"image": elf_images(build), "evidence": evidence(), "catalogue": catalogues(),
            "command_line": COMMAND_LINES, "kernel_log": KERNEL_LOGS, "text": TEXTS}.get(target, [b"a"])


def last_number(pattern: str, log: str) -> str:
    found = re.findall(pattern, log)
    return found[-1] if found else "?"


def complaint(log: str) -> list[str]:
    telling = re.compile(r"does not hold|runtime error|^SUMMARY|ERROR: |^ +#\d+ .*/harness/")
    return [line.strip() for line in log.splitlines() if telling.search(line)][:12]


def fuzz(build: Path, target: str, seconds: str) -> tuple[bool, str]:
    """Whether the target held, and what to print."""
    home = build / target
    shutil.rmtree(home / "seeds", ignore_errors=True)
    for name in ("seeds", "corpus", "crashes"):
        (home / name).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(target, build)):
        (home / f"seeds/{number}").write_bytes(seed)
    before = set((home / "crashes").iterdir())
    done = subprocess.run(
        [build / f"fuzz-{target}", f"-max_total_time={seconds}", "-timeout=10",
         f"-max_len={MAX_LENGTH.get(target, 1024)}", "-print_final_stats=1",
         f"-close_fd_mask={3 if target in QUIET else 0}", f"-artifact_prefix={home}/crashes/",
         *(home / name for name in ("corpus", "seeds", "crashes"))],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    (home / "log").write_text(done.stdout)
    crashes = sorted(set((home / "crashes").iterdir()) - before)
    text = "{:12} {:>9} executions {:>5} edges {:>3} crashes".format(
        target, last_number(r"stat::number_of_executed_units: *(\d+)", done.stdout),
        last_number(r" cov: (\d+) ", done.stdout), max(len(crashes), done.returncode != 0))
    if done.returncode == 0:
        return True, text
    return False, "\n    ".join(
        [text, *complaint(done.stdout), f"all of it: {home}/log",
         f"again: {build}/fuzz-{target} {crashes[0] if crashes else f'{home}/crashes/*'}"])


def check_reports(build: Path) -> bool:
    """All that wild cases left, as one run's reports, must be as results/README.md says."""
    home = build / "evidence"
    reports = home / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    done = subprocess.run([build / "fuzz-evidence", "-runs=0", home / "corpus", home / "seeds"],
                          env=os.environ | {"FUZZ_REPORTS": str(reports)}, capture_output=True)
    problems = [] if done.returncode == 0 else [f"they cannot be made:\n{done.stderr[-2000:]!r}"]
    commands: list[list[str | Path]] = [
        ["/usr/bin/python3", ROOT / "ci/validate.py", reports],
        ["xmllint", "--noout", "--schema", ROOT / "results/junit.xsd", reports / "report.xml"]]
    for command in commands:
        checked = subprocess.run(command, text=True, errors="replace", capture_output=True)
        if checked.returncode != 0:
            problems += (checked.stdout + checked.stderr).splitlines()[:5]
    if problems:
        print("the reports of the evidence are not valid:", *problems, sep="\n    ")
    return not problems


def main() -> int:
    if len(sys.argv) not in (3, 4):
        print("usage: fuzz.py DIRECTORY SECONDS [TARGET]", file=sys.stderr)
        return 2
    build, seconds = Path(sys.argv[1]), sys.argv[2]
    targets = sys.argv[3:] or sorted(path.stem for path in (ROOT / "harness/tests/fuzz").glob("*.c"))
    good = True
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for held, text in pool.map(lambda target: fuzz(build, target, seconds), targets):
            print(text, flush=True)
            good &= held
    if good and "evidence" in targets:
        good = check_reports(build)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
