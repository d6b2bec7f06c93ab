# SPDX-License-Identifier: MIT
"""kvmspec doctor: what it answers people and scripts, of hosts that are fit, unfit, or out of reach."""

from __future__ import annotations

import errno
import functools
import json
import os
import re
import signal
import stat
import subprocess
import sys
import unittest
from pathlib import Path

import support
from support import BROKEN, KVMSPEC, run, scratch

sys.path.insert(0, str(support.ROOT / "ci"))
import validate  # noqa: E402

FIT, NOT_FIT, NOT_TESTED = 0, 1, 2
NOBODY = 65534
WHY_NO_MOUNTS = support.why_no_mounts()

TEXT, COUNT = validate.text, validate.count
TEXTS = validate.list_of(TEXT)


def members(what: str, table: dict) -> validate.Check:
    return lambda value: not list(validate.check_members(what, value, table))


def one_of(*values: str) -> validate.Check:
    return lambda value: value in values


LACK = members("lack", {
    "what": (True, TEXT), "need": (True, one_of("required", "used")), "for": (True, TEXT),
    "source": (True, TEXT), "answer": (False, validate.integer), "minimum": (False, COUNT),
    "cases": (False, TEXTS)})
VMM = members("vmm", {
    "vmm": (True, TEXT), "verdict": (True, one_of("fit", "fit with limits", "not fit")),
    "required": (True, COUNT), "required_met": (True, COUNT), "used": (True, COUNT),
    "used_met": (True, COUNT), "lacks": (True, validate.list_of(LACK))})
DEVICE = members("device", {
    "path": (True, TEXT), "api_version": (False, lambda value: value == 12),
    "nested_guests": (False, lambda value: isinstance(value, bool)), "problem": (False, TEXT),
    "advice": (False, TEXT), "kernel_log": (False, TEXT)})
FAILING = members("failing", {
    "case": (True, TEXT), "verdict": (True, one_of("fail", "error")), "contract": (False, TEXT),
    "expected": (False, TEXT), "got": (False, TEXT), "reason": (False, TEXT)})
DEVIATION = members("deviation", {"reason": (True, TEXT), "link": (False, TEXT), "cases": (True, TEXTS)})


def answer_table(is_tested: bool) -> dict:
    """As results/README.md has it."""
    return {
        "schema": (True, lambda value: value == 1),
        "verdict": (True, one_of(*(("fit", "not fit") if is_tested else ("cannot be tested",)))),
        "problem": (False, TEXT), "device": (True, DEVICE),
        "host": (True, lambda value: isinstance(value, dict) and isinstance(value["kernel"], str)),
        "vmms": (is_tested, validate.list_of(VMM)),
        "cases": (is_tested, validate.object_of("|".join(validate.VERDICTS), COUNT)),
        "failing": (is_tested, validate.list_of(FAILING)),
        "deviations": (is_tested, validate.list_of(DEVIATION)),
        "strays": (is_tested, TEXTS), "results": (is_tested, TEXT)}


@functools.cache
def all_of(program: Path) -> tuple[Path, subprocess.CompletedProcess]:
    """What is asked most often, once, and where its results are."""
    out = scratch()
    return out, run(program, "doctor", "--json", "--out", out)


@functools.cache
def screen_of(program: Path) -> tuple[Path, subprocess.CompletedProcess]:
    out = scratch()
    return out, run(program, "doctor", "--out", out)


class Asks(unittest.TestCase):
    def json_of(self, done: subprocess.CompletedProcess) -> dict:
        answer = json.loads(done.stdout)
        table = answer_table(done.returncode != NOT_TESTED)
        self.assertEqual(list(validate.check_members("answer", answer, table)), [], done.stdout)
        self.assertEqual(set(answer) - set(table), set(), "undocumented")
        return answer


class Fixtures(Asks):
    """VMMs made up in harness/tests/broken/vmms.tsv, on the cases there, of which many fail."""

    def setUp(self):
        self.out, self.done = all_of(BROKEN)
        self.answer = self.json_of(self.done)
        self.vmms = {vmm["vmm"]: vmm for vmm in self.answer["vmms"]}

    def test_verdicts_in_the_order_of_the_table(self):
        self.assertEqual([(vmm["vmm"], vmm["verdict"]) for vmm in self.answer["vmms"]],
                         [("contented", "fit"), ("limited", "fit with limits"),
                          ("impossible", "not fit"), ("flagless", "not fit"),
                          ("unkept", "not fit"), ("unsaid", "fit")])
        self.assertEqual(self.done.returncode, NOT_FIT)
        self.assertEqual(self.answer["verdict"], "not fit")

    def test_counts(self):
        contented, limited = self.vmms["contented"], self.vmms["limited"]
        self.assertEqual([contented[n] for n in ("required", "required_met", "used", "used_met")],
                         [2, 2, 2, 2])
        self.assertEqual([limited[n] for n in ("required", "required_met", "used", "used_met")],
                         [1, 1, 3, 0])
        self.assertEqual(contented["lacks"], [])

    def test_a_capability_that_cannot_exist(self):
        self.assertEqual(self.vmms["impossible"]["lacks"],
                         [{"what": "KVM_CAP_NO_SUCH_THING", "need": "required", "answer": 0,
                           "minimum": 1, "for": "anything at all", "source": "fixture, section 1"}])

    def test_a_capability_that_is_too_small(self):
        lack = self.vmms["limited"]["lacks"][1]
        self.assertEqual(lack["minimum"], 2000000000)
        self.assertGreater(lack["answer"], 1)

    def test_cpu_flags(self):
        lack, = self.vmms["flagless"]["lacks"]
        self.assertEqual(lack["what"], "cpu:no_such_flag|no_such_flag_either")

    def test_cases_that_fail_as_listed_or_not(self):
        known = self.vmms["limited"]["lacks"][2]
        self.assertIn("known/fails", known["cases"])
        failed, = self.vmms["unkept"]["lacks"]
        self.assertEqual(failed["cases"], ["endings/fails"])

    def test_results_are_an_ordinary_runs(self):
        done = support.validate(self.out)
        self.assertEqual(done.returncode, 0, done.stdout)
        results = support.Results(self.out)
        self.assertEqual(self.answer["cases"],
                         {verdict: results.count(verdict) for verdict in validate.VERDICTS})
        self.assertEqual([one["case"] for one in self.answer["failing"]],
                         [record["case"] for record in results.records
                          if record["verdict"] in ("fail", "error")])
        self.assertEqual(self.answer["results"], str(self.out))
        self.assertEqual(self.answer["host"], results.host)

    def test_deviations_are_grouped_by_cause(self):
        grouped = {(one["reason"], one.get("link")): one["cases"] for one in self.answer["deviations"]}
        self.assertEqual(grouped[("listed: a <reason> # with signs", "https://example.org/1")],
                         ["known/fails"])
        cases = [case for cases in grouped.values() for case in cases]
        self.assertEqual(len(cases), self.answer["cases"]["known"])


class Selection(Asks):
    def test_only_those_that_are_named_in_any_case(self):
        done = run(BROKEN, "doctor", "--json", "Impossible", "contented")
        self.assertEqual([vmm["vmm"] for vmm in self.json_of(done)["vmms"]],
                         ["contented", "impossible"])

    def test_an_unknown_vmm(self):
        done = run(BROKEN, "doctor", "vmplayer", "limited")
        self.assertEqual((done.returncode, done.stdout), (NOT_TESTED, ""))
        self.assertEqual(done.stderr, "kvmspec: doctor knows no VMM 'vmplayer'. It knows contented, "
                                      "limited, impossible, flagless, unkept, unsaid.\n")

    def test_options_that_mean_nothing_here(self):
        for option in ("--list", "--catalogue", "--probe", "--receive=/dev/null", "--stream=/dev/null",
                       "--except=/dev/null", "--repeat=2", "--until-fail", "--gdb", "--trace",
                       "--strict", "--no-skip"):
            done = run(BROKEN, "doctor", option)
            self.assertEqual((done.returncode, done.stdout), (NOT_TESTED, ""), option)
            self.assertIn("doctor runs all cases once", done.stderr)
        done = run(BROKEN, "--json", "known")
        self.assertEqual((done.returncode, done.stdout), (NOT_TESTED, ""))
        self.assertIn("--json is for doctor", done.stderr)

    def test_doctor_is_a_filter_nowhere_else(self):
        done = run(BROKEN, "--list", "known", "doctor")
        self.assertEqual(done.returncode, NOT_TESTED)
        self.assertIn("no case matches 'doctor'", done.stderr)


class Screen(Asks):
    def test_what_people_read(self):
        out, done = screen_of(BROKEN)
        self.assertEqual((done.returncode, done.stderr), (NOT_FIT, ""))
        flat = re.sub(r"\s+", " ", done.stdout)
        for words in ("device /dev/kvm: may be read and written, KVM API 12",
                      "contented fit: this host has 2 of 2 things that it requires, and 2 of 2 that",
                      "without what no host has: no KVM_CAP_NO_SUCH_THING",
                      "no KVM_CAP_NO_SUCH_THING, required for anything at all [fixture, section 1]",
                      "no CPU flag no_such_flag or no_such_flag_either, required for starting",
                      "endings/fails fails, required for what does not hold",
                      "kernel bugs 1 case: listed: a <reason> # with signs https://example.org/1",
                      "verdict fit for contented, unsaid; fit with limits for limited; not fit for "
                      "impossible, flagless, unkept; and contracts fail",
                      f"results {out}"):
            self.assertIn(words, flat)

    def test_one_screen(self):
        lines = screen_of(BROKEN)[1].stdout.splitlines()
        more = next(int(line.split()[1]) for line in lines if re.match(r" +and \d+ more, in ", line))
        failing = [line for line in lines if re.match(r" +(FAIL|ERROR) ", line)]
        self.assertEqual(len(failing), 5)
        listed = json.loads(all_of(BROKEN)[1].stdout)
        limits = [one for one in listed["deviations"] if "link" not in one]
        self.assertEqual(more, len(listed["failing"]) + len(limits) - 5)
        lines = screen_of(KVMSPEC)[1].stdout.splitlines()
        self.assertLess(len(lines), 50)
        for line in lines:
            self.assertTrue(len(line) <= 100 or " " not in line.strip(), line)


class ThisHost(Asks):
    """The real table and cases. Which VMMs this host is fit for is for it to say: kvmtool not, if it
    has neither svm nor vmx."""

    def test_it_is_consistent(self):
        _, done = all_of(KVMSPEC)
        answer = self.json_of(done)
        verdicts = {vmm["vmm"]: vmm["verdict"] for vmm in answer["vmms"]}
        self.assertEqual(list(verdicts),
                         ["qemu", "firecracker", "cloud-hypervisor", "crosvm", "kvmtool"])
        self.assertEqual(done.returncode == FIT, "not fit" not in verdicts.values() and not answer["failing"])
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.M)[1].split()
        if not {"svm", "vmx"} & set(flags):
            self.assertEqual(verdicts["kvmtool"], "not fit")
        self.assertEqual("hypervisor" in answer["host"], "hypervisor" in flags)

    def test_fit_for_one_that_is(self):
        answer = self.json_of(all_of(KVMSPEC)[1])
        fit = [vmm["vmm"] for vmm in answer["vmms"] if vmm["verdict"] != "not fit"]
        if answer["failing"] or answer["strays"] or not fit:
            self.skipTest("contracts fail here")
        done = run(KVMSPEC, "doctor", "--json", *fit)
        self.assertEqual((done.returncode, self.json_of(done)["verdict"]), (FIT, "fit"), done.stdout)


class Refused(Asks):
    def refused(self, done: subprocess.CompletedProcess) -> dict:
        self.assertEqual(done.returncode, NOT_TESTED, done.stderr)
        answer = self.json_of(done)
        self.assertNotIn("vmms", answer)
        return answer["device"]


class OutOfReach(Refused):
    def test_for_people(self):
        where = scratch()
        done = run(KVMSPEC, "doctor", "--kvm=/nonexistent/kvm", cwd=where)
        self.assertEqual((done.returncode, done.stderr), (NOT_TESTED, ""))
        self.assertRegex(done.stdout, r"\Adevice +/nonexistent/kvm does not exist\n")
        self.assertRegex(done.stdout, r"\nverdict +cannot be tested\n\Z")
        self.assertEqual(list(where.iterdir()), [], "no results")

    def test_something_else(self):
        device = self.refused(run(KVMSPEC, "doctor", "--json", "--kvm=/dev/null"))
        self.assertIn("is not KVM", device["problem"])
        self.assertNotIn("advice", device)

    @unittest.skipIf(os.getuid() != 0, "needs root to make a device")
    def test_no_driver(self):
        device = scratch() / "kvm"
        os.mknod(device, stat.S_IFCHR | 0o600, os.makedev(10, 254))
        try:
            device.open().close()
        except OSError as error:
            if error.errno not in (errno.ENODEV, errno.ENXIO):
                self.skipTest(f"devices made here cannot be used: {error}")
        self.assertEqual(self.refused(run(KVMSPEC, "doctor", "--json", f"--kvm={device}"))["problem"],
                         f"{device} is there, but no driver behind it")

    def test_interrupted(self):
        out = scratch()
        records = out / "cases.jsonl"
        process = support.start(BROKEN, "doctor", "--json", "--jobs=1", "--out", out)
        support.wait_until(lambda: records.exists() and records.stat().st_size, "the first case")
        process.send_signal(signal.SIGINT)
        answer = json.loads(process.communicate(timeout=60)[0])
        self.assertEqual(process.returncode, 130)
        self.assertEqual(answer["verdict"], "cannot be tested")
        self.assertRegex(answer["problem"], r"^after \d+ of \d+ cases: interrupted$")

    @unittest.skipIf(os.getuid() != 0, "needs root to give up a capability")
    def test_no_permission(self):
        device = scratch() / "kvm"
        device.touch()
        device.chmod(0o660)
        os.chown(device, NOBODY, 5)
        done = run(Path("/usr/bin/setpriv"), "--bounding-set=-dac_override,-dac_read_search",
                   "--clear-groups", KVMSPEC, "doctor", "--json", f"--kvm={device}")
        self.assertRegex(self.refused(done)["problem"], r"no permission to open .* usermod -aG \w+")


@unittest.skipIf(WHY_NO_MOUNTS, WHY_NO_MOUNTS)
class WhyThereIsNoDevice(Refused):
    """What the kernel says of itself is bound over by what another kernel might."""

    def ask_without(self, misc: str = "", flags: str = "fpu", modules: tuple[str, ...] = (),
                    log: str = "") -> dict:
        where = scratch()
        (where / "misc").write_text(misc)
        (where / "cpuinfo").write_text(f"model name\t: Abacus\nflags\t\t: fpu {flags}\n")
        (where / "log").write_text(log)
        for module in modules:
            (where / "module" / module).mkdir(parents=True)
        (where / "module").mkdir(exist_ok=True)
        script = ("set -e; mount --bind $0/misc /proc/misc; mount --bind $0/cpuinfo /proc/cpuinfo; "
                  "mount --bind $0/module /sys/module; exec \"$@\"")
        return self.refused(run(Path("/usr/bin/unshare"), "--mount", "sh", "-c", script, where,
                                KVMSPEC, "doctor", "--json", "--kvm=/nonexistent",
                                f"--kernel-log={where}/log"))

    def test_a_container_without_it(self):
        device = self.ask_without(misc="229 fuse\n232 kvm\n", flags="svm", modules=("kvm_amd",))
        self.assertIn("docker run --device=/dev/kvm", device["advice"])
        self.assertIn("mknod /nonexistent c 10 232", device["advice"])

    def test_switched_off_by_the_firmware(self):
        for line in ("kvm: support for 'kvm_amd' disabled by bios",
                     "kvm_intel: VMX not enabled (by BIOS) in MSR_IA32_FEAT_CTL on CPU 1",
                     "x86/cpu: VMX (outside TXT) disabled by BIOS"):
            device = self.ask_without(flags="svm", log=f"3,1,1,-;{line}\n SUBSYSTEM=cpu\n")
            self.assertIn("The firmware has virtualisation switched off", device["advice"])
            self.assertEqual(device["kernel_log"], line)

    def test_a_kernel_log_about_other_things(self):
        device = self.ask_without(flags="vmx", log="6,1,1,-;DMI: BIOS 1.0 2026\n")
        self.assertNotIn("kernel_log", device)

    def test_no_module(self):
        for flag, module in (("svm", "kvm_amd"), ("vmx", "kvm_intel")):
            self.assertEqual(self.ask_without(flags=flag)["advice"],
                             f"The CPU can: load the module with modprobe {module}")

    def test_a_module_without_a_device(self):
        device = self.ask_without(flags="vmx", modules=("kvm_intel",))
        self.assertIn("kvm_intel is there, but KVM has no device", device["advice"])

    def test_no_extension(self):
        is_guest = " hypervisor" in Path("/proc/cpuinfo").read_text()
        advice = self.ask_without()["advice"]
        self.assertIn("nested virtualisation on the machine that hosts it" if is_guest
                      else "The CPU has neither svm nor vmx", advice)


if __name__ == "__main__":
    unittest.main()
