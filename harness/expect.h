/* SPDX-License-Identifier: MIT */
/*
 * Assertions. Each ends the case at the first thing that is not as expected, with what was expected,
 * what came back, and the vCPU's state.
 *
 * Where fields are given by name, those that are not named may have any value:
 *
 *	expect_regs(vcpu, .rax = 42, .rip = guest_symbol(vcpu, "done"));
 */
#ifndef KVMSPEC_EXPECT_H
#define KVMSPEC_EXPECT_H

#include "case.h"
#include "fields.h"
#include "vm.h"

#include <limits.h>

#define HERE __FILE__, __LINE__

/* True, or the case fails; says what in the words that follow. */
#define expect(condition, ...)                                                                     \
	do {                                                                                       \
		note_asserted(#condition);                                                         \
		if (!(condition))                                                                  \
			case_fail(NULL, HERE, #condition, __VA_ARGS__);                            \
	} while (0)

/* Both are numbers; prints them in decimal and hex. */
#define expect_equal(actual, wanted)                                                               \
	(note_asserted(#actual " " #wanted),                                                       \
	 expect_equal_(HERE, #actual, (unsigned long long)(actual), (unsigned long long)(wanted)))
void expect_equal_(const char *file, int line, const char *what, unsigned long long got,
		   unsigned long long want);

/* The ioctl fails with this errno: expect_errno(EINVAL, vcpu, KVM_SET_SIGNAL_MASK, &mask). */
/* clang-format off */
#define expect_errno(err, object, name, ...) \
	expect_errno_(HERE, #name, \
		      kvm_ioctl(&(object)->kvm_fd, INDEX_##name, \
				IOCTL_ARG(object, #name, KINDS_##name, arg_##name, __VA_ARGS__)), \
		      (err))
/* clang-format on */
void expect_errno_(const char *file, int line, const char *what, int result, int want);

/*
 * KVM_CHECK_EXTENSION on this object, /dev/kvm or a VM, answers with a number from least to most that
 * has these bits. The capability counts as checked (evidence.h).
 *
 *	expect_answer(vm, ANSWERS(KVM_CAP_SYNC_REGS, 7));
 */
struct answer {
	const char *name;
	int cap, least, most, bits;
};
/* clang-format off */
#define ANSWERS(c, n) { .name = #c, .cap = (c), .least = (n), .most = (n) }
#define ANSWERS_AT_LEAST(c, n) { .name = #c, .cap = (c), .least = (n), .most = INT_MAX }
#define ANSWERS_BITS(c, b) { .name = #c, .cap = (c), .most = INT_MAX, .bits = (b) }
/* clang-format on */
#define expect_answer(object, ...)                                                                 \
	expect_answer_(HERE, &(object)->kvm_fd, (struct answer)__VA_ARGS__)
void expect_answer_(const char *file, int line, const struct kvm_fd *fd, struct answer want);

/* Runs the vCPU once; KVM_RUN fails with this errno. */
#define expect_run_errno(vcpu, err) expect_run_errno_(HERE, (vcpu), (err))
void expect_run_errno_(const char *file, int line, struct vcpu *vcpu, int want);

/* Runs the vCPU once; KVM_RUN returns 0 with this exit reason. */
#define expect_run_exit(vcpu, reason) expect_run_exit_(HERE, (vcpu), (reason))
void expect_run_exit_(const char *file, int line, struct vcpu *vcpu, uint32_t reason);

/* The vCPU's last exit had this reason (no run). */
#define expect_exit_reason(vcpu, reason) expect_exit_reason_(HERE, (vcpu), (reason))
void expect_exit_reason_(const char *file, int line, struct vcpu *vcpu, uint32_t reason);

/*
 * One port access: KVM_EXIT_IO. value holds up to 8 bytes of data, little-endian; it is compared
 * with what the guest wrote and ignored for a read.
 */
struct io_exit {
	uint8_t direction; /* KVM_EXIT_IO_IN or KVM_EXIT_IO_OUT */
	uint8_t size;      /* bytes: 1, 2 or 4 */
	uint16_t port;
	uint32_t count;
	uint64_t value;
};
/* Runs the vCPU once; it exits with this port access. Fields not named are not compared. */
#define expect_run_io(vcpu, ...)                                                                   \
	({                                                                                         \
		expect_run_exit(vcpu, KVM_EXIT_IO);                                                \
		note_io_asserted(#__VA_ARGS__);                                                    \
		struct io_exit got_ = io_exit_of(vcpu);                                            \
		expect_io_(HERE, (vcpu), got_,                                                     \
			   (struct io_exit){ .direction = got_.direction,                          \
					     .size = got_.size,                                    \
					     .port = got_.port,                                    \
					     .count = got_.count,                                  \
					     .value = got_.value,                                  \
					     __VA_ARGS__ });                                       \
	})
struct io_exit io_exit_of(struct vcpu *vcpu);
static inline __attribute__((always_inline)) void note_io_asserted(const char *named)
{
	note_asserted_if(FIELD_io_direction, ".direction = ", named);
	note_asserted_if(FIELD_io_size, ".size = ", named);
	note_asserted_if(FIELD_io_port, ".port = ", named);
	note_asserted_if(FIELD_io_count, ".count = ", named);
	note_asserted_if(FIELD_io_data, ".value = ", named);
}
void expect_io_(const char *file, int line, struct vcpu *vcpu, struct io_exit got,
		struct io_exit want);

/* Runs the vCPU until it has written all of text to the port, one byte an exit. */
#define expect_run_text(vcpu, port, text) expect_run_text_(HERE, (vcpu), (port), (text))
void expect_run_text_(const char *file, int line, struct vcpu *vcpu, uint16_t port,
		      const char *text);

/* One memory access that no slot backs: KVM_EXIT_MMIO. value: as in struct io_exit. */
struct mmio_exit {
	uint64_t phys_addr;
	uint32_t len; /* bytes */
	uint8_t is_write;
	uint64_t value;
};
#define expect_run_mmio(vcpu, ...)                                                                 \
	({                                                                                         \
		expect_run_exit(vcpu, KVM_EXIT_MMIO);                                              \
		note_mmio_asserted(#__VA_ARGS__);                                                  \
		struct mmio_exit got_ = mmio_exit_of(vcpu);                                        \
		expect_mmio_(HERE, (vcpu), got_,                                                   \
			     (struct mmio_exit){ .phys_addr = got_.phys_addr,                      \
						 .len = got_.len,                                  \
						 .is_write = got_.is_write,                        \
						 .value = got_.value,                              \
						 __VA_ARGS__ });                                   \
	})
struct mmio_exit mmio_exit_of(struct vcpu *vcpu);
static inline __attribute__((always_inline)) void note_mmio_asserted(const char *named)
{
	note_asserted_if(FIELD_mmio_phys_addr, ".phys_addr = ", named);
	note_asserted_if(FIELD_mmio_len, ".len = ", named);
	note_asserted_if(FIELD_mmio_is_write, ".is_write = ", named);
	note_asserted_if(FIELD_mmio_data, ".value = ", named);
}
void expect_mmio_(const char *file, int line, struct vcpu *vcpu, struct mmio_exit got,
		  struct mmio_exit want);

/* General registers, by the names of struct kvm_regs. */
#define expect_regs(vcpu, ...)                                                                     \
	({                                                                                         \
		struct kvm_regs got_ = vcpu_regs(vcpu);                                            \
		expect_regs_(HERE, (vcpu), got_, (struct kvm_regs){ REGS_AS(got_), __VA_ARGS__ }); \
	})
#define REGS_AS(r)                                                                                 \
	.rax = (r).rax, .rbx = (r).rbx, .rcx = (r).rcx, .rdx = (r).rdx, .rsi = (r).rsi,            \
	.rdi = (r).rdi, .rsp = (r).rsp, .rbp = (r).rbp, .r8 = (r).r8, .r9 = (r).r9,                \
	.r10 = (r).r10, .r11 = (r).r11, .r12 = (r).r12, .r13 = (r).r13, .r14 = (r).r14,            \
	.r15 = (r).r15, .rip = (r).rip, .rflags = (r).rflags
void expect_regs_(const char *file, int line, struct vcpu *vcpu, struct kvm_regs got,
		  struct kvm_regs want);

/* Control registers, by the names of struct kvm_sregs. */
#define expect_sregs(vcpu, ...)                                                                    \
	({                                                                                         \
		struct kvm_sregs got_ = vcpu_sregs(vcpu);                                          \
		expect_sregs_(HERE, (vcpu), got_,                                                  \
			      (struct kvm_sregs){ .cr0 = got_.cr0,                                 \
						  .cr2 = got_.cr2,                                 \
						  .cr3 = got_.cr3,                                 \
						  .cr4 = got_.cr4,                                 \
						  .cr8 = got_.cr8,                                 \
						  .efer = got_.efer,                               \
						  .apic_base = got_.apic_base,                     \
						  __VA_ARGS__ });                                  \
	})
void expect_sregs_(const char *file, int line, struct vcpu *vcpu, struct kvm_sregs got,
		   struct kvm_sregs want);

/* len bytes of guest RAM at gpa. */
#define expect_memory(vcpu, gpa, bytes, len)                                                       \
	(note_asserted(#bytes), expect_memory_(HERE, (vcpu), (gpa), (bytes), (len)))
void expect_memory_(const char *file, int line, struct vcpu *vcpu, uint64_t gpa, const void *want,
		    size_t len);

/* Runs the vCPU once; the guest reports this value through guests/guest.h's `report`. */
#define expect_run_report(vcpu, value_)                                                            \
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_OUT, .port = REPORT_PORT, .size = 4,          \
		      .count = 1, .value = (value_))
#define REPORT_PORT 0x4b0 /* as in guests/guest.h */

/*
 * Runs the vCPU; its next two exits say that this exception was raised at the label. The guest
 * includes guests/exception.h.
 */
#define expect_run_exception(vcpu, vector, label)                                                  \
	({                                                                                         \
		expect_run_report(vcpu, vector);                                                   \
		expect_run_report(vcpu, guest_symbol(vcpu, label));                                \
	})

#endif
