# SPDX-License-Identifier: MIT
"""What ci/bisect and ci/bisect-step have in common on the command line, and an inquiry made from it."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from laboratory.common import TOP, LabError

from . import question
from .inquiry import Inquiry, lab_options, list_cases
from .state import State

QUESTIONS = {
    "fails": "it fails (fail, or known)",
    "changes": "its verdict or anything of its diagnosis is not what it is on GOOD",
    "skips": "it is skipped",
    "slower-than=LIMIT": "the median of its kicks is above a limit: 40us, or 3x, three times the baseline",
    "logs=PATTERN": "the kernel logs a line that matches the regular expression",
}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--case", action="append", required=True, metavar="FILTER",
                        help="what is asked about; may be repeated. Of several cases, one that is bad is enough")
    parser.add_argument("--question", default="fails", metavar="QUESTION",
                        help="what makes a run bad: " + "; ".join(f"{q}: {what}" for q, what in QUESTIONS.items())
                        + " (default: fails)")
    parser.add_argument("--engine", default="tcg-amd", help="default: tcg-amd")
    parser.add_argument("--lab", default="", metavar="OPTIONS",
                        help="more options of ci/lab run: --lab='--cpus=2 --modparam=kvm_amd.npt=0'")
    parser.add_argument("--program", type=Path, default=TOP / "build/kvmspec", help="another build of kvmspec")


def parse_question(text: str, reference: Path | None = None) -> question.Question:
    name, has_value, value = text.partition("=")
    takes_value = {q.partition("=")[0]: "=" in q for q in QUESTIONS}
    if takes_value.get(name) != bool(has_value):
        raise LabError(f"there is no question «{text}»: there are {', '.join(QUESTIONS)}")
    return question.make(name, value, reference)


def common(args: argparse.Namespace) -> dict[str, Any]:
    """The part of a bisection's arguments that is about the question."""
    parse_question(args.question)
    lab_options(args.lab)
    list_cases(args.program, args.case)
    program = args.program.resolve()
    return {"case": args.case, "question": args.question, "engine": args.engine, "lab": args.lab,
            "program": str(program), "program's sha256": hashlib.sha256(program.read_bytes()).hexdigest()}


def inquiry(state: State) -> Inquiry:
    """For a state that was just opened."""
    a = state.arguments
    reference = state.directory / a["reference"] if a.get("reference") else None
    known = state.find_role("reference")
    if known:
        reference = state.directory / known.out
    asked = parse_question(a["question"], reference)
    program = Path(a["program"])
    if not state.confirmed:
        state.cases = list_cases(program, a["case"])
    return Inquiry(asked, state, program, a["engine"], lab_options(a["lab"]),
                   a.get("rounds") or asked.rounds, a.get("confidence") or asked.confidence)
