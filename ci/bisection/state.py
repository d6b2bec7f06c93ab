# SPDX-License-Identifier: MIT
"""
What a bisection knows, in state.json of its directory: written after each step, so that the same
command goes on where it was interrupted, and the only source of the report.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import Any

from laboratory.common import LabError, explained

from .question import Answer, Record

SCHEMA = 1
FILE = "state.json"
OUT_REMEDY = "OUT=dir (--out) names another place"


@dataclasses.dataclass
class Step:
    """One kernel was asked."""
    candidate: str            # a package's name and version, or a commit
    role: str                 # good end, bad end, step, check
    answer: Answer
    rounds: int               # so many answers were asked for
    counts: dict[str, int]    # answers
    verdicts: dict[str, int]  # of the records
    seconds: float
    out: str                  # its records: a directory below the bisection's
    how: str = ""             # how the kernel was made: a full build, modules only
    why: str = ""             # it cannot tell
    bad_cases: list[str] = dataclasses.field(default_factory=list)
    example: Record | None = None  # a record that was bad


@dataclasses.dataclass
class Result:
    status: int
    finding: str              # one sentence
    good: str = ""            # the neighbours
    bad: str = ""
    between: list[str] = dataclasses.field(default_factory=list)  # that cannot tell
    changes: str = ""         # changelog entries, or the commit


@dataclasses.dataclass
class State:
    directory: Path
    arguments: dict[str, Any]
    candidates: list[str] = dataclasses.field(default_factory=list)  # packages; good end first
    cases: list[str] = dataclasses.field(default_factory=list)       # that are asked at each step
    left_out: list[str] = dataclasses.field(default_factory=list)    # bad on GOOD as well
    good_throughout: int = 0  # cases that are good on BAD
    confirmed: bool = False   # the ends are
    rounds: int = 0           # at each step
    plan: str = ""            # what that comes from
    estimate: str = ""
    began: str = ""
    steps: list[Step] = dataclasses.field(default_factory=list)
    result: Result | None = None

    def find(self, candidate: str, role: str = "") -> Step | None:
        """What is known of a candidate; the last word counts."""
        return next((step for step in reversed(self.steps)
                     if step.candidate == candidate and role in ("", step.role)), None)

    def find_role(self, role: str) -> Step | None:
        return next((step for step in self.steps if step.role == role), None)

    def save(self) -> None:
        data = dataclasses.asdict(self) | {"schema": SCHEMA}
        del data["directory"]
        text = json.dumps(data, indent=1, default=lambda value: value.value)  # enumerations
        new = self.directory / f".{FILE}.new"
        with explained("write the bisection's state", OUT_REMEDY):
            new.write_text(text + "\n")
            os.replace(new, self.directory / FILE)


def load(directory: Path) -> State:
    try:
        data = json.loads((directory / FILE).read_text())
        if data.pop("schema") != SCHEMA:
            raise LabError(f"{directory / FILE} is of another version of ci/bisect")
        steps = [Step(**step | {"answer": Answer(step["answer"])}) for step in data.pop("steps")]
        result = data.pop("result")
        return State(directory, steps=steps, result=Result(**result) if result else None, **data)
    except OSError as error:
        raise LabError(f"{directory} is no bisection's directory: it has no {FILE}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabError(f"{directory / FILE} is damaged ({error}): remove {directory} to begin "
                       "again, its steps are in steps/") from error


def open_for(directory: Path, arguments: dict[str, Any]) -> State:
    """A new bisection, or the one that was begun there with the same arguments."""
    if not (directory / FILE).exists():
        with explained("make a directory for the bisection", OUT_REMEDY):
            directory.mkdir(parents=True, exist_ok=True)
        return State(directory, arguments, began=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    state = load(directory)
    differ = [f"{name} was {state.arguments.get(name)!r} and is {arguments.get(name)!r}"
              for name in {**state.arguments, **arguments}
              if state.arguments.get(name) != arguments.get(name)]
    if differ:
        raise LabError(f"{directory} is of another bisection: {'; '.join(differ)}. {OUT_REMEDY}")
    return state
