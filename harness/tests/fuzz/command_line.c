// SPDX-License-Identifier: MIT
/*
 * The command line: each line of the input is an argument. Options are parsed, the cases chosen;
 * the run itself is left out. Linked with --wrap=exit, so that a refusal is no end.
 */
#include "fuzz.h"

#include "runner/plan.h"

#include <fnmatch.h>
#include <getopt.h>
#include <setjmp.h>

#define ARGUMENTS_MAX 32
#define REPEAT_MAX    3 /* of a million there is only more memory */

static struct run run;
static jmp_buf refused;
static bool may_refuse;

_Noreturn void __real_exit(int status);
_Noreturn void __wrap_exit(int status);
_Noreturn void __wrap_exit(int status)
{
	if (!may_refuse)
		__real_exit(status);
	must(status == EXIT_SUCCESS || status == EXIT_CANNOT_RUN);
	longjmp(refused, 1);
}

static int split(char *text, char **argv)
{
	int argc = 0;

	argv[argc++] = (char *)(uintptr_t) "kvmspec";
	for (char *next = text; next && argc <= ARGUMENTS_MAX;)
		argv[argc++] = strsep(&next, "\n");
	argv[argc] = NULL;
	return argc;
}

/* The documented meaning, without bounds: a pattern for the id, or for what it is below of. */
static bool should_match(const char *filter, const char *id)
{
	char below[strlen(filter) + 3];

	sprintf(below, "%s/*", filter);
	return fnmatch(filter, id, 0) == 0 || fnmatch(below, id, 0) == 0;
}

static void check_options(const struct options *o)
{
	must(o->jobs >= 1 && o->repeat >= 0 && o->repeat <= 1000000);
	must(o->effort >= 1 && o->effort <= 10000);
	must(o->timeout_scale >= 0 && o->timeout_scale <= 1000);
	must(o->kvm && o->filters);
}

static void check_plan(const struct options *o)
{
	for (size_t i = 0; i < run.planned; i++) {
		bool chosen = !*o->filters;

		for (char **filter = o->filters; *filter; filter++)
			chosen |= should_match(*filter, run.plan[i].id);
		must(chosen);
	}
}

static void forget_plan(void)
{
	for (size_t i = 0; i < run.planned; i++) {
		struct planned *p = &run.plan[i];
		bool is_first = p->run_id == p->id || strcmp(strrchr(p->run_id, '/'), "/1") == 0;

		if (p->run_id != p->id)
			free(p->run_id);
		if (is_first) /* of those that --repeat made of one id */
			free(p->id);
	}
	free(run.plan);
	run = (struct run){ 0 };
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	char *argv[ARGUMENTS_MAX + 2];
	int argc = split(text, argv);

	optind = 0; /* begin again */
	may_refuse = true;
	if (setjmp(refused) == 0) {
		struct options o = parse_options(argc, argv);

		check_options(&o);
		if (o.repeat > REPEAT_MAX)
			o.repeat = REPEAT_MAX;
		o.except = NULL; /* a file: any, and any size */
		o.until_fail = false;
		make_plan(&run, &o);
		check_plan(&o);
	}
	may_refuse = false;
	forget_plan();
	free(text);
	return 0;
}
