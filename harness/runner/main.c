// SPDX-License-Identifier: MIT
/* The program: lets Criterion run the cases of the plan, and has them reported. */
#include "host.h"
#include "runner/clock.h"
#include "runner/doctor.h"
#include "runner/ftrace.h"
#include "runner/klog.h"
#include "runner/options.h"
#include "runner/plan.h"
#include "runner/run.h"
#include "runner/stream.h"
#include "trace.h"

#include <criterion/criterion.h>
#include <criterion/internal/test.h>
#include <criterion/options.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_TIMEOUT 10.0 /* seconds */

static struct run run;
static unsigned long long started_ns;

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

static uint64_t case_starts(const char *place)
{
	stream_starting(&run, find_planned(place));
	ftrace_mark();
	return klog_position();
}

static bool until_fail;

static void case_ended(const struct sandbox_end *end)
{
	json_t *record = make_record(&run, find_planned(end->name), end);
	const char *verdict = json_string_value(json_object_get(record, "verdict"));
	bool failed = strcmp(verdict, "fail") == 0 || strcmp(verdict, "error") == 0;

	stream_record(&run, record);
	reports_add(&run, record);
	if (run.directory)
		terminal_progress(&run);
	if (until_fail && failed) {
		run.stopped = "a case failed (--until-fail)";
		sandbox_interrupt();
	}
}

/* What is said at the end. */
static void (*summarise)(const struct run *run) = terminal_summary;

static void finish(void)
{
	ftrace_close();
	run.seconds = (now_ns() - started_ns) / 1e9;
	run.strays = klog_strays();
	if (klog_has_gaps())
		fputs("kvmspec: the kernel overwrote parts of its log before they were read: a fault "
		      "may have gone unseen\n",
		      stderr);
	stream_end(&run);
	if (!run.directory) {
		if (run.lost)
			fprintf(stderr, "kvmspec: could not write %s: %s\n", run.lost,
				strerror(run.lost_errno));
		return;
	}
	reports_close(&run);
	summarise(&run);
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

	if (!run.planned)
		die("--gdb is for one case, and --except leaves none");
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

static void probe(void)
{
	json_t *facts = host_facts(0, NULL);
	char line[256];

	puts(host_line(facts, line, sizeof line));
	json_decref(facts);
}

/* host.json: what this machine is, and how it is looked at. */
static void describe_host(const struct options *o, int argc, char **argv)
{
	const char *problem =
		klog_open(o->kernel_log, (struct klog_cases){ case_of, sandbox_running });

	run.host = host_facts(argc, argv);
	json_object_set_new(run.host, "kernel_log", json_string(problem ? problem : "watched"));
	if (o->ftrace)
		start_ftrace();
	json_object_set_new(run.host, "timeout_scale", json_real(o->timeout_scale));
	json_object_set_new(run.host, "effort", json_integer(o->effort));
	if (o->shuffle)
		json_object_set_new(run.host, "shuffle_seed", json_integer(o->seed));
}

/* Where the run's stream and its results go. */
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
	for (size_t i = 0; i < run.planned; i++)
		reports_expect(&run, run.plan[i].run_id);
	reports_begin(&run);
	if (!o->doctor)
		terminal_begin(&run);
}

/* Runs what is planned on this host. Returns the program's exit status. */
static int run_plan(struct options *o, int argc, char **argv)
{
	host_hold_vm();
	prepare_debugging(o);
	case_effort = o->effort; /* before the processes that will be cases are made */
	start_sandboxes(o);
	if (!o->timeout_scale)
		o->timeout_scale = host_slowness();
	describe_host(o, argc, argv);
	run.records = json_array();
	open_results(o);
	started_ns = now_ns();
	if (run.planned)
		run_all(o);
	if (run.ended == run.planned)
		run.stopped = NULL; /* the last case failed */
	else if (!run.stopped)
		run.stopped = "Criterion ended the run";
	finish();
	if (run.lost || run.stopped)
		return EXIT_CANNOT_RUN;
	return run_failed(&run) || doctor_found_unfit() ? EXIT_FAILED : EXIT_SUCCESS;
}

/* Returns the program's exit status. */
static int do_as_told(struct options *o, int argc, char **argv)
{
	const char *problem;

	if (o->receive)
		return stream_receive(&run, o->receive, o->out);
	if (o->catalogue) {
		list_catalogue();
		return EXIT_SUCCESS;
	}
	if (o->doctor) {
		doctor_prepare(o);
		summarise = doctor_summary;
	}
	make_plan(&run, o);
	if (o->list) {
		list_plan(&run);
		return EXIT_SUCCESS;
	}
	problem = host_open(o->kvm);
	if (problem && o->doctor)
		return doctor_refuse(problem, argc, argv);
	if (problem)
		die("%s", problem);
	if (o->probe) {
		probe();
		return EXIT_SUCCESS;
	}
	return run_plan(o, argc, argv);
}

int main(int argc, char **argv)
{
	struct options o;

	prepare_streams();
	o = parse_options(argc, argv);
	run.ktap = o.ktap;
	run.strict = o.strict;
	run.no_skip = o.no_skip;
	until_fail = o.until_fail;
	return flush_stdout(do_as_told(&o, argc, argv));
}
