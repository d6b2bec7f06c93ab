# SPDX-License-Identifier: MIT
"""
The matrix of contracts: its model, measured coverage, Markdown and JSON, and the page, in a browser.
"""

from __future__ import annotations

import contextlib
import html.parser
import json
import re
import shutil
import sys
import unittest
from pathlib import Path
from typing import Any, Iterator
from unittest import mock

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / name) for name in ("harness/tests", "ci")]

import support  # noqa: E402: needs the path
from reporting import coverage, matrix, runs  # noqa: E402

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select
    WHY_NO_BROWSER = "".join(f"{name} is not installed (make deps) " for name in ("chromium", "chromedriver")
                             if not shutil.which(name))
except ImportError as problem:
    WHY_NO_BROWSER = f"{problem} (make deps)"

REPORT = support.ROOT / "ci/report"

# What must never become part of a page, a style sheet or a table.
NASTY = "</script></style><script>bad=1</script><img src=x onerror=bad=1>\"'`|{{ 7*7 }}--><!--\\ é"

HOST = {"schema": 1, "kvmspec": "0.1.0", "started": "2026-01-31T12:00:00Z", "engine": "host",
        "vendor": "kvm_amd", "kernel": "6.1.2-test", "cpu": "A CPU", "capabilities": {}}
LAB = {"lab": {"run_again": "make lab KERNEL=6.1"}}


def record(case: str, verdict: str = "pass", contract: str = "signals.eintr", **more: Any) -> dict[str, Any]:
    return {"schema": 1, "case": case, "verdict": verdict, "seconds": 0.1, "at": "cases/x.c:1",
            "contract": contract, "kvm_runs": 1, "ioctls": {}, "shared_ioctls": {}, "exits": {}, "capabilities": {},
            "fields": {}} | more


FAILURE = {"expected": "KVM_EXIT_HLT", "got": "KVM_EXIT_SHUTDOWN", "explanation": ["It shut down.", "Twice."],
           "registers": {"rip": "0x1000", "rax": "0x2a (was 0x0)"}, "code": ["0x1000 <entry>  > hlt"],
           "segments": {"cs": "0x8 base 0x0"}, "vcpu": 0, "last_exits": ["KVM_EXIT_SHUTDOWN"],
           "kernel_log": ["a line of the kernel's", "another"]}


def made(records: list[dict[str, Any]], name: str = "made-up", **host: Any) -> runs.Run:
    files = {runs.HOST: json.dumps(HOST | host),
             runs.CASES: "".join(json.dumps(one) + "\n" for one in records)}
    return runs.parse(name, lambda file: files[file].encode() if file in files else None)


def build(*columns: runs.Run) -> matrix.Matrix:
    return matrix.build(list(columns), [])


def row_of(whole: matrix.Matrix, contract: str = "signals.eintr") -> matrix.Row:
    return next(row for row in whole.rows if row.contract.id == contract)


def written(*columns: runs.Run, missing: tuple[str, ...] = ()) -> Path:
    out = support.scratch()
    matrix.write(list(columns), out, "make matrix", list(missing))
    return out


# Two columns: everything that a cell can be.
def good() -> runs.Run:
    return made([record("signals/a"), record("signals/b"),
                 record("pause/c", contract="pause.one_vcpu"),
                 record("mmio/d", "known", "exit.mmio.read", reason="it is listed",
                        link="https://example.org/report", **FAILURE)], "good", **LAB)


def bad() -> runs.Run:
    return made([record("signals/a"), record("signals/b", "fail", **FAILURE),
                 record("pause/c", "skip", "pause.one_vcpu", reason="needs 2 host CPUs"),
                 record("mmio/d", "error", "exit.mmio.read", reason="killed by SIGSEGV", last_exits=[])],
                "bad", kernel="6.12.3-test", vendor="kvm_intel")


class Model(unittest.TestCase):
    def test_a_cell_has_the_worst_verdict(self):
        for verdicts, worst, count in (
                (["pass", "pass"], "pass", "2"), (["pass", "skip"], "skip", "1 of 2"),
                (["skip", "known", "pass"], "known", "1 of 3"), (["known", "error", "error"], "error", "2 of 3"),
                (["error", "fail"], "fail", "1 of 2")):
            run = made([record(f"signals/{n}", one, reason="why") for n, one in enumerate(verdicts)])
            cell = row_of(build(run)).cells[0]
            self.assertEqual((cell.verdict, cell.count), (worst, count))

    def test_what_did_not_run_is_no_verdict(self):
        whole = build(good(), made([record("signals/a")]))
        self.assertIsNone(row_of(whole, "pause.one_vcpu").cells[1])
        self.assertFalse(row_of(whole, "pause.one_vcpu").differs)
        self.assertEqual(row_of(whole, "signals.mask.null").cells, [None, None])

    def test_rows_that_differ(self):
        whole = build(good(), bad())
        self.assertEqual({row.contract.id for row in whole.rows if row.differs},
                         {"signals.eintr", "pause.one_vcpu", "exit.mmio.read"})

    def test_contracts_are_in_areas(self):
        areas = build(good()).areas
        self.assertEqual([row.contract.id for row in areas["first_programs"]],
                         ["exit.io.out", "exit.hlt.userspace_irqchip"])
        self.assertNotIn("", areas)
        self.assertNotIn(matrix.UNLISTED, areas)

    def test_a_contract_of_another_checkout(self):
        whole = build(made([record("x/y", contract="gone"), record("x/z")]))
        self.assertEqual([row.contract.id for row in whole.areas[matrix.UNLISTED]], ["gone"])

    def test_a_baseline_has_the_contracts_of_the_other_runs(self):
        baseline = made([{"case": "signals/a", "verdict": "pass"}])
        self.assertEqual(row_of(build(baseline, good())).cells[0].count, "1")
        self.assertIn(matrix.NO_CONTRACT, [row.contract.id for row in build(baseline).rows])

    def test_repeated_cases_count_once(self):
        run = made([record(f"signals/a/{n}", verdict, filter="signals/a")
                    for n, verdict in enumerate(["pass", "fail", "pass"])])
        cell = row_of(build(run)).cells[0]
        self.assertEqual((cell.verdict, cell.count), ("fail", "1"))

    def test_columns_have_names_of_their_own(self):
        whole = build(made([], "a/x"), made([], "b/y"), bad())
        self.assertEqual([column.label for column in whole.columns],
                         ["host 6.1, x", "host 6.1, y", "host 6.12"])
        self.assertEqual([column.key for column in whole.columns], ["host-6.1", "host-6.1~2", "host-6.12"])

    def test_column_of_another_kvm(self):
        other = bad()
        other.host["lab"] = {"kvm_config": ["KVM_SW_PROTECTED_VM=y", "KVM_SMM=n"]}
        self.assertEqual([(column.label, column.key) for column in build(bad(), other).columns], [
            ("host 6.12", "host-6.12"),
            ("host 6.12 KVM_SW_PROTECTED_VM KVM_SMM=n", "host-6.12-KVM-SW-PROTECTED-VM-KVM-SMM-n")])

    def test_findings_are_the_worst_first(self):
        found = [(one.verdict, one.what, dict(one.cases)) for one in matrix.findings(build(good(), bad()))]
        self.assertEqual(found, [
            ("fail", "expected KVM_EXIT_HLT; got KVM_EXIT_SHUTDOWN", {1: 1}),
            ("error", "killed by SIGSEGV", {1: 1}), ("known", "it is listed", {0: 1}),
            ("skip", "needs 2 host CPUs", {1: 1})])


class Coverage(unittest.TestCase):
    def test_only_what_records_say_counts(self):
        run = made([record("x/y", ioctls={"KVM_RUN": {"EINTR": 2}, "KVM_NMI": {"ok": 1, "EINVAL": 1}},
                           exits={"KVM_EXIT_IO": 3}, capabilities={"KVM_CAP_HLT": "needed", "KVM_CAP_PIT": "checked"},
                           fields={"io.port": "asserted", "cr8": "set"}),
                    record("x/z", ioctls={"KVM_RUN": {"ok": 1}, "KVM_SMI": {"EINVAL": 1}}, capabilities={"KVM_CAP_HLT": "checked"})],
                   capabilities={"KVM_CAP_IRQCHIP": 1, "KVM_CAP_HLT": 1, "KVM_CAP_PIT": 1})
        levels = {kind: coverage.measure(run, kind).levels for kind in coverage.LEVELS}
        self.assertEqual({name: level for name, level in levels["ioctl"].items() if level != "never"},
                         {"KVM_RUN": "succeeded", "KVM_NMI": "succeeded", "KVM_SMI": "only failed"})
        self.assertEqual([name for name, level in levels["exit"].items() if level == "returned"],
                         ["KVM_EXIT_IO"])
        self.assertEqual({name: level for name, level in levels["capability"].items()
                          if level != "not offered"},
                         {"KVM_CAP_HLT": "used", "KVM_CAP_PIT": "only checked", "KVM_CAP_IRQCHIP": "offered"})
        self.assertEqual([name for name, level in levels["error"].items() if level == "returned"],
                         ["vcpu KVM_RUN EINTR"])
        self.assertEqual(coverage.measure(run, "error").unlisted, ["vcpu KVM_NMI EINVAL", "vcpu KVM_SMI EINVAL"])
        self.assertEqual({name: level for name, level in levels["field"].items() if level != "never"},
                         {"cr8": "asserted or set", "io.port": "asserted or set",
                          **dict.fromkeys(("io.direction", "io.size", "io.count", "io.data_offset", "io.data"), "seen")})

    def test_the_kernel_decides_what_there_is(self):
        for kernel, has in (("6.1.9", False), ("6.8.1-x", True), ("6.12.1", True), ("7.0", True)):
            run = made([record("x/y")], kernel=kernel)
            self.assertEqual("KVM_EXIT_MEMORY_FAULT" in coverage.measure(run, "exit").levels, has, kernel)
        backported = made([record("x/y", exits={"KVM_EXIT_MEMORY_FAULT": 1})], kernel="6.1.9")
        self.assertEqual(coverage.measure(backported, "exit").levels["KVM_EXIT_MEMORY_FAULT"], "returned")
        old = made([record("x/y", exits={"KVM_EXIT_HYPERCALL": 1})], kernel="6.1.9")
        self.assertNotIn("hypercall.flags", coverage.measure(old, "field").levels, "padding there, seen or not")

    def test_records_that_do_not_count(self):
        old = record("x/y")
        del old["exits"]
        self.assertIsNone(coverage.measure(made([old]), "exit"))
        self.assertIn("not recorded", (written(made([old])) / "index.html").read_text())

    def test_what_is_in_no_list_is_told(self):
        run = made([record("x/y", exits={"KVM_EXIT_#50": 1})])
        self.assertEqual(coverage.measure(run, "exit").unlisted, ["KVM_EXIT_#50"])
        self.assertIn("not in the list: KVM_EXIT_#50", (written(run) / "index.html").read_text())

    def test_the_list_has_what_kvmspec_knows(self):
        listed = {(item.kind, item.name) for item in coverage.surface()}
        self.assertEqual(len(listed), len(coverage.surface()), "something is there twice")
        known = (support.ROOT / "harness/x86/ioctls.h").read_text()
        for name, kinds in re.findall(r"IOCTL\((KVM_\w+), ([A-Z_| ]+),", known):
            descriptors = " ".join(kind.removeprefix("FD_").lower() for kind in kinds.split(" | "))
            item, = [item for item in coverage.surface() if item.name == name]
            self.assertEqual((item.kind, item.descriptors), ("ioctl", descriptors), name)
        names = (support.ROOT / "harness/names.c").read_text()
        # defined, but nothing in arch/x86 returns it
        for name in set(re.findall(r"NAME\((KVM_EXIT_\w+)\)", names)) - {"KVM_EXIT_NMI"}:
            self.assertIn(("exit", name), listed)
        header = (support.ROOT / "harness/x86/run_fields.h").read_text()
        fields = re.findall(r"^\t\w+_FIELD\(\w+, ([\w.]+)(?:, (KVM_\w+), \w+)?\)", header, re.M)
        self.assertEqual({name for name, _ in fields}, {name for kind, name in listed if kind == "field"})
        for name, reason in fields:
            item, = [item for item in coverage.surface() if (item.kind, item.name) == ("field", name)]
            if reason:
                self.assertIn(reason, item.where.split(), name)


class Written(unittest.TestCase):
    def test_json_says_what_the_runs_say(self):
        said = json.loads((written(good(), bad(), missing=("5.99: none",)) / "matrix.json").read_text())
        self.assertEqual([run["key"] for run in said["runs"]], ["host-6.1", "host-6.12"])
        self.assertEqual(said["runs"][1]["cases"], {"fail": 1, "error": 1, "known": 0, "skip": 1, "pass": 1})
        self.assertEqual(said["missing"], ["5.99: none"])
        eintr, = [one for one in said["contracts"] if one["id"] == "signals.eintr"]
        self.assertEqual(eintr["runs"]["host-6.12"], {"verdict": "fail", "cases": {
            "signals/a": {"verdict": "pass"},
            "signals/b": {"verdict": "fail", "expected": "KVM_EXIT_HLT", "got": "KVM_EXIT_SHUTDOWN"}}})
        self.assertEqual(said["coverage"]["exit"]["host-6.1"]["KVM_EXIT_HLT"], "never")

    def test_markdown(self):
        text = (written(good(), bad(), missing=("5.99: none",)) / "matrix.md").read_text()
        self.assertIn("`signals.eintr` | pass 2 | **fail** 1 of 2 |\n", text)
        self.assertIn("`exit.mmio.read` | **known** 1 | **error** 1 |\n", text)
        self.assertIn("| **known** | it is listed (https://example.org/report) | host 6.1: 1 |\n", text)
        self.assertIn("5.99: none", text)

    def test_markdown_shows_text_as_it_is(self):
        text = (written(made([record("x/y", "error", reason=f"a | b\n<i> *c* {NASTY}")])) / "matrix.md").read_text()
        self.assertIn(r"| **error** | a \| b &lt;i> \*c\* &lt;/script>", text)

    def test_a_run_that_ended_early(self):
        files = {runs.HOST: json.dumps(HOST), runs.CASES: "", runs.TAP: "1..9\nBail out! After 0 of 9 cases: x\n"}
        run = runs.parse("x", lambda file: files[file].encode())
        for name in ("index.html", "matrix.md"):
            self.assertIn("ended early: After 0 of 9 cases", (written(run) / name).read_text())

    def test_bad_input(self):
        run = written(good())  # no run
        for args, words in ((["/nonexistent"], "there is no run"), ([run], "is no run: it has no host.json")):
            done = support.run(REPORT, "matrix", *args, f"--out={support.scratch()}")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(words, done.stderr)
        source = support.broken_run()[1].directory
        done = support.run(REPORT, "matrix", source, "--out=/dev/null/x")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertRegex(done.stderr, "^report: cannot write to /dev/null/x: .*; --out names another directory\n$")

    def test_command(self):
        out = support.scratch() / "new"
        done = support.run(REPORT, "matrix", support.broken_run()[1].directory, f"--out={out}")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(path.name for path in out.iterdir()), ["index.html", "matrix.json", "matrix.md"])


class Document(html.parser.HTMLParser):
    """What a browser without JavaScript would make of the page: elements and text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = self.script = self.style = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag in ("script", "style"):
            self.inside = tag

    def handle_endtag(self, tag):
        self.inside = "" if tag == self.inside else self.inside

    def handle_data(self, data):
        name = self.inside or "text"
        setattr(self, name, getattr(self, name) + data)

    def attributes(self, *names: str) -> list[str]:
        return [attributes[name] for _, attributes in self.tags for name in names if name in attributes]


class Page(unittest.TestCase):
    def test_whatever_a_run_says_stays_text(self):
        more = {"explanation": [NASTY], "memory": [NASTY], "guest": NASTY, "at_label": NASTY,
                "registers": {NASTY: NASTY}, "system_registers": {NASTY: NASTY}, "segments": {NASTY: NASTY},
                "code": [NASTY], "last_exits": [NASTY], "kernel_log": [NASTY], "ftrace": [NASTY], "output": NASTY,
                "link": f"javascript:{NASTY}", "at": NASTY, "exits": {NASTY: 1}}
        run = made([record(NASTY, "fail", NASTY, reason=NASTY, expected=NASTY, got=NASTY, **more)],
                   NASTY, engine=NASTY, vendor=NASTY, kernel=f"{NASTY}.1.2", cpu=NASTY, started=NASTY)
        text = (written(run, missing=(NASTY,)) / "index.html").read_text()
        document = Document(text)
        self.assertEqual([tag for tag, _ in document.tags].count("script"), 1)
        self.assertEqual([tag for tag, _ in document.tags].count("img"), 0)
        self.assertFalse([name for _, attributes in document.tags for name in attributes if name.startswith("on")])
        self.assertNotIn("bad=1", document.script)
        self.assertNotIn("<", document.style)
        self.assertFalse([link for link in document.attributes("href") if not link.startswith("#")])
        self.assertNotIn("49", document.text)
        # in each of these places, and in the findings and the table, with the rest of what they say
        self.assertGreaterEqual(document.text.count(NASTY), len(more) + 8)

    def test_one_file_that_asks_for_nothing(self):
        text = (written(support_run(), good()) / "index.html").read_text()
        document = Document(text)
        for target in document.attributes("src", "href", "action", "srcset"):
            self.assertRegex(target, r"^(#|data:|https://example\.org/)")
        self.assertNotRegex(document.style, r"url\(|@import")
        policy, = [attributes["content"] for _, attributes in document.tags
                   if attributes.get("http-equiv") == "Content-Security-Policy"]
        self.assertIn("default-src 'none'", policy)

    def test_the_contrast_is_enough(self):
        """WCAG 2, AA: 4.5:1 for text."""
        light, dark = re.findall(r":root \{(.*?)\}", (support.ROOT / "ci/reporting/page.css").read_text(), re.S)
        colours = dict(re.findall(r"--([\w-]+): (#\w+)", light))
        for mode in (colours, colours | dict(re.findall(r"--([\w-]+): (#\w+)", dark))):
            pairs = [(ink, paper) for ink in ("ink", "faint", "link", "pass") for paper in ("paper", "band")]
            pairs += [(f"{name}-ink", name) for name in ("fail", "error", "known", "skip")]
            for ink, paper in pairs:
                self.assertGreaterEqual(contrast(mode[ink], mode[paper]), 4.5, f"{ink} on {paper}")

    def test_latency_is_drawn_and_in_numbers(self):
        numbers = {"count": 2, "min": 100, "p10": 100, "p50": 4000, "p90": 5000, "p99": 5000, "max": 5000,
                   "histogram": [[64, 1], [4096, 1]]}
        measurement = {"name": "elsewhere", "value": numbers, "baseline": numbers | {"p50": 2000},
                       "ratio": 2.0, "noisy": False, "clock_ns": 20, "looks": 1}
        run = made([record("latency/kick", measurements=[measurement])])
        document = Document((written(run) / "index.html").read_text())
        self.assertEqual([tag for tag, _ in document.tags].count("img"), 1)
        self.assertRegex(document.text, r"kickelsewhere24 us5 us5 us2 us2\.00")
        self.assertNotIn('id="latency"', (written(good()) / "index.html").read_text())


def contrast(one: str, other: str) -> float:
    def luminance(colour: str) -> float:
        digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
        parts = [int(digits[i:i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dim, bright = sorted((luminance(one), luminance(other)))
    return (bright + 0.05) / (dim + 0.05)


def support_run() -> runs.Run:
    """Real records: of cases that are broken in every way."""
    return runs.load(support.broken_run()[1].directory)


@contextlib.contextmanager
def made_up_contracts(areas: int, each: int) -> Iterator[list[str]]:
    path = support.scratch() / "contracts.tsv"
    ids = [f"area{a}.contract{c}" for a in range(areas) for c in range(each)]
    path.write_text("".join(
        ("" if i % each else f"# area{i // each}\n") +
        f"{name}\tWhat KVM must do if somebody asks for number {i}, as long as a contract is\tapi.rst\n"
        for i, name in enumerate(ids)))
    with mock.patch.object(matrix, "CONTRACTS", path):
        yield ids


@unittest.skipIf(WHY_NO_BROWSER, WHY_NO_BROWSER)
class InChromium(unittest.TestCase):
    """What tests of a page share: one browser for all of a class."""

    @classmethod
    def setUpClass(cls):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                         "--disable-background-networking", "--disable-component-update", "--disable-sync",
                         "--disable-dev-shm-usage", f"--user-data-dir={support.scratch()}"):
            options.add_argument(argument)
        cls.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        cls.addClassCleanup(cls.driver.quit)

    def tearDown(self):
        self.assertEqual(self.driver.get_log("browser"), [], "the browser complains")

    def screen(self, width: int, height: int) -> None:
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                     mobile=width < 500)

    def command(self, name: str, **arguments: Any) -> dict[str, Any]:
        return self.driver.execute_cdp_cmd(name, arguments)

    def load_page(self, path: Path, fragment: str = "") -> None:
        self.driver.get("about:blank")  # or only the fragment would change
        self.driver.get(f"{path.as_uri()}{fragment}")

    def find(self, selector: str) -> Any:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def script(self, text: str, *args: Any) -> Any:
        return self.driver.execute_script(f"return {text}", *args)


class Browser(InChromium):
    """The page, as a reader has it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = written(good(), bad()) / "index.html"

    def setUp(self):
        self.screen(1280, 900)
        self.load()

    def load(self, fragment: str = "", path: Path | None = None) -> None:
        self.load_page(path or self.page, fragment)

    def shown(self) -> list[str]:
        """The ids of the contracts that can be seen."""
        return self.script("[...document.querySelectorAll('#contracts tr[data-cases]')]"
                           ".filter(row => row.checkVisibility()).map(row => row.querySelector('code').textContent)")

    def count(self) -> str:
        return self.find("output[name=count]").text

    def fragment(self) -> str:
        return self.script("location.hash")

    def wait_for(self, condition, what: str) -> None:
        support.wait_until(condition, what, 20)

    def dialog(self) -> Any:
        dialog = self.find("dialog")
        self.wait_for(dialog.is_displayed, "the dialog")
        return dialog

    def test_filters(self):
        everything = self.shown()
        self.assertEqual(len(everything), len(matrix.contracts()))
        self.find("[name=q]").send_keys("MMIO read")
        self.assertIn("exit.mmio.read", self.shown())
        self.assertNotIn("signals.eintr", self.shown())
        self.assertEqual(self.count(), f"{len(self.shown())} of {len(everything)} contracts")
        self.assertEqual(self.fragment(), "#q=MMIO%20read")
        self.find("button[type=reset]").click()
        self.wait_for(lambda: self.shown() == everything, "all rows")
        self.assertEqual(self.fragment(), "")

    def test_filters_by_name_of_a_case(self):
        self.find("[name=q]").send_keys("mmio/d")
        self.assertEqual(self.shown(), ["exit.mmio.read"])

    def test_filters_by_verdict_area_and_difference(self):
        Select(self.find("[name=verdict]")).select_by_visible_text("skip")
        self.assertEqual(self.shown(), ["pause.one_vcpu"])
        Select(self.find("[name=verdict]")).select_by_visible_text("any")
        self.find("[name=differs]").click()
        self.assertEqual(self.shown(), ["signals.eintr", "pause.one_vcpu", "exit.mmio.read"])
        Select(self.find("[name=area]")).select_by_visible_text("mmio")
        self.assertEqual(self.shown(), ["exit.mmio.read"])
        self.assertEqual(self.fragment(), "#area=mmio&differs=1")
        self.find("[name=q]").send_keys("no contract says this")
        self.assertTrue(self.find("#nothing").is_displayed())

    def test_an_address_brings_the_same_back(self):
        self.load("#q=load&area=mmio&verdict=known&open=exit.mmio.read%40host-6.1")
        self.assertIn("it is listed", self.dialog().text)
        self.assertEqual(self.shown(), ["exit.mmio.read"])
        self.assertEqual(self.find("[name=q]").get_property("value"), "load")

    def test_an_address_that_asks_for_what_there_is_not(self):
        self.load("#area=nowhere&verdict=odd&open=none@none&q=%zz")
        self.assertFalse(self.find("dialog").is_displayed())
        self.assertEqual(self.find("[name=q]").get_property("value"), "%zz")

    def test_a_cell_opens_its_diagnosis(self):
        self.find("[name=differs]").click()
        self.find('a[href="#open=signals.eintr@host-6.12"]').click()
        text = self.dialog().text
        for words in ("host 6.12: kvm_intel, Linux 6.12.3-test", "fail signals/b", "KVM_EXIT_SHUTDOWN",
                      "It shut down.\nTwice.", "rip=0x1000  rax=0x2a (was 0x0)", "cs   0x8 base 0x0",
                      "0x1000 <entry>  > hlt", "a line of the kernel's\nanother", "cases/x.c:1",
                      "make check FILTER='signals/b'"):
            self.assertIn(words, text)
        self.assertEqual(self.fragment(), "#differs=1&open=signals.eintr%40host-6.12")
        self.find("dialog button").click()
        self.wait_for(lambda: not self.find("dialog").is_displayed(), "the end of the dialog")
        self.assertEqual(self.fragment(), "#differs=1")

    def test_the_other_diagnoses(self):
        for cell, words in (("exit.mmio.read@host-6.1", ("it is listed", "https://example.org/report",
                                                         "make lab KERNEL=6.1 FILTER='mmio/d'")),
                            ("pause.one_vcpu@host-6.12", ("skip pause/c", "needs 2 host CPUs")),
                            ("exit.mmio.read@host-6.12", ("error mmio/d", "killed by SIGSEGV"))):
            self.load(f"#open={cell}")
            for word in words:
                self.assertIn(word, self.dialog().text)

    def test_a_contract_opens_all_of_it(self):
        self.find('a[href="#open=signals.eintr"]').click()
        text = self.dialog().text
        self.assertIn("signals/a: pass everywhere", text)
        self.assertIn("signals/b: fail (host 6.12), pass (host 6.1)", text)
        self.assertIn("api.rst, KVM_RUN: EINTR", text)

    def test_works_by_keyboard(self):
        body = self.find("body")
        body.send_keys(Keys.TAB)
        self.assertEqual(self.script("document.activeElement.textContent"), "Skip to the contracts")
        self.assertTrue(self.script("document.activeElement.getBoundingClientRect().width > 50"))
        self.script("document.activeElement").send_keys(Keys.ENTER)
        self.script("document.activeElement").send_keys(Keys.TAB)
        self.assertEqual(self.script("document.activeElement.name"), "q")
        self.assertNotEqual(self.script("getComputedStyle(document.activeElement).outlineStyle"), "none")
        link = self.find('a[href="#open=signals.eintr@host-6.12"]')
        self.script("arguments[0].focus()", link)
        link.send_keys(Keys.ENTER)
        self.assertIn("KVM_EXIT_SHUTDOWN", self.dialog().text)
        self.assertEqual(self.script("document.activeElement.textContent"), "Close")
        self.script("document.activeElement").send_keys(Keys.ESCAPE)
        self.wait_for(lambda: not self.find("dialog").is_displayed(), "the end of the dialog")
        self.assertEqual(self.script("document.activeElement === arguments[0]", link), True)

    def test_back_closes_the_diagnosis(self):
        self.find('a[href="#open=signals.eintr@host-6.12"]').click()
        self.dialog()
        self.driver.back()
        self.wait_for(lambda: not self.find("dialog").is_displayed(), "the end of the dialog")

    def test_fits_on_a_phone(self):
        run = support_run()
        page_of_many = written(good(), bad(), *[run] * 6) / "index.html"
        for path, fragment in ((self.page, ""), (page_of_many, ""), (page_of_many, "#open=fixture.contract")):
            self.screen(360, 740)
            self.load(fragment, path)
            self.script("document.querySelectorAll('details').forEach(one => one.open = true)")
            self.assertLessEqual(self.script("document.documentElement.scrollWidth"), 360, fragment)
            wide = self.script("[...document.querySelectorAll('body *')].filter(one => one.checkVisibility()"
                               " && one.getBoundingClientRect().right > 361 && !one.closest('figure, pre, .unseen'))"
                               ".map(one => one.outerHTML.slice(0, 100))")
            self.assertEqual(wide, [])
        for width in (800, 1280):
            self.screen(width, 740)
            self.assertLessEqual(self.script("document.documentElement.scrollWidth"), width)

    def test_a_screen_reader_finds_a_table(self):
        self.command("Accessibility.enable")
        for width in (1280, 360):
            self.screen(width, 740)
            nodes = self.command("Accessibility.getFullAXTree")["nodes"]
            roles = [node["role"]["value"] for node in nodes if not node["ignored"]]
            names = {(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes
                     if not node["ignored"]}
            rows = len(matrix.contracts())
            self.assertGreaterEqual(roles.count("row"), rows, width)
            self.assertGreaterEqual(roles.count("rowheader"), rows, width)
            self.assertGreaterEqual(roles.count("columnheader"), 3, width)
            self.assertGreaterEqual(roles.count("cell") + roles.count("gridcell"), 2 * rows, width)
            self.assertIn(("table", "Contracts by API area, and their verdicts in each run"), names)
            for control in (("searchbox", "Text"), ("checkbox", "Only what differs between columns")):
                self.assertIn(control, names)
            self.assertTrue({"main", "banner", "navigation", "search", "status"} <= set(roles), set(roles))

    def test_signs_and_words_tell_verdicts_apart(self):
        seen = self.script("Object.fromEntries(['pass', 'fail', 'error', 'known', 'skip'].map(name => [name,"
                           " getComputedStyle(document.querySelector(`.legend .${name}`), '::before').content]))")
        self.assertEqual(len(set(seen.values()) - {"none"}), 5, seen)

    def test_without_javascript(self):
        self.command("Emulation.setScriptExecutionDisabled", value=True)
        self.addCleanup(self.command, "Emulation.setScriptExecutionDisabled", value=False)
        self.load("#open=signals.eintr@host-6.12")
        text = self.find("body").text
        self.assertIn("fail 1 of 2", self.find("#contracts").text)
        self.assertIn("a line of the kernel's", text)
        self.assertFalse(self.find("#filter").is_displayed())
        self.assertTrue(self.find('section[id="open=signals.eintr@host-6.12"]').is_displayed())

    def test_on_paper(self):
        self.command("Emulation.setEmulatedMedia", media="print")
        self.addCleanup(self.command, "Emulation.setEmulatedMedia", media="")
        self.assertFalse(self.find("#filter").is_displayed())
        self.assertTrue(self.find("#contracts .matrix").is_displayed())
        self.find("body")
        self.load("#open=signals.eintr@host-6.12")
        self.assertTrue(self.dialog().is_displayed())
        self.assertFalse(self.find("main").is_displayed(), "a diagnosis is printed alone")

    def test_nothing_that_a_run_says_runs(self):
        run = made([record("x/y", "fail", "signals.eintr", **FAILURE | {"kernel_log": [NASTY], "got": NASTY})])
        self.load("#open=signals.eintr@host-6.1", written(run) / "index.html")
        self.assertEqual(self.dialog().text.count(NASTY), 2)
        self.assertEqual(self.script("typeof bad"), "undefined")
        self.find("[name=q]")

    def test_real_records(self):
        run = support_run()
        self.load("", written(run) / "index.html")
        fixture, = [row for row in build(run).rows if row.contract.id == "fixture.contract"]
        self.find(f'a[href="#open=fixture.contract@{build(run).columns[0].key}"]').click()
        text = self.dialog().text
        for case in fixture.cells[0].remarkable:
            self.assertIn(case.name, text)


class Size(InChromium):
    """
    1,000 contracts and 10 columns, made up for this test: nobody has so many yet. Nothing may take longer
    than a second; of the main thread's time, which other work on the machine does not add to.
    """
    AREAS, EACH, COLUMNS, TIMES, SECONDS = 20, 50, 10, 3, 1.0

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with made_up_contracts(cls.AREAS, cls.EACH) as ids:
            columns = [made([cls.one(i, c, name) for i, name in enumerate(ids)], f"run{c}", kernel=f"6.{c}.1")
                       for c in range(cls.COLUMNS)]
            cls.page = written(*columns) / "index.html"

    @staticmethod
    def one(number: int, column: int, contract: str) -> dict[str, Any]:
        """One in twenty does not pass, each time elsewhere."""
        case = f"{contract.replace('.', '/')}/long64"
        if (number + 7 * column) % 20:
            return record(case, contract=contract)
        return record(case, "fail", contract, **FAILURE | {"got": f"KVM_EXIT_SHUTDOWN in {column}"})

    def setUp(self):
        self.command("Performance.enable", timeDomain="threadTicks")
        self.screen(1280, 900)

    def busy(self) -> float:
        """Seconds that the page's main thread has worked."""
        metrics = self.command("Performance.getMetrics")["metrics"]
        return next(one["value"] for one in metrics if one["name"] == "TaskDuration")

    def seconds(self, action: str) -> float:
        """What an action and the layout and painting after it take."""
        before = self.busy()
        self.driver.execute_async_script(
            f"const done = arguments[0]; {action};"
            "requestAnimationFrame(() => requestAnimationFrame(() => done()))")
        return self.busy() - before

    def check(self, what: str, times: list[float]) -> None:
        self.assertLessEqual(sorted(times)[len(times) // 2], self.SECONDS, f"{what}: {times}")

    def test_loads_within_a_second(self):
        times = []
        for _ in range(self.TIMES):
            self.load_page(self.page)
            self.seconds("")
            times.append(self.busy())  # since the navigation
            self.assertEqual(self.script("document.querySelectorAll('#contracts tbody td').length"), 10_000)
            self.assertEqual(self.script("getComputedStyle(document.querySelector('#contracts td')).display"),
                             "table-cell", "there is room for all columns")
        self.check("load", times)

    def test_filters_within_a_second(self):
        self.load_page(self.page)
        type_in = "q.value = '{}'; q.dispatchEvent(new Event('input', {{bubbles: true}}))".format
        for what, action in (("all but few", type_in("number 77 ")), ("all again", type_in("")),
                             ("half of them", type_in("5")), ("none", type_in("zzz")),
                             ("by verdict", "verdict.value = 'fail';" + type_in("")),
                             ("by area", "verdict.value = ''; area.value = 'area7';" + type_in("")),
                             ("what differs", "area.value = ''; differs.checked = true;" + type_in("")),
                             ("a diagnosis", "location.hash = 'open=area0.contract0@host-6.0'")):
            fields = "const { q, verdict, area, differs } = document.getElementById('filter').elements;"
            times = []
            for _ in range(self.TIMES):
                self.script("document.getElementById('filter').reset()")
                self.seconds("")
                times.append(self.seconds(fields + action))
            self.check(what, times)
        self.assertIn("KVM_EXIT_SHUTDOWN in 0", self.find("dialog").text)
