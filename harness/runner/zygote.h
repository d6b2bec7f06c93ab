/* SPDX-License-Identifier: MIT */
/*
 * The process that every case is forked from. It is started early and never grows, and it waits for
 * the cases: the runner neither copies its page tables for each case nor pays for each page that it
 * writes to while a case lives.
 */
#ifndef KVMSPEC_ZYGOTE_H
#define KVMSPEC_ZYGOTE_H

#include <stddef.h>
#include <sys/types.h>

/* A request and the file descriptors that come with it: of the child from now on. */
struct zygote_request {
	void *data;
	size_t size; /* bytes, at most ZYGOTE_REQUEST_MAX */
	int socket, output;
};

#define ZYGOTE_REQUEST_MAX 8192

/*
 * Starts the zygote. It calls prepare() first, once: children inherit what that does. A child calls child_main with its request; it is in a process group of its own,
 * dies with the zygote, and so do the processes that it forks. Returns 0, or -errno.
 */
int zygote_start(void (*prepare)(void), void (*child_main)(struct zygote_request *request));

/* The process that children are forked from. */
pid_t zygote_pid(void);

/*
 * Forks a child; the caller keeps its own copies of the descriptors. Returns its pid, or -errno;
 * -ESRCH: the zygote is gone.
 */
pid_t zygote_fork(const struct zygote_request *request);

/* One end of a process: a child's, or an orphan's that a child left behind. */
struct zygote_death {
	pid_t pid;
	int status; /* as waitpid() gives it */
};

/* Readable when there is a death, and when the zygote is gone. */
int zygote_deaths_fd(void);

/* Takes the next death. Returns 1, 0 if there is none now, or -1 if the zygote is gone. */
int zygote_next_death(struct zygote_death *death);

/* Ends the zygote, and with it every child; the deaths that it reported can still be taken. */
void zygote_join(void);

/* The same, for good. */
void zygote_stop(void);

#endif
