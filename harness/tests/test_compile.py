# SPDX-License-Identifier: MIT
"""What x(), x_try() and CASE() must not let through the compiler, and what they must."""

import os
import shlex
import subprocess
import unittest

import support

# what it shows: (a function's body, words of the compiler's complaint; None: it compiles)
SNIPPETS = {
    "right type": ("struct kvm_regs regs; x(vcpu, KVM_GET_REGS, &regs);", None),
    "no argument": ("x(vcpu, KVM_RUN);", None),
    "a number": ("x(vm, KVM_CREATE_VCPU, 1);", None),
    "either kind, first": ("x(&host.kvm, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);", None),
    "either kind, second": ("x(vm, KVM_CHECK_EXTENSION, KVM_CAP_NR_VCPUS);", None),
    "raw takes anything": ("x_raw(vm, KVM_GET_REGS, 0x123);", None),
    "wrong struct": ("struct kvm_sregs sregs; x(vcpu, KVM_GET_REGS, &sregs);",
                     "incompatible pointer type"),
    "wrong struct, tried": ("struct kvm_sregs sregs; x_try(vcpu, KVM_GET_REGS, &sregs);",
                            "incompatible pointer type"),
    "a struct for its address": ("struct kvm_regs regs; x(vcpu, KVM_GET_REGS, regs);",
                                 "incompatible type"),
    "a number for a pointer": ("x(vcpu, KVM_GET_REGS, 1);", "without a cast"),
    "a pointer for a number": ("int i; x(vm, KVM_CREATE_VCPU, &i);", "without a cast"),
    "vCPU's ioctl on a VM": ("struct kvm_regs regs; x(vm, KVM_GET_REGS, &regs);",
                             "KVM_GET_REGS is no ioctl of this file descriptor"),
    "VM's ioctl on a vCPU": ("x_try(vcpu, KVM_CREATE_VCPU, 0);",
                             "KVM_CREATE_VCPU is no ioctl of this file descriptor"),
    "VM's ioctl on the system": ("x(&host.kvm, KVM_CREATE_IRQCHIP);",
                                 "KVM_CREATE_IRQCHIP is no ioctl of this file descriptor"),
    "expect_errno on a wrong kind": ("expect_errno(EINVAL, vm, KVM_RUN);",
                                     "KVM_RUN is no ioctl of this file descriptor"),
    "not a KVM object": ("int fd = 3; x(&fd, KVM_CREATE_VM);", "_Generic"),
    "an unknown register": ("expect_regs(vcpu, .eax = 1);", "no member named"),
    "a wrong format": ('fail("a", "%s", 1);', "format"),
}


class Compile(unittest.TestCase):
    def compile(self, body: str) -> subprocess.CompletedProcess:
        source = ('#include "kvmspec.h"\n'
                  "void f(struct vm *vm, struct vcpu *vcpu);\n"
                  "void f(struct vm *vm, struct vcpu *vcpu)\n"
                  "{ (void)vm, (void)vcpu; " + body + " }\n")
        flags = ["-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Werror=incompatible-pointer-types",
                 "-Werror=int-conversion", "-Werror=format", "-Iharness", "-fsyntax-only"]
        return subprocess.run([*shlex.split(os.environ.get("CC", "cc")), *flags, "-xc", "-"],
                              cwd=support.ROOT, input=source, text=True, capture_output=True)

    def test_snippets(self):
        for what, (body, complaint) in SNIPPETS.items():
            with self.subTest(what):
                done = self.compile(body)
                if complaint is None:
                    self.assertEqual(done.returncode, 0, done.stderr)
                else:
                    self.assertNotEqual(done.returncode, 0, "it compiles")
                    self.assertIn(complaint, done.stderr)
