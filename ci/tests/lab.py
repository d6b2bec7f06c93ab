# SPDX-License-Identifier: MIT
"""What the lab's tests share."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "harness/tests"), str(TOP / "ci")]

import support  # noqa: E402: needs the path
from laboratory import initramfs, kernels  # noqa: E402

LAB = TOP / "ci/lab"
KERNEL = os.environ.get("KERNEL") or "6.1"
PASS, FAILED, CANNOT_RUN, INTERRUPTED = 0, 1, 2, 130
BOOT_SECONDS = 120  # on a machine with much else to do

# A case that passes within milliseconds, and one that takes its machine along.
ONE, PANICS, HANGS = "endings/passes", "machine/panics", "machine/hangs"


def lab(*args: object, timeout: float = BOOT_SECONDS, **options) -> subprocess.CompletedProcess:
    return support.run(LAB, *args, timeout=timeout, **options)


def run_broken(out: Path, *args: object, **options) -> subprocess.CompletedProcess:
    """One run of fixtures in the lab."""
    return lab("run", f"--program={support.BROKEN}", f"--kernel={KERNEL}", f"--out={out}", *args,
               **options)


def image(path: Path, loadflags: int = 1) -> Path:
    """What looks like a bzImage up to its first instruction."""
    head = bytearray(0x8000)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, 0x20f)
    struct.pack_into("<H", head, 0x20e, 0x1000)
    head[0x236] = loadflags
    head[0x1200:0x1210] = b"6.66.0-test (x)\0"
    path.write_bytes(head)
    return path


def kvm_module(directory: Path) -> Path:
    """A copy of the kernel's own kvm.ko, without its signature, which would not bear a change."""
    kernel = kernels.resolve(KERNEL)
    own, = [file for file in initramfs.needed_modules(kernel, "kvm_amd")
            if initramfs.module_name(file) == "kvm"]
    copy = directory / "kvm.ko"
    copy.write_bytes(initramfs.decompressed(own))
    subprocess.run(["strip", "--strip-debug", copy], check=True)
    return copy


def deb(directory: Path, files: dict[str, bytes], architecture: str = "amd64") -> Path:
    root = directory / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN/control").write_text(
        f"Package: linux-image-test\nVersion: 1\nArchitecture: {architecture}\n"
        "Maintainer: Nobody <nobody@example.org>\nDescription: none\n")
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    subprocess.run(["dpkg-deb", "--build", root, directory / "test.deb"], check=True,
                   stdout=subprocess.DEVNULL)
    return directory / "test.deb"
