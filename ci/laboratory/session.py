# SPDX-License-Identifier: MIT
"""
One run in the lab: boots the kernel, hands the guest's records on to `kvmspec --receive`, which makes
the reports, and says how a guest died that did not end its run.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import engines

from . import initramfs
from .common import LabError, explained, find_tool, say
from .kernels import Kernel

PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
COMPLAINT = re.compile(r"^(?:\[[ .\d]+\] )?(?:lab|kvmspec): (.*)", re.M)
LAST_WORDS = 60  # lines
BOOTS = 3        # of a guest that dies before the suite starts


@dataclasses.dataclass
class Settings:
    kernel: Kernel
    engine: Any
    program: Path
    out: Path
    arguments: list[str]  # for kvmspec in the guest
    run_again: str        # the command for a failure's last line
    modparams: Sequence[str] = ()
    kvm_config: Sequence[str] = ()  # what kernel.replaced was built with
    cmdline: str = ""
    cpu: str = ""
    cpus: int = 1
    memory: int = 1024
    timeout: float = 3600
    silence: float = 0
    resume: bool = False  # boot again to run what a dead guest left, one case at a time


class Stream:
    """What a guest's records say, as far as the lab must know. The format: harness/runner/stream.h."""

    def __init__(self) -> None:
        self.rest = b""
        self.begun = self.ended = False
        self.planned: set[str] = set()
        self.running: set[str] = set()
        self.reported: set[str] = set()

    def feed(self, data: bytes) -> bool:
        """Returns whether a case has started."""
        *lines, self.rest = (self.rest + data).split(b"\n")
        return any([self.take(line) for line in lines])

    def take(self, line: bytes) -> bool:
        _, _, rest = line.partition(b" ")
        checksum, _, text = rest.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text):
            return False  # the receiver complains
        for name, value in json.loads(text).items():
            if name == "begin":
                self.begun = True
                self.planned |= {case["case"] for case in value["plan"]}
            elif name == "starting":
                self.running.add(value)
                return True
            elif name == "record":
                self.running.discard(value["case"])
                self.reported.add(value["case"])
            elif name == "end":
                self.ended = True
        return False


class Receiver:
    """kvmspec --receive: it survives an interrupt from the keyboard, which is the lab's to handle."""

    def __init__(self, program: Path, out: Path):
        self.process = subprocess.Popen([program, "--receive=-", f"--out={out}"],
                                        stdin=subprocess.PIPE, start_new_session=True)

    def write(self, data: bytes) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # its status says more

    def send(self, name: str, value: object) -> None:
        text = json.dumps({name: value}).encode()
        self.write(b"\n0 %08x %s\n" % (zlib.crc32(text), text))

    def close(self) -> int:
        assert self.process.stdin
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        return self.process.wait()


@dataclasses.dataclass
class Death:
    reason: str
    console: list[str]
    final: bool = False  # it would die of the same again


class Guest:
    """One boot, until the guest has ended its run, or has died."""

    def __init__(self, settings: Settings, stream: Stream, receiver: Receiver, alone: bool):
        self.settings, self.stream, self.receiver = settings, stream, receiver
        self.alone = alone
        self.console = ""  # since the last case started
        self.fds: dict[str, int] = {}

    def run(self) -> Death | None:
        with tempfile.TemporaryDirectory(prefix="kvmspec-lab-") as directory:
            command = self.prepare(Path(directory))
            with open(self.settings.out / "kernel.log", "ab") as log, \
                    open(self.settings.out / "emulator.log", "ab") as emulator_log:
                self.log = log
                # setpriv: it ends with us, whatever ends us
                process = subprocess.Popen(
                    [find_tool("setpriv"), "--pdeathsig=KILL", *command], stdin=subprocess.DEVNULL,
                    stdout=emulator_log, stderr=emulator_log, start_new_session=True)
                try:
                    return self.watch(process)
                finally:
                    process.kill()
                    process.wait()
                    for fd in self.fds.values():
                        os.close(fd)

    def prepare(self, directory: Path) -> list[str]:
        s = self.settings
        boot = engines.Boot(directory, s.kernel.image, directory / "initramfs", s.kernel.release,
                            directory / "console", directory / "records",
                            " ".join([*s.modparams, s.cmdline]).strip(), s.cpus, s.memory, s.cpu)
        command = ["/lab/kvmspec", "--stream=/dev/ttyS1", "--except=/lab/except", *s.arguments,
                   *(["--jobs=1"] if self.alone else [])]
        with explained("prepare the guest"):
            initramfs.write(boot.initramfs, s.kernel, s.program, command,
                            {"KVMSPEC_ENGINE": s.engine.NAME},
                            self.stream.reported, s.engine.COMPRESS)
            for fifo in (boot.console, boot.records):
                os.mkfifo(fifo)
                # read and write: no end of file when the emulator closes it
                self.fds[fifo.name] = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
            return s.engine.prepare(boot)

    def watch(self, process: subprocess.Popen) -> Death | None:
        begun_at = alive_at = time.monotonic()
        panic_at = 0.0
        silence = self.settings.silence or self.settings.engine.SILENCE
        with selectors.DefaultSelector() as selector:
            for fd in (*self.fds.values(), os.pidfd_open(process.pid)):
                selector.register(fd, selectors.EVENT_READ)
            while True:
                selector.select(0.5)
                heard = self.read()
                now = time.monotonic()
                if heard:
                    alive_at = now
                if PANIC.search(self.console):
                    panic_at = panic_at or now
                if process.poll() is not None:
                    self.read()
                    return self.ended(process)
                if panic_at and now - panic_at > 2:
                    return self.ended(process)
                if self.stream.ended and now - alive_at > 10:
                    return None  # powering off is not what was asked for
                if now - alive_at > silence:
                    return self.death(f"the guest hung: no sign of life for {silence:g} s")
                if now - begun_at > self.settings.timeout:
                    return self.death(f"time-out: the guest was not done after "
                                      f"{self.settings.timeout:g} s")

    def read(self) -> bool:
        """
        Reads what there is, first of the console: what it says of a case is there no earlier than
        that the case has started. What was read before that is about others.
        """
        heard, before = False, len(self.console)
        for name, fd in self.fds.items():
            while True:
                try:
                    data = os.read(fd, 65536)
                except BlockingIOError:
                    break
                heard = True
                if name == "records":
                    self.receiver.write(data)
                    if self.stream.feed(data):
                        self.console, before = self.console[before:], 0
                else:
                    self.log.write(data.replace(b"\r", b""))
                    self.log.flush()
                    self.console += data.decode(errors="replace").replace("\r", "")
        return heard

    def ended(self, process: subprocess.Popen) -> Death | None:
        panic = PANIC.search(self.console)
        said = COMPLAINT.findall(self.console)
        if panic:
            return self.death(f"the guest's kernel panicked: {panic[1]}")
        if self.stream.ended:
            return None
        if said:
            return self.death(f"in the guest: {said[0]}", final=True)
        if process.returncode and process.returncode < 0:
            killer = signal.Signals(-process.returncode).name
            return self.death(f"the emulator was killed by {killer}")
        if process.returncode:
            return self.death(f"the emulator ended with status {process.returncode}: "
                              f"{self.emulator_said()}", final=not self.console)
        return self.death("the guest went down without a word")

    def emulator_said(self) -> str:
        lines = (self.settings.out / "emulator.log").read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "no message")

    def death(self, reason: str, final: bool = False) -> Death:
        reason = "".join(c if c.isprintable() else "?" for c in reason)
        return Death(reason, self.console.splitlines()[-LAST_WORDS:], final)


def facts(s: Settings, boots: int, retried: list[str]) -> dict[str, object]:
    """host.json's member lab."""
    return {
        "kernel": s.kernel.name, "package": s.kernel.package, "cmdline": s.cmdline,
        "modparams": list(s.modparams), "kvm_config": list(s.kvm_config), "cpu": s.cpu, "cpus": s.cpus, "run_again": s.run_again,
        "modules": [{"file": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
                    for file in s.kernel.replaced],
        "boots": boots, "retried": retried,
    }


def run(s: Settings) -> int:
    """Returns the exit status: kvmspec's."""
    stream = Stream()
    retried: list[str] = []
    boots, alone = 0, False
    for log in ("kernel.log", "emulator.log"):
        (s.out / log).write_bytes(b"")
    receiver = Receiver(s.program, s.out)
    try:
        while True:
            boots += 1
            stream.begun, stream.rest = False, b""
            receiver.send("lab", facts(s, boots, retried))
            death = Guest(s, stream, receiver, alone).run()
            if not death:
                break
            if not stream.begun and not death.final and len(retried) < BOOTS - 1:
                retried.append(death.reason)
                say(f"the guest died before the suite started, booting again: {death.reason}")
                continue
            if stream.begun and s.resume and not alone and len(stream.running) > 1:
                say(f"{death.reason}; booting again to run what ran then, and the rest, alone")
                stream.running.clear()
                alone = True
                continue
            where = "" if stream.begun else f". See {s.out}/kernel.log and emulator.log"
            receiver.send("died", {"reason": death.reason + where, "kernel_log": death.console})
            stream.reported |= stream.running
            stream.running.clear()
            if not (stream.begun and s.resume and stream.planned - stream.reported):
                break
            say(f"{death.reason}; booting again for the rest")
    except KeyboardInterrupt:
        receiver.send("stopped", "interrupted")
    except LabError as error:
        receiver.send("died", {"reason": str(error), "kernel_log": []})
    return receiver.close()
