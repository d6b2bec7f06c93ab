// SPDX-License-Identifier: MIT
#include "host.h"

#include "case.h"
#include "evidence.h"

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

struct host host = { .kvm.kvm_fd = { .fd = -1, .kind = FD_SYSTEM } };

static char problem[512];

/* Names the group that owns the device, or its number. Not getgrgid(): it needs shared libraries. */
static const char *group_of(const char *path, char *buf, size_t size)
{
	struct stat st = { .st_gid = 0 };
	FILE *f = fopen("/etc/group", "re");
	const struct group *g;

	stat(path, &st);
	snprintf(buf, size, "%u", (unsigned)st.st_gid);
	while (f && (g = fgetgrent(f)))
		if (g->gr_gid == st.st_gid)
			snprintf(buf, size, "%s", g->gr_name);
	if (f)
		fclose(f);
	return buf;
}

static const char *explain_open(const char *path, int err)
{
	char group[64];

	switch (err) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		snprintf(
			problem, sizeof problem,
			"%s does not exist: KVM is not available here. Load the vendor's module "
			"(modprobe kvm_amd, or kvm_intel), or enable virtualisation in the firmware, "
			"or nested virtualisation on the machine that hosts this one.",
			path);
		break;
	case EACCES:
	case EPERM:
		group_of(path, group, sizeof group);
		snprintf(problem, sizeof problem,
			 "no permission to open %s, which belongs to group '%s'. Join it: "
			 "sudo usermod -aG %s \"$USER\", then log in again.",
			 path, group, group);
		break;
	default:
		snprintf(problem, sizeof problem, "cannot open %s: %s", path, strerror(err));
	}
	return problem;
}

/* The value of the first line of /proc/cpuinfo that begins with key. */
static void read_cpuinfo(const char *key, char *buf, size_t size)
{
	FILE *f = fopen("/proc/cpuinfo", "re");
	char line[4096];

	while (f && fgets(line, sizeof line, f)) {
		const char *value = strchr(line, ':');

		if (strncmp(line, key, strlen(key)) == 0 && value) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(buf, size, "%s", value[1] ? value + 2 : "");
			break;
		}
	}
	if (f)
		fclose(f);
}

/*
 * Built-in code shows under /sys/module whether it is in use or not: if there are several, the CPU's
 * flag decides between them.
 */
static void find_vendor(void)
{
	static const struct {
		const char *module, *flag;
	} vendors[] = { { "kvm_amd", " svm" }, { "kvm_intel", " vmx" }, { "kvm_pvm", NULL } };
	int found = 0;

	snprintf(host.vendor, sizeof host.vendor, "kvm");
	for (size_t i = 0; i < sizeof vendors / sizeof *vendors; i++) {
		char path[64];

		snprintf(path, sizeof path, "/sys/module/%s", vendors[i].module);
		if (access(path, F_OK) != 0)
			continue;
		if (found++ && !(vendors[i].flag && strstr(host.cpu_flags, vendors[i].flag)))
			continue;
		snprintf(host.vendor, sizeof host.vendor, "%s", vendors[i].module);
	}
}

/* Asked once: each CPUID instruction behind it may trap, which is slow on a nested host. */
static const char *read_supported_cpuid(void)
{
	host.cpuid =
		calloc(1, sizeof *host.cpuid + CPUID_ENTRIES_MAX * sizeof(struct kvm_cpuid_entry2));
	if (!host.cpuid)
		return "out of memory";
	host.cpuid->nent = CPUID_ENTRIES_MAX;
	if (x_try(&host.kvm, KVM_GET_SUPPORTED_CPUID, host.cpuid) < 0) {
		snprintf(problem, sizeof problem, "KVM_GET_SUPPORTED_CPUID fails: %s",
			 strerror(errno));
		return problem;
	}
	return NULL;
}

const char *host_open(const char *path)
{
	struct utsname uts;
	const char *engine = getenv("KVMSPEC_ENGINE");
	int version, size;

	host.engine = engine && *engine ? engine : "host";
	uname(&uts);
	snprintf(host.kernel, sizeof host.kernel, "%s", uts.release);
	read_cpuinfo("model name", host.cpu, sizeof host.cpu);
	read_cpuinfo("flags", host.cpu_flags, sizeof host.cpu_flags);
	find_vendor();

	host.kvm.kvm_fd.fd = open(path, O_RDWR | O_CLOEXEC);
	if (host.kvm.kvm_fd.fd < 0)
		return explain_open(path, errno);
	version = x_try(&host.kvm, KVM_GET_API_VERSION);
	if (version < 0) {
		snprintf(problem, sizeof problem, "%s is not KVM: KVM_GET_API_VERSION fails (%s)",
			 path, strerror(-version));
		return problem;
	}
	if (version != KVM_API_VERSION) {
		snprintf(problem, sizeof problem,
			 "%s answers KVM_GET_API_VERSION with %d instead of %d: applications must "
			 "refuse to run with any other version (api.rst, KVM_GET_API_VERSION).",
			 path, version, KVM_API_VERSION);
		return problem;
	}
	size = x_try(&host.kvm, KVM_GET_VCPU_MMAP_SIZE);
	if (size < (int)sizeof(struct kvm_run)) {
		snprintf(problem, sizeof problem, "%s: KVM_GET_VCPU_MMAP_SIZE returns %d", path,
			 size);
		return problem;
	}
	host.run_size = size;
	host.has_tss_addr = x_try(&host.kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_TSS_ADDR) > 0;
	return read_supported_cpuid();
}

static int make_vm(int *vcpu)
{
	int vm = ioctl(host.kvm.kvm_fd.fd, KVM_CREATE_VM, 0);

	*vcpu = vm >= 0 ? ioctl(vm, KVM_CREATE_VCPU, 0) : -1;
	return vm;
}

void host_hold_vm(void)
{
	int vcpu;

	make_vm(&vcpu);
}

double host_slowness(void)
{
	const double fast = 0.001; /* seconds; 0.4 ms where KVM itself runs in a virtual machine */
	double best = 1;

	for (int i = 0; i < 3; i++) {
		struct timespec start, end;
		double seconds;
		int vm, vcpu;

		clock_gettime(CLOCK_MONOTONIC, &start);
		vm = make_vm(&vcpu);
		clock_gettime(CLOCK_MONOTONIC, &end);
		close(vcpu);
		close(vm);
		seconds = (double)(end.tv_sec - start.tv_sec) + (end.tv_nsec - start.tv_nsec) / 1e9;
		if (seconds < best)
			best = seconds;
	}
	return best < fast ? 1 : best < 50 * fast ? best / fast : 50;
}

int host_compare_kernel(const char *version)
{
	const char *kernel = host.kernel;

	for (;;) {
		char *kernel_end, *version_end;
		long have = strtol(kernel, &kernel_end, 10);
		long want = strtol(version, &version_end, 10);

		if (have != want)
			return have < want ? -1 : 1;
		if (*version_end != '.')
			return 0;
		kernel = kernel_end + (*kernel_end == '.');
		version = version_end + 1;
	}
}

bool host_is_guest(void)
{
	unsigned eax, ebx, ecx = 0, edx;

	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	return ecx >> 31;
}

const char *host_hypercall(void)
{
	for (unsigned i = 0; i < host.cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &host.cpuid->entries[i];

		if (e->function == 0)
			return memcmp(&e->ebx, "Auth", 4) == 0 || memcmp(&e->ebx, "Hygo", 4) == 0
				       ? "vmmcall"
				       : "vmcall";
	}
	error("KVM_GET_SUPPORTED_CPUID has no leaf 0");
}

int host_cap(int cap)
{
	int answer = x_try(&host.kvm, KVM_CHECK_EXTENSION, cap);

	return answer < 0 ? 0 : answer;
}
