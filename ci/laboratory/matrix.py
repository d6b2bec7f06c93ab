# SPDX-License-Identifier: MIT
"""Many kernels under many engines: at most two at a time, a table of all, and what ci/report makes of them."""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import subprocess
import time
from pathlib import Path

import engines
from reporting import matrix as report
from reporting import runs as results

from .common import TOP, LabError, explained, say

AT_ONCE = 2
COLUMNS = ("kernel", "engine", "runs", "KVM", "passed", "failed", "errors", "known", "skipped",
           "seconds", "result")
ENDS = {0: "ok", 1: "failed", 2: "could not run", 130: "interrupted"}


@dataclasses.dataclass
class Run:
    kernel: str
    engine: str
    out: Path
    status: int = 2
    seconds: float = 0
    said: str = ""

    def cells(self) -> list[str]:
        host, counted = self.host(), collections.Counter(self.verdicts().values())
        counts = [str(counted[v]) for v in ("pass", "fail", "error", "known", "skip")]
        result = ENDS.get(self.status, f"status {self.status}")
        if self.status not in (0, 1):
            result += f": {self.said}"
        return [self.kernel, self.engine, str(host.get("kernel", "")), str(host.get("vendor", "")),
                *(counts if host else [""] * 5), f"{self.seconds:.0f}", result]

    def host(self) -> dict[str, object]:
        """host.json; empty if the run could not start."""
        try:
            return json.loads((self.out / "host.json").read_text())
        except OSError:
            return {}

    def verdicts(self) -> dict[str, str]:
        """Of each case that ended."""
        try:
            lines = (self.out / "cases.jsonl").read_text().splitlines()
        except OSError:
            return {}
        records = [json.loads(line) for line in lines]
        return {record["case"]: record["verdict"] for record in records}

    def run(self, arguments: list[str]) -> None:
        """With these options and filters of ci/lab run."""
        started = time.monotonic()
        done = subprocess.run([TOP / "ci/lab", "run", f"--kernel={self.kernel}",
                               f"--engine={self.engine}", f"--out={self.out}", *arguments],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)
        self.seconds = time.monotonic() - started
        self.status = done.returncode
        self.out.mkdir(parents=True, exist_ok=True)
        (self.out / "terminal.log").write_text(done.stdout + done.stderr)
        words = [line.partition(": ")[2] for line in done.stderr.splitlines() if ": " in line]
        self.said = words[-1] if words else "see terminal.log"


def plan(args: argparse.Namespace, out: Path) -> list[Run]:
    """The host has one kernel."""
    runs = []
    for engine in args.engines.split():
        boots = engine not in engines.NAMES or engines.find(engine).BOOTS
        for kernel in args.kernels.split() if boots else ["this"]:
            name = kernel.strip("/").replace("/", "_")
            runs.append(Run(kernel, engine, out / f"{name}-{engine}"))
    return runs


def as_text(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n"
                   for row in rows)


def as_markdown(rows: list[list[str]]) -> str:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in lines)


def run_one(one: Run, filters: list[str]) -> None:
    say(f"{one.kernel} under {one.engine} begins")
    one.run(["--continue", *filters])
    say(f"{one.kernel} under {one.engine}: {ENDS.get(one.status, one.status)}, {one.seconds:.0f} s")


def write_report(runs: list[Run], out: Path) -> None:
    """The page of all that ran; those of which there is nothing to show are mentioned."""
    loaded, missing = [], []
    for one in runs:
        name = f"{one.kernel} under {one.engine}"
        try:
            loaded.append(results.load(one.out))
        except results.ReportError as error:
            missing.append(f"{name}: {one.said if one.status == 2 else error}")
    try:
        report.write(loaded, out, "make matrix", missing)
    except results.ReportError as error:
        raise LabError(str(error)) from error


def run(args: argparse.Namespace) -> int:
    out = args.out or Path("results/runs", time.strftime("%Y%m%dT%H%M%SZ-matrix", time.gmtime()))
    with explained("make a directory for the results", "OUT=dir names another place"):
        out.mkdir(parents=True, exist_ok=True)
    runs = plan(args, out)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda one: run_one(one, args.filter), runs))
    rows = [list(COLUMNS), *(one.cells() for one in runs)]
    (out / "runs.md").write_text(as_markdown(rows))
    print(f"\n{as_text(rows)}\nresults in {out}, this table in {out}/runs.md")
    write_report(runs, out)
    print(f"which contracts hold where: {out}/index.html, matrix.md, matrix.json")
    return max(one.status for one in runs)
