# SPDX-License-Identifier: MIT
"""
ci/report kcidb: what it writes is what KCIDB takes, by a schema of our own, made from the names and
types in KCIDB's (kernelci/kcidb-io, I/O schema v5.0 to v5.3) of what is used here.
"""

import json
import unittest
from typing import Any

import jsonschema

from lab import CANNOT_RUN, TOP, support

scratch = support.scratch
REPORT = TOP / "ci/report"

TEXT = {"type": "string", "pattern": "^[^\0]*$"}
ORIGIN = {"type": "string", "pattern": "^[a-z0-9_]+$"}
ID = {"type": "string", "pattern": "^[a-z0-9_]+:.*$"}
STATUS = {"enum": ["FAIL", "ERROR", "MISS", "PASS", "DONE", "SKIP"]}
TIME = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"}
PATH = {"type": "string", "pattern": r"^([a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)*)?$"}


def strict(required: str, **members: Any) -> dict:
    return {"type": "object", "properties": members, "additionalProperties": False,
            "required": required.split()}


def many(required: str, **members: Any) -> dict:
    return {"type": "array", "minItems": 1, "items": strict(
        f"id origin {required}", id=ID, origin=ORIGIN, comment=TEXT, misc={"type": "object"}, **members)}


SCHEMA = strict(
    "version",
    version=strict("major", major={"const": 5}, minor={"type": "integer", "minimum": 0, "maximum": 3}),
    checkouts=many("", valid={"type": "boolean"}, start_time=TIME),
    builds=many("checkout_id", checkout_id=ID, architecture={"type": "string", "pattern": "^[a-z0-9_]*$"},
                start_time=TIME, status=STATUS),
    tests=many("build_id", build_id=ID, path=PATH, status=STATUS, start_time=TIME,
               environment=strict("", comment=TEXT, misc={"type": "object"}),
               duration={"type": "number"}, log_excerpt={**TEXT, "maxLength": 16384}),
    issues=many("version", version={"type": "integer", "minimum": 0},
                report_url={"type": "string", "format": "uri"},
                culprit=strict("", **{who: {"type": "boolean"} for who in ("code", "tool", "harness")})),
    incidents=many("issue_id issue_version", issue_id=ID, issue_version={"type": "integer", "minimum": 0},
                   test_id=ID, present={"type": "boolean"}))


class Kcidb(unittest.TestCase):
    def report(self, *args: object) -> dict:
        done = support.run(REPORT, "kcidb", "--origin=lab_1", *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        data = json.loads(done.stdout)
        jsonschema.validate(data, SCHEMA)
        return data

    def test_what_the_records_say(self):
        _, results = support.broken_run()
        data = self.report(results.directory)
        status = {"pass": "PASS", "fail": "FAIL", "known": "FAIL", "skip": "SKIP", "error": "ERROR"}
        self.assertEqual({test["path"]: test["status"] for test in data["tests"]},
                         {"kvmspec." + record["case"].replace("/", "."): status[record["verdict"]]
                          for record in results.records})
        seconds = {test["path"]: test["duration"] for test in data["tests"]}
        self.assertEqual(seconds["kvmspec.endings.passes"],
                         results.by_case["endings/passes"]["seconds"])
        excerpts = {test["path"]: test.get("log_excerpt") for test in data["tests"]}
        self.assertIn("expected: yes\ngot: no", excerpts["kvmspec.words.no_is_no_boolean"])
        self.assertIsNone(excerpts["kvmspec.endings.passes"])

    def test_long_texts_are_cut(self):
        out = scratch()
        support.run(support.BROKEN, "--out", out, "words/no_is_no_boolean")
        records = out / "cases.jsonl"
        records.write_text(records.read_text().replace('"got":"no"', f'"got":"{"no" * 10000}"'))
        test, = self.report(out)["tests"]
        self.assertEqual(len(test["log_excerpt"]), 16384)

    def test_all_is_linked(self):
        data = self.report(support.broken_run()[1].directory)
        ids = {kind: [one["id"] for one in data[kind]] for kind in data if kind != "version"}
        for kind, found in ids.items():
            self.assertEqual(len(found), len(set(found)), kind)
        self.assertEqual({build["checkout_id"] for build in data["builds"]}, set(ids["checkouts"]))
        self.assertEqual({test["build_id"] for test in data["tests"]}, set(ids["builds"]))
        self.assertEqual({one["issue_id"] for one in data["incidents"]}, set(ids["issues"]))
        self.assertLessEqual({one["test_id"] for one in data["incidents"]}, set(ids["tests"]))

    def test_known_deviations_are_incidents(self):
        _, results = support.broken_run()
        data = self.report(results.directory)
        paths = {test["id"]: test["path"] for test in data["tests"]}
        reasons = {issue["id"]: issue["comment"] for issue in data["issues"]}
        self.assertEqual(
            {paths[one["test_id"]]: reasons[one["issue_id"]] for one in data["incidents"]},
            {"kvmspec." + record["case"].replace("/", "."): record["reason"]
             for record in results.records if record["verdict"] == "known"})

    def test_the_same_run_has_the_same_ids(self):
        directory = support.broken_run()[1].directory
        twice = self.report(directory, directory)
        self.assertEqual(twice, self.report(directory))

    def test_other_runs_have_others(self):
        out = scratch()
        support.run(support.BROKEN, "--out", out, "endings/passes", "known")
        both = self.report(out, support.broken_run()[1].directory)
        paths = [test["path"] for test in both["tests"]]
        self.assertEqual(paths.count("kvmspec.endings.passes"), 2)
        self.assertEqual(len(both["builds"]), 1)

    def test_repeated_cases_have_one_path(self):
        out = scratch()
        support.run(support.BROKEN, "--out", out, "--repeat=2", "endings/passes")
        tests = self.report(out)["tests"]
        self.assertEqual([test["path"] for test in tests], ["kvmspec.endings.passes"] * 2)

    def test_of_a_build_that_is_known(self):
        data = self.report("--build=redhat:123", support.broken_run()[1].directory)
        self.assertNotIn("builds", data)
        self.assertNotIn("checkouts", data)
        self.assertEqual({test["build_id"] for test in data["tests"]}, {"redhat:123"})

    def test_no_such_origin_or_build(self):
        directory = support.broken_run()[1].directory
        for args, says in ((["--origin=My CI"], "KCIDB knows no origin 'My CI'"),
                           (["--origin=ci", "--build=123"], "'123' is no id of KCIDB's")):
            done = support.run(REPORT, "kcidb", *args, directory)
            self.assertEqual(done.returncode, CANNOT_RUN)
            self.assertIn(says, done.stderr)


if __name__ == "__main__":
    unittest.main()
