/* SPDX-License-Identifier: MIT */
/*
 * The process that one case runs in, and the loop that watches all of them.
 *
 * Criterion starts each test through boxfort (fork, exec, relocate) and talks to it through nanomsg
 * (sockets and worker threads). That costs 3 ms a case on fast machines and 100 ms under emulation,
 * and boxfort's waiter thread can deadlock with the runner on a time-out. sandbox.c provides the few
 * functions of both libraries that Criterion calls, made of fork, socketpair and one poll loop: no
 * exec, no thread in the runner, and nothing that could wait for itself.
 */
#ifndef KVMSPEC_SANDBOX_H
#define KVMSPEC_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Output that a case wrote to its standard streams: the beginning is kept, the rest counted. */
#define SANDBOX_OUTPUT_MAX 16384

#define SANDBOX_KEEP_FDS 3 /* /dev/kvm, the runner's terminal, gdb's socket */
/*
 * Address space that a case may use, bytes: what fills memory must cost that case alone. It is the
 * soft limit of RLIMIT_AS, so a case that maps more on purpose raises it. Not under AddressSanitizer,
 * whose shadow takes terabytes. Besides, the kernel kills cases first when memory runs out.
 */
#define SANDBOX_ADDRESS_SPACE (4ull << 30)

/* How a case's process ended. */
struct sandbox_end {
	const char *name; /* Criterion's test */
	int pid;
	void *shared;     /* the memory that sandbox_hooks.shared_size asked for */
	int exit_status;  /* valid if signal is 0 */
	int signal;       /* that killed it, or 0 */
	bool stuck;       /* SIGKILL did not end it: it waits in the kernel */
	bool timed_out;   /* killed by us: it ran longer than its time-out */
	bool parent_died; /* killed with the process that starts the cases */
	uint64_t mark;    /* what hooks.starting returned */
	double seconds;   /* from just before fork to the end, wall time */
	const char *output;
	size_t output_len;  /* bytes kept */
	size_t output_lost; /* bytes beyond SANDBOX_OUTPUT_MAX */
};

/* What the runner wants to know of; set before sandbox_start(). */
struct sandbox_hooks {
	size_t shared_size; /* memory shared between each case and the runner; zeroed at the start */
	/* in the runner, before the case's process is there; what it returns comes with the end */
	uint64_t (*starting)(const char *name);
	void (*in_child)(const char *name, void *shared); /* before the case */
	void (*ended)(const struct sandbox_end *end);
	void (*interrupted)(void);     /* sandbox_interrupt() was called, all cases are killed */
	void (*cannot_start)(int err); /* no process for the next case; all others are killed */
	unsigned dying_max; /* cases that may still be torn down while the next one runs */
	int keep_fds[SANDBOX_KEEP_FDS]; /* stay open in the cases; unused ones: 0 or less */
};

extern struct sandbox_hooks sandbox_hooks;

/*
 * Starts the process that cases are forked from: after everything that they are to find in their
 * memory, before everything that is only the runner's. jobs: how many may run at a time. Returns 0,
 * or -errno.
 */
int sandbox_start(size_t jobs);

/* Waits for the cases that Criterion need not wait for; call it after criterion_run_all_tests(). */
void sandbox_wait_all(void);

/*
 * The process of the case that has this thread: its first, or one that has_thread (which gets the
 * memory that the case shares) knows. Until the case's record was made; 0 if there is none.
 */
pid_t sandbox_case_of(pid_t thread, bool (*has_thread)(const void *shared, pid_t thread));

/* How many cases there are whose record is not made. */
unsigned sandbox_running(void);

/* Asks the loop to kill every case and call hooks.interrupted; may be called by a signal handler. */
void sandbox_interrupt(void);

#endif
