// SPDX-License-Identifier: MIT
#include "runner/run.h"

#include "names.h"
#include "runner/ftrace.h"
#include "runner/klog.h"

#include <string.h>

const char *verdict_name(enum verdict verdict)
{
#define COUNT(array) (sizeof(array) / sizeof *(array))

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

/* Adds what the pair of ioctl and kind of descriptor returned, and how often. */
static void add_results(json_t *object, const char *name, const uint16_t *counts)
{
	json_t *results = json_object_get(object, name);

	for (int err = 0; err < EVIDENCE_ERRNOS; err++) {
		const char *key;

		if (!counts[err])
			continue;
		if (!results) {
			results = json_object();
			json_object_set_new(object, name, results);
		}
		key = err == 0 ? "ok" : err == EVIDENCE_ERRNOS - 1 ? "other" : errno_name(err);
		json_object_set_new(results, key,
				    json_integer(json_integer_value(json_object_get(results, key)) +
						 counts[err]));
	}
}

/* Of each ioctl; or of those that several kinds of descriptors take, kind by kind. */
static json_t *ioctl_results(const struct evidence *e, bool by_kind)
{
	static const struct {
		enum fd_kind kind;
		const char *name;
	} kinds[] = { { FD_SYSTEM, "system" },
		      { FD_VM, "vm" },
		      { FD_VCPU, "vcpu" },
		      { FD_DEVICE, "device" } };
	json_t *object = json_object();

	for (enum ioctl_index i = 0; i < IOCTL_COUNT; i++) {
		const struct ioctl_info *info = &ioctl_table[i];
		char name[80];

		for (size_t k = 0; k < COUNT(kinds); k++) {
			if (!(info->kinds & kinds[k].kind) ||
			    (by_kind && info->kinds == kinds[k].kind))
				continue;
			snprintf(name, sizeof name, "%s%s%s", by_kind ? kinds[k].name : "",
				 by_kind ? " " : "", info->name);
			add_results(object, name, e->ioctls[ioctl_pair(i, kinds[k].kind)]);
		}
	}
	return object;
}

static json_t *exit_counts(const struct evidence *e)
{
	json_t *object = json_object();

	for (uint32_t i = 0; i < EVIDENCE_REASONS; i++)
		if (e->exit_reasons[i])
			json_object_set_new(object,
					    i == EVIDENCE_REASONS - 1 ? "other" : exit_name(i),
					    json_integer(e->exit_reasons[i]));
	return object;
}

/* A case that went wild may have left any number there. */
static json_t *used_capabilities(const struct evidence *e)
{
	static const char *const uses[] = {
		[CAP_CHECKED] = "checked",
		[CAP_NEEDED] = "needed",
		[CAP_REFUSED] = "refused",
		[CAP_ENABLED] = "enabled",
	};
	json_t *object = json_object();

	for (uint32_t cap = 0; cap < EVIDENCE_CAPS; cap++) {
		const char *use = e->caps[cap] < COUNT(uses) ? uses[e->caps[cap]] : NULL;
		const char *name = use ? capability_name(cap) : NULL;

		if (name)
			json_object_set_new(object, name, json_string(use));
	}
	return object;
}

/* The same. */
static json_t *used_fields(const struct evidence *e)
{
	static const char *const uses[] = {
		[FIELD_SET] = "set",
		[FIELD_ASSERTED] = "asserted",
	};
	json_t *object = json_object();

	for (enum run_field field = 0; field < FIELD_COUNT; field++) {
		const char *use = e->fields[field] < COUNT(uses) ? uses[e->fields[field]] : NULL;

		if (use)
			json_object_set_new(object, field_names[field], json_string(use));
	}
	return object;
}

static void add_state(json_t *record, const struct evidence *e, const struct sandbox_end *end)
{
	json_t *kernel_log = klog_since(end->mark, end->pid), *events = ftrace_since_mark();
	json_t *explanation = explain(e);

	if (e->guest[0])
		json_object_set_new(record, "guest", field_text(e->guest));
	if (e->has_regs)
		json_object_set_new(record, "vcpu", json_integer(e->vcpu_id));
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
static const struct evidence *sanitised(const struct evidence *shared)
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

static void set_if(json_t *record, const char *name, json_t *value)
{
	if (value)
		json_object_set_new(record, name, value);
}

json_t *make_record(const struct run *run, const struct planned *planned,
		    const struct sandbox_end *end)
{
	const struct evidence *e = sanitised(end->shared);
	struct judgement j = judge(run, planned->id, e, end);
	json_t *record = make_stub(planned);
	bool is_its_own = j.verdict == e->verdict || j.verdict == VERDICT_KNOWN;

	json_object_set_new(record, "verdict", json_string(verdict_name(j.verdict)));
	json_object_set_new(record, "seconds", json_real(end->seconds));
	if (e->file[0] && is_its_own)
		json_object_set_new(record, "at", json_sprintf("%s:%u", e->file, e->line));
	set_if(record, "expected", j.expected);
	set_if(record, "got", j.got);
	set_if(record, "reason", j.reason);
	set_if(record, "link", j.link);
	if (j.verdict != VERDICT_PASS && j.verdict != VERDICT_SKIP)
		add_state(record, e, end);
	if (end->output_len)
		json_object_set_new(record, "output", clean_text(end->output, end->output_len));
	if (end->output_lost)
		json_object_set_new(record, "output_bytes_lost", json_integer(end->output_lost));
	if (e->measurement_count)
		json_object_set_new(record, "measurements", measurements(e));
	json_object_set_new(record, "kvm_runs", json_integer(e->exit_count));
	json_object_set_new(record, "ioctls", ioctl_results(e, false));
	json_object_set_new(record, "shared_ioctls", ioctl_results(e, true));
	json_object_set_new(record, "exits", exit_counts(e));
	json_object_set_new(record, "capabilities", used_capabilities(e));
	json_object_set_new(record, "fields", used_fields(e));
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
	if (json_integer_value(json_object_get(record, "vcpu")))
		show(object, "vcpu", record, "vcpu");
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
