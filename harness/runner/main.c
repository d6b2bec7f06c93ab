// SPDX-License-Identifier: MIT
/* The program: chooses cases, lets Criterion run them, reports. */
#include "runner/run.h"

#include "gdb_stub.h"
#include "host.h"
#include "runner/clock.h"
#include "runner/ftrace.h"
#include "runner/klog.h"
#include "trace.h"

#include <criterion/criterion.h>
#include <criterion/internal/test.h>
#include <criterion/options.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT 10.0  /* seconds */
#define RUNS_UNTIL_FAIL 20000 /* all are planned from the start; Criterion is slow with more */

#define DEFAULT_GDB_PORT 1234

extern const struct kvm_case *const __start_kvm_cases[], *const __stop_kvm_cases[];

struct options {
	char **filters; /* NULL-terminated; none: every case that is not on request */
	const char *out, *kvm, *kernel_log;
	long jobs; /* 0: as many as there are CPUs, or one where that is needed to understand it */
	long repeat;
	long seed;            /* of --shuffle; -1: the cases run in the order of their names */
	double timeout_scale; /* 0: as slow as this host is */
	bool list, catalogue, trace, ftrace;
	enum gdb_when gdb;
	unsigned gdb_port;
};

static struct run run;
static unsigned long long started_ns;

static _Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void die(const char *format, ...)
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

static const char usage[] =
	"Usage: kvmspec [OPTION]... [FILTER]...\n"
	"Runs the cases against this host's KVM; with filters, those whose id matches one of them.\n"
	"A filter is a shell pattern ('signals/*') or an area or case name ('signals').\n"
	"\n"
	"  -j, --jobs=N           run N cases at a time (default: the number of CPUs)\n"
	"  -o, --out=DIR          write the results to DIR (default: a new directory under\n"
	"                         results/runs, with results/latest pointing to it)\n"
	"  -l, --list             list the cases instead of running them\n"
	"      --catalogue        list every case, its contract and its source, for tools\n"
	"      --repeat=N         run all of them N times, and say whose verdict changes\n"
	"      --until-fail       repeat until a case fails, N times at most (default: as\n"
	"                         often as makes 20000 runs of cases)\n"
	"      --shuffle[=SEED]   run them in another order each time; the seed repeats it\n"
	"      --strict           a known deviation that passes is a failure\n"
	"      --no-skip          a skip is a failure: this host is to run everything\n"
	"      --timeout-scale=F  allow the cases F times as long (default: as slow as this host\n"
	"                         makes VMs, at most 50)\n"
	"      --trace            print every ioctl of the cases as it returns, on standard error;\n"
	"                         one case at a time unless -j says otherwise\n"
	"      --ftrace           put KVM's last trace events into the record of each case that\n"
	"                         does not pass; one case at a time\n"
	"      --gdb[=PORT]       keep the vCPU of a case that fails for gdb, on 127.0.0.1:PORT\n"
	"                         (default 1234; 0: any that is free), and say how to connect;\n"
	"                         for one case, which has no time-out then\n"
	"      --gdb-at=WHEN      when gdb gets it: «failure», or «start», before its first run\n"
	"      --kvm=PATH         use PATH instead of /dev/kvm\n"
	"      --kernel-log=PATH  watch PATH, records of the same form, instead of /dev/kmsg\n"
	"      --version          print the version\n"
	"  -h, --help             print this\n"
	"\n"
	"Exit status: 0 nothing failed, 1 a case failed, 2 the run could not start or its results\n"
	"could not be written, 130 interrupted.\n";

static long parse_count(const char *option, const char *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno || *end || end == value || n < 1 || n > 1000000)
		die("%s takes a number from 1 to 1000000, not '%s'", option, value);
	return n;
}

static long parse_seed(const char *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (errno || *end || end == value || n < 0 || n > UINT32_MAX)
		die("--shuffle takes a number from 0 to %u, not '%s'", UINT32_MAX, value);
	return n;
}

static long random_seed(void)
{
	uint32_t seed = now_ns(); /* without a source of entropy, any will do */

	getentropy(&seed, sizeof seed);
	return seed;
}

static double parse_scale(const char *value)
{
	char *end;
	double f = strtod(value, &end);

	if (*end || end == value || !(f > 0 && f <= 1000))
		die("--timeout-scale takes a number above 0 and up to 1000, not '%s'", value);
	return f;
}

static unsigned parse_port(const char *value)
{
	char *end;
	unsigned long port = strtoul(value, &end, 10);

	if (*end || end == value || *value == '-' || port > 65535)
		die("--gdb takes a port from 0 to 65535, not '%s'", value);
	return port;
}

static enum gdb_when parse_gdb_at(const char *value)
{
	if (strcmp(value, "failure") == 0)
		return GDB_AT_FAILURE;
	if (strcmp(value, "start") == 0)
		return GDB_AT_START;
	die("--gdb-at takes 'start' or 'failure', not '%s'", value);
}

/* Before anything else: what we open must not become a closed stream's file descriptor. */
static void prepare_streams(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
	signal(SIGPIPE, SIG_IGN); /* a reader that left is a write error */
	signal(SIGXFSZ, SIG_IGN); /* so is a limit on file sizes, like a full disk */
}

/* Returns status, or that what was printed did not arrive. */
static int flush_stdout(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "kvmspec: cannot write to standard output\n");
	return EXIT_CANNOT_RUN;
}

static struct options parse_options(int argc, char **argv)
{
	enum {
		CATALOGUE = 256,
		STRICT,
		NO_SKIP,
		REPEAT,
		UNTIL_FAIL,
		SHUFFLE,
		TIMEOUT_SCALE,
		TRACE,
		FTRACE,
		GDB,
		GDB_AT,
		KVM,
		KERNEL_LOG,
		VERSION
	};
	static const struct option longs[] = {
		{ "jobs", required_argument, NULL, 'j' },
		{ "out", required_argument, NULL, 'o' },
		{ "list", no_argument, NULL, 'l' },
		{ "catalogue", no_argument, NULL, CATALOGUE },
		{ "strict", no_argument, NULL, STRICT },
		{ "no-skip", no_argument, NULL, NO_SKIP },
		{ "repeat", required_argument, NULL, REPEAT },
		{ "until-fail", no_argument, NULL, UNTIL_FAIL },
		{ "shuffle", optional_argument, NULL, SHUFFLE },
		{ "timeout-scale", required_argument, NULL, TIMEOUT_SCALE },
		{ "trace", no_argument, NULL, TRACE },
		{ "ftrace", no_argument, NULL, FTRACE },
		{ "gdb", optional_argument, NULL, GDB },
		{ "gdb-at", required_argument, NULL, GDB_AT },
		{ "kvm", required_argument, NULL, KVM },
		{ "kernel-log", required_argument, NULL, KERNEL_LOG },
		{ "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options o = {
		.kvm = "/dev/kvm",
		.kernel_log = "/dev/kmsg",
		.seed = -1,
	};
	const char *gdb_port = NULL, *seed = NULL;
	bool shuffled = false;
	int c;

	while ((c = getopt_long(argc, argv, "j:o:lh", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			o.jobs = parse_count("--jobs", optarg);
			break;
		case 'o':
			o.out = optarg;
			break;
		case 'l':
			o.list = true;
			break;
		case CATALOGUE:
			o.catalogue = true;
			break;
		case STRICT:
			run.strict = true;
			break;
		case NO_SKIP:
			run.no_skip = true;
			break;
		case REPEAT:
			o.repeat = parse_count("--repeat", optarg);
			break;
		case UNTIL_FAIL:
			run.until_fail = true;
			break;
		case SHUFFLE:
			shuffled = true;
			seed = optarg;
			break;
		case TIMEOUT_SCALE:
			o.timeout_scale = parse_scale(optarg);
			break;
		case TRACE:
			o.trace = true;
			break;
		case FTRACE:
			o.ftrace = true;
			break;
		case GDB:
			if (!o.gdb)
				o.gdb = GDB_AT_FAILURE;
			gdb_port = optarg;
			break;
		case GDB_AT:
			o.gdb = parse_gdb_at(optarg);
			break;
		case KVM:
			o.kvm = optarg;
			break;
		case KERNEL_LOG:
			o.kernel_log = optarg;
			break;
		case VERSION:
			puts("kvmspec " KVMSPEC_VERSION);
			exit(flush_stdout(EXIT_SUCCESS));
		case 'h':
			fputs(usage, stdout);
			exit(flush_stdout(EXIT_SUCCESS));
		default:
			die("try 'kvmspec --help'"); /* getopt has said what is wrong */
		}
	}
	if (shuffled)
		o.seed = seed ? parse_seed(seed) : random_seed();
	o.filters = argv + optind;
	o.gdb_port = gdb_port ? parse_port(gdb_port) : DEFAULT_GDB_PORT;
	if (o.ftrace && o.jobs > 1)
		die("--ftrace takes one case at a time, to tell whose an event is: leave out --jobs");
	if (!o.jobs)
		o.jobs = o.trace || o.ftrace ? 1 : sysconf(_SC_NPROCESSORS_ONLN);
	return o;
}

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

static void plan_case(const struct options *o, const struct kvm_case *c,
		      const struct guest_image *guest)
{
	char *id = make_id(c, guest);

	if (!is_chosen(o, c, id)) {
		free(id);
		return;
	}
	run.plan = realloc(run.plan, (run.planned + 1) * sizeof *run.plan);
	if (!run.plan)
		die("out of memory");
	run.plan[run.planned++] = (struct planned){ c, guest, id, id };
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct planned *)a)->id, ((const struct planned *)b)->id);
}

static bool plans_any(const char *filter)
{
	for (size_t i = 0; i < run.planned; i++)
		if (matches(filter, run.plan[i].id))
			return true;
	return false;
}

static void shuffle(struct planned *cases, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t other = (size_t)random() % i;
		struct planned taken = cases[i - 1];

		cases[i - 1] = cases[other];
		cases[other] = taken;
	}
}

/* All cases once, then all of them again: what an interrupted run leaves out is spread evenly. */
static void plan_rounds(const struct options *o)
{
	size_t cases = run.planned;

	if (cases > SIZE_MAX / sizeof *run.plan / run.rounds)
		die("out of memory");
	run.plan = realloc(run.plan, cases * run.rounds * sizeof *run.plan);
	if (!run.plan)
		die("out of memory");
	run.planned = cases * run.rounds;
	for (long round = run.rounds; round >= 1; round--) { /* the first, the original, last */
		struct planned *copy = run.plan + (round - 1) * cases;

		memmove(copy, run.plan, cases * sizeof *copy);
		for (size_t i = 0; i < cases && run.rounds > 1; i++)
			if (asprintf(&copy[i].run_id, "%s/%ld", copy[i].id, round) < 0)
				die("out of memory");
	}
	if (o->seed < 0)
		return;
	srandom(o->seed);
	for (long round = 0; round < run.rounds; round++)
		shuffle(run.plan + round * cases, cases);
}

static void plan(const struct options *o)
{
	for (const struct kvm_case *const *c = __start_kvm_cases; c < __stop_kvm_cases; c++) {
		if (!(*c)->each_mode)
			plan_case(o, *c, NULL);
		for (int mode = 0; (*c)->each_mode && mode < MODE_COUNT; mode++)
			plan_case(o, *c, (*c)->each_mode[mode]);
	}
	for (char **filter = o->filters; *filter; filter++)
		if (!plans_any(*filter))
			die("no case matches '%s'. 'kvmspec --list' shows what there is.", *filter);
	if (!run.planned)
		die("there are no cases");
	qsort(run.plan, run.planned, sizeof *run.plan, by_id);
	run.rounds = o->repeat;
	if (!run.rounds && run.until_fail)
		run.rounds = RUNS_UNTIL_FAIL / run.planned;
	if (!run.rounds)
		run.rounds = 1;
	plan_rounds(o);
}

/*
 * Criterion runs tests in the order of their names, and cases are to run in the order of the plan:
 * it knows each as its place there.
 */
struct place {
	char name[24];
};

static struct place place_of(size_t i)
{
	struct place place;

	snprintf(place.name, sizeof place.name, "%010zu", i);
	return place;
}

static const struct planned *find_planned(const char *place)
{
	return &run.plan[strtoul(place, NULL, 10)];
}

/* In the case's process. */

static const struct planned *mine;

/* What a case may have of the runner's: set before the zygote starts. */
static int terminal = -1; /* the runner's standard error, if the case says something there */
static int gdb_socket = -1;
static enum gdb_when gdb_from;
static bool traces;

static void enter_child(const char *place, void *shared)
{
	evidence = shared;
	mine = find_planned(place);
	if (gdb_from)
		gdb_begin(gdb_from, gdb_socket, terminal);
	if (traces)
		trace_begin(terminal, mine->run_id, criterion_options.jobs > 1);
}

static void run_mine(void)
{
	case_run(mine->c, mine->guest);
}

static void test_main(void)
{
	criterion_internal_test_setup();
	criterion_internal_test_main(run_mine);
	criterion_internal_test_teardown();
}

/* In the runner. */

static bool has_thread(const void *shared, pid_t thread)
{
	const struct evidence *e = shared;
	uint32_t n = e->thread_count < EVIDENCE_THREADS ? e->thread_count : EVIDENCE_THREADS;

	for (uint32_t i = 0; i < n; i++)
		if (e->threads[i] == thread)
			return true;
	return false;
}

static pid_t case_of(pid_t thread)
{
	return sandbox_case_of(thread, has_thread);
}

static void case_starts(void *shared)
{
	((struct evidence *)shared)->klog_start = klog_position();
	ftrace_mark();
}

static void case_ended(const struct sandbox_end *end)
{
	json_t *record = make_record(&run, find_planned(end->name), end);
	const char *verdict = json_string_value(json_object_get(record, "verdict"));
	bool failed = strcmp(verdict, "fail") == 0 || strcmp(verdict, "error") == 0;

	reports_add(&run, record);
	terminal_progress(&run);
	if (run.until_fail && failed) {
		run.stopped = "a case failed (--until-fail)";
		sandbox_interrupt();
	}
}

static void finish(void)
{
	ftrace_close();
	run.seconds = (now_ns() - started_ns) / 1e9;
	reports_close(&run);
	terminal_summary(&run);
}

static void was_interrupted(void)
{
	bool failed = run.stopped;

	if (!failed)
		run.stopped = "interrupted";
	finish();
	case_exit(failed ? flush_stdout(EXIT_FAILED) : EXIT_INTERRUPTED);
}

static void could_not_start(int err)
{
	static char reason[128];

	snprintf(
		reason, sizeof reason,
		"cannot start a process for the next: %s. Run fewer at a time with JOBS=n (--jobs)",
		strerror(err));
	run.stopped = reason;
	finish();
	case_exit(EXIT_CANNOT_RUN);
}

static void on_interrupt(int sig)
{
	(void)sig;
	sandbox_interrupt();
}

/* What the user has us ignore (nohup, a shell's background) stays ignored. */
static void handle_signals(void)
{
	static const int stops[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action = { .sa_handler = on_interrupt }, old;

	for (size_t i = 0; i < sizeof stops / sizeof *stops; i++)
		if (sigaction(stops[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(stops[i], &action, NULL);
}

/* One for each that is planned, kept to the end. */
static struct criterion_test_extra_data *extra;
static struct place *places;

static void register_with_criterion(struct criterion_test_set *set, const struct options *o)
{
	extra = calloc(run.planned, sizeof *extra);
	places = calloc(run.planned, sizeof *places);
	if (!extra || !places)
		die("out of memory");
	for (size_t i = 0; i < run.planned; i++) {
		const struct planned *p = &run.plan[i];
		struct criterion_test_extra_data *data = &extra[i];
		double timeout = p->c->timeout > 0 ? p->c->timeout : DEFAULT_TIMEOUT;

		places[i] = place_of(i);
		data->identifier_ = p->run_id;
		data->file_ = p->c->file;
		data->line_ = p->c->line;
		data->timeout = o->gdb ? 0 : timeout * o->timeout_scale; /* 0: none */
		criterion_register_test(set, &(struct criterion_test){
						     .name = places[i].name,
						     .category = "kvmspec",
						     .test = test_main,
						     .data = data,
					     });
	}
}

/* Criterion's own words: none. Its results are in the records. */
static struct criterion_logger silent;

static void prepare_gdb(const struct options *o)
{
	unsigned port = o->gdb_port;

	if (run.planned != 1)
		die("--gdb is for one case, and this would run %zu: %s, %s, … Name one of them.",
		    run.planned, run.plan[0].run_id, run.plan[1].run_id);
	gdb_socket = gdb_listen(&port);
	if (gdb_socket < 0)
		die("cannot listen on 127.0.0.1:%u: %s. Choose another port with --gdb=PORT; 0 "
		    "takes any that is free.",
		    port, strerror(-gdb_socket));
	gdb_from = o->gdb;
}

/* What the cases need from us for --trace and --gdb. */
static void prepare_debugging(const struct options *o)
{
	if (o->gdb)
		prepare_gdb(o);
	traces = o->trace;
	if (!o->gdb && !o->trace)
		return;
	terminal = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (terminal < 0)
		die("cannot duplicate standard error: %s", strerror(errno));
	run.quiet = true;
}

static void start_sandboxes(const struct options *o)
{
	size_t jobs = (size_t)o->jobs < run.planned ? (size_t)o->jobs : run.planned;
	int err;

	sandbox_hooks = (struct sandbox_hooks){
		.shared_size = sizeof(struct evidence),
		.starting = case_starts,
		.in_child = enter_child,
		.ended = case_ended,
		.interrupted = was_interrupted,
		.cannot_start = could_not_start,
		.dying_max = jobs > 1 ? 32 * jobs : 0, /* one job: one VM at a time */
		.keep_fds = { host.kvm.kvm_fd.fd, terminal, gdb_socket },
	};
	criterion_options.jobs = jobs; /* before the fork: cases want to know, too */
	err = sandbox_start(jobs);
	if (err)
		die("cannot start a process for the cases: %s", strerror(-err));
}

static void run_all(const struct options *o)
{
	struct criterion_test_set *set;

	criterion_options.logger = &silent;
	set = criterion_initialize();
	register_with_criterion(set, o);
	handle_signals(); /* after Criterion's */
	criterion_run_all_tests(set);
	sandbox_wait_all();
	criterion_finalize(set);
}

static void start_ftrace(void)
{
	const char *problem = ftrace_open();

	if (problem)
		fprintf(stderr, "kvmspec: KVM's trace events are not recorded: %s\n", problem);
	json_object_set_new(run.host, "ftrace", json_string(problem ? problem : "recorded"));
}

static void list(void)
{
	for (size_t i = 0; i < run.planned; i++)
		puts(run.plan[i].run_id);
}

/* Also what runs on request only; tab-separated. */
static void catalogue(void)
{
	for (const struct kvm_case *const *c = __start_kvm_cases; c < __stop_kvm_cases; c++)
		printf("%s/%s\t%s\t%s:%d\n", (*c)->area, (*c)->name,
		       (*c)->contract ? (*c)->contract : "", (*c)->file, (*c)->line);
}

int main(int argc, char **argv)
{
	struct options o;
	const char *problem;

	prepare_streams();
	o = parse_options(argc, argv);
	if (o.catalogue) {
		catalogue();
		return flush_stdout(EXIT_SUCCESS);
	}
	plan(&o);
	if (o.list) {
		list();
		return flush_stdout(EXIT_SUCCESS);
	}
	problem = host_open(o.kvm);
	if (problem)
		die("%s", problem);
	host_hold_vm();
	prepare_debugging(&o);
	start_sandboxes(&o);
	if (!o.timeout_scale)
		o.timeout_scale = host_slowness();
	problem = klog_open(o.kernel_log, (struct klog_cases){ case_of, sandbox_running });
	run.host = host_facts(argc, argv);
	json_object_set_new(run.host, "kernel_log", json_string(problem ? problem : "watched"));
	if (o.ftrace)
		start_ftrace();
	json_object_set_new(run.host, "timeout_scale", json_real(o.timeout_scale));
	if (o.seed >= 0)
		json_object_set_new(run.host, "shuffle_seed", json_integer(o.seed));
	run.records = json_array();
	problem = reports_open(&run, o.out);
	if (problem)
		die("%s", problem);
	terminal_begin(&run);
	started_ns = now_ns();
	run_all(&o);
	if (run.ended == run.planned)
		run.stopped = NULL; /* the last case failed */
	else if (!run.stopped)
		run.stopped = "Criterion ended the run";
	finish();
	if (run.lost || run.stopped)
		return EXIT_CANNOT_RUN;
	return flush_stdout(run_count(&run, "fail") + run_count(&run, "error") ? EXIT_FAILED
									       : EXIT_SUCCESS);
}
