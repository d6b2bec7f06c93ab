// SPDX-License-Identifier: MIT
#include "runner/sandbox.h"

#include "case.h"

#include <boxfort.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct sandbox_hooks sandbox_hooks;

static volatile sig_atomic_t interrupted;

void sandbox_interrupt(void)
{
	interrupted = 1;
}

static unsigned long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/*
 * Contexts: the named objects that Criterion hands to a test's process. A forked child has the
 * runner's memory at the same addresses, so functions and objects need no translation.
 */

struct object {
	char *name;
	void *data;
	struct object *next;
};

struct bxf_context_s {
	struct object *objects;
};

static bxf_context current_context; /* in a child: the one that it was started with */

int bxf_context_init(bxf_context *ctx)
{
	*ctx = calloc(1, sizeof **ctx);
	return *ctx ? 0 : -ENOMEM;
}

int bxf_context_term(bxf_context ctx)
{
	for (struct object *o = ctx->objects, *next; o; o = next) {
		next = o->next;
		free(o->name);
		free(o->data);
		free(o);
	}
	free(ctx);
	return 0;
}

bxf_context bxf_context_current(void)
{
	return current_context;
}

int bxf_context_addobject(bxf_context ctx, const char *name, const void *ptr, size_t size)
{
	struct object *o = malloc(sizeof *o);

	if (!o)
		return -ENOMEM;
	*o = (struct object){ .name = strdup(name), .data = malloc(size), .next = ctx->objects };
	ctx->objects = o;
	if (!o->name || !o->data)
		return -ENOMEM;
	memcpy(o->data, ptr, size);
	return 0;
}

static void *find_object(bxf_context ctx, const char *name)
{
	for (struct object *o = ctx->objects; o; o = o->next)
		if (strcmp(o->name, name) == 0)
			return o->data;
	return NULL;
}

int bxf_context_getobject(bxf_context ctx, const char *name, void **ptr)
{
	void *data = find_object(ctx, name);

	if (data)
		*ptr = data;
	return data != NULL;
}

int bxf_context_addfnaddr(bxf_context ctx, const char *name, void (*fn)(void))
{
	return bxf_context_addobject(ctx, name, &fn, sizeof fn);
}

int bxf_context_getfnaddr(bxf_context ctx, const char *name, void (**fn)(void))
{
	void *data = find_object(ctx, name);

	if (data)
		memcpy(fn, data, sizeof *fn);
	return data != NULL;
}

int bxf_context_addstatic(bxf_context ctx, const void *ptr, size_t size)
{
	(void)ctx, (void)ptr, (void)size; /* fork copies statics */
	return 0;
}

int bxf_context_addarena(bxf_context ctx, bxf_arena arena)
{
	(void)ctx, (void)arena;
	return 0;
}

/* Arenas hold the data of Criterion's parameterised tests, which kvmspec does not use. */

int bxf_arena_init(size_t initial, int flags, bxf_arena *arena)
{
	(void)initial, (void)flags;
	*arena = NULL;
	return 0;
}

int bxf_arena_term(bxf_arena *arena)
{
	(void)arena;
	return 0;
}

bxf_ptr bxf_arena_alloc(bxf_arena *arena, size_t size)
{
	(void)arena, (void)size;
	return -ENOTSUP;
}

bxf_ptr bxf_arena_realloc(bxf_arena *arena, bxf_ptr ptr, size_t newsize)
{
	(void)arena, (void)ptr, (void)newsize;
	return -ENOTSUP;
}

int bxf_arena_free(bxf_arena *arena, bxf_ptr ptr)
{
	(void)arena, (void)ptr;
	return -ENOTSUP;
}

void *bxf_arena_ptr(bxf_arena arena, bxf_ptr ptr)
{
	(void)arena, (void)ptr;
	return NULL;
}

/* Sandboxes. */

struct sandbox {
	struct bxf_instance_s instance; /* first: Criterion holds pointers to it */
	struct sandbox *next;
	bxf_callback *died;
	char *area, *name;
	unsigned long long deadline; /* CLOCK_MONOTONIC, ns; 0: none */
	int messages;                /* our end of Criterion's connection */
	int output;                  /* read end of the case's stdout and stderr */
	int pidfd;                   /* -1 once it was reaped */
	bool has_mail;               /* messages may be there to be read */
	bool is_dead;                /* the process; it is still to be buried */
	bool told;                   /* Criterion knows that the case has ended … */
	bool released;               /* … and has no use for this any more */
	void *shared;
	size_t output_len, output_lost;
	char output_data[SANDBOX_OUTPUT_MAX];
};

static struct sandbox *sandboxes;
static void *spare_shared;    /* of an ended case, for the next one */
static int child_socket = -1; /* in a child: its end of the connection */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Leaves a child with its three streams, its connection and hooks.keep_fd, and nothing of ours. */
static void close_inherited(int socket)
{
	int low = socket, high = sandbox_hooks.keep_fd;

	if (low > high) {
		low = sandbox_hooks.keep_fd;
		high = socket;
	}
	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low < 3 ? 3 : low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static void reset_signals(void)
{
	static const int ours[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ };
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
		signal(ours[i], SIG_DFL);
}

static _Noreturn void child(const struct sandbox *s, bxf_spawn_params params, int socket,
			    int output, pid_t runner)
{
	int status;

	setpgid(0, 0); /* the case and all its children can be killed as one */
	die_with_parent();
	if (getppid() != runner) /* it was too late to be told */
		_exit(EXIT_FAILURE);
	reset_signals();
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close_inherited(socket);
	child_socket = socket;
	current_context = params->inherit.context;
	sandboxes = NULL;
	if (sandbox_hooks.in_child)
		sandbox_hooks.in_child(s->area, s->name, s->shared);
	status = params->fn();
	close(socket); /* the case has ended; what is left is the kernel's work */
	case_exit(status);
}

static void *take_shared(void)
{
	void *shared = spare_shared;

	spare_shared = NULL;
	if (shared)
		memset(shared, 0, sandbox_hooks.shared_size);
	else
		shared = mmap(NULL, sandbox_hooks.shared_size, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return shared == MAP_FAILED ? NULL : shared;
}

static void give_shared(void *shared)
{
	if (spare_shared)
		munmap(shared, sandbox_hooks.shared_size);
	else
		spare_shared = shared;
}

static char *object_copy(bxf_context ctx, const char *name)
{
	const char *text = find_object(ctx, name);

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
	close_fd(&s->pidfd);
	if (s->shared)
		give_shared(s->shared);
	free(s->area);
	free(s->name);
	free(s);
}

static void kill_all(void)
{
	for (struct sandbox *s = sandboxes; s; s = s->next)
		if (s->pidfd >= 0) {
			kill(-(pid_t)s->instance.pid, SIGKILL);
			kill(s->instance.pid, SIGKILL);
		}
	for (struct sandbox *s = sandboxes; s; s = s->next)
		if (s->pidfd >= 0)
			waitpid(s->instance.pid, NULL, 0);
}

/* Criterion would abort the program, and lose what the reports do not have yet. */
static int cannot_start(int err)
{
	kill_all();
	if (sandbox_hooks.cannot_start)
		sandbox_hooks.cannot_start(-err);
	return err;
}

int bxf_spawn_struct(bxf_instance **instance, bxf_spawn_params params)
{
	static bool prepared;
	struct sandbox *s = calloc(1, sizeof *s);
	int socket[2] = { -1, -1 }, output[2] = { -1, -1 };
	pid_t pid, runner = getpid();
	int err;

	if (!s)
		return cannot_start(-ENOMEM);
	if (!prepared) { /* also the children of cases, should they leave the group */
		pthread_atfork(NULL, NULL, die_with_parent);
		prepared = true;
	}
	s->messages = s->output = s->pidfd = -1;
	s->area = object_copy(params->inherit.context, "criterion.suite.name");
	s->name = object_copy(params->inherit.context, "criterion.test.name");
	s->died = params->callback;
	s->shared = take_shared();
	if (!s->area || !s->name || !s->shared ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socket) < 0 ||
	    pipe2(output, O_CLOEXEC) < 0)
		goto error;
	fcntl(output[0], F_SETFL, O_NONBLOCK);

	fflush(stdout); /* or the child would print it too; reports are always flushed */
	s->instance.time.start = now_ns();
	pid = fork();
	if (pid < 0)
		goto error;
	if (pid == 0)
		child(s, params, socket[1], output[1], runner);
	setpgid(pid, pid); /* here too: whoever is first */
	s->instance.pid = pid;
	s->instance.status.alive = 1;
	s->messages = socket[0];
	s->output = output[0];
	s->pidfd = pidfd_open(pid, 0);
	close(socket[1]);
	close(output[1]);
	if (s->pidfd < 0) {
		err = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		free_sandbox(s);
		return cannot_start(err);
	}
	if (params->iquotas.runtime > 0)
		s->deadline = s->instance.time.start +
			      (unsigned long long)(params->iquotas.runtime * 1e9);
	s->next = sandboxes;
	sandboxes = s;
	*instance = &s->instance;
	return 0;
error:
	err = errno ? -errno : -ENOMEM;
	for (int i = 0; i < 2; i++) {
		close_fd(&socket[i]);
		close_fd(&output[i]);
	}
	free_sandbox(s);
	return cannot_start(err);
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
	if (s->pidfd < 0)
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

static bool is_case(pid_t pid)
{
	for (struct sandbox *s = sandboxes; s; s = s->next)
		if (s->pidfd >= 0 && s->instance.pid == (bxf_pid)pid)
			return true;
	return false;
}

/* The runner is the reaper of its cases' orphans. A case that is dead too waits for its funeral. */
static void reap_orphans(void)
{
	siginfo_t info = { 0 };

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid &&
	       !is_case(info.si_pid)) {
		waitpid(info.si_pid, NULL, 0);
		info.si_pid = 0;
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

/* The case's process is gone: take what it left, end what it started, tell the hooks and Criterion. */
static void bury(struct sandbox *s)
{
	int status = 0;

	kill(-(pid_t)s->instance.pid, SIGKILL);
	while (waitpid(s->instance.pid, &status, 0) < 0 && errno == EINTR)
		;
	close_fd(&s->pidfd);
	reap_orphans();
	if (s->output >= 0)
		drain_output(s);
	s->instance.time.end = now_ns();
	s->instance.time.elapsed = s->instance.time.end - s->instance.time.start;
	s->instance.status.alive = 0;
	s->instance.status.exit = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	s->instance.status.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	sandbox_hooks.ended(&(struct sandbox_end){
		.area = s->area,
		.name = s->name,
		.shared = s->shared,
		.exit_status = s->instance.status.exit,
		.signal = s->instance.status.signal,
		.timed_out = s->instance.status.timed_out,
		.seconds = s->instance.time.elapsed / 1e9,
		.output = s->output_data,
		.output_len = s->output_len,
		.output_lost = s->output_lost,
	});
	if (!s->told)
		tell_criterion(s);
	else if (s->released)
		free_sandbox(s);
}

/* Kills what is overdue; returns the milliseconds until the next deadline, at most 200. */
static int enforce_deadlines(void)
{
	unsigned long long now = now_ns();
	int wait_ms = 200;

	for (struct sandbox *s = sandboxes; s; s = s->next) {
		if (!s->deadline || s->pidfd < 0 || s->instance.status.timed_out)
			continue;
		if (now >= s->deadline) {
			s->instance.status.timed_out = 1;
			kill(-(pid_t)s->instance.pid, SIGKILL);
		} else if ((s->deadline - now) / 1000000 < (unsigned)wait_ms) {
			wait_ms = (s->deadline - now) / 1000000 + 1;
		}
	}
	return wait_ms;
}

/* Waits for something to happen: output, the end of a case, or the end of its process. */
static void wait_for_sandboxes(void)
{
	enum { END, OUTPUT, DEATH, EVENTS };
	size_t count = 0;
	int ready;

	for (struct sandbox *s = sandboxes; s; s = s->next)
		count++;

	struct pollfd fds[count * EVENTS + 1];
	struct pollfd *f = fds;

	for (struct sandbox *s = sandboxes; s; s = s->next, f += EVENTS) {
		/* not POLLIN: Criterion need not hear of what a case does before it ends */
		f[END] = (struct pollfd){ .fd = s->messages, .events = POLLRDHUP };
		/* once it has ended, what it wrote can wait until it is buried */
		f[OUTPUT] =
			(struct pollfd){ .fd = s->messages < 0 ? -1 : s->output, .events = POLLIN };
		f[DEATH] = (struct pollfd){ .fd = s->pidfd, .events = POLLIN };
	}
	ready = poll(fds, count * EVENTS, enforce_deadlines());
	if (ready < 0)
		return;

	f = fds;
	for (struct sandbox *s = sandboxes; s; s = s->next, f += EVENTS) {
		if (f[OUTPUT].revents)
			drain_output(s);
		s->is_dead = f[DEATH].revents;
		if (f[END].revents || s->is_dead || ready == 0)
			s->has_mail = s->messages >= 0;
		if (s->is_dead && s->messages < 0) {
			bury(s);
			return; /* Criterion's turn, and it may change the list */
		}
	}
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
		if (!sandboxes) {
			errno = ECONNRESET;
			return -1;
		}
		heed_interrupt();
		wait_for_sandboxes();
	}
}

void sandbox_wait_all(void)
{
	while (sandboxes) {
		heed_interrupt();
		wait_for_sandboxes();
	}
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

/* Criterion's text diffs are not used; without these, libgit2 and half the system come along. */

int git_libgit2_init(void);
int git_libgit2_shutdown(void);
int git_diff_buffers(void);

int git_libgit2_init(void)
{
	return 0;
}

int git_libgit2_shutdown(void)
{
	return 0;
}

int git_diff_buffers(void)
{
	return -1;
}
