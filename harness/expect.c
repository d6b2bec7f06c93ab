// SPDX-License-Identifier: MIT
#include "expect.h"

#include "evidence.h"
#include "names.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

void expect_equal_(const char *file, int line, const char *what, unsigned long long got,
		   unsigned long long want)
{
	char expected[256];

	if (got == want)
		return;
	snprintf(expected, sizeof expected, "%s is %llu (0x%llx)", what, want, want);
	case_fail(NULL, file, line, expected, "it is %llu (0x%llx)", got, got);
}

void expect_errno_(const char *file, int line, const char *what, int result, int want)
{
	char expected[96];

	if (result == -want)
		return;
	snprintf(expected, sizeof expected, "%s fails with %s", what, errno_name(want));
	if (result >= 0)
		case_fail(NULL, file, line, expected, "it succeeds and returns %d", result);
	case_fail(NULL, file, line, expected, "it fails with %s (%s)", errno_name(-result),
		  strerror(-result));
}

static void describe_answer(const struct answer *a, char *buf, size_t size)
{
	if (a->least == a->most)
		append(buf, size, "%d", a->least);
	else if (a->bits)
		append(buf, size, "a number with the bits %#x", a->bits);
	else
		append(buf, size, "%d or more", a->least);
}

void expect_answer_(const char *file, int line, const struct kvm_fd *fd, struct answer want)
{
	int got = kvm_ioctl_checked(fd, INDEX_KVM_CHECK_EXTENSION, want.cap, file, line);
	char expected[160];

	if (got < want.least || got > want.most || (got & want.bits) != want.bits) {
		snprintf(expected, sizeof expected, "KVM_CHECK_EXTENSION(%s) on %s answers ",
			 want.name, fd->kind == FD_SYSTEM ? "/dev/kvm" : "a VM");
		describe_answer(&want, expected, sizeof expected);
		case_fail(NULL, file, line, expected, "%d (%#x)", got, got);
	}
	evidence_cap(want.cap, CAP_CHECKED);
}

/* The vCPU's last exit, in words. Not from the evidence: other threads' exits are there, too. */
static const char *describe_last_exit(const struct vcpu *vcpu, char *buf, size_t size)
{
	struct exit_event event;

	exit_event_of(vcpu, vcpu->last.result, &event);
	return describe_exit(&event, buf, size);
}

void expect_run_errno_(const char *file, int line, struct vcpu *vcpu, int want)
{
	char expected[96], got[1024];

	if (vcpu_run(vcpu) == -want)
		return;
	snprintf(expected, sizeof expected, "KVM_RUN fails with %s", errno_name(want));
	case_fail(vcpu, file, line, expected, "%s", describe_last_exit(vcpu, got, sizeof got));
}

void expect_run_exit_(const char *file, int line, struct vcpu *vcpu, uint32_t reason)
{
	char got[1024];

	evidence_field(FIELD_exit_reason, FIELD_ASSERTED);
	if (vcpu_run(vcpu) != 0 || vcpu->run->exit_reason != reason)
		case_fail(vcpu, file, line, exit_name(reason), "%s",
			  describe_last_exit(vcpu, got, sizeof got));
}

void expect_exit_reason_(const char *file, int line, struct vcpu *vcpu, uint32_t reason)
{
	char expected[96];
	uint32_t got = vcpu->run->exit_reason;

	evidence_field(FIELD_exit_reason, FIELD_ASSERTED);
	if (got == reason)
		return;
	snprintf(expected, sizeof expected, "exit_reason is %s", exit_name(reason));
	case_fail(vcpu, file, line, expected, "it is %s", exit_name(got));
}

struct io_exit io_exit_of(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	size_t len = (size_t)run->io.size * run->io.count;
	struct io_exit io = {
		.direction = run->io.direction,
		.size = run->io.size,
		.port = run->io.port,
		.count = run->io.count,
	};

	if (io.direction == KVM_EXIT_IO_OUT)
		memcpy(&io.value, vcpu_io_data(vcpu), len < 8 ? len : 8);
	return io;
}

static const char *io_text(struct io_exit io, char *buf, size_t size)
{
	snprintf(buf, size, "KVM_EXIT_IO %s port 0x%x size %u count %u",
		 io.direction == KVM_EXIT_IO_OUT ? "out" : "in", io.port, io.size, io.count);
	if (io.direction == KVM_EXIT_IO_OUT)
		append(buf, size, " value 0x%llx", (unsigned long long)io.value);
	return buf;
}

void expect_io_(const char *file, int line, struct vcpu *vcpu, struct io_exit got,
		struct io_exit want)
{
	char e[128], g[128];

	if (got.direction == want.direction && got.size == want.size && got.port == want.port &&
	    got.count == want.count && got.value == want.value)
		return;
	case_fail(vcpu, file, line, io_text(want, e, sizeof e), "%s", io_text(got, g, sizeof g));
}

void expect_run_text_(const char *file, int line, struct vcpu *vcpu, uint16_t port,
		      const char *text)
{
	for (const char *c = text; *c; c++) {
		struct io_exit got;

		expect_run_exit_(file, line, vcpu, KVM_EXIT_IO);
		got = io_exit_of(vcpu);
		note_io_asserted(".direction = .size = .port = .count = .value = ");
		expect_io_(file, line, vcpu, got,
			   (struct io_exit){ .direction = KVM_EXIT_IO_OUT,
					     .size = 1,
					     .port = port,
					     .count = 1,
					     .value = (unsigned char)*c });
	}
}

struct mmio_exit mmio_exit_of(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	struct mmio_exit mmio = {
		.phys_addr = run->mmio.phys_addr,
		.len = run->mmio.len,
		.is_write = run->mmio.is_write,
	};

	if (mmio.is_write)
		memcpy(&mmio.value, run->mmio.data, mmio.len < 8 ? mmio.len : 8);
	return mmio;
}

static const char *mmio_text(struct mmio_exit mmio, char *buf, size_t size)
{
	snprintf(buf, size, "KVM_EXIT_MMIO %s gpa 0x%llx len %u", mmio.is_write ? "write" : "read",
		 (unsigned long long)mmio.phys_addr, mmio.len);
	if (mmio.is_write)
		append(buf, size, " value 0x%llx", (unsigned long long)mmio.value);
	return buf;
}

void expect_mmio_(const char *file, int line, struct vcpu *vcpu, struct mmio_exit got,
		  struct mmio_exit want)
{
	char e[128], g[128];

	if (got.phys_addr == want.phys_addr && got.len == want.len &&
	    got.is_write == want.is_write && got.value == want.value)
		return;
	case_fail(vcpu, file, line, mmio_text(want, e, sizeof e), "%s",
		  mmio_text(got, g, sizeof g));
}

/* One 64-bit register in a struct. */
struct field {
	const char *name;
	size_t offset;
};

static uint64_t field_of(const void *object, const struct field *f)
{
	uint64_t value;

	memcpy(&value, (const char *)object + f->offset, sizeof value);
	return value;
}

static void expect_fields(const char *file, int line, struct vcpu *vcpu, const struct field *fields,
			  size_t count, const void *got, const void *want)
{
	char expected[512] = "", actual[512] = "";

	for (size_t i = 0; i < count; i++) {
		uint64_t g = field_of(got, &fields[i]), w = field_of(want, &fields[i]);

		if (g == w)
			continue;
		append(expected, sizeof expected, "%s%s=0x%llx", *expected ? " " : "",
		       fields[i].name, (unsigned long long)w);
		append(actual, sizeof actual, "%s%s=0x%llx", *actual ? " " : "", fields[i].name,
		       (unsigned long long)g);
	}
	if (*expected)
		case_fail(vcpu, file, line, expected, "%s", actual);
}

#define REG(name)                                                                                  \
	{                                                                                          \
#name, offsetof(struct kvm_regs, name)                                             \
	}

void expect_regs_(const char *file, int line, struct vcpu *vcpu, struct kvm_regs got,
		  struct kvm_regs want)
{
	static const struct field fields[] = {
		REG(rax), REG(rbx), REG(rcx), REG(rdx), REG(rsi), REG(rdi),
		REG(rsp), REG(rbp), REG(r8),  REG(r9),  REG(r10), REG(r11),
		REG(r12), REG(r13), REG(r14), REG(r15), REG(rip), REG(rflags),
	};

	expect_fields(file, line, vcpu, fields, sizeof fields / sizeof *fields, &got, &want);
}

#define SREG(name)                                                                                 \
	{                                                                                          \
#name, offsetof(struct kvm_sregs, name)                                            \
	}

void expect_sregs_(const char *file, int line, struct vcpu *vcpu, struct kvm_sregs got,
		   struct kvm_sregs want)
{
	static const struct field fields[] = {
		SREG(cr0), SREG(cr2), SREG(cr3), SREG(cr4), SREG(cr8), SREG(efer), SREG(apic_base),
	};

	expect_fields(file, line, vcpu, fields, sizeof fields / sizeof *fields, &got, &want);
}

/* Keeps the difference, from the line of 16 bytes before the one with the first byte that differs. */
static void keep_difference(uint64_t gpa, const unsigned char *want, const unsigned char *got,
			    size_t len, size_t first)
{
	struct memory_difference *d = &evidence->memory;
	size_t in_line = (gpa + first) % 16, before = in_line + 16;
	size_t start = first > before ? first - before : 0;

	d->gpa = gpa + start;
	d->size = len - start < EVIDENCE_MEMORY ? len - start : EVIDENCE_MEMORY;
	memcpy(d->want, want + start, d->size);
	memcpy(d->got, got + start, d->size);
	for (size_t i = 0; i < len; i++)
		d->differing += want[i] != got[i];
}

void expect_memory_(const char *file, int line, struct vcpu *vcpu, uint64_t gpa, const void *want,
		    size_t len)
{
	const unsigned char *got = vcpu->vm->ram + gpa;
	char expected[256], g[192], w[192];
	size_t first = 0, shown;

	if (gpa > RAM_SIZE || len > RAM_SIZE - gpa)
		case_end(VERDICT_ERROR, file, line, "%zu bytes at GPA 0x%jx are not RAM", len,
			 (uintmax_t)gpa);
	if (memcmp(got, want, len) == 0)
		return;
	while (got[first] == ((const unsigned char *)want)[first])
		first++;
	keep_difference(gpa, want, got, len, first);
	shown = len - first < 32 ? len - first : 32;
	snprintf(expected, sizeof expected, "memory at GPA 0x%jx holds %s", (uintmax_t)gpa + first,
		 describe_bytes((const char *)want + first, shown, w, sizeof w));
	case_fail(vcpu, file, line, expected, "it holds %s",
		  describe_bytes(got + first, shown, g, sizeof g));
}
