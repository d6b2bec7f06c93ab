// SPDX-License-Identifier: MIT
#include "case.h"

#include "evidence.h"
#include "gdb_stub.h"
#include "host.h"
#include "names.h"
#include "vm.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Not x_try(): what describes a failure is not the case's, and an error must not hide the failure. */
static int ask(const struct vcpu *vcpu, unsigned long number, void *answer)
{
	return ioctl(vcpu->kvm_fd.fd, number, answer);
}

/* Copies guest memory at a linear address as far as RAM goes. Returns the bytes copied. */
static size_t copy_linear(struct vcpu *vcpu, uint64_t address, void *to, size_t size)
{
	struct kvm_translation t = { .linear_address = address };

	if (!vcpu->vm->ram || ask(vcpu, KVM_TRANSLATE, &t) < 0 || !t.valid ||
	    t.physical_address >= RAM_SIZE)
		return 0;
	if (size > RAM_SIZE - t.physical_address)
		size = RAM_SIZE - t.physical_address;
	memcpy(to, vcpu->vm->ram + t.physical_address, size);
	return size;
}

/* The bytes of code from a label before RIP, if it is near, or from RIP. */
static void copy_code(struct vcpu *vcpu)
{
	const struct guest_image *image = vcpu->vm->image;

	evidence->image = image;
	evidence->code_address = guest_earliest_label(image, evidence->regs.rip, EVIDENCE_CODE / 2);
	evidence->code_size = copy_linear(vcpu, evidence->sregs.cs.base + evidence->code_address,
					  evidence->code, EVIDENCE_CODE);
}

/* After a triple fault: which exceptions could be delivered at all? */
static void copy_gates(struct vcpu *vcpu)
{
	size_t size = evidence->sregs.idt.limit + 1u;

	if (!evidence->has_last || evidence->last.exit_reason != KVM_EXIT_SHUTDOWN)
		return;
	evidence->gates_size = copy_linear(vcpu, evidence->sregs.idt.base, evidence->gates,
					   size < EVIDENCE_GATES ? size : EVIDENCE_GATES);
}

static void describe_vcpu(struct vcpu *vcpu)
{
	const struct guest_image *image = vcpu->vm->image;

	if (!vcpu_take_out(vcpu))
		return;
	evidence->vcpu_id = vcpu->id;
	snprintf(evidence->guest, sizeof evidence->guest, "%s", image ? image->name : "");
	if (vcpu->has_run)
		exit_event_of(vcpu, vcpu->last.result, &evidence->last);
	evidence->has_last = vcpu->has_run;
	if (ask(vcpu, KVM_GET_REGS, &evidence->regs) < 0 ||
	    ask(vcpu, KVM_GET_SREGS, &evidence->sregs) < 0)
		return;
	evidence->has_regs = true;
	evidence->has_loaded = vcpu->entered;
	evidence->loaded = vcpu->loaded;
	evidence->loaded_sregs = vcpu->loaded_sregs;
	copy_gates(vcpu);
	if (image) {
		guest_describe_address(image, evidence->regs.rip, evidence->rip_label,
				       sizeof evidence->rip_label);
		copy_code(vcpu);
	}
}

/* Never unlocked: only the first of several threads that end the case is heard. */
static pthread_mutex_t the_end = PTHREAD_MUTEX_INITIALIZER;

static void claim_the_end(const char *file, int line)
{
	pthread_mutex_lock(&the_end);
	snprintf(evidence->file, sizeof evidence->file, "%s", file);
	evidence->line = line;
}

void __gcov_dump(void) __attribute__((weak)); /* there with --coverage only */

unsigned case_effort = 100;

unsigned rounds(unsigned full, unsigned least)
{
	uint64_t share = (uint64_t)full * case_effort / 100;

	return share > least ? share : least;
}

_Noreturn void case_exit(int status)
{
	fflush(stdout);
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}

static void set_verdict(enum verdict verdict)
{
	__atomic_store_n(&evidence->verdict, verdict, __ATOMIC_RELEASE);
}

static _Noreturn void end(enum verdict verdict)
{
	if (gdb_when)
		gdb_end();
	set_verdict(verdict);
	case_exit(verdict == VERDICT_SKIP ? EXIT_SUCCESS : EXIT_FAILURE);
}

_Noreturn void case_fail(struct vcpu *vcpu, const char *file, int line, const char *expected,
			 const char *got, ...)
{
	va_list args;

	claim_the_end(file, line);
	snprintf(evidence->expected, sizeof evidence->expected, "%s", expected);
	va_start(args, got);
	vsnprintf(evidence->got, sizeof evidence->got, got, args);
	va_end(args);
	set_verdict(VERDICT_FAIL); /* whatever happens from here on */
	if (!vcpu)
		vcpu = last_vcpu;
	if (vcpu)
		describe_vcpu(vcpu);
	if (gdb_when)
		gdb_serve_failure(vcpu);
	end(VERDICT_FAIL);
}

_Noreturn void case_end(int verdict, const char *file, int line, const char *reason, ...)
{
	va_list args;

	claim_the_end(file, line);
	va_start(args, reason);
	vsnprintf(evidence->reason, sizeof evidence->reason, reason, args);
	va_end(args);
	end(verdict);
}

/* An overdue case: leaves what its vCPU is at, if it can, before the runner kills it. */
static void on_overdue(int sig)
{
	(void)sig;
	if (pthread_mutex_trylock(&the_end) == 0) {
		if (last_vcpu)
			describe_vcpu(last_vcpu);
		case_exit(EXIT_FAILURE);
	}
}

static bool has_cap(const struct need *need, char *reason, size_t size)
{
	int answer = host_cap(need->cap);

	switch (need->kind) {
	case NEED_CAP_BITS:
		snprintf(reason, size, "needs %s with bits %#x; this host answers %#x", need->name,
			 need->value, answer);
		return (answer & need->value) == need->value;
	case NEED_CAP_AT_LEAST:
		snprintf(reason, size, "needs %s of at least %d; this host answers %d", need->name,
			 need->value, answer);
		return answer >= need->value;
	default:
		snprintf(reason, size, "needs %s; this host answers %#x", need->name, answer);
		return answer != 0;
	}
}

static const struct kvm_cpuid_entry2 *find_cpuid(uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < host.cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &host.cpuid->entries[i];
		bool has_index = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

		if (e->function == function && (!has_index || e->index == index))
			return e;
	}
	return NULL;
}

static bool has_cpu_feature(const struct need *need, char *reason, size_t size)
{
	static const char *const registers[] = { "eax", "ebx", "ecx", "edx" };
	const struct kvm_cpuid_entry2 *e = find_cpuid(need->function, need->index);
	const uint32_t values[] = { e ? e->eax : 0, e ? e->ebx : 0, e ? e->ecx : 0,
				    e ? e->edx : 0 };
	int n = snprintf(reason, size,
			 "needs CPU feature %s, KVM_GET_SUPPORTED_CPUID's %#x.%u %s bit %u; ",
			 need->name, need->function, need->index, registers[need->reg], need->bit);

	if (e)
		snprintf(reason + n, size - n, "this host answers %s=%#x", registers[need->reg],
			 values[need->reg]);
	else
		snprintf(reason + n, size - n, "this host has no such leaf");
	return values[need->reg] >> need->bit & 1;
}

bool need_is_met(const struct need *need, char *reason, size_t size)
{
	long cpus;

	switch (need->kind) {
	case NEED_NOTHING:
		return true;
	case NEED_CAP:
	case NEED_CAP_BITS:
	case NEED_CAP_AT_LEAST:
		return has_cap(need, reason, size);
	case NEED_CPU_FEATURE:
		return has_cpu_feature(need, reason, size);
	case NEED_VENDOR:
		snprintf(reason, size, "needs vendor module %s; this host has %s", need->name,
			 host.vendor);
		return strcmp(host.vendor, need->name) == 0;
	case NEED_KERNEL:
		snprintf(reason, size, "needs Linux %s or later; this host has %s", need->name,
			 host.kernel);
		return host_compare_kernel(need->name) >= 0;
	case NEED_CPUS:
		cpus = sysconf(_SC_NPROCESSORS_ONLN);
		snprintf(reason, size, "needs %d %s; this host has %ld", need->value, need->name,
			 cpus);
		return cpus >= need->value;
	}
	return false;
}

static void note_capability(const struct need *need)
{
	if (need->kind == NEED_CAP || need->kind == NEED_CAP_BITS ||
	    need->kind == NEED_CAP_AT_LEAST)
		evidence_cap(need->cap, CAP_NEEDED);
}

void case_run(const struct kvm_case *c, const struct guest_image *guest)
{
	char reason[256];

	signal(CASE_OVERDUE, on_overdue);
	for (size_t i = 0; i < NEEDS_MAX; i++)
		if (!need_is_met(&c->needs[i], reason, sizeof reason))
			case_end(VERDICT_SKIP, c->file, c->line, "%s", reason);
	for (size_t i = 0; i < NEEDS_MAX; i++)
		note_capability(&c->needs[i]);
	c->run(guest);
	pthread_mutex_lock(&the_end); /* a thread that fails just now must not be overtaken */
	if (gdb_when)
		gdb_end();
	set_verdict(VERDICT_PASS);
}
