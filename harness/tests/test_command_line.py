# SPDX-License-Identifier: MIT
"""The program as its users call it: options, bad input, places for results, exit statuses."""

import json
import os
import re
import resource
import subprocess
import unittest
from pathlib import Path

import support
from support import BROKEN, KVMSPEC, run, scratch

PASS, FAILED, CANNOT_RUN = 0, 1, 2

NOBODY = 65534
ONE = "endings/passes"  # the quickest case

# Still root, who owns /dev/kvm and where a build for coverage writes, but without power over
# other users' files.
POWERLESS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def refused(test: unittest.TestCase, done, *words: str) -> None:
    """Exit status 2, one message on stderr with these words, nothing on stdout."""
    test.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
    test.assertEqual(done.stdout, "")
    test.assertRegex(done.stderr.splitlines()[-1], "^kvmspec: ")
    for word in words:
        test.assertIn(word, done.stderr)


class Options(unittest.TestCase):
    def test_help(self):
        for flag in ("--help", "-h"):
            done = run(KVMSPEC, flag)
            self.assertEqual((done.returncode, done.stderr), (PASS, ""))
            for option in ("--jobs", "--out", "--list", "--repeat", "--timeout-scale", "--effort", "--kvm",
                           "--kernel-log", "--until-fail", "--shuffle", "--strict", "--no-skip",
                           "--trace", "--ftrace", "--gdb", "--gdb-at", "--json", "kvmspec doctor",
                           "--version", "--help", "Exit status"):
                self.assertIn(option, done.stdout)

    def test_version(self):
        done = run(KVMSPEC, "--version")
        self.assertEqual((done.returncode, done.stderr), (PASS, ""))
        self.assertRegex(done.stdout, r"\Akvmspec \d+\.\d+\.\d+\n\Z")

    def test_a_long_filter_is_read_to_its_end(self):
        refused(self, run(BROKEN, "--list", "words/" + "*" * 300 + "z"), "no case matches")
        done = run(BROKEN, "--list", "words/" + "*" * 300 + "flood")
        self.assertEqual(done.stdout, "words/flood\n", done.stderr)

    def test_list(self):
        done = run(BROKEN, "--list", "--kvm=/nonexistent")
        cases = done.stdout.splitlines()
        self.assertEqual(done.returncode, PASS, done.stderr)
        self.assertEqual(set(cases), set(support.broken_run()[1].by_case))
        self.assertEqual(cases, sorted(cases))

    def test_list_is_what_runs(self):
        listed = run(BROKEN, "--list", "needs", "known/*passes").stdout.splitlines()
        out = scratch()
        run(BROKEN, "--out", out, "needs", "known/*passes")
        self.assertEqual(sorted(support.Results(out).by_case), listed)

    def test_catalogue(self):
        done = run(BROKEN, "--catalogue")
        rows = [line.split("\t") for line in done.stdout.splitlines()]
        self.assertEqual({len(row) for row in rows}, {3})
        line = support.line_of("assertions/expect", None)
        self.assertIn(["assertions/expect", "fixture.contract",
                       f"harness/tests/broken/assertions.c:{line}"], rows)
        self.assertIn("forever/sleeps", [row[0] for row in rows], "on request too")

    def test_filters(self):
        for filters, cases in {
            ("endings/passes",): ["endings/passes"],
            ("endings/pass*",): ["endings/passes"],
            ("*/passes",): ["endings/passes", "known/passes"],
            ("needs/a_*", "endings/errs"): ["endings/errs", "needs/a_capability", "needs/a_cpu_feature",
                                           "needs/a_cpu_feature_of_no_leaf", "needs/a_kernel",
                                           "needs/a_vendor"],
            ("forever/sl*",): ["forever/sleeps"],
            ("--run", "endings/passes"): ["endings/passes"],
        }.items():
            with self.subTest(filters):
                done = run(BROKEN, "--list", *filters)
                self.assertEqual(done.stdout.splitlines(), cases)

    def test_filter_of_a_mode(self):
        cases = run(KVMSPEC, "--list").stdout.splitlines()
        case = next(case for case in cases if case.endswith("/long64"))
        for name in (case, case.rpartition("/")[0]):
            self.assertIn(case, run(KVMSPEC, "--list", name).stdout.splitlines())

    def test_on_request_needs_its_area(self):
        self.assertNotIn("forever", run(BROKEN, "--list", "*").stdout)
        self.assertIn("forever", run(BROKEN, "--list", "forever").stdout)

    def test_repeat(self):
        out = scratch()
        done = run(BROKEN, "--repeat=3", "--out", out, "known/fails", "endings/fails")
        self.assertEqual(done.returncode, FAILED)
        results = support.Results(out)
        self.assertEqual(sorted(results.by_case),
                         [f"{case}/{n}" for case in ("endings/fails", "known/fails")
                          for n in (1, 2, 3)])
        self.assertEqual(results.count("known"), 3, "a listed case is listed each time")
        self.assertIn("run_again: make check FILTER='endings/fails'\n", done.stdout)
        self.assertEqual(results.by_case["endings/fails/2"]["filter"], "endings/fails")
        done = support.validate(out)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_jobs(self):
        listed = run(BROKEN, "--list", "needs", "known").stdout.splitlines()
        for jobs in (1, 2, 64):
            out = scratch()
            done = run(BROKEN, f"--jobs={jobs}", "--out", out, "needs", "known")
            self.assertEqual(done.returncode, FAILED, done.stderr)
            self.assertEqual(sorted(support.Results(out).by_case), listed)

    def test_strict_and_no_skip(self):
        cases = {"known/passes": "pass", "endings/skips": "skip", "endings/passes": "pass"}
        out = scratch()
        done = run(BROKEN, "--out", out, *cases)
        self.assertEqual(done.returncode, PASS, done.stderr)
        done = run(BROKEN, "--strict", "--no-skip", "--out", out, *cases)
        self.assertEqual(done.returncode, FAILED, done.stderr)
        found = support.Results(out).by_case
        self.assertEqual({name: record["verdict"] for name, record in found.items()},
                         {**cases, "known/passes": "fail", "endings/skips": "fail"})
        self.assertIn("--strict", found["known/passes"]["expected"])
        self.assertIn("passes, but is listed", found["known/passes"]["got"])
        self.assertIn("--no-skip", found["endings/skips"]["expected"])
        self.assertEqual(found["endings/skips"]["got"], "there is no moon here")
        self.assertEqual(support.validate(out).returncode, 0)

    def test_effort(self):
        out = scratch()
        done = run(KVMSPEC, "--effort=20", "--out", out, "signals/kicks_by_a_timer_at_the_check")
        self.assertEqual(done.returncode, PASS, done.stdout + done.stderr)
        results = support.Results(out)
        self.assertEqual(results.host["effort"], 20)
        self.assertIn("kicks: sent 170,", results.records[0]["output"])

    def test_timeout_scale_follows_the_host(self):
        out = scratch()
        run(BROKEN, "--out", out, "endings/passes")
        scale = support.Results(out).host["timeout_scale"]
        self.assertTrue(1 <= scale <= 50, scale)

    def test_timeout_scale(self):
        out = scratch()
        run(BROKEN, "--timeout-scale=0.2", "--out", out, "endings/stops_itself")
        record, = support.Results(out).records
        self.assertLess(record["seconds"], 0.45)

    def test_engine(self):
        out = scratch()
        done = run(BROKEN, "--out", out, "known/fails_on_another_engine",
                   env=support.environment(KVMSPEC_ENGINE="abacus"))
        record, = support.Results(out).records
        self.assertEqual((done.returncode, record["verdict"]), (PASS, "known"))
        self.assertEqual(support.Results(out).host["engine"], "abacus")
        self.assertIn("engine abacus", done.stdout)


class BadInput(unittest.TestCase):
    def test_unknown_option(self):
        refused(self, run(KVMSPEC, "--frobnicate"), "--frobnicate", "--help")

    def test_missing_value(self):
        refused(self, run(KVMSPEC, "--jobs"), "jobs")

    def test_filter_that_matches_nothing(self):
        refused(self, run(KVMSPEC, "no_such_area"), "'no_such_area'", "--list")

    def test_filter_that_matches_nothing_beside_one_that_does(self):
        refused(self, run(BROKEN, ONE, "no_such_area"), "'no_such_area'")

    def test_bad_counts(self):
        for option in ("--jobs", "--repeat"):
            for value in ("0", "-1", "x", "", "1x", "1.5", "99999999999999999999"):
                refused(self, run(KVMSPEC, f"{option}={value}"), option, f"'{value}'")

    def test_bad_timeout_scale(self):
        for value in ("0", "-1", "x", "", "nan", "inf", "1e9"):
            refused(self, run(KVMSPEC, f"--timeout-scale={value}"), f"'{value}'")

    def test_bad_effort(self):
        for value in ("0", "-1", "x", "", "1.5", "1e2", "10001"):
            refused(self, run(KVMSPEC, f"--effort={value}"), "--effort", f"'{value}'")

    def test_kvm_that_is_missing(self):
        refused(self, run(KVMSPEC, "--kvm=/nonexistent/kvm"), "/nonexistent/kvm does not exist",
                "modprobe", "nested")

    def test_kvm_that_is_something_else(self):
        refused(self, run(KVMSPEC, "--kvm=/dev/null"), "/dev/null is not KVM")
        refused(self, run(KVMSPEC, f"--kvm={__file__}"), "is not KVM")
        refused(self, run(KVMSPEC, "--kvm=/"), "cannot open /", "directory")

    @unittest.skipIf(os.getuid() != 0, "needs root to give up a capability")
    def test_kvm_without_permission_names_the_group(self):
        device = scratch() / "kvm"
        device.touch()
        device.chmod(0o660)
        os.chown(device, NOBODY, 5)
        group = re.search(r"^(\w+):[^:]*:5:", Path("/etc/group").read_text(), re.M)[1]
        done = subprocess.run([*POWERLESS, "--clear-groups", KVMSPEC, f"--kvm={device}"],
                              cwd=scratch(), text=True, capture_output=True)
        refused(self, done, "no permission", f"group '{group}'", f"usermod -aG {group}")

    def test_no_results_are_left_by_a_refusal(self):
        where = scratch()
        run(KVMSPEC, "no_such_area", cwd=where)
        run(KVMSPEC, "--kvm=/dev/null", cwd=where)
        self.assertEqual(list(where.iterdir()), [])


class Places(unittest.TestCase):
    def check_complete(self, directory: Path, cases: int) -> None:
        self.assertEqual(len(support.Results(directory).records), cases)
        done = support.validate(directory)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_default_place_and_latest(self):
        where = scratch()
        for runs in (1, 2, 3):  # in the same second
            done = run(BROKEN, ONE, cwd=where)
            self.assertEqual(done.returncode, PASS, done.stderr)
            named = where / re.search(r"results in (.+)", done.stdout)[1]
            self.assertEqual((where / support.LATEST).resolve(), named.resolve())
            self.check_complete(named, 1)
            self.assertEqual(len(list((where / support.RUNS).iterdir())), runs)

    def test_out_makes_its_parents_and_leaves_latest(self):
        where = scratch()
        done = run(BROKEN, "--out", "a/b/c", ONE, cwd=where)
        self.assertEqual(done.returncode, PASS, done.stderr)
        self.check_complete(where / "a/b/c", 1)
        self.assertFalse((where / "results").exists())

    def test_out_again_replaces(self):
        out = scratch()
        run(BROKEN, "--out", out, "needs", "known")
        run(BROKEN, "--out", out, ONE)
        self.check_complete(out, 1)

    def test_out_that_is_a_file(self):
        file = scratch() / "file"
        file.write_text("precious")
        refused(self, run(BROKEN, "--out", file, ONE), str(file), "OUT=dir")
        refused(self, run(BROKEN, "--out", file / "below", ONE), str(file), "OUT=dir")
        self.assertEqual(file.read_text(), "precious")

    def test_out_that_cannot_be_made(self):
        refused(self, run(BROKEN, "--out", "/proc/nowhere", ONE), "/proc/nowhere", "OUT=dir")
        refused(self, run(BROKEN, "--out", "", ONE), "OUT=dir")
        refused(self, run(BROKEN, "--out", "x" * 4200, ONE), "OUT=dir")

    @unittest.skipIf(os.getuid() != 0, "needs root to give up a capability")
    def test_out_without_permission(self):
        out = scratch()
        out.chmod(0o555)
        done = subprocess.run([*POWERLESS, BROKEN, "--out", out, ONE], text=True,
                              capture_output=True)
        refused(self, done, str(out), "Permission denied", "OUT=dir")

    def test_full_disk(self):
        def limit_files():
            support.like_a_terminal()
            resource.setrlimit(resource.RLIMIT_FSIZE, (20480, 20480))

        out = scratch()
        done = run(BROKEN, "--out", out, "needs", "known", "assertions", preexec=limit_files)
        self.check_lost(done)
        self.assertIn("FAIL assertions/expect_regs_one", done.stdout, "all verdicts are said")

    @unittest.skipIf(os.getuid() != 0, "needs root to mount")
    def test_full_file_system(self):
        out = scratch()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "kvmspec", out],
                                 capture_output=True)
        if mounted.returncode:
            self.skipTest("cannot mount here")
        try:
            self.check_lost(run(BROKEN, "--out", out, "needs", "known", "assertions"))
        finally:
            subprocess.run(["umount", out], check=True)

    def check_lost(self, done):
        self.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
        self.assertRegex(done.stdout.splitlines()[-1], "^kvmspec: could not write .*OUT=dir")
        self.assertRegex(done.stdout, r"\n\d+ passed, [1-9]\d* failed, \d+ skipped\n")

    def test_two_at_once_without_out(self):
        where = scratch()
        both = [support.start(BROKEN, "endings", cwd=where) for _ in range(2)]
        for process in both:
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, FAILED)
        directories = list((where / support.RUNS).iterdir())
        self.assertEqual(len(directories), 2)
        cases = len(run(BROKEN, "--list", "endings").stdout.splitlines())
        for directory in directories:
            self.check_complete(directory, cases)
        self.assertIn((where / support.LATEST).resolve(), [d.resolve() for d in directories])

    def test_two_at_once_with_one_out(self):
        out = scratch()
        first = support.start(BROKEN, "--out", out, "--timeout-scale=6", "endings/hangs_in_the_guest")
        support.wait_until(lambda: (out / "report.tap").exists(), "the first run")
        refused(self, run(BROKEN, "--out", out, ONE), "another run", str(out))
        first.communicate(timeout=60)
        self.check_complete(out, 1)
        self.assertIn("endings/hangs_in_the_guest", support.Results(out).by_case)


class Streams(unittest.TestCase):
    def test_closed_streams(self):
        def close_all():
            support.like_a_terminal()
            for fd in (0, 1, 2):
                os.close(fd)

        out = scratch()
        done = run(BROKEN, "--out", out, "assertions/all_hold", "endings/fails", preexec=close_all)
        self.assertEqual(done.returncode, FAILED)
        self.assertEqual(support.Results(out).by_case["assertions/all_hold"]["verdict"], "pass")

    def test_full_stdout(self):
        with open("/dev/full", "w") as full:
            for args in (["--list"], ["--help"], ["--version"], ["--out", scratch(), ONE]):
                done = run(BROKEN, *args, stdout=full)
                self.assertEqual(done.returncode, CANNOT_RUN, args)
                self.assertIn("cannot write to standard output", done.stderr)

    def test_reader_that_leaves(self):
        out = scratch()
        process = support.start(BROKEN, "--out", out, "endings", "known")
        process.stdout.close()
        process.wait(60)
        self.assertEqual(process.returncode, CANNOT_RUN)
        self.assertEqual(support.validate(out).returncode, 0)


class Parent(unittest.TestCase):
    def test_a_case_that_kills_its_parent_costs_no_later_case(self):
        """Its parent is not the runner but what cases are forked from, and can be replaced."""
        out = scratch()
        done = run(BROKEN, "--jobs=1", "--out", out, "--repeat=2", "parent", ONE, "words/empty")
        self.assertEqual(done.returncode, FAILED, done.stdout + done.stderr)
        found = support.Results(out).by_case
        self.assertEqual({case: record["verdict"] for case, record in found.items()}, {
            f"{case}/{n}": verdict for n in (1, 2) for case, verdict in {
                ONE: "pass", "parent/is_killed": "error", "words/empty": "fail"}.items()})
        self.assertIn("together with the process that starts", found["parent/is_killed/1"]["reason"])


class Limits(unittest.TestCase):
    def test_too_few_file_descriptors(self):
        def limit():
            support.like_a_terminal()
            resource.setrlimit(resource.RLIMIT_NOFILE, (24, 24))

        out = scratch()
        done = run(BROKEN, "--jobs=20", "--out", out, "endings", preexec=limit)
        self.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
        self.assertIn("cases did not run: cannot start a process", done.stdout)
        self.assertIn("JOBS=n", done.stdout)
        self.assertIn("\nBail out! ", (out / "report.tap").read_text())
        self.assertEqual(support.xmllint(out / "report.xml").returncode, 0)

    def test_arguments_in_host_json(self):
        out = scratch()
        run(BROKEN, "--out", out, "--jobs=1", ONE)
        command = json.loads((out / "host.json").read_text())["command"]
        self.assertEqual(command[1:], ["--out", str(out), "--jobs=1", ONE])
