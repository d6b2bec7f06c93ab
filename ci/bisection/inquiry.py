# SPDX-License-Identifier: MIT
"""
Asks kernels a question in the lab, and keeps what they say. Both bisections share it: how the ends
are confirmed, how often a step is repeated, and what a step's answer is.
"""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import engines
from laboratory import matrix
from laboratory.common import LabError, cache

from . import question, statistics
from .question import Answer, Observed, Question
from .state import Result, State, Step

NOT_FOUND, CANNOT_RUN = 1, 2

ENOUGH_BAD = 10    # bad rounds on BAD, to know their rate
LONGER = (1, 4, 16)  # times as many rounds of BAD, until it has shown as many
DISK_NEEDED = 200 << 20  # bytes


class Pointless(LabError):
    """Going on makes no sense: what is wrong here would be wrong for every kernel."""


def say(text: str) -> None:
    sys.stderr.write(f"bisect: {text}\n")
    sys.stderr.flush()


@dataclasses.dataclass
class Kernel:
    """A kernel that the lab can boot."""
    name: str           # for --kernel=
    options: tuple[str, ...] = ()  # more of ci/lab run's
    how: str = ""       # it was made


@dataclasses.dataclass
class End:
    name: str
    make: Callable[[], Kernel]
    label: str  # for its directory


class NoKernel(LabError):
    """This candidate has no kernel to boot: it does not build, or has no KVM."""


def list_cases(program: Path, filters: Sequence[str]) -> list[str]:
    done = subprocess.run([program, "--list", *filters], capture_output=True, text=True)
    if done.returncode:
        raise LabError(done.stderr.strip().removeprefix("kvmspec: ") or f"{program} does not run")
    return done.stdout.split()


def check_host(engine: str, *directories: Path) -> None:
    """What would be wrong for every kernel."""
    if engine not in engines.NAMES or not engines.find(engine).BOOTS:
        boots = [name for name in engines.NAMES if engines.find(name).BOOTS]
        raise Pointless(f"there is no engine {engine} that boots a kernel: there are "
                        f"{', '.join(boots)}")
    problem = engines.find(engine).problem()
    if problem:
        raise Pointless(f"engine {engine} cannot be used here: {problem}")
    for directory in (cache(), Path(tempfile.gettempdir()), *directories):
        if shutil.disk_usage(directory).free < DISK_NEEDED:
            raise Pointless(f"the disk is full: {directory} has less than {DISK_NEEDED >> 20} MB left")


@dataclasses.dataclass
class Inquiry:
    question: Question
    state: State
    program: Path
    engine: str
    options: list[str]  # more of ci/lab run's
    rounds: int         # of an end, at least
    confidence: float   # in the whole bisection

    @property
    def unit(self) -> str:
        return "boots" if self.question.per_boot else "rounds"

    def ask(self, candidate: str, role: str, rounds: int, make: Callable[[], Kernel],
            label: str = "") -> Step:
        """Boots the candidate, and asks about state.cases; once, if that was done before."""
        done = self.state.find(candidate, role)
        # an end that could not tell is asked again: what was wrong may have been put right
        if done and done.rounds >= rounds and (role == "step" or done.answer != Answer.CANNOT_TELL):
            return done
        number = len(self.state.steps) + 1
        out = Path("steps") / f"{number:02}-{(label or candidate).replace('/', '_')}"
        # what an interrupted one left
        shutil.rmtree(self.state.directory / out, ignore_errors=True)
        (self.state.directory / out).mkdir(parents=True)
        started, how = time.monotonic(), ""
        say(f"{number}. {role}, {label or candidate}: {rounds} {self.unit}")
        try:
            kernel = make()
            how = kernel.how
            observed = self.observe(kernel, rounds, self.state.directory / out)
        except NoKernel as error:
            observed = Observed([Answer.CANNOT_TELL], {}, str(error))
        step = Step(candidate, role, decide(observed, rounds), rounds,
                    {a.value: observed.count(a) for a in Answer if observed.count(a)},
                    observed.verdicts, round(time.monotonic() - started, 1), str(out), how,
                    observed.why, list(observed.bad_cases), observed.example)
        if step.answer == Answer.CANNOT_TELL and not step.why:
            step.why = f"only {observed.count(Answer.GOOD)} of {rounds} rounds had an answer"
        self.state.steps.append(step)
        self.state.save()
        say(f"   {describe(step)}")
        return step

    def observe(self, kernel: Kernel, rounds: int, out: Path) -> Observed:
        if not self.question.per_boot:
            return self.boot(kernel, rounds, out)
        total = Observed([], {})
        for number in range(1, rounds + 1):
            one = self.boot(kernel, 1, out / f"boot-{number}")
            total.answers += one.answers
            for verdict, count in one.verdicts.items():
                total.verdicts[verdict] = total.verdicts.get(verdict, 0) + count
            total.why = total.why or one.why
            total.bad_cases = total.bad_cases or one.bad_cases
            total.example = total.example or one.example
        return total

    def boot(self, kernel: Kernel, rounds: int, out: Path) -> Observed:
        check_host(self.engine, self.state.directory)
        run = matrix.Run(kernel.name, self.engine, out)
        run.run([*kernel.options, f"--program={self.program}",
                 *([f"--repeat={rounds}"] if rounds > 1 else []), *self.question.options,
                 *self.options, *self.state.cases])
        if run.status == 130:
            raise KeyboardInterrupt
        observed = question.observe(self.question, self.state.cases, rounds, out)
        if run.status not in (0, 1):
            check_host(self.engine, self.state.directory)  # it may have become so meanwhile
            if set(observed.answers) <= {Answer.CANNOT_TELL}:
                observed.why = run.said
        return observed

    # The ends

    def confirm(self, good: End, bad: End, steps: int) -> bool:
        """
        Whether BAD is bad and GOOD is good; decides which cases are asked, and how often each step
        is repeated. If not, the result says what was found instead.
        """
        state = self.state
        self.learn(good)
        if state.confirmed:
            return True
        asked, state.left_out = state.cases, []
        while not state.confirmed:
            seen = self.measure(bad)
            if seen.answer == Answer.CANNOT_TELL:
                return self.stop(CANNOT_RUN, f"BAD, {bad.name}, cannot tell: {seen.why}")
            if seen.answer == Answer.GOOD:
                most = statistics.highest_rate(seen.counts["good"], 1 - self.confidence)
                return self.stop(NOT_FOUND, f"nothing differs: BAD, {bad.name}, is good in all {seen.rounds} "
                                 f"{self.unit}. What shows in more than {most:.1%} of them would have "
                                 f"been seen, with {self.confidence:.1%} confidence")
            self.plan(seen, steps)
            state.cases = seen.bad_cases
            on_good = self.ask(good.name, "good end", state.rounds, good.make, good.label + "-good-end")
            if on_good.answer == Answer.CANNOT_TELL:
                return self.stop(CANNOT_RUN, f"GOOD, {good.name}, cannot tell: {on_good.why}")
            state.confirmed = on_good.answer == Answer.GOOD
            if not state.confirmed:
                # without what is bad on both ends, BAD may be bad less often: both are asked again
                state.left_out += on_good.bad_cases
                state.cases = [case for case in state.cases if case not in on_good.bad_cases]
                seen.role = on_good.role = "both ends bad"
            if not state.cases:
                return self.stop(NOT_FOUND, f"nothing differs: GOOD, {good.name}, is bad as well, in "
                                 f"{on_good.counts['bad']} of {sum(on_good.counts.values())} {self.unit}")
        state.good_throughout = len(asked) - len(state.cases) - len(state.left_out)
        state.save()
        return True

    def learn(self, good: End) -> None:
        """What GOOD answers, for a question that compares with it."""
        if self.question.needs_reference():
            step = self.ask(good.name, "reference", self.rounds, good.make, good.label + "-reference")
            self.question.learn(question.read_records(self.state.directory / step.out))

    def measure(self, bad: End) -> Step:
        """How often BAD is bad: if not always, until that has been seen often enough to say."""
        for times in LONGER:
            seen = self.ask(bad.name, "bad end", self.rounds * times, bad.make, bad.label + "-bad-end")
            often = seen.counts.get(Answer.BAD.value, 0)
            if often in (0, seen.rounds) or often >= ENOUGH_BAD:
                break
        return seen

    def plan(self, seen: Step, steps: int) -> None:
        often = seen.counts[Answer.BAD.value]
        total = often + seen.counts.get(Answer.GOOD.value, 0)
        # one more: GOOD is such a step, too
        self.state.rounds, rate = statistics.rounds_for_each(often, total, self.confidence, steps + 1)
        self.state.plan = (f"BAD was bad in {often} of {total} {self.unit}, which makes a rate of at least "
                           f"{rate:.1%}: {self.state.rounds} {self.unit} at each step are enough, for "
                           f"{self.confidence:.1%} confidence in the whole")

    def stop(self, status: int, finding: str) -> bool:
        self.state.result = Result(status, finding)
        self.state.save()
        return False


def decide(observed: Observed, rounds: int) -> Answer:
    """One bad round is enough; good takes as many good ones as were asked for."""
    if observed.count(Answer.BAD):
        return Answer.BAD
    return Answer.GOOD if observed.count(Answer.GOOD) >= rounds else Answer.CANNOT_TELL


def describe(step: Step) -> str:
    """A step in one line, but for its candidate."""
    total = sum(step.counts.values())
    what = {Answer.BAD: f"bad in {step.counts.get('bad', 0)} of {total}",
            Answer.GOOD: f"good in all {total}",
            Answer.CANNOT_TELL: f"cannot tell: {step.why}"}[step.answer]
    return f"{what}, {step.seconds:.0f} s" + (f" ({step.how})" if step.how else "")


def lab_options(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise LabError(f"--lab={text}: {error}") from error
