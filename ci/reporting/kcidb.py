# SPDX-License-Identifier: MIT
"""
What KCIDB, the database of the kernel's CI systems, takes: JSON in version 5 of its I/O schema.

Each record is a test with the path kvmspec.AREA.CASE. A known deviation is a test that failed, and an
incident of an issue, which is how KCIDB says that a failure is known; a skipped case is SKIP, an error
is ERROR. The kernel that ran is a build of a checkout, as far as a run knows them; if KCIDB has the
build already, --build says which it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from . import runs
from .compare import write
from .runs import Record, ReportError, Run

VERSION = {"major": 5, "minor": 0}  # what is used of it is the same in all minor versions up to 5.3
STATUS = {"pass": "PASS", "fail": "FAIL", "known": "FAIL", "error": "ERROR", "skip": "SKIP"}
EXCERPT = 16384  # characters: KCIDB takes no more
ORIGIN, ID = re.compile("[a-z0-9_]+"), re.compile("[a-z0-9_]+:.+")

Object = dict[str, Any]


def digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def given(**members: Any) -> Object:
    """KCIDB knows no null and no empty text: what is not known is left out."""
    return {name: value for name, value in members.items() if value not in (None, "", {}, [])}


def log_excerpt(record: Record) -> str:
    lines = [f"{name}: {text}" for name, text in (
        ("expected", record.expected), ("got", record.got), ("reason", record.reason)) if text]
    lines += [*record.explanation, *record.raw.get("kernel_log", [])]
    return "\n".join(lines)[:EXCERPT]


class Report:
    """The objects of one run, whose ids are the same whenever they are made of it again."""

    def __init__(self, origin: str, build: str, run: Run):
        self.origin, self.run = origin, run
        self.records = [record for case in run.cases.values() for record in case.records]
        self.key = digest(run.host, [record.raw for record in self.records])
        self.kernel = f"{run.kernel}-{digest(run.host.get('kernel_version'))}"
        self.given_build = build

    def ident(self, rest: str) -> str:
        return f"{self.origin}:{rest}"

    def make(self, ident: str, **members: Any) -> Object:
        return {"id": ident, "origin": self.origin} | given(**members)

    def checkouts(self) -> Iterator[Object]:
        if not self.given_build:
            yield self.make(self.ident(self.kernel), comment=f"Linux {self.run.kernel}", valid=True)

    def builds(self) -> Iterator[Object]:
        host = self.run.host
        if not self.given_build:
            yield self.make(
                self.ident(self.kernel), checkout_id=self.ident(self.kernel), status="PASS",
                architecture=host.get("architecture"), comment=host.get("kernel_version"))

    def test_id(self, record: Record) -> str:
        return self.ident(f"kvmspec/{self.key}/{record.case}")

    def tests(self) -> Iterator[Object]:
        host = self.run.host
        environment = given(
            comment=f"{self.run.vendor}, {host.get('cpu', 'unknown CPU')}, engine {self.run.engine}",
            misc=given(vendor=self.run.vendor, engine=self.run.engine, kernel=self.run.kernel,
                       cpu=host.get("cpu"), module_parameters=host.get("module_parameters"),
                       kvm_config=self.run.kvm_config))
        for case in self.run.cases.values():
            for record in case.records:
                yield self.make(
                    self.test_id(record), build_id=self.given_build or self.ident(self.kernel),
                    path="kvmspec." + case.name.replace("/", "."), status=STATUS[record.verdict],
                    environment=environment, log_excerpt=log_excerpt(record),
                    start_time=host.get("started"), duration=record.seconds,
                    misc=given(contract=record.raw.get("contract"), at=record.raw.get("at"),
                               kvmspec=host.get("kvmspec")))

    def issue_id(self, record: Record) -> str:
        return self.ident(f"kvmspec/{digest(record.reason)}")

    def known(self) -> list[Record]:
        return [record for record in self.records if record.verdict == "known"]

    def issues(self) -> Iterator[Object]:
        for record in self.known():
            yield self.make(self.issue_id(record), version=1, culprit={"code": True},
                              comment=record.reason, report_url=record.raw.get("link"))

    def incidents(self) -> Iterator[Object]:
        for record in self.known():
            yield self.make(self.test_id(record), issue_id=self.issue_id(record),
                              issue_version=1, test_id=self.test_id(record), present=True)


def unique(objects: Iterable[Object]) -> list[Object]:
    return list({one["id"]: one for one in objects}.values())


def submission(origin: str, build: str, several: Iterable[Run]) -> Object:
    reports = [Report(origin, build, run) for run in several]
    kinds = ("checkouts", "builds", "tests", "issues", "incidents")
    return {"version": VERSION} | given(**{
        kind: unique(one for report in reports for one in getattr(report, kind)())
        for kind in kinds})


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", metavar="RUN", nargs="+")
    parser.add_argument("--origin", required=True, help="the name that KCIDB knows your CI system by")
    parser.add_argument("--build", default="", metavar="ID",
                        help="KCIDB's id of the kernel's build: no checkout and no build is written")
    parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    parser.set_defaults(function=run)


def run(args: argparse.Namespace) -> int:
    if not ORIGIN.fullmatch(args.origin):
        raise ReportError(f"KCIDB knows no origin '{args.origin}': lower-case letters, digits and _")
    if args.build and not ID.fullmatch(args.build):
        raise ReportError(f"'{args.build}' is no id of KCIDB's: origin:text")
    data = submission(args.origin, args.build, map(runs.load, args.runs))
    write(json.dumps(data, indent=1, ensure_ascii=False) + "\n", args.output)
    return 0
