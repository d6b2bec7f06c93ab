# SPDX-License-Identifier: MIT
"""Runs that are streamed and received; streams that are cut off or damaged on the way."""

import json
import re
import unittest
import zlib
from functools import cache
from pathlib import Path

import support
from support import BROKEN, run, scratch

PASS, FAILED, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
AREAS = ["endings", "needs", "known"]


def frame(number: int, name: str, value: object) -> str:
    text = json.dumps({name: value})
    return f"{number} {zlib.crc32(text.encode()):08x} {text}\n"


@cache
def stream() -> list[str]:
    """The lines of a run, one case at a time; the directory that it wrote besides."""
    file = scratch() / "stream"
    run(BROKEN, "--jobs=1", f"--stream={file}", *AREAS)
    return file.read_text().splitlines(keepends=True)


def names(lines: list[str]) -> list[str]:
    return [re.match(r'\d+ \w{8} \{"(\w+)"', line)[1] for line in lines if line != "\n"]


class Stream(unittest.TestCase):
    def receive(self, lines: list[str], status: int):
        file, self.out = scratch() / "stream", scratch()
        file.write_text("".join(lines))
        self.done = run(BROKEN, f"--receive={file}", f"--out={self.out}")
        self.assertEqual(self.done.returncode, status, self.done.stdout + self.done.stderr)
        if not (self.out / "host.json").exists():
            return None
        done = support.validate(self.out)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(support.xmllint(self.out / "report.xml").returncode, 0)
        return support.Results(self.out)

    def position(self, name: str, after: int = 0) -> int:
        return next(i for i, line in enumerate(stream()) if i > after and f'{{"{name}"' in line)

    def case_at(self, line: int) -> str:
        return json.loads(stream()[line].split(" ", 2)[2])["starting"]

    def test_the_same_reports(self):
        file, out = scratch() / "stream", scratch()
        direct = run(BROKEN, "--jobs=1", f"--stream={file}", f"--out={out}", *AREAS)
        received = self.receive([file.read_text()], FAILED)
        for name in ("cases.jsonl", "report.tap", "report.ktap", "host.json"):
            self.assertEqual((self.out / name).read_text(), (out / name).read_text(), name)
        differs = re.compile(r'results in \S+|in [\d.]+ s;|time="[\d.]+"')
        self.assertEqual(differs.sub("", (self.out / "report.xml").read_text()),
                         differs.sub("", (out / "report.xml").read_text()))
        self.assertEqual(differs.sub("", self.done.stdout), differs.sub("", direct.stdout))
        self.assertEqual(self.done.stderr, "")
        self.assertTrue(received.records)

    def test_order(self):
        cases = len(run(BROKEN, "--list", *AREAS).stdout.split())
        self.assertEqual(names(stream()), ["begin", *["starting", "record"] * cases, "end"])

    def test_a_fault_that_is_no_cases_fails_the_run(self):
        file = scratch() / "stream"
        run(BROKEN, f"--stream={file}", "endings/passes")
        *lines, end = file.read_text().splitlines(keepends=True)
        number, _, text = end.split(" ", 2)
        value = json.loads(text)["end"]
        self.assertEqual(value["strays"], [])
        value["strays"] = ["kvm: stray"]
        results = self.receive([*lines, frame(int(number), "end", value)], FAILED)
        self.assertEqual([record["verdict"] for record in results.records], ["pass"])
        self.assertIn("while no case ran, which fails the run:\n  kvm: stray\n", self.done.stdout)
        self.assertIn("# kernel log, while no case ran: kvm: stray\n", results.tap)

    def test_only_a_stream(self):
        where = scratch()
        done = run(BROKEN, f"--stream={where}/s", "endings/passes", cwd=where)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (PASS, "", ""))
        self.assertEqual([path.name for path in where.iterdir()], ["s"])

    def test_cut_off(self):
        at = self.position("starting", after=10)
        results = self.receive(stream()[:at + 1], CANNOT_RUN)
        record = results.records[-1]
        self.assertEqual((record["case"], record["verdict"], record["reason"]),
                         (self.case_at(at), "error", "the stream ended in the middle of the run"))
        self.assertIn("\nBail out! ", results.tap)

    def test_cut_off_in_a_line(self):
        at = self.position("record", after=10)
        results = self.receive([*stream()[:at], stream()[at][:50]], CANNOT_RUN)
        self.assertIn("kvmspec: a damaged line in the stream: ", self.done.stderr)
        self.assertEqual(results.records[-1]["case"], self.case_at(at - 1))
        self.assertEqual(results.records[-1]["verdict"], "error")

    def test_damaged_record(self):
        at = self.position("record", after=10)
        start, record = stream()[at - 1:at + 1]
        for name, lines in (("changed", [start, record.replace('"verdict"', '"verdikt"')]),
                            ("garbage before", [start, "\1x" + record]), ("missing", [start]),
                            ("both missing", [])):
            with self.subTest(name):
                results = self.receive([*stream()[:at - 1], *lines, *stream()[at + 1:]], FAILED)
                self.assertRegex(self.done.stderr, "(?m)^kvmspec: lines? .*damaged or missing$")
                self.assertEqual(results.by_case[self.case_at(at - 1)]["reason"],
                                 "its record was lost on the way from the guest")

    def test_signs_of_life_and_noise(self):
        lines = [line for pair in zip(stream(), ["\n"] * 1000) for line in pair]
        self.receive(["SeaBIOS\r\n", *lines], FAILED)
        self.assertEqual(self.done.stderr.splitlines()[0],
                         "kvmspec: a damaged line in the stream: SeaBIOS\\x0d")

    def test_death(self):
        at = self.position("starting", after=10)
        results = self.receive([*stream()[:at + 1],
                                frame(0, "died", {"reason": "boom", "kernel_log": ["\033[1mlast", "words"]})],
                               CANNOT_RUN)
        record = results.by_case[self.case_at(at)]
        self.assertEqual((record["verdict"], record["reason"], record["kernel_log"]),
                         ("error", "boom", ["\\x1b[1mlast", "words"]))
        self.assertIn("cases did not run: boom\n", self.done.stdout)

    def test_death_after_the_last_case(self):
        died = frame(0, "died", {"reason": "boom", "kernel_log": []})
        passes = scratch() / "stream"
        run(BROKEN, f"--stream={passes}", "endings/passes")
        results = self.receive([passes.read_text(), died], CANNOT_RUN)
        self.assertEqual(self.done.stderr, "kvmspec: after the last case: boom\n")
        self.assertEqual(results.records[0]["verdict"], "pass")

    def test_death_before_the_first(self):
        self.assertIsNone(self.receive([frame(0, "died", {"reason": "boom", "kernel_log": []})],
                                       CANNOT_RUN))
        self.assertEqual((self.done.stdout, self.done.stderr), ("", "kvmspec: boom\n"))

    def test_nothing(self):
        for lines in ([], ["\n"], ["garbage\n"]):
            self.assertIsNone(self.receive(lines, CANNOT_RUN))
            self.assertIn("the stream ended before the run began", self.done.stderr)

    def test_going_on(self):
        """After a death, a second stream runs the rest, and both are one run."""
        at = self.position("starting", after=10)
        died = frame(0, "died", {"reason": "boom", "kernel_log": []})
        reported = [json.loads(line.split(" ", 2)[2])["record"]["case"]
                    for line in stream()[1:at] if '{"record"' in line]
        file, done = scratch() / "rest", scratch() / "done"
        done.write_text("\n".join([*reported, self.case_at(at)]) + "\n")
        run(BROKEN, f"--stream={file}", f"--except={done}", *AREAS)
        lab = frame(0, "lab", {"kernel": "x", "package": "", "cmdline": "", "modparams": [],
                               "cpu": "", "cpus": 1, "boots": 2, "retried": [],
                               "run_again": "make lab KERNEL=x"})
        results = self.receive([*stream()[:at + 1], died, lab, file.read_text()], FAILED)
        self.assertEqual(len(results.records), len(run(BROKEN, "--list", *AREAS).stdout.split()))
        self.assertEqual(results.by_case[self.case_at(at)]["reason"], "boom")
        self.assertEqual(results.host["lab"]["boots"], 2)
        self.assertIn("run_again: make lab KERNEL=x FILTER=", self.done.stdout)
        self.assertNotIn("Bail out!", results.tap)
        self.assertEqual(results.tap.count("TAP version"), 1)

    def test_except(self):
        done = scratch() / "done"
        done.write_text("endings/passes\nnot/planned\nendings/fails/2\n")
        listed = run(BROKEN, "--list", f"--except={done}", "--repeat=2", "endings/fails")
        self.assertEqual(listed.stdout, "endings/fails/1\n")
        listed = run(BROKEN, "--list", f"--except={done}", "endings/passes", "endings/fails")
        self.assertEqual(listed.stdout, "endings/fails\n")

    def test_objects_of_another_kind(self):
        """Whole, but not what they should be: another version's, or somebody's mistake."""
        for name, value in (("record", {"case": 1}), ("record", 1), ("starting", []), ("end", "x"),
                            ("begin", {}), ("died", 1), ("stopped", {}), ("lab", []), ("new", 1)):
            with self.subTest(name):
                self.receive([stream()[0], stream()[1], frame(0, name, value), *stream()[2:]], FAILED)
                if name != "new":
                    self.assertIn(f"kvmspec: a malformed '{name}' in the stream", self.done.stderr)

    def test_stopped(self):
        at = self.position("starting", after=10)
        results = self.receive([*stream()[:at + 1], frame(0, "stopped", "interrupted")], INTERRUPTED)
        self.assertNotIn(self.case_at(at), results.by_case)

    def test_an_older_report_does_not_survive(self):
        out = scratch()
        run(BROKEN, f"--out={out}", "endings/passes")
        run(BROKEN, f"--receive={Path('/dev/null')}", f"--out={out}")
        self.assertEqual((out / "cases.jsonl").read_text(), "")
        self.assertFalse((out / "host.json").exists() or (out / "report.xml").exists())

    def test_places_that_cannot_be_used(self):
        for args, says in ((["--stream=/nowhere/s"], "cannot write the stream to /nowhere/s"),
                           (["--receive=/nowhere/s"], "/nowhere/s"),
                           (["--except=/nowhere/s"], "cannot read /nowhere/s")):
            done = run(BROKEN, *args, "endings/passes")
            self.assertEqual(done.returncode, CANNOT_RUN)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assertIn(says, done.stderr)

    def test_full_device(self):
        done = run(BROKEN, "--stream=/dev/full", "endings/passes")
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("could not write the stream", done.stderr)


class Probe(unittest.TestCase):
    def test_probe(self):
        done = run(BROKEN, "--probe")
        self.assertEqual(done.returncode, PASS)
        self.assertRegex(done.stdout, r"^kvm\w*, Linux .*, engine host\n$")
        self.assertEqual(run(BROKEN, "--probe", "--kvm=/none").returncode, CANNOT_RUN)
