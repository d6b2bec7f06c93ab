# SPDX-License-Identifier: MIT
"""The guest's file system: busybox, init, kvmspec and the modules that KVM needs, as a cpio archive."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import lzma
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from .common import LabError, cache, call, explained, find_tool, locked
from .kernels import Kernel

INIT = Path(__file__).with_name("init")
VENDORS = ("kvm_amd", "kvm_intel")
KEPT = 8  # archives in the cache


def module_name(file: Path) -> str:
    return file.name.split(".")[0].replace("-", "_")


def needed_modules(kernel: Kernel, module: str) -> list[Path]:
    """The files of a module and what it depends on, in the order to load them."""
    if not kernel.modules:
        return []
    replaced = {module_name(file): file for file in kernel.replaced}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        file, _, needs = line.partition(":")
        if module_name(Path(file)) == module:
            files = [kernel.modules / path for path in [*reversed(needs.split()), file]]
            return [replaced.get(module_name(path), path) for path in files]
    return []


def replace_modules(kernel: Kernel, files: list[Path]) -> Kernel:
    """The kernel with other modules in place of its own of the same name."""
    own = {module_name(file) for vendor in VENDORS for file in needed_modules(kernel, vendor)}
    for file in files:
        if not file.is_file():
            raise LabError(f"there is no module {file}")
        if module_name(file) not in own:
            raise LabError(f"{file} takes the place of no module that KVM needs in "
                           f"{kernel.release}: {', '.join(sorted(own)) or 'it is built in'}")
        try:
            release = call("modinfo", "-F", "vermagic", file.absolute()).decode().partition(" ")[0]
        except LabError as error:
            raise LabError(f"{file} is no module: {error}") from error
        if release != kernel.release:
            raise LabError(f"{file} is for Linux {release}, not for {kernel.release}")
    return dataclasses.replace(kernel, replaced=tuple(files))


def decompressed(module: Path) -> bytes:
    data = module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(data)
    if module.suffix == ".gz":
        return gzip.decompress(data)
    if module.suffix == ".zst":
        return call("zstd", "-dcq", module)
    return data


def linked_libraries(program: Path) -> list[Path]:
    """What a program needs to start; nothing if it is static."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", listed)]


def write_tree(root: Path, kernel: Kernel, program: Path) -> None:
    for directory in ("bin", "lab/modules"):
        (root / directory).mkdir(parents=True)
    shutil.copy(find_tool("busybox"), root / "bin/busybox")
    shutil.copy(INIT, root / "init")
    (root / "init").chmod(0o755)
    call("strip", "-o", root / "lab/kvmspec", program)
    for library in linked_libraries(program):
        copy = root / library.relative_to("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, copy)
    for vendor in VENDORS:
        names = []
        for module in needed_modules(kernel, vendor):
            names.append(module.name.split(".")[0] + ".ko")
            (root / "lab/modules" / names[-1]).write_bytes(decompressed(module))
        (root / "lab/modules" / vendor).write_text("\n".join(names) + "\n")


def archive(root: Path) -> bytes:
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
    return call("cpio", "--create", "--format=newc", "--reproducible", "--owner=0:0", "--quiet",
                cwd=root, stdin="\n".join(files).encode())


def content_hash(kernel: Kernel, program: Path) -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    files = [Path(find_tool("busybox")), INIT, program, *linked_libraries(program)]
    for vendor in VENDORS:
        files += needed_modules(kernel, vendor)
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size} ".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:24]


def base(kernel: Kernel, program: Path, compress: bool) -> Path:
    """All but what changes with each boot; made once for each content."""
    if not program.exists():
        raise LabError(f"{program} does not exist: make all")
    suffix = ".cpio.gz" if compress else ".cpio"
    directory = cache() / "initramfs"
    file = directory / (content_hash(kernel, program) + suffix)
    with explained("make the initramfs"), locked():
        if not file.exists():
            directory.mkdir(exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory) as scratch:
                write_tree(Path(scratch, "root"), kernel, program)
                data = archive(Path(scratch, "root"))
                new = Path(scratch, "new")
                new.write_bytes(gzip.compress(data, mtime=0) if compress else data)
                os.replace(new, file)
        os.utime(file)
        for old in sorted(directory.glob("*.cpio*"), key=lambda f: -f.stat().st_mtime)[KEPT:]:
            old.unlink()
    return file


def write(file: Path, kernel: Kernel, program: Path, command: list[str], environment: dict[str, str],
          except_cases: set[str], compress: bool) -> None:
    """The archive of one boot: the base, and what to run."""
    with tempfile.TemporaryDirectory() as scratch:
        lab = Path(scratch, "lab")
        lab.mkdir()
        settings = [f"{name}={value}" for name, value in environment.items()]
        (lab / "run").write_text(shlex.join(["env", *settings, *command]) + "\n")
        (lab / "except").write_text("".join(f"{case}\n" for case in sorted(except_cases)))
        extra = archive(Path(scratch))
    data = base(kernel, program, compress).read_bytes()
    with explained("write the initramfs"):
        file.write_bytes(data + (gzip.compress(extra, mtime=0) if compress else extra))
