# SPDX-License-Identifier: MIT
"""
Other options for a KVM that is built out of tree: Debian's configuration with some of KVM's own changed.
The kernel's conf works out what follows from that. The rest of the kernel is there already, so whatever
would change it is refused.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .common import LabError

FILES = ("arch/x86/kvm/Kconfig", "virt/kvm/Kconfig")  # the first one has the second one read
TYPES = ((r'"', "string"), (r"0x", "hex"), (r"-?\d", "int"), (r"m$", "tristate"), (r"y$", "bool"))

Options = Mapping[str, str]  # values by names, both as in .config: KVM_SW_PROTECTED_VM is y


def parse(words: list[str]) -> dict[str, str]:
    """Of --kvm-config: NAME or NAME=VALUE, with CONFIG_ before it or without."""
    options = {}
    for word in words:
        match = re.fullmatch(r"(?:CONFIG_)?([A-Z0-9_]+)(?:=(.+))?", word)
        if not match:
            raise LabError(f"--kvm-config={word} is no option of KVM's: KVM_SW_PROTECTED_VM or "
                           "KVM_SMM=n, for example")
        options[match[1]] = match[2] or "y"
    return options


def words(options: Options) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(options.items())]


def read(text: str) -> dict[str, str]:
    """What a .config says, with n for what is not set."""
    found = dict(re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.M))
    return found | dict.fromkeys(re.findall(r"^# CONFIG_(\w+) is not set$", text, re.M), "n")


def declare(name: str, value: str) -> str:
    """An option of the rest of the kernel, whose value is what it is."""
    kind = next((kind for start, kind in TYPES if re.match(start, value)), "tristate")
    default = "" if value == "n" else f"\tdefault {value}\n"
    return f"config {name}\n\t{kind}\n{default}" + ("\tmodules\n" if name == "MODULES" else "")


def changes(old: Options, new: Options) -> dict[str, str]:
    return {name: new.get(name, "n") for name in sorted(old.keys() | new.keys())
            if old.get(name, "n") != new.get(name, "n")}


def check(options: Options, own: dict[str, bool], old: Options, new: Options, release: str) -> None:
    """Whether all of it is as was asked for, and nothing else than KVM is to be built with it."""
    for name, value in options.items():
        if name not in own:
            raise LabError(f"KVM of Linux {release} has no option {name}; it has "
                           f"{', '.join(sorted(name for name in own if own[name]))}")
        if new.get(name, "n") != value:
            raise LabError(f"{name}={value} has no effect in Linux {release}, where it stays "
                           f"{new.get(name, 'n')}: Debian's configuration lacks what it needs, or has "
                           f"what selects it ({FILES[0]})")
    for name, value in changes(old, new).items():
        if name not in own:
            raise LabError(f"{', '.join(options)} would make {name} {value} in Linux {release}, and that "
                           "is not KVM's: build such a kernel, and name its build tree as KERNEL")


def configure(headers: Path, sources: Path, options: Options, release: str, prefix: list[str | Path]) -> None:
    """
    Makes what kbuild reads in the headers say so, where it says what Debian has. prefix: what runs a
    program of the headers.
    """
    texts = [(sources / file).read_text() for file in FILES]
    # whether they can be chosen: these have a prompt
    own = {name: bool(re.match(r"\w+ \"", kind)) for text in texts for name, kind in
           re.findall(r"^(?:menu)?config (\w+)\n\s+(.*)", text, re.M)}
    selected = {name for text in texts for name in re.findall(r"^\s+select (\w+)", text, re.M)}
    old = read((headers / ".config").read_text())
    rest = dict.fromkeys(selected, "n") | old
    with tempfile.TemporaryDirectory(dir=headers) as directory:
        top, config = Path(directory, "Kconfig"), Path(directory, "config")
        top.write_text("".join(declare(name, value) for name, value in rest.items() if name not in own)
                       + f'source "{sources / FILES[0]}"\n')
        config.write_text("".join(f"CONFIG_{name}={value}\n" for name, value in (old | options).items()))
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "srctree": str(sources),
                       "KCONFIG_CONFIG": str(config)}
        for step in ("--olddefconfig", "--syncconfig"):
            done = subprocess.run([*prefix, headers / "scripts/kconfig/conf", "-s", step, top],
                                  cwd=headers, env=environment, capture_output=True, text=True)
            if done.returncode:
                said = done.stderr.strip().splitlines() or ["it says nothing"]
                raise LabError(f"the kernel's own scripts/kconfig/conf fails: {said[-1]}")
            check(options, own, old, read(config.read_text()), release)
        config.replace(headers / ".config")
