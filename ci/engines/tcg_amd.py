# SPDX-License-Identifier: MIT
"""QEMU's own emulation of a CPU with AMD-V and nested paging: any kernel, with its kvm_amd."""

from __future__ import annotations

from laboratory.common import LabError, find_tool, natural

from . import Boot, qemu

NAME = "tcg-amd"
COVERS = "`kvm_amd` of any kernel, in AMD-V with nested paging emulated by QEMU (TCG)"
NEEDS = "`qemu-system-x86`"
COSTS = "3 to 5 s a boot, 20 to 40 ms a case"
BOOTS = True
COMPRESS = False
EFFORT = 100
SILENCE = 60


def problem() -> str | None:
    try:
        find_tool(qemu.PROGRAM)
    except LabError as error:
        return str(error)
    return None


def prepare(boot: Boot) -> list[str]:
    # QEMU 7.2 emulates cmpxchg16b so that kernels of 6.12 die of double faults in their allocator,
    # four boots in ten; kernels from 7.2 on want it.
    cx16 = "" if natural(boot.release)[:2] >= [7, 0] else ",-cx16"
    # On a loaded host the guest would mark its TSC unstable, and may panic in its timer check.
    return qemu.command(boot, "tcg,thread=multi", f"max,+svm,+npt{cx16}",
                        "tsc=reliable no_timer_check")
