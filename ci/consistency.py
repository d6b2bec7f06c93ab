#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Checks that the project agrees with itself: contracts and cases, layout, licence lines, links.

Usage: consistency.py KVMSPEC, with the path of the built program.
"""
from __future__ import annotations

import collections
import fnmatch
import pathlib
import re
import subprocess
import sys

TOP = pathlib.Path(__file__).resolve().parent.parent
TOP_LEVEL = {"Makefile", "README.md", "LICENSE", "harness", "cases", "guests", "ci", "results"}
KERNEL_RANGE = re.compile(r"\*|(>=|<|)V|V\.\.V".replace("V", r"\d+(\.\d+)*"))
MODES = ("", "/real16", "/prot32", "/paged32", "/long64")
SOURCES = {".c", ".h", ".S", ".ld", ".py", ".mk"}

problems: list[str] = []


def rows(name: str, columns: int) -> list[tuple[str, list[str]]]:
    """The entries of a table with their places, each with the right number of columns."""
    result = []
    for number, line in enumerate((TOP / name).read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != columns or not all(cell.strip() for cell in cells):
            problems.append(f"{name}:{number}: {columns} non-empty columns, separated by tabs")
            continue
        result.append((f"{name}:{number}", cells))
    return result


def catalogue(kvmspec: str) -> list[tuple[str, str, str]]:
    """(id, contract, source) of every case that the program holds."""
    output = subprocess.run([kvmspec, "--catalogue"], check=True, capture_output=True, text=True)
    return [tuple(line.split("\t")) for line in output.stdout.splitlines()]  # type: ignore[misc]


def check_contracts(cases: list[tuple[str, str, str]]) -> None:
    """Every case has a contract, and every contract a case."""
    ids = [row[0] for _, row in rows("cases/contracts.tsv", 3)]
    for contract, count in collections.Counter(ids).items():
        if count > 1:
            problems.append(f"cases/contracts.tsv: {contract} is there {count} times")
    used = {contract for _, contract, _ in cases}
    for case, contract, source in cases:
        if case.startswith("doctor/"):
            problems.append(f"{source}: {case}: doctor is a word of the command line, not an area")
        if not contract:
            problems.append(f"{source}: {case} names no contract")
        elif contract not in ids:
            problems.append(f"{source}: {case} names {contract}, which is not in contracts.tsv")
    for contract in ids:
        if contract not in used:
            problems.append(f"cases/contracts.tsv: no case checks {contract}")


def check_deviations(cases: list[tuple[str, str, str]]) -> None:
    """Every deviation is about a case that exists, in the modes that it runs in."""
    names = [case + mode for case, _, _ in cases for mode in MODES]
    for where, row in rows("cases/deviations.tsv", 7):
        check_range(where, row[2])
        if not any(fnmatch.fnmatchcase(name, row[0]) for name in names):
            problems.append(f"{where}: no case matches {row[0]}")
        if row[5] != "-" and row[4] == "*":
            problems.append(f"{where}: fails as *, which would hide every other failure")


def check_kernel_log() -> None:
    for where, row in rows("cases/kernel_log.tsv", 6):
        check_range(where, row[2])


def check_kick_limits(cases: list[tuple[str, str, str]]) -> None:
    """Each limit is a number, and about a case of area kick_latency: its measurement has its name."""
    names = [case.removeprefix("kick_latency/") for case, _, _ in cases
             if case.startswith("kick_latency/")]
    for where, row in rows("cases/kick_limits.tsv", 6):
        check_range(where, row[2])
        if not re.fullmatch(r"\d+(\.\d+)?", row[4]):
            problems.append(f"{where}: the limit {row[4]!r} is no number")
        if not fnmatch.filter(names, row[0]):
            problems.append(f"{where}: no case measures {row[0]}")


def check_vmms(kvmspec: str, cases: list[tuple[str, str, str]]) -> None:
    """What VMMs need can be looked at: a capability of the headers, a CPU flag, or cases."""
    capabilities = re.findall(r"KVM_CAP_\w+",
                              (pathlib.Path(kvmspec).parent / "capabilities.inc").read_text())
    names = [case + mode for case, _, _ in cases for mode in MODES]
    for where, (vmm, need, what, minimum, _, _) in rows("cases/vmms.tsv", 6):
        kind, _, pattern = what.rpartition(":")
        known = {"": what in capabilities,
                 "cpu": re.fullmatch(r"\w+(\|\w+)*", pattern) is not None,
                 "case": bool(fnmatch.filter(names, pattern))}
        if not known.get(kind):
            problems.append(f"{where}: {what} is no capability of the headers, CPU flag or case")
        if not re.fullmatch(r"[a-z][a-z-]*", vmm) or need not in ("required", "used"):
            problems.append(f"{where}: {vmm} {need}: a name in small letters, and required or used")
        if not re.fullmatch(r"-|[1-9]\d*", minimum) or (minimum != "-" and kind):
            problems.append(f"{where}: the minimum {minimum!r} is neither - nor a capability's")


def check_bad_input(cases: list[tuple[str, str, str]]) -> None:
    """Every ioctl has its table of bad input."""
    names = {case for case, _, _ in cases}
    for ioctl in re.findall(r"IOCTL\((KVM_\w+),", (TOP / "harness/x86/ioctls.h").read_text()):
        if f"bad_input/{ioctl}" not in names:
            problems.append(f"cases/bad_input.c: there is no case {ioctl}: what does this ioctl refuse?")


def check_range(where: str, text: str) -> None:
    """As harness/runner/catalogue.c reads it."""
    if not KERNEL_RANGE.fullmatch(text):
        problems.append(f"{where}: kernel range {text!r} is none of *, 6.1, 6.1..6.12, >=6.13, <6.8")


def tracked_files() -> list[pathlib.Path]:
    """The files of the project; none where git does not know it (an unpacked archive)."""
    result = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                            cwd=TOP, capture_output=True, text=True)
    return [pathlib.Path(name) for name in result.stdout.splitlines()]


def check_layout(files: list[pathlib.Path]) -> None:
    """The top level is fixed; each source says its licence; guests hold no machine code."""
    for name in sorted({file.parts[0] for file in files}):
        if name not in TOP_LEVEL and not name.startswith("."):
            problems.append(f"{name}: does not belong to the top level")
    for file in files:
        if not (TOP / file).is_file() or file.suffix not in SOURCES:
            continue
        text = (TOP / file).read_text()
        if "SPDX-License-Identifier: MIT" not in "\n".join(text.splitlines()[:3]):
            problems.append(f"{file}: no SPDX licence line")
        if file.parts[0] == "guests" and re.search(r"^\s*\.byte\s+0x", text, re.MULTILINE):
            problems.append(f"{file}: machine code as bytes; write instructions")


def anchor(heading: str) -> str:
    """What GitHub makes of a heading's text."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def check_links(files: list[pathlib.Path]) -> None:
    """Links between the project's texts lead somewhere."""
    for path in (file for file in files if file.suffix == ".md" and (TOP / file).is_file()):
        for target in re.findall(r"\]\(([^)\s]+)\)", (TOP / path).read_text()):
            if "://" in target:
                continue
            name, _, part = target.partition("#")
            aim = TOP / path.parent / name if name else TOP / path
            headings = re.findall(r"(?m)^#+ (.*)$", aim.read_text()) if aim.is_file() and part else []
            if not aim.exists() or part and part not in map(anchor, headings):
                problems.append(f"{path}: there is no {target}")


def main() -> int:
    cases = catalogue(sys.argv[1])
    check_contracts(cases)
    check_deviations(cases)
    check_kernel_log()
    check_kick_limits(cases)
    check_vmms(sys.argv[1], cases)
    check_bad_input(cases)
    files = tracked_files()
    check_layout(files)
    check_links(files)
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
