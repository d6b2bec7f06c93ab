# SPDX-License-Identifier: MIT
"""What cannot run: one clear sentence, status 2, and no older run's results. Nothing boots here."""

import os
import subprocess
import unittest
from pathlib import Path

from lab import CANNOT_RUN, KERNEL, TOP, deb, image, kvm_module, lab, support
from laboratory import kernels

scratch = support.scratch
PROGRESS = ("lab: reading which", "lab: what is known of", "lab: downloading")


class BadInput(unittest.TestCase):
    def refuse(self, *args, says, env=None, **options):
        where = scratch()
        (where / "results").mkdir()
        (where / "results/latest").symlink_to("runs/old")
        done = lab("run", *args, env=support.environment(**env or {}), cwd=where, **options)
        self.assertEqual(done.returncode, CANNOT_RUN, done.stdout + done.stderr)
        lines = [line for line in done.stderr.splitlines()
                 if not line.startswith(PROGRESS)]
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(says, lines[0])
        self.assertEqual(done.stdout, "")
        self.assertFalse((where / "results/latest").is_symlink(), "an older run passes for this one")

    def file(self, data: bytes) -> Path:
        path = scratch() / "file"
        path.write_bytes(data)
        return path

    def test_no_kernel(self):
        self.refuse("--kernel=banana", says="no file or directory, no series")

    def test_no_such_series(self):
        self.refuse("--kernel=5.99", says="Debian has no cloud kernel 5.99 now; it has ")

    def test_no_such_package(self):
        self.refuse("--kernel=linux-image-none", says="no package linux-image-none")

    def test_text_file(self):
        self.refuse(f"--kernel={TOP}/Makefile", says="is no kernel image")

    def test_short_file(self):
        self.refuse(f"--kernel={self.file(b'x')}", says="is no kernel image")

    def test_vmlinux(self):
        self.refuse("--kernel=/bin/true", says="is an ELF file")

    def test_arm64(self):
        data = bytearray(64)
        data[56:60] = b"ARM\x64"
        self.refuse(f"--kernel={self.file(bytes(data))}", says="for another architecture")

    def test_i386(self):
        self.refuse(f"--kernel={image(scratch() / 'bzImage', loadflags=0)}", says="32-bit kernel")

    def test_modules_of_another_kernel(self):
        self.refuse(f"--kernel={image(scratch() / 'bzImage')}", f"--modules={scratch()}",
                    says="no modules.dep for 6.66.0-test")

    def test_tree_that_is_not_built(self):
        self.refuse(f"--kernel={scratch()}", says="Build it with make bzImage modules")

    def test_deb_that_is_not_there(self):
        self.refuse("--kernel=nowhere.deb", says="nowhere.deb does not exist")

    def test_deb_for_another_architecture(self):
        self.refuse(f"--kernel={deb(scratch(), {}, 'arm64')}", says="is for arm64, not for amd64")

    def test_deb_without_a_kernel(self):
        self.refuse(f"--kernel={deb(scratch(), {'etc/x': b'x'})}", says="0 kernel images")

    def test_deb_without_kvm(self):
        data = image(scratch() / "bzImage").read_bytes()
        package = deb(scratch(), {"boot/vmlinuz-6.66.0-test": data,
                                  "lib/modules/6.66.0-test/modules.dep": b"kernel/x.ko:\n"})
        self.refuse(f"--kernel={package}", says="has no KVM: there is no kvm.ko")

    def test_module_that_is_not_there(self):
        self.refuse("--module=nowhere/kvm.ko", says="there is no module nowhere/kvm.ko")

    def test_file_that_is_no_module(self):
        module = scratch() / "kvm.ko"
        module.write_bytes(b"none")
        self.refuse(f"--module={module}", says=f"{module} is no module")

    def test_module_that_kvm_does_not_need(self):
        self.refuse("--module=/bin/true", says="takes the place of no module that KVM needs")

    def test_module_for_a_kernel_with_kvm_built_in(self):
        self.refuse(f"--kernel={image(scratch() / 'bzImage')}", "--module=/bin/true",
                    says="needs in 6.66.0-test: it is built in")

    def test_module_of_another_kernel(self):
        data = image(scratch() / "bzImage").read_bytes()
        package = deb(scratch(), {
            "boot/vmlinuz-6.66.0-test": data,
            "lib/modules/6.66.0-test/modules.dep": b"kernel/kvm-amd.ko: kernel/kvm.ko\nkernel/kvm.ko:\n"})
        module = kvm_module(scratch())
        self.refuse(f"--kernel={package}", f"--module={module}",
                    says="kvm.ko is for Linux 6.1.0-")

    def test_kvm_config_of_a_kernel_that_is_not_debians(self):
        self.refuse(f"--kernel={image(scratch() / 'bzImage')}", "--kvm-config=KVM_SW_PROTECTED_VM",
                    says="bzImage is none of Debian's kernels")

    def test_kvm_config_that_is_none(self):
        self.refuse("--kvm-config=private memory", says="--kvm-config=private memory is no option of KVM's")

    def test_kvm_config_of_the_host(self):
        self.refuse("--engine=host", "--kvm-config=KVM_SW_PROTECTED_VM", says="and host boots none")

    def test_truncated_deb(self):
        package = deb(scratch(), {"boot/vmlinuz-1": os.urandom(200000)})
        package.write_bytes(package.read_bytes()[:100000])
        cache = scratch()
        self.refuse(f"--kernel={package}", says="is damaged, download it again",
                    env={"KVMSPEC_CACHE": str(cache)})
        self.assertEqual(list((cache / "kernels").iterdir()), [], "nothing half-made is left")

    def test_file_that_is_no_deb(self):
        package = scratch() / "x.deb"
        package.write_bytes(b"none")
        self.refuse(f"--kernel={package}", says="is no complete Debian package")

    def test_no_engine(self):
        self.refuse("--engine=abacus", says="there is no engine abacus: there are auto, host")

    def test_missing_emulator(self):
        where = scratch()
        for tool in ("python3", "env"):
            (where / tool).symlink_to(f"/usr/bin/{tool}")
        self.refuse("--engine=bochs-intel", env={"PATH": str(where)},
                    says="bochs is not installed: apt-get install bochs")

    def test_no_network(self):
        self.refuse(f"--kernel={KERNEL}", says="Is the network there?",
                    env={"KVMSPEC_CACHE": str(scratch()), "KVMSPEC_MIRROR": "http://127.0.0.1:9/",
                         "http_proxy": "http://127.0.0.1:9/", "APT_CONFIG": str(self.no_retries())})

    def no_retries(self) -> Path:
        return self.file(b'Acquire::Retries "0";')

    def test_cache_that_cannot_be_written_to(self):
        self.refuse(f"--kernel={KERNEL}", says="KVMSPEC_CACHE=dir",
                    env={"KVMSPEC_CACHE": "/proc/none"})

    @unittest.skipUnless(os.geteuid() == 0, "only root can mount a small disk")
    def test_full_disk(self):
        full = scratch()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", full], check=True)
        try:
            known = kernels.cache() / "apt/index.json"
            (full / "apt").mkdir()
            (full / "apt/index.json").write_bytes(known.read_bytes())
            self.refuse(f"--kernel={KERNEL}", says="space", env={"KVMSPEC_CACHE": str(full)})
        finally:
            subprocess.run(["umount", full], check=True)

    def test_no_case_matches(self):
        where = scratch()
        done = lab("run", "nothing/*", cwd=where)
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("no case matches 'nothing/*'", done.stderr)

    def test_unknown_variant(self):
        done = lab("run", "--variant=banana")
        self.assertEqual(done.returncode, CANNOT_RUN)
        self.assertIn("no variant banana", done.stderr)


class Lists(unittest.TestCase):
    def test_kernels(self):
        done = lab("kernels")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?m)^6\.1 +linux-image-6\.1\.0-\d+-cloud-amd64 +6\.1\.\d+")

    def test_variants_are_options_of_run(self):
        done = lab("variants")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in [line.split()[0] for line in done.stdout.splitlines() if line[0] != " "]:
            done = lab("run", f"--variant={name}", "--kernel=banana")
            self.assertIn("KERNEL=banana", done.stderr, name)

    def test_engines(self):
        done = lab("engines")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"(?ms)^host .*^tcg-amd .*^kvm .*^bochs-intel ")
