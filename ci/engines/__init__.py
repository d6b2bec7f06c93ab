# SPDX-License-Identifier: MIT
"""
Engines: what a kernel boots under. Each is one module with the same members:

NAME, COVERS, NEEDS, COSTS   texts: the name, what it runs, what that needs, how long it takes
BOOTS                        whether it boots a kernel; if not, kvmspec runs right here
COMPRESS                     whether the initramfs is better compressed
EFFORT                       of kvmspec's --effort: what is bearable
SILENCE                      seconds without a sign of life after which a guest is given up
problem()                    why it cannot be used here, or None
prepare(boot)                the command that boots; writes what it needs to boot.directory
"""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path
from typing import Any

NAMES = ("host", "tcg-amd", "kvm", "bochs-intel")

# The kernel's command line everywhere. quiet: init prints what was logged during boot, faster.
# rcu_expedited: grace periods, which every VM's teardown waits for, do not wait for a timer.
COMMON = "console=ttyS0,115200 quiet rcupdate.rcu_expedited=1 log_buf_len=1M"


@dataclasses.dataclass
class Boot:
    directory: Path  # for files that last as long as the guest
    image: Path
    initramfs: Path
    release: str     # uname -r of the kernel
    console: Path    # FIFO: the guest's first serial port
    records: Path    # FIFO: its second one
    cmdline: str = ""
    cpus: int = 1
    memory: int = 1024  # MiB
    cpu: str = ""    # properties of the CPU model, as -cpu takes them


def find(name: str) -> Any:
    return importlib.import_module(f"engines.{name.replace('-', '_')}")
