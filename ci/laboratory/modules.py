# SPDX-License-Identifier: MIT
"""
KVM's modules built out of tree for one of Debian's kernels, with changes to their sources or to
their configuration, or without: seconds for each, where a kernel would take minutes. Debian's
packages of headers and of sources are unpacked into one tree in the cache, never installed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from . import kconfig, kernels, toolchain
from .common import LabError, building, call, explained, find_tool, locked, say
from .kernels import Kernel

PART = "modules"  # of the cache
SOURCES = ("arch/x86/kvm", "virt/kvm")
MODULES = ("kvm.ko", "kvm-amd.ko", "kvm-intel.ko")
HEADERS = re.compile(r"linux-(headers|kbuild)-[0-9]")
KEPT = 96  # sets of modules in the cache, 3.5 MB each: more than there are mutants

Edits = Mapping[str, Callable[[str], str]]  # of a file's text, by the file's name in the kernel


class Tree:
    """The sources of a kernel's KVM and what it takes to build them, in one place."""

    def __init__(self, root: Path, release: str, version: str):
        self.pristine = root / "pristine"
        self.headers = root / "usr/src" / f"linux-headers-{release}"
        # the headers that all flavours share; KVM's sources are among them as in a kernel's tree
        self.source, = (root / "usr/src").glob("linux-headers-*-common")
        config = (self.headers / ".config").read_text()
        text = re.search(r'^CONFIG_CC_VERSION_TEXT="(\S+)', config, re.M)
        self.compiler = text[1] if text else "gcc"
        self.prefix = toolchain.command(root.parent, root, self.compiler, version)

    def edited(self, edits: Edits) -> dict[str, str]:
        for name in edits:
            if not (self.pristine / name).is_file():
                raise LabError(f"KVM has no source file {name}: its files are in "
                               f"{' and '.join(SOURCES)}")
        return {name: edit((self.pristine / name).read_text()) for name, edit in edits.items()}

    def write(self, texts: dict[str, str]) -> None:
        """
        Makes the sources what Debian has but for these texts, whatever was there before. Files that
        are so already are left alone, and need not be compiled.
        """
        for original in self.pristine.rglob("*"):
            if original.is_file():
                name = str(original.relative_to(self.pristine))
                text = texts.get(name) or original.read_text()
                if (self.source / name).read_text() != text:
                    (self.source / name).write_text(text)

    def make(self) -> None:
        command: list[str | Path] = [
            find_tool("nice"), *self.prefix, "make", "-C", self.headers,
            "-f", self.source / "Makefile", f"M={self.source / SOURCES[0]}", f"CC={self.compiler}",
            "CONFIG_KVM_WERROR=", "CONFIG_DEBUG_INFO=", "CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
        # nothing else of the environment: the variables of our own make, above all
        done = subprocess.run(command, capture_output=True, text=True,
                              env={"PATH": os.environ["PATH"], "LC_ALL": "C",
                                   "KBUILD_OUTPUT": str(self.headers)})
        if done.returncode:
            said = re.findall(r".*(?: error: |ERROR: |Error \d).*", done.stderr)
            raise LabError(f"KVM's modules do not compile: {[*said, 'make says nothing'][0]}")


def unpack(root: Path, release: str, version: str) -> None:
    series = ".".join(release.split(".")[:2])
    headers = f"linux-headers-{release}"
    try:
        parts = kernels.show([f"{headers}={version}"], HEADERS)[0].depends
        names = [headers, *parts, f"linux-source-{series}"]
        say(f"downloading {' '.join(names)}")
        call("apt-get", *kernels.apt_options(), "download",
             *(f"{name}={version}" for name in names), cwd=root)
    except LabError as error:
        raise LabError(f"cannot get what builds KVM for Linux {release} from Debian: {error}. Is "
                       "the network there? Does Debian have a newer one (ci/lab kernels --update)?"
                       ) from error
    for deb in root.glob("*.deb"):
        call("dpkg-deb", "-x", deb, root)
        deb.unlink()
    archive, = (root / "usr/src").glob("linux-source-*.tar.xz")
    (root / "pristine").mkdir()
    call("tar", "-xJf", archive, "-C", root / "pristine", "--strip-components=1",
         *(f"{archive.name.removesuffix('.tar.xz')}/{part}" for part in SOURCES))
    archive.unlink()
    common, = (root / "usr/src").glob("linux-headers-*-common")
    shutil.copytree(root / "pristine", common, dirs_exist_ok=True)


def find_tree(cache: Path, kernel: Kernel, options: kconfig.Options) -> Tree:
    """What Debian has, or a copy of it with other options: each keeps what was compiled."""
    name, _, version = kernel.package.partition(" ")
    if not re.fullmatch(r"linux-image-\S+", name):
        raise LabError(f"{kernel.name} is none of Debian's kernels, and only for these there are "
                       "headers and sources to build KVM with: KERNEL=6.1, for example")
    root = cache / f"{name}_{version}"
    if not root.exists():
        with building(root) as new:
            unpack(new, kernel.release, version)
    plain = Tree(root, kernel.release, version)
    if not options:
        return plain
    # to make, «target=x: y» would be a variable
    other = root.with_name("+".join((root.name, *kconfig.words(options))).replace("=", "-"))
    if not other.exists():
        with building(other) as new:
            shutil.copytree(root, new, symlinks=True, dirs_exist_ok=True)
            tree = Tree(new, kernel.release, version)
            kconfig.configure(tree.headers, tree.pristine, options, kernel.release, tree.prefix)
    return Tree(other, kernel.release, version)


def content_hash(tree: Tree, kernel: Kernel, texts: dict[str, str], options: kconfig.Options) -> str:
    parts = (kernel.package, call(*tree.prefix, tree.compiler, "--version"), Path(__file__).read_text(),
             sorted(texts.items()), kconfig.words(options))
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def build(kernel: Kernel, name: str, edits: Edits, options: kconfig.Options) -> list[Path]:
    """The modules of a kernel's KVM with these edits and options; made once for each content."""
    with explained(f"build {name}"), locked(PART) as cache:
        tree = find_tree(cache, kernel, options)
        texts = tree.edited(edits)
        directory = cache / "built" / f"{name}-{content_hash(tree, kernel, texts, options)}"
        if not directory.exists():
            say(f"building KVM's modules for {kernel.release}: "
                f"{' with '.join((name, *kconfig.words(options)))}")
            tree.write(texts)
            tree.make()
            with building(directory) as new:
                for module in MODULES:
                    shutil.copy(tree.source / SOURCES[0] / module, new)
        os.utime(directory)
        for old in sorted(directory.parent.iterdir(), key=lambda d: -d.stat().st_mtime)[KEPT:]:
            shutil.rmtree(old)
        return [directory / module for module in MODULES]
