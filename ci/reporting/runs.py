# SPDX-License-Identifier: MIT
"""
Reads runs, as results/README.md describes them: from a results directory, an archive of one, or a
committed baseline, by its name.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import io
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

TOP = Path(__file__).resolve().parents[2]
BASELINES = TOP / "results/baselines"
SCHEMA = 1

# From what says most to what says least: a case that was repeated has the first of its verdicts.
VERDICTS = ("fail", "error", "known", "skip", "pass")

HOST, CASES, TAP = "host.json", "cases.jsonl", "report.tap"


class ReportError(Exception):
    """What kept a report from being made, in one sentence for its user."""


@dataclasses.dataclass(frozen=True)
class Distribution:
    """Of samples in ns. histogram: (start of the bucket, samples in it), empty ones left out."""
    count: int
    min: int
    p10: int
    p50: int
    p90: int
    p99: int
    max: int
    histogram: tuple[tuple[int, int], ...]


@dataclasses.dataclass(frozen=True)
class Measurement:
    name: str
    value: Distribution
    baseline: Distribution
    noisy: bool
    limit: float | None  # of the ratio value / baseline; only where there is a verdict


@dataclasses.dataclass(frozen=True)
class Record:
    """One line of cases.jsonl. Texts are empty where it has none; raw is all that it has."""
    case: str
    verdict: str
    seconds: float | None  # baselines have none
    reason: str
    expected: str
    got: str
    explanation: tuple[str, ...]
    measurements: tuple[Measurement, ...]
    raw: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """A case and its records: one, or as many as --repeat said."""
    name: str
    records: list[Record]

    @property
    def record(self) -> Record:
        """The record that says most: the first one of the verdict."""
        return min(self.records, key=lambda record: VERDICTS.index(record.verdict))

    @property
    def verdict(self) -> str:
        return self.record.verdict

    @property
    def verdicts(self) -> collections.Counter[str]:
        return collections.Counter(record.verdict for record in self.records)

    @property
    def area(self) -> str:
        return self.name.partition("/")[0]


@dataclasses.dataclass(frozen=True)
class Run:
    name: str  # as it was asked for
    host: dict[str, Any]
    cases: dict[str, Case]
    stopped: str  # why it ended early, or ""

    @property
    def engine(self) -> str:
        return self.host["engine"]

    @property
    def vendor(self) -> str:
        return self.host["vendor"]

    @property
    def kernel(self) -> str:
        return self.host["kernel"]

    @property
    def series(self) -> str:
        """6.1 of 6.1.0-56-cloud-amd64."""
        return ".".join(self.kernel.split(".")[:2])

    @property
    def kvm_config(self) -> list[str]:
        """The options that the lab built its KVM with: KVM_SW_PROTECTED_VM of KVM_SW_PROTECTED_VM=y."""
        return [word.removesuffix("=y") for word in self.host.get("lab", {}).get("kvm_config", [])]


def load(source: str | Path) -> Run:
    """Raises ReportError if there is no run, or if it cannot be relied on."""
    name, path = str(source), Path(source).expanduser()
    if not name or not path.exists():
        path = BASELINES / name
        if not name or "/" in name or not path.exists():
            raise ReportError(f"there is no run {name}: no directory, no archive, and no baseline; "
                              f"there are {', '.join(baseline_names()) or 'none of these'}")
    if path.is_dir():
        return parse(name, lambda file: read_file(path / file))
    with opened_archive(path) as (members, read):
        return parse(name, in_archive(name, members, read))


def baseline_names() -> list[str]:
    return sorted(path.parent.name for path in BASELINES.glob(f"*/{HOST}"))


def parse(name: str, read: Callable[[str], bytes | None]) -> Run:
    """read() returns the data of the file of a name, or None if there is none."""
    host = parse_host(name, required(name, HOST, read))
    cases: dict[str, Case] = {}
    for record in parse_records(name, required(name, CASES, read)):
        case = record.raw.get("filter", record.case)
        cases.setdefault(case, Case(case, [])).records.append(record)
    return Run(name, host, cases, why_stopped(read(TAP) or b""))


def required(name: str, file: str, read: Callable[[str], bytes | None]) -> bytes:
    data = read(file)
    if data is None:
        raise ReportError(f"{name} is no run: it has no {file}")
    return data


def parse_host(name: str, data: bytes) -> dict[str, Any]:
    host = parse_object(f"{name}: {HOST}", data)
    for member in ("engine", "vendor", "kernel"):
        if not isinstance(host.get(member), str):
            raise ReportError(f"{name}: {HOST} has no {member}")
    return host


def parse_records(name: str, data: bytes) -> Iterator[Record]:
    *lines, rest = data.split(b"\n")
    if rest:
        raise ReportError(f"{name}: {CASES} ends in the middle of line {len(lines) + 1}: the run was "
                          "cut off, or is not over")
    for number, line in enumerate(lines, 1):
        what = f"{name}: {CASES}:{number}"
        raw = parse_object(what, line)
        try:
            yield parse_record(raw)
        except (KeyError, TypeError, ValueError) as error:
            raise ReportError(f"{what} is no record: {describe(error)}") from error


def parse_object(what: str, data: bytes) -> dict[str, Any]:
    """Baselines have their schema version in host.json only."""
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ReportError(f"{what} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise ReportError(f"{what} is no JSON object")
    if value.get("schema", SCHEMA) != SCHEMA:
        raise ReportError(f"{what} has schema version {value['schema']}, and this program reads "
                          f"{SCHEMA}: use the ci/report of the checkout that the run is from")
    return value


def parse_record(raw: dict[str, Any]) -> Record:
    if raw["verdict"] not in VERDICTS:
        raise ValueError(f"its verdict is {raw['verdict']!r}")
    if not isinstance(raw["case"], str):
        raise ValueError(f"its case is {raw['case']!r}")
    return Record(
        case=raw["case"], verdict=raw["verdict"], seconds=raw.get("seconds"),
        reason=raw.get("reason", ""), expected=raw.get("expected", ""), got=raw.get("got", ""),
        explanation=tuple(raw.get("explanation", [])),
        measurements=tuple(map(parse_measurement, raw.get("measurements", []))), raw=raw)


def parse_measurement(raw: dict[str, Any]) -> Measurement:
    return Measurement(raw["name"], parse_distribution(raw["value"]),
                       parse_distribution(raw["baseline"]), raw["noisy"], raw.get("limit"))


def parse_distribution(raw: dict[str, Any]) -> Distribution:
    members: dict[str, Any] = {field.name: raw[field.name]
                               for field in dataclasses.fields(Distribution)}
    members["histogram"] = tuple(map(tuple, raw["histogram"]))
    return Distribution(**members)


def describe(error: Exception) -> str:
    return f"it has no {error}" if isinstance(error, KeyError) else str(error)


def why_stopped(tap: bytes) -> str:
    """From report.tap, which alone says how many cases there should be; "" without one."""
    lines = tap.decode(errors="replace").splitlines()
    if lines and lines[-1].startswith("Bail out! "):
        return lines[-1].removeprefix("Bail out! ")
    planned = sum(int(line[3:]) for line in lines[:2] if re.fullmatch(r"1\.\.\d+", line))
    ended = sum(re.match(r"(not )?ok \d", line) is not None for line in lines)
    return f"after {ended} of {planned} cases" if ended < planned else ""


def read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror}") from error


DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


@contextlib.contextmanager
def opened_archive(path: Path) -> Iterator[tuple[list[str], Callable[[str], bytes]]]:
    """The names of its files, and what reads one. Nothing is unpacked: names may be anything."""
    try:
        data = io.BytesIO(path.read_bytes())
        if zipfile.is_zipfile(data):
            with zipfile.ZipFile(data) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
                yield names, archive.read
        else:
            data.seek(0)
            with tarfile.open(fileobj=data) as archive:
                files = {member.name: member for member in archive if member.isreg()}
                yield list(files), lambda name: extract(archive, files[name])
    except tarfile.ReadError as error:
        raise ReportError(f"{path} is no directory and no archive (.tar, .tar.gz, .tar.xz, .zip), "
                          "or a damaged one") from error
    except DAMAGED as error:
        raise ReportError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise ReportError(f"cannot read {path}: {error.strerror or error}") from error


def extract(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def in_archive(name: str, members: list[str],
               read: Callable[[str], bytes]) -> Callable[[str], bytes | None]:
    """What reads a file of the one run in an archive, in whichever directory it is there."""
    places = {PurePosixPath(member).parent for member in members
              if PurePosixPath(member).name in (HOST, CASES)}
    if len(places) > 1:
        raise ReportError(f"{name} holds {len(places)} runs, and one is needed: unpack it, and name "
                          "one of them")

    def read_one(file: str) -> bytes | None:
        for member in members:
            if PurePosixPath(member).name == file and PurePosixPath(member).parent in places:
                return read(member)
        return None
    return read_one
