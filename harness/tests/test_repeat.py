# SPDX-License-Identifier: MIT
"""Repeating, shuffling, stopping at the first failure, and what is said about flaky cases."""

import json
import unittest

import support
from support import BROKEN, run, scratch

FLAKY = "flaky/fails_the_third_time"
STEADY = "endings/passes"


class Repeat(unittest.TestCase):
    def repeat(self, *args):
        self.out = scratch()
        environment = support.environment(KVMSPEC_TEST_COUNTER=str(scratch() / "counter"))
        done = run(BROKEN, "--jobs=1", "--out", self.out, *args, FLAKY, STEADY, env=environment)
        checked = support.validate(self.out)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        return done, support.Results(self.out)

    def flaky(self):
        return json.loads((self.out / "flaky.json").read_text())

    def test_flaky(self):
        done, results = self.repeat("--repeat=8")
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"\n  {FLAKY}: 7 pass, 1 fail (12.5 %)\n", done.stdout)
        self.assertIn(f"\n# flaky: {FLAKY}: 7 pass, 1 fail (12.5 %)\n", results.tap)
        self.assertEqual(self.flaky(), {"schema": 1, "rounds": 8, "flaky": [
            {"case": FLAKY, "verdicts": {"pass": 7, "fail": 1}, "rate": 0.125}]})

    def test_rounds_follow_each_other(self):
        _, results = self.repeat("--repeat=3")
        self.assertEqual(list(results.by_case),
                         [f"{case}/{n}" for n in (1, 2, 3) for case in (STEADY, FLAKY)])

    def test_not_flaky(self):
        done, _ = self.repeat("--repeat=2")
        self.assertEqual(done.returncode, 0)
        self.assertIn("no case changed its verdict", done.stdout)
        self.assertEqual(self.flaky()["flaky"], [])

    def test_no_report_without_repeats(self):
        self.repeat("--repeat=2")
        run(BROKEN, "--out", self.out, STEADY)
        self.assertFalse((self.out / "flaky.json").exists(), "the earlier run's")

    def test_until_fail(self):
        done, results = self.repeat("--until-fail")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(results.by_case[f"{FLAKY}/3"]["verdict"], "fail")
        self.assertNotIn(f"{FLAKY}/4", results.by_case)
        self.assertIn(f"{FLAKY}: 2 pass, 1 fail", done.stdout)
        self.assertIn("did not run: a case failed (--until-fail)", done.stdout)
        self.assertRegex(results.tap, r"Bail out! After \d of 20000 cases: a case failed")

    def test_until_fail_with_a_bound(self):
        done, results = self.repeat("--until-fail", "--repeat=2")
        self.assertEqual((done.returncode, len(results.records)), (0, 4), done.stdout)

    def test_until_fail_in_the_last_case(self):
        done, results = self.repeat("--until-fail", "--repeat=3")
        self.assertEqual((done.returncode, len(results.records)), (1, 6), done.stdout)
        self.assertNotIn("did not run", done.stdout)


class Shuffle(unittest.TestCase):
    def order(self, *args):
        return run(BROKEN, "--list", *args, "words", "endings").stdout.splitlines()

    def test_a_seed_is_an_order(self):
        self.assertEqual(self.order("--shuffle=1"), self.order("--shuffle=1"))
        self.assertNotEqual(self.order("--shuffle=1"), self.order("--shuffle=2"))
        self.assertNotEqual(self.order("--shuffle"), self.order("--shuffle"))
        self.assertEqual(sorted(self.order("--shuffle=1")), self.order())

    def test_each_round_has_its_own(self):
        listed = self.order("--shuffle=1", "--repeat=2")
        half = len(listed) // 2
        rounds = [[case.rpartition("/")[::2] for case in part]
                  for part in (listed[:half], listed[half:])]
        for number, cases in zip("12", rounds):
            self.assertEqual({n for _, n in cases}, {number})
        self.assertNotEqual(*[[case for case, _ in cases] for cases in rounds])

    def test_cases_run_in_that_order_and_the_seed_is_recorded(self):
        out = scratch()
        done = run(BROKEN, "--jobs=1", "--shuffle", "--out", out, "needs", "known")
        results = support.Results(out)
        seed = results.host["shuffle_seed"]
        self.assertIn(f"--shuffle={seed} ", done.stdout)
        self.assertEqual(
            list(results.by_case),
            run(BROKEN, "--list", f"--shuffle={seed}", "needs", "known").stdout.splitlines())
        self.assertEqual(support.validate(out).returncode, 0)

    def test_bad_seeds(self):
        for seed in ("", "x", "-1", "1x", "4294967296"):
            done = run(BROKEN, f"--shuffle={seed}")
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(f"'{seed}'", done.stderr)
