# SPDX-License-Identifier: MIT
"""
The compiler that a kernel was built with, and what else builds modules for it, on a system that is
older than they are: Debian's packages, unpacked into the cache as a system that bubblewrap runs them in.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from . import kernels
from .common import LabError, building, call, find_tool, say

PROGRAMS = ("make", "coreutils", "dash", "findutils", "grep", "mawk", "sed")


def unpack(root: Path, packages: list[str]) -> None:
    """With all that they depend on: as far as this apt knows, nothing is installed yet."""
    (root / "archives/partial").mkdir(parents=True)
    try:
        call("apt-get", *kernels.apt_options(), "-oDir::State::status=/dev/null", "--yes",
             f"-oDir::Cache::archives={root}/archives", "-oDebug::NoLocking=1", "--download-only",
             "--no-install-recommends", "install", *packages)
    except LabError as error:
        raise LabError(f"cannot get {packages[0]} from Debian: {error}. Is the network there?") from error
    for deb in (root / "archives").glob("*.deb"):
        call("dpkg-deb", "-x", deb, root)
    shutil.rmtree(root / "archives")
    (root / "usr/bin/awk").symlink_to("mawk")  # as installing it would


def command(cache: Path, tree: Path, compiler: str, version: str) -> list[str | Path]:
    """What a command is to begin with in order to build in a tree; nothing if this system can."""
    if shutil.which(compiler):
        return []
    package = re.sub(r"^x86_64-linux-gnu-", "", compiler)
    kbuild, = tree.glob("usr/lib/linux-kbuild-*")  # its programs need libraries as new as the compiler's
    root = cache / f"{package}_{version}"
    if not root.exists():
        say(f"downloading {package}, which this kernel was built with")
        with building(root) as new:
            unpack(new, [package, f"{kbuild.name}={version}", *PROGRAMS])
    links = [word for name in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")]
    return [find_tool("bwrap"), "--die-with-parent", "--ro-bind", root / "usr", "/usr", *links,
            "--dev", "/dev", "--ro-bind", "/proc", "/proc", "--tmpfs", "/tmp", "--bind", tree, tree, "--"]
