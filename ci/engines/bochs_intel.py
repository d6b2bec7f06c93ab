# SPDX-License-Identifier: MIT
"""Bochs' emulation of a CPU with VT-x and EPT: any kernel, with its kvm_intel."""

from __future__ import annotations

import shutil

from laboratory.common import LabError, call, find_tool, natural

from . import COMMON, Boot

NAME = "bochs-intel"
COVERS = "`kvm_intel` of any kernel, in VT-x with EPT emulated by Bochs"
NEEDS = "`bochs`, `bochs-sdl`, `grub-pc-bin`, `grub-common`, `xorriso`, `mtools`"
COSTS = "40 s a boot, 0.1 s a case, with an eighth of the kicks and samples"
BOOTS = True
COMPRESS = True  # the boot loader reads it from an emulated drive
EFFORT = 12
SILENCE = 180

TOOLS = ("bochs", "grub-mkrescue", "xorriso", "mformat")

# Bochs loads no kernels: it boots a CD.
MENU = """\
set timeout=0
linux /boot/vmlinuz {cmdline}
initrd /boot/initramfs
boot
"""

CONFIGURATION = """\
display_library: sdl2
config_interface: textconfig
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
megs: {memory}
cpu: model={cpu}, count={cpus}, ips=100000000, reset_on_triple_fault=0
ata0-master: type=cdrom, path={directory}/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={console}
com2: enabled=1, mode=file, dev={records}
log: {directory}/bochs.log
panic: action=fatal
clock: sync=none
sound: driver=dummy
"""


def problem() -> str | None:
    try:
        for tool in TOOLS:
            find_tool(tool)
    except LabError as error:
        return str(error)
    return None


def prepare(boot: Boot) -> list[str]:
    # Kernels from 7.2 on panic over this CPU model's XSAVE sizes.
    xsave = "noxsave " if natural(boot.release)[:2] >= [7, 0] else ""
    root = boot.directory / "cd/boot"
    (root / "grub").mkdir(parents=True)
    shutil.copy(boot.image, root / "vmlinuz")
    shutil.copy(boot.initramfs, root / "initramfs")
    (root / "grub/grub.cfg").write_text(
        MENU.format(cmdline=f"{COMMON} panic=0 {xsave}{boot.cmdline}"))
    call("grub-mkrescue", "--install-modules=linux normal iso9660 biosdisk", "--fonts=",
         "--locales=", "--themes=", "-o", boot.directory / "boot.iso", boot.directory / "cd")
    (boot.directory / "bochsrc").write_text(
        CONFIGURATION.format(directory=boot.directory, console=boot.console, records=boot.records,
                             memory=min(boot.memory, 512), cpus=boot.cpus,
                             cpu=boot.cpu or "corei7_skylake_x"))
    # Debian's has the debugger in it, which waits for a command.
    (boot.directory / "continue").write_text("c\n")
    return ["env", "SDL_VIDEODRIVER=dummy", find_tool("bochs"), "-q",
            "-f", str(boot.directory / "bochsrc"), "-rc", str(boot.directory / "continue")]
