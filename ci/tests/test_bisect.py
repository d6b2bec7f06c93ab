# SPDX-License-Identifier: MIT
"""
Bisection: what counts as good and bad, how often a step is repeated, the search, what is kept. No
boots and no kernels: a stub stands for the lab, whose kernels say themselves how they behave.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import unittest
from pathlib import Path

from lab import CANNOT_RUN, INTERRUPTED, TOP, image, support
from bisection import arguments, builder, candidates, inquiry, question, state, statistics
from bisection.question import Answer
from laboratory import common
from laboratory.kernels import Package

scratch = support.scratch
GOOD, BAD, CANNOT_TELL = Answer.GOOD, Answer.BAD, Answer.CANNOT_TELL
CASE = "creation/vcpu_id_in_use_is_refused"


def record(verdict: str, case: str = "a/b", number: int = 0, **members) -> dict:
    """As one of cases.jsonl; number: of its round."""
    rounds = {"case": f"{case}/{number}", "filter": case} if number else {"case": case}
    return {"schema": 1, **rounds, "verdict": verdict, **members}


def results(*records: dict, log: str = "") -> Path:
    out = scratch()
    (out / "cases.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    (out / "kernel.log").write_text(log)
    return out


class Statistics(unittest.TestCase):
    def test_interval(self):
        """Clopper and Pearson's, from tables."""
        self.assertAlmostEqual(statistics.lowest_rate(7, 30, 0.025), 0.0993, 4)
        self.assertAlmostEqual(statistics.lowest_rate(1, 10, 0.025), 0.0025, 4)
        self.assertAlmostEqual(statistics.lowest_rate(30, 30, 0.025), 0.025 ** (1 / 30), 6)
        self.assertEqual(statistics.lowest_rate(0, 30, 0.025), 0)

    def test_thousands_of_runs(self):
        self.assertAlmostEqual(statistics.lowest_rate(1000, 4000, 0.025), 0.2366, 3)

    def test_rounds(self):
        self.assertEqual(statistics.rounds_needed(0.25, 0.001), 25)  # 0.75^24 is 0.001003
        self.assertEqual(statistics.rounds_needed(1, 0.001), 1)

    def test_whole_bisection(self):
        """A fault of the measured rate is taken for good in no step, as often as was promised."""
        rounds, rate = statistics.rounds_for_each(10, 40, 0.999, 5)
        self.assertLess(rate, 0.25)
        self.assertLessEqual(5 * (1 - rate) ** rounds, 0.0005)
        self.assertGreater(5 * (1 - rate) ** (rounds - 1), 0.0005)

    def test_none_was_bad(self):
        self.assertAlmostEqual(statistics.highest_rate(30, 0.001), 0.2057, 4)


class Questions(unittest.TestCase):
    def check(self, asked: question.Question, **expected: Answer) -> None:
        for verdict, answer in expected.items():
            self.assertEqual(asked.answer(record(verdict)), answer, verdict)

    def test_fails(self):
        self.check(question.make("fails", ""), **{"pass": GOOD}, fail=BAD, known=BAD,
                   skip=CANNOT_TELL, error=CANNOT_TELL)

    def test_skips(self):
        self.check(question.make("skips", ""), **{"pass": GOOD}, fail=GOOD, known=GOOD, skip=BAD,
                   error=CANNOT_TELL)

    def changes(self, *reference: dict) -> question.Question:
        asked = question.make("changes", "")
        self.assertTrue(asked.needs_reference())
        asked.learn(list(reference))
        self.assertFalse(asked.needs_reference())
        return asked

    def test_changes(self):
        asked = self.changes(record("fail", got="EIO", seconds=1))
        self.assertEqual(asked.answer(record("fail", got="EIO", seconds=2)), GOOD)
        self.assertEqual(asked.answer(record("fail", got="EPERM")), BAD)
        self.check(asked, **{"pass": BAD}, skip=BAD, error=CANNOT_TELL)

    def test_changes_of_what_varies(self):
        """What differs among GOOD's own rounds says nothing elsewhere; the rest still does."""
        asked = self.changes(record("fail", got="after 3 us", at="a.c:1", number=1),
                             record("fail", got="after 4 us", at="a.c:1", number=2))
        self.assertEqual(asked.answer(record("fail", got="after 5 us", at="a.c:1")), GOOD)
        self.assertEqual(asked.answer(record("fail", got="after 3 us", at="a.c:2")), BAD)

    def test_changes_without_a_steady_verdict(self):
        asked = self.changes(record("fail", number=1), record("pass", number=2))
        self.check(asked, **{"pass": CANNOT_TELL}, fail=CANNOT_TELL)

    def measured(self, p50: float, ratio: float, count: int = 64, noisy: bool = False) -> dict:
        value = {"count": count, "p50": p50}
        return record("pass", measurements=[{"value": value, "baseline": value, "ratio": ratio,
                                             "noisy": noisy}])

    def test_slower(self):
        asked = question.make("slower-than", "40us")
        self.assertEqual(asked.answer(self.measured(40_000, 9)), GOOD)
        self.assertEqual(asked.answer(self.measured(40_001, 1)), BAD)
        self.assertEqual(asked.answer(self.measured(90_000, 1, count=0)), CANNOT_TELL)
        self.check(asked, **{"pass": CANNOT_TELL}, error=CANNOT_TELL)

    def test_slower_than_its_baseline(self):
        asked = question.make("slower-than", "2.5x")
        self.assertEqual(asked.answer(self.measured(9e9, 2.5)), GOOD)
        self.assertEqual(asked.answer(self.measured(1, 2.6)), BAD)
        self.assertEqual(asked.answer(self.measured(1, 2.6, noisy=True)), CANNOT_TELL)

    def test_bad_questions(self):
        for text, says in (("banana", "there is no question «banana»"), ("fails=1", "no question"),
                           ("slower-than", "no question"), ("slower-than=fast", "«fast» is no limit"),
                           ("slower-than=0us", "no limit"), ("logs=(", "no regular expression")):
            with self.assertRaisesRegex(common.LabError, says):
                arguments.parse_question(text)


class Observations(unittest.TestCase):
    def observe(self, out: Path, rounds: int = 1, cases: tuple[str, ...] = ("a/b",), asked: str = "fails"):
        return question.observe(arguments.parse_question(asked), list(cases), rounds, out)

    def test_rounds(self):
        seen = self.observe(results(record("pass", number=1), record("fail", number=2, got="EIO"),
                                    record("error", number=3, reason="time-out"), record("pass", "a/c", 1)), 4)
        self.assertEqual(seen.answers, [GOOD, BAD, CANNOT_TELL, CANNOT_TELL])
        self.assertEqual(seen.verdicts, {"pass": 1, "fail": 1, "error": 1})
        self.assertEqual(seen.why, "ERROR of a/b/3: time-out")
        self.assertEqual((seen.bad_cases, seen.example["got"]), (("a/b",), "EIO"))

    def test_several_cases(self):
        both = ("a/b", "a/c")
        self.assertEqual(self.observe(results(record("pass"), record("pass", "a/c")), 1, both).answers, [GOOD])
        self.assertEqual(self.observe(results(record("error"), record("fail", "a/c")), 1, both).answers, [BAD])
        seen = self.observe(results(record("pass"), record("skip", "a/c", reason="no CAP")), 1, both)
        self.assertEqual((seen.answers, seen.why), ([CANNOT_TELL], "a/c is skipped: no CAP"))

    def test_nothing_ran(self):
        seen = self.observe(scratch())
        self.assertEqual((seen.answers, seen.why), ([CANNOT_TELL], "a/b did not run"))

    def test_log(self):
        log = "[ 1.0] Linux\n[ 2.0] WARNING: CPU: 0 at arch/x86/kvm\n"
        seen = self.observe(results(record("pass"), log=log), 1, asked="logs=WARNING.*kvm")
        self.assertEqual((seen.answers, len(seen.example["kernel_log"])), ([BAD], 1))
        self.assertEqual(self.observe(results(record("pass"), log=log), asked="logs=BUG").answers, [GOOD])

    def test_log_of_a_boot_that_did_not_come_to_the_case(self):
        self.assertEqual(self.observe(results(log="x"), asked="logs=BUG").answers, [CANNOT_TELL])
        self.assertEqual(self.observe(results(record("error"), log="x"), asked="logs=BUG").answers, [CANNOT_TELL])

    def test_decision(self):
        def decide(*answers: Answer) -> Answer:
            return inquiry.decide(question.Observed(list(answers), {}), len(answers))
        self.assertEqual(decide(GOOD, GOOD), GOOD)
        self.assertEqual(decide(GOOD, BAD, CANNOT_TELL), BAD)
        self.assertEqual(decide(GOOD, CANNOT_TELL), CANNOT_TELL, "fewer good rounds than are needed")


class Search(unittest.TestCase):
    def test_always_the_neighbours(self):
        """Whatever changed, and whatever cannot tell: the range left is as narrow as it can be."""
        generator = random.Random(1)
        for _ in range(500):
            last = generator.randrange(1, 30)
            first_bad = generator.randrange(1, last + 1)
            untestable = {i for i in range(1, last) if generator.random() < 0.3}
            asked: list[int] = []

            def ask(i: int) -> Answer:
                asked.append(i)
                return CANNOT_TELL if i in untestable else BAD if i >= first_bad else GOOD

            good, bad = candidates.search(last, ask)
            self.assertEqual(good, max(i for i in range(first_bad) if i not in untestable))
            self.assertEqual(bad, min(i for i in range(first_bad, last + 1) if i not in untestable))
            self.assertEqual(len(asked), len(set(asked)), "none is asked twice")
            if not untestable:
                self.assertLessEqual(len(asked), candidates.steps_of(last + 1))

    def test_steps(self):
        self.assertEqual([candidates.steps_of(n) for n in (2, 3, 4, 5, 6, 17)], [0, 1, 2, 2, 3, 4])


class Packages(unittest.TestCase):
    VERSIONS = ["6.1.192-2", "6.12.9-1", "6.12.43-1~bpo12+1", "6.12.90-1~bpo12+1", "6.12.90-2~bpo12+1",
                "6.12.100-1", "6.12.100-1+b1"]

    def setUp(self):
        self.packages = [Package(f"linux-image-{v.partition('-')[0]}+deb12-cloud-amd64", v, [])
                         for v in self.VERSIONS]

    def versions(self, good: str, bad: str) -> list[str]:
        return [p.version for p in candidates.between(good, bad, self.packages)]

    def test_order(self):
        """dpkg's: 6.12.9 before 6.12.43, a backport before what it is made from."""
        mixed = random.Random(1).sample(self.packages, len(self.packages))
        self.assertEqual([p.version for p in candidates.in_order(mixed)], self.VERSIONS)
        backport, original = (Package("x", v, []) for v in ("6.12.94-1~bpo12+1", "6.12.94-1"))
        self.assertEqual(candidates.in_order([original, backport]), [backport, original])

    def test_range(self):
        self.assertEqual(self.versions("6.12.9", "6.12.43"), self.VERSIONS[1:3])

    def test_backwards(self):
        self.assertEqual(self.versions("6.12.43", "6.12.9"), self.VERSIONS[2:0:-1])

    def test_version_that_several_have(self):
        self.assertEqual(self.versions("6.12.90", "6.12.100"), self.VERSIONS[3:])
        self.assertEqual(self.versions("6.12.90-2~bpo12+1", "6.12.100-1"), self.VERSIONS[4:])

    def test_series_is_its_newest(self):
        self.assertEqual(self.versions("6.1", "6.12"), self.VERSIONS)

    def test_no_such_version(self):
        with self.assertRaisesRegex(common.LabError, "no kernel package 6.12.4; there are 6.1.192, 6.12.9"):
            self.versions("6.12.4", "6.12.100")

    def test_same(self):
        with self.assertRaisesRegex(common.LabError, "the same kernel: 6.12.9-1"):
            self.versions("6.12.9", "6.12.9-1")

    def test_metapackage_is_none(self):
        for name in ("linux-image-6.12-cloud-amd64", "linux-image-cloud-amd64"):
            self.assertTrue(candidates.META.fullmatch(name), name)
        self.assertFalse(candidates.META.fullmatch("linux-image-6.12.43+deb12-cloud-amd64"))

    CHANGELOG = """\
linux-signed-amd64 (6.12.90+2) bookworm; urgency=high

  * Sign kernel from linux 6.12.90-2

linux (6.12.90-2) bookworm; urgency=high

  * Two more:
    - KVM: x86: mend
      what broke
    - xfs: nothing

linux (6.12.90-1) bookworm; urgency=high

  * New upstream release:
    - vmxnet: nothing
    https://example.org/ChangeLog-6.12.90 KVM
    - [x86] vmx: mend

linux (6.12.43-1) bookworm; urgency=high

  * KVM: old
"""

    def test_changelog(self):
        found = candidates.entries(self.CHANGELOG, "6.12.43-1", "6.12.90-2")
        self.assertEqual([entry.split()[1] for entry in found], ["(6.12.90-2)", "(6.12.90-1)"])
        self.assertEqual(candidates.about_kvm("\n\n".join(found)),
                         ["KVM: x86: mend what broke", "[x86] vmx: mend"])


class States(unittest.TestCase):
    def step(self, **members) -> state.Step:
        return state.Step(**{"candidate": "c", "role": "step", "answer": BAD, "rounds": 2,
                             "counts": {"good": 1, "bad": 1}, "verdicts": {"pass": 1, "fail": 1},
                             "seconds": 3.5, "out": "steps/01-c", **members})

    def test_kept(self):
        out = scratch()
        one = state.open_for(out, {"case": ["a"]})
        one.steps.append(self.step(example=record("fail")))
        one.result = state.Result(0, "found", "b", "c")
        one.save()
        again = state.open_for(out, {"case": ["a"]})
        self.assertEqual(again, one)
        self.assertIs(again.steps[0].answer, BAD)

    def test_of_other_arguments(self):
        out = scratch()
        state.open_for(out, {"case": ["a"], "bad": "2"}).save()
        with self.assertRaisesRegex(common.LabError, r"another bisection: case was \['a'\] and is \['b'\]\. OUT="):
            state.open_for(out, {"case": ["b"], "bad": "2"})

    def test_damaged(self):
        out = scratch()
        (out / "state.json").write_text('{"schema": 1, "steps"')
        with self.assertRaisesRegex(common.LabError, "state.json is damaged .*begin again"):
            state.open_for(out, {})

    def test_none(self):
        with self.assertRaisesRegex(common.LabError, "is no bisection's directory"):
            state.load(scratch())


class ModulesOnly(unittest.TestCase):
    def test_files(self):
        for files, expected in ((["arch/x86/kvm/x86.c", "virt/kvm/kvm_main.c"], True), ([], True),
                                (["arch/x86/kvm/svm/svm.h"], True), (["arch/x86/kvm/Kconfig"], False),
                                (["arch/x86/kvm/x86.c", "include/linux/kvm_host.h"], False),
                                (["arch/x86/kvmclock.c"], False)):
            self.assertEqual(builder.kvm_only(files), expected, files)


# With a stub for the lab

STUB = '''\
#!/usr/bin/python3
import json, sys, time
from pathlib import Path
options = dict(word[2:].split("=", 1) for word in sys.argv[2:] if word.startswith("--"))
cases = [word for word in sys.argv[2:] if not word.startswith("--")]
out = Path(options["out"])
out.mkdir(parents=True, exist_ok=True)
if "modules" in options:  # of a build
    behaviour, = Path(options["modules"]).glob("lib/modules/*/kernel/kvm.ko")
    words = behaviour.read_text().split() + Path(options["kernel"]).read_bytes().split()
    does = "dies" if b"panics" in words else words[0]
else:
    does = json.loads(Path(sys.argv[0]).with_name("behaviours").read_text()).get(options["kernel"], "pass")
with open(Path(sys.argv[0]).with_name("boots"), "a") as file:
    print(options["kernel"], does, file=file)
if does == "hangs":
    time.sleep(60)
if does == "dies":
    print("kvmspec: the guest's kernel panicked: no more", file=sys.stderr)
    sys.exit(2)
rounds = int(options.get("repeat", 1))
status = 0
with open(out / "cases.jsonl", "w") as file:
    for case in cases:
        for number in range(1, rounds + 1):
            here = does.get(case, "pass") if isinstance(does, dict) else does
            verdict = {"flaky": "pass" if number % 4 else "fail"}.get(here, here)
            status |= verdict in ("fail", "error")
            name = {"case": f"{case}/{number}", "filter": case} if rounds > 1 else {"case": case}
            text = {"fail": {"got": "EIO", "expected": "0"}, "error": {"reason": "time-out"},
                    "skip": {"reason": "no CAP"}}.get(verdict, {})
            print(json.dumps({"schema": 1, **name, "verdict": verdict, **text}), file=file)
sys.exit(status)
'''

# Runs a program of ci/ with the stub in the lab's place, and an engine that is always there.
WRAPPER = '''\
#!/usr/bin/python3
import runpy, sys
from pathlib import Path
sys.path.insert(0, "{top}/ci")
from bisection import commits
from engines import tcg_amd
from laboratory import matrix
matrix.TOP = Path("{stub}")
commits.STEP = Path("{stub}/bisect-step")
tcg_amd.problem = lambda: None
sys.argv[0] = "{top}/ci/{name}"
runpy.run_path(sys.argv[0], run_name="__main__")
'''

MAKEFILE = '''\
allnoconfig:
	@mkdir -p $(O)/arch/x86/boot && cp $(KCONFIG_ALLCONFIG) $(O)/.config
bzImage:
	@echo "$(CC) $(KCFLAGS)" > $(O)/compiler
	@cat image init/main.c > $(O)/arch/x86/boot/bzImage
	@echo whole >> $(O)/builds
modules: $(filter bzImage,$(MAKECMDGOALS))
	@if grep -q slow arch/x86/kvm/x86.c && [ ! -e $(O)/sleeps ]; then touch $(O)/sleeps; $(MAKE) sleeps; fi
	@if grep -q syntax arch/x86/kvm/x86.c; then echo "x86.c:1: error: syntax" >&2; exit 2; fi
	@if grep -q disk arch/x86/kvm/x86.c; then echo "error: No space left on device" >&2; exit 2; fi
	@cat arch/x86/kvm/x86.c > $(O)/kvm.ko
	@echo modules >> $(O)/builds
sleeps:
	@sleep 600
modules_install:
	@mkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.66.0-test/kernel
	@cp $(O)/kvm.ko $(INSTALL_MOD_PATH)/lib/modules/6.66.0-test/kernel
	@touch $(INSTALL_MOD_PATH)/lib/modules/6.66.0-test/modules.order
'''


class Stubbed(unittest.TestCase):
    def setUp(self):
        self.stub, self.cache = scratch(), scratch()
        (self.stub / "ci").mkdir()
        self.behave({})
        for path, text in ((self.stub / "ci/lab", STUB), *(
                (self.stub / name, WRAPPER.format(top=TOP, stub=self.stub, name=name))
                for name in ("bisect", "bisect-step"))):
            path.write_text(text)
            path.chmod(0o755)

    def behave(self, behaviours: dict[str, object]) -> None:
        (self.stub / "ci/behaviours").write_text(json.dumps(behaviours))

    def boots(self) -> list[str]:
        file = self.stub / "ci/boots"
        return file.read_text().splitlines() if file.exists() else []

    def bisect(self, *args: object, status: int = 0, **options) -> str:
        done = support.run(self.stub / "bisect", *args, timeout=600,
                           env=support.environment(KVMSPEC_CACHE=str(self.cache)), **options)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr


class PackageBisection(Stubbed):
    COUNT = 9

    def setUp(self):
        super().setUp()
        versions = [f"6.66.{n}-1" for n in range(1, self.COUNT + 1)]
        self.names = [f"linux-image-6.66.{n}-cloud-amd64" for n in range(1, self.COUNT + 1)]
        (self.cache / "apt").mkdir(parents=True)
        (self.cache / "apt/index.json").write_text(json.dumps(
            [{"name": n, "version": v, "depends": []} for n, v in zip(self.names, versions)]))
        for name, version in zip(self.names, versions):
            root = self.cache / "kernels" / f"{name}_{version}"
            modules = root / "lib/modules/6.66.0-test"
            (root / "boot").mkdir(parents=True)
            modules.mkdir(parents=True)
            image(root / "boot/vmlinuz-6.66.0-test")
            (modules / "modules.dep").write_text("kernel/kvm.ko:\n")
        self.out = scratch() / "out"

    def behave_from(self, first: int, does: str, others: dict[int, str] | None = None) -> None:
        """Kernels do this from number first on."""
        self.behave({name: does for name in self.names[first - 1:]}
                    | {self.names[n - 1]: what for n, what in (others or {}).items()})

    def run_bisect(self, status: int = 0, *more: str, good: int = 1, bad: int = COUNT) -> str:
        return self.bisect("packages", f"--case={CASE}", f"--good=6.66.{good}", f"--bad=6.66.{bad}",
                           f"--out={self.out}", *more, status=status)

    def test_found(self):
        self.behave_from(6, "fail")
        said = self.run_bisect()
        self.assertIn("6.66.6-1 is the first bad one; 6.66.5-1 is good", said)
        self.assertRegex(said, r"9 packages from 6\.66\.1-1 to 6\.66\.9-1: the ends, then about 3 steps")
        self.assertRegex(said, r"got +- +EIO")
        self.assertRegex(said, r"verdict +pass +fail")
        self.assertEqual(len(self.boots()), 2 + 3)
        for step in state.load(self.out).steps:
            self.assertTrue((self.out / step.out / "cases.jsonl").exists(), step)
        for file in ("report.md", "report.txt"):
            self.assertIn("6.66.6-1 is the first bad one", (self.out / file).read_text())

    def test_each_place(self):
        for first in (2, 4, 9):
            self.out = scratch() / "out"
            self.behave_from(first, "fail")
            self.assertIn(f"6.66.{first}-1 is the first bad one; 6.66.{first - 1}-1", self.run_bisect())

    def test_newer_is_good(self):
        self.behave({name: "fail" for name in self.names[:4]})
        said = self.run_bisect(good=9, bad=1)
        self.assertIn("6.66.4-1 is the last bad one; 6.66.5-1 is good", said)

    def test_cannot_tell(self):
        """Neither an ERROR nor a guest that dies is good or bad: what is left is said."""
        self.behave_from(5, "fail", {4: "error", 5: "dies"})
        said = self.run_bisect(1)
        self.assertIn("it changed after 6.66.3-1 and not after 6.66.6-1: 2 packages between them cannot", said)
        self.assertIn("cannot tell: ERROR of", said)
        self.assertIn("cannot tell: the guest's kernel panicked: no more", said)

    def test_no_modules(self):
        self.behave_from(6, "fail")
        package = self.cache / f"kernels/{self.names[4]}_6.66.5-1"
        (package / "lib/modules/6.66.0-test/modules.dep").unlink()
        (package / "lib/modules/6.66.0-test").rmdir()
        said = self.run_bisect(1)
        self.assertIn("it changed after 6.66.4-1 and not after 6.66.6-1", said)
        self.assertIn("holds no modules", said)

    def test_flaky(self):
        self.behave_from(4, "flaky")
        said = self.run_bisect()
        self.assertIn("6.66.4-1 is the first bad one; 6.66.3-1 is good", said)
        found = state.load(self.out)
        self.assertIn("BAD was bad in 30 of 120 rounds", found.plan)
        self.assertGreater(found.rounds, 40)
        self.assertTrue(all(step.rounds == found.rounds for step in found.steps if step.role == "step"))

    def test_bad_is_good(self):
        said = self.run_bisect(1)
        self.assertIn("nothing differs: BAD, linux-image-6.66.9-cloud-amd64 6.66.9-1, is good in all 30", said)
        self.assertRegex(said, r"in more than 20\.6% of them would have been seen, with 99\.9% confidence")
        self.assertEqual(len(self.boots()), 1)

    def test_good_is_bad(self):
        self.behave_from(1, "fail")
        self.assertIn("nothing differs: GOOD, linux-image-6.66.1-cloud-amd64 6.66.1-1, is bad as well",
                      self.run_bisect(1))

    def test_case_that_is_bad_on_both_ends(self):
        """It is left out, and does not count for how often the others are bad."""
        always, at_times = "creation/vm_fd_is_close_on_exec", CASE
        self.behave({name: {always: "fail", at_times: "flaky" if i >= 5 else "pass"}
                     for i, name in enumerate(self.names)})
        said = self.run_bisect(0, "--case=creation")
        self.assertIn("6.66.6-1 is the first bad one; 6.66.5-1 is good", said)
        self.assertIn(f"left out, being bad on GOOD as well: {always}\n", said)
        found = state.load(self.out)
        self.assertEqual(found.cases, [at_times])
        self.assertIn("BAD was bad in 30 of 120 rounds", found.plan)
        found.result, boots = None, len(self.boots())
        found.steps.pop()
        found.save()
        self.run_bisect(0, "--case=creation")
        self.assertEqual(len(self.boots()), boots + 1, "the ends are not asked again")
        self.assertEqual(state.load(self.out).left_out, [always])

    def test_ends_that_cannot_tell(self):
        self.behave_from(9, "skip")
        self.assertIn(f"BAD, {self.names[8]} 6.66.9-1, cannot tell: {CASE}/1 is skipped: no CAP",
                      self.run_bisect(CANNOT_RUN))
        self.behave_from(9, "fail", {1: "error"})  # that was put right
        self.assertIn(f"GOOD, {self.names[0]} 6.66.1-1, cannot tell: ERROR of", self.run_bisect(CANNOT_RUN))
        self.behave_from(9, "fail")
        self.assertIn("6.66.9-1 is the first bad one", self.run_bisect())

    def test_newly_skipped(self):
        self.behave_from(7, "skip")
        self.assertIn("6.66.7-1 is the first bad one", self.run_bisect(0, "--question=skips"))

    def test_changes(self):
        """From a failure to a pass: what GOOD does is what is normal."""
        self.behave_from(1, "fail", {n: "pass" for n in range(3, 10)})
        self.assertIn("6.66.3-1 is the first bad one; 6.66.2-1 is good",
                      self.run_bisect(0, "--question=changes"))

    def test_goes_on(self):
        """Interrupted in its second step, it asks no kernel twice, and refuses other arguments."""
        self.behave_from(6, "fail", {7: "hangs"})
        process = support.start(self.stub / "bisect", "packages", f"--case={CASE}", "--good=6.66.1",
                                "--bad=6.66.9", f"--out={self.out}",
                                env=support.environment(KVMSPEC_CACHE=str(self.cache)))
        support.wait_until(lambda: any("hangs" in boot for boot in self.boots()), "the step that hangs")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, INTERRUPTED, said)
        self.assertIn("the same command goes on", said)
        self.assertEqual(len(self.boots()), 4)
        self.behave_from(6, "fail")
        self.assertIn("is of another bisection: good was '6.66.1' and is '6.66.2'", self.run_bisect(CANNOT_RUN, good=2))
        self.assertIn("going on after 3 steps", self.run_bisect())
        self.assertEqual(len(self.boots()), 4 + 2)
        self.assertIn("this was found before", self.run_bisect())
        self.assertEqual(len(self.boots()), 4 + 2)

    def test_report(self):
        self.behave_from(6, "fail", {4: "dies"})
        self.run_bisect()
        text = self.bisect("report", self.out)
        self.assertEqual(text, (self.out / "report.txt").read_text())
        markdown = self.bisect("report", "--markdown", self.out)
        self.assertEqual(markdown, (self.out / "report.md").read_text())
        self.assertRegex(markdown, r"(?m)^\| got \| - \| EIO \|$")
        self.assertIn("## Steps", markdown)

    def test_bad_input(self):
        self.assertIn("no case matches 'banana'", self.bisect(
            "packages", "--case=banana", "--good=6.66.1", "--bad=6.66.2", status=CANNOT_RUN))
        self.assertIn("there is no engine host that boots", self.run_bisect(CANNOT_RUN, "--engine=host"))
        self.assertIn("--confidence wants a probability", self.run_bisect(CANNOT_RUN, "--confidence=99"))
        self.assertIn("there is no kernel package 6.66.77", self.run_bisect(CANNOT_RUN, bad=77))


class CommitBisection(Stubbed):
    def setUp(self):
        super().setUp()
        self.tree = scratch()
        for name in ("arch/x86/kvm", "init", "fs"):
            (self.tree / name).mkdir(parents=True)
        image(self.tree / "image")
        (self.tree / "Kconfig").touch()
        (self.tree / "Makefile").write_text(MAKEFILE)
        self.git("init", "--quiet")
        self.commit("first", {"init/main.c": " boots ", "arch/x86/kvm/x86.c": "pass", "fs/a": "0"})
        self.out = scratch() / "out"

    def git(self, *arguments: str) -> str:
        done = subprocess.run(["git", "-C", self.tree, "-c", "user.name=A", "-c", "user.email=a@example.org",
                               *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.strip()

    def commit(self, subject: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            (self.tree / name).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", subject)
        return self.git("rev-parse", "HEAD")

    def history(self, fault: str = "fail") -> str:
        """Twelve commits, the eighth of them to be found. Returns it."""
        kvm = "arch/x86/kvm/x86.c"
        self.commit("fs: two", {"fs/a": "2"})
        self.commit("kvm: three", {kvm: "pass 3"})
        self.commit("kvm: four", {kvm: "pass 4"})
        self.commit("kvm: does not build", {kvm: "syntax"})
        self.commit("kvm: builds", {kvm: "pass 6"})
        self.commit("kvm: seven", {kvm: "pass 7"})
        found = self.commit("kvm: the fault", {kvm: fault})
        self.commit("init: does not boot", {"init/main.c": " panics "})
        self.commit("init: boots", {"init/main.c": " boots again "})
        self.commit("kvm: eleven", {kvm: f"{fault} 11"})
        self.commit("fs: twelve", {"fs/a": "12"})
        return found

    def run_bisect(self, status: int = 0, *more: str, good: str = ":/first", bad: str = "HEAD") -> str:
        return self.bisect("commits", f"--tree={self.tree}", f"--case={CASE}", f"--good={good}", f"--bad={bad}",
                           f"--out={self.out}", *more, status=status)

    def test_found(self):
        found = self.history()
        head = self.git("rev-parse", "--abbrev-ref", "HEAD")
        said = self.run_bisect()
        self.assertIn(f"{found[:12]} (kvm: the fault) is the first bad commit", said)
        self.assertRegex(said, r"got +- +EIO")
        self.assertIn("arch/x86/kvm/x86.c | 2 +-", said)
        self.assertEqual(self.git("rev-parse", "--abbrev-ref", "HEAD"), head)
        self.assertEqual(self.git("status", "--porcelain"), "", "the user's tree is as it was")
        steps = state.load(self.out).steps
        self.assertIn(builder.MODULES_ONLY, {step.how for step in steps})
        checked = {step.candidate: step for step in steps if step.how == builder.WHOLE}
        self.assertEqual(checked[found].answer, BAD, "by a whole build")
        self.assertEqual(checked[self.git("rev-parse", f"{found}^")].answer, GOOD)

    def test_flaky(self):
        found = self.history("flaky")
        self.assertIn(f"{found[:12]} (kvm: the fault) is the first bad commit", self.run_bisect())

    def test_cannot_tell(self):
        """What does not build and what does not boot has no answer; with the fault among them, it says so."""
        self.commit("good", {"fs/a": "1"})
        self.commit("does not build", {"arch/x86/kvm/x86.c": "syntax"})
        self.commit("bad", {"arch/x86/kvm/x86.c": "fail"})
        said = self.run_bisect(1)
        self.assertIn("it is one of 2 commits", said)
        self.assertIn("cannot tell: it does not build: x86.c:1: error: syntax", said)

    def test_module_builds_that_lie(self):
        """A whole build has the last word."""
        lies = "@(if [ -e $(O)/new ]; then cat arch/x86/kvm/x86.c; else echo pass; fi; rm -f $(O)/new) >"
        self.commit("lies", {"Makefile": MAKEFILE.replace("@cat arch/x86/kvm/x86.c >", lies).replace(
            "@echo whole", "@touch $(O)/new; echo whole")})
        for number, does in enumerate(("pass", "pass", "fail", "fail", "fail"), 1):
            last = self.commit(f"kvm: {number}", {"arch/x86/kvm/x86.c": f"{does} {number}"})
        said = self.run_bisect(CANNOT_RUN, good=":/kvm: 1")
        self.assertIn(f"git bisect found {last[:12]} (kvm: 5), but a whole build of", said)
        self.assertIn("does not answer good as building only KVM's modules did", said)

    def test_full_disk_stops(self):
        self.commit("good", {"fs/a": "1"})
        self.commit("disk", {"arch/x86/kvm/x86.c": "disk"})
        self.commit("bad", {"arch/x86/kvm/x86.c": "fail"})
        said = self.run_bisect(CANNOT_RUN)
        self.assertIn("the kernel cannot be built: No space left on device", said)
        self.assertIn("git bisect ended with status 128", said)
        self.assertEqual([step.role for step in state.load(self.out).steps], ["bad end", "good end"])

    def processes_at_work(self) -> list[int]:
        """In the worktree or the build."""
        found = []
        for link in Path("/proc").glob("[0-9]*/cwd"):
            try:
                if os.readlink(link).startswith(str(self.cache)):
                    found.append(int(link.parent.name))
            except OSError:
                pass  # another user's, or gone
        return found

    def test_interrupted_build(self):
        """It leaves no compiler behind; the same command builds and goes on."""
        self.commit("good", {"fs/a": "1"})
        self.commit("slow", {"arch/x86/kvm/x86.c": "pass slow"})
        self.commit("bad", {"arch/x86/kvm/x86.c": "fail"})
        process = support.start(self.stub / "bisect", "commits", f"--tree={self.tree}", f"--case={CASE}",
                                "--good=:/first", "--bad=HEAD", f"--out={self.out}",
                                env=support.environment(KVMSPEC_CACHE=str(self.cache)))
        support.wait_until(lambda: list(self.cache.glob("bisect/*/build/sleeps")), "the build that takes long")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
        self.assertEqual(process.returncode, INTERRUPTED, said)
        left = self.processes_at_work()
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(left, [])
        self.assertEqual([step.role for step in state.load(self.out).steps], ["bad end", "good end"])
        self.assertIn("(bad) is the first bad commit", self.run_bisect())

    def test_no_ancestor(self):
        self.commit("second", {"fs/a": "1"})
        self.assertIn("is no ancestor of BAD", self.run_bisect(CANNOT_RUN, good="HEAD", bad=":/first"))

    def test_bad_input(self):
        self.assertIn("has no commit banana", self.run_bisect(CANNOT_RUN, bad="banana"))
        self.assertIn("is no source tree of a kernel", self.bisect(
            "commits", f"--tree={scratch()}", f"--case={CASE}", "--good=a", "--bad=b", status=CANNOT_RUN))

    def step(self, does: str, *more: str, init: str = " boots ", cwd: Path | None = None) -> tuple[int, str]:
        """ci/bisect-step as git bisect run calls it."""
        if cwd is None:
            self.commit(does, {"arch/x86/kvm/x86.c": does + " step", "init/main.c": init})
        done = support.run(self.stub / "bisect-step", f"--case={CASE}", *more, cwd=cwd or self.tree,
                           env=support.environment(KVMSPEC_CACHE=str(self.cache)))
        return done.returncode, done.stderr

    def test_statuses_of_a_step(self):
        for does, status, says in (("pass", 0, "good in all 1"), ("fail", 1, "bad in 1 of 1"),
                                   ("known", 1, "bad in 1 of 1"), ("skip", 125, "is skipped: no CAP"),
                                   ("error", 125, "ERROR of"), ("dies", 125, "panicked"),
                                   ("syntax", 125, "does not build"), ("disk", 128, "No space left")):
            got, said = self.step(does)
            self.assertEqual(got, status, f"{does}: {said}")
            self.assertIn(says, said)
        got, said = self.step("fail", init=" panics ")
        self.assertEqual(got, 125, said)
        self.assertEqual(self.git("status", "--porcelain"), "", "nothing is left in the tree")

    def test_ccache(self):
        """It is used if it is there."""
        tools = scratch()
        (tools / "ccache").symlink_to("/bin/true")
        for path, compiler in ((f"{tools}:{os.environ['PATH']}", "ccache gcc"), ("/usr/bin:/bin:/sbin", "gcc")):
            if compiler == "gcc" and Path("/usr/bin/ccache").exists():
                continue
            build = scratch()
            done = support.run(self.stub / "bisect-step", f"--case={CASE}", f"--build={build}", cwd=self.tree,
                               env=support.environment(KVMSPEC_CACHE=str(self.cache), PATH=path))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual((build / "compiler").read_text().strip(), compiler)

    def test_environment_of_make(self):
        """Our own make's variables are not the kernel's."""
        build = scratch()
        ours = {"MAKEFLAGS": "KCFLAGS=banana", "KCFLAGS": "banana"}
        done = support.run(self.stub / "bisect-step", f"--case={CASE}", f"--build={build}", cwd=self.tree,
                           env=support.environment(KVMSPEC_CACHE=str(self.cache), **ours))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("banana", (build / "compiler").read_text())

    def test_rounds_of_a_step(self):
        self.assertEqual(self.step("flaky")[0], 0)
        self.assertEqual(self.step("flaky 2", "--repeat=4")[0], 1)

    def test_question_of_a_step(self):
        reference = results(record("fail", CASE, got="EIO", expected="0"))
        more = ("--question=changes", f"--reference={reference}")
        self.assertEqual(self.step("fail", *more)[0], 0)
        self.assertEqual(self.step("pass", *more)[0], 1)
        got, said = self.step("fail 2", "--question=changes")
        self.assertEqual(got, 128)
        self.assertIn("wants --reference=DIR", said)

    def test_step_in_no_tree(self):
        got, said = self.step("", cwd=scratch())
        self.assertEqual(got, 128)
        self.assertIn("is no source tree of a kernel", said)

    def test_step_without_an_emulator(self):
        done = support.run(self.stub / "bisect-step", f"--case={CASE}", "--engine=banana", cwd=self.tree,
                           env=support.environment(KVMSPEC_CACHE=str(self.cache)))
        self.assertEqual(done.returncode, 128, done.stderr)
        self.assertIn("there is no engine banana", done.stderr)


if __name__ == "__main__":
    unittest.main()
