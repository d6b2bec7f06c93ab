// SPDX-License-Identifier: MIT
/* The program: chooses cases, lets Criterion run them, reports. */
#include "runner/run.h"

#include "host.h"
#include "runner/clock.h"
#include "runner/klog.h"
#include "runner/stream.h"

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

#define DEFAULT_TIMEOUT 10.0 /* seconds */

extern const struct kvm_case *const __start_kvm_cases[], *const __stop_kvm_cases[];

struct options {
	char **filters; /* NULL-terminated; none: every case that is not on request */
	const char *out, *kvm, *stream, *receive, *except;
	long jobs, repeat;
	double timeout_scale; /* 0: as slow as this host is */
	bool list, catalogue, probe;
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
	"      --repeat=N         run each case N times\n"
	"      --strict           a known deviation that passes is a failure\n"
	"      --no-skip          a skip is a failure: this host is to run everything\n"
	"      --timeout-scale=F  allow the cases F times as long (default: as slow as this host\n"
	"                         makes VMs, at most 50)\n"
	"      --except=FILE      leave out the cases whose ids are in FILE, one a line\n"
	"      --kvm=PATH         use PATH instead of /dev/kvm\n"
	"      --probe            only say what KVM this host has\n"
	"      --stream=PATH      write the run as lines of text to PATH, a file or a device; no\n"
	"                         other results unless --out says where\n"
	"      --receive=PATH     make the results of a stream's lines in PATH ('-': standard\n"
	"                         input), as they come, instead of running anything\n"
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

static double parse_scale(const char *value)
{
	char *end;
	double f = strtod(value, &end);

	if (*end || end == value || !(f > 0 && f <= 1000))
		die("--timeout-scale takes a number above 0 and up to 1000, not '%s'", value);
	return f;
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
		TIMEOUT_SCALE,
		EXCEPT,
		KVM,
		PROBE,
		STREAM,
		RECEIVE,
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
		{ "timeout-scale", required_argument, NULL, TIMEOUT_SCALE },
		{ "except", required_argument, NULL, EXCEPT },
		{ "kvm", required_argument, NULL, KVM },
		{ "probe", no_argument, NULL, PROBE },
		{ "stream", required_argument, NULL, STREAM },
		{ "receive", required_argument, NULL, RECEIVE },
		{ "version", no_argument, NULL, VERSION },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct options o = {
		.kvm = "/dev/kvm",
		.jobs = sysconf(_SC_NPROCESSORS_ONLN),
		.repeat = 1,
	};
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
		case TIMEOUT_SCALE:
			o.timeout_scale = parse_scale(optarg);
			break;
		case EXCEPT:
			o.except = optarg;
			break;
		case KVM:
			o.kvm = optarg;
			break;
		case PROBE:
			o.probe = true;
			break;
		case STREAM:
			o.stream = optarg;
			break;
		case RECEIVE:
			o.receive = optarg;
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
	o.filters = argv + optind;
	return o;
}

/* Whether a filter names the case, or an area or each-mode case that it belongs to. */
static bool matches(const char *filter, const char *id)
{
	char below[256];

	snprintf(below, sizeof below, "%s/*", filter);
	return fnmatch(filter, id, 0) == 0 || fnmatch(below, id, 0) == 0;
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
	run.plan = realloc(run.plan, (run.planned + o->repeat) * sizeof *run.plan);
	if (!run.plan)
		die("out of memory");
	for (long i = 1; i <= o->repeat; i++) {
		char *run_id = id;

		if (o->repeat > 1 && asprintf(&run_id, "%s/%ld", id, i) < 0)
			die("out of memory");
		run.plan[run.planned++] = (struct planned){ c, guest, id, run_id };
	}
}

static int by_id(const void *a, const void *b)
{
	return strcmp(((const struct planned *)a)->run_id, ((const struct planned *)b)->run_id);
}

static bool plans_any(const char *filter)
{
	for (size_t i = 0; i < run.planned; i++)
		if (matches(filter, run.plan[i].id))
			return true;
	return false;
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
}

/* Takes those out of the plan that the file names; it may name others, and leave none. */
static void leave_out(const char *path)
{
	FILE *f = fopen(path, "re");
	size_t size, kept = 0;
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
	for (size_t i = 0; i < run.planned; i++)
		if (!json_object_get(ids, run.plan[i].run_id))
			run.plan[kept++] = run.plan[i];
	run.planned = kept;
	json_decref(ids);
}

/* The plan's entry that Criterion knows as this suite and test. */
static const struct planned *find_planned(const char *area, const char *name)
{
	char id[256];

	snprintf(id, sizeof id, "%s/%s", area, name);
	return bsearch(&(struct planned){ .run_id = id }, run.plan, run.planned, sizeof *run.plan,
		       by_id);
}

/* In the case's process. */

static const struct planned *mine;

static void enter_child(const char *area, const char *name, void *shared)
{
	evidence = shared;
	mine = find_planned(area, name);
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

static void case_starts(const char *area, const char *name, void *shared)
{
	stream_starting(&run, find_planned(area, name));
	((struct evidence *)shared)->klog_start = klog_position();
}

static void case_ended(const struct sandbox_end *end)
{
	const struct planned *planned = find_planned(end->area, end->name);
	json_t *record = make_record(&run, planned, end);

	stream_record(&run, record);
	reports_add(&run, record);
	if (run.directory)
		terminal_progress(&run);
}

static void finish(void)
{
	run.seconds = (now_ns() - started_ns) / 1e9;
	stream_end(&run);
	if (!run.directory) {
		if (run.lost)
			fprintf(stderr, "kvmspec: could not write %s: %s\n", run.lost,
				strerror(run.lost_errno));
		return;
	}
	reports_close(&run);
	terminal_summary(&run);
}

static void was_interrupted(void)
{
	run.stopped = "interrupted";
	finish();
	case_exit(EXIT_INTERRUPTED);
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

static struct criterion_test_extra_data *extra; /* one for each that is planned, kept to the end */

static void register_with_criterion(struct criterion_test_set *set, const struct options *o)
{
	extra = calloc(run.planned, sizeof *extra);
	if (!extra)
		die("out of memory");
	for (size_t i = 0; i < run.planned; i++) {
		const struct planned *p = &run.plan[i];
		struct criterion_test_extra_data *data = &extra[i];
		double timeout = p->c->timeout > 0 ? p->c->timeout : DEFAULT_TIMEOUT;

		data->identifier_ = p->run_id;
		data->file_ = p->c->file;
		data->line_ = p->c->line;
		data->timeout = timeout * o->timeout_scale;
		criterion_register_test(set, &(struct criterion_test){
						     .name = strchr(p->run_id, '/') + 1,
						     .category = p->c->area,
						     .test = test_main,
						     .data = data,
					     });
	}
}

/* Criterion's own words: none. Its results are in the records. */
static struct criterion_logger silent;

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
		.keep_fd = host.kvm.kvm_fd.fd,
	};
	err = sandbox_start(jobs);
	if (err)
		die("cannot start a process for the cases: %s", strerror(-err));
	criterion_options.jobs = jobs;
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

static void probe(void)
{
	char line[256];

	puts(host_line(host_facts(0, NULL), line, sizeof line));
}

/* The run's start, for all who read of it: where its stream and its results go. */
static void open_results(const struct options *o)
{
	const char *problem = o->stream ? stream_open(o->stream) : NULL;

	if (!problem && (!o->stream || o->out))
		problem = reports_open(&run, o->out);
	if (problem)
		die("%s", problem);
	stream_begin(&run);
	if (!run.directory)
		return;
	reports_begin(&run);
	terminal_begin(&run);
}

int main(int argc, char **argv)
{
	struct options o;
	const char *problem;

	prepare_streams();
	o = parse_options(argc, argv);
	if (o.receive)
		return flush_stdout(stream_receive(&run, o.receive, o.out));
	if (o.catalogue) {
		catalogue();
		return flush_stdout(EXIT_SUCCESS);
	}
	plan(&o);
	if (o.except)
		leave_out(o.except);
	if (o.list) {
		list();
		return flush_stdout(EXIT_SUCCESS);
	}
	problem = host_open(o.kvm);
	if (problem)
		die("%s", problem);
	if (o.probe) {
		probe();
		return flush_stdout(EXIT_SUCCESS);
	}
	host_hold_vm();
	start_sandboxes(&o);
	if (!o.timeout_scale)
		o.timeout_scale = host_slowness();
	problem = klog_open("/dev/kmsg", sandbox_is_case);
	run.host = host_facts(argc, argv);
	json_object_set_new(run.host, "kernel_log", json_string(problem ? problem : "watched"));
	json_object_set_new(run.host, "timeout_scale", json_real(o.timeout_scale));
	run.records = json_array();
	open_results(&o);
	started_ns = now_ns();
	if (run.planned)
		run_all(&o);
	if (run.ended < run.planned)
		run.stopped = "Criterion ended the run";
	finish();
	if (run.lost || run.stopped)
		return EXIT_CANNOT_RUN;
	return flush_stdout(run_count(&run, "fail") + run_count(&run, "error") ? EXIT_FAILED
									       : EXIT_SUCCESS);
}
