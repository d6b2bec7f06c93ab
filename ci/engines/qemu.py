# SPDX-License-Identifier: MIT
"""What the engines that are QEMU share."""

from __future__ import annotations

from laboratory.common import find_tool

from . import COMMON, Boot

PROGRAM = "qemu-system-x86_64"


def command(boot: Boot, accelerator: str, cpu: str, cmdline: str) -> list[str]:
    return [
        find_tool(PROGRAM), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-accel", accelerator, "-cpu", ",".join(filter(None, [cpu, boot.cpu])),
        "-smp", str(boot.cpus), "-m", str(boot.memory),
        "-chardev", f"file,id=console,path={boot.console}", "-serial", "chardev:console",
        "-chardev", f"file,id=records,path={boot.records}", "-serial", "chardev:records",
        "-kernel", str(boot.image), "-initrd", str(boot.initramfs),
        "-append", f"{COMMON} panic=-1 {cmdline} {boot.cmdline}".strip(),
    ]
