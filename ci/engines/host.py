# SPDX-License-Identifier: MIT
"""This machine's own KVM: nothing boots."""

from __future__ import annotations

import subprocess

from laboratory.common import TOP

NAME = "host"
COVERS = "this machine's `/dev/kvm`, under the kernel that runs"
NEEDS = "access to `/dev/kvm`"
COSTS = "1 to 2 ms a case"
BOOTS = False


def problem() -> str | None:
    done = subprocess.run([TOP / "build/kvmspec", "--probe"], capture_output=True, text=True)
    return done.stderr.strip().removeprefix("kvmspec: ") if done.returncode else None
