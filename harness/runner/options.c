// SPDX-License-Identifier: MIT
#include "runner/options.h"

#include "runner/clock.h"
#include "runner/run.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_GDB_PORT 1234
#define MAX_EFFORT       10000

static const char usage[] =
	"Usage: kvmspec [OPTION]... [FILTER]...\n"
	"   or: kvmspec doctor [OPTION]... [VMM]...\n"
	"Runs the cases against this host's KVM; with filters, those whose id matches one of them.\n"
	"A filter is a shell pattern ('signals/*') or an area or case name ('signals').\n"
	"With doctor as the first word, runs all of them, and says whether this host is fit for the\n"
	"VMMs that are named, or for each that it knows.\n"
	"\n"
	"  -j, --jobs=N           run N cases at a time (default: the number of CPUs)\n"
	"  -o, --out=DIR          write the results to DIR (default: a new directory under\n"
	"                         results/runs, with results/latest pointing to it)\n"
	"      --run              run them, which is what happens anyway\n"
	"  -l, --list             list the cases instead of running them\n"
	"      --catalogue        list every case, its contract and its source, for tools\n"
	"      --probe            only say what KVM this host has\n"
	"      --except=FILE      leave out the cases whose ids are in FILE, one a line\n"
	"      --repeat=N         run all of them N times, and say whose verdict changes\n"
	"      --until-fail       repeat until a case fails, N times at most (default: as\n"
	"                         often as makes 20000 runs of cases)\n"
	"      --shuffle[=SEED]   run them in another order each time; the seed repeats it\n"
	"      --strict           a known deviation that passes is a failure\n"
	"      --no-skip          a skip is a failure: this host is to run everything\n"
	"      --timeout-scale=F  allow the cases F times as long (default: as slow as this host\n"
	"                         makes VMs, at most 50)\n"
	"      --effort=PERCENT   do so much of what cases do many times, as kicks and samples\n"
	"                         (default: 100)\n"
	"      --trace            print every ioctl of the cases as it returns, on standard error;\n"
	"                         one case at a time unless -j says otherwise\n"
	"      --ftrace           put KVM's last trace events into the record of each case that\n"
	"                         does not pass; one case at a time\n"
	"      --gdb[=PORT]       keep the vCPU of a case that fails for gdb, on 127.0.0.1:PORT\n"
	"                         (default 1234; 0: any that is free), and say how to connect;\n"
	"                         for one case, which has no time-out then\n"
	"      --gdb-at=WHEN      when gdb gets it: «failure», or «start», before its first run\n"
	"      --json             of doctor: the answer as a JSON object\n"
	"      --ktap             write KTAP to standard output, as a test of the kernel's does,\n"
	"                         and the summary to standard error\n"
	"      --stream=PATH      write the run as lines of text to PATH, a file or a device; no\n"
	"                         other results unless --out says where\n"
	"      --receive=PATH     make the results of a stream's lines in PATH ('-': standard\n"
	"                         input), as they come, instead of running anything\n"
	"      --kvm=PATH         use PATH instead of /dev/kvm\n"
	"      --kernel-log=PATH  watch PATH, records of the same form, instead of /dev/kmsg\n"
	"      --version          print the version\n"
	"  -h, --help             print this\n"
	"\n"
	"Exit status: 0 nothing failed, 1 a case failed, 2 the run could not start or its results\n"
	"could not be written, 130 interrupted. Of doctor: 0 fit, 1 not fit for one of the VMMs, or a\n"
	"case failed, 2 cannot be tested.\n";

_Noreturn void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("kvmspec: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(EXIT_CANNOT_RUN);
}

int flush_stdout(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "kvmspec: cannot write to standard output\n");
	return EXIT_CANNOT_RUN;
}

/* Returns whether value is a whole number from least to most. */
static bool parse_number(const char *value, long least, long most, long *n)
{
	char *end;

	errno = 0;
	*n = strtol(value, &end, 10);
	return !errno && !*end && end != value && *n >= least && *n <= most;
}

/* What each option does that is more than to set a flag or keep a text. */

static long parse_count(const char *option, const char *value)
{
	long n;

	if (!parse_number(value, 1, 1000000, &n))
		die("%s takes a number from 1 to 1000000, not '%s'", option, value);
	return n;
}

static void set_jobs(struct options *o, const char *value)
{
	o->jobs = parse_count("--jobs", value);
}

static void set_repeat(struct options *o, const char *value)
{
	o->repeat = parse_count("--repeat", value);
}

static long random_seed(void)
{
	uint32_t seed = now_ns(); /* without a source of entropy, any will do */

	getentropy(&seed, sizeof seed);
	return seed;
}

static void set_shuffle(struct options *o, const char *value)
{
	o->shuffle = true;
	if (!value)
		o->seed = random_seed();
	else if (!parse_number(value, 0, UINT32_MAX, &o->seed))
		die("--shuffle takes a number from 0 to %u, not '%s'", UINT32_MAX, value);
}

static void set_timeout_scale(struct options *o, const char *value)
{
	char *end;

	o->timeout_scale = strtod(value, &end);
	if (*end || end == value || !(o->timeout_scale > 0 && o->timeout_scale <= 1000))
		die("--timeout-scale takes a number above 0 and up to 1000, not '%s'", value);
}

static void set_effort(struct options *o, const char *value)
{
	if (!parse_number(value, 1, MAX_EFFORT, &o->effort))
		die("--effort takes a percentage from 1 to %d, not '%s'", MAX_EFFORT, value);
}

static void set_gdb(struct options *o, const char *value)
{
	long port = DEFAULT_GDB_PORT;

	if (value && !parse_number(value, 0, 65535, &port))
		die("--gdb takes a port from 0 to 65535, not '%s'", value);
	o->gdb_port = port;
	if (!o->gdb)
		o->gdb = GDB_AT_FAILURE;
}

static void set_gdb_at(struct options *o, const char *value)
{
	if (strcmp(value, "failure") == 0)
		o->gdb = GDB_AT_FAILURE;
	else if (strcmp(value, "start") == 0)
		o->gdb = GDB_AT_START;
	else
		die("--gdb-at takes 'start' or 'failure', not '%s'", value);
}

static void set_nothing(struct options *o, const char *value)
{
	(void)o, (void)value;
}

static void print_version(struct options *o, const char *value)
{
	(void)o, (void)value;
	puts("kvmspec " KVMSPEC_VERSION);
	exit(flush_stdout(EXIT_SUCCESS));
}

static void print_usage(struct options *o, const char *value)
{
	(void)o, (void)value;
	fputs(usage, stdout);
	exit(flush_stdout(EXIT_SUCCESS));
}

/* clang-format off */
#define FLAG(name, member) { name, no_argument, offsetof(struct options, member), NULL }
#define TEXT(name, member) { name, required_argument, offsetof(struct options, member), NULL }

static const struct option_info {
	const char *name;
	int argument;
	size_t offset; /* of the flag or text in struct options, unless there is … */
	void (*set)(struct options *o, const char *value);
} infos[] = {
	{ "jobs", required_argument, 0, set_jobs },
	TEXT("out", out),
	{ "run", no_argument, 0, set_nothing },
	FLAG("list", list),
	FLAG("catalogue", catalogue),
	FLAG("probe", probe),
	TEXT("except", except),
	{ "repeat", required_argument, 0, set_repeat },
	FLAG("until-fail", until_fail),
	{ "shuffle", optional_argument, 0, set_shuffle },
	FLAG("strict", strict),
	FLAG("no-skip", no_skip),
	{ "timeout-scale", required_argument, 0, set_timeout_scale },
	{ "effort", required_argument, 0, set_effort },
	FLAG("trace", trace),
	FLAG("ftrace", ftrace),
	{ "gdb", optional_argument, 0, set_gdb },
	{ "gdb-at", required_argument, 0, set_gdb_at },
	FLAG("json", json),
	FLAG("ktap", ktap),
	TEXT("stream", stream),
	TEXT("receive", receive),
	TEXT("kvm", kvm),
	TEXT("kernel-log", kernel_log),
	{ "version", no_argument, 0, print_version },
	{ "help", no_argument, 0, print_usage },
};
/* clang-format on */

#define INFO_COUNT (sizeof infos / sizeof *infos)

/* Short options stand for long ones. */
static const struct {
	char letter;
	const char *name;
} shorts[] = { { 'j', "jobs" }, { 'o', "out" }, { 'l', "list" }, { 'h', "help" } };

/* What getopt_long() returns for a long option is its place in the table, and FIRST. */
#define FIRST 256

static const struct option_info *find_info(int c)
{
	const char *name = NULL;

	if (c >= FIRST)
		return &infos[c - FIRST];
	for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++)
		if (shorts[i].letter == c)
			name = shorts[i].name;
	for (size_t i = 0; name && i < INFO_COUNT; i++)
		if (strcmp(infos[i].name, name) == 0)
			return &infos[i];
	die("try 'kvmspec --help'"); /* getopt has said what is wrong */
}

static void apply(struct options *o, const struct option_info *info, const char *value)
{
	char *member = (char *)o + info->offset;

	if (info->set)
		info->set(o, value);
	else if (info->argument == no_argument)
		*(bool *)member = true;
	else
		memcpy(member, &value, sizeof value);
}

/* "doctor" is no area of cases (ci/consistency.py), so that it is no filter either. */
static void take_doctor(struct options *o, char **words_end)
{
	o->doctor = *o->filters && strcmp(*o->filters, "doctor") == 0;
	if (!o->doctor && o->json)
		die("--json is for doctor: cases.jsonl in the results has the records of a run");
	if (!o->doctor)
		return;
	o->vmms = o->filters + 1;
	o->filters = words_end;
	if (o->list || o->catalogue || o->probe || o->receive || o->stream || o->except ||
	    o->repeat || o->until_fail || o->gdb || o->trace || o->strict || o->no_skip || o->ktap)
		die("doctor runs all cases once: of the other options it takes --jobs, --out, --json, "
		    "--timeout-scale, --effort, --kvm, --kernel-log, --shuffle and --ftrace");
}

struct options parse_options(int argc, char **argv)
{
	struct option longs[INFO_COUNT + 1] = { 0 };
	struct options o = { .kvm = "/dev/kvm",
			     .kernel_log = "/dev/kmsg",
			     .effort = 100,
			     .gdb_port = DEFAULT_GDB_PORT };
	int c;

	for (size_t i = 0; i < INFO_COUNT; i++)
		longs[i] = (struct option){ infos[i].name, infos[i].argument, NULL, FIRST + i };
	while ((c = getopt_long(argc, argv, "j:o:lh", longs, NULL)) != -1)
		apply(&o, find_info(c), optarg);
	o.filters = argv + optind;
	take_doctor(&o, argv + argc);
	if (o.ftrace && o.jobs > 1)
		die("--ftrace takes one case at a time, to tell whose an event is: leave out --jobs");
	if (o.ktap && o.stream && !o.out)
		die("--ktap is about results, and --stream writes none by itself: add --out=DIR");
	if (!o.jobs)
		o.jobs = o.trace || o.ftrace ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
	return o;
}
