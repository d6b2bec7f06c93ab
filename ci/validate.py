# SPDX-License-Identifier: MIT
"""
Checks that a results directory is as results/README.md describes it, schema version 1.

usage: validate.py DIRECTORY...

Prints what is wrong, one complaint a line. Exit status: 0 all is as described, 1 something is not,
2 usage.
"""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, Callable, Iterator

SCHEMA = 1
VERDICTS = ("pass", "fail", "skip", "known", "error")
FTRACE_LINES = 64
CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")

Check = Callable[[Any], bool]


def text(value: Any) -> bool:
    return isinstance(value, str) and not CONTROL.search(value)


def matches(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def real(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def object_of(key: str, check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(
        re.fullmatch(key, k) and check(v) for k, v in value.items())


def integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def distribution(value: Any) -> bool:
    """The histogram counts every sample, and the percentiles are in order."""
    if not isinstance(value, dict):
        return False
    order: Any = [value.get(name) for name in ("min", "p10", "p50", "p90", "p99", "max")]
    buckets: Any = value.get("histogram")
    return (all(map(count, [*order, value.get("count")])) and order == sorted(order)
            and list_of(list_of(count))(buckets) and all(len(b) == 2 for b in buckets)
            and buckets == sorted(buckets) and sum(n for _, n in buckets) == value["count"])


def measurement(value: Any) -> bool:
    return not list(check_members("measurement", value, MEASUREMENT))


MEASUREMENT: dict[str, tuple[bool, Check]] = {
    "name": (True, text),
    "value": (True, distribution),
    "baseline": (True, distribution),
    "ratio": (True, real),
    "clock_ns": (True, count),
    "looks": (True, count),
    "noisy": (True, lambda value: isinstance(value, bool)),
    "limit": (False, real),
    "margin": (False, real),
}

REGISTER = matches(r"0x[0-9a-f]+( [A-Z][A-Z0-9]+)*( \(was 0x[0-9a-f]+\))?")
_TABLE = "base 0x[0-9a-f]+ limit 0x[0-9a-f]+"
_SEGMENT = rf"0x[0-9a-f]+ {_TABLE} type \d+ dpl \d+( (s|present|avl|l|db|g|unusable))*"
SEGMENT = matches(rf"{_SEGMENT}( \(was {_SEGMENT}\))?|{_TABLE}( \(was {_TABLE}\))?")

# member: (whether each record has it, what it holds)
RECORD: dict[str, tuple[bool, Check]] = {
    "schema": (True, lambda value: value == SCHEMA),
    "case": (True, matches(r"\w+(/\w+){1,3}")),
    "verdict": (True, lambda value: value in VERDICTS),
    "seconds": (True, real),
    "at": (True, matches(r"[^:]+:\d+")),
    "filter": (False, matches(r"\w+(/\w+){1,2}")),
    "contract": (False, matches(r"[\w.]+")),
    "reason": (False, text),
    "link": (False, text),
    "expected": (False, text),
    "got": (False, text),
    "vcpu": (False, count),
    "guest": (False, matches(r"\w+/\w+")),
    "at_label": (False, text),
    "registers": (False, object_of(r"r\w+", REGISTER)),
    "system_registers": (False, object_of(r"\w+", REGISTER)),
    "segments": (False, object_of(r"[c-gs]s|tr|ldt|gdt|idt", SEGMENT)),
    "code": (False, list_of(text)),
    "explanation": (False, list_of(text)),
    "memory": (False, list_of(matches(r"\d+ bytes? differs?: - expected, \+ found|"
                                      r"[-+ ] 0x[0-9a-f]+  ([0-9a-f]{2} ?)+ *  \|.*\|"))),
    "last_exits": (False, list_of(text)),
    "kernel_log": (False, list_of(text)),
    "ftrace": (False, lambda value: list_of(text)(value) and len(value) <= FTRACE_LINES),
    "output": (False, text),
    "output_bytes_lost": (False, count),
    "measurements": (False, list_of(measurement)),
    "kvm_runs": (True, count),
    "ioctls": (True, object_of(r"KVM_\w+", object_of(r"ok|E\w+|errno -?\d+|other", count))),
    "shared_ioctls": (True, object_of(r"(system|vm|vcpu|device) KVM_\w+",
                                      object_of(r"ok|E\w+|errno -?\d+|other", count))),
    "exits": (True, object_of(r"KVM_EXIT_(\w+|#\d+)|other", count)),
    "capabilities": (True, object_of(r"KVM_CAP_\w+", lambda use: use in ("checked", "needed", "refused", "enabled"))),
    "fields": (True, object_of(r"[a-z][\w.]*", lambda use: use in ("set", "asserted"))),
}

HOST: dict[str, tuple[bool, Check]] = {
    "schema": (True, lambda value: value == SCHEMA),
    "kvmspec": (True, matches(r"\d+\.\d+\.\d+.*")),
    "started": (True, matches(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")),
    "engine": (True, text),
    "kernel_log": (True, text),
    "ftrace": (False, text),
    "vendor": (True, matches(r"kvm\w*")),
    "kernel": (True, text),
    "kernel_version": (True, text),
    "architecture": (True, text),
    "cpu": (True, text),
    "cpus_online": (True, count),
    "hypervisor": (False, text),
    "machine": (False, text),
    "timeout_scale": (True, real),
    "effort": (True, integer),
    "shuffle_seed": (False, count),
    "module_parameters": (True, object_of(r"kvm\w*\.\w+", text)),
    "capabilities": (True, object_of(r"KVM_CAP_\w+", integer)),
    "command": (True, list_of(text)),
    "lab": (False, lambda value: not list(check_members("lab", value, LAB))),
}

LAB: dict[str, tuple[bool, Check]] = {
    "kernel": (True, text),
    "package": (True, text),
    "cmdline": (True, text),
    "modparams": (True, list_of(matches(r"\w+\.\w+=.*"))),
    "modules": (False, list_of(object_of(r"file|sha256", text))),
    "kvm_config": (False, list_of(matches(r"\w+=.*"))),
    "cpu": (True, text),
    "cpus": (True, count),
    "run_again": (True, text),
    "boots": (True, count),
    "retried": (True, list_of(text)),
}


def check_members(what: str, value: Any, members: dict[str, tuple[bool, Check]]) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{what} is no object"
        return
    for name, (required, check) in members.items():
        if name not in value:
            if required:
                yield f"{what} has no {name}"
        elif not check(value[name]):
            yield f"{what}: {name} is {value[name]!r}"
    # later versions of schema 1 may add members: readers must ignore what they do not know


def check_record(what: str, record: Any) -> Iterator[str]:
    yield from check_members(what, record, RECORD)
    if not isinstance(record, dict):
        return
    verdict = record.get("verdict")
    if verdict in ("skip", "known", "error") and not isinstance(record.get("reason"), str):
        yield f"{what}: {verdict} without a reason"
    for member in ("expected", "got"):
        if (member in record) != (verdict in ("fail", "known")):
            yield f"{what}: {verdict} and {member} do not go together"
    if ("last_exits" in record) != (verdict in ("fail", "known", "error")):
        yield f"{what}: {verdict} and last_exits do not go together"
    if record.get("case", "").rpartition("/")[0] != record.get("filter", "") and "filter" in record:
        yield f"{what}: filter is {record['filter']!r}"


def read_records(path: Path, problems: list[str]) -> list[dict]:
    records = []
    lines = path.read_text(encoding="utf-8").split("\n")
    if lines.pop():
        problems.append(f"{path.name}: the last line does not end")
    for number, line in enumerate(lines, 1):
        what = f"{path.name}:{number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            problems.append(f"{what}: {error}")
            continue
        problems += check_record(what, record)
        if isinstance(record, dict):
            records.append(record)
    names = [record.get("case") for record in records]
    if len(names) != len(set(names)):
        problems.append(f"{path.name}: a case is there twice")
    return records


def check_tap(path: Path, records: list[dict]) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    if lines[:1] != ["TAP version 13"] or not re.fullmatch(r"1\.\.\d+", (lines + ["", ""])[1]):
        yield f"{path.name}: no version and plan"
        return
    planned = int(lines[1][3:])
    points = [line for line in lines if re.match(r"(not )?ok \d", line)]
    for number, (line, record) in enumerate(zip(points, records), 1):
        verdict = str(record.get("verdict"))
        status = "ok" if verdict in ("pass", "skip") else "not ok"
        directive = {"skip": " # SKIP ", "known": " # TODO "}.get(verdict, "")
        if not line.startswith(f"{status} {number} - {record.get('case')}{directive}"):
            yield f"{path.name}: {line!r} is not the record's {verdict}"
    if len(points) != len(records):
        yield f"{path.name}: {len(points)} results for {len(records)} records"
    stopped = any(line.startswith("Bail out!") for line in lines)
    if stopped == (len(points) == planned):
        yield f"{path.name}: {len(points)} of {planned} cases, {'' if stopped else 'no '}Bail out"


KTAP_DIRECTIVES = {"skip": " # SKIP ", "known": " # XFAIL ", "error": " # ERROR "}


def ktap_area(area: str, number: int, records: list[dict], planned: int) -> Iterator[str]:
    """How the lines of an area begin, but for comments."""
    yield from ("  KTAP version 1", f"  # Subtest: {area}", f"  1..{planned}")
    for n, record in enumerate(records, 1):
        verdict = str(record.get("verdict"))
        status = "not ok" if verdict in ("fail", "error") else "ok"
        name = record["case"].partition("/")[2]
        yield f"  {status} {n} {name}{KTAP_DIRECTIVES.get(verdict, '')}"
    verdicts = {record.get("verdict") for record in records}
    bad = verdicts & {"fail", "error"} or len(records) < planned
    yield f"{'not ok' if bad else 'ok'} {number} {area}{' # SKIP ' if verdicts == {'skip'} and not bad else ''}"


def check_ktap(path: Path, records: list[dict]) -> Iterator[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    if lines[:1] != ["KTAP version 1"] or not re.fullmatch(r"1\.\.\d+", (lines + ["", ""])[1]):
        yield f"{path.name}: no version and plan"
        return
    found = [line for line in lines[2:] if re.match(r" *((not )?ok \d|1\.\.|KTAP |# Subtest: )", line)]
    areas = dict(re.findall(r"^  # Subtest: (\w+)\n  1\.\.(\d+)$", "\n".join(lines), re.M))
    wanted = [line for number, (area, planned) in enumerate(areas.items(), 1) for line in ktap_area(
        area, number, [r for r in records if str(r.get("case")).startswith(f"{area}/")], int(planned))]
    for line, beginning in zip(found, wanted):
        if not line.startswith(beginning):
            yield f"{path.name}: {line!r} instead of {beginning!r}"
    missing = {str(record.get("case")).partition("/")[0] for record in records} - set(areas)
    if missing or len(found) != len(wanted):
        yield f"{path.name}: {len(found)} lines for {len(wanted)}; no areas {sorted(missing)}"
    if not any(line.startswith("Bail out!") for line in lines) and len(areas) != int(lines[1][3:]):
        yield f"{path.name}: {len(areas)} areas of {lines[1][3:]}, no Bail out"


def check_junit(path: Path, records: list[dict]) -> Iterator[str]:
    try:
        suite = ElementTree.parse(path).getroot().find("testsuite")
    except ElementTree.ParseError as error:
        yield f"{path.name}: {error}"
        return
    if suite is None:
        yield f"{path.name}: no testsuite"
        return
    cases = list(suite.iter("testcase"))
    for case, record in zip(cases, records):
        name = f"{case.get('classname')}/{case.get('name')}"
        if name != record.get("case"):
            yield f"{path.name}: {name} instead of {record.get('case')}"
        tag = {"fail": "failure", "error": "error", "skip": "skipped", "known": "skipped"}.get(
            record.get("verdict", ""))
        found = [child.tag for child in case if child.tag != "system-out"]
        if found != ([tag] if tag else []):
            yield f"{path.name}: {name} is {found}, and its verdict {record.get('verdict')}"
    verdicts = [record.get("verdict") for record in records]
    wanted = {"tests": len(verdicts), "failures": verdicts.count("fail"),
              "errors": verdicts.count("error"),
              "skipped": verdicts.count("skip") + verdicts.count("known")}
    for name, number in wanted.items():
        if suite.get(name) != str(number):
            yield f"{path.name}: {name}={suite.get(name)}, but the records say {number}"
    if len(cases) != len(records):
        yield f"{path.name}: {len(cases)} cases for {len(records)} records"


def check_flaky(path: Path, records: list[dict]) -> Iterator[str]:
    """There if and only if cases were repeated, and what the records say."""
    verdicts: dict[str, Counter] = defaultdict(Counter)
    for record in records:
        if "filter" in record:
            verdicts[record["filter"]][record.get("verdict")] += 1
    if not verdicts or not path.exists():
        if verdicts or path.exists():
            yield f"{path.name} and repeated cases do not go together"
        return
    flaky = json.loads(path.read_text(encoding="utf-8"))
    yield from check_members(path.name, flaky, {
        "schema": (True, lambda value: value == SCHEMA), "rounds": (True, count),
        "flaky": (True, list_of(lambda value: isinstance(value, dict)))})
    found = {case.get("case"): case for case in flaky.get("flaky", [])}
    wanted = {case: counts for case, counts in verdicts.items() if len(counts) > 1}
    if set(found) != set(wanted):
        yield f"{path.name}: {sorted(found)}, but the records say {sorted(wanted)}"
    for case in set(found) & set(wanted):
        rate = 1 - max(wanted[case].values()) / sum(wanted[case].values())
        if found[case].get("verdicts") != dict(wanted[case]):
            yield f"{path.name}: {case}: {found[case].get('verdicts')}, not {dict(wanted[case])}"
        if abs(found[case].get("rate", -1) - rate) > 1e-6:
            yield f"{path.name}: {case}: rate {found[case].get('rate')}, not {rate}"


def check_directory(directory: Path) -> list[str]:
    problems: list[str] = []
    try:
        host = json.loads((directory / "host.json").read_text(encoding="utf-8"))
        problems += check_members("host.json", host, HOST)
        records = read_records(directory / "cases.jsonl", problems)
        problems += check_tap(directory / "report.tap", records)
        problems += check_ktap(directory / "report.ktap", records)
        problems += check_flaky(directory / "flaky.json", records)
        problems += check_junit(directory / "report.xml", records)
    except (OSError, ValueError) as error:
        problems.append(str(error))
    return problems


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print("usage: validate.py DIRECTORY...", file=sys.stderr)
        return 2
    problems = [f"{directory}: {problem}" for directory in sys.argv[1:]
                for problem in check_directory(Path(directory))]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
