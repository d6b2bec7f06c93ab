// SPDX-License-Identifier: MIT
#include "runner/run.h"

#include "latency.h"
#include "names.h"
#include "runner/ftrace.h"
#include "runner/klog.h"

#include <string.h>

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_RUNNING] = "error", [VERDICT_PASS] = "pass",   [VERDICT_FAIL] = "fail",
		[VERDICT_SKIP] = "skip",     [VERDICT_KNOWN] = "known", [VERDICT_ERROR] = "error",
	};

	return names[verdict];
}

/* Length of the UTF-8 sequence at s (at most len bytes), or 0 if it is none. */
static size_t utf8_length(const unsigned char *s, size_t len)
{
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} forms[] = { { 0x80, 0x00, 0 },
		      { 0xe0, 0xc0, 0x80 },
		      { 0xf0, 0xe0, 0x800 },
		      { 0xf8, 0xf0, 0x10000 } };

	for (size_t n = 1; n <= 4; n++) {
		uint32_t point = s[0] & ~forms[n - 1].mask;

		if ((s[0] & forms[n - 1].mask) != forms[n - 1].lead || n > len)
			continue;
		for (size_t i = 1; i < n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			point = point << 6 | (s[i] & 0x3f);
		}
		if (point < forms[n - 1].least || point > 0x10ffff ||
		    (point >= 0xd800 && point <= 0xdfff) || point == 0xfffe || point == 0xffff)
			return 0;
		return n;
	}
	return 0;
}

/* Whether a character of n bytes can go to every report as it is. */
static bool is_printable(const char *s, size_t n)
{
	unsigned char c = (unsigned char)s[0];

	if (n == 1)
		return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
	if (n == 2 && c == 0xc2)
		return (unsigned char)s[1] >= 0xa0; /* U+0080 to U+009F are control characters */
	/* U+2028 and U+2029 end a line, in YAML */
	return n != 3 || (memcmp(s, "\xe2\x80\xa8", 3) != 0 && memcmp(s, "\xe2\x80\xa9", 3) != 0);
}

json_t *clean_text(const char *bytes, size_t len)
{
	char *clean = malloc(len * 4 + 1), *out = clean;
	json_t *result;

	if (!clean)
		return json_string("(out of memory)");
	for (size_t i = 0; i < len;) {
		size_t n = utf8_length((const unsigned char *)bytes + i, len - i);

		if (n && is_printable(bytes + i, n)) {
			memcpy(out, bytes + i, n);
			out += n;
			i += n;
		} else {
			out += sprintf(out, "\\x%02x", (unsigned char)bytes[i++]);
		}
	}
	*out = '\0';
	result = json_string(clean);
	free(clean);
	return result;
}

static json_t *field_text(const char *field)
{
	return clean_text(field, strlen(field));
}

static json_t *last_exits(const struct evidence *e)
{
	uint64_t n = e->exit_count, first = n > EVIDENCE_EXITS ? n - EVIDENCE_EXITS : 0;
	json_t *array = json_array();
	char buf[1024];

	for (uint64_t i = first; i < n; i++) {
		const struct exit_event *event = &e->exits[i % EVIDENCE_EXITS];

		describe_exit(event, buf, sizeof buf);
		json_array_append_new(
			array, event->vcpu_id ? json_sprintf("%s on vCPU %u", buf, event->vcpu_id)
					      : json_string(buf));
	}
	return array;
}

static json_t *ioctl_results(const struct evidence *e)
{
	json_t *object = json_object();

	for (size_t i = 0; i < IOCTL_COUNT; i++) {
		json_t *results = NULL;

		for (int err = 0; err < EVIDENCE_ERRNOS; err++) {
			if (!e->ioctls[i][err])
				continue;
			if (!results) {
				results = json_object();
				json_object_set_new(object, ioctl_table[i].name, results);
			}
			json_object_set_new(results,
					    err == 0                     ? "ok"
					    : err == EVIDENCE_ERRNOS - 1 ? "other"
									 : errno_name(err),
					    json_integer(e->ioctls[i][err]));
		}
	}
	return object;
}

/* Buckets that are empty are left out. */
static json_t *distribution(const struct distribution *d)
{
	json_t *histogram = json_array();

	for (unsigned b = 0; b < DISTRIBUTION_BUCKETS; b++)
		if (d->buckets[b])
			json_array_append_new(histogram,
					      json_pack("[I,I]", (json_int_t)bucket_start(b),
							(json_int_t)d->buckets[b]));
	return json_pack("{sI sI sI sI sI sI sI so}", "count", (json_int_t)d->count, "min",
			 (json_int_t)d->min, "p10", (json_int_t)d->p10, "p50", (json_int_t)d->p50,
			 "p90", (json_int_t)d->p90, "p99", (json_int_t)d->p99, "max",
			 (json_int_t)d->max, "histogram", histogram);
}

static json_t *measurements(const struct evidence *e)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < e->measurement_count; i++) {
		const struct measurement *m = &e->measurements[i];
		uint32_t judged = judged_ratio(m);
		json_t *object = json_pack("{so so so sf sI sI sb}", "name", field_text(m->name),
					   "value", distribution(&m->value), "baseline",
					   distribution(&m->baseline), "ratio",
					   median_ratio(m) / 100., "clock_ns", (json_int_t)m->clock,
					   "looks", (json_int_t)m->looks, "noisy", is_noisy(m));

		if (m->limit_percent) {
			json_object_set_new(object, "limit", json_real(m->limit_percent / 100.));
			if (judged)
				json_object_set_new(object, "margin",
						    json_real((double)m->limit_percent / judged));
		}
		json_array_append_new(array, object);
	}
	return array;
}

/* How a process ended that should have ended otherwise; NULL if it ended as its verdict says. */
static json_t *abnormal_end(const struct evidence *e, const struct sandbox_end *end)
{
	if (end->stuck)
		return json_sprintf("does not die of SIGKILL: it waits in the kernel (see "
				    "/proc/%d/stack)",
				    end->pid);
	if (end->timed_out)
		return json_sprintf("time-out: killed after %.1f s%s", end->seconds,
				    e->exit_count ? ""
						  : ", before KVM_RUN returned for the first time");
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

static void add_state(json_t *record, const struct evidence *e, pid_t pid)
{
	json_t *kernel_log = klog_since(e->klog_start, pid), *events = ftrace_since_mark();

	json_t *explanation = explain(e);

	if (e->guest[0])
		json_object_set_new(record, "guest", field_text(e->guest));
	if (explanation)
		json_object_set_new(record, "explanation", explanation);
	if (e->memory.size)
		json_object_set_new(record, "memory", memory_difference(e));
	if (e->has_regs) {
		json_object_set_new(record, "at_label", field_text(e->rip_label));
		json_object_set_new(record, "registers", registers(e));
		json_object_set_new(record, "system_registers", system_registers(e));
		if (segments_matter(e))
			json_object_set_new(record, "segments", segments(e));
		if (e->code_size)
			json_object_set_new(record, "code", code_around_rip(e));
	}
	json_object_set_new(record, "last_exits", last_exits(e));
	if (json_array_size(kernel_log))
		json_object_set(record, "kernel_log", kernel_log);
	json_decref(kernel_log);
	if (json_array_size(events))
		json_object_set(record, "ftrace", events);
	json_decref(events);
}

/*
 * What --strict and --no-skip make of a case that would be no failure otherwise. Returns what was
 * expected, or NULL if the verdict stands; what came back is the record's reason.
 */
static const char *objection(const struct run *run, enum verdict verdict,
			     const struct deviation *deviation)
{
	if (run->no_skip && verdict == VERDICT_SKIP)
		return "this host runs the case (--no-skip)";
	if (run->strict && verdict == VERDICT_PASS && deviation)
		return "the known deviation is still there (--strict)";
	return NULL;
}

/* What the kernel says against itself outweighs that every assertion held. */
static void heed_kernel_log(struct evidence *e, pid_t pid)
{
	struct klog_fault fault;
	int n;

	if ((e->verdict != VERDICT_PASS && e->verdict != VERDICT_SKIP) ||
	    !klog_find_fault(e->klog_start, pid, &fault))
		return;
	e->verdict = VERDICT_FAIL;
	e->file[0] = '\0';
	snprintf(e->expected, sizeof e->expected, "the kernel logs no warning and no error");
	n = snprintf(e->got, sizeof e->got, "%s", fault.text);
	if (fault.others)
		snprintf(e->got + n, sizeof e->got - n,
			 " (in this case or in one of %u others that ran then)", fault.others);
}

/* Why a case was skipped, is known to fail, passes against expectation or ended in an error. */
static json_t *reason_of(const struct evidence *e, json_t *abnormal, enum verdict verdict,
			 const struct deviation *deviation)
{
	char text[2400];

	if (verdict == VERDICT_KNOWN)
		return field_text(deviation->reason);
	if (verdict == VERDICT_PASS && deviation) {
		snprintf(text, sizeof text, "passes, but is listed as a known deviation: %s",
			 deviation->reason);
		return field_text(text);
	}
	if (verdict == VERDICT_FAIL && deviation) {
		snprintf(text, sizeof text, "fails in another way than is listed (%s): %s",
			 deviation->fails_as, deviation->reason);
		return field_text(text);
	}
	if (abnormal)
		return json_incref(abnormal);
	if (verdict == VERDICT_SKIP || verdict == VERDICT_ERROR)
		return e->reason[0] ? field_text(e->reason) : json_string("it gave no reason");
	return NULL;
}

static enum verdict verdict_of(const struct evidence *e, const json_t *abnormal,
			       const struct deviation *deviation)
{
	if (abnormal)
		return VERDICT_ERROR;
	if (e->verdict == VERDICT_FAIL && deviation && deviation->is_as_listed)
		return VERDICT_KNOWN;
	return e->verdict;
}

/* As the names of sources and guests are; all else is no name. */
static bool is_file_name(const char *s)
{
	char name[sizeof((struct evidence *)0)->file], more;

	return sscanf(s, "%127[A-Za-z0-9_./-]%c", name, &more) == 1;
}

static bool is_guest_name(const char *s)
{
	char mode[64], name[64], more;

	return sscanf(s, "%63[a-z0-9]/%63[A-Za-z0-9_]%c", mode, name, &more) == 2;
}

#define MAX_ERRNO 4095 /* what a system call can return */

/*
 * A case that went wild may have written anything here; nothing of it may harm the runner. A copy: a
 * process that cannot be killed may go on writing.
 */
static struct evidence *sanitised(const struct evidence *shared)
{
	static struct evidence copy;
	struct evidence *e = &copy;

	copy = *shared;
	if (e->verdict > VERDICT_ERROR || e->verdict == VERDICT_KNOWN) /* that is not its to say */
		e->verdict = VERDICT_RUNNING;
	if (e->exit_count > INT64_MAX) /* JSON's integers end there */
		e->exit_count = INT64_MAX;
	if (e->code_size > EVIDENCE_CODE || e->regs.rip - e->code_address >= e->code_size ||
	    (e->has_regs && !guest_is_image(e->image)))
		e->code_size = 0;
	for (size_t i = 0; i < EVIDENCE_EXITS; i++)
		if (e->exits[i].result < -MAX_ERRNO)
			e->exits[i].result = -MAX_ERRNO;
	if (e->gates_size > EVIDENCE_GATES)
		e->gates_size = 0;
	if (e->memory.size > EVIDENCE_MEMORY)
		e->memory.size = 0;
	if (e->measurement_count > EVIDENCE_MEASUREMENTS)
		e->measurement_count = 0;
	for (uint32_t i = 0; i < e->measurement_count; i++)
		e->measurements[i].name[sizeof e->measurements[i].name - 1] = '\0';
	e->file[sizeof e->file - 1] = e->expected[sizeof e->expected - 1] = '\0';
	e->got[sizeof e->got - 1] = e->reason[sizeof e->reason - 1] = '\0';
	e->guest[sizeof e->guest - 1] = e->rip_label[sizeof e->rip_label - 1] = '\0';
	if (!is_file_name(e->file))
		e->file[0] = '\0';
	if (!is_guest_name(e->guest))
		e->guest[0] = '\0';
	return e;
}

json_t *make_stub(const struct planned *planned)
{
	const struct kvm_case *c = planned->c;
	json_t *stub = json_pack("{si ss so}", "schema", RECORD_SCHEMA, "case", planned->run_id,
				 "at", json_sprintf("%s:%d", c->file, c->line));

	if (strcmp(planned->run_id, planned->id) != 0)
		json_object_set_new(stub, "filter", json_string(planned->id));
	if (c->contract)
		json_object_set_new(stub, "contract", json_string(c->contract));
	return stub;
}

json_t *make_record(const struct run *run, const struct planned *planned,
		    const struct sandbox_end *end)
{
	struct evidence *e = sanitised(end->shared);
	json_t *abnormal = e->verdict == VERDICT_ERROR ? NULL : abnormal_end(e, end);

	if (!abnormal)
		heed_kernel_log(e, end->pid);

	const struct deviation *deviation =
		find_deviation(planned->id, e->verdict == VERDICT_FAIL ? e->got : NULL);
	enum verdict verdict = verdict_of(e, abnormal, deviation);
	const char *objected = objection(run, verdict, deviation);
	json_t *reason = reason_of(e, abnormal, verdict, deviation);
	json_t *record = make_stub(planned);

	json_object_set_new(record, "verdict",
			    json_string(objected ? "fail" : verdict_name(verdict)));
	json_object_set_new(record, "seconds", json_real(end->seconds));
	if (e->file[0] && !abnormal)
		json_object_set_new(record, "at", json_sprintf("%s:%u", e->file, e->line));
	json_decref(abnormal);
	if (verdict == VERDICT_KNOWN && strcmp(deviation->link, "-") != 0)
		json_object_set_new(record, "link", json_string(deviation->link));
	if (objected) {
		json_object_set_new(record, "expected", json_string(objected));
		json_object_set_new(record, "got", reason);
	} else if (reason) {
		json_object_set_new(record, "reason", reason);
	}
	if (verdict == VERDICT_FAIL || verdict == VERDICT_KNOWN) {
		json_object_set_new(record, "expected", field_text(e->expected));
		json_object_set_new(record, "got", field_text(e->got));
	}
	if (objected || (verdict != VERDICT_PASS && verdict != VERDICT_SKIP))
		add_state(record, e, end->pid);
	if (end->output_len)
		json_object_set_new(record, "output", clean_text(end->output, end->output_len));
	if (end->output_lost)
		json_object_set_new(record, "output_bytes_lost", json_integer(end->output_lost));
	if (e->measurement_count)
		json_object_set_new(record, "measurements", measurements(e));
	json_object_set_new(record, "kvm_runs", json_integer(e->exit_count));
	json_object_set_new(record, "ioctls", ioctl_results(e));
	return record;
}

/* Copies a record's member to the diagnosis, under a name for people. */
static void show(json_t *object, const char *name, const json_t *record, const char *member)
{
	json_t *value = json_object_get(record, member);

	if (value)
		json_object_set(object, name, value);
}

/* The same, for registers: several on a line. */
static void show_registers(json_t *object, const char *name, const json_t *record,
			   const char *member)
{
	json_t *registers = json_object_get(record, member), *value;
	char lines[2048];
	size_t used = 0, column = 0;
	const char *key;

	if (!registers)
		return;
	json_object_foreach(registers, key, value) {
		int n = snprintf(lines + used, sizeof lines - used, "%s%s=%s", column ? "  " : "",
				 key, json_string_value(value));

		if ((size_t)n >= sizeof lines - used - 1)
			break;
		used += n;
		column += n;
		if (column > 70) {
			lines[used++] = '\n';
			column = 0;
		}
	}
	if (column)
		lines[used++] = '\n';
	json_object_set_new(object, name, json_stringn(lines, used));
}

/* The same, for segments: each on a line. */
static void show_segments(json_t *object, const json_t *record)
{
	json_t *all = json_object_get(record, "segments"), *value;
	char lines[2048] = "";
	const char *key;

	json_object_foreach(all, key, value)
		append(lines, sizeof lines, "%-4s %s\n", key, json_string_value(value));
	if (all)
		json_object_set_new(object, "segments", json_string(lines));
}

/* The same, for an array of lines. */
static void show_lines(json_t *object, const char *name, const json_t *record, const char *member)
{
	json_t *lines = json_object_get(record, member), *line, *text = json_string("");
	size_t i;

	json_array_foreach(lines, i, line) {
		json_t *longer =
			json_sprintf("%s%s\n", json_string_value(text), json_string_value(line));

		json_decref(text);
		text = longer;
	}
	if (lines)
		json_object_set(object, name, text);
	json_decref(text);
}

json_t *diagnosis(const struct run *run, const json_t *record)
{
	json_t *object = json_object();
	const char *id = json_string_value(json_object_get(record, "contract"));
	const char *filter = json_string_value(json_object_get(record, "filter"));
	json_t *lab = json_object_get(run->host, "lab");
	char host[256];

	if (!filter)
		filter = json_string_value(json_object_get(record, "case"));

	if (id) {
		struct contract contract = find_contract(id); /* may be cut inside a character */
		char text[1024];

		snprintf(text, sizeof text, "%s: %s", id, contract.text);
		json_object_set_new(object, "contract", field_text(text));
		json_object_set_new(object, "documented", field_text(contract.documented));
	}
	show(object, "at", record, "at");
	show(object, "expected", record, "expected");
	show(object, "got", record, "got");
	show(object, "reason", record, "reason");
	show(object, "link", record, "link");
	show_lines(object, "explanation", record, "explanation");
	show_lines(object, "memory", record, "memory");
	show(object, "guest", record, "guest");
	show(object, "rip_at", record, "at_label");
	show_registers(object, "registers", record, "registers");
	show_registers(object, "system_registers", record, "system_registers");
	show_segments(object, record);
	show_lines(object, "code", record, "code");
	show(object, "last_exits", record, "last_exits");
	show_lines(object, "kernel_log", record, "kernel_log");
	show_lines(object, "ftrace", record, "ftrace");
	show(object, "output", record, "output");
	show(object, "output_bytes_lost", record, "output_bytes_lost");
	json_object_set_new(object, "host", json_string(host_line(run->host, host, sizeof host)));
	json_object_set_new(object, "run_again",
			    json_sprintf("%s FILTER='%s'",
					 lab ? json_string_value(json_object_get(lab, "run_again"))
					     : "make check",
					 filter));
	return object;
}
