# SPDX-License-Identifier: MIT
"""Runs the cases on KVM with one fault at a time, and says which of them catch it."""

from __future__ import annotations

import argparse
import dataclasses
import time
from pathlib import Path

from . import kconfig, kernels, matrix, modules, mutants
from .common import LabError, explained, say
from .kernels import Kernel
from .mutants import CONTROL, Mutant

COLUMNS = ["mutant", "what is broken", "caught by", "cases"]
BAD = ("fail", "error")
SHOWN = 2        # cases in the table; the results have them all
SECONDS = 300    # that a run may take: some faults hang each case, and a few of them are enough


@dataclasses.dataclass
class Trial:
    mutant: Mutant
    run: matrix.Run
    control: dict[str, str]  # verdicts

    def caught_by(self) -> list[str]:
        return sorted(case for case, verdict in self.run.verdicts().items()
                      if verdict in BAD and self.control.get(case) not in BAD)

    def known(self) -> bool:
        """Whether it has a result: it ended, or cases that ran when it died are to blame."""
        return self.run.status in (0, 1) or bool(self.caught_by())

    def status(self) -> int:
        if not self.known():
            return 2
        return 0 if self.caught_by() or self.mutant.survives else 1

    def cells(self) -> list[str]:
        caught, count = self.caught_by(), len(self.run.verdicts())
        # a case has a verdict in each CPU mode
        names = sorted({"/".join(case.split("/")[:2]) for case in caught})
        shown = ", ".join(names[:SHOWN])
        if len(names) > SHOWN:
            shown += f" and {len(names) - SHOWN} more"
        if not self.known():
            return [self.mutant.name, self.mutant.breaks, "not known", self.run.said]
        if not caught:
            return [self.mutant.name, self.mutant.breaks, f"none of {count}",
                    self.mutant.survives or "it survived"]
        note = "; was expected to survive" if self.mutant.survives else ""
        return [self.mutant.name, self.mutant.breaks, f"{len(caught)} of {count}", shown + note]


def run_on(kernel: Kernel, args: argparse.Namespace, out: Path, arguments: list[str]) -> matrix.Run:
    run = matrix.Run(kernel.name, args.engine, out)
    run.run([f"--timeout={SECONDS}", *arguments])
    return run


def options(files: list[Path]) -> list[str]:
    return [f"--module={file}" for file in files]


def verdicts_of(kernel: Kernel, out: Path, args: argparse.Namespace, arguments: list[str]) -> dict[str, str]:
    """Without a fault."""
    say(f"running the cases on {out.name}")
    one = run_on(kernel, args, out, arguments)
    if one.status not in (0, 1) or not one.verdicts():
        raise LabError(f"the cases could not run without a fault, see {out}: {one.said}")
    return one.verdicts()


def run_control(kernel: Kernel, config: kconfig.Options, cases: list[str], args: argparse.Namespace,
                out: Path) -> dict[str, str]:
    """
    Its verdicts, which must be those with Debian's own modules, or it would prove nothing: but for
    cases that are skipped there, and need a configuration that Debian's do not have.
    """
    built = options(modules.build(kernel, CONTROL, {}, config))
    debians = verdicts_of(kernel, out / "debian", args, cases)
    ours = verdicts_of(kernel, out / CONTROL, args, [*built, *cases])
    differ = sorted(case for case in debians.keys() | ours.keys()
                    if debians.get(case) != ours.get(case)
                    and not (config and debians.get(case) == "skip"))
    if differ:
        raise LabError(f"KVM without a fault, but built here, has other verdicts than Debian's; see "
                       f"{out}: {', '.join(differ)}")
    return ours


def try_one(mutant: Mutant, kernel: Kernel, control: dict[str, str], args: argparse.Namespace,
            out: Path) -> Trial:
    files = modules.build(kernel, mutant.name, mutant.edits(), mutant.options)
    cases = args.cases or mutant.cases.split()
    trial = Trial(mutant, run_on(kernel, args, out, [*options(files), *cases]), control)
    say(f"{mutant.name}: caught by {trial.cells()[2]} cases, {trial.run.seconds:.0f} s")
    return trial


def try_all(kernel: Kernel, chosen: list[Mutant], args: argparse.Namespace, out: Path) -> list[Trial]:
    """Mutants of one kernel and one configuration, after their control."""
    cases = args.cases or sorted({case for mutant in chosen for case in mutant.cases.split()})
    name = "-".join(("without", kernel.name, *chosen[0].options)).replace("/", "_")
    control = run_control(kernel, chosen[0].options, cases, args, out / name)
    return [try_one(mutant, kernel, control, args, out / mutant.name) for mutant in chosen]


def run(args: argparse.Namespace) -> int:
    chosen = [mutants.load_one(name) for name in args.name] or \
        [mutant for mutant in mutants.load().values() if mutant.is_for(args.kernel or mutant.kernel)]
    out = args.out or Path("results/runs", time.strftime("%Y%m%dT%H%M%SZ-mutants", time.gmtime()))
    with explained("make a directory for the results", "OUT=dir names another place"):
        out.mkdir(parents=True, exist_ok=True)
    groups: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in chosen:
        groups.setdefault((args.kernel or mutant.kernel, mutant.kvm_config), []).append(mutant)
    trials = [trial for (kernel, _), group in groups.items()
              for trial in try_all(kernels.resolve(kernel), group, args, out)]
    rows = [COLUMNS, *(trial.cells() for trial in trials)]
    (out / "mutants.md").write_text(matrix.as_markdown(rows))
    print(f"\n{matrix.as_text(rows)}\nresults in {out}, the table in {out}/mutants.md")
    return max(trial.status() for trial in trials)
