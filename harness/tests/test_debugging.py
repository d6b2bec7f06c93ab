# SPDX-License-Identifier: MIT
"""What helps with one case: --trace."""

import os
import re
import unittest

import support
from support import BROKEN, KVMSPEC, run, scratch

LINE = re.compile(r"\[ *\d+\.\d{6}\] (?:tid (?P<tid>\d+) )?"
                  r"(?:case (?P<case>[\w/]+)|(?P<object>kvm|vm|vcpu\d+|fd \d+)(?:@(?P<fd>\d+))? "
                  r"(?P<ioctl>KVM_\w+)(?:\((?P<argument>.*)\))? = (?P<result>-?\w+)"
                  r"(?: (?P<exit>.*))?)")


def parse(test: unittest.TestCase, trace: str) -> list[dict]:
    matches = [LINE.fullmatch(line) for line in trace.splitlines()]
    test.assertNotIn(None, matches, trace)
    return [match.groupdict() for match in matches]


class Trace(unittest.TestCase):
    def trace(self, *args, program=BROKEN, **options):
        out = scratch()
        done = run(program, "--trace", "--out", out, *args, **options)
        return parse(self, done.stderr), support.Results(out), done

    def test_a_case_from_start_to_end(self):
        lines, results, done = self.trace("assertions/expect_run_text")
        record, = results.records
        self.assertEqual(lines[0]["case"], record["case"])
        self.assertEqual({line["tid"] for line in lines}, {None})
        calls = [(line["object"], line["ioctl"], line["argument"], line["result"])
                 for line in lines[1:]]
        vm, vcpu = calls[0][3], next(c[3] for c in calls if c[1] == "KVM_CREATE_VCPU")
        self.assertEqual(calls[0], ("kvm", "KVM_CREATE_VM", "0", vm))
        self.assertLess(int(vm), int(vcpu))
        self.assertIn(("vm", "KVM_CREATE_VCPU", "0", vcpu), calls)
        self.assertIn(("vcpu0", "KVM_SET_REGS", "{rip=0x1000 rsp=0x8000 rflags=0x2}", "0"), calls)
        region = next(c for c in calls if c[1] == "KVM_SET_USER_MEMORY_REGION")
        self.assertRegex(region[2], r"^\{slot=0 flags=0 guest_phys_addr=0 memory_size=0x80000 "
                                    r"userspace_addr=0x[0-9a-f]+\}$")
        runs = [line for line in lines if line["ioctl"] == "KVM_RUN"]
        self.assertEqual([re.sub(" at .*", "", line["exit"]) for line in runs],
                         record["last_exits"])
        self.assertEqual({line["exit"].rpartition(" at ")[2] for line in runs},
                         {record["at_label"]})
        self.assertIn("KVM_GET_SREGS", [c[1] for c in calls], "the diagnosis's too")

    def test_the_record_is_the_same(self):
        traced = self.trace("assertions", "endings/fails", "threads/one_fails")[1]
        out = scratch()
        run(BROKEN, "--out", out, "assertions", "endings/fails", "threads/one_fails")
        plain = support.Results(out)
        for results in traced, plain:
            for record in results.records:
                del record["seconds"]
        self.assertEqual(traced.by_case, plain.by_case)

    def test_errors_and_addresses_that_are_none(self):
        lines, _, _ = self.trace("assertions/x_fails")
        found = [line for line in lines if line["ioctl"] == "KVM_GET_REGS"][0]
        self.assertEqual((found["argument"], found["result"]), ("0", "-EFAULT"))
        lines, _, _ = self.trace("assertions/expect_run_exit_but_it_fails")
        found, = [line for line in lines if line["ioctl"] == "KVM_RUN"]
        self.assertEqual((found["result"], found["exit"]), ("-EINTR", "at entry"))

    def test_several_cases(self):
        lines, results, _ = self.trace("--jobs=2", "assertions")
        cases = {line["tid"]: line["case"] for line in lines if line["case"]}
        self.assertNotIn(None, cases)
        self.assertEqual(set(cases.values()), set(results.by_case))
        for tid, case in cases.items():
            mine = [line["ioctl"] for line in lines if line["tid"] == tid and line["ioctl"]]
            counts = results.by_case[case]["ioctls"]
            self.assertEqual({name: mine.count(name) for name in mine},
                             {name: sum(counts[name].values()) for name in counts}, case)

    def test_one_at_a_time(self):
        lines, results, _ = self.trace("needs", "assertions/expect_regs*")
        self.assertEqual([line["case"] for line in lines if line["case"]], sorted(results.by_case))

    def test_objects_of_two_vms(self):
        lines, _, _ = self.trace("assertions/all_hold")
        runs = [line for line in lines if line["ioctl"] == "KVM_RUN"]
        second = [line for line in lines if line["ioctl"] == "KVM_CREATE_VM"][1]
        self.assertEqual({line["fd"] for line in lines[:lines.index(second)]}, {None})
        self.assertNotIn(runs[-1]["fd"], (None, second["result"]))

    def test_what_a_real_case_passes(self):
        lines, _, _ = self.trace("signals", "hypercalls", "registers", program=KVMSPEC)
        shown = {(line["ioctl"], line["argument"]) for line in lines}
        self.assertIn(("KVM_CHECK_EXTENSION", "KVM_CAP_IMMEDIATE_EXIT"), shown)
        self.assertIn(("KVM_SET_SIGNAL_MASK", "{len=8 blocked: USR1}"), shown)

    def test_a_reader_that_leaves(self):
        read, write = os.pipe()
        os.close(read)
        out = scratch()
        with os.fdopen(write, "w") as stderr:
            run(BROKEN, "--trace", "--out", out, "assertions/all_hold", stderr=stderr)
        self.assertEqual(support.Results(out).records[0]["verdict"], "pass")


if __name__ == "__main__":
    unittest.main()
