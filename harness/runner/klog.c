// SPDX-License-Identifier: MIT
#include "runner/klog.h"

#include "runner/run.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>
#include <unistd.h>

#define LINE_BYTES   512
#define REPORT_LINES 64 /* a report names its process in one of its first so many lines */

enum { LEVEL_ERROR = 3, LEVEL_ANY = 7 }; /* syslog(2) */

/* How the kernel says that something is wrong with it: shell patterns for whole lines. */
static const struct pattern {
	const char *text;
	int level;      /* this or worse */
	bool is_report; /* more lines follow, and one of them names the process */
} patterns[] = {
	/* KVM, of whatever vendor, by its names before and since Linux 6.3 */
	{ "kvm[:_ -]*", LEVEL_ERROR, false },
	{ "KVM: *", LEVEL_ERROR, false },
	{ "SVM: *", LEVEL_ERROR, false },
	/* WARN(): a state that its author took for impossible; lockdep and RCU begin so, too */
	{ "WARNING: *", LEVEL_ANY, true },
	/* a bad address, sleep in atomic context; KASAN, KCSAN, KMSAN and KFENCE, by their names */
	{ "BUG: *", LEVEL_ANY, true },
	/* BUG() */
	{ "kernel BUG at *", LEVEL_ANY, true },
	/* undefined behaviour of C: a shift or an index out of bounds */
	{ "UBSAN: *", LEVEL_ANY, true },
	/* an exception in the kernel: "general protection fault, …: 0000 [#1] …", "Oops: 0002 [#1] …" */
	{ "*: [0-9a-f][0-9a-f][0-9a-f][0-9a-f] \\[#[0-9]*\\]*", LEVEL_ANY, true },
	/* an RDMSR or WRMSR of the kernel's own that raised #GP */
	{ "unchecked MSR access error: *", LEVEL_ANY, true },
	/* lockdep gives up */
	{ "INFO: trying to register non-static key*", LEVEL_ANY, true },
	/* a CPU that does not get out of the kernel; these may be anybody's */
	{ "rcu: INFO: *stall*", LEVEL_ANY, true },
	{ "watchdog: *", LEVEL_ERROR, true },
	{ "NMI watchdog: *", LEVEL_ERROR, true },
	/* a task that waits for ever */
	{ "INFO: task * blocked for more than *", LEVEL_ANY, true },
};

struct line {
	char text[LINE_BYTES];
	pid_t about; /* the case, or else the process, that KVM names in it; 0: none */
};

struct fault {
	uint64_t position;
	char text[LINE_BYTES];
	pid_t owner;        /* the case, or 0: any that ran then */
	unsigned running;   /* cases that ran then */
	bool may_say_whose; /* in a line of the same report to come */
	bool is_charged;    /* to a case */
};

static int fd = -1;
static struct klog_cases cases;
static bool knows_pids;    /* the kernel's process numbers are ours */
static struct line *lines; /* a ring of KLOG_LINES */
static uint64_t count;     /* lines read so far: the position */
static struct fault *faults;
static size_t fault_count;
static bool has_gaps;

/* The first PID namespace, the kernel's own, always has this number (PROC_PID_INIT_INO). */
static bool is_first_pid_namespace(void)
{
	char link[64] = "";

	return readlink("/proc/self/ns/pid", link, sizeof link - 1) > 0 &&
	       strcmp(link, "pid:[4026531836]") == 0;
}

const char *klog_open(const char *path, struct klog_cases what_runs)
{
	static char reason[256];

	cases = what_runs;
	knows_pids = is_first_pid_namespace();
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || lseek(fd, 0, SEEK_END) < 0) {
		snprintf(reason, sizeof reason, "%s: %s", path, strerror(errno));
		return reason;
	}
	lines = calloc(KLOG_LINES, sizeof *lines);
	return lines ? NULL : "out of memory";
}

/* The number behind a word, or 0. */
static pid_t number_after(const char *text, const char *word)
{
	const char *at = strstr(text, word);

	return at ? atoi(at + strlen(word)) : 0;
}

/* The case whose thread this is, or 0. */
static pid_t case_of(pid_t thread)
{
	return thread > 0 && knows_pids ? cases.case_of(thread) : 0;
}

/* Whom KVM names: "kvm [123]: …", "kvm_amd: kvm [123]: …", "kvm-pvm: pid 123 …". */
static pid_t named_by_kvm(const char *text)
{
	pid_t pid = 0, owner;

	if (fnmatch("kvm[:_ -]*", text, 0) == 0 && knows_pids) {
		pid = number_after(text, "kvm [");
		if (!pid)
			pid = number_after(text, "pid ");
	}
	owner = case_of(pid);
	return owner ? owner : pid;
}

static const struct pattern *find_pattern(const char *text, int level)
{
	for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
		if (level <= patterns[i].level && fnmatch(patterns[i].text, text, 0) == 0)
			return is_expected_of_kernel(text) ? NULL : &patterns[i];
	return NULL;
}

static void add_fault(const char *text, pid_t owner, bool is_report)
{
	struct fault *more = realloc(faults, (fault_count + 1) * sizeof *faults);

	if (!more)
		return;
	faults = more;
	faults[fault_count] = (struct fault){
		.position = count,
		.owner = owner,
		.running = cases.running(),
		.may_say_whose = is_report && !owner,
	};
	snprintf(faults[fault_count++].text, LINE_BYTES, "%s", text);
}

/* Reports that have just begun: an Oops, say, and the BUG that it is about. */
static void end_reports(const char *text, pid_t owner)
{
	bool ends = owner || strncmp(text, "---[ end trace", 14) == 0;

	for (size_t i = fault_count; i-- > 0 && count - faults[i].position < REPORT_LINES;) {
		if (faults[i].may_say_whose)
			faults[i].owner = owner;
		faults[i].may_say_whose &= !ends;
	}
}

/*
 * Looks for faults in a line of the kernel's own. thread: who printed it, where the kernel says so
 * (CONFIG_PRINTK_CALLER); 0: unknown. Reports say "WARNING: CPU: 1 PID: 123 at …" first, or "CPU: 1
 * UID: 0 PID: 123 Comm: …" later.
 */
static void look_for_fault(const struct line *line, int level, pid_t thread)
{
	const struct pattern *pattern = find_pattern(line->text, level);
	pid_t owner = case_of(number_after(line->text, " PID: "));

	if (!owner)
		owner = case_of(thread);
	end_reports(line->text, owner);
	if (pattern && pattern->is_report)
		add_fault(line->text, owner, true);
	else if (pattern && !line->about)
		add_fault(line->text, owner, false);
	else if (pattern && case_of(line->about))
		add_fault(line->text, line->about, false);
}

/*
 * One record: "priority,sequence,microseconds,flags;text", and perhaps more in front of the
 * semicolon. The priority is facility * 8 + level, and the kernel's facility is 0.
 */
static void keep(const char *record)
{
	struct line *line = &lines[count % KLOG_LINES];
	const char *text = strchr(record, ';');
	int priority = atoi(record);

	text = text ? text + 1 : record;
	snprintf(line->text, LINE_BYTES, "%s", text);
	line->about = named_by_kvm(line->text);
	if (priority < 8)
		look_for_fault(line, priority, number_after(record, ",caller=T"));
	count++;
}

static void read_new(void)
{
	char records[8192], *rest, *record;
	ssize_t n;

	while (lines) {
		n = read(fd, records, sizeof records - 1);
		if (n < 0 && errno == EPIPE) { /* overwritten before we read it */
			has_gaps = true;
			continue;
		}
		if (n <= 0)
			return;
		records[n] = '\0';
		rest = records;
		while ((record = strsep(&rest, "\n")))
			if (*record &&
			    *record != ' ') /* a key and its value, of the record above */
				keep(record);
	}
}

uint64_t klog_position(void)
{
	read_new();
	return count;
}

json_t *klog_since(uint64_t position, pid_t pid)
{
	json_t *array = json_array();

	if (!lines)
		return array;
	read_new();
	if (count - position > KLOG_LINES)
		position = count - KLOG_LINES;
	for (; position < count; position++) {
		const struct line *line = &lines[position % KLOG_LINES];

		if (!line->about || line->about == pid)
			json_array_append_new(array, clean_text(line->text, strlen(line->text)));
	}
	return array;
}

bool klog_find_fault(uint64_t position, pid_t pid, struct klog_fault *found)
{
	bool is_there = false;

	read_new();
	for (size_t i = fault_count; i-- > 0 && faults[i].position >= position;) {
		struct fault *fault = &faults[i];

		if (fault->owner && fault->owner != pid)
			continue;
		fault->is_charged = true;
		found->text = fault->text;
		found->others = fault->owner || !fault->running ? 0 : fault->running - 1;
		is_there = true;
	}
	return is_there;
}

json_t *klog_strays(void)
{
	json_t *array = json_array();

	read_new();
	for (size_t i = 0; i < fault_count; i++)
		if (!faults[i].is_charged)
			json_array_append_new(array,
					      clean_text(faults[i].text, strlen(faults[i].text)));
	return array;
}

bool klog_has_gaps(void)
{
	return has_gaps;
}
