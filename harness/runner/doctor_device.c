// SPDX-License-Identifier: MIT
/* Why there is no KVM to open, by what the kernel says of itself, and what to do about it. */
#include "runner/doctor.h"

#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* What is missing: the file, or the driver behind it; NULL: neither. */
static json_t *find_missing(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	else if (errno == ENOENT)
		return json_sprintf("%s does not exist", path);
	else if (errno == ENODEV || errno == ENXIO)
		return json_sprintf("%s is there, but no driver behind it", path);
	return NULL;
}

/* The minor number of the kernel's own KVM device, or -1. */
static int find_minor(void)
{
	FILE *f = fopen("/proc/misc", "re");
	char line[128], name[64];
	int minor, found = -1;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%d %63s", &minor, name) == 2 && strcmp(name, "kvm") == 0)
			found = minor;
	if (f)
		fclose(f);
	return found;
}

/*
 * "kvm: support for 'kvm_amd' disabled by bios" (6.1), "VMX not enabled (by BIOS) in …" (6.12),
 * "x86/cpu: VMX (outside TXT) disabled by BIOS" (all).
 */
static bool is_about_firmware(const char *text)
{
	return strcasestr(text, "bios") &&
	       (strcasestr(text, "kvm") || strstr(text, "VMX") || strstr(text, "SVM"));
}

/* The kernel's line that says that the firmware has virtualisation switched off; "" if none does. */
static const char *find_firmware_line(const char *kernel_log)
{
	static char record[8192]; /* one read is one record, "level,number,time,flags;text\n" */
	int fd = open(kernel_log, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	const char *found = "";
	ssize_t n;

	while (fd >= 0 && !*found) {
		char *text;

		n = read(fd, record, sizeof record - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* the oldest ones were overwritten meanwhile */
		if (n <= 0)
			break;
		record[n] = '\0';
		text = strchr(record, ';');
		if (!text)
			continue;
		text[1 + strcspn(text + 1, "\n")] = '\0';
		if (is_about_firmware(text + 1))
			found = text + 1;
	}
	if (fd >= 0)
		close(fd);
	return found;
}

static bool has_extension(void)
{
	return strstr(host.cpu_flags, " svm") || strstr(host.cpu_flags, " vmx");
}

/* Not what is built into the kernel: that shows there whether it is in use or not. */
static bool has_vendor_module(void)
{
	return strcmp(host.vendor, "kvm") != 0;
}

/* Sets *logged to the line of the kernel's log that says it, if one does. */
static json_t *advise(const char *path, const char *kernel_log, const char **logged)
{
	const char *module = strstr(host.cpu_flags, " svm") ? "kvm_amd" : "kvm_intel";
	int minor = find_minor();

	if (minor >= 0)
		return json_sprintf(
			"The kernel has KVM, as device 10:%d: only the file is missing. Pass it "
			"to the container (docker run --device=/dev/kvm), or make it: "
			"mknod %s c 10 %d",
			minor, path, minor);
	*logged = find_firmware_line(kernel_log);
	if (**logged)
		return json_string("The firmware has virtualisation switched off: enable it in its "
				   "set-up (SVM mode, or Intel VT-x), and switch the machine off "
				   "and on again.");
	if (!has_extension() && host_is_guest())
		return json_string(
			"This machine is a guest itself, and gets neither svm nor vmx: enable "
			"nested virtualisation on the machine that hosts it (kvm_amd.nested=1 or "
			"kvm_intel.nested=1 there, and the CPU flag for this guest).");
	if (!has_extension())
		return json_string(
			"The CPU has neither svm nor vmx: it has no virtualisation, or the firmware "
			"hides it (look for SVM mode, or Intel VT-x, in its set-up).");
	if (!has_vendor_module())
		return json_sprintf("The CPU can: load the module with modprobe %s", module);
	return json_sprintf("%s is there, but KVM has no device. The kernel may say why: dmesg | "
			    "grep -i kvm",
			    host.vendor);
}

json_t *device_problem(const char *path, const char *kernel_log, const char *problem)
{
	json_t *missing = find_missing(path), *device;
	const char *logged = "";

	if (!missing)
		return json_pack("{ss ss}", "path", path, "problem", problem);
	device = json_pack("{ss so so}", "path", path, "problem", missing, "advice",
			   advise(path, kernel_log, &logged));
	if (*logged)
		json_object_set_new(device, "kernel_log", clean_text(logged, strlen(logged)));
	return device;
}
