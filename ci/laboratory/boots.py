# SPDX-License-Identifier: MIT
"""Counts how reliably a kernel boots: a boot that dies before the suite starts is no verdict."""

from __future__ import annotations

import argparse
import collections
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .common import TOP

ONE_CASE = "first_programs/prints_hello_stores_and_halts/long64"


def run(args: argparse.Namespace) -> int:
    statuses: collections.Counter[int] = collections.Counter()
    deaths: list[str] = []
    started = time.monotonic()
    for number in range(1, args.count + 1):
        with tempfile.TemporaryDirectory() as out:
            done = subprocess.run(
                [TOP / "ci/lab", "run", f"--kernel={args.kernel}", f"--engine={args.engine}",
                 f"--out={out}", *(args.filter or [ONE_CASE])], capture_output=True, text=True)
            statuses[done.returncode] += 1
            host = Path(out, "host.json")
            if host.exists():
                deaths += json.loads(host.read_text())["lab"]["retried"]
            if done.returncode:
                print(done.stdout + done.stderr)
        if sys.stderr.isatty():
            print(f"\r\033[K{number} of {args.count}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    seconds = (time.monotonic() - started) / args.count
    print(f"{args.kernel} under {args.engine}: {args.count} runs, {seconds:.1f} s each; "
          f"{len(deaths)} boots died before the suite started and were tried again")
    for status, count in sorted(statuses.items()):
        print(f"  {count:4} ended with status {status}")
    for death, count in collections.Counter(deaths).most_common():
        print(f"  {count:4} died: {death}")
    return max(statuses)
