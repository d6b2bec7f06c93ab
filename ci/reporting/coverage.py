# SPDX-License-Identifier: MIT
"""
How much of KVM's API runs have reached: which ioctls, exit reasons, capabilities and fields of kvm_run,
by what their records say was issued, what came back and what was compared. What there is to reach is in
surface.tsv, and with which errors each ioctl can fail in errors.tsv.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .runs import Run

SURFACE = Path(__file__).with_name("surface.tsv")
ERRORS = Path(__file__).with_name("errors.tsv")

# Of each kind: the member of the records that counts it, and how far one can get, the best first;
# only the first counts as reached.
LEVELS = {
    "ioctl": ("succeeded", "only failed", "never"),
    "error": ("returned", "never"),
    "exit": ("returned", "never"),
    "capability": ("used", "only checked", "offered", "not offered"),
    "field": ("asserted or set", "seen", "never"),
}
NAMES = {"ioctl": "ioctls", "error": "errors of ioctls", "exit": "exit reasons", "capability": "capabilities",
         "field": "fields of kvm_run"}
MEMBERS = {"ioctl": "ioctls", "error": "shared_ioctls", "exit": "exits", "capability": "capabilities",
           "field": "fields"}


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing that can be reached."""
    kind: str
    name: str
    where: str  # of an ioctl its kinds of file descriptors: "vm vcpu"; of a field its exits; else empty
    since: str
    source: str = ""  # of an error: "api.rst" or "code"

    @property
    def descriptors(self) -> str:
        return self.where if self.kind == "ioctl" else ""

    def exists_in(self, series: str) -> bool:
        """Whether kernels of this series have it; of a kernel without a number, the newest is assumed."""
        return not series_key(series) or series_key(self.since) <= series_key(series)


def series_key(series: str) -> list[int]:
    return [int(part) for part in series.split(".") if part.isdigit()]


def rows(table: Path) -> Iterator[list[str]]:
    return (line.split("\t") for line in table.read_text().splitlines() if line[:1] != "#")


def pair_names(ioctl: Item) -> list[str]:
    """Of each kind of descriptor: "vcpu KVM_RUN"."""
    return [f"{kind} {ioctl.name}" for kind in ioctl.descriptors.split()]


def error_items(ioctls: list[Item]) -> Iterator[Item]:
    """Each error of each pair: "vcpu KVM_RUN EINTR"."""
    since_of = {pair: ioctl.since for ioctl in ioctls for pair in pair_names(ioctl)}
    for pair, documented, others in rows(ERRORS):
        for source, names in (("api.rst", documented), ("code", others)):
            for name, _, since in (one.partition("@") for one in names.split() if one != "-"):
                yield Item("error", f"{pair} {name}", "", since or since_of[pair], source)


@functools.cache
def surface() -> list[Item]:
    items = [Item(kind, name, "" if where == "-" else where, since) for kind, name, where, since in rows(SURFACE)]
    return items + list(error_items([item for item in items if item.kind == "ioctl"]))


def pair_results(raw: dict[str, Any], ioctl: Item) -> dict[str, list[str]]:
    """What each pair of the ioctl returned, as a record has it."""
    shared = " " in ioctl.descriptors
    return {pair: list(raw["shared_ioctls"].get(pair, {}) if shared else raw["ioctls"].get(ioctl.name, {}))
            for pair in pair_names(ioctl)}


def counts_of(raw: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a record counts of this kind, by name."""
    if kind == "error":
        return {f"{pair} {result}": 1 for item in surface() if item.kind == "ioctl"
                for pair, results in pair_results(raw, item).items() for result in results if result != "ok"}
    return raw[MEMBERS[kind]]


def level_of(kind: str, results: Any) -> str:
    """How far these results of a name got, as counts_of() has them."""
    best, second, *_ = LEVELS[kind]
    if kind == "ioctl":
        return best if "ok" in results else second
    return second if results == "checked" else best


def was_seen(field: Item, raw: dict[str, Any]) -> bool:
    """Whether an exit in the record brought the field, whatever the case did with it."""
    return any(reason in raw.get("exits", {}) for reason in field.where.split())


def reached(run: Run, kind: str) -> dict[str, str] | None:
    """
    The level of each name that the run has anything to say of; the others are at the last level. None
    if its records do not count this kind (they are older, or a baseline's).
    """
    counted = [counts_of(record.raw, kind) for case in run.cases.values() for record in case.records
               if MEMBERS[kind] in record.raw]
    if not counted:
        return None
    found: dict[str, str] = {}
    if kind == "capability":
        found = dict.fromkeys(run.host.get("capabilities", {}), "offered")
    if kind == "field":
        found = {item.name: LEVELS[kind][1] for item in surface() if item.kind == kind and item.exists_in(run.series)
                 and any(was_seen(item, record.raw) for case in run.cases.values() for record in case.records)}
    for counts in counted:
        for name, results in counts.items():
            level = level_of(kind, results)
            found[name] = min(found.get(name, level), level, key=LEVELS[kind].index)
    return found


@dataclasses.dataclass(frozen=True)
class Column:
    """What one run reached of one kind. levels: of each item that its kernel has; the rest is missing."""
    levels: dict[str, str]
    unlisted: list[str]  # reached, but not in surface.tsv or errors.tsv

    def count(self, level: str) -> int:
        return sum(one == level for one in self.levels.values())


def measure(run: Run, kind: str) -> Column | None:
    found = reached(run, kind)
    if found is None:
        return None
    items = [item for item in surface() if item.kind == kind]
    # what answers is there, whatever the table says of when it came: distributions backport
    levels = {item.name: found.get(item.name, LEVELS[kind][-1]) for item in items
              if item.name in found or item.exists_in(run.series)}
    best = LEVELS[kind][0]
    return Column(levels, sorted(name for name in found
                                 if found[name] == best and name not in levels))
