# SPDX-License-Identifier: MIT
"""ci/report coverage: what runs reached, and the reasons for what they did not."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / "harness/tests"), str(Path(__file__).resolve().parents[1])]

import support  # noqa: E402: needs the path
from reporting import api_coverage, coverage, runs  # noqa: E402

REPORT = support.ROOT / "ci/report"
HOST = {"schema": 1, "engine": "host", "vendor": "kvm_amd", "kernel": "6.1.2-test", "capabilities": {}}


def record(case: str, **more: Any) -> dict[str, Any]:
    return {"schema": 1, "case": case, "verdict": "pass", "seconds": 0.1, "ioctls": {}, "shared_ioctls": {},
            "exits": {}, "capabilities": {}, "fields": {}} | more


def made(*records: dict[str, Any]) -> runs.Run:
    files = {runs.HOST: json.dumps(HOST), runs.CASES: "".join(json.dumps(one) + "\n" for one in records)}
    return runs.parse("made-up", lambda file: files[file].encode() if file in files else None)


class Tally(unittest.TestCase):
    def test_cases_are_counted_by_result(self) -> None:
        first = made(record("a/x", ioctls={"KVM_RUN": {"ok": 7, "EINTR": 2}}), record("a/y", ioctls={"KVM_RUN": {"ok": 1}}))
        second = made(record("a/x", ioctls={"KVM_RUN": {"EINVAL": 1}}))
        self.assertEqual(api_coverage.measure([first, second])["ioctl"]["vcpu KVM_RUN"], {"ok": 2, "EINTR": 1, "EINVAL": 1})

    def test_kinds_of_descriptors_are_told_apart(self) -> None:
        run = made(record("a/x", ioctls={"KVM_ENABLE_CAP": {"ok": 1, "EINVAL": 1}},
                          shared_ioctls={"vm KVM_ENABLE_CAP": {"ok": 1}, "vcpu KVM_ENABLE_CAP": {"EINVAL": 1}}))
        measured = api_coverage.measure([run])
        self.assertTrue(api_coverage.reached(measured, "ioctl", "vm KVM_ENABLE_CAP"))
        self.assertEqual(measured["ioctl"]["vcpu KVM_ENABLE_CAP"], {"EINVAL": 1})
        self.assertFalse(api_coverage.reached(measured, "ioctl", "vcpu KVM_ENABLE_CAP"), "by an error alone")

    def test_a_repeated_case_counts_once(self) -> None:
        run = made(record("a/x/1", filter="a/x", exits={"KVM_EXIT_HLT": 3}), record("a/x/2", filter="a/x", exits={"KVM_EXIT_HLT": 1}))
        self.assertEqual(api_coverage.measure([run])["exit"]["KVM_EXIT_HLT"], {"returned": 1})

    def test_capabilities_by_their_use(self) -> None:
        run = made(record("a/x", capabilities={"KVM_CAP_HALT_POLL": "refused"}), record("a/y", capabilities={"KVM_CAP_HALT_POLL": "enabled"}))
        self.assertEqual(api_coverage.measure([run])["capability"]["KVM_CAP_HALT_POLL"], {"enabled": 1, "refused": 1})

    def test_fields_by_what_was_done_with_them(self) -> None:
        run = made(record("a/x", exits={"KVM_EXIT_IO": 2}, fields={"io.port": "asserted", "immediate_exit": "set"}),
                   record("a/y", exits={"KVM_EXIT_IO": 1}))
        measured = api_coverage.measure([run])
        found = {name: measured["field"][name] for name in ("io.port", "io.size", "mmio.len", "immediate_exit")}
        self.assertEqual(found, {"io.port": {"asserted": 1, "seen": 1}, "io.size": {"seen": 2}, "mmio.len": {},
                                 "immediate_exit": {"set": 1}})
        self.assertEqual([name for name in found if api_coverage.reached(measured, "field", name)],
                         ["io.port", "immediate_exit"])

    def test_baselines_do_not_say_it(self) -> None:
        one = record("a/x")
        del one["fields"]
        with self.assertRaisesRegex(runs.ReportError, "made-up does not say"):
            api_coverage.measure([made(one)])


class Surface(unittest.TestCase):
    def test_there_are_119_pairs(self) -> None:
        pairs = [name for item in coverage.surface() if item.kind == "ioctl" for name in api_coverage.item_names(item)]
        self.assertEqual((len(pairs), len(set(pairs))), (119, 119))


class Reasons(unittest.TestCase):
    def setUp(self) -> None:
        self.measured = api_coverage.measure([made(record("a/x", exits={"KVM_EXIT_HLT": 1}))])
        self.why = {key: "a reason" for key in api_coverage.missing(self.measured)}

    def test_all_that_is_missing_has_one(self) -> None:
        self.assertEqual(api_coverage.problems(self.measured, self.why), [])

    def test_what_has_none_is_told(self) -> None:
        del self.why["exit", "KVM_EXIT_NOTIFY"]
        self.assertEqual(api_coverage.problems(self.measured, self.why),
                         ["exit KVM_EXIT_NOTIFY is not reached, and unreached.tsv does not say why"])

    def test_a_reason_for_what_is_reached_is_told(self) -> None:
        self.why["exit", "KVM_EXIT_HLT"] = "it was hard"
        self.assertEqual(api_coverage.problems(self.measured, self.why),
                         ["exit KVM_EXIT_HLT is in unreached.tsv, and is reached, or is nothing to reach"])

    def test_the_table_has_them(self) -> None:
        line, = [line for line in api_coverage.table(self.measured, self.why) if "vm KVM_CREATE_VCPU" in line]
        self.assertIn("not reached: a reason", line)


class CommandLine(unittest.TestCase):
    def report(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([REPORT, "coverage", *arguments], capture_output=True, text=True)

    def test_json_is_what_is_committed(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / runs.HOST).write_text(json.dumps(HOST))
            (Path(directory) / runs.CASES).write_text(json.dumps(record("a/x", exits={"KVM_EXIT_HLT": 1})) + "\n")
            result = self.report(directory, "--json")
        self.assertEqual(json.loads(result.stdout)["exit"]["KVM_EXIT_HLT"], {"returned": 1}, result.stderr)
        self.assertEqual(set(json.loads(api_coverage.MEASURED.read_text())), set(json.loads(result.stdout)))

    def test_of_no_run(self) -> None:
        result = self.report()
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("Name a run", result.stderr)


if __name__ == "__main__":
    unittest.main()
