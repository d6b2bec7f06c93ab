# SPDX-License-Identifier: MIT
"""Guests that boot, and the ways in which they die. Each boot is QEMU's emulation: seconds."""

import json
import os
import signal
import unittest
from pathlib import Path

from lab import (BOOT_SECONDS, CANNOT_RUN, FAILED, HANGS, INTERRUPTED, KERNEL, LAB, ONE, PANICS,
                 PASS, TOP, kvm_module, lab, run_broken, support)
from laboratory import initramfs, kernels

import expectations

scratch = support.scratch
PANIC = "the guest's kernel panicked: sysrq triggered crash"


class Boots(unittest.TestCase):
    def check_results(self, out: Path) -> support.Results:
        done = support.validate(out)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(support.xmllint(out / "report.xml").returncode, 0)
        return support.Results(out)

    def start(self, out: Path, *args: object):
        """A run whose guest is there, and hangs in a case; and the emulator's process id."""
        process = support.start(LAB, "run", f"--program={support.BROKEN}", f"--kernel={KERNEL}",
                                f"--out={out}", "--jobs=2", ONE, "forever/sleeps", *args)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        support.wait_until(lambda: (out / "cases.jsonl").exists() and
                           (out / "cases.jsonl").read_text().count("\n") == 1, "the first case", 120)
        emulators = [pid for pid in support.processes_of(process.pid)
                     if "qemu" in Path(f"/proc/{pid}/cmdline").read_text()]
        self.assertEqual(len(emulators), 1)
        return process, emulators[0]

    def test_fixtures(self):
        out = scratch()
        done = run_broken(out, "endings", "needs", "known")
        self.assertEqual(done.returncode, FAILED, done.stdout + done.stderr)
        results = self.check_results(out)
        here = scratch()
        support.run(support.BROKEN, "--out", here, "endings", "needs", "known")
        for case, record in support.Results(here).by_case.items():
            self.assertEqual(results.by_case[case]["verdict"], record["verdict"], case)
        self.assertEqual(results.host["engine"], "tcg-amd")
        self.assertEqual(results.host["vendor"], "kvm_amd")
        self.assertEqual(results.host["lab"]["boots"], 1 + len(results.host["lab"]["retried"]))
        self.assertIn("run_again: make lab KERNEL=", done.stdout)
        self.assertIn("Linux version", (out / "kernel.log").read_text())

    def test_module_parameters(self):
        out = scratch()
        done = run_broken(out, "--variant=shadow-amd", "--modparam=kvm.halt_poll_ns=1234", ONE)
        self.assertEqual(done.returncode, PASS, done.stderr)
        parameters = self.check_results(out).host["module_parameters"]
        self.assertIn(parameters["kvm_amd.npt"], ("N", "0"))
        self.assertEqual(parameters["kvm.halt_poll_ns"], "1234")

    def test_module(self):
        """It is loaded in place of the kernel's own, and the record says so."""
        out, module = scratch(), kvm_module(scratch())
        data = module.read_bytes()
        module.write_bytes(data.replace(b"\0pi_inject_timer\0", b"\0our_own_module_\0"))
        done = run_broken(out, f"--module={module}", ONE)
        self.assertEqual(done.returncode, PASS, done.stdout + done.stderr)
        host = self.check_results(out).host
        self.assertIn("kvm.our_own_module_", host["module_parameters"])
        self.assertEqual([entry["file"] for entry in host["lab"]["modules"]], [str(module)])
        self.assertIn(f"--module={module}", host["lab"]["run_again"])

    def test_two_cpus(self):
        out = scratch()
        done = run_broken(out, "--cpus=2", ONE)
        self.assertEqual(done.returncode, PASS, done.stderr)
        self.assertEqual(self.check_results(out).host["cpus_online"], 2)

    def test_panic(self):
        out = scratch()
        done = run_broken(out, "--jobs=1", ONE, PANICS, "needs/a_vendor")
        self.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
        results = self.check_results(out)
        self.assertEqual(results.by_case[ONE]["verdict"], "pass")
        record = results.by_case[PANICS]
        self.assertEqual((record["verdict"], record["reason"]), ("error", PANIC))
        self.assertRegex("\n".join(record["kernel_log"]), "sysrq: Trigger a crash\n.*Kernel panic")
        self.assertNotIn("needs/a_vendor", results.by_case)
        self.assertIn(f"\n1 cases did not run: {PANIC}\n", done.stdout)
        self.assertIn(f"Bail out! After 2 of 3 cases: {PANIC}", results.tap)
        self.assertIn("Kernel panic", (out / "kernel.log").read_text())

    def test_continue_after_a_panic(self):
        """It is charged to the case that panics, and to no other that ran at the time."""
        out = scratch()
        done = run_broken(out, "--continue", "endings", PANICS, "needs")
        self.assertEqual(done.returncode, FAILED, done.stdout + done.stderr)
        results = self.check_results(out)
        self.assertEqual(results.by_case[PANICS]["reason"], PANIC)
        self.assertEqual([case for case, record in results.by_case.items()
                          if record.get("reason") == PANIC], [PANICS])
        listed = support.run(support.BROKEN, "--list", "endings", PANICS, "needs").stdout.split()
        self.assertEqual(sorted(results.by_case), listed)

    def test_hang(self):
        out = scratch()
        done = run_broken(out, "--silence=10", "--jobs=1", ONE, HANGS)
        self.assertEqual(done.returncode, FAILED, done.stdout + done.stderr)
        self.assertEqual(self.check_results(out).by_case[HANGS]["reason"],
                         "the guest hung: no sign of life for 10 s")

    def test_killed_emulator(self):
        out = scratch()
        process, emulator = self.start(out)
        os.kill(emulator, signal.SIGKILL)
        stdout, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, FAILED, stdout)
        self.assertEqual(self.check_results(out).by_case["forever/sleeps"]["reason"],
                         "the emulator was killed by SIGKILL")

    def test_interrupt(self):
        out = scratch()
        process, emulator = self.start(out)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, stdout)
        self.assertFalse(support.is_alive(emulator))
        self.assertIn("1 cases did not run: interrupted", stdout)
        self.assertEqual(list(self.check_results(out).by_case), [ONE])

    def test_killed_lab_takes_the_emulator_along(self):
        process, emulator = self.start(scratch())
        process.kill()
        process.communicate(timeout=60)
        support.wait_until(lambda: not support.is_alive(emulator), "the emulator's end")

    def test_time_out(self):
        out = scratch()
        process, _ = self.start(out, "--timeout=25")
        stdout, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, FAILED, stdout)
        self.assertIn("time-out: the guest was not done after 25 s",
                      self.check_results(out).by_case["forever/sleeps"]["reason"])

    def test_build_tree(self):
        """One that has KVM in modules: Debian's kernel, laid out as where it was built."""
        kernel, tree, out = kernels.resolve(KERNEL), scratch(), scratch()
        image = tree / "arch/x86/boot/bzImage"
        image.parent.mkdir(parents=True)
        image.symlink_to(kernel.image)
        built = [module.relative_to(kernel.modules / "kernel")
                 for module in initramfs.needed_modules(kernel, "kvm_amd")]
        for module in built:
            (tree / module).parent.mkdir(parents=True, exist_ok=True)
            (tree / module).write_bytes((kernel.modules / "kernel" / module).read_bytes())
        (tree / "modules.order").write_text("".join(f"{m.with_suffix('.o')}\n" for m in built))
        (tree / "modules.builtin").write_text("")
        done = lab("run", f"--program={support.BROKEN}", f"--kernel={tree}", f"--out={out}", ONE)
        self.assertEqual(done.returncode, PASS, done.stderr)
        self.assertEqual(self.check_results(out).host["vendor"], "kvm_amd")

    def refuse(self, *args: object, says: str) -> tuple[Path, str]:
        where = scratch()
        done = lab("run", f"--kernel={KERNEL}", *args, cwd=where)
        self.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
        self.assertIn(says, done.stderr)
        self.assertIn("kernel.log", done.stderr)
        latest = where / "results/latest"
        self.assertTrue((latest / "kernel.log").read_text())
        self.assertFalse((latest / "report.xml").exists())
        self.assertFalse((latest / "host.json").exists())
        return latest, done.stderr

    def test_panic_at_boot(self):
        _, words = self.refuse("--cmdline=rdinit=/none", says="VFS: Unable to mount root fs")
        self.assertEqual(words.count("booting again"), 2)

    def test_module_that_does_not_load(self):
        _, words = self.refuse("--modparam=kvm_amd.npt=banana",
                               says="module kvm_amd does not load: insmod: can't insert")
        self.assertNotIn("booting again", words, "it would fail again")

    def test_module_in_place_of_the_kernels_that_does_not_load(self):
        module = kvm_module(scratch())
        data = bytearray(module.read_bytes())
        data[data.index(b"module_layout\0") - 8] ^= 1  # the version of a symbol of the kernel's
        module.write_bytes(data)
        _, words = self.refuse(f"--module={module}", says="module kvm does not load: insmod: can't insert")
        self.assertNotIn("booting again", words, "it would fail again")

    def test_kernel_without_kvm(self):
        """An image alone, whose KVM is in modules."""
        self.refuse(f"--kernel={kernels.resolve(KERNEL).image}", says="this kernel has no KVM for this CPU")


class Check(unittest.TestCase):
    """make check on a machine whose /dev/kvm cannot be used."""

    def setUp(self):
        if why := support.why_no_mounts():
            self.skipTest(f"/dev/kvm cannot be hidden: {why}")

    def check(self, command: str) -> tuple[support.subprocess.CompletedProcess, Path]:
        where = scratch()
        hidden = f"mount --bind /dev/null /dev/kvm && exec {command} --jobs=1 {ONE}"
        return support.run("/usr/bin/unshare", "--mount", "sh", "-c", hidden, cwd=where,
                           timeout=BOOT_SECONDS), where

    def test_runs_in_the_lab(self):
        done, where = self.check(f"{TOP}/ci/check {support.BROKEN}")
        self.assertEqual(done.returncode, PASS, done.stderr)
        self.assertRegex(done.stderr, "^kvmspec: /dev/kvm is not KVM: .*\nRunning in the lab instead")
        self.assertEqual(support.Results(where / support.LATEST).host["engine"], "tcg-amd")

    def test_engine_host_insists(self):
        done, _ = self.check(f"{LAB} run --engine=host --program={support.BROKEN}")
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("engine host cannot be used here: /dev/kvm is not KVM", done.stderr)


class Expectations(unittest.TestCase):
    """The diagnoses of kvm_amd, which no host of ours has."""

    def test_diagnoses(self):
        out = scratch()
        run_broken(out, "--jobs=1", *expectations.SAME_EVERYWHERE, *expectations.BY_VENDOR)
        found = expectations.points(support.Results(out))
        for case in [*expectations.SAME_EVERYWHERE, *expectations.BY_VENDOR]:
            with self.subTest(case):
                self.assertMultiLineEqual(expectations.path_of(case, "kvm_amd").read_text(), found[case])


class Matrix(unittest.TestCase):
    def test_table(self):
        out = scratch()
        done = lab("matrix", f"--kernels={KERNEL} 5.99", "--engines=tcg-amd host", f"--out={out}",
                   "first_programs/prints_hello_stores_and_halts/real16")
        self.assertEqual(done.returncode, CANNOT_RUN, done.stderr)
        rows = [line.split("|")[1:-1] for line in (out / "runs.md").read_text().splitlines()]
        cells = [[cell.strip() for cell in row] for row in rows]
        self.assertEqual([row[:2] for row in cells[2:]],
                         [[KERNEL, "tcg-amd"], ["5.99", "tcg-amd"], ["this", "host"]])
        self.assertEqual(cells[2][3:9], ["kvm_amd", "1", "0", "0", "0", "0"])
        self.assertIn("Debian has no cloud kernel 5.99", cells[3][-1])
        self.assertEqual(cells[4][-1], "ok")
        self.assertIn(f"{out}/index.html", done.stdout)
        contracts = json.loads((out / "matrix.json").read_text())
        self.assertEqual([run["engine"] for run in contracts["runs"]], ["tcg-amd", "host"])
        self.assertRegex("".join(contracts["missing"]), "5.99 under tcg-amd: .*no cloud kernel")
        for name in ("index.html", "matrix.md"):
            self.assertIn("no cloud kernel 5.99", (out / name).read_text())
