// SPDX-License-Identifier: MIT
#include "runner/zygote.h"

#include "case.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* The runner's ends, and in the zygote its own. */
static int requests = -1, deaths = -1;
static pid_t zygote;

static void die_with_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Sends or receives one request with its two descriptors. */
static ssize_t pass_request(struct zygote_request *r,
			    ssize_t (*pass)(int fd, struct msghdr *message))
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(2 * sizeof(int))];
	} control = { .header = { .cmsg_level = SOL_SOCKET,
				  .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(2 * sizeof(int)) } };
	struct iovec data = { .iov_base = r->data, .iov_len = r->size };
	struct msghdr message = { .msg_iov = &data,
				  .msg_iovlen = 1,
				  .msg_control = control.space,
				  .msg_controllen = sizeof control.space };
	int fds[2] = { r->socket, r->output };
	ssize_t size;

	memcpy(CMSG_DATA(&control.header), fds, sizeof fds);
	do
		size = pass(requests, &message);
	while (size < 0 && errno == EINTR);
	memcpy(fds, CMSG_DATA(&control.header), sizeof fds);
	r->socket = fds[0];
	r->output = fds[1];
	return size;
}

static ssize_t do_send(int fd, struct msghdr *message)
{
	return sendmsg(fd, message, MSG_NOSIGNAL);
}

static ssize_t do_receive(int fd, struct msghdr *message)
{
	return recvmsg(fd, message, MSG_CMSG_CLOEXEC);
}

/* In the zygote. */

/* Whoever started the run may block or ignore signals; cases begin without that. */
static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < _NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Returns when the other end is closed. */
static void wait_for_close(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	close(fd);
}

typedef void child_main_fn(struct zygote_request *);

/* The child: waits until its start is reported, since it may kill us. */
static _Noreturn void begin(child_main_fn *child_main, struct zygote_request *request, pid_t parent,
			    int reported)
{
	setpgid(0, 0);
	if (getppid() != parent) /* it was too late to be told: die_with_parent() */
		_exit(EXIT_FAILURE);
	wait_for_close(reported);
	close(requests);
	close(deaths);
	reset_signals();
	child_main(request);
	_exit(EXIT_FAILURE);
}

/* Answers one request. Returns false when the runner has gone. */
static bool serve(child_main_fn *child_main, int signals)
{
	static char buffer[ZYGOTE_REQUEST_MAX];
	struct zygote_request request = { .data = buffer, .size = sizeof buffer };
	ssize_t size = pass_request(&request, do_receive);
	pid_t self = getpid(), pid;
	int reported[2] = { -1, -1 };
	bool is_reported;

	if (size <= 0)
		return false;
	request.size = size;
	pid = pipe2(reported, O_CLOEXEC) < 0 ? -1 : fork();
	if (pid == 0) {
		close(reported[1]);
		close(signals);
		begin(child_main, &request, self, reported[0]);
	}
	if (pid < 0)
		pid = -errno;
	else
		setpgid(pid, pid); /* here too: whoever is first */
	close(request.socket);
	close(request.output);
	is_reported = send(requests, &pid, sizeof pid, MSG_NOSIGNAL) == sizeof pid;
	close(reported[0]);
	close(reported[1]);
	return is_reported;
}

/* A process that ends takes its group along; it is a case, or what a case left behind. */
static void report_deaths(int signals)
{
	struct signalfd_siginfo waste;
	siginfo_t info = { 0 };

	while (read(signals, &waste, sizeof waste) > 0)
		;
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
		struct zygote_death death = { .pid = info.si_pid };

		kill(-death.pid, SIGKILL);
		waitpid(death.pid, &death.status, 0);
		(void)!send(deaths, &death, sizeof death, MSG_NOSIGNAL);
		info.si_pid = 0;
	}
}

/* What a case left that was not forked by fork() was not told to die with us: system(), clone(). */
static void kill_children(void)
{
	FILE *f = fopen("/proc/thread-self/children", "re");
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (f)
		fclose(f);
}

/*
 * What cases left must be gone when the runner is; all of it are our children, or become that when
 * their parents die. What withstands, if anything can, is not waited for.
 */
static void wait_for_the_dying(int signals)
{
	struct pollfd f = { .fd = signals, .events = POLLIN };
	siginfo_t info;

	do {
		kill_children();
		report_deaths(signals);
	} while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		 poll(&f, 1, 1000) > 0);
}

static _Noreturn void zygote_main(child_main_fn *child_main, pid_t runner)
{
	struct pollfd fds[2] = { { .fd = requests, .events = POLLIN }, { .events = POLLIN } };
	sigset_t child;

	setpgid(0, 0); /* Ctrl-C is for the runner */
	die_with_parent();
	if (getppid() != runner)
		_exit(EXIT_FAILURE);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pthread_atfork(NULL, NULL, die_with_parent); /* cases, and what they fork themselves */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	fds[1].fd = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[1].revents)
			report_deaths(fds[1].fd);
		if (fds[0].revents && !serve(child_main, fds[1].fd))
			break;
	}
	wait_for_the_dying(fds[1].fd);
	case_exit(EXIT_SUCCESS);
}

/* In the runner. */

int zygote_start(void (*prepare)(void), void (*child_main)(struct zygote_request *request))
{
	int request[2], death[2];
	pid_t runner = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, request) < 0)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, death) < 0)
		return -errno;
	fflush(NULL); /* or it would be printed twice */
	zygote = fork();
	if (zygote < 0)
		return -errno;
	requests = request[zygote == 0];
	deaths = death[zygote == 0];
	close(request[zygote != 0]);
	close(death[zygote != 0]);
	if (zygote == 0) {
		prepare();
		zygote_main(child_main, runner);
	}
	return 0;
}

pid_t zygote_pid(void)
{
	return zygote;
}

pid_t zygote_fork(const struct zygote_request *request)
{
	struct zygote_request copy = *request;
	ssize_t size;
	pid_t pid;

	if (pass_request(&copy, do_send) < 0)
		return errno == EPIPE || errno == ECONNRESET ? -ESRCH : -errno;
	do
		size = recv(requests, &pid, sizeof pid, 0);
	while (size < 0 && errno == EINTR);
	return size == sizeof pid ? pid : -ESRCH;
}

int zygote_deaths_fd(void)
{
	return deaths;
}

int zygote_next_death(struct zygote_death *death)
{
	ssize_t size = recv(deaths, death, sizeof *death, MSG_DONTWAIT);

	if (size == sizeof *death)
		return 1;
	return size < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

void zygote_join(void)
{
	if (requests >= 0)
		close(requests);
	requests = -1;
	waitpid(zygote, NULL, 0);
}

void zygote_stop(void)
{
	zygote_join();
	close(deaths);
}
