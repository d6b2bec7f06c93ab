# SPDX-License-Identifier: MIT
"""Faults to put into KVM on purpose: what they are, and how they are put in (mutants.ini)."""

from __future__ import annotations

import configparser
import dataclasses
import re
from pathlib import Path

from . import kconfig
from .common import LabError, natural
from .modules import Edits

FILE = Path(__file__).with_name("mutants.ini")
EDITS = ("replace", "before", "after")
NEEDED = ("breaks", "file", "function", "find", "cases")
OPTIONAL = ("kernel", "kvm_config", "survives")
KERNEL = "6.1"  # mutants apply to others as far as these look the same
CONTROL = "control"  # KVM as Debian has it, built as the mutants are


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    breaks: str       # what is broken
    file: str = ""
    function: str = ""
    find: str = ""    # occurs there once
    edit: str = ""    # which of EDITS
    text: str = ""
    cases: str = ""   # filters, separated by spaces: the areas that have to do with it
    kernel: str = KERNEL  # the oldest that it is for
    kvm_config: str = ""  # as ci/lab run has it, separated by spaces
    survives: str = ""  # why no case catches it

    @property
    def options(self) -> kconfig.Options:
        return kconfig.parse(self.kvm_config.split())

    def is_for(self, kernel: str) -> bool:
        """As far as one can tell: of a kernel that is named by its series."""
        return not re.fullmatch(r"\d+\.\d+", kernel) or natural(self.kernel) <= natural(kernel)

    def edits(self) -> Edits:
        return {self.file: self.apply} if self.file else {}

    def apply(self, source: str) -> str:
        """The text of its file with the fault in it."""
        begin, end = self.find_function(source)
        # a blank stands for any, line breaks too
        pattern = r"\s+".join(re.escape(word) for word in self.find.split())
        found = list(re.compile(pattern).finditer(source, begin, end))
        if len(found) != 1:
            raise LabError(f"mutant {self.name} does not apply: «{self.find}» is there "
                           f"{len(found)} times instead of once in {self.function}(), {self.file}")
        text = {"replace": self.text, "before": f"{self.text} {found[0][0]}",
                "after": f"{found[0][0]} {self.text}"}[self.edit]
        return source[:found[0].start()] + text + source[found[0].end():]

    def find_function(self, source: str) -> tuple[int, int]:
        """Where its definition begins and ends, which in kernel style are in the first column."""
        found = list(re.finditer(rf"^[A-Za-z][^;{{}}()]*\b{re.escape(self.function)}\([^;{{}}]*\)\n{{.*?^}}",
                                 source, re.M | re.S))
        if len(found) != 1:
            raise LabError(f"mutant {self.name} does not apply: {self.file} defines "
                           f"{self.function}() {len(found)} times")
        return found[0].span()


def load(file: Path = FILE) -> dict[str, Mutant]:
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), comment_prefixes=("#",))
    try:
        parser.read_string(file.read_text(), file.name)
    except configparser.Error as error:
        raise LabError(str(error).replace("\n", " ")) from error
    return {name: parse(name, dict(parser[name])) for name in parser.sections()}


def parse(name: str, keys: dict[str, str]) -> Mutant:
    edits = [key for key in EDITS if key in keys]
    missing = [key for key in NEEDED if not keys.get(key)]
    unknown = keys.keys() - {*NEEDED, *OPTIONAL, *EDITS}
    if name == CONTROL:
        raise LabError(f"{CONTROL} is no mutant: it is KVM without one")
    if missing:
        raise LabError(f"mutant {name} has no {missing[0]}")
    if unknown:
        raise LabError(f"mutant {name} has {', '.join(unknown)}, which means nothing")
    if len(edits) != 1:
        raise LabError(f"mutant {name} has {len(edits)} of {', '.join(EDITS)}; it needs one")
    return Mutant(name, edit=edits[0], text=keys.pop(edits[0]), **keys)


def load_one(name: str) -> Mutant:
    known = {CONTROL: Mutant(CONTROL, "nothing"), **load()}
    if name not in known:
        raise LabError(f"there is no mutant {name}: see ci/mutants list")
    return known[name]
