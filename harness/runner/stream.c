// SPDX-License-Identifier: MIT
#include "runner/stream.h"

#include "runner/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <zlib.h>

static unsigned checksum(const char *text)
{
	return crc32(0, (const unsigned char *)text, strlen(text));
}

/* The sender. */

static int fd = -1;
static unsigned long sent;

/* A terminal would change newlines, echo, and mix what it reads with what we write. */
static void make_raw(void)
{
	struct termios t;

	if (tcgetattr(fd, &t) != 0)
		return;
	cfmakeraw(&t);
	cfsetspeed(&t, B115200);
	tcsetattr(fd, TCSANOW, &t);
}

const char *stream_open(const char *path)
{
	static char problem[512];

	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
	if (fd < 0) {
		snprintf(problem, sizeof problem, "cannot write the stream to %s: %s", path,
			 strerror(errno));
		return problem;
	}
	make_raw();
	return NULL;
}

static void write_all(struct run *run, const char *text, size_t size)
{
	while (size) {
		ssize_t n = write(fd, text, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (!run->lost) {
				run->lost = "the stream";
				run->lost_errno = errno;
			}
			return;
		}
		text += n;
		size -= n;
	}
}

/* Sends {name: value}; takes the reference to value. */
static void send_line(struct run *run, const char *name, json_t *value)
{
	json_t *object = json_pack("{so}", name, value);
	char *text = json_dumps(object, JSON_COMPACT), *line;
	int size = text ? asprintf(&line, "%lu %08x %s\n", ++sent, checksum(text), text) : -1;

	if (size >= 0) {
		write_all(run, line, size);
		free(line);
	}
	free(text);
	json_decref(object);
}

void stream_begin(struct run *run)
{
	json_t *plan;

	if (fd < 0)
		return;
	plan = json_array();
	write_all(run, "\n", 1); /* ends whatever was there before */
	for (size_t i = 0; i < run->planned; i++)
		json_array_append_new(plan, make_stub(&run->plan[i]));
	send_line(run, "begin",
		  json_pack("{sO sI so}", "host", run->host, "rounds", (json_int_t)run->rounds,
			    "plan", plan));
}

void stream_starting(struct run *run, const struct planned *planned)
{
	if (fd >= 0)
		send_line(run, "starting", json_string(planned->run_id));
}

void stream_record(struct run *run, const json_t *record)
{
	if (fd >= 0)
		send_line(run, "record", json_incref((json_t *)record));
}

void stream_end(struct run *run)
{
	if (fd < 0)
		return;
	send_line(run, "end",
		  json_pack("{sf sO ss*}", "seconds", run->seconds, "strays", run->strays,
			    "stopped", run->stopped));
	tcdrain(fd);
}

/* The receiver. */

static json_t *unreported;    /* of the plan, by id: what is known of a case without a record */
static json_t *running;       /* of the cases that run, by id: when they started, in ns */
static json_t *lab;           /* what the sending lab says of itself, or NULL */
static unsigned long number;  /* of the last line that was counted */
static unsigned long damaged; /* lines, lost ones included */
static bool begun, complete, died_late;
static unsigned long long begun_ns;

static void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void complain(const char *format, ...)
{
	va_list args;

	fputs("kvmspec: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* why: NULL if nothing stopped it, after all. */
static void stop(struct run *run, const char *why)
{
	static char *text;

	free(text);
	text = why ? strdup(why) : NULL;
	run->stopped = text;
}

/* The first stream's plan is the run's; one that goes on after it can only know less. */
static void on_begin(struct run *run, json_t *value)
{
	json_t *stub;
	size_t i;

	number = 1;
	json_object_clear(running);
	if (begun)
		return;
	begun = true;
	begun_ns = now_ns();
	run->host = json_incref(json_object_get(value, "host"));
	run->rounds = json_integer_value(json_object_get(value, "rounds"));
	json_array_foreach(json_object_get(value, "plan"), i, stub) {
		reports_expect(run, text_of(stub, "case"));
		json_object_set(unreported, text_of(stub, "case"), stub);
	}
	run->planned = json_object_size(unreported);
	if (lab)
		json_object_set(run->host, "lab", lab);
	reports_begin(run);
	terminal_begin(run);
}

static void on_starting(struct run *run, json_t *value)
{
	(void)run;
	json_object_set_new(running, json_string_value(value), json_integer(now_ns()));
}

static void report(struct run *run, json_t *record)
{
	const char *id = text_of(record, "case");

	if (!json_object_get(unreported, id))
		return; /* reported before: its machine died too early to know */
	json_object_del(running, id);
	json_object_del(unreported, id);
	reports_add(run, json_incref(record));
	terminal_progress(run);
}

/* A case that did not come to its record. */
static void report_error(struct run *run, const char *id, const char *reason, json_t *kernel_log)
{
	json_t *record = json_deep_copy(json_object_get(unreported, id));
	json_t *start = json_object_get(running, id);
	double seconds = start ? (now_ns() - json_integer_value(start)) / 1e9 : 0;
	json_t *rest = json_pack("{ss ss sf s[] si s{} s{} s{} s{} s{}}", "verdict", "error",
				 "reason", reason, "seconds", seconds, "last_exits", "kvm_runs", 0,
				 "ioctls", "shared_ioctls", "exits", "capabilities", "fields");

	json_object_update_new(record, rest);
	if (json_array_size(kernel_log))
		json_object_set(record, "kernel_log", kernel_log);
	report(run, record);
	json_decref(record);
}

static void report_errors(struct run *run, json_t *ids, const char *reason, json_t *kernel_log)
{
	const char *id;
	json_t *value;
	void *next;

	json_object_foreach_safe(ids, next, id, value) if (json_object_get(unreported, id))
		report_error(run, id, reason, kernel_log);
}

static void on_end(struct run *run, json_t *value)
{
	json_t *stopped = json_object_get(value, "stopped");

	run->strays = json_incref(json_object_get(value, "strays"));

	complete = true;
	run->seconds = json_real_value(json_object_get(value, "seconds"));
	if (stopped)
		stop(run, json_string_value(stopped));
	else
		report_errors(run, unreported, "its record was lost on the way from the guest",
			      NULL);
}

/* A console's lines may hold anything. */
static json_t *clean_lines(const json_t *lines)
{
	json_t *array = json_array();

	for (size_t i = 0; i < json_array_size(lines); i++) {
		const char *line = json_string_value(json_array_get(lines, i));

		json_array_append_new(array, clean_text(line ? line : "", line ? strlen(line) : 0));
	}
	return array;
}

/*
 * The machine that sent the stream is gone, with what ran there; its lab says why. Dead after the
 * last case is no case's fault, but no good end either.
 */
static void on_died(struct run *run, json_t *value)
{
	json_t *words = clean_lines(json_object_get(value, "kernel_log"));
	size_t n = json_object_size(running);
	char reason[512], each[1024];

	snprintf(reason, sizeof reason, "%s", text_of(value, "reason"));
	snprintf(each, sizeof each,
		 n > 1 ? "%s (while %zu cases ran: run them with JOBS=1, or with --continue)"
		       : "%s",
		 reason, n);
	report_errors(run, running, each, words);
	json_decref(words);
	died_late = begun && n == 0 && json_object_size(unreported) == 0;
	if (died_late)
		complain("after the last case: %s", reason);
	else if (!begun || json_object_size(unreported))
		stop(run, reason);
}

/* The lab wants no more: what runs is not at fault. */
static void on_stopped(struct run *run, json_t *value)
{
	stop(run, json_string_value(value));
}

/* What the lab is; it knows more with each boot. */
static void on_lab(struct run *run, json_t *value)
{
	json_decref(lab);
	lab = json_incref(value);
	if (begun) {
		json_object_set(run->host, "lab", lab);
		stop(run, NULL); /* it goes on */
		reports_host(run);
	}
}

static const struct {
	const char *name;
	const char *shape, *first, *second; /* what it must hold, for json_unpack() */
	void (*handle)(struct run *run, json_t *value);
} objects[] = {
	{ "begin", "{s{} s[]}", "host", "plan", on_begin },
	{ "starting", "s", "", "", on_starting },
	{ "record", "{ss ss}", "case", "verdict", report },
	{ "end", "{sf}", "seconds", "", on_end },
	{ "died", "{ss}", "reason", "", on_died },
	{ "stopped", "s", "", "", on_stopped },
	{ "lab", "{ss}", "run_again", "", on_lab },
};

/* Before the run begins there is only what begins or prevents it. Unknown objects are newer ones. */
static void dispatch(struct run *run, json_t *object)
{
	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
		json_t *value = json_object_get(object, objects[i].name);
		bool needs_run = objects[i].handle == report || objects[i].handle == on_starting ||
				 objects[i].handle == on_end;

		if (!value || (needs_run && !begun))
			continue;
		if (json_unpack_ex(value, NULL, JSON_VALIDATE_ONLY, objects[i].shape,
				   objects[i].first, objects[i].second) == 0)
			objects[i].handle(run, value);
		else
			complain("a malformed '%s' in the stream", objects[i].name);
	}
}

/* Returns the object of a line, and its number; NULL if it is damaged. */
static json_t *parse(const char *line, unsigned long *n)
{
	unsigned sum;
	int used = 0;

	if (sscanf(line, "%lu %8x %n", n, &sum, &used) != 2 || !used ||
	    checksum(line + used) != sum)
		return NULL;
	return json_loads(line + used, 0, NULL);
}

static void take_line(struct run *run, char *line)
{
	unsigned long n;
	json_t *object, *shown;

	line[strcspn(line, "\n")] = '\0';
	if (!*line)
		return;
	object = parse(line, &n);
	if (!object) {
		shown = clean_text(line, strnlen(line, 60));
		damaged++;
		complain("a damaged line in the stream: %s", json_string_value(shown));
		json_decref(shown);
		return;
	}
	if (n > number + 1 && begun) {
		damaged++;
		complain("lines %lu to %lu of the stream are damaged or missing", number + 1,
			 n - 1);
	}
	if (n)
		number = n;
	dispatch(run, object);
	json_decref(object);
}

static int exit_status(const struct run *run)
{
	if (run->stopped && strcmp(run->stopped, "interrupted") == 0)
		return EXIT_INTERRUPTED;
	if (run->lost || run->stopped || died_late)
		return EXIT_CANNOT_RUN;
	return run_failed(run) ? EXIT_FAILED : EXIT_SUCCESS;
}

int stream_receive(struct run *run, const char *path, const char *out)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	const char *problem = f ? reports_open(run, out) : strerror(errno);
	char *line = NULL;
	size_t size;

	if (problem) {
		complain("%s%s%s", f ? "" : path, f ? "" : ": ", problem);
		return EXIT_CANNOT_RUN;
	}
	run->records = json_array();
	unreported = json_object();
	running = json_object();
	while (getline(&line, &size, f) > 0)
		take_line(run, line);
	free(line);
	if (!begun) {
		complain("%s",
			 run->stopped ? run->stopped : "the stream ended before the run began");
		return exit_status(run) == EXIT_INTERRUPTED ? EXIT_INTERRUPTED : EXIT_CANNOT_RUN;
	}
	if (!complete && !run->stopped && json_object_size(unreported)) {
		stop(run, "the stream ended in the middle of the run");
		report_errors(run, running, run->stopped, NULL);
		if (!json_object_size(unreported))
			stop(run, NULL);
	}
	if (run->seconds < (now_ns() - begun_ns) / 1e9) /* unless it is a recorded stream */
		run->seconds = (now_ns() - begun_ns) / 1e9;
	reports_close(run);
	terminal_summary(run);
	if (damaged)
		complain("%lu damaged or missing places in the stream, see above", damaged);
	return exit_status(run);
}
