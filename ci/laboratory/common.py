# SPDX-License-Identifier: MIT
"""What the parts of the lab share: how they fail, where they keep things, how they call tools."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]

# Where a tool comes from that only the lab needs, for the message about a missing one.
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86", "bochs": "bochs", "grub-mkrescue": "grub-common",
    "xorriso": "xorriso", "mformat": "mtools", "cpio": "cpio", "busybox": "busybox-static",
    "zstd": "zstd", "depmod": "kmod", "modinfo": "kmod", "dpkg-deb": "dpkg", "apt-get": "apt", "setpriv": "util-linux",
    "bwrap": "bubblewrap",
}


class LabError(Exception):
    """What kept the lab from running, in one sentence for its user."""


def find_tool(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path:
        return path
    package = PACKAGES.get(name, name)
    raise LabError(f"{name} is not installed: apt-get install {package}. make deps installs all that the lab needs.")


def call(*command: str | Path, cwd: Path | None = None, stdin: bytes | None = None) -> bytes:
    """Standard output of a tool that must succeed; what it complains of becomes the error."""
    done = subprocess.run([find_tool(str(command[0])), *command[1:]], cwd=cwd, input=stdin,
                          capture_output=True, env=os.environ | {"LC_ALL": "C"})
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        said = [word for word in words if word.startswith("E: ")] or words
        raise LabError(f"{command[0]} {command[1]} failed: {said[-1]}")
    return done.stdout


def cache() -> Path:
    """The directory that outlives runs: $KVMSPEC_CACHE, or kvmspec in $XDG_CACHE_HOME."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kvmspec"
    path = Path(os.environ.get("KVMSPEC_CACHE") or default).absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def locked(part: str = "") -> Iterator[Path]:
    """The cache or a part of it, for one lab at a time: whoever else wants to change it waits."""
    directory = cache() / part
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another lab, which prepares {part or 'a kernel'}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield directory


@contextlib.contextmanager
def building(path: Path) -> Iterator[Path]:
    """
    A new directory beside path that becomes path in one step if all goes well. Call it locked: what
    an interrupted one left is removed first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob(".new-*"):
        shutil.rmtree(old, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
    new.chmod(0o755)
    try:
        yield new
        os.replace(new, path)
    finally:
        shutil.rmtree(new, ignore_errors=True)


CACHE_REMEDY = "Is there space? KVMSPEC_CACHE=dir names another place"


@contextlib.contextmanager
def explained(doing: str, remedy: str = CACHE_REMEDY) -> Iterator[None]:
    """Errors of the system (a full disk, a directory that cannot be written to) as one sentence."""
    try:
        yield
    except OSError as error:
        where = f" {error.filename}:" if error.filename else ""
        raise LabError(f"cannot {doing}:{where} {error.strerror}. {remedy}") from error


def say(text: str) -> None:
    sys.stderr.write(f"lab: {text}\n")  # in one piece: the matrix has threads
    sys.stderr.flush()


def natural(text: str) -> list[int]:
    """Sorts version numbers: 6.1.0-9 before 6.1.0-10."""
    return [int(part) for part in "".join(c if c.isdigit() else " " for c in text).split()]
