# SPDX-License-Identifier: MIT
"""
ci/workflows: the script that CI jobs run, on fixtures instead of the cases, and that the files which
call it do so. ci/tests/fresh-system runs the real thing.
"""

import configparser
import json
import re
import subprocess
import unittest
from pathlib import Path

import yaml

from lab import CANNOT_RUN, FAILED, PASS, TOP, support

scratch = support.scratch
WORKFLOWS = TOP / "ci/workflows"
KIND = "last/*-kvm*"

# In place of make: fixtures in place of the cases. It says which engine it was to take.
MAKE = """#!/bin/bash
[ "$1 $2" = "deps check" ] || exit 3
echo "engine: '$ENGINE'"
"{program}" --jobs=1 --out="${{3#OUT=}}" $FILTER || exit 2
"""


class Job:
    """One CI system's job, run again and again."""

    def __init__(self) -> None:
        self.cwd = scratch()
        (self.cwd / "bin").mkdir()
        (self.cwd / "bin/make").write_text(MAKE.format(program=support.BROKEN))
        (self.cwd / "bin/make").chmod(0o755)
        self.publish = self.cwd / "publish"

    def run(self, cases: str = "endings/passes", **environment: str) -> subprocess.CompletedProcess:
        return support.run(WORKFLOWS / "run", "publish", "last", cwd=self.cwd, env=support.environment(
            PATH=f"{self.cwd / 'bin'}:/usr/bin:/bin", FILTER=cases, **environment))

    @property
    def last(self) -> Path:
        found, = self.cwd.glob(KIND)
        return found

    def text(self, name: str) -> str:
        return (self.publish / name).read_text()


class Script(unittest.TestCase):
    def setUp(self) -> None:
        self.job = Job()

    def run_job(self, status: int, *args: str, **environment: str) -> str:
        done = self.job.run(*args, **environment)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_first_run(self):
        self.run_job(PASS)
        self.assertEqual(support.validate(self.job.publish / "run").stdout, "")
        self.assertIn("first run", self.job.text("comparison.md"))
        self.assertRegex(self.job.text("summary.md"),
                         r"^### kvmspec on host-kvm\w*: 1 passed, 0 failed, 0 skipped\n\n")
        self.assertIn("</html>", self.job.text("index.html"))
        self.assertEqual(support.validate(self.job.last).stdout, "")

    def test_what_the_ci_systems_publish_is_there(self):
        self.run_job(PASS)
        for name in ("github.yml", "gitlab.yml"):
            for path in re.findall(r"\bpublish/[\w./]+", (WORKFLOWS / name).read_text()):
                self.assertTrue((self.job.cwd / path).exists(), f"{name}: {path}")

    def test_nothing_changed(self):
        self.run_job(PASS)
        before = (self.job.last / "host.json").read_text()
        (self.job.last / "host.json").write_text(before.replace('"schema"', '"mark": "x", "schema"'))
        self.run_job(PASS)
        self.assertNotIn("first run", self.job.text("comparison.md"))
        self.assertFalse(json.loads(self.job.text("comparison.json"))["worse"])
        self.assertNotIn('"mark"', (self.job.last / "host.json").read_text(), "the new run is kept")

    def test_a_case_fails(self):
        said = self.run_job(FAILED, "endings/passes endings/fails")
        self.assertIn("1 passed, 1 failed", said)
        self.assertIn("1 passed, 1 failed", self.job.text("summary.md"))
        self.assertIn("endings/fails", self.job.text("index.html"))
        self.assertTrue(self.job.last.exists())

    def test_something_is_worse(self):
        self.run_job(PASS)
        host = self.job.last / "host.json"
        host.write_text(host.read_text().replace('"capabilities": {',
                                                 '"capabilities": { "KVM_CAP_GONE": 1,'))
        said = self.run_job(FAILED)
        self.assertIn("1 passed, 0 failed", said)
        for text in (said, self.job.text("comparison.md"), self.job.text("summary.md")):
            self.assertIn("KVM_CAP_GONE", text)
        self.run_job(PASS)  # once: the new run is the base now

    def test_cases_that_cannot_run(self):
        self.run_job(PASS)
        said = self.run_job(CANNOT_RUN, "no_such_case")
        self.assertIn("no case matches", said)
        self.assertIn("the cases did not run", said)
        self.assertTrue((self.job.last / "report.xml").exists(), "the last run is still there")
        self.assertFalse((self.job.publish / "index.html").exists(), "an old page is no new one")

    def test_a_run_that_stopped_is_no_base(self):
        self.run_job(FAILED, "--until-fail --repeat=2 endings/fails")
        self.assertIn("Bail out!", self.job.text("run/report.tap"))
        self.assertEqual(list(self.job.cwd.glob(KIND)), [])

    def test_a_damaged_base_is_replaced(self):
        self.run_job(PASS)
        (self.job.last / "cases.jsonl").write_text("{")
        self.run_job(CANNOT_RUN)
        self.run_job(PASS)

    def test_engine(self):
        self.assertIn("engine: 'host'", self.run_job(PASS))
        self.assertIn("engine: ''", self.run_job(PASS, ENGINE=""))

    def test_another_kind_of_machine(self):
        self.run_job(PASS)
        self.run_job(PASS, KVMSPEC_ENGINE="emulated")
        self.assertIn("first run", self.job.text("comparison.md"))
        self.assertEqual(len(list(self.job.cwd.glob(KIND))), 2)

    def test_kcidb(self):
        self.run_job(PASS, KCIDB_ORIGIN="my_lab")
        self.assertEqual(json.loads(self.job.text("kcidb.json"))["tests"][0]["origin"], "my_lab")
        self.assertIn("KCIDB knows no origin", self.run_job(CANNOT_RUN, KCIDB_ORIGIN="My lab"))

    def test_usage(self):
        done = support.run(WORKFLOWS / "run", "publish")
        self.assertEqual((done.returncode, done.stderr),
                         (CANNOT_RUN, "usage: ci/workflows/run PUBLISH LAST\n"))


class Files(unittest.TestCase):
    """What CI systems would complain of only when they run them."""

    def runs_the_script(self, command: str) -> None:
        script, *arguments = command.split()
        self.assertEqual(len(arguments), 2, command)
        self.assertTrue((TOP / script).stat().st_mode & 0o100, script)

    def test_github(self):
        workflow = yaml.safe_load((WORKFLOWS / "github.yml").read_text())
        # YAML 1.1 reads the key "on" as true, and so does PyYAML
        self.assertEqual(set(workflow), {"name", True, "permissions", "jobs"})
        job = workflow["jobs"]["check"]
        self.assertLessEqual(set(job), {"runs-on", "timeout-minutes", "container", "steps"})
        self.assertIn("--device /dev/kvm", job["container"]["options"])
        steps = job["steps"]
        for step in steps:
            self.assertLessEqual(set(step), {"uses", "with", "run", "if"})
            self.assertEqual(("uses" in step) + ("run" in step), 1, step)
            self.assertRegex(step.get("uses", "actions/x@v1"), r"^actions/[a-z/-]+@v\d+$")
        at = [step.get("uses", step.get("run")) for step in steps]
        place = {text.partition("@")[0].partition(" ")[0]: n for n, text in enumerate(at)}
        restore, save = place["actions/cache/restore"], place["actions/cache/save"]
        self.assertEqual(place["actions/checkout"], 0)
        self.runs_the_script(at[place["ci/workflows/run"]])
        self.assertLess(restore, place["ci/workflows/run"])
        self.assertLess(place["ci/workflows/run"], save)
        _, publish, last = at[place["ci/workflows/run"]].split()
        for step in (steps[restore], steps[save]):
            self.assertEqual(step["with"]["path"], last)
        self.assertTrue(steps[save]["with"]["key"].startswith(steps[restore]["with"]["restore-keys"]))
        self.assertEqual(steps[place["actions/upload-artifact"]]["with"]["path"], publish)
        # a job that failed is what one wants to read about
        for step in steps[place["ci/workflows/run"] + 1:]:
            self.assertEqual(step["if"], "${{ !cancelled() }}")

    def test_gitlab(self):
        job = yaml.safe_load((WORKFLOWS / "gitlab.yml").read_text())["kvmspec"]
        self.assertLessEqual(set(job), {"image", "tags", "timeout", "rules", "cache", "script", "artifacts"})
        command, = job["script"]
        self.runs_the_script(command)
        _, publish, last = command.split()
        self.assertEqual((job["cache"]["paths"], job["cache"]["when"]), ([last], "always"))
        self.assertEqual((job["artifacts"]["paths"], job["artifacts"]["when"]), ([f"{publish}/"], "always"))
        self.assertTrue(job["artifacts"]["reports"]["junit"].startswith(f"{publish}/"))

    def test_the_same_image(self):
        github, gitlab = (yaml.safe_load((WORKFLOWS / name).read_text())
                          for name in ("github.yml", "gitlab.yml"))
        self.assertEqual(github["jobs"]["check"]["container"]["image"], gitlab["kvmspec"]["image"])

    def test_systemd(self):
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read(WORKFLOWS / "kvmspec.service")
        service = unit["Service"]
        shell, _, command = service["ExecStart"].partition(" ")
        self.assertEqual(shell, "/bin/bash")
        self.runs_the_script(command)
        state = f"%S/{service['StateDirectory']}/"
        for path in (service["WorkingDirectory"], *command.split()[1:]):
            self.assertTrue(path.startswith(state), path)
        self.assertTrue((WORKFLOWS / "kvmspec.timer").exists(), "it starts the service of its name")


if __name__ == "__main__":
    unittest.main()
