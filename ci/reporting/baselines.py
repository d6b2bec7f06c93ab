# SPDX-License-Identifier: MIT
"""
Committed runs: one for each engine and kernel, without what differs from run to run.

    ci/report baseline write RUN...    make them of these runs, or make them anew
    ci/report baseline check RUN       compare a run with its baseline, if there is one

Exit status of check: as ci/report compare's; 0 if there is none for this engine and kernel.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from . import compare, runs
from .changes import compare as changes_between, normalised, summary
from .runs import BASELINES, CASES, HOST, Case, ReportError, Run

# What each engine emulates: the name of a baseline need not say it.
EMULATED = {"tcg-amd": "kvm_amd", "bochs-intel": "kvm_intel"}

# Members of host.json that stay, and those of its member lab.
OF_HOST = ("schema", "kvmspec", "engine", "vendor", "kernel", "kernel_version", "architecture",
           "cpu", "cpus_online", "hypervisor", "machine", "kernel_log", "module_parameters",
           "capabilities")
OF_LAB = ("package", "cpus")

# Members of lab that make a run another one than that of its engine and kernel.
VARIANTS = {"modparams": [], "kvm_config": [], "modules": [], "cmdline": "", "cpu": "", "cpus": 1}


def name_of(run: Run) -> str:
    """tcg-amd-6.1; with the vendor where the engine does not say it: host-kvm_intel-6.12."""
    vendor = () if EMULATED.get(run.engine) == run.vendor else (run.vendor,)
    return "-".join((run.engine, *vendor, run.series))


def host_of(run: Run) -> dict[str, Any]:
    host = {member: run.host[member] for member in OF_HOST if member in run.host}
    lab = {member: value for member, value in run.host.get("lab", {}).items() if member in OF_LAB}
    for member, value in host.items():
        if isinstance(value, dict):
            host[member] = dict(sorted(value.items()))
    return host | ({"lab": lab} if lab else {})


def line_of(case: Case) -> dict[str, str]:
    record = case.record
    line = {"case": case.name, "verdict": record.verdict}
    if record.verdict == "pass":
        return line
    texts = {"expected": record.expected, "got": record.got, "reason": record.reason}
    return line | {member: normalised(text) for member, text in texts.items() if text}


def refuse_unusual(run: Run) -> None:
    """A baseline is what the engine and the kernel do by themselves, completely."""
    if run.stopped:
        raise ReportError(f"{run.name} ended early ({run.stopped}): a baseline needs a whole run")
    for member, usual in VARIANTS.items():
        value = run.host.get("lab", {}).get(member, usual)
        if value != usual:
            raise ReportError(f"{run.name} was run with {member} {value}: a baseline needs a run "
                              "without such options")


def write_one(run: Run) -> str:
    """Its name, and how many cases it has and had."""
    refuse_unusual(run)
    name = name_of(run)
    try:
        before = f"{len(runs.load(BASELINES / name).cases)} before"
    except ReportError:
        before = "none before"
    directory = BASELINES / name
    lines = [json.dumps(line_of(case), ensure_ascii=False) for _, case in sorted(run.cases.items())]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / HOST).write_text(json.dumps(host_of(run), indent=2, ensure_ascii=False) + "\n")
        (directory / CASES).write_text("".join(f"{line}\n" for line in lines))
    except OSError as error:
        raise ReportError(f"cannot write {error.filename}: {error.strerror}") from error
    return f"{name}: {compare.count(len(lines))}, {before}"


def write(args: argparse.Namespace) -> int:
    given = [runs.load(source) for source in args.run]
    names = [name_of(run) for run in given]
    for run, name in zip(given, names):
        refuse_unusual(run)
        if names.count(name) > 1:
            raise ReportError(f"{names.count(name)} of these runs would be the baseline {name}")
    for run in given:
        print(write_one(run))
    return compare.NOTHING_WORSE


def check(args: argparse.Namespace) -> int:
    run = runs.load(args.run)
    name = name_of(run)
    if name not in runs.baseline_names():
        print(f"There is no baseline {name}: nothing to compare with.")
        return compare.NOTHING_WORSE
    baseline = dataclasses.replace(runs.load(BASELINES / name), name=name)
    comparison = changes_between(baseline, run)
    if any(change.category != "host" or change.worse for change in comparison.changes):
        compare.write(compare.as_text(comparison), None)
    else:
        print(f"Baseline {name}: {compare.as_they_did(comparison)}. {summary(comparison)}")
    return compare.WORSE if comparison.worse else compare.NOTHING_WORSE


def add_options(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    sub = commands.add_parser("write", help="make baselines of runs, or make them anew")
    sub.add_argument("run", nargs="+", metavar="RUN")
    sub.set_defaults(function=write)
    sub = commands.add_parser("check", help="compare a run with its baseline, if there is one")
    sub.add_argument("run", nargs="?", metavar="RUN", default=str(Path("results/latest")),
                     help="default: results/latest")
    sub.set_defaults(function=check)
