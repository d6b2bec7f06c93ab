# SPDX-License-Identifier: MIT
"""
KUnit's tools, of Debian's package of a kernel's sources: the kernel's own reader of KTAP, which
harness/tests/test_ktap.py has read what kvmspec writes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from . import kernels
from .common import LabError, building, cache, call, explained, locked, say

SOURCES = "linux-source-6.1"
PART = "tools/testing/kunit"  # it looks for itself under this name


def fetch() -> Path:
    """kunit.py in the cache, downloaded if it is not there yet."""
    root = cache() / "kunit"
    with explained("unpack KUnit's tools"), locked():
        if not root.exists():
            kernels.update_lists()
            with building(root) as new:
                say(f"downloading {SOURCES}")
                call("apt-get", *kernels.apt_options(), "download", SOURCES, cwd=new)
                deb, = new.glob("*.deb")
                call("dpkg-deb", "-x", deb, new)
                archive, = new.glob("usr/src/*.tar.xz")
                call("tar", "-xJf", archive, "-C", new, "--strip-components=1",
                     f"{archive.name.removesuffix('.tar.xz')}/{PART}")
                archive.unlink()
                deb.unlink()
    return root / PART / "kunit.py"


def run(_: argparse.Namespace) -> int:
    try:
        print(fetch())
    except LabError as error:
        raise LabError(f"cannot get KUnit's tools from Debian: {error}") from error
    return 0
