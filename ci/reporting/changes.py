# SPDX-License-Identifier: MIT
"""What changed between two runs: Change by Change, and which of them are for the worse."""

from __future__ import annotations

import collections
import dataclasses
import re
from typing import Any

from . import timing
from .runs import Case, Record, Run

# In the order in which they are shown.
CATEGORIES = {
    "host": "differences of the hosts",
    "ended_early": "ended early",
    "newly_failing": "newly failing",
    "newly_known": "newly known to fail",
    "newly_skipped": "newly skipped",
    "slower": "slower kicks",
    "fixed": "fixed",
    "no_longer_known": "no longer known to fail: passed",
    "no_longer_skipped": "no longer skipped",
    "faster": "faster kicks",
    "changed_diagnosis": "fails in another way",
    "slower_case": "cases that take longer (without a baseline: not judged)",
    "faster_case": "cases that take less long",
    "added": "added",
    "removed": "removed",
}

# Members of host.json that are about the run, not the host.
OF_THE_RUN = {"schema", "started", "command", "timeout_scale", "shuffle_seed", "ftrace"}
OF_THE_LAB = {"kernel", "run_again", "boots", "retried"}

# What a skipped case lacks, by its reason; and the member of host.json that explains it, if the two
# runs differ there. None: it is never KVM's.
LACKS = (
    (r"needs \d+ host CPUs", "cpus_online"),
    (r"needs KVM_CAP_NR_VCPUS", "cpus_online"),  # KVM answers with the number of CPUs
    (r"needs KVM_CAP_", "cpu"),
    (r"needs CPU feature", "cpu"),
    (r"needs vendor module", "vendor"),
    (r"needs Linux", "kernel"),
    (r"needs a timer", None),
    (r"needs userfaultfd", None),
)

# What may differ in a diagnosis that is the same.
VARIES = (
    (r"\b0x(?:7f|5[56])[0-9a-f]{10}\b|\b0xffff[0-9a-f]{12}\b", "<address>"),  # not the guest's
    (r"\b(pid|tid|process|thread) \d+", r"\1 N"),
    (r"\b\d+(?:\.\d+)? ?(ns|us|ms|s|seconds)\b", r"N \1"),
    (r"\b(limit|medians|tenths) \d+\.\d+", r"\1 N"),
    (r"\b(kick|signal|request|look|set to) \d+", r"\1 N"),
    (r"\b\d+ (kicks|others|samples|times|were|early|late|had)\b", r"N \1"),
    (r"\b\d+ of \d+ (were)\b", r"N of N \1"),
    (r"\bearly, \d+ late\b", "early, N late"),
    (r"^\[ *\d+\.\d+\]", "[N]"),  # the kernel log's seconds
)


@dataclasses.dataclass(frozen=True)
class Change:
    """Of a case, a measurement or a member of host.json: from base to new, None: not there."""
    category: str
    name: str
    base: Any
    new: Any
    worse: bool = False
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Comparison:
    base: Run
    new: Run
    changes: list[Change]
    unchanged: int  # cases

    @property
    def worse(self) -> list[Change]:
        return [change for change in self.changes if change.worse]

    def of(self, category: str) -> list[Change]:
        return [change for change in self.changes if change.category == category]


def compare(base: Run, new: Run) -> Comparison:
    both = sorted(base.cases.keys() & new.cases.keys())
    cases = [change for name in both for change in compare_case(base, new, name)]
    changes = [*compare_hosts(base.host, new.host), *compare_ends(base, new), *cases,
               *compare_timing(base, new),
               *(Change("added", name, None, tell_verdict(new.cases[name]))
                 for name in sorted(new.cases.keys() - base.cases.keys())),
               *(Change("removed", name, tell_verdict(base.cases[name]), None)
                 for name in sorted(base.cases.keys() - new.cases.keys()))]
    changes.sort(key=lambda change: list(CATEGORIES).index(change.category))
    return Comparison(base, new, changes, len(both) - len(cases))


def compare_hosts(base: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    before, after = flat(base), flat(new)
    changes = []
    details = base.get("capabilities", {}).keys() | new.get("capabilities", {}).keys()
    for name in sorted(before.keys() | after.keys(),
                       key=lambda name: ("." in name or name in details, name)):
        old, now = before.get(name), after.get(name)
        if old != now:
            vanished = name.startswith("KVM_CAP_") and not now
            changes.append(Change("host", name, old, now,
                                  vanished and not differ("cpu", base, new)))
    return changes


def flat(host: dict[str, Any]) -> dict[str, Any]:
    """Its members, with capabilities (KVM_CAP_HLT) and parameters (kvm.ignore_msrs) among them."""
    members = {name: value for name, value in host.items()
               if name not in OF_THE_RUN and not isinstance(value, dict)}
    members |= host.get("module_parameters", {}) | host.get("capabilities", {})
    return members | {f"lab.{name}": value for name, value in host.get("lab", {}).items()
                      if name not in OF_THE_LAB and value not in ("", [])}


def differ(member: str, base: dict[str, Any], new: dict[str, Any]) -> bool:
    return base.get(member) != new.get(member)


def compare_ends(base: Run, new: Run) -> list[Change]:
    if base.stopped == new.stopped:
        return []
    return [Change("ended_early", "the run", base.stopped or None, new.stopped or None,
                   bool(new.stopped and not base.stopped))]


def compare_case(base: Run, new: Run, name: str) -> list[Change]:
    """One change at most."""
    before, after = base.cases[name], new.cases[name]
    category = categorise(before.verdict, after.verdict)
    if category == "changed_diagnosis":
        notes = compare_diagnoses(before.record, after.record)
        if not notes and before.verdict == after.verdict:
            return []
    elif not category:
        return []
    else:
        notes = diagnosis(after.record)
    worse = category == "newly_failing" or (category == "newly_known" and before.verdict == "pass")
    if category == "newly_skipped":
        worse, why = judge_skip(after.record.reason, base.host, new.host)
        notes += (why,) if why else ()
    return [Change(category, name, tell_verdict(before), tell_verdict(after), worse, notes)]


def categorise(before: str, after: str) -> str:
    """By the verdicts; "" if nothing changed that has a name."""
    failing = ("fail", "error")
    if before in failing and after in failing or before == after == "known":
        return "changed_diagnosis"
    if after in failing:
        return "newly_failing"
    if before == after:
        return ""
    if after == "skip":
        return "newly_skipped"
    if after == "known":
        return "newly_known"
    return {"known": "no_longer_known", "skip": "no_longer_skipped"}.get(before, "fixed")


def tell_verdict(case: Case) -> str:
    """fail; of a case that was repeated, with how often: fail (3 of 50)."""
    count = case.verdicts
    if len(count) == 1:
        return case.verdict
    return f"{case.verdict} ({count[case.verdict]} of {len(case.records)})"


def diagnosis(record: Record) -> tuple[str, ...]:
    texts = {"reason": record.reason}
    if record.verdict in ("fail", "error"):
        texts = {"expected": record.expected, "got": record.got} | texts
    return tuple(f"{member}: {text}" for member, text in texts.items() if text)


def compare_diagnoses(before: Record, after: Record) -> tuple[str, ...]:
    notes = []
    for member in ("expected", "got", "reason"):
        old, now = getattr(before, member), getattr(after, member)
        if normalised(old) != normalised(now):
            notes += [f"{member} was: {old or 'nothing'}", f"{member} is: {now or 'nothing'}"]
    old, now = ("\n".join(record.explanation) for record in (before, after))
    # baselines have no explanations
    if not notes and old and now and normalised(old) != normalised(now):
        notes += [f"explanation was: {old}", f"explanation is: {now}"]
    return tuple(notes)


def normalised(text: str) -> str:
    """Without what differs from run to run although it says the same."""
    for pattern, replacement in VARIES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def judge_skip(reason: str, base: dict[str, Any], new: dict[str, Any]) -> tuple[bool, str]:
    """Whether it is worse that a case is newly skipped; and why, if there is more to say."""
    for pattern, member in LACKS:
        if re.match(pattern, reason):
            if not member:
                return False, "not worse: this is not KVM's"
            if differ(member, base, new):
                return False, f"not worse: the hosts differ in {member}"
            break
    capability = re.match(r"needs (KVM_CAP_\w+)", reason)
    had = base.get("capabilities", {}).get(capability[1]) if capability else None
    return True, f"{capability[1]} vanished: it was {had}" if capability and had else ""


def compare_timing(base: Run, new: Run) -> list[Change]:
    """Emulated machines and others have other ratios: none says anything about another one's."""
    if any(differ(member, base.host, new.host) for member in ("engine", "cpu")):
        return []
    changes = []
    for suffix, trials in (("", timing.kick_trials), ("_case", timing.case_trials)):
        for verdict in timing.judge(trials(base, new)):
            category = ("slower" if verdict.slower else "faster") + suffix
            changes.append(Change(category, verdict.name, verdict.base, verdict.new,
                                  category == "slower", (f"{verdict.factor:.1f} times",)))
    return changes


def summary(comparison: Comparison) -> str:
    """One sentence: what is worse, or that nothing is."""
    counts = collections.Counter(change.category for change in comparison.worse)
    gone = "capability gone" if counts["host"] == 1 else "capabilities gone"
    words = [f"{counts[category]} {title}" for category, title in (CATEGORIES | {"host": gone}).items()
             if counts[category]]
    return f"Worse: {', '.join(words)}." if words else "Nothing is worse."
