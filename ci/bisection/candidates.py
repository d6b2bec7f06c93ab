# SPDX-License-Identifier: MIT
"""Bisection over Debian's kernel packages: which there are, in order, and the search among them."""

from __future__ import annotations

import fnmatch
import functools
import gzip
import math
import re
import subprocess
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

from laboratory import kernels
from laboratory.common import LabError, call, find_tool
from laboratory.kernels import Package

from .inquiry import End, Inquiry, Kernel, NoKernel, say
from .question import Answer
from .state import Result

META = re.compile(r"linux-image-(\d+\.\d+-)?cloud-amd64")  # packages that depend on one with a kernel
KVM = re.compile(r"\b(kvm|svm|vmx|nsvm|nvmx)\b", re.I)
FOUND, NOT_FOUND = 0, 1


# Which there are

def older(one: str, other: str) -> bool:
    """Debian's order of versions."""
    return subprocess.run([find_tool("dpkg"), "--compare-versions", one, "lt", other]).returncode == 0


def in_order(packages: Collection[Package]) -> list[Package]:
    def compare(one: Package, other: Package) -> int:
        if one.version == other.version:
            return 0
        return -1 if older(one.version, other.version) else 1
    return sorted(packages, key=functools.cmp_to_key(compare))


def available(pattern: str = "*") -> list[Package]:
    """Kernels that Debian has now, and those in the cache that it has no more; oldest first."""
    known = {package.directory.name: package for package in kernels.index()}
    for directory in (kernels.cache() / "kernels").glob("linux-image-*_*"):
        name, _, version = directory.name.partition("_")
        known.setdefault(directory.name, Package(name, version.replace("%3a", ":"), []))
    return in_order([p for p in known.values() if not META.fullmatch(p.name)
                     and (fnmatch.fnmatch(p.name, pattern) or fnmatch.fnmatch(p.version, pattern))])


def matching(name: str, packages: list[Package]) -> list[int]:
    """Those that a user may mean: a package, its version, the kernel's version (6.12.43), a series."""
    found = [i for i, package in enumerate(packages)
             if name in (package.name, package.version, f"{package.name}_{package.version}")
             or re.match(re.escape(name) + r"(?![.\d])", package.version)]
    if not found:
        found = [i for i, package in enumerate(packages) if package.series == name][-1:]
    if not found:
        have = sorted({package.version.partition("-")[0] for package in packages}, key=kernels.natural)
        raise LabError(f"there is no kernel package {name}; there are {', '.join(have)} (ci/lab kernels "
                       "lists them, --update asks Debian again)")
    return found


def between(good: str, bad: str, packages: list[Package]) -> list[Package]:
    """From GOOD to BAD, whichever is the newer one. If a name means several, the widest range."""
    goods, bads = matching(good, packages), matching(bad, packages)
    if set(goods) & set(bads):
        raise LabError(f"GOOD and BAD are the same kernel: {packages[goods[0]].version}")
    if goods[0] < bads[0]:
        return packages[goods[0]:bads[-1] + 1]
    return packages[bads[0]:goods[-1] + 1][::-1]


def label(package: Package) -> str:
    return f"{package.name} {package.version}"


# The search

def middle(good: int, bad: int, untestable: Collection[int]) -> int | None:
    """The next one to ask: nearest to the middle of those between that may be able to tell."""
    left = [i for i in range(good + 1, bad) if i not in untestable]
    return min(left, key=lambda i: (abs(2 * i - good - bad), i)) if left else None


def search(last: int, ask: Callable[[int], Answer]) -> tuple[int, int]:
    """
    Neighbours in 0 (good) to last (bad): the one is good, the other bad, and none between them can
    tell.
    """
    good, bad = 0, last
    untestable: set[int] = set()
    while (i := middle(good, bad, untestable)) is not None:
        answer = ask(i)
        if answer == Answer.GOOD:
            good = i
        elif answer == Answer.BAD:
            bad = i
        else:
            untestable.add(i)
    return good, bad


def steps_of(count: int) -> int:
    """That a search among so many takes, both ends known."""
    return math.ceil(math.log2(count - 1)) if count > 2 else 0


def maker(package: Package) -> Callable[[], Kernel]:
    def make() -> Kernel:
        try:
            kernel = kernels.packaged(package.name, package)
        except LabError as error:
            raise NoKernel(str(error)) from error
        if package in kernels.index():
            return Kernel(package.name)
        return Kernel(str(kernel.image), (f"--modules={kernel.modules}",))
    return make


def run(inquiry: Inquiry, packages: list[Package]) -> Result:
    state = inquiry.state
    by_label = {label(package): package for package in packages}

    def end(package: Package) -> End:
        return End(label(package), maker(package), package.version)

    steps = steps_of(len(state.candidates))
    good, bad = by_label[state.candidates[0]], by_label[state.candidates[-1]]
    if not inquiry.confirm(end(good), end(bad), steps):
        assert state.result
        return state.result
    say(state.plan)

    def ask(i: int) -> Answer:
        package = by_label[state.candidates[i]]
        return inquiry.ask(label(package), "step", state.rounds, maker(package), package.version).answer

    first, second = search(len(state.candidates) - 1, ask)
    return found(inquiry, [by_label[name] for name in state.candidates[first:second + 1]])


def found(inquiry: Inquiry, packages: list[Package]) -> Result:
    """packages: the last good one, those that cannot tell, the first bad one."""
    good, bad = packages[0], packages[-1]
    between_them = [label(package) for package in packages[1:-1]]
    if between_them:
        finding = (f"it changed after {good.version} and not after {bad.version}: "
                   f"{len(between_them)} packages between them cannot tell")
    elif older(good.version, bad.version):
        finding = f"{bad.version} is the first bad one; {good.version} is good"
    else:
        finding = f"{bad.version} is the last bad one; {good.version} is good"
    status = NOT_FOUND if between_them else FOUND
    return Result(status, finding, label(good), label(bad), between_them, changes(good, bad))


# Changelogs

def changelog(package: Package) -> str:
    """The whole of it, as the package has it, or another one that it shares it with."""
    files = sorted(package.directory.glob("usr/share/doc/*/changelog*.gz"))
    if files:
        return gzip.decompress(files[0].read_bytes()).decode(errors="replace")
    shared = package.name.replace("linux-image-", "linux-base-")
    try:
        with tempfile.TemporaryDirectory() as directory:
            scratch = Path(directory)
            call("apt-get", *kernels.apt_options(), "download", f"{shared}={package.version}", cwd=scratch)
            deb, = scratch.glob("*.deb")
            call("dpkg-deb", "-x", deb, scratch)
            file = next(scratch.glob("usr/share/doc/*/changelog*.gz"))
            return gzip.decompress(file.read_bytes()).decode(errors="replace")
    except (LabError, StopIteration):
        return ""


def entries(text: str, after: str, until: str) -> list[str]:
    """A changelog's stanzas for versions in (after, until], newest first."""
    stanzas = re.split(r"(?m)^(?=\S+ \([^)]+\) )", text)
    chosen = []
    for stanza in stanzas:
        match = re.match(r"(\S+) \(([^)]+)\)", stanza)
        # linux-signed-amd64 has versions like 6.1.192+2, and says only that it was signed
        if match and "signed" not in match[1] and older(after, match[2]) and not older(until, match[2]):
            chosen.append(stanza.rstrip())
    return chosen


def changes(one: Package, other: Package) -> str:
    """Between two packages, from the newer one's changelog."""
    old, new = (one, other) if older(one.version, other.version) else (other, one)
    return "\n\n".join(entries(changelog(new), old.version, new.version))


def about_kvm(text: str) -> list[str]:
    """The items of changelog stanzas that name KVM, each in one line."""
    # an item ends where a line begins another one, or a link
    items = re.split(r"\n\s+[-*] |\n\s+(?=https?:)", text)
    return [" ".join(item.split("\n\n")[0].split()) for item in items[1:]
            if KVM.search(item) and not item.startswith("http")]
