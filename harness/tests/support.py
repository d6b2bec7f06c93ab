# SPDX-License-Identifier: MIT
"""What the tests share: where the programs are, one run of all fixtures, and how to read results."""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BUILD", "build")
KVMSPEC = BUILD / "kvmspec"
BROKEN = BUILD / "kvmspec-broken"
FIXTURES = ROOT / "harness/tests/broken"
SCHEMA = ROOT / "results/junit.xsd"
VALIDATE = ROOT / "ci/validate.py"
PYTHON = "/usr/bin/python3"

# Names that results directories made by default go to, below the working directory.
RUNS, LATEST = Path("results/runs"), Path("results/latest")

_temporary = tempfile.TemporaryDirectory(prefix="kvmspec-test-")


def scratch() -> Path:
    """A new empty directory, removed at the end."""
    return Path(tempfile.mkdtemp(dir=_temporary.name))


def like_a_terminal() -> None:
    """In a child: signals as in a shell's foreground job, whatever started the tests."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)


def environment(**changes: str) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("KVMSPEC", "CRITERION"))}
    return clean | changes


def start(program: Path, *args: object, cwd: Path | None = None, preexec=like_a_terminal,
          **options) -> subprocess.Popen:
    options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
               "stderr": subprocess.PIPE, "text": True, "errors": "replace",
               "env": environment()} | options
    return subprocess.Popen([program, *map(str, args)], cwd=cwd or scratch(), preexec_fn=preexec,
                            **options)


def run(program: Path, *args: object, timeout: float = 60, **options) -> subprocess.CompletedProcess:
    process = start(program, *args, **options)
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, out or "", err or "")


class Results:
    """A results directory, as a reader of it sees it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.records = [json.loads(line)
                        for line in (directory / "cases.jsonl").read_text().splitlines()]
        self.by_case = {record["case"]: record for record in self.records}

    @property
    def host(self) -> dict:
        return json.loads((self.directory / "host.json").read_text())

    @property
    def tap(self) -> str:
        return (self.directory / "report.tap").read_text()

    @property
    def junit(self) -> Path:
        return self.directory / "report.xml"

    def count(self, *verdicts: str) -> int:
        return sum(record["verdict"] in verdicts for record in self.records)


@functools.cache
def broken_run() -> tuple[subprocess.CompletedProcess, Results]:
    """All fixtures, once."""
    out = scratch() / "results"
    # from the top, as `make check` does; --out: nothing is left behind there
    done = run(BROKEN, "--out", out, cwd=ROOT)
    return done, Results(out)


def xmllint(path: Path) -> subprocess.CompletedProcess:
    return subprocess.run(["xmllint", "--noout", "--schema", SCHEMA, path], text=True,
                          capture_output=True)


def validate(directory: Path) -> subprocess.CompletedProcess:
    return subprocess.run([PYTHON, VALIDATE, directory], text=True, capture_output=True)


def line_of(case: str, marker: str | None = "/* ends here */") -> int:
    """
    The line of a fixture that carries the marker: in the case, or in the function before it that
    the case shares with its threads. marker None: the line of CASE itself.
    """
    area, name = case.split("/")
    for path in sorted(FIXTURES.glob("*.c")):
        lines = path.read_text().splitlines()
        for first, line in enumerate(lines):
            if re.match(rf"CASE\({area}, {name}[,)]", line):
                if marker is None:
                    return first + 1
                last = next(i for i in range(first, len(lines)) if lines[i] == "}")
                marked = [i for i, text in enumerate(lines[:last + 1]) if marker in text]
                return marked[-1] + 1
    raise LookupError(case)


def processes_of(parent: int) -> list[int]:
    """The live children of a process, and theirs."""
    found, queue = [], [parent]
    while queue:
        pid = queue.pop()
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            continue
        found += map(int, children)
        queue += map(int, children)
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs: one that is dead and waits for its parent to notice does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def end(pids: list[int]) -> None:
    """Kills those that a broken runner left."""
    for pid in pids:
        try:
            if BROKEN.name in Path(f"/proc/{pid}/cmdline").read_text():
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass  # it is gone, as it should be


def why_no_mounts() -> str:
    """Why this user cannot mount things in a namespace of its own (no root, a chroot), or ""."""
    done = run("/usr/bin/unshare", "--mount", "true")
    return done.stderr.strip() if done.returncode else ""


def wait_until(condition, what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.005)
