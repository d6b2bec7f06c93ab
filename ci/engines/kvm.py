# SPDX-License-Identifier: MIT
"""QEMU on this host's KVM, whose guest has KVM in turn: any kernel, at hardware's speed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from laboratory.common import LabError, find_tool

from . import Boot, qemu

NAME = "kvm"
COVERS = "the KVM of any kernel, on this host's KVM (nested)"
NEEDS = "`qemu-system-x86`, `/dev/kvm` with nested virtualisation"
COSTS = "a few seconds in all"
BOOTS = True
COMPRESS = False
EFFORT = 100
SILENCE = 60


def problem() -> str | None:
    nested = [Path(f"/sys/module/{module}/parameters/nested") for module in ("kvm_amd", "kvm_intel")]
    if not any(path.exists() and path.read_text().strip() in ("1", "Y") for path in nested):
        return "this host's KVM has no nested virtualisation (kvm_amd.nested=1, kvm_intel.nested=1)"
    try:
        done = subprocess.run([find_tool(qemu.PROGRAM), "-accel", "kvm", "-cpu", "host", "-S",
                               "-display", "none", "-nodefaults", "-monitor", "stdio"],
                              input="quit\n", capture_output=True, text=True, timeout=20)
    except LabError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return "QEMU does not start on this host's KVM"
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def prepare(boot: Boot) -> list[str]:
    return qemu.command(boot, "kvm", "host", "")
