# SPDX-License-Identifier: MIT
"""ci/report coverage: what runs reached, and the reasons for what they did not."""

from __future__ import annotations

import errno
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

    def test_runs_with_another_kvm(self) -> None:
        one = made(record("a/x"))
        one.host["lab"] = {"kvm_config": ["KVM_SW_PROTECTED_VM=y"]}
        measured = api_coverage.measure([made(record("a/x")), one])
        self.assertEqual(api_coverage.table(measured, {})[:2], [
            "host, kvm_amd, Linux 6.1.2-test", "host, kvm_amd, Linux 6.1.2-test, KVM_SW_PROTECTED_VM"])
        self.assertEqual(measured["runs"][0], {"engine": "host", "vendor": "kvm_amd", "kernel": "6.1.2-test"})

    def test_a_checked_capability_is_reached(self) -> None:
        run = made(record("a/x", capabilities={"KVM_CAP_HLT": "checked"}), record("a/y", capabilities={"KVM_CAP_PIT": "checked"}),
                   record("a/z", capabilities={"KVM_CAP_PIT": "needed"}))
        measured = api_coverage.measure([run])
        self.assertEqual(measured["capability"]["KVM_CAP_HLT"], {"checked": 1})
        self.assertTrue(api_coverage.reached(measured, "capability", "KVM_CAP_HLT"))
        title, = [line for line in api_coverage.table(measured, {}) if line.startswith("capabilities")]
        self.assertIn(": 2 of 127, 1 only checked;", title)

    def test_errors_are_those_of_their_pairs(self) -> None:
        run = made(record("a/x", ioctls={"KVM_RUN": {"ok": 7, "EINTR": 2}, "KVM_ENABLE_CAP": {"ok": 1, "EINVAL": 1}},
                          shared_ioctls={"vm KVM_ENABLE_CAP": {"ok": 1}, "vcpu KVM_ENABLE_CAP": {"EINVAL": 1}}),
                   record("a/y", ioctls={"KVM_RUN": {"EINTR": 1}}))
        errors = api_coverage.measure([run])["error"]
        self.assertEqual({name: results for name, results in errors.items() if results},
                         {"vcpu KVM_RUN EINTR": {"returned": 2}, "vcpu KVM_ENABLE_CAP EINVAL": {"returned": 1}})
        self.assertEqual(errors["vm KVM_ENABLE_CAP EINVAL"], {})

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

    def test_each_pair_has_its_errors(self) -> None:
        pairs = [name for item in coverage.surface() if item.kind == "ioctl" for name in api_coverage.item_names(item)]
        self.assertEqual([pair for pair, *_ in coverage.rows(coverage.ERRORS)], pairs)

    def test_errors_are_errors(self) -> None:
        ioctls = {name: item for item in coverage.surface() for name in api_coverage.item_names(item) if item.kind == "ioctl"}
        errors = [item for item in coverage.surface() if item.kind == "error"]
        self.assertEqual(len(errors), len({item.name for item in errors}), "something is there twice")
        for item in errors:
            pair, _, name = item.name.rpartition(" ")
            self.assertTrue(hasattr(errno, name) or name == "EHWPOISON", item.name)  # which Python learned in 3.14
            self.assertTrue(item.exists_in(item.since) and ioctls[pair].exists_in(item.since), f"{item.name} is older than its ioctl")

    def test_an_error_is_documented_or_not_and_since(self) -> None:
        found = {item.name: (item.source, item.since) for item in coverage.surface() if item.kind == "error"}
        self.assertEqual([found[f"vcpu KVM_RUN {name}"] for name in ("EINTR", "EHWPOISON", "EAGAIN")],
                         [("api.rst", "6.1"), ("api.rst", "6.8"), ("code", "6.1")])
        self.assertEqual(found["vcpu KVM_PRE_FAULT_MEMORY EINTR"], ("api.rst", "6.11"), "since its ioctl")


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

    def test_an_error_that_did_not_come_needs_one(self) -> None:
        del self.why["error", "vcpu KVM_RUN EHWPOISON"]
        self.assertEqual(api_coverage.problems(self.measured, self.why),
                         ["error vcpu KVM_RUN EHWPOISON is not reached, and unreached.tsv does not say why"])

    def test_an_error_that_nothing_lists_is_told(self) -> None:
        measured = api_coverage.measure([made(record("a/x", ioctls={"KVM_NMI": {"EBUSY": 1}}))])
        why = {key: "a reason" for key in api_coverage.missing(measured)}
        self.assertEqual(api_coverage.problems(measured, why), ["error vcpu KVM_NMI EBUSY came, and is not in errors.tsv"])

    def test_the_table_has_them(self) -> None:
        lines = [line.strip() for line in api_coverage.table(self.measured, self.why)]
        line, = [line for line in lines if line.startswith("vm KVM_CREATE_VCPU ") and "EINVAL (code)" in line]
        self.assertIn("not reached: a reason", line)
        self.assertIn("vm KVM_CREATE_VCPU EINVAL", " ".join(lines))

    def test_the_table_names_errors_that_did_not_come(self) -> None:
        measured = api_coverage.measure([made(record("a/x", ioctls={"KVM_INTERRUPT": {"ok": 1, "EEXIST": 1, "ENXIO": 1}}))])
        lines = [line.strip() for line in api_coverage.table(measured, {("error", "vcpu KVM_INTERRUPT EFAULT"): "it is lost"})]
        line, = [line for line in lines if line.startswith("vcpu KVM_INTERRUPT  ")]
        self.assertTrue(line.endswith("ok 1 EEXIST 1 ENXIO 1; without EFAULT (api.rst), EINVAL (api.rst)"), line)
        about = [line.split(maxsplit=3)[2:] for line in lines if line.startswith("vcpu KVM_INTERRUPT E")]
        self.assertEqual(about, [["EFAULT", "not reached: it is lost"], ["EINVAL", "not reached: for no reason given"]])


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
