# SPDX-License-Identifier: MIT
"""
Builds a commit's kernel out of tree, small (ci/kernel.config) and incrementally: only KVM's modules
where nothing else has changed since the last whole build.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from laboratory.common import TOP, LabError, building, call, explained, find_tool
from laboratory.kernels import image_release

from .inquiry import Kernel, NoKernel, Pointless, say

FRAGMENTS = (TOP / "ci/kernel.config", TOP / "ci/bisection/kernel.config")
KVM_ONLY = ("arch/x86/kvm/", "virt/kvm/")
TOOLS = ("make", "gcc", "ld", "bc", "bison", "flex", "git", "depmod")
MODULES_ONLY, WHOLE = "modules only", "whole build"
KEPT = 8  # kernels, 7 MB each
# Failures of the machine, not of the commit.
NO_FAULT_OF_ITS = re.compile(r"No space left on device|Killed signal|Cannot allocate memory|"
                             r"Read-only file system|virtual memory exhausted|is not clean, please run")


def git(tree: Path, *arguments: str) -> str:
    return call("git", *arguments, cwd=tree).decode().rstrip("\n")


def kvm_only(files: Sequence[str]) -> bool:
    """Whether KVM's modules are all that a change of these files changes."""
    return all(file.startswith(KVM_ONLY) and not Path(file).name.startswith("Kconfig") for file in files)


class Builder:
    def __init__(self, tree: Path, directory: Path):
        self.tree, self.directory = tree, directory
        self.whole = directory / ".kvmspec-whole"  # the commit and configuration of the last one

    def check_host(self) -> None:
        for tool in TOOLS:
            try:
                find_tool(tool)
            except LabError as error:
                raise Pointless(str(error)) from error
        if subprocess.run(["gcc", "-fsyntax-only", "-xc", "-"], input=b"#include <gelf.h>\n",
                          capture_output=True).returncode:
            raise Pointless("a kernel needs libelf to build: apt-get install libelf-dev")

    def configuration(self) -> str:
        return "".join(fragment.read_text() for fragment in FRAGMENTS)

    def kernel(self, whole: bool = False) -> Kernel:
        """
        What the tree holds now, built and installed in a place of its own: the next build does not
        change it.
        """
        self.check_host()
        commit = git(self.tree, "rev-parse", "HEAD")
        self.directory.mkdir(parents=True, exist_ok=True)
        how = WHOLE if whole or not self.needs_modules_only() else MODULES_ONLY
        began, used = time.monotonic(), os.times()
        if how == WHOLE:
            self.whole.unlink(missing_ok=True)
            self.configure()
            self.make("bzImage", "modules")
            self.whole.write_text(json.dumps([commit, self.digest()]))
        else:
            self.make("modules")
        cpu = sum(os.times()[2:4]) - sum(used[2:4])
        say(f"   {how}: {time.monotonic() - began:.0f} s, {cpu:.0f} s of CPU time")
        return self.installed(commit, how)

    def digest(self) -> str:
        return hashlib.sha256(self.configuration().encode()).hexdigest()

    def needs_modules_only(self) -> bool:
        try:
            commit, digest = json.loads(self.whole.read_text())
            files = git(self.tree, "diff", "--name-only", commit).splitlines()
        except (OSError, ValueError, LabError):
            return False  # there is none yet, or git knows its commit no more
        return digest == self.digest() and (self.directory / ".config").exists() and kvm_only(files)

    def configure(self) -> None:
        fragment = self.directory / ".kvmspec-config"
        fragment.write_text(self.configuration())
        self.make(f"KCONFIG_ALLCONFIG={fragment}", "allnoconfig")

    def make(self, *targets: str) -> None:
        compiler = "ccache gcc" if shutil.which("ccache") else "gcc"
        log = self.directory / "build.log"
        command = ["make", "-C", str(self.tree), f"O={self.directory}", "ARCH=x86_64", f"CC={compiler}",
                   f"-j{os.environ.get('JOBS') or os.cpu_count()}", "LOCALVERSION=",
                   # the same sources make the same files: ccache has them, and nothing is linked anew
                   "KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=kvmspec", "KBUILD_BUILD_HOST=kvmspec", *targets]
        with open(log, "wb") as file:
            # nothing else of the environment: the variables of our own make, above all
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
                env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"LC_ALL": "C"})
            try:
                process.wait()
            except KeyboardInterrupt:  # the makes that it has started, too
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()
                raise
        if process.returncode:
            text = log.read_text(errors="replace")
            said = re.findall(r".*(?: error: |undefined reference|ERROR: ).*", text)
            machine = NO_FAULT_OF_ITS.search(text)
            if machine:
                raise Pointless(f"the kernel cannot be built: {machine[0]}. See {log}")
            first = [*said, f"see {log}"][0].strip().replace(f"{self.tree}/", "")
            raise NoKernel(f"it does not build: {first}")

    def installed(self, commit: str, how: str) -> Kernel:
        """A copy: bzImage and modules, as ci/lab run --kernel= --modules= takes them."""
        image = self.directory / "arch/x86/boot/bzImage"
        place = self.directory / ".kvmspec-kernels" / f"{commit[:12]}-{how.split()[0]}"
        with explained("keep the kernel", "Is there space?"):
            shutil.rmtree(place, ignore_errors=True)
            with building(place) as new:
                shutil.copy(image, new)
                self.make(f"INSTALL_MOD_PATH={new}", "DEPMOD=true", "modules_install")
                call("depmod", "-b", new, image_release(image))
        for old in sorted(place.parent.iterdir(), key=lambda d: -d.stat().st_mtime)[KEPT:]:
            shutil.rmtree(old)
        return Kernel(str(place / "bzImage"), (f"--modules={place}",), how)
