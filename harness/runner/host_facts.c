// SPDX-License-Identifier: MIT
/* host.json: what the machine, its kernel, its KVM and this program are. */
#include "runner/run.h"

#include "host.h"

#include <dirent.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static const struct {
	const char *name;
	int number;
} capabilities[] = {
#define CAPABILITY(name) { #name, name },
#include "capabilities.inc" /* every KVM_CAP_ of the headers; made by the Makefile */
#undef CAPABILITY
};

const char *capability_name(uint32_t number)
{
	for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++)
		if ((uint32_t)capabilities[i].number == number)
			return capabilities[i].name;
	return NULL;
}

static json_t *line_of(const char *path)
{
	char line[256] = "";
	FILE *f = fopen(path, "re");

	if (!f)
		return NULL;
	if (!fgets(line, sizeof line, f))
		line[0] = '\0';
	fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return json_string(line);
}

static void add_parameters(json_t *object, const char *module)
{
	char path[512];
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof path, "/sys/module/%s/parameters", module);
	directory = opendir(path);
	while (directory && (entry = readdir(directory))) {
		char name[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/sys/module/%s/parameters/%s", module, entry->d_name);
		snprintf(name, sizeof name, "%s.%s", module, entry->d_name);
		json_object_set_new(object, name, line_of(path)); /* unreadable: not there */
	}
	if (directory)
		closedir(directory);
}

static json_t *module_parameters(void)
{
	json_t *object = json_object();

	add_parameters(object, "kvm");
	if (strcmp(host.vendor, "kvm") != 0)
		add_parameters(object, host.vendor);
	return object;
}

static json_t *answered_capabilities(void)
{
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof capabilities / sizeof *capabilities; i++) {
		int answer = host_cap(capabilities[i].number);

		if (answer)
			json_object_set_new(object, capabilities[i].name, json_integer(answer));
	}
	return object;
}

static json_t *command_line(int argc, char **argv)
{
	json_t *array = json_array();

	for (int i = 0; i < argc; i++)
		json_array_append_new(array, json_string(argv[i]));
	return array;
}

static json_t *started_now(void)
{
	time_t now = time(NULL);
	char stamp[32];

	strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	return json_string(stamp);
}

json_t *host_facts(int argc, char **argv)
{
	struct utsname uts;

	uname(&uts);
	return json_pack("{si ss so ss ss ss ss ss ss si so so so}", "schema", RECORD_SCHEMA,
			 "kvmspec", KVMSPEC_VERSION, "started", started_now(), "engine",
			 host.engine, "vendor", host.vendor, "kernel", uts.release,
			 "kernel_version", uts.version, "architecture", uts.machine, "cpu",
			 host.cpu, "cpus_online", (int)sysconf(_SC_NPROCESSORS_ONLN),
			 "module_parameters", module_parameters(), "capabilities",
			 answered_capabilities(), "command", command_line(argc, argv));
}

const char *host_line(const json_t *facts, char *buf, size_t size)
{
	snprintf(buf, size, "%s, Linux %s, %s, engine %s",
		 json_string_value(json_object_get(facts, "vendor")),
		 json_string_value(json_object_get(facts, "kernel")),
		 json_string_value(json_object_get(facts, "cpu")),
		 json_string_value(json_object_get(facts, "engine")));
	return buf;
}
