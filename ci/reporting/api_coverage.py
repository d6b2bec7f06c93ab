# SPDX-License-Identifier: MIT
"""
What of KVM's API runs have reached, and how: each pair of ioctl and kind of file descriptor, with what
it returned and in how many cases; each error that it can fail with; each exit reason; each capability;
each field of struct kvm_run.

    ci/report coverage RUN...            a table of all that the runs reached together (--json: JSON)
    ci/report coverage RUN... --write    the same, and commits it as results/api-coverage.json
    ci/report coverage --check           does results/unreached.tsv say why of all that was not?
                                         Does errors.tsv have all errors that came?

What there is to reach is in ci/reporting/surface.tsv and errors.tsv. A pair is reached by a success, an
error by a failure with it, an exit reason by a return of KVM_RUN, a capability by a case that checks its
answer, by one that needs it, or by KVM_ENABLE_CAP, a field by a case that asserts its value, or sets it for
KVM_RUN.

Exit status: 0; with --check 1 if the two files disagree.
"""

from __future__ import annotations

import argparse
import collections
import json
import sys
from typing import Any

from . import runs
from .coverage import ERRORS, NAMES, Item, pair_names, pair_results, surface, was_seen
from .runs import TOP, ReportError, Run

MEASURED = TOP / "results/api-coverage.json"
UNREACHED = TOP / "results/unreached.tsv"
SCHEMA = 1

Counts = dict[str, dict[str, int]]  # of each item: of each result, how many cases had it


def item_names(item: Item) -> list[str]:
    """A pair has the kind of descriptor before the ioctl."""
    return pair_names(item) or [item.name]


def results_of(raw: dict[str, Any], item: Item) -> dict[str, list[str]]:
    """What a record has of each name of the item."""
    if item.kind == "exit":
        return {item.name: ["returned"] if item.name in raw["exits"] else []}
    if item.kind == "capability":
        return {item.name: [raw["capabilities"][item.name]] if item.name in raw["capabilities"] else []}
    if item.kind == "field":
        seen = ["seen"] if was_seen(item, raw) else []
        return {item.name: [raw["fields"][item.name]] if item.name in raw["fields"] else seen}
    return pair_results(raw, item)


def error_counts(of_pairs: Counts) -> Counts:
    """Of each error in how many cases its pair failed with it; what failed otherwise is in there as well."""
    counts: Counts = {item.name: {} for item in surface() if item.kind == "error"}
    for pair, results in of_pairs.items():
        counts |= {f"{pair} {result}": {"returned": cases} for result, cases in results.items() if result != "ok"}
    return counts


def tally(run: Run, counts: dict[str, Counts]) -> None:
    """Adds the run's cases. A case that was repeated counts once for each of its results."""
    for case in run.cases.values():
        raws = [record.raw for record in case.records]
        if any("fields" not in raw for raw in raws):
            raise ReportError(f"{run.name} does not say what its cases reached: it is a baseline, or older")
        for item in (item for item in surface() if item.kind != "error"):
            found: dict[str, set[str]] = collections.defaultdict(set)
            for raw in raws:
                for name, results in results_of(raw, item).items():
                    found[name].update(results)
            for name, seen in found.items():
                of_item = counts[item.kind].setdefault(name, {})
                for result in seen:
                    of_item[result] = of_item.get(result, 0) + 1


def measure(all_runs: list[Run]) -> dict[str, Any]:
    """As results/api-coverage.json has it."""
    counts: dict[str, Counts] = {kind: {} for kind in NAMES}
    for run in all_runs:
        tally(run, counts)
    counts["error"] = error_counts(counts["ioctl"])
    return {"schema": SCHEMA,
            "runs": [{"engine": run.engine, "vendor": run.vendor, "kernel": run.kernel}
                     | ({"kvm_config": run.kvm_config} if run.kvm_config else {}) for run in all_runs],
            **{kind: {name: dict(sorted(results.items())) for name, results in sorted(counts[kind].items())}
               for kind in NAMES}}


def reached(measured: dict[str, Any], kind: str, name: str) -> bool:
    results = measured[kind].get(name, {})
    return "ok" in results if kind == "ioctl" else bool(set(results) - {"seen"})


def missing(measured: dict[str, Any]) -> list[tuple[str, str]]:
    return [(item.kind, name) for item in surface() for name in item_names(item)
            if not reached(measured, item.kind, name)]


def reasons() -> dict[tuple[str, str], str]:
    rows = (line.split("\t") for line in UNREACHED.read_text().splitlines() if line and line[0] != "#")
    return {(kind, name): why for kind, name, why in rows}


def problems(measured: dict[str, Any], why: dict[tuple[str, str], str]) -> list[str]:
    """Where the measurement, the reasons and the table of errors disagree."""
    left = missing(measured)
    listed = {item.name for item in surface() if item.kind == "error"}
    return ([f"{kind} {name} is not reached, and {UNREACHED.name} does not say why"
             for kind, name in left if (kind, name) not in why]
            + [f"{kind} {name} is in {UNREACHED.name}, and is reached, or is nothing to reach"
               for kind, name in why if (kind, name) not in left]
            + [f"error {name} came, and is not in {ERRORS.name}" for name in measured["error"] if name not in listed])


def unseen(measured: dict[str, Any]) -> dict[str, list[str]]:
    """Of each pair the errors that did not come: "EIO (api.rst)"."""
    found: dict[str, list[str]] = {}
    for item in surface():
        if item.kind == "error" and not reached(measured, "error", item.name):
            pair, _, error = item.name.rpartition(" ")
            found.setdefault(pair, []).append(f"{error} ({item.source})")
    return found


def table(measured: dict[str, Any], why: dict[tuple[str, str], str]) -> list[str]:
    lines = [", ".join((run["engine"], run["vendor"], f"Linux {run['kernel']}", *run.get("kvm_config", [])))
             for run in measured["runs"]]
    for kind, title in NAMES.items():
        names = [name for item in surface() if item.kind == kind for name in item_names(item)]
        done = sum(reached(measured, kind, name) for name in names)
        checked = sum(set(measured[kind].get(name, {})) == {"checked"} for name in names)
        lines += ["", f"{title}: {done} of {len(names)}{f', {checked} only checked' if checked else ''}; "
                      "behind each result the number of cases"]
        if kind == "error":  # the others stand behind their ioctls
            names = [name for name in names if not reached(measured, kind, name)]
        errors = unseen(measured) if kind == "ioctl" else {}
        for name in names:
            results = " ".join(f"{result} {cases}" for result, cases in
                               sorted(measured[kind].get(name, {}).items(), key=lambda one: (one[0] != "ok", one)))
            reason = "" if reached(measured, kind, name) else f"not reached: {why.get((kind, name), 'for no reason given')}"
            failures = f"without {', '.join(errors[name])}" if name in errors else ""
            lines.append(f"  {name:42}  {'; '.join(part for part in (results, failures, reason) if part)}")
    return lines


def dump(measured: dict[str, Any]) -> str:
    """JSON with a line for each item, so that a change is a line in a diff."""
    def block(name: str, lines: list[str], ends: str) -> str:
        return f' "{name}": {ends[0]}\n' + ",\n".join(f"  {line}" for line in lines) + f"\n {ends[1]}"

    blocks = [f' "schema": {measured["schema"]}', block("runs", [json.dumps(run) for run in measured["runs"]], "[]")]
    blocks += [block(kind, [f"{json.dumps(name)}: {json.dumps(results)}" for name, results in measured[kind].items()], "{}")
               for kind in NAMES]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def check() -> int:
    found = problems(json.loads(MEASURED.read_text()), reasons())
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def command(args: argparse.Namespace) -> int:
    if args.check:
        return check()
    if not args.runs:
        raise ReportError("coverage of what? Name a run: a directory, or an archive of one")
    measured = measure([runs.load(run) for run in args.runs])
    text = dump(measured)
    if args.write:
        MEASURED.write_text(text)
    sys.stdout.write(text if args.json else "\n".join(table(measured, reasons())) + "\n")
    return 0


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--json", action="store_true", help="as results/api-coverage.json")
    parser.add_argument("--write", action="store_true", help="commit it: write results/api-coverage.json")
    parser.add_argument("--check", action="store_true", help="compare what is committed with results/unreached.tsv")
    parser.set_defaults(function=command)
