# SPDX-License-Identifier: MIT
"""
Kernels: what KERNEL may name, and how it becomes an image and its modules.

Debian's packages are downloaded and unpacked, never installed. apt finds them with a configuration
of the lab's own, which knows the system's Debian mirror and more suites, and checks their
signatures; the system's configuration and lists stay as they are.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import platform
import re
import struct
import time
from pathlib import Path

from .common import LabError, building, cache, call, explained, locked, natural, say

SUITES = ("bookworm", "bookworm-backports", "trixie", "trixie-backports", "sid")
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CLOUD = r"^linux-image-[0-9.]+[^ ]*-cloud-amd64$"
PARTS = re.compile(r"linux-(image|binary|modules)-[0-9]")
INDEX_SECONDS = 24 * 3600


@dataclasses.dataclass(frozen=True)
class Kernel:
    name: str             # as it was asked for
    release: str          # uname -r
    image: Path           # a bzImage
    modules: Path | None  # lib/modules/RELEASE, with modules.dep; None: what is needed is built in
    package: str = ""     # name and version, if it is one of Debian's
    replaced: tuple[Path, ...] = ()  # modules to load in place of its own of the same name


@dataclasses.dataclass(frozen=True)
class Package:
    name: str
    version: str
    depends: list[str]  # the other packages that hold parts of this kernel

    @property
    def series(self) -> str:
        match = re.match(r"linux-image-(\d+\.\d+)", self.name)
        return match[1] if match else ""

    @property
    def directory(self) -> Path:
        return cache() / "kernels" / f"{self.name}_{self.version.replace(':', '%3a')}"


# apt

def mirror_lines() -> list[str]:
    """A sources.list: the system's own Debian suites, and SUITES from the same mirror."""
    mirror = os.environ.get("KVMSPEC_MIRROR", "")
    uris: dict[str, str] = {}
    if platform.freedesktop_os_release().get("ID") == "debian":
        codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
        targets = call("apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)",
                       "Created-By: Packages").decode().splitlines()
        for uri, suite, component in (line.split() for line in targets):
            if component == "main" and suite.split("-")[0] == codename:
                uris.setdefault(suite, uri)
        mirror = mirror or uris.get(codename, "")
    if not mirror:
        raise LabError("this machine's apt knows no Debian mirror: name one with "
                       "KVMSPEC_MIRROR=uri, or give KERNEL a .deb, a build tree or a bzImage")
    for suite in SUITES:
        uris.setdefault(suite, mirror)
    return [f"deb [arch=amd64 signed-by={KEYRING}] {uri} {suite} main\n"
            for suite, uri in uris.items()]


def apt_options() -> list[str]:
    root = cache() / "apt"
    options = {
        "Dir::Etc::sourcelist": root / "sources.list", "Dir::Etc::sourceparts": "-",
        "Dir::State::Lists": root / "lists", "Dir::Cache": root,
        "Dir::Cache::pkgcache": "pkgcache.bin", "Dir::Cache::srcpkgcache": "",
        "Acquire::Languages": "none", "Acquire::Retries": "2",
        "APT::Architecture": "amd64", "APT::Update::Error-Mode": "any",
    }
    return [f"-o{name}={value}" for name, value in options.items()]


def update_lists() -> None:
    root = cache() / "apt"
    (root / "lists/partial").mkdir(parents=True, exist_ok=True)
    (root / "sources.list").write_text("".join(mirror_lines()))
    say("reading which kernels Debian has")
    call("apt-get", *apt_options(), "update")


def show(names: list[str], parts: re.Pattern[str] = PARTS) -> list[Package]:
    text = call("apt-cache", *apt_options(), "show", "--no-all-versions", *names).decode()
    packages = []
    for stanza in text.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Depends): (.*)$", stanza, re.M))
        if "Package" in fields:
            depends = [entry.split()[0] for entry in fields.get("Depends", "").split(", ") if entry]
            packages.append(Package(fields["Package"], fields["Version"],
                                    [name for name in depends if parts.match(name)]))
    return packages


def index(update: bool = False) -> list[Package]:
    """
    Debian's cloud kernels, newest last: as of a day ago or later, or whenever the network was there
    last.
    """
    file = cache() / "apt/index.json"
    known = [Package(**entry) for entry in json.loads(file.read_text())] if file.exists() else []
    if known and not update and time.time() - file.stat().st_mtime < INDEX_SECONDS:
        return known
    with locked():
        try:
            update_lists()
        except LabError as error:
            if not known:
                raise LabError(f"cannot ask Debian for its kernels: {error}. Is the network "
                               "there?") from error
            say(f"what is known of Debian's kernels is old: {error}")
            return known
        names = call("apt-cache", *apt_options(), "search", "--names-only", CLOUD).decode()
        known = sorted(show([line.split()[0] for line in names.splitlines()]),
                       key=lambda package: natural(package.version))
        new = file.with_suffix(".new")
        new.write_text(json.dumps([dataclasses.asdict(package) for package in known]))
        os.replace(new, file)
    return known


def with_parts(package: Package) -> list[Package]:
    """A package and those that it needs: newer kernels are split."""
    found, queue = {package.name: package}, list(package.depends)
    while queue:
        new = [name for name in queue if name not in found]
        queue = []
        for part in show(new) if new else []:
            found[part.name] = part
            queue += part.depends
    return list(found.values())


def fetch(package: Package) -> Path:
    """Downloads and unpacks a package. Returns the directory of its files."""
    with locked():
        if package.directory.exists():
            return package.directory
        with building(package.directory) as new:
            parts = with_parts(package)
            say(f"downloading {' '.join(part.name for part in parts)}")
            call("apt-get", *apt_options(), "download",
                 *(f"{part.name}={part.version}" for part in parts), cwd=new)
            unpack(sorted(new.glob("*.deb")), new)
            for deb in new.glob("*.deb"):
                deb.unlink()
    return package.directory


# Packages' files

def unpack(debs: list[Path], root: Path) -> None:
    for deb in debs:
        architecture = field(deb, "Architecture")
        if architecture not in ("amd64", "all"):
            raise LabError(f"{deb} is for {architecture}, not for amd64")
        try:
            call("dpkg-deb", "-x", deb, root)
        except LabError as error:
            raise LabError(f"{deb} is damaged, download it again: {error}") from error
    if not (root / "lib").exists():
        (root / "lib").symlink_to("usr/lib")
    for directory in root.glob("lib/modules/*"):
        if not (directory / "modules.dep").exists():
            call("depmod", "-b", root, directory.name)


def field(deb: Path, name: str) -> str:
    try:
        return call("dpkg-deb", "-f", deb, name).decode().strip()
    except LabError as error:
        raise LabError(f"{deb} is no complete Debian package: {error}") from error


def from_unpacked(name: str, root: Path, package: str) -> Kernel:
    images = [*root.glob("boot/vmlinuz-*"), *root.glob("lib/modules/*/vmlinuz")]
    if len(images) != 1:
        raise LabError(f"{name} holds {len(images)} kernel images instead of one")
    release = image_release(images[0])
    modules = root / "lib/modules" / release
    if not modules.is_dir():
        raise LabError(f"{name} holds no modules for {release}")
    return Kernel(name, release, images[0], modules, package)


def from_debs(name: str, debs: list[Path]) -> Kernel:
    for deb in debs:
        if not deb.is_file():
            raise LabError(f"{deb} does not exist")
    digest = hashlib.sha256(b"".join(hashlib.sha256(deb.read_bytes()).digest() for deb in debs))
    root = cache() / "kernels" / f"deb-{digest.hexdigest()[:16]}"
    package = " ".join(f"{field(deb, 'Package')} {field(deb, 'Version')}" for deb in debs)
    with locked():
        if not root.exists():
            with building(root) as new:
                unpack(debs, new)
    return from_unpacked(name, root, package)


# Images

def image_release(path: Path) -> str:
    """uname -r of an x86-64 bzImage; says what else it is if it is none."""
    with open(path, "rb") as file:
        head = file.read(0x8000)
    if head[:4] == b"\x7fELF":
        raise LabError(f"{path} is an ELF file: the lab boots the compressed image, "
                       "arch/x86/boot/bzImage or vmlinuz")
    if head[56:60] == b"ARM\x64" or head[48:52] == b"RISC":
        raise LabError(f"{path} is a kernel for another architecture, not for x86-64")
    if head[0x202:0x206] != b"HdrS":
        raise LabError(f"{path} is no kernel image")
    version, loadflags = struct.unpack_from("<H", head, 0x206)[0], head[0x236]
    if version < 0x20c or not loadflags & 1:
        raise LabError(f"{path} is a 32-bit kernel, not one for x86-64")
    offset = struct.unpack_from("<H", head, 0x20e)[0] + 0x200
    return head[offset:].split(b"\0")[0].split()[0].decode(errors="replace")


def from_image(name: str, modules: Path | None) -> Kernel:
    image = Path(name)
    release = image_release(image)
    if not modules:
        return Kernel(name, release, image, None)
    for directory in (modules, modules / release, modules / "lib/modules" / release):
        if (directory / "modules.dep").exists():
            return Kernel(name, release, image, directory)
    raise LabError(f"{modules} has no modules.dep for {release}: name what make modules_install "
                   "INSTALL_MOD_PATH=dir has filled")


def from_tree(name: str, tree: Path) -> Kernel:
    """A build tree: its modules, if there are any, are linked to as if they were installed."""
    image = tree / "arch/x86/boot/bzImage"
    if not image.exists():
        raise LabError(f"{tree} is no build tree of a kernel for x86: it has no "
                       "arch/x86/boot/bzImage. Build it with make bzImage modules")
    release = image_release(image)
    order = tree / "modules.order"
    built = [line.removeprefix("kernel/") for line in order.read_text().split()] \
        if order.exists() else []
    if not built:
        return Kernel(name, release, image, None)
    state = f"{tree.resolve()} {image.stat().st_mtime_ns} {order.stat().st_mtime_ns}"
    root = cache() / "kernels" / f"tree-{hashlib.sha256(state.encode()).hexdigest()[:16]}"
    directory = root / "lib/modules" / release
    with locked():
        if not root.exists():
            with building(root) as new:
                link_modules(tree.resolve(), built, new / directory.relative_to(root))
                call("depmod", "-b", new, release)
    return Kernel(name, release, image, directory)


def link_modules(tree: Path, built: list[str], directory: Path) -> None:
    for line in built:
        module = Path(line).with_suffix(".ko")  # newer kernels list the objects
        link = directory / "kernel" / module
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tree / module)
    for listing in ("modules.builtin", "modules.order"):
        (directory / listing).write_bytes((tree / listing).read_bytes())


# What KERNEL names

def packaged(name: str, package: Package) -> Kernel:
    return from_unpacked(name, fetch(package), f"{package.name} {package.version}")


def of_series(name: str, update: bool = False) -> Kernel:
    known = [package for package in index(update) if package.series == name]
    if not known:
        have = sorted({package.series for package in index()}, key=natural)
        raise LabError(f"Debian has no cloud kernel {name} now; it has {', '.join(have)}")
    try:
        return packaged(name, known[-1])
    except LabError:
        if update:
            raise
        return of_series(name, update=True)  # the mirror may have moved on since


def of_package(name: str) -> Kernel:
    for package in index():
        if package.name == name:
            return packaged(name, package)
    try:
        return packaged(name, show([name])[0])
    except LabError as error:
        raise LabError(f"Debian has no package {name} now (ci/lab kernels lists those that are "
                       f"made for virtual machines): {error}") from error


def find(name: str, modules: Path | None) -> Kernel:
    if name.split() and all(word.endswith(".deb") for word in name.split()):
        return from_debs(name, [Path(word) for word in name.split()])
    if Path(name).is_dir():
        return from_tree(name, Path(name))
    if Path(name).is_file():
        return from_image(name, modules)
    if re.fullmatch(r"\d+\.\d+", name):
        return of_series(name)
    if re.fullmatch(r"linux-[a-z0-9.+-]+", name):
        return of_package(name)
    raise LabError(f"KERNEL={name} is no file or directory, no series (6.1) and no Debian package "
                   "(linux-image-…)")


def resolve(name: str, modules: Path | None = None) -> Kernel:
    """The kernel that KERNEL names, with KVM as far as one can see before it boots."""
    with explained(f"prepare the kernel {name}"):
        kernel = find(os.path.expanduser(name), modules)
        if kernel.modules and not has_kvm(kernel.modules):
            raise LabError(f"{name} has no KVM: there is no kvm.ko among its modules. A kernel of "
                           "7.2 or later wants both its linux-binary and its linux-modules package")
        return kernel


def has_kvm(modules: Path) -> bool:
    lists = [modules / "modules.dep", modules / "modules.builtin"]
    return any(re.search(r"/kvm\.ko", file.read_text()) for file in lists if file.exists())
