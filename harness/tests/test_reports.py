# SPDX-License-Identifier: MIT
"""TAP, JUnit and cases.jsonl say the same, and programs that were not written here can read them."""

import re
import subprocess
import unittest
import xml.etree.ElementTree as ElementTree

import junitparser
import tap.parser
import yaml

import support

# harness/tests/broken/words.c: NASTY, as every report must show it
NASTY = ("<a href=\"x\">&amp; ]]> 'q' # TODO \\ \\n %d: - | ~ {[\n  ...\n---\nok 1 - \té€\U0001f427 "
         r"\xff\xc0\xaf\xed\xa0\x80\x01\x7f\xc2\x85\xe2\x80\xa8\x1b[31m\x0d end")


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.done, cls.results = support.broken_run()
        cls.tap = [line for line in tap.parser.Parser().parse_text(cls.results.tap)]
        cls.points = {line.description.removeprefix("- "): line
                      for line in cls.tap if line.category == "test"}
        cls.suite = ElementTree.parse(cls.results.junit).getroot().find("testsuite")
        cls.junit = {f"{case.get('classname')}/{case.get('name')}": case
                     for case in cls.suite.iter("testcase")}

    def test_results_directory_is_as_described(self):
        done = support.validate(self.results.directory)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_same_cases_in_all(self):
        cases = set(self.results.by_case)
        self.assertEqual(set(self.points), cases)
        self.assertEqual(set(self.junit), cases)
        self.assertEqual(f"1..{len(cases)}", self.results.tap.splitlines()[1])

    def test_nasty_message_in_all(self):
        case = "words/nasty_failure"
        record, point = self.results.by_case[case], self.points[case]
        for member in ("expected", "got"):
            self.assertEqual(record[member], NASTY)
            self.assertEqual(point.yaml_block[member], NASTY)
            self.assertEqual(self.diagnosis(case)[member], NASTY)
        self.assertEqual(self.junit[case].find("failure").get("message"),
                         f"expected {NASTY}; got {NASTY}")
        self.assertEqual(point.yaml_block["contract"],
                         'fixture.contract: A <contract> & its "text"')
        self.assertEqual(point.yaml_block["documented"], "nowhere, section #5")

    def test_a_long_contract_is_cut_and_shown(self):
        contract = self.points["diagnoses/long_contract"].yaml_block["contract"]
        self.assertTrue(contract.startswith("fixture.cut: A sentence that is too long, and A "))
        self.assertTrue(contract.endswith(r"\xe2\x82"), contract)

    def test_nasty_reasons_in_all(self):
        case = "words/nasty_error"
        self.assertEqual(self.results.by_case[case]["reason"], NASTY)
        self.assertEqual(self.points[case].yaml_block["reason"], NASTY)
        self.assertEqual(self.junit[case].find("error").get("message"), NASTY)
        case = "words/nasty_skip"
        self.assertEqual(self.results.by_case[case]["reason"], NASTY)
        self.assertEqual(self.junit[case].find("skipped").get("message"), NASTY)
        # a directive is one line, with # and \ escaped
        escaped = NASTY.replace("\\", "\\\\").replace("#", "\\#").replace("\n", " ")
        self.assertIn(f"- {case} # SKIP {escaped}\n", self.results.tap)
        ktap = (self.results.directory / "report.ktap").read_text()
        self.assertIn(f" nasty_skip # SKIP {escaped}\n", ktap)

    def test_nasty_output_in_all(self):
        case = "words/nasty_output"
        text = NASTY + "and on stderr\n"
        self.assertEqual(self.results.by_case[case]["output"], text)
        self.assertEqual(self.junit[case].find("system-out").text, text)
        case = "words/nasty_output_of_a_failure"
        self.assertEqual(self.points[case].yaml_block["output"], NASTY)
        self.assertEqual(self.diagnosis(case)["output"], NASTY)

    def diagnosis(self, case: str) -> dict:
        element = self.junit[case]
        outcome = element.find("failure")
        return yaml.safe_load((element.find("error") if outcome is None else outcome).text)

    def test_diagnoses_are_the_record(self):
        same = {"at": "at", "expected": "expected", "got": "got", "reason": "reason",
                "guest": "guest", "rip_at": "at_label", "output": "output",
                "last_exits": "last_exits", "output_bytes_lost": "output_bytes_lost"}
        for case, record in self.results.by_case.items():
            if record["verdict"] in ("pass", "skip"):
                self.assertIsNone(self.points[case].yaml_block, case)
                continue
            with self.subTest(case):
                block = self.points[case].yaml_block
                for name, member in same.items():
                    self.assertEqual(block.get(name), record.get(member), name)
                if record["verdict"] != "known":
                    self.assertEqual(self.diagnosis(case), block)
                for name, value in record.get("registers", {}).items():
                    self.assertIn(f"{name}={value}", block["registers"])

    def test_tap_points(self):
        for number, record in enumerate(self.results.records, 1):
            point = self.points[record["case"]]
            verdict = record["verdict"]
            self.assertEqual(point.number, number)
            self.assertEqual(point.ok, verdict in ("pass", "skip"), record["case"])
            self.assertEqual(point.skip, verdict == "skip", record["case"])
            self.assertEqual(point.todo, verdict == "known" or record["case"] == "known/passes",
                             record["case"])

    def test_perl_reads_tap(self):
        done = subprocess.run(["prove", "--exec", "cat",
                               self.results.directory / "report.tap"],
                              text=True, capture_output=True)
        bad = self.results.count("fail", "error")
        self.assertIn(f"Tests: {len(self.results.records)} Failed: {bad})", done.stdout)
        self.assertNotIn("Parse errors", done.stdout)
        self.assertIn("TODO passed:", done.stdout)

    def test_junit_is_valid(self):
        done = support.xmllint(self.results.junit)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_junit_counts(self):
        results, suite = self.results, self.suite
        wanted = {"tests": len(results.records), "failures": results.count("fail"),
                  "errors": results.count("error"), "skipped": results.count("skip", "known")}
        for name, count in wanted.items():
            self.assertEqual(int(suite.get(name)), count, name)
        element = {"failures": "failure", "errors": "error", "skipped": "skipped"}
        for name, tag in element.items():
            self.assertEqual(len(list(suite.iter(tag))), wanted[name], tag)
        parsed, = junitparser.JUnitXml.fromfile(str(results.junit))
        self.assertEqual((parsed.tests, parsed.failures, parsed.errors, parsed.skipped),
                         tuple(wanted.values()))

    def test_junit_properties_are_the_host(self):
        properties = {p.get("name"): p.get("value") for p in self.suite.iter("property")}
        host = self.results.host
        self.assertEqual(properties, {k: v for k, v in host.items() if isinstance(v, str)})

    def test_host(self):
        host = self.results.host
        self.assertEqual(host["schema"], 1)
        self.assertRegex(host["started"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(host["command"][1:], ["--out", str(self.results.directory)])
        self.assertGreater(host["capabilities"]["KVM_CAP_USER_MEMORY"], 0)

    def test_only_one_line_a_record(self):
        lines = (self.results.directory / "cases.jsonl").read_bytes().split(b"\n")
        self.assertEqual(lines[-1], b"", "the last line ends too")
        self.assertEqual(len(lines) - 1, len(self.results.records))

    def test_no_control_characters(self):
        for name in ("cases.jsonl", "report.tap", "report.ktap", "report.xml", "host.json"):
            text = (self.results.directory / name).read_text(encoding="utf-8")
            self.assertIsNone(re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]", text), name)


class Validator(unittest.TestCase):
    """ci/validate.py finds what is wrong; Reports checks that it accepts what is right."""

    def damaged(self, name: str, old: str, new: str) -> str:
        """What the validator says after a change to one file of good results."""
        out = support.scratch()
        for path in support.broken_run()[1].directory.iterdir():
            text = path.read_text()
            if path.name == name:
                self.assertTrue(old in text, f"no {old} in {name}")
                text = text.replace(old, new, 1)
            (out / path.name).write_text(text)
        done = support.validate(out)
        self.assertEqual(done.returncode, 1, f"{name}: {old} -> {new}")
        return done.stdout

    def test_damage(self):
        for name, old, new, complaint in [
            ("cases.jsonl", '"schema":1', '"schema":2', "schema is 2"),
            ("cases.jsonl", '"verdict":"pass"', '"verdict":"fine"', "verdict is 'fine'"),
            ("cases.jsonl", '"verdict":"pass"', '"verdict":"skip"', "skip without a reason"),
            ("cases.jsonl", '"kvm_runs"', '"runs"', "has no kvm_runs"),
            ("cases.jsonl", '"KVM_EXIT_HLT":1', '"HLT":1', "exits is"),
            ("cases.jsonl", '"KVM_CAP_USER_MEMORY":"needed"', '"KVM_CAP_USER_MEMORY":1',
             "capabilities is"),
            ("cases.jsonl", '"exit_reason":"asserted"', '"exit_reason":"read"', "fields is"),
            ("cases.jsonl", '"endings/passes"', '"endings/fails"', "a case is there twice"),
            ("cases.jsonl", "{", "", "cases.jsonl:1"),
            ("host.json", '"vendor"', '"seller"', "has no vendor"),
            ("report.tap", "TAP version 13", "TAP version 12", "no version and plan"),
            ("report.tap", "not ok ", "ok ", "is not the record's"),
            ("report.tap", "1..", "1..1", "no Bail out"),
            ("report.ktap", "KTAP version 1", "KTAP version 2", "no version and plan"),
            ("report.ktap", "  not ok ", "  ok ", "instead of '  not ok"),
            ("report.ktap", " # XFAIL ", " # TODO ", "instead of"),
            ("report.ktap", "\nnot ok ", "\nok ", "instead of 'not ok"),
            ("report.ktap", "1..", "1..1", "no Bail out"),
            ("report.ktap", "  # Subtest: endings\n", "", "no areas ['endings']"),
            ("report.xml", 'failures="', 'failures="1', "but the records say"),
            ("report.xml", 'name="passes"', 'name="passed"', "instead of"),
            ("report.xml", "</testsuites>", "", "report.xml"),
        ]:
            with self.subTest(complaint):
                self.assertIn(complaint, self.damaged(name, old, new))

    def test_missing_file(self):
        self.assertEqual(support.validate(support.scratch()).returncode, 1)
