// SPDX-License-Identifier: MIT
#include "trace.h"

#include "names.h"
#include "runner/clock.h"
#include "vm.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

bool is_traced;

static int output;
static unsigned long long started_ns;
static pid_t first_thread; /* lines of others name theirs; 0: all do */
static unsigned vms;       /* made by the case: with more than one, objects show their descriptor */

/* A line is short enough to reach a pipe or a terminal in one piece. */
struct line {
	char text[2000];
	size_t used;
};

static void add(struct line *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *l, const char *format, ...)
{
	size_t room = sizeof l->text - 1 - l->used; /* for the newline */
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(l->text + l->used, room, format, args);
	va_end(args);
	if (n > 0)
		l->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void put(struct line *l)
{
	ssize_t n;

	l->text[l->used++] = '\n';
	do
		n = write(output, l->text, l->used);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		is_traced = false; /* nobody reads it any more */
}

/* What the arguments look like. */

enum format { HEX, DECIMAL, CAPABILITY };

struct field {
	const char *name;
	unsigned short offset;
	unsigned char size; /* bytes */
	unsigned char format;
};

struct shape {
	size_t size; /* bytes at the argument's address; 0: the argument is the value */
	const struct field *fields;
	size_t count;
	bool sparse;                                                      /* only what is not 0 */
	void (*rest)(struct line *l, const void *head, const char *tail); /* of variable length */
};

static const char *capability_name(uint64_t number)
{
	static const struct {
		unsigned number;
		const char *name;
	} names[] = {
#define CAPABILITY(name) { name, #name },
#include "capabilities.inc"
#undef CAPABILITY
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

static void append_value(struct line *l, uint64_t value, enum format format)
{
	const char *name = format == CAPABILITY ? capability_name(value) : NULL;

	if (name)
		add(l, "%s", name);
	else
		add(l, format == HEX ? "%#llx" : "%llu", (unsigned long long)value);
}

static void append_fields(struct line *l, const struct shape *s, const char *object)
{
	const char *space = "";

	for (const struct field *f = s->fields; f < s->fields + s->count; f++) {
		uint64_t value = 0;

		memcpy(&value, object + f->offset, f->size); /* little-endian */
		if (s->sparse && !value)
			continue;
		add(l, "%s%s=", space, f->name);
		append_value(l, value, f->format);
		space = " ";
	}
}

/* Copies memory of this process that may not be there: cases pass bad addresses on purpose. */
static bool copy(void *to, const void *from, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)(uintptr_t)from, size };

	return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)size;
}

#define ENTRIES_SHOWN 8

static void append_msrs(struct line *l, const void *head, const char *tail)
{
	unsigned count = ((const struct kvm_msrs *)head)->nmsrs;
	struct kvm_msr_entry entry;

	for (unsigned i = 0; i < count; i++, tail += sizeof entry) {
		if (i == ENTRIES_SHOWN || !copy(&entry, tail, sizeof entry)) {
			add(l, " …");
			return;
		}
		add(l, " %#x=%#llx", entry.index, entry.data);
	}
}

static void append_signal(struct line *l, int sig)
{
	const char *name = sigabbrev_np(sig);

	if (name)
		add(l, " %s", name);
	else
		add(l, " %d", sig);
}

static void append_signals(struct line *l, const void *head, const char *tail)
{
	uint64_t bits; /* bit n: signal n + 1 */

	if (((const struct kvm_signal_mask *)head)->len != sizeof bits ||
	    !copy(&bits, tail, sizeof bits))
		return;
	add(l, " blocked:");
	for (int sig = 1; sig <= 64; sig++)
		if (bits >> (sig - 1) & 1)
			append_signal(l, sig);
}

/* X: in hex; D: in decimal. */
#define FIELD(type, member, format)                                                                \
	{                                                                                          \
#member, offsetof(struct type, member), sizeof(((struct type *)0)->member), format \
	}
#define X(type, member) FIELD(type, member, HEX)
#define D(type, member) FIELD(type, member, DECIMAL)

static const struct field regs[] = {
	X(kvm_regs, rip), X(kvm_regs, rsp), X(kvm_regs, rflags), X(kvm_regs, rax), X(kvm_regs, rbx),
	X(kvm_regs, rcx), X(kvm_regs, rdx), X(kvm_regs, rsi),    X(kvm_regs, rdi), X(kvm_regs, rbp),
	X(kvm_regs, r8),  X(kvm_regs, r9),  X(kvm_regs, r10),    X(kvm_regs, r11), X(kvm_regs, r12),
	X(kvm_regs, r13), X(kvm_regs, r14), X(kvm_regs, r15),
};
static const struct field sregs[] = {
	X(kvm_sregs, cr0),         X(kvm_sregs, cr2),         X(kvm_sregs, cr3),
	X(kvm_sregs, cr4),         X(kvm_sregs, cr8),         X(kvm_sregs, efer),
	X(kvm_sregs, apic_base),   X(kvm_sregs, cs.selector), X(kvm_sregs, cs.base),
	D(kvm_sregs, cs.db),       D(kvm_sregs, cs.l),        X(kvm_sregs, ds.selector),
	X(kvm_sregs, ds.base),     X(kvm_sregs, ss.selector), X(kvm_sregs, ss.base),
	X(kvm_sregs, tr.selector), X(kvm_sregs, gdt.base),    X(kvm_sregs, gdt.limit),
	X(kvm_sregs, idt.base),    X(kvm_sregs, idt.limit),
};
static const struct field memory_region[] = {
	D(kvm_userspace_memory_region, slot),
	X(kvm_userspace_memory_region, flags),
	X(kvm_userspace_memory_region, guest_phys_addr),
	X(kvm_userspace_memory_region, memory_size),
	X(kvm_userspace_memory_region, userspace_addr),
};
static const struct field enable_cap[] = {
	FIELD(kvm_enable_cap, cap, CAPABILITY),
	X(kvm_enable_cap, flags),
	X(kvm_enable_cap, args[0]),
	X(kvm_enable_cap, args[1]),
	X(kvm_enable_cap, args[2]),
	X(kvm_enable_cap, args[3]),
};
static const struct field translation[] = {
	X(kvm_translation, linear_address),
	X(kvm_translation, physical_address),
	D(kvm_translation, valid),
	D(kvm_translation, writeable),
};
static const struct field debugregs[] = {
	X(kvm_debugregs, db[0]), X(kvm_debugregs, db[1]), X(kvm_debugregs, db[2]),
	X(kvm_debugregs, db[3]), X(kvm_debugregs, dr6),   X(kvm_debugregs, dr7),
};
static const struct field guest_debug[] = {
	X(kvm_guest_debug, control),          X(kvm_guest_debug, arch.debugreg[0]),
	X(kvm_guest_debug, arch.debugreg[1]), X(kvm_guest_debug, arch.debugreg[2]),
	X(kvm_guest_debug, arch.debugreg[3]), X(kvm_guest_debug, arch.debugreg[7]),
};
static const struct field vcpu_events[] = {
	D(kvm_vcpu_events, exception.injected),
	D(kvm_vcpu_events, exception.pending),
	D(kvm_vcpu_events, exception.nr),
	D(kvm_vcpu_events, exception.has_error_code),
	X(kvm_vcpu_events, exception.error_code),
	D(kvm_vcpu_events, interrupt.injected),
	D(kvm_vcpu_events, interrupt.nr),
	D(kvm_vcpu_events, interrupt.shadow),
	D(kvm_vcpu_events, nmi.injected),
	D(kvm_vcpu_events, nmi.pending),
	D(kvm_vcpu_events, nmi.masked),
	X(kvm_vcpu_events, sipi_vector),
	X(kvm_vcpu_events, flags),
	D(kvm_vcpu_events, smi.smm),
	D(kvm_vcpu_events, smi.pending),
};
static const struct field irq_level[] = { D(kvm_irq_level, irq), D(kvm_irq_level, level) };
static const struct field interrupt[] = { D(kvm_interrupt, irq) };
static const struct field mp_state[] = { D(kvm_mp_state, mp_state) };
static const struct field cpuid[] = { D(kvm_cpuid, nent) };
static const struct field cpuid2[] = { D(kvm_cpuid2, nent) };
static const struct field msr_list[] = { D(kvm_msr_list, nmsrs) };
static const struct field msrs[] = { D(kvm_msrs, nmsrs) };
static const struct field signal_mask[] = { D(kvm_signal_mask, len) };
static const struct field xcrs[] = { D(kvm_xcrs, nr_xcrs), X(kvm_xcrs, xcrs[0].value) };
static const struct field dirty_log[] = { D(kvm_dirty_log, slot) };
static const struct field capability[] = { { "", 0, sizeof(unsigned long), CAPABILITY } };

#define SHAPE(type, list, ...)                                                                     \
	{                                                                                          \
		.size = sizeof(struct type), .fields = list,                                       \
		.count = sizeof(list) / sizeof *(list), __VA_ARGS__                                \
	}

/* Others show their argument as it is: a number, or an address. */
static const struct shape shapes[IOCTL_COUNT] = {
	[INDEX_KVM_GET_REGS] = SHAPE(kvm_regs, regs, .sparse = true),
	[INDEX_KVM_SET_REGS] = SHAPE(kvm_regs, regs, .sparse = true),
	[INDEX_KVM_GET_SREGS] = SHAPE(kvm_sregs, sregs, .sparse = true),
	[INDEX_KVM_SET_SREGS] = SHAPE(kvm_sregs, sregs, .sparse = true),
	[INDEX_KVM_SET_USER_MEMORY_REGION] = SHAPE(kvm_userspace_memory_region, memory_region),
	[INDEX_KVM_ENABLE_CAP] = SHAPE(kvm_enable_cap, enable_cap, .sparse = true),
	[INDEX_KVM_TRANSLATE] = SHAPE(kvm_translation, translation),
	[INDEX_KVM_GET_DEBUGREGS] = SHAPE(kvm_debugregs, debugregs, .sparse = true),
	[INDEX_KVM_SET_DEBUGREGS] = SHAPE(kvm_debugregs, debugregs, .sparse = true),
	[INDEX_KVM_SET_GUEST_DEBUG] = SHAPE(kvm_guest_debug, guest_debug, .sparse = true),
	[INDEX_KVM_GET_VCPU_EVENTS] = SHAPE(kvm_vcpu_events, vcpu_events, .sparse = true),
	[INDEX_KVM_SET_VCPU_EVENTS] = SHAPE(kvm_vcpu_events, vcpu_events, .sparse = true),
	[INDEX_KVM_IRQ_LINE] = SHAPE(kvm_irq_level, irq_level),
	[INDEX_KVM_INTERRUPT] = SHAPE(kvm_interrupt, interrupt),
	[INDEX_KVM_GET_MP_STATE] = SHAPE(kvm_mp_state, mp_state),
	[INDEX_KVM_SET_MP_STATE] = SHAPE(kvm_mp_state, mp_state),
	[INDEX_KVM_GET_SUPPORTED_CPUID] = SHAPE(kvm_cpuid2, cpuid2),
	[INDEX_KVM_GET_EMULATED_CPUID] = SHAPE(kvm_cpuid2, cpuid2),
	[INDEX_KVM_SET_CPUID] = SHAPE(kvm_cpuid, cpuid),
	[INDEX_KVM_SET_CPUID2] = SHAPE(kvm_cpuid2, cpuid2),
	[INDEX_KVM_GET_CPUID2] = SHAPE(kvm_cpuid2, cpuid2),
	[INDEX_KVM_GET_MSR_INDEX_LIST] = SHAPE(kvm_msr_list, msr_list),
	[INDEX_KVM_GET_MSR_FEATURE_INDEX_LIST] = SHAPE(kvm_msr_list, msr_list),
	[INDEX_KVM_GET_MSRS] = SHAPE(kvm_msrs, msrs, .rest = append_msrs),
	[INDEX_KVM_SET_MSRS] = SHAPE(kvm_msrs, msrs, .rest = append_msrs),
	[INDEX_KVM_SET_SIGNAL_MASK] = SHAPE(kvm_signal_mask, signal_mask, .rest = append_signals),
	[INDEX_KVM_GET_XCRS] = SHAPE(kvm_xcrs, xcrs),
	[INDEX_KVM_SET_XCRS] = SHAPE(kvm_xcrs, xcrs),
	[INDEX_KVM_GET_DIRTY_LOG] = SHAPE(kvm_dirty_log, dirty_log),
	[INDEX_KVM_CHECK_EXTENSION] = { .fields = capability, .count = 1 },
};

static void append_argument(struct line *l, enum ioctl_index which, unsigned long arg)
{
	const struct shape *s = &shapes[which];
	char object[1024];

	_Static_assert(sizeof(struct kvm_sregs) <= sizeof object &&
			       sizeof(struct kvm_xcrs) <= sizeof object,
		       "the largest");
	if (s->fields && !s->size) {
		append_value(l, arg, s->fields->format);
	} else if (!s->fields || !copy(object, (const void *)arg, s->size)) {
		add(l, arg < 10 ? "%lu" : "%#lx", arg);
	} else {
		add(l, "{");
		append_fields(l, s, object);
		if (s->rest)
			s->rest(l, object, (const char *)arg + s->size);
		add(l, "}");
	}
}

/* Which object a descriptor stands for is what the kernel calls it in /proc/self/fd. */
static void append_object(struct line *l, int fd)
{
	char path[32], name[64];
	ssize_t n;
	int id;

	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	n = readlink(path, name, sizeof name - 1);
	name[n < 0 ? 0 : n] = '\0';
	if (name[0] == '/') {
		add(l, "kvm ");
		return;
	}
	if (strcmp(name, "anon_inode:kvm-vm") == 0)
		add(l, "vm");
	else if (sscanf(name, "anon_inode:kvm-vcpu:%d", &id) == 1)
		add(l, "vcpu%d", id);
	else
		add(l, "fd %d", fd);
	add(l, vms > 1 ? "@%d " : " ", fd);
}

static void append_exit(struct line *l, const struct vcpu *vcpu, int result)
{
	struct exit_event event;
	struct kvm_regs now;
	char text[1024];

	if (result == 0 && vcpu->run) {
		exit_event_of(vcpu, result, &event);
		add(l, " %s", describe_exit(&event, text, sizeof text));
	}
	/* not kvm_ioctl(): it is not the case's */
	if (!vcpu->vm || !vcpu->vm->image || ioctl(vcpu->kvm_fd.fd, KVM_GET_REGS, &now) < 0)
		return;
	guest_describe_address(vcpu->vm->image, now.rip, text, sizeof text);
	if (*text)
		add(l, " at %s", text);
	else
		add(l, " at %#llx", now.rip);
}

static void begin_line(struct line *l)
{
	l->used = 0;
	add(l, "[%9.6f] ", (now_ns() - started_ns) / 1e9);
	if (gettid() != first_thread)
		add(l, "tid %d ", gettid());
}

void trace_begin(int fd, const char *id, bool several)
{
	struct line l;

	output = fd;
	started_ns = now_ns();
	signal(SIGPIPE, SIG_IGN); /* a reader that leaves must not kill the case */
	first_thread = several ? 0 : gettid();
	is_traced = true;
	begin_line(&l);
	add(&l, "case %s", id);
	put(&l);
}

void trace_ioctl(const struct kvm_fd *fd, enum ioctl_index which, unsigned long arg, int result)
{
	int saved = errno;
	struct line l;

	if (which == INDEX_KVM_CREATE_VM && result >= 0)
		__atomic_fetch_add(&vms, 1, __ATOMIC_RELAXED);
	begin_line(&l);
	append_object(&l, fd->fd);
	add(&l, "%s", ioctl_table[which].name);
	if (which != INDEX_KVM_RUN) {
		add(&l, "(");
		append_argument(&l, which, arg);
		add(&l, ")");
	}
	if (result < 0)
		add(&l, " = -%s", errno_name(-result));
	else
		add(&l, " = %d", result);
	if (which == INDEX_KVM_RUN) /* of a struct vcpu always: x() checks that */
		append_exit(&l, (const struct vcpu *)(const void *)fd, result);
	put(&l);
	errno = saved;
}
