# SPDX-License-Identifier: MIT
"""
What is asked of each kernel. A question maps what one run of a case left to good, bad or cannot
tell, and nothing else: what got in the way (ERROR, a guest that died, a case that did not run) is
never good or bad.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from laboratory.common import LabError

Record = dict[str, Any]  # a line of cases.jsonl: results/README.md


class Answer(enum.Enum):
    GOOD = "good"
    BAD = "bad"
    CANNOT_TELL = "cannot tell"


# What of a record makes up its diagnosis; where it ran, how long and how often does not.
DIAGNOSIS = ("verdict", "reason", "at", "expected", "got", "explanation", "memory", "at_label",
             "registers", "system_registers", "segments", "last_exits", "kernel_log")


def name_of(record: Record) -> str:
    """The case, without the number of its round."""
    return record.get("filter", record["case"])


def round_of(record: Record) -> int:
    return int(record["case"].rpartition("/")[2]) if "filter" in record else 1


@dataclasses.dataclass
class Reference:
    """
    How GOOD answers: of each case the members of its diagnosis that were the same in all rounds.
    What varies there (a time, an address) says nothing anywhere else.
    """
    diagnoses: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, records: Iterable[Record]) -> Reference:
        seen: dict[str, list[Record]] = {}
        for record in records:
            seen.setdefault(name_of(record), []).append(record)
        return cls({case: {member: rounds[0].get(member) for member in DIAGNOSIS
                           if all(r.get(member) == rounds[0].get(member) for r in rounds)}
                    for case, rounds in seen.items()})

    def differences(self, record: Record) -> list[str]:
        """Members of a record's diagnosis that are not what they are on GOOD."""
        known = self.diagnoses.get(name_of(record), {})
        return [member for member, value in known.items() if record.get(member) != value]


class Question:
    """Whether the case fails. The others change what answer() makes of a record."""

    name = "fails"
    value = ""        # what the question was given on the command line
    per_boot = False  # one answer for a boot, not one for each round
    rounds = 30       # of an end, if the command line does not say
    confidence = 0.999
    options: tuple[str, ...] = ()  # of ci/lab run, that it wants

    def __str__(self) -> str:
        return "does it fail?"

    def ran(self, record: Record) -> bool:
        return record["verdict"] in ("pass", "fail", "known")

    def answer(self, record: Record) -> Answer:
        if not self.ran(record):
            return Answer.CANNOT_TELL
        # a deviation that is listed is one all the same
        return Answer.GOOD if record["verdict"] == "pass" else Answer.BAD

    def learn(self, records: list[Record]) -> None:
        """Is shown what GOOD answers, if needs_reference()."""

    def needs_reference(self) -> bool:
        return False


class Changes(Question):
    name = "changes"

    def __init__(self, reference: Reference | None = None):
        self.reference = reference

    def __str__(self) -> str:
        return "is its verdict or diagnosis another one than on GOOD?"

    def needs_reference(self) -> bool:
        return self.reference is None

    def learn(self, records: list[Record]) -> None:
        self.reference = Reference.of(r for r in records if r["verdict"] != "error")

    def answer(self, record: Record) -> Answer:
        if not self.reference:  # what is to become it
            return Answer.CANNOT_TELL if record["verdict"] == "error" else Answer.GOOD
        known = self.reference.diagnoses.get(name_of(record), {})
        if record["verdict"] == "error" or "verdict" not in known:
            return Answer.CANNOT_TELL
        return Answer.BAD if self.reference.differences(record) else Answer.GOOD


class Skips(Question):
    name = "skips"

    def __str__(self) -> str:
        return "is it skipped?"

    def answer(self, record: Record) -> Answer:
        if record["verdict"] == "skip":
            return Answer.BAD
        return Answer.GOOD if self.ran(record) else Answer.CANNOT_TELL


class Slower(Question):
    """Than a time (40us), or than its baseline so many times (3x): medians of its measurements."""

    name = "slower-than"
    options = ("--jobs=1",)  # two would measure each other
    UNITS = {"ns": 1, "us": 1000, "ms": 1000_000}

    def __init__(self, limit: str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ns|us|ms|x)", limit)
        if not match or not float(match[1]):
            raise LabError(f"«{limit}» is no limit for a kick: 40us is one (ns, us, ms), "
                           "or 3x, three times its baseline")
        self.value = limit
        self.times = match[2] == "x"
        self.limit = float(match[1]) * self.UNITS.get(match[2], 1)

    def __str__(self) -> str:
        what = "times its baseline" if self.times else ""
        limit = self.value.rstrip("x") if self.times else self.value
        return f"does a kick take longer than {limit} {what}".rstrip() + " (median)?"

    def measured(self, record: Record) -> list[float]:
        usable = [m for m in record.get("measurements", []) if m["value"]["count"]]
        if self.times:  # a noisy baseline compares with nothing
            return [m["ratio"] for m in usable if m["baseline"]["count"] and not m["noisy"]]
        return [m["value"]["p50"] for m in usable]

    def answer(self, record: Record) -> Answer:
        measured = self.measured(record) if self.ran(record) else []
        if not measured:
            return Answer.CANNOT_TELL
        return Answer.BAD if max(measured) > self.limit else Answer.GOOD


class Logs(Question):
    """
    A line of the kernel's log while the guest ran, whatever the verdicts. Boots of the same kernel
    log once what it warns of once, so one boot is one answer.
    """

    name = "logs"
    per_boot = True
    rounds = 6  # boots cost more than rounds
    confidence = 0.95

    def __init__(self, pattern: str):
        try:
            self.pattern = re.compile(pattern)
        except re.error as error:
            raise LabError(f"«{pattern}» is no regular expression: {error}") from error
        self.value = pattern

    def __str__(self) -> str:
        return f"does its kernel log a line that matches «{self.value}»?"

    def found(self, log: str) -> list[str]:
        return [line for line in log.splitlines() if self.pattern.search(line)]


def make(name: str, value: str, reference: Path | None = None) -> Question:
    """reference: results of a run on a good kernel, for changes."""
    if name == Changes.name:
        return Changes(Reference.of(read_records(reference)) if reference else None)
    made: dict[str, type] = {Slower.name: Slower, Logs.name: Logs}
    return made[name](value) if name in made else Skips() if name == Skips.name else Question()


def read_records(directory: Path) -> list[Record]:
    """All of a results directory, as far as its run came."""
    try:
        lines = (directory / "cases.jsonl").read_text().splitlines()
    except OSError:
        return []
    return [json.loads(line) for line in lines]


# From records to answers

@dataclasses.dataclass
class Observed:
    """The answers of one run: of each round, or of the boot; and how often which verdict was seen."""
    answers: list[Answer]
    verdicts: dict[str, int]
    why: str = ""              # the first one cannot tell
    bad_cases: tuple[str, ...] = ()
    example: Record | None = None  # a record that is bad

    def count(self, answer: Answer) -> int:
        return self.answers.count(answer)


def why_not(record: Record) -> str:
    reason = record.get("reason", "").split("\n")[0]
    if record["verdict"] == "error":
        return f"ERROR of {record['case']}: {reason or 'no reason given'}"
    if record["verdict"] == "skip":
        return f"{record['case']} is skipped: {reason}"
    return f"{record['case']} measured nothing that can be judged"


def observe(question: Question, cases: list[str], rounds: int, directory: Path) -> Observed:
    """
    What a results directory answers about these cases: a round is bad if one of them is, and good
    if all are.
    """
    records = [r for r in read_records(directory) if name_of(r) in cases]
    verdicts: dict[str, int] = {}
    for record in records:
        verdicts[record["verdict"]] = verdicts.get(record["verdict"], 0) + 1
    if isinstance(question, Logs):
        return observe_log(question, cases, records, verdicts, directory)
    observed = Observed([], verdicts)
    bad_cases = set()
    for number in range(1, rounds + 1):
        here = {name_of(r): r for r in records if round_of(r) == number}
        answers = {case: question.answer(record) for case, record in here.items()}
        bad = [case for case in cases if answers.get(case) == Answer.BAD]
        unclear = [case for case in cases if answers.get(case) in (None, Answer.CANNOT_TELL)]
        bad_cases.update(bad)
        if bad:
            observed.example = observed.example or here[bad[0]]
        elif unclear and not observed.why:
            observed.why = why_not(here[unclear[0]]) if unclear[0] in here else \
                f"{unclear[0]} did not run"
        observed.answers.append(Answer.BAD if bad else Answer.CANNOT_TELL if unclear else Answer.GOOD)
    observed.bad_cases = tuple(sorted(bad_cases))
    return observed


def observe_log(question: Logs, cases: list[str], records: list[Record], verdicts: dict[str, int],
                directory: Path) -> Observed:
    try:
        lines = question.found((directory / "kernel.log").read_text(errors="replace"))
    except OSError:
        lines = []
    if lines:
        example = {"case": ", ".join(cases), "verdict": "logged", "kernel_log": lines[:20]}
        return Observed([Answer.BAD], verdicts, bad_cases=tuple(cases), example=example)
    ran = {name_of(record) for record in records if question.ran(record)}
    missing = [case for case in cases if case not in ran]
    if missing:
        why = next((why_not(r) for r in records if name_of(r) == missing[0]), f"{missing[0]} did not run")
        return Observed([Answer.CANNOT_TELL], verdicts, why)
    return Observed([Answer.GOOD], verdicts)
