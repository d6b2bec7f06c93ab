# SPDX-License-Identifier: MIT
"""Committed runs, one for each engine and kernel, small and the same each time."""

from __future__ import annotations

from . import runs

BOOTED_VENDOR = {"tcg-amd": "kvm_amd", "bochs-intel": "kvm_intel"}


def name_of(run: runs.Run) -> str:
    """tcg-amd-6.1; with the vendor where the engine does not say it: host-kvm_intel-6.12."""
    vendor = () if BOOTED_VENDOR.get(run.engine) == run.vendor else (run.vendor,)
    return "-".join((run.engine, *vendor, run.series))
