// SPDX-License-Identifier: MIT
#include "bad_input.h"

#include "evidence.h"
#include "names.h"
#include "vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

GUEST(real16, count_on);

#define SMI_ENTRY 0x38000 /* SMBASE after reset, plus 0x8000: AMD APM Vol. 2, 10.2 */
#define RSM_SIZE  2

/* The argument lies at the end of this, before memory that cannot be read. */
#define ROOM 0x4000

static const char *const kind_names[] = {
	[SYSTEM] = "/dev/kvm",
	[VM] = "a VM",
	[VCPU] = "a vCPU",
	[DEVICE] = "a device",
};

const char all_zeros[0x1000];

struct stage {
	unsigned scene;
	struct vm *vm;
	struct vcpu *vcpu;
	struct kvm_fd device;
	char *room;
};

static void open_descriptors(void)
{
	int event = eventfd(0, EFD_CLOEXEC), file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (dup2(event, EVENT_FD) < 0 || dup2(file, FILE_FD) < 0)
		error("cannot open an eventfd and /dev/null: %s", strerror(errno));
}

static char *make_room(void)
{
	char *room =
		mmap(NULL, 2 * ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (room == MAP_FAILED || mprotect(room + ROOM, ROOM, PROT_NONE) < 0)
		error("cannot map %d bytes: %s", 2 * ROOM, strerror(errno));
	return room;
}

/* Whatever event a row has left behind, the guest goes on counting. */
static void prepare_for_events(struct vcpu *vcpu)
{
	unsigned char *ram = vcpu->vm->ram;
	uint32_t ignore = guest_symbol(vcpu, "ignore_event");

	for (unsigned vector = 0; vector < 256; vector++)
		memcpy(ram + 4 * vector, &ignore, sizeof ignore);
	memcpy(ram + SMI_ENTRY, ram + guest_symbol(vcpu, "resume"), RSM_SIZE);
}

static void add_vcpu(struct stage *s)
{
	s->vcpu = vcpu_create(s->vm, 0);
	if (s->scene & CPUID)
		x(s->vcpu, KVM_SET_CPUID2, host.cpuid);
	vcpu_enter(s->vcpu, count_on->mode, s->vm->entry);
	prepare_for_events(s->vcpu);
}

/* System management mode has an address space of its own: api.rst, KVM_SET_USER_MEMORY_REGION. */
static void add_smram(struct vm *vm)
{
	x(vm, KVM_SET_USER_MEMORY_REGION,
	  &(struct kvm_userspace_memory_region){
		  .slot = 1 << 16 | RAM_SLOT,
		  .memory_size = RAM_SIZE,
		  .userspace_addr = (uintptr_t)vm->ram,
	  });
}

static void set_up(struct stage *s, unsigned scene)
{
	s->scene = scene;
	s->vm = vm_create();
	s->vcpu = NULL;
	s->device = (struct kvm_fd){ .fd = -1, .kind = FD_DEVICE };
	if (scene & IRQCHIP)
		x(s->vm, KVM_CREATE_IRQCHIP);
	if (scene & SPLIT_IRQCHIP)
		enable_cap(s->vm, KVM_CAP_SPLIT_IRQCHIP, 24);
	if (scene & PIT)
		x(s->vm, KVM_CREATE_PIT2, &(struct kvm_pit_config){ .flags = 0 });
	vm_add_ram(s->vm);
	if (scene & SMRAM)
		add_smram(s->vm);
	vm_load(s->vm, count_on);
	if (!(scene & NO_VCPU))
		add_vcpu(s);
}

/* "KVM_IRQFD on a VM with an unknown flag" */
static const char *describe_row(const struct bad_input *row, char *buf, size_t size)
{
	static const struct bit_name names[] = {
		{ IRQCHIP, "an in-kernel irqchip" },
		{ SPLIT_IRQCHIP, "a split irqchip" },
		{ PIT, "a PIT" },
		{ NO_VCPU, "no vCPU" },
		{ 0 },
	};
	const char *join = " that has ";

	snprintf(buf, size, "%s on %s", ioctl_table[row->which].name,
		 kind_names[row->scene & (SYSTEM | VM | VCPU | DEVICE)]);
	for (const struct bit_name *n = names; n->mask; n++)
		if (row->scene & n->mask) {
			append(buf, size, "%s%s", join, n->name);
			join = " and ";
		}
	append(buf, size, ", with %s,", row->what);
	return buf;
}

static void run_guest(struct stage *s, const char *file, int line, const struct bad_input *last)
{
	char expected[512], text[512], got[1024];
	struct exit_event event;
	uint32_t count;
	int result;

	if (!s->vcpu)
		add_vcpu(s);
	count = vcpu_regs(s->vcpu).rbx;
	result = vcpu_run(s->vcpu);
	exit_event_of(s->vcpu, result, &event);
	if (result == 0 && event.exit_reason == KVM_EXIT_IO &&
	    io_exit_of(s->vcpu).value == count + 1)
		return;
	snprintf(expected, sizeof expected, "after %s the guest reports 0x%x",
		 describe_row(last, text, sizeof text), count + 1);
	case_fail(s->vcpu, file, line, expected, "%s", describe_exit(&event, got, sizeof got));
}

static bool has_device(struct stage *s)
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	if (s->device.fd >= 0)
		return true;
	if (x_try(s->vm, KVM_CREATE_DEVICE, &device) < 0)
		return false;
	s->device.fd = device.fd;
	return true;
}

static const struct kvm_fd *descriptor(struct stage *s, unsigned scene)
{
	if (scene & SYSTEM)
		return &host.kvm.kvm_fd;
	if (scene & VM)
		return &s->vm->kvm_fd;
	return scene & VCPU ? &s->vcpu->kvm_fd : &s->device;
}

static void *put_argument(char *room, const struct bad_input *row)
{
	char *rest = room + ROOM - row->rest_size, *start = rest - row->size;

	memcpy(start, row->argument, row->size);
	if (row->rest)
		memcpy(rest, row->rest, row->rest_size);
	else
		memset(rest, 0, row->rest_size);
	return start;
}

static int issue(struct stage *s, const struct bad_input *row)
{
	unsigned long arg = row->value;
	int result;

	if (row->argument && ioctl_table[row->which].takes_number) {
		memcpy(&arg, row->argument, sizeof arg);
	} else if (row->argument) {
		arg = (uintptr_t)put_argument(s->room, row);
	}
	if (row->source && kvm_ioctl(descriptor(s, row->scene), row->source, arg) < 0)
		error("%s fails: %s", ioctl_table[row->source].name, strerror(errno));
	if (row->scene & READ_ONLY)
		mprotect(s->room, ROOM, PROT_READ);
	result = kvm_ioctl(descriptor(s, row->scene), row->which, arg);
	if (row->scene & READ_ONLY)
		mprotect(s->room, ROOM, PROT_READ | PROT_WRITE);
	return result;
}

/* Bytes up to the last that is not 0. */
static void append_bytes(const void *data, size_t size, char *buf, size_t room)
{
	const unsigned char *bytes = data;
	size_t len = size, used;

	while (len > 1 && !bytes[len - 1])
		len--;
	append(buf, room, "%zu bytes: ", size);
	used = strlen(buf);
	describe_bytes(bytes, len, buf + used, room - used);
	if (len < size)
		append(buf, room, " and zeros");
}

/* What was passed: a number, an address, or bytes. */
static const char *describe_argument(const struct bad_input *row, char *buf, size_t size)
{
	buf[0] = '\0';
	if (!row->argument) {
		append(buf, size, "0x%lx", row->value);
	} else if (ioctl_table[row->which].takes_number) {
		append(buf, size, "0x%lx", *(const unsigned long *)row->argument);
	} else {
		append_bytes(row->argument, row->size, buf, size);
		if (row->rest) {
			append(buf, size, ", then ");
			append_bytes(row->rest, row->rest_size, buf, size);
		}
	}
	return buf;
}

static void judge(const char *file, int line, const struct bad_input *row, int result)
{
	char expected[600], text[512], argument[1024];

	if (row->err ? result == -row->err : result >= 0)
		return;
	snprintf(expected, sizeof expected, "%s %s%s", describe_row(row, text, sizeof text),
		 row->err ? "fails with " : "succeeds", row->err ? errno_name(row->err) : "");
	describe_argument(row, argument, sizeof argument);
	if (result >= 0)
		case_fail(NULL, file, line, expected, "it succeeds and returns %d, given %s",
			  result, argument);
	case_fail(NULL, file, line, expected, "it fails with %s (%s), given %s",
		  errno_name(-result), strerror(-result), argument);
}

/* Rows with the same of this share a VM. */
#define SHARED (IRQCHIP | SPLIT_IRQCHIP | PIT | NO_VCPU | CPUID | SMRAM | NEVER_RAN)

static bool fits(const struct stage *s, const struct bad_input *row)
{
	return s->vm && s->scene == (row->scene & SHARED) && !(s->scene & NEVER_RAN);
}

void expect_bad_input_(const char *file, int line, const struct bad_input *rows, size_t count)
{
	struct stage stage = { .room = make_room() };
	const struct bad_input *last = NULL;
	char reason[256] = "";

	open_descriptors();
	for (const struct bad_input *row = rows; row < rows + count; row++) {
		if (!need_is_met(&row->need, reason, sizeof reason))
			continue;
		if (!fits(&stage, row)) {
			if (last && !stage.vcpu) /* with a vCPU it has run after each row */
				run_guest(&stage, file, line, last);
			set_up(&stage, row->scene & SHARED);
		}
		if (row->scene & DEVICE && !has_device(&stage)) {
			snprintf(reason, sizeof reason,
				 "needs a device of KVM's; this kernel has none");
			continue;
		}
		judge(file, line, row, issue(&stage, row));
		last = row;
		if (stage.vcpu)
			run_guest(&stage, file, line, last);
	}
	if (!last)
		case_end(VERDICT_SKIP, file, line, "%s", reason);
	if (!stage.vcpu)
		run_guest(&stage, file, line, last);
}
