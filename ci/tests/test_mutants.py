# SPDX-License-Identifier: MIT
"""Faults that are put into KVM: how, what it says if it cannot, what counts as caught. No builds."""

import json
import os
import unittest
from pathlib import Path
from unittest import mock

from lab import CANNOT_RUN, TOP, image, support
from laboratory import common, matrix, modules, mutants, trials

scratch = support.scratch

SOURCE = """\
static int run(struct vcpu *vcpu);

static int enter(struct vcpu *vcpu)
{
	if (vcpu->ready)
		return 0;
	return run(vcpu);
}

static int
run(struct vcpu *vcpu)
{
	if (vcpu->ready) {
		vcpu->count++;
		vcpu->count++;
	}
	return 1;
}
"""


def mutant(**options: str) -> mutants.Mutant:
    return mutants.Mutant(**{"name": "m", "breaks": "x", "file": "a.c", "function": "run",
                             "edit": "replace", **options})


class Apply(unittest.TestCase):
    def change(self, says: str = "", **options: str) -> str:
        if not says:
            return mutant(**options).apply(SOURCE)
        with self.assertRaisesRegex(common.LabError, says):
            mutant(**options).apply(SOURCE)
        return ""

    def test_replace(self):
        self.assertEqual(self.change(find="return 1;", text="return 2;"),
                         SOURCE.replace("return 1;", "return 2;"))

    def test_before(self):
        self.assertIn("\n\tx(); return 1;\n}", self.change(find="return 1;", edit="before", text="x();"))

    def test_after(self):
        self.assertIn("\n\treturn 1; x();\n}", self.change(find="return 1;", edit="after", text="x();"))

    def test_blank_is_any_white_space(self):
        self.assertIn("{\n\tz();\n\t\tvcpu->count++;\n\t}",
                      self.change(find="if (vcpu->ready) { vcpu->count++;", text="{\n\tz();"))

    def test_only_in_its_function(self):
        self.assertIn("if (1)\n\t\treturn 0;",
                      self.change(function="enter", find="vcpu->ready", text="1"))

    def test_text_of_another_function(self):
        self.change(find="return 0;", says=r"mutant m does not apply: «return 0;» is there 0 times .*run\(\)")

    def test_twice(self):
        self.change(find="vcpu->count++;", says="is there 2 times")

    def test_no_such_function(self):
        self.change(function="leave", find="x", says=r"a.c defines leave\(\) 0 times")

    def test_part_of_a_functions_name(self):
        self.change(function="nter", find="return 0;", says=r"defines nter\(\) 0 times")


class Load(unittest.TestCase):
    GOOD = "[m]\nbreaks = x\nfile = a.c\nfunction = f\nfind = a = b\nreplace = a = c\n" \
        "cases = x y\n"

    def load(self, text: str) -> dict[str, mutants.Mutant]:
        file = scratch() / "mutants.ini"
        file.write_text(text)
        return mutants.load(file)

    def refuse(self, text: str, says: str) -> None:
        with self.assertRaisesRegex(common.LabError, says):
            self.load(text)

    def test_good(self):
        self.assertEqual(self.load(self.GOOD), {"m": mutants.Mutant(
            "m", "x", "a.c", "f", "a = b", "replace", "a = c", "x y")})

    def test_nothing_in_its_place(self):
        self.assertEqual(self.load(self.GOOD.replace("a = c", ""))["m"].text, "")

    def test_missing(self):
        self.refuse(self.GOOD.replace("find", "#"), "mutant m has no find")

    def test_no_edit(self):
        self.refuse(self.GOOD.replace("replace", "#"), "mutant m has 0 of replace, before, after")

    def test_two_edits(self):
        self.refuse(self.GOOD + "after = x\n", "mutant m has 2 of replace, before, after")

    def test_unknown_key(self):
        self.refuse(self.GOOD + "case = x\n", "mutant m has case, which")

    def test_same_name(self):
        self.refuse(self.GOOD + self.GOOD, "section 'm' already exists")

    def test_control_is_none(self):
        self.refuse(self.GOOD.replace("[m]", "[control]"), "control is no mutant")

    def test_ours(self):
        for one in mutants.load().values():
            self.assertTrue(one.file.startswith(modules.SOURCES), one.name)


class Tree(unittest.TestCase):
    """A tree as Debian's packages make it, of two source files."""

    def setUp(self):
        self.root = scratch()
        self.common = self.root / "usr/src/linux-headers-6.66-common"
        self.headers = self.root / "usr/src/linux-headers-6.66-cloud"
        for file in (self.root / "pristine/virt/kvm/a.c", self.root / "pristine/virt/kvm/b.c",
                     self.common / "virt/kvm/a.c", self.common / "virt/kvm/b.c"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("old")
        self.headers.mkdir()
        self.configure("gcc")

    def configure(self, compiler: str) -> None:
        (self.headers / ".config").write_text(f'CONFIG_CC_VERSION_TEXT="{compiler} (Debian) 12"\n')

    def tree(self) -> modules.Tree:
        return modules.Tree(self.root, "6.66-cloud")

    def text(self, name: str) -> str:
        return (self.common / "virt/kvm" / name).read_text()

    def test_write_and_take_back(self):
        self.tree().write({"virt/kvm/a.c": "new"})
        self.assertEqual((self.text("a.c"), self.text("b.c")), ("new", "old"))
        self.tree().write({"virt/kvm/b.c": "new"})
        self.assertEqual((self.text("a.c"), self.text("b.c")), ("old", "new"))

    def test_what_is_not_changed_is_not_compiled_again(self):
        for name in ("a.c", "b.c"):
            os.utime(self.common / "virt/kvm" / name, (1, 1))
        self.tree().write({"virt/kvm/a.c": "new"})
        self.assertNotEqual((self.common / "virt/kvm/a.c").stat().st_mtime, 1)
        self.assertEqual((self.common / "virt/kvm/b.c").stat().st_mtime, 1)

    def test_edits(self):
        self.assertEqual(self.tree().edited({"virt/kvm/a.c": str.upper}), {"virt/kvm/a.c": "OLD"})

    def test_no_such_file(self):
        with self.assertRaisesRegex(common.LabError, "KVM has no source file virt/kvm/c.c"):
            self.tree().edited({"virt/kvm/c.c": str.upper})

    def test_no_compiler(self):
        self.configure("gcc-99")
        with self.assertRaisesRegex(common.LabError, "gcc-99 is not installed: apt-get install gcc-99"):
            self.tree()

    def test_does_not_compile(self):
        (self.common / "Makefile").write_text(
            "modules:\n\t@echo 'a.c:1:2: warning: x [-Werror=y]' >&2; echo 'a.c:1:2: error: bad' >&2; exit 1\n")
        with self.assertRaisesRegex(common.LabError, "do not compile: a.c:1:2: error: bad$"):
            self.tree().make()

    def test_our_own_makes_variables_stay_here(self):
        (self.common / "Makefile").write_text('modules:\n\t@test -z "$(CFLAGS)$(FILTER)$(V)"\n')
        with mock.patch.dict(os.environ, {"MAKEFLAGS": "V=1", "CFLAGS": "-O9", "FILTER": "x"}):
            self.tree().make()


class Trials(unittest.TestCase):
    CONTROL = {"a/passes/long64": "pass", "a/passes/real16": "pass", "a/fails": "fail"}

    def trial(self, verdicts: dict[str, str], status: int = 0, survives: str = "") -> trials.Trial:
        out = scratch()
        (out / "cases.jsonl").write_text("".join(
            json.dumps({"case": case, "verdict": verdict}) + "\n"
            for case, verdict in (self.CONTROL | verdicts).items()))
        run = matrix.Run("6.66", "tcg-amd", out, status, said="it died")
        return trials.Trial(mutant(survives=survives), run, self.CONTROL)

    def check(self, trial: trials.Trial, status: int, *cells: str) -> None:
        self.assertEqual(trial.status(), status)
        self.assertEqual(tuple(trial.cells()[2:]), cells)

    def test_caught(self):
        self.check(self.trial({"a/passes/long64": "fail", "a/passes/real16": "error"}, 1),
                   0, "2 of 3", "a/passes")

    def test_survived(self):
        self.check(self.trial({}, 1), 1, "none of 3", "it survived")

    def test_expected_to_survive(self):
        self.check(self.trial({}, survives="why"), 0, "none of 3", "why")

    def test_caught_after_all(self):
        self.check(self.trial({"a/passes/long64": "fail"}, 1, "why"), 0, "1 of 3",
                   "a/passes; was expected to survive")

    def test_many(self):
        self.check(self.trial({f"b/{n}": "fail" for n in range(5)}, 1), 0, "5 of 8",
                   "b/0, b/1 and 3 more")

    def test_could_not_run(self):
        self.check(self.trial({}, CANNOT_RUN), CANNOT_RUN, "not known", "it died")

    def test_guest_died_of_it(self):
        self.check(self.trial({"a/passes/long64": "error"}, CANNOT_RUN), 0, "1 of 3", "a/passes")

    def control(self, built: dict[str, str], status: int = 0) -> dict[str, str]:
        """What run_control() says if Debian's modules have the verdicts CONTROL, and ours these."""
        def run_on(_args, out, _arguments):
            verdicts = built if out.name == "control" else self.CONTROL
            return mock.Mock(verdicts=lambda: verdicts, status=status, out=out, said="it died")
        with mock.patch.object(trials, "run_on", run_on), mock.patch.object(trials, "say"), \
                mock.patch.object(modules, "build", lambda *_: []):
            return trials.run_control(None, [], mock.Mock(), Path("out"))

    def test_control(self):
        self.assertEqual(self.control(self.CONTROL), self.CONTROL)

    def test_control_that_is_not_like_debians(self):
        with self.assertRaisesRegex(common.LabError, "other verdicts than Debian's; see out: a/fails$"):
            self.control(self.CONTROL | {"a/fails": "pass"})

    def test_control_that_could_not_run(self):
        with self.assertRaisesRegex(common.LabError, "could not run without a fault, .*: it died"):
            self.control(self.CONTROL, CANNOT_RUN)


class CommandLine(unittest.TestCase):
    def refuse(self, *args: object, says: str, **environment: str) -> None:
        done = support.run(TOP / "ci/mutants", *args, env=support.environment(**environment))
        self.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
        *progress, last = done.stderr.splitlines()
        self.assertEqual([line for line in progress if not line.startswith("lab: downloading")], [])
        self.assertRegex(last, f"^mutants: .*{says}")

    def test_list(self):
        done = support.run(TOP / "ci/mutants", "list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, "(?m)^kick_lost +A signal")

    def test_no_such_mutant(self):
        self.refuse("build", "banana", says="there is no mutant banana: see ci/mutants list")
        self.refuse("run", "kick_lost", "banana", says="there is no mutant banana")

    def test_kernel_that_is_not_debians(self):
        self.refuse("build", "control", f"--kernel={image(scratch() / 'bzImage')}",
                    says="is none of Debian's kernels")

    def test_no_network(self):
        cache = scratch()
        package = "linux-image-6.66-cloud_6.66-1"
        modules_dep = cache / "kernels" / package / "lib/modules/6.66.0-test/modules.dep"
        modules_dep.parent.mkdir(parents=True)
        modules_dep.write_text("kernel/kvm.ko:\n")
        image(modules_dep.with_name("vmlinuz"))
        (cache / "apt").mkdir()
        (cache / "apt/index.json").write_text(json.dumps(
            [{"name": "linux-image-6.66-cloud", "version": "6.66-1", "depends": []}]))
        self.refuse("build", "control", "--kernel=6.66", KVMSPEC_CACHE=str(cache),
                    says="cannot get what builds KVM for Linux 6.66.0-test .* Is the network there")
        self.assertEqual(list((cache / "modules").glob("*linux-image*")), [], "nothing half-made is left")
