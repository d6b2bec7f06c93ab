# SPDX-License-Identifier: MIT
"""Each kind of failure is diagnosed as harness/tests/expected says: see expectations.py."""

import unittest

import expectations


class Expectations(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.results = expectations.expected_run()
        cls.points = expectations.points(cls.results)
        cls.vendor = cls.results.host["vendor"]

    def compare(self, case: str) -> None:
        path = expectations.path_of(case, self.vendor)
        self.assertMultiLineEqual(path.read_text(), self.points[case],
                                  f"{path.name}; if that is as it should be: make expectations")

    def test_every_point_is_found(self):
        self.assertEqual(set(self.points), set(self.results.by_case))

    def test_diagnoses(self):
        for case in expectations.SAME_EVERYWHERE:
            with self.subTest(case):
                if not expectations.not_here(self.results, case):
                    self.compare(case)

    def test_diagnoses_by_vendor(self):
        if not (expectations.EXPECTED / self.vendor).is_dir():
            self.skipTest(f"nothing is stored for {self.vendor} yet: make expectations")
        for case in expectations.BY_VENDOR:
            with self.subTest(case):
                if not expectations.not_here(self.results, case):
                    self.compare(case)

    def test_nothing_else_is_stored(self):
        known = {expectations.path_of(case, "vendor").name
                 for case in [*expectations.SAME_EVERYWHERE, *expectations.BY_VENDOR]}
        stored = {path.name for path in expectations.EXPECTED.rglob("*.tap")}
        self.assertEqual(stored, known)
