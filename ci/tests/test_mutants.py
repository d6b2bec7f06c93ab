# SPDX-License-Identifier: MIT
"""Faults that are put into KVM: how, what it says if it cannot, what counts as caught. No builds."""

import contextlib
import json
import os
import unittest
from pathlib import Path
from unittest import mock

from lab import CANNOT_RUN, TOP, image, support
from laboratory import common, kconfig, matrix, modules, mutants, toolchain, trials

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

    def test_of_a_newer_kernel(self):
        one = self.load(self.GOOD + "kernel = 6.12\nkvm_config = KVM_X KVM_Y=n\n")["m"]
        self.assertEqual((one.kernel, one.options), ("6.12", {"KVM_X": "y", "KVM_Y": "n"}))
        self.assertEqual([one.is_for(kernel) for kernel in ("6.1", "6.12", "7.2", "linux-image-6.1.0-56")],
                         [False, True, True, True])

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
            self.assertTrue(all(name.startswith("KVM_") for name in one.options), one.name)


class Tree(unittest.TestCase):
    """A tree as Debian's packages make it, of two source files."""

    def setUp(self):
        self.root = scratch() / "tree"
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
        return modules.Tree(self.root, "6.66-cloud", "6.66-1")

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

    def test_compiler_of_another_debian(self):
        self.configure("x86_64-linux-gnu-gcc-99")
        (self.root / "usr/lib/linux-kbuild-6.66").mkdir(parents=True)
        with mock.patch.object(toolchain, "unpack") as unpack, mock.patch.object(toolchain, "say"), \
                mock.patch.object(toolchain, "find_tool", str):
            prefix = self.tree().prefix
            self.tree()
        (_, packages), _ = unpack.call_args_list[0]
        self.assertEqual(packages[:2], ["gcc-99", "linux-kbuild-6.66=6.66-1"])
        self.assertEqual(len(unpack.call_args_list), 1, "it is downloaded once")
        self.assertEqual(prefix[:1] + prefix[-4:], ["bwrap", "--bind", self.root, self.root, "--"])

    def test_compiler_that_debian_has_not(self):
        self.configure("gcc-99")
        (self.root / "usr/lib/linux-kbuild-6.66").mkdir(parents=True)
        with mock.patch.dict(os.environ, {"KVMSPEC_CACHE": str(scratch())}), \
                mock.patch.object(toolchain, "say"), \
                self.assertRaisesRegex(common.LabError, "cannot get gcc-99 from Debian: .* Is the network there"):
            self.tree()
        self.assertEqual([path.name for path in self.root.parent.iterdir()], ["tree"], "nothing half-made is left")

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

    def control(self, built: dict[str, str], status: int = 0, config: kconfig.Options | None = None,
                debians: dict[str, str] | None = None) -> dict[str, str]:
        """What run_control() says if Debian's modules have the verdicts CONTROL, and ours these."""
        def run_on(_kernel, _args, out, _arguments):
            verdicts = built if out.name == "control" else self.CONTROL | (debians or {})
            return mock.Mock(verdicts=lambda: verdicts, status=status, out=out, said="it died")
        with mock.patch.object(trials, "run_on", run_on), mock.patch.object(trials, "say"), \
                mock.patch.object(modules, "build", lambda *_: []):
            return trials.run_control(mock.Mock(), config or {}, [], mock.Mock(), Path("out"))

    def test_control(self):
        self.assertEqual(self.control(self.CONTROL), self.CONTROL)

    def test_control_that_is_not_like_debians(self):
        with self.assertRaisesRegex(common.LabError, "other verdicts than Debian's; see out: a/fails$"):
            self.control(self.CONTROL | {"a/fails": "pass"})

    def test_control_that_runs_more_than_debians(self):
        more, skipped = self.CONTROL | {"a/private": "pass"}, {"a/private": "skip"}
        self.assertEqual(self.control(more, config={"KVM_X": "y"}, debians=skipped), more)
        with self.assertRaisesRegex(common.LabError, "other verdicts than Debian's; see out: a/private$"):
            self.control(more, debians=skipped)

    def test_control_that_could_not_run(self):
        with self.assertRaisesRegex(common.LabError, "could not run without a fault, .*: it died"):
            self.control(self.CONTROL, CANNOT_RUN)


class Kconfig(unittest.TestCase):
    """Headers and KVM's own Kconfig as in Debian's packages, but for conf, which does as a file says."""

    KVM = '''config KVM_HIDDEN
	bool
config KVM
	tristate "KVM"
config KVM_PRIVATE
	bool "Private"
	select KVM_HIDDEN
	select XARRAY_MULTI
config KVM_SEV
	bool "SEV"
	depends on CCP
'''
    DEBIANS = 'CONFIG_X="a b"\nCONFIG_MODULES=y\nCONFIG_KVM=m\n# CONFIG_KVM_PRIVATE is not set\n'

    def configure(self, conf: str, *words: str, says: str = "") -> dict[str, str]:
        """The headers' configuration afterwards; conf: shell commands, with $config to read and write."""
        root = scratch()
        for name, text in (("sources/arch/x86/kvm/Kconfig", self.KVM), ("sources/virt/kvm/Kconfig", ""),
                           ("headers/.config", self.DEBIANS), ("headers/scripts/kconfig/conf",
                           f'#!/bin/sh -e\nconfig=$KCONFIG_CONFIG\ncp "$3" {root}/Kconfig\n{conf}\n')):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / "headers/scripts/kconfig/conf").chmod(0o755)
        try:
            with self.assertRaisesRegex(common.LabError, says) if says else contextlib.nullcontext():
                kconfig.configure(root / "headers", root / "sources", kconfig.parse(list(words)), "6.66", [])
            self.kconfig = (root / "Kconfig").read_text() if (root / "Kconfig").exists() else ""
            left = {path.name for path in (root / "headers").iterdir()}
            self.assertEqual(left, {".config", "scripts"}, "nothing half-made is left")
        finally:
            text = (root / "headers/.config").read_text()
        if says:
            self.assertEqual(text, self.DEBIANS)
        return kconfig.read(text)

    def test_option_and_what_it_selects(self):
        got = self.configure("echo CONFIG_KVM_HIDDEN=y >> $config", "KVM_PRIVATE")
        self.assertEqual((got["KVM_PRIVATE"], got["KVM_HIDDEN"], got["KVM"], got["X"]), ("y", "y", "m", '"a b"'))
        self.assertEqual(self.kconfig.split("source ")[0], 'config XARRAY_MULTI\n\ttristate\n'
                         'config X\n\tstring\n\tdefault "a b"\nconfig MODULES\n\tbool\n\tdefault y\n\tmodules\n')

    def test_prefix_of_the_name_and_another_value(self):
        self.assertEqual(self.configure("", "CONFIG_KVM=n")["KVM"], "n")

    def test_unknown(self):
        self.configure("", "KVM_BANANA", says="KVM of Linux 6.66 has no option KVM_BANANA; it has KVM, "
                       "KVM_PRIVATE, KVM_SEV$")

    def test_not_an_option(self):
        with self.assertRaisesRegex(common.LabError, "--kvm-config=sw protected is no option of KVM's"):
            kconfig.parse(["sw protected"])

    def test_without_effect(self):
        self.configure("sed -i /KVM_SEV/d $config", "KVM_SEV",
                       says="KVM_SEV=y has no effect in Linux 6.66, where it stays n")

    def test_more_than_kvm(self):
        self.configure("echo CONFIG_XARRAY_MULTI=y >> $config", "KVM_PRIVATE",
                       says="KVM_PRIVATE would make XARRAY_MULTI y in Linux 6.66, and that is not KVM's")

    def test_conf_fails(self):
        self.configure("echo no >&2; exit 1", "KVM_PRIVATE", says="scripts/kconfig/conf fails: no$")


class CommandLine(unittest.TestCase):
    def refuse(self, *args: object, says: str, **environment: str) -> None:
        done = support.run(TOP / "ci/mutants", *args, env=support.environment(**environment))
        self.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
        *progress, last = done.stderr.splitlines()
        self.assertEqual([line for line in progress if not line.startswith(("lab: downloading", "lab: waiting"))], [])
        self.assertRegex(last, f"^mutants: .*{says}")

    def test_list(self):
        done = support.run(TOP / "ci/mutants", "list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, "(?m)^kick_lost +A signal")

    def test_no_such_mutant(self):
        self.refuse("build", "banana", says="there is no mutant banana: see ci/mutants list")
        self.refuse("run", "kick_lost", "banana", says="there is no mutant banana")

    def test_what_a_mutant_is_for_is_said(self):
        done = support.run(TOP / "ci/mutants", "list")
        self.assertRegex(done.stdout, r"(?m)^attributes_ignored .*\n.*\n +Linux 6.12 KVM_SW_PROTECTED_VM$")

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
