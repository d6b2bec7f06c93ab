# SPDX-License-Identifier: MIT
"""
Which contracts hold where: contracts by API area, against the runs that are given.

Writes index.html, matrix.md and matrix.json, described in results/README.md. What a case means is read
from this checkout's cases/contracts.tsv, and all else from the runs.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from . import coverage
from .runs import TOP, VERDICTS, Case, ReportError, Run, load

CONTRACTS = TOP / "cases/contracts.tsv"
SCHEMA = 1
UNLISTED, NO_CONTRACT = "not in contracts.tsv", "none"


@dataclasses.dataclass(frozen=True)
class Contract:
    id: str
    text: str
    documented: str
    area: str


@dataclasses.dataclass(frozen=True)
class Column:
    """A run, and what it is called here. key is unique, and fit for a fragment of a URL."""
    key: str
    label: str
    run: Run

    @property
    def counts(self) -> dict[str, int]:
        counted = collections.Counter(case.verdict for case in self.run.cases.values())
        return {verdict: counted[verdict] for verdict in VERDICTS}


@dataclasses.dataclass(frozen=True)
class Cell:
    """The cases of one contract in one run: at least one."""
    cases: list[Case]

    @property
    def verdict(self) -> str:
        return min((case.verdict for case in self.cases), key=VERDICTS.index)

    @property
    def count(self) -> str:
        """How many cases there are; how many of them have the verdict, if not all."""
        having = sum(case.verdict == self.verdict for case in self.cases)
        return f"{having}" if having == len(self.cases) else f"{having} of {len(self.cases)}"

    @property
    def remarkable(self) -> list[Case]:
        """Those that did not simply pass."""
        return [case for case in self.cases if case.verdict != "pass" or case.record.reason]


@dataclasses.dataclass(frozen=True)
class Row:
    contract: Contract
    cells: list[Cell | None]  # of each column; None: nothing of it ran there

    @property
    def differs(self) -> bool:
        return len({cell.verdict for cell in self.cells if cell}) > 1

    @property
    def cases(self) -> list[str]:
        return sorted({case.name for cell in self.cells if cell for case in cell.cases})


@dataclasses.dataclass(frozen=True)
class Finding:
    """What kept cases from passing, and where it did: how many cases of each column, by its place."""
    verdict: str
    what: str
    link: str
    cases: collections.Counter[int]


@dataclasses.dataclass(frozen=True)
class Matrix:
    columns: list[Column]
    areas: dict[str, list[Row]]
    missing: list[str]  # runs that there should have been, and why there are none
    made: str           # UTC

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.areas.values() for row in rows]


def contracts() -> list[Contract]:
    """In the order of the table, whose comments of one word name the areas."""
    found, area = [], ""
    for line in CONTRACTS.read_text().splitlines():
        if line.startswith("#"):
            words = line[1:].split()
            area = words[0] if len(words) == 1 else area
        elif line:
            name, text, documented = line.split("\t")
            found.append(Contract(name, text, documented, area))
    return found


def columns(runs: list[Run]) -> list[Column]:
    """Named by engine, kernel and its KVM's options, and by where they are if that is not enough."""
    names = [" ".join((run.engine, run.series, *run.kvm_config)) for run in runs]
    found: list[Column] = []
    for run, name in zip(runs, names):
        key = "".join(c if c.isalnum() or c in ".-" else "-" for c in name)
        taken = sum(column.key == key or column.key.startswith(f"{key}~") for column in found)
        label = name if names.count(name) == 1 else f"{name}, {Path(run.name).name}"
        found.append(Column(f"{key}~{taken + 1}" if taken else key, label, run))
    return found


def build(runs: list[Run], missing: list[str]) -> Matrix:
    # baselines do not say it: theirs are those of the other runs
    contract_of = {case.name: case.record.raw["contract"] for run in runs
                   for case in run.cases.values() if "contract" in case.record.raw}
    by_contract: dict[str, list[list[Case]]] = {}
    for i, run in enumerate(runs):
        for case in run.cases.values():
            of = by_contract.setdefault(contract_of.get(case.name, NO_CONTRACT), [[] for _ in runs])
            of[i].append(case)
    known = contracts()
    unlisted = [Contract(name, "", "", UNLISTED) for name in sorted(by_contract)
                if name not in {contract.id for contract in known}]
    areas: dict[str, list[Row]] = {}
    for contract in known + unlisted:
        cells = [Cell(cases) if cases else None
                 for cases in by_contract.get(contract.id, [[]] * len(runs))]
        areas.setdefault(contract.area, []).append(Row(contract, cells))
    return Matrix(columns(runs), areas, missing,
                  time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))


def explanation(case: Case) -> str:
    record = case.record
    return record.reason or f"expected {record.expected}; got {record.got}"


def findings(matrix: Matrix) -> list[Finding]:
    """The worst first, then what concerns most cases."""
    found: dict[tuple[str, str, str], collections.Counter[int]] = {}
    for i, column in enumerate(matrix.columns):
        for case in column.run.cases.values():
            if case.verdict == "pass":
                continue
            key = (case.verdict, explanation(case), case.record.raw.get("link", ""))
            found.setdefault(key, collections.Counter())[i] += 1
    listed = [Finding(*key, cases) for key, cases in found.items()]
    return sorted(listed, key=lambda f: (VERDICTS.index(f.verdict), -sum(f.cases.values()), f.what))


# JSON

def case_facts(case: Case) -> dict[str, Any]:
    record = case.record
    texts = {"reason": record.reason, "expected": record.expected, "got": record.got,
             "link": record.raw.get("link", "")}
    return {"verdict": case.verdict} | {name: text for name, text in texts.items() if text}


def column_facts(column: Column) -> dict[str, Any]:
    host = column.run.host
    facts = {name: host[name] for name in ("engine", "vendor", "kernel", "cpu", "started", "lab")
             if name in host}
    facts |= {"stopped": column.run.stopped} if column.run.stopped else {}
    return {"key": column.key, "name": column.run.name} | facts | {"cases": column.counts}


def row_facts(row: Row, keys: list[str]) -> dict[str, Any]:
    cells = {key: {"verdict": cell.verdict, "cases": {c.name: case_facts(c) for c in cell.cases}}
             for key, cell in zip(keys, row.cells) if cell}
    return dataclasses.asdict(row.contract) | {"runs": cells}


def as_json(matrix: Matrix) -> str:
    keys = [column.key for column in matrix.columns]
    reach = {}
    for kind in coverage.LEVELS:
        measured = {column.key: coverage.measure(column.run, kind) for column in matrix.columns}
        reach[kind] = {key: one.levels if one else None for key, one in measured.items()}
    return json.dumps({
        "schema": SCHEMA, "made": matrix.made, "runs": [column_facts(c) for c in matrix.columns],
        "missing": matrix.missing, "contracts": [row_facts(row, keys) for row in matrix.rows],
        "coverage": reach}, indent=1, ensure_ascii=False) + "\n"


# Markdown

ESCAPED = str.maketrans({c: f"\\{c}" for c in "\\|*_`[]~"} | {"<": "&lt;", "&": "&amp;", "\n": " "})


def plain(text: object) -> str:
    """Text that Markdown is to show as it is."""
    return str(text).translate(ESCAPED)


def code(text: str) -> str:
    return "`" + text.replace("`", "'").replace("|", "\\|").replace("\n", " ") + "`"


def table(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]]] + [""]


def markdown_cell(cell: Cell | None) -> str:
    if not cell:
        return ""
    name = cell.verdict if cell.verdict == "pass" else f"**{cell.verdict}**"
    return f"{name} {cell.count}"


def markdown_runs(matrix: Matrix) -> list[str]:
    rows = [["run", "kernel", "KVM", "CPU", "started", *VERDICTS[::-1]]]
    for column in matrix.columns:
        host = column.run.host
        rows.append([plain(text) for text in (
            column.label, column.run.kernel, column.run.vendor, host.get("cpu", ""),
            host.get("started", ""), *list(column.counts.values())[::-1])])
    lines = table(rows)
    lines += [f"{plain(column.label)} ended early: {plain(column.run.stopped)}\n"
              for column in matrix.columns if column.run.stopped]
    return lines + [f"{plain(text)}\n" for text in matrix.missing]


def markdown_coverage(matrix: Matrix) -> list[str]:
    """How many of each kind were reached, of those that the run's kernel has."""
    rows = [["reached at least once", *(plain(column.label) for column in matrix.columns)]]
    for kind, (best, *_) in coverage.LEVELS.items():
        measured = [coverage.measure(column.run, kind) for column in matrix.columns]
        rows.append([f"{coverage.NAMES[kind]} {best}",
                     *(f"{one.count(best)} of {len(one.levels)}" if one else "not recorded"
                       for one in measured)])
    return table(rows)


def markdown_findings(matrix: Matrix) -> list[str]:
    found = findings(matrix)
    if not found:
        return ["Every case passed.", ""]
    rows = [["verdict", "why", "cases"]]
    for finding in found:
        where = ", ".join(f"{matrix.columns[i].label}: {n}" for i, n in finding.cases.items())
        link = f" ({plain(finding.link)})" if finding.link else ""
        rows.append([f"**{finding.verdict}**", plain(finding.what) + link, plain(where)])
    return table(rows)


def as_markdown(matrix: Matrix, command: str) -> str:
    labels = [plain(column.label) for column in matrix.columns]
    lines = ["# Which contracts hold where", "",
             f"Made at {matrix.made} by `{command}`, from the records of the runs below; index.html, "
             "written with it, has every diagnosis. A cell has the worst verdict of the contract's cases there, "
             "and how many have it; an empty one: none ran.", "",
             "## Runs", "", *markdown_runs(matrix),
             "## What did not pass, and why", "", *markdown_findings(matrix),
             "## Coverage of the API", "", *markdown_coverage(matrix), "## Contracts", ""]
    for area, rows in matrix.areas.items():
        lines += [f"### {plain(area)}", "", *table([["contract", *labels]] + [
            [f"{plain(row.contract.text)} {code(row.contract.id)}".strip(), *map(markdown_cell, row.cells)]
            for row in rows])]
    return "\n".join(lines).rstrip("\n") + "\n"


def write(runs: list[Run], out: Path, command: str, missing: list[str]) -> None:
    """index.html, matrix.md and matrix.json in the directory out."""
    try:
        from . import page  # here: nothing else needs Jinja
    except ImportError as error:
        raise ReportError(f"cannot make the page: {error}; make deps installs what it needs") from error
    matrix = build(runs, missing)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in (("index.html", page.render(matrix, findings(matrix), command)),
                           ("matrix.md", as_markdown(matrix, command)),
                           ("matrix.json", as_json(matrix))):
            (out / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportError(f"cannot write to {out}: {error.strerror}; --out names another directory"
                          ) from error


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+")
    parser.add_argument("--out", type=Path, required=True, help="directory for what is written")
    parser.set_defaults(function=run)


def run(args: argparse.Namespace) -> int:
    names = " ".join(Path(name).name for name in args.runs)
    write([load(name) for name in args.runs], args.out, f"ci/report matrix {names}", [])
    print(f"{args.out}/index.html, matrix.md, matrix.json")
    return 0
