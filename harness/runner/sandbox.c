// SPDX-License-Identifier: MIT
#include "runner/sandbox.h"

#include "case.h"
#include "runner/clock.h"
#include "runner/context.h"
#include "runner/zygote.h"

#include <boxfort.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct sandbox_hooks sandbox_hooks;

static volatile sig_atomic_t interrupted;

void sandbox_interrupt(void)
{
	interrupted = 1;
}

/* What the zygote is asked to run; behind it comes Criterion's context. */
struct start {
	bxf_fn *fn;
	void *shared;
};

/* Sandboxes. */

#define LAST_WORDS  10            /* part of the time-out that passes from it to SIGKILL */
#define STUCK_AFTER 5000000000ull /* ns from SIGKILL */
#define SPARE_SLOTS 16            /* for what is stuck and keeps its own */

struct sandbox {
	struct bxf_instance_s instance; /* first: Criterion holds pointers to it */
	struct sandbox *next;
	bxf_callback *died;
	char *name;
	uint64_t mark;               /* what hooks.starting returned */
	unsigned long long deadline; /* CLOCK_MONOTONIC, ns; 0: none */
	int messages;                /* our end of Criterion's connection */
	int output;                  /* read end of the case's stdout and stderr */
	int wait_status;             /* valid if is_dead */
	bool buried;                 /* its record is made */
	bool has_mail;               /* messages may be there to be read */
	bool is_dead;                /* its process has ended */
	bool is_stuck;               /* … or never will: it does not die of SIGKILL */
	bool parent_died;            /* … or did with its parent */
	bool told;                   /* Criterion knows that the case has ended … */
	bool released;               /* … and has no use for this any more */
	void *shared;
	size_t output_len, output_lost;
	char output_data[SANDBOX_OUTPUT_MAX];
};

static struct sandbox *sandboxes;
static char *slots; /* memory that cases share with the runner, slot_count pieces of it */
static bool *slot_taken;
static size_t slot_count;
static int child_socket = -1; /* in a child: its end of the connection */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Leaves a child with its three streams, its connection and hooks.keep_fds, and nothing of ours. */
static void close_inherited(int socket)
{
	int kept[1 + SANDBOX_KEEP_FDS] = { socket }, next = STDERR_FILENO + 1;

	memcpy(kept + 1, sandbox_hooks.keep_fds, sizeof sandbox_hooks.keep_fds);
	qsort(kept, 1 + SANDBOX_KEEP_FDS, sizeof *kept, by_number);
	for (int i = 0; i <= SANDBOX_KEEP_FDS; i++) {
		if (kept[i] < next)
			continue;
		if (kept[i] > next)
			close_range(next, kept[i] - 1, 0);
		next = kept[i] + 1;
	}
	close_range(next, ~0u, 0);
}

static void child_main(struct zygote_request *r)
{
	const struct start *start = r->data;
	int status;

	dup2(r->output, STDOUT_FILENO);
	dup2(r->output, STDERR_FILENO);
	close_inherited(r->socket);
	child_socket = r->socket;
	context_current = context_read((char *)r->data + sizeof *start, (char *)r->data + r->size);
	if (!context_current)
		return;
	sandbox_hooks.in_child(context_find(context_current, "criterion.test.name"), start->shared);
	status = start->fn();
	close(child_socket); /* the case has ended; what is left is the kernel's work */
	case_exit(status);
}

/* In the zygote: the limits that cases inherit. */
static void limit_memory(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		(void)!write(fd, "1000", 4);
		close(fd);
	}
#ifndef __SANITIZE_ADDRESS__
	struct rlimit limit;

	if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur > SANDBOX_ADDRESS_SPACE) {
		limit.rlim_cur = SANDBOX_ADDRESS_SPACE;
		setrlimit(RLIMIT_AS, &limit);
	}
#endif
}

int sandbox_start(size_t jobs)
{
	slot_count = jobs + sandbox_hooks.dying_max + SPARE_SLOTS;
	slot_taken = calloc(slot_count, sizeof *slot_taken);
	slots = mmap(NULL, slot_count * sandbox_hooks.shared_size, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!slot_taken || slots == MAP_FAILED)
		return -ENOMEM;
	return zygote_start(limit_memory, child_main);
}

static void *take_slot(void)
{
	for (size_t i = 0; i < slot_count; i++) {
		if (slot_taken[i])
			continue;
		slot_taken[i] = true;
		return memset(slots + i * sandbox_hooks.shared_size, 0, sandbox_hooks.shared_size);
	}
	return NULL;
}

static void give_slot(void *shared)
{
	slot_taken[((char *)shared - slots) / sandbox_hooks.shared_size] = false;
}

static char *object_copy(bxf_context ctx, const char *name)
{
	const char *text = context_find(ctx, name);

	return strdup(text ? text : "");
}

static void free_sandbox(struct sandbox *s)
{
	for (struct sandbox **p = &sandboxes; *p; p = &(*p)->next) {
		if (*p == s) {
			*p = s->next;
			break;
		}
	}
	close_fd(&s->messages);
	close_fd(&s->output);
	if (s->shared && !s->is_stuck)
		give_slot(s->shared);
	free(s->name);
	free(s);
}

static struct sandbox *find_sandbox(pid_t pid)
{
	struct sandbox *s = sandboxes;

	while (s && (s->is_dead || s->instance.pid != (bxf_pid)pid))
		s = s->next;
	return s;
}

/* Notes which processes have ended; also orphans of cases do, which nobody asks for. */
static void read_deaths(void)
{
	struct zygote_death death;
	int got;

	while ((got = zygote_next_death(&death)) == 1) {
		struct sandbox *s = find_sandbox(death.pid);

		if (s) {
			s->is_dead = true;
			s->wait_status = death.status;
		}
	}
	if (got < 0) /* killed from outside: all cases died with it */
		for (struct sandbox *s = sandboxes; s; s = s->next)
			if (!s->is_dead) {
				s->is_dead = s->parent_died = true;
				s->wait_status = SIGKILL;
			}
}

static void kill_case(const struct sandbox *s)
{
	kill(-(pid_t)s->instance.pid, SIGKILL);
	kill(s->instance.pid, SIGKILL); /* it may have left its group */
}

static bool any_lives(void)
{
	for (struct sandbox *s = sandboxes; s; s = s->next)
		if (!s->is_dead)
			return true;
	return false;
}

/* Nothing runs after this. */
static void kill_all(void)
{
	struct pollfd f = { .fd = zygote_deaths_fd(), .events = POLLIN };

	for (struct sandbox *s = sandboxes; s; s = s->next)
		if (!s->is_dead)
			kill_case(s);
	for (unsigned long long start = now_ns(); any_lives() && now_ns() - start < STUCK_AFTER;) {
		poll(&f, 1, 200);
		read_deaths();
	}
	zygote_stop();
}

/* Criterion would abort the program, and lose what the reports do not have yet. */
static int cannot_start(int err)
{
	kill_all();
	if (sandbox_hooks.cannot_start)
		sandbox_hooks.cannot_start(-err);
	return err;
}

/* What is there before the child is. Returns 0, or -errno. */
static int prepare(struct sandbox *s, bxf_spawn_params params, int socket[2], int output[2])
{
	s->messages = s->output = -1;
	s->name = object_copy(params->inherit.context, "criterion.test.name");
	s->died = params->callback;
	s->shared = take_slot();
	if (!s->name || !s->shared)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socket) < 0 ||
	    pipe2(output, O_CLOEXEC) < 0)
		return -errno;
	s->messages = socket[0];
	s->output = output[0];
	fcntl(s->output, F_SETFL, O_NONBLOCK);
	return 0;
}

/* A case may have killed its parent, and with it all cases of the moment: the run goes on. */
static int restart_zygote(void)
{
	zygote_join(); /* now it reports no more deaths */
	read_deaths();
	zygote_stop();
	return zygote_start(limit_memory, child_main);
}

static pid_t start_child(const struct sandbox *s, bxf_spawn_params params, int socket, int output)
{
	static char buffer[ZYGOTE_REQUEST_MAX];
	struct zygote_request r = { .data = buffer, .socket = socket, .output = output };
	struct start start = { .fn = params->fn, .shared = s->shared };
	pid_t pid;

	if (!context_append_bytes(&r, &start, sizeof start) ||
	    !context_append(&r, params->inherit.context))
		return -E2BIG;
	pid = zygote_fork(&r);
	if (pid == -ESRCH && restart_zygote() == 0)
		pid = zygote_fork(&r);
	return pid;
}

int bxf_spawn_struct(bxf_instance **instance, bxf_spawn_params params)
{
	struct sandbox *s = calloc(1, sizeof *s);
	int socket[2] = { -1, -1 }, output[2] = { -1, -1 };
	int result = s ? prepare(s, params, socket, output) : -ENOMEM;

	if (result == 0) {
		s->mark = sandbox_hooks.starting(s->name);
		s->instance.time.start = now_ns();
		result = start_child(s, params, socket[1], output[1]);
	}
	close_fd(&socket[1]);
	close_fd(&output[1]);
	if (result < 0) {
		if (s)
			free_sandbox(s);
		return cannot_start(result);
	}
	s->instance.pid = result;
	s->instance.status.alive = 1;
	if (params->iquotas.runtime > 0)
		s->deadline = s->instance.time.start +
			      (unsigned long long)(params->iquotas.runtime * 1e9);
	s->next = sandboxes;
	sandboxes = s;
	*instance = &s->instance;
	return 0;
}

int bxf_wait(bxf_instance *instance, double timeout)
{
	(void)instance, (void)timeout; /* Criterion waits for what it was told had died */
	return 0;
}

int bxf_term(bxf_instance *instance)
{
	struct sandbox *s = (struct sandbox *)(void *)instance;

	s->released = true;
	if (s->buried)
		free_sandbox(s);
	return 0;
}

/*
 * The connection. Criterion's runner owns one socket that it replies on (BOUND) and one that the
 * death callback asks through (LOCAL); a case owns its end of a socketpair (REMOTE). Every request
 * is acknowledged where it is made: the runner must not wait for itself, and a case need not wait
 * for the runner, since a socketpair neither loses nor reorders.
 */

enum { BOUND = 1, LOCAL = 2, REMOTE = 3 };

struct message {
	struct message *next;
	size_t size;
	char data[];
};

static struct message *deaths, **deaths_end = &deaths;
static int sockets;

int nn_socket(int domain, int protocol);
int nn_bind(int s, const char *addr);
int nn_connect(int s, const char *addr);
int nn_close(int s);
int nn_send(int s, const void *buf, size_t len, int flags);
int nn_recv(int s, void *buf, size_t len, int flags);
int nn_freemsg(void *msg);
const char *nn_strerror(int errnum);

int nn_socket(int domain, int protocol)
{
	(void)domain, (void)protocol;
	if (child_socket >= 0)
		return REMOTE;
	return ++sockets == 1 ? BOUND : LOCAL;
}

int nn_bind(int s, const char *addr)
{
	(void)s, (void)addr;
	return 0;
}

int nn_connect(int s, const char *addr)
{
	(void)s, (void)addr;
	return 0;
}

int nn_close(int s)
{
	(void)s;
	return 0;
}

int nn_freemsg(void *msg)
{
	free(msg);
	return 0;
}

const char *nn_strerror(int errnum)
{
	return strerror(errnum);
}

static int queue_death(const void *buf, size_t len)
{
	struct message *m = malloc(sizeof *m + len);

	if (!m)
		return -1;
	m->next = NULL;
	m->size = len;
	memcpy(m->data, buf, len);
	*deaths_end = m;
	deaths_end = &m->next;
	return len;
}

int nn_send(int s, const void *buf, size_t len, int flags)
{
	(void)flags;
	if (s == REMOTE)
		return send(child_socket, buf, len, MSG_NOSIGNAL);
	if (s == LOCAL)
		return queue_death(buf, len);
	return len; /* BOUND: the acknowledgement, which the asker has already */
}

/* Receives one whole datagram of any size into memory that nn_freemsg() frees. */
static int receive(int fd, void **out)
{
	ssize_t size = recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);

	if (size <= 0)
		return size;
	*out = malloc(size);
	if (!*out)
		return -1;
	return recv(fd, *out, size, 0);
}

static int dequeue_death(void **out)
{
	struct message *m = deaths;
	int size = m->size;

	*out = malloc(size);
	if (!*out)
		return -1;
	memcpy(*out, m->data, size);
	deaths = m->next;
	if (!deaths)
		deaths_end = &deaths;
	free(m);
	return size;
}

static void drain_output(struct sandbox *s)
{
	char waste[4096];
	ssize_t n;

	for (int i = 0; i < 16; i++) { /* bounded: a flood must not keep us from the others */
		size_t room = SANDBOX_OUTPUT_MAX - s->output_len;

		if (room)
			n = read(s->output, s->output_data + s->output_len, room);
		else
			n = read(s->output, waste, sizeof waste);
		if (n <= 0) {
			if (n == 0)
				close_fd(&s->output);
			return;
		}
		if (room)
			s->output_len += n;
		else
			s->output_lost += n;
	}
}

static void tell_criterion(struct sandbox *s)
{
	s->told = true;
	s->died(&s->instance); /* queues a message to ourselves */
}

/*
 * A case that has ended need not keep the next one waiting while the kernel tears its VM down: that
 * is mostly a wait for grace periods, 10 ms and more when several VMs end at once. Its record is
 * made all the same when its process is gone.
 */
static void go_on_without(struct sandbox *s)
{
	unsigned dying = 0;

	for (const struct sandbox *other = sandboxes; other; other = other->next)
		dying += other->told;
	if (!s->told && dying < sandbox_hooks.dying_max)
		tell_criterion(s);
}

/* The case's process is gone: take what it left, tell the hooks and Criterion. */
static void bury(struct sandbox *s)
{
	int status = s->wait_status;

	if (s->output >= 0)
		drain_output(s);
	s->instance.time.end = now_ns();
	s->instance.time.elapsed = s->instance.time.end - s->instance.time.start;
	s->instance.status.alive = 0;
	s->instance.status.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	s->instance.status.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	sandbox_hooks.ended(&(struct sandbox_end){
		.name = s->name,
		.pid = (int)s->instance.pid,
		.shared = s->shared,
		.exit_status = s->instance.status.exit,
		.signal = s->instance.status.signal,
		.timed_out = s->instance.status.timed_out,
		.stuck = s->is_stuck,
		.parent_died = s->parent_died,
		.mark = s->mark,
		.seconds = s->instance.time.elapsed / 1e9,
		.output = s->output_data,
		.output_len = s->output_len,
		.output_lost = s->output_lost,
	});
	s->buried = true;
	if (!s->told)
		tell_criterion(s);
	else if (s->released)
		free_sandbox(s);
}

/* SIGKILL cannot end a process that waits in the kernel for ever; the run goes on without it. */
static void give_up(struct sandbox *s)
{
	s->is_stuck = true;
	s->is_dead = true;
	s->wait_status = SIGKILL;
}

/* Tells, then kills, then gives up what is overdue. Returns when to look at it again, in ns. */
static unsigned long long enforce_deadline(struct sandbox *s, unsigned long long now)
{
	unsigned long long kill_at =
		s->deadline + (s->deadline - s->instance.time.start) / LAST_WORDS;
	unsigned long long give_up_at = kill_at + STUCK_AFTER;

	if (now < s->deadline)
		return s->deadline;
	if (now >= give_up_at) {
		give_up(s);
	} else if (s->messages >= 0) { /* if it has ended, what is left is the kernel's work */
		if (!s->instance.status.timed_out) {
			kill(s->instance.pid, CASE_OVERDUE);
			kill(s->instance.pid, SIGCONT); /* it may have been stopped */
		}
		s->instance.status.timed_out = 1;
		if (now < kill_at)
			return kill_at;
		kill_case(s);
	}
	return give_up_at;
}

/* Returns the milliseconds until the next look, at most 200. */
static int enforce_deadlines(void)
{
	unsigned long long now = now_ns();
	int wait_ms = 200;

	for (struct sandbox *s = sandboxes; s; s = s->next) {
		unsigned long long next;

		if (!s->deadline || s->is_dead)
			continue;
		next = enforce_deadline(s, now);
		if (next > now && (next - now) / 1000000 < (unsigned)wait_ms)
			wait_ms = (next - now) / 1000000 + 1;
	}
	return wait_ms;
}

/* Waits for something to happen: output, the end of a case, or the end of its process. */
static void wait_for_sandboxes(void)
{
	enum { END, OUTPUT, EVENTS };
	size_t count = 0;
	int ready;

	for (struct sandbox *s = sandboxes; s; s = s->next)
		count++;

	struct pollfd fds[1 + count * EVENTS], *f = fds + 1;

	fds[0] = (struct pollfd){ .fd = zygote_deaths_fd(), .events = POLLIN };
	for (struct sandbox *s = sandboxes; s; s = s->next, f += EVENTS) {
		/* not POLLIN: Criterion need not hear of what a case does before it ends */
		f[END] = (struct pollfd){ .fd = s->messages, .events = POLLRDHUP };
		/* once it has ended, what it wrote can wait until it is buried */
		f[OUTPUT] =
			(struct pollfd){ .fd = s->messages < 0 ? -1 : s->output, .events = POLLIN };
	}
	ready = poll(fds, 1 + count * EVENTS, enforce_deadlines());
	if (ready < 0)
		return;

	f = fds + 1;
	for (struct sandbox *s = sandboxes; s; s = s->next, f += EVENTS) {
		if (f[OUTPUT].revents)
			drain_output(s);
		if (f[END].revents || ready == 0)
			s->has_mail = s->messages >= 0;
	}
	if (fds[0].revents)
		read_deaths();
}

/* Buries one of the dead whose messages were read. Returns whether there was one. */
static bool bury_one(void)
{
	for (struct sandbox *s = sandboxes; s; s = s->next) {
		if (!s->is_dead || s->buried)
			continue;
		if (s->messages < 0) {
			bury(s);
			return true;
		}
		s->has_mail = true;
	}
	return false;
}

/* One of the messages that a case has sent to Criterion. Returns its size, or 0 if there is none. */
static int read_mail(void **out)
{
	for (struct sandbox *s = sandboxes; s; s = s->next) {
		int size;

		if (!s->has_mail)
			continue;
		size = receive(s->messages, out);
		if (size > 0)
			return size;
		s->has_mail = false;
		if (size == 0 ||
		    s->is_dead) { /* the other end is closed, or nobody's but an orphan's */
			close_fd(&s->messages);
			go_on_without(s);
		}
	}
	return 0;
}

static bool any_mail(void)
{
	for (struct sandbox *s = sandboxes; s; s = s->next)
		if (s->has_mail)
			return true;
	return false;
}

static void heed_interrupt(void)
{
	if (interrupted) {
		kill_all();
		sandbox_hooks.interrupted();
	}
}

static int receive_from_any(void **out)
{
	for (;;) {
		int size = read_mail(out);

		if (size > 0)
			return size;
		if (deaths)
			return dequeue_death(out);
		if (bury_one())
			continue;
		if (!sandboxes) {
			errno = ECONNRESET;
			return -1;
		}
		heed_interrupt();
		if (!any_mail())
			wait_for_sandboxes();
	}
}

void sandbox_wait_all(void)
{
	for (struct sandbox *s = sandboxes; s; s = s->next) {
		close_fd(&s->messages); /* Criterion reads no more */
		s->told = s->released = true;
	}
	while (sandboxes) {
		heed_interrupt();
		if (!bury_one())
			wait_for_sandboxes();
	}
	zygote_stop();
}

pid_t sandbox_case_of(pid_t thread, bool (*has_thread)(const void *shared, pid_t thread))
{
	for (const struct sandbox *s = sandboxes; s; s = s->next)
		if (!s->buried &&
		    ((pid_t)s->instance.pid == thread || has_thread(s->shared, thread)))
			return s->instance.pid;
	return 0;
}

unsigned sandbox_running(void)
{
	unsigned running = 0;

	for (const struct sandbox *s = sandboxes; s; s = s->next)
		running += !s->buried;
	return running;
}

/* Criterion's encoded «acknowledged»: field 1, status OK = 0. */
static int acknowledge(void **out)
{
	static const unsigned char ok[] = { 0x08, 0x00 };

	*out = malloc(sizeof ok);
	if (!*out)
		return -1;
	memcpy(*out, ok, sizeof ok);
	return sizeof ok;
}

int nn_recv(int s, void *buf, size_t len, int flags)
{
	(void)len, (void)flags; /* Criterion always asks for a whole message that we allocate */
	return s == BOUND ? receive_from_any(buf) : acknowledge(buf);
}
