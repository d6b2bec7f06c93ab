# SPDX-License-Identifier: MIT
"""
What changed between two runs, and whether something is worse in NEW than it was in BASE.

Worse is:
  - a case that fails or ends in an error, and did not;
  - a case that passed, and now fails as cases/deviations.tsv says (known);
  - a case that ran, and is now skipped, unless the hosts differ in what explains it (their CPUs'
    number or model, kernel, vendor module), or it is not KVM's at all (timers, permissions);
  - a capability that KVM no longer has, unless the CPU is another model;
  - a kick that takes longer, beside its baseline (by a rank test over samples);
  - a run that ended early, when BASE came to its end.
All else is told, and is not worse: cases that fail in another way, come or go, and their seconds.

Exit status: 0 nothing is worse, 1 something is, 2 the runs could not be compared.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from . import runs
from .changes import CATEGORIES, Change, Comparison, compare, summary
from .runs import ReportError, Run

NOTHING_WORSE, WORSE = 0, 1
SCHEMA = 1


def describe(run: Run) -> str:
    return (f"{run.name}: {run.vendor}, Linux {run.kernel}, {run.host.get('cpu', 'unknown CPU')}, "
            f"{''.join(f'{word}, ' for word in run.kvm_config)}engine {run.engine}, {count(len(run.cases))}")


@dataclasses.dataclass(frozen=True)
class Entry:
    """Names to which the same happened, and what that is."""
    happened: str
    names: list[str]
    notes: tuple[str, ...]
    worse: bool


def entries(changes: list[Change]) -> Iterator[Entry]:
    """In the order of the first of each; what is worse comes first."""
    alike: dict[tuple[str, tuple[str, ...], bool], list[str]] = {}
    for change in sorted(changes, key=lambda change: not change.worse):
        happened, name = tell(change), change.name
        if change.category == "host" and None not in (change.base, change.new):
            happened, name = f"{name}: {happened}", ""  # all from 1 to 2 have nothing in common
        alike.setdefault((happened, change.notes, change.worse), []).append(name)
    for (happened, notes, worse), names in alike.items():
        yield Entry(happened, names, notes, worse)


def tell(change: Change) -> str:
    sides = [plain(side) for side in (change.base, change.new) if side is not None]
    if change.category == "host" and len(sides) == 1:
        return "gone" if change.new is None else "new"
    return " → ".join(sides)


def plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def count(cases: int) -> str:
    return f"{cases} case" if cases == 1 else f"{cases} cases"


def folded(comparison: Comparison, category: str) -> list[Change]:
    """Where a whole area came or went, as in a run of some cases, one change: area/*."""
    changes = comparison.of(category)
    if category not in ("added", "removed"):
        return changes
    other = comparison.base if category == "added" else comparison.new
    areas = {case.area for case in other.cases.values()}
    whole = collections.Counter(change.name.partition("/")[0] for change in changes
                                if change.name.partition("/")[0] not in areas)
    return [change for change in changes if change.name.partition("/")[0] in areas] + [
        Change(category, f"{area}/*", count(n), None) for area, n in whole.items()]


def title(comparison: Comparison, category: str) -> str:
    changes = comparison.of(category)
    worse = sum(change.worse for change in changes)
    return f"{CATEGORIES[category]}: {len(changes)}" + (f", {worse} worse" if worse else "")


def as_they_did(comparison: Comparison) -> str:
    ends = "ends as it did" if comparison.unchanged == 1 else "end as they did"
    return f"{count(comparison.unchanged)} {ends}"


def as_text(comparison: Comparison) -> str:
    lines = [f"BASE {describe(comparison.base)}", f"NEW  {describe(comparison.new)}"]
    for category in CATEGORIES:
        if not comparison.of(category):
            continue
        lines += ["", title(comparison, category)]
        for entry in entries(folded(comparison, category)):
            names = entry.names
            mark = "WORSE " if entry.worse else ""
            if len(names) == 1:
                lines.append(f"  {mark}{': '.join(filter(None, (names[0], entry.happened)))}")
            else:
                lines.append(f"  {mark}{entry.happened}:")
                lines += [f"    {name}" for name in names]
            lines += [f"      {line}" for note in entry.notes for line in note.split("\n")]
    lines += ["", f"{as_they_did(comparison)}. {summary(comparison)}"]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Whatever it holds, on one line."""
    text = text.replace("\n", " ")
    ticks = "``" if "`" in text else "`"
    pad = " " if ticks == "``" else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def as_markdown(comparison: Comparison) -> str:
    lines = [f"**{summary(comparison)}** {as_they_did(comparison)}.", "",
             f"- BASE {code(describe(comparison.base))}", f"- NEW {code(describe(comparison.new))}"]
    for category in CATEGORIES:
        if not comparison.of(category):
            continue
        lines += ["", f"### {title(comparison, category).capitalize()}", ""]
        for entry in entries(folded(comparison, category)):
            mark = "**worse** " if entry.worse else ""
            subject = ", ".join(map(code, filter(None, entry.names)))
            lines.append(f"- {mark}" + (f"{subject}: {entry.happened}" if subject
                                        else code(entry.happened)))
            lines += [f"  - {code(note)}" for note in entry.notes]
    return "\n".join(lines) + "\n"


def as_json(comparison: Comparison) -> str:
    sides = {side: {"name": run.name, "host": run.host, "cases": len(run.cases),
                    "stopped": run.stopped}
             for side, run in (("base", comparison.base), ("new", comparison.new))}
    return json.dumps({
        "schema": SCHEMA, **sides, "worse": bool(comparison.worse), "summary": summary(comparison),
        "unchanged": comparison.unchanged,
        "changes": [dataclasses.asdict(change) for change in comparison.changes]}, indent=2) + "\n"


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "text": as_text, "markdown": as_markdown, "json": as_json}


def write(text: str, output: Path | None) -> None:
    try:
        if output:
            output.write_text(text)
        else:
            sys.stdout.write(text)
            sys.stdout.flush()
    except OSError as error:
        raise ReportError(f"cannot write {output or 'the report'}: {error.strerror}") from error


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("base", metavar="BASE", help="the run to compare with")
    parser.add_argument("new", metavar="NEW", nargs="?", default="results/latest",
                        help="the run that may be worse (default: results/latest)")
    parser.add_argument("--format", choices=FORMATS, default="text", help="default: text")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    parser.set_defaults(function=run)


def run(args: argparse.Namespace) -> int:
    comparison = compare(runs.load(args.base), runs.load(args.new))
    write(FORMATS[args.format](comparison), args.output)
    return WORSE if comparison.worse else NOTHING_WORSE
