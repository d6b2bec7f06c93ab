// SPDX-License-Identifier: MIT
/* What doctor shows to people: a screen of it. */
#include "runner/doctor.h"

#include "host.h"
#include "names.h"

#include <stdlib.h>
#include <string.h>

#define WIDTH  100 /* columns */
#define LABEL  18  /* columns of a label */
#define NESTED "  "
#define MOST   5 /* failing cases and known deviations that are shown */

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member)) ?: "";
}

static json_int_t number_of(const json_t *object, const char *member)
{
	return json_integer_value(json_object_get(object, member));
}

static bool is_same(const json_t *object, const char *member, const char *text)
{
	return strcmp(text_of(object, member), text) == 0;
}

/* Columns of the first bytes of a text: continuation bytes of UTF-8 take none. */
static int columns(const char *text, size_t bytes)
{
	int n = 0;

	for (size_t i = 0; i < bytes; i++)
		n += (text[i] & 0xc0) != 0x80;
	return n;
}

/* Prints "label text", wrapped between words; further lines are indented as the text is, and more. */
static void __attribute__((format(printf, 2, 3))) line(const char *label, const char *format, ...)
{
	char text[4096];
	int at = LABEL;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' '; /* what came back may have lines of its own */
	printf("%-*s", LABEL, label);
	for (const char *word = text; *word;) {
		size_t bytes = strcspn(word + (*word == ' '), " ") + (*word == ' ');

		if (at > LABEL && at + columns(word, bytes) > WIDTH) {
			printf("\n%*s", LABEL + 4, "");
			at = LABEL + 4;
			word += *word == ' ';
			bytes = strcspn(word, " ");
		}
		printf("%.*s", (int)bytes, word);
		at += columns(word, bytes);
		word += bytes;
	}
	putchar('\n');
}

/* The host. */

static const struct {
	const char *signature, *name;
} hypervisors[] = {
	{ "KVMKVMKVM", "KVM" },         { "Microsoft Hv", "Hyper-V" },
	{ "VMwareVMware", "VMware" },   { "XenVMMXenVMM", "Xen" },
	{ "TCGTCGTCGTCG", "QEMU TCG" }, { "VBoxVBoxVBox", "VirtualBox" },
	{ "bhyve bhyve ", "bhyve" },    { "ACRNACRNACRN", "ACRN" },
};

/* Of whom this machine is a guest; NULL: of nobody. */
static const char *hypervisor_name(const json_t *host_json)
{
	const char *signature = json_string_value(json_object_get(host_json, "hypervisor"));

	if (!signature)
		return NULL;
	for (size_t i = 0; i < sizeof hypervisors / sizeof *hypervisors; i++)
		if (strcmp(hypervisors[i].signature, signature) == 0)
			return hypervisors[i].name;
	return *signature ? signature : "a hypervisor that does not say its name";
}

static void print_device(const json_t *device)
{
	const char *problem = json_string_value(json_object_get(device, "problem"));

	if (!problem) {
		line("device", "%s: may be read and written, KVM API %d", text_of(device, "path"),
		     (int)number_of(device, "api_version"));
		return;
	}
	line("device", "%s", problem);
	if (*text_of(device, "kernel_log"))
		line("", "The kernel logs: %s", text_of(device, "kernel_log"));
	if (*text_of(device, "advice"))
		line("", "%s", text_of(device, "advice"));
}

/* Parameters that decide what guests get, or how fast they are. */
static void print_module(const json_t *host_json)
{
	static const char *const telling[] = {
		"nested", "npt", "ept",     "unrestricted_guest", "avic", "enable_apicv",
		"sev",    "tdx", "tdp_mmu", "ignore_msrs",
	};
	json_t *parameters = json_object_get(host_json, "module_parameters"), *value;
	char shown[512] = "";
	const char *name;

	for (size_t i = 0; i < sizeof telling / sizeof *telling; i++)
		json_object_foreach(parameters, name, value)
			if (strcmp(strchr(name, '.') + 1, telling[i]) == 0)
				append(shown, sizeof shown, " %s=%s", name,
				       json_string_value(value));
	line("module", "%s%s%s", text_of(host_json, "vendor"), *shown ? ", with" : "", shown);
}

static void print_machine(const json_t *host_json)
{
	const char *machine = text_of(host_json, "machine");
	const char *hypervisor = hypervisor_name(host_json);
	const char *comma = *machine ? ", " : "";

	if (hypervisor)
		line("machine", "%s%sitself a guest, of %s", machine, comma, hypervisor);
	else
		line("machine", "%s%snot a guest itself, by CPUID", machine, comma);
}

static void print_host(const json_t *answer)
{
	const json_t *facts = json_object_get(answer, "host");
	const json_t *device = json_object_get(answer, "device");

	print_device(device);
	if (!json_object_get(device, "problem"))
		print_module(facts);
	line("kernel", "%s", text_of(facts, "kernel"));
	line("CPU", "%s, %d online, with%s", text_of(facts, "cpu"),
	     (int)number_of(facts, "cpus_online"),
	     strstr(host.cpu_flags, " svm")   ? " svm"
	     : strstr(host.cpu_flags, " vmx") ? " vmx"
					      : "out svm or vmx");
	print_machine(facts);
	if (json_object_get(device, "nested_guests"))
		line("its guests", "%s",
		     json_is_true(json_object_get(device, "nested_guests"))
			     ? "are offered nested virtualisation"
			     : "are offered no nested virtualisation");
}

/* The VMMs. */

/* What this host does or has that is not as it should be: "X fails", "no KVM_CAP_X". */
static const char *describe_lack(const json_t *lack, char *buf, size_t size)
{
	const char *what = text_of(lack, "what"), *name = strchr(what, ':');
	json_t *cases = json_object_get(lack, "cases");
	size_t n = json_array_size(cases);
	const char *other;

	if (n == 1)
		snprintf(buf, size, "%s fails", json_string_value(json_array_get(cases, 0)));
	else if (n)
		snprintf(buf, size, "%zu of %s fail", n, name + 1);
	else if (number_of(lack, "answer"))
		snprintf(buf, size, "%s is %d, not %d", what, (int)number_of(lack, "answer"),
			 (int)number_of(lack, "minimum"));
	else if (!name)
		snprintf(buf, size, "no %s", what);
	else {
		snprintf(buf, size, "no CPU flag ");
		for (const char *flag = name + 1; *flag; flag = other + (*other == '|')) {
			other = flag + strcspn(flag, "|");
			append(buf, size, "%.*s%s", (int)(other - flag), flag,
			       *other ? " or " : "");
		}
	}
	return buf;
}

static void print_lack(const json_t *lack)
{
	char what[512];

	describe_lack(lack, what, sizeof what);
	if (is_same(lack, "need", "required"))
		line("", NESTED "%s, required for %s [%s]", what, text_of(lack, "for"),
		     text_of(lack, "source"));
	else
		line("", NESTED "without %s: %s", text_of(lack, "for"), what);
}

static void print_vmm(const json_t *vmm)
{
	json_t *lacks = json_object_get(vmm, "lacks"), *lack;
	char used[64] = "";
	size_t i;

	if (number_of(vmm, "used"))
		snprintf(used, sizeof used, ", and %d of %d that it uses",
			 (int)number_of(vmm, "used_met"), (int)number_of(vmm, "used"));
	line(text_of(vmm, "vmm"), "%s: this host has %d of %d things that it requires%s",
	     text_of(vmm, "verdict"), (int)number_of(vmm, "required_met"),
	     (int)number_of(vmm, "required"), used);
	json_array_foreach(lacks, i, lack)
		print_lack(lack);
}

/* The cases. */

static size_t case_count(const json_t *deviation)
{
	return json_array_size(json_object_get(deviation, "cases"));
}

static int by_cases(const void *a, const void *b)
{
	size_t x = case_count(*(json_t *const *)a), y = case_count(*(json_t *const *)b);

	return (x < y) - (x > y);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

/* Deviations that have a link are the kernel's bugs; the others are this vendor's limits. */
static size_t print_deviations(const json_t *deviations, bool bugs, size_t most)
{
	size_t n = json_array_size(deviations), shown = 0;
	json_t **sorted = malloc((n + 1) * sizeof *sorted);

	if (!sorted)
		return 0;
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(deviations, i);
	qsort(sorted, n, sizeof *sorted, by_cases);
	for (size_t i = 0; i < n; i++) {
		const char *link = text_of(sorted[i], "link");
		size_t cases = case_count(sorted[i]);

		if (bugs != !!*link || shown++ >= most)
			continue;
		line(bugs && shown == 1 ? "kernel bugs" : "", "%s%zu case%s: %s%s%s",
		     bugs ? "" : NESTED, cases, plural(cases), text_of(sorted[i], "reason"),
		     *link ? " " : "", link);
	}
	free(sorted);
	return shown;
}

static size_t print_failing(const json_t *failing)
{
	json_t *one;
	size_t i;

	json_array_foreach(failing, i, one) {
		const char *got = text_of(one, "got");

		if (i < MOST)
			line("", NESTED "%s %s: %s",
			     is_same(one, "verdict", "fail") ? "FAIL" : "ERROR",
			     text_of(one, "case"), *got ? got : text_of(one, "reason"));
	}
	return i;
}

static void print_cases(const json_t *answer)
{
	const json_t *cases = json_object_get(answer, "cases");
	const json_t *deviations = json_object_get(answer, "deviations");
	size_t strays = json_array_size(json_object_get(answer, "strays"));
	size_t entries;

	line("contracts", "%d cases hold, %d fail, %d are known to fail here, %d cannot run here",
	     (int)number_of(cases, "pass"),
	     (int)(number_of(cases, "fail") + number_of(cases, "error")),
	     (int)number_of(cases, "known"), (int)number_of(cases, "skip"));
	entries = print_failing(json_object_get(answer, "failing"));
	entries += print_deviations(deviations, false, entries < MOST ? MOST - entries : 0);
	if (entries > MOST)
		line("", NESTED "and %zu more, in %s", entries - MOST, text_of(answer, "results"));
	if (strays)
		line("", NESTED "and the kernel complained while no case ran (report.tap)");
	if (!print_deviations(deviations, true, MOST))
		line("kernel bugs", "none of those that cases are known to show");
}

/* The end: what it comes to. */

static void append_vmms(const json_t *vmms, const char *verdict, char *buf, size_t size)
{
	bool any = false;
	json_t *vmm;
	size_t i;

	json_array_foreach(vmms, i, vmm) {
		if (!is_same(vmm, "verdict", verdict))
			continue;
		if (any)
			append(buf, size, ", %s", text_of(vmm, "vmm"));
		else
			append(buf, size, "%s%s for %s", *buf ? "; " : "", verdict,
			       text_of(vmm, "vmm"));
		any = true;
	}
}

static void print_verdict(const json_t *answer)
{
	const json_t *vmms = json_object_get(answer, "vmms");
	char text[1024] = "";

	append_vmms(vmms, FIT, text, sizeof text);
	append_vmms(vmms, LIMITS, text, sizeof text);
	append_vmms(vmms, NOT_FIT, text, sizeof text);
	if (json_array_size(json_object_get(answer, "failing")))
		append(text, sizeof text, "; and contracts fail");
	line("verdict", "%s", text);
}

void doctor_print(const json_t *answer)
{
	json_t *vmms = json_object_get(answer, "vmms"), *vmm;
	const char *results = text_of(answer, "results");
	size_t i;

	print_host(answer);
	if (is_same(answer, "verdict", NOT_TESTED)) {
		putchar('\n');
		line("verdict", NOT_TESTED "%s%s", *text_of(answer, "problem") ? ", " : "",
		     text_of(answer, "problem"));
	} else {
		putchar('\n');
		json_array_foreach(vmms, i, vmm)
			print_vmm(vmm);
		putchar('\n');
		print_cases(answer);
		putchar('\n');
		print_verdict(answer);
	}
	if (*results)
		line("results", "%s", results);
}
