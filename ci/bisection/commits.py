# SPDX-License-Identifier: MIT
"""
Bisection over commits: git bisect does the search, in a worktree of its own, so that the user's
stays as it is. Worktree and build stay in the cache: the next bisection of the same repository
compiles only what differs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from laboratory.common import TOP, LabError, cache

from .builder import MODULES_ONLY, Builder, git
from .inquiry import End, Inquiry, Kernel, say
from .question import Answer
from .state import Result, load

STEP = TOP / "ci/bisect-step"
FOUND, NOT_FOUND, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130


def resolve(tree: Path, name: str) -> str:
    if not (tree / "Kconfig").exists():
        raise LabError(f"TREE={tree} is no source tree of a kernel: it has no Kconfig")
    try:
        found = git(tree, "rev-parse", "--verify", "--quiet", name)  # :/text bears no ^
        return git(tree, "rev-parse", "--verify", f"{found}^{{commit}}")
    except LabError as error:
        raise LabError(f"{tree} has no commit {name}: {error}") from error


def short(commit: str) -> str:
    return commit[:12]


def subject(tree: Path, commit: str) -> str:
    return git(tree, "show", "--no-patch", "--format=%s", commit)


def count(tree: Path, good: str, bad: str) -> tuple[int, int]:
    """Commits between, and the steps that git expects."""
    if subprocess.run(["git", "-C", tree, "merge-base", "--is-ancestor", good, bad]).returncode:
        raise LabError(f"GOOD, {short(good)}, is no ancestor of BAD, {short(bad)}. To find what mended "
                       "something, ask for a change: GOOD=older, BAD=newer, --question=changes")
    variables = dict(re.findall(r"(\w+)='?(\d+)", git(tree, "rev-list", "--bisect-vars", bad, f"^{good}")))
    return int(variables["bisect_all"]), int(variables["bisect_steps"]) + 1


class Workspace:
    """Where a repository's commits are checked out and built."""

    def __init__(self, tree: Path):
        self.repository = tree
        common = git(tree, "rev-parse", "--path-format=absolute", "--git-common-dir")
        self.directory = cache() / "bisect" / hashlib.sha256(common.encode()).hexdigest()[:16]
        self.tree, self.build = self.directory / "tree", self.directory / "build"
        self.builder = Builder(self.tree, self.build)
        self.built: dict[str, Kernel] = {}

    @contextlib.contextmanager
    def mine(self) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True)
        with open(self.directory / "lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LabError(f"another bisection of {self.repository} runs") from error
            yield

    def checkout(self, commit: str) -> None:
        if not (self.tree / ".git").exists():
            git(self.repository, "worktree", "prune")
            git(self.repository, "worktree", "add", "--force", "--detach", str(self.tree), commit)
        if git(self.tree, "rev-parse", "HEAD") != commit:
            git(self.tree, "checkout", "--quiet", "--force", "--detach", commit)

    def kernel(self, commit: str, whole: bool = False) -> Kernel:
        if commit not in self.built or whole:
            self.checkout(commit)
            self.built[commit] = self.builder.kernel(whole)
        return self.built[commit]

    def maker(self, commit: str, whole: bool = False) -> Callable[[], Kernel]:
        return lambda: self.kernel(commit, whole)


def run(inquiry: Inquiry, tree: Path, good: str, bad: str, steps: int) -> Result:
    work = Workspace(tree)
    with work.mine():
        work.builder.check_host()
        work.checkout(good)
        git(work.tree, "bisect", "reset", "HEAD")  # what an interrupted one left
        ends = {commit: End(commit, work.maker(commit), short(commit)) for commit in (good, bad)}
        if not inquiry.confirm(ends[good], ends[bad], steps):
            assert inquiry.state.result
            return inquiry.state.result
        say(inquiry.state.plan)
        log = bisect(inquiry, work, good, bad)
        return conclude(inquiry, work, log)


def bisect(inquiry: Inquiry, work: Workspace, good: str, bad: str) -> str:
    """Runs git bisect. Returns its log."""
    state = inquiry.state
    git(work.tree, "bisect", "start", bad, good)
    with open(state.directory / "git-bisect.log", "w") as said:
        process = subprocess.Popen(["git", "-C", work.tree, "bisect", "run", STEP, f"--state={state.directory}",
                                    f"--build={work.build}"], stdin=subprocess.DEVNULL, stdout=said,
                                   start_new_session=True)
        try:
            process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    log = git(work.tree, "bisect", "log")
    (state.directory / "git-bisect.log").write_text(log + "\n")
    if process.returncode and "# first bad commit" not in log and "# possible first bad" not in log:
        raise LabError(f"git bisect ended with status {process.returncode} before it was done. The same "
                       "command goes on")
    git(work.tree, "bisect", "reset", "HEAD")
    return log


def conclude(inquiry: Inquiry, work: Workspace, log: str) -> Result:
    state = inquiry.state
    state.steps = load(state.directory).steps  # ci/bisect-step has added some
    first = re.search(r"^# first bad commit: \[(\w+)\]", log, re.M)
    if not first:
        possible = re.findall(r"^# possible first bad commit: \[(\w+)\]", log, re.M)
        return Result(NOT_FOUND, f"it is one of {len(possible)} commits: those before the last of them "
                      "cannot tell", between=[f"{short(c)} {subject(work.tree, c)}" for c in possible])
    bad = first[1]
    good = git(work.tree, "rev-parse", f"{bad}^")
    name = f"{short(bad)} ({subject(work.tree, bad)})"
    for commit, answer in ((bad, Answer.BAD), (good, Answer.GOOD)):
        if not verified(inquiry, work, commit, answer):
            return Result(CANNOT_RUN, f"git bisect found {name}, but a whole build of {short(commit)} does not "
                          f"answer {answer.value} as building only KVM's modules did: see the steps", good, bad)
    return Result(FOUND, f"{name} is the first bad commit", good, bad,
                  changes=git(work.tree, "show", "--stat", "--format=fuller", bad))


def verified(inquiry: Inquiry, work: Workspace, commit: str, answer: Answer) -> bool:
    """By a whole build, if the answer comes from one of modules alone."""
    known = inquiry.state.find(commit)
    if known and known.how != MODULES_ONLY:
        return known.answer == answer
    step = inquiry.ask(commit, "check by a whole build", inquiry.state.rounds, work.maker(commit, whole=True),
                       short(commit) + "-check")
    return step.answer == answer
