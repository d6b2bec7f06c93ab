# SPDX-License-Identifier: MIT
"""Tells a bisection's story from its state alone: as text, and as Markdown to paste into a report."""

from __future__ import annotations

import textwrap

from laboratory.matrix import as_markdown, as_text

from . import candidates
from .arguments import parse_question
from .question import Answer, Record
from .state import State, Step

WIDTH = 48          # of each side in text
SHOWN = 12          # changelog items about KVM in text
COLUMNS = ["step", "kernel", "asked as", "answer", "verdicts", "seconds", "made by"]
MEMBERS = ("verdict", "reason", "expected", "got", "explanation", "at", "at_label", "registers", "system_registers",
           "memory", "last_exits", "kernel_log")


def title(state: State) -> str:
    a = state.arguments
    return f"{' '.join(a['case'])} on {a['engine']}"


def short(state: State, candidate: str) -> str:
    """A package's version, or the beginning of a commit's id."""
    return candidate.split()[-1] if state.arguments["kind"] == "packages" else candidate[:12]


def answer(step: Step) -> str:
    total = sum(step.counts.values())
    counts = {Answer.BAD: f" {step.counts.get('bad', 0)} of {total}", Answer.GOOD: f" {total} of {total}",
              Answer.CANNOT_TELL: f": {step.why}"}
    return step.answer.value + counts[step.answer]


def rows(state: State, width: int = 1000) -> list[list[str]]:
    """width: of an answer"""
    table = [COLUMNS]
    for number, step in enumerate(state.steps, 1):
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(step.verdicts.items()))
        said = textwrap.shorten(answer(step), width, placeholder=" ...")
        table.append([str(number), short(state, step.candidate), step.role, said, verdicts, f"{step.seconds:.0f}",
                      step.how])
    if not any(row[-1] for row in table[1:]):
        table = [row[:-1] for row in table]
    return table


def facts(state: State) -> list[str]:
    """Lines about what was asked, and how."""
    a = state.arguments
    good, bad = (a[name][:12] if a["kind"] == "commits" else a[name] for name in ("good", "bad"))
    lines = [f"asked: {' '.join(a['case'])}: {parse_question(a['question'])}",
             f"between: GOOD {good} and BAD {bad}; {state.estimate.split(';')[0]}",
             f"engine: {a['engine']}{' ' + a['lab'] if a['lab'] else ''}"]
    lines += [f"rounds: {state.plan}"] if state.plan else []
    if state.good_throughout:
        lines.append(f"cases: {len(state.cases)} are bad on BAD; {state.good_throughout} are not, and were not "
                     "asked again")
    if state.left_out:
        lines.append(f"left out, being bad on GOOD as well: {', '.join(state.left_out)}")
    lines.append(f"took: {sum(step.seconds for step in state.steps):.0f} s in {len(state.steps)} steps")
    return lines


# The neighbours

def records_of(state: State, candidate: str) -> dict[str, list[Record]]:
    """What the directories of its steps hold, by case."""
    from .question import name_of, read_records
    found: dict[str, list[Record]] = {}
    for step in state.steps:
        if step.candidate == candidate:
            out = state.directory / step.out
            for directory in [out, *sorted(out.glob("boot-*"))]:
                for record in read_records(directory):
                    found.setdefault(name_of(record), []).append(record)
    return found


def neighbours(state: State) -> tuple[str, Record, Record] | None:
    """A case that tells them apart, its record on the good one, and the bad one."""
    result = state.result
    if not result or not result.bad:
        return None
    examples = [s.example for s in state.steps if s.candidate == result.bad and s.example]
    if not examples:
        return None
    bad = examples[0]
    case = bad.get("filter", bad["case"])
    on_good = records_of(state, result.good).get(case)
    good = on_good[0] if on_good else {"verdict": "no record"}
    return case, good, bad


def lines_of(value: object) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}={text}" for name, text in value.items()]
    if isinstance(value, list):
        return [str(line) for line in value]
    return str(value).splitlines()


def side_by_side(good: Record, bad: Record) -> list[tuple[str, list[str], list[str]]]:
    """Members of the diagnosis that either has; of registers only those that differ."""
    found = []
    for member in MEMBERS:
        one, other = good.get(member), bad.get(member)
        if one is None and other is None:
            continue
        if isinstance(one, dict) and isinstance(other, dict):
            names = [name for name in other if one.get(name) != other[name]]
            one, other = {n: one.get(n, "") for n in names}, {n: other[n] for n in names}
        else:  # a case that passes has none: what has changed since its load
            one, other = ({name: text for name, text in value.items() if "(was" in str(text)}
                          if isinstance(value, dict) else value for value in (one, other))
        one_lines, other_lines = (lines_of(v) if v is not None else [] for v in (one, other))
        if one_lines or other_lines:
            found.append((member, one_lines, other_lines))
    return found


def columns(state: State, good: Record, bad: Record) -> str:
    assert state.result
    names = [short(state, state.result.good), short(state, state.result.bad)]
    out = [["", f"{names[0]} (good)", f"{names[1]} (bad)"]]
    for member, one, other in side_by_side(good, bad):
        sides = [[part for line in lines or ["-"] for part in textwrap.wrap(line, WIDTH) or [""]]
                 for lines in (one, other)]
        for i in range(max(map(len, sides))):
            out.append([member if i == 0 else "", *(side[i] if i < len(side) else "" for side in sides)])
    return as_text(out)


# What changed

def changes(state: State, markdown: bool) -> list[str]:
    result = state.result
    if not result or not result.changes:
        return []
    if state.arguments["kind"] == "commits":
        return ["## The commit", "", *fenced(result.changes)] if markdown else ["", result.changes.rstrip()]
    items = candidates.about_kvm(result.changes)
    headers = [line for line in result.changes.splitlines() if line[:1].strip()]
    head = (f"Changelog between the two: {len(headers)} versions, {len(items)} items that name KVM, SVM or "
            "VMX")
    if not markdown:
        more = [f"  ... and {len(items) - SHOWN} more: see report.md"] if len(items) > SHOWN else []
        return ["", head + (":" if items else "."), *(f"  - {item}" for item in items[:SHOWN]), *more]
    return ["## What changed", "", head + (":" if items else "."), "", *(f"- {item}" for item in items), "",
            "<details><summary>All of the changelog between the two</summary>", "", *fenced(result.changes), "",
            "</details>"]


def fenced(text: str) -> list[str]:
    return ["```", text.rstrip(), "```"]


# The story

def finding(state: State) -> str:
    return state.result.finding if state.result else "not done yet: the same command goes on"


def text(state: State) -> str:
    lines = [finding(state), "", *facts(state), "", as_text(rows(state, 2 * WIDTH)).rstrip()]
    pair = neighbours(state)
    if state.result and state.result.between:
        lines += ["", "cannot tell:", *(f"  {name}" for name in state.result.between)]
    if pair:
        case, good, bad = pair
        lines += ["", case, columns(state, good, bad).rstrip()]
    return "\n".join([*lines, *changes(state, markdown=False)]) + "\n"


def markdown(state: State) -> str:
    lines = [f"# {title(state)}", "", f"**{finding(state)}**", "", *(f"- {fact}" for fact in facts(state)), "",
             "## Steps", "", as_markdown(rows(state)).rstrip()]
    if state.result and state.result.between:
        lines += ["", "These cannot tell:", "", *(f"- {name}" for name in state.result.between)]
    pair = neighbours(state)
    if pair and state.result:
        case, good, bad = pair
        table = [["", f"{short(state, state.result.good)} (good)", f"{short(state, state.result.bad)} (bad)"]]
        table += [[member, "<br>".join(one) or "-", "<br>".join(other) or "-"]
                  for member, one, other in side_by_side(good, bad)]
        lines += ["", f"## {case}", "", as_markdown(table).rstrip()]
    return "\n".join([*lines, "", *changes(state, markdown=True)]).rstrip() + "\n"
