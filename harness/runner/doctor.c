// SPDX-License-Identifier: MIT
/* What doctor answers. */
#include "runner/doctor.h"

#include "host.h"
#include "names.h"

#include <fnmatch.h>
#include <string.h>

static const struct options *options;
static bool found_unfit;

/* What a row of the table asks for is told by how it begins. */
#define CPU_FLAG "cpu:"
#define CASES    "case:"

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static const char *text_of(const json_t *object, const char *member)
{
	return json_string_value(json_object_get(object, member)) ?: "";
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
	return strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* Lacks: what a row asks for and this host does not have, as members of its own; NULL: it has it. */

static json_t *lacks_capability(const struct run *run, const struct requirement *r)
{
	const json_t *all = json_object_get(run->host, "capabilities");
	json_int_t answer = json_integer_value(json_object_get(all, r->what));

	if (answer >= r->minimum)
		return NULL;
	return json_pack("{sI si}", "answer", answer, "minimum", r->minimum);
}

/* Flags are separated by |: one of them is enough. */
static json_t *lacks_cpu_flag(const struct requirement *r)
{
	char flags[sizeof host.cpu_flags + 2], names[sizeof r->what], word[sizeof r->what + 2];
	char *rest = NULL;

	snprintf(flags, sizeof flags, " %s ", host.cpu_flags);
	snprintf(names, sizeof names, "%s", r->what + strlen(CPU_FLAG));
	for (char *name = strtok_r(names, "|", &rest); name; name = strtok_r(NULL, "|", &rest)) {
		snprintf(word, sizeof word, " %s ", name);
		if (strstr(flags, word))
			return NULL;
	}
	return json_object();
}

/* An error says nothing about KVM, and what is skipped is not there to fail. */
static json_t *lacks_contract(const struct run *run, const struct requirement *r)
{
	json_t *cases = json_array(), *record;
	size_t i;

	json_array_foreach(run->records, i, record)
		if (is_one_of(text_of(record, "verdict"), "fail", "known") &&
		    fnmatch(r->what + strlen(CASES), text_of(record, "case"), 0) == 0)
			json_array_append(cases, json_object_get(record, "case"));
	if (json_array_size(cases))
		return json_pack("{so}", "cases", cases);
	json_decref(cases);
	return NULL;
}

static json_t *lack_of(const struct run *run, const struct requirement *r)
{
	json_t *lack = begins_with(r->what, CPU_FLAG) ? lacks_cpu_flag(r)
		       : begins_with(r->what, CASES)  ? lacks_contract(run, r)
						      : lacks_capability(run, r);

	if (!lack)
		return NULL;
	json_object_set_new(lack, "what", json_string(r->what));
	json_object_set_new(lack, "need", json_string(r->is_required ? "required" : "used"));
	json_object_set_new(lack, "for", json_string(r->purpose));
	json_object_set_new(lack, "source", json_string(r->source));
	return lack;
}

/* The VMMs. */

static bool is_chosen(const char *vmm)
{
	if (!*options->vmms)
		return true;
	for (char **name = options->vmms; *name; name++)
		if (strcasecmp(*name, vmm) == 0)
			return true;
	return false;
}

static json_t *find_vmm(json_t *vmms, const char *name)
{
	json_t *vmm;
	size_t i;

	json_array_foreach(vmms, i, vmm)
		if (strcmp(text_of(vmm, "vmm"), name) == 0)
			return vmm;
	vmm = json_pack("{ss ss si si si si s[]}", "vmm", name, "verdict", FIT, "required", 0,
			"required_met", 0, "used", 0, "used_met", 0, "lacks");
	json_array_append_new(vmms, vmm);
	return vmm;
}

static void count(json_t *object, const char *member)
{
	json_int_t n = json_integer_value(json_object_get(object, member));

	json_object_set_new(object, member, json_integer(n + 1));
}

struct survey {
	const struct run *run;
	json_t *vmms;
};

static void examine(const struct requirement *r, void *arg)
{
	struct survey *survey = arg;
	json_t *vmm, *lack;

	if (!is_chosen(r->vmm))
		return;
	vmm = find_vmm(survey->vmms, r->vmm);
	lack = lack_of(survey->run, r);
	count(vmm, r->is_required ? "required" : "used");
	if (!lack) {
		count(vmm, r->is_required ? "required_met" : "used_met");
		return;
	}
	json_array_append_new(json_object_get(vmm, "lacks"), lack);
	if (r->is_required)
		found_unfit = true;
	if (strcmp(text_of(vmm, "verdict"), NOT_FIT) != 0)
		json_object_set_new(vmm, "verdict", json_string(r->is_required ? NOT_FIT : LIMITS));
}

static json_t *examine_vmms(const struct run *run)
{
	struct survey survey = { run, json_array() };

	each_requirement(examine, &survey);
	return survey.vmms;
}

/* The cases. */

static json_t *counts(const struct run *run)
{
	static const char *const verdicts[] = { "pass", "fail", "error", "known", "skip" };
	json_t *object = json_object();

	for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
		json_object_set_new(object, verdicts[i], json_integer(run_count(run, verdicts[i])));
	return object;
}

static json_t *failing_cases(const struct run *run)
{
	json_t *failing = json_array(), *record;
	size_t i;

	json_array_foreach(run->records, i, record) {
		const char *verdict = text_of(record, "verdict");

		if (is_one_of(verdict, "fail", "error"))
			json_array_append_new(
				failing, json_pack("{sO sO sO* sO* sO* sO*}", "case",
						   json_object_get(record, "case"), "verdict",
						   json_object_get(record, "verdict"), "contract",
						   json_object_get(record, "contract"), "expected",
						   json_object_get(record, "expected"), "got",
						   json_object_get(record, "got"), "reason",
						   json_object_get(record, "reason")));
	}
	return failing;
}

static json_t *find_deviation_of(json_t *deviations, const json_t *record)
{
	json_t *deviation, *link = json_object_get(record, "link");
	size_t i;

	json_array_foreach(deviations, i, deviation)
		if (strcmp(text_of(deviation, "reason"), text_of(record, "reason")) == 0 &&
		    strcmp(text_of(deviation, "link"), text_of(record, "link")) == 0)
			return deviation;
	deviation = json_pack("{sO sO* s[]}", "reason", json_object_get(record, "reason"), "link",
			      link, "cases");
	json_array_append_new(deviations, deviation);
	return deviation;
}

/* Each cause of known failures once, with the cases that show it. */
static json_t *known_deviations(const struct run *run)
{
	json_t *deviations = json_array(), *record;
	size_t i;

	json_array_foreach(run->records, i, record)
		if (strcmp(text_of(record, "verdict"), "known") == 0)
			json_array_append(
				json_object_get(find_deviation_of(deviations, record), "cases"),
				json_object_get(record, "case"));
	return deviations;
}

/* The host. */

/* KVM lets guests have guests if it offers them the extension. */
static bool offers_nesting(void)
{
	const struct need svm = CPU_FEATURE("svm", 0x80000001, 0, ecx, 2);
	const struct need vmx = CPU_FEATURE("vmx", 1, 0, ecx, 5);
	char reason[256];

	return need_is_met(&svm, reason, sizeof reason) || need_is_met(&vmx, reason, sizeof reason);
}

static json_t *usable_device(void)
{
	return json_pack("{ss si sb}", "path", options->kvm, "api_version", KVM_API_VERSION,
			 "nested_guests", offers_nesting());
}

/* Why there is no verdict, or NULL. */
static const char *why_unfinished(const struct run *run)
{
	static char reason[512];

	if (run->lost)
		snprintf(reason, sizeof reason, "could not write %s: %s", run->lost,
			 strerror(run->lost_errno));
	else if (run->stopped)
		snprintf(reason, sizeof reason, "after %zu of %zu cases: %s", run->ended,
			 run->planned, run->stopped);
	else
		return NULL;
	return reason;
}

static void print(json_t *answer)
{
	if (options->json) {
		json_dumpf(answer, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		doctor_print(answer);
	}
	fflush(stdout);
	json_decref(answer);
}

void doctor_summary(const struct run *run)
{
	const char *problem = why_unfinished(run);
	json_t *vmms = examine_vmms(run);
	bool unfit = found_unfit || run_failed(run);

	print(json_pack("{si ss ss* so sO so so so so sO ss}", "schema", RECORD_SCHEMA, "verdict",
			problem ? NOT_TESTED
			: unfit ? NOT_FIT
				: FIT,
			"problem", problem, "device", usable_device(), "host", run->host, "vmms",
			vmms, "cases", counts(run), "failing", failing_cases(run), "deviations",
			known_deviations(run), "strays", run->strays, "results", run->directory));
}

bool doctor_found_unfit(void)
{
	return found_unfit;
}

int doctor_refuse(const char *problem, int argc, char **argv)
{
	print(json_pack("{si ss so so}", "schema", RECORD_SCHEMA, "verdict", NOT_TESTED, "device",
			device_problem(options->kvm, options->kernel_log, problem), "host",
			host_facts(argc, argv)));
	return EXIT_CANNOT_RUN;
}

static void add_name(const struct requirement *r, void *names)
{
	json_object_set_new(names, r->vmm, json_true());
}

static bool is_among(json_t *names, const char *vmm)
{
	const char *name;
	json_t *value;

	json_object_foreach(names, name, value)
		if (strcasecmp(name, vmm) == 0)
			return true;
	return false;
}

static _Noreturn void refuse_name(const char *vmm, json_t *names)
{
	const char *name;
	char list[512] = "";
	json_t *value;

	json_object_foreach(names, name, value)
		append(list, sizeof list, "%s%s", *list ? ", " : "", name);
	die("doctor knows no VMM '%s'. It knows %s.", vmm, list);
}

void doctor_prepare(const struct options *o)
{
	json_t *names = json_object();

	options = o;
	each_requirement(add_name, names);
	for (char **vmm = o->vmms; *vmm; vmm++)
		if (!is_among(names, *vmm))
			refuse_name(*vmm, names);
	json_decref(names);
}
