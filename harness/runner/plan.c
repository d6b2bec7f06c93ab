// SPDX-License-Identifier: MIT
#include "runner/plan.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_UNTIL_FAIL 20000 /* all are planned from the start; Criterion is slow with more */

extern const struct kvm_case *const __start_kvm_cases[], *const __stop_kvm_cases[];

/* Whether a filter names the case, or an area or each-mode case that it belongs to. */
static bool matches(const char *filter, const char *id)
{
	return fnmatch(filter, id, FNM_LEADING_DIR) == 0;
}

static bool is_chosen(const struct options *o, const struct kvm_case *c, const char *id)
{
	size_t area = strlen(c->area);

	if (!*o->filters)
		return !c->on_request;
	for (char **filter = o->filters; *filter; filter++)
		if (matches(*filter, id) &&
		    (!c->on_request || strncmp(*filter, c->area, area) == 0))
			return true;
	return false;
}

static char *make_id(const struct kvm_case *c, const struct guest_image *guest)
{
	char *id;

	if (asprintf(&id, "%s/%s%s%s", c->area, c->name, guest ? "/" : "",
		     guest ? cpu_mode_names[guest->mode] : "") < 0)
		die("out of memory");
	return id;
}

static void plan_case(struct run *run, const struct options *o, const struct kvm_case *c,
		      const struct guest_image *guest)
{
	char *id = make_id(c, guest);

	if (!is_chosen(o, c, id)) {
		free(id);
		return;
	}
	run->plan = realloc(run->plan, (run->planned + 1) * sizeof *run->plan);
	if (!run->plan)
		die("out of memory");
	run->plan[run->planned++] = (struct planned){ c, guest, id, id };
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct planned *)a)->id, ((const struct planned *)b)->id);
}

static bool plans_any(const struct run *run, const char *filter)
{
	for (size_t i = 0; i < run->planned; i++)
		if (matches(filter, run->plan[i].id))
			return true;
	return false;
}

static void plan_chosen(struct run *run, const struct options *o)
{
	for (const struct kvm_case *const *c = __start_kvm_cases; c < __stop_kvm_cases; c++) {
		if (!(*c)->each_mode)
			plan_case(run, o, *c, NULL);
		for (int mode = 0; (*c)->each_mode && mode < MODE_COUNT; mode++)
			plan_case(run, o, *c, (*c)->each_mode[mode]);
	}
	for (char **filter = o->filters; *filter; filter++)
		if (!plans_any(run, *filter))
			die("no case matches '%s'. 'kvmspec --list' shows what there is.", *filter);
	if (!run->planned)
		die("there are no cases");
	qsort(run->plan, run->planned, sizeof *run->plan, by_id);
}

static void swap(struct planned *a, struct planned *b)
{
	struct planned taken = *a;

	*a = *b;
	*b = taken;
}

static void shuffle(struct planned *cases, size_t n)
{
	for (size_t i = n; i > 1; i--)
		swap(&cases[i - 1], &cases[(size_t)random() % i]);
}

/* All cases once, then all of them again: what an interrupted run leaves out is spread evenly. */
static void plan_rounds(struct run *run, const struct options *o)
{
	size_t cases = run->planned;

	if (cases > SIZE_MAX / sizeof *run->plan / run->rounds)
		die("out of memory");
	run->plan = realloc(run->plan, cases * run->rounds * sizeof *run->plan);
	if (!run->plan)
		die("out of memory");
	run->planned = cases * run->rounds;
	for (long round = run->rounds; round >= 1; round--) { /* the first, the original, last */
		struct planned *copy = run->plan + (round - 1) * cases;

		memmove(copy, run->plan, cases * sizeof *copy);
		for (size_t i = 0; i < cases && run->rounds > 1; i++)
			if (asprintf(&copy[i].run_id, "%s/%ld", copy[i].id, round) < 0)
				die("out of memory");
	}
	if (!o->shuffle)
		return;
	srandom(o->seed);
	for (long round = 0; round < run->rounds; round++)
		shuffle(run->plan + round * cases, cases);
}

/* Takes those out of the plan that the file names; it may name others, and leave none. */
static void leave_out(struct run *run, const char *path)
{
	FILE *f = fopen(path, "re");
	size_t size = 0, kept = 0;
	char *id = NULL;
	json_t *ids = json_object();

	if (!f)
		die("cannot read %s: %s", path, strerror(errno));
	while (getline(&id, &size, f) > 0) {
		id[strcspn(id, "\n")] = '\0';
		json_object_set_new(ids, id, json_true());
	}
	fclose(f);
	free(id);
	for (size_t i = 0; i < run->planned; i++)
		if (!json_object_get(ids, run->plan[i].run_id))
			swap(&run->plan[kept++], &run->plan[i]); /* the others go behind the plan */
	run->planned = kept;
	json_decref(ids);
}

void make_plan(struct run *run, const struct options *o)
{
	plan_chosen(run, o);
	run->rounds = o->repeat;
	if (!run->rounds && o->until_fail)
		run->rounds = RUNS_UNTIL_FAIL / run->planned;
	if (!run->rounds)
		run->rounds = 1;
	plan_rounds(run, o);
	if (o->except)
		leave_out(run, o->except);
}

void list_plan(const struct run *run)
{
	for (size_t i = 0; i < run->planned; i++)
		puts(run->plan[i].run_id);
}

void list_catalogue(void)
{
	for (const struct kvm_case *const *c = __start_kvm_cases; c < __stop_kvm_cases; c++)
		printf("%s/%s\t%s\t%s:%d\n", (*c)->area, (*c)->name,
		       (*c)->contract ? (*c)->contract : "", (*c)->file, (*c)->line);
}
