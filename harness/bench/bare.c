// SPDX-License-Identifier: MIT
/*
 * The least that an isolated case can cost: fork, make a VM with memory and a vCPU, run a real-mode
 * guest to its HLT, let the kernel tear it all down. No framework, no checks but that it works.
 * Usage: bare COUNT. Prints the microseconds of each, one a line.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RAM_SIZE 0x80000ul /* as in harness/vm.h */
#define ENTRY    0x1000

static int kvm;
static int run_size;

static int run_guest(void)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, 0);
	unsigned char *ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region region = { .memory_size = RAM_SIZE,
						      .userspace_addr = (uintptr_t)ram };
	struct kvm_regs regs = { .rip = ENTRY, .rsp = 0x8000, .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;
	int vcpu;

	ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
	ram[ENTRY] = 0xf4; /* hlt: the one place where a byte of machine code stands */
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	ioctl(vcpu, KVM_GET_SREGS, &sregs);
	sregs.cs.base = sregs.cs.selector = 0;
	ioctl(vcpu, KVM_SET_SREGS, &sregs);
	ioctl(vcpu, KVM_SET_REGS, &regs);
	return ioctl(vcpu, KVM_RUN, 0) == 0 && run->exit_reason == KVM_EXIT_HLT;
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 100;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	run_size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	ioctl(ioctl(kvm, KVM_CREATE_VM, 0), KVM_CREATE_VCPU, 0); /* as the runner does */
	for (int i = 0; i < count; i++) {
		double start = now_us();
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(run_guest() ? 0 : 1);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
			fprintf(stderr, "bare: the guest did not run to its HLT\n");
			return 1;
		}
		printf("%.1f\n", now_us() - start);
	}
	return 0;
}
