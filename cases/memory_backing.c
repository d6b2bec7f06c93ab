// SPDX-License-Identifier: MIT
/*
 * What is behind a slot's memory, and what the guest sees when that changes: mappings that come and
 * go, files, userfaultfd, large pages; and faults that KVM cannot resolve. Documented in api.rst:
 * KVM_SET_USER_MEMORY_REGION, KVM_CAP_SYNC_MMU, KVM_EXIT_MEMORY_FAULT, KVM_PRE_FAULT_MEMORY.
 */
#include "kvmspec.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

GUEST_EACH_MODE(memory_access);
GUEST(long64, watch);

#define LONG64 memory_access[MODE_LONG64]

/* Puts another mapping where the memory was. */
static void map_at(void *place, size_t size, int protection, int flags, int fd)
{
	if (mmap(place, size, protection, flags | MAP_FIXED, fd, 0) != place)
		error("mmap: %s", strerror(errno));
}

static void map_anonymous(void *place, size_t size)
{
	map_at(place, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void protect(void *place, int protection)
{
	if (mprotect(place, PAGE, protection) != 0)
		error("mprotect: %s", strerror(errno));
}

/* Memory that goes away, and comes back. */

CASE(memory_backing, need_not_be_there_yet, .contract = "backing.later", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	unsigned char *memory = map_memory(PAGE);
	struct kvm_userspace_memory_region slot;

	munmap(memory, PAGE);
	slot = add_slot(vcpu->vm, .userspace_addr = (uintptr_t)memory);
	prepare_access(vcpu, "read", SLOT_GPA);
	expect_run_errno(vcpu, EFAULT);
	map_anonymous(memory, PAGE);
	*slot_word(&slot, 0) = 7;
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rsi = 7);
}

CASE(memory_backing, unmapped_memory_is_a_fault, .contract = "backing.unmapped",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 2 * PAGE);

	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	munmap(slot_page(&slot, 1), PAGE);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	prepare_access(vcpu, "write", SLOT_GPA + PAGE, .value = 9);
	expect_run_errno(vcpu, EFAULT);
	expect_regs(vcpu, .rip = guest_symbol(vcpu, "write"));
	expect_run_errno(vcpu, EFAULT);
	map_anonymous(slot_page(&slot, 1), PAGE);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(*slot_word(&slot, 1), 9);
}

/* Not by the guest's access, but by KVM's own, in an instruction that it emulates. */
CASE(memory_backing, emulated_access_to_unmapped_memory_is_mmio,
     .contract = "backing.unmapped.emulated", .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	munmap(slot_page(&slot, 0), PAGE);
	prepare_access(vcpu, "input", SLOT_GPA);
	expect_run_io(vcpu, .direction = KVM_EXIT_IO_IN, .size = 1);
	*vcpu_io_data(vcpu) = 0x5a;
	expect_run_mmio(vcpu, .phys_addr = SLOT_GPA, .len = 1, .is_write = 1, .value = 0x5a);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
}

/* What the guest may do follows from what userspace could. */
static const struct protection {
	const char *access; /* that faults */
	int protection;
} inaccessible[] = { { "write", PROT_READ }, { "add", PROT_READ }, { "read", PROT_NONE } };

CASE(memory_backing, protection_is_the_guests_too, .contract = "backing.protection",
     .each_mode = memory_access)
{
	for (size_t i = 0; i < sizeof inaccessible / sizeof *inaccessible; i++) {
		struct vcpu *vcpu = boot(guest);
		struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

		guest_writes(vcpu, SLOT_GPA, .value = 7);
		protect(slot_page(&slot, 0), inaccessible[i].protection);
		if (inaccessible[i].protection & PROT_READ)
			expect_guest_reads(vcpu, SLOT_GPA, 7);
		prepare_access(vcpu, inaccessible[i].access, SLOT_GPA, .value = 9);
		expect_run_errno(vcpu, EFAULT);
		protect(slot_page(&slot, 0), PROT_READ | PROT_WRITE);
		expect_equal(*slot_word(&slot, 0), 7);
		expect_run_exit(vcpu, KVM_EXIT_HLT);
	}
}

CASE(memory_backing, read_only_slot_needs_memory_to_read, .contract = "backing.protection.rom",
     .each_mode = memory_access, .needs = { CAP(KVM_CAP_READONLY_MEM) })
{
	struct vcpu *vcpu = boot(guest);
	unsigned char *memory = map_memory(PAGE);

	*(uint32_t *)(void *)memory = 7;
	protect(memory, PROT_READ);
	add_slot(vcpu->vm, .flags = KVM_MEM_READONLY, .userspace_addr = (uintptr_t)memory);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	prepare_access(vcpu, "write", SLOT_GPA, .value = 9);
	expect_run_mmio(vcpu, .phys_addr = SLOT_GPA, .len = 4, .is_write = 1, .value = 9);
}

CASE(memory_backing, fault_info_is_always_offered, .contract = "cap.memory_fault_info",
     .needs = { KERNEL(6, 8) })
{
	expect_answer(&host.kvm, ANSWERS(KVM_CAP_MEMORY_FAULT_INFO, 1));
	expect_answer(vm_create(), ANSWERS(KVM_CAP_MEMORY_FAULT_INFO, 1));
}

/* api.rst says that the page is named: it is for guest_memfd and private memory only (drift.md). */
CASE(memory_backing, fault_of_unmapped_memory_is_not_described, .contract = "backing.unmapped.exit",
     .each_mode = memory_access, .needs = { CAP(KVM_CAP_MEMORY_FAULT_INFO) })
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	guest_writes(vcpu, SLOT_GPA);
	munmap(slot_page(&slot, 0), PAGE);
	prepare_access(vcpu, "read", SLOT_GPA);
	expect_run_errno(vcpu, EFAULT);
	expect_exit_reason(vcpu, KVM_EXIT_UNKNOWN);
}

CASE(memory_backing, second_page_of_an_access_may_be_missing, .contract = "backing.unmapped.split",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 2 * PAGE);

	munmap(slot_page(&slot, 1), PAGE);
	prepare_access(vcpu, "write", SLOT_GPA + PAGE - 2, .value = 0x11223344);
	expect_run_errno(vcpu, EFAULT);
	map_anonymous(slot_page(&slot, 1), PAGE);
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_equal(slot_page(&slot, 0)[PAGE - 2], 0x44);
	expect_equal(slot_page(&slot, 0)[PAGE - 1], 0x33);
	expect_equal(slot_page(&slot, 1)[0], 0x22);
	expect_equal(slot_page(&slot, 1)[1], 0x11);
}

/* Other contents, without a change of the slot. */

CASE(memory_backing, other_mapping_is_seen_at_once, .contract = "backing.mmap",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);

	guest_writes(vcpu, SLOT_GPA, .value = 7);
	map_anonymous(slot_page(&slot, 0), PAGE);
	expect_guest_reads(vcpu, SLOT_GPA, 0);
	*slot_word(&slot, 0) = 8;
	expect_guest_reads(vcpu, SLOT_GPA, 8);
}

CASE(memory_backing, other_mapping_is_seen_by_a_running_vcpu, .contract = "backing.mmap")
{
	struct vcpu *vcpu = boot(watch);
	volatile uint32_t *seen = guest_variable(vcpu, uint32_t, "seen");
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);
	struct kvm_regs regs = vcpu->loaded;

	regs.rdi = SLOT_GPA;
	vcpu_set_regs(vcpu, regs);
	*slot_word(&slot, 0) = 7;
	vcpu_start(vcpu, NULL);
	wait_until(*seen == 7);
	map_anonymous(slot_page(&slot, 0), PAGE);
	wait_until(*seen == 0);
	*slot_word(&slot, 0) = 8;
	wait_until(*seen == 8);
	vcpu_stop(vcpu);
}

CASE(memory_backing, discarded_memory_is_zero, .contract = "backing.discarded",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 3 * PAGE);

	guest_writes(vcpu, SLOT_GPA, .count = 3, .value = 7);
	if (madvise(slot_page(&slot, 1), PAGE, MADV_DONTNEED) != 0)
		error("madvise: %s", strerror(errno));
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 0);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	expect_guest_reads(vcpu, SLOT_GPA + 2 * PAGE, 9);
}

CASE(memory_backing, forked_child_keeps_the_old_contents, .contract = "backing.fork",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);
	int written[2], status;
	char byte = 0;
	pid_t child;

	guest_writes(vcpu, SLOT_GPA, .value = 7);
	if (pipe(written) != 0)
		error("pipe: %s", strerror(errno));
	child = fork();
	if (child < 0)
		error("fork: %s", strerror(errno));
	if (child == 0) {
		if (read(written[0], &byte, 1) != 1)
			_exit(255);
		_exit((int)*slot_word(&slot, 0));
	}
	guest_writes(vcpu, SLOT_GPA, .value = 9);
	expect_equal(*slot_word(&slot, 0), 9);
	if (write(written[1], &byte, 1) != 1 || waitpid(child, &status, 0) != child)
		error("the child process: %s", strerror(errno));
	expect_equal(WEXITSTATUS(status), 7);
	expect_guest_reads(vcpu, SLOT_GPA, 9);
}

/* Files. */

static int make_file(size_t size)
{
	int fd = memfd_create("kvmspec", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
		error("memfd_create: %s", strerror(errno));
	return fd;
}

static struct kvm_userspace_memory_region add_file_slot(struct vm *vm, int fd, size_t size,
							int flags)
{
	unsigned char *memory = map_memory(size);

	map_at(memory, size, PROT_READ | PROT_WRITE, flags, fd);
	return add_slot(vm, .memory_size = size, .userspace_addr = (uintptr_t)memory);
}

static uint32_t read_file(int fd, off_t offset)
{
	uint32_t word;

	if (pread(fd, &word, sizeof word, offset) != sizeof word)
		error("pread: %s", strerror(errno));
	return word;
}

static void write_file(int fd, off_t offset, uint32_t word)
{
	if (pwrite(fd, &word, sizeof word, offset) != sizeof word)
		error("pwrite: %s", strerror(errno));
}

CASE(memory_backing, shared_file_has_what_the_guest_writes, .contract = "backing.file.shared",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	int fd = make_file(2 * PAGE);

	add_file_slot(vcpu->vm, fd, 2 * PAGE, MAP_SHARED);
	guest_writes(vcpu, SLOT_GPA + PAGE, .value = 7);
	expect_equal(read_file(fd, PAGE), 7);
	write_file(fd, 0, 8);
	write_file(fd, PAGE, 9);
	expect_guest_reads(vcpu, SLOT_GPA, 8);
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 9);
}

CASE(memory_backing, private_file_keeps_its_contents, .contract = "backing.file.private",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	int fd = make_file(PAGE);
	struct kvm_userspace_memory_region slot;

	write_file(fd, 0, 7);
	slot = add_file_slot(vcpu->vm, fd, PAGE, MAP_PRIVATE);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	guest_writes(vcpu, SLOT_GPA, .value = 8);
	expect_guest_reads(vcpu, SLOT_GPA, 8);
	expect_equal(*slot_word(&slot, 0), 8);
	expect_equal(read_file(fd, 0), 7);
}

CASE(memory_backing, two_vms_share_a_file, .contract = "backing.file.two_vms",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest), *other = boot(guest);
	int fd = make_file(PAGE);

	add_file_slot(vcpu->vm, fd, PAGE, MAP_SHARED);
	add_file_slot(other->vm, fd, PAGE, MAP_SHARED);
	guest_writes(vcpu, SLOT_GPA, .value = 7);
	guest_does(other, "add", SLOT_GPA);
	expect_guest_reads(vcpu, SLOT_GPA, 8);
}

CASE(memory_backing, truncated_file_is_a_fault, .contract = "backing.file.truncated",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	int fd = make_file(2 * PAGE);

	add_file_slot(vcpu->vm, fd, 2 * PAGE, MAP_SHARED);
	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	if (ftruncate(fd, PAGE) != 0)
		error("ftruncate: %s", strerror(errno));
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	prepare_access(vcpu, "read", SLOT_GPA + PAGE);
	expect_run_errno(vcpu, EFAULT);
	if (ftruncate(fd, 2 * PAGE) != 0)
		error("ftruncate: %s", strerror(errno));
	expect_run_exit(vcpu, KVM_EXIT_HLT);
	expect_regs(vcpu, .rsi = 0);
}

CASE(memory_backing, hole_in_a_file_is_zero, .contract = "backing.file.hole",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	int fd = make_file(2 * PAGE);

	add_file_slot(vcpu->vm, fd, 2 * PAGE, MAP_SHARED);
	guest_writes(vcpu, SLOT_GPA, .count = 2, .value = 7);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE) != 0)
		error("fallocate: %s", strerror(errno));
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 0);
	expect_guest_reads(vcpu, SLOT_GPA, 7);
	guest_writes(vcpu, SLOT_GPA + PAGE, .value = 9);
	expect_equal(read_file(fd, PAGE), 9);
}

/* Userspace as the pager. */

struct pager {
	int fd;
	struct uffdio_range range;
	struct uffd_msg message; /* what came */
};

static struct pager start_pager(void *memory, uint64_t mode, uint64_t feature)
{
	struct uffdio_api api = { .api = UFFD_API, .features = feature };
	struct pager pager = { .fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK),
			       .range = { (uintptr_t)memory, PAGE } };

	if (pager.fd < 0)
		skip("needs userfaultfd(2); this host answers %s", strerror(errno));
	if (ioctl(pager.fd, UFFDIO_API, &api) != 0)
		skip("needs UFFDIO_API with features 0x%llx; this host answers %s",
		     (unsigned long long)feature, strerror(errno));
	if (ioctl(pager.fd, UFFDIO_REGISTER,
		  &(struct uffdio_register){ .range = pager.range, .mode = mode }) != 0)
		error("UFFDIO_REGISTER: %s", strerror(errno));
	return pager;
}

static void wait_for_fault(struct pager *pager)
{
	struct pollfd poll_fd = { .fd = pager->fd, .events = POLLIN };

	while (poll(&poll_fd, 1, -1) < 0)
		;
	if (read(pager->fd, &pager->message, sizeof pager->message) != sizeof pager->message)
		error("userfaultfd: %s", strerror(errno));
}

static void *bring_page_with_7(void *arg)
{
	struct pager *pager = arg;
	static uint32_t page[PAGE / sizeof(uint32_t)] __attribute__((aligned(4096))) = { 7 };

	wait_for_fault(pager);
	if (ioctl(pager->fd, UFFDIO_COPY,
		  &(struct uffdio_copy){
			  .dst = pager->range.start, .src = (uintptr_t)page, .len = PAGE }) != 0)
		error("UFFDIO_COPY: %s", strerror(errno));
	return NULL;
}

CASE(memory_backing, vcpu_waits_for_a_pager, .contract = "backing.userfaultfd",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm, .memory_size = 2 * PAGE);
	struct pager pager = start_pager(slot_page(&slot, 1), UFFDIO_REGISTER_MODE_MISSING, 0);
	pthread_t thread;

	guest_writes(vcpu, SLOT_GPA);
	thread = call_on_thread(bring_page_with_7, &pager);
	expect_guest_reads(vcpu, SLOT_GPA + PAGE, 7);
	pthread_join(thread, NULL);
	expect_equal(pager.message.event, UFFD_EVENT_PAGEFAULT);
	expect_equal(pager.message.arg.pagefault.address & -PAGE, pager.range.start);
}

static void write_protect(const struct pager *pager, bool on)
{
	struct uffdio_writeprotect protect_ = { .range = pager->range,
						.mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };

	if (ioctl(pager->fd, UFFDIO_WRITEPROTECT, &protect_) != 0)
		error("UFFDIO_WRITEPROTECT: %s", strerror(errno));
}

static uint32_t snapshot; /* what was there before the guest's write */

static void *take_snapshot(void *arg)
{
	struct pager *pager = arg;

	wait_for_fault(pager);
	snapshot = *(volatile uint32_t *)(uintptr_t)pager->range.start;
	write_protect(pager, false);
	return NULL;
}

CASE(memory_backing, vcpu_waits_to_write, .contract = "backing.userfaultfd.write_protect",
     .each_mode = memory_access)
{
	struct vcpu *vcpu = boot(guest);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);
	struct pager pager = start_pager(slot_page(&slot, 0), UFFDIO_REGISTER_MODE_WP,
					 UFFD_FEATURE_PAGEFAULT_FLAG_WP);
	pthread_t thread;

	guest_writes(vcpu, SLOT_GPA, .value = 7);
	write_protect(&pager, true);
	expect_guest_reads(vcpu, SLOT_GPA, 7); /* does not wait */
	thread = call_on_thread(take_snapshot, &pager);
	guest_writes(vcpu, SLOT_GPA, .value = 8);
	pthread_join(thread, NULL);
	expect_equal(pager.message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP,
		     UFFD_PAGEFAULT_FLAG_WP);
	expect_equal(snapshot, 7);
	expect_equal(*slot_word(&slot, 0), 8);
}

/* Large pages. */

CASE(memory_backing, part_of_a_large_page_is_discarded, .contract = "backing.large.part")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot =
		slot_of(.guest_phys_addr = HIGH_GPA, .memory_size = LARGE_PAGE,
			.userspace_addr = (uintptr_t)map_memory(LARGE_PAGE));

	if (madvise(slot_page(&slot, 0), LARGE_PAGE, MADV_HUGEPAGE) != 0)
		skip("needs transparent huge pages; madvise() answers %s", strerror(errno));
	set_slot(vcpu->vm, &slot);
	guest_writes(vcpu, HIGH_GPA, .count = LARGE_PAGE / PAGE, .value = 1);
	if (madvise(slot_page(&slot, 100), PAGE, MADV_DONTNEED) != 0)
		error("madvise: %s", strerror(errno));
	expect_guest_reads(vcpu, HIGH_GPA + 99 * PAGE, 100);
	expect_guest_reads(vcpu, HIGH_GPA + 100 * PAGE, 0);
	expect_guest_reads(vcpu, HIGH_GPA + 101 * PAGE, 102);
}

CASE(memory_backing, hugetlbfs_is_memory, .contract = "backing.hugetlb")
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot;
	void *memory = mmap(NULL, LARGE_PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	if (memory == MAP_FAILED)
		skip("needs a 2 MiB page in /proc/sys/vm/nr_hugepages; mmap() answers %s",
		     strerror(errno));
	slot = add_slot(vcpu->vm, .guest_phys_addr = HIGH_GPA, .memory_size = LARGE_PAGE,
			.userspace_addr = (uintptr_t)memory);
	guest_writes(vcpu, HIGH_GPA, .count = LARGE_PAGE / PAGE, .value = 1);
	expect_equal(*slot_word(&slot, 511), 512);
	munmap(memory, LARGE_PAGE);
	prepare_access(vcpu, "read", HIGH_GPA + 3 * PAGE);
	expect_run_errno(vcpu, EFAULT);
}

/* iTLB multihit: KVM splits large pages that the guest executes, unless the VM is exempt. */

static int exempt_from_nx_huge_pages(struct vm *vm, uint64_t arg)
{
	return x_try(vm, KVM_ENABLE_CAP,
		     &(struct kvm_enable_cap){ .cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES,
					       .args = { arg } });
}

/* Gives up CAP_SYS_BOOT, if the process has it. */
static bool may_reboot(bool give_up)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	bool may;

	if (syscall(SYS_capget, &head, data) != 0)
		error("capget: %s", strerror(errno));
	may = data[0].effective & 1u << CAP_SYS_BOOT;
	data[0].effective &= ~(1u << CAP_SYS_BOOT);
	if (give_up && syscall(SYS_capset, &head, data) != 0)
		error("capset: %s", strerror(errno));
	return may;
}

CASE(memory_backing, nx_huge_pages_are_for_who_may_reboot, .contract = "cap.nx_huge_pages.eperm",
     .needs = { CAP(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES) })
{
	struct vm *vm = vm_create();

	may_reboot(true);
	expect_errno_(HERE, "the exemption", exempt_from_nx_huge_pages(vm, 0), EPERM);
}

CASE(memory_backing, nx_huge_pages_are_disabled_before_the_first_vcpu,
     .contract = "cap.nx_huge_pages", .needs = { CAP(KVM_CAP_VM_DISABLE_NX_HUGE_PAGES) })
{
	struct vm *vm = vm_create();

	if (!may_reboot(false))
		skip("needs CAP_SYS_BOOT, which this process does not have");
	expect_errno_(HERE, "the exemption", exempt_from_nx_huge_pages(vm, 1), EINVAL);
	expect_equal(exempt_from_nx_huge_pages(vm, 0), 0);
	vcpu_create(vm, 0);
	expect_errno_(HERE, "the exemption", exempt_from_nx_huge_pages(vm, 0), EINVAL);
}

/* Faulting memory in ahead of the guest. */

#define NEEDS_PRE_FAULT .needs = { CAP(KVM_CAP_PRE_FAULT_MEMORY) }

static struct kvm_pre_fault_memory pre_fault(struct vcpu *vcpu, uint64_t gpa, uint64_t size)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = size };

	x(vcpu, KVM_PRE_FAULT_MEMORY, &range);
	return range;
}

static bool is_resident(void *page)
{
	unsigned char state;

	if (mincore(page, PAGE, &state) != 0)
		error("mincore: %s", strerror(errno));
	return state & 1;
}

CASE(memory_backing, pre_fault_brings_memory_in, .contract = "pre_fault",
     .each_mode = memory_access, NEEDS_PRE_FAULT)
{
	struct vcpu *vcpu = boot(guest);
	int fd = make_file(4 * PAGE);
	struct kvm_userspace_memory_region slot = add_file_slot(vcpu->vm, fd, 4 * PAGE, MAP_SHARED);
	struct kvm_pre_fault_memory left = pre_fault(vcpu, SLOT_GPA + PAGE, 2 * PAGE);

	expect_equal(left.gpa, SLOT_GPA + 3 * PAGE);
	expect_equal(left.size, 0);
	expect(!is_resident(slot_page(&slot, 0)), "the page before is there, too");
	expect(is_resident(slot_page(&slot, 1)), "its first page is not there");
	expect(is_resident(slot_page(&slot, 2)), "its second page is not there");
	expect(!is_resident(slot_page(&slot, 3)), "the page after is there, too");
	guest_writes(vcpu, SLOT_GPA, .count = 4, .value = 7);
	expect_equal(read_file(fd, 3 * PAGE), 10);
}

CASE(memory_backing, pre_fault_is_no_write, .contract = "pre_fault.read", NEEDS_PRE_FAULT)
{
	struct vcpu *vcpu = boot(LONG64);

	add_slot(vcpu->vm, .memory_size = 4 * PAGE, .flags = KVM_MEM_LOG_DIRTY_PAGES);
	pre_fault(vcpu, SLOT_GPA, 4 * PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 0);
	guest_writes(vcpu, SLOT_GPA + PAGE);
	expect_equal(dirty_log(vcpu->vm, SLOT_ID), 2);
}

CASE(memory_backing, pre_fault_says_what_is_left, .contract = "pre_fault.left", NEEDS_PRE_FAULT)
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_pre_fault_memory left;

	add_slot(vcpu->vm, .memory_size = 2 * PAGE);
	left = pre_fault(vcpu, SLOT_GPA + PAGE, 4 * PAGE);
	expect_equal(left.gpa, SLOT_GPA + 2 * PAGE);
	expect_equal(left.size, 3 * PAGE);
	expect_errno(ENOENT, vcpu, KVM_PRE_FAULT_MEMORY, &left);
	expect_equal(left.gpa, SLOT_GPA + 2 * PAGE);
	expect_equal(left.size, 3 * PAGE);
}

CASE(memory_backing, pre_fault_refuses_what_is_no_range, .contract = "pre_fault.refused",
     NEEDS_PRE_FAULT)
{
	static const struct {
		const char *what;
		struct kvm_pre_fault_memory range;
		int err;
	} rows[] = {
		{ "a flag", { .gpa = SLOT_GPA, .size = PAGE, .flags = 1 }, EINVAL },
		{ "flag 63", { .gpa = SLOT_GPA, .size = PAGE, .flags = 1ull << 63 }, EINVAL },
		{ "a GPA that is no page's", { .gpa = SLOT_GPA + 1, .size = PAGE }, EINVAL },
		{ "half a page", { .gpa = SLOT_GPA, .size = PAGE / 2 }, EINVAL },
		{ "no bytes", { .gpa = SLOT_GPA, .size = 0 }, EINVAL },
		{ "a range that wraps", { .gpa = SLOT_GPA, .size = -PAGE }, EINVAL },
		{ "a range that ends at 2^64", { .gpa = -PAGE, .size = PAGE }, EINVAL },
		{ "a hole", { .gpa = SLOT_GPA + PAGE, .size = PAGE }, ENOENT },
	};
	struct vcpu *vcpu = boot(LONG64);

	add_slot(vcpu->vm);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct kvm_pre_fault_memory range = rows[i].range;

		expect_errno_(HERE, rows[i].what, x_try(vcpu, KVM_PRE_FAULT_MEMORY, &range),
			      rows[i].err);
		expect_equal_(HERE, rows[i].what, range.gpa, rows[i].range.gpa);
		expect_equal_(HERE, rows[i].what, range.size, rows[i].range.size);
	}
	guest_writes(vcpu, SLOT_GPA);
}

CASE(memory_backing, pre_fault_needs_memory, .contract = "pre_fault.efault", NEEDS_PRE_FAULT)
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);
	struct kvm_pre_fault_memory range = { .gpa = SLOT_GPA, .size = PAGE };

	munmap(slot_page(&slot, 0), PAGE);
	expect_errno(EFAULT, vcpu, KVM_PRE_FAULT_MEMORY, &range);
	map_anonymous(slot_page(&slot, 0), PAGE);
	pre_fault(vcpu, SLOT_GPA, PAGE);
}

struct waiting {
	struct pager pager;
	pid_t tid;
};

static void *interrupt(void *arg)
{
	struct waiting *waiting = arg;

	wait_for_fault(&waiting->pager);
	wait_until(is_asleep(waiting->tid));
	syscall(SYS_tgkill, getpid(), waiting->tid, KICK_SIGNAL);
	return NULL;
}

CASE(memory_backing, signal_ends_a_pre_fault_that_waits, .contract = "pre_fault.eintr",
     NEEDS_PRE_FAULT)
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_userspace_memory_region slot = add_slot(vcpu->vm);
	struct kvm_pre_fault_memory range = { .gpa = SLOT_GPA, .size = PAGE };
	struct waiting waiting = {
		.pager = start_pager(slot_page(&slot, 0), UFFDIO_REGISTER_MODE_MISSING, 0),
		.tid = gettid(),
	};
	pthread_t thread;

	signal_handle(KICK_SIGNAL, 0);
	thread = call_on_thread(interrupt, &waiting);
	expect_errno(EINTR, vcpu, KVM_PRE_FAULT_MEMORY, &range);
	pthread_join(thread, NULL);
	expect_equal(range.gpa, SLOT_GPA);
	expect_equal(range.size, PAGE);
}

CASE(memory_backing, pre_fault_needs_nested_paging, .contract = "pre_fault.eopnotsupp",
     .needs = { KERNEL(6, 11) })
{
	struct vcpu *vcpu = boot(LONG64);
	struct kvm_pre_fault_memory range = { .gpa = SLOT_GPA, .size = PAGE };

	if (host_cap(KVM_CAP_PRE_FAULT_MEMORY))
		skip("needs shadow paging; this host has nested paging");
	add_slot(vcpu->vm);
	expect_errno(EOPNOTSUPP, vcpu, KVM_PRE_FAULT_MEMORY, &range);
}
