// SPDX-License-Identifier: MIT
/*
 * What a case's end means. What the case found counts first: nothing that happens to its process
 * afterwards takes a failed assertion back. A fault in the kernel's log outweighs all assertions that
 * held, and every deviation that is listed.
 */
#include "runner/run.h"

#include "runner/klog.h"

#include <string.h>

/* How a process ended that should have ended otherwise; NULL if it ended as its verdict says. */
static json_t *abnormal_end(const struct evidence *e, const struct sandbox_end *end)
{
	if (e->verdict == VERDICT_FAIL || e->verdict == VERDICT_ERROR)
		return NULL;
	if (end->stuck)
		return json_sprintf("does not die of SIGKILL: it waits in the kernel (see "
				    "/proc/%d/stack)",
				    end->pid);
	if (end->timed_out)
		return json_sprintf("time-out: killed after %.1f s%s", end->seconds,
				    e->exit_count ? ""
						  : ", before KVM_RUN returned for the first time");
	if (end->parent_died)
		return json_string(
			"killed together with the process that starts the cases: by this "
			"case, or by another one that ran then (see with --jobs=1)");
	if (end->signal)
		return json_sprintf("killed by signal %d (%s)", end->signal,
				    sigabbrev_np(end->signal) ?: "real-time");
	if (e->verdict == VERDICT_RUNNING)
		return json_sprintf("the case's process ended with status %d before the case did",
				    end->exit_status);
	if (e->verdict == VERDICT_PASS && end->exit_status)
		return json_sprintf("the case's process ended with status %d after the case",
				    end->exit_status);
	return NULL;
}

/* "WARNING: … (in this case or in one of 2 others that ran then)"; NULL: the log has no fault. */
static const char *find_fault(const struct sandbox_end *end)
{
	static char text[1024];
	struct klog_fault fault;
	int n;

	if (!klog_find_fault(end->mark, end->pid, &fault))
		return NULL;
	n = snprintf(text, sizeof text, "%s", fault.text);
	if (fault.others)
		snprintf(text + n, sizeof text - n,
			 " (in this case or in one of %u others that ran then)", fault.others);
	return text;
}

static json_t *text(const char *s)
{
	return clean_text(s, strlen(s));
}

static json_t *two_texts(const char *first, const char *second)
{
	char both[4096];

	snprintf(both, sizeof both, "%s%s", first, second);
	return text(both);
}

/* What came back instead: of a failed assertion, of the kernel's log, or both. NULL: nothing did. */
static const char *find_failure(const struct evidence *e, const char *fault)
{
	static char both[sizeof e->got + 1100];

	if (e->verdict != VERDICT_FAIL)
		return fault;
	snprintf(both, sizeof both, "%s%s%s", e->got, fault ? "; and the kernel logs: " : "",
		 fault ? fault : "");
	return both;
}

/* A failure that is listed, listed in another way, or not listed. */
static struct judgement judge_failure(const struct evidence *e, const char *got,
				      const struct deviation *deviation)
{
	struct judgement j = {
		.verdict = VERDICT_FAIL,
		.expected = text(e->verdict == VERDICT_FAIL
					 ? e->expected
					 : "the kernel logs no warning and no error"),
		.got = text(got),
	};
	char differs[1200];

	if (deviation && deviation->is_as_listed) {
		j.verdict = VERDICT_KNOWN;
		j.reason = text(deviation->reason);
		j.link = strcmp(deviation->link, "-") == 0 ? NULL : text(deviation->link);
	} else if (deviation) {
		snprintf(differs, sizeof differs,
			 "fails in another way than is listed (%s): ", deviation->fails_as);
		j.reason = two_texts(differs, deviation->reason);
	}
	return j;
}

static struct judgement fail_because(const char *expected, json_t *got)
{
	return (struct judgement){ .verdict = VERDICT_FAIL,
				   .expected = json_string(expected),
				   .got = got };
}

static struct judgement judge_pass(const struct run *run, const struct deviation *deviation)
{
	struct judgement j = { .verdict = VERDICT_PASS };

	if (deviation)
		j.reason = two_texts("passes, but is listed as a known deviation: ",
				     deviation->reason);
	if (deviation && run->strict)
		return fail_because("the known deviation is still there (--strict)", j.reason);
	return j;
}

struct judgement judge(const struct run *run, const char *id, const struct evidence *e,
		       const struct sandbox_end *end)
{
	const char *failure = find_failure(e, find_fault(end));
	const struct deviation *deviation = find_deviation(id, failure);
	json_t *abnormal = abnormal_end(e, end), *reason;

	if (abnormal)
		return (struct judgement){ .verdict = VERDICT_ERROR, .reason = abnormal };
	if (failure && e->verdict != VERDICT_ERROR)
		return judge_failure(e, failure, deviation);
	if (e->verdict == VERDICT_PASS)
		return judge_pass(run, deviation);
	reason = text(e->reason[0] ? e->reason : "it gave no reason");
	if (e->verdict == VERDICT_SKIP && run->no_skip)
		return fail_because("this host runs the case (--no-skip)", reason);
	return (struct judgement){ .verdict = e->verdict, .reason = reason };
}
