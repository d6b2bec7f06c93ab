# SPDX-License-Identifier: MIT
"""What helps with one case: --trace, --gdb, --ftrace."""

import os
import re
import shlex
import shutil
import signal
import socket
import time
import unittest

import support
from support import BROKEN, KVMSPEC, ROOT, run, scratch
from test_command_line import FAILED, ONE, PASS, refused

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
                record.pop("kernel_log", None)  # it is the whole machine's
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
        self.assertEqual({line["tid"] for line in lines}, {None})

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



class GdbSession:
    """A run that waits for gdb; `address` is where. Ends with the test."""

    def __init__(self, test: unittest.TestCase, case: str, *options: object):
        self.test, self.case, self.out = test, case, scratch()
        self.process = support.start(BROKEN, "--gdb=0", "--out", self.out, *options, case, cwd=ROOT)
        test.addCleanup(self.process.communicate)
        test.addCleanup(self.process.kill)
        self.said: list[str] = []
        for line in self.process.stderr:
            self.said.append(line)
            if match := re.search(r"  (gdb .*'target remote 127\.0\.0\.1:(\d+)')$", line):
                self.command, self.port = match[1], int(match[2])
                return
        test.fail("".join(self.said) + self.process.stdout.read())

    def gdb(self, *commands: str) -> str:
        """What gdb prints, called as the run said, with these commands."""
        words = shlex.split(self.command)[1:]
        done = run("gdb", "-nx", "-batch", *words, cwd=ROOT,
                   *(word for command in commands for word in ("-ex", command)))
        return done.stdout + done.stderr

    def record(self, timeout: float = 20) -> dict:
        self.process.wait(timeout)
        record, = support.Results(self.out).records
        return record


class Connection:
    """The protocol by hand, for what gdb would not send."""

    def __init__(self, session: GdbSession):
        self.socket = socket.create_connection(("127.0.0.1", session.port), timeout=20)
        session.test.addCleanup(self.socket.close)
        self.stream = self.socket.makefile("rwb", buffering=0)

    def send(self, data: str) -> None:
        self.stream.write(b"$%s#%02x" % (data.encode(), sum(data.encode()) % 256))

    def receive(self) -> str:
        while (byte := self.stream.read(1)) != b"$":
            if byte == b"":
                return "closed"
        data = bytearray()
        while (byte := self.stream.read(1)) != b"#":
            data += byte
        self.stream.read(2)
        self.stream.write(b"+")
        return data.decode()

    def ask(self, data: str) -> str:
        self.send(data)
        return self.receive()


LETTER = "debugged/fails_at_the_second_letter"


@unittest.skipUnless(shutil.which("gdb"), "gdb is not installed")
class Gdb(unittest.TestCase):
    MODES = {  # mode: gdb's architecture, program counter, the register that is 42 at the end
        "real16": ("i8086", "$eip", "$eax"),
        "prot32": ("i386", "$eip", "$eax"),
        "long64": ("i386:x86-64", "$rip", "$rax"),
    }

    def each_mode(self, check):
        for mode, (architecture, pc, ax) in self.MODES.items():
            with self.subTest(mode):
                check(mode, architecture, pc, ax)

    @staticmethod
    def where(record: dict) -> str:
        """The record's place, in gdb's words."""
        label, _, offset = record["at_label"].partition("+")
        return f"{label} + {int(offset, 16)}"

    def needs(self, ability: str, mode: str) -> None:
        """Skips, with what KVM did instead, where the host's KVM cannot do it in this mode."""
        out = scratch()
        run(BROKEN, "--out", out, f"debugged/{ability}/{mode}")
        record, = support.Results(out).records
        if record["verdict"] != "pass":
            self.skipTest(f"{record['case']}: {record['got']}")

    def test_a_failed_case(self):
        def check(mode, architecture, pc, ax):
            session = GdbSession(self, f"{LETTER}/{mode}")
            self.assertIn(f"build/guests/{mode}/hello.elf".replace("build", str(support.BUILD.
                          relative_to(ROOT))), session.command)
            said = session.gdb(
                "show architecture", f"printf \"pc %#lx\\n\", {pc}", "info symbol $pc",
                f"printf \"ax %#lx\\n\", {ax}", "x/s &message", "x/i $pc",
                "printf \"cr0 %#lx\\n\", $cr0", "monitor exits", "detach")
            record = session.record()
            self.assertIn(architecture, said)
            self.assertIn("pc " + record["registers"]["rip"].split()[0] + "\n", said)
            self.assertIn(f"{self.where(record)} in section .text", said)
            self.assertIn("ax 0x65\n", said)
            self.assertIn('"Hello, world!"', said)
            # at the port's OUT or past it: KVM may finish it when it runs again
            self.assertRegex(said, r"=> 0x\w+ <next\+"
                                   r"(5>:\s+out\s+%al,\$0xe9|7>:\s+jmp\s+0x\w+ <next>)\n")
            self.assertIn("cr0 " + record["system_registers"]["cr0"].split()[0] + "\n", said)
            for line in record["last_exits"]:
                self.assertIn(line + "\n", said)
            self.assertEqual((record["verdict"], record["kvm_runs"]), ("fail", 2))

        self.each_mode(check)

    def test_steps(self):
        def check(mode, architecture, pc, ax):
            self.needs("steps", mode)
            session = GdbSession(self, f"{LETTER}/{mode}")
            said = session.gdb("set $pc = next", "stepi", "info symbol $pc", "stepi",
                               "info symbol $pc", "kill")
            self.assertEqual(re.findall(".* in section .text", said),
                             ["next + 1 in section .text", "next + 3 in section .text"])
            self.assertEqual(session.record()["kvm_runs"], 2, "they are not the case's")

        self.each_mode(check)

    def test_breakpoints_registers_and_memory(self):
        def check(mode, architecture, pc, ax):
            self.needs("stops_at_breakpoints", mode)
            session = GdbSession(self, f"{LETTER}/{mode}")
            said = session.gdb(
                "break *done", "set var *(char *)0x400 = 7", "x/1xb 0x400", "set $pc = next",
                "set $esi = 0x200d" if mode != "long64" else "set $rsi = 0x200d",
                "continue", "info symbol $pc", "stepi", f"printf \"ax %#lx\\n\", {ax}",
                "delete", "continue", "printf \"past hlt: %d\\n\", $pc == &end", "x/1xb 0x400",
                "detach")
            self.assertRegex(said, r"0x400\S*\s0x07\n")
            self.assertIn("Breakpoint 1, done ()", said)
            self.assertIn("done in section .text", said)
            self.assertIn("ax 0x2a\n", said)
            self.assertIn("KVM_EXIT_HLT\n", said)
            self.assertIn("past hlt: 1\n", said)
            self.assertRegex(said, r"0x400\S*\s0x2a\n")
            self.assertEqual(session.record()["kvm_runs"], 2)

        self.each_mode(check)

    def test_exits_are_stops(self):
        session = GdbSession(self, f"{LETTER}/prot32")
        said = session.gdb("continue", "continue", "detach")
        self.assertEqual(re.findall("KVM_EXIT_.*", said),
                         [f"KVM_EXIT_IO out port 0xe9 size 1 count 1 data {ord('l'):x}"] * 2)
        self.assertEqual(said.count("SIGTRAP"), 2)

    def test_from_the_start(self):
        def check(mode, architecture, pc, ax):
            self.needs("stops_at_breakpoints", mode)
            session = GdbSession(self, f"{LETTER}/{mode}", "--gdb-at=start")
            said = session.gdb("info symbol $pc", "break *next", "continue", "info symbol $pc",
                               "delete", "continue", "info symbol $pc", "detach")
            self.assertIn("entry in section .text", said)
            self.assertIn("next in section .text", said)
            exits = re.findall("KVM_EXIT_IO .*|the case failed at .*", said)
            record = session.record()
            self.assertEqual(exits, record["last_exits"] + [f"the case failed at {record['at']}"])
            self.assertIn(f"{self.where(record)} in section .text", said)
            self.assertEqual((record["verdict"], record["kvm_runs"]), ("fail", 2))

        self.each_mode(check)

    def test_a_case_that_passes_under_gdb(self):
        session = GdbSession(self, "assertions/all_hold", "--gdb-at=start")
        self.assertIn("exited normally", session.gdb("continue"))
        self.assertEqual(session.record()["verdict"], "pass")

    def test_killed_from_the_start(self):
        session = GdbSession(self, "assertions/all_hold", "--gdb-at=start")
        session.gdb("kill")
        record = session.record()
        self.assertEqual((record["verdict"], record["reason"]), ("error", "killed from gdb"))

    def test_a_case_that_passes_without(self):
        done = run(BROKEN, "--gdb=0", "--out", scratch(), "assertions/all_hold")
        self.assertEqual(done.returncode, PASS)
        self.assertIn("the case did not fail; --gdb-at=start", done.stderr)

    def test_no_vcpu(self):
        done = run(BROKEN, "--gdb=0", "--out", scratch(), "endings/fails")
        self.assertEqual(done.returncode, FAILED)
        self.assertIn("the case failed at harness/tests/broken/endings.c", done.stderr)
        self.assertIn("nothing for gdb: no vCPU has run", done.stderr)

    def test_no_time_out(self):
        session = GdbSession(self, "endings/hangs_in_the_guest", "--gdb-at=start")
        gdb = Connection(session)
        gdb.send("c")
        time.sleep(1)  # twice its time-out
        gdb.stream.write(b"\3")
        self.assertEqual(gdb.receive(), "T02", "Ctrl-C stops the guest")
        gdb.send("k")
        self.assertEqual(session.record()["reason"], "killed from gdb")

    def test_ctrl_c_after_a_failure(self):
        session = GdbSession(self, "threads/one_fails_while_the_vcpu_runs")
        gdb = Connection(session)
        gdb.send("c")
        gdb.stream.write(b"\3")
        self.assertEqual(gdb.receive(), "T02")
        self.assertEqual(gdb.ask("D"), "OK")
        self.assertEqual(session.record()["verdict"], "fail")

    def test_says_that_a_breakpoint_was_hit(self):
        """Only if gdb knows the word: then it need not guess from the byte before."""
        self.needs("stops_at_breakpoints", "prot32")
        for features, stop in (("hwbreak+", "T05hwbreak:;"), ("swbreak+", "T05")):
            session = GdbSession(self, f"{LETTER}/prot32", "--gdb-at=start")
            gdb = Connection(session)
            gdb.ask(f"qSupported:{features}")
            entry = int.from_bytes(bytes.fromhex(gdb.ask("p8")), "little")
            self.assertEqual(gdb.ask(f"Z1,{entry + 1:x},1"), "OK")  # past CLD
            self.assertEqual(gdb.ask("c"), stop)
            gdb.send("k")

    def test_what_gdb_would_not_send(self):
        session = GdbSession(self, f"{LETTER}/prot32")
        gdb = Connection(session)
        self.assertEqual(gdb.ask("?"), "T05")
        for wrong, answer in {
            "": "", "X": "", "vMustReplyEmpty": "", "\x7f": "", "qNothing": "", "Z2,1000,1": "",
            "m": "E16", "m0": "E16", "m80000,4": "E0e", "p999": "E16", "p": "E16", "P1": "E16",
            "M1000,4": "E16", "M1000,4:00": "E16", "M80000,1:00": "E0e",
            "qXfer:features:read:target.xml:": "E16",
            "qXfer:features:read:target.xml:ffff,4": "E16",
            "m1000," + "f" * 8: None, "G12": "OK", "P0=": "OK", "z0,5,1": "OK",
        }.items():
            with self.subTest(wrong):
                got = gdb.ask(wrong)
                self.assertIn(answer, (None, got))
        for number in range(4):
            self.assertEqual(gdb.ask(f"Z1,{number},1"), "OK")
        self.assertEqual(gdb.ask("Z1,5,1"), "E1c", "there are four debug registers")
        self.assertEqual(gdb.ask("m" + "0" * 10000)[0], "E", "too long")
        self.assertEqual(gdb.ask("?"), "T05")
        gdb.socket.close()
        gdb.stream.close()
        self.assertEqual(session.record()["verdict"], "fail", "gdb that goes lets go of the vCPU")

    def test_interrupted(self):
        session = GdbSession(self, f"{LETTER}/prot32")
        session.process.send_signal(signal.SIGINT)
        self.assertEqual(session.process.wait(20), 130)


class BadGdbOptions(unittest.TestCase):
    def test_bad_input(self):
        for words, *options in (
            ("--gdb takes a port from 0 to 65535, not 'x'", "--gdb=x", ONE),
            ("--gdb takes a port from 0 to 65535, not '65536'", "--gdb=65536", ONE),
            ("--gdb takes a port from 0 to 65535, not '-1'", "--gdb=-1", ONE),
            ("--gdb takes a port from 0 to 65535, not ''", "--gdb=", ONE),
            ("--gdb-at takes 'start' or 'failure', not 'end'", "--gdb-at=end", ONE),
            ("--gdb is for one case, and this would run ", "--gdb=0", "needs"),
            ("--gdb is for one case, and this would run 2: " + ONE, "--gdb=0", "--repeat=2", ONE),
            ("no case matches 'nothing'", "--gdb=0", "nothing"),
        ):
            with self.subTest(options):
                refused(self, run(BROKEN, "--out", scratch(), *options), words)

    def test_a_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            done = run(BROKEN, "--out", scratch(), f"--gdb={port}", ONE)
            refused(self, done, f"cannot listen on 127.0.0.1:{port}: Address already in use",
                    "--gdb=PORT")


def with_mounts(*mounts: str) -> tuple[str, ...]:
    """What to put before a command that is to see these mounts; they end with it."""
    return ("unshare", "--mount", "sh", "-c", "; ".join(mounts) + '; exec "$@"', "sh")


TRACING = "/sys/kernel/tracing"
WITH_TRACEFS = with_mounts(f"mount -t tracefs nodev {TRACING} || exit 77")
WITHOUT_TRACEFS = with_mounts(f"mount -t tmpfs none {TRACING}",
                              "mount -t tmpfs none /sys/kernel/debug")


def in_tracefs(*command: str) -> str:
    return run(*WITH_TRACEFS, *command).stdout


def why_no_tracefs() -> str:
    done = run(*WITH_TRACEFS, "ls", f"{TRACING}/events/kvm")
    return done.stderr if done.returncode else ""


class Ftrace(unittest.TestCase):
    def ftrace(self, *args, before=WITH_TRACEFS):
        why = why_no_tracefs() if before is WITH_TRACEFS else support.why_no_mounts()
        if why:
            self.skipTest(why)
        out = scratch()
        done = run(*before, BROKEN, "--ftrace", "--out", out, *args)
        checked = support.validate(out)
        self.assertEqual(checked.returncode, 0, checked.stdout)
        return support.Results(out), done

    def test_events_of_a_failure(self):
        results, done = self.ftrace("assertions/expect_run_text", "assertions/all_hold")
        self.assertEqual(results.host["ftrace"], "recorded")
        self.assertNotIn("ftrace", results.by_case["assertions/all_hold"])
        record = results.by_case["assertions/expect_run_text"]
        events = record["ftrace"]
        self.assertEqual(sum("kvm_userspace_exit: reason KVM_EXIT_IO" in e for e in events),
                         record["kvm_runs"], events)
        self.assertRegex(events[-1], r"^kvmspec-broken-\d+ +\[\d+\] .* [\d.]+: kvm_\w+: ")
        self.assertEqual(len({e.split()[0] for e in events}), 1, "one process")
        self.assertNotIn("kvm_unmap_hva_range", "".join(events))
        shown = "  ftrace: |\n" + "".join(f"    {event}\n" for event in events)
        self.assertIn(shown, done.stdout)
        self.assertIn(shown, results.tap)

    def test_each_case_has_its_own(self):
        results, _ = self.ftrace("assertions")
        owners = [{event.split()[0] for event in record["ftrace"]} for record in results.records
                  if "ftrace" in record]
        self.assertGreater(len(owners), 20)
        self.assertEqual({len(owner) for owner in owners}, {1})
        self.assertEqual(len(set.union(*owners)), len(owners))

    def test_after_a_case_that_killed_its_parent(self):
        results, _ = self.ftrace("parent", "assertions/expect_run_text", "--repeat=2")
        events = [len(record.get("ftrace", [])) > 1 for record in results.records
                  if record["filter"] == "assertions/expect_run_text"]
        self.assertEqual(events, [True, True])

    def test_only_the_last(self):
        results, _ = self.ftrace("debugged/runs_for_long")
        self.assertEqual(len(results.records[0]["ftrace"]), 64)

    def test_nothing_is_left(self):
        if why := why_no_tracefs():
            self.skipTest(why)
        out = scratch()
        process = support.start(*WITH_TRACEFS, BROKEN, "--ftrace", "--out", out, ONE)
        process.communicate(timeout=20)
        self.assertEqual(support.Results(out).host["ftrace"], "recorded")
        self.assertNotIn(f"kvmspec-{process.pid}\n", in_tracefs("ls", f"{TRACING}/instances"))
        self.assertEqual(in_tracefs("cat", f"{TRACING}/events/kvm/enable"), "0\n")

    def test_nothing_is_left_after_ctrl_c(self):
        if why := why_no_tracefs():
            self.skipTest(why)
        process = support.start(*WITH_TRACEFS, BROKEN, "--ftrace", "--out", scratch(),
                                "forever/runs_a_guest")
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        support.wait_until(lambda: f"kvmspec-{process.pid}\n" in
                           in_tracefs("ls", f"{TRACING}/instances"), "the instance")
        support.wait_until(lambda: len(support.processes_of(process.pid)) == 2, "the case")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(20), 130)
        self.assertNotIn(f"kvmspec-{process.pid}\n", in_tracefs("ls", f"{TRACING}/instances"))

    def test_without_tracefs(self):
        results, done = self.ftrace("endings/passes", "endings/fails", before=WITHOUT_TRACEFS)
        self.assertEqual(done.returncode, FAILED)
        why = f"tracefs is not mounted: mount -t tracefs nodev {TRACING}"
        self.assertEqual(done.stderr, f"kvmspec: KVM's trace events are not recorded: {why}\n")
        self.assertEqual(results.host["ftrace"], why)
        self.assertFalse([record for record in results.records if "ftrace" in record])

    def test_several_jobs(self):
        done = run(BROKEN, "--ftrace", "--jobs=2", "--out", scratch(), ONE)
        refused(self, done, "leave out --jobs")


if __name__ == "__main__":
    unittest.main()
