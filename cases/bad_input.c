// SPDX-License-Identifier: MIT
/*
 * What each ioctl refuses, and with which error; and what it takes although it looks wrong. A case
 * an ioctl, named after it; a row a way to be wrong. harness/bad_input.h has the words; contracts.tsv
 * says the same in sentences. That an ioctl of another kind of file descriptor is refused: the cases
 * named on_…, at the end. What KVM_ENABLE_CAP refuses of each capability: capabilities.c.
 */
#include "eventfds.h"

#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* The rows are tables. */
/* clang-format off */

/* /dev/kvm */

CASE(bad_input, KVM_GET_API_VERSION, .contract = "system.no_argument")
{
	expect_bad_input(
		BAD(KVM_GET_API_VERSION, SYSTEM, EINVAL, "an argument", { 1 }),
		BAD(KVM_GET_API_VERSION, SYSTEM, EINVAL, "an argument above 32 bits", { 1ul << 32 }),
		GOOD(KVM_GET_API_VERSION, SYSTEM, { 0 }));
}

CASE(bad_input, KVM_CREATE_VM, .contract = "create_vm.type")
{
	expect_bad_input(
		BAD(KVM_CREATE_VM, SYSTEM, EINVAL, "a type that no KVM has", { 31 }),
		BAD(KVM_CREATE_VM, SYSTEM, EINVAL, "a type of more than 5 bits", { 32 }),
		BAD(KVM_CREATE_VM, SYSTEM, EINVAL, "a type of more than 32 bits", { 1ul << 32 }),
		BAD(KVM_CREATE_VM, SYSTEM, EINVAL, "a negative type", { -1ul }));
}

CASE(bad_input, KVM_GET_MSR_INDEX_LIST, .contract = "bad_input.msr_list")
{
	expect_bad_input(
		ADDRESSES(KVM_GET_MSR_INDEX_LIST, SYSTEM),
		BAD(KVM_GET_MSR_INDEX_LIST, SYSTEM, E2BIG, "room for nothing", { .nmsrs = 0 }),
		BAD(KVM_GET_MSR_INDEX_LIST, SYSTEM, E2BIG, "room for one", { .nmsrs = 1 }),
		BAD(KVM_GET_MSR_INDEX_LIST, SYSTEM, EFAULT, "less room than it says", { .nmsrs = UINT_MAX }),
		BAD(KVM_GET_MSR_INDEX_LIST, SYSTEM | READ_ONLY, EFAULT, "memory that cannot be written", { 0 }),
		GOOD_LIST(KVM_GET_MSR_INDEX_LIST, SYSTEM, __u32, 1024, { .nmsrs = 1024 }));
}

CASE(bad_input, KVM_GET_MSR_FEATURE_INDEX_LIST, .contract = "bad_input.msr_list",
     .needs = { CAP(KVM_CAP_GET_MSR_FEATURES) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_MSR_FEATURE_INDEX_LIST, SYSTEM),
		BAD(KVM_GET_MSR_FEATURE_INDEX_LIST, SYSTEM, E2BIG, "room for nothing", { .nmsrs = 0 }),
		BAD(KVM_GET_MSR_FEATURE_INDEX_LIST, SYSTEM, EFAULT, "less room than it says", { .nmsrs = UINT_MAX }),
		BAD(KVM_GET_MSR_FEATURE_INDEX_LIST, SYSTEM | READ_ONLY, EFAULT, "memory that cannot be written", { 0 }),
		GOOD_LIST(KVM_GET_MSR_FEATURE_INDEX_LIST, SYSTEM, __u32, 1024, { .nmsrs = 1024 }));
}

CASE(bad_input, KVM_GET_SUPPORTED_CPUID, .contract = "bad_input.cpuid_list")
{
	expect_bad_input(
		ADDRESSES(KVM_GET_SUPPORTED_CPUID, SYSTEM),
		BAD(KVM_GET_SUPPORTED_CPUID, SYSTEM, E2BIG, "room for nothing", { .nent = 0 }),
		BAD(KVM_GET_SUPPORTED_CPUID, SYSTEM, E2BIG, "room for one", { .nent = 1 }),
		BAD(KVM_GET_SUPPORTED_CPUID, SYSTEM, EFAULT, "less room than it says", { .nent = UINT_MAX }),
		GOOD_LIST(KVM_GET_SUPPORTED_CPUID, SYSTEM, struct kvm_cpuid_entry2, CPUID_ENTRIES_MAX, { .nent = CPUID_ENTRIES_MAX }));
}

CASE(bad_input, KVM_GET_EMULATED_CPUID, .contract = "bad_input.emulated_cpuid",
     .needs = { CAP(KVM_CAP_EXT_EMUL_CPUID) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_EMULATED_CPUID, SYSTEM),
		BAD(KVM_GET_EMULATED_CPUID, SYSTEM, E2BIG, "room for nothing", { .nent = 0 }),
		BAD(KVM_GET_EMULATED_CPUID, SYSTEM, EINVAL, "less room than it says", { .nent = UINT_MAX }),
		BAD_LIST(KVM_GET_EMULATED_CPUID, SYSTEM, EINVAL, "padding that is not 0",
			 ({ .nent = 1 }), struct kvm_cpuid_entry2, { .padding = { 1 } }),
		GOOD_LIST(KVM_GET_EMULATED_CPUID, SYSTEM, struct kvm_cpuid_entry2, CPUID_ENTRIES_MAX, { .nent = CPUID_ENTRIES_MAX }));
}

CASE(bad_input, KVM_GET_SUPPORTED_HV_CPUID, .contract = "bad_input.cpuid_list",
     .needs = { CAP(KVM_CAP_SYS_HYPERV_CPUID) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_SUPPORTED_HV_CPUID, SYSTEM),
		BAD(KVM_GET_SUPPORTED_HV_CPUID, SYSTEM, E2BIG, "room for nothing", { .nent = 0 }),
		BAD(KVM_GET_SUPPORTED_HV_CPUID, SYSTEM, E2BIG, "room for one", { .nent = 1 }),
		BAD(KVM_GET_SUPPORTED_HV_CPUID, SYSTEM, EFAULT, "less room than it says", { .nent = UINT_MAX }),
		ADDRESSES(KVM_GET_SUPPORTED_HV_CPUID, VCPU),
		BAD(KVM_GET_SUPPORTED_HV_CPUID, VCPU, E2BIG, "room for nothing", { .nent = 0 }),
		BAD(KVM_GET_SUPPORTED_HV_CPUID, VCPU, EFAULT, "less room than it says", { .nent = UINT_MAX }),
		GOOD_LIST(KVM_GET_SUPPORTED_HV_CPUID, SYSTEM, struct kvm_cpuid_entry2, 64, { .nent = 64 }),
		GOOD_LIST(KVM_GET_SUPPORTED_HV_CPUID, VCPU, struct kvm_cpuid_entry2, 64, { .nent = 64 }));
}

CASE(bad_input, KVM_X86_GET_MCE_CAP_SUPPORTED, .contract = "bad_input.address")
{
	expect_bad_input(RESULT(KVM_X86_GET_MCE_CAP_SUPPORTED, SYSTEM));
}

CASE(bad_input, KVM_GET_VCPU_MMAP_SIZE, .contract = "system.no_argument")
{
	expect_bad_input(
		BAD(KVM_GET_VCPU_MMAP_SIZE, SYSTEM, EINVAL, "an argument", { 1 }),
		BAD(KVM_GET_VCPU_MMAP_SIZE, SYSTEM, EINVAL, "an argument above 32 bits", { 1ul << 32 }),
		GOOD(KVM_GET_VCPU_MMAP_SIZE, SYSTEM, { 0 }));
}

CASE(bad_input, KVM_CHECK_EXTENSION, .contract = "check_extension.unknown")
{
	expect_bad_input(
		TAKEN(KVM_CHECK_EXTENSION, SYSTEM, "an extension that there is not", { INT_MAX }),
		TAKEN(KVM_CHECK_EXTENSION, SYSTEM, "an extension above 32 bits", { -1ul }),
		TAKEN(KVM_CHECK_EXTENSION, VM, "an extension that there is not", { INT_MAX }),
		TAKEN(KVM_CHECK_EXTENSION, VM, "an extension above 32 bits", { -1ul }));
}

CASE(bad_input, KVM_GET_MSRS, .contract = "bad_input.msrs", .needs = { CAP(KVM_CAP_GET_MSR_FEATURES) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_MSRS, SYSTEM),
		BAD(KVM_GET_MSRS, SYSTEM, E2BIG, "256 MSRs", { .nmsrs = 256 }),
		BAD(KVM_GET_MSRS, SYSTEM, E2BIG, "2^32 - 1 MSRs", { .nmsrs = UINT_MAX }),
		BAD(KVM_GET_MSRS, SYSTEM, EFAULT, "fewer MSRs than it says", { .nmsrs = 255 }),
		TAKEN(KVM_GET_MSRS, SYSTEM, "no MSR", { .nmsrs = 0 }),
		ADDRESSES(KVM_GET_MSRS, VCPU),
		BAD(KVM_GET_MSRS, VCPU, E2BIG, "256 MSRs", { .nmsrs = 256 }),
		BAD(KVM_GET_MSRS, VCPU, E2BIG, "2^32 - 1 MSRs", { .nmsrs = UINT_MAX }),
		BAD(KVM_GET_MSRS, VCPU, EFAULT, "fewer MSRs than it says", { .nmsrs = 255 }),
		TAKEN(KVM_GET_MSRS, VCPU, "no MSR", { .nmsrs = 0 }));
}

/* Device attributes: the three ioctls, each on each kind of object that has any */

#define NO_ATTRIBUTE 0xbad

CASE(bad_input, KVM_HAS_DEVICE_ATTR, .contract = "bad_input.device_attr")
{
	expect_bad_input(
		ADDRESSES(KVM_HAS_DEVICE_ATTR, SYSTEM),
		BAD(KVM_HAS_DEVICE_ATTR, SYSTEM, ENXIO, "an unknown group", { .group = NO_ATTRIBUTE }),
		BAD(KVM_HAS_DEVICE_ATTR, SYSTEM, ENXIO, "an unknown attribute", { .attr = NO_ATTRIBUTE }),
		ADDRESSES(KVM_HAS_DEVICE_ATTR, VCPU),
		BAD(KVM_HAS_DEVICE_ATTR, VCPU, ENXIO, "an unknown group", { .group = NO_ATTRIBUTE }),
		BAD(KVM_HAS_DEVICE_ATTR, VCPU, ENXIO, "an unknown attribute", { .attr = NO_ATTRIBUTE }),
		ADDRESSES(KVM_HAS_DEVICE_ATTR, DEVICE),
		BAD(KVM_HAS_DEVICE_ATTR, DEVICE, ENXIO, "an unknown group", { .group = NO_ATTRIBUTE }),
		BAD(KVM_HAS_DEVICE_ATTR, DEVICE, ENXIO, "an unknown attribute",
		    { .group = KVM_DEV_VFIO_GROUP, .attr = NO_ATTRIBUTE }),
		GOOD(KVM_HAS_DEVICE_ATTR, SYSTEM, { .group = KVM_X86_GRP_SYSTEM, .attr = KVM_X86_XCOMP_GUEST_SUPP }),
		GOOD(KVM_HAS_DEVICE_ATTR, VCPU, { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET }),
		GOOD(KVM_HAS_DEVICE_ATTR, DEVICE, { .group = KVM_DEV_VFIO_GROUP, .attr = KVM_DEV_VFIO_GROUP_ADD }));
}

CASE(bad_input, KVM_GET_DEVICE_ATTR, .contract = "bad_input.device_attr")
{
	__u64 value = 0;

	expect_bad_input(
		ADDRESSES(KVM_GET_DEVICE_ATTR, SYSTEM),
		BAD(KVM_GET_DEVICE_ATTR, SYSTEM, ENXIO, "an unknown group", { .group = NO_ATTRIBUTE }),
		BAD(KVM_GET_DEVICE_ATTR, SYSTEM, ENXIO, "an unknown attribute", { .attr = NO_ATTRIBUTE }),
		BAD(KVM_GET_DEVICE_ATTR, SYSTEM, EFAULT, "no room for the value", { .addr = UNMAPPED }),
		ADDRESSES(KVM_GET_DEVICE_ATTR, VCPU),
		BAD(KVM_GET_DEVICE_ATTR, VCPU, ENXIO, "an unknown group", { .group = NO_ATTRIBUTE }),
		BAD(KVM_GET_DEVICE_ATTR, VCPU, ENXIO, "an unknown attribute", { .attr = NO_ATTRIBUTE }),
		BAD(KVM_GET_DEVICE_ATTR, VCPU, EFAULT, "no room for the value", { .addr = UNMAPPED }),
		BAD(KVM_GET_DEVICE_ATTR, DEVICE, EPERM, "a device that gives nothing away", { 0 }),
		GOOD(KVM_GET_DEVICE_ATTR, SYSTEM, { .attr = KVM_X86_XCOMP_GUEST_SUPP, .addr = (uintptr_t)&value }),
		GOOD(KVM_GET_DEVICE_ATTR, VCPU, { .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&value }));
}

CASE(bad_input, KVM_SET_DEVICE_ATTR, .contract = "bad_input.device_attr")
{
#define BAD_FILE(err, what, change, fd)                                                            \
	BAD(KVM_SET_DEVICE_ATTR, DEVICE, err, what,                                                \
	    { .group = KVM_DEV_VFIO_GROUP, .attr = KVM_DEV_VFIO_GROUP_##change, .addr = (uintptr_t)(fd) })
	__u64 value = 0;
	__s32 no_fd = NO_FD, file_fd = FILE_FD;

	expect_bad_input(
		ADDRESSES(KVM_SET_DEVICE_ATTR, VCPU),
		BAD(KVM_SET_DEVICE_ATTR, VCPU, ENXIO, "an unknown group", { .group = NO_ATTRIBUTE }),
		BAD(KVM_SET_DEVICE_ATTR, VCPU, ENXIO, "an unknown attribute", { .attr = NO_ATTRIBUTE }),
		BAD(KVM_SET_DEVICE_ATTR, VCPU, EFAULT, "no value", { .addr = UNMAPPED }),
		ADDRESSES(KVM_SET_DEVICE_ATTR, DEVICE),
		BAD(KVM_SET_DEVICE_ATTR, DEVICE, ENXIO, "an unknown group", { .group = NO_ATTRIBUTE }),
		BAD(KVM_SET_DEVICE_ATTR, DEVICE, ENXIO, "an unknown attribute",
		    { .group = KVM_DEV_VFIO_GROUP, .attr = NO_ATTRIBUTE }),
		BAD_FILE(EFAULT, "no value", ADD, UNMAPPED),
		BAD_FILE(EBADF, "no descriptor to add", ADD, &no_fd),
		BAD_FILE(EINVAL, "a descriptor to add that is not VFIO's", ADD, &file_fd),
		BAD_FILE(EBADF, "no descriptor to take away", DEL, &no_fd),
		BAD_FILE(ENOENT, "a descriptor to take away that it does not have", DEL, &file_fd),
		GOOD(KVM_SET_DEVICE_ATTR, VCPU, { .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&value }));
}

/* VMs: vCPUs and their limits */

CASE(bad_input, KVM_CREATE_VCPU, .contract = "bad_input.create_vcpu")
{
	expect_bad_input(
		BAD(KVM_CREATE_VCPU, VM, EEXIST, "an id that is in use", { 0 }),
		BAD(KVM_CREATE_VCPU, VM, EINVAL, "an id above all limits", { INT_MAX }),
		BAD(KVM_CREATE_VCPU, VM, EINVAL, "an id of 32 bits", { UINT_MAX }),
		BAD_IF(KERNEL(6, 11), KVM_CREATE_VCPU, VM, EINVAL, "an id above 32 bits", { 1ul << 32 }));
}

CASE(bad_input, KVM_SET_BOOT_CPU_ID, .contract = "bad_input.boot_cpu_id",
     .needs = { CAP(KVM_CAP_SET_BOOT_CPU_ID) })
{
	expect_bad_input(
		BAD_IF(KERNEL(6, 11), KVM_SET_BOOT_CPU_ID, NO_VCPU | VM, EINVAL, "an id above all limits", { INT_MAX }),
		BAD_IF(KERNEL(6, 11), KVM_SET_BOOT_CPU_ID, NO_VCPU | VM, EINVAL, "an id above 32 bits", { 1ul << 32 }),
		BAD(KVM_SET_BOOT_CPU_ID, VM, EBUSY, "a vCPU there already", { 0 }),
		GOOD(KVM_SET_BOOT_CPU_ID, VM | NO_VCPU, { 0 }));
}

/* VMs: memory */

#define HOLE (1ul << 30) /* GPA where no slot is */

CASE(bad_input, KVM_SET_USER_MEMORY_REGION, .contract = "bad_input.memory_region")
{
#define BAD_REGION(err, what, ...) BAD(KVM_SET_USER_MEMORY_REGION, VM, err, what, __VA_ARGS__)
	expect_bad_input(
		ADDRESSES(KVM_SET_USER_MEMORY_REGION, VM),
		BAD_REGION(EINVAL, "an unknown flag",
			   { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1000, .flags = 1 << 3 }),
		BAD_REGION(EINVAL, "a flag of the kernel's own",
			   { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1000, .flags = 1 << 16 }),
		BAD_REGION(EINVAL, "a flag of KVM_SET_USER_MEMORY_REGION2's",
			   { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1000, .flags = KVM_MEM_GUEST_MEMFD }),
		BAD_REGION(EINVAL, "a size that is no number of pages",
			   { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1001, .userspace_addr = 0x1000 }),
		BAD_REGION(EINVAL, "a GPA inside a page",
			   { .slot = 1, .guest_phys_addr = HOLE + 1, .memory_size = 0x1000, .userspace_addr = 0x1000 }),
		BAD_REGION(EINVAL, "an HVA inside a page",
			   { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1800 }),
		BAD_REGION(EINVAL, "an HVA of the kernel's",
			   { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = KERNELS_MEMORY }),
		BAD_REGION(EINVAL, "2^31 pages",
			   { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 1ul << 43, .userspace_addr = 0x1000 }),
		BAD_REGION(EINVAL, "an end above 2^64",
			   { .slot = 1, .guest_phys_addr = -0x1000ul, .memory_size = 0x2000, .userspace_addr = 0x1000 }),
		BAD_REGION(EINVAL, "a slot above the limit",
			   { .slot = 0x7fff, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1000 }),
		BAD_REGION(EINVAL, "an unknown address space",
			   { .slot = 99 << 16, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1000 }),
		BAD_REGION(EINVAL, "size 0 for a slot that there is not", { .slot = 1 }),
		BAD_REGION(EINVAL, "another size for the slot",
			   { .slot = RAM_SLOT, .memory_size = RAM_SIZE + 0x1000, .userspace_addr = 0x1000 }),
		BAD_REGION(EINVAL, "another HVA for the slot",
			   { .slot = RAM_SLOT, .memory_size = RAM_SIZE, .userspace_addr = 0x1000 }),
		BAD_REGION(EEXIST, "a range that another slot has",
			   { .slot = 1, .guest_phys_addr = RAM_SIZE - 0x1000, .memory_size = 0x1000, .userspace_addr = 0x1000 }));
}

CASE(bad_input, KVM_SET_USER_MEMORY_REGION2, .contract = "bad_input.memory_region2",
     .needs = { CAP(KVM_CAP_USER_MEMORY2) })
{
#define BAD_REGION2(err, what, ...) BAD(KVM_SET_USER_MEMORY_REGION2, VM, err, what, __VA_ARGS__)
	expect_bad_input(
		ADDRESSES(KVM_SET_USER_MEMORY_REGION2, VM),
		BAD_REGION2(EINVAL, "an unknown flag",
			    { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1000, .flags = 1 << 3 }),
		BAD_REGION2(EINVAL, "a size that is no number of pages",
			    { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1001, .userspace_addr = 0x1000 }),
		BAD_REGION2(EEXIST, "a range that another slot has",
			    { .slot = 1, .guest_phys_addr = 0, .memory_size = 0x1000, .userspace_addr = 0x1000 }),
		TAKEN(KVM_SET_USER_MEMORY_REGION2, VM, "padding that is not 0",
		      { .slot = 1, .guest_phys_addr = HOLE, .memory_size = 0x1000, .userspace_addr = 0x1000,
			.pad1 = 1, .pad2 = { [13] = 1 } }));
}

CASE(bad_input, KVM_GET_DIRTY_LOG, .contract = "bad_input.dirty_log")
{
	expect_bad_input(
		ADDRESSES(KVM_GET_DIRTY_LOG, VM),
		BAD(KVM_GET_DIRTY_LOG, VM, ENOENT, "a slot without a dirty log", { .slot = RAM_SLOT }),
		BAD(KVM_GET_DIRTY_LOG, VM, ENOENT, "a slot that there is not", { .slot = 1 }),
		BAD(KVM_GET_DIRTY_LOG, VM, EINVAL, "a slot above the limit", { .slot = 0xffff }),
		BAD(KVM_GET_DIRTY_LOG, VM, EINVAL, "an unknown address space", { .slot = 99 << 16 }));
}

CASE(bad_input, KVM_CLEAR_DIRTY_LOG, .contract = "bad_input.clear_dirty_log",
     .needs = { CAP(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) })
{
	expect_bad_input(
		ADDRESSES(KVM_CLEAR_DIRTY_LOG, VM),
		BAD(KVM_CLEAR_DIRTY_LOG, VM, ENOENT, "a slot without a dirty log", { .slot = RAM_SLOT }),
		BAD(KVM_CLEAR_DIRTY_LOG, VM, ENOENT, "a slot that there is not", { .slot = 1 }),
		BAD(KVM_CLEAR_DIRTY_LOG, VM, EINVAL, "a slot above the limit", { .slot = 0xffff }),
		BAD(KVM_CLEAR_DIRTY_LOG, VM, EINVAL, "an unknown address space", { .slot = 99 << 16 }),
		BAD(KVM_CLEAR_DIRTY_LOG, VM, EINVAL, "a first page that 64 does not divide", { .first_page = 1 }));
}

CASE(bad_input, KVM_RESET_DIRTY_RINGS, .contract = "bad_input.reset_dirty_rings")
{
	expect_bad_input(
		BAD(KVM_RESET_DIRTY_RINGS, VM, EINVAL, "no dirty ring", { 0 }),
		BAD(KVM_RESET_DIRTY_RINGS, VM, EINVAL, "an argument and no dirty ring", { 1 }));
}

CASE(bad_input, KVM_SET_MEMORY_ATTRIBUTES, .contract = "bad_input.memory_attributes",
     .needs = { CAP(KVM_CAP_MEMORY_ATTRIBUTES) })
{
#define BAD_ATTRIBUTES(what, ...) BAD(KVM_SET_MEMORY_ATTRIBUTES, VM, EINVAL, what, __VA_ARGS__)
	expect_bad_input(
		ADDRESSES(KVM_SET_MEMORY_ATTRIBUTES, VM),
		BAD_ATTRIBUTES("flags", { .size = 0x1000, .flags = 1 }),
		BAD_ATTRIBUTES("an unknown attribute", { .size = 0x1000, .attributes = 1 }),
		BAD_ATTRIBUTES("an attribute that VMs of this type do not have",
			       { .size = 0x1000, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE }),
		BAD_ATTRIBUTES("size 0", { .size = 0 }),
		BAD_ATTRIBUTES("a size that is no number of pages", { .size = 0x1001 }),
		BAD_ATTRIBUTES("an address inside a page", { .address = 1, .size = 0x1000 }),
		BAD_ATTRIBUTES("an end above 2^64", { .address = -0x1000ul, .size = 0x2000 }));
}

CASE(bad_input, KVM_CREATE_GUEST_MEMFD, .contract = "bad_input.guest_memfd",
     .needs = { CAP(KVM_CAP_GUEST_MEMFD) })
{
	expect_bad_input(
		ADDRESSES(KVM_CREATE_GUEST_MEMFD, VM),
		BAD(KVM_CREATE_GUEST_MEMFD, VM, EINVAL, "size 0", { .size = 0 }),
		BAD(KVM_CREATE_GUEST_MEMFD, VM, EINVAL, "a size that is no number of pages", { .size = 0x1001 }),
		BAD(KVM_CREATE_GUEST_MEMFD, VM, EINVAL, "a size above 2^63", { .size = -0x1000ul }),
		BAD(KVM_CREATE_GUEST_MEMFD, VM, EINVAL, "an unknown flag", { .size = 0x1000, .flags = 1ul << 63 }),
		TAKEN(KVM_CREATE_GUEST_MEMFD, VM, "reserved fields that are not 0", { .size = 0x1000, .reserved = { [5] = 1 } }));
}

CASE(bad_input, KVM_PRE_FAULT_MEMORY, .contract = "bad_input.pre_fault",
     .needs = { CAP(KVM_CAP_PRE_FAULT_MEMORY) })
{
	expect_bad_input(
		ADDRESSES(KVM_PRE_FAULT_MEMORY, VCPU),
		BAD(KVM_PRE_FAULT_MEMORY, VCPU, EINVAL, "flags", { .size = 0x1000, .flags = 1 }),
		BAD(KVM_PRE_FAULT_MEMORY, VCPU, EINVAL, "size 0", { .size = 0 }),
		BAD(KVM_PRE_FAULT_MEMORY, VCPU, EINVAL, "a size that is no number of pages", { .size = 0x1001 }),
		BAD(KVM_PRE_FAULT_MEMORY, VCPU, EINVAL, "a GPA inside a page", { .gpa = 1, .size = 0x1000 }),
		BAD(KVM_PRE_FAULT_MEMORY, VCPU, EINVAL, "an end above 2^64", { .gpa = -0x1000ul, .size = 0x2000 }),
		GOOD(KVM_PRE_FAULT_MEMORY, VCPU, { .gpa = 0, .size = 0x1000 }));
}

CASE(bad_input, KVM_SET_TSS_ADDR, .contract = "bad_input.tss_addr", .needs = { CAP(KVM_CAP_SET_TSS_ADDR) })
{
	expect_bad_input(
		BAD(KVM_SET_TSS_ADDR, NO_VCPU | VM, EINVAL, "three pages that reach beyond 4 GiB", { 0xffffd001 }),
		BAD(KVM_SET_TSS_ADDR, NO_VCPU | VM, EINVAL, "an address above 4 GiB", { 1ul << 32 }),
		BAD(KVM_SET_TSS_ADDR, NO_VCPU | VM, EINVAL, "an address above 2^63", { -0x3000ul }));
}

/* Where VT-x cannot run real mode itself, KVM has a slot for what it needs to emulate it. */
static bool has_tss_slot(void)
{
	FILE *f = fopen("/sys/module/kvm_intel/parameters/unrestricted_guest", "re");
	bool unrestricted = !f || fgetc(f) == 'Y';

	if (f)
		fclose(f);
	return !unrestricted && strcmp(host.vendor, "kvm_intel") == 0;
}

CASE(bad_input, tss_addr_again, .contract = "bad_input.tss_addr_again", .needs = { CAP(KVM_CAP_SET_TSS_ADDR) })
{
	expect_bad_input(
		BAD(KVM_SET_TSS_ADDR, VM | NO_VCPU, has_tss_slot() ? EEXIST : 0, "an address there already", { 0xffffd000 }));
}

CASE(bad_input, KVM_SET_IDENTITY_MAP_ADDR, .contract = "bad_input.identity_map",
     .needs = { CAP(KVM_CAP_SET_IDENTITY_MAP_ADDR) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_IDENTITY_MAP_ADDR, NO_VCPU | VM),
		BAD(KVM_SET_IDENTITY_MAP_ADDR, VM, EINVAL, "a vCPU there already", { 0xfffbc000 }),
		BAD_ADDRESS(KVM_SET_IDENTITY_MAP_ADDR, VM, EINVAL, "a vCPU there already, and NULL", 0),
		GOOD(KVM_SET_IDENTITY_MAP_ADDR, VM | NO_VCPU, { 0xfffbc000 }));
}

CASE(bad_input, KVM_SET_NR_MMU_PAGES, .contract = "bad_input.nr_mmu_pages")
{
	expect_bad_input(
		BAD(KVM_SET_NR_MMU_PAGES, VM, EINVAL, "no pages", { 0 }),
		BAD(KVM_SET_NR_MMU_PAGES, VM, EINVAL, "63 pages", { 63 }),
		GOOD(KVM_SET_NR_MMU_PAGES, VM, { 64 }));
}

/* VMs: interrupts */

CASE(bad_input, KVM_CREATE_IRQCHIP, .contract = "bad_input.create_irqchip", .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	expect_bad_input(
		BAD(KVM_CREATE_IRQCHIP, VM, EINVAL, "a vCPU there already", { 0 }),
		BAD(KVM_CREATE_IRQCHIP, VM | IRQCHIP, EEXIST, "an irqchip and a vCPU there already", { 0 }),
		BAD(KVM_CREATE_IRQCHIP, VM | IRQCHIP | NO_VCPU, EEXIST, "an irqchip there already", { 0 }),
		BAD(KVM_CREATE_IRQCHIP, VM | SPLIT_IRQCHIP | NO_VCPU, EEXIST, "a split irqchip there already", { 0 }),
		TAKEN(KVM_CREATE_IRQCHIP, VM | NO_VCPU, "an argument", { -1ul }));
}

CASE(bad_input, KVM_GET_IRQCHIP, .contract = "bad_input.irqchip", .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_IRQCHIP, VM | IRQCHIP),
		BAD(KVM_GET_IRQCHIP, VM | IRQCHIP | READ_ONLY, EFAULT, "memory that cannot be written", {}),
		BAD(KVM_GET_IRQCHIP, VM | IRQCHIP, EINVAL, "a chip that there is not", { .chip_id = 3 }),
		BAD(KVM_GET_IRQCHIP, VM | IRQCHIP, EINVAL, "chip 2^32 - 1", { .chip_id = UINT_MAX }),
		BAD(KVM_GET_IRQCHIP, VM, ENXIO, "no in-kernel irqchip", {}),
		BAD(KVM_GET_IRQCHIP, VM | SPLIT_IRQCHIP, ENXIO, "only local APICs in the kernel", {}),
		GOOD(KVM_GET_IRQCHIP, VM | IRQCHIP, { .chip_id = KVM_IRQCHIP_IOAPIC }));
}

CASE(bad_input, KVM_SET_IRQCHIP, .contract = "bad_input.irqchip", .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_IRQCHIP, VM | IRQCHIP),
		BAD(KVM_SET_IRQCHIP, VM | IRQCHIP, EINVAL, "a chip that there is not", { .chip_id = 3 }),
		BAD(KVM_SET_IRQCHIP, VM | IRQCHIP, EINVAL, "chip 2^32 - 1", { .chip_id = UINT_MAX }),
		BAD(KVM_SET_IRQCHIP, VM, ENXIO, "no in-kernel irqchip", {}),
		BAD(KVM_SET_IRQCHIP, VM | SPLIT_IRQCHIP, ENXIO, "only local APICs in the kernel", {}),
		GOOD_AS(KVM_SET_IRQCHIP, KVM_GET_IRQCHIP, VM | IRQCHIP, { .chip_id = KVM_IRQCHIP_IOAPIC }));
}

CASE(bad_input, KVM_IRQ_LINE, .contract = "bad_input.irq_line", .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	expect_bad_input(
		ADDRESSES(KVM_IRQ_LINE, VM | IRQCHIP),
		TAKEN(KVM_IRQ_LINE, VM | IRQCHIP, "a GSI that leads nowhere", { .irq = UINT_MAX }),
		BAD(KVM_IRQ_LINE, VM, ENXIO, "no in-kernel irqchip", {}));
}

CASE(bad_input, KVM_IRQ_LINE_STATUS, .contract = "bad_input.irq_line",
     .needs = { CAP(KVM_CAP_IRQ_INJECT_STATUS) })
{
	expect_bad_input(
		ADDRESSES(KVM_IRQ_LINE_STATUS, VM | IRQCHIP),
		BAD(KVM_IRQ_LINE_STATUS, VM | IRQCHIP | READ_ONLY, EFAULT, "memory that cannot be written", {}),
		TAKEN(KVM_IRQ_LINE_STATUS, VM | IRQCHIP, "a GSI that leads nowhere", { .irq = UINT_MAX }),
		BAD(KVM_IRQ_LINE_STATUS, VM, ENXIO, "no in-kernel irqchip", {}));
}

CASE(bad_input, KVM_CREATE_PIT, .contract = "bad_input.create_pit", .needs = { CAP(KVM_CAP_PIT) })
{
	expect_bad_input(
		BAD_IF(KERNEL(6, 12), KVM_CREATE_PIT, VM, ENOENT, "no in-kernel irqchip", { 0 }),
		BAD_IF(KERNEL(6, 12), KVM_CREATE_PIT, VM | SPLIT_IRQCHIP, ENOENT, "no PIC in the kernel", { 0 }),
		BAD(KVM_CREATE_PIT, VM | IRQCHIP | PIT, EEXIST, "a PIT there already", { 0 }),
		TAKEN(KVM_CREATE_PIT, VM | IRQCHIP, "an argument", { 1 }));
}

CASE(bad_input, KVM_CREATE_PIT2, .contract = "bad_input.create_pit", .needs = { CAP(KVM_CAP_PIT2) })
{
	expect_bad_input(
		BAD_IF(KERNEL(6, 12), KVM_CREATE_PIT2, VM, ENOENT, "no in-kernel irqchip", { 0 }),
		BAD_IF(KERNEL(6, 12), KVM_CREATE_PIT2, VM | SPLIT_IRQCHIP, ENOENT, "no PIC in the kernel", { 0 }),
		ADDRESSES(KVM_CREATE_PIT2, VM | IRQCHIP),
		TAKEN(KVM_CREATE_PIT2, VM | IRQCHIP, "unknown flags and padding that is not 0", { .flags = 1u << 31, .pad = { 1 } }),
		BAD(KVM_CREATE_PIT2, VM | IRQCHIP, EEXIST, "a PIT there already", { 0 }));
}

CASE(bad_input, KVM_GET_PIT, .contract = "bad_input.pit", .needs = { CAP(KVM_CAP_PIT) })
{
	expect_bad_input(
		BAD(KVM_GET_PIT, VM, ENXIO, "no PIT", {}),
		ADDRESSES(KVM_GET_PIT, VM | IRQCHIP | PIT),
		BAD(KVM_GET_PIT, VM | IRQCHIP | PIT | READ_ONLY, EFAULT, "memory that cannot be written", {}),
		GOOD(KVM_GET_PIT, VM | IRQCHIP | PIT, {}));
}

CASE(bad_input, KVM_SET_PIT, .contract = "bad_input.pit", .needs = { CAP(KVM_CAP_PIT) })
{
	expect_bad_input(
		BAD(KVM_SET_PIT, VM, ENXIO, "no PIT", {}),
		ADDRESSES(KVM_SET_PIT, VM | IRQCHIP | PIT),
		GOOD_AS(KVM_SET_PIT, KVM_GET_PIT, VM | IRQCHIP | PIT, {}));
}

CASE(bad_input, KVM_GET_PIT2, .contract = "bad_input.pit", .needs = { CAP(KVM_CAP_PIT_STATE2) })
{
	expect_bad_input(
		BAD(KVM_GET_PIT2, VM, ENXIO, "no PIT", {}),
		RESULT(KVM_GET_PIT2, VM | IRQCHIP | PIT));
}

CASE(bad_input, KVM_SET_PIT2, .contract = "bad_input.pit", .needs = { CAP(KVM_CAP_PIT_STATE2) })
{
	expect_bad_input(
		BAD(KVM_SET_PIT2, VM, ENXIO, "no PIT", {}),
		ADDRESSES(KVM_SET_PIT2, VM | IRQCHIP | PIT),
		GOOD_AS(KVM_SET_PIT2, KVM_GET_PIT2, VM | IRQCHIP | PIT, {}));
}

CASE(bad_input, KVM_REINJECT_CONTROL, .contract = "bad_input.pit", .needs = { CAP(KVM_CAP_REINJECT_CONTROL) })
{
	expect_bad_input(
		BAD(KVM_REINJECT_CONTROL, VM, ENXIO, "no PIT", { 0 }),
		ADDRESSES(KVM_REINJECT_CONTROL, VM | IRQCHIP | PIT),
		TAKEN(KVM_REINJECT_CONTROL, VM | IRQCHIP | PIT, "reserved fields that are not 0",
		      { .pit_reinject = 1, .reserved = { 1 } }));
}

CASE(bad_input, KVM_IRQFD, .contract = "bad_input.irqfd", .needs = { CAP(KVM_CAP_IRQFD) })
{
	expect_bad_input(
		ADDRESSES(KVM_IRQFD, VM),
		BAD(KVM_IRQFD, VM, EINVAL, "no in-kernel irqchip", { .fd = EVENT_FD }),
		BAD(KVM_IRQFD, VM | SPLIT_IRQCHIP, EINVAL, "KVM_IRQFD_FLAG_RESAMPLE and no IOAPIC in the kernel",
		    { .fd = EVENT_FD, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = EVENT_FD }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EINVAL, "an unknown flag", { .fd = EVENT_FD, .flags = 1 << 2 }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EINVAL, "the highest flag", { .fd = EVENT_FD, .flags = 1u << 31 }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EBADF, "no descriptor", { .fd = NO_FD }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EINVAL, "a descriptor that is no eventfd", { .fd = FILE_FD }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EBADF, "no descriptor to resample",
		    { .fd = EVENT_FD, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = NO_FD }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EINVAL, "a descriptor to resample that is no eventfd",
		    { .fd = EVENT_FD, .flags = KVM_IRQFD_FLAG_RESAMPLE, .resamplefd = FILE_FD }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EBADF, "no descriptor to take away", { .fd = NO_FD, .flags = KVM_IRQFD_FLAG_DEASSIGN }),
		TAKEN(KVM_IRQFD, VM | IRQCHIP, "an eventfd to take away that it does not have",
		      { .fd = EVENT_FD, .flags = KVM_IRQFD_FLAG_DEASSIGN }),
		TAKEN(KVM_IRQFD, VM | IRQCHIP, "padding that is not 0", { .fd = EVENT_FD, .gsi = 1, .pad = { 1 } }),
		BAD(KVM_IRQFD, VM | IRQCHIP, EBUSY, "an eventfd that it has", { .fd = EVENT_FD, .gsi = 2 }));
}

CASE(bad_input, KVM_IOEVENTFD, .contract = "bad_input.ioeventfd", .needs = { CAP(KVM_CAP_IOEVENTFD) })
{
	expect_bad_input(
		ADDRESSES(KVM_IOEVENTFD, VM),
		BAD(KVM_IOEVENTFD, VM, EINVAL, "a length of 3", { .fd = EVENT_FD, .addr = MMIO_BASE, .len = 3 }),
		BAD(KVM_IOEVENTFD, VM, EINVAL, "a length of 16", { .fd = EVENT_FD, .addr = MMIO_BASE, .len = 16 }),
		BAD(KVM_IOEVENTFD, VM, EINVAL, "an end above 2^64", { .fd = EVENT_FD, .addr = -4ul, .len = 8 }),
		BAD(KVM_IOEVENTFD, VM, EINVAL, "an unknown flag", { .fd = EVENT_FD, .addr = MMIO_BASE, .len = 4, .flags = 1 << 5 }),
		BAD(KVM_IOEVENTFD, VM, EINVAL, "a value to match and no length",
		    { .fd = EVENT_FD, .addr = MMIO_BASE, .flags = KVM_IOEVENTFD_FLAG_DATAMATCH }),
		BAD(KVM_IOEVENTFD, VM, EBADF, "no descriptor", { .fd = NO_FD, .addr = MMIO_BASE, .len = 4 }),
		BAD(KVM_IOEVENTFD, VM, EINVAL, "a descriptor that is no eventfd", { .fd = FILE_FD, .addr = MMIO_BASE, .len = 4 }),
		BAD(KVM_IOEVENTFD, VM, ENOENT, "an eventfd to take away that it does not have",
		    { .fd = EVENT_FD, .addr = MMIO_BASE, .len = 4, .flags = KVM_IOEVENTFD_FLAG_DEASSIGN }),
		BAD(KVM_IOEVENTFD, VM, EBADF, "no descriptor to take away",
		    { .fd = NO_FD, .addr = MMIO_BASE, .len = 4, .flags = KVM_IOEVENTFD_FLAG_DEASSIGN }),
		TAKEN(KVM_IOEVENTFD, VM, "padding that is not 0", { .fd = EVENT_FD, .addr = MMIO_BASE, .len = 4, .pad = { 1 } }),
		BAD(KVM_IOEVENTFD, VM, EEXIST, "an address that has one", { .fd = EVENT_FD, .addr = MMIO_BASE, .len = 4 }));
}

CASE(bad_input, KVM_SIGNAL_MSI, .contract = "bad_input.signal_msi", .needs = { CAP(KVM_CAP_SIGNAL_MSI) })
{
	expect_bad_input(
		ADDRESSES(KVM_SIGNAL_MSI, VM),
		BAD(KVM_SIGNAL_MSI, VM, EINVAL, "no in-kernel irqchip", { .address_lo = 0xfee00000, .data = 0x20 }),
		BAD(KVM_SIGNAL_MSI, VM | SPLIT_IRQCHIP | NO_VCPU, EPERM, "no vCPU to take it", { .address_lo = 0xfee00000, .data = 0x20 }),
		BAD(KVM_SIGNAL_MSI, VM | SPLIT_IRQCHIP, EINVAL, "an unknown flag",
		    { .address_lo = 0xfee00000, .data = 0x20, .flags = 1 << 1 }),
		TAKEN(KVM_SIGNAL_MSI, VM | SPLIT_IRQCHIP, "an APIC id that no vCPU has", { .address_lo = 0xfee7e000, .data = 0x20 }),
		GOOD(KVM_SIGNAL_MSI, VM | SPLIT_IRQCHIP, { .address_lo = 0xfee00000, .data = 0x20 }));
}

CASE(bad_input, KVM_SET_GSI_ROUTING, .contract = "bad_input.gsi_routing", .needs = { CAP(KVM_CAP_IRQ_ROUTING) })
{
#define BAD_ROUTE(what, ...)                                                                       \
	BAD_LIST(KVM_SET_GSI_ROUTING, VM | IRQCHIP, EINVAL, what, ({ .nr = 1 }),                    \
		 struct kvm_irq_routing_entry, __VA_ARGS__)
	expect_bad_input(
		ADDRESSES(KVM_SET_GSI_ROUTING, VM | IRQCHIP),
		BAD(KVM_SET_GSI_ROUTING, VM | IRQCHIP, EINVAL, "flags", { .flags = 1 }),
		BAD(KVM_SET_GSI_ROUTING, VM | IRQCHIP, EINVAL, "4097 entries", { .nr = 4097 }),
		BAD(KVM_SET_GSI_ROUTING, VM | IRQCHIP, EINVAL, "2^32 - 1 entries", { .nr = UINT_MAX }),
		BAD(KVM_SET_GSI_ROUTING, VM | IRQCHIP, EFAULT, "fewer entries than it says", { .nr = 1 }),
		BAD_ROUTE("an unknown type", { .type = 99 }),
		BAD_ROUTE("type 0", { .type = 0 }),
		BAD_ROUTE("a GSI above the limit", { .gsi = 4096, .type = KVM_IRQ_ROUTING_MSI }),
		BAD_ROUTE("flags for a pin", { .type = KVM_IRQ_ROUTING_IRQCHIP, .flags = 1 }),
		BAD_ROUTE("an unknown flag for an MSI", { .type = KVM_IRQ_ROUTING_MSI, .flags = 1 << 1 }),
		BAD_ROUTE("a chip that there is not", { .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.irqchip = 3 }),
		BAD_ROUTE("a pin that the IOAPIC has not",
			  { .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = 24 } }),
		BAD(KVM_SET_GSI_ROUTING, VM, EINVAL, "no in-kernel irqchip", {}),
		BAD_LIST(KVM_SET_GSI_ROUTING, VM | SPLIT_IRQCHIP, EINVAL, "a pin of an IOAPIC that is not in the kernel",
			 ({ .nr = 1 }), struct kvm_irq_routing_entry,
			 { .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC }),
		GOOD_LIST(KVM_SET_GSI_ROUTING, VM | IRQCHIP, struct kvm_irq_routing_entry, 1, { .nr = 0 }));
}

CASE(bad_input, KVM_CREATE_DEVICE, .contract = "bad_input.create_device")
{
	expect_bad_input(
		ADDRESSES(KVM_CREATE_DEVICE, VM),
		BAD(KVM_CREATE_DEVICE, VM, ENODEV, "type 0", { .type = 0 }),
		BAD(KVM_CREATE_DEVICE, VM, ENODEV, "a device of another architecture", { .type = KVM_DEV_TYPE_FLIC }),
		BAD(KVM_CREATE_DEVICE, VM, ENODEV, "a device of another architecture, and KVM_CREATE_DEVICE_TEST",
		    { .type = KVM_DEV_TYPE_FLIC, .flags = KVM_CREATE_DEVICE_TEST }),
		BAD(KVM_CREATE_DEVICE, VM, ENODEV, "type 2^32 - 1", { .type = UINT_MAX }));
}

CASE(bad_input, KVM_REGISTER_COALESCED_MMIO, .contract = "bad_input.coalesced", .needs = { CAP(KVM_CAP_COALESCED_MMIO) })
{
	expect_bad_input(
		ADDRESSES(KVM_REGISTER_COALESCED_MMIO, VM),
		BAD(KVM_REGISTER_COALESCED_MMIO, VM, EINVAL, "pio neither 0 nor 1", { .addr = MMIO_BASE, .size = 4, .pio = 2 }),
		GOOD(KVM_REGISTER_COALESCED_MMIO, VM, { .addr = MMIO_BASE, .size = 4 }));
}

CASE(bad_input, KVM_UNREGISTER_COALESCED_MMIO, .contract = "bad_input.coalesced", .needs = { CAP(KVM_CAP_COALESCED_MMIO) })
{
	expect_bad_input(
		ADDRESSES(KVM_UNREGISTER_COALESCED_MMIO, VM),
		BAD(KVM_UNREGISTER_COALESCED_MMIO, VM, EINVAL, "pio neither 0 nor 1", { .addr = MMIO_BASE, .size = 4, .pio = 2 }),
		TAKEN(KVM_UNREGISTER_COALESCED_MMIO, VM, "a zone that there is not", { .addr = MMIO_BASE, .size = 4 }));
}

/* Zones until there is no room for another; returns the last one that there was. */
static struct kvm_coalesced_mmio_zone fill_bus(struct vm *vm, bool pio)
{
	struct kvm_coalesced_mmio_zone zone = { .addr = pio ? 0 : MMIO_BASE, .size = 4, .pio = pio };
	int result;

	while ((result = x_try(vm, KVM_REGISTER_COALESCED_MMIO, &zone)) == 0 && zone.addr < MMIO_BASE + 0x10000)
		zone.addr += zone.size;
	expect_errno_(HERE, "KVM_REGISTER_COALESCED_MMIO", result, ENOSPC);
	zone.addr -= zone.size;
	return zone;
}

CASE(bad_input, full_bus, .contract = "bad_input.full_bus", .needs = { CAP(KVM_CAP_COALESCED_PIO), CAP(KVM_CAP_IRQCHIP) })
{
	struct vm *vm = vm_create();
	struct kvm_coalesced_mmio_zone mmio = fill_bus(vm, false), pio = fill_bus(vm, true);
	struct kvm_ioeventfd event = { .fd = make_eventfd(), .addr = 0x1000, .len = 4 };

	expect_errno(ENOSPC, vm, KVM_IOEVENTFD, &event);
	expect_errno(ENOSPC, vm, KVM_CREATE_IRQCHIP);
	x(vm, KVM_UNREGISTER_COALESCED_MMIO, &mmio);
	x(vm, KVM_IOEVENTFD, &event);
	x(vm, KVM_REGISTER_COALESCED_MMIO, &mmio);
	for (unsigned i = 0; i < 8; i++, pio.addr -= pio.size) /* the PIC and the IOAPIC have several each */
		x(vm, KVM_UNREGISTER_COALESCED_MMIO, &pio);
	x(vm, KVM_UNREGISTER_COALESCED_MMIO, &mmio);
	x(vm, KVM_CREATE_IRQCHIP);
}

/* VMs: time, statistics */

CASE(bad_input, KVM_GET_CLOCK, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_ADJUST_CLOCK) })
{
	expect_bad_input(RESULT(KVM_GET_CLOCK, VM));
}

CASE(bad_input, KVM_SET_CLOCK, .contract = "bad_input.set_clock", .needs = { CAP(KVM_CAP_ADJUST_CLOCK) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_CLOCK, VM),
		BAD(KVM_SET_CLOCK, VM, EINVAL, "flag 1, which stands for nothing", { .flags = 1 }),
		BAD(KVM_SET_CLOCK, VM, EINVAL, "an unknown flag", { .flags = 1 << 4 }),
		BAD(KVM_SET_CLOCK, VM, EINVAL, "the highest flag", { .flags = 1u << 31 }),
		GOOD_AS(KVM_SET_CLOCK, KVM_GET_CLOCK, VM, {}));
}

CASE(bad_input, KVM_GET_TSC_KHZ, .contract = "bad_input.ignored_argument", .needs = { CAP(KVM_CAP_GET_TSC_KHZ) })
{
	expect_bad_input(
		TAKEN(KVM_GET_TSC_KHZ, VM, "an argument", { -1ul }),
		TAKEN(KVM_GET_TSC_KHZ, VCPU, "an argument", { -1ul }));
}

CASE(bad_input, KVM_SET_TSC_KHZ, .contract = "bad_input.tsc_khz", .needs = { CAP(KVM_CAP_GET_TSC_KHZ) })
{
	expect_bad_input(
		BAD_IF(KERNEL(6, 17), KVM_SET_TSC_KHZ, VM, EINVAL, "a vCPU there already", { 1000000 }),
		BAD_IF(CAP(KVM_CAP_VM_TSC_CONTROL), KVM_SET_TSC_KHZ, VM | NO_VCPU, EINVAL, "a frequency that no CPU scales to", { UINT_MAX }),
		BAD_IF(CAP(KVM_CAP_TSC_CONTROL), KVM_SET_TSC_KHZ, VCPU, EINVAL, "a frequency that no CPU scales to", { UINT_MAX }),
		TAKEN(KVM_SET_TSC_KHZ, VM | NO_VCPU, "0, for the host's frequency", { 0 }),
		TAKEN(KVM_SET_TSC_KHZ, VCPU, "0, for the host's frequency", { 0 }));
}

CASE(bad_input, KVM_GET_STATS_FD, .contract = "bad_input.ignored_argument", .needs = { CAP(KVM_CAP_BINARY_STATS_FD) })
{
	expect_bad_input(
		TAKEN(KVM_GET_STATS_FD, VM, "an argument", { -1ul }),
		TAKEN(KVM_GET_STATS_FD, VCPU, "an argument", { -1ul }));
}

/* VMs: what stands for other hypervisors */

CASE(bad_input, KVM_HYPERV_EVENTFD, .contract = "bad_input.hyperv_eventfd", .needs = { CAP(KVM_CAP_HYPERV_EVENTFD) })
{
	expect_bad_input(
		ADDRESSES(KVM_HYPERV_EVENTFD, VM),
		BAD(KVM_HYPERV_EVENTFD, VM, EINVAL, "an unknown flag", { .fd = EVENT_FD, .flags = 1 << 1 }),
		BAD(KVM_HYPERV_EVENTFD, VM, EINVAL, "a connection id of 25 bits", { .conn_id = 1 << 24, .fd = EVENT_FD }),
		BAD(KVM_HYPERV_EVENTFD, VM, EBADF, "no descriptor", { .fd = NO_FD }),
		BAD(KVM_HYPERV_EVENTFD, VM, EINVAL, "a descriptor that is no eventfd", { .fd = FILE_FD }),
		BAD(KVM_HYPERV_EVENTFD, VM, ENOENT, "a connection to take away that there is not", { .flags = KVM_HYPERV_EVENTFD_DEASSIGN }),
		TAKEN(KVM_HYPERV_EVENTFD, VM, "padding that is not 0", { .conn_id = 1, .fd = EVENT_FD, .padding = { 1 } }),
		BAD(KVM_HYPERV_EVENTFD, VM, EEXIST, "a connection that there is", { .conn_id = 1, .fd = EVENT_FD }));
}

#define XEN_MSR 0x40000000

CASE(bad_input, KVM_XEN_HVM_CONFIG, .contract = "bad_input.xen_hvm_config", .needs = { CAP(KVM_CAP_XEN_HVM) })
{
	expect_bad_input(
		ADDRESSES(KVM_XEN_HVM_CONFIG, VM),
		BAD(KVM_XEN_HVM_CONFIG, VM, EINVAL, "an unknown flag", { .msr = XEN_MSR, .flags = 1u << 31 }),
		BAD(KVM_XEN_HVM_CONFIG, VM, EINVAL, "a flag that only says what there is",
		    { .msr = XEN_MSR, .flags = KVM_XEN_HVM_CONFIG_SHARED_INFO }),
		BAD(KVM_XEN_HVM_CONFIG, VM, EINVAL, "a hypercall page of userspace's, and interception",
		    { .msr = XEN_MSR, .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, .blob_size_64 = 1 }),
		BAD(KVM_XEN_HVM_CONFIG, VM, EINVAL, "the address of a 32-bit hypercall page, and interception",
		    { .msr = XEN_MSR, .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL, .blob_addr_32 = 1 }),
		BAD_IF(KERNEL(6, 15), KVM_XEN_HVM_CONFIG, VM, EINVAL, "an MSR that CPUs may have", { .msr = 0xc0000080 }),
		GOOD(KVM_XEN_HVM_CONFIG, VM, { .msr = XEN_MSR, .flags = KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL }));
}

CASE(bad_input, KVM_XEN_HVM_GET_ATTR, .contract = "bad_input.xen_attr",
     .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_SHARED_INFO) })
{
	expect_bad_input(
		ADDRESSES(KVM_XEN_HVM_GET_ATTR, VM),
		BAD(KVM_XEN_HVM_GET_ATTR, VM | READ_ONLY, EFAULT, "memory that cannot be written", { 0 }),
		BAD(KVM_XEN_HVM_GET_ATTR, VM, ENOENT, "an attribute that can only be set", { .type = KVM_XEN_ATTR_TYPE_EVTCHN }),
		BAD(KVM_XEN_HVM_GET_ATTR, VM, ENOENT, "an unknown attribute", { .type = 99 }),
		GOOD(KVM_XEN_HVM_GET_ATTR, VM, { .type = KVM_XEN_ATTR_TYPE_LONG_MODE }));
}

CASE(bad_input, KVM_XEN_HVM_SET_ATTR, .contract = "bad_input.xen_attr",
     .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_SHARED_INFO | KVM_XEN_HVM_CONFIG_EVTCHN_SEND) })
{
#define INTERDOMAIN 2 /* EVTCHNSTAT_interdomain of Xen's */
#define BAD_EVTCHN(err, what, ...)                                                                 \
	BAD(KVM_XEN_HVM_SET_ATTR, VM, err, what,                                                   \
	    { .type = KVM_XEN_ATTR_TYPE_EVTCHN, .u.evtchn = __VA_ARGS__ })
	expect_bad_input(
		ADDRESSES(KVM_XEN_HVM_SET_ATTR, VM),
		BAD(KVM_XEN_HVM_SET_ATTR, VM, ENOENT, "an unknown attribute", { .type = 99 }),
		BAD(KVM_XEN_HVM_SET_ATTR, VM, EINVAL, "an upcall vector of exceptions'",
		    { .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = 0xf }),
		BAD_EVTCHN(EINVAL, "event channel 0", { .send_port = 0 }),
		BAD_EVTCHN(EINVAL, "an event channel above the limit", { .send_port = 4096 }),
		BAD_EVTCHN(EINVAL, "unknown flags for an event channel", { .send_port = 1, .flags = 1 << 3 }),
		BAD_EVTCHN(EINVAL, "an event channel of no type", { .send_port = 1, .type = 0 }),
		BAD_EVTCHN(EBADF, "an event channel that leads to no descriptor",
			   { .send_port = 1, .type = INTERDOMAIN, .deliver.eventfd.fd = NO_FD }),
		BAD_EVTCHN(0, "an event channel that leads to an eventfd",
			   { .send_port = 2, .type = INTERDOMAIN, .deliver.eventfd.fd = EVENT_FD }),
		BAD_EVTCHN(EEXIST, "an event channel that there is",
			   { .send_port = 2, .type = INTERDOMAIN, .deliver.eventfd.fd = EVENT_FD }),
		BAD_EVTCHN(ENOENT, "an event channel to change that there is not", { .send_port = 1, .flags = KVM_XEN_EVTCHN_UPDATE }),
		BAD_EVTCHN(ENOENT, "an event channel to take away that there is not",
			   { .send_port = 1, .flags = KVM_XEN_EVTCHN_DEASSIGN }),
		GOOD(KVM_XEN_HVM_SET_ATTR, VM, { .type = KVM_XEN_ATTR_TYPE_UPCALL_VECTOR, .u.vector = 0x20 }));
}

CASE(bad_input, KVM_XEN_HVM_EVTCHN_SEND, .contract = "bad_input.xen_evtchn",
     .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_EVTCHN_SEND) })
{
	expect_bad_input(
		ADDRESSES(KVM_XEN_HVM_EVTCHN_SEND, VM),
		BAD(KVM_XEN_HVM_EVTCHN_SEND, VM, EINVAL, "port 0", { .port = 0, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL }),
		BAD(KVM_XEN_HVM_EVTCHN_SEND, VM, EINVAL, "a port above the limit",
		    { .port = 4096, .priority = KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL }),
		BAD(KVM_XEN_HVM_EVTCHN_SEND, VM, EINVAL, "an unknown priority", { .port = 1, .priority = 0 }));
}

CASE(bad_input, KVM_XEN_VCPU_GET_ATTR, .contract = "bad_input.xen_attr",
     .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_SHARED_INFO) })
{
	expect_bad_input(
		ADDRESSES(KVM_XEN_VCPU_GET_ATTR, VCPU),
		BAD(KVM_XEN_VCPU_GET_ATTR, VCPU | READ_ONLY, EFAULT, "memory that cannot be written", { 0 }),
		BAD(KVM_XEN_VCPU_GET_ATTR, VCPU, ENOENT, "an unknown attribute", { .type = 99 }),
		BAD(KVM_XEN_VCPU_GET_ATTR, VCPU, EINVAL, "an attribute that can only be set",
		    { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_ADJUST }),
		GOOD(KVM_XEN_VCPU_GET_ATTR, VCPU, { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_INFO }));
}

CASE(bad_input, KVM_XEN_VCPU_SET_ATTR, .contract = "bad_input.xen_attr",
     .needs = { CAP_BITS(KVM_CAP_XEN_HVM, KVM_XEN_HVM_CONFIG_RUNSTATE | KVM_XEN_HVM_CONFIG_EVTCHN_SEND) })
{
	expect_bad_input(
		ADDRESSES(KVM_XEN_VCPU_SET_ATTR, VCPU),
		BAD(KVM_XEN_VCPU_SET_ATTR, VCPU, ENOENT, "an unknown attribute", { .type = 99 }),
		BAD(KVM_XEN_VCPU_SET_ATTR, VCPU, EINVAL, "an unknown run state",
		    { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_CURRENT, .u.runstate.state = 4 }),
		BAD(KVM_XEN_VCPU_SET_ATTR, VCPU, EINVAL, "times that do not add up to the entry time",
		    { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA, .u.runstate = { .state_entry_time = 1 } }),
		BAD(KVM_XEN_VCPU_SET_ATTR, VCPU, EINVAL, "an entry time to come",
		    { .type = KVM_XEN_VCPU_ATTR_TYPE_RUNSTATE_DATA,
		      .u.runstate = { .state_entry_time = 1ul << 62, .time_running = 1ul << 62 } }),
		BAD(KVM_XEN_VCPU_SET_ATTR, VCPU, EINVAL, "a vCPU id above the limit",
		    { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, .u.vcpu_id = UINT_MAX }),
		BAD(KVM_XEN_VCPU_SET_ATTR, VCPU, EINVAL, "an unknown priority for the timer",
		    { .type = KVM_XEN_VCPU_ATTR_TYPE_TIMER, .u.timer = { .port = 1, .priority = 0 } }),
		BAD(KVM_XEN_VCPU_SET_ATTR, VCPU, EINVAL, "an upcall vector of exceptions'",
		    { .type = KVM_XEN_VCPU_ATTR_TYPE_UPCALL_VECTOR, .u.vector = 0xf }),
		GOOD(KVM_XEN_VCPU_SET_ATTR, VCPU, { .type = KVM_XEN_VCPU_ATTR_TYPE_VCPU_ID, .u.vcpu_id = 1 }));
}

/* VMs: encryption, filters */

CASE(bad_input, KVM_MEMORY_ENCRYPT_OP, .contract = "bad_input.memory_encryption")
{
	expect_bad_input(
		BAD_ADDRESS(KVM_MEMORY_ENCRYPT_OP, VM, ENOTTY, "no memory encryption", UNMAPPED),
		BAD_ADDRESS(KVM_MEMORY_ENCRYPT_OP, VM, ENOTTY, "no memory encryption, and NULL", 0));
}

CASE(bad_input, vcpu_memory_encryption, .contract = "bad_input.vcpu_memory_encryption", .needs = { KERNEL(6, 16) })
{
	if (strcmp(host.vendor, "kvm_intel") == 0)
		skip("needs a vendor module that cannot have TDX; this host has kvm_intel");
	expect_bad_input(
		BAD_ADDRESS(KVM_MEMORY_ENCRYPT_OP, VCPU, ENOTTY, "no memory encryption", UNMAPPED),
		BAD_ADDRESS(KVM_MEMORY_ENCRYPT_OP, VCPU, ENOTTY, "no memory encryption, and NULL", 0));
}

CASE(bad_input, KVM_MEMORY_ENCRYPT_REG_REGION, .contract = "bad_input.memory_encryption")
{
	expect_bad_input(
		ADDRESSES(KVM_MEMORY_ENCRYPT_REG_REGION, VM),
		BAD(KVM_MEMORY_ENCRYPT_REG_REGION, VM, ENOTTY, "no memory encryption", { .size = 0x1000 }));
}

CASE(bad_input, KVM_MEMORY_ENCRYPT_UNREG_REGION, .contract = "bad_input.memory_encryption")
{
	expect_bad_input(
		ADDRESSES(KVM_MEMORY_ENCRYPT_UNREG_REGION, VM),
		BAD(KVM_MEMORY_ENCRYPT_UNREG_REGION, VM, ENOTTY, "no memory encryption", { .size = 0x1000 }));
}

CASE(bad_input, KVM_SET_PMU_EVENT_FILTER, .contract = "bad_input.pmu_event_filter", .needs = { CAP(KVM_CAP_PMU_EVENT_FILTER) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_PMU_EVENT_FILTER, VM),
		BAD(KVM_SET_PMU_EVENT_FILTER, VM, EINVAL, "an unknown action", { .action = 2 }),
		BAD(KVM_SET_PMU_EVENT_FILTER, VM, EINVAL, "an unknown flag", { .flags = 1 << 1 }),
		BAD(KVM_SET_PMU_EVENT_FILTER, VM, E2BIG, "301 events", { .nevents = 301 }),
		BAD(KVM_SET_PMU_EVENT_FILTER, VM, E2BIG, "2^32 - 1 events", { .nevents = UINT_MAX }),
		BAD(KVM_SET_PMU_EVENT_FILTER, VM, EFAULT, "fewer events than it says", { .nevents = 300 }),
		GOOD(KVM_SET_PMU_EVENT_FILTER, VM, { .nevents = 0 }));
}

CASE(bad_input, masked_pmu_event, .contract = "bad_input.masked_pmu_event", .needs = { CAP(KVM_CAP_PMU_EVENT_MASKED_EVENTS) })
{
	expect_bad_input(
		BAD_LIST(KVM_SET_PMU_EVENT_FILTER, VM, EINVAL, "a masked event with bit 36",
			 ({ .nevents = 1, .flags = KVM_PMU_EVENT_FLAG_MASKED_EVENTS }), __u64, { 1ul << 36 }),
		BAD_LIST(KVM_SET_PMU_EVENT_FILTER, VM, EINVAL, "a masked event with bit 54",
			 ({ .nevents = 1, .flags = KVM_PMU_EVENT_FLAG_MASKED_EVENTS }), __u64, { 1ul << 54 }));
}

CASE(bad_input, KVM_X86_SET_MSR_FILTER, .contract = "bad_input.msr_filter", .needs = { CAP(KVM_CAP_X86_MSR_FILTER) })
{
#define BAD_RANGE(err, what, ...)                                                                  \
	BAD(KVM_X86_SET_MSR_FILTER, VM, err, what, { .ranges = { [KVM_MSR_FILTER_MAX_RANGES - 1] = __VA_ARGS__ } })
	expect_bad_input(
		ADDRESSES(KVM_X86_SET_MSR_FILTER, VM),
		BAD(KVM_X86_SET_MSR_FILTER, VM, EINVAL, "an unknown flag", { .flags = 1 << 1 }),
		BAD(KVM_X86_SET_MSR_FILTER, VM, EINVAL, "denial of all MSRs", { .flags = KVM_MSR_FILTER_DEFAULT_DENY }),
		BAD_RANGE(EINVAL, "a range for neither reads nor writes", { .nmsrs = 1, .bitmap = (__u8 *)UNMAPPED }),
		BAD_RANGE(EINVAL, "an unknown flag for a range", { .flags = 1 << 2, .nmsrs = 1, .bitmap = (__u8 *)UNMAPPED }),
		BAD_RANGE(EINVAL, "a range of more than 0x600 bytes",
			  { .flags = KVM_MSR_FILTER_READ, .nmsrs = 0x600 * 8 + 1, .bitmap = (__u8 *)UNMAPPED }),
		BAD_RANGE(EFAULT, "a range without its bits", { .flags = KVM_MSR_FILTER_READ, .nmsrs = 1, .bitmap = (__u8 *)UNMAPPED }),
		GOOD(KVM_X86_SET_MSR_FILTER, VM, {}));
}

/* vCPUs: registers */

CASE(bad_input, KVM_GET_REGS, .contract = "bad_input.address")
{
	expect_bad_input(RESULT(KVM_GET_REGS, VCPU));
}

CASE(bad_input, KVM_SET_REGS, .contract = "bad_input.address")
{
	expect_bad_input(ADDRESSES(KVM_SET_REGS, VCPU),
		GOOD_AS(KVM_SET_REGS, KVM_GET_REGS, VCPU, {}));
}

CASE(bad_input, KVM_GET_SREGS, .contract = "bad_input.address")
{
	expect_bad_input(RESULT(KVM_GET_SREGS, VCPU));
}

#define CR0_PE   1u
#define CR0_PG   (1u << 31)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)

CASE(bad_input, KVM_SET_SREGS, .contract = "bad_input.set_sregs")
{
	expect_bad_input(
		ADDRESSES(KVM_SET_SREGS, VCPU),
		BAD(KVM_SET_SREGS, VCPU, EINVAL, "long mode without PAE", { .cr0 = CR0_PE | CR0_PG, .efer = EFER_LME | EFER_LMA }),
		BAD(KVM_SET_SREGS, VCPU, EINVAL, "EFER.LMA outside of long mode", { .efer = EFER_LMA }),
		BAD(KVM_SET_SREGS, VCPU, EINVAL, "64-bit code outside of long mode", { .cs.l = 1 }),
		BAD(KVM_SET_SREGS, VCPU, EINVAL, "a CR4 bit that there is not", { .cr4 = 1ul << 63 }),
		BAD(KVM_SET_SREGS, VCPU, EINVAL, "an APIC base that there is not", { .apic_base = 1ul << 63 }),
		BAD_IF(KERNEL(6, 6), KVM_SET_SREGS, VCPU, EINVAL, "paging without protection", { .cr0 = CR0_PG }),
		BAD_IF(KERNEL(6, 6), KVM_SET_SREGS, VCPU, EINVAL, "a CR0 bit above 32", { .cr0 = 1ul << 32 }),
		GOOD_AS(KVM_SET_SREGS, KVM_GET_SREGS, VCPU, {}));
}

CASE(bad_input, efer_that_no_cpu_has, .contract = "bad_input.efer", .needs = { KERNEL(6, 12) })
{
	expect_bad_input(BAD(KVM_SET_SREGS, VCPU, EINVAL, "an EFER bit that there is not", { .efer = 1ul << 63 }));
}

CASE(bad_input, KVM_GET_SREGS2, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_SREGS2) })
{
	expect_bad_input(RESULT(KVM_GET_SREGS2, VCPU));
}

CASE(bad_input, KVM_SET_SREGS2, .contract = "bad_input.set_sregs2", .needs = { CAP(KVM_CAP_SREGS2) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_SREGS2, VCPU),
		BAD(KVM_SET_SREGS2, VCPU, EINVAL, "an unknown flag", { .flags = 1 << 1 }),
		BAD(KVM_SET_SREGS2, VCPU, EINVAL, "page directory pointers without PAE", { .flags = KVM_SREGS2_FLAGS_PDPTRS_VALID }),
		BAD(KVM_SET_SREGS2, VCPU, EINVAL, "long mode without PAE", { .cr0 = CR0_PE | CR0_PG, .efer = EFER_LME | EFER_LMA }),
		BAD(KVM_SET_SREGS2, VCPU, EINVAL, "a CR4 bit that there is not", { .cr4 = 1ul << 63 }),
		GOOD_AS(KVM_SET_SREGS2, KVM_GET_SREGS2, VCPU, {}));
}

CASE(bad_input, KVM_SET_MSRS, .contract = "bad_input.msrs")
{
	expect_bad_input(
		ADDRESSES(KVM_SET_MSRS, VCPU),
		BAD(KVM_SET_MSRS, VCPU, E2BIG, "256 MSRs", { .nmsrs = 256 }),
		BAD(KVM_SET_MSRS, VCPU, E2BIG, "2^32 - 1 MSRs", { .nmsrs = UINT_MAX }),
		BAD(KVM_SET_MSRS, VCPU, EFAULT, "fewer MSRs than it says", { .nmsrs = 255 }),
		TAKEN(KVM_SET_MSRS, VCPU, "no MSR", { .nmsrs = 0 }));
}

CASE(bad_input, KVM_GET_FPU, .contract = "bad_input.address")
{
	expect_bad_input(RESULT(KVM_GET_FPU, VCPU));
}

CASE(bad_input, KVM_SET_FPU, .contract = "bad_input.address")
{
	expect_bad_input(ADDRESSES(KVM_SET_FPU, VCPU),
		GOOD_AS(KVM_SET_FPU, KVM_GET_FPU, VCPU, {}));
}

CASE(bad_input, KVM_GET_DEBUGREGS, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_DEBUGREGS) })
{
	expect_bad_input(RESULT(KVM_GET_DEBUGREGS, VCPU));
}

CASE(bad_input, KVM_SET_DEBUGREGS, .contract = "bad_input.set_debugregs", .needs = { CAP(KVM_CAP_DEBUGREGS) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_DEBUGREGS, VCPU),
		BAD(KVM_SET_DEBUGREGS, VCPU, EINVAL, "flags", { .flags = 1 }),
		BAD(KVM_SET_DEBUGREGS, VCPU, EINVAL, "a DR6 bit above 32", { .dr6 = 1ul << 32 }),
		BAD(KVM_SET_DEBUGREGS, VCPU, EINVAL, "a DR7 bit above 32", { .dr7 = 1ul << 32 }),
		TAKEN(KVM_SET_DEBUGREGS, VCPU, "reserved fields that are not 0", { .reserved = { 1 } }),
		GOOD_AS(KVM_SET_DEBUGREGS, KVM_GET_DEBUGREGS, VCPU, {}));
}

CASE(bad_input, KVM_GET_XSAVE, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_XSAVE) })
{
	expect_bad_input(RESULT(KVM_GET_XSAVE, VCPU));
}

CASE(bad_input, KVM_GET_XSAVE2, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_XSAVE2) })
{
	expect_bad_input(RESULT(KVM_GET_XSAVE2, VCPU));
}

#define XSTATE_BV (512 / 4) /* the header's first word, in words: Intel SDM Vol. 1, 13.4.2 */

CASE(bad_input, KVM_SET_XSAVE, .contract = "bad_input.set_xsave", .needs = { CAP(KVM_CAP_XSAVE) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_XSAVE, VCPU),
		BAD(KVM_SET_XSAVE, VCPU, EINVAL, "state that there is not", { .region = { [XSTATE_BV + 1] = 1u << 30 } }),
		GOOD_AS(KVM_SET_XSAVE, KVM_GET_XSAVE, VCPU, {}));
}

CASE(bad_input, KVM_GET_XCRS, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_XCRS) })
{
	expect_bad_input(RESULT(KVM_GET_XCRS, VCPU));
}

CASE(bad_input, KVM_SET_XCRS, .contract = "bad_input.set_xcrs", .needs = { CAP(KVM_CAP_XCRS) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_XCRS, VCPU),
		BAD(KVM_SET_XCRS, VCPU, EINVAL, "17 registers", { .nr_xcrs = KVM_MAX_XCRS + 1 }),
		BAD(KVM_SET_XCRS, VCPU, EINVAL, "flags", { .flags = 1 }),
		BAD(KVM_SET_XCRS, VCPU, EINVAL, "XCR0 without the x87 state", { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 2 } } }),
		BAD(KVM_SET_XCRS, VCPU, EINVAL, "state that there is not", { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = 1 | 1ul << 62 } } }),
		GOOD_AS(KVM_SET_XCRS, KVM_GET_XCRS, VCPU, {}));
}

CASE(bad_input, KVM_GET_REG_LIST, .contract = "bad_input.one_reg", .needs = { CAP(KVM_CAP_ONE_REG) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_REG_LIST, VCPU),
		BAD(KVM_GET_REG_LIST, VCPU | READ_ONLY, EFAULT, "memory that cannot be written", { 0 }),
		GOOD_LIST(KVM_GET_REG_LIST, VCPU, __u64, 64, { .n = 64 }));
}

#define BAD_REGISTERS(verb) \
	ADDRESSES(KVM_##verb##_ONE_REG, VCPU), \
	BAD(KVM_##verb##_ONE_REG, VCPU, EINVAL, "a register of another architecture", { .id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 }), \
	BAD(KVM_##verb##_ONE_REG, VCPU, EINVAL, "a register of no type", { .id = KVM_REG_X86 | KVM_REG_SIZE_U64 }), \
	BAD(KVM_##verb##_ONE_REG, VCPU, EINVAL, "a register of an unknown type", { .id = KVM_REG_X86 | KVM_REG_SIZE_U64 | 0xffull << 32 }), \
	BAD(KVM_##verb##_ONE_REG, VCPU, EINVAL, "an MSR of 32 bits", \
	    { .id = (KVM_X86_REG_MSR(0xc0000080) & ~KVM_REG_SIZE_MASK) | KVM_REG_SIZE_U32 }), \
	BAD(KVM_##verb##_ONE_REG, VCPU, EINVAL, "reserved bits in the id", { .id = KVM_X86_REG_MSR(0xc0000080) | 1ull << 40 }), \
	BAD(KVM_##verb##_ONE_REG, VCPU, EFAULT, "no place for the value", { .id = KVM_X86_REG_MSR(0x10), .addr = UNMAPPED })

CASE(bad_input, KVM_GET_ONE_REG, .contract = "bad_input.one_reg", .needs = { CAP(KVM_CAP_ONE_REG) })
{
	__u64 value = 0;

	expect_bad_input(BAD_REGISTERS(GET),
		GOOD(KVM_GET_ONE_REG, VCPU, { .id = KVM_X86_REG_MSR(0x10), .addr = (uintptr_t)&value }));
}

CASE(bad_input, KVM_SET_ONE_REG, .contract = "bad_input.one_reg", .needs = { CAP(KVM_CAP_ONE_REG) })
{
	__u64 value = 0;

	expect_bad_input(BAD_REGISTERS(SET),
		GOOD(KVM_SET_ONE_REG, VCPU, { .id = KVM_X86_REG_MSR(0x10), .addr = (uintptr_t)&value }));
}

/* vCPUs: running, events */

CASE(bad_input, KVM_RUN, .contract = "run.no_argument")
{
	expect_bad_input(
		BAD(KVM_RUN, VCPU, EINVAL, "an argument", { 1 }),
		BAD(KVM_RUN, VCPU, EINVAL, "an argument above 32 bits", { 1ul << 32 }));
}

CASE(bad_input, KVM_TRANSLATE, .contract = "bad_input.address")
{
	expect_bad_input(
		ADDRESSES(KVM_TRANSLATE, VCPU),
		BAD(KVM_TRANSLATE, VCPU | READ_ONLY, EFAULT, "memory that cannot be written", { 0 }),
		GOOD(KVM_TRANSLATE, VCPU, { .linear_address = IMAGE_BASE }));
}

CASE(bad_input, KVM_INTERRUPT, .contract = "bad_input.interrupt")
{
	expect_bad_input(
		ADDRESSES(KVM_INTERRUPT, VCPU),
		BAD(KVM_INTERRUPT, VCPU, EINVAL, "vector 256", { .irq = 256 }),
		BAD(KVM_INTERRUPT, VCPU, EINVAL, "vector 2^32 - 1", { .irq = UINT_MAX }),
		BAD(KVM_INTERRUPT, VCPU | IRQCHIP, ENXIO, "a PIC in the kernel", { .irq = 0x20 }),
		BAD(KVM_INTERRUPT, VCPU | IRQCHIP, EINVAL, "vector 256, and a PIC in the kernel", { .irq = 256 }),
		TAKEN(KVM_INTERRUPT, VCPU | SPLIT_IRQCHIP, "an interrupt while they are disabled", { .irq = 0x20 }),
		BAD(KVM_INTERRUPT, VCPU | SPLIT_IRQCHIP, EEXIST, "another interrupt before the first is taken", { .irq = 0x21 }));
}

CASE(bad_input, KVM_NMI, .contract = "bad_input.ignored_argument", .needs = { CAP(KVM_CAP_USER_NMI) })
{
	expect_bad_input(TAKEN(KVM_NMI, VCPU, "an argument", { -1ul }));
}

CASE(bad_input, KVM_SMI, .contract = "bad_input.ignored_argument", .needs = { CAP(KVM_CAP_X86_SMM) })
{
	expect_bad_input(TAKEN(KVM_SMI, VCPU | SMRAM, "an argument", { -1ul }));
}

CASE(bad_input, KVM_SET_SIGNAL_MASK, .contract = "bad_input.signal_mask")
{
	expect_bad_input(
		BAD_ADDRESS(KVM_SET_SIGNAL_MASK, VCPU, EFAULT, "an address that is not mapped", UNMAPPED),
		BAD_ADDRESS(KVM_SET_SIGNAL_MASK, VCPU, EFAULT, "an address of the kernel's", KERNELS_MEMORY),
		BAD_ADDRESS(KVM_SET_SIGNAL_MASK, VCPU, 0, "NULL", 0),
		BAD(KVM_SET_SIGNAL_MASK, VCPU, EINVAL, "a set of no length", { .len = 0 }),
		BAD(KVM_SET_SIGNAL_MASK, VCPU, EINVAL, "a set of 4 bytes", { .len = 4 }),
		BAD(KVM_SET_SIGNAL_MASK, VCPU, EINVAL, "a set of 128 bytes", { .len = 128 }),
		BAD(KVM_SET_SIGNAL_MASK, VCPU, EFAULT, "a set that is not there", { .len = 8 }));
}

CASE(bad_input, KVM_GET_LAPIC, .contract = "bad_input.lapic", .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	expect_bad_input(
		BAD(KVM_GET_LAPIC, VCPU, EINVAL, "no local APIC in the kernel", {}),
		RESULT(KVM_GET_LAPIC, VCPU | SPLIT_IRQCHIP));
}

CASE(bad_input, KVM_SET_LAPIC, .contract = "bad_input.lapic", .needs = { CAP(KVM_CAP_IRQCHIP) })
{
	expect_bad_input(
		BAD(KVM_SET_LAPIC, VCPU, EINVAL, "no local APIC in the kernel", {}),
		ADDRESSES(KVM_SET_LAPIC, VCPU | SPLIT_IRQCHIP),
		GOOD_AS(KVM_SET_LAPIC, KVM_GET_LAPIC, VCPU | SPLIT_IRQCHIP, {}));
}

CASE(bad_input, KVM_GET_MP_STATE, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_MP_STATE) })
{
	expect_bad_input(RESULT(KVM_GET_MP_STATE, VCPU));
}

CASE(bad_input, KVM_SET_MP_STATE, .contract = "bad_input.mp_state", .needs = { CAP(KVM_CAP_MP_STATE) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_MP_STATE, VCPU),
		BAD(KVM_SET_MP_STATE, VCPU, EINVAL, "KVM_MP_STATE_UNINITIALIZED and no local APIC in the kernel", { KVM_MP_STATE_UNINITIALIZED }),
		BAD(KVM_SET_MP_STATE, VCPU, EINVAL, "KVM_MP_STATE_INIT_RECEIVED and no local APIC in the kernel", { KVM_MP_STATE_INIT_RECEIVED }),
		BAD(KVM_SET_MP_STATE, VCPU, EINVAL, "KVM_MP_STATE_HALTED and no local APIC in the kernel", { KVM_MP_STATE_HALTED }),
		BAD(KVM_SET_MP_STATE, VCPU, EINVAL, "KVM_MP_STATE_SIPI_RECEIVED and no local APIC in the kernel", { KVM_MP_STATE_SIPI_RECEIVED }),
		BAD(KVM_SET_MP_STATE, VCPU | SPLIT_IRQCHIP, EINVAL, "a state of another architecture", { KVM_MP_STATE_OPERATING }),
		BAD(KVM_SET_MP_STATE, VCPU | SPLIT_IRQCHIP, EINVAL, "an unknown state", { UINT_MAX }),
		GOOD_AS(KVM_SET_MP_STATE, KVM_GET_MP_STATE, VCPU | SPLIT_IRQCHIP, {}));
}

CASE(bad_input, KVM_GET_VCPU_EVENTS, .contract = "bad_input.address", .needs = { CAP(KVM_CAP_VCPU_EVENTS) })
{
	expect_bad_input(RESULT(KVM_GET_VCPU_EVENTS, VCPU));
}

CASE(bad_input, KVM_SET_VCPU_EVENTS, .contract = "bad_input.vcpu_events", .needs = { CAP(KVM_CAP_VCPU_EVENTS) })
{
#define BAD_EVENTS(what, ...) BAD(KVM_SET_VCPU_EVENTS, VCPU, EINVAL, what, __VA_ARGS__)
	expect_bad_input(
		ADDRESSES(KVM_SET_VCPU_EVENTS, VCPU),
		BAD_EVENTS("an unknown flag", { .flags = 1 << 6 }),
		BAD_EVENTS("the highest flag", { .flags = 1u << 31 }),
		BAD_EVENTS("a payload without its capability", { .flags = KVM_VCPUEVENT_VALID_PAYLOAD }),
		BAD_EVENTS("a triple fault without its capability", { .flags = KVM_VCPUEVENT_VALID_TRIPLE_FAULT }),
		BAD_EVENTS("exception 32", { .exception = { .injected = 1, .nr = 32 } }),
		BAD_EVENTS("an NMI as an exception", { .exception = { .injected = 1, .nr = 2 } }),
		GOOD_AS(KVM_SET_VCPU_EVENTS, KVM_GET_VCPU_EVENTS, VCPU, {}));
}

CASE(bad_input, KVM_SET_GUEST_DEBUG, .contract = "bad_input.guest_debug", .needs = { CAP(KVM_CAP_SET_GUEST_DEBUG) })
{
	expect_bad_input(
		ADDRESSES(KVM_SET_GUEST_DEBUG, VCPU),
		TAKEN(KVM_SET_GUEST_DEBUG, VCPU, "an unknown flag", { .control = 1u << 15 }),
		TAKEN(KVM_SET_GUEST_DEBUG, VCPU, "padding that is not 0", { .pad = 1 }));
}

/* vCPUs: CPUID, machine checks, time, nested state */

CASE(bad_input, KVM_SET_CPUID, .contract = "bad_input.set_cpuid")
{
	expect_bad_input(
		ADDRESSES(KVM_SET_CPUID, VCPU),
		BAD(KVM_SET_CPUID, VCPU, E2BIG, "257 entries", { .nent = CPUID_ENTRIES_MAX + 1 }),
		BAD(KVM_SET_CPUID, VCPU, E2BIG, "2^32 - 1 entries", { .nent = UINT_MAX }),
		BAD(KVM_SET_CPUID, VCPU, EFAULT, "fewer entries than it says", { .nent = CPUID_ENTRIES_MAX }),
		BAD_LIST(KVM_SET_CPUID, VCPU | NEVER_RAN, EINVAL, "linear addresses of 47 bits",
			 ({ .nent = 1 }), struct kvm_cpuid_entry, { .function = 0x80000008, .eax = 47 << 8 }),
		BAD(KVM_SET_CPUID, VCPU | CPUID, E2BIG, "257 entries", { .nent = CPUID_ENTRIES_MAX + 1 }),
		BAD_LIST(KVM_SET_CPUID, VCPU | CPUID, EINVAL, "another CPU than the vCPU has run as",
			 ({ .nent = 1 }), struct kvm_cpuid_entry, { .function = 0 }),
		GOOD_LIST(KVM_SET_CPUID, VCPU | NEVER_RAN, struct kvm_cpuid_entry, 1, { .nent = 1 }));
}

CASE(bad_input, KVM_SET_CPUID2, .contract = "bad_input.set_cpuid", .needs = { CAP(KVM_CAP_EXT_CPUID) })
{
	expect_bad_input(
		BAD_LIST(KVM_SET_CPUID2, VCPU | NEVER_RAN, EINVAL, "linear addresses of 47 bits",
			 ({ .nent = 1 }), struct kvm_cpuid_entry2, { .function = 0x80000008, .eax = 47 << 8 }),
		ADDRESSES(KVM_SET_CPUID2, VCPU),
		BAD(KVM_SET_CPUID2, VCPU, E2BIG, "257 entries", { .nent = CPUID_ENTRIES_MAX + 1 }),
		BAD(KVM_SET_CPUID2, VCPU, E2BIG, "2^32 - 1 entries", { .nent = UINT_MAX }),
		BAD(KVM_SET_CPUID2, VCPU, EFAULT, "fewer entries than it says", { .nent = CPUID_ENTRIES_MAX }),
		BAD(KVM_SET_CPUID2, VCPU | CPUID, E2BIG, "257 entries", { .nent = CPUID_ENTRIES_MAX + 1 }),
		BAD_LIST(KVM_SET_CPUID2, VCPU | CPUID, EINVAL, "another CPU than the vCPU has run as",
			 ({ .nent = 1 }), struct kvm_cpuid_entry2, { .function = 0 }),
		GOOD_LIST(KVM_SET_CPUID2, VCPU | NEVER_RAN, struct kvm_cpuid_entry2, 1, { .nent = 1 }));
}

CASE(bad_input, KVM_GET_CPUID2, .contract = "bad_input.get_cpuid2", .needs = { CAP(KVM_CAP_EXT_CPUID) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_CPUID2, VCPU | CPUID),
		BAD(KVM_GET_CPUID2, VCPU | CPUID, E2BIG, "room for nothing", { .nent = 0 }),
		BAD(KVM_GET_CPUID2, VCPU | CPUID, E2BIG, "room for one", { .nent = 1 }),
		BAD(KVM_GET_CPUID2, VCPU | CPUID, EFAULT, "less room than it says", { .nent = UINT_MAX }),
		GOOD_LIST(KVM_GET_CPUID2, VCPU | CPUID, struct kvm_cpuid_entry2, CPUID_ENTRIES_MAX, { .nent = CPUID_ENTRIES_MAX }));
}

CASE(bad_input, KVM_X86_SETUP_MCE, .contract = "bad_input.setup_mce", .needs = { CAP(KVM_CAP_MCE) })
{
	expect_bad_input(
		ADDRESSES(KVM_X86_SETUP_MCE, VCPU),
		BAD(KVM_X86_SETUP_MCE, VCPU, EINVAL, "no bank", { 0 }),
		BAD(KVM_X86_SETUP_MCE, VCPU, EINVAL, "33 banks", { 33 }),
		BAD(KVM_X86_SETUP_MCE, VCPU, EINVAL, "255 banks", { 255 }),
		BAD(KVM_X86_SETUP_MCE, VCPU, EINVAL, "a feature that there is not", { 1 | 1ull << 63 }),
		GOOD(KVM_X86_SETUP_MCE, VCPU, { 1 }));
}

CASE(bad_input, KVM_X86_SET_MCE, .contract = "bad_input.set_mce", .needs = { CAP(KVM_CAP_MCE) })
{
	expect_bad_input(
		ADDRESSES(KVM_X86_SET_MCE, VCPU),
		BAD(KVM_X86_SET_MCE, VCPU, EINVAL, "a bank that there is not", { .status = 1ull << 63, .bank = 255 }),
		BAD(KVM_X86_SET_MCE, VCPU, EINVAL, "a status that is not valid", { .bank = 0 }),
		GOOD(KVM_X86_SET_MCE, VCPU, { .status = 1ull << 63, .bank = 0 }));
}

CASE(bad_input, KVM_KVMCLOCK_CTRL, .contract = "bad_input.kvmclock_ctrl", .needs = { CAP(KVM_CAP_KVMCLOCK_CTRL) })
{
	expect_bad_input(
		BAD(KVM_KVMCLOCK_CTRL, VCPU, EINVAL, "a guest without a paravirtual clock", { 0 }),
		BAD(KVM_KVMCLOCK_CTRL, VCPU, EINVAL, "an argument, and a guest without a paravirtual clock", { -1ul }));
}

CASE(bad_input, KVM_SET_VAPIC_ADDR, .contract = "bad_input.vapic_addr", .needs = { CAP(KVM_CAP_VAPIC) })
{
	expect_bad_input(
		BAD(KVM_SET_VAPIC_ADDR, VCPU, EINVAL, "no local APIC in the kernel", { 0x2000 }),
		ADDRESSES(KVM_SET_VAPIC_ADDR, VCPU | SPLIT_IRQCHIP),
		BAD(KVM_SET_VAPIC_ADDR, VCPU | SPLIT_IRQCHIP, EINVAL, "an address that no slot backs", { HOLE }),
		GOOD(KVM_SET_VAPIC_ADDR, VCPU | SPLIT_IRQCHIP, { 0 }));
}

CASE(bad_input, KVM_TPR_ACCESS_REPORTING, .contract = "bad_input.tpr_access", .needs = { CAP(KVM_CAP_VAPIC) })
{
	expect_bad_input(
		ADDRESSES(KVM_TPR_ACCESS_REPORTING, VCPU),
		BAD(KVM_TPR_ACCESS_REPORTING, VCPU, EINVAL, "flags", { .flags = 1 }),
		BAD(KVM_TPR_ACCESS_REPORTING, VCPU | READ_ONLY, EFAULT, "memory that cannot be written", { 0 }),
		TAKEN(KVM_TPR_ACCESS_REPORTING, VCPU, "reserved fields that are not 0", { .reserved = { 1 } }));
}

CASE(bad_input, KVM_GET_NESTED_STATE, .contract = "bad_input.get_nested_state", .needs = { CAP(KVM_CAP_NESTED_STATE) })
{
	expect_bad_input(
		ADDRESSES(KVM_GET_NESTED_STATE, VCPU),
		BAD(KVM_GET_NESTED_STATE, VCPU, E2BIG, "room for nothing", { .size = 0 }),
		BAD(KVM_GET_NESTED_STATE, VCPU, E2BIG, "too little room by one byte", { .size = sizeof(struct kvm_nested_state) - 1 }),
		BAD(KVM_GET_NESTED_STATE, VCPU | READ_ONLY, EFAULT, "memory that cannot be written", { .size = 0 }),
		GOOD_LIST(KVM_GET_NESTED_STATE, VCPU, char, 0x2000, { .size = sizeof(struct kvm_nested_state) + 0x2000 }));
}

CASE(bad_input, no_nested_state, .contract = "bad_input.no_nested_state")
{
	if (host_cap(KVM_CAP_NESTED_STATE))
		skip("needs a KVM that does not nest; this one does");
	expect_bad_input(
		BAD(KVM_GET_NESTED_STATE, VCPU, EINVAL, "no nesting", { .size = sizeof(struct kvm_nested_state) }),
		BAD(KVM_SET_NESTED_STATE, VCPU, EINVAL, "no nesting", { .size = sizeof(struct kvm_nested_state) }));
}

CASE(bad_input, KVM_SET_NESTED_STATE, .contract = "bad_input.set_nested_state", .needs = { CAP(KVM_CAP_NESTED_STATE) })
{
#define BAD_STATE(what, ...) BAD(KVM_SET_NESTED_STATE, VCPU, EINVAL, what, __VA_ARGS__)
	expect_bad_input(
		ADDRESSES(KVM_SET_NESTED_STATE, VCPU),
		BAD_STATE("size 0", { .size = 0 }),
		BAD_STATE("a size below that of the header", { .size = sizeof(struct kvm_nested_state) - 1 }),
		BAD_STATE("an unknown flag", { .size = sizeof(struct kvm_nested_state), .flags = 1 << 15 }),
		BAD_STATE("a pending entry without guest mode",
			  { .size = sizeof(struct kvm_nested_state), .flags = KVM_STATE_NESTED_RUN_PENDING }),
		BAD_STATE("an unknown format", { .size = sizeof(struct kvm_nested_state), .format = 99 }),
		GOOD_AS(KVM_SET_NESTED_STATE, KVM_GET_NESTED_STATE, VCPU, { .size = sizeof(struct kvm_nested_state) }));
}

CASE(bad_input, KVM_ENABLE_CAP, .contract = "bad_input.enable_cap")
{
	expect_bad_input(
		ADDRESSES(KVM_ENABLE_CAP, VM),
		BAD(KVM_ENABLE_CAP, VM, EINVAL, "an unknown capability", { .cap = INT_MAX }),
		BAD(KVM_ENABLE_CAP, VM, EINVAL, "a capability that needs no enabling", { .cap = KVM_CAP_USER_MEMORY }),
		BAD(KVM_ENABLE_CAP, VM, EINVAL, "a capability of vCPUs", { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID }),
		ADDRESSES(KVM_ENABLE_CAP, VCPU),
		BAD(KVM_ENABLE_CAP, VCPU, EINVAL, "an unknown capability", { .cap = INT_MAX }),
		BAD(KVM_ENABLE_CAP, VCPU, EINVAL, "a capability that needs no enabling", { .cap = KVM_CAP_USER_MEMORY }),
		BAD(KVM_ENABLE_CAP, VCPU, EINVAL, "a capability of VMs", { .cap = KVM_CAP_EXCEPTION_PAYLOAD }),
		GOOD(KVM_ENABLE_CAP, VM, { .cap = KVM_CAP_EXCEPTION_PAYLOAD }),
		GOOD(KVM_ENABLE_CAP, VCPU, { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID }));
}

/* clang-format on */

/* Every ioctl that this kind of descriptor does not know fails, whatever else it is. */
static void expect_unknown(const struct kvm_fd *fd, enum fd_kind kind, int err)
{
	for (const struct ioctl_info *i = ioctl_table; i < ioctl_table + IOCTL_COUNT; i++) {
		int got = i->kinds & kind || ioctl(fd->fd, i->nr, 0) >= 0 ? 0 : errno;

		if (!(i->kinds & kind))
			expect(got == err, "%s fails with %s", i->name, errno_name(got));
	}
}

/* In another process every ioctl of VMs, vCPUs and devices fails alike. */
static void expect_eio_elsewhere(const struct kvm_fd *fd, enum fd_kind kind)
{
	const struct ioctl_info *i = ioctl_table;
	pid_t child = fork();
	int status;

	if (child == 0) {
		while (i < ioctl_table + IOCTL_COUNT &&
		       (!(i->kinds & kind) || (ioctl(fd->fd, i->nr, 0) < 0 && errno == EIO)))
			i++;
		_exit(i - ioctl_table);
	}
	if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
		error("cannot run a child process: %s", strerror(errno));
	if (WEXITSTATUS(status) != IOCTL_COUNT)
		fail("every ioctl fails with EIO in another process", "%s does not",
		     ioctl_table[WEXITSTATUS(status)].name);
}

CASE(bad_input, in_another_process, .contract = "ioctl.other_process")
{
	struct vcpu *vcpu = vcpu_create(vm_create(), 0);

	expect_eio_elsewhere(&vcpu->vm->kvm_fd, FD_VM);
	expect_eio_elsewhere(&vcpu->kvm_fd, FD_VCPU);
}

CASE(bad_input, device_in_another_process, .contract = "lifetime.device_of_another_process")
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	if (x_try(vm_create(), KVM_CREATE_DEVICE, &device) < 0)
		skip("needs a device of KVM's; this kernel has none");
	expect_eio_elsewhere(&(struct kvm_fd){ .fd = device.fd }, FD_DEVICE);
}

CASE(bad_input, on_dev_kvm, .contract = "ioctl.unknown.system")
{
	expect_unknown(&host.kvm.kvm_fd, FD_SYSTEM, EINVAL);
}

CASE(bad_input, on_a_vm, .contract = "ioctl.unknown.vm")
{
	expect_unknown(&vm_create()->kvm_fd, FD_VM, ENOTTY);
}

CASE(bad_input, on_a_vcpu, .contract = "ioctl.unknown.vcpu")
{
	expect_unknown(&vcpu_create(vm_create(), 0)->kvm_fd, FD_VCPU, EINVAL);
}

CASE(bad_input, on_a_device, .contract = "ioctl.unknown.device")
{
	struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

	if (x_try(vm_create(), KVM_CREATE_DEVICE, &device) < 0)
		skip("needs a device of KVM's; this kernel has none");
	expect_unknown(&(struct kvm_fd){ .fd = device.fd }, FD_DEVICE, ENOTTY);
}
