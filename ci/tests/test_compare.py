# SPDX-License-Identifier: MIT
"""What changed between two runs: made-up ones, and runs of this host's KVM that differ as we know."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import tarfile
import unittest
import zipfile
from pathlib import Path

from lab import CANNOT_RUN, PASS, TOP, support
from reporting import baselines, changes, compare, runs, timing

scratch = support.scratch
REPORT = TOP / "ci/report"
SHIM = support.BUILD / "kvmspec-shim"
WORSE = 1

HOST = {"schema": 1, "engine": "host", "vendor": "kvm_amd", "kernel": "6.12.1-test", "cpu": "EPYC",
        "cpus_online": 2, "module_parameters": {"kvm.halt_poll_ns": "200000"},
        "capabilities": {"KVM_CAP_HLT": 1, "KVM_CAP_IMMEDIATE_EXIT": 1, "KVM_CAP_NR_VCPUS": 2}}


def report(*args: object, **options) -> subprocess.CompletedProcess:
    return support.run(REPORT, *args, **options)


def record(case: str, verdict: str = "pass", **members) -> dict:
    return {"schema": 1, "case": case, "verdict": verdict, "seconds": 0.01} | members


def directory(*records: dict, tap: str | None = None, **host) -> Path:
    """A made-up run."""
    path = scratch()
    (path / "host.json").write_text(json.dumps(HOST | host))
    (path / "cases.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    if tap is not None:
        (path / "report.tap").write_text(tap)
    return path


def compared(base: Path, new: Path) -> changes.Comparison:
    return changes.compare(runs.load(base), runs.load(new))


def samples(*values: int) -> dict:
    """A distribution, as the record has it."""
    ordered, histogram = sorted(values), {}
    for value in ordered:
        start = value >> (value.bit_length() - 3) << (value.bit_length() - 3)
        histogram[start] = histogram.get(start, 0) + 1
    n = len(ordered)
    return {"count": n, "min": ordered[0], "p10": ordered[n // 10], "p50": ordered[n // 2],
            "p90": ordered[n * 9 // 10], "p99": ordered[n * 99 // 100], "max": ordered[-1],
            "histogram": sorted(map(list, histogram.items()))}


def measurement(value: float, baseline: float, spread: float = 0.2, count: int = 64,
                noisy: bool = False, seed: int = 1) -> dict:
    """Samples around these medians, ns."""
    source = random.Random(seed)
    value_samples, baseline_samples = (
        samples(*(int(median * source.lognormvariate(0, spread)) for _ in range(count)))
        for median in (value, baseline))
    return {"name": "x", "value": value_samples, "baseline": baseline_samples, "ratio": 1, "looks": 1,
            "clock_ns": 20, "noisy": noisy}


class Categories(unittest.TestCase):
    def one(self, before: dict, after: dict, **host) -> changes.Change | None:
        """The one change of a case, or none."""
        comparison = compared(directory(record("a/x", **before)),
                              directory(record("a/x", **after), **host))
        of_cases = [change for change in comparison.changes if change.category != "host"]
        self.assertLessEqual(len(of_cases), 1)
        self.assertEqual(comparison.unchanged, 1 - len(of_cases))
        return of_cases[0] if of_cases else None

    def test_every_pair_of_verdicts(self):
        expected = {
            "pass": {"fail": "newly_failing!", "error": "newly_failing!", "known": "newly_known!",
                     "skip": "newly_skipped!"},
            "known": {"fail": "newly_failing!", "error": "newly_failing!", "pass": "no_longer_known",
                      "skip": "newly_skipped!"},
            "skip": {"fail": "newly_failing!", "error": "newly_failing!", "pass": "no_longer_skipped",
                     "known": "newly_known"},
            "fail": {"error": "changed_diagnosis", "pass": "fixed", "known": "newly_known",
                     "skip": "newly_skipped!"},
            "error": {"fail": "changed_diagnosis", "pass": "fixed", "known": "newly_known",
                      "skip": "newly_skipped!"},
        }
        for before, after in itertools.product(runs.VERDICTS, repeat=2):
            with self.subTest(before=before, after=after):
                change = self.one({"verdict": before}, {"verdict": after})
                found = change and change.category + "!" * change.worse
                self.assertEqual(found, expected[before].get(after))

    def test_diagnosis(self):
        same = {"verdict": "fail", "expected": "KVM_EXIT_HLT", "got": "KVM_EXIT_IO"}
        self.assertIsNone(self.one(same, same))
        change = self.one(same, same | {"got": "KVM_EXIT_SHUTDOWN"})
        self.assertEqual((change.category, change.worse), ("changed_diagnosis", False))
        self.assertEqual(change.notes, ("got was: KVM_EXIT_IO", "got is: KVM_EXIT_SHUTDOWN"))
        for member in ("expected", "reason"):
            self.assertEqual(self.one(same, same | {member: "else"}).category, "changed_diagnosis")
        before, after = same | {"explanation": ["one"]}, same | {"explanation": ["two"]}
        self.assertEqual(self.one(before, after).notes, ("explanation was: one", "explanation is: two"))
        self.assertIsNone(self.one(before, same), "baselines have no explanations")

    def test_numbers_that_vary(self):
        for before, after in (
                ("time-out: killed after 0.6 s", "time-out: killed after 0.5 s"),
                ("at 0x7ffd12345678", "at 0x7ffe87654321"),
                ("at 0xffffc90000123456", "at 0xffffc90000654321"),
                ("kvm: pid 12 vcpu0", "kvm: pid 4711 vcpu0"),
                ("limit 8.0, medians 9.3 (21492 ns to 16465 ns), in 256 samples, at look 3",
                 "limit 8.0, medians 11.2 (31492 ns to 16265 ns), in 255 samples, at look 3"),
                ("of 12 kicks the last was lost: 3 others were early, 4 late",
                 "of 400 kicks the last was lost: 30 others were early, 40 late"),
                ("[   12.345678] BUG: x", "[  812.5] BUG: x")):
            with self.subTest(before):
                self.assertIsNone(self.one({"verdict": "fail", "got": before},
                                           {"verdict": "fail", "got": after}))

    def test_numbers_that_say_something(self):
        for before, after in (("rip=0x1018", "rip=0x101a"),
                              ("KVM_EXIT_IO size 1 count 1", "KVM_EXIT_IO size 1 count 2"),
                              ("before 6.2 KVM waits", "before 6.3 KVM waits"),
                              ("it is 3 (0x3)", "it is 4 (0x4)"), ("rax=0x7fff", "rax=0x7ffe"),
                              ("data 0x1 0xf4d4010f0f", "data 0x1 0xf4d4010f0e")):
            with self.subTest(before):
                self.assertIsNotNone(self.one({"verdict": "fail", "got": before},
                                              {"verdict": "fail", "got": after}))

    def test_skips_that_the_hosts_explain(self):
        for reason, host, worse in (
                ("needs 4 host CPUs; this host has 2", {}, True),
                ("needs 4 host CPUs; this host has 1", {"cpus_online": 1}, False),
                ("needs KVM_CAP_NR_VCPUS of at least 2; this host answers 1", {"cpus_online": 1}, False),
                ("needs KVM_CAP_IMMEDIATE_EXIT; this host answers 0", {"cpus_online": 1}, True),
                ("needs KVM_CAP_IMMEDIATE_EXIT; this host answers 0", {"cpu": "i486"}, False),
                ("needs CPU feature x2apic; this host has no such leaf", {}, True),
                ("needs CPU feature x2apic; this host has no such leaf", {"cpu": "i486"}, False),
                ("needs vendor module kvm_amd; this host has kvm_intel", {"vendor": "kvm_intel"}, False),
                ("needs Linux 6.8 or later; this host has 6.1.0", {"kernel": "6.1.0"}, False),
                ("needs a timer that can be early for it; …", {}, False),
                ("needs userfaultfd(2); this host answers Operation not permitted", {}, False),
                ("nobody knows", {"cpus_online": 1, "cpu": "i486", "kernel": "6.1.0"}, True)):
            with self.subTest(reason, host=host):
                change = self.one({}, {"verdict": "skip", "reason": reason}, **host)
                self.assertEqual(change.worse, worse)
                self.assertEqual(change.notes[0], f"reason: {reason}")

    def test_vanished_capability(self):
        capabilities = {"KVM_CAP_HLT": 1, "KVM_CAP_NR_VCPUS": 1, "KVM_CAP_XCRS": 1}
        reason = "needs KVM_CAP_IMMEDIATE_EXIT; this host answers 0"
        base = directory(record("a/x"))
        new = directory(record("a/x", "skip", reason=reason), capabilities=capabilities)
        comparison = compared(base, new)
        self.assertEqual([(c.category, c.name, c.base, c.new, c.worse) for c in comparison.changes], [
            ("host", "KVM_CAP_IMMEDIATE_EXIT", 1, None, True),
            ("host", "KVM_CAP_NR_VCPUS", 2, 1, False),
            ("host", "KVM_CAP_XCRS", None, 1, False),
            ("newly_skipped", "a/x", "pass", "skip", True)])
        self.assertIn("KVM_CAP_IMMEDIATE_EXIT vanished: it was 1", comparison.changes[-1].notes)
        self.assertEqual(changes.summary(comparison), "Worse: 1 capability gone, 1 newly skipped.")
        other = directory(record("a/x"), capabilities=capabilities, cpu="i486")
        self.assertEqual(compared(base, other).worse, [], "another CPU may lack what it needs")

    def test_hosts(self):
        new = directory(record("a/x"), kernel="6.13.1", module_parameters={"kvm.halt_poll_ns": "0"},
                        started="2026-01-01T00:00:00Z", timeout_scale=2.0, command=["x"],
                        lab={"cpus": 2, "boots": 3, "modparams": [], "package": "linux-image"})
        comparison = compared(directory(record("a/x")), new)
        self.assertEqual([(c.name, c.base, c.new) for c in comparison.changes], [
            ("kernel", "6.12.1-test", "6.13.1"), ("kvm.halt_poll_ns", "200000", "0"),
            ("lab.cpus", None, 2), ("lab.package", None, "linux-image")])

    def test_added_and_removed(self):
        base = directory(record("a/x"), record("a/gone"), record("b/x"), record("b/y", "skip"))
        new = directory(record("a/x"), record("a/fails", "fail"))
        comparison = compared(base, new)
        self.assertEqual([(c.category, c.name, c.base, c.new, c.worse) for c in comparison.changes], [
            ("added", "a/fails", None, "fail", False), ("removed", "a/gone", "pass", None, False),
            ("removed", "b/x", "pass", None, False), ("removed", "b/y", "skip", None, False)])
        text = compare.as_text(comparison)
        self.assertIn("\nremoved: 3\n  a/gone: pass\n  b/*: 2 cases\n", text)
        self.assertIn("\nadded: 1\n  a/fails: fail\n", text)

    def test_repeats(self):
        base = directory(*(record(f"a/x/{n}", filter="a/x") for n in range(1, 4)))
        new = directory(record("a/x/1", filter="a/x"), record("a/x/3", filter="a/x"),
                        record("a/x/2", "fail", filter="a/x", got="this"))
        change, = compared(base, new).changes
        self.assertEqual((change.category, change.name, change.base, change.new, change.worse),
                         ("newly_failing", "a/x", "pass", "fail (1 of 3)", True))
        self.assertEqual(change.notes, ("got: this",))

    def test_run_that_ended_early(self):
        whole = directory(record("a/x"), tap="TAP version 13\n1..1\nok 1 - a/x\n")
        tap = "TAP version 13\n1..2\nok 1 - a/x\n"
        for last, why in (("", "after 1 of 2 cases"), ("Bail out! It burns\n", "It burns")):
            part = directory(record("a/x"), tap=tap + last)
            self.assertEqual(runs.load(part).stopped, why)
            change, = compared(whole, part).changes
            self.assertEqual((change.category, change.worse), ("ended_early", True))
            self.assertIn(why, compare.as_text(compared(whole, part)))
            self.assertEqual(compared(part, whole).worse, [])
            self.assertEqual(compared(part, part).changes, [])


class Timing(unittest.TestCase):
    def timed(self, before: dict, after: dict, **host) -> list[str]:
        comparison = compared(directory(record("a/x", measurements=[before])),
                              directory(record("a/x", measurements=[after]), **host))
        return [change.category for change in comparison.changes if change.category != "host"]

    def test_slower_and_faster(self):
        before, after = measurement(17000, 12000), measurement(51000, 12000, seed=2)
        self.assertEqual(self.timed(before, after), ["slower"])
        self.assertEqual(self.timed(after, before), ["faster"])

    def test_the_same(self):
        for seed in range(20):
            self.assertEqual(self.timed(measurement(17000, 12000, seed=seed),
                                        measurement(17000, 12000, seed=seed + 100)), [])

    def test_members_that_nobody_knows_yet(self):
        """Readers must ignore them."""
        before = measurement(17000, 12000) | {"unit": "ns"}
        before["value"]["mode"] = 1
        self.assertEqual(self.timed(before, before), [])

    def test_little(self):
        """Significant, and not worth a word."""
        self.assertEqual(self.timed(measurement(17000, 12000, 0.05, 4000),
                                    measurement(23500, 12000, 0.05, 4000, seed=2)), [])

    def test_few_samples_that_differ_much(self):
        self.assertEqual(self.timed(measurement(17000, 12000, count=19),
                                    measurement(51000, 12000, count=19, seed=2)), [])

    def test_slower_machine(self):
        self.assertEqual(self.timed(measurement(17000, 12000), measurement(51000, 36000, seed=2)), [])

    def test_baseline_alone(self):
        self.assertEqual(self.timed(measurement(17000, 12000), measurement(17000, 4000, seed=2)), [])

    def test_noisy(self):
        before, after = measurement(17000, 12000), measurement(51000, 12000, seed=2)
        self.assertEqual(self.timed(before, after | {"noisy": True}), [])
        self.assertEqual(self.timed(before | {"noisy": True}, after), [])

    def test_what_has_little_to_do_with_its_baseline(self):
        self.assertEqual(self.timed(measurement(60000, 12000), measurement(600000, 12000, seed=2)), [])

    def test_what_may_wait_for_something_else(self):
        before, after = measurement(17000, 12000), measurement(51000, 12000, seed=2)
        self.assertEqual(self.timed(before | {"limit": 8.0}, after | {"limit": 8.0}), ["slower"])
        self.assertEqual(self.timed(before | {"limit": 80.0}, after | {"limit": 80.0}), [])

    def test_what_varies_by_itself(self):
        wide = measurement(40000, 12000, 1) | {"baseline": measurement(40000, 12000)["baseline"]}
        self.assertEqual(self.timed(wide, measurement(900000, 12000, seed=2)), [])

    def test_other_machines(self):
        before, after = measurement(17000, 12000), measurement(51000, 12000, seed=2)
        for host in ({"cpu": "i486"}, {"engine": "tcg-amd"}):
            self.assertEqual(self.timed(before, after, **host), [])
        self.assertEqual(self.timed(before, after, kernel="6.13.1"), ["slower"])

    def test_lost(self):
        """A look that lost a kick leaves a measurement without samples."""
        none = dict.fromkeys(("count", "min", "p10", "p50", "p90", "p99", "max"), 0) | {"histogram": []}
        nothing = measurement(1000, 1000) | {"value": none, "baseline": none}
        self.assertEqual(self.timed(nothing, measurement(1000, 1000)), [])

    def test_many_comparisons(self):
        """What one measurement in a few hundred does by chance is no news if there are many."""
        p = timing.ALPHA / 4
        fences = [timing.Trial(str(n), ([], []), ([], []), (1,), 1, ("", ""), (1, 1), (True, True))
                  for n in range(10)]
        original, timing.mann_whitney = timing.mann_whitney, lambda *_: p
        self.addCleanup(setattr, timing, "mann_whitney", original)
        self.assertEqual(len(timing.judge(fences[:1])), 1)
        self.assertEqual(len(timing.judge(fences)), 0)

    def test_mann_whitney(self):
        """Beside the exact probability: all ways to draw the second set, ties counting half."""
        first, second = [1, 2, 2, 3, 5, 5, 6], [2, 4, 5, 6, 7, 7, 8]

        def u(chosen, rest):
            return sum((b > a) + (a == b) / 2 for a in rest for b in chosen)
        pooled = first + second
        seen = u(second, first)
        draws = [u([pooled[i] for i in chosen],
                   [pooled[i] for i in range(len(pooled)) if i not in chosen])
                 for chosen in map(set, itertools.combinations(range(len(pooled)), len(second)))]
        exact = sum(draw >= seen for draw in draws) / len(draws)
        found = timing.mann_whitney([(v, 1) for v in first], [(v, 1) for v in second])
        self.assertAlmostEqual(found, exact, delta=0.005)
        self.assertAlmostEqual(timing.mann_whitney([(1, 3), (2, 2)], [(1, 3), (2, 2)]), 0.5, delta=0.1)
        self.assertEqual(timing.mann_whitney([(1, 5)], [(1, 5)]), 1)

    def test_seconds_of_repeated_cases(self):
        def repeated(**seconds: float) -> Path:
            source = random.Random(1)
            return directory(*(record(f"a/{name}/{n}", filter=f"a/{name}",
                                      seconds=of * source.lognormvariate(0, 0.2))
                               for name, of in seconds.items() for n in range(20)))
        before = repeated(x=0.01, y=0.01, z=0.01)
        after = compared(before, repeated(x=0.05, y=0.01, z=0.01))
        self.assertEqual([(c.category, c.name) for c in after.changes], [("slower_case", "a/x")])
        self.assertEqual(after.worse, [], "there is no baseline beside it")
        self.assertEqual(compared(before, repeated(x=0.05, y=0.05, z=0.05)).changes, [], "slower machine")


class Sources(unittest.TestCase):
    """Where runs come from, and what is wrong with them."""

    def setUp(self):
        self.run = directory(record("a/x"), record("a/y", "fail"))

    def refuse(self, source: object, says: str):
        done = report("compare", source, self.run)
        self.assertEqual((done.returncode, done.stdout), (CANNOT_RUN, ""))
        line, = done.stderr.splitlines()
        self.assertIn(says, line)

    def archive(self, name: str, *members: Path) -> Path:
        path = scratch() / name
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w") as archive:
                for member in members:
                    for file in member.iterdir():
                        archive.write(file, f"{member.name}/{file.name}")
        else:
            compression = name.rpartition(".")[2].replace("tar", "")
            with tarfile.open(path, f"w:{compression}") as archive:  # type: ignore[call-overload]
                for member in members:
                    archive.add(member, member.name)
        return path

    def test_archives(self):
        for name in ("run.tar", "run.tar.gz", "run.tar.xz", "run.zip"):
            with self.subTest(name):
                done = report("compare", self.archive(name, self.run), self.run)
                self.assertEqual((done.returncode, done.stderr), (PASS, ""))
                self.assertIn("2 cases end as they did", done.stdout)

    def test_damaged_archives(self):
        (self.run / "noise").write_bytes(random.Random(1).randbytes(50000))
        for name in ("run.tar", "run.tar.gz", "run.tar.xz", "run.zip"):
            path = self.archive(name, self.run)
            path.write_bytes(path.read_bytes()[:20000])
            with self.subTest(name):
                self.refuse(path, "damaged")

    def test_damaged_member(self):
        path = self.archive("run.zip", self.run)
        data = bytearray(path.read_bytes())
        at = data.index(b'"case"')
        data[at:at + 6] = b"'oops'"
        path.write_bytes(data)
        self.refuse(path, "is damaged: Bad CRC-32")

    def test_archive_of_two(self):
        self.refuse(self.archive("runs.tar", self.run, directory()), "holds 2 runs")

    def test_archive_of_something_else(self):
        other = scratch()
        (other / "x").write_text("x")
        self.refuse(self.archive("x.tar", other), "is no run: it has no host.json")

    def test_nothing_there(self):
        self.refuse("banana", "there is no run banana: no directory, no archive, and no baseline")
        self.refuse("", "there is no run")

    def test_other_files(self):
        self.refuse(TOP / "Makefile", "is no directory and no archive")
        self.refuse(scratch(), "is no run: it has no host.json")

    def test_missing_file(self):
        (self.run / "cases.jsonl").unlink()
        self.refuse(self.run, "is no run: it has no cases.jsonl")

    def test_cut_off(self):
        with open(self.run / "cases.jsonl", "a") as file:
            file.write('{"schema": 1, "ca')
        self.refuse(self.run, "cases.jsonl ends in the middle of line 3: the run was cut off, or is")

    def test_bad_records(self):
        for line, says in (("banana", "cases.jsonl:1 is no JSON"),
                           ("[]", "cases.jsonl:1 is no JSON object"),
                           ('{"case": "a/x"}', "cases.jsonl:1 is no record: it has no 'verdict'"),
                           ('{"case": "a/x", "verdict": "good"}', "its verdict is 'good'"),
                           ('{"case": 5, "verdict": "pass"}', "its case is 5"),
                           ('{"schema": 7}', "has schema version 7, and this program reads 1")):
            (self.run / "cases.jsonl").write_text(line + "\n")
            with self.subTest(line):
                self.refuse(self.run, says)

    def test_bad_hosts(self):
        for text, says in (("", "host.json is no JSON"), ('{"schema": 2}', "has schema version 2"),
                           ("{}", "host.json has no engine")):
            (self.run / "host.json").write_text(text)
            with self.subTest(text):
                self.refuse(self.run, says)

    def test_no_base(self):
        done = support.run("/usr/bin/make", "compare", cwd=TOP)
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("BASE=run is missing", done.stderr)


class Formats(unittest.TestCase):
    def setUp(self):
        self.base = directory(record("a/x"), record("a/y"))
        self.new = directory(record("a/x", "fail", expected="EEXIST", got="`rm` | <b>\nEINVAL"),
                             record("a/y"))

    def test_text(self):
        done = report("compare", self.base, self.new)
        self.assertEqual((done.returncode, done.stderr), (WORSE, ""))
        self.assertEqual(done.stdout.splitlines(), [
            f"BASE {self.base}: kvm_amd, Linux 6.12.1-test, EPYC, engine host, 2 cases",
            f"NEW  {self.new}: kvm_amd, Linux 6.12.1-test, EPYC, engine host, 2 cases", "",
            "newly failing: 1, 1 worse", "  WORSE a/x: pass → fail", "      expected: EEXIST",
            "      got: `rm` | <b>", "      EINVAL", "",
            "1 case ends as it did. Worse: 1 newly failing."])

    def test_markdown(self):
        done = report("compare", self.base, self.new, "--format=markdown")
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "**Worse: 1 newly failing.** 1 case ends as it did.")
        self.assertEqual(lines[5:], [
            "### Newly failing: 1, 1 worse", "", "- **worse** `a/x`: pass → fail",
            "  - `expected: EEXIST`", "  - `` got: `rm` | <b> EINVAL ``"])

    def test_json(self):
        output = scratch() / "changes.json"
        done = report("compare", self.base, self.new, "--format=json", f"--output={output}")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (WORSE, "", ""))
        found = json.loads(output.read_text())
        self.assertEqual(found["changes"], [{
            "category": "newly_failing", "name": "a/x", "base": "pass", "new": "fail", "worse": True,
            "notes": ["expected: EEXIST", "got: `rm` | <b>\nEINVAL"]}])
        self.assertEqual((found["schema"], found["worse"], found["unchanged"]), (1, True, 1))
        self.assertEqual(found["new"], {"name": str(self.new), "host": HOST, "cases": 2, "stopped": ""})

    def test_output_that_cannot_be_written(self):
        done = report("compare", self.base, self.new, "--output=/nowhere/x")
        self.assertEqual((done.returncode, done.stderr),
                         (CANNOT_RUN, "report: cannot write /nowhere/x: No such file or directory\n"))


class Baselines(unittest.TestCase):
    def setUp(self):
        original, runs.BASELINES = runs.BASELINES, scratch()
        self.addCleanup(setattr, runs, "BASELINES", original)
        self.addCleanup(setattr, baselines, "BASELINES", baselines.BASELINES)
        baselines.BASELINES = runs.BASELINES

    def written(self, *args, **options) -> dict[str, str]:
        name = baselines.write_one(runs.load(directory(*args, **options))).partition(":")[0]
        files = (runs.BASELINES / name).iterdir()
        return {file.name: file.read_text() for file in files} | {"name": name}

    def test_names(self):
        for name, host in (("tcg-amd-6.1", {"engine": "tcg-amd", "kernel": "6.1.0-56-cloud-amd64"}),
                           ("bochs-intel-6.12", {"engine": "bochs-intel", "vendor": "kvm_intel"}),
                           ("tcg-amd-kvm_intel-6.12", {"engine": "tcg-amd", "vendor": "kvm_intel"}),
                           ("host-kvm_amd-6.12", {})):
            self.assertEqual(baselines.name_of(runs.load(directory(**host))), name)

    def test_small_and_stable(self):
        first = self.written(
            record("b/fails", "fail", expected="x", got="killed after 0.5 s", registers={"rip": "0x1"}),
            record("a/passes", ioctls={"KVM_RUN": {"ok": 1}}), started="2026-01-01T00:00:00Z",
            timeout_scale=1.0, command=["x"])
        self.assertEqual(first["cases.jsonl"].splitlines(), [
            '{"case": "a/passes", "verdict": "pass"}',
            '{"case": "b/fails", "verdict": "fail", "expected": "x", "got": "killed after N s"}'])
        again = self.written(
            record("a/passes", seconds=9),
            record("b/fails", "fail", expected="x", got="killed after 0.7 s"),
            started="2026-01-02T00:00:00Z", timeout_scale=2.0, command=["y"],
            capabilities=dict(reversed(HOST["capabilities"].items())))
        self.assertEqual(first, again)

    def test_what_it_is_made_of_is_as_it(self):
        run = directory(record("a/x", "known", reason="killed after 0.5 s", got="pid 12"),
                        record("a/y"))
        name = baselines.write_one(runs.load(run)).partition(":")[0]
        self.assertEqual(compared(runs.BASELINES / name, run).changes, [])

    def test_unusual_runs(self):
        for why, host in (("modparams", {"lab": {"modparams": ["kvm_amd.npt=0"]}}),
                          ("modules", {"lab": {"modules": [{"file": "kvm.ko"}]}}),
                          ("kvm_config", {"lab": {"kvm_config": ["KVM_SMM=n"], "modules": [{"file": "kvm.ko"}]}}),
                          ("cpus", {"lab": {"cpus": 2}}), ("cpu", {"lab": {"cpu": "-xsave"}}),
                          ("cmdline", {"lab": {"cmdline": "nosmp"}})):
            with self.assertRaisesRegex(runs.ReportError, f"was run with {why} "):
                self.written(record("a/x"), **host)
        with self.assertRaisesRegex(runs.ReportError, "ended early"):
            self.written(record("a/x"), tap="TAP version 13\n1..2\nok 1 - a/x\n")
        self.assertEqual(list(runs.BASELINES.iterdir()), [])

    def test_two_for_one(self):
        done = report("baseline", "write", directory(kernel="6.66.6"), directory(kernel="6.66.7"))
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("2 of these runs would be the baseline host-kvm_amd-6.66", done.stderr)

    def test_no_baseline(self):
        done = report("baseline", "check", directory(record("a/x", "fail"), kernel="6.66.6"))
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (PASS, "There is no baseline host-kvm_amd-6.66: nothing to compare with.\n",
                          ""))


class Committed(unittest.TestCase):
    """The baselines that there are."""

    def test_they_are_as_they_would_be_written(self):
        self.assertTrue(runs.baseline_names())
        for name in runs.baseline_names():
            run = runs.load(name)
            with self.subTest(name):
                self.assertEqual(baselines.name_of(run), name)
                lines = (runs.BASELINES / name / "cases.jsonl").read_text().splitlines()
                self.assertEqual(lines, [json.dumps(baselines.line_of(case), ensure_ascii=False)
                                         for _, case in sorted(run.cases.items())])
                self.assertEqual(json.loads((runs.BASELINES / name / "host.json").read_text()),
                                 baselines.host_of(run))

    def test_worse_than_a_baseline(self):
        name = runs.baseline_names()[0]
        run = scratch() / "run"
        shutil.copytree(runs.BASELINES / name, run)
        done = report("baseline", "check", run)
        self.assertEqual(done.returncode, PASS)
        self.assertRegex(done.stdout, rf"^Baseline {name}: \d+ cases end as they did. Nothing is worse")
        records = (run / "cases.jsonl").read_text()
        (run / "cases.jsonl").write_text(records.replace('"verdict": "pass"', '"verdict": "fail"', 1))
        done = report("baseline", "check", run)
        self.assertEqual(done.returncode, WORSE)
        self.assertIn("Worse: 1 newly failing.", done.stdout)


@unittest.skipUnless(os.access("/dev/kvm", os.R_OK | os.W_OK), "this host has no usable KVM")
class ThisHost(unittest.TestCase):
    """Real runs, of a KVM that a shim under the program makes differ."""

    def kvmspec(self, *filters: str, shim: str = "") -> Path:
        out = scratch() / "results"
        done = support.run(SHIM, f"--out={out}", *filters, timeout=200,
                           env=support.environment(KVMSPEC_SHIM=shim))
        # one that fails by itself, on a host with no time for it, would be taken for a change
        self.assertIn(done.returncode, (0, 1) if shim else (0,), done.stdout + done.stderr)
        return out

    def test_unchanged(self):
        base, new = (self.kvmspec("creation", "signals", "kick_latency") for _ in range(2))
        self.assertEqual(compared(base, new).changes, [])

    def test_case_that_fails(self):
        base, new = self.kvmspec("creation"), self.kvmspec("creation", shim="break")
        change, = compared(base, new).changes
        self.assertEqual((change.category, change.name, change.base, change.new, change.worse),
                         ("newly_failing", "creation/vcpu_id_in_use_is_refused", "pass", "fail", True))
        self.assertEqual(change.notes, ("expected: KVM_CREATE_VCPU fails with EEXIST",
                                        "got: it fails with EINVAL (Invalid argument)"))
        change, = compared(new, base).changes
        self.assertEqual((change.category, change.worse), ("fixed", False))

    def test_hidden_capability(self):
        base, new = (self.kvmspec("immediate_exit", "signals", shim=shim) for shim in ("", "hide"))
        comparison = compared(base, new)
        needs = {case.name for case in runs.load(new).cases.values() if case.verdict == "skip"}
        self.assertGreater(len(needs), 20)
        self.assertEqual({(c.category, c.name, c.worse) for c in comparison.changes},
                         {("host", "KVM_CAP_IMMEDIATE_EXIT", True),
                          ("newly_failing", "immediate_exit/is_reported", True),
                          *(("newly_skipped", name, True) for name in needs)})
        for change in comparison.of("newly_skipped"):
            self.assertEqual(change.notes, ("reason: needs KVM_CAP_IMMEDIATE_EXIT; this host answers 0",
                                            "KVM_CAP_IMMEDIATE_EXIT vanished: it was 1"))

    def test_slower_kick(self):
        """By less than its limit has room for: the verdicts stay."""
        slow = ["kick_latency/immediate_exit_spinning", "kick_latency/signal_mask_spinning"]
        cases = [*slow, "kick_latency/irqfd_halted"]  # no signal ends this one
        for _ in range(20):  # if the machine is noisy just now
            base = self.kvmspec(*cases)
            delay = 3 * min(runs.load(base).cases[case].record.measurements[0].value.p10
                            for case in slow)
            new = self.kvmspec(*cases, shim=f"delay={delay}")
            trials = timing.kick_trials(runs.load(base), runs.load(new))
            if sum(t.name in slow and t.reference[0] and max(t.speeds) < 1.7
                   and min(t.speeds) > 0.6 for t in trials) == len(slow):
                break
        else:
            self.skipTest("this machine was too noisy at each of 20 looks")
        self.assertEqual([(c.category, c.name, c.worse) for c in compared(base, new).changes],
                         [("slower", case, True) for case in slow])
        self.assertEqual(compared(new, base).worse, [])

    def test_baselines_of_two_runs_are_the_same(self):
        first, second = (self.kvmspec("creation", "registers") for _ in range(2))
        lines = [[baselines.line_of(case) for _, case in sorted(runs.load(run).cases.items())]
                 for run in (first, second)]
        self.assertEqual(*lines)
        self.assertEqual(*(baselines.host_of(runs.load(run)) for run in (first, second)))


if __name__ == "__main__":
    unittest.main()
