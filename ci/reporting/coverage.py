# SPDX-License-Identifier: MIT
"""
How much of KVM's API runs have reached: which ioctls, exit reasons, capabilities and fields of kvm_run,
by what their records say was issued, what came back and what was compared. What there is to reach is in
surface.tsv.
"""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from .runs import Run

SURFACE = Path(__file__).with_name("surface.tsv")

# Of each kind: the member of the records that counts it, and how far one can get, the best first;
# only the first counts as reached.
LEVELS = {
    "ioctl": ("succeeded", "only failed", "never"),
    "exit": ("returned", "never"),
    "capability": ("used", "offered", "not offered"),
    "field": ("asserted or set", "seen", "never"),
}
NAMES = {"ioctl": "ioctls", "exit": "exit reasons", "capability": "capabilities", "field": "fields of kvm_run"}
MEMBERS = {"ioctl": "ioctls", "exit": "exits", "capability": "capabilities", "field": "fields"}


@dataclasses.dataclass(frozen=True)
class Item:
    """One thing that can be reached."""
    kind: str
    name: str
    where: str  # of an ioctl its kinds of file descriptors: "vm vcpu"; of a field its exits; else empty
    since: str

    @property
    def descriptors(self) -> str:
        return self.where if self.kind == "ioctl" else ""

    def exists_in(self, series: str) -> bool:
        """Whether kernels of this series have it; of a kernel without a number, the newest is assumed."""
        return not series_key(series) or series_key(self.since) <= series_key(series)


def series_key(series: str) -> list[int]:
    return [int(part) for part in series.split(".") if part.isdigit()]


@functools.cache
def surface() -> list[Item]:
    rows = (line.split("\t") for line in SURFACE.read_text().splitlines() if line[:1] != "#")
    return [Item(kind, name, "" if where == "-" else where, since) for kind, name, where, since in rows]


def was_seen(field: Item, raw: dict[str, Any]) -> bool:
    """Whether an exit in the record brought the field, whatever the case did with it."""
    return any(reason in raw.get("exits", {}) for reason in field.where.split())


def reached(run: Run, kind: str) -> dict[str, str] | None:
    """
    The level of each name that the run has anything to say of; the others are at the last level. None
    if its records do not count this kind (they are older, or a baseline's).
    """
    best, *_ = LEVELS[kind]
    counted = [record.raw[MEMBERS[kind]] for case in run.cases.values() for record in case.records
               if MEMBERS[kind] in record.raw]
    if not counted:
        return None
    found: dict[str, str] = {}
    if kind == "capability":
        found = dict.fromkeys(run.host.get("capabilities", {}), LEVELS[kind][1])
    if kind == "field":
        found = {item.name: LEVELS[kind][1] for item in surface() if item.kind == kind and item.exists_in(run.series)
                 and any(was_seen(item, record.raw) for case in run.cases.values() for record in case.records)}
    for counts in counted:
        for name, results in counts.items():
            if kind != "ioctl" or "ok" in results:
                found[name] = best
            else:
                found.setdefault(name, LEVELS[kind][1])
    return found


@dataclasses.dataclass(frozen=True)
class Column:
    """What one run reached of one kind. levels: of each item that its kernel has; the rest is missing."""
    levels: dict[str, str]
    unlisted: list[str]  # reached, but not in surface.tsv

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
