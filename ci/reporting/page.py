# SPDX-License-Identifier: MIT
"""
The matrix as one static page: it asks for nothing from anywhere, and its table and diagnoses can be
read without JavaScript. page.html is the template; Jinja escapes whatever runs and tables say.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

import latency

from . import coverage
from .runs import VERDICTS, Case, Run

if TYPE_CHECKING:
    from .matrix import Column, Finding, Matrix, Row

HERE = Path(__file__).parent

# What a diagnosis shows of a record, in order: its heading, the member, and how it is written.
FIELDS = (
    ("Expected", "expected", "text"), ("Got", "got", "text"), ("Reason", "reason", "text"),
    ("Discussed or mended", "link", "link"), ("Explanation", "explanation", "prose"),
    ("Guest memory", "memory", "lines"), ("Guest", "guest", "text"), ("vCPU", "vcpu", "text"),
    ("RIP is at", "at_label", "text"), ("Registers", "registers", "values"),
    ("System registers", "system_registers", "values"), ("Segments", "segments", "rows"),
    ("Code", "code", "lines"), ("Last exits", "last_exits", "lines"),
    ("Kernel log", "kernel_log", "lines"), ("Trace events", "ftrace", "lines"),
    ("Output", "output", "block"), ("Bytes of output lost", "output_bytes_lost", "text"),
    ("Source", "at", "text"), ("Run again", "run_again", "block"),
)

# rem: what a column needs at least, and the one of the contracts. A narrower window gets the rows as
# blocks, so that nobody has to scroll sideways.
FIRST_COLUMN, COLUMN, MARGINS = 20, 5.5, 4


def run_again(run: Run, case: Case) -> str:
    """The same command that kvmspec prints (harness/runner/record.c)."""
    command = run.host.get("lab", {}).get("run_again", "make check")
    return f"{command} FILTER='{case.name}'"


def diagnosis(run: Run, case: Case) -> Iterator[tuple[str, str, str]]:
    """(heading, text, form), where form is text, prose, link or block."""
    raw = case.record.raw | {"run_again": run_again(run, case)}
    for heading, member, form in FIELDS:
        value: Any = raw.get(member)
        if value in (None, "", [], {}) or (member == "vcpu" and value == 0):
            continue
        if form in ("lines", "prose"):
            value = "\n".join(value)
        elif form == "values":
            value = "\n".join(wrapped(f"{name}={one}" for name, one in value.items()))
        elif form == "rows":
            value = "\n".join(f"{name:4} {one}" for name, one in value.items())
        yield heading, str(value), form if form in ("text", "prose", "link") else "block"


def wrapped(words: Iterator[str], width: int = 72) -> Iterator[str]:
    """Lines of words that stay whole, two spaces between them."""
    line = ""
    for word in words:
        if line and len(line) + len(word) > width:
            yield line
            line = ""
        line += ("  " if line else "") + word
    yield line


def css_string(text: str) -> Markup:
    """For a style sheet inside of the page: nothing that ends the string or the sheet is left."""
    return Markup('"' + "".join(c if c.isascii() and c.isalnum() else f"\\{ord(c):x} "
                                for c in text) + '"')


def is_web_address(link: str) -> bool:
    return link.startswith(("https://", "http://"))


def cases_of(row: Row) -> list[tuple[str, list[tuple[str, list[int]]]]]:
    """Each case of a contract, and what it came to in which columns: [("pass", [0, 1]), …]."""
    found = []
    for name in row.cases:
        verdicts: dict[str, list[int]] = {}
        for i, cell in enumerate(row.cells):
            for case in cell.cases if cell else ():
                if case.name == name:
                    verdicts.setdefault(case.verdict, []).append(i)
        found.append((name, sorted(verdicts.items(), key=lambda one: VERDICTS.index(one[0]))))
    return found


def coverage_of(matrix: Matrix) -> list[dict[str, Any]]:
    """Of each kind: the levels, how much each column reached, and each item's level there."""
    found = []
    for kind, levels in coverage.LEVELS.items():
        measured = [coverage.measure(column.run, kind) for column in matrix.columns]
        items = [item for item in coverage.surface() if item.kind == kind]
        ever = [item for item in items
                if any(one and one.levels.get(item.name) == levels[0] for one in measured)]
        found.append({"kind": kind, "name": coverage.NAMES[kind], "levels": levels, "items": items,
                      "ever": len(ever), "measured": measured})
    return found


DRAWINGS: dict[str, tuple[str, Callable[[str, list[dict[str, Any]]], str]]] = {
    latency.MEASURED: ("Kicks, wherever the vCPU and the sender run", latency.draw_latency),
    latency.JUDGED: ("Kicks, as they were judged", latency.draw_judged),
    latency.SCALABILITY: ("Medians over the number of vCPUs", latency.draw_scalability),
}


def plots_of(column: Column) -> Iterator[dict[str, Any]]:
    run = column.run
    records = [record.raw for case in run.cases.values() for record in case.records]
    for area, found in latency.measured(records).items():
        if found:
            title, draw = DRAWINGS[area]
            picture = draw(f"{column.label}: {run.vendor}, Linux {run.kernel}", found).encode()
            yield {"title": f"{title}: {column.label}", "records": found,
                   "picture": base64.b64encode(picture).decode()}


def render(matrix: Matrix, findings: list[Finding], command: str) -> str:
    script = (HERE / "page.js").read_text(encoding="utf-8")
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True,
                                     undefined=jinja2.StrictUndefined)
    environment.filters |= {"css_string": css_string, "duration": latency.duration}
    environment.tests["web_address"] = is_web_address
    wanted = FIRST_COLUMN + COLUMN * len(matrix.columns)
    return environment.get_template("page.html").render(
        matrix=matrix, findings=findings, command=command, verdicts=VERDICTS,
        cases_of=cases_of, diagnosis=diagnosis, coverage=coverage_of(matrix),
        plots=[plot for column in matrix.columns for plot in plots_of(column)],
        css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        narrow_css=Markup((HERE / "narrow.css").read_text(encoding="utf-8")),
        narrow=wanted + MARGINS, first=min(34, 100 * FIRST_COLUMN / wanted), script=Markup(script),
        # The script of this page, and no other that a record might bring along.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())
